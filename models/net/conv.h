/* The bodies of convolutions over any of the axes, plain and transposed: one for double, as the
 * reference writes it, and one for float, which makes dense products of them.
 *
 * Layout: x[n_rows x n_groups n_in x in], y[n_rows x n_groups n_out x out], the spatial axes
 * flattened. weight[n_groups n_out x n_in x taps], or transposed [n_groups n_in x n_out x taps].
 * The window of a transposed convolution slides over the output: its `in` are the output's sizes,
 * and it has a place (`out`) for every element of the input.
 * Threads: any, these keep nothing. Ownership: all borrowed.
 * Limits: the caller has checked that all shapes fit, and that x and y have elements. */
#ifndef OZ_MODELS_NET_CONV_H
#define OZ_MODELS_NET_CONV_H
#include "kernels/cpu/net_kernels.h"
#include "models/net/net_window.h"

struct oz_conv_run {
    struct oz_window window; /* counted */
    bool is_transposed;
    int64_t n_rows, n_groups;
    int64_t n_in, n_out;                       /* channels of one group */
    int64_t n_taps;                            /* of the window, all axes */
    const struct oz_tensor *x, *weight, *bias; /* bias may be NULL */
    const struct oz_tensor *y;
};

void oz_conv_f64(const struct oz_conv_run *run);
/* The scratch memory grows with the sizes of the input, up to a bound that its weights give. */
size_t oz_conv_f32_scratch_bytes(const struct oz_conv_run *run);
void oz_conv_f32(const struct oz_conv_run *run, const struct oz_activation *act, void *scratch);
#endif
