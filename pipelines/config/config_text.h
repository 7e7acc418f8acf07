/* The text that a configuration was read from, by lines: places to bytes and back, and the excerpt
 * with a caret that goes under a mistake. Units: lines and columns count from 1; a column is one
 * character (code point). Line breaks are those of YAML 1.1: LF, CR, CR LF, NEL, LS and PS, so that
 * our lines are the YAML parser's lines. Ownership: the text and its table belong to the arena
 * given. Threads: one writer, then any readers. Limits: texts of at most OZ_CONFIG_FILE_BYTES_MAX
 * bytes. */
#ifndef OZ_PIPELINES_CONFIG_CONFIG_TEXT_H
#define OZ_PIPELINES_CONFIG_CONFIG_TEXT_H
#include "base/arena.h"
#include "base/buf.h"
#include "pipelines/config/pipeline.h"

/* Bytes that no excerpt may show: a secret. */
struct oz_config_mask {
    size_t from, to;
    const struct oz_config_mask *next;
};

struct oz_config_text {
    const char *data;
    size_t len;
    const uint32_t *line; /* where each line starts */
    int n_lines;          /* at least 1 */
    const struct oz_config_mask *mask;
};

enum oz_status oz_config_text_init(struct oz_config_text *text, const char *data, size_t len,
                                   struct oz_arena *arena, struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_config_text_mask(struct oz_config_text *text, size_t from, size_t to,
                                   struct oz_arena *arena, struct oz_error *err) OZ_MUST_USE;

/* Bytes of the valid UTF-8 character at s, 1 to 4; 0 when there is none. */
size_t oz_utf8_step(const char *s, size_t n);
/* NULL when all of it is UTF-8 without NUL, else what is wrong and where. */
const char *oz_config_text_fault(const char *data, size_t len, size_t *ret_at);

struct oz_place oz_config_text_place(const struct oz_config_text *text, size_t at);
size_t oz_config_text_at(const struct oz_config_text *text, struct oz_place place); /* clamped */

/* Two lines: the place's line, cut around the caret when it is long, and the caret. */
void oz_config_text_show(const struct oz_config_text *text, struct oz_place place,
                         struct oz_buf *buf);
#endif
