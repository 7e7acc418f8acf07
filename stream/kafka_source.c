#include "stream/kafka_source.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "stream/kafka_source_state.h"

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
};

/* Until the fetcher of a partition has started, it may lead the partition's queue into the main one
 * again. So: lead it out, then empty the main queue, and only then read the partition's own. */
static void settle(struct oz_kafka_source *source)
{
    source->n_unsettled = 0;
    for (uint32_t i = 0; i < source->n_lanes; i++) {
        if (source->lane[i].is_settled || !source->running[source->lane[i].partition]) continue;
        oz_kafka_lane_attach(&source->lane[i], source->rk, source->wake_fd);
        source->n_unsettled++;
    }
}

/* Reading */

static enum oz_status fill(struct oz_kafka_source *source, uint32_t i)
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
    return status == OZ_OK ? OZ_OK : oz_kafka_source_fail(source, status);
}

static enum oz_status fill_empty(struct oz_kafka_source *source)
{
    for (uint32_t i = 0; i < source->n_merged; i++)
        if (source->running[source->lane[i].partition] && !oz_merge_left(&source->merge, i))
            OZ_TRY(fill(source, i));
    return OZ_OK;
}

/* Returns the bytes of the records. */
static size_t give(struct oz_kafka_source *source, uint32_t i, size_t n, struct oz_record *to)
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
static enum oz_status take(struct oz_kafka_source *source, size_t max, int64_t now_us,
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

static bool has_unmerged(const struct oz_kafka_source *source)
{
    for (uint32_t i = source->n_merged; i < source->n_lanes; i++)
        if (source->running[source->lane[i].partition] && oz_kafka_lane_has(&source->lane[i]))
            return true;
    return false;
}

static void wait_event(struct oz_kafka_source *source, int64_t timeout_us)
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
    struct oz_kafka_source *source = oz_kafka_source_of(src);
    *ret_n = 0;
    size_t n = 0, bytes = 0;
    int64_t now_us = oz_monotonic_us();
    int64_t until_us = max_wait_us < 0 ? now_us : now_us + OZ_MAX(max_wait_us, IDLE_US);
    for (;;) {
        if (source->n_unsettled) settle(source);
        enum oz_status status = oz_kafka_member_serve(source, 0, err);
        /* Records that were taken stay the caller's: the failure is told by the next call. */
        if (status != OZ_OK && !n) return status;
        if (source->state == OZ_SOURCE_RUNNING && status == OZ_OK) status = fill_empty(source);
        bool is_first = n == 0;
        if (source->state != OZ_SOURCE_RUNNING) break;
        if (status == OZ_OK) status = take(source, max_records, now_us, ret_record, &n, &bytes);
        if (status != OZ_OK && !n) return oz_kafka_source_failed(source, err);
        if (n == max_records || bytes >= source->batch_bytes || status != OZ_OK) break;
        if (n && is_first) until_us = now_us + max_wait_us;
        if (n && !oz_merge_holds(&source->merge)) break;
        if (has_unmerged(source)) break;
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
    struct oz_kafka_source *source = oz_kafka_source_of(src);
    OZ_ASSERT(n <= source->n_out);
    for (size_t i = 0; i < n; i++) {
        rd_kafka_message_destroy(record[i].handle);
        record[i].handle = NULL;
    }
    source->n_out -= n;
}

static bool source_at_end(const struct oz_source *src)
{
    return oz_merge_at_end(&((const struct oz_kafka_source *)src)->merge);
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
    struct oz_kafka_source *source = oz_kafka_source_of(src);
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

static bool source_ahead(const struct oz_source *src, uint32_t partition, int64_t *ret_time_ms)
{
    const struct oz_kafka_source *source = (const struct oz_kafka_source *)src;
    bool is_ahead = false;
    *ret_time_ms = INT64_MAX;
    for (uint32_t s = 0; s < source->n_sources; s++) {
        uint32_t i = source->lane_of[(size_t)partition * source->n_sources + s];
        if (i >= source->n_merged) continue;
        const struct oz_merge_lane *lane = &source->merge.lane[i];
        if (!lane->n_left && (lane->at_end || lane->idle)) continue;
        is_ahead = true;
        *ret_time_ms = OZ_MIN(*ret_time_ms, lane->n_left ? lane->time_ms[0] : INT64_MIN);
    }
    return is_ahead;
}

static const struct oz_source_ops kafka_ops = {.next = source_next,
                                               .release = source_release,
                                               .at_end = source_at_end,
                                               .close = source_close,
                                               .headers = source_headers,
                                               .ahead = source_ahead};

/* Opening */

/* Lanes are numbered in the order of ties: unscored sources first, then source, partition. */
static enum oz_status make_lanes(struct oz_kafka_source *source,
                                 const struct oz_kafka_source_config *config, struct oz_error *err)
{
    size_t cap = CHUNK_RECORDS_ALL / source->n_lanes;
    cap = OZ_MAX(OZ_MIN(cap, CHUNK_RECORDS_MAX), CHUNK_RECORDS_MIN);
    uint32_t i = 0, n_merged = source->n_sources - config->n_unmerged;
    for (uint32_t kind = 0; kind < 3; kind++) /* unscored, scored, unmerged */
        for (uint32_t s = 0; s < source->n_sources; s++)
            for (uint32_t p = 0;
                 (s < n_merged ? config->scored[s] : 2u) == kind && p < source->n_partitions; p++) {
                OZ_TRY(oz_kafka_lane_init(&source->lane[i], source->topic[s], s, p, cap, err));
                source->lane_of[p * source->n_sources + s] = i++;
            }
    return OZ_OK;
}

static enum oz_status prepare(struct oz_kafka_source *source,
                              const struct oz_kafka_source_config *config, struct oz_error *err)
{
    source->base.ops = &kafka_ops;
    source->n_sources = config->n_sources;
    source->n_partitions = config->n_partitions;
    source->n_lanes = config->n_sources * config->n_partitions;
    source->n_merged = source->n_lanes - config->n_unmerged * config->n_partitions;
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
    return oz_merge_init(&source->merge, source->n_merged, config->max_idle_us, oz_monotonic_us(),
                         err);
}

static enum oz_status connect_client(struct oz_kafka_source *source,
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
    rd_kafka_conf_set_rebalance_cb(conf, oz_kafka_member_on_rebalance);
    OZ_TRY(oz_kafka_client_new(OZ_KAFKA_CONSUMER, conf, &source->rk, err));
    rd_kafka_poll_set_consumer(source->rk);
    return OZ_OK;
}

static enum oz_status subscribe(struct oz_kafka_source *source, struct oz_error *err)
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
                           struct oz_kafka_source **ret_source, struct oz_error *err)
{
    OZ_ASSERT(config->n_sources && config->n_sources <= OZ_SOURCES_MAX && config->n_partitions &&
              config->n_partitions <= OZ_PARTITIONS_MAX);
    enum oz_status status = OZ_OK;
    struct oz_kafka_source *source = oz_calloc(1, sizeof *source);
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
    struct oz_kafka_source *source;
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
    struct oz_kafka_source *source;
    OZ_TRY(make(config, &source, err));
    struct oz_source *src = &source->base;
    source->wants_all = true;
    memset(source->owned, true, source->n_partitions); /* told before anybody is disturbed */
    OZ_TRY_OUT(oz_kafka_member_check(source, from, err));
    memset(source->owned, false, source->n_partitions);
    OZ_TRY_OUT(subscribe(source, err));
    int64_t until_us = oz_monotonic_us() + wait_us;
    while (source->state != OZ_SOURCE_OFFERED) {
        OZ_TRY_OUT(oz_kafka_member_serve(source, JOIN_POLL_MS, err));
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

enum oz_status oz_kafka_source_unmerged(struct oz_source *src, size_t max_records,
                                        struct oz_record *ret_record, size_t *ret_n,
                                        struct oz_error *err)
{
    struct oz_kafka_source *source = oz_kafka_source_of(src);
    *ret_n = 0;
    if (source->n_unsettled) settle(source);
    OZ_TRY(oz_kafka_member_serve(source, 0, err));
    uint32_t n_unmerged = source->n_lanes - source->n_merged;
    size_t bytes = 0;
    for (uint32_t k = 0;
         k < n_unmerged && source->state == OZ_SOURCE_RUNNING && bytes < source->batch_bytes; k++) {
        uint32_t i = source->n_merged + (source->next_unmerged + k) % n_unmerged;
        struct oz_kafka_lane *lane = &source->lane[i];
        if (!source->running[lane->partition]) continue;
        bool ended;
        enum oz_status status = OZ_OK;
        if (lane->head == lane->n)
            status = oz_kafka_lane_fill(lane, source->rk, &ended, &source->why);
        if (status != OZ_OK) {
            oz_kafka_source_fail(source, status);
            if (!*ret_n) return oz_kafka_source_failed(source, err);
            break;
        }
        if (lane->is_heard) oz_kafka_link_up(&source->link);
        lane->is_heard = false;
        size_t n = OZ_MIN(lane->n - lane->head, max_records - *ret_n);
        if (n) bytes += give(source, i, n, ret_record + *ret_n);
        *ret_n += n;
    }
    if (n_unmerged) source->next_unmerged = (source->next_unmerged + 1) % n_unmerged;
    return OZ_OK;
}

int64_t oz_kafka_source_lag(const struct oz_source *src)
{
    const struct oz_kafka_source *source = (const struct oz_kafka_source *)src;
    int64_t lag = 0;
    for (uint32_t i = 0; i < source->n_merged; i++) {
        const struct oz_merge_lane *lane = &source->merge.lane[i];
        if (lane->n_left || !lane->at_end) lag += oz_kafka_lane_lag(&source->lane[i], source->rk);
    }
    return lag;
}

enum oz_status oz_kafka_source_keep_alive(struct oz_source *src, int64_t wait_us,
                                          struct oz_error *err)
{
    return oz_kafka_member_serve(oz_kafka_source_of(src), (int)(wait_us / 1000), err);
}

rd_kafka_t *oz_kafka_source_client(const struct oz_source *src)
{
    OZ_ASSERT(src->ops == &kafka_ops);
    return ((const struct oz_kafka_source *)src)->rk;
}

const char *const *oz_kafka_source_topics(const struct oz_source *src)
{
    return ((const struct oz_kafka_source *)src)->topic;
}
