#include "stream/kafka_client.h"

#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "stream/kafka_handles.h"

enum {
    ASK_MS = 500,       /* one try, so that a stop is seen */
    FIRST_ASK_MS = 250, /* so that a dead broker is said at once */
    PAUSE_US = 50000,
    TEXT_BYTES = 512,
    VISIBLE_WAIT_US = 15000000,
};

rd_kafka_topic_partition_list_t *oz_kafka_list(const char *const *topic, uint32_t n_topics,
                                               uint32_t n_partitions, const int64_t *offset)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)(n_topics * n_partitions));
    for (uint32_t p = 0; list && p < n_partitions; p++)
        for (uint32_t t = 0; t < n_topics; t++)
            rd_kafka_topic_partition_list_add(list, topic[t], (int32_t)p)->offset =
                offset ? offset[p * n_topics + t] : RD_KAFKA_OFFSET_INVALID;
    return list;
}

/* The client answers from what it knows of leaders, and does not ask again by itself when a broker
 * says that it is none (librdkafka 2.0). */
static void learn_leaders(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        bool seen = false;
        for (int j = 0; j < i && !seen; j++)
            seen = !strcmp(list->elems[i].topic, list->elems[j].topic);
        rd_kafka_topic_t *rkt = seen ? NULL : rd_kafka_topic_new(rk, list->elems[i].topic, NULL);
        if (!rkt) continue;
        const struct rd_kafka_metadata *metadata = NULL;
        if (!rd_kafka_metadata(rk, 0, rkt, &metadata, ASK_MS)) rd_kafka_metadata_destroy(metadata);
        rd_kafka_topic_destroy(rkt);
    }
}

enum oz_status oz_kafka_list_offsets(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list,
                                     int64_t at_ms, struct oz_error *err)
{
    int64_t until_us = oz_monotonic_us() + OZ_KAFKA_OUTAGE_MS * INT64_C(1000);
    if (!list->cnt) return OZ_OK; /* a pipeline without entities has no changelog to ask about */
    for (;;) {
        for (int i = 0; i < list->cnt; i++) {
            list->elems[i].offset = at_ms;
            list->elems[i].err = 0;
        }
        rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(rk, list, OZ_KAFKA_REQUEST_MS / 2);
        const rd_kafka_topic_partition_t *bad = NULL;
        for (int i = 0; i < list->cnt && !bad; i++)
            if (list->elems[i].err) bad = &list->elems[i];
        if (bad) code = bad->err;
        if (!code) return OZ_OK;
        if (!oz_kafka_passes(code) || oz_monotonic_us() > until_us) {
            if (bad)
                OZ_FAIL(err, OZ_BROKER, "the offsets of %s partition %d could not be asked for: %s",
                        bad->topic, bad->partition, rd_kafka_err2str(code));
            OZ_FAIL(err, OZ_BROKER, "offsets could not be asked for: %s", rd_kafka_err2str(code));
        }
        usleep(PAUSE_US);
        learn_leaders(rk, list);
    }
}

/* Fills n_partitions of one topic. OZ_RETRY: no answer yet. */
static enum oz_status ask_topic(rd_kafka_t *rk, struct oz_topic_info *topic, int timeout_ms,
                                struct oz_error *err)
{
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic->name, NULL);
    if (!rkt) OZ_FAIL(err, OZ_CONFIG, "%s is no name of a topic", topic->name);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 0, rkt, &metadata, timeout_ms);
    rd_kafka_topic_destroy(rkt);
    if (code)
        OZ_FAIL(err, oz_kafka_passes(code) ? OZ_RETRY : OZ_ENVIRONMENT, "%s",
                rd_kafka_err2str(code));
    enum oz_status status = OZ_OK;
    if (metadata->topic_cnt != 1) {
        status =
            oz_error_set(err, OZ_RETRY, "the broker did not say anything of topic %s", topic->name);
    } else if ((code = metadata->topics[0].err) == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
        topic->n_partitions = 0;
    } else if (code) {
        status = oz_error_set(err, oz_kafka_passes(code) ? OZ_RETRY : OZ_ENVIRONMENT,
                              "topic %s: %s", topic->name, rd_kafka_err2str(code));
    } else {
        topic->n_partitions = (uint32_t)metadata->topics[0].partition_cnt;
    }
    rd_kafka_metadata_destroy(metadata);
    return status;
}

enum oz_status oz_kafka_partitions(rd_kafka_t *rk, struct oz_kafka_link *link,
                                   const struct oz_kafka_config *config,
                                   struct oz_topic_info *topic, size_t n, int64_t wait_us,
                                   const atomic_bool *stop, struct oz_error *err)
{
    int64_t until_us = oz_monotonic_us() + wait_us;
    bool said = false;
    struct oz_error why;
    for (size_t i = 0; i < n;) {
        enum oz_status status = ask_topic(rk, &topic[i], said ? ASK_MS : FIRST_ASK_MS, &why);
        rd_kafka_poll(rk, 0);
        if (status == OZ_OK) {
            i++;
            continue;
        }
        if (status != OZ_RETRY) OZ_FAIL(err, status, "%s", why.message);
        const char *reason = link->reason[0] ? link->reason : why.message;
        if (!said && !link->is_down) {
            oz_warn("kafka %s: no broker answers at %s (%s); trying for %lld s", link->what,
                    oz_kafka_bootstrap(config), reason, (long long)(wait_us / 1000000));
            said = link->is_down = true;
            link->down_us = oz_monotonic_us();
        }
        if (stop && *stop) OZ_FAIL(err, OZ_RETRY, "stopped while waiting for a broker");
        if (oz_monotonic_us() >= until_us)
            OZ_FAIL(err, OZ_ENVIRONMENT,
                    "no broker answers at %s: %s; is it running, and is bootstrap.servers right?",
                    oz_kafka_bootstrap(config), reason);
        usleep(PAUSE_US);
    }
    oz_kafka_link_up(link);
    return OZ_OK;
}

static bool is_missing(const struct oz_topic_info *topic, size_t n)
{
    bool missing = false;
    for (size_t i = 0; i < n; i++) missing |= !topic[i].n_partitions;
    return missing;
}

enum oz_status oz_kafka_topics(const struct oz_kafka_config *config, struct oz_topic_info *topic,
                               size_t n, enum oz_topic_need need, int64_t wait_us,
                               const atomic_bool *stop, struct oz_error *err)
{
    struct oz_kafka_link link = {.what = "client"};
    rd_kafka_t *rk;
    OZ_TRY(oz_kafka_client_open(config, OZ_KAFKA_ASKER, NULL, &link, &rk, err));
    enum oz_status status = oz_kafka_partitions(rk, &link, config, topic, n, wait_us, stop, err);
    int64_t until_us = oz_monotonic_us() + OZ_KAFKA_NEW_TOPIC_US;
    while (status == OZ_OK && need == OZ_TOPIC_MUST_BE && is_missing(topic, n) &&
           oz_monotonic_us() < until_us) {
        usleep(PAUSE_US);
        status = oz_kafka_partitions(rk, &link, config, topic, n, wait_us, stop, err);
    }
    rd_kafka_destroy(rk);
    return status;
}

/* The settings that a changelog's restore rests on: deletes are kept for a day. */
static const struct oz_kafka_setting changelog_topic[] = {{"cleanup.policy", "compact"},
                                                          {"delete.retention.ms", "86400000"},
                                                          {"min.cleanable.dirty.ratio", "0.3"},
                                                          {"segment.bytes", "67108864"}};

static enum oz_status new_topic(const struct oz_new_topic *topic, rd_kafka_NewTopic_t **ret,
                                struct oz_error *err)
{
    char text[TEXT_BYTES];
    *ret = rd_kafka_NewTopic_new(topic->name, (int)topic->n_partitions, topic->replication, text,
                                 sizeof text);
    if (!*ret) OZ_FAIL(err, OZ_CONFIG, "topic %s: %s", topic->name, text);
    for (size_t i = 0; topic->compacted && i < OZ_COUNT_OF(changelog_topic); i++)
        rd_kafka_NewTopic_set_config(*ret, changelog_topic[i].key, changelog_topic[i].value);
    return OZ_OK;
}

/* One request for one topic: an answer for each is an answer in full. */
static enum oz_status create(rd_kafka_t *rk, rd_kafka_queue_t *queue,
                             const struct oz_new_topic *topic, bool *ret_created,
                             struct oz_error *err)
{
    char text[TEXT_BYTES];
    rd_kafka_NewTopic_t *one = NULL;
    OZ_TRY(new_topic(topic, &one, err));
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_AdminOptions_set_request_timeout(options, OZ_KAFKA_REQUEST_MS, text, sizeof text);
    rd_kafka_AdminOptions_set_operation_timeout(options, OZ_KAFKA_REQUEST_MS, text, sizeof text);
    rd_kafka_CreateTopics(rk, &one, 1, options, queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_NewTopic_destroy(one);

    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 2 * OZ_KAFKA_REQUEST_MS);
    if (!event) OZ_FAIL(err, OZ_BROKER, "topic %s: the broker did not answer", topic->name);
    const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    snprintf(text, sizeof text, "%s", code ? rd_kafka_event_error_string(event) : "");
    if (!code && result) {
        size_t n = 0;
        const rd_kafka_topic_result_t **each = rd_kafka_CreateTopics_result_topics(result, &n);
        if (n == 1 && (code = rd_kafka_topic_result_error(each[0]))) {
            const char *words = rd_kafka_topic_result_error_string(each[0]);
            snprintf(text, sizeof text, "%s", words ? words : rd_kafka_err2str(code));
        }
    }
    rd_kafka_event_destroy(event);
    *ret_created = code == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (!code || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) return OZ_OK;
    OZ_FAIL(err, OZ_BROKER, "topic %s was not created: %s", topic->name, text);
}

/* A topic is created before every broker knows of it. */
static enum oz_status wait_visible(rd_kafka_t *rk, struct oz_kafka_link *link,
                                   const struct oz_kafka_config *config,
                                   const struct oz_new_topic *topic, bool created,
                                   struct oz_error *err)
{
    int64_t until_us = oz_monotonic_us() + VISIBLE_WAIT_US;
    struct oz_topic_info info = {.name = topic->name};
    for (;;) {
        OZ_TRY(oz_kafka_partitions(rk, link, config, &info, 1, VISIBLE_WAIT_US, NULL, err));
        if (info.n_partitions == topic->n_partitions) return OZ_OK;
        if ((!created && info.n_partitions) || oz_monotonic_us() > until_us) break;
        usleep(PAUSE_US);
    }
    OZ_FAIL(err, OZ_ENVIRONMENT, "topic %s has %u partitions, but %u are needed", topic->name,
            info.n_partitions, topic->n_partitions);
}

enum oz_status oz_kafka_create_topics(const struct oz_kafka_config *config,
                                      const struct oz_new_topic *topic, size_t n, bool *ret_created,
                                      struct oz_error *err)
{
    struct oz_kafka_link link = {.what = "client"};
    struct oz_topic_info info;
    rd_kafka_t *rk;
    OZ_TRY(oz_kafka_client_open(config, OZ_KAFKA_ASKER, NULL, &link, &rk, err));
    enum oz_status status = OZ_OK;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    for (size_t i = 0; i < n; i++) {
        ret_created[i] = false;
        info = (struct oz_topic_info){.name = topic[i].name};
        OZ_TRY_OUT(oz_kafka_partitions(rk, &link, config, &info, 1,
                                       OZ_KAFKA_REQUEST_MS * INT64_C(1000), NULL, err));
        if (!info.n_partitions) OZ_TRY_OUT(create(rk, queue, &topic[i], &ret_created[i], err));
        OZ_TRY_OUT(wait_visible(rk, &link, config, &topic[i], ret_created[i], err));
    }
out:
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
    return status;
}
