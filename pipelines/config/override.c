#include "pipelines/config/override.h"
#include <string.h>
#include "pipelines/config/pipeline_keys.h"

static struct oz_yaml_node *new_mapping(struct oz_config_doc *doc, int origin)
{
    struct oz_yaml_node *node = oz_config_get(doc, sizeof(*node));
    if (!node) return NULL;
    node->kind = OZ_YAML_MAPPING;
    node->origin = origin;
    node->place = (struct oz_place){-origin - 1, 1};
    return node;
}

static struct oz_yaml_node *new_key(struct oz_config_doc *doc, int origin, const char *s,
                                    size_t len, size_t at)
{
    struct oz_yaml_node *node = oz_config_get(doc, sizeof(*node));
    const char *copy = oz_arena_strndup(doc->arena, s, len);
    if (!copy) doc->no_memory = true;
    if (!node || !copy) return NULL;
    struct oz_place place = oz_config_text_place(&doc->override[origin].whole, at);
    node->place = (struct oz_place){-origin - 1, place.column};
    node->origin = origin;
    node->text = node->written = copy;
    node->len = node->written_len = len;
    return node;
}

/* A copy of a mapping whose entries can be changed; the values stay shared. */
static struct oz_yaml_node *copy_mapping(struct oz_config_doc *doc, const struct oz_yaml_node *from)
{
    struct oz_yaml_node *node = oz_config_get(doc, sizeof(*node));
    if (!node) return NULL;
    *node = *from;
    node->entry = NULL;
    struct oz_yaml_entry **tail = &node->entry;
    for (const struct oz_yaml_entry *entry = from->entry; entry; entry = entry->next) {
        struct oz_yaml_entry *copy = oz_config_get(doc, sizeof(*copy));
        if (!copy) return NULL;
        *copy = (struct oz_yaml_entry){.key = entry->key, .value = entry->value};
        *tail = copy;
        tail = &copy->next;
    }
    return node;
}

/* The entry of `key` in a mapping that is ours to change, made when it is missing. */
static struct oz_yaml_entry *reach(struct oz_config_doc *doc, int origin,
                                   struct oz_yaml_node *mapping, const char *key, size_t len,
                                   size_t at)
{
    struct oz_yaml_entry *entry = oz_yaml_find(mapping, key, len);
    if (entry) return entry;
    struct oz_yaml_entry **tail = &mapping->entry;
    while (*tail) tail = &(*tail)->next;
    entry = oz_config_get(doc, sizeof(*entry));
    struct oz_yaml_node *name = new_key(doc, origin, key, len, at);
    if (!entry || !name) return NULL;
    entry->key = name;
    *tail = entry;
    return entry;
}

/* Where the path's step that starts at `from` ends: the next dot, except below `kafka`. */
static size_t step_end(const char *path, size_t len, size_t from)
{
    bool one_key = from == 6 && !memcmp(path, "kafka.", 6);
    const char *dot = one_key ? NULL : memchr(path + from, '.', len - from);
    return dot ? (size_t)(dot - path) : len;
}

/* True when the path is names with dots between them, and the tree can hold the value there; asked
 * before anything is changed. */
static bool check_path(struct oz_config_doc *doc, int origin, const char *path, size_t len,
                       const struct oz_yaml_node *value)
{
    int depth = 0;
    bool gap = false;
    for (size_t from = 0, end; from <= len; from = end + 1, depth++) {
        end = step_end(path, len, from);
        gap = gap || end == from;
    }
    struct oz_place place = {-origin - 1, 1};
    if (gap)
        oz_config_mistake(doc, place, "expected names with a dot between them");
    else if (depth + value->height > OZ_CONFIG_DEPTH_MAX)
        oz_config_mistake(doc, place, "the value is nested too deeply");
    else
        return true;
    return false;
}

static void set(struct oz_config_doc *doc, int origin, const char *path, size_t len,
                struct oz_yaml_node *value)
{
    if (!check_path(doc, origin, path, len, value)) return;
    struct oz_yaml_node **slot = &doc->root;
    for (size_t from = 0, end; from <= len; from = end + 1) {
        end = step_end(path, len, from);
        bool have = *slot && (*slot)->kind == OZ_YAML_MAPPING;
        if (*slot && !have && !oz_yaml_is_null(*slot)) {
            oz_config_mistake(doc, (struct oz_place){-origin - 1, 1}, "`%.*s` has no keys below it",
                              (int)(from ? from - 1 : 0), path);
            return;
        }
        struct oz_yaml_node *mapping = have ? copy_mapping(doc, *slot) : new_mapping(doc, origin);
        struct oz_yaml_entry *entry =
            mapping ? reach(doc, origin, mapping, path + from, end - from, from) : NULL;
        if (!entry) return;
        *slot = mapping;
        slot = &entry->value;
        if (end < len) continue;
        /* The key's place becomes the override's, for mistakes that point at the key. */
        entry->key = new_key(doc, origin, path + from, end - from, from);
        if (entry->key) *slot = value;
    }
}

/* A value of nothing is a scalar of nothing, as behind `key:` in a file. */
static struct oz_yaml_node *empty_value(struct oz_config_doc *doc, int origin, int column)
{
    struct oz_yaml_node *node = oz_config_get(doc, sizeof(*node));
    if (!node) return NULL;
    node->text = node->written = "";
    node->origin = origin;
    node->height = 1;
    node->place = (struct oz_place){-origin - 1, column};
    return node;
}

static enum oz_status apply(struct oz_config_doc *doc, int origin, const char *text,
                            struct oz_error *err)
{
    size_t len = strlen(text), at;
    const char *fault = oz_config_text_fault(text, OZ_MIN(len, (size_t)OZ_OVERRIDE_BYTES_MAX), &at);
    const char *equals = memchr(text, '=', len);
    if (len > OZ_OVERRIDE_BYTES_MAX)
        OZ_FAIL(err, OZ_USAGE, "--set %.60s...: longer than 64 KiB", text);
    if (!equals || fault)
        OZ_FAIL(err, OZ_USAGE, "--set %.60s: expected key=value%s%s", text, fault ? ", found " : "",
                fault ? fault : "");
    struct oz_config_override *override = &doc->override[origin];
    char *copy = oz_arena_strndup(doc->arena, text, len);
    if (!copy) return oz_no_memory(err);
    size_t path_len = (size_t)(equals - text);
    override->value_at = path_len + 1;
    override->secret = path_len > 6 && !memcmp(text, "kafka.", 6) &&
                       oz_kafka_key_is_secret(text + 6, path_len - 6);
    OZ_TRY(oz_config_text_init(&override->whole, copy, len, doc->arena, err));
    OZ_TRY(oz_config_text_init(&override->value, copy + path_len + 1, len - path_len - 1,
                               doc->arena, err));
    int column = oz_config_text_place(&override->whole, override->value_at).column;
    struct oz_yaml_node *value = NULL;
    size_t before = doc->n_mistakes;
    OZ_TRY(oz_yaml_parse(doc, &override->value, origin, column, &value, err));
    if (doc->n_mistakes > before && override->secret) { /* they may quote the value */
        doc->n_mistakes = before;
        oz_config_mistake(doc, (struct oz_place){-origin - 1, column},
                          "the value is not YAML: put quotes around it");
    }
    if (doc->n_mistakes > before) return OZ_OK;
    if (!value) value = empty_value(doc, origin, column);
    if (value) set(doc, origin, text, path_len, value);
    return doc->no_memory ? oz_no_memory(err) : OZ_OK;
}

enum oz_status oz_config_override(struct oz_config_doc *doc, const char *const *overrides, size_t n,
                                  struct oz_error *err)
{
    if (!n) return OZ_OK;
    if (n > OZ_OVERRIDES_MAX) OZ_FAIL(err, OZ_USAGE, "more than %d overrides", OZ_OVERRIDES_MAX);
    doc->override = oz_config_get(doc, n * sizeof(*doc->override));
    if (!doc->override) return oz_no_memory(err);
    doc->n_overrides = n;
    for (size_t i = 0; i < n; i++) OZ_TRY(apply(doc, (int)i, overrides[i], err));
    return OZ_OK;
}
