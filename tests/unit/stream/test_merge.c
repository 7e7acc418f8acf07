/* Proves that the merge gives the records of several logs in the order of stream/source.h and holds
 * back as it says. How: hand-made cases for each rule; then random logs, delivered in random
 * chunks, against two naive twins: a merge of the heads one record at a time over the whole logs,
 * and, for logs sorted by time, plain sorting by (time, lane, offset). */
#include "stream/merge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { IDLE_US = 1000 };

static void start(struct oz_merge *merge, uint32_t n_lanes)
{
    assert_int_equal(oz_merge_init(merge, n_lanes, IDLE_US, 0, NULL), OZ_OK);
}

static void test_ties_go_by_lane(void **state)
{
    (void)state;
    struct oz_merge merge;
    uint32_t lane;
    const int64_t a[] = {5, 5, 9}, b[] = {5, 5, 6};
    start(&merge, 2);
    oz_merge_offer(&merge, 1, b, 3);
    assert_int_equal(oz_merge_take(&merge, 10, 1, &lane), 0);
    oz_merge_offer(&merge, 0, a, 3);
    assert_int_equal(oz_merge_take(&merge, 10, 1, &lane), 2);
    assert_int_equal(lane, 0);
    assert_int_equal(oz_merge_take(&merge, 10, 1, &lane), 3);
    assert_int_equal(lane, 1);
    /* Lane 1 is empty now and not at its end. */
    assert_true(oz_merge_holds(&merge));
    assert_int_equal(oz_merge_take(&merge, 10, 1, &lane), 0);
    oz_merge_end(&merge, 1);
    assert_false(oz_merge_holds(&merge));
    assert_int_equal(oz_merge_take(&merge, 10, 1, &lane), 1);
    assert_int_equal(lane, 0);
    oz_merge_end(&merge, 0);
    assert_true(oz_merge_at_end(&merge));
    oz_merge_clear(&merge);
}

static void test_max_cuts_a_run(void **state)
{
    (void)state;
    struct oz_merge merge;
    uint32_t lane;
    const int64_t a[] = {1, 2, 3, 4};
    start(&merge, 1);
    oz_merge_offer(&merge, 0, a, 4);
    assert_int_equal(oz_merge_take(&merge, 0, 1, &lane), 0);
    assert_int_equal(oz_merge_take(&merge, 3, 1, &lane), 3);
    assert_int_equal(oz_merge_left(&merge, 0), 1);
    assert_int_equal(oz_merge_take(&merge, 3, 1, &lane), 1);
    oz_merge_clear(&merge);
}

/* The end counts only as long as no record has come after it. */
static void test_end_is_forgotten(void **state)
{
    (void)state;
    struct oz_merge merge;
    uint32_t lane;
    const int64_t a[] = {7}, b[] = {8};
    start(&merge, 2);
    oz_merge_end(&merge, 0);
    oz_merge_end(&merge, 1);
    assert_true(oz_merge_at_end(&merge));
    oz_merge_offer(&merge, 0, a, 1);
    assert_int_equal(oz_merge_take(&merge, 9, 1, &lane), 1);
    oz_merge_offer(&merge, 1, b, 1);
    assert_int_equal(oz_merge_take(&merge, 9, 1, &lane), 0);
    /* An end behind what is buffered takes hold when that is taken. */
    oz_merge_end(&merge, 0);
    oz_merge_end(&merge, 1);
    assert_false(oz_merge_at_end(&merge));
    assert_int_equal(oz_merge_take(&merge, 9, 1, &lane), 1);
    assert_int_equal(lane, 1);
    assert_true(oz_merge_at_end(&merge));
    oz_merge_clear(&merge);
}

static void test_idle_lanes_are_passed_over(void **state)
{
    (void)state;
    struct oz_merge merge;
    uint32_t lane;
    const int64_t a[] = {1, 2}, b[] = {1};
    start(&merge, 3);
    assert_int_equal(oz_merge_lapse_in_us(&merge, 400), 600);
    oz_merge_offer(&merge, 0, a, 2);
    oz_merge_end(&merge, 2);
    assert_int_equal(oz_merge_take(&merge, 1, 999, &lane), 0);
    assert_int_equal(oz_merge_take(&merge, 1, 1000, &lane), 1);
    assert_int_equal(oz_merge_lapse_in_us(&merge, 1000), INT64_MAX);
    assert_false(oz_merge_at_end(&merge)); /* passed over is not at its end */
    /* With a record again it counts as before, from the time its buffer ran empty. */
    oz_merge_offer(&merge, 1, b, 1);
    assert_int_equal(oz_merge_take(&merge, 1, 1500, &lane), 1);
    assert_int_equal(lane, 1);
    assert_int_equal(oz_merge_take(&merge, 1, 2499, &lane), 0);
    assert_int_equal(oz_merge_lapse_in_us(&merge, 2499), 1);
    assert_int_equal(oz_merge_take(&merge, 1, 2500, &lane), 1);
    assert_int_equal(lane, 0);
    oz_merge_clear(&merge);
}

static void test_restart_forgets(void **state)
{
    (void)state;
    struct oz_merge merge;
    uint32_t lane;
    const int64_t a[] = {1, 2};
    start(&merge, 2);
    oz_merge_offer(&merge, 0, a, 2);
    oz_merge_end(&merge, 1);
    oz_merge_restart(&merge, 5000);
    assert_int_equal(oz_merge_left(&merge, 0), 0);
    assert_int_equal(oz_merge_take(&merge, 9, 5999, &lane), 0);
    oz_merge_offer(&merge, 0, a, 2);
    assert_int_equal(oz_merge_take(&merge, 9, 5999, &lane), 0);
    assert_int_equal(oz_merge_take(&merge, 9, 6000, &lane), 2);
    oz_merge_clear(&merge);
}

static void test_extreme_times(void **state)
{
    (void)state;
    struct oz_merge merge;
    uint32_t lane;
    const int64_t a[] = {INT64_MIN, INT64_MAX}, b[] = {INT64_MIN, INT64_MAX};
    start(&merge, 2);
    oz_merge_offer(&merge, 0, a, 2);
    oz_merge_offer(&merge, 1, b, 2);
    const uint32_t want[] = {0, 1, 0, 1};
    oz_merge_end(&merge, 0);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(oz_merge_take(&merge, 9, 1, &lane), 1);
        assert_int_equal(lane, want[i]);
    }
    oz_merge_clear(&merge);
}

/* Random logs */

enum { LANES_MAX = 9, RECORDS_MAX = 200 };
struct log {
    int64_t time_ms[RECORDS_MAX];
    size_t n, offered, taken;
};
struct place {
    uint32_t lane;
    size_t at;
};

static const struct log *sorting_log;
static int by_time(const void *x, const void *y)
{
    const struct place *a = x, *b = y;
    int64_t s = sorting_log[a->lane].time_ms[a->at], t = sorting_log[b->lane].time_ms[b->at];
    if (s != t) return s < t ? -1 : 1;
    if (a->lane != b->lane) return a->lane < b->lane ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

/* One record at a time from the least head. */
static size_t twin(const struct log *log, uint32_t n_lanes, struct place *ret)
{
    size_t at[LANES_MAX] = {0}, n = 0;
    for (;;) {
        uint32_t best = n_lanes;
        for (uint32_t i = 0; i < n_lanes; i++) {
            if (at[i] == log[i].n) continue;
            if (best == n_lanes || log[i].time_ms[at[i]] < log[best].time_ms[at[best]]) best = i;
        }
        if (best == n_lanes) return n;
        ret[n++] = (struct place){best, at[best]++};
    }
}

static void deliver(struct oz_merge *merge, struct log *log, uint32_t i)
{
    struct log *one = &log[i];
    if (oz_merge_left(merge, i)) return;
    size_t n = one->n - one->offered;
    if (n) n = 1 + (size_t)rand() % n;
    if (n) oz_merge_offer(merge, i, one->time_ms + one->offered, n);
    one->offered += n;
    if (one->offered == one->n) oz_merge_end(merge, i);
}

static void run_random(unsigned seed, bool sorted)
{
    static struct log log[LANES_MAX];
    static struct place want[LANES_MAX * RECORDS_MAX], got[LANES_MAX * RECORDS_MAX];
    struct oz_merge merge;
    srand(seed);
    uint32_t n_lanes = 1 + (uint32_t)rand() % LANES_MAX;
    int spread = 1 + rand() % 50;
    for (uint32_t i = 0; i < n_lanes; i++) {
        log[i] = (struct log){.n = (size_t)(rand() % RECORDS_MAX)};
        int64_t time_ms = rand() % 100;
        for (size_t k = 0; k < log[i].n; k++) {
            time_ms += rand() % spread;
            log[i].time_ms[k] = sorted ? time_ms : rand() % 300;
        }
    }
    size_t n_want = twin(log, n_lanes, want);
    if (sorted) {
        size_t n = 0;
        for (uint32_t i = 0; i < n_lanes; i++)
            for (size_t k = 0; k < log[i].n; k++) got[n++] = (struct place){i, k};
        sorting_log = log;
        qsort(got, n, sizeof *got, by_time);
        assert_int_equal(n, n_want);
        assert_memory_equal(got, want, n * sizeof *got);
    }
    start(&merge, n_lanes);
    size_t n = 0;
    for (int idle = 0; idle < 100000 && !oz_merge_at_end(&merge); idle++) {
        /* Lanes come late and in any order; nothing may be given before all of them are heard
         * of. */
        deliver(&merge, log, (uint32_t)rand() % n_lanes);
        uint32_t lane;
        size_t run;
        while ((run = oz_merge_take(&merge, 1 + (size_t)rand() % 8, 0, &lane)))
            for (size_t k = 0; k < run; k++) got[n++] = (struct place){lane, log[lane].taken++};
    }
    assert_int_equal(n, n_want);
    assert_memory_equal(got, want, n * sizeof *got);
    oz_merge_clear(&merge);
}

static void test_random_logs(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 1000; seed++) run_random(seed, seed % 2);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct oz_merge merge;
    struct oz_error err;
    for (uint64_t n = 1; n <= 2; n++) {
        oz_fail_allocation(n);
        assert_int_equal(oz_merge_init(&merge, 4, 0, 0, &err), OZ_NO_MEMORY);
    }
    oz_fail_allocation(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ties_go_by_lane),  cmocka_unit_test(test_max_cuts_a_run),
        cmocka_unit_test(test_end_is_forgotten), cmocka_unit_test(test_idle_lanes_are_passed_over),
        cmocka_unit_test(test_restart_forgets),  cmocka_unit_test(test_extreme_times),
        cmocka_unit_test(test_random_logs),      cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
