/* What the operators of ai.onnx.ml share: inputs that are rows of numbers of several types, class
 * labels that are integers or texts, and products of rows.
 *
 * Layout: an input of rank 1 is one row, one of rank 2 is [n_rows x n_cols]; other ranks are
 * refused, as their meaning is written nowhere.
 * Threads: any. Ownership: labels borrow the node's attributes. */
#ifndef OZ_MODELS_NET_ML_ROWS_H
#define OZ_MODELS_NET_ML_ROWS_H
#include "models/net/op.h"

struct oz_ml_rows {
    const struct oz_tensor *tensor; /* float, double, int32 or int64; data NULL while planning */
    size_t n_rows, n_cols;
};

/* Refuses other types and ranks. */
enum oz_status oz_ml_rows(const struct oz_tensor *x, struct oz_ml_rows *ret_rows,
                          struct oz_error *err) OZ_MUST_USE;
/* Row `row` as floats: in place, or converted into scratch[n_cols]. */
const float *oz_ml_row_f32(const struct oz_ml_rows *rows, size_t row, float *scratch);

/* Sum of a[i] * b[i], in double and in an order that depends on n alone. */
double oz_ml_dot(const float *a, const float *b, size_t n);
/* Sum of (a[i] - b[i])^2, likewise; the differences are floats. */
double oz_ml_squared_distance(const float *a, const float *b, size_t n);

struct oz_ml_labels {
    bool is_text;
    size_t n;
    const int64_t *ints;
    const struct oz_str *texts;
};
/* From whichever of the two attributes the node has; both or neither: refused. */
enum oz_status oz_ml_labels(struct oz_node *node, const char *ints_name, const char *texts_name,
                            struct oz_ml_labels *ret_labels, struct oz_error *err) OZ_MUST_USE;
enum oz_dtype oz_ml_labels_dtype(const struct oz_ml_labels *labels);
/* Writes label `which` as element i of a tensor of that dtype. */
void oz_ml_label_put(const struct oz_ml_labels *labels, size_t which, struct oz_tensor *tensor,
                     size_t i);
/* The labels as texts, in the net's arena: names of columns. NULL: out of memory. */
const struct oz_str *oz_ml_labels_as_texts(struct oz_net *net, const struct oz_ml_labels *labels);
#endif
