/* Dead letters against `errors.stop_above`: a topic whose records suddenly cannot be read, since a
 * producer changed, must stop the run instead of draining into the dead letters.
 *
 * The window slides over the process's own time in FLOOD_SLOTS steps, and begins anew with the
 * process. A share is looked at from FLOOD_DEAD_MIN dead letters on, so that one bad record of a
 * slow topic is no flood.
 * Threads: the main thread's. Ownership: nothing is borrowed beyond a call; the limit is copied. */
#ifndef OZ_PIPELINES_RUN_FLOOD_WATCH_H
#define OZ_PIPELINES_RUN_FLOOD_WATCH_H
#include "pipelines/run/batch.h"
#include "pipelines/run/outbox.h"

enum {
    OZ_FLOOD_SLOTS = 60,
    OZ_FLOOD_DEAD_MIN = 10,
    OZ_FLOOD_REASONS = 16,
    OZ_FLOOD_REASON_BYTES = 200
};

/* Reasons that differ in numbers only (a byte offset) are one; the first record is the example. */
struct oz_flood_reason {
    uint64_t hash, count;
    const char *stage;
    char text[OZ_FLOOD_REASON_BYTES];
    uint32_t source, partition;
    int64_t offset;
};
struct oz_flood_watch {
    struct oz_flood limit;
    struct {
        uint64_t records, dead;
    } slot[OZ_FLOOD_SLOTS];
    int64_t slot_number; /* time / step of the newest slot */
    uint64_t records, dead;
    struct oz_flood_reason reason[OZ_FLOOD_REASONS];
    size_t n_reasons;
    bool is_over;
};

void oz_flood_watch_init(struct oz_flood_watch *watch, const struct oz_flood *limit);
/* The outcome of a batch whose outputs are in `box`. */
void oz_flood_watch_batch(struct oz_flood_watch *watch, const struct oz_batch *batch,
                          const struct oz_outbox *box, int64_t now_us);
/* After an abort: what was counted is read again. */
void oz_flood_watch_forget(struct oz_flood_watch *watch);
static inline bool oz_flood_watch_is_over(const struct oz_flood_watch *watch)
{
    return watch->is_over;
}
/* OZ_OK, or OZ_FLOOD with the sentence that says how many, why and what to do. */
enum oz_status oz_flood_watch_status(const struct oz_flood_watch *watch,
                                     const struct oz_pipeline *pipeline,
                                     struct oz_error *err) OZ_MUST_USE;
#endif
