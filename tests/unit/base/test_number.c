/* Proves that numbers are written with the fewest digits in the promised layout and read with exact
 * rounding. Expected texts and bits come from Python (make_vectors.py); some hundred thousand
 * random values are read back; what JSON does not call a number is refused. */
#include "base/number.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct double_text {
    uint64_t bits;
    const char *text;
};
struct float_text {
    uint32_t bits;
    const char *text;
};
struct text_double {
    const char *text;
    uint64_t bits;
};
struct text_float {
    const char *text;
    uint32_t bits;
};
#include "tests/unit/base/number_vectors.inc"

static double double_of(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, 8);
    return v;
}

static uint64_t bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, 8);
    return bits;
}

static float float_of(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, 4);
    return v;
}

static uint32_t float_bits_of(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, 4);
    return bits;
}

static void test_format(void **state)
{
    (void)state;
    char text[OZ_NUMBER_BYTES_MAX + 1];
    for (size_t i = 0; i < OZ_COUNT_OF(double_texts); i++) {
        size_t n = oz_format_double(text, double_of(double_texts[i].bits));
        assert_true(n <= OZ_NUMBER_BYTES_MAX);
        text[n] = '\0';
        assert_string_equal(text, double_texts[i].text);
    }
    for (size_t i = 0; i < OZ_COUNT_OF(float_texts); i++) {
        text[oz_format_float(text, float_of(float_texts[i].bits))] = '\0';
        assert_string_equal(text, float_texts[i].text);
    }
}

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < OZ_COUNT_OF(text_doubles); i++) {
        double v;
        const char *text = text_doubles[i].text;
        assert_true(oz_parse_double(text, strlen(text), &v));
        if (bits_of(v) != text_doubles[i].bits) print_error("%s\n", text);
        assert_int_equal(bits_of(v), text_doubles[i].bits);
    }
    for (size_t i = 0; i < OZ_COUNT_OF(text_floats); i++) {
        float v;
        const char *text = text_floats[i].text;
        assert_true(oz_parse_float(text, strlen(text), &v));
        if (float_bits_of(v) != text_floats[i].bits) print_error("%s\n", text);
        assert_int_equal(float_bits_of(v), text_floats[i].bits);
    }
}

static uint64_t random_state = 88172645463325252u;
static uint64_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Read by the C library, so that two errors of ours cannot cancel out, and by our reader. */
static void test_round_trip(void **state)
{
    (void)state;
    char text[OZ_NUMBER_BYTES_MAX + 1];
    for (int i = 0; i < 300000; i++) {
        double v = double_of(random_bits()), back;
        if (i % 3 == 0) v = (double)(int64_t)random_bits() / 1e6;
        if (i % 3 == 1) v = (double)((int64_t)random_bits() >> (random_bits() & 63));
        if (isfinite(v)) {
            size_t n = oz_format_double(text, v);
            assert_true(n <= 25);
            text[n] = '\0';
            assert_true(oz_parse_double(text, n, &back));
            assert_int_equal(bits_of(back), bits_of(v));
            assert_int_equal(bits_of(strtod(text, NULL)), bits_of(v));
        }
        float f = float_of((uint32_t)random_bits()), f_back;
        if (isfinite(f)) {
            size_t n = oz_format_float(text, f);
            text[n] = '\0';
            assert_true(oz_parse_float(text, n, &f_back));
            assert_int_equal(float_bits_of(f_back), float_bits_of(f));
            assert_int_equal(float_bits_of(strtof(text, NULL)), float_bits_of(f));
        }
    }
}

static void test_words(void **state)
{
    (void)state;
    double v;
    float f;
    assert_true(oz_parse_double("nan", 3, &v) && isnan(v));
    assert_true(oz_parse_double("inf", 3, &v) && v == INFINITY);
    assert_true(oz_parse_double("-inf", 4, &v) && v == -INFINITY);
    assert_true(oz_parse_float("-inf", 4, &f) && f == -INFINITY);
    assert_true(oz_parse_double("1.5junk", 3, &v) && v == 1.5); /* len counts, not the NUL */
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "-",
                                        "+1",
                                        ".5",
                                        "5.",
                                        "1e",
                                        "1e+",
                                        "01",
                                        "-01",
                                        "00",
                                        "0x10",
                                        "1 ",
                                        " 1",
                                        "1,5",
                                        "1.5.2",
                                        "--1",
                                        "1e5x",
                                        "infinity",
                                        "NaN",
                                        "Inf",
                                        "-nan",
                                        "nan(1)",
                                        "1e400",
                                        "-1e400",
                                        "1_0",
                                        "1e5.5",
                                        "e5",
                                        "1.e5",
                                        "1.7976931348623159e308"};
    for (size_t i = 0; i < OZ_COUNT_OF(texts); i++) {
        double v = 7;
        if (oz_parse_double(texts[i], strlen(texts[i]), &v)) print_error("taken: %s\n", texts[i]);
        assert_false(oz_parse_double(texts[i], strlen(texts[i]), &v));
        assert_true(v == 7);
    }
    float f = 7;
    assert_false(oz_parse_float("3.5e38", 6, &f));
    assert_false(oz_parse_float("1e39", 4, &f));
    assert_false(oz_parse_double("1\0", 2, &(double){0}));
}

static void test_integers(void **state)
{
    (void)state;
    char text[OZ_NUMBER_BYTES_MAX + 1], expected[32];
    int64_t edges[] = {0, 1, -1, 9, 10, INT64_MAX, INT64_MIN, INT64_MIN + 1, 1000000};
    for (size_t i = 0; i < OZ_COUNT_OF(edges) + 10000; i++) {
        int64_t v =
            i < OZ_COUNT_OF(edges) ? edges[i] : (int64_t)random_bits() >> (random_bits() & 63);
        int64_t back = 0;
        size_t n = oz_format_i64(text, v);
        text[n] = '\0';
        snprintf(expected, sizeof(expected), "%" PRId64, v);
        assert_string_equal(text, expected);
        assert_true(oz_parse_i64(text, n, &back));
        assert_int_equal(back, v);
        text[oz_format_u64(text, (uint64_t)v)] = '\0';
        snprintf(expected, sizeof(expected), "%" PRIu64, (uint64_t)v);
        assert_string_equal(text, expected);
    }
    static const char *const refused[] = {"",
                                          "-",
                                          "+1",
                                          "01",
                                          "-01",
                                          "1.0",
                                          "1e3",
                                          " 1",
                                          "1 ",
                                          "9223372036854775808",
                                          "-9223372036854775809",
                                          "0x1",
                                          "a",
                                          "99999999999999999999999"};
    for (size_t i = 0; i < OZ_COUNT_OF(refused); i++) {
        int64_t v = 7;
        assert_false(oz_parse_i64(refused[i], strlen(refused[i]), &v));
        assert_int_equal(v, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),     cmocka_unit_test(test_parse),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_words),
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
