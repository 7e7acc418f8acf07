/* The other half of the epoch: outputs and changed rows go to Kafka and then to the store, while
 * the next batches are computed. Two threads: the *emitter* produces, seals and commits (steps 1 to
 * 4 of state/PROTOCOL.md), the *store* thread writes what is committed (step 5).
 *
 *   main    --outbox, epoch-->  emitter  --committed epoch-->  store  --empty epoch-->  main
 *
 * Bounds: OZ_EMITTER_BOXES batches of outputs wait at most, and no more than one beyond
 * config.bytes; one epoch is under commit at a time. Committed rows that are not stored yet take
 * config.bytes and one epoch's more at most.
 * The store is written every state.flush, or when an epoch asks for it; the changelog's end is
 * asked for before that epoch's offsets are sent, so that the store never claims an offset that it
 * does not have.
 * Threads: every function is the main thread's. Errors: the first failure stops the emitter, which
 * then throws away what comes; oz_emitter_status() tells. OZ_ABORT: call oz_emitter_abort() and
 * read again from the committed positions; all others end the run. */
#ifndef OZ_PIPELINES_RUN_EMITTER_H
#define OZ_PIPELINES_RUN_EMITTER_H
#include "pipelines/run/engine.h"
#include "pipelines/run/ledger.h"
#include "pipelines/run/outputs.h"

enum { OZ_EMITTER_BOXES = 24, OZ_EMITTER_EPOCHS = 64 };

/* A sealed epoch on its way. */
struct oz_epoch {
    uint64_t number;
    struct oz_sealed *sealed; /* [n_workers] */
    /* source: next offsets to read; changelog: filled when it is flushed */
    struct oz_positions pos;
    struct oz_buf ledger; /* its record, without the end */
    bool flush;           /* the store is to be written with this one */
    bool ends_abort;      /* it came with an abort, which is over when it is stored */
};

struct oz_emitter_config {
    const struct oz_program *program;
    struct oz_engine *engine; /* told what is stored */
    struct oz_store *store;
    struct oz_sink *sink;
    struct oz_source *source;
    struct oz_changelog *changelog;
    uint32_t n_partitions;
    bool exactly_once;
    int64_t flush_us;
    size_t bytes;                         /* of outputs that wait, and of rows that do */
    const struct oz_positions *committed; /* at start; copied */
    /* [n_partitions], borrowed like the text: their meta records go with the first transaction that
     * commits */
    const bool *told;
    const char *const *meta;
    struct oz_output_topic ledger;
    uint64_t ledger_after; /* the epoch that the first one goes on from */
};

struct oz_emitter;
enum oz_status oz_emitter_new(const struct oz_emitter_config *config,
                              struct oz_emitter **ret_emitter, struct oz_error *err) OZ_MUST_USE;
/* ends the threads; what is not committed is aborted */
void oz_emitter_free(struct oz_emitter *em);

/* An empty outbox; waits while all are on their way. */
struct oz_outbox *oz_emitter_outbox(struct oz_emitter *em);
void oz_emitter_send(struct oz_emitter *em, struct oz_outbox *box);
/* An empty epoch; waits while all are held for the store. */
struct oz_epoch *oz_emitter_epoch(struct oz_emitter *em);
void oz_emitter_seal(struct oz_emitter *em, struct oz_epoch *epoch);
/* an epoch was sealed and has not been committed */
bool oz_emitter_committing(struct oz_emitter *em);
enum oz_status oz_emitter_status(struct oz_emitter *em, struct oz_error *err) OZ_MUST_USE;
/* Wait until the last sealed epoch is committed, or stored too; or until a failure. */
enum oz_status oz_emitter_wait_committed(struct oz_emitter *em, struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_emitter_wait_stored(struct oz_emitter *em, struct oz_error *err) OZ_MUST_USE;
/* Aborts the transaction, writes what is committed to the store, forgets everything else. Then the
 * emitter is as new and ret_pos says where to read again. */
enum oz_status oz_emitter_abort(struct oz_emitter *em, struct oz_positions *ret_pos,
                                struct oz_error *err) OZ_MUST_USE;

/* When partitions have come or gone, and everything sealed is stored or aborted: where the new ones
 * stand. Looks at config.told and the meta text again. */
void oz_emitter_restart(struct oz_emitter *em, const struct oz_positions *committed);
/* Asks for an abort that nothing but the caller knows a reason for. */
void oz_emitter_fail(struct oz_emitter *em, const char *why);

struct oz_emitter_stats {
    uint64_t commits, aborts, changelog_parts, changelog_bytes, stored_parts;
    int64_t commit_us_p50, commit_us_p99; /* of steps 2 to 4 */
};
void oz_emitter_get_stats(struct oz_emitter *em, struct oz_emitter_stats *ret_stats);
#endif
