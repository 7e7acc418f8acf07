/* What the parts of a run share: its state, and what one of them calls of another. runner_start.c
 * opens everything, runner_group.c takes partitions over and hands them over, runner.c does the
 * rest, one thing after the other.
 * Threads: the main one's. Ownership: whatever is not NULL is the run's. */
#ifndef OZ_PIPELINES_RUN_RUNNER_STATE_H
#define OZ_PIPELINES_RUN_RUNNER_STATE_H
#include "pipelines/run/disk_guard.h"
#include "pipelines/run/exchange.h"
#include "pipelines/run/flood_watch.h"
#include "pipelines/run/key_watch.h"
#include "pipelines/run/ledger_record.h"
#include "pipelines/run/resume.h"
#include "pipelines/run/retirement.h"
#include "pipelines/run/runner.h"
#include "state/crash_note.h"

struct oz_runner {
    const struct oz_runner_config *config;
    struct oz_program *prg;
    const struct oz_pipeline *pl;
    const char *group, *meta;
    uint32_t n_partitions, n_sources, n_entities;
    uint32_t n_topics; /* that are read: the sources and, behind them, the exchange's */
    bool exactly_once;
    struct oz_kafka_config client;
    const char *source_topic[OZ_SOURCES_MAX];
    bool scored[OZ_SOURCES_MAX];
    const char *changelog_topic[OZ_ENTITIES_MAX], *ledger_topic;
    struct oz_store *store;
    struct oz_engine *engine;
    struct oz_sink *sink;
    struct oz_changelog *changelog;
    struct oz_source *source;
    struct oz_outputs *outputs;
    struct oz_emitter *emitter;
    struct oz_ledger *ledger;
    struct oz_output_topic ledger_output;
    struct oz_record *record;
    struct oz_positions next;   /* our own count: what the next epoch will commit */
    enum oz_replayed *replayed; /* [n_partitions] */
    bool *fresh;                /* [n_partitions]: nothing of it was ever committed */
    bool *told;                 /* [n_partitions]: its meta records go with the next transaction */
    /* of the epoch that is open */
    bool dirty; /* something was read since the last seal */
    uint64_t rows_since_seal;
    int64_t sealed_at_us, started_us, status_at_us;
    uint64_t commits_at_abort;
    int aborts; /* in a row */
    bool is_ready;
    int64_t asked_us; /* since when there are no partitions */
    struct oz_flood_watch flood;
    bool is_over; /* the flood ended it, and everything before is committed */
    struct oz_disk_guard disk;
    bool at_rest; /* paused, and everything that was read is stored */
    struct oz_key_watch *keys;
    struct oz_exchange *exchange;     /* NULL: events do not travel */
    struct oz_retirement *retirement; /* NULL: off */
    struct oz_crash_note *crash;
    bool careful; /* records are ahead at which the process crashed before */
};

static inline bool oz_runner_stopping(const struct oz_runner *run)
{
    return run->config->stop && *run->config->stop;
}

/* runner_start.c */

/* The clients and the state; the group gives partitions later. */
enum oz_status oz_runner_start(struct oz_runner *run, struct oz_error *err) OZ_MUST_USE;
/* Whether a second member cannot share the group. */
bool oz_runner_is_alone(const struct oz_runner *run);
/* Records on their way take memory beside state.memory; bounds that grow with it, so that who gives
 * little to the rows gives little to them. What each queue may hold: */
size_t oz_runner_queue_bytes(const struct oz_runner *run);

/* runner_group.c */

enum oz_status oz_runner_take_over(struct oz_runner *run, struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_runner_hand_over(struct oz_runner *run, struct oz_error *err) OZ_MUST_USE;
/* The first answer of the group is waited for, a standby process waits for ever. */
enum oz_status oz_runner_wait_for_group(struct oz_runner *run, struct oz_error *err) OZ_MUST_USE;

/* runner.c */

/* Seals what is open, and waits until it is committed and stored. */
enum oz_status oz_runner_drain(struct oz_runner *run, struct oz_error *err) OZ_MUST_USE;
#endif
