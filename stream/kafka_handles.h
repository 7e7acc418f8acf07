/* What the kafka_* files share: clients of librdkafka with the engine's settings, their log and
 * errors, and the few requests that several of them make. Included by stream/kafka_*.c only.
 *
 * Settings are applied in three layers: the engine's defaults, the user's `kafka:` map untouched,
 * and what the engine must own; a user's setting of an owned name is refused.
 * Threads: a link's log side is used by the client's threads, the rest by the client's caller.
 * Ownership: the link outlives its client. */
#ifndef OZ_STREAM_KAFKA_HANDLES_H
#define OZ_STREAM_KAFKA_HANDLES_H
#include <stdatomic.h>
#include <librdkafka/rdkafka.h>
#include "stream/kafka_client.h"
#include "stream/source.h"

enum {
    OZ_KAFKA_REASON_BYTES = 256,
    OZ_KAFKA_TRANSACTION_TIMEOUT_MS = 30000,
    OZ_KAFKA_MARGIN_MS = 15000, /* beyond the transaction timeout: the broker sweeps once in 10 s */
    OZ_KAFKA_REQUEST_MS = 10000, /* for one answer of a broker that is there */
    OZ_KAFKA_OUTAGE_MS = 60000,  /* for one that may be away, while it is restarted */
    OZ_KAFKA_LOG_LINES = 10,     /* of one client in OZ_KAFKA_LOG_SPAN_US */
};
#define OZ_KAFKA_LOG_SPAN_US   INT64_C(10000000)
#define OZ_KAFKA_DOWN_AGAIN_US INT64_C(60000000)

enum oz_kafka_role {
    OZ_KAFKA_ASKER,    /* a consumer without a group, read uncommitted: questions to the cluster */
    OZ_KAFKA_CONSUMER, /* reads records; the caller adds group, isolation and the like */
    OZ_KAFKA_PRODUCER
};

/* The opaque of every client. */
struct oz_kafka_link {
    const char *what;                   /* "source", "sink": the log names it */
    bool is_down;                       /* no broker answers, and the log has said so */
    int64_t down_us;                    /* when it was said */
    char reason[OZ_KAFKA_REASON_BYTES]; /* the newest error event, or empty */
    rd_kafka_resp_err_t fatal;          /* of the client, or 0 */
    rd_kafka_resp_err_t delivery;       /* the first failed delivery since it was cleared, or 0 */
    char delivery_text[OZ_KAFKA_REASON_BYTES];
    void *owner; /* for the rebalance callback */
    /* the log's rate limit */
    int64_t log_since_us;
    uint32_t n_logged, n_silenced;
};

/* Every setting but those of the caller. `owned` (may be NULL, ends with a NULL key) is applied
 * last. */
enum oz_status oz_kafka_conf(const struct oz_kafka_config *config, enum oz_kafka_role role,
                             const struct oz_kafka_setting *owned, struct oz_kafka_link *link,
                             rd_kafka_conf_t **ret_conf, struct oz_error *err) OZ_MUST_USE;
/* Takes the conf in any case. OZ_CONFIG when librdkafka refuses the combination. */
enum oz_status oz_kafka_client_new(enum oz_kafka_role role, rd_kafka_conf_t *conf,
                                   rd_kafka_t **ret_rk, struct oz_error *err) OZ_MUST_USE;
/* Both at once. */
enum oz_status oz_kafka_client_open(const struct oz_kafka_config *config, enum oz_kafka_role role,
                                    const struct oz_kafka_setting *owned,
                                    struct oz_kafka_link *link, rd_kafka_t **ret_rk,
                                    struct oz_error *err) OZ_MUST_USE;
const char *oz_kafka_bootstrap(const struct oz_kafka_config *config);     /* for messages */
bool oz_kafka_has(const struct oz_kafka_config *config, const char *key); /* the user set it */
/* The user's value of a time setting, else `otherwise`. */
int oz_kafka_setting_ms(const struct oz_kafka_config *config, const char *key, int otherwise);
/* The client is served again: takes back what the log said of a broker that does not answer. */
void oz_kafka_link_up(struct oz_kafka_link *link);

/* A failure that passes by itself: the same request may be made again. */
bool oz_kafka_passes(rd_kafka_resp_err_t code);
/* Takes the error. OZ_RETRY, OZ_ABORT, OZ_FENCED or OZ_BROKER, in the order of their checks. */
enum oz_status oz_kafka_error(rd_kafka_error_t *error, const char *what, struct oz_error *err);

/* A list of [n_partitions x n_topics] in the positions' own order, offsets from `offset` (may be
 * NULL). */
rd_kafka_topic_partition_list_t *oz_kafka_list(const char *const *topic, uint32_t n_topics,
                                               uint32_t n_partitions, const int64_t *offset);
/* Fills the list's offsets by time in ms (the list's offsets on entry), or
 * RD_KAFKA_OFFSET_BEGINNING or _END for all. Ends are of the client's own isolation level. Waits
 * for a broker that is away, OZ_KAFKA_OUTAGE_MS at most: a commit must ride through. */
enum oz_status oz_kafka_list_offsets(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list,
                                     int64_t at_ms, struct oz_error *err) OZ_MUST_USE;
/* Waits for a broker: OZ_ENVIRONMENT after wait_us, OZ_RETRY on stop. */
enum oz_status oz_kafka_partitions(rd_kafka_t *rk, struct oz_kafka_link *link,
                                   const struct oz_kafka_config *config,
                                   struct oz_topic_info *topic, size_t n, int64_t wait_us,
                                   const atomic_bool *stop, struct oz_error *err) OZ_MUST_USE;

/* Of a source that was opened by oz_kafka_source_open(). */
rd_kafka_t *oz_kafka_source_client(const struct oz_source *src);
const char *const *oz_kafka_source_topics(const struct oz_source *src);
#endif
