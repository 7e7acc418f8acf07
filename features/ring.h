/* The ring of one source in a row: taking events in, at the end or at their own time, and letting
 * the oldest go.
 *
 *   pages (the oldest) | chunks of the index | open block
 *
 * When the live events of the open block reach 2K, the oldest K become a chunk; when the index has
 * 2F chunks, the oldest F become a page. An event that is late into a chunk is put in there, and
 * the chunk is split in two when it reaches 2K. Both depend on the events alone, never on when a
 * row was stored or read, so equal histories have equal bytes.
 * Errors: what fails in the middle leaves the row good for clear() only. */
#ifndef OZ_FEATURES_RING_H
#define OZ_FEATURES_RING_H
#include "features/ring_place.h"

/* Where an event stands, or would: in the open block (slot counted as in struct oz_ring), or in a
 * chunk. */
struct oz_spot {
    bool open;
    uint32_t page, chunk, slot;
    struct oz_block *block;
};

void oz_ring_init(const struct oz_ring_layout *rl, struct oz_ring *ring);
void oz_ring_clear(struct oz_ring *ring, struct oz_pool *pool);
/* Room for n entries and a sentinel; keeps what is there. */
enum oz_status oz_ring_reserve(struct oz_row_work *w, uint32_t ring, uint32_t n) OZ_MUST_USE;
/* Room for one more at the end, by letting go or by growing. */
enum oz_status oz_ring_make_room(struct oz_row_work *w, uint32_t ring) OZ_MUST_USE;
/* Of a ring that is not spilled: lets go what no later event sees. */
enum oz_status oz_ring_trim(struct oz_row_work *w, uint32_t ring) OZ_MUST_USE;
/* The cursors, from nothing. */
void oz_ring_find_cursors(const struct oz_row_layout *layout, struct oz_row *row, uint32_t ring);

/* An event of this time was put in: cursors behind it stand one further. */
static inline void oz_ring_shift_cursors(const struct oz_ring_layout *rl, const struct oz_row *row,
                                         struct oz_ring *ring, int64_t time_us)
{
    for (uint32_t b = 0; b < rl->n_bounds; b++)
        ring->cursor[b] += time_us <= row->last_us - rl->bound_us[b];
}

/* Behind the events of equal time. */
enum oz_status oz_ring_spot(struct oz_row_work *w, uint32_t ring, int64_t us,
                            struct oz_spot *ret_spot) OZ_MUST_USE;
/* The event of this time and id, found from the spot; *ret_found tells. */
enum oz_status oz_ring_find(struct oz_row_work *w, uint32_t ring,
                            const struct oz_entry_event *event, const struct oz_spot *from,
                            bool *ret_found, struct oz_spot *ret_spot) OZ_MUST_USE;
enum oz_status oz_ring_insert(struct oz_row_work *w, uint32_t ring,
                              const struct oz_entry_event *event, struct oz_spot *spot) OZ_MUST_USE;
/* Other values for the event at the spot; *ret_changed: they were others. */
enum oz_status oz_ring_replace(struct oz_row_work *w, uint32_t ring,
                               const struct oz_entry_event *event, const struct oz_spot *spot,
                               bool *ret_changed) OZ_MUST_USE;
/* The ordinal of the event at the spot; of a ring with a side. */
enum oz_status oz_ring_ordinal(struct oz_row_work *w, uint32_t ring, const struct oz_spot *spot,
                               uint64_t *ret_ordinal) OZ_MUST_USE;

/* Drops chunks that no later event sees. */
enum oz_status oz_ring_expire(struct oz_row_work *w, uint32_t ring) OZ_MUST_USE;
/* After an event was taken: expires, closes, and holds the event limit. */
enum oz_status oz_ring_settle(struct oz_row_work *w, uint32_t ring) OZ_MUST_USE;
#endif
