#include "features/block_codec.h"

enum { MODE_DOUBLES, MODE_CENTS, MODE_BITS, MODE_PAIRS, MODE_KEYS };
enum { UNIT_MICROS, UNIT_MILLIS, UNIT_SECONDS };
enum { CENTS_ESCAPE = 1, CENTS_NULL = 3 };
static const uint64_t unit_us[] = {1, 1000, 1000000};

/* Returns NULL when a time is no multiple of the unit. Inlined with a constant unit, so that the
 * division is a multiplication. */
static inline __attribute__((always_inline)) uint8_t *write_times(const struct oz_ring_layout *rl,
                                                                  const uint8_t *entry, uint32_t n,
                                                                  uint8_t *to, int64_t unit)
{
    int64_t at = oz_entry_time(entry);
    if (at % unit) return NULL;
    to = oz_write_varint(to, oz_zigzag(at / unit));
    for (uint32_t i = 1; i < n; i++) {
        entry += rl->stride;
        uint64_t delta = (uint64_t)(oz_entry_time(entry) - at), units = delta / (uint64_t)unit;
        if (units * (uint64_t)unit != delta) return NULL;
        at += (int64_t)delta;
        to = oz_write_varint(to, units);
    }
    return to;
}

static uint8_t *encode_times(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t n,
                             uint8_t *to)
{
    uint8_t *end = write_times(rl, entry, n, to + 1, 1000000);
    *to = UNIT_SECONDS;
    if (end) return end;
    *to = UNIT_MILLIS;
    end = write_times(rl, entry, n, to + 1, 1000);
    if (end) return end;
    *to = UNIT_MICROS;
    return write_times(rl, entry, n, to + 1, 1);
}

static uint8_t *encode_ids(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t n,
                           uint8_t *to)
{
    uint64_t before = 0;
    for (uint32_t i = 0; i < n && rl->id_words; i++, entry += rl->stride) {
        if (rl->id_words == 2) {
            memcpy(to, entry + 8, 16);
            to += 16;
            continue;
        }
        uint64_t id = oz_get_u64(entry + 8);
        to = oz_write_varint(to, oz_zigzag((int64_t)(id - before)));
        before = id;
    }
    return to;
}

/* Marks: there or not. */
static uint8_t *encode_marks(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t n,
                             uint32_t count_at, uint8_t *to)
{
    for (uint32_t i = 0; i < n; i += 8) {
        unsigned byte = 0;
        for (uint32_t k = 0; k < 8 && i + k < n; k++, entry += rl->stride)
            byte |= (unsigned)(oz_get_u32(entry + count_at) !=
                               oz_get_u32(entry + rl->stride + count_at))
                    << k;
        *to++ = (uint8_t)byte;
    }
    return to;
}

/* Bits or pairs of n values that are 0, 1 or null. NULL when one is something else. */
static uint8_t *encode_bits(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t n,
                            uint32_t value, unsigned width, uint8_t *to)
{
    unsigned byte = 0, fill = 0;
    for (uint32_t i = 0; i < n; i++, entry += rl->stride) {
        uint64_t bits = oz_entry_value(rl, entry, value);
        unsigned code = bits == 0 ? 0 : bits == oz_bits_of(1) ? 1 : 2;
        if (code == 2 && (width == 1 || oz_double_of(bits) == oz_double_of(bits))) return NULL;
        byte |= code << fill;
        fill += width;
        if (fill == 8) {
            *to++ = (uint8_t)byte;
            byte = fill = 0;
        }
    }
    if (fill) *to++ = (uint8_t)byte;
    return to;
}

/* Amounts of money, mostly; NULL when too many are not. */
static uint8_t *encode_cents(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t n,
                             uint32_t raw_at, uint8_t *to)
{
    const double round = 0x1.8p52; /* to the nearest integer, without a call, below 2^51 */
    uint32_t escapes = 0;
    entry += raw_at;
    for (uint32_t i = 0; i < n; i++, entry += rl->stride) {
        double v = oz_double_of(oz_get_u64(entry)), x = v * 100;
        double c = (x + round) - round;
        if (OZ_LIKELY(fabs(x) < 0x1p50 && c / 100 == v)) {
            to = oz_write_varint(to, oz_zigzag((int64_t)c) << 1);
        } else if (v != v) {
            *to++ = CENTS_NULL;
        } else {
            if (++escapes > 2 + i / 4) return NULL;
            *to++ = CENTS_ESCAPE;
            memcpy(to, &v, 8);
            to += 8;
        }
    }
    return to;
}

static uint8_t *encode_raw(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t n,
                           uint32_t raw_at, uint8_t *to)
{
    for (uint32_t i = 0; i < n; i++, entry += rl->stride, to += 8) memcpy(to, entry + raw_at, 8);
    return to;
}

static uint8_t *encode_value(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t n,
                             uint32_t value, uint8_t *to)
{
    const struct oz_value_layout *v = &rl->value[value];
    if (v->kind == OZ_VALUE_MARK && !v->nullable) return to;
    if (v->kind == OZ_VALUE_KEY) {
        *to = MODE_KEYS;
        return encode_raw(rl, entry, n, v->raw_at, to + 1);
    }
    uint8_t *end = NULL;
    *to = MODE_BITS;
    if (v->kind == OZ_VALUE_MARK) return encode_marks(rl, entry, n, v->count_at, to + 1);
    end = encode_bits(rl, entry, n, value, 1, to + 1);
    if (end) return end;
    *to = MODE_PAIRS;
    if (v->nullable) end = encode_bits(rl, entry, n, value, 2, to + 1);
    if (end) return end;
    *to = MODE_CENTS;
    end = encode_cents(rl, entry, n, v->raw_at, to + 1);
    if (end) return end;
    *to = MODE_DOUBLES;
    return encode_raw(rl, entry, n, v->raw_at, to + 1);
}

void oz_block_encode(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t n,
                     struct oz_buf *buf)
{
    uint8_t *to = oz_buf_room(buf, 32 + rl->n_values + (size_t)n * (10 + 16 + 10 * rl->n_values));
    if (!to) return;
    to = oz_write_varint(to, n);
    if (n) {
        to = encode_times(rl, entry, n, to);
        to = encode_ids(rl, entry, n, to);
        for (uint32_t i = 0; i < rl->n_values; i++) to = encode_value(rl, entry, n, i, to);
    }
    buf->len = (size_t)(to - buf->data);
}

enum oz_status oz_block_decode_n(struct oz_row_reader *r, uint32_t n_max, uint32_t *ret_n,
                                 struct oz_error *err)
{
    uint64_t n = oz_read_varint(r);
    if (r->bad || n > n_max || n > (size_t)(r->end - r->at))
        OZ_FAIL(err, OZ_CORRUPT, "a block of %llu events, expected at most %u",
                (unsigned long long)n, n_max);
    *ret_n = (uint32_t)n;
    return OZ_OK;
}

static enum oz_status decode_times(const struct oz_ring_layout *rl, struct oz_row_reader *r,
                                   uint8_t *entry, uint32_t n, struct oz_error *err)
{
    unsigned unit = oz_read_u8(r);
    if (unit > UNIT_SECONDS) OZ_FAIL(err, OZ_CORRUPT, "unknown time unit %u in a block", unit);
    int64_t us = (int64_t)unit_us[unit], limit = OZ_TIME_LIMIT / us, at = 0;
    for (uint32_t i = 0; i < n; i++, entry += rl->stride) {
        uint64_t x = oz_read_varint(r);
        int64_t step = i ? (int64_t)(x & INT64_MAX) : oz_unzigzag(x);
        if (step > 2 * limit || step < -limit)
            at = limit + 1;
        else
            at += step;
        if (OZ_UNLIKELY(at > limit)) OZ_FAIL(err, OZ_CORRUPT, "event %u has no possible time", i);
        oz_entry_set_time(entry, at * us);
    }
    return OZ_OK;
}

static void decode_ids(const struct oz_ring_layout *rl, struct oz_row_reader *r, uint8_t *entry,
                       uint32_t n)
{
    uint64_t id = 0;
    for (uint32_t i = 0; i < n && rl->id_words; i++, entry += rl->stride) {
        if (rl->id_words == 2) {
            memcpy(entry + 8, oz_read_bytes(r, 16), 16);
            continue;
        }
        id += (uint64_t)oz_unzigzag(oz_read_varint(r));
        oz_put_u64(entry + 8, id);
    }
}

/* The next value of a stored column. */
struct column {
    unsigned mode, byte, left;
};

static inline uint64_t next_value(struct column *c, struct oz_row_reader *r)
{
    if (c->mode == MODE_CENTS) {
        uint64_t x = oz_read_varint(r);
        if (OZ_LIKELY(!(x & 1))) return oz_bits_of((double)oz_unzigzag(x >> 1) / 100);
        if (x == CENTS_ESCAPE) return oz_read_u64(r);
        r->bad |= x != CENTS_NULL;
        return oz_bits_of(NAN);
    }
    if (c->mode == MODE_DOUBLES || c->mode == MODE_KEYS) return oz_read_u64(r);
    if (!c->left) {
        c->byte = oz_read_u8(r);
        c->left = 8;
    }
    unsigned width = c->mode == MODE_BITS ? 1 : 2, code = c->byte & (width == 1 ? 1 : 3);
    c->byte >>= width;
    c->left -= width;
    r->bad |= code == 3;
    return oz_bits_of(code == 2 ? NAN : (double)code);
}

static enum oz_status decode_value(const struct oz_ring_layout *rl, struct oz_row_reader *r,
                                   uint8_t *entry, uint32_t n, uint32_t value, struct oz_error *err)
{
    const struct oz_value_layout *v = &rl->value[value];
    if (v->kind == OZ_VALUE_MARK && !v->nullable) return OZ_OK;
    struct column c = {.mode = oz_read_u8(r)};
    bool fits = v->kind == OZ_VALUE_KEY      ? c.mode == MODE_KEYS
                : v->kind == OZ_VALUE_DOUBLE ? c.mode <= MODE_PAIRS
                : v->kind == OZ_VALUE_MARK   ? c.mode == MODE_BITS
                                             : c.mode == MODE_BITS || c.mode == MODE_PAIRS;
    if (r->bad || !fits)
        OZ_FAIL(err, OZ_CORRUPT, "value %u of a block in unknown form %u", value, c.mode);
    uint32_t nulls = 0, count = 0, ones = 0;
    for (uint32_t i = 0; i < n; i++, entry += rl->stride) {
        uint64_t bits = next_value(&c, r);
        if (v->kind == OZ_VALUE_MARK && !bits) bits = oz_bits_of(NAN);
        bits = oz_value_kept(v, bits, 0, &nulls);
        if (v->raw_at) oz_put_u64(entry + v->raw_at, bits);
        if (v->count_at) oz_put_u32(entry + v->count_at, count);
        if (v->ones_at) oz_put_u32(entry + v->ones_at, ones);
        count += !(nulls & 1);
        ones += bits == oz_bits_of(1);
        nulls = 0;
    }
    if (v->count_at) oz_put_u32(entry + v->count_at, count);
    if (v->ones_at) oz_put_u32(entry + v->ones_at, ones);
    return OZ_OK;
}

static void make_sums(const struct oz_ring_layout *rl, uint8_t *entry, uint32_t n)
{
    for (uint32_t i = 0; i < rl->n_sums; i++) {
        uint8_t *at = entry + rl->sum[i].at, *raw = entry + rl->value[rl->sum[i].value].raw_at;
        uint64_t sum[OZ_FIX_LIMBS] = {0}, add[OZ_FIX_LIMBS];
        for (uint32_t k = 0; k < n; k++, at += rl->stride, raw += rl->stride) {
            double v = oz_double_of(oz_get_u64(raw));
            oz_put_fix(at, sum);
            oz_fix_of(v == v ? v : 0, add);
            oz_fix_add(sum, sum, add);
        }
        oz_put_fix(at, sum);
    }
}

enum oz_status oz_block_decode(const struct oz_ring_layout *rl, struct oz_row_reader *r,
                               uint8_t *entry, uint32_t n, struct oz_error *err)
{
    uint8_t *sentinel = entry + (size_t)n * rl->stride;
    memset(sentinel, 0, rl->stride);
    oz_entry_set_time(sentinel, INT64_MAX);
    if (!n) return OZ_OK;
    memset(entry, 0, (size_t)n * rl->stride);
    OZ_TRY(decode_times(rl, r, entry, n, err));
    decode_ids(rl, r, entry, n);
    for (uint32_t i = 0; i < rl->n_values; i++) OZ_TRY(decode_value(rl, r, entry, n, i, err));
    make_sums(rl, entry, n);
    if (r->bad)
        OZ_FAIL(err, OZ_CORRUPT, "a block of %u events ends early or holds a wrong code", n);
    return OZ_OK;
}
