#include "models/net/op_tables.h"
#include <math.h>
#include <string.h>
#include <strings.h>
#include "models/net/recurrent.h"

/* The places of the inputs; GRU and RNN end with the initial state. */
enum { X, W, R, B, LENGTHS, INITIAL_H, INITIAL_C, PEEPHOLE };

/* The activations that the reference names for recurrent operators. Two of them are no operators,
 * so they have no defaults; ONNX Runtime takes 0, which nobody can mean. */
static const struct word {
    const char *word;
    enum oz_act kind;
    bool has_alpha, has_beta;
    float alpha, beta; /* where the node gives none; NAN: it must */
} words[] = {
    {"Affine", OZ_ACT_AFFINE, true, true, NAN, NAN},
    {"Elu", OZ_ACT_ELU, true, false, 1.0f, 0.0f},
    {"HardSigmoid", OZ_ACT_HARD_SIGMOID, true, true, 0.2f, 0.5f},
    {"LeakyRelu", OZ_ACT_LEAKY_RELU, true, false, 0.01f, 0.0f},
    {"Relu", OZ_ACT_RELU, false, false, 0.0f, 0.0f},
    {"ScaledTanh", OZ_ACT_SCALED_TANH, true, true, NAN, NAN},
    {"Sigmoid", OZ_ACT_SIGMOID, false, false, 0.0f, 0.0f},
    {"Softplus", OZ_ACT_SOFTPLUS, false, false, 0.0f, 0.0f},
    {"Softsign", OZ_ACT_SOFTSIGN, false, false, 0.0f, 0.0f},
    {"Tanh", OZ_ACT_TANH, false, false, 0.0f, 0.0f},
    {"ThresholdedRelu", OZ_ACT_THRESHOLDED_RELU, true, false, 1.0f, 0.0f},
};

/* Case does not matter, as it does not to ONNX Runtime. */
static const struct word *find_word(const struct oz_str *name)
{
    for (size_t i = 0; i < OZ_COUNT_OF(words); i++)
        if (name->len == strlen(words[i].word) &&
            strncasecmp(name->data, words[i].word, name->len) == 0)
            return &words[i];
    return NULL;
}

/* An activation that has an alpha takes the next of activation_alpha, or its own default when they
 * are used up; the same for beta. That is how ONNX Runtime reads the lists. */
static enum oz_status compile_activations(struct oz_node *node, struct oz_recurrent *form,
                                          struct oz_error *err)
{
    const struct oz_str *name;
    const float *alpha, *beta;
    size_t n, n_alpha, n_beta, next_alpha = 0, next_beta = 0;
    size_t n_needed = form->n_acts * form->n_directions;
    OZ_TRY(oz_attr_strings(node, "activations", &name, &n, err));
    OZ_TRY(oz_attr_floats(node, "activation_alpha", &alpha, &n_alpha, err));
    OZ_TRY(oz_attr_floats(node, "activation_beta", &beta, &n_beta, err));
    for (size_t i = 0; n == 0 && i < n_needed; i++) {
        bool is_first = i % form->n_acts == 0 && form->cell != OZ_CELL_RNN;
        form->act[i / form->n_acts][i % form->n_acts].kind =
            is_first ? OZ_ACT_SIGMOID : OZ_ACT_TANH;
    }
    if (n == 0) return OZ_OK;
    /* The reference's own default for RNN has two, whatever the direction. */
    if (form->cell == OZ_CELL_RNN && n == 2) n = n_needed;
    if (n != n_needed)
        OZ_FAIL(err, OZ_MODEL, "activations has %zu names; %zu are needed", n, n_needed);
    for (size_t i = 0; i < n; i++) {
        const struct word *word = find_word(&name[i]);
        if (!word)
            OZ_FAIL(err, OZ_MODEL,
                    "activation %.*s; served are Affine, Elu, HardSigmoid, LeakyRelu, Relu, "
                    "ScaledTanh, Sigmoid, Softplus, Softsign, Tanh and ThresholdedRelu",
                    (int)OZ_MIN(name[i].len, 64), name[i].data);
        struct oz_activation *act = &form->act[i / form->n_acts][i % form->n_acts];
        *act = (struct oz_activation){word->kind, word->alpha, word->beta};
        if (word->has_alpha && next_alpha < n_alpha) act->alpha = alpha[next_alpha++];
        if (word->has_beta && next_beta < n_beta) act->beta = beta[next_beta++];
        if (isnan(act->alpha) || isnan(act->beta))
            OZ_FAIL(err, OZ_MODEL,
                    "activation %s needs a number each in activation_alpha and activation_beta",
                    word->word);
    }
    return OZ_OK;
}

static enum oz_status compile_clip(struct oz_node *node, struct oz_recurrent *form,
                                   struct oz_error *err)
{
    const struct oz_attribute *attribute;
    form->clip = INFINITY;
    OZ_TRY(oz_attr_find(node, "clip", OZ_ATTRIBUTE_FLOAT, &attribute, err));
    if (!attribute) return OZ_OK;
    if (!(attribute->f > 0.0f))
        OZ_FAIL(err, OZ_MODEL, "clip is %g; it must be above 0", (double)attribute->f);
    form->clip = attribute->f;
    return OZ_OK;
}

static enum oz_status compile(struct oz_net *net, struct oz_node *node, enum oz_cell cell,
                              struct oz_error *err)
{
    static const char *const directions[] = {"forward", "reverse", "bidirectional", NULL};
    static const uint8_t n_gates[] = {1, 3, 4}, n_acts[] = {1, 2, 3};
    struct oz_recurrent *form = oz_node_state(net, node, sizeof *form);
    int direction;
    if (!form) return oz_no_memory(err);
    form->cell = cell;
    form->n_gates = n_gates[cell];
    form->n_acts = n_acts[cell];
    OZ_TRY(oz_attr_choice(node, "direction", directions, 0, &direction, err));
    form->n_directions = direction == 2 ? 2 : 1;
    form->is_reverse[form->n_directions - 1] = direction != 0;
    OZ_TRY(oz_attr_i64(node, "hidden_size", 0, &form->hidden_size, err));
    if (node->opset >= 14) OZ_TRY(oz_attr_bool(node, "layout", false, &form->batch_first, err));
    if (cell == OZ_CELL_LSTM)
        OZ_TRY(oz_attr_bool(node, "input_forget", false, &form->input_forget, err));
    if (cell == OZ_CELL_GRU)
        OZ_TRY(oz_attr_bool(node, "linear_before_reset", false, &form->linear_before_reset, err));
    OZ_TRY(compile_clip(node, form, err));
    return compile_activations(node, form, err);
}

static enum oz_status need_shape(const struct oz_tensor *v, const char *what, enum oz_dtype dtype,
                                 size_t rank, const size_t *dim, struct oz_error *err)
{
    char found[OZ_TENSOR_WORDS_BYTES], needed[OZ_TENSOR_WORDS_BYTES];
    struct oz_tensor like = {.dtype = (uint8_t)dtype, .rank = (uint8_t)rank};
    bool fits = v->dtype == dtype && v->rank == rank;
    for (size_t d = 0; d < rank; d++) {
        like.dim[d] = (int64_t)dim[d];
        fits = fits && v->dim[d] == like.dim[d];
    }
    if (!fits)
        OZ_FAIL(err, OZ_MODEL, "%s is %s; %s is needed", what, oz_tensor_words(v, found),
                oz_tensor_words(&like, needed));
    return OZ_OK;
}

/* The sizes that the weights give. */
static enum oz_status check_weights(const struct oz_recurrent *form, const struct oz_tensor *w,
                                    const struct oz_tensor *r, size_t *ret_in, size_t *ret_hidden,
                                    struct oz_error *err)
{
    char words_of[OZ_TENSOR_WORDS_BYTES];
    if (!oz_dtype_is_float(w->dtype))
        OZ_FAIL(err, OZ_MODEL, "W is %s; float and double are served", oz_dtype_word(w->dtype));
    if (w->rank != 3 || w->n == 0 || w->dim[1] % (int64_t)form->n_gates)
        OZ_FAIL(err, OZ_MODEL, "W is %s; [%zu x %zu times the hidden size x input size] is needed",
                oz_tensor_words(w, words_of), form->n_directions, form->n_gates);
    int64_t hidden = w->dim[1] / (int64_t)form->n_gates;
    if (form->hidden_size && form->hidden_size != hidden)
        OZ_FAIL(err, OZ_MODEL, "hidden_size is %lld, but W is made for %lld",
                (long long)form->hidden_size, (long long)hidden);
    *ret_in = (size_t)w->dim[2];
    *ret_hidden = (size_t)hidden;
    size_t n = (size_t)w->dim[1];
    OZ_TRY(need_shape(w, "W", w->dtype, 3, (size_t[]){form->n_directions, n, *ret_in}, err));
    return need_shape(r, "R", w->dtype, 3, (size_t[]){form->n_directions, n, *ret_hidden}, err);
}

static enum oz_status check_lengths(const struct oz_recurrent_run *run, struct oz_error *err)
{
    for (size_t row = 0; run->lengths && row < run->n_rows; row++)
        if (run->lengths->i32[row] < 0 || (size_t)run->lengths->i32[row] > run->n_steps)
            OZ_FAIL(err, OZ_MODEL, "sequence_lens[%zu] is %d, but X has %zu steps", row,
                    run->lengths->i32[row], run->n_steps);
    return OZ_OK;
}

static enum oz_status check_optional(const struct oz_recurrent_run *run, struct oz_error *err)
{
    const struct oz_recurrent *form = run->form;
    size_t n_directions = form->n_directions, hidden = run->n_hidden;
    size_t state[3] = {n_directions, run->n_rows, hidden};
    enum oz_dtype dtype = run->w->dtype;
    if (form->batch_first) state[0] = run->n_rows, state[1] = n_directions;
    if (run->bias)
        OZ_TRY(need_shape(run->bias, "B", dtype, 2,
                          (size_t[]){n_directions, 2 * form->n_gates * hidden}, err));
    if (run->lengths)
        OZ_TRY(need_shape(run->lengths, "sequence_lens", OZ_DTYPE_I32, 1, &run->n_rows, err));
    if (run->h0) OZ_TRY(need_shape(run->h0, "initial_h", dtype, 3, state, err));
    if (run->c0) OZ_TRY(need_shape(run->c0, "initial_c", dtype, 3, state, err));
    if (run->p)
        OZ_TRY(need_shape(run->p, "P", dtype, 2, (size_t[]){n_directions, 3 * hidden}, err));
    return OZ_OK;
}

/* Takes and checks the inputs, and says how they lie. */
static enum oz_status begin(struct oz_exec *exec, const struct oz_node *node,
                            struct oz_recurrent_run *run, struct oz_error *err)
{
    const struct oz_recurrent *form = node->state;
    bool is_lstm = form->cell == OZ_CELL_LSTM;
    char words_of[OZ_TENSOR_WORDS_BYTES];
    *run = (struct oz_recurrent_run){
        .form = form,
        .x = oz_exec_in(exec, node, X),
        .w = oz_exec_in(exec, node, W),
        .r = oz_exec_in(exec, node, R),
        .bias = oz_exec_in(exec, node, B),
        .lengths = oz_exec_in(exec, node, LENGTHS),
        .h0 = oz_exec_in(exec, node, INITIAL_H),
        .c0 = is_lstm ? oz_exec_in(exec, node, INITIAL_C) : NULL,
        .p = is_lstm ? oz_exec_in(exec, node, PEEPHOLE) : NULL,
    };
    OZ_TRY(check_weights(form, run->w, run->r, &run->n_in, &run->n_hidden, err));
    const struct oz_tensor *x = run->x;
    if (x->rank != 3 || x->dtype != run->w->dtype || x->dim[2] != (int64_t)run->n_in)
        OZ_FAIL(err, OZ_MODEL, "X is %s, but W is made for %s [%s x %zu]",
                oz_tensor_words(x, words_of), oz_dtype_word(run->w->dtype),
                form->batch_first ? "rows x steps" : "steps x rows", run->n_in);
    run->n_steps = (size_t)x->dim[form->batch_first ? 1 : 0];
    run->n_rows = (size_t)x->dim[form->batch_first ? 0 : 1];
    size_t n_directions = form->n_directions, hidden = run->n_hidden;
    run->x_row = form->batch_first ? run->n_steps * run->n_in : run->n_in;
    run->x_step = form->batch_first ? run->n_in : run->n_rows * run->n_in;
    run->y_row = form->batch_first ? run->n_steps * n_directions * hidden : hidden;
    run->y_step = n_directions * hidden * (form->batch_first ? 1 : run->n_rows);
    run->y_direction = form->batch_first ? hidden : run->n_rows * hidden;
    run->state_row = form->batch_first ? n_directions * hidden : hidden;
    run->state_direction = run->y_direction;
    return check_optional(run, err);
}

static enum oz_status take_outputs(struct oz_exec *exec, const struct oz_node *node,
                                   struct oz_recurrent_run *run, struct oz_error *err)
{
    bool batch_first = run->form->batch_first;
    int64_t rows = (int64_t)run->n_rows, steps = (int64_t)run->n_steps;
    int64_t directions = (int64_t)run->form->n_directions, hidden = (int64_t)run->n_hidden;
    const int64_t y[4] = {batch_first ? rows : steps, batch_first ? steps : directions,
                          batch_first ? directions : rows, hidden};
    const int64_t state[3] = {batch_first ? rows : directions, batch_first ? directions : rows,
                              hidden};
    enum oz_dtype dtype = run->x->dtype;
    struct oz_tensor bound; /* of the states, also when nobody wants them */
    OZ_TRY(oz_tensor_shape(&bound, dtype, 3, state, err));
    if (oz_exec_is_wanted(node, 0)) OZ_TRY(oz_exec_out(exec, node, 0, dtype, 4, y, &run->y, err));
    if (oz_exec_is_wanted(node, 1))
        OZ_TRY(oz_exec_out(exec, node, 1, dtype, 3, state, &run->y_h, err));
    if (run->form->cell == OZ_CELL_LSTM && oz_exec_is_wanted(node, 2))
        OZ_TRY(oz_exec_out(exec, node, 2, dtype, 3, state, &run->y_c, err));
    return OZ_OK;
}

static enum oz_status run(struct oz_exec *exec, const struct oz_node *node, struct oz_error *err)
{
    struct oz_recurrent_run run;
    void *scratch;
    OZ_TRY(begin(exec, node, &run, err));
    OZ_TRY(take_outputs(exec, node, &run, err));
    bool is_f32 = run.x->dtype == OZ_DTYPE_F32;
    size_t n_bytes =
        is_f32 ? oz_recurrent_f32_scratch_bytes(&run) : oz_recurrent_f64_scratch_bytes(&run);
    OZ_TRY(oz_exec_scratch(exec, node, n_bytes, &scratch, err));
    if (oz_exec_is_dry(exec, node)) return OZ_OK;
    OZ_TRY(check_lengths(&run, err));
    if (is_f32)
        oz_recurrent_f32(&run, scratch);
    else
        oz_recurrent_f64(&run, scratch);
    return OZ_OK;
}

/* Weights that are not known yet are packed by every run. */
static enum oz_status prepare(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct oz_recurrent *form = node->state;
    const struct oz_tensor *w = oz_node_constant(net, node, W), *r = oz_node_constant(net, node, R);
    size_t n_in, n_hidden;
    if (!w || !r || w->dtype != OZ_DTYPE_F32) return OZ_OK;
    OZ_TRY(check_weights(form, w, r, &n_in, &n_hidden, err));
    float *packed =
        oz_net_weights(net, oz_recurrent_packed_elements(form, n_in, n_hidden) * sizeof *packed);
    if (!packed) return oz_no_memory(err);
    oz_recurrent_pack(form, n_in, n_hidden, w->f32, r->f32, packed);
    form->packed = packed;
    return OZ_OK;
}

static enum oz_status gru_compile(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    return compile(net, node, OZ_CELL_GRU, err);
}

static enum oz_status lstm_compile(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    return compile(net, node, OZ_CELL_LSTM, err);
}

static enum oz_status rnn_compile(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    return compile(net, node, OZ_CELL_RNN, err);
}

const struct oz_op oz_ops_recurrent[] = {
    {"GRU", OZ_DOMAIN_ONNX, 7, 3, 6, 1, 2, gru_compile, prepare, run},
    {"LSTM", OZ_DOMAIN_ONNX, 7, 3, 8, 1, 3, lstm_compile, prepare, run},
    {"RNN", OZ_DOMAIN_ONNX, 7, 3, 6, 1, 2, rnn_compile, prepare, run},
    {0},
};
