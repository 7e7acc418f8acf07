/* The parts of a row besides its main one: chunks, pages and the index, in memory and as bytes.
 *
 *   index = version u8 | ring by ring: pages varint, chunks varint, refs
 *   page  = version u8 | ring varint | refs                  as many as its ref in the index says
 *   chunk = version u8 | ring varint | block                 features/block_codec.h
 *   ref   = part | n | events (of a page)
 *         | first time, zigzag of the difference to the last time of the ref before
 *         | last - first | edge - first (of a page) | totals | {min, max} each
 *
 * A chunk or page is read when something in it is asked for, and dropped again, the longest unused
 * first, once it is in the store as it is. What is changed stays until it has been stored.
 * Errors: a part that is missing, that is no such part, or that does not agree with the index is
 * OZ_CORRUPT and names the part. */
#ifndef OZ_FEATURES_ROW_PARTS_H
#define OZ_FEATURES_ROW_PARTS_H
#include "features/block.h"
#include "features/row_state.h"

enum { OZ_ROW_VERSION = 1 };

/* A chunk, or a page, that a ref tells of. The pointer holds until the parts are shed. */
enum oz_status oz_part_get(struct oz_row_work *w, uint32_t ring, const struct oz_ref *ref,
                           bool page, struct oz_block **ret_block) OZ_MUST_USE;
/* A new part, empty, with room for n entries and a sentinel, or for n refs. */
enum oz_status oz_part_new(struct oz_row_work *w, uint32_t ring, bool page, uint32_t n,
                           struct oz_block **ret_block) OZ_MUST_USE;
/* Room for one more entry, or ref. */
enum oz_status oz_part_reserve(struct oz_row_work *w, struct oz_block *block) OZ_MUST_USE;
void oz_part_changed(struct oz_row_work *w, struct oz_block *block);
/* Out of memory, and out of the store with the next encoding. */
enum oz_status oz_part_delete(struct oz_row_work *w, uint32_t part) OZ_MUST_USE;
/* Drops what need not stay in memory, down to the row's share. No pointer to a block holds after
 * it. */
void oz_parts_shed(struct oz_row_work *w);
void oz_parts_free(struct oz_row_side *side, const struct oz_row_layout *layout,
                   struct oz_pool *pool);

enum oz_status oz_refs_reserve(struct oz_row_work *w, const struct oz_ring_layout *rl,
                               struct oz_refs *refs, uint32_t n) OZ_MUST_USE;
/* Opens a gap for n refs at i, or takes n away. */
void oz_refs_shift(const struct oz_ring_layout *rl, struct oz_refs *refs, uint32_t i, int n);

enum oz_status oz_index_decode(struct oz_row_work *w) OZ_MUST_USE;
/* Index, chunks, pages and deletions that are not in the store as they are here. */
enum oz_status oz_parts_encode(struct oz_row_work *w, struct oz_sealed *sealed) OZ_MUST_USE;
#endif
