/* What the classifiers and regressors of ai.onnx.ml do with their scores at the end (attribute
 * post_transform), shared by the linear, support-vector and tree operators.
 *
 * Layout: scores [n_rows x n_classes] row-major, transformed in place.
 * Threads: any. Errors: none; a score that makes no sense (the probit of 2) becomes NaN.
 * Source: the specification names the transforms and no formulas, so the formulas are those that
 * ONNX Runtime computes. All arithmetic is in float, for doubles too. */
#ifndef OZ_MODELS_NET_POST_TRANSFORM_H
#define OZ_MODELS_NET_POST_TRANSFORM_H
#include "base/base.h"

enum oz_post_transform {
    OZ_POST_NONE,
    OZ_POST_SOFTMAX,
    OZ_POST_LOGISTIC,
    OZ_POST_SOFTMAX_ZERO, /* a score of (nearly) 0 stays so and has no part in the sum */
    OZ_POST_PROBIT        /* the inverse of the normal distribution function, by Winitzki's erf */
};
/* In the order of the enum, then NULL: for oz_attr_choice(). */
extern const char *const oz_post_transform_words[];

/* n_classes == 1: only PROBIT does anything, the others leave a lone score as it is; so a
 * regressor of one target with LOGISTIC returns the raw score. That is ONNX Runtime's rule. */
void oz_post_transform_f32(enum oz_post_transform transform, float *scores, size_t n_rows,
                           size_t n_classes);
void oz_post_transform_f64(enum oz_post_transform transform, double *scores, size_t n_rows,
                           size_t n_classes);

/* A binary classifier that computes one score s, that of the second class, has two columns all the
 * same. ONNX Runtime's write_scores() gets a number that says how (add_second_class):
 *   0, 1 (weights all positive): [1 - s, s], whatever the transform
 *   2, 3 (mixed weights):        [-s, s]; for LOGISTIC [logistic(-s), logistic(s)]
 * and SOFTMAX and SOFTMAX_ZERO do nothing. With PROBIT its second column is not written at all, so
 * there is nothing to agree with: refuse that at load. */
enum oz_second_class { OZ_SECOND_IS_COMPLEMENT, OZ_SECOND_IS_OPPOSITE };
/* scores[n_rows * 2]: of each pair the first holds s; both are written. */
void oz_post_transform_binary_f32(enum oz_post_transform transform, enum oz_second_class second,
                                  float *scores, size_t n_rows);
void oz_post_transform_binary_f64(enum oz_post_transform transform, enum oz_second_class second,
                                  double *scores, size_t n_rows);

float oz_logistic_f32(float x); /* 1 / (1 + e^-x), without overflow */
#endif
