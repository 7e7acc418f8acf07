/* Fuzzes the expression language: any text as a feature and as a rule is compiled or refused with a
 * mistake at a place inside it; of what compiles, every step is run over rows with nulls. */
#include <string.h>

#include "features/feature_set.h"

enum { ROWS = 4, TEXT_BYTES_MAX = 5000, VALUES = OZ_RING_VALUES_MAX };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct oz_field tx_field[] = {
    {"id", OZ_LONG, OZ_TIME_ISO},       {"at", OZ_TIMESTAMP, OZ_TIME_ISO},
    {"card", OZ_STRING, OZ_TIME_ISO},   {"shop", OZ_STRING, OZ_TIME_ISO},
    {"amount", OZ_DOUBLE, OZ_TIME_ISO}, {"online", OZ_BOOLEAN, OZ_TIME_ISO},
};
static const struct oz_field label_field[] = {
    {"id", OZ_LONG, OZ_TIME_ISO},
    {"at", OZ_TIMESTAMP, OZ_TIME_ISO},
    {"card", OZ_STRING, OZ_TIME_ISO},
    {"fraud", OZ_BOOLEAN, OZ_TIME_ISO},
};
static const struct oz_schema tx = {"tx", tx_field, 6, 0, 2, 1, -1, true, 600000000, 60000000};
static const struct oz_schema labels = {"labels", label_field, 4, 0, 2, 1, -1, false, 0, 60000000};

static void mistake(void *ctx, enum oz_text_kind kind, uint32_t number, size_t offset,
                    const char *message)
{
    const size_t *len = ctx;
    (void)kind, (void)number;
    OZ_ASSERT(offset <= *len && message[0]);
}

/* Every ring of every source, whichever the text reads. */
static void evaluate_values(const struct oz_feature_set *set, uint32_t source,
                            const struct oz_schema *schema, void *scratch)
{
    static uint64_t kept[VALUES][ROWS];
    uint64_t *ring[VALUES];
    uint64_t *const *const to[] = {ring};
    uint64_t nulled[OZ_NULLED_COUNT] = {0};
    struct oz_table table;
    struct oz_error err;
    if (oz_table_init(&table, schema, ROWS, &err) != OZ_OK) return;
    for (uint32_t v = 0; v < VALUES; v++) ring[v] = kept[v];
    for (size_t r = 1; r < ROWS; r++) oz_table_set_null(&table, r);
    table.n_rows = ROWS;
    oz_feature_set_values(set, source, &table, 0, ROWS, to, scratch, nulled);
    oz_table_clear(&table);
}

static void evaluate(const struct oz_feature_set *set, struct oz_arena *arena)
{
    struct oz_table table;
    struct oz_error err;
    const struct oz_plan *plan = oz_feature_set_plan(set);
    void *scratch = oz_arena_get(arena, oz_feature_set_scratch_bytes(set, ROWS) + 64);
    double **aggregate = oz_arena_zeroed(arena, plan->n_aggregates + 1, sizeof *aggregate);
    double feature[ROWS], *features[] = {feature};
    uint8_t rule[ROWS], *rules[] = {rule};
    uint64_t nulled[OZ_NULLED_COUNT] = {0};
    if (!scratch || !aggregate || oz_table_init(&table, &tx, ROWS, &err) != OZ_OK) return;
    for (uint32_t a = 0; a < plan->n_aggregates; a++) {
        aggregate[a] = oz_arena_zeroed(arena, ROWS, sizeof **aggregate);
        aggregate[a][1] = OZ_NULL_DOUBLE;
        aggregate[a][2] = -2.5;
    }
    evaluate_values(set, 0, &tx, scratch);
    evaluate_values(set, 1, &labels, scratch);
    for (size_t r = 0; r < ROWS; r++) oz_table_set_null(&table, r);
    table.n_rows = ROWS;
    table.column[0].i64[1] = INT64_MAX;
    table.column[1].i64[1] = 1500000000000000;
    table.column[2].str[1] = (struct oz_str){"c1", 2};
    table.column[4].f64[1] = 0;
    table.column[4].f64[2] = 1e28;
    table.column[5].boolean[3] = OZ_TRUE;
    oz_feature_set_features(set, &table, (const double *const *)aggregate, 0, ROWS, features,
                            scratch, nulled);
    oz_feature_set_rules(set, &table, (const double *const *)aggregate,
                         (const double *const *)features, NULL, 0, ROWS, rules, scratch, nulled);
    oz_table_clear(&table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[TEXT_BYTES_MAX + 1];
    const struct oz_schema *const schema[] = {&tx, &labels};
    const char *const entity_name[] = {"card"}, *const entity_field[] = {"card"};
    const int suppress[] = {-1};
    struct oz_arena arena;
    struct oz_feature_set *set;
    struct oz_error err;
    if (size > TEXT_BYTES_MAX || memchr(data, 0, size)) return 0;
    memcpy(text, data, size);
    text[size] = 0;
    oz_arena_init(&arena, 1 << 16);
    struct oz_named_text feature = {"f", text}, rule = {"r", "f > 1"};
    struct oz_feature_set_spec spec = {
        .schema = schema,
        .n_sources = 2,
        .entity_name = entity_name,
        .entity_field = entity_field,
        .n_entities = 1,
        .feature = &feature,
        .n_features = 1,
        .rule = &rule,
        .n_rules = 1,
        .rule_suppress_entity = suppress,
        .max_row_events = 1000000,
        .mistake = mistake,
        .mistake_ctx = &size,
    };
    if (oz_feature_set_compile(&spec, &arena, &set, &err) == OZ_OK) evaluate(set, &arena);
    oz_arena_clear(&arena);
    return 0;
}
