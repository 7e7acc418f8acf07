/* Whether topics are partitioned by the key that the pipeline declares. The rows of an entity that
 * is the source's key live with its partition: where a key's records come from two partitions, its
 * past is in two rows, and every window over it is wrong without a word from anybody.
 *
 * Looked at, of each source that feeds such an entity: the partition of every key that is new to a
 * table of the last ones, against Java's murmur2 and librdkafka's CRC-32; and keys that come from
 * two partitions. A topic is named when neither function explains it (chance alone gives one key in
 * n_partitions; the line is half-way between that and all of them), or when a key is in two.
 * Source: KafkaProducer's DefaultPartitioner, librdkafka's `consistent`.
 * Says so in the log, once, then every OZ_KEY_SAY_US at most. Threads: the main thread's. */
#ifndef OZ_PIPELINES_RUN_KEY_WATCH_H
#define OZ_PIPELINES_RUN_KEY_WATCH_H
#include "pipelines/run/batch.h"

#define OZ_KEY_SAY_US (INT64_C(3600) * 1000000)
enum { OZ_KEY_SLOTS = 8192, OZ_KEYS_MIN = 32 };

struct oz_key_watch;
enum oz_status oz_key_watch_new(const struct oz_program *program, uint32_t n_partitions,
                                struct oz_key_watch **ret_watch, struct oz_error *err) OZ_MUST_USE;
void oz_key_watch_free(struct oz_key_watch *watch); /* NULL is fine */
/* A batch that the engine is done with; `now_us` is monotonic. */
void oz_key_watch_batch(struct oz_key_watch *watch, const struct oz_batch *batch, int64_t now_us);
/* Keys seen in two partitions, and in topics that were named those that neither
 * function explains. */
uint64_t oz_key_watch_mismatches(const struct oz_key_watch *watch);
#endif
