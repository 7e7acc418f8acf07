/* The descriptor table: one row a key of the pipeline file. It loads and checks the tree into
 * structs, and prints the reference and the JSON Schema, so that the three cannot disagree. Paths
 * are dotted; `*` stands for a name that the user chooses (`sources.*.topic`). A row's offset is
 * into the struct of its level: the draft at the top, the element's struct below a `*`.
 * Adding a key is one row here, one member of a draft and its use.
 * Threads: tables are constant. Ownership: what is loaded goes to the document's arena. */
#ifndef OZ_PIPELINES_CONFIG_DESCRIPTOR_H
#define OZ_PIPELINES_CONFIG_DESCRIPTOR_H
#include "base/json_writer.h"
#include "pipelines/config/config_doc.h"

enum oz_key_type {
    OZ_KEY_GROUP,  /* keys in the same struct */
    OZ_KEY_MAP,    /* names, each with a value of the row `path.*`: an array and its length */
    OZ_KEY_LIST,   /* an array of struct oz_config_word and its length */
    OZ_KEY_PASS,   /* names and texts: an array of struct oz_setting and its length */
    OZ_KEY_INPUTS, /* struct oz_inputs_word: a list of names, or texts each with a list of names */
    OZ_KEY_TEXT,   /* the next six: struct oz_config_word */
    OZ_KEY_EXPRESSION,
    OZ_KEY_NAME,     /* an identifier */
    OZ_KEY_LABEL,    /* a pipeline's name */
    OZ_KEY_TOPIC,    /* a Kafka topic */
    OZ_KEY_INSTANCE, /* part of a transactional id */
    OZ_KEY_U32,
    OZ_KEY_U64,
    OZ_KEY_DURATION, /* int64_t, microseconds */
    OZ_KEY_BYTES,    /* uint64_t */
    OZ_KEY_BOOLEAN,  /* int, one of OZ_SAYS_* */
    OZ_KEY_CHOICE,   /* int */
    OZ_KEY_FIELD,    /* struct oz_field_word */
    OZ_KEY_SUPPRESS, /* struct oz_suppress_word */
    OZ_KEY_START,    /* struct oz_start_word */
    OZ_KEY_FLOOD,    /* struct oz_flood */
    OZ_KEY_SPACE,    /* struct oz_space */
    OZ_KEY_TYPE_COUNT
};

enum { OZ_SAYS_NOTHING, OZ_SAYS_NO, OZ_SAYS_YES };

/* A text with its place. `text` is NULL when the key is absent or was refused. */
struct oz_config_word {
    const char *text;
    const struct oz_yaml_node *node; /* NULL for a default */
};

/* `[a, b]`: one entry without a name of its own. `{x: [a], y: [b, c]}`: one entry each. */
struct oz_input_word {
    struct oz_config_word input; /* text == NULL: all inputs, in their order */
    struct oz_config_word *feature;
    size_t n_features;
};
struct oz_inputs_word {
    struct oz_input_word *input;
    size_t n;
};

struct oz_field_word {
    bool known; /* false: refused */
    enum oz_type type;
    enum oz_time_form time_form;
};

struct oz_suppress_word {
    int64_t us;
    const char *by;
    struct oz_place by_place;
};

struct oz_start_word {
    enum oz_start start;
    int64_t at_us;
};

struct oz_choice {
    const char *name; /* NULL ends the list */
    int value;
    bool not_yet;
};

struct oz_key {
    const char *path;
    enum oz_key_type type;
    const char *help; /* a sentence */
    bool required, not_yet;
    const char *standard;      /* the default, as one would write it; NULL: none */
    const char *standard_text; /* what the reference calls the default, when that says more */
    int64_t min, max;          /* of numbers, durations and sizes; of a map's and list's length */
    const struct oz_choice *choice;
    size_t offset, count_offset;    /* count: size_t, of arrays */
    size_t each_bytes, name_offset; /* of a map's element; its name: struct oz_config_word */
};

struct oz_key_table {
    const struct oz_key *key;
    size_t n;
    bool (*secret)(const char *key, size_t len); /* which names of an OZ_KEY_PASS are */
};

/* The tree at doc->root into `to`, zeroed by the caller. Mistakes go to the document. */
void oz_keys_load(struct oz_config_doc *doc, const struct oz_key_table *table, void *to);
void oz_keys_reference(const struct oz_key_table *table, struct oz_buf *buf);
void oz_keys_json_schema(const struct oz_key_table *table, const char *title, struct oz_buf *buf);

/* The name of a key: what follows the last dot. */
const char *oz_key_name(const struct oz_key *key);
/* True when `key` stands directly below `path`; "" is the top. */
bool oz_key_is_below(const struct oz_key *key, const char *path);
const struct oz_key *oz_key_find(const struct oz_key_table *table, const char *path,
                                 const char *name, size_t len);
/* A name that expressions can use. What else it would be, or NULL when it is one. */
const char *oz_name_fault(const char *name, size_t len);
#endif
