/* Proves that an exchange partition gives its events in the order in which one process that reads
 * every source itself would have them. How: random source logs, with equal and backward times; a
 * naive twin merges the heads of all of them, one record at a time. The same logs, partition by
 * partition, go through the first leg's merge into an exchange log, with marks at random places and
 * owners that begin anew without knowing the newest time; what comes out of the lanes, fed by and
 * by and restarted from encoded states, must be the twin's order. Then the rules one by one. */
#include "pipelines/run/exchange_lanes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { SEEDS = 4000, SOURCES = 2, PARTITIONS_MAX = 5, LOG_MAX = 30, ENTRIES_MAX = 4096 };

static uint64_t seed;
static uint32_t below(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % n);
}

/* ---- the sources, and the twin */

struct event {
    int64_t time_ms;
    bool is_here; /* its key is of the partition that is looked at */
};
struct source_log {
    struct event event[LOG_MAX];
    uint32_t n;
};
struct given {
    uint32_t source, partition;
    int64_t offset;
};
struct world {
    uint32_t n_partitions;
    struct source_log log[SOURCES][PARTITIONS_MAX];
    struct given want[SOURCES * PARTITIONS_MAX * LOG_MAX];
    size_t n_want;
};

/* The source of partition p whose head comes first, or -1. */
static int first_source(const struct world *w, uint32_t p, uint32_t at[SOURCES][PARTITIONS_MAX])
{
    int best = -1;
    for (int s = 0; s < SOURCES; s++) {
        if (at[s][p] == w->log[s][p].n) continue;
        if (best < 0 ||
            w->log[s][p].event[at[s][p]].time_ms < w->log[best][p].event[at[best][p]].time_ms)
            best = s;
    }
    return best;
}

static void merge_all(struct world *w)
{
    uint32_t at[SOURCES][PARTITIONS_MAX] = {{0}};
    for (;;) {
        int best_s = -1;
        uint32_t best_p = 0;
        int64_t best_ms = 0;
        for (int s = 0; s < SOURCES; s++)
            for (uint32_t p = 0; p < w->n_partitions; p++) {
                if (at[s][p] == w->log[s][p].n) continue;
                int64_t ms = w->log[s][p].event[at[s][p]].time_ms;
                if (best_s >= 0 && ms >= best_ms) continue;
                best_s = s, best_p = p, best_ms = ms;
            }
        if (best_s < 0) return;
        uint32_t offset = at[best_s][best_p]++;
        if (w->log[best_s][best_p].event[offset].is_here)
            w->want[w->n_want++] = (struct given){(uint32_t)best_s, best_p, offset};
    }
}

static void make_world(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->n_partitions = 1 + below(PARTITIONS_MAX);
    uint32_t step = 1 + below(20), back = below(4);
    for (int s = 0; s < SOURCES; s++)
        for (uint32_t p = 0; p < w->n_partitions; p++) {
            struct source_log *log = &w->log[s][p];
            int64_t ms = below(10);
            log->n = below(8) ? below(LOG_MAX) : 0;
            for (uint32_t i = 0; i < log->n; i++) {
                ms += below(step);
                log->event[i].time_ms = ms - (below(10) < back ? below(30) : 0);
                log->event[i].is_here = below(3) > 0;
            }
        }
    merge_all(w);
}

/* ---- the exchange log */

struct logged {
    uint32_t lane;
    bool is_mark;
    struct oz_lane_key key;
    struct oz_lane_mark mark;
};
struct exchange_log {
    struct logged entry[ENTRIES_MAX];
    size_t n;
};

static struct oz_lane_mark mark_now(const struct world *w, uint32_t p,
                                    uint32_t at[SOURCES][PARTITIONS_MAX], int64_t clock_ms)
{
    struct oz_lane_mark mark = {.clock_ms = clock_ms, .floor.time_ms = clock_ms};
    int s = first_source(w, p, at);
    mark.at_end = s < 0;
    /* Now and then the next record is not known. */
    if (s >= 0 && below(4))
        mark.floor.time_ms = OZ_MAX(clock_ms, w->log[s][p].event[at[s][p]].time_ms);
    return mark;
}

static void write_exchange(const struct world *w, struct exchange_log *log)
{
    uint32_t at[SOURCES][PARTITIONS_MAX] = {{0}}, n_ended = 0;
    int64_t clock_ms[PARTITIONS_MAX];
    bool has_ended[PARTITIONS_MAX] = {false};
    for (uint32_t p = 0; p < w->n_partitions; p++) clock_ms[p] = INT64_MIN;
    log->n = 0;
    while (n_ended < w->n_partitions) {
        uint32_t p = below(w->n_partitions);
        if (has_ended[p]) continue;
        for (uint32_t k = below(12); k; k--) {
            int s = first_source(w, p, at);
            if (s < 0) break;
            uint32_t offset = at[s][p]++;
            const struct event *ev = &w->log[s][p].event[offset];
            clock_ms[p] = OZ_MAX(clock_ms[p], ev->time_ms);
            if (ev->is_here)
                log->entry[log->n++] = (struct logged){
                    .lane = p, .key = {clock_ms[p], (uint32_t)s, p, (int64_t)offset}};
        }
        struct oz_lane_mark mark = mark_now(w, p, at, clock_ms[p]);
        log->entry[log->n++] = (struct logged){.lane = p, .is_mark = true, .mark = mark};
        n_ended += has_ended[p] = mark.at_end;
        if (!below(5)) clock_ms[p] = INT64_MIN; /* another owner */
    }
    assert_true(log->n < ENTRIES_MAX);
}

/* ---- through the lanes */

static void put(struct oz_lanes *lanes, const struct exchange_log *log, size_t i)
{
    const struct logged *e = &log->entry[i];
    int64_t at = (int64_t)i * 2; /* with gaps, as transactions leave them */
    if (e->is_mark)
        assert_int_equal(oz_lanes_put_mark(lanes, e->lane, at, &e->mark, NULL), OZ_OK);
    else
        assert_int_equal(
            oz_lanes_put_event(lanes, e->lane, at, &e->key, &e->key, sizeof e->key, NULL), OZ_OK);
}

struct saved { /* as a commit keeps it */
    struct oz_buf state;
    int64_t low;
    size_t n_given;
};

static void save(struct oz_lanes *lanes, size_t n_put, size_t n_given, struct saved *saved)
{
    oz_buf_reset(&saved->state);
    oz_lanes_encode(lanes, &saved->state);
    saved->low = oz_lanes_low(lanes, (int64_t)n_put * 2);
    saved->n_given = n_given;
}

static void check_given(const struct world *w, size_t n, const struct oz_lane_event *ev)
{
    struct oz_lane_key key;
    assert_true(n < w->n_want);
    assert_int_equal(ev->len, sizeof key);
    memcpy(&key, ev->bytes, sizeof key);
    const struct given *want = &w->want[n];
    if (key.rank != want->source || key.partition != want->partition || key.offset != want->offset)
        fail_msg("event %zu is %u/%u/%lld, the twin has %u/%u/%lld", n, key.rank, key.partition,
                 (long long)key.offset, want->source, want->partition, (long long)want->offset);
    assert_int_equal(ev->lane, key.partition);
}

static void run_through(const struct world *w, const struct exchange_log *log)
{
    struct oz_lanes lanes;
    struct saved saved = {0};
    size_t n_put = 0, n_given = 0;
    struct oz_lane_key floor = {INT64_MIN, 0, 0, INT64_MIN};
    assert_int_equal(oz_lanes_init(&lanes, w->n_partitions, NULL), OZ_OK);
    save(&lanes, 0, 0, &saved);
    while (n_put < log->n || lanes.n_events) {
        for (uint32_t k = below(20); k && n_put < log->n; k--) put(&lanes, log, n_put++);
        struct oz_lane_event ev;
        for (uint32_t k = below(20); k && oz_lanes_take(&lanes, false, &ev); k--) {
            check_given(w, n_given++, &ev);
            assert_true(oz_lane_key_compare(&ev.key, &floor) >= 0);
        }
        struct oz_lane_key now;
        if (oz_lanes_floor(&lanes, &now) && oz_lane_key_compare(&now, &floor) > 0) floor = now;
        if (!below(4)) save(&lanes, n_put, n_given, &saved);
        if (!below(12)) { /* an abort, or a new owner */
            floor = (struct oz_lane_key){INT64_MIN, 0, 0, INT64_MIN};
            assert_int_equal(oz_lanes_restart(&lanes, saved.state.data, saved.state.len, NULL),
                             OZ_OK);
            n_put = (size_t)(saved.low + 1) / 2;
            n_given = saved.n_given;
        }
        if (n_put == log->n && lanes.n_events)
            assert_true(oz_lanes_take(&lanes, false, &ev));
        else
            continue;
        check_given(w, n_given++, &ev);
    }
    assert_int_equal(n_given, w->n_want);
    assert_int_equal(lanes.n_bytes, 0);
    assert_false(oz_lanes_floor(&lanes, &floor));
    assert_int_equal(oz_lanes_low(&lanes, 77777), 77777);
    oz_buf_clear(&saved.state);
    oz_lanes_clear(&lanes);
}

static void test_order_is_that_of_one_process(void **state)
{
    (void)state;
    static struct world world;
    static struct exchange_log log;
    size_t n = 0, n_back = 0;
    for (uint32_t i = 0; i < SEEDS; i++) {
        seed = i * 7919 + 1;
        make_world(&world);
        write_exchange(&world, &log);
        run_through(&world, &log);
        n += world.n_want;
        int64_t newest_ms = INT64_MIN;
        for (size_t k = 0; k < log.n; k++) {
            int64_t ms = log.entry[k].is_mark ? INT64_MIN : log.entry[k].key.time_ms;
            n_back += !log.entry[k].is_mark && ms < newest_ms;
            newest_ms = OZ_MAX(newest_ms, ms);
        }
    }
    assert_true(n > 100000 && n_back > 50000); /* else nothing was put to the test */
}

/* ---- the rules */

static struct oz_lane_key key_at(int64_t time_ms, uint32_t partition, int64_t offset)
{
    return (struct oz_lane_key){time_ms, 1, partition, offset};
}

static void event(struct oz_lanes *lanes, uint32_t lane, int64_t at, int64_t time_ms)
{
    struct oz_lane_key key = key_at(time_ms, lane, at);
    assert_int_equal(oz_lanes_put_event(lanes, lane, at, &key, "x", 1, NULL), OZ_OK);
}

static void mark(struct oz_lanes *lanes, uint32_t lane, int64_t at, int64_t floor_ms, bool at_end)
{
    struct oz_lane_mark m = {INT64_MIN, {.time_ms = floor_ms}, at_end};
    assert_int_equal(oz_lanes_put_mark(lanes, lane, at, &m, NULL), OZ_OK);
}

static void takes(struct oz_lanes *lanes, bool pass_over, int64_t want_ms)
{
    struct oz_lane_event ev;
    assert_true(oz_lanes_take(lanes, pass_over, &ev));
    assert_int_equal(ev.key.time_ms, want_ms);
}

static void waits(struct oz_lanes *lanes)
{
    struct oz_lane_event ev;
    assert_false(oz_lanes_take(lanes, false, &ev));
}

static void test_an_empty_lane_holds_back(void **state)
{
    (void)state;
    struct oz_lanes lanes;
    struct oz_lane_key floor;
    assert_int_equal(oz_lanes_init(&lanes, 2, NULL), OZ_OK);
    assert_int_equal(oz_lanes_holder(&lanes, &floor), UINT32_MAX); /* nobody waits */
    event(&lanes, 0, 0, 100);
    event(&lanes, 0, 1, 200);
    waits(&lanes); /* lane 1 was never heard of */
    assert_int_equal(oz_lanes_holder(&lanes, &floor), 1);
    mark(&lanes, 1, 2, 100, false);
    waits(&lanes); /* something as old may come, and of a lower rank */
    mark(&lanes, 1, 3, 150, false);
    takes(&lanes, false, 100);
    waits(&lanes);
    assert_int_equal(oz_lanes_holder(&lanes, &floor), 1);
    assert_int_equal(floor.time_ms, 150);
    mark(&lanes, 1, 4, 150, true);
    takes(&lanes, false, 200);
    assert_int_equal(oz_lanes_holder(&lanes, &floor), UINT32_MAX);
    /* Lane 0 has given and said nothing since. */
    event(&lanes, 1, 5, 300);
    waits(&lanes);
    mark(&lanes, 0, 6, 200, true);
    takes(&lanes, false, 300);
    /* An event ends the end, until the next mark. */
    event(&lanes, 0, 7, 400);
    waits(&lanes);
    oz_lanes_clear(&lanes);
}

static void test_a_lane_is_passed_over_when_told(void **state)
{
    (void)state;
    struct oz_lanes lanes;
    struct oz_lane_event ev;
    assert_int_equal(oz_lanes_init(&lanes, 3, NULL), OZ_OK);
    assert_false(oz_lanes_take(&lanes, true, &ev));
    event(&lanes, 2, 0, 300);
    event(&lanes, 1, 1, 200);
    waits(&lanes);
    takes(&lanes, true, 200);
    takes(&lanes, true, 300);
    /* What was waited for comes after all: it is given, nothing is lost. */
    event(&lanes, 0, 2, 100);
    takes(&lanes, true, 100);
    oz_lanes_clear(&lanes);
}

static void test_low_is_the_first_that_waits(void **state)
{
    (void)state;
    struct oz_lanes lanes;
    assert_int_equal(oz_lanes_init(&lanes, 2, NULL), OZ_OK);
    assert_int_equal(oz_lanes_low(&lanes, 9), 9);
    event(&lanes, 0, 3, 500);
    event(&lanes, 1, 4, 100);
    event(&lanes, 1, 5, 900);
    takes(&lanes, false, 100);
    assert_int_equal(oz_lanes_low(&lanes, 9), 3); /* 4 is done, 3 is not */
    takes(&lanes, true, 500);
    assert_int_equal(oz_lanes_low(&lanes, 9), 5);
    /* Read again from 3 on: nothing is there twice. */
    event(&lanes, 0, 3, 500);
    event(&lanes, 1, 4, 100);
    assert_int_equal(lanes.n_events, 1);
    oz_lanes_clear(&lanes);
}

static void test_a_damaged_state_is_refused(void **state)
{
    (void)state;
    struct oz_lanes lanes;
    struct oz_buf buf = {0};
    assert_int_equal(oz_lanes_init(&lanes, 3, NULL), OZ_OK);
    event(&lanes, 0, 3, 500);
    assert_true(oz_lanes_take(&lanes, true, &(struct oz_lane_event){0}));
    assert_true(lanes.is_changed);
    oz_lanes_encode(&lanes, &buf);
    assert_false(lanes.is_changed);
    assert_int_equal(oz_lanes_restart(&lanes, buf.data, buf.len, NULL), OZ_OK);
    for (size_t len = 1; len < buf.len; len++)
        assert_int_equal(oz_lanes_restart(&lanes, buf.data, len, NULL), OZ_CORRUPT);
    buf.data[buf.len - 1] = 2;
    assert_int_equal(oz_lanes_restart(&lanes, buf.data, buf.len, NULL), OZ_CORRUPT);
    oz_buf_clear(&buf);
    oz_lanes_clear(&lanes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_is_that_of_one_process),
        cmocka_unit_test(test_an_empty_lane_holds_back),
        cmocka_unit_test(test_a_lane_is_passed_over_when_told),
        cmocka_unit_test(test_low_is_the_first_that_waits),
        cmocka_unit_test(test_a_damaged_state_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
