#include "models/net/net_window.h"

enum oz_status oz_window_list(struct oz_node *node, const char *name, int64_t min,
                              struct oz_window_list *ret_list, struct oz_error *err)
{
    OZ_TRY(oz_attr_ints(node, name, &ret_list->v, &ret_list->n, err));
    for (size_t i = 0; i < ret_list->n; i++)
        if (ret_list->v[i] < min || ret_list->v[i] > OZ_WINDOW_SIZE_MAX)
            OZ_FAIL(err, OZ_MODEL, "%s[%zu] is %lld; %lld to %d are served", name, i,
                    (long long)ret_list->v[i], (long long)min, OZ_WINDOW_SIZE_MAX);
    return OZ_OK;
}

enum oz_status oz_window_compile(struct oz_node *node, bool with_dilations,
                                 struct oz_window_form *ret_form, struct oz_error *err)
{
    static const char *const auto_pads[] = {
        [OZ_AUTO_PAD_NOTSET] = "NOTSET",
        [OZ_AUTO_PAD_SAME_UPPER] = "SAME_UPPER",
        [OZ_AUTO_PAD_SAME_LOWER] = "SAME_LOWER",
        [OZ_AUTO_PAD_VALID] = "VALID",
        NULL,
    };
    OZ_TRY(
        oz_attr_choice(node, "auto_pad", auto_pads, OZ_AUTO_PAD_NOTSET, &ret_form->auto_pad, err));
    OZ_TRY(oz_window_list(node, "kernel_shape", 1, &ret_form->size, err));
    OZ_TRY(oz_window_list(node, "strides", 1, &ret_form->stride, err));
    OZ_TRY(oz_window_list(node, "pads", 0, &ret_form->pad, err));
    if (with_dilations) OZ_TRY(oz_window_list(node, "dilations", 1, &ret_form->dilation, err));
    return OZ_OK;
}

enum oz_status oz_window_list_fits(const struct oz_window_list *list, const char *name, size_t n,
                                   struct oz_error *err)
{
    if (list->n && list->n != n)
        OZ_FAIL(err, OZ_MODEL, "%s has %zu values, but the input's rank asks for %zu", name,
                list->n, n);
    return OZ_OK;
}

enum oz_status oz_window_axes(const struct oz_window_form *form, const struct oz_tensor *x,
                              const int64_t *size, struct oz_window *ret_window,
                              struct oz_error *err)
{
    if (x->rank < 3 || x->rank > 2 + OZ_WINDOW_AXES) {
        char words[OZ_TENSOR_WORDS_BYTES];
        OZ_FAIL(err, OZ_MODEL,
                "the input is %s; [batch x channels x spatial axes] with 1 to %d spatial axes are "
                "served",
                oz_tensor_words(x, words), OZ_WINDOW_AXES);
    }
    size_t n = x->rank - 2u;
    OZ_TRY(oz_window_list_fits(&form->size, "kernel_shape", n, err));
    OZ_TRY(oz_window_list_fits(&form->stride, "strides", n, err));
    OZ_TRY(oz_window_list_fits(&form->dilation, "dilations", n, err));
    OZ_TRY(oz_window_list_fits(&form->pad, "pads", 2 * n, err));
    if (!size && !form->size.n) OZ_FAIL(err, OZ_MODEL, "kernel_shape is missing");
    ret_window->n_axes = n;
    for (size_t d = 0; d < OZ_WINDOW_AXES; d++)
        ret_window->axis[d] =
            (struct oz_window_axis){.in = 1, .out = 1, .size = 1, .stride = 1, .dilation = 1};
    for (size_t d = 0; d < n; d++) {
        struct oz_window_axis *axis = &ret_window->axis[OZ_WINDOW_AXES - n + d];
        axis->in = x->dim[2 + d];
        axis->size = size ? size[d] : form->size.v[d];
        if (size && form->size.n && form->size.v[d] != size[d])
            OZ_FAIL(err, OZ_MODEL, "kernel_shape[%zu] is %lld, but the weights have %lld", d,
                    (long long)form->size.v[d], (long long)size[d]);
        if (axis->size < 1 || axis->size > OZ_WINDOW_SIZE_MAX)
            OZ_FAIL(err, OZ_MODEL, "the window's size along spatial axis %zu is %lld", d,
                    (long long)axis->size);
        if (axis->in < 1 || axis->in > OZ_TENSOR_ELEMENTS_MAX)
            OZ_FAIL(err, OZ_MODEL, "the input's spatial axis %zu has %lld elements", d,
                    (long long)axis->in);
        if (form->stride.n) axis->stride = form->stride.v[d];
        if (form->dilation.n) axis->dilation = form->dilation.v[d];
    }
    return OZ_OK;
}

/* Padding that makes as many places as the stride divides the axis into; of an odd amount, the
 * greater half is at the end (SAME_UPPER) or in front (SAME_LOWER). */
static void pad_to_same(struct oz_window_axis *axis, int64_t reach, bool is_upper)
{
    axis->out = oz_div_up(axis->in, axis->stride);
    int64_t total = OZ_MAX((axis->out - 1) * axis->stride + reach - axis->in, 0);
    axis->front = is_upper ? total / 2 : total - total / 2;
    axis->end = total - axis->front;
}

/* Places of a window whose padding is known. With ceil_mode the last one may reach over the end,
 * but it starts on the input or the padding in front of it. */
static int64_t count_places(const struct oz_window_axis *axis, int64_t reach, bool ceil_mode)
{
    int64_t room = axis->in + axis->front + axis->end - reach;
    if (!ceil_mode) return room < 0 ? 0 : room / axis->stride + 1;
    if (room <= -axis->stride) return 0;
    int64_t out = oz_div_up(room, axis->stride) + 1;
    if ((out - 1) * axis->stride >= axis->in + axis->front) out--;
    return out;
}

enum oz_status oz_window_fit(const struct oz_window_form *form, const struct oz_tensor *x,
                             const int64_t *size, struct oz_window *ret_window,
                             struct oz_error *err)
{
    OZ_TRY(oz_window_axes(form, x, size, ret_window, err));
    size_t n = ret_window->n_axes;
    for (size_t d = 0; d < n; d++) {
        struct oz_window_axis *axis = &ret_window->axis[OZ_WINDOW_AXES - n + d];
        int64_t reach = (axis->size - 1) * axis->dilation + 1;
        switch (form->auto_pad) {
        case OZ_AUTO_PAD_SAME_UPPER:
        case OZ_AUTO_PAD_SAME_LOWER:
            /* Explicit padding beside it has no meaning; ONNX Runtime ignores it as well. */
            pad_to_same(axis, reach, form->auto_pad == OZ_AUTO_PAD_SAME_UPPER);
            break;
        case OZ_AUTO_PAD_VALID:
            /* The reference rounds down here in both modes. */
            axis->out = count_places(axis, reach, false);
            break;
        default:
            if (form->pad.n) {
                axis->front = form->pad.v[d];
                axis->end = form->pad.v[n + d];
            }
            axis->out = count_places(axis, reach, form->ceil_mode);
        }
        if (axis->out < 1)
            OZ_FAIL(err, OZ_MODEL,
                    "a window over %lld elements does not fit on spatial axis %zu, which has %lld "
                    "with its padding",
                    (long long)reach, d, (long long)(axis->in + axis->front + axis->end));
    }
    return OZ_OK;
}

void oz_window_dims(const struct oz_window *window, int64_t batch, int64_t channels,
                    int64_t ret_dim[OZ_RANK_MAX])
{
    ret_dim[0] = batch;
    ret_dim[1] = channels;
    for (size_t d = 0; d < window->n_axes; d++)
        ret_dim[2 + d] = window->axis[OZ_WINDOW_AXES - window->n_axes + d].out;
}

void oz_window_count(struct oz_window *window)
{
    window->in_count = window->out_count = 1;
    for (size_t d = 0; d < OZ_WINDOW_AXES; d++) {
        window->in_count *= window->axis[d].in;
        window->out_count *= window->axis[d].out;
    }
}
