/* The row of one entity key: its events, exactly, in one ring per source, and the windows over
 * them.
 *
 * A row is its events and nothing that can be computed from them. An entry of a ring holds the
 * running totals of everything before it in its block, so a window is two positions and a sum over
 * it is a subtraction; totals are exact (192-bit fixed point), so a value depends only on the set
 * of events in its window. A ring is an open block (in the main part) and, when it outgrows that,
 * closed chunks (a part each), found through an index of their totals; every 64 chunks the oldest
 * of the index become a page, a part of its own, so that no write and no read grows with the
 * window. features/WINDOWS.md has the algorithm, features/row_state.h the layout in memory,
 * features/row_codec.h and features/row_parts.h the bytes.
 * Threads: the worker's own. Units: microseconds.
 * Errors: OZ_CORRUPT names the part that is damaged. OZ_RECORD: a time beyond +-2^60; the row is as
 * it was. After any other error of a push the row is good for clear() only. */
#ifndef OZ_FEATURES_ROW_H
#define OZ_FEATURES_ROW_H
#include "base/arena.h"
#include "features/plan.h"
#include "state/row_kind.h"

struct oz_row_layout; /* a plan of one entity, resolved: strides, bounds, columns */

/* Both live in the arena; the plan is not needed afterwards. The kind's ctx is the layout; its
 * layout number is left 0, for who keeps the numbers to fill in. OZ_CONFIG: distinct of a double or
 * a key over all time, more than 255 window ends in one ring, durations out of range. */
enum oz_status oz_row_layout_new(const struct oz_entity_plan *entity, struct oz_arena *arena,
                                 struct oz_row_layout **ret_layout, struct oz_row_kind *ret_kind,
                                 struct oz_error *err) OZ_MUST_USE;

struct oz_row_event {
    uint32_t ring;
    int64_t time_us;
    uint64_t id[2];        /* as many as the ring's id_bytes say */
    const uint64_t *value; /* [ring's n_values], bits */
};

enum {                   /* what became of an event */
       OZ_PUSH_LATE = 1, /* beyond its lateness: the row is as before, its aggregates are null */
       OZ_PUSH_DUPLICATE = 2, /* this id is in: not counted again, maybe replaced */
       OZ_PUSH_SATURATED = 4, /* the row hit its event limit and lost its oldest events */
       OZ_PUSH_CHANGED = 8,   /* the row is not as before: tell the cache */
       OZ_PUSH_WARMING = 16   /* a window reaches back to what an earlier definition did not keep */
};

/* Takes one event; for the scored source's ring also gives the entity's aggregates at the event's
 * own time into ret_aggregate[n_aggregates] (NULL for others). A stored chunk may be read on the
 * way. */
enum oz_status oz_row_push(const struct oz_row_layout *layout, void *row, struct oz_row_io *io,
                           const struct oz_row_event *event, double *ret_aggregate,
                           unsigned *ret_flags, struct oz_error *err) OZ_MUST_USE;
/* Asks for what oz_row_push() will touch to be in the CPU's cache: the row's head, then its rings.
 */
void oz_row_prefetch(const struct oz_row_layout *layout, const void *row);
void oz_row_prefetch_rings(const struct oz_row_layout *layout, const void *row);

/* Alert suppression, kept in the row's header, in event time: true when the alert may go out, and
 * then *ret_held_back is how many of this rule were held back since the last one that did. `slot`
 * is below the plan's n_suppressions. The row is changed by it. */
bool oz_row_alert(const struct oz_row_layout *layout, void *row, uint32_t slot, int64_t time_us,
                  int64_t suppress_us, uint32_t *ret_held_back);

/* The row as JSON, for `ouzel state` and tests: the newest scored time, what was held back of
 * alerts, and per ring its events with time, id and values. Names make it readable; NULL leaves
 * them out. */
struct oz_json;
struct oz_row_names {
    const char *const *ring;         /* [n_rings] */
    const char *const *const *value; /* [n_rings][the ring's n_values] */
    const char *const *suppression;  /* [n_suppressions] */
};
enum oz_status oz_row_dump(const struct oz_row_layout *layout, void *row, struct oz_row_io *io,
                           const struct oz_row_names *names, struct oz_json *json,
                           struct oz_error *err) OZ_MUST_USE;
#endif
