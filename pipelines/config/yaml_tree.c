#include "pipelines/config/yaml_tree.h"
#include <string.h>
#include <yaml.h>
#include "base/hash.h"
#include "pipelines/config/config_doc.h"

struct frame { /* a sequence or mapping whose end has not come */
    struct oz_yaml_node *node;
    struct oz_yaml_entry **tail;
    struct oz_yaml_node *key; /* of a mapping: waits for its value */
    bool skip_value;          /* the key was refused: its value goes nowhere */
};

struct reader {
    struct oz_config_doc *doc;
    const struct oz_config_text *text;
    int origin, first_column;
    size_t at, index; /* byte `at` is character number `index`; moves with the marks */
    struct frame frame[OZ_CONFIG_DEPTH_MAX];
    int depth;
    struct oz_yaml_node *root, *anchored;
    uint32_t n_nodes; /* aliases followed */
    int n_aliases;
    bool stop; /* a mistake that ends the reading was reported */
};

static struct oz_place place_of(const struct reader *reader, yaml_mark_t mark)
{
    if (reader->origin == OZ_ORIGIN_FILE)
        return (struct oz_place){(int)mark.line + 1, (int)mark.column + 1};
    return (struct oz_place){-reader->origin - 1, (int)mark.column + reader->first_column};
}

/* Marks count characters; they hardly ever go back, so the walk is linear over the whole text. */
static size_t byte_of(struct reader *reader, yaml_mark_t mark)
{
    const char *data = reader->text->data;
    while (reader->index < mark.index && reader->at < reader->text->len) {
        reader->at += oz_utf8_step(data + reader->at, reader->text->len - reader->at);
        reader->index++;
    }
    while (reader->index > mark.index && reader->at > 0) {
        while (--reader->at > 0 && ((unsigned char)data[reader->at] & 0xc0) == 0x80) {
        }
        reader->index--;
    }
    return reader->at;
}

static void stop(struct reader *reader, struct oz_place place, const char *what)
{
    oz_config_mistake(reader->doc, place, "%s", what);
    reader->stop = true;
}

static void stop_at_limit(struct reader *reader, struct oz_place place, const char *what, int limit)
{
    oz_config_mistake(reader->doc, place, "more than %d %s: the file is refused", limit, what);
    reader->stop = true;
}

/* Quotes, and the header of a block scalar, are no content. */
static void find_content(struct reader *reader, struct oz_yaml_node *node,
                         const yaml_event_t *event)
{
    const struct oz_config_text *text = reader->text;
    node->from = byte_of(reader, event->start_mark);
    node->to = OZ_MAX(node->from, byte_of(reader, event->end_mark));
    node->place = place_of(reader, event->start_mark);
    if (node->style == OZ_YAML_SINGLE_QUOTED || node->style == OZ_YAML_DOUBLE_QUOTED) {
        node->from = OZ_MIN(node->from + 1, node->to);
        if (node->to > node->from) node->to--;
        node->place.column++;
    } else if (node->style == OZ_YAML_BLOCK) {
        size_t at = node->from;
        while (at < node->to && text->data[at] != '\n' && text->data[at] != '\r') at++;
        while (at < node->to && strchr(" \t\r\n", text->data[at])) at++;
        if (at < node->to) {
            node->from = at;
            struct oz_place place = oz_config_text_place(text, at);
            if (reader->origin == OZ_ORIGIN_FILE) node->place = place;
        }
    }
}

static struct oz_yaml_node *new_node(struct reader *reader, enum oz_yaml_kind kind,
                                     const yaml_event_t *event, const yaml_char_t *anchor,
                                     const yaml_char_t *tag)
{
    struct oz_place place = place_of(reader, event->start_mark);
    if (tag)
        oz_config_mistake(reader->doc, place, "tag `%.64s`: tags are not served, leave it out",
                          (const char *)tag);
    if (++reader->n_nodes > OZ_CONFIG_NODES_MAX) {
        stop_at_limit(reader, place, "values and keys", OZ_CONFIG_NODES_MAX);
        return NULL;
    }
    struct oz_yaml_node *node = oz_config_get(reader->doc, sizeof(*node));
    if (!node) return NULL;
    node->kind = kind;
    node->place = place;
    node->origin = reader->origin;
    node->n_expanded = 1;
    node->height = 1;
    if (anchor) {
        node->anchor = oz_arena_strndup(reader->doc->arena, (const char *)anchor,
                                        strlen((const char *)anchor));
        if (!node->anchor) reader->doc->no_memory = true;
        node->next_anchored = reader->anchored;
        reader->anchored = node;
    }
    return node;
}

static struct oz_yaml_node *new_scalar(struct reader *reader, const yaml_event_t *event)
{
    struct oz_yaml_node *node =
        new_node(reader, OZ_YAML_SCALAR, event, event->data.scalar.anchor, event->data.scalar.tag);
    if (!node) return NULL;
    switch (event->data.scalar.style) {
    case YAML_SINGLE_QUOTED_SCALAR_STYLE: node->style = OZ_YAML_SINGLE_QUOTED; break;
    case YAML_DOUBLE_QUOTED_SCALAR_STYLE: node->style = OZ_YAML_DOUBLE_QUOTED; break;
    case YAML_LITERAL_SCALAR_STYLE:
    case YAML_FOLDED_SCALAR_STYLE: node->style = OZ_YAML_BLOCK; break;
    default: node->style = OZ_YAML_PLAIN;
    }
    find_content(reader, node, event);
    node->len = event->data.scalar.length;
    node->text =
        oz_arena_strndup(reader->doc->arena, (const char *)event->data.scalar.value, node->len);
    if (!node->text) {
        reader->doc->no_memory = true;
        return NULL;
    }
    /* An escape can write what the file itself may not hold. */
    if (memchr(node->text, 0, node->len)) stop(reader, node->place, "a NUL character in a text");
    node->written = node->text;
    node->written_len = node->len;
    node->hash = (uint32_t)oz_hash64(node->text, node->len);
    node->next_scalar = reader->doc->scalar;
    reader->doc->scalar = node;
    return node;
}

static void take_key(struct reader *reader, struct frame *frame, struct oz_yaml_node *key)
{
    frame->key = key;
    if (key->style == OZ_YAML_PLAIN && key->len == 2 && !memcmp(key->text, "<<", 2)) {
        oz_config_mistake(
            reader->doc, key->place,
            "merge keys (`<<`) are not served: write the keys out, or alias the whole value");
        frame->skip_value = true;
        return;
    }
    for (const struct oz_yaml_entry *entry = frame->node->entry; entry; entry = entry->next) {
        const struct oz_yaml_node *other = entry->key;
        if (other->hash != key->hash || other->len != key->len ||
            memcmp(other->text, key->text, key->len))
            continue;
        struct oz_place there = oz_config_text_place(reader->text, other->from);
        oz_config_mistake(reader->doc, key->place,
                          "duplicate key `%.128s`: it stands at %d:%d already", key->text,
                          there.line, there.column);
        frame->skip_value = true;
        return;
    }
}

/* A whole node has been read: it goes to the collection that is open. */
static void attach(struct reader *reader, struct oz_yaml_node *node)
{
    if (!reader->depth) {
        reader->root = node;
        return;
    }
    struct frame *frame = &reader->frame[reader->depth - 1];
    frame->node->n_expanded += node->n_expanded;
    frame->node->height = OZ_MAX(frame->node->height, node->height + 1);
    if (frame->node->kind == OZ_YAML_MAPPING && !frame->key) {
        take_key(reader, frame, node);
        return;
    }
    struct oz_yaml_entry *entry = oz_config_get(reader->doc, sizeof(*entry));
    if (!entry) return;
    entry->key = frame->key;
    entry->value = node;
    if (frame->skip_value) {
        entry->next = frame->node->refused;
        frame->node->refused = entry;
    } else {
        *frame->tail = entry;
        frame->tail = &entry->next;
    }
    frame->key = NULL;
    frame->skip_value = false;
}

static bool key_is_due(const struct reader *reader)
{
    const struct frame *frame = &reader->frame[OZ_MAX(reader->depth, 1) - 1];
    return reader->depth && frame->node->kind == OZ_YAML_MAPPING && !frame->key;
}

static void open_collection(struct reader *reader, enum oz_yaml_kind kind,
                            const yaml_event_t *event)
{
    struct oz_place place = place_of(reader, event->start_mark);
    if (key_is_due(reader)) {
        stop(reader, place, "a key must be a name, not a list or a mapping");
        return;
    }
    if (reader->depth == OZ_CONFIG_DEPTH_MAX) {
        stop_at_limit(reader, place, "levels of nesting", OZ_CONFIG_DEPTH_MAX);
        return;
    }
    bool mapping = kind == OZ_YAML_MAPPING;
    struct oz_yaml_node *node =
        new_node(reader, kind, event,
                 mapping ? event->data.mapping_start.anchor : event->data.sequence_start.anchor,
                 mapping ? event->data.mapping_start.tag : event->data.sequence_start.tag);
    if (!node) return;
    node->open = true;
    reader->frame[reader->depth++] = (struct frame){.node = node, .tail = &node->entry};
}

static void close_collection(struct reader *reader)
{
    struct oz_yaml_node *node = reader->frame[--reader->depth].node;
    node->open = false;
    attach(reader, node);
}

static void follow_alias(struct reader *reader, const yaml_event_t *event)
{
    struct oz_place place = place_of(reader, event->start_mark);
    const char *name = (const char *)event->data.alias.anchor;
    if (++reader->n_aliases > OZ_CONFIG_ALIASES_MAX) {
        stop_at_limit(reader, place, "aliases", OZ_CONFIG_ALIASES_MAX);
        return;
    }
    struct oz_yaml_node *node = reader->anchored; /* newest first: an anchor may be set again */
    while (node && (!node->anchor || strcmp(node->anchor, name))) node = node->next_anchored;
    if (!node) {
        oz_config_mistake(reader->doc, place,
                          "alias `*%.64s`: there is no anchor `&%.64s` before it", name, name);
        reader->stop = true;
    } else if (node->open) {
        stop(reader, place, "an alias inside the value that it stands for");
    } else if (key_is_due(reader)) {
        stop(reader, place, "a key must be a name, not an alias");
    } else if (reader->depth + node->height - 1 > OZ_CONFIG_DEPTH_MAX) {
        stop_at_limit(reader, place, "levels of nesting", OZ_CONFIG_DEPTH_MAX);
    } else if ((reader->n_nodes += node->n_expanded) > OZ_CONFIG_NODES_MAX) {
        stop_at_limit(reader, place, "values and keys", OZ_CONFIG_NODES_MAX);
    } else {
        attach(reader, node);
    }
}

static void take_event(struct reader *reader, const yaml_event_t *event)
{
    struct oz_yaml_node *node;
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (reader->root)
            stop(reader, place_of(reader, event->start_mark),
                 "a second document (`---`): one file is one pipeline");
        break;
    case YAML_SCALAR_EVENT:
        if ((node = new_scalar(reader, event))) attach(reader, node);
        break;
    case YAML_SEQUENCE_START_EVENT: open_collection(reader, OZ_YAML_SEQUENCE, event); break;
    case YAML_MAPPING_START_EVENT: open_collection(reader, OZ_YAML_MAPPING, event); break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: close_collection(reader); break;
    case YAML_ALIAS_EVENT: follow_alias(reader, event); break;
    default: break;
    }
}

static void report_syntax(struct reader *reader, const yaml_parser_t *parser)
{
    const char *problem = parser->problem ? parser->problem : "it cannot be read";
    yaml_mark_t mark = parser->problem_mark;
    if (parser->error == YAML_MEMORY_ERROR) {
        reader->doc->no_memory = true;
    } else if (parser->error == YAML_READER_ERROR) {
        struct oz_place place =
            oz_config_text_place(reader->text, OZ_MIN(parser->problem_offset, reader->text->len));
        if (reader->origin != OZ_ORIGIN_FILE)
            place = (struct oz_place){-reader->origin - 1, place.column - 1 + reader->first_column};
        oz_config_mistake(reader->doc, place, "not YAML: %s", problem);
    } else if (reader->origin == OZ_ORIGIN_FILE && parser->context &&
               parser->context_mark.line != mark.line) {
        oz_config_mistake(reader->doc, place_of(reader, mark),
                          "not YAML: %s %s that began at line %d", problem, parser->context,
                          (int)parser->context_mark.line + 1);
    } else {
        oz_config_mistake(reader->doc, place_of(reader, mark), "not YAML: %s%s%s", problem,
                          parser->context ? " " : "", parser->context ? parser->context : "");
    }
}

enum oz_status oz_yaml_parse(struct oz_config_doc *doc, const struct oz_config_text *text,
                             int origin, int first_column, struct oz_yaml_node **ret_root,
                             struct oz_error *err)
{
    struct reader reader = {
        .doc = doc, .text = text, .origin = origin, .first_column = first_column};
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) return oz_no_memory(err);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING); /* a mark of UTF-16 is no text of ours */
    yaml_parser_set_input_string(&parser, (const unsigned char *)text->data, text->len);
    bool end = false;
    while (!end && !reader.stop && !doc->no_memory) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            report_syntax(&reader, &parser);
            reader.stop = true;
            break;
        }
        end = event.type == YAML_STREAM_END_EVENT;
        take_event(&reader, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (doc->no_memory) return oz_no_memory(err);
    *ret_root = reader.stop ? NULL : reader.root;
    return OZ_OK;
}

bool oz_yaml_is_null(const struct oz_yaml_node *node)
{
    return node->kind == OZ_YAML_SCALAR && node->style == OZ_YAML_PLAIN && !node->span &&
           (!node->len || !strcmp(node->text, "~") || !strcmp(node->text, "null"));
}

struct oz_yaml_entry *oz_yaml_find(const struct oz_yaml_node *mapping, const char *key, size_t len)
{
    if (!mapping || mapping->kind != OZ_YAML_MAPPING) return NULL;
    for (struct oz_yaml_entry *entry = mapping->entry; entry; entry = entry->next)
        if (entry->key->len == len && !memcmp(entry->key->text, key, len)) return entry;
    return NULL;
}
