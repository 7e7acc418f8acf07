#include "models/net/matmul_shape.h"

static enum oz_status not_fitting(const struct oz_tensor *a, const struct oz_tensor *b,
                                  struct oz_error *err)
{
    char a_words[OZ_TENSOR_WORDS_BYTES], b_words[OZ_TENSOR_WORDS_BYTES];
    OZ_FAIL(err, OZ_MODEL, "%s cannot be multiplied by %s", oz_tensor_words(a, a_words),
            oz_tensor_words(b, b_words));
}

enum oz_status oz_matmul_shape(const struct oz_tensor *a, const struct oz_tensor *b,
                               struct oz_matmul *ret_shape, struct oz_error *err)
{
    struct oz_matmul s = {.m = 1, .n = 1};
    if (!a->rank || !b->rank) return not_fitting(a, b, err);
    int64_t k = a->dim[a->rank - 1];
    if (b->dim[b->rank > 1 ? b->rank - 2 : 0] != k) return not_fitting(a, b, err);
    s.k = (size_t)k;
    if (a->rank > 1) s.m = (size_t)a->dim[a->rank - 2];
    if (b->rank > 1) s.n = (size_t)b->dim[b->rank - 1];
    struct oz_tensor a_batch, b_batch, batch;
    const struct oz_tensor *const batches[] = {&a_batch, &b_batch};
    OZ_TRY(oz_tensor_shape(&a_batch, OZ_DTYPE_BOOL, a->rank > 1 ? a->rank - 2u : 0, a->dim, err));
    OZ_TRY(oz_tensor_shape(&b_batch, OZ_DTYPE_BOOL, b->rank > 1 ? b->rank - 2u : 0, b->dim, err));
    OZ_TRY(oz_broadcast_shape(batches, 2, &s.rank, s.dim, err));
    OZ_TRY(oz_tensor_shape(&batch, OZ_DTYPE_BOOL, s.rank, s.dim, err));
    size_t n_dims = (a->rank > 1) + (b->rank > 1);
    if (s.rank + n_dims > OZ_RANK_MAX) return not_fitting(a, b, err);
    if (a->rank > 1) s.dim[s.rank++] = (int64_t)s.m;
    if (b->rank > 1) s.dim[s.rank++] = (int64_t)s.n;
    s.n_products = (size_t)batch.n;
    s.has_batches = a_batch.n > 1 && b_batch.n > 1;
    oz_broadcast_walk(batches, 2, &batch, &s.walk);
    if (b_batch.n == 1 && batch.n) {
        s.m *= s.n_products;
        s.n_products = 1;
        s.walk = (struct oz_broadcast){.n_inputs = 2, .rank = 1, .dim = {1}};
    }
    *ret_shape = s;
    return OZ_OK;
}

bool oz_matmul_next(const struct oz_matmul *s, struct oz_matmul_at *at)
{
    if (at->n_done == s->n_products) return false;
    const size_t last = s->walk.rank - 1;
    if (at->n_done && ++at->inner == s->walk.dim[last]) {
        at->inner = 0;
        if (!oz_broadcast_next(&s->walk, at->index, at->offset)) return false;
    }
    at->a = (size_t)(at->offset[0] + at->inner * s->walk.stride[0][last]);
    at->b = (size_t)(at->offset[1] + at->inner * s->walk.stride[1][last]);
    at->y = at->n_done++;
    return true;
}
