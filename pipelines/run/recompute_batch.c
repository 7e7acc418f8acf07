#include "pipelines/run/recompute_batch.h"

#include "stream/merge.h"

enum oz_status oz_recompute_batch_init(struct oz_recompute_batch *batch,
                                       const struct oz_program *program, struct oz_error *err)
{
    memset(batch, 0, sizeof *batch);
    batch->prg = program;
    return oz_grow((void **)&batch->record, &batch->cap, program->pipeline.batch_rows,
                   sizeof *batch->record, err);
}

void oz_recompute_batch_release(struct oz_recompute_batch *batch, struct oz_kafka_log *log)
{
    if (batch->n_read) oz_kafka_log_release(log, batch->read, batch->n_read);
    batch->n = batch->n_read = 0;
}

void oz_recompute_batch_clear(struct oz_recompute_batch *batch, struct oz_kafka_log *log)
{
    oz_recompute_batch_release(batch, log);
    oz_free(batch->record);
    oz_free(batch->read);
    oz_free(batch->time_ms);
    oz_free(batch->first);
    memset(batch, 0, sizeof *batch);
}

static enum oz_status read_range(struct oz_recompute_batch *batch, struct oz_kafka_log *log,
                                 const struct oz_ledger_range *r, struct oz_error *err)
{
    int64_t last = -1;
    bool found = true;
    oz_kafka_log_seek(log, r->source, r->partition, r->from);
    while (last < r->to - 1 && found) {
        OZ_TRY(oz_grow((void **)&batch->read, &batch->cap_read, batch->n_read + 1,
                       sizeof *batch->read, err));
        OZ_TRY(oz_grow((void **)&batch->time_ms, &batch->cap_time, batch->n_read + 1,
                       sizeof *batch->time_ms, err));
        struct oz_record *rec = &batch->read[batch->n_read];
        OZ_TRY(oz_kafka_log_next(log, r->source, r->partition, r->to, rec, &found, err));
        if (!found) break;
        last = rec->offset;
        batch->time_ms[batch->n_read++] = rec->timestamp_ms;
    }
    /* A range ends with a record that was read then. */
    if (last == r->to - 1) return OZ_OK;
    OZ_FAIL(err, OZ_LOST, "%s partition %u: the record at offset %lld is gone",
            batch->prg->pipeline.source[r->source].topic, r->partition, (long long)r->to - 1);
}

/* Lanes are numbered in the order of ties: unscored sources first, then source, partition, which is
 * the ranges' own order. */
static enum oz_status merge(struct oz_recompute_batch *batch, const struct oz_ledger_range *range,
                            size_t n_ranges, struct oz_error *err)
{
    struct oz_merge merge;
    uint32_t lane, n_lanes = 0;
    OZ_TRY(
        oz_grow((void **)&batch->record, &batch->cap, batch->n_read, sizeof *batch->record, err));
    size_t *at = oz_calloc(n_ranges, sizeof *at); /* by lane, into `read` */
    if (!at) return oz_no_memory(err);
    enum oz_status status = oz_merge_init(&merge, (uint32_t)n_ranges, 0, 0, err);
    if (status != OZ_OK) {
        oz_free(at);
        return status;
    }
    for (int scored = 0; scored <= 1; scored++)
        for (size_t r = 0; r < n_ranges; r++) {
            if (batch->prg->schema[range[r].source]->scored != (scored == 1)) continue;
            at[n_lanes] = batch->first[r];
            oz_merge_offer(&merge, n_lanes, batch->time_ms + batch->first[r],
                           batch->first[r + 1] - batch->first[r]);
            oz_merge_end(&merge, n_lanes++);
        }
    size_t n;
    while ((n = oz_merge_take(&merge, SIZE_MAX, 0, &lane)) > 0) {
        memcpy(batch->record + batch->n, batch->read + at[lane], n * sizeof *batch->record);
        at[lane] += n;
        batch->n += n;
    }
    oz_merge_clear(&merge);
    oz_free(at);
    OZ_ASSERT(batch->n == batch->n_read);
    return OZ_OK;
}

static enum oz_status read_all(struct oz_recompute_batch *batch, struct oz_kafka_log *log,
                               const struct oz_ledger_range *range, size_t n_ranges,
                               struct oz_error *err)
{
    OZ_TRY(oz_grow((void **)&batch->first, &batch->cap_first, n_ranges + 1, sizeof *batch->first,
                   err));
    for (size_t r = 0; r < n_ranges; r++) {
        batch->first[r] = batch->n_read;
        OZ_TRY(read_range(batch, log, &range[r], err));
    }
    batch->first[n_ranges] = batch->n_read;
    return n_ranges ? merge(batch, range, n_ranges, err) : OZ_OK;
}

enum oz_status oz_recompute_batch_read(struct oz_recompute_batch *batch, struct oz_kafka_log *log,
                                       const struct oz_ledger_range *range, size_t n_ranges,
                                       struct oz_error *err)
{
    batch->n = batch->n_read = 0;
    enum oz_status status = read_all(batch, log, range, n_ranges, err);
    if (status != OZ_OK) oz_recompute_batch_release(batch, log);
    return status;
}
