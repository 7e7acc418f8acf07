/* Proves that the builder lets through exactly the trees that are trees, says which node is wrong
 * in all others, and that what it lays out predicts what the given nodes mean. How: each rule is
 * broken by a hand-written tree; random trees with shuffled node numbers are laid out and their
 * margins compared with a walk over the numbers as they were given. */
#include "models/forest_builder.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct oz_error err;
static struct oz_forest_builder *new_builder(uint32_t n_features, uint32_t n_groups)
{
    static const float base[4] = {0.5f, -1.0f, 2.0f, 0.0f};
    struct oz_forest_builder *builder;
    assert_int_equal(oz_forest_builder_new(n_features, n_groups, base, &builder, &err), OZ_OK);
    return builder;
}

static void refused(struct oz_forest_builder *builder, enum oz_status status, const char *words)
{
    assert_int_equal(status, OZ_MODEL);
    if (!strstr(err.message, words)) fail_msg("\"%s\" does not say \"%s\"", err.message, words);
    oz_forest_builder_free(builder);
}

static struct oz_forest_builder *begun(uint64_t n_ids)
{
    struct oz_forest_builder *builder = new_builder(3, 2);
    assert_int_equal(oz_forest_builder_begin_tree(builder, n_ids, 0, &err), OZ_OK);
    return builder;
}

static void give_test(struct oz_forest_builder *builder, int64_t id, int64_t left, int64_t right)
{
    assert_int_equal(oz_forest_builder_test(builder, id, 1, 0.5f, true, left, right, &err), OZ_OK);
}

static void give_leaf(struct oz_forest_builder *builder, int64_t id)
{
    assert_int_equal(oz_forest_builder_leaf(builder, id, 1.0f, &err), OZ_OK);
}

static void trees_that_are_none_are_refused(void **state)
{
    (void)state;
    struct oz_forest_builder *b = begun(3);
    give_test(b, 0, 1, 1);
    give_leaf(b, 1);
    refused(b, oz_forest_builder_end_tree(b, &err), "node 1 is reached twice");

    b = begun(3);
    give_test(b, 0, 1, 2);
    give_test(b, 1, 0, 2);
    give_leaf(b, 2);
    refused(b, oz_forest_builder_end_tree(b, &err), "reached twice");

    b = begun(2);
    give_test(b, 0, 0, 1);
    give_leaf(b, 1);
    refused(b, oz_forest_builder_end_tree(b, &err), "node 0 is reached twice");

    b = begun(3);
    give_test(b, 0, 1, 2);
    give_leaf(b, 1);
    refused(b, oz_forest_builder_end_tree(b, &err), "node 2 is part of the tree, but deleted");

    b = begun(4);
    give_test(b, 0, 1, 2);
    give_leaf(b, 1);
    give_leaf(b, 2);
    give_leaf(b, 3);
    refused(b, oz_forest_builder_end_tree(b, &err), "node 3 cannot be reached");

    b = begun(2);
    give_leaf(b, 1);
    refused(b, oz_forest_builder_end_tree(b, &err), "node 0 is part of the tree");

    /* Two nodes that only know each other. */
    b = begun(5);
    give_leaf(b, 0);
    give_test(b, 1, 2, 3);
    give_test(b, 2, 1, 4);
    give_leaf(b, 3);
    give_leaf(b, 4);
    refused(b, oz_forest_builder_end_tree(b, &err), "node 1 cannot be reached");
}

static void numbers_out_of_range_are_refused(void **state)
{
    (void)state;
    struct oz_forest_builder *b;
    static const int64_t bad_ids[] = {-1, 3, INT64_MAX, INT64_MIN, 1ll << 32};
    for (size_t i = 0; i < OZ_COUNT_OF(bad_ids); i++) {
        int64_t bad = bad_ids[i];
        b = begun(3);
        refused(b, oz_forest_builder_leaf(b, bad, 0, &err), "there is no node");
        b = begun(3);
        refused(b, oz_forest_builder_test(b, 1, 0, 0, false, bad, 2, &err), "left child");
        b = begun(3);
        refused(b, oz_forest_builder_test(b, 1, 0, 0, false, 2, bad, &err), "right child");
        b = begun(3);
        refused(b, oz_forest_builder_test(b, 1, bad, 0, false, 1, 2, &err), "tests feature");
        b = new_builder(3, 3);
        refused(b, oz_forest_builder_begin_tree(b, 1, bad, &err), "adds to output");
    }
    b = begun(1);
    give_leaf(b, 0);
    refused(b, oz_forest_builder_leaf(b, 0, 0, &err), "given twice");
    b = begun(1);
    refused(b, oz_forest_builder_leaf(b, 0, NAN, &err), "not finite");
    b = begun(1);
    refused(b, oz_forest_builder_leaf(b, 0, INFINITY, &err), "not finite");
    b = begun(3);
    refused(b, oz_forest_builder_test(b, 0, 0, NAN, false, 1, 2, &err), "not a number");
    b = new_builder(3, 1);
    refused(b, oz_forest_builder_begin_tree(b, 0, 0, &err), "no nodes");
    b = new_builder(3, 1);
    refused(b, oz_forest_builder_begin_tree(b, UINT64_MAX, 0, &err), "more than");
    b = new_builder(3, 1);
    struct oz_forest *forest;
    refused(b, oz_forest_builder_finish(b, &forest, &err), "no trees");
}

/* A tree that only ever grows to the right: 2 * depth + 1 nodes. */
static enum oz_status chain(struct oz_forest_builder *builder, int depth)
{
    assert_int_equal(oz_forest_builder_begin_tree(builder, 2 * (uint64_t)depth + 1, 0, &err),
                     OZ_OK);
    for (int i = 0; i < depth; i++) {
        give_leaf(builder, 2 * i + 1);
        give_test(builder, 2 * i, 2 * i + 1, 2 * i + 2);
    }
    give_leaf(builder, 2 * depth);
    return oz_forest_builder_end_tree(builder, &err);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    struct oz_forest_builder *b = new_builder(2, 1);
    struct oz_forest *forest;
    assert_int_equal(chain(b, OZ_FOREST_DEPTH_MAX), OZ_OK);
    assert_int_equal(chain(b, 0), OZ_OK);
    assert_int_equal(oz_forest_builder_finish(b, &forest, &err), OZ_OK);
    assert_int_equal(forest->tree[0].deepest, OZ_FOREST_DEPTH_MAX);
    assert_int_equal(forest->tree[0].shallowest, 1);
    assert_int_equal(forest->tree[1].deepest, 0);
    assert_int_equal(forest->n_nodes, 2 * OZ_FOREST_DEPTH_MAX + 2);
    oz_forest_free(forest);
    oz_forest_builder_free(b);

    b = new_builder(2, 1);
    refused(b, chain(b, OZ_FOREST_DEPTH_MAX + 1), "deeper than 512");
}

enum { N_FEATURES = 6, N_TREES = 40, NODES_MAX = 101 };
static struct {
    int feature, left, right;
    bool given, leaf, default_left;
    float value;
} given[N_TREES][NODES_MAX];

static unsigned random_below(unsigned n)
{
    static uint64_t state = 5;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((state >> 33) % n);
}

/* Node numbers are dealt out at random; some stay unused, as deleted nodes do. */
static void give_random_tree(struct oz_forest_builder *builder, int t, uint32_t group)
{
    int number[NODES_MAX], n = 1, open[NODES_MAX] = {0}, n_open = 1;
    for (int i = 0; i < NODES_MAX; i++) number[i] = i;
    for (int i = NODES_MAX - 1; i > 1; i--) {
        int j = 1 + (int)random_below((unsigned)i), swap = number[i];
        number[i] = number[j], number[j] = swap;
    }
    memset(given[t], 0, sizeof given[t]);
    for (int splits = (int)random_below(45); n_open && splits--;) {
        int pick = (int)random_below((unsigned)n_open), at = number[open[pick]];
        given[t][at].given = true;
        given[t][at].feature = (int)random_below(N_FEATURES);
        given[t][at].default_left = random_below(2);
        given[t][at].value = (float)random_below(9) * 0.25f - 1.0f;
        given[t][at].left = number[n], given[t][at].right = number[n + 1];
        open[pick] = n, open[n_open++] = n + 1;
        n += 2;
    }
    for (int i = 0; i < n_open; i++) {
        int at = number[open[i]];
        given[t][at].given = given[t][at].leaf = true;
        given[t][at].value = (float)random_below(1000) * 0.001f;
    }
    assert_int_equal(oz_forest_builder_begin_tree(builder, NODES_MAX, group, &err), OZ_OK);
    for (int i = 0; i < NODES_MAX; i++)
        if (given[t][i].leaf)
            assert_int_equal(oz_forest_builder_leaf(builder, i, given[t][i].value, &err), OZ_OK);
        else if (given[t][i].given)
            assert_int_equal(oz_forest_builder_test(builder, i, given[t][i].feature,
                                                    given[t][i].value, given[t][i].default_left,
                                                    given[t][i].left, given[t][i].right, &err),
                             OZ_OK);
    assert_int_equal(oz_forest_builder_end_tree(builder, &err), OZ_OK);
}

static float walk(int t, double (*row)[64], int r)
{
    int at = 0;
    while (!given[t][at].leaf) {
        float x = (float)row[given[t][at].feature][r];
        bool left = isnan(x) ? given[t][at].default_left : x < given[t][at].value;
        at = left ? given[t][at].left : given[t][at].right;
    }
    return given[t][at].value;
}

static void margins_are_those_of_the_nodes_as_given(void **state)
{
    (void)state;
    static const float base[2] = {0.125f, -3.0f};
    static double rows[N_FEATURES][64];
    struct oz_forest_builder *builder;
    struct oz_forest *forest;
    float margins[2 * OZ_FOREST_TILE_ROWS];
    const double *column[N_FEATURES];
    assert_int_equal(oz_forest_builder_new(N_FEATURES, 2, base, &builder, &err), OZ_OK);
    for (int t = 0; t < N_TREES; t++) give_random_tree(builder, t, (uint32_t)t % 2);
    assert_int_equal(oz_forest_builder_finish(builder, &forest, &err), OZ_OK);
    oz_forest_builder_free(builder);
    for (int f = 0; f < N_FEATURES; f++) {
        column[f] = rows[f];
        for (int r = 0; r < 64; r++)
            rows[f][r] = random_below(4) ? (double)random_below(9) * 0.25 - 1.0 : (double)NAN;
    }
    void *scratch = malloc(oz_forest_scratch_bytes(forest));
    oz_forest_margins(forest, column, 3, 60, scratch, margins);
    for (int g = 0; g < 2; g++)
        for (int r = 0; r < 60; r++) {
            float expected = base[g];
            for (int t = g; t < N_TREES; t += 2) expected += walk(t, rows, r + 3);
            assert_memory_equal(&margins[g * OZ_FOREST_TILE_ROWS + r], &expected, sizeof expected);
        }
    free(scratch);
    oz_forest_free(forest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_that_are_none_are_refused),
        cmocka_unit_test(numbers_out_of_range_are_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(margins_are_those_of_the_nodes_as_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
