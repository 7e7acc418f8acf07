/* A configuration under reading: its texts, its tree, and the mistakes found so far.
 * Places: line and column count from 1. A place in override number i has line -(i + 1) and the
 * column in "key=value". Ownership: everything is in the arena. Threads: one. Errors: want of
 * memory is remembered in `no_memory` and asked for once, at the end of each stage. */
#ifndef OZ_PIPELINES_CONFIG_CONFIG_DOC_H
#define OZ_PIPELINES_CONFIG_CONFIG_DOC_H
#include "pipelines/config/yaml_tree.h"

struct oz_config_mistake {
    struct oz_place place;
    const char *what;
    size_t number; /* in the order found: breaks ties */
};

struct oz_config_override {
    struct oz_config_text whole; /* "key=value" */
    struct oz_config_text value;
    size_t value_at;
    bool secret;
};

struct oz_config_doc {
    struct oz_arena *arena;
    const char *path; /* as messages have it */
    struct oz_config_text file;
    struct oz_config_override *override;
    size_t n_overrides;
    struct oz_yaml_node *root;
    struct oz_yaml_node *scalar; /* all of them, newest first */
    struct oz_config_mistake mistake[OZ_CONFIG_MISTAKES_MAX];
    size_t n_mistakes; /* found, also beyond the list */
    bool no_memory;
};

void *oz_config_get(struct oz_config_doc *doc, size_t n_bytes); /* zeroed; NULL sets no_memory */

void oz_config_mistake(struct oz_config_doc *doc, struct oz_place place, const char *fmt, ...)
    OZ_PRINTF(3, 4);
/* Where the byte text[offset] of a scalar stands. */
struct oz_place oz_config_place_in(const struct oz_config_doc *doc, const struct oz_yaml_node *node,
                                   size_t offset);
/* The same for written[offset]. */
struct oz_place oz_config_place_in_written(const struct oz_config_doc *doc,
                                           const struct oz_yaml_node *node, size_t offset);
/* What stands there, for "expected ..., found ...": no secret, nothing long. In the arena. */
const char *oz_config_found(struct oz_config_doc *doc, const struct oz_yaml_node *node);
/* ": did you mean `x`?", or "". In the arena. */
const char *oz_config_hint(struct oz_config_doc *doc, const char *word, size_t len,
                           const char *const *names, size_t n);

/* One mistake in full, behind what is in buf. */
void oz_config_print(const struct oz_config_doc *doc, struct oz_place place, const char *what,
                     struct oz_buf *buf);
/* All of them in the order of the file, then the overrides. */
void oz_config_print_all(struct oz_config_doc *doc, struct oz_mistakes *mistakes);
#endif
