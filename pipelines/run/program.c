#include "pipelines/run/program.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/instant.h"
#include "features/row_retire.h"
#include "pipelines/run/bound_models.h"
#include "pipelines/run/definition.h"

/* The compiler speaks of texts by number; the file's mistakes are known by place. */
struct mistake_ctx {
    const struct oz_pipeline *pipeline;
    struct oz_mistakes *mistakes;
};

static void text_mistake(void *ctx, enum oz_text_kind kind, uint32_t number, size_t offset,
                         const char *message)
{
    struct mistake_ctx *m = ctx;
    struct oz_place place = kind == OZ_TEXT_FEATURE ? m->pipeline->feature[number].place
                                                    : m->pipeline->rule[number].when_place;
    oz_pipeline_mistake(m->pipeline, m->mistakes, place, offset, "%s", message);
}

static int entity_number(const struct oz_pipeline *pl, const char *name)
{
    for (size_t e = 0; e < pl->n_entities; e++)
        if (!strcmp(pl->entity[e].name, name)) return (int)e;
    return -1;
}

static enum oz_status compile(struct oz_program *prg, struct oz_mistakes *mistakes,
                              struct oz_error *err)
{
    const struct oz_pipeline *pl = &prg->pipeline;
    struct oz_arena *arena = &prg->arena;
    struct mistake_ctx ctx = {pl, mistakes};
    const char **name = oz_arena_zeroed(arena, pl->n_entities + 1, sizeof *name);
    const char **field = oz_arena_zeroed(arena, pl->n_entities + 1, sizeof *field);
    struct oz_named_text *feature = oz_arena_zeroed(arena, pl->n_features + 1, sizeof *feature);
    struct oz_named_text *rule = oz_arena_zeroed(arena, pl->n_rules + 1, sizeof *rule);
    prg->suppress_entity = oz_arena_zeroed(arena, pl->n_rules + 1, sizeof *prg->suppress_entity);
    prg->suppress_slot = oz_arena_zeroed(arena, pl->n_rules + 1, sizeof *prg->suppress_slot);
    if (!name || !field || !feature || !rule || !prg->suppress_entity || !prg->suppress_slot)
        return oz_no_memory(err);
    for (size_t e = 0; e < pl->n_entities; e++) {
        name[e] = pl->entity[e].name;
        field[e] = pl->entity[e].field;
    }
    for (size_t f = 0; f < pl->n_features; f++)
        feature[f] = (struct oz_named_text){pl->feature[f].name, pl->feature[f].text};
    int slots[OZ_ENTITIES_MAX] = {0};
    for (size_t r = 0; r < pl->n_rules; r++) {
        rule[r] = (struct oz_named_text){pl->rule[r].name, pl->rule[r].when};
        int e = pl->rule[r].suppress_by ? entity_number(pl, pl->rule[r].suppress_by) : -1;
        prg->suppress_entity[r] = e;
        prg->suppress_slot[r] = e < 0 ? -1 : slots[e]++;
    }
    struct oz_feature_set_spec spec = {
        .schema = prg->schema,
        .n_sources = (uint32_t)pl->n_sources,
        .entity_name = name,
        .entity_field = field,
        .n_entities = (uint32_t)pl->n_entities,
        .feature = feature,
        .n_features = (uint32_t)pl->n_features,
        .score_name = prg->score_name,
        .n_scores = prg->n_scores,
        .rule = rule,
        .n_rules = (uint32_t)pl->n_rules,
        .rule_suppress_entity = prg->suppress_entity,
        .max_row_events = pl->max_row_events,
        .mistake = text_mistake,
        .mistake_ctx = &ctx,
    };
    OZ_TRY(oz_feature_set_compile(&spec, arena, &prg->set, err));
    prg->plan = oz_feature_set_plan(prg->set);
    prg->n_features = oz_feature_set_n_features(prg->set);
    return OZ_OK;
}

/* Rows of the entity that the topic is keyed by live in the partition of their record; so every
 * source that feeds them must be keyed by it too. */
static void place_entities(struct oz_program *prg, struct oz_mistakes *mistakes)
{
    const struct oz_pipeline *pl = &prg->pipeline;
    const struct oz_plan *plan = prg->plan;
    for (uint32_t e = 0; e < plan->n_entities; e++) {
        const struct oz_entity_plan *ent = &plan->entity[e];
        prg->keyed_by_source[e] =
            ent->field[plan->scored_source] == prg->schema[plan->scored_source]->key;
        for (uint32_t r = 0; prg->keyed_by_source[e] && r < ent->n_rings; r++) {
            uint32_t s = ent->ring[r].source;
            if (ent->field[s] != prg->schema[s]->key)
                oz_pipeline_mistake(pl, mistakes, pl->source[s].place, 0,
                                    "source `%s` feeds the entity `%s`, which is the key of `%s`, "
                                    "and must have it as its own key",
                                    prg->schema[s]->name, ent->name,
                                    prg->schema[plan->scored_source]->name);
        }
    }
}

static void rank_sources(struct oz_program *prg)
{
    uint32_t rank = 0;
    for (int scored = 0; scored <= 1; scored++)
        for (uint32_t s = 0; s < prg->plan->n_sources; s++)
            if (prg->schema[s]->scored == (scored == 1)) prg->rank[s] = rank++;
}

/* Every entity that is not the source's key is a leg of its own, if events are to travel. */
static void lay_legs(struct oz_program *prg, struct oz_mistakes *mistakes)
{
    const struct oz_pipeline *pl = &prg->pipeline;
    const struct oz_plan *plan = prg->plan;
    prg->n_legs = 1;
    for (uint32_t e = 0; pl->exchange == OZ_EXCHANGE_TOPIC && e < plan->n_entities; e++) {
        const struct oz_entity_plan *ent = &plan->entity[e];
        if (prg->keyed_by_source[e]) continue;
        prg->entity_of[prg->n_legs] = e;
        prg->leg_of[e] = prg->n_legs;
        for (uint32_t r = 0; r < ent->n_rings; r++)
            prg->last_leg[ent->ring[r].source] = prg->n_legs;
        prg->last_leg[plan->scored_source] = prg->n_legs++;
    }
    for (size_t r = 0; r < pl->n_rules; r++) {
        int e = prg->suppress_entity[r];
        if (e >= 0 && prg->leg_of[e] != prg->n_legs - 1)
            oz_pipeline_mistake(pl, mistakes, pl->rule[r].suppress_place, 0,
                                "with `exchange: topic` alerts are decided where the rows of `%s` "
                                "are, and can be held back by no other entity",
                                plan->entity[prg->entity_of[prg->n_legs - 1]].name);
    }
    if (plan->n_sources + prg->n_legs - 1 > OZ_SOURCES_MAX)
        oz_pipeline_mistake(pl, mistakes, pl->source[0].place, 0,
                            "%u sources and %u exchange topics, at most %d are read",
                            plan->n_sources, prg->n_legs - 1, OZ_SOURCES_MAX);
}

/* Everything that gives the bytes of an exchange record their meaning. */
static enum oz_status hash_shape(const struct oz_program *prg, uint32_t leg, uint64_t *ret_hash,
                                 struct oz_error *err)
{
    struct oz_buf text;
    const struct oz_exchange_shape *shape = &prg->shape[leg];
    oz_buf_init(&text);
    oz_buf_printf(&text, "%s\n", prg->plan->entity[prg->entity_of[leg]].name);
    for (uint32_t s = 0; s < shape->n_sources; s++) {
        const struct oz_schema *schema = shape->schema[s];
        oz_buf_printf(&text, "source %s %u %u\n", schema->name, s == shape->scored_source,
                      prg->last_leg[s]);
        for (uint32_t f = 0; f < schema->n_fields; f++)
            oz_buf_printf(&text, "%s %s\n", schema->field[f].name,
                          oz_type_name(schema->field[f].type));
    }
    for (uint32_t k = 0; k < shape->n_entities; k++) {
        const struct oz_entity_plan *ent = &prg->plan->entity[shape->entity[k]];
        oz_buf_printf(&text, "entity %s\n", ent->name);
        for (uint32_t a = 0; a < ent->n_aggregates; a++)
            oz_buf_printf(&text, "%s\n", ent->aggregate[a].text);
    }
    *ret_hash = oz_hash64(text.data, text.len);
    enum oz_status status = oz_buf_status(&text, err);
    oz_buf_clear(&text);
    return status;
}

static enum oz_status make_shape(struct oz_program *prg, uint32_t leg, struct oz_error *err)
{
    const struct oz_plan *plan = prg->plan;
    uint32_t *entity = oz_arena_zeroed(&prg->arena, plan->n_entities + 1, sizeof *entity);
    uint32_t *aggregate = oz_arena_zeroed(&prg->arena, plan->n_aggregates + 1, sizeof *aggregate);
    if (!entity || !aggregate) return oz_no_memory(err);
    struct oz_exchange_shape *shape = &prg->shape[leg];
    *shape = (struct oz_exchange_shape){.n_sources = plan->n_sources,
                                        .scored_source = plan->scored_source,
                                        .schema = prg->schema,
                                        .entity = entity,
                                        .aggregate = aggregate};
    for (uint32_t e = 0; e < plan->n_entities; e++) {
        const struct oz_entity_plan *ent = &plan->entity[e];
        if (prg->leg_of[e] >= leg) continue;
        entity[shape->n_entities++] = e;
        for (uint32_t a = 0; a < ent->n_aggregates; a++)
            aggregate[shape->n_aggregates++] = ent->first_aggregate + a;
    }
    return hash_shape(prg, leg, &shape->hash, err);
}

/* How long rows are of use depends on the rules and on `state.ttl`, too. */
static void set_lifetime(struct oz_program *prg, uint32_t e, struct oz_mistakes *mistakes)
{
    const struct oz_pipeline *pl = &prg->pipeline;
    const struct oz_entity_plan *ent = &prg->plan->entity[e];
    int64_t suppress_us = 0;
    bool for_ever;
    for (size_t r = 0; r < pl->n_rules; r++)
        if (prg->suppress_entity[r] == (int)e)
            suppress_us = OZ_MAX(suppress_us, pl->rule[r].suppress_us);
    oz_row_layout_set_lifetime(prg->layout[e], suppress_us, pl->state_ttl_us);
    int64_t use_us = oz_row_layout_use_us(prg->layout[e], &for_ever);
    if (pl->state_ttl_us && pl->state_ttl_us < use_us) {
        char ttl[OZ_INSTANT_BYTES_MAX], use[OZ_INSTANT_BYTES_MAX];
        oz_format_duration(ttl, pl->state_ttl_us);
        oz_format_duration(use, use_us);
        oz_pipeline_mistake(pl, mistakes, pl->state_ttl_place, 0,
                            "state.ttl is %s, and rows of the entity `%s` are of use for up to %s "
                            "(longest window with its delay, suppression, lateness): it must be as "
                            "long",
                            ttl, ent->name, use);
    }
    for (uint32_t a = 0; a < ent->n_aggregates && for_ever && !pl->state_ttl_us; a++)
        if (!ent->aggregate[a].over_us && !prg->for_ever[e])
            prg->for_ever[e] = ent->aggregate[a].text;
}

static enum oz_status load(struct oz_program *prg, const char *path, const char *const *overrides,
                           size_t n_overrides, unsigned flags, struct oz_mistakes *mistakes,
                           struct oz_error *err)
{
    struct oz_pipeline *pl = &prg->pipeline;
    OZ_TRY(oz_pipeline_load(path, overrides, n_overrides, &prg->arena, pl, mistakes, err));
    memcpy(prg->config_hash, pl->config_sha256, 16);
    for (size_t s = 0; s < pl->n_sources; s++) prg->schema[s] = &pl->source[s].schema;
    if (flags & OZ_PROGRAM_WITHOUT_MODELS) pl->n_models = pl->n_rules = 0;
    OZ_TRY(oz_bound_models_load(prg, mistakes, err));
    OZ_TRY(compile(prg, mistakes, err));
    OZ_TRY(oz_bound_models_bind(prg, mistakes, err));
    place_entities(prg, mistakes);
    rank_sources(prg);
    lay_legs(prg, mistakes);
    if (mistakes->n)
        OZ_FAIL(err, OZ_CONFIG, "%zu mistake%s in %s", mistakes->n, mistakes->n == 1 ? "" : "s",
                path);
    for (uint32_t e = 0; e < prg->plan->n_entities; e++) {
        OZ_TRY(oz_row_layout_new(&prg->plan->entity[e], &prg->arena, &prg->layout[e], &prg->kind[e],
                                 err));
        set_lifetime(prg, e, mistakes);
    }
    if (mistakes->n)
        OZ_FAIL(err, OZ_CONFIG, "%zu mistake%s in %s", mistakes->n, mistakes->n == 1 ? "" : "s",
                path);
    for (uint32_t leg = 1; leg < prg->n_legs; leg++) OZ_TRY(make_shape(prg, leg, err));
    return oz_definition_new(prg, &prg->definition, err);
}

enum oz_status oz_program_load(const char *path, const char *const *overrides, size_t n_overrides,
                               unsigned flags, struct oz_program **ret_program,
                               struct oz_mistakes *mistakes, struct oz_error *err)
{
    struct oz_program *prg = oz_calloc(1, sizeof *prg);
    if (!prg) return oz_no_memory(err);
    oz_arena_init(&prg->arena, 1 << 16);
    enum oz_status status = load(prg, path, overrides, n_overrides, flags, mistakes, err);
    if (status != OZ_OK) {
        oz_program_free(prg);
        return status;
    }
    *ret_program = prg;
    return OZ_OK;
}

void oz_program_free(struct oz_program *prg)
{
    if (!prg) return;
    for (uint32_t i = 0; i < OZ_MODELS_MAX; i++) oz_model_free(prg->model[i].model);
    oz_definition_free(prg->definition);
    oz_arena_clear(&prg->arena);
    oz_free(prg);
}

const char *oz_program_group(struct oz_program *prg)
{
    return oz_arena_printf(&prg->arena, "ouzel.%s", prg->pipeline.name);
}

const char *oz_program_changelog(struct oz_program *prg, uint32_t entity)
{
    return oz_arena_printf(&prg->arena, "ouzel.%s.changelog.%s", prg->pipeline.name,
                           prg->plan->entity[entity].name);
}

const char *oz_program_exchange(struct oz_program *prg, uint32_t leg)
{
    return oz_arena_printf(&prg->arena, "ouzel.%s.exchange.%s", prg->pipeline.name,
                           prg->plan->entity[prg->entity_of[leg]].name);
}

const char *oz_program_ledger(struct oz_program *prg)
{
    return oz_arena_printf(&prg->arena, "ouzel.%s.ledger", prg->pipeline.name);
}

const char *oz_program_transactional_id(struct oz_program *prg)
{
    return oz_arena_printf(&prg->arena, "ouzel.%s.%s", prg->pipeline.name, prg->pipeline.instance);
}

enum oz_status oz_program_client(struct oz_program *prg, const char *client_id,
                                 struct oz_kafka_config *ret_config, struct oz_error *err)
{
    const struct oz_pipeline *pl = &prg->pipeline;
    struct oz_kafka_setting *setting =
        oz_arena_zeroed(&prg->arena, pl->n_kafka + 1, sizeof *setting);
    if (!setting) return oz_no_memory(err);
    for (size_t i = 0; i < pl->n_kafka; i++)
        setting[i] = (struct oz_kafka_setting){pl->kafka[i].key, pl->kafka[i].value};
    *ret_config = (struct oz_kafka_config){
        .setting = setting, .n_settings = pl->n_kafka, .client_id = client_id};
    return OZ_OK;
}
