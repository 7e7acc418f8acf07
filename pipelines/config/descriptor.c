#include "pipelines/config/descriptor.h"
#include <string.h>
#include "pipelines/config/key_types.h"

enum { NAMES_MAX = 64 };

struct loader {
    struct oz_config_doc *doc;
    const struct oz_key_table *table;
};

static void load_value(struct loader *loader, const struct oz_key *key,
                       const struct oz_yaml_entry *entry, void *base);

const char *oz_key_name(const struct oz_key *key)
{
    const char *dot = strrchr(key->path, '.');
    return dot ? dot + 1 : key->path;
}

bool oz_key_is_below(const struct oz_key *key, const char *path)
{
    size_t len = strlen(path);
    if (strncmp(key->path, path, len) || (len && key->path[len] != '.')) return false;
    const char *rest = key->path + len + (len ? 1 : 0);
    return !strchr(rest, '.');
}

const struct oz_key *oz_key_find(const struct oz_key_table *table, const char *path,
                                 const char *name, size_t len)
{
    for (size_t i = 0; i < table->n; i++) {
        const struct oz_key *key = &table->key[i];
        const char *own = oz_key_name(key);
        if (strlen(own) == len && !memcmp(own, name, len) && oz_key_is_below(key, path)) return key;
    }
    return NULL;
}

static void report_unknown(struct loader *loader, const char *path, const struct oz_yaml_node *name)
{
    const char *names[NAMES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < loader->table->n && n < NAMES_MAX; i++)
        if (oz_key_is_below(&loader->table->key[i], path))
            names[n++] = oz_key_name(&loader->table->key[i]);
    const char *hint = oz_config_hint(loader->doc, name->text, name->len, names, n);
    oz_config_mistake(loader->doc, name->place, "unknown key `%.128s`%s", name->text, hint);
}

/* Defaults are read by the same code as the file, so that they cannot say what a user could not. */
static void load_default(struct loader *loader, const struct oz_key *key, void *base)
{
    if (key->not_yet) return;
    if (key->type == OZ_KEY_GROUP) {
        for (size_t i = 0; i < loader->table->n; i++)
            if (oz_key_is_below(&loader->table->key[i], key->path))
                load_default(loader, &loader->table->key[i], base);
    }
    if (!key->standard) return;
    struct oz_yaml_node *node = oz_config_get(loader->doc, sizeof(*node));
    if (!node) return;
    *node = (struct oz_yaml_node){.style = OZ_YAML_DOUBLE_QUOTED,
                                  .text = key->standard,
                                  .len = strlen(key->standard),
                                  .height = 1};
    bool ok = oz_key_class(key->type)->load(loader->doc, key, node, (char *)base + key->offset);
    OZ_ASSERT(ok || loader->doc->no_memory);
}

/* `owner` is the key of this group in the file, NULL at the top. */
static void load_group(struct loader *loader, const char *path, const struct oz_yaml_node *node,
                       const struct oz_yaml_node *owner, void *base)
{
    struct oz_config_doc *doc = loader->doc;
    const char *owner_name = owner ? owner->text : NULL;
    struct oz_place place = owner ? owner->place : node->place;
    if (node->kind != OZ_YAML_MAPPING && !oz_yaml_is_null(node)) {
        oz_config_mistake(doc, node->place, "expected keys below `%.128s`, found %s", owner_name,
                          oz_config_found(doc, node));
        return;
    }
    for (const struct oz_yaml_entry *entry = node->entry; entry; entry = entry->next) {
        const struct oz_key *key =
            oz_key_find(loader->table, path, entry->key->text, entry->key->len);
        if (key)
            load_value(loader, key, entry, base);
        else
            report_unknown(loader, path, entry->key);
    }
    for (size_t i = 0; i < loader->table->n; i++) {
        const struct oz_key *key = &loader->table->key[i];
        const char *name = oz_key_name(key);
        if (!oz_key_is_below(key, path) || oz_yaml_find(node, name, strlen(name))) continue;
        load_default(loader, key, base);
        if (!key->required) continue;
        if (owner)
            oz_config_mistake(doc, place, "`%.128s` lacks `%s`: %s", owner_name, name, key->help);
        else
            oz_config_mistake(doc, place, "the pipeline lacks `%s`: %s", name, key->help);
    }
}

static size_t count_entries(const struct oz_yaml_node *node)
{
    size_t n = 0;
    for (const struct oz_yaml_entry *entry = node->entry; entry; entry = entry->next) n++;
    return n;
}

/* An array of n elements behind key->offset, its length behind key->count_offset. */
static void *make_array(struct loader *loader, const struct oz_key *key,
                        const struct oz_yaml_entry *entry, size_t n, size_t each_bytes, void *base)
{
    struct oz_config_doc *doc = loader->doc;
    if ((key->min && n < (size_t)key->min) || (key->max && n > (size_t)key->max)) {
        bool few = n < (size_t)key->min;
        oz_config_mistake(doc, entry->key->place, "`%.128s` has %zu entries: %s %lld",
                          entry->key->text, n, few ? "expected at least" : "expected at most",
                          (long long)(few ? key->min : key->max));
        return NULL;
    }
    if (!n) return NULL;
    void *array = oz_config_get(doc, n * each_bytes);
    if (!array) return NULL;
    memcpy((char *)base + key->offset, &array, sizeof(array));
    memcpy((char *)base + key->count_offset, &n, sizeof(n));
    return array;
}

static void load_map(struct loader *loader, const struct oz_key *key,
                     const struct oz_yaml_entry *entry, void *base)
{
    struct oz_config_doc *doc = loader->doc;
    const struct oz_yaml_node *node = entry->value;
    if (node->kind != OZ_YAML_MAPPING && !oz_yaml_is_null(node)) {
        oz_config_mistake(doc, node->place,
                          "expected names with their values below `%.128s`, found %s",
                          entry->key->text, oz_config_found(doc, node));
        return;
    }
    char *array = make_array(loader, key, entry, count_entries(node), key->each_bytes, base);
    if (!array) return;
    const struct oz_key *each = oz_key_find(loader->table, key->path, "*", 1);
    OZ_ASSERT(each);
    for (const struct oz_yaml_entry *e = node->entry; e; e = e->next, array += key->each_bytes) {
        const char *fault = oz_name_fault(e->key->text, e->key->len);
        if (fault) oz_config_mistake(doc, e->key->place, "`%.128s` %s", e->key->text, fault);
        struct oz_config_word name = {e->key->text, e->key};
        memcpy(array + key->name_offset, &name, sizeof(name));
        load_value(loader, each, e, array);
    }
}

static void load_list(struct loader *loader, const struct oz_key *key,
                      const struct oz_yaml_entry *entry, void *base)
{
    struct oz_config_doc *doc = loader->doc;
    const struct oz_yaml_node *node = entry->value;
    if (node->kind != OZ_YAML_SEQUENCE) {
        oz_config_mistake(doc, node->place, "expected a list such as `[a, b]`, found %s",
                          oz_config_found(doc, node));
        return;
    }
    struct oz_config_word *word =
        make_array(loader, key, entry, count_entries(node), sizeof(*word), base);
    for (const struct oz_yaml_entry *e = node->entry; word && e; e = e->next, word++) {
        if (e->value->kind != OZ_YAML_SCALAR || oz_yaml_is_null(e->value))
            oz_config_mistake(doc, e->value->place, "expected a name, found %s",
                              oz_config_found(doc, e->value));
        else
            *word = (struct oz_config_word){e->value->text, e->value};
    }
}

/* The names of one input; a single one may stand alone. */
static void load_features(struct loader *loader, const struct oz_key *key,
                          const struct oz_yaml_node *node, struct oz_input_word *input)
{
    struct oz_config_doc *doc = loader->doc;
    size_t n = node->kind == OZ_YAML_SEQUENCE ? count_entries(node) : 1;
    if (node->kind == OZ_YAML_MAPPING || oz_yaml_is_null(node) || !n) {
        oz_config_mistake(doc, node->place,
                          "expected a list of features such as `[a, b]`, found %s",
                          n ? oz_config_found(doc, node) : "an empty one");
        return;
    }
    if (n > (size_t)key->max) {
        oz_config_mistake(doc, node->place, "%zu features: expected at most %lld", n,
                          (long long)key->max);
        return;
    }
    input->feature = oz_config_get(doc, n * sizeof(*input->feature));
    if (!input->feature) return;
    if (node->kind == OZ_YAML_SCALAR) {
        input->feature[input->n_features++] = (struct oz_config_word){node->text, node};
        return;
    }
    for (const struct oz_yaml_entry *e = node->entry; e; e = e->next) {
        if (e->value->kind != OZ_YAML_SCALAR || oz_yaml_is_null(e->value))
            oz_config_mistake(doc, e->value->place, "expected the name of a feature, found %s",
                              oz_config_found(doc, e->value));
        else
            input->feature[input->n_features++] = (struct oz_config_word){e->value->text, e->value};
    }
}

static void load_inputs(struct loader *loader, const struct oz_key *key,
                        const struct oz_yaml_entry *entry, void *base)
{
    struct oz_config_doc *doc = loader->doc;
    const struct oz_yaml_node *node = entry->value;
    struct oz_inputs_word *to = (struct oz_inputs_word *)((char *)base + key->offset);
    bool by_name = node->kind == OZ_YAML_MAPPING;
    size_t n = by_name ? count_entries(node) : 1;
    if (oz_yaml_is_null(node) || !n) {
        oz_config_mistake(
            doc, node->place,
            "expected a list of features such as `[a, b]`, or inputs with theirs such "
            "as `{x: [a, b]}`, found %s",
            oz_config_found(doc, node));
        return;
    }
    to->input = oz_config_get(doc, n * sizeof(*to->input));
    if (!to->input) return;
    to->n = n;
    if (!by_name) load_features(loader, key, node, to->input);
    struct oz_input_word *input = to->input;
    for (const struct oz_yaml_entry *e = node->entry; by_name && e; e = e->next, input++) {
        input->input = (struct oz_config_word){e->key->text, e->key};
        load_features(loader, key, e->value, input);
    }
}

static void load_pass(struct loader *loader, const struct oz_key *key,
                      const struct oz_yaml_entry *entry, void *base)
{
    struct oz_config_doc *doc = loader->doc;
    const struct oz_yaml_node *node = entry->value;
    if (node->kind != OZ_YAML_MAPPING && !oz_yaml_is_null(node)) {
        oz_config_mistake(doc, node->place, "expected keys below `%.128s`, found %s",
                          entry->key->text, oz_config_found(doc, node));
        return;
    }
    struct oz_setting *setting =
        make_array(loader, key, entry, count_entries(node), sizeof(*setting), base);
    for (const struct oz_yaml_entry *e = node->entry; setting && e; e = e->next, setting++) {
        *setting = (struct oz_setting){e->key->text, "", e->value->place};
        if (e->value->kind != OZ_YAML_SCALAR || oz_yaml_is_null(e->value))
            oz_config_mistake(doc, e->value->place, "expected a text for `%.128s`, found %s",
                              e->key->text, oz_config_found(doc, e->value));
        else
            setting->value = e->value->text;
    }
}

static void load_value(struct loader *loader, const struct oz_key *key,
                       const struct oz_yaml_entry *entry, void *base)
{
    const struct oz_yaml_node *node = entry->value;
    const struct oz_key_class *class = oz_key_class(key->type);
    if (key->not_yet) {
        oz_config_mistake(loader->doc, entry->key->place, "`%s` is not served yet: leave it out",
                          oz_key_name(key));
        return;
    }
    switch (key->type) {
    case OZ_KEY_GROUP: load_group(loader, key->path, node, entry->key, base); return;
    case OZ_KEY_MAP: load_map(loader, key, entry, base); return;
    case OZ_KEY_LIST: load_list(loader, key, entry, base); return;
    case OZ_KEY_PASS: load_pass(loader, key, entry, base); return;
    case OZ_KEY_INPUTS: load_inputs(loader, key, entry, base); return;
    default: break;
    }
    if (node->kind != OZ_YAML_SCALAR || oz_yaml_is_null(node)) {
        oz_config_mistake(loader->doc, node->place, "expected %s, found %s",
                          class->like ? class->like : class->name,
                          oz_config_found(loader->doc, node));
        return;
    }
    class->load(loader->doc, key, node, (char *)base + key->offset);
}

/* `${VAR}` alone is no secret as written, and helps; a default in it may be one. */
static void mark_secret(struct oz_config_doc *doc, struct oz_yaml_node *node)
{
    if (node->kind != OZ_YAML_SCALAR || oz_yaml_is_null(node)) return;
    node->secret = true;
    const struct oz_yaml_span *span = node->span;
    bool reference = span && !span->next && span->written_len == node->written_len &&
                     !strstr(node->written, ":-");
    if (reference) return;
    node->secret_as_written = true;
    if (node->origin != OZ_ORIGIN_FILE) return;
    struct oz_error err;
    if (oz_config_text_mask(&doc->file, node->from, node->to, doc->arena, &err) != OZ_OK)
        doc->no_memory = true;
}

static void mark_entries(struct loader *loader, const struct oz_yaml_entry *entry)
{
    for (; entry; entry = entry->next)
        if (entry->key && loader->table->secret(entry->key->text, entry->key->len))
            mark_secret(loader->doc, entry->value);
}

/* Values of keys that are secrets are marked before anything can print them. */
static void mark_secrets(struct loader *loader)
{
    for (size_t i = 0; i < loader->table->n; i++) {
        const struct oz_key *key = &loader->table->key[i];
        if (key->type != OZ_KEY_PASS || strchr(key->path, '.')) continue;
        struct oz_yaml_entry *entry = oz_yaml_find(loader->doc->root, key->path, strlen(key->path));
        if (!entry) continue;
        mark_entries(loader, entry->value->entry);
        mark_entries(loader, entry->value->refused);
    }
}

void oz_keys_load(struct oz_config_doc *doc, const struct oz_key_table *table, void *to)
{
    struct loader loader = {doc, table};
    mark_secrets(&loader);
    if (doc->root->kind != OZ_YAML_MAPPING) {
        oz_config_mistake(doc, doc->root->place, "expected `key: value` lines, found %s",
                          oz_config_found(doc, doc->root));
        return;
    }
    load_group(&loader, "", doc->root, NULL, to);
}
