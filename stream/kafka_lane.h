/* One partition of one source as the client delivers it: its queue, and a chunk of messages that
 * were taken out of it and wait for the merge.
 * Layout: message[head, n) and time_ms[head, n) are buffered; `early` holds what arrived on the
 * client's main queue before the partition's own queue was taken from it, and comes first.
 * Threads: the poller's. Ownership: a message is the lane's until oz_kafka_lane_take(). */
#ifndef OZ_STREAM_KAFKA_LANE_H
#define OZ_STREAM_KAFKA_LANE_H
#include "stream/kafka_handles.h"

struct oz_kafka_lane {
    const char *topic;
    uint32_t source, partition;
    rd_kafka_queue_t *queue; /* NULL before the assignment */
    rd_kafka_message_t **message;
    int64_t *time_ms;
    size_t head, n, cap;
    rd_kafka_message_t **early;
    size_t n_early, cap_early;
    int64_t next;    /* behind what is buffered */
    int64_t given;   /* behind what was taken */
    bool is_heard;   /* the client gave something; the source clears it */
    bool is_settled; /* its own queue has been seen to deliver */
    bool has_gaps;   /* offsets are left out: markers of transactions, or a compacted topic */
};

enum oz_status oz_kafka_lane_init(struct oz_kafka_lane *lane, const char *topic, uint32_t source,
                                  uint32_t partition, size_t cap, struct oz_error *err) OZ_MUST_USE;
void oz_kafka_lane_clear(struct oz_kafka_lane *lane);
/* Throws away what is buffered; the next record is at `offset`. */
void oz_kafka_lane_restart(struct oz_kafka_lane *lane, int64_t offset);
/* Takes the partition's queue out of the main one; `wake_fd` is written to when it is no longer
 * empty. */
void oz_kafka_lane_attach(struct oz_kafka_lane *lane, rd_kafka_t *rk, int wake_fd);
/* A message or an end of partition that arrived on the main queue; takes it in any case. */
enum oz_status oz_kafka_lane_push(struct oz_kafka_lane *lane, rd_kafka_message_t *message,
                                  struct oz_error *err) OZ_MUST_USE;
/* An empty lane gets what is there, without waiting. *ret_ended: the log's end comes behind it. */
enum oz_status oz_kafka_lane_fill(struct oz_kafka_lane *lane, rd_kafka_t *rk, bool *ret_ended,
                                  struct oz_error *err) OZ_MUST_USE;
/* Whether a fill would find anything, or something is left of the last one. */
bool oz_kafka_lane_has(const struct oz_kafka_lane *lane);
/* Offsets between what was taken and the end of the log as it was last seen. */
int64_t oz_kafka_lane_lag(const struct oz_kafka_lane *lane, rd_kafka_t *rk);
#endif
