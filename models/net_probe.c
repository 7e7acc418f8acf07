/* Tries a net, at load, on rows of made-up values: alone, and among others. What a row's scores are
 * must not depend on the rows beside it; a net for which it does (a softmax over the batch, a mean
 * of it) is one that was meant for a single row, and is run so.
 *
 * Rows that the net cannot take (an index out of range, an unknown category) are left out; when
 * none is left, nothing is known, and rows are run one by one. The same holds for a net that is so
 * slow that a tile gains nothing. The values are pseudo-random from a fixed seed: loading a file
 * twice decides the same, but for the clock, and scores are the same either way. */
#include <math.h>
#include <string.h>
#include "base/clock.h"
#include "models/net_model.h"

enum { PROBE_ROWS = 16, PROBE_ATTEMPTS = 3, PROBE_BUDGET_US = 1000 * 1000, WORDS_MAX = 64 };

struct probe {
    struct oz_net_model *model;
    struct oz_arena arena;
    struct oz_net_run run;
    union oz_model_column *column;
    struct oz_str word[WORDS_MAX]; /* texts that the net speaks of */
    size_t n_words;
    double *alone, *together; /* [PROBE_ROWS x n_scores] */
    struct oz_str *texts, *texts_alone;
    uint32_t good[PROBE_ROWS];
    size_t n_good;
    uint64_t random;
    int64_t start_us;
};

static uint32_t random_below(struct probe *probe, uint32_t n)
{
    probe->random = probe->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(((probe->random >> 33) * n) >> 31);
}

/* Categories of encoders and the like stand in the attributes of their nodes. */
static void collect_words(struct probe *probe)
{
    const struct oz_graph *graph = &probe->model->net->graph;
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        for (uint32_t a = 0; a < graph->node[i].n_attributes; a++) {
            const struct oz_attribute *attribute = &graph->node[i].attribute[a];
            if (attribute->kind != OZ_ATTRIBUTE_STRINGS) continue;
            for (size_t k = 0; k < attribute->n && probe->n_words < WORDS_MAX; k++)
                probe->word[probe->n_words++] = attribute->strings[k];
        }
    if (!probe->n_words) probe->word[probe->n_words++] = (struct oz_str){"a", 1};
}

/* The first attempt has numbers of every kind, the next ones only small ones. */
static double made_up(struct probe *probe, enum oz_dtype dtype, int attempt)
{
    if (dtype == OZ_DTYPE_BOOL) return random_below(probe, 2);
    if (!oz_dtype_is_float(dtype)) return attempt == 0 ? random_below(probe, 4) : 0;
    if (attempt == 2) return random_below(probe, 3);
    return (random_below(probe, 1 << 24) / (double)(1 << 24) - 0.5) * (attempt ? 1 : 6);
}

static enum oz_status make_columns(struct probe *probe, struct oz_error *err)
{
    const struct oz_net_model *model = probe->model;
    size_t each = OZ_MAX(sizeof(double), sizeof(struct oz_str));
    uint8_t *values = oz_arena_zeroed(&probe->arena, (size_t)model->n_features * PROBE_ROWS, each);
    probe->column = oz_arena_zeroed(&probe->arena, model->n_features, sizeof *probe->column);
    if (!values || !probe->column) return oz_no_memory(err);
    for (uint32_t f = 0; f < model->n_features; f++)
        probe->column[f].f64 = (const double *)(values + (size_t)f * PROBE_ROWS * each);
    return OZ_OK;
}

static void fill_columns(struct probe *probe, int attempt)
{
    const struct oz_net_model *model = probe->model;
    for (uint32_t i = 0; i < model->n_inputs; i++) {
        const struct oz_net_input *input = &model->input[i];
        for (uint32_t f = input->first; f < input->first + input->width; f++)
            for (uint32_t row = 0; row < PROBE_ROWS; row++) {
                if (input->dtype == OZ_DTYPE_TEXT)
                    ((struct oz_str *)probe->column[f].text)[row] =
                        probe->word[random_below(probe, (uint32_t)probe->n_words)];
                else
                    ((double *)probe->column[f].f64)[row] = made_up(probe, input->dtype, attempt);
            }
    }
}

static bool is_over_budget(const struct probe *probe)
{
    return oz_monotonic_us() - probe->start_us > PROBE_BUDGET_US;
}

/* Scores go to `alone`; rows that fail are left out. */
static enum oz_status run_alone(struct probe *probe, struct oz_error *why, struct oz_error *err)
{
    probe->run.scores = probe->alone;
    probe->n_good = 0;
    for (uint32_t row = 0; row < PROBE_ROWS && !is_over_budget(probe); row++) {
        enum oz_status status = oz_net_model_run_once(&probe->run, &row, 1, why);
        if (status == OZ_NO_MEMORY) return oz_no_memory(err);
        if (status == OZ_OK) probe->good[probe->n_good++] = row;
    }
    return OZ_OK;
}

static bool same_number(double a, double b)
{
    return !memcmp(&a, &b, sizeof a) || (isnan(a) && isnan(b));
}

static bool is_same_row(const struct probe *probe, uint32_t row)
{
    const struct oz_net_model *model = probe->model;
    for (uint32_t k = 0; k < model->n_scores; k++) {
        size_t at = (size_t)row * model->n_scores + k;
        if (!same_number(probe->alone[at], probe->together[at])) return false;
    }
    for (uint32_t k = 0; k < model->n_texts; k++) {
        const struct oz_str *a = &probe->texts_alone[(size_t)row * model->n_texts + k];
        const struct oz_str *b = &probe->texts[(size_t)row * model->n_texts + k];
        if (a->len != b->len || memcmp(a->data, b->data, a->len) != 0) return false;
    }
    return true;
}

/* n rows together: the good ones over and over, from the first-th on. */
static enum oz_status run_together(struct probe *probe, size_t n, size_t first, bool *ret_same,
                                   struct oz_error *err)
{
    uint32_t row[OZ_NET_TILE_ROWS_MAX] = {0};
    struct oz_error why;
    for (size_t r = 0; r < n; r++) row[r] = probe->good[(first + r) % probe->n_good];
    probe->run.scores = probe->together;
    enum oz_status status = oz_net_model_run_once(&probe->run, row, n, &why);
    if (status == OZ_NO_MEMORY) return oz_no_memory(err);
    *ret_same = status == OZ_OK;
    for (size_t r = 0; r < n && *ret_same; r++) *ret_same = is_same_row(probe, row[r]);
    return OZ_OK;
}

static enum oz_status compare(struct probe *probe, struct oz_error *err)
{
    struct oz_net_model *model = probe->model;
    bool same = true;
    probe->run.texts->text = probe->texts;
    OZ_TRY(run_together(probe, model->plan_rows, 0, &same, err));
    if (same && !is_over_budget(probe)) OZ_TRY(run_together(probe, 3, 1, &same, err));
    if (!same) model->why_one = "what a row gives depends on the rows beside it";
    return OZ_OK;
}

static enum oz_status try_rows(struct probe *probe, struct oz_error *err)
{
    struct oz_net_model *model = probe->model;
    struct oz_error why = {0};
    struct oz_model_texts texts = {.arena = &probe->arena};
    probe->run.texts = &texts;
    for (int attempt = 0; attempt < PROBE_ATTEMPTS && probe->n_good < 2; attempt++) {
        fill_columns(probe, attempt);
        texts.text = probe->texts_alone;
        OZ_TRY(run_alone(probe, &why, err));
        if (is_over_budget(probe)) {
            model->why_one = "a row takes so long that several together gain nothing";
            return OZ_OK;
        }
    }
    if (probe->n_good) return compare(probe, err);
    model->why_one = oz_arena_printf(
        &model->arena, "whether rows depend on each other could not be tried: %.200s", why.message);
    return model->why_one ? OZ_OK : oz_no_memory(err);
}

enum oz_status oz_net_model_probe(struct oz_net_model *model, struct oz_error *err)
{
    struct probe probe = {.model = model, .random = 17, .start_us = oz_monotonic_us()};
    size_t n_scores = (size_t)PROBE_ROWS * model->n_scores;
    size_t n_texts = (size_t)PROBE_ROWS * model->n_texts;
    oz_arena_init(&probe.arena, 1 << 14);
    uint8_t *scratch = oz_malloc(model->scratch_bytes);
    probe.alone = oz_arena_zeroed(&probe.arena, n_scores + 1, sizeof *probe.alone);
    probe.together = oz_arena_zeroed(&probe.arena, n_scores + 1, sizeof *probe.together);
    probe.texts_alone = oz_arena_zeroed(&probe.arena, n_texts + 1, sizeof *probe.texts_alone);
    probe.texts = oz_arena_zeroed(&probe.arena, n_texts + 1, sizeof *probe.texts);
    enum oz_status status =
        scratch && probe.alone && probe.together && probe.texts_alone && probe.texts
            ? make_columns(&probe, err)
            : oz_no_memory(err);
    if (status == OZ_OK) {
        probe.run =
            (struct oz_net_run){.model = model,
                                .column = probe.column,
                                .scratch = (uint8_t *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63)};
        collect_words(&probe);
        status = try_rows(&probe, err);
    }
    if (status == OZ_OK && model->why_one) model->tile_rows = 1;
    oz_free(scratch);
    oz_arena_clear(&probe.arena);
    return status;
}
