#include "features/row_convert.h"
#include <string.h>
#include "features/ring_chunks.h"
#include "features/row_codec.h"
#include "features/row_since.h"

/* ---------- what is where */

static bool same_value(const struct oz_value_layout *a, const struct oz_value_layout *b)
{
    return a->kind == b->kind && a->nullable == b->nullable && a->outlives == b->outlives &&
           !a->sum_at == !b->sum_at && !a->count_at == !b->count_at &&
           (a->extreme < 0) == (b->extreme < 0);
}

static bool same_ring(const struct oz_named_layout *a, const struct oz_named_layout *b, uint32_t i)
{
    const struct oz_ring_layout *ra = &a->layout->ring[i], *rb = &b->layout->ring[i];
    if (strcmp(a->source[i], b->source[i]) != 0 || ra->id_words != rb->id_words ||
        ra->n_values != rb->n_values || ra->all_time != rb->all_time ||
        ra->all_time_last != rb->all_time_last)
        return false;
    for (uint32_t v = 0; v < ra->n_values; v++)
        if (strcmp(a->value[i][v], b->value[i][v]) != 0 ||
            !same_value(&ra->value[v], &rb->value[v]))
            return false;
    return true;
}

bool oz_named_layout_same_columns(const struct oz_named_layout *a, const struct oz_named_layout *b)
{
    if (a->layout->n_rings != b->layout->n_rings) return false;
    for (uint32_t i = 0; i < a->layout->n_rings; i++)
        if (!same_ring(a, b, i)) return false;
    return true;
}

static int16_t find(const char *const *name, uint32_t n, const char *want)
{
    for (uint32_t i = 0; i < n; i++)
        if (!strcmp(name[i], want)) return (int16_t)i;
    return -1;
}

static int16_t find_value(const struct oz_named_layout *older, int ring, const char *text,
                          enum oz_value_kind kind)
{
    const struct oz_ring_layout *rl = &older->layout->ring[ring];
    int16_t v = find(older->value[ring], rl->n_values, text);
    return v >= 0 && rl->value[v].kind == kind ? v : -1;
}

enum oz_status oz_row_reading_new(const struct oz_named_layout *older,
                                  const struct oz_named_layout *own, struct oz_arena *arena,
                                  struct oz_row_reading **ret_reading, struct oz_error *err)
{
    struct oz_row_reading *reading = oz_arena_zeroed(arena, 1, sizeof *reading);
    if (!reading) return oz_no_memory(err);
    const struct oz_row_layout *from = older->layout, *to = own->layout;
    reading->layout = from;
    reading->same_columns = oz_named_layout_same_columns(older, own);
    for (uint32_t i = 0; i < to->n_rings; i++) {
        int16_t ring = reading->ring[i] = find(older->source, from->n_rings, own->source[i]);
        for (uint32_t v = 0; v < to->ring[i].n_values; v++)
            reading->value[i][v] =
                ring < 0 ? -1
                         : find_value(older, ring, own->value[i][v], to->ring[i].value[v].kind);
    }
    for (uint32_t s = 0; s < from->n_suppressions; s++)
        reading->slot[s] = find(own->rule, to->n_suppressions, older->rule[s]);
    *ret_reading = reading;
    return OZ_OK;
}

/* ---------- since when the row is whole */

/* Of a ring that was kept by another reach: whole behind this time. */
static int64_t kept_since(const struct oz_row *row, const struct oz_ring_layout *old, bool trimmed)
{
    return trimmed && row->last_us != OZ_TIME_NONE ? row->last_us - old->reach_us : OZ_TIME_NONE;
}

/* Of the events up to this time, some that are newer than others here may have been let go. The
 * newest n that are settled never are, if the definition asked for them. */
static enum oz_status newest_since(struct oz_row_work *w, uint32_t ring,
                                   const struct oz_ring_layout *old, int64_t *ret_us)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    const struct oz_ring *r = oz_ring_of(w->layout, w->row, ring);
    int64_t kept_us = kept_since(w->row, old, r->trimmed), settled_us;
    const uint8_t *entry = NULL;
    uint32_t n = 0;
    *ret_us = kept_us;
    if (kept_us == OZ_TIME_NONE || !old->keep_last) return OZ_OK;
    settled_us = w->row->last_us - old->settle_us;
    if (r->spilled) {
        struct oz_place place;
        uint64_t first = oz_ring_first_ordinal(w->layout, w->row, ring);
        OZ_TRY(oz_place_of_time(w, ring, settled_us, &place));
        if (place.ordinal - first >= old->keep_last)
            OZ_TRY(oz_ring_run(w, ring, place.ordinal - old->keep_last, &entry, &n));
    } else {
        n = oz_entries_upper(rl, oz_ring_slot(rl, r, r->first), r->len - r->first, settled_us);
        if (n >= old->keep_last) entry = oz_ring_slot(rl, r, r->first + n - old->keep_last);
    }
    if (entry && n) *ret_us = OZ_MIN(kept_us, oz_entry_time(entry) - 1);
    return OZ_OK;
}

static enum oz_status note_same_columns(struct oz_row_work *w, const struct oz_row_layout *old)
{
    for (uint32_t i = 0; i < w->layout->n_rings; i++) {
        int64_t since_us =
            kept_since(w->row, &old->ring[i], oz_ring_of(w->layout, w->row, i)->trimmed);
        if (since_us > w->row->last_us - w->layout->ring[i].reach_us)
            OZ_TRY(oz_since_set(w, i, 0, since_us));
        if (!w->layout->ring[i].keep_last) continue;
        OZ_TRY(newest_since(w, i, &old->ring[i], &since_us));
        if (!old->ring[i].keep_last && w->row->side)
            since_us = OZ_MAX(since_us, w->row->side->ring[i].since[0]);
        OZ_TRY(oz_since_set(w, i, 1 + w->layout->ring[i].n_values, since_us));
    }
    if (w->row->side && w->row->side->warms) oz_since_settle(w->layout, w->row);
    w->row->changed =
        true; /* the first change, of whatever part, writes down what was found here */
    return OZ_OK;
}

/* ---------- a ring of other columns */

struct conversion {
    struct oz_row_work *w, *from;
    const struct oz_row_reading *reading;
    uint32_t ring; /* the new one's number */
    const struct oz_ring_layout *rl, *old;
    struct oz_ring *r, *r_old;
    const struct oz_ring_side *rs_old; /* or NULL */
    int64_t newest_us;                 /* of the old events */
    bool trimmed;                      /* the old ring was */
};

static uint64_t lacking(const struct oz_value_layout *v)
{
    return v->kind == OZ_VALUE_KEY ? OZ_NULL_KEY : oz_bits_of(NAN);
}

static enum oz_status take_entry(const struct conversion *c, const uint8_t *entry)
{
    struct oz_entry_event old, event = {0};
    uint64_t id[2];
    oz_entry_read(c->old, entry, id, &old);
    event.time_us = old.time_us;
    event.id = id;
    for (uint32_t v = 0; v < c->rl->n_values; v++) {
        int16_t at = c->reading->value[c->ring][v];
        const struct oz_value_layout *vl = &c->rl->value[v];
        event.value[v] = oz_value_kept(vl, at < 0 ? lacking(vl) : old.value[at], v, &event.nulls);
    }
    struct oz_ring *r = c->r;
    if (r->len + 2 > r->cap) OZ_TRY(oz_ring_make_room(c->w, c->ring));
    uint8_t *to = oz_ring_slot(c->rl, r, r->len);
    oz_entry_write(c->rl, to, &event);
    oz_entry_set_time(to + c->rl->stride, INT64_MAX);
    r->len++;
    return oz_ring_settle(c->w, c->ring);
}

static enum oz_status take_entries(struct conversion *c, const uint8_t *entry, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++, entry += c->old->stride) {
        c->newest_us = oz_entry_time(entry);
        OZ_TRY(take_entry(c, entry));
    }
    return OZ_OK;
}

static enum oz_status take_events(struct conversion *c)
{
    struct oz_row_work *from = c->from;
    uint32_t ring = (uint32_t)c->reading->ring[c->ring];
    if (!c->r_old->spilled)
        return take_entries(c, oz_ring_slot(c->old, c->r_old, c->r_old->first),
                            c->r_old->len - c->r_old->first);
    uint64_t at = oz_ring_first_ordinal(from->layout, from->row, ring);
    while (at < oz_ring_end_ordinal(from->layout, from->row, ring)) {
        const uint8_t *entry;
        uint32_t n;
        OZ_TRY(oz_ring_run(from, ring, at, &entry, &n));
        if (!n) OZ_FAIL(from->err, OZ_CORRUPT, "a row's index counts more events than there are");
        OZ_TRY(take_entries(c, entry, n));
        at += n;
        oz_parts_shed(from);
    }
    return OZ_OK;
}

/* What of a value's totals the new layout keeps and the old one did not. */
static void note_lacks(const struct oz_value_layout *v, const struct oz_value_layout *old,
                       uint64_t bit, uint64_t partial[OZ_TOTALS])
{
    if (v->sum_at && !old->sum_at) partial[OZ_TOTAL_SUM] |= bit;
    if (v->extreme >= 0 && old->extreme < 0) partial[OZ_TOTAL_EXTREME] |= bit;
    if (v->outlives && !old->outlives) partial[OZ_TOTAL_LAST] |= bit;
    if (v->count_at && !old->count_at && old->nullable) partial[OZ_TOTAL_COUNT] |= bit;
}

/* The totals that outlive their events; what the old ones lack stays zero. */
static void take_base(const struct conversion *c, const uint64_t *from, uint64_t *to)
{
    const struct oz_ring_layout *rl = c->rl, *old = c->old;
    to[0] = from[0];
    for (uint32_t v = 0; v < rl->n_values; v++) {
        int16_t at = c->reading->value[c->ring][v];
        if (at < 0) continue;
        const struct oz_value_layout *vl = &rl->value[v], *vo = &old->value[at];
        if (vl->sum_at && vo->sum_at)
            memcpy(to + vl->sum_word, from + vo->sum_word, 8 * OZ_FIX_LIMBS);
        if (vl->count_at) to[vl->count_word] = vo->count_at ? from[vo->count_word] : from[0];
        if (vl->ones_at) to[vl->ones_word] = from[vo->ones_word];
        if (vl->outlives && vo->outlives)
            memcpy(to + rl->base_last + 2 * v, from + old->base_last + 2 * at, 16);
        if (vl->extreme >= 0 && vo->extreme >= 0)
            memcpy(to + rl->base_extreme + 2 * vl->extreme,
                   from + old->base_extreme + 2 * vo->extreme, 16);
    }
}

/* Totals over all time before any event is taken in. A value that is new lacks every event. */
static enum oz_status begin_totals(const struct conversion *c, uint64_t partial[OZ_TOTALS])
{
    struct oz_row_side *side;
    bool any = c->r_old->spilled || c->r_old->len > c->r_old->first || c->trimmed;
    const struct oz_ring_side *rs = c->rs_old;
    if (!c->rl->all_time) return OZ_OK;
    if (c->old->all_time && rs && rs->base && rs->base[0]) {
        OZ_TRY(oz_row_side(c->w, &side));
        take_base(c, rs->base, side->ring[c->ring].base);
    }
    bool lost = c->trimmed && !c->old->all_time;
    for (int k = 0; k < OZ_TOTALS; k++) partial[k] |= lost || (rs && rs->partial[k] & 1);
    for (uint32_t v = 0; v < c->rl->n_values; v++) {
        int16_t at = c->reading->value[c->ring][v];
        uint64_t bit = UINT64_C(2) << v;
        bool lacks = lost || (at < 0 && any);
        if (at >= 0 && rs) lacks |= rs->since[1 + at] != OZ_TIME_NONE;
        for (int k = 0; k < OZ_TOTALS; k++)
            if (lacks || (at >= 0 && rs && rs->partial[k] >> (1 + at) & 1)) partial[k] |= bit;
        if (at >= 0 && c->trimmed) note_lacks(&c->rl->value[v], &c->old->value[at], bit, partial);
    }
    return OZ_OK;
}

static enum oz_status note_gaps(const struct conversion *c, const uint64_t partial[OZ_TOTALS])
{
    const struct oz_ring_side *rs = c->rs_old;
    int64_t since_us = kept_since(c->from->row, c->old, c->trimmed), newest_us;
    if (rs) since_us = OZ_MAX(since_us, rs->since[0]);
    OZ_TRY(oz_since_set(c->w, c->ring, 0, since_us));
    for (uint32_t v = 0; v < c->rl->n_values; v++) {
        int16_t at = c->reading->value[c->ring][v];
        int64_t us = at < 0 ? c->newest_us : rs ? rs->since[1 + at] : OZ_TIME_NONE;
        OZ_TRY(oz_since_set(c->w, c->ring, 1 + v, us));
    }
    if (c->rl->keep_last) {
        OZ_TRY(newest_since(c->from, (uint32_t)c->reading->ring[c->ring], c->old, &newest_us));
        if (rs) newest_us = OZ_MAX(newest_us, rs->since[1 + c->old->n_values]);
        if (!c->old->keep_last) newest_us = OZ_MAX(newest_us, since_us);
        OZ_TRY(oz_since_set(c->w, c->ring, 1 + c->rl->n_values, newest_us));
    }
    c->r->trimmed |= c->trimmed;
    return oz_since_set_partial(c->w, c->ring, partial);
}

static enum oz_status convert_ring(struct oz_row_work *w, struct oz_row_work *from,
                                   const struct oz_row_reading *reading, uint32_t ring)
{
    int16_t at = reading->ring[ring];
    if (at < 0) return OZ_OK;
    uint32_t old = (uint32_t)at;
    struct conversion c = {.w = w,
                           .from = from,
                           .reading = reading,
                           .ring = ring,
                           .rl = &w->layout->ring[ring],
                           .old = &from->layout->ring[old],
                           .r = oz_ring_of(w->layout, w->row, ring),
                           .r_old = oz_ring_of(from->layout, from->row, old),
                           .rs_old = from->row->side ? &from->row->side->ring[old] : NULL,
                           .newest_us = OZ_TIME_NONE};
    struct oz_row_side *side;
    uint64_t partial[OZ_TOTALS] = {0};
    c.trimmed = c.r_old->trimmed;
    OZ_TRY(begin_totals(&c, partial));
    if (c.rs_old && c.rs_old->saturated_us != OZ_TIME_NONE) {
        OZ_TRY(oz_row_side(w, &side));
        side->ring[ring].saturated_us = c.rs_old->saturated_us;
    }
    OZ_TRY(take_events(&c));
    OZ_TRY(note_gaps(&c, partial));
    if (!c.r->spilled) oz_ring_find_cursors(w->layout, w->row, ring);
    return OZ_OK;
}

/* ---------- a row of other columns */

static enum oz_status delete_refs(struct oz_row_work *w, const struct oz_ring_layout *rl,
                                  const struct oz_refs *refs)
{
    for (uint32_t i = 0; i < refs->n; i++) OZ_TRY(oz_part_delete(w, oz_ref_at(rl, refs, i)->part));
    return OZ_OK;
}

/* The old parts go with the first change of the new row. */
static enum oz_status delete_parts(struct oz_row_work *w, struct oz_row_work *from)
{
    struct oz_row_side *side = from->row->side;
    for (uint32_t i = 0; i < from->layout->n_rings; i++) {
        const struct oz_ring_layout *rl = &from->layout->ring[i];
        for (uint32_t p = 0; p <= side->ring[i].page.n; p++) {
            struct oz_refs *refs;
            struct oz_block *page;
            OZ_TRY(oz_ring_refs(from, i, p, &refs, &page));
            OZ_TRY(delete_refs(w, rl, refs));
            oz_parts_shed(from);
        }
        OZ_TRY(delete_refs(w, rl, &side->ring[i].page));
    }
    w->row->side->index_stored = side->index_stored;
    return OZ_OK;
}

static enum oz_status convert(struct oz_row_work *w, struct oz_row_work *from,
                              const struct oz_row_reading *reading)
{
    struct oz_row_side *side;
    w->row->last_us = from->row->last_us;
    w->row->changed = true;
    const struct oz_suppression *s = oz_suppressions(from->layout, from->row);
    for (uint32_t i = 0; i < from->layout->n_suppressions; i++)
        if (reading->slot[i] >= 0) oz_suppressions(w->layout, w->row)[reading->slot[i]] = s[i];
    if (from->row->side) {
        OZ_TRY(oz_row_side(w, &side));
        side->next_part = from->row->side->next_part;
    }
    for (uint32_t i = 0; i < w->layout->n_rings; i++) OZ_TRY(convert_ring(w, from, reading, i));
    if (from->row->side) OZ_TRY(delete_parts(w, from));
    if (w->row->side) w->row->side->index_changed = true;
    if (w->row->side && w->row->side->warms) oz_since_settle(w->layout, w->row);
    return OZ_OK;
}

enum oz_status oz_row_convert(struct oz_row_work *w, const struct oz_row_reading *reading,
                              const uint8_t *payload, size_t len)
{
    if (reading->same_columns) {
        w->reading = reading;
        OZ_TRY(oz_row_decode(w, payload, len));
        return note_same_columns(w, reading->layout);
    }
    struct oz_row *old = oz_pool_get(w->io->pool, reading->layout->row_bytes, NULL);
    if (!old) return oz_no_memory(w->err);
    struct oz_row_work from = {reading->layout, old, w->io, w->err, NULL};
    oz_row_init(from.layout, old);
    enum oz_status status = oz_row_decode(&from, payload, len);
    if (status == OZ_OK) status = convert(w, &from, reading);
    oz_row_clear(from.layout, old, w->io->pool);
    oz_pool_put(w->io->pool, old, reading->layout->row_bytes);
    return status;
}
