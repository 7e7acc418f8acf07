/* The answers of an epoch as they were recomputed, and what the topics have for their ids: byte by
 * byte the same, or where they are not.
 * Threads: one. Ownership: everything that is added is copied. */
#ifndef OZ_PIPELINES_RUN_ANSWERS_H
#define OZ_PIPELINES_RUN_ANSWERS_H
#include <stdio.h>

#include "pipelines/run/ledger_record.h"
#include "pipelines/run/outbox.h"

enum { OZ_ANSWERS_SHOWN_MAX = 20 }; /* differences that are told; more are counted */

struct oz_answer {
    uint64_t hash; /* of the id */
    size_t id_at, key_at, value_at;
    uint32_t id_len, key_len, value_len, n_found;
    bool has_key;
};
struct oz_answers {
    struct oz_buf bytes;
    struct oz_answer *answer;
    size_t n, cap;
    int64_t first_ms; /* the oldest time of the epoch's records; the caller's to set */
};

/* What is asked for: the events of `batches`, or of these only the one of this id and its
 * alerts. */
struct oz_answers_scope {
    const struct oz_program *program;
    const struct oz_ledger_record *epoch;
    const char *id; /* NULL: all of the epoch */
};
struct oz_answers_topic {
    const char *name;
    uint32_t n_partitions;
};

void oz_answers_init(struct oz_answers *answers);
void oz_answers_clear(struct oz_answers *answers);
/* Adds the messages to one topic of the sink's numbers that are in scope. */
enum oz_status oz_answers_add(struct oz_answers *answers, const struct oz_answers_scope *scope,
                              const struct oz_outbox *box, uint32_t topic,
                              struct oz_error *err) OZ_MUST_USE;
/* Compares with all that the topic has in scope; differences are printed to `out`, a line each, and
 * counted in *n_differences, which goes on from what it is. `once`: a second record of an id is one
 * too. */
enum oz_status oz_answers_compare(struct oz_answers *answers, const struct oz_answers_scope *scope,
                                  const struct oz_kafka_config *client,
                                  const struct oz_answers_topic *topic, bool once,
                                  const atomic_bool *stop, FILE *out, uint64_t *n_differences,
                                  struct oz_error *err) OZ_MUST_USE;
/* The path of the JSON value that byte `at` belongs to, as in scores.fraud; for messages. */
void oz_json_path_at(const char *text, size_t len, size_t at, char *to, size_t cap);
#endif
