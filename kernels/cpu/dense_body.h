/* Dense products in f32; included once per instruction set, after one of vec_*.h.
 *
 * Layout of packed weights [k x n]: panels of OZ_PANEL_VECTORS vectors' width, one after the other,
 * each k rows of its width; the last panel is as many vectors wide as what is left needs, padded
 * with zeros:
 *
 *     n = 100, 16 lanes, 4 vectors a panel:   | k rows x 64 | k rows x 48, 12 columns of it zero |
 *
 * A tile is a few rows times one panel, all its sums in registers: each step of k loads the
 * panel's row once and one number of each row of a. Narrow panels get more rows, few rows get
 * several panels, so that enough chains are under way to hide the latency of an fma. Sums that do
 * not end in one block of k wait in c, which loses nothing: they are floats in registers too. */
#ifndef OZ_KERNELS_CPU_DENSE_BODY_H
#define OZ_KERNELS_CPU_DENSE_BODY_H
#include "kernels/cpu/tile_list.h"
#include "kernels/cpu/vec_math.h"

enum {
    PANEL = OZ_PANEL_VECTORS * OZ_LANES,
    TILE_ROWS_MAX = 12,
    PANELS_MAX = 4,
    TILE_VECTORS_MAX = 8, /* panels times their vectors */
    TALL_COLUMNS_MAX = 8,
    BLOCK_K = OZ_PANEL_VECTORS == 2 ? 256 : 512,
    BLOCK_ROWS = 120 /* and the rows' block beside it; a multiple of every tile's rows */
};

/* What all tiles of one block have in common. */
struct block {
    size_t k, lda, ldw, ld_start, ldc;
    size_t panel_step; /* from one panel of w to the next */
    oz_vm some;        /* lanes of the last vector of the panel */
    bool is_whole;     /* all of them */
    float lo, hi;      /* the end of the chain: min(hi, max(lo, sum)) */
};

/* R rows by P panels of V vectors, of which the last one may be cut by b->some. Always inlined with
 * constants, so that the sums are registers. */
static inline __attribute__((always_inline)) void
tile(const int R, const int P, const int V, const bool is_packed, const struct block *b,
     const float *restrict a, const float *restrict w, const float *start, float *c)
{
    oz_vf sum[TILE_ROWS_MAX][TILE_VECTORS_MAX];
    const int N = P * V;
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 16
        for (int v = 0; v < N; v++) {
            sum[r][v] = oz_vf_set(0);
            if (!start) continue;
            const float *from = start + (size_t)r * b->ld_start + v * OZ_LANES;
            sum[r][v] =
                v + 1 < N || b->is_whole ? oz_vf_load(from) : oz_vf_load_some(from, b->some);
        }
    const size_t k = b->k, lda = b->lda, ldw = b->ldw, panel_step = b->panel_step;
    const oz_vm some = b->some;
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 16
        for (int v = 0; v < N; v += 16 / OZ_LANES)
            __builtin_prefetch(c + (size_t)(R + r) * b->ldc + v * OZ_LANES, 1);
    for (size_t i = 0; i < k; i++, w += ldw, a++) {
        oz_vf row[TILE_VECTORS_MAX];
#pragma GCC unroll 16
        for (int v = 0; v < N; v++) {
            const float *from = w + (size_t)(v / V) * panel_step + (v % V) * OZ_LANES;
            row[v] = is_packed || v + 1 < N ? oz_vf_load(from) : oz_vf_load_some(from, some);
            if (R > 1) row[v] = oz_vf_keep(row[v]);
        }
#pragma GCC unroll 16
        for (int r = 0; r < R; r++) {
            oz_vf x = oz_vf_set(a[(size_t)r * lda]);
#pragma GCC unroll 16
            for (int v = 0; v < N; v++) sum[r][v] = oz_vf_fma(x, row[v], sum[r][v]);
        }
    }
    const oz_vf lo = oz_vf_set(b->lo), hi = oz_vf_set(b->hi);
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 16
        for (int v = 0; v < N; v++) {
            float *to = c + (size_t)r * b->ldc + v * OZ_LANES;
            oz_vf end = oz_vf_min(hi, oz_vf_max(lo, sum[r][v]));
            if (v + 1 < N || b->is_whole)
                oz_vf_store(to, end);
            else
                oz_vf_store_some(to, b->some, end);
        }
}

typedef void tile_fn(const struct block *b, const float *restrict a, const float *restrict w,
                     const float *start, float *c);

#define MAKE_TILE(R, P, V)                                                                         \
    static void packed_##R##_##P##_##V(const struct block *b, const float *restrict a,             \
                                       const float *restrict w, const float *start, float *c)      \
    {                                                                                              \
        tile(R, P, V, true, b, a, w, start, c);                                                    \
    }                                                                                              \
    static void plain_##R##_##P##_##V(const struct block *b, const float *restrict a,              \
                                      const float *restrict w, const float *start, float *c)       \
    {                                                                                              \
        tile(R, P, V, false, b, a, w, start, c);                                                   \
    }
#define LIST_TILE(R, P, V) [V][P - 1][R] = {plain_##R##_##P##_##V, packed_##R##_##P##_##V},

/* Rows of a tile by its vectors, as many as the registers hold; rows of a tile of several whole
 * panels, and how many panels these are. */
#if OZ_PANEL_VECTORS == 4
#define TILES(X)                                                                                   \
    OZ_ROWS_TO_12(X, 1, 1)                                                                         \
    OZ_ROWS_TO_12(X, 1, 2) OZ_ROWS_TO_8(X, 1, 3) OZ_ROWS_TO_6(X, 1, 4) X(1, 2, 4)
static const uint8_t tile_rows[] = {0, 12, 12, 8, 6};
static const uint8_t tile_panels[] = {0, 2};
#else
#define TILES(X) OZ_ROWS_TO_12(X, 1, 1) OZ_ROWS_TO_6(X, 1, 2) X(1, 4, 2) X(2, 2, 2) X(3, 2, 2)
static const uint8_t tile_rows[] = {0, 12, 6};
static const uint8_t tile_panels[] = {0, 4, 2, 2};
#endif
TILES(MAKE_TILE)
static tile_fn *const tiles[OZ_PANEL_VECTORS + 1][PANELS_MAX][TILE_ROWS_MAX + 1][2] = {
    TILES(LIST_TILE)};

/* OZ_LANES rows times N columns, with the rows in the lanes: for so few columns that a vector of
 * them would be mostly empty. Always inlined with a constant N. */
static inline __attribute__((always_inline)) void tall_tile(const int N, const struct block *b,
                                                            const float *restrict a,
                                                            const float *restrict w,
                                                            const float *start, float *c)
{
    oz_vf sum[TALL_COLUMNS_MAX];
    float lanes[OZ_LANES * 4];
    const size_t k = b->k, ldw = b->ldw;
    for (int j = 0; j < N; j++) {
        sum[j] = oz_vf_set(start ? start[j] : 0);
        if (!start || !b->ld_start) continue;
        for (size_t r = 0; r < OZ_LANES; r++) lanes[r] = start[r * b->ld_start + (size_t)j];
        sum[j] = oz_vf_load(lanes);
    }
    for (size_t i = 0; i < k; i += 4, w += 4 * ldw) {
        oz_vf column[4];
        size_t some = OZ_MIN(k - i, (size_t)4);
        if (OZ_LIKELY(some == 4))
            oz_vf_columns(a + i, b->lda, column);
        else
            for (size_t x = 0; x < some; x++) {
                for (size_t r = 0; r < OZ_LANES; r++) lanes[r] = a[r * b->lda + i + x];
                column[x] = oz_vf_load(lanes);
            }
        for (size_t x = 0; x < some; x++)
#pragma GCC unroll 8
            for (int j = 0; j < N; j++)
                sum[j] = oz_vf_fma(column[x], oz_vf_set(w[x * ldw + (size_t)j]), sum[j]);
    }
    for (int j = 0; j < N; j++) {
        sum[j] = oz_vf_min(oz_vf_set(b->hi), oz_vf_max(oz_vf_set(b->lo), sum[j]));
        oz_vf_store(lanes, sum[j]);
        for (size_t r = 0; r < OZ_LANES; r++) c[r * b->ldc + (size_t)j] = lanes[r];
    }
}

#define MAKE_TALL(N, x)                                                                            \
    static void tall_##N(const struct block *b, const float *restrict a, const float *restrict w,  \
                         const float *start, float *c)                                             \
    {                                                                                              \
        tall_tile(N, b, a, w, start, c);                                                           \
    }
#define LIST_TALL(N, x) [N] = tall_##N,
OZ_ROWS_TO_8(MAKE_TALL, )
static tile_fn *const tall_tiles[TALL_COLUMNS_MAX + 1] = {OZ_ROWS_TO_8(LIST_TALL, )};

/* The rows of one block against one group of panels, in tiles of nearly equal size. */
static void run_rows(const struct block *b, tile_fn *const of_rows[][2], bool is_packed,
                     size_t rows_max, size_t m, const float *restrict a, const float *restrict w,
                     const float *start, float *c)
{
    size_t n_tiles = (m + rows_max - 1) / rows_max, row = 0;
    for (size_t t = 1; t <= n_tiles; t++) {
        size_t end = m * t / n_tiles;
        of_rows[end - row][is_packed](b, a + row * b->lda, w,
                                      start ? start + row * b->ld_start : NULL, c + row * b->ldc);
        row = end;
    }
}

/* One block of rows and of k against all panels. w: of the block's first k; k_all: of all. */
static void run_panels(struct block *b, bool is_packed, size_t m, size_t n, size_t k_from,
                       size_t k_all, const float *restrict a, const float *restrict w,
                       const float *start, float *c)
{
    size_t ldw = b->ldw, some_panels = m < OZ_COUNT_OF(tile_panels) ? tile_panels[m] : 1;
    b->panel_step = is_packed ? k_all * PANEL : PANEL;
    for (size_t j = 0; j < n;) {
        size_t left = n - j, panels = left >= some_panels * PANEL ? some_panels : 1;
        size_t width = OZ_MIN(left, panels * PANEL), vectors = (width + OZ_LANES - 1) / OZ_LANES;
        size_t v = panels > 1 ? OZ_PANEL_VECTORS : vectors;
        const float *from = w + k_from * ldw + j;
        if (is_packed) {
            b->ldw = v * OZ_LANES;
            from = w + k_all * j + k_from * b->ldw;
        }
        b->is_whole = width == vectors * OZ_LANES;
        b->some = oz_vf_first(width - (vectors - 1) * OZ_LANES);
        const float *begin = start ? start + j : NULL;
        size_t row = 0;
        if (width <= OZ_LANES / 2)
            for (; row + OZ_LANES <= m; row += OZ_LANES)
                tall_tiles[width](b, a + row * b->lda, from,
                                  begin ? begin + row * b->ld_start : NULL, c + row * b->ldc + j);
        run_rows(b, tiles[v][panels - 1], is_packed, panels > 1 ? m : tile_rows[v], m - row,
                 a + row * b->lda, from, begin ? begin + row * b->ld_start : NULL,
                 c + row * b->ldc + j);
        j += width;
    }
    b->ldw = ldw;
}

/* The activation where it is not a bound, over rows that have just been made. */
static void act_rows(const struct oz_activation *act, size_t m, size_t n, float *c, size_t ldc)
{
    if (ldc == n) n *= m, m = 1;
    for (size_t row = 0; row < m; row++, c += ldc) OZ_KERNEL(act_f32_array)(n, c, act, c);
}

static void product(bool is_packed, size_t m, size_t n, size_t k, const float *restrict a,
                    size_t lda, const float *restrict w, size_t ldw, const float *start,
                    size_t ld_start, const struct oz_activation *act, float *c, size_t ldc)
{
    struct block b = {.lda = lda, .ldw = ldw, .ldc = ldc};
    size_t n_blocks = k <= BLOCK_K ? 1 : (k + BLOCK_K - 1) / BLOCK_K;
    size_t rows_max = OZ_MAX(BLOCK_ROWS, BLOCK_ROWS * BLOCK_K / (k + 1) / 12 * 12);
    bool is_bound = !act || act->kind <= OZ_ACT_RELU || act->kind == OZ_ACT_CLIP;
    float lo = -INFINITY, hi = INFINITY;
    if (act && act->kind == OZ_ACT_RELU) lo = 0;
    if (act && act->kind == OZ_ACT_CLIP) lo = act->alpha, hi = act->beta;
    for (size_t row = 0, end; row < m; row = end) {
        end = OZ_MIN(m, row + rows_max);
        const float *from = start ? start + row * ld_start : NULL;
        float *to = c + row * ldc;
        b.ld_start = ld_start;
        for (size_t i = 0, at = 0; i < n_blocks; i++, from = to, b.ld_start = ldc) {
            size_t k_end = k * (i + 1) / n_blocks;
            bool is_last = i + 1 == n_blocks;
            b.k = k_end - at;
            b.lo = is_last ? lo : -INFINITY;
            b.hi = is_last ? hi : INFINITY;
            run_panels(&b, is_packed, end - row, n, at, k, a + row * lda + at, w, from, to);
            at = k_end;
        }
        if (!is_bound) act_rows(act, end - row, n, to, ldc);
    }
}

size_t OZ_KERNEL(dense_f32_packed_bytes)(size_t k, size_t n)
{
    size_t vectors = n / OZ_LANES + (n % OZ_LANES != 0), floats;
    if (__builtin_mul_overflow(vectors * OZ_LANES, k, &floats) ||
        __builtin_mul_overflow(floats, sizeof(float), &floats))
        return SIZE_MAX;
    return floats;
}

void OZ_KERNEL(dense_f32_pack)(size_t k, size_t n, const float *restrict w, size_t row_stride,
                               size_t column_stride, float factor, float *restrict packed)
{
    for (size_t j = 0; j < n; j += PANEL) {
        size_t width = OZ_MIN(n - j, PANEL), padded = (width + OZ_LANES - 1) / OZ_LANES * OZ_LANES;
        for (size_t i = 0; i < k; i++, packed += padded) {
            const float *from = w + i * row_stride + j * column_stride;
            for (size_t x = 0; x < width; x++) packed[x] = factor * from[x * column_stride];
            for (size_t x = width; x < padded; x++) packed[x] = 0;
        }
    }
}

void OZ_KERNEL(dense_f32_packed)(size_t m, size_t n, size_t k, const float *restrict a, size_t lda,
                                 const float *restrict packed, const float *start, size_t ld_start,
                                 const struct oz_activation *act, float *c, size_t ldc)
{
    product(true, m, n, k, a, lda, packed, 0, start, ld_start, act, c, ldc);
}

void OZ_KERNEL(dense_f32_plain)(size_t m, size_t n, size_t k, const float *restrict a, size_t lda,
                                const float *restrict w, size_t ldw, const float *start,
                                size_t ld_start, const struct oz_activation *act, float *c,
                                size_t ldc)
{
    product(false, m, n, k, a, lda, w, ldw, start, ld_start, act, c, ldc);
}
#endif
