/* The closed part of a ring: making chunks and pages, putting late events into them, and dropping
 * the oldest. Every change of a chunk is carried through the totals of what stands behind it in the
 * index. */
#ifndef OZ_FEATURES_RING_CHUNKS_H
#define OZ_FEATURES_RING_CHUNKS_H
#include "features/ring.h"

/* The oldest K events of the open block become a chunk. */
enum oz_status oz_ring_close_chunk(struct oz_row_work *w, uint32_t ring) OZ_MUST_USE;
enum oz_status oz_chunk_insert(struct oz_row_work *w, uint32_t ring,
                               const struct oz_entry_event *event,
                               const struct oz_spot *spot) OZ_MUST_USE;
enum oz_status oz_chunk_replace(struct oz_row_work *w, uint32_t ring,
                                const struct oz_entry_event *event,
                                const struct oz_spot *spot) OZ_MUST_USE;
/* Drops the oldest chunk; its totals go on in those over all time, if there are any. */
enum oz_status oz_ring_drop_chunk(struct oz_row_work *w, uint32_t ring, bool saturated) OZ_MUST_USE;

/* Takes n entries that are about to go into the totals over all time. */
void oz_base_take(const struct oz_ring_layout *rl, uint64_t *base, const uint8_t *entry,
                  uint32_t n);
#endif
