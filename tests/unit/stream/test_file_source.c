/* Proves that the lines of several files come in one order: by arrival, unscored sources first at a
 * tie, then the pipeline's order, then the line; whatever the sizes of the calls and however the
 * records are released. What is expected is a plain sort of all lines, made here. Also: unreadable
 * arrivals, an unsorted file, missing files, progress. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/instant.h"
#include "base/memory.h"
#include "stream/file_source.h"

enum { N_FILES = 4, N_LINES = 3000, LINE_BYTES = 160 };

static char folder[] = "/tmp/test_file_source_XXXXXX";
static char path[N_FILES][64];

static const struct oz_field field[] = {
    {"id", OZ_LONG, 0}, {"at", OZ_TIMESTAMP, OZ_TIME_ISO}, {"known", OZ_TIMESTAMP, OZ_TIME_MILLIS}};
#define SCHEMA(n, arrival_, scored_)                                                               \
    {                                                                                              \
        .name = (n), .field = field, .n_fields = 3, .id = 0, .key = 0, .time = 1,                  \
        .arrival = (arrival_), .scored = (scored_), .max_future_us = OZ_US_PER_MINUTE              \
    }
static const struct oz_schema schema[N_FILES] = {SCHEMA("a", 2, false), SCHEMA("b", -1, true),
                                                 SCHEMA("c", 2, false), SCHEMA("d", -1, false)};

static void write_lines(int f, const char *text)
{
    FILE *file = fopen(path[f], "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static struct oz_source *open_files(size_t n)
{
    /* Given backwards: the order is that of the sources, not of the list. */
    struct oz_file_spec spec[N_FILES];
    for (size_t i = 0; i < n; i++) {
        uint32_t f = (uint32_t)(n - 1 - i);
        spec[i] = (struct oz_file_spec){f, path[f], &schema[f]};
    }
    struct oz_source *src;
    struct oz_error err;
    assert_int_equal(oz_file_source_open(spec, n, &src, &err), OZ_OK);
    return src;
}

struct expected {
    int64_t ms, line;
    uint32_t source;
    char text[LINE_BYTES];
};
static struct expected expected[N_FILES * N_LINES];

static int compare(const void *a, const void *b)
{
    const struct expected *x = a, *y = b;
    if (x->ms != y->ms) return x->ms < y->ms ? -1 : 1;
    if (schema[x->source].scored != schema[y->source].scored)
        return schema[x->source].scored ? 1 : -1;
    if (x->source != y->source) return x->source < y->source ? -1 : 1;
    return x->line < y->line ? -1 : 1;
}

/* Arrivals go up by 0 to 3 ms, so that ties are many; file 3 is far shorter than the others. */
static size_t make_files(void)
{
    size_t n = 0;
    for (uint32_t f = 0; f < N_FILES; f++) {
        FILE *file = fopen(path[f], "w");
        assert_non_null(file);
        int64_t us = INT64_C(1532513472000000) - 3000;
        for (int64_t i = 0; i < (f == 3 ? 7 : N_LINES); i++) {
            struct expected *e = &expected[n++];
            char at[OZ_INSTANT_BYTES_MAX];
            us += rand() % 4 * 1000 + (f % 2 ? rand() % 1000 : 0); /* b and d: microseconds too */
            *e = (struct expected){us / 1000, i, f, ""};
            oz_format_instant(at, f % 2 ? us : us - rand() % 1000000);
            snprintf(e->text, LINE_BYTES, "{\"id\":%lld,\"at\":\"%s\",\"known\":%lld}",
                     (long long)i, at, (long long)(f % 2 ? 5 : us / 1000));
            fprintf(file, "%s\n", e->text);
        }
        assert_int_equal(fclose(file), 0);
    }
    qsort(expected, n, sizeof(*expected), compare);
    return n;
}

static void test_merge(void **state)
{
    (void)state;
    srand(11);
    size_t n = make_files();
    for (int round = 0; round < 4; round++) {
        static const size_t sizes[] = {1, 7, 512, N_FILES * N_LINES + 1};
        struct oz_source *src = open_files(N_FILES);
        static struct oz_record record[N_FILES * N_LINES + 1];
        size_t n_got = 0, n_released = 0, n_now;
        struct oz_error err;
        do {
            size_t most = 1 + (size_t)rand() % sizes[round];
            assert_int_equal(oz_source_next(src, most, 0, record + n_got, &n_now, &err), OZ_OK);
            assert_true(n_now <= most);
            n_got += n_now;
            while (n_released < n_got && (round == 0 || rand() % 3)) {
                const struct oz_record *r = &record[n_released];
                const struct expected *e = &expected[n_released];
                assert_true(r->source == e->source && r->offset == e->line);
                assert_true(r->timestamp_ms == e->ms && r->partition == 0 && !r->key);
                assert_int_equal(r->value_len, strlen(e->text));
                assert_memory_equal(r->value, e->text, r->value_len);
                oz_source_release(src, &record[n_released++], 1);
            }
            if (n_now) assert_true(oz_source_at_end(src) == (n_got == n));
        } while (n_now);
        assert_int_equal(n_got, n);
        oz_source_release(src, record + n_released, n_got - n_released);
        uint64_t n_read, n_total;
        oz_file_source_progress(src, &n_read, &n_total);
        assert_true(n_read == n_total && n_total > n * 40);
        oz_source_close(src);
    }
}

/* Takes one file whole, checks its times and returns what came behind the last record. */
static enum oz_status read_file(const int64_t *ms, size_t n, struct oz_error *err)
{
    struct oz_source *src = open_files(1);
    struct oz_record record[16];
    size_t n_got = 0, n_now;
    enum oz_status status;
    while ((status = oz_source_next(src, 16 - n_got, 0, record + n_got, &n_now, err)) == OZ_OK &&
           n_now)
        n_got += n_now;
    assert_int_equal(n_got, n);
    for (size_t i = 0; i < n; i++) assert_true(record[i].timestamp_ms == ms[i]);
    oz_source_release(src, record, n_got);
    oz_source_close(src);
    return status;
}

static void test_unreadable_arrivals(void **state)
{
    (void)state;
    struct oz_error err;
    oz_wall_hold(100 * OZ_US_PER_SECOND);
    write_lines(0, "broken\n{\"known\":null}\n{\"known\":-1500}\n{\"id\":}\n{\"known\":20}\n"
                   "{\"known\":160001}\n{}\n{\"known\":160000,\"id\":\"x\"}\n[\n");
    static const int64_t ms[] = {-1500, -1500, -1500, -1500, 20, 20, 20, 160000, 160000};
    assert_int_equal(read_file(ms, OZ_COUNT_OF(ms), &err), OZ_OK);
    write_lines(0, "broken\nagain\n");
    static const int64_t none[] = {0, 0};
    assert_int_equal(read_file(none, 2, &err), OZ_OK);
    write_lines(0, "");
    assert_int_equal(read_file(none, 0, &err), OZ_OK);
    oz_wall_hold(OZ_WALL_REAL);
}

static void test_unsorted(void **state)
{
    (void)state;
    struct oz_error err;
    write_lines(0, "{\"known\":5}\n\n{\"known\":7}\n{\"known\":7}\n{\"known\":6}\n{\"known\":9}\n");
    static const int64_t ms[] = {5, 7, 7};
    assert_int_equal(read_file(ms, 3, &err), OZ_RECORD);
    char where[80];
    snprintf(where, sizeof(where), "%s:5", path[0]);
    assert_string_equal(err.where, where);
    assert_non_null(strstr(err.message, "not sorted: \"known\" is earlier"));
}

static void test_no_such_file(void **state)
{
    (void)state;
    struct oz_source *src;
    struct oz_error err;
    write_lines(0, "{}\n");
    struct oz_file_spec spec[] = {{0, path[0], &schema[0]}, {1, "/nowhere/x", &schema[1]}};
    assert_int_equal(oz_file_source_open(spec, 2, &src, &err), OZ_ENVIRONMENT);
    assert_non_null(strstr(err.message, "/nowhere/x"));
    spec[1].path = path[0];
    for (uint64_t n = 1;; n++) {
        oz_fail_allocation(n);
        enum oz_status status = oz_file_source_open(spec, 2, &src, &err);
        oz_fail_allocation(0);
        if (status == OZ_OK) {
            assert_true(n > 10);
            break;
        }
        assert_int_equal(status, OZ_NO_MEMORY);
    }
    oz_source_close(src);
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    for (int f = 0; f < N_FILES; f++) snprintf(path[f], sizeof(path[f]), "%s/%d.jsonl", folder, f);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    for (int f = 0; f < N_FILES; f++) unlink(path[f]);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_unreadable_arrivals),
        cmocka_unit_test(test_unsorted),
        cmocka_unit_test(test_no_such_file),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
