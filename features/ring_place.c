#include "features/ring_place.h"

static const uint64_t no_words[OZ_WORDS_MAX];

uint64_t oz_ring_first_ordinal(const struct oz_row_layout *layout, struct oz_row *row,
                               uint32_t ring)
{
    const struct oz_ring_layout *rl = &layout->ring[ring];
    struct oz_ring_side *rs = &row->side->ring[ring];
    if (rs->page.n) return oz_ref_before(rl, oz_ref_at(rl, &rs->page, 0))[0];
    if (rs->chunk.n) return oz_ref_before(rl, oz_ref_at(rl, &rs->chunk, 0))[0];
    return rs->before[0];
}

uint64_t oz_ring_end_ordinal(const struct oz_row_layout *layout, struct oz_row *row, uint32_t ring)
{
    const struct oz_ring *r = oz_ring_of(layout, row, ring);
    return row->side->ring[ring].before[0] + (r->len - r->first);
}

enum oz_status oz_ring_refs(struct oz_row_work *w, uint32_t ring, uint32_t page,
                            struct oz_refs **ret_refs, struct oz_block **ret_page)
{
    struct oz_ring_side *rs = &w->row->side->ring[ring];
    *ret_page = NULL;
    *ret_refs = &rs->chunk;
    if (page == rs->page.n) return OZ_OK;
    OZ_TRY(
        oz_part_get(w, ring, oz_ref_at(&w->layout->ring[ring], &rs->page, page), true, ret_page));
    *ret_refs = &(*ret_page)->refs;
    return OZ_OK;
}

static void open_place(struct oz_row_work *w, uint32_t ring, uint32_t slot, struct oz_place *p)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring_side *rs = &w->row->side->ring[ring];
    const struct oz_ring *r = oz_ring_of(w->layout, w->row, ring);
    *p = (struct oz_place){.ordinal = rs->before[0] + slot,
                           .page = rs->page.n,
                           .chunk = rs->chunk.n,
                           .slot = slot,
                           .before = {rs->before, no_words},
                           .entry = oz_ring_slot(rl, r, r->first + slot),
                           .entry0 = oz_ring_slot(rl, r, r->first)};
}

/* The first ref that reaches beyond the time. */
static uint32_t refs_upper(const struct oz_ring_layout *rl, const struct oz_refs *refs, int64_t us)
{
    uint32_t lo = 0, hi = refs->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (oz_ref_at(rl, refs, mid)->last_us <= us)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The last ref that begins at or before the ordinal, which counts as the refs' totals do. */
static uint32_t refs_of_ordinal(const struct oz_ring_layout *rl, const struct oz_refs *refs,
                                uint64_t ordinal)
{
    uint32_t lo = 0, hi = refs->n;
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (oz_ref_before(rl, oz_ref_at(rl, refs, mid))[0] <= ordinal)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

/* A place in a chunk of the index or of a loaded page: at its start, or behind it by time or slot.
 */
static enum oz_status chunk_place(struct oz_row_work *w, uint32_t ring, struct oz_refs *refs,
                                  struct oz_place *p, const int64_t *us, uint32_t slot)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    if (OZ_UNLIKELY(p->chunk >= refs->n))
        OZ_FAIL(w->err, OZ_CORRUPT, "a row's index does not agree with its page %u", p->page);
    struct oz_ref *ref = oz_ref_at(rl, refs, p->chunk);
    struct oz_block *block;
    p->before[1] = oz_ref_before(rl, ref);
    p->slot = slot;
    if (us ? ref->first_us > *us : !slot) {
        p->slot = 0;
    } else {
        OZ_TRY(oz_part_get(w, ring, ref, false, &block));
        if (us) p->slot = oz_entries_upper(rl, block->entry, block->n, *us);
        if (OZ_UNLIKELY(p->slot >= block->n))
            OZ_FAIL(w->err, OZ_CORRUPT, "part %u of a row does not agree with its index",
                    ref->part);
        p->entry0 = block->entry;
        p->entry = block->entry + (size_t)p->slot * rl->stride;
    }
    p->ordinal = p->before[0][0] + p->before[1][0] + p->slot;
    return OZ_OK;
}

enum oz_status oz_place_of_time(struct oz_row_work *w, uint32_t ring, int64_t us,
                                struct oz_place *ret_place)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring_side *rs = &w->row->side->ring[ring];
    const struct oz_ring *r = oz_ring_of(w->layout, w->row, ring);
    struct oz_place p = {.page = rs->page.n, .before = {no_words, no_words}};
    struct oz_refs *refs = &rs->chunk;
    struct oz_block *page;
    bool in_pages = rs->page.n && oz_ref_at(rl, &rs->page, rs->page.n - 1)->last_us > us;
    if (in_pages) {
        p.page = refs_upper(rl, &rs->page, us);
        struct oz_ref *ref = oz_ref_at(rl, &rs->page, p.page);
        p.before[0] = oz_ref_before(rl, ref);
        if (ref->first_us > us) {
            p.ordinal = p.before[0][0];
            *ret_place = p;
            return OZ_OK;
        }
        OZ_TRY(oz_ring_refs(w, ring, p.page, &refs, &page));
    } else if (!rs->chunk.n || oz_ref_at(rl, &rs->chunk, rs->chunk.n - 1)->last_us <= us) {
        uint32_t n = r->len - r->first;
        const uint8_t *first = oz_ring_slot(rl, r, r->first);
        open_place(w, ring, oz_entries_upper(rl, first, n, us), ret_place);
        return OZ_OK;
    }
    p.chunk = refs_upper(rl, refs, us);
    OZ_TRY(chunk_place(w, ring, refs, &p, &us, 0));
    *ret_place = p;
    return OZ_OK;
}

enum oz_status oz_place_of_ordinal(struct oz_row_work *w, uint32_t ring, uint64_t ordinal,
                                   struct oz_place *ret_place)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring_side *rs = &w->row->side->ring[ring];
    if (ordinal >= rs->before[0]) {
        OZ_ASSERT(ordinal <= oz_ring_end_ordinal(w->layout, w->row, ring));
        open_place(w, ring, (uint32_t)(ordinal - rs->before[0]), ret_place);
        return OZ_OK;
    }
    struct oz_place p = {.ordinal = ordinal, .page = rs->page.n, .before = {no_words, no_words}};
    struct oz_refs *refs = &rs->chunk;
    struct oz_block *page;
    if (!rs->chunk.n || ordinal < oz_ref_before(rl, oz_ref_at(rl, &rs->chunk, 0))[0]) {
        OZ_ASSERT(rs->page.n);
        p.page = refs_of_ordinal(rl, &rs->page, ordinal);
        p.before[0] = oz_ref_before(rl, oz_ref_at(rl, &rs->page, p.page));
        ordinal -= p.before[0][0];
        if (!ordinal) {
            *ret_place = p;
            return OZ_OK;
        }
        OZ_TRY(oz_ring_refs(w, ring, p.page, &refs, &page));
    }
    p.chunk = refs_of_ordinal(rl, refs, ordinal);
    uint64_t slot = ordinal - oz_ref_before(rl, oz_ref_at(rl, refs, p.chunk))[0];
    OZ_TRY(chunk_place(w, ring, refs, &p, NULL, (uint32_t)OZ_MIN(slot, UINT32_MAX)));
    *ret_place = p;
    return OZ_OK;
}

/* The totals before the place, in the ring's frame. */
static void words_before(const struct oz_ring_layout *rl, const struct oz_place *p, uint64_t *words)
{
    memcpy(words, p->before[0], 8 * rl->n_words);
    oz_words_add(rl, words, p->before[1]);
    if (!p->entry) return;
    uint64_t within[OZ_WORDS_MAX];
    oz_entries_words(rl, p->entry0, p->slot, within);
    oz_words_add(rl, words, within);
}

void oz_place_words(const struct oz_ring_layout *rl, const struct oz_place *from,
                    const struct oz_place *to, uint64_t *words)
{
    uint64_t before[OZ_WORDS_MAX];
    words_before(rl, from, before);
    words_before(rl, to, words);
    oz_words_sub(rl, words, before);
}

/* A search for the better value, and where it stands. */
struct extreme_search {
    uint32_t value;
    bool max;
    double best;
    uint64_t at;
};

static void search_ref(const struct oz_ring_layout *rl, struct oz_ref *ref, uint64_t ordinal,
                       struct extreme_search *s)
{
    int extreme = rl->value[s->value].extreme;
    double x = oz_double_of(oz_ref_extremes(rl, ref)[2 * extreme + s->max]);
    if (s->max ? x < s->best : x > s->best) return;
    if (x != x || isinf(x)) return;
    s->best = x;
    s->at = ordinal;
}

static void search_entries(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t n,
                           uint64_t ordinal, struct extreme_search *s)
{
    uint32_t at = UINT32_MAX;
    oz_entries_extreme(rl, entry, n, s->value, s->max, &s->best, &at);
    if (at != UINT32_MAX) s->at = ordinal + at;
}

/* Pages and chunks that lie between the places as a whole by their extremes in the index, the rest
 * entry by entry. */
static enum oz_status search(struct oz_row_work *w, uint32_t ring, const struct oz_place *from,
                             const struct oz_place *to, struct extreme_search *s)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring_side *rs = &w->row->side->ring[ring];
    uint32_t page = from->page, chunk = from->chunk, slot = from->slot;
    uint64_t ordinal = from->ordinal;
    while (page < to->page || chunk < to->chunk || slot < to->slot) {
        struct oz_refs *refs;
        struct oz_block *block;
        if (!chunk && !slot && page < to->page) { /* a page as a whole */
            struct oz_ref *ref = oz_ref_at(rl, &rs->page, page++);
            search_ref(rl, ref, ordinal, s);
            ordinal += ref->word[0];
            continue;
        }
        OZ_TRY(oz_ring_refs(w, ring, page, &refs, &block));
        bool ends_here = page == to->page && chunk == to->chunk;
        if (chunk >= refs->n) { /* the open block, and the end of the window */
            const struct oz_ring *r = oz_ring_of(w->layout, w->row, ring);
            if (ends_here)
                search_entries(rl, oz_ring_slot(rl, r, r->first + slot), to->slot - slot, ordinal,
                               s);
            break;
        }
        struct oz_ref *ref = oz_ref_at(rl, refs, chunk);
        if (!slot && !ends_here) {
            search_ref(rl, ref, ordinal, s);
        } else {
            OZ_TRY(oz_part_get(w, ring, ref, false, &block));
            uint32_t end = ends_here ? to->slot : block->n;
            search_entries(rl, block->entry + (size_t)slot * rl->stride, end - slot, ordinal, s);
        }
        if (ends_here) break;
        ordinal += ref->n - slot;
        slot = 0;
        if (++chunk == refs->n && page < rs->page.n) page++, chunk = 0;
    }
    return OZ_OK;
}

enum oz_status oz_place_extreme(struct oz_row_work *w, uint32_t ring, const struct oz_place *from,
                                const struct oz_place *to, uint32_t value, bool max,
                                struct oz_memo *memo, double *ret_extreme)
{
    uint64_t edits = w->row->side->ring[ring].edits;
    struct extreme_search s = {value, max, max ? -INFINITY : INFINITY, UINT64_MAX};
    struct oz_place rest = *from;
    bool holds = memo->edits == edits && memo->from <= from->ordinal && memo->at >= from->ordinal &&
                 memo->to > from->ordinal && memo->to <= to->ordinal;
    if (holds) { /* only what has come since */
        s.best = memo->value;
        s.at = memo->at;
        OZ_TRY(oz_place_of_ordinal(w, ring, memo->to, &rest));
    }
    if (rest.ordinal < to->ordinal) OZ_TRY(search(w, ring, &rest, to, &s));
    *memo = (struct oz_memo){from->ordinal, to->ordinal, s.at, edits, s.best};
    *ret_extreme = isinf(s.best) ? NAN : s.best;
    return OZ_OK;
}

/* Whether these refs' events hold a value that is not null. */
static bool has_value(const struct oz_ring_layout *rl, const struct oz_ref *ref, uint32_t value)
{
    return !rl->value[value].nullable || ref->word[rl->value[value].count_word];
}

static bool newest_of(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t n,
                      uint32_t value, const uint8_t **ret_entry)
{
    uint32_t i = oz_entries_newest(rl, entry, n, value);
    if (i == UINT32_MAX) return false;
    *ret_entry = entry + (size_t)i * rl->stride;
    return true;
}

enum oz_status oz_place_newest(struct oz_row_work *w, uint32_t ring, const struct oz_place *place,
                               uint32_t value, const uint8_t **ret_entry)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring_side *rs = &w->row->side->ring[ring];
    uint32_t page = place->page, chunk = place->chunk;
    *ret_entry = NULL;
    if (place->slot && newest_of(rl, place->entry0, place->slot, value, ret_entry)) return OZ_OK;
    for (;;) {
        struct oz_refs *refs;
        struct oz_block *block;
        if (!chunk) { /* skip pages without one */
            while (page && !has_value(rl, oz_ref_at(rl, &rs->page, page - 1), value)) page--;
            if (!page) return OZ_OK;
            page--;
        }
        OZ_TRY(oz_ring_refs(w, ring, page, &refs, &block));
        if (!chunk) chunk = refs->n;
        while (chunk-- > 0) {
            struct oz_ref *ref = oz_ref_at(rl, refs, chunk);
            if (!has_value(rl, ref, value)) continue;
            OZ_TRY(oz_part_get(w, ring, ref, false, &block));
            if (newest_of(rl, block->entry, block->n, value, ret_entry)) return OZ_OK;
        }
        chunk = 0;
    }
}

enum oz_status oz_ring_run(struct oz_row_work *w, uint32_t ring, uint64_t ordinal,
                           const uint8_t **ret_entry, uint32_t *ret_n)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring_side *rs = &w->row->side->ring[ring];
    struct oz_place p;
    OZ_TRY(oz_place_of_ordinal(w, ring, ordinal, &p));
    if (ordinal >= rs->before[0]) {
        *ret_entry = p.entry;
        *ret_n = (uint32_t)(oz_ring_end_ordinal(w->layout, w->row, ring) - ordinal);
        return OZ_OK;
    }
    struct oz_refs *refs;
    struct oz_block *block;
    OZ_TRY(oz_ring_refs(w, ring, p.page, &refs, &block));
    if (p.chunk >= refs->n)
        OZ_FAIL(w->err, OZ_CORRUPT, "a row's index does not agree with its page %u", p.page);
    OZ_TRY(oz_part_get(w, ring, oz_ref_at(rl, refs, p.chunk), false, &block));
    *ret_entry = block->entry + (size_t)p.slot * rl->stride;
    *ret_n = block->n - p.slot;
    return OZ_OK;
}
