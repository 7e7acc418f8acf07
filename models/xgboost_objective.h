/* What XGBoost's objectives do to numbers when it predicts: the link that takes the stored base
 * score to a margin, and the transform that takes margins to outputs. Both in floats, operation by
 * operation as XGBoost's CPU code does them, with the C library's expf and logf, which it calls
 * too; so outputs are equal to the bit where XGBoost runs on the same C library. Source:
 * xgboost 3.2.0, src/objective/ and src/common/math.h. */
#ifndef OZ_MODELS_XGBOOST_OBJECTIVE_H
#define OZ_MODELS_XGBOOST_OBJECTIVE_H
#include "base/status.h"

struct oz_xgboost_objective {
    const char *name;
    bool one_output; /* the transform leaves one number of all groups */
    /* The base score's margin; NaN when the score is not one that the objective can have. */
    float (*link)(float base_score);
    void (*transform)(float *margins, uint32_t n_groups, size_t n_rows, double *ret_outputs);
};

/* NULL: not served. */
const struct oz_xgboost_objective *oz_xgboost_objective_find(const char *name, size_t len);
#endif
