#include <string.h>
#include "models/net/box.h"
#include "models/net/layout_args.h"
#include "models/net/op_tables.h"

/* Operators that put the elements of a tensor elsewhere: each is one box (box.h), or a few. */

static size_t bytes_of(const struct oz_tensor *tensor)
{
    return oz_dtype_bytes((enum oz_dtype)tensor->dtype);
}

static char *at(const struct oz_tensor *tensor, int64_t i)
{
    return (char *)tensor->data + (size_t)i * bytes_of(tensor);
}

/* ---- Transpose ---- */

struct transpose {
    bool has_perm;
    struct oz_ints perm;
};

static enum oz_status compile_transpose(struct oz_net *net, struct oz_node *node,
                                        struct oz_error *err)
{
    struct transpose *transpose = oz_node_state(net, node, sizeof *transpose);
    if (!transpose) return oz_no_memory(err);
    return oz_ints_of_attribute(node, "perm", OZ_RANK_MAX, &transpose->perm, &transpose->has_perm,
                                err);
}

static enum oz_status run_transpose(struct oz_exec *exec, const struct oz_node *node,
                                    struct oz_error *err)
{
    const struct transpose *transpose = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    struct oz_ints perm = transpose->perm;
    struct oz_box box = {0};
    struct oz_tensor *y;
    int64_t dim[OZ_RANK_MAX];
    if (!transpose->has_perm) {
        perm.n = x->rank;
        for (size_t d = 0; d < perm.n; d++) perm.at[d] = x->rank - 1 - (int64_t)d;
    }
    if (perm.n != x->rank)
        OZ_FAIL(err, OZ_MODEL, "its perm has %zu axes, the tensor has %u", perm.n, x->rank);
    OZ_TRY(oz_ints_as_axes(&perm, x->rank, err));
    for (size_t d = 0; d < perm.n; d++) dim[d] = x->dim[perm.at[d]];
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)x->dtype, perm.n, dim, &y, err));
    if (!y->data) return OZ_OK;
    for (size_t d = 0; d < perm.n; d++)
        oz_box_add(&box, dim[d], oz_tensor_count(y, d + 1, y->rank),
                   oz_tensor_count(x, (size_t)perm.at[d] + 1, x->rank));
    oz_box_copy(&box, y->data, x->data, bytes_of(x));
    return OZ_OK;
}

/* ---- Concat ---- */

static enum oz_status compile_concat(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    const struct oz_attribute *axis;
    OZ_TRY(oz_attr_find(node, "axis", OZ_ATTRIBUTE_INT, &axis, err));
    if (!axis) OZ_FAIL(err, OZ_MODEL, "it has no attribute `axis`");
    return oz_compile_axis(net, node, 0, err);
}

static enum oz_status concat_shape(const struct oz_exec *exec, const struct oz_node *node,
                                   size_t axis, int64_t *dim, struct oz_error *err)
{
    const struct oz_tensor *first = oz_exec_in(exec, node, 0);
    char words[2][OZ_TENSOR_WORDS_BYTES];
    bool is_loose = oz_exec_is_loose(exec, node);
    memcpy(dim, first->dim, sizeof first->dim);
    for (uint32_t i = 1; i < node->n_inputs; i++) {
        const struct oz_tensor *x = oz_exec_in(exec, node, i);
        bool fits = x->rank == first->rank;
        OZ_TRY(oz_same_dtype(first, x, err));
        for (size_t d = 0; fits && d < x->rank; d++) {
            if (d == axis) {
                dim[d] += x->dim[d]; /* 4096 times 2^31 at most */
            } else if (x->dim[d] != dim[d]) {
                /* Sizes that are the same in truth are not more than the smallest bound. */
                fits = is_loose;
                dim[d] = OZ_MIN(dim[d], x->dim[d]);
            }
        }
        if (!fits)
            OZ_FAIL(err, OZ_MODEL, "%s and %s do not fit together along axis %zu",
                    oz_tensor_words(first, words[0]), oz_tensor_words(x, words[1]), axis);
    }
    return OZ_OK;
}

static enum oz_status run_concat(struct oz_exec *exec, const struct oz_node *node,
                                 struct oz_error *err)
{
    const struct oz_tensor *first = oz_exec_in(exec, node, 0);
    struct oz_tensor *y;
    int64_t dim[OZ_RANK_MAX];
    size_t axis;
    OZ_TRY(oz_axis(*(const int64_t *)node->state, first->rank, &axis, err));
    OZ_TRY(concat_shape(exec, node, axis, dim, err));
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)first->dtype, first->rank, dim, &y, err));
    if (!y->data) return OZ_OK;
    int64_t row = oz_tensor_count(y, axis, y->rank), offset = 0;
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        const struct oz_tensor *x = oz_exec_in(exec, node, i);
        int64_t part = oz_tensor_count(x, axis, x->rank);
        struct oz_box box = {0};
        oz_box_add(&box, oz_tensor_count(x, 0, axis), row, part);
        oz_box_add(&box, part, 1, 1);
        oz_box_copy(&box, at(y, offset), x->data, bytes_of(x));
        offset += part;
    }
    return OZ_OK;
}

/* ---- Split ---- */

enum { SPLIT_MAX = 1024 }; /* outputs */

struct split {
    int64_t axis, num_outputs; /* num_outputs: 0 when it is not given */
    const int64_t *size;       /* as an attribute, or NULL */
    size_t n_sizes;
};

static enum oz_status compile_split(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct split *split = oz_node_state(net, node, sizeof *split);
    if (!split) return oz_no_memory(err);
    if (node->n_outputs > SPLIT_MAX)
        OZ_FAIL(err, OZ_MODEL, "it has %u outputs, up to %d are served", node->n_outputs,
                SPLIT_MAX);
    OZ_TRY(oz_attr_i64(node, "axis", 0, &split->axis, err));
    if (node->opset < 13) {
        OZ_TRY(oz_node_inputs(node, 1, 1, err));
        OZ_TRY(oz_attr_ints(node, "split", &split->size, &split->n_sizes, err));
        if (!split->n_sizes) split->size = NULL;
    } else if (node->opset >= 18) {
        OZ_TRY(oz_attr_i64(node, "num_outputs", 0, &split->num_outputs, err));
        if (split->num_outputs && split->num_outputs != (int64_t)node->n_outputs)
            OZ_FAIL(err, OZ_MODEL, "num_outputs is %lld, it has %u outputs",
                    (long long)split->num_outputs, node->n_outputs);
    }
    return OZ_OK;
}

/* How much of the dimension each output gets. */
static enum oz_status split_sizes(struct oz_exec *exec, const struct oz_node *node, int64_t size,
                                  int64_t *ret_part, struct oz_error *err)
{
    const struct split *split = node->state;
    const struct oz_tensor *given;
    int64_t n = node->n_outputs, sum = 0, each = (size + n - 1) / n;
    OZ_TRY(oz_exec_in_known(exec, node, 1, "its split", &given, err));
    if (given && (!oz_dtype_is_index((enum oz_dtype)given->dtype) || given->rank > 1))
        OZ_FAIL(err, OZ_MODEL, "its split is not a list of int64");
    bool is_even = !given && !split->size;
    if (!is_even && (given ? given->n : (int64_t)split->n_sizes) != n)
        OZ_FAIL(err, OZ_MODEL, "its split has %lld sizes, it has %lld outputs",
                (long long)(given ? given->n : (int64_t)split->n_sizes), (long long)n);
    for (int64_t i = 0; i < n; i++) {
        int64_t part = OZ_MIN(each, size - sum);
        if (!is_even) part = given ? oz_tensor_i64_at(given, i) : split->size[i];
        if (part < 0 || part > size - sum)
            OZ_FAIL(err, OZ_MODEL, "its split has a part of %lld, %lld of %lld are left",
                    (long long)part, (long long)(size - sum), (long long)size);
        ret_part[i] = part;
        sum += part;
    }
    if (oz_exec_is_loose(exec, node)) return OZ_OK;
    if (sum != size)
        OZ_FAIL(err, OZ_MODEL, "its parts are %lld together, the dimension is %lld", (long long)sum,
                (long long)size);
    /* Uneven parts came with num_outputs. */
    if (is_even && !split->num_outputs && size % n != 0)
        OZ_FAIL(err, OZ_MODEL, "a dimension of %lld has no %lld equal parts", (long long)size,
                (long long)n);
    return OZ_OK;
}

static enum oz_status run_split(struct oz_exec *exec, const struct oz_node *node,
                                struct oz_error *err)
{
    const struct split *split = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    struct oz_tensor *y[SPLIT_MAX];
    int64_t part[SPLIT_MAX], dim[OZ_RANK_MAX], offset = 0;
    size_t axis;
    OZ_TRY(oz_axis(split->axis, x->rank, &axis, err));
    OZ_TRY(split_sizes(exec, node, x->dim[axis], part, err));
    memcpy(dim, x->dim, sizeof x->dim);
    for (uint32_t k = 0; k < node->n_outputs; k++) {
        dim[axis] = part[k];
        OZ_TRY(oz_exec_out(exec, node, k, (enum oz_dtype)x->dtype, x->rank, dim, &y[k], err));
    }
    int64_t step = oz_tensor_count(x, axis + 1, x->rank);
    for (uint32_t k = 0; k < node->n_outputs; k++) {
        struct oz_box box = {0};
        if (!y[k]->data) return OZ_OK;
        oz_box_add(&box, oz_tensor_count(x, 0, axis), part[k] * step, x->dim[axis] * step);
        oz_box_add(&box, part[k] * step, 1, 1);
        if (y[k]->n) oz_box_copy(&box, y[k]->data, at(x, offset), bytes_of(x));
        offset += part[k] * step;
    }
    return OZ_OK;
}

/* ---- Slice: attributes before opset 10, inputs since ---- */

struct slice {
    struct oz_ints start, end, axis; /* as attributes */
    bool has_axis;
};

static enum oz_status compile_slice(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct slice *slice = oz_node_state(net, node, sizeof *slice);
    if (!slice) return oz_no_memory(err);
    if (node->opset >= 10) return oz_node_inputs(node, 3, 5, err);
    OZ_TRY(oz_node_inputs(node, 1, 1, err));
    OZ_TRY(oz_ints_of_attribute(node, "starts", OZ_RANK_MAX, &slice->start, NULL, err));
    OZ_TRY(oz_ints_of_attribute(node, "ends", OZ_RANK_MAX, &slice->end, NULL, err));
    return oz_ints_of_attribute(node, "axes", OZ_RANK_MAX, &slice->axis, &slice->has_axis, err);
}

/* One axis of a slice: the first element and how many there are, `step` apart. */
struct cut {
    int64_t first, step, n;
};

static struct cut cut_of(int64_t start, int64_t end, int64_t step, int64_t size)
{
    struct cut cut = {.step = 1};
    int64_t lowest = step > 0 ? 0 : -1, highest = step > 0 ? size : size - 1;
    if (start < 0) start += size;
    if (end < 0) end += size;
    start = OZ_MIN(OZ_MAX(start, 0), highest);
    end = OZ_MIN(OZ_MAX(end, lowest), highest);
    /* Steps beyond the tensor all take one element; then none of this can overflow. */
    step = OZ_MIN(OZ_MAX(step, -OZ_TENSOR_ELEMENTS_MAX), OZ_TENSOR_ELEMENTS_MAX);
    if (step > 0 ? start < end : start > end) {
        cut.first = start;
        cut.step = step;
        cut.n = (step > 0 ? end - start - 1 : start - end - 1) / (step > 0 ? step : -step) + 1;
    }
    return cut;
}

/* The arguments as inputs. *ret_is_known is false while planning when some depend on data. */
static enum oz_status slice_inputs(const struct oz_exec *exec, const struct oz_node *node,
                                   struct slice *ret_slice, struct oz_ints *ret_step,
                                   bool *ret_is_known, struct oz_error *err)
{
    static const char *const words[] = {"its starts", "its ends", "its axes", "its steps"};
    struct oz_ints *to[] = {&ret_slice->start, &ret_slice->end, &ret_slice->axis, ret_step};
    *ret_is_known = true;
    for (uint32_t i = 0; i < 4; i++) {
        const struct oz_tensor *in = oz_exec_in(exec, node, i + 1);
        if (!in) continue;
        if (i == 2) ret_slice->has_axis = true;
        if (in->n && !in->data)
            *ret_is_known = false;
        else
            OZ_TRY(oz_ints_of_tensor(in, words[i], OZ_RANK_MAX, to[i], err));
    }
    return OZ_OK;
}

static enum oz_status slice_cuts(struct slice *slice, const struct oz_ints *step,
                                 const struct oz_tensor *x, struct cut *ret_cut,
                                 struct oz_error *err)
{
    size_t n = slice->start.n;
    if (!slice->has_axis) {
        slice->axis.n = n;
        for (size_t i = 0; i < n; i++) slice->axis.at[i] = (int64_t)i;
    }
    if (slice->end.n != n || slice->axis.n != n || step->n != n)
        OZ_FAIL(err, OZ_MODEL, "it has %zu starts, %zu ends, %zu axes and %zu steps", n,
                slice->end.n, slice->axis.n, step->n);
    OZ_TRY(oz_ints_as_axes(&slice->axis, x->rank, err));
    for (size_t d = 0; d < x->rank; d++) ret_cut[d] = (struct cut){.step = 1, .n = x->dim[d]};
    for (size_t i = 0; i < n; i++) {
        size_t d = (size_t)slice->axis.at[i];
        if (!step->at[i]) OZ_FAIL(err, OZ_MODEL, "its step along axis %zu is 0", d);
        ret_cut[d] = cut_of(slice->start.at[i], slice->end.at[i], step->at[i], x->dim[d]);
    }
    return OZ_OK;
}

static enum oz_status run_slice(struct oz_exec *exec, const struct oz_node *node,
                                struct oz_error *err)
{
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    struct slice slice = *(const struct slice *)node->state;
    struct oz_ints step = {0};
    struct cut cut[OZ_RANK_MAX];
    struct oz_box box = {0};
    struct oz_tensor *y;
    int64_t dim[OZ_RANK_MAX], first = 0;
    bool is_known;
    OZ_TRY(slice_inputs(exec, node, &slice, &step, &is_known, err));
    /* Whatever is cut, it is no more than what it is cut from. */
    if (!is_known)
        return oz_exec_out_at_most(exec, node, 0, (enum oz_dtype)x->dtype, x->rank, x->dim, &y,
                                   err);
    if (!oz_exec_in(exec, node, 4))
        for (step.n = 0; step.n < slice.start.n;) step.at[step.n++] = 1;
    OZ_TRY(slice_cuts(&slice, &step, x, cut, err));
    for (size_t d = 0; d < x->rank; d++) dim[d] = cut[d].n;
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)x->dtype, x->rank, dim, &y, err));
    if (!y->data || !y->n) return OZ_OK;
    for (size_t d = 0; d < x->rank; d++) {
        int64_t along = oz_tensor_count(x, d + 1, x->rank);
        /* One element makes no step, and the step may be beyond everything. */
        int64_t from = cut[d].n > 1 ? cut[d].step * along : along;
        oz_box_add(&box, dim[d], oz_tensor_count(y, d + 1, y->rank), from);
        first += cut[d].first * along;
    }
    oz_box_copy(&box, y->data, at(x, first), bytes_of(x));
    return OZ_OK;
}

/* ---- Trilu ---- */

static enum oz_status compile_trilu(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    bool *is_upper = oz_node_state(net, node, sizeof *is_upper);
    if (!is_upper) return oz_no_memory(err);
    return oz_attr_bool(node, "upper", true, is_upper, err);
}

static enum oz_status run_trilu(struct oz_exec *exec, const struct oz_node *node,
                                struct oz_error *err)
{
    bool is_upper = *(const bool *)node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0), *diagonal = oz_exec_in(exec, node, 1);
    struct oz_tensor *y;
    int64_t k = 0;
    if (x->rank < 2) OZ_FAIL(err, OZ_MODEL, "a tensor of rank %u, not of matrices", x->rank);
    if (x->dtype == OZ_DTYPE_TEXT) OZ_FAIL(err, OZ_MODEL, "a triangle of strings");
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)x->dtype, x->rank, x->dim, &y, err));
    if (!y->data || !y->n) return OZ_OK;
    if (diagonal) OZ_TRY(oz_int_of_tensor(diagonal, "its k", &k, err));
    int64_t n_rows = x->dim[x->rank - 2], n_cols = x->dim[x->rank - 1], each = (int64_t)bytes_of(x);
    k = OZ_MIN(OZ_MAX(k, -n_rows), n_cols);
    for (int64_t i = 0; i < x->n / n_cols; i++) {
        /* Of a row the columns up to `edge` belong below, the others above. */
        int64_t edge = i % n_rows + k + (is_upper ? 0 : 1);
        size_t left = (size_t)(OZ_MIN(OZ_MAX(edge, 0), n_cols) * each);
        size_t right = (size_t)(n_cols * each) - left;
        char *to = at(y, i * n_cols);
        const char *from = at(x, i * n_cols);
        if (is_upper) {
            memset(to, 0, left);
            memcpy(to + left, from + left, right);
        } else {
            memcpy(to, from, left);
            memset(to + left, 0, right);
        }
    }
    return OZ_OK;
}

/* ---- ReverseSequence ---- */

static enum oz_status compile_reverse(struct oz_net *net, struct oz_node *node,
                                      struct oz_error *err)
{
    int64_t *time_axis = oz_node_state(net, node, sizeof *time_axis), batch_axis;
    if (!time_axis) return oz_no_memory(err);
    OZ_TRY(oz_attr_i64(node, "time_axis", 0, time_axis, err));
    OZ_TRY(oz_attr_i64(node, "batch_axis", 1, &batch_axis, err));
    if (batch_axis < 0 || batch_axis > 1 || *time_axis != 1 - batch_axis)
        OZ_FAIL(err, OZ_MODEL, "its axes of batch and time are %lld and %lld, expected 0 and 1",
                (long long)batch_axis, (long long)*time_axis);
    return OZ_OK;
}

/* The first len[b] steps of sequence b backward, the others as they are. */
static enum oz_status run_reverse(struct oz_exec *exec, const struct oz_node *node,
                                  struct oz_error *err)
{
    const struct oz_tensor *x = oz_exec_in(exec, node, 0), *len = oz_exec_in(exec, node, 1);
    size_t time_axis = (size_t) * (const int64_t *)node->state, batch_axis = 1 - time_axis;
    struct oz_tensor *y;
    if (x->rank < 2)
        OZ_FAIL(err, OZ_MODEL, "its input is of rank %u, expected 2 at least", x->rank);
    if (len->dtype != OZ_DTYPE_I64 || len->rank != 1 ||
        (len->n != x->dim[batch_axis] && !oz_exec_is_loose(exec, node)))
        OZ_FAIL(err, OZ_MODEL, "its lengths are not one int64 for each of %lld sequences",
                (long long)x->dim[batch_axis]);
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)x->dtype, x->rank, x->dim, &y, err));
    if (!y->data) return OZ_OK;
    int64_t n_steps = x->dim[time_axis], inner = oz_tensor_count(x, 2, x->rank);
    int64_t step = time_axis == 0 ? x->dim[1] * inner : inner;
    int64_t sequence = time_axis == 0 ? inner : n_steps * inner;
    size_t run_bytes = (size_t)inner * oz_dtype_bytes((enum oz_dtype)x->dtype);
    for (int64_t b = 0; b < len->n; b++) {
        int64_t n = len->i64[b];
        if (n < 0 || n > n_steps)
            OZ_FAIL(err, OZ_MODEL, "length %lld of a sequence of %lld", (long long)n,
                    (long long)n_steps);
        for (int64_t t = 0; t < n_steps && run_bytes; t++)
            memcpy(at(y, b * sequence + t * step),
                   at(x, b * sequence + (t < n ? n - 1 - t : t) * step), run_bytes);
    }
    return OZ_OK;
}

const struct oz_op oz_ops_move[] = {
    {"Concat", OZ_DOMAIN_ONNX, 4, 1, OZ_NET_NODE_ARGS_MAX, 1, 1, compile_concat, NULL, run_concat},
    {"ReverseSequence", OZ_DOMAIN_ONNX, 10, 2, 2, 1, 1, compile_reverse, NULL, run_reverse},
    {"Slice", OZ_DOMAIN_ONNX, 1, 1, 5, 1, 1, compile_slice, NULL, run_slice},
    {"Split", OZ_DOMAIN_ONNX, 2, 1, 2, 1, SPLIT_MAX, compile_split, NULL, run_split},
    {"Transpose", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, compile_transpose, NULL, run_transpose},
    {"Trilu", OZ_DOMAIN_ONNX, 14, 1, 2, 1, 1, compile_trilu, NULL, run_trilu},
    {.name = NULL},
};
