/* Proves that a broken pipeline file is answered with every mistake in it, each at its line and
 * column, with the excerpt and the caret, and that no file, however hostile, costs more than the
 * limits allow. How: config/NAME.yaml is loaded and the answer compared, byte for byte, with
 * config/NAME.expected; both come from config/make_fixtures.py, which computes places and excerpts
 * from marks in hand-written cases. Files that are too large, too deep or not text are made here.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "pipelines/config/pipeline.h"

#define FIXTURES "tests/unit/pipelines/config"
#define VALID                                                                                      \
    "pipeline: p\nsources:\n  s:\n    topic: t\n    fields: {id: long, at: timestamp, k: string, " \
    "v: double}\n    key: k\n    time: at\n"

struct answer {
    struct oz_arena arena;
    struct oz_pipeline pipeline;
    struct oz_mistakes mistakes;
    struct oz_error err;
    enum oz_status status;
};

static void parse(struct answer *answer, const char *name, const char *text, size_t len,
                  const char *const *overrides, size_t n_overrides)
{
    *answer = (struct answer){0};
    oz_arena_init(&answer->arena, 4096);
    oz_buf_init(&answer->mistakes.text);
    answer->status = oz_pipeline_parse(name, text, len, overrides, n_overrides, &answer->arena,
                                       &answer->pipeline, &answer->mistakes, &answer->err);
}

static void clear(struct answer *answer)
{
    oz_mistakes_clear(&answer->mistakes);
    oz_arena_clear(&answer->arena);
}

static void expect_mistakes(const char *text, size_t len, const char *const *overrides,
                            size_t n_overrides, const char *expected)
{
    struct answer answer;
    parse(&answer, "x.yaml", text, len, overrides, n_overrides);
    assert_string_equal(oz_buf_string(&answer.mistakes.text), expected);
    assert_int_equal(answer.status, *expected ? OZ_CONFIG : OZ_OK);
    clear(&answer);
}

static void read_file(const char *path, struct oz_buf *buf)
{
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s cannot be read", path);
    oz_buf_init(buf);
    char bytes[4096];
    for (size_t n; (n = fread(bytes, 1, sizeof(bytes), file)) > 0;) oz_buf_put(buf, bytes, n);
    fclose(file);
}

static void fixtures_are_answered_as_expected(void **state)
{
    (void)state;
    setenv("OUZEL_TEST_SET", "from-environment", 1);
    unsetenv("OUZEL_TEST_UNSET");
    DIR *dir = opendir(FIXTURES);
    assert_non_null(dir);
    size_t n = 0, n_wrong = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char *dot = strrchr(entry->d_name, '.'), name[512], path[600];
        if (!dot || strcmp(dot, ".expected")) continue;
        snprintf(name, sizeof(name), "%.*s.yaml", (int)(dot - entry->d_name), entry->d_name);
        struct oz_buf yaml, expected;
        snprintf(path, sizeof(path), FIXTURES "/%s", name);
        read_file(path, &yaml);
        snprintf(path, sizeof(path), FIXTURES "/%s", entry->d_name);
        read_file(path, &expected);
        struct answer answer;
        parse(&answer, name, (const char *)yaml.data, yaml.len, NULL, 0);
        n++;
        if (strcmp(oz_buf_string(&answer.mistakes.text), oz_buf_string(&expected)) ||
            answer.status != OZ_CONFIG) {
            n_wrong++;
            print_error("%s\nexpected:\n%sfound:\n%s", name, oz_buf_string(&expected),
                        oz_buf_string(&answer.mistakes.text));
        }
        clear(&answer);
        oz_buf_clear(&yaml);
        oz_buf_clear(&expected);
    }
    closedir(dir);
    assert_true(n >= 25);
    assert_int_equal(n_wrong, 0);
}

/* The error names the first mistake and says how many others there are. */
static void error_names_the_first_mistake(void **state)
{
    (void)state;
    const char *text = VALID "workers: 0\nbatch: {rows: x, max_wait: y}\n";
    struct answer answer;
    parse(&answer, "some/x.yaml", text, strlen(text), NULL, 0);
    assert_int_equal(answer.status, OZ_CONFIG);
    assert_int_equal(answer.mistakes.n, 3);
    assert_string_equal(answer.err.where, "some/x.yaml:8:10");
    assert_string_equal(answer.err.message, "expected 1 to 256, found `0` (and 2 more mistakes)");
    clear(&answer);
}

static void many_mistakes_are_cut(void **state)
{
    (void)state;
    struct oz_buf buf;
    oz_buf_init(&buf);
    oz_buf_puts(&buf, VALID);
    for (int i = 0; i < 60; i++) oz_buf_printf(&buf, "unknown%d: 1\n", i);
    struct answer answer;
    parse(&answer, "x.yaml", (const char *)buf.data, buf.len, NULL, 0);
    assert_int_equal(answer.mistakes.n, 50);
    assert_non_null(
        strstr(oz_buf_string(&answer.mistakes.text), "x.yaml: 10 more mistakes are not listed\n"));
    clear(&answer);
    oz_buf_clear(&buf);
}

static void texts_that_are_no_pipeline(void **state)
{
    (void)state;
    const char *nothing = "x.yaml:1:1: expected `key: value` lines, found nothing\n"
                          "    1 | \n      | ^\n";
    expect_mistakes("", 0, NULL, 0, nothing);
    expect_mistakes("\xef\xbb\xbf", 3, NULL, 0, nothing);
    expect_mistakes("# only a comment", 16, NULL, 0,
                    "x.yaml:1:1: expected `key: value` lines, found nothing\n"
                    "    1 | # only a comment\n      | ^\n");
    expect_mistakes("a: b\nc: d\0e\n", 12, NULL, 0,
                    "x.yaml:2:5: a NUL byte: the file is not text\n"
                    "    2 | c: d?e\n      |     ^\n");
    expect_mistakes("a: \xc3\xa9 \xff\n", 8, NULL, 0,
                    "x.yaml:1:6: a byte that is not UTF-8\n"
                    "    1 | a: \xc3\xa9 ?\n      |      ^\n");
    expect_mistakes("a: \xed\xa0\x80\n", 7, NULL, 0, /* a surrogate */
                    "x.yaml:1:4: a byte that is not UTF-8\n"
                    "    1 | a: ???\n      |    ^\n");
    expect_mistakes("a: \x1b[2J\n", 8, NULL, 0, /* never sent to a terminal */
                    "x.yaml:1:4: not YAML: control characters are not allowed\n"
                    "    1 | a: ?[2J\n      |    ^\n");
    expect_mistakes("\"\\e[2J\": 1\npipeline: p\nsources: {}\n", 34, NULL, 0,
                    "x.yaml:1:2: unknown key `?[2J`\n    1 | \"\\e[2J\": 1\n      |  ^\n"
                    "x.yaml:3:1: `sources` has 0 entries: expected at least 1\n"
                    "    3 | sources: {}\n      | ^\n");
    expect_mistakes("a: \"\\0\"\n", 8, NULL, 0,
                    "x.yaml:1:5: a NUL character in a text\n    1 | a: \"\\0\"\n      |     ^\n");
    /* A byte order mark is no part of the first key. */
    const char *marked = "\xef\xbb\xbf" VALID;
    expect_mistakes(marked, strlen(marked), NULL, 0, "");
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    /* The mapping is level 1, each bracket one more. */
    const char *head = "x.yaml:1:19: more than 16 levels of nesting: the file is refused\n";
    struct answer answer;
    parse(&answer, "x.yaml", "a: [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]\n", 36, NULL, 0);
    assert_memory_equal(oz_buf_string(&answer.mistakes.text), head, strlen(head));
    assert_int_equal(answer.mistakes.n, 1);
    clear(&answer);
    parse(&answer, "x.yaml", "a: [[[[[[[[[[[[[[[]]]]]]]]]]]]]]]\n", 34, NULL, 0);
    assert_null(strstr(oz_buf_string(&answer.mistakes.text), "nesting"));
    clear(&answer);
    /* An alias counts with the height of what it stands for: 8 + 9 levels. */
    const char *alias = "a: &a [[[[[[[[1]]]]]]]]\nb: [[[[[[[*a]]]]]]]\nc: [[[[[[[[*a]]]]]]]]\n";
    parse(&answer, "x.yaml", alias, strlen(alias), NULL, 0);
    assert_memory_equal(oz_buf_string(&answer.mistakes.text), "x.yaml:3:12: more than 16 lev", 29);
    clear(&answer);
    struct oz_buf deep; /* far beyond what a recursive reader would bear */
    oz_buf_init(&deep);
    for (int i = 0; i < 500000; i++) oz_buf_put_u8(&deep, '[');
    parse(&answer, "x.yaml", (const char *)deep.data, deep.len, NULL, 0);
    assert_int_equal(answer.status, OZ_CONFIG);
    clear(&answer);
    oz_buf_clear(&deep);
}

static void nodes_and_aliases_are_bounded(void **state)
{
    (void)state;
    /* Ten aliases a level, nine levels: a thousand million values if anyone followed them. */
    struct oz_buf buf;
    oz_buf_init(&buf);
    oz_buf_puts(&buf, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 9; i++) {
        oz_buf_printf(&buf, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++) oz_buf_printf(&buf, "%s*a%d", j ? ", " : "", i - 1);
        oz_buf_puts(&buf, "]\n");
    }
    struct answer answer;
    parse(&answer, "x.yaml", (const char *)buf.data, buf.len, NULL, 0);
    assert_non_null(strstr(oz_buf_string(&answer.mistakes.text),
                           ": more than 20000 values and keys: the file is refused\n"));
    assert_int_equal(answer.mistakes.n, 1);
    clear(&answer);

    oz_buf_reset(&buf);
    oz_buf_puts(&buf, "a: &a 1\nb: [*a");
    for (int i = 1; i < 101; i++) oz_buf_puts(&buf, ", *a");
    oz_buf_puts(&buf, "]\n");
    parse(&answer, "x.yaml", (const char *)buf.data, buf.len, NULL, 0);
    assert_non_null(strstr(oz_buf_string(&answer.mistakes.text),
                           "x.yaml:2:405: more than 100 aliases: the file is refused\n"));
    clear(&answer);

    oz_buf_reset(&buf);
    oz_buf_puts(&buf, "kafka:\n");
    for (int i = 0; i < 10000; i++) oz_buf_printf(&buf, "  k%d: 1\n", i);
    parse(&answer, "x.yaml", (const char *)buf.data, buf.len, NULL, 0);
    /* 1 mapping, 1 key, 1 mapping, then two a line: the 20001st is the value of line 10000. */
    assert_memory_equal(oz_buf_string(&answer.mistakes.text), "x.yaml:10000:10: more than 20000",
                        32);
    clear(&answer);
    oz_buf_clear(&buf);
}

static void file_size_is_bounded(void **state)
{
    (void)state;
    struct oz_buf buf;
    oz_buf_init(&buf);
    oz_buf_puts(&buf, VALID "#");
    while (buf.len < OZ_CONFIG_FILE_BYTES_MAX) oz_buf_put_u8(&buf, 'x');
    expect_mistakes((const char *)buf.data, buf.len, NULL, 0, "");
    oz_buf_put_u8(&buf, 'x');
    const char *too_large = "x.yaml: the file is larger than 1 MiB, which no pipeline needs\n";
    expect_mistakes((const char *)buf.data, buf.len, NULL, 0, too_large);

    /* The same from a file, and what cannot be read at all. */
    char path[] = "/tmp/ouzel-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, buf.data, buf.len), buf.len);
    close(fd);
    struct answer answer = {0};
    oz_arena_init(&answer.arena, 4096);
    answer.status = oz_pipeline_load(path, NULL, 0, &answer.arena, &answer.pipeline,
                                     &answer.mistakes, &answer.err);
    unlink(path);
    assert_int_equal(answer.status, OZ_CONFIG);
    assert_int_equal(answer.mistakes.n, 1);
    answer.status = oz_pipeline_load(path, NULL, 0, &answer.arena, &answer.pipeline,
                                     &answer.mistakes, &answer.err);
    assert_int_equal(answer.status, OZ_ENVIRONMENT);
    assert_non_null(strstr(answer.err.message, "No such file"));
    answer.status = oz_pipeline_load("/tmp", NULL, 0, &answer.arena, &answer.pipeline,
                                     &answer.mistakes, &answer.err);
    assert_int_equal(answer.status, OZ_ENVIRONMENT);
    clear(&answer);
    oz_buf_clear(&buf);
}

static void overrides_are_named_in_their_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *override, *expected;
    } cases[] = {
        {"workers=0", "--set workers=0: expected 1 to 256, found `0`\n"},
        {"btch.rows=1", "--set btch.rows=1: unknown key `btch`: did you mean `batch`?\n"},
        {"batch.row=1", "--set batch.row=1: unknown key `row`: did you mean `rows`?\n"},
        {"pipeline.x=1", "--set pipeline.x=1: `pipeline` has no keys below it\n"},
        {"batch..x=1", "--set batch..x=1: expected names with a dot between them\n"},
        {"batch={rows: 1, rows: 2}",
         "--set batch={rows: 1, rows: 2}: duplicate key `rows`: it stands at 1:2 already\n"
         "    1 | batch={rows: 1, rows: 2}\n      |                 ^\n"},
        {"batch=[1", "--set batch=[1: not YAML: did not find expected ',' or ']' while parsing a "
                     "flow sequence\n"},
        {"workers=", "--set workers=: expected a whole number, found nothing\n"},
        {"kafka.sasl.password=[swordfish",
         "--set kafka.sasl.password=***: the value is not YAML: put quotes around it\n"},
        {"kafka.sasl.password=[swordfish]",
         "--set kafka.sasl.password=***: expected a text for `sasl.password`, found a list\n"},
        {"kafka.sasl.password=${OUZEL_TEST_UNSET}",
         "--set kafka.sasl.password=***: the environment variable `OUZEL_TEST_UNSET` is not set: "
         "set it, or write `${OUZEL_TEST_UNSET:-default}`\n"},
    };
    unsetenv("OUZEL_TEST_UNSET");
    for (size_t i = 0; i < OZ_COUNT_OF(cases); i++)
        expect_mistakes(VALID, strlen(VALID), &cases[i].override, 1, cases[i].expected);
    struct answer answer;
    const char *no_equals = "workers";
    parse(&answer, "x.yaml", VALID, strlen(VALID), &no_equals, 1);
    assert_int_equal(answer.status, OZ_USAGE);
    clear(&answer);
}

/* Whatever a secret's way into the file, its text is in no answer. */
static void secrets_are_not_printed(void **state)
{
    (void)state;
    char path[] = "/tmp/ouzel-test-XXXXXX", text[600];
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, "swordfish\n", 10) == 10);
    close(fd);
    setenv("OUZEL_TEST_SECRET", "swordfish", 1);
    static const char *const forms[] = {
        "workers: ${file:%s}\n",
        "delivery: ${file:%s}\n",
        "batch: {rows: a${file:%s}}\n",
        "kafka: {sasl.password: swordfish, a: [1]} # %s\n",
        "kafka: {sasl.password: '${OUZEL_TEST_SECRET}', sasl.password: '${OUZEL_TEST_SECRET}'} # "
        "%s\n",
        "kafka: {ssl.key.pem: {a: 1}, sasl.oauthbearer.token: \"swordfish\", x: ~} # %s\n",
        "kafka: {client.SECRET: '${OUZEL_TEST_NONE:-swordfish}', x: ~} # %s\n",
        "kafka:\n  sasl.password: swordfish: %s\n", /* not YAML */
        "kafka:\n  sasl.password: \"swordfish\" %s\n",
    };
    for (size_t i = 0; i < OZ_COUNT_OF(forms); i++) {
        int n = snprintf(text, sizeof(text), "%s", VALID);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text + n, sizeof(text) - (size_t)n, forms[i], path);
#pragma GCC diagnostic pop
        struct answer answer;
        parse(&answer, "x.yaml", text, strlen(text), NULL, 0);
        const char *answered = oz_buf_string(&answer.mistakes.text);
        assert_int_equal(answer.status, OZ_CONFIG);
        assert_true(answer.mistakes.n > 0);
        if (strstr(answered, "swordfish") || strstr(answer.err.message, "swordfish"))
            fail_msg("%sshows the secret:\n%s%s", text, answered, answer.err.message);
        clear(&answer);
    }
    unlink(path);
}

static void long_lines_are_cut_around_the_caret(void **state)
{
    (void)state;
    struct oz_buf buf;
    oz_buf_init(&buf);
    oz_buf_puts(&buf, VALID "batch: {max_wait: 1ms, ");
    for (int i = 0; i < 200; i++) oz_buf_puts(&buf, " ");
    oz_buf_puts(&buf, "rows: zero}");
    for (int i = 0; i < 200; i++) oz_buf_puts(&buf, " ");
    oz_buf_puts(&buf, "# end\n");
    struct oz_buf expected; /* 60 columns before the caret, 96 in all */
    oz_buf_init(&expected);
    oz_buf_printf(&expected, "x.yaml:8:230: expected a whole number, found `zero`\n    8 | ...");
    oz_buf_printf(&expected, "%54srows: zero}%31s...\n      |    %60s^\n", "", "", "");
    expect_mistakes((const char *)buf.data, buf.len, NULL, 0, oz_buf_string(&expected));
    oz_buf_clear(&expected);
    oz_buf_clear(&buf);
}

/* The n-th allocation fails, for every n: a status, no crash, nothing left behind. */
static void want_of_memory_is_a_status(void **state)
{
    (void)state;
    const char *text = VALID "kafka: {a: '${OUZEL_TEST_SET}', b: '${file:/nonexistent}'}\nbatch: "
                             "{row: 1}\nfeatures: {a: v}\n";
    const char *overrides[] = {"batch.rows=5", "models.m.file=a"};
    setenv("OUZEL_TEST_SET", "x", 1);
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        struct answer answer = {0};
        oz_arena_init(&answer.arena, 64);
        oz_fail_allocation(n);
        answer.status = oz_pipeline_parse("x.yaml", text, strlen(text), overrides, 2, &answer.arena,
                                          &answer.pipeline, &answer.mistakes, &answer.err);
        oz_fail_allocation(0);
        assert_true(answer.status == OZ_NO_MEMORY || answer.status == OZ_CONFIG);
        done = answer.status == OZ_CONFIG;
        assert_true(n < 10000);
        clear(&answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixtures_are_answered_as_expected),
        cmocka_unit_test(error_names_the_first_mistake),
        cmocka_unit_test(many_mistakes_are_cut),
        cmocka_unit_test(texts_that_are_no_pipeline),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(nodes_and_aliases_are_bounded),
        cmocka_unit_test(file_size_is_bounded),
        cmocka_unit_test(overrides_are_named_in_their_mistakes),
        cmocka_unit_test(secrets_are_not_printed),
        cmocka_unit_test(long_lines_are_cut_around_the_caret),
        cmocka_unit_test(want_of_memory_is_a_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
