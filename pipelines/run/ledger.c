#include "pipelines/run/ledger.h"

#include "base/json_writer.h"

enum { REST_BYTES = 1024, OFFSET_BYTES = 20 };

struct span { /* of one partition in the batch under way */
    int64_t from, to;
    bool is_in;
};
struct place { /* of a record in the merge's order */
    int64_t time_ms;
    uint32_t lane;
};

struct oz_ledger {
    const struct oz_program *prg;
    uint32_t n_sources, n_partitions;
    size_t record_bytes_max;
    int64_t *next;       /* [n_sources x n_partitions] */
    struct span *span;   /* the same */
    struct place top[2]; /* the last in order of what the batch has, of two lanes */
    uint32_t n_top, last_lane;
    struct oz_buf batches, now, tail;
    uint64_t n_batches, n_scores, n_alerts, n_dead;
};

/* What every record says of the pipeline. */
static enum oz_status make_tail(struct oz_ledger *ledger, struct oz_error *err)
{
    struct oz_json json;
    const struct oz_program *prg = ledger->prg;
    oz_json_init(&json, &ledger->tail);
    json.comma = true;
    oz_json_key(&json, "instance");
    oz_json_cstring(&json, prg->pipeline.instance);
    oz_json_key(&json, "config");
    oz_json_cstring(&json, prg->pipeline.config_sha256);
    oz_json_key(&json, "models");
    oz_json_open(&json, '{');
    for (uint32_t m = 0; m < prg->n_models; m++) {
        oz_json_key(&json, prg->model[m].name);
        oz_json_cstring(&json, prg->model[m].info->sha256);
    }
    oz_json_close(&json, '}');
    return oz_buf_status(&ledger->tail, err);
}

enum oz_status oz_ledger_new(const struct oz_program *program, uint32_t n_partitions,
                             size_t record_bytes_max, struct oz_ledger **ret_ledger,
                             struct oz_error *err)
{
    struct oz_ledger *ledger = oz_calloc(1, sizeof *ledger);
    if (!ledger) return oz_no_memory(err);
    uint32_t n_sources = program->plan->n_sources;
    size_t n_lanes = (size_t)n_sources * n_partitions;
    ledger->prg = program;
    ledger->n_sources = n_sources;
    ledger->n_partitions = n_partitions;
    ledger->record_bytes_max = record_bytes_max;
    ledger->next = oz_calloc(n_lanes, sizeof *ledger->next);
    ledger->span = oz_calloc(n_lanes, sizeof *ledger->span);
    enum oz_status status =
        ledger->next && ledger->span ? make_tail(ledger, err) : oz_no_memory(err);
    if (status != OZ_OK) {
        oz_ledger_free(ledger);
        return status;
    }
    *ret_ledger = ledger;
    return OZ_OK;
}

void oz_ledger_free(struct oz_ledger *ledger)
{
    if (!ledger) return;
    oz_free(ledger->next);
    oz_free(ledger->span);
    oz_buf_clear(&ledger->batches);
    oz_buf_clear(&ledger->now);
    oz_buf_clear(&ledger->tail);
    oz_free(ledger);
}

static void forget(struct oz_ledger *ledger)
{
    oz_buf_reset(&ledger->batches);
    oz_buf_reset(&ledger->now);
    ledger->n_batches = ledger->n_scores = ledger->n_alerts = ledger->n_dead = 0;
}

void oz_ledger_begin(struct oz_ledger *ledger, const struct oz_positions *next)
{
    OZ_ASSERT(next->n_sources >= ledger->n_sources && next->n_partitions == ledger->n_partitions);
    forget(ledger);
    for (uint32_t s = 0; s < ledger->n_sources; s++)
        for (uint32_t p = 0; p < ledger->n_partitions; p++)
            ledger->next[s * ledger->n_partitions + p] =
                next->source[(size_t)p * next->n_sources + s];
}

/* ---- a batch */

static bool before(struct place a, struct place b)
{
    return a.time_ms < b.time_ms || (a.time_ms == b.time_ms && a.lane < b.lane);
}

/* True when the merge rule would have given this record earlier than one of another partition that
 * the batch has already. (Now and then it says so of a partition whose own times go back, where it
 * is not needed; a cut too many does no harm.) */
static bool out_of_order(const struct oz_ledger *ledger, struct place rec)
{
    if (!ledger->n_top || rec.lane == ledger->last_lane) return false;
    uint32_t other = ledger->top[0].lane == rec.lane;
    return other < ledger->n_top && before(rec, ledger->top[other]);
}

static void note_place(struct oz_ledger *ledger, struct place rec)
{
    struct place *top = ledger->top;
    ledger->last_lane = rec.lane;
    if (!ledger->n_top) {
        top[0] = rec;
        ledger->n_top = 1;
    } else if (rec.lane == top[0].lane) {
        if (before(top[0], rec)) top[0] = rec;
    } else if (before(top[0], rec)) {
        top[1] = top[0];
        top[0] = rec;
        ledger->n_top = 2;
    } else if (ledger->n_top == 1 || before(top[1], rec)) {
        top[1] = rec;
        ledger->n_top = 2;
    }
}

static void write_span(struct oz_ledger *ledger, struct oz_json *json, uint32_t s, uint32_t p)
{
    struct span *span = &ledger->span[s * ledger->n_partitions + p];
    oz_json_open(json, '[');
    oz_json_cstring(json, ledger->prg->pipeline.source[s].topic);
    oz_json_i64(json, p);
    oz_json_i64(json, span->from);
    oz_json_i64(json, span->to);
    oz_json_close(json, ']');
    span->is_in = false;
}

static void end_batch(struct oz_ledger *ledger, int64_t now_us)
{
    struct oz_json json, times;
    oz_json_init(&json, &ledger->batches);
    oz_json_init(&times, &ledger->now);
    json.comma = times.comma = ledger->n_batches > 0;
    oz_json_open(&json, '[');
    for (uint32_t s = 0; s < ledger->n_sources; s++)
        for (uint32_t p = 0; p < ledger->n_partitions; p++)
            if (ledger->span[s * ledger->n_partitions + p].is_in) write_span(ledger, &json, s, p);
    oz_json_close(&json, ']');
    oz_json_instant(&times, now_us);
    ledger->n_batches++;
    ledger->n_top = 0;
}

void oz_ledger_batch(struct oz_ledger *ledger, const struct oz_record *record, size_t n,
                     int64_t now_us)
{
    for (size_t i = 0; i < n; i++) {
        const struct oz_record *rec = &record[i];
        size_t at = (size_t)rec->source * ledger->n_partitions + rec->partition;
        struct place place = {rec->timestamp_ms,
                              ledger->prg->rank[rec->source] * ledger->n_partitions +
                                  rec->partition};
        if (OZ_UNLIKELY(out_of_order(ledger, place))) end_batch(ledger, now_us);
        note_place(ledger, place);
        struct span *span = &ledger->span[at];
        if (!span->is_in) *span = (struct span){.from = ledger->next[at], .is_in = true};
        ledger->next[at] = span->to = rec->offset + 1;
    }
    if (n) end_batch(ledger, now_us);
}

void oz_ledger_outputs(struct oz_ledger *ledger, const struct oz_outbox *box)
{
    for (uint32_t w = 0; w < box->n_parts; w++) {
        ledger->n_scores += box->part[w].n_scores;
        ledger->n_alerts += box->part[w].n_alerts;
        ledger->n_dead += box->part[w].n_dead;
    }
}

bool oz_ledger_is_full(const struct oz_ledger *ledger)
{
    size_t full = OZ_MIN(ledger->record_bytes_max / 4, (size_t)OZ_LEDGER_BYTES_FULL);
    return ledger->batches.len + ledger->now.len >= full;
}

/* ---- the record */

enum oz_status oz_ledger_seal(struct oz_ledger *ledger, uint64_t epoch, size_t n_parts,
                              struct oz_buf *ret_record, struct oz_error *err)
{
    struct oz_json json;
    size_t bytes = ledger->batches.len + ledger->now.len + ledger->tail.len + REST_BYTES +
                   (size_t)ledger->prg->plan->n_entities * ledger->n_partitions * OFFSET_BYTES;
    bool cut = bytes > ledger->record_bytes_max;
    OZ_TRY(oz_buf_status(&ledger->batches, err));
    OZ_TRY(oz_buf_status(&ledger->now, err));
    oz_buf_reset(ret_record);
    oz_json_init(&json, ret_record);
    oz_json_open(&json, '{');
    oz_json_key(&json, "v");
    oz_json_i64(&json, 1);
    oz_json_key(&json, "epoch");
    oz_json_i64(&json, (int64_t)epoch);
    oz_buf_put(ret_record, ledger->tail.data, ledger->tail.len);
    oz_json_key(&json, "batches");
    oz_json_open(&json, '[');
    oz_buf_put(ret_record, ledger->batches.data, cut ? 0 : ledger->batches.len);
    oz_json_close(&json, ']');
    oz_json_key(&json, "scores");
    oz_json_i64(&json, (int64_t)ledger->n_scores);
    oz_json_key(&json, "alerts");
    oz_json_i64(&json, (int64_t)ledger->n_alerts);
    oz_json_key(&json, "dead");
    oz_json_i64(&json, (int64_t)ledger->n_dead);
    oz_json_key(&json, "now");
    oz_json_open(&json, '[');
    oz_buf_put(ret_record, ledger->now.data, cut ? 0 : ledger->now.len);
    oz_json_close(&json, ']');
    oz_json_key(&json, "parts");
    oz_json_i64(&json, (int64_t)n_parts);
    if (cut) {
        oz_json_key(&json, "cut");
        oz_json_boolean(&json, true);
    }
    forget(ledger);
    return oz_buf_status(ret_record, err);
}

enum oz_status oz_ledger_close(const struct oz_program *program, struct oz_buf *record,
                               uint64_t after, const struct oz_ledger_ends *ends,
                               struct oz_error *err)
{
    struct oz_json json;
    oz_json_init(&json, record);
    json.comma = true;
    oz_json_key(&json, "after");
    oz_json_i64(&json, (int64_t)after);
    if (ends && ends->epoch) {
        oz_json_key(&json, "changelog");
        oz_json_open(&json, '{');
        oz_json_key(&json, "epoch");
        oz_json_i64(&json, (int64_t)ends->epoch);
        oz_json_key(&json, "ends");
        oz_json_open(&json, '{');
        for (uint32_t e = 0; e < ends->pos.n_entities; e++) {
            oz_json_key(&json, program->plan->entity[e].name);
            oz_json_open(&json, '[');
            for (uint32_t p = 0; p < ends->pos.n_partitions; p++)
                oz_json_i64(&json, ends->pos.changelog[(size_t)p * ends->pos.n_entities + e]);
            oz_json_close(&json, ']');
        }
        oz_json_close(&json, '}');
        oz_json_close(&json, '}');
    }
    oz_json_close(&json, '}');
    return oz_buf_status(record, err);
}
