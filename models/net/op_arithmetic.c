/* Arithmetic on two or more tensors that broadcast to each other.
 * Integers wrap around, as ONNX Runtime's and numpy's do; what is divided by the integer 0 is 0
 * (numpy's answer; the specification leaves it open), and the lowest integer divided by -1 is
 * itself. Maxima and minima with a NaN are NaN. */
#include "models/net/op_tables.h"
#include <math.h>
#include "models/net/elementwise.h"
#include "models/net/number_cast.h"

/* name, type, the type in which it is added and multiplied: unsigned, so that it may wrap */
#define SIGNED(X)                                                                                  \
    X(i32, int32_t, uint32_t)                                                                      \
    X(i64, int64_t, uint64_t)                                                                      \
    X(i8, int8_t, uint32_t)
#define INTEGERS(X)                                                                                \
    SIGNED(X)                                                                                      \
    X(u8, uint8_t, uint32_t)
#define FLOATS(X)                                                                                  \
    X(f32, float, float)                                                                           \
    X(f64, double, double)

#define NUMBER_TABLE(op)                                                                           \
    {                                                                                              \
        [OZ_DTYPE_F32] = op##_f32, [OZ_DTYPE_F64] = op##_f64, [OZ_DTYPE_I32] = op##_i32,           \
        [OZ_DTYPE_I64] = op##_i64, [OZ_DTYPE_U8] = op##_u8, [OZ_DTYPE_I8] = op##_i8,               \
    }

#define X(name, T, W)                                                                              \
    OZ_BINARY_KERNEL(add_##name, T, T, T, (W)x + (W)y)                                             \
    OZ_BINARY_KERNEL(sub_##name, T, T, T, (W)x - (W)y)                                             \
    OZ_BINARY_KERNEL(mul_##name, T, T, T, (W)x *(W)y)
INTEGERS(X)
FLOATS(X)
#undef X

#define X(name, T, W)                                                                              \
    static inline T quotient_##name(T x, T y)                                                      \
    {                                                                                              \
        if (y == 0) return 0;                                                                      \
        return y == -1 ? (T)(0 - (W)x) : (T)(x / y);                                               \
    }                                                                                              \
    /* C's: the sign is that of x. */                                                              \
    static inline T rest_##name(T x, T y) { return y == 0 || y == -1 ? 0 : (T)(x % y); }           \
    /* Python's: the sign is that of y. */                                                         \
    static inline T modulo_##name(T x, T y)                                                        \
    {                                                                                              \
        T rest = rest_##name(x, y);                                                                \
        return rest != 0 && (rest < 0) != (y < 0) ? (T)(rest + y) : rest;                          \
    }
SIGNED(X)
#undef X
static inline uint8_t quotient_u8(uint8_t x, uint8_t y) { return y ? x / y : 0; }
static inline uint8_t rest_u8(uint8_t x, uint8_t y) { return y ? x % y : 0; }
static inline uint8_t modulo_u8(uint8_t x, uint8_t y) { return rest_u8(x, y); }

#define X(name, T, W)                                                                              \
    OZ_BINARY_KERNEL(div_##name, T, T, T, quotient_##name(x, y))                                   \
    OZ_BINARY_KERNEL(mod_##name, T, T, T, modulo_##name(x, y))                                     \
    OZ_BINARY_KERNEL(fmod_##name, T, T, T, rest_##name(x, y))                                      \
    OZ_BINARY_KERNEL(max_##name, T, T, T, x > y ? x : y)                                           \
    OZ_BINARY_KERNEL(min_##name, T, T, T, x < y ? x : y)
INTEGERS(X)
#undef X

#define X(name, T, W)                                                                              \
    OZ_BINARY_KERNEL(div_##name, T, T, T, x / y)                                                   \
    OZ_BINARY_KERNEL(max_##name, T, T, T, x != x ? x : x > y ? x : y)                              \
    OZ_BINARY_KERNEL(min_##name, T, T, T, x != x ? x : x < y ? x : y)
FLOATS(X)
#undef X
OZ_BINARY_KERNEL(fmod_f32, float, float, float, fmodf(x, y))
OZ_BINARY_KERNEL(fmod_f64, double, double, double, fmod(x, y))

static enum oz_status run_add(struct oz_exec *exec, const struct oz_node *node,
                              struct oz_error *err)
{
    static oz_binary_kernel *const kernel[OZ_DTYPE_COUNT] = NUMBER_TABLE(add);
    return oz_binary_run(exec, node, kernel, OZ_DTYPE_COUNT, err);
}

static enum oz_status run_sub(struct oz_exec *exec, const struct oz_node *node,
                              struct oz_error *err)
{
    static oz_binary_kernel *const kernel[OZ_DTYPE_COUNT] = NUMBER_TABLE(sub);
    return oz_binary_run(exec, node, kernel, OZ_DTYPE_COUNT, err);
}

static enum oz_status run_mul(struct oz_exec *exec, const struct oz_node *node,
                              struct oz_error *err)
{
    static oz_binary_kernel *const kernel[OZ_DTYPE_COUNT] = NUMBER_TABLE(mul);
    return oz_binary_run(exec, node, kernel, OZ_DTYPE_COUNT, err);
}

static enum oz_status run_div(struct oz_exec *exec, const struct oz_node *node,
                              struct oz_error *err)
{
    static oz_binary_kernel *const kernel[OZ_DTYPE_COUNT] = NUMBER_TABLE(div);
    return oz_binary_run(exec, node, kernel, OZ_DTYPE_COUNT, err);
}

/* ---- Mod ---- */

struct mod_state {
    bool fmod;
};

static enum oz_status compile_mod(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct mod_state *state = oz_node_state(net, node, sizeof(*state));
    if (!state) OZ_FAIL(err, OZ_NO_MEMORY, "out of memory");
    return oz_attr_bool(node, "fmod", false, &state->fmod, err);
}

static enum oz_status run_mod(struct oz_exec *exec, const struct oz_node *node,
                              struct oz_error *err)
{
    static oz_binary_kernel *const of_c[OZ_DTYPE_COUNT] = NUMBER_TABLE(fmod);
    static oz_binary_kernel *const of_python[OZ_DTYPE_COUNT] = {
        [OZ_DTYPE_I32] = mod_i32,
        [OZ_DTYPE_I64] = mod_i64,
        [OZ_DTYPE_U8] = mod_u8,
        [OZ_DTYPE_I8] = mod_i8,
    };
    const struct mod_state *state = node->state;
    if (!state->fmod && oz_dtype_is_float((enum oz_dtype)oz_exec_in(exec, node, 0)->dtype))
        OZ_FAIL(err, OZ_MODEL, "floating numbers need the attribute fmod = 1");
    return oz_binary_run(exec, node, state->fmod ? of_c : of_python, OZ_DTYPE_COUNT, err);
}

/* ---- Pow: the exponent may be of another type ---- */

/* Whole exponents that nets use are products, which is also more exact; 0.5 is a root, but the
 * power of -infinity is +infinity and that of -0 is +0. */
static inline float power_f32(float x, float y)
{
    if (y == 2.0f) return x * x;
    if (y == 0.5f) return x == -INFINITY ? INFINITY : sqrtf(x) + 0.0f;
    return powf(x, y);
}

static inline double power_f64(double x, double y)
{
    if (y == 2.0) return x * x;
    if (y == 0.5) return x == -(double)INFINITY ? (double)INFINITY : sqrt(x) + 0.0;
    return pow(x, y);
}

static inline float power_f32_by_f64(float x, double y)
{
    return y == 2.0 ? x * x : (float)power_f64((double)x, y);
}

/* Wraps around. One over an integer is 0 but for 1 and -1. */
static int64_t power_i64(int64_t x, int64_t y)
{
    if (y < 0) return x == 1 ? 1 : x == -1 ? (y & 1 ? -1 : 1) : 0;
    uint64_t result = 1, factor = (uint64_t)x;
    for (uint64_t left = (uint64_t)y; left; left >>= 1) {
        if (left & 1) result *= factor;
        factor *= factor;
    }
    return (int64_t)result;
}

#define X(name, Y, W)                                                                              \
    OZ_BINARY_KERNEL(pow_f32_##name, float, Y, float, power_f32_by_f64(x, (double)y))              \
    OZ_BINARY_KERNEL(pow_f64_##name, double, Y, double, power_f64(x, (double)y))                   \
    OZ_BINARY_KERNEL(pow_i32_##name, int32_t, Y, int32_t, power_i64(x, y))                         \
    OZ_BINARY_KERNEL(pow_i64_##name, int64_t, Y, int64_t, power_i64(x, y))
INTEGERS(X)
#undef X
OZ_BINARY_KERNEL(pow_f32_f32, float, float, float, power_f32(x, y))
OZ_BINARY_KERNEL(pow_f32_f64, float, double, float, power_f32_by_f64(x, y))
OZ_BINARY_KERNEL(pow_f64_f32, double, float, double, power_f64(x, (double)y))
OZ_BINARY_KERNEL(pow_f64_f64, double, double, double, power_f64(x, y))
OZ_BINARY_KERNEL(pow_i32_f32, int32_t, float, int32_t, oz_i32_of_f64(pow((double)x, (double)y)))
OZ_BINARY_KERNEL(pow_i32_f64, int32_t, double, int32_t, oz_i32_of_f64(pow((double)x, y)))
OZ_BINARY_KERNEL(pow_i64_f32, int64_t, float, int64_t, oz_i64_of_f64(pow((double)x, (double)y)))
OZ_BINARY_KERNEL(pow_i64_f64, int64_t, double, int64_t, oz_i64_of_f64(pow((double)x, y)))

static enum oz_status run_pow(struct oz_exec *exec, const struct oz_node *node,
                              struct oz_error *err)
{
    static oz_binary_kernel *const kernel[OZ_DTYPE_COUNT][OZ_DTYPE_COUNT] = {
        [OZ_DTYPE_F32] = NUMBER_TABLE(pow_f32),
        [OZ_DTYPE_F64] = NUMBER_TABLE(pow_f64),
        [OZ_DTYPE_I32] = NUMBER_TABLE(pow_i32),
        [OZ_DTYPE_I64] = NUMBER_TABLE(pow_i64),
    };
    const struct oz_tensor *base = oz_exec_in(exec, node, 0), *exponent = oz_exec_in(exec, node, 1);
    const uint32_t bases =
        1u << OZ_DTYPE_F32 | 1u << OZ_DTYPE_F64 | 1u << OZ_DTYPE_I32 | 1u << OZ_DTYPE_I64;
    const uint32_t exponents = bases | 1u << OZ_DTYPE_U8 | 1u << OZ_DTYPE_I8;
    if (!(bases >> base->dtype & 1))
        return oz_refuse_dtype("its base", (enum oz_dtype)base->dtype, bases, err);
    if (!(exponents >> exponent->dtype & 1))
        return oz_refuse_dtype("its exponent", (enum oz_dtype)exponent->dtype, exponents, err);
    struct oz_tensor *out;
    OZ_TRY(oz_binary_out(exec, node, base, exponent, (enum oz_dtype)base->dtype, &out, err));
    if (out->data) oz_binary_apply(kernel[base->dtype][exponent->dtype], base, exponent, out);
    return OZ_OK;
}

/* ---- Max, Min, Sum, Mean: of any number of inputs ---- */

/* The shape that all inputs broadcast to: two at a time, which comes to the same. */
static enum oz_status variadic_out(struct oz_exec *exec, const struct oz_node *node,
                                   struct oz_tensor **ret_out, struct oz_error *err)
{
    struct oz_tensor shape = *oz_exec_in(exec, node, 0);
    for (uint32_t i = 1; i < node->n_inputs; i++) {
        const struct oz_tensor *in = oz_exec_in(exec, node, i);
        OZ_TRY(oz_same_dtype(&shape, in, err));
        size_t rank;
        int64_t dim[OZ_RANK_MAX];
        OZ_TRY(
            oz_broadcast_shape((const struct oz_tensor *const[]){&shape, in}, 2, &rank, dim, err));
        OZ_TRY(oz_tensor_shape(&shape, (enum oz_dtype)shape.dtype, rank, dim, err));
    }
    return oz_exec_out(exec, node, 0, (enum oz_dtype)shape.dtype, shape.rank, shape.dim, ret_out,
                       err);
}

/* From left to right, ((a f b) f c) ...; *ret_out is NULL when there is nothing left to do. */
static enum oz_status variadic(struct oz_exec *exec, const struct oz_node *node,
                               oz_binary_kernel *const kernel[OZ_DTYPE_COUNT],
                               struct oz_tensor **ret_out, struct oz_error *err)
{
    *ret_out = NULL;
    const struct oz_tensor *first = oz_exec_in(exec, node, 0);
    if (!kernel[first->dtype]) {
        uint32_t served = 0;
        for (int t = 0; t < OZ_DTYPE_COUNT; t++) served |= (uint32_t)(kernel[t] != NULL) << t;
        return oz_refuse_dtype("its input", (enum oz_dtype)first->dtype, served, err);
    }
    if (node->n_inputs == 1) return oz_exec_view(exec, node, 0, 0, first->rank, first->dim, err);
    struct oz_tensor *out;
    OZ_TRY(variadic_out(exec, node, &out, err));
    if (!out->data) return OZ_OK;
    oz_binary_apply(kernel[first->dtype], first, oz_exec_in(exec, node, 1), out);
    for (uint32_t i = 2; i < node->n_inputs; i++)
        oz_binary_apply(kernel[first->dtype], out, oz_exec_in(exec, node, i), out);
    *ret_out = out;
    return OZ_OK;
}

static enum oz_status run_max(struct oz_exec *exec, const struct oz_node *node,
                              struct oz_error *err)
{
    static oz_binary_kernel *const kernel[OZ_DTYPE_COUNT] = NUMBER_TABLE(max);
    struct oz_tensor *out;
    return variadic(exec, node, kernel, &out, err);
}

static enum oz_status run_min(struct oz_exec *exec, const struct oz_node *node,
                              struct oz_error *err)
{
    static oz_binary_kernel *const kernel[OZ_DTYPE_COUNT] = NUMBER_TABLE(min);
    struct oz_tensor *out;
    return variadic(exec, node, kernel, &out, err);
}

static oz_binary_kernel *const sum_kernel[OZ_DTYPE_COUNT] = {
    [OZ_DTYPE_F32] = add_f32,
    [OZ_DTYPE_F64] = add_f64,
};

static enum oz_status run_sum(struct oz_exec *exec, const struct oz_node *node,
                              struct oz_error *err)
{
    struct oz_tensor *out;
    return variadic(exec, node, sum_kernel, &out, err);
}

static enum oz_status run_mean(struct oz_exec *exec, const struct oz_node *node,
                               struct oz_error *err)
{
    struct oz_tensor *out;
    OZ_TRY(variadic(exec, node, sum_kernel, &out, err));
    if (!out || !out->n) return OZ_OK;
    const float n_f32 = (float)node->n_inputs;
    const double n_f64 = (double)node->n_inputs;
    if (out->dtype == OZ_DTYPE_F32)
        div_f32(out->data, out->data, &n_f32, out->n, true, false);
    else
        div_f64(out->data, out->data, &n_f64, out->n, true, false);
    return OZ_OK;
}

const struct oz_op oz_ops_arithmetic[] = {
    {"Add", OZ_DOMAIN_ONNX, 7, 2, 2, 1, 1, NULL, NULL, run_add},
    {"Sub", OZ_DOMAIN_ONNX, 7, 2, 2, 1, 1, NULL, NULL, run_sub},
    {"Mul", OZ_DOMAIN_ONNX, 7, 2, 2, 1, 1, NULL, NULL, run_mul},
    {"Div", OZ_DOMAIN_ONNX, 7, 2, 2, 1, 1, NULL, NULL, run_div},
    {"Pow", OZ_DOMAIN_ONNX, 7, 2, 2, 1, 1, NULL, NULL, run_pow},
    {"Mod", OZ_DOMAIN_ONNX, 10, 2, 2, 1, 1, compile_mod, NULL, run_mod},
    {"Max", OZ_DOMAIN_ONNX, 1, 1, OZ_NET_NODE_ARGS_MAX, 1, 1, NULL, NULL, run_max},
    {"Min", OZ_DOMAIN_ONNX, 1, 1, OZ_NET_NODE_ARGS_MAX, 1, 1, NULL, NULL, run_min},
    {"Sum", OZ_DOMAIN_ONNX, 1, 1, OZ_NET_NODE_ARGS_MAX, 1, 1, NULL, NULL, run_sum},
    {"Mean", OZ_DOMAIN_ONNX, 1, 1, OZ_NET_NODE_ARGS_MAX, 1, 1, NULL, NULL, run_mean},
    {0},
};
