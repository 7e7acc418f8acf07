#include "models/model.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/hash.h"
#include "models/importer.h"
#include "models/net_model.h"

/* Adding a format is one row here and its importer. */
static const struct oz_importer *const importers[] = {
    &oz_importer_xgboost_json, &oz_importer_xgboost_ubjson, &oz_importer_onnx};

enum { SCRATCH_ALIGN = 64 };

struct oz_model {
    struct oz_model_info info;
    struct oz_model_parts parts;
    struct oz_net_model *net; /* NULL: it is a forest */
};

void oz_model_free(struct oz_model *model)
{
    if (!model) return;
    oz_net_model_free(model->net);
    if (model->parts.net) oz_net_clear(model->parts.net);
    oz_free(model->parts.net);
    oz_forest_free(model->parts.forest);
    oz_arena_clear(&model->parts.arena);
    oz_free(model);
}

const struct oz_model_info *oz_model_info(const struct oz_model *model) { return &model->info; }

static const struct oz_importer *find_importer(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < OZ_COUNT_OF(importers); i++)
        if (importers[i]->is_mine(bytes, n)) return importers[i];
    return NULL;
}

/* ---- what it says of itself */

static enum oz_status name_features(struct oz_model *model, struct oz_error *err)
{
    struct oz_model_parts *parts = &model->parts;
    uint32_t n = parts->forest->n_features;
    struct oz_model_feature *feature = oz_arena_zeroed(&parts->arena, n, sizeof *feature);
    if (!feature) return oz_no_memory(err);
    for (uint32_t f = 0; f < n; f++) {
        feature[f].is_own = parts->feature != NULL;
        feature[f].name =
            parts->feature ? parts->feature[f] : oz_arena_printf(&parts->arena, "f%u", f);
        if (!feature[f].name) return oz_no_memory(err);
    }
    model->info.feature = feature;
    model->info.n_features = n;
    model->info.has_own_names = parts->feature != NULL;
    return OZ_OK;
}

/* One score has the model's name, several are numbered. */
static enum oz_status name_scores(struct oz_model *model, struct oz_error *err)
{
    struct oz_model_parts *parts = &model->parts;
    uint32_t n = parts->n_scores;
    struct oz_model_score *score = oz_arena_zeroed(&parts->arena, n, sizeof *score);
    struct oz_model_tensor *output = oz_arena_zeroed(&parts->arena, 1, sizeof *output);
    if (!score || !output) return oz_no_memory(err);
    *output = (struct oz_model_tensor){.name = "output", .type = "float", .n = n};
    output->shape = n == 1 ? "[N]" : oz_arena_printf(&parts->arena, "[N, %u]", n);
    if (!output->shape) return oz_no_memory(err);
    for (uint32_t k = 0; k < n; k++) {
        score[k].suffix = n == 1 ? "" : oz_arena_printf(&parts->arena, "%u", k);
        score[k].column = n == 1 ? "output" : oz_arena_printf(&parts->arena, "output_%u", k);
        score[k].is_float = true;
        if (!score[k].suffix || !score[k].column) return oz_no_memory(err);
    }
    model->info.score = score;
    model->info.n_scores = n;
    model->info.output = output;
    model->info.n_outputs = 1;
    return OZ_OK;
}

static size_t margins_bytes(const struct oz_forest *forest)
{
    return (size_t)forest->n_groups * OZ_FOREST_TILE_ROWS * sizeof(float);
}

static enum oz_status describe_forest(struct oz_model *model, struct oz_error *err)
{
    const struct oz_forest *forest = model->parts.forest;
    struct oz_model_info *info = &model->info;
    OZ_TRY(name_features(model, err));
    OZ_TRY(name_scores(model, err));
    info->producer = "";
    info->n_trees = forest->n_trees;
    info->n_nodes = forest->n_nodes;
    info->memory_bytes = sizeof *model + oz_forest_memory_bytes(forest);
    info->run_bytes = SCRATCH_ALIGN + margins_bytes(forest) + oz_forest_scratch_bytes(forest);
    info->tile_rows = OZ_FOREST_TILE_ROWS;
    info->kernels = "scalar";
    return OZ_OK;
}

static enum oz_status describe_net(struct oz_model *model, const struct oz_model_widths *widths,
                                   struct oz_error *err)
{
    struct oz_net *net = model->parts.net;
    model->parts.net = NULL; /* taken */
    OZ_TRY(oz_net_model_new(net, widths, &model->net, err));
    model->info.op = model->parts.op;
    model->info.n_ops = model->parts.n_ops;
    return oz_net_model_describe(model->net, &model->info, err);
}

/* ---- loading */

static enum oz_status make(struct oz_model *model, const struct oz_importer *importer,
                           const uint8_t *bytes, size_t n, const struct oz_model_widths *widths,
                           struct oz_error *err)
{
    OZ_TRY(importer->import(bytes, n, &model->parts, err));
    model->info.format = importer->format;
    model->info.objective = model->parts.objective;
    oz_sha256_hex(bytes, n, model->info.sha256);
    return model->parts.net ? describe_net(model, widths, err) : describe_forest(model, err);
}

enum oz_status oz_model_parse_sized(const char *name, const uint8_t *bytes, size_t n,
                                    const struct oz_model_widths *widths,
                                    struct oz_model **ret_model, struct oz_error *err)
{
    if (n > OZ_MODEL_FILE_BYTES_MAX)
        OZ_FAIL(err, OZ_MODEL, "%s: the file has %zu bytes, up to %d are read", name, n,
                OZ_MODEL_FILE_BYTES_MAX);
    const struct oz_importer *importer = find_importer(bytes, n);
    if (!importer)
        OZ_FAIL(err, OZ_MODEL,
                "%s: this is no model that can be read; expected XGBoost's JSON or "
                "UBJSON, as save_model() writes them, or ONNX",
                name);
    struct oz_model *model = oz_calloc(1, sizeof *model);
    if (!model) return oz_no_memory(err);
    oz_arena_init(&model->parts.arena, 4096);
    enum oz_status status = make(model, importer, bytes, n, widths, err);
    if (status != OZ_OK) {
        oz_model_free(model);
        if (status == OZ_MODEL) oz_error_prefix(err, "%s", name);
        return status;
    }
    *ret_model = model;
    return OZ_OK;
}

enum oz_status oz_model_parse(const char *name, const uint8_t *bytes, size_t n,
                              struct oz_model **ret_model, struct oz_error *err)
{
    return oz_model_parse_sized(name, bytes, n, NULL, ret_model, err);
}

static enum oz_status read_file(FILE *file, const char *path, uint8_t **ret_bytes, size_t *ret_n,
                                struct oz_error *err)
{
    struct stat st;
    if (fstat(fileno(file), &st) || !S_ISREG(st.st_mode))
        OZ_FAIL(err, OZ_ENVIRONMENT, "%s: a model is a regular file", path);
    if (st.st_size > OZ_MODEL_FILE_BYTES_MAX)
        OZ_FAIL(err, OZ_MODEL, "%s: the file has %lld bytes, up to %d are read", path,
                (long long)st.st_size, OZ_MODEL_FILE_BYTES_MAX);
    size_t n = (size_t)st.st_size;
    uint8_t *bytes = oz_malloc(n + 1);
    if (!bytes) return oz_no_memory(err);
    if (fread(bytes, 1, n, file) != n) {
        oz_free(bytes);
        OZ_FAIL(err, OZ_IO, "%s: reading failed: %s", path, strerror(errno));
    }
    *ret_bytes = bytes;
    *ret_n = n;
    return OZ_OK;
}

enum oz_status oz_model_load_sized(const char *path, const struct oz_model_widths *widths,
                                   struct oz_model **ret_model, struct oz_error *err)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    FILE *file = fopen(path, "rbe");
    if (!file)
        OZ_FAIL(err, OZ_ENVIRONMENT, "%s: the model cannot be opened: %s", path, strerror(errno));
    enum oz_status status = read_file(file, path, &bytes, &n, err);
    fclose(file);
    if (status == OZ_OK) status = oz_model_parse_sized(path, bytes, n, widths, ret_model, err);
    oz_free(bytes);
    return status;
}

enum oz_status oz_model_load(const char *path, struct oz_model **ret_model, struct oz_error *err)
{
    return oz_model_load_sized(path, NULL, ret_model, err);
}

/* ---- scoring */

size_t oz_model_scratch_bytes(const struct oz_model *model, size_t n_rows)
{
    (void)n_rows; /* rows are scored tile after tile */
    return model->info.run_bytes;
}

static uint8_t *aligned(void *scratch)
{
    return (uint8_t *)(((uintptr_t)scratch + SCRATCH_ALIGN - 1) & ~(uintptr_t)(SCRATCH_ALIGN - 1));
}

/* Scratch: the margins of one tile, then the forest's own. */
static void predict_forest(const struct oz_model *model, const union oz_model_column *column,
                           size_t n_rows, void *scratch, double *ret_scores)
{
    const struct oz_model_parts *parts = &model->parts;
    float *margins = (float *)aligned(scratch);
    void *tile = (uint8_t *)margins + margins_bytes(parts->forest);
    for (size_t row = 0; row < n_rows; row += OZ_FOREST_TILE_ROWS) {
        size_t n = OZ_MIN(n_rows - row, (size_t)OZ_FOREST_TILE_ROWS);
        oz_forest_margins(parts->forest, &column->f64, row, n, tile, margins);
        parts->transform(margins, parts->forest->n_groups, n, ret_scores + row * parts->n_scores);
    }
}

size_t oz_model_predict(const struct oz_model *model, const union oz_model_column *column,
                        size_t n_rows, void *scratch, double *ret_scores)
{
    enum oz_status status;
    if (!model->net) {
        predict_forest(model, column, n_rows, scratch, ret_scores);
        return 0;
    }
    struct oz_net_run run = {
        .model = model->net, .column = column, .scratch = aligned(scratch), .scores = ret_scores};
    return oz_net_model_run(&run, n_rows, &status, NULL);
}

enum oz_status oz_model_predict_texts(const struct oz_model *model,
                                      const union oz_model_column *column, size_t n_rows,
                                      void *scratch, double *ret_scores,
                                      struct oz_model_texts *texts, struct oz_error *err)
{
    enum oz_status status = OZ_OK;
    texts->n_failed = texts->failed_row = 0;
    if (!model->net) {
        predict_forest(model, column, n_rows, scratch, ret_scores);
        return OZ_OK;
    }
    struct oz_net_run run = {.model = model->net,
                             .column = column,
                             .scratch = aligned(scratch),
                             .scores = ret_scores,
                             .texts = texts};
    texts->n_failed = oz_net_model_run(&run, n_rows, &status, err);
    return status;
}
