/* What an importer makes of a model file, and the table of importers: one row a format.
 * An importer fills the parts and nothing else; models/model.c owns them from then on, also when
 * the importer failed half-way. */
#ifndef OZ_MODELS_IMPORTER_H
#define OZ_MODELS_IMPORTER_H
#include "models/forest.h"
#include "models/model.h"
#include "models/net/net.h"

struct oz_model_parts {
    struct oz_arena arena; /* of names; lives as long as the model */
    const char *objective; /* the trainer's own word */

    /* Either a forest ... */
    struct oz_forest *forest;
    const char *const *feature; /* [forest->n_features], or NULL */
    uint32_t n_scores;
    /* Margins [n_groups x OZ_FOREST_TILE_ROWS] to scores [n_rows x n_scores]. May change margins.
     */
    void (*transform)(float *margins, uint32_t n_groups, size_t n_rows, double *ret_scores);

    /* ... or a net, compiled, from oz_calloc(). */
    struct oz_net *net;
    const struct oz_model_operator *op; /* [n_ops]: of the file */
    uint32_t n_ops;
};

struct oz_importer {
    const char *format; /* as oz_model_info says it */
    bool (*is_mine)(const uint8_t *bytes, size_t n);
    enum oz_status (*import)(const uint8_t *bytes, size_t n, struct oz_model_parts *parts,
                             struct oz_error *err);
};

extern const struct oz_importer oz_importer_xgboost_json, oz_importer_xgboost_ubjson,
    oz_importer_onnx;
#endif
