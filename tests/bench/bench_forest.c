/* Measures the walk of a forest: nanoseconds per row per tree, on one thread, for a small and a
 * large forest of leaf-wise trees of 31 leaves, at three batch sizes; with and without the casting
 * of columns to keys. Rows are uniform random, the worst case for anything that predicts branches.
 * Prints the best of some runs, one line per forest and batch. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "models/forest_builder.h"

enum { N_FEATURES = 15, N_LEAVES = 31, N_ROWS = 4096, N_RUNS = 15 };

static uint64_t random_state = 88172645463325252u;
static double random_unit(void)
{
    random_state ^= random_state << 13, random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (double)(random_state >> 11) * 0x1p-53;
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(enum oz_status status, const struct oz_error *err)
{
    if (status == OZ_OK) return;
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

/* Leaf-wise growth: the leaf with the largest share of the rows is split, unevenly. */
static void add_tree(struct oz_forest_builder *builder)
{
    struct oz_error err = {0};
    enum { N_NODES = 2 * N_LEAVES - 1 };
    double share[N_NODES] = {1.0};
    int left[N_NODES] = {0}, n_nodes = 1;
    while (n_nodes < N_NODES) {
        int best = 0;
        for (int i = 0; i < n_nodes; i++)
            if (share[i] > share[best]) best = i;
        double cut = 0.15 + 0.7 * random_unit();
        share[n_nodes] = share[best] * cut;
        share[n_nodes + 1] = share[best] * (1 - cut);
        share[best] = -1;
        left[best] = n_nodes;
        n_nodes += 2;
    }
    must(oz_forest_builder_begin_tree(builder, N_NODES, 0, &err), &err);
    for (int i = 0; i < N_NODES; i++)
        if (left[i])
            must(oz_forest_builder_test(builder, i, (int64_t)(random_unit() * N_FEATURES),
                                        (float)random_unit(), random_unit() < 0.5, left[i],
                                        left[i] + 1, &err),
                 &err);
        else
            must(oz_forest_builder_leaf(builder, i, (float)(random_unit() - 0.5), &err), &err);
    must(oz_forest_builder_end_tree(builder, &err), &err);
}

static struct oz_forest *make_forest(int n_trees)
{
    struct oz_error err = {0};
    struct oz_forest_builder *builder;
    struct oz_forest *forest;
    const float base = 0.5f;
    must(oz_forest_builder_new(N_FEATURES, 1, &base, &builder, &err), &err);
    for (int t = 0; t < n_trees; t++) add_tree(builder);
    must(oz_forest_builder_finish(builder, &forest, &err), &err);
    oz_forest_builder_free(builder);
    return forest;
}

/* Best run; *sink keeps the work from being dropped. */
static double time_batches(const struct oz_forest *forest, const double *const *column,
                           size_t batch, bool walk_only, float *sink)
{
    void *scratch = aligned_alloc(64, (oz_forest_scratch_bytes(forest) + 63) & ~(size_t)63);
    float margins[OZ_FOREST_TILE_ROWS] = {0};
    double best = INFINITY;
    oz_forest_margins(forest, column, 0, OZ_FOREST_TILE_ROWS, scratch, margins);
    for (int run = 0; run < N_RUNS; run++) {
        double start = now_ns();
        for (size_t first = 0; first < N_ROWS; first += batch)
            for (size_t row = first; row < first + batch; row += OZ_FOREST_TILE_ROWS) {
                size_t n = OZ_MIN(first + batch - row, (size_t)OZ_FOREST_TILE_ROWS);
                if (walk_only)
                    oz_forest_f32_sum__scalar(forest->node, forest->tree, forest->n_trees, scratch,
                                              n, margins);
                else
                    oz_forest_margins(forest, column, row, n, scratch, margins);
                *sink += margins[0];
            }
        best = fmin(best, now_ns() - start);
    }
    free(scratch);
    return best / N_ROWS / forest->n_trees;
}

int main(void)
{
    static const int n_trees[] = {100, 500};
    static const size_t batch[] = {1, 64, 4096};
    const double *column[N_FEATURES];
    float sink = 0;
    for (int f = 0; f < N_FEATURES; f++) {
        double *values = malloc(N_ROWS * sizeof *values);
        for (int row = 0; row < N_ROWS; row++) values[row] = random_unit();
        column[f] = values;
    }
    printf("%-14s %6s %16s %16s\n", "forest", "batch", "ns/row/tree", "of it the walk");
    for (size_t i = 0; i < OZ_COUNT_OF(n_trees); i++) {
        struct oz_forest *forest = make_forest(n_trees[i]);
        for (size_t j = 0; j < OZ_COUNT_OF(batch); j++)
            printf("%4d trees x %d %5zu %16.2f %16.2f\n", n_trees[i], N_LEAVES, batch[j],
                   time_batches(forest, column, batch[j], false, &sink),
                   time_batches(forest, column, batch[j], true, &sink));
        oz_forest_free(forest);
    }
    for (int f = 0; f < N_FEATURES; f++) free((void *)column[f]);
    return sink == 12345.0f; /* never, but the compiler cannot know */
}
