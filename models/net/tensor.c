#include "models/net/tensor.h"
#include <stdio.h>

static const struct {
    const char *word;
    size_t bytes;
    int32_t number;
} dtypes[] = {
#define X(name, word, bytes, number) {word, bytes, number},
    OZ_DTYPE_MAP(X)
#undef X
};

/* What ONNX has and a net does not serve: for messages. */
static const struct {
    const char *word;
    int32_t number;
} refused[] = {
    {"uint16", 4},        {"int16", 5},           {"float16", 10},    {"uint32", 12},
    {"uint64", 13},       {"complex64", 14},      {"complex128", 15}, {"bfloat16", 16},
    {"float8e4m3fn", 17}, {"float8e4m3fnuz", 18}, {"float8e5m2", 19}, {"float8e5m2fnuz", 20},
    {"uint4", 21},        {"int4", 22},           {"float4e2m1", 23}, {"float8e8m0", 24}};

const char *oz_dtype_word(enum oz_dtype dtype) { return dtypes[dtype].word; }
size_t oz_dtype_bytes(enum oz_dtype dtype) { return dtypes[dtype].bytes; }

bool oz_dtype_of_number(int32_t number, enum oz_dtype *ret_dtype, const char **ret_word)
{
    *ret_word = "unknown";
    for (size_t i = 0; i < OZ_COUNT_OF(dtypes); i++)
        if (dtypes[i].number == number) {
            *ret_dtype = (enum oz_dtype)i;
            *ret_word = dtypes[i].word;
            return true;
        }
    for (size_t i = 0; i < OZ_COUNT_OF(refused); i++)
        if (refused[i].number == number) *ret_word = refused[i].word;
    return false;
}

enum oz_status oz_tensor_shape(struct oz_tensor *tensor, enum oz_dtype dtype, size_t rank,
                               const int64_t *dim, struct oz_error *err)
{
    if (rank > OZ_RANK_MAX)
        OZ_FAIL(err, OZ_MODEL, "a tensor of rank %zu, up to %d are served", rank, OZ_RANK_MAX);
    *tensor = (struct oz_tensor){.dtype = (uint8_t)dtype, .rank = (uint8_t)rank, .n = 1};
    int64_t n_non_zero = 1;
    for (size_t d = 0; d < rank; d++) {
        if (dim[d] < 0)
            OZ_FAIL(err, OZ_MODEL, "dimension %zu of a tensor is %lld", d, (long long)dim[d]);
        /* Also beside a 0, so that no product of some of the dimensions can overflow. */
        if (dim[d] && n_non_zero > OZ_TENSOR_ELEMENTS_MAX / dim[d])
            OZ_FAIL(err, OZ_MODEL, "a tensor has more than %lld elements",
                    (long long)OZ_TENSOR_ELEMENTS_MAX);
        if (dim[d]) n_non_zero *= dim[d];
        tensor->dim[d] = dim[d];
        tensor->n *= dim[d];
    }
    return OZ_OK;
}

enum oz_status oz_same_dtype(const struct oz_tensor *a, const struct oz_tensor *b,
                             struct oz_error *err)
{
    if (a->dtype == b->dtype) return OZ_OK;
    OZ_FAIL(err, OZ_MODEL, "its inputs are %s and %s, they must be of one type",
            oz_dtype_word((enum oz_dtype)a->dtype), oz_dtype_word((enum oz_dtype)b->dtype));
}

bool oz_tensor_same_shape(const struct oz_tensor *a, const struct oz_tensor *b)
{
    if (a->rank != b->rank) return false;
    for (size_t d = 0; d < a->rank; d++)
        if (a->dim[d] != b->dim[d]) return false;
    return true;
}

int64_t oz_tensor_count(const struct oz_tensor *tensor, size_t from, size_t to)
{
    int64_t n = 1;
    for (size_t d = from; d < to; d++) n *= tensor->dim[d];
    return n;
}

int64_t oz_tensor_i64_at(const struct oz_tensor *tensor, int64_t i)
{
    return tensor->dtype == OZ_DTYPE_I32 ? tensor->i32[i] : tensor->i64[i];
}

double oz_tensor_f64_at(const struct oz_tensor *tensor, int64_t i)
{
    switch ((enum oz_dtype)tensor->dtype) {
    case OZ_DTYPE_F32: return (double)tensor->f32[i];
    case OZ_DTYPE_F64: return tensor->f64[i];
    case OZ_DTYPE_I32: return tensor->i32[i];
    case OZ_DTYPE_I64: return (double)tensor->i64[i];
    case OZ_DTYPE_U8:
    case OZ_DTYPE_BOOL: return tensor->u8[i];
    case OZ_DTYPE_I8: return tensor->i8[i];
    case OZ_DTYPE_TEXT:
    case OZ_DTYPE_COUNT: break;
    }
    return OZ_NULL_DOUBLE;
}

const char *oz_tensor_words(const struct oz_tensor *tensor, char to[OZ_TENSOR_WORDS_BYTES])
{
    size_t at = (size_t)snprintf(to, OZ_TENSOR_WORDS_BYTES, "%s[",
                                 oz_dtype_word((enum oz_dtype)tensor->dtype));
    for (size_t d = 0; d < tensor->rank && at < OZ_TENSOR_WORDS_BYTES; d++)
        at += (size_t)snprintf(to + at, OZ_TENSOR_WORDS_BYTES - at, "%s%lld", d ? "x" : "",
                               (long long)tensor->dim[d]);
    if (at < OZ_TENSOR_WORDS_BYTES) snprintf(to + at, OZ_TENSOR_WORDS_BYTES - at, "]");
    return to;
}

enum oz_status oz_axis(int64_t axis, size_t rank, size_t *ret_axis, struct oz_error *err)
{
    int64_t n = (int64_t)rank;
    if (axis < -n || axis >= n)
        OZ_FAIL(err, OZ_MODEL, "axis %lld of a tensor of rank %zu", (long long)axis, rank);
    *ret_axis = (size_t)(axis < 0 ? axis + n : axis);
    return OZ_OK;
}

enum oz_status oz_broadcast_shape(const struct oz_tensor *const *input, size_t n_inputs,
                                  size_t *ret_rank, int64_t ret_dim[OZ_RANK_MAX],
                                  struct oz_error *err)
{
    size_t rank = 0;
    for (size_t k = 0; k < n_inputs; k++) rank = OZ_MAX(rank, (size_t)input[k]->rank);
    for (size_t d = 0; d < rank; d++) ret_dim[d] = 1;
    for (size_t k = 0; k < n_inputs; k++)
        for (size_t d = 0; d < input[k]->rank; d++) {
            int64_t *to = &ret_dim[rank - input[k]->rank + d], from = input[k]->dim[d];
            if (from == 1 || from == *to) continue;
            if (*to != 1)
                OZ_FAIL(err, OZ_MODEL,
                        "shapes that do not fit each other: %lld against %lld in dimension %zu of "
                        "%zu",
                        (long long)from, (long long)*to, rank - input[k]->rank + d, rank);
            *to = from;
        }
    *ret_rank = rank;
    return OZ_OK;
}

/* How far input k moves in elements along dimension d of the output. */
static int64_t stride_along(const struct oz_tensor *input, const struct oz_tensor *output, size_t d)
{
    size_t missing = (size_t)output->rank - input->rank;
    if (d < missing || input->dim[d - missing] == 1) return 0;
    return oz_tensor_count(input, d - missing + 1, input->rank);
}

static bool is_merged(const struct oz_broadcast *walk, const int64_t *stride, size_t last,
                      int64_t size)
{
    /* The outer dimension's step must be the inner one's steps gone through, for every input. */
    for (size_t k = 0; k < walk->n_inputs; k++)
        if (walk->stride[k][last] != stride[k] * size) return false;
    return true;
}

void oz_broadcast_walk(const struct oz_tensor *const *input, size_t n_inputs,
                       const struct oz_tensor *output, struct oz_broadcast *ret_walk)
{
    struct oz_broadcast walk = {.n_inputs = n_inputs};
    for (size_t d = 0; d < output->rank; d++) {
        int64_t stride[OZ_BROADCAST_MAX] = {0};
        if (output->dim[d] == 1) continue;
        for (size_t k = 0; k < n_inputs; k++) stride[k] = stride_along(input[k], output, d);
        if (walk.rank && is_merged(&walk, stride, walk.rank - 1, output->dim[d])) {
            walk.dim[walk.rank - 1] *= output->dim[d];
            for (size_t k = 0; k < n_inputs; k++) walk.stride[k][walk.rank - 1] = stride[k];
            continue;
        }
        walk.dim[walk.rank] = output->dim[d];
        for (size_t k = 0; k < n_inputs; k++) walk.stride[k][walk.rank] = stride[k];
        walk.rank++;
    }
    if (!walk.rank) walk.dim[walk.rank++] = 1;
    *ret_walk = walk;
}

bool oz_broadcast_next(const struct oz_broadcast *walk, int64_t index[OZ_RANK_MAX],
                       int64_t offset[OZ_BROADCAST_MAX])
{
    for (size_t d = walk->rank - 1; d-- > 0;) {
        for (size_t k = 0; k < walk->n_inputs; k++) offset[k] += walk->stride[k][d];
        if (++index[d] < walk->dim[d]) return true;
        for (size_t k = 0; k < walk->n_inputs; k++) offset[k] -= walk->stride[k][d] * walk->dim[d];
        index[d] = 0;
    }
    return false;
}
