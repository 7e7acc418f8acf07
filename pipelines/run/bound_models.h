/* The models of a program: loaded, proved on their golden rows, their inputs bound to features and
 * their outputs to scores.
 *
 * Inputs: by the names that the file itself gives its features, or as `inputs` of the pipeline file
 * says. An input of texts takes a field of type string of the scored source. Outputs: all numbers
 * that come out, as `<model>` or `<model>_<output>`, or those that `outputs` names.
 * Errors: what does not fit goes to the mistakes, with its place in the file. */
#ifndef OZ_PIPELINES_RUN_BOUND_MODELS_H
#define OZ_PIPELINES_RUN_BOUND_MODELS_H
#include "pipelines/run/program.h"

/* Before the features are compiled: rules need the names of the scores. */
enum oz_status oz_bound_models_load(struct oz_program *program, struct oz_mistakes *mistakes,
                                    struct oz_error *err) OZ_MUST_USE;
/* After that. */
enum oz_status oz_bound_models_bind(struct oz_program *program, struct oz_mistakes *mistakes,
                                    struct oz_error *err) OZ_MUST_USE;
#endif
