/* What an importer makes of a model file, and the table of importers: one row a format.
 * An importer fills the parts and nothing else; models/model.c owns them from then on, also when
 * the importer failed half-way. */
#ifndef OZ_MODELS_IMPORTER_H
#define OZ_MODELS_IMPORTER_H
#include "models/forest.h"
#include "models/model.h"

struct oz_model_parts {
    struct oz_arena arena;      /* of names; lives as long as the model */
    const char *objective;      /* the trainer's own word */
    const char *const *feature; /* [forest->n_features], or NULL */
    uint32_t n_outputs;
    struct oz_forest *forest;
    /* Margins [n_groups x OZ_FOREST_TILE_ROWS] to outputs [n_rows x n_outputs]. May change margins.
     */
    void (*transform)(float *margins, uint32_t n_groups, size_t n_rows, double *ret_outputs);
};

struct oz_importer {
    const char *format; /* as oz_model_info says it */
    bool (*is_mine)(const uint8_t *bytes, size_t n);
    enum oz_status (*import)(const uint8_t *bytes, size_t n, struct oz_model_parts *parts,
                             struct oz_error *err);
};

extern const struct oz_importer oz_importer_xgboost_json, oz_importer_xgboost_ubjson;
#endif
