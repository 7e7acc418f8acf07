/* What each epoch was made of: one JSON record an epoch, in the epoch's own transaction, so that
 * every answer can be recomputed from it and the topics (`ouzel replay`). This is the writing side;
 * pipelines/run/ledger_record.h reads.
 *
 * A batch is written as the offsets [from, to) that each partition gave; `to` is where the next
 * one of that partition begins. The order inside is that of the merge rule (stream/merge.h) over
 * just these ranges. A live merge may have passed over a partition that had nothing yet and whose
 * next record then was older: there the batch is written as two. That changes no answer, as none
 * depends on where batches are cut.
 *
 * Threads: the main one. Ownership: buffers are used again; none is made once they have grown.
 * Limits: an epoch is to be sealed when the ledger says that it is full; one whose record is larger
 * than the client takes all the same has no batches and says `"cut":true`. */
#ifndef OZ_PIPELINES_RUN_LEDGER_H
#define OZ_PIPELINES_RUN_LEDGER_H
#include "pipelines/run/outbox.h"
#include "pipelines/run/program.h"

enum { OZ_LEDGER_BYTES_FULL = 256 << 10 };

struct oz_ledger;
/* `record_bytes_max`: what the client takes of one record. */
enum oz_status oz_ledger_new(const struct oz_program *program, uint32_t n_partitions,
                             size_t record_bytes_max, struct oz_ledger **ret_ledger,
                             struct oz_error *err) OZ_MUST_USE;
void oz_ledger_free(struct oz_ledger *ledger);
/* The next epoch begins at these source offsets; what was noted is forgotten. */
void oz_ledger_begin(struct oz_ledger *ledger, const struct oz_positions *next);
/* A batch in the order in which the engine had it, and the time that bounded its events. */
void oz_ledger_batch(struct oz_ledger *ledger, const struct oz_record *record, size_t n,
                     int64_t now_us);
void oz_ledger_outputs(struct oz_ledger *ledger, const struct oz_outbox *box);
bool oz_ledger_is_full(const struct oz_ledger *ledger);
/* The epoch's record but for its end, into ret_record (reset first); the next epoch begins. */
enum oz_status oz_ledger_seal(struct oz_ledger *ledger, uint64_t epoch, size_t n_parts,
                              struct oz_buf *ret_record, struct oz_error *err) OZ_MUST_USE;

/* Where the changelogs ended when `epoch` was the newest committed one. */
struct oz_ledger_ends {
    uint64_t epoch; /* 0: not known */
    struct oz_positions pos;
};
/* The end of the record: the epoch whose rows this one goes on from, and where the changelogs
 * stood. */
enum oz_status oz_ledger_close(const struct oz_program *program, struct oz_buf *record,
                               uint64_t after, const struct oz_ledger_ends *ends,
                               struct oz_error *err) OZ_MUST_USE;
#endif
