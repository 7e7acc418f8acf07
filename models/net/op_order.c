#include <math.h>
#include <string.h>
#include "models/net/layout_args.h"
#include "models/net/op_tables.h"

/* Operators that go along one axis in order: TopK, ArgMax and ArgMin, CumSum. NaN is larger than
 * all other numbers for TopK; for ArgMax and ArgMin it is what is looked for. Both are numpy's. */

/* name, type, whether a value is NaN */
#define NUMBER_MAP(X)                                                                              \
    X(F32, float, isnan)                                                                           \
    X(F64, double, isnan)                                                                          \
    X(I32, int32_t, NEVER)                                                                         \
    X(I64, int64_t, NEVER)                                                                         \
    X(U8, uint8_t, NEVER)                                                                          \
    X(I8, int8_t, NEVER)
#define NEVER(v) 0

/* A tensor seen along one axis: lanes of `size` elements, `n_inner` apart. */
struct lanes {
    int64_t n_outer, size, n_inner;
};

static struct lanes lanes_of(const struct oz_tensor *x, size_t axis)
{
    return (struct lanes){oz_tensor_count(x, 0, axis), x->dim[axis],
                          oz_tensor_count(x, axis + 1, x->rank)};
}

static enum oz_status check_number(const struct oz_tensor *x, struct oz_error *err)
{
    if (x->dtype != OZ_DTYPE_TEXT && x->dtype != OZ_DTYPE_BOOL) return OZ_OK;
    OZ_FAIL(err, OZ_MODEL, "a tensor of %s, not of numbers",
            oz_dtype_word((enum oz_dtype)x->dtype));
}

/* ---- TopK ----
 * A heap of the k best places seen so far, with the worst of them at the root, so that most
 * elements cost one comparison; then the heap is emptied from the worst on. The order is total
 * (equal values by place), so the answer does not depend on how it is found. */

struct topk {
    int64_t axis, k; /* k: an attribute, before opset 10 */
    bool is_largest;
};

static enum oz_status compile_topk(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct topk *topk = oz_node_state(net, node, sizeof *topk);
    if (!topk) return oz_no_memory(err);
    topk->is_largest = true;
    OZ_TRY(oz_attr_i64(node, "axis", -1, &topk->axis, err));
    if (node->opset < 10) {
        const struct oz_attribute *k;
        OZ_TRY(oz_node_inputs(node, 1, 1, err));
        OZ_TRY(oz_attr_find(node, "k", OZ_ATTRIBUTE_INT, &k, err));
        if (!k) OZ_FAIL(err, OZ_MODEL, "it has no attribute `k`");
        topk->k = k->i;
        return OZ_OK;
    }
    if (node->opset >= 11) {
        OZ_TRY(oz_attr_bool(node, "largest", true, &topk->is_largest, err));
        oz_attr_ignore(node, "sorted"); /* sorted is one of the orders that unsorted allows */
    }
    return oz_node_inputs(node, 2, 2, err);
}

#define TOPK(name, T, IS_NAN)                                                                      \
    static bool is_greater_##name(T a, T b)                                                        \
    {                                                                                              \
        (void)b; /* where there is no NaN */                                                       \
        return IS_NAN(a) ? !(IS_NAN(b)) : a > b;                                                   \
    }                                                                                              \
    /* Whether place i comes before place j in the result. */                                      \
    static bool is_before_##name(const T *x, int64_t n_inner, int64_t i, int64_t j, bool largest)  \
    {                                                                                              \
        T a = x[i * n_inner], b = x[j * n_inner];                                                  \
        if (is_greater_##name(a, b)) return largest;                                               \
        if (is_greater_##name(b, a)) return !largest;                                              \
        return i < j;                                                                              \
    }                                                                                              \
    /* Puts `place` into the heap of n places, whose root is free. */                              \
    static void sift_##name(const T *x, int64_t n_inner, bool largest, int64_t *heap, int64_t n,   \
                            int64_t root, int64_t place)                                           \
    {                                                                                              \
        for (int64_t child; (child = 2 * root + 1) < n; root = child) {                            \
            if (child + 1 < n &&                                                                   \
                is_before_##name(x, n_inner, heap[child], heap[child + 1], largest))               \
                child++;                                                                           \
            if (is_before_##name(x, n_inner, heap[child], place, largest)) break;                  \
            heap[root] = heap[child];                                                              \
        }                                                                                          \
        heap[root] = place;                                                                        \
    }                                                                                              \
    static void topk_##name(const T *x, const struct lanes *lanes, int64_t k, bool largest,        \
                            int64_t *heap, T *value, int64_t *index)                               \
    {                                                                                              \
        int64_t n_inner = lanes->n_inner;                                                          \
        for (int64_t i = 0; i < k; i++) heap[i] = i;                                               \
        for (int64_t i = k / 2; i-- > 0;) sift_##name(x, n_inner, largest, heap, k, i, heap[i]);   \
        for (int64_t i = k; i < lanes->size; i++)                                                  \
            if (is_before_##name(x, n_inner, i, heap[0], largest))                                 \
                sift_##name(x, n_inner, largest, heap, k, 0, i);                                   \
        for (int64_t n = k; n-- > 0;) {                                                            \
            int64_t worst = heap[0];                                                               \
            sift_##name(x, n_inner, largest, heap, n, 0, heap[n]);                                 \
            value[n * n_inner] = x[worst * n_inner];                                               \
            index[n * n_inner] = worst;                                                            \
        }                                                                                          \
    }
NUMBER_MAP(TOPK)
#undef TOPK

static void topk_lane(const struct oz_tensor *x, int64_t from, const struct lanes *lanes, int64_t k,
                      bool largest, int64_t *heap, const struct oz_tensor *value,
                      const struct oz_tensor *index, int64_t to)
{
    switch ((enum oz_dtype)x->dtype) {
#define X(name, T, IS_NAN)                                                                         \
    case OZ_DTYPE_##name:                                                                          \
        topk_##name((const T *)x->data + from, lanes, k, largest, heap, (T *)value->data + to,     \
                    index->i64 + to);                                                              \
        break;
        NUMBER_MAP(X)
#undef X
    default: break;
    }
}

static enum oz_status run_topk(struct oz_exec *exec, const struct oz_node *node,
                               struct oz_error *err)
{
    const struct topk *topk = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0), *given;
    struct oz_tensor *value, *index;
    int64_t k = topk->k, dim[OZ_RANK_MAX];
    size_t axis;
    void *heap;
    OZ_TRY(check_number(x, err));
    OZ_TRY(oz_axis(topk->axis, x->rank, &axis, err));
    OZ_TRY(oz_exec_in_known(exec, node, 1, "its k", &given, err));
    if (given) OZ_TRY(oz_int_of_tensor(given, "its k", &k, err));
    if (k < 0 || k > x->dim[axis])
        OZ_FAIL(err, OZ_MODEL, "the first %lld of a dimension of %lld", (long long)k,
                (long long)x->dim[axis]);
    memcpy(dim, x->dim, sizeof dim);
    dim[axis] = k;
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)x->dtype, x->rank, dim, &value, err));
    OZ_TRY(oz_exec_out(exec, node, 1, OZ_DTYPE_I64, x->rank, dim, &index, err));
    OZ_TRY(oz_exec_scratch(exec, node, (size_t)k * sizeof(int64_t), &heap, err));
    if (!value->data || !index->data || !heap || !value->n) return OZ_OK;
    struct lanes lanes = lanes_of(x, axis);
    for (int64_t o = 0; o < lanes.n_outer; o++)
        for (int64_t i = 0; i < lanes.n_inner; i++)
            topk_lane(x, o * lanes.size * lanes.n_inner + i, &lanes, k, topk->is_largest, heap,
                      value, index, o * k * lanes.n_inner + i);
    return OZ_OK;
}

/* ---- ArgMax, ArgMin ---- */

struct arg_extreme {
    int64_t axis;
    bool is_kept, is_last, is_max; /* is_kept: the axis stays, with size 1 */
};

static enum oz_status compile_arg_extreme(struct oz_net *net, struct oz_node *node, bool is_max,
                                          struct oz_error *err)
{
    struct arg_extreme *arg = oz_node_state(net, node, sizeof *arg);
    if (!arg) return oz_no_memory(err);
    arg->is_max = is_max;
    OZ_TRY(oz_attr_i64(node, "axis", 0, &arg->axis, err));
    OZ_TRY(oz_attr_bool(node, "keepdims", true, &arg->is_kept, err));
    if (node->opset < 12) return OZ_OK;
    return oz_attr_bool(node, "select_last_index", false, &arg->is_last, err);
}

static enum oz_status compile_arg_max(struct oz_net *net, struct oz_node *node,
                                      struct oz_error *err)
{
    return compile_arg_extreme(net, node, true, err);
}

static enum oz_status compile_arg_min(struct oz_net *net, struct oz_node *node,
                                      struct oz_error *err)
{
    return compile_arg_extreme(net, node, false, err);
}

/* One outer block: row after row of it, so that memory is read as it lies. `best` holds the places
 * and is the output. */
#define ARG_EXTREME(name, T, IS_NAN)                                                               \
    static void arg_extreme_##name(const T *x, const struct lanes *lanes, bool is_max,             \
                                   bool is_last, int64_t *best)                                    \
    {                                                                                              \
        for (int64_t j = 0; j < lanes->n_inner; j++) best[j] = 0;                                  \
        for (int64_t i = 1; i < lanes->size; i++)                                                  \
            for (int64_t j = 0; j < lanes->n_inner; j++) {                                         \
                T v = x[i * lanes->n_inner + j], b = x[best[j] * lanes->n_inner + j];              \
                bool is_better = is_max ? v > b : v < b;                                           \
                if (IS_NAN(v) || IS_NAN(b)) is_better = !(IS_NAN(b));                              \
                if (is_last && (v == b || (IS_NAN(v) && IS_NAN(b)))) is_better = true;             \
                if (is_better) best[j] = i;                                                        \
            }                                                                                      \
    }
NUMBER_MAP(ARG_EXTREME)
#undef ARG_EXTREME

static enum oz_status run_arg_extreme(struct oz_exec *exec, const struct oz_node *node,
                                      struct oz_error *err)
{
    const struct arg_extreme *arg = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    struct oz_tensor *y;
    int64_t dim[OZ_RANK_MAX];
    size_t axis, rank = 0;
    OZ_TRY(check_number(x, err));
    OZ_TRY(oz_axis(arg->axis, x->rank, &axis, err));
    for (size_t d = 0; d < x->rank; d++) {
        if (d != axis)
            dim[rank++] = x->dim[d];
        else if (arg->is_kept)
            dim[rank++] = 1;
    }
    OZ_TRY(oz_exec_out(exec, node, 0, OZ_DTYPE_I64, rank, dim, &y, err));
    if (y->n && !x->dim[axis]) OZ_FAIL(err, OZ_MODEL, "a dimension of 0 has no extreme");
    if (!y->data || !y->n) return OZ_OK;
    struct lanes lanes = lanes_of(x, axis);
    for (int64_t o = 0; o < lanes.n_outer; o++) {
        int64_t from = o * lanes.size * lanes.n_inner, *best = y->i64 + o * lanes.n_inner;
        switch ((enum oz_dtype)x->dtype) {
#define X(name, T, IS_NAN)                                                                         \
    case OZ_DTYPE_##name:                                                                          \
        arg_extreme_##name((const T *)x->data + from, &lanes, arg->is_max, arg->is_last, best);    \
        break;
            NUMBER_MAP(X)
#undef X
        default: break;
        }
    }
    return OZ_OK;
}

/* ---- CumSum ---- */

struct cum_sum {
    bool is_exclusive, is_reverse;
};

static enum oz_status compile_cum_sum(struct oz_net *net, struct oz_node *node,
                                      struct oz_error *err)
{
    struct cum_sum *sum = oz_node_state(net, node, sizeof *sum);
    if (!sum) return oz_no_memory(err);
    OZ_TRY(oz_attr_bool(node, "exclusive", false, &sum->is_exclusive, err));
    return oz_attr_bool(node, "reverse", false, &sum->is_reverse, err);
}

/* One outer block, slice after slice along the axis: each is the slice before plus one slice of x.
 * `slice` and `step` say where it begins and in which direction it goes. U wraps. */
#define CUM_SUM(name, T, U)                                                                        \
    static void cum_sum_##name(const T *x, T *y, const struct lanes *lanes, int64_t first,         \
                               int64_t step, bool is_exclusive)                                    \
    {                                                                                              \
        for (int64_t i = 0; i < lanes->size; i++) {                                                \
            int64_t at = (first + i * step) * lanes->n_inner, last = at - step * lanes->n_inner;   \
            const T *add = x + (is_exclusive && i ? last : at);                                    \
            for (int64_t j = 0; j < lanes->n_inner; j++) {                                         \
                if (i == 0)                                                                        \
                    y[at + j] = is_exclusive ? 0 : add[j];                                         \
                else                                                                               \
                    y[at + j] = (T)((U)y[last + j] + (U)add[j]);                                   \
            }                                                                                      \
        }                                                                                          \
    }
CUM_SUM(f32, float, float)
CUM_SUM(f64, double, double)
CUM_SUM(i32, int32_t, uint32_t)
CUM_SUM(i64, int64_t, uint64_t)
#undef CUM_SUM

static enum oz_status run_cum_sum(struct oz_exec *exec, const struct oz_node *node,
                                  struct oz_error *err)
{
    const struct cum_sum *sum = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0), *given = oz_exec_in(exec, node, 1);
    struct oz_tensor *y;
    int64_t number;
    size_t axis;
    if (!oz_dtype_is_float((enum oz_dtype)x->dtype) && !oz_dtype_is_index((enum oz_dtype)x->dtype))
        OZ_FAIL(err, OZ_MODEL, "sums of %s, served are float, double, int32 and int64",
                oz_dtype_word((enum oz_dtype)x->dtype));
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)x->dtype, x->rank, x->dim, &y, err));
    if (!y->data) return OZ_OK;
    OZ_TRY(oz_int_of_tensor(given, "its axis", &number, err));
    OZ_TRY(oz_axis(number, x->rank, &axis, err));
    struct lanes lanes = lanes_of(x, axis);
    int64_t first = sum->is_reverse ? lanes.size - 1 : 0, step = sum->is_reverse ? -1 : 1;
    for (int64_t o = 0; x->n && o < lanes.n_outer; o++) {
        int64_t at = o * lanes.size * lanes.n_inner;
        switch ((enum oz_dtype)x->dtype) {
        case OZ_DTYPE_F32:
            cum_sum_f32(x->f32 + at, y->f32 + at, &lanes, first, step, sum->is_exclusive);
            break;
        case OZ_DTYPE_F64:
            cum_sum_f64(x->f64 + at, y->f64 + at, &lanes, first, step, sum->is_exclusive);
            break;
        case OZ_DTYPE_I32:
            cum_sum_i32(x->i32 + at, y->i32 + at, &lanes, first, step, sum->is_exclusive);
            break;
        default:
            cum_sum_i64(x->i64 + at, y->i64 + at, &lanes, first, step, sum->is_exclusive);
            break;
        }
    }
    return OZ_OK;
}

const struct oz_op oz_ops_order[] = {
    {"ArgMax", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, compile_arg_max, NULL, run_arg_extreme},
    {"ArgMin", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, compile_arg_min, NULL, run_arg_extreme},
    {"CumSum", OZ_DOMAIN_ONNX, 11, 2, 2, 1, 1, compile_cum_sum, NULL, run_cum_sum},
    {"TopK", OZ_DOMAIN_ONNX, 1, 1, 2, 2, 2, compile_topk, NULL, run_topk},
    {.name = NULL},
};
