/* Ledger records as they are read: from bytes to numbers, for a replay and for a start.
 * Layout: batch b has range[batch[b].first, batch[b].first + batch[b].n).
 * Threads: one. Ownership: a record's arrays are its own and are used again by the next parse.
 * Errors: OZ_CORRUPT for bytes that are no ledger record of this pipeline. */
#ifndef OZ_PIPELINES_RUN_LEDGER_RECORD_H
#define OZ_PIPELINES_RUN_LEDGER_RECORD_H
#include "pipelines/run/program.h"
#include "stream/kafka_log.h"

struct oz_ledger_range {
    uint32_t source, partition;
    int64_t from, to; /* [from, to) */
};
struct oz_ledger_span { /* a batch */
    size_t first, n;
    int64_t now_us; /* what bounded its events' times */
};
struct oz_ledger_model {
    char name[256], sha256[65];
};

struct oz_ledger_record {
    uint64_t epoch, after; /* after: the epoch that it goes on from, 0: none */
    char instance[256], config[65];
    struct oz_ledger_model model[OZ_MODELS_MAX];
    uint32_t n_models;
    uint64_t n_scores, n_alerts, n_dead, n_parts;
    bool cut; /* its batches were too many for a record */
    struct oz_ledger_span *batch;
    size_t n_batches, cap_batches;
    struct oz_ledger_range *range;
    size_t n_ranges, cap_ranges;
    uint64_t ends_epoch; /* of `ends`; 0: it has none */
    int64_t *ends;       /* [n_partitions x n_entities]: where the changelogs ended after it */
    size_t cap_ends;
};

void oz_ledger_record_clear(struct oz_ledger_record *record);
enum oz_status oz_ledger_record_parse(const struct oz_program *program, uint32_t n_partitions,
                                      const uint8_t *bytes, size_t n,
                                      struct oz_ledger_record *record,
                                      struct oz_error *err) OZ_MUST_USE;
/* The number of the instance's newest epoch in the ledger, 0: it has none. */
enum oz_status oz_ledger_last_epoch(const struct oz_kafka_config *client, const char *topic,
                                    const char *instance, uint32_t n_partitions,
                                    bool committed_only, const atomic_bool *stop,
                                    uint64_t *ret_epoch, struct oz_error *err) OZ_MUST_USE;
#endif
