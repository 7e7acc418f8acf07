/* Topics read again from where one says to where one says, partition by partition, by a client that
 * is a member of no group and commits nothing: what a replay and a look at a ledger need.
 * Order: within a partition. Nothing is merged here.
 * Threads: one. Ownership: a record's bytes are borrowed until oz_kafka_log_release().
 * Errors: OZ_LOST for an offset that the topic does not have (any more); OZ_BROKER when nothing
 * comes for long, naming the partition; OZ_RETRY when *stop was set. */
#ifndef OZ_STREAM_KAFKA_LOG_H
#define OZ_STREAM_KAFKA_LOG_H
#include "stream/kafka_client.h"
#include "stream/record.h"

struct oz_kafka_log;
/* Every topic has n_partitions. Arrays below are [n_partitions x n_topics], as positions are.
 * `stop` may be NULL. */
enum oz_status oz_kafka_log_open(const struct oz_kafka_config *config, const char *const *topic,
                                 uint32_t n_topics, uint32_t n_partitions, bool committed_only,
                                 const atomic_bool *stop, struct oz_kafka_log **ret_log,
                                 struct oz_error *err) OZ_MUST_USE;
/* Every record must have been released. NULL is fine. */
void oz_kafka_log_close(struct oz_kafka_log *log);
/* The oldest offset that is kept, and the high watermark (read uncommitted). */
enum oz_status oz_kafka_log_bounds(struct oz_kafka_log *log, int64_t *ret_begin, int64_t *ret_end,
                                   struct oz_error *err) OZ_MUST_USE;
/* The partition's first offset at or behind each record's time at_ms; its end where there is
 * none. */
enum oz_status oz_kafka_log_at_time(struct oz_kafka_log *log, int64_t at_ms, int64_t *ret_offset,
                                    struct oz_error *err) OZ_MUST_USE;
/* Where the partition is read next. */
void oz_kafka_log_seek(struct oz_kafka_log *log, uint32_t topic, uint32_t partition,
                       int64_t offset);
/* The partition's next record below `to`; *ret_found false: there is none left, and reading goes on
 * at `to` or where the next record stands. ret_record->source is the topic's number. */
enum oz_status oz_kafka_log_next(struct oz_kafka_log *log, uint32_t topic, uint32_t partition,
                                 int64_t to, struct oz_record *ret_record, bool *ret_found,
                                 struct oz_error *err) OZ_MUST_USE;
void oz_kafka_log_release(struct oz_kafka_log *log, struct oz_record *record, size_t n);
#endif
