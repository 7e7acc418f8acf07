/* Element-wise operators, softmax, casts, reductions and quantization: what the ONNX node suite
 * does not have (tests/conformance/onnx has that suite). Proves: older opsets' forms, every type,
 * odd shapes and empty tensors give what ONNX Runtime gives (elementwise_cases.inc, written by
 * make_elementwise_cases.py), the same bits when folded at load; integer division, powers and
 * casts out of range have the answers that the sources state; a row's bits do not depend on its
 * batch; texts made from numbers outlive what is computed after them; what is not served is
 * refused in words, at load or when planned. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "models/net/exec.h"
#include "models/net/op.h"

enum { ARGS_MAX = 4, NODES_MAX = 6, LEFT_OUT = OZ_DTYPE_COUNT };

struct one_node {
    const char *name, *op;
    uint32_t opset, n_inputs, n_outputs, n_attributes;
    struct oz_attribute attribute[ARGS_MAX];
    struct oz_tensor input[ARGS_MAX], output[ARGS_MAX];
};

static const struct one_node cases[] = {
#include "elementwise_cases.inc"
};

/* ---- a net of a few nodes, built by hand ---- */

struct fixture {
    struct oz_net net;
    struct oz_arena arena;
    struct oz_node node[NODES_MAX];
    uint32_t args[NODES_MAX][2 * ARGS_MAX];
    uint32_t graph_input[ARGS_MAX], graph_output[ARGS_MAX];
    struct oz_attribute attribute[ARGS_MAX];
    struct oz_tensor constant[ARGS_MAX], got[ARGS_MAX];
    void *memory;
    struct oz_error err;
};

static void set_up(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    oz_net_init(&f->net);
    oz_arena_init(&f->arena, 1 << 12);
    f->net.graph.node = f->node;
    f->net.graph.input = f->graph_input;
    f->net.graph.output = f->graph_output;
}

static void tear_down(struct fixture *f)
{
    oz_net_clear(&f->net);
    oz_arena_clear(&f->arena);
    free(f->memory);
    f->memory = NULL;
}

static uint32_t new_value(struct fixture *f)
{
    uint32_t number;
    assert_int_equal(oz_net_add_value(&f->net, "", &number, &f->err), OZ_OK);
    return number;
}

static struct oz_node *new_node(struct fixture *f, const char *op, uint32_t opset)
{
    uint32_t i = f->net.graph.n_nodes++;
    f->node[i] = (struct oz_node){
        .op = oz_op_find(OZ_DOMAIN_ONNX, op),
        .name = "n",
        .opset = opset,
        .input = f->args[i],
        .output = f->args[i] + ARGS_MAX,
    };
    if (!f->node[i].op) fail_msg("there is no operator %s", op);
    return &f->node[i];
}

/* The net of one case. are_constants: its inputs are known at load. */
static void build(struct fixture *f, const struct one_node *c, bool are_constants)
{
    set_up(f);
    struct oz_node *node = new_node(f, c->op, c->opset);
    node->n_inputs = c->n_inputs;
    node->n_outputs = c->n_outputs;
    node->n_attributes = c->n_attributes;
    node->attribute = f->attribute;
    memcpy(f->attribute, c->attribute, sizeof f->attribute);
    for (uint32_t i = 0; i < c->n_inputs; i++) {
        node->input[i] = OZ_NO_VALUE;
        if (c->input[i].dtype == LEFT_OUT) continue;
        node->input[i] = new_value(f);
        f->constant[i] = c->input[i];
        if (are_constants)
            f->net.value[node->input[i]].constant = &f->constant[i];
        else
            f->graph_input[f->net.graph.n_inputs++] = node->input[i];
    }
    for (uint32_t k = 0; k < c->n_outputs; k++)
        f->graph_output[f->net.graph.n_outputs++] = node->output[k] = new_value(f);
}

/* Compiles, plans for what `input` says without its data (but those of index and more) and runs. */
static enum oz_status run(struct fixture *f, const struct oz_tensor *input, uint32_t known_from)
{
    struct oz_net_plan plan;
    struct oz_tensor planned[ARGS_MAX];
    OZ_TRY(oz_net_compile(&f->net, &f->err));
    memcpy(planned, input, sizeof planned);
    for (uint32_t i = 0; i < OZ_MIN(known_from, (uint32_t)ARGS_MAX); i++) planned[i].data = NULL;
    OZ_TRY(oz_net_plan(&f->net, planned, &f->arena, &plan, &f->err));
    size_t n_bytes = (plan.memory_bytes + 63) & ~(size_t)63;
    f->memory = aligned_alloc(64, n_bytes);
    memset(f->memory, 0xa5, n_bytes);
    OZ_TRY(oz_net_run(&plan, input, f->memory, f->got, &f->err));
    for (uint32_t k = 0; k < f->net.graph.n_outputs; k++) {
        assert_true(oz_tensor_same_shape(&f->got[k], &plan.output[k]));
        assert_int_equal(f->got[k].dtype, plan.output[k].dtype);
    }
    return OZ_OK;
}

static enum oz_status run_case(struct fixture *f, const struct one_node *c, bool are_constants)
{
    struct oz_tensor input[ARGS_MAX] = {0};
    build(f, c, are_constants);
    for (uint32_t i = 0, n = 0; i < c->n_inputs && !are_constants; i++)
        if (c->input[i].dtype != LEFT_OUT) input[n++] = c->input[i];
    /* Axes decide a shape, so they must be known. */
    return run(f, input, strncmp(c->op, "Reduce", 6) ? ARGS_MAX : 1);
}

/* ---- compare ---- */

static bool is_near(const struct oz_tensor *got, const struct oz_tensor *want, int64_t i)
{
    const size_t bytes = oz_dtype_bytes((enum oz_dtype)got->dtype);
    if (got->dtype == OZ_DTYPE_TEXT)
        return got->text[i].len == want->text[i].len &&
               !memcmp(got->text[i].data, want->text[i].data, want->text[i].len);
    if (!oz_dtype_is_float((enum oz_dtype)got->dtype))
        return !memcmp(got->u8 + (size_t)i * bytes, want->u8 + (size_t)i * bytes, bytes);
    const double a = oz_tensor_f64_at(got, i), b = oz_tensor_f64_at(want, i);
    const double relative = got->dtype == OZ_DTYPE_F32 ? 2e-6 : 1e-12;
    if (isnan(b) || isinf(b)) return isnan(b) ? isnan(a) : a == b;
    return fabs(a - b) <= relative * OZ_MAX(fabs(b), 0.25);
}

static void compare(const char *name, const struct oz_tensor *got, const struct oz_tensor *want)
{
    char a[OZ_TENSOR_WORDS_BYTES], b[OZ_TENSOR_WORDS_BYTES];
    if (got->dtype != want->dtype || !oz_tensor_same_shape(got, want))
        fail_msg("%s: %s, expected %s", name, oz_tensor_words(got, a), oz_tensor_words(want, b));
    for (int64_t i = 0; i < want->n; i++) {
        if (is_near(got, want, i)) continue;
        if (got->dtype == OZ_DTYPE_TEXT)
            fail_msg("%s [%lld]: `%.*s`, expected `%.*s`", name, (long long)i,
                     (int)got->text[i].len, got->text[i].data, (int)want->text[i].len,
                     want->text[i].data);
        fail_msg("%s [%lld]: %.17g, expected %.17g", name, (long long)i, oz_tensor_f64_at(got, i),
                 oz_tensor_f64_at(want, i));
    }
}

static bool is_same(const struct oz_tensor *a, const struct oz_tensor *b)
{
    for (int64_t i = 0; a->dtype == OZ_DTYPE_TEXT && i < a->n; i++)
        if (!is_near(a, b, i)) return false;
    return a->dtype == OZ_DTYPE_TEXT || !a->n ||
           !memcmp(a->data, b->data, (size_t)a->n * oz_dtype_bytes((enum oz_dtype)a->dtype));
}

static void check_case(const struct one_node *c)
{
    struct fixture live, folded;
    if (run_case(&live, c, false) != OZ_OK) fail_msg("%s: %s", c->name, live.err.message);
    if (run_case(&folded, c, true) != OZ_OK)
        fail_msg("%s, folded: %s", c->name, folded.err.message);
    assert_int_equal(folded.net.graph.n_nodes, 0);
    for (uint32_t k = 0; k < c->n_outputs; k++) {
        compare(c->name, &live.got[k], &c->output[k]);
        compare(c->name, &folded.got[k], &c->output[k]);
        if (!is_same(&live.got[k], &folded.got[k])) fail_msg("%s: folded to other bits", c->name);
    }
    tear_down(&live);
    tear_down(&folded);
}

static void gives_what_onnx_runtime_gives(void **state)
{
    (void)state;
    for (size_t i = 0; i < OZ_COUNT_OF(cases); i++) check_case(&cases[i]);
    assert_true(OZ_COUNT_OF(cases) >= 400);
}

/* ---- by hand: what ONNX leaves open, and the sources state ---- */

#define TENSOR(DTYPE, C, ...)                                                                      \
    {                                                                                              \
        .dtype = OZ_DTYPE_##DTYPE, .rank = 1, .dim = {sizeof((C[]){__VA_ARGS__}) / sizeof(C)},     \
        .n = sizeof((C[]){__VA_ARGS__}) / sizeof(C), .data = (C[])                                 \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define F32(...)  TENSOR(F32, float, __VA_ARGS__)
#define F64(...)  TENSOR(F64, double, __VA_ARGS__)
#define I32(...)  TENSOR(I32, int32_t, __VA_ARGS__)
#define I64(...)  TENSOR(I64, int64_t, __VA_ARGS__)
#define U8(...)   TENSOR(U8, uint8_t, __VA_ARGS__)
#define I8(...)   TENSOR(I8, int8_t, __VA_ARGS__)
#define BOOL(...) TENSOR(BOOL, uint8_t, __VA_ARGS__)
#define TEXT(...) TENSOR(TEXT, struct oz_str, __VA_ARGS__)
#define BINARY(OP, A, B, OUT)                                                                      \
    {                                                                                              \
        .name = #OP, .op = #OP, .opset = 14, .n_inputs = 2, .n_outputs = 1, .input = {A, B},       \
        .output = {                                                                                \
            OUT                                                                                    \
        }                                                                                          \
    }
#define UNARY(OP, A, OUT)                                                                          \
    {                                                                                              \
        .name = #OP, .op = #OP, .opset = 14, .n_inputs = 1, .n_outputs = 1, .input = {A},          \
        .output = {                                                                                \
            OUT                                                                                    \
        }                                                                                          \
    }
#define INT_ATTRIBUTE(NAME, V)                                                                     \
    {                                                                                              \
        .name = NAME, .kind = OZ_ATTRIBUTE_INT, .i = (V)                                           \
    }
#define CAST(TO, A, OUT)                                                                           \
    {                                                                                              \
        .name = "Cast", .op = "Cast", .opset = 13, .n_inputs = 1, .n_outputs = 1,                  \
        .n_attributes = 1, .attribute = {INT_ATTRIBUTE("to", TO)}, .input = {A}, .output = {       \
            OUT                                                                                    \
        }                                                                                          \
    }
enum { TO_F32 = 1, TO_U8 = 2, TO_I8 = 3, TO_I32 = 6, TO_I64 = 7, TO_TEXT = 8, TO_BOOL = 9 };

static const struct one_node by_hand[] = {
    BINARY(Div, I32(7, INT32_MIN, -7, 0), I32(0, -1, 2, 0), I32(0, INT32_MIN, -3, 0)),
    BINARY(Div, I64(7, INT64_MIN, -7), I64(0, -1, 2), I64(0, INT64_MIN, -3)),
    BINARY(Div, I8(7, INT8_MIN, -7), I8(0, -1, 2), I8(0, INT8_MIN, -3)),
    BINARY(Div, U8(7, 200), U8(0, 255), U8(0, 0)),
    BINARY(Mod, I32(7, INT32_MIN, -7, 7), I32(0, -1, 3, -3), I32(0, 0, 2, -2)),
    BINARY(Mod, I64(7, INT64_MIN, -7, 7), I64(0, -1, 3, -3), I64(0, 0, 2, -2)),
    BINARY(Mod, I8(7, INT8_MIN, -7), I8(0, -1, 3), I8(0, 0, 2)),
    BINARY(Mod, U8(7, 200, 255), U8(0, 255, 7), U8(0, 200, 3)),
    BINARY(Pow, I32(0, 2, -1, -1, 5, 10, 3), I32(-1, -2, -3, -4, 0, 10, INT32_MAX),
           I32(0, 0, -1, 1, 1, 1410065408, -1431655765)),
    BINARY(Pow, I64(INT64_MIN, 3), I64(INT64_MAX, 2), I64(0, 9)),
    BINARY(Pow, I32(10, -8, 0), F32(30.0f, 0.5f, -1.0f), I32(INT32_MAX, 0, INT32_MAX)),
    BINARY(Pow, F32(-INFINITY, -0.0f), F32(0.5f), F32(INFINITY, 0.0f)),
    UNARY(Abs, I32(INT32_MIN, -3), I32(INT32_MIN, 3)),
    UNARY(Neg, I8(INT8_MIN, 3), I8(INT8_MIN, -3)),
    UNARY(Erf, I64(INT64_MIN, 0, 1, 9), I64(-1, 0, 0, 1)),
    CAST(TO_I32, F32(3e9f, -3e9f, NAN, INFINITY, -1.9f),
         I32(INT32_MAX, INT32_MIN, 0, INT32_MAX, -1)),
    CAST(TO_I64, F64(1e19, -1e19, (double)NAN, -(double)INFINITY, 0x1p62),
         I64(INT64_MAX, INT64_MIN, 0, INT64_MIN, INT64_C(1) << 62)),
    CAST(TO_I64, F32(1e19f, -1e19f, NAN, 16777216.0f), I64(INT64_MAX, INT64_MIN, 0, 16777216)),
    CAST(TO_I32, F64(2147483647.9, -2147483648.9, 2147483646.5),
         I32(INT32_MAX, INT32_MIN, 2147483646)),
    CAST(TO_U8, F32(-5.0f, 255.9f, 256.0f, NAN, -0.9f), U8(0, 255, 255, 0, 0)),
    CAST(TO_I8, F64(-128.9, 127.9, 500.0), I8(INT8_MIN, INT8_MAX, INT8_MAX)),
    CAST(TO_I8, I32(200, 256, -129), I8(-56, 0, 127)),
    CAST(TO_BOOL, F32(NAN, -0.0f, 0.1f), BOOL(1, 0, 1)),
    CAST(TO_F32, TEXT({"+inf", 4}, {" 1.25e1\n", 8}), F32(INFINITY, 12.5f)),
    CAST(TO_BOOL, TEXT({"true", 4}, {"False", 5}, {"0.5", 3}), BOOL(1, 0, 0)),
    CAST(TO_TEXT, F64(0.1, 1e300, -0.5), TEXT({"0.1", 3}, {"1e300", 5}, {"-0.5", 4})),
};

static void division_and_casts_have_no_holes(void **state)
{
    (void)state;
    for (size_t i = 0; i < OZ_COUNT_OF(by_hand); i++) check_case(&by_hand[i]);
}

/* ---- rows ---- */

enum { ROWS = 67, WIDTH = 5 * 3 };

static void check_rows(const char *op, uint32_t opset, struct oz_attribute attribute)
{
    struct one_node c = {.name = op, .op = op, .opset = opset, .n_inputs = 1, .n_outputs = 1};
    static float x[ROWS * WIDTH];
    if (attribute.name) c.attribute[c.n_attributes++] = attribute;
    for (int i = 0; i < ROWS * WIDTH; i++) x[i] = (float)((i * 7919) % 1013) / 311.0f - 1.5f;
    c.input[0] = (struct oz_tensor){
        .dtype = OZ_DTYPE_F32, .rank = 3, .dim = {ROWS, 5, 3}, .n = ROWS * WIDTH, .f32 = x};
    struct fixture all;
    if (run_case(&all, &c, false) != OZ_OK) fail_msg("%s: %s", op, all.err.message);
    const size_t row_bytes = (size_t)(all.got[0].n / ROWS) * sizeof(float);
    for (int row = 0; row < ROWS; row++) {
        struct fixture one;
        c.input[0].dim[0] = 1;
        c.input[0].n = WIDTH;
        c.input[0].f32 = x + row * WIDTH;
        assert_int_equal(run_case(&one, &c, false), OZ_OK);
        if (memcmp(one.got[0].u8, all.got[0].u8 + (size_t)row * row_bytes, row_bytes))
            fail_msg("%s: row %d has other bits by itself", op, row);
        tear_down(&one);
    }
    tear_down(&all);
}

static void a_row_does_not_depend_on_its_batch(void **state)
{
    (void)state;
    static const char *const plain[] = {"Sigmoid", "Tanh", "Softplus", "Mish", "Elu", "Exp", "Erf"};
    static const char *const reductions[] = {"ReduceSum",  "ReduceMean", "ReduceL2",
                                             "ReduceProd", "ReduceMax",  "ReduceLogSumExp"};
    static const int64_t middle[] = {1}, last[] = {2}, both[] = {1, 2};
    static const struct {
        const int64_t *axes;
        size_t n;
    } axes[] = {{middle, 1}, {last, 1}, {both, 2}};
    for (size_t i = 0; i < OZ_COUNT_OF(plain); i++)
        check_rows(plain[i], 18, (struct oz_attribute){0});
    for (int64_t axis = 1; axis < 3; axis++) {
        check_rows("Softmax", 13, (struct oz_attribute)INT_ATTRIBUTE("axis", axis));
        check_rows("LogSoftmax", 11, (struct oz_attribute)INT_ATTRIBUTE("axis", axis));
    }
    for (size_t i = 0; i < OZ_COUNT_OF(reductions); i++)
        for (size_t k = 0; k < OZ_COUNT_OF(axes); k++)
            check_rows(reductions[i], 11,
                       (struct oz_attribute){.name = "axes",
                                             .kind = OZ_ATTRIBUTE_INTS,
                                             .n = axes[k].n,
                                             .ints = axes[k].axes});
}

/* ---- texts ---- */

/* text = Cast(x), same = Where(yes, text, text), then products that could take the texts' place,
 * then equal = Equal(same, written). */
static void texts_outlive_what_comes_after(void **state)
{
    (void)state;
    struct fixture f;
    const struct oz_tensor x = F32(1.5f, -2.25f, 1e-3f);
    struct oz_attribute to = INT_ATTRIBUTE("to", TO_TEXT);
    set_up(&f);
    f.constant[0] = (struct oz_tensor)BOOL(1, 0, 1);
    f.constant[1] = (struct oz_tensor)TEXT({"1.5", 3}, {"-2.25", 5}, {"0.001", 5});
    uint32_t in = new_value(&f), yes = new_value(&f), written = new_value(&f), made[5];
    for (int i = 0; i < 5; i++) made[i] = new_value(&f);
    f.net.value[yes].constant = &f.constant[0];
    f.net.value[written].constant = &f.constant[1];
    const struct {
        const char *op;
        uint32_t input[3], n;
    } nodes[] = {{"Cast", {in}, 1},
                 {"Where", {yes, made[0], made[0]}, 3},
                 {"Mul", {in, in}, 2},
                 {"Add", {made[2], made[2]}, 2},
                 {"Equal", {made[1], written}, 2}};
    for (size_t i = 0; i < OZ_COUNT_OF(nodes); i++) {
        struct oz_node *node = new_node(&f, nodes[i].op, 19);
        memcpy(node->input, nodes[i].input, sizeof nodes[i].input);
        node->n_inputs = nodes[i].n;
        node->output[0] = made[i];
        node->n_outputs = 1;
    }
    f.node[0].attribute = &to;
    f.node[0].n_attributes = 1;
    f.graph_input[f.net.graph.n_inputs++] = in;
    f.graph_output[f.net.graph.n_outputs++] = made[4];
    f.graph_output[f.net.graph.n_outputs++] = made[3];
    struct oz_tensor input[ARGS_MAX] = {x};
    if (run(&f, input, ARGS_MAX) != OZ_OK) fail_msg("%s", f.err.message);
    compare("texts", &f.got[0], &(struct oz_tensor)BOOL(1, 1, 1));
    compare("sums", &f.got[1], &(struct oz_tensor)F32(4.5f, 10.125f, 2e-6f));
    tear_down(&f);
}

/* ---- refusals ---- */

#define REFUSE(OP, OPSET, N, WHY, ...)                                                             \
    {                                                                                              \
        WHY, { .op = #OP, .opset = OPSET, .n_inputs = N, .n_outputs = 1, __VA_ARGS__ }             \
    }
#define WITH(...)                                                                                  \
    .n_attributes = sizeof((struct oz_attribute[]){__VA_ARGS__}) / sizeof(struct oz_attribute),    \
    .attribute = {__VA_ARGS__}
#define GIVEN(...) .input = {__VA_ARGS__}
#define SCALAR                                                                                     \
    {                                                                                              \
        .dtype = OZ_DTYPE_F32, .n = 1, .data = (float[]) { 1.0f }                                  \
    }

static const int64_t far_axes[] = {0, 3};
static const struct refusal {
    const char *why;
    struct one_node node;
} refusals[] = {
    REFUSE(Add, 14, 2, "inputs are float and int32", GIVEN(F32(1), I32(1))),
    REFUSE(Add, 14, 2, "is bool; served are float, double", GIVEN(BOOL(1), BOOL(1))),
    REFUSE(Add, 14, 2, "do not fit each other", GIVEN(F32(1, 2), F32(1, 2, 3))),
    REFUSE(Add, 14, 2, "`axis` is not served", GIVEN(F32(1), F32(1)),
           WITH(INT_ATTRIBUTE("axis", 0))),
    REFUSE(Max, 13, 3, "left out", GIVEN(F32(1), {.dtype = LEFT_OUT}, F32(1))),
    REFUSE(Sum, 13, 2, "is int32; served are float, double", GIVEN(I32(1), I32(1))),
    REFUSE(Mod, 13, 2, "fmod = 1", GIVEN(F32(1), F32(1))),
    REFUSE(Mod, 13, 2, "fmod", GIVEN(I32(1), I32(1)), WITH(INT_ATTRIBUTE("fmod", 2))),
    REFUSE(Pow, 13, 2, "its base is uint8", GIVEN(U8(1), U8(1))),
    REFUSE(Pow, 13, 2, "its exponent is bool", GIVEN(F32(1), BOOL(1))),
    REFUSE(Neg, 13, 1, "is uint8", GIVEN(U8(1))),
    REFUSE(Sqrt, 13, 1, "is int32", GIVEN(I32(1))),
    REFUSE(Celu, 13, 1, "is double", GIVEN(F64(1))),
    REFUSE(Gelu, 20, 1, "approximate", GIVEN(F32(1)),
           WITH({.name = "approximate", .kind = OZ_ATTRIBUTE_STRING, .s = {"fast", 4}})),
    REFUSE(PRelu, 16, 2, "larger than its input", GIVEN(F32(1), F32(1, 2))),
    REFUSE(Clip, 13, 2, "must be one number", GIVEN(F32(1), F32(1, 2))),
    REFUSE(Clip, 13, 2, "inputs are float and double", GIVEN(F32(1), F64(1))),
    REFUSE(Clip, 6, 2, "before opset 11 there is one", GIVEN(F32(1), F32(1))),
    REFUSE(Clip, 6, 1, "is int32; served are float, double", GIVEN(I32(1))),
    REFUSE(Clip, 13, 1, "`min` is not served", GIVEN(F32(1)),
           WITH({.name = "min", .kind = OZ_ATTRIBUTE_FLOAT, .f = 1.0f})),
    REFUSE(Softmax, 13, 1, "axis 1 of a tensor of rank 1", GIVEN(F32(1)),
           WITH(INT_ATTRIBUTE("axis", 1))),
    REFUSE(Softmax, 13, 1, "axis -1 of a tensor of rank 0", GIVEN(SCALAR)),
    REFUSE(Hardmax, 13, 1, "axis", GIVEN(F32(1)), WITH(INT_ATTRIBUTE("axis", INT64_MIN))),
    REFUSE(Less, 13, 2, "is string", GIVEN(TEXT({"", 0}), TEXT({"", 0}))),
    REFUSE(And, 7, 2, "is int32; served are bool", GIVEN(I32(1), I32(1))),
    REFUSE(Where, 16, 3, "its condition is float", GIVEN(F32(1), F32(1), F32(1))),
    REFUSE(Where, 16, 3, "inputs are float and int64", GIVEN(BOOL(1), F32(1), I64(1))),
    REFUSE(IsInf, 10, 1, "is int32", GIVEN(I32(1))),
    REFUSE(Cast, 13, 1, "float16", GIVEN(F32(1)), WITH(INT_ATTRIBUTE("to", 10))),
    REFUSE(Cast, 24, 1, "float8", GIVEN(F32(1)), WITH(INT_ATTRIBUTE("to", 17))),
    REFUSE(Cast, 13, 1, "4294967297", GIVEN(F32(1)),
           WITH(INT_ATTRIBUTE("to", (INT64_C(1) << 32) + 1))),
    REFUSE(Cast, 13, 1, "`to` is 0", GIVEN(F32(1))),
    REFUSE(Cast, 13, 1, "element 1, `seven`, is no float", GIVEN(TEXT({"1", 1}, {"seven", 5})),
           WITH(INT_ATTRIBUTE("to", 1))),
    REFUSE(Cast, 13, 1, "`300`, is no uint8", GIVEN(TEXT({"300", 3})),
           WITH(INT_ATTRIBUTE("to", 2))),
    REFUSE(Cast, 13, 1, "`1.`, is no int64",
           GIVEN(TEXT({"1.\0"
                       "5",
                       4})),
           WITH(INT_ATTRIBUTE("to", 7))),
    REFUSE(Cast, 13, 1, "is no int32", GIVEN(TEXT({"nan", 3})), WITH(INT_ATTRIBUTE("to", 6))),
    REFUSE(Cast, 13, 1, "is no bool", GIVEN(TEXT({"", 0})), WITH(INT_ATTRIBUTE("to", 9))),
    REFUSE(ReduceSum, 13, 2, "axis 1 of a tensor of rank 1", GIVEN(F32(1), I64(1))),
    REFUSE(ReduceSum, 13, 2, "a list of int64", GIVEN(F32(1), F32(0))),
    REFUSE(ReduceSum, 11, 2, "before opset 13 there is one", GIVEN(F32(1), I64(0))),
    REFUSE(ReduceMax, 13, 2, "before opset 18 there is one", GIVEN(F32(1), I64(0))),
    REFUSE(ReduceMax, 18, 1, "`axes` is not served", GIVEN(F32(1)),
           WITH({.name = "axes", .kind = OZ_ATTRIBUTE_INTS, .n = 1, .ints = far_axes})),
    REFUSE(ReduceMax, 13, 1, "axis 3 of a tensor of rank 1", GIVEN(F32(1)),
           WITH({.name = "axes", .kind = OZ_ATTRIBUTE_INTS, .n = 2, .ints = far_axes})),
    REFUSE(ReduceMax, 13, 1, "keepdims", GIVEN(F32(1)), WITH(INT_ATTRIBUTE("keepdims", 2))),
    REFUSE(ReduceMean, 13, 1, "is uint8", GIVEN(U8(1))),
    REFUSE(QuantizeLinear, 13, 2, "a scale of float[2]", GIVEN(F32(1, 2, 3), F32(1, 2)),
           WITH(INT_ATTRIBUTE("axis", 0))),
    REFUSE(QuantizeLinear, 10, 2, "must be one number", GIVEN(F32(1, 2), F32(1, 2))),
    REFUSE(QuantizeLinear, 13, 3, "its output is int32", GIVEN(F32(1), F32(1), I32(1))),
    REFUSE(QuantizeLinear, 13, 3, "with a zero point of", GIVEN(F32(1), F32(1), U8(1, 2))),
    REFUSE(QuantizeLinear, 21, 2, "block_size", GIVEN(F32(1), F32(1)),
           WITH(INT_ATTRIBUTE("block_size", -1))),
    REFUSE(QuantizeLinear, 21, 2, "in blocks of", GIVEN(F32(1, 2, 3), F32(1)),
           WITH(INT_ATTRIBUTE("block_size", 2), INT_ATTRIBUTE("axis", 0))),
    REFUSE(QuantizeLinear, 21, 2, "int16", GIVEN(F32(1), F32(1)),
           WITH(INT_ATTRIBUTE("output_dtype", 5))),
    REFUSE(QuantizeLinear, 23, 2, "precision", GIVEN(F32(1), F32(1)),
           WITH(INT_ATTRIBUTE("precision", 10))),
    REFUSE(DequantizeLinear, 13, 3, "inputs are uint8 and int8", GIVEN(U8(1), F32(1), I8(1))),
    REFUSE(DequantizeLinear, 13, 2, "its scale is double", GIVEN(U8(1), F64(1))),
    REFUSE(DynamicQuantizeLinear, 11, 1, "outputs", GIVEN(F32(1))),
};

static void what_is_not_served_is_refused_in_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < OZ_COUNT_OF(refusals); i++) {
        const struct refusal *r = &refusals[i];
        for (int folded = 0; folded < 2; folded++) {
            struct fixture f;
            if (run_case(&f, &r->node, folded) != OZ_MODEL)
                fail_msg("%s %u is not refused: %s", r->node.op, r->node.opset, r->why);
            if (!strstr(f.err.message, r->why)) fail_msg("%s is not in: %s", r->why, f.err.message);
            if (!strstr(f.err.message, r->node.op))
                fail_msg("%s is not in: %s", r->node.op, f.err.message);
            tear_down(&f);
        }
    }
}

static void axes_that_depend_on_the_data_are_refused(void **state)
{
    (void)state;
    const struct one_node c = {
        .op = "ReduceSum", .opset = 13, .n_inputs = 2, .n_outputs = 1, .input = {F32(1), I64(0)}};
    struct fixture f;
    build(&f, &c, false);
    assert_int_equal(run(&f, c.input, ARGS_MAX), OZ_MODEL);
    assert_non_null(strstr(f.err.message, "the list of axes depends on the data"));
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_what_onnx_runtime_gives),
        cmocka_unit_test(division_and_casts_have_no_holes),
        cmocka_unit_test(a_row_does_not_depend_on_its_batch),
        cmocka_unit_test(texts_outlive_what_comes_after),
        cmocka_unit_test(what_is_not_served_is_refused_in_words),
        cmocka_unit_test(axes_that_depend_on_the_data_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
