/* One batch of the ledger, read again: the records of its ranges in the order of the merge rule.
 * Threads: one. Ownership: records are borrowed from the log until released. */
#ifndef OZ_PIPELINES_RUN_RECOMPUTE_BATCH_H
#define OZ_PIPELINES_RUN_RECOMPUTE_BATCH_H
#include "pipelines/run/ledger_record.h"

struct oz_recompute_batch {
    const struct oz_program *prg;
    struct oz_record *record; /* [n], merged */
    size_t n, cap;
    /* by range */
    struct oz_record *read; /* range after range */
    int64_t *time_ms;       /* of each in `read` */
    size_t *first;          /* [ranges + 1], into `read` */
    size_t n_read, cap_read, cap_time, cap_first;
};

enum oz_status oz_recompute_batch_init(struct oz_recompute_batch *batch,
                                       const struct oz_program *program,
                                       struct oz_error *err) OZ_MUST_USE;
void oz_recompute_batch_clear(struct oz_recompute_batch *batch, struct oz_kafka_log *log);
/* `log` is of the source topics, in the pipeline's order. OZ_LOST: a record is not there. On
 * failure what was read is released. */
enum oz_status oz_recompute_batch_read(struct oz_recompute_batch *batch, struct oz_kafka_log *log,
                                       const struct oz_ledger_range *range, size_t n_ranges,
                                       struct oz_error *err) OZ_MUST_USE;
void oz_recompute_batch_release(struct oz_recompute_batch *batch, struct oz_kafka_log *log);
#endif
