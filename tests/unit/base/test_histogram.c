/* Proves that quantiles lie within a bucket's width above the exact ones (found by sorting the same
 * values), that the edges cut the whole range without a gap, and that merging equals adding. */
#include "base/histogram.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

enum { N_VALUES = 20000 };
static int64_t values[N_VALUES];
static struct oz_histogram hist, other, both;

static uint64_t random_state = 88172645463325252u;
static uint64_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void test_edges(void **state)
{
    (void)state;
    int64_t below = -1;
    for (unsigned i = 0; i < OZ_HISTOGRAM_BUCKETS; i++) {
        int64_t edge = oz_histogram_edge(i);
        assert_true(edge > below);
        /* Narrower than 1.6 % of its values, or one microsecond wide. */
        assert_true(edge - below == 1 || (double)(edge - below) <= 0.016 * (double)(below + 1));
        if (i + 1 < OZ_HISTOGRAM_BUCKETS) {
            /* The first and the last value of the bucket land in it: nothing lands below. */
            oz_histogram_reset(&hist);
            oz_histogram_add(&hist, below + 1);
            oz_histogram_add(&hist, edge);
            oz_histogram_add(&hist, INT64_C(1) << 40);
            assert_int_equal(hist.bucket[i], 2);
        }
        below = edge;
    }
    assert_true(below >= INT64_C(3600) * 1000000);
}

static void test_quantiles(void **state)
{
    (void)state;
    oz_histogram_reset(&hist);
    assert_int_equal(oz_histogram_quantile(&hist, 0.5), 0);
    for (int i = 0; i < N_VALUES; i++) {
        values[i] = (int64_t)exp((double)(random_bits() % 1000000) / 1e6 * 21);
        oz_histogram_add(&hist, values[i]);
    }
    qsort(values, N_VALUES, sizeof(values[0]), by_value);
    assert_int_equal(hist.n, N_VALUES);
    assert_int_equal(hist.max_us, values[N_VALUES - 1]);
    static const double quantiles[] = {0, 0.001, 0.1, 0.25, 0.5, 0.9, 0.99, 0.999, 1};
    for (size_t i = 0; i < OZ_COUNT_OF(quantiles); i++) {
        size_t rank = (size_t)ceil(quantiles[i] * N_VALUES);
        int64_t exact = values[rank ? rank - 1 : 0];
        int64_t found = oz_histogram_quantile(&hist, quantiles[i]);
        assert_true(found >= exact);
        assert_true((double)found <= (double)exact * 1.016 + 1);
    }
    assert_int_equal(oz_histogram_quantile(&hist, 1), values[N_VALUES - 1]);
}

static void test_extremes(void **state)
{
    (void)state;
    oz_histogram_reset(&hist);
    oz_histogram_add(&hist, -5);
    oz_histogram_add(&hist, 0);
    assert_int_equal(hist.bucket[0], 2);
    oz_histogram_add(&hist, INT64_MAX);
    oz_histogram_add(&hist, INT64_C(7200) * 1000000);
    assert_int_equal(hist.bucket[OZ_HISTOGRAM_BUCKETS - 1], 2);
    assert_int_equal(hist.n, 4);
    assert_int_equal(oz_histogram_quantile(&hist, 0.5), 0);
    assert_int_equal(oz_histogram_quantile(&hist, 1), INT64_MAX);
}

static void test_merge(void **state)
{
    (void)state;
    oz_histogram_reset(&hist);
    oz_histogram_reset(&other);
    oz_histogram_reset(&both);
    for (int i = 0; i < N_VALUES; i++) {
        int64_t us = (int64_t)(random_bits() % (i % 2 ? 1000 : 100000000));
        oz_histogram_add(i % 3 ? &hist : &other, us);
        oz_histogram_add(&both, us);
    }
    oz_histogram_merge(&hist, &other);
    assert_memory_equal(&hist, &both, sizeof(hist));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_merge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
