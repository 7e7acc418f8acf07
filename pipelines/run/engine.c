#include "pipelines/run/engine.h"

#include <unistd.h>

#include "pipelines/run/engine_inside.h"
#include "pipelines/run/scoring.h"

/* A part of state.memory is RocksDB's. */
enum { STORE_SHARE = 4, STORE_MEMORY_MIN = 16 << 20 };

static void worker_clear(struct oz_engine_worker *w, const struct oz_engine *eng)
{
    for (uint32_t s = 0; s < eng->plan->n_sources; s++) oz_decoder_free(w->decoder[s]);
    for (uint32_t e = 0; e < eng->plan->n_entities; e++) oz_cache_free(w->cache[e]);
    oz_pool_free(w->pool);
    oz_free(w->scratch);
    oz_free(w->outputs);
    oz_free(w->mine);
    oz_free(w->key);
    oz_free(w->entity_row);
    oz_free(w->aggregate);
    oz_arena_clear(&w->arena);
}

static enum oz_status worker_init(struct oz_engine_worker *w, const struct oz_engine *eng,
                                  const struct oz_engine_config *config, struct oz_error *err)
{
    const struct oz_program *prg = config->program;
    size_t rows = prg->pipeline.batch_rows, scratch = 64, outputs = 1;
    oz_arena_init(&w->arena, 1 << 18);
    for (uint32_t s = 0; s < eng->plan->n_sources; s++)
        OZ_TRY(oz_json_decoder_new(prg->schema[s], &w->decoder[s], err));
    OZ_TRY(oz_pool_new(config->rows_memory_bytes / config->n_workers, &w->pool, err));
    for (uint32_t e = 0; e < eng->plan->n_entities; e++)
        OZ_TRY(oz_cache_new(&prg->kind[e], (uint8_t)e, w->pool, config->store, &w->cache[e], err));
    scratch = OZ_MAX(scratch, oz_feature_set_scratch_bytes(prg->set, rows));
    for (uint32_t m = 0; m < prg->n_models; m++) {
        scratch = OZ_MAX(scratch, oz_model_scratch_bytes(prg->model[m].model, rows));
        outputs = OZ_MAX(outputs, oz_scoring_outputs(&prg->model[m], rows));
    }
    w->scratch = oz_malloc(scratch);
    w->outputs = oz_calloc(outputs, sizeof *w->outputs);
    w->mine = oz_calloc(rows, sizeof *w->mine);
    w->key = oz_calloc(rows, sizeof *w->key);
    w->entity_row = oz_calloc(rows, sizeof *w->entity_row);
    w->aggregate = oz_calloc(eng->plan->n_aggregates + 1, sizeof *w->aggregate);
    if (!w->scratch || !w->outputs || !w->mine || !w->key || !w->entity_row || !w->aggregate)
        return oz_no_memory(err);
    return OZ_OK;
}

enum oz_status oz_engine_new(const struct oz_engine_config *config, struct oz_engine **ret_engine,
                             struct oz_error *err)
{
    struct oz_engine *eng = oz_calloc(1, sizeof *eng);
    if (!eng) return oz_no_memory(err);
    enum oz_status status;
    eng->prg = config->program;
    eng->plan = config->program->plan;
    eng->n_partitions = config->n_partitions;
    eng->worker = oz_calloc(config->n_workers, sizeof *eng->worker);
    if (!eng->worker) {
        status = oz_no_memory(err);
        goto out;
    }
    eng->n_workers = config->n_workers;
    OZ_TRY_OUT(oz_workers_new(config->n_workers, &eng->pool, err));
    OZ_TRY_OUT(oz_batch_init(&eng->batch, eng->prg, eng->prg->pipeline.batch_rows, err));
    for (uint32_t w = 0; w < eng->n_workers; w++)
        OZ_TRY_OUT(worker_init(&eng->worker[w], eng, config, err));
    oz_engine_set_epoch(eng, 1);
    *ret_engine = eng;
    return OZ_OK;
out:
    oz_engine_free(eng);
    return status;
}

static uint32_t workers_of(const struct oz_pipeline *pl)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t n = pl->workers ? pl->workers : (uint32_t)OZ_MAX(cores, 1);
    return OZ_MIN(n, OZ_WORKERS_MAX);
}

enum oz_status oz_engine_open(const struct oz_program *program, const char *state_dir,
                              uint32_t n_partitions, bool may_rebuild, struct oz_store **ret_store,
                              struct oz_engine **ret_engine, struct oz_error *err)
{
    size_t memory = program->pipeline.state_memory_bytes;
    size_t store = OZ_MAX(memory / STORE_SHARE, (size_t)STORE_MEMORY_MIN);
    OZ_TRY(oz_store_open(state_dir, store, may_rebuild, ret_store, err));
    struct oz_engine_config config = {
        .program = program,
        .store = *ret_store,
        .n_workers = workers_of(&program->pipeline),
        .n_partitions = n_partitions,
        .rows_memory_bytes = memory - store,
    };
    return oz_engine_new(&config, ret_engine, err);
}

void oz_engine_free(struct oz_engine *eng)
{
    if (!eng) return;
    oz_workers_free(eng->pool);
    for (uint32_t w = 0; w < eng->n_workers; w++) worker_clear(&eng->worker[w], eng);
    oz_free(eng->worker);
    if (eng->prg->plan) oz_batch_clear(&eng->batch, eng->prg);
    oz_free(eng);
}

void oz_engine_parallel(struct oz_engine *eng, void (*fn)(void *ctx, unsigned worker), void *ctx)
{
    oz_workers_run(eng->pool, fn, ctx);
}

uint32_t oz_engine_n_workers(const struct oz_engine *eng) { return eng->n_workers; }

const char *oz_stage_name(enum oz_stage stage)
{
    static const char *const name[] = {"decode",      "values", "rows",
                                       "expressions", "models", "rules"};
    return name[stage];
}

/* Gives every record its row; tombstones have none. */
static void take_rows(struct oz_engine *eng)
{
    struct oz_batch *bat = &eng->batch;
    for (uint32_t s = 0; s < eng->plan->n_sources; s++) bat->table[s].n_rows = 0;
    for (size_t i = 0; i < bat->n_records; i++) {
        const struct oz_record *rec = &bat->record[i];
        struct oz_table *table = &bat->table[rec->source];
        if (!rec->value) {
            bat->fate[i] = OZ_FATE_TOMBSTONE;
            eng->tombstones++;
            continue;
        }
        bat->row[i] = (uint32_t)table->n_rows++;
        bat->record_of[rec->source][bat->row[i]] = (uint32_t)i;
    }
}

enum oz_status oz_engine_phase(struct oz_engine *eng, void (*fn)(void *, unsigned),
                               struct oz_error *err)
{
    for (uint32_t w = 0; w < eng->n_workers; w++) eng->worker[w].status = OZ_OK;
    oz_workers_run(eng->pool, fn, eng);
    for (uint32_t w = 0; w < eng->n_workers; w++)
        if (eng->worker[w].status != OZ_OK) {
            if (err) *err = eng->worker[w].err;
            return eng->worker[w].status;
        }
    return OZ_OK;
}

static void count_batch(struct oz_engine *eng)
{
    struct oz_batch *bat = &eng->batch;
    uint32_t s = eng->plan->scored_source;
    if (oz_engine_first_leg(eng)) eng->records += bat->n_records;
    for (size_t row = 0; oz_engine_last_leg(eng) && row < bat->table[s].n_rows; row++) {
        uint32_t i = bat->record_of[s][row];
        if (bat->fate[i] != OZ_FATE_ROW) continue;
        eng->scored++;
        unsigned flags = 0;
        for (uint32_t e = 0; e < eng->plan->n_entities; e++) flags |= bat->push_flags[e][i];
        eng->late_events += !!(flags & OZ_PUSH_LATE);
        eng->duplicates += !!(flags & OZ_PUSH_DUPLICATE);
    }
}

enum oz_status oz_engine_batch(struct oz_engine *eng, struct oz_record *record, size_t n,
                               const int64_t *now_us, struct oz_batch **ret_batch,
                               struct oz_error *err)
{
    return oz_engine_leg(eng, OZ_LEG_ALL, record, n, now_us, ret_batch, err);
}

enum oz_status oz_engine_leg(struct oz_engine *eng, uint32_t leg, struct oz_record *record,
                             size_t n, const int64_t *now_us, struct oz_batch **ret_batch,
                             struct oz_error *err)
{
    OZ_ASSERT(n <= eng->batch.cap_rows);
    eng->batch.leg = leg;
    eng->batch.record = record;
    eng->batch.n_records = n;
    eng->now_us = now_us;
    take_rows(eng);
    OZ_TRY(oz_engine_phase(eng, oz_engine_decode, err));
    OZ_TRY(oz_engine_phase(eng, oz_engine_values, err));
    OZ_TRY(oz_engine_phase(eng, oz_engine_rows, err));
    OZ_TRY(oz_engine_phase(eng, oz_engine_scores, err));
    count_batch(eng);
    *ret_batch = &eng->batch;
    return OZ_OK;
}

void oz_engine_set_epoch(struct oz_engine *eng, uint64_t epoch)
{
    eng->epoch = epoch;
    for (uint32_t w = 0; w < eng->n_workers; w++)
        for (uint32_t e = 0; e < eng->plan->n_entities; e++)
            oz_cache_set_epoch(eng->worker[w].cache[e], epoch);
}

uint64_t oz_engine_epoch(const struct oz_engine *eng) { return eng->epoch; }

static void seal_phase(void *ctx, unsigned number)
{
    struct oz_engine *eng = ctx;
    struct oz_engine_worker *w = &eng->worker[number];
    oz_sealed_reset(w->sealed);
    for (uint32_t e = 0; e < eng->plan->n_entities && w->status == OZ_OK; e++)
        w->status = oz_cache_seal(w->cache[e], w->sealed, &w->err);
}

enum oz_status oz_engine_seal(struct oz_engine *eng, struct oz_sealed *sealed, size_t *ret_parts,
                              struct oz_error *err)
{
    for (uint32_t w = 0; w < eng->n_workers; w++) eng->worker[w].sealed = &sealed[w];
    OZ_TRY(oz_engine_phase(eng, seal_phase, err));
    eng->epoch++;
    *ret_parts = 0;
    for (uint32_t w = 0; w < eng->n_workers; w++) *ret_parts += sealed[w].n_parts;
    return OZ_OK;
}

void oz_engine_stored(struct oz_engine *eng, uint64_t epoch)
{
    atomic_store(&eng->stored_epoch, epoch);
    for (uint32_t w = 0; w < eng->n_workers; w++)
        for (uint32_t e = 0; e < eng->plan->n_entities; e++)
            oz_cache_stored(eng->worker[w].cache[e], epoch);
}

uint64_t oz_engine_stored_epoch(const struct oz_engine *eng)
{
    return atomic_load(&eng->stored_epoch);
}

void oz_engine_drop(struct oz_engine *eng)
{
    for (uint32_t w = 0; w < eng->n_workers; w++)
        for (uint32_t e = 0; e < eng->plan->n_entities; e++) oz_cache_drop(eng->worker[w].cache[e]);
}

void oz_engine_forget(struct oz_engine *eng, uint32_t partition)
{
    for (uint32_t w = 0; w < eng->n_workers; w++)
        for (uint32_t e = 0; e < eng->plan->n_entities; e++)
            oz_cache_forget(eng->worker[w].cache[e], partition);
}

bool oz_engine_wants_seal(const struct oz_engine *eng)
{
    for (uint32_t w = 0; w < eng->n_workers; w++)
        for (uint32_t e = 0; e < eng->plan->n_entities; e++)
            if (oz_cache_wants_seal(eng->worker[w].cache[e])) return true;
    return false;
}

void oz_engine_get_stats(const struct oz_engine *eng, struct oz_engine_stats *ret_stats)
{
    memset(ret_stats, 0, sizeof *ret_stats);
    ret_stats->records = eng->records;
    ret_stats->tombstones = eng->tombstones;
    ret_stats->scored = eng->scored;
    ret_stats->late_events = eng->late_events;
    ret_stats->duplicates = eng->duplicates;
    for (uint32_t i = 0; i < eng->n_workers; i++) {
        const struct oz_engine_worker *w = &eng->worker[i];
        ret_stats->dead += w->dead;
        ret_stats->unscored += w->unscored;
        ret_stats->saturated += w->saturated;
        if (i < OZ_COUNT_OF(ret_stats->worker_events)) ret_stats->worker_events[i] = w->pushes;
        for (int k = 0; k < OZ_NULLED_COUNT; k++) ret_stats->nulled[k] += w->nulled[k];
        for (int k = 0; k < OZ_STAGE_COUNT; k++) ret_stats->stage_us[k] += w->stage_us[k];
        for (uint32_t e = 0; e < eng->plan->n_entities; e++) {
            struct oz_cache_stats c;
            oz_cache_get_stats(w->cache[e], &c);
            ret_stats->late[e] += w->late[e];
            ret_stats->rows_in_memory += c.rows;
            ret_stats->row_hits += c.hits;
            ret_stats->row_misses += c.misses;
            ret_stats->rows_created += c.created;
            ret_stats->rows_evicted += c.evicted;
        }
    }
}
