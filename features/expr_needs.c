#include "features/expr_needs.h"
#include <stdlib.h>
#include <string.h>

int oz_expr_needs_value(struct oz_expr_needs *needs, const struct oz_expr_value *value)
{
    uint32_t of_ring = 0;
    for (uint32_t i = 0; i < needs->n_values; i++) {
        struct oz_expr_value *v = &needs->value[i];
        if (v->entity != value->entity || v->source != value->source) continue;
        if (!strcmp(v->spec.text, value->spec.text)) {
            v->spec.uses |= value->spec.uses;
            return (int)i;
        }
        of_ring++;
    }
    if (of_ring == OZ_RING_VALUES_MAX || needs->n_values == OZ_AGGREGATES_MAX) return -1;
    needs->value[needs->n_values] = *value;
    return (int)needs->n_values++;
}

int oz_expr_needs_aggregate(struct oz_expr_needs *needs, const struct oz_expr_aggregate *aggregate)
{
    for (uint32_t i = 0; i < needs->n_aggregates; i++)
        if (!strcmp(needs->aggregate[i].spec.text, aggregate->spec.text)) return (int)i;
    if (needs->n_aggregates == OZ_AGGREGATES_MAX) return -1;
    needs->aggregate[needs->n_aggregates] = *aggregate;
    return (int)needs->n_aggregates++;
}

/* Values in the order of their ring and text, aggregates in the order of their entity and text. */
static int by_value_text(const void *a, const void *b)
{
    const struct oz_expr_value *x = *(const struct oz_expr_value *const *)a;
    const struct oz_expr_value *y = *(const struct oz_expr_value *const *)b;
    if (x->entity != y->entity) return x->entity < y->entity ? -1 : 1;
    if (x->source != y->source) return x->source < y->source ? -1 : 1;
    return strcmp(x->spec.text, y->spec.text);
}

static int by_aggregate_text(const void *a, const void *b)
{
    const struct oz_expr_aggregate *x = *(const struct oz_expr_aggregate *const *)a;
    const struct oz_expr_aggregate *y = *(const struct oz_expr_aggregate *const *)b;
    if (x->spec.entity != y->spec.entity) return x->spec.entity < y->spec.entity ? -1 : 1;
    return strcmp(x->spec.text, y->spec.text);
}

static int id_bytes(const struct oz_schema *schema)
{
    if (schema->id < 0) return 0;
    switch (schema->field[schema->id].type) {
    case OZ_LONG:
    case OZ_TIMESTAMP: return 8;
    case OZ_STRING: return 16;
    default: return -1;
    }
}

static enum oz_status add_ring(struct oz_entity_plan *entity, const struct oz_schema *schema,
                               uint32_t source, struct oz_error *err)
{
    struct oz_ring_plan *ring = &entity->ring[entity->n_rings++];
    ring->source = source;
    ring->scored = schema->scored;
    ring->replaces = !schema->scored;
    ring->id_bytes = id_bytes(schema);
    ring->lateness_us = schema->lateness_us;
    if (ring->id_bytes < 0)
        OZ_FAIL(err, OZ_CONFIG, "source `%s`: the id `%s` is a %s; an id is a long or a string",
                schema->name, schema->field[schema->id].name,
                oz_type_name(schema->field[schema->id].type));
    return OZ_OK;
}

static bool reads(const struct oz_expr_needs *needs, uint32_t entity, uint32_t source)
{
    for (uint32_t i = 0; i < needs->n_aggregates; i++)
        if (needs->aggregate[i].spec.entity == entity && needs->aggregate[i].source == source)
            return true;
    return false;
}

/* The scored source's ring first, then by the sources' names: stored rows number their rings so,
 * and must not notice that sources changed places in the file. */
static enum oz_status plan_rings(const struct oz_expr_needs *needs,
                                 const struct oz_feature_set_spec *spec, uint32_t e,
                                 struct oz_plan *plan, struct oz_error *err)
{
    struct oz_entity_plan *entity = &plan->entity[e];
    OZ_TRY(add_ring(entity, spec->schema[plan->scored_source], plan->scored_source, err));
    uint32_t source[OZ_SOURCES_MAX], n = 0;
    for (uint32_t s = 0; s < spec->n_sources; s++) {
        if (s == plan->scored_source || !reads(needs, e, s)) continue;
        uint32_t at = n++;
        for (; at && strcmp(spec->schema[source[at - 1]]->name, spec->schema[s]->name) > 0; at--)
            source[at] = source[at - 1];
        source[at] = s;
    }
    for (uint32_t i = 0; i < n; i++)
        OZ_TRY(add_ring(entity, spec->schema[source[i]], source[i], err));
    return OZ_OK;
}

static enum oz_status plan_entity(const struct oz_expr_needs *needs,
                                  const struct oz_feature_set_spec *spec, uint32_t e,
                                  struct oz_arena *arena, struct oz_plan *plan,
                                  struct oz_error *err)
{
    struct oz_entity_plan *entity = &plan->entity[e];
    entity->name = oz_arena_strndup(arena, spec->entity_name[e], strlen(spec->entity_name[e]));
    if (!entity->name) return oz_no_memory(err);
    entity->max_row_events = spec->max_row_events;
    for (uint32_t s = 0; s < OZ_SOURCES_MAX; s++) {
        const char *field = spec->entity_field[e];
        entity->field[s] =
            s < spec->n_sources ? oz_schema_find(spec->schema[s], field, strlen(field)) : -1;
    }
    if (entity->field[plan->scored_source] < 0)
        OZ_FAIL(err, OZ_CONFIG, "entity `%s`: the scored source `%s` has no field `%s`",
                entity->name, spec->schema[plan->scored_source]->name, spec->entity_field[e]);
    for (uint32_t r = 0; r < spec->n_rules; r++)
        entity->n_suppressions += spec->rule_suppress_entity[r] == (int)e;
    return plan_rings(needs, spec, e, plan, err);
}

static uint32_t ring_of(const struct oz_entity_plan *entity, uint32_t source)
{
    uint32_t r = 0;
    while (entity->ring[r].source != source) r++;
    OZ_ASSERT(r < entity->n_rings);
    return r;
}

static enum oz_status plan_values(struct oz_expr_needs *needs, struct oz_arena *arena,
                                  struct oz_plan *plan, struct oz_error *err)
{
    const struct oz_expr_value *order[OZ_AGGREGATES_MAX];
    for (uint32_t i = 0; i < needs->n_values; i++) order[i] = &needs->value[i];
    qsort(order, needs->n_values, sizeof(order[0]), by_value_text);
    for (uint32_t i = 0; i < needs->n_values; i++) {
        struct oz_expr_value *value = &needs->value[order[i] - needs->value];
        struct oz_entity_plan *entity = &plan->entity[value->entity];
        value->ring = ring_of(entity, value->source);
        struct oz_ring_plan *ring = &entity->ring[value->ring];
        value->number = ring->n_values++;
        struct oz_value_spec *spec = &ring->value[value->number];
        *spec = value->spec;
        spec->text = oz_arena_strndup(arena, spec->text, strlen(spec->text));
        if (!spec->text) return oz_no_memory(err);
    }
    return OZ_OK;
}

static enum oz_status plan_aggregates(struct oz_expr_needs *needs, struct oz_arena *arena,
                                      struct oz_plan *plan, struct oz_error *err)
{
    const struct oz_expr_aggregate *order[OZ_AGGREGATES_MAX];
    uint32_t n = needs->n_aggregates;
    for (uint32_t i = 0; i < n; i++) order[i] = &needs->aggregate[i];
    qsort(order, n, sizeof(order[0]), by_aggregate_text);
    struct oz_aggregate *all = oz_arena_zeroed(arena, OZ_MAX(n, 1u), sizeof(*all));
    if (!all) return oz_no_memory(err);
    for (uint32_t i = 0; i < n; i++) {
        struct oz_expr_aggregate *need = &needs->aggregate[order[i] - needs->aggregate];
        need->number = i;
        all[i] = need->spec;
        all[i].ring = ring_of(&plan->entity[need->spec.entity], need->source);
        all[i].value = need->value < 0 ? -1 : (int)needs->value[need->value].number;
        all[i].text = oz_arena_strndup(arena, need->spec.text, strlen(need->spec.text));
        if (!all[i].text) return oz_no_memory(err);
        plan->entity[need->spec.entity].n_aggregates++;
    }
    plan->n_aggregates = n;
    uint32_t first = 0;
    for (uint32_t e = 0; e < plan->n_entities; e++) {
        plan->entity[e].aggregate = all + first;
        plan->entity[e].first_aggregate = first;
        first += plan->entity[e].n_aggregates;
    }
    return OZ_OK;
}

enum oz_status oz_expr_needs_plan(struct oz_expr_needs *needs,
                                  const struct oz_feature_set_spec *spec, struct oz_arena *arena,
                                  struct oz_plan *ret_plan, struct oz_error *err)
{
    struct oz_plan *plan = ret_plan;
    plan->n_entities = spec->n_entities;
    plan->n_sources = spec->n_sources;
    while (!spec->schema[plan->scored_source]->scored) plan->scored_source++;
    for (uint32_t e = 0; e < spec->n_entities; e++)
        OZ_TRY(plan_entity(needs, spec, e, arena, plan, err));
    OZ_TRY(plan_values(needs, arena, plan, err));
    return plan_aggregates(needs, arena, plan, err);
}
