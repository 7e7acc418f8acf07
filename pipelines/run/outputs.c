#include "pipelines/run/outputs.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/instant.h"
#include "base/json_writer.h"
#include "base/number.h"

enum {
    MESSAGE_BYTES_MAX = 1000000,     /* librdkafka's default of message.max.bytes */
    MESSAGE_BYTES_MIN = 16 << 10,    /* a smaller one leaves no room for a dead letter */
    OWN_HEADERS_BYTES_MAX = 4 << 10, /* ouzel.*: names, an error and a topic */
    HEADER_BYTES_EXTRA = 10,         /* lengths as varints */
};

/* An alert that goes out, decided before anything is formatted. */
struct alert {
    uint32_t record, rule, held_back;
};

struct oz_outputs {
    struct oz_outputs_config config;
    const struct oz_program *prg;
    const struct oz_plan *plan;
    struct alert *alert;
    size_t n_alerts, cap_alerts;
    struct oz_outputs_stats stats;
    /* texts that are the same in every record, made once */
    char *id_head;              /* <pipeline>/<topic>/ of the scored source */
    struct oz_buf tail;         /* "models":{...},"config":"..." */
    struct oz_buf score_head;   /* {"v":1,"id":"<pipeline>/<topic>/ */
    struct oz_buf *score_value; /* [n_scores]: what stands before each, as in ,"name": */
    size_t record_bytes_max;    /* what the client takes: key, value and headers */
    /* of the call under way */
    struct oz_batch *batch;
    struct oz_outbox *box;
    int64_t now_ms;
    enum oz_status *status; /* [n_workers] */
    struct oz_error *err;
};

static void make_tail(struct oz_outputs *o)
{
    struct oz_json json;
    oz_json_init(&json, &o->tail);
    oz_json_key(&json, "models");
    oz_json_open(&json, '{');
    for (uint32_t m = 0; m < o->prg->n_models; m++) {
        oz_json_key(&json, o->prg->model[m].name);
        oz_json_cstring(&json, o->prg->model[m].hash);
    }
    oz_json_close(&json, '}');
    oz_json_key(&json, "config");
    oz_json_cstring(&json, o->prg->config_hash);
}

static enum oz_status make_texts(struct oz_outputs *o, struct oz_error *err)
{
    const struct oz_pipeline *pl = &o->prg->pipeline;
    struct oz_json json;
    oz_buf_printf(&o->score_head, "{\"v\":1,\"id\":\"");
    size_t at = o->score_head.len;
    oz_buf_printf(&o->score_head, "%s/%s/", pl->name, pl->source[pl->scored_source].topic);
    OZ_TRY(oz_buf_status(&o->score_head, err));
    o->id_head = oz_strdup(oz_buf_string(&o->score_head) + at);
    o->score_value = oz_calloc(o->prg->n_scores + 1, sizeof *o->score_value);
    if (!o->id_head || !o->score_value) return oz_no_memory(err);
    for (uint32_t k = 0; k < o->prg->n_scores; k++) {
        oz_json_init(&json, &o->score_value[k]);
        json.comma = k > 0;
        oz_json_key(&json, o->prg->score_name[k]);
        OZ_TRY(oz_buf_status(&o->score_value[k], err));
    }
    make_tail(o);
    return oz_buf_status(&o->tail, err);
}

size_t oz_record_bytes_max(const struct oz_pipeline *pl)
{
    int64_t bytes = MESSAGE_BYTES_MAX, set;
    for (size_t i = 0; i < pl->n_kafka; i++)
        if (!strcmp(pl->kafka[i].key, "message.max.bytes") &&
            oz_parse_i64(pl->kafka[i].value, strlen(pl->kafka[i].value), &set))
            bytes = set;
    return (size_t)OZ_MAX(bytes, MESSAGE_BYTES_MIN);
}

enum oz_status oz_outputs_new(const struct oz_outputs_config *config,
                              struct oz_outputs **ret_outputs, struct oz_error *err)
{
    struct oz_outputs *o = oz_calloc(1, sizeof *o);
    if (!o) return oz_no_memory(err);
    uint32_t n = oz_engine_n_workers(config->engine);
    o->config = *config;
    o->prg = config->program;
    o->plan = o->prg->plan;
    o->record_bytes_max = oz_record_bytes_max(&o->prg->pipeline);
    o->status = oz_calloc(n, sizeof *o->status);
    o->err = oz_calloc(n, sizeof *o->err);
    enum oz_status status = o->status && o->err ? make_texts(o, err) : oz_no_memory(err);
    if (status != OZ_OK) {
        oz_outputs_free(o);
        return status;
    }
    *ret_outputs = o;
    return OZ_OK;
}

void oz_outputs_free(struct oz_outputs *o)
{
    if (!o) return;
    for (uint32_t k = 0; o->score_value && k < o->prg->n_scores; k++)
        oz_buf_clear(&o->score_value[k]);
    oz_free(o->score_value);
    oz_buf_clear(&o->score_head);
    oz_buf_clear(&o->tail);
    oz_free(o->alert);
    oz_free(o->id_head);
    oz_free(o->status);
    oz_free(o->err);
    oz_free(o);
}

const struct oz_outputs_stats *oz_outputs_stats(const struct oz_outputs *o) { return &o->stats; }

/* ---- the parts that records share */

/* <partition>/<offset>: with the pipeline and the topic before it, an event's name for ever. */
static void put_position(struct oz_buf *buf, const struct oz_record *rec)
{
    char *to = (char *)oz_buf_room(buf, 2 * OZ_NUMBER_BYTES_MAX);
    if (!to) return;
    size_t n = oz_format_u64(to, rec->partition);
    to[n++] = '/';
    buf->len += n + oz_format_i64(to + n, rec->offset);
}

static void put_id(struct oz_json *json, const struct oz_outputs *o, const struct oz_record *rec,
                   const char *rule)
{
    struct oz_buf *buf = json->buf;
    oz_json_key(json, "id");
    oz_buf_put_u8(buf, '"');
    oz_buf_puts(buf, o->id_head);
    put_position(buf, rec);
    oz_buf_put_u8(buf, '/');
    oz_buf_puts(buf, rule);
    oz_buf_put_u8(buf, '"');
    json->comma = true;
}

/* A field's value as a JSON string, numbers too: ids and keys are names, not quantities. */
static void put_name(struct oz_json *json, const struct oz_column *col, size_t row)
{
    char text[OZ_NUMBER_BYTES_MAX];
    if (col->type == OZ_STRING)
        oz_json_string(json, col->str[row].data, col->str[row].len);
    else if (col->i64[row] == OZ_NULL_LONG)
        oz_json_null(json);
    else
        oz_json_string(json, text, oz_format_i64(text, col->i64[row]));
}

/* What comes next is a value, behind a key that stands already. */
#define PUT_TEXT(json, text)                                                                       \
    do {                                                                                           \
        oz_buf_put((json)->buf, text, sizeof(text) - 1);                                           \
        (json)->comma = false;                                                                     \
    } while (0)

static void put_event(struct oz_json *json, const struct oz_outputs *o, uint32_t row)
{
    uint32_t s = o->plan->scored_source;
    const struct oz_schema *schema = o->prg->schema[s];
    const struct oz_column *col = o->batch->table[s].column;
    if (schema->id >= 0) {
        PUT_TEXT(json, ",\"event\":");
        put_name(json, &col[schema->id], row);
    }
    PUT_TEXT(json, ",\"time\":");
    oz_json_instant(json, col[schema->time].i64[row]);
    PUT_TEXT(json, ",\"key\":");
    put_name(json, &col[schema->key], row);
}

static void put_scores(struct oz_json *json, const struct oz_outputs *o, uint32_t row)
{
    PUT_TEXT(json, ",\"scores\":{");
    for (uint32_t m = 0; m < o->prg->n_models; m++) {
        const struct oz_bound_model *b = &o->prg->model[m];
        for (uint32_t k = b->first_score; k < b->first_score + b->n_scores; k++) {
            double v = o->batch->score[k][row];
            oz_buf_put(json->buf, o->score_value[k].data, o->score_value[k].len);
            json->comma = false;
            if (o->prg->score_is_float[k])
                oz_json_float(json, (float)v);
            else
                oz_json_double(json, v);
        }
    }
    oz_json_close(json, '}');
}

static void put_features(struct oz_json *json, const struct oz_outputs *o, uint32_t row)
{
    oz_json_key(json, "features");
    oz_json_open(json, '{');
    for (uint32_t f = 0; f < o->prg->n_features; f++) {
        oz_json_key(json, oz_feature_set_name(o->prg->set, f));
        oz_json_double(json, o->batch->feature[f][row]);
    }
    oz_json_close(json, '}');
}

static void put_tail(struct oz_json *json, const struct oz_outputs *o)
{
    oz_buf_put_u8(json->buf, ',');
    oz_buf_put(json->buf, o->tail.data, o->tail.len);
}

static void put_flags(struct oz_json *json, const struct oz_outputs *o, uint32_t i)
{
    static const struct {
        unsigned flag;
        const char *name;
    } names[] = {{OZ_PUSH_WARMING, "warming"},
                 {OZ_PUSH_SATURATED, "saturated"},
                 {OZ_PUSH_DUPLICATE, "duplicate"}};
    unsigned flags = 0;
    for (uint32_t e = 0; e < o->plan->n_entities; e++) flags |= o->batch->push_flags[e][i];
    flags &= ~(unsigned)OZ_PUSH_CHANGED;
    if (OZ_LIKELY(!flags)) return;
    if (flags & OZ_PUSH_LATE) {
        oz_json_key(json, "late");
        oz_json_open(json, '[');
        for (uint32_t e = 0; e < o->plan->n_entities; e++)
            if (o->batch->push_flags[e][i] & OZ_PUSH_LATE)
                oz_json_cstring(json, o->plan->entity[e].name);
        oz_json_close(json, ']');
    }
    if (!(flags & ~(unsigned)OZ_PUSH_LATE)) return;
    oz_json_key(json, "flags");
    oz_json_open(json, '[');
    for (size_t k = 0; k < OZ_COUNT_OF(names); k++)
        if (flags & names[k].flag) oz_json_cstring(json, names[k].name);
    oz_json_close(json, ']');
}

/* ---- one message of each kind */

/* Begins a message that is keyed as its source record is, where Java's producer would put it. */
static struct oz_out *begin_message(struct oz_outbox_part *part, const struct oz_record *rec,
                                    const struct oz_output_topic *topic, struct oz_error *err)
{
    struct oz_out *out = oz_outbox_add(part, err);
    if (!out) return NULL;
    out->topic = topic->topic;
    out->timestamp_ms = rec->timestamp_ms;
    out->has_key = rec->key != NULL;
    out->key_at = part->bytes.len;
    out->key_len = rec->key_len;
    out->partition =
        (int32_t)(rec->key ? oz_murmur2_partition(rec->key, rec->key_len, topic->n_partitions)
                           : rec->partition % topic->n_partitions);
    oz_buf_put(&part->bytes, rec->key, rec->key ? rec->key_len : 0);
    out->has_value = true;
    out->value_at = part->bytes.len;
    return out;
}

static enum oz_status score_message(const struct oz_outputs *o, struct oz_outbox_part *part,
                                    uint32_t i, struct oz_error *err)
{
    const struct oz_record *rec = &o->batch->record[i];
    uint32_t row = o->batch->row[i];
    struct oz_out *out = begin_message(part, rec, &o->config.scores, err);
    struct oz_json json;
    if (!out) return oz_no_memory(err);
    oz_json_init(&json, &part->bytes);
    oz_buf_put(json.buf, o->score_head.data, o->score_head.len);
    put_position(json.buf, rec);
    oz_buf_put_u8(json.buf, '"');
    put_event(&json, o, row);
    put_scores(&json, o, row);
    put_tail(&json, o);
    put_flags(&json, o, i);
    if (o->prg->pipeline.scores_features) put_features(&json, o, row);
    oz_json_close(&json, '}');
    out->value_len = (uint32_t)(part->bytes.len - out->value_at);
    return OZ_OK;
}

static enum oz_status alert_message(const struct oz_outputs *o, struct oz_outbox_part *part,
                                    const struct alert *alert, struct oz_error *err)
{
    const struct oz_pipeline *pl = &o->prg->pipeline;
    const struct oz_record *rec = &o->batch->record[alert->record];
    uint32_t row = o->batch->row[alert->record], s = o->plan->scored_source;
    const struct oz_table *table = &o->batch->table[s];
    struct oz_out *out = begin_message(part, rec, &o->config.alerts, err);
    struct oz_json json;
    if (!out) return oz_no_memory(err);
    oz_json_init(&json, &part->bytes);
    oz_json_open(&json, '{');
    oz_json_key(&json, "v");
    oz_json_i64(&json, 1);
    put_id(&json, o, rec, pl->rule[alert->rule].name);
    oz_json_key(&json, "rule");
    oz_json_cstring(&json, pl->rule[alert->rule].name);
    put_event(&json, o, row);
    oz_json_key(&json, "entities");
    oz_json_open(&json, '{');
    for (uint32_t e = 0; e < o->plan->n_entities; e++) {
        oz_json_key(&json, o->plan->entity[e].name);
        put_name(&json, &table->column[o->plan->entity[e].field[s]], row);
    }
    oz_json_close(&json, '}');
    put_scores(&json, o, row);
    put_features(&json, o, row);
    oz_json_key(&json, "fields");
    oz_json_open(&json, '{');
    for (size_t k = 0; k < pl->n_alert_fields; k++) {
        int f = oz_schema_find(table->schema, pl->alert_field[k], strlen(pl->alert_field[k]));
        oz_json_key(&json, pl->alert_field[k]);
        oz_json_cell(&json, &table->column[f], row);
    }
    oz_json_close(&json, '}');
    put_tail(&json, o);
    put_flags(&json, o, alert->record);
    oz_json_key(&json, "suppressed");
    oz_json_i64(&json, alert->held_back);
    oz_json_close(&json, '}');
    out->value_len = (uint32_t)(part->bytes.len - out->value_at);
    return OZ_OK;
}

static enum oz_status number_header(struct oz_outbox_part *part, struct oz_out *out,
                                    const char *name, int64_t v, struct oz_error *err)
{
    char text[OZ_NUMBER_BYTES_MAX];
    return oz_outbox_header(part, out, name, text, oz_format_i64(text, v), err);
}

static enum oz_status text_header(struct oz_outbox_part *part, struct oz_out *out, const char *name,
                                  const char *text, struct oz_error *err)
{
    return oz_outbox_header(part, out, name, text, strlen(text), err);
}

/* What the client takes of a dead letter: as a rule all of it. The value is cut where the record
 * would not go out, `ouzel.value.bytes` says how long it was; a key or headers that take a quarter
 * of the room each are left out. Our own headers have OWN_HEADERS_BYTES_MAX. */
static enum oz_status dead_body(const struct oz_outputs *o, struct oz_outbox_part *part,
                                struct oz_out *out, const struct oz_record *rec,
                                struct oz_error *err)
{
    struct oz_header own[OZ_RECORD_HEADERS_MAX];
    bool is_here = o->batch->leg == OZ_LEG_ALL || o->batch->leg == 0;
    size_t value_len = is_here ? rec->value_len : 0; /* else an exchange's own bytes */
    size_t n = is_here && o->config.source
                   ? oz_source_headers(o->config.source, rec, own, OZ_COUNT_OF(own))
                   : 0;
    size_t room = o->record_bytes_max - OWN_HEADERS_BYTES_MAX, head = 0;
    for (size_t k = 0; k < n; k++) head += strlen(own[k].name) + own[k].len + HEADER_BYTES_EXTRA;
    bool cut = out->key_len + head + value_len > room;
    if (cut && out->key_len > room / 4) {
        part->bytes.len = out->value_at = out->key_at;
        out->has_key = false;
        out->key_len = 0;
    }
    if (cut && head > room / 4) n = head = 0;
    out->value_len = (uint32_t)OZ_MIN(value_len, room - out->key_len - head);
    oz_buf_put(&part->bytes, rec->value, out->value_len);
    for (size_t k = 0; k < n; k++)
        OZ_TRY(oz_outbox_header(part, out, own[k].name, own[k].value, own[k].len, err));
    return cut ? number_header(part, out, "ouzel.value.bytes", (int64_t)value_len, err) : OZ_OK;
}

static enum oz_status dead_message(const struct oz_outputs *o, struct oz_outbox_part *part,
                                   uint32_t i, const char *stage, const char *reason,
                                   struct oz_error *err)
{
    const struct oz_pipeline *pl = &o->prg->pipeline;
    const struct oz_record *rec = &o->batch->record[i];
    const char *topic = pl->source[rec->source].topic;
    struct oz_out *out = begin_message(part, rec, &o->config.dead_letters, err);
    if (!out) return oz_no_memory(err);
    part->n_dead++;
    OZ_TRY(oz_buf_status(&part->bytes, err));
    OZ_TRY(dead_body(o, part, out, rec, err));
    struct oz_buf id;
    char text[OZ_PIPELINE_NAME_BYTES_MAX + 256 + 2 * OZ_NUMBER_BYTES_MAX];
    id = (struct oz_buf){.data = (uint8_t *)text, .cap = sizeof text};
    oz_buf_puts(&id, pl->name);
    oz_buf_put_u8(&id, '/');
    oz_buf_puts(&id, topic);
    oz_buf_put_u8(&id, '/');
    id.len += oz_format_u64(text + id.len, rec->partition);
    oz_buf_put_u8(&id, '/');
    id.len += oz_format_i64(text + id.len, rec->offset);
    OZ_TRY(text_header(part, out, "ouzel.v", "1", err));
    OZ_TRY(oz_outbox_header(part, out, "ouzel.id", text, id.len, err));
    OZ_TRY(text_header(part, out, "ouzel.pipeline", pl->name, err));
    OZ_TRY(text_header(part, out, "ouzel.stage", stage, err));
    OZ_TRY(text_header(part, out, "ouzel.status", "record", err));
    OZ_TRY(text_header(part, out, "ouzel.error", reason, err));
    OZ_TRY(text_header(part, out, "ouzel.source.topic", topic, err));
    OZ_TRY(number_header(part, out, "ouzel.source.partition", rec->partition, err));
    OZ_TRY(number_header(part, out, "ouzel.source.offset", rec->offset, err));
    return number_header(part, out, "ouzel.source.timestamp", rec->timestamp_ms, err);
}

static enum oz_status undecoded(const struct oz_outputs *o, struct oz_outbox_part *part, uint32_t i,
                                struct oz_error *err)
{
    return dead_message(o, part, i, oz_dead_stage_name(o->batch->dead_stage[i]),
                        o->batch->dead_reason[i], err);
}

/* The score or alert that was added last may be larger than the client takes, by an id of a
 * megabyte: the record is a dead letter then, since a pipeline that stops at it would do so for
 * ever. */
static enum oz_status check_size(const struct oz_outputs *o, struct oz_outbox_part *part,
                                 uint32_t i, const char *what, size_t spare, uint64_t *n_out,
                                 struct oz_error *err)
{
    const struct oz_out *out = &part->out[part->n - 1];
    size_t size = (size_t)out->key_len + out->value_len + spare;
    if (OZ_LIKELY(size <= o->record_bytes_max)) {
        (*n_out)++;
        return OZ_OK;
    }
    char reason[128];
    OZ_TRY(oz_buf_status(&part->bytes, err));
    snprintf(reason, sizeof reason, "its %s would have %zu bytes, and message.max.bytes is %zu",
             what, size, o->record_bytes_max);
    oz_outbox_take_back(part);
    part->n_too_large++;
    part->too_large = i;
    return o->config.dead_letters.n_partitions ? dead_message(o, part, i, "produce", reason, err)
                                               : OZ_OK;
}

/* ---- to the next leg */

/* Whether the record's way goes on from here. */
static bool travels(const struct oz_outputs *o, const struct oz_record *rec)
{
    return o->batch->leg != OZ_LEG_ALL && o->batch->leg < o->prg->last_leg[rec->source];
}

/* What later legs add to an event never makes it larger than the client takes: the first leg leaves
 * room for all of it. */
static size_t room_for_legs(const struct oz_outputs *o)
{
    return (o->plan->n_aggregates + 4) * sizeof(double) + o->plan->n_entities;
}

static enum oz_status exchange_message(const struct oz_outputs *o, struct oz_outbox_part *part,
                                       uint32_t i, struct oz_error *err)
{
    struct oz_batch *bat = o->batch;
    const struct oz_record *rec = &bat->record[i];
    uint32_t leg = bat->leg + 1;
    const struct oz_key *key = &bat->key[o->prg->entity_of[leg]][i];
    struct oz_exchange_row row = {.table = &bat->table[rec->source],
                                  .row = bat->row[i],
                                  .record = i,
                                  .aggregate = bat->aggregate,
                                  .push_flags = bat->push_flags};
    struct oz_out *out = oz_outbox_add(part, err);
    if (!out) return oz_no_memory(err);
    out->topic = o->config.exchange[leg].topic;
    out->partition = (int32_t)(key->data ? key->partition : rec->partition);
    out->timestamp_ms = o->now_ms;
    out->has_value = true;
    out->key_at = out->value_at = part->bytes.len;
    oz_exchange_put_event(&o->prg->shape[leg], rec, &row, &part->bytes);
    OZ_TRY(oz_buf_status(&part->bytes, err));
    out->value_len = (uint32_t)(part->bytes.len - out->value_at);
    uint64_t sent = 0;
    return bat->leg ? OZ_OK
                    : check_size(o, part, i, "exchange record", room_for_legs(o), &sent, err);
}

/* ---- the batch */

static enum oz_status decide_alerts(struct oz_outputs *o, struct oz_error *err)
{
    const struct oz_pipeline *pl = &o->prg->pipeline;
    struct oz_batch *bat = o->batch;
    uint32_t s = o->plan->scored_source;
    const int64_t *time = bat->table[s].column[o->prg->schema[s]->time].i64;
    o->n_alerts = 0;
    bool is_last = bat->leg == OZ_LEG_ALL || bat->leg == o->prg->n_legs - 1;
    for (uint32_t row = 0; is_last && pl->n_rules && row < bat->table[s].n_rows; row++) {
        uint32_t i = bat->record_of[s][row];
        for (uint32_t r = 0; r < pl->n_rules; r++) {
            uint32_t held_back = 0;
            if (OZ_LIKELY(!bat->rule[r][row]) || bat->fate[i] != OZ_FATE_ROW) continue;
            if (!oz_engine_alert(o->config.engine, bat, i, r, time[row], &held_back)) {
                o->stats.suppressed[r]++;
                continue;
            }
            OZ_TRY(oz_grow((void **)&o->alert, &o->cap_alerts, o->n_alerts + 1, sizeof *o->alert,
                           err));
            o->alert[o->n_alerts++] = (struct alert){i, r, held_back};
            o->stats.alerts[r]++;
        }
    }
    return OZ_OK;
}

static size_t first_alert_at(const struct oz_outputs *o, size_t record)
{
    size_t lo = 0, hi = o->n_alerts;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (o->alert[mid].record < record)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static enum oz_status format_range(const struct oz_outputs *o, struct oz_outbox_part *part,
                                   size_t first, size_t end, struct oz_error *err)
{
    const struct oz_batch *bat = o->batch;
    size_t a = first_alert_at(o, first);
    for (size_t i = first; i < end; i++) {
        uint32_t rec = (uint32_t)i;
        if (bat->fate[i] == OZ_FATE_DEAD) {
            if (o->config.dead_letters.n_partitions) OZ_TRY(undecoded(o, part, rec, err));
            continue;
        }
        if (bat->fate[i] != OZ_FATE_ROW) continue;
        if (travels(o, &bat->record[i])) {
            OZ_TRY(exchange_message(o, part, rec, err));
            continue;
        }
        if (bat->record[i].source != o->plan->scored_source) continue;
        if (o->config.scores.n_partitions) {
            OZ_TRY(score_message(o, part, rec, err));
            OZ_TRY(check_size(o, part, rec, "score", 0, &part->n_scores, err));
        }
        for (; a < o->n_alerts && o->alert[a].record == rec; a++) {
            if (!o->config.alerts.n_partitions) continue;
            OZ_TRY(alert_message(o, part, &o->alert[a], err));
            OZ_TRY(check_size(o, part, rec, "alert", 0, &part->n_alerts, err));
        }
    }
    return oz_buf_status(&part->bytes, err);
}

static void format_phase(void *ctx, unsigned w)
{
    struct oz_outputs *o = ctx;
    size_t n = o->batch->n_records, workers = o->box->n_parts;
    o->status[w] =
        format_range(o, &o->box->part[w], n * w / workers, n * (w + 1) / workers, &o->err[w]);
}

enum oz_status oz_outputs_make(struct oz_outputs *o, struct oz_batch *batch, struct oz_outbox *box,
                               struct oz_error *err)
{
    oz_outbox_reset(box);
    o->batch = batch;
    o->box = box;
    o->now_ms = oz_wall_us() / OZ_US_PER_MS;
    OZ_TRY(decide_alerts(o, err));
    oz_engine_parallel(o->config.engine, format_phase, o);
    for (uint32_t w = 0; w < box->n_parts; w++)
        if (o->status[w] != OZ_OK) {
            if (err) *err = o->err[w];
            return o->status[w];
        }
    for (size_t i = 0; i < batch->n_records; i++) {
        box->n_dead += batch->fate[i] == OZ_FATE_DEAD;
        box->n_scores += batch->fate[i] == OZ_FATE_ROW &&
                         batch->record[i].source == o->plan->scored_source &&
                         !travels(o, &batch->record[i]);
    }
    for (uint32_t w = 0; w < box->n_parts; w++) box->n_dead += box->part[w].n_too_large;
    box->n_alerts = o->n_alerts;
    o->stats.scores += box->n_scores;
    o->stats.dead_letters += box->n_dead;
    return OZ_OK;
}
