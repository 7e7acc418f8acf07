/* Records from Kafka: one consumer, a member of the pipeline's group, with a queue per partition.
 * Offsets are never committed by the client itself.
 *
 * The group gives partitions and takes them back. Both happen while the source is polled, and take
 * effect only when the caller says so, as it has to bring its rows along:
 *
 *   JOINING --the group gives--> OFFERED --begin()--> RUNNING --the group moves--> LEAVING
 *      ^                            |                                                 |
 *      +-------------- leave() -----+<------------------------------------------------+
 *
 * While OFFERED or LEAVING the members of the group wait, at most max.poll.interval.ms: commit and
 * call leave(). When the partitions are lost already (is_lost) there is nothing to be committed.
 * All topics of a partition number come to one member, or the source fails with OZ_ENVIRONMENT.
 * Threads: the poller's; oz_sink_offsets() may ask it for the group's metadata from the emitter's.
 * Close it only when every record has been released. */
#ifndef OZ_STREAM_KAFKA_SOURCE_H
#define OZ_STREAM_KAFKA_SOURCE_H
#include <stdatomic.h>

#include "stream/kafka_client.h"
#include "stream/source.h"

struct oz_kafka_source_config {
    struct oz_kafka_config client;
    const char *group, *instance;
    const char *const *topic;         /* [n_sources], the pipeline's order */
    const bool *scored;               /* [n_sources] */
    uint32_t n_sources, n_partitions; /* every topic has as many */
    int64_t max_idle_us;
    bool exactly_once; /* read_committed */
    /* What may wait in the client, of all partitions together; 0: the client's defaults. */
    size_t queue_bytes, queue_records;
    size_t batch_bytes; /* a call of oz_source_next() ends behind so many; 0: never */
};

/* Joins the group and returns at once, JOINING. */
enum oz_status oz_kafka_source_join(const struct oz_kafka_source_config *config,
                                    struct oz_source **ret_source,
                                    struct oz_error *err) OZ_MUST_USE;
enum oz_kafka_source_state {
    OZ_SOURCE_JOINING,
    OZ_SOURCE_OFFERED, /* the group gave oz_kafka_source_owned(), which may be nothing */
    OZ_SOURCE_RUNNING,
    OZ_SOURCE_LEAVING
};
enum oz_kafka_source_state oz_kafka_source_state(const struct oz_source *src);
const bool *oz_kafka_source_owned(const struct oz_source *src); /* [n_partitions] */
bool oz_kafka_source_is_lost(const struct oz_source *src);
/* OFFERED: reads the owned partitions from these offsets on. OZ_LOST when the log has not got one
 * of them. */
enum oz_status oz_kafka_source_begin(struct oz_source *src, const struct oz_positions *from,
                                     struct oz_error *err) OZ_MUST_USE;
/* OFFERED or LEAVING: gives back what the group wants; forgets what is buffered. */
enum oz_status oz_kafka_source_leave(struct oz_source *src, struct oz_error *err) OZ_MUST_USE;

/* For those who need all partitions: joins, waits at most wait_us for them and begins. A group that
 * gives fewer, or takes them back later, fails: OZ_STATE, OZ_FENCED. */
enum oz_status oz_kafka_source_open(const struct oz_kafka_source_config *config,
                                    const struct oz_positions *from, int64_t wait_us,
                                    const atomic_bool *stop, struct oz_source **ret_source,
                                    struct oz_error *err) OZ_MUST_USE;
/* After an abort: forget what is buffered and read again from these offsets. */
enum oz_status oz_kafka_source_seek(struct oz_source *src, const struct oz_positions *to,
                                    struct oz_error *err) OZ_MUST_USE;
/* Records between what was handed out and the end, over all partitions, as far as is known. */
int64_t oz_kafka_source_lag(const struct oz_source *src);
/* Polls the group while nothing is read, for at most wait_us: keeps the membership alive while the
 * caller has other things to do for long (a replay), and waits for the group's next move. */
enum oz_status oz_kafka_source_keep_alive(struct oz_source *src, int64_t wait_us,
                                          struct oz_error *err) OZ_MUST_USE;
#endif
