/* Rows of a CSV file, one after the other, in bounded memory: golden rows, and what `ouzel model
 * predict` scores.
 * Form: RFC 4180: cells are parted by commas, may be quoted, and then hold commas, line ends and ""
 * for a quotation mark; lines end with LF or CRLF.
 * Threads: one. Ownership: the reader owns its buffers and, unless it is standard input, the file;
 * cells are valid until the next row. Errors: `status` of the reader for what the file got wrong,
 * with file:line; OZ_ENVIRONMENT when it is not there; OZ_IO. Limits: OZ_CSV_ROW_BYTES_MAX. */
#ifndef OZ_MODELS_CSV_ROWS_H
#define OZ_MODELS_CSV_ROWS_H
#include <stdio.h>
#include "base/memory.h"

enum { OZ_CSV_ROW_BYTES_MAX = 1 << 22 };

struct oz_csv {
    const char *path;      /* borrowed; as messages have it */
    enum oz_status status; /* of mistakes in the file: OZ_MODEL for golden rows, OZ_RECORD */
    FILE *file;
    char *row; /* the C library's memory (getline) for the first line of a row */
    size_t row_cap, row_len;
    char *more; /* for further lines of the same row */
    size_t more_cap;
    char **cell; /* [n_cells], NUL-terminated */
    size_t n_cells, cap_cells;
    int line;    /* where the row begins; counts from 1 */
    int n_lines; /* that were read */
    uint64_t n_bytes;
};

/* "-" is standard input. Fails with OZ_ENVIRONMENT; errno is kept in the message. */
enum oz_status oz_csv_open(struct oz_csv *csv, const char *path, enum oz_status status,
                           struct oz_error *err) OZ_MUST_USE;
void oz_csv_close(struct oz_csv *csv); /* zeroed or half-open is fine */
/* The next row's cells; *ret_end at the end of the file. */
enum oz_status oz_csv_next(struct oz_csv *csv, bool *ret_end, struct oz_error *err) OZ_MUST_USE;
/* A mistake of the current row. */
enum oz_status oz_csv_mistake(const struct oz_csv *csv, struct oz_error *err, const char *fmt, ...)
    OZ_PRINTF(3, 4);
/* A cell as one writes it into such a file: quoted when it must be. */
void oz_csv_put(FILE *to, const char *text, size_t len);
#endif
