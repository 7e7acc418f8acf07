/* Bytes of a record into a row of its source's columns.
 * A decoder belongs to one thread. Strings point into the arena given. A record that is not as
 * declared gets OZ_RECORD with one sentence that names the field and the byte: its batch goes on.
 * Rules: the record is one object, alone; unknown fields are skipped, but must be valid too; a
 * missing or null field is null; the key field and the time field must not be null; a long takes
 * whole numbers only (not 5.0, not 5e0), a double any number, and becomes null (counted) at
 * magnitudes of 2^94 and more; a timestamp is ISO text or a whole number, as its form says, in the
 * years 1 to 9999; the same field twice is an error, and so is text that is not valid UTF-8 or a
 * byte order mark. Limits: OZ_RECORD_BYTES_MAX, OZ_RECORD_DEPTH_MAX. */
#ifndef OZ_STREAM_CODEC_H
#define OZ_STREAM_CODEC_H
#include "base/arena.h"
#include "base/columns.h"

enum { OZ_RECORD_BYTES_MAX = 1 << 20, OZ_RECORD_DEPTH_MAX = 64 };

struct oz_decoder;
enum oz_decode_stage { OZ_DECODE_OK, OZ_DECODE_BAD, OZ_DECODE_KEY, OZ_DECODE_TIME };

#ifdef __cplusplus
extern "C" {
#endif
/* The schema is borrowed; its key or time may be -1, and are not asked for then. */
enum oz_status oz_json_decoder_new(const struct oz_schema *schema, struct oz_decoder **ret_decoder,
                                   struct oz_error *err) OZ_MUST_USE;
void oz_decoder_free(struct oz_decoder *decoder); /* NULL is fine */

/* Fills one row of the table; the row is all null when it fails. *ret_stage says which stage a dead
 * letter names. `now_us` + the schema's max_future_us bounds the time. ret_nulled counts numbers
 * out of range. Allocates nothing once warm. */
enum oz_status oz_decode(struct oz_decoder *decoder, const char *bytes, size_t len, int64_t now_us,
                         struct oz_table *table, size_t row, struct oz_arena *arena,
                         enum oz_decode_stage *ret_stage, uint64_t *ret_nulled,
                         struct oz_error *err) OZ_MUST_USE;
#ifdef __cplusplus
}
#endif
#endif
