/* Where records come from: topics of Kafka, or files for a backfill. One source object reads every
 * source of the pipeline and all their partitions, merged into one order.
 *
 * Order: record timestamp; ties: unscored sources first, then topic (the pipeline's order of
 * sources), partition, offset. A partition holds the others back until it has a buffered record, or
 * has been at its end since its last one, or max_idle has passed (stream/merge.h): so a catch-up
 * interleaves as the day itself did.
 * Threads: one, the same for all calls. Errors: OZ_BROKER, OZ_FENCED, OZ_LOST (an offset that is
 * gone), OZ_ENVIRONMENT; each with the client's own words. */
#ifndef OZ_STREAM_SOURCE_H
#define OZ_STREAM_SOURCE_H
#include "base/buf.h"
#include "state/store.h"
#include "stream/record.h"

struct oz_source;
struct oz_source_ops {
    enum oz_status (*next)(struct oz_source *src, size_t max_records, int64_t max_wait_us,
                           struct oz_record *ret_record, size_t *ret_n, struct oz_error *err);
    void (*release)(struct oz_source *src, struct oz_record *record, size_t n);
    bool (*at_end)(const struct oz_source *src);
    void (*close)(struct oz_source *src);
    /* Optional, both: the record's headers, at most cap of them, borrowed like the rest of it. */
    size_t (*headers)(struct oz_source *src, const struct oz_record *record,
                      struct oz_header *ret_header, size_t cap);
    bool (*ahead)(const struct oz_source *src, uint32_t partition, int64_t *ret_time_ms);
};
struct oz_source {
    const struct oz_source_ops *ops;
};

/* Up to max_records in order. Returns when there are so many, or max_wait_us after the first one
 * came, or when nothing may be taken now (*ret_n is then 0 after at most max_wait_us or a few ms;
 * at once when max_wait_us is negative).
 * */
static inline enum oz_status oz_source_next(struct oz_source *src, size_t max_records,
                                            int64_t max_wait_us, struct oz_record *ret_record,
                                            size_t *ret_n, struct oz_error *err)
{
    return src->ops->next(src, max_records, max_wait_us, ret_record, ret_n, err);
}
/* Records go back in any grouping; bytes they point to are gone then. */
static inline void oz_source_release(struct oz_source *src, struct oz_record *record, size_t n)
{
    src->ops->release(src, record, n);
}
/* Files: everything was given. Topics: every partition is at its end and nothing is buffered. */
static inline bool oz_source_at_end(const struct oz_source *src) { return src->ops->at_end(src); }
static inline size_t oz_source_headers(struct oz_source *src, const struct oz_record *record,
                                       struct oz_header *ret_header, size_t cap)
{
    return src->ops->headers ? src->ops->headers(src, record, ret_header, cap) : 0;
}
/* How far a partition has come, all merged sources together. False: each of them is at its end or
 * idle. Else *ret_time_ms is the time of the next record, INT64_MIN while it is not known. */
static inline bool oz_source_ahead(const struct oz_source *src, uint32_t partition,
                                   int64_t *ret_time_ms)
{
    return src->ops->ahead(src, partition, ret_time_ms);
}
/* Every record must have been released. */
static inline void oz_source_close(struct oz_source *src)
{
    if (src) src->ops->close(src);
}
#endif
