#include "pipelines/config/key_types.h"
#include <string.h>

/* `|` would end a cell of a Markdown table. */
static void put_cell(const char *s, struct oz_buf *buf)
{
    for (; *s; s++) {
        if (*s == '|') oz_buf_puts(buf, "\\");
        oz_buf_put_u8(buf, (uint8_t)*s);
    }
}

static void put_range(const struct oz_key *key, struct oz_buf *buf)
{
    if (key->type == OZ_KEY_CHOICE) {
        const char *between = "";
        for (const struct oz_choice *c = key->choice; c->name; c++) {
            if (c->not_yet) continue;
            oz_buf_printf(buf, "%s`%s`", between, c->name);
            between = ", ";
        }
    } else if (key->type == OZ_KEY_MAP || key->type == OZ_KEY_LIST || key->type == OZ_KEY_PASS ||
               key->type == OZ_KEY_INPUTS) {
        oz_buf_printf(buf, "%lld to %lld entries", (long long)key->min, (long long)key->max);
    } else if (key->max) {
        oz_key_bound(key, key->min, buf);
        oz_buf_puts(buf, " to ");
        oz_key_bound(key, key->max, buf);
    }
}

void oz_keys_reference(const struct oz_key_table *table, struct oz_buf *buf)
{
    oz_buf_puts(buf, "| key | type | default | range | what it says |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < table->n; i++) {
        const struct oz_key *key = &table->key[i];
        if (key->not_yet) continue;
        oz_buf_printf(buf, "| `%s` | %s | ", key->path, oz_key_class(key->type)->name);
        if (key->required)
            oz_buf_puts(buf, "**required**");
        else if (key->standard_text)
            put_cell(key->standard_text, buf);
        else if (key->standard)
            oz_buf_printf(buf, "`%s`", key->standard);
        oz_buf_puts(buf, " | ");
        put_range(key, buf);
        oz_buf_puts(buf, " | ");
        put_cell(key->help, buf);
        oz_buf_puts(buf, " |\n");
    }
}

static void put_pair(struct oz_json *json, const char *key, const char *value)
{
    oz_json_key(json, key);
    oz_json_cstring(json, value);
}

static void schema_of(struct oz_json *json, const struct oz_key_table *table,
                      const struct oz_key *key);

/* Keys that are not served yet are left out, so that an editor marks them. */
static void schema_of_keys(struct oz_json *json, const struct oz_key_table *table, const char *path)
{
    bool required = false;
    put_pair(json, "type", "object");
    oz_json_key(json, "additionalProperties");
    oz_json_boolean(json, false);
    oz_json_key(json, "properties");
    oz_json_open(json, '{');
    for (size_t i = 0; i < table->n; i++) {
        const struct oz_key *key = &table->key[i];
        if (key->not_yet || !oz_key_is_below(key, path)) continue;
        oz_json_key(json, oz_key_name(key));
        schema_of(json, table, key);
        required = required || key->required;
    }
    oz_json_close(json, '}');
    if (!required) return;
    oz_json_key(json, "required");
    oz_json_open(json, '[');
    for (size_t i = 0; i < table->n; i++)
        if (table->key[i].required && oz_key_is_below(&table->key[i], path))
            oz_json_cstring(json, oz_key_name(&table->key[i]));
    oz_json_close(json, ']');
}

static void schema_of_map(struct oz_json *json, const struct oz_key_table *table,
                          const struct oz_key *key)
{
    put_pair(json, "type", "object");
    if (key->min) {
        oz_json_key(json, "minProperties");
        oz_json_i64(json, key->min);
    }
    oz_json_key(json, "maxProperties");
    oz_json_i64(json, key->max);
    oz_json_key(json, "propertyNames");
    oz_json_open(json, '{');
    put_pair(json, "pattern", oz_key_class(OZ_KEY_NAME)->pattern);
    oz_json_close(json, '}');
    oz_json_key(json, "additionalProperties");
    schema_of(json, table, oz_key_find(table, key->path, "*", 1));
}

static void schema_of_names(struct oz_json *json)
{
    put_pair(json, "type", "array");
    oz_json_key(json, "items");
    oz_json_open(json, '{');
    put_pair(json, "type", "string");
    oz_json_close(json, '}');
}

/* Opens alternatives of which a list of names and one name are the first. */
static void open_names(struct oz_json *json)
{
    oz_json_key(json, "anyOf");
    oz_json_open(json, '[');
    oz_json_open(json, '{');
    schema_of_names(json);
    oz_json_close(json, '}');
    oz_json_open(json, '{');
    put_pair(json, "type", "string");
    oz_json_close(json, '}');
}

/* A list of names, or inputs with a name or a list of names each. */
static void schema_of_inputs(struct oz_json *json)
{
    open_names(json);
    oz_json_open(json, '{');
    put_pair(json, "type", "object");
    oz_json_key(json, "additionalProperties");
    oz_json_open(json, '{');
    open_names(json);
    oz_json_close(json, ']');
    oz_json_close(json, '}');
    oz_json_close(json, '}');
    oz_json_close(json, ']');
}

/* An expression may be a mere number or `true`, which an editor does not take for a text. */
static void put_types(struct oz_json *json, const char *first, const char *second,
                      const char *third)
{
    oz_json_key(json, "type");
    oz_json_open(json, '[');
    oz_json_cstring(json, first);
    oz_json_cstring(json, second);
    if (third) oz_json_cstring(json, third);
    oz_json_close(json, ']');
}

/* Any value may be written as `${VAR}`, so every pattern lets that through. */
static void schema_of_text(struct oz_json *json, const char *pattern)
{
    if (!pattern) {
        put_types(json, "string", "number", "boolean");
        return;
    }
    struct oz_buf both;
    oz_buf_init(&both);
    oz_buf_printf(&both, "(%s)|\\$\\{", pattern);
    put_types(json, "string", "integer", NULL);
    put_pair(json, "pattern", oz_buf_string(&both));
    if (both.failed) json->buf->failed = true;
    oz_buf_clear(&both);
}

static void schema_of_integer(struct oz_json *json, const struct oz_key *key)
{
    put_types(json, "integer", "string", NULL);
    oz_json_key(json, "minimum");
    oz_json_i64(json, key->min);
    oz_json_key(json, "maximum");
    oz_json_i64(json, key->max);
    put_pair(json, "pattern", "^[0-9]+$|\\$\\{");
}

static void schema_of_choice(struct oz_json *json, const struct oz_key *key)
{
    oz_json_key(json, "anyOf");
    oz_json_open(json, '[');
    oz_json_open(json, '{');
    oz_json_key(json, "enum");
    oz_json_open(json, '[');
    for (const struct oz_choice *c = key->choice; c->name; c++)
        if (!c->not_yet) oz_json_cstring(json, c->name);
    oz_json_close(json, ']');
    oz_json_close(json, '}');
    oz_json_open(json, '{');
    put_pair(json, "type", "string");
    put_pair(json, "pattern", "\\$\\{");
    oz_json_close(json, '}');
    oz_json_close(json, ']');
}

static void put_default(struct oz_json *json, const struct oz_key *key)
{
    bool text = key->type != OZ_KEY_U32 && key->type != OZ_KEY_U64 && key->type != OZ_KEY_BOOLEAN;
    oz_json_key(json, "default");
    if (text)
        oz_json_cstring(json, key->standard);
    else
        oz_json_raw(json, key->standard, strlen(key->standard));
}

static void schema_of(struct oz_json *json, const struct oz_key_table *table,
                      const struct oz_key *key)
{
    oz_json_open(json, '{');
    put_pair(json, "description", key->help);
    switch (key->type) {
    case OZ_KEY_GROUP: schema_of_keys(json, table, key->path); break;
    case OZ_KEY_MAP: schema_of_map(json, table, key); break;
    case OZ_KEY_PASS:
        put_pair(json, "type", "object");
        oz_json_key(json, "additionalProperties");
        oz_json_open(json, '{');
        put_types(json, "string", "number", "boolean");
        oz_json_close(json, '}');
        break;
    case OZ_KEY_LIST: schema_of_names(json); break;
    case OZ_KEY_INPUTS: schema_of_inputs(json); break;
    case OZ_KEY_U32:
    case OZ_KEY_U64: schema_of_integer(json, key); break;
    case OZ_KEY_CHOICE: schema_of_choice(json, key); break;
    case OZ_KEY_BOOLEAN:
        put_types(json, "boolean", "string", NULL);
        put_pair(json, "pattern", "^(true|false)$|\\$\\{");
        break;
    default: schema_of_text(json, oz_key_class(key->type)->pattern);
    }
    if (key->standard) put_default(json, key);
    oz_json_close(json, '}');
}

void oz_keys_json_schema(const struct oz_key_table *table, const char *title, struct oz_buf *buf)
{
    struct oz_json json;
    oz_json_init(&json, buf);
    oz_json_open(&json, '{');
    put_pair(&json, "$schema", "https://json-schema.org/draft/2020-12/schema");
    put_pair(&json, "title", title);
    schema_of_keys(&json, table, "");
    oz_json_close(&json, '}');
    oz_buf_puts(buf, "\n");
}
