/* The types that a key's value can have: how a scalar is read, and how the reference and the JSON
 * Schema speak of it. One row a type in key_types.c. */
#ifndef OZ_PIPELINES_CONFIG_KEY_TYPES_H
#define OZ_PIPELINES_CONFIG_KEY_TYPES_H
#include "pipelines/config/descriptor.h"

struct oz_key_class {
    const char *name; /* in the reference */
    const char *like; /* an example, for "expected ..."; NULL: none */
    /* False when a mistake was reported and *to left alone. NULL: no scalar. */
    bool (*load)(struct oz_config_doc *doc, const struct oz_key *key,
                 const struct oz_yaml_node *node, void *to);
    const char *pattern; /* of the schema's strings; NULL: any */
};

const struct oz_key_class *oz_key_class(enum oz_key_type type);
/* A bound of the key as one would write it. */
void oz_key_bound(const struct oz_key *key, int64_t v, struct oz_buf *buf);
#endif
