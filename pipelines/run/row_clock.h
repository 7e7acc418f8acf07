/* The clocks by which rows grow old: for each partition of each entity's changelog the newest
 * scored event time that its rows have seen. It is a matter of the rows alone: while events run it
 * moves with them; after a start, and after an abort, it is found again in the stored rows' own
 * newest times. So it needs no record, survives whatever the rows survive, and is at worst too
 * early, which only retires later. A partition that stands still has a clock that stands still.
 * Threads: oz_row_clock_learn() and the questions: any; the rest the main thread's. */
#ifndef OZ_PIPELINES_RUN_ROW_CLOCK_H
#define OZ_PIPELINES_RUN_ROW_CLOCK_H
#include "pipelines/run/batch.h"

struct oz_row_clock;
enum oz_status oz_row_clock_new(const struct oz_program *program, uint32_t n_partitions,
                                struct oz_row_clock **ret_clock, struct oz_error *err) OZ_MUST_USE;
void oz_row_clock_free(struct oz_row_clock *clock);

void oz_row_clock_batch(struct oz_row_clock *clock, const struct oz_batch *batch);
/* The newest scored time of a row that is committed. */
void oz_row_clock_learn(struct oz_row_clock *clock, uint32_t entity, uint32_t partition,
                        int64_t last_us);
/* After an abort: events that moved it will come again. */
void oz_row_clock_reset(struct oz_row_clock *clock);
int64_t oz_row_clock_us(const struct oz_row_clock *clock, uint32_t entity,
                        uint32_t partition);                   /* INT64_MIN: nothing is known */
uint64_t oz_row_clock_moves(const struct oz_row_clock *clock); /* how often any of them did */
#endif
