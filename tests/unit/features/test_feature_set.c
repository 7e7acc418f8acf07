/* Proves the plan and the steps from the outside: what the example's features ask of the past, how
 * a value, an aggregate and a stored layout are written and shared, that none of it depends on the
 * place in the file, what names and boolean features mean, what is counted as nulled, and what a
 * whole specification is refused for. How: expectations written by hand from the language's
 * description (features/feature_set.h, features/README.md). Computed values are in
 * test_expr_twin.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include "expr_fixture.h"

static void compile(struct fixture *f)
{
    if (fixture_compile(f) != OZ_OK) fail_msg("%s", f->err.message);
}

static const struct oz_field example_fields[] = {
    {.name = "tx_id", .type = OZ_LONG},      {.name = "at", .type = OZ_TIMESTAMP},
    {.name = "customer", .type = OZ_STRING}, {.name = "terminal", .type = OZ_STRING},
    {.name = "amount", .type = OZ_DOUBLE},
};
static const struct oz_field example_label_fields[] = {
    {.name = "tx_id", .type = OZ_LONG},
    {.name = "at", .type = OZ_TIMESTAMP},
    {.name = "reported_at", .type = OZ_TIMESTAMP},
    {.name = "customer", .type = OZ_STRING},
    {.name = "terminal", .type = OZ_STRING},
    {.name = "fraud", .type = OZ_BOOLEAN},
};
static const struct oz_schema example_transactions = {.name = "transactions",
                                                      .field = example_fields,
                                                      .n_fields = OZ_COUNT_OF(example_fields),
                                                      .id = 0,
                                                      .key = 2,
                                                      .time = 1,
                                                      .arrival = -1,
                                                      .scored = true,
                                                      .lateness_us = 10 * OZ_US_PER_MINUTE};
static const struct oz_schema example_labels = {.name = "labels",
                                                .field = example_label_fields,
                                                .n_fields = OZ_COUNT_OF(example_label_fields),
                                                .id = 0,
                                                .key = 3,
                                                .time = 1,
                                                .arrival = 2,
                                                .lateness_us = 45 * OZ_US_PER_DAY};

/* The lines `name: text` between `features:` and `models:` of the example. */
static void read_example(struct fixture *f)
{
    char line[512];
    bool inside = false;
    FILE *file = fopen("pipelines/examples/card-fraud/pipeline.yaml", "r");
    if (!file) fail_msg("the example is not there; run this in the root of the sources");
    while (fgets(line, sizeof(line), file)) {
        if (!strncmp(line, "features:", 9)) {
            inside = true;
        } else if (line[0] != ' ') {
            inside = false;
        } else if (inside) {
            char *colon = strchr(line, ':'), *text = colon + 1;
            while (*text == ' ') text++;
            fixture_feature(f, oz_arena_strndup(&f->arena, line + 2, (size_t)(colon - line) - 2),
                            oz_arena_strndup(&f->arena, text, strcspn(text, "\n")));
        }
    }
    fclose(file);
}

static void begin_example(struct fixture *f)
{
    fixture_init(f);
    f->schema[0] = &example_transactions;
    f->schema[1] = &example_labels;
    f->spec.n_scores = 1;
    read_example(f);
    fixture_rule(f, "high_risk", "fraud >= 0.8");
    fixture_rule(f, "burst", "customer_count_1d > 40");
    f->suppress[0] = f->suppress[1] = 0;
}

struct expected_aggregate {
    enum oz_agg agg;
    uint32_t ring;
    int value;
    int64_t over_days, delay_days;
    const char *text;
};

static void expect_aggregates(const struct oz_entity_plan *entity, uint32_t first,
                              const struct expected_aggregate *want, uint32_t n)
{
    assert_int_equal(entity->n_aggregates, n);
    assert_int_equal(entity->first_aggregate, first);
    for (uint32_t i = 0; i < n; i++) {
        const struct oz_aggregate *is = &entity->aggregate[i];
        assert_string_equal(is->text, want[i].text);
        assert_int_equal(is->agg, want[i].agg);
        assert_int_equal(is->ring, want[i].ring);
        assert_int_equal(is->value, want[i].value);
        assert_int_equal(is->over_us, want[i].over_days * OZ_US_PER_DAY);
        assert_int_equal(is->delay_us, want[i].delay_days * OZ_US_PER_DAY);
        assert_int_equal(is->last, 0);
        assert_false(is->excluding_current);
    }
}

static void test_example(void **state)
{
    (void)state;
    struct fixture f;
    begin_example(&f);
    assert_int_equal(f.spec.n_features, 16);
    compile(&f);
    const struct oz_plan *plan = oz_feature_set_plan(f.set);
    assert_int_equal(plan->n_entities, 2);
    assert_int_equal(plan->n_sources, 2);
    assert_int_equal(plan->scored_source, 0);
    assert_int_equal(plan->n_aggregates, 12);

    const struct oz_entity_plan *customer = &plan->entity[0], *terminal = &plan->entity[1];
    static const struct expected_aggregate of_customer[] = {
        {OZ_AGG_COUNT, 0, -1, 1, 0, "count(transactions) by customer over 1d"},
        {OZ_AGG_COUNT, 0, -1, 30, 0, "count(transactions) by customer over 30d"},
        {OZ_AGG_COUNT, 0, -1, 7, 0, "count(transactions) by customer over 7d"},
        {OZ_AGG_MEAN, 0, 0, 1, 0, "mean(transactions.amount) by customer over 1d"},
        {OZ_AGG_MEAN, 0, 0, 30, 0, "mean(transactions.amount) by customer over 30d"},
        {OZ_AGG_MEAN, 0, 0, 7, 0, "mean(transactions.amount) by customer over 7d"},
    };
    static const struct expected_aggregate of_terminal[] = {
        {OZ_AGG_COUNT, 1, 0, 1, 7, "count(labels) by terminal over 1d delay 7d where labels.fraud"},
        {OZ_AGG_COUNT, 1, 0, 30, 7,
         "count(labels) by terminal over 30d delay 7d where labels.fraud"},
        {OZ_AGG_COUNT, 1, 0, 7, 7, "count(labels) by terminal over 7d delay 7d where labels.fraud"},
        {OZ_AGG_COUNT, 0, -1, 1, 7, "count(transactions) by terminal over 1d delay 7d"},
        {OZ_AGG_COUNT, 0, -1, 30, 7, "count(transactions) by terminal over 30d delay 7d"},
        {OZ_AGG_COUNT, 0, -1, 7, 7, "count(transactions) by terminal over 7d delay 7d"},
    };
    expect_aggregates(customer, 0, of_customer, 6);
    expect_aggregates(terminal, 6, of_terminal, 6);

    assert_string_equal(customer->name, "customer");
    assert_int_equal(customer->field[0], 2);
    assert_int_equal(customer->field[1], 3);
    assert_int_equal(customer->n_suppressions, 2);
    assert_int_equal(customer->max_row_events, 1000);
    assert_int_equal(customer->n_rings, 1);
    assert_int_equal(customer->ring[0].n_values, 1);
    assert_int_equal(customer->ring[0].value[0].kind, OZ_VALUE_DOUBLE);
    assert_int_equal(customer->ring[0].value[0].uses, OZ_USE_SUM);
    assert_true(customer->ring[0].value[0].nullable);

    assert_int_equal(terminal->field[0], 3);
    assert_int_equal(terminal->field[1], 4);
    assert_int_equal(terminal->n_suppressions, 0);
    assert_int_equal(terminal->n_rings, 2);
    const struct oz_ring_plan *scored = &terminal->ring[0], *labels = &terminal->ring[1];
    assert_true(scored->scored && !scored->replaces && scored->source == 0);
    assert_int_equal(scored->id_bytes, 8);
    assert_int_equal(scored->lateness_us, 10 * OZ_US_PER_MINUTE);
    assert_int_equal(scored->n_values, 0);
    assert_true(!labels->scored && labels->replaces && labels->source == 1);
    assert_int_equal(labels->id_bytes, 8);
    assert_int_equal(labels->lateness_us, 45 * OZ_US_PER_DAY);
    assert_int_equal(labels->n_values, 1);
    assert_int_equal(labels->value[0].kind, OZ_VALUE_MARK);
    assert_int_equal(labels->value[0].uses, OZ_USE_COUNT);
    assert_true(labels->value[0].nullable);

    assert_string_equal(labels->value[0].text, "mark where labels.fraud");
    assert_int_equal(oz_feature_set_n_features(f.set), 16);
    assert_string_equal(oz_feature_set_name(f.set, 9), "amount_vs_usual");
    fixture_clear(&f);
}

/* The example's steps on one row: 2018-07-28 was a Saturday. */
static void test_example_steps(void **state)
{
    (void)state;
    struct fixture f;
    struct oz_table table, labels;
    begin_example(&f);
    compile(&f);
    assert_int_equal(oz_table_init(&table, &example_transactions, 1, NULL), OZ_OK);
    assert_int_equal(oz_table_init(&labels, &example_labels, 2, NULL), OZ_OK);
    oz_table_set_null(&table, 0);
    assert_true(oz_parse_instant("2018-07-28T06:59:59Z", 20, &table.column[1].i64[0]));
    table.column[4].f64[0] = 30;
    labels.column[5].boolean[0] = OZ_TRUE;
    labels.column[5].boolean[1] = OZ_FALSE;
    void *scratch = oz_arena_get(&f.arena, oz_feature_set_scratch_bytes(f.set, 2));
    uint64_t nulled[OZ_NULLED_COUNT] = {0};

    uint64_t bits[2];
    double kept[2];
    uint64_t *const ring[] = {bits}, *const *const to_customer[] = {ring, NULL};
    oz_feature_set_values(f.set, 0, &table, 0, 1, to_customer, scratch, nulled);
    memcpy(kept, bits, sizeof(kept));
    assert_true(kept[0] == 30);
    uint64_t *const *const to_terminal[] = {NULL, ring};
    oz_feature_set_values(f.set, 1, &labels, 0, 2, to_terminal, scratch, nulled);
    memcpy(kept, bits, sizeof(kept));
    assert_true(kept[0] == 1 && isnan(kept[1]));

    double past[12] = {3, 9, 7, 10, 20, 15, 1, 4, 2, 0, 8, 5}, made[16], score = 0.8;
    const double *aggregate[12], *feature[16], *const scores[] = {&score};
    double *to_feature[16];
    for (int i = 0; i < 12; i++) aggregate[i] = &past[i];
    for (int i = 0; i < 16; i++) feature[i] = to_feature[i] = &made[i];
    oz_feature_set_features(f.set, &table, aggregate, 0, 1, to_feature, scratch, nulled);
    static const double want[16] = {30, 1, 1, 3, 10, 7, 15, 9, 20, 1.5, 0, 0, 5, 0.4, 8, 0.5};
    for (int i = 0; i < 16; i++)
        if (made[i] != want[i])
            fail_msg("%s is %g", oz_feature_set_name(f.set, (uint32_t)i), made[i]);
    assert_int_equal(nulled[OZ_NULLED_DIVISION], 1); /* one label, no transaction */
    assert_int_equal(nulled[OZ_NULLED_OVERFLOW] + nulled[OZ_NULLED_RANGE], 0);

    uint8_t rule[2], *const to_rule[] = {&rule[0], &rule[1]};
    oz_feature_set_rules(f.set, &table, aggregate, feature, scores, 0, 1, to_rule, scratch, nulled);
    assert_int_equal(rule[0], 1);
    assert_int_equal(rule[1], 0);
    made[3] = 41, score = NAN;
    uint64_t before = oz_allocations();
    oz_feature_set_rules(f.set, &table, aggregate, feature, scores, 0, 1, to_rule, scratch, nulled);
    oz_feature_set_features(f.set, &table, aggregate, 0, 1, to_feature, scratch, nulled);
    assert_int_equal(oz_allocations(), before);
    assert_int_equal(rule[0], 0);
    assert_int_equal(rule[1], 1);
    oz_table_clear(&table);
    oz_table_clear(&labels);
    fixture_clear(&f);
}

/* An aggregate as written, as it is known, and the value that it keeps. */
static void test_canonical_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *aggregate, *value; /* value NULL: none */
        enum oz_value_kind kind;
        unsigned uses;
        bool never_null;
    } rows[] = {
        {"count() over 24h", "count(payments) by customer over 1d", NULL, 0, 0, 0},
        {"count(payments)", "count(payments) by customer", NULL, 0, 0, 0},
        {"count(amount)last 5", "count(payments.amount) by customer last 5", "mark payments.amount",
         OZ_VALUE_MARK, OZ_USE_COUNT, 0},
        {"count(tx_id)", "count(payments.tx_id) by customer", "mark payments.tx_id", OZ_VALUE_MARK,
         OZ_USE_COUNT, true},
        {"count() where payments.online excluding current",
         "count(payments) by customer where payments.online excluding current",
         "mark where payments.online", OZ_VALUE_MARK, OZ_USE_COUNT, 0},
        {"sum(  amount+fee*2 ) over 90m",
         "sum((payments.amount + (payments.fee * 2.0))) by customer over 1h30m",
         "double (payments.amount + (payments.fee * 2.0))", OZ_VALUE_DOUBLE, OZ_USE_SUM, 0},
        {"mean(items) delay 1d excluding current", "mean(payments.items) by customer delay 1d",
         "double payments.items", OZ_VALUE_DOUBLE, OZ_USE_SUM, 0},
        {"max(tx_id)", "max(payments.tx_id) by customer", "double payments.tx_id", OZ_VALUE_DOUBLE,
         OZ_USE_EXTREME, true},
        {"min(online) where 100 < amount",
         "min(payments.online) by customer where (100.0 < payments.amount)",
         "flag payments.online where (100.0 < payments.amount)", OZ_VALUE_FLAG, OZ_USE_EXTREME, 0},
        {"min(online) where amount > 1e2",
         "min(payments.online) by customer where (100.0 < payments.amount)",
         "flag payments.online where (100.0 < payments.amount)", OZ_VALUE_FLAG, OZ_USE_EXTREME, 0},
        {"last(items % 2 == 1)", "last(((payments.items % 2) == 1)) by customer",
         "flag ((payments.items % 2) == 1)", OZ_VALUE_FLAG, OZ_USE_LAST, 0},
        {"distinct(terminal) where not (online or is_null(fee)) over 1h",
         "distinct(payments.terminal) by customer over 1h where "
         "(not (payments.online or is_null(payments.fee)))",
         "key string payments.terminal where (not (payments.online or is_null(payments.fee)))",
         OZ_VALUE_KEY, OZ_USE_DISTINCT, 0},
        {"distinct(customer) last 2", "distinct(payments.customer) by customer last 2",
         "key string payments.customer", OZ_VALUE_KEY, OZ_USE_DISTINCT, true},
        {"distinct(at) last 2", "distinct(payments.at) by customer last 2",
         "key timestamp payments.at", OZ_VALUE_KEY, OZ_USE_DISTINCT, true},
        {"distinct(-amount) last 2", "distinct((-payments.amount)) by customer last 2",
         "key double (-payments.amount)", OZ_VALUE_KEY, OZ_USE_DISTINCT, 0},
        {"sum(if(terminal != \"it's\", coalesce(fee, items, 0), null))",
         "sum(if((payments.terminal != 'it''s'), coalesce(payments.fee, "
         "coalesce(double(payments.items), 0.0)), null)) by customer",
         "double if((payments.terminal != 'it''s'), coalesce(payments.fee, "
         "coalesce(double(payments.items), 0.0)), null)",
         OZ_VALUE_DOUBLE, OZ_USE_SUM, 0},
        {"sum(max(items, -3, hour(at)))",
         "sum(max(max(payments.items, -3), hour(payments.at))) by customer",
         "double max(max(payments.items, -3), hour(payments.at))", OZ_VALUE_DOUBLE, OZ_USE_SUM, 0},
        {"sum(0.10)", "sum(0.1) by customer", "double 0.1", OZ_VALUE_DOUBLE, OZ_USE_SUM, 0},
    };
    for (size_t i = 0; i < OZ_COUNT_OF(rows); i++) {
        struct fixture f;
        fixture_init(&f);
        f.spec.n_entities = 1; /* so that `by` may be left out */
        fixture_feature(&f, "x", rows[i].text);
        compile(&f);
        const struct oz_entity_plan *entity = &oz_feature_set_plan(f.set)->entity[0];
        assert_int_equal(entity->n_aggregates, 1);
        assert_string_equal(entity->aggregate[0].text, rows[i].aggregate);
        assert_int_equal(entity->ring[0].n_values, rows[i].value != NULL);
        assert_int_equal(entity->aggregate[0].value, rows[i].value ? 0 : -1);
        if (rows[i].value) {
            const struct oz_value_spec *value = &entity->ring[0].value[0];
            assert_string_equal(value->text, rows[i].value);
            assert_int_equal(value->kind, rows[i].kind);
            assert_int_equal(value->uses, rows[i].uses);
            assert_int_equal(value->nullable, !rows[i].never_null);
        }
        fixture_clear(&f);
    }
}

static void test_sharing(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_feature(&f, "a",
                    "sum(amount) by customer over 1d + mean( payments.amount ) by customer");
    fixture_feature(&f, "b", "max(amount) over 24h by customer");
    fixture_feature(&f, "c", "sum(amount) over 24h by customer * 2 + last(amount) by customer");
    fixture_feature(&f, "d", "sum(amount) by terminal over 1d");
    fixture_rule(&f, "r", "sum(amount) by customer over 1440m > 5");
    compile(&f);
    const struct oz_plan *plan = oz_feature_set_plan(f.set);
    assert_int_equal(plan->entity[0].n_aggregates, 4);
    assert_int_equal(plan->entity[1].n_aggregates, 1);
    assert_int_equal(plan->entity[1].first_aggregate, 4);
    assert_int_equal(plan->entity[0].ring[0].n_values, 1);
    assert_int_equal(plan->entity[0].ring[0].value[0].uses,
                     OZ_USE_SUM | OZ_USE_EXTREME | OZ_USE_LAST);
    assert_int_equal(plan->entity[1].ring[0].value[0].uses, OZ_USE_SUM);
    fixture_clear(&f);
}

/* The same features under other names, in another order, from sources in another order. */
static void test_places_do_not_matter(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "sum(amount) by terminal",
        "count(labels) by terminal where labels.fraud",
        "max(labels.loss) by terminal over 3d",
        "distinct(customer) by terminal over 1d",
        "mean(fee) by terminal last 3",
        "count(fee) by terminal where online",
    };
    static const char *const names[] = {"u", "v", "w", "x", "y", "z"};
    struct fixture f, g;
    fixture_init(&f);
    fixture_init(&g);
    uint32_t n = OZ_COUNT_OF(texts);
    for (uint32_t i = 0; i < n; i++) {
        fixture_feature(&f, names[i], texts[i]);
        fixture_feature(&g, names[(i + 2) % n], texts[n - 1 - i]);
    }
    g.schema[0] = &fixture_labels;
    g.schema[1] = &fixture_payments;
    compile(&f);
    compile(&g);
    const struct oz_entity_plan *a = &oz_feature_set_plan(f.set)->entity[1];
    const struct oz_entity_plan *b = &oz_feature_set_plan(g.set)->entity[1];
    assert_int_equal(oz_feature_set_plan(g.set)->scored_source, 1);
    assert_int_equal(a->n_rings, b->n_rings);
    for (uint32_t i = 0; i < a->n_rings; i++) {
        assert_int_equal(a->ring[i].n_values, b->ring[i].n_values);
        for (uint32_t v = 0; v < a->ring[i].n_values; v++)
            assert_string_equal(a->ring[i].value[v].text, b->ring[i].value[v].text);
    }
    assert_int_equal(a->n_aggregates, n);
    for (uint32_t i = 0; i < n; i++) {
        assert_string_equal(a->aggregate[i].text, b->aggregate[i].text);
        assert_int_equal(a->aggregate[i].ring, b->aggregate[i].ring);
        assert_int_equal(a->aggregate[i].value, b->aggregate[i].value);
    }
    for (uint32_t r = 0; r < 2; r++) {
        assert_int_equal(a->ring[r].source, 1 - b->ring[r].source);
        assert_int_equal(a->ring[r].n_values, b->ring[r].n_values);
        for (uint32_t v = 1; v < a->ring[r].n_values; v++)
            assert_true(strcmp(a->ring[r].value[v - 1].text, a->ring[r].value[v].text) < 0);
    }
    assert_int_equal(a->ring[0].n_values, 4);
    assert_int_equal(a->ring[1].n_values, 2);
    assert_int_equal(a->ring[1].id_bytes, 0);
    /* The customer's rows hold the scored source's events even though nothing reads them. */
    assert_int_equal(oz_feature_set_plan(f.set)->entity[0].n_rings, 1);
    fixture_clear(&f);
    fixture_clear(&g);
}

/* Evaluates one feature or rule on one row; features before it are made first. */
static double last_value(struct fixture *f, bool rule, uint64_t nulled[OZ_NULLED_COUNT])
{
    struct oz_table table;
    double made[8], score[2] = {0.5, NAN};
    double *to[8];
    const double *feature[8], *const scores[] = {&score[0], &score[1]};
    uint8_t holds[4], *const rules[] = {&holds[0], &holds[1], &holds[2], &holds[3]};
    compile(f);
    assert_int_equal(oz_table_init(&table, &fixture_payments, 1, NULL), OZ_OK);
    oz_table_set_null(&table, 0);
    table.column[4].f64[0] = 12;        /* amount; fee is null */
    table.column[6].i64[0] = INT64_MAX; /* items */
    table.column[7].boolean[0] = OZ_TRUE;
    for (int i = 0; i < 8; i++) feature[i] = to[i] = &made[i];
    void *scratch = oz_arena_get(&f->arena, oz_feature_set_scratch_bytes(f->set, 1));
    oz_feature_set_features(f->set, &table, NULL, 0, 1, to, scratch, nulled);
    if (rule)
        oz_feature_set_rules(f->set, &table, NULL, feature, scores, 0, 1, rules, scratch, nulled);
    oz_table_clear(&table);
    return rule ? holds[f->spec.n_rules - 1] : made[f->spec.n_features - 1];
}

/* Beside: amount = 12, fee null, items = INT64_MAX, online true; the features amount = amount * 10,
 * flag = online, none = fee > 1, big = items; the scores fraud = 0.5 and anomaly null. */
static void test_names_and_features_as_values(void **state)
{
    (void)state;
    static const struct {
        bool rule;
        const char *text;
        double value;
    } rows[] = {
        {false, "amount", 120},
        {false, "payments.amount", 12},
        {false, "flag + 1", 2},
        {false, "if(flag, 3, 4)", 3},
        {false, "if(none, 3, 4)", 4},
        {false, "none * 1", NAN},
        {false, "coalesce(none, flag)", 1},
        {false, "coalesce(none, 7)", 7},
        {false, "coalesce(null, 7, flag)", 7},
        {false, "if(flag == 1, 1, 0) + if(flag == true, 2, 0) + if(none < flag, 4, 0)", 3},
        {false, "big + 1", 0x1p63}, /* a double, unlike the field */
        {false, "items + 1", NAN},
        {false, "max(flag, 0.5)", 1},
        {false, "not flag", 0},
        {false, "is_null(none)", 1},
        {true, "amount == 120", 1},
        {true, "payments.amount == 12", 1},
        {true, "flag", 1},
        {true, "flag == 1 and flag == true and flag > 0", 1},
        {true, "none or flag", 1},
        {true, "none", 0},
        {true, "not none", 0},
        {true, "is_null(none)", 1},
        {true, "big == big + 1", 1},
        {true, "fraud >= 0.5", 1},
        {true, "anomaly > 0 or anomaly <= 0", 0},
        {true, "risk == 3", 1}, /* the feature, not the field */
    };
    for (size_t i = 0; i < OZ_COUNT_OF(rows); i++) {
        struct fixture f;
        uint64_t nulled[OZ_NULLED_COUNT] = {0};
        fixture_init(&f);
        fixture_feature(&f, "amount", "amount * 10");
        fixture_feature(&f, "flag", "online");
        fixture_feature(&f, "none", "fee > 1");
        fixture_feature(&f, "big", "items");
        fixture_feature(&f, "risk", "3");
        if (rows[i].rule)
            fixture_rule(&f, "r", rows[i].text);
        else
            fixture_feature(&f, "x", rows[i].text);
        double is = last_value(&f, rows[i].rule, nulled);
        if (isnan(rows[i].value) ? !isnan(is) : is != rows[i].value)
            fail_msg("%s is %g, not %g", rows[i].text, is, rows[i].value);
        fixture_clear(&f);
    }
}

/* amount = 12, fee null, items = INT64_MAX. */
static void test_what_is_counted(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t overflow, division, range;
    } rows[] = {
        {"amount / 0", 0, 1, 0},
        {"0 / 0", 0, 1, 0},
        {"fee / 0", 0, 0, 0},
        {"items % 0", 0, 1, 0},
        {"amount % 0", 0, 1, 0},
        {"items + 1", 1, 0, 0},
        {"-items - 1", 1, 0, 0}, /* -2^63 is the null */
        {"items * items", 1, 0, 0},
        {"items + 1 + 1", 1, 0, 0},             /* null plus one is null, nothing new */
        {"(items + 1) * (items + 1)", 1, 0, 0}, /* computed once */
        {"1e28 + 1e28", 0, 0, 1},
        {"1e20 * 1e20 / 0", 0, 0, 1},
        {"1.0 / 5e-324", 0, 0, 1},
        {"log1p(-1)", 0, 0, 1},
        {"log1p(-2)", 0, 0, 1},
        {"log1p(fee)", 0, 0, 0},
        {"if(amount == 0, 5, 1 / (amount - 12))", 0, 1, 0}, /* both branches are computed */
        {"coalesce(amount / 0, 5)", 0, 1, 0},
        {"amount * 2", 0, 0, 0},
    };
    for (size_t i = 0; i < OZ_COUNT_OF(rows); i++) {
        struct fixture f;
        uint64_t nulled[OZ_NULLED_COUNT] = {0};
        fixture_init(&f);
        fixture_feature(&f, "x", rows[i].text);
        last_value(&f, false, nulled);
        if (nulled[OZ_NULLED_OVERFLOW] != rows[i].overflow ||
            nulled[OZ_NULLED_DIVISION] != rows[i].division ||
            nulled[OZ_NULLED_RANGE] != rows[i].range)
            fail_msg("%s: %d %d %d", rows[i].text, (int)nulled[0], (int)nulled[1], (int)nulled[2]);
        fixture_clear(&f);
    }
}

static void expect_refused(struct fixture *f, const char *words)
{
    assert_int_equal(fixture_compile(f), OZ_CONFIG);
    if (!strstr(f->err.message, words)) fail_msg("%s", f->err.message);
    fixture_clear(f);
}

static char numbered[1100][64];

static void test_limits(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    for (int i = 0; i <= OZ_RING_VALUES_MAX; i++) {
        snprintf(numbered[i], sizeof(numbered[i]), "sum(amount + %d) by customer", i);
        fixture_feature(&f, &numbered[i][4], numbered[i]);
    }
    f.spec.n_features--;
    compile(&f);
    assert_int_equal(oz_feature_set_plan(f.set)->entity[0].ring[0].n_values, OZ_RING_VALUES_MAX);
    f.spec.n_features++;
    assert_int_equal(fixture_compile(&f), OZ_CONFIG);
    assert_int_equal(f.n_mistakes, 1);
    assert_int_equal(f.mistake[0].number, OZ_RING_VALUES_MAX);
    assert_non_null(strstr(f.mistake[0].message, "at most 32 different values of `payments`"));
    fixture_clear(&f);

    static struct oz_named_text many[OZ_AGGREGATES_MAX + 1];
    fixture_init(&f);
    for (int i = 0; i <= OZ_AGGREGATES_MAX; i++) {
        snprintf(numbered[i], sizeof(numbered[i]), "count() by customer over %dm", i + 1);
        many[i] =
            (struct oz_named_text){&numbered[i][strlen("count() by customer over ")], numbered[i]};
    }
    f.spec.feature = many;
    f.spec.n_features = OZ_AGGREGATES_MAX;
    compile(&f);
    f.spec.n_features++;
    assert_int_equal(fixture_compile(&f), OZ_CONFIG);
    assert_int_equal(f.mistake[0].number, OZ_AGGREGATES_MAX);
    expect_refused(&f, "at most 1024 different aggregates");

    fixture_init(&f);
    for (int i = 0; i <= OZ_RULES_MAX; i++) fixture_rule(&f, "r", "true");
    f.spec.n_rules--;
    compile(&f);
    f.spec.n_rules++;
    expect_refused(&f, "129 rules; at most 128");
}

static void test_refused_specifications(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_feature(&f, "a", "1");
    fixture_feature(&f, "b", "1");
    fixture_feature(&f, "a", "2");
    expect_refused(&f, "`a` is there twice, as number 1 and 3");

    fixture_init(&f);
    f.schema[1] = &fixture_payments;
    expect_refused(&f, "2 sources are scored");

    fixture_init(&f);
    f.schema[0] = &fixture_labels;
    f.spec.n_sources = 1;
    expect_refused(&f, "0 sources are scored");

    fixture_init(&f);
    f.entity_field[1] = "clerk";
    expect_refused(&f, "the scored source `payments` has no field `clerk`");

    fixture_init(&f);
    struct oz_schema by_flag = fixture_payments;
    by_flag.id = 7;
    f.schema[0] = &by_flag;
    expect_refused(&f, "the id `online` is a boolean");
}

static void test_nothing_at_all(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.spec.n_entities = 0;
    f.spec.n_sources = 1;
    compile(&f);
    uint64_t nulled[OZ_NULLED_COUNT] = {0};
    char scratch[4096];
    assert_true(oz_feature_set_scratch_bytes(f.set, 100) < sizeof(scratch));
    oz_feature_set_features(f.set, NULL, NULL, 0, 100, NULL, scratch, nulled);
    oz_feature_set_rules(f.set, NULL, NULL, NULL, NULL, 0, 100, NULL, scratch, nulled);
    fixture_clear(&f);

    fixture_init(&f); /* an aggregate has nothing to hang on */
    f.spec.n_entities = 0;
    fixture_feature(&f, "a", "count()");
    expect_refused(&f, "needs an entity");
}

/* Every allocation fails once: an error each time, never a crash, a leak or a half-made set. */
static void test_without_memory(void **state)
{
    (void)state;
    enum oz_status status = OZ_NO_MEMORY;
    int n = 0;
    while (status != OZ_OK) {
        struct fixture f;
        fixture_init(&f);
        fixture_feature(&f, "a", "sum(amount) by customer where terminal == 'x'");
        fixture_feature(&f, "b", "a + coalesce(count(labels) by terminal where labels.fraud, 0)");
        fixture_rule(&f, "r", "b > 1 and customer != 'y'");
        oz_fail_allocation((uint64_t)++n);
        status = fixture_compile(&f);
        oz_fail_allocation(0);
        if (status != OZ_OK) {
            assert_int_equal(status, OZ_NO_MEMORY);
            assert_int_equal(f.n_mistakes, 0);
            assert_null(f.set);
        }
        fixture_clear(&f);
    }
    assert_true(n > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_example_steps),
        cmocka_unit_test(test_canonical_texts),
        cmocka_unit_test(test_sharing),
        cmocka_unit_test(test_places_do_not_matter),
        cmocka_unit_test(test_names_and_features_as_values),
        cmocka_unit_test(test_what_is_counted),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_refused_specifications),
        cmocka_unit_test(test_nothing_at_all),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
