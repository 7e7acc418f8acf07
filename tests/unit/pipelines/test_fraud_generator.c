/* Proves that the made-up city behaves like the published one, and that its bytes can be relied on:
 * - over 122 days from 2018-04-01, transactions a day, fraud share, the three kinds and the amounts
 * lie within stated distances of the handbook's data set of those days (the numbers beside each
 * check are counts over that set: 1,169,723 rows, 9,465 frauds, of which 660, 5,749 and 3,056);
 * - events come in order of arrival, ids in order of time, every fraud gets its label once, in
 * time;
 * - late, repeated and broken records are as many as asked, and leave the rest as it was;
 * - each record reads back through the decoder as what the event says, and broken ones fail at the
 * stage that they are made to fail at;
 * - written files are sorted and hold the same;
 * - memory stays bounded; a failed allocation ends cleanly.
 * The SHA-256 at the end is a pin of stability, not of truth: it was printed by this generator, and
 * says that other machines and later versions make the same bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/instant.h"
#include "pipelines/demo/fraud_generator.h"
#include "stream/codec.h"
#include "stream/file_source.h"

#define PIN "db3d9604964c398c5f120f2ee1baf79f43e4cce2e1b1793828ed903c82ccae1a"

static const struct oz_field transaction_field[] = {{"tx_id", OZ_LONG, 0},
                                                    {"at", OZ_TIMESTAMP, OZ_TIME_ISO},
                                                    {"customer", OZ_STRING, 0},
                                                    {"terminal", OZ_STRING, 0},
                                                    {"amount", OZ_DOUBLE, 0}};
static const struct oz_field label_field[] = {{"tx_id", OZ_LONG, 0},
                                              {"at", OZ_TIMESTAMP, OZ_TIME_ISO},
                                              {"reported_at", OZ_TIMESTAMP, OZ_TIME_ISO},
                                              {"customer", OZ_STRING, 0},
                                              {"terminal", OZ_STRING, 0},
                                              {"fraud", OZ_BOOLEAN, 0}};
static const struct oz_schema schema[] = {
    [OZ_FRAUD_TRANSACTION] = {.name = "transactions",
                              .field = transaction_field,
                              .n_fields = 5,
                              .id = 0,
                              .key = 2,
                              .time = 1,
                              .arrival = -1,
                              .scored = true,
                              .lateness_us = 10 * OZ_US_PER_MINUTE,
                              .max_future_us = OZ_US_PER_MINUTE},
    [OZ_FRAUD_LABEL] = {.name = "labels",
                        .field = label_field,
                        .n_fields = 6,
                        .id = 0,
                        .key = 3,
                        .time = 1,
                        .arrival = 2,
                        .max_future_us = OZ_US_PER_MINUTE},
};

static struct oz_fraud_generator *new_generator(const struct oz_fraud_config *config)
{
    struct oz_fraud_generator *gen;
    struct oz_error err;
    assert_int_equal(oz_fraud_generator_new(config, &gen, &err), OZ_OK);
    return gen;
}

static struct oz_fraud_config small_config(void)
{
    struct oz_fraud_config config = oz_fraud_defaults();
    config.customers = 300, config.terminals = 600, config.days = 40;
    return config;
}

static void assert_near(double v, double expected, double share)
{
    if (!(v > expected * (1 - share) && v < expected * (1 + share)))
        fail_msg("%g is not within %g %% of %g", v, 100 * share, expected);
}

struct tally {
    uint64_t n, n_labels, n_fraud_labels, n_late, n_very_late, n_repeats, n_broken[5], n_kind[4];
    uint64_t n_weekend, n_night;
    double cents;
};

static struct tally count(const struct oz_fraud_config *config)
{
    struct tally tally = {0};
    struct oz_fraud_generator *gen = new_generator(config);
    struct oz_fraud_event event;
    struct oz_error err;
    int64_t last_us = INT64_MIN;
    while (oz_fraud_generator_next(gen, &event)) {
        assert_true(event.arrival_us >= last_us);
        last_us = event.arrival_us;
        if (event.kind == OZ_FRAUD_LABEL) {
            int64_t after_us = event.arrival_us - event.at_us;
            assert_true(after_us >= OZ_US_PER_HOUR && after_us <= 7 * OZ_US_PER_DAY);
            tally.n_labels++, tally.n_fraud_labels += event.fraud;
            continue;
        }
        if (event.repeat) {
            tally.n_repeats++;
            continue;
        }
        int64_t after_us = event.arrival_us - event.at_us;
        assert_true(event.late ? after_us >= OZ_US_PER_MINUTE : after_us < OZ_US_PER_SECOND);
        tally.n++, tally.n_kind[event.fraud_kind]++, tally.n_broken[event.broken]++;
        tally.n_late += event.late, tally.n_very_late += after_us > 10 * OZ_US_PER_MINUTE;
        tally.n_weekend += oz_weekday_of(event.at_us) >= 6;
        tally.n_night += oz_hour_of(event.at_us) <= 6;
        tally.cents += (double)event.cents;
    }
    assert_int_equal(oz_fraud_generator_status(gen, &err), OZ_OK);
    oz_fraud_generator_free(gen);
    return tally;
}

static void test_like_the_handbook(void **state)
{
    (void)state;
    struct oz_fraud_config config = oz_fraud_defaults();
    config.days = 122;
    int64_t start_us = oz_thread_cpu_us();
    struct tally t = count(&config);
    double seconds = (double)(oz_thread_cpu_us() - start_us) * 1e-6, n = (double)t.n;
    double frauds = (double)(t.n_kind[1] + t.n_kind[2] + t.n_kind[3]);
    printf("%llu transactions in %.2f s, %.3f %% fraud: %llu, %llu, %llu; mean %.2f; weekend %.3f, "
           "night %.3f\n",
           (unsigned long long)t.n, seconds, 100 * frauds / n, (unsigned long long)t.n_kind[1],
           (unsigned long long)t.n_kind[2], (unsigned long long)t.n_kind[3], t.cents / n / 100,
           (double)t.n_weekend / n, (double)t.n_night / n);
    assert_near(n / 122, 9588, 0.03);
    assert_near(100 * frauds / n, 0.809, 0.12);
    assert_near((double)t.n_kind[OZ_FRAUD_AMOUNT], 660, 0.3);
    assert_near((double)t.n_kind[OZ_FRAUD_TERMINAL], 5749, 0.12);
    assert_near((double)t.n_kind[OZ_FRAUD_CARD], 3056, 0.15);
    assert_near(t.cents / n, 5360, 0.04);                   /* 53.6 */
    assert_near((double)t.n_weekend / n, 36.0 / 122, 0.03); /* 18 Saturdays, 18 Sundays */
    assert_near((double)t.n_late / n, 0.002, 0.1);
    assert_near((double)t.n_very_late / n, 0.001, 0.15);
    assert_near((double)t.n_repeats / n, 0.001, 0.15);
    for (int way = OZ_FRAUD_CUT; way <= OZ_FRAUD_FUTURE; way++)
        assert_near((double)t.n_broken[way] / n, 0.00005, 0.5);
    assert_true((double)t.n_fraud_labels == frauds);
    assert_near((double)(t.n_labels - t.n_fraud_labels) / n, 0.02, 0.05);
}

/* Rates go with the population; a city so small that some cards reach nothing works too. */
static void test_populations(void **state)
{
    (void)state;
    struct oz_fraud_config config = oz_fraud_defaults();
    config.customers = 20000, config.terminals = 5000, config.days = 30;
    struct tally t = count(&config);
    assert_near((double)t.n / 30, 4 * 9588, 0.03);
    config.customers = 1, config.terminals = 1, config.days = 200;
    count(&config);
    config.customers = 3, config.terminals = 30, config.days = 100;
    t = count(&config);
    assert_true(t.n > 100 && t.n < 1400);
}

/* A hash of everything that an event says, seed by seed. */
static struct oz_u128 digest(const struct oz_fraud_config *config, struct oz_buf *all,
                             uint64_t n_most)
{
    struct oz_fraud_generator *gen = new_generator(config);
    struct oz_fraud_event event;
    oz_buf_reset(all);
    for (uint64_t n = 0; n < n_most && oz_fraud_generator_next(gen, &event); n++) {
        oz_buf_printf(all, "%d %lld %d %d%d%d ", event.kind, (long long)event.arrival_us,
                      event.fraud_kind, event.broken, event.late, event.repeat);
        oz_buf_put(all, event.key, event.key_len);
        oz_buf_put_u8(all, ' ');
        oz_buf_put(all, event.value, event.value_len);
        oz_buf_put_u8(all, '\n');
    }
    assert_false(all->failed);
    oz_fraud_generator_free(gen);
    return oz_hash128(all->data, all->len);
}

static void test_same_seed_same_bytes(void **state)
{
    (void)state;
    struct oz_buf all;
    oz_buf_init(&all);
    struct oz_fraud_config config = small_config();
    struct oz_u128 a = digest(&config, &all, UINT64_MAX), b = digest(&config, &all, UINT64_MAX);
    assert_true(a.lo == b.lo && a.hi == b.hi);
    config.start_us += 5 * OZ_US_PER_HOUR; /* days begin at midnight */
    b = digest(&config, &all, UINT64_MAX);
    assert_true(a.lo == b.lo && a.hi == b.hi);
    config.seed++;
    b = digest(&config, &all, UINT64_MAX);
    assert_true(a.lo != b.lo);

    config = oz_fraud_defaults();
    digest(&config, &all, 100000);
    char hex[65];
    oz_sha256_hex(all.data, all.len, hex);
    assert_string_equal(hex, PIN);
    oz_buf_clear(&all);
}

/* Disorder moves and damages single records; all the others are the same bytes as without it. */
static void test_disorder_leaves_the_rest(void **state)
{
    (void)state;
    struct oz_fraud_config config = small_config();
    config.late_rate = 0.2, config.repeat_rate = 0.1, config.broken_rate = 0.1;
    struct oz_fraud_config orderly = config;
    orderly.late_rate = orderly.repeat_rate = orderly.broken_rate = 0;
    orderly.by_event_time = true;
    struct oz_fraud_event event;
    enum { N_MOST = 60000 };
    static uint64_t hash[N_MOST];
    struct oz_fraud_generator *gen = new_generator(&orderly);
    int64_t n = 0, last_us = INT64_MIN;
    while (oz_fraud_generator_next(gen, &event)) {
        if (event.kind == OZ_FRAUD_LABEL) continue;
        assert_true(event.tx_id == n && n < N_MOST && event.at_us >= last_us);
        assert_true(event.arrival_us == event.at_us && !event.late && !event.repeat);
        last_us = event.at_us;
        hash[n++] = oz_hash64(event.value, event.value_len);
    }
    oz_fraud_generator_free(gen);
    assert_true(n > 20000);
    gen = new_generator(&config);
    int64_t n_first = 0, n_repeats = 0, n_late = 0, n_broken = 0;
    while (oz_fraud_generator_next(gen, &event)) {
        if (event.kind == OZ_FRAUD_LABEL) continue;
        n_first += !event.repeat, n_repeats += event.repeat;
        n_late += event.late && !event.repeat, n_broken += event.broken != OZ_FRAUD_WHOLE;
        bool same = hash[event.tx_id] == oz_hash64(event.value, event.value_len);
        assert_true(same == (event.broken == OZ_FRAUD_WHOLE));
    }
    oz_fraud_generator_free(gen);
    assert_true(n_first == n);
    assert_near((double)n_late / (double)n, 0.2, 0.1);
    assert_near((double)n_broken / (double)n, 0.1, 0.1);
    assert_near((double)n_repeats / (double)n, 0.09, 0.1); /* broken ones are not repeated */
}

static bool is_name(const struct oz_str *str, char letter, uint32_t number)
{
    char name[16];
    int len = snprintf(name, sizeof(name), "%c%u", letter, number);
    return str->len == (uint32_t)len && !memcmp(str->data, name, str->len);
}

static void check_row(const struct oz_fraud_event *event, const struct oz_table *table)
{
    const struct oz_column *column = table->column;
    bool label = event->kind == OZ_FRAUD_LABEL;
    assert_true(column[0].i64[0] == event->tx_id && column[1].i64[0] == event->at_us);
    assert_true(is_name(&column[label ? 3 : 2].str[0], 'c', event->customer));
    assert_true(is_name(&column[label ? 4 : 3].str[0], 't', event->terminal));
    if (label) {
        assert_true(column[2].i64[0] == event->arrival_us);
        assert_int_equal(column[5].boolean[0], event->fraud);
    } else {
        assert_true(column[4].f64[0] == (double)event->cents / 100);
    }
    struct oz_str key = {event->key, (uint32_t)event->key_len};
    assert_true(is_name(&key, 'c', event->customer));
}

static void test_records_decode(void **state)
{
    (void)state;
    static const enum oz_decode_stage stages[] = {OZ_DECODE_OK, OZ_DECODE_BAD, OZ_DECODE_KEY,
                                                  OZ_DECODE_BAD, OZ_DECODE_TIME};
    struct oz_fraud_config config = small_config();
    config.broken_rate = 0.05;
    struct oz_decoder *decoder[2];
    struct oz_table table[2];
    struct oz_arena arena;
    struct oz_error err;
    oz_arena_init(&arena, 1024);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(oz_json_decoder_new(&schema[i], &decoder[i], &err), OZ_OK);
        assert_int_equal(oz_table_init(&table[i], &schema[i], 1, &err), OZ_OK);
    }
    struct oz_fraud_generator *gen = new_generator(&config);
    struct oz_fraud_event event;
    int n_of[OZ_COUNT_OF(stages)] = {0}, n_labels = 0;
    while (oz_fraud_generator_next(gen, &event)) {
        enum oz_decode_stage stage;
        uint64_t nulled;
        oz_arena_reset(&arena);
        enum oz_status status =
            oz_decode(decoder[event.kind], event.value, event.value_len, event.arrival_us,
                      &table[event.kind], 0, &arena, &stage, &nulled, &err);
        bool label = event.kind == OZ_FRAUD_LABEL;
        if (label)
            n_labels++;
        else
            n_of[event.broken]++;
        assert_int_equal(stage, label ? OZ_DECODE_OK : stages[event.broken]);
        if (status == OZ_OK) check_row(&event, &table[event.kind]);
    }
    for (size_t i = 0; i < OZ_COUNT_OF(stages); i++) assert_true(n_of[i] > 100);
    assert_true(n_labels > 100);
    oz_fraud_generator_free(gen);
    for (int i = 0; i < 2; i++) oz_decoder_free(decoder[i]), oz_table_clear(&table[i]);
    oz_arena_clear(&arena);
}

static void count_days(void *ctx, uint32_t days_done, uint32_t days)
{
    uint32_t *n = ctx;
    assert_true(days_done == ++*n && days == 40);
}

static void test_files(void **state)
{
    (void)state;
    char folder[] = "/tmp/test_fraud_generator_XXXXXX", path[2][80];
    static const char *const name[] = {"transactions", "labels"};
    assert_non_null(mkdtemp(folder));
    struct oz_fraud_config config = small_config();
    config.late_rate = 0.2, config.repeat_rate = 0.1, config.broken_rate = 0.05;
    struct oz_error err;
    uint32_t n_days = 0;
    struct oz_fraud_progress progress = {count_days, &n_days};
    assert_int_equal(oz_fraud_generator_write(&config, folder, &progress, &err), OZ_OK);
    assert_int_equal(n_days, 40);

    /* One file at a time: their records, in order, are the events of that kind. */
    config.by_event_time = true;
    for (uint32_t kind = 0; kind < 2; kind++) {
        snprintf(path[kind], sizeof(path[kind]), "%s/%s.jsonl.zst", folder, name[kind]);
        struct oz_file_spec spec = {kind, path[kind], &schema[kind]};
        struct oz_source *src;
        assert_int_equal(oz_file_source_open(&spec, 1, &src, &err), OZ_OK);
        struct oz_fraud_generator *gen = new_generator(&config);
        struct oz_fraud_event event;
        struct oz_record record;
        size_t n;
        while (oz_fraud_generator_next(gen, &event)) {
            if (event.kind != (enum oz_fraud_event_kind)kind) continue;
            if (oz_source_next(src, 1, 0, &record, &n, &err) != OZ_OK) fail_msg("%s", err.message);
            assert_int_equal(n, 1);
            assert_int_equal(record.value_len, event.value_len);
            assert_memory_equal(record.value, event.value, event.value_len);
            oz_source_release(src, &record, 1);
        }
        assert_int_equal(oz_source_next(src, 1, 0, &record, &n, &err), OZ_OK);
        assert_true(n == 0 && oz_source_at_end(src));
        oz_source_close(src);
        oz_fraud_generator_free(gen);
        unlink(path[kind]);
    }
    assert_int_equal(rmdir(folder), 0); /* no half-written file is left */
    assert_int_equal(oz_fraud_generator_write(&config, folder, NULL, &err), OZ_ENVIRONMENT);
    assert_non_null(strstr(err.message, "cannot create /tmp/test_fraud_generator_"));
}

static void test_memory_is_bounded(void **state)
{
    (void)state;
    struct oz_fraud_config config = small_config();
    config.days = 400;
    struct oz_fraud_generator *gen = new_generator(&config);
    struct oz_fraud_event event;
    uint64_t at_day_30 = 0;
    while (oz_fraud_generator_next(gen, &event))
        if (!at_day_30 && event.arrival_us > config.start_us + 30 * OZ_US_PER_DAY)
            at_day_30 = oz_allocations();
    /* A day that is busier than all before may grow a buffer once more. */
    assert_true(oz_allocations() - at_day_30 <= 2);
    oz_fraud_generator_free(gen);
    config.days = 12;
    for (uint64_t n = 1;; n++) {
        struct oz_error err;
        oz_fail_allocation(n);
        enum oz_status status = oz_fraud_generator_new(&config, &gen, &err);
        if (status == OZ_OK) {
            while (oz_fraud_generator_next(gen, &event)) {
            }
            status = oz_fraud_generator_status(gen, &err);
            oz_fraud_generator_free(gen);
        }
        oz_fail_allocation(0);
        if (status == OZ_OK) {
            assert_true(n > 8);
            break;
        }
        assert_int_equal(status, OZ_NO_MEMORY);
    }
}

static void test_bad_numbers(void **state)
{
    (void)state;
    struct oz_fraud_generator *gen;
    struct oz_error err;
    struct oz_fraud_config config = oz_fraud_defaults();
    config.customers = 0;
    assert_int_equal(oz_fraud_generator_new(&config, &gen, &err), OZ_USAGE);
    assert_non_null(strstr(err.message, "customers is 0: expected 1 to 1e+07"));
    config = oz_fraud_defaults();
    config.late_rate = 1.5;
    assert_int_equal(oz_fraud_generator_new(&config, &gen, &err), OZ_USAGE);
    assert_non_null(strstr(err.message, "late_rate is 1.5"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_like_the_handbook),
        cmocka_unit_test(test_populations),
        cmocka_unit_test(test_same_seed_same_bytes),
        cmocka_unit_test(test_disorder_leaves_the_rest),
        cmocka_unit_test(test_records_decode),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_bad_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
