#include "pipelines/run/emitter.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/histogram.h"
#include "base/queue.h"

enum item_kind { ITEM_BOX, ITEM_EPOCH, ITEM_ABORT };
struct item {
    enum item_kind kind;
    size_t bytes; /* what the box holds */
    struct oz_outbox *box;
    struct oz_epoch *epoch;
};
enum { ITEMS = OZ_EMITTER_BOXES + OZ_EMITTER_EPOCHS + 2 };

struct oz_emitter {
    struct oz_emitter_config config;
    uint32_t n_workers;
    pthread_t emit_thread, store_thread;
    bool emit_started, store_started;
    struct oz_queue to_emit, to_store, free_boxes, free_epochs, free_items;
    struct item item[ITEMS];
    struct oz_outbox box[OZ_EMITTER_BOXES];
    struct oz_epoch epoch[OZ_EMITTER_EPOCHS];
    /* the emitter's own */
    bool open; /* a transaction is */
    bool meta_is_due;
    int64_t flushed_at_us;
    uint32_t n_held; /* committed epochs since the last flush */
    size_t held_bytes;
    uint64_t after; /* the newest committed epoch */
    struct oz_ledger_ends ends;
    /* the store thread's own */
    struct oz_epoch *held[OZ_EMITTER_EPOCHS];
    size_t n_to_write;
    /* shared */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t sealed, committed, stored; /* epoch numbers */
    struct oz_positions committed_pos;
    bool aborting;
    size_t waiting_bytes; /* of boxes that were sent and not emitted */
    enum oz_status status;
    struct oz_error err;
    enum oz_status abort_status; /* of the abort that was asked for last */
    struct oz_error abort_err;
    struct oz_emitter_stats stats;
    struct oz_histogram commit_us;
};

static void fail(struct oz_emitter *em, enum oz_status status, const struct oz_error *err)
{
    pthread_mutex_lock(&em->mutex);
    if (em->status == OZ_OK) {
        em->status = status;
        em->err = *err;
    }
    pthread_cond_broadcast(&em->changed);
    pthread_mutex_unlock(&em->mutex);
}

static bool failed(struct oz_emitter *em)
{
    pthread_mutex_lock(&em->mutex);
    bool is = em->status != OZ_OK;
    pthread_mutex_unlock(&em->mutex);
    return is;
}

/* A queue that holds every item there is never refuses one, unless it is closed at the end. */
static void put_back(struct oz_queue *queue, void *item)
{
    if (!oz_queue_push(queue, item)) return;
}

/* Memory that each of so many keeps for the next time: a larger one gives its own back. */
static size_t kept_bytes(const struct oz_emitter *em, size_t n) { return em->config.bytes / n; }

static size_t epoch_bytes(const struct oz_emitter *em, const struct oz_epoch *ep)
{
    size_t n = 0;
    for (uint32_t w = 0; w < em->n_workers; w++) n += oz_sealed_bytes(&ep->sealed[w]);
    return n;
}

static void recycle_epoch(struct oz_emitter *em, struct oz_epoch *ep)
{
    bool is_large = epoch_bytes(em, ep) > kept_bytes(em, OZ_EMITTER_EPOCHS);
    for (uint32_t w = 0; w < em->n_workers; w++)
        is_large ? oz_sealed_clear(&ep->sealed[w]) : oz_sealed_reset(&ep->sealed[w]);
    ep->flush = ep->ends_abort = false;
    put_back(&em->free_epochs, ep);
}

/* ---- the emitter's thread */

static enum oz_status injected(enum oz_fault fault, struct oz_error *err)
{
    if (oz_fault(fault) != OZ_FAULT_FAIL) return OZ_OK;
    OZ_FAIL(err, OZ_ABORT, "the fault point %s was told to fail", oz_fault_name(fault));
}

static enum oz_status open_transaction(struct oz_emitter *em, struct oz_error *err)
{
    if (em->open || !em->config.exactly_once) return OZ_OK;
    OZ_TRY(oz_sink_begin(em->config.sink, err));
    em->open = true;
    return OZ_OK;
}

static void half_emitted(void) { (void)oz_fault(OZ_FAULT_BATCH_EMIT); }

static enum oz_status emit_box(struct oz_emitter *em, const struct oz_outbox *box,
                               struct oz_error *err)
{
    OZ_TRY(open_transaction(em, err));
    return oz_outbox_produce(box, em->config.sink, oz_fault_armed ? half_emitted : NULL, err);
}

static enum oz_status produce_changes(struct oz_emitter *em, const struct oz_epoch *ep,
                                      struct oz_error *err)
{
    struct oz_changelog *cl = em->config.changelog;
    const char *meta = *em->config.meta;
    uint64_t parts = 0, bytes = 0;
    for (uint32_t p = 0; em->meta_is_due && p < ep->pos.n_partitions; p++)
        for (uint32_t e = 0; em->config.told[p] && e < ep->pos.n_entities; e++)
            OZ_TRY(cl->produce_meta(cl->ctx, e, p, meta, strlen(meta), err));
    for (uint32_t w = 0; w < em->n_workers; w++) {
        OZ_TRY(cl->produce(cl->ctx, &ep->sealed[w], err));
        parts += ep->sealed[w].n_parts;
        bytes += ep->sealed[w].bytes.len;
        if (w == 0) OZ_TRY(injected(OZ_FAULT_SEAL_PRODUCE, err));
    }
    pthread_mutex_lock(&em->mutex);
    em->stats.changelog_parts += parts;
    em->stats.changelog_bytes += bytes;
    pthread_mutex_unlock(&em->mutex);
    return OZ_OK;
}

/* With the transaction's other records, to the partition of the instance. */
static enum oz_status produce_ledger(struct oz_emitter *em, struct oz_epoch *ep,
                                     struct oz_error *err)
{
    const struct oz_emitter_config *config = &em->config;
    const char *key = config->program->pipeline.instance;
    if (!config->ledger.n_partitions) return OZ_OK;
    OZ_TRY(oz_ledger_close(config->program, &ep->ledger, em->after, &em->ends, err));
    em->ends.epoch = 0;
    struct oz_message message = {
        .topic = config->ledger.topic,
        .partition = (int32_t)oz_murmur2_partition(key, strlen(key), config->ledger.n_partitions),
        .key = key,
        .key_len = strlen(key),
        .value = ep->ledger.data,
        .value_len = ep->ledger.len,
        .timestamp_ms = oz_wall_us() / 1000,
    };
    return oz_sink_produce(config->sink, &message, 1, err);
}

static enum oz_status commit(struct oz_emitter *em, const struct oz_epoch *ep, struct oz_error *err)
{
    if (!em->config.exactly_once) return oz_sink_flush(em->config.sink, err);
    OZ_TRY(injected(OZ_FAULT_OFFSETS_START, err));
    OZ_TRY(oz_sink_offsets(em->config.sink, em->config.source, &ep->pos, err));
    OZ_TRY(injected(OZ_FAULT_OFFSETS_SENT, err));
    OZ_TRY(injected(OZ_FAULT_COMMIT_START, err));
    OZ_TRY(oz_sink_commit(em->config.sink, err));
    (void)oz_fault(OZ_FAULT_COMMIT_DONE);
    return OZ_OK;
}

/* Step 5 needs to know up to where the store has the changelog. Asked before the offsets are sent,
 * whose generation says that nobody else had written to it by then: what the transaction itself has
 * in it is read once more by the next start, which does no harm. A process that shares its group
 * stands nowhere in the changelogs of others' partitions. */
static enum oz_status ask_ends(struct oz_emitter *em, struct oz_epoch *ep, struct oz_error *err)
{
    struct oz_changelog *cl = em->config.changelog;
    int64_t now = oz_monotonic_us();
    if (!ep->flush && now - em->flushed_at_us < em->config.flush_us &&
        em->n_held + 1 < OZ_EMITTER_EPOCHS / 2 &&
        em->held_bytes + epoch_bytes(em, ep) < em->config.bytes)
        return OZ_OK;
    OZ_TRY(cl->ends(cl->ctx, &ep->pos, err));
    for (uint32_t p = 0; p < ep->pos.n_partitions; p++)
        if (ep->pos.source[(size_t)p * ep->pos.n_sources] == OZ_NO_OFFSET)
            oz_positions_forget(&ep->pos, p);
    ep->flush = true;
    em->flushed_at_us = now;
    return OZ_OK;
}

/* Those of the newest epoch that asked: older is always right. */
static void take_known_ends(struct oz_emitter *em, struct oz_epoch *ep)
{
    pthread_mutex_lock(&em->mutex);
    memcpy(ep->pos.changelog, em->committed_pos.changelog,
           (size_t)ep->pos.n_partitions * ep->pos.n_entities * sizeof *ep->pos.changelog);
    pthread_mutex_unlock(&em->mutex);
}

/* For the ledger: where the changelogs end right behind an epoch, before the next one begins. */
static enum oz_status note_ends(struct oz_emitter *em, const struct oz_epoch *ep,
                                struct oz_error *err)
{
    struct oz_changelog *cl = em->config.changelog;
    oz_positions_copy(&em->ends.pos, &ep->pos);
    em->ends.epoch = ep->number;
    return cl->ends(cl->ctx, &em->ends.pos, err);
}

/* What is committed goes to the store, even if what follows fails: *ret_committed. */
static enum oz_status emit_epoch(struct oz_emitter *em, struct oz_epoch *ep, bool *ret_committed,
                                 struct oz_error *err)
{
    OZ_TRY(open_transaction(em, err));
    int64_t start = oz_monotonic_us();
    OZ_TRY(produce_changes(em, ep, err));
    OZ_TRY(produce_ledger(em, ep, err));
    take_known_ends(em, ep);
    OZ_TRY(ask_ends(em, ep, err));
    OZ_TRY(commit(em, ep, err));
    em->open = em->meta_is_due = false;
    em->after = ep->number;
    ep->pos.epoch = ep->number;
    ep->pos.time_us = oz_wall_us();
    int64_t took = oz_monotonic_us() - start;
    pthread_mutex_lock(&em->mutex);
    em->committed = ep->number;
    oz_positions_copy(&em->committed_pos, &ep->pos);
    em->stats.commits++;
    oz_histogram_add(&em->commit_us, took);
    pthread_cond_broadcast(&em->changed);
    pthread_mutex_unlock(&em->mutex);
    em->n_held = ep->flush ? 0 : em->n_held + 1;
    em->held_bytes = ep->flush ? 0 : em->held_bytes + epoch_bytes(em, ep);
    *ret_committed = true;
    return ep->flush ? note_ends(em, ep, err) : OZ_OK;
}

/* Everything queued before was thrown away. What is committed and not stored is written now: rows
 * are read from the store again after an abort. */
static enum oz_status emit_abort(struct oz_emitter *em, struct oz_epoch *ep, struct oz_error *err)
{
    OZ_TRY(injected(OZ_FAULT_ABORT_START, err));
    if (em->config.exactly_once) OZ_TRY(oz_sink_abort(em->config.sink, err));
    em->open = false;
    ep->ends_abort = true;
    pthread_mutex_lock(&em->mutex);
    oz_positions_copy(&ep->pos, &em->committed_pos);
    ep->number = em->committed;
    em->stats.aborts++;
    pthread_mutex_unlock(&em->mutex);
    ep->flush = true;
    em->n_held = 0;
    em->held_bytes = 0;
    return OZ_OK;
}

static void recycle_box(struct oz_emitter *em, struct item *item)
{
    if (item->bytes > kept_bytes(em, OZ_EMITTER_BOXES)) oz_outbox_shrink(item->box);
    pthread_mutex_lock(&em->mutex);
    em->waiting_bytes -= item->bytes;
    pthread_cond_broadcast(&em->changed);
    pthread_mutex_unlock(&em->mutex);
    put_back(&em->free_boxes, item->box);
}

static void handle(struct oz_emitter *em, struct item *item)
{
    struct oz_error err = {0};
    enum oz_status status = OZ_OK;
    bool to_store = false;
    if (item->kind == ITEM_ABORT) {
        status = emit_abort(em, item->epoch, &err);
        to_store = status == OZ_OK;
    } else if (!failed(em)) {
        if (item->kind == ITEM_BOX)
            status = emit_box(em, item->box, &err);
        else
            status = emit_epoch(em, item->epoch, &to_store, &err);
    }
    if (status != OZ_OK && item->kind != ITEM_ABORT) fail(em, status, &err);
    if (item->box) recycle_box(em, item);
    if (item->epoch) {
        if (to_store)
            put_back(&em->to_store, item->epoch);
        else
            recycle_epoch(em, item->epoch);
    }
    if (item->kind == ITEM_ABORT && !to_store) {
        pthread_mutex_lock(&em->mutex);
        em->abort_status = status == OZ_ABORT ? OZ_BROKER : status;
        em->abort_err = err;
        em->aborting = false;
        pthread_cond_broadcast(&em->changed);
        pthread_mutex_unlock(&em->mutex);
    }
    put_back(&em->free_items, item);
}

/* What is committed does not wait for the next epoch to be stored: there may be none for long. */
static void flush_when_idle(struct oz_emitter *em)
{
    void *item;
    if (!em->n_held || failed(em) || oz_monotonic_us() - em->flushed_at_us < em->config.flush_us ||
        !oz_queue_try_pop(&em->free_epochs, &item))
        return;
    struct oz_epoch *ep = item;
    pthread_mutex_lock(&em->mutex);
    oz_positions_copy(&ep->pos, &em->committed_pos);
    ep->number = em->committed;
    pthread_mutex_unlock(&em->mutex);
    ep->flush = true;
    em->n_held = 0;
    em->held_bytes = 0;
    em->flushed_at_us = oz_monotonic_us();
    put_back(&em->to_store, ep);
}

static void *emit_main(void *arg)
{
    struct oz_emitter *em = arg;
    void *item;
    enum oz_queue_result result;
    pthread_setname_np(pthread_self(), "ouzel-emit");
    do {
        result = oz_queue_pop(&em->to_emit, em->config.flush_us, &item);
        if (result == OZ_QUEUE_ITEM)
            handle(em, item);
        else if (result == OZ_QUEUE_TIMEOUT)
            flush_when_idle(em);
    } while (result != OZ_QUEUE_CLOSED);
    return NULL;
}

/* ---- the store's thread */

static enum oz_status store_held(struct oz_emitter *em, const struct oz_epoch *last,
                                 uint64_t *ret_parts, struct oz_error *err)
{
    const struct oz_sealed *sealed[OZ_EMITTER_EPOCHS * OZ_WORKERS_MAX];
    size_t n = 0;
    *ret_parts = 0;
    for (size_t i = 0; i < em->n_to_write; i++)
        for (uint32_t w = 0; w < em->n_workers; w++) {
            sealed[n++] = &em->held[i]->sealed[w];
            *ret_parts += em->held[i]->sealed[w].n_parts;
        }
    enum oz_fault_effect effect = oz_fault(OZ_FAULT_STORE_START);
    if (effect == OZ_FAULT_FAIL)
        OZ_FAIL(err, OZ_IO, "the fault point store-start was told to fail");
    if (effect != OZ_FAULT_SKIP)
        OZ_TRY(oz_store_write(em->config.store, sealed, n, &last->pos, err));
    (void)oz_fault(OZ_FAULT_STORE_DONE);
    if (em->config.exactly_once) return OZ_OK;
    return oz_sink_commit_offsets(em->config.source, &last->pos, err);
}

static void store_epoch(struct oz_emitter *em, struct oz_epoch *ep)
{
    struct oz_error err = {0};
    uint64_t parts = 0;
    em->held[em->n_to_write++] = ep;
    if (!ep->flush) return;
    enum oz_status status = store_held(em, ep, &parts, &err);
    uint64_t number = ep->number;
    bool ends_abort = ep->ends_abort;
    for (size_t i = 0; i < em->n_to_write; i++) recycle_epoch(em, em->held[i]);
    em->n_to_write = 0;
    if (status != OZ_OK)
        fail(em, status == OZ_ABORT ? OZ_BROKER : status, &err);
    else
        oz_engine_stored(em->config.engine, number);
    pthread_mutex_lock(&em->mutex);
    /* An epoch from before an abort may be stored while the abort still waits for its turn. */
    if (ends_abort) em->aborting = false;
    em->stats.stored_parts += parts;
    if (status == OZ_OK) em->stored = number;
    pthread_cond_broadcast(&em->changed);
    pthread_mutex_unlock(&em->mutex);
}

static void *store_main(void *arg)
{
    struct oz_emitter *em = arg;
    void *ep;
    pthread_setname_np(pthread_self(), "ouzel-store");
    while (oz_queue_pop(&em->to_store, -1, &ep) == OZ_QUEUE_ITEM) store_epoch(em, ep);
    return NULL;
}

/* ---- life */

static enum oz_status init_queues(struct oz_emitter *em, struct oz_error *err)
{
    OZ_TRY(oz_queue_init(&em->to_emit, ITEMS, err));
    OZ_TRY(oz_queue_init(&em->to_store, OZ_EMITTER_EPOCHS, err));
    OZ_TRY(oz_queue_init(&em->free_boxes, OZ_EMITTER_BOXES, err));
    OZ_TRY(oz_queue_init(&em->free_epochs, OZ_EMITTER_EPOCHS, err));
    OZ_TRY(oz_queue_init(&em->free_items, ITEMS, err));
    for (int i = 0; i < ITEMS; i++) put_back(&em->free_items, &em->item[i]);
    for (int i = 0; i < OZ_EMITTER_BOXES; i++) {
        OZ_TRY(oz_outbox_init(&em->box[i], em->n_workers, err));
        put_back(&em->free_boxes, &em->box[i]);
    }
    for (int i = 0; i < OZ_EMITTER_EPOCHS; i++) {
        struct oz_epoch *ep = &em->epoch[i];
        const struct oz_positions *shape = em->config.committed;
        ep->sealed = oz_calloc(em->n_workers, sizeof *ep->sealed);
        if (!ep->sealed) return oz_no_memory(err);
        for (uint32_t w = 0; w < em->n_workers; w++) oz_sealed_init(&ep->sealed[w]);
        oz_buf_init(&ep->ledger);
        OZ_TRY(oz_positions_init(&ep->pos, shape->n_partitions, shape->n_sources, shape->n_entities,
                                 err));
        put_back(&em->free_epochs, ep);
    }
    return OZ_OK;
}

static enum oz_status start(struct oz_emitter *em, struct oz_error *err)
{
    const struct oz_positions *shape = em->config.committed;
    OZ_TRY(init_queues(em, err));
    OZ_TRY(oz_positions_init(&em->committed_pos, shape->n_partitions, shape->n_sources,
                             shape->n_entities, err));
    OZ_TRY(oz_positions_init(&em->ends.pos, shape->n_partitions, shape->n_sources,
                             shape->n_entities, err));
    oz_positions_copy(&em->committed_pos, shape);
    if (pthread_create(&em->emit_thread, NULL, emit_main, em))
        OZ_FAIL(err, OZ_NO_MEMORY, "cannot start a thread");
    em->emit_started = true;
    if (pthread_create(&em->store_thread, NULL, store_main, em))
        OZ_FAIL(err, OZ_NO_MEMORY, "cannot start a thread");
    em->store_started = true;
    return OZ_OK;
}

enum oz_status oz_emitter_new(const struct oz_emitter_config *config,
                              struct oz_emitter **ret_emitter, struct oz_error *err)
{
    struct oz_emitter *em = oz_calloc(1, sizeof *em);
    if (!em) return oz_no_memory(err);
    em->config = *config;
    em->n_workers = oz_engine_n_workers(config->engine);
    em->flushed_at_us = oz_monotonic_us();
    em->meta_is_due = true;
    em->after = config->ledger_after;
    em->sealed = em->committed = em->stored = oz_engine_epoch(config->engine) - 1;
    pthread_mutex_init(&em->mutex, NULL);
    pthread_cond_init(&em->changed, NULL);
    enum oz_status status = start(em, err);
    if (status != OZ_OK) {
        oz_emitter_free(em);
        return status;
    }
    *ret_emitter = em;
    return OZ_OK;
}

void oz_emitter_free(struct oz_emitter *em)
{
    if (!em) return;
    if (em->emit_started) {
        oz_queue_close(&em->to_emit);
        pthread_join(em->emit_thread, NULL);
    }
    if (em->store_started) {
        oz_queue_close(&em->to_store);
        pthread_join(em->store_thread, NULL);
    }
    for (int i = 0; i < OZ_EMITTER_BOXES; i++) oz_outbox_clear(&em->box[i]);
    for (int i = 0; i < OZ_EMITTER_EPOCHS; i++) {
        for (uint32_t w = 0; em->epoch[i].sealed && w < em->n_workers; w++)
            oz_sealed_clear(&em->epoch[i].sealed[w]);
        oz_free(em->epoch[i].sealed);
        oz_positions_clear(&em->epoch[i].pos);
        oz_buf_clear(&em->epoch[i].ledger);
    }
    oz_positions_clear(&em->committed_pos);
    oz_positions_clear(&em->ends.pos);
    oz_queue_clear(&em->to_emit);
    oz_queue_clear(&em->to_store);
    oz_queue_clear(&em->free_boxes);
    oz_queue_clear(&em->free_epochs);
    oz_queue_clear(&em->free_items);
    pthread_mutex_destroy(&em->mutex);
    pthread_cond_destroy(&em->changed);
    oz_free(em);
}

/* ---- the main thread's side */

static void *take(struct oz_queue *queue)
{
    void *item = NULL;
    enum oz_queue_result result = oz_queue_pop(queue, -1, &item);
    OZ_ASSERT(result == OZ_QUEUE_ITEM);
    return item;
}

static void send(struct oz_emitter *em, enum item_kind kind, struct oz_outbox *box,
                 struct oz_epoch *epoch)
{
    struct item *item = take(&em->free_items);
    *item = (struct item){kind, box ? oz_outbox_bytes(box) : 0, box, epoch};
    pthread_mutex_lock(&em->mutex);
    em->waiting_bytes += item->bytes;
    pthread_mutex_unlock(&em->mutex);
    bool taken = oz_queue_push(&em->to_emit, item);
    OZ_ASSERT(taken);
}

struct oz_outbox *oz_emitter_outbox(struct oz_emitter *em)
{
    pthread_mutex_lock(&em->mutex);
    while (em->waiting_bytes > em->config.bytes) pthread_cond_wait(&em->changed, &em->mutex);
    pthread_mutex_unlock(&em->mutex);
    return take(&em->free_boxes);
}

void oz_emitter_send(struct oz_emitter *em, struct oz_outbox *box)
{
    send(em, ITEM_BOX, box, NULL);
}
struct oz_epoch *oz_emitter_epoch(struct oz_emitter *em) { return take(&em->free_epochs); }

void oz_emitter_seal(struct oz_emitter *em, struct oz_epoch *epoch)
{
    pthread_mutex_lock(&em->mutex);
    em->sealed = epoch->number;
    pthread_mutex_unlock(&em->mutex);
    send(em, ITEM_EPOCH, NULL, epoch);
}

bool oz_emitter_committing(struct oz_emitter *em)
{
    pthread_mutex_lock(&em->mutex);
    bool is = em->status == OZ_OK && em->committed < em->sealed;
    pthread_mutex_unlock(&em->mutex);
    return is;
}

enum oz_status oz_emitter_status(struct oz_emitter *em, struct oz_error *err)
{
    pthread_mutex_lock(&em->mutex);
    enum oz_status status = em->status;
    if (status != OZ_OK && err) *err = em->err;
    pthread_mutex_unlock(&em->mutex);
    return status;
}

static enum oz_status wait_for(struct oz_emitter *em, const uint64_t *number, struct oz_error *err)
{
    pthread_mutex_lock(&em->mutex);
    while (em->status == OZ_OK && *number < em->sealed) pthread_cond_wait(&em->changed, &em->mutex);
    enum oz_status status = em->status;
    if (status != OZ_OK && err) *err = em->err;
    pthread_mutex_unlock(&em->mutex);
    return status;
}

enum oz_status oz_emitter_wait_committed(struct oz_emitter *em, struct oz_error *err)
{
    return wait_for(em, &em->committed, err);
}

enum oz_status oz_emitter_wait_stored(struct oz_emitter *em, struct oz_error *err)
{
    return wait_for(em, &em->stored, err);
}

enum oz_status oz_emitter_abort(struct oz_emitter *em, struct oz_positions *ret_pos,
                                struct oz_error *err)
{
    struct oz_epoch *ep = take(&em->free_epochs);
    pthread_mutex_lock(&em->mutex);
    OZ_ASSERT(em->status == OZ_ABORT);
    em->aborting = true;
    em->abort_status = OZ_OK;
    pthread_mutex_unlock(&em->mutex);
    send(em, ITEM_ABORT, NULL, ep);
    pthread_mutex_lock(&em->mutex);
    struct oz_error why = em->err;
    while (em->aborting) pthread_cond_wait(&em->changed, &em->mutex);
    enum oz_status status = em->abort_status;
    if (status != OZ_OK)
        why = em->abort_err;
    else if (em->stored != em->committed)
        status = OZ_BROKER;
    if (status == OZ_OK) {
        em->status = OZ_OK;
        em->sealed = em->committed;
        oz_positions_copy(ret_pos, &em->committed_pos);
    } else if (err)
        *err = why;
    pthread_mutex_unlock(&em->mutex);
    return status == OZ_OK
               ? OZ_OK
               : oz_error_set(err, status, "the abort did not go through: %s", why.message);
}

void oz_emitter_restart(struct oz_emitter *em, const struct oz_positions *committed)
{
    pthread_mutex_lock(&em->mutex);
    OZ_ASSERT(em->status == OZ_OK && em->sealed == em->stored);
    oz_positions_copy(&em->committed_pos, committed);
    em->meta_is_due = true;
    pthread_mutex_unlock(&em->mutex);
}

void oz_emitter_fail(struct oz_emitter *em, const char *why)
{
    struct oz_error err = {0};
    fail(em, oz_error_set(&err, OZ_ABORT, "%s", why), &err);
}

void oz_emitter_get_stats(struct oz_emitter *em, struct oz_emitter_stats *ret_stats)
{
    pthread_mutex_lock(&em->mutex);
    *ret_stats = em->stats;
    ret_stats->commit_us_p50 = oz_histogram_quantile(&em->commit_us, 0.5);
    ret_stats->commit_us_p99 = oz_histogram_quantile(&em->commit_us, 0.99);
    pthread_mutex_unlock(&em->mutex);
}
