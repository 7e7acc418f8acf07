/* Which of several sorted logs gives the next record: the k-way merge of stream/source.h, without
 * any knowledge of where the records come from. A *lane* is one partition of one source, or one
 * file.
 *
 * Order: the heads of the lanes by (record time, lane number); inside a lane always the log's own
 * order. The caller numbers the lanes in the order of ties: unscored sources first, then by source,
 * partition.
 * Hold: nothing is given while a lane is *waiting*: it has nothing buffered, was not at its end
 * since its last record, and its buffer ran empty less than max_idle ago.
 *
 * Use: offer each lane its buffered times, take runs, and when a take has emptied a lane, offer it
 * more (or say that it is at its end) before the next take. A run is the first n of what the lane
 * has left.
 *
 *     n = oz_merge_take(&merge, room, now_us, &lane);
 *     ...the lane's next n records...
 *     if (oz_merge_left(&merge, lane) == 0) refill(lane);
 *
 * Layout: a binary heap of the lanes that have something, least first.
 * Units: record times in milliseconds, the clock (monotonic, the caller's) in microseconds.
 * Threads: one. Ownership: offered times are borrowed until they are taken. Allocates in init
 * only. */
#ifndef OZ_STREAM_MERGE_H
#define OZ_STREAM_MERGE_H
#include "base/memory.h"

struct oz_merge_lane {
    const int64_t *time_ms; /* of what is buffered and not taken */
    size_t n_left;
    int64_t empty_since_us;
    bool at_end; /* behind what is buffered comes the end of the log */
    bool idle;   /* has been waited for long enough */
};
struct oz_merge_head {
    int64_t time_ms;
    uint32_t lane;
};
struct oz_merge {
    struct oz_merge_lane *lane;
    struct oz_merge_head *head; /* the heap */
    uint32_t n_lanes, n_heads, n_waiting;
    int64_t max_idle_us;
    int64_t lapse_us; /* no lane becomes idle before this time */
};

enum oz_status oz_merge_init(struct oz_merge *merge, uint32_t n_lanes, int64_t max_idle_us,
                             int64_t now_us, struct oz_error *err) OZ_MUST_USE;
void oz_merge_clear(struct oz_merge *merge);
/* After a seek: every lane is empty and waiting. */
void oz_merge_restart(struct oz_merge *merge, int64_t now_us);

/* n >= 1 more records of an empty lane; it is no longer at its end. */
void oz_merge_offer(struct oz_merge *merge, uint32_t lane, const int64_t *time_ms, size_t n);
/* The lane's log ends behind what it has buffered now. */
void oz_merge_end(struct oz_merge *merge, uint32_t lane);

/* How many records to take from *ret_lane next, at most `max`; 0: nothing may be taken now. */
size_t oz_merge_take(struct oz_merge *merge, size_t max, int64_t now_us, uint32_t *ret_lane);
static inline size_t oz_merge_left(const struct oz_merge *merge, uint32_t lane)
{
    return merge->lane[lane].n_left;
}
/* True when a waiting lane holds the others back; false with nothing to take: there is nothing. */
static inline bool oz_merge_holds(const struct oz_merge *merge) { return merge->n_waiting > 0; }
/* Every lane is at its end and nothing is buffered. */
bool oz_merge_at_end(const struct oz_merge *merge);
/* Microseconds until a waiting lane may be passed over, >= 0; INT64_MAX: none is waiting. */
int64_t oz_merge_lapse_in_us(const struct oz_merge *merge, int64_t now_us);
#endif
