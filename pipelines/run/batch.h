/* The events that are processed together, in columns: everything that one batch is on its way from
 * records to scores. Arrays are sized once, for the pipeline's batch.rows, and used again.
 *
 * Layout: records are in merged order; a record of source s has a row in table[s] (row[i]), and the
 * rows of one source are in order too. "Scored row" is a row of the scored source's table. Arrays
 * by scored row or by row are [cap_rows]; arrays by record are [cap_rows].
 * Threads: phases write disjoint ranges (pipelines/run/engine.h says which).
 * Ownership: all of it is the batch's; strings point into the workers' arenas until the next batch.
 * */
#ifndef OZ_PIPELINES_RUN_BATCH_H
#define OZ_PIPELINES_RUN_BATCH_H
#include "pipelines/run/program.h"
#include "state/cache.h"
#include "stream/codec.h"
#include "stream/record.h"

enum oz_fate {                    /* what became of a record */
               OZ_FATE_ROW,       /* it has a row and is in the features */
               OZ_FATE_TOMBSTONE, /* no value: counted and skipped */
               OZ_FATE_DEAD       /* to the dead letters */
};

/* Every leg in one: events that do not travel. */
#define OZ_LEG_ALL UINT32_MAX

/* A dead_stage beyond those of the decoder: the record was condemned before. */
enum { OZ_DEAD_CRASH = OZ_DECODE_TIME + 1 };

struct oz_batch {
    size_t n_records, cap_rows;
    uint32_t leg;             /* OZ_LEG_ALL, or the leg of the exchange that its records are on */
    struct oz_record *record; /* handed back to the source by who got them */
    /* by record */
    uint32_t *row;
    uint8_t *fate, *dead_stage; /* enum oz_fate, enum oz_decode_stage */
    const char **dead_reason;   /* one sentence */
    /* by source */
    struct oz_table table[OZ_SOURCES_MAX];
    uint32_t *record_of[OZ_SOURCES_MAX];                /* [row]: its record */
    uint64_t **values[OZ_SOURCES_MAX][OZ_ENTITIES_MAX]; /* [value][row], NULL without a ring */
    /* by entity, by record */
    struct oz_key *key[OZ_ENTITIES_MAX];
    void **entity_row[OZ_ENTITIES_MAX];
    uint8_t *push_flags[OZ_ENTITIES_MAX]; /* OZ_PUSH_* */
    /* by number, by scored row */
    double **aggregate, **feature, **score;
    uint8_t **rule;
};

enum oz_status oz_batch_init(struct oz_batch *batch, const struct oz_program *program,
                             size_t cap_rows, struct oz_error *err) OZ_MUST_USE;
void oz_batch_clear(struct oz_batch *batch, const struct oz_program *program);
/* What a dead letter's `ouzel.stage` says. */
const char *oz_dead_stage_name(uint8_t dead_stage);
#endif
