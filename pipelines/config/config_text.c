#include "pipelines/config/config_text.h"

enum { SHOWN_COLUMNS_MAX = 96, SHOWN_BEFORE_CARET = 60, MASK_COLUMNS = 3 };

/* Bytes of the line break at s, 0 when there is none. */
static size_t break_bytes(const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;
    if (!n) return 0;
    if (u[0] == '\r') return n > 1 && u[1] == '\n' ? 2 : 1;
    if (u[0] == '\n') return 1;
    if (n >= 2 && u[0] == 0xc2 && u[1] == 0x85) return 2;
    if (n >= 3 && u[0] == 0xe2 && u[1] == 0x80 && (u[2] == 0xa8 || u[2] == 0xa9)) return 3;
    return 0;
}

enum oz_status oz_config_text_init(struct oz_config_text *text, const char *data, size_t len,
                                   struct oz_arena *arena, struct oz_error *err)
{
    OZ_ASSERT(len <= OZ_CONFIG_FILE_BYTES_MAX);
    size_t n_lines = 1, step;
    for (size_t i = 0; i < len; i += step ? step : 1)
        if ((step = break_bytes(data + i, len - i))) n_lines++;
    uint32_t *line = oz_arena_get(arena, n_lines * sizeof(*line));
    if (!line) return oz_no_memory(err);
    size_t at = 0;
    line[at++] = 0;
    for (size_t i = 0; i < len; i += step ? step : 1)
        if ((step = break_bytes(data + i, len - i))) line[at++] = (uint32_t)(i + step);
    *text =
        (struct oz_config_text){.data = data, .len = len, .line = line, .n_lines = (int)n_lines};
    return OZ_OK;
}

enum oz_status oz_config_text_mask(struct oz_config_text *text, size_t from, size_t to,
                                   struct oz_arena *arena, struct oz_error *err)
{
    struct oz_config_mask *mask = oz_arena_get(arena, sizeof(*mask));
    if (!mask) return oz_no_memory(err);
    *mask = (struct oz_config_mask){from, to, text->mask};
    text->mask = mask;
    return OZ_OK;
}

size_t oz_utf8_step(const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;
    if (!n) return 0;
    if (u[0] < 0x80) return 1;
    size_t len = u[0] >= 0xc2 && u[0] <= 0xdf ? 2
                 : (u[0] & 0xf0) == 0xe0      ? 3
                 : (u[0] & 0xf8) == 0xf0      ? 4
                                              : 0;
    if (!len || len > n) return 0;
    uint32_t c = u[0] & (0x7f >> len);
    for (size_t i = 1; i < len; i++) {
        if ((u[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (u[i] & 0x3f);
    }
    if (len == 3 && (c < 0x800 || (c >= 0xd800 && c <= 0xdfff))) return 0;
    if (len == 4 && (c < 0x10000 || c > 0x10ffff)) return 0;
    return len;
}

const char *oz_config_text_fault(const char *data, size_t len, size_t *ret_at)
{
    for (size_t i = 0, step; i < len; i += step) {
        step = oz_utf8_step(data + i, len - i);
        if (step && data[i]) continue;
        *ret_at = i;
        return step ? "a NUL byte: the file is not text" : "a byte that is not UTF-8";
    }
    return NULL;
}

/* Never stands still, so that text that is not UTF-8 can be walked too. */
static size_t step_over(const char *s, size_t n)
{
    size_t step = oz_utf8_step(s, n);
    return step ? step : 1;
}

static size_t line_end(const struct oz_config_text *text, int line)
{
    size_t from = text->line[line - 1];
    size_t to = line < text->n_lines ? text->line[line] : text->len;
    for (size_t i = from; i < to; i++)
        if (break_bytes(text->data + i, to - i)) return i;
    return to;
}

struct oz_place oz_config_text_place(const struct oz_config_text *text, size_t at)
{
    int low = 0, high = text->n_lines; /* line[low] <= at < line[high] */
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (text->line[middle] <= at)
            low = middle;
        else
            high = middle;
    }
    int column = 1;
    for (size_t i = text->line[low]; i < at && i < text->len; column++)
        i += step_over(text->data + i, text->len - i);
    return (struct oz_place){low + 1, column};
}

size_t oz_config_text_at(const struct oz_config_text *text, struct oz_place place)
{
    if (place.line < 1) return 0;
    if (place.line > text->n_lines) return text->len;
    size_t at = text->line[place.line - 1], end = line_end(text, place.line);
    for (int column = 1; column < place.column && at < end; column++)
        at += step_over(text->data + at, end - at);
    return OZ_MIN(at, end);
}

static bool masked(const struct oz_config_text *text, size_t at)
{
    for (const struct oz_config_mask *mask = text->mask; mask; mask = mask->next)
        if (mask->from <= at && at < mask->to) return true;
    return false;
}

/* One character as it may be shown: nothing that moves a terminal's cursor. */
static void show_character(const char *s, size_t n, struct oz_buf *buf)
{
    unsigned char first = (unsigned char)s[0];
    bool plain = oz_utf8_step(s, n) == n && (first == '\t' || first >= 0x20) && first != 0x7f;
    if (plain && n == 2 && first == 0xc2 && (unsigned char)s[1] < 0xa0) plain = false;
    oz_buf_put(buf, plain ? s : "?", plain ? n : 1);
}

void oz_config_text_show(const struct oz_config_text *text, struct oz_place place,
                         struct oz_buf *buf)
{
    if (place.line < 1 || place.line > text->n_lines) return;
    size_t from = text->line[place.line - 1], end = line_end(text, place.line);
    int n_columns = 0;
    for (size_t i = from; i < end; i += step_over(text->data + i, end - i)) n_columns++;
    int caret = OZ_MIN(OZ_MAX(place.column, 1), n_columns + 1);
    int first = 1, last = n_columns;
    if (n_columns > SHOWN_COLUMNS_MAX) {
        first = OZ_MAX(1, OZ_MIN(caret - SHOWN_BEFORE_CARET, n_columns - SHOWN_COLUMNS_MAX + 1));
        last = OZ_MIN(n_columns, first + SHOWN_COLUMNS_MAX - 1);
    }
    oz_buf_printf(buf, "%5d | %s", place.line, first > 1 ? "..." : "");
    struct oz_buf under;
    oz_buf_init(&under);
    oz_buf_puts(&under, first > 1 ? "   " : "");
    int column = 1, n_masked = 0;
    for (size_t i = from, step; i < end && column <= last; i += step, column++) {
        step = step_over(text->data + i, end - i);
        if (column < first) continue;
        n_masked = masked(text, i) ? n_masked + 1 : 0;
        if (n_masked > MASK_COLUMNS) continue;
        if (n_masked)
            oz_buf_puts(buf, "*");
        else
            show_character(text->data + i, step, buf);
        if (column < caret) oz_buf_puts(&under, text->data[i] == '\t' ? "\t" : " ");
    }
    oz_buf_puts(buf, last < n_columns ? "...\n      | " : "\n      | ");
    oz_buf_put(buf, under.data, under.len);
    oz_buf_puts(buf, "^\n");
    if (under.failed) buf->failed = true;
    oz_buf_clear(&under);
}
