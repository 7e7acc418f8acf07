#include "models/forest.h"

void oz_forest_free(struct oz_forest *forest)
{
    if (!forest) return;
    oz_free(forest->node);
    oz_free(forest->tree);
    oz_free(forest->plane);
    oz_free(forest->base_margin);
    oz_free(forest);
}

size_t oz_forest_memory_bytes(const struct oz_forest *forest)
{
    return sizeof *forest + forest->n_nodes * sizeof *forest->node +
           forest->n_trees * sizeof *forest->tree + forest->n_planes * sizeof *forest->plane +
           forest->n_groups * sizeof *forest->base_margin;
}

size_t oz_forest_scratch_bytes(const struct oz_forest *forest)
{
    return (size_t)forest->n_planes * OZ_FOREST_TILE_ROWS * sizeof(int32_t);
}

void oz_forest_margins(const struct oz_forest *forest, const double *const *column,
                       size_t first_row, size_t n_rows, void *scratch, float *ret_margins)
{
    OZ_ASSERT(n_rows <= OZ_FOREST_TILE_ROWS);
    int32_t *tile = scratch;
    for (uint32_t p = 0; p < forest->n_planes; p++)
        oz_forest_keys_f64__scalar(column[forest->plane[p].feature] + first_row, n_rows,
                                   forest->plane[p].nan_key,
                                   tile + (size_t)p * OZ_FOREST_TILE_ROWS);
    for (uint32_t g = 0; g < forest->n_groups; g++)
        for (size_t row = 0; row < n_rows; row++)
            ret_margins[(size_t)g * OZ_FOREST_TILE_ROWS + row] = forest->base_margin[g];
    oz_forest_f32_sum__scalar(forest->node, forest->tree, forest->n_trees, tile, n_rows,
                              ret_margins);
}
