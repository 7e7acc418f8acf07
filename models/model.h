/* A loaded model: numbers of one row in, scores of that row out, to the bit as its trainer
 * predicts.
 *
 * Shapes: inputs are columns of doubles, one pointer per feature of the model in the model's own
 * order, NaN for null; outputs are [n_rows x n_outputs] row-major.
 * Threads: a model never changes after it is loaded; any number of threads may predict with it,
 * each with its own scratch. Ownership: oz_model_load() gives the model, oz_model_free() takes it.
 * Errors: OZ_MODEL for a file that is damaged, hostile or asks for what is not served; the message
 * names the file, the place in it and the thing by the trainer's own word.
 * Limits: OZ_MODEL_* below; a file beyond them is refused, not cut. */
#ifndef OZ_MODELS_MODEL_H
#define OZ_MODELS_MODEL_H
#include "base/arena.h"

enum {
    OZ_MODEL_FILE_BYTES_MAX = 1 << 30,
    OZ_MODEL_FEATURES_MAX = 65536,
    OZ_MODEL_OUTPUTS_MAX = 1024,
    OZ_MODEL_BATCH_ROWS_MAX = 65536
};

struct oz_model;

struct oz_model_info {
    const char *format;    /* "xgboost-json", "xgboost-ubjson" */
    const char *objective; /* the trainer's own word: "binary:logistic" */
    char sha256[65];       /* of the file */
    uint32_t n_features;
    const char *const *feature; /* names in the model's order, or NULL when the file has none */
    uint32_t n_outputs;
    uint32_t n_trees, n_nodes;
    size_t memory_bytes;
    bool f32_outputs; /* scores are printed as floats: shortest form of their own type */
};

enum oz_status oz_model_load(const char *path, struct oz_model **ret_model,
                             struct oz_error *err) OZ_MUST_USE;
/* The same from bytes; `name` stands in messages. What the fuzzer drives. */
enum oz_status oz_model_parse(const char *name, const uint8_t *bytes, size_t n,
                              struct oz_model **ret_model, struct oz_error *err) OZ_MUST_USE;
void oz_model_free(struct oz_model *model);
const struct oz_model_info *oz_model_info(const struct oz_model *model);

/* Bytes of scratch that one call of oz_model_predict() with up to n_rows rows needs. */
size_t oz_model_scratch_bytes(const struct oz_model *model, size_t n_rows);
/* column[f][0, n_rows) are the rows' values of model feature f. Allocates nothing; cannot fail. */
void oz_model_predict(const struct oz_model *model, const double *const *column, size_t n_rows,
                      void *scratch, double *ret_outputs);

/* Golden rows: a CSV file beside the model, `<model without its ending>.golden.csv`. Its header
 * names the model's features and then `output` (or output_0, output_1, ...); each line is a row and
 * what the trainer itself predicted for it; an empty cell is null. Outputs must agree to the bit
 * (as floats where f32_outputs). Missing file: OZ_ENVIRONMENT; a difference: OZ_MODEL with the
 * line. */
enum oz_status oz_model_check_golden(const struct oz_model *model, const char *csv_path,
                                     size_t *ret_n_rows, struct oz_error *err) OZ_MUST_USE;
#endif
