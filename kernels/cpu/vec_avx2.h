/* Vectors of eight floats; the names are explained in vec_scalar.h. */
#ifndef OZ_KERNELS_CPU_VEC_AVX2_H
#define OZ_KERNELS_CPU_VEC_AVX2_H
#include <immintrin.h>
#include <math.h>
#include "kernels/cpu/net_kernels.h"

#define OZ_ISA           avx2
#define OZ_LANES         8
#define OZ_LANES_F64     4
#define OZ_PANEL_VECTORS 2 /* of a full panel of packed weights */

typedef __m256 oz_vf;
typedef __m256i oz_vm;
typedef __m256d oz_vd;

static inline oz_vm oz_vf_first(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n < 8 ? n : 8)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline oz_vf oz_vf_set(float x) { return _mm256_set1_ps(x); }
static inline oz_vf oz_vf_load(const float *p) { return _mm256_loadu_ps(p); }
static inline oz_vf oz_vf_load_some(const float *p, oz_vm m) { return _mm256_maskload_ps(p, m); }
static inline void oz_vf_store(float *p, oz_vf v) { _mm256_storeu_ps(p, v); }
static inline void oz_vf_store_some(float *p, oz_vm m, oz_vf v) { _mm256_maskstore_ps(p, m, v); }
static inline oz_vf oz_vf_add(oz_vf a, oz_vf b) { return _mm256_add_ps(a, b); }
static inline oz_vf oz_vf_sub(oz_vf a, oz_vf b) { return _mm256_sub_ps(a, b); }
static inline oz_vf oz_vf_mul(oz_vf a, oz_vf b) { return _mm256_mul_ps(a, b); }
static inline oz_vf oz_vf_div(oz_vf a, oz_vf b) { return _mm256_div_ps(a, b); }
static inline oz_vf oz_vf_fma(oz_vf a, oz_vf b, oz_vf c) { return _mm256_fmadd_ps(a, b, c); }
static inline oz_vf oz_vf_max(oz_vf a, oz_vf b) { return _mm256_max_ps(a, b); }
static inline oz_vf oz_vf_min(oz_vf a, oz_vf b) { return _mm256_min_ps(a, b); }
static inline oz_vm oz_vf_less(oz_vf a, oz_vf b)
{
    return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
static inline oz_vf oz_vf_select(oz_vm m, oz_vf yes, oz_vf no)
{
    return _mm256_blendv_ps(no, yes, _mm256_castsi256_ps(m));
}
static inline oz_vf oz_vf_abs(oz_vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
static inline oz_vf oz_vf_neg(oz_vf a) { return _mm256_xor_ps(_mm256_set1_ps(-0.0f), a); }
static inline oz_vf oz_vf_sign_of(oz_vf a, oz_vf b)
{
    return _mm256_or_ps(oz_vf_abs(a), _mm256_and_ps(_mm256_set1_ps(-0.0f), b));
}
static inline oz_vf oz_vf_exp2_of_i32(__m256i n)
{
    return _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_slli_epi32(n, 23), _mm256_set1_epi32(0x3f800000)));
}
static inline oz_vf oz_vf_exp2(oz_vf rounded)
{
    return oz_vf_exp2_of_i32(_mm256_castps_si256(rounded));
}
static inline oz_vf oz_vf_scale(oz_vf a, oz_vf rounded)
{
    __m256i n = _mm256_srai_epi32(_mm256_slli_epi32(_mm256_castps_si256(rounded), 9), 9);
    __m256i half = _mm256_srai_epi32(n, 1);
    a = _mm256_mul_ps(a, oz_vf_exp2_of_i32(half));
    return _mm256_mul_ps(a, oz_vf_exp2_of_i32(_mm256_sub_epi32(n, half)));
}

static inline oz_vf oz_vf_keep(oz_vf v)
{
    __asm__("" : "+x"(v));
    return v;
}
static inline void oz_vf_columns(const float *a, size_t lda, oz_vf column[4])
{
    __m256 row[4]; /* rows i and i + 4 */
    for (size_t i = 0; i < 4; i++)
        row[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(a + i * lda)),
                                      _mm_loadu_ps(a + (i + 4) * lda), 1);
    __m256 lo = _mm256_unpacklo_ps(row[0], row[1]), hi = _mm256_unpackhi_ps(row[0], row[1]);
    __m256 lo2 = _mm256_unpacklo_ps(row[2], row[3]), hi2 = _mm256_unpackhi_ps(row[2], row[3]);
    column[0] = _mm256_shuffle_ps(lo, lo2, 0x44);
    column[1] = _mm256_shuffle_ps(lo, lo2, 0xee);
    column[2] = _mm256_shuffle_ps(hi, hi2, 0x44);
    column[3] = _mm256_shuffle_ps(hi, hi2, 0xee);
}

static inline oz_vm oz_vd_first(size_t n)
{
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x((long long)(n < 4 ? n : 4)),
                              _mm256_setr_epi64x(0, 1, 2, 3));
}
static inline oz_vd oz_vd_set(double x) { return _mm256_set1_pd(x); }
static inline oz_vd oz_vd_load_some(const double *p, oz_vm m) { return _mm256_maskload_pd(p, m); }
static inline void oz_vd_store_some(double *p, oz_vm m, oz_vd v) { _mm256_maskstore_pd(p, m, v); }
static inline oz_vd oz_vd_fma(oz_vd a, oz_vd b, oz_vd c) { return _mm256_fmadd_pd(a, b, c); }
#endif
