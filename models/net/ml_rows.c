#include "models/net/ml_rows.h"
#include <inttypes.h>
#include <string.h>

enum oz_status oz_ml_rows(const struct oz_tensor *x, struct oz_ml_rows *ret_rows,
                          struct oz_error *err)
{
    char words[OZ_TENSOR_WORDS_BYTES];
    switch (x->dtype) {
    case OZ_DTYPE_F32:
    case OZ_DTYPE_F64:
    case OZ_DTYPE_I32:
    case OZ_DTYPE_I64: break;
    default:
        OZ_FAIL(err, OZ_MODEL, "the input is %s; served are float, double, int32 and int64",
                oz_tensor_words(x, words));
    }
    if (x->rank != 1 && x->rank != 2)
        OZ_FAIL(err, OZ_MODEL, "the input is %s; served are ranks 1 and 2",
                oz_tensor_words(x, words));
    *ret_rows = (struct oz_ml_rows){.tensor = x,
                                    .n_rows = x->rank == 1 ? 1 : (size_t)x->dim[0],
                                    .n_cols = (size_t)x->dim[x->rank - 1]};
    return OZ_OK;
}

const float *oz_ml_row_f32(const struct oz_ml_rows *rows, size_t row, float *scratch)
{
    size_t n = rows->n_cols;
    switch (rows->tensor->dtype) {
#define CONVERTED(dtype, field)                                                                    \
    case dtype:                                                                                    \
        for (size_t i = 0; i < n; i++) scratch[i] = (float)rows->tensor->field[row * n + i];       \
        return scratch;
        CONVERTED(OZ_DTYPE_F64, f64)
        CONVERTED(OZ_DTYPE_I32, i32)
        CONVERTED(OZ_DTYPE_I64, i64)
#undef CONVERTED
    default: return rows->tensor->f32 + row * n;
    }
}

/* Four lanes hide the latency of the additions; they are added up in one order. */
enum { LANES = 4 };

double oz_ml_dot(const float *a, const float *b, size_t n)
{
    double sum[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++) sum[k] += (double)a[i + k] * (double)b[i + k];
    for (; i < n; i++) sum[i % LANES] += (double)a[i] * (double)b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

double oz_ml_squared_distance(const float *a, const float *b, size_t n)
{
    double sum[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++) {
            double d = (double)(a[i + k] - b[i + k]);
            sum[k] += d * d;
        }
    for (; i < n; i++) {
        double d = (double)(a[i] - b[i]);
        sum[i % LANES] += d * d;
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

enum oz_status oz_ml_labels(struct oz_node *node, const char *ints_name, const char *texts_name,
                            struct oz_ml_labels *ret_labels, struct oz_error *err)
{
    struct oz_ml_labels labels = {0};
    size_t n_ints, n_texts;
    OZ_TRY(oz_attr_ints(node, ints_name, &labels.ints, &n_ints, err));
    OZ_TRY(oz_attr_strings(node, texts_name, &labels.texts, &n_texts, err));
    if ((n_ints > 0) == (n_texts > 0))
        OZ_FAIL(err, OZ_MODEL, "%s of %s and %s must have entries", n_ints > 0 ? "only one" : "one",
                ints_name, texts_name);
    labels.is_text = n_texts > 0;
    labels.n = labels.is_text ? n_texts : n_ints;
    *ret_labels = labels;
    return OZ_OK;
}

enum oz_dtype oz_ml_labels_dtype(const struct oz_ml_labels *labels)
{
    return labels->is_text ? OZ_DTYPE_TEXT : OZ_DTYPE_I64;
}

void oz_ml_label_put(const struct oz_ml_labels *labels, size_t which, struct oz_tensor *tensor,
                     size_t i)
{
    if (labels->is_text)
        tensor->text[i] = labels->texts[which];
    else
        tensor->i64[i] = labels->ints[which];
}

const struct oz_str *oz_ml_labels_as_texts(struct oz_net *net, const struct oz_ml_labels *labels)
{
    if (labels->is_text) return labels->texts;
    struct oz_str *texts = oz_arena_zeroed(&net->arena, labels->n, sizeof *texts);
    if (!texts) return NULL;
    for (size_t i = 0; i < labels->n; i++) {
        char *text = oz_arena_printf(&net->arena, "%" PRId64, labels->ints[i]);
        if (!text) return NULL;
        texts[i] = (struct oz_str){text, (uint32_t)strlen(text)};
    }
    return texts;
}
