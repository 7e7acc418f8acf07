/* SVMRegressor and SVMClassifier: kernels between a row and the support vectors, weighed by
 * coefficients (dual), or without support vectors a plain product (as liblinear trains).
 *
 * A classifier of c classes has c (c - 1) / 2 deciders, one for each pair (0,1) (0,2) .. (1,2) ..,
 * as in libsvm: the support vectors stand class after class, and `coefficients` is
 * [c - 1 x n_vectors], where the decider of i and j takes row j - 1 of i's vectors and row i of
 * j's. Each decider votes; with prob_a and prob_b its score becomes a probability, and the pairs'
 * probabilities are coupled into those of the classes.
 *
 * What ONNX Runtime computes decides where the specification is silent: the label is by votes, the
 * scores without probabilities are the deciders' own, two classes get [-s, s]. Sums are double. */
#include <math.h>
#include <string.h>
#include "models/net/ml_rows.h"
#include "models/net/op_tables.h"
#include "models/net/post_transform.h"

enum { CLASSES_MAX = 1024, COUPLING_ROUNDS_MAX = 100 };

enum kernel { KERNEL_LINEAR, KERNEL_POLY, KERNEL_RBF, KERNEL_SIGMOID };
static const char *const kernel_words[] = {"LINEAR", "POLY", "RBF", "SIGMOID", NULL};

struct svm {
    enum kernel kernel;
    float gamma, coef0, degree;
    const float *vectors, *coefficients, *rho; /* vectors [n_vectors x n_features] */
    size_t n_vectors, n_features, n_coefficients, n_rho;
    enum oz_post_transform transform;
    bool one_class; /* of a regressor */
    /* of a classifier */
    struct oz_ml_labels labels;
    size_t n_deciders, n_scores;      /* n_scores: columns of Z */
    const int64_t *vectors_per_class; /* [labels.n] */
    const float *prob_a, *prob_b;     /* [n_deciders], or NULL */
    bool label_by_sign, coefficients_are_positive;
};

static enum oz_status read_common(struct oz_node *node, struct svm *svm, size_t *ret_n_floats,
                                  struct oz_error *err)
{
    const float *params;
    size_t n_params;
    int kernel, transform;
    OZ_TRY(oz_attr_choice(node, "kernel_type", kernel_words, KERNEL_LINEAR, &kernel, err));
    OZ_TRY(oz_attr_choice(node, "post_transform", oz_post_transform_words, OZ_POST_NONE, &transform,
                          err));
    OZ_TRY(oz_attr_floats(node, "kernel_params", &params, &n_params, err));
    OZ_TRY(oz_attr_floats(node, "coefficients", &svm->coefficients, &svm->n_coefficients, err));
    OZ_TRY(oz_attr_floats(node, "rho", &svm->rho, &svm->n_rho, err));
    OZ_TRY(oz_attr_floats(node, "support_vectors", &svm->vectors, ret_n_floats, err));
    svm->kernel = (enum kernel)kernel;
    svm->transform = (enum oz_post_transform)transform;
    if (n_params != 0 && n_params != 3)
        OZ_FAIL(err, OZ_MODEL, "kernel_params has %zu entries; it must be gamma, coef0, degree",
                n_params);
    if (n_params) svm->gamma = params[0], svm->coef0 = params[1], svm->degree = params[2];
    if (!svm->n_coefficients) OZ_FAIL(err, OZ_MODEL, "coefficients are missing");
    return OZ_OK;
}

static enum oz_status split_vectors(struct svm *svm, size_t n_floats, struct oz_error *err)
{
    if (!n_floats || n_floats % svm->n_vectors)
        OZ_FAIL(err, OZ_MODEL, "support_vectors has %zu entries, which is no %zu rows", n_floats,
                svm->n_vectors);
    svm->n_features = n_floats / svm->n_vectors;
    return OZ_OK;
}

static enum oz_status compile_regressor(struct oz_net *net, struct oz_node *node,
                                        struct oz_error *err)
{
    struct svm *svm = oz_node_state(net, node, sizeof *svm);
    if (!svm) return oz_no_memory(err);
    int64_t n_supports;
    size_t n_floats;
    OZ_TRY(read_common(node, svm, &n_floats, err));
    OZ_TRY(oz_attr_i64(node, "n_supports", 0, &n_supports, err));
    OZ_TRY(oz_attr_bool(node, "one_class", false, &svm->one_class, err));
    /* ONNX Runtime reads it and does nothing with it. */
    if (svm->transform != OZ_POST_NONE)
        OZ_FAIL(err, OZ_MODEL, "post_transform %s is not served here; NONE is",
                oz_post_transform_words[svm->transform]);
    if (svm->n_rho != 1) OZ_FAIL(err, OZ_MODEL, "rho has %zu entries, not one", svm->n_rho);
    if (n_supports < 0 || (uint64_t)n_supports > svm->n_coefficients)
        OZ_FAIL(err, OZ_MODEL, "n_supports is %lld, with %zu coefficients", (long long)n_supports,
                svm->n_coefficients);
    svm->n_vectors = (size_t)n_supports;
    if (!svm->n_vectors) { /* primal: a plain product, whatever kernel is named */
        svm->n_features = svm->n_coefficients;
        return OZ_OK;
    }
    if (svm->n_coefficients != svm->n_vectors)
        OZ_FAIL(err, OZ_MODEL, "%zu coefficients for %zu support vectors", svm->n_coefficients,
                svm->n_vectors);
    return split_vectors(svm, n_floats, err);
}

/* Counts the vectors of all classes, each count being in range. */
static enum oz_status count_vectors(struct svm *svm, size_t n_floats, struct oz_error *err)
{
    for (size_t i = 0; i < svm->labels.n; i++) {
        int64_t n = svm->vectors_per_class[i];
        if (n < 0 || (uint64_t)n > n_floats)
            OZ_FAIL(err, OZ_MODEL, "vectors_per_class has %lld, with %zu floats in support_vectors",
                    (long long)n, n_floats);
        svm->n_vectors += (size_t)n;
    }
    return OZ_OK;
}

static enum oz_status check_dual(struct svm *svm, size_t n_floats, size_t n_prob_a, size_t n_prob_b,
                                 struct oz_error *err)
{
    size_t n_classes = svm->labels.n;
    if (n_classes < 2) OZ_FAIL(err, OZ_MODEL, "a classifier of one class is not served");
    svm->n_deciders = n_classes * (n_classes - 1) / 2;
    OZ_TRY(split_vectors(svm, n_floats, err));
    if (svm->n_coefficients / svm->n_vectors != n_classes - 1 ||
        svm->n_coefficients % svm->n_vectors)
        OZ_FAIL(err, OZ_MODEL, "%zu coefficients for %zu support vectors of %zu classes",
                svm->n_coefficients, svm->n_vectors, n_classes);
    if (svm->n_rho != svm->n_deciders)
        OZ_FAIL(err, OZ_MODEL, "rho has %zu entries for %zu pairs of classes", svm->n_rho,
                svm->n_deciders);
    if (n_prob_a != n_prob_b || (n_prob_a && n_prob_a != svm->n_deciders))
        OZ_FAIL(err, OZ_MODEL,
                "prob_a and prob_b have %zu and %zu entries for %zu pairs of classes", n_prob_a,
                n_prob_b, svm->n_deciders);
    if (!n_prob_a) svm->prob_a = svm->prob_b = NULL;
    svm->n_scores = svm->prob_a || n_classes == 2 ? n_classes : svm->n_deciders;
    if (!svm->prob_a && n_classes == 2 && svm->transform == OZ_POST_PROBIT)
        OZ_FAIL(err, OZ_MODEL,
                "post_transform PROBIT of one score for two classes is not served: "
                "no meaning is written for it");
    return OZ_OK;
}

/* Without support vectors every class has rho[0] and prob_a and prob_b make no probabilities: so it
 * is in ONNX Runtime and in the ONNX project's reference. But with them the label is that of the
 * larger score, without them two classes are told apart by the sign. */
static enum oz_status check_primal(struct svm *svm, size_t n_prob_a, size_t n_prob_b,
                                   struct oz_error *err)
{
    size_t n_classes = svm->labels.n;
    svm->kernel = KERNEL_LINEAR;
    svm->n_scores = n_classes;
    svm->label_by_sign = n_classes == 2 && !n_prob_a;
    svm->prob_a = svm->prob_b = NULL;
    if (n_prob_a != n_prob_b)
        OZ_FAIL(err, OZ_MODEL, "prob_a and prob_b have %zu and %zu entries", n_prob_a, n_prob_b);
    if (svm->n_coefficients % n_classes)
        OZ_FAIL(err, OZ_MODEL, "%zu coefficients are no rows for %zu classes", svm->n_coefficients,
                n_classes);
    svm->n_features = svm->n_coefficients / n_classes;
    if (svm->n_rho < 1) OZ_FAIL(err, OZ_MODEL, "rho is missing");
    return OZ_OK;
}

static enum oz_status compile_classifier(struct oz_net *net, struct oz_node *node,
                                         struct oz_error *err)
{
    struct svm *svm = oz_node_state(net, node, sizeof *svm);
    if (!svm) return oz_no_memory(err);
    size_t n_floats, n_counts, n_prob_a, n_prob_b;
    OZ_TRY(read_common(node, svm, &n_floats, err));
    OZ_TRY(oz_ml_labels(node, "classlabels_ints", "classlabels_strings", &svm->labels, err));
    OZ_TRY(oz_attr_ints(node, "vectors_per_class", &svm->vectors_per_class, &n_counts, err));
    OZ_TRY(oz_attr_floats(node, "prob_a", &svm->prob_a, &n_prob_a, err));
    OZ_TRY(oz_attr_floats(node, "prob_b", &svm->prob_b, &n_prob_b, err));
    if (svm->labels.n > CLASSES_MAX)
        OZ_FAIL(err, OZ_MODEL, "%zu classes; at most %d are served", svm->labels.n, CLASSES_MAX);
    if (n_counts && n_counts != svm->labels.n)
        OZ_FAIL(err, OZ_MODEL, "vectors_per_class has %zu entries for %zu classes", n_counts,
                svm->labels.n);
    if (n_counts) OZ_TRY(count_vectors(svm, n_floats, err));
    svm->coefficients_are_positive = true;
    for (size_t i = 0; i < svm->n_coefficients; i++)
        svm->coefficients_are_positive &= svm->coefficients[i] >= 0.0f;
    return svm->n_vectors ? check_dual(svm, n_floats, n_prob_a, n_prob_b, err)
                          : check_primal(svm, n_prob_a, n_prob_b, err);
}

static enum oz_status check_columns(const struct svm *svm, const struct oz_ml_rows *x,
                                    struct oz_error *err)
{
    if (x->n_cols != svm->n_features)
        OZ_FAIL(err, OZ_MODEL, "the input has %zu columns, the model is for %zu", x->n_cols,
                svm->n_features);
    return OZ_OK;
}

static float kernel_of(const struct svm *svm, const float *row, const float *vector)
{
    size_t n = svm->n_features;
    if (svm->kernel == KERNEL_RBF)
        return expf(-svm->gamma * (float)oz_ml_squared_distance(row, vector, n));
    double product = oz_ml_dot(row, vector, n);
    if (svm->kernel == KERNEL_LINEAR) return (float)product;
    float v = (float)((double)svm->gamma * product + (double)svm->coef0);
    if (svm->kernel == KERNEL_SIGMOID) return tanhf(v);
    if (svm->degree == 2.0f) return v * v;
    if (svm->degree == 3.0f) return v * v * v;
    return powf(v, svm->degree);
}

static void kernels_of(const struct svm *svm, const float *row, float *ret_kernels)
{
    for (size_t i = 0; i < svm->n_vectors; i++)
        ret_kernels[i] = kernel_of(svm, row, svm->vectors + i * svm->n_features);
}

static enum oz_status run_regressor(struct oz_exec *exec, const struct oz_node *node,
                                    struct oz_error *err)
{
    const struct svm *svm = node->state;
    struct oz_ml_rows x;
    struct oz_tensor *y;
    void *scratch, *kernels;
    OZ_TRY(oz_ml_rows(oz_exec_in(exec, node, 0), &x, err));
    OZ_TRY(check_columns(svm, &x, err));
    const int64_t dim[] = {(int64_t)x.n_rows, 1};
    OZ_TRY(oz_exec_scratch(exec, node, x.n_cols * sizeof(float), &scratch, err));
    OZ_TRY(oz_exec_scratch(exec, node, svm->n_vectors * sizeof(float), &kernels, err));
    OZ_TRY(oz_exec_out(exec, node, 0, OZ_DTYPE_F32, 2, dim, &y, err));
    if (!y->data) return OZ_OK;
    for (size_t r = 0; r < x.n_rows; r++) {
        const float *row = oz_ml_row_f32(&x, r, scratch);
        double sum;
        if (svm->n_vectors) {
            kernels_of(svm, row, kernels);
            sum = oz_ml_dot(kernels, svm->coefficients, svm->n_vectors);
        } else {
            sum = oz_ml_dot(row, svm->coefficients, svm->n_features);
        }
        float v = (float)(sum + (double)svm->rho[0]);
        y->f32[r] = !svm->one_class ? v : v > 0.0f ? 1.0f : -1.0f;
    }
    return OZ_OK;
}

/* Scratch of one row. */
struct row_scratch {
    float *row, *kernels, *scores; /* [n_features], [n_vectors], [n_deciders] */
    uint32_t *votes;               /* [n_classes] */
    float *pairs, *q, *qp;         /* [n_classes x n_classes] twice, [n_classes] */
};

static void decide(const struct svm *svm, const float *kernels, float *ret_scores, uint32_t *votes)
{
    size_t n_classes = svm->labels.n, start_i = 0, decider = 0;
    memset(votes, 0, n_classes * sizeof *votes);
    for (size_t i = 0; i + 1 < n_classes; i++) {
        size_t n_i = (size_t)svm->vectors_per_class[i], start_j = start_i + n_i;
        for (size_t j = i + 1; j < n_classes; j++, decider++) {
            size_t n_j = (size_t)svm->vectors_per_class[j];
            const float *of_i = svm->coefficients + (j - 1) * svm->n_vectors + start_i;
            const float *of_j = svm->coefficients + i * svm->n_vectors + start_j;
            double sum = oz_ml_dot(of_i, kernels + start_i, n_i) +
                         oz_ml_dot(of_j, kernels + start_j, n_j) + (double)svm->rho[decider];
            ret_scores[decider] = (float)sum;
            votes[sum > 0.0 ? i : j]++;
            start_j += n_j;
        }
        start_i += n_i;
    }
}

/* Q of the coupling, from the pairs' probabilities. */
static void coupling_matrix(const float *pairs, size_t n, float *q)
{
    for (size_t i = 0; i < n; i++) {
        float diagonal = 0.0f;
        for (size_t j = 0; j < n; j++) {
            if (j == i) continue;
            diagonal += pairs[j * n + i] * pairs[j * n + i];
            q[i * n + j] = j < i ? q[j * n + i] : -pairs[j * n + i] * pairs[i * n + j];
        }
        q[i * n + i] = diagonal;
    }
}

/* Wu, Lin, Weng: Probability Estimates for Multi-class Classification by Pairwise Coupling, the
 * second method, with libsvm's rounds and stopping rule; in float, as ONNX Runtime has it. */
static void couple(const float *pairs, size_t n, float *q, float *qp, float *p)
{
    const float eps = 0.005f / (float)n;
    coupling_matrix(pairs, n, q);
    for (size_t i = 0; i < n; i++) p[i] = 1.0f / (float)n;
    for (int round = 0; round < COUPLING_ROUNDS_MAX; round++) {
        float pqp = 0.0f, max_error = 0.0f;
        for (size_t i = 0; i < n; i++) {
            qp[i] = 0.0f;
            for (size_t j = 0; j < n; j++) qp[i] += q[i * n + j] * p[j];
            pqp += p[i] * qp[i];
        }
        for (size_t i = 0; i < n; i++) {
            float error = fabsf(qp[i] - pqp);
            if (error > max_error) max_error = error;
        }
        if (max_error < eps) return;
        for (size_t i = 0; i < n; i++) {
            float diagonal = q[i * n + i], step = (-qp[i] + pqp) / diagonal;
            p[i] += step;
            pqp = (pqp + step * (step * diagonal + 2.0f * qp[i])) / (1.0f + step) / (1.0f + step);
            for (size_t j = 0; j < n; j++) {
                qp[j] = (qp[j] + step * q[i * n + j]) / (1.0f + step);
                p[j] /= 1.0f + step;
            }
        }
    }
}

static void probabilities(const struct svm *svm, const struct row_scratch *scratch, float *ret_p)
{
    size_t n = svm->labels.n, decider = 0;
    for (size_t i = 0; i + 1 < n; i++)
        for (size_t j = i + 1; j < n; j++, decider++) {
            float score = scratch->scores[decider];
            float p = 1.0f - oz_logistic_f32(score * svm->prob_a[decider] + svm->prob_b[decider]);
            p = p < 1.0e-7f ? 1.0e-7f : p; /* this way round, so that NaN stays NaN */
            p = p > 1.0f - 1.0e-7f ? 1.0f - 1.0e-7f : p;
            scratch->pairs[i * n + j] = p;
            scratch->pairs[j * n + i] = 1.0f - p;
        }
    couple(scratch->pairs, n, scratch->q, scratch->qp, ret_p);
}

/* Labels and scores of one row; the scores before any transform. */
static size_t classify_dual(const struct svm *svm, const float *row,
                            const struct row_scratch *scratch, float *ret_scores)
{
    size_t best = 0;
    kernels_of(svm, row, scratch->kernels);
    decide(svm, scratch->kernels, scratch->scores, scratch->votes);
    for (size_t i = 1; i < svm->labels.n; i++)
        if (scratch->votes[i] > scratch->votes[best]) best = i;
    if (svm->prob_a)
        probabilities(svm, scratch, ret_scores);
    else
        memcpy(ret_scores, scratch->scores, svm->n_deciders * sizeof *ret_scores);
    return best;
}

static size_t classify_primal(const struct svm *svm, const float *row, float *ret_scores)
{
    size_t best = 0, n_classes = svm->labels.n;
    for (size_t i = 0; i < n_classes; i++)
        ret_scores[i] =
            (float)(oz_ml_dot(row, svm->coefficients + i * svm->n_features, svm->n_features) +
                    (double)svm->rho[0]);
    for (size_t i = 1; i < n_classes; i++)
        if (ret_scores[best] < ret_scores[i]) best = i;
    if (svm->label_by_sign) {
        bool positive =
            svm->coefficients_are_positive ? ret_scores[best] >= 0.5f : ret_scores[best] > 0.0f;
        if (positive) return 1;
    }
    return best;
}

static enum oz_status get_scratch(struct oz_exec *exec, const struct oz_node *node,
                                  struct row_scratch *ret_scratch, struct oz_error *err)
{
    const struct svm *svm = node->state;
    size_t n = svm->labels.n, n_squared = svm->prob_a ? n * n : 0;
    void *memory, *votes;
    OZ_TRY(oz_exec_scratch(
        exec, node,
        (svm->n_features + svm->n_vectors + svm->n_deciders + 2 * n_squared + n) * sizeof(float),
        &memory, err));
    OZ_TRY(oz_exec_scratch(exec, node, n * sizeof(uint32_t), &votes, err));
    *ret_scratch = (struct row_scratch){0};
    if (!memory) return OZ_OK;
    struct row_scratch scratch = {.row = memory, .votes = votes};
    scratch.kernels = scratch.row + svm->n_features;
    scratch.scores = scratch.kernels + svm->n_vectors;
    scratch.pairs = scratch.scores + svm->n_deciders;
    scratch.q = scratch.pairs + n_squared;
    scratch.qp = scratch.q + n_squared;
    *ret_scratch = scratch;
    return OZ_OK;
}

static enum oz_status run_classifier(struct oz_exec *exec, const struct oz_node *node,
                                     struct oz_error *err)
{
    const struct svm *svm = node->state;
    struct row_scratch scratch;
    struct oz_ml_rows x;
    struct oz_tensor *label, *score;
    OZ_TRY(oz_ml_rows(oz_exec_in(exec, node, 0), &x, err));
    OZ_TRY(check_columns(svm, &x, err));
    const int64_t dim[] = {(int64_t)x.n_rows, (int64_t)svm->n_scores};
    OZ_TRY(get_scratch(exec, node, &scratch, err));
    OZ_TRY(oz_exec_out(exec, node, 0, oz_ml_labels_dtype(&svm->labels), 1, dim, &label, err));
    OZ_TRY(oz_exec_out(exec, node, 1, OZ_DTYPE_F32, 2, dim, &score, err));
    if (!label->data || !score->data) return OZ_OK;
    for (size_t r = 0; r < x.n_rows; r++) {
        const float *row = oz_ml_row_f32(&x, r, scratch.row);
        float *scores = score->f32 + r * svm->n_scores;
        size_t best = svm->n_vectors ? classify_dual(svm, row, &scratch, scores)
                                     : classify_primal(svm, row, scores);
        oz_ml_label_put(&svm->labels, best, label, r);
    }
    if (svm->n_vectors && svm->n_scores == 2 && !svm->prob_a) {
        bool is_opposite = svm->transform == OZ_POST_NONE || svm->transform == OZ_POST_LOGISTIC;
        oz_post_transform_binary_f32(svm->transform,
                                     is_opposite ? OZ_SECOND_IS_OPPOSITE : OZ_SECOND_IS_COMPLEMENT,
                                     score->f32, x.n_rows);
        return OZ_OK;
    }
    oz_post_transform_f32(svm->transform, score->f32, x.n_rows, svm->n_scores);
    return OZ_OK;
}

const struct oz_op oz_ops_svm[] = {
    {"SVMRegressor", OZ_DOMAIN_ML, 1, 1, 1, 1, 1, compile_regressor, NULL, run_regressor},
    {"SVMClassifier", OZ_DOMAIN_ML, 1, 1, 1, 2, 2, compile_classifier, NULL, run_classifier},
    {0},
};
