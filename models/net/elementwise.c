#include "models/net/elementwise.h"
#include <stdio.h>

enum oz_status oz_refuse_dtype(const char *what, enum oz_dtype dtype, uint32_t served,
                               struct oz_error *err)
{
    char list[OZ_DTYPE_COUNT * 10] = "";
    size_t len = 0;
    for (int t = 0; t < OZ_DTYPE_COUNT; t++)
        if (served >> t & 1)
            len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "",
                                    oz_dtype_word((enum oz_dtype)t));
    OZ_FAIL(err, OZ_MODEL, "%s is %s; served are %s", what, oz_dtype_word(dtype), list);
}

enum oz_status oz_unary_run(struct oz_exec *exec, const struct oz_node *node,
                            oz_unary_kernel *const kernel[OZ_DTYPE_COUNT], enum oz_dtype result,
                            struct oz_error *err)
{
    const struct oz_tensor *in = oz_exec_in(exec, node, 0);
    if (!kernel[in->dtype]) {
        uint32_t served = 0;
        for (int t = 0; t < OZ_DTYPE_COUNT; t++) served |= (uint32_t)(kernel[t] != NULL) << t;
        return oz_refuse_dtype("its input", (enum oz_dtype)in->dtype, served, err);
    }
    struct oz_tensor *out;
    if (result == OZ_DTYPE_COUNT) result = (enum oz_dtype)in->dtype;
    OZ_TRY(oz_exec_out(exec, node, 0, result, in->rank, in->dim, &out, err));
    if (out->data && out->n) kernel[in->dtype](out->data, in->data, out->n, node->state);
    return OZ_OK;
}

enum oz_status oz_binary_out(struct oz_exec *exec, const struct oz_node *node,
                             const struct oz_tensor *a, const struct oz_tensor *b,
                             enum oz_dtype result, struct oz_tensor **ret_out, struct oz_error *err)
{
    size_t rank;
    int64_t dim[OZ_RANK_MAX];
    OZ_TRY(oz_broadcast_shape((const struct oz_tensor *const[]){a, b}, 2, &rank, dim, err));
    return oz_exec_out(exec, node, 0, result, rank, dim, ret_out, err);
}

void oz_binary_apply(oz_binary_kernel *kernel, const struct oz_tensor *a, const struct oz_tensor *b,
                     struct oz_tensor *out)
{
    if (!out->n) return;
    struct oz_broadcast walk;
    oz_broadcast_walk((const struct oz_tensor *const[]){a, b}, 2, out, &walk);
    const size_t a_bytes = oz_dtype_bytes((enum oz_dtype)a->dtype);
    const size_t b_bytes = oz_dtype_bytes((enum oz_dtype)b->dtype);
    const size_t inner = walk.rank - 1;
    const int64_t n = walk.dim[inner];
    const size_t run_bytes = (size_t)n * oz_dtype_bytes((enum oz_dtype)out->dtype);
    const bool a_moves = walk.stride[0][inner] != 0, b_moves = walk.stride[1][inner] != 0;
    const char *from_a = a->data, *from_b = b->data;
    char *to = out->data;
    int64_t index[OZ_RANK_MAX] = {0}, offset[OZ_BROADCAST_MAX] = {0};
    do {
        kernel(to, from_a + (size_t)offset[0] * a_bytes, from_b + (size_t)offset[1] * b_bytes, n,
               a_moves, b_moves);
        to += run_bytes;
    } while (oz_broadcast_next(&walk, index, offset));
}

enum oz_status oz_binary_run(struct oz_exec *exec, const struct oz_node *node,
                             oz_binary_kernel *const kernel[OZ_DTYPE_COUNT], enum oz_dtype result,
                             struct oz_error *err)
{
    const struct oz_tensor *a = oz_exec_in(exec, node, 0), *b = oz_exec_in(exec, node, 1);
    OZ_TRY(oz_same_dtype(a, b, err));
    if (!kernel[a->dtype]) {
        uint32_t served = 0;
        for (int t = 0; t < OZ_DTYPE_COUNT; t++) served |= (uint32_t)(kernel[t] != NULL) << t;
        return oz_refuse_dtype("its input", (enum oz_dtype)a->dtype, served, err);
    }
    struct oz_tensor *out;
    if (result == OZ_DTYPE_COUNT) result = (enum oz_dtype)a->dtype;
    OZ_TRY(oz_binary_out(exec, node, a, b, result, &out, err));
    if (out->data) oz_binary_apply(kernel[a->dtype], a, b, out);
    return OZ_OK;
}
