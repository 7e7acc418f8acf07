/* The ai.onnx.ml operators but trees: every form, type and default gives what ONNX Runtime gives
 * (or a naive twin, where that does not serve a type), a row's result is the same bits alone and in
 * any batch, and nodes that are wrong or hostile are refused in words. The cases are
 * ml_operators.inc, by make_ml_operators.py. Maps, which are columns here, and hostile keys are
 * tested by hand; and every case is changed at random, which must harm nothing. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "models/net/key_table.h"
#include "models/net/op.h"
#include "models/net/post_transform.h"

enum { INPUTS_MAX = 4, OUTPUTS_MAX = 2 };

struct vector {
    const char *name, *op;
    uint32_t opset, n_attributes, n_inputs, n_outputs;
    bool has_rows; /* along axis 0 of the first input and of each output */
    float tolerance;
    const struct oz_attribute *attribute;
    const struct oz_tensor *input, *output;
    const char *refusal; /* words of the message, or NULL: it runs */
};

static const struct vector vectors[] = {
#include "ml_operators.inc"
};

struct run {
    struct oz_net net;
    struct oz_arena arena;
    void *memory;
    struct oz_tensor output[OUTPUTS_MAX];
};

static void set_up(struct run *run)
{
    memset(run, 0, sizeof *run);
    oz_net_init(&run->net);
    oz_arena_init(&run->arena, 1 << 12);
}

static void tear_down(struct run *run)
{
    free(run->memory);
    oz_arena_clear(&run->arena);
    oz_net_clear(&run->net);
}

/* Adds a node; inputs by value number; its outputs are new values. */
static struct oz_node *add_node(struct run *run, const char *op, uint32_t opset,
                                const struct oz_attribute *attribute, uint32_t n_attributes,
                                const uint32_t *input, uint32_t n_inputs, uint32_t n_outputs)
{
    struct oz_net *net = &run->net;
    struct oz_graph *graph = &net->graph;
    if (!graph->node) graph->node = oz_arena_zeroed(&net->arena, 4, sizeof *graph->node);
    struct oz_node *node = &graph->node[graph->n_nodes++];
    node->op = oz_op_find(OZ_DOMAIN_ML, op);
    assert_non_null(node->op);
    node->name = "node";
    node->opset = net->ml_opset = opset;
    node->number = net->n_nodes++;
    node->n_inputs = n_inputs, node->n_outputs = n_outputs, node->n_attributes = n_attributes;
    node->input = oz_arena_zeroed(&net->arena, n_inputs, sizeof *node->input);
    node->output = oz_arena_zeroed(&net->arena, n_outputs, sizeof *node->output);
    node->attribute = oz_arena_zeroed(&net->arena, n_attributes + 1u, sizeof *node->attribute);
    memcpy(node->input, input, n_inputs * sizeof *input);
    if (n_attributes) memcpy(node->attribute, attribute, n_attributes * sizeof *attribute);
    for (uint32_t k = 0; k < n_outputs; k++)
        assert_int_equal(oz_net_add_value(net, "y", &node->output[k], NULL), OZ_OK);
    graph->output = node->output;
    graph->n_outputs = n_outputs;
    return node;
}

static void add_inputs(struct run *run, const struct oz_tensor *input, uint32_t n)
{
    struct oz_net *net = &run->net;
    net->graph.input = oz_arena_zeroed(&net->arena, n, sizeof *net->graph.input);
    net->graph.n_inputs = n;
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(oz_net_add_value(net, "x", &net->graph.input[i], NULL), OZ_OK);
        struct oz_value *value = &net->value[net->graph.input[i]];
        value->is_declared = true;
        value->dtype = input[i].dtype;
    }
}

/* Compiles, plans by shapes alone, runs. */
static enum oz_status execute(struct run *run, const struct oz_tensor *input, uint32_t n_inputs,
                              struct oz_error *err)
{
    struct oz_tensor shape[INPUTS_MAX];
    struct oz_net_plan plan;
    OZ_TRY(oz_net_compile(&run->net, err));
    for (uint32_t i = 0; i < n_inputs; i++) {
        shape[i] = input[i];
        shape[i].data = NULL;
    }
    OZ_TRY(oz_net_plan(&run->net, shape, &run->arena, &plan, err));
    free(run->memory);
    run->memory = aligned_alloc(64, (plan.memory_bytes + 63) / 64 * 64);
    assert_non_null(run->memory);
    memset(run->memory, 0xa5, plan.memory_bytes);
    return oz_net_run(&plan, input, run->memory, run->output, err);
}

static uint64_t allocation_to_fail; /* of compile and plan; 0: none */

static enum oz_status run_vector(struct run *run, const struct vector *v,
                                 const struct oz_tensor *input, struct oz_error *err)
{
    set_up(run);
    add_inputs(run, input, v->n_inputs);
    add_node(
        run, v->op, v->opset, v->attribute, v->n_attributes, run->net.graph.input, v->n_inputs,
        v->refusal
            ? (uint32_t)(!strcmp(v->op, "LinearClassifier") || !strcmp(v->op, "SVMClassifier")) + 1u
            : v->n_outputs);
    oz_fail_allocation(allocation_to_fail);
    enum oz_status status = execute(run, input, v->n_inputs, err);
    oz_fail_allocation(0);
    return status;
}

static bool same_text(struct oz_str a, struct oz_str b)
{
    return a.len == b.len && (!a.len || !memcmp(a.data, b.data, a.len));
}

static bool is_close(const struct oz_tensor *a, const struct oz_tensor *b, int64_t i, double bound)
{
    if (a->dtype == OZ_DTYPE_TEXT) return same_text(a->text[i], b->text[i]);
    if (a->dtype == OZ_DTYPE_I64) return a->i64[i] == b->i64[i];
    double x = oz_tensor_f64_at(a, i), y = oz_tensor_f64_at(b, i);
    return x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= bound * fmax(1.0, fabs(y));
}

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < OZ_COUNT_OF(vectors); i++) {
        const struct vector *v = &vectors[i];
        if (v->refusal) continue;
        struct oz_error err = {0};
        struct run run;
        if (run_vector(&run, v, v->input, &err) != OZ_OK) fail_msg("%s: %s", v->name, err.message);
        for (uint32_t k = 0; k < v->n_outputs; k++) {
            const struct oz_tensor *got = &run.output[k], *want = &v->output[k];
            if (got->dtype != want->dtype || !oz_tensor_same_shape(got, want))
                fail_msg("%s: another type or shape of output %u", v->name, k);
            for (int64_t e = 0; e < want->n; e++)
                if (!is_close(got, want, e, (double)v->tolerance))
                    fail_msg("%s: output %u, element %lld: %.9g, expected %.9g", v->name, k,
                             (long long)e,
                             got->dtype == OZ_DTYPE_TEXT ? 0.0 : oz_tensor_f64_at(got, e),
                             got->dtype == OZ_DTYPE_TEXT ? 0.0 : oz_tensor_f64_at(want, e));
        }
        tear_down(&run);
    }
}

static bool same_bits(const struct oz_tensor *a, int64_t from, const struct oz_tensor *b)
{
    if (a->dtype == OZ_DTYPE_TEXT) {
        for (int64_t i = 0; i < b->n; i++)
            if (!same_text(a->text[from + i], b->text[i])) return false;
        return true;
    }
    size_t bytes = oz_dtype_bytes((enum oz_dtype)a->dtype);
    return !memcmp((const char *)a->data + (size_t)from * bytes, b->data, (size_t)b->n * bytes);
}

static void test_a_row_does_not_know_its_batch(void **state)
{
    (void)state;
    int n_tested = 0;
    for (size_t i = 0; i < OZ_COUNT_OF(vectors); i++) {
        const struct vector *v = &vectors[i];
        if (v->refusal || !v->has_rows || v->n_inputs != 1 || !v->input[0].dim[0]) continue;
        struct run all, one;
        assert_int_equal(run_vector(&all, v, v->input, NULL), OZ_OK);
        struct oz_tensor row = v->input[0];
        row.n /= row.dim[0];
        row.dim[0] = 1;
        for (int64_t r = 0; r < v->input[0].dim[0]; r++) {
            row.data = (char *)v->input[0].data +
                       (size_t)(r * row.n) * oz_dtype_bytes((enum oz_dtype)row.dtype);
            assert_int_equal(run_vector(&one, v, &row, NULL), OZ_OK);
            for (uint32_t k = 0; k < v->n_outputs; k++)
                if (!same_bits(&all.output[k], r * one.output[k].n, &one.output[k]))
                    fail_msg("%s: row %lld alone differs in output %u", v->name, (long long)r, k);
            tear_down(&one);
        }
        tear_down(&all);
        n_tested++;
    }
    assert_true(n_tested > 100);
}

static void test_refusals(void **state)
{
    (void)state;
    int n_tested = 0;
    for (size_t i = 0; i < OZ_COUNT_OF(vectors); i++) {
        const struct vector *v = &vectors[i];
        if (!v->refusal) continue;
        struct oz_error err = {0};
        struct run run;
        if (run_vector(&run, v, v->input, &err) != OZ_MODEL) fail_msg("%s is not refused", v->name);
        if (!strstr(err.message, v->refusal) || !strstr(err.message, v->op))
            fail_msg("%s: %s", v->name, err.message);
        tear_down(&run);
        n_tested++;
    }
    assert_true(n_tested > 100);
}

/* Changes of one attribute or the input: other lengths (shorter), numbers, types and shapes. */
static uint32_t seed = 1;
static uint32_t below(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)seed * n) >> 32);
}

static int64_t odd_integer(void)
{
    static const int64_t odd[] = {0, 1, -1, 2, 3, 5, 7, 1 << 20, INT32_MAX, INT64_MAX, INT64_MIN};
    return odd[below(OZ_COUNT_OF(odd))];
}

static float odd_float(void)
{
    static const float odd[] = {0.0f, -0.0f, 1.0f, -1e30f, 3e38f, NAN, INFINITY, -INFINITY};
    return odd[below(OZ_COUNT_OF(odd))];
}

enum { LIST_MAX = 1200, CELLS_MAX = 4096 };
static int64_t odd_ints[LIST_MAX];
static float odd_floats[LIST_MAX];

static void change_attribute(struct oz_attribute *attribute)
{
    size_t n = OZ_MIN(attribute->n, (size_t)LIST_MAX);
    uint32_t at = n ? below((uint32_t)n) : 0;
    switch (attribute->kind) {
    case OZ_ATTRIBUTE_INT: attribute->i = odd_integer(); return;
    case OZ_ATTRIBUTE_FLOAT: attribute->f = odd_float(); return;
    case OZ_ATTRIBUTE_STRING: attribute->s.len = below(attribute->s.len + 1); return;
    default: break;
    }
    if (!n || below(2)) {
        attribute->n = below((uint32_t)n + 1);
    } else if (attribute->kind == OZ_ATTRIBUTE_INTS) {
        memcpy(odd_ints, attribute->ints, n * sizeof *odd_ints);
        odd_ints[at] = odd_integer();
        attribute->ints = odd_ints, attribute->n = n;
    } else if (attribute->kind == OZ_ATTRIBUTE_FLOATS) {
        memcpy(odd_floats, attribute->floats, n * sizeof *odd_floats);
        odd_floats[at] = odd_float();
        attribute->floats = odd_floats, attribute->n = n;
    }
}

static void change_input(struct oz_tensor *input)
{
    static double numbers[CELLS_MAX]; /* of any type: all their bytes are 0, or are NaN's */
    static struct oz_str texts[CELLS_MAX];
    for (size_t i = 0; i < CELLS_MAX; i++) {
        numbers[i] = below(2) ? 0.0 : (double)NAN;
        texts[i] = (struct oz_str){"ab", below(3)};
    }
    do {
        input->rank = (uint8_t)below(5);
        input->n = 1;
        for (size_t d = 0; d < input->rank; d++) {
            input->dim[d] = below(8);
            input->n *= input->dim[d];
        }
    } while (input->n > CELLS_MAX);
    input->dtype = (uint8_t)below(OZ_DTYPE_COUNT);
    input->data = input->dtype == OZ_DTYPE_TEXT ? (void *)texts : (void *)numbers;
    if (input->dtype == OZ_DTYPE_BOOL) memset(numbers, 1, sizeof numbers);
}

static void test_random_changes_harm_nothing(void **state)
{
    (void)state;
    size_t n_done[OZ_STATUS_COUNT] = {0};
    for (size_t i = 0; i < OZ_COUNT_OF(vectors); i++)
        for (int round = 0; round < 200; round++) {
            struct vector v = vectors[i];
            struct oz_attribute attribute[16];
            struct oz_tensor input[INPUTS_MAX];
            struct oz_error err = {0};
            struct run run;
            assert_true(v.n_attributes <= OZ_COUNT_OF(attribute) && v.n_inputs <= INPUTS_MAX);
            if (v.n_attributes) memcpy(attribute, v.attribute, v.n_attributes * sizeof *attribute);
            memcpy(input, v.input, v.n_inputs * sizeof *input);
            if (v.n_attributes && round % 4)
                change_attribute(&attribute[below(v.n_attributes)]);
            else
                change_input(&input[below(v.n_inputs)]);
            v.attribute = attribute;
            enum oz_status status = run_vector(&run, &v, input, &err);
            if (status != OZ_OK && status != OZ_MODEL) fail_msg("%s: %s", v.name, err.message);
            n_done[status]++;
            tear_down(&run);
        }
    assert_true(n_done[OZ_OK] > 1000 && n_done[OZ_MODEL] > 1000);
}

static void test_failed_allocations_are_said(void **state)
{
    (void)state;
    size_t n_failures = 0;
    for (size_t i = 0; i < OZ_COUNT_OF(vectors); i++) {
        const struct vector *v = &vectors[i];
        enum oz_status status = OZ_NO_MEMORY;
        for (allocation_to_fail = 1; status == OZ_NO_MEMORY; allocation_to_fail++) {
            struct run run;
            status = run_vector(&run, v, v->input, NULL);
            tear_down(&run);
            n_failures += status == OZ_NO_MEMORY;
        }
        assert_int_equal(status, v->refusal ? OZ_MODEL : OZ_OK);
    }
    allocation_to_fail = 0;
    assert_true(n_failures > OZ_COUNT_OF(vectors));
}

static void test_maps_are_columns(void **state)
{
    (void)state;
    float cells[] = {0.25f, 0.75f, 1.0f, 0.0f};
    const struct oz_tensor x = {
        .dtype = OZ_DTYPE_F32, .rank = 2, .dim = {2, 2}, .n = 4, .f32 = cells};
    const struct oz_attribute keys = {.name = "classlabels_int64s",
                                      .kind = OZ_ATTRIBUTE_INTS,
                                      .n = 2,
                                      .ints = (const int64_t[]){-5, INT64_MAX}};
    const struct oz_attribute same = {
        .name = "string_vocabulary",
        .kind = OZ_ATTRIBUTE_STRINGS,
        .n = 2,
        .strings = (const struct oz_str[]){{"-5", 2}, {"9223372036854775807", 19}}};
    struct oz_attribute other = same;
    other.strings = (const struct oz_str[]){{"9223372036854775807", 19}, {"-5", 2}};
    struct oz_error err = {0};
    struct run run;

    for (int which = 0; which < 3;
         which++) { /* a ZipMap; then a vectorizer of the same, of other keys */
        set_up(&run);
        add_inputs(&run, &x, 1);
        struct oz_node *map = add_node(&run, "ZipMap", 1, &keys, 1, run.net.graph.input, 1, 1);
        uint32_t z = map->output[0];
        if (which) add_node(&run, "DictVectorizer", 1, which == 1 ? &same : &other, 1, &z, 1, 1);
        enum oz_status status = execute(&run, &x, 1, &err);
        if (which == 2) {
            assert_int_equal(status, OZ_MODEL);
            assert_non_null(strstr(err.message, "other keys"));
        } else {
            assert_int_equal(status, OZ_OK);
            assert_memory_equal(run.output[0].f32, cells, sizeof cells);
            const struct oz_value *value = &run.net.value[z];
            assert_true(value->is_map);
            assert_int_equal(value->n_columns, 2);
            assert_true(same_text(value->column[0], (struct oz_str){"-5", 2}));
            assert_true(same_text(value->column[1], same.strings[1]));
        }
        tear_down(&run);
    }
}

static void test_map_inputs(void **state)
{
    (void)state;
    double cells[] = {1.0, 2.0, 3.0};
    struct oz_tensor x = {.dtype = OZ_DTYPE_F64, .rank = 2, .dim = {1, 3}, .n = 3, .f64 = cells};
    const struct oz_attribute vocabulary = {
        .name = "string_vocabulary",
        .kind = OZ_ATTRIBUTE_STRINGS,
        .n = 3,
        .strings = (const struct oz_str[]){{"age", 3}, {"sum", 3}, {"", 0}}};
    struct oz_error err = {0};
    struct run run;
    for (int which = 0; which < 3; which++) { /* a map; no map; a map with too few columns */
        set_up(&run);
        x.dim[1] = x.n = which == 2 ? 2 : 3;
        add_inputs(&run, &x, 1);
        uint32_t input = run.net.graph.input[0];
        run.net.value[input].is_map = which != 1;
        add_node(&run, "DictVectorizer", 1, &vocabulary, 1, &input, 1, 1);
        enum oz_status status = execute(&run, &x, 1, &err);
        if (which) {
            assert_int_equal(status, OZ_MODEL);
            assert_non_null(strstr(err.message, which == 1 ? "no map" : "keys of the map are 3"));
        } else {
            assert_int_equal(status, OZ_OK);
            assert_memory_equal(run.output[0].f64, cells, sizeof cells);
            assert_int_equal(run.net.value[input].n_columns, 3);
            assert_true(same_text(run.net.value[input].column[1], vocabulary.strings[1]));
        }
        tear_down(&run);
    }
}

/* The inverse of the hash of integers: keys whose hashes are 0, 2^40, 2 * 2^40, ... */
static uint64_t unshift(uint64_t x, int by)
{
    uint64_t y = x;
    for (int i = 0; i < 64 / by + 1; i++) y = x ^ (y >> by);
    return y;
}

static int64_t key_with_hash(uint64_t h)
{
    h = unshift(h, 31) * UINT64_C(0x319642b2d24d8ec3);
    h = unshift(h, 27) * UINT64_C(0x96de1b173f119089);
    return (int64_t)unshift(h, 30);
}

static void test_keys_made_to_collide_are_refused(void **state)
{
    (void)state;
    enum { N = 2 * OZ_KEY_PROBES_MAX };
    static int64_t keys[N];
    struct oz_key_table table;
    struct oz_arena arena;
    struct oz_error err = {0};
    oz_arena_init(&arena, 1 << 12);
    for (size_t i = 0; i < N; i++) keys[i] = key_with_hash((uint64_t)i << 40);
    assert_int_equal(
        oz_key_table_init(&table, OZ_KEY_I64, keys, N, OZ_KEY_FIRST_WINS, &arena, &err), OZ_MODEL);
    assert_non_null(strstr(err.message, "has the hash of"));
    /* As many honest ones, and all of them the same, are fine. */
    for (size_t i = 0; i < N; i++) keys[i] = (int64_t)i * 64 - 5;
    assert_int_equal(
        oz_key_table_init(&table, OZ_KEY_I64, keys, N, OZ_KEY_FIRST_WINS, &arena, &err), OZ_OK);
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(oz_key_find_i64(&table, (int64_t)i * 64 - 5), i);
    assert_int_equal(oz_key_find_i64(&table, 1), OZ_NO_KEY);
    for (size_t i = 0; i < N; i++) keys[i] = 7;
    assert_int_equal(oz_key_table_init(&table, OZ_KEY_I64, keys, N, OZ_KEY_LAST_WINS, &arena, &err),
                     OZ_OK);
    assert_int_equal(oz_key_find_i64(&table, 7), N - 1);
    oz_arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_a_row_does_not_know_its_batch),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_random_changes_harm_nothing),
        cmocka_unit_test(test_failed_allocations_are_said),
        cmocka_unit_test(test_maps_are_columns),
        cmocka_unit_test(test_map_inputs),
        cmocka_unit_test(test_keys_made_to_collide_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
