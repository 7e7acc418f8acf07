/* The pointwise steps of LSTM and GRU cells; included once per instruction set, after one of
 * vec_*.h. Everything of one vector of cells stays in registers; the usual activations are inlined,
 * others go through the switch. */
#ifndef OZ_KERNELS_CPU_RECURRENT_BODY_H
#define OZ_KERNELS_CPU_RECURRENT_BODY_H
#include "kernels/cpu/vec_math.h"

/* One activation, out of line: the rare ones must not be inlined at every place. */
static __attribute__((noinline)) oz_vf any_act(const struct oz_activation *act, oz_vf x)
{
    return oz_vf_act(act, x);
}

static inline oz_vf clip_act(const struct oz_activation *act, float clip, oz_vf x)
{
    return any_act(act, oz_vf_clamp(x, -clip, clip));
}

struct lstm {
    size_t h;
    const float *peephole;
    const struct oz_activation *act;
    float clip;
    bool is_usual, input_forget;
};

/* The cells at [j, j + OZ_LANES) of one row, cut by `some`. */
static inline __attribute__((always_inline)) void lstm_vector(const struct lstm *l, size_t j,
                                                              oz_vm some, const float *gates,
                                                              const float *c_prev, float *c_next,
                                                              float *h_next)
{
    oz_vf i = oz_vf_load_some(gates + j, some);
    oz_vf o = oz_vf_load_some(gates + l->h + j, some);
    oz_vf f = oz_vf_load_some(gates + 2 * l->h + j, some);
    oz_vf g = oz_vf_load_some(gates + 3 * l->h + j, some);
    oz_vf c = oz_vf_load_some(c_prev + j, some);
    if (l->is_usual) {
        i = oz_vf_sigmoid(i);
        f = oz_vf_sigmoid(f);
        c = oz_vf_fma(f, c, oz_vf_mul(i, oz_vf_tanh(g)));
        oz_vf_store_some(c_next + j, some, c);
        oz_vf_store_some(h_next + j, some, oz_vf_mul(oz_vf_sigmoid(o), oz_vf_tanh(c)));
        return;
    }
    const float *p = l->peephole;
    if (p) {
        i = oz_vf_fma(oz_vf_load_some(p + j, some), c, i);
        f = oz_vf_fma(oz_vf_load_some(p + 2 * l->h + j, some), c, f);
    }
    i = clip_act(&l->act[0], l->clip, i);
    f = l->input_forget ? oz_vf_sub(oz_vf_set(1), i) : clip_act(&l->act[0], l->clip, f);
    g = clip_act(&l->act[1], l->clip, g);
    c = oz_vf_fma(f, c, oz_vf_mul(i, g));
    if (p) o = oz_vf_fma(oz_vf_load_some(p + l->h + j, some), c, o);
    o = clip_act(&l->act[0], l->clip, o);
    oz_vf_store_some(c_next + j, some, c);
    oz_vf_store_some(h_next + j, some, oz_vf_mul(o, any_act(&l->act[2], c)));
}

void OZ_KERNEL(lstm_f32_cell)(size_t m, size_t h, const float *restrict gates, size_t ld_gates,
                              const float *restrict peephole, const struct oz_activation act[3],
                              float clip, bool input_forget, const float *c_prev, float *c_next,
                              size_t ld_c, float *restrict h_next, size_t ld_h)
{
    struct lstm l = {.h = h,
                     .peephole = peephole,
                     .act = act,
                     .clip = clip,
                     .input_forget = input_forget,
                     .is_usual = !peephole && !input_forget && isinf(clip) &&
                                 act[0].kind == OZ_ACT_SIGMOID && act[1].kind == OZ_ACT_TANH &&
                                 act[2].kind == OZ_ACT_TANH};
    const oz_vm all = oz_vf_first(OZ_LANES), rest = oz_vf_first(h % OZ_LANES);
    for (size_t row = 0; row < m; row++) {
        size_t j = 0;
        for (; j + OZ_LANES <= h; j += OZ_LANES)
            lstm_vector(&l, j, all, gates, c_prev, c_next, h_next);
        if (j < h) lstm_vector(&l, j, rest, gates, c_prev, c_next, h_next);
        gates += ld_gates, c_prev += ld_c, c_next += ld_c, h_next += ld_h;
    }
}

static inline oz_vf gru_gate(bool is_usual, const struct oz_activation *act, float clip, oz_vf x)
{
    return is_usual ? oz_vf_sigmoid(x) : clip_act(act, clip, x);
}

void OZ_KERNEL(gru_f32_reset)(size_t m, size_t h, const float *restrict gates, size_t ld_gates,
                              const struct oz_activation act[2], float clip,
                              const float *restrict h_prev, size_t ld_h_prev, float *restrict reset,
                              size_t ld_reset)
{
    bool is_usual = isinf(clip) && act[0].kind == OZ_ACT_SIGMOID;
    for (size_t row = 0; row < m; row++) {
        for (size_t j = 0; j < h; j += OZ_LANES) {
            oz_vm some = oz_vf_first(h - j);
            oz_vf r = oz_vf_load_some(gates + h + j, some);
            r = gru_gate(is_usual, &act[0], clip, r);
            oz_vf_store_some(reset + j, some, oz_vf_mul(r, oz_vf_load_some(h_prev + j, some)));
        }
        gates += ld_gates, h_prev += ld_h_prev, reset += ld_reset;
    }
}

void OZ_KERNEL(gru_f32_cell)(size_t m, size_t h, const float *restrict gates, size_t ld_gates,
                             const float *restrict recurrent, size_t ld_recurrent,
                             const struct oz_activation act[2], float clip, const float *h_prev,
                             size_t ld_h_prev, float *h_next, size_t ld_h_next)
{
    bool is_usual = isinf(clip) && act[0].kind == OZ_ACT_SIGMOID && act[1].kind == OZ_ACT_TANH;
    for (size_t row = 0; row < m; row++) {
        for (size_t j = 0; j < h; j += OZ_LANES) {
            oz_vm some = oz_vf_first(h - j);
            oz_vf z = oz_vf_load_some(gates + j, some);
            oz_vf g = oz_vf_load_some(gates + 2 * h + j, some);
            z = gru_gate(is_usual, &act[0], clip, z);
            if (recurrent) {
                oz_vf r = oz_vf_load_some(gates + h + j, some);
                r = gru_gate(is_usual, &act[0], clip, r);
                g = oz_vf_fma(r, oz_vf_load_some(recurrent + j, some), g);
            }
            g = is_usual ? oz_vf_tanh(g) : clip_act(&act[1], clip, g);
            oz_vf old = oz_vf_mul(z, oz_vf_load_some(h_prev + j, some));
            oz_vf_store_some(h_next + j, some, oz_vf_fma(oz_vf_sub(oz_vf_set(1), z), g, old));
        }
        gates += ld_gates, h_prev += ld_h_prev, h_next += ld_h_next;
        if (recurrent) recurrent += ld_recurrent;
    }
}
#endif
