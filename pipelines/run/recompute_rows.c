#include "pipelines/run/recompute_rows.h"

#include "base/hash.h"
#include "base/progress.h"
#include "pipelines/run/definition.h"

enum { WRITE_PARTS = 10000, WRITE_BYTES = 32 << 20, FIRST_SLOTS = 1024 };

/* ---- a set of hashes */

static bool has(const struct oz_hash_set *set, uint64_t hash)
{
    if (!set->n) return false;
    hash += !hash;
    for (size_t i = hash & (set->cap - 1);; i = (i + 1) & (set->cap - 1)) {
        if (!set->slot[i]) return false;
        if (set->slot[i] == hash) return true;
    }
}

static void place(struct oz_hash_set *set, uint64_t hash)
{
    size_t i = hash & (set->cap - 1);
    while (set->slot[i] && set->slot[i] != hash) i = (i + 1) & (set->cap - 1);
    set->n += !set->slot[i];
    set->slot[i] = hash;
}

static enum oz_status put(struct oz_hash_set *set, uint64_t hash, struct oz_error *err)
{
    if (2 * (set->n + 1) > set->cap) {
        struct oz_hash_set larger = {.cap = set->cap ? 2 * set->cap : FIRST_SLOTS};
        larger.slot = oz_calloc(larger.cap, sizeof *larger.slot);
        if (!larger.slot) return oz_no_memory(err);
        for (size_t i = 0; i < set->cap; i++)
            if (set->slot[i]) place(&larger, set->slot[i]);
        oz_free(set->slot);
        *set = larger;
    }
    place(set, hash + !hash);
    return OZ_OK;
}

void oz_recompute_rows_clear(struct oz_recompute_rows *rows)
{
    oz_free(rows->doubtful.slot);
    memset(rows, 0, sizeof *rows);
}

/* ---- reading */

struct load {
    const struct oz_program *prg;
    struct oz_kafka_log *log;
    struct oz_store *store;
    struct oz_sealed batch;
    struct oz_hash_set below; /* parts that have a record below the ends */
    struct oz_recompute_rows *rows;
    struct oz_progress progress;
};

static uint64_t mix(uint32_t entity, uint32_t partition, const void *key, size_t len)
{
    return oz_hash64(key, len) ^ (((uint64_t)entity << 32 | partition) * 0x9E3779B97F4A7C15ull);
}

static enum oz_status write_parts(struct load *load, struct oz_error *err)
{
    const struct oz_sealed *batch = &load->batch;
    OZ_TRY(oz_store_write(load->store, &batch, 1, NULL, err));
    oz_sealed_reset(&load->batch);
    return OZ_OK;
}

static enum oz_status take_below(struct load *load, const struct oz_record *rec,
                                 struct oz_error *err)
{
    if (rec->value) OZ_TRY(oz_part_check((const uint8_t *)rec->value, rec->value_len, err));
    OZ_TRY(oz_sealed_put(&load->batch, (uint8_t)rec->source, rec->partition,
                         (const uint8_t *)rec->key, rec->key_len, (const uint8_t *)rec->value,
                         rec->value_len, err));
    OZ_TRY(put(&load->below, mix(rec->source, rec->partition, rec->key, rec->key_len), err));
    load->rows->n_parts++;
    if (load->batch.n_parts < WRITE_PARTS && load->batch.bytes.len < WRITE_BYTES) return OZ_OK;
    return write_parts(load, err);
}

static enum oz_status take_record(struct load *load, const struct oz_record *rec, bool below,
                                  struct oz_error *err)
{
    const char *key;
    uint32_t key_len, part;
    enum oz_status status = oz_part_key_parse(
        (const uint8_t *)rec->key, rec->key ? rec->key_len : 0, &key, &key_len, &part, err);
    /* Layouts are learned from the records behind the end too: compaction keeps the newest. */
    if (status == OZ_OK && !key_len && rec->value)
        status = oz_definition_learn(load->prg->definition, rec->value, rec->value_len, false, err);
    if (status == OZ_OK && key_len && below) status = take_below(load, rec, err);
    if (status == OZ_OK && key_len && !below &&
        !has(&load->below, mix(rec->source, rec->partition, rec->key, rec->key_len)))
        status = put(&load->rows->doubtful, mix(rec->source, rec->partition, key, key_len), err);
    if (status != OZ_OK)
        oz_error_prefix(err, "the changelog of %s, partition %u, offset %lld",
                        load->prg->plan->entity[rec->source].name, rec->partition,
                        (long long)rec->offset);
    return status;
}

static enum oz_status read_part(struct load *load, uint32_t e, uint32_t p, int64_t from, int64_t to,
                                bool below, struct oz_error *err)
{
    bool found = true;
    oz_kafka_log_seek(load->log, e, p, from);
    while (found) {
        struct oz_record rec;
        OZ_TRY(oz_kafka_log_next(load->log, e, p, to, &rec, &found, err));
        if (!found) break;
        enum oz_status status = take_record(load, &rec, below, err);
        oz_kafka_log_release(load->log, &rec, 1);
        OZ_TRY(status);
        oz_progress_set(&load->progress, load->progress.done + 1);
    }
    return OZ_OK;
}

static enum oz_status read_all(struct load *load, uint32_t n_partitions, const int64_t *from,
                               const int64_t *to, bool below, struct oz_error *err)
{
    uint32_t n_entities = load->prg->plan->n_entities;
    uint64_t total = 0;
    enum oz_status status = OZ_OK;
    for (size_t i = 0; i < (size_t)n_entities * n_partitions; i++)
        total += (uint64_t)OZ_MAX(to[i] - from[i], 0);
    oz_progress_init(&load->progress, "reading the changelogs", total, "records");
    for (uint32_t p = 0; p < n_partitions && status == OZ_OK; p++)
        for (uint32_t e = 0; e < n_entities && status == OZ_OK; e++) {
            size_t i = (size_t)p * n_entities + e;
            status = read_part(load, e, p, from[i], to[i], below, err);
        }
    oz_progress_done(&load->progress);
    return status;
}

enum oz_status oz_recompute_rows_load(const struct oz_program *program, uint32_t n_partitions,
                                      struct oz_kafka_log *log, const int64_t *ends,
                                      uint64_t n_written, struct oz_store *store,
                                      struct oz_recompute_rows *ret_rows, struct oz_error *err)
{
    struct load load = {.prg = program, .log = log, .store = store, .rows = ret_rows};
    size_t n = (size_t)n_partitions * program->plan->n_entities;
    enum oz_status status = OZ_OK;
    memset(ret_rows, 0, sizeof *ret_rows);
    int64_t *begin = oz_calloc(2 * n + 1, sizeof *begin), *end = begin + n;
    if (!begin) return oz_no_memory(err);
    oz_sealed_init(&load.batch);
    OZ_TRY_OUT(oz_kafka_log_bounds(log, begin, end, err));
    OZ_TRY_OUT(read_all(&load, n_partitions, begin, ends, true, err));
    OZ_TRY_OUT(write_parts(&load, err));
    ret_rows->is_whole = n_written && ret_rows->n_parts == n_written;
    if (!ret_rows->is_whole) OZ_TRY_OUT(read_all(&load, n_partitions, ends, end, false, err));
out:
    oz_sealed_clear(&load.batch);
    oz_free(load.below.slot);
    oz_free(begin);
    return status;
}

enum oz_status oz_recompute_rows_check(const struct oz_recompute_rows *rows,
                                       const struct oz_program *program,
                                       const struct oz_batch *batch, struct oz_error *err)
{
    for (uint32_t e = 0; e < program->plan->n_entities && rows->doubtful.n; e++)
        for (size_t i = 0; i < batch->n_records; i++) {
            const struct oz_key *key = &batch->key[e][i];
            if (batch->fate[i] != OZ_FATE_ROW || !key->data ||
                !has(&rows->doubtful, mix(e, key->partition, key->data, key->len)))
                continue;
            OZ_FAIL(err, OZ_LOST,
                    "the row of %s `%.*s` as it was is not known: its changelog was compacted "
                    "since, and has records of it only from later epochs",
                    program->plan->entity[e].name, (int)OZ_MIN(key->len, 64u), key->data);
        }
    return OZ_OK;
}
