#include "models/net/moments.h"

/* LANES independent sums are vectors to the compiler. A lane of floats adds no more than
 * WHILE / LANES numbers before it is emptied into a double, which keeps its error at a few units.
 */
enum { LANES = 16, WHILE = 256 };

#define SUM(function, type, term)                                                                  \
    double function(const type *x, int64_t n, double mean)                                         \
    {                                                                                              \
        const type m = (type)mean;                                                                 \
        double sum = 0.0;                                                                          \
        (void)m;                                                                                   \
        while (n > 0) {                                                                            \
            type lane[LANES] = {0};                                                                \
            int64_t part = OZ_MIN(n, WHILE), i = 0;                                                \
            for (; i + LANES <= part; i += LANES)                                                  \
                for (int k = 0; k < LANES; k++) lane[k] += term(x[i + k], m);                      \
            for (; i < part; i++) sum += (double)term(x[i], m);                                    \
            for (int k = 0; k < LANES; k++) sum += (double)lane[k];                                \
            x += part;                                                                             \
            n -= part;                                                                             \
        }                                                                                          \
        return sum;                                                                                \
    }
#define ITSELF(x, m)  (x)
#define SQUARED(x, m) (((x) - (m)) * ((x) - (m)))
static SUM(sum_f32, float, ITSELF) static SUM(sum_f64, double, ITSELF)
    SUM(oz_sum_squares_f32, float, SQUARED) SUM(oz_sum_squares_f64, double, SQUARED)
#undef SUM

        double oz_sum_f32(const float *x, int64_t n)
{
    return sum_f32(x, n, 0.0);
}
double oz_sum_f64(const double *x, int64_t n) { return sum_f64(x, n, 0.0); }
