/* The trees of ai.onnx.ml, from the attributes of a node to the builder of a forest. The older
 * operators (TreeEnsembleClassifier, TreeEnsembleRegressor) list nodes by tree and number, and
 * weights apart; TreeEnsemble lists branches and leaves of all trees together and names the roots.
 *
 * Layout: attributes are parallel arrays, borrowed from the node. Threads: one, at load.
 * Ownership: nothing is kept but what the builder copies. Errors: OZ_MODEL, naming the attribute,
 * or the tree and node by the file's own numbers. */
#ifndef OZ_MODELS_NET_TREE_ATTRIBUTES_H
#define OZ_MODELS_NET_TREE_ATTRIBUTES_H
#include "models/forest_builder.h"
#include "models/net/op.h"

enum { OZ_TREE_OUTPUTS_MAX = 1 << 16 };

enum oz_tree_mode { /* the numbers are those of TreeEnsemble's nodes_modes */
                    OZ_TREE_LEQ,
                    OZ_TREE_LT,
                    OZ_TREE_GTE,
                    OZ_TREE_GT,
                    OZ_TREE_EQ,
                    OZ_TREE_NEQ,
                    OZ_TREE_MEMBER,
                    OZ_TREE_LEAF
};

struct oz_tree_numbers { /* floats or doubles */
    const float *f32;
    const double *f64;
    size_t n;
};
static inline double oz_tree_number(const struct oz_tree_numbers *numbers, size_t i)
{
    return numbers->f64 ? numbers->f64[i] : (double)numbers->f32[i];
}

/* Of the older operators. */
struct oz_tree_attributes {
    size_t n_nodes, n_weights;
    const int64_t *tree, *id, *feature, *if_true, *if_false;
    const int64_t *missing_true; /* NULL: false for all */
    const struct oz_str *mode;
    struct oz_tree_numbers value;
    const int64_t *weight_tree, *weight_id, *weight_output;
    struct oz_tree_numbers weight, base; /* base.n may be 0 */
    enum oz_forest_aggregate aggregate;
    /* what the trees ask for */
    uint32_t n_features; /* at least 1 */
    bool is_ranked;
};

/* prefix: "class" or "target". */
enum oz_status oz_tree_read(struct oz_node *node, const char *prefix,
                            struct oz_tree_attributes *ret_attributes,
                            struct oz_error *err) OZ_MUST_USE;

/* What a rewritten forest has instead of what the attributes say. */
struct oz_tree_change {
    const int64_t *feature; /* [n_features of the attributes], or NULL: as they are */
    const float *leaf;      /* [n_weights]: leaves are single floats, these; NULL: as they are */
};
/* Gives all trees to the builder, in the order in which the file first names them. */
enum oz_status oz_tree_add(const struct oz_tree_attributes *attributes,
                           const struct oz_tree_change *change, struct oz_forest_builder *builder,
                           struct oz_error *err) OZ_MUST_USE;

/* TreeEnsemble, from its attributes to a forest (the caller's to free) and its post_transform. */
enum oz_status oz_tree_read_ensemble(struct oz_node *node, struct oz_forest **ret_forest,
                                     int64_t *ret_post_transform, struct oz_error *err) OZ_MUST_USE;

/* Attributes that are lists of floats, or tensors of floats or doubles under another name (which
 * may be NULL). */
enum oz_status oz_tree_get_numbers(struct oz_node *node, const char *name, const char *tensor_name,
                                   struct oz_tree_numbers *ret_numbers,
                                   struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_tree_numbers_of(const struct oz_tensor *tensor, const char *name,
                                  struct oz_tree_numbers *ret_numbers,
                                  struct oz_error *err) OZ_MUST_USE;
bool oz_tree_is_float(double x); /* whether a float has this value; also for NaN */
/* base.n values for n_outputs outputs: NULL for none, one for all only where n_outputs is 1. The
 * array is the caller's to free. */
enum oz_status oz_tree_base(const struct oz_tree_numbers *base, uint32_t n_outputs,
                            double **ret_base, struct oz_error *err) OZ_MUST_USE;
#endif
