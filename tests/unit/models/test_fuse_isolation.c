/* Proves that a sum of functions of trees becomes one forest where it may, and that the answer keeps
 * its bits. How: the graph that a converter writes for an isolation forest (for each tree the leaf's
 * number, a Cast, a LabelEncoder and arithmetic on it, then a Sum) is written down twice, with a Sum
 * and with Adds in the same order, which are not fused; both are run for random rows. Then each
 * condition is broken in turn, and nothing may be fused or change. */
#include "hand_net.h"
#include <math.h>

enum { N_TREES = 3, N_NODES = 7, N_ROWS = 300, N_COLUMNS = 4 };

enum variant {
    PLAIN,
    WITH_COLUMNS,   /* each tree behind a Gather of columns */
    READ_ELSEWHERE, /* an output of the graph stands between */
    SAME_TREE,      /* not fused from here on: one tree twice */
    OTHER_ROWS,     /* a tree sees other rows */
    NOT_FINITE,     /* a leaf becomes infinite */
    ANOTHER_RANK,   /* a constant of rank 3 */
    NOT_ROW_BY_ROW, /* a mean over all rows */
    PROBIT,         /* the tree's operator does more than add */
    TWO_TARGETS,
    ROWS_AND_TREE, /* a function of the tree and of the row */
    N_VARIANTS
};

static struct oz_error err;
static uint64_t random_state = 3;
static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

static int64_t tree_ids[N_NODES], ids[N_NODES], features[N_TREES][N_NODES], yes[N_NODES],
    no[N_NODES], leaves[4] = {3, 4, 5, 6}, outputs[4];
static float thresholds[N_TREES][N_NODES], leaf_numbers[4] = {3, 4, 5, 6}, lengths[N_TREES][4];
static struct oz_str modes[N_NODES];

static void make_trees(void)
{
    for (int i = 0; i < N_NODES; i++) {
        ids[i] = i;
        yes[i] = i < 3 ? 2 * i + 1 : 0;
        no[i] = i < 3 ? 2 * i + 2 : 0;
        modes[i] = i < 3 ? (struct oz_str){"BRANCH_LEQ", 10} : (struct oz_str){"LEAF", 4};
        for (int t = 0; t < N_TREES; t++) {
            features[t][i] = random_below(3);
            thresholds[t][i] = (float)random_below(20) / 10.0f - 1.0f;
        }
    }
    for (int t = 0; t < N_TREES; t++)
        for (int i = 0; i < 4; i++) lengths[t][i] = 1.0f + (float)random_below(1000) / 7.0f;
}

static uint32_t op(struct hand *h, const char *name, uint32_t a, uint32_t b)
{
    return hand_node(h, OZ_DOMAIN_ONNX, name, 17, (uint32_t[]){a, b, OZ_NO_VALUE})->output[0];
}

static uint32_t leaf_of(struct hand *h, int t, enum variant variant)
{
    static const int64_t columns[N_TREES][3] = {{1, 3, 0}, {2, 2, 1}, {0, 1, 2}};
    uint32_t rows = h->input;
    if (variant == WITH_COLUMNS) {
        rows = op(h, "Gather", rows, hand_constant(h, OZ_DTYPE_I64, 3, columns[t]));
        hand_int(h, "axis", 1);
    }
    if (variant == OTHER_ROWS && t == 1) rows = op(h, "Neg", rows, OZ_NO_VALUE);
    struct oz_node *node =
        hand_node(h, OZ_DOMAIN_ML, "TreeEnsembleRegressor", 1, (uint32_t[]){rows, OZ_NO_VALUE});
    hand_int(h, "n_targets", variant == TWO_TARGETS ? 2 : 1);
    hand_ints(h, "nodes_treeids", N_NODES, tree_ids);
    hand_ints(h, "nodes_nodeids", N_NODES, ids);
    hand_ints(h, "nodes_featureids", N_NODES, features[t]);
    hand_ints(h, "nodes_truenodeids", N_NODES, yes);
    hand_ints(h, "nodes_falsenodeids", N_NODES, no);
    hand_texts(h, "nodes_modes", N_NODES, modes);
    hand_floats(h, "nodes_values", N_NODES, thresholds[t]);
    hand_ints(h, "target_treeids", 4, tree_ids);
    hand_ints(h, "target_nodeids", 4, leaves);
    hand_ints(h, "target_ids", 4, outputs);
    hand_floats(h, "target_weights", 4, leaf_numbers);
    if (variant == PROBIT) hand_text(h, "post_transform", "PROBIT");
    return node->output[0];
}

static uint32_t depth_of(struct hand *h, int t, uint32_t leaf, enum variant variant)
{
    static const int64_t shape[] = {-1, 1}, cube[] = {1, 1, 1};
    static const float two = 2, small = 0.3f, zero = 0;
    uint32_t at = op(h, "Cast", leaf, OZ_NO_VALUE);
    hand_int(h, "to", 7);
    at = hand_node(h, OZ_DOMAIN_ML, "LabelEncoder", 2, (uint32_t[]){at, OZ_NO_VALUE})->output[0];
    hand_ints(h, "keys_int64s", 4, leaves);
    hand_floats(h, "values_floats", 4, lengths[t]);
    if (variant != TWO_TARGETS) at = op(h, "Reshape", at, hand_constant(h, OZ_DTYPE_I64, 2, shape));
    uint32_t much = op(h, "Greater", at, hand_constant(h, OZ_DTYPE_F32, 1, &two));
    much = op(h, "Cast", much, OZ_NO_VALUE);
    hand_int(h, "to", 1);
    uint32_t by =
        hand_constant(h, OZ_DTYPE_F32, 1, variant == NOT_FINITE && t == 1 ? &zero : &small);
    uint32_t length = op(h, "Log", op(h, "Mul", at, by), OZ_NO_VALUE);
    if (variant == ANOTHER_RANK) {
        uint32_t value = hand_constant(h, OZ_DTYPE_F32, 1, &two);
        h->net.value[value].constant = hand_tensor(h, OZ_DTYPE_F32, 3, cube, &two);
        length = op(h, "Add", length, value);
    }
    if (variant == NOT_ROW_BY_ROW && t == 2) {
        uint32_t mean = op(h, "ReduceMean", length, OZ_NO_VALUE);
        hand_int(h, "keepdims", 1);
        length = op(h, "Sub", length, mean);
    }
    if (variant == ROWS_AND_TREE && t == 2) {
        static const int64_t first[] = {0};
        uint32_t column = op(h, "Gather", h->input, hand_constant(h, OZ_DTYPE_I64, 1, first));
        hand_int(h, "axis", 1);
        length = op(h, "Add", length, column);
    }
    return op(h, "Mul", length, much);
}

static void make_net(struct hand *h, enum variant variant, bool with_sum)
{
    uint32_t depth[N_TREES + 1];
    hand_init(h);
    uint32_t leaf = 0;
    for (int t = 0; t < N_TREES; t++) {
        if (t == 0 || variant != SAME_TREE) leaf = leaf_of(h, t, variant);
        depth[t] = depth_of(h, t, leaf, variant);
    }
    depth[N_TREES] = OZ_NO_VALUE;
    uint32_t end;
    if (with_sum) {
        end = hand_node(h, OZ_DOMAIN_ONNX, "Sum", 17, depth)->output[0];
    } else {
        end = depth[0];
        for (int t = 1; t < N_TREES; t++) end = op(h, "Add", end, depth[t]);
    }
    hand_output(h, end);
    if (variant == READ_ELSEWHERE) hand_output(h, depth[1]);
    if (oz_net_compile(&h->net, &err) != OZ_OK) fail_msg("%s", err.message);
}

static const struct oz_node *forest_of(const struct hand *h)
{
    for (uint32_t i = 0; i < h->net.graph.n_nodes; i++)
        if (!strcmp(h->node[i].op->name, "Forest")) return &h->node[i];
    return NULL;
}

static void compare_nets(struct hand *fused, struct hand *plain, const struct oz_tensor *x)
{
    struct oz_tensor got[2], want[2];
    if (hand_run(fused, x, got, &err) != OZ_OK) fail_msg("%s", err.message);
    if (hand_run(plain, x, want, &err) != OZ_OK) fail_msg("%s", err.message);
    for (uint32_t k = 0; k < fused->net.graph.n_outputs; k++) {
        assert_true(oz_tensor_same_shape(&got[k], &want[k]));
        assert_memory_equal(got[k].data, want[k].data, (size_t)got[k].n * sizeof(float));
    }
}

static void sums_of_trees_become_a_forest(void **state)
{
    (void)state;
    static struct hand fused, plain;
    static float rows[N_ROWS * N_COLUMNS];
    static double doubles[N_ROWS * N_COLUMNS];
    const int64_t dim[] = {N_ROWS, N_COLUMNS};
    for (int round = 0; round < 20; round++)
        for (enum variant variant = PLAIN; variant < N_VARIANTS; variant++) {
            make_trees();
            for (size_t i = 0; i < OZ_COUNT_OF(rows); i++) {
                rows[i] = random_below(9) ? (float)random_below(20) / 10.0f - 1.0f : NAN;
                doubles[i] = (double)rows[i] + (random_below(2) ? 1e-12 : 0);
            }
            if (variant == ROWS_AND_TREE) /* floats only */
                for (size_t i = 0; i < OZ_COUNT_OF(rows); i++) doubles[i] = 0;
            make_net(&fused, variant, true);
            make_net(&plain, variant, false);
            assert_null(forest_of(&plain));
            if ((forest_of(&fused) != NULL) != (variant < SAME_TREE))
                fail_msg("variant %d: %sfused", (int)variant, forest_of(&fused) ? "" : "not ");
            if (variant < READ_ELSEWHERE) assert_int_equal(fused.net.graph.n_nodes, 1);
            compare_nets(&fused, &plain, hand_tensor(&fused, OZ_DTYPE_F32, 2, dim, rows));
            if (variant != ROWS_AND_TREE)
                compare_nets(&fused, &plain, hand_tensor(&fused, OZ_DTYPE_F64, 2, dim, doubles));
            hand_clear(&fused);
            hand_clear(&plain);
        }
}

/* A Gather of column 3 asks for four columns, fused or not. */
static void narrow_rows_are_refused(void **state)
{
    (void)state;
    static struct hand h;
    static const float rows[6];
    const int64_t dim[] = {2, 3};
    struct oz_tensor got[1];
    make_trees();
    make_net(&h, WITH_COLUMNS, true);
    assert_non_null(forest_of(&h));
    assert_int_equal(hand_run(&h, hand_tensor(&h, OZ_DTYPE_F32, 2, dim, rows), got, &err),
                     OZ_MODEL);
    assert_non_null(strstr(err.message, "but the trees test feature 3"));
    hand_clear(&h);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static struct hand h;
    make_trees();
    for (uint64_t n = 1;; n += 1 + n / 40) {
        uint32_t depth[N_TREES + 1];
        hand_init(&h);
        for (int t = 0; t < N_TREES; t++)
            depth[t] = depth_of(&h, t, leaf_of(&h, t, WITH_COLUMNS), WITH_COLUMNS);
        depth[N_TREES] = OZ_NO_VALUE;
        hand_output(&h, hand_node(&h, OZ_DOMAIN_ONNX, "Sum", 17, depth)->output[0]);
        oz_fail_allocation(n);
        enum oz_status status = oz_net_compile(&h.net, &err);
        oz_fail_allocation(0);
        hand_clear(&h);
        if (status == OZ_OK) break;
        assert_int_equal(status, OZ_NO_MEMORY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_trees_become_a_forest),
        cmocka_unit_test(narrow_rows_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
