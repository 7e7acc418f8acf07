/* When a row is of no more use, and how it ends.
 *
 * The clock T of a partition is the newest scored event time that was seen there. A scored event
 * that still comes is not older than T - lateness. So an event at t is in no window any more, and
 * known as a repeat by none, when t <= T - reach, with the ring's reach being its longest window
 * and delay and the scored source's lateness. A row is past use when that holds for all that it
 * has: its events, what is refused as late because of them, its running suppressions, and the times
 * that its flags tell of. A key that comes
 * back then gets the very answers that it would have got from the row. (Only an event limit that
 * is hit by unscored events may drop others of them, as there are fewer.)
 *
 * Windows over all time and `last n` see every event for ever. Rows with such a window are past use
 * only with a `ttl`, which is part of the definition and not a matter of when somebody looks: a
 * scored event that comes ttl or more after the row's newest one finds the row empty, but for
 * unscored events younger than ttl. So retiring it earlier changes nothing.
 *
 * A count of alerts that were held back, which the next alert will tell, is kept until it has been
 * told, or for ttl.
 * Units: microseconds. Threads: the row's worker; oz_row_peek_use(): any. */
#ifndef OZ_FEATURES_ROW_RETIRE_H
#define OZ_FEATURES_ROW_RETIRE_H
#include "features/row_state.h"

#define OZ_KEPT_FOR_EVER INT64_MAX

/* What the layout cannot know by itself: the longest suppression of the entity's rules, and how
 * long an unseen row is kept; 0: no such bound. Before any row is made. */
void oz_row_layout_set_lifetime(struct oz_row_layout *layout, int64_t suppress_us, int64_t ttl_us);
/* How long the youngest event of a row is of use, running suppressions included: what a ttl must
 * not be below. *ret_for_ever: some window has no end in time. */
int64_t oz_row_layout_use_us(const struct oz_row_layout *layout, bool *ret_for_ever);

/* The clock from which on the row is past use; OZ_KEPT_FOR_EVER: there is none. INT64_MIN: it is
 * empty. */
int64_t oz_row_use_ends_us(const struct oz_row_layout *layout, const void *row);
/* The same from the bytes of a main part, without what comes from other sources: not later than the
 * true answer. *ret_last_us: its newest scored time, or OZ_TIME_NONE. Bytes that make no sense are
 * OZ_KEPT_FOR_EVER: who reads the row will say what is wrong with it. */
int64_t oz_row_peek_use(const struct oz_row_layout *layout, const uint8_t *payload, size_t len,
                        int64_t *ret_last_us);

/* Empties the row: with the next encoding its parts are deleted, the main part too if no event has
 * come until then. */
enum oz_status oz_row_retire(const struct oz_row_layout *layout, void *row, struct oz_row_io *io,
                             struct oz_error *err) OZ_MUST_USE;
/* What a ttl asks for before a scored event at time_us is taken. */
enum oz_status oz_row_apply_ttl(struct oz_row_work *w, int64_t time_us) OZ_MUST_USE;
bool oz_row_is_empty(const struct oz_row_layout *layout, const struct oz_row *row);
#endif
