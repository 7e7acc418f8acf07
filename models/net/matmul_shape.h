/* The shapes of products of matrices as numpy.matmul has them: batches of matrices that broadcast;
 * an input of rank 1 is a row on the left, a column on the right, and its dimension is dropped from
 * the output. Shared by MatMul, MatMulInteger and QLinearMatMul.
 * Threads: any; nothing is kept. */
#ifndef OZ_MODELS_NET_MATMUL_SHAPE_H
#define OZ_MODELS_NET_MATMUL_SHAPE_H
#include "models/net/tensor.h"

struct oz_matmul {
    size_t m, n, k;           /* of one product */
    size_t rank;              /* of the output */
    int64_t dim[OZ_RANK_MAX]; /* of the output */
    size_t n_products;        /* one after the other in the output */
    bool has_batches;         /* both inputs are batches of several matrices */
    struct oz_broadcast walk; /* over the products; strides of a and b in matrices */
};

/* One matrix on the right for all on the left is one product of all rows. */
enum oz_status oz_matmul_shape(const struct oz_tensor *a, const struct oz_tensor *b,
                               struct oz_matmul *ret_shape, struct oz_error *err) OZ_MUST_USE;

/* Which matrices the next product takes; begins zeroed. */
struct oz_matmul_at {
    int64_t index[OZ_RANK_MAX], offset[OZ_BROADCAST_MAX], inner;
    size_t a, b, y; /* matrix numbers, set by oz_matmul_next() */
    size_t n_done;
};
bool oz_matmul_next(const struct oz_matmul *shape, struct oz_matmul_at *at);
#endif
