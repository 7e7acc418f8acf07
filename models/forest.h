/* A forest of trees with one float per leaf, as the kernels walk it; which numbers come out is the
 * trainer's rule, which importers write down here: thresholds are floats and "x < threshold goes
 * left", sums are floats, from the base margin, in the order of the trees.
 *
 * Layout: see kernels/cpu/forest_kernels.h. plane[p] says what stands in plane p of a tile: one
 * feature, and on which side of all thresholds its missing values lie. Made by
 * models/forest_builder.h, which is where everything is checked; never changed after that, so any
 * number of threads may use it. */
#ifndef OZ_MODELS_FOREST_H
#define OZ_MODELS_FOREST_H
#include "base/memory.h"
#include "kernels/cpu/forest_kernels.h"

struct oz_forest_plane {
    uint32_t feature;
    int32_t nan_key;
};

struct oz_forest {
    uint32_t n_features, n_groups, n_trees, n_nodes, n_planes;
    struct oz_forest_node *node;   /* [n_nodes], tree after tree */
    struct oz_forest_tree *tree;   /* [n_trees] */
    struct oz_forest_plane *plane; /* [n_planes], at least one */
    float *base_margin;            /* [n_groups] */
};

void oz_forest_free(struct oz_forest *forest);
size_t oz_forest_memory_bytes(const struct oz_forest *forest);

/* Bytes of scratch for oz_forest_margins(), whatever the rows. */
size_t oz_forest_scratch_bytes(const struct oz_forest *forest);
/* Margins of rows [first_row, first_row + n_rows), n_rows <= OZ_FOREST_TILE_ROWS, written to
 * ret_margins[group * OZ_FOREST_TILE_ROWS + row]. Scratch is aligned to 16. */
void oz_forest_margins(const struct oz_forest *forest, const double *const *column,
                       size_t first_row, size_t n_rows, void *scratch, float *ret_margins);
#endif
