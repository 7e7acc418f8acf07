/* Rows as they were at an earlier epoch, from the changelogs, into a store of one's own; and which
 * rows that cannot be said of.
 * Threads: one. */
#ifndef OZ_PIPELINES_RUN_RECOMPUTE_ROWS_H
#define OZ_PIPELINES_RUN_RECOMPUTE_ROWS_H
#include "pipelines/run/batch.h"
#include "stream/kafka_log.h"

/* Hashes of (entity, partition, key), in a table of its own. */
struct oz_hash_set {
    uint64_t *slot; /* 0: empty */
    size_t n, cap;
};
struct oz_recompute_rows {
    struct oz_hash_set doubtful; /* rows that may have had an older state that is gone */
    uint64_t n_parts;            /* that were read below the ends */
    bool is_whole;               /* as many as the epochs wrote */
};

void oz_recompute_rows_clear(struct oz_recompute_rows *rows);
/* `log` is of the changelogs, by entity. ends: [n_partitions x n_entities]. n_written: parts of all
 * epochs up to there, 0: not known. */
enum oz_status oz_recompute_rows_load(const struct oz_program *program, uint32_t n_partitions,
                                      struct oz_kafka_log *log, const int64_t *ends,
                                      uint64_t n_written, struct oz_store *store,
                                      struct oz_recompute_rows *ret_rows,
                                      struct oz_error *err) OZ_MUST_USE;
/* OZ_LOST when a record of the batch needs a row that is doubtful. */
enum oz_status oz_recompute_rows_check(const struct oz_recompute_rows *rows,
                                       const struct oz_program *program,
                                       const struct oz_batch *batch,
                                       struct oz_error *err) OZ_MUST_USE;
#endif
