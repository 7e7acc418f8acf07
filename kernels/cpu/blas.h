/* OpenBLAS, for large products of two matrices that are both made at run time, where packing one
 * of them first does not pay. Weights never go here: packed once, our own kernels are nearly as
 * fast or faster, and only their bits are the same for every batch.
 *
 * It is loaded when a net wants it, not linked: linked, it would start a thread for every core of
 * the machine in every process, before main(). Its core is named to it, because it does not know
 * the newest processors and would take a slow one; and it computes in the calling thread.
 *
 * Bits: the same for the same sizes and inputs on the same machine. An element's sum is split over
 * k, so its bits are not those of the other kernels, and may depend on the number of rows: use it
 * where all rows are one record's.
 * Threads: oz_blas_open() sets environment variables, so it is called while loading; the others
 * from any thread. */
#ifndef OZ_KERNELS_CPU_BLAS_H
#define OZ_KERNELS_CPU_BLAS_H
#include "base/base.h"

/* Loads it, once. Nothing happens where it is not installed or has nothing faster. */
void oz_blas_open(void);
/* Whether this product should go there; never before it was loaded. */
bool oz_blas_is_faster(size_t m, size_t n, size_t k);
/* c[m x n] = a[m x k] * b[k x n], row-major and dense. */
void oz_blas_f32_product(size_t m, size_t n, size_t k, const float *a, const float *b, float *c);
/* "SkylakeX", or "" when it is not loaded. */
const char *oz_blas_core(void);
#endif
