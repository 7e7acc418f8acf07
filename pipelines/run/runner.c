#include "pipelines/run/runner.h"
#include <unistd.h>
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "pipelines/run/runner_state.h"

enum {
    ABORTS_MAX = 10,
    REST_US = 50000,
    EXCHANGE_REST_US = 1000,
    EXCHANGE_TURNS = 8, /* batches of the exchange before the sources are looked at again */
};

/* ---- the loop */

static void status_now(struct oz_runner *run)
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
static enum oz_status send_batch(struct oz_runner *run, struct oz_batch *bat,
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
static enum oz_status do_batch(struct oz_runner *run, struct oz_record *record, size_t n,
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
static enum oz_status do_leg(struct oz_runner *run, uint32_t leg, size_t n, struct oz_error *err)
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
static enum oz_status seal_exchange(struct oz_runner *run, struct oz_sealed *sealed,
                                    struct oz_error *err)
{
    struct oz_outbox *box = oz_emitter_outbox(run->emitter);
    enum oz_status status =
        oz_exchange_seal(run->exchange, run->source, box, sealed, &run->next, err);
    oz_emitter_send(run->emitter, box);
    return status;
}

static enum oz_status seal(struct oz_runner *run, bool flush, struct oz_error *err)
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
static enum oz_status seal_if_due(struct oz_runner *run, struct oz_error *err)
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
static enum oz_status count_abort(struct oz_runner *run, struct oz_error *err)
{
    struct oz_emitter_stats stats;
    oz_emitter_get_stats(run->emitter, &stats);
    run->aborts = stats.commits == run->commits_at_abort ? run->aborts + 1 : 1;
    run->commits_at_abort = stats.commits;
    if (run->aborts <= ABORTS_MAX) return OZ_OK;
    err->status = OZ_BROKER;
    return oz_error_prefix(err, "%d epochs in a row were aborted", ABORTS_MAX);
}

static enum oz_status read_again(struct oz_runner *run, struct oz_error *err)
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
static enum oz_status leave_uncommitted(struct oz_runner *run, struct oz_error *err)
{
    oz_warn("the last epoch is aborted, the next start reads it again: %s", err->message);
    return oz_emitter_abort(run->emitter, &run->next, err);
}

enum oz_status oz_runner_drain(struct oz_runner *run, struct oz_error *err)
{
    OZ_TRY(oz_emitter_wait_committed(run->emitter, err));
    OZ_TRY(seal(run, true, err));
    return oz_emitter_wait_stored(run->emitter, err);
}

/* ---- one thing after the other */

static bool is_suspect(const struct oz_runner *run, const struct oz_record *rec)
{
    return !rec->condemned &&
           oz_crash_note_suspects(run->crash, rec->partition, rec->source, rec->offset);
}

static enum oz_status do_noted(struct oz_runner *run, struct oz_record *record, size_t n,
                               bool alone, struct oz_error *err)
{
    oz_crash_note_begin(run->crash, alone);
    for (size_t i = 0; i < n; i++)
        oz_crash_note_add(run->crash, record[i].partition, record[i].source, record[i].offset);
    return do_batch(run, record, n, err);
}

/* Nothing else is under way while a suspect is in hand, in no thread: a crash is its own then. */
static enum oz_status do_suspect(struct oz_runner *run, struct oz_record *rec, struct oz_error *err)
{
    OZ_TRY(run->dirty ? oz_runner_drain(run, err) : oz_emitter_wait_committed(run->emitter, err));
    OZ_TRY(do_noted(run, rec, 1, true, err));
    OZ_TRY(oz_runner_drain(run, err));
    oz_crash_note_begin(run->crash, false);
    return oz_kafka_source_keep_alive(run->source, 0, err);
}

/* Records at which the process crashed before: the condemned are marked, the suspects run alone. */
static enum oz_status do_careful(struct oz_runner *run, size_t n, struct oz_error *err)
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
static enum oz_status rest(struct oz_runner *run, struct oz_error *err)
{
    if (!run->at_rest) OZ_TRY(oz_runner_drain(run, err));
    run->at_rest = true;
    (void)usleep(REST_US);
    return oz_kafka_source_keep_alive(run->source, 0, err);
}

static enum oz_status retire(struct oz_runner *run, struct oz_error *err)
{
    bool changed;
    OZ_TRY(oz_retirement_step(run->retirement, oz_kafka_source_owned(run->source), &changed, err));
    run->dirty |= changed;
    return OZ_OK;
}

/* Reads the exchange's topics and does what may be done of them, a few batches at most. */
static enum oz_status do_exchange(struct oz_runner *run, bool *ret_more, struct oz_error *err)
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

static enum oz_status do_sources(struct oz_runner *run, int64_t max_wait_us, struct oz_error *err)
{
    size_t n = 0;
    OZ_TRY(oz_source_next(run->source, run->pl->batch_rows, max_wait_us, run->record, &n, err));
    enum oz_status status = !n             ? OZ_OK
                            : run->careful ? do_careful(run, n, err)
                                           : do_noted(run, run->record, n, false, err);
    oz_source_release(run->source, run->record, n);
    return status;
}

static enum oz_status step(struct oz_runner *run, struct oz_error *err)
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

static enum oz_status turn(struct oz_runner *run, struct oz_error *err)
{
    switch (oz_kafka_source_state(run->source)) {
    case OZ_SOURCE_JOINING: return oz_runner_wait_for_group(run, err);
    case OZ_SOURCE_OFFERED: return oz_runner_take_over(run, err);
    case OZ_SOURCE_LEAVING: return oz_runner_hand_over(run, err);
    case OZ_SOURCE_RUNNING: break;
    }
    bool flooded = oz_flood_watch_is_over(&run->flood);
    enum oz_status status = flooded ? oz_runner_drain(run, err) : step(run, err);
    if (status == OZ_CORRUPT) oz_store_damaged(run->store, err->message);
    run->is_over = flooded && status == OZ_OK;
    return status == OZ_ABORT ? read_again(run, err) : status;
}

/* What is running is finished; what is not has nothing to finish. */
static enum oz_status end(struct oz_runner *run, struct oz_error *err)
{
    enum oz_kafka_source_state state = oz_kafka_source_state(run->source);
    if (!run->is_ready) OZ_FAIL(err, OZ_RETRY, "stopped before the group gave partitions");
    if (state != OZ_SOURCE_RUNNING && state != OZ_SOURCE_LEAVING) return OZ_OK;
    if (oz_kafka_source_is_lost(run->source)) return OZ_OK;
    enum oz_status status = oz_runner_drain(run, err);
    return status == OZ_ABORT ? leave_uncommitted(run, err) : status;
}

static enum oz_status loop(struct oz_runner *run, struct oz_error *err)
{
    run->started_us = run->status_at_us = run->sealed_at_us = oz_monotonic_us();
    while (!oz_runner_stopping(run) && !run->is_over) {
        enum oz_status status = turn(run, err);
        if (status == OZ_RETRY && oz_runner_stopping(run) && run->is_ready) break;
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
    struct oz_runner run = {.config = config, .prg = config->program};
    run.pl = &run.prg->pipeline;
    oz_flood_watch_init(&run.flood, &run.pl->stop_above);
    oz_disk_guard_init(&run.disk, config->state_dir, &run.pl->state_min_free);
    enum oz_status status = oz_runner_start(&run, err);
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
