#include "features/ring_bags.h"

static uint64_t bag_key(const struct oz_value_layout *v, uint64_t bits)
{
    double x = oz_double_of(bits);
    return v->kind == OZ_VALUE_DOUBLE && x != x ? OZ_NULL_KEY : bits;
}

/* Adds or removes the events [from, to). */
static enum oz_status count(struct oz_row_work *w, uint32_t bag, uint64_t from, uint64_t to,
                            bool add)
{
    uint32_t ring = w->layout->bag_ring[bag], value = w->layout->bag_value[bag];
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_bag *b = &w->row->side->bag[bag];
    while (from < to) {
        const uint8_t *entry;
        uint32_t n;
        OZ_TRY(oz_ring_run(w, ring, from, &entry, &n));
        n = (uint32_t)OZ_MIN(n, to - from);
        if (!n) OZ_FAIL(w->err, OZ_CORRUPT, "a row's index counts more events than there are");
        for (uint32_t i = 0; i < n; i++, entry += rl->stride) {
            uint64_t key = bag_key(&rl->value[value], oz_get_u64(entry + rl->value[value].raw_at));
            if (add)
                OZ_TRY(oz_bag_add(b, w->io->pool, key, w->err));
            else
                oz_bag_remove(b, key);
        }
        from += n;
    }
    return OZ_OK;
}

enum oz_status oz_bag_move(struct oz_row_work *w, uint32_t bag, uint64_t from, uint64_t to)
{
    struct oz_bag *b = &w->row->side->bag[bag];
    if (from >= b->to || to <= b->from) { /* nothing in common: begin anew */
        oz_bag_empty(b);
        b->from = b->to = from;
    }
    if (to > b->to) OZ_TRY(count(w, bag, b->to, to, true));
    if (from < b->from) OZ_TRY(count(w, bag, from, b->from, true));
    if (to < b->to) OZ_TRY(count(w, bag, to, b->to, false));
    if (from > b->from) OZ_TRY(count(w, bag, b->from, from, false));
    b->from = from;
    b->to = to;
    return OZ_OK;
}

enum oz_status oz_bags_leave(struct oz_row_work *w, uint32_t ring, uint64_t ordinal)
{
    for (uint32_t i = 0; i < w->layout->n_bags; i++) {
        struct oz_bag *b = &w->row->side->bag[i];
        if (w->layout->bag_ring[i] != ring || b->from >= ordinal) continue;
        OZ_TRY(oz_bag_move(w, i, ordinal, OZ_MAX(b->to, ordinal)));
    }
    return OZ_OK;
}

enum oz_status oz_bags_inserted(struct oz_row_work *w, uint32_t ring, uint64_t ordinal,
                                const struct oz_entry_event *event)
{
    for (uint32_t i = 0; i < w->layout->n_bags; i++) {
        struct oz_bag *b = &w->row->side->bag[i];
        uint32_t value = w->layout->bag_value[i];
        if (w->layout->bag_ring[i] != ring) continue;
        uint64_t key = bag_key(&w->layout->ring[ring].value[value], event->value[value]);
        if (b->from <= ordinal && ordinal < b->to) OZ_TRY(oz_bag_add(b, w->io->pool, key, w->err));
        b->from += ordinal < b->from;
        b->to += ordinal < b->to;
    }
    return OZ_OK;
}

enum oz_status oz_bags_replaced(struct oz_row_work *w, uint32_t ring, uint64_t ordinal,
                                const uint8_t *entry, const struct oz_entry_event *event)
{
    for (uint32_t i = 0; i < w->layout->n_bags; i++) {
        struct oz_bag *b = &w->row->side->bag[i];
        uint32_t value = w->layout->bag_value[i];
        const struct oz_value_layout *v = &w->layout->ring[ring].value[value];
        if (w->layout->bag_ring[i] != ring || ordinal < b->from || ordinal >= b->to) continue;
        oz_bag_remove(b, bag_key(v, oz_get_u64(entry + v->raw_at)));
        OZ_TRY(oz_bag_add(b, w->io->pool, bag_key(v, event->value[value]), w->err));
    }
    return OZ_OK;
}
