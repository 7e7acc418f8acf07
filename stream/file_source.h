/* Records from files, for a backfill: JSON lines, plain or packed (.zst, .gz, by content), one file
 * a source, each sorted by its arrival time (the schema's `arrival` field, else `time`), merged as
 * topics are. Every file is partition 0 of its source; the offset is the line number, from 0; there
 * are no keys. A file never waits for another once each has a line: nothing is held back by the
 * clock. Errors: OZ_ENVIRONMENT (no such file, damaged packing), OZ_RECORD with file:line for an
 * unsorted line; what stands before such a place is given first. A line whose arrival cannot be
 * read, or is later than the wall clock and max_future allow, takes that of the line before (the
 * first ones, of the line behind them): the decoder will say what is wrong with it. Threads: one.
 * Ownership: spec and path are copied, the schema is borrowed. */
#ifndef OZ_STREAM_FILE_SOURCE_H
#define OZ_STREAM_FILE_SOURCE_H
#include "base/columns.h"
#include "stream/source.h"

struct oz_file_spec {
    uint32_t
        source; /* its number in the pipeline: of two files with one time the lower goes first */
    const char *path;
    const struct oz_schema *schema;
};
enum oz_status oz_file_source_open(const struct oz_file_spec *file, size_t n_files,
                                   struct oz_source **ret_source, struct oz_error *err) OZ_MUST_USE;
/* For a progress bar: packed bytes read so far and in all. */
void oz_file_source_progress(const struct oz_source *src, uint64_t *ret_read, uint64_t *ret_total);
#endif
