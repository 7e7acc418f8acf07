/* Proves that a forest answers every comparison, set, aggregate and type as the nodes mean it.
 * How: random trees with all tests, sets, chains of equalities that share their true child, and
 * leaves of one to three weights are built and scored, for rows of floats, doubles and integers
 * that lie on and beside the thresholds and are sometimes missing; the same trees are walked as
 * they were given, by comparing the numbers themselves in the order of the definition, and every
 * score must have the same bits. What is no tree is refused by its own name. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "models/forest_builder.h"

enum { N_FEATURES = 4, N_GROUPS = 3, TREES_MAX = 11, NODES_MAX = 128, SET_MAX = 5 };
enum { SET = OZ_FOREST_NE + 1, LEAF };

static struct oz_error err;
static uint64_t random_state = 7;
static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

struct given {
    int kind; /* enum oz_forest_test, SET or LEAF */
    int feature, if_true, if_false;
    bool missing_true;
    double threshold;
    size_t n;
    double set[SET_MAX]; /* or weights */
    int64_t group[SET_MAX];
};
static struct given tree[TREES_MAX][NODES_MAX];
static int n_nodes[TREES_MAX], n_trees;

static double random_threshold(bool is_ranked)
{
    static const double some[] = {-2, -1, -0.5, 0, -0.0, 0.25, 1, 2, 3, 40, 1e-42};
    double t = (double)(float)some[random_below(OZ_COUNT_OF(some))];
    return is_ranked && random_below(2) ? t + 1e-9 : t;
}

static int add_leaf(int t)
{
    struct given *leaf = &tree[t][n_nodes[t]];
    leaf->kind = LEAF;
    leaf->n = 1 + random_below(3);
    for (size_t i = 0; i < leaf->n; i++) {
        leaf->set[i] = ((double)random_below(2000) - 1000.0) / 7.0;
        leaf->group[i] = random_below(N_GROUPS);
    }
    return n_nodes[t]++;
}

/* A chain: every node's true child is the same one. */
static int grow(int t, int depth, bool is_ranked)
{
    if (depth == 0 || random_below(6) == 0 || n_nodes[t] > NODES_MAX - 40) return add_leaf(t);
    int at = n_nodes[t]++, feature = (int)random_below(N_FEATURES);
    int kind = (int)random_below(SET + 1);
    int n_chained = kind == OZ_FOREST_EQ && random_below(2) ? 1 + (int)random_below(4) : 0;
    int last = at;
    for (int i = 0; i <= n_chained; i++) {
        struct given *node = &tree[t][last];
        node->kind = kind;
        node->feature = feature;
        node->missing_true = random_below(3) == 0;
        node->threshold = random_threshold(is_ranked);
        node->n = random_below(SET_MAX + 1);
        for (size_t m = 0; m < node->n; m++) node->set[m] = random_threshold(is_ranked);
        if (i < n_chained) last = node->if_false = n_nodes[t]++;
    }
    int if_true = grow(t, depth - 1, is_ranked), if_false = grow(t, depth - 1, is_ranked);
    tree[t][last].if_false = if_false;
    for (int node = at;; node = tree[t][node].if_false) {
        tree[t][node].if_true = if_true;
        if (node == last) return at;
    }
}

static void build(const struct oz_forest_form *form, struct oz_forest **ret_forest)
{
    struct oz_forest_builder *b;
    assert_int_equal(oz_forest_builder_new_form(form, &b, &err), OZ_OK);
    for (int t = 0; t < n_trees; t++) {
        assert_int_equal(oz_forest_builder_begin_tree(b, (uint64_t)n_nodes[t], 0, &err), OZ_OK);
        for (int i = 0; i < n_nodes[t]; i++) {
            const struct given *node = &tree[t][i];
            const struct oz_forest_branch branch = {node->feature, node->missing_true,
                                                    node->if_true, node->if_false};
            if (node->kind == LEAF && form->is_weighted)
                assert_int_equal(
                    oz_forest_builder_weights(b, i, node->group, node->set, node->n, &err), OZ_OK);
            else if (node->kind == LEAF)
                assert_int_equal(oz_forest_builder_leaf(b, i, (float)node->set[0], &err), OZ_OK);
            else if (node->kind == SET)
                assert_int_equal(oz_forest_builder_member(b, i, &branch, node->set, node->n, &err),
                                 OZ_OK);
            else
                assert_int_equal(oz_forest_builder_compare(b, i, &branch,
                                                           (enum oz_forest_test)node->kind,
                                                           node->threshold, &err),
                                 OZ_OK);
        }
        if (oz_forest_builder_end_tree(b, &err) != OZ_OK) fail_msg("%s", err.message);
    }
    assert_int_equal(oz_forest_builder_finish(b, ret_forest, &err), OZ_OK);
    oz_forest_builder_free(b);
}

static bool answer(const struct given *node, double x)
{
    bool is_member = false;
    switch (node->kind) {
    case OZ_FOREST_LT: return x < node->threshold || (isnan(x) && node->missing_true);
    case OZ_FOREST_LE: return x <= node->threshold || (isnan(x) && node->missing_true);
    case OZ_FOREST_GT: return x > node->threshold || (isnan(x) && node->missing_true);
    case OZ_FOREST_GE: return x >= node->threshold || (isnan(x) && node->missing_true);
    case OZ_FOREST_EQ: return x == node->threshold || (isnan(x) && node->missing_true);
    case OZ_FOREST_NE: return x != node->threshold;
    default:
        for (size_t i = 0; i < node->n; i++) is_member |= node->set[i] == x;
        return is_member || (isnan(x) && node->missing_true);
    }
}

static const struct given *walk(int t, const double *row)
{
    const struct given *node = &tree[t][0];
    while (node->kind != LEAF)
        node = &tree[t][answer(node, row[node->feature]) ? node->if_true : node->if_false];
    return node;
}

static double expected(enum oz_forest_aggregate aggregate, const double *base, int group,
                       const double *row)
{
    double sum = 0;
    bool any = false;
    for (int t = 0; t < n_trees; t++) {
        const struct given *leaf = walk(t, row);
        for (size_t i = 0; i < leaf->n; i++) {
            double w = leaf->set[i];
            if (leaf->group[i] != group) continue;
            if (aggregate == OZ_FOREST_MIN)
                sum = any ? fmin(sum, w) : w;
            else if (aggregate == OZ_FOREST_MAX)
                sum = any ? fmax(sum, w) : w;
            else
                sum += w;
            any = true;
        }
    }
    if (aggregate == OZ_FOREST_AVERAGE) sum /= n_trees;
    if (!any && !base) return -0.0;
    return base ? sum + base[group] : sum;
}

static double random_value(bool is_ranked)
{
    double t = random_threshold(is_ranked);
    switch (random_below(6)) {
    case 0: return (double)NAN;
    case 1: return nextafter(t, INFINITY);
    case 2: return nextafter(t, -INFINITY);
    case 3: return random_below(2) ? (double)INFINITY : -1e300;
    default: return t;
    }
}

/* Values in each type, and what each of them is as a double. */
static struct {
    float f32[64 * 5];
    double f64[64 * 5], as_double[64][5];
    int32_t i32[64 * 5];
    int64_t i64[64 * 5];
} rows;

static struct oz_forest_rows make_rows(enum oz_forest_value type, bool is_ranked)
{
    for (int i = 0; i < 64 * 5; i++) {
        double x = random_value(is_ranked);
        rows.f32[i] = (float)x;
        rows.f64[i] = x;
        rows.i32[i] = isfinite(x) && fabs(x) < 1e6 ? (int32_t)x : INT32_MAX;
        rows.i64[i] = isfinite(x) && fabs(x) < 1e6 ? (int64_t)x : INT64_MIN;
        rows.as_double[i / 5][i % 5] = type == OZ_FOREST_F32   ? (double)rows.f32[i]
                                       : type == OZ_FOREST_F64 ? rows.f64[i]
                                       : type == OZ_FOREST_I32 ? (double)rows.i32[i]
                                                               : (double)rows.i64[i];
        if (!is_ranked && type >= OZ_FOREST_I32) /* integers become floats */
            rows.as_double[i / 5][i % 5] =
                (double)(type == OZ_FOREST_I32 ? (float)rows.i32[i] : (float)rows.i64[i]);
    }
    const void *const value[] = {rows.f32, rows.f64, rows.i32, rows.i64};
    return (struct oz_forest_rows){type, value[type], 5};
}

static void check_scores(const struct oz_forest *forest, const struct oz_forest_form *form)
{
    void *scratch = malloc(oz_forest_scores_scratch_bytes(forest));
    static double scores[N_GROUPS * OZ_FOREST_TILE_ROWS];
    for (int type = OZ_FOREST_F32; type <= OZ_FOREST_I64; type++) {
        struct oz_forest_rows from = make_rows((enum oz_forest_value)type, form->is_ranked);
        static const size_t counts[] = {64, 1, 13};
        for (size_t c = 0; c < OZ_COUNT_OF(counts); c++) {
            oz_forest_scores(forest, &from, counts[c], scratch, scores);
            for (uint32_t g = 0; g < form->n_groups; g++)
                for (size_t r = 0; r < counts[c]; r++) {
                    double want = expected(form->aggregate, form->base, (int)g, rows.as_double[r]);
                    if (!form->is_weighted) {
                        float sum = form->base ? (float)form->base[0] : 0.0f;
                        for (int t = 0; t < n_trees; t++)
                            sum += (float)walk(t, rows.as_double[r])->set[0];
                        want = (double)sum;
                    }
                    double got = scores[g * OZ_FOREST_TILE_ROWS + r];
                    if (memcmp(&got, &want, sizeof got))
                        fail_msg("type %d, group %u, row %zu: %a, not %a", type, g, r, got, want);
                }
        }
    }
    free(scratch);
}

static void scores_are_those_of_the_obvious_walk(void **state)
{
    (void)state;
    static const double base[N_GROUPS] = {0.5, -2.25, 100};
    for (int round = 0; round < 400; round++) {
        struct oz_forest *forest;
        const struct oz_forest_form form = {
            .n_features = N_FEATURES,
            .n_groups = round % 5 ? N_GROUPS : 1,
            .is_weighted = round % 5 != 0,
            .is_ranked = round & 1,
            .aggregate = (enum oz_forest_aggregate)(round % 5 ? round / 2 % 4 : OZ_FOREST_SUM),
            .base = round % 3 ? base : NULL};
        n_trees = 1 + (int)random_below(TREES_MAX);
        memset(tree, 0, sizeof tree);
        for (int t = 0; t < n_trees; t++) {
            n_nodes[t] = 0;
            grow(t, (int)random_below(6), form.is_ranked);
        }
        build(&form, &forest);
        check_scores(forest, &form);
        void *memory = aligned_alloc(16, oz_forest_memory_bytes(forest));
        struct oz_forest *copy = oz_forest_copy(forest, memory);
        oz_forest_free(forest);
        check_scores(copy, &form);
        free(memory);
    }
}

/* ---- what is refused ---- */

static struct oz_forest_builder *begun(uint64_t n_ids)
{
    const struct oz_forest_form form = {.n_features = 2, .n_groups = 2, .is_weighted = true};
    struct oz_forest_builder *b;
    assert_int_equal(oz_forest_builder_new_form(&form, &b, &err), OZ_OK);
    assert_int_equal(oz_forest_builder_begin_tree(b, n_ids, 0, &err), OZ_OK);
    return b;
}

static void give_equal(struct oz_forest_builder *b, int64_t id, int64_t feature, double value,
                       int64_t if_true, int64_t if_false)
{
    const struct oz_forest_branch branch = {feature, false, if_true, if_false};
    assert_int_equal(oz_forest_builder_compare(b, id, &branch, OZ_FOREST_EQ, value, &err), OZ_OK);
}

static void give_leaf(struct oz_forest_builder *b, int64_t id)
{
    static const int64_t group = 1;
    static const double weight = 2;
    assert_int_equal(oz_forest_builder_weights(b, id, &group, &weight, 1, &err), OZ_OK);
}

static void refused(struct oz_forest_builder *b, enum oz_status status, const char *words)
{
    assert_int_equal(status, OZ_MODEL);
    if (!strstr(err.message, words)) fail_msg("\"%s\" does not say \"%s\"", err.message, words);
    oz_forest_builder_free(b);
}

static void chains_that_are_none_are_refused(void **state)
{
    (void)state;
    struct oz_forest_builder *b = begun(5); /* another feature */
    give_equal(b, 0, 0, 1, 2, 1);
    give_equal(b, 1, 1, 2, 2, 3);
    give_leaf(b, 2);
    give_leaf(b, 3);
    refused(b, oz_forest_builder_end_tree(b, &err), "node 2 is reached twice");

    b = begun(4); /* the chain bites its tail */
    give_equal(b, 0, 0, 1, 2, 1);
    give_equal(b, 1, 0, 2, 2, 0);
    give_leaf(b, 2);
    refused(b, oz_forest_builder_end_tree(b, &err), "reached twice");

    b = begun(5); /* a ring within the chain */
    give_equal(b, 0, 0, 1, 3, 1);
    give_equal(b, 1, 0, 2, 3, 2);
    give_equal(b, 2, 0, 3, 3, 1);
    give_leaf(b, 3);
    refused(b, oz_forest_builder_end_tree(b, &err), "node 1 is reached twice");

    b = begun(3); /* its own false child */
    give_equal(b, 0, 0, 1, 1, 0);
    give_leaf(b, 1);
    refused(b, oz_forest_builder_end_tree(b, &err), "node 0 is reached twice");

    b = begun(6); /* a link that somebody else reaches, too */
    give_equal(b, 0, 1, 9, 2, 1);
    give_equal(b, 1, 0, 1, 3, 2);
    give_equal(b, 2, 0, 2, 3, 4);
    give_leaf(b, 3);
    give_leaf(b, 4);
    refused(b, oz_forest_builder_end_tree(b, &err), "node 2 is reached twice");

    b = begun(4); /* a link that is missing */
    give_equal(b, 0, 0, 1, 2, 1);
    give_leaf(b, 2);
    refused(b, oz_forest_builder_end_tree(b, &err), "node 1 is part of the tree, but deleted");
}

/* Shared true child, 3000 links: one test, no depth. */
static void long_chains_are_one_test(void **state)
{
    (void)state;
    enum { LINKS = 3000 };
    struct oz_forest_builder *b = begun(LINKS + 2);
    struct oz_forest *forest;
    for (int i = 0; i < LINKS; i++)
        give_equal(b, i, 0, 2 * i, LINKS, i + 1 < LINKS ? i + 1 : LINKS + 1);
    give_leaf(b, LINKS);
    give_leaf(b, LINKS + 1);
    assert_int_equal(oz_forest_builder_end_tree(b, &err), OZ_OK);
    assert_int_equal(oz_forest_builder_finish(b, &forest, &err), OZ_OK);
    assert_int_equal(forest->n_nodes, 3);
    assert_int_equal(forest->n_members, LINKS);
    assert_int_equal(forest->tree[0].deepest, 1);
    oz_forest_free(forest);
    oz_forest_builder_free(b);
}

static void equal_sets_share_a_plane(void **state)
{
    (void)state;
    struct oz_forest_builder *b = begun(7);
    struct oz_forest *forest;
    static const double set[] = {3, 1, 2, 1}, same[] = {1, 2, 3};
    const struct oz_forest_branch root = {0, false, 1, 2}, left = {0, false, 3, 4},
                                  right = {1, false, 5, 6};
    assert_int_equal(oz_forest_builder_member(b, 0, &root, set, 4, &err), OZ_OK);
    assert_int_equal(oz_forest_builder_member(b, 1, &left, same, 3, &err), OZ_OK);
    assert_int_equal(oz_forest_builder_member(b, 2, &right, same, 3, &err), OZ_OK);
    for (int i = 3; i < 7; i++) give_leaf(b, i);
    assert_int_equal(oz_forest_builder_end_tree(b, &err), OZ_OK);
    assert_int_equal(oz_forest_builder_finish(b, &forest, &err), OZ_OK);
    assert_int_equal(forest->n_planes, 4); /* two features' keys, two sets */
    assert_int_equal(forest->n_members, 6);
    oz_forest_free(forest);
    oz_forest_builder_free(b);
}

static void bad_values_are_refused_by_the_files_own_names(void **state)
{
    (void)state;
    static const int64_t names[] = {70, 50, ~INT64_C(4)}, groups[] = {0, 2, -1};
    static const double weights[] = {1, NAN, 1};
    const struct oz_forest_branch branch = {0, false, 1, 2};
    struct oz_forest_builder *b = begun(3);
    oz_forest_builder_name_nodes(b, 1, names);
    refused(b, oz_forest_builder_compare(b, 0, &branch, OZ_FOREST_LE, (double)NAN, &err),
            "node 70: its threshold is not a number");
    b = begun(3);
    oz_forest_builder_name_nodes(b, 1, names);
    refused(b, oz_forest_builder_member(b, 1, &branch, weights, 2, &err),
            "node 50: a member of its set is not a number");
    b = begun(3);
    oz_forest_builder_name_nodes(b, 1, names);
    refused(b, oz_forest_builder_weights(b, 2, groups, weights, 2, &err),
            "leaf 4: adds to output 2, but the model has 2");
    b = begun(3);
    oz_forest_builder_name_nodes(b, 1, names);
    refused(b, oz_forest_builder_weights(b, 2, groups + 2, weights, 1, &err), "adds to output -1");
    b = begun(3);
    oz_forest_builder_name_nodes(b, 1, names);
    refused(b, oz_forest_builder_weights(b, 2, groups, weights + 1, 1, &err),
            "leaf 4: its leaf value is not finite");
    b = begun(3);
    refused(b, oz_forest_builder_weights(b, 2, groups, weights, 0, &err),
            "node 2 is a leaf without a weight");
    b = begun(3);
    oz_forest_builder_name_nodes(b, 1, names);
    give_equal(b, 0, 0, 1, 1, 2);
    give_leaf(b, 1);
    give_leaf(b, 2);
    refused(b, oz_forest_builder_end_tree(b, &err), "node 70 cannot be reached");
    b = begun(3);
    const struct oz_forest_branch outside = {0, false, 3, 2}, no_feature = {2, false, 1, 2};
    refused(b, oz_forest_builder_compare(b, 0, &outside, OZ_FOREST_LE, 1, &err), "true child");
    b = begun(3);
    refused(b, oz_forest_builder_compare(b, 0, &no_feature, OZ_FOREST_LE, 1, &err),
            "tests feature 2, but the model has 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_those_of_the_obvious_walk),
        cmocka_unit_test(chains_that_are_none_are_refused),
        cmocka_unit_test(long_chains_are_one_test),
        cmocka_unit_test(equal_sets_share_a_plane),
        cmocka_unit_test(bad_values_are_refused_by_the_files_own_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
