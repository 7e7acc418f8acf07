/* What the state needs of the topics that hold every part's last committed value: one compacted
 * topic an entity, as many partitions as the scored source has. stream/ implements it over Kafka,
 * tests in memory.
 * Layout: a record is one part, key and value as in state/sealed.h, a null value deletes. A key of
 * length zero is the meta record of its partition.
 * Units: offsets; a position is the offset of the next record to read.
 * Threads: one at a time.
 * Ownership: `free` frees the whole; bytes of a record are borrowed for the call.
 * Errors: as stream/sink.h says for producing; OZ_BROKER with the broker's words for questions. */
#ifndef OZ_STATE_CHANGELOG_H
#define OZ_STATE_CHANGELOG_H
#include "state/store.h"

struct oz_changelog_record {
    uint32_t entity, partition;
    int64_t offset;
    const uint8_t *key;
    size_t key_len;
    const uint8_t *value; /* NULL: the part is deleted */
    size_t value_len;
};

/* Who reads a tail. Any status but OZ_OK ends the reading and is handed on as it is. */
struct oz_changelog_visitor {
    void *ctx;
    enum oz_status (*record)(void *ctx, const struct oz_changelog_record *record,
                             struct oz_error *err);
    /* Called a few times a second, also while nothing comes. n_left counts offsets, over all
     * partitions. May be NULL. */
    enum oz_status (*waiting)(void *ctx, uint64_t n_left, struct oz_error *err);
};

struct oz_changelog {
    void *ctx;
    /* Step 2: one record a part into the open transaction, to partition part.partition of the topic
     * of part.entity. The bytes are copied. */
    enum oz_status (*produce)(void *ctx, const struct oz_sealed *sealed, struct oz_error *err);
    /* The definition's text as the meta record of one partition, into the open transaction. */
    enum oz_status (*produce_meta)(void *ctx, uint32_t entity, uint32_t partition, const char *json,
                                   size_t len, struct oz_error *err);
    /* Fill ret_pos->changelog, every partition of every entity; the rest of it stays as it is.
     * `begins` is the oldest offset that is kept; `ends` is the high watermark, read uncommitted:
     * it lies behind all that was committed before it was asked for. */
    enum oz_status (*begins)(void *ctx, struct oz_positions *ret_pos, struct oz_error *err);
    enum oz_status (*ends)(void *ctx, struct oz_positions *ret_pos, struct oz_error *err);
    /* Reads committed records of every partition from from->changelog until its next position is at
     * least to->changelog, in the order of the offsets within a partition; a record at or behind
     * `to` may be visited or not. Where from >= to there is nothing to read. An open transaction of
     * somebody else may hold a partition back: when nothing moves for wait_us, OZ_BROKER names the
     * partition and says that it waits for a transaction to end. An offset that the broker does not
     * have: OZ_LOST. */
    enum oz_status (*replay)(void *ctx, const struct oz_positions *from,
                             const struct oz_positions *to, int64_t wait_us,
                             const struct oz_changelog_visitor *visitor, struct oz_error *err);
    void (*free)(struct oz_changelog *changelog);
};

static inline void oz_changelog_free(struct oz_changelog *changelog)
{
    if (changelog && changelog->free) changelog->free(changelog);
}
#endif
