/* Scaler, Normalizer, Binarizer and Imputer: numbers to numbers, column by column or row by row.
 *
 * Lists of attributes have one entry for all columns or one for each. Columns are along the last
 * axis; with one entry the shape does not matter. */
#include <float.h>
#include <math.h>
#include "models/net/ml_rows.h"
#include "models/net/op_tables.h"

/* The columns of x for a list of n entries: 1 when the list serves them all. */
static enum oz_status count_columns(const struct oz_tensor *x, size_t n, const char *what,
                                    size_t *ret_n_cols, struct oz_error *err)
{
    char words[OZ_TENSOR_WORDS_BYTES];
    bool has_columns = x->rank == 1 || x->rank == 2;
    if (n != 1 && !(has_columns && (uint64_t)x->dim[x->rank - 1] == n))
        OZ_FAIL(err, OZ_MODEL,
                "the input is %s, %s has %zu entries; served are one, or one for "
                "each column of an input of rank 1 or 2",
                oz_tensor_words(x, words), what, n);
    *ret_n_cols = n;
    return OZ_OK;
}

static enum oz_status refuse_type(const struct oz_tensor *x, const char *served,
                                  struct oz_error *err)
{
    char words[OZ_TENSOR_WORDS_BYTES];
    OZ_FAIL(err, OZ_MODEL, "the input is %s; served are %s", oz_tensor_words(x, words), served);
}

/* ---- Scaler: (x - offset) * scale; of a double in double, of integers in float ---- */

struct scaler {
    const float *offset, *scale; /* [n] */
    size_t n;
};

static enum oz_status compile_scaler(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct scaler *scaler = oz_node_state(net, node, sizeof *scaler);
    if (!scaler) return oz_no_memory(err);
    size_t n_offsets;
    OZ_TRY(oz_attr_floats(node, "scale", &scaler->scale, &scaler->n, err));
    OZ_TRY(oz_attr_floats(node, "offset", &scaler->offset, &n_offsets, err));
    if (!scaler->n || scaler->n != n_offsets)
        OZ_FAIL(err, OZ_MODEL, "scale has %zu entries and offset %zu; served is as many of both",
                scaler->n, n_offsets);
    return OZ_OK;
}

static enum oz_status run_scaler(struct oz_exec *exec, const struct oz_node *node,
                                 struct oz_error *err)
{
    const struct scaler *scaler = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    struct oz_tensor *y;
    size_t n_cols;
    if (x->dtype != OZ_DTYPE_F32 && x->dtype != OZ_DTYPE_F64 && x->dtype != OZ_DTYPE_I32 &&
        x->dtype != OZ_DTYPE_I64)
        return refuse_type(x, "float, double, int32 and int64", err);
    OZ_TRY(count_columns(x, scaler->n, "scale", &n_cols, err));
    OZ_TRY(oz_exec_out(exec, node, 0, OZ_DTYPE_F32, x->rank, x->dim, &y, err));
    if (!y->data) return OZ_OK;
    for (int64_t at = 0; at < x->n; at += (int64_t)n_cols) {
        float *to = y->f32 + at;
        switch (x->dtype) {
        case OZ_DTYPE_F64:
            for (size_t c = 0; c < n_cols; c++)
                to[c] = (float)((x->f64[(size_t)at + c] - (double)scaler->offset[c]) *
                                (double)scaler->scale[c]);
            break;
        case OZ_DTYPE_I32:
            for (size_t c = 0; c < n_cols; c++)
                to[c] = ((float)x->i32[(size_t)at + c] - scaler->offset[c]) * scaler->scale[c];
            break;
        case OZ_DTYPE_I64:
            for (size_t c = 0; c < n_cols; c++)
                to[c] = ((float)x->i64[(size_t)at + c] - scaler->offset[c]) * scaler->scale[c];
            break;
        default:
            for (size_t c = 0; c < n_cols; c++)
                to[c] = (x->f32[(size_t)at + c] - scaler->offset[c]) * scaler->scale[c];
        }
    }
    return OZ_OK;
}

/* ---- Normalizer: each row divided by its norm; one of norm 0 stays as it is ---- */

enum norm { NORM_MAX, NORM_L1, NORM_L2 };
static const char *const norm_words[] = {"MAX", "L1", "L2", NULL};

struct normalizer {
    enum norm norm;
};

static enum oz_status compile_normalizer(struct oz_net *net, struct oz_node *node,
                                         struct oz_error *err)
{
    struct normalizer *normalizer = oz_node_state(net, node, sizeof *normalizer);
    if (!normalizer) return oz_no_memory(err);
    int norm;
    OZ_TRY(oz_attr_choice(node, "norm", norm_words, NORM_MAX, &norm, err));
    normalizer->norm = (enum norm)norm;
    return OZ_OK;
}

/* MAX is the largest value, not the largest magnitude: so says the specification, and so does ONNX
 * Runtime (scikit-learn's own "max" takes magnitudes). NaN makes L1 and L2 NaN and is skipped by
 * MAX. Sums are double, so that squares neither overflow nor vanish. */
static double norm_of(enum norm norm, const float *row, size_t n)
{
    double v = norm == NORM_MAX ? (double)-FLT_MAX : 0.0;
    for (size_t i = 0; i < n; i++) {
        double x = (double)row[i];
        if (norm == NORM_MAX)
            v = x > v ? x : v;
        else
            v += norm == NORM_L1 ? fabs(x) : x * x;
    }
    return norm == NORM_L2 ? sqrt(v) : v;
}

static enum oz_status run_normalizer(struct oz_exec *exec, const struct oz_node *node,
                                     struct oz_error *err)
{
    const struct normalizer *normalizer = node->state;
    struct oz_ml_rows x;
    struct oz_tensor *y;
    void *scratch;
    OZ_TRY(oz_ml_rows(oz_exec_in(exec, node, 0), &x, err));
    OZ_TRY(oz_exec_scratch(exec, node, x.n_cols * sizeof(float), &scratch, err));
    OZ_TRY(oz_exec_out(exec, node, 0, OZ_DTYPE_F32, x.tensor->rank, x.tensor->dim, &y, err));
    if (!y->data) return OZ_OK;
    for (size_t r = 0; r < x.n_rows; r++) {
        const float *row = oz_ml_row_f32(&x, r, scratch);
        double norm = norm_of(normalizer->norm, row, x.n_cols);
        float *to = y->f32 + r * x.n_cols;
        for (size_t c = 0; c < x.n_cols; c++)
            to[c] = norm == 0.0 ? row[c] : (float)((double)row[c] / norm);
    }
    return OZ_OK;
}

/* ---- Binarizer: 1 when greater than the threshold, else 0 (also for NaN) ---- */

struct binarizer {
    float threshold;
};

static enum oz_status compile_binarizer(struct oz_net *net, struct oz_node *node,
                                        struct oz_error *err)
{
    struct binarizer *binarizer = oz_node_state(net, node, sizeof *binarizer);
    if (!binarizer) return oz_no_memory(err);
    return oz_attr_f32(node, "threshold", 0.0f, &binarizer->threshold, err);
}

static enum oz_status run_binarizer(struct oz_exec *exec, const struct oz_node *node,
                                    struct oz_error *err)
{
    const struct binarizer *binarizer = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    struct oz_tensor *y;
    if (x->dtype != OZ_DTYPE_F32 && x->dtype != OZ_DTYPE_F64 && x->dtype != OZ_DTYPE_I32 &&
        x->dtype != OZ_DTYPE_I64)
        return refuse_type(x, "float, double, int32 and int64", err);
    OZ_TRY(oz_exec_out(exec, node, 0, x->dtype, x->rank, x->dim, &y, err));
    if (!y->data) return OZ_OK;
    double threshold = (double)binarizer->threshold;
    switch (x->dtype) {
    case OZ_DTYPE_F64:
        for (int64_t i = 0; i < x->n; i++) y->f64[i] = x->f64[i] > threshold;
        break;
    case OZ_DTYPE_I32:
        for (int64_t i = 0; i < x->n; i++) y->i32[i] = (double)x->i32[i] > threshold;
        break;
    case OZ_DTYPE_I64:
        for (int64_t i = 0; i < x->n; i++) y->i64[i] = (double)x->i64[i] > threshold;
        break;
    default:
        for (int64_t i = 0; i < x->n; i++) y->f32[i] = x->f32[i] > binarizer->threshold;
    }
    return OZ_OK;
}

/* ---- Imputer: what equals one value becomes another; NaN equals NaN ---- */

struct imputer {
    const float *floats; /* [n_floats], for float and double */
    const int64_t *ints; /* [n_ints], for int64 and int32 */
    size_t n_floats, n_ints;
    float replaced_float;
    int64_t replaced_int;
};

static enum oz_status compile_imputer(struct oz_net *net, struct oz_node *node,
                                      struct oz_error *err)
{
    struct imputer *imputer = oz_node_state(net, node, sizeof *imputer);
    if (!imputer) return oz_no_memory(err);
    OZ_TRY(oz_attr_floats(node, "imputed_value_floats", &imputer->floats, &imputer->n_floats, err));
    OZ_TRY(oz_attr_ints(node, "imputed_value_int64s", &imputer->ints, &imputer->n_ints, err));
    OZ_TRY(oz_attr_f32(node, "replaced_value_float", 0.0f, &imputer->replaced_float, err));
    OZ_TRY(oz_attr_i64(node, "replaced_value_int64", 0, &imputer->replaced_int, err));
    if ((imputer->n_floats > 0) == (imputer->n_ints > 0))
        OZ_FAIL(err, OZ_MODEL,
                "%s of imputed_value_floats and imputed_value_int64s must have "
                "entries",
                imputer->n_ints ? "only one" : "one");
    return OZ_OK;
}

static enum oz_status check_imputer(const struct imputer *imputer, const struct oz_tensor *x,
                                    struct oz_error *err)
{
    bool is_float = oz_dtype_is_float(x->dtype);
    if (!is_float && x->dtype != OZ_DTYPE_I32 && x->dtype != OZ_DTYPE_I64)
        return refuse_type(x, "float, double, int32 and int64", err);
    if (is_float != (imputer->n_floats > 0))
        return refuse_type(x,
                           imputer->n_floats ? "float and double, as imputed_value_floats are given"
                                             : "int64 and int32, as imputed_value_int64s are given",
                           err);
    if (x->dtype != OZ_DTYPE_I32) return OZ_OK;
    for (size_t i = 0; i < imputer->n_ints; i++)
        if (imputer->ints[i] < INT32_MIN || imputer->ints[i] > INT32_MAX)
            OZ_FAIL(err, OZ_MODEL, "%lld is imputed and is no int32", (long long)imputer->ints[i]);
    return OZ_OK;
}

static enum oz_status run_imputer(struct oz_exec *exec, const struct oz_node *node,
                                  struct oz_error *err)
{
    const struct imputer *imputer = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    struct oz_tensor *y;
    size_t n_cols;
    OZ_TRY(check_imputer(imputer, x, err));
    OZ_TRY(count_columns(x, imputer->n_floats + imputer->n_ints, "the list of imputed values",
                         &n_cols, err));
    OZ_TRY(oz_exec_out(exec, node, 0, x->dtype, x->rank, x->dim, &y, err));
    if (!y->data) return OZ_OK;
    float old_float = imputer->replaced_float;
    int64_t old_int = imputer->replaced_int;
    for (int64_t at = 0; at < x->n; at += (int64_t)n_cols) switch (x->dtype) {
#define COLUMNS(dtype, field, T, is_old, imputed)                                                  \
    case dtype:                                                                                    \
        for (size_t c = 0; c < n_cols; c++) {                                                      \
            T v = x->field[(size_t)at + c];                                                        \
            y->field[(size_t)at + c] = (is_old) ? (T)imputer->imputed[c] : v;                      \
        }                                                                                          \
        break;
            COLUMNS(OZ_DTYPE_F32, f32, float, v == old_float || (isnan(v) && isnan(old_float)),
                    floats)
            COLUMNS(OZ_DTYPE_F64, f64, double,
                    v == (double)old_float || (isnan(v) && isnan(old_float)), floats)
            COLUMNS(OZ_DTYPE_I32, i32, int32_t, v == old_int, ints)
            COLUMNS(OZ_DTYPE_I64, i64, int64_t, v == old_int, ints)
#undef COLUMNS
        default: break;
        }
    return OZ_OK;
}

const struct oz_op oz_ops_scaler[] = {
    {"Scaler", OZ_DOMAIN_ML, 1, 1, 1, 1, 1, compile_scaler, NULL, run_scaler},
    {"Normalizer", OZ_DOMAIN_ML, 1, 1, 1, 1, 1, compile_normalizer, NULL, run_normalizer},
    {"Binarizer", OZ_DOMAIN_ML, 1, 1, 1, 1, 1, compile_binarizer, NULL, run_binarizer},
    {"Imputer", OZ_DOMAIN_ML, 1, 1, 1, 1, 1, compile_imputer, NULL, run_imputer},
    {0},
};
