/* What a batch says to the world: one score a scored event, alerts by rule, dead letters. In the
 * formats of the reference (README.md, "Records that leave Ouzel"); each is a pure function of the
 * event and of what the rows held, so that a second run writes the same bytes.
 *
 * Threads: one caller; the formatting itself is shared out over the engine's workers. */
#ifndef OZ_PIPELINES_RUN_OUTPUTS_H
#define OZ_PIPELINES_RUN_OUTPUTS_H
#include "pipelines/run/engine.h"
#include "pipelines/run/outbox.h"

/* Where each kind goes: the topic's number in the sink and its partition count (0: this kind is
 * off). */
struct oz_output_topic {
    uint32_t topic, n_partitions;
};
struct oz_outputs_config {
    const struct oz_program *program;
    struct oz_engine *engine;
    struct oz_output_topic scores, alerts, dead_letters;
    struct oz_output_topic exchange[OZ_LEGS_MAX]; /* [leg]: what travels to it */
    struct oz_source *source;                     /* for the headers of a dead record */
};

struct oz_outputs;
enum oz_status oz_outputs_new(const struct oz_outputs_config *config,
                              struct oz_outputs **ret_outputs, struct oz_error *err) OZ_MUST_USE;
void oz_outputs_free(struct oz_outputs *outputs);
/* Decides the batch's alerts (in order: suppression depends on it) and formats everything into
 * `box`, which has one part a worker and is reset first. */
enum oz_status oz_outputs_make(struct oz_outputs *outputs, struct oz_batch *batch,
                               struct oz_outbox *box, struct oz_error *err) OZ_MUST_USE;

/* What the client takes of one record: key, value and headers. */
size_t oz_record_bytes_max(const struct oz_pipeline *pipeline);

struct oz_outputs_stats {
    uint64_t scores, dead_letters, alerts[OZ_RULES_MAX], suppressed[OZ_RULES_MAX];
};
const struct oz_outputs_stats *oz_outputs_stats(const struct oz_outputs *outputs);
#endif
