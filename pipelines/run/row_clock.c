#include "pipelines/run/row_clock.h"
#include <stdatomic.h>

struct oz_row_clock {
    const struct oz_program *prg;
    uint32_t n_partitions, n_entities;
    _Atomic uint64_t moves;
    _Atomic int64_t us[]; /* [n_entities x n_partitions] */
};

enum oz_status oz_row_clock_new(const struct oz_program *program, uint32_t n_partitions,
                                struct oz_row_clock **ret_clock, struct oz_error *err)
{
    size_t n = (size_t)program->plan->n_entities * n_partitions;
    struct oz_row_clock *clock = oz_calloc(1, sizeof *clock + n * sizeof clock->us[0]);
    if (!clock) return oz_no_memory(err);
    clock->prg = program;
    clock->n_partitions = n_partitions;
    clock->n_entities = program->plan->n_entities;
    oz_row_clock_reset(clock);
    *ret_clock = clock;
    return OZ_OK;
}

void oz_row_clock_free(struct oz_row_clock *clock) { oz_free(clock); }

void oz_row_clock_learn(struct oz_row_clock *clock, uint32_t entity, uint32_t partition,
                        int64_t last_us)
{
    OZ_ASSERT(entity < clock->n_entities && partition < clock->n_partitions);
    _Atomic int64_t *us = &clock->us[(size_t)entity * clock->n_partitions + partition];
    int64_t now = atomic_load_explicit(us, memory_order_relaxed);
    if (OZ_LIKELY(last_us <= now)) return;
    while (last_us > now && !atomic_compare_exchange_weak(us, &now, last_us))
        ;
    atomic_fetch_add_explicit(&clock->moves, 1, memory_order_relaxed);
}

void oz_row_clock_batch(struct oz_row_clock *clock, const struct oz_batch *bat)
{
    uint32_t s = clock->prg->plan->scored_source;
    const struct oz_table *table = &bat->table[s];
    const int64_t *time_us = table->column[clock->prg->schema[s]->time].i64;
    for (size_t row = 0; row < table->n_rows; row++) {
        uint32_t i = bat->record_of[s][row];
        if (bat->fate[i] != OZ_FATE_ROW) continue;
        for (uint32_t e = 0; e < clock->n_entities; e++)
            if (bat->key[e][i].data &&
                (bat->leg == OZ_LEG_ALL || bat->leg == clock->prg->leg_of[e]))
                oz_row_clock_learn(clock, e, bat->key[e][i].partition, time_us[row]);
    }
}

void oz_row_clock_reset(struct oz_row_clock *clock)
{
    for (size_t i = 0; i < (size_t)clock->n_entities * clock->n_partitions; i++)
        atomic_store(&clock->us[i], INT64_MIN);
    atomic_fetch_add(&clock->moves, 1);
}

int64_t oz_row_clock_us(const struct oz_row_clock *clock, uint32_t entity, uint32_t partition)
{
    return atomic_load(&clock->us[(size_t)entity * clock->n_partitions + partition]);
}

uint64_t oz_row_clock_moves(const struct oz_row_clock *clock)
{
    return atomic_load_explicit(&clock->moves, memory_order_relaxed);
}
