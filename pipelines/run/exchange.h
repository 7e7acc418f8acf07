/* The exchange as one process has it: what it has read of the exchange partitions that it owns, and
 * what it says of itself (pipelines/run/EXCHANGE.md). The engine and the outputs do the rest.
 *
 * Positions have the exchange topics behind the sources: leg 1 is source n_sources, and so on.
 * Threads: the main one. Ownership: the program and the source are borrowed; records that are given
 * are valid until the next put.
 * Errors: as exchange_record.h, with the place in the exchange topic. */
#ifndef OZ_PIPELINES_RUN_EXCHANGE_H
#define OZ_PIPELINES_RUN_EXCHANGE_H
#include "pipelines/run/outbox.h"
#include "pipelines/run/outputs.h"
#include "stream/source.h"

struct oz_exchange_config {
    struct oz_program *program;
    uint32_t n_partitions;
    struct oz_output_topic topic[OZ_LEGS_MAX]; /* of the records to a leg; the first has none */
    /* What may wait, all partitions together: above a quarter of it the sources rest, above all of
     * it lanes are passed over. */
    size_t bytes;
    size_t batch_bytes; /* a call of oz_exchange_take() ends behind so many */
};

struct oz_exchange;
enum oz_status oz_exchange_new(const struct oz_exchange_config *config,
                               struct oz_exchange **ret_exchange, struct oz_error *err) OZ_MUST_USE;
void oz_exchange_free(struct oz_exchange *exchange);
/* Forgets what waits; the owned partitions' lanes stand where the store has them. `owned` NULL:
 * those that were owned. */
enum oz_status oz_exchange_begin(struct oz_exchange *exchange, const bool *owned,
                                 struct oz_store *store, const struct oz_positions *next,
                                 struct oz_error *err) OZ_MUST_USE;

/* Records of the sources, before their batch: they get their lanes and merge times. */
void oz_exchange_note(struct oz_exchange *exchange, struct oz_record *record, size_t n);
/* True: others are behind, and more of the sources would only wait here. */
bool oz_exchange_rests(const struct oz_exchange *exchange);

/* Records of the exchange topics; they are copied. */
enum oz_status oz_exchange_put(struct oz_exchange *exchange, const struct oz_record *record,
                               size_t n, struct oz_error *err) OZ_MUST_USE;
uint64_t oz_exchange_n_waiting(const struct oz_exchange *exchange); /* events */
/* Whether there is room for more. */
bool oz_exchange_has_room(const struct oz_exchange *exchange);
/* Up to `max` records on this leg, in order. */
size_t oz_exchange_take(struct oz_exchange *exchange, uint32_t leg, size_t max,
                        struct oz_record *ret_record);

/* Whether what would be said now is not what was said last. */
bool oz_exchange_has_news(struct oz_exchange *exchange, const struct oz_source *source);
/* The end of an epoch: its marks into an empty box, its lanes' state among the sealed parts, and
 * the exchange topics' offsets. */
enum oz_status oz_exchange_seal(struct oz_exchange *exchange, const struct oz_source *source,
                                struct oz_outbox *box, struct oz_sealed *sealed,
                                struct oz_positions *next, struct oz_error *err) OZ_MUST_USE;
#endif
