#include "models/xgboost_objective.h"
#include <math.h>
#include <string.h>
#include "kernels/cpu/forest_kernels.h"

static float link_identity(float x) { return x; }
static float link_log(float x) { return logf(x); }

static float link_logit(float x)
{
    const float eps = 1e-6f;
    if (!(x >= 0.0f && x <= 1.0f)) return NAN;
    x = x < eps ? eps : x;
    x = x > 1.0f - eps ? 1.0f - eps : x;
    return -logf(1.0f / x - 1.0f);
}

static float sigmoid(float x)
{
    x = 88.7f < -x ? 88.7f : -x; /* this way round, so that NaN stays NaN */
    float denominator = expf(x) + 1.0f + 1e-16f;
    return 1.0f / denominator;
}

static float identity(float x) { return x; }
static float exponential(float x) { return expf(x); }
static float exponential_by_double(float x) { return (float)exp((double)x); }
static float hinge(float x) { return x > 0.0f ? 1.0f : 0.0f; }

/* Groups apart in, outputs of a row together out. */
#define EACH(name, f)                                                                              \
    static void name(float *margins, uint32_t n_groups, size_t n_rows, double *ret_outputs)        \
    {                                                                                              \
        for (uint32_t g = 0; g < n_groups; g++)                                                    \
            for (size_t row = 0; row < n_rows; row++)                                              \
                ret_outputs[row * n_groups + g] =                                                  \
                    (double)f(margins[(size_t)g * OZ_FOREST_TILE_ROWS + row]);                     \
    }
EACH(transform_identity, identity)
EACH(transform_sigmoid, sigmoid)
EACH(transform_exp, exponential)
EACH(transform_exp_by_double, exponential_by_double)
EACH(transform_hinge, hinge)
#undef EACH

static void transform_softmax(float *margins, uint32_t n_groups, size_t n_rows, double *ret_outputs)
{
    for (size_t row = 0; row < n_rows; row++) {
        float max = margins[row];
        double sum = 0.0;
        for (uint32_t g = 1; g < n_groups; g++)
            max = fmaxf(margins[(size_t)g * OZ_FOREST_TILE_ROWS + row], max);
        for (uint32_t g = 0; g < n_groups; g++) {
            float *margin = &margins[(size_t)g * OZ_FOREST_TILE_ROWS + row];
            *margin = expf(*margin - max);
            sum += (double)*margin;
        }
        for (uint32_t g = 0; g < n_groups; g++)
            ret_outputs[row * n_groups + g] =
                (double)(margins[(size_t)g * OZ_FOREST_TILE_ROWS + row] / (float)sum);
    }
}

/* The first of the largest. */
static void transform_argmax(float *margins, uint32_t n_groups, size_t n_rows, double *ret_outputs)
{
    for (size_t row = 0; row < n_rows; row++) {
        uint32_t best = 0;
        for (uint32_t g = 1; g < n_groups; g++)
            if (margins[(size_t)g * OZ_FOREST_TILE_ROWS + row] >
                margins[(size_t)best * OZ_FOREST_TILE_ROWS + row])
                best = g;
        ret_outputs[row] = best;
    }
}

static const struct oz_xgboost_objective objectives[] = {
    {"binary:hinge", false, link_identity, transform_hinge},
    {"binary:logistic", false, link_logit, transform_sigmoid},
    {"binary:logitraw", false, link_identity, transform_identity},
    {"count:poisson", false, link_log, transform_exp},
    {"multi:softmax", true, link_identity, transform_argmax},
    {"multi:softprob", false, link_identity, transform_softmax},
    {"rank:map", false, link_identity, transform_identity},
    {"rank:ndcg", false, link_identity, transform_identity},
    {"rank:pairwise", false, link_identity, transform_identity},
    {"reg:absoluteerror", false, link_identity, transform_identity},
    {"reg:gamma", false, link_log, transform_exp},
    {"reg:linear", false, link_identity, transform_identity}, /* squarederror's name before 0.90 */
    {"reg:logistic", false, link_logit, transform_sigmoid},
    {"reg:pseudohubererror", false, link_identity, transform_identity},
    {"reg:quantileerror", false, link_identity, transform_identity},
    {"reg:squarederror", false, link_identity, transform_identity},
    {"reg:squaredlogerror", false, link_identity, transform_identity},
    {"reg:tweedie", false, link_log, transform_exp},
    {"survival:aft", false, link_log, transform_exp_by_double},
    {"survival:cox", false, link_log, transform_exp},
};

const struct oz_xgboost_objective *oz_xgboost_objective_find(const char *name, size_t len)
{
    for (size_t i = 0; i < OZ_COUNT_OF(objectives); i++)
        if (strlen(objectives[i].name) == len && !memcmp(objectives[i].name, name, len))
            return &objectives[i];
    return NULL;
}
