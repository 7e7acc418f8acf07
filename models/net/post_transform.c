#include "models/net/post_transform.h"
#include <float.h>
#include <math.h>

const char *const oz_post_transform_words[] = {"NONE",         "SOFTMAX", "LOGISTIC",
                                               "SOFTMAX_ZERO", "PROBIT",  NULL};

float oz_logistic_f32(float x)
{
    float v = 1.0f / (1.0f + expf(-fabsf(x)));
    return x < 0.0f ? 1.0f - v : v;
}

/* Winitzki's approximation of the inverse error function, a = 0.147. */
static float erf_inverse(float x)
{
    float sign = x < 0.0f ? -1.0f : 1.0f;
    float log_part = logf((1.0f - x) * (1.0f + x));
    float v = 2.0f / ((float)M_PI * 0.147f) + 0.5f * log_part;
    float v2 = 1.0f / 0.147f * log_part;
    return sign * sqrtf(-v + sqrtf(v * v - v2));
}

static float probit(float x) { return (float)M_SQRT2 * erf_inverse(2.0f * x - 1.0f); }

/* Stored scores are T, sums and exponentials are float. */
#define TRANSFORMS(T, suffix)                                                                      \
    static float largest_##suffix(const T *scores, size_t n)                                       \
    {                                                                                              \
        float max = -FLT_MAX;                                                                      \
        for (size_t i = 0; i < n; i++)                                                             \
            if ((float)scores[i] > max) max = (float)scores[i];                                    \
        return max;                                                                                \
    }                                                                                              \
    static void softmax_##suffix(T *scores, size_t n)                                              \
    {                                                                                              \
        float max = largest_##suffix(scores, n), sum = 0.0f;                                       \
        for (size_t i = 0; i < n; i++) {                                                           \
            scores[i] = expf((float)scores[i] - max);                                              \
            sum += (float)scores[i];                                                               \
        }                                                                                          \
        for (size_t i = 0; i < n; i++) scores[i] = (float)scores[i] / sum;                         \
    }                                                                                              \
    static void softmax_zero_##suffix(T *scores, size_t n)                                         \
    {                                                                                              \
        float max = largest_##suffix(scores, n), sum = 0.0f, shrink = expf(-max);                  \
        for (size_t i = 0; i < n; i++) {                                                           \
            if ((float)scores[i] > 0.0000001f || (float)scores[i] < -0.0000001f) {                 \
                scores[i] = expf((float)scores[i] - max);                                          \
                sum += (float)scores[i];                                                           \
            } else {                                                                               \
                scores[i] *= shrink;                                                               \
            }                                                                                      \
        }                                                                                          \
        for (size_t i = 0; i < n; i++) scores[i] /= sum;                                           \
    }                                                                                              \
    void oz_post_transform_##suffix(enum oz_post_transform transform, T *scores, size_t n_rows,    \
                                    size_t n_classes)                                              \
    {                                                                                              \
        size_t n = n_rows * n_classes;                                                             \
        if (transform == OZ_POST_PROBIT)                                                           \
            for (size_t i = 0; i < n; i++) scores[i] = probit((float)scores[i]);                   \
        if (n_classes < 2) return;                                                                 \
        if (transform == OZ_POST_LOGISTIC)                                                         \
            for (size_t i = 0; i < n; i++) scores[i] = oz_logistic_f32((float)scores[i]);          \
        if (transform == OZ_POST_SOFTMAX)                                                          \
            for (size_t i = 0; i < n; i += n_classes) softmax_##suffix(scores + i, n_classes);     \
        if (transform == OZ_POST_SOFTMAX_ZERO)                                                     \
            for (size_t i = 0; i < n; i += n_classes)                                              \
                softmax_zero_##suffix(scores + i, n_classes);                                      \
    }                                                                                              \
    void oz_post_transform_binary_##suffix(enum oz_post_transform transform,                       \
                                           enum oz_second_class second, T *scores, size_t n_rows)  \
    {                                                                                              \
        for (size_t i = 0; i < 2 * n_rows; i += 2) {                                               \
            T score = scores[i];                                                                   \
            if (second == OZ_SECOND_IS_COMPLEMENT) {                                               \
                scores[i] = 1 - score;                                                             \
                scores[i + 1] = score;                                                             \
            } else if (transform == OZ_POST_LOGISTIC) {                                            \
                scores[i] = oz_logistic_f32((float)-score);                                        \
                scores[i + 1] = oz_logistic_f32((float)score);                                     \
            } else {                                                                               \
                scores[i] = -score;                                                                \
                scores[i + 1] = score;                                                             \
            }                                                                                      \
        }                                                                                          \
    }
TRANSFORMS(float, f32)
TRANSFORMS(double, f64)
#undef TRANSFORMS
