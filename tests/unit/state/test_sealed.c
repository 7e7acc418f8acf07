/* Sealed sets and the bytes of parts. The golden bytes were made by an independent CRC-32C and
 * struct packing in Python (golden_parts.py beside this file); every single flipped bit of a value,
 * and every cut, must be noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "state/sealed.h"
#include "state/store.h"

static const uint8_t golden_value[] = {0x1b, 0xc3, 0x3d, 0x8d, 0x01, 0x00, 0x07,
                                       0x00, 'h',  'e',  'l',  'l',  'o'};
static const uint8_t golden_key[] = {0, 3, 'c', '4', '2', 0, 0, 1, 2};
static const uint8_t golden_positions[] = {
    0x50, 0x4d, 0xa2, 0xd1, 0x01, 0x00, 0xfe, 0x00, 0x04, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00,
    0x00, 0x01, 0x00, 0x00, 0x00, 0x2c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xb0,
    0x1c, 0x19, 0xd0, 0x71, 0x05, 0x00, 0x99, 0x49, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x4d, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};

static void seal_hello(struct oz_sealed *sealed)
{
    oz_sealed_row(sealed, 3, 9, "c42", 3, 7);
    struct oz_buf *buf = oz_sealed_begin(sealed, 258, NULL);
    assert_non_null(buf);
    oz_buf_puts(buf, "hello");
    assert_int_equal(oz_sealed_end(sealed, NULL), OZ_OK);
}

static void test_golden(void **state)
{
    (void)state;
    struct oz_sealed sealed;
    oz_sealed_init(&sealed);
    for (int round = 0; round < 2; round++) { /* a reset set is as a new one */
        seal_hello(&sealed);
        assert_int_equal(oz_sealed_delete(&sealed, 0, NULL), OZ_OK);
        assert_int_equal(sealed.n_parts, 2);
        const struct oz_part *p = sealed.part;
        assert_int_equal(p->entity, 3);
        assert_int_equal(p->partition, 9);
        assert_false(p->deleted);
        assert_int_equal(p->key_len, sizeof golden_key);
        assert_memory_equal(sealed.bytes.data + p->key_at, golden_key, sizeof golden_key);
        assert_int_equal(p->value_len, sizeof golden_value);
        assert_memory_equal(sealed.bytes.data + p->value_at, golden_value, sizeof golden_value);
        assert_true(p[1].deleted);
        assert_int_equal(p[1].value_len, 0);
        assert_memory_equal(sealed.bytes.data + p[1].key_at, "\0\3c42\0\0\0\0", 9);
        oz_sealed_reset(&sealed);
        assert_int_equal(sealed.n_parts, 0);
    }
    oz_sealed_clear(&sealed);
}

static void test_open(void **state)
{
    (void)state;
    const uint8_t *payload;
    size_t len;
    struct oz_error err;
    assert_int_equal(oz_part_open(golden_value, sizeof golden_value, 7, &payload, &len, &err), 0);
    assert_int_equal(len, 5);
    assert_memory_equal(payload, "hello", 5);
    assert_int_equal(oz_part_check(golden_value, sizeof golden_value, &err), OZ_OK);
    assert_int_equal(oz_part_open(golden_value, sizeof golden_value, 8, &payload, &len, &err),
                     OZ_CORRUPT);
    assert_non_null(strstr(err.message, "layout 7, expected 8"));

    uint8_t bad[sizeof golden_value];
    for (size_t bit = 0; bit < 8 * sizeof bad; bit++) {
        memcpy(bad, golden_value, sizeof bad);
        bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(oz_part_open(bad, sizeof bad, 7, &payload, &len, &err), OZ_CORRUPT);
    }
    for (size_t cut = 0; cut < sizeof bad; cut++)
        assert_int_equal(oz_part_open(golden_value, cut, 7, &payload, &len, &err), OZ_CORRUPT);

    memcpy(bad, golden_value, sizeof bad);
    oz_part_close(bad, sizeof bad, 7);
    assert_memory_equal(bad, golden_value, sizeof bad);
}

static void test_key_parse(void **state)
{
    (void)state;
    const char *key;
    uint32_t key_len, part;
    struct oz_error err;
    assert_int_equal(oz_part_key_parse(golden_key, 9, &key, &key_len, &part, &err), OZ_OK);
    assert_int_equal(key_len, 3);
    assert_memory_equal(key, "c42", 3);
    assert_int_equal(part, 258);
    static const uint8_t meta[6];
    assert_int_equal(oz_part_key_parse(meta, 6, &key, &key_len, &part, &err), OZ_OK);
    assert_int_equal(key_len, 0);
    for (size_t cut = 0; cut < sizeof golden_key; cut++)
        assert_int_equal(oz_part_key_parse(golden_key, cut, &key, &key_len, &part, &err),
                         OZ_CORRUPT);
    static const uint8_t part_of_empty[6] = {0, 0, 0, 0, 0, 1}, longer[7] = {0};
    assert_int_equal(oz_part_key_parse(part_of_empty, 6, &key, &key_len, &part, &err), OZ_CORRUPT);
    assert_int_equal(oz_part_key_parse(longer, 7, &key, &key_len, &part, &err), OZ_CORRUPT);
    uint8_t *huge = oz_calloc(1, 0x1001 + 6);
    huge[0] = 0x10, huge[1] = 0x01; /* 4097 */
    assert_int_equal(oz_part_key_parse(huge, 0x1001 + 6, &key, &key_len, &part, &err), OZ_CORRUPT);
    huge[1] = 0;
    assert_int_equal(oz_part_key_parse(huge, 0x1000 + 6, &key, &key_len, &part, &err), OZ_OK);
    oz_free(huge);
}

static void test_positions(void **state)
{
    (void)state;
    struct oz_positions pos, read;
    struct oz_error err;
    assert_int_equal(oz_positions_init(&pos, 4, 2, 1, &err), OZ_OK);
    assert_int_equal(pos.source[7], OZ_NO_OFFSET);
    assert_int_equal(pos.changelog[3], OZ_NO_OFFSET);
    pos.epoch = 812;
    pos.time_us = INT64_C(1532513472000000);
    pos.source[2 * 2] = 18841;
    pos.changelog[2] = 77;
    struct oz_buf buf;
    oz_buf_init(&buf);
    oz_positions_encode(&pos, 2, &buf);
    assert_int_equal(buf.len, sizeof golden_positions);
    assert_memory_equal(buf.data, golden_positions, buf.len);

    assert_int_equal(oz_positions_init(&read, 4, 2, 1, &err), OZ_OK);
    assert_int_equal(oz_positions_decode(&read, 2, buf.data, buf.len, &err), OZ_OK);
    assert_memory_equal(read.source, pos.source, 8 * sizeof *pos.source);
    assert_memory_equal(read.changelog, pos.changelog, 4 * sizeof *pos.changelog);
    assert_int_equal(read.epoch, 812);
    assert_true(read.time_us == pos.time_us);
    for (size_t cut = 0; cut < buf.len; cut++) {
        uint8_t bytes[sizeof golden_positions] = {0};
        memcpy(bytes, buf.data, buf.len);
        if (cut >= OZ_PART_HEADER_BYTES) oz_part_close(bytes, cut, OZ_STORE_OFFSETS);
        assert_int_equal(oz_positions_decode(&read, 2, bytes, cut, &err), OZ_CORRUPT);
    }
    oz_positions_clear(&read);
    assert_int_equal(oz_positions_init(&read, 8, 2, 1, &err), OZ_OK);
    assert_int_equal(oz_positions_decode(&read, 2, buf.data, buf.len, &err), OZ_STATE);
    assert_non_null(strstr(err.message, "4 partitions"));
    oz_positions_clear(&read);
    oz_positions_clear(&pos);
    oz_buf_clear(&buf);
    assert_int_equal(oz_positions_init(&pos, OZ_PARTITIONS_MAX + 1, 1, 1, &err), OZ_CONFIG);
    assert_int_equal(oz_positions_init(&pos, 0, 1, 1, &err), OZ_CONFIG);
}

/* Whichever allocation fails, the set stays usable and what was sealed before is still there. */
static void test_no_memory(void **state)
{
    (void)state;
    bool went_through = false;
    for (uint64_t nth = 1; nth < 50 && !went_through; nth++) {
        struct oz_sealed sealed;
        oz_sealed_init(&sealed);
        seal_hello(&sealed);
        oz_fail_allocation(nth);
        went_through = true;
        for (uint32_t part = 0; part < 40 && went_through; part++) {
            struct oz_buf *buf = oz_sealed_begin(&sealed, part, NULL);
            if (buf) oz_buf_puts(buf, "some payload of a part");
            went_through = buf && oz_sealed_end(&sealed, NULL) == OZ_OK;
        }
        oz_fail_allocation(0);
        assert_memory_equal(sealed.bytes.data + sealed.part->value_at, golden_value, 13);
        oz_sealed_reset(&sealed);
        seal_hello(&sealed);
        assert_int_equal(sealed.n_parts, 1);
        oz_sealed_clear(&sealed);
    }
    assert_true(went_through);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_open),
                                       cmocka_unit_test(test_key_parse),
                                       cmocka_unit_test(test_positions),
                                       cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
