#include "features/row_parts.h"
#include "features/block_codec.h"

/* ---------- memory */

static uint32_t chunk_max(const struct oz_row_layout *layout)
{
    return 2 * layout->block_events - 1;
}
static uint32_t page_max(const struct oz_row_layout *layout) { return 2 * layout->page_chunks - 1; }

/* Grows an array of the pool; *cap counts items, as many as the block really holds. */
static enum oz_status grow(struct oz_pool *pool, void **items, uint32_t *cap, uint32_t *bytes,
                           uint32_t used, uint32_t n, size_t each, struct oz_error *err)
{
    if (n <= *cap) return OZ_OK;
    size_t want = OZ_POOL_BLOCK_MIN;
    while (want < n * each) want *= 2;
    if (want > UINT32_MAX / 2) return oz_no_memory(err);
    void *grown = oz_pool_get(pool, want, NULL);
    if (!grown) return oz_no_memory(err);
    if (used) memcpy(grown, *items, used * each);
    oz_pool_put(pool, *items, *bytes);
    *items = grown;
    *bytes = (uint32_t)want;
    *cap = (uint32_t)(want / each);
    return OZ_OK;
}

enum oz_status oz_refs_reserve(struct oz_row_work *w, const struct oz_ring_layout *rl,
                               struct oz_refs *refs, uint32_t n)
{
    void *items = refs->ref;
    OZ_TRY(grow(w->io->pool, &items, &refs->cap, &refs->bytes, refs->n, n, rl->ref_bytes, w->err));
    refs->ref = items;
    return OZ_OK;
}

void oz_refs_shift(const struct oz_ring_layout *rl, struct oz_refs *refs, uint32_t i, int n)
{
    uint32_t from = n < 0 ? i + (uint32_t)-n : i, to = n < 0 ? i : i + (uint32_t)n;
    memmove(refs->ref + (size_t)to * rl->ref_bytes, refs->ref + (size_t)from * rl->ref_bytes,
            (size_t)(refs->n - from) * rl->ref_bytes);
    refs->n += (uint32_t)n;
}

static void free_block(struct oz_pool *pool, struct oz_block *block)
{
    if (!block) return;
    if (block->page)
        oz_pool_put(pool, block->refs.ref, block->refs.bytes);
    else
        oz_pool_put(pool, block->entry, block->bytes);
    oz_pool_put(pool, block, sizeof *block);
}

/* A block of the row with nothing in it, not yet in its list, which has room for it. */
static enum oz_status new_block(struct oz_row_work *w, uint32_t ring, uint32_t part, bool page,
                                uint32_t n, struct oz_block **ret_block)
{
    struct oz_row_side *side = w->row->side;
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    if (side->n_blocks == side->cap_blocks) {
        void *items = side->block;
        uint32_t bytes = side->cap_blocks * (uint32_t)sizeof *side->block;
        OZ_TRY(grow(w->io->pool, &items, &side->cap_blocks, &bytes, side->n_blocks,
                    side->n_blocks + 1, sizeof *side->block, w->err));
        side->block = items;
    }
    struct oz_block *block = oz_pool_get(w->io->pool, sizeof *block, NULL);
    if (!block) return oz_no_memory(w->err);
    *block = (struct oz_block){.part = part, .ring = ring, .page = page, .tick = ++side->tick};
    enum oz_status status;
    if (page) {
        status = oz_refs_reserve(w, rl, &block->refs, n);
    } else {
        void *items = NULL;
        status =
            grow(w->io->pool, &items, &block->cap, &block->bytes, 0, n + 1, rl->stride, w->err);
        block->entry = items;
    }
    if (status) {
        free_block(w->io->pool, block);
        return status;
    }
    *ret_block = block;
    return OZ_OK;
}

enum oz_status oz_part_new(struct oz_row_work *w, uint32_t ring, bool page, uint32_t n,
                           struct oz_block **ret_block)
{
    struct oz_row_side *side = w->row->side;
    if (side->next_part == UINT32_MAX)
        OZ_FAIL(w->err, OZ_CORRUPT, "the part numbers of a row are used up");
    OZ_TRY(new_block(w, ring, side->next_part, page, n, ret_block));
    side->next_part++;
    w->row->changed = true; /* the main part has the next number */
    side->block[side->n_blocks++] = *ret_block;
    side->grown = true;
    (*ret_block)->fresh = true;
    oz_part_changed(w, *ret_block);
    return OZ_OK;
}

enum oz_status oz_part_reserve(struct oz_row_work *w, struct oz_block *block)
{
    const struct oz_ring_layout *rl = &w->layout->ring[block->ring];
    if (block->page) return oz_refs_reserve(w, rl, &block->refs, block->refs.n + 1);
    void *items = block->entry;
    OZ_TRY(grow(w->io->pool, &items, &block->cap, &block->bytes, block->n + 1, block->n + 2,
                rl->stride, w->err));
    block->entry = items;
    return OZ_OK;
}

void oz_part_changed(struct oz_row_work *w, struct oz_block *block)
{
    block->changed = true;
    block->changed_epoch = w->io->epoch;
    w->row->side->index_changed = true;
}

static void forget(struct oz_row_side *side, struct oz_pool *pool, uint32_t i)
{
    struct oz_block **recent = &side->recent[side->block[i]->part % OZ_RECENT_BLOCKS];
    if (*recent == side->block[i]) *recent = NULL;
    free_block(pool, side->block[i]);
    side->block[i] = side->block[--side->n_blocks];
}

enum oz_status oz_part_delete(struct oz_row_work *w, uint32_t part)
{
    struct oz_row_side *side = w->row->side;
    bool stored = true;
    for (uint32_t i = 0; i < side->n_blocks; i++) {
        if (side->block[i]->part != part) continue;
        stored = !side->block[i]->fresh;
        forget(side, w->io->pool, i);
        break;
    }
    if (!stored) return OZ_OK;
    void *items = side->deleted;
    uint32_t bytes = side->cap_deleted * (uint32_t)sizeof *side->deleted;
    OZ_TRY(grow(w->io->pool, &items, &side->cap_deleted, &bytes, side->n_deleted,
                side->n_deleted + 1, sizeof *side->deleted, w->err));
    side->deleted = items;
    side->deleted[side->n_deleted++] = part;
    return OZ_OK;
}

void oz_parts_shed(struct oz_row_work *w)
{
    struct oz_row_side *side = w->row->side;
    side->grown = false;
    for (;;) {
        uint32_t oldest = 0, age = 0, n_free = 0;
        for (uint32_t i = 0; i < side->n_blocks; i++) {
            const struct oz_block *block = side->block[i];
            if (block->changed || block->changed_epoch > w->io->stored_epoch) continue;
            n_free++;
            if (side->tick - block->tick < age) continue;
            age = side->tick - block->tick;
            oldest = i;
        }
        if (n_free <= w->layout->n_blocks_kept) return;
        forget(side, w->io->pool, oldest);
    }
}

void oz_parts_free(struct oz_row_side *side, const struct oz_row_layout *layout,
                   struct oz_pool *pool)
{
    while (side->n_blocks) forget(side, pool, side->n_blocks - 1);
    oz_pool_put(pool, side->block, side->cap_blocks * sizeof *side->block);
    oz_pool_put(pool, side->deleted, side->cap_deleted * sizeof *side->deleted);
    for (uint32_t i = 0; i < layout->n_rings; i++) {
        oz_pool_put(pool, side->ring[i].page.ref, side->ring[i].page.bytes);
        oz_pool_put(pool, side->ring[i].chunk.ref, side->ring[i].chunk.bytes);
    }
    for (uint32_t i = 0; i < layout->n_bags; i++) oz_bag_clear(&side->bag[i], pool);
}

/* ---------- bytes */

static void encode_words(const struct oz_ring_layout *rl, const uint64_t *words, struct oz_buf *buf)
{
    for (uint32_t i = 0; i < rl->n_sums; i++) oz_buf_fix(buf, words + rl->sum[i].word);
    for (uint32_t i = 0; i < rl->n_counts; i++) oz_buf_varint(buf, words[rl->count[i].word]);
    for (uint32_t i = 0; i < rl->n_ones; i++) oz_buf_varint(buf, words[rl->ones[i].word]);
}

static void decode_words(const struct oz_ring_layout *rl, struct oz_row_reader *r, uint64_t *words)
{
    for (uint32_t i = 0; i < rl->n_sums; i++) oz_read_fix(r, words + rl->sum[i].word);
    for (uint32_t i = 0; i < rl->n_counts; i++) words[rl->count[i].word] = oz_read_varint(r);
    for (uint32_t i = 0; i < rl->n_ones; i++) words[rl->ones[i].word] = oz_read_varint(r);
}

static void encode_refs(const struct oz_ring_layout *rl, const struct oz_refs *refs, bool pages,
                        struct oz_buf *buf)
{
    int64_t at = 0;
    for (uint32_t i = 0; i < refs->n; i++) {
        struct oz_ref *ref = oz_ref_at(rl, refs, i);
        oz_buf_varint(buf, ref->part);
        oz_buf_varint(buf, ref->n);
        if (pages) oz_buf_varint(buf, ref->word[0]);
        oz_buf_varint(buf, oz_zigzag(ref->first_us - at));
        oz_buf_varint(buf, (uint64_t)(ref->last_us - ref->first_us));
        if (pages) oz_buf_varint(buf, (uint64_t)(ref->edge_us - ref->first_us));
        at = ref->last_us;
        encode_words(rl, ref->word, buf);
        for (uint32_t k = 0; k < 2 * rl->n_extremes; k++)
            oz_buf_double(buf, oz_double_of(oz_ref_extremes(rl, ref)[k]));
    }
}

/* The refs that follow, with the totals before each counted from *before, which goes on to the end.
 */
static enum oz_status decode_refs(struct oz_row_work *w, const struct oz_ring_layout *rl,
                                  struct oz_row_reader *r, struct oz_refs *refs, uint32_t n,
                                  bool pages, int64_t *at, uint64_t *before)
{
    const uint64_t span = 4 * (uint64_t)OZ_TIME_LIMIT;
    uint64_t events_max = chunk_max(w->layout);
    OZ_TRY(oz_refs_reserve(w, rl, refs, n));
    for (uint32_t i = 0; i < n; i++) {
        struct oz_ref *ref = oz_ref_at(rl, refs, i);
        memset(ref, 0, rl->ref_bytes);
        ref->part = (uint32_t)oz_read_within(r, OZ_PART_FIRST_CHUNK, w->row->side->next_part - 1);
        ref->n = (uint32_t)oz_read_within(r, 1, pages ? page_max(w->layout) : events_max);
        uint64_t events = pages ? oz_read_within(r, ref->n, (uint64_t)ref->n * events_max) : ref->n;
        int64_t step = oz_unzigzag(oz_read_varint(r));
        if (step > (int64_t)span || step < -(int64_t)span || (step < 0 && i))
            r->bad = true;
        else
            ref->first_us = (i ? *at : 0) + step;
        ref->last_us = ref->first_us + (int64_t)oz_read_within(r, 0, span);
        ref->edge_us = ref->last_us;
        if (pages)
            ref->edge_us = ref->first_us +
                           (int64_t)oz_read_within(r, 0, (uint64_t)(ref->last_us - ref->first_us));
        if (r->bad || ref->first_us < -OZ_TIME_LIMIT || ref->last_us > OZ_TIME_LIMIT ||
            (!i && ref->first_us < *at))
            OZ_FAIL(w->err, OZ_CORRUPT, "entry %u of an index is damaged", i);
        *at = ref->last_us;
        decode_words(rl, r, ref->word);
        ref->word[0] = events;
        memcpy(oz_ref_before(rl, ref), before, 8 * rl->n_words);
        oz_words_add(rl, before, ref->word);
        for (uint32_t k = 0; k < 2 * rl->n_extremes; k++)
            oz_ref_extremes(rl, ref)[k] = oz_bits_of(oz_read_double(r));
        refs->n = i + 1;
    }
    if (r->bad) OZ_FAIL(w->err, OZ_CORRUPT, "an index ends early");
    return OZ_OK;
}

enum oz_status oz_index_decode(struct oz_row_work *w)
{
    const uint8_t *payload;
    size_t len;
    OZ_TRY(w->io->read(w->io, OZ_PART_INDEX, &payload, &len, w->err));
    if (!payload) OZ_FAIL(w->err, OZ_CORRUPT, "the index of a row's chunks (part 1) is missing");
    struct oz_row_reader r = {payload, payload + len, false};
    unsigned version = oz_read_u8(&r);
    if (version != OZ_ROW_VERSION)
        OZ_FAIL(w->err, OZ_CORRUPT, "an index (part 1) of version %u, this one reads %d", version,
                OZ_ROW_VERSION);
    for (uint32_t i = 0; i < w->layout->n_rings; i++) {
        const struct oz_ring_layout *rl = &w->layout->ring[i];
        struct oz_ring_side *rs = &w->row->side->ring[i];
        struct oz_ring *ring = oz_ring_of(w->layout, w->row, i);
        uint64_t pages = oz_read_within(&r, 0, len / 5), chunks = oz_read_within(&r, 0, len);
        if (r.bad || chunks >= 2 * w->layout->page_chunks)
            OZ_FAIL(w->err, OZ_CORRUPT, "the index of a row's chunks (part 1) is damaged");
        int64_t at = OZ_TIME_NONE;
        OZ_TRY(decode_refs(w, rl, &r, &rs->page, (uint32_t)pages, true, &at, rs->before));
        OZ_TRY(decode_refs(w, rl, &r, &rs->chunk, (uint32_t)chunks, false, &at, rs->before));
        ring->spilled = pages + chunks > 0;
        if (ring->spilled && ring->len && oz_entry_time(oz_ring_slot(rl, ring, 0)) < at)
            OZ_FAIL(w->err, OZ_CORRUPT, "a row's main part and its index (part 1) do not fit");
    }
    if (r.at != r.end) OZ_FAIL(w->err, OZ_CORRUPT, "bytes behind the end of an index (part 1)");
    w->row->side->index_stored = true;
    return OZ_OK;
}

static enum oz_status check_head(struct oz_row_work *w, struct oz_row_reader *r, uint32_t ring)
{
    unsigned version = oz_read_u8(r);
    if (version != OZ_ROW_VERSION)
        OZ_FAIL(w->err, OZ_CORRUPT, "version %u, this one reads %d", version, OZ_ROW_VERSION);
    uint64_t stored = oz_read_varint(r);
    if (stored != ring)
        OZ_FAIL(w->err, OZ_CORRUPT, "it belongs to ring %llu, expected %u",
                (unsigned long long)stored, ring);
    return OZ_OK;
}

static enum oz_status decode_chunk(struct oz_row_work *w, struct oz_row_reader *r,
                                   const struct oz_ref *ref, struct oz_block *block)
{
    const struct oz_ring_layout *rl = &w->layout->ring[block->ring];
    uint64_t words[OZ_WORDS_MAX];
    uint32_t n;
    OZ_TRY(oz_block_decode_n(r, ref->n, &n, w->err));
    if (n != ref->n) OZ_FAIL(w->err, OZ_CORRUPT, "%u events, expected %u", n, ref->n);
    OZ_TRY(oz_block_decode(rl, r, block->entry, n, w->err));
    block->n = n;
    oz_entries_words(rl, block->entry, n, words);
    if (oz_entry_time(block->entry) != ref->first_us ||
        oz_entry_time(block->entry + (size_t)(n - 1) * rl->stride) != ref->last_us ||
        memcmp(words, ref->word, 8 * rl->n_words))
        OZ_FAIL(w->err, OZ_CORRUPT, "its times or totals are not those of the index");
    return OZ_OK;
}

static enum oz_status decode_page(struct oz_row_work *w, struct oz_row_reader *r,
                                  const struct oz_ref *ref, struct oz_block *block)
{
    const struct oz_ring_layout *rl = &w->layout->ring[block->ring];
    uint64_t words[OZ_WORDS_MAX] = {0};
    int64_t at = OZ_TIME_NONE;
    OZ_TRY(decode_refs(w, rl, r, &block->refs, ref->n, false, &at, words));
    const struct oz_ref *first = oz_ref_at(rl, &block->refs, 0);
    if (first->first_us != ref->first_us || first->last_us != ref->edge_us || at != ref->last_us ||
        memcmp(words, ref->word, 8 * rl->n_words))
        OZ_FAIL(w->err, OZ_CORRUPT, "its times or totals are not those of the index");
    return OZ_OK;
}

static OZ_COLD enum oz_status load(struct oz_row_work *w, uint32_t ring, const struct oz_ref *ref,
                                   bool page, struct oz_block **ret_block)
{
    struct oz_row_side *side = w->row->side;
    const uint8_t *payload;
    size_t len;
    struct oz_block *block;
    OZ_TRY(w->io->read(w->io, ref->part, &payload, &len, w->err));
    if (!payload) OZ_FAIL(w->err, OZ_CORRUPT, "part %u of a row is missing", ref->part);
    OZ_TRY(new_block(w, ring, ref->part, page, ref->n, &block));
    struct oz_row_reader r = {payload, payload + len, false};
    enum oz_status status = check_head(w, &r, ring);
    if (!status) status = page ? decode_page(w, &r, ref, block) : decode_chunk(w, &r, ref, block);
    if (!status && (r.bad || r.at != r.end))
        status = oz_error_set(w->err, OZ_CORRUPT, "it does not end where it should");
    if (status) {
        free_block(w->io->pool, block);
        if (status == OZ_CORRUPT)
            oz_error_prefix(w->err, "part %u of a row (a %s)", ref->part, page ? "page" : "chunk");
        return status;
    }
    side->block[side->n_blocks++] = block;
    side->grown = true;
    *ret_block = block;
    return OZ_OK;
}

/* The block if it is in memory. */
static struct oz_block *find_block(struct oz_row_side *side, uint32_t part)
{
    struct oz_block **recent = &side->recent[part % OZ_RECENT_BLOCKS];
    if (*recent && (*recent)->part == part) return *recent;
    for (uint32_t i = 0; i < side->n_blocks; i++)
        if (side->block[i]->part == part) return *recent = side->block[i];
    return NULL;
}

enum oz_status oz_part_get(struct oz_row_work *w, uint32_t ring, const struct oz_ref *ref,
                           bool page, struct oz_block **ret_block)
{
    struct oz_row_side *side = w->row->side;
    struct oz_block *block = find_block(side, ref->part);
    if (!block) return load(w, ring, ref, page, ret_block);
    /* A damaged index can name a part twice. */
    if (block->ring != ring || block->page != page || ref->n != (page ? block->refs.n : block->n))
        OZ_FAIL(w->err, OZ_CORRUPT, "part %u of a row stands in its index twice", ref->part);
    block->tick = ++side->tick;
    *ret_block = block;
    return OZ_OK;
}

static enum oz_status encode_index(struct oz_row_work *w, struct oz_sealed *sealed)
{
    struct oz_row_side *side = w->row->side;
    bool spilled = false;
    for (uint32_t i = 0; i < w->layout->n_rings; i++)
        spilled |= oz_ring_of(w->layout, w->row, i)->spilled;
    if (!spilled) {
        bool stored = side->index_stored;
        side->index_stored = side->index_changed = false;
        return stored ? oz_sealed_delete(sealed, OZ_PART_INDEX, w->err) : OZ_OK;
    }
    if (!side->index_changed) return OZ_OK;
    struct oz_buf *buf = oz_sealed_begin(sealed, OZ_PART_INDEX, w->err);
    if (!buf) return OZ_NO_MEMORY;
    oz_buf_put_u8(buf, OZ_ROW_VERSION);
    for (uint32_t i = 0; i < w->layout->n_rings; i++) {
        const struct oz_ring_layout *rl = &w->layout->ring[i];
        oz_buf_varint(buf, side->ring[i].page.n);
        oz_buf_varint(buf, side->ring[i].chunk.n);
        encode_refs(rl, &side->ring[i].page, true, buf);
        encode_refs(rl, &side->ring[i].chunk, false, buf);
    }
    side->index_stored = true;
    side->index_changed = false;
    return oz_sealed_end(sealed, w->err);
}

enum oz_status oz_parts_encode(struct oz_row_work *w, struct oz_sealed *sealed)
{
    struct oz_row_side *side = w->row->side;
    OZ_TRY(encode_index(w, sealed));
    for (uint32_t i = 0; i < side->n_blocks; i++) {
        struct oz_block *block = side->block[i];
        const struct oz_ring_layout *rl = &w->layout->ring[block->ring];
        if (!block->changed) continue;
        struct oz_buf *buf = oz_sealed_begin(sealed, block->part, w->err);
        if (!buf) return OZ_NO_MEMORY;
        oz_buf_put_u8(buf, OZ_ROW_VERSION);
        oz_buf_varint(buf, block->ring);
        if (block->page)
            encode_refs(rl, &block->refs, false, buf);
        else
            oz_block_encode(rl, block->entry, block->n, buf);
        OZ_TRY(oz_sealed_end(sealed, w->err));
        block->changed = block->fresh = false;
        block->changed_epoch = OZ_MAX(block->changed_epoch, w->io->epoch);
    }
    for (uint32_t i = 0; i < side->n_deleted; i++)
        OZ_TRY(oz_sealed_delete(sealed, side->deleted[i], w->err));
    side->n_deleted = 0;
    return OZ_OK;
}
