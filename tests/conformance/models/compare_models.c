/* Proves that models of XGBoost predict here what XGBoost itself predicted, to the bit.
 * How: make_models.py trains models, asks XGBoost for the predictions of many rows (missing values,
 * infinities, values on and beside thresholds) and writes both into a folder; this program loads
 * every model of that folder and compares each output's bits, scoring the rows in batches of
 * several sizes.
 *
 * Usage: compare_models FOLDER. The folder's `models.txt` has one line per case:
 *     model-file rows-file expected-file n_rows n_features n_outputs
 * Rows are little-endian doubles [n_rows x n_features], expectations little-endian floats
 * [n_rows x n_outputs]. Exit 1 when any bit differs or any model is refused. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "models/model.h"

struct case_line {
    char model[256], rows[256], expected[256];
    size_t n_rows, n_features, n_outputs;
};

static void *read_all(const char *folder, const char *name, size_t n_bytes)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    void *bytes = malloc(n_bytes + 1);
    if (!file || !bytes || fread(bytes, 1, n_bytes + 1, file) != n_bytes) {
        fprintf(stderr, "%s: missing, or not %zu bytes\n", path, n_bytes);
        exit(2);
    }
    fclose(file);
    return bytes;
}

static size_t count_differences(const struct oz_model *model, const struct case_line *line,
                                const double *const *column, const float *expected, size_t batch)
{
    size_t n_differ = 0;
    void *scratch = malloc(oz_model_scratch_bytes(model, batch));
    double *outputs = malloc(batch * line->n_outputs * sizeof *outputs);
    union oz_model_column *at = malloc(line->n_features * sizeof *at);
    for (size_t row = 0; row < line->n_rows; row += batch) {
        size_t n = line->n_rows - row < batch ? line->n_rows - row : batch;
        for (size_t f = 0; f < line->n_features; f++) at[f].f64 = column[f] + row;
        oz_model_predict(model, at, n, scratch, outputs);
        for (size_t i = 0; i < n * line->n_outputs; i++) {
            float got = (float)outputs[i];
            if (memcmp(&got, &expected[row * line->n_outputs + i], sizeof got)) n_differ++;
        }
    }
    free(scratch);
    free(outputs);
    free(at);
    return n_differ;
}

static const double **columns_of(const struct case_line *line, const double *rows)
{
    double *values = malloc(line->n_rows * line->n_features * sizeof *values);
    const double **column = malloc(line->n_features * sizeof *column);
    for (size_t f = 0; f < line->n_features; f++) {
        double *one = values + f * line->n_rows;
        for (size_t row = 0; row < line->n_rows; row++) one[row] = rows[row * line->n_features + f];
        column[f] = one;
    }
    return column;
}

static bool compare(const char *folder, const struct case_line *line)
{
    static const size_t batch[] = {4096, 64, 17, 1};
    struct oz_error err = {0};
    struct oz_model *model = NULL;
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, line->model);
    if (oz_model_load(path, &model, &err) != OZ_OK) {
        printf("%-32s refused: %s\n", line->model, err.message);
        return false;
    }
    const struct oz_model_info *info = oz_model_info(model);
    if (info->n_features != line->n_features || info->n_scores != line->n_outputs) {
        printf("%-32s %u features and %u outputs, expected %zu and %zu\n", line->model,
               info->n_features, info->n_scores, line->n_features, line->n_outputs);
        oz_model_free(model);
        return false;
    }
    double *rows = read_all(folder, line->rows, line->n_rows * line->n_features * sizeof(double));
    float *expected =
        read_all(folder, line->expected, line->n_rows * line->n_outputs * sizeof(float));
    const double **column = columns_of(line, rows);
    size_t n_differ = 0;
    for (size_t i = 0; i < OZ_COUNT_OF(batch); i++)
        n_differ += count_differences(model, line, column, expected, batch[i]);
    printf("%-32s %-22s %5u %7u %8zu %4u %10zu\n", line->model, info->objective, info->n_trees,
           info->n_nodes, line->n_rows, info->n_scores, n_differ);
    free((void *)column[0]);
    free(column);
    free(rows);
    free(expected);
    oz_model_free(model);
    return n_differ == 0;
}

int main(int argc, char **argv)
{
    char path[1024], text[1024];
    size_t n_cases = 0, n_bad = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: compare_models FOLDER (made by make_models.py)\n");
        return 2;
    }
    snprintf(path, sizeof path, "%s/models.txt", argv[1]);
    FILE *list = fopen(path, "r");
    if (!list) {
        fprintf(stderr, "%s: cannot be opened\n", path);
        return 2;
    }
    printf("%-32s %-22s %5s %7s %8s %4s %10s\n", "model", "objective", "trees", "nodes", "rows",
           "out", "differ");
    while (fgets(text, sizeof text, list)) {
        struct case_line line;
        if (sscanf(text, "%255s %255s %255s %zu %zu %zu", line.model, line.rows, line.expected,
                   &line.n_rows, &line.n_features, &line.n_outputs) != 6)
            continue;
        n_cases++;
        if (!compare(argv[1], &line)) n_bad++;
    }
    fclose(list);
    printf("%zu models, %zu not as the trainer predicts\n", n_cases, n_bad);
    return n_cases && !n_bad ? 0 : 1;
}
