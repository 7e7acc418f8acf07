#include "pipelines/run/ledger_survey.h"

#include <stdio.h>

#include "base/progress.h"

/* What is remembered of an instance while the ledger is read. */
struct seen {
    uint64_t first, last, parts;
    uint64_t ends_epoch, ends_parts;
    int64_t *ends;
};

struct survey {
    const struct oz_program *prg;
    uint32_t n_partitions;
    const struct oz_ledger_wanted *wanted;
    struct oz_ledger_survey *out;
    struct oz_ledger_record rec;
    struct seen *seen; /* [out->n_instances] */
    size_t cap_seen, n_ends;
    bool found;
};

void oz_ledger_survey_clear(struct oz_ledger_survey *survey)
{
    oz_ledger_record_clear(&survey->target);
    oz_free(survey->first);
    oz_free(survey->ends);
    oz_free(survey->instance);
    oz_free(survey->thrown);
    memset(survey, 0, sizeof *survey);
}

static size_t find_instance(const struct oz_ledger_survey *out, const char *name)
{
    size_t i = 0;
    while (i < out->n_instances && strcmp(out->instance[i], name) != 0) i++;
    return i;
}

static enum oz_status instance_of(struct survey *sv, size_t *ret_i, struct oz_error *err)
{
    struct oz_ledger_survey *out = sv->out;
    const struct oz_ledger_record *rec = &sv->rec;
    size_t i = find_instance(out, rec->instance);
    *ret_i = i;
    if (i < out->n_instances) return OZ_OK;
    OZ_TRY(
        oz_grow((void **)&out->instance, &out->cap_instances, i + 1, sizeof *out->instance, err));
    OZ_TRY(oz_grow((void **)&sv->seen, &sv->cap_seen, i + 1, sizeof *sv->seen, err));
    sv->seen[i] = (struct seen){.first = rec->epoch,
                                .ends = oz_calloc(sv->n_ends + 1, sizeof *sv->seen[i].ends)};
    if (!sv->seen[i].ends) return oz_no_memory(err);
    memcpy(out->instance[i], rec->instance, sizeof rec->instance);
    out->n_instances = i + 1;
    if (rec->after && out->is_whole) {
        out->is_whole = false;
        memcpy(out->cut_off, rec->instance, sizeof rec->instance);
        out->cut_off_at = rec->epoch;
    }
    return OZ_OK;
}

static bool is_wanted(const struct survey *sv)
{
    const struct oz_ledger_wanted *w = sv->wanted;
    const struct oz_ledger_record *rec = &sv->rec;
    if (w->epoch) return rec->epoch == w->epoch && !strcmp(rec->instance, w->instance);
    for (size_t i = 0; i < rec->n_ranges; i++) {
        const struct oz_ledger_range *r = &rec->range[i];
        if (r->source == w->source && r->partition == w->partition && w->offset >= r->from &&
            w->offset < r->to)
            return true;
    }
    return false;
}

/* The record becomes the target; what is parsed next has arrays of its own. */
static enum oz_status take_target(struct survey *sv, const struct seen *seen, uint32_t partition,
                                  int64_t offset, struct oz_error *err)
{
    struct oz_ledger_survey *out = sv->out;
    oz_ledger_record_clear(&out->target);
    out->target = sv->rec;
    memset(&sv->rec, 0, sizeof sv->rec);
    out->target_partition = partition;
    out->target_offset = offset;
    out->ends_epoch = seen->ends_epoch;
    out->ends_parts = seen->ends_parts;
    if (!out->ends && !(out->ends = oz_calloc(sv->n_ends + 1, sizeof *out->ends)))
        return oz_no_memory(err);
    memcpy(out->ends, seen->ends, sv->n_ends * sizeof *out->ends);
    sv->found = true;
    return OZ_OK;
}

static void note_first(struct survey *sv)
{
    for (size_t i = 0; i < sv->rec.n_ranges; i++) {
        const struct oz_ledger_range *r = &sv->rec.range[i];
        int64_t *first =
            &sv->out->first[(size_t)r->partition * sv->prg->plan->n_sources + r->source];
        if (*first < 0 || r->from < *first) *first = r->from;
    }
}

static enum oz_status take(struct survey *sv, uint32_t partition, int64_t offset,
                           struct oz_error *err)
{
    struct oz_ledger_survey *out = sv->out;
    size_t i;
    OZ_TRY(instance_of(sv, &i, err));
    struct seen *seen = &sv->seen[i];
    const struct oz_ledger_record *rec = &sv->rec;
    /* The ends were asked for right behind the epoch that this one goes on from. */
    if (rec->ends_epoch && rec->ends_epoch == rec->after) {
        seen->ends_epoch = rec->ends_epoch;
        seen->ends_parts = seen->parts;
        memcpy(seen->ends, rec->ends, sv->n_ends * sizeof *seen->ends);
    }
    seen->parts += rec->n_parts;
    seen->last = rec->epoch;
    if (rec->epoch > rec->after + 1) {
        OZ_TRY(oz_grow((void **)&out->thrown, &out->cap_thrown, out->n_thrown + 1,
                       sizeof *out->thrown, err));
        out->thrown[out->n_thrown++] =
            (struct oz_ledger_thrown){(uint32_t)i, offset, rec->after, rec->epoch};
    }
    note_first(sv);
    return is_wanted(sv) ? take_target(sv, seen, partition, offset, err) : OZ_OK;
}

static enum oz_status not_there(const struct survey *sv, struct oz_error *err)
{
    const struct oz_ledger_wanted *w = sv->wanted;
    const struct oz_ledger_survey *out = sv->out;
    if (!w->epoch)
        OZ_FAIL(
            err, OZ_ENVIRONMENT,
            "no epoch of the ledger has read offset %lld of partition %u: it is not scored yet, "
            "or the ledger was begun later",
            (long long)w->offset, w->partition);
    size_t i = find_instance(out, w->instance);
    if (i == out->n_instances)
        OZ_FAIL(err, OZ_ENVIRONMENT,
                "the ledger has no epoch of the instance %s%s%s: name one with --instance",
                w->instance, out->n_instances ? ", but of " : "",
                out->n_instances ? out->instance[0] : "");
    const struct seen *seen = &sv->seen[i];
    if (w->epoch < seen->first)
        OZ_FAIL(err, OZ_LOST,
                "the ledger of %s begins with epoch %llu: its retention has removed "
                "what was before",
                w->instance, (unsigned long long)seen->first);
    OZ_FAIL(err, OZ_ENVIRONMENT, "the ledger of %s has epochs %llu to %llu, and not %llu%s",
            w->instance, (unsigned long long)seen->first, (unsigned long long)seen->last,
            (unsigned long long)w->epoch,
            w->epoch < seen->last ? ": an epoch of this number was aborted" : "");
}

static enum oz_status read_partition(struct survey *sv, struct oz_kafka_log *log, uint32_t p,
                                     int64_t begin, int64_t end, struct oz_progress *progress,
                                     struct oz_error *err)
{
    bool found = true;
    uint64_t n = 0;
    oz_kafka_log_seek(log, 0, p, begin);
    while (found) {
        struct oz_record r;
        OZ_TRY(oz_kafka_log_next(log, 0, p, end, &r, &found, err));
        if (!found) break;
        int64_t offset = r.offset;
        enum oz_status status = oz_ledger_record_parse(
            sv->prg, sv->n_partitions, (const uint8_t *)r.value, r.value_len, &sv->rec, err);
        oz_kafka_log_release(log, &r, 1);
        if (status != OZ_OK) {
            oz_error_prefix(err, "the ledger, partition %u, offset %lld", p, (long long)offset);
            return status;
        }
        OZ_TRY(take(sv, p, offset, err));
        n++;
        oz_progress_set(progress, progress->done + 1);
        if (sv->found && sv->out->target_partition == p && sv->out->target_offset == offset)
            sv->out->n_before = n;
    }
    return OZ_OK;
}

enum oz_status oz_ledger_survey(const struct oz_program *program, uint32_t n_partitions,
                                struct oz_kafka_log *log, const int64_t *begin, const int64_t *end,
                                const struct oz_ledger_wanted *wanted,
                                struct oz_ledger_survey *ret_survey, struct oz_error *err)
{
    struct oz_ledger_survey *out = ret_survey;
    struct survey sv = {.prg = program,
                        .n_partitions = n_partitions,
                        .wanted = wanted,
                        .out = out,
                        .n_ends = (size_t)n_partitions * program->plan->n_entities};
    size_t n_lanes = (size_t)n_partitions * program->plan->n_sources;
    struct oz_progress progress;
    uint64_t total = 0;
    enum oz_status status = OZ_OK;
    memset(out, 0, sizeof *out);
    out->is_whole = true;
    out->first = oz_malloc(n_lanes * sizeof *out->first);
    if (!out->first) return oz_no_memory(err);
    for (size_t i = 0; i < n_lanes; i++) out->first[i] = -1;
    for (uint32_t p = 0; p < n_partitions; p++) total += (uint64_t)(end[p] - begin[p]);
    oz_progress_init(&progress, "reading the ledger", total, "records");
    for (uint32_t p = 0; p < n_partitions && status == OZ_OK; p++)
        status = read_partition(&sv, log, p, begin[p], end[p], &progress, err);
    oz_progress_done(&progress);
    if (status == OZ_OK && !sv.found) status = not_there(&sv, err);
    for (size_t i = 0; i < out->n_instances; i++) oz_free(sv.seen[i].ends);
    oz_free(sv.seen);
    oz_ledger_record_clear(&sv.rec);
    return status;
}

bool oz_ledger_is_thrown(const struct oz_ledger_survey *survey,
                         const struct oz_ledger_record *record)
{
    if (strcmp(record->instance, survey->target.instance) != 0) return false;
    size_t mine = find_instance(survey, record->instance);
    for (size_t i = 0; i < survey->n_thrown; i++) {
        const struct oz_ledger_thrown *t = &survey->thrown[i];
        if (t->instance == mine && t->known_at <= survey->target_offset &&
            record->epoch > t->after && record->epoch < t->behind)
            return true;
    }
    return false;
}
