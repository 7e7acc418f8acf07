/* Vectors of sixteen floats; the names are explained in vec_scalar.h. A test that
 * builds the same functions for a machine without AVX-512 names OZ_ISA itself, and brings the
 * intrinsics. */
#ifndef OZ_KERNELS_CPU_VEC_AVX512_H
#define OZ_KERNELS_CPU_VEC_AVX512_H
#ifndef OZ_ISA
#include <immintrin.h>
#define OZ_ISA avx512
#endif
#include <math.h>
#include "kernels/cpu/net_kernels.h"

#define OZ_LANES         16
#define OZ_LANES_F64     8
#define OZ_PANEL_VECTORS 4 /* of a full panel of packed weights */

typedef __m512 oz_vf;
typedef __mmask16 oz_vm;
typedef __m512d oz_vd;

static inline oz_vm oz_vf_first(size_t n) { return (oz_vm)(n < 16 ? (1u << n) - 1 : 0xffffu); }
static inline oz_vf oz_vf_set(float x) { return _mm512_set1_ps(x); }
static inline oz_vf oz_vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline oz_vf oz_vf_load_some(const float *p, oz_vm m) { return _mm512_maskz_loadu_ps(m, p); }
static inline void oz_vf_store(float *p, oz_vf v) { _mm512_storeu_ps(p, v); }
static inline void oz_vf_store_some(float *p, oz_vm m, oz_vf v) { _mm512_mask_storeu_ps(p, m, v); }
static inline oz_vf oz_vf_add(oz_vf a, oz_vf b) { return _mm512_add_ps(a, b); }
static inline oz_vf oz_vf_sub(oz_vf a, oz_vf b) { return _mm512_sub_ps(a, b); }
static inline oz_vf oz_vf_mul(oz_vf a, oz_vf b) { return _mm512_mul_ps(a, b); }
static inline oz_vf oz_vf_div(oz_vf a, oz_vf b) { return _mm512_div_ps(a, b); }
static inline oz_vf oz_vf_fma(oz_vf a, oz_vf b, oz_vf c) { return _mm512_fmadd_ps(a, b, c); }
static inline oz_vf oz_vf_max(oz_vf a, oz_vf b) { return _mm512_max_ps(a, b); }
static inline oz_vf oz_vf_min(oz_vf a, oz_vf b) { return _mm512_min_ps(a, b); }
static inline oz_vm oz_vf_less(oz_vf a, oz_vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
static inline oz_vf oz_vf_select(oz_vm m, oz_vf yes, oz_vf no)
{
    return _mm512_mask_blend_ps(m, no, yes);
}
static inline __m512i oz_vf_bits(oz_vf a) { return _mm512_castps_si512(a); }
static inline oz_vf oz_vf_of_bits(__m512i a) { return _mm512_castsi512_ps(a); }
static inline oz_vf oz_vf_abs(oz_vf a)
{
    return oz_vf_of_bits(_mm512_and_si512(oz_vf_bits(a), _mm512_set1_epi32(0x7fffffff)));
}
static inline oz_vf oz_vf_neg(oz_vf a)
{
    return oz_vf_of_bits(_mm512_xor_si512(oz_vf_bits(a), _mm512_set1_epi32(INT32_MIN)));
}
static inline oz_vf oz_vf_sign_of(oz_vf a, oz_vf b)
{
    __m512i sign = _mm512_and_si512(oz_vf_bits(b), _mm512_set1_epi32(INT32_MIN));
    return oz_vf_of_bits(_mm512_or_si512(oz_vf_bits(oz_vf_abs(a)), sign));
}
static inline oz_vf oz_vf_exp2_of_i32(__m512i n)
{
    return oz_vf_of_bits(_mm512_add_epi32(_mm512_slli_epi32(n, 23), _mm512_set1_epi32(0x3f800000)));
}
static inline oz_vf oz_vf_exp2(oz_vf rounded) { return oz_vf_exp2_of_i32(oz_vf_bits(rounded)); }
static inline oz_vf oz_vf_scale(oz_vf a, oz_vf rounded)
{
    __m512i n = _mm512_srai_epi32(_mm512_slli_epi32(oz_vf_bits(rounded), 9), 9);
    __m512i half = _mm512_srai_epi32(n, 1);
    a = _mm512_mul_ps(a, oz_vf_exp2_of_i32(half));
    return _mm512_mul_ps(a, oz_vf_exp2_of_i32(_mm512_sub_epi32(n, half)));
}

static inline oz_vf oz_vf_keep(oz_vf v)
{
#ifdef __AVX512F__
    __asm__("" : "+v"(v));
#endif
    return v;
}
static inline void oz_vf_columns(const float *a, size_t lda, oz_vf column[4])
{
    __m512 row[4]; /* rows i, i + 4, i + 8, i + 12 */
    for (size_t i = 0; i < 4; i++) {
        row[i] = _mm512_castps128_ps512(_mm_loadu_ps(a + i * lda));
        row[i] = _mm512_insertf32x4(row[i], _mm_loadu_ps(a + (i + 4) * lda), 1);
        row[i] = _mm512_insertf32x4(row[i], _mm_loadu_ps(a + (i + 8) * lda), 2);
        row[i] = _mm512_insertf32x4(row[i], _mm_loadu_ps(a + (i + 12) * lda), 3);
    }
    __m512 lo = _mm512_unpacklo_ps(row[0], row[1]), hi = _mm512_unpackhi_ps(row[0], row[1]);
    __m512 lo2 = _mm512_unpacklo_ps(row[2], row[3]), hi2 = _mm512_unpackhi_ps(row[2], row[3]);
    column[0] = _mm512_shuffle_ps(lo, lo2, 0x44);
    column[1] = _mm512_shuffle_ps(lo, lo2, 0xee);
    column[2] = _mm512_shuffle_ps(hi, hi2, 0x44);
    column[3] = _mm512_shuffle_ps(hi, hi2, 0xee);
}

static inline oz_vm oz_vd_first(size_t n) { return (oz_vm)(n < 8 ? (1u << n) - 1 : 0xffu); }
static inline oz_vd oz_vd_set(double x) { return _mm512_set1_pd(x); }
static inline oz_vd oz_vd_load_some(const double *p, oz_vm m)
{
    return _mm512_maskz_loadu_pd((__mmask8)m, p);
}
static inline void oz_vd_store_some(double *p, oz_vm m, oz_vd v)
{
    _mm512_mask_storeu_pd(p, (__mmask8)m, v);
}
static inline oz_vd oz_vd_fma(oz_vd a, oz_vd b, oz_vd c) { return _mm512_fmadd_pd(a, b, c); }
#endif
