#include "features/expr_names.h"
#include <stdio.h>
#include <string.h>
#include "base/instant.h"

enum { TAKES_BOOLEAN = 1, TAKES_NUMBER = 2, TAKES_ANY = 4 };

/* The aggregates that are served: name, what they take, what they need of a value. */
static const struct {
    const char *name;
    unsigned takes, uses;
} aggs[OZ_AGG_COUNT_OF] = {
    [OZ_AGG_COUNT] = {"count", TAKES_ANY, OZ_USE_COUNT},
    [OZ_AGG_SUM] = {"sum", TAKES_BOOLEAN | TAKES_NUMBER, OZ_USE_SUM},
    [OZ_AGG_MEAN] = {"mean", TAKES_BOOLEAN | TAKES_NUMBER, OZ_USE_SUM},
    [OZ_AGG_MIN] = {"min", TAKES_BOOLEAN | TAKES_NUMBER, OZ_USE_EXTREME},
    [OZ_AGG_MAX] = {"max", TAKES_BOOLEAN | TAKES_NUMBER, OZ_USE_EXTREME},
    [OZ_AGG_LAST] = {"last", TAKES_BOOLEAN | TAKES_NUMBER, OZ_USE_LAST},
    [OZ_AGG_DISTINCT] = {"distinct", TAKES_ANY, OZ_USE_DISTINCT},
};

static const char *const promised[] = {
    "var",      "std",  "first",       "lag",    "mode",       "ratio",           "rate",
    "slope",    "ewma", "decayed_sum", "zscore", "since_last", "approx_distinct", "approx_quantile",
    "sequence",
};

bool oz_expr_agg_of(const struct oz_ast_word *name, enum oz_agg *ret_agg)
{
    for (int a = 0; a < OZ_AGG_COUNT_OF; a++) {
        if (!oz_word_is(name, aggs[a].name)) continue;
        *ret_agg = a;
        return true;
    }
    return false;
}

const char *oz_expr_agg_name(enum oz_agg agg) { return aggs[agg].name; }

bool oz_expr_agg_promised(const struct oz_ast_word *name)
{
    for (size_t i = 0; i < OZ_COUNT_OF(promised); i++)
        if (oz_word_is(name, promised[i])) return true;
    return false;
}

/* One aggregate call on its way to the needs. */
struct aggregate {
    enum oz_agg agg;
    const struct oz_ast_call *call;
    bool of_source;        /* count() and count(source): events, not values */
    struct oz_typed arg;   /* when not of_source */
    struct oz_typed where; /* when there is one */
    uint32_t entity;
};

static bool check_entity(struct oz_expr_check *check, struct aggregate *a)
{
    const struct oz_feature_set_spec *spec = check->checker->spec;
    const struct oz_ast_word *by = &a->call->by;
    char list[256];
    size_t len = 0;
    list[0] = '\0';
    for (uint32_t e = 0; e < spec->n_entities && len < sizeof(list); e++)
        len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", e ? ", " : "",
                                spec->entity_name[e]);
    if (!spec->n_entities)
        return oz_expr_mistake_set(check->mistake, a->call->name.offset,
                                   "an aggregate needs an entity, and the pipeline has none");
    if (!by->data && spec->n_entities > 1)
        return oz_expr_mistake_set(check->mistake, a->call->name.offset,
                                   "`%s` of whose past? Add `by` and one of the entities: %s",
                                   aggs[a->agg].name, list);
    int e = by->data ? oz_expr_entity_of(check->checker, by) : 0;
    if (e < 0)
        return oz_expr_mistake_set(
            check->mistake, by->offset, "there is no entity `%.*s`%s; the entities are: %s",
            OZ_WORD_ARGS(by), oz_expr_hint(by, spec->entity_name, spec->n_entities).text, list);
    a->entity = (uint32_t)e;
    return true;
}

/* Reads what stands in the parentheses, which also shows the source. */
static bool check_arguments(struct oz_expr_check *check, struct aggregate *a)
{
    const struct oz_ast_call *call = a->call;
    const char *name = aggs[a->agg].name;
    if (a->agg == OZ_AGG_COUNT && !call->n_args) {
        a->of_source = true;
        return oz_expr_read_source(check, check->checker->scored, call->name.offset);
    }
    if (call->n_args != 1)
        return oz_expr_mistake_set(check->mistake, call->name.offset,
                                   "`%s` takes one argument, here are %u", name, call->n_args);
    const struct oz_ast *arg = call->arg[0];
    if (arg->kind == OZ_AST_NAME && !arg->name.source.data) {
        int source = oz_expr_source_of(check->checker, &arg->name.field);
        a->of_source = source >= 0 && a->agg == OZ_AGG_COUNT;
        if (a->of_source) return oz_expr_read_source(check, (uint32_t)source, arg->start);
    }
    a->arg = oz_expr_check_tree(check, arg);
    if (a->arg.type == OZ_TYPED_UNKNOWN) return false;
    bool fits = a->arg.type == OZ_BOOLEAN ? aggs[a->agg].takes & TAKES_BOOLEAN
                : a->arg.type == OZ_LONG || a->arg.type == OZ_DOUBLE
                    ? aggs[a->agg].takes & TAKES_NUMBER
                    : 0;
    if (a->arg.type != OZ_TYPED_NULL && (fits || aggs[a->agg].takes & TAKES_ANY)) return true;
    return oz_expr_mistake_set(
        check->mistake, arg->start, "`%s` takes numbers and booleans, this is %s%s", name,
        oz_typed_name(a->arg.type),
        a->arg.type == OZ_TYPED_NULL ? "" : "; count and distinct take anything");
}

static bool check_where(struct oz_expr_check *check, struct aggregate *a)
{
    const struct oz_ast *where = a->call->where;
    if (!where) return true;
    a->where = oz_expr_check_tree(check, where);
    if (a->where.type == OZ_TYPED_UNKNOWN || a->where.type == OZ_BOOLEAN)
        return a->where.type == OZ_BOOLEAN;
    return oz_expr_mistake_set(check->mistake, where->start,
                               "`where` takes a condition, this is %s; a condition larger than one "
                               "comparison stands in parentheses",
                               oz_typed_name(a->where.type));
}

static bool check_windows(struct oz_expr_check *check, struct aggregate *a)
{
    const struct oz_feature_set_spec *spec = check->checker->spec;
    const struct oz_schema *schema = spec->schema[check->source];
    const char *field = spec->entity_field[a->entity];
    if (a->agg == OZ_AGG_DISTINCT && !a->call->over_us && !a->call->last)
        return oz_expr_mistake_set(check->mistake, a->call->name.offset,
                                   "`distinct` needs `over` or `last`: over all time every value "
                                   "would have to be kept");
    if (a->call->excluding_current && !schema->scored)
        return oz_expr_mistake_set(check->mistake, a->call->excluding_offset,
                                   "the current event is not among those of `%s`", schema->name);
    if (oz_schema_find(schema, field, strlen(field)) < 0)
        return oz_expr_mistake_set(
            check->mistake, a->call->by.data ? a->call->by.offset : a->call->name.offset,
            "the source `%s` has no field `%s`, so its events belong to no `%s`", schema->name,
            field, spec->entity_name[a->entity]);
    return true;
}

static bool never_null(const struct oz_expr_checker *checker, uint32_t node)
{
    const struct oz_expr_node *n = &checker->graph.node[node];
    if (n->op == OZ_EXPR_TO_DOUBLE) return never_null(checker, n->operand[0]);
    if (n->op != OZ_EXPR_FIELD || n->type == OZ_DOUBLE) return false;
    const struct oz_schema *schema = checker->spec->schema[n->source];
    int field = (int)n->index;
    return field == schema->id || field == schema->key || field == schema->time;
}

/* What is kept of each event: the argument where the condition holds. */
static void make_value(struct oz_expr_check *check, struct aggregate *a,
                       struct oz_expr_value *value)
{
    struct oz_expr_graph *graph = &check->checker->graph;
    uint32_t x = a->of_source ? 0 : a->arg.node, where = a->where.node;
    unsigned type = a->arg.type;
    if (a->agg == OZ_AGG_COUNT) {
        value->spec.kind = OZ_VALUE_MARK;
        if (x) {
            uint32_t null = oz_expr_graph_op(graph, OZ_EXPR_IS_NULL, OZ_BOOLEAN, x, 0, 0);
            value->node = oz_expr_graph_op(graph, OZ_EXPR_NOT, OZ_BOOLEAN, null, 0, 0);
        }
        if (where && x)
            where = oz_expr_graph_op(graph, OZ_EXPR_AND, OZ_BOOLEAN, value->node, where, 0);
        if (where) value->node = where;
    } else {
        value->spec.kind = a->agg == OZ_AGG_DISTINCT ? OZ_VALUE_KEY
                           : type == OZ_BOOLEAN      ? OZ_VALUE_FLAG
                                                     : OZ_VALUE_DOUBLE;
        if (value->spec.kind == OZ_VALUE_DOUBLE) {
            x = oz_expr_graph_to_double(graph, x);
            type = OZ_DOUBLE;
        }
        value->node = where ? oz_expr_graph_op(graph, OZ_EXPR_IF, type, where, x,
                                               oz_expr_graph_null(graph, type))
                            : x;
    }
    value->spec.nullable = a->where.node || !never_null(check->checker, x);
}

/* The kind and, for a key, the type are part of the text: what is kept depends on them. */
static void print_value(const struct oz_expr_checker *checker, const struct aggregate *a,
                        enum oz_value_kind kind, struct oz_buf *buf)
{
    static const char *const form[] = {[OZ_VALUE_DOUBLE] = "double",
                                       [OZ_VALUE_FLAG] = "flag",
                                       [OZ_VALUE_MARK] = "mark",
                                       [OZ_VALUE_KEY] = "key"};
    oz_buf_puts(buf, form[kind]);
    if (kind == OZ_VALUE_KEY) oz_buf_printf(buf, " %s", oz_type_name(a->arg.type));
    if (!a->of_source) {
        oz_buf_puts(buf, " ");
        oz_expr_graph_print(&checker->graph, a->arg.node, buf);
    }
    if (!a->where.node) return;
    oz_buf_puts(buf, " where ");
    oz_expr_graph_print(&checker->graph, a->where.node, buf);
}

static void print_aggregate(const struct oz_expr_check *check, const struct aggregate *a,
                            const struct oz_aggregate *spec, struct oz_buf *buf)
{
    const struct oz_expr_checker *checker = check->checker;
    char duration[2 * OZ_INSTANT_BYTES_MAX];
    oz_buf_printf(buf, "%s(", aggs[a->agg].name);
    if (a->of_source)
        oz_buf_puts(buf, checker->spec->schema[check->source]->name);
    else
        oz_expr_graph_print(&checker->graph, a->arg.node, buf);
    oz_buf_printf(buf, ") by %s", checker->spec->entity_name[a->entity]);
    if (spec->over_us) {
        duration[oz_format_duration(duration, spec->over_us)] = '\0';
        oz_buf_printf(buf, " over %s", duration);
    }
    if (spec->last) oz_buf_printf(buf, " last %u", spec->last);
    if (spec->delay_us) {
        duration[oz_format_duration(duration, spec->delay_us)] = '\0';
        oz_buf_printf(buf, " delay %s", duration);
    }
    if (a->where.node) {
        oz_buf_puts(buf, " where ");
        oz_expr_graph_print(&checker->graph, a->where.node, buf);
    }
    if (spec->excluding_current) oz_buf_puts(buf, " excluding current");
}

/* The printed text, in the arena; NULL and no_memory set when there is none. */
static const char *keep(struct oz_expr_checker *checker, struct oz_buf *buf)
{
    const char *text = NULL;
    if (!buf->failed) text = oz_arena_strndup(checker->arena, (const char *)buf->data, buf->len);
    if (!text) checker->graph.no_memory = true;
    oz_buf_reset(buf);
    return text;
}

static int need_value(struct oz_expr_check *check, struct aggregate *a, struct oz_buf *buf)
{
    struct oz_expr_value value = {.entity = a->entity, .source = (uint32_t)check->source};
    make_value(check, a, &value);
    if (!value.node) return -1;
    print_value(check->checker, a, value.spec.kind, buf);
    value.spec.uses = aggs[a->agg].uses;
    value.spec.text = keep(check->checker, buf);
    if (!value.spec.text) return -1;
    int number = oz_expr_needs_value(check->checker->needs, &value);
    if (number < 0)
        oz_expr_mistake_set(check->mistake, a->call->name.offset,
                            "at most %d different values of `%s` can be kept for `%s`",
                            OZ_RING_VALUES_MAX, check->checker->spec->schema[check->source]->name,
                            check->checker->spec->entity_name[a->entity]);
    return number;
}

static struct oz_typed need_aggregate(struct oz_expr_check *check, struct aggregate *a,
                                      struct oz_buf *buf)
{
    struct oz_typed unknown = {.type = OZ_TYPED_UNKNOWN};
    const struct oz_ast_call *call = a->call;
    struct oz_expr_aggregate need = {
        .spec = {.agg = a->agg,
                 .entity = a->entity,
                 .over_us = call->over_us,
                 .delay_us = call->delay_us,
                 .last = call->last,
                 /* A delayed window ends before the current event anyway. */
                 .excluding_current = call->excluding_current && !call->delay_us},
        .source = (uint32_t)check->source,
        .value = -1};
    if (!a->of_source || a->where.node) {
        need.value = need_value(check, a, buf);
        if (need.value < 0) return unknown;
    }
    print_aggregate(check, a, &need.spec, buf);
    need.spec.text = keep(check->checker, buf);
    if (!need.spec.text) return unknown;
    int number = oz_expr_needs_aggregate(check->checker->needs, &need);
    if (number < 0)
        return oz_expr_unknown(check, call->name.offset, "at most %d different aggregates",
                               OZ_AGGREGATES_MAX);
    uint32_t node = oz_expr_graph_add(&check->checker->graph,
                                      &(struct oz_expr_node){.op = OZ_EXPR_AGGREGATE,
                                                             .type = OZ_DOUBLE,
                                                             .index = (uint32_t)number});
    return node ? (struct oz_typed){.type = OZ_DOUBLE, .node = node} : unknown;
}

struct oz_typed oz_expr_check_aggregate(struct oz_expr_check *check, const struct oz_ast *ast)
{
    struct aggregate a = {.call = ast->call};
    struct oz_typed result = {.type = OZ_TYPED_UNKNOWN};
    if (check->in_aggregate) return oz_expr_unknown(check, ast->start, "aggregates do not nest");
    oz_expr_agg_of(&ast->call->name, &a.agg);
    check->in_aggregate = true;
    check->source = -1;
    bool fine = check_arguments(check, &a) && check_where(check, &a) && check_entity(check, &a);
    if (fine && check->source < 0) check->source = (int)check->checker->scored; /* sum(1) */
    if (fine && check_windows(check, &a)) {
        struct oz_buf buf;
        oz_buf_init(&buf);
        result = need_aggregate(check, &a, &buf);
        oz_buf_clear(&buf);
    }
    check->in_aggregate = false;
    return result;
}
