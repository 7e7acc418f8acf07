/* The keys of a pipeline file, and the draft that they are loaded into: the file's own shape, every
 * word with its place, before names are followed to what they name. */
#ifndef OZ_PIPELINES_CONFIG_PIPELINE_KEYS_H
#define OZ_PIPELINES_CONFIG_PIPELINE_KEYS_H
#include "pipelines/config/descriptor.h"

struct oz_field_draft {
    struct oz_config_word name;
    struct oz_field_word is;
};

struct oz_source_draft {
    struct oz_config_word name, topic, id, key, time, arrival;
    struct oz_field_draft *field;
    size_t n_fields;
    int64_t lateness_us, max_future_us;
    int format, score; /* score: OZ_SAYS_* */
};

struct oz_entity_draft {
    struct oz_config_word name, field;
};

struct oz_feature_draft {
    struct oz_config_word name, text;
};

struct oz_output_draft {
    struct oz_config_word name, output;
};

struct oz_model_draft {
    struct oz_config_word name, file;
    int device;
    struct oz_inputs_word inputs;
    struct oz_output_draft *output;
    size_t n_outputs;
};

struct oz_rule_draft {
    struct oz_config_word name, when;
    struct oz_suppress_word suppress;
};

struct oz_pipeline_draft {
    struct oz_config_word name, instance, state_dir;
    struct oz_setting *kafka;
    struct oz_source_draft *source;
    struct oz_entity_draft *entity;
    struct oz_feature_draft *feature;
    struct oz_model_draft *model;
    struct oz_rule_draft *rule;
    size_t n_kafka, n_sources, n_entities, n_features, n_models, n_rules;
    struct oz_config_word scores_topic, dead_letters_topic, alerts_topic;
    struct oz_config_word *alert_field;
    size_t n_alert_fields;
    int scores_features, lane, delivery, exchange; /* scores_features: OZ_SAYS_* */
    struct oz_start_word start;
    uint32_t batch_rows, epoch_rows, state_retire, workers;
    int64_t batch_max_wait_us, epoch_every_us, state_flush_us, state_ttl_us, max_idle_us;
    uint64_t state_memory_bytes, max_row_events;
    struct oz_space state_min_free;
    struct oz_flood stop_above;
};

extern const struct oz_key_table oz_pipeline_keys;
/* True for keys of librdkafka whose value is never printed. */
bool oz_kafka_key_is_secret(const char *key, size_t len);
#endif
