#include "base/number.h"
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

namespace
{

/* Where plain digits end and an exponent begins: as in ECMAScript, so that 100000 stays 100000. */
constexpr int plain_exponent_min = -6, plain_exponent_max = 20;

/* What the layout needs of a number: d.ddd x 10^exponent. */
struct decimal {
    char digits[24];
    int n_digits, exponent;
};

/* Takes the scientific form of to_chars apart: d[.ddd]e(+|-)dd[d]. */
void take_apart(const char *s, const char *end, struct decimal *ret_decimal)
{
    int n = 0;
    for (; *s != 'e'; s++)
        if (*s != '.') ret_decimal->digits[n++] = *s;
    bool negative = s[1] == '-';
    int exponent = 0;
    for (s += 2; s < end; s++) exponent = exponent * 10 + (*s - '0');
    ret_decimal->n_digits = n;
    ret_decimal->exponent = negative ? -exponent : exponent;
}

char *put_zeros(char *to, int n)
{
    memset(to, '0', (size_t)n);
    return to + n;
}

char *put_digits(char *to, const char *digits, int n)
{
    memcpy(to, digits, (size_t)n);
    return to + n;
}

char *put_plain(char *to, const struct decimal *d)
{
    if (d->exponent < 0) {
        *to++ = '0', *to++ = '.';
        to = put_zeros(to, -d->exponent - 1);
        return put_digits(to, d->digits, d->n_digits);
    }
    int n_whole = d->exponent + 1;
    if (d->n_digits <= n_whole)
        return put_zeros(put_digits(to, d->digits, d->n_digits), n_whole - d->n_digits);
    to = put_digits(to, d->digits, n_whole);
    *to++ = '.';
    return put_digits(to, d->digits + n_whole, d->n_digits - n_whole);
}

char *put_exponent(char *to, const struct decimal *d)
{
    *to++ = d->digits[0];
    if (d->n_digits > 1) {
        *to++ = '.';
        to = put_digits(to, d->digits + 1, d->n_digits - 1);
    }
    *to++ = 'e';
    return std::to_chars(to, to + 5, d->exponent).ptr;
}

template <typename T> size_t format(char *to, T v)
{
    constexpr T exact_below = (T)((uint64_t)1 << std::numeric_limits<T>::digits);
    char *at = to;
    if (std::signbit(v)) {
        *at++ = '-';
        v = -v;
    }
    if (v < exact_below && v == (T)(int64_t)v) /* every digit of these counts */
        return (size_t)(std::to_chars(at, to + OZ_NUMBER_BYTES_MAX, (int64_t)v).ptr - to);
    char text[OZ_NUMBER_BYTES_MAX];
    auto end = std::to_chars(text, text + sizeof(text), v, std::chars_format::scientific).ptr;
    struct decimal d;
    take_apart(text, end, &d);
    bool plain = d.exponent >= plain_exponent_min && d.exponent <= plain_exponent_max;
    return (size_t)((plain ? put_plain(at, &d) : put_exponent(at, &d)) - to);
}

/* A number read by JSON's grammar: mantissa x 10^exponent, exact while !cut. */
struct scan {
    uint64_t mantissa;
    int64_t exponent;
    int n_digits; /* significant ones in the mantissa */
    bool negative, cut;
};

constexpr int mantissa_digits_max = 19;
constexpr int64_t exponent_limit = 1000000; /* written ones beyond this mean 0 or infinity anyway */

bool is_digit(char c) { return c >= '0' && c <= '9'; }

void add_digit(struct scan *scan, char c, bool fraction)
{
    if (scan->n_digits < mantissa_digits_max) {
        scan->mantissa = scan->mantissa * 10 + (uint64_t)(c - '0');
        if (scan->mantissa) scan->n_digits++;
        if (fraction) scan->exponent--;
    } else {
        scan->cut = true;
        if (!fraction) scan->exponent++;
    }
}

/* False when s[0, len) is no number as JSON writes it. */
bool scan_number(const char *s, size_t len, struct scan *scan)
{
    const char *end = s + len;
    *scan = {};
    if (s < end && *s == '-') scan->negative = true, s++;
    if (s == end || !is_digit(*s)) return false;
    if (*s == '0' && s + 1 < end && is_digit(s[1])) return false;
    for (; s < end && is_digit(*s); s++) add_digit(scan, *s, false);
    if (s < end && *s == '.') {
        if (++s == end || !is_digit(*s)) return false;
        for (; s < end && is_digit(*s); s++) add_digit(scan, *s, true);
    }
    if (s < end && (*s == 'e' || *s == 'E')) {
        bool negative = false;
        int64_t exponent = 0;
        if (++s < end && (*s == '+' || *s == '-')) negative = *s++ == '-';
        if (s == end || !is_digit(*s)) return false;
        for (; s < end && is_digit(*s); s++)
            if (exponent < exponent_limit) exponent = exponent * 10 + (*s - '0');
        scan->exponent += negative ? -exponent : exponent;
    }
    return s == end;
}

template <typename T> bool parse_word(const char *s, size_t len, T *ret_v)
{
    if (len == 3 && !memcmp(s, "nan", 3))
        *ret_v = std::numeric_limits<T>::quiet_NaN();
    else if (len == 3 && !memcmp(s, "inf", 3))
        *ret_v = std::numeric_limits<T>::infinity();
    else if (len == 4 && !memcmp(s, "-inf", 4))
        *ret_v = -std::numeric_limits<T>::infinity();
    else
        return false;
    return true;
}

/* Powers of ten that T holds exactly. */
template <typename T> struct exact_powers;
template <> struct exact_powers<double> {
    static constexpr double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                       1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                       1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    static constexpr int max = 22;
};
template <> struct exact_powers<float> {
    static constexpr float power[] = {1e0f, 1e1f, 1e2f, 1e3f, 1e4f, 1e5f,
                                      1e6f, 1e7f, 1e8f, 1e9f, 1e10f};
    static constexpr int max = 10;
};

template <typename T> bool parse(const char *s, size_t len, T *ret_v)
{
    using powers = exact_powers<T>;
    constexpr uint64_t exact_max = (uint64_t)1 << std::numeric_limits<T>::digits;
    struct scan scan;
    if (!scan_number(s, len, &scan)) return parse_word(s, len, ret_v);
    /* Both operands are exact here, so the one rounding of the operation is the right one. */
    if (!scan.cut && scan.mantissa <= exact_max && scan.exponent >= -powers::max &&
        scan.exponent <= powers::max) {
        T v = (T)scan.mantissa;
        v = scan.exponent < 0 ? v / powers::power[-scan.exponent]
                              : v * powers::power[scan.exponent];
        *ret_v = scan.negative ? -v : v;
        return true;
    }
    T v = 0;
    auto answer = std::from_chars(s, s + len, v);
    if (answer.ec == std::errc::result_out_of_range || std::isinf(v)) {
        if (scan.mantissa && scan.exponent + scan.n_digits > 0) return false;
        v = scan.negative ? -(T)0 : (T)0;
    } else if (answer.ec != std::errc() || answer.ptr != s + len) {
        return false;
    }
    *ret_v = v;
    return true;
}

} // namespace

size_t oz_format_double(char *to, double v) { return format(to, v); }
size_t oz_format_float(char *to, float v) { return format(to, v); }

size_t oz_format_i64(char *to, int64_t v)
{
    return (size_t)(std::to_chars(to, to + OZ_NUMBER_BYTES_MAX, v).ptr - to);
}

size_t oz_format_u64(char *to, uint64_t v)
{
    return (size_t)(std::to_chars(to, to + OZ_NUMBER_BYTES_MAX, v).ptr - to);
}

bool oz_parse_double(const char *s, size_t len, double *ret_v) { return parse(s, len, ret_v); }
bool oz_parse_float(const char *s, size_t len, float *ret_v) { return parse(s, len, ret_v); }

bool oz_parse_i64(const char *s, size_t len, int64_t *ret_v)
{
    size_t sign = len && s[0] == '-';
    if (len == sign || !is_digit(s[sign])) return false;
    if (s[sign] == '0' && len > sign + 1) return false;
    int64_t v;
    auto answer = std::from_chars(s, s + len, v);
    if (answer.ec != std::errc() || answer.ptr != s + len) return false;
    *ret_v = v;
    return true;
}
