/* The outputs of one batch, as bytes: scores, alerts and dead letters in the order of their
 * records, each with the topic, partition, key and time that it goes out with. Made by the workers,
 * taken by the emitter, used again.
 * Threads: each worker fills its own part; then it is handed on whole. */
#ifndef OZ_PIPELINES_RUN_OUTBOX_H
#define OZ_PIPELINES_RUN_OUTBOX_H
#include "base/buf.h"
#include "stream/sink.h"

/* A dead letter has its source record's headers and ours. */
enum { OZ_OUT_HEADERS_MAX = OZ_RECORD_HEADERS_MAX + 16 };

struct oz_out { /* offsets are into the part's bytes */
    size_t key_at, value_at, header_at;
    uint32_t key_len, value_len;
    bool has_key, has_value;
    uint32_t topic, n_headers;
    int32_t partition;
    int64_t timestamp_ms;
};
struct oz_out_header {
    size_t name_at, value_at, len; /* the name ends with a NUL */
    bool has_value;
};
struct oz_outbox_part {
    struct oz_buf bytes;
    struct oz_out *out;
    size_t n, cap;
    struct oz_out_header *header;
    size_t n_headers, cap_headers;
    uint64_t n_too_large; /* records whose score or alert could not go out, and are dead letters */
    uint64_t n_scores, n_alerts, n_dead; /* messages in `out` */
    uint32_t too_large;                  /* the last of them */
};

struct oz_outbox {
    struct oz_outbox_part *part; /* [n_parts], one a worker */
    uint32_t n_parts;
    uint64_t n_scores, n_alerts, n_dead;
};

enum oz_status oz_outbox_init(struct oz_outbox *box, uint32_t n_parts,
                              struct oz_error *err) OZ_MUST_USE;
void oz_outbox_clear(struct oz_outbox *box);
void oz_outbox_reset(struct oz_outbox *box);
size_t oz_outbox_bytes(const struct oz_outbox *box); /* of memory that it holds, full or empty */
void oz_outbox_shrink(struct oz_outbox *box);        /* empty, and holds none */
/* A message whose key and value are appended to part->bytes next; then set its fields. NULL: no
 * memory. */
struct oz_out *oz_outbox_add(struct oz_outbox_part *part, struct oz_error *err);
/* Takes back the message that was added last, which has no headers yet. */
void oz_outbox_take_back(struct oz_outbox_part *part);
enum oz_status oz_outbox_header(struct oz_outbox_part *part, struct oz_out *out, const char *name,
                                const void *value, size_t len, struct oz_error *err) OZ_MUST_USE;
/* Produces everything, in order. `between` (nullable) is called once, after about half of it. */
enum oz_status oz_outbox_produce(const struct oz_outbox *box, struct oz_sink *sink,
                                 void (*between)(void), struct oz_error *err) OZ_MUST_USE;
#endif
