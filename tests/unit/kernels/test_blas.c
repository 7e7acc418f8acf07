/* Proves that products by OpenBLAS are products, that two threads at once get the bits of one, and
 * that it is asked for large ones alone.
 * How: against sums in double, within (k + 2) 2^-24 times the sum of the sizes. It must be
 * installed, as ./dev sees to. Only the scalar kernels (OUZEL_KERNELS=scalar, a CPU without AVX2)
 * go without it, and then the three tests of products are skipped. */
#include <stdarg.h>
#include <setjmp.h>
#include <pthread.h>
#include <stdlib.h>
#include <cmocka.h>
#include "kernels/cpu/blas.h"
#include "tests/unit/kernels/kernel_tables.h"

enum { M = 70, N = 300, K = 260 };
static float a[M * K], b[K * N], c[M * N];

static void test_never_before_it_is_loaded(void **state)
{
    (void)state;
    assert_false(oz_blas_is_faster(10000, 10000, 10000));
    assert_string_equal(oz_blas_core(), "");
}

/* Whatever has vectors must have loaded it: nothing is skipped for want of a package. */
static void test_it_is_there(void **state)
{
    (void)state;
    bool is_scalar = !strcmp(oz_net_kernels()->isa, "scalar");
    if (!*oz_blas_core() && !is_scalar) fail_msg("libopenblas.so.0 is missing: run ./dev setup");
    assert_true(!*oz_blas_core() == is_scalar);
}

static void test_large_alone(void **state)
{
    (void)state;
    if (!*oz_blas_core()) skip();
    assert_true(oz_blas_is_faster(512, 2048, 2048));
    assert_false(oz_blas_is_faster(8, 2048, 2048));
    assert_false(oz_blas_is_faster(512, 2048, 4));
    assert_false(oz_blas_is_faster(512, 8, 2048));
    assert_false(oz_blas_is_faster(512, 64, 64));
    assert_false(oz_blas_is_faster((size_t)1 << 31, 2048, 2048));
    assert_null(getenv("OPENBLAS_CORETYPE"));
}

static void test_products(void **state)
{
    (void)state;
    if (!*oz_blas_core()) skip();
    random_fill(a, M * K, false);
    random_fill(b, K * N, false);
    oz_blas_f32_product(M, N, K, a, b, c);
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < N; j++) {
            double sum = 0, size = 0;
            for (size_t x = 0; x < K; x++) {
                double term = (double)a[i * K + x] * (double)b[x * N + j];
                sum += term;
                size += fabs(term);
            }
            assert_true(fabs((double)c[i * N + j] - sum) <= (K + 2) * 0x1p-24 * size);
        }
}

static void *again(void *different)
{
    float *mine = floats(M * N);
    for (int round = 0; round < 50; round++) {
        random_fill(mine, M * N, false);
        oz_blas_f32_product(M, N, K, a, b, mine);
        if (memcmp(mine, c, sizeof c) != 0) *(bool *)different = true;
    }
    free(mine);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    if (!*oz_blas_core()) skip();
    bool different[3] = {false};
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, again, &different[i]), 0);
    again(&different[2]);
    for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    for (int i = 0; i < 3; i++) assert_false(different[i]);
}

int main(void)
{
    const struct CMUnitTest before[] = {cmocka_unit_test(test_never_before_it_is_loaded)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_there),
        cmocka_unit_test(test_large_alone),
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_threads),
    };
    int failed = cmocka_run_group_tests(before, NULL, NULL);
    unsetenv("OPENBLAS_CORETYPE");
    oz_blas_open();
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
