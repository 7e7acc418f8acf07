/* Lines of a file, plain or packed: gzip and zstd are told by the first bytes, never by the name,
 * and may be several members or frames in a row. Blank lines are passed over but counted. Layout:
 * lines stand in blocks; a block lives as long as the reader fills it or a line of it is out.
 * Units: lines count from 0; progress is in bytes of the file as it lies there, packed.
 * Threads: one. Ownership: a line's bytes belong to its block until oz_line_release().
 * Errors: OZ_ENVIRONMENT: no such file, unreadable, or damaged packing (with the byte).
 * Limits: a line longer than OZ_RECORD_BYTES_MAX is given cut to one byte more, which every decoder
 * refuses; the rest of it is passed over. zstd windows of more than 128 MiB are refused.
 * Source: RFC 1952 (gzip), RFC 8878 (zstd). */
#ifndef OZ_STREAM_LINE_READER_H
#define OZ_STREAM_LINE_READER_H
#include "base/status.h"

struct oz_line_reader;
struct oz_line_block;
struct oz_line {
    const char *data; /* without "\n" or "\r\n", not NUL-terminated; NULL: the file has ended */
    size_t len;
    int64_t number;
    struct oz_line_block *block;
};

enum oz_status oz_line_reader_open(const char *path, struct oz_line_reader **ret_reader,
                                   struct oz_error *err) OZ_MUST_USE;
/* Frees every block, also those with lines out. NULL is fine. */
void oz_line_reader_close(struct oz_line_reader *reader);

enum oz_status oz_line_reader_next(struct oz_line_reader *reader, struct oz_line *ret_line,
                                   struct oz_error *err) OZ_MUST_USE;
void oz_line_release(struct oz_line_block *block); /* one line of it */
/* How much of the file has been read, of how much; 0 of a pipe, which has no size. */
void oz_line_reader_progress(const struct oz_line_reader *reader, uint64_t *ret_read,
                             uint64_t *ret_total);
#endif
