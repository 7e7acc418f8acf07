/* A table of text with aligned columns, printed when it is whole. Numbers stand right, text left,
 * by what each cell is; control characters are shown as '?'.
 * Threads: one. Ownership: cells are copied. */
#ifndef OZ_PIPELINES_CLI_TEXT_TABLE_H
#define OZ_PIPELINES_CLI_TEXT_TABLE_H
#include <stdio.h>

#include "base/buf.h"

enum { OZ_TABLE_COLUMNS_MAX = 64 };
struct oz_text_table {
    struct oz_buf cells; /* a cell behind another: 'r' or 'l', text, NUL */
    size_t width[OZ_TABLE_COLUMNS_MAX];
    unsigned n_columns, column;
};

void oz_text_table_init(struct oz_text_table *table, unsigned n_columns);
void oz_text_table_clear(struct oz_text_table *table);
void oz_text_table_text(struct oz_text_table *table, const char *text, size_t len);
void oz_text_table_head(struct oz_text_table *table, const char *fmt, ...) OZ_PRINTF(2, 3);
void oz_text_table_number(struct oz_text_table *table, int64_t n); /* negative: "-", not known */
enum oz_status oz_text_table_print(const struct oz_text_table *table, FILE *to,
                                   struct oz_error *err) OZ_MUST_USE;
#endif
