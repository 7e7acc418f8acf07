#include "pipelines/run/recompute.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/log.h"
#include "base/number.h"
#include "base/progress.h"
#include "pipelines/run/answers.h"
#include "pipelines/run/ledger_survey.h"
#include "pipelines/run/outputs.h"
#include "pipelines/run/recompute_batch.h"
#include "pipelines/run/recompute_rows.h"

enum { SCORES, ALERTS }; /* numbers of topics in an outbox */

/* The next record of one partition of the ledger. */
struct head {
    struct oz_ledger_record rec;
    int64_t offset;
    bool is_there, is_at_end;
};

struct recompute {
    const struct oz_recompute_config *config;
    struct oz_program *prg;
    const struct oz_pipeline *pl;
    struct oz_kafka_config client;
    uint32_t n_partitions, n_sources, n_entities;
    bool exactly_once;
    struct oz_answers_topic scores, alerts;
    struct oz_kafka_log *ledger, *sources, *changelogs;
    int64_t *ledger_begin, *ledger_end; /* [n_partitions] */
    int64_t *source_begin, *source_end; /* [n_partitions x n_sources] */
    struct oz_ledger_survey survey;
    struct head *head; /* [n_partitions] */
    char temp_dir[4096];
    struct oz_store *store;
    struct oz_engine *engine;
    struct oz_outputs *quiet, *loud;
    struct oz_outbox box;
    struct oz_sealed *sealed;
    struct oz_recompute_rows rows;
    struct oz_recompute_batch batch;
    int64_t *next, *stamp; /* [n_partitions x n_sources]; next -1: not known */
    int64_t n_stamps;
    struct oz_answers score, alert;
    uint64_t n_scores, n_alerts; /* of the target, all of it */
    uint64_t n_other_config;
    struct oz_recompute_result result;
};

/* ---- what is asked for, and what is there */

static enum oz_status wanted_of(const struct recompute *rc, struct oz_ledger_wanted *ret_wanted,
                                struct oz_error *err)
{
    const struct oz_recompute_config *config = rc->config;
    const char *id = config->id;
    uint32_t s = (uint32_t)rc->pl->scored_source;
    *ret_wanted = (struct oz_ledger_wanted){
        .instance = config->instance, .epoch = config->epoch, .source = s};
    if (!id) return OZ_OK;
    const char *topic = rc->pl->source[s].topic;
    size_t name = strlen(rc->pl->name), len = strlen(topic);
    int64_t partition, offset;
    if (strncmp(id, rc->pl->name, name) != 0 || id[name] != '/' ||
        strncmp(id + name + 1, topic, len) != 0 || id[name + 1 + len] != '/')
        OZ_FAIL(err, OZ_USAGE, "--id %s: ids of this pipeline begin with %s/%s/", id, rc->pl->name,
                topic);
    const char *at = id + name + len + 2;
    size_t n = strcspn(at, "/"), m = at[n] ? strcspn(at + n + 1, "/") : 0;
    if (!m || !oz_parse_i64(at, n, &partition) || !oz_parse_i64(at + n + 1, m, &offset) ||
        partition < 0 || partition >= rc->n_partitions || offset < 0)
        OZ_FAIL(err, OZ_USAGE, "--id %s: behind the topic come a partition below %u and an offset",
                id, rc->n_partitions);
    ret_wanted->partition = (uint32_t)partition;
    ret_wanted->offset = offset;
    return OZ_OK;
}

static enum oz_status look_at_topics(struct recompute *rc, struct oz_error *err)
{
    struct oz_topic_info topic[OZ_SOURCES_MAX + OZ_ENTITIES_MAX + 3];
    size_t n = 0;
    for (uint32_t s = 0; s < rc->n_sources; s++) topic[n++].name = rc->pl->source[s].topic;
    for (uint32_t e = 0; e < rc->n_entities; e++)
        topic[n++].name = oz_program_changelog(rc->prg, e);
    topic[n++].name = oz_program_ledger(rc->prg);
    size_t n_alike = n, scores = n;
    if (rc->config->scores_topic) topic[n++].name = rc->config->scores_topic;
    size_t alerts = n;
    if (rc->config->alerts_topic) topic[n++].name = rc->config->alerts_topic;
    for (size_t i = 0; i < n; i++)
        if (!topic[i].name) return oz_no_memory(err);
    OZ_TRY(oz_kafka_topics(&rc->client, topic, n, OZ_TOPIC_MAY_BE, rc->config->broker_wait_us,
                           rc->config->stop, err));
    for (size_t i = 0; i < n; i++)
        if (!topic[i].n_partitions)
            OZ_FAIL(err, OZ_ENVIRONMENT, "the topic `%s` does not exist: nothing can be recomputed",
                    topic[i].name);
    rc->n_partitions = topic[rc->pl->scored_source].n_partitions;
    for (size_t i = 0; i < n_alike; i++)
        if (topic[i].n_partitions != rc->n_partitions)
            OZ_FAIL(err, OZ_ENVIRONMENT, "the topic `%s` has %u partitions and `%s` has %u",
                    topic[i].name, topic[i].n_partitions, topic[rc->pl->scored_source].name,
                    rc->n_partitions);
    if (scores < alerts)
        rc->scores = (struct oz_answers_topic){topic[scores].name, topic[scores].n_partitions};
    if (alerts < n)
        rc->alerts = (struct oz_answers_topic){topic[alerts].name, topic[alerts].n_partitions};
    return OZ_OK;
}

static enum oz_status open_topics(struct recompute *rc, struct oz_error *err)
{
    const char *name[OZ_SOURCES_MAX], *ledger = oz_program_ledger(rc->prg);
    size_t n_lanes = (size_t)rc->n_partitions * rc->n_sources;
    if (!ledger) return oz_no_memory(err);
    for (uint32_t s = 0; s < rc->n_sources; s++) name[s] = rc->pl->source[s].topic;
    rc->ledger_begin = oz_calloc(rc->n_partitions, sizeof *rc->ledger_begin);
    rc->ledger_end = oz_calloc(rc->n_partitions, sizeof *rc->ledger_end);
    rc->source_begin = oz_calloc(n_lanes, sizeof *rc->source_begin);
    rc->source_end = oz_calloc(n_lanes, sizeof *rc->source_end);
    rc->next = oz_calloc(n_lanes, sizeof *rc->next);
    rc->stamp = oz_calloc(n_lanes, sizeof *rc->stamp);
    rc->head = oz_calloc(rc->n_partitions, sizeof *rc->head);
    if (!rc->ledger_begin || !rc->ledger_end || !rc->source_begin || !rc->source_end || !rc->next ||
        !rc->stamp || !rc->head)
        return oz_no_memory(err);
    for (size_t i = 0; i < n_lanes; i++) rc->next[i] = -1;
    OZ_TRY(oz_kafka_log_open(&rc->client, &ledger, 1, rc->n_partitions, rc->exactly_once,
                             rc->config->stop, &rc->ledger, err));
    OZ_TRY(oz_kafka_log_bounds(rc->ledger, rc->ledger_begin, rc->ledger_end, err));
    OZ_TRY(oz_kafka_log_open(&rc->client, name, rc->n_sources, rc->n_partitions, rc->exactly_once,
                             rc->config->stop, &rc->sources, err));
    return oz_kafka_log_bounds(rc->sources, rc->source_begin, rc->source_end, err);
}

static enum oz_status check_definition(const struct recompute *rc, struct oz_error *err)
{
    const struct oz_ledger_record *rec = &rc->survey.target;
    const struct oz_program *prg = rc->prg;
    for (uint32_t m = 0; m < OZ_MAX(prg->n_models, rec->n_models); m++) {
        if (m < prg->n_models && m < rec->n_models &&
            !strcmp(prg->model[m].name, rec->model[m].name) &&
            !strcmp(prg->model[m].info->sha256, rec->model[m].sha256))
            continue;
        OZ_FAIL(err, OZ_FOUND,
                "epoch %llu of %s was scored by the model %s %.16s, and this pipeline has %s "
                "%.16s: give it the model of then",
                (unsigned long long)rec->epoch, rec->instance,
                m < rec->n_models ? rec->model[m].name : "(none)",
                m < rec->n_models ? rec->model[m].sha256 : "",
                m < prg->n_models ? prg->model[m].name : "(none)",
                m < prg->n_models ? prg->model[m].info->sha256 : "");
    }
    if (strcmp(rec->config, rc->pl->config_sha256) != 0)
        OZ_FAIL(err, OZ_FOUND,
                "epoch %llu of %s ran with another pipeline file: its config was %.16s, this one's "
                "is %.16s: give the file of then",
                (unsigned long long)rec->epoch, rec->instance, rec->config, rc->pl->config_sha256);
    return OZ_OK;
}

/* ---- where the rows come from */

/* OZ_LOST says why not. */
static enum oz_status check_sources(const struct recompute *rc, struct oz_error *err)
{
    const struct oz_ledger_survey *sv = &rc->survey;
    if (!sv->is_whole)
        OZ_FAIL(err, OZ_LOST, "the ledger of %s begins with epoch %llu, and not with its first",
                sv->cut_off, (unsigned long long)sv->cut_off_at);
    for (size_t i = 0; i < (size_t)rc->n_partitions * rc->n_sources; i++)
        if (sv->first[i] >= 0 && sv->first[i] < rc->source_begin[i])
            OZ_FAIL(err, OZ_LOST,
                    "the topic `%s` partition %u begins at offset %lld now, and the first epoch "
                    "read it from %lld: its retention has removed what was before",
                    rc->pl->source[i % rc->n_sources].topic, (unsigned)(i / rc->n_sources),
                    (long long)rc->source_begin[i], (long long)sv->first[i]);
    return OZ_OK;
}

static enum oz_status load_rows(struct recompute *rc, struct oz_error *err)
{
    const struct oz_ledger_survey *sv = &rc->survey;
    const char *name[OZ_ENTITIES_MAX];
    for (uint32_t e = 0; e < rc->n_entities; e++)
        if (!(name[e] = oz_program_changelog(rc->prg, e))) return oz_no_memory(err);
    if (rc->n_entities) {
        OZ_TRY(oz_kafka_log_open(&rc->client, name, rc->n_entities, rc->n_partitions, true,
                                 rc->config->stop, &rc->changelogs, err));
        OZ_TRY(oz_recompute_rows_load(rc->prg, rc->n_partitions, rc->changelogs, sv->ends,
                                      sv->is_whole ? sv->ends_parts : 0, rc->store, &rc->rows,
                                      err));
    }
    rc->result.from_epoch = sv->ends_epoch;
    oz_info("rows as of epoch %llu: %llu parts from the changelogs, %s",
            (unsigned long long)sv->ends_epoch, (unsigned long long)rc->rows.n_parts,
            rc->rows.is_whole ? "all that its epochs wrote"
                              : "which were compacted; rows with later records only are not used");
    return OZ_OK;
}

/* The sources if they reach back, else the changelogs if the ledger says up to where. */
static enum oz_status make_rows(struct recompute *rc, struct oz_error *err)
{
    struct oz_error why = {0};
    const struct oz_ledger_survey *sv = &rc->survey;
    enum oz_status status = OZ_LOST;
    if (!rc->config->from_changelog)
        status = check_sources(rc, &why);
    else
        oz_error_set(&why, OZ_LOST, "--from-changelog");
    if (status == OZ_OK) return OZ_OK;
    const char *but = !rc->exactly_once     ? "at least once, a changelog has what was thrown away"
                      : sv->n_instances > 1 ? "several instances wrote them"
                      : !sv->ends_epoch     ? "the ledger does not say where they ended before"
                                            : NULL;
    if (but)
        OZ_FAIL(err, OZ_LOST,
                "the rows before epoch %llu of %s cannot be rebuilt: not from the source topics "
                "(%s), and not from the changelogs (%s)",
                (unsigned long long)sv->target.epoch, sv->target.instance, why.message, but);
    oz_info("rows are taken from the changelogs: %s", why.message);
    return load_rows(rc, err);
}

static enum oz_status open_engine(struct recompute *rc, struct oz_error *err)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(rc->temp_dir, sizeof rc->temp_dir, "%s/ouzel-replay-XXXXXX",
             tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(rc->temp_dir)) {
        rc->temp_dir[0] = 0;
        OZ_FAIL(err, OZ_ENVIRONMENT, "cannot make a folder in %s: %s", tmp && *tmp ? tmp : "/tmp",
                strerror(errno));
    }
    OZ_TRY(oz_engine_open(rc->prg, rc->temp_dir, rc->n_partitions, false, &rc->store, &rc->engine,
                          err));
    uint32_t n = oz_engine_n_workers(rc->engine);
    struct oz_outputs_config config = {.program = rc->prg, .engine = rc->engine};
    OZ_TRY(oz_outputs_new(&config, &rc->quiet, err));
    if (rc->pl->scores_topic) config.scores = (struct oz_output_topic){SCORES, 1};
    if (rc->pl->alerts_topic) config.alerts = (struct oz_output_topic){ALERTS, 1};
    OZ_TRY(oz_outputs_new(&config, &rc->loud, err));
    OZ_TRY(oz_outbox_init(&rc->box, n, err));
    rc->sealed = oz_calloc(n, sizeof *rc->sealed);
    if (!rc->sealed) return oz_no_memory(err);
    for (uint32_t w = 0; w < n; w++) oz_sealed_init(&rc->sealed[w]);
    return oz_recompute_batch_init(&rc->batch, rc->prg, err);
}

/* ---- the epochs */

/* Changed rows go to the store when the memory for them is short. */
static enum oz_status spill(struct recompute *rc, struct oz_error *err)
{
    size_t parts;
    const struct oz_sealed *sealed[OZ_WORKERS_MAX];
    uint64_t epoch = oz_engine_epoch(rc->engine);
    uint32_t n = oz_engine_n_workers(rc->engine);
    OZ_TRY(oz_engine_seal(rc->engine, rc->sealed, &parts, err));
    for (uint32_t w = 0; w < n; w++) sealed[w] = &rc->sealed[w];
    OZ_TRY(oz_store_write(rc->store, sealed, n, NULL, err));
    oz_engine_stored(rc->engine, epoch);
    return OZ_OK;
}

static enum oz_status collect(struct recompute *rc, const struct oz_record *record, size_t n,
                              struct oz_error *err)
{
    const struct oz_answers_scope scope = {rc->prg, &rc->survey.target, rc->config->id};
    for (size_t i = 0; i < n; i++) {
        if (record[i].source != rc->pl->scored_source) continue;
        rc->score.first_ms = OZ_MIN(rc->score.first_ms, record[i].timestamp_ms);
        rc->alert.first_ms = OZ_MIN(rc->alert.first_ms, record[i].timestamp_ms);
    }
    for (uint32_t w = 0; w < rc->box.n_parts; w++) {
        rc->n_scores += rc->box.part[w].n_scores;
        rc->n_alerts += rc->box.part[w].n_alerts;
    }
    OZ_TRY(oz_answers_add(&rc->score, &scope, &rc->box, SCORES, err));
    return oz_answers_add(&rc->alert, &scope, &rc->box, ALERTS, err);
}

/* In pieces of batch.rows, which may be smaller than it was then. */
static enum oz_status run_batch(struct recompute *rc, int64_t now_us, bool is_target,
                                struct oz_error *err)
{
    struct oz_recompute_batch *b = &rc->batch;
    for (size_t at = 0; at < b->n; at += rc->pl->batch_rows) {
        size_t n = OZ_MIN(b->n - at, (size_t)rc->pl->batch_rows);
        struct oz_batch *bat;
        OZ_TRY(oz_engine_batch(rc->engine, b->record + at, n, &now_us, &bat, err));
        OZ_TRY(oz_recompute_rows_check(&rc->rows, rc->prg, bat, err));
        OZ_TRY(oz_outputs_make(is_target ? rc->loud : rc->quiet, bat, &rc->box, err));
        if (is_target) OZ_TRY(collect(rc, b->record + at, n, err));
        if (oz_engine_wants_seal(rc->engine)) OZ_TRY(spill(rc, err));
    }
    return OZ_OK;
}

static enum oz_status check_kept(const struct recompute *rc, const struct oz_ledger_record *rec,
                                 struct oz_error *err)
{
    for (size_t i = 0; i < rec->n_ranges; i++) {
        const struct oz_ledger_range *r = &rec->range[i];
        int64_t begin = rc->source_begin[(size_t)r->partition * rc->n_sources + r->source];
        int64_t end = rc->source_end[(size_t)r->partition * rc->n_sources + r->source];
        if (r->from >= begin && r->to <= end) continue;
        OZ_FAIL(err, OZ_LOST,
                "epoch %llu of %s read offsets %lld to %lld of `%s` partition %u, and the topic "
                "has %lld to %lld",
                (unsigned long long)rec->epoch, rec->instance, (long long)r->from,
                (long long)r->to - 1, rc->pl->source[r->source].topic, r->partition,
                (long long)begin, (long long)end - 1);
    }
    return OZ_OK;
}

static enum oz_status run_epoch(struct recompute *rc, const struct oz_ledger_record *rec,
                                bool is_target, struct oz_error *err)
{
    if (rec->cut)
        OZ_FAIL(err, OZ_LOST,
                "the ledger has no batches of epoch %llu of %s: they were too many for one record "
                "(message.max.bytes)",
                (unsigned long long)rec->epoch, rec->instance);
    OZ_TRY(check_kept(rc, rec, err));
    rc->n_other_config += strcmp(rec->config, rc->pl->config_sha256) != 0;
    for (size_t b = 0; b < rec->n_batches; b++) {
        const struct oz_ledger_span *span = &rec->batch[b];
        OZ_TRY(oz_recompute_batch_read(&rc->batch, rc->sources, rec->range + span->first, span->n,
                                       err));
        enum oz_status status = run_batch(rc, span->now_us, is_target, err);
        oz_recompute_batch_release(&rc->batch, rc->sources);
        OZ_TRY(status);
    }
    return OZ_OK;
}

/* True when each partition is read on from just where the epochs before it ended. */
static bool goes_on(struct recompute *rc, const struct oz_ledger_record *rec,
                    const struct oz_ledger_range **ret_gap)
{
    rc->n_stamps++;
    for (size_t i = 0; i < rec->n_ranges; i++) {
        const struct oz_ledger_range *r = &rec->range[i];
        size_t lane = (size_t)r->partition * rc->n_sources + r->source;
        bool is_first = rc->stamp[lane] != rc->n_stamps;
        rc->stamp[lane] = rc->n_stamps;
        if (!is_first || rc->next[lane] < 0 || rc->next[lane] == r->from) continue;
        *ret_gap = r;
        return false;
    }
    return true;
}

static void move_on(struct recompute *rc, const struct oz_ledger_record *rec)
{
    for (size_t i = 0; i < rec->n_ranges; i++)
        rc->next[(size_t)rec->range[i].partition * rc->n_sources + rec->range[i].source] =
            rec->range[i].to;
}

static enum oz_status next_head(struct recompute *rc, uint32_t p, struct oz_error *err)
{
    struct head *head = &rc->head[p];
    while (!head->is_there && !head->is_at_end) {
        struct oz_record r;
        bool found;
        OZ_TRY(oz_kafka_log_next(rc->ledger, 0, p, rc->ledger_end[p], &r, &found, err));
        head->is_at_end = !found;
        if (!found) break;
        head->offset = r.offset;
        enum oz_status status = oz_ledger_record_parse(
            rc->prg, rc->n_partitions, (const uint8_t *)r.value, r.value_len, &head->rec, err);
        oz_kafka_log_release(rc->ledger, &r, 1);
        OZ_TRY(status);
        head->is_there = !oz_ledger_is_thrown(&rc->survey, &head->rec);
    }
    return OZ_OK;
}

static enum oz_status no_next(const struct recompute *rc, const struct oz_ledger_record *rec,
                              const struct oz_ledger_range *gap, struct oz_error *err)
{
    if (!rec || !gap) OZ_FAIL(err, OZ_DEFECT, "the ledger ended before the epoch");
    OZ_FAIL(
        err, OZ_LOST,
        "the ledger has a gap: epoch %llu of %s read `%s` partition %u from offset %lld on, and "
        "the epochs before it ended at %lld",
        (unsigned long long)rec->epoch, rec->instance, rc->pl->source[gap->source].topic,
        gap->partition, (long long)gap->from,
        (long long)rc->next[(size_t)gap->partition * rc->n_sources + gap->source]);
}

/* An epoch may be run when those that it goes on from have been: of several instances, each
 * partition's own order says which. The target's comes first where it may. */
static enum oz_status pick(struct recompute *rc, uint32_t *ret_p, struct oz_error *err)
{
    const struct oz_ledger_range *gap = NULL;
    const struct oz_ledger_record *held = NULL;
    for (uint32_t i = 0; i < rc->n_partitions; i++) {
        uint32_t p = (rc->survey.target_partition + i) % rc->n_partitions;
        OZ_TRY(next_head(rc, p, err));
        if (!rc->head[p].is_there) continue;
        *ret_p = p;
        if (goes_on(rc, &rc->head[p].rec, &gap)) return OZ_OK;
        held = &rc->head[p].rec;
    }
    return no_next(rc, held, gap, err);
}

static enum oz_status run_epochs(struct recompute *rc, struct oz_error *err)
{
    const struct oz_ledger_survey *sv = &rc->survey;
    struct oz_progress progress;
    enum oz_status status = OZ_OK;
    bool done = false;
    for (uint32_t p = 0; p < rc->n_partitions; p++)
        oz_kafka_log_seek(rc->ledger, 0, p, rc->ledger_begin[p]);
    oz_progress_init(&progress, "recomputing", sv->n_before, "epochs");
    while (!done && status == OZ_OK) {
        uint32_t p = 0;
        OZ_TRY_OUT(pick(rc, &p, err));
        struct head *head = &rc->head[p];
        done = p == sv->target_partition && head->offset == sv->target_offset;
        /* Up to the epoch that the rows were taken as of there is nothing to do. */
        bool is_in = head->rec.epoch <= rc->result.from_epoch;
        if (!is_in) status = run_epoch(rc, &head->rec, done, err);
        rc->result.n_epochs_before += !is_in && !done;
        move_on(rc, &head->rec);
        head->is_there = false;
        oz_progress_set(&progress, progress.done + (p == sv->target_partition));
    }
out:
    oz_progress_done(&progress);
    return status;
}

/* ---- the whole */

static enum oz_status compare(struct recompute *rc, struct oz_error *err)
{
    const struct oz_ledger_record *target = &rc->survey.target;
    const struct oz_answers_scope scope = {rc->prg, target, rc->config->id};
    const struct oz_recompute_config *config = rc->config;
    uint64_t *n = &rc->result.n_differences;
    if (rc->n_scores != target->n_scores || rc->n_alerts != target->n_alerts) {
        fprintf(config->out,
                "the ledger counts %llu scores and %llu alerts, recomputed %llu and %llu\n",
                (unsigned long long)target->n_scores, (unsigned long long)target->n_alerts,
                (unsigned long long)rc->n_scores, (unsigned long long)rc->n_alerts);
        ++*n;
    }
    if (config->id && !rc->score.n && !rc->alert.n)
        OZ_FAIL(err, OZ_FOUND, "%s: epoch %llu of %s read this event and has no such answer",
                config->id, (unsigned long long)target->epoch, target->instance);
    if (rc->scores.name)
        OZ_TRY(oz_answers_compare(&rc->score, &scope, &rc->client, &rc->scores, rc->exactly_once,
                                  config->stop, config->out, n, err));
    if (rc->alerts.name)
        OZ_TRY(oz_answers_compare(&rc->alert, &scope, &rc->client, &rc->alerts, rc->exactly_once,
                                  config->stop, config->out, n, err));
    rc->result.n_scores = rc->score.n;
    rc->result.n_alerts = rc->alert.n;
    if (*n && rc->n_other_config)
        oz_warn("%llu of the epochs before ran with another pipeline file: their rows may be "
                "others than this file makes",
                (unsigned long long)rc->n_other_config);
    return OZ_OK;
}

static enum oz_status recompute(struct recompute *rc, struct oz_error *err)
{
    struct oz_ledger_wanted wanted;
    OZ_TRY(oz_program_client(rc->prg, rc->pl->name, &rc->client, err));
    OZ_TRY(look_at_topics(rc, err));
    OZ_TRY(wanted_of(rc, &wanted, err));
    OZ_TRY(open_topics(rc, err));
    OZ_TRY(oz_ledger_survey(rc->prg, rc->n_partitions, rc->ledger, rc->ledger_begin, rc->ledger_end,
                            &wanted, &rc->survey, err));
    rc->result.epoch = rc->survey.target.epoch;
    memcpy(rc->result.instance, rc->survey.target.instance, sizeof rc->result.instance);
    OZ_TRY(check_definition(rc, err));
    OZ_TRY(open_engine(rc, err));
    OZ_TRY(make_rows(rc, err));
    OZ_TRY(run_epochs(rc, err));
    return compare(rc, err);
}

static void close_all(struct recompute *rc)
{
    oz_recompute_batch_clear(&rc->batch, rc->sources);
    oz_recompute_rows_clear(&rc->rows);
    oz_answers_clear(&rc->score);
    oz_answers_clear(&rc->alert);
    for (uint32_t p = 0; rc->head && p < rc->n_partitions; p++)
        oz_ledger_record_clear(&rc->head[p].rec);
    oz_kafka_log_close(rc->ledger);
    oz_kafka_log_close(rc->sources);
    oz_kafka_log_close(rc->changelogs);
    for (uint32_t w = 0; rc->sealed && w < oz_engine_n_workers(rc->engine); w++)
        oz_sealed_clear(&rc->sealed[w]);
    oz_outbox_clear(&rc->box);
    oz_outputs_free(rc->quiet);
    oz_outputs_free(rc->loud);
    oz_engine_free(rc->engine);
    oz_store_close(rc->store);
    oz_ledger_survey_clear(&rc->survey);
    oz_free(rc->ledger_begin);
    oz_free(rc->ledger_end);
    oz_free(rc->source_begin);
    oz_free(rc->source_end);
    oz_free(rc->next);
    oz_free(rc->stamp);
    oz_free(rc->head);
    oz_free(rc->sealed);
    if (rc->temp_dir[0]) oz_folder_remove(rc->temp_dir);
}

enum oz_status oz_recompute(const struct oz_recompute_config *config,
                            struct oz_recompute_result *ret_result, struct oz_error *err)
{
    struct recompute rc = {.config = config, .prg = config->program};
    rc.pl = &rc.prg->pipeline;
    rc.n_sources = (uint32_t)rc.pl->n_sources;
    rc.n_entities = rc.prg->plan->n_entities;
    rc.exactly_once = rc.pl->delivery == OZ_EXACTLY_ONCE;
    oz_answers_init(&rc.score);
    oz_answers_init(&rc.alert);
    enum oz_status status = recompute(&rc, err);
    if (status == OZ_OK) *ret_result = rc.result;
    close_all(&rc);
    return status;
}
