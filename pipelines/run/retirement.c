#include "pipelines/run/retirement.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/instant.h"
#include "features/row_retire.h"
#include "pipelines/run/row_clock.h"
#include "state/sweeper.h"

enum { STEP_ROWS = 256, BURST_SHARE = 20 };

struct oz_retirement {
    struct oz_retirement_config config;
    struct oz_row_clock *clock;
    struct oz_sweeper *sweeper;
    struct oz_swept *swept; /* in hand, [0, at) done */
    size_t at, n_right;
    double allowed; /* rows that may go now */
    int64_t allowed_at_us;
    uint64_t rows;
    struct oz_key key[STEP_ROWS];
    int64_t clock_us[STEP_ROWS];
};

static bool is_due(void *ctx, const struct oz_store_row *row)
{
    struct oz_retirement *rt = ctx;
    const struct oz_program *prg = rt->config.program;
    int64_t last_us;
    if (row->entity >= prg->plan->n_entities || row->partition >= rt->config.n_partitions ||
        row->value.len < OZ_PART_HEADER_BYTES)
        return false;
    int64_t ends_us =
        oz_row_peek_use(prg->layout[row->entity], row->value.data + OZ_PART_HEADER_BYTES,
                        row->value.len - OZ_PART_HEADER_BYTES, &last_us);
    oz_row_clock_learn(rt->clock, row->entity, row->partition, last_us);
    return ends_us <= oz_row_clock_us(rt->clock, row->entity, row->partition);
}

/* Rows may be due, too, that were stored behind the sweeper's back. */
static uint64_t moves(void *ctx)
{
    const struct oz_retirement *rt = ctx;
    return oz_row_clock_moves(rt->clock) + oz_engine_stored_epoch(rt->config.engine);
}

enum oz_status oz_retirement_new(const struct oz_retirement_config *config,
                                 struct oz_retirement **ret_retirement, struct oz_error *err)
{
    struct oz_retirement *rt = oz_calloc(1, sizeof *rt);
    if (!rt) return oz_no_memory(err);
    rt->config = *config;
    rt->allowed_at_us = oz_monotonic_us();
    struct oz_sweeper_config sweeper = {.store = config->store,
                                        .rows_per_s = config->rows_per_s,
                                        .rest_us = config->rest_us,
                                        .is_due = is_due,
                                        .moves = moves,
                                        .ctx = rt};
    enum oz_status status;
    OZ_TRY_OUT(oz_row_clock_new(config->program, config->n_partitions, &rt->clock, err));
    OZ_TRY_OUT(oz_sweeper_new(&sweeper, &rt->sweeper, err));
    *ret_retirement = rt;
    return OZ_OK;
out:
    oz_retirement_free(rt);
    return status;
}

void oz_retirement_free(struct oz_retirement *rt)
{
    if (!rt) return;
    oz_sweeper_free(rt->sweeper);
    oz_row_clock_free(rt->clock);
    oz_free(rt);
}

void oz_retirement_batch(struct oz_retirement *rt, const struct oz_batch *batch)
{
    if (rt) oz_row_clock_batch(rt->clock, batch);
}

void oz_retirement_abort(struct oz_retirement *rt)
{
    if (rt) oz_row_clock_reset(rt->clock);
}

/* What the rate allows since it was last asked, and some of what it allowed before. */
static size_t allowed_now(struct oz_retirement *rt)
{
    int64_t now = oz_monotonic_us();
    double rate = (double)rt->config.rows_per_s;
    rt->allowed += rate * (double)(now - rt->allowed_at_us) / (double)OZ_US_PER_SECOND;
    rt->allowed_at_us = now;
    double most = OZ_MAX(rate / BURST_SHARE, 1.0);
    rt->allowed = OZ_MIN(rt->allowed, most);
    return OZ_MIN((size_t)rt->allowed,
                  OZ_MIN((size_t)STEP_ROWS, rt->config.program->pipeline.batch_rows));
}

/* The next rows of one entity, those of others' partitions left out. */
static size_t gather(struct oz_retirement *rt, const bool *owned, size_t max)
{
    const struct oz_swept *swept = rt->swept;
    size_t n = 0;
    uint8_t entity = swept->row[rt->at].entity;
    for (; n < max && rt->at < swept->n && swept->row[rt->at].entity == entity; rt->at++) {
        const struct oz_swept_row *row = &swept->row[rt->at];
        if (owned && !owned[row->partition]) continue;
        rt->key[n] = (struct oz_key){.data = row->key,
                                     .len = row->key_len,
                                     .partition = row->partition,
                                     .hash = oz_hash64(row->key, row->key_len)};
        rt->clock_us[n++] = oz_row_clock_us(rt->clock, entity, row->partition);
    }
    return n;
}

enum oz_status oz_retirement_step(struct oz_retirement *rt, const bool *owned, bool *ret_changed,
                                  struct oz_error *err)
{
    size_t n_retired = 0;
    *ret_changed = false;
    if (!rt) return OZ_OK;
    size_t max = allowed_now(rt);
    if (!max) return OZ_OK;
    if (!rt->swept) {
        rt->at = rt->n_right = 0;
        OZ_TRY(oz_sweeper_take(rt->sweeper, &rt->swept, err));
        if (!rt->swept) return OZ_OK;
    }
    uint8_t entity = rt->swept->row[rt->at].entity;
    size_t n = gather(rt, owned, max);
    rt->allowed -= (double)n;
    if (n)
        OZ_TRY(
            oz_engine_retire(rt->config.engine, entity, rt->key, rt->clock_us, n, &n_retired, err));
    rt->n_right += n_retired;
    rt->rows += n_retired;
    *ret_changed = n_retired > 0;
    if (rt->at < rt->swept->n) return OZ_OK;
    oz_sweeper_give_back(rt->sweeper, rt->swept, rt->n_right);
    rt->swept = NULL;
    return OZ_OK;
}

void oz_retirement_get_stats(const struct oz_retirement *rt, struct oz_retirement_stats *ret_stats)
{
    *ret_stats = (struct oz_retirement_stats){0};
    if (!rt) return;
    ret_stats->rows = rt->rows;
    ret_stats->rounds = oz_sweeper_rounds(rt->sweeper);
}
