#include "base/instant.h"
#include <string.h>

enum { YEAR_MAX = 9999, DAYS_PER_400_YEARS = 146097, DAYS_TO_1970 = 719162 /* from 0001-01-01 */ };
#define INSTANT_MIN (-DAYS_TO_1970 * OZ_US_PER_DAY)
#define INSTANT_MAX (INT64_C(2932897) * OZ_US_PER_DAY - 1) /* the end of 9999-12-31 */

/* Days of a common year before each month. */
static const uint16_t days_before[13] = {0,   31,  59,  90,  120, 151, 181,
                                         212, 243, 273, 304, 334, 365};

static bool is_leap(int year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

/* Reads n digits; -1 when one of them is none. */
static inline int digits(const char *s, int n)
{
    int v = 0;
    unsigned bad = 0;
    for (int i = 0; i < n; i++) {
        unsigned digit = (unsigned)(uint8_t)s[i] - '0';
        bad |= digit > 9;
        v = v * 10 + (int)digit;
    }
    return bad ? -1 : v;
}

/* Days since 1970 of YYYY-MM-DD. */
static bool parse_date(const char *s, int64_t *ret_days)
{
    int year = digits(s, 4), month = digits(s + 5, 2), day = digits(s + 8, 2);
    if (s[4] != '-' || s[7] != '-' || year < 1 || month < 1 || month > 12 || day < 1) return false;
    bool leap = is_leap(year);
    int before = days_before[month - 1], length = days_before[month] - before;
    if (day > length + (leap && month == 2)) return false;
    int past = year - 1;
    *ret_days = (int64_t)past * 365 + past / 4 - past / 100 + past / 400 + before +
                (leap && month > 2) + day - 1 - DAYS_TO_1970;
    return true;
}

/* Reads the digits behind the point, cut at microseconds; returns what follows, or NULL. */
static const char *parse_fraction(const char *s, const char *end, int *ret_us)
{
    const char *start = s;
    int us = 0, scale = 100000;
    for (; s < end && (unsigned)(uint8_t)*s - '0' <= 9; s++) {
        us += scale * (*s - '0');
        scale /= 10;
    }
    *ret_us = us;
    return s == start ? NULL : s;
}

/* Reads Z, +hh:mm, +hhmm or nothing, up to the end. */
static bool parse_zone(const char *s, const char *end, int64_t *ret_us)
{
    ptrdiff_t len = end - s;
    if (len == 0 || (len == 1 && *s == 'Z')) {
        *ret_us = 0;
        return true;
    }
    if ((*s != '+' && *s != '-') || (len != 5 && len != 6) || (len == 6 && s[3] != ':'))
        return false;
    int hour = digits(s + 1, 2), minute = digits(end - 2, 2);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59) return false;
    int64_t us = hour * OZ_US_PER_HOUR + minute * OZ_US_PER_MINUTE;
    *ret_us = *s == '-' ? -us : us;
    return true;
}

bool oz_parse_instant(const char *s, size_t len, int64_t *ret_us)
{
    int64_t days, zone_us = 0;
    int hour = 0, minute = 0, second = 0, us = 0;
    if (len < 10 || !parse_date(s, &days)) return false;
    if (len > 10) {
        const char *end = s + len, *at = s + 16;
        if (len < 16 || (s[10] != 'T' && s[10] != ' ') || s[13] != ':') return false;
        hour = digits(s + 11, 2), minute = digits(s + 14, 2);
        if (end - at >= 3 && *at == ':') {
            second = digits(at + 1, 2);
            at += 3;
            if (at < end && *at == '.' && !(at = parse_fraction(at + 1, end, &us))) return false;
        }
        if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
            return false;
        if (!parse_zone(at, end, &zone_us)) return false;
    }
    int64_t instant = days * OZ_US_PER_DAY + hour * OZ_US_PER_HOUR + minute * OZ_US_PER_MINUTE +
                      second * OZ_US_PER_SECOND + us - zone_us;
    if (instant < INSTANT_MIN || instant > INSTANT_MAX) return false;
    *ret_us = instant;
    return true;
}

static inline char *put_digits(char *to, unsigned v, int n)
{
    for (int i = n - 1; i >= 0; i--, v /= 10) to[i] = (char)('0' + v % 10);
    return to + n;
}

static void make_date(char *to, int64_t days_since_1970)
{
    int days = (int)(days_since_1970 + DAYS_TO_1970);
    int year = days / DAYS_PER_400_YEARS * 400 + 1;
    days %= DAYS_PER_400_YEARS;
    int centuries = OZ_MIN(days / 36524, 3);
    days -= centuries * 36524;
    int fours = days / 1461;
    days %= 1461;
    int ones = OZ_MIN(days / 365, 3);
    days -= ones * 365;
    year += centuries * 100 + fours * 4 + ones;

    /* From 29 February on a leap year counts as a common one that began a day later. */
    int month = 1, leap_day = 0;
    if (is_leap(year) && days >= 59) days--, leap_day = days == 58;
    while (days >= days_before[month]) month++;
    int day = days - days_before[month - 1] + 1 + leap_day;

    to = put_digits(to, (unsigned)year, 4);
    *to++ = '-';
    to = put_digits(to, (unsigned)month, 2);
    *to++ = '-';
    put_digits(to, (unsigned)day, 2);
}

/* Times that are written one after the other are mostly of one day: a thread keeps the last date.
 * */
static char *put_date(char *to, int64_t days_since_1970)
{
    enum { DATE_BYTES = 10 };
    static _Thread_local struct {
        int64_t days;
        char text[DATE_BYTES];
    } last = {INT64_MIN, ""};
    if (OZ_UNLIKELY(last.days != days_since_1970)) {
        make_date(last.text, days_since_1970);
        last.days = days_since_1970;
    }
    memcpy(to, last.text, DATE_BYTES);
    return to + DATE_BYTES;
}

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

size_t oz_format_instant(char *to, int64_t us)
{
    us = OZ_MAX(us, INSTANT_MIN), us = OZ_MIN(us, INSTANT_MAX);
    int64_t days = floor_div(us, OZ_US_PER_DAY);
    int64_t rest = us - days * OZ_US_PER_DAY;
    unsigned seconds = (unsigned)(rest / OZ_US_PER_SECOND);
    unsigned fraction = (unsigned)(rest % OZ_US_PER_SECOND);
    char *at = put_date(to, days);
    *at++ = 'T';
    at = put_digits(at, seconds / 3600, 2);
    *at++ = ':';
    at = put_digits(at, seconds / 60 % 60, 2);
    *at++ = ':';
    at = put_digits(at, seconds % 60, 2);
    *at++ = '.';
    at = fraction % 1000 ? put_digits(at, fraction, 6) : put_digits(at, fraction / 1000, 3);
    *at++ = 'Z';
    *at = '\0';
    return (size_t)(at - to);
}

static const struct {
    const char *name;
    uint64_t us;
} duration_units[] = {
    {"d", OZ_US_PER_DAY},    {"h", OZ_US_PER_HOUR}, {"m", OZ_US_PER_MINUTE},
    {"s", OZ_US_PER_SECOND}, {"ms", OZ_US_PER_MS},  {"us", 1},
};

/* Reads digits and the letters behind them; returns what follows, or NULL. */
static const char *parse_quantity(const char *s, const char *end, uint64_t *ret_n,
                                  const char **ret_unit, size_t *ret_unit_len)
{
    const char *start = s;
    uint64_t n = 0;
    for (; s < end && (unsigned)(uint8_t)*s - '0' <= 9; s++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *s - '0', &n))
            return NULL;
    if (s == start) return NULL;
    const char *unit = s;
    while (s < end && ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z'))) s++;
    *ret_n = n, *ret_unit = unit, *ret_unit_len = (size_t)(s - unit);
    return s;
}

bool oz_parse_duration(const char *s, size_t len, int64_t *ret_us)
{
    const char *end = s + len;
    uint64_t total = 0;
    size_t next_unit = 0; /* units go from large to small, each once */
    if (!len) return false;
    while (s < end) {
        uint64_t n, us;
        const char *unit;
        size_t unit_len, i;
        s = parse_quantity(s, end, &n, &unit, &unit_len);
        if (!s) return false;
        for (i = next_unit; i < OZ_COUNT_OF(duration_units); i++)
            if (strlen(duration_units[i].name) == unit_len &&
                !memcmp(duration_units[i].name, unit, unit_len))
                break;
        if (i == OZ_COUNT_OF(duration_units)) return false;
        if (__builtin_mul_overflow(n, duration_units[i].us, &us) ||
            __builtin_add_overflow(total, us, &total) || total > INT64_MAX)
            return false;
        next_unit = i + 1;
    }
    *ret_us = (int64_t)total;
    return true;
}

size_t oz_format_duration(char *to, int64_t us)
{
    char *at = to;
    uint64_t left = us < 0 ? -(uint64_t)us : (uint64_t)us;
    if (us < 0) *at++ = '-';
    for (size_t i = 0; i < OZ_COUNT_OF(duration_units); i++) {
        uint64_t n = left / duration_units[i].us;
        if (!n) continue;
        left -= n * duration_units[i].us;
        int n_digits = 1;
        for (uint64_t v = n; v >= 10; v /= 10) n_digits++;
        at = put_digits(at, (unsigned)n, n_digits);
        for (const char *unit = duration_units[i].name; *unit; unit++) *at++ = *unit;
    }
    if (us == 0) *at++ = '0', *at++ = 's';
    *at = '\0';
    return (size_t)(at - to);
}

bool oz_parse_bytes(const char *s, size_t len, uint64_t *ret_bytes)
{
    static const struct {
        const char *name;
        uint64_t n_bytes;
    } units[] = {
        {"", 1},
        {"B", 1},
        {"kB", 1000},
        {"MB", 1000000},
        {"GB", 1000000000},
        {"TB", 1000000000000},
        {"KiB", UINT64_C(1) << 10},
        {"MiB", UINT64_C(1) << 20},
        {"GiB", UINT64_C(1) << 30},
        {"TiB", UINT64_C(1) << 40},
    };
    uint64_t n, n_bytes;
    const char *unit;
    size_t unit_len;
    if (parse_quantity(s, s + len, &n, &unit, &unit_len) != s + len) return false;
    for (size_t i = 0; i < OZ_COUNT_OF(units); i++) {
        if (strlen(units[i].name) != unit_len || memcmp(units[i].name, unit, unit_len)) continue;
        if (__builtin_mul_overflow(n, units[i].n_bytes, &n_bytes)) return false;
        *ret_bytes = n_bytes;
        return true;
    }
    return false;
}

int oz_hour_of(int64_t us)
{
    int64_t hours = floor_div(us, OZ_US_PER_HOUR);
    return (int)(hours - floor_div(hours, 24) * 24);
}

int oz_weekday_of(int64_t us)
{
    int64_t days = floor_div(us, OZ_US_PER_DAY) + 3; /* since a Monday: 1970 began on a Thursday */
    return (int)(days - floor_div(days, 7) * 7) + 1;
}
