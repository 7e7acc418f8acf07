#include <math.h>
#include <string.h>
#include "models/net/index_walk.h"
#include "models/net/op_tables.h"

/* Operators that write updates into a copy of a tensor. Updates are applied in their order, so an
 * index that is there twice has one answer: the later one, or both in the reduction. */

enum reduction { NONE, ADD, MUL, MAX, MIN };

/* n elements of `from` into n of `to`. */
typedef void combine_fn(void *restrict to, const void *restrict from, int64_t n);

/* Unsigned, because int32 and int64 wrap here as they do in every runtime. */
#define INT_ADD(T, a, b)  ((T)((uint64_t)(a) + (uint64_t)(b)))
#define INT_MUL(T, a, b)  ((T)((uint64_t)(a) * (uint64_t)(b)))
#define INT_MAX_OF(a, b)  ((a) > (b) ? (a) : (b))
#define INT_MIN_OF(a, b)  ((a) < (b) ? (a) : (b))
#define REAL_ADD(T, a, b) ((a) + (b))
#define REAL_MUL(T, a, b) ((a) * (b))
/* NaN wins. */
#define REAL_MAX_OF(a, b) (isnan(a) || (a) > (b) ? (a) : (b))
#define REAL_MIN_OF(a, b) (isnan(a) || (a) < (b) ? (a) : (b))

#define COMBINE(word, name, T, expression)                                                         \
    static void word##_##name(void *restrict to, const void *restrict from, int64_t n)             \
    {                                                                                              \
        T *a = to;                                                                                 \
        const T *b = from;                                                                         \
        for (int64_t i = 0; i < n; i++) a[i] = (expression);                                       \
    }
#define COMBINE_ALL(name, T, kind)                                                                 \
    COMBINE(add, name, T, kind##_ADD(T, a[i], b[i]))                                               \
    COMBINE(mul, name, T, kind##_MUL(T, a[i], b[i]))                                               \
    COMBINE(max, name, T, kind##_MAX_OF(a[i], b[i]))                                               \
    COMBINE(min, name, T, kind##_MIN_OF(a[i], b[i]))

COMBINE_ALL(f32, float, REAL)
COMBINE_ALL(f64, double, REAL)
COMBINE_ALL(i32, int32_t, INT)
COMBINE_ALL(i64, int64_t, INT)
COMBINE_ALL(u8, uint8_t, INT)
COMBINE_ALL(i8, int8_t, INT)

static combine_fn *combine_of(enum reduction reduction, enum oz_dtype dtype)
{
#define ROW(name)                                                                                  \
    {                                                                                              \
        NULL, add_##name, mul_##name, max_##name, min_##name                                       \
    }
    static combine_fn *const combine[OZ_DTYPE_COUNT][5] = {
        [OZ_DTYPE_F32] = ROW(f32),
        [OZ_DTYPE_F64] = ROW(f64),
        [OZ_DTYPE_I32] = ROW(i32),
        [OZ_DTYPE_I64] = ROW(i64),
        [OZ_DTYPE_U8] = ROW(u8),
        [OZ_DTYPE_I8] = ROW(i8),
        /* Of bools the sum is "or", the product "and". */
        [OZ_DTYPE_BOOL] = {NULL, max_u8, min_u8, max_u8, min_u8}};
#undef ROW
    return combine[dtype][reduction];
}

struct scatter {
    int64_t axis;
    enum reduction reduction;
};

static enum oz_status compile_reduction(struct oz_node *node, struct scatter *scatter,
                                        struct oz_error *err)
{
    static const char *const since_16[] = {"none", "add", "mul", NULL};
    static const char *const since_18[] = {"none", "add", "mul", "max", "min", NULL};
    int reduction = NONE;
    if (node->opset >= 16)
        OZ_TRY(oz_attr_choice(node, "reduction", node->opset < 18 ? since_16 : since_18, NONE,
                              &reduction, err));
    scatter->reduction = (enum reduction)reduction;
    return OZ_OK;
}

static enum oz_status compile_scatter_elements(struct oz_net *net, struct oz_node *node,
                                               struct oz_error *err)
{
    struct scatter *scatter = oz_node_state(net, node, sizeof *scatter);
    if (!scatter) return oz_no_memory(err);
    OZ_TRY(oz_attr_i64(node, "axis", 0, &scatter->axis, err));
    return compile_reduction(node, scatter, err);
}

static enum oz_status compile_scatter_nd(struct oz_net *net, struct oz_node *node,
                                         struct oz_error *err)
{
    struct scatter *scatter = oz_node_state(net, node, sizeof *scatter);
    if (!scatter) return oz_no_memory(err);
    return compile_reduction(node, scatter, err);
}

static enum oz_status check_reduction(enum reduction reduction, const struct oz_tensor *x,
                                      struct oz_error *err)
{
    if (reduction == NONE || combine_of(reduction, (enum oz_dtype)x->dtype)) return OZ_OK;
    OZ_FAIL(err, OZ_MODEL, "a reduction of %s", oz_dtype_word((enum oz_dtype)x->dtype));
}

static void put(combine_fn *combine, uint8_t *to, const uint8_t *from, int64_t n, size_t bytes)
{
    if (combine)
        combine(to, from, n);
    else
        memcpy(to, from, (size_t)n * bytes);
}

static enum oz_status run_scatter_elements(struct oz_exec *exec, const struct oz_node *node,
                                           struct oz_error *err)
{
    const struct scatter *scatter = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0), *index = oz_exec_in(exec, node, 1);
    const struct oz_tensor *update = oz_exec_in(exec, node, 2);
    struct oz_tensor *y;
    int64_t at[OZ_RANK_MAX] = {0};
    size_t axis;
    OZ_TRY(oz_same_dtype(x, update, err));
    OZ_TRY(check_reduction(scatter->reduction, x, err));
    OZ_TRY(oz_axis(scatter->axis, x->rank, &axis, err));
    OZ_TRY(oz_check_element_indices(exec, node, x, index, axis, err));
    if (!oz_tensor_same_shape(index, update) && !oz_exec_is_loose(exec, node))
        OZ_FAIL(err, OZ_MODEL, "its updates have not the shape of its indices");
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)x->dtype, x->rank, x->dim, &y, err));
    if (!y->data) return OZ_OK;
    size_t last = (size_t)x->rank - 1, bytes = oz_dtype_bytes((enum oz_dtype)x->dtype);
    combine_fn *combine = combine_of(scatter->reduction, (enum oz_dtype)x->dtype);
    int64_t n = index->dim[last], step = oz_tensor_count(x, axis + 1, x->rank);
    int64_t along = axis == last ? 0 : 1;
    if (x->n) memcpy(y->data, x->data, (size_t)x->n * bytes);
    for (int64_t first = 0; first < index->n; first += n) {
        int64_t row = oz_row_offset(x, at, axis);
        for (int64_t j = 0; j < n; j++) {
            int64_t given = oz_tensor_i64_at(index, first + j), to = oz_index(given, x->dim[axis]);
            if (OZ_UNLIKELY(to < 0)) return oz_index_outside(given, x->dim[axis], err);
            put(combine, y->u8 + (size_t)(row + to * step + j * along) * bytes,
                update->u8 + (size_t)(first + j) * bytes, 1, bytes);
        }
        oz_next_row(index, at);
    }
    return OZ_OK;
}

static enum oz_status run_scatter_nd(struct oz_exec *exec, const struct oz_node *node,
                                     struct oz_error *err)
{
    const struct scatter *scatter = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0), *index = oz_exec_in(exec, node, 1);
    const struct oz_tensor *update = oz_exec_in(exec, node, 2);
    struct oz_tensor *y;
    struct oz_tuples tuples;
    OZ_TRY(oz_same_dtype(x, update, err));
    OZ_TRY(check_reduction(scatter->reduction, x, err));
    OZ_TRY(oz_tuples_of(x, index, 0, &tuples, err));
    size_t n_leading = (size_t)index->rank - 1;
    bool fits = update->rank == n_leading + x->rank - tuples.n_each;
    for (size_t d = 0; fits && d < update->rank; d++) {
        int64_t size = d < n_leading ? index->dim[d] : x->dim[d - n_leading + tuples.n_each];
        fits = update->dim[d] == size || oz_exec_is_loose(exec, node);
    }
    if (!fits) OZ_FAIL(err, OZ_MODEL, "its updates have not the shape that its indices ask for");
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)x->dtype, x->rank, x->dim, &y, err));
    if (!y->data) return OZ_OK;
    size_t bytes = oz_dtype_bytes((enum oz_dtype)x->dtype);
    combine_fn *combine = combine_of(scatter->reduction, (enum oz_dtype)x->dtype);
    if (x->n) memcpy(y->data, x->data, (size_t)x->n * bytes);
    for (int64_t i = 0; i < tuples.n; i++) {
        int64_t to;
        OZ_TRY(oz_tuple_offset(&tuples, index, i, &to, err));
        if (!tuples.block_n) continue;
        put(combine, y->u8 + (size_t)to * bytes, update->u8 + (size_t)(i * tuples.block_n) * bytes,
            tuples.block_n, bytes);
    }
    return OZ_OK;
}

const struct oz_op oz_ops_scatter[] = {
    {"Scatter", OZ_DOMAIN_ONNX, 9, 3, 3, 1, 1, compile_scatter_elements, NULL,
     run_scatter_elements}, /* ScatterElements before it had that name */
    {"ScatterElements", OZ_DOMAIN_ONNX, 11, 3, 3, 1, 1, compile_scatter_elements, NULL,
     run_scatter_elements},
    {"ScatterND", OZ_DOMAIN_ONNX, 11, 3, 3, 1, 1, compile_scatter_nd, NULL, run_scatter_nd},
    {.name = NULL},
};
