#include "base/fault.h"
#include "base/hash.h"
#include "base/number.h"
#include "pipelines/run/engine_inside.h"

enum { LONG_KEY_BYTES = 24, PREFETCH_RECORDS = 4 };

/* The key of an entity as bytes: text as it is, a number as its decimal form. */
static enum oz_status entity_key(struct oz_engine_worker *w, const struct oz_engine *eng,
                                 uint32_t e, const struct oz_record *rec, uint32_t row,
                                 struct oz_key *ret_key)
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

static enum oz_status decode_one(struct oz_engine_worker *w, struct oz_engine *eng,
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

/* A record that nothing is known of yet. */
static void begin_record(struct oz_engine *eng, size_t i)
{
    struct oz_batch *bat = &eng->batch;
    bat->fate[i] = OZ_FATE_ROW;
    for (uint32_t e = 0; e < eng->plan->n_entities; e++) {
        bat->push_flags[e][i] = 0;
        bat->entity_row[e][i] = NULL;
        bat->key[e][i].data = NULL;
    }
}

/* An event that was decoded on the first leg. */
static enum oz_status unpack_one(struct oz_engine_worker *w, struct oz_engine *eng, size_t i)
{
    struct oz_batch *bat = &eng->batch;
    const struct oz_record *rec = &bat->record[i];
    struct oz_exchange_row row = {.table = &bat->table[rec->source],
                                  .row = bat->row[i],
                                  .record = (uint32_t)i,
                                  .aggregate = bat->aggregate,
                                  .push_flags = bat->push_flags};
    begin_record(eng, i);
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

static enum oz_status unpack_range(struct oz_engine_worker *w, struct oz_engine *eng, size_t first,
                                   size_t end)
{
    for (size_t i = first; i < end; i++) OZ_TRY(unpack_one(w, eng, i));
    return OZ_OK;
}

/* Its keys; OZ_RECORD for one that no row can have. */
static enum oz_status keys_of(struct oz_engine_worker *w, struct oz_engine *eng, size_t i)
{
    struct oz_batch *bat = &eng->batch;
    const struct oz_record *rec = &bat->record[i];
    for (uint32_t e = 0; e < eng->plan->n_entities; e++) {
        struct oz_key *key = &bat->key[e][i];
        OZ_TRY(entity_key(w, eng, e, rec, bat->row[i], key));
        if (OZ_LIKELY(key->len <= OZ_ROW_KEY_BYTES_MAX)) continue;
        const struct oz_field *field =
            &eng->prg->schema[rec->source]->field[eng->plan->entity[e].field[rec->source]];
        bat->dead_stage[i] = OZ_DECODE_KEY;
        OZ_FAIL(&w->err, OZ_RECORD, "field `%s` is a key of %u bytes, at most %d", field->name,
                key->len, OZ_ROW_KEY_BYTES_MAX);
    }
    return OZ_OK;
}

/* The record goes to the dead letters, for what the worker's error says. */
static enum oz_status condemn(struct oz_engine_worker *w, struct oz_engine *eng, size_t i)
{
    struct oz_batch *bat = &eng->batch;
    bat->fate[i] = OZ_FATE_DEAD;
    bat->dead_reason[i] = oz_arena_strndup(&w->arena, w->err.message, strlen(w->err.message));
    if (!bat->dead_reason[i]) return oz_no_memory(&w->err);
    oz_table_set_null(&bat->table[bat->record[i].source], bat->row[i]);
    for (uint32_t e = 0; e < eng->plan->n_entities; e++) bat->key[e][i].data = NULL;
    w->dead++;
    return OZ_OK;
}

static enum oz_status decode_range(struct oz_engine_worker *w, struct oz_engine *eng, size_t first,
                                   size_t end)
{
    struct oz_batch *bat = &eng->batch;
    for (size_t i = first; i < end; i++) {
        const struct oz_record *rec = &bat->record[i];
        if (!rec->value) {
            for (uint32_t e = 0; e < eng->plan->n_entities; e++) bat->key[e][i].data = NULL;
            continue;
        }
        if (i + PREFETCH_RECORDS < end) {
            __builtin_prefetch(bat->record[i + PREFETCH_RECORDS].value);
            __builtin_prefetch(bat->record[i + PREFETCH_RECORDS].value + 64);
        }
        begin_record(eng, i);
        enum oz_status status = decode_one(w, eng, rec, bat->row[i], &bat->dead_stage[i]);
        if (status == OZ_OK) status = keys_of(w, eng, i);
        if (oz_status_action(status) == OZ_ACTION_SKIP_RECORD) status = condemn(w, eng, i);
        OZ_TRY(status);
    }
    return OZ_OK;
}

void oz_engine_decode(void *ctx, unsigned number)
{
    struct oz_engine *eng = ctx;
    struct oz_engine_worker *w = &eng->worker[number];
    size_t first, end;
    int64_t at = oz_monotonic_us();
    oz_arena_reset(&w->arena);
    oz_engine_share(eng, number, eng->batch.n_records, &first, &end);
    w->status = oz_engine_first_leg(eng) ? decode_range(w, eng, first, end)
                                         : unpack_range(w, eng, first, end);
    oz_engine_stage_done(w, OZ_STAGE_DECODE, &at);
}

void oz_engine_values(void *ctx, unsigned number)
{
    struct oz_engine *eng = ctx;
    struct oz_engine_worker *w = &eng->worker[number];
    int64_t at = oz_monotonic_us();
    uint64_t counted[OZ_NULLED_COUNT] = {0}; /* on the first leg */
    for (uint32_t s = 0; s < eng->plan->n_sources; s++) {
        size_t first, end;
        oz_engine_share(eng, number, eng->batch.table[s].n_rows, &first, &end);
        if (first < end)
            oz_feature_set_values(eng->prg->set, s, &eng->batch.table[s], first, end - first,
                                  (uint64_t *const *const *)eng->batch.values[s], w->scratch,
                                  oz_engine_first_leg(eng) ? w->nulled : counted);
    }
    oz_engine_stage_done(w, OZ_STAGE_VALUES, &at);
}
