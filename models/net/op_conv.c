#include "models/net/op_tables.h"
#include "kernels/cpu/net_kernels.h"
#include "models/net/net_window.h"

/* Convolutions, and what fusing makes of one with an activation. Float convolutions along one axis
 * (Keras exports those with a second axis of size 1) go to the kernel for them. All others take the
 * plain way: for every output plane, channel and tap one multiple of a part of the input is added.
 * So the sum of an element runs over channels, then taps, and no copy of the input is made. */

struct conv {
    struct oz_window_form form;
    int64_t n_groups;
    struct oz_activation act; /* of the fused form; OZ_ACT_NONE otherwise */
    struct oz_window_list output_shape, output_padding; /* of ConvTranspose */
};

/* The sizes of one group of channels. */
struct group {
    struct oz_window window;
    int64_t n_in, n_out; /* channels */
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

/* Of the fused form: one of the words of OZ_ACT_MAP. */
static enum oz_status compile_activation(struct oz_node *node, struct oz_activation *ret_act,
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

static enum oz_status conv_compile(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct conv *conv = NULL;
    OZ_TRY(compile_common(net, node, &conv, err));
    if (node->op->domain == OZ_DOMAIN_OURS) OZ_TRY(compile_activation(node, &conv->act, err));
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

/* Types, ranks and channels. The weights are [n_out x n_in of a group x window], or transposed
 * [n_in x n_out of a group x window]. */
static enum oz_status check_inputs(const struct conv *conv, const struct oz_tensor *x,
                                   const struct oz_tensor *weight, const struct oz_tensor *bias,
                                   bool is_transposed, struct group *ret_group,
                                   struct oz_error *err)
{
    char words[OZ_TENSOR_WORDS_BYTES], x_words[OZ_TENSOR_WORDS_BYTES];
    if (!oz_dtype_is_float(x->dtype))
        OZ_FAIL(err, OZ_MODEL, "the input is %s; float and double are served",
                oz_dtype_word(x->dtype));
    if (weight->dtype != x->dtype || weight->rank != x->rank || weight->rank < 3)
        OZ_FAIL(err, OZ_MODEL,
                "the weights are %s, but the input is %s; the same type and rank, at least 3, are "
                "needed",
                oz_tensor_words(weight, words), oz_tensor_words(x, x_words));
    if (weight->dim[0] % conv->n_groups || x->dim[1] % conv->n_groups)
        OZ_FAIL(err, OZ_MODEL, "weights %s and input %s cannot be put into %lld equal groups",
                oz_tensor_words(weight, words), oz_tensor_words(x, x_words),
                (long long)conv->n_groups);
    ret_group->n_in = x->dim[1] / conv->n_groups;
    if (ret_group->n_in == 0) OZ_FAIL(err, OZ_MODEL, "the input has no channels");
    ret_group->n_out = is_transposed ? weight->dim[1] : weight->dim[0] / conv->n_groups;
    if (is_transposed ? weight->dim[0] != x->dim[1] : weight->dim[1] != ret_group->n_in)
        OZ_FAIL(err, OZ_MODEL, "the weights %s do not fit an input %s in %lld groups",
                oz_tensor_words(weight, words), oz_tensor_words(x, x_words),
                (long long)conv->n_groups);
    if (ret_group->n_out > OZ_TENSOR_ELEMENTS_MAX / conv->n_groups)
        OZ_FAIL(err, OZ_MODEL, "%lld groups of %lld output channels are too many",
                (long long)conv->n_groups, (long long)ret_group->n_out);
    if (bias && (bias->dtype != x->dtype || bias->rank != 1 ||
                 bias->dim[0] != ret_group->n_out * conv->n_groups))
        OZ_FAIL(err, OZ_MODEL, "the bias is %s; %s[%lld] is needed", oz_tensor_words(bias, words),
                oz_dtype_word(x->dtype), (long long)(ret_group->n_out * conv->n_groups));
    return OZ_OK;
}

/* One tap of a window, and the places at which it lies on the plane that the window slides over. */
struct tap {
    int64_t tap[OZ_WINDOW_AXES];
    int64_t first[OZ_WINDOW_AXES], end[OZ_WINDOW_AXES]; /* places */
    int64_t start[OZ_WINDOW_AXES];                      /* on the plane, at place 0 */
};

static void move_to(const struct oz_window *window, size_t d, int64_t number, struct tap *tap)
{
    const struct oz_window_axis *axis = &window->axis[d];
    tap->tap[d] = number;
    tap->start[d] = number * axis->dilation - axis->front;
    oz_window_places(axis, number, &tap->first[d], &tap->end[d]);
}

static void first_tap(const struct oz_window *window, struct tap *tap)
{
    for (size_t d = 0; d < OZ_WINDOW_AXES; d++) move_to(window, d, 0, tap);
}

/* The next in the order of the weights; false: that was the last. */
static bool next_tap(const struct oz_window *window, struct tap *tap)
{
    for (size_t d = OZ_WINDOW_AXES; d-- > 0;) {
        int64_t next = tap->tap[d] + 1;
        bool carries = next == window->axis[d].size;
        move_to(window, d, carries ? 0 : next, tap);
        if (!carries) return true;
    }
    return false;
}

/* The row p0, p1 of the tap's places: where it begins on the plane, and among the places. */
static int64_t row_on_plane(const struct oz_window *window, const struct tap *tap, int64_t p0,
                            int64_t p1)
{
    const struct oz_window_axis *axis = window->axis;
    int64_t i0 = tap->start[0] + p0 * axis[0].stride, i1 = tap->start[1] + p1 * axis[1].stride;
    return (i0 * axis[1].in + i1) * axis[2].in + tap->start[2] + tap->first[2] * axis[2].stride;
}

static int64_t row_of_places(const struct oz_window *window, const struct tap *tap, int64_t p0,
                             int64_t p1)
{
    return (p0 * window->axis[1].out + p1) * window->axis[2].out + tap->first[2];
}

/* Adds to one output plane what one input plane and its weights give. A convolution's window slides
 * over its input; that of a transposed one slides over its output, with a place for every element
 * of the input. */
#define ADD_PLANE(function, type, x_row, x_step, y_row, y_step)                                    \
    static void function(const struct oz_window *window, const type *restrict weight,              \
                         const type *restrict x, type *restrict y)                                 \
    {                                                                                              \
        const int64_t stride = window->axis[2].stride;                                             \
        struct tap tap;                                                                            \
        first_tap(window, &tap);                                                                   \
        do {                                                                                       \
            const type w = *weight++;                                                              \
            const int64_t n = tap.end[2] - tap.first[2];                                           \
            for (int64_t p0 = tap.first[0]; n && p0 < tap.end[0]; p0++)                            \
                for (int64_t p1 = tap.first[1]; p1 < tap.end[1]; p1++) {                           \
                    const type *restrict from = x + x_row(window, &tap, p0, p1);                   \
                    type *restrict to = y + y_row(window, &tap, p0, p1);                           \
                    if (stride == 1)                                                               \
                        for (int64_t i = 0; i < n; i++) to[i] += w * from[i];                      \
                    else                                                                           \
                        for (int64_t i = 0; i < n; i++)                                            \
                            to[i * (y_step)] += w * from[i * (x_step)];                            \
                }                                                                                  \
        } while (next_tap(window, &tap));                                                          \
    }
ADD_PLANE(add_conv_f32, float, row_on_plane, stride, row_of_places, 1)
ADD_PLANE(add_conv_f64, double, row_on_plane, stride, row_of_places, 1)
ADD_PLANE(add_transposed_f32, float, row_of_places, 1, row_on_plane, stride)
ADD_PLANE(add_transposed_f64, double, row_of_places, 1, row_on_plane, stride)
#undef ADD_PLANE

/* The plain way. n_taps: weights of one pair of channels. */
#define PLAIN(name, type)                                                                          \
    static void plain_##name(const struct group *group, int64_t n_rows, int64_t n_groups,          \
                             bool is_transposed, const type *restrict x,                           \
                             const type *restrict weight, int64_t n_taps,                          \
                             const type *restrict bias, type *restrict y)                          \
    {                                                                                              \
        const struct oz_window *window = &group->window;                                           \
        int64_t n_in = group->n_in, n_out = group->n_out;                                          \
        int64_t n_x = is_transposed ? window->out_count : window->in_count;                        \
        int64_t n_y = is_transposed ? window->in_count : window->out_count;                        \
        for (int64_t plane = 0; plane < n_rows * n_groups * n_out; plane++, y += n_y) {            \
            int64_t g = plane / n_out % n_groups, m = plane % n_out;                               \
            const type *from = x + plane / n_out * n_in * n_x;                                     \
            for (int64_t i = 0; i < n_y; i++) y[i] = bias ? bias[g * n_out + m] : 0;               \
            for (int64_t c = 0; c < n_in; c++, from += n_x) {                                      \
                if (is_transposed)                                                                 \
                    add_transposed_##name(window, weight + ((g * n_in + c) * n_out + m) * n_taps,  \
                                          from, y);                                                \
                else                                                                               \
                    add_conv_##name(window, weight + ((g * n_out + m) * n_in + c) * n_taps, from,  \
                                    y);                                                            \
            }                                                                                      \
        }                                                                                          \
    }
PLAIN(f32, float)
PLAIN(f64, double)
#undef PLAIN

static void run_plain(const struct conv *conv, const struct group *group, bool is_transposed,
                      const struct oz_tensor *x, const struct oz_tensor *weight,
                      const struct oz_tensor *bias, const struct oz_tensor *y)
{
    int64_t n_taps = weight->n / (weight->dim[0] * weight->dim[1]);
    if (x->dtype == OZ_DTYPE_F64) {
        plain_f64(group, x->dim[0], conv->n_groups, is_transposed, x->f64, weight->f64, n_taps,
                  bias ? bias->f64 : NULL, y->f64);
        return;
    }
    plain_f32(group, x->dim[0], conv->n_groups, is_transposed, x->f32, weight->f32, n_taps,
              bias ? bias->f32 : NULL, y->f32);
    if (conv->act.kind != OZ_ACT_NONE)
        oz_net_kernels()->act_f32_array((size_t)y->n, y->f32, &conv->act, y->f32);
}

/* Whether only one axis matters; the others then have one element, one tap and no padding, and a
 * plane is that axis. */
static bool is_one_axis(const struct conv *conv, const struct group *group,
                        const struct oz_tensor *x, struct oz_conv1d *ret_shape)
{
    const struct oz_window_axis *the_one = &group->window.axis[OZ_WINDOW_AXES - 1];
    size_t n = 0;
    for (size_t d = 0; d < OZ_WINDOW_AXES; d++) {
        const struct oz_window_axis *axis = &group->window.axis[d];
        if (axis->in == 1 && axis->size == 1 && axis->front == 0 && axis->out == 1) continue;
        the_one = axis;
        n++;
    }
    if (n > 1 || x->dtype != OZ_DTYPE_F32) return false;
    *ret_shape = (struct oz_conv1d){
        .n_items = (size_t)x->dim[0],
        .c_in = (size_t)x->dim[1],
        .w_in = (size_t)the_one->in,
        .c_out = (size_t)(group->n_out * conv->n_groups),
        .w_out = (size_t)the_one->out,
        .groups = (size_t)conv->n_groups,
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
    const struct oz_tensor *x = oz_exec_in(exec, node, 0), *weight = oz_exec_in(exec, node, 1);
    const struct oz_tensor *bias = oz_exec_in(exec, node, 2);
    struct oz_tensor *y;
    struct group group;
    struct oz_conv1d shape;
    int64_t dim[OZ_RANK_MAX];
    void *scratch;
    OZ_TRY(check_inputs(conv, x, weight, bias, false, &group, err));
    OZ_TRY(oz_window_fit(&conv->form, x, weight->dim + 2, &group.window, err));
    oz_window_dims(&group.window, x->dim[0], weight->dim[0], dim);
    OZ_TRY(oz_exec_out(exec, node, 0, x->dtype, x->rank, dim, &y, err));
    if (conv->act.kind != OZ_ACT_NONE && x->dtype != OZ_DTYPE_F32)
        OZ_FAIL(err, OZ_MODEL, "an activation is served for float, not for double");
    if (y->n == 0) return OZ_OK;
    if (is_one_axis(conv, &group, x, &shape)) {
        OZ_TRY(oz_exec_scratch(exec, node, oz_conv1d_scratch_bytes(&shape), &scratch, err));
        if (y->data)
            oz_net_kernels()->conv1d_f32_ncw(&shape, x->f32, weight->f32, bias ? bias->f32 : NULL,
                                             &conv->act, scratch, y->f32);
        return OZ_OK;
    }
    if (!y->data) return OZ_OK;
    oz_window_count(&group.window);
    run_plain(conv, &group, false, x, weight, bias, y);
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
    const struct conv *conv = node->state;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0), *weight = oz_exec_in(exec, node, 1);
    const struct oz_tensor *bias = oz_exec_in(exec, node, 2);
    struct oz_tensor *y;
    struct group group;
    int64_t dim[OZ_RANK_MAX];
    OZ_TRY(check_inputs(conv, x, weight, bias, true, &group, err));
    OZ_TRY(fit_transposed(conv, x, weight, &group.window, err));
    dim[0] = x->dim[0];
    dim[1] = group.n_out * conv->n_groups;
    for (size_t d = 2; d < x->rank; d++)
        dim[d] = group.window.axis[OZ_WINDOW_AXES - x->rank + d].in;
    OZ_TRY(oz_exec_out(exec, node, 0, x->dtype, x->rank, dim, &y, err));
    if (!y->data || y->n == 0) return OZ_OK;
    oz_window_count(&group.window);
    run_plain(conv, &group, true, x, weight, bias, y);
    return OZ_OK;
}

const struct oz_op oz_ops_conv[] = {
    {"Conv", OZ_DOMAIN_ONNX, 1, 2, 3, 1, 1, conv_compile, NULL, conv_run},
    {"Conv", OZ_DOMAIN_OURS, 1, 2, 3, 1, 1, conv_compile, NULL, conv_run},
    {"ConvTranspose", OZ_DOMAIN_ONNX, 1, 2, 3, 1, 1, transpose_compile, NULL, transpose_run},
    {NULL},
};
