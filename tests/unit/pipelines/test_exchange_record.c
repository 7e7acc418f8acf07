/* Proves that what an exchange topic carries comes back as it was, and nothing else comes at all.
 * How: random rows of every type, nulls and extremes among them, are written, parsed and compared
 * cell by cell; two records are compared with bytes put together by hand from the layout in the
 * header; every cut, every flipped bit and every record of another definition is refused. */
#include "pipelines/run/exchange_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/hash.h"

enum { ROWS = 3, ROUNDS = 3000 };

static const struct oz_field field[] = {
    {"id", OZ_LONG, 0},     {"at", OZ_TIMESTAMP, 0}, {"amount", OZ_DOUBLE, 0},
    {"bad", OZ_BOOLEAN, 0}, {"card", OZ_STRING, 0},
};
static const struct oz_schema tx = {.name = "tx", .field = field, .n_fields = 5, .scored = true};
static const struct oz_schema labels = {.name = "labels", .field = field, .n_fields = 2};
static const struct oz_schema *const schema[] = {&labels, &tx};
static const uint32_t entity[] = {2, 0}, aggregate[] = {3, 1};
static const struct oz_exchange_shape shape = {.hash = 0x1122334455667788,
                                               .n_sources = 2,
                                               .n_partitions = 300,
                                               .scored_source = 1,
                                               .schema = schema,
                                               .entity = entity,
                                               .aggregate = aggregate,
                                               .n_entities = 2,
                                               .n_aggregates = 2};

struct rows { /* of a batch: the table of each source, and what goes by number */
    struct oz_table table[2];
    double value[4][ROWS], *aggregate[4];
    uint8_t flags[3][ROWS], *push_flags[3];
};

static void rows_init(struct rows *r)
{
    memset(r, 0, sizeof *r);
    for (int s = 0; s < 2; s++)
        assert_int_equal(oz_table_init(&r->table[s], schema[s], ROWS, NULL), OZ_OK);
    for (int i = 0; i < 4; i++) r->aggregate[i] = r->value[i];
    for (int i = 0; i < 3; i++) r->push_flags[i] = r->flags[i];
}

static void rows_clear(struct rows *r)
{
    for (int s = 0; s < 2; s++) oz_table_clear(&r->table[s]);
}

static struct oz_exchange_row row_of(struct rows *r, uint32_t source, uint32_t row)
{
    return (struct oz_exchange_row){&r->table[source], row, row, r->aggregate, r->push_flags};
}

static uint64_t seed = 1;
static uint64_t any(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return seed ^ seed >> 29;
}

static int64_t any_long(void)
{
    static const int64_t edge[] = {OZ_NULL_LONG, INT64_MIN + 1, INT64_MAX, 0, -1, 1};
    uint64_t r = any();
    return r & 1 ? edge[r / 2 % OZ_COUNT_OF(edge)] : (int64_t)any() >> (r >> 8 & 63);
}

static double any_double(void)
{
    uint64_t bits = any() % 5 ? any() : 0x7ff8000000000001;
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static void fill(struct rows *r, uint32_t source, uint32_t row)
{
    static const char text[] = "c1\0234567890 with a zero byte in it and rather long";
    struct oz_column *col = r->table[source].column;
    col[0].i64[row] = any_long();
    col[1].i64[row] = any_long();
    if (source == 0) return;
    col[2].f64[row] = any_double();
    col[3].boolean[row] = (uint8_t)(any() % 3);
    uint32_t len = (uint32_t)(any() % sizeof text);
    col[4].str[row] = (struct oz_str){any() % 4 ? text : NULL, len};
    if (!col[4].str[row].data) col[4].str[row].len = 0;
    for (int i = 0; i < 4; i++) r->value[i][row] = any_double();
    for (int i = 0; i < 3; i++) r->flags[i][row] = (uint8_t)any();
}

static bool same_text(const char *a, uint32_t a_len, const char *b, uint32_t b_len)
{
    return !a == !b && a_len == b_len && (!a || !memcmp(a, b, a_len));
}

static void test_events_come_back(void **state)
{
    (void)state;
    struct rows from, to;
    struct oz_buf buf = {0};
    rows_init(&from);
    rows_init(&to);
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t source = any() % 2, row = any() % ROWS;
        struct oz_record rec = {.source = source,
                                .partition = (uint32_t)(any() % 300),
                                .offset = (int64_t)(any() >> (1 + any() % 63)),
                                .timestamp_ms = any_long(),
                                .merge_ms = any_long(),
                                .lane = (uint32_t)(any() % 300),
                                .key = any() % 3 ? "key" : NULL};
        rec.key_len = rec.key ? (uint32_t)(any() % 4) : 0;
        fill(&from, source, row);
        fill(&to, source, row);
        struct oz_exchange_row in = row_of(&from, source, row), out = row_of(&to, source, row);
        oz_buf_reset(&buf);
        oz_exchange_put_event(&shape, &rec, &in, &buf);

        struct oz_record got;
        struct oz_exchange_marks marks;
        enum oz_exchange_kind kind;
        assert_int_equal(oz_exchange_parse(&shape, buf.data, buf.len, &kind, &got, &marks, NULL),
                         OZ_OK);
        assert_int_equal(kind, OZ_EXCHANGE_EVENT);
        assert_int_equal(oz_exchange_read_body(&shape, &got, &out, NULL), OZ_OK);
        assert_true(got.source == rec.source && got.partition == rec.partition &&
                    got.offset == rec.offset && got.timestamp_ms == rec.timestamp_ms &&
                    got.merge_ms == rec.merge_ms && got.lane == rec.lane);
        assert_true(same_text(got.key, got.key_len, rec.key, rec.key_len));
        const struct oz_column *a = from.table[source].column, *b = to.table[source].column;
        assert_true(a[0].i64[row] == b[0].i64[row] && a[1].i64[row] == b[1].i64[row]);
        if (source == 0) continue;
        assert_memory_equal(&a[2].f64[row], &b[2].f64[row], 8);
        assert_int_equal(a[3].boolean[row], b[3].boolean[row]);
        assert_true(same_text(a[4].str[row].data, a[4].str[row].len, b[4].str[row].data,
                              b[4].str[row].len));
        for (int k = 0; k < 2; k++) {
            assert_memory_equal(&from.value[aggregate[k]][row], &to.value[aggregate[k]][row], 8);
            assert_int_equal(from.flags[entity[k]][row], to.flags[entity[k]][row]);
        }
    }
    oz_buf_clear(&buf);
    rows_clear(&from);
    rows_clear(&to);
}

/* A record of the source that is not scored, and one mark. */
static void put_label(struct rows *r, struct oz_buf *buf)
{
    struct oz_record rec = {.source = 0,
                            .partition = 200,
                            .offset = 5,
                            .timestamp_ms = -2,
                            .merge_ms = 3,
                            .lane = 1,
                            .key = "k",
                            .key_len = 1};
    r->table[0].column[0].i64[0] = 7;
    r->table[0].column[1].i64[0] = OZ_NULL_LONG;
    struct oz_exchange_row row = row_of(r, 0, 0);
    oz_exchange_put_event(&shape, &rec, &row, buf);
}

static void put_mark(struct oz_buf *buf)
{
    const uint32_t lane[] = {258};
    const struct oz_lane_mark mark[] = {{-1, {2, 3, 4, 5}, true}};
    oz_exchange_put_marks(&shape, lane, mark, 1, buf);
}

static void check_bytes(const struct oz_buf *buf, const void *want, size_t len)
{
    uint32_t crc = oz_crc32c(want, len);
    assert_int_equal(buf->len, len + 4);
    assert_memory_equal(buf->data, &crc, 4);
    assert_memory_equal(buf->data + 4, want, len);
}

static void test_bytes_are_as_documented(void **state)
{
    (void)state;
    struct rows r;
    struct oz_buf buf = {0};
    rows_init(&r);
    put_label(&r, &buf);
    static const char event[] =
        "\x01\x01\x88\x77\x66\x55\x44\x33\x22\x11"      /* version, kind, shape */
        "\x01\x00\xc8\x01\x05"                          /* lane, source, partition 200, offset */
        "\x03\x06\x02k"                                 /* times -2 and 3, key */
        "\x0e\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"; /* 7, null */
    check_bytes(&buf, event, sizeof event - 1);
    oz_buf_reset(&buf);
    put_mark(&buf);
    static const char marks[] = "\x01\x02\x88\x77\x66\x55\x44\x33\x22\x11"
                                "\x01\0\0\0\x02\x01\0\0\x01"       /* one; lane 258; at its end */
                                "\xff\xff\xff\xff\xff\xff\xff\xff" /* clock -1 */
                                "\x02\0\0\0\0\0\0\0\x03\0\0\0\x04\0\0\0\x05\0\0\0\0\0\0";
    check_bytes(&buf, marks, sizeof marks);
    oz_buf_clear(&buf);
    rows_clear(&r);
}

static enum oz_status parse(const struct oz_exchange_shape *as, const void *bytes, size_t len,
                            struct rows *r)
{
    struct oz_record rec;
    struct oz_exchange_marks marks;
    enum oz_exchange_kind kind;
    struct oz_error err = {0};
    enum oz_status status = oz_exchange_parse(as, bytes, len, &kind, &rec, &marks, &err);
    if (status == OZ_OK && kind == OZ_EXCHANGE_EVENT) {
        struct oz_exchange_row row = row_of(r, rec.source, 0);
        status = oz_exchange_read_body(as, &rec, &row, &err);
    }
    assert_true(status == OZ_OK || err.message[0]);
    return status;
}

/* With a checksum that fits, so that what is behind it is looked at too. */
static enum oz_status parse_closed(void *bytes, size_t len, struct rows *r)
{
    uint32_t crc = oz_crc32c((char *)bytes + 4, len - 4);
    memcpy(bytes, &crc, 4);
    return parse(&shape, bytes, len, r);
}

static void test_damaged_records_are_refused(void **state)
{
    (void)state;
    struct rows r;
    struct oz_buf buf = {0};
    rows_init(&r);
    for (int kind = 0; kind < 2; kind++) {
        oz_buf_reset(&buf);
        if (kind)
            put_mark(&buf);
        else
            put_label(&r, &buf);
        assert_int_equal(parse(&shape, buf.data, buf.len, &r), OZ_OK);
        for (size_t bit = 0; bit < buf.len * 8; bit++) {
            buf.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(parse(&shape, buf.data, buf.len, &r), OZ_CORRUPT);
            buf.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        uint8_t *copy = oz_malloc(buf.len + 1);
        memcpy(copy, buf.data, buf.len);
        for (size_t len = 0; len < buf.len; len++) {
            assert_int_equal(parse(&shape, buf.data, len, &r), OZ_CORRUPT);
            if (len >= 14) assert_int_equal(parse_closed(copy, len, &r), OZ_CORRUPT);
        }
        copy[buf.len] = 0;
        assert_int_equal(parse_closed(copy, buf.len + 1, &r), OZ_CORRUPT); /* a byte too many */
        memcpy(copy, buf.data, buf.len);
        copy[5] = 3; /* kind */
        assert_int_equal(parse_closed(copy, buf.len, &r), OZ_CORRUPT);
        copy[4] = 2; /* version */
        assert_int_equal(parse_closed(copy, buf.len, &r), OZ_STATE);
        oz_free(copy);
        struct oz_exchange_shape other = shape;
        other.hash++;
        assert_int_equal(parse(&other, buf.data, buf.len, &r), kind ? OZ_OK : OZ_STATE);
        other = shape;
        other.n_partitions = kind ? 258 : 200; /* the lane, the partition lie outside */
        assert_int_equal(parse(&other, buf.data, buf.len, &r), OZ_CORRUPT);
    }
    oz_buf_clear(&buf);
    rows_clear(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_come_back),
        cmocka_unit_test(test_bytes_are_as_documented),
        cmocka_unit_test(test_damaged_records_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
