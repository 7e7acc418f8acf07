/* The golden rows of a model: a small CSV of rows and of what the trainer itself predicted for
 * them. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/number.h"
#include "models/model.h"

enum { BLOCK_ROWS = 64, LINE_BYTES_MAX = 1 << 22 };

struct golden {
    const struct oz_model *model;
    const struct oz_model_info *info;
    const char *path;
    FILE *file;
    char *line;
    size_t line_cap, n_cells, cap_cells;
    char **cell;        /* of the line */
    uint32_t *target;   /* [n_columns]: a feature, or n_features + an output */
    uint32_t n_columns; /* n_features + n_outputs */
    double *input;      /* [n_features x BLOCK_ROWS] */
    const double **column;
    double *expected, *got; /* [BLOCK_ROWS x n_outputs] */
    void *scratch;
    size_t n_rows, block_rows;
    int first_line, line_no; /* of the block; of the file */
};

static enum oz_status at_line(const struct golden *golden, int line, struct oz_error *err,
                              const char *what)
{
    return oz_error_set_at(err, OZ_MODEL, golden->path, line, 0, "%s", what);
}

/* Splits in place. A cell may be quoted, with "" for a quotation mark inside. */
static enum oz_status split(struct golden *golden, struct oz_error *err)
{
    char *from = golden->line;
    golden->n_cells = 0;
    for (bool last = false; !last; from++) {
        OZ_TRY(oz_grow((void **)&golden->cell, &golden->cap_cells, golden->n_cells + 1,
                       sizeof *golden->cell, err));
        char *to = from;
        golden->cell[golden->n_cells++] = to;
        if (*from == '"') {
            for (from++; *from && !(*from == '"' && from[1] != '"'); from++) {
                if (*from == '"') from++;
                *to++ = *from;
            }
            if (!*from++) return at_line(golden, golden->line_no, err, "a quoted cell has no end");
        } else {
            while (*from && *from != ',') *to++ = *from++;
        }
        if (*from && *from != ',')
            return at_line(golden, golden->line_no, err, "a comma was expected behind a cell");
        last = !*from;
        *to = '\0';
    }
    return OZ_OK;
}

static enum oz_status next_line(struct golden *golden, bool *ret_end, struct oz_error *err)
{
    ssize_t n = getline(&golden->line, &golden->line_cap, golden->file);
    *ret_end = n < 0;
    if (n < 0 && ferror(golden->file))
        OZ_FAIL(err, errno == EISDIR ? OZ_ENVIRONMENT : OZ_IO, "%s: reading failed: %s",
                golden->path, strerror(errno));
    if (n < 0) return OZ_OK;
    golden->line_no++;
    if (n > LINE_BYTES_MAX) return at_line(golden, golden->line_no, err, "the line is too long");
    while (n && (golden->line[n - 1] == '\n' || golden->line[n - 1] == '\r'))
        golden->line[--n] = '\0';
    if (strlen(golden->line) != (size_t)n)
        return at_line(golden, golden->line_no, err, "the line holds a NUL");
    return OZ_OK;
}

static int find_feature(const struct oz_model_info *info, const char *name)
{
    for (uint32_t f = 0; f < info->n_features; f++)
        if (!strcmp(info->feature[f], name)) return (int)f;
    return -1;
}

/* Inputs first, by name where the model has names, else in its order; then the outputs, in theirs.
 */
static enum oz_status bind_header(struct golden *golden, struct oz_error *err)
{
    const struct oz_model_info *info = golden->info;
    bool end;
    OZ_TRY(next_line(golden, &end, err));
    if (end) return at_line(golden, 1, err, "the file is empty");
    OZ_TRY(split(golden, err));
    if (golden->n_cells != golden->n_columns)
        return oz_error_set_at(err, OZ_MODEL, golden->path, 1, 0,
                               "%zu columns, expected the model's %u features and %u outputs",
                               golden->n_cells, info->n_features, info->n_outputs);
    for (uint32_t i = 0; i < golden->n_columns; i++) golden->target[i] = UINT32_MAX;
    for (uint32_t i = 0; i < golden->n_columns; i++) {
        int target = (int)i;
        if (i >= info->n_features) {
            char name[32] = "output";
            if (info->n_outputs > 1) snprintf(name, sizeof name, "output_%u", i - info->n_features);
            if (strcmp(golden->cell[i], name)) target = -1;
        } else if (info->feature) {
            target = find_feature(info, golden->cell[i]);
        }
        for (uint32_t j = 0; j < i; j++)
            if (target >= 0 && golden->target[j] == (uint32_t)target) target = -1;
        if (target < 0)
            return oz_error_set_at(err, OZ_MODEL, golden->path, 1, 0,
                                   "column %u, \"%.64s\", is not one of the model's", i + 1,
                                   golden->cell[i]);
        golden->target[i] = (uint32_t)target;
    }
    return OZ_OK;
}

static enum oz_status read_row(struct golden *golden, struct oz_error *err)
{
    const struct oz_model_info *info = golden->info;
    OZ_TRY(split(golden, err));
    if (golden->n_cells != golden->n_columns)
        return oz_error_set_at(err, OZ_MODEL, golden->path, golden->line_no, 0,
                               "%zu cells for %u columns", golden->n_cells, golden->n_columns);
    for (uint32_t i = 0; i < golden->n_columns; i++) {
        const char *cell = golden->cell[i];
        uint32_t target = golden->target[i];
        double v = NAN;
        float as_float;
        bool good = true;
        if (target >= info->n_features && info->f32_outputs) {
            good = oz_parse_float(cell, strlen(cell), &as_float);
            v = (double)as_float;
        } else if (*cell) {
            good = oz_parse_double(cell, strlen(cell), &v);
        } else if (target >= info->n_features) {
            good = false;
        }
        if (!good)
            return oz_error_set_at(err, OZ_MODEL, golden->path, golden->line_no, 0,
                                   "cell %u, \"%.64s\", is not a number", i + 1, cell);
        if (target < info->n_features)
            golden->input[(size_t)target * BLOCK_ROWS + golden->block_rows] = v;
        else
            golden->expected[golden->block_rows * info->n_outputs + target - info->n_features] = v;
    }
    if (!golden->block_rows) golden->first_line = golden->line_no;
    golden->block_rows++;
    return OZ_OK;
}

/* Lines of a block follow each other, so a row's line is known. */
static enum oz_status check_block(struct golden *golden, struct oz_error *err)
{
    uint32_t n_outputs = golden->info->n_outputs;
    oz_model_predict(golden->model, golden->column, golden->block_rows, golden->scratch,
                     golden->got);
    for (size_t i = 0; i < golden->block_rows * n_outputs; i++) {
        double expected = golden->expected[i], got = golden->got[i];
        if (!memcmp(&expected, &got, sizeof got)) continue;
        char expected_text[OZ_NUMBER_BYTES_MAX + 1], got_text[OZ_NUMBER_BYTES_MAX + 1];
        snprintf(expected_text, sizeof expected_text, "%.9g", expected);
        snprintf(got_text, sizeof got_text, "%.9g", got);
        return oz_error_set_at(err, OZ_MODEL, golden->path,
                               golden->first_line + (int)(i / n_outputs), 0,
                               "the trainer predicted %s, this model %s: it is not the model that "
                               "these rows were made with",
                               expected_text, got_text);
    }
    golden->n_rows += golden->block_rows;
    golden->block_rows = 0;
    return OZ_OK;
}

static enum oz_status open_golden(struct golden *golden, struct oz_error *err)
{
    const struct oz_model_info *info = golden->info;
    golden->file = fopen(golden->path, "re");
    if (!golden->file)
        OZ_FAIL(err, OZ_ENVIRONMENT,
                "%s: the golden rows cannot be opened: %s; they are a CSV of the model's features "
                "and, as last column `output`, of what the trainer predicted for each row",
                golden->path, strerror(errno));
    golden->n_columns = info->n_features + info->n_outputs;
    golden->target = oz_calloc(golden->n_columns, sizeof *golden->target);
    golden->input = oz_calloc((size_t)info->n_features * BLOCK_ROWS, sizeof *golden->input);
    golden->column = oz_calloc(info->n_features, sizeof *golden->column);
    golden->expected = oz_calloc((size_t)info->n_outputs * BLOCK_ROWS, sizeof *golden->expected);
    golden->got = oz_calloc((size_t)info->n_outputs * BLOCK_ROWS, sizeof *golden->got);
    golden->scratch = oz_malloc(oz_model_scratch_bytes(golden->model, BLOCK_ROWS));
    if (!golden->target || !golden->input || !golden->column || !golden->expected || !golden->got ||
        !golden->scratch)
        return oz_no_memory(err);
    for (uint32_t f = 0; f < info->n_features; f++)
        golden->column[f] = golden->input + (size_t)f * BLOCK_ROWS;
    return OZ_OK;
}

static enum oz_status check_rows(struct golden *golden, struct oz_error *err)
{
    bool end;
    OZ_TRY(bind_header(golden, err));
    for (;;) {
        OZ_TRY(next_line(golden, &end, err));
        if (end) break;
        OZ_TRY(read_row(golden, err));
        if (golden->block_rows == BLOCK_ROWS) OZ_TRY(check_block(golden, err));
    }
    OZ_TRY(check_block(golden, err));
    if (!golden->n_rows) return at_line(golden, golden->line_no, err, "there are no rows");
    return OZ_OK;
}

enum oz_status oz_model_check_golden(const struct oz_model *model, const char *csv_path,
                                     size_t *ret_n_rows, struct oz_error *err)
{
    struct golden golden = {.model = model, .info = oz_model_info(model), .path = csv_path};
    enum oz_status status = open_golden(&golden, err);
    if (status == OZ_OK) status = check_rows(&golden, err);
    if (status == OZ_OK) *ret_n_rows = golden.n_rows;
    if (golden.file) fclose(golden.file);
    free(golden.line); /* getline's, not ours */
    oz_free(golden.cell);
    oz_free(golden.target);
    oz_free(golden.input);
    oz_free(golden.column);
    oz_free(golden.expected);
    oz_free(golden.got);
    oz_free(golden.scratch);
    return status;
}
