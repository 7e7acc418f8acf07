/* Proves that walking trees over integer keys gives the sums that the definition gives.
 * How: random forests in the kernel's layout are also walked by the obvious loop over floats
 * (x < threshold goes left, NaN goes where the node says, leaves are added in the order of the
 * trees), and every sum must have the same bits, for every number of rows that a tile can hold.
 * Keys are compared with the order of the floats they stand for. */
#include <stdarg.h>
#include <setjmp.h>
#include <math.h>
#include <stdlib.h>
#include <cmocka.h>
#include "kernels/cpu/forest_kernels.h"

enum { N_FEATURES = 5, N_TREES = 37, N_GROUPS = 3, NODES_MAX = 200 };

static uint64_t random_state = 1;
static uint32_t random_u32(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 32);
}

static float random_float(void)
{
    static const float special[] = {0.0f,    -0.0f,    INFINITY, -INFINITY, 1e-45f,      -1e-45f,
                                    3.4e38f, -3.4e38f, 1.0f,     -1.0f,     0x1.2p-130f, 1.000001f};
    if (random_u32() % 3 == 0) return special[random_u32() % OZ_COUNT_OF(special)];
    return ((float)(random_u32() % 41) - 20.0f) / 8.0f;
}

struct plain_node {
    int feature, left, right; /* left < 0: a leaf */
    bool default_left;
    float value;
};
struct plain_tree {
    struct plain_node node[NODES_MAX];
    int n_nodes, group;
};

static struct plain_tree plain[N_TREES];
static struct oz_forest_node nodes[N_TREES * NODES_MAX];
static struct oz_forest_tree trees[N_TREES];

static void grow(struct plain_tree *tree, int n_splits)
{
    tree->n_nodes = 1;
    tree->node[0] = (struct plain_node){.left = -1, .value = random_float()};
    while (n_splits--) {
        int at;
        do at = (int)(random_u32() % (uint32_t)tree->n_nodes);
        while (tree->node[at].left >= 0);
        tree->node[at] = (struct plain_node){.feature = (int)(random_u32() % N_FEATURES),
                                             .left = tree->n_nodes,
                                             .right = tree->n_nodes + 1,
                                             .default_left = random_u32() & 1,
                                             .value = random_float()};
        for (int i = 0; i < 2; i++) {
            float leaf = (float)(random_u32() % 1000) * 1e-3f - 0.3f;
            tree->node[tree->n_nodes++] = (struct plain_node){.left = -1, .value = leaf};
        }
    }
}

static int depth_of(const struct plain_tree *tree, int at, bool deepest)
{
    if (tree->node[at].left < 0) return 0;
    int left = depth_of(tree, tree->node[at].left, deepest);
    int right = depth_of(tree, tree->node[at].right, deepest);
    return 1 + ((left > right) == deepest ? left : right);
}

/* Children are neighbours already; planes are feature * 2, and one more where NaN goes right. */
static void lay_out(void)
{
    uint32_t n_nodes = 0;
    for (int t = 0; t < N_TREES; t++) {
        trees[t] = (struct oz_forest_tree){.node = n_nodes,
                                           .group = (uint32_t)plain[t].group,
                                           .shallowest = (uint16_t)depth_of(&plain[t], 0, false),
                                           .deepest = (uint16_t)depth_of(&plain[t], 0, true)};
        for (int i = 0; i < plain[t].n_nodes; i++) {
            const struct plain_node *node = &plain[t].node[i];
            struct oz_forest_node *to = &nodes[n_nodes++];
            if (node->left < 0)
                *to = (struct oz_forest_node){
                    .key = INT32_MIN, .left = (uint32_t)i - 1, .value = node->value};
            else
                *to = (struct oz_forest_node){
                    .key = oz_forest_key(node->value),
                    .plane =
                        (uint32_t)(node->feature * 2 + !node->default_left) * OZ_FOREST_TILE_ROWS,
                    .left = (uint32_t)node->left};
        }
    }
}

static float plain_walk(const struct plain_tree *tree, const double *row)
{
    int at = 0;
    while (tree->node[at].left >= 0) {
        const struct plain_node *node = &tree->node[at];
        float x = (float)row[node->feature];
        bool left = isnan(x) ? node->default_left : x < node->value;
        at = left ? node->left : node->right;
    }
    return tree->node[at].value;
}

static void check_rows(size_t n_rows)
{
    static double column[N_FEATURES][OZ_FOREST_TILE_ROWS];
    static int32_t tile[N_FEATURES * 2 * OZ_FOREST_TILE_ROWS];
    static float sums[N_GROUPS * OZ_FOREST_TILE_ROWS];
    for (int f = 0; f < N_FEATURES; f++) {
        for (size_t row = 0; row < n_rows; row++)
            column[f][row] = random_u32() % 5 ? (double)random_float() : NAN;
        for (int side = 0; side < 2; side++)
            oz_forest_keys_f64__scalar(column[f], n_rows,
                                       side ? OZ_FOREST_KEY_NAN_HIGH : OZ_FOREST_KEY_NAN_LOW,
                                       tile + (f * 2 + side) * OZ_FOREST_TILE_ROWS);
    }
    for (size_t i = 0; i < OZ_COUNT_OF(sums); i++) sums[i] = 0.25f;
    oz_forest_f32_sum__scalar(nodes, trees, N_TREES, tile, n_rows, sums);
    for (int g = 0; g < N_GROUPS; g++)
        for (size_t row = 0; row < OZ_FOREST_TILE_ROWS; row++) {
            double x[N_FEATURES];
            float expected = 0.25f;
            for (int f = 0; f < N_FEATURES; f++) x[f] = column[f][row];
            for (int t = 0; t < N_TREES && row < n_rows; t++)
                if (plain[t].group == g) expected += plain_walk(&plain[t], x);
            assert_memory_equal(&sums[g * OZ_FOREST_TILE_ROWS + row], &expected, sizeof expected);
        }
}

static void sums_are_those_of_the_obvious_walk(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        for (int t = 0; t < N_TREES; t++) {
            plain[t].group = (int)(random_u32() % N_GROUPS);
            grow(&plain[t], (int)(random_u32() % (t % 5 ? 31 : 1 + (uint32_t)t * 2)));
        }
        lay_out();
        for (size_t n_rows = 0; n_rows <= OZ_FOREST_TILE_ROWS; n_rows++) check_rows(n_rows);
    }
}

static void keys_have_the_order_of_their_floats(void **state)
{
    (void)state;
    for (int i = 0; i < 2000000; i++) {
        uint32_t bits[2] = {random_u32(), random_u32()};
        if (i & 1) bits[1] = bits[0] + random_u32() % 3 - 1;
        float x[2];
        memcpy(x, bits, sizeof x);
        if (i % 7 == 0) x[0] = random_float(), x[1] = random_float();
        if (isnan(x[0]) || isnan(x[1])) continue;
        int32_t a = oz_forest_key(x[0]), b = oz_forest_key(x[1]);
        if ((x[0] < x[1]) != (a < b) || (x[0] == x[1]) != (a == b))
            fail_msg("%a and %a have the keys %d and %d", (double)x[0], (double)x[1], a, b);
        if (a <= OZ_FOREST_KEY_NAN_LOW || a >= OZ_FOREST_KEY_NAN_HIGH)
            fail_msg("%a has a key that means NaN", (double)x[0]);
    }
}

static void doubles_are_rounded_to_floats_before_they_are_compared(void **state)
{
    (void)state;
    const double column[] = {0.1, 1e300, -1e300, -0.0, 0x1.000001p0, 0x1.0000010000001p0, NAN};
    const float as_float[] = {0.1f, INFINITY, -INFINITY, 0.0f, 1.0f, 0x1.000002p0f};
    int32_t plane[OZ_COUNT_OF(column)];
    oz_forest_keys_f64__scalar(column, OZ_COUNT_OF(column), -77, plane);
    for (size_t i = 0; i < OZ_COUNT_OF(as_float); i++)
        assert_int_equal(plane[i], oz_forest_key(as_float[i]));
    assert_int_equal(plane[OZ_COUNT_OF(as_float)], -77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_the_obvious_walk),
        cmocka_unit_test(keys_have_the_order_of_their_floats),
        cmocka_unit_test(doubles_are_rounded_to_floats_before_they_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
