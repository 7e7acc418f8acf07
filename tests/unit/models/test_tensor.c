/* Proves that shapes are checked before anything is made of them and that walks over broadcast
 * inputs visit what numpy's rules say. How: hostile dimensions; random shapes of up to three
 * inputs, where every element of the output is looked up once by its index, digit by digit, and
 * once by the walk. */
#include "models/net/tensor.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static struct oz_error err;
static uint64_t random_state = 5;
static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

static void refused(size_t rank, const int64_t *dim, const char *words)
{
    struct oz_tensor tensor;
    assert_int_equal(oz_tensor_shape(&tensor, OZ_DTYPE_F32, rank, dim, &err), OZ_MODEL);
    if (!strstr(err.message, words)) fail_msg("%s, expected %s", err.message, words);
}

static void shapes_are_checked(void **state)
{
    (void)state;
    static const int64_t many[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    struct oz_tensor t;
    refused(9, many, "rank 9, up to 8");
    refused(2, (int64_t[]){3, -1}, "dimension 1 of a tensor is -1");
    refused(2, (int64_t[]){1 << 16, 1 << 16}, "more than 2147483648 elements");
    refused(3, (int64_t[]){0, INT64_MAX, INT64_MAX}, "more than 2147483648 elements");
    refused(3, (int64_t[]){INT64_MAX, INT64_MAX, 0}, "more than 2147483648 elements");
    assert_int_equal(oz_tensor_shape(&t, OZ_DTYPE_F32, 2, (int64_t[]){1 << 16, 1 << 15}, &err),
                     OZ_OK);
    assert_int_equal(t.n, INT64_C(1) << 31);
    assert_int_equal(oz_tensor_shape(&t, OZ_DTYPE_TEXT, 0, NULL, &err), OZ_OK);
    assert_int_equal(t.n, 1);
    assert_int_equal(oz_tensor_shape(&t, OZ_DTYPE_I8, 2, (int64_t[]){0, 7}, &err), OZ_OK);
    assert_int_equal(t.n, 0);
    assert_null(t.data);
}

static void axes_are_checked(void **state)
{
    (void)state;
    static const int64_t wrong[] = {3, -4, INT64_MAX, INT64_MIN};
    size_t axis;
    for (int64_t a = -3; a < 3; a++) {
        assert_int_equal(oz_axis(a, 3, &axis, &err), OZ_OK);
        assert_int_equal(axis, (a + 3) % 3);
    }
    for (size_t i = 0; i < OZ_COUNT_OF(wrong); i++)
        assert_int_equal(oz_axis(wrong[i], 3, &axis, &err), OZ_MODEL);
    assert_int_equal(oz_axis(0, 0, &axis, &err), OZ_MODEL);
}

static void words_are_cut(void **state)
{
    (void)state;
    char words[OZ_TENSOR_WORDS_BYTES];
    struct oz_tensor t = {.dtype = OZ_DTYPE_TEXT, .rank = 8};
    for (int d = 0; d < 8; d++) t.dim[d] = INT64_MAX;
    assert_true(strlen(oz_tensor_words(&t, words)) < OZ_TENSOR_WORDS_BYTES);
    t = (struct oz_tensor){.dtype = OZ_DTYPE_F32, .rank = 2, .dim = {2, 3}};
    assert_string_equal(oz_tensor_words(&t, words), "float[2x3]");
    t.rank = 0;
    assert_string_equal(oz_tensor_words(&t, words), "float[]");
}

static void types_are_known_by_number(void **state)
{
    (void)state;
    enum oz_dtype dtype;
    const char *word;
    for (int t = 0; t < OZ_DTYPE_COUNT; t++) {
        static const int32_t numbers[] = {1, 11, 6, 7, 2, 3, 9, 8};
        assert_true(oz_dtype_of_number(numbers[t], &dtype, &word));
        assert_int_equal(dtype, t);
    }
    assert_false(oz_dtype_of_number(10, &dtype, &word));
    assert_string_equal(word, "float16");
    assert_false(oz_dtype_of_number(INT32_MIN, &dtype, &word));
    assert_string_equal(word, "unknown");
}

/* The element of `in` that element i of `out` is made of. */
static int64_t naive(const struct oz_tensor *in, const struct oz_tensor *out, int64_t i)
{
    int64_t at = 0, stride = 1;
    for (size_t d = out->rank; d-- > 0; i /= out->dim[d]) {
        size_t missing = (size_t)out->rank - in->rank;
        if (d < missing) continue;
        if (in->dim[d - missing] != 1) at += i % out->dim[d] * stride;
        stride *= in->dim[d - missing];
    }
    return at;
}

static void walks_visit_what_numpy_says(void **state)
{
    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct oz_tensor in[OZ_BROADCAST_MAX], out;
        const struct oz_tensor *inputs[OZ_BROADCAST_MAX];
        size_t n_inputs = 1 + random_below(OZ_BROADCAST_MAX), rank = random_below(6), got_rank = 0;
        int64_t full[OZ_RANK_MAX], dim[OZ_RANK_MAX], got[OZ_RANK_MAX];
        for (size_t d = 0; d < rank; d++) full[d] = random_below(12) ? 1 + random_below(4) : 0;
        for (size_t k = 0; k < n_inputs; k++) {
            size_t own = k ? random_below((uint32_t)rank + 1) : rank;
            for (size_t d = 0; d < own; d++) dim[d] = random_below(3) ? full[rank - own + d] : 1;
            assert_int_equal(oz_tensor_shape(&in[k], OZ_DTYPE_F32, own, dim, &err), OZ_OK);
            inputs[k] = &in[k];
        }
        assert_int_equal(oz_broadcast_shape(inputs, n_inputs, &got_rank, got, &err), OZ_OK);
        assert_int_equal(got_rank, rank);
        for (size_t d = 0; d < rank; d++) { /* the one that is not 1, if any is not */
            int64_t expected = 1;
            for (size_t k = 0; k < n_inputs; k++) {
                size_t missing = rank - in[k].rank;
                if (d >= missing && in[k].dim[d - missing] != 1) expected = in[k].dim[d - missing];
            }
            assert_int_equal(got[d], expected);
        }
        assert_int_equal(oz_tensor_shape(&out, OZ_DTYPE_F32, rank, got, &err), OZ_OK);
        if (!out.n) continue;
        struct oz_broadcast walk;
        int64_t index[OZ_RANK_MAX] = {0}, offset[OZ_BROADCAST_MAX] = {0}, i = 0;
        oz_broadcast_walk(inputs, n_inputs, &out, &walk);
        do {
            size_t last = walk.rank - 1;
            for (int64_t step = 0; step < walk.dim[last]; step++, i++)
                for (size_t k = 0; k < n_inputs; k++)
                    assert_int_equal(offset[k] + step * walk.stride[k][last],
                                     naive(&in[k], &out, i));
        } while (oz_broadcast_next(&walk, index, offset));
        assert_int_equal(i, out.n);
    }
    struct oz_tensor a = {.rank = 2, .dim = {2, 3}, .n = 6}, b = {.rank = 1, .dim = {2}, .n = 2};
    const struct oz_tensor *both[] = {&a, &b};
    size_t rank;
    int64_t dim[OZ_RANK_MAX];
    assert_int_equal(oz_broadcast_shape(both, 2, &rank, dim, &err), OZ_MODEL);
    assert_non_null(strstr(err.message, "2 against 3 in dimension 1 of 2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_are_checked),
        cmocka_unit_test(axes_are_checked),
        cmocka_unit_test(words_are_cut),
        cmocka_unit_test(types_are_known_by_number),
        cmocka_unit_test(walks_visit_what_numpy_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
