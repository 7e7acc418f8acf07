/* Proves that the source gives every record of several topics and partitions once, in the order of
 * the logs' own time, knows when it is at the end and how far behind it is, keeps keys, tombstones
 * and headers, and reads again after a seek. How: records are written through the sink into the
 * embedded broker; what must come is that list of ours, sorted by (time, unscored first, source,
 * partition, offset) with qsort. */
#include "stream/kafka_source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/clock.h"
#include "stream/embedded_broker.h"
#include "stream/sink.h"

enum { PARTITIONS = 4, SOURCES = 2, RECORDS = 3000, BATCH = 257, WAIT_US = 20000000 };
#define FIRST_MS INT64_C(1600000000000)

static const char *const topic[SOURCES] = {"events", "labels"};
static const bool scored[SOURCES] = {true, false};
static struct oz_error err;

struct wanted {
    int64_t time_ms, offset;
    uint32_t source, partition;
    int number;
};
static struct wanted want[RECORDS];

#define OK(call)                                                                                   \
    do {                                                                                           \
        enum oz_status status_ = (call);                                                           \
        if (status_ != OZ_OK) fail_msg("%s: %s: %s", #call, oz_status_text(status_), err.message); \
    } while (0)

static int in_order(const void *x, const void *y)
{
    const struct wanted *a = x, *b = y;
    if (a->time_ms != b->time_ms) return a->time_ms < b->time_ms ? -1 : 1;
    if (scored[a->source] != scored[b->source]) return scored[a->source] ? 1 : -1;
    if (a->source != b->source) return a->source < b->source ? -1 : 1;
    if (a->partition != b->partition) return a->partition < b->partition ? -1 : 1;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* Every seventh has no key, every eleventh no value, every thirteenth two headers. */
static void write_one(struct oz_sink *sink, uint32_t to, const struct wanted *one)
{
    char text[16];
    int len = snprintf(text, sizeof text, "%d", one->number);
    struct oz_header header[2] = {{"a", text, (size_t)len}, {"b", NULL, 0}};
    struct oz_message message = {.topic = to,
                                 .partition = (int32_t)one->partition,
                                 .key = one->number % 7 ? text : NULL,
                                 .key_len = (size_t)len,
                                 .value = one->number % 11 ? text : NULL,
                                 .value_len = (size_t)len,
                                 .timestamp_ms = one->time_ms,
                                 .header = header,
                                 .n_headers = one->number % 13 ? 0 : 2};
    OK(oz_sink_produce(sink, &message, 1, &err));
}

static void check_one(struct oz_source *source, const struct oz_record *record,
                      const struct wanted *one)
{
    char text[16];
    struct oz_header header[4];
    int len = snprintf(text, sizeof text, "%d", one->number);
    assert_int_equal(record->source, one->source);
    assert_int_equal(record->partition, one->partition);
    assert_int_equal(record->offset, one->offset);
    assert_int_equal(record->timestamp_ms, one->time_ms);
    if (one->number % 7) {
        assert_int_equal(record->key_len, len);
        assert_memory_equal(record->key, text, (size_t)len);
    } else {
        assert_null(record->key);
    }
    if (one->number % 11) {
        assert_int_equal(record->value_len, len);
        assert_memory_equal(record->value, text, (size_t)len);
    } else {
        assert_null(record->value);
    }
    size_t n = oz_source_headers(source, record, header, 4);
    assert_int_equal(n, one->number % 13 ? 0 : 2);
    if (!n) return;
    assert_string_equal(header[0].name, "a");
    assert_int_equal(header[0].len, len);
    assert_memory_equal(header[0].value, text, (size_t)len);
    assert_null(header[1].value);
    assert_int_equal(oz_source_headers(source, record, header, 1), 1);
}

/* Reads want[first, RECORDS) and then nothing. */
static void read_rest(struct oz_source *source, size_t first)
{
    static struct oz_record record[BATCH];
    int64_t until_us = oz_monotonic_us() + WAIT_US;
    size_t n, at = first;
    while (at < RECORDS) {
        assert_true(oz_monotonic_us() < until_us);
        OK(oz_source_next(source, BATCH, 2000, record, &n, &err));
        assert_true(at + n <= RECORDS);
        for (size_t i = 0; i < n; i++) check_one(source, &record[i], &want[at + i]);
        oz_source_release(source, record, n);
        at += n;
        if (at < RECORDS && n)
            assert_in_range(oz_kafka_source_lag(source), 1, (int64_t)(RECORDS - at));
    }
    while (!oz_source_at_end(source)) {
        assert_true(oz_monotonic_us() < until_us);
        OK(oz_source_next(source, BATCH, 2000, record, &n, &err));
        assert_int_equal(n, 0);
    }
    assert_int_equal(oz_kafka_source_lag(source), 0);
}

static void test_order_end_and_seek(void **state)
{
    struct oz_embedded_broker *broker = *state;
    struct oz_kafka_setting setting[] = {{"bootstrap.servers", oz_embedded_broker_address(broker)}};
    struct oz_kafka_config config = {.setting = setting, .n_settings = 1, .client_id = "test"};
    struct oz_sink *sink = NULL;
    uint32_t to[SOURCES], n_partitions;
    OK(oz_sink_open(&config, NULL, WAIT_US, &sink, &err));
    for (uint32_t s = 0; s < SOURCES; s++)
        OK(oz_sink_topic(sink, topic[s], true, &to[s], &n_partitions, &err));
    /* Times go up in every partition, with many ties across them; partition 3 of labels stays
     * empty. */
    srand(3);
    int64_t offset[PARTITIONS][SOURCES] = {{0}}, time_ms = FIRST_MS;
    for (int i = 0; i < RECORDS; i++) {
        uint32_t s = rand() % 4 == 0, p = (uint32_t)rand() % (s ? 3 : PARTITIONS);
        time_ms += rand() % 3 == 0;
        want[i] = (struct wanted){time_ms, offset[p][s]++, s, p, i};
        write_one(sink, to[s], &want[i]);
    }
    OK(oz_sink_flush(sink, &err));
    qsort(want, RECORDS, sizeof *want, in_order);

    struct oz_positions pos;
    OK(oz_positions_init(&pos, PARTITIONS, SOURCES, 0, &err));
    for (int i = 0; i < PARTITIONS * SOURCES; i++) pos.source[i] = 0;
    struct oz_kafka_source_config c = {.client = config,
                                       .group = "ouzel.test",
                                       .instance = "one",
                                       .topic = topic,
                                       .scored = scored,
                                       .n_sources = SOURCES,
                                       .n_partitions = PARTITIONS,
                                       .max_idle_us = 5000000,
                                       .exactly_once = false,
                                       .queue_bytes = 8 << 20};
    struct oz_source *source = NULL;
    OK(oz_kafka_source_open(&c, &pos, WAIT_US, NULL, &source, &err));
    read_rest(source, 0);
    /* Back to the start, and to the state behind the first 1000 records of the merge. */
    OK(oz_kafka_source_seek(source, &pos, &err));
    assert_false(oz_source_at_end(source));
    read_rest(source, 0);
    for (int i = 0; i < 1000; i++)
        pos.source[want[i].partition * SOURCES + want[i].source] = want[i].offset + 1;
    OK(oz_kafka_source_seek(source, &pos, &err));
    read_rest(source, 1000);

    /* Offsets outside of a transaction. */
    struct oz_positions got;
    OK(oz_positions_init(&got, PARTITIONS, SOURCES, 0, &err));
    OK(oz_sink_commit_offsets(source, &pos, &err));
    OK(oz_kafka_committed(&config, "ouzel.test", topic, &got, &err));
    assert_memory_equal(got.source, pos.source, PARTITIONS * SOURCES * sizeof *pos.source);

    /* A record at an idle source comes at once, although the other partitions have none. */
    struct oz_record record;
    struct wanted one = {time_ms + 1, offset[0][0], 0, 0, 1};
    write_one(sink, to[0], &one);
    OK(oz_sink_flush(sink, &err));
    size_t n = 0;
    int64_t start_us = oz_monotonic_us();
    while (!n) OK(oz_source_next(source, 1, 2000, &record, &n, &err));
    assert_true(oz_monotonic_us() - start_us < 1000000);
    check_one(source, &record, &one);
    oz_source_release(source, &record, 1);

    oz_source_close(source);
    oz_sink_close(sink);
    oz_positions_clear(&pos);
    oz_positions_clear(&got);
}

static void test_offset_beyond_the_end(void **state)
{
    struct oz_embedded_broker *broker = *state;
    struct oz_kafka_setting setting[] = {{"bootstrap.servers", oz_embedded_broker_address(broker)}};
    struct oz_positions pos;
    OK(oz_positions_init(&pos, PARTITIONS, 1, 0, &err));
    for (int i = 0; i < PARTITIONS; i++) pos.source[i] = 0;
    pos.source[1] = 123456;
    struct oz_kafka_source_config c = {.client = {setting, 1, "test"},
                                       .group = "ouzel.lost",
                                       .instance = "one",
                                       .topic = topic,
                                       .scored = scored,
                                       .n_sources = 1,
                                       .n_partitions = PARTITIONS};
    struct oz_source *source = NULL;
    assert_int_equal(oz_kafka_source_open(&c, &pos, WAIT_US, NULL, &source, &err), OZ_LOST);
    assert_non_null(strstr(err.message, "events partition 1: offset 123456 is gone"));
    /* A missing offset is a defect of the caller, not a start at zero. */
    pos.source[1] = OZ_NO_OFFSET;
    assert_int_equal(oz_kafka_source_open(&c, &pos, WAIT_US, NULL, &source, &err), OZ_DEFECT);
    oz_positions_clear(&pos);
}

static int start(void **state)
{
    struct oz_embedded_broker *broker = NULL;
    OK(oz_embedded_broker_start(&broker, &err));
    for (int s = 0; s < SOURCES; s++)
        OK(oz_embedded_broker_topic(broker, topic[s], PARTITIONS, &err));
    *state = broker;
    return 0;
}

static int stop(void **state)
{
    oz_embedded_broker_stop(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_end_and_seek),
        cmocka_unit_test(test_offset_beyond_the_end),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
