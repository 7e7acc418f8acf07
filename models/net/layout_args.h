/* What the operators that move data ask of their attributes and inputs: lists of axes and sizes,
 * single integers, indices. Everything is checked here, once, before it is used.
 *
 * Threads: pure. Errors: OZ_MODEL, which names the number that is wrong. */
#ifndef OZ_MODELS_NET_LAYOUT_ARGS_H
#define OZ_MODELS_NET_LAYOUT_ARGS_H
#include "models/net/op.h"

enum { OZ_INTS_MAX = 2 * OZ_RANK_MAX };
struct oz_ints {
    size_t n;
    int64_t at[OZ_INTS_MAX];
};

/* The numbers of a tensor of int32 or int64 that has data and at most one dimension. `what` is its
 * name in messages; n_max <= OZ_INTS_MAX. */
enum oz_status oz_ints_of_tensor(const struct oz_tensor *tensor, const char *what, size_t n_max,
                                 struct oz_ints *ret_ints, struct oz_error *err) OZ_MUST_USE;
/* The numbers of an attribute. *ret_is_there (may be NULL: then it must be there) is false when the
 * node does not have it. */
enum oz_status oz_ints_of_attribute(struct oz_node *node, const char *name, size_t n_max,
                                    struct oz_ints *ret_ints, bool *ret_is_there,
                                    struct oz_error *err) OZ_MUST_USE;
/* Axes of a tensor of this rank, made non-negative; each one at most once. */
enum oz_status oz_ints_as_axes(struct oz_ints *axes, size_t rank, struct oz_error *err) OZ_MUST_USE;
/* The only element of a tensor of int32 or int64 that has data. */
enum oz_status oz_int_of_tensor(const struct oz_tensor *tensor, const char *what, int64_t *ret_v,
                                struct oz_error *err) OZ_MUST_USE;
bool oz_dtype_is_index(enum oz_dtype dtype); /* int32 or int64 */

/* An input that the row of the table makes optional, because it is so in another opset. */
enum oz_status oz_node_inputs(const struct oz_node *node, uint32_t min, uint32_t max,
                              struct oz_error *err) OZ_MUST_USE;
/* An axis as the operator's only attribute: node->state becomes an int64_t. */
enum oz_status oz_compile_axis(struct oz_net *net, struct oz_node *node, int64_t otherwise,
                               struct oz_error *err) OZ_MUST_USE;
/* Planning with a shape that depends on data: dimensions are upper bounds, so two that must agree
 * may differ. Never while running. */
bool oz_exec_is_loose(const struct oz_exec *exec, const struct oz_node *node);

/* The error of an index that is not in [-size, size). */
enum oz_status oz_index_outside(int64_t index, int64_t size, struct oz_error *err);
/* An index in [-size, size) as 0 .. size-1; -1: it is not. */
static inline int64_t oz_index(int64_t index, int64_t size)
{
    int64_t at = index < 0 ? index + size : index;
    return at >= 0 && at < size ? at : -1;
}
/* Every index of a tensor, times `step`: how far each one leads. */
enum oz_status oz_indices(const struct oz_tensor *index, int64_t size, int64_t step,
                          int64_t *ret_offset, struct oz_error *err) OZ_MUST_USE;
#endif
