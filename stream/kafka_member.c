#include "stream/kafka_source_state.h"

#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"

enum {
    SEEK_WAIT_US = 15000000,
    SEEK_PAUSE_US = 10000,
};

static struct oz_kafka_lane *lane_at(struct oz_kafka_source *source, const char *topic,
                                     int32_t partition)
{
    if (partition < 0 || (uint32_t)partition >= source->n_partitions) return NULL;
    for (uint32_t s = 0; s < source->n_sources; s++)
        if (!strcmp(source->topic[s], topic))
            return &source->lane[source->lane_of[(uint32_t)partition * source->n_sources + s]];
    return NULL;
}

/* Membership */

static bool is_cooperative(const struct oz_kafka_source *source)
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
static enum oz_status note_owned(struct oz_kafka_source *source,
                                 const rd_kafka_topic_partition_list_t *list, bool is_given)
{
    for (uint32_t p = 0; p < source->n_partitions; p++) {
        uint32_t n = 0;
        for (int i = 0; i < list->cnt; i++) n += list->elems[i].partition == (int32_t)p;
        if (!n) continue;
        source->owned[p] = is_given;
        if (n != source->n_sources)
            return oz_kafka_source_fail(
                source, oz_error_set(&source->why, OZ_ENVIRONMENT,
                                     "group %s gave this process partition %u of %u topics out of "
                                     "%u: kafka.partition.assignment.strategy must be `range` for "
                                     "several sources",
                                     source->group, p, n, source->n_sources));
    }
    return OZ_OK;
}

static uint32_t n_owned(const struct oz_kafka_source *source)
{
    uint32_t n = 0;
    for (uint32_t p = 0; p < source->n_partitions; p++) n += source->owned[p];
    return n;
}

static void on_assign(struct oz_kafka_source *source, const rd_kafka_topic_partition_list_t *list)
{
    if (!is_cooperative(source)) memset(source->owned, 0, source->n_partitions);
    source->is_asked = true;
    if (note_owned(source, list, true) != OZ_OK) return;
    if (source->wants_all && n_owned(source) != source->n_partitions) {
        oz_kafka_source_fail(
            source, oz_error_set(&source->why, OZ_STATE,
                                 "group %s gave this process %u of %u partitions: it has another "
                                 "member, or a topic got more partitions",
                                 source->group, n_owned(source), source->n_partitions));
        return;
    }
    /* What is read already goes on only when the rows of the new ones are here. */
    source->state = source->state == OZ_SOURCE_RUNNING ? OZ_SOURCE_LEAVING : OZ_SOURCE_OFFERED;
}

static void on_revoke(struct oz_kafka_source *source, const rd_kafka_topic_partition_list_t *list)
{
    source->is_asked = source->is_taking = true;
    source->is_lost |= rd_kafka_assignment_lost(source->rk) != 0;
    if (source->wants_all)
        oz_kafka_source_fail(
            source,
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
void oz_kafka_member_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                                  rd_kafka_topic_partition_list_t *list, void *opaque)
{
    (void)rk;
    struct oz_kafka_source *source = ((struct oz_kafka_link *)opaque)->owner;
    oz_debug("kafka source: group %s %s %d partitions", source->group,
             code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS ? "gives" : "takes", list->cnt);
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        on_assign(source, list);
    else
        on_revoke(source, list);
}

/* An event of the main queue that is no record. */
static enum oz_status on_event(struct oz_kafka_source *source, const rd_kafka_message_t *message)
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

enum oz_status oz_kafka_member_serve(struct oz_kafka_source *source, int timeout_ms,
                                     struct oz_error *err)
{
    rd_kafka_message_t *message;
    while (source->failed == OZ_OK && (message = rd_kafka_consumer_poll(source->rk, timeout_ms))) {
        timeout_ms = 0;
        struct oz_kafka_lane *lane = NULL;
        if (!message->err || message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            lane = lane_at(source, rd_kafka_topic_name(message->rkt), message->partition);
        if (lane) {
            enum oz_status status = oz_kafka_lane_push(lane, message, &source->why);
            if (status != OZ_OK) oz_kafka_source_fail(source, status);
            continue;
        }
        enum oz_status status = message->err ? on_event(source, message) : OZ_OK;
        rd_kafka_message_destroy(message);
        if (status != OZ_OK) oz_kafka_source_fail(source, status);
    }
    if (source->link.fatal && source->failed == OZ_OK)
        oz_kafka_source_fail(source,
                             oz_error_set(&source->why,
                                          source->link.fatal == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID
                                              ? OZ_FENCED
                                              : OZ_BROKER,
                                          "the group %s: %s", source->group, source->link.reason));
    if (OZ_UNLIKELY(source->failed != OZ_OK)) return oz_kafka_source_failed(source, err);
    return OZ_OK;
}

enum oz_status oz_kafka_member_check(const struct oz_kafka_source *source,
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

/* The group's moves */

enum oz_kafka_source_state oz_kafka_source_state(const struct oz_source *src)
{
    return ((const struct oz_kafka_source *)src)->state;
}
const bool *oz_kafka_source_owned(const struct oz_source *src)
{
    return ((const struct oz_kafka_source *)src)->owned;
}
bool oz_kafka_source_is_lost(const struct oz_source *src)
{
    return ((const struct oz_kafka_source *)src)->is_lost;
}

/* The topics' partitions p with a[p] and not b[p] (NULL: none), at offsets `from` (may be NULL). */
static rd_kafka_topic_partition_list_t *list_of(const struct oz_kafka_source *source, const bool *a,
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
static void restart_lanes(struct oz_kafka_source *source, const struct oz_positions *from)
{
    oz_merge_restart(&source->merge, oz_monotonic_us());
    for (uint32_t i = 0; i < source->n_lanes; i++) {
        struct oz_kafka_lane *lane = &source->lane[i];
        bool runs = from && source->running[lane->partition];
        oz_kafka_lane_restart(
            lane, runs ? from->source[lane->partition * source->n_sources + lane->source] : 0);
        if (!runs && i < source->n_merged) oz_merge_end(&source->merge, i);
    }
}

/* The fetchers of kept partitions are led back, those of new ones begin. */
static enum oz_status seek_list(struct oz_kafka_source *source,
                                rd_kafka_topic_partition_list_t *list, struct oz_error *err)
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
        OZ_TRY(oz_kafka_member_serve(source, 0, err));
        usleep(SEEK_PAUSE_US);
    }
    return OZ_OK;
}

enum oz_status oz_kafka_source_begin(struct oz_source *src, const struct oz_positions *from,
                                     struct oz_error *err)
{
    struct oz_kafka_source *source = oz_kafka_source_of(src);
    OZ_ASSERT(source->state == OZ_SOURCE_OFFERED && source->n_out == 0);
    if (source->failed != OZ_OK) return oz_kafka_source_failed(source, err);
    OZ_TRY(oz_kafka_member_check(source, from, err));
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
    struct oz_kafka_source *source = oz_kafka_source_of(src);
    OZ_ASSERT(source->n_out == 0);
    if (source->failed != OZ_OK) return oz_kafka_source_failed(source, err);
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

enum oz_status oz_kafka_source_seek(struct oz_source *src, const struct oz_positions *to,
                                    struct oz_error *err)
{
    struct oz_kafka_source *source = oz_kafka_source_of(src);
    OZ_ASSERT(to->n_sources == source->n_sources && to->n_partitions == source->n_partitions);
    if (source->failed != OZ_OK) return oz_kafka_source_failed(source, err);
    rd_kafka_topic_partition_list_t *list = list_of(source, source->running, NULL, to);
    enum oz_status status = seek_list(source, list, err);
    rd_kafka_topic_partition_list_destroy(list);
    if (status == OZ_OK) restart_lanes(source, to);
    return status;
}
