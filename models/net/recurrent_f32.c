#include "models/net/recurrent.h"
#include <math.h>
#include <string.h>

/* The input's part of the gates is one product for as many steps as fit into the cache; then each
 * step adds the recurrent part and computes the cells of all active rows that stand together. Every
 * element is summed in the same order however the rows are cut, so a row does not depend on its
 * neighbours. */

enum { INPUT_PART_BYTES = 1 << 19, ALIGNMENT = 64 };

/* Packed weights of one direction, in elements, one after the other. GRU's candidate has its own
 * recurrent product, because it waits for the reset gate. */
struct packed {
    size_t input, recurrent, candidate, all;
};

/* The scratch memory, in elements. */
struct places {
    size_t gates, h, c, other, bias, bias_candidate, packed, all;
};

/* One direction of a run. */
struct direction {
    const struct oz_recurrent_run *run;
    const struct oz_net_kernels *kernels;
    const struct oz_activation *act;
    const float *input, *recurrent, *candidate;    /* packed weights */
    const float *bias, *bias_candidate, *peephole; /* NULL: none */
    float *gates, *h, *c, *other;
    size_t n_gates; /* times the hidden size */
};

static size_t aligned(size_t n_elements)
{
    size_t step = ALIGNMENT / sizeof(float);
    return (n_elements + step - 1) / step * step;
}

static size_t packed_elements(size_t k, size_t n)
{
    return aligned(oz_net_kernels()->dense_f32_packed_bytes(k, n) / sizeof(float));
}

static struct packed packed_sizes(const struct oz_recurrent *form, size_t n_in, size_t n_hidden)
{
    bool is_gru = form->cell == OZ_CELL_GRU;
    struct packed packed = {
        .input = packed_elements(n_in, form->n_gates * n_hidden),
        .recurrent = packed_elements(n_hidden, (is_gru ? 2 : form->n_gates) * n_hidden),
        .candidate = is_gru ? packed_elements(n_hidden, n_hidden) : 0,
    };
    packed.all = packed.input + packed.recurrent + packed.candidate;
    return packed;
}

size_t oz_recurrent_packed_elements(const struct oz_recurrent *form, size_t n_in, size_t n_hidden)
{
    return packed_sizes(form, n_in, n_hidden).all * form->n_directions;
}

void oz_recurrent_pack(const struct oz_recurrent *form, size_t n_in, size_t n_hidden,
                       const float *w, const float *r, float *to)
{
    const struct oz_net_kernels *kernels = oz_net_kernels();
    struct packed packed = packed_sizes(form, n_in, n_hidden);
    size_t n = form->n_gates * n_hidden;
    size_t n_recurrent = form->cell == OZ_CELL_GRU ? 2 * n_hidden : n;
    for (size_t d = 0; d < form->n_directions; d++) {
        kernels->dense_f32_pack(n_in, n, w, 1, n_in, 1.0f, to);
        to += packed.input;
        kernels->dense_f32_pack(n_hidden, n_recurrent, r, 1, n_hidden, 1.0f, to);
        to += packed.recurrent;
        if (packed.candidate)
            kernels->dense_f32_pack(n_hidden, n_hidden, r + 2 * n_hidden * n_hidden, 1, n_hidden,
                                    1.0f, to);
        to += packed.candidate;
        w += n * n_in;
        r += n * n_hidden;
    }
}

/* How many rows of gates the input's part is computed for at once, when steps allow. */
static size_t rows_at_once(const struct oz_recurrent_run *run)
{
    size_t row_bytes = run->form->n_gates * run->n_hidden * sizeof(float);
    return OZ_MAX(INPUT_PART_BYTES / row_bytes, run->n_rows);
}

static struct places places_of(const struct oz_recurrent_run *run)
{
    const struct oz_recurrent *form = run->form;
    size_t n_all = form->n_gates * run->n_hidden, n_state = run->n_rows * run->n_hidden;
    size_t n_gate_rows = OZ_MIN(rows_at_once(run), run->n_steps * run->n_rows);
    struct places at = {.gates = 0};
    at.h = at.gates + aligned(n_gate_rows * n_all);
    at.c = at.h + aligned(n_state);
    at.other = at.c + (form->cell == OZ_CELL_LSTM ? aligned(n_state) : 0);
    at.bias = at.other + (form->cell == OZ_CELL_GRU ? aligned(n_state) : 0);
    at.bias_candidate = at.bias + aligned(n_all);
    at.packed = at.bias_candidate + aligned(run->n_hidden);
    at.all = at.packed;
    if (!form->packed) at.all += oz_recurrent_packed_elements(form, run->n_in, run->n_hidden);
    return at;
}

size_t oz_recurrent_f32_scratch_bytes(const struct oz_recurrent_run *run)
{
    return places_of(run).all * sizeof(float);
}

/* The gates of steps [from, from + n_steps) of all rows: bias + W x. */
static void input_part(const struct direction *direction, size_t from, size_t n_steps)
{
    const struct oz_recurrent_run *run = direction->run;
    const struct oz_net_kernels *kernels = direction->kernels;
    size_t n = direction->n_gates, n_rows = run->n_rows;
    const float *x = run->x->f32 + from * run->x_step;
    if (run->x_step == n_rows * run->n_in) { /* steps and rows follow each other in X as here */
        kernels->dense_f32_packed(n_steps * n_rows, n, run->n_in, x, run->n_in, direction->input,
                                  direction->bias, 0, NULL, direction->gates, n);
        return;
    }
    for (size_t k = 0; n_steps <= n_rows && k < n_steps; k++)
        kernels->dense_f32_packed(n_rows, n, run->n_in, x + k * run->x_step, run->x_row,
                                  direction->input, direction->bias, 0, NULL,
                                  direction->gates + k * n_rows * n, n);
    for (size_t row = 0; n_steps > n_rows && row < n_rows; row++)
        kernels->dense_f32_packed(n_steps, n, run->n_in, x + row * run->x_row, run->x_step,
                                  direction->input, direction->bias, 0, NULL,
                                  direction->gates + row * n, n_rows * n);
}

static void step_lstm(const struct direction *direction, size_t row, size_t m, float *gates)
{
    const struct oz_recurrent *form = direction->run->form;
    const struct oz_net_kernels *kernels = direction->kernels;
    size_t hidden = direction->run->n_hidden, n = direction->n_gates;
    float *h = direction->h + row * hidden, *c = direction->c + row * hidden;
    kernels->dense_f32_packed(m, n, hidden, h, hidden, direction->recurrent, gates, n, NULL, gates,
                              n);
    kernels->lstm_f32_cell(m, hidden, gates, n, direction->peephole, direction->act, form->clip,
                           form->input_forget, c, c, hidden, h, hidden);
}

static void step_gru(const struct direction *direction, size_t row, size_t m, float *gates)
{
    const struct oz_recurrent *form = direction->run->form;
    const struct oz_net_kernels *kernels = direction->kernels;
    size_t hidden = direction->run->n_hidden, n = direction->n_gates;
    float *h = direction->h + row * hidden, *other = direction->other + row * hidden;
    float *candidate = gates + 2 * hidden;
    const float *recurrent = NULL;
    kernels->dense_f32_packed(m, 2 * hidden, hidden, h, hidden, direction->recurrent, gates, n,
                              NULL, gates, n);
    if (form->linear_before_reset) {
        kernels->dense_f32_packed(m, hidden, hidden, h, hidden, direction->candidate,
                                  direction->bias_candidate, 0, NULL, other, hidden);
        recurrent = other;
    } else {
        kernels->gru_f32_reset(m, hidden, gates, n, direction->act, form->clip, h, hidden, other,
                               hidden);
        kernels->dense_f32_packed(m, hidden, hidden, other, hidden, direction->candidate, candidate,
                                  n, NULL, candidate, n);
    }
    kernels->gru_f32_cell(m, hidden, gates, n, recurrent, hidden, direction->act, form->clip, h,
                          hidden, h, hidden);
}

static void step_rnn(const struct direction *direction, size_t row, size_t m, float *gates)
{
    float clip = direction->run->form->clip;
    const struct oz_activation clipping = {OZ_ACT_CLIP, -clip, clip};
    const struct oz_net_kernels *kernels = direction->kernels;
    size_t hidden = direction->run->n_hidden;
    float *h = direction->h + row * hidden;
    kernels->dense_f32_packed(m, hidden, hidden, h, hidden, direction->recurrent, gates, hidden,
                              isinf(clip) ? NULL : &clipping, gates, hidden);
    kernels->act_f32_array(m * hidden, gates, &direction->act[0], h);
}

/* m rows from `row` on, all active, at one step. */
static void step_rows(const struct direction *direction, size_t row, size_t m, float *gates)
{
    switch (direction->run->form->cell) {
    case OZ_CELL_RNN: step_rnn(direction, row, m, gates); break;
    case OZ_CELL_GRU: step_gru(direction, row, m, gates); break;
    case OZ_CELL_LSTM: step_lstm(direction, row, m, gates); break;
    }
}

/* One step of all rows; y is the step's and direction's part of the output, or NULL. */
static void step_all(const struct direction *direction, size_t step, float *gates, float *y)
{
    const struct oz_recurrent_run *run = direction->run;
    size_t hidden = run->n_hidden;
    for (size_t row = 0, end; row < run->n_rows; row = end) {
        bool is_active = oz_recurrent_is_active(run, row, step);
        end = run->lengths ? row + 1 : run->n_rows;
        while (end < run->n_rows && oz_recurrent_is_active(run, end, step) == is_active) end++;
        if (is_active) step_rows(direction, row, end - row, gates + row * direction->n_gates);
        for (size_t i = row; y && i < end; i++) {
            if (is_active)
                memcpy(y + i * run->y_row, direction->h + i * hidden, hidden * sizeof *y);
            else
                memset(y + i * run->y_row, 0, hidden * sizeof *y);
        }
    }
}

static void copy_state(const struct oz_recurrent_run *run, size_t d, const struct oz_tensor *from,
                       float *to)
{
    size_t n_bytes = run->n_hidden * sizeof *to;
    for (size_t row = 0; row < run->n_rows; row++, to += run->n_hidden) {
        if (from)
            memcpy(to, from->f32 + d * run->state_direction + row * run->state_row, n_bytes);
        else
            memset(to, 0, n_bytes);
    }
}

static void put_state(const struct oz_recurrent_run *run, size_t d, const float *from,
                      struct oz_tensor *to)
{
    size_t n_bytes = run->n_hidden * sizeof *from;
    for (size_t row = 0; to && row < run->n_rows; row++, from += run->n_hidden) {
        float *state = to->f32 + d * run->state_direction + row * run->state_row;
        if (oz_recurrent_is_active(run, row, 0))
            memcpy(state, from, n_bytes);
        else
            memset(state, 0, n_bytes);
    }
}

static void run_direction(const struct direction *direction, size_t d)
{
    const struct oz_recurrent_run *run = direction->run;
    bool is_reverse = run->form->is_reverse[d];
    size_t at_once = rows_at_once(run) / run->n_rows;
    copy_state(run, d, run->h0, direction->h);
    if (run->form->cell == OZ_CELL_LSTM) copy_state(run, d, run->c0, direction->c);
    for (size_t done = 0, n; done < run->n_steps; done += n) {
        n = OZ_MIN(at_once, run->n_steps - done);
        size_t from = is_reverse ? run->n_steps - done - n : done;
        input_part(direction, from, n);
        for (size_t i = 0; i < n; i++) {
            size_t k = is_reverse ? n - 1 - i : i;
            float *y = NULL;
            if (run->y) y = run->y->f32 + (from + k) * run->y_step + d * run->y_direction;
            step_all(direction, from + k, direction->gates + k * run->n_rows * direction->n_gates,
                     y);
        }
    }
    put_state(run, d, direction->h, run->y_h);
    if (run->form->cell == OZ_CELL_LSTM) put_state(run, d, direction->c, run->y_c);
}

/* What the input's part starts with: the biases of W and R. With linear_before_reset the one of R
 * for GRU's candidate stays apart, because the reset gate scales it. */
static void join_bias(const struct oz_recurrent_run *run, size_t d, float *bias,
                      float *bias_candidate)
{
    size_t n = run->form->n_gates * run->n_hidden;
    const float *of_w = run->bias->f32 + d * 2 * n, *of_r = of_w + n;
    size_t n_joined = run->form->linear_before_reset ? 2 * run->n_hidden : n;
    for (size_t i = 0; i < n; i++) bias[i] = i < n_joined ? of_w[i] + of_r[i] : of_w[i];
    for (size_t i = n_joined; i < n; i++) bias_candidate[i - n_joined] = of_r[i];
}

void oz_recurrent_f32(const struct oz_recurrent_run *run, void *scratch)
{
    const struct oz_recurrent *form = run->form;
    struct places at = places_of(run);
    struct packed packed = packed_sizes(form, run->n_in, run->n_hidden);
    float *memory = scratch, *bias = memory + at.bias;
    float *bias_candidate = memory + at.bias_candidate;
    const float *weights = form->packed;
    if (run->n_rows == 0) return;
    if (!weights) {
        oz_recurrent_pack(form, run->n_in, run->n_hidden, run->w->f32, run->r->f32,
                          memory + at.packed);
        weights = memory + at.packed;
    }
    for (size_t d = 0; d < form->n_directions; d++, weights += packed.all) {
        if (run->bias) join_bias(run, d, bias, bias_candidate);
        struct direction direction = {
            .run = run,
            .kernels = oz_net_kernels(),
            .act = form->act[d],
            .input = weights,
            .recurrent = weights + packed.input,
            .candidate = weights + packed.input + packed.recurrent,
            .bias = run->bias ? bias : NULL,
            .bias_candidate = run->bias ? bias_candidate : NULL,
            .peephole = run->p ? run->p->f32 + d * 3 * run->n_hidden : NULL,
            .gates = memory + at.gates,
            .h = memory + at.h,
            .c = memory + at.c,
            .other = memory + at.other,
            .n_gates = form->n_gates * run->n_hidden,
        };
        run_direction(&direction, d);
    }
}
