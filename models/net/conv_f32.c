#include "models/net/conv.h"
#include <string.h>

/* A convolution is a product of the weights with the input as the taps see it: one row for every
 * channel and tap, one column for every place. Only so many columns are made at once as fit into
 * the cache. A transposed convolution is the product of its weights with the input itself; its rows
 * (output channel and tap) are then added where the taps lie.
 * How the columns are cut depends on one row's sizes only, never on how many rows there are. */

enum { BLOCK_BYTES = 1 << 18, COLUMNS_STEP = 16 };

/* A stretch of places along the last axis: [first, first + n) of the row p0, p1. */
struct stretch {
    int64_t p0, p1, first, n;
};

static int64_t rows_of(const struct oz_conv_run *run)
{
    return (run->is_transposed ? run->n_out : run->n_in) * run->n_taps;
}

static int64_t columns_at_once(const struct oz_conv_run *run)
{
    int64_t n = BLOCK_BYTES / (int64_t)sizeof(float) / rows_of(run);
    n = OZ_MAX(n / COLUMNS_STEP * COLUMNS_STEP, COLUMNS_STEP);
    return OZ_MIN(n, run->window.out_count);
}

size_t oz_conv_f32_scratch_bytes(const struct oz_conv_run *run)
{
    size_t n = (size_t)rows_of(run) * (size_t)columns_at_once(run);
    if (run->is_transposed) n += (size_t)run->weight->n;
    return n * sizeof(float);
}

static struct stretch stretch_at(const struct oz_window *window, int64_t place, int64_t end)
{
    int64_t along = window->axis[2].out, row = place / along;
    struct stretch stretch = {row / window->axis[1].out, row % window->axis[1].out, place % along,
                              0};
    stretch.n = OZ_MIN(along - stretch.first, end - place);
    return stretch;
}

/* Where tap k0, k1 of the stretch lies on a plane: the row's first element, or NULL. */
static bool row_under(const struct oz_window *window, const struct stretch *stretch, int64_t k0,
                      int64_t k1, int64_t *ret_row)
{
    const struct oz_window_axis *a = &window->axis[0], *b = &window->axis[1];
    int64_t i0 = stretch->p0 * a->stride - a->front + k0 * a->dilation;
    int64_t i1 = stretch->p1 * b->stride - b->front + k1 * b->dilation;
    *ret_row = (i0 * b->in + i1) * window->axis[2].in;
    return i0 >= 0 && i0 < a->in && i1 >= 0 && i1 < b->in;
}

/* Which of the stretch's places [*ret_from, *ret_to) have tap k2 on the axis, and the element under
 * it at the stretch's first place. */
static int64_t clip_stretch(const struct oz_window_axis *axis, const struct stretch *stretch,
                            int64_t k2, int64_t *ret_from, int64_t *ret_to)
{
    int64_t from, to;
    oz_window_places(axis, k2, &from, &to);
    *ret_from = OZ_MIN(OZ_MAX(from - stretch->first, 0), stretch->n);
    *ret_to = OZ_MAX(OZ_MIN(to - stretch->first, stretch->n), *ret_from);
    return stretch->first * axis->stride - axis->front + k2 * axis->dilation;
}

/* One row of the columns [place, end): what one tap sees of one channel. */
static void see(const struct oz_window *window, const float *restrict x, const int64_t tap[3],
                int64_t place, int64_t end, float *restrict to)
{
    const struct oz_window_axis *axis = &window->axis[2];
    while (place < end) {
        struct stretch stretch = stretch_at(window, place, end);
        int64_t row, from, until;
        int64_t start = clip_stretch(axis, &stretch, tap[2], &from, &until);
        if (!row_under(window, &stretch, tap[0], tap[1], &row)) from = until = stretch.n;
        for (int64_t i = 0; i < from; i++) to[i] = 0.0f;
        if (axis->stride == 1 && until > from)
            memcpy(to + from, x + row + start + from, (size_t)(until - from) * sizeof *to);
        else
            for (int64_t i = from; i < until; i++) to[i] = x[row + start + i * axis->stride];
        for (int64_t i = until; i < stretch.n; i++) to[i] = 0.0f;
        to += stretch.n;
        place += stretch.n;
    }
}

/* Adds one row of a transposed convolution's columns to the output plane. */
static void spread(const struct oz_window *window, const float *restrict column,
                   const int64_t tap[3], int64_t place, int64_t end, float *restrict y)
{
    const struct oz_window_axis *axis = &window->axis[2];
    while (place < end) {
        struct stretch stretch = stretch_at(window, place, end);
        int64_t row, from, until;
        int64_t start = clip_stretch(axis, &stretch, tap[2], &from, &until);
        if (row_under(window, &stretch, tap[0], tap[1], &row)) {
            float *to = y + row + start;
            for (int64_t i = from; i < until; i++) to[i * axis->stride] += column[i];
        }
        column += stretch.n;
        place += stretch.n;
    }
}

/* Counts up the tap, the last axis first. */
static void next_tap(const struct oz_window *window, int64_t tap[3])
{
    for (size_t d = OZ_WINDOW_AXES; d-- > 0;) {
        if (++tap[d] < window->axis[d].size) return;
        tap[d] = 0;
    }
}

static void fill_bias(const struct oz_conv_run *run, int64_t group, int64_t n_each, float *y)
{
    for (int64_t m = 0; m < run->n_out; m++) {
        float bias = run->bias ? run->bias->f32[group * run->n_out + m] : 0.0f;
        for (int64_t i = 0; i < n_each; i++) *y++ = bias;
    }
}

/* One group of one row. */
static void convolve(const struct oz_conv_run *run, int64_t group, const float *x,
                     const struct oz_activation *act, float *columns, float *y)
{
    const struct oz_window *window = &run->window;
    int64_t n_rows = rows_of(run), at_once = columns_at_once(run), n_places = window->out_count;
    const float *weight = run->weight->f32 + group * run->n_out * n_rows;
    fill_bias(run, group, n_places, y);
    for (int64_t place = 0, n; place < n_places; place += n) {
        n = OZ_MIN(at_once, n_places - place);
        float *to = columns;
        for (int64_t c = 0; c < run->n_in; c++) {
            int64_t tap[OZ_WINDOW_AXES] = {0};
            for (int64_t k = 0; k < run->n_taps; k++, next_tap(window, tap), to += n)
                see(window, x + c * window->in_count, tap, place, place + n, to);
        }
        oz_net_kernels()->dense_f32_plain((size_t)run->n_out, (size_t)n, (size_t)n_rows, weight,
                                          (size_t)n_rows, columns, (size_t)n, y + place,
                                          (size_t)n_places, act, y + place, (size_t)n_places);
    }
}

/* The same of a transposed one; weight[n_out taps x n_in]. The sum of an element begins with the
 * bias and adds, tap after tap, sums over the channels. */
static void convolve_transposed(const struct oz_conv_run *run, int64_t group, const float *x,
                                const float *weight, const struct oz_activation *act,
                                float *columns, float *y)
{
    const struct oz_window *window = &run->window;
    int64_t n_rows = rows_of(run), at_once = columns_at_once(run), n_places = window->out_count;
    int64_t n_y = window->in_count;
    fill_bias(run, group, n_y, y);
    for (int64_t place = 0, n; place < n_places; place += n) {
        n = OZ_MIN(at_once, n_places - place);
        oz_net_kernels()->dense_f32_plain((size_t)n_rows, (size_t)n, (size_t)run->n_in, weight,
                                          (size_t)run->n_in, x + place, (size_t)n_places, NULL, 0,
                                          NULL, columns, (size_t)n);
        const float *from = columns;
        for (int64_t m = 0; m < run->n_out; m++) {
            int64_t tap[OZ_WINDOW_AXES] = {0};
            for (int64_t k = 0; k < run->n_taps; k++, next_tap(window, tap), from += n)
                spread(window, from, tap, place, place + n, y + m * n_y);
        }
    }
    oz_net_kernels()->act_f32_array((size_t)(run->n_out * n_y), y, act, y);
}

/* [groups x n_in x n_out taps] to [groups x n_out taps x n_in] */
static void transpose_weights(const struct oz_conv_run *run, float *to)
{
    int64_t n_rows = rows_of(run);
    for (int64_t group = 0; group < run->n_groups; group++) {
        const float *from = run->weight->f32 + group * run->n_in * n_rows;
        for (int64_t row = 0; row < n_rows; row++)
            for (int64_t c = 0; c < run->n_in; c++) *to++ = from[c * n_rows + row];
    }
}

void oz_conv_f32(const struct oz_conv_run *run, const struct oz_activation *act, void *scratch)
{
    const struct oz_window *window = &run->window;
    int64_t n_x = run->n_in * (run->is_transposed ? window->out_count : window->in_count);
    int64_t n_y = run->n_out * (run->is_transposed ? window->in_count : window->out_count);
    int64_t n_weights = run->n_in * rows_of(run); /* of a transposed group */
    float *columns = scratch, *weights = columns + rows_of(run) * columns_at_once(run);
    if (run->is_transposed) transpose_weights(run, weights);
    for (int64_t i = 0; i < run->n_rows * run->n_groups; i++) {
        const float *x = run->x->f32 + i * n_x;
        float *y = run->y->f32 + i * n_y;
        int64_t group = i % run->n_groups;
        if (run->is_transposed)
            convolve_transposed(run, group, x, weights + group * n_weights, act, columns, y);
        else
            convolve(run, group, x, act, columns, y);
    }
}
