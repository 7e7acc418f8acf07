#include "pipelines/run/resume.h"
#include "base/clock.h"
#include "base/instant.h"
#include "base/log.h"
#include "base/progress.h"
#include "pipelines/run/definition.h"
#include "stream/kafka_log.h"

#define REPLAY_WAIT_US      (90 * OZ_US_PER_SECOND)
#define DELETE_RETENTION_US (23 * OZ_US_PER_HOUR)

struct resume {
    const struct oz_resume_config *config;
    struct oz_progress progress;
    bool progress_on;
    enum oz_status polled; /* what the group said */
    struct oz_error why;
};

static bool keep_going(void *ctx, uint64_t n_done, uint64_t n_left)
{
    struct resume *re = ctx;
    const struct oz_resume_config *config = re->config;
    if (!re->progress_on) {
        oz_progress_init(&re->progress, "reading the changelog", n_done + n_left, "records");
        re->progress_on = true;
    }
    oz_progress_set(&re->progress, n_done);
    if (re->polled == OZ_OK) re->polled = oz_kafka_source_keep_alive(config->source, 0, &re->why);
    return re->polled == OZ_OK && oz_kafka_source_state(config->source) == OZ_SOURCE_OFFERED &&
           !(config->stop && *config->stop);
}

static enum oz_status learn_meta(void *ctx, const char *json, size_t len, struct oz_error *err)
{
    return oz_definition_learn(ctx, json, len, true, err);
}

static enum oz_status meta_text(void *ctx, const char **ret_json, size_t *ret_len,
                                struct oz_error *err)
{
    return oz_definition_meta(ctx, ret_json, ret_len, err);
}

static enum oz_status catch_up(struct resume *re, const struct oz_positions *committed,
                               struct oz_positions *ret_next, struct oz_replay_result *ret_result,
                               struct oz_error *err)
{
    const struct oz_resume_config *config = re->config;
    const struct oz_program *prg = config->program;
    const char *entity_name[OZ_ENTITIES_MAX], *source_name[OZ_SOURCES_MAX];
    for (uint32_t e = 0; e < prg->plan->n_entities; e++) entity_name[e] = prg->plan->entity[e].name;
    for (uint32_t s = 0; s < committed->n_sources; s++)
        source_name[s] = s < prg->plan->n_sources ? prg->schema[s]->name : config->source_topic[s];
    const struct oz_meta_keeper keeper = {prg->definition, learn_meta, meta_text};
    struct oz_replay_options options = {
        .meta = &keeper,
        .exactly_once = config->exactly_once,
        .owned = oz_kafka_source_owned(config->source),
        .source_name = source_name,
        .entity_name = entity_name,
        .wait_us = REPLAY_WAIT_US,
        .delete_retention_us = DELETE_RETENTION_US,
        .progress = keep_going,
        .progress_ctx = re,
    };
    int64_t start_us = oz_monotonic_us();
    enum oz_status status =
        oz_replay(config->store, config->changelog, committed, &options, ret_next, ret_result, err);
    if (re->progress_on) oz_progress_done(&re->progress);
    if (re->polled != OZ_OK) {
        if (err) *err = re->why;
        return re->polled;
    }
    OZ_TRY(status);
    double seconds = (double)(oz_monotonic_us() - start_us) / 1e6;
    if (ret_result->n_rebuilt)
        oz_info("state: %u partitions rebuilt from %llu records of the changelog in %.1f s",
                ret_result->n_rebuilt, (unsigned long long)ret_result->n_records, seconds);
    else if (ret_result->n_records)
        oz_info("state: %llu records of the changelog's tail replayed in %.1f s",
                (unsigned long long)ret_result->n_records, seconds);
    return OZ_OK;
}

/* A new group's first offsets are explicit, and committed with the first epoch: a crash before it
 * begins at the same place. */
static enum oz_status first_offsets(const struct oz_resume_config *config,
                                    struct oz_positions *next, bool *ret_first,
                                    struct oz_error *err)
{
    const struct oz_pipeline *pl = &config->program->pipeline;
    const bool *owned = oz_kafka_source_owned(config->source);
    size_t n = (size_t)next->n_partitions * next->n_sources;
    *ret_first = false;
    for (size_t i = 0; i < n; i++)
        *ret_first |= owned[i / next->n_sources] && next->source[i] == OZ_NO_OFFSET;
    if (!*ret_first) return OZ_OK;
    struct oz_positions at;
    OZ_TRY(oz_positions_init(&at, next->n_partitions, next->n_sources, next->n_entities, err));
    int64_t when = pl->start == OZ_START_EARLIEST ? OZ_KAFKA_EARLIEST
                   : pl->start == OZ_START_LATEST ? OZ_KAFKA_LATEST
                                                  : pl->start_at_us / OZ_US_PER_MS;
    uint32_t n_sources = config->program->plan->n_sources;
    enum oz_status status =
        oz_kafka_start_offsets(config->client, config->source_topic, when, &at, err);
    for (size_t i = 0; status == OZ_OK && i < n; i++)
        if (owned[i / next->n_sources] && next->source[i] == OZ_NO_OFFSET &&
            i % next->n_sources < n_sources)
            next->source[i] = at.source[i];
    /* Another member may have sent on what it read before this one came. */
    if (status == OZ_OK && next->n_sources > n_sources)
        status = oz_kafka_start_offsets(config->client, config->source_topic, OZ_KAFKA_EARLIEST,
                                        &at, err);
    for (size_t i = 0; status == OZ_OK && i < n; i++)
        if (owned[i / next->n_sources] && next->source[i] == OZ_NO_OFFSET)
            next->source[i] = at.source[i];
    oz_positions_clear(&at);
    return status;
}

/* ---- an exchange that outlived its group */

static bool has_any_source(const struct oz_positions *pos)
{
    for (size_t i = 0; i < (size_t)pos->n_partitions * pos->n_sources; i++)
        if (pos->source[i] != OZ_NO_OFFSET) return true;
    return false;
}

static enum oz_status refuse_events(struct oz_kafka_log *log, const struct oz_positions *end,
                                    const char *const *topic, uint32_t first, int64_t *begin,
                                    int64_t *unused, struct oz_error *err)
{
    uint32_t n_topics = end->n_sources - first;
    OZ_TRY(oz_kafka_log_bounds(log, begin, unused, err));
    for (uint32_t i = 0; i < end->n_partitions * n_topics; i++) {
        uint32_t t = i % n_topics, p = i / n_topics;
        int64_t to = end->source[(size_t)p * end->n_sources + first + t];
        struct oz_record rec;
        bool found = false;
        oz_kafka_log_seek(log, t, p, begin[i]);
        if (begin[i] < to) OZ_TRY(oz_kafka_log_next(log, t, p, to, &rec, &found, err));
        if (!found) continue;
        oz_kafka_log_release(log, &rec, 1);
        OZ_FAIL(err, OZ_STATE,
                "the exchange topic %s has events (partition %u), but the consumer group has no "
                "committed offsets: the group was reset or has expired; set its offsets to where "
                "they were, or delete the exchange topics and the changelog topics to begin with "
                "empty state",
                topic[first + t], p);
    }
    return OZ_OK;
}

/* `end` was asked for before the group's offsets, and up to it every transaction is over: had one
 * of this group's put events there, there would be offsets. */
static enum oz_status refuse_old_events(const struct oz_resume_config *config,
                                        const struct oz_positions *end, struct oz_error *err)
{
    uint32_t first = config->program->plan->n_sources, n_topics = end->n_sources - first;
    struct oz_kafka_log *log;
    OZ_TRY(oz_kafka_log_open(config->client, config->source_topic + first, n_topics,
                             end->n_partitions, true, config->stop, &log, err));
    size_t n = (size_t)end->n_partitions * n_topics;
    int64_t *bounds = oz_calloc(2 * n, sizeof *bounds);
    enum oz_status status =
        bounds ? refuse_events(log, end, config->source_topic, first, bounds, bounds + n, err)
               : oz_no_memory(err);
    oz_free(bounds);
    oz_kafka_log_close(log);
    return status;
}

static enum oz_status ask_committed(const struct oz_resume_config *config,
                                    struct oz_positions *committed, struct oz_error *err)
{
    bool travels = committed->n_sources > config->program->plan->n_sources;
    struct oz_positions end = {0};
    enum oz_status status = OZ_OK;
    if (travels) {
        OZ_TRY(oz_positions_init(&end, committed->n_partitions, committed->n_sources, 0, err));
        status = oz_kafka_start_offsets(config->client, config->source_topic, OZ_KAFKA_LATEST, &end,
                                        err);
    }
    if (status == OZ_OK)
        status =
            oz_kafka_committed(config->client, config->group, config->source_topic, committed, err);
    if (status == OZ_OK && travels && !has_any_source(committed))
        status = refuse_old_events(config, &end, err);
    oz_positions_clear(&end);
    return status;
}

enum oz_status oz_resume(const struct oz_resume_config *config, struct oz_positions *ret_next,
                         struct oz_replay_result *ret_result, bool *ret_first, struct oz_error *err)
{
    struct resume re = {.config = config};
    struct oz_positions committed;
    OZ_TRY(oz_positions_init(&committed, ret_next->n_partitions, ret_next->n_sources,
                             ret_next->n_entities, err));
    enum oz_status status = ask_committed(config, &committed, err);
    if (status == OZ_OK) status = catch_up(&re, &committed, ret_next, ret_result, err);
    oz_positions_clear(&committed);
    OZ_TRY(status);
    return first_offsets(config, ret_next, ret_first, err);
}
