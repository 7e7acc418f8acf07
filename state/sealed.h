/* The changed parts of an epoch, frozen as bytes: what goes to the changelog in step 2 and, once
 * the epoch is committed, to the store in step 5.
 * Layout: key and value bytes of all parts one behind the other, and a list that points into them.
 *   key    u16be key_length | key | u32be part          part 0: main, 1: index, 2..: chunks
 *   value  u32le crc32c | u16le format | u16le layout | payload    or none: the part is deleted
 * The checksum covers everything behind it.
 * Threads: one at a time; it is handed on whole.
 * Ownership: buffers are the sealed set's own and are used again after oz_sealed_reset(). */
#ifndef OZ_STATE_SEALED_H
#define OZ_STATE_SEALED_H
#include "base/buf.h"

enum { OZ_PART_MAIN = 0, OZ_PART_INDEX = 1, OZ_PART_FIRST_CHUNK = 2 };
/* Of the empty key, which is no row's: part 0 is the meta record, and this one where the lanes of
 * an exchange partition stand. */
enum { OZ_PART_LANES = 2, OZ_LANES_LAYOUT = 0 };
enum { OZ_PART_FORMAT = 1, OZ_PART_HEADER_BYTES = 8, OZ_ROW_KEY_BYTES_MAX = 4096 };
enum { OZ_PART_KEY_EXTRA_BYTES = 6, OZ_PART_BYTES_MAX = 64 << 20 };

struct oz_part {
    size_t key_at, value_at; /* offsets in bytes */
    uint32_t key_len, value_len;
    uint32_t partition;
    uint8_t entity;
    bool deleted;
};

struct oz_sealed {
    struct oz_buf bytes;
    struct oz_part *part;
    size_t n_parts, cap_parts;
    /* of the row that is being encoded */
    const char *row_key;
    uint32_t row_key_len, row_partition;
    uint16_t layout;
    uint8_t entity;
};

void oz_sealed_init(struct oz_sealed *sealed);
void oz_sealed_clear(struct oz_sealed *sealed);
void oz_sealed_reset(struct oz_sealed *sealed);
size_t oz_sealed_bytes(const struct oz_sealed *sealed); /* of memory that it holds, full or empty */
/* What the next parts belong to. The key is borrowed until the last part of the row has ended. */
void oz_sealed_row(struct oz_sealed *sealed, uint8_t entity, uint32_t partition, const char *key,
                   uint32_t key_len, uint16_t layout);
/* Begins a part: append the payload to the buffer that is returned, then call oz_sealed_end(). */
struct oz_buf *oz_sealed_begin(struct oz_sealed *sealed, uint32_t part, struct oz_error *err);
enum oz_status oz_sealed_end(struct oz_sealed *sealed, struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_sealed_delete(struct oz_sealed *sealed, uint32_t part,
                                struct oz_error *err) OZ_MUST_USE;
/* A part as it was read from a changelog, key and value whole; value NULL: deleted. */
enum oz_status oz_sealed_put(struct oz_sealed *sealed, uint8_t entity, uint32_t partition,
                             const uint8_t *key, uint32_t key_len, const uint8_t *value,
                             uint32_t value_len, struct oz_error *err) OZ_MUST_USE;

/* Writes a part's key, key_len + OZ_PART_KEY_EXTRA_BYTES bytes, and returns its length. */
size_t oz_part_key(uint8_t *to, const char *key, uint32_t key_len, uint32_t part);
/* Fills the header of a value whose payload stands behind it; len is of both. */
void oz_part_close(uint8_t *value, size_t len, uint16_t layout);
/* Checks a value's checksum, format and layout and gives its payload. OZ_CORRUPT names what is off.
 */
enum oz_status oz_part_open(const uint8_t *value, size_t len, uint16_t layout,
                            const uint8_t **ret_payload, size_t *ret_len,
                            struct oz_error *err) OZ_MUST_USE;
/* The layout in the header of a value that passed a check. */
uint16_t oz_part_layout(const uint8_t *value);
/* The same without the layout, where parts of any entity pass through. */
enum oz_status oz_part_check(const uint8_t *value, size_t len, struct oz_error *err) OZ_MUST_USE;
/* Takes a changelog key apart. OZ_CORRUPT when it is not one. A key length of zero with part 0 and
 * no key is the meta record, and OZ_PART_LANES are lanes: the caller knows by *ret_key_len == 0. */
enum oz_status oz_part_key_parse(const uint8_t *bytes, size_t len, const char **ret_key,
                                 uint32_t *ret_key_len, uint32_t *ret_part,
                                 struct oz_error *err) OZ_MUST_USE;
#endif
