#include "models/net/op_dense.h"
#include "models/net/op_tables.h"

struct dense_state {
    struct oz_activation act;
    const float *packed; /* NULL: the weights as they are */
};

enum { PADDED_BYTES_MAX = 1 << 16, PADDED_TIMES_MAX = 4 };

enum oz_status oz_dense_activation(struct oz_node *node, struct oz_activation *ret_act,
                                   struct oz_error *err)
{
    static const char *const words[] = {
#define X(name, word, alpha, beta) word,
        OZ_ACT_MAP(X)
#undef X
            NULL};
    static const struct oz_activation acts[] = {
#define X(name, word, alpha, beta) {OZ_ACT_##name, alpha, beta},
        OZ_ACT_MAP(X)
#undef X
    };
    int kind;
    OZ_TRY(oz_attr_choice(node, "activation", words, OZ_ACT_NONE, &kind, err));
    *ret_act = acts[kind];
    OZ_TRY(oz_attr_f32(node, "alpha", ret_act->alpha, &ret_act->alpha, err));
    return oz_attr_f32(node, "beta", ret_act->beta, &ret_act->beta, err);
}

/* A panel is padded to whole vectors, so a tall column would become many times larger. */
enum oz_status oz_dense_pack(struct oz_net *net, const struct oz_tensor *weights,
                             bool is_transposed, float factor, const float **ret_packed,
                             struct oz_error *err)
{
    const struct oz_net_kernels *kernels = oz_net_kernels();
    size_t rows = (size_t)weights->dim[0], columns = (size_t)weights->dim[1];
    size_t k = is_transposed ? columns : rows, n = is_transposed ? rows : columns;
    size_t n_bytes = kernels->dense_f32_packed_bytes(k, n);
    *ret_packed = NULL;
    if (n_bytes > PADDED_BYTES_MAX &&
        n_bytes / PADDED_TIMES_MAX > (size_t)weights->n * sizeof(float))
        return OZ_OK;
    float *packed = oz_net_weights(net, OZ_MAX(n_bytes, (size_t)64));
    if (!packed) OZ_FAIL(err, OZ_NO_MEMORY, "out of memory");
    kernels->dense_f32_pack(k, n, weights->f32, is_transposed ? 1 : columns,
                            is_transposed ? columns : 1, factor, packed);
    *ret_packed = packed;
    return OZ_OK;
}

static enum oz_status compile_dense(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct dense_state *state = oz_node_state(net, node, sizeof *state);
    if (!state) OZ_FAIL(err, OZ_NO_MEMORY, "out of memory");
    return oz_dense_activation(node, &state->act, err);
}

static enum oz_status check_weights(const struct oz_tensor *w, struct oz_error *err)
{
    char words[OZ_TENSOR_WORDS_BYTES];
    if (w->dtype != OZ_DTYPE_F32 || w->rank != 2)
        OZ_FAIL(err, OZ_MODEL, "its weights are %s, not a matrix of floats",
                oz_tensor_words(w, words));
    return OZ_OK;
}

static enum oz_status prepare_dense(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct dense_state *state = node->state;
    const struct oz_tensor *w = oz_node_constant(net, node, 1);
    if (!w) return OZ_OK;
    OZ_TRY(check_weights(w, err));
    return oz_dense_pack(net, w, false, 1, &state->packed, err);
}

static enum oz_status run_dense(struct oz_exec *exec, const struct oz_node *node,
                                struct oz_error *err)
{
    const struct dense_state *state = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0), *w = oz_exec_in(exec, node, 1);
    const struct oz_tensor *bias = oz_exec_in(exec, node, 2);
    char x_words[OZ_TENSOR_WORDS_BYTES], w_words[OZ_TENSOR_WORDS_BYTES];
    OZ_TRY(check_weights(w, err));
    if (x->dtype != OZ_DTYPE_F32 || x->rank < 1 || x->dim[x->rank - 1] != w->dim[0])
        OZ_FAIL(err, OZ_MODEL, "%s does not fit weights of %s", oz_tensor_words(x, x_words),
                oz_tensor_words(w, w_words));
    if (bias && (bias->dtype != OZ_DTYPE_F32 || bias->rank != 1 || bias->dim[0] != w->dim[1]))
        OZ_FAIL(err, OZ_MODEL, "a bias of %s does not fit weights of %s",
                oz_tensor_words(bias, x_words), oz_tensor_words(w, w_words));
    int64_t dim[OZ_RANK_MAX];
    for (size_t d = 0; d < x->rank; d++) dim[d] = x->dim[d];
    dim[x->rank - 1] = w->dim[1];
    struct oz_tensor *y;
    OZ_TRY(oz_exec_out(exec, node, 0, OZ_DTYPE_F32, x->rank, dim, &y, err));
    if (!y->data) return OZ_OK;
    size_t m = (size_t)oz_tensor_count(x, 0, x->rank - 1u), k = (size_t)w->dim[0];
    size_t n = (size_t)w->dim[1];
    const float *start = bias ? bias->f32 : NULL;
    if (state->packed)
        oz_net_kernels()->dense_f32_packed(m, n, k, x->f32, k, state->packed, start, 0, &state->act,
                                           y->f32, n);
    else
        oz_net_kernels()->dense_f32_plain(m, n, k, x->f32, k, w->f32, n, start, 0, &state->act,
                                          y->f32, n);
    return OZ_OK;
}

const struct oz_op oz_ops_dense[] = {
    {"Dense", OZ_DOMAIN_OURS, 1, 2, 3, 1, 1, compile_dense, prepare_dense, run_dense},
    {.name = NULL},
};
