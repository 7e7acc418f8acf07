#include "stream/kafka_log.h"

#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "stream/kafka_handles.h"

enum { CHUNK_RECORDS = 512, WAIT_MS = 100 };
enum { QUEUE_KBYTES_ALL = 128 << 10, QUEUE_KBYTES_MIN = 256, QUEUE_KBYTES_MAX = 32 << 10 };
#define STILL_US INT64_C(90000000)

struct lane {
    bool is_open; /* its fetcher runs */
    int64_t next; /* behind what is buffered, and behind what the client passed over */
    rd_kafka_message_t **message;
    size_t head, n;
};

struct oz_kafka_log {
    struct oz_kafka_link link, asker_link;
    rd_kafka_t *rk, *asker;
    const char **name;
    rd_kafka_topic_t **topic;
    struct lane *lane;
    uint32_t n_topics, n_partitions;
    const atomic_bool *stop;
};

static struct lane *lane_of(struct oz_kafka_log *log, uint32_t topic, uint32_t partition)
{
    OZ_ASSERT(topic < log->n_topics && partition < log->n_partitions);
    return &log->lane[(size_t)partition * log->n_topics + topic];
}

static enum oz_status open_clients(struct oz_kafka_log *log, const struct oz_kafka_config *config,
                                   bool committed_only, struct oz_error *err)
{
    char kbytes[32];
    uint32_t each = QUEUE_KBYTES_ALL / (log->n_topics * log->n_partitions);
    each = OZ_MIN(OZ_MAX(each, (uint32_t)QUEUE_KBYTES_MIN), (uint32_t)QUEUE_KBYTES_MAX);
    snprintf(kbytes, sizeof kbytes, "%u", each);
    struct oz_kafka_setting owned[] = {
        {"isolation.level", committed_only ? "read_committed" : "read_uncommitted"},
        {"queued.max.messages.kbytes", kbytes},
        {NULL, NULL}};
    OZ_TRY(oz_kafka_client_open(config, OZ_KAFKA_CONSUMER, owned, &log->link, &log->rk, err));
    return oz_kafka_client_open(config, OZ_KAFKA_ASKER, NULL, &log->asker_link, &log->asker, err);
}

enum oz_status oz_kafka_log_open(const struct oz_kafka_config *config, const char *const *topic,
                                 uint32_t n_topics, uint32_t n_partitions, bool committed_only,
                                 const atomic_bool *stop, struct oz_kafka_log **ret_log,
                                 struct oz_error *err)
{
    OZ_ASSERT(n_topics > 0 && n_partitions > 0);
    enum oz_status status = OZ_OK;
    struct oz_kafka_log *log = oz_calloc(1, sizeof *log);
    if (!log) return oz_no_memory(err);
    log->link.what = log->asker_link.what = "reader";
    log->n_partitions = n_partitions;
    log->stop = stop;
    log->name = oz_calloc(n_topics, sizeof *log->name);
    log->topic = oz_calloc(n_topics, sizeof(rd_kafka_topic_t *));
    log->lane = oz_calloc((size_t)n_topics * n_partitions, sizeof *log->lane);
    if (!log->name || !log->topic || !log->lane) {
        status = oz_no_memory(err);
        goto out;
    }
    log->n_topics = n_topics;
    for (uint32_t t = 0; t < n_topics; t++)
        if (!(log->name[t] = oz_strdup(topic[t]))) {
            status = oz_no_memory(err);
            goto out;
        }
    OZ_TRY_OUT(open_clients(log, config, committed_only, err));
    for (uint32_t t = 0; t < n_topics; t++)
        if (!(log->topic[t] = rd_kafka_topic_new(log->rk, topic[t], NULL))) {
            status = oz_error_set(err, OZ_BROKER, "topic %s: %s", topic[t],
                                  rd_kafka_err2str(rd_kafka_last_error()));
            goto out;
        }
    *ret_log = log;
    return OZ_OK;
out:
    oz_kafka_log_close(log);
    return status;
}

static void drop_buffer(struct lane *lane)
{
    for (; lane->head < lane->n; lane->head++) rd_kafka_message_destroy(lane->message[lane->head]);
    lane->head = lane->n = 0;
}

void oz_kafka_log_close(struct oz_kafka_log *log)
{
    if (!log) return;
    for (uint32_t i = 0; i < log->n_topics * log->n_partitions; i++) {
        struct lane *lane = &log->lane[i];
        drop_buffer(lane);
        oz_free(lane->message);
        if (lane->is_open)
            rd_kafka_consume_stop(log->topic[i % log->n_topics], (int32_t)(i / log->n_topics));
    }
    for (uint32_t t = 0; t < log->n_topics; t++) {
        if (log->topic[t]) rd_kafka_topic_destroy(log->topic[t]);
        oz_free((char *)log->name[t]);
    }
    if (log->rk) rd_kafka_destroy(log->rk);
    if (log->asker) rd_kafka_destroy(log->asker);
    oz_free(log->name);
    oz_free((void *)log->topic);
    oz_free(log->lane);
    oz_free(log);
}

static enum oz_status ask(struct oz_kafka_log *log, int64_t at, int64_t *ret_offset,
                          struct oz_error *err)
{
    rd_kafka_topic_partition_list_t *list =
        oz_kafka_list(log->name, log->n_topics, log->n_partitions, NULL);
    if (!list) return oz_no_memory(err);
    enum oz_status status = oz_kafka_list_offsets(log->asker, list, at, err);
    for (int i = 0; status == OZ_OK && i < list->cnt; i++) ret_offset[i] = list->elems[i].offset;
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_poll(log->asker, 0);
    return status;
}

enum oz_status oz_kafka_log_bounds(struct oz_kafka_log *log, int64_t *ret_begin, int64_t *ret_end,
                                   struct oz_error *err)
{
    OZ_TRY(ask(log, OZ_KAFKA_EARLIEST, ret_begin, err));
    return ask(log, OZ_KAFKA_LATEST, ret_end, err);
}

enum oz_status oz_kafka_log_at_time(struct oz_kafka_log *log, int64_t at_ms, int64_t *ret_offset,
                                    struct oz_error *err)
{
    size_t n = (size_t)log->n_topics * log->n_partitions;
    int64_t *end = oz_calloc(n, sizeof *end);
    if (!end) return oz_no_memory(err);
    enum oz_status status = ask(log, OZ_KAFKA_LATEST, end, err);
    if (status == OZ_OK) status = ask(log, OZ_MAX(at_ms, 0), ret_offset, err);
    for (size_t i = 0; status == OZ_OK && i < n; i++)
        if (ret_offset[i] < 0) ret_offset[i] = end[i];
    oz_free(end);
    return status;
}

void oz_kafka_log_seek(struct oz_kafka_log *log, uint32_t topic, uint32_t partition, int64_t offset)
{
    struct lane *lane = lane_of(log, topic, partition);
    int64_t at = lane->head < lane->n ? lane->message[lane->head]->offset : lane->next;
    if (lane->is_open && at == offset) return;
    drop_buffer(lane);
    if (lane->is_open) rd_kafka_consume_stop(log->topic[topic], (int32_t)partition);
    lane->is_open = false;
    lane->next = offset;
}

static enum oz_status start(struct oz_kafka_log *log, uint32_t topic, uint32_t partition,
                            struct oz_error *err)
{
    struct lane *lane = lane_of(log, topic, partition);
    if (!lane->message) lane->message = oz_malloc(CHUNK_RECORDS * sizeof(rd_kafka_message_t *));
    if (!lane->message) return oz_no_memory(err);
    if (rd_kafka_consume_start(log->topic[topic], (int32_t)partition, lane->next))
        OZ_FAIL(err, OZ_BROKER, "%s partition %u could not be read: %s", log->name[topic],
                partition, rd_kafka_err2str(rd_kafka_last_error()));
    lane->is_open = true;
    return OZ_OK;
}

/* Sorts out what is no record. */
static enum oz_status admit(struct oz_kafka_log *log, uint32_t topic, uint32_t partition, size_t n,
                            struct oz_error *err)
{
    struct lane *lane = lane_of(log, topic, partition);
    enum oz_status status = OZ_OK;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        rd_kafka_message_t *message = lane->message[i];
        if (!message->err) {
            lane->next = message->offset + 1;
            lane->message[kept++] = message;
            continue;
        }
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            /* The last stable offset: markers and aborted records before it are behind us too. */
            lane->next = OZ_MAX(lane->next, message->offset);
        else if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
                 message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
            status = oz_error_set(err, OZ_LOST, "%s partition %u: offset %lld is gone (%s)",
                                  log->name[topic], partition, (long long)lane->next,
                                  rd_kafka_message_errstr(message));
        else if (!oz_kafka_passes(message->err))
            status = oz_error_set(err, OZ_BROKER, "%s partition %u: %s", log->name[topic],
                                  partition, rd_kafka_message_errstr(message));
        rd_kafka_message_destroy(message);
    }
    lane->head = 0;
    lane->n = kept;
    return status;
}

/* What is there, waiting for the first of it only: a batch call would wait for a full array. */
static enum oz_status fill(struct oz_kafka_log *log, uint32_t topic, uint32_t partition,
                           struct oz_error *err)
{
    struct lane *lane = lane_of(log, topic, partition);
    rd_kafka_poll(log->rk, 0);
    rd_kafka_message_t *first = rd_kafka_consume(log->topic[topic], (int32_t)partition, WAIT_MS);
    if (!first) return OZ_OK;
    lane->message[0] = first;
    ssize_t n = rd_kafka_consume_batch(log->topic[topic], (int32_t)partition, 0, lane->message + 1,
                                       CHUNK_RECORDS - 1);
    return admit(log, topic, partition, n > 0 ? (size_t)n + 1 : 1, err);
}

enum oz_status oz_kafka_log_next(struct oz_kafka_log *log, uint32_t topic, uint32_t partition,
                                 int64_t to, struct oz_record *ret_record, bool *ret_found,
                                 struct oz_error *err)
{
    struct lane *lane = lane_of(log, topic, partition);
    int64_t until_us = oz_monotonic_us() + STILL_US;
    *ret_found = false;
    while (lane->head == lane->n && lane->next < to) {
        if (log->stop && *log->stop) OZ_FAIL(err, OZ_RETRY, "stopped before the end");
        if (!lane->is_open) OZ_TRY(start(log, topic, partition, err));
        int64_t before = lane->next;
        OZ_TRY(fill(log, topic, partition, err));
        if (lane->next != before) until_us = oz_monotonic_us() + STILL_US;
        if (oz_monotonic_us() > until_us)
            OZ_FAIL(err, OZ_BROKER,
                    "%s partition %u: nothing came for %lld s between offset %lld and %lld: it "
                    "waits for an open transaction to end, or for a broker that does not answer",
                    log->name[topic], partition, (long long)(STILL_US / 1000000),
                    (long long)lane->next, (long long)to);
    }
    if (lane->head == lane->n || lane->message[lane->head]->offset >= to) return OZ_OK;
    rd_kafka_message_t *message = lane->message[lane->head++];
    *ret_record = (struct oz_record){.source = topic,
                                     .partition = partition,
                                     .offset = message->offset,
                                     .timestamp_ms = rd_kafka_message_timestamp(message, NULL),
                                     .key = message->key,
                                     .key_len = (uint32_t)message->key_len,
                                     .value_len = (uint32_t)message->len,
                                     .value = message->payload,
                                     .handle = message};
    *ret_found = true;
    return OZ_OK;
}

void oz_kafka_log_release(struct oz_kafka_log *log, struct oz_record *record, size_t n)
{
    (void)log;
    for (size_t i = 0; i < n; i++) {
        rd_kafka_message_destroy(record[i].handle);
        record[i].handle = NULL;
    }
}
