/* Cast and CastLike. Among numbers: floating to integer goes towards zero, with its ends
 * (number_cast.h); integer to a narrower integer keeps the low bits; anything but 0 is true. A
 * text becomes a number when all of it is one, as numpy reads it: blanks around it, "+1", ".5",
 * "1." and "1E5" are fine, "inf" and "nan" in any case for floating types; what is no number is
 * refused when it comes. A number becomes its shortest text that reads back (base/number.h), as
 * the node suite has it; ONNX Runtime writes eight digits. 2.0 is "2", and there are "NaN", "INF"
 * and "-INF". */
#include "models/net/op_tables.h"
#include <math.h>
#include <string.h>
#include "base/number.h"
#include "models/net/elementwise.h"
#include "models/net/number_cast.h"

/* What an element of one type becomes in another. */
#define AS_IS(T) (T) x
#define TRUTH    x != 0

#define FROM_FLOAT(name, T)                                                                        \
    OZ_UNARY_KERNEL(cast_##name##_f32, T, float, AS_IS(float))                                     \
    OZ_UNARY_KERNEL(cast_##name##_f64, T, double, AS_IS(double))                                   \
    OZ_UNARY_KERNEL(cast_##name##_i32, T, int32_t, oz_i32_of_##name(x))                            \
    OZ_UNARY_KERNEL(cast_##name##_i64, T, int64_t, oz_i64_of_##name(x))                            \
    OZ_UNARY_KERNEL(cast_##name##_u8, T, uint8_t, oz_u8_of_##name(x))                              \
    OZ_UNARY_KERNEL(cast_##name##_i8, T, int8_t, oz_i8_of_##name(x))                               \
    OZ_UNARY_KERNEL(cast_##name##_bool, T, uint8_t, TRUTH)
#define FROM_INTEGER(name, T)                                                                      \
    OZ_UNARY_KERNEL(cast_##name##_f32, T, float, AS_IS(float))                                     \
    OZ_UNARY_KERNEL(cast_##name##_f64, T, double, AS_IS(double))                                   \
    OZ_UNARY_KERNEL(cast_##name##_i32, T, int32_t, AS_IS(int32_t))                                 \
    OZ_UNARY_KERNEL(cast_##name##_i64, T, int64_t, AS_IS(int64_t))                                 \
    OZ_UNARY_KERNEL(cast_##name##_u8, T, uint8_t, AS_IS(uint8_t))                                  \
    OZ_UNARY_KERNEL(cast_##name##_i8, T, int8_t, AS_IS(int8_t))                                    \
    OZ_UNARY_KERNEL(cast_##name##_bool, T, uint8_t, TRUTH)
FROM_FLOAT(f32, float)
FROM_FLOAT(f64, double)
FROM_INTEGER(i32, int32_t)
FROM_INTEGER(i64, int64_t)
FROM_INTEGER(u8, uint8_t)
FROM_INTEGER(i8, int8_t)

#define ROW(name)                                                                                  \
    {                                                                                              \
        [OZ_DTYPE_F32] = cast_##name##_f32, [OZ_DTYPE_F64] = cast_##name##_f64,                    \
        [OZ_DTYPE_I32] = cast_##name##_i32, [OZ_DTYPE_I64] = cast_##name##_i64,                    \
        [OZ_DTYPE_U8] = cast_##name##_u8, [OZ_DTYPE_I8] = cast_##name##_i8,                        \
        [OZ_DTYPE_BOOL] = cast_##name##_bool,                                                      \
    }
/* [from][to]; that of one type to itself is not used, and a bool is read as the uint8 it is. */
static oz_unary_kernel *const cast_kernel[OZ_DTYPE_COUNT][OZ_DTYPE_COUNT] = {
    [OZ_DTYPE_F32] = ROW(f32), [OZ_DTYPE_F64] = ROW(f64), [OZ_DTYPE_I32] = ROW(i32),
    [OZ_DTYPE_I64] = ROW(i64), [OZ_DTYPE_U8] = ROW(u8),   [OZ_DTYPE_I8] = ROW(i8),
    [OZ_DTYPE_BOOL] = ROW(u8),
};

/* ---- texts ---- */

enum { NUMBER_TEXT_BYTES_MAX = 128 };

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static bool is_word(const char *s, size_t len, const char *word)
{
    if (len != strlen(word)) return false;
    for (size_t i = 0; i < len; i++)
        if ((s[i] >= 'A' && s[i] <= 'Z' ? s[i] - 'A' + 'a' : s[i]) != word[i]) return false;
    return true;
}

/* Writes a number as numpy reads it in the one form that base/number.h reads: no blanks, no plus,
 * no zeros in front, a digit on both sides of a point. 0: it is too long. What is no number in
 * the first place stays none. */
static size_t plain_number(const struct oz_str *text, char to[NUMBER_TEXT_BYTES_MAX])
{
    const char *s = text->data, *end = s + text->len;
    while (s < end && is_blank(*s)) s++;
    while (end > s && is_blank(end[-1])) end--;
    size_t n = 0;
    if (end - s > NUMBER_TEXT_BYTES_MAX - 4) return 0;
    if (s < end && (*s == '-' || *s == '+')) {
        if (*s == '-') to[n++] = '-';
        s++;
    }
    size_t len = (size_t)(end - s);
    if (is_word(s, len, "inf") || is_word(s, len, "infinity")) {
        memcpy(to + n, "inf", 3);
        return n + 3;
    }
    if (is_word(s, len, "nan")) {
        memcpy(to, "nan", 3);
        return 3;
    }
    while (end - s > 1 && *s == '0' && s[1] >= '0' && s[1] <= '9') s++;
    if (end - s > 1 && *s == '.' && s[1] >= '0' && s[1] <= '9') to[n++] = '0';
    for (const char *at = s; at < end; at++) {
        bool ends = at + 1 == end || at[1] == 'e' || at[1] == 'E';
        if (*at == '.' && at > s && ends) continue;
        to[n++] = *at;
    }
    return n;
}

/* A text as an integer: exactly when it has no fraction and no exponent, else towards zero. */
static bool text_to_i64(const char *s, size_t len, int64_t *ret_v)
{
    double v;
    if (oz_parse_i64(s, len, ret_v)) return true;
    if (!oz_parse_double(s, len, &v) || v != v) return false;
    if (v < -0x1p63 || v >= 0x1p63) return false;
    *ret_v = oz_i64_of_f64(v);
    return true;
}

static bool parse_into(const char *s, size_t len, struct oz_tensor *out, int64_t i)
{
    if (out->dtype == OZ_DTYPE_F32) return oz_parse_float(s, len, &out->f32[i]);
    if (out->dtype == OZ_DTYPE_F64) return oz_parse_double(s, len, &out->f64[i]);
    if (out->dtype == OZ_DTYPE_BOOL && is_word(s, len, "true")) {
        out->boolean[i] = 1;
        return true;
    }
    if (out->dtype == OZ_DTYPE_BOOL && is_word(s, len, "false")) {
        out->boolean[i] = 0;
        return true;
    }
    int64_t v;
    if (!text_to_i64(s, len, &v)) return false;
    switch ((enum oz_dtype)out->dtype) {
    case OZ_DTYPE_I32: out->i32[i] = (int32_t)v; return v >= INT32_MIN && v <= INT32_MAX;
    case OZ_DTYPE_I64: out->i64[i] = v; return true;
    case OZ_DTYPE_U8: out->u8[i] = (uint8_t)v; return v >= 0 && v <= UINT8_MAX;
    case OZ_DTYPE_I8: out->i8[i] = (int8_t)v; return v >= INT8_MIN && v <= INT8_MAX;
    case OZ_DTYPE_BOOL: out->boolean[i] = v != 0; return true;
    default: return false;
    }
}

static enum oz_status texts_to_numbers(const struct oz_tensor *in, struct oz_tensor *out,
                                       struct oz_error *err)
{
    for (int64_t i = 0; i < out->n; i++) {
        char plain[NUMBER_TEXT_BYTES_MAX];
        size_t len = plain_number(&in->text[i], plain);
        if (!parse_into(plain, len, out, i))
            OZ_FAIL(err, OZ_MODEL, "element %lld, `%.*s`, is no %s", (long long)i,
                    (int)OZ_MIN(in->text[i].len, 60u), in->text[i].data,
                    oz_dtype_word((enum oz_dtype)out->dtype));
    }
    return OZ_OK;
}

static size_t put(char *to, const char *word)
{
    memcpy(to, word, strlen(word));
    return strlen(word);
}

static size_t format(const struct oz_tensor *in, int64_t i, char to[OZ_NUMBER_BYTES_MAX])
{
    if (in->dtype == OZ_DTYPE_I64) return oz_format_i64(to, in->i64[i]);
    const double v = oz_tensor_f64_at(in, i);
    if (isnan(v)) return put(to, "NaN");
    if (isinf(v)) return put(to, v < 0 ? "-INF" : "INF");
    return in->dtype == OZ_DTYPE_F32 ? oz_format_float(to, in->f32[i]) : oz_format_double(to, v);
}

static enum oz_status numbers_to_texts(struct oz_exec *exec, const struct oz_node *node,
                                       const struct oz_tensor *in, struct oz_error *err)
{
    struct oz_tensor *out;
    void *memory;
    OZ_TRY(oz_exec_text_memory(exec, node, (size_t)in->n * OZ_NUMBER_BYTES_MAX, &memory, err));
    OZ_TRY(oz_exec_out(exec, node, 0, OZ_DTYPE_TEXT, in->rank, in->dim, &out, err));
    if (!out->data || !memory) return OZ_OK;
    char *to = memory;
    for (int64_t i = 0; i < in->n; i++, to += OZ_NUMBER_BYTES_MAX)
        out->text[i] = (struct oz_str){to, (uint32_t)format(in, i, to)};
    return OZ_OK;
}

/* ---- the operators ---- */

struct cast_state {
    enum oz_dtype to;
};

/* For float8 alone, which is refused: taken, and without effect. */
static enum oz_status compile_float8(struct oz_node *node, struct oz_error *err)
{
    static const char *const round_modes[] = {"up", "down", "nearest", NULL};
    bool saturate;
    int round_mode;
    if (node->opset >= 19) OZ_TRY(oz_attr_bool(node, "saturate", true, &saturate, err));
    if (node->opset >= 24)
        OZ_TRY(oz_attr_choice(node, "round_mode", round_modes, 0, &round_mode, err));
    return OZ_OK;
}

static enum oz_status compile_cast(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct cast_state *state = oz_node_state(net, node, sizeof(*state));
    if (!state) OZ_FAIL(err, OZ_NO_MEMORY, "out of memory");
    int64_t number;
    const char *type;
    OZ_TRY(oz_attr_i64(node, "to", 0, &number, err));
    if (number != (int32_t)number || !oz_dtype_of_number((int32_t)number, &state->to, &type))
        OZ_FAIL(err, OZ_MODEL, "its attribute `to` is %lld (%s), which is not served",
                (long long)number, number == (int32_t)number ? type : "unknown");
    return compile_float8(node, err);
}

static enum oz_status compile_cast_like(struct oz_net *net, struct oz_node *node,
                                        struct oz_error *err)
{
    (void)net;
    return compile_float8(node, err);
}

static enum oz_status cast(struct oz_exec *exec, const struct oz_node *node, enum oz_dtype to,
                           struct oz_error *err)
{
    const struct oz_tensor *in = oz_exec_in(exec, node, 0);
    if (in->dtype == to) return oz_exec_view(exec, node, 0, 0, in->rank, in->dim, err);
    if (to == OZ_DTYPE_TEXT) return numbers_to_texts(exec, node, in, err);
    struct oz_tensor *out;
    OZ_TRY(oz_exec_out(exec, node, 0, to, in->rank, in->dim, &out, err));
    if (!out->data || !out->n) return OZ_OK;
    if (in->dtype == OZ_DTYPE_TEXT) return texts_to_numbers(in, out, err);
    cast_kernel[in->dtype][to](out->data, in->data, out->n, NULL);
    return OZ_OK;
}

static enum oz_status run_cast(struct oz_exec *exec, const struct oz_node *node,
                               struct oz_error *err)
{
    const struct cast_state *state = node->state;
    return cast(exec, node, state->to, err);
}

static enum oz_status run_cast_like(struct oz_exec *exec, const struct oz_node *node,
                                    struct oz_error *err)
{
    return cast(exec, node, (enum oz_dtype)oz_exec_in(exec, node, 1)->dtype, err);
}

const struct oz_op oz_ops_cast[] = {
    {"Cast", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, compile_cast, NULL, run_cast},
    {"CastLike", OZ_DOMAIN_ONNX, 15, 2, 2, 1, 1, compile_cast_like, NULL, run_cast_like},
    {0},
};
