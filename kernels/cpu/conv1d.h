/* What the convolutions of all instruction sets share: how the inputs of one item lie in scratch
 * memory (conv1d_body.h says why), and the copying.
 *
 * Layout of the scratch memory, for the channels of one group at a time:
 *     size_t offset[chain], then, from the next multiple of 64 bytes,
 *     either  plane[c_in / groups][n_slots][plane]        one item
 *     or      column[chain][n_side * w_out], then         n_side items side by side
 *             sum[c_out / groups][n_side * w_out]
 * Threads: any. */
#ifndef OZ_KERNELS_CPU_CONV1D_H
#define OZ_KERNELS_CPU_CONV1D_H
#include "kernels/cpu/net_kernels.h"

enum {
    OZ_CONV1D_LANES_MAX = 16, /* a plane may be read up to the next multiple of this */
    OZ_CONV1D_COLUMNS_MAX = 64
};

struct oz_conv1d_plan {
    size_t chain;   /* channels of a group times taps */
    size_t n_slots; /* phases of the stride that taps read: that of tap is tap % n_slots */
    size_t plane;   /* floats of one phase of one channel */
    size_t n_side;  /* items side by side; 1: planes */
    size_t data;    /* bytes from the beginning of the scratch memory to the planes or columns */
};

void oz_conv1d_plan(const struct oz_conv1d *shape, struct oz_conv1d_plan *ret_plan);
/* Where in the planes the inputs of each chain element begin. */
void oz_conv1d_offsets(const struct oz_conv1d *shape, const struct oz_conv1d_plan *plan,
                       size_t *restrict offset);
/* The channels of one group of one item: x[c_in / groups][w_in]. */
void oz_conv1d_planes(const struct oz_conv1d *shape, const struct oz_conv1d_plan *plan,
                      const float *restrict x, float *restrict plane);
/* The same into the columns of item `side` of n_side. */
void oz_conv1d_unfold(const struct oz_conv1d *shape, size_t n_side, size_t side,
                      const float *restrict x, float *restrict column);
#endif
