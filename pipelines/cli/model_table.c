#include "pipelines/cli/model_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/number.h"
#include "base/progress.h"

enum { BLOCK_VALUES = 1 << 18, BLOCK_ROWS_MAX = 4096, FAILURES_SAID = 5 };

struct table {
    const struct oz_model *model;
    const struct oz_model_info *info;
    struct oz_csv *csv;
    FILE *to;
    struct oz_arena arena; /* of the block's texts */
    uint32_t *cell_of;     /* [n_features]: which cell of a row it is */
    size_t n_cells, block_rows, n_rows, n_failed;
    void *input; /* [n_features x block_rows]: doubles, or texts */
    union oz_model_column *column;
    int *line; /* [block_rows] */
    double *scores;
    struct oz_str *texts;
    void *scratch;
};

/* ---- the header */

struct heading {
    const char *name;
    uint32_t cell;
};

static int by_name(const void *a, const void *b)
{
    const struct heading *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x->cell > y->cell) - (x->cell < y->cell);
}

static const struct heading *find(const struct heading *heading, size_t n, const char *name)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(heading[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && !strcmp(heading[low].name, name) ? &heading[low] : NULL;
}

static enum oz_status bind_by_name(struct table *table, const struct heading *heading,
                                   const char **ret_missing, struct oz_error *err)
{
    size_t n = table->n_cells;
    *ret_missing = NULL;
    for (uint32_t f = 0; f < table->info->n_features; f++) {
        const char *name = table->info->feature[f].name;
        const struct heading *at = find(heading, n, name);
        if (!at) {
            *ret_missing = name;
            return OZ_OK;
        }
        if (at + 1 < heading + n && !strcmp(at[1].name, name))
            return oz_csv_mistake(table->csv, err, "the column `%.128s` is there twice", name);
        table->cell_of[f] = at->cell;
    }
    return OZ_OK;
}

static enum oz_status bind_header(struct table *table, struct oz_error *err)
{
    const struct oz_model_info *info = table->info;
    struct oz_csv *csv = table->csv;
    const char *missing;
    table->n_cells = csv->n_cells;
    struct heading *heading = oz_calloc(csv->n_cells, sizeof *heading);
    if (!heading) return oz_no_memory(err);
    for (uint32_t c = 0; c < csv->n_cells; c++) heading[c] = (struct heading){csv->cell[c], c};
    qsort(heading, csv->n_cells, sizeof *heading, by_name);
    enum oz_status status = bind_by_name(table, heading, &missing, err);
    oz_free(heading);
    if (status != OZ_OK || !missing) return status;
    if (csv->n_cells != info->n_features)
        return oz_csv_mistake(csv, err,
                              "there is no column `%.128s`, and the %zu columns are not as many as "
                              "the model's %u features",
                              missing, csv->n_cells, info->n_features);
    oz_info("columns are taken by their place: there is none of the name `%s`", missing);
    for (uint32_t f = 0; f < info->n_features; f++) table->cell_of[f] = f;
    return OZ_OK;
}

/* ---- rows in */

static enum oz_status take_row(struct table *table, size_t row, struct oz_error *err)
{
    const struct oz_model_info *info = table->info;
    struct oz_csv *csv = table->csv;
    if (csv->n_cells != table->n_cells)
        return oz_csv_mistake(csv, err, "%zu cells for %zu columns", csv->n_cells, table->n_cells);
    for (uint32_t f = 0; f < info->n_features; f++) {
        const char *cell = csv->cell[table->cell_of[f]];
        if (info->feature[f].is_text) {
            struct oz_str *to = (struct oz_str *)table->column[f].text + row;
            *to = (struct oz_str){0};
            if (!*cell) continue;
            to->len = (uint32_t)strlen(cell);
            to->data = oz_arena_strndup(&table->arena, cell, to->len);
            if (!to->data) return oz_no_memory(err);
            continue;
        }
        double *to = (double *)table->column[f].f64 + row;
        *to = OZ_NULL_DOUBLE;
        if (*cell && !oz_parse_double(cell, strlen(cell), to))
            return oz_csv_mistake(csv, err, "cell %u, `%.64s`, is not a number (`%.64s`)",
                                  table->cell_of[f] + 1, cell, info->feature[f].name);
    }
    table->line[row] = csv->line;
    return OZ_OK;
}

/* ---- scores out */

static void put_number(FILE *to, double v, bool is_float)
{
    char text[OZ_NUMBER_BYTES_MAX];
    if (isnan(v)) return;
    if (isinf(v))
        fputs(v > 0 ? "inf" : "-inf", to);
    else
        fwrite(text, 1, is_float ? oz_format_float(text, (float)v) : oz_format_double(text, v), to);
}

static void put_header(const struct table *table)
{
    const char *between = "";
    for (uint32_t o = 0; o < table->info->n_outputs; o++) {
        const struct oz_model_tensor *output = &table->info->output[o];
        for (uint32_t k = 0; k < output->n; k++) {
            const char *name = output->name;
            if (!output->is_text) name = table->info->score[output->first + k].column;
            fputs(between, table->to);
            oz_csv_put(table->to, name, strlen(name));
            if (output->is_text && output->n > 1) fprintf(table->to, "_%u", k);
            between = ",";
        }
    }
    fputc('\n', table->to);
}

static void put_row(const struct table *table, size_t row)
{
    const struct oz_model_info *info = table->info;
    const char *between = "";
    for (uint32_t o = 0; o < info->n_outputs; o++) {
        const struct oz_model_tensor *output = &info->output[o];
        for (uint32_t k = output->first; k < output->first + output->n; k++) {
            fputs(between, table->to);
            between = ",";
            if (output->is_text) {
                const struct oz_str *text = &table->texts[row * info->n_texts + k];
                if (text->data) oz_csv_put(table->to, text->data, text->len);
            } else {
                put_number(table->to, table->scores[row * info->n_scores + k],
                           info->score[k].is_float);
            }
        }
    }
    fputc('\n', table->to);
}

static enum oz_status score_block(struct table *table, size_t n_rows, struct oz_error *err)
{
    struct oz_model_texts texts = {.arena = &table->arena, .text = table->texts};
    OZ_TRY(oz_model_predict_texts(table->model, table->column, n_rows, table->scratch,
                                  table->scores, &texts, err));
    if (texts.n_failed && table->n_failed < FAILURES_SAID)
        oz_warn("%s:%d: the model cannot take this row: %s%s", table->csv->path,
                table->line[texts.failed_row], texts.failure.message,
                texts.n_failed > 1 ? " (and others behind it)" : "");
    table->n_failed += texts.n_failed;
    table->n_rows += n_rows;
    for (size_t row = 0; row < n_rows; row++) put_row(table, row);
    oz_arena_reset(&table->arena);
    if (ferror(table->to)) OZ_FAIL(err, OZ_IO, "cannot write: %s", strerror(errno));
    return OZ_OK;
}

/* ---- the whole */

static enum oz_status make(struct table *table, struct oz_error *err)
{
    const struct oz_model_info *info = table->info;
    size_t each = OZ_MAX(sizeof(double), sizeof(struct oz_str));
    size_t widest = OZ_MAX(OZ_MAX(info->n_features, info->n_scores), OZ_MAX(info->n_texts, 1));
    table->block_rows = OZ_MIN(OZ_MAX(BLOCK_VALUES / widest, (size_t)1), (size_t)BLOCK_ROWS_MAX);
    table->cell_of = oz_calloc(info->n_features, sizeof *table->cell_of);
    table->input = oz_calloc((size_t)info->n_features * table->block_rows, each);
    table->column = oz_calloc(info->n_features, sizeof *table->column);
    table->line = oz_calloc(table->block_rows, sizeof *table->line);
    table->scores = oz_calloc(table->block_rows * OZ_MAX(info->n_scores, 1), sizeof *table->scores);
    table->texts = oz_calloc(table->block_rows * OZ_MAX(info->n_texts, 1), sizeof *table->texts);
    table->scratch = oz_malloc(oz_model_scratch_bytes(table->model, table->block_rows));
    if (!table->cell_of || !table->input || !table->column || !table->line || !table->scores ||
        !table->texts || !table->scratch)
        return oz_no_memory(err);
    for (uint32_t f = 0; f < info->n_features; f++)
        table->column[f].f64 =
            (const double *)((char *)table->input + (size_t)f * table->block_rows * each);
    return OZ_OK;
}

static void clear(struct table *table)
{
    oz_arena_clear(&table->arena);
    oz_free(table->cell_of);
    oz_free(table->input);
    oz_free(table->column);
    oz_free(table->line);
    oz_free(table->scores);
    oz_free(table->texts);
    oz_free(table->scratch);
}

static enum oz_status score_rows(struct table *table, const atomic_bool *stop,
                                 struct oz_progress *progress, struct oz_error *err)
{
    bool end = false;
    while (!end) {
        size_t n = 0;
        while (n < table->block_rows) {
            OZ_TRY(oz_csv_next(table->csv, &end, err));
            if (end) break;
            OZ_TRY(take_row(table, n++, err));
        }
        if (n) OZ_TRY(score_block(table, n, err));
        oz_progress_set(progress, table->csv->n_bytes);
        if (stop && *stop) OZ_FAIL(err, OZ_RETRY, "stopped after %zu rows", table->n_rows);
    }
    return OZ_OK;
}

enum oz_status oz_model_table(const struct oz_model *model, struct oz_csv *csv, FILE *to,
                              const atomic_bool *stop, struct oz_error *err)
{
    struct table table = {.model = model, .info = oz_model_info(model), .csv = csv, .to = to};
    struct oz_progress progress;
    struct stat st = {0};
    oz_arena_init(&table.arena, 1 << 16);
    enum oz_status status = make(&table, err);
    if (status == OZ_OK) status = bind_header(&table, err);
    if (status == OZ_OK) {
        bool sized = !fstat(fileno(csv->file), &st) && S_ISREG(st.st_mode);
        put_header(&table);
        oz_progress_init(&progress, "predict", sized ? (uint64_t)st.st_size : 0, "bytes");
        status = score_rows(&table, stop, &progress, err);
        oz_progress_done(&progress);
    }
    if (table.n_failed)
        oz_warn("%zu of %zu rows were not taken by the model: their cells are empty",
                table.n_failed, table.n_rows);
    clear(&table);
    return status;
}
