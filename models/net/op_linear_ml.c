/* LinearRegressor and LinearClassifier: scores = X W^T + b, where W is [n_targets x n_features].
 *
 * The arithmetic is float in, double inside a sum, float out. Where the specification is silent or
 * differs from what ONNX Runtime computes (labels by the raw scores, one score for two classes),
 * this is as ONNX Runtime. */
#include "models/net/ml_rows.h"
#include "models/net/op_tables.h"
#include "models/net/post_transform.h"

struct linear {
    const float *weights, *intercepts; /* intercepts NULL: none */
    size_t n_weights, n_targets;
    enum oz_post_transform transform;
    struct oz_ml_labels labels; /* of a classifier */
    bool adds_second_class;     /* one target, two labels */
};

static enum oz_status read_weights(struct oz_node *node, struct linear *linear,
                                   size_t *ret_n_intercepts, struct oz_error *err)
{
    int transform;
    OZ_TRY(oz_attr_floats(node, "coefficients", &linear->weights, &linear->n_weights, err));
    OZ_TRY(oz_attr_floats(node, "intercepts", &linear->intercepts, ret_n_intercepts, err));
    OZ_TRY(oz_attr_choice(node, "post_transform", oz_post_transform_words, OZ_POST_NONE, &transform,
                          err));
    linear->transform = (enum oz_post_transform)transform;
    if (!linear->n_weights) OZ_FAIL(err, OZ_MODEL, "coefficients are missing");
    return OZ_OK;
}

static enum oz_status check_weights(const struct linear *linear, struct oz_error *err)
{
    if (linear->n_weights % linear->n_targets)
        OZ_FAIL(err, OZ_MODEL, "%zu coefficients are no rows for %zu targets", linear->n_weights,
                linear->n_targets);
    return OZ_OK;
}

static enum oz_status compile_regressor(struct oz_net *net, struct oz_node *node,
                                        struct oz_error *err)
{
    struct linear *linear = oz_node_state(net, node, sizeof *linear);
    if (!linear) return oz_no_memory(err);
    int64_t n_targets;
    size_t n_intercepts;
    OZ_TRY(read_weights(node, linear, &n_intercepts, err));
    OZ_TRY(oz_attr_i64(node, "targets", 1, &n_targets, err));
    if (n_targets < 1 || (uint64_t)n_targets > linear->n_weights)
        OZ_FAIL(err, OZ_MODEL, "targets is %lld, with %zu coefficients", (long long)n_targets,
                linear->n_weights);
    linear->n_targets = (size_t)n_targets;
    if (!n_intercepts) linear->intercepts = NULL;
    if (n_intercepts && n_intercepts != linear->n_targets)
        OZ_FAIL(err, OZ_MODEL, "%zu intercepts for %zu targets", n_intercepts, linear->n_targets);
    return check_weights(linear, err);
}

static enum oz_status compile_classifier(struct oz_net *net, struct oz_node *node,
                                         struct oz_error *err)
{
    struct linear *linear = oz_node_state(net, node, sizeof *linear);
    if (!linear) return oz_no_memory(err);
    /* multi_class says how the classifier was trained; nobody computes anything by it. */
    oz_attr_ignore(node, "multi_class");
    OZ_TRY(read_weights(node, linear, &linear->n_targets, err));
    OZ_TRY(oz_ml_labels(node, "classlabels_ints", "classlabels_strings", &linear->labels, err));
    if (!linear->n_targets)
        OZ_FAIL(err, OZ_MODEL, "intercepts are missing: they say how many classes there are");
    linear->adds_second_class = linear->n_targets == 1 && linear->labels.n == 2;
    if (!linear->adds_second_class && linear->labels.n != linear->n_targets)
        OZ_FAIL(err, OZ_MODEL, "%zu intercepts for %zu classes", linear->n_targets,
                linear->labels.n);
    if (linear->n_targets == 1 && !linear->adds_second_class)
        OZ_FAIL(err, OZ_MODEL, "a classifier of one class is not served");
    if (linear->adds_second_class && linear->transform == OZ_POST_PROBIT)
        OZ_FAIL(err, OZ_MODEL,
                "post_transform PROBIT of one score for two classes is not served: "
                "no meaning is written for it");
    return check_weights(linear, err);
}

/* The columns that X must have. */
static enum oz_status check_columns(const struct linear *linear, const struct oz_ml_rows *x,
                                    struct oz_error *err)
{
    size_t n_features = linear->n_weights / linear->n_targets;
    if (x->n_cols != n_features)
        OZ_FAIL(err, OZ_MODEL, "the input has %zu columns, the coefficients are for %zu", x->n_cols,
                n_features);
    return OZ_OK;
}

static void scores_of_row(const struct linear *linear, const float *row, size_t n_features,
                          float *ret_scores)
{
    for (size_t t = 0; t < linear->n_targets; t++) {
        double sum = oz_ml_dot(row, linear->weights + t * n_features, n_features);
        ret_scores[t] = (float)(linear->intercepts ? sum + (double)linear->intercepts[t] : sum);
    }
}

static enum oz_status run_regressor(struct oz_exec *exec, const struct oz_node *node,
                                    struct oz_error *err)
{
    const struct linear *linear = node->state;
    struct oz_ml_rows x;
    struct oz_tensor *y;
    void *scratch;
    OZ_TRY(oz_ml_rows(oz_exec_in(exec, node, 0), &x, err));
    OZ_TRY(check_columns(linear, &x, err));
    const int64_t dim[] = {(int64_t)x.n_rows, (int64_t)linear->n_targets};
    OZ_TRY(oz_exec_scratch(exec, node, x.n_cols * sizeof(float), &scratch, err));
    OZ_TRY(oz_exec_out(exec, node, 0, OZ_DTYPE_F32, 2, dim, &y, err));
    if (!y->data) return OZ_OK;
    for (size_t row = 0; row < x.n_rows; row++)
        scores_of_row(linear, oz_ml_row_f32(&x, row, scratch), x.n_cols,
                      y->f32 + row * linear->n_targets);
    oz_post_transform_f32(linear->transform, y->f32, x.n_rows, linear->n_targets);
    return OZ_OK;
}

static size_t largest(const float *scores, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (scores[i] > scores[best]) best = i;
    return best;
}

static enum oz_status run_classifier(struct oz_exec *exec, const struct oz_node *node,
                                     struct oz_error *err)
{
    const struct linear *linear = node->state;
    struct oz_ml_rows x;
    struct oz_tensor *label, *score;
    void *scratch;
    OZ_TRY(oz_ml_rows(oz_exec_in(exec, node, 0), &x, err));
    OZ_TRY(check_columns(linear, &x, err));
    size_t n_classes = linear->labels.n;
    const int64_t dim[] = {(int64_t)x.n_rows, (int64_t)n_classes};
    OZ_TRY(oz_exec_scratch(exec, node, x.n_cols * sizeof(float), &scratch, err));
    OZ_TRY(oz_exec_out(exec, node, 0, oz_ml_labels_dtype(&linear->labels), 1, dim, &label, err));
    OZ_TRY(oz_exec_out(exec, node, 1, OZ_DTYPE_F32, 2, dim, &score, err));
    if (!label->data || !score->data) return OZ_OK;
    for (size_t row = 0; row < x.n_rows; row++) {
        float *scores = score->f32 + row * n_classes;
        scores_of_row(linear, oz_ml_row_f32(&x, row, scratch), x.n_cols, scores);
        size_t best = linear->adds_second_class ? scores[0] > 0.0f : largest(scores, n_classes);
        oz_ml_label_put(&linear->labels, best, label, row);
    }
    if (linear->adds_second_class)
        oz_post_transform_binary_f32(
            linear->transform,
            linear->transform == OZ_POST_LOGISTIC ? OZ_SECOND_IS_OPPOSITE : OZ_SECOND_IS_COMPLEMENT,
            score->f32, x.n_rows);
    else
        oz_post_transform_f32(linear->transform, score->f32, x.n_rows, n_classes);
    return OZ_OK;
}

const struct oz_op oz_ops_linear_ml[] = {
    {"LinearRegressor", OZ_DOMAIN_ML, 1, 1, 1, 1, 1, compile_regressor, NULL, run_regressor},
    {"LinearClassifier", OZ_DOMAIN_ML, 1, 1, 1, 2, 2, compile_classifier, NULL, run_classifier},
    {0},
};
