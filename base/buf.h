/* Bytes that grow at the end. Invariant: data[0, len) is valid; data may be NULL while len is 0.
 * A failed growth sets `failed`, drops what is added from then on and never touches what is there:
 * add freely, then ask oz_buf_status() once.
 * Threads: one. Ownership: the buffer owns its bytes. */
#ifndef OZ_BASE_BUF_H
#define OZ_BASE_BUF_H
#include <string.h>
#include "base/memory.h"

struct oz_buf {
    uint8_t *data;
    size_t len, cap;
    bool failed;
};

#ifdef __cplusplus
extern "C" {
#endif
void oz_buf_init(struct oz_buf *buf);
void oz_buf_clear(struct oz_buf *buf); /* frees */
/* Room for n more bytes at data + len, or NULL (and failed). Does not change len. */
uint8_t *oz_buf_room_slow(struct oz_buf *buf, size_t n);
/* Keeps the memory. */
static inline void oz_buf_reset(struct oz_buf *buf) { buf->len = 0, buf->failed = false; }
static inline uint8_t *oz_buf_room(struct oz_buf *buf, size_t n)
{
    if (OZ_LIKELY(buf->data && buf->cap - buf->len >= n && !buf->failed))
        return buf->data + buf->len;
    return oz_buf_room_slow(buf, n);
}
static inline void oz_buf_put(struct oz_buf *buf, const void *bytes, size_t n)
{
    uint8_t *to = oz_buf_room(buf, n);
    if (OZ_LIKELY(to && n)) memcpy(to, bytes, n), buf->len += n;
}
static inline void oz_buf_put_u8(struct oz_buf *buf, uint8_t x) { oz_buf_put(buf, &x, 1); }
void oz_buf_puts(struct oz_buf *buf, const char *s);
void oz_buf_printf(struct oz_buf *buf, const char *fmt, ...) OZ_PRINTF(2, 3);
/* With a NUL behind the bytes that is not counted; "" on failure. */
const char *oz_buf_string(struct oz_buf *buf);
enum oz_status oz_buf_status(const struct oz_buf *buf, struct oz_error *err) OZ_MUST_USE;
#ifdef __cplusplus
}
#endif
#endif
