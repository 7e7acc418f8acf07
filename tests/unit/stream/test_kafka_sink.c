/* Proves which status each failure of a broker becomes at the sink, and that it can go on after an
 * abort. How: librdkafka's mock cluster is told to answer the next requests of a kind with a given
 * error; what each error asks of a transactional client is from Kafka's protocol guide and KIP-98,
 * KIP-447. What such a cluster cannot do (visibility, real fencing) is in
 * tests/e2e/test_kafka_semantics.c. */
#include "stream/sink.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/log.h"
#include "stream/kafka_source.h"

enum { WAIT_US = 10000000, PARTITIONS = 2 };
enum { PRODUCE = 0, OFFSET_COMMIT = 8, ADD_PARTITIONS = 24, END_TXN = 26, TXN_OFFSET_COMMIT = 28 };

static rd_kafka_t *carrier;
static rd_kafka_mock_cluster_t *cluster;
static struct oz_kafka_setting setting[] = {{"bootstrap.servers", NULL}};
static const struct oz_kafka_config config = {
    .setting = setting, .n_settings = 1, .client_id = "test"};
static struct oz_error err;

#define OK(call)                                                                                   \
    do {                                                                                           \
        enum oz_status status_ = (call);                                                           \
        if (status_ != OZ_OK) fail_msg("%s: %s: %s", #call, oz_status_text(status_), err.message); \
    } while (0)

static struct oz_sink *open_sink(const char *id, uint32_t *ret_topic)
{
    struct oz_sink *sink = NULL;
    uint32_t n;
    OK(oz_sink_open(&config, id, WAIT_US, &sink, &err));
    OK(oz_sink_topic(sink, "out", true, ret_topic, &n, &err));
    return sink;
}

static void put(struct oz_sink *sink, uint32_t topic)
{
    struct oz_message message = {.topic = topic, .partition = 1, .value = "v", .value_len = 1};
    OK(oz_sink_produce(sink, &message, 1, &err));
}

static void one_transaction(struct oz_sink *sink, uint32_t topic)
{
    OK(oz_sink_begin(sink, &err));
    put(sink, topic);
    OK(oz_sink_commit(sink, &err));
}

static struct oz_source *open_source(const char *group, struct oz_positions *pos)
{
    static const char *const topic[] = {"in"};
    static const bool scored[] = {true};
    struct oz_source *source = NULL;
    OK(oz_positions_init(pos, PARTITIONS, 1, 0, &err));
    for (int p = 0; p < PARTITIONS; p++) pos->source[p] = 0;
    struct oz_kafka_source_config c = {.client = config,
                                       .group = group,
                                       .instance = "one",
                                       .topic = topic,
                                       .scored = scored,
                                       .n_sources = 1,
                                       .n_partitions = PARTITIONS};
    OK(oz_kafka_source_open(&c, pos, WAIT_US, NULL, &source, &err));
    return source;
}

static void test_commit_is_called_again(void **state)
{
    (void)state;
    uint32_t topic;
    struct oz_sink *sink = open_sink("again", &topic);
    one_transaction(sink, topic);
    OK(oz_sink_begin(sink, &err));
    put(sink, topic);
    rd_kafka_mock_push_request_errors(
        cluster, END_TXN, 3, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_NOT_COORDINATOR);
    OK(oz_sink_commit(sink, &err));
    one_transaction(sink, topic);
    oz_sink_close(sink);
}

static void test_fenced_at_commit(void **state)
{
    (void)state;
    uint32_t topic;
    struct oz_sink *sink = open_sink("fenced", &topic);
    OK(oz_sink_begin(sink, &err));
    put(sink, topic);
    rd_kafka_mock_push_request_errors(cluster, END_TXN, 1,
                                      RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH);
    assert_int_equal(oz_sink_commit(sink, &err), OZ_FENCED);
    assert_int_not_equal(oz_sink_commit(sink, &err), OZ_OK);
    oz_sink_close(sink);
}

/* An epoch whose offsets are refused is thrown away, and the next one goes through. */
static void test_refused_offsets_abort(void **state)
{
    (void)state;
    static const rd_kafka_resp_err_t refusal[] = {RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
                                                  RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
                                                  RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS};
    uint32_t topic;
    struct oz_positions pos;
    struct oz_source *source = open_source("ouzel.sink", &pos);
    struct oz_sink *sink = open_sink("offsets", &topic);
    for (size_t i = 0; i < OZ_COUNT_OF(refusal); i++) {
        OK(oz_sink_begin(sink, &err));
        put(sink, topic);
        rd_kafka_mock_push_request_errors(cluster, TXN_OFFSET_COMMIT, 1, refusal[i]);
        assert_int_equal(oz_sink_offsets(sink, source, &pos, &err), OZ_ABORT);
        assert_int_equal(oz_sink_commit(sink, &err), OZ_ABORT);
        OK(oz_sink_abort(sink, &err));
        OK(oz_sink_begin(sink, &err));
        put(sink, topic);
        OK(oz_sink_offsets(sink, source, &pos, &err));
        OK(oz_sink_commit(sink, &err));
    }
    /* Outside of a transaction. */
    OK(oz_sink_commit_offsets(source, &pos, &err));
    rd_kafka_mock_push_request_errors(cluster, OFFSET_COMMIT, 1,
                                      RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION);
    assert_int_equal(oz_sink_commit_offsets(source, &pos, &err), OZ_FENCED);
    oz_source_close(source);
    oz_sink_close(sink);
    oz_positions_clear(&pos);
}

static void test_refused_records(void **state)
{
    (void)state;
    uint32_t topic;
    /* A record that will never be taken: no abort helps. */
    struct oz_sink *sink = open_sink("large", &topic);
    OK(oz_sink_begin(sink, &err));
    put(sink, topic);
    rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    assert_int_equal(oz_sink_commit(sink, &err), OZ_BROKER);
    assert_non_null(strstr(err.message, "out partition 1"));
    oz_sink_close(sink);

    /* At least once: told by the flush. */
    sink = open_sink(NULL, &topic);
    put(sink, topic);
    OK(oz_sink_flush(sink, &err));
    rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1,
                                      RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    put(sink, topic);
    assert_int_equal(oz_sink_flush(sink, &err), OZ_BROKER);
    assert_non_null(strstr(err.message, "out partition 1"));
    oz_sink_close(sink);
}

static void test_refused_partitions(void **state)
{
    (void)state;
    uint32_t topic;
    struct oz_sink *sink = open_sink("partitions", &topic);
    OK(oz_sink_begin(sink, &err));
    rd_kafka_mock_push_request_errors(cluster, ADD_PARTITIONS, 1,
                                      RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING);
    put(sink, topic);
    assert_int_equal(oz_sink_commit(sink, &err), OZ_ABORT);
    OK(oz_sink_abort(sink, &err));
    one_transaction(sink, topic);
    /* What is forbidden stays so, whatever is aborted. */
    OK(oz_sink_begin(sink, &err));
    rd_kafka_mock_push_request_errors(cluster, ADD_PARTITIONS, 1,
                                      RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    put(sink, topic);
    assert_int_equal(oz_sink_commit(sink, &err), OZ_BROKER);
    OK(oz_sink_abort(sink, &err));
    /* An abort of what did not begin is nothing. */
    OK(oz_sink_abort(sink, &err));
    oz_sink_close(sink);
}

static void test_wrong_calls_are_told(void **state)
{
    (void)state;
    uint32_t topic, other, n;
    struct oz_sink *sink = open_sink(NULL, &topic);
    OK(oz_sink_topic(sink, "out", true, &other, &n, &err));
    assert_int_equal(other, topic);
    assert_int_equal(n, PARTITIONS);
    struct oz_message message = {.topic = topic, .partition = 17, .value = "v", .value_len = 1};
    assert_int_equal(oz_sink_produce(sink, &message, 1, &err), OZ_BROKER);
    assert_non_null(strstr(err.message, "topic out has no partition 17"));
    message.timestamp_ms = 5;
    assert_int_equal(oz_sink_produce(sink, &message, 1, &err), OZ_BROKER);
    assert_non_null(strstr(err.message, "topic out has no partition 17"));
    oz_sink_close(sink);
    oz_sink_close(NULL);
}

/* With a client's queue of ten records, a thousand must still arrive, in order. */
static void test_full_queue_is_waited_for(void **state)
{
    (void)state;
    enum { N = 1000 };
    static struct oz_kafka_setting small[] = {{"bootstrap.servers", NULL},
                                              {"queue.buffering.max.messages", "10"}};
    static struct oz_message message[N];
    static int number[N];
    static struct oz_record record[N];
    small[0].value = setting[0].value;
    struct oz_kafka_config c = {.setting = small, .n_settings = 2, .client_id = "test"};
    struct oz_sink *sink = NULL;
    struct oz_positions pos;
    uint32_t topic, n_partitions;
    OK(oz_sink_open(&c, NULL, WAIT_US, &sink, &err));
    OK(oz_sink_topic(sink, "in", true, &topic, &n_partitions, &err));
    for (int i = 0; i < N; i++) {
        number[i] = i;
        message[i] = (struct oz_message){.topic = topic,
                                         .partition = 1,
                                         .value = &number[i],
                                         .value_len = sizeof number[i],
                                         .timestamp_ms = i % 100 == 99 ? 1600000000000 : 0};
    }
    OK(oz_sink_produce(sink, message, N, &err));
    OK(oz_sink_flush(sink, &err));
    struct oz_source *source = open_source("ouzel.full", &pos);
    for (size_t at = 0, n; at < N; at += n) {
        OK(oz_source_next(source, N, 2000, record, &n, &err));
        for (size_t i = 0; i < n; i++)
            assert_memory_equal(record[i].value, &number[at + i], sizeof number[0]);
        oz_source_release(source, record, n);
    }
    oz_source_close(source);
    oz_sink_close(sink);
    oz_positions_clear(&pos);
}

static int start(void **state)
{
    (void)state;
    char text[256];
    oz_log_setup(OZ_LOG_ERROR, OZ_LOG_TEXT);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, NULL);
    carrier = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    cluster = rd_kafka_mock_cluster_new(carrier, 1);
    rd_kafka_mock_topic_create(cluster, "in", PARTITIONS, 1);
    rd_kafka_mock_topic_create(cluster, "out", PARTITIONS, 1);
    setting[0].value = rd_kafka_mock_cluster_bootstraps(cluster);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(carrier);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commit_is_called_again),
        cmocka_unit_test(test_fenced_at_commit),
        cmocka_unit_test(test_refused_offsets_abort),
        cmocka_unit_test(test_refused_records),
        cmocka_unit_test(test_refused_partitions),
        cmocka_unit_test(test_wrong_calls_are_told),
        cmocka_unit_test(test_full_queue_is_waited_for),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
