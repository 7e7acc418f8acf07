#include "models/net/op_tables.h"
#include <math.h>
#include "models/net/moments.h"
#include "models/net/net_window.h"

/* Pools look at one plane [spatial axes] of one channel of one row at a time. The global ones take
 * the whole plane, of any rank. A window that lies on padding only has no greatest element and no
 * mean, so it is refused before anything is computed. */

enum { TAPS_BEYOND_MAX = 4096 };

struct pool {
    struct oz_window_form form;
    bool count_include_pad;
    bool column_major; /* of the indices */
};

/* One place of a window, and which of its taps lie on the input there. */
struct spot {
    int64_t place[OZ_WINDOW_AXES];
    int64_t first[OZ_WINDOW_AXES], end[OZ_WINDOW_AXES]; /* taps */
    int64_t start[OZ_WINDOW_AXES];                      /* of tap 0, on the input */
};

static enum oz_status refuse_empty_windows(const struct oz_window *window, struct oz_error *err)
{
    for (size_t d = 0; d < OZ_WINDOW_AXES; d++)
        for (int64_t place = 0; place < window->axis[d].out; place++) {
            int64_t first, end;
            oz_window_taps(&window->axis[d], place, &first, &end);
            if (first == end)
                OZ_FAIL(err, OZ_MODEL,
                        "place %lld of the window along spatial axis %zu is on padding only",
                        (long long)place, d + window->n_axes - OZ_WINDOW_AXES);
        }
    return OZ_OK;
}

static void move_to(const struct oz_window *window, size_t d, int64_t place, struct spot *spot)
{
    const struct oz_window_axis *axis = &window->axis[d];
    spot->place[d] = place;
    spot->start[d] = place * axis->stride - axis->front;
    oz_window_taps(axis, place, &spot->first[d], &spot->end[d]);
}

static void first_spot(const struct oz_window *window, struct spot *spot)
{
    for (size_t d = 0; d < OZ_WINDOW_AXES; d++) move_to(window, d, 0, spot);
}

/* The next in row-major order, counting up axis `last` and those before it; false: that was the
 * last. */
static bool next_spot(const struct oz_window *window, struct spot *spot, size_t last)
{
    for (size_t d = last + 1; d-- > 0;) {
        int64_t next = spot->place[d] + 1;
        bool carries = next == window->axis[d].out;
        move_to(window, d, carries ? 0 : next, spot);
        if (!carries) return true;
    }
    return false;
}

/* The rows of taps that lie on the input. */
#define FOR_TAP_ROWS(spot)                                                                         \
    for (int64_t k0 = (spot)->first[0]; k0 < (spot)->end[0]; k0++)                                 \
        for (int64_t k1 = (spot)->first[1]; k1 < (spot)->end[1]; k1++)

/* Which element of the plane is under a tap. */
static int64_t element_at(const struct oz_window *window, const struct spot *spot, int64_t k0,
                          int64_t k1, int64_t k2)
{
    const struct oz_window_axis *axis = window->axis;
    int64_t i0 = spot->start[0] + k0 * axis[0].dilation;
    int64_t i1 = spot->start[1] + k1 * axis[1].dilation;
    return (i0 * axis[1].in + i1) * axis[2].in + spot->start[2] + k2 * axis[2].dilation;
}

/* One tap of the last axis: at which places [first, end) it lies on the input, and the element that
 * it sees at the first of them. Made once for all rows. */
struct reach {
    int64_t first, end, at;
};

static void list_reaches(const struct oz_window_axis *axis, struct reach *reach)
{
    for (int64_t k = 0; k < axis->size; k++) {
        int64_t first, end;
        oz_window_places(axis, k, &first, &end);
        int64_t at = first * axis->stride + k * axis->dilation - axis->front;
        reach[k] = first == end ? (struct reach){0, 0, 0} : (struct reach){first, end, at};
    }
}

/* The first element of the input's row under tap k0, k1. */
static int64_t row_at(const struct oz_window *window, const struct spot *spot, int64_t k0,
                      int64_t k1)
{
    const struct oz_window_axis *axis = window->axis;
    int64_t i0 = spot->start[0] + k0 * axis[0].dilation;
    int64_t i1 = spot->start[1] + k1 * axis[1].dilation;
    return (i0 * axis[1].in + i1) * axis[2].in;
}

static int64_t to_column_major(const struct oz_window *window, int64_t element)
{
    const struct oz_window_axis *axis = window->axis;
    int64_t i2 = element % axis[2].in;
    int64_t i1 = element / axis[2].in % axis[1].in;
    int64_t i0 = element / axis[2].in / axis[1].in;
    return i0 + axis[0].in * (i1 + axis[1].in * i2);
}

/* The greatest of each window and its place on the plane: the first of the greatest, where a NaN is
 * greater than all. */
#define ARGMAX_PLANE(name, type)                                                                   \
    static void argmax_plane_##name(const struct oz_window *window, const type *restrict x,        \
                                    type *restrict y, int64_t *restrict index)                     \
    {                                                                                              \
        struct spot spot;                                                                          \
        first_spot(window, &spot);                                                                 \
        do {                                                                                       \
            int64_t best = element_at(window, &spot, spot.first[0], spot.first[1], spot.first[2]); \
            FOR_TAP_ROWS(&spot)                                                                    \
            for (int64_t k2 = spot.first[2]; k2 < spot.end[2]; k2++) {                             \
                int64_t at = element_at(window, &spot, k0, k1, k2);                                \
                if (x[at] > x[best] || (x[at] != x[at] && x[best] == x[best])) best = at;          \
            }                                                                                      \
            *y++ = x[best];                                                                        \
            *index++ = best;                                                                       \
        } while (next_spot(window, &spot, 2));                                                     \
    }

/* The same without the places, for whole rows of windows at a time. */
#define MAX_PLANE(name, type, lowest)                                                              \
    /* Without a branch, for vectors. */                                                           \
    static inline type greater_##name(type x, type y) { return (x > y) | (x != x) ? x : y; }       \
    static void max_row_##name(int64_t n, const type *restrict x, int64_t step, type *restrict y)  \
    {                                                                                              \
        if (step == 1)                                                                             \
            for (int64_t i = 0; i < n; i++) y[i] = greater_##name(x[i], y[i]);                     \
        else if (step == 2)                                                                        \
            for (int64_t i = 0; i < n; i++) y[i] = greater_##name(x[2 * i], y[i]);                 \
        else                                                                                       \
            for (int64_t i = 0; i < n; i++) y[i] = greater_##name(x[i * step], y[i]);              \
    }                                                                                              \
    static void max_plane_##name(const struct oz_window *window, const struct reach *reach,        \
                                 const type *restrict x, type *restrict y)                         \
    {                                                                                              \
        struct spot spot;                                                                          \
        const int64_t step = window->axis[2].stride, n = window->axis[2].out;                      \
        first_spot(window, &spot);                                                                 \
        do {                                                                                       \
            for (int64_t i = 0; i < n; i++) y[i] = lowest;                                         \
            FOR_TAP_ROWS(&spot)                                                                    \
            {                                                                                      \
                const type *row = x + row_at(window, &spot, k0, k1);                               \
                for (int64_t k = 0; k < window->axis[2].size; k++)                                 \
                    max_row_##name(reach[k].end - reach[k].first, row + reach[k].at, step,         \
                                   y + reach[k].first);                                            \
            }                                                                                      \
            y += n;                                                                                \
        } while (next_spot(window, &spot, 1));                                                     \
    }
#define MAX(name, type, lowest) ARGMAX_PLANE(name, type) MAX_PLANE(name, type, lowest)
MAX(f32, float, -INFINITY)
MAX(f64, double, -INFINITY)
MAX(u8, uint8_t, 0)
MAX(i8, int8_t, INT8_MIN)
#undef MAX
#undef MAX_PLANE
#undef ARGMAX_PLANE

/* How many taps of the window along axis d count: those on the input, or with padding, but not what
 * ceil_mode adds behind it. */
static double count_along(const struct oz_window_axis *axis, int64_t place, bool include_pad)
{
    if (include_pad) {
        int64_t start = place * axis->stride - axis->front;
        int64_t n = oz_div_up(axis->in + axis->end - start, axis->dilation);
        return (double)OZ_MIN(axis->size, n);
    }
    int64_t first, end;
    oz_window_taps(axis, place, &first, &end);
    return (double)(end - first);
}

/* sum[places along the last axis] is scratch memory. */
#define AVERAGE_PLANE(name, type)                                                                  \
    static void add_row_##name(int64_t n, const type *restrict x, int64_t step,                    \
                               double *restrict sum)                                               \
    {                                                                                              \
        if (step == 1)                                                                             \
            for (int64_t i = 0; i < n; i++) sum[i] += (double)x[i];                                \
        else                                                                                       \
            for (int64_t i = 0; i < n; i++) sum[i] += (double)x[i * step];                         \
    }                                                                                              \
    static void average_plane_##name(const struct oz_window *window, const struct reach *reach,    \
                                     bool include_pad, const type *restrict x,                     \
                                     double *restrict sum, type *restrict y)                       \
    {                                                                                              \
        const struct oz_window_axis *axis = window->axis;                                          \
        struct spot spot;                                                                          \
        const int64_t n = axis[2].out;                                                             \
        first_spot(window, &spot);                                                                 \
        do {                                                                                       \
            for (int64_t i = 0; i < n; i++) sum[i] = 0.0;                                          \
            FOR_TAP_ROWS(&spot)                                                                    \
            {                                                                                      \
                const type *row = x + row_at(window, &spot, k0, k1);                               \
                for (int64_t k = 0; k < axis[2].size; k++)                                         \
                    add_row_##name(reach[k].end - reach[k].first, row + reach[k].at,               \
                                   axis[2].stride, sum + reach[k].first);                          \
            }                                                                                      \
            double count = count_along(&axis[0], spot.place[0], include_pad) *                     \
                           count_along(&axis[1], spot.place[1], include_pad);                      \
            for (int64_t i = 0; i < n; i++)                                                        \
                y[i] = (type)(sum[i] / (count * count_along(&axis[2], i, include_pad)));           \
            y += n;                                                                                \
        } while (next_spot(window, &spot, 1));                                                     \
    }
AVERAGE_PLANE(f32, float)
AVERAGE_PLANE(f64, double)
#undef AVERAGE_PLANE

static enum oz_status max_pool_compile(struct oz_net *net, struct oz_node *node,
                                       struct oz_error *err)
{
    struct pool *pool = oz_node_state(net, node, sizeof *pool);
    if (!pool) return oz_no_memory(err);
    OZ_TRY(oz_window_compile(node, node->opset >= 10, &pool->form, err));
    if (node->opset >= 8)
        OZ_TRY(oz_attr_bool(node, "storage_order", false, &pool->column_major, err));
    if (node->opset >= 10)
        OZ_TRY(oz_attr_bool(node, "ceil_mode", false, &pool->form.ceil_mode, err));
    return OZ_OK;
}

static enum oz_status average_pool_compile(struct oz_net *net, struct oz_node *node,
                                           struct oz_error *err)
{
    struct pool *pool = oz_node_state(net, node, sizeof *pool);
    if (!pool) return oz_no_memory(err);
    OZ_TRY(oz_window_compile(node, node->opset >= 19, &pool->form, err));
    OZ_TRY(oz_attr_bool(node, "count_include_pad", false, &pool->count_include_pad, err));
    if (node->opset >= 10)
        OZ_TRY(oz_attr_bool(node, "ceil_mode", false, &pool->form.ceil_mode, err));
    return OZ_OK;
}

/* Memory for a tap each. Taps beyond the input cost time and give nothing, so no more of them are
 * served than any real pool has. */
static enum oz_status take_reaches(struct oz_exec *exec, const struct oz_node *node,
                                   const struct oz_window *window, struct reach **ret_reach,
                                   struct oz_error *err)
{
    const struct oz_window_axis *axis = &window->axis[2];
    void *memory;
    if (axis->size > axis->in + TAPS_BEYOND_MAX)
        OZ_FAIL(err, OZ_MODEL, "the window has %lld taps on an axis of %lld; %d more are served",
                (long long)axis->size, (long long)axis->in, TAPS_BEYOND_MAX);
    OZ_TRY(oz_exec_scratch(exec, node, (size_t)axis->size * sizeof **ret_reach, &memory, err));
    *ret_reach = memory;
    return OZ_OK;
}

static enum oz_status max_pool_run(struct oz_exec *exec, const struct oz_node *node,
                                   struct oz_error *err)
{
    const struct pool *pool = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    bool has_indices = oz_exec_is_wanted(node, 1);
    struct oz_tensor *y, *indices = NULL;
    struct oz_window window;
    struct reach *reach = NULL;
    int64_t dim[OZ_RANK_MAX];
    if (!oz_dtype_is_float(x->dtype) && x->dtype != OZ_DTYPE_U8 && x->dtype != OZ_DTYPE_I8)
        OZ_FAIL(err, OZ_MODEL, "the input is %s; float, double, uint8 and int8 are served",
                oz_dtype_word(x->dtype));
    OZ_TRY(oz_window_fit(&pool->form, x, NULL, &window, err));
    oz_window_dims(&window, x->dim[0], x->dim[1], dim);
    OZ_TRY(oz_exec_out(exec, node, 0, x->dtype, x->rank, dim, &y, err));
    if (has_indices) OZ_TRY(oz_exec_out(exec, node, 1, OZ_DTYPE_I64, x->rank, dim, &indices, err));
    if (y->n == 0) return OZ_OK;
    OZ_TRY(take_reaches(exec, node, &window, &reach, err));
    OZ_TRY(refuse_empty_windows(&window, err));
    if (!y->data) return OZ_OK;
    oz_window_count(&window);
    list_reaches(&window.axis[2], reach);
    int64_t n_planes = x->dim[0] * x->dim[1];
    for (int64_t plane = 0; plane < n_planes; plane++) {
        int64_t from = plane * window.in_count, to = plane * window.out_count;
        int64_t *index = has_indices ? indices->i64 + to : NULL;
        switch (x->dtype) {
#define PLANE(name)                                                                                \
    if (index)                                                                                     \
        argmax_plane_##name(&window, x->name + from, y->name + to, index);                         \
    else                                                                                           \
        max_plane_##name(&window, reach, x->name + from, y->name + to);
        case OZ_DTYPE_F32: PLANE(f32) break;
        case OZ_DTYPE_F64: PLANE(f64) break;
        case OZ_DTYPE_U8: PLANE(u8) break;
        default: PLANE(i8)
#undef PLANE
        }
        for (int64_t i = 0; index && i < window.out_count; i++)
            index[i] = from + (pool->column_major ? to_column_major(&window, index[i]) : index[i]);
    }
    return OZ_OK;
}

static enum oz_status need_float(const struct oz_tensor *x, struct oz_error *err)
{
    if (!oz_dtype_is_float(x->dtype))
        OZ_FAIL(err, OZ_MODEL, "the input is %s; float and double are served",
                oz_dtype_word(x->dtype));
    return OZ_OK;
}

static enum oz_status average_pool_run(struct oz_exec *exec, const struct oz_node *node,
                                       struct oz_error *err)
{
    const struct pool *pool = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    struct oz_tensor *y;
    struct oz_window window;
    int64_t dim[OZ_RANK_MAX];
    struct reach *reach = NULL;
    void *sum;
    OZ_TRY(need_float(x, err));
    OZ_TRY(oz_window_fit(&pool->form, x, NULL, &window, err));
    oz_window_dims(&window, x->dim[0], x->dim[1], dim);
    OZ_TRY(oz_exec_out(exec, node, 0, x->dtype, x->rank, dim, &y, err));
    if (y->n == 0) return OZ_OK;
    OZ_TRY(take_reaches(exec, node, &window, &reach, err));
    OZ_TRY(oz_exec_scratch(exec, node, (size_t)window.axis[2].out * sizeof(double), &sum, err));
    if (!pool->count_include_pad) OZ_TRY(refuse_empty_windows(&window, err));
    if (!y->data) return OZ_OK;
    oz_window_count(&window);
    list_reaches(&window.axis[2], reach);
    int64_t n_planes = x->dim[0] * x->dim[1];
    for (int64_t plane = 0; plane < n_planes; plane++) {
        int64_t from = plane * window.in_count, to = plane * window.out_count;
        if (x->dtype == OZ_DTYPE_F32)
            average_plane_f32(&window, reach, pool->count_include_pad, x->f32 + from, sum,
                              y->f32 + to);
        else
            average_plane_f64(&window, reach, pool->count_include_pad, x->f64 + from, sum,
                              y->f64 + to);
    }
    return OZ_OK;
}

#define GLOBAL_PLANES(name, type)                                                                  \
    static void global_average_##name(const type *restrict x, int64_t n_planes, int64_t n_each,    \
                                      type *restrict y)                                            \
    {                                                                                              \
        for (int64_t plane = 0; plane < n_planes; plane++) {                                       \
            double sum = oz_sum_##name(x + plane * n_each, n_each);                                \
            y[plane] = (type)(sum / (double)n_each);                                               \
        }                                                                                          \
    }                                                                                              \
    static void global_max_##name(const type *restrict x, int64_t n_planes, int64_t n_each,        \
                                  type *restrict y)                                                \
    {                                                                                              \
        for (int64_t plane = 0; plane < n_planes; plane++) {                                       \
            type best = x[plane * n_each];                                                         \
            for (int64_t i = 1; i < n_each; i++) {                                                 \
                type v = x[plane * n_each + i];                                                    \
                if (v > best || isnan(v)) best = v;                                                \
            }                                                                                      \
            y[plane] = best;                                                                       \
        }                                                                                          \
    }
GLOBAL_PLANES(f32, float)
GLOBAL_PLANES(f64, double)
#undef GLOBAL_PLANES

static enum oz_status global_run(struct oz_exec *exec, const struct oz_node *node, bool is_max,
                                 struct oz_error *err)
{
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    struct oz_tensor *y;
    int64_t dim[OZ_RANK_MAX];
    OZ_TRY(need_float(x, err));
    if (x->rank < 2) OZ_FAIL(err, OZ_MODEL, "the input has rank %u; 2 is the least", x->rank);
    for (size_t d = 0; d < x->rank; d++) dim[d] = d < 2 ? x->dim[d] : 1;
    OZ_TRY(oz_exec_out(exec, node, 0, x->dtype, x->rank, dim, &y, err));
    if (y->n == 0) return OZ_OK;
    if (x->n == 0) OZ_FAIL(err, OZ_MODEL, "the input's spatial axes have no elements");
    if (!y->data) return OZ_OK;
    int64_t n_each = x->n / y->n;
    if (x->dtype == OZ_DTYPE_F32)
        (is_max ? global_max_f32 : global_average_f32)(x->f32, y->n, n_each, y->f32);
    else
        (is_max ? global_max_f64 : global_average_f64)(x->f64, y->n, n_each, y->f64);
    return OZ_OK;
}

static enum oz_status global_average_run(struct oz_exec *exec, const struct oz_node *node,
                                         struct oz_error *err)
{
    return global_run(exec, node, false, err);
}

static enum oz_status global_max_run(struct oz_exec *exec, const struct oz_node *node,
                                     struct oz_error *err)
{
    return global_run(exec, node, true, err);
}

const struct oz_op oz_ops_pool[] = {
    {"AveragePool", OZ_DOMAIN_ONNX, 7, 1, 1, 1, 1, average_pool_compile, NULL, average_pool_run},
    {"GlobalAveragePool", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, NULL, NULL, global_average_run},
    {"GlobalMaxPool", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 1, NULL, NULL, global_max_run},
    {"MaxPool", OZ_DOMAIN_ONNX, 1, 1, 1, 1, 2, max_pool_compile, NULL, max_pool_run},
    {NULL},
};
