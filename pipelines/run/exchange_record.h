/* What an exchange topic carries, as bytes: an event on its way to the next leg, or the marks that
 * a process sends with each epoch (pipelines/run/EXCHANGE.md).
 *
 * Layout: u32le crc32c of what follows | u8 version | u8 kind | u64le shape | ...
 *   event   varints lane, source, partition, offset, zigzag record time, zigzag merge time, key
 *           length + 1 (0: null); key | body
 *           body, of the scored source: flags, u8 for each entity behind it; aggregates, 8 bytes
 *           each; of every source: its fields, a null too: text as varint length + 1 and bytes, a
 *           double or boolean as it is, the rest zigzag varints
 *   marks   u32le n, and for each: u32le lane | u8 at end | i64le clock | i64le, u32le, u32le,
 *           i64le floor
 * `shape` is a hash of everything that gives the bytes their meaning: events of another definition
 * are refused. Marks mean the same in all of them.
 * Threads: any, each with its own buffers. Ownership: what is parsed points into the bytes.
 * Errors: OZ_CORRUPT for bytes that are no such record; OZ_STATE for another definition's. */
#ifndef OZ_PIPELINES_RUN_EXCHANGE_RECORD_H
#define OZ_PIPELINES_RUN_EXCHANGE_RECORD_H
#include "base/columns.h"
#include "pipelines/run/exchange_lanes.h"
#include "stream/record.h"

enum { OZ_EXCHANGE_VERSION = 1, OZ_EXCHANGE_HEAD_BYTES = 14 };
enum oz_exchange_kind { OZ_EXCHANGE_EVENT = 1, OZ_EXCHANGE_MARKS = 2 };

/* What the records to one leg are made of. */
struct oz_exchange_shape {
    uint64_t hash;
    uint32_t n_sources, n_partitions, scored_source;
    const struct oz_schema *const *schema; /* [n_sources] */
    const uint32_t *entity;                /* [n_entities]: those behind it */
    const uint32_t *aggregate;             /* [n_aggregates]: theirs */
    uint32_t n_entities, n_aggregates;
};
/* One row of a batch, read or written. */
struct oz_exchange_row {
    struct oz_table *table; /* of the record's source */
    uint32_t row, record;
    double *const *aggregate;   /* by number, by row */
    uint8_t *const *push_flags; /* by entity, by record */
};

/* Appends to the buffer. The record says source, partition, offset, times and key; its lane is the
 * partition that it leaves from. */
void oz_exchange_put_event(const struct oz_exchange_shape *shape, const struct oz_record *record,
                           const struct oz_exchange_row *row, struct oz_buf *buf);
void oz_exchange_put_marks(const struct oz_exchange_shape *shape, const uint32_t *lane,
                           const struct oz_lane_mark *mark, uint32_t n, struct oz_buf *buf);

/* Checks all but an event's body. An event's *ret_record has the body as its value; marks come out
 * of *ret_marks, one after the other. */
struct oz_exchange_marks {
    const uint8_t *at;
    uint32_t n_left;
};
enum oz_status oz_exchange_parse(const struct oz_exchange_shape *shape, const void *bytes,
                                 size_t len, enum oz_exchange_kind *ret_kind,
                                 struct oz_record *ret_record, struct oz_exchange_marks *ret_marks,
                                 struct oz_error *err) OZ_MUST_USE;
bool oz_exchange_next_mark(struct oz_exchange_marks *marks, uint32_t *ret_lane,
                           struct oz_lane_mark *ret_mark);
/* The body of a parsed event into its row; texts point into it. */
enum oz_status oz_exchange_read_body(const struct oz_exchange_shape *shape,
                                     const struct oz_record *record,
                                     const struct oz_exchange_row *row,
                                     struct oz_error *err) OZ_MUST_USE;
#endif
