/* The checks that need more than one key: names followed to what they name, and what may not clash.
 * Mistakes go to the document; what the loader refused already is passed over, so that one mistake
 * is reported once. */
#ifndef OZ_PIPELINES_CONFIG_PIPELINE_CHECKS_H
#define OZ_PIPELINES_CONFIG_PIPELINE_CHECKS_H
#include "pipelines/config/pipeline_keys.h"

void oz_pipeline_checks(struct oz_config_doc *doc, const struct oz_pipeline_draft *draft);
/* The number of the scored source, or n_sources when there is not exactly one. */
size_t oz_scored_source(const struct oz_pipeline_draft *draft);
/* The number of the field, or -1, also for a word without text. */
int oz_field_draft_find(const struct oz_source_draft *source, const char *name);
#endif
