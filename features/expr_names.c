#include "features/expr_names.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/nearest.h"

bool oz_word_is(const struct oz_ast_word *word, const char *name)
{
    return !strncmp(word->data, name, word->len) && name[word->len] == '\0';
}

struct oz_expr_hint oz_expr_hint(const struct oz_ast_word *word, const char *const *names, size_t n)
{
    struct oz_expr_hint hint = {""};
    const char *near = n ? oz_nearest(word->data, word->len, names, n) : NULL;
    if (near) snprintf(hint.text, sizeof(hint.text), "; did you mean `%s`?", near);
    return hint;
}

/* qsort_r has the order's context last, bsearch has none: so the search is written out below. */
static int by_name(const void *a, const void *b, void *ctx)
{
    const struct oz_named_text *feature = ctx;
    return strcmp(feature[*(const uint32_t *)a].name, feature[*(const uint32_t *)b].name);
}

bool oz_expr_sort_names(struct oz_expr_checker *checker, uint32_t ret_twice[2])
{
    const struct oz_feature_set_spec *spec = checker->spec;
    uint32_t *order = checker->feature_by_name;
    for (uint32_t f = 0; f < spec->n_features; f++) order[f] = f;
    qsort_r(order, spec->n_features, sizeof(order[0]), by_name, (void *)spec->feature);
    for (uint32_t i = 1; i < spec->n_features; i++) {
        if (strcmp(spec->feature[order[i - 1]].name, spec->feature[order[i]].name)) continue;
        ret_twice[0] = OZ_MIN(order[i - 1], order[i]);
        ret_twice[1] = OZ_MAX(order[i - 1], order[i]);
        return false;
    }
    return true;
}

static int find_feature(const struct oz_expr_checker *checker, const struct oz_ast_word *name)
{
    uint32_t low = 0, high = checker->spec->n_features;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2, f = checker->feature_by_name[middle];
        const char *other = checker->spec->feature[f].name;
        int order = strncmp(name->data, other, name->len);
        if (!order && other[name->len]) order = -1;
        if (!order) return (int)f;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

static int scored_field(const struct oz_expr_checker *checker, const struct oz_ast_word *name)
{
    return oz_schema_find(checker->spec->schema[checker->scored], name->data, name->len);
}

int oz_expr_feature_of(const struct oz_expr_checker *checker, enum oz_text_kind kind,
                       uint32_t number, const struct oz_ast_word *name)
{
    int f = find_feature(checker, name);
    bool own = kind == OZ_TEXT_FEATURE && f == (int)number;
    return own && scored_field(checker, name) >= 0 ? -1 : f;
}

static int find(const struct oz_ast_word *word, const char *const *names, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (oz_word_is(word, names[i])) return (int)i;
    return -1;
}

int oz_expr_source_of(const struct oz_expr_checker *checker, const struct oz_ast_word *name)
{
    for (uint32_t s = 0; s < checker->spec->n_sources; s++)
        if (oz_word_is(name, checker->spec->schema[s]->name)) return (int)s;
    return -1;
}

int oz_expr_entity_of(const struct oz_expr_checker *checker, const struct oz_ast_word *name)
{
    return find(name, checker->spec->entity_name, checker->spec->n_entities);
}

bool oz_expr_read_source(struct oz_expr_check *check, uint32_t source, uint32_t offset)
{
    const struct oz_schema *const *schema = check->checker->spec->schema;
    if (!check->in_aggregate || check->source == (int)source) return true;
    if (check->source >= 0)
        return oz_expr_mistake_set(check->mistake, offset,
                                   "one aggregate reads one source: this is of `%s`, what stands "
                                   "before it is of `%s`",
                                   schema[source]->name, schema[check->source]->name);
    check->source = (int)source;
    return true;
}

static struct oz_typed field_value(struct oz_expr_check *check, uint32_t source, int field,
                                   uint32_t offset)
{
    if (!oz_expr_read_source(check, source, offset))
        return (struct oz_typed){.type = OZ_TYPED_UNKNOWN};
    uint32_t node = oz_expr_graph_field(&check->checker->graph, source, (uint32_t)field);
    return (struct oz_typed){.type = node ? check->checker->graph.node[node].type
                                          : (unsigned)OZ_TYPED_UNKNOWN,
                             .node = node};
}

static struct oz_typed unknown_source(struct oz_expr_check *check, const struct oz_ast_word *name)
{
    const char *names[OZ_SOURCES_MAX];
    uint32_t n = check->checker->spec->n_sources;
    for (uint32_t s = 0; s < n; s++) names[s] = check->checker->spec->schema[s]->name;
    return oz_expr_unknown(check, name->offset,
                           "there is no source `%.*s` (look-ups in tables are not served yet)%s",
                           OZ_WORD_ARGS(name), oz_expr_hint(name, names, n).text);
}

static struct oz_expr_hint field_hint(const struct oz_schema *schema,
                                      const struct oz_ast_word *name)
{
    const char *names[OZ_FIELDS_MAX];
    uint32_t n = OZ_MIN(schema->n_fields, (uint32_t)OZ_FIELDS_MAX);
    for (uint32_t i = 0; i < n; i++) names[i] = schema->field[i].name;
    return oz_expr_hint(name, names, n);
}

static struct oz_typed check_qualified(struct oz_expr_check *check, const struct oz_ast *ast)
{
    const struct oz_ast_word *source = &ast->name.source, *field = &ast->name.field;
    int s = oz_expr_source_of(check->checker, source);
    if (s < 0) return unknown_source(check, source);
    const struct oz_schema *schema = check->checker->spec->schema[s];
    int f = oz_schema_find(schema, field->data, field->len);
    if (f < 0)
        return oz_expr_unknown(check, field->offset, "the source `%s` has no field `%.*s`%s",
                               schema->name, OZ_WORD_ARGS(field), field_hint(schema, field).text);
    if (s != (int)check->checker->scored && !check->in_aggregate)
        return oz_expr_unknown(check, source->offset,
                               "`%s` is not the scored source: its fields can be used inside an "
                               "aggregate only, as in last(%s.%s)",
                               schema->name, schema->name, schema->field[f].name);
    return field_value(check, (uint32_t)s, f, source->offset);
}

/* Everything that a bare name could have meant here, and a field of another source by its name. */
static struct oz_typed unknown_name(struct oz_expr_check *check, const struct oz_ast_word *name)
{
    const struct oz_expr_checker *checker = check->checker;
    const struct oz_feature_set_spec *spec = checker->spec;
    for (uint32_t s = 0; s < spec->n_sources; s++) {
        if (oz_schema_find(spec->schema[s], name->data, name->len) < 0) continue;
        return oz_expr_unknown(
            check, name->offset,
            "the scored source has no field `%.*s`; for the other source's write "
            "%s.%.*s%s",
            OZ_WORD_ARGS(name), spec->schema[s]->name, OZ_WORD_ARGS(name),
            check->in_aggregate ? "" : " inside an aggregate");
    }
    const struct oz_schema *schema = spec->schema[checker->scored];
    bool features = !check->in_aggregate, scores = check->kind == OZ_TEXT_RULE;
    size_t n = 0;
    size_t most = schema->n_fields + (size_t)spec->n_features + spec->n_scores;
    const char **names = oz_arena_get(checker->arena, most * sizeof(names[0]) + 1);
    for (uint32_t i = 0; names && features && i < spec->n_features; i++)
        if (check->kind == OZ_TEXT_RULE || i != check->number) names[n++] = spec->feature[i].name;
    for (uint32_t i = 0; names && scores && i < spec->n_scores; i++)
        names[n++] = spec->score_name[i];
    for (uint32_t i = 0; names && i < schema->n_fields; i++) names[n++] = schema->field[i].name;
    return oz_expr_unknown(check, name->offset, "there is no %s `%.*s`%s",
                           scores     ? "feature, score or field"
                           : features ? "field or feature"
                                      : "field",
                           OZ_WORD_ARGS(name), oz_expr_hint(name, names, n).text);
}

struct oz_typed oz_expr_check_name(struct oz_expr_check *check, const struct oz_ast *ast)
{
    struct oz_expr_checker *checker = check->checker;
    const struct oz_feature_set_spec *spec = checker->spec;
    const struct oz_ast_word *name = &ast->name.field;
    if (ast->name.source.data) return check_qualified(check, ast);
    int field = scored_field(checker, name);
    int score = find(name, spec->score_name, spec->n_scores);
    int feature = oz_expr_feature_of(checker, check->kind, check->number, name);
    if (!check->in_aggregate && feature >= 0) {
        if (check->kind == OZ_TEXT_RULE && score >= 0)
            return oz_expr_unknown(check, name->offset,
                                   "`%.*s` is a feature and a model's score: give one of them "
                                   "another name",
                                   OZ_WORD_ARGS(name));
        return oz_expr_feature_value(check, (uint32_t)feature);
    }
    if (!check->in_aggregate && score >= 0 && check->kind == OZ_TEXT_RULE) {
        uint32_t node = oz_expr_graph_add(
            &checker->graph, &(struct oz_expr_node){
                                 .op = OZ_EXPR_SCORE, .type = OZ_DOUBLE, .index = (uint32_t)score});
        return (struct oz_typed){.type = node ? OZ_DOUBLE : (unsigned)OZ_TYPED_UNKNOWN,
                                 .node = node};
    }
    if (field >= 0) return field_value(check, checker->scored, field, name->offset);
    if (find_feature(checker, name) >= 0 && check->in_aggregate)
        return oz_expr_unknown(check, name->offset,
                               "`%.*s` is a feature; inside an aggregate there are only fields",
                               OZ_WORD_ARGS(name));
    if (score >= 0)
        return oz_expr_unknown(check, name->offset,
                               "`%.*s` is a model's score, and those can be used in rules only",
                               OZ_WORD_ARGS(name));
    return unknown_name(check, name);
}
