#include "models/net/op_tables.h"
#include <math.h>
#include "models/net/moments.h"

/* Normalizations: values minus a mean, over a deviation, times a scale, plus a bias. What differs
 * is which values share a mean and which share a scale. Moments are summed in one order, so a
 * row's result is the same in every batch; the standardized values are float for float inputs,
 * as stash_type 1 asks, and double for double ones, as ONNX Runtime has them. */

struct norm {
    float epsilon;
    int64_t axis, n_groups;
    int64_t p;
    bool spatial;
};

struct moments {
    double mean, inv_std;
};

#define STEPS(name, type)                                                                          \
    /* y = (x - shift) * factor */                                                                 \
    static void standardize_##name(const type *restrict x, int64_t n, double shift, double factor, \
                                   type *restrict y)                                               \
    {                                                                                              \
        type s = (type)shift, f = (type)factor;                                                    \
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - s) * f;                                     \
    }                                                                                              \
    /* y = y * scale + bias, one of each for the whole run */                                      \
    static void scale_run_##name(type *restrict y, int64_t n, type scale, type bias)               \
    {                                                                                              \
        for (int64_t i = 0; i < n; i++) y[i] = y[i] * scale + bias;                                \
    }                                                                                              \
    /* the same, one of each for every element; bias may be NULL */                                \
    static void scale_each_##name(type *restrict y, int64_t n, const type *restrict scale,         \
                                  const type *restrict bias)                                       \
    {                                                                                              \
        for (int64_t i = 0; i < n; i++) y[i] *= scale[i];                                          \
        for (int64_t i = 0; bias && i < n; i++) y[i] += bias[i];                                   \
    }                                                                                              \
    /* y *= factor or y += factor, whose elements may be stretched */                              \
    static void broadcast_##name(const struct oz_tensor *factor, bool is_bias,                     \
                                 const struct oz_tensor *out)                                      \
    {                                                                                              \
        struct oz_broadcast walk;                                                                  \
        int64_t index[OZ_RANK_MAX] = {0}, offset[OZ_BROADCAST_MAX] = {0};                          \
        oz_broadcast_walk(&factor, 1, out, &walk);                                                 \
        int64_t run = walk.dim[walk.rank - 1], step = walk.stride[0][walk.rank - 1];               \
        type *y = out->name;                                                                       \
        do {                                                                                       \
            const type *f = factor->name + offset[0];                                              \
            if (is_bias)                                                                           \
                for (int64_t i = 0; i < run; i++) y[i] += f[i * step];                             \
            else                                                                                   \
                for (int64_t i = 0; i < run; i++) y[i] *= f[i * step];                             \
            y += run;                                                                              \
        } while (oz_broadcast_next(&walk, index, offset));                                         \
    }
STEPS(f32, float)
STEPS(f64, double)
#undef STEPS

/* y = (x - mean) * factor + bias, one of each (of[0], of[1], of[2]) for a channel of n_each
 * elements; they are the innermost loop, or the channels are when n_each is 1. */
#define BATCH(name, type)                                                                          \
    static void batch_##name(const type *restrict x, int64_t n_rows, int64_t n_channels,           \
                             int64_t n_each, const type *restrict of, type *restrict y)            \
    {                                                                                              \
        const type *mean = of, *factor = of + n_channels, *bias = of + 2 * n_channels;             \
        int64_t step = n_each * n_channels;                                                        \
        for (int64_t row = 0; row < n_rows; row++, x += step, y += step) {                         \
            for (int64_t c = 0; n_each == 1 && c < n_channels; c++)                                \
                y[c] = (x[c] - mean[c]) * factor[c] + bias[c];                                     \
            for (int64_t c = 0; n_each > 1 && c < n_channels; c++)                                 \
                for (int64_t i = c * n_each; i < (c + 1) * n_each; i++)                            \
                    y[i] = (x[i] - mean[c]) * factor[c] + bias[c];                                 \
        }                                                                                          \
    }
BATCH(f32, float)
BATCH(f64, double)
#undef BATCH

static struct moments moments_of(const struct oz_tensor *x, int64_t from, int64_t n, float epsilon,
                                 bool is_centred)
{
    bool is_f32 = x->dtype == OZ_DTYPE_F32;
    double mean = 0.0;
    if (is_centred)
        mean = (is_f32 ? oz_sum_f32(x->f32 + from, n) : oz_sum_f64(x->f64 + from, n)) / (double)n;
    double squares = is_f32 ? oz_sum_squares_f32(x->f32 + from, n, mean)
                            : oz_sum_squares_f64(x->f64 + from, n, mean);
    return (struct moments){mean, 1.0 / sqrt(squares / (double)n + (double)epsilon)};
}

static void standardize(const struct oz_tensor *x, const struct oz_tensor *y, int64_t from,
                        int64_t n, double shift, double factor)
{
    if (x->dtype == OZ_DTYPE_F32)
        standardize_f32(x->f32 + from, n, shift, factor, y->f32 + from);
    else
        standardize_f64(x->f64 + from, n, shift, factor, y->f64 + from);
}

static void scale_run(const struct oz_tensor *y, int64_t from, int64_t n, double scale, double bias)
{
    if (y->dtype == OZ_DTYPE_F32)
        scale_run_f32(y->f32 + from, n, (float)scale, (float)bias);
    else
        scale_run_f64(y->f64 + from, n, scale, bias);
}

static enum oz_status need_float(const struct oz_tensor *x, const char *what, struct oz_error *err)
{
    if (!oz_dtype_is_float(x->dtype))
        OZ_FAIL(err, OZ_MODEL, "%s is %s; float and double are served", what,
                oz_dtype_word(x->dtype));
    return OZ_OK;
}

static enum oz_status need_same_type(const struct oz_tensor *x, const struct oz_tensor *other,
                                     const char *what, struct oz_error *err)
{
    if (other->dtype != x->dtype)
        OZ_FAIL(err, OZ_MODEL, "%s is %s, but the input is %s; one type for both is served", what,
                oz_dtype_word(other->dtype), oz_dtype_word(x->dtype));
    return OZ_OK;
}

/* A scale, bias, mean or variance: a vector of n. */
static enum oz_status need_vector(const struct oz_tensor *v, const char *what, int64_t n,
                                  struct oz_error *err)
{
    char words[OZ_TENSOR_WORDS_BYTES];
    OZ_TRY(need_float(v, what, err));
    if (v->rank != 1 || v->dim[0] != n)
        OZ_FAIL(err, OZ_MODEL, "%s is %s; a vector of %lld is needed", what,
                oz_tensor_words(v, words), (long long)n);
    return OZ_OK;
}

static enum oz_status compile_epsilon(struct oz_net *net, struct oz_node *node,
                                      struct norm **ret_norm, struct oz_error *err)
{
    struct norm *norm = oz_node_state(net, node, sizeof *norm);
    if (!norm) return oz_no_memory(err);
    norm->spatial = true;
    *ret_norm = norm;
    return oz_attr_f32(node, "epsilon", 1e-5f, &norm->epsilon, err);
}

static enum oz_status compile_stash_type(struct oz_node *node, struct oz_error *err)
{
    int64_t stash_type;
    OZ_TRY(oz_attr_i64(node, "stash_type", 1, &stash_type, err));
    if (stash_type != 1)
        OZ_FAIL(err, OZ_MODEL, "stash_type is %lld; 1 (float) is served", (long long)stash_type);
    return OZ_OK;
}

static enum oz_status batch_compile(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct norm *norm = NULL;
    bool is_training = false;
    OZ_TRY(compile_epsilon(net, node, &norm, err));
    oz_attr_ignore(node, "momentum"); /* of training */
    if (node->opset < 9) OZ_TRY(oz_attr_bool(node, "spatial", true, &norm->spatial, err));
    if (node->opset >= 14) OZ_TRY(oz_attr_bool(node, "training_mode", false, &is_training, err));
    for (uint32_t k = 1; k < node->n_outputs; k++) is_training |= oz_exec_is_wanted(node, k);
    if (is_training)
        OZ_FAIL(err, OZ_MODEL,
                "the node is in training mode (training_mode 1, or more than one output); "
                "inference is served");
    return OZ_OK;
}

/* spatial 0, up to opset 8: every element of a row has its own statistics. */
static enum oz_status check_batch(const struct norm *norm, const struct oz_tensor *x,
                                  const struct oz_tensor *const of[4], struct oz_error *err)
{
    static const char *const what[] = {"scale", "B", "mean", "var"};
    OZ_TRY(need_float(x, "the input", err));
    if (x->rank < 1) OZ_FAIL(err, OZ_MODEL, "the input is a scalar; rank 1 is the least");
    for (size_t i = 0; i < 4; i++) {
        if (norm->spatial || x->rank < 2) {
            OZ_TRY(need_vector(of[i], what[i], x->rank < 2 ? 1 : x->dim[1], err));
            continue;
        }
        char words[OZ_TENSOR_WORDS_BYTES];
        bool fits = of[i]->rank == x->rank - 1;
        OZ_TRY(need_float(of[i], what[i], err));
        for (size_t d = 0; fits && d < of[i]->rank; d++) fits = of[i]->dim[d] == x->dim[d + 1];
        if (!fits)
            OZ_FAIL(err, OZ_MODEL,
                    "%s is %s; with spatial 0 it has the input's shape without "
                    "the batch",
                    what[i], oz_tensor_words(of[i], words));
    }
    return OZ_OK;
}

static void put(void *to, enum oz_dtype dtype, int64_t i, double v)
{
    if (dtype == OZ_DTYPE_F32)
        ((float *)to)[i] = (float)v;
    else
        ((double *)to)[i] = v;
}

static enum oz_status batch_run(struct oz_exec *exec, const struct oz_node *node,
                                struct oz_error *err)
{
    const struct norm *norm = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    const struct oz_tensor *of[4]; /* scale, bias, mean, variance */
    struct oz_tensor *y;
    for (uint32_t i = 0; i < 4; i++) of[i] = oz_exec_in(exec, node, 1 + i);
    OZ_TRY(check_batch(norm, x, of, err));
    int64_t n_channels = of[0]->n;
    void *scratch;
    OZ_TRY(oz_exec_out(exec, node, 0, x->dtype, x->rank, x->dim, &y, err));
    OZ_TRY(oz_exec_scratch(exec, node, (size_t)n_channels * 3 * oz_dtype_bytes(x->dtype), &scratch,
                           err));
    if (!y->data || y->n == 0) return OZ_OK;
    int64_t n_rows = x->rank < 2 ? 1 : x->dim[0];
    int64_t n_each = x->n / n_rows / n_channels;
    for (int64_t c = 0; c < n_channels; c++) {
        double variance = oz_tensor_f64_at(of[3], c), scale = oz_tensor_f64_at(of[0], c);
        double mean = oz_tensor_f64_at(of[2], c), bias = oz_tensor_f64_at(of[1], c);
        put(scratch, x->dtype, c, mean);
        put(scratch, x->dtype, n_channels + c, scale / sqrt(variance + (double)norm->epsilon));
        put(scratch, x->dtype, 2 * n_channels + c, bias);
    }
    if (x->dtype == OZ_DTYPE_F32)
        batch_f32(x->f32, n_rows, n_channels, n_each, scratch, y->f32);
    else
        batch_f64(x->f64, n_rows, n_channels, n_each, scratch, y->f64);
    return OZ_OK;
}

static enum oz_status layer_compile(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct norm *norm = NULL;
    OZ_TRY(compile_epsilon(net, node, &norm, err));
    OZ_TRY(compile_stash_type(node, err));
    return oz_attr_i64(node, "axis", -1, &norm->axis, err);
}

/* Scale and bias stretch to the input's shape, never the other way. */
static enum oz_status need_stretch(const struct oz_tensor *x, const struct oz_tensor *v,
                                   const char *what, struct oz_error *err)
{
    char words[OZ_TENSOR_WORDS_BYTES], x_words[OZ_TENSOR_WORDS_BYTES];
    OZ_TRY(need_same_type(x, v, what, err));
    bool fits = v->rank <= x->rank;
    for (size_t d = 0; fits && d < v->rank; d++)
        fits = v->dim[d] == 1 || v->dim[d] == x->dim[x->rank - v->rank + d];
    if (!fits)
        OZ_FAIL(err, OZ_MODEL, "%s is %s, which does not stretch to the input, %s", what,
                oz_tensor_words(v, words), oz_tensor_words(x, x_words));
    return OZ_OK;
}

/* Whether v has one element for each of the last n, and the same ones in every row. */
static bool is_per_element(const struct oz_tensor *x, const struct oz_tensor *v, size_t axis)
{
    size_t rank = x->rank - axis;
    if (v->rank < rank || v->n != oz_tensor_count(x, axis, x->rank)) return false;
    for (size_t d = 0; d < rank; d++)
        if (v->dim[v->rank - rank + d] != x->dim[axis + d]) return false;
    return true;
}

static void scale_rows(const struct oz_tensor *y, const struct oz_tensor *scale,
                       const struct oz_tensor *bias, size_t axis)
{
    if (!is_per_element(y, scale, axis) || (bias && !is_per_element(y, bias, axis))) {
        for (int is_bias = 0; is_bias < 2; is_bias++) {
            const struct oz_tensor *factor = is_bias ? bias : scale;
            if (!factor) continue;
            if (y->dtype == OZ_DTYPE_F32)
                broadcast_f32(factor, is_bias, y);
            else
                broadcast_f64(factor, is_bias, y);
        }
        return;
    }
    int64_t n = scale->n;
    for (int64_t from = 0; from < y->n; from += n) {
        if (y->dtype == OZ_DTYPE_F32)
            scale_each_f32(y->f32 + from, n, scale->f32, bias ? bias->f32 : NULL);
        else
            scale_each_f64(y->f64 + from, n, scale->f64, bias ? bias->f64 : NULL);
    }
}

static enum oz_status layer_run(struct oz_exec *exec, const struct oz_node *node,
                                struct oz_error *err)
{
    const struct norm *norm = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0), *scale = oz_exec_in(exec, node, 1);
    const struct oz_tensor *bias = oz_exec_in(exec, node, 2);
    struct oz_tensor *y, *statistic[2] = {NULL, NULL}; /* mean, inverse deviation */
    int64_t dim[OZ_RANK_MAX];
    size_t axis;
    OZ_TRY(need_float(x, "the input", err));
    OZ_TRY(oz_axis(norm->axis, x->rank, &axis, err));
    OZ_TRY(need_stretch(x, scale, "Scale", err));
    if (bias) OZ_TRY(need_stretch(x, bias, "B", err));
    OZ_TRY(oz_exec_out(exec, node, 0, x->dtype, x->rank, x->dim, &y, err));
    for (size_t d = 0; d < x->rank; d++) dim[d] = d < axis ? x->dim[d] : 1;
    for (uint32_t k = 0; k < 2; k++)
        if (oz_exec_is_wanted(node, 1 + k))
            OZ_TRY(oz_exec_out(exec, node, 1 + k, OZ_DTYPE_F32, x->rank, dim, &statistic[k], err));
    if (!y->data) return OZ_OK;
    int64_t n_rows = oz_tensor_count(x, 0, axis), n = oz_tensor_count(x, axis, x->rank);
    if (n == 0 && n_rows > 0) OZ_FAIL(err, OZ_MODEL, "the axes to normalize over have no elements");
    for (int64_t row = 0; row < n_rows; row++) {
        struct moments moments = moments_of(x, row * n, n, norm->epsilon, true);
        standardize(x, y, row * n, n, moments.mean, moments.inv_std);
        if (statistic[0]) statistic[0]->f32[row] = (float)moments.mean;
        if (statistic[1]) statistic[1]->f32[row] = (float)moments.inv_std;
    }
    if (y->n) scale_rows(y, scale, bias, axis);
    return OZ_OK;
}

static enum oz_status rms_run(struct oz_exec *exec, const struct oz_node *node,
                              struct oz_error *err)
{
    const struct norm *norm = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0), *scale = oz_exec_in(exec, node, 1);
    struct oz_tensor *y;
    size_t axis;
    OZ_TRY(need_float(x, "the input", err));
    OZ_TRY(oz_axis(norm->axis, x->rank, &axis, err));
    OZ_TRY(need_stretch(x, scale, "scale", err));
    OZ_TRY(oz_exec_out(exec, node, 0, x->dtype, x->rank, x->dim, &y, err));
    if (!y->data || y->n == 0) return OZ_OK;
    int64_t n = oz_tensor_count(x, axis, x->rank);
    for (int64_t from = 0; from < x->n; from += n) {
        struct moments moments = moments_of(x, from, n, norm->epsilon, false);
        standardize(x, y, from, n, 0.0, moments.inv_std);
    }
    scale_rows(y, scale, NULL, axis);
    return OZ_OK;
}

static enum oz_status instance_compile(struct oz_net *net, struct oz_node *node,
                                       struct oz_error *err)
{
    struct norm *norm = NULL;
    return compile_epsilon(net, node, &norm, err);
}

static enum oz_status group_compile(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct norm *norm = NULL;
    OZ_TRY(compile_epsilon(net, node, &norm, err));
    if (node->opset >= 21) OZ_TRY(compile_stash_type(node, err));
    OZ_TRY(oz_attr_i64(node, "num_groups", 0, &norm->n_groups, err));
    if (norm->n_groups < 1)
        OZ_FAIL(err, OZ_MODEL, "num_groups is %lld; it must be there and at least 1",
                (long long)norm->n_groups);
    return OZ_OK;
}

/* n_groups groups of channels share their moments; each of n_scales equal parts of the channels has
 * its own scale and bias. */
static enum oz_status group_norm(struct oz_exec *exec, const struct oz_node *node, int64_t n_groups,
                                 int64_t n_scales, struct oz_error *err)
{
    const struct norm *norm = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0), *scale = oz_exec_in(exec, node, 1);
    const struct oz_tensor *bias = oz_exec_in(exec, node, 2);
    struct oz_tensor *y;
    OZ_TRY(need_vector(scale, "scale", n_scales, err));
    OZ_TRY(need_vector(bias, "the bias", n_scales, err));
    OZ_TRY(oz_exec_out(exec, node, 0, x->dtype, x->rank, x->dim, &y, err));
    if (!y->data || y->n == 0) return OZ_OK;
    int64_t n = x->n / x->dim[0] / n_groups;
    for (int64_t from = 0; from < x->n; from += n) {
        struct moments moments = moments_of(x, from, n, norm->epsilon, true);
        standardize(x, y, from, n, moments.mean, moments.inv_std);
    }
    n = x->n / x->dim[0] / n_scales;
    for (int64_t from = 0, i = 0; from < x->n; from += n, i = i + 1 == n_scales ? 0 : i + 1)
        scale_run(y, from, n, oz_tensor_f64_at(scale, i), oz_tensor_f64_at(bias, i));
    return OZ_OK;
}

static enum oz_status instance_run(struct oz_exec *exec, const struct oz_node *node,
                                   struct oz_error *err)
{
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    OZ_TRY(need_float(x, "the input", err));
    if (x->rank < 3) OZ_FAIL(err, OZ_MODEL, "the input has rank %u; 3 is the least", x->rank);
    return group_norm(exec, node, x->dim[1], x->dim[1], err);
}

static enum oz_status group_run(struct oz_exec *exec, const struct oz_node *node,
                                struct oz_error *err)
{
    const struct norm *norm = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    OZ_TRY(need_float(x, "the input", err));
    if (x->rank < 2) OZ_FAIL(err, OZ_MODEL, "the input has rank %u; 2 is the least", x->rank);
    if (x->dim[1] % norm->n_groups)
        OZ_FAIL(err, OZ_MODEL, "%lld channels cannot be put into %lld equal groups",
                (long long)x->dim[1], (long long)norm->n_groups);
    /* Opset 18 has one scale for a group, 21 one for a channel. */
    return group_norm(exec, node, norm->n_groups, node->opset < 21 ? norm->n_groups : x->dim[1],
                      err);
}

static enum oz_status lp_compile(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct norm *norm = oz_node_state(net, node, sizeof *norm);
    if (!norm) return oz_no_memory(err);
    OZ_TRY(oz_attr_i64(node, "axis", -1, &norm->axis, err));
    OZ_TRY(oz_attr_i64(node, "p", 2, &norm->p, err));
    if (norm->p != 1 && norm->p != 2)
        OZ_FAIL(err, OZ_MODEL, "p is %lld; 1 and 2 are served", (long long)norm->p);
    return OZ_OK;
}

/* n elements, `step` apart. A norm of 0 makes NaN of the zeros, as the node suite has it. */
#define LP_NORMALIZE(name, type)                                                                   \
    static void lp_normalize_##name(const type *restrict x, int64_t n, int64_t step, int64_t p,    \
                                    type *restrict y)                                              \
    {                                                                                              \
        double sum = 0.0;                                                                          \
        for (int64_t i = 0; i < n; i++) {                                                          \
            double v = (double)x[i * step];                                                        \
            sum += p == 1 ? fabs(v) : v * v;                                                       \
        }                                                                                          \
        type length = (type)(p == 1 ? sum : sqrt(sum));                                            \
        for (int64_t i = 0; i < n; i++) y[i * step] = x[i * step] / length;                        \
    }
LP_NORMALIZE(f32, float)
LP_NORMALIZE(f64, double)
#undef LP_NORMALIZE

static enum oz_status lp_run(struct oz_exec *exec, const struct oz_node *node, struct oz_error *err)
{
    const struct norm *norm = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    struct oz_tensor *y;
    size_t axis;
    OZ_TRY(need_float(x, "the input", err));
    OZ_TRY(oz_axis(norm->axis, x->rank, &axis, err));
    OZ_TRY(oz_exec_out(exec, node, 0, x->dtype, x->rank, x->dim, &y, err));
    if (!y->data || y->n == 0) return OZ_OK;
    int64_t n = x->dim[axis], step = oz_tensor_count(x, axis + 1, x->rank);
    for (int64_t outer = 0; outer < x->n; outer += n * step)
        for (int64_t from = outer; from < outer + step; from++) {
            if (x->dtype == OZ_DTYPE_F32)
                lp_normalize_f32(x->f32 + from, n, step, norm->p, y->f32 + from);
            else
                lp_normalize_f64(x->f64 + from, n, step, norm->p, y->f64 + from);
        }
    return OZ_OK;
}

const struct oz_op oz_ops_norm[] = {
    {"BatchNormalization", OZ_DOMAIN_ONNX, 7, 5, 5, 1, 5, batch_compile, NULL, batch_run},
    {"GroupNormalization", OZ_DOMAIN_ONNX, 18, 3, 3, 1, 1, group_compile, NULL, group_run},
    {"InstanceNormalization", OZ_DOMAIN_ONNX, 6, 3, 3, 1, 1, instance_compile, NULL, instance_run},
    {"LayerNormalization", OZ_DOMAIN_ONNX, 17, 2, 3, 1, 3, layer_compile, NULL, layer_run},
    {"LpNormalization", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, lp_compile, NULL, lp_run},
    {"RMSNormalization", OZ_DOMAIN_ONNX, 23, 2, 2, 1, 1, layer_compile, NULL, rms_run},
    {NULL},
};
