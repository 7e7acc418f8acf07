/* AVX-512 by SIMDe, for a machine that has none: every avx512 file of kernels/cpu is built once
 * more with this header in front, and its symbols end in avx512_simde. Slow, and the same bits. */
#ifndef OZ_TESTS_UNIT_KERNELS_SIMDE_AVX512_H
#define OZ_TESTS_UNIT_KERNELS_SIMDE_AVX512_H
#define OZ_ISA avx512_simde
#define SIMDE_ENABLE_NATIVE_ALIASES
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>
#pragma GCC diagnostic pop
#include <string.h>
#include "kernels/cpu/net_kernels.h"

/* What SIMDe lacks: loads and stores that touch nothing outside of the mask, and a shift. */
#define MASKED(suffix, vector, mask, element, lanes)                                               \
    static inline vector simde_load_some_##suffix(mask m, const element *from)                     \
    {                                                                                              \
        element all[lanes] = {0};                                                                  \
        vector v;                                                                                  \
        for (int i = 0; i < lanes; i++)                                                            \
            if (m >> i & 1) all[i] = from[i];                                                      \
        memcpy(&v, all, sizeof v);                                                                 \
        return v;                                                                                  \
    }                                                                                              \
    static inline void simde_store_some_##suffix(element *to, mask m, vector v)                    \
    {                                                                                              \
        element all[lanes];                                                                        \
        memcpy(all, &v, sizeof v);                                                                 \
        for (int i = 0; i < lanes; i++)                                                            \
            if (m >> i & 1) to[i] = all[i];                                                        \
    }
static inline __m512i simde_shift_right(__m512i v, int n)
{
    int32_t all[16];
    memcpy(all, &v, sizeof v);
    for (int i = 0; i < 16; i++) all[i] >>= n;
    memcpy(&v, all, sizeof v);
    return v;
}
MASKED(ps, __m512, __mmask16, float, 16)
MASKED(pd, __m512d, __mmask8, double, 8)
#define _mm512_maskz_loadu_ps simde_load_some_ps
#define _mm512_mask_storeu_ps simde_store_some_ps
#define _mm512_maskz_loadu_pd simde_load_some_pd
#define _mm512_mask_storeu_pd simde_store_some_pd
#define _mm512_srai_epi32     simde_shift_right

/* Without an fma of the machine SIMDe rounds twice. */
#ifndef __FMA__
#include <math.h>
#define FUSED(suffix, vector, element, lanes, function)                                            \
    static inline vector simde_fused_##suffix(vector a, vector b, vector c)                        \
    {                                                                                              \
        element x[lanes], y[lanes], z[lanes];                                                      \
        memcpy(x, &a, sizeof a);                                                                   \
        memcpy(y, &b, sizeof b);                                                                   \
        memcpy(z, &c, sizeof c);                                                                   \
        for (int i = 0; i < lanes; i++) z[i] = function(x[i], y[i], z[i]);                         \
        memcpy(&c, z, sizeof c);                                                                   \
        return c;                                                                                  \
    }
FUSED(ps, __m512, float, 16, fmaf)
FUSED(pd, __m512d, double, 8, fma)
#undef _mm512_fmadd_ps
#undef _mm512_fmadd_pd
#define _mm512_fmadd_ps simde_fused_ps
#define _mm512_fmadd_pd simde_fused_pd
#endif

#define OZ_NET_KERNEL(type, name, parameters) type oz_##name##__avx512_simde parameters;
#include "kernels/cpu/net_kernels.def"
#undef OZ_NET_KERNEL
#endif
