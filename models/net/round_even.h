/* To whole numbers: nearest (half to even), down, up. As the C library's, but loops over them
 * vectorise without the instructions of SSE4. NaN, infinities and the sign of zero stay.
 * How: a float of 2^23 or more (double: 2^52) is whole; adding that much to a smaller one leaves no
 * room for a fraction, so the addition rounds it, in the default mode, half to even. */
#ifndef OZ_MODELS_NET_ROUND_EVEN_H
#define OZ_MODELS_NET_ROUND_EVEN_H
#include <math.h>

static inline float oz_round_even_f32(float v)
{
    const float much = copysignf(0x1p23f, v);
    return fabsf(v) < 0x1p23f ? copysignf((v + much) - much, v) : v;
}

static inline double oz_round_even_f64(double v)
{
    const double much = copysign(0x1p52, v);
    return fabs(v) < 0x1p52 ? copysign((v + much) - much, v) : v;
}

static inline float oz_floor_f32(float v)
{
    const float near = oz_round_even_f32(v);
    return near > v ? near - 1.0f : near;
}

static inline double oz_floor_f64(double v)
{
    const double near = oz_round_even_f64(v);
    return near > v ? near - 1.0 : near;
}

/* -0.7 becomes -0: the sum alone would give +0. */
static inline float oz_ceil_f32(float v)
{
    const float near = oz_round_even_f32(v);
    return copysignf(near < v ? near + 1.0f : near, v);
}

static inline double oz_ceil_f64(double v)
{
    const double near = oz_round_even_f64(v);
    return copysign(near < v ? near + 1.0 : near, v);
}
#endif
