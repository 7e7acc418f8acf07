#include "pipelines/run/definition.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json_writer.h"
#include "features/row_convert.h"
#include "models/json_document.h"
#include "pipelines/run/definition_facts.h"

enum { META_VERSION = 2 };

/* ---- one layout: its text and back */

struct known {
    uint16_t number;
    int64_t from_us; /* 0: the first */
    char *text;      /* its rings and rules */
    struct oz_named_layout named;
};

struct entity {
    struct known *known[OZ_LAYOUTS_MAX]; /* the program's own first */
    uint32_t n_known;
};

struct oz_definition {
    struct oz_program *prg;
    struct oz_arena arena; /* of what was learned */
    struct oz_facts facts;
    struct entity entity[OZ_ENTITIES_MAX];
    struct oz_buf meta;
};

static const char *const kind_name[] = {[OZ_VALUE_DOUBLE] = "double",
                                        [OZ_VALUE_FLAG] = "flag",
                                        [OZ_VALUE_MARK] = "mark",
                                        [OZ_VALUE_KEY] = "key"};

/* What of a value is kept in totals. */
static unsigned uses_of(const struct oz_value_layout *v)
{
    return (v->count_at ? OZ_USE_COUNT : 0u) | (v->sum_at ? OZ_USE_SUM : 0u) |
           (v->extreme >= 0 ? OZ_USE_EXTREME : 0u) | (v->outlives ? OZ_USE_LAST : 0u);
}

static void put_ring(struct oz_json *json, const struct oz_named_layout *named, uint32_t i)
{
    const struct oz_ring_layout *rl = &named->layout->ring[i];
    oz_json_open(json, '{');
    oz_json_key(json, "source");
    oz_json_cstring(json, named->source[i]);
    oz_json_key(json, "id_bytes");
    oz_json_i64(json, 8 * rl->id_words);
    oz_json_key(json, "reach_us");
    oz_json_i64(json, rl->reach_us);
    oz_json_key(json, "settle_us");
    oz_json_i64(json, rl->keep_last ? rl->settle_us : 0);
    oz_json_key(json, "last");
    oz_json_i64(json, rl->keep_last);
    oz_json_key(json, "all_time");
    oz_json_boolean(json, rl->all_time);
    oz_json_key(json, "all_time_last");
    oz_json_boolean(json, rl->all_time_last);
    oz_json_key(json, "values");
    oz_json_open(json, '[');
    for (uint32_t v = 0; v < rl->n_values; v++) {
        oz_json_open(json, '{');
        oz_json_key(json, "text");
        oz_json_cstring(json, named->value[i][v]);
        oz_json_key(json, "kind");
        oz_json_cstring(json, kind_name[rl->value[v].kind]);
        oz_json_key(json, "nullable");
        oz_json_boolean(json, rl->value[v].nullable);
        oz_json_key(json, "uses");
        oz_json_i64(json, uses_of(&rl->value[v]));
        oz_json_close(json, '}');
    }
    oz_json_close(json, ']');
    oz_json_close(json, '}');
}

/* `"rings":[...],"rules":[...]`, and the number that follows from it. */
static enum oz_status name_layout(struct known *known, struct oz_arena *arena, struct oz_error *err)
{
    const struct oz_named_layout *named = &known->named;
    uint8_t digest[32];
    struct oz_buf buf;
    struct oz_json json;
    oz_buf_init(&buf);
    oz_json_init(&json, &buf);
    oz_json_open(&json, '{');
    oz_json_key(&json, "rings");
    oz_json_open(&json, '[');
    for (uint32_t i = 0; i < named->layout->n_rings; i++) put_ring(&json, named, i);
    oz_json_close(&json, ']');
    oz_json_key(&json, "rules");
    oz_json_open(&json, '[');
    for (uint32_t i = 0; i < named->layout->n_suppressions; i++)
        oz_json_cstring(&json, named->rule[i]);
    oz_json_close(&json, ']');
    oz_json_close(&json, '}');
    enum oz_status status = oz_buf_status(&buf, err);
    if (status == OZ_OK) {
        known->text = oz_arena_strndup(arena, (char *)buf.data + 1, buf.len - 2);
        oz_sha256(buf.data, buf.len, digest);
        known->number = (uint16_t)(digest[0] << 8 | digest[1]);
        if (!known->number) known->number = 1;
        if (!known->text) status = oz_no_memory(err);
    }
    oz_buf_clear(&buf);
    return status;
}

static enum oz_status integer(const struct oz_doc_value *object, const char *key, int64_t max,
                              int64_t *ret_v, struct oz_error *err)
{
    const struct oz_doc_value *v;
    OZ_TRY(oz_doc_get(object, key, OZ_DOC_INTEGER, &v, err));
    if (v->integer < 0 || v->integer > max) OZ_FAIL(err, OZ_CORRUPT, "\"%s\" is out of range", key);
    *ret_v = v->integer;
    return OZ_OK;
}

static enum oz_status boolean(const struct oz_doc_value *object, const char *key, bool *ret_v,
                              struct oz_error *err)
{
    const struct oz_doc_value *v;
    OZ_TRY(oz_doc_get(object, key, OZ_DOC_BOOLEAN, &v, err));
    *ret_v = v->integer;
    return OZ_OK;
}

static enum oz_status parse_value(struct oz_arena *arena, const struct oz_doc_value *v,
                                  struct oz_value_spec *ret_spec, struct oz_error *err)
{
    const struct oz_doc_value *kind;
    int64_t uses;
    OZ_TRY(oz_facts_text(arena, v, "text", &ret_spec->text, err));
    OZ_TRY(oz_doc_get(v, "kind", OZ_DOC_STRING, &kind, err));
    uint32_t k = 0;
    while (k < OZ_COUNT_OF(kind_name) && !oz_doc_string_is(kind, kind_name[k])) k++;
    if (k == OZ_COUNT_OF(kind_name)) OZ_FAIL(err, OZ_CORRUPT, "a value of unknown kind");
    OZ_TRY(
        integer(v, "uses", OZ_USE_COUNT | OZ_USE_SUM | OZ_USE_EXTREME | OZ_USE_LAST, &uses, err));
    ret_spec->kind = (enum oz_value_kind)k;
    ret_spec->uses = (unsigned)uses;
    return boolean(v, "nullable", &ret_spec->nullable, err);
}

static enum oz_status parse_ring(struct oz_arena *arena, const struct oz_doc_value *v, uint32_t i,
                                 struct oz_entity_plan *plan, struct oz_ring_history *ret_history,
                                 struct oz_named_layout *named, struct oz_error *err)
{
    const struct oz_doc_value *values;
    struct oz_ring_plan *ring = &plan->ring[i];
    int64_t id_bytes, last;
    OZ_TRY(oz_facts_text(arena, v, "source", &named->source[i], err));
    OZ_TRY(integer(v, "id_bytes", 16, &id_bytes, err));
    OZ_TRY(integer(v, "reach_us", OZ_TIME_LIMIT, &ret_history->reach_us, err));
    OZ_TRY(integer(v, "settle_us", OZ_TIME_LIMIT, &ret_history->settle_us, err));
    OZ_TRY(integer(v, "last", UINT32_MAX, &last, err));
    OZ_TRY(boolean(v, "all_time", &ret_history->all_time, err));
    OZ_TRY(boolean(v, "all_time_last", &ret_history->all_time_last, err));
    OZ_TRY(oz_doc_get(v, "values", OZ_DOC_ARRAY, &values, err));
    if (id_bytes % 8 || values->n > OZ_RING_VALUES_MAX)
        OZ_FAIL(err, OZ_CORRUPT, "ids of %lld bytes, %u values", (long long)id_bytes, values->n);
    ring->scored = i == 0;
    ring->id_bytes = (int)id_bytes;
    ring->n_values = values->n;
    ret_history->keep_last = (uint32_t)last;
    for (uint32_t k = 0; k < values->n; k++) {
        OZ_TRY(parse_value(arena, &values->item[k], &ring->value[k], err));
        named->value[i][k] = ring->value[k].text;
    }
    return OZ_OK;
}

static enum oz_status parse_layout(struct oz_arena *arena, const struct oz_doc_value *v,
                                   struct known **ret_known, struct oz_error *err)
{
    const struct oz_doc_value *rings, *rules;
    struct oz_ring_history history[OZ_SOURCES_MAX];
    struct oz_row_layout *layout;
    struct oz_entity_plan *plan = oz_arena_zeroed(arena, 1, sizeof *plan);
    struct known *known = oz_arena_zeroed(arena, 1, sizeof *known);
    if (!plan || !known) return oz_no_memory(err);
    int64_t number;
    OZ_TRY(integer(v, "layout", UINT16_MAX, &number, err));
    OZ_TRY(integer(v, "from", INT64_MAX, &known->from_us, err));
    OZ_TRY(oz_doc_get(v, "rings", OZ_DOC_ARRAY, &rings, err));
    OZ_TRY(oz_doc_get(v, "rules", OZ_DOC_ARRAY, &rules, err));
    if (!rings->n || rings->n > OZ_SOURCES_MAX || rules->n > OZ_RULES_MAX)
        OZ_FAIL(err, OZ_CORRUPT, "%u rings, %u rules", rings->n, rules->n);
    for (uint32_t i = 0; i < rings->n; i++)
        OZ_TRY(parse_ring(arena, &rings->item[i], i, plan, &history[i], &known->named, err));
    for (uint32_t i = 0; i < rules->n; i++)
        OZ_TRY(oz_facts_string(arena, &rules->item[i], &known->named.rule[i], err));
    plan->name = "";
    plan->n_rings = rings->n;
    plan->n_suppressions = rules->n;
    OZ_TRY(oz_row_layout_stored(plan, history, arena, &layout, err));
    known->named.layout = layout;
    OZ_TRY(name_layout(known, arena, err));
    if (number != known->number)
        OZ_FAIL(err, OZ_CORRUPT, "layout %lld is not what its text says", (long long)number);
    *ret_known = known;
    return OZ_OK;
}

/* ---- what is known of an entity */

static int by_age(const void *a, const void *b)
{
    const struct known *x = *(const struct known *const *)a, *y = *(const struct known *const *)b;
    if (x->from_us != y->from_us) return x->from_us < y->from_us ? -1 : 1;
    return (int)x->number - (int)y->number;
}

static bool reads_source(const struct oz_named_layout *named, const char *source)
{
    for (uint32_t i = 0; i < named->layout->n_rings; i++)
        if (!strcmp(named->source[i], source)) return true;
    return false;
}

/* When the layout that came behind took over. */
static int64_t end_of(const struct entity *ent, const struct known *known)
{
    int64_t end_us = INT64_MAX;
    for (uint32_t k = 0; k < ent->n_known; k++)
        if (ent->known[k]->from_us > known->from_us)
            end_us = OZ_MIN(end_us, ent->known[k]->from_us);
    return end_us;
}

/* Events of a source that a layout did not read were never taken in while it was in use. */
static void find_gaps(struct oz_program *prg, uint32_t e, const struct entity *ent)
{
    const struct known *own = ent->known[0];
    struct oz_row_layout *layout = prg->layout[e];
    layout->warms = false;
    for (uint32_t i = 0; i < layout->n_rings; i++) {
        int64_t since_us = OZ_TIME_NONE;
        for (uint32_t k = 1; k < ent->n_known; k++)
            if (!reads_source(&ent->known[k]->named, own->named.source[i]))
                since_us = OZ_MAX(since_us, end_of(ent, ent->known[k]));
        layout->ring[i].since_us = OZ_MIN(since_us, OZ_TIME_LIMIT);
        layout->warms |= since_us != OZ_TIME_NONE;
    }
}

/* Makes the program read all layouts that are known. */
static enum oz_status complete(struct oz_definition *def, uint32_t e, struct oz_error *err)
{
    struct entity *ent = &def->entity[e];
    uint32_t n = ent->n_known - 1;
    struct known *const *older = ent->known + 1;
    struct oz_older_layout *list = oz_arena_zeroed(&def->arena, n + 1, sizeof *list);
    struct oz_row_reading **reading = oz_arena_zeroed(&def->arena, n + 1, sizeof *reading);
    if (!list || !reading) return oz_no_memory(err);
    for (uint32_t i = 0; i < n; i++) {
        OZ_TRY(oz_row_reading_new(&older[i]->named, &ent->known[0]->named, &def->arena, &reading[i],
                                  err));
        uint32_t same = 0;
        while (same < i && (reading[same]->same_columns ||
                            !oz_named_layout_same_columns(&older[same]->named, &older[i]->named)))
            same++;
        list[i].number = older[i]->number;
        list[i].columns = reading[i]->same_columns ? 0 : (uint16_t)(same + 1);
    }
    struct oz_row_kind *kind = &def->prg->kind[e];
    struct oz_row_layout *layout = def->prg->layout[e];
    layout->reading = (const struct oz_row_reading *const *)reading;
    layout->n_readings = kind->n_older = n;
    kind->older = list;
    find_gaps(def->prg, e, ent);
    return OZ_OK;
}

static enum oz_status take_layout(struct oz_definition *def, uint32_t e, struct known *found,
                                  struct oz_error *err)
{
    struct entity *ent = &def->entity[e];
    for (uint32_t k = 0; k < ent->n_known; k++) {
        struct known *known = ent->known[k];
        if (known->number != found->number) continue;
        if (strcmp(known->text, found->text) != 0)
            OZ_FAIL(err, OZ_STATE,
                    "entity %s: two definitions happen to have the same layout number %u; add a "
                    "feature, or change a window, to get another one",
                    def->facts.entity[e].name, found->number);
        known->from_us = OZ_MAX(known->from_us, found->from_us);
        return OZ_OK;
    }
    if (ent->n_known == OZ_LAYOUTS_MAX)
        OZ_FAIL(err, OZ_STATE,
                "entity %s: rows of %d different definitions; begin with a new state (a backfill "
                "fills it)",
                def->facts.entity[e].name, OZ_LAYOUTS_MAX);
    ent->known[ent->n_known++] = found;
    return OZ_OK;
}

/* Where another layout was in use until now, ours takes over now. */
static void take_over(struct entity *ent, int64_t current)
{
    struct known *own = ent->known[0];
    if (current == own->number) return;
    own->from_us = oz_wall_us();
    for (uint32_t k = 1; k < ent->n_known; k++)
        own->from_us = OZ_MAX(own->from_us, ent->known[k]->from_us + 1);
}

static enum oz_status learn_entity(struct oz_definition *def, uint32_t e,
                                   const struct oz_doc_value *v, bool writes, struct oz_error *err)
{
    const struct oz_doc_value *layouts;
    int64_t current;
    OZ_TRY(integer(v, "layout", UINT16_MAX, &current, err));
    OZ_TRY(oz_doc_get(v, "layouts", OZ_DOC_ARRAY, &layouts, err));
    for (uint32_t i = 0; i < layouts->n; i++) {
        struct known *known = NULL;
        OZ_TRY(parse_layout(&def->arena, &layouts->item[i], &known, err));
        OZ_TRY(take_layout(def, e, known, err));
    }
    if (writes) take_over(&def->entity[e], current);
    return complete(def, e, err);
}

static enum oz_status learn(struct oz_definition *def, const struct oz_doc_value *root, bool writes,
                            struct oz_error *err)
{
    struct oz_facts facts;
    const struct oz_doc_value *entities;
    int64_t version;
    OZ_TRY(integer(root, "v", INT32_MAX, &version, err));
    if (version != META_VERSION)
        OZ_FAIL(err, OZ_STATE, "it was written by another version of ouzel (%lld, this one has %d)",
                (long long)version, META_VERSION);
    OZ_TRY(oz_facts_parse(&def->arena, root, &facts, err));
    OZ_TRY(oz_facts_compare(&facts, &def->facts, err));
    OZ_TRY(oz_doc_get(root, "entities", OZ_DOC_ARRAY, &entities, err));
    for (uint32_t e = 0; e < entities->n; e++)
        OZ_TRY(learn_entity(def, e, &entities->item[e], writes, err));
    return OZ_OK;
}

enum oz_status oz_definition_learn(struct oz_definition *def, const char *json, size_t len,
                                   bool writes, struct oz_error *err)
{
    struct oz_document doc;
    oz_document_init(&doc);
    enum oz_status status = oz_json_document_parse(&doc, (const uint8_t *)json, len, err);
    if (status == OZ_OK) status = learn(def, &doc.root, writes, err);
    oz_document_clear(&doc);
    if (status == OZ_MODEL && err) err->status = OZ_CORRUPT; /* the reader's word for bad JSON */
    return status == OZ_MODEL ? OZ_CORRUPT : status;
}

/* ---- the record */

static void put_entity(struct oz_json *json, const struct oz_definition *def, uint32_t e)
{
    const struct entity *ent = &def->entity[e];
    struct known *order[OZ_LAYOUTS_MAX];
    memcpy(order, ent->known, ent->n_known * sizeof *order);
    qsort(order, ent->n_known, sizeof *order, by_age);
    oz_json_key(json, "layout");
    oz_json_i64(json, ent->known[0]->number);
    oz_json_key(json, "layouts");
    oz_json_open(json, '[');
    for (uint32_t k = 0; k < ent->n_known; k++) {
        oz_json_open(json, '{');
        oz_json_key(json, "layout");
        oz_json_i64(json, order[k]->number);
        oz_json_key(json, "from");
        oz_json_i64(json, order[k]->from_us);
        oz_json_raw(json, order[k]->text, strlen(order[k]->text));
        oz_json_close(json, '}');
    }
    oz_json_close(json, ']');
}

enum oz_status oz_definition_meta(struct oz_definition *def, const char **ret_json, size_t *ret_len,
                                  struct oz_error *err)
{
    struct oz_json json;
    oz_buf_reset(&def->meta);
    oz_json_init(&json, &def->meta);
    oz_json_open(&json, '{');
    oz_json_key(&json, "v");
    oz_json_i64(&json, META_VERSION);
    oz_facts_write(&def->facts, &json);
    oz_json_key(&json, "entities");
    oz_json_open(&json, '[');
    for (uint32_t e = 0; e < def->facts.n_entities; e++) {
        oz_json_open(&json, '{');
        oz_facts_write_entity(&def->facts.entity[e], &json);
        put_entity(&json, def, e);
        oz_json_close(&json, '}');
    }
    oz_json_close(&json, ']');
    oz_json_close(&json, '}');
    *ret_json = (const char *)def->meta.data;
    *ret_len = def->meta.len;
    return oz_buf_status(&def->meta, err);
}

/* ---- life */

static enum oz_status own_layout(struct oz_definition *def, uint32_t e, struct oz_error *err)
{
    struct oz_program *prg = def->prg;
    const struct oz_entity_plan *plan = &prg->plan->entity[e];
    struct known *own = oz_arena_zeroed(&def->arena, 1, sizeof *own);
    if (!own) return oz_no_memory(err);
    own->named.layout = prg->layout[e];
    for (uint32_t i = 0; i < plan->n_rings; i++) {
        own->named.source[i] = prg->schema[plan->ring[i].source]->name;
        for (uint32_t v = 0; v < plan->ring[i].n_values; v++)
            own->named.value[i][v] = plan->ring[i].value[v].text;
    }
    for (size_t r = 0; r < prg->pipeline.n_rules; r++)
        if (prg->suppress_entity[r] == (int)e)
            own->named.rule[prg->suppress_slot[r]] = prg->pipeline.rule[r].name;
    OZ_TRY(name_layout(own, &def->arena, err));
    prg->kind[e].layout = own->number;
    def->entity[e].known[0] = own;
    def->entity[e].n_known = 1;
    return OZ_OK;
}

enum oz_status oz_definition_new(struct oz_program *program, struct oz_definition **ret_definition,
                                 struct oz_error *err)
{
    struct oz_definition *def = oz_calloc(1, sizeof *def);
    if (!def) return oz_no_memory(err);
    def->prg = program;
    oz_arena_init(&def->arena, 1 << 16);
    oz_buf_init(&def->meta);
    enum oz_status status = oz_facts_of(program, &def->arena, &def->facts, err);
    for (uint32_t e = 0; status == OZ_OK && e < program->plan->n_entities; e++)
        status = own_layout(def, e, err);
    if (status != OZ_OK) {
        oz_definition_free(def);
        return status;
    }
    *ret_definition = def;
    return OZ_OK;
}

void oz_definition_free(struct oz_definition *def)
{
    if (!def) return;
    oz_buf_clear(&def->meta);
    oz_arena_clear(&def->arena);
    oz_free(def);
}

void oz_definition_set_partitions(struct oz_definition *def, uint32_t n_partitions)
{
    def->facts.n_partitions = n_partitions;
}
