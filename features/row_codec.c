#include "features/row_codec.h"
#include "features/block_codec.h"
#include "features/ring.h"
#include "features/row_retire.h"
#include "features/row_since.h"

enum { FLAG_INDEX = 1, FLAG_LAST = 2 };
enum { RING_SATURATED = 1, RING_BASE = 2, RING_TRIMMED = 4 };
enum { TAG_END, TAG_INCOMPLETE, TAG_SUPPRESSIONS };

/* ---------- writing */

/* A tag whose length is one byte when begun, so its bytes are moved up if they prove to be more. */
static size_t begin_tag(struct oz_buf *buf, unsigned tag)
{
    oz_buf_put_u8(buf, (uint8_t)tag);
    oz_buf_put_u8(buf, 0);
    return buf->len;
}

static void end_tag(struct oz_buf *buf, size_t from)
{
    if (buf->failed) return;
    uint8_t length[10];
    size_t n = buf->len - from, extra = (size_t)(oz_write_varint(length, n) - length) - 1;
    if (!oz_buf_room(buf, extra)) return;
    memmove(buf->data + from + extra, buf->data + from, n);
    memcpy(buf->data + from - 1, length, extra + 1);
    buf->len += extra;
}

static void encode_tags(const struct oz_row_layout *layout, struct oz_row *row, struct oz_buf *buf)
{
    if (row->side && row->side->warms) {
        size_t from = begin_tag(buf, TAG_INCOMPLETE);
        oz_since_encode(layout, row->side, buf);
        end_tag(buf, from);
    }
    const struct oz_suppression *s = oz_suppressions(layout, row);
    bool any = false;
    for (uint32_t i = 0; i < layout->n_suppressions; i++) any |= s[i].fired_us != OZ_TIME_NONE;
    if (any) {
        size_t from = begin_tag(buf, TAG_SUPPRESSIONS);
        for (uint32_t i = 0; i < layout->n_suppressions; i++) {
            if (s[i].fired_us == OZ_TIME_NONE) continue;
            oz_buf_varint(buf, i);
            oz_buf_varint(buf, oz_zigzag(s[i].fired_us));
            oz_buf_varint(buf, s[i].held_back);
        }
        end_tag(buf, from);
    }
    oz_buf_put_u8(buf, TAG_END);
}

static void encode_base(const struct oz_ring_layout *rl, const uint64_t *base, struct oz_buf *buf)
{
    oz_buf_varint(buf, base[0]);
    for (uint32_t i = 0; i < rl->n_sums; i++) oz_buf_fix(buf, base + rl->sum[i].word);
    for (uint32_t i = 0; i < rl->n_counts; i++) oz_buf_varint(buf, base[rl->count[i].word]);
    for (uint32_t i = 0; i < rl->n_ones; i++) oz_buf_varint(buf, base[rl->ones[i].word]);
    for (uint32_t i = 0; i < rl->n_values; i++) {
        if (!rl->value[i].outlives) continue;
        const uint64_t *last = base + rl->base_last + 2 * i;
        bool there = (int64_t)last[0] != OZ_TIME_NONE;
        oz_buf_put_u8(buf, there);
        if (!there) continue;
        oz_buf_varint(buf, oz_zigzag((int64_t)last[0]));
        oz_buf_put(buf, &last[1], 8);
    }
    for (uint32_t i = 0; i < 2 * rl->n_extremes; i++)
        oz_buf_double(buf, oz_double_of(base[rl->base_extreme + i]));
}

static enum oz_status encode_main(struct oz_row_work *w, struct oz_buf *buf)
{
    const struct oz_row_layout *layout = w->layout;
    struct oz_row *row = w->row;
    bool spilled = false, timed = row->last_us != OZ_TIME_NONE;
    for (uint32_t i = 0; i < layout->n_rings; i++) {
        spilled |= oz_ring_of(layout, row, i)->spilled;
        if (!oz_ring_of(layout, row, i)->spilled) OZ_TRY(oz_ring_trim(w, i));
    }
    if (row->side && row->side->warms) oz_since_settle(layout, row);
    oz_buf_put_u8(buf, OZ_ROW_VERSION);
    oz_buf_put_u8(buf, (uint8_t)((spilled ? FLAG_INDEX : 0) | (timed ? FLAG_LAST : 0)));
    if (timed) oz_buf_varint(buf, oz_zigzag(row->last_us));
    oz_buf_varint(buf, row->side ? row->side->next_part : OZ_PART_FIRST_CHUNK);
    encode_tags(layout, row, buf);
    for (uint32_t i = 0; i < layout->n_rings; i++) {
        const struct oz_ring_layout *rl = &layout->ring[i];
        struct oz_ring *r = oz_ring_of(layout, row, i);
        const struct oz_ring_side *rs = row->side ? &row->side->ring[i] : NULL;
        bool saturated = rs && rs->saturated_us != OZ_TIME_NONE;
        bool base = rs && rs->base && rs->base[0];
        oz_buf_put_u8(buf, (uint8_t)((saturated ? RING_SATURATED : 0) | (base ? RING_BASE : 0) |
                                     (r->trimmed ? RING_TRIMMED : 0)));
        if (saturated) oz_buf_varint(buf, oz_zigzag(rs->saturated_us));
        if (base) encode_base(rl, rs->base, buf);
        oz_block_encode(rl, oz_ring_slot(rl, r, r->first), r->len - r->first, buf);
    }
    return OZ_OK;
}

enum oz_status oz_row_encode(struct oz_row_work *w, struct oz_sealed *sealed)
{
    if (w->row->changed && oz_row_is_empty(w->layout, w->row)) {
        OZ_TRY(oz_sealed_delete(sealed, OZ_PART_MAIN, w->err));
        w->row->changed = false;
        if (w->row->side) w->row->side->next_part = OZ_PART_FIRST_CHUNK;
    } else if (w->row->changed) {
        struct oz_buf *buf = oz_sealed_begin(sealed, OZ_PART_MAIN, w->err);
        if (!buf) return OZ_NO_MEMORY;
        OZ_TRY(encode_main(w, buf));
        OZ_TRY(oz_sealed_end(sealed, w->err));
        w->row->changed = false;
    }
    return w->row->side ? oz_parts_encode(w, sealed) : OZ_OK;
}

/* ---------- reading */

static enum oz_status decode_tags(struct oz_row_work *w, struct oz_row_reader *r)
{
    struct oz_suppression *s = oz_suppressions(w->layout, w->row);
    const struct oz_row_reading *reading = w->reading;
    uint32_t n_slots = reading ? reading->layout->n_suppressions : w->layout->n_suppressions;
    struct oz_row_side *side;
    for (;;) {
        unsigned tag = oz_read_u8(r);
        if (tag == TAG_END) return OZ_OK;
        uint64_t n = oz_read_varint(r);
        if (r->bad || n > (size_t)(r->end - r->at))
            OZ_FAIL(w->err, OZ_CORRUPT, "a row's main part ends early");
        struct oz_row_reader t = {r->at, r->at + n, false};
        r->at += n;
        if (tag == TAG_INCOMPLETE) {
            OZ_TRY(oz_row_side(w, &side));
            oz_since_decode(w->layout, side, &t);
        } else if (tag == TAG_SUPPRESSIONS) {
            while (t.at < t.end && !t.bad) {
                uint64_t slot = oz_read_varint(&t);
                int64_t fired_us = oz_read_time(&t);
                uint64_t held_back = oz_read_within(&t, 0, UINT32_MAX);
                int to = t.bad || slot >= n_slots ? -1 : reading ? reading->slot[slot] : (int)slot;
                t.bad |= slot >= n_slots;
                if (to >= 0) s[to] = (struct oz_suppression){fired_us, (uint32_t)held_back, 0};
            }
        } else {
            OZ_FAIL(w->err, OZ_CORRUPT,
                    "a row's main part has the unknown tag %u: run the version that wrote it", tag);
        }
        if (t.bad || t.at != t.end) OZ_FAIL(w->err, OZ_CORRUPT, "tag %u of a row is damaged", tag);
    }
}

bool oz_row_read_summary(const uint8_t *payload, size_t len, struct oz_row_summary *ret_summary)
{
    struct oz_row_reader r = {payload, payload + len, false};
    struct oz_row_summary sum = {OZ_TIME_NONE, OZ_TIME_NONE, OZ_TIME_NONE, false};
    if (oz_read_u8(&r) != OZ_ROW_VERSION) return false;
    if (oz_read_u8(&r) & FLAG_LAST) sum.last_us = oz_read_time(&r);
    (void)oz_read_varint(&r); /* the next part's number */
    for (unsigned tag; (tag = oz_read_u8(&r)) != TAG_END && !r.bad;) {
        uint64_t n = oz_read_varint(&r);
        if (r.bad || n > (size_t)(r.end - r.at)) return false;
        struct oz_row_reader t = {r.at, r.at + n, false};
        r.at += n;
        if (tag == TAG_INCOMPLETE) sum.since_us = oz_since_newest(&t);
        while (tag == TAG_SUPPRESSIONS && t.at < t.end && !t.bad) {
            (void)oz_read_varint(&t); /* the slot */
            int64_t fired_us = oz_read_time(&t);
            sum.fired_us = OZ_MAX(sum.fired_us, fired_us);
            sum.held_back |= oz_read_varint(&t) > 0;
        }
        r.bad |= t.bad;
    }
    *ret_summary = sum;
    return !r.bad;
}

static void decode_base(const struct oz_ring_layout *rl, struct oz_row_reader *r, uint64_t *base)
{
    base[0] = oz_read_varint(r);
    for (uint32_t i = 0; i < rl->n_sums; i++) oz_read_fix(r, base + rl->sum[i].word);
    for (uint32_t i = 0; i < rl->n_counts; i++) base[rl->count[i].word] = oz_read_varint(r);
    for (uint32_t i = 0; i < rl->n_ones; i++) base[rl->ones[i].word] = oz_read_varint(r);
    for (uint32_t i = 0; i < rl->n_values; i++) {
        if (!rl->value[i].outlives) continue;
        uint64_t *last = base + rl->base_last + 2 * i;
        if (!oz_read_within(r, 0, 1)) continue;
        last[0] = (uint64_t)oz_read_time(r);
        last[1] = oz_read_u64(r);
    }
    for (uint32_t i = 0; i < 2 * rl->n_extremes; i++)
        base[rl->base_extreme + i] = oz_bits_of(oz_read_double(r));
}

static enum oz_status decode_ring(struct oz_row_work *w, struct oz_row_reader *r, uint32_t ring)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring *to = oz_ring_of(w->layout, w->row, ring);
    struct oz_row_side *side;
    uint32_t n;
    unsigned flags = oz_read_u8(r);
    if (flags & ~(unsigned)(RING_SATURATED | RING_BASE | RING_TRIMMED) ||
        (flags & RING_BASE && !rl->base_words))
        OZ_FAIL(w->err, OZ_CORRUPT, "unknown flags %u", flags);
    to->trimmed = flags & RING_TRIMMED;
    if (flags & (RING_SATURATED | RING_BASE)) OZ_TRY(oz_row_side(w, &side));
    if (flags & RING_SATURATED) side->ring[ring].saturated_us = oz_read_time(r);
    if (flags & RING_BASE) decode_base(rl, r, side->ring[ring].base);
    OZ_TRY(oz_block_decode_n(r, 2 * w->layout->block_events - 1, &n, w->err));
    if (!n) return OZ_OK;
    OZ_TRY(oz_ring_reserve(w, ring, n + 1));
    OZ_TRY(oz_block_decode(rl, r, to->entry, n, w->err));
    to->len = n;
    return OZ_OK;
}

enum oz_status oz_row_decode(struct oz_row_work *w, const uint8_t *payload, size_t len)
{
    struct oz_row_reader r = {payload, payload + len, false};
    struct oz_row_side *side;
    unsigned version = oz_read_u8(&r), flags = oz_read_u8(&r);
    if (version != OZ_ROW_VERSION)
        OZ_FAIL(w->err, OZ_CORRUPT, "a row's main part is of version %u, this one reads %d",
                version, OZ_ROW_VERSION);
    if (flags & ~(unsigned)(FLAG_INDEX | FLAG_LAST))
        OZ_FAIL(w->err, OZ_CORRUPT, "a row's main part has unknown flags %u", flags);
    if (flags & FLAG_LAST) w->row->last_us = oz_read_time(&r);
    uint64_t next_part = oz_read_within(&r, OZ_PART_FIRST_CHUNK, UINT32_MAX);
    if (next_part > OZ_PART_FIRST_CHUNK) {
        OZ_TRY(oz_row_side(w, &side));
        side->next_part = (uint32_t)next_part;
    }
    OZ_TRY(decode_tags(w, &r));
    for (uint32_t i = 0; i < w->layout->n_rings; i++) {
        enum oz_status status = decode_ring(w, &r, i);
        if (status == OZ_CORRUPT) oz_error_prefix(w->err, "ring %u of a row's main part", i);
        OZ_TRY(status);
    }
    const struct oz_ring *scored = oz_ring_of(w->layout, w->row, 0);
    int64_t newest_us = OZ_TIME_NONE;
    if (scored->len)
        newest_us = oz_entry_time(oz_ring_slot(&w->layout->ring[0], scored, scored->len - 1));
    if (r.bad || r.at != r.end || newest_us != w->row->last_us)
        OZ_FAIL(w->err, OZ_CORRUPT, "a row's main part is damaged: %s",
                r.bad           ? "it ends early"
                : r.at != r.end ? "bytes follow its end"
                                : "its newest event is not where its header says");
    if (flags & FLAG_INDEX) {
        OZ_TRY(oz_row_side(w, &side));
        OZ_TRY(oz_index_decode(w));
    }
    for (uint32_t i = 0; i < w->layout->n_rings; i++)
        if (!oz_ring_of(w->layout, w->row, i)->spilled) oz_ring_find_cursors(w->layout, w->row, i);
    return OZ_OK;
}
