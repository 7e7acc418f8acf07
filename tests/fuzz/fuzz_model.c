/* Fuzzes the loading of models: whatever the bytes, oz_model_parse() must answer with an error or
 * with a model that predicts. Seeds: tests/fuzz/seeds/model (made by tests/unit/models/fixtures/
 * make_fixtures.py). */
#include <math.h>
#include "models/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { N_ROWS = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const double values[N_ROWS] = {0.25, NAN, -1e300};
    static const struct oz_str texts[N_ROWS] = {{"a", 1}, {NULL, 0}, {"", 0}};
    struct oz_error err;
    struct oz_model *model = NULL;
    if (oz_model_parse("fuzz", bytes, n, &model, &err) != OZ_OK) return 0;
    const struct oz_model_info *info = oz_model_info(model);
    union oz_model_column *column = oz_calloc(info->n_features, sizeof *column);
    double *outputs = oz_calloc((size_t)N_ROWS * info->n_scores, sizeof *outputs);
    void *scratch = oz_malloc(oz_model_scratch_bytes(model, N_ROWS));
    if (column && outputs && scratch) {
        for (uint32_t f = 0; f < info->n_features; f++) {
            if (info->feature[f].is_text)
                column[f].text = texts;
            else
                column[f].f64 = values;
        }
        oz_model_predict(model, column, N_ROWS, scratch, outputs);
    }
    oz_free(column);
    oz_free(outputs);
    oz_free(scratch);
    oz_model_free(model);
    return 0;
}
