#include "pipelines/config/pipeline_checks.h"
#include <stdlib.h>
#include <string.h>
#include "base/instant.h"

struct checker {
    struct oz_config_doc *doc;
    const struct oz_pipeline_draft *draft;
    const struct oz_source_draft *scored; /* NULL: none, or not clear which */
};

/* Words given in the file have a node; defaults are not checked. */
static struct oz_place place_of(struct oz_config_word word)
{
    return word.node ? word.node->place : (struct oz_place){0, 0};
}

/* " (line:column)" of the other of two, when it stands in the file. */
static const char *there(struct checker *checker, struct oz_config_word word)
{
    struct oz_place place = place_of(word);
    if (place.line <= 0) return "";
    const char *text = oz_arena_printf(checker->doc->arena, " (%d:%d)", place.line, place.column);
    if (!text) checker->doc->no_memory = true;
    return text ? text : "";
}

static struct oz_place key_place(struct checker *checker, const char *key)
{
    struct oz_yaml_entry *entry = oz_yaml_find(checker->doc->root, key, strlen(key));
    return entry ? entry->key->place : (struct oz_place){0, 0};
}

int oz_field_draft_find(const struct oz_source_draft *source, const char *name)
{
    for (size_t i = 0; name && i < source->n_fields; i++)
        if (!strcmp(source->field[i].name.text, name)) return (int)i;
    return -1;
}

size_t oz_scored_source(const struct oz_pipeline_draft *draft)
{
    size_t n = 0, found = draft->n_sources;
    for (size_t i = 0; i < draft->n_sources; i++)
        if (draft->source[i].score != OZ_SAYS_NO) found = i, n++;
    return n == 1 ? found : draft->n_sources;
}

static void check_scored(struct checker *checker)
{
    const struct oz_source_draft *first = NULL;
    for (size_t i = 0; i < checker->draft->n_sources; i++) {
        const struct oz_source_draft *source = &checker->draft->source[i];
        if (source->score == OZ_SAYS_NO) continue;
        if (!first)
            first = source;
        else
            oz_config_mistake(
                checker->doc, place_of(source->name),
                "sources `%s` and `%s` are both scored: write `score: false` into all but one",
                first->name.text, source->name.text);
    }
    if (!first && checker->draft->n_sources)
        oz_config_mistake(checker->doc, key_place(checker, "sources"),
                          "no source is scored: leave `score: false` out of one");
}

static const char *field_hint(struct checker *checker, const struct oz_source_draft *source,
                              const char *word)
{
    const char *names[OZ_FIELDS_MAX];
    for (size_t i = 0; i < source->n_fields; i++) names[i] = source->field[i].name.text;
    return oz_config_hint(checker->doc, word, strlen(word), names, source->n_fields);
}

enum { LONG_OR_STRING = 1 << OZ_LONG | 1 << OZ_STRING, TIMESTAMP_ONLY = 1 << OZ_TIMESTAMP };

static void check_reference(struct checker *checker, const struct oz_source_draft *source,
                            const char *what, struct oz_config_word word, unsigned types,
                            const char *types_text)
{
    if (!word.text || !source->n_fields) return;
    int number = oz_field_draft_find(source, word.text);
    if (number < 0) {
        oz_config_mistake(checker->doc, place_of(word), "`%s` is not a field of source `%s`%s",
                          word.text, source->name.text, field_hint(checker, source, word.text));
        return;
    }
    const struct oz_field_word *field = &source->field[number].is;
    if (!field->known || types & 1u << field->type) return;
    oz_config_mistake(checker->doc, place_of(word), "%s must be %s, and field `%s` is %s", what,
                      types_text, word.text, oz_type_name(field->type));
}

static void check_source(struct checker *checker, const struct oz_source_draft *source)
{
    check_reference(checker, source, "`id`", source->id, LONG_OR_STRING, "a long or a string");
    check_reference(checker, source, "`key`", source->key, LONG_OR_STRING, "a long or a string");
    check_reference(checker, source, "`time`", source->time, TIMESTAMP_ONLY, "a timestamp");
    check_reference(checker, source, "`arrival`", source->arrival, TIMESTAMP_ONLY, "a timestamp");
}

/* The scored source has the field, and every source that has one of its name has the same type. */
static void check_entity(struct checker *checker, const struct oz_entity_draft *entity)
{
    const struct oz_source_draft *scored = checker->scored;
    if (!scored) return;
    check_reference(checker, scored, "what identifies an entity", entity->field, LONG_OR_STRING,
                    "a long or a string");
    int own = oz_field_draft_find(scored, entity->field.text);
    if (own < 0 || !scored->field[own].is.known) return;
    enum oz_type type = scored->field[own].is.type;
    for (size_t i = 0; i < checker->draft->n_sources; i++) {
        const struct oz_source_draft *source = &checker->draft->source[i];
        int other = oz_field_draft_find(source, entity->field.text);
        if (other < 0 || !source->field[other].is.known || source->field[other].is.type == type)
            continue;
        oz_config_mistake(
            checker->doc, place_of(source->field[other].name),
            "field `%s` of entity `%s` is %s here and %s in source `%s`: both must be the same",
            entity->field.text, entity->name.text, oz_type_name(source->field[other].is.type),
            oz_type_name(type), scored->name.text);
    }
}

struct topic {
    struct oz_config_word word;
    const char *what;
};

static void check_topics(struct checker *checker)
{
    const struct oz_pipeline_draft *draft = checker->draft;
    struct topic topic[OZ_SOURCES_MAX + 3];
    size_t n = 0;
    for (size_t i = 0; i < draft->n_sources; i++)
        topic[n++] = (struct topic){draft->source[i].topic, "a source"};
    topic[n++] = (struct topic){draft->scores_topic, "the scores"};
    topic[n++] = (struct topic){draft->dead_letters_topic, "the dead letters"};
    topic[n++] = (struct topic){draft->alerts_topic, "the alerts"};
    for (size_t i = 0; i < n; i++) {
        const char *text = topic[i].word.text, *name = draft->name.text;
        if (!text) continue;
        if (name && !strncmp(text, "ouzel.", 6) && !strncmp(text + 6, name, strlen(name)) &&
            text[6 + strlen(name)] == '.')
            oz_config_mistake(
                checker->doc, place_of(topic[i].word),
                "topics that begin with `ouzel.%s.` are Ouzel's own: choose another name", name);
        for (size_t j = 0; j < i; j++) {
            if (!topic[j].word.text || strcmp(topic[j].word.text, text)) continue;
            oz_config_mistake(checker->doc, place_of(topic[i].word),
                              "topic `%s` is that of %s%s already: every topic has one use", text,
                              topic[j].what, there(checker, topic[j].word));
            break;
        }
    }
}

/* Names that expressions see, sorted, to find those that are given twice. */
enum name_kind {
    SOURCE,
    SCORE, /* of `outputs` of a model */
    MODEL,
    ENTITY,
    FEATURE,
    FIELD,
    FIELD_ITSELF /* a feature that is its field */
};
static const char *const kind_text[] = {"a source",  "a score",   "a model",
                                        "an entity", "a feature", "a field of the scored source",
                                        "a feature"};

struct name {
    struct oz_config_word word;
    enum name_kind kind;
};

static int by_text_then_place(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    int order = strcmp(x->word.text, y->word.text);
    return order ? order : (int)y->kind - (int)x->kind;
}

/* A field may be shown as a feature under its own name, and identify the entity of its own name:
 * all of them then mean the same. Everything else of one name would leave expressions unclear. */
static bool may_share(enum name_kind a, enum name_kind b)
{
    bool entity = a == ENTITY || b == ENTITY, field = a == FIELD || b == FIELD;
    bool itself = a == FIELD_ITSELF || b == FIELD_ITSELF;
    return (itself && (field || entity)) || (entity && field);
}

static bool is_field_itself(struct checker *checker, const struct oz_feature_draft *feature)
{
    const char *text = feature->text.text;
    if (!text || !checker->scored || oz_field_draft_find(checker->scored, feature->name.text) < 0)
        return false;
    size_t from = strspn(text, " \t\r\n"), n = strcspn(text + from, " \t\r\n");
    return n == strlen(feature->name.text) && !strncmp(text + from, feature->name.text, n) &&
           !text[from + n + strspn(text + from + n, " \t\r\n")];
}

static size_t list_names(struct checker *checker, struct name *name)
{
    const struct oz_pipeline_draft *draft = checker->draft;
    size_t n = 0;
    for (size_t i = 0; i < draft->n_sources; i++)
        name[n++] = (struct name){draft->source[i].name, SOURCE};
    for (size_t i = 0; i < draft->n_models; i++) {
        const struct oz_model_draft *model = &draft->model[i];
        name[n++] = (struct name){model->name, MODEL};
        for (size_t k = 0; k < model->n_outputs; k++) /* one may have the model's own name */
            if (strcmp(model->output[k].name.text, model->name.text) != 0)
                name[n++] = (struct name){model->output[k].name, SCORE};
    }
    for (size_t i = 0; i < draft->n_entities; i++)
        name[n++] = (struct name){draft->entity[i].name, ENTITY};
    for (size_t i = 0; i < draft->n_features; i++)
        name[n++] =
            (struct name){draft->feature[i].name,
                          is_field_itself(checker, &draft->feature[i]) ? FIELD_ITSELF : FEATURE};
    for (size_t i = 0; checker->scored && i < checker->scored->n_fields; i++)
        name[n++] = (struct name){checker->scored->field[i].name, FIELD};
    return n;
}

static void report_clash(struct checker *checker, const struct name *name, const struct name *other)
{
    const char *advice = name->kind == FEATURE && other->kind == FIELD
                             ? ": only the field itself may be a feature of its name"
                             : ": choose another name";
    oz_config_mistake(checker->doc, place_of(name->word), "`%s` is the name of %s%s already%s",
                      name->word.text, kind_text[other->kind], there(checker, other->word), advice);
}

static void check_names(struct checker *checker)
{
    const struct oz_pipeline_draft *draft = checker->draft;
    size_t most =
        draft->n_sources + draft->n_models + draft->n_entities + draft->n_features + OZ_FIELDS_MAX;
    for (size_t i = 0; i < draft->n_models; i++) most += draft->model[i].n_outputs;
    struct name *name = oz_config_get(checker->doc, most * sizeof(*name));
    if (!name) return;
    size_t n = list_names(checker, name);
    qsort(name, n, sizeof(*name), by_text_then_place);
    for (size_t i = 1; i < n; i++) {
        for (size_t j = i; j-- > 0 && !strcmp(name[j].word.text, name[i].word.text);) {
            if (may_share(name[i].kind, name[j].kind)) continue;
            report_clash(checker, &name[i], &name[j]);
            break;
        }
    }
    /* An entity may have the name of the field that identifies it, and of no other. */
    for (size_t i = 0; i < draft->n_entities; i++) {
        const struct oz_entity_draft *entity = &draft->entity[i];
        bool other =
            checker->scored && entity->field.text && strcmp(entity->name.text, entity->field.text);
        if (other && oz_field_draft_find(checker->scored, entity->name.text) >= 0)
            oz_config_mistake(checker->doc, place_of(entity->name),
                              "entity `%s` has the name of a field, but is identified by `%s`: "
                              "choose another name",
                              entity->name.text, entity->field.text);
    }
}

static const struct oz_feature_draft *find_feature(const struct oz_pipeline_draft *draft,
                                                   const char *name)
{
    for (size_t i = 0; i < draft->n_features; i++)
        if (!strcmp(draft->feature[i].name.text, name)) return &draft->feature[i];
    return NULL;
}

/* A feature, or for a text input a field of the scored source. */
static void check_model_feature(struct checker *checker, struct oz_config_word word)
{
    const struct oz_pipeline_draft *draft = checker->draft;
    if (!word.text || find_feature(draft, word.text)) return;
    int field = checker->scored ? oz_field_draft_find(checker->scored, word.text) : -1;
    if (field >= 0) {
        const struct oz_field_word *is = &checker->scored->field[field].is;
        if (is->known && is->type != OZ_STRING)
            oz_config_mistake(checker->doc, place_of(word),
                              "`%.128s` is a field and no feature: define one, `%.128s: %.128s`",
                              word.text, word.text, word.text);
        return;
    }
    const char **names = oz_config_get(checker->doc, draft->n_features * sizeof(*names));
    for (size_t i = 0; names && i < draft->n_features; i++) names[i] = draft->feature[i].name.text;
    oz_config_mistake(
        checker->doc, place_of(word), "`%.128s` is not a feature%s", word.text,
        names ? oz_config_hint(checker->doc, word.text, strlen(word.text), names, draft->n_features)
              : "");
}

static int by_text(const void *a, const void *b)
{
    const struct oz_config_word *x = *(const struct oz_config_word *const *)a;
    const struct oz_config_word *y = *(const struct oz_config_word *const *)b;
    int order = strcmp(x->text, y->text);
    return order ? order : (x > y) - (x < y);
}

static void check_model_inputs(struct checker *checker, const struct oz_model_draft *model)
{
    for (size_t i = 0; i < model->inputs.n; i++) {
        const struct oz_input_word *input = &model->inputs.input[i];
        size_t n = input->n_features;
        const struct oz_config_word **sorted =
            oz_config_get(checker->doc, (n + 1) * sizeof(struct oz_config_word *));
        if (!sorted) return;
        for (size_t f = 0; f < n; f++) {
            sorted[f] = &input->feature[f];
            check_model_feature(checker, input->feature[f]);
        }
        qsort(sorted, n, sizeof(struct oz_config_word *), by_text);
        for (size_t f = 1; f < n; f++)
            if (!strcmp(sorted[f]->text, sorted[f - 1]->text))
                oz_config_mistake(checker->doc, place_of(*sorted[f]),
                                  "feature `%.128s` is listed twice%s", sorted[f]->text,
                                  there(checker, *sorted[f - 1]));
    }
    for (size_t k = 0; k < model->n_outputs; k++)
        for (size_t j = 0; j < k; j++) {
            struct oz_config_word one = model->output[k].output, other = model->output[j].output;
            if (!one.text || !other.text || strcmp(one.text, other.text) != 0) continue;
            oz_config_mistake(checker->doc, place_of(one), "output `%.128s` is a score already%s",
                              one.text, there(checker, other));
            break;
        }
}

static void check_rule(struct checker *checker, const struct oz_rule_draft *rule)
{
    const struct oz_pipeline_draft *draft = checker->draft;
    const char *by = rule->suppress.by, *names[OZ_ENTITIES_MAX];
    if (!by) return;
    for (size_t i = 0; i < draft->n_entities; i++) {
        names[i] = draft->entity[i].name.text;
        if (!strcmp(names[i], by)) return;
    }
    oz_config_mistake(checker->doc, rule->suppress.by_place, "`%.128s` is not an entity%s", by,
                      oz_config_hint(checker->doc, by, strlen(by), names, draft->n_entities));
}

static void check_alert_fields(struct checker *checker)
{
    const struct oz_pipeline_draft *draft = checker->draft;
    for (size_t i = 0; i < draft->n_alert_fields; i++) {
        struct oz_config_word word = draft->alert_field[i];
        if (!word.text || !checker->scored) continue;
        if (oz_field_draft_find(checker->scored, word.text) < 0)
            oz_config_mistake(
                checker->doc, place_of(word), "`%.128s` is not a field of source `%s`%s", word.text,
                checker->scored->name.text, field_hint(checker, checker->scored, word.text));
        for (size_t j = 0; j < i; j++)
            if (draft->alert_field[j].text && !strcmp(draft->alert_field[j].text, word.text)) {
                oz_config_mistake(checker->doc, place_of(word), "field `%.128s` is listed twice",
                                  word.text);
                break;
            }
    }
}

/* A later leg could not tell a repeat of an earlier one from a new event. */
static void check_exchange(struct checker *checker)
{
    const struct oz_pipeline_draft *draft = checker->draft;
    if (draft->exchange != OZ_EXCHANGE_TOPIC || draft->delivery != OZ_AT_LEAST_ONCE) return;
    const struct oz_yaml_entry *entry =
        oz_yaml_find(checker->doc->root, "delivery", strlen("delivery"));
    oz_config_mistake(checker->doc, entry->value->place,
                      "`exchange: topic` needs `delivery: exactly_once`: what an event repeats on "
                      "its way would be counted twice");
}

void oz_pipeline_checks(struct oz_config_doc *doc, const struct oz_pipeline_draft *draft)
{
    struct checker checker = {.doc = doc, .draft = draft};
    size_t scored = oz_scored_source(draft);
    if (scored < draft->n_sources) checker.scored = &draft->source[scored];
    check_scored(&checker);
    for (size_t i = 0; i < draft->n_sources; i++) check_source(&checker, &draft->source[i]);
    for (size_t i = 0; i < draft->n_entities; i++) check_entity(&checker, &draft->entity[i]);
    for (size_t i = 0; i < draft->n_models; i++) check_model_inputs(&checker, &draft->model[i]);
    check_topics(&checker);
    check_names(&checker);
    check_alert_fields(&checker);
    check_exchange(&checker);
    for (size_t i = 0; i < draft->n_rules; i++) check_rule(&checker, &draft->rule[i]);
}
