#include "models/net/op_tables.h"
#include "models/net/conv.h"
#include "models/net/op_dense.h"

/* Convolutions, and what fusing makes of one with an activation: the shapes. Float convolutions
 * along one axis (Keras exports those with a second axis of size 1) go to the kernel for them, all
 * others to models/net/conv.h. */

struct conv {
    struct oz_window_form form;
    int64_t n_groups;
    struct oz_activation act; /* of the fused form; OZ_ACT_NONE otherwise */
    struct oz_window_list output_shape, output_padding; /* of ConvTranspose */
};

static enum oz_status compile_common(struct oz_net *net, struct oz_node *node,
                                     struct conv **ret_conv, struct oz_error *err)
{
    struct conv *conv = *ret_conv = oz_node_state(net, node, sizeof *conv);
    if (!conv) return oz_no_memory(err);
    OZ_TRY(oz_window_compile(node, true, &conv->form, err));
    OZ_TRY(oz_attr_i64(node, "group", 1, &conv->n_groups, err));
    if (conv->n_groups < 1 || conv->n_groups > OZ_TENSOR_ELEMENTS_MAX)
        OZ_FAIL(err, OZ_MODEL, "group is %lld; at least 1 is needed", (long long)conv->n_groups);
    return OZ_OK;
}

static enum oz_status conv_compile(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct conv *conv = NULL;
    OZ_TRY(compile_common(net, node, &conv, err));
    if (node->op->domain == OZ_DOMAIN_OURS) OZ_TRY(oz_dense_activation(node, &conv->act, err));
    return OZ_OK;
}

static enum oz_status transpose_compile(struct oz_net *net, struct oz_node *node,
                                        struct oz_error *err)
{
    struct conv *conv = NULL;
    OZ_TRY(compile_common(net, node, &conv, err));
    OZ_TRY(oz_window_list(node, "output_shape", 1, &conv->output_shape, err));
    return oz_window_list(node, "output_padding", 0, &conv->output_padding, err);
}

/* Takes the inputs and checks types, ranks and channels. */
static enum oz_status begin(struct oz_exec *exec, const struct oz_node *node, bool is_transposed,
                            struct oz_conv_run *ret_run, struct oz_error *err)
{
    const struct conv *conv = node->state;
    char words[OZ_TENSOR_WORDS_BYTES], x_words[OZ_TENSOR_WORDS_BYTES];
    const struct oz_tensor *x = oz_exec_in(exec, node, 0), *weight = oz_exec_in(exec, node, 1);
    const struct oz_tensor *bias = oz_exec_in(exec, node, 2);
    long long n_groups = conv->n_groups;
    if (!oz_dtype_is_float(x->dtype))
        OZ_FAIL(err, OZ_MODEL, "the input is %s; float and double are served",
                oz_dtype_word(x->dtype));
    if (weight->dtype != x->dtype || weight->rank != x->rank || weight->rank < 3)
        OZ_FAIL(err, OZ_MODEL,
                "the weights are %s, but the input is %s; the same type and rank, at least 3, are "
                "needed",
                oz_tensor_words(weight, words), oz_tensor_words(x, x_words));
    if (weight->dim[0] % n_groups || x->dim[1] % n_groups)
        OZ_FAIL(err, OZ_MODEL, "weights %s and input %s cannot be put into %lld equal groups",
                oz_tensor_words(weight, words), oz_tensor_words(x, x_words), n_groups);
    int64_t n_in = x->dim[1] / n_groups;
    int64_t n_out = is_transposed ? weight->dim[1] : weight->dim[0] / n_groups;
    if (n_in == 0) OZ_FAIL(err, OZ_MODEL, "the input has no channels");
    if (is_transposed ? weight->dim[0] != x->dim[1] : weight->dim[1] != n_in)
        OZ_FAIL(err, OZ_MODEL, "the weights %s do not fit an input %s in %lld groups",
                oz_tensor_words(weight, words), oz_tensor_words(x, x_words), n_groups);
    if (n_out > OZ_TENSOR_ELEMENTS_MAX / n_groups)
        OZ_FAIL(err, OZ_MODEL, "%lld groups of %lld output channels are too many", n_groups,
                (long long)n_out);
    if (bias && (bias->dtype != x->dtype || bias->rank != 1 || bias->dim[0] != n_out * n_groups))
        OZ_FAIL(err, OZ_MODEL, "the bias is %s; %s[%lld] is needed", oz_tensor_words(bias, words),
                oz_dtype_word(x->dtype), (long long)(n_out * n_groups));
    *ret_run = (struct oz_conv_run){.is_transposed = is_transposed,
                                    .n_rows = x->dim[0],
                                    .n_groups = n_groups,
                                    .n_in = n_in,
                                    .n_out = n_out,
                                    .x = x,
                                    .weight = weight,
                                    .bias = bias};
    return OZ_OK;
}

/* With the output's shape known: the rest. */
static enum oz_status finish(struct oz_exec *exec, const struct oz_node *node,
                             struct oz_conv_run *run, const struct oz_tensor *y,
                             struct oz_error *err)
{
    const struct conv *conv = node->state;
    void *scratch;
    if (y->n == 0) return OZ_OK;
    run->y = y;
    run->n_taps = run->weight->n / (run->weight->dim[0] * run->weight->dim[1]);
    oz_window_count(&run->window);
    if (run->x->dtype == OZ_DTYPE_F64) {
        if (y->data) oz_conv_f64(run);
        return OZ_OK;
    }
    OZ_TRY(oz_exec_scratch(exec, node, oz_conv_f32_scratch_bytes(run), &scratch, err));
    if (y->data) oz_conv_f32(run, &conv->act, scratch);
    return OZ_OK;
}

/* Whether only one axis matters; the others then have one element, one tap and no padding, and a
 * plane is that axis. */
static bool is_one_axis(const struct oz_conv_run *run, struct oz_conv1d *ret_shape)
{
    const struct oz_window_axis *the_one = &run->window.axis[OZ_WINDOW_AXES - 1];
    size_t n = 0;
    for (size_t d = 0; d < OZ_WINDOW_AXES; d++) {
        const struct oz_window_axis *axis = &run->window.axis[d];
        if (axis->in == 1 && axis->size == 1 && axis->front == 0 && axis->out == 1) continue;
        the_one = axis;
        n++;
    }
    if (n > 1 || run->x->dtype != OZ_DTYPE_F32) return false;
    *ret_shape = (struct oz_conv1d){
        .n_items = (size_t)run->n_rows,
        .c_in = (size_t)(run->n_in * run->n_groups),
        .w_in = (size_t)the_one->in,
        .c_out = (size_t)(run->n_out * run->n_groups),
        .w_out = (size_t)the_one->out,
        .groups = (size_t)run->n_groups,
        .n_taps = (size_t)the_one->size,
        .stride = (size_t)the_one->stride,
        .dilation = (size_t)the_one->dilation,
        .pad_left = (size_t)the_one->front,
    };
    return true;
}

static enum oz_status conv_run(struct oz_exec *exec, const struct oz_node *node,
                               struct oz_error *err)
{
    const struct conv *conv = node->state;
    struct oz_tensor *y;
    struct oz_conv_run run;
    struct oz_conv1d shape;
    int64_t dim[OZ_RANK_MAX];
    void *scratch;
    OZ_TRY(begin(exec, node, false, &run, err));
    const struct oz_tensor *x = run.x, *weight = run.weight;
    OZ_TRY(oz_window_fit(&conv->form, x, weight->dim + 2, &run.window, err));
    oz_window_dims(&run.window, x->dim[0], weight->dim[0], dim);
    OZ_TRY(oz_exec_out(exec, node, 0, x->dtype, x->rank, dim, &y, err));
    if (conv->act.kind != OZ_ACT_NONE && x->dtype != OZ_DTYPE_F32)
        OZ_FAIL(err, OZ_MODEL, "an activation is served for float, not for double");
    if (y->n == 0 || !is_one_axis(&run, &shape)) return finish(exec, node, &run, y, err);
    OZ_TRY(oz_exec_scratch(exec, node, oz_conv1d_scratch_bytes(&shape), &scratch, err));
    if (y->data)
        oz_net_kernels()->conv1d_f32_ncw(&shape, x->f32, weight->f32,
                                         run.bias ? run.bias->f32 : NULL, &conv->act, scratch,
                                         y->f32);
    return OZ_OK;
}

/* The output's sizes and the padding, then the window turned round: it slides over the output. What
 * is asked for beyond the last place of the window keeps the bias. */
static enum oz_status fit_transposed(const struct conv *conv, const struct oz_tensor *x,
                                     const struct oz_tensor *weight, struct oz_window *ret_window,
                                     struct oz_error *err)
{
    const struct oz_window_form *form = &conv->form;
    bool is_upper = form->auto_pad == OZ_AUTO_PAD_SAME_UPPER;
    bool is_same = is_upper || form->auto_pad == OZ_AUTO_PAD_SAME_LOWER;
    OZ_TRY(oz_window_axes(form, x, weight->dim + 2, ret_window, err));
    size_t n = ret_window->n_axes;
    OZ_TRY(oz_window_list_fits(&conv->output_shape, "output_shape", n, err));
    OZ_TRY(oz_window_list_fits(&conv->output_padding, "output_padding", n, err));
    for (size_t d = 0; d < n; d++) {
        struct oz_window_axis *axis = &ret_window->axis[OZ_WINDOW_AXES - n + d];
        int64_t more = conv->output_padding.n ? conv->output_padding.v[d] : 0;
        if (more > 0 && more >= OZ_MAX(axis->stride, axis->dilation))
            OZ_FAIL(err, OZ_MODEL,
                    "output_padding[%zu] is %lld; it must be less than the stride or the dilation",
                    d, (long long)more);
        int64_t all = (axis->in - 1) * axis->stride + more + (axis->size - 1) * axis->dilation + 1;
        int64_t out, front = 0;
        if (conv->output_shape.n || is_same) {
            out = conv->output_shape.n ? conv->output_shape.v[d] : axis->in * axis->stride;
            int64_t total = OZ_MAX(all - out, 0);
            front = is_upper ? total / 2 : total - total / 2;
        } else {
            bool is_padded = form->auto_pad == OZ_AUTO_PAD_NOTSET && form->pad.n;
            front = is_padded ? form->pad.v[d] : 0;
            out = all - front - (is_padded ? form->pad.v[n + d] : 0);
        }
        if (out < 1)
            OZ_FAIL(err, OZ_MODEL,
                    "nothing is left of spatial axis %zu: its %lld elements are all "
                    "padding",
                    d, (long long)all);
        axis->out = axis->in;
        axis->in = out;
        axis->front = front;
    }
    return OZ_OK;
}

static enum oz_status transpose_run(struct oz_exec *exec, const struct oz_node *node,
                                    struct oz_error *err)
{
    struct oz_tensor *y;
    struct oz_conv_run run;
    int64_t dim[OZ_RANK_MAX];
    OZ_TRY(begin(exec, node, true, &run, err));
    const struct oz_tensor *x = run.x;
    OZ_TRY(fit_transposed(node->state, x, run.weight, &run.window, err));
    dim[0] = x->dim[0];
    dim[1] = run.n_out * run.n_groups;
    for (size_t d = 0; d < run.window.n_axes; d++)
        dim[2 + d] = run.window.axis[OZ_WINDOW_AXES - run.window.n_axes + d].in;
    OZ_TRY(oz_exec_out(exec, node, 0, x->dtype, x->rank, dim, &y, err));
    return finish(exec, node, &run, y, err);
}

const struct oz_op oz_ops_conv[] = {
    {"Conv", OZ_DOMAIN_ONNX, 1, 2, 3, 1, 1, conv_compile, NULL, conv_run},
    {"Conv", OZ_DOMAIN_OURS, 1, 2, 3, 1, 1, conv_compile, NULL, conv_run},
    {"ConvTranspose", OZ_DOMAIN_ONNX, 1, 2, 3, 1, 1, transpose_compile, NULL, transpose_run},
    {NULL},
};
