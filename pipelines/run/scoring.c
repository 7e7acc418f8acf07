#include "pipelines/run/scoring.h"

enum { OUTPUTS_AT_ONCE = 1 << 19 }; /* scores of a model */

/* A model of many outputs scores a part of the rows at a time, whole tiles of it. */
static size_t rows_at_once(const struct oz_model_info *info, size_t cap_rows)
{
    size_t tile = OZ_MAX(info->tile_rows, 1);
    size_t n = OUTPUTS_AT_ONCE / OZ_MAX(info->n_scores, 1) / tile * tile;
    return OZ_MIN(OZ_MAX(n, tile), cap_rows);
}

size_t oz_scoring_outputs(const struct oz_bound_model *model, size_t cap_rows)
{
    return rows_at_once(model->info, cap_rows) * model->info->n_scores;
}

static uint64_t score_rows(const struct oz_scoring *scoring, const struct oz_bound_model *model,
                           union oz_model_column *column, size_t first, size_t n_rows)
{
    const struct oz_model_info *info = model->info;
    for (uint32_t f = 0; f < info->n_features; f++) {
        if (info->feature[f].is_text)
            column[f].text = scoring->table->column[model->input[f]].str + first;
        else
            column[f].f64 = scoring->feature[model->input[f]] + first;
    }
    uint64_t n_unscored =
        oz_model_predict(model->model, column, n_rows, scoring->scratch, scoring->outputs);
    for (uint32_t k = 0; k < model->n_scores; k++) {
        const double *from = scoring->outputs + model->output[k];
        double *to = scoring->score[model->first_score + k] + first;
        for (size_t i = 0; i < n_rows; i++) to[i] = from[i * info->n_scores];
    }
    return n_unscored;
}

uint64_t oz_scoring_run(const struct oz_scoring *scoring, const struct oz_bound_model *model,
                        union oz_model_column *column, size_t first, size_t end)
{
    size_t step = rows_at_once(model->info, scoring->cap_rows);
    uint64_t n_unscored = 0;
    for (size_t row = first; row < end; row += step)
        n_unscored += score_rows(scoring, model, column, row, OZ_MIN(step, end - row));
    return n_unscored;
}
