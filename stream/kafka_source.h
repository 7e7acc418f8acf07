/* Records from Kafka: one consumer, a member of the pipeline's group, with a queue per partition.
 * It takes all partitions of all its topics or none: a revoke while running ends with OZ_FENCED (a
 * second member is not served yet). Offsets are never committed by the client itself.
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
    bool exactly_once;  /* read_committed */
    size_t queue_bytes; /* what may wait in the client */
};

/* Joins the group, waits for all partitions and starts at `from`. Blocks at most wait_us. */
enum oz_status oz_kafka_source_open(const struct oz_kafka_source_config *config,
                                    const struct oz_positions *from, int64_t wait_us,
                                    const atomic_bool *stop, struct oz_source **ret_source,
                                    struct oz_error *err) OZ_MUST_USE;
/* After an abort: forget what is buffered and read again from these offsets. */
enum oz_status oz_kafka_source_seek(struct oz_source *src, const struct oz_positions *to,
                                    struct oz_error *err) OZ_MUST_USE;
/* Records between what was handed out and the end, over all partitions, as far as is known. */
int64_t oz_kafka_source_lag(const struct oz_source *src);
/* Keeps the membership alive while the poller has other things to do for long (a replay). */
enum oz_status oz_kafka_source_keep_alive(struct oz_source *src, struct oz_error *err) OZ_MUST_USE;
#endif
