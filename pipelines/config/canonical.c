#include "pipelines/config/canonical.h"
#include <stdlib.h>
#include <string.h>
#include "base/json_writer.h"

static int by_key(const void *a, const void *b)
{
    const struct oz_yaml_node *x = (*(struct oz_yaml_entry *const *)a)->key;
    const struct oz_yaml_node *y = (*(struct oz_yaml_entry *const *)b)->key;
    int order = memcmp(x->text, y->text, OZ_MIN(x->len, y->len));
    return order ? order : x->len < y->len ? -1 : x->len > y->len;
}

static void put_string(const char *s, size_t len, struct oz_buf *buf)
{
    struct oz_json json;
    oz_json_init(&json, buf);
    oz_json_string(&json, s, len);
}

static void put_mapping(struct oz_config_doc *doc, const struct oz_yaml_node *node,
                        struct oz_buf *buf)
{
    size_t n = 0;
    for (const struct oz_yaml_entry *entry = node->entry; entry; entry = entry->next) n++;
    struct oz_yaml_entry **sorted = oz_config_get(doc, (n + 1) * sizeof(struct oz_yaml_entry *));
    if (!sorted) return;
    n = 0;
    for (struct oz_yaml_entry *entry = node->entry; entry; entry = entry->next) sorted[n++] = entry;
    qsort(sorted, n, sizeof(struct oz_yaml_entry *), by_key);
    oz_buf_puts(buf, "{");
    for (size_t i = 0; i < n; i++) {
        if (i) oz_buf_puts(buf, ",");
        put_string(sorted[i]->key->text, sorted[i]->key->len, buf);
        oz_buf_puts(buf, ":");
        oz_config_canonical(doc, sorted[i]->value, buf);
    }
    oz_buf_puts(buf, "}");
}

void oz_config_canonical(struct oz_config_doc *doc, const struct oz_yaml_node *node,
                         struct oz_buf *buf)
{
    if (node->kind == OZ_YAML_MAPPING) {
        put_mapping(doc, node, buf);
    } else if (node->kind == OZ_YAML_SEQUENCE) {
        oz_buf_puts(buf, "[");
        for (const struct oz_yaml_entry *entry = node->entry; entry; entry = entry->next) {
            if (entry != node->entry) oz_buf_puts(buf, ",");
            oz_config_canonical(doc, entry->value, buf);
        }
        oz_buf_puts(buf, "]");
    } else if (oz_yaml_is_null(node)) {
        oz_buf_puts(buf, "null");
    } else {
        put_string(node->written, node->written_len, buf);
    }
}
