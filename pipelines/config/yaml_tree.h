/* YAML as a tree of nodes that know where they stand. Typing comes later: here a scalar is its
 * text. A scalar keeps the text as written (quotes and escapes undone), and what `${}` made of it.
 * Aliases point to the anchored node itself; every visit counts against the node budget, so that an
 * alias bomb is refused before it costs anything.
 * Ownership: nodes live in the document's arena. Threads: one.
 * Errors: mistakes go to the document. Duplicate keys, tags and merge keys are mistakes and reading
 * goes on; syntax and limits end it. Limits: OZ_CONFIG_DEPTH_MAX, OZ_CONFIG_NODES_MAX,
 * OZ_CONFIG_ALIASES_MAX (libyaml has no bounds). Source: YAML 1.1, https://yaml.org/spec/1.1/, as
 * libyaml reads it. */
#ifndef OZ_PIPELINES_CONFIG_YAML_TREE_H
#define OZ_PIPELINES_CONFIG_YAML_TREE_H
#include "pipelines/config/config_text.h"

enum oz_yaml_kind { OZ_YAML_SCALAR, OZ_YAML_SEQUENCE, OZ_YAML_MAPPING };
enum oz_yaml_style { OZ_YAML_PLAIN, OZ_YAML_SINGLE_QUOTED, OZ_YAML_DOUBLE_QUOTED, OZ_YAML_BLOCK };

struct oz_yaml_node;
struct oz_yaml_entry {
    struct oz_yaml_node *key; /* NULL in a sequence */
    struct oz_yaml_node *value;
    struct oz_yaml_entry *next;
};

/* A stretch of a scalar that `${}` replaced: written[written_at, +written_len) became
 * text[text_at, +text_len). In order, apart. */
struct oz_yaml_span {
    size_t written_at, written_len, text_at, text_len;
    struct oz_yaml_span *next;
};

struct oz_yaml_node {
    enum oz_yaml_kind kind;
    enum oz_yaml_style style;
    struct oz_place place; /* of the first character of the content, behind the quote */
    int origin;            /* OZ_ORIGIN_FILE, or the number of the override that brought it */
    size_t from, to;       /* the content's bytes in the text of its origin */

    const char *text; /* scalar: NUL-terminated, after substitution */
    size_t len;
    const char *written; /* before it */
    size_t written_len;
    struct oz_yaml_span *span; /* NULL: nothing was replaced */
    bool substituted;          /* done, by whichever way the node was reached first */
    bool secret;               /* `text` comes from a file or belongs to a secret: never shown */
    bool secret_as_written;    /* nor is `written` */

    struct oz_yaml_entry *entry;   /* sequence, mapping */
    struct oz_yaml_entry *refused; /* duplicate and merge keys: kept to hide the secrets in them */
    uint32_t hash;                 /* of a scalar's text, for the search for duplicate keys */
    uint32_t n_expanded;           /* nodes below and with this one, aliases followed */
    int height;                    /* 1 for a scalar */
    bool open;                     /* its end has not been read yet */
    const char *anchor;
    struct oz_yaml_node *next_scalar, *next_anchored;
};

enum { OZ_ORIGIN_FILE = -1 };

struct oz_config_doc;
/* `text` is UTF-8 without NUL and stays. *ret_root is NULL when there is no document in it or when
 * a mistake ended the reading; the status is a failure only for want of memory. */
enum oz_status oz_yaml_parse(struct oz_config_doc *doc, const struct oz_config_text *text,
                             int origin, int first_column, struct oz_yaml_node **ret_root,
                             struct oz_error *err) OZ_MUST_USE;

bool oz_yaml_is_null(const struct oz_yaml_node *node); /* nothing, `~` or `null`, unquoted */
struct oz_yaml_entry *oz_yaml_find(const struct oz_yaml_node *mapping, const char *key, size_t len);
#endif
