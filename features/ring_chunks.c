#include "features/ring_chunks.h"
#include "features/ring_bags.h"

/* ---------- refs */

/* Times, totals and extremes of a chunk, from its entries. */
static void describe_chunk(const struct oz_ring_layout *rl, const struct oz_block *block,
                           struct oz_ref *ref)
{
    ref->part = block->part;
    ref->n = block->n;
    ref->first_us = oz_entry_time(block->entry);
    ref->last_us = ref->edge_us = oz_entry_time(block->entry + (size_t)(block->n - 1) * rl->stride);
    oz_entries_words(rl, block->entry, block->n, ref->word);
    for (uint32_t i = 0; i < rl->n_extremes; i++) {
        double min = INFINITY, max = -INFINITY;
        oz_entries_extremes(rl, block->entry, block->n, rl->extreme_value[i], &min, &max);
        oz_ref_extremes(rl, ref)[2 * i] = oz_bits_of(min);
        oz_ref_extremes(rl, ref)[2 * i + 1] = oz_bits_of(max);
    }
}

static void merge_extremes(const struct oz_ring_layout *rl, uint64_t *to, const uint64_t *from)
{
    for (uint32_t i = 0; i < rl->n_extremes; i++, to += 2, from += 2) {
        if (oz_double_of(from[0]) < oz_double_of(to[0])) to[0] = from[0];
        if (oz_double_of(from[1]) > oz_double_of(to[1])) to[1] = from[1];
    }
}

static void no_extremes(const struct oz_ring_layout *rl, uint64_t *to)
{
    for (uint32_t i = 0; i < rl->n_extremes; i++, to += 2) {
        to[0] = oz_bits_of(INFINITY);
        to[1] = oz_bits_of(-INFINITY);
    }
}

/* Times, totals and extremes of a page, from its refs; `before` stays. */
static void describe_page(const struct oz_ring_layout *rl, const struct oz_block *page,
                          struct oz_ref *ref)
{
    const struct oz_refs *refs = &page->refs;
    ref->part = page->part;
    ref->n = refs->n;
    ref->first_us = oz_ref_at(rl, refs, 0)->first_us;
    ref->edge_us = oz_ref_at(rl, refs, 0)->last_us;
    ref->last_us = oz_ref_at(rl, refs, refs->n - 1)->last_us;
    memset(ref->word, 0, 8 * rl->n_words);
    no_extremes(rl, oz_ref_extremes(rl, ref));
    for (uint32_t i = 0; i < refs->n; i++) {
        struct oz_ref *chunk = oz_ref_at(rl, refs, i);
        oz_words_add(rl, ref->word, chunk->word);
        merge_extremes(rl, oz_ref_extremes(rl, ref), oz_ref_extremes(rl, chunk));
    }
}

/* Totals before the refs from i on gain the words. */
static void shift_before(const struct oz_ring_layout *rl, const struct oz_refs *refs, uint32_t i,
                         const uint64_t *words)
{
    for (; i < refs->n; i++) {
        uint64_t *before = oz_ref_before(rl, oz_ref_at(rl, refs, i));
        oz_words_add(rl, before, words);
    }
}

/* ---------- pages */

/* Moves the refs from i on, F of them, into a page of their own, numbered `at` in the index;
 * `start` is what stands before `refs` in the ring's frame. */
static enum oz_status make_page(struct oz_row_work *w, uint32_t ring, struct oz_refs *refs,
                                uint32_t i, const uint64_t *start, uint32_t at)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring_side *rs = &w->row->side->ring[ring];
    uint32_t n = w->layout->page_chunks;
    struct oz_block *page;
    uint64_t first[OZ_WORDS_MAX];
    OZ_TRY(oz_part_new(w, ring, true, n, &page));
    OZ_TRY(oz_refs_reserve(w, rl, &rs->page, rs->page.n + 1));
    memcpy(page->refs.ref, oz_ref_at(rl, refs, i), (size_t)n * rl->ref_bytes);
    page->refs.n = n;
    memcpy(first, oz_ref_before(rl, oz_ref_at(rl, refs, i)), 8 * rl->n_words);
    oz_refs_shift(rl, refs, i, -(int)n);
    for (uint32_t k = 0; k < n; k++)
        oz_words_sub(rl, oz_ref_before(rl, oz_ref_at(rl, &page->refs, k)), first);
    oz_refs_shift(rl, &rs->page, at, 1);
    struct oz_ref *ref = oz_ref_at(rl, &rs->page, at);
    memset(ref, 0, rl->ref_bytes);
    if (start) oz_words_add(rl, first, start);
    memcpy(oz_ref_before(rl, ref), first, 8 * rl->n_words);
    describe_page(rl, page, ref);
    return OZ_OK;
}

/* A page, or the index, that has grown to 2F chunks. */
static enum oz_status relieve(struct oz_row_work *w, uint32_t ring, uint32_t page)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring_side *rs = &w->row->side->ring[ring];
    struct oz_refs *refs;
    struct oz_block *block;
    uint64_t start[OZ_WORDS_MAX];
    OZ_TRY(oz_ring_refs(w, ring, page, &refs, &block));
    if (refs->n < 2 * w->layout->page_chunks) return OZ_OK;
    if (!block) return make_page(w, ring, refs, 0, NULL, rs->page.n);
    memcpy(start, oz_ref_before(rl, oz_ref_at(rl, &rs->page, page)), 8 * rl->n_words);
    OZ_TRY(make_page(w, ring, refs, w->layout->page_chunks, start, page + 1));
    describe_page(rl, block, oz_ref_at(rl, &rs->page, page));
    return OZ_OK;
}

/* ---------- chunks */

enum oz_status oz_ring_close_chunk(struct oz_row_work *w, uint32_t ring)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring *r = oz_ring_of(w->layout, w->row, ring);
    struct oz_row_side *side;
    uint32_t n = w->layout->block_events;
    struct oz_block *block;
    OZ_TRY(oz_row_side(w, &side));
    struct oz_ring_side *rs = &side->ring[ring];
    OZ_TRY(oz_part_new(w, ring, false, n, &block));
    OZ_TRY(oz_refs_reserve(w, rl, &rs->chunk, rs->chunk.n + 1));
    memcpy(block->entry, oz_ring_slot(rl, r, r->first), (size_t)(n + 1) * rl->stride);
    oz_entry_set_time(block->entry + (size_t)n * rl->stride, INT64_MAX);
    block->n = n;
    struct oz_ref *ref = oz_ref_at(rl, &rs->chunk, rs->chunk.n++);
    memset(ref, 0, rl->ref_bytes);
    describe_chunk(rl, block, ref);
    memcpy(oz_ref_before(rl, ref), rs->before, 8 * rl->n_words);
    oz_words_add(rl, rs->before, ref->word);
    r->first += n;
    r->spilled = true;
    w->row->changed = true;
    return relieve(w, ring, rs->page.n);
}

/* The chunk's second half becomes a chunk of its own. */
static enum oz_status split_chunk(struct oz_row_work *w, uint32_t ring, const struct oz_spot *spot)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring_side *rs = &w->row->side->ring[ring];
    uint32_t n = w->layout->block_events;
    struct oz_block *half, *page;
    struct oz_refs *refs;
    OZ_TRY(oz_part_new(w, ring, false, n, &half));
    OZ_TRY(oz_ring_refs(w, ring, spot->page, &refs, &page));
    OZ_TRY(oz_refs_reserve(w, rl, refs, refs->n + 1));
    memcpy(half->entry, spot->block->entry + (size_t)n * rl->stride, (size_t)(n + 1) * rl->stride);
    oz_entry_set_time(spot->block->entry + (size_t)n * rl->stride, INT64_MAX);
    half->n = spot->block->n = n;
    oz_refs_shift(rl, refs, spot->chunk + 1, 1);
    struct oz_ref *old = oz_ref_at(rl, refs, spot->chunk);
    struct oz_ref *new = oz_ref_at(rl, refs, spot->chunk + 1);
    memset(new, 0, rl->ref_bytes);
    describe_chunk(rl, spot->block, old);
    describe_chunk(rl, half, new);
    memcpy(oz_ref_before(rl, new), oz_ref_before(rl, old), 8 * rl->n_words);
    oz_words_add(rl, oz_ref_before(rl, new), old->word);
    if (page) describe_page(rl, page, oz_ref_at(rl, &rs->page, spot->page));
    return relieve(w, ring, spot->page);
}

/* A chunk's totals gained the words: all that counts them, and all that stands behind it. */
static enum oz_status carry(struct oz_row_work *w, uint32_t ring, const struct oz_spot *spot,
                            const uint64_t *words)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring_side *rs = &w->row->side->ring[ring];
    struct oz_refs *refs;
    struct oz_block *page;
    OZ_TRY(oz_ring_refs(w, ring, spot->page, &refs, &page));
    describe_chunk(rl, spot->block, oz_ref_at(rl, refs, spot->chunk));
    shift_before(rl, refs, spot->chunk + 1, words);
    if (page) {
        describe_page(rl, page, oz_ref_at(rl, &rs->page, spot->page));
        shift_before(rl, &rs->page, spot->page + 1, words);
        shift_before(rl, &rs->chunk, 0, words);
        oz_part_changed(w, page);
    }
    oz_words_add(rl, rs->before, words);
    oz_part_changed(w, spot->block);
    return OZ_OK;
}

enum oz_status oz_chunk_insert(struct oz_row_work *w, uint32_t ring,
                               const struct oz_entry_event *event, const struct oz_spot *spot)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_block *block = spot->block;
    uint64_t words[OZ_WORDS_MAX];
    OZ_TRY(oz_part_reserve(w, block));
    oz_entries_insert(rl, block->entry + (size_t)spot->slot * rl->stride, block->n - spot->slot,
                      event);
    block->n++;
    oz_event_words(rl, event, words);
    OZ_TRY(carry(w, ring, spot, words));
    if (block->n >= 2 * w->layout->block_events) OZ_TRY(split_chunk(w, ring, spot));
    return OZ_OK;
}

enum oz_status oz_chunk_replace(struct oz_row_work *w, uint32_t ring,
                                const struct oz_entry_event *event, const struct oz_spot *spot)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_block *block = spot->block;
    uint64_t words[OZ_WORDS_MAX];
    oz_entries_replace(rl, block->entry + (size_t)spot->slot * rl->stride, block->n - spot->slot,
                       event, words);
    return carry(w, ring, spot, words);
}

/* ---------- letting go */

void oz_base_zero(const struct oz_ring_layout *rl, uint64_t *base)
{
    memset(base, 0, 8 * rl->base_words);
    for (uint32_t i = 0; i < rl->n_values; i++) {
        base[rl->base_last + 2 * i] = (uint64_t)OZ_TIME_NONE;
        base[rl->base_last + 2 * i + 1] = oz_bits_of(NAN);
    }
    no_extremes(rl, base + rl->base_extreme);
}

static void take_newest(const struct oz_ring_layout *rl, uint64_t *base, const uint8_t *entry,
                        uint32_t n)
{
    for (uint32_t i = 0; i < rl->n_values; i++) {
        uint64_t *last = base + rl->base_last + 2 * i;
        uint32_t newest = rl->value[i].outlives ? oz_entries_newest(rl, entry, n, i) : UINT32_MAX;
        if (newest == UINT32_MAX) continue;
        const uint8_t *at = entry + (size_t)newest * rl->stride;
        if (oz_entry_time(at) < (int64_t)last[0]) continue;
        last[0] = (uint64_t)oz_entry_time(at);
        last[1] = oz_entry_value(rl, at, i);
    }
}

void oz_base_take(const struct oz_ring_layout *rl, uint64_t *base, const uint8_t *entry, uint32_t n)
{
    uint64_t words[OZ_WORDS_MAX];
    oz_entries_words(rl, entry, n, words);
    oz_words_add(rl, base, words);
    for (uint32_t i = 0; i < rl->n_extremes; i++) {
        uint64_t *to = base + rl->base_extreme + 2 * i;
        double min = oz_double_of(to[0]), max = oz_double_of(to[1]);
        oz_entries_extremes(rl, entry, n, rl->extreme_value[i], &min, &max);
        to[0] = oz_bits_of(min);
        to[1] = oz_bits_of(max);
    }
    take_newest(rl, base, entry, n);
}

/* The same of a whole chunk, which is read only when a value of its must live on. */
static enum oz_status take_chunk(struct oz_row_work *w, uint32_t ring, struct oz_ref *ref)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    uint64_t *base = w->row->side->ring[ring].base;
    struct oz_block *block;
    oz_words_add(rl, base, ref->word);
    merge_extremes(rl, base + rl->base_extreme, oz_ref_extremes(rl, ref));
    if (!rl->all_time_last) return OZ_OK;
    OZ_TRY(oz_part_get(w, ring, ref, false, &block));
    take_newest(rl, base, block->entry, block->n);
    return OZ_OK;
}

/* Takes the first ref out of page 0, which then begins later. */
static enum oz_status shorten_page(struct oz_row_work *w, uint32_t ring, struct oz_block *page,
                                   const uint64_t *words)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_refs *pages = &w->row->side->ring[ring].page;
    struct oz_ref *ref = oz_ref_at(rl, pages, 0);
    oz_refs_shift(rl, &page->refs, 0, -1);
    if (!page->refs.n) {
        uint32_t part = page->part;
        oz_refs_shift(rl, pages, 0, -1);
        return oz_part_delete(w, part);
    }
    for (uint32_t i = 0; i < page->refs.n; i++)
        oz_words_sub(rl, oz_ref_before(rl, oz_ref_at(rl, &page->refs, i)), words);
    oz_words_add(rl, oz_ref_before(rl, ref), words);
    describe_page(rl, page, ref);
    oz_part_changed(w, page);
    return OZ_OK;
}

enum oz_status oz_ring_drop_chunk(struct oz_row_work *w, uint32_t ring, bool saturated)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_ring_side *rs = &w->row->side->ring[ring];
    struct oz_ring *r = oz_ring_of(w->layout, w->row, ring);
    struct oz_refs *refs;
    struct oz_block *page;
    uint64_t words[OZ_WORDS_MAX];
    OZ_TRY(oz_ring_refs(w, ring, 0, &refs, &page));
    struct oz_ref *ref = oz_ref_at(rl, refs, 0);
    uint64_t end = oz_ring_first_ordinal(w->layout, w->row, ring) + ref->n;
    if (rl->has_bags) OZ_TRY(oz_bags_leave(w, ring, end));
    if (rl->all_time) OZ_TRY(take_chunk(w, ring, ref));
    if (saturated)
        rs->saturated_us = OZ_MAX(rs->saturated_us, ref->last_us);
    else
        r->trimmed = true;
    uint32_t part = ref->part;
    memcpy(words, ref->word, 8 * rl->n_words);
    if (page)
        OZ_TRY(shorten_page(w, ring, page, words));
    else
        oz_refs_shift(rl, refs, 0, -1);
    OZ_TRY(oz_part_delete(w, part));
    w->row->side->index_changed = true;
    w->row->changed = true;
    if (rs->page.n || rs->chunk.n) return OZ_OK;
    r->spilled = false;
    oz_ring_find_cursors(w->layout, w->row, ring);
    return OZ_OK;
}
