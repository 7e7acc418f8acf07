#include "kernels/cpu/forest_kernels.h"

/* A walk is a chain of loads that each wait for the one before; walking eight at once hides that.
 * The lanes' loops are unrolled by request: only then do the eight places live in registers, and a
 * walk takes half the time. */
enum { LANES = 8 };

void oz_forest_keys_f64__scalar(const double *restrict column, size_t n_rows, int32_t nan_key,
                                int32_t *restrict plane)
{
    for (size_t row = 0; row < n_rows; row++) {
        float x = (float)column[row];
        plane[row] = x != x ? nan_key : oz_forest_key(x);
    }
}

static inline uint32_t step(const struct oz_forest_node *restrict tree,
                            const int32_t *restrict tile, uint32_t at)
{
    const struct oz_forest_node *node = &tree[at];
    return node->left + (tile[node->plane] >= node->key);
}

/* Eight neighbouring rows through one tree. */
static inline void walk_rows(const struct oz_forest_node *restrict tree, unsigned shallowest,
                             unsigned deepest, const int32_t *restrict tile, float *restrict sums)
{
    uint32_t at[LANES] = {0};
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
#pragma GCC unroll 8
    for (int i = 0; i < LANES; i++) sums[i] += tree[at[i]].value;
}

/* One row through eight trees, whose leaves are then added in their order. */
static inline void walk_trees(const struct oz_forest_node *restrict nodes,
                              const struct oz_forest_tree *restrict tree,
                              const int32_t *restrict tile, float *restrict sums)
{
    const struct oz_forest_node *root[LANES];
    uint32_t at[LANES] = {0};
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
#pragma GCC unroll 8
    for (int i = 0; i < LANES; i++)
        sums[(size_t)tree[i].group * OZ_FOREST_TILE_ROWS] += root[i][at[i]].value;
}

void oz_forest_f32_sum__scalar(const struct oz_forest_node *restrict nodes,
                               const struct oz_forest_tree *restrict trees, size_t n_trees,
                               const int32_t *restrict tile, size_t n_rows, float *restrict sums)
{
    size_t in_lanes = n_rows / LANES * LANES;
    if (in_lanes)
        for (size_t t = 0; t < n_trees; t++) {
            float *sum = sums + (size_t)trees[t].group * OZ_FOREST_TILE_ROWS;
            for (size_t row = 0; row < in_lanes; row += LANES)
                walk_rows(&nodes[trees[t].node], trees[t].shallowest, trees[t].deepest, tile + row,
                          sum + row);
        }
    for (size_t row = in_lanes; row < n_rows; row++) {
        size_t t = 0;
        for (; t + LANES <= n_trees; t += LANES)
            walk_trees(nodes, &trees[t], tile + row, sums + row);
        for (; t < n_trees; t++) {
            const struct oz_forest_node *root = &nodes[trees[t].node];
            uint32_t at = 0;
            for (unsigned depth = 0; depth < trees[t].deepest; depth++)
                at = step(root, tile + row, at);
            sums[(size_t)trees[t].group * OZ_FOREST_TILE_ROWS + row] += root[at].value;
        }
    }
}
