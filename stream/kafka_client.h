/* Configuration and errors of librdkafka clients, and the questions that are asked of a cluster
 * before anything runs. Files outside stream/kafka_* never see rdkafka.h.
 * Threads: any. Ownership: a settings list is borrowed. */
#ifndef OZ_STREAM_KAFKA_CLIENT_H
#define OZ_STREAM_KAFKA_CLIENT_H
#include <stdatomic.h>

#include "base/buf.h"
#include "state/store.h"

struct oz_kafka_setting {
    const char *key, *value;
};
/* What every client of a pipeline shares. */
struct oz_kafka_config {
    const struct oz_kafka_setting *setting; /* `kafka:` of the pipeline file, in its order */
    size_t n_settings;
    const char *client_id;
    size_t queue_bytes; /* what a producer may hold; 0: the default */
};

/* A topic and what is known of it. */
struct oz_topic_info {
    const char *name;
    uint32_t n_partitions; /* 0: it does not exist */
};

/* Checks every setting's name and value without connecting: what `ouzel check` calls. On failure
 * *ret_bad is the number of the setting. */
enum oz_status oz_kafka_check_settings(const struct oz_kafka_config *config, size_t *ret_bad,
                                       struct oz_error *err) OZ_MUST_USE;
/* Fills n_partitions of each topic; 0: there is none. Says at once (log) when no broker answers,
 * retries until wait_us have passed, then OZ_ENVIRONMENT. Brokers hear of a new topic one after the
 * other, so one that must be there is asked for again, for OZ_KAFKA_NEW_TOPIC_US. `stop` (nullable)
 * is looked at in between: OZ_RETRY when it is set. */
enum oz_topic_need { OZ_TOPIC_MAY_BE, OZ_TOPIC_MUST_BE };
#define OZ_KAFKA_NEW_TOPIC_US INT64_C(3000000)
enum oz_status oz_kafka_topics(const struct oz_kafka_config *config, struct oz_topic_info *topic,
                               size_t n, enum oz_topic_need need, int64_t wait_us,
                               const atomic_bool *stop, struct oz_error *err) OZ_MUST_USE;

struct oz_new_topic {
    const char *name;
    uint32_t n_partitions;
    int replication; /* -1: the broker's default */
    bool compacted;  /* cleanup.policy=compact and the settings of a changelog */
};
/* Existing topics are left as they are; *ret_created[i] tells. A wrong partition count is an
 * error. */
enum oz_status oz_kafka_create_topics(const struct oz_kafka_config *config,
                                      const struct oz_new_topic *topic, size_t n, bool *ret_created,
                                      struct oz_error *err) OZ_MUST_USE;

/* The group's committed offsets, stable (pending transactions are waited for, bounded):
 * [n_partitions x n_sources] into pos->source; OZ_NO_OFFSET where there is none. */
enum oz_status oz_kafka_committed(const struct oz_kafka_config *config, const char *group,
                                  const char *const *topic, struct oz_positions *ret_pos,
                                  struct oz_error *err) OZ_MUST_USE;
/* Members of the group that are not `instance`: refused with OZ_STATE, naming one. */
enum oz_status oz_kafka_group_is_free(const struct oz_kafka_config *config, const char *group,
                                      const char *instance, struct oz_error *err) OZ_MUST_USE;
/* Where a new group begins, as explicit offsets: at_ms OZ_START_* below or a time in ms. */
#define OZ_KAFKA_EARLIEST INT64_C(-2)
#define OZ_KAFKA_LATEST   INT64_C(-1)
enum oz_status oz_kafka_start_offsets(const struct oz_kafka_config *config,
                                      const char *const *topic, int64_t at_ms,
                                      struct oz_positions *ret_pos,
                                      struct oz_error *err) OZ_MUST_USE;
#endif
