/* Proves the bounds of the activations' errors that net_kernels.h states, and that every
 * instruction set gives their bits.
 * How: every 1021st float goes through each activation and is compared with the C library's
 * functions in double (sanitizers take fewer); all tables must agree with the scalar one to the bit
 * for arrays of every length up to some vectors, with special values among them; nothing behind the
 * array is touched. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>
#include "tests/unit/kernels/kernel_tables.h"

static double sigmoid(double x)
{
    double e = exp(-fabs(x));
    return x < 0 ? e / (1 + e) : 1 / (1 + e);
}

static double expected_of(const struct oz_activation *act, double x)
{
    double alpha = (double)act->alpha, beta = (double)act->beta;
    switch (act->kind) {
    case OZ_ACT_RELU: return fmax(0, x);
    case OZ_ACT_LEAKY_RELU: return x < 0 ? alpha * x : x;
    case OZ_ACT_CLIP: return fmin(beta, fmax(alpha, x));
    case OZ_ACT_THRESHOLDED_RELU: return x > alpha ? x : 0;
    case OZ_ACT_HARD_SIGMOID: return fmax(0, fmin(1, alpha * x + beta));
    case OZ_ACT_AFFINE: return alpha * x + beta;
    case OZ_ACT_SIGMOID: return sigmoid(x);
    case OZ_ACT_TANH: return tanh(x);
    case OZ_ACT_SCALED_TANH: return alpha * tanh(beta * x);
    case OZ_ACT_ELU: return x < 0 ? alpha * expm1(x) : x;
    case OZ_ACT_SELU: return beta * (x < 0 ? alpha * expm1(x) : x);
    case OZ_ACT_CELU: return fmax(0, x) + fmin(0, alpha * expm1(x / alpha));
    case OZ_ACT_SOFTPLUS: return fmax(0, x) + log1p(exp(-fabs(x)));
    case OZ_ACT_SOFTSIGN: return x / (1 + fabs(x));
    case OZ_ACT_GELU: return 0.5 * x * erfc(-x / sqrt(2));
    case OZ_ACT_GELU_TANH:
        return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    case OZ_ACT_HARD_SWISH: return x * fmax(0, fmin(1, x / 6 + 0.5));
    case OZ_ACT_SWISH: return x * sigmoid(alpha * x);
    case OZ_ACT_MISH: return x * tanh(fmax(0, x) + log1p(exp(-fabs(x))));
    case OZ_ACT_EXP: return exp(x - alpha);
    case OZ_ACT_ERF: return erf(x);
    default: return x;
    }
}

/* As net_kernels.h states them: in ulp of the result, or where `of_input` in 2^-24 |x|. */
static const struct bound {
    enum oz_act kind;
    float ulp;
    bool of_input;
} bounds[] = {{OZ_ACT_NONE, 0, false},
              {OZ_ACT_RELU, 0, false},
              {OZ_ACT_LEAKY_RELU, 0.5f, false},
              {OZ_ACT_CLIP, 0, false},
              {OZ_ACT_THRESHOLDED_RELU, 0, false},
              {OZ_ACT_AFFINE, 0.5f, false},
              {OZ_ACT_HARD_SIGMOID, 0.5f, false},
              {OZ_ACT_SIGMOID, 2.5f, false},
              {OZ_ACT_TANH, 3, false},
              {OZ_ACT_SCALED_TANH, 3, false},
              {OZ_ACT_ELU, 1, false},
              {OZ_ACT_SELU, 2.5f, false},
              {OZ_ACT_CELU, 1, false},
              {OZ_ACT_SOFTPLUS, 3, false},
              {OZ_ACT_SOFTSIGN, 1.5f, false},
              {OZ_ACT_GELU, 2, true},
              {OZ_ACT_GELU_TANH, 2.5f, true},
              {OZ_ACT_HARD_SWISH, 2, true},
              {OZ_ACT_SWISH, 2.5f, true},
              {OZ_ACT_MISH, 2.5f, true},
              {OZ_ACT_EXP, 1, false},
              {OZ_ACT_ERF, 1.25f, false}};

/* One unit in the last place of a float of this size. */
static double ulp_of(double x)
{
    int exponent;
    frexp(x, &exponent);
    return ldexp(1, OZ_MAX(exponent, -125) - 24);
}

static void check_error(const struct bound *bound, const struct oz_activation *act, float x,
                        float y)
{
    double expected = expected_of(act, (double)x);
    if (fabs(expected) >= 3.40282357e38) {
        assert_true(isinf(y) || fabs((double)y) > 3.402823e38);
        return;
    }
    double unit = bound->of_input ? fmax(fabs((double)x), 0x1p-125) * 0x1p-24 : ulp_of(expected);
    double error = fabs((double)y - expected);
    if (error <= (double)bound->ulp * unit) return;
    fail_msg("%s(%a) is %a, not %a: an error of %.3f", act_names[act->kind], (double)x, (double)y,
             expected, error / unit);
}

static void test_errors_are_bounded(void **state)
{
    (void)state;
    static float x[4096], y[4096];
    const struct oz_net_kernels *table = oz_net_kernels();
    uint64_t step = getenv("OUZEL_SEEDS") ? 131071 : 1021;
    assert_int_equal(OZ_COUNT_OF(bounds), OZ_ACT_COUNT);
    for (size_t i = 0; i < OZ_COUNT_OF(bounds); i++) {
        struct oz_activation act = act_of(bounds[i].kind);
        for (uint64_t from = 0; from <= UINT32_MAX;) {
            size_t n = 0;
            for (; n < OZ_COUNT_OF(x) && from <= UINT32_MAX; from += step) {
                uint32_t bits = (uint32_t)from;
                memcpy(&x[n], &bits, sizeof bits);
                n += isfinite(x[n]);
            }
            table->act_f32_array(n, x, &act, y);
            for (size_t j = 0; j < n; j++) check_error(&bounds[i], &act, x[j], y[j]);
        }
    }
}

static void test_same_bits(void **state)
{
    (void)state;
    for (size_t round = 0; round < rounds_of(300); round++)
        for (int kind = 0; kind < OZ_ACT_COUNT; kind++) {
            struct oz_activation act = act_of((enum oz_act)kind);
            if (round % 2) act.alpha = random_number(), act.beta = random_number();
            size_t n = random_below(70);
            float *x = random_floats(n, true), *expected = floats(n), *y = floats(n);
            for (size_t i = 0; i < n; i++)
                if (random_below(2)) x[i] *= (float)random_below(64);
            oz_net_kernels_at(0)->act_f32_array(n, x, &act, expected);
            const struct oz_net_kernels *table;
            for (size_t i = 0; (table = table_at(i)); i++) {
                if (n) memcpy(y, x, n * sizeof *x);
                table->act_f32_array(n, y, &act, y);
                size_t at = first_difference(y, expected, n);
                if (at < n)
                    fail_msg("%s: %s(%a) is %a, not %a", table->isa, act_names[kind], (double)x[at],
                             (double)y[at], (double)expected[at]);
            }
            free(x), free(expected), free(y);
        }
}

static void test_special_values(void **state)
{
    (void)state;
    static const struct {
        enum oz_act kind;
        float x, y;
    } cases[] = {{OZ_ACT_RELU, NAN, NAN},
                 {OZ_ACT_RELU, -INFINITY, 0},
                 {OZ_ACT_CLIP, NAN, NAN},
                 {OZ_ACT_THRESHOLDED_RELU, NAN, 0},
                 {OZ_ACT_SIGMOID, INFINITY, 1},
                 {OZ_ACT_SIGMOID, -INFINITY, 0},
                 {OZ_ACT_SIGMOID, NAN, NAN},
                 {OZ_ACT_TANH, INFINITY, 1},
                 {OZ_ACT_TANH, -INFINITY, -1},
                 {OZ_ACT_TANH, -0.0f, -0.0f},
                 {OZ_ACT_TANH, 0, 0},
                 {OZ_ACT_TANH, NAN, NAN},
                 {OZ_ACT_ELU, -INFINITY, -1},
                 {OZ_ACT_ELU, INFINITY, INFINITY},
                 {OZ_ACT_SOFTPLUS, INFINITY, INFINITY},
                 {OZ_ACT_SOFTPLUS, -INFINITY, 0},
                 {OZ_ACT_SOFTPLUS, NAN, NAN},
                 {OZ_ACT_MISH, INFINITY, INFINITY},
                 {OZ_ACT_EXP, INFINITY, INFINITY},
                 {OZ_ACT_EXP, -INFINITY, 0},
                 {OZ_ACT_EXP, NAN, NAN},
                 {OZ_ACT_ERF, INFINITY, 1},
                 {OZ_ACT_ERF, -INFINITY, -1},
                 {OZ_ACT_ERF, NAN, NAN},
                 {OZ_ACT_ERF, -0.0f, -0.0f}};
    for (size_t i = 0; i < OZ_COUNT_OF(cases); i++) {
        struct oz_activation act = act_of(cases[i].kind);
        float y;
        oz_net_kernels_at(0)->act_f32_array(1, &cases[i].x, &act, &y);
        if (!same_bits(y, cases[i].y))
            fail_msg("%s(%a) is %a, not %a", act_names[act.kind], (double)cases[i].x, (double)y,
                     (double)cases[i].y);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_special_values),
        cmocka_unit_test(test_errors_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
