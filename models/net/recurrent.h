/* RNN, GRU and LSTM: what a node says (the form), what one run of it works on (the run), and the
 * two bodies that compute it.
 *
 * Layout: X is [steps x rows x features], or [rows x steps x features] with layout 1; so one step
 * of one row stands at x_step and x_row times its numbers. Y and the states are the same with the
 * directions in between. Gates are in ONNX's order: i o f c, z r h, or the one of RNN.
 * A row is active at a step below its sequence length. Both directions go through the steps by
 * their place in X, reverse from the last to the first, and skip a row where it is not active: its
 * state then stays, and its output is zero. So a row that ends early keeps its last state, and in
 * reverse starts with its last step. The final states of a row of length 0 are zero.
 * Threads: a form is immutable after prepare; a run belongs to one. Ownership: all borrowed.
 * Source: the operators' reference; where it is silent, ONNX Runtime: clip does not touch what goes
 * into h() of LSTM, a row without steps has zero states. */
#ifndef OZ_MODELS_NET_RECURRENT_H
#define OZ_MODELS_NET_RECURRENT_H
#include "kernels/cpu/net_kernels.h"
#include "models/net/op.h"

enum oz_cell { OZ_CELL_RNN, OZ_CELL_GRU, OZ_CELL_LSTM };
enum { OZ_DIRECTIONS_MAX = 2, OZ_CELL_ACTS_MAX = 3 };

struct oz_recurrent {
    enum oz_cell cell;
    size_t n_gates, n_acts;
    size_t n_directions;
    bool is_reverse[OZ_DIRECTIONS_MAX];
    bool batch_first; /* layout 1 */
    bool input_forget, linear_before_reset;
    float clip;          /* INFINITY: none */
    int64_t hidden_size; /* 0: the weights tell */
    struct oz_activation act[OZ_DIRECTIONS_MAX][OZ_CELL_ACTS_MAX];
    float *packed; /* the weights of all directions, or NULL: they are not constant */
};

struct oz_recurrent_run {
    const struct oz_recurrent *form;
    size_t n_steps, n_rows, n_in, n_hidden;
    const struct oz_tensor *x, *w, *r;                    /* always there */
    const struct oz_tensor *bias, *lengths, *h0, *c0, *p; /* or NULL; the lengths are checked */
    struct oz_tensor *y, *y_h, *y_c;                      /* NULL: not wanted */
    size_t x_step, x_row;                                 /* in elements */
    size_t y_step, y_row, y_direction;
    size_t state_row, state_direction;
};

/* Elements of packed weights, all directions. */
size_t oz_recurrent_packed_elements(const struct oz_recurrent *form, size_t n_in, size_t n_hidden);
/* Packs w and r, float, whose shapes are as the operator asks. */
void oz_recurrent_pack(const struct oz_recurrent *form, size_t n_in, size_t n_hidden,
                       const float *w, const float *r, float *to);
/* Memory that the body needs, in bytes. It grows with steps and rows, so that a run of fewer fits
 * into what was planned for more. */
size_t oz_recurrent_f32_scratch_bytes(const struct oz_recurrent_run *run);
void oz_recurrent_f32(const struct oz_recurrent_run *run, void *scratch);
/* The same for double, as the reference writes it. */
size_t oz_recurrent_f64_scratch_bytes(const struct oz_recurrent_run *run);
void oz_recurrent_f64(const struct oz_recurrent_run *run, void *scratch);

static inline bool oz_recurrent_is_active(const struct oz_recurrent_run *run, size_t row,
                                          size_t step)
{
    return !run->lengths || step < (size_t)run->lengths->i32[row];
}
#endif
