#include "pipelines/config/config_doc.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/nearest.h"

enum { FOUND_BYTES_MAX = 60, WHAT_BYTES_MAX = 700, OVERRIDE_SHOWN_BYTES_MAX = 80 };

void *oz_config_get(struct oz_config_doc *doc, size_t n_bytes)
{
    void *p = oz_arena_zeroed(doc->arena, 1, n_bytes);
    if (!p) doc->no_memory = true;
    return p;
}

void oz_config_mistake(struct oz_config_doc *doc, struct oz_place place, const char *fmt, ...)
{
    size_t number = doc->n_mistakes++;
    if (number >= OZ_CONFIG_MISTAKES_MAX) return;
    char what[WHAT_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);
    const char *copy = oz_arena_strndup(doc->arena, what, strlen(what));
    if (!copy) doc->no_memory = true;
    doc->mistake[number] = (struct oz_config_mistake){place, copy ? copy : "", number};
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* Steps over one character of the source and of the text that came of it. An escape is one
 * character of the text, except the one that joins two lines, which is none. */
static void step_both(const struct oz_yaml_node *node, const char *source, size_t *at, size_t *done)
{
    size_t step = oz_utf8_step(node->written + *done, node->written_len - *done);
    *done += step ? step : 1;
    char c = source[*at];
    bool escaped = node->style == OZ_YAML_DOUBLE_QUOTED && c == '\\' && *at + 1 < node->to;
    if (escaped) {
        char e = source[*at + 1];
        *at += e == 'x' ? 4 : e == 'u' ? 6 : e == 'U' ? 10 : 2;
    } else if (node->style == OZ_YAML_SINGLE_QUOTED && c == '\'') {
        *at += 2;
    } else {
        step = oz_utf8_step(source + *at, node->to - *at);
        *at += step ? step : 1;
    }
}

/* Where a line break, with the blanks around it and a backslash before it, ends; `at` when there is
 * none. */
static size_t skip_break(const struct oz_yaml_node *node, const char *source, size_t at)
{
    size_t i = at;
    while (i < node->to && (source[i] == ' ' || source[i] == '\t')) i++;
    if (node->style == OZ_YAML_DOUBLE_QUOTED && i + 1 < node->to && source[i] == '\\' &&
        (source[i + 1] == '\n' || source[i + 1] == '\r'))
        i++;
    if (i >= node->to || (source[i] != '\n' && source[i] != '\r')) return at;
    while (i < node->to && is_space(source[i])) i++;
    return i;
}

/* YAML folds line breaks and indentation, so a run of white space matches one of any length when
 * there is a break in it; all else is walked character by character. */
static size_t find_in_source(const struct oz_yaml_node *node, const char *source, size_t offset)
{
    size_t at = node->from, done = 0, next;
    while (done < offset && done < node->written_len && at < node->to) {
        next = skip_break(node, source, at);
        if (next > at) {
            at = next;
            while (done < offset && done < node->written_len && is_space(node->written[done]))
                done++;
        } else if (is_space(node->written[done]) && is_space(source[at])) {
            done++, at++;
        } else {
            step_both(node, source, &at, &done);
        }
    }
    return OZ_MIN(skip_break(node, source, OZ_MIN(at, node->to)), node->to);
}

struct oz_place oz_config_place_in_written(const struct oz_config_doc *doc,
                                           const struct oz_yaml_node *node, size_t offset)
{
    if (!offset || node->kind != OZ_YAML_SCALAR) return node->place;
    bool in_file = node->origin == OZ_ORIGIN_FILE;
    OZ_ASSERT(in_file || (size_t)node->origin < doc->n_overrides);
    const struct oz_config_text *text = in_file ? &doc->file : &doc->override[node->origin].value;
    struct oz_place place = oz_config_text_place(text, find_in_source(node, text->data, offset));
    if (in_file) return place;
    struct oz_place start = oz_config_text_place(text, node->from);
    int column = node->place.column + place.column - start.column;
    return (struct oz_place){node->place.line, column};
}

struct oz_place oz_config_place_in(const struct oz_config_doc *doc, const struct oz_yaml_node *node,
                                   size_t offset)
{
    size_t written = offset;
    for (const struct oz_yaml_span *span = node->span; span && span->text_at <= offset;
         span = span->next) {
        if (offset < span->text_at + span->text_len)
            written = span->written_at;
        else
            written =
                span->written_at + span->written_len + (offset - span->text_at - span->text_len);
    }
    return oz_config_place_in_written(doc, node, written);
}

const char *oz_config_found(struct oz_config_doc *doc, const struct oz_yaml_node *node)
{
    if (node->kind == OZ_YAML_SEQUENCE) return "a list";
    if (node->kind == OZ_YAML_MAPPING) return "keys with values";
    if (oz_yaml_is_null(node)) return "nothing";
    const char *text = node->secret ? node->written : node->text;
    size_t len = node->secret ? node->written_len : node->len, cut = 0;
    if (node->secret_as_written) return "a secret";
    while (cut < len && cut < FOUND_BYTES_MAX) {
        size_t step = oz_utf8_step(text + cut, len - cut);
        cut += step ? step : 1;
    }
    const char *from = "";
    if (node->span && !node->secret)
        from = oz_arena_printf(doc->arena, " (from `%.60s`)", node->written);
    char *found = oz_arena_printf(doc->arena, "`%.*s%s`%s", (int)cut, text, cut < len ? "..." : "",
                                  from ? from : "");
    if (!found) doc->no_memory = true;
    return found ? found : "";
}

const char *oz_config_hint(struct oz_config_doc *doc, const char *word, size_t len,
                           const char *const *names, size_t n)
{
    const char *near = n ? oz_nearest(word, len, names, n) : NULL;
    if (!near) return "";
    char *hint = oz_arena_printf(doc->arena, ": did you mean `%s`?", near);
    if (!hint) doc->no_memory = true;
    return hint ? hint : "";
}

/* What came from the file may hold anything, through the escapes of a quoted text. */
static void print_clean(const char *s, size_t len, struct oz_buf *buf)
{
    for (size_t i = 0, step; i < len; i += step) {
        step = oz_utf8_step(s + i, len - i);
        unsigned char c = (unsigned char)s[i];
        bool control =
            c < 0x20 || c == 0x7f || (c == 0xc2 && step == 2 && (unsigned char)s[i + 1] < 0xa0);
        if (!step) step = 1, control = true;
        oz_buf_put(buf, control ? "?" : s + i, control ? 1 : step);
    }
}

static void print_override(const struct oz_config_doc *doc, struct oz_place place, const char *what,
                           struct oz_buf *buf)
{
    size_t number = (size_t)(-(place.line + 1));
    if (number >= doc->n_overrides) return;
    const struct oz_config_override *override = &doc->override[number];
    size_t len = override->secret ? override->value_at : override->whole.len;
    bool cut = len > OVERRIDE_SHOWN_BYTES_MAX;
    oz_buf_puts(buf, "--set ");
    print_clean(override->whole.data, cut ? OVERRIDE_SHOWN_BYTES_MAX : len, buf);
    oz_buf_puts(buf, override->secret ? "***" : cut ? "..." : "");
    oz_buf_puts(buf, ": ");
    print_clean(what, strlen(what), buf);
    oz_buf_puts(buf, "\n");
    /* The line above says it all, unless the place is inside the value. */
    struct oz_place value = oz_config_text_place(&override->whole, override->value_at);
    if (override->secret || place.column <= value.column) return;
    oz_config_text_show(&override->whole, (struct oz_place){1, place.column}, buf);
}

void oz_config_print(const struct oz_config_doc *doc, struct oz_place place, const char *what,
                     struct oz_buf *buf)
{
    if (place.line < 0) {
        print_override(doc, place, what, buf);
        return;
    }
    oz_buf_printf(buf, "%s:", doc->path);
    if (place.line > 0) oz_buf_printf(buf, "%d:%d:", place.line, place.column);
    oz_buf_puts(buf, " ");
    print_clean(what, strlen(what), buf);
    oz_buf_puts(buf, "\n");
    oz_config_text_show(&doc->file, place, buf);
}

static int in_order(const void *a, const void *b)
{
    const struct oz_config_mistake *x = a, *y = b;
    bool x_override = x->place.line < 0, y_override = y->place.line < 0;
    if (x_override != y_override) return x_override ? 1 : -1;
    int x_line = abs(x->place.line), y_line = abs(y->place.line);
    if (x_line != y_line) return x_line < y_line ? -1 : 1;
    if (x->place.column != y->place.column) return x->place.column < y->place.column ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

void oz_config_print_all(struct oz_config_doc *doc, struct oz_mistakes *mistakes)
{
    size_t n = OZ_MIN(doc->n_mistakes, (size_t)OZ_CONFIG_MISTAKES_MAX);
    qsort(doc->mistake, n, sizeof(doc->mistake[0]), in_order);
    for (size_t i = 0; i < n; i++)
        oz_config_print(doc, doc->mistake[i].place, doc->mistake[i].what, &mistakes->text);
    if (doc->n_mistakes > n)
        oz_buf_printf(&mistakes->text, "%s: %zu more mistakes are not listed\n", doc->path,
                      doc->n_mistakes - n);
    mistakes->n += n;
}
