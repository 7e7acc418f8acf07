/* Proves that dead letters are counted over a window that slides, that one bad record of a slow
 * topic is no flood, and that the sentence names the commonest reason with the first record that
 * had it. Batches are made by hand: fates and reasons are all that is looked at. */
#include "pipelines/run/flood_watch.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "base/instant.h"

enum { N = 100 };
static struct oz_record record[N];
static uint8_t fate[N], stage[N];
static const char *reason[N];
static struct oz_batch bat = {
    .n_records = N, .record = record, .fate = fate, .dead_stage = stage, .dead_reason = reason};
static struct oz_source_spec source = {.topic = "tx"};
static const struct oz_pipeline pl = {.source = &source, .dead_letters_topic = "dlq"};
static int64_t offset;

/* `n_dead` of n records are dead, the last `n_other` of them for another reason. */
static void give(struct oz_flood_watch *watch, size_t n, size_t n_dead, size_t n_other,
                 int64_t at_s)
{
    static char text[N][64];
    struct oz_outbox box = {.n_dead = n_dead};
    bat.n_records = n;
    for (size_t i = 0; i < n; i++) {
        bool other = i + n_other >= n_dead;
        record[i] = (struct oz_record){.partition = other ? 1 : 2, .offset = offset++};
        fate[i] = i < n_dead ? OZ_FATE_DEAD : OZ_FATE_ROW;
        stage[i] = other ? OZ_DECODE_TIME : OZ_DECODE_BAD;
        snprintf(text[i], sizeof text[i], "%s at byte %zu", other ? "no time" : "no JSON", i);
        reason[i] = text[i];
    }
    oz_flood_watch_batch(watch, &bat, &box, at_s * OZ_US_PER_SECOND);
}

static void test_share_slides(void **state)
{
    (void)state;
    struct oz_flood_watch watch;
    struct oz_error err;
    oz_flood_watch_init(&watch,
                        &(struct oz_flood){.share_ppm = 100000, .per_us = OZ_US_PER_MINUTE});
    give(&watch, 90, 9, 0, 1000);
    assert_int_equal(oz_flood_watch_status(&watch, &pl, &err), OZ_OK);
    /* A minute on, those are gone: nine more are again too few. */
    give(&watch, 90, 9, 0, 1061);
    assert_int_equal(oz_flood_watch_status(&watch, &pl, &err), OZ_OK);
    for (int64_t at = 1062; at < 1100; at++) give(&watch, 100, 10, 5, at);
    assert_int_equal(oz_flood_watch_status(&watch, &pl, &err), OZ_OK); /* exactly 10 % */
    give(&watch, 100, 11, 5, 1100);
    assert_int_equal(oz_flood_watch_status(&watch, &pl, &err), OZ_FLOOD);
    oz_flood_watch_forget(&watch);
    assert_int_equal(oz_flood_watch_status(&watch, &pl, &err), OZ_OK);
    give(&watch, 100, 12, 0, 1101);
    assert_int_equal(oz_flood_watch_status(&watch, &pl, &err), OZ_FLOOD);
}

static void test_number_and_sentence(void **state)
{
    (void)state;
    struct oz_flood_watch watch;
    struct oz_error err;
    oz_flood_watch_init(&watch, &(struct oz_flood){.count = 5, .per_us = 2 * OZ_US_PER_SECOND});
    offset = 40;
    give(&watch, 50, 3, 2, 7);
    assert_false(oz_flood_watch_is_over(&watch));
    give(&watch, 50, 3, 2, 8);
    assert_int_equal(oz_flood_watch_status(&watch, &pl, &err), OZ_FLOOD);
    const char *want =
        "6 of the 100 records read within 2s are dead letters, and errors.stop_above "
        "is 5 per 2s; the commonest reason is: no time at byte 1 (stage time), as of "
        "tx partition 1 offset 41; what was read is committed, its dead letters in "
        "dlq: ";
    assert_memory_equal(err.message, want, strlen(want));
}

static void test_too_large_is_one_too(void **state)
{
    (void)state;
    struct oz_flood_watch watch;
    struct oz_error err;
    struct oz_outbox_part part = {.n_too_large = 3, .too_large = 1};
    struct oz_outbox box = {.part = &part, .n_parts = 1, .n_dead = 3};
    oz_flood_watch_init(&watch, &(struct oz_flood){.count = 2, .per_us = OZ_US_PER_SECOND});
    memset(fate, OZ_FATE_ROW, sizeof fate);
    record[1] = (struct oz_record){.partition = 3, .offset = 77};
    oz_flood_watch_batch(&watch, &bat, &box, OZ_US_PER_SECOND);
    assert_int_equal(oz_flood_watch_status(&watch, &pl, &err), OZ_FLOOD);
    assert_non_null(strstr(err.message, "(stage produce), as of tx partition 3 offset 77; "));
}

static void test_off(void **state)
{
    (void)state;
    struct oz_flood_watch watch;
    struct oz_error err;
    oz_flood_watch_init(&watch, &(struct oz_flood){0});
    for (int64_t at = 1; at < 100; at++) give(&watch, 100, 100, 0, at);
    assert_int_equal(oz_flood_watch_status(&watch, &pl, &err), OZ_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_share_slides),
        cmocka_unit_test(test_number_and_sentence),
        cmocka_unit_test(test_too_large_is_one_too),
        cmocka_unit_test(test_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
