/* A first look at a whole ledger: which record is the epoch that is asked for, what it goes on
 * from, and whether it can be recomputed from the source topics.
 * Threads: one. Ownership: all of it is the survey's own. */
#ifndef OZ_PIPELINES_RUN_LEDGER_SURVEY_H
#define OZ_PIPELINES_RUN_LEDGER_SURVEY_H
#include "pipelines/run/ledger_record.h"

/* What is asked for: an epoch of an instance, or the epoch that had this event. */
struct oz_ledger_wanted {
    const char *instance;
    uint64_t epoch; /* 0: by place */
    uint32_t source, partition;
    int64_t offset;
};

/* Epochs that nothing goes on from: at least once, a start begins again behind the last one that it
 * has in its store, and numbers on. */
struct oz_ledger_thrown {
    uint32_t instance;
    int64_t known_at;       /* offset of the record that says so */
    uint64_t after, behind; /* those between, both excluded */
};

struct oz_ledger_survey {
    struct oz_ledger_record target;
    uint32_t target_partition; /* of the ledger */
    int64_t target_offset;
    uint64_t n_before; /* records of the target's partition up to it */
    bool is_whole;     /* every instance's first record is there */
    char cut_off[256]; /* else: one whose first record is not */
    uint64_t cut_off_at;
    int64_t *first; /* [n_partitions x n_sources]: where the epochs began to read; -1: nowhere */
    /* The newest ends of the changelogs that the target or a record before it has; 0: none. */
    uint64_t ends_epoch, ends_parts; /* parts of all epochs up to it, as far as they are there */
    int64_t *ends;
    char (*instance)[256];
    size_t n_instances, cap_instances;
    struct oz_ledger_thrown *thrown;
    size_t n_thrown, cap_thrown;
};

void oz_ledger_survey_clear(struct oz_ledger_survey *survey);
/* `log` is of the ledger's topic alone; [begin, end) are its bounds. OZ_ENVIRONMENT: the epoch is
 * not there, and what is; OZ_LOST: the ledger no longer has it. */
enum oz_status oz_ledger_survey(const struct oz_program *program, uint32_t n_partitions,
                                struct oz_kafka_log *log, const int64_t *begin, const int64_t *end,
                                const struct oz_ledger_wanted *wanted,
                                struct oz_ledger_survey *ret_survey,
                                struct oz_error *err) OZ_MUST_USE;
/* True for a record before the target that the target's rows do not have. */
bool oz_ledger_is_thrown(const struct oz_ledger_survey *survey,
                         const struct oz_ledger_record *record);
#endif
