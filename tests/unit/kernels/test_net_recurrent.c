/* Proves the steps of LSTM and GRU cells and the convolution over one axis.
 * How: over random sizes and options, the scalar kernels are compared with the formulas of the
 * ONNX operators written down in double, and every other table (the AVX-512 one also through SIMDe)
 * with the scalar one to the bit. Convolutions also run item by item, and in the scratch memory
 * that was planned for a larger shape: the same bits. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>
#include "tests/unit/kernels/kernel_tables.h"

static double apply(const struct oz_activation *act, double x)
{
    switch (act->kind) {
    case OZ_ACT_SIGMOID: return 1 / (1 + exp(-x));
    case OZ_ACT_TANH: return tanh(x);
    case OZ_ACT_RELU: return fmax(0, x);
    case OZ_ACT_HARD_SIGMOID: return fmax(0, fmin(1, (double)act->alpha * x + (double)act->beta));
    default: return x;
    }
}

static struct oz_activation random_act(enum oz_act usual)
{
    static const enum oz_act others[] = {OZ_ACT_SIGMOID, OZ_ACT_TANH, OZ_ACT_RELU,
                                         OZ_ACT_HARD_SIGMOID};
    return act_of(random_below(2) ? usual : others[random_below(OZ_COUNT_OF(others))]);
}

static double clipped(const struct oz_activation *act, float clip, double x)
{
    return apply(act, fmax(-(double)clip, fmin((double)clip, x)));
}

struct lstm_case {
    size_t m, h, ld_gates, ld_c, ld_h;
    float *gates, *peephole, *c, *expected_c, *expected_h, *c_next, *h_next;
    struct oz_activation act[3];
    float clip;
    bool input_forget;
};

static void check_lstm(const struct lstm_case *l)
{
    size_t h = l->h;
    for (size_t row = 0; row < l->m; row++)
        for (size_t j = 0; j < h; j++) {
            const float *g = l->gates + row * l->ld_gates + j, *p = l->peephole;
            double c = (double)l->c[row * l->ld_c + j], i = (double)g[0], o = (double)g[h];
            double f = (double)g[2 * h], cell = (double)g[3 * h];
            if (p) i += (double)p[j] * c, f += (double)p[2 * h + j] * c;
            i = clipped(&l->act[0], l->clip, i);
            f = l->input_forget ? 1 - i : clipped(&l->act[0], l->clip, f);
            c = f * c + i * clipped(&l->act[1], l->clip, cell);
            if (p) o += (double)p[h + j] * c;
            double out = clipped(&l->act[0], l->clip, o) * apply(&l->act[2], c);
            assert_true(fabs((double)l->expected_c[row * l->ld_c + j] - c) < 3e-6);
            assert_true(fabs((double)l->expected_h[row * l->ld_h + j] - out) < 6e-6);
        }
}

static void run_lstm(const struct oz_net_kernels *table, const struct lstm_case *l, bool in_place,
                     float *c_next, float *h_next)
{
    const float *c_prev = l->c;
    if (in_place) {
        memcpy(c_next, l->c, l->m * l->ld_c * sizeof *l->c);
        c_prev = c_next;
    }
    table->lstm_f32_cell(l->m, l->h, l->gates, l->ld_gates, l->peephole, l->act, l->clip,
                         l->input_forget, c_prev, c_next, l->ld_c, h_next, l->ld_h);
}

static void test_lstm_cell(void **state)
{
    (void)state;
    for (size_t round = 0; round < rounds_of(1000); round++) {
        struct lstm_case l = {.m = 1 + random_below(9), .h = 1 + random_below(70)};
        l.ld_gates = 4 * l.h + random_below(3);
        l.ld_c = l.h + random_below(3);
        l.ld_h = l.h + random_below(3);
        l.gates = random_floats(l.m * l.ld_gates, false);
        l.c = random_floats(l.m * l.ld_c, false);
        l.peephole = random_below(3) ? NULL : random_floats(3 * l.h, false);
        l.clip = random_below(3) ? INFINITY : 0.75f;
        l.input_forget = random_below(4) == 0;
        l.act[0] = random_act(OZ_ACT_SIGMOID);
        l.act[1] = random_act(OZ_ACT_TANH);
        l.act[2] = random_act(OZ_ACT_TANH);
        if (round % 2) { /* as nearly all nets have it */
            free(l.peephole);
            l.peephole = NULL;
            l.input_forget = false;
            l.clip = INFINITY;
            l.act[0] = act_of(OZ_ACT_SIGMOID);
            l.act[1] = l.act[2] = act_of(OZ_ACT_TANH);
        }
        size_t n_c = l.m * l.ld_c, n_h = l.m * l.ld_h;
        l.expected_c = random_floats(n_c, false);
        l.expected_h = random_floats(n_h, false);
        l.c_next = floats(n_c);
        l.h_next = floats(n_h);
        float *c_begin = random_floats(n_c, false), *h_begin = random_floats(n_h, false);
        memcpy(l.expected_c, c_begin, n_c * sizeof *c_begin);
        memcpy(l.expected_h, h_begin, n_h * sizeof *h_begin);
        run_lstm(oz_net_kernels_at(0), &l, false, l.expected_c, l.expected_h);
        check_lstm(&l);
        const struct oz_net_kernels *table;
        for (size_t i = 0; (table = table_at(i)); i++) {
            memcpy(l.c_next, c_begin, n_c * sizeof *c_begin);
            memcpy(l.h_next, h_begin, n_h * sizeof *h_begin);
            run_lstm(table, &l, false, l.c_next, l.h_next);
            assert_int_equal(first_difference(l.c_next, l.expected_c, n_c), n_c);
            assert_int_equal(first_difference(l.h_next, l.expected_h, n_h), n_h);
            run_lstm(table, &l, true, l.c_next, l.h_next);
            assert_int_equal(first_difference(l.h_next, l.expected_h, n_h), n_h);
        }
        free(l.gates), free(l.c), free(l.peephole), free(l.expected_c), free(l.expected_h);
        free(l.c_next), free(l.h_next), free(c_begin), free(h_begin);
    }
}

static void test_gru_cell(void **state)
{
    (void)state;
    for (size_t round = 0; round < rounds_of(1000); round++) {
        size_t m = 1 + random_below(9), h = 1 + random_below(70), n = m * h;
        size_t ld = 3 * h + random_below(3);
        float *gates = random_floats(m * ld, false), *prev = random_floats(n, false);
        float *recurrent = random_below(2) ? random_floats(n, false) : NULL;
        float *expected = floats(n), *reset = floats(n), *got = floats(n), clip = INFINITY;
        struct oz_activation act[2] = {act_of(OZ_ACT_SIGMOID), act_of(OZ_ACT_TANH)};
        if (random_below(2)) {
            act[0] = random_act(OZ_ACT_SIGMOID);
            act[1] = random_act(OZ_ACT_TANH);
            if (random_below(2)) clip = 0.75f;
        }
        const struct oz_net_kernels *table = oz_net_kernels_at(0);
        table->gru_f32_reset(m, h, gates, ld, act, clip, prev, h, reset, h);
        table->gru_f32_cell(m, h, gates, ld, recurrent, h, act, clip, prev, h, expected, h);
        for (size_t at = 0; at < n; at++) {
            const float *g = gates + at / h * ld + at % h;
            double z = clipped(&act[0], clip, (double)g[0]);
            double r = clipped(&act[0], clip, (double)g[h]), s = (double)g[2 * h];
            if (recurrent) s += r * (double)recurrent[at];
            s = (1 - z) * clipped(&act[1], clip, s) + z * (double)prev[at];
            assert_true(fabs(r * (double)prev[at] - (double)reset[at]) < 2e-6);
            assert_true(fabs(s - (double)expected[at]) < 4e-6);
        }
        for (size_t i = 0; (table = table_at(i)); i++) {
            table->gru_f32_reset(m, h, gates, ld, act, clip, prev, h, got, h);
            assert_int_equal(first_difference(got, reset, n), n);
            memcpy(got, prev, n * sizeof *got);
            table->gru_f32_cell(m, h, gates, ld, recurrent, h, act, clip, got, h, got, h);
            assert_int_equal(first_difference(got, expected, n), n);
        }
        free(gates), free(prev), free(recurrent), free(expected), free(reset), free(got);
    }
}

static struct oz_conv1d random_conv(void)
{
    struct oz_conv1d s = {.n_items = 1 + random_below(9),
                          .groups = 1 + random_below(3),
                          .n_taps = 1 + random_below(7),
                          .stride = 1 + random_below(4),
                          .dilation = 1 + random_below(3),
                          .pad_left = random_below(5)};
    if (random_below(2)) s.stride = s.dilation = 1;
    s.c_in = s.groups * (1 + random_below(5));
    s.c_out = s.groups * (1 + random_below(13));
    s.w_in = 1 + random_below(random_below(2) ? 20 : 150);
    size_t reach = (s.n_taps - 1) * s.dilation, pad_right = random_below(5);
    if (s.w_in + s.pad_left + pad_right <= reach) pad_right = reach + 1;
    s.w_out = (s.w_in + s.pad_left + pad_right - reach - 1) / s.stride + 1;
    return s;
}

/* The chain itself, in double: what a float may be off is bounded by the sizes of its terms. */
static void check_conv(const struct oz_conv1d *s, const float *x, const float *w, const float *bias,
                       const float *y)
{
    size_t c_in = s->c_in / s->groups, c_out = s->c_out / s->groups;
    for (size_t at = 0; at < s->n_items * s->c_out * s->w_out; at++) {
        size_t t = at % s->w_out, o = at / s->w_out % s->c_out, item = at / s->w_out / s->c_out;
        double sum = bias ? (double)bias[o] : 0, size = fabs(sum);
        for (size_t i = 0; i < c_in; i++)
            for (size_t tap = 0; tap < s->n_taps; tap++) {
                size_t from = t * s->stride + tap * s->dilation - s->pad_left;
                if (from >= s->w_in) continue;
                size_t channel = o / c_out * c_in + i;
                double term = (double)x[(item * s->c_in + channel) * s->w_in + from] *
                              (double)w[(o * c_in + i) * s->n_taps + tap];
                sum += term;
                size += fabs(term);
            }
        double bound = (double)(c_in * s->n_taps + 2) * 0x1p-24 * size;
        assert_true(fabs((double)y[at] - sum) <= bound);
    }
}

static void run_conv(const struct oz_net_kernels *table, const struct oz_conv1d *s, const float *x,
                     const float *w, const float *bias, const struct oz_activation *act, float *y)
{
    void *scratch = aligned_bytes(oz_conv1d_scratch_bytes(s));
    table->conv1d_f32_ncw(s, x, w, bias, act, scratch, y);
    free(scratch);
}

static void test_conv1d(void **state)
{
    (void)state;
    for (size_t round = 0; round < rounds_of(1000); round++) {
        struct oz_conv1d s = random_conv(), one = s;
        size_t n_y = s.n_items * s.c_out * s.w_out, x_item = s.c_in * s.w_in;
        float *x = random_floats(s.n_items * x_item, false);
        float *w = random_floats(s.c_out * (s.c_in / s.groups) * s.n_taps, false);
        float *bias = random_below(3) ? random_floats(s.c_out, false) : NULL;
        float *expected = floats(n_y), *y = floats(n_y);
        struct oz_activation act = act_of((enum oz_act)random_below(OZ_ACT_COUNT));
        run_conv(oz_net_kernels_at(0), &s, x, w, bias, NULL, expected);
        check_conv(&s, x, w, bias, expected);
        oz_net_kernels_at(0)->act_f32_array(n_y, expected, &act, expected);
        one.n_items = 1;
        const struct oz_net_kernels *table;
        for (size_t i = 0; (table = table_at(i)); i++) {
            run_conv(table, &s, x, w, bias, &act, y);
            assert_int_equal(first_difference(y, expected, n_y), n_y);
            random_fill(y, n_y, false);
            for (size_t item = 0; item < s.n_items; item++)
                run_conv(table, &one, x + item * x_item, w, bias, &act,
                         y + item * s.c_out * s.w_out);
            assert_int_equal(first_difference(y, expected, n_y), n_y);
        }
        free(x), free(w), free(bias), free(expected), free(y);
    }
}

static void test_scratch_of_smaller_shapes_is_not_more(void **state)
{
    (void)state;
    for (size_t round = 0; round < 10000; round++) {
        struct oz_conv1d s = random_conv(), less = s;
        less.n_items = 1 + random_below(s.n_items);
        less.w_out = 1 + random_below(s.w_out);
        assert_true(oz_conv1d_scratch_bytes(&less) <= oz_conv1d_scratch_bytes(&s));
    }
    struct oz_conv1d huge = {1, SIZE_MAX / 2, 8, 8, 8, 1, 3, 1, 1, 0};
    assert_true(oz_conv1d_scratch_bytes(&huge) == SIZE_MAX);
    huge = (struct oz_conv1d){1, 1, 8, 8, 8, 1, SIZE_MAX / 4, 1, 9, 0};
    assert_true(oz_conv1d_scratch_bytes(&huge) == SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lstm_cell),
        cmocka_unit_test(test_gru_cell),
        cmocka_unit_test(test_conv1d),
        cmocka_unit_test(test_scratch_of_smaller_shapes_is_not_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
