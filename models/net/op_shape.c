#include <string.h>
#include "models/net/layout_args.h"
#include "models/net/op_tables.h"

/* Operators that change what a tensor is said to be and not what lies in memory: views, and the
 * questions about a shape. */

static enum oz_status run_identity(struct oz_exec *exec, const struct oz_node *node,
                                   struct oz_error *err)
{
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    return oz_exec_view(exec, node, 0, 0, x->rank, x->dim, err);
}

/* ---- Dropout: inference, where it does nothing ---- */

static enum oz_status compile_dropout(struct oz_net *net, struct oz_node *node,
                                      struct oz_error *err)
{
    (void)net;
    if (node->opset < 12) {
        oz_attr_ignore(node, "ratio");
        return oz_node_inputs(node, 1, 1, err);
    }
    oz_attr_ignore(node, "seed");
    return OZ_OK;
}

/* Training drops at random, except with a ratio of 0. */
static enum oz_status check_training(const struct oz_tensor *ratio,
                                     const struct oz_tensor *training, struct oz_error *err)
{
    if (!training || !training->data) return OZ_OK;
    if (training->dtype != OZ_DTYPE_BOOL || training->n != 1)
        OZ_FAIL(err, OZ_MODEL, "its training_mode is not one bool");
    if (!training->boolean[0]) return OZ_OK;
    if (ratio && !ratio->data) return OZ_OK;
    if (!ratio || !oz_dtype_is_float((enum oz_dtype)ratio->dtype) || ratio->n != 1 ||
        oz_tensor_f64_at(ratio, 0) != 0)
        OZ_FAIL(err, OZ_MODEL,
                "it is in training mode, which drops values at random; export the net for "
                "inference");
    return OZ_OK;
}

static enum oz_status run_dropout(struct oz_exec *exec, const struct oz_node *node,
                                  struct oz_error *err)
{
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    struct oz_tensor *mask;
    OZ_TRY(check_training(oz_exec_in(exec, node, 1), oz_exec_in(exec, node, 2), err));
    OZ_TRY(oz_exec_view(exec, node, 0, 0, x->rank, x->dim, err));
    if (!oz_exec_is_wanted(node, 1)) return OZ_OK;
    enum oz_dtype dtype = node->opset < 10 ? (enum oz_dtype)x->dtype : OZ_DTYPE_BOOL;
    OZ_TRY(oz_exec_out(exec, node, 1, dtype, x->rank, x->dim, &mask, err));
    if (!mask->data) return OZ_OK;
    switch (dtype) {
    case OZ_DTYPE_F32:
        for (int64_t i = 0; i < mask->n; i++) mask->f32[i] = 1;
        return OZ_OK;
    case OZ_DTYPE_F64:
        for (int64_t i = 0; i < mask->n; i++) mask->f64[i] = 1;
        return OZ_OK;
    case OZ_DTYPE_BOOL: memset(mask->data, 1, (size_t)mask->n); return OZ_OK;
    default: OZ_FAIL(err, OZ_MODEL, "a mask of %s", oz_dtype_word(dtype));
    }
}

/* ---- Reshape ---- */

struct reshape {
    bool is_zero_kept; /* a 0 means 0, not "as it was" */
};

static enum oz_status compile_reshape(struct oz_net *net, struct oz_node *node,
                                      struct oz_error *err)
{
    struct reshape *reshape = oz_node_state(net, node, sizeof *reshape);
    if (!reshape) return oz_no_memory(err);
    if (node->opset < 14) return OZ_OK;
    return oz_attr_bool(node, "allowzero", false, &reshape->is_zero_kept, err);
}

/* The dimension that is -1: what is left. Dimensions that are taken over cancel out on both sides,
 * so a batch of 0 rows has an answer too. */
static enum oz_status reshape_free(const struct oz_tensor *x, const bool *is_copied,
                                   int64_t explicit_n, int64_t *ret_size, struct oz_error *err)
{
    char words[OZ_TENSOR_WORDS_BYTES];
    int64_t rest = 1;
    for (size_t d = 0; d < x->rank; d++)
        if (!is_copied[d]) rest *= x->dim[d];
    /* An upper bound rounds down: the true count is a multiple of explicit_n and no more. */
    if (explicit_n == 0 || (rest % explicit_n != 0 && !x->loose))
        OZ_FAIL(err, OZ_MODEL, "its shape has a -1 that no size fits: %s against %lld beside it",
                oz_tensor_words(x, words), (long long)explicit_n);
    *ret_size = rest / explicit_n;
    return OZ_OK;
}

static enum oz_status run_reshape(struct oz_exec *exec, const struct oz_node *node,
                                  struct oz_error *err)
{
    const struct reshape *reshape = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0), *shape;
    struct oz_ints want;
    int64_t dim[OZ_RANK_MAX], explicit_n = 1;
    bool is_copied[OZ_RANK_MAX] = {false}, has_zero = false;
    size_t free = SIZE_MAX;
    OZ_TRY(oz_exec_in_known(exec, node, 1, "its shape", &shape, err));
    OZ_TRY(oz_ints_of_tensor(shape, "its shape", OZ_RANK_MAX, &want, err));
    for (size_t d = 0; d < want.n; d++) {
        int64_t size = want.at[d];
        if (size == -1) {
            if (free != SIZE_MAX) OZ_FAIL(err, OZ_MODEL, "its shape has two -1");
            free = d;
        } else if (size < 0) {
            OZ_FAIL(err, OZ_MODEL, "its shape has a dimension of %lld", (long long)size);
        } else if (size == 0 && !reshape->is_zero_kept) {
            if (d >= x->rank)
                OZ_FAIL(err, OZ_MODEL, "its shape takes over dimension %zu of a tensor of rank %u",
                        d, x->rank);
            is_copied[d] = true;
            dim[d] = x->dim[d];
        } else {
            has_zero |= size == 0;
            if (size > OZ_TENSOR_ELEMENTS_MAX ||
                (size && explicit_n > OZ_TENSOR_ELEMENTS_MAX / size))
                OZ_FAIL(err, OZ_MODEL, "its shape has more than %lld elements",
                        (long long)OZ_TENSOR_ELEMENTS_MAX);
            explicit_n *= size;
            dim[d] = size;
        }
    }
    if (has_zero && free != SIZE_MAX)
        OZ_FAIL(err, OZ_MODEL, "its shape has a -1 beside a 0 that is kept");
    if (free != SIZE_MAX) OZ_TRY(reshape_free(x, is_copied, explicit_n, &dim[free], err));
    return oz_exec_view(exec, node, 0, 0, want.n, dim, err);
}

/* ---- Flatten ---- */

static enum oz_status compile_flatten(struct oz_net *net, struct oz_node *node,
                                      struct oz_error *err)
{
    return oz_compile_axis(net, node, 1, err);
}

static enum oz_status run_flatten(struct oz_exec *exec, const struct oz_node *node,
                                  struct oz_error *err)
{
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    int64_t rank = x->rank, axis = *(const int64_t *)node->state;
    /* One more than an axis can be: all dimensions may go to the front. */
    if (axis < -rank || axis > rank)
        OZ_FAIL(err, OZ_MODEL, "axis %lld of a tensor of rank %lld", (long long)axis,
                (long long)rank);
    size_t split = (size_t)(axis < 0 ? axis + rank : axis);
    int64_t dim[2] = {oz_tensor_count(x, 0, split), oz_tensor_count(x, split, x->rank)};
    return oz_exec_view(exec, node, 0, 0, 2, dim, err);
}

/* ---- Squeeze, Unsqueeze: axes are an attribute before opset 13, an input since ---- */

struct squeeze {
    bool has_axes; /* as an attribute */
    struct oz_ints axes;
};

static enum oz_status compile_squeeze(struct oz_net *net, struct oz_node *node,
                                      struct oz_error *err)
{
    struct squeeze *squeeze = oz_node_state(net, node, sizeof *squeeze);
    if (!squeeze) return oz_no_memory(err);
    if (node->opset >= 13) return OZ_OK;
    OZ_TRY(oz_node_inputs(node, 1, 1, err));
    return oz_ints_of_attribute(node, "axes", OZ_RANK_MAX, &squeeze->axes, &squeeze->has_axes, err);
}

static enum oz_status compile_unsqueeze(struct oz_net *net, struct oz_node *node,
                                        struct oz_error *err)
{
    OZ_TRY(compile_squeeze(net, node, err));
    if (node->opset >= 13) return oz_node_inputs(node, 2, 2, err);
    if (!((const struct squeeze *)node->state)->has_axes)
        OZ_FAIL(err, OZ_MODEL, "it has no attribute `axes`");
    return OZ_OK;
}

static enum oz_status squeeze_axes(struct oz_exec *exec, const struct oz_node *node,
                                   struct oz_ints *ret_axes, bool *ret_has_axes,
                                   struct oz_error *err)
{
    const struct squeeze *squeeze = node->state;
    const struct oz_tensor *axes;
    *ret_axes = squeeze->axes;
    *ret_has_axes = squeeze->has_axes;
    OZ_TRY(oz_exec_in_known(exec, node, 1, "its axes", &axes, err));
    if (!axes) return OZ_OK;
    *ret_has_axes = true;
    return oz_ints_of_tensor(axes, "its axes", OZ_RANK_MAX, ret_axes, err);
}

static enum oz_status run_squeeze(struct oz_exec *exec, const struct oz_node *node,
                                  struct oz_error *err)
{
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    struct oz_ints axes;
    bool has_axes, is_gone[OZ_RANK_MAX] = {false};
    int64_t dim[OZ_RANK_MAX];
    size_t rank = 0;
    OZ_TRY(squeeze_axes(exec, node, &axes, &has_axes, err));
    if (!has_axes && x->loose)
        OZ_FAIL(err, OZ_MODEL, "it has no axes, and the shape of what it squeezes depends on data");
    if (has_axes) {
        OZ_TRY(oz_ints_as_axes(&axes, x->rank, err));
        for (size_t i = 0; i < axes.n; i++) is_gone[axes.at[i]] = true;
    } else {
        for (size_t d = 0; d < x->rank; d++) is_gone[d] = x->dim[d] == 1;
    }
    for (size_t d = 0; d < x->rank; d++) {
        if (!is_gone[d])
            dim[rank++] = x->dim[d];
        else if (x->dim[d] != 1 && !x->loose)
            OZ_FAIL(err, OZ_MODEL, "dimension %zu is %lld, only 1 can be squeezed", d,
                    (long long)x->dim[d]);
    }
    return oz_exec_view(exec, node, 0, 0, rank, dim, err);
}

static enum oz_status run_unsqueeze(struct oz_exec *exec, const struct oz_node *node,
                                    struct oz_error *err)
{
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    struct oz_ints axes;
    bool has_axes, is_new[OZ_RANK_MAX] = {false};
    int64_t dim[OZ_RANK_MAX];
    OZ_TRY(squeeze_axes(exec, node, &axes, &has_axes, err));
    size_t rank = x->rank + axes.n;
    if (rank > OZ_RANK_MAX)
        OZ_FAIL(err, OZ_MODEL, "it makes a tensor of rank %zu, up to %d are served", rank,
                OZ_RANK_MAX);
    OZ_TRY(oz_ints_as_axes(&axes, rank, err));
    for (size_t i = 0; i < axes.n; i++) is_new[axes.at[i]] = true;
    for (size_t d = 0, from = 0; d < rank; d++) dim[d] = is_new[d] ? 1 : x->dim[from++];
    return oz_exec_view(exec, node, 0, 0, rank, dim, err);
}

/* ---- Shape, Size ---- */

struct shape {
    int64_t start, end;
};

static enum oz_status compile_shape(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct shape *shape = oz_node_state(net, node, sizeof *shape);
    if (!shape) return oz_no_memory(err);
    shape->end = INT64_MAX;
    if (node->opset < 15) return OZ_OK;
    OZ_TRY(oz_attr_i64(node, "start", 0, &shape->start, err));
    return oz_attr_i64(node, "end", INT64_MAX, &shape->end, err);
}

static int64_t clamped_axis(int64_t axis, int64_t rank)
{
    if (axis < 0) axis += rank;
    return OZ_MIN(OZ_MAX(axis, 0), rank);
}

static enum oz_status run_shape(struct oz_exec *exec, const struct oz_node *node,
                                struct oz_error *err)
{
    const struct shape *shape = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    struct oz_tensor *y;
    int64_t start = clamped_axis(shape->start, x->rank), end = clamped_axis(shape->end, x->rank);
    int64_t n = OZ_MAX(end - start, 0);
    OZ_TRY(oz_exec_out_by_shape(exec, node, 0, OZ_DTYPE_I64, 1, &n, &y, err));
    if (!y->data) return OZ_OK;
    for (int64_t i = 0; i < n; i++) y->i64[i] = x->dim[start + i];
    return OZ_OK;
}

static enum oz_status run_size(struct oz_exec *exec, const struct oz_node *node,
                               struct oz_error *err)
{
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    struct oz_tensor *y;
    OZ_TRY(oz_exec_out_by_shape(exec, node, 0, OZ_DTYPE_I64, 0, NULL, &y, err));
    if (y->data) y->i64[0] = x->n;
    return OZ_OK;
}

const struct oz_op oz_ops_shape[] = {
    {"Dropout", OZ_DOMAIN_ONNX, 7, 1, 3, 1, 2, compile_dropout, NULL, run_dropout},
    {"Flatten", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, compile_flatten, NULL, run_flatten},
    {"Identity", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, NULL, NULL, run_identity},
    {"Reshape", OZ_DOMAIN_ONNX, 5, 2, 2, 1, 1, compile_reshape, NULL, run_reshape},
    {"Shape", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, compile_shape, NULL, run_shape},
    {"Size", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, NULL, NULL, run_size},
    {"Squeeze", OZ_DOMAIN_ONNX, 1, 1, 2, 1, 1, compile_squeeze, NULL, run_squeeze},
    {"Unsqueeze", OZ_DOMAIN_ONNX, 1, 1, 2, 1, 1, compile_unsqueeze, NULL, run_unsqueeze},
    {.name = NULL},
};
