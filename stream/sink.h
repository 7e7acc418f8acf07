/* Where records go: one producer, transactional or idempotent, with the topics it writes to.
 *
 * A transaction: begin, produce..., offsets, commit. The steps and what their failure means are
 * those of the epoch (state/PROTOCOL.md). Statuses: OZ_RETRY never leaves this file for commit (it
 * is called again inside); OZ_ABORT: call oz_sink_abort() and read the epoch's records again;
 * OZ_FENCED, OZ_BROKER: the producer is done for.
 * Threads: one at a time. Ownership: messages are copied by produce. */
#ifndef OZ_STREAM_SINK_H
#define OZ_STREAM_SINK_H
#include "state/changelog.h"
#include "stream/kafka_client.h"
#include "stream/source.h"

struct oz_message {
    uint32_t topic; /* from oz_sink_topic() */
    int32_t partition;
    const void *key; /* NULL: none */
    size_t key_len;
    const void *value; /* NULL: a tombstone */
    size_t value_len;
    int64_t timestamp_ms;
    const struct oz_header *header;
    size_t n_headers;
};

struct oz_sink;
/* transactional_id NULL: idempotent, at least once. init_transactions is done inside (it fences an
 * earlier producer of the id and ends its transaction); blocks at most wait_us. */
enum oz_status oz_sink_open(const struct oz_kafka_config *config, const char *transactional_id,
                            int64_t wait_us, struct oz_sink **ret_sink,
                            struct oz_error *err) OZ_MUST_USE;
/* Aborts what is open, with a bounded wait. NULL is fine. */
void oz_sink_close(struct oz_sink *sink);
/* A topic to write to; compressed false for packed values (changelogs). Its partition count is
 * asked. OZ_ENVIRONMENT: there is no such topic; OZ_BROKER: no broker answers any more. */
enum oz_status oz_sink_topic(struct oz_sink *sink, const char *name, bool compressed,
                             uint32_t *ret_topic, uint32_t *ret_n_partitions,
                             struct oz_error *err) OZ_MUST_USE;

enum oz_status oz_sink_begin(struct oz_sink *sink, struct oz_error *err) OZ_MUST_USE;
/* Waits while the client's queue is full. */
enum oz_status oz_sink_produce(struct oz_sink *sink, const struct oz_message *message, size_t n,
                               struct oz_error *err) OZ_MUST_USE;
/* Step 3: group metadata of the source read afresh, refused without a valid generation and
 * member. */
enum oz_status oz_sink_offsets(struct oz_sink *sink, struct oz_source *source,
                               const struct oz_positions *next, struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_sink_commit(struct oz_sink *sink, struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_sink_abort(struct oz_sink *sink, struct oz_error *err) OZ_MUST_USE;
/* At least once: waits until everything is acknowledged; any delivery failure is an error. */
enum oz_status oz_sink_flush(struct oz_sink *sink, struct oz_error *err) OZ_MUST_USE;
/* At least once: commits the group's offsets outside of a transaction. */
enum oz_status oz_sink_commit_offsets(struct oz_source *source, const struct oz_positions *next,
                                      struct oz_error *err) OZ_MUST_USE;

/* The changelogs of this pipeline, written through this sink (stream/kafka_changelog.c).
 * entity_topic[e] is the topic's name. */
enum oz_status oz_kafka_changelog_new(struct oz_sink *sink, const struct oz_kafka_config *config,
                                      const char *const *entity_topic, uint32_t n_entities,
                                      uint32_t n_partitions, struct oz_changelog **ret_changelog,
                                      struct oz_error *err) OZ_MUST_USE;
#endif
