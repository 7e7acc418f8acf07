/* Proves that sums in fixed point are exact and rounded once: against Shewchuk's exact sums
 * (window_twin.h) over values of very different size, and against halves that must round to even.
 * */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "features/fixed_point.h"
#include "window_twin.h"

static double fixed_sum(const double *v, size_t n, uint64_t *sum)
{
    uint64_t add[OZ_FIX_LIMBS];
    memset(sum, 0, 8 * OZ_FIX_LIMBS);
    for (size_t i = 0; i < n; i++) {
        oz_fix_of(v[i], add);
        oz_fix_add(sum, sum, add);
    }
    return oz_fix_round(sum);
}

static double random_double(int flavour)
{
    switch (flavour) {
    case 0: return (double)below(100000) / 100;
    case 1: return (uniform() - 0.5) * 1e6;
    case 2: return (below(2) ? 1e16 : 1e-3) * (below(2) ? 1 : -1) * uniform();
    case 3: return ldexp(uniform() - 0.5, (int)below(130) - 43);
    default: return ldexp((double)below(1000) - 500, -90);
    }
}

static void test_sums_are_exact(void **state)
{
    (void)state;
    twin_seed = 5;
    for (int round = 0; round < 20000; round++) {
        double v[200];
        uint64_t sum[OZ_FIX_LIMBS], add[OZ_FIX_LIMBS];
        uint32_t n = 1 + below(round % 50 ? 20 : 200), flavour = below(5);
        for (uint32_t i = 0; i < n; i++) v[i] = oz_quantise(random_double((int)flavour));
        assert_int_equal(bits_of(fixed_sum(v, n, sum)), bits_of(fsum(v, n)));
        for (uint32_t i = 0; i < n; i++) { /* what was added can be taken away: nothing is left */
            oz_fix_of(v[i], add);
            oz_fix_sub(sum, sum, add);
        }
        assert_true(!sum[0] && !sum[1] && !sum[2]);
    }
}

static void test_one_value_comes_back(void **state)
{
    (void)state;
    twin_seed = 6;
    for (int round = 0; round < 200000; round++) {
        uint64_t fix[OZ_FIX_LIMBS];
        double v = oz_quantise(ldexp(uniform() - 0.5, (int)below(138) - 43));
        oz_fix_of(v, fix);
        assert_int_equal(bits_of(oz_fix_round(fix)), bits_of(v));
    }
}

static void test_ties_go_to_even(void **state)
{
    (void)state;
    uint64_t sum[OZ_FIX_LIMBS];
    const double down[] = {0x1p53, 1}, up[] = {0x1p53 + 2, 1}, more[] = {0x1p53, 1, 0x1p-90};
    assert_true(fixed_sum(down, 2, sum) == 0x1p53);
    assert_true(fixed_sum(up, 2, sum) == 0x1p53 + 4);
    assert_true(fixed_sum(more, 3, sum) == 0x1p53 + 2);
    const double minus[] = {-0x1p53, -1, -0x1p-90}, none[] = {1.5, -1.5};
    assert_true(fixed_sum(minus, 3, sum) == -0x1p53 - 2);
    assert_int_equal(bits_of(fixed_sum(none, 2, sum)), 0);
}

static void test_what_has_no_place(void **state)
{
    (void)state;
    assert_true(isnan(oz_quantise(INFINITY)) && isnan(oz_quantise(NAN)));
    assert_true(isnan(oz_quantise(0x1p94)) && isnan(oz_quantise(-0x1p94)));
    assert_true(oz_quantise(0x1.fffffffffffffp93) == 0x1.fffffffffffffp93);
    assert_int_equal(bits_of(oz_quantise(-0.0)), 0);
    assert_int_equal(bits_of(oz_quantise(-1e-300)), 0);
    assert_true(oz_quantise(0x1.8p-96) == 0x1p-95); /* ties to even */
    assert_true(oz_quantise(0x1p-96) == 0x1p-96 && oz_quantise(0x1p-97) == 0);
    assert_true(oz_quantise(0x1.123456789abcdp-44) == 0x1.123456789abcdp-44);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_are_exact),
        cmocka_unit_test(test_one_value_comes_back),
        cmocka_unit_test(test_ties_go_to_even),
        cmocka_unit_test(test_what_has_no_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
