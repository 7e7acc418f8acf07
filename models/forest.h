/* A forest of trees, as the kernels walk it. Which numbers come out is the trainer's rule, which
 * importers write down here:
 *   leaves of one float   sums are floats, from the base margin, in the order of the trees
 *                         (XGBoost, and what fuses from graphs that sum floats);
 *   leaves with weights   any number of doubles, each for an output; their sum, average, least or
 *                         greatest is kept in doubles, in the order of the trees and of the weights
 *                         in a leaf, then the base is added (ONNX).
 *
 * Layout: see kernels/cpu/forest_kernels.h. plane[p] says what stands in plane p of a tile: one
 * feature, how it becomes a key, and on which side of all thresholds its missing values lie; or
 * whether the keys of another plane (an earlier one) are in a set. Made by
 * models/forest_builder.h, which is where everything is checked; never changed after that, so any
 * number of threads may use it. */
#ifndef OZ_MODELS_FOREST_H
#define OZ_MODELS_FOREST_H
#include "base/memory.h"
#include "kernels/cpu/forest_kernels.h"

enum oz_forest_plane_kind {
    OZ_FOREST_PLANE_KEYS,   /* of floats; `rounding` is for doubles */
    OZ_FOREST_PLANE_RANKS,  /* among threshold[first, first + n) */
    OZ_FOREST_PLANE_MEMBERS /* of the set member[first, first + n): 0, others 1 */
};

struct oz_forest_plane {
    uint32_t feature;
    int32_t nan_key;
    uint8_t kind, rounding; /* enum oz_forest_plane_kind, oz_forest_rounding */
    uint32_t source;        /* of MEMBERS: whose keys are looked up */
    uint32_t first, n;
};

enum oz_forest_aggregate {
    OZ_FOREST_SUM,
    OZ_FOREST_AVERAGE, /* over all trees, also those that do not add to the output */
    OZ_FOREST_MIN,
    OZ_FOREST_MAX
};

struct oz_forest {
    uint32_t n_features, n_groups, n_trees, n_nodes, n_planes, n_members, n_thresholds, n_weights;
    enum oz_forest_aggregate aggregate; /* SUM for leaves of one float */
    bool weighs_doubles;                /* some weight or base value is no float */
    struct oz_forest_node *node;        /* [n_nodes], tree after tree */
    struct oz_forest_tree *tree;        /* [n_trees] */
    struct oz_forest_plane *plane;      /* [n_planes], at least one */
    int32_t *member;                    /* [n_members]: keys or ranks, sorted within a set */
    double *threshold;                  /* [n_thresholds], sorted and distinct within a feature */
    struct oz_forest_weight *weight;    /* [n_weights], or NULL: leaves are single floats */
    float *base_margin;                 /* [n_groups], when leaves are single floats */
    double *base;                       /* [n_groups], or NULL: nothing is added */
};

void oz_forest_free(struct oz_forest *forest);
size_t oz_forest_memory_bytes(const struct oz_forest *forest);
/* A copy in one piece of memory of oz_forest_memory_bytes(), aligned to 16: for owners that free
 * everything at once. The copy is never freed. */
struct oz_forest *oz_forest_copy(const struct oz_forest *forest, void *memory);

/* Bytes of scratch for oz_forest_margins(), whatever the rows. */
size_t oz_forest_scratch_bytes(const struct oz_forest *forest);
/* Of a forest whose leaves are single floats and whose keys are floats'. Margins of rows
 * [first_row, first_row + n_rows), n_rows <= OZ_FOREST_TILE_ROWS, written to
 * ret_margins[group * OZ_FOREST_TILE_ROWS + row]. Scratch is aligned to 16. */
void oz_forest_margins(const struct oz_forest *forest, const double *const *column,
                       size_t first_row, size_t n_rows, void *scratch, float *ret_margins);

/* Rows that stand one after the other; value f of row r is at [r * stride + f]. Integers become
 * floats first (doubles for ranks), rounded to the nearest. */
enum oz_forest_value { OZ_FOREST_F32, OZ_FOREST_F64, OZ_FOREST_I32, OZ_FOREST_I64 };
struct oz_forest_rows {
    enum oz_forest_value type;
    const void *value;
    size_t stride; /* >= n_features */
};
size_t oz_forest_scores_scratch_bytes(const struct oz_forest *forest);
/* Scores of rows [0, n_rows), n_rows <= OZ_FOREST_TILE_ROWS, of any forest, written to
 * ret_scores[group * OZ_FOREST_TILE_ROWS + row]. An output that no leaf of a row added to has its
 * base value; -0.0, which is no sum's value, when there is no base. Scratch is aligned to 16. */
void oz_forest_scores(const struct oz_forest *forest, const struct oz_forest_rows *rows,
                      size_t n_rows, void *scratch, double *ret_scores);
#endif
