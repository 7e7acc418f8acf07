/* The small numbers of a stored row: LEB128 varints, zigzag where they can be negative,
 * little-endian fixed-width words, and exact totals without their zero bytes. A reader never leaves
 * its bytes: what is missing reads as 0 and sets `bad`; ask once at the end. */
#ifndef OZ_FEATURES_ROW_BYTES_H
#define OZ_FEATURES_ROW_BYTES_H
#include "base/buf.h"
#include "features/fixed_point.h"
#include "features/row_layout.h"

struct oz_row_reader {
    const uint8_t *at, *end;
    bool bad;
};

static inline uint64_t oz_zigzag(int64_t x) { return (uint64_t)x << 1 ^ (uint64_t)(x >> 63); }
static inline int64_t oz_unzigzag(uint64_t x) { return (int64_t)(x >> 1 ^ -(x & 1)); }

static inline uint64_t oz_little_endian(uint64_t x)
{
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? __builtin_bswap64(x) : x;
}

/* Up to 10 bytes; writes into 8 at least, whatever the length. Lengths follow no pattern that the
 * CPU could predict, so the seven-bit groups are spread without a branch. */
/* Needs room for 10 bytes, whatever x is. Lengths follow no pattern that a predictor could learn,
 * so up to 28 bits are spread over their bytes at once, and all eight are written. */
static inline uint8_t *oz_write_varint(uint8_t *to, uint64_t x)
{
    if (OZ_LIKELY(x < 1u << 28)) {
        unsigned n_more = (unsigned)(31 - __builtin_clz((uint32_t)x | 1)) / 7; /* bytes but one */
        uint64_t bytes =
            (x & 0x7f) | (x & 0x3f80) << 1 | (x & 0x1fc000) << 2 | (x & 0xfe00000) << 3;
        bytes |= UINT64_C(0x80808080) & ((UINT64_C(1) << 8 * n_more) - 1);
        bytes = oz_little_endian(bytes);
        memcpy(to, &bytes, sizeof bytes);
        return to + n_more + 1;
    }
    while (x >= 128) {
        *to++ = (uint8_t)(x | 128);
        x >>= 7;
    }
    *to++ = (uint8_t)x;
    return to;
}

static inline void oz_buf_varint(struct oz_buf *buf, uint64_t x)
{
    uint8_t *to = oz_buf_room(buf, 10);
    if (OZ_LIKELY(to)) buf->len = (size_t)(oz_write_varint(to, x) - buf->data);
}

static inline const uint8_t *oz_read_bytes(struct oz_row_reader *r, size_t n)
{
    static const uint8_t none[64];
    if (OZ_UNLIKELY((size_t)(r->end - r->at) < n)) {
        r->bad = true;
        r->at = r->end;
        return n <= sizeof none ? none : NULL;
    }
    const uint8_t *bytes = r->at;
    r->at += n;
    return bytes;
}
static inline uint8_t oz_read_u8(struct oz_row_reader *r) { return *oz_read_bytes(r, 1); }
static inline uint64_t oz_read_u64(struct oz_row_reader *r)
{
    uint64_t x;
    memcpy(&x, oz_read_bytes(r, 8), 8);
    return x;
}

static inline uint64_t oz_read_varint(struct oz_row_reader *r)
{
    uint64_t x = 0;
    if (OZ_LIKELY(r->end - r->at >= 8)) {
        memcpy(&x, r->at, 8);
        x = oz_little_endian(x);
        uint64_t ends = ~x & 0x8080808080808080;
        if (OZ_LIKELY(ends)) {
            r->at += __builtin_ctzll(ends) / 8 + 1;
            x &= (ends ^ (ends - 1)) & 0x7f7f7f7f7f7f7f7f;
            x = (x & 0x007f007f007f007f) | (x & 0x7f007f007f007f00) >> 1;
            x = (x & 0x00003fff00003fff) | (x & 0x3fff00003fff0000) >> 2;
            return (x & 0x000000000fffffff) | (x & 0x0fffffff00000000) >> 4;
        }
        x = 0;
    }
    for (int s = 0; s < 64; s += 7) {
        if (OZ_UNLIKELY(r->at == r->end)) break;
        uint8_t c = *r->at++;
        x |= (uint64_t)(c & 127) << s;
        if (c < 128) return x;
    }
    r->bad = true;
    return 0;
}

/* A varint that must lie in [min, max]. */
static inline uint64_t oz_read_within(struct oz_row_reader *r, uint64_t min, uint64_t max)
{
    uint64_t x = oz_read_varint(r);
    if (OZ_LIKELY(x >= min && x <= max)) return x;
    r->bad = true;
    return min;
}

static inline int64_t oz_read_time(struct oz_row_reader *r)
{
    int64_t us = oz_unzigzag(oz_read_varint(r));
    r->bad |= us > OZ_TIME_LIMIT || us < -OZ_TIME_LIMIT;
    return us;
}

/* A double, short when it is whole cents: zigzag(cents) << 1 as a varint, or 1 and the 8 bytes. */
void oz_buf_double(struct oz_buf *buf, double v);
double oz_read_double(struct oz_row_reader *r);
/* An exact total: u8 zero bytes at the low end | u8 bytes that follow, sign extended. */
void oz_buf_fix(struct oz_buf *buf, const uint64_t *fix);
void oz_read_fix(struct oz_row_reader *r, uint64_t *ret_fix);
#endif
