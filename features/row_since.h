/* Since when a row's events are whole, for the windows of a definition that is newer than they are.
 *
 * A definition lets go of what none of its windows can see, and never takes in what it has no use
 * for. A row that was kept by an older definition therefore says, for each ring:
 *   slot 0      events up to this time may be missing
 *   slot 1 + v  events up to this time lack the value v: it is null, or 0 where it cannot be null
 *   last slot   the newest n are known to be the newest only behind this time
 *   partial     by kind of total, a bit for slot 0 and each value: that total over all time lacks
 *               something, for ever
 * and an answer whose window reaches back that far is flagged OZ_PUSH_WARMING. What a newer window
 * can no longer reach is forgotten again. `trimmed` of a ring says only that something was let go:
 * no window of its own definition sees it, but a later definition's may, which then knows that the
 * row is whole from (newest scored event - that definition's reach) on.
 * A ring of a source that older definitions did not read at all has its time in the layout, as
 * nothing in a row can tell.
 *
 * Stored: {ring varint | slot varint | time zigzag} ...; a bit is slot + 64 (1 + kind), without a
 * time.
 * Threads: the row's worker. Errors: damaged bytes set the reader's `bad`. */
#ifndef OZ_FEATURES_ROW_SINCE_H
#define OZ_FEATURES_ROW_SINCE_H
#include "features/row_bytes.h"
#include "features/row_state.h"

static inline bool oz_row_warms(const struct oz_row_work *w)
{
    return w->layout->warms || (w->row->side && w->row->side->warms);
}

/* Windows over time at this event's. */
OZ_COLD void oz_since_flag(const struct oz_row_work *w, int64_t time_us, unsigned *flags);
/* A window of the newest n: how many it has, and the time of the oldest of them. */
OZ_COLD void oz_since_flag_last(const struct oz_row_work *w, uint32_t ring,
                                const struct oz_window *window, uint64_t n, int64_t oldest_us,
                                unsigned *flags);

/* What a newer definition must know of a ring that was kept by another reach; slot as above. */
enum oz_status oz_since_set(struct oz_row_work *w, uint32_t ring, uint32_t slot,
                            int64_t us) OZ_MUST_USE;
enum oz_status oz_since_set_partial(struct oz_row_work *w, uint32_t ring,
                                    const uint64_t partial[OZ_TOTALS]) OZ_MUST_USE;
/* Forgets what no later event asks for. The same whenever it is done. */
void oz_since_settle(const struct oz_row_layout *layout, struct oz_row *row);

void oz_since_encode(const struct oz_row_layout *layout, const struct oz_row_side *side,
                     struct oz_buf *buf);
/* The newest time of what is stored. */
int64_t oz_since_newest(struct oz_row_reader *r);
void oz_since_decode(const struct oz_row_layout *layout, struct oz_row_side *side,
                     struct oz_row_reader *r);
#endif
