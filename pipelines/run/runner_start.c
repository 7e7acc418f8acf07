#include "pipelines/run/runner_state.h"
#include "base/clock.h"
#include "base/instant.h"
#include "pipelines/run/definition.h"

enum {
    RECORD_BYTES = 512, /* about what the client keeps beside a record's own bytes */
    MIB = 1 << 20
};
#define TOPIC_WAIT_US (60 * OZ_US_PER_SECOND)

static enum oz_status check_topics(struct oz_runner *run, struct oz_error *err)
{
    struct oz_topic_info topic[OZ_SOURCES_MAX + OZ_ENTITIES_MAX + 4];
    size_t n = 0;
    for (uint32_t s = 0; s < run->n_topics; s++) topic[n++].name = run->source_topic[s];
    for (uint32_t e = 0; e < run->n_entities; e++) topic[n++].name = run->changelog_topic[e];
    topic[n++].name = run->ledger_topic;
    size_t n_alike = n;
    if (run->pl->scores_topic) topic[n++].name = run->pl->scores_topic;
    if (run->pl->alerts_topic) topic[n++].name = run->pl->alerts_topic;
    if (run->pl->dead_letters_topic) topic[n++].name = run->pl->dead_letters_topic;
    OZ_TRY(oz_kafka_topics(&run->client, topic, n, OZ_TOPIC_MUST_BE, run->config->broker_wait_us,
                           run->config->stop, err));
    for (size_t i = 0; i < n; i++)
        if (!topic[i].n_partitions)
            OZ_FAIL(err, OZ_ENVIRONMENT,
                    "the topic `%s` does not exist: `ouzel topics --create %s` makes all that are "
                    "missing",
                    topic[i].name, run->pl->file);
    run->n_partitions = topic[run->pl->scored_source].n_partitions;
    if (run->n_partitions > OZ_PARTITIONS_MAX)
        OZ_FAIL(err, OZ_ENVIRONMENT, "the topic `%s` has %u partitions, at most %d are served",
                topic[run->pl->scored_source].name, run->n_partitions, OZ_PARTITIONS_MAX);
    for (size_t i = 0; i < n_alike; i++)
        if (topic[i].n_partitions != run->n_partitions)
            OZ_FAIL(err, OZ_ENVIRONMENT,
                    "the topic `%s` has %u partitions and `%s` has %u: they must have as many",
                    topic[i].name, topic[i].n_partitions, topic[run->pl->scored_source].name,
                    run->n_partitions);
    return OZ_OK;
}

static size_t share(const struct oz_runner *run, size_t part, size_t least, size_t most)
{
    return OZ_MIN(OZ_MAX(run->pl->state_memory_bytes / part, least), most);
}

size_t oz_runner_queue_bytes(const struct oz_runner *run)
{
    return share(run, 8, 8 * MIB, 256 * MIB);
}

static size_t batch_bytes(const struct oz_runner *run) { return share(run, 16, 4 * MIB, 64 * MIB); }

static enum oz_status take_config(struct oz_runner *run, struct oz_error *err)
{
    const struct oz_pipeline *pl = run->pl;
    run->n_sources = (uint32_t)pl->n_sources;
    run->n_entities = run->prg->plan->n_entities;
    run->exactly_once = run->config->delivery == OZ_EXACTLY_ONCE;
    run->record = oz_calloc(pl->batch_rows, sizeof *run->record);
    run->group = oz_program_group(run->prg);
    if (!run->record || !run->group) return oz_no_memory(err);
    OZ_TRY(oz_program_client(run->prg, run->group, &run->client, err));
    run->client.queue_bytes = oz_runner_queue_bytes(run);
    for (uint32_t s = 0; s < run->n_sources; s++) {
        run->source_topic[s] = pl->source[s].topic;
        run->scored[s] = pl->source[s].schema.scored;
    }
    run->n_topics = run->n_sources;
    for (uint32_t leg = 1; leg < run->prg->n_legs; leg++)
        if (!(run->source_topic[run->n_topics++] = oz_program_exchange(run->prg, leg)))
            return oz_no_memory(err);
    if (run->prg->n_legs > 1 && !run->exactly_once)
        OZ_FAIL(err, OZ_CONFIG,
                "`exchange: topic` needs `delivery: exactly_once`, and this run is "
                "at least once");
    for (uint32_t e = 0; e < run->n_entities; e++)
        if (!(run->changelog_topic[e] = oz_program_changelog(run->prg, e)))
            return oz_no_memory(err);
    run->ledger_topic = oz_program_ledger(run->prg);
    return run->ledger_topic ? OZ_OK : oz_no_memory(err);
}

/* Rows of an entity that is not the key of the topics are fed by every partition: one process holds
 * them all, unless the events travel to them. At least once cannot take rows over from another
 * process. */
bool oz_runner_is_alone(const struct oz_runner *run)
{
    for (uint32_t e = 0; e < run->n_entities; e++)
        if (!run->prg->keyed_by_source[e] && run->prg->n_legs == 1) return true;
    return !run->exactly_once;
}

static enum oz_status check_group(struct oz_runner *run, struct oz_error *err)
{
    if (run->config->embedded || !oz_runner_is_alone(run)) return OZ_OK;
    const char *remedy =
        run->exactly_once
            ? "share its entities out: `exchange: topic`, in a pipeline of another name"
            : "share the partitions out: `delivery: exactly_once`";
    return oz_kafka_group_is_free(&run->client, run->group, run->pl->instance, remedy, err);
}

static enum oz_status output_topic(struct oz_runner *run, const char *name,
                                   struct oz_output_topic *ret_topic, struct oz_error *err)
{
    if (!name) return OZ_OK;
    return oz_sink_topic(run->sink, name, true, &ret_topic->topic, &ret_topic->n_partitions, err);
}

static enum oz_status open_outputs(struct oz_runner *run, struct oz_error *err)
{
    struct oz_outputs_config outputs = {
        .program = run->prg, .engine = run->engine, .source = run->source};
    OZ_TRY(output_topic(run, run->pl->scores_topic, &outputs.scores, err));
    OZ_TRY(output_topic(run, run->pl->alerts_topic, &outputs.alerts, err));
    OZ_TRY(output_topic(run, run->pl->dead_letters_topic, &outputs.dead_letters, err));
    for (uint32_t leg = 1; leg < run->prg->n_legs; leg++)
        OZ_TRY(output_topic(run, run->source_topic[run->n_sources + leg - 1],
                            &outputs.exchange[leg], err));
    OZ_TRY(oz_outputs_new(&outputs, &run->outputs, err));
    struct oz_exchange_config exchange = {.program = run->prg,
                                          .n_partitions = run->n_partitions,
                                          .bytes = share(run, 4, 32 * MIB, 256 * MIB),
                                          .batch_bytes = batch_bytes(run)};
    memcpy(exchange.topic, outputs.exchange, sizeof exchange.topic);
    if (run->prg->n_legs > 1) OZ_TRY(oz_exchange_new(&exchange, &run->exchange, err));
    OZ_TRY(output_topic(run, run->ledger_topic, &run->ledger_output, err));
    return oz_ledger_new(run->prg, run->n_partitions, oz_record_bytes_max(run->pl), &run->ledger,
                         err);
}

/* What the folder says is known before the group is asked for partitions. */
static enum oz_status check_definition(struct oz_runner *run, struct oz_error *err)
{
    struct oz_buf meta;
    oz_buf_init(&meta);
    enum oz_status status = oz_store_meta(run->store, &meta, err);
    if (status == OZ_OK && meta.len)
        status = oz_definition_learn(run->prg->definition, (const char *)meta.data, meta.len, false,
                                     err);
    if (status == OZ_STATE)
        oz_error_prefix(err,
                        "the state in %s was made by another definition, which this one "
                        "cannot follow (give this one a name and a state.dir of its own, or "
                        "undo the change)",
                        run->config->state_dir);
    oz_buf_clear(&meta);
    return status;
}

enum oz_status oz_runner_start(struct oz_runner *run, struct oz_error *err)
{
    const struct oz_runner_config *config = run->config;
    OZ_TRY(take_config(run, err));
    OZ_TRY(check_topics(run, err));
    OZ_TRY(check_group(run, err));
    oz_definition_set_partitions(run->prg->definition, run->n_partitions);
    run->replayed = oz_calloc(run->n_partitions, sizeof *run->replayed);
    run->fresh = oz_calloc(run->n_partitions, sizeof *run->fresh);
    run->told = oz_calloc(run->n_partitions, sizeof *run->told);
    if (!run->replayed || !run->fresh || !run->told) return oz_no_memory(err);
    OZ_TRY(oz_engine_open(run->prg, config->state_dir, run->n_partitions, run->exactly_once,
                          &run->store, &run->engine, err));
    OZ_TRY(check_definition(run, err));
    OZ_TRY(oz_sink_open(&run->client,
                        run->exactly_once ? oz_program_transactional_id(run->prg) : NULL,
                        TOPIC_WAIT_US, &run->sink, err));
    OZ_TRY(oz_kafka_changelog_new(run->sink, &run->client, run->changelog_topic, run->n_entities,
                                  run->n_partitions, &run->changelog, err));
    OZ_TRY(oz_positions_init(&run->next, run->n_partitions, run->n_topics, run->n_entities, err));
    OZ_TRY(oz_key_watch_new(run->prg, run->n_partitions, &run->keys, err));
    struct oz_kafka_source_config source = {
        .client = run->client,
        .group = run->group,
        .instance = run->pl->instance,
        .topic = run->source_topic,
        .scored = run->scored,
        .n_sources = run->n_topics,
        .n_unmerged = run->n_topics - run->n_sources,
        .n_partitions = run->n_partitions,
        .max_idle_us = run->pl->max_idle_us,
        .exactly_once = run->exactly_once,
        .queue_bytes = oz_runner_queue_bytes(run),
        .queue_records = share(run, 2, 0, SIZE_MAX) / RECORD_BYTES,
        .batch_bytes = batch_bytes(run),
    };
    OZ_TRY(oz_kafka_source_join(&source, &run->source, err));
    run->asked_us = oz_monotonic_us();
    return open_outputs(run, err);
}
