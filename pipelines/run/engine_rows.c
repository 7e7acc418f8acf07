#include "base/hash.h"
#include "features/row_retire.h"
#include "pipelines/run/engine_inside.h"

enum { PREFETCH_ROW = 16, PREFETCH_RINGS = 8 };

/* The records of one entity whose keys are this worker's, in order. */
static size_t my_records(struct oz_engine *eng, unsigned number, uint32_t e)
{
    struct oz_engine_worker *w = &eng->worker[number];
    const struct oz_key *key = eng->batch.key[e];
    size_t n = 0;
    for (size_t i = 0; i < eng->batch.n_records; i++) {
        if (!key[i].data || oz_engine_worker_of(eng, key[i].hash) != number) continue;
        w->mine[n] = (uint32_t)i;
        w->key[n++] = key[i];
    }
    return n;
}

static void event_of(const struct oz_batch *bat, const struct oz_ring_plan *ring,
                     const struct oz_schema *schema, uint32_t row, uint32_t e, uint64_t *value,
                     struct oz_row_event *ret_event)
{
    const struct oz_table *table = &bat->table[ring->source];
    ret_event->time_us = table->column[schema->time].i64[row];
    ret_event->id[0] = ret_event->id[1] = 0;
    if (ring->id_bytes == 8) ret_event->id[0] = (uint64_t)table->column[schema->id].i64[row];
    if (ring->id_bytes == 16) {
        const struct oz_str *s = &table->column[schema->id].str[row];
        struct oz_u128 h = oz_hash128(s->data ? s->data : "", s->len);
        ret_event->id[0] = h.lo;
        ret_event->id[1] = h.hi;
    }
    for (uint32_t v = 0; v < ring->n_values; v++) value[v] = bat->values[ring->source][e][v][row];
    ret_event->value = value;
}

static void count_push(struct oz_engine_worker *w, uint32_t e, unsigned flags)
{
    w->pushes++;
    if (OZ_LIKELY(!(flags & (OZ_PUSH_LATE | OZ_PUSH_SATURATED)))) return;
    w->late[e] += !!(flags & OZ_PUSH_LATE);
    w->saturated += !!(flags & OZ_PUSH_SATURATED);
}

static enum oz_status push_mine(struct oz_engine_worker *w, struct oz_engine *eng, uint32_t e,
                                size_t n)
{
    struct oz_batch *bat = &eng->batch;
    const struct oz_entity_plan *ent = &eng->plan->entity[e];
    const struct oz_row_layout *layout = eng->prg->layout[e];
    uint64_t value[OZ_RING_VALUES_MAX];
    struct oz_row_event ev;
    uint32_t ring_of[OZ_SOURCES_MAX];
    for (uint32_t s = 0; s < eng->plan->n_sources; s++) ring_of[s] = UINT32_MAX;
    for (uint32_t r = 0; r < ent->n_rings; r++) ring_of[ent->ring[r].source] = r;
    for (size_t k = 0; k < n; k++) {
        if (k + PREFETCH_ROW < n) oz_row_prefetch(layout, w->entity_row[k + PREFETCH_ROW]);
        if (k + PREFETCH_RINGS < n)
            oz_row_prefetch_rings(layout, w->entity_row[k + PREFETCH_RINGS]);
        uint32_t i = w->mine[k], source = bat->record[i].source, row = bat->row[i];
        unsigned flags = 0;
        ev.ring = ring_of[source];
        bat->entity_row[e][i] = w->entity_row[k];
        if (ev.ring == UINT32_MAX) continue;
        event_of(bat, &ent->ring[ev.ring], eng->prg->schema[source], row, e, value, &ev);
        bool scored = ent->ring[ev.ring].scored;
        OZ_TRY(oz_row_push(layout, w->entity_row[k], oz_cache_io(w->cache[e], w->entity_row[k]),
                           &ev, scored ? w->aggregate : NULL, &flags, &w->err));
        if (flags & OZ_PUSH_CHANGED) oz_cache_change(w->cache[e], w->entity_row[k]);
        bat->push_flags[e][i] = (uint8_t)flags;
        count_push(w, e, flags);
        for (uint32_t a = 0; scored && a < ent->n_aggregates; a++)
            bat->aggregate[ent->first_aggregate + a][row] = w->aggregate[a];
    }
    return OZ_OK;
}

static enum oz_status rows_of_worker(struct oz_engine_worker *w, struct oz_engine *eng,
                                     unsigned number)
{
    for (uint32_t e = 0; e < eng->plan->n_entities; e++) {
        if (!oz_engine_on_leg(eng, e)) continue;
        size_t n = my_records(eng, number, e);
        OZ_TRY(oz_cache_fetch(w->cache[e], w->key, n, w->entity_row, &w->err));
        OZ_TRY(push_mine(w, eng, e, n));
    }
    return OZ_OK;
}

void oz_engine_rows(void *ctx, unsigned number)
{
    struct oz_engine *eng = ctx;
    struct oz_engine_worker *w = &eng->worker[number];
    int64_t at = oz_monotonic_us();
    w->status = rows_of_worker(w, eng, number);
    oz_engine_stage_done(w, OZ_STAGE_ROWS, &at);
}

bool oz_engine_alert(struct oz_engine *eng, const struct oz_batch *bat, size_t record,
                     uint32_t rule, int64_t time_us, uint32_t *ret_held_back)
{
    int e = eng->prg->suppress_entity[rule];
    *ret_held_back = 0;
    void *row = e < 0 ? NULL : bat->entity_row[e][record];
    if (!row) return true;
    struct oz_engine_worker *w = &eng->worker[oz_engine_worker_of(eng, bat->key[e][record].hash)];
    bool out = oz_row_alert(eng->prg->layout[e], row, (uint32_t)eng->prg->suppress_slot[rule],
                            time_us, eng->prg->pipeline.rule[rule].suppress_us, ret_held_back);
    oz_cache_change(w->cache[e], row);
    return out;
}

static enum oz_status retire_mine(struct oz_engine_worker *w, struct oz_engine *eng,
                                  unsigned number)
{
    uint32_t e = eng->retire.entity;
    const struct oz_row_layout *layout = eng->prg->layout[e];
    size_t n = 0;
    w->n_retired = 0;
    for (size_t i = 0; i < eng->retire.n; i++) {
        if (oz_engine_worker_of(eng, eng->retire.key[i].hash) != number) continue;
        w->mine[n] = (uint32_t)i;
        w->key[n++] = eng->retire.key[i];
    }
    if (!n) return OZ_OK;
    OZ_TRY(oz_cache_fetch(w->cache[e], w->key, n, w->entity_row, &w->err));
    for (size_t k = 0; k < n; k++) {
        void *row = w->entity_row[k];
        if (oz_row_use_ends_us(layout, row) > eng->retire.clock_us[w->mine[k]] ||
            oz_row_is_empty(layout, row))
            continue;
        OZ_TRY(oz_row_retire(layout, row, oz_cache_io(w->cache[e], row), &w->err));
        oz_cache_change(w->cache[e], row);
        w->n_retired++;
    }
    return OZ_OK;
}

static void retire_phase(void *ctx, unsigned number)
{
    struct oz_engine *eng = ctx;
    eng->worker[number].status = retire_mine(&eng->worker[number], eng, number);
}

enum oz_status oz_engine_retire(struct oz_engine *eng, uint32_t entity, const struct oz_key *key,
                                const int64_t *clock_us, size_t n, size_t *ret_n,
                                struct oz_error *err)
{
    OZ_ASSERT(entity < eng->plan->n_entities && n <= eng->batch.cap_rows);
    eng->retire.entity = entity;
    eng->retire.key = key;
    eng->retire.clock_us = clock_us;
    eng->retire.n = n;
    OZ_TRY(oz_engine_phase(eng, retire_phase, err));
    *ret_n = 0;
    for (uint32_t w = 0; w < eng->n_workers; w++) *ret_n += eng->worker[w].n_retired;
    return OZ_OK;
}
