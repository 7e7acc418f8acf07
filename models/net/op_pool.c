#include "models/net/op_tables.h"
#include <math.h>
#include "models/net/net_window.h"

/* Pools look at one plane [spatial axes] of one channel of one row at a time. The global ones take
 * the whole plane, of any rank. A window that lies on padding only has no greatest element and no
 * mean, so it is refused before anything is computed. */

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

/* The next in row-major order; false: that was the last. */
static bool next_spot(const struct oz_window *window, struct spot *spot)
{
    for (size_t d = OZ_WINDOW_AXES; d-- > 0;) {
        int64_t next = spot->place[d] + 1;
        bool carries = next == window->axis[d].out;
        move_to(window, d, carries ? 0 : next, spot);
        if (!carries) return true;
    }
    return false;
}

#define FOR_TAPS(spot)                                                                             \
    for (int64_t k0 = (spot)->first[0]; k0 < (spot)->end[0]; k0++)                                 \
        for (int64_t k1 = (spot)->first[1]; k1 < (spot)->end[1]; k1++)                             \
            for (int64_t k2 = (spot)->first[2]; k2 < (spot)->end[2]; k2++)

/* Which element of the plane is under a tap. */
static int64_t element_at(const struct oz_window *window, const struct spot *spot, int64_t k0,
                          int64_t k1, int64_t k2)
{
    const struct oz_window_axis *axis = window->axis;
    int64_t i0 = spot->start[0] + k0 * axis[0].dilation;
    int64_t i1 = spot->start[1] + k1 * axis[1].dilation;
    return (i0 * axis[1].in + i1) * axis[2].in + spot->start[2] + k2 * axis[2].dilation;
}

static int64_t to_column_major(const struct oz_window *window, int64_t element)
{
    const struct oz_window_axis *axis = window->axis;
    int64_t i2 = element % axis[2].in;
    int64_t i1 = element / axis[2].in % axis[1].in;
    int64_t i0 = element / axis[2].in / axis[1].in;
    return i0 + axis[0].in * (i1 + axis[1].in * i2);
}

/* The first of the greatest; a NaN is greater than all. `index` may be NULL. */
#define MAX_PLANE(name, type, is_nan)                                                              \
    static void max_plane_##name(const struct oz_window *window, const type *restrict x,           \
                                 type *restrict y, int64_t *restrict index)                        \
    {                                                                                              \
        struct spot spot;                                                                          \
        first_spot(window, &spot);                                                                 \
        do {                                                                                       \
            int64_t best = element_at(window, &spot, spot.first[0], spot.first[1], spot.first[2]); \
            FOR_TAPS(&spot)                                                                        \
            {                                                                                      \
                int64_t at = element_at(window, &spot, k0, k1, k2);                                \
                if (x[at] > x[best] || (is_nan(x[at]) && !is_nan(x[best]))) best = at;             \
            }                                                                                      \
            *y++ = x[best];                                                                        \
            if (index) *index++ = best;                                                            \
        } while (next_spot(window, &spot));                                                        \
    }
#define NEVER_NAN(x) false
MAX_PLANE(f32, float, isnan)
MAX_PLANE(f64, double, isnan)
MAX_PLANE(u8, uint8_t, NEVER_NAN)
MAX_PLANE(i8, int8_t, NEVER_NAN)
#undef MAX_PLANE

/* How many taps of a window count, padding included, but not what ceil_mode adds behind it. */
static double count_padded(const struct oz_window *window, const struct spot *spot)
{
    double count = 1.0;
    for (size_t d = 0; d < OZ_WINDOW_AXES; d++) {
        const struct oz_window_axis *axis = &window->axis[d];
        int64_t before_end = oz_div_up(axis->in + axis->end - spot->start[d], axis->dilation);
        count *= (double)OZ_MIN(axis->size, before_end);
    }
    return count;
}

static double count_covered(const struct spot *spot)
{
    double count = 1.0;
    for (size_t d = 0; d < OZ_WINDOW_AXES; d++) count *= (double)(spot->end[d] - spot->first[d]);
    return count;
}

#define AVERAGE_PLANE(name, type)                                                                  \
    static void average_plane_##name(const struct oz_window *window, bool count_include_pad,       \
                                     const type *restrict x, type *restrict y)                     \
    {                                                                                              \
        struct spot spot;                                                                          \
        first_spot(window, &spot);                                                                 \
        do {                                                                                       \
            double sum = 0.0;                                                                      \
            FOR_TAPS(&spot) sum += (double)x[element_at(window, &spot, k0, k1, k2)];               \
            double count = count_include_pad ? count_padded(window, &spot) : count_covered(&spot); \
            *y++ = (type)(sum / count);                                                            \
        } while (next_spot(window, &spot));                                                        \
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

static enum oz_status max_pool_run(struct oz_exec *exec, const struct oz_node *node,
                                   struct oz_error *err)
{
    const struct pool *pool = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    bool has_indices = oz_exec_is_wanted(node, 1);
    struct oz_tensor *y, *indices = NULL;
    struct oz_window window;
    int64_t dim[OZ_RANK_MAX];
    if (!oz_dtype_is_float(x->dtype) && x->dtype != OZ_DTYPE_U8 && x->dtype != OZ_DTYPE_I8)
        OZ_FAIL(err, OZ_MODEL, "the input is %s; float, double, uint8 and int8 are served",
                oz_dtype_word(x->dtype));
    OZ_TRY(oz_window_fit(&pool->form, x, NULL, &window, err));
    oz_window_dims(&window, x->dim[0], x->dim[1], dim);
    OZ_TRY(oz_exec_out(exec, node, 0, x->dtype, x->rank, dim, &y, err));
    if (has_indices) OZ_TRY(oz_exec_out(exec, node, 1, OZ_DTYPE_I64, x->rank, dim, &indices, err));
    if (y->n == 0) return OZ_OK;
    OZ_TRY(refuse_empty_windows(&window, err));
    if (!y->data) return OZ_OK;
    oz_window_count(&window);
    int64_t n_planes = x->dim[0] * x->dim[1];
    for (int64_t plane = 0; plane < n_planes; plane++) {
        int64_t from = plane * window.in_count, to = plane * window.out_count;
        int64_t *index = has_indices ? indices->i64 + to : NULL;
        switch (x->dtype) {
        case OZ_DTYPE_F32: max_plane_f32(&window, x->f32 + from, y->f32 + to, index); break;
        case OZ_DTYPE_F64: max_plane_f64(&window, x->f64 + from, y->f64 + to, index); break;
        case OZ_DTYPE_U8: max_plane_u8(&window, x->u8 + from, y->u8 + to, index); break;
        default: max_plane_i8(&window, x->i8 + from, y->i8 + to, index);
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
    OZ_TRY(need_float(x, err));
    OZ_TRY(oz_window_fit(&pool->form, x, NULL, &window, err));
    oz_window_dims(&window, x->dim[0], x->dim[1], dim);
    OZ_TRY(oz_exec_out(exec, node, 0, x->dtype, x->rank, dim, &y, err));
    if (y->n == 0) return OZ_OK;
    if (!pool->count_include_pad) OZ_TRY(refuse_empty_windows(&window, err));
    if (!y->data) return OZ_OK;
    oz_window_count(&window);
    int64_t n_planes = x->dim[0] * x->dim[1];
    for (int64_t plane = 0; plane < n_planes; plane++) {
        int64_t from = plane * window.in_count, to = plane * window.out_count;
        if (x->dtype == OZ_DTYPE_F32)
            average_plane_f32(&window, pool->count_include_pad, x->f32 + from, y->f32 + to);
        else
            average_plane_f64(&window, pool->count_include_pad, x->f64 + from, y->f64 + to);
    }
    return OZ_OK;
}

#define GLOBAL_PLANES(name, type)                                                                  \
    static void global_average_##name(const type *restrict x, int64_t n_planes, int64_t n_each,    \
                                      type *restrict y)                                            \
    {                                                                                              \
        for (int64_t plane = 0; plane < n_planes; plane++) {                                       \
            double sum = 0.0;                                                                      \
            for (int64_t i = 0; i < n_each; i++) sum += (double)x[plane * n_each + i];             \
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
