/* Comparisons, logic and Where. A comparison with a NaN is false, and that of texts is by bytes. */
#include "models/net/op_tables.h"
#include <math.h>
#include <string.h>
#include "models/net/elementwise.h"

#define NUMBERS(X)                                                                                 \
    X(f32, float)                                                                                  \
    X(f64, double)                                                                                 \
    X(i32, int32_t)                                                                                \
    X(i64, int64_t)                                                                                \
    X(u8, uint8_t)                                                                                 \
    X(i8, int8_t)
#define NUMBER_TABLE(op)                                                                           \
    [OZ_DTYPE_F32] = op##_f32, [OZ_DTYPE_F64] = op##_f64, [OZ_DTYPE_I32] = op##_i32,               \
    [OZ_DTYPE_I64] = op##_i64, [OZ_DTYPE_U8] = op##_u8, [OZ_DTYPE_I8] = op##_i8

#define X(name, T)                                                                                 \
    OZ_BINARY_KERNEL(equal_##name, T, T, uint8_t, x == y)                                          \
    OZ_BINARY_KERNEL(less_##name, T, T, uint8_t, x < y)                                            \
    OZ_BINARY_KERNEL(greater_##name, T, T, uint8_t, x > y)                                         \
    OZ_BINARY_KERNEL(less_or_equal_##name, T, T, uint8_t, x <= y)                                  \
    OZ_BINARY_KERNEL(greater_or_equal_##name, T, T, uint8_t, x >= y)
NUMBERS(X)
#undef X
OZ_BINARY_KERNEL(equal_text, struct oz_str, struct oz_str, uint8_t,
                 x.len == y.len && memcmp(x.data, y.data, x.len) == 0)
OZ_BINARY_KERNEL(and_bool, uint8_t, uint8_t, uint8_t, x &y)
OZ_BINARY_KERNEL(or_bool, uint8_t, uint8_t, uint8_t, x | y)
OZ_BINARY_KERNEL(xor_bool, uint8_t, uint8_t, uint8_t, x ^ y)
OZ_UNARY_KERNEL(not_bool, uint8_t, uint8_t, x ^ 1)
OZ_UNARY_KERNEL(is_nan_f32, float, uint8_t, x != x)
OZ_UNARY_KERNEL(is_nan_f64, double, uint8_t, x != x)

#define RUN_BINARY(op, ...)                                                                        \
    static enum oz_status run_##op(struct oz_exec *exec, const struct oz_node *node,               \
                                   struct oz_error *err)                                           \
    {                                                                                              \
        static oz_binary_kernel *const kernel[OZ_DTYPE_COUNT] = {__VA_ARGS__};                     \
        return oz_binary_run(exec, node, kernel, OZ_DTYPE_BOOL, err);                              \
    }
RUN_BINARY(equal, NUMBER_TABLE(equal), [OZ_DTYPE_BOOL] = equal_u8, [OZ_DTYPE_TEXT] = equal_text)
RUN_BINARY(less, NUMBER_TABLE(less))
RUN_BINARY(greater, NUMBER_TABLE(greater))
RUN_BINARY(less_or_equal, NUMBER_TABLE(less_or_equal))
RUN_BINARY(greater_or_equal, NUMBER_TABLE(greater_or_equal))
RUN_BINARY(and, [OZ_DTYPE_BOOL] = and_bool)
RUN_BINARY(or, [OZ_DTYPE_BOOL] = or_bool)
RUN_BINARY(xor, [OZ_DTYPE_BOOL] = xor_bool)

static enum oz_status run_not(struct oz_exec *exec, const struct oz_node *node,
                              struct oz_error *err)
{
    static oz_unary_kernel *const kernel[OZ_DTYPE_COUNT] = {[OZ_DTYPE_BOOL] = not_bool};
    return oz_unary_run(exec, node, kernel, OZ_DTYPE_BOOL, err);
}

static enum oz_status run_is_nan(struct oz_exec *exec, const struct oz_node *node,
                                 struct oz_error *err)
{
    static oz_unary_kernel *const kernel[OZ_DTYPE_COUNT] = {
        [OZ_DTYPE_F32] = is_nan_f32,
        [OZ_DTYPE_F64] = is_nan_f64,
    };
    return oz_unary_run(exec, node, kernel, OZ_DTYPE_BOOL, err);
}

/* ---- IsInf ---- */

struct is_inf_state {
    bool positive, negative; /* which of them count */
};

#define IS_INF(name, T)                                                                            \
    static void is_inf_##name(void *to_, const void *from_, int64_t n, const void *state_)         \
    {                                                                                              \
        const struct is_inf_state *state = state_;                                                 \
        const uint8_t positive = state->positive, negative = state->negative;                      \
        uint8_t *to = to_;                                                                         \
        const T *from = from_;                                                                     \
        OZ_EACH (i, n) {                                                                           \
            const uint8_t above = from[i] == (T)INFINITY, below = from[i] == -(T)INFINITY;         \
            to[i] = (uint8_t)((above & positive) | (below & negative));                            \
        }                                                                                          \
    }
IS_INF(f32, float)
IS_INF(f64, double)

static enum oz_status compile_is_inf(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct is_inf_state *state = oz_node_state(net, node, sizeof(*state));
    if (!state) OZ_FAIL(err, OZ_NO_MEMORY, "out of memory");
    OZ_TRY(oz_attr_bool(node, "detect_positive", true, &state->positive, err));
    return oz_attr_bool(node, "detect_negative", true, &state->negative, err);
}

static enum oz_status run_is_inf(struct oz_exec *exec, const struct oz_node *node,
                                 struct oz_error *err)
{
    static oz_unary_kernel *const kernel[OZ_DTYPE_COUNT] = {
        [OZ_DTYPE_F32] = is_inf_f32,
        [OZ_DTYPE_F64] = is_inf_f64,
    };
    return oz_unary_run(exec, node, kernel, OZ_DTYPE_BOOL, err);
}

/* ---- Where ---- */

/* to[i] = is[i] ? a[i] : b[i]; a side that does not move is one element. Texts share their bytes.
 * */
typedef void where_kernel(void *to, const uint8_t *is, const void *a, const void *b, int64_t n,
                          bool a_moves, bool b_moves);

/* Bits of any type of that width. */
typedef uint8_t bits8;
typedef uint32_t __attribute__((may_alias)) bits32;
typedef uint64_t __attribute__((may_alias)) bits64;

/* `one`, where is[i] is 1, else `other`; with masks, because a choice is not vectorised. */
#define CHOSEN(T) (T)((one & (T)(0 - (T)is[i])) | (other & (T)((T)is[i] - 1)))
#define WHERE(name, T, chosen)                                                                     \
    static void where_##name(void *to_, const uint8_t *is, const void *a_, const void *b_,         \
                             int64_t n, bool a_moves, bool b_moves)                                \
    {                                                                                              \
        T *to = to_;                                                                               \
        const T *a = a_, *b = b_;                                                                  \
        if (a_moves && b_moves) {                                                                  \
            OZ_EACH (i, n) {                                                                       \
                const T one = a[i], other = b[i];                                                  \
                to[i] = chosen;                                                                    \
            }                                                                                      \
        } else if (a_moves) {                                                                      \
            const T other = b[0];                                                                  \
            OZ_EACH (i, n) {                                                                       \
                const T one = a[i];                                                                \
                to[i] = chosen;                                                                    \
            }                                                                                      \
        } else if (b_moves) {                                                                      \
            const T one = a[0];                                                                    \
            OZ_EACH (i, n) {                                                                       \
                const T other = b[i];                                                              \
                to[i] = chosen;                                                                    \
            }                                                                                      \
        } else {                                                                                   \
            const T one = a[0], other = b[0];                                                      \
            OZ_EACH (i, n) {                                                                       \
                to[i] = chosen;                                                                    \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
    /* The same side for all of a run. */                                                          \
    static void copy_##name(void *to_, const void *from_, int64_t n, bool moves)                   \
    {                                                                                              \
        T *to = to_;                                                                               \
        const T *from = from_;                                                                     \
        const T same = from[0];                                                                    \
        if (moves) {                                                                               \
            memcpy(to, from, (size_t)n * sizeof(T));                                               \
        } else {                                                                                   \
            OZ_EACH (i, n) {                                                                       \
                to[i] = same;                                                                      \
            }                                                                                      \
        }                                                                                          \
    }
WHERE(8, bits8, CHOSEN(bits8))
WHERE(32, bits32, CHOSEN(bits32))
WHERE(64, bits64, CHOSEN(bits64))
WHERE(text, struct oz_str, is[i] ? one : other)

typedef void copy_kernel(void *to, const void *from, int64_t n, bool moves);
#define WIDTH_TABLE(op)                                                                            \
    {                                                                                              \
        [OZ_DTYPE_F32] = op##_32, [OZ_DTYPE_F64] = op##_64, [OZ_DTYPE_I32] = op##_32,              \
        [OZ_DTYPE_I64] = op##_64, [OZ_DTYPE_U8] = op##_8, [OZ_DTYPE_I8] = op##_8,                  \
        [OZ_DTYPE_BOOL] = op##_8, [OZ_DTYPE_TEXT] = op##_text,                                     \
    }

static void where_apply(const struct oz_tensor *is, const struct oz_tensor *a,
                        const struct oz_tensor *b, struct oz_tensor *out)
{
    static where_kernel *const where[OZ_DTYPE_COUNT] = WIDTH_TABLE(where);
    static copy_kernel *const copy[OZ_DTYPE_COUNT] = WIDTH_TABLE(copy);
    struct oz_broadcast walk;
    oz_broadcast_walk((const struct oz_tensor *const[]){is, a, b}, 3, out, &walk);
    const size_t bytes = oz_dtype_bytes((enum oz_dtype)out->dtype), inner = walk.rank - 1;
    const int64_t n = walk.dim[inner];
    const bool is_moves = walk.stride[0][inner] != 0, a_moves = walk.stride[1][inner] != 0,
               b_moves = walk.stride[2][inner] != 0;
    char *to = out->data;
    int64_t index[OZ_RANK_MAX] = {0}, offset[OZ_BROADCAST_MAX] = {0};
    do {
        const uint8_t *run_is = is->boolean + offset[0];
        const char *run_a = (const char *)a->data + (size_t)offset[1] * bytes;
        const char *run_b = (const char *)b->data + (size_t)offset[2] * bytes;
        if (is_moves)
            where[out->dtype](to, run_is, run_a, run_b, n, a_moves, b_moves);
        else if (*run_is)
            copy[out->dtype](to, run_a, n, a_moves);
        else
            copy[out->dtype](to, run_b, n, b_moves);
        to += (size_t)n * bytes;
    } while (oz_broadcast_next(&walk, index, offset));
}

static enum oz_status run_where(struct oz_exec *exec, const struct oz_node *node,
                                struct oz_error *err)
{
    const struct oz_tensor *is = oz_exec_in(exec, node, 0), *a = oz_exec_in(exec, node, 1),
                           *b = oz_exec_in(exec, node, 2);
    if (is->dtype != OZ_DTYPE_BOOL)
        return oz_refuse_dtype("its condition", (enum oz_dtype)is->dtype, 1u << OZ_DTYPE_BOOL, err);
    OZ_TRY(oz_same_dtype(a, b, err));
    size_t rank;
    int64_t dim[OZ_RANK_MAX];
    struct oz_tensor *out;
    OZ_TRY(oz_broadcast_shape((const struct oz_tensor *const[]){is, a, b}, 3, &rank, dim, err));
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)a->dtype, rank, dim, &out, err));
    if (out->data && out->n) where_apply(is, a, b, out);
    return OZ_OK;
}

const struct oz_op oz_ops_logic[] = {
    {"Equal", OZ_DOMAIN_ONNX, 7, 2, 2, 1, 1, NULL, NULL, run_equal},
    {"Less", OZ_DOMAIN_ONNX, 7, 2, 2, 1, 1, NULL, NULL, run_less},
    {"Greater", OZ_DOMAIN_ONNX, 7, 2, 2, 1, 1, NULL, NULL, run_greater},
    {"LessOrEqual", OZ_DOMAIN_ONNX, 12, 2, 2, 1, 1, NULL, NULL, run_less_or_equal},
    {"GreaterOrEqual", OZ_DOMAIN_ONNX, 12, 2, 2, 1, 1, NULL, NULL, run_greater_or_equal},
    {"And", OZ_DOMAIN_ONNX, 7, 2, 2, 1, 1, NULL, NULL, run_and},
    {"Or", OZ_DOMAIN_ONNX, 7, 2, 2, 1, 1, NULL, NULL, run_or},
    {"Xor", OZ_DOMAIN_ONNX, 7, 2, 2, 1, 1, NULL, NULL, run_xor},
    {"Not", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, NULL, NULL, run_not},
    {"IsNaN", OZ_DOMAIN_ONNX, 9, 1, 1, 1, 1, NULL, NULL, run_is_nan},
    {"IsInf", OZ_DOMAIN_ONNX, 10, 1, 1, 1, 1, compile_is_inf, NULL, run_is_inf},
    {"Where", OZ_DOMAIN_ONNX, 9, 3, 3, 1, 1, NULL, NULL, run_where},
    {0},
};
