#include "stream/kafka_source.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "stream/kafka_lane.h"
#include "stream/merge.h"

enum {
    CHUNK_RECORDS_MAX = 2048,
    CHUNK_RECORDS_MIN = 64,
    CHUNK_RECORDS_ALL = 1 << 17, /* over all partitions */
    QUEUE_KBYTES_MIN = 1024,
    IDLE_US = 10000, /* the longest wait of a call that has nothing to give */
    JOIN_POLL_MS = 100,
    FETCH_SHARE = 16,
    FETCH_KBYTES_MIN = 64,
    FETCH_KBYTES_MAX = 1024,
    QUEUE_RECORDS_MIN = 2000,
    QUEUE_RECORDS_MAX = 300000,
    SEEK_WAIT_US = 15000000,
    SEEK_PAUSE_US = 10000,
};

struct kafka_source {
    struct oz_source base;
    rd_kafka_t *rk;
    struct oz_kafka_config client; /* borrowed */
    struct oz_kafka_link link;
    char *group;
    const char **topic;
    uint32_t n_sources, n_partitions, n_lanes, n_unsettled;
    struct oz_kafka_lane *lane; /* [n_lanes] in the order of ties */
    uint32_t *lane_of;          /* [n_partitions x n_sources] */
    struct oz_merge merge;
    rd_kafka_queue_t *main_queue; /* only for its wake-up */
    int wake_fd;
    size_t batch_bytes; /* 0: no bound */
    enum oz_kafka_source_state state;
    bool *owned;   /* [n_partitions] */
    bool *running; /* [n_partitions]: the client reads them */
    bool wants_all, is_lost;
    bool is_asked; /* the group gave or took, and waits for the answer */
    bool is_taking;
    size_t n_out; /* records that are not released */
    /* What ended it: given again by every call. */
    enum oz_status failed;
    struct oz_error why;
};

static struct kafka_source *of(struct oz_source *src) { return (struct kafka_source *)src; }

static enum oz_status fail(struct kafka_source *source, enum oz_status status)
{
    if (source->failed == OZ_OK) source->failed = status;
    return status;
}

static enum oz_status answer_failed(const struct kafka_source *source, struct oz_error *err)
{
    if (err) *err = source->why;
    return source->failed;
}

static struct oz_kafka_lane *lane_at(struct kafka_source *source, const char *topic,
                                     int32_t partition)
{
    if (partition < 0 || (uint32_t)partition >= source->n_partitions) return NULL;
    for (uint32_t s = 0; s < source->n_sources; s++)
        if (!strcmp(source->topic[s], topic))
            return &source->lane[source->lane_of[(uint32_t)partition * source->n_sources + s]];
    return NULL;
}

/* Membership */

static bool is_cooperative(const struct kafka_source *source)
{
    const char *protocol = rd_kafka_rebalance_protocol(source->rk); /* NULL while it closes */
    return protocol && !strcmp(protocol, "COOPERATIVE");
}

static enum oz_status take_client_error(const char *what, rd_kafka_error_t *error,
                                        rd_kafka_resp_err_t code, struct oz_error *err)
{
    if (!error && !code) return OZ_OK;
    oz_error_set(err, OZ_BROKER, "%s: %s", what,
                 error ? rd_kafka_error_string(error) : rd_kafka_err2str(code));
    if (error) rd_kafka_error_destroy(error);
    return OZ_BROKER;
}

/* Every topic has as many partitions; a row of one number is fed by all of them. */
static enum oz_status note_owned(struct kafka_source *source,
                                 const rd_kafka_topic_partition_list_t *list, bool is_given)
{
    for (uint32_t p = 0; p < source->n_partitions; p++) {
        uint32_t n = 0;
        for (int i = 0; i < list->cnt; i++) n += list->elems[i].partition == (int32_t)p;
        if (!n) continue;
        source->owned[p] = is_given;
        if (n != source->n_sources)
            return fail(source,
                        oz_error_set(&source->why, OZ_ENVIRONMENT,
                                     "group %s gave this process partition %u of %u topics out of "
                                     "%u: kafka.partition.assignment.strategy must be `range` for "
                                     "several sources",
                                     source->group, p, n, source->n_sources));
    }
    return OZ_OK;
}

static uint32_t n_owned(const struct kafka_source *source)
{
    uint32_t n = 0;
    for (uint32_t p = 0; p < source->n_partitions; p++) n += source->owned[p];
    return n;
}

static void on_assign(struct kafka_source *source, const rd_kafka_topic_partition_list_t *list)
{
    if (!is_cooperative(source)) memset(source->owned, 0, source->n_partitions);
    source->is_asked = true;
    if (note_owned(source, list, true) != OZ_OK) return;
    if (source->wants_all && n_owned(source) != source->n_partitions) {
        fail(source, oz_error_set(&source->why, OZ_STATE,
                                  "group %s gave this process %u of %u partitions: it has another "
                                  "member, or a topic got more partitions",
                                  source->group, n_owned(source), source->n_partitions));
        return;
    }
    /* What is read already goes on only when the rows of the new ones are here. */
    source->state = source->state == OZ_SOURCE_RUNNING ? OZ_SOURCE_LEAVING : OZ_SOURCE_OFFERED;
}

static void on_revoke(struct kafka_source *source, const rd_kafka_topic_partition_list_t *list)
{
    source->is_asked = source->is_taking = true;
    source->is_lost |= rd_kafka_assignment_lost(source->rk) != 0;
    if (source->wants_all)
        fail(source,
             oz_error_set(&source->why, OZ_FENCED, "group %s took the partitions back: %s",
                          source->group,
                          source->is_lost ? "it did not hear of this process for session.timeout.ms"
                                          : "another process joined it"));
    if (!is_cooperative(source))
        memset(source->owned, 0, source->n_partitions);
    else if (note_owned(source, list, false) != OZ_OK)
        return;
    source->state = OZ_SOURCE_LEAVING;
}

/* Runs inside a poll of the main queue. The answer to the group, assign() in the client's words, is
 * given later, by begin() or leave(). */
static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t *list, void *opaque)
{
    (void)rk;
    struct kafka_source *source = ((struct oz_kafka_link *)opaque)->owner;
    oz_debug("kafka source: group %s %s %d partitions", source->group,
             code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS ? "gives" : "takes", list->cnt);
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        on_assign(source, list);
    else
        on_revoke(source, list);
}

/* An event of the main queue that is no record. */
static enum oz_status on_event(struct kafka_source *source, const rd_kafka_message_t *message)
{
    rd_kafka_resp_err_t code = message->err;
    const char *words = rd_kafka_message_errstr(message);
    if (code == RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED)
        return oz_error_set(&source->why, OZ_FENCED,
                            "group %s took the partitions back: nothing was read for longer than "
                            "max.poll.interval.ms",
                            source->group);
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
        return oz_error_set(&source->why, OZ_ENVIRONMENT, "topic %s does not exist: %s",
                            rd_kafka_topic_name(message->rkt), words);
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        source->link.fatal =
            rd_kafka_fatal_error(source->rk, source->link.reason, sizeof source->link.reason);
        return OZ_OK;
    }
    if (oz_kafka_passes(code)) {
        oz_debug("kafka source: %s", words);
        return OZ_OK;
    }
    return oz_error_set(&source->why, OZ_BROKER, "the group %s: %s", source->group, words);
}

/* Polls the main queue: callbacks, errors, and records that came before the lanes had their own. */
static enum oz_status serve(struct kafka_source *source, int timeout_ms, struct oz_error *err)
{
    rd_kafka_message_t *message;
    while (source->failed == OZ_OK && (message = rd_kafka_consumer_poll(source->rk, timeout_ms))) {
        timeout_ms = 0;
        struct oz_kafka_lane *lane = NULL;
        if (!message->err || message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            lane = lane_at(source, rd_kafka_topic_name(message->rkt), message->partition);
        if (lane) {
            enum oz_status status = oz_kafka_lane_push(lane, message, &source->why);
            if (status != OZ_OK) fail(source, status);
            continue;
        }
        enum oz_status status = message->err ? on_event(source, message) : OZ_OK;
        rd_kafka_message_destroy(message);
        if (status != OZ_OK) fail(source, status);
    }
    if (source->link.fatal && source->failed == OZ_OK)
        fail(source,
             oz_error_set(&source->why,
                          source->link.fatal == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID ? OZ_FENCED
                                                                                     : OZ_BROKER,
                          "the group %s: %s", source->group, source->link.reason));
    if (OZ_UNLIKELY(source->failed != OZ_OK)) return answer_failed(source, err);
    return OZ_OK;
}

/* Until the fetcher of a partition has started, it may lead the partition's queue into the main one
 * again. So: lead it out, then empty the main queue, and only then read the partition's own. */
static void settle(struct kafka_source *source)
{
    source->n_unsettled = 0;
    for (uint32_t i = 0; i < source->n_lanes; i++) {
        if (source->lane[i].is_settled || !source->running[source->lane[i].partition]) continue;
        oz_kafka_lane_attach(&source->lane[i], source->rk, source->wake_fd);
        source->n_unsettled++;
    }
}

/* Reading */

static enum oz_status fill(struct kafka_source *source, uint32_t i)
{
    struct oz_kafka_lane *lane = &source->lane[i];
    bool ended;
    enum oz_status status = oz_kafka_lane_fill(lane, source->rk, &ended, &source->why);
    if (lane->n) oz_merge_offer(&source->merge, i, lane->time_ms, lane->n);
    if (ended) oz_merge_end(&source->merge, i);
    if (lane->is_heard) {
        lane->is_heard = false;
        oz_kafka_link_up(&source->link);
    }
    return status == OZ_OK ? OZ_OK : fail(source, status);
}

static enum oz_status fill_empty(struct kafka_source *source)
{
    for (uint32_t i = 0; i < source->n_lanes; i++)
        if (source->running[source->lane[i].partition] && !oz_merge_left(&source->merge, i))
            OZ_TRY(fill(source, i));
    return OZ_OK;
}

/* Returns the bytes of the records. */
static size_t give(struct kafka_source *source, uint32_t i, size_t n, struct oz_record *to)
{
    struct oz_kafka_lane *lane = &source->lane[i];
    size_t bytes = 0;
    for (size_t k = 0; k < n; k++, to++) {
        const rd_kafka_message_t *message = lane->message[lane->head + k];
        *to = (struct oz_record){.source = lane->source,
                                 .partition = lane->partition,
                                 .offset = message->offset,
                                 .timestamp_ms = lane->time_ms[lane->head + k],
                                 .key = message->key,
                                 .key_len = (uint32_t)message->key_len,
                                 .value_len = (uint32_t)message->len,
                                 .value = message->payload,
                                 .handle = lane->message[lane->head + k]};
        bytes += message->key_len + message->len;
    }
    lane->head += n;
    lane->given = to[-1].offset + 1;
    source->n_out += n;
    return bytes;
}

/* Takes runs until `max` or until the merge gives nothing more now. */
static enum oz_status take(struct kafka_source *source, size_t max, int64_t now_us,
                           struct oz_record *to, size_t *n, size_t *bytes)
{
    uint32_t i;
    size_t run;
    while (*n < max && *bytes < source->batch_bytes &&
           (run = oz_merge_take(&source->merge, max - *n, now_us, &i))) {
        *bytes += give(source, i, run, to + *n);
        *n += run;
        if (!oz_merge_left(&source->merge, i)) OZ_TRY(fill(source, i));
    }
    return OZ_OK;
}

static void wait_event(struct kafka_source *source, int64_t timeout_us)
{
    struct pollfd fd = {.fd = source->wake_fd, .events = POLLIN};
    struct timespec timeout = {.tv_sec = timeout_us / 1000000,
                               .tv_nsec = timeout_us % 1000000 * 1000};
    uint64_t count;
    if (ppoll(&fd, 1, &timeout, NULL) > 0) (void)!read(source->wake_fd, &count, sizeof count);
}

static enum oz_status source_next(struct oz_source *src, size_t max_records, int64_t max_wait_us,
                                  struct oz_record *ret_record, size_t *ret_n, struct oz_error *err)
{
    struct kafka_source *source = of(src);
    *ret_n = 0;
    size_t n = 0, bytes = 0;
    int64_t now_us = oz_monotonic_us();
    int64_t until_us = now_us + OZ_MAX(max_wait_us, IDLE_US);
    for (;;) {
        if (source->n_unsettled) settle(source);
        enum oz_status status = serve(source, 0, err);
        /* Records that were taken stay the caller's: the failure is told by the next call. */
        if (status != OZ_OK && !n) return status;
        if (source->state == OZ_SOURCE_RUNNING && status == OZ_OK) status = fill_empty(source);
        bool is_first = n == 0;
        if (source->state != OZ_SOURCE_RUNNING) break;
        if (status == OZ_OK) status = take(source, max_records, now_us, ret_record, &n, &bytes);
        if (status != OZ_OK && !n) return answer_failed(source, err);
        if (n == max_records || bytes >= source->batch_bytes || status != OZ_OK) break;
        if (n && is_first) until_us = now_us + max_wait_us;
        if (n && !oz_merge_holds(&source->merge)) break;
        now_us = oz_monotonic_us();
        if (now_us >= until_us) break;
        wait_event(source, OZ_MIN(until_us - now_us, oz_merge_lapse_in_us(&source->merge, now_us)));
        now_us = oz_monotonic_us();
    }
    *ret_n = n;
    return OZ_OK;
}

static void source_release(struct oz_source *src, struct oz_record *record, size_t n)
{
    struct kafka_source *source = of(src);
    OZ_ASSERT(n <= source->n_out);
    for (size_t i = 0; i < n; i++) {
        rd_kafka_message_destroy(record[i].handle);
        record[i].handle = NULL;
    }
    source->n_out -= n;
}

static bool source_at_end(const struct oz_source *src)
{
    return oz_merge_at_end(&((const struct kafka_source *)src)->merge);
}

static size_t source_headers(struct oz_source *src, const struct oz_record *record,
                             struct oz_header *ret_header, size_t cap)
{
    (void)src;
    rd_kafka_headers_t *headers = NULL;
    if (rd_kafka_message_headers(record->handle, &headers)) return 0;
    size_t n = OZ_MIN(rd_kafka_header_cnt(headers), cap);
    for (size_t i = 0; i < n; i++)
        if (rd_kafka_header_get_all(headers, i, &ret_header[i].name, &ret_header[i].value,
                                    &ret_header[i].len))
            return i;
    return n;
}

static void source_close(struct oz_source *src)
{
    struct kafka_source *source = of(src);
    /* A message that is still out would keep the client from ending for ever. */
    OZ_ASSERT(source->n_out == 0);
    for (uint32_t i = 0; source->lane && i < source->n_lanes; i++)
        oz_kafka_lane_clear(&source->lane[i]);
    if (source->main_queue) {
        rd_kafka_queue_io_event_enable(source->main_queue, -1, NULL, 0);
        rd_kafka_queue_destroy(source->main_queue);
    }
    /* A static member does not leave its group: it may come back within session.timeout.ms. So
     * there is nothing to be said to the group; a close in the middle of a join would wait for ever
     * for its own answer (librdkafka 2.0). */
    if (source->rk) rd_kafka_destroy_flags(source->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    if (source->wake_fd >= 0) close(source->wake_fd);
    oz_merge_clear(&source->merge);
    for (uint32_t i = 0; source->topic && i < source->n_sources; i++)
        oz_free((char *)source->topic[i]);
    oz_free(source->topic);
    oz_free(source->lane);
    oz_free(source->lane_of);
    oz_free(source->owned);
    oz_free(source->running);
    oz_free(source->group);
    oz_free(source);
}

static const struct oz_source_ops kafka_ops = {.next = source_next,
                                               .release = source_release,
                                               .at_end = source_at_end,
                                               .close = source_close,
                                               .headers = source_headers};

/* Opening */

/* Lanes are numbered in the order of ties: unscored sources first, then source, partition. */
static enum oz_status make_lanes(struct kafka_source *source,
                                 const struct oz_kafka_source_config *config, struct oz_error *err)
{
    size_t cap = CHUNK_RECORDS_ALL / source->n_lanes;
    cap = OZ_MAX(OZ_MIN(cap, CHUNK_RECORDS_MAX), CHUNK_RECORDS_MIN);
    uint32_t i = 0;
    for (int scored = 0; scored <= 1; scored++)
        for (uint32_t s = 0; s < source->n_sources; s++)
            for (uint32_t p = 0; config->scored[s] == (scored == 1) && p < source->n_partitions;
                 p++) {
                OZ_TRY(oz_kafka_lane_init(&source->lane[i], source->topic[s], s, p, cap, err));
                source->lane_of[p * source->n_sources + s] = i++;
            }
    return OZ_OK;
}

static enum oz_status prepare(struct kafka_source *source,
                              const struct oz_kafka_source_config *config, struct oz_error *err)
{
    source->base.ops = &kafka_ops;
    source->n_sources = config->n_sources;
    source->n_partitions = config->n_partitions;
    source->n_lanes = config->n_sources * config->n_partitions;
    source->link = (struct oz_kafka_link){.what = "source", .owner = source};
    source->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (source->wake_fd < 0) OZ_FAIL(err, OZ_IO, "eventfd: %s", strerror(errno));
    source->group = oz_strdup(config->group);
    source->topic = oz_calloc(source->n_sources, sizeof *source->topic);
    source->lane = oz_calloc(source->n_lanes, sizeof *source->lane);
    source->lane_of = oz_calloc(source->n_lanes, sizeof *source->lane_of);
    source->owned = oz_calloc(source->n_partitions, sizeof *source->owned);
    source->running = oz_calloc(source->n_partitions, sizeof *source->running);
    if (!source->group || !source->topic || !source->lane || !source->lane_of || !source->owned ||
        !source->running)
        return oz_no_memory(err);
    for (uint32_t s = 0; s < source->n_sources; s++)
        if (!(source->topic[s] = oz_strdup(config->topic[s]))) return oz_no_memory(err);
    OZ_TRY(make_lanes(source, config, err));
    return oz_merge_init(&source->merge, source->n_lanes, config->max_idle_us, oz_monotonic_us(),
                         err);
}

static enum oz_status connect_client(struct kafka_source *source,
                                     const struct oz_kafka_source_config *config,
                                     struct oz_error *err)
{
    char kbytes[32], records[32], fetch[32];
    const struct oz_kafka_config *client = &config->client;
    /* The client's bounds are of one partition each. */
    size_t each = config->queue_bytes / 1024 / source->n_lanes;
    each = OZ_MIN(OZ_MAX(each, QUEUE_KBYTES_MIN), (size_t)2097151);
    snprintf(kbytes, sizeof kbytes, "%zu", each);
    /* Compressed: what comes out of one answer may be many times as large. */
    size_t kb =
        OZ_MIN(OZ_MAX(each / FETCH_SHARE, (size_t)FETCH_KBYTES_MIN), (size_t)FETCH_KBYTES_MAX);
    snprintf(fetch, sizeof fetch, "%zu", kb * 1024);
    size_t n = config->queue_records / source->n_lanes;
    snprintf(records, sizeof records, "%zu",
             OZ_MIN(OZ_MAX(n, (size_t)QUEUE_RECORDS_MIN), (size_t)QUEUE_RECORDS_MAX));
    struct oz_kafka_setting owned[8] = {
        {"group.id", config->group},
        {"group.instance.id", config->instance},
        {"isolation.level", config->exactly_once ? "read_committed" : "read_uncommitted"},
    };
    const struct oz_kafka_setting bound[] = {{"queued.max.messages.kbytes", kbytes},
                                             {"fetch.message.max.bytes", fetch},
                                             {"queued.min.messages", records}};
    size_t n_owned = 3;
    for (size_t i = 0; i < OZ_COUNT_OF(bound); i++)
        if (config->queue_bytes && !oz_kafka_has(client, bound[i].key)) owned[n_owned++] = bound[i];

    rd_kafka_conf_t *conf;
    OZ_TRY(oz_kafka_conf(client, OZ_KAFKA_CONSUMER, owned, &source->link, &conf, err));
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    OZ_TRY(oz_kafka_client_new(OZ_KAFKA_CONSUMER, conf, &source->rk, err));
    rd_kafka_poll_set_consumer(source->rk);
    return OZ_OK;
}

/* Asks for the logs' bounds, read uncommitted, so that an offset that is gone is told before
 * anything starts, and one beyond the end (a topic made anew) is told at all. */
static enum oz_status check_offsets(const struct kafka_source *source,
                                    const struct oz_positions *from, struct oz_error *err)
{
    struct oz_kafka_link link = {.what = "client"};
    rd_kafka_t *rk;
    OZ_TRY(oz_kafka_client_open(&source->client, OZ_KAFKA_ASKER, NULL, &link, &rk, err));
    enum oz_status status = OZ_OK;
    rd_kafka_topic_partition_list_t *low, *high;
    low = oz_kafka_list(source->topic, source->n_sources, source->n_partitions, NULL);
    high = oz_kafka_list(source->topic, source->n_sources, source->n_partitions, NULL);
    OZ_TRY_OUT(oz_kafka_list_offsets(rk, low, OZ_KAFKA_EARLIEST, err));
    OZ_TRY_OUT(oz_kafka_list_offsets(rk, high, OZ_KAFKA_LATEST, err));
    for (int i = 0; i < low->cnt; i++) {
        int64_t offset = from->source[i];
        if (!source->owned[(uint32_t)i / source->n_sources]) continue;
        if (offset < 0) {
            status = oz_error_set(err, OZ_DEFECT, "%s partition %d has no offset to start at",
                                  low->elems[i].topic, low->elems[i].partition);
            break;
        }
        if (offset >= low->elems[i].offset && offset <= high->elems[i].offset) continue;
        status = oz_error_set(err, OZ_LOST,
                              "%s partition %d: offset %lld is gone, the log has %lld to %lld; %s",
                              low->elems[i].topic, low->elems[i].partition, (long long)offset,
                              (long long)low->elems[i].offset, (long long)high->elems[i].offset,
                              offset < low->elems[i].offset
                                  ? "its retention is shorter than the time that nothing was read"
                                  : "the topic was made anew or cut");
        break;
    }
out:
    rd_kafka_topic_partition_list_destroy(low);
    rd_kafka_topic_partition_list_destroy(high);
    rd_kafka_destroy(rk);
    return status;
}

static enum oz_status subscribe(struct kafka_source *source, struct oz_error *err)
{
    static const uint64_t one = 1;
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)source->n_sources);
    for (uint32_t s = 0; s < source->n_sources; s++)
        rd_kafka_topic_partition_list_add(list, source->topic[s], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(source->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code)
        OZ_FAIL(err, OZ_BROKER, "group %s could not be joined: %s", source->group,
                rd_kafka_err2str(code));
    source->main_queue = rd_kafka_queue_get_consumer(source->rk);
    rd_kafka_queue_io_event_enable(source->main_queue, source->wake_fd, &one, sizeof one);
    return OZ_OK;
}

static enum oz_status make(const struct oz_kafka_source_config *config,
                           struct kafka_source **ret_source, struct oz_error *err)
{
    OZ_ASSERT(config->n_sources && config->n_sources <= OZ_SOURCES_MAX && config->n_partitions &&
              config->n_partitions <= OZ_PARTITIONS_MAX);
    enum oz_status status = OZ_OK;
    struct kafka_source *source = oz_calloc(1, sizeof *source);
    if (!source) return oz_no_memory(err);
    source->wake_fd = -1;
    source->client = config->client;
    source->batch_bytes = config->batch_bytes ? config->batch_bytes : SIZE_MAX;
    OZ_TRY_OUT(prepare(source, config, err));
    OZ_TRY_OUT(connect_client(source, config, err));
    *ret_source = source;
    return OZ_OK;
out:
    source_close(&source->base);
    return status;
}

enum oz_status oz_kafka_source_join(const struct oz_kafka_source_config *config,
                                    struct oz_source **ret_source, struct oz_error *err)
{
    struct kafka_source *source;
    OZ_TRY(make(config, &source, err));
    enum oz_status status = subscribe(source, err);
    if (status == OZ_OK)
        *ret_source = &source->base;
    else
        source_close(&source->base);
    return status;
}

enum oz_status oz_kafka_source_open(const struct oz_kafka_source_config *config,
                                    const struct oz_positions *from, int64_t wait_us,
                                    const atomic_bool *stop, struct oz_source **ret_source,
                                    struct oz_error *err)
{
    OZ_ASSERT(from->n_sources == config->n_sources && from->n_partitions == config->n_partitions);
    enum oz_status status = OZ_OK;
    struct kafka_source *source;
    OZ_TRY(make(config, &source, err));
    struct oz_source *src = &source->base;
    source->wants_all = true;
    memset(source->owned, true, source->n_partitions); /* told before anybody is disturbed */
    OZ_TRY_OUT(check_offsets(source, from, err));
    memset(source->owned, false, source->n_partitions);
    OZ_TRY_OUT(subscribe(source, err));
    int64_t until_us = oz_monotonic_us() + wait_us;
    while (source->state != OZ_SOURCE_OFFERED) {
        OZ_TRY_OUT(serve(source, JOIN_POLL_MS, err));
        if (source->state == OZ_SOURCE_OFFERED) break;
        if (stop && *stop) {
            status = oz_error_set(err, OZ_RETRY, "stopped while joining the group");
            goto out;
        }
        if (oz_monotonic_us() < until_us) continue;
        status = oz_error_set(err, OZ_ENVIRONMENT, "group %s gave no partitions within %lld s%s%s",
                              source->group, (long long)(wait_us / 1000000),
                              source->link.reason[0] ? ": " : "", source->link.reason);
        goto out;
    }
    OZ_TRY_OUT(oz_kafka_source_begin(src, from, err));
    *ret_source = src;
    return OZ_OK;
out:
    source_close(src);
    return status;
}

/* The group's moves */

enum oz_kafka_source_state oz_kafka_source_state(const struct oz_source *src)
{
    return ((const struct kafka_source *)src)->state;
}
const bool *oz_kafka_source_owned(const struct oz_source *src)
{
    return ((const struct kafka_source *)src)->owned;
}
bool oz_kafka_source_is_lost(const struct oz_source *src)
{
    return ((const struct kafka_source *)src)->is_lost;
}

/* The topics' partitions p with a[p] and not b[p] (NULL: none), at offsets `from` (may be NULL). */
static rd_kafka_topic_partition_list_t *list_of(const struct kafka_source *source, const bool *a,
                                                const bool *b, const struct oz_positions *from)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)source->n_lanes);
    for (uint32_t p = 0; p < source->n_partitions; p++)
        for (uint32_t s = 0; a[p] && !(b && b[p]) && s < source->n_sources; s++) {
            rd_kafka_topic_partition_t *item =
                rd_kafka_topic_partition_list_add(list, source->topic[s], (int32_t)p);
            if (from) item->offset = from->source[p * source->n_sources + s];
        }
    return list;
}

/* Lanes that are read stand at `from`, the others are at their end for ever. */
static void restart_lanes(struct kafka_source *source, const struct oz_positions *from)
{
    oz_merge_restart(&source->merge, oz_monotonic_us());
    for (uint32_t i = 0; i < source->n_lanes; i++) {
        struct oz_kafka_lane *lane = &source->lane[i];
        bool runs = from && source->running[lane->partition];
        oz_kafka_lane_restart(
            lane, runs ? from->source[lane->partition * source->n_sources + lane->source] : 0);
        if (!runs) oz_merge_end(&source->merge, i);
    }
}

/* The fetchers of kept partitions are led back, those of new ones begin. */
static enum oz_status seek_list(struct kafka_source *source, rd_kafka_topic_partition_list_t *list,
                                struct oz_error *err)
{
    int64_t until_us = oz_monotonic_us() + SEEK_WAIT_US;
    enum oz_kafka_source_state state = source->state;
    while (list->cnt && source->state == state) {
        for (int i = 0; i < list->cnt; i++) list->elems[i].err = 0;
        const char *words = NULL;
        enum oz_status status = OZ_OK;
        rd_kafka_error_t *error = rd_kafka_seek_partitions(source->rk, list, OZ_KAFKA_REQUEST_MS);
        if (error) words = rd_kafka_error_string(error);
        /* A partition whose fetcher has not started yet says _STATE. */
        for (int i = 0; i < list->cnt && !words; i++)
            if (list->elems[i].err) words = rd_kafka_err2str(list->elems[i].err);
        if (words && oz_monotonic_us() > until_us)
            status =
                oz_error_set(err, OZ_BROKER, "the partitions could not be read again: %s", words);
        if (error) rd_kafka_error_destroy(error);
        if (!words || status != OZ_OK) return status;
        OZ_TRY(serve(source, 0, err));
        usleep(SEEK_PAUSE_US);
    }
    return OZ_OK;
}

enum oz_status oz_kafka_source_begin(struct oz_source *src, const struct oz_positions *from,
                                     struct oz_error *err)
{
    struct kafka_source *source = of(src);
    OZ_ASSERT(source->state == OZ_SOURCE_OFFERED && source->n_out == 0);
    if (source->failed != OZ_OK) return answer_failed(source, err);
    OZ_TRY(check_offsets(source, from, err));
    bool adds = is_cooperative(source);
    rd_kafka_topic_partition_list_t *kept = list_of(source, source->running, NULL, from);
    rd_kafka_topic_partition_list_t *list =
        list_of(source, source->owned, adds ? source->running : NULL, from);
    enum oz_status status = OZ_OK;
    if (!adds)
        status = take_client_error("the partitions were not assigned", NULL,
                                   rd_kafka_assign(source->rk, list), err);
    else if (list->cnt || source->is_asked) /* an empty answer is one too */
        status = take_client_error("the partitions were not assigned",
                                   rd_kafka_incremental_assign(source->rk, list), 0, err);
    source->is_asked = false;
    if (status == OZ_OK && adds) status = seek_list(source, kept, err);
    rd_kafka_topic_partition_list_destroy(kept);
    rd_kafka_topic_partition_list_destroy(list);
    OZ_TRY(status);
    memcpy(source->running, source->owned, source->n_partitions);
    restart_lanes(source, from);
    for (uint32_t i = 0; i < source->n_lanes; i++) {
        struct oz_kafka_lane *lane = &source->lane[i];
        lane->is_settled = false;
        if (source->running[lane->partition])
            oz_kafka_lane_attach(lane, source->rk, source->wake_fd);
    }
    source->n_unsettled = source->n_lanes;
    if (source->state == OZ_SOURCE_OFFERED) source->state = OZ_SOURCE_RUNNING;
    return OZ_OK;
}

enum oz_status oz_kafka_source_leave(struct oz_source *src, struct oz_error *err)
{
    struct kafka_source *source = of(src);
    OZ_ASSERT(source->n_out == 0);
    if (source->failed != OZ_OK) return answer_failed(source, err);
    enum oz_status status = OZ_OK;
    bool adds = is_cooperative(source);
    restart_lanes(source, NULL);
    source->is_lost = false;
    if (adds) {
        rd_kafka_topic_partition_list_t *list =
            list_of(source, source->running, source->owned, NULL);
        if (list->cnt || source->is_taking)
            status = take_client_error("the partitions were not given back",
                                       rd_kafka_incremental_unassign(source->rk, list), 0, err);
        rd_kafka_topic_partition_list_destroy(list);
        for (uint32_t p = 0; p < source->n_partitions; p++) source->running[p] &= source->owned[p];
    } else {
        status = take_client_error("the partitions were not given back", NULL,
                                   rd_kafka_assign(source->rk, NULL), err);
        memset(source->running, 0, source->n_partitions);
        memset(source->owned, 0, source->n_partitions);
    }
    source->state =
        adds && (source->is_asked || n_owned(source)) ? OZ_SOURCE_OFFERED : OZ_SOURCE_JOINING;
    return status;
}

/* Others */

enum oz_status oz_kafka_source_seek(struct oz_source *src, const struct oz_positions *to,
                                    struct oz_error *err)
{
    struct kafka_source *source = of(src);
    OZ_ASSERT(to->n_sources == source->n_sources && to->n_partitions == source->n_partitions);
    if (source->failed != OZ_OK) return answer_failed(source, err);
    rd_kafka_topic_partition_list_t *list = list_of(source, source->running, NULL, to);
    enum oz_status status = seek_list(source, list, err);
    rd_kafka_topic_partition_list_destroy(list);
    if (status == OZ_OK) restart_lanes(source, to);
    return status;
}

int64_t oz_kafka_source_lag(const struct oz_source *src)
{
    const struct kafka_source *source = (const struct kafka_source *)src;
    int64_t lag = 0;
    for (uint32_t i = 0; i < source->n_lanes; i++) {
        const struct oz_merge_lane *lane = &source->merge.lane[i];
        if (lane->n_left || !lane->at_end) lag += oz_kafka_lane_lag(&source->lane[i], source->rk);
    }
    return lag;
}

enum oz_status oz_kafka_source_keep_alive(struct oz_source *src, int64_t wait_us,
                                          struct oz_error *err)
{
    return serve(of(src), (int)(wait_us / 1000), err);
}

rd_kafka_t *oz_kafka_source_client(const struct oz_source *src)
{
    OZ_ASSERT(src->ops == &kafka_ops);
    return ((const struct kafka_source *)src)->rk;
}

const char *const *oz_kafka_source_topics(const struct oz_source *src)
{
    return ((const struct kafka_source *)src)->topic;
}
