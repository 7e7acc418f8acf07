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

/* Parts with ; between: first x and its dimensions, then parameters ("w 6x7", "lo -" is a scalar;
 * two numbers behind them are middle and spread), nodes ("y = Gemm x w b | alpha=0.5 pads=1,2"; a
 * float has a point), and "> outputs" where they are not the last node's. */
struct fuse_case {
    const char *name, *ran; /* the operators that are left with constants */
    const char *text;
    float tolerance; /* 0: the same bits */
    int64_t opset;
};

static const struct fuse_case cases[] = {
    /* Gemm */
    {"Gemm", "Dense", "x 5x6; w 6x7; y = Gemm x w", 0, 17},
    {"Gemm, bias [n]", "Dense", "x 5x6; w 6x7; b 7; y = Gemm x w b", 0, 17},
    {"Gemm, bias [1, n]", "Dense", "x 5x6; w 6x7; b 1x7; y = Gemm x w b", 0, 17},
    {"Gemm, bias [1]", "Gemm", "x 5x6; w 6x7; b 1; y = Gemm x w b", 0, 17},
    {"Gemm, bias []", "Gemm", "x 5x6; w 6x7; b -; y = Gemm x w b", 0, 17},
    {"Gemm, bias [rows, 1]", "Gemm", "x 5x6; w 6x7; b 5x1; y = Gemm x w b", 0, 17},
    {"Gemm, bias [rows, n]", "Gemm", "x 5x6; w 6x7; b 5x7; y = Gemm x w b", 0, 17},
    {"Gemm to one column", "Dense", "x 5x6; w 6x1; b 1; y = Gemm x w b", 0, 17},
    {"Gemm, transB", "Dense", "x 5x6; w 7x6; b 7; y = Gemm x w b | transB=1", 0, 17},
    {"Gemm, transB=0", "Dense",
     "x 5x6; w 6x7; b 7; y = Gemm x w b | transB=0 transA=0 alpha=1.0 beta=1.0", 0, 17},
    {"Gemm, transA", "Gemm", "x 5x6; w 5x7; b 7; y = Gemm x w b | transA=1", 0, 17},
    {"Gemm, alpha", "Gemm", "x 5x6; w 6x7; b 7; y = Gemm x w b | alpha=0.5", 0, 17},
    {"Gemm, beta", "Gemm", "x 5x6; w 6x7; b 7; y = Gemm x w b | beta=0.25", 0, 17},
    {"Gemm, beta of nothing", "Dense", "x 5x6; w 6x7; y = Gemm x w | beta=0.25", 0, 17},
    {"Gemm, left-out bias", "Dense", "x 5x6; w 6x7; y = Gemm x w -", 0, 17},
    /* activations */
    {"Gemm and Relu", "Dense", "x 5x6; w 6x7; b 7; g = Gemm x w b; y = Relu g", 0, 17},
    {"Gemm and LeakyRelu", "Dense", "x 5x6; w 6x7; b 7; g = Gemm x w b; y = LeakyRelu g", 0, 17},
    {"Gemm and LeakyRelu .3", "Dense",
     "x 5x6; w 6x7; b 7; g = Gemm x w b; y = LeakyRelu g | alpha=0.3", 0, 17},
    {"Gemm and ThresholdedRelu", "Dense",
     "x 5x6; w 6x7; b 7; g = Gemm x w b; y = ThresholdedRelu g", 0, 17},
    {"Gemm and ThresholdedRelu .5", "Dense",
     "x 5x6; w 6x7; b 7; g = Gemm x w b; y = ThresholdedRelu g | alpha=0.5", 0, 17},
    {"Gemm and Sigmoid", "Dense", "x 5x6; w 6x7; b 7; g = Gemm x w b; y = Sigmoid g", 0, 17},
    {"Gemm and Tanh", "Dense", "x 5x6; w 6x7; b 7; g = Gemm x w b; y = Tanh g", 0, 17},
    {"Gemm and Elu", "Dense", "x 5x6; w 6x7; b 7; g = Gemm x w b; y = Elu g", 0, 17},
    {"Gemm and Elu 2", "Dense", "x 5x6; w 6x7; b 7; g = Gemm x w b; y = Elu g | alpha=2.0", 0, 17},
    {"Gemm and Selu", "Dense", "x 5x6; w 6x7; b 7; g = Gemm x w b; y = Selu g", 0, 17},
    {"Gemm and Selu, both", "Dense",
     "x 5x6; w 6x7; b 7; g = Gemm x w b; y = Selu g | alpha=2.0 gamma=3.0", 0, 17},
    {"Gemm and Selu, gamma", "Dense", "x 5x6; w 6x7; b 7; g = Gemm x w b; y = Selu g | gamma=3.0",
     0, 17},
    {"Gemm and Celu", "Dense", "x 5x6; w 6x7; b 7; g = Gemm x w b; y = Celu g", 0, 17},
    {"Gemm and Celu 2", "Dense", "x 5x6; w 6x7; b 7; g = Gemm x w b; y = Celu g | alpha=2.0", 0,
     17},
    {"Gemm and HardSigmoid", "Dense", "x 5x6; w 6x7; b 7; g = Gemm x w b; y = HardSigmoid g", 0,
     17},
    {"Gemm and HardSigmoid, both", "Dense",
     "x 5x6; w 6x7; b 7; g = Gemm x w b; y = HardSigmoid g | beta=0.75 alpha=0.125", 0, 17},
    {"Gemm and HardSwish", "Dense", "x 5x6; w 6x7; b 7; g = Gemm x w b; y = HardSwish g", 0, 17},
    {"Gemm and Softplus", "Dense", "x 5x6; w 6x7; b 7; g = Gemm x w b; y = Softplus g", 0, 17},
    {"Gemm and Softsign", "Dense", "x 5x6; w 6x7; b 7; g = Gemm x w b; y = Softsign g", 0, 17},
    {"Gemm and Mish", "Dense", "x 5x6; w 6x7; b 7; g = Gemm x w b; y = Mish g", 0, 18},
    {"Gemm and Swish", "Dense", "x 5x6; w 6x7; b 7; g = Gemm x w b; y = Swish g | alpha=1.5", 0,
     24},
    {"Gemm and Gelu", "Dense Gelu", "x 5x6; w 6x7; b 7; g = Gemm x w b; y = Gelu g", 0, 20},
    {"Gemm and Clip", "Dense", "x 5x6; w 6x7; b 7; g = Gemm x w b; y = Clip g", 0, 17},
    {"Gemm and Clip, both", "Dense",
     "x 5x6; w 6x7; b 7; lo - -0.5 0; hi - 0.75 0; g = Gemm x w b; y = Clip g lo hi", 0, 17},
    {"Gemm and Clip, max", "Dense",
     "x 5x6; w 6x7; b 7; hi - 0.75 0; g = Gemm x w b; y = Clip g - hi", 0, 17},
    {"Gemm and Clip, min", "Dense", "x 5x6; w 6x7; b 7; lo - -0.5 0; g = Gemm x w b; y = Clip g lo",
     0, 17},
    {"Gemm and Clip, crossed", "Dense",
     "x 5x6; w 6x7; b 7; lo - 0.75 0; hi - -0.5 0; g = Gemm x w b; y = Clip g lo hi", 0, 17},
    {"Gemm and old Clip", "Dense",
     "x 5x6; w 6x7; b 7; g = Gemm x w b; y = Clip g | min=-0.5 max=0.75", 0, 10},
    {"Gemm and PRelu", "Dense PRelu", "x 5x6; w 6x7; b 7; p 7; g = Gemm x w b; y = PRelu g p", 0,
     17},
    {"Gemm and two", "Dense Tanh", "x 5x6; w 6x7; b 7; g = Gemm x w b; r = Relu g; y = Tanh r", 0,
     17},
    /* who else reads */
    {"an output between", "Dense Relu", "x 5x6; w 6x7; b 7; g = Gemm x w b; y = Relu g; > y g", 0,
     17},
    {"the same output twice", "Dense", "x 5x6; w 6x7; b 7; g = Gemm x w b; y = Relu g; > y y", 0,
     17},
    {"two readers", "Dense Relu Tanh Add",
     "x 5x6; w 6x7; b 7; g = Gemm x w b; r = Relu g; t = Tanh g; y = Add r t", 0, 17},
    {"a reader that nobody reads", "Dense",
     "x 5x6; w 6x7; b 7; g = Gemm x w b; t = Tanh g; y = Relu g", 0, 17},
    {"one product read twice", "Dense Add", "x 5x6; w 6x7; m = MatMul x w; y = Add m m", 0, 17},
    {"one bias twice", "Dense Dense Add",
     "x 5x6; w 6x7; b 7; m = MatMul x w; p = Add m b; q = MatMul x w; r = Add b q; y = Add p r",
     1e-6f, 17},
    {"sum between", "Dense Add", "x 5x6; w 6x7; b 7; m = MatMul x w; y = Add m b; > y m", 0, 17},
    /* MatMul */
    {"MatMul", "Dense", "x 5x6; w 6x7; y = MatMul x w", 0, 17},
    {"MatMul, Add", "Dense", "x 5x6; w 6x7; b 7; m = MatMul x w; y = Add m b", 1e-6f, 17},
    {"Add, MatMul", "Dense", "x 5x6; w 6x7; b 7; m = MatMul x w; y = Add b m", 1e-6f, 17},
    {"MatMul, Add, Relu", "Dense", "x 5x6; w 6x7; b 7; m = MatMul x w; a = Add b m; y = Relu a",
     1e-6f, 17},
    {"MatMul, Relu, Add", "Dense Add", "x 5x6; w 6x7; b 7; m = MatMul x w; a = Relu m; y = Add a b",
     0, 17},
    {"MatMul, Sub", "Dense Sub", "x 5x6; w 6x7; b 7; m = MatMul x w; y = Sub m b", 0, 17},
    {"MatMul, Add, Add", "Dense Add",
     "x 5x6; w 6x7; b 7; c 7; m = MatMul x w; a = Add m b; y = Add a c", 1e-6f, 17},
    {"MatMul, Add [1, n]", "Dense", "x 5x6; w 6x7; b 1x7; m = MatMul x w; y = Add m b", 1e-6f, 17},
    {"MatMul, Add [1, 1, n]", "Dense Add", "x 5x6; w 6x7; b 1x1x7; m = MatMul x w; y = Add m b", 0,
     17},
    {"MatMul, Add [rows, n]", "Dense Add", "x 5x6; w 6x7; b 5x7; m = MatMul x w; y = Add m b", 0,
     17},
    {"MatMul, Add [7, 1]", "Dense Add", "x 7x6; w 6x7; b 7x1; m = MatMul x w; y = Add m b", 0, 17},
    {"MatMul, Add []", "Dense Add", "x 5x6; w 6x7; b -; m = MatMul x w; y = Add m b", 0, 17},
    {"MatMul, Add [2, 1, n]", "Dense Add", "x 5x6; w 6x7; b 2x1x7; m = MatMul x w; y = Add m b", 0,
     17},
    {"to one column, Add [3]", "Dense Add", "x 5x6; w 6x1; b 3; m = MatMul x w; y = Add m b", 0,
     17},
    {"to one column, Add [1]", "Dense", "x 5x6; w 6x1; b 1; m = MatMul x w; y = Add m b", 1e-6f,
     17},
    {"rank 3, Add [1, 1, n]", "Dense", "x 5x2x6; w 6x7; b 1x1x7; m = MatMul x w; y = Add m b",
     1e-6f, 17},
    {"rank 3, Add [n]", "Dense", "x 5x2x6; w 6x7; b 7; m = MatMul x w; y = Add m b", 1e-6f, 17},
    {"rank 1, Add [1, n]", "Dense Add", "x 6; w 6x7; b 1x7; m = MatMul x w; y = Add m b", 0, 17},
    {"rank 1, Add [n]", "Dense", "x 6; w 6x7; b 7; m = MatMul x w; y = Add m b", 1e-6f, 17},
    {"rank not known, Add [1, n]", "ReduceSum Dense Add",
     "x 1x2x6; w 6x7; b 1x7; f = ReduceSum x | axes=0,1 keepdims=0; m = MatMul f w; y = Add m b", 0,
     11},
    {"matrix on the left", "MatMul Add", "x 6x7; w 4x6; b 7; m = MatMul w x; y = Add m b", 0, 17},
    {"weights of rank 3", "MatMul Add", "x 2x5x6; w 2x6x7; b 7; m = MatMul x w; y = Add m b", 0,
     17},
    {"weights of rank 1", "MatMul", "x 5x6; w 6; y = MatMul x w", 0, 17},
    {"two layers", "Dense Dense",
     "x 5x6; w 6x7; b 7; w2 7x3; b2 1x3; m = MatMul x w; a = Add m b; r = Relu a; m2 = MatMul r "
     "w2; a2 = Add b2 m2; y = Sigmoid a2",
     1e-6f, 17},
    /* Conv */
    {"Conv", "Conv", "x 5x3x6x6; w 4x3x3x3; y = Conv x w", 0, 17},
    {"Conv, bias, Relu", "Conv",
     "x 5x3x6x6; w 4x3x3x3; b 4; c = Conv x w b | pads=1,0,1,2 strides=2,1; y = Relu c", 0, 17},
    {"Conv, Clip", "Conv",
     "x 5x3x6x6; w 4x3x3x3; lo - 0 0; hi - 6 0; c = Conv x w; y = Clip c lo hi", 0, 17},
    {"Conv, normalised", "Conv Identity",
     "x 5x3x6x6; w 4x3x3x3; s 4 1 0.5; t 4; u 4; v 4 2 1; c = Conv x w | dilations=2,1; n = "
     "BatchNormalization c s t u v | epsilon=0.01; y = Identity n",
     1e-6f, 17},
    {"Conv, bias, normalised, Relu", "Conv",
     "x 5x3x6x6; w 4x3x3x3; b 4; s 4 1 0.5; t 4; u 4; v 4 2 1; c = Conv x w b; n = "
     "BatchNormalization c s t u v | epsilon=0.01; y = Relu n",
     1e-6f, 17},
    {"Conv, normalised, LeakyRelu", "Conv",
     "x 5x3x6x6; w 4x3x3x3; s 4 1 0.5; t 4; u 4; v 4 2 1; c = Conv x w | auto_pad=SAME_UPPER; n = "
     "BatchNormalization c s t u v | epsilon=0.01; y = LeakyRelu n | alpha=0.2",
     1e-6f, 17},
    {"Conv, Relu, normalised", "Conv BatchNormalization",
     "x 5x3x6x6; w 4x3x3x3; s 4 1 0.5; t 4; u 4; v 4 2 1; c = Conv x w; r = Relu c; n = "
     "BatchNormalization r s t u v | epsilon=0.01; > n",
     0, 17},
    {"Conv by channel, normalised", "Conv",
     "x 5x4x6x6; w 4x1x3x3; s 4 1 0.5; t 4; u 4; v 4 2 1; c = Conv x w | group=4; n = "
     "BatchNormalization c s t u v | epsilon=0.01; > n",
     1e-6f, 17},
    {"Conv of one dimension, normalised", "Conv",
     "x 5x3x9; w 4x3x3; b 4; s 4 1 0.5; t 4; u 4; v 4 2 1; c = Conv x w b; n = BatchNormalization "
     "c s t u v | epsilon=0.01; > n",
     1e-6f, 17},
    {"Conv, normalised, read before", "Conv BatchNormalization",
     "x 5x3x6x6; w 4x3x3x3; s 4 1 0.5; t 4; u 4; v 4 2 1; c = Conv x w; n = BatchNormalization c s "
     "t u v | epsilon=0.01; > n c",
     0, 17},
    {"Conv, Add", "Conv Add", "x 5x3x6x6; w 4x3x3x3; b 1x4x1x1; c = Conv x w; y = Add c b", 0, 17},
};

struct param {
    char name[8];
    size_t rank;
    int64_t dim[4], n;
    float middle, spread;
};
struct node_text {
    char out[16], op[24], in[32], attributes[64];
};
struct parsed {
    struct param param[PARAMS_MAX]; /* x first */
    struct node_text node[NODES_MAX];
    size_t n_params, n_nodes;
    char outputs[16];
};

static void parse_param(const char *text, struct param *ret)
{
    char dims[32];
    *ret = (struct param){.n = 1, .spread = 1};
    int n = sscanf(text, "%7s %31s %f %f", ret->name, dims, &ret->middle, &ret->spread);
    assert_true(n == 2 || n == 4);
    for (char *at = dims; *at && *at != '-'; at += *at == 'x') {
        ret->dim[ret->rank] = strtoll(at, &at, 10);
        ret->n *= ret->dim[ret->rank++];
    }
}

static void parse(const struct fuse_case *c, struct parsed *ret)
{
    char copy[512], *rest = NULL;
    assert_true(strlen(c->text) < sizeof copy);
    strcpy(copy, c->text);
    *ret = (struct parsed){0};
    for (char *at = strtok_r(copy, ";", &rest); at; at = strtok_r(NULL, ";", &rest)) {
        at += *at == ' ';
        if (*at == '>') {
            snprintf(ret->outputs, sizeof ret->outputs, "%s", at + 2);
        } else if (strchr(at, '=')) {
            assert_true(ret->n_nodes < NODES_MAX);
            struct node_text *node = &ret->node[ret->n_nodes++];
            sscanf(at, "%15s = %23s %31[^|] | %63[^;]", node->out, node->op, node->in,
                   node->attributes);
            if (node->in[strlen(node->in) - 1] == ' ') node->in[strlen(node->in) - 1] = '\0';
        } else {
            assert_true(ret->n_params < PARAMS_MAX);
            parse_param(at, &ret->param[ret->n_params++]);
        }
    }
    if (!*ret->outputs) strcpy(ret->outputs, ret->node[ret->n_nodes - 1].out);
}

static uint64_t random_state;
static float random_float(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return ((float)(uint32_t)(random_state >> 40) / (float)(1 << 23) - 1);
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

static struct message model_of_case(const struct fuse_case *c, const struct parsed *p,
                                    bool is_fixed, float *const *data)
{
    struct message g = {0};
    for (size_t i = 0; i < p->n_params; i++)
        if (is_fixed && i)
            put_floats(&g, p->param[i].name, p->param[i].rank, p->param[i].dim, data[i]);
        else
            put_value(&g, GRAPH_INPUT, p->param[i].name, ONNX_FLOAT, p->param[i].rank,
                      p->param[i].dim);
    for (size_t i = 0; i < p->n_nodes; i++) {
        struct message node = node_of(p->node[i].op, p->node[i].in, p->node[i].out);
        put_attributes(&node, p->node[i].attributes);
        put_part(&g, GRAPH_NODE, &node);
    }
    put_ends(&g, GRAPH_OUTPUT, p->outputs);
    return model_of(&g, c->opset);
}

struct ran {
    struct oz_net net;
    struct oz_arena arena;
    struct net_plans plans;
    struct oz_tensor out[NET_RUN_OUTPUTS_MAX];
    char ops[256];
};

static void run_case(const struct fuse_case *c, const struct parsed *p, bool is_fixed,
                     const struct oz_tensor *input, float *const *data, struct ran *ret)
{
    struct message model = model_of_case(c, p, is_fixed, data);
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
    struct oz_tensor input[PARAMS_MAX];
    struct parsed p;
    float *data[PARAMS_MAX] = {NULL};
    parse(c, &p);
    random_state = 7;
    for (size_t i = 0; i < p.n_params; i++) {
        const struct param *param = &p.param[i];
        data[i] = malloc((size_t)param->n * sizeof *data[i]);
        for (int64_t k = 0; k < param->n; k++)
            data[i][k] = param->middle + param->spread * random_float();
        if (oz_tensor_shape(&input[i], OZ_DTYPE_F32, param->rank, param->dim, &err) != OZ_OK)
            fail_msg("%s", err.message);
        input[i].f32 = data[i];
    }
    for (int special = 0; special < 2; special++) {
        /* Where sums differ in order, some only overflow in one of them. */
        const float odd[] = {INFINITY, -INFINITY, NAN,
                             -0.0f,    1e-42f,    c->tolerance > 0 ? 1e30f : 3e38f};
        size_t n = (size_t)p.param[0].n;
        struct ran fused, plain;
        for (size_t i = 0; i < n; i++) data[0][i] = 4 * random_float();
        for (size_t i = 0; special && i < OZ_COUNT_OF(odd); i++)
            data[0][i * (n - 1) / OZ_COUNT_OF(odd)] = odd[i];
        run_case(c, &p, true, input, data, &fused);
        run_case(c, &p, false, input, data, &plain);
        if (strcmp(fused.ops, c->ran))
            fail_msg("%s: %s are left, expected %s", c->name, fused.ops, c->ran);
        if (strstr(plain.ops, "Dense") || plain.net.graph.n_nodes < fused.net.graph.n_nodes)
            fail_msg("%s: fused without constants: %s", c->name, plain.ops);
        for (uint32_t k = 0; k < fused.net.graph.n_outputs; k++)
            same_values(c, &fused.out[k], &plain.out[k], 4);
        ran_clear(&fused);
        ran_clear(&plain);
    }
    for (size_t i = 0; i < p.n_params; i++) free(data[i]);
}

static void fused_nets_give_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < OZ_COUNT_OF(cases); i++) try_case(&cases[i]);
}

/* x [rows x 6] times w, whose bias and activation stand in a branch of an If; then products with
 * all that belongs to them in the body of a Loop. */
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
    put_node(&g, "MatMul", "x w", "m"); /* read in a branch only: not fused over */
    struct message node = node_of("ReduceSum", "x", "sum");
    attr_int(&node, "keepdims", 0);
    put_part(&g, GRAPH_NODE, &node);
    put_node(&g, "Less", "zero sum", "c");
    for (int i = 0; i < 2; i++) {
        put_node(&branch[i], "Add", i ? "x b" : "m b", "a");
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
        assert_string_equal(main_graph->node[3].op->name, "If");
        assert_int_equal(main_graph->node[3].attribute[0].graph->n_nodes, 2);
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
        struct parsed p;
        parse(&cases[i], &p);
        for (int k = 0; k < PARAMS_MAX; k++) data[k] = zeros;
        struct message model = model_of_case(&cases[i], &p, true, data);
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
