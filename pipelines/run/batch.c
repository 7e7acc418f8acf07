#include "pipelines/run/batch.h"

/* n arrays of `each` bytes a row behind one list of pointers; NULL when out of memory. */
static void *array_list(size_t n, size_t rows, size_t each)
{
    void **list = oz_calloc(n + 1, sizeof *list);
    for (size_t i = 0; list && i < n; i++) {
        list[i] = oz_calloc(rows, each);
        if (!list[i]) {
            while (i > 0) oz_free(list[--i]);
            oz_free(list);
            return NULL;
        }
    }
    return list;
}

static void free_list(void *list)
{
    for (void **p = list; p && *p; p++) oz_free(*p);
    oz_free(list);
}

enum oz_status oz_batch_init(struct oz_batch *batch, const struct oz_program *program,
                             size_t cap_rows, struct oz_error *err)
{
    const struct oz_plan *plan = program->plan;
    memset(batch, 0, sizeof *batch);
    batch->cap_rows = cap_rows;
    bool ok = (batch->row = oz_calloc(cap_rows, sizeof *batch->row)) &&
              (batch->fate = oz_calloc(cap_rows, 1)) &&
              (batch->dead_stage = oz_calloc(cap_rows, 1)) &&
              (batch->dead_reason = oz_calloc(cap_rows, sizeof *batch->dead_reason));
    for (uint32_t s = 0; ok && s < plan->n_sources; s++)
        ok = oz_table_init(&batch->table[s], program->schema[s], cap_rows, err) == OZ_OK &&
             (batch->record_of[s] = oz_calloc(cap_rows, sizeof *batch->record_of[s]));
    for (uint32_t e = 0; ok && e < plan->n_entities; e++) {
        ok = (batch->key[e] = oz_calloc(cap_rows, sizeof *batch->key[e])) &&
             (batch->entity_row[e] = oz_calloc(cap_rows, sizeof *batch->entity_row[e])) &&
             (batch->push_flags[e] = oz_calloc(cap_rows, 1));
        for (uint32_t r = 0; ok && r < plan->entity[e].n_rings; r++) {
            const struct oz_ring_plan *ring = &plan->entity[e].ring[r];
            ok = (batch->values[ring->source][e] =
                      array_list(ring->n_values, cap_rows, sizeof(uint64_t)));
        }
    }
    ok = ok && (batch->aggregate = array_list(plan->n_aggregates, cap_rows, sizeof(double))) &&
         (batch->feature = array_list(program->n_features, cap_rows, sizeof(double))) &&
         (batch->score = array_list(program->n_scores, cap_rows, sizeof(double))) &&
         (batch->rule = array_list(program->pipeline.n_rules, cap_rows, 1));
    if (ok) return OZ_OK;
    oz_batch_clear(batch, program);
    return oz_no_memory(err);
}

void oz_batch_clear(struct oz_batch *batch, const struct oz_program *program)
{
    oz_free(batch->row);
    oz_free(batch->fate);
    oz_free(batch->dead_stage);
    oz_free(batch->dead_reason);
    for (uint32_t s = 0; s < program->plan->n_sources; s++) {
        oz_table_clear(&batch->table[s]);
        oz_free(batch->record_of[s]);
        for (uint32_t e = 0; e < program->plan->n_entities; e++) free_list(batch->values[s][e]);
    }
    for (uint32_t e = 0; e < program->plan->n_entities; e++) {
        oz_free(batch->key[e]);
        oz_free(batch->entity_row[e]);
        oz_free(batch->push_flags[e]);
    }
    free_list(batch->aggregate);
    free_list(batch->feature);
    free_list(batch->score);
    free_list(batch->rule);
    memset(batch, 0, sizeof *batch);
}

const char *oz_dead_stage_name(uint8_t dead_stage)
{
    static const char *const name[] = {
        [OZ_DECODE_OK] = "decode", [OZ_DECODE_BAD] = "decode", [OZ_DECODE_KEY] = "key",
        [OZ_DECODE_TIME] = "time", [OZ_DEAD_CRASH] = "crash",
    };
    OZ_ASSERT(dead_stage < OZ_COUNT_OF(name));
    return name[dead_stage];
}
