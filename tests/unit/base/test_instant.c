/* Proves that instants are read and written as Python's datetime does (make_vectors.py), that every
 * day of 400 years and more has the date that gmtime gives it, that nothing but the documented
 * forms is taken, and the same for durations and sizes. */
#include "base/instant.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct moment {
    int64_t us;
    const char *text;
    int hour, weekday;
};
struct text_instant {
    const char *text;
    int64_t us;
};
#include "tests/unit/base/instant_vectors.inc"

static void test_moments(void **state)
{
    (void)state;
    for (size_t i = 0; i < OZ_COUNT_OF(moments); i++) {
        char text[OZ_INSTANT_BYTES_MAX];
        int64_t back;
        size_t n = oz_format_instant(text, moments[i].us);
        assert_string_equal(text, moments[i].text);
        assert_int_equal(n, strlen(text));
        assert_true(oz_parse_instant(text, n, &back));
        assert_int_equal(back, moments[i].us);
        assert_int_equal(oz_hour_of(moments[i].us), moments[i].hour);
        assert_int_equal(oz_weekday_of(moments[i].us), moments[i].weekday);
    }
    for (size_t i = 0; i < OZ_COUNT_OF(text_instants); i++) {
        int64_t us;
        assert_true(oz_parse_instant(text_instants[i].text, strlen(text_instants[i].text), &us));
        assert_int_equal(us, text_instants[i].us);
    }
}

static void test_every_day(void **state)
{
    (void)state;
    for (int64_t day = -170000; day < 170000; day++) {
        time_t seconds = (time_t)(day * 86400 + 3661);
        struct tm tm;
        gmtime_r(&seconds, &tm);
        char text[OZ_INSTANT_BYTES_MAX], expected[80];
        oz_format_instant(text, (int64_t)seconds * OZ_US_PER_SECOND);
        snprintf(expected, sizeof(expected), "%04d-%02d-%02dT01:01:01.000Z", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday);
        assert_string_equal(text, expected);
        int64_t back;
        assert_true(oz_parse_instant(text, 10, &back));
        assert_int_equal(back, day * OZ_US_PER_DAY);
        assert_int_equal(oz_weekday_of(back), (tm.tm_wday + 6) % 7 + 1);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "2018",
                                        "2018-07",
                                        "2018-07-2",
                                        "2018-7-25",
                                        "2018-02-30",
                                        "2017-02-29",
                                        "1900-02-29",
                                        "2018-00-10",
                                        "2018-13-01",
                                        "2018-04-31",
                                        "2018-01-00",
                                        "2018-01-32",
                                        "0000-01-01",
                                        "2018/07/25",
                                        "2018-07-25T",
                                        "2018-07-25T10",
                                        "2018-07-25T10:",
                                        "2018-07-25T10:1",
                                        "2018-07-25T24:00",
                                        "2018-07-25T10:60",
                                        "2018-07-25T10:11:60",
                                        "2018-07-25T10:11:1",
                                        "2018-07-25T10:11:",
                                        "2018-07-25T10:11:12.",
                                        "2018-07-25T10:11:12.Z",
                                        "2018-07-25T10:11:12,5",
                                        "2018-07-25T10:11:12Zjunk",
                                        "2018-07-25T10:11:12z",
                                        "2018-07-25t10:11:12",
                                        "2018-07-25T10:11:12 Z",
                                        "2018-07-25T10:11:12+2",
                                        "2018-07-25T10:11:12+02",
                                        "2018-07-25T10:11:12+02:0",
                                        "2018-07-25T10:11:12+02:60",
                                        "2018-07-25T10:11:12+24:00",
                                        "2018-07-25T10:11:12+02:00:00",
                                        "2018-07-25T10:11:12+02.00",
                                        "2018-07-25T10:11:12++200",
                                        "2018-07-25 ",
                                        "2018-07-25Z",
                                        "2018-07-25  10:11",
                                        " 2018-07-25",
                                        "2018-07-25\n",
                                        "-018-07-25",
                                        "+2018-07-25",
                                        "20180725",
                                        "2018-07-25T1011",
                                        "0001-01-01T00:00:00+00:01",
                                        "9999-12-31T23:59:59-00:01",
                                        "2018-07-25T10:11.5",
                                        "2018-07-25T10:11:12.5.5",
                                        "2018-07-25T-1:11:12",
                                        "2018-07-25T10:11:12.-5"};
    for (size_t i = 0; i < OZ_COUNT_OF(texts); i++) {
        int64_t us = 7;
        if (oz_parse_instant(texts[i], strlen(texts[i]), &us)) print_error("taken: %s\n", texts[i]);
        assert_false(oz_parse_instant(texts[i], strlen(texts[i]), &us));
        assert_int_equal(us, 7);
    }
    /* Bytes behind len are not looked at: each prefix stands alone in memory of its own size. */
    const char *whole = "2018-07-25T10:11:12.123+02:00";
    for (size_t len = 0; len <= strlen(whole); len++) {
        char *part = test_malloc(len ? len : 1);
        int64_t us;
        memcpy(part, whole, len);
        bool taken = oz_parse_instant(part, len, &us);
        assert_int_equal(taken, len == 10 || len == 16 || len == 19 || (len >= 21 && len <= 23) ||
                                    len == 29);
        test_free(part);
    }
}

static void test_outside_the_years(void **state)
{
    (void)state;
    char text[OZ_INSTANT_BYTES_MAX];
    oz_format_instant(text, INT64_MIN);
    assert_string_equal(text, "0001-01-01T00:00:00.000Z");
    oz_format_instant(text, INT64_MAX);
    assert_string_equal(text, "9999-12-31T23:59:59.999999Z");
    assert_in_range(oz_hour_of(INT64_MIN), 0, 23);
    assert_in_range(oz_weekday_of(INT64_MIN), 1, 7);
    assert_in_range(oz_hour_of(INT64_MAX), 0, 23);
}

static void test_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
        const char *canonical;
    } rows[] = {
        {"10m", 600000000, "10m"},
        {"90m", 5400000000, "1h30m"},
        {"1h30m", 5400000000, "1h30m"},
        {"250ms", 250000, "250ms"},
        {"1s500ms", 1500000, "1s500ms"},
        {"7d", INT64_C(604800000000), "7d"},
        {"36h", INT64_C(129600000000), "1d12h"},
        {"0s", 0, "0s"},
        {"0d", 0, "0s"},
        {"1500us", 1500, "1ms500us"},
        {"001m", 60000000, "1m"},
        {"1d2h3m4s5ms6us", INT64_C(93784005006), "1d2h3m4s5ms6us"},
        {"9223372036854775807us", INT64_MAX, "106751991d4h54s775ms807us"},
    };
    for (size_t i = 0; i < OZ_COUNT_OF(rows); i++) {
        int64_t us, back;
        char text[OZ_INSTANT_BYTES_MAX];
        assert_true(oz_parse_duration(rows[i].text, strlen(rows[i].text), &us));
        assert_int_equal(us, rows[i].us);
        size_t n = oz_format_duration(text, us);
        assert_string_equal(text, rows[i].canonical);
        assert_int_equal(n, strlen(text));
        assert_true(oz_parse_duration(text, n, &back));
        assert_int_equal(back, us);
    }
    char text[OZ_INSTANT_BYTES_MAX];
    oz_format_duration(text, INT64_MIN);
    assert_string_equal(text, "-106751991d4h54s775ms808us");
    static const char *const refused[] = {"",
                                          "10",
                                          "m",
                                          "10 m",
                                          "10min",
                                          "-10m",
                                          "1.5h",
                                          "1m1h",
                                          "1h1h",
                                          "1h30",
                                          "1M",
                                          "10m ",
                                          "1w",
                                          "9223372036854775808us",
                                          "106751992d",
                                          "99999999999999999999999d",
                                          "1d9223372036854775807us"};
    for (size_t i = 0; i < OZ_COUNT_OF(refused); i++) {
        int64_t us = 7;
        if (oz_parse_duration(refused[i], strlen(refused[i]), &us))
            print_error("taken: %s\n", refused[i]);
        assert_false(oz_parse_duration(refused[i], strlen(refused[i]), &us));
        assert_int_equal(us, 7);
    }
}

static void test_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t n;
    } rows[] = {{"4096", 4096},
                {"0", 0},
                {"12B", 12},
                {"500kB", 500000},
                {"64MiB", 67108864},
                {"2GiB", UINT64_C(2147483648)},
                {"3GB", UINT64_C(3000000000)},
                {"1TiB", UINT64_C(1099511627776)},
                {"1KiB", 1024},
                {"18446744073709551615", UINT64_MAX}};
    for (size_t i = 0; i < OZ_COUNT_OF(rows); i++) {
        uint64_t n;
        assert_true(oz_parse_bytes(rows[i].text, strlen(rows[i].text), &n));
        assert_int_equal(n, rows[i].n);
    }
    static const char *const refused[] = {"",
                                          "MiB",
                                          "-1",
                                          "1.5GiB",
                                          "1 MiB",
                                          "1mib",
                                          "1K",
                                          "1MiBs",
                                          "18446744073709551616",
                                          "16777216TiB",
                                          "1MiB "};
    for (size_t i = 0; i < OZ_COUNT_OF(refused); i++) {
        uint64_t n = 7;
        assert_false(oz_parse_bytes(refused[i], strlen(refused[i]), &n));
        assert_int_equal(n, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moments),   cmocka_unit_test(test_every_day),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_outside_the_years),
        cmocka_unit_test(test_durations), cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
