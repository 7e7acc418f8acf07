#include "base/buf.h"
#include <stdarg.h>
#include <stdio.h>

enum { CAP_MIN = 64 };

void oz_buf_init(struct oz_buf *buf) { *buf = (struct oz_buf){0}; }

void oz_buf_clear(struct oz_buf *buf)
{
    oz_free(buf->data);
    oz_buf_init(buf);
}

uint8_t *oz_buf_room_slow(struct oz_buf *buf, size_t n)
{
    if (buf->failed) return NULL;
    size_t need, cap;
    if (__builtin_add_overflow(buf->len, n, &need)) {
        buf->failed = true;
        return NULL;
    }
    if (__builtin_mul_overflow(buf->cap, 2, &cap) || cap < need) cap = need;
    cap = OZ_MAX(cap, (size_t)CAP_MIN);
    uint8_t *grown = oz_realloc(buf->data, cap);
    if (!grown) {
        buf->failed = true;
        return NULL;
    }
    buf->data = grown, buf->cap = cap;
    return buf->data + buf->len;
}

void oz_buf_puts(struct oz_buf *buf, const char *s) { oz_buf_put(buf, s, strlen(s)); }

void oz_buf_printf(struct oz_buf *buf, const char *fmt, ...)
{
    if (buf->failed) return;
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    size_t room = buf->cap - buf->len;
    int n = vsnprintf(room ? (char *)buf->data + buf->len : NULL, room, fmt, args);
    va_end(args);
    if (n < 0)
        buf->failed = true;
    else if ((size_t)n < room)
        buf->len += (size_t)n;
    else if (oz_buf_room(buf, (size_t)n + 1)) { /* vsnprintf wants a NUL behind */
        vsnprintf((char *)buf->data + buf->len, (size_t)n + 1, fmt, again);
        buf->len += (size_t)n;
    }
    va_end(again);
}

const char *oz_buf_string(struct oz_buf *buf)
{
    uint8_t *end = oz_buf_room(buf, 1);
    if (!end) return "";
    *end = '\0';
    return (const char *)buf->data;
}

enum oz_status oz_buf_status(const struct oz_buf *buf, struct oz_error *err)
{
    return buf->failed ? oz_no_memory(err) : OZ_OK;
}
