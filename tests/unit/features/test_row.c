/* Proves the row's rules one by one, on examples small enough to do by hand: what a window holds,
 * ties, late events, repeats, corrected labels, labels that come days late, the event limit, alert
 * suppression; what a layout refuses; what damaged parts are told; that a hot key costs the same
 * whatever its window; and that taking events allocates nothing once the pool is there. The
 * thorough comparison is test_row_twin.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "base/json_writer.h"
#include "features/row_state.h"
#include "part_map.h"
#include "window_twin.h"

enum { AGGREGATES = 8 };

struct fixture {
    struct oz_entity_plan plan;
    struct oz_aggregate aggregate[AGGREGATES];
    struct oz_arena arena;
    struct oz_pool *pool;
    struct oz_row_layout *layout;
    struct oz_row_kind kind;
    struct part_map map;
    void *row;
    double got[AGGREGATES];
    unsigned flags;
    struct oz_error err;
};

/* A scored source with an amount and ids, lateness 10; labels apart, whose repeats replace,
 * lateness 1000. */
static void plan(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->plan = (struct oz_entity_plan){.name = "card", .n_rings = 2, .aggregate = f->aggregate};
    f->plan.ring[0] = (struct oz_ring_plan){.scored = true,
                                            .id_bytes = 8,
                                            .lateness_us = 10,
                                            .n_values = 1,
                                            .value = {{.kind = OZ_VALUE_DOUBLE, .nullable = true}}};
    f->plan.ring[1] = (struct oz_ring_plan){.source = 1,
                                            .id_bytes = 8,
                                            .replaces = true,
                                            .lateness_us = 1000,
                                            .n_values = 1,
                                            .value = {{.kind = OZ_VALUE_FLAG}}};
}

static void want(struct fixture *f, struct oz_aggregate a)
{
    f->aggregate[f->plan.n_aggregates++] = a;
}

static void begin(struct fixture *f, size_t region_bytes)
{
    oz_arena_init(&f->arena, 4096);
    assert_int_equal(oz_pool_new(region_bytes, &f->pool, NULL), OZ_OK);
    assert_int_equal(oz_row_layout_new(&f->plan, &f->arena, &f->layout, &f->kind, &f->err), OZ_OK);
    part_map_init(&f->map, f->pool);
    f->row = calloc(1, f->kind.row_bytes);
    assert_int_equal(f->kind.init(f->kind.ctx, f->row, &f->map.io, NULL), OZ_OK);
}

static void end(struct fixture *f)
{
    f->kind.clear(f->kind.ctx, f->row, f->pool);
    assert_int_equal(oz_pool_used_bytes(f->pool), 0);
    free(f->row);
    part_map_clear(&f->map);
    oz_pool_free(f->pool);
    oz_arena_clear(&f->arena);
}

static void push(struct fixture *f, uint32_t ring, int64_t t, uint64_t id, double v)
{
    uint64_t value = bits_of(v);
    struct oz_row_event e = {.ring = ring, .time_us = t, .id = {id, 0}, .value = &value};
    assert_int_equal(oz_row_push(f->layout, f->row, &f->map.io, &e, f->got, &f->flags, &f->err),
                     OZ_OK);
}

static void assert_got(const struct fixture *f, uint32_t a, double value)
{
    if (isnan(value))
        assert_true(isnan(f->got[a]));
    else
        assert_true(f->got[a] == value);
}

static void test_a_window_is_open_at_its_far_end(void **state)
{
    (void)state;
    struct fixture f;
    plan(&f);
    want(&f, (struct oz_aggregate){.agg = OZ_AGG_SUM, .over_us = 100});
    want(&f, (struct oz_aggregate){.agg = OZ_AGG_SUM, .over_us = 100, .excluding_current = true});
    want(&f, (struct oz_aggregate){.agg = OZ_AGG_SUM, .over_us = 100, .delay_us = 50});
    want(&f, (struct oz_aggregate){.agg = OZ_AGG_COUNT, .value = -1, .last = 2});
    want(&f, (struct oz_aggregate){.agg = OZ_AGG_COUNT});
    want(&f, (struct oz_aggregate){.agg = OZ_AGG_MEAN, .last = 3});
    begin(&f, 64);
    push(&f, 0, 1000, 1, 1);
    assert_got(&f, 0, 1);
    assert_got(&f, 1, NAN); /* nothing in the window is null */
    assert_got(&f, 2, NAN);
    assert_got(&f, 3, 1);
    push(&f, 0, 1050, 2, NAN);
    assert_got(&f, 0, 1);
    assert_got(&f, 2, 1); /* t - 50 is 1000, and that is in */
    assert_got(&f, 3, 2);
    assert_got(&f, 4, 1); /* values that are not null */
    push(&f, 0, 1099, 3, 10);
    assert_got(&f, 0, 11);
    assert_got(&f, 1, 1);
    push(&f, 0, 1100, 4, 100);
    assert_got(&f, 0, 110);     /* t - 100 is 1000, and that is out */
    push(&f, 0, 1100, 5, 1000); /* of equal times it sees those before it */
    assert_got(&f, 0, 1110);
    assert_got(&f, 1, 110);
    assert_got(&f, 2, 1);
    assert_got(&f, 3, 2);
    assert_got(&f, 4, 4);
    assert_got(&f, 5, 370);
    end(&f);
}

static void test_late_events_and_repeats(void **state)
{
    (void)state;
    struct fixture f;
    plan(&f);
    want(&f, (struct oz_aggregate){.agg = OZ_AGG_SUM, .over_us = 100});
    begin(&f, 64);
    push(&f, 0, 1000, 1, 1);
    push(&f, 0, 1010, 2, 10);
    push(&f, 0, 1005, 3, 100);
    assert_int_equal(f.flags, OZ_PUSH_CHANGED);
    assert_got(&f, 0, 101); /* of its own time */
    push(&f, 0, 1010, 4, 1000);
    assert_got(&f, 0, 1111); /* and seen by those that come after */
    push(&f, 0, 999, 5, 5);
    assert_int_equal(f.flags, OZ_PUSH_LATE);
    assert_got(&f, 0, NAN);
    push(&f, 0, 1000, 6, 0.5);
    assert_int_equal(f.flags, OZ_PUSH_CHANGED); /* as late as can be */
    assert_got(&f, 0, 1.5);
    push(&f, 0, 1005, 3, 7); /* a repeat: the answer of its own place, and not counted again */
    assert_int_equal(f.flags, OZ_PUSH_DUPLICATE);
    assert_got(&f, 0, 101.5);
    push(&f, 0, 1010, 2, 7); /* before 4, of equal time */
    assert_int_equal(f.flags, OZ_PUSH_DUPLICATE);
    assert_got(&f, 0, 111.5);
    push(&f, 0, 1006, 3, 1e6); /* another time: another event */
    assert_int_equal(f.flags, OZ_PUSH_CHANGED);
    end(&f);
}

static void test_labels_come_days_late(void **state)
{
    (void)state;
    struct fixture f;
    plan(&f);
    want(&f, (struct oz_aggregate){.agg = OZ_AGG_SUM, .ring = 1, .over_us = 100, .delay_us = 100});
    want(&f,
         (struct oz_aggregate){.agg = OZ_AGG_COUNT, .value = -1, .over_us = 100, .delay_us = 100});
    want(&f, (struct oz_aggregate){.agg = OZ_AGG_MAX, .ring = 1});
    begin(&f, 64);
    push(&f, 1, 1000, 1, 1); /* before any scored event */
    assert_int_equal(f.flags, OZ_PUSH_CHANGED);
    push(&f, 0, 1000, 1, 1);
    assert_got(&f, 0, NAN);
    assert_got(&f, 2, 1); /* a label of the same time that has arrived */
    push(&f, 0, 1100, 2, 1);
    assert_got(&f, 0, 1);
    assert_got(&f, 1, 1);
    push(&f, 1, 1050, 7, 1);
    push(&f, 1, 1050, 8, 0);
    push(&f, 1, 1300, 9, 1); /* newer than the newest scored event */
    push(&f, 0, 1160, 3, 1);
    assert_got(&f, 0, 2);
    push(&f, 1, 1050, 7, 0); /* corrected */
    assert_int_equal(f.flags, OZ_PUSH_CHANGED | OZ_PUSH_DUPLICATE);
    push(&f, 1, 1050, 7, 0); /* the same again */
    assert_int_equal(f.flags, OZ_PUSH_DUPLICATE);
    push(&f, 0, 1160, 4, 1);
    assert_got(&f, 0, 1);
    push(&f, 0, 2100, 5, 1);
    push(&f, 1, 1099, 10, 1);
    assert_int_equal(f.flags, OZ_PUSH_LATE);
    push(&f, 1, 1100, 11, 1);
    assert_true(!(f.flags & OZ_PUSH_LATE));
    end(&f);
}

static void test_a_source_without_all_time_windows_drops_what_none_sees(void **state)
{
    (void)state;
    struct fixture f;
    plan(&f);
    want(&f, (struct oz_aggregate){.agg = OZ_AGG_COUNT, .value = -1, .ring = 1, .over_us = 100});
    begin(&f, 64);
    push(&f, 0, 2000, 1, 1);
    push(&f, 1, 1890, 1, 1); /* 2000 - lateness 10 - 100: a late event at 1990 begins behind it */
    assert_int_equal(f.flags, OZ_PUSH_CHANGED); /* the row says once that it let something go */
    push(&f, 1, 1889, 5, 1);
    assert_int_equal(f.flags, 0);
    push(&f, 1, 1891, 1, 1);
    assert_int_equal(f.flags, OZ_PUSH_CHANGED);
    push(&f, 0, 1990, 2, 1);
    assert_got(&f, 0, 1);
    push(&f, 0, 2000, 3, 1);
    assert_got(&f, 0, 0);
    end(&f);
}

/* Through bytes and back, which lets go what no window sees. */
static void restore(struct fixture *f)
{
    assert_int_equal(part_map_store(&f->map, &f->kind, f->row, &f->err), OZ_OK);
    f->kind.clear(f->kind.ctx, f->row, f->pool);
    assert_int_equal(f->kind.decode(f->kind.ctx, f->row, &f->map.io, f->map.part[0].data,
                                    f->map.part[0].len, &f->err),
                     OZ_OK);
}

/* A repeat must not become the newest because what it repeats was let go alone. */
static void test_last_n_keeps_equal_times_together(void **state)
{
    (void)state;
    struct fixture f;
    plan(&f);
    want(&f, (struct oz_aggregate){.agg = OZ_AGG_SUM, .ring = 1, .last = 2});
    begin(&f, 64);
    push(&f, 1, 990, 1, 1);
    push(&f, 1, 1000, 2, 1);
    push(&f, 1, 1000, 3, 0);
    push(&f, 1, 1000, 4, 0);
    push(&f, 0, 1500, 1, 1);
    assert_got(&f, 0, 0);
    restore(&f);
    push(&f, 1, 1000, 2, 1);
    assert_int_equal(f.flags, OZ_PUSH_DUPLICATE);
    push(&f, 0, 1500, 2, 1);
    assert_got(&f, 0, 0);
    end(&f);
}

static void test_the_event_limit(void **state)
{
    (void)state;
    struct fixture f;
    plan(&f);
    f.plan.max_row_events = 20;
    want(&f, (struct oz_aggregate){.agg = OZ_AGG_COUNT, .value = -1, .over_us = 1000});
    want(&f, (struct oz_aggregate){.agg = OZ_AGG_COUNT, .value = -1});
    begin(&f, 64);
    oz_row_layout_set_block_events(f.layout, 4, 2);
    for (int i = 1; i <= 20; i++) {
        push(&f, 0, 1000 + i, (uint64_t)i, 1);
        assert_int_equal(f.flags, OZ_PUSH_CHANGED);
    }
    push(&f, 0, 1021, 21, 1); /* the 21st: the oldest chunk, 1 to 4, goes */
    assert_got(&f, 0, 21);
    push(&f, 0, 1022, 22, 1);
    assert_int_equal(f.flags, OZ_PUSH_CHANGED | OZ_PUSH_SATURATED);
    assert_got(&f, 0, 18);
    assert_got(&f, 1, 22); /* over all time nothing is lost */
    push(&f, 0, 2003, 23, 1);
    assert_int_equal(f.flags, OZ_PUSH_CHANGED | OZ_PUSH_SATURATED);
    push(&f, 0, 2004, 24, 1);
    push(&f, 0, 4000, 25, 1);
    assert_int_equal(f.flags, OZ_PUSH_CHANGED); /* no window reaches there any more */
    end(&f);
}

static void test_alerts_are_held_back(void **state)
{
    (void)state;
    struct fixture f;
    uint32_t held = 99;
    plan(&f);
    f.plan.n_suppressions = 2;
    begin(&f, 64);
    assert_true(oz_row_alert(f.layout, f.row, 0, 1000, 100, &held));
    assert_int_equal(held, 0);
    assert_false(oz_row_alert(f.layout, f.row, 0, 1099, 100, &held));
    assert_false(oz_row_alert(f.layout, f.row, 0, 950, 100, &held)); /* late */
    assert_true(oz_row_alert(f.layout, f.row, 1, 1050, 100, &held)); /* another rule */
    push(&f, 0, 1000, 1, 1);
    restore(&f);
    assert_true(oz_row_alert(f.layout, f.row, 0, 1100, 100, &held));
    assert_int_equal(held, 2);
    assert_true(oz_row_alert(f.layout, f.row, 0, 900, 100, &held));   /* a late one, far enough */
    assert_false(oz_row_alert(f.layout, f.row, 0, 1150, 100, &held)); /* does not turn time back */
    end(&f);
}

/* ---------- layouts */

static void assert_refused(struct oz_aggregate a, enum oz_value_kind kind, const char *word)
{
    struct fixture f;
    plan(&f);
    f.plan.ring[0].value[0].kind = kind;
    want(&f, a);
    oz_arena_init(&f.arena, 4096);
    assert_int_equal(oz_row_layout_new(&f.plan, &f.arena, &f.layout, &f.kind, &f.err), OZ_CONFIG);
    assert_non_null(strstr(f.err.message, word));
    oz_arena_clear(&f.arena);
}

static void test_what_a_layout_refuses(void **state)
{
    (void)state;
    assert_refused((struct oz_aggregate){.agg = OZ_AGG_DISTINCT, .text = "distinct(x)"},
                   OZ_VALUE_KEY, "distinct(x): distinct needs `over` or `last`");
    assert_refused((struct oz_aggregate){.agg = OZ_AGG_SUM, .over_us = 1}, OZ_VALUE_KEY,
                   "only compared");
    assert_refused((struct oz_aggregate){.agg = OZ_AGG_SUM, .over_us = 1, .last = 1},
                   OZ_VALUE_DOUBLE, "not both");
    assert_refused((struct oz_aggregate){.agg = OZ_AGG_SUM, .over_us = INT64_MAX}, OZ_VALUE_DOUBLE,
                   "out of range");
    assert_refused((struct oz_aggregate){.agg = OZ_AGG_SUM, .delay_us = -1}, OZ_VALUE_DOUBLE,
                   "out of range");
}

static void test_too_many_window_ends(void **state)
{
    (void)state;
    struct fixture f;
    static struct oz_aggregate many[300];
    plan(&f);
    for (int i = 0; i < 300; i++)
        many[i] = (struct oz_aggregate){.agg = OZ_AGG_SUM, .over_us = 1 + i};
    f.plan.aggregate = many;
    f.plan.n_aggregates = 300;
    oz_arena_init(&f.arena, 4096);
    assert_int_equal(oz_row_layout_new(&f.plan, &f.arena, &f.layout, &f.kind, &f.err), OZ_CONFIG);
    assert_non_null(strstr(f.err.message, "255"));
    f.plan.n_aggregates = 255;
    assert_int_equal(oz_row_layout_new(&f.plan, &f.arena, &f.layout, &f.kind, &f.err), OZ_OK);
    oz_arena_clear(&f.arena);
}

/* ---------- stored rows */

static void test_a_time_out_of_range(void **state)
{
    (void)state;
    struct fixture f;
    uint64_t value = 0;
    plan(&f);
    begin(&f, 64);
    struct oz_row_event e = {.time_us = INT64_MAX, .value = &value};
    assert_int_equal(oz_row_push(f.layout, f.row, &f.map.io, &e, f.got, &f.flags, &f.err),
                     OZ_RECORD);
    e.time_us = INT64_MIN;
    assert_int_equal(oz_row_push(f.layout, f.row, &f.map.io, &e, f.got, &f.flags, &f.err),
                     OZ_RECORD);
    push(&f, 0, 5, 1, 1); /* the row is as before */
    end(&f);
}

static void assert_corrupt(struct fixture *f, const uint8_t *bytes, size_t len, const char *word)
{
    memset(&f->err, 0, sizeof f->err);
    f->kind.clear(f->kind.ctx, f->row, f->pool);
    assert_int_equal(f->kind.decode(f->kind.ctx, f->row, &f->map.io, bytes, len, &f->err),
                     OZ_CORRUPT);
    if (!strstr(f->err.message, word)) fail_msg("'%s' lacks '%s'", f->err.message, word);
    assert_int_equal(oz_pool_used_bytes(f->pool), 0);
}

static void test_what_damage_is_told(void **state)
{
    (void)state;
    struct fixture f;
    plan(&f);
    want(&f, (struct oz_aggregate){.agg = OZ_AGG_SUM, .over_us = 90});
    begin(&f, 64);
    oz_row_layout_set_block_events(f.layout, 4, 2);
    const uint8_t version[] = {9, 0}, flags[] = {1, 64}, tag[] = {1, 0, 2, 77, 0, 0},
                  early[] = {1, 0, 2}, more[] = {1, 0, 2, 0, 0, 0, 0, 0, 5},
                  last[] = {1, 2, 8, 2, 0, 0, 0, 0, 0}, index[] = {1, 1, 2, 0, 0, 0, 0, 0};
    assert_corrupt(&f, version, sizeof version, "version 9");
    assert_corrupt(&f, flags, sizeof flags, "unknown flags 64");
    assert_corrupt(&f, tag, sizeof tag, "unknown tag 77");
    assert_corrupt(&f, early, sizeof early, "");
    assert_corrupt(&f, more, sizeof more, "bytes follow its end");
    assert_corrupt(&f, last, sizeof last, "newest event");
    assert_corrupt(&f, index, sizeof index, "part 1) is missing");
    for (int i = 1; i <= 60; i++) push(&f, 0, i, (uint64_t)i, 1);
    assert_int_equal(part_map_store(&f.map, &f.kind, f.row, &f.err), OZ_OK);
    /* The window of 61 begins at -29 + 1; at 130 it begins in a chunk, which is not there. */
    f.kind.clear(f.kind.ctx, f.row, f.pool);
    assert_int_equal(
        f.kind.decode(f.kind.ctx, f.row, &f.map.io, f.map.part[0].data, f.map.part[0].len, &f.err),
        OZ_OK);
    for (uint32_t i = 0; i < f.map.n_parts; i++)
        if (f.map.part[i].number >= OZ_PART_FIRST_CHUNK)
            part_map_set(&f.map, f.map.part[i].number, NULL, 0);
    uint64_t value = 0;
    struct oz_row_event e = {.time_us = 121, .id = {999, 0}, .value = &value};
    assert_int_equal(oz_row_push(f.layout, f.row, &f.map.io, &e, f.got, &f.flags, &f.err),
                     OZ_CORRUPT);
    assert_non_null(strstr(f.err.message, "is missing"));
    end(&f);
}

static void test_a_dump(void **state)
{
    (void)state;
    struct fixture f;
    struct oz_buf buf;
    struct oz_json json;
    plan(&f);
    want(&f, (struct oz_aggregate){.agg = OZ_AGG_SUM, .over_us = 90});
    want(&f, (struct oz_aggregate){.agg = OZ_AGG_SUM, .ring = 1, .over_us = 90});
    begin(&f, 64);
    push(&f, 0, 1000000, 7, 1.5);
    push(&f, 1, 1000001, 8, 1);
    oz_buf_init(&buf);
    oz_json_init(&json, &buf);
    assert_int_equal(oz_row_dump(f.layout, f.row, &f.map.io, NULL, &json, &f.err), OZ_OK);
    assert_string_equal(oz_buf_string(&buf),
                        "{\"last\":\"1970-01-01T00:00:01.000Z\",\"rings\":[{\"saturated\":false,"
                        "\"events\":[{\"time\":"
                        "\"1970-01-01T00:00:01.000Z\",\"id\":7,\"values\":[1.5]}]},{\"saturated\":"
                        "false,\"events\":[{"
                        "\"time\":\"1970-01-01T00:00:01.000001Z\",\"id\":8,\"values\":[1]}]}]}");
    oz_buf_clear(&buf);
    end(&f);
}

/* ---------- cost */

static void fill(struct fixture *f, int64_t n, int64_t step)
{
    for (int64_t i = 0; i < n; i++) {
        push(f, 0, i * step, (uint64_t)i, (double)(i % 97));
        if (i % 500 == 499)
            assert_int_equal(part_map_store(&f->map, &f->kind, f->row, &f->err), OZ_OK);
    }
    assert_int_equal(part_map_store(&f->map, &f->kind, f->row, &f->err), OZ_OK);
}

/* Five window ends. What a cold event reads is bounded by main, index, and a page and a chunk per
 * end; what is written per event does not grow with the window. */
static void test_a_hot_key_costs_the_same_whatever_its_window(void **state)
{
    (void)state;
    const int64_t day = INT64_C(86400000000);
    double written[2];
    for (int k = 0; k < 2; k++) {
        struct fixture f;
        plan(&f);
        f.plan.n_rings = 1;
        want(&f, (struct oz_aggregate){.agg = OZ_AGG_SUM, .over_us = day});
        want(&f, (struct oz_aggregate){.agg = OZ_AGG_SUM, .over_us = 7 * day});
        want(&f, (struct oz_aggregate){.agg = OZ_AGG_MAX, .over_us = 30 * day});
        want(&f,
             (struct oz_aggregate){.agg = OZ_AGG_COUNT, .over_us = 7 * day, .delay_us = 7 * day});
        begin(&f, 1 << 20);
        /* Every 12 seconds, or every 2 minutes: a difference of times is a byte in both. */
        int64_t step = k ? 12000000 : 120000000, events = 30 * day / step + 2000;
        fill(&f, events, step);
        int64_t now = events * step;
        uint64_t before = f.map.written_bytes;
        for (int i = 1; i <= 2000; i++) {
            f.kind.clear(f.kind.ctx, f.row, f.pool);
            f.map.io.reads = 0;
            assert_int_equal(f.kind.decode(f.kind.ctx, f.row, &f.map.io, f.map.part[0].data,
                                           f.map.part[0].len, &f.err),
                             OZ_OK);
            push(&f, 0, now + i * step, (uint64_t)(events + i), i % 97);
            assert_true(f.map.io.reads <= 1 + 2 * 4 + 2); /* and those that an expiry takes */
            assert_int_equal(part_map_store(&f.map, &f.kind, f.row, &f.err), OZ_OK);
        }
        written[k] = (double)(f.map.written_bytes - before) / 2000;
        assert_true(f.map.part[1].len < 12000);
        end(&f);
    }
    assert_true(written[1] < 1.1 * written[0]);
}

static void test_taking_events_allocates_nothing(void **state)
{
    (void)state;
    struct fixture f;
    plan(&f);
    want(&f, (struct oz_aggregate){.agg = OZ_AGG_SUM, .over_us = 5000});
    want(&f, (struct oz_aggregate){.agg = OZ_AGG_DISTINCT, .over_us = 2000});
    want(&f, (struct oz_aggregate){.agg = OZ_AGG_COUNT, .value = -1, .ring = 1, .over_us = 2000});
    begin(&f, 1 << 22);
    uint64_t before = oz_allocations();
    for (int i = 0; i < 20000; i++) {
        push(&f, 0, i - (i % 7 == 0 ? 3 : 0), (uint64_t)i, i % 50);
        if (i % 3 == 0) push(&f, 1, i - i % 100, (uint64_t)i, 1);
    }
    assert_int_equal(oz_allocations(), before);
    assert_int_equal(oz_pool_overdrawn_bytes(f.pool), 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_window_is_open_at_its_far_end),
        cmocka_unit_test(test_late_events_and_repeats),
        cmocka_unit_test(test_labels_come_days_late),
        cmocka_unit_test(test_a_source_without_all_time_windows_drops_what_none_sees),
        cmocka_unit_test(test_last_n_keeps_equal_times_together),
        cmocka_unit_test(test_the_event_limit),
        cmocka_unit_test(test_alerts_are_held_back),
        cmocka_unit_test(test_what_a_layout_refuses),
        cmocka_unit_test(test_too_many_window_ends),
        cmocka_unit_test(test_a_time_out_of_range),
        cmocka_unit_test(test_what_damage_is_told),
        cmocka_unit_test(test_a_dump),
        cmocka_unit_test(test_a_hot_key_costs_the_same_whatever_its_window),
        cmocka_unit_test(test_taking_events_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
