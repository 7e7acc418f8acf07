/* Places in a spilled ring: between pages, chunks and the open block, by time or by ordinal.
 * A place is found from the index: the page whose times reach beyond, in it the chunk, in it the
 * slot. Where a place is the start of a page or chunk, that part is not read: the index knows its
 * totals. So a window's end costs at most a page and a chunk. Pointers in a place hold until the
 * row's parts are shed or changed. */
#ifndef OZ_FEATURES_RING_PLACE_H
#define OZ_FEATURES_RING_PLACE_H
#include "features/row_parts.h"

struct oz_place {
    uint64_t ordinal;
    uint32_t page;  /* number in the index; as many as there are: behind the pages */
    uint32_t chunk; /* number in the page, or in the index; as many as there are: the open block */
    uint32_t slot;  /* in the chunk, or from the first of the open block */
    const uint64_t *before[2]; /* totals before the block: their sum */
    const uint8_t *entry,
        *entry0; /* of the place, and first of its block; NULL at a block's start */
};

/* The first event with time > us. */
enum oz_status oz_place_of_time(struct oz_row_work *w, uint32_t ring, int64_t us,
                                struct oz_place *ret_place) OZ_MUST_USE;
/* The event of this ordinal, or the end. */
enum oz_status oz_place_of_ordinal(struct oz_row_work *w, uint32_t ring, uint64_t ordinal,
                                   struct oz_place *ret_place) OZ_MUST_USE;
uint64_t oz_ring_first_ordinal(const struct oz_row_layout *layout, struct oz_row *row,
                               uint32_t ring);
uint64_t oz_ring_end_ordinal(const struct oz_row_layout *layout, struct oz_row *row, uint32_t ring);
/* The totals of the events from one place to a later one. */
void oz_place_words(const struct oz_ring_layout *rl, const struct oz_place *from,
                    const struct oz_place *to, uint64_t *words);
/* Minimum or maximum of a raw value between two places, remembered in the memo. NaN when all are
 * null. */
enum oz_status oz_place_extreme(struct oz_row_work *w, uint32_t ring, const struct oz_place *from,
                                const struct oz_place *to, uint32_t value, bool max,
                                struct oz_memo *memo, double *ret_extreme) OZ_MUST_USE;
/* The newest entry before the place whose value is not null, or NULL. */
enum oz_status oz_place_newest(struct oz_row_work *w, uint32_t ring, const struct oz_place *place,
                               uint32_t value, const uint8_t **ret_entry) OZ_MUST_USE;
/* The entries from this ordinal on that stand in one block. */
enum oz_status oz_ring_run(struct oz_row_work *w, uint32_t ring, uint64_t ordinal,
                           const uint8_t **ret_entry, uint32_t *ret_n) OZ_MUST_USE;
/* The refs that hold chunk numbers of a page, or of the index itself. */
enum oz_status oz_ring_refs(struct oz_row_work *w, uint32_t ring, uint32_t page,
                            struct oz_refs **ret_refs, struct oz_block **ret_page) OZ_MUST_USE;
#endif
