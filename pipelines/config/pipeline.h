/* A pipeline file as typed values: what `pipeline.yaml` says, checked on its own, nothing opened.
 * Ownership: everything hangs on the arena given to oz_pipeline_load(), and lives as long.
 * Errors: mistakes go to a list, all of them, each with file:line:column, the line and a caret,
 * what was expected and the nearest known name; the status is OZ_CONFIG when there was any
 * (OZ_ENVIRONMENT when the file cannot be read). Limits: OZ_CONFIG_* of config_limits below; beyond
 * them the file is refused. A key of the design that this release does not serve is refused as such
 * ("not served yet"), never ignored. Units are in the names. */
#ifndef OZ_PIPELINES_CONFIG_PIPELINE_H
#define OZ_PIPELINES_CONFIG_PIPELINE_H
#include "base/arena.h"
#include "base/buf.h"
#include "base/columns.h"

enum {
    OZ_CONFIG_FILE_BYTES_MAX = 1 << 20,
    OZ_CONFIG_DEPTH_MAX = 16,
    OZ_CONFIG_NODES_MAX = 20000,
    OZ_CONFIG_ALIASES_MAX = 100,
    OZ_CONFIG_MISTAKES_MAX = 50,
    OZ_PIPELINE_NAME_BYTES_MAX = 48,
    OZ_MODEL_INPUTS_MAX = 65536, /* features of one model */
    OZ_SCORES_MAX = 1024         /* of all models */
};

/* Where a value stands in the file; line and column (of characters) count from 1. A negative line
 * is the override of that number, and the column counts in its "key=value". */
struct oz_place {
    int line, column;
};

struct oz_setting { /* one entry of `kafka:`, passed to librdkafka untouched */
    const char *key, *value;
    struct oz_place place;
};

struct oz_source_spec {
    struct oz_schema
        schema; /* name, fields, id, key, time, arrival, scored, lateness, max_future */
    const char *topic;
    struct oz_place place; /* of the name */
};

struct oz_entity_spec {
    const char *name;
    const char *field;     /* of every source that has one of this name */
    struct oz_place place; /* of the field */
};

struct oz_feature_spec {
    const char *name, *text; /* the expression as written */
    struct oz_place place;   /* of the text's first character */
};

struct oz_named_place {
    const char *name;
    struct oz_place place;
};

/* The features of one input of a model, or of all. */
struct oz_model_input_spec {
    struct oz_named_place input;    /* name == NULL: all inputs, in their order */
    struct oz_named_place *feature; /* features, or string fields of the scored source */
    size_t n_features;
};

struct oz_model_output_spec {
    struct oz_named_place score, output; /* output as written: "y", "y[2]", "y.label" */
};

struct oz_model_spec {
    const char *name;
    const char *file; /* relative paths are taken from the pipeline file's folder, made so here */
    struct oz_place place; /* of the file */
    struct oz_model_input_spec *input;
    size_t n_inputs; /* 0: the file's names are those of features */
    struct oz_model_output_spec *output;
    size_t n_outputs; /* 0: all are scores */
};

struct oz_rule_spec {
    const char *name, *when;
    struct oz_place when_place;
    int64_t suppress_us;     /* 0: never held back */
    const char *suppress_by; /* an entity's name, or NULL */
    struct oz_place suppress_place;
};

enum oz_delivery { OZ_EXACTLY_ONCE, OZ_AT_LEAST_ONCE };
enum oz_exchange_way { OZ_EXCHANGE_PROCESS, OZ_EXCHANGE_TOPIC };
enum oz_start { OZ_START_EARLIEST, OZ_START_LATEST, OZ_START_AT };

/* `1% per 10m` or `500 per 1m`: how many dead letters are too many. per_us 0: never. */
struct oz_flood {
    uint32_t share_ppm; /* of the records read; 0: `count` holds */
    uint64_t count;
    int64_t per_us;
};
/* `5%` of a file system, or a size: share_ppm 0 then. */
struct oz_space {
    uint32_t share_ppm;
    uint64_t bytes;
};

struct oz_config_doc;

struct oz_pipeline {
    const struct oz_config_doc
        *doc;           /* the file's text and tree, for oz_pipeline_mistake(); or NULL */
    const char *file;   /* as given */
    const char *folder; /* of the file, no trailing slash; "." when there is none */
    const char *name;
    char config_sha256[65]; /* of the canonical text: keys sorted, comments and layout gone, ${} as
                               written */

    struct oz_setting *kafka;
    size_t n_kafka;
    struct oz_source_spec *source;
    size_t n_sources;
    size_t scored_source; /* index of the one with score: true */
    struct oz_entity_spec *entity;
    size_t n_entities;
    struct oz_feature_spec *feature;
    size_t n_features;
    struct oz_model_spec *model;
    size_t n_models;

    uint32_t batch_rows;
    int64_t batch_max_wait_us;

    const char *scores_topic;       /* NULL: none */
    bool scores_features;           /* outputs.scores.features */
    const char *dead_letters_topic; /* NULL: none */

    const char *alerts_topic; /* NULL: no alerts */
    const char **alert_field; /* event fields that alerts carry */
    size_t n_alert_fields;
    struct oz_rule_spec *rule;
    size_t n_rules;

    enum oz_delivery delivery;
    enum oz_exchange_way exchange;
    int64_t epoch_every_us;
    uint32_t epoch_rows;
    const char *state_dir; /* relative to the working directory, as given */
    uint64_t state_memory_bytes;
    int64_t state_flush_us;
    struct oz_space state_min_free;
    uint64_t max_row_events;
    int64_t state_ttl_us; /* 0: for ever */
    struct oz_place state_ttl_place;
    uint32_t state_retire; /* rows a second; 0: off */
    uint32_t workers;      /* 0: the cores of the process */
    const char *instance;
    enum oz_start start;
    int64_t start_at_us;
    int64_t max_idle_us;
    struct oz_flood stop_above;
};

/* What went wrong, ready to print: one entry a mistake, in file order. */
struct oz_mistakes {
    struct oz_buf text; /* "file:line:column: what\n   <line>\n   ^\n" each */
    size_t n;
};

/* `overrides` are "key=value" (dotted keys, value read as YAML), as --set gives them. */
enum oz_status oz_pipeline_load(const char *path, const char *const *overrides, size_t n_overrides,
                                struct oz_arena *arena, struct oz_pipeline *ret_pipeline,
                                struct oz_mistakes *mistakes, struct oz_error *err) OZ_MUST_USE;
/* The same from text in memory; `path` stands in messages and gives the folder. */
enum oz_status oz_pipeline_parse(const char *path, const char *text, size_t len,
                                 const char *const *overrides, size_t n_overrides,
                                 struct oz_arena *arena, struct oz_pipeline *ret_pipeline,
                                 struct oz_mistakes *mistakes, struct oz_error *err) OZ_MUST_USE;
/* Adds a mistake that a later stage found (an expression, a model binding), in the same form. The
 * text of the file is kept in the arena for the line and the caret; `offset` is bytes into the
 * scalar that starts at `place`. */
void oz_pipeline_mistake(const struct oz_pipeline *pipeline, struct oz_mistakes *mistakes,
                         struct oz_place place, size_t offset, const char *fmt, ...)
    OZ_PRINTF(5, 6);
void oz_mistakes_clear(struct oz_mistakes *mistakes);

/* Every served key with its type, default, range and sentence, as a Markdown table. */
void oz_pipeline_reference(struct oz_buf *buf);
/* The same table as a JSON Schema for editors. */
void oz_pipeline_json_schema(struct oz_buf *buf);
#endif
