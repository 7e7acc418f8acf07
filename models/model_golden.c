/* The golden rows of a model: a small CSV of rows and of what the trainer itself predicted for
 * them. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/number.h"
#include "models/csv_rows.h"
#include "models/model.h"

enum { BLOCK_ROWS = 64 };

struct golden {
    const struct oz_model *model;
    const struct oz_model_info *info;
    struct oz_csv csv;
    struct oz_arena arena; /* of the block's texts */
    uint32_t *target;      /* [n_columns]: a feature, or n_features + a score */
    uint32_t n_columns;    /* n_features + n_scores */
    void *input;           /* [n_features x BLOCK_ROWS]: doubles, or texts */
    union oz_model_column *column;
    double *expected, *got; /* [BLOCK_ROWS x n_scores] */
    void *scratch;
    size_t n_rows, block_rows;
    int line[BLOCK_ROWS]; /* of each row of the block */
};

static int find_feature(const struct oz_model_info *info, const char *name)
{
    for (uint32_t f = 0; f < info->n_features; f++)
        if (!strcmp(info->feature[f].name, name)) return (int)f;
    return -1;
}

/* The score that column i of the table is, when its name is one that this column may have. */
static int find_score(const struct oz_model_info *info, uint32_t i, const char *cell)
{
    char name[32] = "output";
    uint32_t score = i - info->n_features;
    if (info->n_scores > 1) snprintf(name, sizeof name, "output_%u", score);
    return !strcmp(cell, name) || !strcmp(cell, info->score[score].column) ? (int)i : -1;
}

/* Features first: by name, or in the model's order where the file has no names of its own and the
 * table has others; then the scores, in their order. */
static enum oz_status bind_header(struct golden *golden, struct oz_error *err)
{
    const struct oz_model_info *info = golden->info;
    const struct oz_csv *csv = &golden->csv;
    bool end, by_name = true;
    OZ_TRY(oz_csv_next(&golden->csv, &end, err));
    if (end) return oz_csv_mistake(csv, err, "the file is empty");
    if (csv->n_cells != golden->n_columns)
        return oz_csv_mistake(csv, err,
                              "%zu columns, expected the model's %u features and %u outputs",
                              csv->n_cells, info->n_features, info->n_scores);
    for (uint32_t i = 0; i < info->n_features && !info->has_own_names; i++)
        by_name = by_name && find_feature(info, csv->cell[i]) >= 0;
    for (uint32_t i = 0; i < golden->n_columns; i++) golden->target[i] = UINT32_MAX;
    for (uint32_t i = 0; i < golden->n_columns; i++) {
        int target = (int)i;
        if (i >= info->n_features)
            target = find_score(info, i, csv->cell[i]);
        else if (by_name)
            target = find_feature(info, csv->cell[i]);
        for (uint32_t j = 0; j < i && target >= 0; j++)
            if (golden->target[j] == (uint32_t)target) target = -1;
        if (target < 0)
            return oz_csv_mistake(csv, err, "column %u, \"%.64s\", is not one of the model's",
                                  i + 1, csv->cell[i]);
        golden->target[i] = (uint32_t)target;
    }
    return OZ_OK;
}

static enum oz_status read_text(struct golden *golden, uint32_t feature, const char *cell,
                                struct oz_error *err)
{
    struct oz_str *to = (struct oz_str *)golden->column[feature].text + golden->block_rows;
    *to = (struct oz_str){0};
    if (!*cell) return OZ_OK;
    to->len = (uint32_t)strlen(cell);
    to->data = oz_arena_strndup(&golden->arena, cell, to->len);
    return to->data ? OZ_OK : oz_no_memory(err);
}

/* A float is rounded from its text to a float at once, not by way of a double. */
static bool read_score(const struct oz_model_score *score, const char *cell, double *ret_v)
{
    float as_float;
    if (!score->is_float) return oz_parse_double(cell, strlen(cell), ret_v);
    bool good = oz_parse_float(cell, strlen(cell), &as_float);
    *ret_v = (double)as_float;
    return good;
}

static enum oz_status read_row(struct golden *golden, struct oz_error *err)
{
    const struct oz_model_info *info = golden->info;
    const struct oz_csv *csv = &golden->csv;
    size_t row = golden->block_rows;
    if (csv->n_cells != golden->n_columns)
        return oz_csv_mistake(csv, err, "%zu cells for %u columns", csv->n_cells,
                              golden->n_columns);
    for (uint32_t i = 0; i < golden->n_columns; i++) {
        const char *cell = csv->cell[i];
        uint32_t target = golden->target[i];
        double v = NAN;
        bool good = true;
        if (target >= info->n_features)
            good = read_score(&info->score[target - info->n_features], cell, &v);
        else if (info->feature[target].is_text)
            OZ_TRY(read_text(golden, target, cell, err));
        else if (*cell)
            good = oz_parse_double(cell, strlen(cell), &v);
        if (!good)
            return oz_csv_mistake(csv, err, "cell %u, \"%.64s\", is not a number", i + 1, cell);
        if (target >= info->n_features)
            golden->expected[row * info->n_scores + target - info->n_features] = v;
        else if (!info->feature[target].is_text)
            ((double *)golden->column[target].f64)[row] = v;
    }
    golden->line[golden->block_rows++] = csv->line;
    return OZ_OK;
}

/* To the bit, but for NaN, which has many bits that mean the same. */
static bool agree(double expected, double got, double tolerance)
{
    if (!memcmp(&expected, &got, sizeof got)) return true;
    if (!(tolerance > 0)) return false;
    if (isnan(expected) || isnan(got)) return isnan(expected) && isnan(got);
    if (isinf(expected) || isinf(got)) return expected == got;
    double size = fabs(expected);
    return fabs(got - expected) <= tolerance * OZ_MAX(1.0, size);
}

static enum oz_status check_block(struct golden *golden, struct oz_error *err)
{
    const struct oz_model_info *info = golden->info;
    oz_model_predict(golden->model, golden->column, golden->block_rows, golden->scratch,
                     golden->got);
    for (size_t i = 0; i < golden->block_rows * info->n_scores; i++) {
        double expected = golden->expected[i], got = golden->got[i];
        if (agree(expected, got, info->tolerance)) continue;
        golden->csv.line = golden->line[i / info->n_scores];
        return oz_csv_mistake(&golden->csv, err,
                              "the trainer predicted %.9g, this model %.9g: it is not the model "
                              "that these rows were made with",
                              expected, got);
    }
    golden->n_rows += golden->block_rows;
    golden->block_rows = 0;
    oz_arena_reset(&golden->arena);
    return OZ_OK;
}

static enum oz_status open_golden(struct golden *golden, const char *path, struct oz_error *err)
{
    const struct oz_model_info *info = golden->info;
    enum oz_status status = oz_csv_open(&golden->csv, path, OZ_MODEL, err);
    if (status == OZ_ENVIRONMENT)
        oz_error_prefix(err, "the golden rows cannot be opened; they are a CSV of the model's "
                             "features and, behind them, of what the trainer predicted for each "
                             "row");
    OZ_TRY(status);
    size_t each = OZ_MAX(sizeof(double), sizeof(struct oz_str));
    size_t inputs = (size_t)info->n_features * BLOCK_ROWS;
    size_t scores = OZ_MAX((size_t)info->n_scores, (size_t)1) * BLOCK_ROWS;
    golden->n_columns = info->n_features + info->n_scores;
    golden->target = oz_calloc(golden->n_columns, sizeof *golden->target);
    golden->input = oz_calloc(inputs, each);
    golden->column = oz_calloc(info->n_features, sizeof *golden->column);
    golden->expected = oz_calloc(scores, sizeof *golden->expected);
    golden->got = oz_calloc(scores, sizeof *golden->got);
    golden->scratch = oz_malloc(oz_model_scratch_bytes(golden->model, BLOCK_ROWS));
    if (!golden->target || !golden->input || !golden->column || !golden->expected || !golden->got ||
        !golden->scratch)
        return oz_no_memory(err);
    for (uint32_t f = 0; f < info->n_features; f++)
        golden->column[f].f64 =
            (const double *)((char *)golden->input + (size_t)f * BLOCK_ROWS * each);
    return OZ_OK;
}

static enum oz_status check_rows(struct golden *golden, struct oz_error *err)
{
    bool end;
    OZ_TRY(bind_header(golden, err));
    for (;;) {
        OZ_TRY(oz_csv_next(&golden->csv, &end, err));
        if (end) break;
        OZ_TRY(read_row(golden, err));
        if (golden->block_rows == BLOCK_ROWS) OZ_TRY(check_block(golden, err));
    }
    OZ_TRY(check_block(golden, err));
    if (!golden->n_rows) return oz_csv_mistake(&golden->csv, err, "there are no rows");
    return OZ_OK;
}

const char *oz_model_golden_path(struct oz_arena *arena, const char *model_path)
{
    const char *dot = strrchr(model_path, '.'), *slash = strrchr(model_path, '/');
    size_t stem = dot && (!slash || dot > slash) ? (size_t)(dot - model_path) : strlen(model_path);
    return oz_arena_printf(arena, "%.*s.golden.csv", (int)stem, model_path);
}

enum oz_status oz_model_check_golden(const struct oz_model *model, const char *csv_path,
                                     size_t *ret_n_rows, struct oz_error *err)
{
    struct golden golden = {.model = model, .info = oz_model_info(model)};
    oz_arena_init(&golden.arena, 4096);
    enum oz_status status = open_golden(&golden, csv_path, err);
    if (status == OZ_OK) status = check_rows(&golden, err);
    if (status == OZ_OK) *ret_n_rows = golden.n_rows;
    oz_csv_close(&golden.csv);
    oz_arena_clear(&golden.arena);
    oz_free(golden.target);
    oz_free(golden.input);
    oz_free(golden.column);
    oz_free(golden.expected);
    oz_free(golden.got);
    oz_free(golden.scratch);
    return status;
}
