#include "models/net/matrix_product.h"
#include <string.h>
#include "kernels/cpu/net_kernels.h"

#define WHOLE_PRODUCT(name, T)                                                                     \
    void name(size_t m, size_t n, size_t k, struct oz_matrix a, struct oz_matrix b, T alpha, T *y) \
    {                                                                                              \
        const T *a_data = a.data, *b_data = b.data;                                                \
        for (size_t i = 0; i < m; i++, y += n)                                                     \
            for (size_t x = 0; x < k; x++) {                                                       \
                const T by = alpha * a_data[i * a.row + x * a.column];                             \
                const T *b_row = b_data + x * b.row;                                               \
                for (size_t j = 0; j < n; j++) y[j] += by * b_row[j * b.column];                   \
            }                                                                                      \
    }
WHOLE_PRODUCT(oz_matrix_add_i32, uint32_t)
WHOLE_PRODUCT(oz_matrix_add_i64, uint64_t)

void oz_matrix_product(enum oz_dtype dtype, size_t m, size_t n, size_t k, const void *a,
                       const void *b, void *y)
{
    struct oz_matrix left = {a, k, 1}, right = {b, n, 1};
    switch (dtype) {
    case OZ_DTYPE_F32:
        oz_net_kernels()->dense_f32_plain(m, n, k, a, k, b, n, NULL, 0, NULL, y, n);
        break;
    case OZ_DTYPE_F64: oz_net_kernels()->dense_f64_plain(m, n, k, a, k, b, n, NULL, 0, y, n); break;
    case OZ_DTYPE_I32:
        memset(y, 0, m * n * sizeof(uint32_t));
        oz_matrix_add_i32(m, n, k, left, right, 1, y);
        break;
    default:
        OZ_ASSERT(dtype == OZ_DTYPE_I64);
        memset(y, 0, m * n * sizeof(uint64_t));
        oz_matrix_add_i64(m, n, k, left, right, 1, y);
    }
}
