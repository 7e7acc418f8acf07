/* Dense products in f64, for the few nets that have them; included once per instruction set, after
 * one of vec_*.h. The weights are used as they are. */
#ifndef OZ_KERNELS_CPU_DENSE_F64_BODY_H
#define OZ_KERNELS_CPU_DENSE_F64_BODY_H
#include "kernels/cpu/vec_math.h"

enum { F64_ROWS = 6, F64_VECTORS = 2, F64_WIDTH = F64_VECTORS * OZ_LANES_F64 };

/* R rows by two vectors of columns, cut by `some`. Always inlined with a constant R. */
static inline __attribute__((always_inline)) void
tile_f64(const int R, size_t k, const double *restrict a, size_t lda, const double *restrict w,
         size_t ldw, const double *start, size_t ld_start, double *c, size_t ldc,
         const oz_vm some[F64_VECTORS])
{
    oz_vd sum[F64_ROWS][F64_VECTORS];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int v = 0; v < F64_VECTORS; v++)
            sum[r][v] =
                start ? oz_vd_load_some(start + (size_t)r * ld_start + v * OZ_LANES_F64, some[v])
                      : oz_vd_set(0);
    for (size_t i = 0; i < k; i++, w += ldw, a++) {
        oz_vd row[F64_VECTORS];
#pragma GCC unroll 8
        for (int v = 0; v < F64_VECTORS; v++)
            row[v] = oz_vd_load_some(w + v * OZ_LANES_F64, some[v]);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++)
#pragma GCC unroll 8
            for (int v = 0; v < F64_VECTORS; v++)
                sum[r][v] = oz_vd_fma(oz_vd_set(a[(size_t)r * lda]), row[v], sum[r][v]);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int v = 0; v < F64_VECTORS; v++)
            oz_vd_store_some(c + (size_t)r * ldc + v * OZ_LANES_F64, some[v], sum[r][v]);
}

void OZ_KERNEL(dense_f64_plain)(size_t m, size_t n, size_t k, const double *restrict a, size_t lda,
                                const double *restrict w, size_t ldw, const double *start,
                                size_t ld_start, double *c, size_t ldc)
{
    for (size_t j = 0; j < n; j += F64_WIDTH) {
        oz_vm some[F64_VECTORS];
        for (size_t v = 0; v < F64_VECTORS; v++) {
            size_t at = j + v * OZ_LANES_F64;
            some[v] = oz_vd_first(at < n ? n - at : 0);
        }
        const double *from = start ? start + j : NULL;
        size_t row = 0;
        for (; row + F64_ROWS <= m; row += F64_ROWS)
            tile_f64(F64_ROWS, k, a + row * lda, lda, w + j, ldw,
                     from ? from + row * ld_start : NULL, ld_start, c + row * ldc + j, ldc, some);
        for (; row < m; row++)
            tile_f64(1, k, a + row * lda, lda, w + j, ldw, from ? from + row * ld_start : NULL,
                     ld_start, c + row * ldc + j, ldc, some);
    }
}
#endif
