/* The main part of a row as bytes.
 *
 *   main = version u8 | flags u8 (1: has an index, 2: has a newest scored time)
 *        | newest scored time, zigzag | next part number
 *        | tags: {tag u8 | length | bytes} ... 0
 *        | ring by ring: flags u8 (1: saturated, 2: totals over all time, 4: events were let go)
 *          | [saturated until, zigzag] | [totals] | open events (features/block_codec.h)
 *   tags   1: incomplete {ring | slot | time, zigzag} ...  features/row_since.h
 *          2: suppressions {slot | last fired, zigzag | held back} ...
 *   totals events | sums and counts as in the index
 *          | per value: there u8 {time, zigzag | bits u64} | {min, max} each
 *
 * Rings and values stand in the order of the plan; the layout number in the part's header says
 * which plan. An unknown tag is an error: it was written by a later version, and dropping it would
 * lose state. */
#ifndef OZ_FEATURES_ROW_CODEC_H
#define OZ_FEATURES_ROW_CODEC_H
#include "features/row_parts.h"

/* What stands in front of the events. False: the bytes are not those of a main part. */
struct oz_row_summary {
    int64_t last_us, since_us; /* OZ_TIME_NONE: none */
    int64_t fired_us;          /* the newest alert that may hold others back */
    bool held_back;            /* some were, and no alert has told so yet */
};
bool oz_row_read_summary(const uint8_t *payload, size_t len, struct oz_row_summary *ret_summary);
/* Into a row as after init. */
enum oz_status oz_row_decode(struct oz_row_work *w, const uint8_t *payload, size_t len) OZ_MUST_USE;
/* An empty row's main part is deleted. */
enum oz_status oz_row_encode(struct oz_row_work *w, struct oz_sealed *sealed) OZ_MUST_USE;
#endif
