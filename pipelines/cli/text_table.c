#include "pipelines/cli/text_table.h"

#include <stdarg.h>
#include <string.h>

void oz_text_table_init(struct oz_text_table *table, unsigned n_columns)
{
    memset(table, 0, sizeof *table);
    oz_buf_init(&table->cells);
    table->n_columns = OZ_MIN(n_columns, (unsigned)OZ_TABLE_COLUMNS_MAX);
}

void oz_text_table_clear(struct oz_text_table *table) { oz_buf_clear(&table->cells); }

/* Characters of UTF-8, as a terminal counts them for most scripts. */
static size_t width_of(const char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) n += ((uint8_t)text[i] & 0xc0) != 0x80;
    return n;
}

static void put(struct oz_text_table *table, char side, const char *text, size_t len)
{
    oz_buf_put_u8(&table->cells, (uint8_t)side);
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];
        oz_buf_put_u8(&table->cells, c < ' ' || c == 127 ? '?' : c);
    }
    oz_buf_put_u8(&table->cells, 0);
    size_t *width = &table->width[table->column];
    *width = OZ_MAX(*width, width_of(text, len));
    table->column = (table->column + 1) % table->n_columns;
}

void oz_text_table_text(struct oz_text_table *table, const char *text, size_t len)
{
    put(table, 'l', text, len);
}

void oz_text_table_head(struct oz_text_table *table, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    put(table, 'h', text, (size_t)OZ_MIN(OZ_MAX(n, 0), (int)sizeof text - 1));
}

void oz_text_table_number(struct oz_text_table *table, int64_t n)
{
    char text[32];
    int len = n < 0 ? snprintf(text, sizeof text, "-")
                    : snprintf(text, sizeof text, "%lld", (long long)n);
    put(table, 'r', text, (size_t)len);
}

/* A column stands as its cells do; the heading follows the first one. */
static char side_of(const struct oz_text_table *table, unsigned column)
{
    const char *at = (const char *)table->cells.data;
    const char *end = at + table->cells.len;
    for (unsigned i = 0; at < end; i++, at += strlen(at) + 1)
        if (i % table->n_columns == column && *at != 'h') return *at;
    return 'l';
}

enum oz_status oz_text_table_print(const struct oz_text_table *table, FILE *to,
                                   struct oz_error *err)
{
    OZ_TRY(oz_buf_status(&table->cells, err));
    char side[OZ_TABLE_COLUMNS_MAX];
    for (unsigned c = 0; c < table->n_columns; c++) side[c] = side_of(table, c);
    const char *at = (const char *)table->cells.data;
    const char *end = at + table->cells.len;
    for (unsigned i = 0; at < end; i++, at += strlen(at) + 1) {
        unsigned c = i % table->n_columns;
        const char *text = at + 1;
        size_t blank = table->width[c] - width_of(text, strlen(text));
        bool last = c + 1 == table->n_columns;
        if (c) fputs("  ", to);
        if (side[c] == 'r')
            fprintf(to, "%*s%s", (int)blank, "", text);
        else
            fprintf(to, "%s%*s", text, last ? 0 : (int)blank, "");
        if (last) fputc('\n', to);
    }
    return OZ_OK;
}
