/* Sums of many numbers, exact to a few units in the last place of their type, in one order that
 * depends on n only. Threads: any. */
#ifndef OZ_MODELS_NET_MOMENTS_H
#define OZ_MODELS_NET_MOMENTS_H
#include "base/base.h"

double oz_sum_f32(const float *x, int64_t n);
double oz_sum_f64(const double *x, int64_t n);
/* of (x - mean)^2; for floats the mean is rounded to one */
double oz_sum_squares_f32(const float *x, int64_t n, double mean);
double oz_sum_squares_f64(const double *x, int64_t n, double mean);
#endif
