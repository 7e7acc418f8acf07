/* Reading a row's aggregates at the time of one event. In a ring that is not spilled a window is
 * two slots, mostly cursors that have just moved; in a spilled one it is two places of the index.
 * Either way every aggregate is a difference of totals, but for min and max (a scan of what no
 * summary covers), last (a walk to the newest that is not null) and distinct (a counted set). */
#ifndef OZ_FEATURES_ROW_READ_H
#define OZ_FEATURES_ROW_READ_H
#include "features/row_state.h"

/* `self` is where the event stands in ring 0: its slot, or its ordinal when that ring is spilled.
 * `settled`: the cursors stand for the event's time. Flags are added to *flags. */
enum oz_status oz_row_read(struct oz_row_work *w, int64_t time_us, uint64_t self, bool settled,
                           double *ret_aggregate, unsigned *flags) OZ_MUST_USE;
#endif
