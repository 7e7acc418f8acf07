/* A vector of one float: what vec_avx2.h and vec_avx512.h are on a machine about which nothing is
 * known. The bodies (*_body.h) are written over these names and included by one file per
 * instruction set; so the scalar functions do the same operations in the same order.
 *
 * oz_vf: OZ_LANES floats; oz_vd: OZ_LANES_F64 doubles; oz_vm: one truth per float. oz_vf_first(n):
 * true in the first n lanes. max and min give the second argument when either is NaN, and round()
 * returns its argument plus OZ_ROUND_MAGIC, so that the integer stands in the low bits. */
#ifndef OZ_KERNELS_CPU_VEC_SCALAR_H
#define OZ_KERNELS_CPU_VEC_SCALAR_H
#include <math.h>
#include <string.h>
#include "kernels/cpu/net_kernels.h"

#define OZ_ISA           scalar
#define OZ_LANES         1
#define OZ_LANES_F64     1
#define OZ_PANEL_VECTORS 4 /* of a full panel of packed weights */

typedef float oz_vf;
typedef bool oz_vm;
typedef double oz_vd;

static inline oz_vm oz_vf_first(size_t n) { return n != 0; }
static inline oz_vf oz_vf_set(float x) { return x; }
static inline oz_vf oz_vf_load(const float *p) { return *p; }
static inline oz_vf oz_vf_load_some(const float *p, oz_vm m) { return m ? *p : 0; }
static inline void oz_vf_store(float *p, oz_vf v) { *p = v; }
static inline void oz_vf_store_some(float *p, oz_vm m, oz_vf v)
{
    if (m) *p = v;
}
static inline oz_vf oz_vf_add(oz_vf a, oz_vf b) { return a + b; }
static inline oz_vf oz_vf_sub(oz_vf a, oz_vf b) { return a - b; }
static inline oz_vf oz_vf_mul(oz_vf a, oz_vf b) { return a * b; }
static inline oz_vf oz_vf_div(oz_vf a, oz_vf b) { return a / b; }
static inline oz_vf oz_vf_fma(oz_vf a, oz_vf b, oz_vf c) { return fmaf(a, b, c); }
static inline oz_vf oz_vf_max(oz_vf a, oz_vf b) { return a > b ? a : b; }
static inline oz_vf oz_vf_min(oz_vf a, oz_vf b) { return a < b ? a : b; }
static inline oz_vm oz_vf_less(oz_vf a, oz_vf b) { return a < b; }
static inline oz_vf oz_vf_select(oz_vm m, oz_vf yes, oz_vf no) { return m ? yes : no; }
static inline oz_vf oz_vf_abs(oz_vf a) { return fabsf(a); }
static inline oz_vf oz_vf_neg(oz_vf a) { return -a; }
/* |a| with the sign of b. */
static inline oz_vf oz_vf_sign_of(oz_vf a, oz_vf b) { return copysignf(a, b); }
/* 2^n for the n = -126 .. 127 that stands in the low bits of `rounded`. */
static inline oz_vf oz_vf_exp2(oz_vf rounded)
{
    uint32_t bits;
    memcpy(&bits, &rounded, sizeof bits);
    bits = (bits << 23) + 0x3f800000u;
    memcpy(&rounded, &bits, sizeof bits);
    return rounded;
}
/* a * 2^n, rounded once, for the n = -252 .. 254 that stands in the low bits of `rounded`. */
static inline oz_vf oz_vf_scale(oz_vf a, oz_vf rounded)
{
    int32_t bits;
    memcpy(&bits, &rounded, sizeof bits);
    int32_t n = (int32_t)((uint32_t)bits << 9) >> 9, half = n >> 1;
    uint32_t first = ((uint32_t)half << 23) + 0x3f800000u;
    uint32_t second = ((uint32_t)(n - half) << 23) + 0x3f800000u;
    float by_first, by_second;
    memcpy(&by_first, &first, sizeof first);
    memcpy(&by_second, &second, sizeof second);
    return a * by_first * by_second;
}

/* Says that v is in a register, so that it is not loaded again for each use. */
static inline oz_vf oz_vf_keep(oz_vf v) { return v; }
/* a[row][0 .. 3] of OZ_LANES rows as four vectors over the rows. */
static inline void oz_vf_columns(const float *a, size_t lda, oz_vf column[4])
{
    (void)lda;
    for (int i = 0; i < 4; i++) column[i] = a[i];
}

static inline oz_vm oz_vd_first(size_t n) { return n != 0; }
static inline oz_vd oz_vd_set(double x) { return x; }
static inline oz_vd oz_vd_load_some(const double *p, oz_vm m) { return m ? *p : 0; }
static inline void oz_vd_store_some(double *p, oz_vm m, oz_vd v)
{
    if (m) *p = v;
}
static inline oz_vd oz_vd_fma(oz_vd a, oz_vd b, oz_vd c) { return fma(a, b, c); }
#endif
