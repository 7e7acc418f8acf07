#include "models/net/tree_scores.h"
#include <math.h>

static double logistic(double x)
{
    double v = 1.0 / (1.0 + exp(-fabs(x)));
    return x < 0 ? 1.0 - v : v;
}

/* The inverse of the normal distribution by Winitzki's formula, which ONNX Runtime and ONNX's own
 * evaluator both have. */
static double probit(double p)
{
    double x = 2.0 * p - 1.0, sign = x < 0 ? -1.0 : 1.0;
    double l = log((1.0 - x) * (1.0 + x));
    double v = 2.0 / (acos(-1.0) * 0.147) + 0.5 * l;
    return sqrt(2.0) * sign * sqrt(sqrt(v * v - l / 0.147) - v);
}

/* skip_zeros: what is zero stays zero and takes no part. */
static void softmax(double *score, size_t n, bool skip_zeros)
{
    double greatest = score[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        if (score[i] > greatest) greatest = score[i];
    for (size_t i = 0; i < n; i++) {
        if (skip_zeros && fabs(score[i]) <= (double)1e-7f) {
            score[i] *= exp(-greatest);
            continue;
        }
        score[i] = exp(score[i] - greatest);
        sum += score[i];
    }
    for (size_t i = 0; i < n; i++) score[i] /= sum;
}

void oz_tree_transform(enum oz_tree_post post, double *score, size_t n)
{
    if (post == OZ_TREE_PROBIT)
        for (size_t i = 0; i < n; i++) score[i] = probit(score[i]);
    if (n < 2) return;
    if (post == OZ_TREE_LOGISTIC)
        for (size_t i = 0; i < n; i++) score[i] = logistic(score[i]);
    if (post == OZ_TREE_SOFTMAX || post == OZ_TREE_SOFTMAX_ZERO)
        softmax(score, n, post == OZ_TREE_SOFTMAX_ZERO);
}

static double decisive(const struct oz_tree_rule *rule, double score)
{
    return rule->in_doubles ? score : (double)(float)score;
}

static bool is_second(const struct oz_tree_rule *rule, double score)
{
    return decisive(rule, score) > (rule->is_positive ? 0.5 : 0.0);
}

static size_t best_of(const struct oz_tree_rule *rule, const double *score, size_t n)
{
    size_t best = n;
    for (size_t i = 0; i < n; i++) {
        if (score[i] == 0 && signbit(score[i])) continue; /* nobody added to it */
        if (best == n || decisive(rule, score[i]) > decisive(rule, score[best])) best = i;
    }
    return best == n ? 0 : best;
}

size_t oz_tree_classify(const struct oz_tree_rule *rule, double *score, size_t n_classes)
{
    size_t label;
    switch (rule->labels) {
    case OZ_TREE_LABELS_ONE:
        label = decisive(rule, score[0]) > 0;
        oz_tree_transform(rule->post, score, 1);
        return label;
    case OZ_TREE_LABELS_BINARY: {
        double x = score[0];
        label = is_second(rule, x);
        score[1] = x;
        if (rule->post == OZ_TREE_LOGISTIC)
            score[0] = -x;
        else if (rule->post == OZ_TREE_PROBIT)
            score[0] = 1.0 - x;
        else
            score[0] = rule->is_positive ? 1.0 - x : -x;
        if (rule->post == OZ_TREE_LOGISTIC || rule->post == OZ_TREE_PROBIT)
            oz_tree_transform(rule->post, score, 2);
        return label;
    }
    case OZ_TREE_LABELS_SECOND: label = is_second(rule, score[1]); break;
    default: label = best_of(rule, score, n_classes); break;
    }
    oz_tree_transform(rule->post, score, n_classes);
    return label;
}
