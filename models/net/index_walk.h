/* How tensors of indices lead through another tensor: element by element (GatherElements,
 * ScatterElements) and as tuples (GatherND, ScatterND).
 *
 * Threads: pure. Errors: OZ_MODEL, which names the index that leads outside. */
#ifndef OZ_MODELS_NET_INDEX_WALK_H
#define OZ_MODELS_NET_INDEX_WALK_H
#include "models/net/layout_args.h"

/* Indices must be int32 or int64. */
enum oz_status oz_check_indices(const struct oz_tensor *index, struct oz_error *err) OZ_MUST_USE;

/* Element by element: the index replaces the element's own place along `axis`. The indices may be
 * fewer than the tensor's elements along the other axes, not more. */
enum oz_status oz_check_element_indices(const struct oz_exec *exec, const struct oz_node *node,
                                        const struct oz_tensor *x, const struct oz_tensor *index,
                                        size_t axis, struct oz_error *err) OZ_MUST_USE;
/* Where the row of the innermost dimension at `at` begins in x, without what the indices add. */
int64_t oz_row_offset(const struct oz_tensor *x, const int64_t at[OZ_RANK_MAX], size_t axis);
/* The next row of the innermost dimension of the indices. */
void oz_next_row(const struct oz_tensor *index, int64_t at[OZ_RANK_MAX]);

/* Tuples: the last dimension of the indices holds n_each of them, which choose a block of block_n
 * elements of x; leading dimensions may be a batch that both have. */
struct oz_tuples {
    size_t n_batch_dims, n_each;
    int64_t n;       /* tuples */
    int64_t block_n; /* elements */
    int64_t batch_n; /* elements of x in one batch */
    int64_t size[OZ_RANK_MAX], step[OZ_RANK_MAX];
};
enum oz_status oz_tuples_of(const struct oz_tensor *x, const struct oz_tensor *index,
                            int64_t n_batch_dims, struct oz_tuples *ret_tuples,
                            struct oz_error *err) OZ_MUST_USE;
/* Where tuple i leads within its batch, in elements. */
enum oz_status oz_tuple_offset(const struct oz_tuples *tuples, const struct oz_tensor *index,
                               int64_t i, int64_t *ret_offset, struct oz_error *err) OZ_MUST_USE;
#endif
