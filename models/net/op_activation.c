/* Activations. float32 is the kernels' work (kernels/cpu/net_kernels.h), so that an activation
 * gives the same bits by itself and fused into a product; double is the C library's. */
#include "models/net/op_tables.h"
#include <float.h>
#include <math.h>
#include "kernels/cpu/net_kernels.h"
#include "models/net/elementwise.h"

struct activation_state {
    struct oz_activation act; /* also what the double kernels read */
};

static void act_f32(void *to, const void *from, int64_t n, const void *state_)
{
    const struct activation_state *state = state_;
    oz_net_kernels()->act_f32_array((size_t)n, from, &state->act, to);
}

/* ---- in double ---- */

static double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }
static double softplus(double x) { return (x > 0 ? x : 0) + log1p(exp(-fabs(x))); }
static double unit(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }
static double gelu(double x) { return 0.5 * x * (1.0 + erf(x * M_SQRT1_2)); }
static double gelu_tanh(double x)
{
    const double root = M_2_SQRTPI * M_SQRT1_2; /* of 2 / pi */
    return 0.5 * x * (1.0 + tanh(root * (x + 0.044715 * x * x * x)));
}

#define ACT_F64(name, expression)                                                                  \
    static void name##_f64(void *to_, const void *from_, int64_t n, const void *state_)            \
    {                                                                                              \
        const struct activation_state *state = state_;                                             \
        const double alpha = (double)state->act.alpha, beta = (double)state->act.beta;             \
        double *to = to_;                                                                          \
        const double *from = from_;                                                                \
        (void)alpha;                                                                               \
        (void)beta;                                                                                \
        OZ_EACH (i, n) {                                                                           \
            const double x = from[i];                                                              \
            to[i] = (expression);                                                                  \
        }                                                                                          \
    }
ACT_F64(leaky_relu, x < 0 ? alpha * x : x)
ACT_F64(thresholded_relu, x > alpha ? x : 0)
ACT_F64(elu, x < 0 ? alpha * expm1(x) : x)
ACT_F64(selu, beta *(x < 0 ? alpha * expm1(x) : x))
ACT_F64(sigmoid, sigmoid(x))
ACT_F64(hard_sigmoid, unit(alpha *x + beta))
ACT_F64(hard_swish, x *unit(x / 6.0 + 0.5))
ACT_F64(swish, x *sigmoid(alpha *x))
ACT_F64(mish, x *tanh(softplus(x)))
ACT_F64(tanh, tanh(x))
ACT_F64(softplus, softplus(x))
ACT_F64(softsign, x / (1.0 + fabs(x)))
ACT_F64(gelu, gelu(x))
ACT_F64(gelu_tanh, gelu_tanh(x))

/* ---- compile: which activation, and its numbers ---- */

static enum oz_status begin(struct oz_net *net, struct oz_node *node, enum oz_act kind,
                            struct activation_state **ret_state, struct oz_error *err)
{
    static const struct oz_activation usual[OZ_ACT_COUNT] = {
#define X(name, word, alpha, beta) [OZ_ACT_##name] = {OZ_ACT_##name, alpha, beta},
        OZ_ACT_MAP(X)
#undef X
    };
    *ret_state = oz_node_state(net, node, sizeof(**ret_state));
    if (!*ret_state) OZ_FAIL(err, OZ_NO_MEMORY, "out of memory");
    (*ret_state)->act = usual[kind];
    return OZ_OK;
}

/* Without attributes. */
#define COMPILE_PLAIN(op, KIND)                                                                    \
    static enum oz_status compile_##op(struct oz_net *net, struct oz_node *node,                   \
                                       struct oz_error *err)                                       \
    {                                                                                              \
        struct activation_state *state;                                                            \
        return begin(net, node, OZ_ACT_##KIND, &state, err);                                       \
    }
COMPILE_PLAIN(relu, RELU)
COMPILE_PLAIN(sigmoid, SIGMOID)
COMPILE_PLAIN(hard_swish, HARD_SWISH)
COMPILE_PLAIN(mish, MISH)
COMPILE_PLAIN(tanh, TANH)
COMPILE_PLAIN(softplus, SOFTPLUS)
COMPILE_PLAIN(softsign, SOFTSIGN)

/* With one or two numbers; an attribute's name of NULL: none. */
#define COMPILE_WITH(op, KIND, alpha_name, beta_name)                                              \
    static enum oz_status compile_##op(struct oz_net *net, struct oz_node *node,                   \
                                       struct oz_error *err)                                       \
    {                                                                                              \
        return compile_with(net, node, OZ_ACT_##KIND, alpha_name, beta_name, err);                 \
    }

static enum oz_status compile_with(struct oz_net *net, struct oz_node *node, enum oz_act kind,
                                   const char *alpha, const char *beta, struct oz_error *err)
{
    struct activation_state *state;
    OZ_TRY(begin(net, node, kind, &state, err));
    struct oz_activation *act = &state->act;
    OZ_TRY(oz_attr_f32(node, alpha, act->alpha, &act->alpha, err));
    if (beta) OZ_TRY(oz_attr_f32(node, beta, act->beta, &act->beta, err));
    return OZ_OK;
}
COMPILE_WITH(leaky_relu, LEAKY_RELU, "alpha", NULL)
COMPILE_WITH(elu, ELU, "alpha", NULL)
COMPILE_WITH(selu, SELU, "alpha", "gamma")
COMPILE_WITH(celu, CELU, "alpha", NULL)
COMPILE_WITH(thresholded_relu, THRESHOLDED_RELU, "alpha", NULL)
COMPILE_WITH(hard_sigmoid, HARD_SIGMOID, "alpha", "beta")
COMPILE_WITH(swish, SWISH, "alpha", NULL)

static enum oz_status compile_gelu(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    static const char *const words[] = {"none", "tanh", NULL};
    int word;
    OZ_TRY(oz_attr_choice(node, "approximate", words, 0, &word, err));
    struct activation_state *state;
    return begin(net, node, word ? OZ_ACT_GELU_TANH : OZ_ACT_GELU, &state, err);
}

/* ---- run ---- */

#define RUN(op)                                                                                    \
    static enum oz_status run_##op(struct oz_exec *exec, const struct oz_node *node,               \
                                   struct oz_error *err)                                           \
    {                                                                                              \
        static oz_unary_kernel *const kernel[OZ_DTYPE_COUNT] = {                                   \
            [OZ_DTYPE_F32] = act_f32,                                                              \
            [OZ_DTYPE_F64] = op##_f64,                                                             \
        };                                                                                         \
        return oz_unary_run(exec, node, kernel, OZ_DTYPE_COUNT, err);                              \
    }
RUN(leaky_relu)
RUN(elu)
RUN(selu)
RUN(thresholded_relu)
RUN(sigmoid)
RUN(hard_sigmoid)
RUN(hard_swish)
RUN(swish)
RUN(mish)
RUN(tanh)
RUN(softplus)
RUN(softsign)

OZ_UNARY_KERNEL(relu_f64, double, double, x < 0 ? 0 : x)
OZ_UNARY_KERNEL(relu_i32, int32_t, int32_t, x < 0 ? 0 : x)
OZ_UNARY_KERNEL(relu_i64, int64_t, int64_t, x < 0 ? 0 : x)
OZ_UNARY_KERNEL(relu_i8, int8_t, int8_t, x < 0 ? 0 : x)

static enum oz_status run_relu(struct oz_exec *exec, const struct oz_node *node,
                               struct oz_error *err)
{
    static oz_unary_kernel *const kernel[OZ_DTYPE_COUNT] = {
        [OZ_DTYPE_F32] = act_f32,  [OZ_DTYPE_F64] = relu_f64, [OZ_DTYPE_I32] = relu_i32,
        [OZ_DTYPE_I64] = relu_i64, [OZ_DTYPE_I8] = relu_i8,
    };
    return oz_unary_run(exec, node, kernel, OZ_DTYPE_COUNT, err);
}

static enum oz_status run_celu(struct oz_exec *exec, const struct oz_node *node,
                               struct oz_error *err)
{
    static oz_unary_kernel *const kernel[OZ_DTYPE_COUNT] = {[OZ_DTYPE_F32] = act_f32};
    return oz_unary_run(exec, node, kernel, OZ_DTYPE_COUNT, err);
}

static enum oz_status run_gelu(struct oz_exec *exec, const struct oz_node *node,
                               struct oz_error *err)
{
    static oz_unary_kernel *const exact[OZ_DTYPE_COUNT] = {
        [OZ_DTYPE_F32] = act_f32,
        [OZ_DTYPE_F64] = gelu_f64,
    };
    static oz_unary_kernel *const approximate[OZ_DTYPE_COUNT] = {
        [OZ_DTYPE_F32] = act_f32,
        [OZ_DTYPE_F64] = gelu_tanh_f64,
    };
    const struct activation_state *state = node->state;
    return oz_unary_run(exec, node, state->act.kind == OZ_ACT_GELU ? exact : approximate,
                        OZ_DTYPE_COUNT, err);
}

/* ---- PRelu: the slope broadcasts to the input, not the other way ---- */

OZ_BINARY_KERNEL(prelu_f32, float, float, float, x < 0 ? x * y : x)
OZ_BINARY_KERNEL(prelu_f64, double, double, double, x < 0 ? x * y : x)
OZ_BINARY_KERNEL(prelu_i32, int32_t, int32_t, int32_t,
                 x < 0 ? (uint32_t)x * (uint32_t)y : (uint32_t)x)
OZ_BINARY_KERNEL(prelu_i64, int64_t, int64_t, int64_t,
                 x < 0 ? (uint64_t)x * (uint64_t)y : (uint64_t)x)

static enum oz_status run_prelu(struct oz_exec *exec, const struct oz_node *node,
                                struct oz_error *err)
{
    static oz_binary_kernel *const kernel[OZ_DTYPE_COUNT] = {
        [OZ_DTYPE_F32] = prelu_f32,
        [OZ_DTYPE_F64] = prelu_f64,
        [OZ_DTYPE_I32] = prelu_i32,
        [OZ_DTYPE_I64] = prelu_i64,
    };
    const struct oz_tensor *in = oz_exec_in(exec, node, 0), *slope = oz_exec_in(exec, node, 1);
    size_t rank;
    int64_t dim[OZ_RANK_MAX];
    OZ_TRY(oz_broadcast_shape((const struct oz_tensor *const[]){in, slope}, 2, &rank, dim, err));
    bool fits = rank == in->rank;
    for (size_t d = 0; fits && d < rank; d++) fits = dim[d] == in->dim[d];
    if (!fits) {
        char in_words[OZ_TENSOR_WORDS_BYTES], slope_words[OZ_TENSOR_WORDS_BYTES];
        OZ_FAIL(err, OZ_MODEL, "a slope of %s is larger than its input %s",
                oz_tensor_words(slope, slope_words), oz_tensor_words(in, in_words));
    }
    return oz_binary_run(exec, node, kernel, OZ_DTYPE_COUNT, err);
}

/* ---- Clip ---- */

struct clip_state {
    bool by_attributes;
    float min, max;
};

/* What one run clips to. min beyond max: everything becomes max. A bound that is left out is the
 * type's: of a floating type the largest finite number, so infinities are clipped; none for
 * integers. */
struct clip_bounds {
    const void *min, *max; /* one element each, or NULL */
};

#define CLIP(name, T)                                                                              \
    static void clip_##name(void *to_, const void *from_, int64_t n, const void *state)            \
    {                                                                                              \
        const struct clip_bounds *bounds = state;                                                  \
        T *to = to_;                                                                               \
        const T *from = from_;                                                                     \
        if (bounds->min) {                                                                         \
            const T min = *(const T *)bounds->min;                                                 \
            OZ_EACH (i, n) to[i] = from[i] < min ? min : from[i];                                  \
            from = to;                                                                             \
        }                                                                                          \
        if (bounds->max) {                                                                         \
            const T max = *(const T *)bounds->max;                                                 \
            OZ_EACH (i, n) to[i] = from[i] > max ? max : from[i];                                  \
        }                                                                                          \
    }
CLIP(f32, float)
CLIP(f64, double)
CLIP(i32, int32_t)
CLIP(i64, int64_t)
CLIP(u8, uint8_t)
CLIP(i8, int8_t)

static enum oz_status compile_clip(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct clip_state *state = oz_node_state(net, node, sizeof(*state));
    if (!state) OZ_FAIL(err, OZ_NO_MEMORY, "out of memory");
    *state =
        (struct clip_state){.by_attributes = node->opset < 11, .min = -FLT_MAX, .max = FLT_MAX};
    if (!state->by_attributes) return OZ_OK;
    if (node->n_inputs != 1)
        OZ_FAIL(err, OZ_MODEL, "%u inputs, before opset 11 there is one", node->n_inputs);
    OZ_TRY(oz_attr_f32(node, "min", -FLT_MAX, &state->min, err));
    return oz_attr_f32(node, "max", FLT_MAX, &state->max, err);
}

/* Input i, which must be one number of the type of the first input; left out: *bound stays. */
static enum oz_status clip_bound(struct oz_exec *exec, const struct oz_node *node, uint32_t i,
                                 const void **bound, struct oz_error *err)
{
    const struct oz_tensor *input = oz_exec_in(exec, node, i);
    if (!input) return OZ_OK;
    OZ_TRY(oz_same_dtype(oz_exec_in(exec, node, 0), input, err));
    *bound = input->data;
    if (input->n == 1) return OZ_OK;
    char words[OZ_TENSOR_WORDS_BYTES];
    OZ_FAIL(err, OZ_MODEL, "a bound of %s, it must be one number", oz_tensor_words(input, words));
}

static enum oz_status run_clip(struct oz_exec *exec, const struct oz_node *node,
                               struct oz_error *err)
{
    static oz_unary_kernel *const kernel[OZ_DTYPE_COUNT] = {
        [OZ_DTYPE_F32] = clip_f32, [OZ_DTYPE_F64] = clip_f64, [OZ_DTYPE_I32] = clip_i32,
        [OZ_DTYPE_I64] = clip_i64, [OZ_DTYPE_U8] = clip_u8,   [OZ_DTYPE_I8] = clip_i8,
    };
    const struct clip_state *state = node->state;
    const struct oz_tensor *in = oz_exec_in(exec, node, 0);
    if (!kernel[in->dtype]) {
        uint32_t served = 0;
        for (int t = 0; t < OZ_DTYPE_COUNT; t++) served |= (uint32_t)(kernel[t] != NULL) << t;
        return oz_refuse_dtype("its input", (enum oz_dtype)in->dtype, served, err);
    }
    struct clip_bounds bounds = {NULL, NULL};
    const float ends_f32[] = {state->min, state->max};
    const double ends_f64[] = {
        state->by_attributes ? (double)state->min : -DBL_MAX,
        state->by_attributes ? (double)state->max : DBL_MAX,
    };
    if (in->dtype == OZ_DTYPE_F32)
        bounds = (struct clip_bounds){&ends_f32[0], &ends_f32[1]};
    else if (in->dtype == OZ_DTYPE_F64)
        bounds = (struct clip_bounds){&ends_f64[0], &ends_f64[1]};
    else if (state->by_attributes)
        return oz_refuse_dtype("its input", (enum oz_dtype)in->dtype,
                               1u << OZ_DTYPE_F32 | 1u << OZ_DTYPE_F64, err);
    else if (!oz_exec_in(exec, node, 1) && !oz_exec_in(exec, node, 2))
        return oz_exec_view(exec, node, 0, 0, in->rank, in->dim, err);
    OZ_TRY(clip_bound(exec, node, 1, &bounds.min, err));
    OZ_TRY(clip_bound(exec, node, 2, &bounds.max, err));
    struct oz_tensor *out;
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)in->dtype, in->rank, in->dim, &out, err));
    if (out->data && out->n) kernel[in->dtype](out->data, in->data, out->n, &bounds);
    return OZ_OK;
}

const struct oz_op oz_ops_activation[] = {
    {"Relu", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, compile_relu, NULL, run_relu},
    {"LeakyRelu", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, compile_leaky_relu, NULL, run_leaky_relu},
    {"PRelu", OZ_DOMAIN_ONNX, 7, 2, 2, 1, 1, NULL, NULL, run_prelu},
    {"Elu", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, compile_elu, NULL, run_elu},
    {"Selu", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, compile_selu, NULL, run_selu},
    {"Celu", OZ_DOMAIN_ONNX, 12, 1, 1, 1, 1, compile_celu, NULL, run_celu},
    {"ThresholdedRelu", OZ_DOMAIN_ONNX, 10, 1, 1, 1, 1, compile_thresholded_relu, NULL,
     run_thresholded_relu},
    {"Sigmoid", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, compile_sigmoid, NULL, run_sigmoid},
    {"HardSigmoid", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, compile_hard_sigmoid, NULL, run_hard_sigmoid},
    {"HardSwish", OZ_DOMAIN_ONNX, 14, 1, 1, 1, 1, compile_hard_swish, NULL, run_hard_swish},
    {"Swish", OZ_DOMAIN_ONNX, 24, 1, 1, 1, 1, compile_swish, NULL, run_swish},
    {"Mish", OZ_DOMAIN_ONNX, 18, 1, 1, 1, 1, compile_mish, NULL, run_mish},
    {"Tanh", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, compile_tanh, NULL, run_tanh},
    {"Softplus", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, compile_softplus, NULL, run_softplus},
    {"Softsign", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, compile_softsign, NULL, run_softsign},
    {"Gelu", OZ_DOMAIN_ONNX, 20, 1, 1, 1, 1, compile_gelu, NULL, run_gelu},
    {"Clip", OZ_DOMAIN_ONNX, 1, 1, 3, 1, 1, compile_clip, NULL, run_clip},
    {0},
};
