#include "features/ring.h"
#include "features/ring_bags.h"
#include "features/ring_chunks.h"

/* What a ring without memory of its own points at: a sentinel with totals of zero. */
static const struct {
    int64_t time_us;
    uint8_t zero[OZ_ENTRY_BYTES_MAX - 8];
} no_events = {INT64_MAX, {0}};

void oz_ring_init(const struct oz_ring_layout *rl, struct oz_ring *ring)
{
    memset(ring, 0, sizeof *ring + rl->n_bounds * sizeof *ring->cursor);
    ring->entry = (uint8_t *)(uintptr_t)&no_events; /* never written: there is no room in it */
}

void oz_ring_clear(struct oz_ring *ring, struct oz_pool *pool)
{
    if (ring->order) oz_pool_put(pool, ring->entry, (size_t)1 << ring->order);
    ring->order = 0;
    ring->first = ring->len = ring->cap = 0;
    ring->entry = (uint8_t *)(uintptr_t)&no_events;
}

/* Moves the events to the start of `to`. */
static void settle_at(const struct oz_ring_layout *rl, struct oz_ring *r, uint8_t *to)
{
    memmove(to, oz_ring_slot(rl, r, r->first), (size_t)(r->len - r->first + 1) * rl->stride);
    for (uint32_t b = 0; b < rl->n_bounds; b++) r->cursor[b] -= r->first;
    r->len -= r->first;
    r->first = 0;
}

enum oz_status oz_ring_reserve(struct oz_row_work *w, uint32_t ring, uint32_t n)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring *r = oz_ring_of(w->layout, w->row, ring);
    size_t want = ((size_t)n + 1) * rl->stride;
    unsigned order = 6;
    while (((size_t)1 << order) < want) order++;
    uint8_t *entry = oz_pool_get(w->io->pool, (size_t)1 << order, NULL);
    if (!entry) return oz_no_memory(w->err);
    settle_at(rl, r, entry);
    if (r->order) oz_pool_put(w->io->pool, r->entry, (size_t)1 << r->order);
    r->entry = entry;
    r->order = (uint8_t)order;
    r->cap = (uint32_t)(((size_t)1 << order) / rl->stride);
    return OZ_OK;
}

OZ_COLD enum oz_status oz_ring_make_room(struct oz_row_work *w, uint32_t ring)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring *r = oz_ring_of(w->layout, w->row, ring);
    if (!r->spilled) OZ_TRY(oz_ring_trim(w, ring));
    if (r->first > r->cap / 4) {
        settle_at(rl, r, r->entry);
        return OZ_OK;
    }
    return oz_ring_reserve(w, ring, OZ_MAX(2, r->cap + 1));
}

/* The first slot that some later event may see. */
static uint32_t live_slot(const struct oz_row *row, const struct oz_ring_layout *rl,
                          const struct oz_ring *r)
{
    if (row->last_us == OZ_TIME_NONE) return r->first;
    uint32_t slot = r->first;
    int64_t limit_us = row->last_us - rl->reach_us;
    while (oz_entry_time(oz_ring_slot(rl, r, slot)) <= limit_us) slot++;
    if (!rl->keep_last) return slot;
    uint32_t settled = oz_entries_upper_back(rl, oz_ring_slot(rl, r, r->first), r->len - r->first,
                                             row->last_us - rl->settle_us);
    uint32_t keep = r->first + (settled > rl->keep_last ? settled - rl->keep_last : 0);
    /* Equal times stay together, so that a repeat of one of them is known. */
    while (keep > r->first &&
           oz_entry_time(oz_ring_slot(rl, r, keep - 1)) == oz_entry_time(oz_ring_slot(rl, r, keep)))
        keep--;
    return OZ_MIN(slot, keep);
}

enum oz_status oz_ring_trim(struct oz_row_work *w, uint32_t ring)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring *r = oz_ring_of(w->layout, w->row, ring);
    uint32_t n = live_slot(w->row, rl, r) - r->first;
    if (!n) return OZ_OK;
    struct oz_row_side *side = w->row->side;
    if (rl->all_time && !side) OZ_TRY(oz_row_side(w, &side));
    if (rl->all_time) oz_base_take(rl, side->ring[ring].base, oz_ring_slot(rl, r, r->first), n);
    if (rl->has_bags && side) OZ_TRY(oz_bags_leave(w, ring, side->ring[ring].before[0] + n));
    if (side) side->ring[ring].before[0] += n;
    r->first += n;
    r->trimmed = true;
    return OZ_OK;
}

void oz_ring_find_cursors(const struct oz_row_layout *layout, struct oz_row *row, uint32_t ring)
{
    const struct oz_ring_layout *rl = &layout->ring[ring];
    struct oz_ring *r = oz_ring_of(layout, row, ring);
    const uint8_t *first = oz_ring_slot(rl, r, r->first);
    for (uint32_t b = 0; b < rl->n_bounds; b++)
        r->cursor[b] = r->first + oz_entries_upper(rl, first, r->len - r->first,
                                                   row->last_us - rl->bound_us[b]);
}

/* ---------- finding */

static bool reaches_beyond(const struct oz_ring_layout *rl, const struct oz_refs *refs, int64_t us)
{
    return refs->n && oz_ref_at(rl, refs, refs->n - 1)->last_us > us;
}

static uint32_t first_beyond(const struct oz_ring_layout *rl, const struct oz_refs *refs,
                             int64_t us)
{
    uint32_t lo = 0, hi = refs->n - 1;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (oz_ref_at(rl, refs, mid)->last_us <= us)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

enum oz_status oz_ring_spot(struct oz_row_work *w, uint32_t ring, int64_t us,
                            struct oz_spot *ret_spot)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring *r = oz_ring_of(w->layout, w->row, ring);
    struct oz_spot spot = {.open = true};
    struct oz_ring_side *rs = r->spilled ? &w->row->side->ring[ring] : NULL;
    if (rs && (reaches_beyond(rl, &rs->chunk, us) || reaches_beyond(rl, &rs->page, us))) {
        struct oz_refs *refs;
        struct oz_block *page;
        spot.open = false;
        spot.page =
            reaches_beyond(rl, &rs->page, us) ? first_beyond(rl, &rs->page, us) : rs->page.n;
        OZ_TRY(oz_ring_refs(w, ring, spot.page, &refs, &page));
        spot.chunk = first_beyond(rl, refs, us);
        OZ_TRY(oz_part_get(w, ring, oz_ref_at(rl, refs, spot.chunk), false, &spot.block));
        spot.slot = oz_entries_upper(rl, spot.block->entry, spot.block->n, us);
    } else {
        if (rs) spot.page = rs->page.n, spot.chunk = rs->chunk.n;
        spot.slot = r->first +
                    oz_entries_upper_back(rl, oz_ring_slot(rl, r, r->first), r->len - r->first, us);
    }
    *ret_spot = spot;
    return OZ_OK;
}

/* The end of the chunk before the spot's block, if equal times reach into it. */
static enum oz_status step_back(struct oz_row_work *w, uint32_t ring, int64_t us,
                                struct oz_spot *spot, bool *ret_there)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring_side *rs = &w->row->side->ring[ring];
    struct oz_refs *refs;
    struct oz_block *page;
    *ret_there = false;
    if (!spot->chunk) {
        if (!spot->page || oz_ref_at(rl, &rs->page, spot->page - 1)->last_us != us) return OZ_OK;
        spot->page--;
        OZ_TRY(oz_ring_refs(w, ring, spot->page, &refs, &page));
        spot->chunk = refs->n;
    } else {
        OZ_TRY(oz_ring_refs(w, ring, spot->page, &refs, &page));
    }
    struct oz_ref *ref = oz_ref_at(rl, refs, --spot->chunk);
    if (ref->last_us != us) return OZ_OK;
    OZ_TRY(oz_part_get(w, ring, ref, false, &spot->block));
    spot->open = false;
    spot->slot = spot->block->n;
    *ret_there = true;
    return OZ_OK;
}

enum oz_status oz_ring_find(struct oz_row_work *w, uint32_t ring,
                            const struct oz_entry_event *event, const struct oz_spot *from,
                            bool *ret_found, struct oz_spot *ret_spot)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring *r = oz_ring_of(w->layout, w->row, ring);
    struct oz_spot spot = *from;
    bool more = true;
    *ret_found = false;
    while (more) {
        const uint8_t *entry = spot.open ? r->entry : spot.block->entry;
        uint32_t first = spot.open ? r->first : 0;
        while (spot.slot > first) {
            const uint8_t *at = entry + (size_t)(spot.slot - 1) * rl->stride;
            if (oz_entry_time(at) != event->time_us) return OZ_OK;
            spot.slot--;
            if (memcmp(at + 8, event->id, 8 * rl->id_words)) continue;
            *ret_found = true;
            *ret_spot = spot;
            return OZ_OK;
        }
        if (!r->spilled) return OZ_OK;
        OZ_TRY(step_back(w, ring, event->time_us, &spot, &more));
    }
    return OZ_OK;
}

enum oz_status oz_ring_ordinal(struct oz_row_work *w, uint32_t ring, const struct oz_spot *spot,
                               uint64_t *ret_ordinal)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring_side *rs = &w->row->side->ring[ring];
    struct oz_refs *refs;
    struct oz_block *page;
    if (spot->open) {
        *ret_ordinal = rs->before[0] + spot->slot - oz_ring_of(w->layout, w->row, ring)->first;
        return OZ_OK;
    }
    OZ_TRY(oz_ring_refs(w, ring, spot->page, &refs, &page));
    *ret_ordinal = oz_ref_before(rl, oz_ref_at(rl, refs, spot->chunk))[0] + spot->slot;
    if (page) *ret_ordinal += oz_ref_before(rl, oz_ref_at(rl, &rs->page, spot->page))[0];
    return OZ_OK;
}

/* ---------- taking in */

enum oz_status oz_ring_insert(struct oz_row_work *w, uint32_t ring,
                              const struct oz_entry_event *event, struct oz_spot *spot)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring *r = oz_ring_of(w->layout, w->row, ring);
    if (rl->has_bags && w->row->side) {
        uint64_t ordinal;
        OZ_TRY(oz_ring_ordinal(w, ring, spot, &ordinal));
        OZ_TRY(oz_bags_inserted(w, ring, ordinal, event));
    }
    if (w->row->side) w->row->side->ring[ring].edits++;
    if (!spot->open) return oz_chunk_insert(w, ring, event, spot);
    oz_entries_insert(rl, oz_ring_slot(rl, r, spot->slot), r->len - spot->slot, event);
    r->len++;
    w->row->changed = true;
    oz_ring_shift_cursors(rl, w->row, r, event->time_us);
    return OZ_OK;
}

enum oz_status oz_ring_replace(struct oz_row_work *w, uint32_t ring,
                               const struct oz_entry_event *event, const struct oz_spot *spot,
                               bool *ret_changed)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring *r = oz_ring_of(w->layout, w->row, ring);
    uint8_t *entry = (spot->open ? r->entry : spot->block->entry) + (size_t)spot->slot * rl->stride;
    uint64_t id[2], ordinal, words[OZ_WORDS_MAX];
    struct oz_entry_event old;
    oz_entry_read(rl, entry, id, &old);
    *ret_changed = old.nulls != event->nulls;
    for (uint32_t i = 0; i < rl->n_values; i++) *ret_changed |= old.value[i] != event->value[i];
    if (!*ret_changed) return OZ_OK;
    if (rl->has_bags && w->row->side) {
        OZ_TRY(oz_ring_ordinal(w, ring, spot, &ordinal));
        OZ_TRY(oz_bags_replaced(w, ring, ordinal, entry, event));
    }
    if (w->row->side) w->row->side->ring[ring].edits++;
    if (!spot->open) return oz_chunk_replace(w, ring, event, spot);
    oz_entries_replace(rl, entry, r->len - spot->slot, event, words);
    w->row->changed = true;
    return OZ_OK;
}

/* ---------- letting go */

/* At most the ordinal of the first event newer than the time: exact in the open block, else the
 * start of its chunk or page, whether that is in memory or not. */
static uint64_t ordinal_floor(struct oz_row_work *w, uint32_t ring, int64_t us)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring_side *rs = &w->row->side->ring[ring];
    struct oz_ring *r = oz_ring_of(w->layout, w->row, ring);
    struct oz_refs *refs = reaches_beyond(rl, &rs->page, us)    ? &rs->page
                           : reaches_beyond(rl, &rs->chunk, us) ? &rs->chunk
                                                                : NULL;
    if (refs) return oz_ref_before(rl, oz_ref_at(rl, refs, first_beyond(rl, refs, us)))[0];
    return rs->before[0] +
           oz_entries_upper(rl, oz_ring_slot(rl, r, r->first), r->len - r->first, us);
}

/* Whether the oldest chunk is behind the newest n that are settled, and not of the time of the
 * oldest of them (a repeat of one of equal times must be known). */
static enum oz_status is_behind_last(struct oz_row_work *w, uint32_t ring, int64_t edge_us,
                                     bool *ret_behind)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_refs *refs;
    struct oz_block *page;
    const uint8_t *entry;
    uint32_t n;
    uint64_t settled = ordinal_floor(w, ring, w->row->last_us - rl->settle_us);
    OZ_TRY(oz_ring_refs(w, ring, 0, &refs, &page));
    uint64_t end = oz_ring_first_ordinal(w->layout, w->row, ring) + oz_ref_at(rl, refs, 0)->n;
    *ret_behind = false;
    if (end + rl->keep_last > settled) return OZ_OK;
    OZ_TRY(oz_ring_run(w, ring, settled - rl->keep_last, &entry, &n));
    *ret_behind = oz_entry_time(entry) > edge_us;
    return OZ_OK;
}

enum oz_status oz_ring_expire(struct oz_row_work *w, uint32_t ring)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring *r = oz_ring_of(w->layout, w->row, ring);
    if (w->row->last_us == OZ_TIME_NONE) return OZ_OK;
    int64_t limit_us = w->row->last_us - rl->reach_us;
    while (r->spilled) {
        struct oz_ring_side *rs = &w->row->side->ring[ring];
        struct oz_ref *oldest = oz_ref_at(rl, rs->page.n ? &rs->page : &rs->chunk, 0);
        bool behind = true;
        if (oldest->edge_us > limit_us) break;
        if (rl->keep_last) OZ_TRY(is_behind_last(w, ring, oldest->edge_us, &behind));
        if (!behind) break;
        OZ_TRY(oz_ring_drop_chunk(w, ring, false));
    }
    return OZ_OK;
}

enum oz_status oz_ring_settle(struct oz_row_work *w, uint32_t ring)
{
    struct oz_ring *r = oz_ring_of(w->layout, w->row, ring);
    uint32_t full = 2 * w->layout->block_events;
    if (r->spilled) OZ_TRY(oz_ring_expire(w, ring));
    if (r->len - r->first >= full) {
        if (!r->spilled) OZ_TRY(oz_ring_trim(w, ring));
        if (r->len - r->first >= full) OZ_TRY(oz_ring_close_chunk(w, ring));
    }
    while (r->spilled && oz_ring_end_ordinal(w->layout, w->row, ring) -
                                 oz_ring_first_ordinal(w->layout, w->row, ring) >
                             w->layout->max_row_events)
        OZ_TRY(oz_ring_drop_chunk(w, ring, true));
    return OZ_OK;
}
