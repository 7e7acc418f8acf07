#include "features/row.h"
#include "features/ring.h"
#include "features/row_codec.h"
#include "features/row_read.h"
#include "features/row_retire.h"
#include "features/row_since.h"

/* ---------- life */

void oz_row_init(const struct oz_row_layout *layout, struct oz_row *row)
{
    *row = (struct oz_row){.last_us = OZ_TIME_NONE};
    for (uint32_t i = 0; i < layout->n_rings; i++)
        oz_ring_init(&layout->ring[i], oz_ring_of(layout, row, i));
    struct oz_suppression *s = oz_suppressions(layout, row);
    for (uint32_t i = 0; i < layout->n_suppressions; i++)
        s[i] = (struct oz_suppression){.fired_us = OZ_TIME_NONE};
}

void oz_row_clear(const struct oz_row_layout *layout, struct oz_row *row, struct oz_pool *pool)
{
    for (uint32_t i = 0; i < layout->n_rings; i++) oz_ring_clear(oz_ring_of(layout, row, i), pool);
    if (row->side) {
        oz_parts_free(row->side, layout, pool);
        oz_pool_put(pool, row->side, layout->side_bytes);
    }
    row->side = NULL;
}

static enum oz_status row_init(const void *ctx, void *row, struct oz_row_io *io,
                               struct oz_error *err)
{
    (void)io, (void)err;
    oz_row_init(ctx, row);
    return OZ_OK;
}

static void row_clear(const void *ctx, void *row, struct oz_pool *pool)
{
    oz_row_clear(ctx, row, pool);
}

static enum oz_status row_decode(const void *ctx, void *row, struct oz_row_io *io,
                                 const uint8_t *payload, size_t len, struct oz_error *err)
{
    const struct oz_row_layout *layout = ctx;
    oz_row_init(layout, row);
    struct oz_row_work w = {layout, row, io, err, NULL};
    OZ_ASSERT(io->layout <= layout->n_readings);
    enum oz_status status = io->layout
                                ? oz_row_convert(&w, layout->reading[io->layout - 1], payload, len)
                                : oz_row_decode(&w, payload, len);
    if (status) row_clear(ctx, row, io->pool);
    return status;
}

static enum oz_status row_encode(const void *ctx, void *row, struct oz_row_io *io,
                                 struct oz_sealed *sealed, struct oz_error *err)
{
    struct oz_row_work w = {ctx, row, io, err, NULL};
    return oz_row_encode(&w, sealed);
}

/* Encoding reads the open events from the first on; the processor's own prefetching follows after
 * some lines. */
static void row_prefetch(const void *ctx, const void *row)
{
    enum { LINES = 8, LINE_BYTES = 64 };
    const struct oz_row_layout *layout = ctx;
    for (uint32_t i = 0; i < layout->n_rings; i++) {
        const struct oz_ring_layout *rl = &layout->ring[i];
        const struct oz_ring *r = (const struct oz_ring *)((const uint8_t *)row + rl->at);
        const uint8_t *at = oz_ring_slot(rl, r, r->first), *end = oz_ring_slot(rl, r, r->len + 1);
        for (int k = 0; k < LINES && at < end; k++, at += LINE_BYTES) __builtin_prefetch(at);
    }
}

struct oz_row_kind oz_row_kind_of(const struct oz_row_layout *layout)
{
    return (struct oz_row_kind){.ctx = layout,
                                .row_bytes = layout->row_bytes,
                                .init = row_init,
                                .decode = row_decode,
                                .encode = row_encode,
                                .clear = row_clear,
                                .prefetch = row_prefetch};
}

/* The side and all that hangs on it in one block of the pool. */
enum oz_status oz_row_side(struct oz_row_work *w, struct oz_row_side **ret_side)
{
    struct oz_row_side *side = w->row->side;
    const struct oz_row_layout *layout = w->layout;
    *ret_side = side;
    if (side) return OZ_OK;
    side = oz_pool_get(w->io->pool, layout->side_bytes, NULL);
    if (!side) return oz_no_memory(w->err);
    memset(side, 0, layout->side_bytes);
    side->next_part = OZ_PART_FIRST_CHUNK;
    side->bag = (struct oz_bag *)(side->ring + layout->n_rings);
    side->memo = (struct oz_memo *)(side->bag + layout->n_bags);
    uint64_t *words = (uint64_t *)(side->memo + layout->n_memos);
    for (uint32_t i = 0; i < layout->n_rings; i++) {
        const struct oz_ring_layout *rl = &layout->ring[i];
        side->ring[i].saturated_us = OZ_TIME_NONE;
        side->ring[i].before = words;
        words += rl->n_words;
        side->ring[i].since = (int64_t *)words;
        for (uint32_t k = 0; k < 2 + rl->n_values; k++) side->ring[i].since[k] = OZ_TIME_NONE;
        words += 2 + rl->n_values;
        if (!rl->base_words) continue;
        side->ring[i].base = words;
        oz_base_zero(rl, words);
        words += rl->base_words;
    }
    w->row->side = *ret_side = side;
    return OZ_OK;
}

/* ---------- taking an event */

/* An event of this row's own, in the form in which it is kept. */
static inline void keep_event(const struct oz_ring_layout *rl, const struct oz_row_event *event,
                              struct oz_entry_event *ret_event)
{
    ret_event->time_us = event->time_us;
    ret_event->id = event->id;
    ret_event->nulls = 0;
    for (uint32_t i = 0; i < rl->n_values; i++)
        ret_event->value[i] = oz_value_kept(&rl->value[i], event->value[i], i, &ret_event->nulls);
}

static inline enum oz_status append(struct oz_row_work *w, uint32_t ring,
                                    const struct oz_entry_event *event)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring *r = oz_ring_of(w->layout, w->row, ring);
    if (OZ_UNLIKELY(r->len + 2 > r->cap)) OZ_TRY(oz_ring_make_room(w, ring));
    uint8_t *entry = oz_ring_slot(rl, r, r->len);
    oz_entry_write(rl, entry, event);
    oz_entry_set_time(entry + rl->stride, INT64_MAX);
    r->len++;
    w->row->changed = true;
    return OZ_OK;
}

/* Most cursors move by 0 to 2 entries, and no predictor knows how many: two steps without a branch.
 */
static inline uint32_t step_cursor(const struct oz_ring_layout *rl, const struct oz_ring *r,
                                   uint32_t slot, int64_t limit_us)
{
    const uint8_t *entry = oz_ring_slot(rl, r, slot);
    for (int k = 0; k < 2; k++) {
        uint32_t step = oz_entry_time(entry) <= limit_us;
        entry += step * rl->stride;
        slot += step;
    }
    while (OZ_UNLIKELY(oz_entry_time(entry) <= limit_us)) {
        entry += rl->stride;
        slot++;
    }
    return slot;
}

static inline void move_cursors(struct oz_row_work *w, int64_t time_us)
{
    w->row->last_us = time_us;
    for (uint32_t i = 0; i < w->layout->n_rings; i++) {
        const struct oz_ring_layout *rl = &w->layout->ring[i];
        struct oz_ring *r = oz_ring_of(w->layout, w->row, i);
        if (OZ_UNLIKELY(r->spilled)) continue;
        for (uint32_t b = 0; b < rl->n_bounds; b++)
            r->cursor[b] = step_cursor(rl, r, r->cursor[b], time_us - rl->bound_us[b]);
    }
}

/* An event at its own time, or the one that it repeats: *ret_self is its slot, or its ordinal in a
 * spilled ring. */
static __attribute__((noinline)) enum oz_status take_inside(struct oz_row_work *w, uint32_t ring,
                                                            const struct oz_entry_event *event,
                                                            uint64_t *ret_self, unsigned *flags)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring *r = oz_ring_of(w->layout, w->row, ring);
    struct oz_spot spot, found;
    bool repeat = false, changed = false;
    if (r->len + 2 > r->cap) OZ_TRY(oz_ring_make_room(w, ring));
    OZ_TRY(oz_ring_spot(w, ring, event->time_us, &spot));
    if (rl->id_words) OZ_TRY(oz_ring_find(w, ring, event, &spot, &repeat, &found));
    if (repeat) {
        *flags |= OZ_PUSH_DUPLICATE;
        spot = found;
        if (rl->replaces) OZ_TRY(oz_ring_replace(w, ring, event, &spot, &changed));
        if (changed) *flags |= OZ_PUSH_CHANGED;
    }
    *ret_self = spot.slot;
    if (r->spilled) OZ_TRY(oz_ring_ordinal(w, ring, &spot, ret_self));
    if (repeat) return OZ_OK;
    *flags |= OZ_PUSH_CHANGED;
    return oz_ring_insert(w, ring, event, &spot);
}

static inline uint64_t newest_self(const struct oz_row_work *w, const struct oz_ring *r)
{
    if (OZ_LIKELY(!r->spilled)) return r->len - 1;
    return w->row->side->ring[0].before[0] + r->len - r->first - 1;
}

static void no_aggregates(const struct oz_row_layout *layout, double *ret_aggregate)
{
    for (uint32_t i = 0; i < layout->n_aggregates; i++) ret_aggregate[i] = NAN;
}

static bool was_dropped(const struct oz_row_work *w, uint32_t ring, int64_t time_us)
{
    return w->row->side && time_us < w->row->side->ring[ring].saturated_us;
}

static enum oz_status push_scored(struct oz_row_work *w, const struct oz_entry_event *event,
                                  double *ret_aggregate, unsigned *flags)
{
    const struct oz_ring_layout *rl = &w->layout->ring[0];
    struct oz_ring *r = oz_ring_of(w->layout, w->row, 0);
    if (OZ_UNLIKELY(w->layout->ttl_us)) OZ_TRY(oz_row_apply_ttl(w, event->time_us));
    int64_t last_us = w->row->last_us;
    uint64_t self;
    bool settled = event->time_us >= last_us;
    if (OZ_UNLIKELY(w->layout->n_bags && !w->row->side)) {
        struct oz_row_side *side;
        OZ_TRY(oz_row_side(w, &side));
    }
    if (OZ_LIKELY(event->time_us > last_us || (settled && !rl->id_words))) {
        OZ_TRY(append(w, 0, event));
        *flags |= OZ_PUSH_CHANGED;
        move_cursors(w, event->time_us);
        self = newest_self(w, r);
    } else if (event->time_us < last_us - rl->lateness_us || was_dropped(w, 0, event->time_us)) {
        if (was_dropped(w, 0, event->time_us)) *flags |= OZ_PUSH_SATURATED;
        *flags |= OZ_PUSH_LATE;
        no_aggregates(w->layout, ret_aggregate);
        return OZ_OK;
    } else {
        OZ_TRY(take_inside(w, 0, event, &self, flags));
        if (settled) move_cursors(w, event->time_us);
    }
    OZ_TRY(oz_row_read(w, event->time_us, self, settled, ret_aggregate, flags));
    if (!(*flags & OZ_PUSH_CHANGED)) return OZ_OK;
    OZ_TRY(oz_ring_settle(w, 0));
    for (uint32_t i = 1; i < w->layout->n_rings; i++)
        if (OZ_UNLIKELY(oz_ring_of(w->layout, w->row, i)->spilled)) OZ_TRY(oz_ring_expire(w, i));
    return OZ_OK;
}

static enum oz_status push_unscored(struct oz_row_work *w, uint32_t ring,
                                    const struct oz_entry_event *event, unsigned *flags)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring *r = oz_ring_of(w->layout, w->row, ring);
    int64_t last_us = w->row->last_us;
    uint64_t self;
    if (last_us != OZ_TIME_NONE) {
        if (event->time_us < last_us - rl->lateness_us) {
            *flags |= OZ_PUSH_LATE;
            return OZ_OK;
        }
        /* No window of a later event will see it. */
        if (!rl->all_time && !rl->keep_last && event->time_us <= last_us - rl->reach_us) {
            if (!r->trimmed) *flags |= OZ_PUSH_CHANGED;
            w->row->changed |= !r->trimmed;
            r->trimmed = true;
            return OZ_OK;
        }
    }
    if (was_dropped(w, ring, event->time_us)) {
        *flags |= OZ_PUSH_SATURATED;
        return OZ_OK;
    }
    bool newest =
        r->len > r->first && oz_entry_time(oz_ring_slot(rl, r, r->len - 1)) < event->time_us;
    if (newest || (r->len == r->first && !r->spilled)) {
        OZ_TRY(append(w, ring, event));
        *flags |= OZ_PUSH_CHANGED;
        oz_ring_shift_cursors(rl, w->row, r, event->time_us);
    } else {
        OZ_TRY(take_inside(w, ring, event, &self, flags));
    }
    return *flags & OZ_PUSH_CHANGED ? oz_ring_settle(w, ring) : OZ_OK;
}

enum oz_status oz_row_push(const struct oz_row_layout *layout, void *row, struct oz_row_io *io,
                           const struct oz_row_event *event, double *ret_aggregate,
                           unsigned *ret_flags, struct oz_error *err)
{
    struct oz_row_work w = {layout, row, io, err, NULL};
    struct oz_entry_event kept;
    unsigned flags = 0;
    OZ_ASSERT(event->ring < layout->n_rings && !w.row->failed);
    if (OZ_UNLIKELY(event->time_us > OZ_TIME_LIMIT || event->time_us < -OZ_TIME_LIMIT))
        OZ_FAIL(err, OZ_RECORD, "an event's time is out of range");
    keep_event(&layout->ring[event->ring], event, &kept);
    enum oz_status status = event->ring == 0 ? push_scored(&w, &kept, ret_aggregate, &flags)
                                             : push_unscored(&w, event->ring, &kept, &flags);
    if (OZ_UNLIKELY(status != OZ_OK)) {
        w.row->failed = true;
        return status;
    }
    if (OZ_UNLIKELY(w.row->side && w.row->side->grown)) oz_parts_shed(&w);
    *ret_flags = flags;
    return OZ_OK;
}

/* ---------- prefetch */

void oz_row_prefetch(const struct oz_row_layout *layout, const void *row)
{
    const char *at = row;
    for (uint32_t i = 0; i < layout->suppressions_at && i < 256; i += 64)
        __builtin_prefetch(at + i);
}

void oz_row_prefetch_rings(const struct oz_row_layout *layout, const void *row)
{
    for (uint32_t i = 0; i < layout->n_rings; i++) {
        const struct oz_ring_layout *rl = &layout->ring[i];
        const struct oz_ring *r = (const struct oz_ring *)((const uint8_t *)row + rl->at);
        const uint8_t *end = oz_ring_slot(rl, r, r->len);
        __builtin_prefetch(end, 1);
        __builtin_prefetch(end + 2 * rl->stride - 1, 1);
        for (uint32_t b = 0; b < rl->n_bounds && !r->spilled; b++) {
            const uint8_t *entry = oz_ring_slot(rl, r, r->cursor[b]);
            __builtin_prefetch(entry);
            __builtin_prefetch(entry + 2 * rl->stride - 1);
        }
    }
}

/* ---------- alerts */

bool oz_row_alert(const struct oz_row_layout *layout, void *row, uint32_t slot, int64_t time_us,
                  int64_t suppress_us, uint32_t *ret_held_back)
{
    OZ_ASSERT(slot < layout->n_suppressions);
    struct oz_suppression *s = oz_suppressions(layout, row) + slot;
    ((struct oz_row *)row)->changed = true;
    int64_t fired_us = s->fired_us, apart_us = INT64_MAX;
    if (fired_us != OZ_TIME_NONE)
        apart_us = time_us > fired_us ? time_us - fired_us : fired_us - time_us;
    if (apart_us < suppress_us) {
        s->held_back += s->held_back < UINT32_MAX;
        return false;
    }
    *ret_held_back = s->held_back;
    s->held_back = 0;
    s->fired_us = OZ_MAX(fired_us, time_us);
    return true;
}
