/* Any bytes as a JSON record: no crash, no read beyond the record, a null row when it is refused, a
 * key and a time when it is not, and the same answer from a decoder that has seen other records
 * before. Seeds: tests/fuzz/seeds/json. */
#include "stream/codec.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct oz_field field[] = {
    {"k", OZ_STRING, 0},
    {"t", OZ_TIMESTAMP, OZ_TIME_ISO},
    {"l", OZ_LONG, 0},
    {"d", OZ_DOUBLE, 0},
    {"b", OZ_BOOLEAN, 0},
    {"ts", OZ_TIMESTAMP, OZ_TIME_SECONDS},
    {"tm", OZ_TIMESTAMP, OZ_TIME_MILLIS},
};
static const struct oz_schema schema = {
    .name = "fuzz", .field = field, .n_fields = OZ_COUNT_OF(field), .key = 0, .time = 1};
enum { SEEN, FRESH };

static void must(bool condition)
{
    if (!condition) abort();
}

static enum oz_status decode(struct oz_decoder *decoder, struct oz_table *table,
                             struct oz_arena *arena, const uint8_t *data, size_t size)
{
    enum oz_decode_stage stage;
    uint64_t nulled;
    struct oz_error err = {0};
    enum oz_status status = oz_decode(decoder, (const char *)data, size, INT64_C(1577836800000000),
                                      table, 0, arena, &stage, &nulled, &err);
    must((status == OZ_OK) == (stage == OZ_DECODE_OK) && (status == OZ_OK || err.message[0]));
    const struct oz_str *key = &table->column[0].str[0];
    must((key->data != NULL) == (status == OZ_OK));
    must((table->column[1].i64[0] != OZ_NULL_LONG) == (status == OZ_OK));
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct oz_decoder *seen;
    static struct oz_table table[2];
    static struct oz_arena arena;
    if (!seen) {
        must(!oz_json_decoder_new(&schema, &seen, NULL));
        for (int i = 0; i < 2; i++) must(!oz_table_init(&table[i], &schema, 1, NULL));
        oz_arena_init(&arena, 1 << 16);
    }
    struct oz_decoder *fresh;
    must(!oz_json_decoder_new(&schema, &fresh, NULL));
    oz_arena_reset(&arena);
    enum oz_status status = decode(seen, &table[SEEN], &arena, data, size);
    must(decode(fresh, &table[FRESH], &arena, data, size) == status);
    const struct oz_str *a = table[SEEN].column[0].str, *b = table[FRESH].column[0].str;
    must(a->len == b->len && (!a->len || !memcmp(a->data, b->data, a->len)));
    must(!memcmp(table[SEEN].column[2].i64, table[FRESH].column[2].i64, sizeof(int64_t)));
    must(!memcmp(table[SEEN].column[3].f64, table[FRESH].column[3].f64, sizeof(double)));
    oz_decoder_free(fresh);
    return 0;
}
