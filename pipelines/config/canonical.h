/* The canonical text of a tree: what a pipeline's hash is taken of.
 * Form: JSON without blanks, keys sorted by their bytes, every scalar a string as written (`${}`
 * not replaced), aliases followed, nothing for nothing. So comments, layout, quotes and the order
 * of keys do not change it, and neither does the environment. */
#ifndef OZ_PIPELINES_CONFIG_CANONICAL_H
#define OZ_PIPELINES_CONFIG_CANONICAL_H
#include "pipelines/config/config_doc.h"

void oz_config_canonical(struct oz_config_doc *doc, const struct oz_yaml_node *node,
                         struct oz_buf *buf);
#endif
