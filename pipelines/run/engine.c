#include "pipelines/run/engine.h"

#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/number.h"
#include "features/row_retire.h"
#include "pipelines/run/scoring.h"

/* A part of state.memory is RocksDB's. */
enum { STORE_SHARE = 4, STORE_MEMORY_MIN = 16 << 20 };
enum { PREFETCH_ROW = 16, PREFETCH_RINGS = 8, LONG_KEY_BYTES = 24 };

/* What one worker has to itself. */
struct worker {
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
    struct worker *worker;
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

static void worker_clear(struct worker *w, const struct oz_engine *eng)
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

static enum oz_status worker_init(struct worker *w, const struct oz_engine *eng,
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

/* Adds the time since *at to a stage; the next one begins now. */
static void stage_done(struct worker *w, enum oz_stage stage, int64_t *at)
{
    int64_t now = oz_monotonic_us();
    w->stage_us[stage] += now - *at;
    *at = now;
}

/* Part w of n things, as equal as can be. */
static void share(const struct oz_engine *eng, unsigned w, size_t n, size_t *ret_first,
                  size_t *ret_end)
{
    *ret_first = n * w / eng->n_workers;
    *ret_end = n * (w + 1) / eng->n_workers;
}

/* ---- legs of the exchange */

static bool is_first_leg(const struct oz_engine *eng)
{
    return eng->batch.leg == OZ_LEG_ALL || eng->batch.leg == 0;
}
static bool is_last_leg(const struct oz_engine *eng)
{
    return eng->batch.leg == OZ_LEG_ALL || eng->batch.leg == eng->prg->n_legs - 1;
}
static bool is_on_leg(const struct oz_engine *eng, uint32_t e)
{
    return eng->batch.leg == OZ_LEG_ALL || eng->batch.leg == eng->prg->leg_of[e];
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

/* The key of an entity as bytes: text as it is, a number as its decimal form. */
static enum oz_status entity_key(struct worker *w, const struct oz_engine *eng, uint32_t e,
                                 const struct oz_record *rec, uint32_t row, struct oz_key *ret_key)
{
    const struct oz_batch *bat = &eng->batch;
    int field = eng->plan->entity[e].field[rec->source];
    memset(ret_key, 0, sizeof *ret_key);
    if (field < 0) return OZ_OK;
    const struct oz_column *col = &bat->table[rec->source].column[field];
    if (col->type == OZ_STRING) {
        ret_key->data = col->str[row].data;
        ret_key->len = col->str[row].len;
    } else if (col->i64[row] != OZ_NULL_LONG) {
        char *text = oz_arena_get(&w->arena, LONG_KEY_BYTES);
        if (!text) return oz_no_memory(&w->err);
        ret_key->len = (uint32_t)oz_format_i64(text, col->i64[row]);
        ret_key->data = text;
    }
    if (!ret_key->len) ret_key->data = NULL; /* an empty key is a null one, as in the changelog */
    if (!ret_key->data) return OZ_OK;
    ret_key->hash = oz_hash64(ret_key->data, ret_key->len);
    ret_key->partition = eng->prg->keyed_by_source[e]
                             ? rec->partition
                             : oz_murmur2_partition(ret_key->data, ret_key->len, eng->n_partitions);
    return OZ_OK;
}

static enum oz_status decode_one(struct worker *w, struct oz_engine *eng,
                                 const struct oz_record *rec, uint32_t row, uint8_t *ret_stage)
{
    enum oz_decode_stage stage = OZ_DECODE_OK;
    uint64_t nulled = 0;
    int64_t now_us = eng->now_us ? *eng->now_us : rec->timestamp_ms * 1000;
    if (OZ_UNLIKELY(rec->condemned != NULL)) {
        *ret_stage = OZ_DEAD_CRASH;
        OZ_FAIL(&w->err, OZ_RECORD, "%s", rec->condemned);
    }
    oz_fault_record(rec->value, rec->value_len);
    enum oz_status status =
        oz_decode(w->decoder[rec->source], rec->value, rec->value_len, now_us,
                  &eng->batch.table[rec->source], row, &w->arena, &stage, &nulled, &w->err);
    w->nulled[OZ_NULLED_RANGE] += nulled;
    *ret_stage = (uint8_t)stage;
    return status;
}

/* An event that was decoded on the first leg. */
static enum oz_status unpack_one(struct worker *w, struct oz_engine *eng, size_t i)
{
    struct oz_batch *bat = &eng->batch;
    const struct oz_record *rec = &bat->record[i];
    struct oz_exchange_row row = {.table = &bat->table[rec->source],
                                  .row = bat->row[i],
                                  .record = (uint32_t)i,
                                  .aggregate = bat->aggregate,
                                  .push_flags = bat->push_flags};
    bat->fate[i] = OZ_FATE_ROW;
    for (uint32_t e = 0; e < eng->plan->n_entities; e++) {
        bat->push_flags[e][i] = 0;
        bat->entity_row[e][i] = NULL;
    }
    OZ_TRY(oz_exchange_read_body(&eng->prg->shape[bat->leg], rec, &row, &w->err));
    for (uint32_t e = 0; e < eng->plan->n_entities; e++)
        OZ_TRY(entity_key(w, eng, e, rec, bat->row[i], &bat->key[e][i]));
    const struct oz_key *key = &bat->key[eng->prg->entity_of[bat->leg]][i];
    if (!key->data || key->partition == rec->lane) return OZ_OK;
    OZ_FAIL(&w->err, OZ_CORRUPT,
            "an exchange record of %s partition %u offset %lld came by partition %u, and its key's "
            "is %u",
            eng->prg->schema[rec->source]->name, rec->partition, (long long)rec->offset, rec->lane,
            key->partition);
}

static enum oz_status unpack_range(struct worker *w, struct oz_engine *eng, size_t first,
                                   size_t end)
{
    for (size_t i = first; i < end; i++) OZ_TRY(unpack_one(w, eng, i));
    return OZ_OK;
}

static enum oz_status decode_range(struct worker *w, struct oz_engine *eng, size_t first,
                                   size_t end)
{
    struct oz_batch *bat = &eng->batch;
    for (size_t i = first; i < end; i++) {
        const struct oz_record *rec = &bat->record[i];
        if (!rec->value) {
            for (uint32_t e = 0; e < eng->plan->n_entities; e++) bat->key[e][i].data = NULL;
            continue;
        }
        if (i + 4 < end) {
            __builtin_prefetch(bat->record[i + 4].value);
            __builtin_prefetch(bat->record[i + 4].value + 64);
        }
        enum oz_status status = decode_one(w, eng, rec, bat->row[i], &bat->dead_stage[i]);
        bat->fate[i] = OZ_FATE_ROW;
        for (uint32_t e = 0; e < eng->plan->n_entities; e++) {
            bat->push_flags[e][i] = 0;
            bat->entity_row[e][i] = NULL;
            bat->key[e][i].data = NULL;
        }
        if (status == OZ_OK) {
            for (uint32_t e = 0; e < eng->plan->n_entities; e++) {
                OZ_TRY(entity_key(w, eng, e, rec, bat->row[i], &bat->key[e][i]));
                if (bat->key[e][i].len > OZ_ROW_KEY_BYTES_MAX) {
                    oz_error_set(&w->err, OZ_RECORD, "field `%s` is a key of %u bytes, at most %d",
                                 eng->prg->schema[rec->source]
                                     ->field[eng->plan->entity[e].field[rec->source]]
                                     .name,
                                 bat->key[e][i].len, OZ_ROW_KEY_BYTES_MAX);
                    bat->dead_stage[i] = OZ_DECODE_KEY;
                    status = OZ_RECORD;
                    break;
                }
            }
        }
        if (oz_status_action(status) == OZ_ACTION_SKIP_RECORD) {
            bat->fate[i] = OZ_FATE_DEAD;
            bat->dead_reason[i] =
                oz_arena_strndup(&w->arena, w->err.message, strlen(w->err.message));
            if (!bat->dead_reason[i]) return oz_no_memory(&w->err);
            oz_table_set_null(&bat->table[rec->source], bat->row[i]);
            for (uint32_t e = 0; e < eng->plan->n_entities; e++) bat->key[e][i].data = NULL;
            w->dead++;
        } else if (status != OZ_OK)
            return status;
    }
    return OZ_OK;
}

static void decode_phase(void *ctx, unsigned number)
{
    struct oz_engine *eng = ctx;
    struct worker *w = &eng->worker[number];
    size_t first, end;
    int64_t at = oz_monotonic_us();
    oz_arena_reset(&w->arena);
    share(eng, number, eng->batch.n_records, &first, &end);
    w->status =
        is_first_leg(eng) ? decode_range(w, eng, first, end) : unpack_range(w, eng, first, end);
    stage_done(w, OZ_STAGE_DECODE, &at);
}

static void values_phase(void *ctx, unsigned number)
{
    struct oz_engine *eng = ctx;
    struct worker *w = &eng->worker[number];
    int64_t at = oz_monotonic_us();
    uint64_t counted[OZ_NULLED_COUNT] = {0}; /* on the first leg */
    for (uint32_t s = 0; s < eng->plan->n_sources; s++) {
        size_t first, end;
        share(eng, number, eng->batch.table[s].n_rows, &first, &end);
        if (first < end)
            oz_feature_set_values(eng->prg->set, s, &eng->batch.table[s], first, end - first,
                                  (uint64_t *const *const *)eng->batch.values[s], w->scratch,
                                  is_first_leg(eng) ? w->nulled : counted);
    }
    stage_done(w, OZ_STAGE_VALUES, &at);
}

/* The high half picks the worker: tables inside a worker use the low one. */
static unsigned worker_of(const struct oz_engine *eng, uint64_t hash)
{
    return (unsigned)(((hash >> 32) * eng->n_workers) >> 32);
}

/* The records of one entity whose keys are this worker's, in order. */
static size_t my_records(struct oz_engine *eng, unsigned number, uint32_t e)
{
    struct worker *w = &eng->worker[number];
    const struct oz_key *key = eng->batch.key[e];
    size_t n = 0;
    for (size_t i = 0; i < eng->batch.n_records; i++) {
        if (!key[i].data || worker_of(eng, key[i].hash) != number) continue;
        w->mine[n] = (uint32_t)i;
        w->key[n++] = key[i];
    }
    return n;
}

static void event_of(const struct oz_batch *bat, const struct oz_ring_plan *ring,
                     const struct oz_schema *schema, uint32_t row, uint32_t e, uint64_t *value,
                     struct oz_row_event *ret_event)
{
    const struct oz_table *table = &bat->table[ring->source];
    ret_event->time_us = table->column[schema->time].i64[row];
    ret_event->id[0] = ret_event->id[1] = 0;
    if (ring->id_bytes == 8) ret_event->id[0] = (uint64_t)table->column[schema->id].i64[row];
    if (ring->id_bytes == 16) {
        const struct oz_str *s = &table->column[schema->id].str[row];
        struct oz_u128 h = oz_hash128(s->data ? s->data : "", s->len);
        ret_event->id[0] = h.lo;
        ret_event->id[1] = h.hi;
    }
    for (uint32_t v = 0; v < ring->n_values; v++) value[v] = bat->values[ring->source][e][v][row];
    ret_event->value = value;
}

static void count_push(struct worker *w, uint32_t e, unsigned flags)
{
    w->pushes++;
    if (OZ_LIKELY(!(flags & (OZ_PUSH_LATE | OZ_PUSH_SATURATED)))) return;
    w->late[e] += !!(flags & OZ_PUSH_LATE);
    w->saturated += !!(flags & OZ_PUSH_SATURATED);
}

static enum oz_status push_mine(struct worker *w, struct oz_engine *eng, uint32_t e, size_t n)
{
    struct oz_batch *bat = &eng->batch;
    const struct oz_entity_plan *ent = &eng->plan->entity[e];
    const struct oz_row_layout *layout = eng->prg->layout[e];
    uint64_t value[OZ_RING_VALUES_MAX];
    struct oz_row_event ev;
    uint32_t ring_of[OZ_SOURCES_MAX];
    for (uint32_t s = 0; s < eng->plan->n_sources; s++) ring_of[s] = UINT32_MAX;
    for (uint32_t r = 0; r < ent->n_rings; r++) ring_of[ent->ring[r].source] = r;
    for (size_t k = 0; k < n; k++) {
        if (k + PREFETCH_ROW < n) oz_row_prefetch(layout, w->entity_row[k + PREFETCH_ROW]);
        if (k + PREFETCH_RINGS < n)
            oz_row_prefetch_rings(layout, w->entity_row[k + PREFETCH_RINGS]);
        uint32_t i = w->mine[k], source = bat->record[i].source, row = bat->row[i];
        unsigned flags = 0;
        ev.ring = ring_of[source];
        bat->entity_row[e][i] = w->entity_row[k];
        if (ev.ring == UINT32_MAX) continue;
        event_of(bat, &ent->ring[ev.ring], eng->prg->schema[source], row, e, value, &ev);
        bool scored = ent->ring[ev.ring].scored;
        OZ_TRY(oz_row_push(layout, w->entity_row[k], oz_cache_io(w->cache[e], w->entity_row[k]),
                           &ev, scored ? w->aggregate : NULL, &flags, &w->err));
        if (flags & OZ_PUSH_CHANGED) oz_cache_change(w->cache[e], w->entity_row[k]);
        bat->push_flags[e][i] = (uint8_t)flags;
        count_push(w, e, flags);
        for (uint32_t a = 0; scored && a < ent->n_aggregates; a++)
            bat->aggregate[ent->first_aggregate + a][row] = w->aggregate[a];
    }
    return OZ_OK;
}

static enum oz_status rows_of_worker(struct worker *w, struct oz_engine *eng, unsigned number)
{
    for (uint32_t e = 0; e < eng->plan->n_entities; e++) {
        if (!is_on_leg(eng, e)) continue;
        size_t n = my_records(eng, number, e);
        OZ_TRY(oz_cache_fetch(w->cache[e], w->key, n, w->entity_row, &w->err));
        OZ_TRY(push_mine(w, eng, e, n));
    }
    return OZ_OK;
}

static void rows_phase(void *ctx, unsigned number)
{
    struct oz_engine *eng = ctx;
    struct worker *w = &eng->worker[number];
    int64_t at = oz_monotonic_us();
    w->status = rows_of_worker(w, eng, number);
    stage_done(w, OZ_STAGE_ROWS, &at);
}

/* Events with a null key of an entity, and dead ones, have no row there: their aggregates are null.
 * */
static void null_aggregates(struct oz_engine *eng, size_t first, size_t end)
{
    struct oz_batch *bat = &eng->batch;
    uint32_t s = eng->plan->scored_source;
    for (uint32_t e = 0; e < eng->plan->n_entities; e++) {
        const struct oz_entity_plan *ent = &eng->plan->entity[e];
        if (!is_on_leg(eng, e)) continue;
        for (size_t row = first; row < end; row++) {
            if (OZ_LIKELY(bat->key[e][bat->record_of[s][row]].data != NULL)) continue;
            for (uint32_t a = 0; a < ent->n_aggregates; a++)
                bat->aggregate[ent->first_aggregate + a][row] = OZ_NULL_DOUBLE;
        }
    }
}

static void predict_range(struct worker *w, struct oz_engine *eng, size_t first, size_t end)
{
    struct oz_batch *bat = &eng->batch;
    const struct oz_scoring scoring = {.table = &bat->table[eng->plan->scored_source],
                                       .feature = (const double *const *)bat->feature,
                                       .score = bat->score,
                                       .cap_rows = bat->cap_rows,
                                       .scratch = w->scratch,
                                       .outputs = w->outputs};
    for (uint32_t m = 0; m < eng->prg->n_models; m++) {
        const struct oz_bound_model *b = &eng->prg->model[m];
        union oz_model_column *column =
            oz_arena_get(&w->arena, b->info->n_features * sizeof *column);
        if (!column) {
            w->status = oz_no_memory(&w->err);
            return;
        }
        w->unscored += oz_scoring_run(&scoring, b, column, first, end);
    }
}

static void scores_phase(void *ctx, unsigned number)
{
    struct oz_engine *eng = ctx;
    struct worker *w = &eng->worker[number];
    struct oz_batch *bat = &eng->batch;
    const struct oz_table *table = &bat->table[eng->plan->scored_source];
    size_t first, end;
    int64_t at = oz_monotonic_us();
    share(eng, number, table->n_rows, &first, &end);
    if (first == end) return;
    null_aggregates(eng, first, end);
    if (!is_last_leg(eng)) return;
    oz_feature_set_features(eng->prg->set, table, (const double *const *)bat->aggregate, first,
                            end - first, bat->feature, w->scratch, w->nulled);
    stage_done(w, OZ_STAGE_EXPRESSIONS, &at);
    predict_range(w, eng, first, end);
    stage_done(w, OZ_STAGE_MODELS, &at);
    if (eng->prg->pipeline.n_rules)
        oz_feature_set_rules(eng->prg->set, table, (const double *const *)bat->aggregate,
                             (const double *const *)bat->feature, (const double *const *)bat->score,
                             first, end - first, bat->rule, w->scratch, w->nulled);
    stage_done(w, OZ_STAGE_RULES, &at);
}

static enum oz_status phase(struct oz_engine *eng, void (*fn)(void *, unsigned),
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
    if (is_first_leg(eng)) eng->records += bat->n_records;
    for (size_t row = 0; is_last_leg(eng) && row < bat->table[s].n_rows; row++) {
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
    OZ_TRY(phase(eng, decode_phase, err));
    OZ_TRY(phase(eng, values_phase, err));
    OZ_TRY(phase(eng, rows_phase, err));
    OZ_TRY(phase(eng, scores_phase, err));
    count_batch(eng);
    *ret_batch = &eng->batch;
    return OZ_OK;
}

bool oz_engine_alert(struct oz_engine *eng, const struct oz_batch *bat, size_t record,
                     uint32_t rule, int64_t time_us, uint32_t *ret_held_back)
{
    int e = eng->prg->suppress_entity[rule];
    *ret_held_back = 0;
    void *row = e < 0 ? NULL : bat->entity_row[e][record];
    if (!row) return true;
    struct worker *w = &eng->worker[worker_of(eng, bat->key[e][record].hash)];
    bool out = oz_row_alert(eng->prg->layout[e], row, (uint32_t)eng->prg->suppress_slot[rule],
                            time_us, eng->prg->pipeline.rule[rule].suppress_us, ret_held_back);
    oz_cache_change(w->cache[e], row);
    return out;
}

static enum oz_status retire_mine(struct worker *w, struct oz_engine *eng, unsigned number)
{
    uint32_t e = eng->retire.entity;
    const struct oz_row_layout *layout = eng->prg->layout[e];
    size_t n = 0;
    w->n_retired = 0;
    for (size_t i = 0; i < eng->retire.n; i++) {
        if (worker_of(eng, eng->retire.key[i].hash) != number) continue;
        w->mine[n] = (uint32_t)i;
        w->key[n++] = eng->retire.key[i];
    }
    if (!n) return OZ_OK;
    OZ_TRY(oz_cache_fetch(w->cache[e], w->key, n, w->entity_row, &w->err));
    for (size_t k = 0; k < n; k++) {
        void *row = w->entity_row[k];
        if (oz_row_use_ends_us(layout, row) > eng->retire.clock_us[w->mine[k]] ||
            oz_row_is_empty(layout, row))
            continue;
        OZ_TRY(oz_row_retire(layout, row, oz_cache_io(w->cache[e], row), &w->err));
        oz_cache_change(w->cache[e], row);
        w->n_retired++;
    }
    return OZ_OK;
}

static void retire_phase(void *ctx, unsigned number)
{
    struct oz_engine *eng = ctx;
    eng->worker[number].status = retire_mine(&eng->worker[number], eng, number);
}

enum oz_status oz_engine_retire(struct oz_engine *eng, uint32_t entity, const struct oz_key *key,
                                const int64_t *clock_us, size_t n, size_t *ret_n,
                                struct oz_error *err)
{
    OZ_ASSERT(entity < eng->plan->n_entities && n <= eng->batch.cap_rows);
    eng->retire.entity = entity;
    eng->retire.key = key;
    eng->retire.clock_us = clock_us;
    eng->retire.n = n;
    OZ_TRY(phase(eng, retire_phase, err));
    *ret_n = 0;
    for (uint32_t w = 0; w < eng->n_workers; w++) *ret_n += eng->worker[w].n_retired;
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
    struct worker *w = &eng->worker[number];
    oz_sealed_reset(w->sealed);
    for (uint32_t e = 0; e < eng->plan->n_entities && w->status == OZ_OK; e++)
        w->status = oz_cache_seal(w->cache[e], w->sealed, &w->err);
}

enum oz_status oz_engine_seal(struct oz_engine *eng, struct oz_sealed *sealed, size_t *ret_parts,
                              struct oz_error *err)
{
    for (uint32_t w = 0; w < eng->n_workers; w++) eng->worker[w].sealed = &sealed[w];
    OZ_TRY(phase(eng, seal_phase, err));
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
        const struct worker *w = &eng->worker[i];
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
