/* Proves that the reference and the JSON Schema have every key that is served, and only those, and
 * that every key of the design is known: served, or refused as not served yet. How: the keys are
 * listed here by hand; a key that is "unknown" would say so in its mistake; the schema is read by a
 * small JSON reader of the test's own. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "pipelines/config/pipeline.h"

static const char *const served[] = {"pipeline",
                                     "kafka",
                                     "sources",
                                     "sources.*",
                                     "sources.*.topic",
                                     "sources.*.format",
                                     "sources.*.fields",
                                     "sources.*.fields.*",
                                     "sources.*.id",
                                     "sources.*.key",
                                     "sources.*.time",
                                     "sources.*.arrival",
                                     "sources.*.lateness",
                                     "sources.*.max_future",
                                     "sources.*.score",
                                     "entities",
                                     "entities.*",
                                     "features",
                                     "features.*",
                                     "models",
                                     "models.*",
                                     "models.*.file",
                                     "models.*.device",
                                     "models.*.inputs",
                                     "models.*.outputs",
                                     "models.*.outputs.*",
                                     "batch",
                                     "batch.rows",
                                     "batch.max_wait",
                                     "outputs",
                                     "outputs.scores",
                                     "outputs.scores.topic",
                                     "outputs.scores.features",
                                     "outputs.dead_letters",
                                     "outputs.dead_letters.topic",
                                     "alerts",
                                     "alerts.topic",
                                     "alerts.lane",
                                     "alerts.fields",
                                     "alerts.rules",
                                     "alerts.rules.*",
                                     "alerts.rules.*.when",
                                     "alerts.rules.*.suppress",
                                     "delivery",
                                     "epoch",
                                     "epoch.every",
                                     "epoch.rows",
                                     "exchange",
                                     "state",
                                     "state.dir",
                                     "state.memory",
                                     "state.flush",
                                     "state.min_free",
                                     "state.max_row_events",
                                     "state.ttl",
                                     "state.retire",
                                     "workers",
                                     "instance",
                                     "start",
                                     "max_idle",
                                     "errors",
                                     "errors.stop_above"};

static void reference_has_every_served_key(void **state)
{
    (void)state;
    struct oz_buf buf;
    oz_buf_init(&buf);
    oz_pipeline_reference(&buf);
    const char *text = oz_buf_string(&buf);
    size_t n_lines = 0;
    for (const char *c = text; *c; c++) n_lines += *c == '\n';
    assert_int_equal(n_lines, OZ_COUNT_OF(served) + 2);
    for (size_t i = 0; i < OZ_COUNT_OF(served); i++) {
        char row[80];
        snprintf(row, sizeof(row), "\n| `%s` | ", served[i]);
        if (!strstr(text, row)) fail_msg("`%s` is not in the reference", served[i]);
    }
    assert_non_null(strstr(text, "\n| `batch.rows` | integer | `4096` | 1 to 65536 | "));
    assert_non_null(strstr(text, "\n| `state.memory` | size | `2GiB` | 32MiB to 64TiB | "));
    assert_non_null(strstr(text, "\n| `epoch.every` | duration | `100ms` | 1ms to 1m | "));
    assert_non_null(strstr(text, "\n| `sources.*.time` | name | **required** |  | "));
    oz_buf_clear(&buf);
}

/* Reads one JSON value at *s; false when it is none. Counts the names of members called `member`.
 */
static bool read_json(const char **s, const char *member, size_t *n_found)
{
    if (**s == '"') {
        for (++*s; **s && **s != '"'; ++*s)
            if (**s == '\\' && !*++*s) return false;
        return *(*s)++ == '"';
    }
    if (**s == '{' || **s == '[') {
        char end = **s == '{' ? '}' : ']';
        if (*++*s == end) return ++*s, true;
        for (;; ++*s) {
            if (end == '}') {
                size_t len = strlen(member);
                if (!strncmp(*s + 1, member, len) && (*s)[len + 1] == '"') ++*n_found;
                if (**s != '"' || !read_json(s, member, n_found) || *(*s)++ != ':') return false;
            }
            if (!read_json(s, member, n_found)) return false;
            if (**s != ',') return *(*s)++ == end;
        }
    }
    const char *from = *s;
    while (isalnum((unsigned char)**s) || **s == '-' || **s == '.') ++*s;
    return *s > from;
}

static size_t count_members(const char *text, const char *member)
{
    size_t n = 0;
    if (!read_json(&text, member, &n) || strcmp(text, "\n")) fail_msg("not JSON at `%.40s`", text);
    return n;
}

static void schema_is_json_with_every_served_key(void **state)
{
    (void)state;
    struct oz_buf buf;
    oz_buf_init(&buf);
    oz_pipeline_json_schema(&buf);
    const char *text = oz_buf_string(&buf);
    assert_int_equal(count_members(text, "$schema"), 1);
    /* Each key is a member of its group's "properties"; a `*` is what "additionalProperties" says.
     */
    for (size_t i = 0; i < OZ_COUNT_OF(served); i++) {
        const char *dot = strrchr(served[i], '.'), *name = dot ? dot + 1 : served[i];
        if (*name != '*' && !count_members(text, name))
            fail_msg("`%s` is not in the schema", served[i]);
    }
    assert_int_equal(count_members(text, "topic"), 4);
    assert_int_equal(count_members(text, "tables"), 0);
    assert_int_equal(count_members(text, "drift"), 0);
    oz_buf_clear(&buf);
}

/* The design's other keys: refused with their own words, never "unknown". */
static void keys_to_come_are_known(void **state)
{
    (void)state;
    static const char *const to_come[] = {"tables={}",
                                          "drift={}",
                                          "alerts.rules.r.reasons=3",
                                          "models.m.fallback=0",
                                          "models.m.deadline=1ms",
                                          "models.m.shadow=true",
                                          "models.m.codes={}",
                                          "models.m.device=cuda",
                                          "models.m.device=gpu",
                                          "sources.s.format=avro",
                                          "alerts.lane=fast",
                                          "sources.s.fields.v=decimal(2)"};
    const char *text = "pipeline: p\nsources:\n  s:\n    topic: t\n"
                       "    fields: {at: timestamp, k: string, v: double}\n    key: k\n"
                       "    time: at\nmodels: {m: {file: m.ubj}}\n"
                       "alerts: {topic: a, rules: {r: {when: v > 1}}}\n";
    for (size_t i = 0; i < OZ_COUNT_OF(to_come); i++) {
        struct oz_arena arena;
        struct oz_pipeline pipeline;
        struct oz_mistakes mistakes = {0};
        struct oz_error err;
        oz_arena_init(&arena, 4096);
        assert_int_equal(oz_pipeline_parse("x.yaml", text, strlen(text), &to_come[i], 1, &arena,
                                           &pipeline, &mistakes, &err),
                         OZ_CONFIG);
        assert_int_equal(mistakes.n, 1);
        if (!strstr(err.message, " is not served yet: "))
            fail_msg("%s: %s", to_come[i], err.message);
        oz_mistakes_clear(&mistakes);
        oz_arena_clear(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_has_every_served_key),
        cmocka_unit_test(schema_is_json_with_every_served_key),
        cmocka_unit_test(keys_to_come_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
