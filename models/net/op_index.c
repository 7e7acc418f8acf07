#include <math.h>
#include <string.h>
#include "models/net/box.h"
#include "models/net/index_walk.h"
#include "models/net/op_tables.h"

/* Operators that pick elements by index: Gather and its kin, NonZero, Compress, OneHot. */

static size_t bytes_of(const struct oz_tensor *tensor)
{
    return oz_dtype_bytes((enum oz_dtype)tensor->dtype);
}

static enum oz_status compile_axis_0(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    return oz_compile_axis(net, node, 0, err);
}

static enum oz_status compile_axis_last(struct oz_net *net, struct oz_node *node,
                                        struct oz_error *err)
{
    return oz_compile_axis(net, node, -1, err);
}

/* ---- Gather ---- */

/* n blocks of `bytes` to `to`, one behind the other, from where the offsets (in blocks) lead. */
static inline __attribute__((always_inline)) void
gather_blocks(uint8_t *to, const uint8_t *from, const int64_t *offset, int64_t n, size_t bytes)
{
    for (int64_t i = 0; i < n; i++)
        memcpy(to + (size_t)i * bytes, from + (size_t)offset[i] * bytes, bytes);
}

static void gather(uint8_t *to, const uint8_t *from, const int64_t *offset, int64_t n, size_t bytes)
{
    /* A size that the compiler knows is one move instead of a call. */
    switch (bytes) {
    case 1: gather_blocks(to, from, offset, n, 1); break;
    case 4: gather_blocks(to, from, offset, n, 4); break;
    case 8: gather_blocks(to, from, offset, n, 8); break;
    case 16: gather_blocks(to, from, offset, n, 16); break;
    default: gather_blocks(to, from, offset, n, bytes); break;
    }
}

static enum oz_status run_gather(struct oz_exec *exec, const struct oz_node *node,
                                 struct oz_error *err)
{
    const struct oz_tensor *x = oz_exec_in(exec, node, 0), *index = oz_exec_in(exec, node, 1);
    struct oz_tensor *y;
    int64_t dim[2 * OZ_RANK_MAX], *offset;
    size_t axis, rank = 0;
    void *memory;
    OZ_TRY(oz_check_indices(index, err));
    OZ_TRY(oz_axis(*(const int64_t *)node->state, x->rank, &axis, err));
    for (size_t d = 0; d < axis; d++) dim[rank++] = x->dim[d];
    for (size_t d = 0; d < index->rank; d++) dim[rank++] = index->dim[d];
    for (size_t d = axis + 1; d < x->rank; d++) dim[rank++] = x->dim[d];
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)x->dtype, rank, dim, &y, err));
    OZ_TRY(oz_exec_scratch(exec, node, (size_t)index->n * sizeof *offset, &memory, err));
    if (!y->data || !memory) return OZ_OK;
    offset = memory;
    OZ_TRY(oz_indices(index, x->dim[axis], 1, offset, err));
    if (!y->n) return OZ_OK;
    int64_t n_outer = oz_tensor_count(x, 0, axis);
    size_t block = (size_t)oz_tensor_count(x, axis + 1, x->rank) * bytes_of(x);
    for (int64_t i = 0; i < n_outer; i++)
        gather(y->u8 + (size_t)(i * index->n) * block, x->u8 + (size_t)(i * x->dim[axis]) * block,
               offset, index->n, block);
    return OZ_OK;
}

/* ---- GatherElements ---- */

/* One row of the innermost dimension: element j comes from from[index * step + j * along]. Returns
 * the first j whose index is outside, or n. */
static inline __attribute__((always_inline)) int64_t
gather_row(uint8_t *to, const uint8_t *from, const struct oz_tensor *index, int64_t first,
           int64_t n, int64_t size, int64_t step, int64_t along, size_t bytes)
{
    for (int64_t j = 0; j < n; j++) {
        int64_t at = oz_index(oz_tensor_i64_at(index, first + j), size);
        if (OZ_UNLIKELY(at < 0)) return j;
        memcpy(to + (size_t)j * bytes, from + (size_t)(at * step + j * along) * bytes, bytes);
    }
    return n;
}

static int64_t gather_row_of(uint8_t *to, const uint8_t *from, const struct oz_tensor *index,
                             int64_t first, int64_t n, int64_t size, int64_t step, int64_t along,
                             size_t bytes)
{
    switch (bytes) {
    case 1: return gather_row(to, from, index, first, n, size, step, along, 1);
    case 4: return gather_row(to, from, index, first, n, size, step, along, 4);
    case 8: return gather_row(to, from, index, first, n, size, step, along, 8);
    default: return gather_row(to, from, index, first, n, size, step, along, sizeof(struct oz_str));
    }
}

static enum oz_status run_gather_elements(struct oz_exec *exec, const struct oz_node *node,
                                          struct oz_error *err)
{
    const struct oz_tensor *x = oz_exec_in(exec, node, 0), *index = oz_exec_in(exec, node, 1);
    struct oz_tensor *y;
    int64_t at[OZ_RANK_MAX] = {0};
    size_t axis;
    OZ_TRY(oz_axis(*(const int64_t *)node->state, x->rank, &axis, err));
    OZ_TRY(oz_check_element_indices(exec, node, x, index, axis, err));
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)x->dtype, index->rank, index->dim, &y, err));
    if (!y->data || !y->n) return OZ_OK;
    size_t last = (size_t)x->rank - 1, bytes = bytes_of(x);
    int64_t n = index->dim[last], step = oz_tensor_count(x, axis + 1, x->rank);
    for (int64_t first = 0; first < index->n; first += n) {
        int64_t offset = oz_row_offset(x, at, axis);
        int64_t done =
            gather_row_of(y->u8 + (size_t)first * bytes, x->u8 + (size_t)offset * bytes, index,
                          first, n, x->dim[axis], step, axis == last ? 0 : 1, bytes);
        if (done < n)
            return oz_index_outside(oz_tensor_i64_at(index, first + done), x->dim[axis], err);
        oz_next_row(index, at);
    }
    return OZ_OK;
}

/* ---- GatherND ---- */

static enum oz_status compile_gather_nd(struct oz_net *net, struct oz_node *node,
                                        struct oz_error *err)
{
    int64_t *batch_dims = oz_node_state(net, node, sizeof *batch_dims);
    if (!batch_dims) return oz_no_memory(err);
    if (node->opset < 12) return OZ_OK;
    return oz_attr_i64(node, "batch_dims", 0, batch_dims, err);
}

static enum oz_status run_gather_nd(struct oz_exec *exec, const struct oz_node *node,
                                    struct oz_error *err)
{
    const struct oz_tensor *x = oz_exec_in(exec, node, 0), *index = oz_exec_in(exec, node, 1);
    int64_t dim[2 * OZ_RANK_MAX], batch_dims = *(const int64_t *)node->state;
    struct oz_tensor *y;
    struct oz_tuples tuples;
    size_t rank = 0;
    OZ_TRY(oz_tuples_of(x, index, batch_dims, &tuples, err));
    for (size_t d = 0; d < tuples.n_batch_dims; d++)
        if (x->dim[d] != index->dim[d] && !oz_exec_is_loose(exec, node))
            OZ_FAIL(err, OZ_MODEL, "batch dimension %zu is %lld, of the indices %lld", d,
                    (long long)x->dim[d], (long long)index->dim[d]);
    for (size_t d = 0; d + 1 < index->rank; d++) dim[rank++] = index->dim[d];
    for (size_t d = tuples.n_batch_dims + tuples.n_each; d < x->rank; d++) dim[rank++] = x->dim[d];
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)x->dtype, rank, dim, &y, err));
    if (!y->data || !tuples.n) return OZ_OK;
    size_t block = (size_t)tuples.block_n * bytes_of(x);
    int64_t n_batches = oz_tensor_count(index, 0, tuples.n_batch_dims);
    int64_t n_each_batch = tuples.n / n_batches;
    for (int64_t i = 0; i < tuples.n; i++) {
        int64_t offset;
        OZ_TRY(oz_tuple_offset(&tuples, index, i, &offset, err));
        offset += i / n_each_batch * tuples.batch_n;
        if (y->n) memcpy(y->u8 + (size_t)i * block, x->u8 + (size_t)offset * bytes_of(x), block);
    }
    return OZ_OK;
}

/* ---- Compress ---- */

struct compress {
    bool has_axis;
    int64_t axis;
};

static enum oz_status compile_compress(struct oz_net *net, struct oz_node *node,
                                       struct oz_error *err)
{
    const struct oz_attribute *axis;
    struct compress *compress = oz_node_state(net, node, sizeof *compress);
    if (!compress) return oz_no_memory(err);
    OZ_TRY(oz_attr_find(node, "axis", OZ_ATTRIBUTE_INT, &axis, err));
    compress->has_axis = axis != NULL;
    compress->axis = axis ? axis->i : 0;
    return OZ_OK;
}

static enum oz_status run_compress(struct oz_exec *exec, const struct oz_node *node,
                                   struct oz_error *err)
{
    const struct compress *compress = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0), *condition = oz_exec_in(exec, node, 1);
    struct oz_tensor *y;
    int64_t dim[OZ_RANK_MAX], size = x->n, n_outer = 1, block_n = 1, n_kept = 0;
    size_t axis = 0, rank = 1;
    if (condition->dtype != OZ_DTYPE_BOOL || condition->rank != 1)
        OZ_FAIL(err, OZ_MODEL, "its condition is not a list of bool");
    if (compress->has_axis) {
        OZ_TRY(oz_axis(compress->axis, x->rank, &axis, err));
        rank = x->rank;
        size = x->dim[axis];
        n_outer = oz_tensor_count(x, 0, axis);
        block_n = oz_tensor_count(x, axis + 1, x->rank);
        memcpy(dim, x->dim, sizeof dim);
    }
    if (condition->n && !condition->data) {
        dim[axis] = OZ_MIN(size, condition->n);
        return oz_exec_out_at_most(exec, node, 0, (enum oz_dtype)x->dtype, rank, dim, &y, err);
    }
    for (int64_t i = 0; i < condition->n; i++) {
        if (!condition->boolean[i]) continue;
        if (i >= size) return oz_index_outside(i, size, err);
        n_kept++;
    }
    dim[axis] = n_kept;
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)x->dtype, rank, dim, &y, err));
    if (!y->data || !y->n) return OZ_OK;
    size_t block = (size_t)block_n * bytes_of(x);
    uint8_t *to = y->u8;
    for (int64_t o = 0; o < n_outer; o++)
        for (int64_t i = 0, n; i < condition->n; i += n) {
            for (n = 1; i + n < condition->n && condition->boolean[i + n] == condition->boolean[i];)
                n++;
            if (!condition->boolean[i]) continue;
            memcpy(to, x->u8 + (size_t)(o * size + i) * block, (size_t)n * block);
            to += (size_t)n * block;
        }
    return OZ_OK;
}

/* ---- NonZero ---- */

static inline bool is_non_zero(const struct oz_tensor *x, int64_t i)
{
    switch ((enum oz_dtype)x->dtype) {
    case OZ_DTYPE_F32: return x->f32[i] != 0;
    case OZ_DTYPE_F64: return x->f64[i] != 0;
    case OZ_DTYPE_I32: return x->i32[i] != 0;
    case OZ_DTYPE_I64: return x->i64[i] != 0;
    case OZ_DTYPE_U8:
    case OZ_DTYPE_I8:
    case OZ_DTYPE_BOOL: return x->u8[i] != 0;
    case OZ_DTYPE_TEXT:
    case OZ_DTYPE_COUNT: break;
    }
    return false;
}

static enum oz_status run_non_zero(struct oz_exec *exec, const struct oz_node *node,
                                   struct oz_error *err)
{
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    struct oz_tensor *y;
    int64_t dim[2] = {x->rank, x->n}, n = 0;
    if (x->dtype == OZ_DTYPE_TEXT) OZ_FAIL(err, OZ_MODEL, "zeros among strings");
    if (x->n && !x->data) return oz_exec_out_at_most(exec, node, 0, OZ_DTYPE_I64, 2, dim, &y, err);
    for (int64_t i = 0; i < x->n; i++) n += is_non_zero(x, i);
    dim[1] = n;
    OZ_TRY(oz_exec_out(exec, node, 0, OZ_DTYPE_I64, 2, dim, &y, err));
    if (!y->data || !y->n) return OZ_OK;
    int64_t index[OZ_RANK_MAX] = {0}, column = 0;
    for (int64_t i = 0; i < x->n; i++) {
        if (is_non_zero(x, i)) {
            for (size_t d = 0; d < x->rank; d++) y->i64[(int64_t)d * n + column] = index[d];
            column++;
        }
        for (size_t d = x->rank; d-- > 0;) {
            if (++index[d] < x->dim[d]) break;
            index[d] = 0;
        }
    }
    return OZ_OK;
}

/* ---- OneHot ---- */

static enum oz_status check_number(const struct oz_tensor *tensor, const char *what,
                                   struct oz_error *err)
{
    if (tensor->dtype != OZ_DTYPE_TEXT && tensor->dtype != OZ_DTYPE_BOOL) return OZ_OK;
    OZ_FAIL(err, OZ_MODEL, "%s: a tensor of %s, not of numbers", what,
            oz_dtype_word((enum oz_dtype)tensor->dtype));
}

/* A number of any type as a place among `size`; -1: it has none. */
static int64_t hot_at(const struct oz_tensor *index, int64_t i, int64_t size)
{
    if (oz_dtype_is_index((enum oz_dtype)index->dtype))
        return oz_index(oz_tensor_i64_at(index, i), size);
    double v = trunc(oz_tensor_f64_at(index, i));
    return v >= -(double)size && v < (double)size ? oz_index((int64_t)v, size) : -1;
}

static enum oz_status run_one_hot(struct oz_exec *exec, const struct oz_node *node,
                                  struct oz_error *err)
{
    const struct oz_tensor *index = oz_exec_in(exec, node, 0), *depth;
    const struct oz_tensor *values = oz_exec_in(exec, node, 2);
    struct oz_tensor *y;
    int64_t dim[OZ_RANK_MAX + 1];
    size_t axis, rank = (size_t)index->rank + 1;
    OZ_TRY(check_number(index, "its indices", err));
    OZ_TRY(oz_exec_in_known(exec, node, 1, "its depth", &depth, err));
    OZ_TRY(check_number(depth, "its depth", err));
    if (depth->n != 1 || values->rank != 1 || values->dim[0] != 2)
        OZ_FAIL(err, OZ_MODEL, "its depth is not one number, or its values are not two");
    OZ_TRY(oz_axis(*(const int64_t *)node->state, rank, &axis, err));
    double size = oz_tensor_f64_at(depth, 0);
    if (!(size >= 0 && size <= (double)OZ_TENSOR_ELEMENTS_MAX))
        OZ_FAIL(err, OZ_MODEL, "its depth is %g", size);
    for (size_t d = 0, from = 0; d < rank; d++)
        dim[d] = d == axis ? (int64_t)size : index->dim[from++];
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)values->dtype, rank, dim, &y, err));
    if (!y->data || !y->n) return OZ_OK;
    size_t bytes = bytes_of(y);
    int64_t n_outer = oz_tensor_count(y, 0, axis), n_inner = oz_tensor_count(y, axis + 1, rank);
    oz_box_fill(y->data, values->data, bytes, y->n);
    for (int64_t i = 0; i < n_outer * n_inner; i++) {
        int64_t hot = hot_at(index, i, dim[axis]);
        if (hot < 0) continue;
        int64_t to = (i / n_inner * dim[axis] + hot) * n_inner + i % n_inner;
        memcpy(y->u8 + (size_t)to * bytes, values->u8 + bytes, bytes);
    }
    return OZ_OK;
}

const struct oz_op oz_ops_index[] = {
    {"Compress", OZ_DOMAIN_ONNX, 9, 2, 2, 1, 1, compile_compress, NULL, run_compress},
    {"Gather", OZ_DOMAIN_ONNX, 1, 2, 2, 1, 1, compile_axis_0, NULL, run_gather},
    {"GatherElements", OZ_DOMAIN_ONNX, 11, 2, 2, 1, 1, compile_axis_0, NULL, run_gather_elements},
    {"GatherND", OZ_DOMAIN_ONNX, 11, 2, 2, 1, 1, compile_gather_nd, NULL, run_gather_nd},
    {"NonZero", OZ_DOMAIN_ONNX, 9, 1, 1, 1, 1, NULL, NULL, run_non_zero},
    {"OneHot", OZ_DOMAIN_ONNX, 9, 3, 3, 1, 1, compile_axis_last, NULL, run_one_hot},
    {.name = NULL},
};
