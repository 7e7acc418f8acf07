/* Convolution over one axis in f32; included once per instruction set, after one of vec_*.h.
 *
 * Time stands in the lanes: an output channel's row of sums takes, for each channel and tap, one
 * weight times a row of inputs that is shifted by the tap. For that an item is first copied into
 * scratch memory with its padding, and for stride s in s phases, so that a tap reads neighbours:
 *
 *     padded x[i][u], u = t * s + tap * d:   plane[i][u % s][u / s]
 *
 * Outputs of few steps would leave most lanes empty. Then the inputs of several items are unfolded
 * side by side into a matrix [c_in / groups * n_taps x items * w_out], and the weights times that
 * matrix is a product. Both ways are the same chain of every element. */
#ifndef OZ_KERNELS_CPU_CONV1D_BODY_H
#define OZ_KERNELS_CPU_CONV1D_BODY_H
#include "kernels/cpu/conv1d.h"
#include "kernels/cpu/tile_list.h"
#include "kernels/cpu/vec_math.h"

enum { CONV_ROWS_MAX = 8, CONV_VECTORS_MAX = 8 };

/* The sums of R channels times V vectors of steps, of which the last one may be cut. Always inlined
 * with constants. offset[k]: where the inputs of chain element k begin. */
static inline __attribute__((always_inline)) void
conv_tile(const int R, const int V, size_t k, const float *restrict weight,
          const float *restrict bias, const float *restrict plane, const size_t *restrict offset,
          float *restrict y, size_t w_out, oz_vm some)
{
    oz_vf sum[CONV_ROWS_MAX][CONV_VECTORS_MAX];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) sum[r][v] = oz_vf_set(bias ? bias[r] : 0);
    for (size_t i = 0; i < k; i++) {
        const float *from = plane + offset[i];
        oz_vf row[CONV_VECTORS_MAX];
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) row[v] = oz_vf_load(from + v * OZ_LANES);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            oz_vf x = oz_vf_set(weight[(size_t)r * k + i]);
#pragma GCC unroll 8
            for (int v = 0; v < V; v++) sum[r][v] = oz_vf_fma(x, row[v], sum[r][v]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 8
        for (int v = 0; v < V - 1; v++)
            oz_vf_store(y + (size_t)r * w_out + v * OZ_LANES, sum[r][v]);
        oz_vf_store_some(y + (size_t)r * w_out + (V - 1) * OZ_LANES, some, sum[r][V - 1]);
    }
}

typedef void conv_tile_fn(size_t k, const float *restrict weight, const float *restrict bias,
                          const float *restrict plane, const size_t *restrict offset,
                          float *restrict y, size_t w_out, oz_vm some);
#define MAKE_CONV_TILE(R, V)                                                                       \
    static void conv_##R##_##V(size_t k, const float *restrict weight, const float *restrict bias, \
                               const float *restrict plane, const size_t *restrict offset,         \
                               float *restrict y, size_t w_out, oz_vm some)                        \
    {                                                                                              \
        conv_tile(R, V, k, weight, bias, plane, offset, y, w_out, some);                           \
    }
#define LIST_CONV_TILE(R, V) [V][R] = conv_##R##_##V,
#if OZ_PANEL_VECTORS == 4
#define CONV_TILES(X)                                                                              \
    OZ_ROWS_TO_8(X, 1) OZ_ROWS_TO_8(X, 2) OZ_ROWS_TO_8(X, 3) OZ_ROWS_TO_6(X, 4) X(1, 8)
static const uint8_t conv_rows[] = {0, 8, 8, 8, 6};
enum { CONV_VECTORS = 4, CONV_VECTORS_ALONE = 8 };
#else
#define CONV_TILES(X) OZ_ROWS_TO_8(X, 1) OZ_ROWS_TO_6(X, 2) X(1, 4)
static const uint8_t conv_rows[] = {0, 8, 6};
enum { CONV_VECTORS = 2, CONV_VECTORS_ALONE = 4 };
#endif
CONV_TILES(MAKE_CONV_TILE)
static conv_tile_fn *const conv_tiles[CONV_VECTORS_MAX + 1][CONV_ROWS_MAX + 1] = {
    CONV_TILES(LIST_CONV_TILE)};

/* All outputs of one group of one item. */
static void conv_group(const struct oz_conv1d *s, size_t k, const float *weight, const float *bias,
                       const float *plane, const size_t *offset, float *y)
{
    size_t n_rows = s->c_out / s->groups;
    for (size_t t = 0, end; t < s->w_out; t = end) {
        size_t vectors = (s->w_out - t + OZ_LANES - 1) / OZ_LANES;
        bool is_alone = n_rows == 1 && vectors >= CONV_VECTORS_ALONE;
        size_t v = is_alone ? CONV_VECTORS_ALONE : OZ_MIN(vectors, (size_t)CONV_VECTORS);
        size_t n_tiles = is_alone ? 1 : (n_rows + conv_rows[v] - 1) / conv_rows[v], o = 0;
        end = OZ_MIN(s->w_out, t + v * OZ_LANES);
        oz_vm some = oz_vf_first(end - t - (v - 1) * OZ_LANES);
        for (size_t i = 1; i <= n_tiles; i++) {
            size_t rows = n_rows * i / n_tiles - o;
            conv_tiles[v][rows](k, weight + o * k, bias ? bias + o : NULL, plane + t, offset,
                                y + o * s->w_out + t, s->w_out, some);
            o += rows;
        }
    }
}

/* One group of n_side items, x and y of the first: their columns, one product, and its rows cut up
 * into the items. */
static void conv_unfolded(const struct oz_conv1d *s, const struct oz_conv1d_plan *p, size_t n_side,
                          const float *restrict weight, const float *restrict bias,
                          const float *restrict x, float *restrict column, float *restrict y)
{
    size_t n = n_side * s->w_out, n_rows = s->c_out / s->groups;
    float *sum = column + p->chain * n;
    for (size_t i = 0; i < n_side; i++)
        oz_conv1d_unfold(s, n_side, i, x + i * s->c_in * s->w_in, column);
    for (size_t o = 0; o < n_rows; o++)
        for (size_t j = 0; j < n; j++) sum[o * n + j] = bias ? bias[o] : 0;
    OZ_KERNEL(dense_f32_plain)
    (n_rows, n, p->chain, weight, p->chain, column, n, sum, n, NULL, sum, n);
    for (size_t i = 0; i < n_side; i++)
        for (size_t o = 0; o < n_rows; o++)
            for (size_t t = 0; t < s->w_out; t++)
                y[(i * s->c_out + o) * s->w_out + t] = sum[o * n + i * s->w_out + t];
}

void OZ_KERNEL(conv1d_f32_ncw)(const struct oz_conv1d *s, const float *restrict x,
                               const float *restrict weight, const float *restrict bias,
                               const struct oz_activation *act, void *restrict scratch,
                               float *restrict y)
{
    struct oz_conv1d_plan p;
    oz_conv1d_plan(s, &p);
    size_t *offset = scratch;
    float *data = (float *)((char *)scratch + p.data);
    size_t x_group = s->c_in / s->groups * s->w_in, n_rows = s->c_out / s->groups, n_side;
    if (p.n_side == 1) oz_conv1d_offsets(s, &p, offset);
    for (size_t item = 0; item < s->n_items; item += n_side) {
        n_side = OZ_MIN(p.n_side, s->n_items - item);
        const float *from = x + item * s->c_in * s->w_in;
        float *to = y + item * s->c_out * s->w_out;
        for (size_t g = 0; g < s->groups; g++) {
            const float *w = weight + g * n_rows * p.chain, *b = bias ? bias + g * n_rows : NULL;
            if (p.n_side > 1) {
                conv_unfolded(s, &p, n_side, w, b, from + g * x_group, data,
                              to + g * n_rows * s->w_out);
                continue;
            }
            oz_conv1d_planes(s, &p, from + g * x_group, data);
            conv_group(s, p.chain, w, b, data, offset, to + g * n_rows * s->w_out);
        }
        if (act && act->kind != OZ_ACT_NONE)
            OZ_KERNEL(act_f32_array)(n_side * s->c_out * s->w_out, to, act, to);
    }
}
#endif
