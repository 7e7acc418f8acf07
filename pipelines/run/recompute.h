/* An epoch again: its answers recomputed from the ledger, the topics and, where the topics no
 * longer reach back, the changelogs, by the same engine, and compared with what the score and alert
 * topics have. Nothing is written to Kafka or to the state folder: rows live in a temporary folder.
 *
 * The rows as they were before the epoch come
 *   from the source topics   all epochs before it are run in the ledger's order. Needs the ledger
 *                            from its first record on and every offset that those epochs read
 *   from the changelogs      else, exactly once and with one instance: read up to where the ledger
 *                            says that they ended with an epoch not after this one, and the epochs
 *                            behind that are run
 * A changelog is compacted. Either it has as many records as the ledger says that the epochs wrote,
 * and nothing is missing; or only what newer records replaced is, and then a row is as it was
 * exactly if a record of it is there below that end, as the compaction takes older records of a key
 * before newer ones. A row of which there are records behind the end only may have had one before
 * it: where an event needs it, the epoch cannot be recomputed.
 *
 * Threads: the caller's and the workers.
 * Errors: OZ_LOST: what is needed is gone; OZ_FOUND: another definition or model than the epoch's;
 * OZ_ENVIRONMENT: no such topic or epoch; OZ_RETRY: stopped. */
#ifndef OZ_PIPELINES_RUN_RECOMPUTE_H
#define OZ_PIPELINES_RUN_RECOMPUTE_H
#include <stdio.h>

#include "pipelines/run/program.h"

struct oz_recompute_config {
    struct oz_program *program;
    uint64_t epoch;                          /* 0: by id */
    const char *instance;                    /* whose epoch */
    const char *id;                          /* of a score or an alert, NULL: all of the epoch */
    const char *scores_topic, *alerts_topic; /* to compare with; NULL: none */
    bool from_changelog;                     /* do not try the sources first */
    FILE *out;                               /* differences, a line each */
    int64_t broker_wait_us;
    const atomic_bool *stop;
};

struct oz_recompute_result {
    uint64_t epoch,
        from_epoch; /* from_epoch: rows were taken from the changelogs as of it; 0: no */
    char instance[256];
    uint64_t n_epochs_before; /* that were run for the rows */
    uint64_t n_scores, n_alerts, n_differences;
};

enum oz_status oz_recompute(const struct oz_recompute_config *config,
                            struct oz_recompute_result *ret_result,
                            struct oz_error *err) OZ_MUST_USE;
#endif
