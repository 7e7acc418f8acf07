#include "pipelines/run/runner.h"
#include <unistd.h>
#include "base/clock.h"
#include "base/fault.h"
#include "base/instant.h"
#include "base/log.h"
#include "pipelines/run/definition.h"
#include "pipelines/run/disk_guard.h"
#include "pipelines/run/exchange.h"
#include "pipelines/run/flood_watch.h"
#include "pipelines/run/key_watch.h"
#include "pipelines/run/ledger_record.h"
#include "pipelines/run/resume.h"
#include "pipelines/run/retirement.h"
#include "state/crash_note.h"

/* How many batches of the exchange are done before the sources are looked at again. */
enum { EXCHANGE_TURNS = 8 };
enum {
    ABORTS_MAX = 10,
    REST_US = 50000,
    EXCHANGE_REST_US = 1000,
    RECORD_BYTES = 512, /* about what the client keeps beside a record's own bytes */
    MIB = 1 << 20
};
#define TOPIC_WAIT_US (60 * OZ_US_PER_SECOND)
#define JOIN_WAIT_US  (120 * OZ_US_PER_SECOND)
#define JOIN_POLL_US  (100 * OZ_US_PER_MS)
#define SWEEP_REST_US OZ_US_PER_SECOND

struct runner {
    const struct oz_runner_config *config;
    struct oz_program *prg;
    const struct oz_pipeline *pl;
    const char *group, *meta;
    uint32_t n_partitions, n_sources, n_entities;
    uint32_t n_topics; /* that are read: the sources and, behind them, the exchange's */
    bool exactly_once;
    struct oz_kafka_config client;
    const char *source_topic[OZ_SOURCES_MAX];
    bool scored[OZ_SOURCES_MAX];
    const char *changelog_topic[OZ_ENTITIES_MAX], *ledger_topic;
    struct oz_store *store;
    struct oz_engine *engine;
    struct oz_sink *sink;
    struct oz_changelog *changelog;
    struct oz_source *source;
    struct oz_outputs *outputs;
    struct oz_emitter *emitter;
    struct oz_ledger *ledger;
    struct oz_output_topic ledger_output;
    struct oz_record *record;
    struct oz_positions next;   /* our own count: what the next epoch will commit */
    enum oz_replayed *replayed; /* [n_partitions] */
    bool *fresh;                /* [n_partitions]: nothing of it was ever committed */
    bool *told;                 /* [n_partitions]: its meta records go with the next transaction */
    /* of the epoch that is open */
    bool dirty; /* something was read since the last seal */
    uint64_t rows_since_seal;
    int64_t sealed_at_us, started_us, status_at_us;
    uint64_t commits_at_abort;
    int aborts; /* in a row */
    bool is_ready;
    int64_t asked_us; /* since when there are no partitions */
    struct oz_flood_watch flood;
    bool is_over; /* the flood ended it, and everything before is committed */
    struct oz_disk_guard disk;
    bool at_rest; /* paused, and everything that was read is stored */
    struct oz_key_watch *keys;
    struct oz_exchange *exchange;     /* NULL: events do not travel */
    struct oz_retirement *retirement; /* NULL: off */
    struct oz_crash_note *crash;
    bool careful; /* records are ahead at which the process crashed before */
};

static bool stopping(const struct runner *run) { return run->config->stop && *run->config->stop; }

/* ---- start: what must be there */

static enum oz_status check_topics(struct runner *run, struct oz_error *err)
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

/* Records on their way take memory beside state.memory; bounds that grow with it, so that who gives
 * little to the rows gives little to them. */
static size_t share(const struct runner *run, size_t part, size_t least, size_t most)
{
    return OZ_MIN(OZ_MAX(run->pl->state_memory_bytes / part, least), most);
}

static enum oz_status take_config(struct runner *run, struct oz_error *err)
{
    const struct oz_pipeline *pl = run->pl;
    run->n_sources = (uint32_t)pl->n_sources;
    run->n_entities = run->prg->plan->n_entities;
    run->exactly_once = run->config->delivery == OZ_EXACTLY_ONCE;
    run->record = oz_calloc(pl->batch_rows, sizeof *run->record);
    run->group = oz_program_group(run->prg);
    if (!run->record || !run->group) return oz_no_memory(err);
    OZ_TRY(oz_program_client(run->prg, run->group, &run->client, err));
    run->client.queue_bytes = share(run, 8, 8 * MIB, 256 * MIB);
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
static bool is_alone(const struct runner *run)
{
    for (uint32_t e = 0; e < run->n_entities; e++)
        if (!run->prg->keyed_by_source[e] && run->prg->n_legs == 1) return true;
    return !run->exactly_once;
}

static enum oz_status check_group(struct runner *run, struct oz_error *err)
{
    if (run->config->embedded || !is_alone(run)) return OZ_OK;
    const char *remedy =
        run->exactly_once
            ? "share its entities out: `exchange: topic`, in a pipeline of another name"
            : "share the partitions out: `delivery: exactly_once`";
    return oz_kafka_group_is_free(&run->client, run->group, run->pl->instance, remedy, err);
}

static enum oz_status output_topic(struct runner *run, const char *name,
                                   struct oz_output_topic *ret_topic, struct oz_error *err)
{
    if (!name) return OZ_OK;
    return oz_sink_topic(run->sink, name, true, &ret_topic->topic, &ret_topic->n_partitions, err);
}

static enum oz_status open_outputs(struct runner *run, struct oz_error *err)
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
                                          .batch_bytes = share(run, 16, 4 * MIB, 64 * MIB)};
    memcpy(exchange.topic, outputs.exchange, sizeof exchange.topic);
    if (run->prg->n_legs > 1) OZ_TRY(oz_exchange_new(&exchange, &run->exchange, err));
    OZ_TRY(output_topic(run, run->ledger_topic, &run->ledger_output, err));
    return oz_ledger_new(run->prg, run->n_partitions, oz_record_bytes_max(run->pl), &run->ledger,
                         err);
}

/* What the folder says is known before the group is asked for partitions. */
static enum oz_status check_definition(struct runner *run, struct oz_error *err)
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

/* The clients and the state; the group gives partitions later. */
static enum oz_status start(struct runner *run, struct oz_error *err)
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
        .queue_bytes = share(run, 8, 8 * MIB, 256 * MIB),
        .queue_records = share(run, 2, 0, SIZE_MAX) / RECORD_BYTES,
        .batch_bytes = share(run, 16, 4 * MIB, 64 * MIB),
    };
    OZ_TRY(oz_kafka_source_join(&source, &run->source, err));
    run->asked_us = oz_monotonic_us();
    return open_outputs(run, err);
}

/* ---- the loop */

static void status_now(struct runner *run)
{
    struct oz_runner_stats stats = {0};
    if (!run->config->status) return;
    stats.seconds = (double)(oz_monotonic_us() - run->started_us) / 1e6;
    stats.lag = oz_kafka_source_lag(run->source);
    if (run->exchange) stats.lag += (int64_t)oz_exchange_n_waiting(run->exchange);
    stats.paused = run->at_rest;
    stats.key_mismatches = oz_key_watch_mismatches(run->keys);
    oz_engine_get_stats(run->engine, &stats.engine);
    stats.outputs = *oz_outputs_stats(run->outputs);
    oz_emitter_get_stats(run->emitter, &stats.emitter);
    oz_retirement_get_stats(run->retirement, &stats.retirement);
    stats.store_gets = oz_store_gets(run->store);
    run->config->status(run->config->status_ctx, &stats);
}

/* A batch that the engine is through with: its outputs go on. */
static enum oz_status send_batch(struct runner *run, struct oz_batch *bat,
                                 struct oz_outbox **ret_box, struct oz_error *err)
{
    (void)oz_fault(OZ_FAULT_BATCH_ROWS);
    oz_retirement_batch(run->retirement, bat);
    *ret_box = oz_emitter_outbox(run->emitter);
    run->rows_since_seal += bat->n_records;
    run->dirty = true;
    enum oz_status status = oz_outputs_make(run->outputs, bat, *ret_box, err);
    oz_ledger_outputs(run->ledger, *ret_box);
    return status;
}

/* Records of the sources. */
static enum oz_status do_batch(struct runner *run, struct oz_record *record, size_t n,
                               struct oz_error *err)
{
    struct oz_batch *bat;
    struct oz_outbox *box;
    int64_t now = oz_wall_us();
    (void)oz_fault(OZ_FAULT_BATCH_START);
    if (run->exchange) oz_exchange_note(run->exchange, record, n);
    OZ_TRY(oz_engine_leg(run->engine, run->exchange ? 0 : OZ_LEG_ALL, record, n, &now, &bat, err));
    oz_key_watch_batch(run->keys, bat, oz_monotonic_us());
    oz_ledger_batch(run->ledger, record, n, now);
    enum oz_status status = send_batch(run, bat, &box, err);
    for (size_t i = 0; i < n; i++) {
        const struct oz_record *rec = &record[i];
        run->next.source[(size_t)rec->partition * run->n_topics + rec->source] = rec->offset + 1;
    }
    if (status == OZ_OK) oz_flood_watch_batch(&run->flood, bat, box, oz_monotonic_us());
    oz_emitter_send(run->emitter, box);
    return status;
}

/* Events on a later leg. */
static enum oz_status do_leg(struct runner *run, uint32_t leg, size_t n, struct oz_error *err)
{
    struct oz_batch *bat;
    struct oz_outbox *box;
    oz_crash_note_begin(run->crash, false);
    (void)oz_fault(OZ_FAULT_BATCH_START);
    OZ_TRY(oz_engine_leg(run->engine, leg, run->record, n, NULL, &bat, err));
    enum oz_status status = send_batch(run, bat, &box, err);
    oz_emitter_send(run->emitter, box);
    return status;
}

/* What this process says to the others with the epoch, and where its lanes stand. */
static enum oz_status seal_exchange(struct runner *run, struct oz_sealed *sealed,
                                    struct oz_error *err)
{
    struct oz_outbox *box = oz_emitter_outbox(run->emitter);
    enum oz_status status =
        oz_exchange_seal(run->exchange, run->source, box, sealed, &run->next, err);
    oz_emitter_send(run->emitter, box);
    return status;
}

static enum oz_status seal(struct runner *run, bool flush, struct oz_error *err)
{
    size_t parts;
    struct oz_epoch *ep = oz_emitter_epoch(run->emitter);
    ep->number = oz_engine_epoch(run->engine);
    (void)oz_fault(OZ_FAULT_SEAL_START);
    OZ_TRY(oz_engine_seal(run->engine, ep->sealed, &parts, err));
    if (run->exchange) OZ_TRY(seal_exchange(run, &ep->sealed[0], err));
    OZ_TRY(oz_ledger_seal(run->ledger, ep->number, parts, &ep->ledger, err));
    oz_positions_copy(&ep->pos, &run->next);
    ep->flush = flush;
    run->dirty = false;
    run->rows_since_seal = 0;
    run->sealed_at_us = oz_monotonic_us();
    oz_emitter_seal(run->emitter, ep);
    return OZ_OK;
}

/* Seals when the epoch is due and the one before is committed; when the rows' memory is short,
 * waits until the store has them. */
static enum oz_status seal_if_due(struct runner *run, struct oz_error *err)
{
    if (!run->dirty) return OZ_OK;
    if (oz_engine_wants_seal(run->engine)) {
        OZ_TRY(oz_emitter_wait_committed(run->emitter, err));
        OZ_TRY(seal(run, true, err));
        return oz_emitter_wait_stored(run->emitter, err);
    }
    if (oz_ledger_is_full(run->ledger)) {
        OZ_TRY(oz_emitter_wait_committed(run->emitter, err));
        return seal(run, false, err);
    }
    bool due = run->rows_since_seal >= run->pl->epoch_rows ||
               oz_monotonic_us() - run->sealed_at_us >= run->pl->epoch_every_us;
    if (!due || oz_emitter_committing(run->emitter)) return OZ_OK;
    return seal(run, false, err);
}

/* Counts aborts with no commit between them: what fails every time ends the run, not the disk. */
static enum oz_status count_abort(struct runner *run, struct oz_error *err)
{
    struct oz_emitter_stats stats;
    oz_emitter_get_stats(run->emitter, &stats);
    run->aborts = stats.commits == run->commits_at_abort ? run->aborts + 1 : 1;
    run->commits_at_abort = stats.commits;
    if (run->aborts <= ABORTS_MAX) return OZ_OK;
    err->status = OZ_BROKER;
    return oz_error_prefix(err, "%d epochs in a row were aborted", ABORTS_MAX);
}

static enum oz_status read_again(struct runner *run, struct oz_error *err)
{
    OZ_TRY(count_abort(run, err));
    oz_warn("the epoch is aborted and read again: %s", err->message);
    OZ_TRY(oz_emitter_abort(run->emitter, &run->next, err));
    oz_engine_drop(run->engine);
    if (run->exchange) OZ_TRY(oz_exchange_begin(run->exchange, NULL, run->store, &run->next, err));
    oz_retirement_abort(run->retirement);
    oz_ledger_begin(run->ledger, &run->next);
    oz_flood_watch_forget(&run->flood);
    run->careful = oz_crash_note_is_ahead(run->crash, &run->next);
    run->rows_since_seal = 0;
    run->dirty = true;
    return oz_kafka_source_seek(run->source, &run->next, err);
}

/* An abort while the run ends: there is nothing left to commit, the next start reads it again. */
static enum oz_status leave_uncommitted(struct runner *run, struct oz_error *err)
{
    oz_warn("the last epoch is aborted, the next start reads it again: %s", err->message);
    return oz_emitter_abort(run->emitter, &run->next, err);
}

static enum oz_status drain(struct runner *run, struct oz_error *err)
{
    OZ_TRY(oz_emitter_wait_committed(run->emitter, err));
    OZ_TRY(seal(run, true, err));
    return oz_emitter_wait_stored(run->emitter, err);
}

/* ---- the group gives partitions and takes them */

static enum oz_status open_emitter(struct runner *run, struct oz_error *err)
{
    uint64_t after = 0;
    bool is_fresh = true;
    for (uint32_t p = 0; p < run->n_partitions; p++) is_fresh &= run->fresh[p];
    OZ_TRY(oz_ledger_last_epoch(&run->client, run->ledger_topic, run->pl->instance,
                                run->n_partitions, run->exactly_once, run->config->stop, &after,
                                err));
    /* The store may be behind the last commit: a number is not given twice. */
    uint64_t newest = OZ_MAX(OZ_MAX(after, run->next.epoch), is_fresh ? 0 : 1);
    after = run->exactly_once ? newest : run->next.epoch;
    oz_engine_set_epoch(run->engine, newest + 1);
    struct oz_emitter_config emitter = {
        .program = run->prg,
        .engine = run->engine,
        .store = run->store,
        .sink = run->sink,
        .source = run->source,
        .changelog = run->changelog,
        .n_partitions = run->n_partitions,
        .exactly_once = run->exactly_once,
        .flush_us = run->pl->state_flush_us,
        .bytes = share(run, 8, 8 * MIB, 256 * MIB),
        .committed = &run->next,
        .told = run->told,
        .meta = &run->meta,
        .ledger = run->ledger_output,
        .ledger_after = after,
    };
    return oz_emitter_new(&emitter, &run->emitter, err);
}

static enum oz_status start_retirement(struct runner *run, struct oz_error *err)
{
    struct oz_retirement_config config = {
        .program = run->prg,
        .engine = run->engine,
        .store = run->store,
        .n_partitions = run->n_partitions,
        .rows_per_s = run->pl->state_retire,
        .rest_us = SWEEP_REST_US,
    };
    if (!config.rows_per_s || !run->n_entities) return OZ_OK;
    return oz_retirement_new(&config, &run->retirement, err);
}

static uint32_t count(const bool *which, uint32_t n)
{
    uint32_t yes = 0;
    for (uint32_t i = 0; i < n; i++) yes += which[i];
    return yes;
}

static enum oz_status check_offer(struct runner *run, const bool *owned, struct oz_error *err)
{
    uint32_t n = count(owned, run->n_partitions);
    if (n == run->n_partitions || !is_alone(run)) return OZ_OK;
    OZ_FAIL(err, OZ_STATE,
            "group %s gave this process %u of %u partitions, and the pipeline needs them all: it "
            "%s; stop the group's other members",
            run->group, n, run->n_partitions,
            run->exactly_once ? "has an entity that is not the key of its topics"
                              : "runs at least once");
}

/* Rows in memory that another process has changed meanwhile are read again. */
static void forget_rows(struct runner *run)
{
    for (uint32_t p = 0; p < run->n_partitions; p++)
        if (run->replayed[p] != OZ_REPLAYED_NOTHING) oz_engine_forget(run->engine, p);
}

static enum oz_status look_at_crash(struct runner *run, struct oz_error *err)
{
    struct oz_crash_summary crash;
    oz_crash_note_close(run->crash);
    run->crash = NULL;
    OZ_TRY(oz_crash_note_open(run->config->state_dir, &run->next, &run->crash, err));
    oz_crash_note_get(run->crash, &crash);
    run->careful = oz_crash_note_is_ahead(run->crash, &run->next);
    if (crash.signo)
        oz_warn("the last run crashed (signal %d)%s", crash.signo,
                crash.is_new ? " at one record alone" : "");
    if (crash.is_new)
        oz_warn("%s partition %u offset %lld goes to the dead letters, unseen: the process crashes "
                "at it; please report it",
                run->source_topic[crash.source], crash.partition, (long long)crash.offset);
    else if (run->careful && crash.n_crashes)
        oz_warn("the process crashed %u times with the same records in hand: at most %llu are run "
                "one by one now",
                crash.n_crashes, (unsigned long long)crash.n_suspects);
    return OZ_OK;
}

/* The emitter's thread reads the text while the definition may learn more: it gets a copy. */
static enum oz_status take_meta(struct runner *run, struct oz_error *err)
{
    const char *json;
    size_t len;
    OZ_TRY(oz_definition_meta(run->prg->definition, &json, &len, err));
    if (run->meta && strlen(run->meta) == len && !memcmp(run->meta, json, len)) return OZ_OK;
    run->meta = oz_arena_strndup(&run->prg->arena, json, len);
    return run->meta ? OZ_OK : oz_no_memory(err);
}

static enum oz_status take_over(struct runner *run, struct oz_error *err)
{
    const bool *owned = oz_kafka_source_owned(run->source);
    (void)oz_fault(OZ_FAULT_TAKE_OVER);
    OZ_TRY(check_offer(run, owned, err));
    struct oz_resume_config resume = {
        .program = run->prg,
        .group = run->group,
        .client = &run->client,
        .source_topic = run->source_topic,
        .exactly_once = run->exactly_once,
        .store = run->store,
        .changelog = run->changelog,
        .source = run->source,
        .stop = run->config->stop,
    };
    struct oz_replay_result result = {.partition = run->replayed};
    bool first;
    enum oz_status status = oz_resume(&resume, &run->next, &result, &first, err);
    forget_rows(run);
    /* The group has moved on: what it wants now comes first. */
    if (status == OZ_RETRY && !stopping(run)) return OZ_OK;
    OZ_TRY(status);
    for (uint32_t p = 0; p < run->n_partitions; p++) {
        run->fresh[p] = result.partition[p] == OZ_REPLAYED_FRESH;
        run->told[p] = owned[p];
    }
    OZ_TRY(take_meta(run, err));
    if (run->exchange) OZ_TRY(oz_exchange_begin(run->exchange, owned, run->store, &run->next, err));
    OZ_TRY(oz_kafka_source_begin(run->source, &run->next, err));
    OZ_TRY(look_at_crash(run, err));
    oz_ledger_begin(run->ledger, &run->next);
    run->dirty = first;
    run->rows_since_seal = 0;
    run->sealed_at_us = oz_monotonic_us();
    if (run->emitter) {
        oz_emitter_restart(run->emitter, &run->next);
    } else {
        OZ_TRY(open_emitter(run, err));
        OZ_TRY(start_retirement(run, err));
    }
    oz_info("running: %u of %u partitions, %u workers, %s", count(owned, run->n_partitions),
            run->n_partitions, oz_engine_n_workers(run->engine),
            run->exactly_once ? "exactly once" : "at least once");
    if (!run->is_ready && run->config->ready) run->config->ready(run->config->status_ctx);
    run->is_ready = true;
    return OZ_OK;
}

/* A rebalance that has taken the partitions already leaves nothing to commit. */
static enum oz_status drop_epoch(struct runner *run, const char *why, struct oz_error *err)
{
    oz_warn("the epoch is aborted: %s", why);
    oz_emitter_fail(run->emitter, why);
    enum oz_status status = oz_emitter_status(run->emitter, err);
    if (status != OZ_ABORT) return status; /* it had failed before, in another way */
    OZ_TRY(oz_emitter_abort(run->emitter, &run->next, err));
    oz_engine_drop(run->engine);
    oz_retirement_abort(run->retirement);
    return OZ_OK;
}

static enum oz_status hand_over(struct runner *run, struct oz_error *err)
{
    enum oz_status status = OZ_OK;
    if (!run->emitter)
        ; /* nothing was read yet */
    else if (oz_kafka_source_is_lost(run->source))
        status = drop_epoch(run, "the group took the partitions back without asking", err);
    else if ((status = drain(run, err)) == OZ_ABORT)
        status = drop_epoch(run, err->message, err);
    OZ_TRY(status);
    (void)oz_fault(OZ_FAULT_HAND_OVER);
    oz_info("the group moves partitions: rows and offsets are committed");
    run->dirty = false;
    run->rows_since_seal = 0;
    run->asked_us = oz_monotonic_us();
    return oz_kafka_source_leave(run->source, err);
}

/* The first answer of the group is waited for, a standby process waits for ever. */
static enum oz_status wait_for_group(struct runner *run, struct oz_error *err)
{
    OZ_TRY(oz_kafka_source_keep_alive(run->source, JOIN_POLL_US, err));
    if (run->is_ready || oz_monotonic_us() - run->asked_us < JOIN_WAIT_US) return OZ_OK;
    OZ_FAIL(err, OZ_ENVIRONMENT, "group %s gave no partitions within %lld s", run->group,
            (long long)(JOIN_WAIT_US / OZ_US_PER_SECOND));
}

/* ---- one thing after the other */

static bool is_suspect(const struct runner *run, const struct oz_record *rec)
{
    return !rec->condemned &&
           oz_crash_note_suspects(run->crash, rec->partition, rec->source, rec->offset);
}

static enum oz_status do_noted(struct runner *run, struct oz_record *record, size_t n, bool alone,
                               struct oz_error *err)
{
    oz_crash_note_begin(run->crash, alone);
    for (size_t i = 0; i < n; i++)
        oz_crash_note_add(run->crash, record[i].partition, record[i].source, record[i].offset);
    return do_batch(run, record, n, err);
}

/* Nothing else is under way while a suspect is in hand, in no thread: a crash is its own then. */
static enum oz_status do_suspect(struct runner *run, struct oz_record *rec, struct oz_error *err)
{
    OZ_TRY(run->dirty ? drain(run, err) : oz_emitter_wait_committed(run->emitter, err));
    OZ_TRY(do_noted(run, rec, 1, true, err));
    OZ_TRY(drain(run, err));
    oz_crash_note_begin(run->crash, false);
    return oz_kafka_source_keep_alive(run->source, 0, err);
}

/* Records at which the process crashed before: the condemned are marked, the suspects run alone. */
static enum oz_status do_careful(struct runner *run, size_t n, struct oz_error *err)
{
    struct oz_record *rec = run->record;
    for (size_t i = 0; i < n; i++)
        rec[i].condemned =
            oz_crash_note_condemned(run->crash, rec[i].partition, rec[i].source, rec[i].offset);
    for (size_t i = 0, end; i < n; i = end) {
        end = i + 1;
        if (is_suspect(run, &rec[i])) {
            OZ_TRY(do_suspect(run, &rec[i], err));
            continue;
        }
        while (end < n && !is_suspect(run, &rec[end])) end++;
        OZ_TRY(do_noted(run, &rec[i], end - i, false, err));
    }
    run->careful = oz_crash_note_is_ahead(run->crash, &run->next);
    if (!run->careful) oz_info("the records that the process crashed at before are behind it");
    return OZ_OK;
}

/* Nothing is read: the queues fill and the client stops to fetch. The epoch is committed first, as
 * an open transaction would run out of time; the membership is kept by polling. */
static enum oz_status rest(struct runner *run, struct oz_error *err)
{
    if (!run->at_rest) OZ_TRY(drain(run, err));
    run->at_rest = true;
    (void)usleep(REST_US);
    return oz_kafka_source_keep_alive(run->source, 0, err);
}

static enum oz_status retire(struct runner *run, struct oz_error *err)
{
    bool changed;
    OZ_TRY(oz_retirement_step(run->retirement, oz_kafka_source_owned(run->source), &changed, err));
    run->dirty |= changed;
    return OZ_OK;
}

/* Reads the exchange's topics and does what may be done of them, a few batches at most. */
static enum oz_status do_exchange(struct runner *run, bool *ret_more, struct oz_error *err)
{
    *ret_more = true;
    for (int i = 0; i < EXCHANGE_TURNS; i++) {
        size_t n_read = 0, n_done = 0;
        if (oz_exchange_has_room(run->exchange))
            OZ_TRY(oz_kafka_source_unmerged(run->source, run->pl->batch_rows, run->record, &n_read,
                                            err));
        enum oz_status status = oz_exchange_put(run->exchange, run->record, n_read, err);
        oz_source_release(run->source, run->record, n_read);
        OZ_TRY(status);
        for (uint32_t leg = 1; leg < run->prg->n_legs; leg++) {
            size_t n = oz_exchange_take(run->exchange, leg, run->pl->batch_rows, run->record);
            if (n) OZ_TRY(do_leg(run, leg, n, err));
            n_done += n;
            OZ_TRY(seal_if_due(run, err));
        }
        if (!n_read && !n_done) {
            *ret_more = false;
            break;
        }
    }
    run->dirty |= oz_exchange_has_news(run->exchange, run->source);
    return OZ_OK;
}

static enum oz_status do_sources(struct runner *run, int64_t max_wait_us, struct oz_error *err)
{
    size_t n = 0;
    OZ_TRY(oz_source_next(run->source, run->pl->batch_rows, max_wait_us, run->record, &n, err));
    enum oz_status status = !n             ? OZ_OK
                            : run->careful ? do_careful(run, n, err)
                                           : do_noted(run, run->record, n, false, err);
    oz_source_release(run->source, run->record, n);
    return status;
}

static enum oz_status step(struct runner *run, struct oz_error *err)
{
    bool more = false;
    OZ_TRY(oz_emitter_status(run->emitter, err));
    if (oz_disk_guard_is_short(&run->disk, oz_monotonic_us())) return rest(run, err);
    run->at_rest = false;
    if (run->exchange) OZ_TRY(do_exchange(run, &more, err));
    if (run->exchange && oz_exchange_rests(run->exchange))
        OZ_TRY(oz_kafka_source_keep_alive(run->source, more ? 0 : EXCHANGE_REST_US, err));
    else
        OZ_TRY(do_sources(run, more ? -1 : run->pl->batch_max_wait_us, err));
    OZ_TRY(retire(run, err));
    return seal_if_due(run, err);
}

static enum oz_status turn(struct runner *run, struct oz_error *err)
{
    switch (oz_kafka_source_state(run->source)) {
    case OZ_SOURCE_JOINING: return wait_for_group(run, err);
    case OZ_SOURCE_OFFERED: return take_over(run, err);
    case OZ_SOURCE_LEAVING: return hand_over(run, err);
    case OZ_SOURCE_RUNNING: break;
    }
    bool flooded = oz_flood_watch_is_over(&run->flood);
    enum oz_status status = flooded ? drain(run, err) : step(run, err);
    if (status == OZ_CORRUPT) oz_store_damaged(run->store, err->message);
    run->is_over = flooded && status == OZ_OK;
    return status == OZ_ABORT ? read_again(run, err) : status;
}

/* What is running is finished; what is not has nothing to finish. */
static enum oz_status end(struct runner *run, struct oz_error *err)
{
    enum oz_kafka_source_state state = oz_kafka_source_state(run->source);
    if (!run->is_ready) OZ_FAIL(err, OZ_RETRY, "stopped before the group gave partitions");
    if (state != OZ_SOURCE_RUNNING && state != OZ_SOURCE_LEAVING) return OZ_OK;
    if (oz_kafka_source_is_lost(run->source)) return OZ_OK;
    enum oz_status status = drain(run, err);
    return status == OZ_ABORT ? leave_uncommitted(run, err) : status;
}

static enum oz_status loop(struct runner *run, struct oz_error *err)
{
    run->started_us = run->status_at_us = run->sealed_at_us = oz_monotonic_us();
    while (!stopping(run) && !run->is_over) {
        enum oz_status status = turn(run, err);
        if (status == OZ_RETRY && stopping(run) && run->is_ready) break;
        OZ_TRY(status);
        int64_t now = oz_monotonic_us();
        if (run->is_ready && now - run->status_at_us >= run->config->status_us) {
            run->status_at_us = now;
            status_now(run);
        }
    }
    if (!run->is_over) OZ_TRY(end(run, err));
    status_now(run);
    return oz_flood_watch_status(&run->flood, run->pl, err);
}

/* *ret_damaged: the next start does not trust the rows on disk. */
static enum oz_status run_once(const struct oz_runner_config *config, bool *ret_damaged,
                               struct oz_error *err)
{
    struct runner run = {.config = config, .prg = config->program};
    run.pl = &run.prg->pipeline;
    oz_flood_watch_init(&run.flood, &run.pl->stop_above);
    oz_disk_guard_init(&run.disk, config->state_dir, &run.pl->state_min_free);
    enum oz_status status = start(&run, err);
    if (status == OZ_OK) status = loop(&run, err);
    oz_retirement_free(run.retirement);
    *ret_damaged = run.store && oz_store_is_damaged(run.store);
    oz_emitter_free(run.emitter);
    oz_ledger_free(run.ledger);
    oz_crash_note_close(run.crash);
    oz_key_watch_free(run.keys);
    oz_exchange_free(run.exchange);
    oz_outputs_free(run.outputs);
    oz_source_close(run.source);
    oz_changelog_free(run.changelog);
    oz_sink_close(run.sink);
    oz_engine_free(run.engine);
    oz_store_close(run.store);
    oz_positions_clear(&run.next);
    oz_free(run.record);
    oz_free(run.replayed);
    oz_free(run.fresh);
    oz_free(run.told);
    return status;
}

/* What is damaged again after it was rebuilt has another cause than the disk. */
enum oz_status oz_runner_run(const struct oz_runner_config *config, struct oz_error *err)
{
    bool damaged, again;
    enum oz_status status = run_once(config, &damaged, err);
    if (status != OZ_CORRUPT || !damaged || config->delivery != OZ_EXACTLY_ONCE) return status;
    oz_warn("%s", err->message);
    return run_once(config, &again, err);
}
