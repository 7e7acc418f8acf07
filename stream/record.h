/* A record as it came from a topic or a file: bytes and where they stand. Nothing is decoded yet.
 * Ownership: key, value and headers are borrowed from the source until oz_source_release(). */
#ifndef OZ_STREAM_RECORD_H
#define OZ_STREAM_RECORD_H
#include "base/base.h"

enum { OZ_RECORD_HEADERS_MAX = 64 };

struct oz_header {
    const char *name;
    const void *value; /* NULL: none */
    size_t len;
};

struct oz_record {
    uint32_t source; /* index into the pipeline's sources */
    uint32_t partition;
    int64_t offset;
    /* the log's own time: what the merge goes by. Files: the arrival field's */
    int64_t timestamp_ms;
    const char *key; /* NULL: none */
    uint32_t key_len;
    uint32_t value_len;
    const char *value; /* NULL: a tombstone */
    void *handle;      /* the source's own */
    /* of an exchange (pipelines/run/EXCHANGE.md): the partition that it leaves a leg from, and the
     * time that the next leg merges it by */
    uint32_t lane;
    int64_t merge_ms;
    /* NULL, or why it goes to the dead letters without being looked at; borrowed */
    const char *condemned;
};
#endif
