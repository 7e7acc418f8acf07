/* The counted sets of the windows that ask for distinct values. A set holds exactly the events of
 * the ordinals [from, to) and is moved to a window when that is asked for: one or two events for
 * the next event, a few for a late one, all of the window when the row has just been read. Ordinals
 * are told when events are put in, so a set stays right between two moves. */
#ifndef OZ_FEATURES_RING_BAGS_H
#define OZ_FEATURES_RING_BAGS_H
#include "features/ring_place.h"

enum oz_status oz_bag_move(struct oz_row_work *w, uint32_t bag, uint64_t from,
                           uint64_t to) OZ_MUST_USE;
/* Takes out what is before the ordinal, which is about to go. */
enum oz_status oz_bags_leave(struct oz_row_work *w, uint32_t ring, uint64_t ordinal) OZ_MUST_USE;
/* An event came to stand at this ordinal. */
enum oz_status oz_bags_inserted(struct oz_row_work *w, uint32_t ring, uint64_t ordinal,
                                const struct oz_entry_event *event) OZ_MUST_USE;
/* The event at this ordinal is about to have other values. */
enum oz_status oz_bags_replaced(struct oz_row_work *w, uint32_t ring, uint64_t ordinal,
                                const uint8_t *entry,
                                const struct oz_entry_event *event) OZ_MUST_USE;
#endif
