#include "models/model.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/hash.h"
#include "models/importer.h"

/* Adding a format is one row here and its importer. */
static const struct oz_importer *const importers[] = {&oz_importer_xgboost_json,
                                                      &oz_importer_xgboost_ubjson};

enum { SCRATCH_ALIGN = 64 };

struct oz_model {
    struct oz_model_info info;
    struct oz_model_parts parts;
};

void oz_model_free(struct oz_model *model)
{
    if (!model) return;
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

static void fill_info(struct oz_model *model, const struct oz_importer *importer,
                      const uint8_t *bytes, size_t n)
{
    const struct oz_model_parts *parts = &model->parts;
    struct oz_model_info *info = &model->info;
    info->format = importer->format;
    info->objective = parts->objective;
    info->n_features = parts->forest->n_features;
    info->feature = parts->feature;
    info->n_outputs = parts->n_outputs;
    info->n_trees = parts->forest->n_trees;
    info->n_nodes = parts->forest->n_nodes;
    info->memory_bytes = sizeof *model + oz_forest_memory_bytes(parts->forest);
    info->f32_outputs = true;
    oz_sha256_hex(bytes, n, info->sha256);
}

enum oz_status oz_model_parse(const char *name, const uint8_t *bytes, size_t n,
                              struct oz_model **ret_model, struct oz_error *err)
{
    if (n > OZ_MODEL_FILE_BYTES_MAX)
        OZ_FAIL(err, OZ_MODEL, "%s: the file has %zu bytes, up to %d are read", name, n,
                OZ_MODEL_FILE_BYTES_MAX);
    const struct oz_importer *importer = find_importer(bytes, n);
    if (!importer)
        OZ_FAIL(err, OZ_MODEL,
                "%s: this is no model that can be read; expected XGBoost's JSON or "
                "UBJSON, as save_model() writes them",
                name);
    struct oz_model *model = oz_calloc(1, sizeof *model);
    if (!model) return oz_no_memory(err);
    oz_arena_init(&model->parts.arena, 4096);
    enum oz_status status = importer->import(bytes, n, &model->parts, err);
    if (status != OZ_OK) {
        oz_model_free(model);
        if (status == OZ_MODEL) oz_error_prefix(err, "%s", name);
        return status;
    }
    fill_info(model, importer, bytes, n);
    *ret_model = model;
    return OZ_OK;
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

enum oz_status oz_model_load(const char *path, struct oz_model **ret_model, struct oz_error *err)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    FILE *file = fopen(path, "rbe");
    if (!file)
        OZ_FAIL(err, OZ_ENVIRONMENT, "%s: the model cannot be opened: %s", path, strerror(errno));
    enum oz_status status = read_file(file, path, &bytes, &n, err);
    fclose(file);
    if (status == OZ_OK) status = oz_model_parse(path, bytes, n, ret_model, err);
    oz_free(bytes);
    return status;
}

/* Scratch: the margins of one tile, then the forest's own. */
static size_t margins_bytes(const struct oz_model *model)
{
    return (size_t)model->parts.forest->n_groups * OZ_FOREST_TILE_ROWS * sizeof(float);
}

size_t oz_model_scratch_bytes(const struct oz_model *model, size_t n_rows)
{
    (void)n_rows; /* rows are scored tile after tile */
    return SCRATCH_ALIGN + margins_bytes(model) + oz_forest_scratch_bytes(model->parts.forest);
}

void oz_model_predict(const struct oz_model *model, const double *const *column, size_t n_rows,
                      void *scratch, double *ret_outputs)
{
    const struct oz_model_parts *parts = &model->parts;
    uint8_t *aligned =
        (uint8_t *)(((uintptr_t)scratch + SCRATCH_ALIGN - 1) & ~(uintptr_t)(SCRATCH_ALIGN - 1));
    float *margins = (float *)aligned;
    void *tile = aligned + margins_bytes(model);
    for (size_t row = 0; row < n_rows; row += OZ_FOREST_TILE_ROWS) {
        size_t n = OZ_MIN(n_rows - row, (size_t)OZ_FOREST_TILE_ROWS);
        oz_forest_margins(parts->forest, column, row, n, tile, margins);
        parts->transform(margins, parts->forest->n_groups, n, ret_outputs + row * parts->n_outputs);
    }
}
