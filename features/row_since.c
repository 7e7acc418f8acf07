#include "features/row_since.h"

enum { PARTIAL = 64 };

/* ---------- reading */

static uint32_t slot_of(const struct oz_read *x) { return x->of_value ? 1u + x->value : 0; }

static int64_t since_of(const struct oz_row_work *w, uint32_t ring, uint32_t slot)
{
    return w->row->side ? w->row->side->ring[ring].since[slot] : OZ_TIME_NONE;
}

static enum oz_total total_of(enum oz_read_op op)
{
    switch (op) {
    case OZ_READ_SUM:
    case OZ_READ_MEAN: return OZ_TOTAL_SUM;
    case OZ_READ_MIN:
    case OZ_READ_MAX: return OZ_TOTAL_EXTREME;
    case OZ_READ_LAST: return OZ_TOTAL_LAST;
    default: return OZ_TOTAL_COUNT;
    }
}

/* A sum is null when the count is 0; a count that may be too large does no harm to the others. */
static bool is_partial(const struct oz_row_work *w, uint32_t ring, const struct oz_read *x)
{
    if (!w->row->side) return false;
    const uint64_t *partial = w->row->side->ring[ring].partial;
    enum oz_total total = total_of(x->op);
    uint64_t bits = partial[total] | (total == OZ_TOTAL_SUM ? partial[OZ_TOTAL_COUNT] : 0);
    return bits >> slot_of(x) & 1;
}

static bool reaches_gap(const struct oz_row_work *w, uint32_t ring, const struct oz_window *window,
                        int64_t time_us)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    const struct oz_read *x = &w->layout->read[window->first_read], *end = x + window->n_reads;
    if (window->tail == OZ_TAIL_LAST) return false; /* oz_since_flag_last() tells */
    if (window->tail == OZ_TAIL_ALL && rl->since_us != OZ_TIME_NONE) return true;
    /* Totals over all time may hold what a longer delay must still leave out. */
    if (window->tail == OZ_TAIL_ALL && time_us - window->delay_us < since_of(w, ring, 0))
        return true;
    for (; x < end; x++) {
        if (window->tail == OZ_TAIL_ALL) {
            if (is_partial(w, ring, x)) return true;
            continue;
        }
        int64_t since_us = OZ_MAX(rl->since_us, since_of(w, ring, 0));
        since_us = OZ_MAX(since_us, since_of(w, ring, slot_of(x)));
        if (time_us - rl->bound_us[window->tail] < since_us) return true;
    }
    return false;
}

void oz_since_flag(const struct oz_row_work *w, int64_t time_us, unsigned *flags)
{
    for (uint32_t i = 0; i < w->layout->n_rings; i++) {
        const struct oz_window *window = &w->layout->window[w->layout->ring[i].first_window];
        const struct oz_window *end = window + w->layout->ring[i].n_windows;
        for (; window < end; window++)
            if (reaches_gap(w, i, window, time_us)) *flags |= OZ_PUSH_WARMING;
    }
}

/* Events are let go from the oldest on: what a ring has are its newest. */
void oz_since_flag_last(const struct oz_row_work *w, uint32_t ring, const struct oz_window *window,
                        uint64_t n, int64_t oldest_us, unsigned *flags)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    const struct oz_read *x = &w->layout->read[window->first_read], *end = x + window->n_reads;
    int64_t since_us = OZ_MAX(rl->since_us, since_of(w, ring, 1 + rl->n_values));
    if (n < window->last &&
        (oz_ring_of(w->layout, w->row, ring)->trimmed || rl->since_us != OZ_TIME_NONE))
        *flags |= OZ_PUSH_WARMING;
    for (; x < end; x++)
        if (x->of_value) since_us = OZ_MAX(since_us, since_of(w, ring, slot_of(x)));
    if (n && oldest_us <= since_us) *flags |= OZ_PUSH_WARMING;
}

/* ---------- keeping */

enum oz_status oz_since_set(struct oz_row_work *w, uint32_t ring, uint32_t slot, int64_t us)
{
    struct oz_row_side *side;
    if (us == OZ_TIME_NONE) return OZ_OK;
    OZ_TRY(oz_row_side(w, &side));
    side->ring[ring].since[slot] = OZ_MAX(side->ring[ring].since[slot], us);
    side->warms = true;
    return OZ_OK;
}

static uint64_t any_of(const uint64_t partial[OZ_TOTALS])
{
    uint64_t any = 0;
    for (int k = 0; k < OZ_TOTALS; k++) any |= partial[k];
    return any;
}

enum oz_status oz_since_set_partial(struct oz_row_work *w, uint32_t ring,
                                    const uint64_t partial[OZ_TOTALS])
{
    struct oz_row_side *side;
    if (!any_of(partial)) return OZ_OK;
    OZ_TRY(oz_row_side(w, &side));
    for (int k = 0; k < OZ_TOTALS; k++) side->ring[ring].partial[k] |= partial[k];
    side->warms = true;
    return OZ_OK;
}

/* The newest n and totals over all time may hold an event for ever that lacks a value. */
void oz_since_settle(const struct oz_row_layout *layout, struct oz_row *row)
{
    struct oz_row_side *side = row->side;
    side->warms = false;
    for (uint32_t i = 0; i < layout->n_rings; i++) {
        const struct oz_ring_layout *rl = &layout->ring[i];
        struct oz_ring_side *rs = &side->ring[i];
        uint32_t n = rl->keep_last || rl->all_time ? 1 : 1 + rl->n_values;
        bool dated = row->last_us != OZ_TIME_NONE;
        for (uint32_t k = 0; dated && k < n; k++) {
            if (rs->since[k] == OZ_TIME_NONE || rs->since[k] > row->last_us - rl->reach_us)
                continue;
            rs->since[k] = OZ_TIME_NONE;
            oz_ring_of(layout, row, i)->trimmed = true;
        }
        for (uint32_t k = 0; k < 2 + rl->n_values; k++) side->warms |= rs->since[k] != OZ_TIME_NONE;
        side->warms |= any_of(rs->partial) != 0;
    }
}

/* ---------- bytes */

void oz_since_encode(const struct oz_row_layout *layout, const struct oz_row_side *side,
                     struct oz_buf *buf)
{
    for (uint32_t i = 0; i < layout->n_rings; i++) {
        const struct oz_ring_side *rs = &side->ring[i];
        for (uint32_t k = 0; k < 2 + layout->ring[i].n_values; k++) {
            if (rs->since[k] == OZ_TIME_NONE) continue;
            oz_buf_varint(buf, i);
            oz_buf_varint(buf, k);
            oz_buf_varint(buf, oz_zigzag(rs->since[k]));
        }
        for (uint32_t total = 0; total < OZ_TOTALS; total++)
            for (uint64_t bits = rs->partial[total]; bits; bits &= bits - 1) {
                oz_buf_varint(buf, i);
                oz_buf_varint(buf, PARTIAL * (1 + total) + (uint32_t)__builtin_ctzll(bits));
            }
    }
}

int64_t oz_since_newest(struct oz_row_reader *r)
{
    int64_t newest_us = OZ_TIME_NONE;
    while (r->at < r->end && !r->bad) {
        (void)oz_read_varint(r); /* the ring */
        if (oz_read_varint(r) >= PARTIAL) continue;
        int64_t us = oz_read_time(r);
        newest_us = OZ_MAX(newest_us, us);
    }
    return newest_us;
}

void oz_since_decode(const struct oz_row_layout *layout, struct oz_row_side *side,
                     struct oz_row_reader *r)
{
    side->warms = true;
    while (r->at < r->end && !r->bad) {
        uint64_t ring = oz_read_within(r, 0, layout->n_rings - 1);
        struct oz_ring_side *rs = &side->ring[ring];
        uint64_t slot = oz_read_varint(r), k = slot & (PARTIAL - 1);
        if (slot >= (1 + OZ_TOTALS) * PARTIAL ||
            k >= layout->ring[ring].n_values + (slot < PARTIAL ? 2 : 1))
            r->bad = true;
        else if (slot >= PARTIAL)
            rs->partial[slot / PARTIAL - 1] |= UINT64_C(1) << k;
        else
            rs->since[k] = oz_read_time(r);
    }
}
