#include "models/csv_rows.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { WHAT_BYTES = 512 };

enum oz_status oz_csv_mistake(const struct oz_csv *csv, struct oz_error *err, const char *fmt, ...)
{
    char what[WHAT_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return oz_error_set_at(err, csv->status, csv->path, csv->line, 0, "%s", what);
}

enum oz_status oz_csv_open(struct oz_csv *csv, const char *path, enum oz_status status,
                           struct oz_error *err)
{
    memset(csv, 0, sizeof *csv);
    bool is_standard = !strcmp(path, "-");
    csv->path = is_standard ? "standard input" : path;
    csv->status = status;
    csv->file = is_standard ? stdin : fopen(path, "re");
    if (!csv->file) OZ_FAIL(err, OZ_ENVIRONMENT, "%s: cannot be opened: %s", path, strerror(errno));
    return OZ_OK;
}

void oz_csv_close(struct oz_csv *csv)
{
    if (csv->file && csv->file != stdin) fclose(csv->file);
    free(csv->row);  /* getline's, not ours */
    free(csv->more); /* getline's, not ours */
    oz_free(csv->cell);
    memset(csv, 0, sizeof *csv);
}

/* One more line into *to; a NUL in it would hide what follows. */
static enum oz_status read_line(struct oz_csv *csv, char **to, size_t *cap, size_t *ret_len,
                                bool *ret_end, struct oz_error *err)
{
    errno = 0;
    ssize_t n = getline(to, cap, csv->file);
    *ret_end = n < 0;
    *ret_len = 0;
    if (n < 0 && ferror(csv->file))
        OZ_FAIL(err, errno == EISDIR ? OZ_ENVIRONMENT : OZ_IO, "%s: reading failed: %s", csv->path,
                strerror(errno));
    if (n < 0) return feof(csv->file) ? OZ_OK : oz_no_memory(err);
    csv->n_lines++;
    csv->n_bytes += (uint64_t)n;
    if ((size_t)n + csv->row_len > OZ_CSV_ROW_BYTES_MAX)
        return oz_csv_mistake(csv, err, "the line is too long");
    if (strlen(*to) != (size_t)n) return oz_csv_mistake(csv, err, "the line holds a NUL");
    *ret_len = (size_t)n;
    return OZ_OK;
}

static void drop_line_end(struct oz_csv *csv)
{
    if (csv->row_len && csv->row[csv->row_len - 1] == '\n') csv->row[--csv->row_len] = '\0';
    if (csv->row_len && csv->row[csv->row_len - 1] == '\r') csv->row[--csv->row_len] = '\0';
}

/* Whether a quoted cell is still open at the end of a line; `open`: at its beginning. */
static bool is_open(const char *text, size_t n, bool open)
{
    bool start = !open;
    for (size_t i = 0; i < n; i++) {
        if (open && text[i] == '"' && text[i + 1] == '"')
            i++;
        else if (open)
            open = text[i] != '"';
        else
            open = start && text[i] == '"', start = text[i] == ',';
    }
    return open;
}

/* What some programs put in front of a UTF-8 file. */
static void drop_byte_order_mark(struct oz_csv *csv)
{
    if (csv->row_len < 3 || memcmp(csv->row, "\xef\xbb\xbf", 3) != 0) return;
    csv->row_len -= 3;
    memmove(csv->row, csv->row + 3, csv->row_len + 1);
}

/* A row is a line, and as many more as a quoted cell goes over. */
static enum oz_status read_row(struct oz_csv *csv, bool *ret_end, struct oz_error *err)
{
    size_t len;
    bool end;
    csv->row_len = 0;
    csv->line = csv->n_lines + 1;
    OZ_TRY(read_line(csv, &csv->row, &csv->row_cap, &csv->row_len, ret_end, err));
    if (*ret_end) {
        csv->line = OZ_MAX(csv->n_lines, 1);
        return OZ_OK;
    }
    if (csv->line == 1) drop_byte_order_mark(csv);
    bool open = is_open(csv->row, csv->row_len, false);
    while (open) {
        OZ_TRY(read_line(csv, &csv->more, &csv->more_cap, &len, &end, err));
        if (end) return oz_csv_mistake(csv, err, "a quoted cell has no end");
        if (csv->row_cap < csv->row_len + len + 1) {
            size_t cap = 2 * (csv->row_len + len + 1);
            char *row = realloc(csv->row, cap); /* getline's, not ours */
            if (!row) return oz_no_memory(err);
            csv->row = row;
            csv->row_cap = cap;
        }
        memcpy(csv->row + csv->row_len, csv->more, len + 1);
        csv->row_len += len;
        open = is_open(csv->more, len, open);
    }
    drop_line_end(csv);
    return OZ_OK;
}

/* Splits in place. */
static enum oz_status split(struct oz_csv *csv, struct oz_error *err)
{
    char *from = csv->row;
    csv->n_cells = 0;
    for (bool last = false; !last; from++) {
        OZ_TRY(oz_grow((void **)&csv->cell, &csv->cap_cells, csv->n_cells + 1, sizeof *csv->cell,
                       err));
        char *to = from;
        csv->cell[csv->n_cells++] = to;
        if (*from == '"') {
            for (from++; *from && !(*from == '"' && from[1] != '"'); from++) {
                if (*from == '"') from++;
                *to++ = *from;
            }
            if (!*from++) return oz_csv_mistake(csv, err, "a quoted cell has no end");
        } else {
            while (*from && *from != ',') *to++ = *from++;
        }
        if (*from && *from != ',')
            return oz_csv_mistake(csv, err, "a comma was expected behind a cell");
        last = !*from;
        *to = '\0';
    }
    return OZ_OK;
}

enum oz_status oz_csv_next(struct oz_csv *csv, bool *ret_end, struct oz_error *err)
{
    OZ_TRY(read_row(csv, ret_end, err));
    return *ret_end ? OZ_OK : split(csv, err);
}

void oz_csv_put(FILE *to, const char *text, size_t len)
{
    bool quoted = false;
    for (size_t i = 0; i < len; i++) quoted = quoted || strchr(",\"\r\n", text[i]) != NULL;
    if (!quoted) {
        fwrite(text, 1, len, to);
        return;
    }
    fputc('"', to);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"') fputc('"', to);
        fputc(text[i], to);
    }
    fputc('"', to);
}
