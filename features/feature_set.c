#include "features/feature_set.h"
#include <stdio.h>
#include <string.h>
#include "features/expr_names.h"
#include "features/expr_order.h"
#include "features/expr_program.h"

/* Where a value of step 1 goes. */
struct value_place {
    uint32_t entity, number;
};

struct oz_feature_set {
    struct oz_plan plan;
    uint32_t n_features, n_rules;
    const char **name; /* [n_features] */
    struct oz_expr_program values[OZ_SOURCES_MAX];
    struct value_place *place[OZ_SOURCES_MAX]; /* [values[s].n_outputs] */
    struct oz_expr_program features, rules;
};

/* What lives during the compilation only. */
struct compiler {
    const struct oz_feature_set_spec *spec;
    struct oz_arena work;
    struct oz_expr_checker checker;
    struct oz_ast **tree;            /* [n_features + n_rules] NULL after a mistake */
    struct oz_expr_mistake *mistake; /* [n_features + n_rules] */
    struct oz_typed *rule;           /* [n_rules] */
    struct oz_feature_set *set;
    struct oz_error *err;
};

enum { WORK_BLOCK_BYTES = 1 << 18 };

static enum oz_text_kind kind_of(const struct compiler *c, uint32_t text, uint32_t *ret_number)
{
    bool rule = text >= c->spec->n_features;
    *ret_number = rule ? text - c->spec->n_features : text;
    return rule ? OZ_TEXT_RULE : OZ_TEXT_FEATURE;
}

static const struct oz_named_text *text_of(const struct compiler *c, uint32_t text)
{
    uint32_t number;
    bool rule = kind_of(c, text, &number) == OZ_TEXT_RULE;
    return rule ? &c->spec->rule[number] : &c->spec->feature[number];
}

static enum oz_status check_spec(const struct compiler *c)
{
    const struct oz_feature_set_spec *spec = c->spec;
    uint32_t n_scored = 0;
    for (uint32_t s = 0; s < spec->n_sources && s < OZ_SOURCES_MAX; s++)
        n_scored += spec->schema[s]->scored;
    if (!spec->n_sources || spec->n_sources > OZ_SOURCES_MAX)
        OZ_FAIL(c->err, OZ_CONFIG, "there are %u sources; 1 to %d are served", spec->n_sources,
                OZ_SOURCES_MAX);
    if (n_scored != 1)
        OZ_FAIL(c->err, OZ_CONFIG, "%u sources are scored; it must be one", n_scored);
    if (spec->n_entities > OZ_ENTITIES_MAX)
        OZ_FAIL(c->err, OZ_CONFIG, "there are %u entities; at most %d are served", spec->n_entities,
                OZ_ENTITIES_MAX);
    if (spec->n_rules > OZ_RULES_MAX)
        OZ_FAIL(c->err, OZ_CONFIG, "there are %u rules; at most %d are served", spec->n_rules,
                OZ_RULES_MAX);
    if (spec->n_features > OZ_FEATURES_MAX)
        OZ_FAIL(c->err, OZ_CONFIG, "there are %u features; at most %d are served", spec->n_features,
                OZ_FEATURES_MAX);
    return OZ_OK;
}

static enum oz_status prepare(struct compiler *c)
{
    const struct oz_feature_set_spec *spec = c->spec;
    struct oz_expr_checker *checker = &c->checker;
    size_t n_texts = (size_t)spec->n_features + spec->n_rules;
    OZ_TRY(check_spec(c));
    c->tree = oz_arena_zeroed(&c->work, n_texts + 1, sizeof(struct oz_ast *));
    c->mistake = oz_arena_zeroed(&c->work, n_texts + 1, sizeof(*c->mistake));
    c->rule = oz_arena_zeroed(&c->work, (size_t)spec->n_rules + 1, sizeof(*c->rule));
    checker->spec = spec;
    checker->arena = &c->work;
    checker->needs = oz_arena_zeroed(&c->work, 1, sizeof(*checker->needs));
    checker->feature =
        oz_arena_zeroed(&c->work, (size_t)spec->n_features + 1, sizeof(*checker->feature));
    checker->feature_by_name =
        oz_arena_zeroed(&c->work, (size_t)spec->n_features + 1, sizeof(*checker->feature_by_name));
    if (!c->tree || !c->mistake || !c->rule || !checker->needs || !checker->feature ||
        !checker->feature_by_name)
        return oz_no_memory(c->err);
    while (!spec->schema[checker->scored]->scored) checker->scored++;
    for (uint32_t f = 0; f < spec->n_features; f++) checker->feature[f].type = OZ_TYPED_UNKNOWN;
    oz_expr_graph_init(&checker->graph, &c->work, spec->schema);
    uint32_t twice[2];
    if (!oz_expr_sort_names(checker, twice))
        OZ_FAIL(c->err, OZ_CONFIG, "the feature `%s` is there twice, as number %u and %u",
                spec->feature[twice[0]].name, twice[0] + 1, twice[1] + 1);
    return OZ_OK;
}

static enum oz_status parse(struct compiler *c)
{
    for (uint32_t t = 0; t < c->spec->n_features + c->spec->n_rules; t++) {
        c->tree[t] = oz_expr_parse(text_of(c, t)->text, &c->work, &c->mistake[t]);
        if (!c->tree[t] && !c->mistake[t].set) return oz_no_memory(c->err);
    }
    return OZ_OK;
}

/* A feature is a number, a rule a condition. */
static struct oz_typed check_result(struct oz_expr_check *check, struct oz_typed v)
{
    struct oz_expr_graph *graph = &check->checker->graph;
    if (v.type == OZ_TYPED_UNKNOWN) return v;
    if (check->kind == OZ_TEXT_RULE) {
        if (v.type == OZ_BOOLEAN) return v;
        return oz_expr_unknown(check, 0, "a rule is a condition, this is %s",
                               oz_typed_name(v.type));
    }
    if (v.type == OZ_LONG || v.type == OZ_DOUBLE)
        v = (struct oz_typed){.type = OZ_DOUBLE, .node = oz_expr_graph_to_double(graph, v.node)};
    else if (v.type == OZ_BOOLEAN)
        v.number = oz_expr_graph_op(graph, OZ_EXPR_TO_DOUBLE, OZ_DOUBLE, v.node, 0, 0);
    else
        return oz_expr_unknown(check, 0, "a feature is a number or a boolean, this is %s",
                               oz_typed_name(v.type));
    if (!v.node || (v.type == OZ_BOOLEAN && !v.number)) v.type = OZ_TYPED_UNKNOWN;
    return v;
}

static struct oz_typed check_text(struct compiler *c, uint32_t text)
{
    struct oz_expr_check check = {.checker = &c->checker, .mistake = &c->mistake[text]};
    check.kind = kind_of(c, text, &check.number);
    if (!c->tree[text] || c->mistake[text].set) return (struct oz_typed){.type = OZ_TYPED_UNKNOWN};
    return check_result(&check, oz_expr_check_tree(&check, c->tree[text]));
}

static enum oz_status check(struct compiler *c)
{
    uint32_t n = c->spec->n_features;
    uint32_t *order;
    OZ_TRY(oz_expr_order(&c->checker, c->tree, c->mistake, &order, c->err));
    for (uint32_t i = 0; i < n; i++) c->checker.feature[order[i]] = check_text(c, order[i]);
    for (uint32_t r = 0; r < c->spec->n_rules; r++) c->rule[r] = check_text(c, n + r);
    if (c->checker.graph.no_memory) return oz_no_memory(c->err);
    return OZ_OK;
}

/* Tells every mistake, in the order of the file; the first one is also the error's message. */
static enum oz_status report(struct compiler *c)
{
    uint32_t n = 0, first = 0;
    for (uint32_t t = c->spec->n_features + c->spec->n_rules; t-- > 0;)
        if (c->mistake[t].set) n++, first = t;
    for (uint32_t t = first; n && t < c->spec->n_features + c->spec->n_rules; t++) {
        uint32_t number;
        enum oz_text_kind kind = kind_of(c, t, &number);
        if (c->mistake[t].set && c->spec->mistake)
            c->spec->mistake(c->spec->mistake_ctx, kind, number, c->mistake[t].offset,
                             c->mistake[t].message);
    }
    if (!n && c->checker.graph.too_many)
        OZ_FAIL(c->err, OZ_CONFIG, "the features and rules take more than %d operations",
                OZ_EXPR_NODES_MAX);
    if (!n) return OZ_OK;
    uint32_t number;
    const char *kind = kind_of(c, first, &number) == OZ_TEXT_RULE ? "rule" : "feature";
    const char *name = text_of(c, first)->name, *message = c->mistake[first].message;
    if (n == 1)
        OZ_FAIL(c->err, OZ_CONFIG, "%s `%s`, byte %zu: %s", kind, name, c->mistake[first].offset,
                message);
    OZ_FAIL(c->err, OZ_CONFIG, "%s `%s`, byte %zu: %s (and %u more mistakes)", kind, name,
            c->mistake[first].offset, message, n - 1);
}

static enum oz_status build_values(struct compiler *c, uint32_t source,
                                   const uint32_t *aggregate_number, struct oz_arena *arena)
{
    static const enum oz_expr_op_kind form[] = {[OZ_VALUE_DOUBLE] = OZ_EXPR_OUT_NUMBER,
                                                [OZ_VALUE_FLAG] = OZ_EXPR_OUT_FLAG,
                                                [OZ_VALUE_MARK] = OZ_EXPR_OUT_MARK,
                                                [OZ_VALUE_KEY] = OZ_EXPR_OUT_KEY};
    const struct oz_expr_needs *needs = c->checker.needs;
    struct oz_expr_output output[OZ_AGGREGATES_MAX];
    uint32_t n = 0;
    for (uint32_t i = 0; i < needs->n_values; i++) n += needs->value[i].source == source;
    struct value_place *place = oz_arena_zeroed(arena, (size_t)n + 1, sizeof(*place));
    if (!place) return oz_no_memory(c->err);
    n = 0;
    for (uint32_t i = 0; i < needs->n_values; i++) {
        const struct oz_expr_value *value = &needs->value[i];
        if (value->source != source) continue;
        output[n] = (struct oz_expr_output){form[value->spec.kind], value->node};
        place[n++] = (struct value_place){value->entity, value->number};
    }
    c->set->place[source] = place;
    return oz_expr_program_new(&c->checker.graph, output, n, aggregate_number, arena,
                               &c->set->values[source], c->err);
}

static enum oz_status build_programs(struct compiler *c, struct oz_arena *arena)
{
    const struct oz_feature_set_spec *spec = c->spec;
    const struct oz_expr_needs *needs = c->checker.needs;
    size_t n = OZ_MAX(spec->n_features, spec->n_rules);
    struct oz_expr_output *output = oz_arena_zeroed(&c->work, n + 1, sizeof(*output));
    if (!output) return oz_no_memory(c->err);
    uint32_t aggregate_number[OZ_AGGREGATES_MAX];
    for (uint32_t i = 0; i < needs->n_aggregates; i++)
        aggregate_number[i] = needs->aggregate[i].number;
    for (uint32_t s = 0; s < spec->n_sources; s++)
        OZ_TRY(build_values(c, s, aggregate_number, arena));
    for (uint32_t f = 0; f < spec->n_features; f++) {
        const struct oz_typed *v = &c->checker.feature[f];
        output[f].form = v->type == OZ_BOOLEAN ? OZ_EXPR_OUT_FLAG : OZ_EXPR_OUT_NUMBER;
        output[f].node = v->node;
    }
    OZ_TRY(oz_expr_program_new(&c->checker.graph, output, spec->n_features, aggregate_number, arena,
                               &c->set->features, c->err));
    for (uint32_t r = 0; r < spec->n_rules; r++)
        output[r] = (struct oz_expr_output){OZ_EXPR_OUT_RULE, c->rule[r].node};
    return oz_expr_program_new(&c->checker.graph, output, spec->n_rules, aggregate_number, arena,
                               &c->set->rules, c->err);
}

static enum oz_status build(struct compiler *c, struct oz_arena *arena)
{
    const struct oz_feature_set_spec *spec = c->spec;
    struct oz_feature_set *set = oz_arena_zeroed(arena, 1, sizeof(*set));
    if (!set) return oz_no_memory(c->err);
    c->set = set;
    set->n_features = spec->n_features;
    set->n_rules = spec->n_rules;
    set->name = oz_arena_zeroed(arena, (size_t)spec->n_features + 1, sizeof(char *));
    if (!set->name) return oz_no_memory(c->err);
    for (uint32_t f = 0; f < spec->n_features; f++) {
        const char *name = spec->feature[f].name;
        set->name[f] = oz_arena_strndup(arena, name, strlen(name));
        if (!set->name[f]) return oz_no_memory(c->err);
    }
    OZ_TRY(oz_expr_needs_plan(c->checker.needs, spec, arena, &set->plan, c->err));
    return build_programs(c, arena);
}

enum oz_status oz_feature_set_compile(const struct oz_feature_set_spec *spec,
                                      struct oz_arena *arena, struct oz_feature_set **ret_set,
                                      struct oz_error *err)
{
    struct compiler c = {.spec = spec, .err = err};
    enum oz_status status;
    oz_arena_init(&c.work, WORK_BLOCK_BYTES);
    OZ_TRY_OUT(prepare(&c));
    OZ_TRY_OUT(parse(&c));
    OZ_TRY_OUT(check(&c));
    OZ_TRY_OUT(report(&c));
    OZ_TRY_OUT(build(&c, arena));
    *ret_set = c.set;
out:
    oz_arena_clear(&c.work);
    return status;
}

const struct oz_plan *oz_feature_set_plan(const struct oz_feature_set *set) { return &set->plan; }

uint32_t oz_feature_set_n_features(const struct oz_feature_set *set) { return set->n_features; }

const char *oz_feature_set_name(const struct oz_feature_set *set, uint32_t feature)
{
    OZ_ASSERT(feature < set->n_features);
    return set->name[feature];
}

size_t oz_feature_set_scratch_bytes(const struct oz_feature_set *set, size_t n_rows)
{
    size_t most = OZ_MAX(oz_expr_program_scratch_bytes(&set->features, n_rows),
                         oz_expr_program_scratch_bytes(&set->rules, n_rows));
    for (uint32_t s = 0; s < set->plan.n_sources; s++)
        most = OZ_MAX(most, oz_expr_program_scratch_bytes(&set->values[s], n_rows));
    return most;
}

void oz_feature_set_values(const struct oz_feature_set *set, uint32_t source,
                           const struct oz_table *table, size_t first, size_t n_rows,
                           uint64_t *const *const *ret_values, void *scratch,
                           uint64_t nulled[OZ_NULLED_COUNT])
{
    OZ_ASSERT(source < set->plan.n_sources);
    const struct oz_expr_program *program = &set->values[source];
    const struct oz_expr_inputs inputs = {.table = table};
    void **output = oz_expr_program_outputs(program, scratch);
    for (uint32_t i = 0; i < program->n_outputs; i++) {
        const struct value_place *place = &set->place[source][i];
        output[i] = ret_values[place->entity][place->number];
    }
    oz_expr_program_run(program, &inputs, first, n_rows, scratch, nulled);
}

void oz_feature_set_features(const struct oz_feature_set *set, const struct oz_table *table,
                             const double *const *aggregate, size_t first, size_t n_rows,
                             double *const *ret_feature, void *scratch,
                             uint64_t nulled[OZ_NULLED_COUNT])
{
    const struct oz_expr_inputs inputs = {.table = table, .aggregate = aggregate};
    void **output = oz_expr_program_outputs(&set->features, scratch);
    for (uint32_t f = 0; f < set->n_features; f++) output[f] = ret_feature[f];
    oz_expr_program_run(&set->features, &inputs, first, n_rows, scratch, nulled);
}

void oz_feature_set_rules(const struct oz_feature_set *set, const struct oz_table *table,
                          const double *const *aggregate, const double *const *feature,
                          const double *const *score, size_t first, size_t n_rows,
                          uint8_t *const *ret_rule, void *scratch, uint64_t nulled[OZ_NULLED_COUNT])
{
    const struct oz_expr_inputs inputs = {
        .table = table, .aggregate = aggregate, .feature = feature, .score = score};
    void **output = oz_expr_program_outputs(&set->rules, scratch);
    for (uint32_t r = 0; r < set->n_rules; r++) output[r] = ret_rule[r];
    oz_expr_program_run(&set->rules, &inputs, first, n_rows, scratch, nulled);
}
