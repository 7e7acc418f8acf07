/* Functions of one number. float32 goes through the kernels where they have the function, so that
 * its bits do not depend on the instruction set; all else is the C library's. */
#include "models/net/op_tables.h"
#include <math.h>
#include "kernels/cpu/net_kernels.h"
#include "models/net/elementwise.h"
#include "models/net/round_even.h"

/* name, type, the unsigned type in which the lowest number may be negated */
#define SIGNED(X)                                                                                  \
    X(i32, int32_t, uint32_t)                                                                      \
    X(i64, int64_t, uint64_t)                                                                      \
    X(i8, int8_t, uint32_t)
#define FLOATS(X)                                                                                  \
    X(f32, float, f)                                                                               \
    X(f64, double, )

#define FLOAT_TABLE(op) [OZ_DTYPE_F32] = op##_f32, [OZ_DTYPE_F64] = op##_f64
#define SIGNED_TABLE(op)                                                                           \
    FLOAT_TABLE(op), [OZ_DTYPE_I32] = op##_i32, [OZ_DTYPE_I64] = op##_i64, [OZ_DTYPE_I8] = op##_i8
#define NUMBER_TABLE(op) SIGNED_TABLE(op), [OZ_DTYPE_U8] = op##_u8

#define X(name, T, W)                                                                              \
    OZ_UNARY_KERNEL(neg_##name, T, T, 0 - (W)x)                                                    \
    OZ_UNARY_KERNEL(abs_##name, T, T, x < 0 ? 0 - (W)x : (W)x)                                     \
    OZ_UNARY_KERNEL(sign_##name, T, T, (x > 0) - (x < 0))                                          \
    OZ_UNARY_KERNEL(erf_##name, T, T, erf((double)x))
SIGNED(X)
#undef X
OZ_UNARY_KERNEL(abs_u8, uint8_t, uint8_t, x)
OZ_UNARY_KERNEL(sign_u8, uint8_t, uint8_t, x != 0)
OZ_UNARY_KERNEL(erf_u8, uint8_t, uint8_t, erf((double)x))

#define X(name, T, f)                                                                              \
    OZ_UNARY_KERNEL(neg_##name, T, T, -x)                                                          \
    OZ_UNARY_KERNEL(abs_##name, T, T, fabs##f(x))                                                  \
    OZ_UNARY_KERNEL(sign_##name, T, T, x > 0 ? 1 : x < 0 ? -1 : x)                                 \
    OZ_UNARY_KERNEL(sqrt_##name, T, T, sqrt##f(x))                                                 \
    OZ_UNARY_KERNEL(log_##name, T, T, log##f(x))                                                   \
    OZ_UNARY_KERNEL(reciprocal_##name, T, T, 1 / x)                                                \
    OZ_UNARY_KERNEL(floor_##name, T, T, oz_floor_##name(x))                                        \
    OZ_UNARY_KERNEL(ceil_##name, T, T, oz_ceil_##name(x))                                          \
    OZ_UNARY_KERNEL(round_##name, T, T, oz_round_even_##name(x))                                   \
    OZ_UNARY_KERNEL(sin_##name, T, T, sin##f(x))                                                   \
    OZ_UNARY_KERNEL(cos_##name, T, T, cos##f(x))
FLOATS(X)
#undef X
OZ_UNARY_KERNEL(exp_f64, double, double, exp(x))
OZ_UNARY_KERNEL(erf_f64, double, double, erf(x))

static void exp_f32(void *to, const void *from, int64_t n, const void *state)
{
    (void)state;
    const struct oz_activation act = {.kind = OZ_ACT_EXP};
    oz_net_kernels()->act_f32_array((size_t)n, from, &act, to);
}

static void erf_f32(void *to, const void *from, int64_t n, const void *state)
{
    (void)state;
    const struct oz_activation act = {.kind = OZ_ACT_ERF};
    oz_net_kernels()->act_f32_array((size_t)n, from, &act, to);
}

#define RUN(op, TABLE)                                                                             \
    static enum oz_status run_##op(struct oz_exec *exec, const struct oz_node *node,               \
                                   struct oz_error *err)                                           \
    {                                                                                              \
        static oz_unary_kernel *const kernel[OZ_DTYPE_COUNT] = {TABLE(op)};                        \
        return oz_unary_run(exec, node, kernel, OZ_DTYPE_COUNT, err);                              \
    }
RUN(neg, SIGNED_TABLE)
RUN(abs, NUMBER_TABLE)
RUN(sign, NUMBER_TABLE)
RUN(sqrt, FLOAT_TABLE)
RUN(exp, FLOAT_TABLE)
RUN(log, FLOAT_TABLE)
RUN(reciprocal, FLOAT_TABLE)
RUN(floor, FLOAT_TABLE)
RUN(ceil, FLOAT_TABLE)
RUN(round, FLOAT_TABLE)
RUN(sin, FLOAT_TABLE)
RUN(cos, FLOAT_TABLE)
RUN(erf, NUMBER_TABLE)

const struct oz_op oz_ops_math[] = {
    {"Neg", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, NULL, NULL, run_neg},
    {"Abs", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, NULL, NULL, run_abs},
    {"Sign", OZ_DOMAIN_ONNX, 9, 1, 1, 1, 1, NULL, NULL, run_sign},
    {"Sqrt", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, NULL, NULL, run_sqrt},
    {"Exp", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, NULL, NULL, run_exp},
    {"Log", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, NULL, NULL, run_log},
    {"Reciprocal", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, NULL, NULL, run_reciprocal},
    {"Floor", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, NULL, NULL, run_floor},
    {"Ceil", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, NULL, NULL, run_ceil},
    {"Round", OZ_DOMAIN_ONNX, 11, 1, 1, 1, 1, NULL, NULL, run_round},
    {"Sin", OZ_DOMAIN_ONNX, 7, 1, 1, 1, 1, NULL, NULL, run_sin},
    {"Cos", OZ_DOMAIN_ONNX, 7, 1, 1, 1, 1, NULL, NULL, run_cos},
    {"Erf", OZ_DOMAIN_ONNX, 9, 1, 1, 1, 1, NULL, NULL, run_erf},
    {0},
};
