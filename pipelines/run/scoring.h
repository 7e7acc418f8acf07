/* Rows of a batch through a bound model: features and texts in, scores out.
 *
 * Shapes: feature[feature number][row], score[score number][row], as the batch has them; rows are
 * numbered as in the batch. Threads: any, each with its own range of rows, scratch and outputs.
 * Ownership: all borrowed. It allocates nothing and cannot fail. */
#ifndef OZ_PIPELINES_RUN_SCORING_H
#define OZ_PIPELINES_RUN_SCORING_H
#include "pipelines/run/program.h"

struct oz_scoring {
    const struct oz_table *table; /* of the scored source: texts */
    const double *const *feature;
    double *const *score;
    size_t cap_rows; /* of the batch */
    void *scratch;   /* oz_model_scratch_bytes() of each model */
    double *outputs; /* oz_scoring_outputs() of each model */
};

/* How many doubles of outputs a batch of up to cap_rows rows needs. */
size_t oz_scoring_outputs(const struct oz_bound_model *model, size_t cap_rows);
/* Scores rows [first, end). `column` has room for the model's features. Returns how many rows the
 * model could not take. */
uint64_t oz_scoring_run(const struct oz_scoring *scoring, const struct oz_bound_model *model,
                        union oz_model_column *column, size_t first, size_t end);
#endif
