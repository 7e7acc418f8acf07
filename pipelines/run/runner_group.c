#include "pipelines/run/runner_state.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/instant.h"
#include "base/log.h"
#include "pipelines/run/definition.h"

#define JOIN_WAIT_US  (120 * OZ_US_PER_SECOND)
#define JOIN_POLL_US  (100 * OZ_US_PER_MS)
#define SWEEP_REST_US OZ_US_PER_SECOND

static enum oz_status open_emitter(struct oz_runner *run, struct oz_error *err)
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
        .bytes = oz_runner_queue_bytes(run),
        .committed = &run->next,
        .told = run->told,
        .meta = &run->meta,
        .ledger = run->ledger_output,
        .ledger_after = after,
    };
    return oz_emitter_new(&emitter, &run->emitter, err);
}

static enum oz_status start_retirement(struct oz_runner *run, struct oz_error *err)
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

static enum oz_status check_offer(struct oz_runner *run, const bool *owned, struct oz_error *err)
{
    uint32_t n = count(owned, run->n_partitions);
    if (n == run->n_partitions || !oz_runner_is_alone(run)) return OZ_OK;
    OZ_FAIL(err, OZ_STATE,
            "group %s gave this process %u of %u partitions, and the pipeline needs them all: it "
            "%s; stop the group's other members",
            run->group, n, run->n_partitions,
            run->exactly_once ? "has an entity that is not the key of its topics"
                              : "runs at least once");
}

/* Rows in memory that another process has changed meanwhile are read again. */
static void forget_rows(struct oz_runner *run)
{
    for (uint32_t p = 0; p < run->n_partitions; p++)
        if (run->replayed[p] != OZ_REPLAYED_NOTHING) oz_engine_forget(run->engine, p);
}

static enum oz_status look_at_crash(struct oz_runner *run, struct oz_error *err)
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
static enum oz_status take_meta(struct oz_runner *run, struct oz_error *err)
{
    const char *json;
    size_t len;
    OZ_TRY(oz_definition_meta(run->prg->definition, &json, &len, err));
    if (run->meta && strlen(run->meta) == len && !memcmp(run->meta, json, len)) return OZ_OK;
    run->meta = oz_arena_strndup(&run->prg->arena, json, len);
    return run->meta ? OZ_OK : oz_no_memory(err);
}

enum oz_status oz_runner_take_over(struct oz_runner *run, struct oz_error *err)
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
    if (status == OZ_RETRY && !oz_runner_stopping(run)) return OZ_OK;
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
static enum oz_status drop_epoch(struct oz_runner *run, const char *why, struct oz_error *err)
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

enum oz_status oz_runner_hand_over(struct oz_runner *run, struct oz_error *err)
{
    enum oz_status status = OZ_OK;
    if (!run->emitter)
        ; /* nothing was read yet */
    else if (oz_kafka_source_is_lost(run->source))
        status = drop_epoch(run, "the group took the partitions back without asking", err);
    else if ((status = oz_runner_drain(run, err)) == OZ_ABORT)
        status = drop_epoch(run, err->message, err);
    OZ_TRY(status);
    (void)oz_fault(OZ_FAULT_HAND_OVER);
    oz_info("the group moves partitions: rows and offsets are committed");
    run->dirty = false;
    run->rows_since_seal = 0;
    run->asked_us = oz_monotonic_us();
    return oz_kafka_source_leave(run->source, err);
}

enum oz_status oz_runner_wait_for_group(struct oz_runner *run, struct oz_error *err)
{
    OZ_TRY(oz_kafka_source_keep_alive(run->source, JOIN_POLL_US, err));
    if (run->is_ready || oz_monotonic_us() - run->asked_us < JOIN_WAIT_US) return OZ_OK;
    OZ_FAIL(err, OZ_ENVIRONMENT, "group %s gave no partitions within %lld s", run->group,
            (long long)(JOIN_WAIT_US / OZ_US_PER_SECOND));
}
