#include "models/forest.h"
#include <math.h>

void oz_forest_free(struct oz_forest *forest)
{
    if (!forest) return;
    oz_free(forest->node);
    oz_free(forest->tree);
    oz_free(forest->plane);
    oz_free(forest->member);
    oz_free(forest->threshold);
    oz_free(forest->weight);
    oz_free(forest->base_margin);
    oz_free(forest->base);
    oz_free(forest);
}

/* member, count of it */
#define ARRAY_MAP(X)                                                                               \
    X(node, n_nodes)                                                                               \
    X(tree, n_trees)                                                                               \
    X(plane, n_planes)                                                                             \
    X(member, n_members)                                                                           \
    X(threshold, n_thresholds)                                                                     \
    X(weight, n_weights)                                                                           \
    X(base_margin, n_groups)                                                                       \
    X(base, n_groups)

static size_t aligned(size_t n_bytes) { return (n_bytes + 15) & ~(size_t)15; }

size_t oz_forest_memory_bytes(const struct oz_forest *forest)
{
    size_t n_bytes = aligned(sizeof *forest);
#define X(array, count)                                                                            \
    if (forest->array) n_bytes += aligned(forest->count * sizeof *forest->array);
    ARRAY_MAP(X)
#undef X
    return n_bytes;
}

struct oz_forest *oz_forest_copy(const struct oz_forest *forest, void *memory)
{
    struct oz_forest *copy = memory;
    uint8_t *at = (uint8_t *)memory + aligned(sizeof *copy);
    *copy = *forest;
#define X(array, count)                                                                            \
    if (forest->array) {                                                                           \
        copy->array = memcpy(at, forest->array, forest->count * sizeof *forest->array);            \
        at += aligned(forest->count * sizeof *forest->array);                                      \
    }
    ARRAY_MAP(X)
#undef X
    return copy;
}

static size_t tile_bytes(const struct oz_forest *forest)
{
    return (size_t)forest->n_planes * OZ_FOREST_TILE_ROWS * sizeof(int32_t);
}

size_t oz_forest_scratch_bytes(const struct oz_forest *forest) { return tile_bytes(forest); }

void oz_forest_margins(const struct oz_forest *forest, const double *const *column,
                       size_t first_row, size_t n_rows, void *scratch, float *ret_margins)
{
    OZ_ASSERT(n_rows <= OZ_FOREST_TILE_ROWS && !forest->weight);
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

/* One feature of the tile's rows as floats or doubles: where it stands, or a copy in `column`. */
static const float *floats_of(const struct oz_forest_rows *rows, uint32_t feature, size_t n_rows,
                              float *column, size_t *ret_stride)
{
    *ret_stride = 1;
    if (rows->type == OZ_FOREST_F32) {
        *ret_stride = rows->stride;
        return (const float *)rows->value + feature;
    }
    for (size_t row = 0; row < n_rows; row++) {
        size_t i = row * rows->stride + feature;
        column[row] = rows->type == OZ_FOREST_I32 ? (float)((const int32_t *)rows->value)[i]
                                                  : (float)((const int64_t *)rows->value)[i];
    }
    return column;
}

static const double *doubles_of(const struct oz_forest_rows *rows, uint32_t feature, size_t n_rows,
                                double *column, size_t *ret_stride)
{
    *ret_stride = 1;
    if (rows->type == OZ_FOREST_F64) {
        *ret_stride = rows->stride;
        return (const double *)rows->value + feature;
    }
    for (size_t row = 0; row < n_rows; row++) {
        size_t i = row * rows->stride + feature;
        if (rows->type == OZ_FOREST_F32)
            column[row] = (double)((const float *)rows->value)[i];
        else
            column[row] = rows->type == OZ_FOREST_I32 ? (double)((const int32_t *)rows->value)[i]
                                                      : (double)((const int64_t *)rows->value)[i];
    }
    return column;
}

static void fill_plane(const struct oz_forest *forest, const struct oz_forest_rows *rows,
                       const struct oz_forest_plane *plane, size_t n_rows, const int32_t *tile,
                       int32_t *to)
{
    union {
        float f32[OZ_FOREST_TILE_ROWS];
        double f64[OZ_FOREST_TILE_ROWS];
    } column;
    size_t stride;
    if (plane->kind == OZ_FOREST_PLANE_MEMBERS) {
        oz_forest_members_i32__scalar(tile + (size_t)plane->source * OZ_FOREST_TILE_ROWS, n_rows,
                                      forest->member + plane->first, plane->n, to);
    } else if (plane->kind == OZ_FOREST_PLANE_RANKS) {
        const double *x = doubles_of(rows, plane->feature, n_rows, column.f64, &stride);
        oz_forest_ranks_f64__scalar(x, stride, n_rows, forest->threshold + plane->first, plane->n,
                                    plane->nan_key, to);
    } else if (rows->type == OZ_FOREST_F64) {
        const double *x = doubles_of(rows, plane->feature, n_rows, column.f64, &stride);
        oz_forest_rounded_keys_f64__scalar(
            x, stride, n_rows, (enum oz_forest_rounding)plane->rounding, plane->nan_key, to);
    } else {
        const float *x = floats_of(rows, plane->feature, n_rows, column.f32, &stride);
        oz_forest_keys_f32__scalar(x, stride, n_rows, plane->nan_key, to);
    }
}

/* Scratch: the tile, then the sums of floats when leaves hold them. */
size_t oz_forest_scores_scratch_bytes(const struct oz_forest *forest)
{
    size_t sums = forest->weight ? 0 : (size_t)forest->n_groups * OZ_FOREST_TILE_ROWS;
    return tile_bytes(forest) + sums * sizeof(float);
}

static void score_floats(const struct oz_forest *forest, const int32_t *tile, size_t n_rows,
                         float *sums, double *ret_scores)
{
    for (uint32_t g = 0; g < forest->n_groups; g++)
        for (size_t row = 0; row < n_rows; row++)
            sums[(size_t)g * OZ_FOREST_TILE_ROWS + row] = forest->base_margin[g];
    oz_forest_f32_sum__scalar(forest->node, forest->tree, forest->n_trees, tile, n_rows, sums);
    for (size_t i = 0; i < (size_t)forest->n_groups * OZ_FOREST_TILE_ROWS; i++)
        if (i % OZ_FOREST_TILE_ROWS < n_rows) ret_scores[i] = (double)sums[i];
}

/* What nothing was added to keeps its start, which no result can have: weights are finite, and
 * none is -0.0. */
static double start_of(enum oz_forest_aggregate aggregate)
{
    return aggregate == OZ_FOREST_MIN   ? (double)INFINITY
           : aggregate == OZ_FOREST_MAX ? (double)-INFINITY
                                        : -0.0;
}

static void score_weights(const struct oz_forest *forest, const int32_t *tile, size_t n_rows,
                          double *ret_scores)
{
    double start = start_of(forest->aggregate), n_trees = (double)forest->n_trees;
    for (size_t i = 0; i < (size_t)forest->n_groups * OZ_FOREST_TILE_ROWS; i++)
        ret_scores[i] = start;
    void (*walk)(const struct oz_forest_node *restrict, const struct oz_forest_weight *restrict,
                 const struct oz_forest_tree *restrict, size_t, const int32_t *restrict, size_t,
                 double *restrict) = forest->aggregate == OZ_FOREST_MIN ? oz_forest_f64_min__scalar
                                     : forest->aggregate == OZ_FOREST_MAX
                                         ? oz_forest_f64_max__scalar
                                         : oz_forest_f64_sum__scalar;
    walk(forest->node, forest->weight, forest->tree, forest->n_trees, tile, n_rows, ret_scores);
    for (uint32_t g = 0; g < forest->n_groups; g++) {
        double *score = ret_scores + (size_t)g * OZ_FOREST_TILE_ROWS;
        for (size_t row = 0; row < n_rows; row++) {
            if (forest->aggregate == OZ_FOREST_AVERAGE) score[row] /= n_trees;
            if (isinf(start) && isinf(score[row])) score[row] = -0.0;
            if (forest->base) score[row] += forest->base[g];
        }
    }
}

void oz_forest_scores(const struct oz_forest *forest, const struct oz_forest_rows *rows,
                      size_t n_rows, void *scratch, double *ret_scores)
{
    OZ_ASSERT(n_rows <= OZ_FOREST_TILE_ROWS && rows->stride >= forest->n_features);
    int32_t *tile = scratch;
    for (uint32_t p = 0; p < forest->n_planes; p++)
        fill_plane(forest, rows, &forest->plane[p], n_rows, tile,
                   tile + (size_t)p * OZ_FOREST_TILE_ROWS);
    if (forest->weight)
        score_weights(forest, tile, n_rows, ret_scores);
    else
        score_floats(forest, tile, n_rows, (float *)(tile + tile_bytes(forest) / sizeof *tile),
                     ret_scores);
}
