/* Proves that a net with fused neighbours gives what the net without gives, and that only what may
 * be fused is. How: each case is written twice, with its weights as constants of the file and as
 * inputs of the graph; without constants nothing is fused. Both are run for the same rows, among
 * them infinite ones and NaN. Where only the layout of the weights differs the bits agree; 1e-6 is
 * for products that start from their bias instead of adding it last, and for normalisations that
 * went into the weights. The operators that are left are compared by name. */
#include "net_runs.h"
#include "onnx_writer.h"
#include <math.h>
#include <stdio.h>
#include "models/net/op.h"
#include "models/onnx/onnx_reader.h"

static struct oz_error err;

enum { ROWS = 5, PARAMS_MAX = 7, NODES_MAX = 7 };

struct fuse_case {
    const char *name, *ran; /* the operators that are left with constants */
    size_t x_rank;
    int64_t x_dim[4];
    struct {
        const char *name;
        size_t rank;
        int64_t dim[4];
        float middle, spread;
    } param[PARAMS_MAX];
    struct {
        const char *op, *in, *out, *attributes; /* "alpha=0.5 axes=1,2": a float has a point */
    } node[NODES_MAX];
    const char *outputs; /* NULL: y */
    float tolerance;     /* 0: the same bits */
    int64_t opset;       /* 0: 17 */
};

#define X2                                                                                         \
    2, { ROWS, 6 }
#define W                                                                                          \
    {                                                                                              \
        "w", 2, {6, 7}, 0, 1                                                                       \
    }
#define B                                                                                          \
    {                                                                                              \
        "b", 1, {7}, 0, 1                                                                          \
    }
#define MM                                                                                         \
    {                                                                                              \
        "MatMul", "x w", "m", NULL                                                                 \
    }
#define X4                                                                                         \
    4, { ROWS, 3, 6, 6 }
#define CW                                                                                         \
    {                                                                                              \
        "w", 4, {4, 3, 3, 3}, 0, 1                                                                 \
    }
#define CB                                                                                         \
    {                                                                                              \
        "b", 1, {4}, 0, 1                                                                          \
    }
#define BN4                                                                                        \
    {"s", 1, {4}, 1, .5f}, {"t", 1, {4}, 0, 1}, {"u", 1, {4}, 0, 1}, { "v", 1, {4}, 2, 1 }
#define BN(in)                                                                                     \
    {                                                                                              \
        "BatchNormalization", in " s t u v", "n", "epsilon=0.01"                                   \
    }
#define DENSE_ACT(text, op, attributes)                                                            \
    {                                                                                              \
        "Gemm and " text, "Dense", X2, {W, B},                                                     \
            {{"Gemm", "x w b", "g", NULL}, {op, "g", "y", attributes}}, NULL, 0, 0                 \
    }
/* clang-format off */
static const struct fuse_case cases[] = {
    /* Gemm */
    {"Gemm", "Dense", X2, {W}, {{"Gemm", "x w", "y", NULL}}, NULL, 0, 0},
    {"Gemm, bias [n]", "Dense", X2, {W, B}, {{"Gemm", "x w b", "y", NULL}}, NULL, 0, 0},
    {"Gemm, bias [1, n]", "Dense", X2, {W, {"b", 2, {1, 7}, 0, 1}}, {{"Gemm", "x w b", "y", NULL}}, NULL, 0, 0},
    {"Gemm, bias [1]", "Gemm", X2, {W, {"b", 1, {1}, 0, 1}}, {{"Gemm", "x w b", "y", NULL}}, NULL, 0, 0},
    {"Gemm, bias []", "Gemm", X2, {W, {"b", 0, {0}, 0, 1}}, {{"Gemm", "x w b", "y", NULL}}, NULL, 0, 0},
    {"Gemm, bias [rows, 1]", "Gemm", X2, {W, {"b", 2, {ROWS, 1}, 0, 1}}, {{"Gemm", "x w b", "y", NULL}}, NULL, 0, 0},
    {"Gemm, bias [rows, n]", "Gemm", X2, {W, {"b", 2, {ROWS, 7}, 0, 1}}, {{"Gemm", "x w b", "y", NULL}}, NULL, 0, 0},
    {"Gemm to one column", "Dense", X2, {{"w", 2, {6, 1}, 0, 1}, {"b", 1, {1}, 0, 1}}, {{"Gemm", "x w b", "y", NULL}}, NULL, 0, 0},
    {"Gemm, transB", "Dense", X2, {{"w", 2, {7, 6}, 0, 1}, B}, {{"Gemm", "x w b", "y", "transB=1"}}, NULL, 0, 0},
    {"Gemm, transB=0", "Dense", X2, {W, B}, {{"Gemm", "x w b", "y", "transB=0 transA=0 alpha=1.0 beta=1.0"}}, NULL, 0, 0},
    {"Gemm, transA", "Gemm", X2, {{"w", 2, {ROWS, 7}, 0, 1}, B}, {{"Gemm", "x w b", "y", "transA=1"}}, NULL, 0, 0},
    {"Gemm, alpha", "Gemm", X2, {W, B}, {{"Gemm", "x w b", "y", "alpha=0.5"}}, NULL, 0, 0},
    {"Gemm, beta", "Gemm", X2, {W, B}, {{"Gemm", "x w b", "y", "beta=0.25"}}, NULL, 0, 0},
    {"Gemm, beta of nothing", "Dense", X2, {W}, {{"Gemm", "x w", "y", "beta=0.25"}}, NULL, 0, 0},
    {"Gemm, left-out bias", "Dense", X2, {W}, {{"Gemm", "x w -", "y", NULL}}, NULL, 0, 0},
    /* activations */
    DENSE_ACT("Relu", "Relu", NULL),
    DENSE_ACT("LeakyRelu", "LeakyRelu", NULL),
    DENSE_ACT("LeakyRelu .3", "LeakyRelu", "alpha=0.3"),
    DENSE_ACT("ThresholdedRelu", "ThresholdedRelu", NULL),
    DENSE_ACT("ThresholdedRelu .5", "ThresholdedRelu", "alpha=0.5"),
    DENSE_ACT("Sigmoid", "Sigmoid", NULL),
    DENSE_ACT("Tanh", "Tanh", NULL),
    DENSE_ACT("Elu", "Elu", NULL),
    DENSE_ACT("Elu 2", "Elu", "alpha=2.0"),
    DENSE_ACT("Selu", "Selu", NULL),
    DENSE_ACT("Selu, both", "Selu", "alpha=2.0 gamma=3.0"),
    DENSE_ACT("Selu, gamma", "Selu", "gamma=3.0"),
    DENSE_ACT("Celu", "Celu", NULL),
    DENSE_ACT("Celu 2", "Celu", "alpha=2.0"),
    DENSE_ACT("HardSigmoid", "HardSigmoid", NULL),
    DENSE_ACT("HardSigmoid, both", "HardSigmoid", "beta=0.75 alpha=0.125"),
    DENSE_ACT("HardSwish", "HardSwish", NULL),
    DENSE_ACT("Softplus", "Softplus", NULL),
    DENSE_ACT("Softsign", "Softsign", NULL),
    {"Gemm and Mish", "Dense", X2, {W, B}, {{"Gemm", "x w b", "g", NULL}, {"Mish", "g", "y", NULL}}, NULL, 0, 18},
    {"Gemm and Swish", "Dense", X2, {W, B}, {{"Gemm", "x w b", "g", NULL}, {"Swish", "g", "y", "alpha=1.5"}}, NULL, 0, 24},
    {"Gemm and Gelu", "Dense Gelu", X2, {W, B}, {{"Gemm", "x w b", "g", NULL}, {"Gelu", "g", "y", NULL}}, NULL, 0, 20},
    DENSE_ACT("Clip", "Clip", NULL),
    {"Gemm and Clip, both", "Dense", X2, {W, B, {"lo", 0, {0}, -.5f, 0}, {"hi", 0, {0}, .75f, 0}}, {{"Gemm", "x w b", "g", NULL}, {"Clip", "g lo hi", "y", NULL}}, NULL, 0, 0},
    {"Gemm and Clip, max", "Dense", X2, {W, B, {"hi", 0, {0}, .75f, 0}}, {{"Gemm", "x w b", "g", NULL}, {"Clip", "g - hi", "y", NULL}}, NULL, 0, 0},
    {"Gemm and Clip, min", "Dense", X2, {W, B, {"lo", 0, {0}, -.5f, 0}}, {{"Gemm", "x w b", "g", NULL}, {"Clip", "g lo", "y", NULL}}, NULL, 0, 0},
    {"Gemm and Clip, crossed", "Dense", X2, {W, B, {"lo", 0, {0}, .75f, 0}, {"hi", 0, {0}, -.5f, 0}}, {{"Gemm", "x w b", "g", NULL}, {"Clip", "g lo hi", "y", NULL}}, NULL, 0, 0},
    {"Gemm and old Clip", "Dense", X2, {W, B}, {{"Gemm", "x w b", "g", NULL}, {"Clip", "g", "y", "min=-0.5 max=0.75"}}, NULL, 0, 10},
    {"Gemm and PRelu", "Dense PRelu", X2, {W, B, {"p", 1, {7}, 0, 1}}, {{"Gemm", "x w b", "g", NULL}, {"PRelu", "g p", "y", NULL}}, NULL, 0, 0},
    {"Gemm and two", "Dense Tanh", X2, {W, B}, {{"Gemm", "x w b", "g", NULL}, {"Relu", "g", "r", NULL}, {"Tanh", "r", "y", NULL}}, NULL, 0, 0},
    /* who else reads */
    {"an output between", "Dense Relu", X2, {W, B}, {{"Gemm", "x w b", "g", NULL}, {"Relu", "g", "y", NULL}}, "y g", 0, 0},
    {"the same output twice", "Dense", X2, {W, B}, {{"Gemm", "x w b", "g", NULL}, {"Relu", "g", "y", NULL}}, "y y", 0, 0},
    {"two readers", "Dense Relu Tanh Add", X2, {W, B}, {{"Gemm", "x w b", "g", NULL}, {"Relu", "g", "r", NULL}, {"Tanh", "g", "t", NULL}, {"Add", "r t", "y", NULL}}, NULL, 0, 0},
    {"a reader that nobody reads", "Dense", X2, {W, B}, {{"Gemm", "x w b", "g", NULL}, {"Tanh", "g", "t", NULL}, {"Relu", "g", "y", NULL}}, NULL, 0, 0},
    {"one product read twice", "Dense Add", X2, {W}, {MM, {"Add", "m m", "y", NULL}}, NULL, 0, 0},
    {"one bias twice", "Dense Dense Add", X2, {W, B}, {MM, {"Add", "m b", "p", NULL}, {"MatMul", "x w", "q", NULL}, {"Add", "b q", "r", NULL}, {"Add", "p r", "y", NULL}}, NULL, 1e-6f, 0},
    {"sum between", "Dense Add", X2, {W, B}, {MM, {"Add", "m b", "y", NULL}}, "y m", 0, 0},
    /* MatMul */
    {"MatMul", "Dense", X2, {W}, {{"MatMul", "x w", "y", NULL}}, NULL, 0, 0},
    {"MatMul, Add", "Dense", X2, {W, B}, {MM, {"Add", "m b", "y", NULL}}, NULL, 1e-6f, 0},
    {"Add, MatMul", "Dense", X2, {W, B}, {MM, {"Add", "b m", "y", NULL}}, NULL, 1e-6f, 0},
    {"MatMul, Add, Relu", "Dense", X2, {W, B}, {MM, {"Add", "b m", "a", NULL}, {"Relu", "a", "y", NULL}}, NULL, 1e-6f, 0},
    {"MatMul, Relu, Add", "Dense Add", X2, {W, B}, {MM, {"Relu", "m", "a", NULL}, {"Add", "a b", "y", NULL}}, NULL, 0, 0},
    {"MatMul, Sub", "Dense Sub", X2, {W, B}, {MM, {"Sub", "m b", "y", NULL}}, NULL, 0, 0},
    {"MatMul, Add, Add", "Dense Add", X2, {W, B, {"c", 1, {7}, 0, 1}}, {MM, {"Add", "m b", "a", NULL}, {"Add", "a c", "y", NULL}}, NULL, 1e-6f, 0},
    {"MatMul, Add [1, n]", "Dense", X2, {W, {"b", 2, {1, 7}, 0, 1}}, {MM, {"Add", "m b", "y", NULL}}, NULL, 1e-6f, 0},
    {"MatMul, Add [1, 1, n]", "Dense Add", X2, {W, {"b", 3, {1, 1, 7}, 0, 1}}, {MM, {"Add", "m b", "y", NULL}}, NULL, 0, 0},
    {"MatMul, Add [rows, n]", "Dense Add", X2, {W, {"b", 2, {ROWS, 7}, 0, 1}}, {MM, {"Add", "m b", "y", NULL}}, NULL, 0, 0},
    {"MatMul, Add [7, 1]", "Dense Add", 2, {7, 6}, {W, {"b", 2, {7, 1}, 0, 1}}, {MM, {"Add", "m b", "y", NULL}}, NULL, 0, 0},
    {"MatMul, Add []", "Dense Add", X2, {W, {"b", 0, {0}, 0, 1}}, {MM, {"Add", "m b", "y", NULL}}, NULL, 0, 0},
    {"MatMul, Add [2, 1, n]", "Dense Add", X2, {W, {"b", 3, {2, 1, 7}, 0, 1}}, {MM, {"Add", "m b", "y", NULL}}, NULL, 0, 0},
    {"to one column, Add [3]", "Dense Add", X2, {{"w", 2, {6, 1}, 0, 1}, {"b", 1, {3}, 0, 1}}, {MM, {"Add", "m b", "y", NULL}}, NULL, 0, 0},
    {"to one column, Add [1]", "Dense", X2, {{"w", 2, {6, 1}, 0, 1}, {"b", 1, {1}, 0, 1}}, {MM, {"Add", "m b", "y", NULL}}, NULL, 1e-6f, 0},
    {"rank 3, Add [1, 1, n]", "Dense", 3, {ROWS, 2, 6}, {W, {"b", 3, {1, 1, 7}, 0, 1}}, {MM, {"Add", "m b", "y", NULL}}, NULL, 1e-6f, 0},
    {"rank 3, Add [n]", "Dense", 3, {ROWS, 2, 6}, {W, B}, {MM, {"Add", "m b", "y", NULL}}, NULL, 1e-6f, 0},
    {"rank 1, Add [1, n]", "Dense Add", 1, {6}, {W, {"b", 2, {1, 7}, 0, 1}}, {MM, {"Add", "m b", "y", NULL}}, NULL, 0, 0},
    {"rank 1, Add [n]", "Dense", 1, {6}, {W, B}, {MM, {"Add", "m b", "y", NULL}}, NULL, 1e-6f, 0},
    {"rank not known, Add [1, n]", "ReduceSum Dense Add", 3, {1, 2, 6}, {W, {"b", 2, {1, 7}, 0, 1}},
     {{"ReduceSum", "x", "f", "axes=0,1 keepdims=0"}, {"MatMul", "f w", "m", NULL}, {"Add", "m b", "y", NULL}}, NULL, 0, 11},
    {"matrix on the left", "MatMul Add", 2, {6, 7}, {{"w", 2, {4, 6}, 0, 1}, B}, {{"MatMul", "w x", "m", NULL}, {"Add", "m b", "y", NULL}}, NULL, 0, 0},
    {"weights of rank 3", "MatMul Add", 3, {2, ROWS, 6}, {{"w", 3, {2, 6, 7}, 0, 1}, B}, {MM, {"Add", "m b", "y", NULL}}, NULL, 0, 0},
    {"weights of rank 1", "MatMul", X2, {{"w", 1, {6}, 0, 1}}, {{"MatMul", "x w", "y", NULL}}, NULL, 0, 0},
    {"two layers", "Dense Dense", X2, {W, B, {"w2", 2, {7, 3}, 0, 1}, {"b2", 2, {1, 3}, 0, 1}},
     {MM, {"Add", "m b", "a", NULL}, {"Relu", "a", "r", NULL}, {"MatMul", "r w2", "m2", NULL}, {"Add", "b2 m2", "a2", NULL}, {"Sigmoid", "a2", "y", NULL}}, NULL, 1e-6f, 0},
    /* Conv */
    {"Conv", "Conv", X4, {CW}, {{"Conv", "x w", "y", NULL}}, NULL, 0, 0},
    {"Conv, bias, Relu", "Conv", X4, {CW, CB}, {{"Conv", "x w b", "c", "pads=1,0,1,2 strides=2,1"}, {"Relu", "c", "y", NULL}}, NULL, 0, 0},
    {"Conv, Clip", "Conv", X4, {CW, {"lo", 0, {0}, 0, 0}, {"hi", 0, {0}, 6, 0}}, {{"Conv", "x w", "c", NULL}, {"Clip", "c lo hi", "y", NULL}}, NULL, 0, 0},
    {"Conv, normalised", "Conv Identity", X4, {CW, BN4}, {{"Conv", "x w", "c", "dilations=2,1"}, BN("c"), {"Identity", "n", "y", NULL}}, NULL, 1e-6f, 0},
    {"Conv, bias, normalised, Relu", "Conv", X4, {CW, CB, BN4}, {{"Conv", "x w b", "c", NULL}, BN("c"), {"Relu", "n", "y", NULL}}, NULL, 1e-6f, 0},
    {"Conv, normalised, LeakyRelu", "Conv", X4, {CW, BN4}, {{"Conv", "x w", "c", "auto_pad=SAME_UPPER"}, BN("c"), {"LeakyRelu", "n", "y", "alpha=0.2"}}, NULL, 1e-6f, 0},
    {"Conv, Relu, normalised", "Conv BatchNormalization", X4, {CW, BN4}, {{"Conv", "x w", "c", NULL}, {"Relu", "c", "r", NULL}, BN("r")}, "n", 0, 0},
    {"Conv by channel, normalised", "Conv", 4, {ROWS, 4, 6, 6}, {{"w", 4, {4, 1, 3, 3}, 0, 1}, BN4}, {{"Conv", "x w", "c", "group=4"}, BN("c")}, "n", 1e-6f, 0},
    {"Conv of one dimension, normalised", "Conv", 3, {ROWS, 3, 9}, {{"w", 3, {4, 3, 3}, 0, 1}, CB, BN4}, {{"Conv", "x w b", "c", NULL}, BN("c")}, "n", 1e-6f, 0},
    {"Conv, normalised, read before", "Conv BatchNormalization", X4, {CW, BN4}, {{"Conv", "x w", "c", NULL}, BN("c")}, "n c", 0, 0},
    {"Conv, Add", "Conv Add", X4, {CW, {"b", 4, {1, 4, 1, 1}, 0, 1}}, {{"Conv", "x w", "c", NULL}, {"Add", "c b", "y", NULL}}, NULL, 0, 0},
};
/* clang-format on */

static uint64_t random_state;
static float random_float(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return ((float)(uint32_t)(random_state >> 40) / (float)(1 << 23) - 1);
}

static int64_t count_of(size_t rank, const int64_t *dim)
{
    int64_t n = 1;
    for (size_t d = 0; d < rank; d++) n *= dim[d];
    return n;
}

static void put_attributes(struct message *node, const char *text)
{
    char copy[128], *rest = NULL;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *at = strtok_r(copy, " ", &rest); at; at = strtok_r(NULL, " ", &rest)) {
        char *value = strchr(at, '=');
        *value++ = '\0';
        if (strchr(value, '.')) {
            attr_float(node, at, strtof(value, NULL));
        } else if (*value == 'S') {
            struct message attribute = attribute_of(at, 3);
            put_text(&attribute, 4, value);
            put_part(node, NODE_ATTRIBUTE, &attribute);
        } else if (strchr(value, ',')) {
            int64_t list[8];
            size_t n = 0;
            for (char *end = value; *value; value = *end ? end + 1 : end)
                list[n++] = strtoll(value, &end, 10);
            attr_ints(node, at, n, list);
        } else {
            attr_int(node, at, strtoll(value, NULL, 10));
        }
    }
}

static struct message model_of_case(const struct fuse_case *c, bool is_fixed, float *const *data)
{
    struct message g = {0};
    put_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, c->x_rank, c->x_dim);
    for (int p = 0; p < PARAMS_MAX && c->param[p].name; p++)
        if (is_fixed)
            put_floats(&g, c->param[p].name, c->param[p].rank, c->param[p].dim, data[p]);
        else
            put_value(&g, GRAPH_INPUT, c->param[p].name, ONNX_FLOAT, c->param[p].rank,
                      c->param[p].dim);
    for (int i = 0; i < NODES_MAX && c->node[i].op; i++) {
        struct message node = node_of(c->node[i].op, c->node[i].in, c->node[i].out);
        if (c->node[i].attributes) put_attributes(&node, c->node[i].attributes);
        put_part(&g, GRAPH_NODE, &node);
    }
    put_ends(&g, GRAPH_OUTPUT, c->outputs ? c->outputs : "y");
    return model_of(&g, c->opset ? c->opset : 17);
}

struct ran {
    struct oz_net net;
    struct oz_arena arena;
    struct net_plans plans;
    struct oz_tensor out[NET_RUN_OUTPUTS_MAX];
    char ops[256];
};

static void run_case(const struct fuse_case *c, bool is_fixed, const struct oz_tensor *input,
                     float *const *data, struct ran *ret)
{
    struct message model = model_of_case(c, is_fixed, data);
    oz_arena_init(&ret->arena, 1 << 14);
    oz_net_init(&ret->net);
    enum oz_status status = oz_onnx_read(model.data, model.n, &ret->net, &err);
    if (status == OZ_OK) status = oz_net_compile(&ret->net, &err);
    if (status == OZ_OK) status = net_plans_init(&ret->plans, &ret->net, input, &ret->arena, &err);
    if (status == OZ_OK) status = net_run(c->name, &ret->plans, input, 0x7f, ret->out, &err);
    if (status != OZ_OK) fail_msg("%s: %s", c->name, err.message);
    size_t at = 0;
    ret->ops[0] = '\0';
    for (uint32_t i = 0; i < ret->net.graph.n_nodes; i++)
        at += (size_t)snprintf(ret->ops + at, sizeof ret->ops - at, i ? " %s" : "%s",
                               ret->net.graph.node[i].op->name);
    message_clear(&model);
}

static void ran_clear(struct ran *ran)
{
    net_plans_clear(&ran->plans);
    oz_net_clear(&ran->net);
    oz_arena_clear(&ran->arena);
}

/* Equal, or as close as the case allows for values that are sums of terms of size `size`. */
static void same_values(const struct fuse_case *c, const struct oz_tensor *a,
                        const struct oz_tensor *b, float size)
{
    if (a->dtype != b->dtype || !oz_tensor_same_shape(a, b)) fail_msg("%s: shapes", c->name);
    for (int64_t i = 0; i < a->n; i++) {
        float x = a->f32[i], y = b->f32[i];
        bool same = !memcmp(&x, &y, sizeof x) || (isnan(x) && isnan(y));
        if (!same && !(c->tolerance > 0 && fabsf(x - y) <= c->tolerance * fmaxf(size, fabsf(y))))
            fail_msg("%s: element %d is %.9g fused, %.9g not", c->name, (int)i, (double)x,
                     (double)y);
    }
}

static void try_case(const struct fuse_case *c)
{
    struct oz_tensor input[NET_RUN_INPUTS_MAX];
    float *data[PARAMS_MAX + 1] = {NULL};
    int64_t n = count_of(c->x_rank, c->x_dim);
    float *x = malloc((size_t)n * sizeof *x);
    random_state = 7;
    assert_int_equal(oz_tensor_shape(&input[0], OZ_DTYPE_F32, c->x_rank, c->x_dim, &err), OZ_OK);
    input[0].f32 = x;
    for (int p = 0; p < PARAMS_MAX && c->param[p].name; p++) {
        int64_t size = count_of(c->param[p].rank, c->param[p].dim);
        data[p] = malloc((size_t)size * sizeof *data[p]);
        for (int64_t i = 0; i < size; i++)
            data[p][i] = c->param[p].middle + c->param[p].spread * random_float();
        assert_int_equal(
            oz_tensor_shape(&input[p + 1], OZ_DTYPE_F32, c->param[p].rank, c->param[p].dim, &err),
            OZ_OK);
        input[p + 1].f32 = data[p];
    }
    for (int special = 0; special < 2; special++) {
        /* Where sums differ in order, some only overflow in one of them. */
        const float odd[] = {INFINITY, -INFINITY, NAN,
                             -0.0f,    1e-42f,    c->tolerance > 0 ? 1e30f : 3e38f};
        struct ran fused, plain;
        for (int64_t i = 0; i < n; i++) x[i] = 4 * random_float();
        for (size_t i = 0; special && i < OZ_COUNT_OF(odd); i++)
            x[i * (size_t)(n - 1) / OZ_COUNT_OF(odd)] = odd[i];
        run_case(c, true, input, data, &fused);
        run_case(c, false, input, data, &plain);
        if (strcmp(fused.ops, c->ran))
            fail_msg("%s: %s are left, expected %s", c->name, fused.ops, c->ran);
        if (strstr(plain.ops, "Dense") || plain.net.graph.n_nodes < fused.net.graph.n_nodes)
            fail_msg("%s: fused without constants: %s", c->name, plain.ops);
        for (uint32_t k = 0; k < fused.net.graph.n_outputs; k++)
            same_values(c, &fused.out[k], &plain.out[k], 4);
        ran_clear(&fused);
        ran_clear(&plain);
    }
    for (int p = 0; p < PARAMS_MAX; p++) free(data[p]);
    free(x);
}

static void fused_nets_give_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < OZ_COUNT_OF(cases); i++) try_case(&cases[i]);
}

/* x [rows x 6] times w; bias and activation in both branches of an If that is taken for sums above
 * 0, or all three in the body of a Loop. */
static struct message model_of_bodies(bool is_fixed, float *w, float *b)
{
    struct message g = {0}, body = {0}, branch[2] = {{0}};
    int64_t w_dim[] = {6, 6}, b_dim[] = {1, 6};
    put_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, 2, (int64_t[]){-1, 6});
    if (is_fixed) {
        put_floats(&g, "w", 2, w_dim, w);
        put_floats(&g, "b", 2, b_dim, b);
    } else {
        put_value(&g, GRAPH_INPUT, "w", ONNX_FLOAT, 2, w_dim);
        put_value(&g, GRAPH_INPUT, "b", ONNX_FLOAT, 2, b_dim);
    }
    put_floats(&g, "zero", 0, NULL, (float[]){0});
    put_i64(&g, "count", 3);
    put_node(&g, "MatMul", "x w", "m"); /* read in branches only: not fused over */
    struct message node = node_of("ReduceSum", "x", "sum");
    attr_int(&node, "keepdims", 0);
    put_part(&g, GRAPH_NODE, &node);
    put_node(&g, "Less", "zero sum", "c");
    for (int i = 0; i < 2; i++) {
        put_node(&branch[i], "Add", "m b", "a");
        put_node(&branch[i], i ? "Relu" : "Tanh", "a", "r");
        put_ends(&branch[i], GRAPH_OUTPUT, "r");
    }
    node = node_of("If", "c", "f");
    attr_graph(&node, "then_branch", &branch[0]);
    attr_graph(&node, "else_branch", &branch[1]);
    put_part(&g, GRAPH_NODE, &node);
    put_ends(&body, GRAPH_INPUT, "i d s");
    put_node(&body, "Gemm", "s w b", "g");
    put_node(&body, "Sigmoid", "g", "t"); /* fused */
    put_node(&body, "MatMul", "t w", "n");
    put_node(&body, "Add", "n b", "o"); /* the rank of t does not show: only the product is */
    put_ends(&body, GRAPH_OUTPUT, "d o");
    node = node_of("Loop", "count - f", "y");
    attr_graph(&node, "body", &body);
    put_part(&g, GRAPH_NODE, &node);
    put_ends(&g, GRAPH_OUTPUT, "y");
    return model_of(&g, 17);
}

static void bodies_are_fused_by_themselves(void **state)
{
    (void)state;
    static const int64_t dims[][2] = {{ROWS, 6}, {6, 6}, {1, 6}};
    static float data[3][36];
    struct oz_tensor input[3];
    random_state = 3;
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 36; k++) data[i][k] = random_float();
        assert_int_equal(oz_tensor_shape(&input[i], OZ_DTYPE_F32, 2, dims[i], &err), OZ_OK);
        input[i].f32 = data[i];
    }
    for (int sign = 0; sign < 2; sign++) {
        struct oz_net net[2];
        struct oz_arena arena;
        struct net_plans plans[2];
        struct oz_tensor out[2];
        oz_arena_init(&arena, 1 << 14);
        for (int k = 0; k < ROWS * 6; k++) data[0][k] = -data[0][k];
        for (int fixed = 0; fixed < 2; fixed++) {
            struct message model = model_of_bodies(fixed, data[1], data[2]);
            oz_net_init(&net[fixed]);
            enum oz_status status = oz_onnx_read(model.data, model.n, &net[fixed], &err);
            if (status == OZ_OK) status = oz_net_compile(&net[fixed], &err);
            if (status == OZ_OK)
                status = net_plans_init(&plans[fixed], &net[fixed], input, &arena, &err);
            if (status == OZ_OK)
                status = net_run("bodies", &plans[fixed], input, 0xa5, &out[fixed], &err);
            if (status != OZ_OK) fail_msg("%s", err.message);
            message_clear(&model);
        }
        net_same_bits("bodies", &out[0], &out[1]);
        const struct oz_graph *main_graph = &net[1].graph;
        const struct oz_graph *body = main_graph->node[main_graph->n_nodes - 1].attribute[0].graph;
        assert_string_equal(main_graph->node[0].op->name, "Dense");
        assert_int_equal(main_graph->n_nodes, 5);
        assert_int_equal(body->n_nodes, 3);
        assert_string_equal(body->node[0].op->name, "Dense");
        for (int fixed = 0; fixed < 2; fixed++) {
            net_plans_clear(&plans[fixed]);
            oz_net_clear(&net[fixed]);
        }
        oz_arena_clear(&arena);
    }
}

static void failed_allocations_are_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < OZ_COUNT_OF(cases); i++) {
        static float zeros[512];
        float *data[PARAMS_MAX];
        for (int p = 0; p < PARAMS_MAX; p++) data[p] = zeros;
        struct message model = model_of_case(&cases[i], true, data);
        enum oz_status status = OZ_NO_MEMORY;
        for (uint64_t nth = 1; status != OZ_OK; nth++) {
            struct oz_net net;
            oz_net_init(&net);
            oz_fail_allocation(nth);
            status = oz_onnx_read(model.data, model.n, &net, &err);
            if (status == OZ_OK) status = oz_net_compile(&net, &err);
            oz_fail_allocation(0);
            oz_net_clear(&net);
            if (status != OZ_OK && status != OZ_NO_MEMORY)
                fail_msg("%s, allocation %d: %s", cases[i].name, (int)nth, err.message);
            assert_true(nth < 1000);
        }
        message_clear(&model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fused_nets_give_the_same),
        cmocka_unit_test(bodies_are_fused_by_themselves),
        cmocka_unit_test(failed_allocations_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
