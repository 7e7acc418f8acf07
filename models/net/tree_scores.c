#include "models/net/tree_scores.h"
#include <math.h>

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
        oz_post_transform_f64(rule->post, score, 1, 1);
        return label;
    case OZ_TREE_LABELS_BINARY: {
        double x = score[0];
        label = is_second(rule, x);
        score[1] = x;
        if (rule->post == OZ_POST_LOGISTIC)
            score[0] = -x;
        else if (rule->post == OZ_POST_PROBIT)
            score[0] = 1.0 - x;
        else
            score[0] = rule->is_positive ? 1.0 - x : -x;
        if (rule->post == OZ_POST_LOGISTIC || rule->post == OZ_POST_PROBIT)
            oz_post_transform_f64(rule->post, score, 1, 2);
        return label;
    }
    case OZ_TREE_LABELS_SECOND: label = is_second(rule, score[1]); break;
    default: label = best_of(rule, score, n_classes); break;
    }
    oz_post_transform_f64(rule->post, score, 1, n_classes);
    return label;
}
