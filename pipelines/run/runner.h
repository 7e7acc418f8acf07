/* A pipeline's life from start to stop: what `ouzel run` and the demo do.
 *
 * Start: topics and group are looked at, the state is opened and brought to the committed epoch,
 * the group is joined. Then batches until *stop is set: the batch under way is finished, its epoch
 * committed and stored. An aborted transaction is read again. Rows on disk that turn out to be
 * damaged are thrown away and rebuilt from the changelog, once a run, where it has them (exactly
 * once). Whatever else goes wrong ends the run.
 * Threads: the caller's, plus workers, emitter, store and the clients' own.
 * Errors: statuses as the parts give them; OZ_RETRY when *stop was set before the start was over.
 * */
#ifndef OZ_PIPELINES_RUN_RUNNER_H
#define OZ_PIPELINES_RUN_RUNNER_H
#include <stdatomic.h>

#include "pipelines/run/emitter.h"
#include "pipelines/run/outputs.h"

struct oz_runner_stats {
    double seconds; /* since the first batch could be read */
    int64_t lag;
    uint64_t key_mismatches; /* oz_key_watch_mismatches() */
    bool paused;             /* for want of disk space */
    struct oz_engine_stats engine;
    struct oz_outputs_stats outputs;
    struct oz_emitter_stats emitter;
    uint64_t store_gets;
};

struct oz_runner_config {
    struct oz_program *program;
    const char *state_dir;
    enum oz_delivery delivery;
    bool embedded; /* the broker is the mock cluster: it cannot list a group's members */
    int64_t broker_wait_us;
    const atomic_bool *stop;
    /* Called every status_us from the loop, and once at the end; may be NULL. */
    void (*status)(void *ctx, const struct oz_runner_stats *stats);
    void *status_ctx;
    int64_t status_us;
    void (*ready)(void *ctx); /* when the first batch may be read; may be NULL */
};

enum oz_status oz_runner_run(const struct oz_runner_config *config,
                             struct oz_error *err) OZ_MUST_USE;
#endif
