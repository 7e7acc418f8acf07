/* A loaded model: values of one row in, scores of that row out, as its trainer predicts: to the bit
 * for trees, within a stated tolerance for nets.
 *
 * Shapes: inputs are columns, one pointer per feature of the model in the model's own order, of
 * doubles (NaN for null) or of texts (data == NULL for null); scores are [n_rows x n_scores]
 * row-major. A row's scores do not depend on the rows beside it.
 * Nulls: trees know missing values; to a net, null is NaN where the input is of floats. Where it is
 * not (integers, booleans, texts), or a number does not fit the input's type, the row has no
 * scores: they are NaN.
 * Threads: a model never changes after it is loaded; any number of threads may predict with it,
 * each with its own scratch. Ownership: oz_model_load() gives the model, oz_model_free() takes it.
 * Errors: OZ_MODEL for a file that is damaged, hostile or asks for what is not served; the message
 * names the file, the place in it and the thing by the trainer's own word.
 * Limits: OZ_MODEL_* below; a file beyond them is refused, not cut. */
#ifndef OZ_MODELS_MODEL_H
#define OZ_MODELS_MODEL_H
#include "base/arena.h"
#include "base/columns.h"
#include "models/model_info.h"

enum {
    OZ_MODEL_FILE_BYTES_MAX = 1 << 30,
    OZ_MODEL_FEATURES_MAX = 65536,
    OZ_MODEL_OUTPUTS_MAX = 65536,
    OZ_MODEL_BATCH_ROWS_MAX = 65536
};

struct oz_model;

/* One feature's values of the rows. It has the layout of a pointer. */
union oz_model_column {
    const double *f64;
    const struct oz_str *text;
};

/* How many features a net takes, where its file leaves the length of a sequence open. */
struct oz_model_width {
    const char *input; /* NULL: all inputs together */
    uint32_t n_features;
};
struct oz_model_widths {
    const struct oz_model_width *width;
    size_t n;
};

enum oz_status oz_model_load(const char *path, struct oz_model **ret_model,
                             struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_model_load_sized(const char *path, const struct oz_model_widths *widths,
                                   struct oz_model **ret_model, struct oz_error *err) OZ_MUST_USE;
/* The same from bytes; `name` stands in messages; widths may be NULL. What the fuzzer drives. */
enum oz_status oz_model_parse(const char *name, const uint8_t *bytes, size_t n,
                              struct oz_model **ret_model, struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_model_parse_sized(const char *name, const uint8_t *bytes, size_t n,
                                    const struct oz_model_widths *widths,
                                    struct oz_model **ret_model, struct oz_error *err) OZ_MUST_USE;
void oz_model_free(struct oz_model *model);
const struct oz_model_info *oz_model_info(const struct oz_model *model);

/* Bytes of scratch that one call of oz_model_predict() with up to n_rows rows needs. */
size_t oz_model_scratch_bytes(const struct oz_model *model, size_t n_rows);
/* column[f][0, n_rows) are the rows' values of model feature f. Allocates nothing. Returns how many
 * rows the model could not take (an index out of range, say): their scores are NaN, as are those of
 * rows with a null where none may be, which are not counted. */
size_t oz_model_predict(const struct oz_model *model, const union oz_model_column *column,
                        size_t n_rows, void *scratch, double *ret_scores);
/* What oz_model_predict_texts() gives beside the scores. */
struct oz_model_texts {
    struct oz_arena *arena; /* the caller's: bytes of texts are copied to it */
    struct oz_str *text;    /* the caller's [n_rows x info->n_texts]; data == NULL: no scores */
    size_t n_failed;        /* as oz_model_predict() returns it */
    size_t failed_row;      /* the first of these rows, and why */
    struct oz_error failure;
};
/* The same with the text outputs. It fails for want of memory only. */
enum oz_status oz_model_predict_texts(const struct oz_model *model,
                                      const union oz_model_column *column, size_t n_rows,
                                      void *scratch, double *ret_scores,
                                      struct oz_model_texts *texts,
                                      struct oz_error *err) OZ_MUST_USE;

/* Golden rows: a CSV file beside the model, `<model without its ending>.golden.csv`. Its header
 * names the model's features (by place where the file has no names of its own) and then its scores
 * by their columns' names, or as `output` (output_0, output_1, ...); each line is a row and what
 * the trainer itself predicted for it; an empty cell is null. Scores must agree to the bit (as
 * floats where they are), or within info->tolerance. Missing file: OZ_ENVIRONMENT; a difference:
 * OZ_MODEL with the line. */
enum oz_status oz_model_check_golden(const struct oz_model *model, const char *csv_path,
                                     size_t *ret_n_rows, struct oz_error *err) OZ_MUST_USE;
/* The path of a model's golden rows, in the arena; NULL: out of memory. */
const char *oz_model_golden_path(struct oz_arena *arena, const char *model_path);
#endif
