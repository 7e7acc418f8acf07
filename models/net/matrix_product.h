/* One product of two row-major matrices of any type that products are served for: float, double,
 * int32, int64 (which wrap around). An element's sum runs in one order, whatever else is computed.
 * Threads: any. Ownership: all borrowed; y does not overlap a or b. */
#ifndef OZ_MODELS_NET_MATRIX_PRODUCT_H
#define OZ_MODELS_NET_MATRIX_PRODUCT_H
#include "models/net/tensor.h"

#define OZ_PRODUCT_DTYPES                                                                          \
    (1u << OZ_DTYPE_F32 | 1u << OZ_DTYPE_F64 | 1u << OZ_DTYPE_I32 | 1u << OZ_DTYPE_I64)

/* A matrix of which element [i][j] is at i * row + j * column. */
struct oz_matrix {
    const void *data;
    size_t row, column;
};

/* y[m x n] = a[m x k] * b[k x n], for the types of OZ_PRODUCT_DTYPES. */
void oz_matrix_product(enum oz_dtype dtype, size_t m, size_t n, size_t k, const void *a,
                       const void *b, void *y);
/* y += alpha * a * b, modulo 2^bits. */
void oz_matrix_add_i32(size_t m, size_t n, size_t k, struct oz_matrix a, struct oz_matrix b,
                       uint32_t alpha, uint32_t *y);
void oz_matrix_add_i64(size_t m, size_t n, size_t k, struct oz_matrix a, struct oz_matrix b,
                       uint64_t alpha, uint64_t *y);
#endif
