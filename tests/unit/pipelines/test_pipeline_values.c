/* Proves that a right pipeline file becomes the values it says: the card-fraud example whole,
 * defaults, overrides, substitution, aliases, and the places that later stages point at. How:
 * expected values are read off the files by eye and written here; the canonical hash comes from
 * config/make_fixtures.py, which builds the canonical text with Python's json module. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/instant.h"
#include "pipelines/config/pipeline.h"

#define EXAMPLE "pipelines/examples/card-fraud/pipeline.yaml"
#define SOURCE                                                                                     \
    "sources:\n  s:\n    topic: t\n    fields: {id: long, at: timestamp, k: string, v: double}\n"  \
    "    key: k\n    time: at\n"
#define VALID "pipeline: p\n" SOURCE

static struct oz_arena arena;
static struct oz_pipeline pipeline;
static struct oz_mistakes mistakes;

static int setup(void **state)
{
    (void)state;
    oz_arena_init(&arena, 4096);
    oz_buf_init(&mistakes.text);
    mistakes.n = 0;
    memset(&pipeline, 0xee, sizeof(pipeline)); /* what is not written shows */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    oz_mistakes_clear(&mistakes);
    oz_arena_clear(&arena);
    return 0;
}

static void parse_with(const char *text, const char *const *overrides, size_t n)
{
    struct oz_error err;
    enum oz_status status = oz_pipeline_parse("some/dir/x.yaml", text, strlen(text), overrides, n,
                                              &arena, &pipeline, &mistakes, &err);
    if (status != OZ_OK)
        fail_msg("%s %s\n%s", err.where, err.message, oz_buf_string(&mistakes.text));
    assert_int_equal(mistakes.n, 0);
    assert_int_equal(mistakes.text.len, 0);
}

static void parse(const char *text) { parse_with(text, NULL, 0); }

static void expect_place(struct oz_place place, int line, int column)
{
    assert_int_equal(place.line, line);
    assert_int_equal(place.column, column);
}

static void expect_field(const struct oz_schema *schema, uint32_t number, const char *name,
                         enum oz_type type, enum oz_time_form form)
{
    assert_true(number < schema->n_fields);
    assert_string_equal(schema->field[number].name, name);
    assert_int_equal(schema->field[number].type, type);
    assert_int_equal(schema->field[number].time_form, form);
}

static void check_example_sources(void)
{
    assert_int_equal(pipeline.n_sources, 2);
    assert_int_equal(pipeline.scored_source, 0);
    const struct oz_schema *scored = &pipeline.source[0].schema;
    assert_string_equal(scored->name, "transactions");
    assert_string_equal(pipeline.source[0].topic, "transactions");
    expect_place(pipeline.source[0].place, 6, 3);
    assert_int_equal(scored->n_fields, 5);
    expect_field(scored, 0, "tx_id", OZ_LONG, OZ_TIME_ISO);
    expect_field(scored, 1, "at", OZ_TIMESTAMP, OZ_TIME_ISO);
    expect_field(scored, 2, "customer", OZ_STRING, OZ_TIME_ISO);
    expect_field(scored, 3, "terminal", OZ_STRING, OZ_TIME_ISO);
    expect_field(scored, 4, "amount", OZ_DOUBLE, OZ_TIME_ISO);
    assert_int_equal(scored->id, 0);
    assert_int_equal(scored->key, 2);
    assert_int_equal(scored->time, 1);
    assert_int_equal(scored->arrival, -1);
    assert_true(scored->scored);
    assert_int_equal(scored->lateness_us, 600 * INT64_C(1000000));
    assert_int_equal(scored->max_future_us, 60 * INT64_C(1000000));
    const struct oz_schema *labels = &pipeline.source[1].schema;
    assert_string_equal(labels->name, "labels");
    assert_string_equal(pipeline.source[1].topic, "fraud-labels");
    assert_int_equal(labels->n_fields, 6);
    expect_field(labels, 2, "reported_at", OZ_TIMESTAMP, OZ_TIME_ISO);
    expect_field(labels, 5, "fraud", OZ_BOOLEAN, OZ_TIME_ISO);
    assert_int_equal(labels->id, 0);
    assert_int_equal(labels->key, 3);
    assert_int_equal(labels->time, 1);
    assert_int_equal(labels->arrival, 2);
    assert_false(labels->scored);
    assert_int_equal(labels->lateness_us, 45 * 86400 * INT64_C(1000000));
    assert_int_equal(labels->max_future_us, 60 * INT64_C(1000000)); /* the default */
}

static void card_fraud_example(void **state)
{
    (void)state;
    struct oz_error err;
    unsetenv("KAFKA");
    unsetenv("HOSTNAME"); /* the host's own name then stands for it */
    char host[256] = "";
    assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
    enum oz_status status = oz_pipeline_load(EXAMPLE, NULL, 0, &arena, &pipeline, &mistakes, &err);
    if (status != OZ_OK) fail_msg("%s", oz_buf_string(&mistakes.text));
    assert_string_equal(pipeline.file, EXAMPLE);
    assert_string_equal(pipeline.folder, "pipelines/examples/card-fraud");
    assert_string_equal(pipeline.name, "card-fraud");
    assert_int_equal(strlen(pipeline.config_sha256), 64);
    assert_int_equal(pipeline.n_kafka, 1);
    assert_string_equal(pipeline.kafka[0].key, "bootstrap.servers");
    assert_string_equal(pipeline.kafka[0].value, "localhost:9092");
    check_example_sources();
    assert_int_equal(pipeline.n_entities, 2);
    assert_string_equal(pipeline.entity[0].name, "customer");
    assert_string_equal(pipeline.entity[0].field, "customer");
    assert_string_equal(pipeline.entity[1].name, "terminal");
    assert_int_equal(pipeline.n_features, 16);
    assert_string_equal(pipeline.feature[0].name, "amount");
    assert_string_equal(pipeline.feature[0].text, "amount");
    assert_string_equal(pipeline.feature[15].name, "terminal_risk_30d");
    assert_string_equal(pipeline.feature[3].text, "count() by customer over 1d");
    expect_place(pipeline.feature[3].place, 32, 23);
    assert_int_equal(pipeline.n_models, 1);
    assert_string_equal(pipeline.model[0].name, "fraud");
    assert_string_equal(pipeline.model[0].file, "pipelines/examples/card-fraud/fraud.ubj");
    assert_int_equal(pipeline.batch_rows, 4096);
    assert_int_equal(pipeline.batch_max_wait_us, 2000);
    assert_string_equal(pipeline.scores_topic, "fraud-scores");
    assert_false(pipeline.scores_features);
    assert_string_equal(pipeline.dead_letters_topic, "transactions-dlq");
    assert_string_equal(pipeline.alerts_topic, "fraud-alerts");
    assert_int_equal(pipeline.n_alert_fields, 2);
    assert_string_equal(pipeline.alert_field[0], "amount");
    assert_string_equal(pipeline.alert_field[1], "terminal");
    assert_int_equal(pipeline.n_rules, 2);
    assert_string_equal(pipeline.rule[0].name, "high_risk");
    assert_string_equal(pipeline.rule[0].when, "fraud >= 0.8");
    expect_place(pipeline.rule[0].when_place, 55, 23);
    assert_int_equal(pipeline.rule[0].suppress_us, 600 * INT64_C(1000000));
    assert_string_equal(pipeline.rule[0].suppress_by, "customer");
    assert_int_equal(pipeline.rule[1].suppress_us, 86400 * INT64_C(1000000));
    assert_int_equal(pipeline.delivery, OZ_EXACTLY_ONCE);
    assert_int_equal(pipeline.epoch_every_us, 100000);
    assert_int_equal(pipeline.epoch_rows, 20000);
    assert_string_equal(pipeline.state_dir, "./card-fraud-state");
    assert_true(pipeline.state_memory_bytes == UINT64_C(2) << 30);
    assert_string_equal(pipeline.instance, host);
    assert_int_equal(pipeline.start, OZ_START_EARLIEST);
    assert_int_equal(pipeline.max_idle_us, 1000000);
}

static void defaults(void **state)
{
    (void)state;
    char host[256] = "";
    assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
    parse(VALID);
    assert_string_equal(pipeline.folder, "some/dir");
    assert_int_equal(pipeline.n_kafka + pipeline.n_entities + pipeline.n_features, 0);
    assert_int_equal(pipeline.n_models + pipeline.n_rules + pipeline.n_alert_fields, 0);
    assert_true(pipeline.source[0].schema.scored);
    assert_int_equal(pipeline.source[0].schema.id, -1);
    assert_int_equal(pipeline.source[0].schema.lateness_us, 0);
    assert_int_equal(pipeline.source[0].schema.max_future_us, OZ_US_PER_MINUTE);
    assert_int_equal(pipeline.batch_rows, 4096);
    assert_int_equal(pipeline.batch_max_wait_us, 2 * OZ_US_PER_MS);
    assert_null(pipeline.scores_topic);
    assert_null(pipeline.dead_letters_topic);
    assert_null(pipeline.alerts_topic);
    assert_false(pipeline.scores_features);
    assert_int_equal(pipeline.delivery, OZ_EXACTLY_ONCE);
    assert_int_equal(pipeline.epoch_every_us, 100 * OZ_US_PER_MS);
    assert_int_equal(pipeline.epoch_rows, 20000);
    assert_string_equal(pipeline.state_dir, "./state");
    assert_true(pipeline.state_memory_bytes == UINT64_C(2147483648));
    assert_int_equal(pipeline.state_flush_us, OZ_US_PER_SECOND);
    assert_int_equal(pipeline.state_min_free.share_ppm, 10000);
    assert_int_equal(pipeline.stop_above.per_us, 0);
    assert_int_equal(pipeline.max_row_events, 10000000);
    assert_int_equal(pipeline.workers, 0);
    assert_string_equal(pipeline.instance, host);
    assert_int_equal(pipeline.start, OZ_START_LATEST);
    assert_int_equal(pipeline.max_idle_us, OZ_US_PER_SECOND);
}

static void every_other_value(void **state)
{
    (void)state;
    parse("pipeline: 9-lives\n"
          "kafka: {b.x: 1, a: 'two', c: true}\n"
          "sources:\n"
          "  feed: {topic: a_b.c-D, format: json, fields: {a: timestamp(s), b: timestamp(ms), c: "
          "timestamp(us), n: long}, id: n, key: n, time: b, arrival: c, score: false,\n"
          "    max_future: 1h30m}\n"
          "  main: {topic: m, fields: {at: timestamp, n: long}, key: n, time: at, score: true}\n"
          "models:\n  m: {file: /models/m.ubj, device: cpu}\n"
          "batch: # nothing below it\n"
          "outputs: {scores: {topic: o, features: true}}\n"
          "alerts: {topic: al, lane: epoch, rules: {r: {when: m > 1}}}\n"
          "delivery: at_least_once\n"
          "epoch: {every: 1m, rows: 1}\n"
          "state: {dir: /var/lib/x, memory: 32MiB, flush: 0s, min_free: 3GiB, max_row_events: 7}\n"
          "errors: {stop_above: 0.25%  per 1h30m}\n"
          "workers: 256\ninstance: host-1.example\nstart: 2026-01-31T01:00:00+01:00\nmax_idle: "
          "250ms\n");
    assert_string_equal(pipeline.name, "9-lives");
    assert_int_equal(pipeline.n_kafka, 3);
    assert_string_equal(pipeline.kafka[0].key, "b.x"); /* the file's order */
    assert_string_equal(pipeline.kafka[0].value, "1");
    assert_string_equal(pipeline.kafka[1].value, "two");
    expect_place(pipeline.kafka[1].place, 2, 21);
    assert_string_equal(pipeline.kafka[2].value, "true");
    assert_int_equal(pipeline.scored_source, 1);
    const struct oz_schema *feed = &pipeline.source[0].schema;
    expect_field(feed, 0, "a", OZ_TIMESTAMP, OZ_TIME_SECONDS);
    expect_field(feed, 1, "b", OZ_TIMESTAMP, OZ_TIME_MILLIS);
    expect_field(feed, 2, "c", OZ_TIMESTAMP, OZ_TIME_MICROS);
    assert_int_equal(feed->id, 3);
    assert_int_equal(feed->time, 1);
    assert_int_equal(feed->arrival, 2);
    assert_false(feed->scored);
    assert_int_equal(feed->max_future_us, 90 * OZ_US_PER_MINUTE);
    assert_string_equal(pipeline.model[0].file, "/models/m.ubj");
    assert_int_equal(pipeline.batch_rows, 4096);
    assert_true(pipeline.scores_features);
    assert_int_equal(pipeline.rule[0].suppress_us, 0);
    assert_null(pipeline.rule[0].suppress_by);
    assert_int_equal(pipeline.delivery, OZ_AT_LEAST_ONCE);
    assert_int_equal(pipeline.epoch_every_us, OZ_US_PER_MINUTE);
    assert_int_equal(pipeline.epoch_rows, 1);
    assert_string_equal(pipeline.state_dir, "/var/lib/x");
    assert_true(pipeline.state_memory_bytes == 32 << 20);
    assert_int_equal(pipeline.state_flush_us, 0);
    assert_int_equal(pipeline.state_min_free.share_ppm, 0);
    assert_true(pipeline.state_min_free.bytes == UINT64_C(3) << 30);
    assert_int_equal(pipeline.stop_above.share_ppm, 2500);
    assert_int_equal(pipeline.stop_above.per_us, 90 * OZ_US_PER_MINUTE);
    assert_int_equal(pipeline.max_row_events, 7);
    assert_int_equal(pipeline.workers, 256);
    assert_string_equal(pipeline.instance, "host-1.example");
    assert_int_equal(pipeline.start, OZ_START_AT);
    assert_true(pipeline.start_at_us == INT64_C(1769817600) * 1000000); /* 2026-01-31T00:00:00Z */
    assert_int_equal(pipeline.max_idle_us, 250 * OZ_US_PER_MS);
}

/* Names that are allowed to be the same: a field, its feature and the entity that it identifies. */
static void names_that_mean_the_same(void **state)
{
    (void)state;
    parse(VALID "entities: {k: k}\nfeatures: {k: ' k ', v: v, w: v * 2}\n");
    assert_int_equal(pipeline.n_features, 3);
}

static void overrides_change_the_tree(void **state)
{
    (void)state;
    const char *overrides[] = {
        "pipeline=q",
        "kafka.bootstrap.servers=h:1",
        "kafka.sasl.password=a=b",
        "batch.rows=17",
        "state={dir: elsewhere}",
        "sources.s.lateness=5m",
        "features.f=count() by k over 1d",
        "entities.k=k",
        "alerts.topic=al",
        "alerts.fields=[v, k]",
        "alerts.rules.r.when=v > 1",
        "batch.rows=18",
        "workers='3'",
        "outputs.scores.topic=${OUZEL_TEST_SET}",
    };
    setenv("OUZEL_TEST_SET", "somewhere", 1);
    parse_with(VALID "batch: {rows: 1, max_wait: 7ms}\n", overrides, OZ_COUNT_OF(overrides));
    assert_string_equal(pipeline.name, "q");
    assert_int_equal(pipeline.n_kafka, 2);
    assert_string_equal(pipeline.kafka[0].key, "bootstrap.servers");
    assert_string_equal(pipeline.kafka[0].value, "h:1");
    assert_string_equal(pipeline.kafka[1].key, "sasl.password");
    assert_string_equal(pipeline.kafka[1].value, "a=b");
    assert_int_equal(pipeline.batch_rows, 18); /* the last one wins */
    assert_int_equal(pipeline.batch_max_wait_us, 7 * OZ_US_PER_MS);
    assert_string_equal(pipeline.state_dir, "elsewhere");
    assert_int_equal(pipeline.source[0].schema.lateness_us, 5 * OZ_US_PER_MINUTE);
    assert_string_equal(pipeline.feature[0].text, "count() by k over 1d");
    expect_place(pipeline.feature[0].place, -7, 12);
    assert_string_equal(pipeline.alert_field[1], "k");
    assert_string_equal(pipeline.rule[0].name, "r");
    assert_int_equal(pipeline.workers, 3);
    assert_string_equal(pipeline.scores_topic, "somewhere");
}

/* An override below an alias changes the one place that it names. */
static void overrides_do_not_reach_through_aliases(void **state)
{
    (void)state;
    const char *override = "sources.b.fields.v=string";
    parse_with("pipeline: p\nsources:\n"
               "  a: {topic: t, fields: &f {at: timestamp, k: string, v: long}, key: k, time: at}\n"
               "  b: {topic: u, fields: *f, key: k, time: at, score: false}\n",
               &override, 1);
    expect_field(&pipeline.source[0].schema, 2, "v", OZ_LONG, OZ_TIME_ISO);
    expect_field(&pipeline.source[1].schema, 2, "v", OZ_STRING, OZ_TIME_ISO);
}

static void substitution(void **state)
{
    (void)state;
    char path[] = "/tmp/ouzel-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, "line: 1\nline }2\r\n", 17) == 17);
    close(fd);
    setenv("OUZEL_TEST_SET", "a: [b] # ${X} $$", 1);
    setenv("OUZEL_TEST_EMPTY", "", 1);
    setenv("OUZEL_TEST_FILE", path, 1);
    setenv("HOSTNAME", "from-the-environment", 1);
    unsetenv("OUZEL_TEST_UNSET");
    char text[1024];
    snprintf(text, sizeof(text),
             VALID "kafka:\n"
                   "  a: x ${OUZEL_TEST_SET} y\n"
                   "  b: ${OUZEL_TEST_UNSET:-d e}f\n"
                   "  c: ${OUZEL_TEST_EMPTY:-d}${OUZEL_TEST_EMPTY}\n"
                   "  d: ${OUZEL_TEST_UNSET:-}\n"
                   "  e: $$ $ $x $$${OUZEL_TEST_EMPTY}{} ${OUZEL_TEST_UNSET:-$}\n"
                   "  f: \"${file:%s}\"\n"
                   "instance: ${HOSTNAME}\n",
             path);
    parse(text);
    unlink(path);
    /* What is put in is neither YAML nor searched again. */
    assert_string_equal(pipeline.kafka[0].value, "x a: [b] # ${X} $$ y");
    assert_string_equal(pipeline.kafka[1].value, "d ef");
    assert_string_equal(pipeline.kafka[2].value, "d");
    assert_string_equal(pipeline.kafka[3].value, "");
    assert_string_equal(pipeline.kafka[4].value, "$ $ $x ${} $");
    assert_string_equal(pipeline.kafka[5].value, "line: 1\nline }2");
    assert_string_equal(pipeline.instance, "from-the-environment");
}

static void read_line(const char *path, char *line, size_t cap)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, (int)cap, file));
    fclose(file);
    line[strcspn(line, "\n")] = 0;
}

static void hash_is_of_the_canonical_text(void **state)
{
    (void)state;
    char expected[80];
    read_line("tests/unit/pipelines/config/canonical.sha256", expected, sizeof(expected));
    setenv("KAFKA", "elsewhere:1", 1);
    parse("# The same tree as in make_fixtures.py, in another order and dress.\n"
          "sources:\n  s: {topic: \"t\", time: at,\n      key: 'k', fields: {at: timestamp, k: "
          "string}}\n"
          "alerts: {topic: al, rules: {r: {when: \"k == '\\u00e9' and v > \\\"\\\"\"}}, fields: "
          "[k, at]}\n"
          "kafka: {bootstrap.servers: '${KAFKA:-localhost:9092}', a: 1}\n"
          "batch:\npipeline: p\n");
    assert_string_equal(pipeline.config_sha256, expected);
    unsetenv("KAFKA");
}

/* A place and an offset into the text become the line and column of that character in the file. */
static void later_mistakes_point_into_the_text(void **state)
{
    (void)state;
    static const char *const text = VALID "features:\n"
                                          "  a: mean(v) by k ovr 1d\n"
                                          "  b: \"v >= \\x31 and \\u00e9x\"\n"
                                          "  c: 'it''s é wrong'\n"
                                          "  d: first\n    second third\n"
                                          "  e: |\n    one\n    two three\n"
                                          "  f: v * ${OUZEL_TEST_SET} + nope\n";
    static const struct {
        size_t feature, offset;
        const char *expected;
    } cases[] = {
        {0, 0, "some/dir/x.yaml:9:6: m\n    9 |   a: mean(v) by k ovr 1d\n      |      ^\n"},
        {0, 13,
         "some/dir/x.yaml:9:19: m\n    9 |   a: mean(v) by k ovr 1d\n"
         "      |                   ^\n"},
        /* The text is `v >= 1 and éx`; the x is byte 13. */
        {1, 13,
         "some/dir/x.yaml:10:27: m\n   10 |   b: \"v >= \\x31 and \\u00e9x\"\n"
         "      |                           ^\n"},
        {2, 8,
         "some/dir/x.yaml:11:15: m\n   11 |   c: 'it''s é wrong'\n"
         "      |               ^\n"},
        {3, 13, "some/dir/x.yaml:13:12: m\n   13 |     second third\n      |            ^\n"},
        {4, 8, "some/dir/x.yaml:16:9: m\n   16 |     two three\n      |         ^\n"},
        /* `v * 12345 + nope`: inside what was put in, and behind it. */
        {5, 6,
         "some/dir/x.yaml:17:10: m\n   17 |   f: v * ${OUZEL_TEST_SET} + nope\n"
         "      |          ^\n"},
        {5, 12,
         "some/dir/x.yaml:17:30: m\n   17 |   f: v * ${OUZEL_TEST_SET} + nope\n"
         "      |                              ^\n"},
    };
    setenv("OUZEL_TEST_SET", "12345", 1);
    parse(text);
    assert_string_equal(pipeline.feature[1].text, "v >= 1 and \xc3\xa9x");
    assert_string_equal(pipeline.feature[3].text, "first second third");
    assert_string_equal(pipeline.feature[5].text, "v * 12345 + nope");
    expect_place(pipeline.feature[1].place, 10, 7);
    for (size_t i = 0; i < OZ_COUNT_OF(cases); i++) {
        oz_buf_reset(&mistakes.text);
        oz_pipeline_mistake(&pipeline, &mistakes, pipeline.feature[cases[i].feature].place,
                            cases[i].offset, "%s", "m");
        assert_string_equal(oz_buf_string(&mistakes.text), cases[i].expected);
    }
    assert_int_equal(mistakes.n, OZ_COUNT_OF(cases));
}

static void later_mistakes_point_into_overrides(void **state)
{
    (void)state;
    const char *override = "features.a=cunt() by k";
    parse_with(VALID, &override, 1);
    oz_pipeline_mistake(&pipeline, &mistakes, pipeline.feature[0].place, 0, "unknown");
    oz_pipeline_mistake(&pipeline, &mistakes, pipeline.feature[0].place, 7, "expected `over`");
    assert_string_equal(oz_buf_string(&mistakes.text),
                        "--set features.a=cunt() by k: unknown\n"
                        "--set features.a=cunt() by k: expected `over`\n"
                        "    1 | features.a=cunt() by k\n"
                        "      |                   ^\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(card_fraud_example, setup, teardown),
        cmocka_unit_test_setup_teardown(defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(every_other_value, setup, teardown),
        cmocka_unit_test_setup_teardown(names_that_mean_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(overrides_change_the_tree, setup, teardown),
        cmocka_unit_test_setup_teardown(overrides_do_not_reach_through_aliases, setup, teardown),
        cmocka_unit_test_setup_teardown(substitution, setup, teardown),
        cmocka_unit_test_setup_teardown(hash_is_of_the_canonical_text, setup, teardown),
        cmocka_unit_test_setup_teardown(later_mistakes_point_into_the_text, setup, teardown),
        cmocka_unit_test_setup_teardown(later_mistakes_point_into_overrides, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
