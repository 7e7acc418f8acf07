/* Proves that rows of a CSV file are read as RFC 4180 has them, with the line that each begins at,
 * and that what is no such file is told with its line. How: tables as text, and the cells that they
 * have, both written by hand; what is written for a cell reads back as that cell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "models/csv_rows.h"

static struct oz_error err;
static char path[] = "/tmp/ouzel-csv-XXXXXX";

static void open_text(struct oz_csv *csv, const char *text, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_int_equal(fwrite(text, 1, n, file), n);
    fclose(file);
    assert_int_equal(oz_csv_open(csv, path, OZ_FOUND, &err), OZ_OK);
}

/* The next row's cells, put together with `|`, are `cells`. */
static void next_is(struct oz_csv *csv, const char *cells, int line)
{
    char got[4096] = "";
    bool end;
    if (oz_csv_next(csv, &end, &err) != OZ_OK) fail_msg("%s: %s", err.where, err.message);
    assert_false(end);
    for (size_t i = 0; i < csv->n_cells; i++) {
        if (i) strcat(got, "|");
        strcat(got, csv->cell[i]);
    }
    assert_string_equal(got, cells);
    assert_int_equal(csv->line, line);
}

static void ends(struct oz_csv *csv)
{
    bool end;
    assert_int_equal(oz_csv_next(csv, &end, &err), OZ_OK);
    assert_true(end);
    oz_csv_close(csv);
}

static void rows_and_their_lines(void **state)
{
    (void)state;
    static const char text[] = "\xef\xbb\xbf"
                               "a,b,\"c\"\r\n"
                               "1,,\n"
                               "\"x,y\",\"say \"\"no\"\"\",5\" pipe\n"
                               "\"two\nlines\",\"and\r\n\n\"\"more\"\"\",z\n"
                               "\n"
                               "last,row,\"\"";
    struct oz_csv csv;
    open_text(&csv, text, sizeof text - 1);
    next_is(&csv, "a|b|c", 1);
    next_is(&csv, "1||", 2);
    next_is(&csv, "x,y|say \"no\"|5\" pipe", 3);
    next_is(&csv, "two\nlines|and\r\n\n\"more\"|z", 4);
    next_is(&csv, "", 8);
    next_is(&csv, "last|row|", 9);
    assert_int_equal(csv.n_bytes, sizeof text - 1);
    ends(&csv);
    open_text(&csv, "", 0);
    ends(&csv);
}

static void wrong(const char *text, size_t n, int line, const char *words)
{
    struct oz_csv csv;
    enum oz_status status = OZ_OK;
    char where[64];
    bool end = false;
    open_text(&csv, text, n);
    while (status == OZ_OK && !end) status = oz_csv_next(&csv, &end, &err);
    assert_int_equal(status, OZ_FOUND);
    snprintf(where, sizeof where, "%s:%d", path, line);
    assert_string_equal(err.where, where);
    if (!strstr(err.message, words)) fail_msg("\"%s\" does not say \"%s\"", err.message, words);
    oz_csv_close(&csv);
}

static void mistakes_are_told_with_their_line(void **state)
{
    (void)state;
    wrong("a,b\n1,\"2\n3\n", 11, 2, "a quoted cell has no end");
    wrong("a\n\"1\"2\n", 7, 2, "a comma was expected");
    wrong("a\n1\0002\n", 6, 2, "holds a NUL");
    size_t n = OZ_CSV_ROW_BYTES_MAX + 100;
    char *text = malloc(n);
    memset(text, 'x', n);
    wrong(text, n, 1, "too long");
    for (size_t i = 0; i < n; i += 50) text[i] = '\n'; /* a cell that goes on and on */
    text[0] = '"';
    wrong(text, n, 1, "too long");
    free(text);
    struct oz_csv csv;
    assert_int_equal(oz_csv_open(&csv, "no/such.csv", OZ_FOUND, &err), OZ_ENVIRONMENT);
    oz_csv_close(&csv);
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    static const char *const cells[] = {"plain", "", "a,b", "say \"no\"", "two\nlines", "\"", "\r"};
    FILE *file = fopen(path, "wb");
    for (size_t i = 0; i < OZ_COUNT_OF(cells); i++) {
        oz_csv_put(file, cells[i], strlen(cells[i]));
        fputs(i + 1 < OZ_COUNT_OF(cells) ? "," : "\n", file);
    }
    fclose(file);
    struct oz_csv csv;
    bool end;
    assert_int_equal(oz_csv_open(&csv, path, OZ_FOUND, &err), OZ_OK);
    assert_int_equal(oz_csv_next(&csv, &end, &err), OZ_OK);
    assert_int_equal(csv.n_cells, OZ_COUNT_OF(cells));
    for (size_t i = 0; i < OZ_COUNT_OF(cells); i++) assert_string_equal(csv.cell[i], cells[i]);
    oz_csv_close(&csv);
}

static int setup(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 || close(fd);
}
static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_and_their_lines),
        cmocka_unit_test(mistakes_are_told_with_their_line),
        cmocka_unit_test(what_is_written_reads_back),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
