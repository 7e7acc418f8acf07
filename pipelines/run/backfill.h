/* The features of past events as a table: files in, CSV out, through the engine that runs live.
 *
 * Columns: event (the id), time, key, the features, with_scores the scores, and the target's name
 * when there is one. A line per scored event that could be decoded, in the order of the files; null
 * is empty.
 * State: rows spill into a folder of their own, which is removed at the end unless it was named.
 * Errors: as the engine's and the files'; bad records are counted, and the first ones said. */
#ifndef OZ_PIPELINES_RUN_BACKFILL_H
#define OZ_PIPELINES_RUN_BACKFILL_H
#include <stdatomic.h>

#include "pipelines/run/engine.h"

struct oz_backfill_config {
    struct oz_program *program;
    const char *file[OZ_SOURCES_MAX]; /* by source; NULL: it has none */
    int target_source, target_field;  /* -1: none */
    const char *output;
    const char *state_dir; /* NULL: a folder that is removed at the end */
    bool with_scores;
    const atomic_bool *stop;
};
struct oz_backfill_result {
    struct oz_engine_stats engine;
    uint64_t lines, with_target;
    double seconds;
};
enum oz_status oz_backfill(const struct oz_backfill_config *config,
                           struct oz_backfill_result *ret_result, struct oz_error *err) OZ_MUST_USE;
#endif
