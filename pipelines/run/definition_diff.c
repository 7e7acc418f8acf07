#include "features/row_layout.h"
#include "pipelines/run/definition.h"
#include "pipelines/run/definition_facts.h"

/* What becomes of a newer aggregate: in the order of a reader's interest. */
enum fate { KEPT, COMPUTED, WARMING };

static const struct oz_aggregate *find_aggregate(const struct oz_entity_plan *plan,
                                                 const char *text)
{
    for (uint32_t a = 0; a < plan->n_aggregates; a++)
        if (!strcmp(plan->aggregate[a].text, text)) return &plan->aggregate[a];
    return NULL;
}

static int find_ring(const struct oz_program *prg, uint32_t e, const char *source)
{
    const struct oz_entity_plan *plan = &prg->plan->entity[e];
    for (uint32_t i = 0; i < plan->n_rings; i++)
        if (!strcmp(prg->schema[plan->ring[i].source]->name, source)) return (int)i;
    return -1;
}

static int find_value(const struct oz_ring_plan *ring, const char *text)
{
    for (uint32_t v = 0; v < ring->n_values; v++)
        if (!strcmp(ring->value[v].text, text)) return (int)v;
    return -1;
}

/* Totals over all time take what an aggregate reads of them, or they lack the events that went. */
static bool has_totals(const struct oz_row_layout *older, uint32_t ring, int value,
                       const struct oz_value_layout *wanted)
{
    if (!older->ring[ring].all_time) return false;
    if (value < 0) return true;
    const struct oz_value_layout *v = &older->ring[ring].value[value];
    return (!wanted->sum_at || v->sum_at) && (wanted->extreme < 0 || v->extreme >= 0) &&
           (!wanted->outlives || v->outlives) && (!wanted->count_at || v->count_at);
}

static enum fate fate_of(const struct oz_program *older, const struct oz_program *newer, uint32_t e,
                         const struct oz_aggregate *a, const char **ret_why)
{
    const struct oz_entity_plan *plan = &newer->plan->entity[e];
    const struct oz_ring_plan *ring = &plan->ring[a->ring];
    *ret_why = "";
    if (find_aggregate(&older->plan->entity[e], a->text)) return KEPT;
    int was = find_ring(older, e, newer->schema[ring->source]->name), value = -1;
    *ret_why = ": its source's events were not kept";
    if (was < 0) return WARMING;
    if (a->value >= 0) {
        value = find_value(&older->plan->entity[e].ring[was], ring->value[a->value].text);
        *ret_why = ": its value was not kept";
        if (value < 0) return WARMING;
    }
    const struct oz_ring_layout *kept = &older->layout[e]->ring[was];
    int64_t lateness_us = newer->layout[e]->ring[0].lateness_us;
    *ret_why = ": fewer events were kept";
    if (a->last)
        return kept->keep_last >= a->last && kept->settle_us >= a->delay_us + lateness_us ? COMPUTED
                                                                                          : WARMING;
    *ret_why = ": its window is longer than what was kept";
    if (a->over_us)
        return a->over_us + a->delay_us + lateness_us <= kept->reach_us ? COMPUTED : WARMING;
    *ret_why = ": totals over all time were not kept";
    const struct oz_value_layout *wanted =
        a->value < 0 ? NULL : &newer->layout[e]->ring[a->ring].value[a->value];
    if (a->delay_us + lateness_us > kept->reach_us) return WARMING;
    return has_totals(older->layout[e], (uint32_t)was, value, wanted) ? COMPUTED : WARMING;
}

enum oz_status oz_definition_compare(const struct oz_program *older, const struct oz_program *newer,
                                     FILE *out, struct oz_error *err)
{
    static const char *const word[] = {
        [KEPT] = "kept", [COMPUTED] = "computed", [WARMING] = "warming"};
    struct oz_arena arena;
    struct oz_facts was, is;
    oz_arena_init(&arena, 1 << 12);
    enum oz_status status = oz_facts_of(older, &arena, &was, err);
    if (status == OZ_OK) status = oz_facts_of(newer, &arena, &is, err);
    if (status == OZ_OK) status = oz_facts_compare(&was, &is, err);
    oz_arena_clear(&arena);
    OZ_TRY(status);
    for (uint32_t e = 0; e < newer->plan->n_entities; e++) {
        const struct oz_entity_plan *plan = &newer->plan->entity[e], *old = &older->plan->entity[e];
        for (uint32_t a = 0; a < plan->n_aggregates; a++) {
            const char *why;
            enum fate fate = fate_of(older, newer, e, &plan->aggregate[a], &why);
            fprintf(out, "%-9s %s%s\n", word[fate], plan->aggregate[a].text,
                    fate == WARMING ? why : "");
        }
        for (uint32_t a = 0; a < old->n_aggregates; a++)
            if (!find_aggregate(plan, old->aggregate[a].text))
                fprintf(out, "%-9s %s\n", "removed", old->aggregate[a].text);
    }
    return OZ_OK;
}
