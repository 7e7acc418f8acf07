/* A file that is written from front to back: plain, or packed by zstd when its name ends in .zst;
 * "-" is standard output. It appears under its name only when it is whole: until then it is
 * NAME.part. A pipe or a device is written straight away.
 * Errors: OZ_USAGE for a name that is neither .csv nor .csv.zst; OZ_ENVIRONMENT; OZ_IO with the
 * system's words (a full disk says so). Threads: one. */
#ifndef OZ_PIPELINES_RUN_TABLE_WRITER_H
#define OZ_PIPELINES_RUN_TABLE_WRITER_H
#include "base/buf.h"

struct oz_table_writer;
enum oz_status oz_table_writer_open(const char *path, struct oz_table_writer **ret_writer,
                                    struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_table_writer_put(struct oz_table_writer *writer, const void *bytes, size_t n,
                                   struct oz_error *err) OZ_MUST_USE;
/* Ends the file and gives it its name. The writer is gone afterwards, whatever is returned. */
enum oz_status oz_table_writer_finish(struct oz_table_writer *writer,
                                      struct oz_error *err) OZ_MUST_USE;
/* removes what was written; NULL is fine */
void oz_table_writer_drop(struct oz_table_writer *writer);
#endif
