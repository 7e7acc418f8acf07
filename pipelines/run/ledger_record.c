#include "pipelines/run/ledger_record.h"

#include "base/hash.h"
#include "base/instant.h"
#include "models/json_document.h"

enum { TAIL_RECORDS = 64, TAIL_GROWTH = 16 };

void oz_ledger_record_clear(struct oz_ledger_record *record)
{
    oz_free(record->batch);
    oz_free(record->range);
    oz_free(record->ends);
    memset(record, 0, sizeof *record);
}

static enum oz_status number(const struct oz_doc_value *object, const char *key, uint64_t *ret_v,
                             struct oz_error *err)
{
    const struct oz_doc_value *v;
    OZ_TRY(oz_doc_get(object, key, OZ_DOC_INTEGER, &v, err));
    if (v->integer < 0) OZ_FAIL(err, OZ_CORRUPT, "\"%s\" is negative", key);
    *ret_v = (uint64_t)v->integer;
    return OZ_OK;
}

static enum oz_status take_text(const struct oz_doc_value *v, const char *key, size_t cap, char *to,
                                struct oz_error *err)
{
    if (v->kind != OZ_DOC_STRING || v->n >= cap)
        OZ_FAIL(err, OZ_CORRUPT, "\"%s\" is no text, or too long", key);
    memcpy(to, v->string, v->n);
    to[v->n] = 0;
    return OZ_OK;
}

static enum oz_status text(const struct oz_doc_value *object, const char *key, size_t cap, char *to,
                           struct oz_error *err)
{
    const struct oz_doc_value *v;
    OZ_TRY(oz_doc_get(object, key, OZ_DOC_STRING, &v, err));
    return take_text(v, key, cap, to, err);
}

/* Element i of an array, packed or not, as an integer. */
static bool element(const struct oz_doc_value *array, size_t i, int64_t *ret_v)
{
    if (array->kind == OZ_DOC_NUMBERS) return oz_doc_i64(array, i, ret_v);
    if (array->kind != OZ_DOC_ARRAY || array->item[i].kind != OZ_DOC_INTEGER) return false;
    *ret_v = array->item[i].integer;
    return true;
}

static enum oz_status parse_models(const struct oz_doc_value *root, struct oz_ledger_record *record,
                                   struct oz_error *err)
{
    const struct oz_doc_value *models;
    OZ_TRY(oz_doc_get(root, "models", OZ_DOC_OBJECT, &models, err));
    if (models->n > OZ_MODELS_MAX) OZ_FAIL(err, OZ_CORRUPT, "%u models", models->n);
    for (uint32_t m = 0; m < models->n; m++) {
        struct oz_ledger_model *model = &record->model[m];
        if (models->member[m].key_len >= sizeof model->name)
            OZ_FAIL(err, OZ_CORRUPT, "the name of a model is too long");
        memcpy(model->name, models->member[m].key, models->member[m].key_len);
        model->name[models->member[m].key_len] = 0;
        OZ_TRY(take_text(&models->member[m].value, model->name, sizeof model->sha256, model->sha256,
                         err));
    }
    record->n_models = models->n;
    return OZ_OK;
}

static enum oz_status parse_range(const struct oz_program *prg, uint32_t n_partitions,
                                  const struct oz_doc_value *v, struct oz_ledger_record *record,
                                  struct oz_error *err)
{
    int64_t n[4] = {0};
    if (v->kind != OZ_DOC_ARRAY || v->n != 4 || v->item[0].kind != OZ_DOC_STRING)
        OZ_FAIL(err, OZ_CORRUPT, "a range is not [topic, partition, from, to]");
    for (size_t i = 1; i < 4; i++)
        if (!element(v, i, &n[i]) || n[i] < 0)
            OZ_FAIL(err, OZ_CORRUPT, "a range is not [topic, partition, from, to]");
    uint32_t s = 0;
    while (s < prg->plan->n_sources &&
           !oz_doc_string_is(&v->item[0], prg->pipeline.source[s].topic))
        s++;
    if (s == prg->plan->n_sources)
        OZ_FAIL(err, OZ_CORRUPT, "topic %.*s is none that the pipeline reads", (int)v->item[0].n,
                v->item[0].string);
    if (n[1] >= n_partitions || n[2] >= n[3])
        OZ_FAIL(err, OZ_CORRUPT, "range %lld to %lld of partition %lld", (long long)n[2],
                (long long)n[3], (long long)n[1]);
    OZ_TRY(oz_grow((void **)&record->range, &record->cap_ranges, record->n_ranges + 1,
                   sizeof *record->range, err));
    record->range[record->n_ranges++] = (struct oz_ledger_range){s, (uint32_t)n[1], n[2], n[3]};
    return OZ_OK;
}

static enum oz_status parse_batches(const struct oz_program *prg, uint32_t n_partitions,
                                    const struct oz_doc_value *root,
                                    struct oz_ledger_record *record, struct oz_error *err)
{
    const struct oz_doc_value *batches, *now;
    OZ_TRY(oz_doc_get(root, "batches", OZ_DOC_ARRAY, &batches, err));
    OZ_TRY(oz_doc_get(root, "now", OZ_DOC_ARRAY, &now, err));
    if (batches->n != now->n)
        OZ_FAIL(err, OZ_CORRUPT, "%u batches and %u times", batches->n, now->n);
    OZ_TRY(oz_grow((void **)&record->batch, &record->cap_batches, (size_t)batches->n + 1,
                   sizeof *record->batch, err));
    record->n_ranges = 0;
    record->n_batches = batches->n;
    for (uint32_t b = 0; b < batches->n; b++) {
        const struct oz_doc_value *ranges = &batches->item[b], *at = &now->item[b];
        struct oz_ledger_span *span = &record->batch[b];
        span->first = record->n_ranges;
        if (ranges->kind != OZ_DOC_ARRAY || at->kind != OZ_DOC_STRING ||
            !oz_parse_instant(at->string, at->n, &span->now_us))
            OZ_FAIL(err, OZ_CORRUPT, "batch %u is no list of ranges with a time", b);
        for (uint32_t r = 0; r < ranges->n; r++)
            OZ_TRY(parse_range(prg, n_partitions, &ranges->item[r], record, err));
        span->n = record->n_ranges - span->first;
    }
    return OZ_OK;
}

/* Entities that the pipeline does not have make it none of this pipeline's definition: it is then
 * as if it had none. */
static enum oz_status parse_ends(const struct oz_program *prg, uint32_t n_partitions,
                                 const struct oz_doc_value *root, struct oz_ledger_record *record,
                                 struct oz_error *err)
{
    const struct oz_doc_value *changelog, *ends, *array;
    uint32_t n_entities = prg->plan->n_entities;
    uint64_t epoch = 0;
    record->ends_epoch = 0;
    OZ_TRY(oz_doc_find(root, "changelog", &changelog, err));
    if (!changelog) return OZ_OK;
    OZ_TRY(number(changelog, "epoch", &epoch, err));
    OZ_TRY(oz_doc_get(changelog, "ends", OZ_DOC_OBJECT, &ends, err));
    OZ_TRY(oz_grow((void **)&record->ends, &record->cap_ends, (size_t)n_entities * n_partitions + 1,
                   sizeof *record->ends, err));
    for (uint32_t e = 0; e < n_entities; e++) {
        OZ_TRY(oz_doc_find(ends, prg->plan->entity[e].name, &array, err));
        if (!array || array->n != n_partitions) return OZ_OK;
        for (uint32_t p = 0; p < n_partitions; p++)
            if (!element(array, p, &record->ends[(size_t)p * n_entities + e])) return OZ_OK;
    }
    record->ends_epoch = epoch;
    return OZ_OK;
}

static enum oz_status parse(const struct oz_program *prg, uint32_t n_partitions,
                            const struct oz_doc_value *root, struct oz_ledger_record *record,
                            struct oz_error *err)
{
    uint64_t v = 0;
    const struct oz_doc_value *cut;
    OZ_TRY(number(root, "v", &v, err));
    if (v != 1) OZ_FAIL(err, OZ_CORRUPT, "version %llu", (unsigned long long)v);
    OZ_TRY(number(root, "epoch", &record->epoch, err));
    OZ_TRY(number(root, "after", &record->after, err));
    OZ_TRY(text(root, "instance", sizeof record->instance, record->instance, err));
    OZ_TRY(text(root, "config", sizeof record->config, record->config, err));
    OZ_TRY(parse_models(root, record, err));
    OZ_TRY(number(root, "scores", &record->n_scores, err));
    OZ_TRY(number(root, "alerts", &record->n_alerts, err));
    OZ_TRY(number(root, "dead", &record->n_dead, err));
    OZ_TRY(number(root, "parts", &record->n_parts, err));
    OZ_TRY(oz_doc_find(root, "cut", &cut, err));
    record->cut = cut != NULL;
    OZ_TRY(parse_batches(prg, n_partitions, root, record, err));
    return parse_ends(prg, n_partitions, root, record, err);
}

enum oz_status oz_ledger_record_parse(const struct oz_program *program, uint32_t n_partitions,
                                      const uint8_t *bytes, size_t n,
                                      struct oz_ledger_record *record, struct oz_error *err)
{
    struct oz_document doc;
    oz_document_init(&doc);
    enum oz_status status = oz_json_document_parse(&doc, bytes, n, err);
    if (status == OZ_OK && doc.root.kind != OZ_DOC_OBJECT)
        status = oz_error_set(err, OZ_CORRUPT, "it is no JSON object");
    if (status == OZ_OK) status = parse(program, n_partitions, &doc.root, record, err);
    oz_document_clear(&doc);
    if (status == OZ_MODEL) { /* the document's own word for it */
        status = OZ_CORRUPT;
        if (err) err->status = status;
    }
    return status;
}

/* ---- the newest one */

/* Only the number, which stands first: {"v":1,"epoch":812, */
static uint64_t epoch_of(const struct oz_record *rec)
{
    static const char head[] = "{\"v\":1,\"epoch\":";
    uint64_t epoch = 0;
    size_t i = sizeof head - 1;
    if (!rec->value || rec->value_len < i || memcmp(rec->value, head, i) != 0) return 0;
    for (; i < rec->value_len && rec->value[i] >= '0' && rec->value[i] <= '9'; i++)
        epoch = epoch * 10 + (uint64_t)(rec->value[i] - '0');
    return epoch;
}

static enum oz_status last_between(struct oz_kafka_log *log, uint32_t partition, int64_t from,
                                   int64_t to, const char *instance, uint64_t *ret_epoch,
                                   struct oz_error *err)
{
    struct oz_record rec;
    bool found = true;
    oz_kafka_log_seek(log, 0, partition, from);
    while (found) {
        OZ_TRY(oz_kafka_log_next(log, 0, partition, to, &rec, &found, err));
        if (!found) break;
        if (rec.key && rec.key_len == strlen(instance) && !memcmp(rec.key, instance, rec.key_len))
            *ret_epoch = OZ_MAX(*ret_epoch, epoch_of(&rec));
        oz_kafka_log_release(log, &rec, 1);
    }
    return OZ_OK;
}

/* The end of the instance's partition, and more of it while there is nothing of the instance. */
static enum oz_status find_last(struct oz_kafka_log *log, const char *instance,
                                uint32_t n_partitions, int64_t *begin, int64_t *end,
                                uint64_t *ret_epoch, struct oz_error *err)
{
    uint32_t p = oz_murmur2_partition(instance, strlen(instance), n_partitions);
    OZ_TRY(oz_kafka_log_bounds(log, begin, end, err));
    int64_t to = end[p];
    for (int64_t n = TAIL_RECORDS; to > begin[p] && !*ret_epoch; n *= TAIL_GROWTH) {
        int64_t from = OZ_MAX(to - n, begin[p]);
        OZ_TRY(last_between(log, p, from, to, instance, ret_epoch, err));
        to = from;
    }
    return OZ_OK;
}

enum oz_status oz_ledger_last_epoch(const struct oz_kafka_config *client, const char *topic,
                                    const char *instance, uint32_t n_partitions,
                                    bool committed_only, const atomic_bool *stop,
                                    uint64_t *ret_epoch, struct oz_error *err)
{
    struct oz_kafka_log *log;
    *ret_epoch = 0;
    OZ_TRY(oz_kafka_log_open(client, &topic, 1, n_partitions, committed_only, stop, &log, err));
    int64_t *bounds = oz_calloc(2 * (size_t)n_partitions, sizeof *bounds);
    enum oz_status status = bounds ? find_last(log, instance, n_partitions, bounds,
                                               bounds + n_partitions, ret_epoch, err)
                                   : oz_no_memory(err);
    oz_free(bounds);
    oz_kafka_log_close(log);
    return status;
}
