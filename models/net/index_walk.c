#include "models/net/index_walk.h"

enum oz_status oz_check_indices(const struct oz_tensor *index, struct oz_error *err)
{
    if (oz_dtype_is_index((enum oz_dtype)index->dtype)) return OZ_OK;
    OZ_FAIL(err, OZ_MODEL, "indices of %s, not of int64 or int32",
            oz_dtype_word((enum oz_dtype)index->dtype));
}

enum oz_status oz_check_element_indices(const struct oz_exec *exec, const struct oz_node *node,
                                        const struct oz_tensor *x, const struct oz_tensor *index,
                                        size_t axis, struct oz_error *err)
{
    char words[2][OZ_TENSOR_WORDS_BYTES];
    bool fits = x->rank == index->rank;
    OZ_TRY(oz_check_indices(index, err));
    for (size_t d = 0; fits && d < x->rank; d++)
        if (d != axis && index->dim[d] > x->dim[d]) fits = oz_exec_is_loose(exec, node);
    if (fits) return OZ_OK;
    OZ_FAIL(err, OZ_MODEL, "indices %s for %s along axis %zu", oz_tensor_words(index, words[0]),
            oz_tensor_words(x, words[1]), axis);
}

int64_t oz_row_offset(const struct oz_tensor *x, const int64_t at[OZ_RANK_MAX], size_t axis)
{
    int64_t offset = 0;
    for (size_t d = 0; d < x->rank; d++)
        offset = offset * x->dim[d] + (d == axis || d + 1 == x->rank ? 0 : at[d]);
    return offset;
}

void oz_next_row(const struct oz_tensor *index, int64_t at[OZ_RANK_MAX])
{
    for (size_t d = (size_t)index->rank - 1; d-- > 0;) {
        if (++at[d] < index->dim[d]) return;
        at[d] = 0;
    }
}

enum oz_status oz_tuples_of(const struct oz_tensor *x, const struct oz_tensor *index,
                            int64_t n_batch_dims, struct oz_tuples *ret_tuples,
                            struct oz_error *err)
{
    char words[2][OZ_TENSOR_WORDS_BYTES];
    struct oz_tuples tuples = {0};
    OZ_TRY(oz_check_indices(index, err));
    bool fits = n_batch_dims >= 0 && n_batch_dims < x->rank && n_batch_dims < index->rank;
    int64_t n_each = fits ? index->dim[index->rank - 1] : 0;
    if (n_each < 1 || n_each > x->rank - n_batch_dims)
        OZ_FAIL(err, OZ_MODEL, "tuples of indices %s for %s with %lld batch dimensions",
                oz_tensor_words(index, words[0]), oz_tensor_words(x, words[1]),
                (long long)n_batch_dims);
    size_t first = (size_t)n_batch_dims;
    tuples.n_batch_dims = first;
    tuples.n_each = (size_t)n_each;
    tuples.n = oz_tensor_count(index, 0, (size_t)index->rank - 1);
    tuples.block_n = oz_tensor_count(x, first + tuples.n_each, x->rank);
    tuples.batch_n = oz_tensor_count(x, first, x->rank);
    for (size_t i = 0; i < tuples.n_each; i++) {
        tuples.size[i] = x->dim[first + i];
        tuples.step[i] = oz_tensor_count(x, first + i + 1, x->rank);
    }
    *ret_tuples = tuples;
    return OZ_OK;
}

enum oz_status oz_tuple_offset(const struct oz_tuples *tuples, const struct oz_tensor *index,
                               int64_t i, int64_t *ret_offset, struct oz_error *err)
{
    int64_t offset = 0;
    for (size_t k = 0; k < tuples->n_each; k++) {
        int64_t given = oz_tensor_i64_at(index, i * (int64_t)tuples->n_each + (int64_t)k);
        int64_t at = oz_index(given, tuples->size[k]);
        if (OZ_UNLIKELY(at < 0)) return oz_index_outside(given, tuples->size[k], err);
        offset += at * tuples->step[k];
    }
    *ret_offset = offset;
    return OZ_OK;
}
