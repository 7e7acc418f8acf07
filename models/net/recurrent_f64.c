#include "models/net/recurrent.h"
#include <math.h>
#include <string.h>

/* Row after row, step after step, gate after gate, as the operators' reference writes it. */

/* One direction of one row. */
struct row {
    const struct oz_recurrent_run *run;
    const struct oz_activation *act;
    const double *w, *r, *w_bias, *r_bias, *peephole; /* of the direction; biases may be NULL */
    double *gate, *h, *c, *other;                     /* [gates x hidden], [hidden], ... */
};

static double activate(const struct oz_activation *act, double x)
{
    double alpha = (double)act->alpha, beta = (double)act->beta;
    switch (act->kind) {
    case OZ_ACT_RELU: return x < 0.0 ? 0.0 : x;
    case OZ_ACT_LEAKY_RELU: return x < 0.0 ? alpha * x : x;
    case OZ_ACT_THRESHOLDED_RELU: return x > alpha ? x : 0.0;
    case OZ_ACT_HARD_SIGMOID: return fmax(0.0, fmin(1.0, alpha * x + beta));
    case OZ_ACT_AFFINE: return alpha * x + beta;
    case OZ_ACT_SIGMOID: return 1.0 / (1.0 + exp(-x));
    case OZ_ACT_TANH: return tanh(x);
    case OZ_ACT_SCALED_TANH: return alpha * tanh(beta * x);
    case OZ_ACT_ELU: return x < 0.0 ? alpha * expm1(x) : x;
    case OZ_ACT_SOFTPLUS: return x > 0.0 ? x + log1p(exp(-x)) : log1p(exp(x));
    case OZ_ACT_SOFTSIGN: return x / (1.0 + fabs(x));
    default: OZ_ASSERT(false); return x;
    }
}

static double clipped(const struct row *row, double x)
{
    double clip = (double)row->run->form->clip;
    return x > clip ? clip : x < -clip ? -clip : x;
}

static double dot(const double *restrict a, const double *restrict b, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* to[n] = weights[n x k] * v + bias, added to what is there. */
static void add_product(double *to, size_t n, const double *weights, size_t k, const double *v,
                        const double *bias)
{
    for (size_t i = 0; i < n; i++) to[i] += dot(weights + i * k, v, k) + (bias ? bias[i] : 0.0);
}

static void step_rnn(const struct row *row)
{
    size_t n = row->run->n_hidden;
    add_product(row->gate, n, row->r, n, row->h, row->r_bias);
    for (size_t i = 0; i < n; i++) row->h[i] = activate(&row->act[0], clipped(row, row->gate[i]));
}

static void step_gru(const struct row *row)
{
    size_t n = row->run->n_hidden;
    double *z = row->gate, *r = z + n, *candidate = r + n, *other = row->other;
    const double *r_h = row->r + 2 * n * n, *bias_h = row->r_bias ? row->r_bias + 2 * n : NULL;
    add_product(z, 2 * n, row->r, n, row->h, row->r_bias);
    for (size_t i = 0; i < 2 * n; i++) z[i] = activate(&row->act[0], clipped(row, z[i]));
    if (row->run->form->linear_before_reset) {
        memset(other, 0, n * sizeof *other);
        add_product(other, n, r_h, n, row->h, bias_h);
        for (size_t i = 0; i < n; i++) candidate[i] += r[i] * other[i];
    } else {
        for (size_t i = 0; i < n; i++) other[i] = r[i] * row->h[i];
        add_product(candidate, n, r_h, n, other, bias_h);
    }
    for (size_t i = 0; i < n; i++) {
        double v = activate(&row->act[1], clipped(row, candidate[i]));
        row->h[i] = (1.0 - z[i]) * v + z[i] * row->h[i];
    }
}

static void step_lstm(const struct row *row)
{
    size_t n = row->run->n_hidden;
    const double *p = row->peephole;
    double *gate = row->gate;
    add_product(gate, 4 * n, row->r, n, row->h, row->r_bias);
    for (size_t j = 0; j < n; j++) {
        double i = gate[j], o = gate[n + j], f = gate[2 * n + j], g = gate[3 * n + j];
        if (p) i += p[j] * row->c[j];
        if (p) f += p[2 * n + j] * row->c[j];
        i = activate(&row->act[0], clipped(row, i));
        f = row->run->form->input_forget ? 1.0 - i : activate(&row->act[0], clipped(row, f));
        g = activate(&row->act[1], clipped(row, g));
        row->c[j] = f * row->c[j] + i * g;
        if (p) o += p[n + j] * row->c[j];
        o = activate(&row->act[0], clipped(row, o));
        row->h[j] = o * activate(&row->act[2], row->c[j]);
    }
}

static void run_row(const struct row *row, size_t number, size_t direction)
{
    const struct oz_recurrent_run *run = row->run;
    const struct oz_recurrent *form = run->form;
    size_t n = run->n_hidden, n_bytes = n * sizeof(double);
    size_t state = number * run->state_row + direction * run->state_direction;
    memset(row->h, 0, n_bytes);
    memset(row->c, 0, n_bytes);
    if (run->h0) memcpy(row->h, run->h0->f64 + state, n_bytes);
    if (run->c0) memcpy(row->c, run->c0->f64 + state, n_bytes);
    for (size_t i = 0; i < run->n_steps; i++) {
        size_t step = form->is_reverse[direction] ? run->n_steps - 1 - i : i;
        size_t at = step * run->y_step + number * run->y_row + direction * run->y_direction;
        bool is_active = oz_recurrent_is_active(run, number, step);
        if (is_active) {
            memset(row->gate, 0, form->n_gates * n_bytes);
            add_product(row->gate, form->n_gates * n, row->w, run->n_in,
                        run->x->f64 + step * run->x_step + number * run->x_row, row->w_bias);
            switch (form->cell) {
            case OZ_CELL_RNN: step_rnn(row); break;
            case OZ_CELL_GRU: step_gru(row); break;
            case OZ_CELL_LSTM: step_lstm(row); break;
            }
        }
        if (run->y && is_active) memcpy(run->y->f64 + at, row->h, n_bytes);
        if (run->y && !is_active) memset(run->y->f64 + at, 0, n_bytes);
    }
    if (!oz_recurrent_is_active(run, number, 0)) {
        memset(row->h, 0, n_bytes);
        memset(row->c, 0, n_bytes);
    }
    if (run->y_h) memcpy(run->y_h->f64 + state, row->h, n_bytes);
    if (run->y_c) memcpy(run->y_c->f64 + state, row->c, n_bytes);
}

size_t oz_recurrent_f64_scratch_bytes(const struct oz_recurrent_run *run)
{
    return (run->form->n_gates + 3) * run->n_hidden * sizeof(double);
}

void oz_recurrent_f64(const struct oz_recurrent_run *run, void *scratch)
{
    const struct oz_recurrent *form = run->form;
    size_t n = run->n_hidden, n_all = form->n_gates * n;
    for (size_t d = 0; d < form->n_directions; d++) {
        const double *bias = run->bias ? run->bias->f64 + d * 2 * n_all : NULL;
        struct row row = {
            .run = run,
            .act = form->act[d],
            .w = run->w->f64 + d * n_all * run->n_in,
            .r = run->r->f64 + d * n_all * n,
            .w_bias = bias,
            .r_bias = bias ? bias + n_all : NULL,
            .peephole = run->p ? run->p->f64 + d * 3 * n : NULL,
            .gate = scratch,
            .h = (double *)scratch + n_all,
            .c = (double *)scratch + n_all + n,
            .other = (double *)scratch + n_all + 2 * n,
        };
        for (size_t number = 0; number < run->n_rows; number++) run_row(&row, number, d);
    }
}
