/* What one exchange partition has read and not yet given: its lanes and their merge
 * (pipelines/run/EXCHANGE.md). No Kafka, no columns: bytes with a key.
 *
 * A *lane* holds what came from one partition of the leg before, in the order of the log: events
 * and marks. The next event is the least head by (record time, source, partition, offset). A lane
 * without an event holds the others back while its floor is less than the least head: the floor is
 * what its last mark, or its last event, says nothing older comes after. A lane at its end holds
 * nobody.
 *
 * Layout: a heap of lanes, least key first; a lane's key is its head's, else its floor, else it is
 * last. What was given is done: `done` is the log's offset behind it, and what is put again from
 * before that is passed over, so that reading may begin again anywhere at or before oz_lanes_low().
 * Threads: one. Ownership: put copies; a given event's bytes are valid until the next put.
 * Errors: OZ_CORRUPT for a state that is none. */
#ifndef OZ_PIPELINES_RUN_EXCHANGE_LANES_H
#define OZ_PIPELINES_RUN_EXCHANGE_LANES_H
#include "base/buf.h"

/* Where an event stands in the order of all. */
struct oz_lane_key {
    int64_t time_ms; /* its merge time */
    uint32_t rank;   /* of its source: unscored ones first */
    uint32_t partition;
    int64_t offset;
};
/* What a partition says of itself at the end of an epoch. */
struct oz_lane_mark {
    int64_t clock_ms; /* the newest merge time that it has given; INT64_MIN: none that is known */
    struct oz_lane_key floor; /* nothing that comes later is less */
    bool at_end;              /* nothing is there */
};
struct oz_lane_event {
    struct oz_lane_key key;
    uint32_t lane;
    const uint8_t *bytes;
    size_t len;
};

struct oz_lane;
struct oz_lanes {
    struct oz_lane *lane;
    uint32_t *heap, *heap_at; /* [n_heap]: lanes; where each is in the heap */
    uint32_t n_lanes, n_heap; /* the same but while they are set up */
    size_t n_events, n_bytes; /* that wait; of marks too */
    bool is_changed;          /* since the last encode */
};

int oz_lane_key_compare(const struct oz_lane_key *a, const struct oz_lane_key *b);

enum oz_status oz_lanes_init(struct oz_lanes *lanes, uint32_t n_lanes,
                             struct oz_error *err) OZ_MUST_USE;
void oz_lanes_clear(struct oz_lanes *lanes);
/* Forgets what waits and stands at a state that oz_lanes_encode() wrote; len 0: at the
 * beginning. */
enum oz_status oz_lanes_restart(struct oz_lanes *lanes, const uint8_t *state, size_t len,
                                struct oz_error *err) OZ_MUST_USE;
void oz_lanes_encode(struct oz_lanes *lanes, struct oz_buf *ret_state);

/* `at` is the offset in the exchange log, growing within a lane. An event's time is raised to the
 * lane's own. */
enum oz_status oz_lanes_put_event(struct oz_lanes *lanes, uint32_t lane, int64_t at,
                                  const struct oz_lane_key *key, const void *bytes, size_t len,
                                  struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_lanes_put_mark(struct oz_lanes *lanes, uint32_t lane, int64_t at,
                                 const struct oz_lane_mark *mark, struct oz_error *err) OZ_MUST_USE;
/* False: nothing may be given now. `pass_over`: lanes that are waited for are not. */
bool oz_lanes_take(struct oz_lanes *lanes, bool pass_over, struct oz_lane_event *ret_event);
/* The lane that is waited for while events wait, and the floor that it has; UINT32_MAX: none. */
uint32_t oz_lanes_holder(const struct oz_lanes *lanes, struct oz_lane_key *ret_floor);
/* Nothing that is given later is less; false: nothing is there and nobody is waited for. */
bool oz_lanes_floor(const struct oz_lanes *lanes, struct oz_lane_key *ret_floor);
/* Reading may begin again here: the first offset that is not done; `end` when nothing waits. */
int64_t oz_lanes_low(const struct oz_lanes *lanes, int64_t end);
#endif
