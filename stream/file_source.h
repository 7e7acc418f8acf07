/* Records from files, for a backfill: JSON lines, plain or packed (.zst, .gz, by content), one file a
 * source, each sorted by its arrival time (the schema's `arrival` field, else `time`), merged as topics
 * are. Every file is partition 0 of its source; the offset is the line number, from 0.
 * Errors: OZ_ENVIRONMENT (no such file), OZ_RECORD with file:line for an unsorted line. A line whose
 * arrival cannot be read takes that of the line before: the decoder will say what is wrong with it. */
#ifndef OZ_STREAM_FILE_SOURCE_H
#define OZ_STREAM_FILE_SOURCE_H
#include "base/columns.h"
#include "stream/source.h"

struct oz_file_spec {
    uint32_t source;
    const char *path;
    const struct oz_schema *schema;
};
enum oz_status oz_file_source_open(const struct oz_file_spec *file, size_t n_files,
                                   struct oz_source **ret_source, struct oz_error *err) OZ_MUST_USE;
/* For a progress bar: packed bytes read so far and in all. */
void oz_file_source_progress(const struct oz_source *src, uint64_t *ret_read, uint64_t *ret_total);
#endif
