/* Proves on a real broker what the epoch rests on, through the engine's own source, sink and
 * changelog: what an abort hides, which offsets are committed, that a seek reads again without a
 * gap, that a second member and a second producer are kept out, that a lost offset is told, and
 * that a changelog is read to its end past aborted transactions and never past an open one. How:
 * `test_kafka_semantics BOOTSTRAP`, or KAFKA in the environment; each test has topics of its own,
 * named by the process. Expected records are those that the test produced, counted by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/log.h"
#include "stream/kafka_source.h"
#include "stream/sink.h"

enum {
    PARTITIONS = 4,
    WAIT_US = 20000000,
    SHORT_WAIT_US = 3000000,
    BATCH = 1000,
    VALUE_BYTES = 32
};

static struct oz_kafka_setting setting[] = {{"bootstrap.servers", NULL},
                                            {"transaction.timeout.ms", "10000"}};
static const struct oz_kafka_config config = {
    .setting = setting, .n_settings = 2, .client_id = "semantics"};
static struct oz_error err;
static int n_names;

#define OK(call)                                                                                   \
    do {                                                                                           \
        enum oz_status status_ = (call);                                                           \
        if (status_ != OZ_OK) fail_msg("%s: %s: %s", #call, oz_status_text(status_), err.message); \
    } while (0)

/* Topics, sinks, sources */

static void name_of(char to[64], const char *what)
{
    snprintf(to, 64, "semantics-%d-%s-%d", (int)getpid(), what, n_names++);
}

static void make_topic(char to[64], const char *what, bool compacted)
{
    bool created = false;
    name_of(to, what);
    struct oz_new_topic topic = {to, PARTITIONS, 1, compacted};
    OK(oz_kafka_create_topics(&config, &topic, 1, &created, &err));
    assert_true(created);
}

static struct oz_sink *open_sink(const char *id)
{
    struct oz_sink *sink = NULL;
    OK(oz_sink_open(&config, id, WAIT_US, &sink, &err));
    return sink;
}

static uint32_t sink_topic(struct oz_sink *sink, const char *name)
{
    uint32_t topic = 0, n = 0;
    OK(oz_sink_topic(sink, name, true, &topic, &n, &err));
    assert_int_equal(n, PARTITIONS);
    return topic;
}

/* n records with values first, first + 1, ..., round the partitions, times as their numbers. */
static void put(struct oz_sink *sink, uint32_t topic, int first, int n)
{
    for (int i = first; i < first + n; i++) {
        char value[VALUE_BYTES];
        int len = snprintf(value, sizeof value, "%d", i);
        struct oz_header header = {"n", value, (size_t)len};
        struct oz_message message = {.topic = topic,
                                     .partition = i % PARTITIONS,
                                     .key = value,
                                     .key_len = (size_t)len,
                                     .value = value,
                                     .value_len = (size_t)len,
                                     .timestamp_ms = 1600000000000 + i,
                                     .header = &header,
                                     .n_headers = i % 2};
        OK(oz_sink_produce(sink, &message, 1, &err));
    }
}

static void positions(struct oz_positions *pos, uint32_t n_entities, int64_t offset)
{
    OK(oz_positions_init(pos, PARTITIONS, 1, n_entities, &err));
    for (int p = 0; p < PARTITIONS; p++) pos->source[p] = offset;
}

static enum oz_status try_source(const char *group, const char *instance, const char *topic,
                                 bool committed, const struct oz_positions *from, int64_t wait_us,
                                 struct oz_source **ret)
{
    static const bool scored[] = {true};
    struct oz_kafka_source_config c = {.client = config,
                                       .group = group,
                                       .instance = instance,
                                       .topic = &topic,
                                       .scored = scored,
                                       .n_sources = 1,
                                       .n_partitions = PARTITIONS,
                                       .max_idle_us = 1000000,
                                       .exactly_once = committed,
                                       .queue_bytes = 16 << 20};
    return oz_kafka_source_open(&c, from, wait_us, NULL, ret, &err);
}

static struct oz_source *open_source(const char *group, const char *topic, bool committed,
                                     const struct oz_positions *from)
{
    struct oz_source *source = NULL;
    OK(try_source(group, "one", topic, committed, from, WAIT_US, &source));
    return source;
}

/* Reads until the end; returns how many and counts each value in seen[]. */
static int drain(struct oz_source *source, int *seen, int n_seen, struct oz_positions *next)
{
    static struct oz_record record[BATCH];
    int all = 0;
    int64_t until_us = oz_monotonic_us() + WAIT_US;
    do {
        size_t n = 0;
        OK(oz_source_next(source, BATCH, 2000, record, &n, &err));
        for (size_t i = 0; i < n; i++) {
            char value[VALUE_BYTES] = {0};
            assert_in_range(record[i].value_len, 1, VALUE_BYTES - 1);
            memcpy(value, record[i].value, record[i].value_len);
            int x = atoi(value);
            assert_in_range(x, 0, n_seen - 1);
            assert_int_equal(record[i].partition, x % PARTITIONS);
            assert_int_equal(record[i].timestamp_ms, 1600000000000 + x);
            struct oz_header header[2];
            assert_int_equal(oz_source_headers(source, &record[i], header, 2), x % 2);
            if (x % 2) assert_string_equal(header[0].name, "n");
            if (seen) seen[x]++;
            if (next) next->source[record[i].partition] = record[i].offset + 1;
        }
        oz_source_release(source, record, n);
        all += (int)n;
        assert_true(oz_monotonic_us() < until_us);
    } while (!oz_source_at_end(source));
    return all;
}

/* Tests */

static void test_abort_hides_what_was_written(void **state)
{
    (void)state;
    char topic[64], group[64], id[64];
    make_topic(topic, "abort", false);
    name_of(group, "group"), name_of(id, "id");
    struct oz_sink *sink = open_sink(id);
    uint32_t t = sink_topic(sink, topic);
    OK(oz_sink_begin(sink, &err));
    put(sink, t, 0, 100);
    OK(oz_sink_commit(sink, &err));
    OK(oz_sink_begin(sink, &err));
    put(sink, t, 100, 50);
    usleep(500000); /* so that they are really written; an abort throws away what is not */
    OK(oz_sink_abort(sink, &err));
    OK(oz_sink_begin(sink, &err));
    put(sink, t, 150, 30);
    OK(oz_sink_commit(sink, &err));
    OK(oz_sink_begin(sink, &err));
    put(sink, t, 180, 20);
    usleep(500000);

    int seen[200] = {0};
    struct oz_positions from;
    positions(&from, 0, 0);
    struct oz_source *source = open_source(group, topic, true, &from);
    assert_int_equal(drain(source, seen, 200, NULL), 130);
    for (int i = 0; i < 200; i++) assert_int_equal(seen[i], i < 100 || (i >= 150 && i < 180));
    oz_source_close(source);

    name_of(group, "group");
    source = open_source(group, topic, false, &from);
    assert_int_equal(drain(source, NULL, 200, NULL), 200);
    oz_source_close(source);
    OK(oz_sink_abort(sink, &err));
    oz_sink_close(sink);
    oz_positions_clear(&from);
}

static void test_offsets_follow_the_transaction(void **state)
{
    (void)state;
    char in[64], out[64], group[64], id[64];
    make_topic(in, "in", false), make_topic(out, "out", false);
    name_of(group, "group"), name_of(id, "id");
    const char *topic = in;
    struct oz_sink *sink = open_sink(id);
    uint32_t t_in = sink_topic(sink, in), t_out = sink_topic(sink, out);
    OK(oz_sink_begin(sink, &err));
    put(sink, t_in, 0, 400);
    OK(oz_sink_commit(sink, &err));

    struct oz_positions from, next, got;
    positions(&from, 0, 0), positions(&next, 0, OZ_NO_OFFSET), positions(&got, 0, 0);
    OK(oz_kafka_committed(&config, group, &topic, &got, &err));
    for (int p = 0; p < PARTITIONS; p++) assert_int_equal(got.source[p], OZ_NO_OFFSET);
    OK(oz_kafka_start_offsets(&config, &topic, OZ_KAFKA_EARLIEST, &got, &err));
    for (int p = 0; p < PARTITIONS; p++) assert_int_equal(got.source[p], 0);
    /* A hundred records and a marker each; a commit returns before its markers are written. */
    for (int64_t until_us = oz_monotonic_us() + WAIT_US;;) {
        int n = 0;
        OK(oz_kafka_start_offsets(&config, &topic, OZ_KAFKA_LATEST, &got, &err));
        for (int p = 0; p < PARTITIONS; p++) n += got.source[p] == 101;
        if (n == PARTITIONS) break;
        assert_true(oz_monotonic_us() < until_us);
    }
    OK(oz_kafka_start_offsets(&config, &topic, 1600000000000 + 200, &got, &err));
    for (int p = 0; p < PARTITIONS; p++) assert_int_equal(got.source[p], 50);
    OK(oz_kafka_start_offsets(&config, &topic, 1600000000000 + 400, &got, &err));
    for (int p = 0; p < PARTITIONS; p++)
        assert_int_equal(got.source[p], 100); /* the marker's time */

    struct oz_source *source = open_source(group, in, true, &from);
    assert_int_equal(drain(source, NULL, 400, &next), 400);
    assert_int_equal(oz_kafka_source_lag(source), 0);
    for (int p = 0; p < PARTITIONS; p++) assert_int_equal(next.source[p], 100);

    OK(oz_sink_begin(sink, &err));
    put(sink, t_out, 0, 10);
    OK(oz_sink_offsets(sink, source, &next, &err));
    OK(oz_sink_abort(sink, &err));
    OK(oz_kafka_committed(&config, group, &topic, &got, &err));
    for (int p = 0; p < PARTITIONS; p++) assert_int_equal(got.source[p], OZ_NO_OFFSET);

    OK(oz_sink_begin(sink, &err));
    put(sink, t_out, 0, 10);
    OK(oz_sink_offsets(sink, source, &next, &err));
    OK(oz_sink_commit(sink, &err));
    OK(oz_kafka_committed(&config, group, &topic, &got, &err));
    for (int p = 0; p < PARTITIONS; p++) assert_int_equal(got.source[p], 100);

    /* Offsets that are pending in a transaction are waited for. A second producer of the same id
     * ends it, which is an abort: the answer is the older offset. */
    for (int p = 0; p < PARTITIONS; p++) next.source[p] = 55;
    OK(oz_sink_begin(sink, &err));
    OK(oz_sink_offsets(sink, source, &next, &err));
    struct oz_sink *second = open_sink(id);
    OK(oz_kafka_committed(&config, group, &topic, &got, &err));
    for (int p = 0; p < PARTITIONS; p++) assert_int_equal(got.source[p], 100);
    assert_int_equal(oz_sink_commit(sink, &err), OZ_FENCED);
    oz_sink_close(sink);

    /* At least once: without a transaction. */
    for (int p = 0; p < PARTITIONS; p++) next.source[p] = 77;
    OK(oz_sink_commit_offsets(source, &next, &err));
    OK(oz_kafka_committed(&config, group, &topic, &got, &err));
    for (int p = 0; p < PARTITIONS; p++) assert_int_equal(got.source[p], 77);
    oz_source_close(source);
    oz_sink_close(second);
    oz_positions_clear(&from), oz_positions_clear(&next), oz_positions_clear(&got);
}

/* Reads on from random places, 60 times, some of them in the middle of a fetch. */
static void test_seek_leaves_no_gap(void **state)
{
    (void)state;
    enum { N = 40000, ROUNDS = 60 };
    char topic[64], group[64];
    static struct oz_record record[BATCH];
    make_topic(topic, "seek", false);
    name_of(group, "group");
    struct oz_sink *sink = open_sink(NULL);
    put(sink, sink_topic(sink, topic), 0, N);
    OK(oz_sink_flush(sink, &err));
    oz_sink_close(sink);

    struct oz_positions next;
    positions(&next, 0, 0);
    struct oz_source *source = open_source(group, topic, true, &next);
    srand(7);
    for (int round = 0; round < ROUNDS; round++) {
        int batches = rand() % 6;
        for (int b = 0; b < batches;) {
            size_t n = 0;
            OK(oz_source_next(source, BATCH, 2000, record, &n, &err));
            for (size_t i = 0; i < n; i++) {
                assert_int_equal(record[i].offset, next.source[record[i].partition]);
                next.source[record[i].partition]++;
            }
            oz_source_release(source, record, n);
            b += n > 0 || oz_source_at_end(source);
        }
        for (int p = 0; p < PARTITIONS; p++) next.source[p] = rand() % (N / PARTITIONS + 1);
        OK(oz_kafka_source_seek(source, &next, &err));
    }
    int want = 0;
    for (int p = 0; p < PARTITIONS; p++) want += N / PARTITIONS - (int)next.source[p];
    assert_int_equal(drain(source, NULL, N, &next), want);
    oz_source_close(source);
    oz_positions_clear(&next);
}

static void test_others_are_kept_out(void **state)
{
    (void)state;
    char topic[64], group[64], id[64];
    static struct oz_record record[BATCH];
    size_t n;
    make_topic(topic, "others", false);
    name_of(group, "group"), name_of(id, "id");
    struct oz_positions from;
    positions(&from, 0, 0);
    OK(oz_kafka_group_is_free(&config, group, "one", &err));
    struct oz_source *first = open_source(group, topic, true, &from), *second = NULL;
    OK(oz_kafka_group_is_free(&config, group, "one", &err));
    assert_int_equal(oz_kafka_group_is_free(&config, group, "on", &err), OZ_STATE);
    assert_int_equal(oz_kafka_group_is_free(&config, group, "two", &err), OZ_STATE);
    assert_non_null(strstr(err.message, "one-"));
    assert_non_null(strstr(err.message, "semantics"));

    /* The same instance again takes over, and the first one cannot commit any more. */
    struct oz_sink *sink = open_sink(id);
    OK(oz_sink_begin(sink, &err));
    OK(try_source(group, "one", topic, true, &from, WAIT_US, &second));
    assert_int_equal(oz_sink_offsets(sink, first, &from, &err), OZ_ABORT);
    OK(oz_sink_abort(sink, &err));
    enum oz_status status = OZ_OK;
    for (int i = 0; i < 500 && status == OZ_OK; i++)
        status = oz_source_next(first, BATCH, 2000, record, &n, &err);
    assert_int_equal(status, OZ_FENCED);
    oz_source_close(first);

    /* Another instance that joins without asking first is refused, and the incumbent hears of
     * it. */
    first = NULL;
    assert_int_not_equal(try_source(group, "two", topic, true, &from, SHORT_WAIT_US, &first),
                         OZ_OK);
    assert_null(first);
    status = OZ_OK;
    for (int i = 0; i < 500 && status == OZ_OK; i++)
        status = oz_source_next(second, BATCH, 2000, record, &n, &err);
    assert_int_equal(status, OZ_FENCED);
    oz_source_close(second);
    oz_sink_close(sink);
    oz_positions_clear(&from);
}

/* A just-closed static member comes back at once. */
static void test_restart_is_quick(void **state)
{
    (void)state;
    char topic[64], group[64];
    make_topic(topic, "restart", false);
    name_of(group, "group");
    struct oz_positions from;
    positions(&from, 0, 0);
    oz_source_close(open_source(group, topic, true, &from));
    OK(oz_kafka_group_is_free(&config, group, "one", &err));
    int64_t start_us = oz_monotonic_us();
    oz_source_close(open_source(group, topic, true, &from));
    assert_true(oz_monotonic_us() - start_us < 5000000);
    oz_positions_clear(&from);
}

static void test_lost_offset(void **state)
{
    (void)state;
    char topic[64], group[64];
    static struct oz_record record[BATCH];
    make_topic(topic, "lost", false);
    name_of(group, "group");
    struct oz_positions from;
    positions(&from, 0, 0);
    from.source[2] = 5;
    struct oz_source *source = NULL;
    assert_int_equal(try_source(group, "one", topic, true, &from, WAIT_US, &source), OZ_LOST);
    assert_non_null(strstr(err.message, "partition 2: offset 5 is gone, the log has 0 to 0"));
    /* While running. */
    from.source[2] = 0;
    source = open_source(group, topic, true, &from);
    from.source[2] = 9;
    OK(oz_kafka_source_seek(source, &from, &err));
    enum oz_status status = OZ_OK;
    size_t n;
    for (int i = 0; i < 500 && status == OZ_OK; i++)
        status = oz_source_next(source, BATCH, 2000, record, &n, &err);
    assert_int_equal(status, OZ_LOST);
    assert_non_null(strstr(err.message, "partition 2: offset 9 is gone"));
    oz_source_close(source);
    oz_positions_clear(&from);
}

static void test_missing_topic(void **state)
{
    (void)state;
    char name[64];
    name_of(name, "missing");
    struct oz_topic_info info = {.name = name, .n_partitions = 9};
    OK(oz_kafka_topics(&config, &info, 1, OZ_TOPIC_MAY_BE, WAIT_US, NULL, &err));
    assert_int_equal(info.n_partitions, 0);
    struct oz_sink *sink = open_sink(NULL);
    uint32_t t, n;
    assert_int_equal(oz_sink_topic(sink, name, true, &t, &n, &err), OZ_ENVIRONMENT);
    oz_sink_close(sink);
    /* Asking has not made it. */
    OK(oz_kafka_topics(&config, &info, 1, OZ_TOPIC_MAY_BE, WAIT_US, NULL, &err));
    assert_int_equal(info.n_partitions, 0);
    /* A topic of another size is no answer to a request. */
    bool created;
    struct oz_new_topic topic = {name, 3, -1, false};
    OK(oz_kafka_create_topics(&config, &topic, 1, &created, &err));
    assert_true(created);
    OK(oz_kafka_create_topics(&config, &topic, 1, &created, &err));
    assert_false(created);
    topic.n_partitions = 4;
    assert_int_equal(oz_kafka_create_topics(&config, &topic, 1, &created, &err), OZ_ENVIRONMENT);
}

static void test_too_large(void **state)
{
    (void)state;
    char topic[64];
    static char big[3 << 20];
    make_topic(topic, "large", false);
    struct oz_sink *sink = open_sink(NULL);
    struct oz_message message = {
        .topic = sink_topic(sink, topic), .value = big, .value_len = sizeof big};
    assert_int_equal(oz_sink_produce(sink, &message, 1, &err), OZ_BROKER);
    assert_non_null(strstr(err.message, "too large"));
    oz_sink_close(sink);
}

/* The changelog */

static void seal(struct oz_sealed *sealed, const char *key, uint32_t partition, const char *value)
{
    oz_sealed_row(sealed, 0, partition, key, (uint32_t)strlen(key), 1);
    if (!value) {
        OK(oz_sealed_delete(sealed, OZ_PART_MAIN, &err));
        return;
    }
    oz_buf_puts(oz_sealed_begin(sealed, OZ_PART_MAIN, &err), value);
    OK(oz_sealed_end(sealed, &err));
}

/* What was read, as "key=value " in the order it came. */
static enum oz_status note(void *ctx, const struct oz_changelog_record *record, struct oz_error *e)
{
    struct oz_buf *text = ctx;
    const char *key;
    uint32_t key_len, part;
    OZ_TRY(oz_part_key_parse(record->key, record->key_len, &key, &key_len, &part, e));
    if (!key_len) {
        oz_buf_printf(text, "meta=%.*s ", (int)record->value_len, (const char *)record->value);
        return OZ_OK;
    }
    if (!record->value) {
        oz_buf_printf(text, "%.*s- ", (int)key_len, key);
        return OZ_OK;
    }
    const uint8_t *payload;
    size_t len;
    OZ_TRY(oz_part_open(record->value, record->value_len, 1, &payload, &len, e));
    oz_buf_printf(text, "%.*s=%.*s ", (int)key_len, key, (int)len, (const char *)payload);
    return OZ_OK;
}

static void test_changelog_is_read_to_its_end(void **state)
{
    (void)state;
    char topic[64], id[64], id2[64];
    const char *names[1] = {topic};
    make_topic(topic, "changelog", true);
    name_of(id, "id"), name_of(id2, "id");
    struct oz_sink *sink = open_sink(id);
    struct oz_changelog *log = NULL;
    OK(oz_kafka_changelog_new(sink, &config, names, 1, PARTITIONS, &log, &err));
    struct oz_sealed sealed;
    oz_sealed_init(&sealed);
    struct oz_positions begin, end;
    positions(&begin, 1, 0), positions(&end, 1, 0);
    OK(log->ends(log->ctx, &end, &err));
    for (int p = 0; p < PARTITIONS; p++) assert_int_equal(end.changelog[p], 0);

    OK(oz_sink_begin(sink, &err));
    OK(log->produce_meta(log->ctx, 0, 1, "{}", 2, &err));
    seal(&sealed, "a", 1, "1"), seal(&sealed, "b", 1, "2");
    OK(log->produce(log->ctx, &sealed, &err));
    OK(oz_sink_commit(sink, &err));
    OK(oz_sink_begin(sink, &err));
    oz_sealed_reset(&sealed);
    seal(&sealed, "a", 1, "aborted");
    OK(log->produce(log->ctx, &sealed, &err));
    usleep(100000);
    OK(oz_sink_abort(sink, &err));
    OK(oz_sink_begin(sink, &err));
    oz_sealed_reset(&sealed);
    seal(&sealed, "a", 1, "3"), seal(&sealed, "b", 1, NULL);
    OK(log->produce(log->ctx, &sealed, &err));
    OK(oz_sink_commit(sink, &err));

    struct oz_buf text;
    oz_buf_init(&text);
    struct oz_changelog_visitor visitor = {&text, note, NULL};
    OK(log->begins(log->ctx, &begin, &err));
    OK(log->ends(log->ctx, &end, &err));
    assert_int_equal(begin.changelog[1], 0);
    OK(log->replay(log->ctx, &begin, &end, 5000000, &visitor, &err));
    assert_string_equal(oz_buf_string(&text), "meta={} a=1 b=2 a=3 b- ");

    /* An open transaction of somebody else: read as far as may be, then say so; go on once it
     * ends. */
    struct oz_sink *other = open_sink(id2);
    struct oz_changelog *other_log = NULL;
    OK(oz_kafka_changelog_new(other, &config, names, 1, PARTITIONS, &other_log, &err));
    OK(oz_sink_begin(other, &err));
    oz_sealed_reset(&sealed);
    seal(&sealed, "c", 1, "open");
    OK(other_log->produce(other_log->ctx, &sealed, &err));
    usleep(300000);
    begin.changelog[1] = end.changelog[1];
    OK(log->ends(log->ctx, &end, &err));
    /* And perhaps the marker of the commit before, which had not been written yet. */
    assert_in_range(end.changelog[1], begin.changelog[1] + 1, begin.changelog[1] + 2);
    oz_buf_reset(&text);
    assert_int_equal(log->replay(log->ctx, &begin, &end, 1000000, &visitor, &err), OZ_BROKER);
    assert_non_null(strstr(err.message, "partition 1"));
    assert_int_equal(text.len, 0);
    OK(oz_sink_commit(other, &err));
    OK(log->replay(log->ctx, &begin, &end, 5000000, &visitor, &err));
    assert_string_equal(oz_buf_string(&text), "c=open ");

    /* Beyond the end. */
    begin.changelog[1] = end.changelog[1] + 100;
    end.changelog[1] = begin.changelog[1] + 1;
    assert_int_equal(log->replay(log->ctx, &begin, &end, 5000000, &visitor, &err), OZ_LOST);

    oz_changelog_free(other_log);
    oz_changelog_free(log);
    oz_sink_close(other);
    oz_sink_close(sink);
    oz_buf_clear(&text);
    oz_sealed_clear(&sealed);
    oz_positions_clear(&begin), oz_positions_clear(&end);
}

int main(int argc, char **argv)
{
    setting[0].value = argc > 1 ? argv[1] : getenv("KAFKA");
    if (!setting[0].value) {
        fprintf(stderr, "usage: test_kafka_semantics BOOTSTRAP (or KAFKA in the environment)\n");
        return 2;
    }
    if (argc > 2) cmocka_set_test_filter(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_abort_hides_what_was_written),
        cmocka_unit_test(test_offsets_follow_the_transaction),
        cmocka_unit_test(test_seek_leaves_no_gap),
        cmocka_unit_test(test_others_are_kept_out),
        cmocka_unit_test(test_restart_is_quick),
        cmocka_unit_test(test_lost_offset),
        cmocka_unit_test(test_missing_topic),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_changelog_is_read_to_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
