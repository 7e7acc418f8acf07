#include "pipelines/config/pipeline_keys.h"
#include <string.h>
#include "base/instant.h"

#define GROUP(key, sentence) .path = key, .type = OZ_KEY_GROUP, .help = sentence
#define AT(member)           .offset = offsetof(struct oz_pipeline_draft, member)
#define IN(element, member)  .offset = offsetof(struct element, member)
#define COUNT(member)        .count_offset = offsetof(struct oz_pipeline_draft, member)
#define EACH(element)                                                                              \
    .each_bytes = sizeof(struct element), .name_offset = offsetof(struct element, name)
#define MIB          (INT64_C(1) << 20)
#define TIB          (INT64_C(1) << 40)
#define TEN_YEARS_US (3650 * OZ_US_PER_DAY)

enum { FEATURES_MAX = 5000, MODELS_MAX = 64, RULES_MAX = 1000, SETTINGS_MAX = 500 };
enum { ROWS_MAX = 1000000000 };

static const struct oz_choice formats[] = {{"json", 0, false}, {"avro", 1, true}, {NULL, 0, false}};
static const struct oz_choice devices[] = {
    {"auto", 0, false}, {"cpu", 1, false}, {"cuda", 2, true}, {"gpu", 3, true}, {NULL, 0, false}};
static const struct oz_choice lanes[] = {{"epoch", 0, false}, {"fast", 1, true}, {NULL, 0, false}};
static const struct oz_choice deliveries[] = {{"exactly_once", OZ_EXACTLY_ONCE, false},
                                              {"at_least_once", OZ_AT_LEAST_ONCE, false},
                                              {NULL, 0, false}};
static const struct oz_choice exchanges[] = {
    {"process", OZ_EXCHANGE_PROCESS, false}, {"topic", OZ_EXCHANGE_TOPIC, false}, {NULL, 0, false}};

/* In the order of the reference; a group or map comes before what is below it. */
static const struct oz_key keys[] = {
    {"pipeline", OZ_KEY_LABEL, "The pipeline's name: part of its topics, group and ids.",
     .required = true, AT(name)},
    {"kafka", OZ_KEY_PASS, "Settings of librdkafka, passed through untouched.", .max = SETTINGS_MAX,
     AT(kafka), COUNT(n_kafka)},

    {"sources", OZ_KEY_MAP, "The topics that are read, by names of your choice.", .required = true,
     .min = 1, .max = OZ_SOURCES_MAX, AT(source), COUNT(n_sources), EACH(oz_source_draft)},
    {GROUP("sources.*", "One source.")},
    {"sources.*.topic", OZ_KEY_TOPIC, "The topic that is read.", .required = true,
     IN(oz_source_draft, topic)},
    {"sources.*.format", OZ_KEY_CHOICE, "How the records are written.", .standard = "json",
     .choice = formats, IN(oz_source_draft, format)},
    {"sources.*.fields", OZ_KEY_MAP, "The fields of a record that are used, each with its type.",
     .required = true, .min = 1, .max = OZ_FIELDS_MAX, IN(oz_source_draft, field),
     .count_offset = offsetof(struct oz_source_draft, n_fields), EACH(oz_field_draft)},
    {"sources.*.fields.*", OZ_KEY_FIELD,
     "`long`, `double`, `boolean`, `string`, `timestamp` (ISO-8601) or `timestamp(s|ms|us)`.",
     IN(oz_field_draft, is)},
    {"sources.*.id", OZ_KEY_NAME, "The field that names a record: a repeat is counted once.",
     IN(oz_source_draft, id)},
    {"sources.*.key", OZ_KEY_NAME, "The field that the topic is partitioned by.", .required = true,
     IN(oz_source_draft, key)},
    {"sources.*.time", OZ_KEY_NAME, "The field that says when the event happened.",
     .required = true, IN(oz_source_draft, time)},
    {"sources.*.arrival", OZ_KEY_NAME, "The field that says when a record became known, for files.",
     .standard_text = "the field of `time`", IN(oz_source_draft, arrival)},
    {"sources.*.lateness", OZ_KEY_DURATION, "How late an event may be and still enter the state.",
     .standard = "0s", .max = TEN_YEARS_US, IN(oz_source_draft, lateness_us)},
    {"sources.*.max_future", OZ_KEY_DURATION, "How far ahead of the clock an event's time may be.",
     .standard = "1m", .max = TEN_YEARS_US, IN(oz_source_draft, max_future_us)},
    {"sources.*.score", OZ_KEY_BOOLEAN,
     "Whether its events are scored: true for exactly one source, the others only feed state.",
     .standard_text = "`true`", IN(oz_source_draft, score)},

    {"tables", OZ_KEY_GROUP, "Compacted topics, looked up by key.", .not_yet = true},

    {"entities", OZ_KEY_MAP,
     "What state is kept for: a name, and the field that identifies it in every source that has "
     "it.",
     .max = OZ_ENTITIES_MAX, AT(entity), COUNT(n_entities), EACH(oz_entity_draft)},
    {"entities.*", OZ_KEY_NAME, "The field.", IN(oz_entity_draft, field)},
    {"features", OZ_KEY_MAP, "What models and rules see, by name.", .max = FEATURES_MAX,
     AT(feature), COUNT(n_features), EACH(oz_feature_draft)},
    {"features.*", OZ_KEY_EXPRESSION, "An expression over the event and its entities' past.",
     IN(oz_feature_draft, text)},

    {"models", OZ_KEY_MAP, "The models that score, by the names of their scores.",
     .max = MODELS_MAX, AT(model), COUNT(n_models), EACH(oz_model_draft)},
    {GROUP("models.*", "One model.")},
    {"models.*.file", OZ_KEY_TEXT,
     "The model's file; a relative path starts at the pipeline file's folder.", .required = true,
     IN(oz_model_draft, file)},
    {"models.*.device", OZ_KEY_CHOICE, "Where it is evaluated.", .standard = "auto",
     .choice = devices, IN(oz_model_draft, device)},
    {"models.*.inputs", OZ_KEY_INPUTS,
     "The features that it takes, all in the model's order, or `{input: [features]}`; for a text "
     "input a field of type `string`. Needed where the file has no names, or others.",
     .standard_text = "the features that the file names", .min = 1, .max = OZ_MODEL_INPUTS_MAX,
     IN(oz_model_draft, inputs)},
    {"models.*.outputs", OZ_KEY_MAP, "Which outputs become scores, by the names of the scores.",
     .standard_text = "all of them", .min = 1, .max = OZ_SCORES_MAX, IN(oz_model_draft, output),
     .count_offset = offsetof(struct oz_model_draft, n_outputs), EACH(oz_output_draft)},
    {"models.*.outputs.*", OZ_KEY_TEXT,
     "An output of the file: `output`, `output[k]` of a wider one, or `output.label`.",
     IN(oz_output_draft, output)},
    {"models.*.codes", OZ_KEY_MAP, "Codes of categories.", .not_yet = true},
    {"models.*.shadow", OZ_KEY_BOOLEAN, "Scores beside another model without being acted on.",
     .not_yet = true},
    {"models.*.deadline", OZ_KEY_DURATION, "After which the fallback is used.", .not_yet = true},
    {"models.*.fallback", OZ_KEY_TEXT, "The score when the deadline is missed.", .not_yet = true},

    {GROUP("batch", "When a batch closes.")},
    {"batch.rows", OZ_KEY_U32, "Events in a full batch.", .standard = "4096", .min = 1,
     .max = 65536, AT(batch_rows)},
    {"batch.max_wait", OZ_KEY_DURATION, "How long a batch waits to be full.", .standard = "2ms",
     .max = 10 * OZ_US_PER_SECOND, AT(batch_max_wait_us)},

    {GROUP("outputs", "Where scores and refused records go.")},
    {GROUP("outputs.scores", "One record for every scored event; left out, none is written.")},
    {"outputs.scores.topic", OZ_KEY_TOPIC, "The topic.", .required = true, AT(scores_topic)},
    {"outputs.scores.features", OZ_KEY_BOOLEAN, "Adds the feature values to every score.",
     .standard = "false", AT(scores_features)},
    {GROUP("outputs.dead_letters",
           "The records that could not be read; left out, they are only counted.")},
    {"outputs.dead_letters.topic", OZ_KEY_TOPIC, "The topic.", .required = true,
     AT(dead_letters_topic)},

    {GROUP("alerts", "What is reported, by rules over features and scores.")},
    {"alerts.topic", OZ_KEY_TOPIC, "The topic of the alerts.", .required = true, AT(alerts_topic)},
    {"alerts.lane", OZ_KEY_CHOICE, "With the event's transaction.", .standard = "epoch",
     .choice = lanes, AT(lane)},
    {"alerts.fields", OZ_KEY_LIST, "Fields of the event that an alert carries.",
     .max = OZ_FIELDS_MAX, AT(alert_field), COUNT(n_alert_fields)},
    {"alerts.rules", OZ_KEY_MAP, "The rules, by name.", .required = true, .min = 1,
     .max = RULES_MAX, AT(rule), COUNT(n_rules), EACH(oz_rule_draft)},
    {GROUP("alerts.rules.*", "One rule.")},
    {"alerts.rules.*.when", OZ_KEY_EXPRESSION, "The condition.", .required = true,
     IN(oz_rule_draft, when)},
    {"alerts.rules.*.reasons", OZ_KEY_U32, "How many reasons an alert carries.", .not_yet = true},
    {"alerts.rules.*.suppress", OZ_KEY_SUPPRESS,
     "How long, in event time, an entity's further alerts of this rule are held back.",
     .standard_text = "never held back", .min = OZ_US_PER_MS, .max = TEN_YEARS_US,
     IN(oz_rule_draft, suppress)},

    {"drift", OZ_KEY_GROUP, "Reports on how the data moves away from a profile.", .not_yet = true},

    {"delivery", OZ_KEY_CHOICE, "What a crash may do to the outputs: nothing, or repeat some.",
     .standard = "exactly_once", .choice = deliveries, AT(delivery)},
    {GROUP("epoch", "What commits together.")},
    {"epoch.every", OZ_KEY_DURATION, "How often a commit begins.", .standard = "100ms",
     .min = OZ_US_PER_MS, .max = OZ_US_PER_MINUTE, AT(epoch_every_us)},
    {"epoch.rows", OZ_KEY_U32, "Events after which a commit begins at once.", .standard = "20000",
     .min = 1, .max = ROWS_MAX, AT(epoch_rows)},
    {"exchange", OZ_KEY_CHOICE,
     "Where rows of entities that are not the source's key live: all in one process, or shared out "
     "over several, to which events travel through topics.",
     .standard = "process", .choice = exchanges, AT(exchange)},
    {GROUP("state", "What is kept of the past.")},
    {"state.dir", OZ_KEY_TEXT, "The folder of the store, from the working directory.",
     .standard = "./state", AT(state_dir)},
    {"state.memory", OZ_KEY_BYTES, "Memory for rows and the store's caches.", .standard = "2GiB",
     .min = 32 * MIB, .max = 64 * TIB, AT(state_memory_bytes)},
    {"state.flush", OZ_KEY_DURATION, "How often committed rows are written to the store.",
     .standard = "1s", .max = OZ_US_PER_MINUTE, AT(state_flush_us)},
    {"state.min_free", OZ_KEY_SPACE,
     "Below so much free disk space, of the folder's file system or as a size, the run pauses "
     "until "
     "there is more.",
     .standard = "1%", AT(state_min_free)},
    {"state.max_row_events", OZ_KEY_U64, "Events kept for one entity; the oldest go first.",
     .standard = "10000000", .min = 1, .max = ROWS_MAX, AT(max_row_events)},
    {"state.ttl", OZ_KEY_DURATION,
     "How long an entity that no scored event comes of is remembered by windows without an end in "
     "time; at least as long as every other window.",
     .standard_text = "for ever", .min = OZ_US_PER_SECOND, .max = TEN_YEARS_US, AT(state_ttl_us)},
    {"state.retire", OZ_KEY_U32,
     "Rows past use that leave the state a second, at most; 0: none ever do.", .standard = "10000",
     .max = ROWS_MAX, AT(state_retire)},
    {"workers", OZ_KEY_U32, "Threads that compute.", .standard_text = "the cores of the process",
     .min = 1, .max = 256, AT(workers)},
    {"instance", OZ_KEY_INSTANCE, "Names this process in the group and in its transactional id.",
     .standard_text = "the host's name", AT(instance)},
    {"start", OZ_KEY_START, "Where a new group begins.", .standard = "latest", AT(start)},
    {"max_idle", OZ_KEY_DURATION, "How long a partition without records holds the others back.",
     .standard = "1s", .max = OZ_US_PER_HOUR, AT(max_idle_us)},
    {GROUP("errors", "What is too much.")},
    {"errors.stop_above", OZ_KEY_FLOOD,
     "More dead letters than this, as a share of the records read or as a number, stop the run "
     "with "
     "exit code 8.",
     .standard_text = "never stopped", .min = OZ_US_PER_SECOND, .max = OZ_US_PER_DAY,
     AT(stop_above)},
};

bool oz_kafka_key_is_secret(const char *key, size_t len)
{
    static const char *const words[] = {"password", "secret", "key", "token"};
    for (size_t w = 0; w < OZ_COUNT_OF(words); w++)
        for (size_t i = 0, n = strlen(words[w]); i + n <= len; i++)
            if (!strncasecmp(key + i, words[w], n)) return true;
    return false;
}

const struct oz_key_table oz_pipeline_keys = {keys, OZ_COUNT_OF(keys), oz_kafka_key_is_secret};
