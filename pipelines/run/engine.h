/* Records in, features and scores out, rows changed on the way: the computing part, the same for a
 * live run and for a backfill. It knows no Kafka and no files.
 *
 * A batch goes through phases, each shared out over the workers:
 *   decode    by ranges of records
 *   values    by ranges of rows of each source
 *   rows      by entity key: a key's events are one worker's, in their order
 *   scores    by ranges of scored rows: features, models, rules
 * So the result does not depend on the number of workers, nor on where batches are cut.
 * Changed rows are the staged set of the current epoch: seal, then say when they are stored, or
 * drop.
 *
 * Threads: one caller; oz_engine_stored() may come from another. Errors: a bad record never fails a
 * batch; OZ_CORRUPT, OZ_IO, OZ_NO_MEMORY do, and leave the engine fit only to be freed (or
 * dropped). */
#ifndef OZ_PIPELINES_RUN_ENGINE_H
#define OZ_PIPELINES_RUN_ENGINE_H
#include "base/workers.h"
#include "pipelines/run/batch.h"

struct oz_engine_config {
    const struct oz_program *program;
    struct oz_store *store;
    uint32_t n_workers, n_partitions;
    size_t rows_memory_bytes; /* for the rows in memory, all workers together */
};

/* What the workers' time goes to. */
enum oz_stage {
    OZ_STAGE_DECODE,
    OZ_STAGE_VALUES,      /* fields to what the rows keep */
    OZ_STAGE_ROWS,        /* rows found, events pushed, aggregates read */
    OZ_STAGE_EXPRESSIONS, /* aggregates to features */
    OZ_STAGE_MODELS,
    OZ_STAGE_RULES,
    OZ_STAGE_COUNT
};
const char *oz_stage_name(enum oz_stage stage);

struct oz_engine_stats {
    uint64_t records, tombstones, dead, scored;
    uint64_t late[OZ_ENTITIES_MAX]; /* events beyond their lateness, by entity */
    uint64_t late_events;           /* scored events late for at least one */
    uint64_t duplicates, saturated;
    uint64_t unscored; /* times that a model could not take an event: its scores are null */
    uint64_t nulled[OZ_NULLED_COUNT];
    uint64_t rows_in_memory, row_hits, row_misses, rows_created, rows_evicted;
    uint64_t worker_events[64];       /* row pushes done by each worker: the fair share */
    int64_t stage_us[OZ_STAGE_COUNT]; /* all workers together */
};

struct oz_engine;
enum oz_status oz_engine_new(const struct oz_engine_config *config, struct oz_engine **ret_engine,
                             struct oz_error *err) OZ_MUST_USE;
/* Opens the state folder and an engine over it as the pipeline says: its workers (or the cores),
 * its state.memory shared out between rows in memory and the store (`may_rebuild` as in
 * oz_store_open()). On failure *ret_store may be open and is the caller's to close. */
enum oz_status oz_engine_open(const struct oz_program *program, const char *state_dir,
                              uint32_t n_partitions, bool may_rebuild, struct oz_store **ret_store,
                              struct oz_engine **ret_engine, struct oz_error *err) OZ_MUST_USE;
void oz_engine_free(struct oz_engine *engine);

/* n <= batch.rows records, in merged order. `now_us` bounds the times of events; NULL uses each
 * record's own timestamp (a backfill). *ret_batch is valid until the next call. */
enum oz_status oz_engine_batch(struct oz_engine *engine, struct oz_record *record, size_t n,
                               const int64_t *now_us, struct oz_batch **ret_batch,
                               struct oz_error *err) OZ_MUST_USE;
/* The same for records on one leg of the exchange (pipelines/run/EXCHANGE.md): rows of that leg's
 * entities only, and scores on the last one. Those of a leg but the first are as
 * oz_exchange_parse() gives them; OZ_CORRUPT when they are not for the partition that they came
 * by. */
enum oz_status oz_engine_leg(struct oz_engine *engine, uint32_t leg, struct oz_record *record,
                             size_t n, const int64_t *now_us, struct oz_batch **ret_batch,
                             struct oz_error *err) OZ_MUST_USE;
/* Runs fn once per worker, as oz_workers_run(); for what follows a batch. */
void oz_engine_parallel(struct oz_engine *engine, void (*fn)(void *ctx, unsigned worker),
                        void *ctx);
uint32_t oz_engine_n_workers(const struct oz_engine *engine);

/* An alert's suppression lives in the row of the entity of this record. See oz_row_alert(). */
bool oz_engine_alert(struct oz_engine *engine, const struct oz_batch *batch, size_t record,
                     uint32_t rule, int64_t time_us, uint32_t *ret_held_back);

/* Empties those of the rows key[0, n) whose use ends at their clock or before: a change like any
 * other. Between two batches; n is at most batch.rows. *ret_n: how many. */
enum oz_status oz_engine_retire(struct oz_engine *engine, uint32_t entity, const struct oz_key *key,
                                const int64_t *clock_us, size_t n, size_t *ret_n,
                                struct oz_error *err) OZ_MUST_USE;

void oz_engine_set_epoch(struct oz_engine *engine,
                         uint64_t epoch); /* at start: the next one's number */
uint64_t oz_engine_epoch(const struct oz_engine *engine);
/* Encodes the changed rows of every worker into sealed[n_workers] (reset first); the next epoch
 * begins. *ret_parts is how many parts that is. */
enum oz_status oz_engine_seal(struct oz_engine *engine, struct oz_sealed *sealed, size_t *ret_parts,
                              struct oz_error *err) OZ_MUST_USE;
void oz_engine_stored(struct oz_engine *engine, uint64_t epoch);
uint64_t oz_engine_stored_epoch(const struct oz_engine *engine); /* the newest; from any thread */
void oz_engine_drop(
    struct oz_engine *engine); /* after an abort; what is committed must be stored first */
/* Rows of this partition in memory, all of them stored, are not what the store has now. */
void oz_engine_forget(struct oz_engine *engine, uint32_t partition);
bool oz_engine_wants_seal(const struct oz_engine *engine);
void oz_engine_get_stats(const struct oz_engine *engine, struct oz_engine_stats *ret_stats);
#endif
