/* Proves that a record becomes the cells that its text says, or an error that names the field and
 * the byte, and never anything else:
 * - codec_vectors.txt: 400 random records, whole and damaged, with what Python's json, re and
 * datetime make of them (make_codec_vectors.py beside it);
 * - a table of records, written by hand, with stage and message of what is refused;
 * - every cut and every changed byte of a record, for the sanitizers: no crash, a null row on
 * failure;
 * - no allocation once warm, and every failed allocation survived. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "stream/codec.h"

#define VECTORS "tests/unit/stream/codec_vectors.txt"
#define NOW_US  INT64_C(1577836800000000) /* 2020-01-01 */

static const struct oz_field vector_field[] = {
    {"k", OZ_STRING, 0},
    {"t", OZ_TIMESTAMP, OZ_TIME_ISO},
    {"l", OZ_LONG, 0},
    {"d", OZ_DOUBLE, 0},
    {"b", OZ_BOOLEAN, 0},
    {"s", OZ_STRING, 0},
    {"ts", OZ_TIMESTAMP, OZ_TIME_SECONDS},
    {"tm", OZ_TIMESTAMP, OZ_TIME_MILLIS},
    {"tu", OZ_TIMESTAMP, OZ_TIME_MICROS},
    {"na\xc3\xafve \"key\"", OZ_LONG, 0},
};
static const struct oz_schema schema = {.name = "vectors",
                                        .field = vector_field,
                                        .n_fields = OZ_COUNT_OF(vector_field),
                                        .id = -1,
                                        .key = 0,
                                        .time = 1,
                                        .arrival = -1,
                                        .max_future_us = 60000000};

struct bench {
    struct oz_decoder *decoder;
    struct oz_table table;
    struct oz_arena arena;
    enum oz_decode_stage stage;
    uint64_t nulled;
    struct oz_error err;
};

static void bench_init(struct bench *b, const struct oz_schema *of)
{
    *b = (struct bench){0};
    oz_arena_init(&b->arena, 4096);
    assert_int_equal(oz_json_decoder_new(of, &b->decoder, &b->err), OZ_OK);
    assert_int_equal(oz_table_init(&b->table, of, 2, &b->err), OZ_OK);
}

static void bench_clear(struct bench *b)
{
    oz_decoder_free(b->decoder);
    oz_table_clear(&b->table);
    oz_arena_clear(&b->arena);
}

/* The bytes stand in an allocation of their own length, so that a sanitizer sees each read beyond.
 */
static enum oz_status decode(struct bench *b, const char *bytes, size_t len)
{
    char *own = malloc(len ? len : 1);
    memcpy(own, bytes, len);
    oz_arena_reset(&b->arena);
    b->err.message[0] = '\0';
    enum oz_status status = oz_decode(b->decoder, own, len, NOW_US, &b->table, 1, &b->arena,
                                      &b->stage, &b->nulled, &b->err);
    memset(own, '#', len);
    free(own);
    return status;
}

static bool is_null(const struct oz_column *column, size_t row)
{
    switch (column->type) {
    case OZ_DOUBLE: return isnan(column->f64[row]);
    case OZ_BOOLEAN: return column->boolean[row] == OZ_NULL_BOOLEAN;
    case OZ_STRING: return column->str[row].data == NULL;
    default: return column->i64[row] == OZ_NULL_LONG;
    }
}

static void assert_row_null(const struct bench *b)
{
    for (uint32_t f = 0; f < b->table.schema->n_fields; f++)
        assert_true(is_null(&b->table.column[f], 1));
}

/* %XX back to bytes, in place; returns the length. */
static size_t unescape(char *s)
{
    char *to = s;
    for (const char *at = s; *at; at++) {
        unsigned c = (unsigned char)*at;
        if (c == '%') {
            assert_int_equal(sscanf(at + 1, "%2x", &c), 1);
            at += 2;
        }
        *to++ = (char)c;
    }
    return (size_t)(to - s);
}

static void check_cell(const struct oz_column *column, char *expected)
{
    if (!strcmp(expected, "null")) {
        assert_true(is_null(column, 1));
        return;
    }
    assert_false(is_null(column, 1));
    switch (column->type) {
    case OZ_LONG:
    case OZ_TIMESTAMP: assert_true(column->i64[1] == strtoll(expected, NULL, 10)); break;
    case OZ_DOUBLE: {
        double v = strtod(expected, NULL);
        assert_memory_equal(&column->f64[1], &v, sizeof(v));
        break;
    }
    case OZ_BOOLEAN: assert_int_equal(column->boolean[1], !strcmp(expected, "true")); break;
    default: {
        assert_int_equal(expected[0], '\'');
        size_t len = unescape(expected + 1);
        assert_int_equal(column->str[1].len, len);
        assert_memory_equal(column->str[1].data, expected + 1, len);
    }
    }
}

static void test_vectors(void **state)
{
    (void)state;
    static const char *const stages[] = {"ok", "bad", "key", "time"};
    FILE *file = fopen(VECTORS, "r");
    assert_non_null(file);
    struct bench b;
    bench_init(&b, &schema);
    char *line = NULL;
    size_t cap = 0;
    int n_of[4] = {0};
    for (int n = 1; getline(&line, &cap, file) > 0; n++) {
        line[strcspn(line, "\n")] = '\0';
        char *rest = line, *record = strsep(&rest, "\t"), *stage = strsep(&rest, "\t");
        unsigned long long nulled = strtoull(strsep(&rest, "\t"), NULL, 10);
        size_t len = unescape(record);
        enum oz_status status = decode(&b, record, len);
        if (strcmp(stages[b.stage], stage))
            fail_msg("line %d: expected %s, got %s (%s)", n, stage, stages[b.stage], b.err.message);
        assert_int_equal(status, b.stage == OZ_DECODE_OK ? OZ_OK : OZ_RECORD);
        n_of[b.stage]++;
        if (status != OZ_OK) {
            assert_row_null(&b);
            continue;
        }
        assert_true(b.nulled == nulled);
        for (uint32_t f = 0; f < schema.n_fields; f++)
            check_cell(&b.table.column[f], strsep(&rest, "\t"));
        assert_null(rest);
    }
    for (int i = 0; i < 4; i++) assert_true(n_of[i] >= 5);
    free(line);
    fclose(file);
    bench_clear(&b);
}

static const struct refused {
    const char *record;
    enum oz_decode_stage stage;
    const char *message; /* a part of it */
} refused[] = {
    {"", OZ_DECODE_BAD, "empty"},
    {" \n", OZ_DECODE_BAD, "empty"},
    {"[]", OZ_DECODE_BAD, "at byte 0: expected an object"},
    {" 7", OZ_DECODE_BAD, "at byte 1: expected an object"},
    {"null", OZ_DECODE_BAD, "at byte 0"},
    {"\"text\"", OZ_DECODE_BAD, "at byte 0"},
    {"\xef\xbb\xbf{\"k\":\"a\",\"t\":\"2019-01-01\"}", OZ_DECODE_BAD, "byte order mark"},
    {"{\"k\":\"a\",\"t\":\"2019-01-01\"} {}", OZ_DECODE_BAD, "follows the record's closing brace"},
    {"{\"k\":\"a\",\"t\":\"2019-01-01\"}}", OZ_DECODE_BAD, "at byte 26"},
    {"{\"k\":\"a\",\"t\":\"2019-01-01\"},", OZ_DECODE_BAD, "closing brace"},
    {"{\"k\":\"a\",\"t\":\"2019-01-01\"", OZ_DECODE_BAD, "ends at byte 25 without a closing brace"},
    {"{\"k\":\"a\",\"t\":\"2019-01-01", OZ_DECODE_BAD, "text is not closed before byte 24"},
    {"{\"k\":\"a\" \"t\":\"2019-01-01\"}", OZ_DECODE_BAD, "comma, colon, quote or brace"},
    {"{\"k\":\"a\",}", OZ_DECODE_BAD, "comma, colon, quote or brace"},
    {"{\"k\" \"a\"}", OZ_DECODE_BAD, "comma, colon, quote or brace"},
    {"{\"k\":}", OZ_DECODE_BAD, "expected a value"},
    {"{k:1}", OZ_DECODE_BAD, "comma, colon, quote or brace"},
    {"{\"k\":\"a\nb\"}", OZ_DECODE_BAD, "control character"},
    {"{\"k\":\"a\xff\"}", OZ_DECODE_BAD, "not valid UTF-8 at byte 7"},
    {"{\"k\":\"a\xed\xa0\x80\"}", OZ_DECODE_BAD, "not valid UTF-8 at byte 7"},
    {"{\"k\":\"\\ud800\"}", OZ_DECODE_BAD, "at byte 5: an escape"},
    {"{\"k\":\"\\udc00\"}", OZ_DECODE_BAD, "at byte 5: an escape"},
    {"{\"k\":\"\\ud800\\u0041\"}", OZ_DECODE_BAD, "at byte 5: an escape"},
    {"{\"k\":\"\\x\"}", OZ_DECODE_BAD, "at byte 5: an escape"},
    {"{\"\\ud800\":1}", OZ_DECODE_BAD, "at byte 1: an escape"},
    {"{\"k\":\"a\",\"k\":\"b\"}", OZ_DECODE_BAD, "field \"k\" comes a second time at byte 9"},
    {"{\"k\":\"a\",\"\\u006b\":\"b\"}", OZ_DECODE_BAD, "field \"k\" comes a second time at byte 9"},
    {"{\"k\":7}", OZ_DECODE_BAD, "field \"k\": expected text, found a whole number at byte 5"},
    {"{\"k\":{}}", OZ_DECODE_BAD, "field \"k\": expected text, found an object at byte 5"},
    {"{\"k\":nul}", OZ_DECODE_BAD, "expected a value"},
    {"{\"l\":\"7\"}", OZ_DECODE_BAD,
     "expected a whole number between -2^63 and 2^63, both excluded, "
     "found text at byte 5"},
    {"{\"l\":7.0}", OZ_DECODE_BAD, "found a number with a point or an exponent"},
    {"{\"l\":7e0}", OZ_DECODE_BAD, "found a number with a point or an exponent"},
    {"{\"l\":-9223372036854775808}", OZ_DECODE_BAD, "field \"l\""},
    {"{\"l\":9223372036854775808}", OZ_DECODE_BAD, "field \"l\""},
    {"{\"l\":07}", OZ_DECODE_BAD, "not valid JSON at byte 5"},
    {"{\"l\":+7}", OZ_DECODE_BAD, "not valid JSON at byte 5"},
    {"{\"l\":7x}", OZ_DECODE_BAD, "not valid JSON at byte 5"},
    {"{\"l\":true}", OZ_DECODE_BAD, "found a boolean"},
    {"{\"d\":\"57.16\"}", OZ_DECODE_BAD, "field \"d\": expected a number, found text at byte 5"},
    {"{\"d\":NaN}", OZ_DECODE_BAD, "not valid JSON at byte 5"},
    {"{\"d\":nan}", OZ_DECODE_BAD, "not valid JSON at byte 5"},
    {"{\"d\":-inf}", OZ_DECODE_BAD, "not valid JSON at byte 5"},
    {"{\"d\":1.}", OZ_DECODE_BAD, "not valid JSON at byte 5"},
    {"{\"d\":.5}", OZ_DECODE_BAD, "not valid JSON at byte 5"},
    {"{\"d\":-}", OZ_DECODE_BAD, "not valid JSON at byte 5"},
    {"{\"b\":0}", OZ_DECODE_BAD, "field \"b\": expected true or false, found a whole number"},
    {"{\"b\":True}", OZ_DECODE_BAD, "not valid JSON at byte 5"},
    {"{\"t\":1514764800}", OZ_DECODE_BAD, "expected a time such as"},
    {"{\"t\":\"yesterday\"}", OZ_DECODE_BAD, "expected a time such as"},
    {"{\"t\":\"\"}", OZ_DECODE_BAD, "expected a time such as"},
    {"{\"ts\":\"2019-01-01\"}", OZ_DECODE_BAD, "whole number of seconds"},
    {"{\"ts\":9223372036854775807}", OZ_DECODE_BAD, "up to the year 9999"},
    {"{\"tm\":9223372036854775807}", OZ_DECODE_BAD, "up to the year 9999"},
    {"{\"tu\":9223372036854775807}", OZ_DECODE_BAD, "up to the year 9999"},
    {"{\"u\":[1,]}", OZ_DECODE_BAD, "expected a value"},
    {"{\"u\":[1 2]}", OZ_DECODE_BAD, "not valid JSON"},
    {"{\"u\":{\"a\":tru}}", OZ_DECODE_BAD, "expected a value"},
    {"{\"u\":[}]}", OZ_DECODE_BAD, "not valid JSON"},
    {"{\"u\":\"\\q\"}", OZ_DECODE_BAD, "an escape"},
    {"{\"t\":\"2019-01-01\"}", OZ_DECODE_KEY, "field \"k\": the key of the record is missing"},
    {"{\"k\":null,\"t\":\"2019-01-01\"}", OZ_DECODE_KEY,
     "field \"k\": the key of the record is null"},
    {"{\"k\":\"a\"}", OZ_DECODE_TIME, "field \"t\": the time of the record is missing"},
    {"{\"k\":\"a\",\"t\":null}", OZ_DECODE_TIME, "field \"t\": the time of the record is null"},
    {"{\"k\":\"a\",\"t\":\"2020-01-01T00:01:00.000001Z\"}", OZ_DECODE_TIME,
     "its time 2020-01-01T00:01:00.000001Z is more than 1m (max_future) ahead of the "
     "clock"},
};

static void test_refused(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, &schema);
    for (size_t i = 0; i < OZ_COUNT_OF(refused); i++) {
        const struct refused *r = &refused[i];
        enum oz_status status = decode(&b, r->record, strlen(r->record));
        if (status != OZ_RECORD || b.stage != r->stage || !strstr(b.err.message, r->message))
            fail_msg("%s: status %d, stage %d, message \"%s\", expected \"%s\"", r->record, status,
                     b.stage, b.err.message, r->message);
        assert_row_null(&b);
    }
    assert_int_equal(decode(&b, "{\"k\":\"\",\"t\":\"2020-01-01T00:01:00Z\"}", 35), OZ_OK);
    assert_int_equal(b.table.column[0].str[1].len, 0);
    assert_non_null(b.table.column[0].str[1].data);
    bench_clear(&b);
}

/* A tail of NUL bytes, or one inside, is no part of a record. */
static void test_nul_bytes(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, &schema);
    char record[] = "{\"k\":\"a\",\"t\":\"2019-01-01\",\"l\":7 }";
    size_t len = sizeof(record) - 1;
    assert_int_equal(decode(&b, record, len), OZ_OK);
    assert_int_equal(decode(&b, record, len + 1), OZ_RECORD);
    record[len - 2] = '\0';
    assert_int_equal(decode(&b, record, len), OZ_RECORD);
    bench_clear(&b);
}

static void test_limits(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, &schema);
    struct oz_buf buf;
    oz_buf_init(&buf);
    for (int over = 0; over < 2; over++) { /* exactly the limit, and a byte more */
        oz_buf_reset(&buf);
        oz_buf_puts(&buf, "{\"t\":\"2019-01-01\",\"k\":\"");
        while (buf.len < OZ_RECORD_BYTES_MAX - 2 + (size_t)over) oz_buf_put_u8(&buf, 'x');
        oz_buf_puts(&buf, "\"}");
        assert_int_equal(decode(&b, (char *)buf.data, buf.len), over ? OZ_RECORD : OZ_OK);
        if (over)
            assert_non_null(strstr(b.err.message, "more than 1048576 bytes"));
        else
            assert_int_equal(b.table.column[0].str[1].len, OZ_RECORD_BYTES_MAX - 25);
    }
    /* The record's own object is level 1. */
    for (int depth = OZ_RECORD_DEPTH_MAX; depth <= OZ_RECORD_DEPTH_MAX + 1; depth++) {
        oz_buf_reset(&buf);
        oz_buf_puts(&buf, "{\"t\":\"2019-01-01\",\"k\":\"\",\"u\":");
        for (int i = 1; i < depth; i++) oz_buf_put_u8(&buf, '[');
        for (int i = 1; i < depth; i++) oz_buf_put_u8(&buf, ']');
        oz_buf_puts(&buf, "}");
        bool over = depth > OZ_RECORD_DEPTH_MAX;
        assert_int_equal(decode(&b, (char *)buf.data, buf.len), over ? OZ_RECORD : OZ_OK);
        if (over) assert_non_null(strstr(b.err.message, "nested deeper than 64 at byte"));
    }
    oz_buf_reset(&buf); /* an open bracket for each byte that a record may have */
    oz_buf_puts(&buf, "{\"u\":");
    while (buf.len < OZ_RECORD_BYTES_MAX - 1) oz_buf_put_u8(&buf, '[');
    oz_buf_puts(&buf, "}");
    assert_int_equal(decode(&b, (char *)buf.data, buf.len), OZ_RECORD);
    oz_buf_clear(&buf);
    bench_clear(&b);
}

static const char whole[] =
    "{\"k\":\"\\u00e9\\n\",\"t\":\"2019-01-01T10:00:00Z\",\"l\":-12,\"d\":5.25e1,"
    "\"b\":true,\"s\":\"x\",\"u\":{\"v\":[1,\"\\\\\"]},\"ts\":15,\"tm\":null}";

/* A damaged record either fails with a null row or gives a row; which of the two, test_vectors
 * says. */
static void test_damage(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, &schema);
    size_t len = sizeof(whole) - 1, n_ok = 0, n_failed = 0;
    char record[sizeof(whole)];
    assert_int_equal(decode(&b, whole, len), OZ_OK);
    for (size_t cut = 0; cut < len; cut++) assert_int_equal(decode(&b, whole, cut), OZ_RECORD);
    for (size_t at = 0; at < len; at++)
        for (int c = 0; c < 256; c++) {
            memcpy(record, whole, len);
            record[at] = (char)c;
            bool ok = decode(&b, record, len) == OZ_OK;
            ok ? n_ok++ : n_failed++;
            if (!ok) assert_row_null(&b);
            assert_true(ok == (b.stage == OZ_DECODE_OK));
        }
    assert_true(n_ok > len && n_failed > 100 * len);
    bench_clear(&b);
}

/* Fields are found in whatever order they come, also when the order changes in between. */
static void test_orders(void **state)
{
    (void)state;
    enum { N = OZ_FIELDS_MAX };
    static char name[N][16];
    static struct oz_field field[N];
    struct oz_buf buf;
    oz_buf_init(&buf);
    for (int f = 0; f < N; f++) {
        snprintf(name[f], sizeof(name[f]), "f%d", f);
        field[f] = (struct oz_field){name[f], OZ_LONG, 0};
    }
    struct oz_schema wide = {.name = "wide", .field = field, .n_fields = N, .key = -1, .time = -1};
    struct bench b;
    bench_init(&b, &wide);
    for (int round = 0; round < 6; round++) {
        static const int steps[] = {1, 1, 255, 77, 3, 1};
        oz_buf_reset(&buf);
        for (int i = 0; i < N; i++) {
            int f = (i * steps[round] + round) % N;
            oz_buf_printf(&buf, "%s\"f%d\":%d", i ? "," : "{", f, 1000 * round + f);
            if (i % 7 == round) oz_buf_printf(&buf, ",\"f%dx\":0", f);
        }
        oz_buf_puts(&buf, "}");
        assert_int_equal(decode(&b, (char *)buf.data, buf.len), OZ_OK);
        for (int f = 0; f < N; f++) assert_int_equal(b.table.column[f].i64[1], 1000 * round + f);
    }
    oz_buf_clear(&buf);
    bench_clear(&b);
}

/* A name that JSON can only write with escapes must not be taken for what it looks like: \b is one
 * character there, not two. */
static void test_escaped_names(void **state)
{
    (void)state;
    static const struct oz_field field[] = {{"a\\b", OZ_LONG, 0}, {"c", OZ_LONG, 0}};
    static const struct oz_schema odd = {.field = field, .n_fields = 2, .key = -1, .time = -1};
    struct bench b;
    bench_init(&b, &odd);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(decode(&b, "{\"a\\b\":1,\"c\":2}", 15), OZ_OK);
        assert_true(b.table.column[0].i64[1] == OZ_NULL_LONG && b.table.column[1].i64[1] == 2);
        assert_int_equal(decode(&b, "{\"a\\\\b\":1,\"c\":2}", 16), OZ_OK);
        assert_true(b.table.column[0].i64[1] == 1 && b.table.column[1].i64[1] == 2);
    }
    bench_clear(&b);
}

static void test_no_allocation_when_warm(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, &schema);
    assert_int_equal(oz_decode(b.decoder, whole, sizeof(whole) - 1, NOW_US, &b.table, 0, &b.arena,
                               &b.stage, &b.nulled, &b.err),
                     OZ_OK);
    uint64_t before = oz_allocations();
    for (int i = 0; i < 1000; i++) {
        oz_arena_reset(&b.arena);
        assert_int_equal(oz_decode(b.decoder, whole, sizeof(whole) - 1, NOW_US, &b.table, 0,
                                   &b.arena, &b.stage, &b.nulled, &b.err),
                         OZ_OK);
        assert_int_equal(oz_decode(b.decoder, whole, 40, NOW_US, &b.table, 1, &b.arena, &b.stage,
                                   &b.nulled, &b.err),
                         OZ_RECORD);
    }
    assert_true(oz_allocations() == before);
    bench_clear(&b);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct oz_decoder *decoder;
    struct oz_error err;
    for (uint64_t n = 1;; n++) {
        oz_fail_allocation(n);
        enum oz_status status = oz_json_decoder_new(&schema, &decoder, &err);
        oz_fail_allocation(0);
        if (status == OZ_OK) break;
        assert_int_equal(status, OZ_NO_MEMORY);
    }
    oz_decoder_free(decoder);
    struct bench b;
    bench_init(&b, &schema);
    oz_fail_allocation(1); /* the arena's first block */
    assert_int_equal(oz_decode(b.decoder, whole, sizeof(whole) - 1, NOW_US, &b.table, 1, &b.arena,
                               &b.stage, &b.nulled, &b.err),
                     OZ_NO_MEMORY);
    oz_fail_allocation(0);
    assert_row_null(&b);
    bench_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),       cmocka_unit_test(test_refused),
        cmocka_unit_test(test_nul_bytes),     cmocka_unit_test(test_limits),
        cmocka_unit_test(test_damage),        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_escaped_names), cmocka_unit_test(test_no_allocation_when_warm),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
