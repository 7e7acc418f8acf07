/* LabelEncoder (all its forms) and OneHotEncoder: a key's value, or a key's place.
 *
 * Keys are looked up in a table (key_table.h) with int32 widened to int64 and float to double, so
 * that one table serves each pair. Of equal keys the first counts in a LabelEncoder from opset 2
 * on, the last in one before that and in a OneHotEncoder; NaN is a key from opset 4 on. So does
 * ONNX Runtime. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "models/net/key_table.h"
#include "models/net/ml_rows.h"
#include "models/net/op_tables.h"

struct keys {
    enum oz_dtype dtype; /* of the input */
    struct oz_key_table table;
    bool nan_is_key;
};

/* Number of the key that element i of x is, or OZ_NO_KEY. */
static uint32_t find(const struct keys *keys, const struct oz_tensor *x, int64_t i)
{
    switch (x->dtype) {
    case OZ_DTYPE_TEXT: return oz_key_find_text(&keys->table, x->text[i]);
    case OZ_DTYPE_I64: return oz_key_find_i64(&keys->table, x->i64[i]);
    case OZ_DTYPE_I32: return oz_key_find_i64(&keys->table, x->i32[i]);
    default: break;
    }
    double key = x->dtype == OZ_DTYPE_F32 ? (double)x->f32[i] : x->f64[i];
    if (isnan(key) && !keys->nan_is_key) return OZ_NO_KEY;
    return oz_key_find_f64(&keys->table, key);
}

static enum oz_status index_keys(struct oz_net *net, struct keys *keys,
                                 const struct oz_tensor *list, enum oz_key_rule rule,
                                 struct oz_error *err)
{
    size_t n = (size_t)list->n;
    const void *wide = list->data;
    enum oz_key_kind kind = OZ_KEY_TEXT;
    if (list->dtype == OZ_DTYPE_I64) kind = OZ_KEY_I64;
    if (list->dtype == OZ_DTYPE_F64) kind = OZ_KEY_F64;
    if (list->dtype == OZ_DTYPE_I32) {
        int64_t *to = oz_arena_zeroed(&net->arena, n, sizeof *to);
        if (!to) return oz_no_memory(err);
        for (size_t i = 0; i < n; i++) to[i] = list->i32[i];
        wide = to, kind = OZ_KEY_I64;
    }
    if (list->dtype == OZ_DTYPE_F32) {
        double *to = oz_arena_zeroed(&net->arena, n, sizeof *to);
        if (!to) return oz_no_memory(err);
        for (size_t i = 0; i < n; i++) to[i] = (double)list->f32[i];
        wide = to, kind = OZ_KEY_F64;
    }
    keys->dtype = (enum oz_dtype)list->dtype;
    return oz_key_table_init(&keys->table, kind, wide, n, rule, &net->arena, err);
}

/* ---- LabelEncoder ---- */

struct label_encoder {
    struct keys keys;        /* of form 1: the texts */
    enum oz_dtype to;        /* the values' */
    const char *values;      /* [n_keys + 1] of `to`: the last is the default */
    bool is_first_form;      /* opset 1: texts to their places, or places to texts */
    int64_t otherwise_i64;   /* opset 1 */
    struct oz_str otherwise; /* opset 1 */
};

/* A list of an attribute as a tensor; n == 0: absent. */
static enum oz_status read_list(struct oz_node *node, const char *role, struct oz_tensor *ret_list,
                                struct oz_error *err)
{
    char name[32];
    const int64_t *ints;
    const float *floats;
    const struct oz_str *strings;
    const struct oz_tensor *tensor = NULL;
    size_t n_ints, n_floats, n_strings;
    struct oz_tensor list = {.rank = 1};
    snprintf(name, sizeof name, "%s_int64s", role);
    OZ_TRY(oz_attr_ints(node, name, &ints, &n_ints, err));
    snprintf(name, sizeof name, "%s_floats", role);
    OZ_TRY(oz_attr_floats(node, name, &floats, &n_floats, err));
    snprintf(name, sizeof name, "%s_strings", role);
    OZ_TRY(oz_attr_strings(node, name, &strings, &n_strings, err));
    if (node->opset >= 4) {
        snprintf(name, sizeof name, "%s_tensor", role);
        OZ_TRY(oz_attr_tensor(node, name, &tensor, err));
    }
    int n_given = (n_ints > 0) + (n_floats > 0) + (n_strings > 0) + (tensor != NULL);
    if (n_given != 1)
        OZ_FAIL(err, OZ_MODEL, "%s of the lists of %s must have entries",
                n_given ? "only one" : "one", role);
    /* The lists are only read; a tensor has no const member. */
    if (n_ints) list.dtype = OZ_DTYPE_I64, list.n = (int64_t)n_ints, list.data = (void *)ints;
    if (n_floats) list.dtype = OZ_DTYPE_F32, list.n = (int64_t)n_floats, list.data = (void *)floats;
    if (n_strings)
        list.dtype = OZ_DTYPE_TEXT, list.n = (int64_t)n_strings, list.data = (void *)strings;
    if (tensor) list = *tensor;
    switch (list.dtype) {
    case OZ_DTYPE_U8:
    case OZ_DTYPE_I8:
    case OZ_DTYPE_BOOL:
        OZ_FAIL(err, OZ_MODEL,
                "%s_tensor has type %s; served are float, double, int32, int64 and "
                "string",
                role, oz_dtype_word((enum oz_dtype)list.dtype));
    default: break;
    }
    if (!list.n) OZ_FAIL(err, OZ_MODEL, "%s_tensor is empty", role);
    *ret_list = list;
    return OZ_OK;
}

static enum oz_status read_string(struct oz_node *node, const char *name, struct oz_str otherwise,
                                  struct oz_str *ret_v, struct oz_error *err)
{
    const struct oz_attribute *attribute;
    OZ_TRY(oz_attr_find(node, name, OZ_ATTRIBUTE_STRING, &attribute, err));
    *ret_v = attribute ? attribute->s : otherwise;
    return OZ_OK;
}

#define UNUSED ((struct oz_str){"_Unused", 7})

/* Writes the value of unknown keys to `to`. All defaults are asked for, though one is used: a file
 * may have them all. */
static enum oz_status read_default(struct oz_node *node, enum oz_dtype dtype, char *to,
                                   struct oz_error *err)
{
    int64_t i64;
    float f32;
    struct oz_str text;
    const struct oz_tensor *tensor = NULL;
    OZ_TRY(oz_attr_i64(node, "default_int64", -1, &i64, err));
    OZ_TRY(oz_attr_f32(node, "default_float", -0.0f, &f32, err));
    OZ_TRY(read_string(node, "default_string", UNUSED, &text, err));
    if (node->opset >= 4) OZ_TRY(oz_attr_tensor(node, "default_tensor", &tensor, err));
    if (tensor) {
        if (tensor->dtype != dtype || tensor->n != 1)
            OZ_FAIL(err, OZ_MODEL, "default_tensor must be one %s, as the values are",
                    oz_dtype_word(dtype));
        memcpy(to, tensor->data, oz_dtype_bytes(dtype));
        return OZ_OK;
    }
    double f64 = (double)f32;
    int32_t i32 = (int32_t)i64;
    if (dtype == OZ_DTYPE_I32 && i32 != i64)
        OZ_FAIL(err, OZ_MODEL, "default_int64 is %lld and the values are int32", (long long)i64);
    switch (dtype) {
    case OZ_DTYPE_F32: memcpy(to, &f32, sizeof f32); break;
    case OZ_DTYPE_F64: memcpy(to, &f64, sizeof f64); break;
    case OZ_DTYPE_I32: memcpy(to, &i32, sizeof i32); break;
    case OZ_DTYPE_I64: memcpy(to, &i64, sizeof i64); break;
    default: memcpy(to, &text, sizeof text);
    }
    return OZ_OK;
}

static enum oz_status compile_first_form(struct oz_net *net, struct oz_node *node,
                                         struct label_encoder *encoder, struct oz_error *err)
{
    const struct oz_str *texts;
    size_t n;
    OZ_TRY(oz_attr_strings(node, "classes_strings", &texts, &n, err));
    OZ_TRY(oz_attr_i64(node, "default_int64", -1, &encoder->otherwise_i64, err));
    OZ_TRY(read_string(node, "default_string", UNUSED, &encoder->otherwise, err));
    if (!n) OZ_FAIL(err, OZ_MODEL, "classes_strings is missing");
    encoder->is_first_form = true;
    encoder->keys.dtype = OZ_DTYPE_TEXT;
    return oz_key_table_init(&encoder->keys.table, OZ_KEY_TEXT, texts, n, OZ_KEY_LAST_WINS,
                             &net->arena, err);
}

static enum oz_status compile_label_encoder(struct oz_net *net, struct oz_node *node,
                                            struct oz_error *err)
{
    struct label_encoder *encoder = oz_node_state(net, node, sizeof *encoder);
    if (!encoder) return oz_no_memory(err);
    if (node->opset < 2) return compile_first_form(net, node, encoder, err);
    struct oz_tensor keys, values;
    OZ_TRY(read_list(node, "keys", &keys, err));
    OZ_TRY(read_list(node, "values", &values, err));
    if (keys.n != values.n)
        OZ_FAIL(err, OZ_MODEL, "%lld keys and %lld values", (long long)keys.n, (long long)values.n);
    encoder->to = (enum oz_dtype)values.dtype;
    encoder->keys.nan_is_key = node->opset >= 4;
    OZ_TRY(index_keys(net, &encoder->keys, &keys, OZ_KEY_FIRST_WINS, err));
    size_t bytes = oz_dtype_bytes(encoder->to), n = (size_t)values.n; /* n <= OZ_KEYS_MAX */
    char *to = oz_arena_zeroed(&net->arena, n + 1, bytes);
    if (!to) return oz_no_memory(err);
    memcpy(to, values.data, n * bytes);
    encoder->values = to;
    return read_default(node, encoder->to, to + n * bytes, err);
}

static enum oz_status run_first_form(struct oz_exec *exec, const struct oz_node *node,
                                     struct oz_error *err)
{
    char words[OZ_TENSOR_WORDS_BYTES];
    const struct label_encoder *encoder = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    const struct oz_key_table *table = &encoder->keys.table;
    struct oz_tensor *y;
    if (x->dtype != OZ_DTYPE_TEXT && x->dtype != OZ_DTYPE_I64)
        OZ_FAIL(err, OZ_MODEL, "the input is %s; served are string and int64",
                oz_tensor_words(x, words));
    bool to_text = x->dtype == OZ_DTYPE_I64;
    OZ_TRY(oz_exec_out(exec, node, 0, to_text ? OZ_DTYPE_TEXT : OZ_DTYPE_I64, x->rank, x->dim, &y,
                       err));
    if (!y->data) return OZ_OK;
    for (int64_t i = 0; i < x->n; i++) {
        if (to_text) {
            bool known = x->i64[i] >= 0 && x->i64[i] < (int64_t)table->n_keys;
            y->text[i] = known ? table->text[x->i64[i]] : encoder->otherwise;
        } else {
            uint32_t found = oz_key_find_text(table, x->text[i]);
            y->i64[i] = found == OZ_NO_KEY ? encoder->otherwise_i64 : (int64_t)found;
        }
    }
    return OZ_OK;
}

static enum oz_status run_label_encoder(struct oz_exec *exec, const struct oz_node *node,
                                        struct oz_error *err)
{
    char words[OZ_TENSOR_WORDS_BYTES];
    const struct label_encoder *encoder = node->state;
    if (encoder->is_first_form) return run_first_form(exec, node, err);
    const struct keys *keys = &encoder->keys;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    struct oz_tensor *y;
    if (x->dtype != keys->dtype)
        OZ_FAIL(err, OZ_MODEL, "the input is %s, the keys are %s", oz_tensor_words(x, words),
                oz_dtype_word(keys->dtype));
    OZ_TRY(oz_exec_out(exec, node, 0, encoder->to, x->rank, x->dim, &y, err));
    if (!y->data) return OZ_OK;
    size_t bytes = oz_dtype_bytes(encoder->to);
    char *to = y->data;
    for (int64_t i = 0; i < x->n; i++, to += bytes) {
        uint32_t found = find(keys, x, i);
        memcpy(to, encoder->values + (found == OZ_NO_KEY ? keys->table.n_keys : found) * bytes,
               bytes);
    }
    return OZ_OK;
}

/* ---- OneHotEncoder ---- */

struct one_hot {
    struct keys keys;
    bool unknown_is_zeros; /* else unknown categories are refused */
};

static enum oz_status compile_one_hot(struct oz_net *net, struct oz_node *node,
                                      struct oz_error *err)
{
    struct one_hot *one_hot = oz_node_state(net, node, sizeof *one_hot);
    if (!one_hot) return oz_no_memory(err);
    struct oz_ml_labels labels;
    int64_t zeros;
    OZ_TRY(oz_ml_labels(node, "cats_int64s", "cats_strings", &labels, err));
    OZ_TRY(oz_attr_i64(node, "zeros", 1, &zeros, err));
    one_hot->unknown_is_zeros = zeros != 0;
    one_hot->keys.dtype = oz_ml_labels_dtype(&labels);
    return oz_key_table_init(&one_hot->keys.table, labels.is_text ? OZ_KEY_TEXT : OZ_KEY_I64,
                             labels.is_text ? (const void *)labels.texts : labels.ints, labels.n,
                             OZ_KEY_LAST_WINS, &net->arena, err);
}

/* A float's category is its integer part; what has none in int64 is of no category. */
static uint32_t find_truncated(const struct oz_key_table *table, double x)
{
    if (!(x >= -9223372036854775808.0 && x < 9223372036854775808.0)) return OZ_NO_KEY;
    return oz_key_find_i64(table, (int64_t)x);
}

static enum oz_status run_one_hot(struct oz_exec *exec, const struct oz_node *node,
                                  struct oz_error *err)
{
    char words[OZ_TENSOR_WORDS_BYTES];
    const struct one_hot *one_hot = node->state;
    const struct oz_key_table *table = &one_hot->keys.table;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    struct oz_tensor *y;
    bool is_text = x->dtype == OZ_DTYPE_TEXT, is_float = oz_dtype_is_float((enum oz_dtype)x->dtype);
    if (is_text != (one_hot->keys.dtype == OZ_DTYPE_TEXT) ||
        (!is_text && !is_float && x->dtype != OZ_DTYPE_I64 && x->dtype != OZ_DTYPE_I32))
        OZ_FAIL(err, OZ_MODEL, "the input is %s, the categories are %s", oz_tensor_words(x, words),
                oz_dtype_word(one_hot->keys.dtype));
    if (x->rank >= OZ_RANK_MAX)
        OZ_FAIL(err, OZ_MODEL, "the input is %s; ranks up to %d are served",
                oz_tensor_words(x, words), OZ_RANK_MAX - 1);
    int64_t dim[OZ_RANK_MAX], n_categories = table->n_keys;
    memcpy(dim, x->dim, x->rank * sizeof *dim);
    dim[x->rank] = n_categories;
    OZ_TRY(oz_exec_out(exec, node, 0, OZ_DTYPE_F32, x->rank + 1u, dim, &y, err));
    if (!y->data) return OZ_OK;
    memset(y->f32, 0, (size_t)y->n * sizeof *y->f32);
    for (int64_t i = 0; i < x->n; i++) {
        uint32_t found =
            is_float
                ? find_truncated(table, x->dtype == OZ_DTYPE_F32 ? (double)x->f32[i] : x->f64[i])
                : find(&one_hot->keys, x, i);
        if (found != OZ_NO_KEY)
            y->f32[i * n_categories + found] = 1.0f;
        else if (!one_hot->unknown_is_zeros)
            OZ_FAIL(err, OZ_MODEL, "element %lld is of no known category", (long long)i);
    }
    return OZ_OK;
}

const struct oz_op oz_ops_encoder[] = {
    {"LabelEncoder", OZ_DOMAIN_ML, 1, 1, 1, 1, 1, compile_label_encoder, NULL, run_label_encoder},
    {"OneHotEncoder", OZ_DOMAIN_ML, 1, 1, 1, 1, 1, compile_one_hot, NULL, run_one_hot},
    {0},
};
