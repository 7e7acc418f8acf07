#include <math.h>
#include "kernels/cpu/forest_kernels.h"

void oz_forest_keys_f64__scalar(const double *restrict column, size_t n_rows, int32_t nan_key,
                                int32_t *restrict plane)
{
    for (size_t row = 0; row < n_rows; row++) {
        float x = (float)column[row];
        plane[row] = x != x ? nan_key : oz_forest_key(x);
    }
}

void oz_forest_keys_f32__scalar(const float *restrict x, size_t stride, size_t n_rows,
                                int32_t nan_key, int32_t *restrict plane)
{
    for (size_t row = 0; row < n_rows; row++) {
        float v = x[row * stride];
        plane[row] = v != v ? nan_key : oz_forest_key(v);
    }
}

/* The nearest float lies on either side; one step of the key leads to the other side, also over
 * the ends: below the lowest float is -infinity. */
void oz_forest_rounded_keys_f64__scalar(const double *restrict x, size_t stride, size_t n_rows,
                                        enum oz_forest_rounding rounding, int32_t nan_key,
                                        int32_t *restrict plane)
{
    for (size_t row = 0; row < n_rows; row++) {
        double v = x[row * stride];
        float nearest = (float)v;
        int32_t key = v != v ? nan_key : oz_forest_key(nearest);
        if (rounding == OZ_FOREST_DOWN)
            key -= (double)nearest > v;
        else if (rounding == OZ_FOREST_UP)
            key += (double)nearest < v;
        else if (rounding == OZ_FOREST_EXACT && v == v && (double)nearest != v)
            key = OZ_FOREST_KEY_NO_FLOAT;
        plane[row] = key;
    }
}

/* The search halves without a branch: what it compares is random. */
void oz_forest_ranks_f64__scalar(const double *restrict x, size_t stride, size_t n_rows,
                                 const double *restrict threshold, size_t n_thresholds,
                                 int32_t nan_key, int32_t *restrict plane)
{
    for (size_t row = 0; row < n_rows; row++) {
        double v = x[row * stride];
        const double *from = threshold;
        for (size_t n = n_thresholds; n > 1; n -= n / 2) from += from[n / 2 - 1] < v ? n / 2 : 0;
        size_t i = (size_t)(from - threshold);
        if (i < n_thresholds && threshold[i] < v) i++;
        bool equal = i < n_thresholds && threshold[i] == v;
        plane[row] = v != v ? nan_key : (int32_t)(2 * i + equal);
    }
}

void oz_forest_members_i32__scalar(const int32_t *restrict keys, size_t n_rows,
                                   const int32_t *restrict member, size_t n_members,
                                   int32_t *restrict plane)
{
    if (n_members == 0) {
        for (size_t row = 0; row < n_rows; row++) plane[row] = 1;
        return;
    }
    for (size_t row = 0; row < n_rows; row++) {
        int32_t key = keys[row];
        const int32_t *from = member;
        for (size_t n = n_members; n > 1; n -= n / 2) from += from[n / 2] <= key ? n / 2 : 0;
        plane[row] = *from != key;
    }
}
