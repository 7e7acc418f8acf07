#include <string.h>
#include "models/net/box.h"
#include "models/net/layout_args.h"
#include "models/net/op_tables.h"

/* Pad. Each padded axis gets a table from places in the output to places in the input, so that the
 * modes differ only in how a table is filled. Axes behind the last padded one move as one block. */

enum pad_mode { CONSTANT, REFLECT, EDGE, WRAP };

struct pad {
    enum pad_mode mode;
    struct oz_ints pads; /* before opset 11, where these two are attributes */
    float value;
};

static enum oz_status compile_pad(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    static const char *const before_19[] = {"constant", "reflect", "edge", NULL};
    static const char *const since_19[] = {"constant", "reflect", "edge", "wrap", NULL};
    struct pad *pad = oz_node_state(net, node, sizeof *pad);
    int mode;
    if (!pad) return oz_no_memory(err);
    OZ_TRY(oz_attr_choice(node, "mode", node->opset < 19 ? before_19 : since_19, CONSTANT, &mode,
                          err));
    pad->mode = (enum pad_mode)mode;
    if (node->opset >= 11) return oz_node_inputs(node, 2, node->opset < 18 ? 3 : 4, err);
    OZ_TRY(oz_node_inputs(node, 1, 1, err));
    OZ_TRY(oz_attr_f32(node, "value", 0, &pad->value, err));
    return oz_ints_of_attribute(node, "pads", OZ_INTS_MAX, &pad->pads, NULL, err);
}

/* What happens along one axis: `before` places, then n_kept elements from `first` on, then `after`
 * places. Negative pads have become elements that are not kept. */
struct pad_axis {
    int64_t before, first, n_kept, after;
    int64_t size; /* of the output */
};

static enum oz_status pad_along(int64_t size, int64_t begin, int64_t end, enum pad_mode mode,
                                struct pad_axis *ret_axis, struct oz_error *err)
{
    struct pad_axis axis = {.before = OZ_MAX(begin, 0), .after = OZ_MAX(end, 0)};
    if (OZ_MAX(begin, end) > OZ_TENSOR_ELEMENTS_MAX || OZ_MIN(begin, end) < -OZ_TENSOR_ELEMENTS_MAX)
        OZ_FAIL(err, OZ_MODEL, "pads of %lld and %lld", (long long)begin, (long long)end);
    axis.first = begin < 0 ? -begin : 0;
    axis.n_kept = size - axis.first - (end < 0 ? -end : 0);
    if (axis.n_kept < 0)
        OZ_FAIL(err, OZ_MODEL, "pads of %lld and %lld take more than a dimension of %lld has",
                (long long)begin, (long long)end, (long long)size);
    if (mode != CONSTANT && !axis.n_kept && (axis.before || axis.after))
        OZ_FAIL(err, OZ_MODEL, "a dimension of 0 has nothing to be padded with");
    axis.size = axis.before + axis.n_kept + axis.after;
    *ret_axis = axis;
    return OZ_OK;
}

static enum oz_status pad_axes(struct oz_exec *exec, const struct oz_node *node,
                               const struct oz_tensor *x, struct pad_axis *ret_axis,
                               struct oz_error *err)
{
    const struct pad *pad = node->state;
    const struct oz_tensor *given, *given_axes;
    struct oz_ints pads = pad->pads, axes;
    OZ_TRY(oz_exec_in_known(exec, node, 1, "its pads", &given, err));
    OZ_TRY(oz_exec_in_known(exec, node, 3, "its axes", &given_axes, err));
    if (given) OZ_TRY(oz_ints_of_tensor(given, "its pads", OZ_INTS_MAX, &pads, err));
    if (given_axes) {
        OZ_TRY(oz_ints_of_tensor(given_axes, "its axes", OZ_RANK_MAX, &axes, err));
        OZ_TRY(oz_ints_as_axes(&axes, x->rank, err));
    } else {
        for (axes.n = 0; axes.n < x->rank; axes.n++) axes.at[axes.n] = (int64_t)axes.n;
    }
    if (pads.n != 2 * axes.n)
        OZ_FAIL(err, OZ_MODEL, "it has %zu pads for %zu axes", pads.n, axes.n);
    for (size_t d = 0; d < x->rank; d++)
        ret_axis[d] = (struct pad_axis){.n_kept = x->dim[d], .size = x->dim[d]};
    for (size_t i = 0; i < axes.n; i++)
        OZ_TRY(pad_along(x->dim[axes.at[i]], pads.at[i], pads.at[axes.n + i], pad->mode,
                         &ret_axis[axes.at[i]], err));
    return OZ_OK;
}

/* Where place i of the output comes from, -1: from nowhere. */
static int64_t source_of(const struct pad_axis *axis, enum pad_mode mode, int64_t i)
{
    int64_t at = i - axis->before, n = axis->n_kept;
    if (at < 0 || at >= n) {
        switch (mode) {
        case CONSTANT: return -1;
        case EDGE: at = at < 0 ? 0 : n - 1; break;
        case WRAP: at = (at % n + n) % n; break;
        case REFLECT: {
            int64_t period = 2 * (n - 1);
            at = period ? (at % period + period) % period : 0;
            if (at >= n) at = period - at;
            break;
        }
        }
    }
    return axis->first + at;
}

static enum oz_status pad_value(const struct pad *pad, const struct oz_tensor *x,
                                const struct oz_tensor *value, uint8_t ret_element[16],
                                struct oz_error *err)
{
    memset(ret_element, 0, 16);
    if (pad->mode != CONSTANT) return OZ_OK;
    if (value) {
        OZ_TRY(oz_same_dtype(x, value, err));
        if (value->n != 1)
            OZ_FAIL(err, OZ_MODEL, "its constant_value has %lld elements, not one",
                    (long long)value->n);
        if (value->data) memcpy(ret_element, value->data, oz_dtype_bytes((enum oz_dtype)x->dtype));
    } else if (x->dtype == OZ_DTYPE_TEXT) {
        struct oz_str empty = {.data = ""};
        memcpy(ret_element, &empty, sizeof empty);
    } else if (x->dtype == OZ_DTYPE_F32) {
        memcpy(ret_element, &pad->value, sizeof pad->value);
    } else if (x->dtype == OZ_DTYPE_F64) {
        double wide = (double)pad->value;
        memcpy(ret_element, &wide, sizeof wide);
    } else if (pad->value != 0) {
        OZ_FAIL(err, OZ_MODEL, "a value of %g for a tensor of %s", (double)pad->value,
                oz_dtype_word((enum oz_dtype)x->dtype));
    }
    return OZ_OK;
}

/* The walk over the output: `last` is the innermost padded axis, behind which everything is one
 * block of block_n elements. */
struct pad_walk {
    const struct pad_axis *axis;
    const int64_t *source[OZ_RANK_MAX];
    size_t last, bytes;
    int64_t block_n;
    const uint8_t *element;
};

/* From row `from` to row `to` of the axis `last`; from == NULL: it is all padding. */
static void pad_row(const struct pad_walk *walk, uint8_t *to, const uint8_t *from)
{
    const struct pad_axis *axis = &walk->axis[walk->last];
    const int64_t *source = walk->source[walk->last];
    size_t block_bytes = (size_t)walk->block_n * walk->bytes;
    for (int64_t i = 0; i < axis->size;) {
        int64_t n = 1;
        if (!from || source[i] < 0) {
            while (i + n < axis->size && (!from || source[i + n] < 0)) n++;
            oz_box_fill(to, walk->element, walk->bytes, n * walk->block_n);
        } else {
            /* Elements that follow each other in the input too go at once. */
            while (i + n < axis->size && source[i + n] == source[i] + n) n++;
            memcpy(to, from + (size_t)source[i] * block_bytes, (size_t)n * block_bytes);
        }
        to += (size_t)n * block_bytes;
        i += n;
    }
}

static void pad_all(const struct pad_walk *walk, const struct oz_tensor *x, struct oz_tensor *y)
{
    int64_t index[OZ_RANK_MAX] = {0};
    size_t row_bytes = (size_t)oz_tensor_count(y, walk->last, y->rank) * walk->bytes;
    int64_t n_rows = oz_tensor_count(y, 0, walk->last);
    for (int64_t row = 0; row < n_rows; row++) {
        int64_t offset = 0;
        bool is_padding = x->n == 0;
        for (size_t d = 0; d < walk->last; d++) {
            int64_t source = walk->source[d][index[d]];
            is_padding |= source < 0;
            offset = offset * x->dim[d] + source;
        }
        offset *= oz_tensor_count(x, walk->last, x->rank);
        const uint8_t *from = is_padding ? NULL : x->u8 + (size_t)offset * walk->bytes;
        pad_row(walk, y->u8 + (size_t)row * row_bytes, from);
        for (size_t d = walk->last; d-- > 0;) {
            if (++index[d] < walk->axis[d].size) break;
            index[d] = 0;
        }
    }
}

static enum oz_status run_pad(struct oz_exec *exec, const struct oz_node *node,
                              struct oz_error *err)
{
    const struct pad *pad = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    struct oz_tensor *y;
    struct pad_axis axis[OZ_RANK_MAX];
    struct pad_walk walk = {.axis = axis, .bytes = oz_dtype_bytes((enum oz_dtype)x->dtype)};
    uint8_t element[16];
    int64_t dim[OZ_RANK_MAX], n_sources = 0, *source;
    void *memory;
    OZ_TRY(pad_axes(exec, node, x, axis, err));
    OZ_TRY(pad_value(pad, x, oz_exec_in(exec, node, 2), element, err));
    for (size_t d = 0; d < x->rank; d++) {
        dim[d] = axis[d].size;
        if (dim[d] != x->dim[d] || axis[d].n_kept != dim[d]) walk.last = d;
    }
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)x->dtype, x->rank, dim, &y, err));
    for (size_t d = 0; x->rank && d <= walk.last; d++) n_sources += dim[d];
    OZ_TRY(oz_exec_scratch(exec, node, (size_t)n_sources * sizeof *source, &memory, err));
    if (!y->data || !memory || !y->n) return OZ_OK;
    if (!x->rank) {
        memcpy(y->data, x->data, walk.bytes);
        return OZ_OK;
    }
    source = memory;
    for (size_t d = 0; d <= walk.last; d++) {
        walk.source[d] = source;
        for (int64_t i = 0; i < dim[d]; i++) *source++ = source_of(&axis[d], pad->mode, i);
    }
    walk.block_n = oz_tensor_count(x, walk.last + 1, x->rank);
    walk.element = element;
    pad_all(&walk, x, y);
    return OZ_OK;
}

const struct oz_op oz_ops_pad[] = {
    {"Pad", OZ_DOMAIN_ONNX, 2, 1, 4, 1, 1, compile_pad, NULL, run_pad},
    {.name = NULL},
};
