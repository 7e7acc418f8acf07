/* `state.retire`: rows past use leave, a few between two batches and never all at once. The
 * sweeper finds them in the store; here their newest versions are looked at, against the clock as
 * it is now, and emptied like any change of a row. So their parts' deletes go through an ordinary
 * epoch into the changelog and the store, an abort takes them back, and a key that comes again in
 * the same epoch just fills the row.
 * Threads: the main thread's. Errors: those of reading a row. */
#ifndef OZ_PIPELINES_RUN_RETIREMENT_H
#define OZ_PIPELINES_RUN_RETIREMENT_H
#include "pipelines/run/engine.h"

struct oz_retirement_config {
    const struct oz_program *program;
    struct oz_engine *engine;
    struct oz_store *store;
    uint32_t n_partitions;
    uint32_t rows_per_s; /* at most */
    int64_t rest_us;     /* between two rounds of the sweeper, at least */
};

struct oz_retirement;
enum oz_status oz_retirement_new(const struct oz_retirement_config *config,
                                 struct oz_retirement **ret_retirement,
                                 struct oz_error *err) OZ_MUST_USE;
void oz_retirement_free(struct oz_retirement *retirement); /* before the engine and the store */

/* All of these take NULL for one that is switched off. */
void oz_retirement_batch(struct oz_retirement *retirement, const struct oz_batch *batch);
void oz_retirement_abort(struct oz_retirement *retirement);
/* Between two batches. owned[n_partitions]: whose rows are this process's (NULL: all).
 * *ret_changed: there is something to seal. */
enum oz_status oz_retirement_step(struct oz_retirement *retirement, const bool *owned,
                                  bool *ret_changed, struct oz_error *err) OZ_MUST_USE;

struct oz_retirement_stats {
    uint64_t rows;   /* retired */
    uint64_t rounds; /* that the sweeper has made over the store */
};
void oz_retirement_get_stats(const struct oz_retirement *retirement,
                             struct oz_retirement_stats *ret_stats);
#endif
