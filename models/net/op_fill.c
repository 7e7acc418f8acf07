#include <math.h>
#include <string.h>
#include "models/net/box.h"
#include "models/net/layout_args.h"
#include "models/net/op_tables.h"

/* Operators that make tensors from little: constants, ranges, repetitions. */

static size_t bytes_of(const struct oz_tensor *tensor)
{
    return oz_dtype_bytes((enum oz_dtype)tensor->dtype);
}

/* ---- Constant ---- */

struct constant {
    struct oz_tensor tensor;
    union {
        int64_t i;
        float f;
        struct oz_str s;
    } one; /* where the attribute is a single value */
};

enum constant_kind {
    VALUE,
    VALUE_INT,
    VALUE_INTS,
    VALUE_FLOAT,
    VALUE_FLOATS,
    VALUE_STRING,
    VALUE_STRINGS,
    VALUE_COUNT
};

static const struct {
    const char *name;
    enum oz_attribute_kind kind;
    enum oz_dtype dtype;
    bool is_list;
} constant_forms[VALUE_COUNT] = {
    [VALUE] = {"value", OZ_ATTRIBUTE_TENSOR, OZ_DTYPE_COUNT, false},
    [VALUE_INT] = {"value_int", OZ_ATTRIBUTE_INT, OZ_DTYPE_I64, false},
    [VALUE_INTS] = {"value_ints", OZ_ATTRIBUTE_INTS, OZ_DTYPE_I64, true},
    [VALUE_FLOAT] = {"value_float", OZ_ATTRIBUTE_FLOAT, OZ_DTYPE_F32, false},
    [VALUE_FLOATS] = {"value_floats", OZ_ATTRIBUTE_FLOATS, OZ_DTYPE_F32, true},
    [VALUE_STRING] = {"value_string", OZ_ATTRIBUTE_STRING, OZ_DTYPE_TEXT, false},
    [VALUE_STRINGS] = {"value_strings", OZ_ATTRIBUTE_STRINGS, OZ_DTYPE_TEXT, true},
};

static void take_constant(struct constant *constant, enum constant_kind kind,
                          const struct oz_attribute *attribute)
{
    constant->tensor.data = &constant->one;
    switch (kind) {
    case VALUE_INT: constant->one.i = attribute->i; break;
    case VALUE_FLOAT: constant->one.f = attribute->f; break;
    case VALUE_STRING: constant->one.s = attribute->s; break;
    case VALUE_INTS: constant->tensor.data = (void *)attribute->ints; break;
    case VALUE_FLOATS: constant->tensor.data = (void *)attribute->floats; break;
    case VALUE_STRINGS: constant->tensor.data = (void *)attribute->strings; break;
    case VALUE: constant->tensor = *attribute->tensor; break;
    case VALUE_COUNT: break;
    }
}

static enum oz_status compile_constant(struct oz_net *net, struct oz_node *node,
                                       struct oz_error *err)
{
    struct constant *constant = oz_node_state(net, node, sizeof *constant);
    size_t n_found = 0;
    if (!constant) return oz_no_memory(err);
    for (size_t kind = 0; kind < (node->opset < 12 ? VALUE_INT : VALUE_COUNT); kind++) {
        const struct oz_attribute *attribute;
        OZ_TRY(oz_attr_find(node, constant_forms[kind].name, constant_forms[kind].kind, &attribute,
                            err));
        if (!attribute) continue;
        n_found++;
        if (kind != VALUE) {
            int64_t n = (int64_t)attribute->n;
            OZ_TRY(oz_tensor_shape(&constant->tensor, constant_forms[kind].dtype,
                                   constant_forms[kind].is_list ? 1 : 0, &n, err));
        }
        take_constant(constant, (enum constant_kind)kind, attribute);
    }
    if (n_found == 1) return OZ_OK;
    OZ_FAIL(err, OZ_MODEL, "it has %zu values of the kinds that are served, not one", n_found);
}

static enum oz_status run_constant(struct oz_exec *exec, const struct oz_node *node,
                                   struct oz_error *err)
{
    const struct oz_tensor *x = &((const struct constant *)node->state)->tensor;
    struct oz_tensor *y;
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)x->dtype, x->rank, x->dim, &y, err));
    if (y->data && y->n) memcpy(y->data, x->data, (size_t)y->n * bytes_of(y));
    return OZ_OK;
}

/* ---- ConstantOfShape ---- */

static enum oz_status compile_constant_of_shape(struct oz_net *net, struct oz_node *node,
                                                struct oz_error *err)
{
    static const float zero = 0;
    const struct oz_tensor *given;
    struct oz_tensor *value = oz_node_state(net, node, sizeof *value);
    if (!value) return oz_no_memory(err);
    OZ_TRY(oz_attr_tensor(node, "value", &given, err));
    *value =
        given ? *given : (struct oz_tensor){.dtype = OZ_DTYPE_F32, .n = 1, .data = (void *)&zero};
    if (value->n == 1) return OZ_OK;
    OZ_FAIL(err, OZ_MODEL, "its value has %lld elements, not one", (long long)value->n);
}

static enum oz_status run_constant_of_shape(struct oz_exec *exec, const struct oz_node *node,
                                            struct oz_error *err)
{
    const struct oz_tensor *value = node->state, *shape;
    struct oz_tensor *y;
    struct oz_ints dims;
    OZ_TRY(oz_exec_in_known(exec, node, 0, "its shape", &shape, err));
    OZ_TRY(oz_ints_of_tensor(shape, "its shape", OZ_RANK_MAX, &dims, err));
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)value->dtype, dims.n, dims.at, &y, err));
    if (y->data) oz_box_fill(y->data, value->data, bytes_of(y), y->n);
    return OZ_OK;
}

/* ---- EyeLike ---- */

struct eye_like {
    bool has_dtype;
    enum oz_dtype dtype;
    int64_t k;
};

static enum oz_status compile_eye_like(struct oz_net *net, struct oz_node *node,
                                       struct oz_error *err)
{
    struct eye_like *eye = oz_node_state(net, node, sizeof *eye);
    const char *word;
    int64_t number;
    if (!eye) return oz_no_memory(err);
    OZ_TRY(oz_attr_i64(node, "k", 0, &eye->k, err));
    OZ_TRY(oz_attr_i64(node, "dtype", 0, &number, err));
    if (!number) return OZ_OK;
    eye->has_dtype = true;
    if (number < 0 || number > INT32_MAX ||
        !oz_dtype_of_number((int32_t)number, &eye->dtype, &word))
        OZ_FAIL(err, OZ_MODEL, "its dtype is %lld, a type that is not served", (long long)number);
    return OZ_OK;
}

static enum oz_status put_one(const struct oz_tensor *y, int64_t i, struct oz_error *err)
{
    switch ((enum oz_dtype)y->dtype) {
    case OZ_DTYPE_F32: y->f32[i] = 1; return OZ_OK;
    case OZ_DTYPE_F64: y->f64[i] = 1; return OZ_OK;
    case OZ_DTYPE_I32: y->i32[i] = 1; return OZ_OK;
    case OZ_DTYPE_I64: y->i64[i] = 1; return OZ_OK;
    case OZ_DTYPE_U8:
    case OZ_DTYPE_I8:
    case OZ_DTYPE_BOOL: y->u8[i] = 1; return OZ_OK;
    case OZ_DTYPE_TEXT:
    case OZ_DTYPE_COUNT: break;
    }
    OZ_FAIL(err, OZ_MODEL, "a diagonal of %s", oz_dtype_word((enum oz_dtype)y->dtype));
}

static enum oz_status run_eye_like(struct oz_exec *exec, const struct oz_node *node,
                                   struct oz_error *err)
{
    const struct eye_like *eye = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    enum oz_dtype dtype = eye->has_dtype ? eye->dtype : (enum oz_dtype)x->dtype;
    struct oz_tensor *y;
    if (x->rank != 2) OZ_FAIL(err, OZ_MODEL, "a tensor of rank %u, not a matrix", x->rank);
    if (dtype == OZ_DTYPE_TEXT) OZ_FAIL(err, OZ_MODEL, "a diagonal of strings");
    OZ_TRY(oz_exec_out(exec, node, 0, dtype, 2, x->dim, &y, err));
    if (!y->data) return OZ_OK;
    memset(y->data, 0, (size_t)y->n * bytes_of(y));
    int64_t n_rows = y->dim[0], n_cols = y->dim[1];
    if (eye->k <= -n_rows || eye->k >= n_cols) return OZ_OK;
    for (int64_t r = OZ_MAX(-eye->k, 0); r < n_rows && r + eye->k < n_cols; r++)
        OZ_TRY(put_one(y, r * n_cols + r + eye->k, err));
    return OZ_OK;
}

/* ---- Range ---- */

static enum oz_status range_count_f64(double start, double limit, double delta, int64_t *ret_n,
                                      struct oz_error *err)
{
    double n = ceil((limit - start) / delta);
    if (!(delta < 0 || delta > 0) || isnan(n))
        OZ_FAIL(err, OZ_MODEL, "from %g to %g by %g", start, limit, delta);
    if (n > (double)OZ_TENSOR_ELEMENTS_MAX)
        OZ_FAIL(err, OZ_MODEL, "from %g to %g by %g: more than %lld elements", start, limit, delta,
                (long long)OZ_TENSOR_ELEMENTS_MAX);
    *ret_n = n > 0 ? (int64_t)n : 0;
    return OZ_OK;
}

static enum oz_status range_count_i64(int64_t start, int64_t limit, int64_t delta, int64_t *ret_n,
                                      struct oz_error *err)
{
    uint64_t way, step, n = 0;
    if (!delta) OZ_FAIL(err, OZ_MODEL, "its delta is 0");
    /* Unsigned, because the way from INT64_MIN to INT64_MAX has no int64. */
    way = delta > 0 ? (uint64_t)limit - (uint64_t)start : (uint64_t)start - (uint64_t)limit;
    step = delta > 0 ? (uint64_t)delta : 0 - (uint64_t)delta;
    if (delta > 0 ? limit > start : limit < start) n = (way - 1) / step + 1;
    if (n > (uint64_t)OZ_TENSOR_ELEMENTS_MAX)
        OZ_FAIL(err, OZ_MODEL, "from %lld to %lld by %lld: more than %lld elements",
                (long long)start, (long long)limit, (long long)delta,
                (long long)OZ_TENSOR_ELEMENTS_MAX);
    *ret_n = (int64_t)n;
    return OZ_OK;
}

static enum oz_status run_range(struct oz_exec *exec, const struct oz_node *node,
                                struct oz_error *err)
{
    static const char *const words[] = {"its start", "its limit", "its delta"};
    const struct oz_tensor *in[3];
    struct oz_tensor *y;
    int64_t n;
    for (uint32_t i = 0; i < 3; i++) {
        OZ_TRY(oz_exec_in_known(exec, node, i, words[i], &in[i], err));
        OZ_TRY(oz_same_dtype(in[0], in[i], err));
        if (in[i]->n != 1)
            OZ_FAIL(err, OZ_MODEL, "%s has %lld elements, not one", words[i], (long long)in[i]->n);
    }
    enum oz_dtype dtype = (enum oz_dtype)in[0]->dtype;
    if (oz_dtype_is_float(dtype))
        OZ_TRY(range_count_f64(oz_tensor_f64_at(in[0], 0), oz_tensor_f64_at(in[1], 0),
                               oz_tensor_f64_at(in[2], 0), &n, err));
    else if (oz_dtype_is_index(dtype))
        OZ_TRY(range_count_i64(oz_tensor_i64_at(in[0], 0), oz_tensor_i64_at(in[1], 0),
                               oz_tensor_i64_at(in[2], 0), &n, err));
    else
        OZ_FAIL(err, OZ_MODEL, "a range of %s, served are float, double, int32 and int64",
                oz_dtype_word(dtype));
    OZ_TRY(oz_exec_out(exec, node, 0, dtype, 1, &n, &y, err));
    if (!y->data) return OZ_OK;
    for (int64_t i = 0; i < n; i++) {
        if (dtype == OZ_DTYPE_F32)
            y->f32[i] = in[0]->f32[0] + (float)i * in[2]->f32[0];
        else if (dtype == OZ_DTYPE_F64)
            y->f64[i] = in[0]->f64[0] + (double)i * in[2]->f64[0];
        else if (dtype == OZ_DTYPE_I32)
            y->i32[i] = (int32_t)(in[0]->i32[0] + i * in[2]->i32[0]);
        else
            y->i64[i] = (int64_t)((uint64_t)in[0]->i64[0] + (uint64_t)i * (uint64_t)in[2]->i64[0]);
    }
    return OZ_OK;
}

/* ---- Expand, Tile ---- */

static enum oz_status run_expand(struct oz_exec *exec, const struct oz_node *node,
                                 struct oz_error *err)
{
    const struct oz_tensor *x = oz_exec_in(exec, node, 0), *shape;
    struct oz_ints want;
    struct oz_tensor *y;
    struct oz_box box = {0};
    int64_t dim[OZ_RANK_MAX];
    OZ_TRY(oz_exec_in_known(exec, node, 1, "its shape", &shape, err));
    OZ_TRY(oz_ints_of_tensor(shape, "its shape", OZ_RANK_MAX, &want, err));
    size_t rank = OZ_MAX(want.n, (size_t)x->rank);
    for (size_t d = 0; d < rank; d++) {
        int64_t have = d + x->rank < rank ? 1 : x->dim[d + x->rank - rank];
        int64_t size = d + want.n < rank ? 1 : want.at[d + want.n - rank];
        if (size < 0) OZ_FAIL(err, OZ_MODEL, "its shape has a dimension of %lld", (long long)size);
        if (have != size && have != 1 && size != 1 && !oz_exec_is_loose(exec, node))
            OZ_FAIL(err, OZ_MODEL, "a dimension of %lld cannot become %lld", (long long)have,
                    (long long)size);
        dim[d] = size == 1 ? have : size;
    }
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)x->dtype, rank, dim, &y, err));
    if (!y->data) return OZ_OK;
    for (size_t d = 0; d < rank; d++) {
        size_t missing = rank - x->rank;
        bool is_repeated = d < missing || x->dim[d - missing] == 1;
        oz_box_add(&box, dim[d], oz_tensor_count(y, d + 1, rank),
                   is_repeated ? 0 : oz_tensor_count(x, d - missing + 1, x->rank));
    }
    oz_box_copy(&box, y->data, x->data, bytes_of(x));
    return OZ_OK;
}

static enum oz_status run_tile(struct oz_exec *exec, const struct oz_node *node,
                               struct oz_error *err)
{
    const struct oz_tensor *x = oz_exec_in(exec, node, 0), *repeats;
    struct oz_ints times;
    struct oz_tensor *y;
    struct oz_box box = {0};
    int64_t dim[OZ_RANK_MAX];
    OZ_TRY(oz_exec_in_known(exec, node, 1, "its repeats", &repeats, err));
    OZ_TRY(oz_ints_of_tensor(repeats, "its repeats", OZ_RANK_MAX, &times, err));
    if (times.n != x->rank)
        OZ_FAIL(err, OZ_MODEL, "%zu repeats for a tensor of rank %u", times.n, x->rank);
    for (size_t d = 0; d < x->rank; d++) {
        if (times.at[d] < 0 || times.at[d] > OZ_TENSOR_ELEMENTS_MAX)
            OZ_FAIL(err, OZ_MODEL, "it repeats %lld times", (long long)times.at[d]);
        dim[d] = x->dim[d] * times.at[d];
    }
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)x->dtype, x->rank, dim, &y, err));
    if (!y->data) return OZ_OK;
    for (size_t d = 0; d < x->rank; d++) {
        int64_t step = oz_tensor_count(y, d + 1, x->rank);
        oz_box_add(&box, times.at[d], step * x->dim[d], 0);
        oz_box_add(&box, x->dim[d], step, oz_tensor_count(x, d + 1, x->rank));
    }
    oz_box_copy(&box, y->data, x->data, bytes_of(x));
    return OZ_OK;
}

const struct oz_op oz_ops_fill[] = {
    {"Constant", OZ_DOMAIN_ONNX, 1, 0, 0, 1, 1, compile_constant, NULL, run_constant},
    {"ConstantOfShape", OZ_DOMAIN_ONNX, 9, 1, 1, 1, 1, compile_constant_of_shape, NULL,
     run_constant_of_shape},
    {"Expand", OZ_DOMAIN_ONNX, 8, 2, 2, 1, 1, NULL, NULL, run_expand},
    {"EyeLike", OZ_DOMAIN_ONNX, 9, 1, 1, 1, 1, compile_eye_like, NULL, run_eye_like},
    {"Range", OZ_DOMAIN_ONNX, 11, 3, 3, 1, 1, NULL, NULL, run_range},
    {"Tile", OZ_DOMAIN_ONNX, 6, 2, 2, 1, 1, NULL, NULL, run_tile},
    {.name = NULL},
};
