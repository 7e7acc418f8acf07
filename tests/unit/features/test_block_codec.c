/* Proves that a block's bytes give its events back, in every form that a value, an id or a time
 * has, and how many bytes each form takes; that cut or wrong bytes are refused with a message. The
 * expected sizes are counted by hand from the format in features/block_codec.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "features/block_codec.h"
#include "features/row.h"

enum { N = 16 };

struct fixture {
    struct oz_arena arena;
    struct oz_row_layout *layout;
    uint8_t *entry;
    struct oz_buf buf;
};

/* One value of the kind in a ring with ids of so many bytes; all uses, so that every column is
 * there. */
static void setup(struct fixture *f, enum oz_value_kind kind, bool nullable, int id_bytes)
{
    struct oz_entity_plan plan = {.name = "e", .n_rings = 1};
    struct oz_row_kind row_kind;
    plan.ring[0] = (struct oz_ring_plan){.scored = true, .id_bytes = id_bytes, .n_values = 1};
    unsigned uses = kind == OZ_VALUE_KEY ? OZ_USE_COUNT | OZ_USE_DISTINCT : 31;
    plan.ring[0].value[0] =
        (struct oz_value_spec){.kind = kind, .nullable = nullable, .uses = uses};
    oz_arena_init(&f->arena, 4096);
    assert_int_equal(oz_row_layout_new(&plan, &f->arena, &f->layout, &row_kind, NULL), OZ_OK);
    f->entry = calloc(N + 1, f->layout->ring[0].stride);
    oz_buf_init(&f->buf);
}

static void teardown(struct fixture *f)
{
    free(f->entry);
    oz_buf_clear(&f->buf);
    oz_arena_clear(&f->arena);
}

static void fill(struct fixture *f, int64_t first, int64_t step, const double *value, uint32_t n)
{
    const struct oz_ring_layout *rl = &f->layout->ring[0];
    for (uint32_t i = 0; i < n; i++) {
        uint64_t id[2] = {100 + i, 7};
        struct oz_entry_event e = {.time_us = first + step * (int64_t)i, .id = id};
        uint64_t bits =
            rl->value[0].kind == OZ_VALUE_KEY ? (uint64_t)value[i] : oz_bits_of(value[i]);
        e.value[0] = oz_value_kept(&rl->value[0], bits, 0, &e.nulls);
        oz_entry_write(rl, f->entry + (size_t)i * rl->stride, &e);
    }
    oz_entry_set_time(f->entry + (size_t)n * rl->stride, INT64_MAX);
}

/* Through bytes and back; returns how many bytes. All of every entry is compared, totals and all.
 * */
static size_t round_trip(struct fixture *f, uint32_t n)
{
    const struct oz_ring_layout *rl = &f->layout->ring[0];
    uint8_t *again = calloc(N + 1, rl->stride);
    uint32_t got;
    oz_buf_reset(&f->buf);
    oz_block_encode(rl, f->entry, n, &f->buf);
    struct oz_row_reader r = {f->buf.data, f->buf.data + f->buf.len, false};
    assert_int_equal(oz_block_decode_n(&r, N, &got, NULL), OZ_OK);
    assert_int_equal(got, n);
    assert_int_equal(oz_block_decode(rl, &r, again, n, NULL), OZ_OK);
    assert_ptr_equal(r.at, r.end);
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *a = f->entry + (size_t)i * rl->stride, *b = again + (size_t)i * rl->stride;
        assert_int_equal(oz_entry_time(a), oz_entry_time(b));
        assert_memory_equal(a + 8, b + 8, 8 * rl->id_words);
        assert_int_equal(oz_entry_value(rl, a, 0), oz_entry_value(rl, b, 0));
    }
    uint64_t have[OZ_WORDS_MAX], want[OZ_WORDS_MAX];
    oz_entries_words(rl, f->entry, n, want);
    oz_entries_words(rl, again, n, have);
    assert_memory_equal(have, want, 8 * rl->n_words);
    for (size_t len = 0; len < f->buf.len; len++) { /* cut anywhere: refused */
        struct oz_error err = {0};
        struct oz_row_reader cut = {f->buf.data, f->buf.data + len, false};
        enum oz_status status = oz_block_decode_n(&cut, N, &got, &err);
        if (!status) status = oz_block_decode(rl, &cut, again, got, &err);
        assert_int_equal(status, OZ_CORRUPT);
        assert_true(err.message[0]);
    }
    free(again);
    return f->buf.len;
}

static size_t bytes_of(enum oz_value_kind kind, bool nullable, int id_bytes, int64_t first,
                       int64_t step, const double *value, uint32_t n)
{
    struct fixture f;
    setup(&f, kind, nullable, id_bytes);
    fill(&f, first, step, value, n);
    size_t len = round_trip(&f, n);
    teardown(&f);
    return len;
}

/* n u8, unit u8, first time 5 bytes in seconds since 1970, a delta of a second 1 byte. */
static void test_sizes(void **state)
{
    (void)state;
    const int64_t t = INT64_C(1500000000) * 1000000, s = 1000000;
    const double cents[] = {1.25, 2.5, 0.01, 45.67, 0, 0.1, 0.2, 0.3},
                 flags[] = {1, 0, 1, 1, 0, 0, 1, 0}, holes[] = {1, NAN, 0, 1, NAN, 0, 1, 0},
                 marks[] = {1, NAN, 1, 1, NAN, NAN, 1, 1},
                 raw[] = {M_PI, M_E, 1 / 3., 1e-30, 1e30, -M_PI, 1 / 7., 5},
                 keys[] = {1, 2, 3, 4, 5, 6, 7, 8};
    size_t head = 1 + 1 + 5 + 7;
    /* Four times the cents: a byte below 32, two below 4096, three above: 2 + 2 + 1 + 3 + 1 + 1 + 1
     * + 1. */
    assert_int_equal(bytes_of(OZ_VALUE_DOUBLE, false, 0, t, s, cents, 8), head + 1 + 12);
    assert_int_equal(bytes_of(OZ_VALUE_DOUBLE, false, 0, t, s, flags, 8), head + 1 + 1);
    assert_int_equal(bytes_of(OZ_VALUE_DOUBLE, true, 0, t, s, holes, 8), head + 1 + 2);
    assert_int_equal(bytes_of(OZ_VALUE_DOUBLE, false, 0, t, s, raw, 8), head + 1 + 64);
    assert_int_equal(bytes_of(OZ_VALUE_FLAG, false, 0, t, s, flags, 8), head + 1 + 1);
    assert_int_equal(bytes_of(OZ_VALUE_FLAG, true, 0, t, s, holes, 8), head + 1 + 2);
    assert_int_equal(bytes_of(OZ_VALUE_MARK, true, 0, t, s, marks, 8), head + 1 + 1);
    assert_int_equal(bytes_of(OZ_VALUE_MARK, false, 0, t, s, flags, 8), head);
    assert_int_equal(bytes_of(OZ_VALUE_KEY, true, 0, t, s, keys, 8), head + 1 + 64);
    /* Ids: the first 100 takes two bytes, then differences of one. */
    assert_int_equal(bytes_of(OZ_VALUE_MARK, false, 8, t, s, flags, 8), head + 2 + 7);
    assert_int_equal(bytes_of(OZ_VALUE_MARK, false, 16, t, s, flags, 8), head + 8 * 16);
    /* Milliseconds: six bytes first, then 1000 in two; microseconds: eight, then 1000 in two. */
    assert_int_equal(bytes_of(OZ_VALUE_MARK, false, 0, t + 1000, s, flags, 8), 2 + 6 + 7 * 2);
    assert_int_equal(bytes_of(OZ_VALUE_MARK, false, 0, t + 1, 1000, flags, 8), 2 + 8 + 7 * 2);
    assert_int_equal(bytes_of(OZ_VALUE_MARK, false, 0, t, s, flags, 0), 1);
}

static void test_odd_values_come_back(void **state)
{
    (void)state;
    const double mixed[] = {1.25, 285.79999999999995, NAN, 0x1p93, -12.34, 1e-20, 0.1 + 0.2, 7};
    bytes_of(OZ_VALUE_DOUBLE, true, 8, -5, 3, mixed, 8);
    bytes_of(OZ_VALUE_DOUBLE, true, 16, INT64_C(-62000000000000000), 1, mixed, 8);
    const double null[] = {NAN, NAN, NAN};
    bytes_of(OZ_VALUE_DOUBLE, true, 0, 0, 0, null, 3);
    bytes_of(OZ_VALUE_FLAG, true, 0, 0, 0, null, 3);
    bytes_of(OZ_VALUE_MARK, true, 0, 0, 0, null, 3);
}

/* A block of one mark at time 0, with one byte made wrong at a time. */
static void test_wrong_bytes_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct oz_error err;
    uint32_t n;
    setup(&f, OZ_VALUE_FLAG, true, 0);
    const uint8_t unit[] = {1, 9, 0, 2, 0}, mode[] = {1, 0, 0, 7, 0}, pair[] = {1, 0, 0, 3, 3};
    const uint8_t far[] = {1, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 0};
    const uint8_t many[] = {17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    const struct {
        const uint8_t *bytes;
        size_t len;
    } bad[] = {{unit, 5}, {mode, 5}, {pair, 5}, {far, sizeof far}, {many, sizeof many}};
    for (size_t i = 0; i < OZ_COUNT_OF(bad); i++) {
        struct oz_row_reader r = {bad[i].bytes, bad[i].bytes + bad[i].len, false};
        memset(&err, 0, sizeof err);
        enum oz_status status = oz_block_decode_n(&r, N, &n, &err);
        if (!status) status = oz_block_decode(&f.layout->ring[0], &r, f.entry, n, &err);
        assert_int_equal(status, OZ_CORRUPT);
        assert_true(err.message[0]);
    }
    teardown(&f);
}

static void test_totals_without_their_zeros(void **state)
{
    (void)state;
    const double v[] = {0,    1,     -1,      0.01,     -0.01,
                        1e20, -1e20, 0x1p-96, -0x1p-96, 0x1.fffffffffffffp93};
    const size_t bytes[] = {0, 1, 1};
    for (size_t i = 0; i < OZ_COUNT_OF(v); i++) {
        struct oz_buf buf;
        uint64_t fix[OZ_FIX_LIMBS], again[OZ_FIX_LIMBS];
        oz_buf_init(&buf);
        oz_fix_of(v[i], fix);
        oz_buf_fix(&buf, fix);
        struct oz_row_reader r = {buf.data, buf.data + buf.len, false};
        oz_read_fix(&r, again);
        assert_true(!r.bad && r.at == r.end);
        assert_memory_equal(fix, again, sizeof fix);
        if (i < OZ_COUNT_OF(bytes)) assert_int_equal(buf.len, 2 + bytes[i]);
        oz_buf_clear(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_odd_values_come_back),
        cmocka_unit_test(test_wrong_bytes_are_refused),
        cmocka_unit_test(test_totals_without_their_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
