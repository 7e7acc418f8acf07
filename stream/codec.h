/* Bytes of a record into a row of its source's columns.
 * A decoder belongs to one thread. Strings point into the arena given. A record that is not as declared
 * gets OZ_RECORD with one sentence that has the byte offset or the field: its batch goes on.
 * Rules: unknown fields are skipped; a missing or null field is null; the key field and the time field
 * must not be null; a long takes integers only (also as 5.0? no), a double any number, and becomes null
 * (counted) at magnitudes of 2^94 and more; a timestamp is ISO text or an integer, as its form says; the
 * same field twice is an error; text must be valid UTF-8. Limits: OZ_RECORD_BYTES_MAX. */
#ifndef OZ_STREAM_CODEC_H
#define OZ_STREAM_CODEC_H
#include "base/arena.h"
#include "base/columns.h"

enum { OZ_RECORD_BYTES_MAX = 1 << 20 };

struct oz_decoder;
enum oz_status oz_json_decoder_new(const struct oz_schema *schema, struct oz_decoder **ret_decoder,
                                   struct oz_error *err) OZ_MUST_USE;
void oz_decoder_free(struct oz_decoder *decoder);

enum oz_decode_stage { OZ_DECODE_OK, OZ_DECODE_BAD, OZ_DECODE_KEY, OZ_DECODE_TIME };
/* Fills one row of the table; the row is all null when it fails. *ret_stage says which stage a dead
 * letter names. `now_us` + the schema's max_future_us bounds the time. ret_nulled counts numbers out of
 * range. Allocates nothing once warm. */
enum oz_status oz_decode(struct oz_decoder *decoder, const char *bytes, size_t len, int64_t now_us,
                         struct oz_table *table, size_t row, struct oz_arena *arena,
                         enum oz_decode_stage *ret_stage, uint64_t *ret_nulled,
                         struct oz_error *err) OZ_MUST_USE;
#endif
