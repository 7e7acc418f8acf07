#include "models/net/conv.h"

/* For every output plane, channel and tap one multiple of a part of the input is added, so the sum
 * of an element runs over channels, then taps. */

/* One tap of a window, and the places at which it lies on the plane that the window slides over. */
struct tap {
    int64_t tap[OZ_WINDOW_AXES];
    int64_t first[OZ_WINDOW_AXES], end[OZ_WINDOW_AXES]; /* places */
    int64_t start[OZ_WINDOW_AXES];                      /* on the plane, at place 0 */
};

static void move_to(const struct oz_window *window, size_t d, int64_t number, struct tap *tap)
{
    const struct oz_window_axis *axis = &window->axis[d];
    tap->tap[d] = number;
    tap->start[d] = number * axis->dilation - axis->front;
    oz_window_places(axis, number, &tap->first[d], &tap->end[d]);
}

static void first_tap(const struct oz_window *window, struct tap *tap)
{
    for (size_t d = 0; d < OZ_WINDOW_AXES; d++) move_to(window, d, 0, tap);
}

/* The next in the order of the weights; false: that was the last. */
static bool next_tap(const struct oz_window *window, struct tap *tap)
{
    for (size_t d = OZ_WINDOW_AXES; d-- > 0;) {
        int64_t next = tap->tap[d] + 1;
        bool carries = next == window->axis[d].size;
        move_to(window, d, carries ? 0 : next, tap);
        if (!carries) return true;
    }
    return false;
}

/* The row p0, p1 of the tap's places: where it begins on the plane, and among the places. */
static int64_t row_on_plane(const struct oz_window *window, const struct tap *tap, int64_t p0,
                            int64_t p1)
{
    const struct oz_window_axis *axis = window->axis;
    int64_t i0 = tap->start[0] + p0 * axis[0].stride, i1 = tap->start[1] + p1 * axis[1].stride;
    return (i0 * axis[1].in + i1) * axis[2].in + tap->start[2] + tap->first[2] * axis[2].stride;
}

static int64_t row_of_places(const struct oz_window *window, const struct tap *tap, int64_t p0,
                             int64_t p1)
{
    return (p0 * window->axis[1].out + p1) * window->axis[2].out + tap->first[2];
}

/* Adds to one output plane what one input plane and its weights give. */
static void add_plane(const struct oz_window *window, bool is_transposed,
                      const double *restrict weight, const double *restrict x, double *restrict y)
{
    const int64_t stride = window->axis[2].stride;
    struct tap tap;
    first_tap(window, &tap);
    do {
        const double w = *weight++;
        const int64_t n = tap.end[2] - tap.first[2];
        for (int64_t p0 = tap.first[0]; n && p0 < tap.end[0]; p0++)
            for (int64_t p1 = tap.first[1]; p1 < tap.end[1]; p1++) {
                int64_t on_plane = row_on_plane(window, &tap, p0, p1);
                int64_t place = row_of_places(window, &tap, p0, p1);
                if (is_transposed)
                    for (int64_t i = 0; i < n; i++) y[on_plane + i * stride] += w * x[place + i];
                else
                    for (int64_t i = 0; i < n; i++) y[place + i] += w * x[on_plane + i * stride];
            }
    } while (next_tap(window, &tap));
}

void oz_conv_f64(const struct oz_conv_run *run)
{
    const struct oz_window *window = &run->window;
    int64_t n_in = run->n_in, n_out = run->n_out;
    int64_t n_x = run->is_transposed ? window->out_count : window->in_count;
    int64_t n_y = run->is_transposed ? window->in_count : window->out_count;
    double *y = run->y->f64;
    for (int64_t plane = 0; plane < run->n_rows * run->n_groups * n_out; plane++, y += n_y) {
        int64_t group = plane / n_out % run->n_groups, m = plane % n_out;
        const double *x = run->x->f64 + plane / n_out * n_in * n_x;
        double bias = run->bias ? run->bias->f64[group * n_out + m] : 0.0;
        for (int64_t i = 0; i < n_y; i++) y[i] = bias;
        for (int64_t c = 0; c < n_in; c++, x += n_x) {
            int64_t pair = run->is_transposed ? (group * n_in + c) * n_out + m
                                              : (group * n_out + m) * n_in + c;
            add_plane(window, run->is_transposed, run->weight->f64 + pair * run->n_taps, x, y);
        }
    }
}
