/* The inner loops of a forest of trees: rows become integer keys, trees are walked over the keys,
 * the leaves' values are summed as floats in the order of the trees.
 *
 * Why keys: a float is mapped to an int32 of the same order, so that "x < threshold" is one integer
 * comparison, and a missing value (NaN) gets a key of its own: lower than all others in a plane
 * whose nodes send missing values left, higher than all others in a plane whose nodes send them
 * right. So a missing value costs a node nothing. -0 and +0 have the same key.
 *
 * Layout: a tile is OZ_FOREST_TILE_ROWS rows, one plane after the other:
 *     tile[plane * OZ_FOREST_TILE_ROWS + row]
 * and a node holds the plane already multiplied. A tree is one array of nodes, its root at 0; the
 * two children of a node stand side by side, so that a step is left + (key >= threshold). A leaf is
 * a node whose threshold no key is below and whose right child is itself: walking further changes
 * nothing. Sums are [n_groups x OZ_FOREST_TILE_ROWS]; the caller sets them to the base margins.
 *
 * Threads: any. These functions allocate nothing and cannot fail: the arguments come from a forest
 * that models/forest_builder.h has checked. The scalar functions are the reference for every other
 * ISA, which must agree to the bit. */
#ifndef OZ_KERNELS_CPU_FOREST_KERNELS_H
#define OZ_KERNELS_CPU_FOREST_KERNELS_H
#include <string.h>
#include "base/base.h"

enum { OZ_FOREST_TILE_ROWS = 64 };
#define OZ_FOREST_KEY_NAN_LOW  INT32_MIN
#define OZ_FOREST_KEY_NAN_HIGH INT32_MAX

struct oz_forest_node {
    int32_t key;    /* of the threshold; INT32_MIN in a leaf */
    uint32_t plane; /* plane number times OZ_FOREST_TILE_ROWS */
    uint32_t left;  /* place of the left child; in a leaf at place i: i - 1, modulo 2^32 */
    float value;    /* of a leaf; 0 in other nodes */
};

struct oz_forest_tree {
    uint32_t node;                /* its root's place in the array of all nodes */
    uint32_t group;               /* which sum its leaves go to */
    uint16_t shallowest, deepest; /* leaf, in steps from the root */
};

/* The key of a value that is not NaN. */
static inline int32_t oz_forest_key(float x)
{
    uint32_t bits;
    x += 0.0f; /* -0 becomes +0 */
    memcpy(&bits, &x, sizeof bits);
    return (int32_t)(bits ^ ((uint32_t)((int32_t)bits >> 31) >> 1));
}

#ifdef __cplusplus
extern "C" {
#endif
/* plane[0, n_rows) = keys of the column's values, rounded to float first; nan_key stands for NaN.
 */
void oz_forest_keys_f64__scalar(const double *restrict column, size_t n_rows, int32_t nan_key,
                                int32_t *restrict plane);
/* Adds to sums[group][0, n_rows) what each tree gives, tree after tree. n_rows <=
 * OZ_FOREST_TILE_ROWS. */
void oz_forest_f32_sum__scalar(const struct oz_forest_node *restrict nodes,
                               const struct oz_forest_tree *restrict trees, size_t n_trees,
                               const int32_t *restrict tile, size_t n_rows, float *restrict sums);
#ifdef __cplusplus
}
#endif
#endif
