/* The inner loops of a forest of trees: rows become integer keys, trees are walked over the keys,
 * and what the leaves hold is added, or its least or greatest kept, in the order of the trees.
 *
 * Why keys: a float is mapped to an int32 of the same order, so that every comparison of numbers is
 * one comparison of integers, and a missing value (NaN) gets a key of its own: lower than all
 * others in a plane whose nodes send missing values left, higher than all others in a plane whose
 * nodes send them right. So a missing value costs a node nothing. -0 and +0 have the same key.
 *
 * One test serves all: a node goes left when the plane's key is below its own. "x < t" is
 * key(x) < key(t), "x <= t" is key(x) < key(t) + 1, and ">=", ">" are these with the children
 * exchanged. "x == t" and "x in a set" read a plane of their own, which holds 0 for the rows whose
 * value is a member and 1 for the others, and have the key 1.
 *
 * Doubles that meet thresholds which are floats are rounded without changing an answer: x < t is
 * down(x) < t and x <= t is up(x) <= t, where down and up round to the next float below and above.
 * So a plane says how it rounds, and nodes read the plane that suits their comparison. Where
 * thresholds are not floats, a plane holds ranks instead of keys: 2i for a value between the
 * sorted thresholds i - 1 and i, 2i + 1 for one that equals threshold i; "x < t[i]" is
 * rank < 2i + 1 and "x <= t[i]" is rank < 2i + 2.
 *
 * Layout: a tile is OZ_FOREST_TILE_ROWS rows, one plane after the other:
 *     tile[plane * OZ_FOREST_TILE_ROWS + row]
 * and a node holds the plane already multiplied. A tree is one array of nodes, its root at 0; the
 * two children of a node stand side by side, so that a step is left + (key >= threshold). A leaf is
 * a node whose threshold no key is below and whose right child is itself: walking further changes
 * nothing. A leaf holds one float, or the place of its first weight; its weights stand one after
 * the other, the last one marked. Sums are [n_groups x OZ_FOREST_TILE_ROWS]; the caller sets them
 * to what they start from.
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
    union {         /* of a leaf; 0 in other nodes */
        float value;
        uint32_t weight; /* place of its first weight */
    };
};

struct oz_forest_weight {
    double value;
    uint32_t group; /* which sum it goes to */
    bool is_last;   /* of its leaf */
};

struct oz_forest_tree {
    uint32_t node;                /* its root's place in the array of all nodes */
    uint32_t group;               /* which sum its leaves go to, when they hold one float */
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

/* How a double becomes a float. */
enum oz_forest_rounding {
    OZ_FOREST_NEAREST,
    OZ_FOREST_DOWN, /* to the float that is equal or the next one below */
    OZ_FOREST_UP,
    OZ_FOREST_EXACT /* one that is no float gets OZ_FOREST_KEY_NO_FLOAT */
};
/* A key that no float has, above that of NaN and below all others. */
#define OZ_FOREST_KEY_NO_FLOAT (INT32_MIN + 1)

#ifdef __cplusplus
extern "C" {
#endif
/* plane[0, n_rows) = keys of the column's values, rounded to float first; nan_key stands for NaN.
 * Those that take a stride read x[row * stride]. */
void oz_forest_keys_f64__scalar(const double *restrict column, size_t n_rows, int32_t nan_key,
                                int32_t *restrict plane);
void oz_forest_keys_f32__scalar(const float *restrict x, size_t stride, size_t n_rows,
                                int32_t nan_key, int32_t *restrict plane);
void oz_forest_rounded_keys_f64__scalar(const double *restrict x, size_t stride, size_t n_rows,
                                        enum oz_forest_rounding rounding, int32_t nan_key,
                                        int32_t *restrict plane);
/* The same for ranks among threshold[n_thresholds], which are sorted and distinct. */
void oz_forest_ranks_f64__scalar(const double *restrict x, size_t stride, size_t n_rows,
                                 const double *restrict threshold, size_t n_thresholds,
                                 int32_t nan_key, int32_t *restrict plane);
/* plane[row] = 0 where keys[row] is one of the sorted member[n_members], else 1. */
void oz_forest_members_i32__scalar(const int32_t *restrict keys, size_t n_rows,
                                   const int32_t *restrict member, size_t n_members,
                                   int32_t *restrict plane);

/* Adds to sums[group][0, n_rows) what each tree gives, tree after tree. n_rows <=
 * OZ_FOREST_TILE_ROWS. */
void oz_forest_f32_sum__scalar(const struct oz_forest_node *restrict nodes,
                               const struct oz_forest_tree *restrict trees, size_t n_trees,
                               const int32_t *restrict tile, size_t n_rows, float *restrict sums);
/* The same for leaves with weights, in doubles; min and max keep the least and greatest weight. */
void oz_forest_f64_sum__scalar(const struct oz_forest_node *restrict nodes,
                               const struct oz_forest_weight *restrict weights,
                               const struct oz_forest_tree *restrict trees, size_t n_trees,
                               const int32_t *restrict tile, size_t n_rows, double *restrict sums);
void oz_forest_f64_min__scalar(const struct oz_forest_node *restrict nodes,
                               const struct oz_forest_weight *restrict weights,
                               const struct oz_forest_tree *restrict trees, size_t n_trees,
                               const int32_t *restrict tile, size_t n_rows, double *restrict sums);
void oz_forest_f64_max__scalar(const struct oz_forest_node *restrict nodes,
                               const struct oz_forest_weight *restrict weights,
                               const struct oz_forest_tree *restrict trees, size_t n_trees,
                               const int32_t *restrict tile, size_t n_rows, double *restrict sums);
#ifdef __cplusplus
}
#endif
#endif
