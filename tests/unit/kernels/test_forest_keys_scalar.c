/* Proves that keys, ranks and sets answer comparisons as the numbers themselves would.
 * How: doubles around and on random thresholds, with infinities, zeros of both signs and the
 * smallest and largest of each type, are turned into keys and ranks, and each comparison of these is
 * compared with that of the numbers. Ranks and members are compared with a count over all. */
#include <stdarg.h>
#include <setjmp.h>
#include <math.h>
#include <stdlib.h>
#include <cmocka.h>
#include "kernels/cpu/forest_kernels.h"

static uint64_t random_state = 1;
static uint32_t random_u32(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 32);
}

static float random_float(void)
{
    static const float special[] = {
        0.0f,   -0.0f, INFINITY,        -INFINITY, 1e-45f, -1e-45f, 3e38f,
        -3e38f, 1.0f,  0x1.fffffep127f, -1.0f,     0.1f,   0.3f,    -0x1.fffffep127f};
    float x;
    uint32_t bits = random_u32();
    if (bits % 4 == 0) return special[random_u32() % OZ_COUNT_OF(special)];
    memcpy(&x, &bits, sizeof x);
    return isnan(x) ? 1.5f : x;
}

/* Equal to the float, a double's step beside it, a bit further, or anywhere. */
static double near(float t)
{
    switch (random_u32() % 7) {
    case 0: return (double)t;
    case 1: return nextafter((double)t, -INFINITY);
    case 2: return nextafter((double)t, INFINITY);
    case 3: return (double)nextafterf(t, random_u32() & 1 ? INFINITY : -INFINITY);
    case 4: return (double)t * 1.00000001;
    case 5: return random_u32() & 1 ? 1e300 : -1e-300;
    default: return (double)random_float();
    }
}

static int32_t rounded(double x, enum oz_forest_rounding rounding)
{
    int32_t key;
    oz_forest_rounded_keys_f64__scalar(&x, 1, 1, rounding, 77, &key);
    return key;
}

static void rounding_changes_no_answer(void **state)
{
    (void)state;
    for (int i = 0; i < 2000000; i++) {
        float t = random_float();
        double x = near(t);
        if ((rounded(x, OZ_FOREST_DOWN) < oz_forest_key(t)) != (x < (double)t))
            fail_msg("%a < %a", x, (double)t);
        if ((rounded(x, OZ_FOREST_UP) < oz_forest_key(t) + 1) != (x <= (double)t))
            fail_msg("%a <= %a", x, (double)t);
        if ((rounded(x, OZ_FOREST_EXACT) == oz_forest_key(t)) != (x == (double)t))
            fail_msg("%a == %a", x, (double)t);
        assert_int_equal(rounded(x, OZ_FOREST_NEAREST), oz_forest_key((float)x));
    }
    for (int rounding = OZ_FOREST_NEAREST; rounding <= OZ_FOREST_EXACT; rounding++)
        assert_int_equal(rounded((double)NAN, (enum oz_forest_rounding)rounding), 77);
}

static void floats_and_doubles_have_the_same_keys(void **state)
{
    (void)state;
    float x[64 * 3];
    double wide[OZ_COUNT_OF(x)];
    int32_t from_floats[64], from_doubles[64];
    for (size_t i = 0; i < OZ_COUNT_OF(x); i++) {
        x[i] = random_u32() % 5 ? random_float() : NAN;
        wide[i] = (double)x[i];
    }
    for (size_t n = 0; n <= 64; n++)
        for (int rounding = OZ_FOREST_DOWN; rounding <= OZ_FOREST_EXACT; rounding++) {
            oz_forest_keys_f32__scalar(x + 1, 3, n, OZ_FOREST_KEY_NAN_HIGH, from_floats);
            oz_forest_rounded_keys_f64__scalar(wide + 1, 3, n, (enum oz_forest_rounding)rounding,
                                               OZ_FOREST_KEY_NAN_HIGH, from_doubles);
            assert_memory_equal(from_floats, from_doubles, n * sizeof *from_floats);
        }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void ranks_count_the_thresholds_below(void **state)
{
    (void)state;
    enum { MOST = 40, N = 64 };
    double threshold[MOST], x[N];
    int32_t rank[N];
    for (int round = 0; round < 3000; round++) {
        size_t n = 0;
        size_t wanted = random_u32() % (MOST + 1);
        for (size_t i = 0; i < wanted; i++) threshold[i] = near(1.0f) + (double)(random_u32() % 4);
        qsort(threshold, wanted, sizeof *threshold, compare);
        for (size_t i = 0; i < wanted; i++)
            if (i == 0 || threshold[i] > threshold[n - 1]) threshold[n++] = threshold[i];
        for (size_t i = 0; i < N; i++)
            x[i] = i % 7 == 0   ? (double)NAN
                   : n && i & 1 ? threshold[random_u32() % n]
                                : near(1.0f) + (double)(random_u32() % 4);
        oz_forest_ranks_f64__scalar(x, 1, N, threshold, n, -9, rank);
        for (size_t i = 0; i < N; i++) {
            int32_t expected = 0;
            for (size_t t = 0; t < n; t++)
                expected += (threshold[t] < x[i]) + (threshold[t] <= x[i]);
            assert_int_equal(rank[i], isnan(x[i]) ? -9 : expected);
        }
    }
}

static void members_are_found(void **state)
{
    (void)state;
    int32_t member[33], keys[64], plane[64];
    for (int round = 0; round < 5000; round++) {
        size_t n = random_u32() % OZ_COUNT_OF(member);
        int32_t at = round % 2 ? INT32_MIN : -20;
        for (size_t i = 0; i < n; i++) {
            member[i] = at;
            at += 1 + (int32_t)(random_u32() % 3);
        }
        for (size_t i = 0; i < 64; i++)
            keys[i] = n && i & 1 ? member[random_u32() % n]
                                 : (int32_t)(random_u32() % 60) + (i & 2 ? INT32_MIN : -25);
        oz_forest_members_i32__scalar(keys, 64, member, n, plane);
        for (size_t i = 0; i < 64; i++) {
            bool is_member = false;
            for (size_t m = 0; m < n; m++) is_member |= member[m] == keys[i];
            assert_int_equal(plane[i], !is_member);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounding_changes_no_answer),
        cmocka_unit_test(floats_and_doubles_have_the_same_keys),
        cmocka_unit_test(ranks_count_the_thresholds_below),
        cmocka_unit_test(members_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
