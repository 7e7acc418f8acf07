/* Proves that what is computed is what the language says, for features, rules and the values that
 * rings keep: over random expressions and random rows (nulls, zeros of both signs, extremes,
 * overflows, infinities) every value equals that of the naive twin in expr_twin.h, a cause of nulls
 * is counted exactly when the twin meets it, a range computed in pieces is the range computed at
 * once, and rows outside the range stay as they were. OUZEL_SEEDS sets the number of seeds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "expr_twin.h"

enum { SEEDS = 4000, ROWS_MAX = 2500, FEATURES = 3, VALUES = 4, SCORES = 2, DEPTH = 5 };
static const double sentinel = -12345.25;

static struct oz_table payments, labels;
static double aggregates[3][ROWS_MAX], scores[SCORES][ROWS_MAX], features[FEATURES][ROWS_MAX];
static uint8_t rules[1][ROWS_MAX];
static uint64_t values[2][OZ_RING_VALUES_MAX][ROWS_MAX];

static int seeds(int usual)
{
    const char *many = getenv("OUZEL_SEEDS");
    return many ? atoi(many) : usual;
}

static void begin(uint64_t seed)
{
    twin_state = seed * 0x2545f4914f6cdd1du + 88172645463325252u;
    for (int i = 0; i < 4; i++) twin_below(2);
    twin_n_nodes = 0;
    /* Mostly small; now and then more than one chunk. */
    size_t n = twin_below(100) ? 20 + twin_below(20) : ROWS_MAX - twin_below(500);
    payments.n_rows = labels.n_rows = n;
    twin_fill(&payments);
    twin_fill(&labels);
    for (size_t i = 0; i < n; i++) {
        for (int a = 0; a < 3; a++) aggregates[a][i] = twin_double();
        for (int s = 0; s < SCORES; s++) scores[s][i] = twin_double();
    }
}

/* A tree of this type whose text fits. */
static const struct twin_node *tree(const struct twin_scope *scope, enum oz_type type,
                                    struct oz_buf *buf)
{
    for (;;) {
        const struct twin_node *node = twin_tree(scope, type, 1 + (int)twin_below(DEPTH));
        oz_buf_reset(buf);
        twin_print(scope, node, LEVEL_OR, buf);
        if (buf->len < 4000) return node;
    }
}

static void compile(struct fixture *f)
{
    if (fixture_compile(f) == OZ_OK) return;
    for (uint32_t i = 0; i < f->spec.n_features; i++) print_message("%s\n", f->feature[i].text);
    for (uint32_t i = 0; i < f->spec.n_rules; i++) print_message("%s\n", f->rule[i].text);
    fail_msg("%s", f->err.message);
}

/* Calls `run` for the rows [1, n - 1) in one to three pieces. */
static void in_pieces(size_t n, void (*run)(void *ctx, size_t first, size_t n_rows), void *ctx)
{
    size_t at = 1, end = n - 1;
    for (int i = 0; i < 2 && twin_below(2); i++) {
        size_t piece = twin_below((uint32_t)(end - at + 1));
        run(ctx, at, piece);
        at += piece;
    }
    run(ctx, at, end - at);
}

struct steps {
    struct fixture *f;
    void *scratch;
    const double *aggregate[3], *score[SCORES], *made[FEATURES];
    uint32_t source;
    uint64_t nulled[OZ_NULLED_COUNT];
};

static void run_features(void *ctx, size_t first, size_t n_rows)
{
    struct steps *s = ctx;
    double *const to[FEATURES] = {features[0], features[1], features[2]};
    oz_feature_set_features(s->f->set, &payments, s->aggregate, first, n_rows, to, s->scratch,
                            s->nulled);
}

static void run_rules(void *ctx, size_t first, size_t n_rows)
{
    struct steps *s = ctx;
    uint8_t *const to[] = {rules[0]};
    oz_feature_set_rules(s->f->set, &payments, s->aggregate, s->made, s->score, first, n_rows, to,
                         s->scratch, s->nulled);
}

static void run_values(void *ctx, size_t first, size_t n_rows)
{
    struct steps *s = ctx;
    uint64_t *ring[2][OZ_RING_VALUES_MAX];
    for (int e = 0; e < 2; e++)
        for (int v = 0; v < OZ_RING_VALUES_MAX; v++) ring[e][v] = values[e][v];
    uint64_t *const *const to[2] = {ring[0], ring[1]};
    const struct oz_table *table = s->source ? &labels : &payments;
    oz_feature_set_values(s->f->set, s->source, table, first, n_rows, to, s->scratch, s->nulled);
}

static void expect_counts(const struct fixture *f, const uint64_t *is, const uint64_t *twin)
{
    /* Equal expressions are computed once, so only whether there were any can be compared. */
    for (int k = 0; k < OZ_NULLED_COUNT; k++)
        if (!is[k] != !twin[k])
            fail_msg("cause %d: %llu counted, the twin says %llu; of %s | %s | %s", k,
                     (unsigned long long)is[k], (unsigned long long)twin[k], f->feature[0].text,
                     f->spec.n_features > 1 ? f->feature[1].text : "",
                     f->spec.n_rules ? f->rule[0].text : "");
}

/* The aggregates' numbers in the plan, by what was asked for. */
static int aggregate_number(const struct oz_plan *plan, enum oz_agg agg)
{
    for (uint32_t e = 0; e < plan->n_entities; e++)
        for (uint32_t a = 0; a < plan->entity[e].n_aggregates; a++)
            if (plan->entity[e].aggregate[a].agg == agg)
                return (int)(plan->entity[e].first_aggregate + a);
    return -1;
}

static void expect_feature(const char *text, double is, struct twin_value want, size_t row)
{
    double w = want.null ? NAN : twin_as_double(want);
    if (isnan(is) ? !isnan(w) : is != w)
        fail_msg("row %zu: %a, the twin says %a: %s", row, is, w, text);
}

static void check_features(uint64_t seed)
{
    struct fixture f;
    struct oz_buf text[FEATURES + 1];
    const struct twin_node *node[FEATURES + 1];
    struct twin_scope scope = {.schema = &fixture_payments, .n_aggregates = 3};
    static const enum oz_type types[] = {OZ_LONG, OZ_DOUBLE, OZ_BOOLEAN};
    fixture_init(&f);
    begin(seed);
    for (int i = 0; i <= FEATURES; i++) {
        enum oz_type type = i < FEATURES ? types[twin_below(3)] : OZ_BOOLEAN;
        scope.n_features = i;
        scope.n_scores = i == FEATURES ? SCORES : 0;
        oz_buf_init(&text[i]);
        node[i] = tree(&scope, type, &text[i]);
        scope.boolean_feature[i] = type == OZ_BOOLEAN;
    }
    for (int i = 0; i < FEATURES; i++)
        fixture_feature(&f, twin_feature_name[i], oz_buf_string(&text[i]));
    fixture_rule(&f, "r", oz_buf_string(&text[FEATURES]));
    compile(&f);

    size_t n = payments.n_rows;
    for (size_t i = 0; i < n; i++) {
        for (int k = 0; k < FEATURES; k++) features[k][i] = sentinel;
        rules[0][i] = 77;
    }
    struct steps steps = {.f = &f};
    static const enum oz_agg aggs[] = {OZ_AGG_COUNT, OZ_AGG_MEAN, OZ_AGG_DISTINCT};
    const struct oz_plan *plan = oz_feature_set_plan(f.set);
    for (int a = 0; a < 3; a++) {
        int number = aggregate_number(plan, aggs[a]);
        if (number >= 0) steps.aggregate[number] = aggregates[a];
    }
    for (int s = 0; s < SCORES; s++) steps.score[s] = scores[s];
    for (int k = 0; k < FEATURES; k++) steps.made[k] = features[k];
    steps.scratch = oz_arena_get(&f.arena, oz_feature_set_scratch_bytes(f.set, n));
    in_pieces(n, run_features, &steps);
    in_pieces(n, run_rules, &steps);

    const double *const aggregate[] = {aggregates[0], aggregates[1], aggregates[2]};
    struct twin_row row = {.table = &payments, .aggregate = aggregate, .score = steps.score};
    for (size_t i = 1; i + 1 < n; i++) {
        struct twin_value made[FEATURES];
        row.row = i;
        row.feature = made;
        for (int k = 0; k < FEATURES; k++) {
            made[k] = twin_eval(&row, node[k]);
            expect_feature(f.feature[k].text, features[k][i], made[k], i);
        }
        struct twin_value rule = twin_eval(&row, node[FEATURES]);
        if (rules[0][i] != (!rule.null && rule.i))
            fail_msg("row %zu: rule %d: %s", i, rules[0][i], f.rule[0].text);
    }
    for (int k = 0; k < FEATURES; k++)
        assert_true(features[k][0] == sentinel && features[k][n - 1] == sentinel);
    assert_true(rules[0][0] == 77 && rules[0][n - 1] == 77);
    expect_counts(&f, steps.nulled, row.nulled);
    for (int i = 0; i <= FEATURES; i++) oz_buf_clear(&text[i]);
    fixture_clear(&f);
}

/* One aggregate per feature, told apart by its window. */
struct kept {
    enum oz_agg agg;
    const struct twin_node *arg, *where; /* NULL: none */
    struct oz_buf text;
    int entity, value;
    uint32_t ring;
};

static void make_kept(struct kept *kept, const struct twin_scope *scope, int number)
{
    struct oz_buf part;
    oz_buf_init(&part);
    kept->agg = (enum oz_agg)twin_below(OZ_AGG_COUNT_OF);
    bool any = kept->agg == OZ_AGG_COUNT || kept->agg == OZ_AGG_DISTINCT;
    static const enum oz_type types[] = {OZ_LONG, OZ_DOUBLE, OZ_BOOLEAN, OZ_STRING, OZ_TIMESTAMP};
    static const char *const names[] = {
        [OZ_AGG_COUNT] = "count",      [OZ_AGG_SUM] = "sum", [OZ_AGG_MEAN] = "mean",
        [OZ_AGG_MIN] = "min",          [OZ_AGG_MAX] = "max", [OZ_AGG_LAST] = "last",
        [OZ_AGG_DISTINCT] = "distinct"};
    kept->arg = tree(scope, types[twin_below(any ? 5 : 3)], &part);
    oz_buf_init(&kept->text);
    oz_buf_printf(&kept->text, "%s(%s) over %dh by terminal", names[kept->agg],
                  oz_buf_string(&part), number + 1);
    if (twin_below(3)) {
        kept->where = tree(scope, OZ_BOOLEAN, &part);
        oz_buf_printf(&kept->text, " where (%s)", oz_buf_string(&part));
    }
    if (kept->text.len > 4000) { /* then a plain one */
        oz_buf_clear(&kept->text);
        oz_buf_init(&kept->text);
        kept->arg = twin_literal(OZ_BOOLEAN);
        kept->where = NULL;
        oz_buf_printf(&kept->text, "%s(%s) over %dh by terminal", names[kept->agg],
                      kept->arg->literal.i ? "true" : "false", number + 1);
    }
    oz_buf_clear(&part);
}

/* Trees of constants alone name no source, and belong to the scored one. */
static bool names_source(const struct twin_node *node)
{
    if (!node) return false;
    bool is = node->op == TWIN_FIELD;
    for (uint32_t i = 0; i < node->n_kids; i++) is |= names_source(node->kid[i]);
    return is;
}

static void find_kept(struct kept *kept, const struct oz_plan *plan, int number)
{
    const struct oz_entity_plan *entity = &plan->entity[1];
    for (uint32_t a = 0; a < entity->n_aggregates; a++) {
        const struct oz_aggregate *aggregate = &entity->aggregate[a];
        if (aggregate->over_us != (number + 1) * OZ_US_PER_HOUR) continue;
        assert_int_equal(aggregate->agg, kept->agg);
        kept->ring = aggregate->ring;
        kept->value = aggregate->value;
        return;
    }
    fail();
}

static void expect_kept(const struct kept *kept, uint64_t is, struct twin_value arg, size_t row)
{
    double d;
    uint64_t bits;
    memcpy(&d, &is, sizeof(d));
    if (kept->agg == OZ_AGG_COUNT) {
        if (arg.null ? !isnan(d) : d != 1)
            fail_msg("row %zu: mark %a: %s", row, d, kept->text.data);
        return;
    }
    double want = arg.null ? NAN : twin_as_double(arg);
    memcpy(&bits, &want, sizeof(bits));
    if (arg.null ? is != bits : d != want)
        fail_msg("row %zu: %a, the twin says %a: %s", row, d, want, kept->text.data);
}

/* Keys are equal where values are, and null where they are. */
static void expect_keys(const struct kept *kept, const uint64_t *key, const struct twin_value *arg,
                        size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if ((key[i] == OZ_NULL_KEY) != arg[i].null) fail_msg("null key: %s", kept->text.data);
        for (size_t j = n > 60 ? i - (i > 60 ? 60 : i) : 0; j < i; j++)
            if (!arg[i].null && !arg[j].null &&
                (key[i] == key[j]) != (twin_order(arg[i], arg[j]) == 0))
                fail_msg("keys of rows %zu and %zu: %s", i, j, kept->text.data);
    }
}

static void check_values(uint64_t seed)
{
    static struct twin_value arg[ROWS_MAX];
    struct fixture f;
    struct kept kept[VALUES] = {0};
    fixture_init(&f);
    begin(seed);
    bool of_labels = twin_below(2);
    struct twin_scope scope = {.schema = of_labels ? &fixture_labels : &fixture_payments};
    static const char *const names[VALUES] = {"a", "b", "c", "d"};
    for (int k = 0; k < VALUES; k++) {
        oz_buf_clear(&kept[k].text);
        make_kept(&kept[k], &scope, k);
        fixture_feature(&f, names[k], oz_buf_string(&kept[k].text));
    }
    compile(&f);
    const struct oz_plan *plan = oz_feature_set_plan(f.set);
    struct steps steps = {.f = &f, .source = of_labels};
    size_t n = payments.n_rows;
    steps.scratch = oz_arena_get(&f.arena, oz_feature_set_scratch_bytes(f.set, n));
    memset(values, 0x5a, sizeof(values[0]) * 2);
    in_pieces(n, run_values, &steps);

    struct twin_row row = {.table = of_labels ? &labels : &payments};
    for (int k = 0; k < VALUES; k++) {
        if (of_labels && !names_source(kept[k].arg) && !names_source(kept[k].where)) continue;
        find_kept(&kept[k], plan, k);
        assert_int_equal(plan->entity[1].ring[kept[k].ring].source, steps.source);
        const struct oz_value_spec *spec = &plan->entity[1].ring[kept[k].ring].value[kept[k].value];
        const uint64_t *is = values[1][kept[k].value];
        for (size_t i = 1; i + 1 < n; i++) {
            row.row = i;
            arg[i] = twin_eval(&row, kept[k].arg);
            if (kept[k].where) {
                struct twin_value where = twin_eval(&row, kept[k].where);
                arg[i].null |= where.null || !where.i;
            }
            if (spec->kind != OZ_VALUE_KEY) expect_kept(&kept[k], is[i], arg[i], i);
        }
        if (spec->kind == OZ_VALUE_KEY) expect_keys(&kept[k], is + 1, arg + 1, n - 2);
        assert_true(is[0] == 0x5a5a5a5a5a5a5a5a && is[n - 1] == 0x5a5a5a5a5a5a5a5a);
    }
    expect_counts(&f, steps.nulled, row.nulled);
    for (int k = 0; k < VALUES; k++) oz_buf_clear(&kept[k].text);
    fixture_clear(&f);
}

static void test_features_and_rules(void **state)
{
    (void)state;
    for (int seed = 1; seed <= seeds(SEEDS); seed++) check_features((uint64_t)seed);
}

static void test_values(void **state)
{
    (void)state;
    for (int seed = 1; seed <= seeds(SEEDS / 2); seed++) check_values((uint64_t)seed + 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_features_and_rules),
        cmocka_unit_test(test_values),
    };
    if (oz_table_init(&payments, &fixture_payments, ROWS_MAX, NULL) ||
        oz_table_init(&labels, &fixture_labels, ROWS_MAX, NULL))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    oz_table_clear(&payments);
    oz_table_clear(&labels);
    return failed;
}
