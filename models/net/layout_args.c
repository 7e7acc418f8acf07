#include "models/net/layout_args.h"

bool oz_dtype_is_index(enum oz_dtype dtype)
{
    return dtype == OZ_DTYPE_I32 || dtype == OZ_DTYPE_I64;
}

static enum oz_status check_index_dtype(const struct oz_tensor *tensor, const char *what,
                                        struct oz_error *err)
{
    if (oz_dtype_is_index((enum oz_dtype)tensor->dtype)) return OZ_OK;
    OZ_FAIL(err, OZ_MODEL, "%s: a tensor of %s, not of int64 or int32", what,
            oz_dtype_word((enum oz_dtype)tensor->dtype));
}

static enum oz_status check_count(const char *what, int64_t n, size_t n_max, struct oz_error *err)
{
    if (n <= (int64_t)n_max) return OZ_OK;
    OZ_FAIL(err, OZ_MODEL, "%s: a list of %lld numbers, up to %zu are served", what, (long long)n,
            n_max);
}

enum oz_status oz_ints_of_tensor(const struct oz_tensor *tensor, const char *what, size_t n_max,
                                 struct oz_ints *ret_ints, struct oz_error *err)
{
    char words[OZ_TENSOR_WORDS_BYTES];
    OZ_ASSERT(n_max <= OZ_INTS_MAX);
    OZ_TRY(check_index_dtype(tensor, what, err));
    if (tensor->rank > 1)
        OZ_FAIL(err, OZ_MODEL, "%s: %s, not a list", what, oz_tensor_words(tensor, words));
    OZ_TRY(check_count(what, tensor->n, n_max, err));
    ret_ints->n = (size_t)tensor->n;
    for (size_t i = 0; i < ret_ints->n; i++) ret_ints->at[i] = oz_tensor_i64_at(tensor, (int64_t)i);
    return OZ_OK;
}

enum oz_status oz_ints_of_attribute(struct oz_node *node, const char *name, size_t n_max,
                                    struct oz_ints *ret_ints, bool *ret_is_there,
                                    struct oz_error *err)
{
    const struct oz_attribute *attribute;
    OZ_ASSERT(n_max <= OZ_INTS_MAX);
    OZ_TRY(oz_attr_find(node, name, OZ_ATTRIBUTE_INTS, &attribute, err));
    if (ret_is_there) *ret_is_there = attribute != NULL;
    ret_ints->n = 0;
    if (!attribute) {
        if (ret_is_there) return OZ_OK;
        OZ_FAIL(err, OZ_MODEL, "it has no attribute `%s`", name);
    }
    OZ_TRY(check_count(name, (int64_t)attribute->n, n_max, err));
    ret_ints->n = attribute->n;
    for (size_t i = 0; i < attribute->n; i++) ret_ints->at[i] = attribute->ints[i];
    return OZ_OK;
}

enum oz_status oz_ints_as_axes(struct oz_ints *axes, size_t rank, struct oz_error *err)
{
    uint32_t seen = 0;
    for (size_t i = 0; i < axes->n; i++) {
        size_t axis;
        OZ_TRY(oz_axis(axes->at[i], rank, &axis, err));
        if (seen & (1u << axis)) OZ_FAIL(err, OZ_MODEL, "axis %zu is there twice", axis);
        seen |= 1u << axis;
        axes->at[i] = (int64_t)axis;
    }
    return OZ_OK;
}

enum oz_status oz_int_of_tensor(const struct oz_tensor *tensor, const char *what, int64_t *ret_v,
                                struct oz_error *err)
{
    OZ_TRY(check_index_dtype(tensor, what, err));
    if (tensor->n != 1)
        OZ_FAIL(err, OZ_MODEL, "%s: %lld numbers, not one", what, (long long)tensor->n);
    *ret_v = oz_tensor_i64_at(tensor, 0);
    return OZ_OK;
}

enum oz_status oz_node_inputs(const struct oz_node *node, uint32_t min, uint32_t max,
                              struct oz_error *err)
{
    uint32_t n = node->n_inputs;
    while (n && node->input[n - 1] == OZ_NO_VALUE) n--;
    if (n < min || n > max)
        OZ_FAIL(err, OZ_MODEL, "it has %u inputs, in this opset it has %u to %u", n, min, max);
    for (uint32_t i = 0; i < min; i++)
        if (node->input[i] == OZ_NO_VALUE) OZ_FAIL(err, OZ_MODEL, "its input %u is left out", i);
    return OZ_OK;
}

enum oz_status oz_compile_axis(struct oz_net *net, struct oz_node *node, int64_t otherwise,
                               struct oz_error *err)
{
    int64_t *axis = oz_node_state(net, node, sizeof *axis);
    if (!axis) return oz_no_memory(err);
    return oz_attr_i64(node, "axis", otherwise, axis, err);
}

bool oz_exec_is_loose(const struct oz_exec *exec, const struct oz_node *node)
{
    if (!oz_exec_is_dry(exec, node)) return false;
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        const struct oz_tensor *in = oz_exec_in(exec, node, i);
        if (in && in->loose) return true;
    }
    return false;
}

enum oz_status oz_index_outside(int64_t index, int64_t size, struct oz_error *err)
{
    OZ_FAIL(err, OZ_MODEL, "index %lld is outside a dimension of %lld", (long long)index,
            (long long)size);
}

enum oz_status oz_indices(const struct oz_tensor *index, int64_t size, int64_t step,
                          int64_t *ret_offset, struct oz_error *err)
{
    for (int64_t i = 0; i < index->n; i++) {
        int64_t given = oz_tensor_i64_at(index, i), at = oz_index(given, size);
        if (OZ_UNLIKELY(at < 0)) return oz_index_outside(given, size, err);
        ret_offset[i] = at * step;
    }
    return OZ_OK;
}
