#include "stream/kafka_lane.h"

#include <string.h>
#include "base/log.h"
#include "base/memory.h"

enum oz_status oz_kafka_lane_init(struct oz_kafka_lane *lane, const char *topic, uint32_t source,
                                  uint32_t partition, size_t cap, struct oz_error *err)
{
    memset(lane, 0, sizeof *lane);
    lane->topic = topic;
    lane->source = source;
    lane->partition = partition;
    lane->cap = cap;
    lane->message = oz_malloc(cap * sizeof *lane->message);
    lane->time_ms = oz_malloc(cap * sizeof *lane->time_ms);
    if (!lane->message || !lane->time_ms) return oz_no_memory(err);
    return OZ_OK;
}

void oz_kafka_lane_restart(struct oz_kafka_lane *lane, int64_t offset)
{
    for (size_t i = lane->head; i < lane->n; i++) rd_kafka_message_destroy(lane->message[i]);
    for (size_t i = 0; i < lane->n_early; i++) rd_kafka_message_destroy(lane->early[i]);
    lane->head = lane->n = lane->n_early = 0;
    lane->next = lane->given = offset;
}

void oz_kafka_lane_clear(struct oz_kafka_lane *lane)
{
    oz_kafka_lane_restart(lane, 0);
    if (lane->queue) rd_kafka_queue_destroy(lane->queue);
    oz_free(lane->message);
    oz_free(lane->time_ms);
    oz_free(lane->early);
    memset(lane, 0, sizeof *lane);
}

void oz_kafka_lane_attach(struct oz_kafka_lane *lane, rd_kafka_t *rk, int wake_fd)
{
    static const uint64_t one = 1;
    if (!lane->queue) {
        lane->queue = rd_kafka_queue_get_partition(rk, lane->topic, (int32_t)lane->partition);
        if (!lane->queue) return;
        rd_kafka_queue_io_event_enable(lane->queue, wake_fd, &one, sizeof one);
    }
    rd_kafka_queue_forward(lane->queue, NULL);
}

enum oz_status oz_kafka_lane_push(struct oz_kafka_lane *lane, rd_kafka_message_t *message,
                                  struct oz_error *err)
{
    enum oz_status status = oz_grow((void **)&lane->early, &lane->cap_early, lane->n_early + 1,
                                    sizeof *lane->early, err);
    if (status == OZ_OK)
        lane->early[lane->n_early++] = message;
    else
        rd_kafka_message_destroy(message);
    return status;
}

/* What the log has, for a message about an offset that it does not have. */
static enum oz_status lost(const struct oz_kafka_lane *lane, rd_kafka_t *rk, const char *words,
                           struct oz_error *err)
{
    int64_t low = -1, high = -1;
    rd_kafka_query_watermark_offsets(rk, lane->topic, (int32_t)lane->partition, &low, &high,
                                     OZ_KAFKA_REQUEST_MS);
    OZ_FAIL(err, OZ_LOST,
            "%s partition %u: offset %lld is gone, the log has %lld to %lld (%s); its retention is "
            "shorter than the time that nothing was read, or the topic was made anew",
            lane->topic, lane->partition, (long long)lane->next, (long long)low, (long long)high,
            words);
}

static enum oz_status failed(const struct oz_kafka_lane *lane, rd_kafka_t *rk,
                             const rd_kafka_message_t *message, struct oz_error *err)
{
    rd_kafka_resp_err_t code = message->err;
    const char *words = rd_kafka_message_errstr(message);
    if (code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
        code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
        return lost(lane, rk, words, err);
    if (oz_kafka_passes(code)) {
        oz_debug("kafka source: %s partition %u: %s", lane->topic, lane->partition, words);
        return OZ_OK;
    }
    OZ_FAIL(err, OZ_BROKER, "%s partition %u: %s", lane->topic, lane->partition, words);
}

/* Sorts out what is no record: message[0, n) are raw. */
static enum oz_status admit(struct oz_kafka_lane *lane, rd_kafka_t *rk, size_t n, bool *ret_ended,
                            struct oz_error *err)
{
    enum { AHEAD = 4 };
    enum oz_status status = OZ_OK;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        rd_kafka_message_t *message = lane->message[i];
        if (i + AHEAD < n) __builtin_prefetch(lane->message[i + AHEAD]);
        if (OZ_UNLIKELY(message->err || status != OZ_OK)) {
            if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
                *ret_ended = true;
            else if (status == OZ_OK)
                status = failed(lane, rk, message, err);
            rd_kafka_message_destroy(message);
            continue;
        }
        if (OZ_UNLIKELY(message->offset != lane->next)) {
            if (message->offset < lane->next) {
                status = oz_error_set(err, OZ_BROKER,
                                      "%s partition %u: the client gave offset %lld after %lld",
                                      lane->topic, lane->partition, (long long)message->offset,
                                      (long long)lane->next - 1);
                rd_kafka_message_destroy(message);
                continue;
            }
            lane->has_gaps = true;
        }
        lane->next = message->offset + 1;
        lane->time_ms[kept] = rd_kafka_message_timestamp(message, NULL);
        lane->message[kept++] = message;
        *ret_ended = false;
    }
    lane->n = kept;
    return status;
}

/* At its end without an event that says so: the last record is the last of the log as of the answer
 * that brought it. Behind the records of a transaction the log has one marker more. */
static bool is_last(const struct oz_kafka_lane *lane, rd_kafka_t *rk)
{
    int64_t low = -1, high = -1;
    if (lane->next != lane->given) return false;
    if (rd_kafka_get_watermark_offsets(rk, lane->topic, (int32_t)lane->partition, &low, &high) ||
        high < 0)
        return false;
    return lane->next >= high - (lane->has_gaps ? 1 : 0);
}

enum oz_status oz_kafka_lane_fill(struct oz_kafka_lane *lane, rd_kafka_t *rk, bool *ret_ended,
                                  struct oz_error *err)
{
    OZ_ASSERT(lane->head == lane->n);
    *ret_ended = false;
    lane->head = lane->n = 0;
    size_t n = 0;
    if (OZ_UNLIKELY(lane->n_early)) {
        n = OZ_MIN(lane->n_early, lane->cap);
        memcpy(lane->message, lane->early, n * sizeof *lane->message);
        lane->n_early -= n;
        memmove(lane->early, lane->early + n, lane->n_early * sizeof *lane->early);
    } else if (lane->queue && rd_kafka_queue_length(lane->queue)) {
        ssize_t got = rd_kafka_consume_batch_queue(lane->queue, 0, lane->message, lane->cap);
        if (got > 0) n = (size_t)got, lane->is_settled = lane->is_heard = true;
    }
    if (n) OZ_TRY(admit(lane, rk, n, ret_ended, err));
    if (!lane->n && !*ret_ended) *ret_ended = is_last(lane, rk);
    return OZ_OK;
}

bool oz_kafka_lane_has(const struct oz_kafka_lane *lane)
{
    return lane->head < lane->n || lane->n_early ||
           (lane->queue && rd_kafka_queue_length(lane->queue) > 0);
}

int64_t oz_kafka_lane_lag(const struct oz_kafka_lane *lane, rd_kafka_t *rk)
{
    int64_t low = -1, high = -1;
    rd_kafka_get_watermark_offsets(rk, lane->topic, (int32_t)lane->partition, &low, &high);
    return high > lane->given ? high - lane->given : 0;
}
