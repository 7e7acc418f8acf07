/* The one door through which importers make a forest: they name nodes as their file does, and
 * whatever a damaged or hostile file can get wrong is found here, once.
 *
 * Use: new; for each tree, in the order in which leaves are summed: begin_tree, one test or leaf
 * per node, end_tree; finish. Node 0 is a tree's root. A node that the file has and the tree does
 * not use (pruned away) is simply not given; a node that is given must be reached from the root,
 * exactly once. One exception: a chain of "is it equal" nodes of one feature, each the false child
 * of the one before, may share its true child; it becomes one test of a set (which is how
 * XGBoost's converter to ONNX writes a categorical split).
 * Threads: one. Ownership: the builder is the caller's until oz_forest_builder_free(); the finished
 * forest is the caller's too. After an error only free may follow. Errors: OZ_MODEL, naming the
 * node by the file's number; the importer puts the tree's name in front, in its format's own words.
 * Limits: below. Nothing recurses over the nodes. */
#ifndef OZ_MODELS_FOREST_BUILDER_H
#define OZ_MODELS_FOREST_BUILDER_H
#include "models/forest.h"

enum {
    OZ_FOREST_TREES_MAX = 1 << 20,
    OZ_FOREST_NODES_MAX = 1 << 26,   /* of all trees together */
    OZ_FOREST_WEIGHTS_MAX = 1 << 28, /* of all leaves together */
    OZ_FOREST_DEPTH_MAX = 512        /* steps from the root to the deepest leaf */
};

struct oz_forest_builder;

/* 1 <= n_features and n_groups; base_margin[n_groups] is copied. Leaves are single floats. */
enum oz_status oz_forest_builder_new(uint32_t n_features, uint32_t n_groups,
                                     const float *base_margin,
                                     struct oz_forest_builder **ret_builder,
                                     struct oz_error *err) OZ_MUST_USE;

struct oz_forest_form {
    uint32_t n_features, n_groups;      /* both at least 1 */
    bool is_weighted;                   /* leaves have weights; else they are single floats */
    bool is_ranked;                     /* some threshold or member is no float */
    enum oz_forest_aggregate aggregate; /* OZ_FOREST_SUM for single floats */
    const double *base; /* [n_groups], copied; NULL: none. Floats when leaves are floats */
};
enum oz_status oz_forest_builder_new_form(const struct oz_forest_form *form,
                                          struct oz_forest_builder **ret_builder,
                                          struct oz_error *err) OZ_MUST_USE;
void oz_forest_builder_free(struct oz_forest_builder *builder);

/* n_ids: node numbers are below it. The caller has seen that many in the file, so memory for them
 * is justified. */
enum oz_status oz_forest_builder_begin_tree(struct oz_forest_builder *builder, uint64_t n_ids,
                                            int64_t group, struct oz_error *err) OZ_MUST_USE;
/* For files whose numbers are not 0 to n - 1: which node is the root, and what errors call the
 * nodes: name[n_ids], "node 7" for 7, "leaf 7" for ~7. Borrowed until end_tree. */
void oz_forest_builder_name_nodes(struct oz_forest_builder *builder, uint32_t root,
                                  const int64_t *name);

/* XGBoost's rule: a value below the threshold, as floats, goes left, others right; a missing one
 * left if default_left. A double is rounded to the nearest float first. */
enum oz_status oz_forest_builder_test(struct oz_forest_builder *builder, int64_t id,
                                      int64_t feature, float threshold, bool default_left,
                                      int64_t left, int64_t right,
                                      struct oz_error *err) OZ_MUST_USE;

enum oz_forest_test {
    OZ_FOREST_LT,
    OZ_FOREST_LE,
    OZ_FOREST_GT,
    OZ_FOREST_GE,
    OZ_FOREST_EQ,
    OZ_FOREST_NE
};
struct oz_forest_branch {
    int64_t feature;
    bool missing_true; /* a missing value goes where the test is true; else the test decides, and
                          only NE is true for it */
    int64_t if_true, if_false;
};
/* Exact, whatever the types of value and threshold are. */
enum oz_status oz_forest_builder_compare(struct oz_forest_builder *builder, int64_t id,
                                         const struct oz_forest_branch *branch,
                                         enum oz_forest_test test, double threshold,
                                         struct oz_error *err) OZ_MUST_USE;
/* True for values that are one of member[n_members], which is copied. */
enum oz_status oz_forest_builder_member(struct oz_forest_builder *builder, int64_t id,
                                        const struct oz_forest_branch *branch, const double *member,
                                        size_t n_members, struct oz_error *err) OZ_MUST_USE;

enum oz_status oz_forest_builder_leaf(struct oz_forest_builder *builder, int64_t id, float value,
                                      struct oz_error *err) OZ_MUST_USE;
/* A leaf with weights: at least one, group[i] says for which output. */
enum oz_status oz_forest_builder_weights(struct oz_forest_builder *builder, int64_t id,
                                         const int64_t *group, const double *weight, size_t n,
                                         struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_forest_builder_end_tree(struct oz_forest_builder *builder,
                                          struct oz_error *err) OZ_MUST_USE;
/* At least one tree. */
enum oz_status oz_forest_builder_finish(struct oz_forest_builder *builder,
                                        struct oz_forest **ret_forest,
                                        struct oz_error *err) OZ_MUST_USE;
#endif
