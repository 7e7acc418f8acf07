/* The bytes of a block: its events and nothing that can be computed from them.
 *
 *   block  = n varint, and if n > 0: unit u8 | first time zigzag | n - 1 time deltas | ids | values
 *   unit     0: microseconds, 1: milliseconds, 2: seconds; the largest that loses nothing
 *   ids      8 bytes: zigzag of the difference to the id before; 16 bytes: as they are
 *   values   value by value: a mode u8, then
 *     0 doubles  8 bytes each
 *     1 cents    zigzag(cents) << 1, or 1 and the 8 bytes of the double, or 3 for null
 *     2 bits     a bit each        (doubles and flags that are 0 or 1; marks that are there)
 *     3 pairs    two bits each, 2 is null
 *     4 keys     8 bytes each
 *   A mark that is always there has no bytes, not even a mode.
 * Numbers without a type are LEB128 varints. Totals are made again on reading.
 * Errors: bytes that are not a block are OZ_CORRUPT, with what is off. */
#ifndef OZ_FEATURES_BLOCK_CODEC_H
#define OZ_FEATURES_BLOCK_CODEC_H
#include "features/block.h"
#include "features/row_bytes.h"
#include "state/pool.h"

void oz_block_encode(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t n,
                     struct oz_buf *buf);
/* The number of events, at most n_max, which comes first: room for them is the caller's to get. */
enum oz_status oz_block_decode_n(struct oz_row_reader *r, uint32_t n_max, uint32_t *ret_n,
                                 struct oz_error *err) OZ_MUST_USE;
/* Their entries, n + 1 with the sentinel; totals start from zero. */
enum oz_status oz_block_decode(const struct oz_ring_layout *rl, struct oz_row_reader *r,
                               uint8_t *entry, uint32_t n, struct oz_error *err) OZ_MUST_USE;
#endif
