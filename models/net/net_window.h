/* Windows that slide over spatial axes: what Conv, ConvTranspose and the pools have in common. The
 * form is what a node's attributes say; the window is what they mean for an input's shape: where
 * each axis is padded and how many places the window has.
 *
 * Layout: inputs are [batch x channels x spatial axes]. Bodies are written for three spatial axes;
 * of fewer, the leading ones have size 1, window 1 and stride 1.
 * Threads: none of this is shared while it changes. Ownership: a form borrows from the net.
 * Limits: 1 to 3 spatial axes, none of them empty; sizes, steps and padding up to
 * OZ_WINDOW_SIZE_MAX, so that no product of two of them overflows.
 * Source: the operators' reference, Conv and MaxPool; ceil_mode as since opset 22, which is what
 * PyTorch and ONNX Runtime compute for older ones, too. Where ONNX Runtime's pools differ from the
 * reference (it leaves dilations out of SAME padding, and rounds up after VALID), the reference is
 * followed. */
#ifndef OZ_MODELS_NET_NET_WINDOW_H
#define OZ_MODELS_NET_NET_WINDOW_H
#include "models/net/op.h"

enum { OZ_WINDOW_AXES = 3, OZ_WINDOW_SIZE_MAX = 1 << 30 };

enum oz_auto_pad {
    OZ_AUTO_PAD_NOTSET,
    OZ_AUTO_PAD_SAME_UPPER,
    OZ_AUTO_PAD_SAME_LOWER,
    OZ_AUTO_PAD_VALID
};

struct oz_window_list {
    const int64_t *v; /* NULL when the node does not say */
    size_t n;
};

struct oz_window_form {
    int auto_pad; /* enum oz_auto_pad */
    bool ceil_mode;
    struct oz_window_list size, stride, dilation, pad; /* pad: all the fronts, then all the ends */
};

struct oz_window_axis {
    int64_t in, out;    /* of the input; places of the window */
    int64_t size;       /* taps of the window */
    int64_t stride;     /* from place to place */
    int64_t dilation;   /* from tap to tap */
    int64_t front, end; /* padding */
};

struct oz_window {
    size_t n_axes; /* of the file's; the last n_axes of axis[] */
    struct oz_window_axis axis[OZ_WINDOW_AXES];
    int64_t in_count, out_count; /* products over the axes, after oz_window_count() */
};

/* Reads auto_pad, kernel_shape, strides and pads, and dilations when with_dilations. */
enum oz_status oz_window_compile(struct oz_node *node, bool with_dilations,
                                 struct oz_window_form *ret_form, struct oz_error *err) OZ_MUST_USE;
/* One list of an attribute, each of min .. OZ_WINDOW_SIZE_MAX. */
enum oz_status oz_window_list(struct oz_node *node, const char *name, int64_t min,
                              struct oz_window_list *ret_list, struct oz_error *err) OZ_MUST_USE;
/* Refuses a list that is there and has another length than `n`. */
enum oz_status oz_window_list_fits(const struct oz_window_list *list, const char *name, size_t n,
                                   struct oz_error *err) OZ_MUST_USE;

/* The axes' sizes, windows, strides and dilations, from x [batch x channels x spatial axes]; `size`
 * are the window's sizes from elsewhere (a convolution's weights), or NULL. Places and padding are
 * still to come. */
enum oz_status oz_window_axes(const struct oz_window_form *form, const struct oz_tensor *x,
                              const int64_t *size, struct oz_window *ret_window,
                              struct oz_error *err) OZ_MUST_USE;
/* All of it, for windows that slide over the input. */
enum oz_status oz_window_fit(const struct oz_window_form *form, const struct oz_tensor *x,
                             const int64_t *size, struct oz_window *ret_window,
                             struct oz_error *err) OZ_MUST_USE;
/* dim[0, 2 + n_axes) = batch, channels, and the places along each axis. */
void oz_window_dims(const struct oz_window *window, int64_t batch, int64_t channels,
                    int64_t ret_dim[OZ_RANK_MAX]);
/* Fills the counts. Only for an input and an output that have elements, so that the products are
 * known to be small. */
void oz_window_count(struct oz_window *window);

/* Divides and rounds up; b > 0. */
static inline int64_t oz_div_up(int64_t a, int64_t b) { return a / b + (a % b > 0); }

/* Which taps [*ret_first, *ret_end) of the window at `place` lie on the input. None: both equal. */
static inline void oz_window_taps(const struct oz_window_axis *axis, int64_t place,
                                  int64_t *ret_first, int64_t *ret_end)
{
    int64_t start = place * axis->stride - axis->front;
    int64_t first = start < 0 ? -start : 0, end = axis->in - start;
    if (axis->dilation != 1) {
        first = oz_div_up(first, axis->dilation);
        end = oz_div_up(end, axis->dilation);
    }
    end = OZ_MIN(axis->size, end);
    *ret_first = first;
    *ret_end = OZ_MAX(first, end);
}

/* At which places [*ret_first, *ret_end) tap number `tap` lies on the input. */
static inline void oz_window_places(const struct oz_window_axis *axis, int64_t tap,
                                    int64_t *ret_first, int64_t *ret_end)
{
    int64_t start = tap * axis->dilation - axis->front; /* on the input, at place 0 */
    int64_t first = start < 0 ? -start : 0, end = axis->in - start;
    if (axis->stride != 1) {
        first = oz_div_up(first, axis->stride);
        end = oz_div_up(end, axis->stride);
    }
    end = OZ_MIN(axis->out, end);
    *ret_first = first;
    *ret_end = OZ_MAX(first, end);
}
#endif
