/* Random numbers that are the same on every machine: integer generators, and from them only by + -
 * * / and comparisons, which IEEE 754 rounds one way. No function of libm is called, since those
 * differ. Source: xoshiro256** and splitmix64 (Blackman and Vigna, 2018). */
#ifndef OZ_PIPELINES_DEMO_FRAUD_RANDOM_H
#define OZ_PIPELINES_DEMO_FRAUD_RANDOM_H
#include "base/base.h"

struct oz_random {
    uint64_t s[4];
};

/* One seed has many streams, so that what one draws does not move the others. */
static inline void oz_random_init(struct oz_random *random, uint64_t seed, uint64_t stream)
{
    uint64_t x = seed ^ stream * UINT64_C(0xd1342543de82ef95);
    for (int i = 0; i < 4; i++) {
        uint64_t z = x += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        random->s[i] = z ^ z >> 31;
    }
}

static inline uint64_t oz_random_rotl(uint64_t x, int k) { return x << k | x >> (64 - k); }

static inline uint64_t oz_random_u64(struct oz_random *random)
{
    uint64_t *s = random->s, result = oz_random_rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0], s[3] ^= s[1], s[1] ^= s[2], s[0] ^= s[3], s[2] ^= t;
    s[3] = oz_random_rotl(s[3], 45);
    return result;
}

/* In [0, n). The bias is below n / 2^64. */
static inline uint64_t oz_random_below(struct oz_random *random, uint64_t n)
{
    return (uint64_t)((unsigned __int128)oz_random_u64(random) * n >> 64);
}

/* In [0, 1), a multiple of 2^-53. */
static inline double oz_random_unit(struct oz_random *random)
{
    return (double)(oz_random_u64(random) >> 11) * 0x1p-53;
}

static inline bool oz_random_chance(struct oz_random *random, double p)
{
    return oz_random_unit(random) < p;
}

/* Normal, mean 0, deviation 1, within 2e-4 where it matters: twelve uniform numbers added up, and a
 * polynomial that gives the sum the tails that it lacks. */
static inline double oz_random_normal(struct oz_random *random)
{
    int64_t sum = 0;
    for (int i = 0; i < 4; i++) {
        uint64_t x = oz_random_u64(random);
        sum +=
            (int64_t)(x & 0x1fffff) + (int64_t)(x >> 21 & 0x1fffff) + (int64_t)(x >> 42 & 0x1fffff);
    }
    double r = (double)(2 * sum + 12 - (INT64_C(12) << 21)) * 0x1p-24, r2 = r * r;
    double p = 0.029899776 * r2 + 0.008355968;
    p = p * r2 + 0.076542912;
    p = p * r2 + 0.252408784;
    return (p * r2 + 3.949846138) * r;
}

/* e^-x for x >= 0: a series where it is short, and squares. */
static inline double oz_exp_minus(double x)
{
    double y = x * 0x1p-6, term = 1, sum = 1;
    for (int k = 1; k <= 10; k++) {
        term = term * -y / k;
        sum += term;
    }
    for (int k = 0; k < 6; k++) sum *= sum;
    return sum;
}

/* A Poisson number of this mean, given e^-mean; `mean` up to some tens. */
static inline unsigned oz_random_poisson(struct oz_random *random, double mean,
                                         double exp_minus_mean)
{
    double u = oz_random_unit(random), p = exp_minus_mean, below = p;
    unsigned k = 0;
    while (u >= below && k < 1000) {
        k++;
        p = p * mean / k;
        below += p;
    }
    return k;
}
#endif
