/* What the benches on Kafka share: clients with the settings that were measured to matter, topics,
 * and an end with a message. Topics have BENCH_PARTITIONS partitions. Errors end the process: a
 * bench that went wrong has no figure to show. */
#ifndef OZ_TESTS_BENCH_KAFKA_BENCH_H
#define OZ_TESTS_BENCH_KAFKA_BENCH_H
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"

enum { BENCH_PARTITIONS = 4, BENCH_WAIT_MS = 60000 };

static inline void die(const char *what, const char *why)
{
    fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(1);
}

static inline void must_kafka(rd_kafka_error_t *error, const char *what)
{
    if (error) die(what, rd_kafka_error_string(error));
}

static inline double now_s(void) { return (double)oz_monotonic_us() / 1e6; }

/* pair: name, value, ..., NULL. */
static inline rd_kafka_t *new_client(rd_kafka_type_t type, const char *bootstrap,
                                     const char *const *pair)
{
    static const char *const shared[] = {"socket.nagle.disable", "true", "log_level", "3", NULL};
    char text[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const char *const *list[] = {shared, pair};
    if (rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, text, sizeof text))
        die(bootstrap, text);
    for (int i = 0; i < 2; i++)
        for (const char *const *p = list[i]; p && *p; p += 2)
            if (rd_kafka_conf_set(conf, p[0], p[1], text, sizeof text)) die(p[0], text);
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
    if (!rk) die("client", text);
    return rk;
}

/* transactional_id NULL: idempotent. The same batching as the engine's own producer. */
static inline rd_kafka_t *new_producer(const char *bootstrap, const char *transactional_id,
                                       const char *linger_ms)
{
    const char *const pair[] = {"linger.ms",
                                linger_ms,
                                "compression.type",
                                "lz4",
                                "batch.size",
                                "1000000",
                                "batch.num.messages",
                                "10000",
                                "queue.buffering.max.messages",
                                "2000000",
                                "enable.idempotence",
                                "true",
                                "delivery.report.only.error",
                                "true",
                                "retry.backoff.ms",
                                "10",
                                transactional_id ? "transactional.id" : NULL,
                                transactional_id,
                                NULL};
    return new_client(RD_KAFKA_PRODUCER, bootstrap, pair);
}

/* Reads every partition of a topic from `offset`, outside of any group's care. */
static inline rd_kafka_t *new_reader(const char *bootstrap, const char *group, const char *topic,
                                     bool committed_only, const char *fetch_wait_ms, int64_t offset)
{
    const char *const pair[] = {"group.id",
                                group,
                                "isolation.level",
                                committed_only ? "read_committed" : "read_uncommitted",
                                "enable.auto.commit",
                                "false",
                                "queued.min.messages",
                                "300000",
                                "check.crcs",
                                "false",
                                "fetch.wait.max.ms",
                                fetch_wait_ms,
                                NULL};
    rd_kafka_t *rk = new_client(RD_KAFKA_CONSUMER, bootstrap, pair);
    rd_kafka_poll_set_consumer(rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(BENCH_PARTITIONS);
    for (int p = 0; p < BENCH_PARTITIONS; p++) {
        int64_t low, high;
        if (rd_kafka_query_watermark_offsets(rk, topic, p, &low, &high, BENCH_WAIT_MS))
            die(topic, "its partitions do not answer");
        rd_kafka_topic_partition_list_add(list, topic, p)->offset =
            offset == RD_KAFKA_OFFSET_END ? high : offset;
    }
    if (rd_kafka_assign(rk, list)) die(topic, "cannot be read");
    rd_kafka_topic_partition_list_destroy(list);
    return rk;
}

/* A topic that is there already stays as it is. */
static inline void make_topic(const char *bootstrap, const char *name)
{
    char text[512];
    rd_kafka_t *rk = new_client(RD_KAFKA_PRODUCER, bootstrap, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(name, BENCH_PARTITIONS, 1, text, sizeof text);
    if (!topic) die(name, text);
    rd_kafka_NewTopic_set_config(topic, "retention.ms", "-1"); /* the records are years old */
    rd_kafka_CreateTopics(rk, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, BENCH_WAIT_MS);
    if (!event || rd_kafka_event_error(event)) die(name, "cannot be made");
    size_t n;
    rd_kafka_resp_err_t code = rd_kafka_topic_result_error(
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n)[0]);
    if (code && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) die(name, rd_kafka_err2str(code));
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
}

/* Keyed as Java's producers do it; waits while the client's queue is full. */
static inline void send_record(rd_kafka_t *rk, rd_kafka_topic_t *topic, int64_t timestamp_ms,
                               const char *key, size_t key_len, const void *value, size_t value_len)
{
    int32_t partition = (int32_t)oz_murmur2_partition(key, key_len, BENCH_PARTITIONS);
    for (;;) {
        rd_kafka_resp_err_t code =
            rd_kafka_producev(rk, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition),
                              RD_KAFKA_V_KEY((void *)(uintptr_t)key, key_len),
                              RD_KAFKA_V_VALUE((void *)(uintptr_t)value, value_len),
                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                              RD_KAFKA_V_TIMESTAMP(timestamp_ms), RD_KAFKA_V_END);
        if (!code) return;
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) die("produce", rd_kafka_err2str(code));
        rd_kafka_poll(rk, 5);
    }
}

/* CPU seconds that a process has used. */
static inline double process_cpu_s(long pid)
{
    char path[64], line[1024];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file || !fgets(line, sizeof line, file)) die(path, "the process has ended");
    fclose(file);
    char *behind_name = strrchr(line, ')');
    if (!behind_name ||
        sscanf(behind_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
               &system) != 2)
        die(path, "not understood");
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}
#endif
