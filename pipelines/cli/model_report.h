/* What `ouzel model info` prints of a model: facts, then tables of inputs, outputs and operators.
 * Long lists are cut on a terminal, and whole elsewhere. */
#ifndef OZ_PIPELINES_CLI_MODEL_REPORT_H
#define OZ_PIPELINES_CLI_MODEL_REPORT_H
#include <stdio.h>

#include "models/model.h"

/* `golden`: what is known of golden rows, a sentence without a full stop. */
enum oz_status oz_model_report(const char *path, const struct oz_model_info *info,
                               const char *golden, bool whole, FILE *to,
                               struct oz_error *err) OZ_MUST_USE;
#endif
