/* What the two files of the source share: kafka_source.c reads and merges, kafka_member.c is the
 * member of the group.
 * Threads: the poller's. */
#ifndef OZ_STREAM_KAFKA_SOURCE_STATE_H
#define OZ_STREAM_KAFKA_SOURCE_STATE_H
#include "stream/kafka_lane.h"
#include "stream/kafka_source.h"
#include "stream/merge.h"

struct oz_kafka_source {
    struct oz_source base;
    rd_kafka_t *rk;
    struct oz_kafka_config client; /* borrowed */
    struct oz_kafka_link link;
    char *group;
    const char **topic;
    uint32_t n_sources, n_partitions, n_lanes, n_unsettled;
    uint32_t n_merged;          /* lanes; the others are read as they come */
    uint32_t next_unmerged;     /* lane that is read first by the next call */
    struct oz_kafka_lane *lane; /* [n_lanes] in the order of ties, unmerged ones last */
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

static inline struct oz_kafka_source *oz_kafka_source_of(struct oz_source *src)
{
    return (struct oz_kafka_source *)src;
}

/* Ends the source; source->why says why. */
static inline enum oz_status oz_kafka_source_fail(struct oz_kafka_source *source,
                                                  enum oz_status status)
{
    if (source->failed == OZ_OK) source->failed = status;
    return status;
}

static inline enum oz_status oz_kafka_source_failed(const struct oz_kafka_source *source,
                                                    struct oz_error *err)
{
    if (err) *err = source->why;
    return source->failed;
}

/* kafka_member.c */

/* Polls the main queue: callbacks, errors, and records that came before the lanes had their own. */
enum oz_status oz_kafka_member_serve(struct oz_kafka_source *source, int timeout_ms,
                                     struct oz_error *err) OZ_MUST_USE;
/* Asks for the logs' bounds, read uncommitted, so that an offset that is gone is told before
 * anything starts, and one beyond the end (a topic made anew) is told at all. */
enum oz_status oz_kafka_member_check(const struct oz_kafka_source *source,
                                     const struct oz_positions *from,
                                     struct oz_error *err) OZ_MUST_USE;
/* For the client's settings. */
void oz_kafka_member_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                                  rd_kafka_topic_partition_list_t *list, void *opaque);
#endif
