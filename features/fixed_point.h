/* Exact sums of doubles: 192-bit two's complement fixed point with lsb 2^-96, little-endian limbs.
 * A double becomes fixed point once and without loss, addition is three add-with-carry, and reading
 * rounds once to the nearest double, ties to even. So a sum does not depend on the order of its
 * values, what was added can be taken away again, and the result is the correctly rounded sum.
 * Limits: |v| < 2^94; below 2^-44 a value is first rounded to a multiple of 2^-96 (oz_quantise(), a
 * function of the value alone). A total whose magnitude reaches 2^95 wraps. */
#ifndef OZ_FEATURES_FIXED_POINT_H
#define OZ_FEATURES_FIXED_POINT_H
#include <math.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif
#include "base/base.h"

enum { OZ_FIX_LIMBS = 3, OZ_FIX_SCALE = 96 };

static inline uint64_t oz_bits_of(double v)
{
    uint64_t u;
    memcpy(&u, &v, 8);
    return u;
}

static inline double oz_double_of(uint64_t u)
{
    double v;
    memcpy(&v, &u, 8);
    return v;
}

/* The value as a row keeps it: NaN for what has no place (infinities, 2^94 and beyond), -0 is 0. */
static inline double oz_quantise(double v)
{
    if (OZ_UNLIKELY(!(fabs(v) < 0x1p94))) return NAN;
    if (OZ_UNLIKELY(fabs(v) < 0x1p-44)) v = nearbyint(v * 0x1p96) * 0x1p-96;
    return v + 0.0;
}

static inline unsigned char oz_add_carry(unsigned char carry, uint64_t a, uint64_t b, uint64_t *ret)
{
#ifdef __x86_64__
    unsigned long long sum;
    carry = _addcarry_u64(carry, a, b, &sum);
    *ret = sum;
    return carry;
#else
    unsigned __int128 sum = (unsigned __int128)a + b + carry;
    *ret = (uint64_t)sum;
    return (unsigned char)(sum >> 64);
#endif
}

static inline void oz_fix_add(uint64_t *r, const uint64_t *a, const uint64_t *b)
{
    unsigned char c = oz_add_carry(0, a[0], b[0], &r[0]);
    c = oz_add_carry(c, a[1], b[1], &r[1]);
    oz_add_carry(c, a[2], b[2], &r[2]);
}

static inline void oz_fix_sub(uint64_t *r, const uint64_t *a, const uint64_t *b)
{
    unsigned char c = oz_add_carry(1, a[0], ~b[0], &r[0]);
    c = oz_add_carry(c, a[1], ~b[1], &r[1]);
    oz_add_carry(c, a[2], ~b[2], &r[2]);
}

/* Of a quantised value; exact. */
static inline void oz_fix_of(double v, uint64_t *r)
{
    uint64_t b = oz_bits_of(v), neg = b >> 63;
    int e = (int)(b >> 52 & 0x7ff);
    uint64_t m = (b & 0xfffffffffffff) | (uint64_t)(e != 0) << 52;
    int s = e - 1075 + OZ_FIX_SCALE; /* v = m * 2^(s - 96) */
    if (OZ_UNLIKELY(s < 0)) {
        m = s > -64 ? m >> -s : 0;
        s = 0;
    }
    int limb = s >> 6;
    unsigned __int128 x = (unsigned __int128)m << (s & 63);
    uint64_t lo = (uint64_t)x, hi = (uint64_t)(x >> 64), mask = -neg;
    uint64_t w0 = limb == 0 ? lo : 0, w1 = limb == 0 ? hi : limb == 1 ? lo : 0;
    uint64_t w2 = limb == 1 ? hi : limb == 2 ? lo : 0;
    unsigned char c = oz_add_carry((unsigned char)neg, w0 ^ mask, 0, &r[0]);
    c = oz_add_carry(c, w1 ^ mask, 0, &r[1]);
    oz_add_carry(c, w2 ^ mask, 0, &r[2]);
}

/* The nearest double. The top 63 bits, with a sticky last bit for all that lies below them, are
 * rounded by the conversion instruction. */
static inline double oz_fix_round(const uint64_t *a)
{
    static const uint64_t zero[OZ_FIX_LIMBS];
    uint64_t m[OZ_FIX_LIMBS] = {a[0], a[1], a[2]}, sign = a[2] >> 63;
    if (OZ_UNLIKELY(sign)) oz_fix_sub(m, zero, m);
    int k = m[2] ? 2 : m[1] ? 1 : 0;
    if (!m[k]) return 0;
    int lz = __builtin_clzll(m[k]);
    unsigned __int128 x = ((unsigned __int128)m[k] << 64 | (k ? m[k - 1] : 0)) << lz;
    uint64_t top = (uint64_t)(x >> 64), rest = (uint64_t)x | (k == 2 ? m[0] : 0);
    double v = (double)(int64_t)(top >> 1 | (top & 1) | (rest != 0));
    double p = oz_double_of((uint64_t)(1023 + 64 * k - lz + 1 - OZ_FIX_SCALE) << 52);
    return oz_double_of(oz_bits_of(v * p) | sign << 63);
}
#endif
