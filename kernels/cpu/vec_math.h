/* The functions of the activations over one vector, by polynomials that were fitted for the least
 * largest error (weighted by the result's size), their coefficients rounded to float one after the
 * other. Every operation is exact or correctly rounded, so all instruction sets give the same bits.
 * Included by the bodies, after one of vec_*.h.
 *
 * e^x: x = n log 2 + r with |r| <= log(2) / 2, then e^r = 1 + r + r^2 q(r), and n goes into the
 * exponent. e^x - 1 from the same parts without the 1, so that nothing cancels near 0. */
#ifndef OZ_KERNELS_CPU_VEC_MATH_H
#define OZ_KERNELS_CPU_VEC_MATH_H

#define OZ_CONCAT_(name, isa) oz_##name##__##isa
#define OZ_CONCAT(name, isa)  OZ_CONCAT_(name, isa)
#define OZ_KERNEL(name)       OZ_CONCAT(name, OZ_ISA)

#define OZ_ROUND_MAGIC 12582912.0f /* 1.5 * 2^23: x + this has no bits behind the point */

/* e^r - 1 for the r of x; *ret_rounded holds n. |x| < 2^21. */
static inline oz_vf oz_vf_exp_parts(oz_vf x, oz_vf *ret_rounded)
{
    const oz_vf magic = oz_vf_set(OZ_ROUND_MAGIC);
    oz_vf rounded = oz_vf_fma(x, oz_vf_set(0x1.715476p+0f), magic);
    oz_vf n = oz_vf_sub(rounded, magic);
    oz_vf r = oz_vf_fma(n, oz_vf_set(-0x1.62e400p-1f), x);
    r = oz_vf_fma(n, oz_vf_set(-0x1.7f7d1cp-20f), r);
    oz_vf q = oz_vf_set(0x1.6a4f28p-10f);
    q = oz_vf_fma(q, r, oz_vf_set(0x1.123980p-7f));
    q = oz_vf_fma(q, r, oz_vf_set(0x1.5558aep-5f));
    q = oz_vf_fma(q, r, oz_vf_set(0x1.555492p-3f));
    q = oz_vf_fma(q, r, oz_vf_set(0x1.fffffcp-2f));
    *ret_rounded = rounded;
    return oz_vf_fma(oz_vf_mul(r, r), q, r);
}

static inline oz_vf oz_vf_clamp(oz_vf x, float lo, float hi)
{
    return oz_vf_min(oz_vf_set(hi), oz_vf_max(oz_vf_set(lo), x));
}

static inline oz_vf oz_vf_exp(oz_vf x)
{
    oz_vf rounded, p = oz_vf_exp_parts(oz_vf_clamp(x, -104.0f, 89.0f), &rounded);
    return oz_vf_scale(oz_vf_add(p, oz_vf_set(1)), rounded);
}

/* e^x - 1 for x <= 88; above it stays where it is at 88. */
static inline oz_vf oz_vf_expm1(oz_vf x)
{
    oz_vf rounded, p = oz_vf_exp_parts(oz_vf_clamp(x, -87.0f, 88.0f), &rounded);
    oz_vf power = oz_vf_exp2(rounded);
    return oz_vf_fma(p, power, oz_vf_sub(power, oz_vf_set(1)));
}

/* e^-|x| never overflows, and the smaller of the two results keeps its relative precision. */
static inline oz_vf oz_vf_sigmoid(oz_vf x)
{
    const oz_vf one = oz_vf_set(1);
    oz_vf e = oz_vf_exp(oz_vf_neg(oz_vf_abs(x)));
    oz_vf over = oz_vf_select(oz_vf_less(x, oz_vf_set(0)), e, one);
    return oz_vf_div(over, oz_vf_add(one, e));
}

static inline oz_vf oz_vf_tanh(oz_vf x)
{
    oz_vf m = oz_vf_expm1(oz_vf_mul(oz_vf_set(-2), oz_vf_abs(x)));
    return oz_vf_sign_of(oz_vf_div(oz_vf_neg(m), oz_vf_add(oz_vf_set(2), m)), x);
}

/* log(1 + e) for 0 <= e <= 1, as 2 artanh(e / (2 + e)). */
static inline oz_vf oz_vf_log1p(oz_vf e)
{
    oz_vf s = oz_vf_div(e, oz_vf_add(oz_vf_set(2), e));
    oz_vf z = oz_vf_mul(s, s), twice = oz_vf_add(s, s);
    oz_vf p = oz_vf_set(0x1.f08cfep-3f);
    p = oz_vf_fma(p, z, oz_vf_set(0x1.b72b5cp-3f));
    p = oz_vf_fma(p, z, oz_vf_set(0x1.250512p-2f));
    p = oz_vf_fma(p, z, oz_vf_set(0x1.9996d8p-2f));
    p = oz_vf_fma(p, z, oz_vf_set(0x1.555558p-1f));
    return oz_vf_fma(oz_vf_mul(s, z), p, twice);
}

static inline oz_vf oz_vf_softplus(oz_vf x)
{
    oz_vf e = oz_vf_exp(oz_vf_neg(oz_vf_abs(x)));
    return oz_vf_add(oz_vf_max(oz_vf_set(0), x), oz_vf_log1p(e));
}

/* Near 0 x + x P(x^2), further out 1 - e^(-t - t Q(t)) with t = |x|; at 4 it is 1. */
static inline oz_vf oz_vf_erf(oz_vf x)
{
    oz_vf z = oz_vf_mul(x, x), t = oz_vf_min(oz_vf_set(4), oz_vf_abs(x));
    oz_vf p = oz_vf_set(-0x1.38741cp-11f);
    p = oz_vf_fma(p, z, oz_vf_set(0x1.46d9e2p-8f));
    p = oz_vf_fma(p, z, oz_vf_set(-0x1.b67c04p-6f));
    p = oz_vf_fma(p, z, oz_vf_set(0x1.ce1986p-4f));
    p = oz_vf_fma(p, z, oz_vf_set(-0x1.8126e2p-2f));
    p = oz_vf_fma(p, z, oz_vf_set(0x1.06eba6p-3f));
    p = oz_vf_fma(p, x, x);
    oz_vf q = oz_vf_set(-0x1.c0c5a2p-13f);
    q = oz_vf_fma(q, t, oz_vf_set(0x1.a56532p-9f));
    q = oz_vf_fma(q, t, oz_vf_set(-0x1.7707c8p-6f));
    q = oz_vf_fma(q, t, oz_vf_set(0x1.af271ep-4f));
    q = oz_vf_fma(q, t, oz_vf_set(0x1.457cdep-1f));
    q = oz_vf_fma(q, t, oz_vf_set(0x1.07328ap-3f));
    q = oz_vf_fma(q, t, t);
    oz_vf far = oz_vf_sub(oz_vf_set(1), oz_vf_exp(oz_vf_neg(q)));
    return oz_vf_select(oz_vf_less(t, oz_vf_set(0.925f)), p, oz_vf_sign_of(far, x));
}

/* x (e^2 + 2e) / (e^2 + 2e + 2) with e = e^x; from 20 on that is x. */
static inline oz_vf oz_vf_mish(oz_vf x)
{
    oz_vf e = oz_vf_exp(oz_vf_min(oz_vf_set(20), x));
    oz_vf n = oz_vf_mul(e, oz_vf_add(e, oz_vf_set(2)));
    return oz_vf_mul(x, oz_vf_div(n, oz_vf_add(n, oz_vf_set(2))));
}

static inline oz_vf oz_vf_gelu_tanh(oz_vf x)
{
    oz_vf square = oz_vf_mul(x, x), half = oz_vf_mul(oz_vf_set(0.5f), x);
    oz_vf inner = oz_vf_fma(oz_vf_mul(square, x), oz_vf_set(0.044715f), x);
    oz_vf t = oz_vf_tanh(oz_vf_mul(oz_vf_set(0.7978845608f), inner));
    return oz_vf_fma(half, t, half);
}

static inline oz_vf oz_vf_gelu(oz_vf x)
{
    oz_vf half = oz_vf_mul(oz_vf_set(0.5f), x);
    return oz_vf_fma(half, oz_vf_erf(oz_vf_mul(x, oz_vf_set(0.70710678f))), half);
}

/* Also for alpha < 0, where e^(x / alpha) may overflow. */
static inline oz_vf oz_vf_celu(oz_vf x, float alpha)
{
    oz_vf inner = oz_vf_div(x, oz_vf_set(alpha));
    oz_vf far = oz_vf_sub(oz_vf_exp(inner), oz_vf_set(1));
    oz_vf m = oz_vf_select(oz_vf_less(oz_vf_set(1), inner), far, oz_vf_expm1(inner));
    return oz_vf_select(oz_vf_less(x, oz_vf_set(0)), oz_vf_mul(oz_vf_set(alpha), m), x);
}

static inline oz_vf oz_vf_elu(oz_vf x, float alpha)
{
    oz_vf below = oz_vf_mul(oz_vf_set(alpha), oz_vf_expm1(x));
    return oz_vf_select(oz_vf_less(x, oz_vf_set(0)), below, x);
}

/* max(0, min(1, alpha x + beta)) */
static inline oz_vf oz_vf_hard_sigmoid(oz_vf x, float alpha, float beta)
{
    return oz_vf_clamp(oz_vf_fma(oz_vf_set(alpha), x, oz_vf_set(beta)), 0, 1);
}

/* One vector through an activation. The switch is the same way every time, so it costs little
 * beside a polynomial. */
static inline oz_vf oz_vf_act(const struct oz_activation *act, oz_vf x)
{
    const float alpha = act->alpha, beta = act->beta;
    const oz_vf zero = oz_vf_set(0);
    switch (act->kind) {
    case OZ_ACT_RELU: return oz_vf_max(zero, x);
    case OZ_ACT_LEAKY_RELU:
        return oz_vf_select(oz_vf_less(x, zero), oz_vf_mul(oz_vf_set(alpha), x), x);
    case OZ_ACT_CLIP: return oz_vf_clamp(x, alpha, beta);
    case OZ_ACT_THRESHOLDED_RELU: return oz_vf_select(oz_vf_less(oz_vf_set(alpha), x), x, zero);
    case OZ_ACT_HARD_SIGMOID: return oz_vf_hard_sigmoid(x, alpha, beta);
    case OZ_ACT_AFFINE: return oz_vf_fma(oz_vf_set(alpha), x, oz_vf_set(beta));
    case OZ_ACT_SIGMOID: return oz_vf_sigmoid(x);
    case OZ_ACT_TANH: return oz_vf_tanh(x);
    case OZ_ACT_SCALED_TANH:
        return oz_vf_mul(oz_vf_set(alpha), oz_vf_tanh(oz_vf_mul(oz_vf_set(beta), x)));
    case OZ_ACT_ELU: return oz_vf_elu(x, alpha);
    case OZ_ACT_SELU: return oz_vf_mul(oz_vf_set(beta), oz_vf_elu(x, alpha));
    case OZ_ACT_CELU: return oz_vf_celu(x, alpha);
    case OZ_ACT_SOFTPLUS: return oz_vf_softplus(x);
    case OZ_ACT_SOFTSIGN: return oz_vf_div(x, oz_vf_add(oz_vf_set(1), oz_vf_abs(x)));
    case OZ_ACT_GELU: return oz_vf_gelu(x);
    case OZ_ACT_GELU_TANH: return oz_vf_gelu_tanh(x);
    case OZ_ACT_HARD_SWISH: return oz_vf_mul(x, oz_vf_hard_sigmoid(x, 1.0f / 6.0f, 0.5f));
    case OZ_ACT_SWISH: return oz_vf_mul(x, oz_vf_sigmoid(oz_vf_mul(oz_vf_set(alpha), x)));
    case OZ_ACT_MISH: return oz_vf_mish(x);
    case OZ_ACT_EXP: return oz_vf_exp(oz_vf_sub(x, oz_vf_set(alpha)));
    case OZ_ACT_ERF: return oz_vf_erf(x);
    default: return x;
    }
}
#endif
