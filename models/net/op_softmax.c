/* Softmax, LogSoftmax, Hardmax. Before opset 13 the input is seen as a matrix whose rows begin at
 * `axis` (default 1); from 13 on they run along `axis` alone (default -1).
 *
 * A row along an axis that is not the last lies `inner` apart in memory. So BLOCK neighbouring rows
 * are computed side by side, each element's loop over the block. Sums have LANES partial sums,
 * element d in lane d % LANES, in both ways of walking: a row's bits depend on neither. */
#include "models/net/op_tables.h"
#include <math.h>
#include <string.h>
#include "kernels/cpu/net_kernels.h"
#include "models/net/elementwise.h"

enum { BLOCK = 64, LANES = OZ_LANES, CHUNK_ELEMENTS = 2048 };

enum softmax_form { FORM_SOFTMAX, FORM_LOG, FORM_HARD };

struct softmax_state {
    int64_t axis;
    bool is_matrix; /* the form before opset 13 */
};

/* Seen as [outer][size][inner]; rows run along the middle. */
struct softmax_shape {
    int64_t outer, size, inner;
};

static void exps_f32(float *to, const float *from, int64_t n)
{
    const struct oz_activation act = {.kind = OZ_ACT_EXP};
    oz_net_kernels()->act_f32_array((size_t)n, from, &act, to);
}

static void exps_f64(double *to, const double *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++) to[i] = exp(from[i]);
}

/* LogSoftmax needs the sum alone: `to` holds the exponentials first, then the result. */
#define SOFTMAX(name, T, log)                                                                      \
    static T sum_of_lanes_##name(const T lane[LANES])                                              \
    {                                                                                              \
        return ((lane[0] + lane[4]) + (lane[2] + lane[6])) +                                       \
               ((lane[1] + lane[5]) + (lane[3] + lane[7]));                                        \
    }                                                                                              \
    /* A NaN in the row makes the sum of exponentials NaN, so it need not be the maximum. */       \
    static T row_max_##name(const T *from, int64_t n)                                              \
    {                                                                                              \
        T lane[LANES];                                                                             \
        for (int k = 0; k < LANES; k++) lane[k] = -(T)INFINITY;                                    \
        int64_t i = 0;                                                                             \
        for (; i + LANES <= n; i += LANES) {                                                       \
            OZ_EACH_LANE (k) {                                                                     \
                lane[k] = from[i + k] > lane[k] ? from[i + k] : lane[k];                           \
            }                                                                                      \
        }                                                                                          \
        for (; i < n; i++) lane[0] = from[i] > lane[0] ? from[i] : lane[0];                        \
        T max = lane[0];                                                                           \
        for (int k = 1; k < LANES; k++) max = lane[k] > max ? lane[k] : max;                       \
        return max;                                                                                \
    }                                                                                              \
    static T row_sum_##name(const T *from, int64_t n)                                              \
    {                                                                                              \
        T lane[LANES] = {0};                                                                       \
        int64_t i = 0;                                                                             \
        for (; i + LANES <= n; i += LANES) {                                                       \
            OZ_EACH_LANE (k) {                                                                     \
                lane[k] += from[i + k];                                                            \
            }                                                                                      \
        }                                                                                          \
        for (; i < n; i++) lane[i % LANES] += from[i];                                             \
        return sum_of_lanes_##name(lane);                                                          \
    }                                                                                              \
    /* Rows behind each other; a few at a time, so that short ones share a call. */                \
    static void softmax_rows_##name(T *to, const T *from, int64_t n_rows, int64_t size,            \
                                    bool is_log)                                                   \
    {                                                                                              \
        for (int64_t r = 0; r < n_rows; r++) {                                                     \
            const T *x = from + r * size;                                                          \
            T *y = to + r * size;                                                                  \
            const T max = row_max_##name(x, size);                                                 \
            for (int64_t i = 0; i < size; i++) y[i] = x[i] - max;                                  \
        }                                                                                          \
        exps_##name(to, to, n_rows *size);                                                         \
        for (int64_t r = 0; r < n_rows; r++) {                                                     \
            const T *x = from + r * size;                                                          \
            T *y = to + r * size;                                                                  \
            const T sum = row_sum_##name(y, size);                                                 \
            if (is_log) {                                                                          \
                const T max = row_max_##name(x, size), log_sum = log(sum);                         \
                for (int64_t i = 0; i < size; i++) y[i] = x[i] - max - log_sum;                    \
            } else {                                                                               \
                const T one_by = 1 / sum;                                                          \
                for (int64_t i = 0; i < size; i++) y[i] = y[i] * one_by;                           \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
    /* n rows side by side, n <= BLOCK. */                                                         \
    static void softmax_block_##name(T *to, const T *from, const struct softmax_shape *shape,      \
                                     int64_t n, bool is_log)                                       \
    {                                                                                              \
        T max[BLOCK], lane[LANES][BLOCK] = {{0}}, sum[BLOCK];                                      \
        for (int64_t j = 0; j < n; j++) max[j] = -(T)INFINITY;                                     \
        for (int64_t d = 0; d < shape->size; d++) {                                                \
            const T *x = from + d * shape->inner;                                                  \
            for (int64_t j = 0; j < n; j++) max[j] = x[j] > max[j] ? x[j] : max[j];                \
        }                                                                                          \
        for (int64_t d = 0; d < shape->size; d++) {                                                \
            const T *x = from + d * shape->inner;                                                  \
            T *y = to + d * shape->inner, *into = lane[d % LANES];                                 \
            for (int64_t j = 0; j < n; j++) y[j] = x[j] - max[j];                                  \
            exps_##name(y, y, n);                                                                  \
            for (int64_t j = 0; j < n; j++) into[j] += y[j];                                       \
        }                                                                                          \
        for (int64_t j = 0; j < n; j++) {                                                          \
            T of_row[LANES];                                                                       \
            for (int k = 0; k < LANES; k++) of_row[k] = lane[k][j];                                \
            sum[j] = sum_of_lanes_##name(of_row);                                                  \
        }                                                                                          \
        for (int64_t j = 0; j < n; j++) sum[j] = is_log ? log(sum[j]) : 1 / sum[j];                \
        for (int64_t d = 0; d < shape->size; d++) {                                                \
            const T *x = from + d * shape->inner;                                                  \
            T *y = to + d * shape->inner;                                                          \
            if (is_log)                                                                            \
                for (int64_t j = 0; j < n; j++) y[j] = x[j] - max[j] - sum[j];                     \
            else                                                                                   \
                for (int64_t j = 0; j < n; j++) y[j] = y[j] * sum[j];                              \
        }                                                                                          \
    }                                                                                              \
    static void softmax_##name(T *to, const T *from, const struct softmax_shape *shape,            \
                               bool is_log)                                                        \
    {                                                                                              \
        const int64_t plane = shape->size * shape->inner;                                          \
        const int64_t rows = OZ_MAX(CHUNK_ELEMENTS / plane, INT64_C(1));                           \
        for (int64_t o = 0; shape->inner == 1 && o < shape->outer; o += rows)                      \
            softmax_rows_##name(to + o * plane, from + o * plane, OZ_MIN(shape->outer - o, rows),  \
                                plane, is_log);                                                    \
        for (int64_t o = 0; shape->inner != 1 && o < shape->outer; o++)                            \
            for (int64_t j = 0; j < shape->inner; j += BLOCK)                                      \
                softmax_block_##name(to + o * plane + j, from + o * plane + j, shape,              \
                                     OZ_MIN(shape->inner - j, (int64_t)BLOCK), is_log);            \
    }                                                                                              \
    /* 1 at the first of the largest, 0 elsewhere; a NaN is larger than all, as numpy has it. */   \
    static void hardmax_##name(T *to, const T *from, const struct softmax_shape *shape)            \
    {                                                                                              \
        const int64_t plane = shape->size * shape->inner;                                          \
        memset(to, 0, (size_t)(shape->outer * plane) * sizeof(T));                                 \
        for (int64_t o = 0; o < shape->outer; o++, to += plane, from += plane)                     \
            for (int64_t j = 0; j < shape->inner; j++) {                                           \
                int64_t best = j;                                                                  \
                for (int64_t at = j + shape->inner; at < plane; at += shape->inner)                \
                    if (from[at] > from[best] ||                                                   \
                        (from[at] != from[at] && from[best] == from[best]))                        \
                        best = at;                                                                 \
                to[best] = 1;                                                                      \
            }                                                                                      \
    }
SOFTMAX(f32, float, logf)
SOFTMAX(f64, double, log)

static enum oz_status compile_softmax(struct oz_net *net, struct oz_node *node,
                                      struct oz_error *err)
{
    struct softmax_state *state = oz_node_state(net, node, sizeof(*state));
    if (!state) OZ_FAIL(err, OZ_NO_MEMORY, "out of memory");
    state->is_matrix = node->opset < 13;
    return oz_attr_i64(node, "axis", state->is_matrix ? 1 : -1, &state->axis, err);
}

static enum oz_status run_any(struct oz_exec *exec, const struct oz_node *node,
                              enum softmax_form form, struct oz_error *err)
{
    const struct softmax_state *state = node->state;
    const struct oz_tensor *in = oz_exec_in(exec, node, 0);
    if (!oz_dtype_is_float((enum oz_dtype)in->dtype))
        return oz_refuse_dtype("its input", (enum oz_dtype)in->dtype,
                               1u << OZ_DTYPE_F32 | 1u << OZ_DTYPE_F64, err);
    size_t axis;
    OZ_TRY(oz_axis(state->axis, in->rank, &axis, err));
    struct oz_tensor *out;
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)in->dtype, in->rank, in->dim, &out, err));
    if (!out->data || !out->n) return OZ_OK;
    struct softmax_shape shape = {
        .outer = oz_tensor_count(in, 0, axis),
        .size = state->is_matrix ? oz_tensor_count(in, axis, in->rank) : in->dim[axis],
        .inner = state->is_matrix ? 1 : oz_tensor_count(in, axis + 1, in->rank),
    };
    if (in->dtype == OZ_DTYPE_F32) {
        if (form == FORM_HARD)
            hardmax_f32(out->f32, in->f32, &shape);
        else
            softmax_f32(out->f32, in->f32, &shape, form == FORM_LOG);
    } else {
        if (form == FORM_HARD)
            hardmax_f64(out->f64, in->f64, &shape);
        else
            softmax_f64(out->f64, in->f64, &shape, form == FORM_LOG);
    }
    return OZ_OK;
}

static enum oz_status run_softmax(struct oz_exec *exec, const struct oz_node *node,
                                  struct oz_error *err)
{
    return run_any(exec, node, FORM_SOFTMAX, err);
}

static enum oz_status run_log_softmax(struct oz_exec *exec, const struct oz_node *node,
                                      struct oz_error *err)
{
    return run_any(exec, node, FORM_LOG, err);
}

static enum oz_status run_hardmax(struct oz_exec *exec, const struct oz_node *node,
                                  struct oz_error *err)
{
    return run_any(exec, node, FORM_HARD, err);
}

const struct oz_op oz_ops_softmax[] = {
    {"Softmax", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, compile_softmax, NULL, run_softmax},
    {"LogSoftmax", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, compile_softmax, NULL, run_log_softmax},
    {"Hardmax", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, compile_softmax, NULL, run_hardmax},
    {0},
};
