#include "stream/sink.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "stream/kafka_handles.h"

#define TRANSACTIONAL_ID    "transactional.id"
#define TRANSACTION_TIMEOUT "transaction.timeout.ms"
enum {
    QUEUE_RECORD_BYTES = 256, /* about what the client keeps beside a record's own bytes */
    QUEUE_RECORDS_MIN = 10000,
    TOPICS_MAX = 64,
    CHUNK_MESSAGES = 512, /* handed to the client in one call */
    POLL_EVERY = 256,     /* messages between two looks at failed deliveries */
    FULL_POLL_MS = 5,     /* while the client's queue is full */
    HEADERS_MAX = OZ_RECORD_HEADERS_MAX + 16,
    CLOSE_MS = 5000,
    FLUSH_MS = 1000,
    ABORT_FLUSH_MS = 1000,
    PAUSE_US = 50000,
    COMMIT_OFFSETS_WAIT_US = 30000000,
};

struct sink_topic {
    rd_kafka_topic_t *rkt;
    char *name;
    uint32_t n_partitions;
    bool compressed;
};

struct oz_sink {
    rd_kafka_t *rk;
    struct oz_kafka_link link;
    struct oz_kafka_config config; /* a copy */
    struct oz_kafka_setting *setting;
    struct sink_topic topic[TOPICS_MAX];
    uint32_t n_topics;
    bool is_transactional, in_transaction;
    int64_t transaction_us; /* longer than this, a commit's outcome is unknown */
    uint32_t n_unpolled;
    rd_kafka_message_t chunk[CHUNK_MESSAGES];
};

/* Life */

static enum oz_status copy_config(struct oz_sink *sink, const struct oz_kafka_config *config,
                                  struct oz_error *err)
{
    sink->config.n_settings = config->n_settings;
    sink->config.client_id = config->client_id ? oz_strdup(config->client_id) : NULL;
    sink->config.setting = sink->setting = oz_calloc(config->n_settings + 1, sizeof *sink->setting);
    if (!sink->setting || (config->client_id && !sink->config.client_id)) return oz_no_memory(err);
    for (size_t i = 0; i < config->n_settings; i++) {
        sink->setting[i].key = oz_strdup(config->setting[i].key);
        sink->setting[i].value = oz_strdup(config->setting[i].value);
        if (!sink->setting[i].key || !sink->setting[i].value) return oz_no_memory(err);
    }
    return OZ_OK;
}

/* The producer's first request: fences an earlier one of the same id and ends its transaction. */
static enum oz_status init_transactions(struct oz_sink *sink, int64_t wait_us, struct oz_error *err)
{
    enum { TRY_MS = 1000 };
    int64_t until_us = oz_monotonic_us() + wait_us;
    for (;;) {
        rd_kafka_error_t *error = rd_kafka_init_transactions(sink->rk, TRY_MS);
        rd_kafka_poll(sink->rk, 0);
        if (!error) {
            oz_kafka_link_up(&sink->link);
            return OZ_OK;
        }
        enum oz_status status = oz_kafka_error(error, "the producer did not start", err);
        if (status != OZ_RETRY) return status == OZ_ABORT ? OZ_BROKER : status;
        if (oz_monotonic_us() >= until_us)
            OZ_FAIL(err, OZ_ENVIRONMENT,
                    "no broker at %s coordinated this producer's transactions within %lld s%s%s",
                    oz_kafka_bootstrap(&sink->config), (long long)(wait_us / 1000000),
                    sink->link.reason[0] ? ": " : "", sink->link.reason);
    }
}

enum oz_status oz_sink_open(const struct oz_kafka_config *config, const char *transactional_id,
                            int64_t wait_us, struct oz_sink **ret_sink, struct oz_error *err)
{
    char timeout[16];
    snprintf(timeout, sizeof timeout, "%d", OZ_KAFKA_TRANSACTION_TIMEOUT_MS);
    char kbytes[24], records[24];
    snprintf(kbytes, sizeof kbytes, "%zu", OZ_MAX(config->queue_bytes / 1024, (size_t)1024));
    snprintf(records, sizeof records, "%zu",
             OZ_MAX(config->queue_bytes / QUEUE_RECORD_BYTES, (size_t)QUEUE_RECORDS_MIN));
    const struct oz_kafka_setting bound[] = {{"queue.buffering.max.kbytes", kbytes},
                                             {"queue.buffering.max.messages", records}};
    struct oz_kafka_setting owned[8] = {0};
    size_t n = 0;
    if (transactional_id)
        owned[n++] = (struct oz_kafka_setting){TRANSACTIONAL_ID, transactional_id};
    if (transactional_id && !oz_kafka_has(config, TRANSACTION_TIMEOUT))
        owned[n++] = (struct oz_kafka_setting){TRANSACTION_TIMEOUT, timeout};
    for (size_t i = 0; i < OZ_COUNT_OF(bound); i++)
        if (config->queue_bytes && !oz_kafka_has(config, bound[i].key)) owned[n++] = bound[i];

    enum oz_status status = OZ_OK;
    struct oz_sink *sink = oz_calloc(1, sizeof *sink);
    if (!sink) return oz_no_memory(err);
    sink->link.what = "sink";
    sink->is_transactional = transactional_id != NULL;
    sink->transaction_us = INT64_C(1000) * oz_kafka_setting_ms(config, "transaction.timeout.ms",
                                                               OZ_KAFKA_TRANSACTION_TIMEOUT_MS);
    OZ_TRY_OUT(copy_config(sink, config, err));
    OZ_TRY_OUT(oz_kafka_client_open(config, OZ_KAFKA_PRODUCER, owned, &sink->link, &sink->rk, err));
    if (sink->is_transactional) OZ_TRY_OUT(init_transactions(sink, wait_us, err));
    *ret_sink = sink;
    return OZ_OK;
out:
    oz_sink_close(sink);
    return status;
}

void oz_sink_close(struct oz_sink *sink)
{
    if (!sink) return;
    /* An open transaction that is left alone would hold back every reader until it times out. */
    if (sink->in_transaction) {
        rd_kafka_error_t *error = rd_kafka_abort_transaction(sink->rk, CLOSE_MS);
        if (error) rd_kafka_error_destroy(error);
    } else if (sink->rk && !sink->is_transactional) {
        rd_kafka_flush(sink->rk, CLOSE_MS);
    }
    for (uint32_t i = 0; i < sink->n_topics; i++) {
        rd_kafka_topic_destroy(sink->topic[i].rkt);
        oz_free(sink->topic[i].name);
    }
    if (sink->rk) {
        rd_kafka_purge(sink->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_destroy(sink->rk);
    }
    for (size_t i = 0; sink->setting && i < sink->config.n_settings; i++) {
        oz_free((char *)sink->setting[i].key);
        oz_free((char *)sink->setting[i].value);
    }
    oz_free((char *)sink->config.client_id);
    oz_free(sink->setting);
    oz_free(sink);
}

/* A record that is produced before the producer itself knows the topic's partitions enters the
 * transaction as partition -1 (librdkafka 2.0), which the broker refuses. So it learns them
 * first. */
static enum oz_status learn_topic(struct oz_sink *sink, rd_kafka_topic_t *rkt, struct oz_error *err)
{
    int64_t until_us = oz_monotonic_us() + OZ_KAFKA_REQUEST_MS * INT64_C(1000);
    for (;;) {
        const struct rd_kafka_metadata *metadata = NULL;
        rd_kafka_resp_err_t code =
            rd_kafka_metadata(sink->rk, 0, rkt, &metadata, OZ_KAFKA_REQUEST_MS);
        if (!code) {
            code =
                metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR__TIMED_OUT;
            rd_kafka_metadata_destroy(metadata);
        }
        if (!code) return OZ_OK;
        /* The topic is there, as another broker has said: this one hears of it later. */
        bool passes = oz_kafka_passes(code) || code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        if (!passes || oz_monotonic_us() > until_us)
            OZ_FAIL(err, OZ_BROKER, "topic %s: %s", rd_kafka_topic_name(rkt),
                    rd_kafka_err2str(code));
        usleep(PAUSE_US);
    }
}

enum oz_status oz_sink_topic(struct oz_sink *sink, const char *name, bool compressed,
                             uint32_t *ret_topic, uint32_t *ret_n_partitions, struct oz_error *err)
{
    for (uint32_t i = 0; i < sink->n_topics; i++) {
        if (strcmp(sink->topic[i].name, name)) continue;
        *ret_topic = i;
        *ret_n_partitions = sink->topic[i].n_partitions;
        return OZ_OK;
    }
    OZ_ASSERT(sink->n_topics < TOPICS_MAX);
    /* Asked by a consumer: a producer's own question would create the topic on some brokers. */
    struct oz_topic_info info = {.name = name};
    enum oz_status status = oz_kafka_topics(&sink->config, &info, 1, OZ_TOPIC_MUST_BE,
                                            OZ_KAFKA_OUTAGE_MS * INT64_C(1000), NULL, err);
    /* The producer's start has met a broker: one that is silent now may come back. */
    if (status == OZ_ENVIRONMENT) status = OZ_BROKER;
    OZ_TRY(status);
    if (!info.n_partitions)
        OZ_FAIL(err, OZ_ENVIRONMENT,
                "topic %s does not exist; `ouzel topics --create` makes the topics of a pipeline",
                name);
    char text[OZ_KAFKA_REASON_BYTES];
    rd_kafka_topic_conf_t *conf = rd_kafka_default_topic_conf_dup(sink->rk);
    if (!compressed) rd_kafka_topic_conf_set(conf, "compression.codec", "none", text, sizeof text);
    struct sink_topic *topic = &sink->topic[sink->n_topics];
    topic->name = oz_strdup(name);
    if (!topic->name) {
        rd_kafka_topic_conf_destroy(conf);
        return oz_no_memory(err);
    }
    topic->rkt = rd_kafka_topic_new(sink->rk, name, conf);
    if (!topic->rkt) {
        oz_free(topic->name);
        OZ_FAIL(err, OZ_CONFIG, "topic %s: %s", name, rd_kafka_err2str(rd_kafka_last_error()));
    }
    status = learn_topic(sink, topic->rkt, err);
    if (status != OZ_OK) {
        rd_kafka_topic_destroy(topic->rkt);
        oz_free(topic->name);
        return status;
    }
    topic->n_partitions = info.n_partitions;
    topic->compressed = compressed;
    *ret_topic = sink->n_topics++;
    *ret_n_partitions = topic->n_partitions;
    return OZ_OK;
}

/* Failures */

/* A record that no broker takes will not be taken the next time either: no abort helps. */
static enum oz_status delivery_status(const struct oz_sink *sink)
{
    bool permanent = sink->link.delivery == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
                     sink->link.delivery == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
                     sink->link.delivery == RD_KAFKA_RESP_ERR_INVALID_RECORD;
    return sink->is_transactional && !permanent ? OZ_ABORT : OZ_BROKER;
}

/* What the client reported since: a failed delivery, or the producer's end. */
static enum oz_status look(struct oz_sink *sink, struct oz_error *err)
{
    sink->n_unpolled = 0;
    rd_kafka_poll(sink->rk, 0);
    if (OZ_UNLIKELY(sink->link.fatal)) {
        rd_kafka_resp_err_t code = sink->link.fatal;
        bool fenced = code == RD_KAFKA_RESP_ERR__FENCED ||
                      code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
                      code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
        OZ_FAIL(err, fenced ? OZ_FENCED : OZ_BROKER, "the producer: %s", sink->link.reason);
    }
    if (OZ_UNLIKELY(sink->link.delivery))
        OZ_FAIL(err, delivery_status(sink), "%s", sink->link.delivery_text);
    return OZ_OK;
}

/* A step's own failure, or the delivery that caused it. */
static enum oz_status step_error(struct oz_sink *sink, rd_kafka_error_t *error, const char *what,
                                 struct oz_error *err)
{
    enum oz_status status = oz_kafka_error(error, what, err);
    if (status == OZ_FENCED)
        oz_error_prefix(err, "this producer was fenced: another process took over its "
                             "transactional id, or its transaction took longer than "
                             "transaction.timeout.ms");
    if (status != OZ_ABORT) return status;
    rd_kafka_poll(sink->rk, 0);
    if (!sink->link.delivery) return status;
    OZ_FAIL(err, delivery_status(sink), "%s", sink->link.delivery_text);
}

/* Producing */

static enum oz_status refused(struct oz_sink *sink, const struct oz_message *message,
                              rd_kafka_resp_err_t code, struct oz_error *err)
{
    const char *name = sink->topic[message->topic].name;
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        OZ_FAIL(err, OZ_BROKER,
                "a record of %zu bytes is too large for topic %s; raise message.max.bytes in "
                "kafka: and max.message.bytes of the topic",
                message->key_len + message->value_len, name);
    if (code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
        OZ_FAIL(err, OZ_BROKER, "topic %s has no partition %d", name, message->partition);
    OZ_FAIL(err, code == RD_KAFKA_RESP_ERR__FENCED ? OZ_FENCED : OZ_BROKER,
            "a record for topic %s was not taken: %s", name, rd_kafka_err2str(code));
}

static enum oz_status wait_room(struct oz_sink *sink, struct oz_error *err)
{
    rd_kafka_poll(sink->rk, FULL_POLL_MS);
    return look(sink, err);
}

/* One message with a time or headers, which the batch call cannot carry. */
static enum oz_status produce_one(struct oz_sink *sink, const struct oz_message *message,
                                  struct oz_error *err)
{
    rd_kafka_vu_t v[6 + HEADERS_MAX];
    size_t n = 0;
    v[n].vtype = RD_KAFKA_VTYPE_RKT, v[n++].u.rkt = sink->topic[message->topic].rkt;
    v[n].vtype = RD_KAFKA_VTYPE_PARTITION, v[n++].u.i32 = message->partition;
    v[n].vtype = RD_KAFKA_VTYPE_MSGFLAGS, v[n++].u.i = RD_KAFKA_MSG_F_COPY;
    v[n].vtype = RD_KAFKA_VTYPE_VALUE, v[n].u.mem.ptr = (void *)message->value;
    v[n++].u.mem.size = message->value ? message->value_len : 0;
    v[n].vtype = RD_KAFKA_VTYPE_KEY, v[n].u.mem.ptr = (void *)message->key;
    v[n++].u.mem.size = message->key ? message->key_len : 0;
    if (message->timestamp_ms > 0)
        v[n].vtype = RD_KAFKA_VTYPE_TIMESTAMP, v[n++].u.i64 = message->timestamp_ms;
    OZ_ASSERT(message->n_headers <= HEADERS_MAX);
    for (size_t i = 0; i < message->n_headers; i++, n++) {
        v[n].vtype = RD_KAFKA_VTYPE_HEADER;
        v[n].u.header.name = message->header[i].name;
        v[n].u.header.val = message->header[i].value;
        v[n].u.header.size = message->header[i].value ? (ssize_t)message->header[i].len : 0;
    }
    for (;;) {
        rd_kafka_error_t *error = rd_kafka_produceva(sink->rk, v, n);
        if (OZ_LIKELY(!error)) return OZ_OK;
        rd_kafka_resp_err_t code = rd_kafka_error_code(error);
        rd_kafka_error_destroy(error);
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) return refused(sink, message, code, err);
        OZ_TRY(wait_room(sink, err));
    }
}

static bool is_plain(const struct oz_message *message)
{
    return message->timestamp_ms <= 0 && !message->n_headers;
}

/* message[0, n) are plain and of one topic. When its queue is full, the client refuses the rest of
 * the call, so the order is kept. */
static enum oz_status produce_plain(struct oz_sink *sink, const struct oz_message *message,
                                    size_t n, struct oz_error *err)
{
    rd_kafka_topic_t *rkt = sink->topic[message->topic].rkt;
    for (size_t i = 0; i < n; i++)
        sink->chunk[i] = (rd_kafka_message_t){.partition = message[i].partition,
                                              .payload = (void *)message[i].value,
                                              .len = message[i].value ? message[i].value_len : 0,
                                              .key = (void *)message[i].key,
                                              .key_len = message[i].key ? message[i].key_len : 0};
    for (size_t done = 0;;) {
        int taken = rd_kafka_produce_batch(rkt, RD_KAFKA_PARTITION_UA,
                                           RD_KAFKA_MSG_F_COPY | RD_KAFKA_MSG_F_PARTITION,
                                           sink->chunk + done, (int)(n - done));
        if (OZ_LIKELY((size_t)taken == n - done)) return OZ_OK;
        size_t bad = done;
        while (bad < n && !sink->chunk[bad].err) bad++;
        if (bad == n) return OZ_OK;
        if (sink->chunk[bad].err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            return refused(sink, &message[bad], sink->chunk[bad].err, err);
        for (done = bad; bad < n; bad++) sink->chunk[bad].err = 0;
        OZ_TRY(wait_room(sink, err));
    }
}

enum oz_status oz_sink_produce(struct oz_sink *sink, const struct oz_message *message, size_t n,
                               struct oz_error *err)
{
    OZ_ASSERT(!sink->is_transactional || sink->in_transaction);
    for (size_t i = 0; i < n;) {
        OZ_ASSERT(message[i].topic < sink->n_topics);
        size_t run = 1;
        if (is_plain(&message[i])) {
            while (run < CHUNK_MESSAGES && i + run < n && is_plain(&message[i + run]) &&
                   message[i + run].topic == message[i].topic)
                run++;
            OZ_TRY(produce_plain(sink, message + i, run, err));
        } else {
            OZ_TRY(produce_one(sink, message + i, err));
        }
        i += run;
        sink->n_unpolled += (uint32_t)run;
        if (sink->n_unpolled >= POLL_EVERY) OZ_TRY(look(sink, err));
    }
    return OZ_OK;
}

enum oz_status oz_sink_flush(struct oz_sink *sink, struct oz_error *err)
{
    for (;;) {
        rd_kafka_resp_err_t code = rd_kafka_flush(sink->rk, FLUSH_MS);
        OZ_TRY(look(sink, err));
        if (!code) break;
        if (code != RD_KAFKA_RESP_ERR__TIMED_OUT)
            OZ_FAIL(err, OZ_BROKER, "records were not written: %s", rd_kafka_err2str(code));
    }
    oz_kafka_link_up(&sink->link);
    return OZ_OK;
}

/* Transactions */

enum oz_status oz_sink_begin(struct oz_sink *sink, struct oz_error *err)
{
    OZ_ASSERT(sink->is_transactional && !sink->in_transaction);
    sink->link.delivery = RD_KAFKA_RESP_ERR_NO_ERROR;
    /* After a fatal error begin may wait for ever. */
    OZ_TRY(look(sink, err));
    rd_kafka_error_t *error = rd_kafka_begin_transaction(sink->rk);
    if (error) return step_error(sink, error, "a transaction could not begin", err);
    sink->in_transaction = true;
    return OZ_OK;
}

/* The metadata has no getters in older versions of the client; written out it is
 * "CGMDv2:" | i32 generation, native | group NUL | member NUL | ... A generation of -1 or an empty
 * member would be accepted by the broker without any check, even while another process owns the
 * group. */
static enum oz_status check_metadata(const rd_kafka_consumer_group_metadata_t *metadata,
                                     struct oz_error *err)
{
    static const char magic[] = "CGMDv2:";
    const size_t magic_len = sizeof magic - 1;
    void *bytes = NULL;
    size_t len = 0;
    int32_t generation = -1;
    bool is_known = false, has_member = false;
    rd_kafka_error_t *error = rd_kafka_consumer_group_metadata_write(metadata, &bytes, &len);
    if (error) return oz_kafka_error(error, "the group's metadata could not be read", err);
    if (len > magic_len + sizeof generation && !memcmp(bytes, magic, magic_len)) {
        const char *group = (const char *)bytes + magic_len + sizeof generation;
        const char *end = (const char *)bytes + len,
                   *stop = memchr(group, 0, (size_t)(end - group));
        memcpy(&generation, (const char *)bytes + magic_len, sizeof generation);
        is_known = stop && stop + 1 < end;
        has_member = is_known && stop[1] != 0;
    }
    rd_kafka_mem_free(NULL, bytes);
    if (!is_known)
        OZ_FAIL(err, OZ_BROKER, "librdkafka %s writes group metadata in a form that is not known",
                rd_kafka_version_str());
    if (generation < 0 || !has_member)
        OZ_FAIL(err, OZ_ABORT, "the process is no member of its group now (generation %d)",
                generation);
    return OZ_OK;
}

static enum oz_status unknown_outcome(const struct oz_sink *sink, const char *what,
                                      struct oz_error *err)
{
    char why[OZ_ERROR_MESSAGE_BYTES];
    snprintf(why, sizeof why, "%s", err ? err->message : "");
    OZ_FAIL(err, OZ_BROKER,
            "%s took longer than transaction.timeout.ms (%lld s), its outcome is "
            "not known: %s",
            what, (long long)(sink->transaction_us / 1000000), why);
}

enum oz_status oz_sink_offsets(struct oz_sink *sink, struct oz_source *source,
                               const struct oz_positions *next, struct oz_error *err)
{
    OZ_ASSERT(sink->in_transaction);
    OZ_TRY(look(sink, err));
    enum oz_status status = OZ_OK;
    struct oz_error why;
    int64_t until_us = oz_monotonic_us() + sink->transaction_us;
    const char *const *topic = oz_kafka_source_topics(source);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    for (uint32_t i = 0; i < next->n_partitions * next->n_sources; i++)
        if (next->source[i] != OZ_NO_OFFSET)
            rd_kafka_topic_partition_list_add(list, topic[i % next->n_sources],
                                              (int32_t)(i / next->n_sources))
                ->offset = next->source[i];
    rd_kafka_consumer_group_metadata_t *metadata =
        rd_kafka_consumer_group_metadata(oz_kafka_source_client(source));
    if (!metadata) {
        status = oz_error_set(err, OZ_ABORT, "the source is no member of a group");
        goto out;
    }
    OZ_TRY_OUT(check_metadata(metadata, err));
    for (;;) {
        rd_kafka_error_t *error =
            rd_kafka_send_offsets_to_transaction(sink->rk, list, metadata, -1);
        if (!error) break;
        status = step_error(sink, error, "the offsets were not sent", &why);
        if (status == OZ_RETRY && oz_monotonic_us() < until_us) continue;
        if (status == OZ_RETRY) status = unknown_outcome(sink, "sending the offsets", &why);
        if (err) *err = why;
        break;
    }
out:
    if (metadata) rd_kafka_consumer_group_metadata_destroy(metadata);
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

/* Commit and abort go on where they stopped when they are called again. */
static enum oz_status end_transaction(struct oz_sink *sink,
                                      rd_kafka_error_t *(*end)(rd_kafka_t *, int), const char *what,
                                      const char *not_done, struct oz_error *err)
{
    struct oz_error why;
    int64_t until_us = oz_monotonic_us() + sink->transaction_us;
    for (;;) {
        rd_kafka_error_t *error = end(sink->rk, -1);
        if (!error) break;
        enum oz_status status = step_error(sink, error, not_done, &why);
        if (status == OZ_RETRY && oz_monotonic_us() < until_us) continue;
        if (status == OZ_RETRY) status = unknown_outcome(sink, what, &why);
        if (err) *err = why;
        return status;
    }
    sink->in_transaction = false;
    oz_kafka_link_up(&sink->link);
    return OZ_OK;
}

enum oz_status oz_sink_commit(struct oz_sink *sink, struct oz_error *err)
{
    OZ_ASSERT(sink->in_transaction);
    OZ_TRY(look(sink, err));
    return end_transaction(sink, rd_kafka_commit_transaction, "the commit",
                           "the transaction was not committed", err);
}

enum oz_status oz_sink_abort(struct oz_sink *sink, struct oz_error *err)
{
    if (!sink->in_transaction) return OZ_OK;
    /* The first records of a transaction are refused while the markers of the one before are
     * written, and sent again. An abort that overtakes them meets a coordinator that knows of no
     * transaction, which ends the producer (librdkafka 2.0). So what has been produced goes out
     * first, if it can. */
    rd_kafka_flush(sink->rk, ABORT_FLUSH_MS);
    enum oz_status status = end_transaction(sink, rd_kafka_abort_transaction, "the abort",
                                            "the transaction was not aborted", err);
    sink->link.delivery = RD_KAFKA_RESP_ERR_NO_ERROR;
    /* An abort that asks for an abort would go round for ever. */
    if (status == OZ_ABORT) status = err ? (err->status = OZ_BROKER) : OZ_BROKER;
    return status;
}

enum oz_status oz_sink_commit_offsets(struct oz_source *source, const struct oz_positions *next,
                                      struct oz_error *err)
{
    rd_kafka_t *rk = oz_kafka_source_client(source);
    const char *const *topic = oz_kafka_source_topics(source);
    int64_t until_us = oz_monotonic_us() + COMMIT_OFFSETS_WAIT_US;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    for (uint32_t i = 0; i < next->n_partitions * next->n_sources; i++)
        if (next->source[i] != OZ_NO_OFFSET)
            rd_kafka_topic_partition_list_add(list, topic[i % next->n_sources],
                                              (int32_t)(i / next->n_sources))
                ->offset = next->source[i];
    rd_kafka_resp_err_t code;
    do {
        code = list->cnt ? rd_kafka_commit(rk, list, 0) : RD_KAFKA_RESP_ERR_NO_ERROR;
        for (int i = 0; i < list->cnt && !code; i++) code = list->elems[i].err;
    } while (oz_kafka_passes(code) && oz_monotonic_us() < until_us);
    rd_kafka_topic_partition_list_destroy(list);
    if (!code) return OZ_OK;
    bool moved = code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION ||
                 code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID ||
                 code == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS ||
                 code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
    OZ_FAIL(err, moved ? OZ_FENCED : OZ_BROKER, "the offsets were not committed: %s",
            rd_kafka_err2str(code));
}
