/* JSON text appended to a buffer, without a tree. The caller writes braces and commas by the calls'
 * order; a writer puts the commas. Values that JSON lacks (NaN, infinities) are written as null.
 * Strings are taken as UTF-8; bytes that are not valid UTF-8 become U+FFFD, control characters
 * \u00XX.
 * Threads: one writer, one thread. */
#ifndef OZ_BASE_JSON_WRITER_H
#define OZ_BASE_JSON_WRITER_H
#include "base/buf.h"
#include "base/columns.h"

struct oz_json {
    struct oz_buf *buf;
    bool comma; /* the next value or key is preceded by one */
};

#ifdef __cplusplus
extern "C" {
#endif
void oz_json_init(struct oz_json *json, struct oz_buf *buf); /* appends to what is in buf */
void oz_json_open(struct oz_json *json, char brace);         /* '{' or '[' */
void oz_json_close(struct oz_json *json, char brace);        /* '}' or ']' */
void oz_json_key(struct oz_json *json, const char *key);     /* a key of ours: plain ASCII */
void oz_json_string(struct oz_json *json, const char *s, size_t len); /* s == NULL: null */
void oz_json_cstring(struct oz_json *json, const char *s);
void oz_json_double(struct oz_json *json, double v);
void oz_json_float(struct oz_json *json, float v);
void oz_json_i64(struct oz_json *json, int64_t v);
void oz_json_boolean(struct oz_json *json, bool v);
void oz_json_null(struct oz_json *json);
void oz_json_instant(struct oz_json *json, int64_t us);
/* One whole value, made before. */
void oz_json_raw(struct oz_json *json, const char *text, size_t len);
/* The value of a column's row, by its type; a null is null. */
void oz_json_cell(struct oz_json *json, const struct oz_column *column, size_t row);
#ifdef __cplusplus
}
#endif
#endif
