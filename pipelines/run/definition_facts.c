#include "pipelines/run/definition_facts.h"

#include <stdio.h>

#include "base/json_writer.h"

enum { LIST_BYTES = 256 };

/* ---- from a pipeline file */

static const char *field_text(struct oz_arena *arena, const struct oz_schema *schema, int field)
{
    if (field < 0) return "none";
    const struct oz_field *f = &schema->field[field];
    return oz_arena_printf(arena, "%s %s", f->name, oz_type_name(f->type));
}

enum oz_status oz_facts_of(const struct oz_program *prg, struct oz_arena *arena,
                           struct oz_facts *ret_facts, struct oz_error *err)
{
    const struct oz_plan *plan = prg->plan;
    bool whole = true;
    *ret_facts = (struct oz_facts){.pipeline = prg->pipeline.name,
                                   .travels = prg->n_legs > 1,
                                   .n_sources = plan->n_sources,
                                   .n_entities = plan->n_entities};
    for (uint32_t s = 0; s < plan->n_sources; s++) {
        const struct oz_schema *schema = prg->schema[s];
        struct oz_source_facts *source = &ret_facts->source[s];
        *source = (struct oz_source_facts){.name = schema->name,
                                           .key = field_text(arena, schema, schema->key),
                                           .time = field_text(arena, schema, schema->time),
                                           .id = field_text(arena, schema, schema->id),
                                           .scored = schema->scored};
        whole &= source->key && source->time && source->id;
    }
    for (uint32_t e = 0; e < plan->n_entities; e++) {
        struct oz_entity_facts *entity = &ret_facts->entity[e];
        entity->name = plan->entity[e].name;
        for (uint32_t s = 0; s < plan->n_sources; s++) {
            int field = plan->entity[e].field[s];
            if (field < 0) continue;
            const struct oz_field *f = &prg->schema[s]->field[field];
            entity->key[entity->n_keys] = oz_arena_printf(arena, "%s.%s %s", prg->schema[s]->name,
                                                          f->name, oz_type_name(f->type));
            whole &= entity->key[entity->n_keys++] != NULL;
        }
    }
    return whole ? OZ_OK : oz_no_memory(err);
}

/* ---- as a record */

static const char *exchange_word(bool travels) { return travels ? "topic" : "process"; }

void oz_facts_write(const struct oz_facts *facts, struct oz_json *json)
{
    oz_json_key(json, "pipeline");
    oz_json_cstring(json, facts->pipeline);
    oz_json_key(json, "partitions");
    oz_json_i64(json, facts->n_partitions);
    if (facts->travels) {
        oz_json_key(json, "exchange");
        oz_json_cstring(json, exchange_word(true));
    }
    oz_json_key(json, "sources");
    oz_json_open(json, '[');
    for (uint32_t s = 0; s < facts->n_sources; s++) {
        const struct oz_source_facts *source = &facts->source[s];
        oz_json_open(json, '{');
        oz_json_key(json, "name");
        oz_json_cstring(json, source->name);
        oz_json_key(json, "key");
        oz_json_cstring(json, source->key);
        oz_json_key(json, "time");
        oz_json_cstring(json, source->time);
        oz_json_key(json, "id");
        oz_json_cstring(json, source->id);
        oz_json_key(json, "scored");
        oz_json_boolean(json, source->scored);
        oz_json_close(json, '}');
    }
    oz_json_close(json, ']');
}

void oz_facts_write_entity(const struct oz_entity_facts *entity, struct oz_json *json)
{
    oz_json_key(json, "name");
    oz_json_cstring(json, entity->name);
    oz_json_key(json, "keys");
    oz_json_open(json, '[');
    for (uint32_t k = 0; k < entity->n_keys; k++) oz_json_cstring(json, entity->key[k]);
    oz_json_close(json, ']');
}

enum oz_status oz_facts_string(struct oz_arena *arena, const struct oz_doc_value *v,
                               const char **ret_text, struct oz_error *err)
{
    if (v->kind != OZ_DOC_STRING || memchr(v->string, 0, v->n))
        OZ_FAIL(err, OZ_CORRUPT, "a text was expected");
    *ret_text = oz_arena_strndup(arena, v->string, v->n);
    return *ret_text ? OZ_OK : oz_no_memory(err);
}

enum oz_status oz_facts_text(struct oz_arena *arena, const struct oz_doc_value *object,
                             const char *key, const char **ret_text, struct oz_error *err)
{
    const struct oz_doc_value *v;
    OZ_TRY(oz_doc_get(object, key, OZ_DOC_STRING, &v, err));
    return oz_facts_string(arena, v, ret_text, err);
}

static enum oz_status parse_source(struct oz_arena *arena, const struct oz_doc_value *v,
                                   struct oz_source_facts *ret_source, struct oz_error *err)
{
    const struct oz_doc_value *scored;
    OZ_TRY(oz_facts_text(arena, v, "name", &ret_source->name, err));
    OZ_TRY(oz_facts_text(arena, v, "key", &ret_source->key, err));
    OZ_TRY(oz_facts_text(arena, v, "time", &ret_source->time, err));
    OZ_TRY(oz_facts_text(arena, v, "id", &ret_source->id, err));
    OZ_TRY(oz_doc_get(v, "scored", OZ_DOC_BOOLEAN, &scored, err));
    ret_source->scored = scored->integer;
    return OZ_OK;
}

static enum oz_status parse_entity(struct oz_arena *arena, const struct oz_doc_value *v,
                                   struct oz_entity_facts *ret_entity, struct oz_error *err)
{
    const struct oz_doc_value *keys;
    OZ_TRY(oz_facts_text(arena, v, "name", &ret_entity->name, err));
    OZ_TRY(oz_doc_get(v, "keys", OZ_DOC_ARRAY, &keys, err));
    if (keys->n > OZ_SOURCES_MAX) OZ_FAIL(err, OZ_CORRUPT, "an entity of %u sources", keys->n);
    for (uint32_t k = 0; k < keys->n; k++)
        OZ_TRY(oz_facts_string(arena, &keys->item[k], &ret_entity->key[k], err));
    ret_entity->n_keys = keys->n;
    return OZ_OK;
}

enum oz_status oz_facts_parse(struct oz_arena *arena, const struct oz_doc_value *root,
                              struct oz_facts *ret_facts, struct oz_error *err)
{
    const struct oz_doc_value *partitions, *sources, *entities, *exchange;
    memset(ret_facts, 0, sizeof *ret_facts);
    OZ_TRY(oz_facts_text(arena, root, "pipeline", &ret_facts->pipeline, err));
    OZ_TRY(oz_doc_get(root, "partitions", OZ_DOC_INTEGER, &partitions, err));
    OZ_TRY(oz_doc_get(root, "sources", OZ_DOC_ARRAY, &sources, err));
    OZ_TRY(oz_doc_get(root, "entities", OZ_DOC_ARRAY, &entities, err));
    if (partitions->integer < 0 || partitions->integer > UINT32_MAX ||
        sources->n > OZ_SOURCES_MAX || entities->n > OZ_ENTITIES_MAX)
        OZ_FAIL(err, OZ_CORRUPT, "partitions, sources or entities are out of range");
    OZ_TRY(oz_doc_find(root, "exchange", &exchange, err));
    ret_facts->travels = exchange != NULL;
    ret_facts->n_partitions = (uint32_t)partitions->integer;
    ret_facts->n_sources = sources->n;
    ret_facts->n_entities = entities->n;
    for (uint32_t s = 0; s < sources->n; s++)
        OZ_TRY(parse_source(arena, &sources->item[s], &ret_facts->source[s], err));
    for (uint32_t e = 0; e < entities->n; e++)
        OZ_TRY(parse_entity(arena, &entities->item[e], &ret_facts->entity[e], err));
    return OZ_OK;
}

/* ---- what changed */

static const char *list(char *to, const char *const *name, uint32_t n)
{
    size_t at = 0;
    to[0] = '\0';
    for (uint32_t i = 0; i < n && at < LIST_BYTES - 1; i++)
        at += (size_t)snprintf(to + at, LIST_BYTES - at, "%s%s", i ? ", " : "", name[i]);
    return to;
}

static enum oz_status same_text(const char *what, const char *name, const char *part,
                                const char *older, const char *newer, struct oz_error *err)
{
    if (!strcmp(older, newer)) return OZ_OK;
    OZ_FAIL(err, OZ_STATE, "the %s of %s `%s` was `%s` and is `%s` now", part, what, name, older,
            newer);
}

static enum oz_status same_names(const char *what, const char *const *older, uint32_t n_older,
                                 const char *const *newer, uint32_t n_newer, struct oz_error *err)
{
    char was[LIST_BYTES], is[LIST_BYTES];
    bool same = n_older == n_newer;
    for (uint32_t i = 0; same && i < n_older; i++) same = !strcmp(older[i], newer[i]);
    if (same) return OZ_OK;
    OZ_FAIL(err, OZ_STATE, "the %s were `%s` and are `%s` now", what, list(was, older, n_older),
            list(is, newer, n_newer));
}

/* Of the sources that had the entity's key and have it still. */
static enum oz_status same_keys(const struct oz_entity_facts *older,
                                const struct oz_entity_facts *newer, struct oz_error *err)
{
    for (uint32_t i = 0; i < older->n_keys; i++)
        for (uint32_t k = 0; k < newer->n_keys; k++) {
            size_t n = strcspn(older->key[i], ".") + 1;
            if (!strncmp(older->key[i], newer->key[k], n))
                OZ_TRY(same_text("entity", older->name, "key", older->key[i], newer->key[k], err));
        }
    return OZ_OK;
}

enum oz_status oz_facts_compare(const struct oz_facts *older, const struct oz_facts *newer,
                                struct oz_error *err)
{
    const char *was[OZ_SOURCES_MAX + OZ_ENTITIES_MAX], *is[OZ_SOURCES_MAX + OZ_ENTITIES_MAX];
    if (strcmp(older->pipeline, newer->pipeline) != 0)
        OZ_FAIL(err, OZ_STATE, "it is of the pipeline `%s`, this one is `%s`", older->pipeline,
                newer->pipeline);
    if (older->n_partitions && newer->n_partitions && older->n_partitions != newer->n_partitions)
        OZ_FAIL(err, OZ_STATE, "it has %u partitions, and the topics have %u now",
                older->n_partitions, newer->n_partitions);
    if (older->travels != newer->travels)
        OZ_FAIL(err, OZ_STATE, "`exchange` was `%s` and is `%s` now", exchange_word(older->travels),
                exchange_word(newer->travels));
    for (uint32_t s = 0; s < older->n_sources; s++) was[s] = older->source[s].name;
    for (uint32_t s = 0; s < newer->n_sources; s++) is[s] = newer->source[s].name;
    OZ_TRY(same_names("sources", was, older->n_sources, is, newer->n_sources, err));
    for (uint32_t s = 0; s < older->n_sources; s++) {
        const struct oz_source_facts *a = &older->source[s], *b = &newer->source[s];
        OZ_TRY(same_text("source", a->name, "key", a->key, b->key, err));
        OZ_TRY(same_text("source", a->name, "time", a->time, b->time, err));
        OZ_TRY(same_text("source", a->name, "id", a->id, b->id, err));
        OZ_TRY(same_text("source", a->name, "score", a->scored ? "true" : "false",
                         b->scored ? "true" : "false", err));
    }
    for (uint32_t e = 0; e < older->n_entities; e++) was[e] = older->entity[e].name;
    for (uint32_t e = 0; e < newer->n_entities; e++) is[e] = newer->entity[e].name;
    OZ_TRY(same_names("entities", was, older->n_entities, is, newer->n_entities, err));
    for (uint32_t e = 0; e < older->n_entities; e++)
        OZ_TRY(same_keys(&older->entity[e], &newer->entity[e], err));
    return OZ_OK;
}
