/* Records of an exchange topic and the stored state of its lanes: any bytes give a status and never
 * a read outside of them. The first byte chooses; the rest is put into a block of exactly its size.
 * What is accepted says the same when it is written again: an event and its columns as bytes that
 * parse to the same event, a state as itself. */
#include <string.h>
#include "base/hash.h"
#include "pipelines/run/exchange_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LANES = 3 };

static const struct oz_field field[] = {
    {"id", OZ_LONG, 0},     {"at", OZ_TIMESTAMP, 0}, {"amount", OZ_DOUBLE, 0},
    {"bad", OZ_BOOLEAN, 0}, {"card", OZ_STRING, 0},
};
static const struct oz_schema tx = {.name = "tx", .field = field, .n_fields = 5, .scored = true};
static const struct oz_schema labels = {.name = "labels", .field = field, .n_fields = 2};
static const struct oz_schema *const schema[] = {&labels, &tx};
static const uint32_t entity[] = {0}, aggregate[] = {1};
static const struct oz_exchange_shape shape = {.hash = 1,
                                               .n_sources = 2,
                                               .n_partitions = LANES,
                                               .scored_source = 1,
                                               .schema = schema,
                                               .entity = entity,
                                               .aggregate = aggregate,
                                               .n_entities = 1,
                                               .n_aggregates = 1};

/* Writing is exact, reading takes longer varints too: the second writing is the first one. */
static void write_again(const struct oz_record *rec, const struct oz_exchange_row *row)
{
    struct oz_buf one = {0}, two = {0};
    struct oz_record again;
    struct oz_exchange_marks marks;
    enum oz_exchange_kind kind;
    oz_exchange_put_event(&shape, rec, row, &one);
    if (!one.failed) {
        OZ_ASSERT(!oz_exchange_parse(&shape, one.data, one.len, &kind, &again, &marks, NULL));
        OZ_ASSERT(kind == OZ_EXCHANGE_EVENT && !oz_exchange_read_body(&shape, &again, row, NULL));
        oz_exchange_put_event(&shape, &again, row, &two);
        OZ_ASSERT(two.failed || (two.len == one.len && !memcmp(one.data, two.data, one.len)));
    }
    oz_buf_clear(&one);
    oz_buf_clear(&two);
}

static void fuzz_record(const uint8_t *bytes, size_t len)
{
    struct oz_record rec;
    struct oz_exchange_marks marks;
    enum oz_exchange_kind kind;
    struct oz_error err;
    if (oz_exchange_parse(&shape, bytes, len, &kind, &rec, &marks, &err)) return;
    uint32_t lane, n = 0;
    struct oz_lane_mark mark;
    if (kind == OZ_EXCHANGE_MARKS) {
        for (; oz_exchange_next_mark(&marks, &lane, &mark); n++) OZ_ASSERT(lane < LANES);
        OZ_ASSERT(n <= LANES);
        return;
    }
    struct oz_table table;
    double value[2], *aggregates[] = {&value[0], &value[1]};
    uint8_t flags, *push_flags[] = {&flags};
    if (oz_table_init(&table, schema[rec.source], 1, NULL)) return;
    struct oz_exchange_row row = {&table, 0, 0, aggregates, push_flags};
    if (oz_exchange_read_body(&shape, &rec, &row, &err) == OZ_OK) write_again(&rec, &row);
    oz_table_clear(&table);
}

static void fuzz_lanes(const uint8_t *bytes, size_t len)
{
    struct oz_lanes lanes;
    struct oz_error err;
    struct oz_lane_key floor;
    if (oz_lanes_init(&lanes, LANES, NULL)) return;
    if (oz_lanes_restart(&lanes, bytes, len, &err) == OZ_OK && len) {
        struct oz_buf again = {0};
        oz_lanes_encode(&lanes, &again);
        OZ_ASSERT(again.failed || (again.len == len && !memcmp(again.data, bytes, len)));
        (void)oz_lanes_floor(&lanes, &floor);
        oz_buf_clear(&again);
    }
    oz_lanes_clear(&lanes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    size_t len = size - 1;
    uint8_t *bytes = oz_malloc(len);
    if (!bytes) return 0;
    memcpy(bytes, data + 1, len);
    if (data[0] % 4 == 0) {
        fuzz_lanes(bytes, len);
    } else {
        if (data[0] % 4 > 1 &&
            len >= OZ_EXCHANGE_HEAD_BYTES) { /* so that it gets behind the head */
            uint64_t hash = shape.hash;
            bytes[4] = OZ_EXCHANGE_VERSION;
            bytes[5] = data[0] % 4 == 2 ? OZ_EXCHANGE_EVENT : OZ_EXCHANGE_MARKS;
            memcpy(bytes + 6, &hash, sizeof hash);
            uint32_t crc = oz_crc32c(bytes + 4, len - 4);
            memcpy(bytes, &crc, sizeof crc);
        }
        fuzz_record(bytes, len);
    }
    oz_free(bytes);
    return 0;
}
