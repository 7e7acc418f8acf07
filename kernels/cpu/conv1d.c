#include "kernels/cpu/conv1d.h"
#include <string.h>

static size_t gcd(size_t a, size_t b)
{
    while (b) {
        size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static size_t up_to(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

void oz_conv1d_plan(const struct oz_conv1d *s, struct oz_conv1d_plan *ret_plan)
{
    size_t period = s->stride / gcd(s->stride, s->dilation);
    struct oz_conv1d_plan p = {.chain = s->c_in / s->groups * s->n_taps, .n_side = 1};
    p.n_slots = OZ_MIN(period, s->n_taps);
    p.plane = (s->n_taps - 1) * s->dilation / s->stride + up_to(s->w_out, OZ_CONV1D_LANES_MAX);
    if (s->w_out && s->w_out < OZ_CONV1D_LANES_MAX)
        p.n_side = OZ_MIN(OZ_CONV1D_COLUMNS_MAX / s->w_out, s->n_items);
    p.data = up_to(p.chain * sizeof(size_t), 64);
    *ret_plan = p;
}

/* Never less for a larger shape, so that memory planned for the largest does for all. */
size_t oz_conv1d_scratch_bytes(const struct oz_conv1d *s)
{
    size_t channels = s->c_in / s->groups, reach, chain, chain_bytes, planes, columns;
    if (__builtin_mul_overflow(s->n_taps - 1, s->dilation, &reach) ||
        __builtin_mul_overflow(channels, s->n_taps, &chain) ||
        __builtin_mul_overflow(chain, sizeof(size_t), &chain_bytes) || chain_bytes > SIZE_MAX / 4 ||
        s->w_out > SIZE_MAX / 4 || reach > SIZE_MAX / 4 || s->c_out > SIZE_MAX / 4)
        return SIZE_MAX;
    size_t plane = reach / s->stride + up_to(s->w_out, OZ_CONV1D_LANES_MAX);
    size_t slots = OZ_MIN(s->stride / gcd(s->stride, s->dilation), s->n_taps);
    size_t some = OZ_MIN(s->n_items, (size_t)OZ_CONV1D_COLUMNS_MAX) * OZ_CONV1D_LANES_MAX;
    some = OZ_MIN(some, (size_t)OZ_CONV1D_COLUMNS_MAX);
    if (__builtin_mul_overflow(channels * slots, plane, &planes) ||
        __builtin_mul_overflow(chain + s->c_out / s->groups, some, &columns) ||
        planes > SIZE_MAX / 16 || columns > SIZE_MAX / 16)
        return SIZE_MAX;
    return up_to(chain_bytes, 64) + OZ_MAX(planes, columns) * sizeof(float);
}

void oz_conv1d_offsets(const struct oz_conv1d *s, const struct oz_conv1d_plan *p,
                       size_t *restrict offset)
{
    for (size_t channel = 0; channel < s->c_in / s->groups; channel++)
        for (size_t tap = 0; tap < s->n_taps; tap++)
            *offset++ = (channel * p->n_slots + tap % p->n_slots) * p->plane +
                        tap * s->dilation / s->stride;
}

/* to[i] = x[from + i * step] for i < n, zero outside of 0 .. w - 1. `from` is a place in the padded
 * input, which begins `pad` before x. */
static void copy_steps(const float *restrict x, size_t w, size_t pad, size_t from, size_t step,
                       size_t n, float *restrict to)
{
    size_t first = from >= pad ? 0 : OZ_MIN(n, (pad - from + step - 1) / step), end = first;
    if (w + pad > from) end = OZ_MIN(n, (w + pad - from + step - 1) / step);
    if (end < first) end = first;
    for (size_t i = 0; i < first; i++) to[i] = 0;
    const float *at = x + (from + first * step - pad);
    if (step == 1 && end > first)
        memcpy(to + first, at, (end - first) * sizeof *to);
    else
        for (size_t i = first; i < end; i++) to[i] = at[(i - first) * step];
    for (size_t i = end; i < n; i++) to[i] = 0;
}

void oz_conv1d_planes(const struct oz_conv1d *s, const struct oz_conv1d_plan *p,
                      const float *restrict x, float *restrict plane)
{
    for (size_t channel = 0; channel < s->c_in / s->groups; channel++, x += s->w_in)
        for (size_t slot = 0; slot < p->n_slots; slot++, plane += p->plane)
            copy_steps(x, s->w_in, s->pad_left, slot * s->dilation % s->stride, s->stride, p->plane,
                       plane);
}

void oz_conv1d_unfold(const struct oz_conv1d *s, size_t n_side, size_t side,
                      const float *restrict x, float *restrict column)
{
    column += side * s->w_out;
    for (size_t channel = 0; channel < s->c_in / s->groups; channel++, x += s->w_in)
        for (size_t tap = 0; tap < s->n_taps; tap++, column += n_side * s->w_out)
            copy_steps(x, s->w_in, s->pad_left, tap * s->dilation, s->stride, s->w_out, column);
}
