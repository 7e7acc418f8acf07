#include "base/json_writer.h"
#include "base/instant.h"
#include "base/number.h"
#include <math.h>

/* What each byte of a string needs: 0 nothing, 1 an escape, 2 a look at the UTF-8 sequence. */
static const uint8_t needs[256] = {
    [0x00 ... 0x1f] = 1,
    ['"'] = 1,
    ['\\'] = 1,
    [0x80 ... 0xff] = 2,
};

void oz_json_init(struct oz_json *json, struct oz_buf *buf)
{
    *json = (struct oz_json){.buf = buf};
}

static inline void put_comma(struct oz_json *json)
{
    if (json->comma) oz_buf_put_u8(json->buf, ',');
    json->comma = true;
}

void oz_json_open(struct oz_json *json, char brace)
{
    put_comma(json);
    oz_buf_put_u8(json->buf, (uint8_t)brace);
    json->comma = false;
}

void oz_json_close(struct oz_json *json, char brace)
{
    oz_buf_put_u8(json->buf, (uint8_t)brace);
    json->comma = true;
}

void oz_json_key(struct oz_json *json, const char *key)
{
    size_t len = strlen(key);
    uint8_t *to = oz_buf_room(json->buf, len + 4);
    if (!to) return;
    uint8_t *at = to;
    if (json->comma) *at++ = ',';
    *at++ = '"';
    memcpy(at, key, len);
    at += len;
    *at++ = '"', *at++ = ':';
    json->buf->len += (size_t)(at - to);
    json->comma = false;
}

/* True when one of the eight bytes needs more than a copy; may only err towards true. */
static inline bool any_special(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\';
    uint64_t below = (word - ones * 0x20) | (quote - ones) | (backslash - ones);
    return ((below | word) & highs) != 0;
}

/* How many bytes from s on can be copied as they are. */
static size_t plain_len(const uint8_t *s, size_t len)
{
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t word;
        memcpy(&word, s + i, 8);
        if (any_special(word)) break;
    }
    while (i < len && !needs[s[i]]) i++;
    return i;
}

/* Looks at the sequence that a byte from 0x80 on starts: its length when it is valid UTF-8, else 0
 * and in *ret_bad the bytes that one U+FFFD stands for (the longest start of a valid sequence, at
 * least one), as the Unicode standard recommends in 3.9. */
static size_t sequence_len(const uint8_t *s, size_t len, size_t *ret_bad)
{
    uint8_t first = s[0], low = 0x80, high = 0xbf;
    size_t n = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    *ret_bad = 1;
    if (first < 0xc2 || first > 0xf4) return 0;
    if (first == 0xe0) low = 0xa0;  /* shorter forms exist */
    if (first == 0xed) high = 0x9f; /* surrogates */
    if (first == 0xf0) low = 0x90;  /* shorter forms exist */
    if (first == 0xf4) high = 0x8f; /* above U+10FFFF */
    for (size_t i = 1; i < n; i++) {
        if (i == len || s[i] < low || s[i] > high) return 0;
        low = 0x80, high = 0xbf;
        *ret_bad = i + 1;
    }
    return n;
}

static void put_escape(struct oz_buf *buf, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    if (c >= 0x20) {
        oz_buf_put(buf, (char[]){'\\', (char)c}, 2);
    } else {
        char text[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        oz_buf_put(buf, text, sizeof(text));
    }
}

void oz_json_string(struct oz_json *json, const char *s, size_t len)
{
    if (!s) {
        oz_json_null(json);
        return;
    }
    put_comma(json);
    struct oz_buf *buf = json->buf;
    oz_buf_put_u8(buf, '"');
    for (const uint8_t *at = (const uint8_t *)s, *end = at + len; at < end;) {
        size_t n = plain_len(at, (size_t)(end - at)), bad;
        oz_buf_put(buf, at, n);
        at += n;
        if (at == end) break;
        if (needs[*at] == 1) {
            put_escape(buf, *at++);
        } else if ((n = sequence_len(at, (size_t)(end - at), &bad))) {
            oz_buf_put(buf, at, n);
            at += n;
        } else {
            oz_buf_put(buf, "\xef\xbf\xbd", 3);
            at += bad;
        }
    }
    oz_buf_put_u8(buf, '"');
}

void oz_json_cstring(struct oz_json *json, const char *s)
{
    oz_json_string(json, s, s ? strlen(s) : 0);
}

void oz_json_double(struct oz_json *json, double v)
{
    if (!isfinite(v)) {
        oz_json_null(json);
        return;
    }
    put_comma(json);
    uint8_t *to = oz_buf_room(json->buf, OZ_NUMBER_BYTES_MAX);
    if (to) json->buf->len += oz_format_double((char *)to, v);
}

void oz_json_float(struct oz_json *json, float v)
{
    if (!isfinite(v)) {
        oz_json_null(json);
        return;
    }
    put_comma(json);
    uint8_t *to = oz_buf_room(json->buf, OZ_NUMBER_BYTES_MAX);
    if (to) json->buf->len += oz_format_float((char *)to, v);
}

void oz_json_i64(struct oz_json *json, int64_t v)
{
    put_comma(json);
    uint8_t *to = oz_buf_room(json->buf, OZ_NUMBER_BYTES_MAX);
    if (to) json->buf->len += oz_format_i64((char *)to, v);
}

void oz_json_boolean(struct oz_json *json, bool v)
{
    put_comma(json);
    oz_buf_puts(json->buf, v ? "true" : "false");
}

void oz_json_null(struct oz_json *json)
{
    put_comma(json);
    oz_buf_put(json->buf, "null", 4);
}

void oz_json_instant(struct oz_json *json, int64_t us)
{
    put_comma(json);
    uint8_t *to = oz_buf_room(json->buf, OZ_INSTANT_BYTES_MAX + 2);
    if (!to) return;
    size_t n = oz_format_instant((char *)to + 1, us);
    to[0] = '"', to[n + 1] = '"';
    json->buf->len += n + 2;
}

void oz_json_raw(struct oz_json *json, const char *text, size_t len)
{
    put_comma(json);
    oz_buf_put(json->buf, text, len);
}

static void put_i64_or_null(struct oz_json *json, int64_t v)
{
    if (v == OZ_NULL_LONG)
        oz_json_null(json);
    else
        oz_json_i64(json, v);
}

void oz_json_cell(struct oz_json *json, const struct oz_column *column, size_t row)
{
    switch (column->type) {
    case OZ_LONG: put_i64_or_null(json, column->i64[row]); break;
    case OZ_DOUBLE: oz_json_double(json, column->f64[row]); break;
    case OZ_BOOLEAN:
        if (column->boolean[row] == OZ_NULL_BOOLEAN)
            oz_json_null(json);
        else
            oz_json_boolean(json, column->boolean[row] == OZ_TRUE);
        break;
    case OZ_STRING: oz_json_string(json, column->str[row].data, column->str[row].len); break;
    case OZ_TIMESTAMP:
        if (column->i64[row] == OZ_NULL_LONG)
            oz_json_null(json);
        else
            oz_json_instant(json, column->i64[row]);
        break;
    case OZ_TYPE_COUNT: OZ_ASSERT(false);
    }
}
