#include "features/row_retire.h"
#include "features/ring_chunks.h"
#include "features/row_codec.h"
#include "features/row_since.h"

static struct oz_suppression *suppressions(const struct oz_row_layout *layout, const void *row)
{
    return (struct oz_suppression *)((uintptr_t)row + layout->suppressions_at);
}

void oz_row_layout_set_lifetime(struct oz_row_layout *layout, int64_t suppress_us, int64_t ttl_us)
{
    layout->suppress_us = suppress_us;
    layout->ttl_us = ttl_us;
}

/* How long after its own time an event, or a gap that a flag tells of, may matter. */
static int64_t reach_us(const struct oz_row_layout *layout)
{
    int64_t us = 0;
    for (uint32_t i = 0; i < layout->n_rings; i++) us = OZ_MAX(us, layout->ring[i].reach_us);
    return us;
}

/* The same of the newest scored time: an unscored event that is late against it is refused, and
 * must not be seen by any window once nothing refuses it. */
static int64_t last_matters_us(const struct oz_row_layout *layout)
{
    int64_t us = layout->ring[0].reach_us;
    for (uint32_t i = 1; i < layout->n_rings; i++)
        us = OZ_MAX(us, layout->ring[i].reach_us - layout->ring[i].lateness_us);
    return us;
}

static bool is_for_ever(const struct oz_row_layout *layout)
{
    bool is = false;
    for (uint32_t i = 0; i < layout->n_rings; i++)
        is |= layout->ring[i].all_time || layout->ring[i].keep_last;
    return is;
}

int64_t oz_row_layout_use_us(const struct oz_row_layout *layout, bool *ret_for_ever)
{
    *ret_for_ever = is_for_ever(layout);
    return OZ_MAX(reach_us(layout), layout->suppress_us + layout->ring[0].lateness_us);
}

/* ---------- when */

struct use {
    const struct oz_row_layout *layout;
    int64_t newest_us; /* of all that it has */
    int64_t
        windows_us; /* the clock at which nothing of it matters to a window in time, or a flag */
};

/* Something of this time matters to windows for reach_us. */
static void note(struct use *use, int64_t us, int64_t matters_us)
{
    if (us == OZ_TIME_NONE) return;
    use->newest_us = OZ_MAX(use->newest_us, us);
    use->windows_us = OZ_MAX(use->windows_us, us + matters_us);
}

static void note_suppression(struct use *use, const struct oz_suppression *s)
{
    const struct oz_row_layout *layout = use->layout;
    note(use, s->fired_us, layout->suppress_us + layout->ring[0].lateness_us);
    if (s->held_back) use->windows_us = OZ_KEPT_FOR_EVER;
}

static int64_t ends_us(const struct use *use)
{
    const struct oz_row_layout *layout = use->layout;
    int64_t us = is_for_ever(layout) ? OZ_KEPT_FOR_EVER : use->windows_us;
    if (use->newest_us == OZ_TIME_NONE) return INT64_MIN;
    if (layout->ttl_us)
        us = OZ_MIN(us, use->newest_us + layout->ttl_us + layout->ring[0].lateness_us);
    return us;
}

static int64_t newest_of(const struct oz_row_layout *layout, const struct oz_row *row,
                         uint32_t ring)
{
    const struct oz_ring_layout *rl = &layout->ring[ring];
    const struct oz_ring *r = (const struct oz_ring *)((const uint8_t *)row + rl->at);
    if (r->len > r->first) return oz_entry_time(oz_ring_slot(rl, r, r->len - 1));
    if (!r->spilled) return OZ_TIME_NONE;
    const struct oz_ring_side *rs = &row->side->ring[ring];
    const struct oz_refs *refs = rs->chunk.n ? &rs->chunk : &rs->page;
    return oz_ref_at(rl, refs, refs->n - 1)->last_us;
}

static struct use use_of(const struct oz_row_layout *layout, const struct oz_row *row)
{
    struct use use = {layout, OZ_TIME_NONE, INT64_MIN};
    note(&use, row->last_us, last_matters_us(layout));
    for (uint32_t i = 0; i < layout->n_rings; i++) {
        note(&use, newest_of(layout, row, i), layout->ring[i].reach_us);
        if (row->side) note(&use, row->side->ring[i].saturated_us, layout->ring[i].reach_us);
    }
    for (uint32_t i = 0; row->side && i < layout->n_rings; i++)
        for (uint32_t k = 0; k < 2 + layout->ring[i].n_values; k++)
            note(&use, row->side->ring[i].since[k], reach_us(layout));
    const struct oz_suppression *s = suppressions(layout, row);
    for (uint32_t i = 0; i < layout->n_suppressions; i++) note_suppression(&use, &s[i]);
    return use;
}

int64_t oz_row_use_ends_us(const struct oz_row_layout *layout, const void *row)
{
    struct use use = use_of(layout, row);
    return ends_us(&use);
}

bool oz_row_is_empty(const struct oz_row_layout *layout, const struct oz_row *row)
{
    struct use use = use_of(layout, row);
    return use.newest_us == OZ_TIME_NONE && !(row->side && row->side->warms);
}

int64_t oz_row_peek_use(const struct oz_row_layout *layout, const uint8_t *payload, size_t len,
                        int64_t *ret_last_us)
{
    struct use use = {layout, OZ_TIME_NONE, INT64_MIN};
    struct oz_row_summary head;
    *ret_last_us = OZ_TIME_NONE;
    if (!oz_row_read_summary(payload, len, &head)) return OZ_KEPT_FOR_EVER;
    *ret_last_us = head.last_us;
    if (head.last_us == OZ_TIME_NONE) return INT64_MIN; /* other sources alone: look inside */
    note(&use, head.last_us, last_matters_us(layout));
    note(&use, head.fired_us, layout->suppress_us + layout->ring[0].lateness_us);
    note(&use, head.since_us, reach_us(layout));
    if (head.held_back) use.windows_us = OZ_KEPT_FOR_EVER;
    return ends_us(&use);
}

/* ---------- how */

/* Unscored events that are younger than until_us, into the fresh row. */
static enum oz_status keep_younger(struct oz_row_work *w, struct oz_row *fresh, uint32_t ring,
                                   int64_t until_us)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    const struct oz_ring *r = oz_ring_of(w->layout, w->row, ring);
    uint64_t at = r->spilled ? oz_ring_first_ordinal(w->layout, w->row, ring) : 0;
    uint64_t end =
        r->spilled ? oz_ring_end_ordinal(w->layout, w->row, ring) : (uint64_t)(r->len - r->first);
    while (at < end) {
        const uint8_t *entry = oz_ring_slot(rl, r, r->first);
        uint32_t n = (uint32_t)(end - at);
        if (r->spilled) OZ_TRY(oz_ring_run(w, ring, at, &entry, &n));
        if (!n) OZ_FAIL(w->err, OZ_CORRUPT, "a row's index counts more events than there are");
        for (uint32_t i = 0; i < n; i++, entry += rl->stride) {
            struct oz_entry_event kept;
            uint64_t id[2];
            unsigned flags;
            if (oz_entry_time(entry) <= until_us) continue;
            oz_entry_read(rl, entry, id, &kept);
            struct oz_row_event event = {ring, kept.time_us, {id[0], id[1]}, kept.value};
            OZ_TRY(oz_row_push(w->layout, fresh, w->io, &event, NULL, &flags, w->err));
        }
        at += n;
    }
    return OZ_OK;
}

/* A row as after init, with the number of the next part where the old one is: its parts' deletions
 * are encoded behind the new parts. */
static enum oz_status begin_fresh(struct oz_row_work *w, struct oz_row *fresh, int64_t until_us)
{
    const struct oz_row_layout *layout = w->layout;
    struct oz_row_kind kind = oz_row_kind_of(layout);
    const struct oz_row_side *old = w->row->side;
    struct oz_row_work f = {layout, fresh, w->io, w->err, NULL};
    struct oz_row_side *side;
    OZ_TRY(kind.init(kind.ctx, fresh, w->io, w->err));
    if (old) {
        OZ_TRY(oz_row_side(&f, &side));
        side->next_part = old->next_part;
    }
    /* Scored events that are younger there are none, nor can any be missing. */
    for (uint32_t i = 1; old && i < layout->n_rings; i++)
        for (uint32_t k = 0; k < 2 + layout->ring[i].n_values; k++)
            if (old->ring[i].since[k] > until_us) {
                OZ_TRY(oz_since_set(&f, i, k, old->ring[i].since[k]));
                oz_ring_of(layout, fresh, i)->trimmed = true;
            }
    for (uint32_t i = 1; i < layout->n_rings; i++) {
        if (newest_of(layout, w->row, i) <= until_us) continue;
        OZ_TRY(keep_younger(w, fresh, i, until_us));
        if (old && old->ring[i].saturated_us > until_us)
            fresh->side->ring[i].saturated_us = old->ring[i].saturated_us;
    }
    return OZ_OK;
}

/* The old row's chunks and pages join the parts that are to be deleted, and those go over. */
static enum oz_status hand_over_parts(struct oz_row_work *w, struct oz_row *fresh)
{
    struct oz_row_side *old = w->row->side;
    if (!old) return OZ_OK;
    for (uint32_t i = 0; i < w->layout->n_rings; i++)
        while (oz_ring_of(w->layout, w->row, i)->spilled) {
            OZ_TRY(oz_ring_drop_chunk(w, i, false));
            oz_parts_shed(w);
        }
    OZ_ASSERT(!fresh->side->n_deleted);
    oz_pool_put(w->io->pool, fresh->side->deleted,
                fresh->side->cap_deleted * sizeof *fresh->side->deleted);
    fresh->side->deleted = old->deleted;
    fresh->side->n_deleted = old->n_deleted;
    fresh->side->cap_deleted = old->cap_deleted;
    fresh->side->index_stored |= old->index_stored;
    old->deleted = NULL;
    old->n_deleted = old->cap_deleted = 0;
    return OZ_OK;
}

/* Everything but unscored events that are younger goes. */
static enum oz_status forget(struct oz_row_work *w, int64_t until_us)
{
    struct oz_row_kind kind = oz_row_kind_of(w->layout);
    struct oz_row *fresh = oz_pool_get(w->io->pool, kind.row_bytes, NULL);
    if (!fresh) return oz_no_memory(w->err);
    memset(fresh, 0, kind.row_bytes);
    enum oz_status status = begin_fresh(w, fresh, until_us);
    if (status == OZ_OK) status = hand_over_parts(w, fresh);
    struct oz_row *gone = status == OZ_OK ? w->row : fresh;
    kind.clear(kind.ctx, gone, w->io->pool);
    if (status == OZ_OK) {
        memcpy(w->row, fresh, kind.row_bytes);
        w->row->changed = true;
    } else {
        w->row->failed = true;
    }
    oz_pool_put(w->io->pool, fresh, kind.row_bytes);
    return status;
}

enum oz_status oz_row_retire(const struct oz_row_layout *layout, void *row, struct oz_row_io *io,
                             struct oz_error *err)
{
    struct oz_row_work w = {layout, row, io, err, NULL};
    return forget(&w, INT64_MAX);
}

enum oz_status oz_row_apply_ttl(struct oz_row_work *w, int64_t time_us)
{
    int64_t until_us = time_us - w->layout->ttl_us;
    if (w->row->last_us > until_us) return OZ_OK;
    /* Nothing was scored yet: an unscored event that is too old was kept for want of a clock. */
    if (w->row->last_us == OZ_TIME_NONE && oz_row_is_empty(w->layout, w->row)) return OZ_OK;
    return forget(w, until_us);
}
