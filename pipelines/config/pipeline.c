#include "pipelines/config/pipeline.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/hash.h"
#include "pipelines/config/canonical.h"
#include "pipelines/config/override.h"
#include "pipelines/config/pipeline_checks.h"
#include "pipelines/config/substitution.h"

enum { HOST_BYTES_MAX = 256, WHAT_BYTES_MAX = 700 };

static const char *folder_of(struct oz_arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return ".";
    return slash == path ? "/" : oz_arena_strndup(arena, path, (size_t)(slash - path));
}

static const char *below_folder(struct oz_arena *arena, const char *folder, const char *file)
{
    if (*file == '/' || !strcmp(folder, ".")) return file;
    return oz_arena_printf(arena, "%s/%s", strcmp(folder, "/") ? folder : "", file);
}

static bool make_source(struct oz_config_doc *doc, const struct oz_source_draft *draft, bool scored,
                        struct oz_source_spec *source)
{
    struct oz_field *field = oz_config_get(doc, draft->n_fields * sizeof(*field));
    if (!field) return false;
    for (size_t i = 0; i < draft->n_fields; i++)
        field[i] = (struct oz_field){draft->field[i].name.text, draft->field[i].is.type,
                                     draft->field[i].is.time_form};
    *source = (struct oz_source_spec){
        .schema = {.name = draft->name.text,
                   .field = field,
                   .n_fields = (uint32_t)draft->n_fields,
                   .id = oz_field_draft_find(draft, draft->id.text),
                   .key = oz_field_draft_find(draft, draft->key.text),
                   .time = oz_field_draft_find(draft, draft->time.text),
                   .arrival = oz_field_draft_find(draft, draft->arrival.text),
                   .scored = scored,
                   .lateness_us = draft->lateness_us,
                   .max_future_us = draft->max_future_us},
        .topic = draft->topic.text,
        .place = draft->name.node->place};
    return true;
}

static struct oz_named_place named_place(struct oz_config_word word)
{
    return (struct oz_named_place){word.text, word.node ? word.node->place : (struct oz_place){0}};
}

static bool make_model(struct oz_config_doc *doc, const struct oz_model_draft *draft,
                       const char *folder, struct oz_model_spec *model)
{
    const char *file = below_folder(doc->arena, folder, draft->file.text);
    *model = (struct oz_model_spec){.name = draft->name.text,
                                    .file = file,
                                    .place = draft->file.node->place,
                                    .n_inputs = draft->inputs.n,
                                    .n_outputs = draft->n_outputs};
    model->input = oz_config_get(doc, model->n_inputs * sizeof(*model->input));
    model->output = oz_config_get(doc, model->n_outputs * sizeof(*model->output));
    if (!file || doc->no_memory) return false;
    for (size_t i = 0; i < model->n_inputs; i++) {
        const struct oz_input_word *from = &draft->inputs.input[i];
        struct oz_model_input_spec *to = &model->input[i];
        to->input = named_place(from->input);
        to->n_features = from->n_features;
        to->feature = oz_config_get(doc, from->n_features * sizeof(*to->feature));
        if (!to->feature) return false;
        for (size_t f = 0; f < from->n_features; f++)
            to->feature[f] = named_place(from->feature[f]);
    }
    for (size_t k = 0; k < model->n_outputs; k++)
        model->output[k] = (struct oz_model_output_spec){named_place(draft->output[k].name),
                                                         named_place(draft->output[k].output)};
    return true;
}

static bool make_lists(struct oz_config_doc *doc, const struct oz_pipeline_draft *draft,
                       struct oz_pipeline *pipeline)
{
    pipeline->n_sources = draft->n_sources;
    pipeline->n_entities = draft->n_entities;
    pipeline->n_features = draft->n_features;
    pipeline->n_models = draft->n_models;
    pipeline->n_rules = draft->n_rules;
    pipeline->n_alert_fields = draft->n_alert_fields;
    pipeline->source = oz_config_get(doc, draft->n_sources * sizeof(*pipeline->source));
    pipeline->entity = oz_config_get(doc, draft->n_entities * sizeof(*pipeline->entity));
    pipeline->feature = oz_config_get(doc, draft->n_features * sizeof(*pipeline->feature));
    pipeline->model = oz_config_get(doc, draft->n_models * sizeof(*pipeline->model));
    pipeline->rule = oz_config_get(doc, draft->n_rules * sizeof(*pipeline->rule));
    pipeline->alert_field =
        oz_config_get(doc, draft->n_alert_fields * sizeof(*pipeline->alert_field));
    if (doc->no_memory) return false;
    for (size_t i = 0; i < draft->n_sources; i++)
        if (!make_source(doc, &draft->source[i], i == pipeline->scored_source,
                         &pipeline->source[i]))
            return false;
    for (size_t i = 0; i < draft->n_entities; i++) {
        const struct oz_entity_draft *from = &draft->entity[i];
        pipeline->entity[i] =
            (struct oz_entity_spec){from->name.text, from->field.text, from->field.node->place};
    }
    for (size_t i = 0; i < draft->n_features; i++) {
        const struct oz_feature_draft *from = &draft->feature[i];
        pipeline->feature[i] =
            (struct oz_feature_spec){from->name.text, from->text.text, from->text.node->place};
    }
    for (size_t i = 0; i < draft->n_models; i++)
        if (!make_model(doc, &draft->model[i], pipeline->folder, &pipeline->model[i])) return false;
    for (size_t i = 0; i < draft->n_rules; i++) {
        const struct oz_rule_draft *from = &draft->rule[i];
        pipeline->rule[i] =
            (struct oz_rule_spec){from->name.text,   from->when.text,   from->when.node->place,
                                  from->suppress.us, from->suppress.by, from->suppress.by_place};
    }
    for (size_t i = 0; i < draft->n_alert_fields; i++)
        pipeline->alert_field[i] = draft->alert_field[i].text;
    return true;
}

static struct oz_place place_of_value(const struct oz_config_doc *doc, const char *group,
                                      const char *key)
{
    struct oz_yaml_entry *entry = oz_yaml_find(doc->root, group, strlen(group));
    if (entry) entry = oz_yaml_find(entry->value, key, strlen(key));
    return entry ? entry->value->place : (struct oz_place){0, 0};
}

/* The draft is without a mistake: every word is there. */
static bool make_pipeline(struct oz_config_doc *doc, const struct oz_pipeline_draft *draft,
                          struct oz_pipeline *pipeline)
{
    *pipeline = (struct oz_pipeline){
        .doc = doc,
        .file = doc->path,
        .folder = folder_of(doc->arena, doc->path),
        .name = draft->name.text,
        .kafka = draft->kafka,
        .n_kafka = draft->n_kafka,
        .scored_source = oz_scored_source(draft),
        .batch_rows = draft->batch_rows,
        .batch_max_wait_us = draft->batch_max_wait_us,
        .scores_topic = draft->scores_topic.text,
        .scores_features = draft->scores_features == OZ_SAYS_YES,
        .dead_letters_topic = draft->dead_letters_topic.text,
        .alerts_topic = draft->alerts_topic.text,
        .delivery = (enum oz_delivery)draft->delivery,
        .exchange = (enum oz_exchange_way)draft->exchange,
        .epoch_every_us = draft->epoch_every_us,
        .epoch_rows = draft->epoch_rows,
        .state_dir = draft->state_dir.text,
        .state_memory_bytes = draft->state_memory_bytes,
        .state_flush_us = draft->state_flush_us,
        .state_min_free = draft->state_min_free,
        .max_row_events = draft->max_row_events,
        .state_ttl_us = draft->state_ttl_us,
        .state_ttl_place = place_of_value(doc, "state", "ttl"),
        .state_retire = draft->state_retire,
        .workers = draft->workers,
        .instance = draft->instance.text,
        .start = draft->start.start,
        .start_at_us = draft->start.at_us,
        .max_idle_us = draft->max_idle_us,
        .stop_above = draft->stop_above,
    };
    if (!pipeline->folder || !make_lists(doc, draft, pipeline)) {
        doc->no_memory = true;
        return false;
    }
    struct oz_buf buf;
    oz_buf_init(&buf);
    oz_config_canonical(doc, doc->root, &buf);
    oz_sha256_hex(buf.data, buf.len, pipeline->config_sha256);
    if (buf.failed) doc->no_memory = true;
    oz_buf_clear(&buf);
    return !doc->no_memory;
}

/* The default of `instance`, here because it is not the same everywhere. */
static void use_host_name(struct oz_config_doc *doc, struct oz_pipeline_draft *draft)
{
    char host[HOST_BYTES_MAX] = "";
    if (gethostname(host, sizeof(host) - 1)) *host = 0;
    bool ok = *host != 0;
    for (const char *c = host; *c; c++)
        ok = ok && ((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') ||
                    (*c >= 'A' && *c <= 'Z') || strchr("._-", *c));
    if (!ok || strlen(host) > OZ_NAME_BYTES_MAX) {
        oz_config_mistake(doc, (struct oz_place){0, 0},
                          "the host's name does not serve as `instance`: write one");
        return;
    }
    draft->instance.text = oz_arena_strndup(doc->arena, host, strlen(host));
    if (!draft->instance.text) doc->no_memory = true;
}

/* Without a tree nobody knows which text is a secret, so what looks like one is hidden. */
static void hide_suspects(struct oz_config_doc *doc)
{
    size_t n = OZ_MIN(doc->n_mistakes, (size_t)OZ_CONFIG_MISTAKES_MAX);
    for (size_t i = 0; i < n; i++) {
        int line = doc->mistake[i].place.line;
        if (line < 1 || line > doc->file.n_lines) continue;
        size_t from = doc->file.line[line - 1];
        size_t to = line < doc->file.n_lines ? doc->file.line[line] : doc->file.len;
        const char *colon = memchr(doc->file.data + from, ':', to - from);
        if (!colon ||
            !oz_kafka_key_is_secret(doc->file.data + from, (size_t)(colon - doc->file.data) - from))
            continue;
        size_t value = (size_t)(colon - doc->file.data) + 1;
        while (value < to && strchr(" \t", doc->file.data[value])) value++;
        struct oz_error err;
        if (oz_config_text_mask(&doc->file, value, to, doc->arena, &err) != OZ_OK)
            doc->no_memory = true;
    }
}

/* From the bytes to the tree with its overrides. Without a tree there was a mistake. */
static enum oz_status read_tree(struct oz_config_doc *doc, const char *text, size_t len,
                                const char *const *overrides, size_t n_overrides,
                                struct oz_error *err)
{
    if (len > OZ_CONFIG_FILE_BYTES_MAX) {
        oz_config_mistake(doc, (struct oz_place){0, 0},
                          "the file is larger than 1 MiB, which no pipeline needs");
        return OZ_OK;
    }
    if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) text += 3, len -= 3;
    const char *copy = oz_arena_strndup(doc->arena, text, len);
    if (!copy) return oz_no_memory(err);
    OZ_TRY(oz_config_text_init(&doc->file, copy, len, doc->arena, err));
    size_t at;
    const char *fault = oz_config_text_fault(copy, len, &at);
    if (fault) {
        oz_config_mistake(doc, oz_config_text_place(&doc->file, at), "%s", fault);
        return OZ_OK;
    }
    struct oz_yaml_node *root = NULL;
    OZ_TRY(oz_yaml_parse(doc, &doc->file, OZ_ORIGIN_FILE, 1, &root, err));
    if (!root && doc->n_mistakes) return OZ_OK;
    if (!root || root->kind != OZ_YAML_MAPPING) {
        const char *found = !root || oz_yaml_is_null(root) ? "nothing" : oz_config_found(doc, root);
        oz_config_mistake(doc, root ? root->place : (struct oz_place){1, 1},
                          "expected `key: value` lines, found %s", found);
        return OZ_OK;
    }
    doc->root = root;
    OZ_TRY(oz_config_override(doc, overrides, n_overrides, err));
    return oz_config_substitute(doc, doc->root, err);
}

static enum oz_status read_pipeline(struct oz_config_doc *doc, struct oz_pipeline *pipeline,
                                    struct oz_error *err)
{
    struct oz_pipeline_draft *draft = oz_config_get(doc, sizeof(*draft));
    if (!draft) return oz_no_memory(err);
    oz_keys_load(doc, &oz_pipeline_keys, draft);
    if (doc->no_memory) return oz_no_memory(err);
    if (!draft->instance.text && !oz_yaml_find(doc->root, "instance", 8)) use_host_name(doc, draft);
    oz_pipeline_checks(doc, draft);
    if (!doc->n_mistakes) make_pipeline(doc, draft, pipeline);
    return doc->no_memory ? oz_no_memory(err) : OZ_OK;
}

static enum oz_status report(struct oz_config_doc *doc, struct oz_mistakes *mistakes,
                             struct oz_error *err)
{
    if (!doc->root) hide_suspects(doc);
    oz_config_print_all(doc, mistakes);
    OZ_TRY(oz_buf_status(&mistakes->text, err));
    const struct oz_config_mistake *first = &doc->mistake[0];
    size_t others = doc->n_mistakes - 1;
    char more[48] = "";
    if (others)
        snprintf(more, sizeof(more), " (and %zu more mistake%s)", others, others > 1 ? "s" : "");
    return oz_error_set_at(err, OZ_CONFIG, doc->path, OZ_MAX(first->place.line, 0),
                           first->place.line > 0 ? first->place.column : 0, "%s%s", first->what,
                           more);
}

enum oz_status oz_pipeline_parse(const char *path, const char *text, size_t len,
                                 const char *const *overrides, size_t n_overrides,
                                 struct oz_arena *arena, struct oz_pipeline *ret_pipeline,
                                 struct oz_mistakes *mistakes, struct oz_error *err)
{
    struct oz_config_doc *doc = oz_arena_zeroed(arena, 1, sizeof(*doc));
    if (!doc) return oz_no_memory(err);
    doc->arena = arena;
    doc->path = oz_arena_strndup(arena, path, strlen(path));
    if (!doc->path) return oz_no_memory(err);
    OZ_TRY(oz_config_text_init(&doc->file, "", 0, arena, err));
    struct oz_pipeline pipeline;
    OZ_TRY(read_tree(doc, text, len, overrides, n_overrides, err));
    if (doc->root) OZ_TRY(read_pipeline(doc, &pipeline, err));
    if (doc->n_mistakes) return report(doc, mistakes, err);
    *ret_pipeline = pipeline;
    return OZ_OK;
}

enum oz_status oz_pipeline_load(const char *path, const char *const *overrides, size_t n_overrides,
                                struct oz_arena *arena, struct oz_pipeline *ret_pipeline,
                                struct oz_mistakes *mistakes, struct oz_error *err)
{
    enum { READ_BYTES = 64 << 10 };
    enum oz_status status = OZ_OK;
    struct oz_buf buf;
    oz_buf_init(&buf);
    ssize_t got = 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && got && buf.len <= OZ_CONFIG_FILE_BYTES_MAX) {
        uint8_t *room = oz_buf_room(&buf, READ_BYTES);
        if (!room) break;
        got = read(fd, room, READ_BYTES);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) break;
        buf.len += (size_t)got;
    }
    if (fd < 0 || got < 0)
        status = oz_error_set(err, OZ_ENVIRONMENT, "cannot read `%s`: %s", path, strerror(errno));
    else
        status = oz_buf_status(&buf, err);
    if (fd >= 0) close(fd);
    if (status == OZ_OK)
        status = oz_pipeline_parse(path, (const char *)buf.data, buf.len, overrides, n_overrides,
                                   arena, ret_pipeline, mistakes, err);
    oz_buf_clear(&buf);
    return status;
}

/* The scalar that a later stage speaks of; texts that are empty have no place of their own. */
static const struct oz_yaml_node *scalar_at(const struct oz_config_doc *doc, struct oz_place place)
{
    for (const struct oz_yaml_node *node = doc->scalar; node; node = node->next_scalar)
        if (node->place.line == place.line && node->place.column == place.column && node->len)
            return node;
    return NULL;
}

void oz_pipeline_mistake(const struct oz_pipeline *pipeline, struct oz_mistakes *mistakes,
                         struct oz_place place, size_t offset, const char *fmt, ...)
{
    if (mistakes->n++ >= OZ_CONFIG_MISTAKES_MAX) return;
    char what[WHAT_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);
    const struct oz_config_doc *doc = pipeline->doc;
    if (!doc) {
        oz_buf_printf(&mistakes->text, "%s:%d:%d: %s\n", pipeline->file ? pipeline->file : "",
                      place.line, place.column, what);
        return;
    }
    const struct oz_yaml_node *node = scalar_at(doc, place);
    if (node)
        place = oz_config_place_in(doc, node, offset);
    else
        place.column += (int)offset;
    oz_config_print(doc, place, what, &mistakes->text);
}

void oz_mistakes_clear(struct oz_mistakes *mistakes)
{
    oz_buf_clear(&mistakes->text);
    mistakes->n = 0;
}

void oz_pipeline_reference(struct oz_buf *buf) { oz_keys_reference(&oz_pipeline_keys, buf); }

void oz_pipeline_json_schema(struct oz_buf *buf)
{
    oz_keys_json_schema(&oz_pipeline_keys, "Ouzel pipeline", buf);
}
