#include "kernels/cpu/forest_kernels.h"

/* A walk is a chain of loads that each wait for the one before; walking eight at once hides that.
 * The lanes' loops are unrolled by request: only then do the eight places live in registers, and a
 * walk takes half the time. */
enum { LANES = 8 };
#define INLINE static inline __attribute__((always_inline))

INLINE uint32_t step(const struct oz_forest_node *restrict tree, const int32_t *restrict tile,
                     uint32_t at)
{
    const struct oz_forest_node *node = &tree[at];
    return node->left + (tile[node->plane] >= node->key);
}

/* Eight neighbouring rows through one tree. */
INLINE void walk_rows(const struct oz_forest_node *restrict tree, unsigned shallowest,
                      unsigned deepest, const int32_t *restrict tile, uint32_t at[LANES])
{
    unsigned depth = 0;
    for (; depth < shallowest; depth++)
#pragma GCC unroll 8
        for (int i = 0; i < LANES; i++) at[i] = step(tree, tile + i, at[i]);
    for (; depth < deepest; depth++) {
        uint32_t moved = 0;
#pragma GCC unroll 8
        for (int i = 0; i < LANES; i++) {
            uint32_t next = step(tree, tile + i, at[i]);
            moved |= next ^ at[i];
            at[i] = next;
        }
        if (!moved) break;
    }
}

/* One row through eight trees. */
INLINE void walk_trees(const struct oz_forest_node *restrict nodes,
                       const struct oz_forest_tree *restrict tree, const int32_t *restrict tile,
                       const struct oz_forest_node *root[LANES], uint32_t at[LANES])
{
    unsigned depth = 0, shallowest = UINT16_MAX, deepest = 0;
#pragma GCC unroll 8
    for (int i = 0; i < LANES; i++) {
        root[i] = &nodes[tree[i].node];
        shallowest = OZ_MIN(shallowest, tree[i].shallowest);
        deepest = OZ_MAX(deepest, tree[i].deepest);
    }
    for (; depth < shallowest; depth++)
#pragma GCC unroll 8
        for (int i = 0; i < LANES; i++) at[i] = step(root[i], tile, at[i]);
    for (; depth < deepest; depth++) {
        uint32_t moved = 0;
#pragma GCC unroll 8
        for (int i = 0; i < LANES; i++) {
            uint32_t next = step(root[i], tile, at[i]);
            moved |= next ^ at[i];
            at[i] = next;
        }
        if (!moved) break;
    }
}

INLINE const struct oz_forest_node *walk_one(const struct oz_forest_node *restrict nodes,
                                             const struct oz_forest_tree *restrict tree,
                                             const int32_t *restrict tile)
{
    const struct oz_forest_node *root = &nodes[tree->node];
    uint32_t at = 0;
    for (unsigned depth = 0; depth < tree->deepest; depth++) at = step(root, tile, at);
    return &root[at];
}

void oz_forest_f32_sum__scalar(const struct oz_forest_node *restrict nodes,
                               const struct oz_forest_tree *restrict trees, size_t n_trees,
                               const int32_t *restrict tile, size_t n_rows, float *restrict sums)
{
    size_t in_lanes = n_rows / LANES * LANES;
    if (in_lanes)
        for (size_t t = 0; t < n_trees; t++) {
            float *sum = sums + (size_t)trees[t].group * OZ_FOREST_TILE_ROWS;
            const struct oz_forest_node *tree = &nodes[trees[t].node];
            for (size_t row = 0; row < in_lanes; row += LANES) {
                uint32_t at[LANES] = {0};
                walk_rows(tree, trees[t].shallowest, trees[t].deepest, tile + row, at);
#pragma GCC unroll 8
                for (int i = 0; i < LANES; i++) sum[row + (size_t)i] += tree[at[i]].value;
            }
        }
    for (size_t row = in_lanes; row < n_rows; row++) {
        size_t t = 0;
        for (; t + LANES <= n_trees; t += LANES) {
            const struct oz_forest_node *root[LANES];
            uint32_t at[LANES] = {0};
            walk_trees(nodes, &trees[t], tile + row, root, at);
#pragma GCC unroll 8
            for (int i = 0; i < LANES; i++)
                sums[(size_t)trees[t + (size_t)i].group * OZ_FOREST_TILE_ROWS + row] +=
                    root[i][at[i]].value;
        }
        for (; t < n_trees; t++)
            sums[(size_t)trees[t].group * OZ_FOREST_TILE_ROWS + row] +=
                walk_one(nodes, &trees[t], tile + row)->value;
    }
}

enum how { SUM, MIN, MAX };

INLINE void take(const struct oz_forest_weight *restrict weight, enum how how,
                 double *restrict sums)
{
    for (;; weight++) {
        double *sum = &sums[(size_t)weight->group * OZ_FOREST_TILE_ROWS], v = weight->value;
        if (how == SUM)
            *sum += v;
        else if (how == MIN ? v < *sum : v > *sum)
            *sum = v;
        if (weight->is_last) return;
    }
}

INLINE void walk_all(const struct oz_forest_node *restrict nodes,
                     const struct oz_forest_weight *restrict weights,
                     const struct oz_forest_tree *restrict trees, size_t n_trees,
                     const int32_t *restrict tile, size_t n_rows, enum how how,
                     double *restrict sums)
{
    size_t in_lanes = n_rows / LANES * LANES;
    if (in_lanes)
        for (size_t t = 0; t < n_trees; t++) {
            const struct oz_forest_node *tree = &nodes[trees[t].node];
            for (size_t row = 0; row < in_lanes; row += LANES) {
                uint32_t at[LANES] = {0};
                walk_rows(tree, trees[t].shallowest, trees[t].deepest, tile + row, at);
                for (size_t i = 0; i < LANES; i++)
                    take(&weights[tree[at[i]].weight], how, sums + row + i);
            }
        }
    for (size_t row = in_lanes; row < n_rows; row++) {
        size_t t = 0;
        for (; t + LANES <= n_trees; t += LANES) {
            const struct oz_forest_node *root[LANES];
            uint32_t at[LANES] = {0};
            walk_trees(nodes, &trees[t], tile + row, root, at);
            for (int i = 0; i < LANES; i++) take(&weights[root[i][at[i]].weight], how, sums + row);
        }
        for (; t < n_trees; t++)
            take(&weights[walk_one(nodes, &trees[t], tile + row)->weight], how, sums + row);
    }
}

void oz_forest_f64_sum__scalar(const struct oz_forest_node *restrict nodes,
                               const struct oz_forest_weight *restrict weights,
                               const struct oz_forest_tree *restrict trees, size_t n_trees,
                               const int32_t *restrict tile, size_t n_rows, double *restrict sums)
{
    walk_all(nodes, weights, trees, n_trees, tile, n_rows, SUM, sums);
}

void oz_forest_f64_min__scalar(const struct oz_forest_node *restrict nodes,
                               const struct oz_forest_weight *restrict weights,
                               const struct oz_forest_tree *restrict trees, size_t n_trees,
                               const int32_t *restrict tile, size_t n_rows, double *restrict sums)
{
    walk_all(nodes, weights, trees, n_trees, tile, n_rows, MIN, sums);
}

void oz_forest_f64_max__scalar(const struct oz_forest_node *restrict nodes,
                               const struct oz_forest_weight *restrict weights,
                               const struct oz_forest_tree *restrict trees, size_t n_trees,
                               const int32_t *restrict tile, size_t n_rows, double *restrict sums)
{
    walk_all(nodes, weights, trees, n_trees, tile, n_rows, MAX, sums);
}
