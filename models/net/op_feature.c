/* ArrayFeatureExtractor and FeatureVectorizer, which pick and join columns, and the two operators
 * that have maps: ZipMap and DictVectorizer.
 *
 * A map has no tensor of its own here: a batch of maps is a matrix with a column for each key
 * (struct oz_value, is_map). So both change nothing but the names of columns. */
#include <string.h>
#include "models/net/ml_rows.h"
#include "models/net/op_tables.h"

/* ---- ArrayFeatureExtractor: columns of X by the numbers in Y ---- */

static enum oz_status check_extractor(const struct oz_tensor *x, const struct oz_tensor *y,
                                      struct oz_error *err)
{
    char words[OZ_TENSOR_WORDS_BYTES];
    switch (x->dtype) {
    case OZ_DTYPE_U8:
    case OZ_DTYPE_I8:
    case OZ_DTYPE_BOOL:
        OZ_FAIL(err, OZ_MODEL, "X is %s; served are float, double, int32, int64 and string",
                oz_tensor_words(x, words));
    default: break;
    }
    if (!x->rank) OZ_FAIL(err, OZ_MODEL, "X is a scalar and has no columns");
    if (y->dtype != OZ_DTYPE_I64)
        OZ_FAIL(err, OZ_MODEL, "Y is %s; served is int64", oz_tensor_words(y, words));
    if (!y->n) OZ_FAIL(err, OZ_MODEL, "Y names no columns");
    return OZ_OK;
}

static enum oz_status run_extractor(struct oz_exec *exec, const struct oz_node *node,
                                    struct oz_error *err)
{
    const struct oz_tensor *x = oz_exec_in(exec, node, 0), *y = oz_exec_in(exec, node, 1);
    struct oz_tensor *z;
    OZ_TRY(check_extractor(x, y, err));
    /* A row becomes a matrix of one row. */
    int64_t dim[OZ_RANK_MAX] = {1}, n_cols = x->dim[x->rank - 1];
    size_t rank = x->rank == 1 ? 2 : x->rank;
    if (x->rank > 1) memcpy(dim, x->dim, x->rank * sizeof *dim);
    dim[rank - 1] = y->n;
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)x->dtype, rank, dim, &z, err));
    if (!z->data) return OZ_OK;
    for (int64_t i = 0; i < y->n; i++)
        if (y->i64[i] < 0 || y->i64[i] >= n_cols)
            OZ_FAIL(err, OZ_MODEL, "Y names column %lld of %lld", (long long)y->i64[i],
                    (long long)n_cols);
    /* n_cols > 0: any number was refused otherwise. */
    size_t bytes = oz_dtype_bytes((enum oz_dtype)x->dtype);
    const char *from = x->data;
    char *to = z->data;
    for (int64_t row = 0; row < x->n / n_cols; row++, from += (size_t)n_cols * bytes)
        for (int64_t i = 0; i < y->n; i++, to += bytes)
            memcpy(to, from + (size_t)y->i64[i] * bytes, bytes);
    return OZ_OK;
}

/* ---- FeatureVectorizer: inputs side by side, each cut or filled with zeros to its width ---- */

struct vectorizer {
    const int64_t *width; /* [n] */
    size_t n;
    int64_t total;
};

static enum oz_status compile_vectorizer(struct oz_net *net, struct oz_node *node,
                                         struct oz_error *err)
{
    struct vectorizer *vectorizer = oz_node_state(net, node, sizeof *vectorizer);
    if (!vectorizer) return oz_no_memory(err);
    OZ_TRY(oz_attr_ints(node, "inputdimensions", &vectorizer->width, &vectorizer->n, err));
    if (vectorizer->n != node->n_inputs)
        OZ_FAIL(err, OZ_MODEL, "inputdimensions has %zu entries for %u inputs", vectorizer->n,
                node->n_inputs);
    for (size_t i = 0; i < vectorizer->n; i++) {
        int64_t width = vectorizer->width[i];
        if (width < 0 || width > OZ_TENSOR_ELEMENTS_MAX - vectorizer->total)
            OZ_FAIL(err, OZ_MODEL, "inputdimensions has %lld", (long long)width);
        vectorizer->total += width;
    }
    return OZ_OK;
}

/* An input of a higher rank has its further dimensions side by side. */
static enum oz_status check_part(const struct oz_tensor *x, int64_t *ret_n_rows,
                                 struct oz_error *err)
{
    char words[OZ_TENSOR_WORDS_BYTES];
    if (x->dtype != OZ_DTYPE_F32 && x->dtype != OZ_DTYPE_F64 && x->dtype != OZ_DTYPE_I32 &&
        x->dtype != OZ_DTYPE_I64)
        OZ_FAIL(err, OZ_MODEL, "an input is %s; served are float, double, int32 and int64",
                oz_tensor_words(x, words));
    if (!x->rank) OZ_FAIL(err, OZ_MODEL, "an input is a scalar and has no columns");
    *ret_n_rows = x->rank == 1 ? 1 : x->dim[0];
    return OZ_OK;
}

static void put_part(const struct oz_tensor *x, int64_t n_rows, int64_t width, float *to,
                     int64_t total)
{
    int64_t n_cols = x->rank == 1 ? x->n : oz_tensor_count(x, 1, x->rank);
    int64_t n = OZ_MIN(width, n_cols);
    for (int64_t row = 0; row < n_rows; row++, to += total) {
        int64_t at = row * n_cols;
        switch (x->dtype) {
#define CONVERTED(dtype, field)                                                                    \
    case dtype:                                                                                    \
        for (int64_t c = 0; c < n; c++) to[c] = (float)x->field[at + c];                           \
        break;
            CONVERTED(OZ_DTYPE_F32, f32)
            CONVERTED(OZ_DTYPE_F64, f64)
            CONVERTED(OZ_DTYPE_I32, i32)
            CONVERTED(OZ_DTYPE_I64, i64)
#undef CONVERTED
        default: break;
        }
        for (int64_t c = n; c < width; c++) to[c] = 0.0f;
    }
}

static enum oz_status run_vectorizer(struct oz_exec *exec, const struct oz_node *node,
                                     struct oz_error *err)
{
    const struct vectorizer *vectorizer = node->state;
    struct oz_tensor *y;
    int64_t n_rows = 0, n = 0;
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        const struct oz_tensor *x = oz_exec_in(exec, node, i);
        OZ_TRY(check_part(x, &n, err));
        if (i && n != n_rows)
            OZ_FAIL(err, OZ_MODEL, "the inputs have %lld and %lld rows", (long long)n_rows,
                    (long long)n);
        n_rows = n;
    }
    const int64_t dim[] = {n_rows, vectorizer->total};
    OZ_TRY(oz_exec_out(exec, node, 0, OZ_DTYPE_F32, 2, dim, &y, err));
    if (!y->data) return OZ_OK;
    float *to = y->f32;
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        put_part(oz_exec_in(exec, node, i), n_rows, vectorizer->width[i], to, vectorizer->total);
        to += vectorizer->width[i];
    }
    return OZ_OK;
}

/* ---- ZipMap and DictVectorizer ---- */

struct map_keys {
    struct oz_ml_labels labels;
};

static enum oz_status read_map_keys(struct oz_net *net, struct oz_node *node, const char *ints_name,
                                    const char *texts_name, struct map_keys **ret_keys,
                                    const struct oz_str **ret_names, struct oz_error *err)
{
    struct map_keys *keys = oz_node_state(net, node, sizeof *keys);
    if (!keys) return oz_no_memory(err);
    OZ_TRY(oz_ml_labels(node, ints_name, texts_name, &keys->labels, err));
    const struct oz_str *names = oz_ml_labels_as_texts(net, &keys->labels);
    if (!names) return oz_no_memory(err);
    *ret_keys = keys;
    *ret_names = names;
    return OZ_OK;
}

static enum oz_status check_map(const struct oz_tensor *x, size_t n_keys, struct oz_error *err)
{
    char words[OZ_TENSOR_WORDS_BYTES];
    if ((x->rank != 1 && x->rank != 2) || (uint64_t)x->dim[x->rank - 1] != n_keys)
        OZ_FAIL(err, OZ_MODEL, "the input is %s, the keys of the map are %zu",
                oz_tensor_words(x, words), n_keys);
    return OZ_OK;
}

static enum oz_status compile_zip_map(struct oz_net *net, struct oz_node *node,
                                      struct oz_error *err)
{
    struct map_keys *keys;
    const struct oz_str *names;
    OZ_TRY(
        read_map_keys(net, node, "classlabels_int64s", "classlabels_strings", &keys, &names, err));
    if (node->output[0] == OZ_NO_VALUE) return OZ_OK;
    struct oz_value *z = &net->value[node->output[0]];
    z->is_map = true;
    z->column = names;
    z->n_columns = keys->labels.n;
    return OZ_OK;
}

static enum oz_status run_zip_map(struct oz_exec *exec, const struct oz_node *node,
                                  struct oz_error *err)
{
    char words[OZ_TENSOR_WORDS_BYTES];
    const struct map_keys *keys = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    if (x->dtype != OZ_DTYPE_F32)
        OZ_FAIL(err, OZ_MODEL, "the input is %s; served is float", oz_tensor_words(x, words));
    OZ_TRY(check_map(x, keys->labels.n, err));
    const int64_t dim[] = {x->rank == 1 ? 1 : x->dim[0], x->dim[x->rank - 1]};
    return oz_exec_view(exec, node, 0, 0, 2, dim, err);
}

static bool same_names(const struct oz_str *a, const struct oz_str *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (a[i].len != b[i].len || (a[i].len && memcmp(a[i].data, b[i].data, a[i].len)))
            return false;
    return true;
}

/* The vocabulary becomes the columns of the input. A map that has columns already (of a ZipMap, or
 * of another DictVectorizer) must have the same, or the identity would be wrong. */
static enum oz_status compile_dict_vectorizer(struct oz_net *net, struct oz_node *node,
                                              struct oz_error *err)
{
    struct map_keys *keys;
    const struct oz_str *names;
    OZ_TRY(read_map_keys(net, node, "int64_vocabulary", "string_vocabulary", &keys, &names, err));
    struct oz_value *x = &net->value[node->input[0]];
    if (!x->is_map) OZ_FAIL(err, OZ_MODEL, "the input `%s` is no map", x->name);
    if (x->column &&
        (x->n_columns != keys->labels.n || !same_names(x->column, names, x->n_columns)))
        OZ_FAIL(err, OZ_MODEL,
                "the map `%s` has other keys than the vocabulary, in this order; that "
                "is not served",
                x->name);
    x->column = names;
    x->n_columns = keys->labels.n;
    return OZ_OK;
}

static enum oz_status run_dict_vectorizer(struct oz_exec *exec, const struct oz_node *node,
                                          struct oz_error *err)
{
    const struct map_keys *keys = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    OZ_TRY(check_map(x, keys->labels.n, err));
    const int64_t dim[] = {x->rank == 1 ? 1 : x->dim[0], x->dim[x->rank - 1]};
    return oz_exec_view(exec, node, 0, 0, 2, dim, err);
}

const struct oz_op oz_ops_feature[] = {
    {"ArrayFeatureExtractor", OZ_DOMAIN_ML, 1, 2, 2, 1, 1, NULL, NULL, run_extractor},
    {"FeatureVectorizer", OZ_DOMAIN_ML, 1, 1, OZ_NET_NODE_ARGS_MAX, 1, 1, compile_vectorizer, NULL,
     run_vectorizer},
    {"ZipMap", OZ_DOMAIN_ML, 1, 1, 1, 1, 1, compile_zip_map, NULL, run_zip_map},
    {"DictVectorizer", OZ_DOMAIN_ML, 1, 1, 1, 1, 1, compile_dict_vectorizer, NULL,
     run_dict_vectorizer},
    {0},
};
