/* Proves that the operators that lay out, move, pick and order data answer as ONNX Runtime and
 * numpy do in the forms and at the edges that the ONNX node suite does not have: old opsets, empty
 * dimensions, ranks 0 and 8, extreme integers; and that what is wrong is refused by name.
 * How: cases with answers from there (fixtures/make_layout_operators.py). Each one runs four ways:
 * planned by shapes, planned by values, planned by shapes that are said to depend on data, and with
 * all inputs constants, so that it is folded at load. */
#include "net_cases.h"
#include "models/net/exec.h"

enum way { BY_SHAPES, BY_VALUES, BY_BOUNDS, FOLDED, N_WAYS };

struct outcome {
    struct oz_net net;
    struct oz_arena arena;
    struct oz_net_plan plan;
    struct oz_tensor got[NET_CASE_ARGS_MAX];
    void *memory;
};

static struct oz_error err;

/* What the node's inputs are in this run: only those of the net. */
static void inputs_of(const struct net_case *c, struct oz_tensor *ret)
{
    for (uint32_t i = 0; i < c->n_inputs; i++)
        if (c->kind[i] == CASE_INPUT) *ret++ = c->input[i];
}

static enum oz_status run_case(const struct net_case *c, enum way way, struct outcome *o)
{
    struct oz_tensor input[NET_CASE_ARGS_MAX], planned[NET_CASE_ARGS_MAX];
    err = (struct oz_error){0};
    o->memory = NULL;
    oz_arena_init(&o->arena, 1 << 12);
    net_case_build(c, way == FOLDED, &o->net);
    OZ_TRY(oz_net_compile(&o->net, &err));
    if (way == FOLDED) assert_int_equal(o->net.graph.n_nodes, 0);
    inputs_of(c, input);
    memcpy(planned, input, sizeof planned);
    for (uint32_t i = 0; i < o->net.graph.n_inputs && way != BY_VALUES; i++) {
        planned[i].data = NULL;
        planned[i].loose = way == BY_BOUNDS;
    }
    OZ_TRY(oz_net_plan(&o->net, planned, &o->arena, &o->plan, &err));
    size_t n_bytes = (o->plan.memory_bytes + 63) & ~(size_t)63;
    o->memory = aligned_alloc(64, n_bytes);
    assert_non_null(o->memory);
    memset(o->memory, 0xa5, n_bytes);
    return oz_net_run(&o->plan, input, o->memory, o->got, &err);
}

static void clear_case(struct outcome *o)
{
    free(o->memory);
    oz_arena_clear(&o->arena);
    oz_net_clear(&o->net);
}

/* Bit by bit, but any NaN is as good as another. */
static bool is_same_element(const struct oz_tensor *a, const struct oz_tensor *b, int64_t i)
{
    size_t bytes = oz_dtype_bytes((enum oz_dtype)a->dtype);
    if (a->dtype == OZ_DTYPE_TEXT)
        return a->text[i].data && a->text[i].len == b->text[i].len &&
               !memcmp(a->text[i].data, b->text[i].data, a->text[i].len);
    if (oz_dtype_is_float((enum oz_dtype)a->dtype)) {
        double x = oz_tensor_f64_at(a, i), y = oz_tensor_f64_at(b, i);
        if (x != x || y != y) return x != x && y != y;
    }
    return !memcmp(a->u8 + (size_t)i * bytes, b->u8 + (size_t)i * bytes, bytes);
}

static void check_output(const struct net_case *c, enum way way, const struct outcome *o,
                         uint32_t k)
{
    const struct oz_tensor *got = &o->got[k], *expected = &c->output[k];
    const struct oz_tensor *planned = &o->plan.output[k];
    char words[2][OZ_TENSOR_WORDS_BYTES];
    if (got->dtype != expected->dtype || !oz_tensor_same_shape(got, expected))
        fail_msg("%s (way %d): output %u is %s, expected is %s", c->name, way, k,
                 oz_tensor_words(got, words[0]), oz_tensor_words(expected, words[1]));
    for (size_t d = 0; d < got->rank; d++)
        if (planned->loose ? got->dim[d] > planned->dim[d] : got->dim[d] != planned->dim[d])
            fail_msg("%s (way %d): output %u is %s, planned as %s", c->name, way, k,
                     oz_tensor_words(got, words[0]), oz_tensor_words(planned, words[1]));
    for (int64_t i = 0; i < got->n; i++)
        if (!is_same_element(got, expected, i))
            fail_msg("%s (way %d): output %u[%lld] is %g, expected is %g", c->name, way, k,
                     (long long)i, oz_tensor_f64_at(got, i), oz_tensor_f64_at(expected, i));
}

/* Bounds that are not reached cannot be squeezed by guess. */
static bool is_refused_by_bounds(const struct net_case *c)
{
    return !strcmp(c->op, "Squeeze") && c->n_inputs == 1 && !c->n_attributes;
}

static void operators_answer_as_elsewhere(void **state)
{
    (void)state;
    size_t n, n_answers = 0, n_refusals = 0;
    char *text = fixture_read("layout_operators.txt", &n), *at = text;
    struct oz_arena arena;
    struct net_case c;
    struct outcome o;
    oz_arena_init(&arena, 1 << 16);
    while (net_case_next(&at, &arena, &c)) {
        for (enum way way = 0; way < N_WAYS; way++) {
            enum oz_status status = run_case(&c, way, &o);
            if (way == BY_BOUNDS && is_refused_by_bounds(&c)) {
                assert_int_equal(status, OZ_MODEL);
            } else if (c.refused) {
                if (status != OZ_MODEL) fail_msg("%s (way %d): not refused", c.name, way);
                if (!strstr(err.message, c.refused))
                    fail_msg("%s (way %d): \"%s\" does not say \"%s\"", c.name, way, err.message,
                             c.refused);
                if (!strstr(err.message, "node `it`: "))
                    fail_msg("%s (way %d): \"%s\" names no node", c.name, way, err.message);
            } else {
                if (status != OZ_OK) fail_msg("%s (way %d): %s", c.name, way, err.message);
                for (uint32_t k = 0; k < c.n_outputs; k++) check_output(&c, way, &o, k);
            }
            clear_case(&o);
        }
        c.refused ? n_refusals++ : n_answers++;
    }
    assert_true(n_answers >= 200 && n_refusals >= 120);
    oz_arena_clear(&arena);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(operators_answer_as_elsewhere)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
