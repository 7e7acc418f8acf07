/* The inside of the engine, for engine*.c alone: what a worker has, and the phases of a batch
 * (pipelines/run/engine.h). A phase runs once per worker, all at the same time: it writes to its
 * own worker and to its own range of the batch, and leaves its result in the worker's status. */
#ifndef OZ_PIPELINES_RUN_ENGINE_INSIDE_H
#define OZ_PIPELINES_RUN_ENGINE_INSIDE_H
#include <stdatomic.h>

#include "base/clock.h"
#include "pipelines/run/engine.h"

/* What one worker has to itself. */
struct oz_engine_worker {
    struct oz_arena arena; /* strings, keys and messages of the current batch */
    struct oz_decoder *decoder[OZ_SOURCES_MAX];
    struct oz_pool *pool;
    struct oz_cache *cache[OZ_ENTITIES_MAX];
    void *scratch;
    double *outputs; /* [rows at once x outputs] of one model */
    uint32_t *mine;  /* records of this worker's keys, of one entity */
    struct oz_key *key;
    void **entity_row;
    double *aggregate; /* of one event */
    uint64_t nulled[OZ_NULLED_COUNT], late[OZ_ENTITIES_MAX], saturated, pushes;
    uint64_t dead, unscored;
    int64_t stage_us[OZ_STAGE_COUNT];
    enum oz_status status;
    struct oz_error err;
    struct oz_sealed *sealed; /* where seal goes */
    size_t n_retired;
    char padding[64]; /* counters of two workers do not share a cache line */
};

struct oz_engine {
    const struct oz_program *prg;
    const struct oz_plan *plan;
    struct oz_workers *pool;
    uint32_t n_workers, n_partitions;
    struct oz_engine_worker *worker;
    struct oz_batch batch;
    uint64_t records, tombstones, scored, late_events, duplicates;
    uint64_t epoch; /* that changes now belong to */
    _Atomic uint64_t stored_epoch;
    const int64_t *now_us;
    struct {
        uint32_t entity;
        const struct oz_key *key;
        const int64_t *clock_us;
        size_t n;
    } retire; /* what is asked for */
};

/* Runs a phase; the first error of a worker is its result. */
enum oz_status oz_engine_phase(struct oz_engine *engine, void (*fn)(void *engine, unsigned worker),
                               struct oz_error *err) OZ_MUST_USE;

/* The phases, in their order; records of a later leg of the exchange are decoded already. */
void oz_engine_decode(void *engine, unsigned worker);
void oz_engine_values(void *engine, unsigned worker);
void oz_engine_rows(void *engine, unsigned worker);
void oz_engine_scores(void *engine, unsigned worker);

/* Adds the time since *at to a stage; the next one begins now. */
static inline void oz_engine_stage_done(struct oz_engine_worker *w, enum oz_stage stage,
                                        int64_t *at)
{
    int64_t now = oz_monotonic_us();
    w->stage_us[stage] += now - *at;
    *at = now;
}

/* Part w of n things, as equal as can be. */
static inline void oz_engine_share(const struct oz_engine *eng, unsigned w, size_t n,
                                   size_t *ret_first, size_t *ret_end)
{
    *ret_first = n * w / eng->n_workers;
    *ret_end = n * (w + 1) / eng->n_workers;
}

/* Whose key this is. The high half picks the worker: tables inside a worker use the low one. */
static inline unsigned oz_engine_worker_of(const struct oz_engine *eng, uint64_t hash)
{
    return (unsigned)(((hash >> 32) * eng->n_workers) >> 32);
}

/* ---- legs of the exchange */

static inline bool oz_engine_first_leg(const struct oz_engine *eng)
{
    return eng->batch.leg == OZ_LEG_ALL || eng->batch.leg == 0;
}

static inline bool oz_engine_last_leg(const struct oz_engine *eng)
{
    return eng->batch.leg == OZ_LEG_ALL || eng->batch.leg == eng->prg->n_legs - 1;
}

static inline bool oz_engine_on_leg(const struct oz_engine *eng, uint32_t e)
{
    return eng->batch.leg == OZ_LEG_ALL || eng->batch.leg == eng->prg->leg_of[e];
}
#endif
