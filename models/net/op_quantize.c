/* QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear, for uint8 and int8 (int32 too when
 * dequantizing). Rounds half to even; what is out of range becomes its end; a NaN becomes the
 * lowest number, as in ONNX Runtime. Scale and zero point are one for all, one per index along an
 * axis, or one per block of `block_size` indices along an axis. DynamicQuantizeLinear looks at
 * the whole tensor, so by its definition a row depends on its batch. */
#include "models/net/op_tables.h"
#include <math.h>
#include "models/net/elementwise.h"
#include "models/net/round_even.h"

struct quantize_state {
    int64_t axis, block_size; /* 0: no blocks */
    bool has_output;          /* the output's type is given */
    enum oz_dtype output;
};

/* Which scale an element has: the input is seen as [outer][size][inner], and element [o][d][i]
 * has number o * outer_step + d / block * block_step + i * inner_step. */
struct scales {
    int64_t outer, size, inner;
    int64_t block, outer_step, block_step, inner_step;
};

/* Runs of neighbours share a scale and a zero point or have neighbouring ones. */
typedef void linear_kernel(void *to, const void *from, int64_t n, const float *scale,
                           const void *zero, bool scale_moves, bool zero_moves);

/* The ends are whole, so that clamping may come before rounding; then adding 1.5 * 2^23 leaves no
 * room for a fraction and rounds half to even. The first clamp says `>=`: a NaN takes the low
 * end. */
#define QUANTIZE_ONE(Q, lowest, highest, v, z)                                                     \
    const float least = (float)(lowest) - (float)(z), most = (float)(highest) - (float)(z);        \
    const float quotient = (v);                                                                    \
    float clamped = quotient >= least ? quotient : least;                                          \
    clamped = clamped > most ? most : clamped;                                                     \
    to[i] = (Q)((int32_t)((clamped + 0x1.8p23f) - 0x1.8p23f) + (int32_t)(z));

#define QUANTIZE(name, T, Q, lowest, highest)                                                      \
    static void name(void *to_, const void *from_, int64_t n, const float *scale,                  \
                     const void *zero_, bool scale_moves, bool zero_moves)                         \
    {                                                                                              \
        Q *to = to_;                                                                               \
        const T *from = from_;                                                                     \
        const Q *zero = zero_;                                                                     \
        const float of_all = scale[0];                                                             \
        const Q at = zero[0];                                                                      \
        if (zero_moves) {                                                                          \
            OZ_EACH (i, n) {                                                                       \
                QUANTIZE_ONE(Q, lowest, highest, (float)from[i] / scale[i], zero[i])               \
            }                                                                                      \
        } else if (scale_moves) {                                                                  \
            OZ_EACH (i, n) {                                                                       \
                QUANTIZE_ONE(Q, lowest, highest, (float)from[i] / scale[i], at)                    \
            }                                                                                      \
        } else {                                                                                   \
            OZ_EACH (i, n) {                                                                       \
                QUANTIZE_ONE(Q, lowest, highest, (float)from[i] / of_all, at)                      \
            }                                                                                      \
        }                                                                                          \
    }
QUANTIZE(quantize_f32_u8, float, uint8_t, 0, UINT8_MAX)
QUANTIZE(quantize_f32_i8, float, int8_t, INT8_MIN, INT8_MAX)
QUANTIZE(quantize_i32_u8, int32_t, uint8_t, 0, UINT8_MAX)
QUANTIZE(quantize_i32_i8, int32_t, int8_t, INT8_MIN, INT8_MAX)

#define DEQUANTIZE(name, Q, W)                                                                     \
    static void name(void *to_, const void *from_, int64_t n, const float *scale,                  \
                     const void *zero_, bool scale_moves, bool zero_moves)                         \
    {                                                                                              \
        float *to = to_;                                                                           \
        const Q *from = from_;                                                                     \
        const Q *zero = zero_;                                                                     \
        const float of_all = scale[0];                                                             \
        const W at = zero[0];                                                                      \
        if (zero_moves) {                                                                          \
            OZ_EACH (i, n) to[i] = (float)((W)from[i] - (W)zero[i]) * scale[i];                    \
        } else if (scale_moves) {                                                                  \
            OZ_EACH (i, n) to[i] = (float)((W)from[i] - at) * scale[i];                            \
        } else {                                                                                   \
            OZ_EACH (i, n) to[i] = (float)((W)from[i] - at) * of_all;                              \
        }                                                                                          \
    }
DEQUANTIZE(dequantize_u8, uint8_t, int32_t)
DEQUANTIZE(dequantize_i8, int8_t, int32_t)
DEQUANTIZE(dequantize_i32, int32_t, int64_t)

/* ---- compile ---- */

/* `output_dtype` is an attribute from this opset on. */
static enum oz_status compile_linear(struct oz_net *net, struct oz_node *node,
                                     uint32_t output_since, struct oz_error *err)
{
    struct quantize_state *state = oz_node_state(net, node, sizeof(*state));
    if (!state) OZ_FAIL(err, OZ_NO_MEMORY, "out of memory");
    state->axis = 1;
    if (node->opset >= 13) OZ_TRY(oz_attr_i64(node, "axis", 1, &state->axis, err));
    if (node->opset >= 21) OZ_TRY(oz_attr_i64(node, "block_size", 0, &state->block_size, err));
    if (state->block_size < 0)
        OZ_FAIL(err, OZ_MODEL, "its block_size is %lld", (long long)state->block_size);
    int64_t number = 0;
    const char *word;
    if (node->opset >= output_since) OZ_TRY(oz_attr_i64(node, "output_dtype", 0, &number, err));
    state->has_output = number != 0;
    if (!state->has_output) return OZ_OK;
    if (number != (int32_t)number || !oz_dtype_of_number((int32_t)number, &state->output, &word))
        OZ_FAIL(err, OZ_MODEL, "its output_dtype is %lld (%s), which is not served",
                (long long)number, number == (int32_t)number ? word : "unknown");
    return OZ_OK;
}

static enum oz_status compile_quantize(struct oz_net *net, struct oz_node *node,
                                       struct oz_error *err)
{
    bool saturate; /* of float8 alone */
    int64_t precision = 0;
    if (node->opset >= 19) OZ_TRY(oz_attr_bool(node, "saturate", true, &saturate, err));
    if (node->opset >= 23) OZ_TRY(oz_attr_i64(node, "precision", 0, &precision, err));
    if (precision != 0 && precision != 1)
        OZ_FAIL(err, OZ_MODEL, "its precision is %lld, served is 1 (float)", (long long)precision);
    return compile_linear(net, node, 21, err);
}

static enum oz_status compile_dequantize(struct oz_net *net, struct oz_node *node,
                                         struct oz_error *err)
{
    return compile_linear(net, node, 23, err);
}

/* ---- run ---- */

/* Where the scale of each element is; checks the shape of the scale. */
static enum oz_status find_scales(const struct quantize_state *state, const struct oz_tensor *in,
                                  const struct oz_tensor *scale, struct scales *ret,
                                  struct oz_error *err)
{
    *ret = (struct scales){.outer = 1, .size = 1, .inner = in->n, .block = 1};
    if (scale->n == 1 && scale->rank <= 1 && !state->block_size) return OZ_OK;
    char scale_words[OZ_TENSOR_WORDS_BYTES], in_words[OZ_TENSOR_WORDS_BYTES];
    size_t axis;
    OZ_TRY(oz_axis(state->axis, in->rank, &axis, err));
    const int64_t size = in->dim[axis], block = state->block_size;
    bool fits = block ? scale->rank == in->rank : scale->rank == 1 && scale->dim[0] == size;
    for (size_t d = 0; block && fits && d < in->rank; d++)
        fits = scale->dim[d] == (d == axis ? size / block + (size % block != 0) : in->dim[d]);
    if (!fits)
        OZ_FAIL(err, OZ_MODEL, "a scale of %s for %s along axis %zu, in blocks of %lld",
                oz_tensor_words(scale, scale_words), oz_tensor_words(in, in_words), axis,
                (long long)OZ_MAX(block, INT64_C(1)));
    if (!in->n) return OZ_OK;
    ret->outer = oz_tensor_count(in, 0, axis);
    ret->size = size;
    ret->inner = oz_tensor_count(in, axis + 1, in->rank);
    ret->block_step = 1;
    if (!block) return OZ_OK;
    ret->block = block;
    ret->inner_step = 1;
    ret->block_step = ret->inner;
    ret->outer_step = ret->inner * scale->dim[axis];
    return OZ_OK;
}

static void apply(linear_kernel *kernel, const struct scales *at, const struct oz_tensor *in,
                  const struct oz_tensor *scale, const struct oz_tensor *zero,
                  struct oz_tensor *out)
{
    const size_t in_bytes = oz_dtype_bytes((enum oz_dtype)in->dtype);
    const size_t out_bytes = oz_dtype_bytes((enum oz_dtype)out->dtype);
    const size_t zero_bytes = zero ? oz_dtype_bytes((enum oz_dtype)zero->dtype) : 0;
    /* Along the last axis one scale each: then the run is that axis. */
    const bool along = at->inner == 1 && at->block == 1 && at->block_step == 1 && !at->inner_step;
    const int64_t n = along ? at->size : at->inner, runs = along ? 1 : at->size;
    const bool moves = along || at->inner_step;
    const int32_t none = 0; /* zero of any type */
    const char *from = in->data, *zeros = zero ? zero->data : (const void *)&none;
    char *to = out->data;
    for (int64_t o = 0; o < at->outer; o++)
        for (int64_t d = 0; d < runs; d++) {
            const int64_t s = o * at->outer_step + d / at->block * at->block_step;
            kernel(to, from, n, scale->f32 + s, zeros + (size_t)s * zero_bytes, moves,
                   moves && zero);
            from += (size_t)n * in_bytes;
            to += (size_t)n * out_bytes;
        }
}

/* Checks what both directions have in common; *ret_zero may become NULL. */
static enum oz_status find_inputs(struct oz_exec *exec, const struct oz_node *node,
                                  struct scales *ret_scales, const struct oz_tensor **ret_scale,
                                  const struct oz_tensor **ret_zero, struct oz_error *err)
{
    const struct quantize_state *state = node->state;
    const struct oz_tensor *in = oz_exec_in(exec, node, 0), *scale = oz_exec_in(exec, node, 1),
                           *zero = oz_exec_in(exec, node, 2);
    *ret_scale = scale;
    *ret_zero = zero;
    if (scale->dtype != OZ_DTYPE_F32)
        return oz_refuse_dtype("its scale", (enum oz_dtype)scale->dtype, 1u << OZ_DTYPE_F32, err);
    char scale_words[OZ_TENSOR_WORDS_BYTES], zero_words[OZ_TENSOR_WORDS_BYTES];
    bool fits = !zero || oz_tensor_same_shape(scale, zero) || (scale->n == 1 && zero->n == 1);
    if (!fits)
        OZ_FAIL(err, OZ_MODEL, "a scale of %s with a zero point of %s",
                oz_tensor_words(scale, scale_words), oz_tensor_words(zero, zero_words));
    if (node->opset < 13 && scale->n != 1)
        OZ_FAIL(err, OZ_MODEL, "a scale of %s, before opset 13 it must be one number",
                oz_tensor_words(scale, scale_words));
    return find_scales(state, in, scale, ret_scales, err);
}

static enum oz_status run_quantize(struct oz_exec *exec, const struct oz_node *node,
                                   struct oz_error *err)
{
    const struct quantize_state *state = node->state;
    const uint32_t inputs = 1u << OZ_DTYPE_F32 | 1u << OZ_DTYPE_I32;
    const uint32_t outputs = 1u << OZ_DTYPE_U8 | 1u << OZ_DTYPE_I8;
    const struct oz_tensor *in = oz_exec_in(exec, node, 0), *scale, *zero;
    struct scales at;
    if (!(inputs >> in->dtype & 1))
        return oz_refuse_dtype("its input", (enum oz_dtype)in->dtype, inputs, err);
    OZ_TRY(find_inputs(exec, node, &at, &scale, &zero, err));
    enum oz_dtype type = OZ_DTYPE_U8;
    if (state->has_output) type = state->output;
    if (zero && state->has_output && zero->dtype != type)
        OZ_FAIL(err, OZ_MODEL, "its output_dtype is %s, its zero point %s", oz_dtype_word(type),
                oz_dtype_word((enum oz_dtype)zero->dtype));
    if (zero) type = (enum oz_dtype)zero->dtype;
    if (!(outputs >> type & 1)) return oz_refuse_dtype("its output", type, outputs, err);
    struct oz_tensor *out;
    OZ_TRY(oz_exec_out(exec, node, 0, type, in->rank, in->dim, &out, err));
    if (!out->data || !out->n) return OZ_OK;
    linear_kernel *kernel = type == OZ_DTYPE_U8 ? quantize_f32_u8 : quantize_f32_i8;
    if (in->dtype == OZ_DTYPE_I32) kernel = type == OZ_DTYPE_U8 ? quantize_i32_u8 : quantize_i32_i8;
    apply(kernel, &at, in, scale, zero, out);
    return OZ_OK;
}

static enum oz_status run_dequantize(struct oz_exec *exec, const struct oz_node *node,
                                     struct oz_error *err)
{
    static linear_kernel *const kernel[OZ_DTYPE_COUNT] = {
        [OZ_DTYPE_U8] = dequantize_u8,
        [OZ_DTYPE_I8] = dequantize_i8,
        [OZ_DTYPE_I32] = dequantize_i32,
    };
    const struct quantize_state *state = node->state;
    const uint32_t inputs = 1u << OZ_DTYPE_U8 | 1u << OZ_DTYPE_I8 | 1u << OZ_DTYPE_I32;
    const struct oz_tensor *in = oz_exec_in(exec, node, 0), *scale, *zero;
    struct scales at;
    if (!(inputs >> in->dtype & 1))
        return oz_refuse_dtype("its input", (enum oz_dtype)in->dtype, inputs, err);
    if (state->has_output && state->output != OZ_DTYPE_F32)
        return oz_refuse_dtype("its output", state->output, 1u << OZ_DTYPE_F32, err);
    OZ_TRY(find_inputs(exec, node, &at, &scale, &zero, err));
    if (zero) OZ_TRY(oz_same_dtype(in, zero, err));
    struct oz_tensor *out;
    OZ_TRY(oz_exec_out(exec, node, 0, OZ_DTYPE_F32, in->rank, in->dim, &out, err));
    if (out->data && out->n) apply(kernel[in->dtype], &at, in, scale, zero, out);
    return OZ_OK;
}

/* ---- DynamicQuantizeLinear ---- */

static enum oz_status run_dynamic(struct oz_exec *exec, const struct oz_node *node,
                                  struct oz_error *err)
{
    const struct oz_tensor *in = oz_exec_in(exec, node, 0);
    if (in->dtype != OZ_DTYPE_F32)
        return oz_refuse_dtype("its input", (enum oz_dtype)in->dtype, 1u << OZ_DTYPE_F32, err);
    struct oz_tensor *out, *scale, *zero;
    OZ_TRY(oz_exec_out(exec, node, 0, OZ_DTYPE_U8, in->rank, in->dim, &out, err));
    OZ_TRY(oz_exec_out(exec, node, 1, OZ_DTYPE_F32, 0, NULL, &scale, err));
    OZ_TRY(oz_exec_out(exec, node, 2, OZ_DTYPE_U8, 0, NULL, &zero, err));
    if (!out->data || !scale->data || !zero->data) return OZ_OK;
    float low = 0, high = 0; /* the range always holds 0 */
    for (int64_t i = 0; i < in->n; i++) {
        low = in->f32[i] < low ? in->f32[i] : low;
        high = in->f32[i] > high ? in->f32[i] : high;
    }
    const float width = high == low ? 1.0f : (high - low) / 255.0f;
    const float at = oz_round_even_f32((0.0f - low) / width);
    scale->f32[0] = width;
    zero->u8[0] = at >= 0 ? (uint8_t)(at > 255.0f ? 255.0f : at) : 0;
    if (in->n) quantize_f32_u8(out->u8, in->f32, in->n, scale->f32, zero->u8, false, false);
    return OZ_OK;
}

const struct oz_op oz_ops_quantize[] = {
    {"QuantizeLinear", OZ_DOMAIN_ONNX, 10, 2, 3, 1, 1, compile_quantize, NULL, run_quantize},
    {"DequantizeLinear", OZ_DOMAIN_ONNX, 10, 2, 3, 1, 1, compile_dequantize, NULL, run_dequantize},
    {"DynamicQuantizeLinear", OZ_DOMAIN_ONNX, 11, 1, 1, 3, 3, NULL, NULL, run_dynamic},
    {0},
};
