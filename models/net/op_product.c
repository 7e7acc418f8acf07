/* Gemm and MatMul, for float, double, int32 and int64. Floats are the kernels' work; the whole
 * numbers wrap around, as in ONNX Runtime. Constant float weights are packed at load.
 *
 * Gemm's alpha goes into the weights, and its beta * C is where the chains of sums begin, so that
 * one product gives the result and a row of it never depends on the others. */
#include "models/net/op_tables.h"
#include "kernels/cpu/blas.h"
#include "models/net/elementwise.h"
#include "models/net/matmul_shape.h"
#include "models/net/matrix_product.h"
#include "models/net/op_dense.h"

struct product_state {
    float alpha, beta;
    bool a_turned, b_turned;
    const float *packed; /* alpha * b, or NULL */
    bool a_is_constant;
};

static struct oz_matrix matrix_of(const struct oz_tensor *tensor, bool is_turned)
{
    size_t columns = (size_t)tensor->dim[1];
    return is_turned ? (struct oz_matrix){tensor->data, 1, columns}
                     : (struct oz_matrix){tensor->data, columns, 1};
}

/* ---- Gemm ---- */

static enum oz_status compile_gemm(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct product_state *state = oz_node_state(net, node, sizeof *state);
    if (!state) OZ_FAIL(err, OZ_NO_MEMORY, "out of memory");
    OZ_TRY(oz_attr_f32(node, "alpha", 1, &state->alpha, err));
    OZ_TRY(oz_attr_f32(node, "beta", 1, &state->beta, err));
    OZ_TRY(oz_attr_bool(node, "transA", false, &state->a_turned, err));
    return oz_attr_bool(node, "transB", false, &state->b_turned, err);
}

static enum oz_status compile_matmul(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct product_state *state = oz_node_state(net, node, sizeof *state);
    if (!state) OZ_FAIL(err, OZ_NO_MEMORY, "out of memory");
    state->alpha = 1;
    return OZ_OK;
}

static enum oz_status prepare(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct product_state *state = node->state;
    const struct oz_tensor *b = oz_node_constant(net, node, 1);
    if (!b || b->dtype != OZ_DTYPE_F32 || b->rank != 2) return OZ_OK;
    return oz_dense_pack(net, b, state->b_turned, state->alpha, &state->packed, err);
}

/* Weights are packed. For other matrices OpenBLAS is made ready, while loading. */
static enum oz_status prepare_matmul(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct product_state *state = node->state;
    OZ_TRY(prepare(net, node, err));
    state->a_is_constant = oz_node_constant(net, node, 0) != NULL;
    if (!state->packed) oz_blas_open();
    return OZ_OK;
}

struct gemm {
    const struct product_state *state;
    const struct oz_tensor *a, *b, *c; /* c may be NULL */
    size_t m, n, k;
    size_t c_row, c_column; /* steps in c; 0 where it is stretched */
};

static enum oz_status check_gemm(const struct oz_exec *exec, const struct oz_node *node,
                                 struct gemm *ret, struct oz_error *err)
{
    const struct oz_tensor *a = oz_exec_in(exec, node, 0), *b = oz_exec_in(exec, node, 1);
    const struct oz_tensor *c = oz_exec_in(exec, node, 2);
    struct gemm g = {.state = node->state, .a = a, .b = b, .c = c};
    char a_words[OZ_TENSOR_WORDS_BYTES], b_words[OZ_TENSOR_WORDS_BYTES];
    if (!(OZ_PRODUCT_DTYPES >> a->dtype & 1))
        return oz_refuse_dtype("its input", a->dtype, OZ_PRODUCT_DTYPES, err);
    OZ_TRY(oz_same_dtype(a, b, err));
    if (c) OZ_TRY(oz_same_dtype(a, c, err));
    bool fits = a->rank == 2 && b->rank == 2;
    fits = fits && a->dim[!g.state->a_turned] == b->dim[g.state->b_turned];
    if (!fits)
        OZ_FAIL(err, OZ_MODEL, "%s%s cannot be multiplied by %s%s", oz_tensor_words(a, a_words),
                g.state->a_turned ? " (transposed)" : "", oz_tensor_words(b, b_words),
                g.state->b_turned ? " (transposed)" : "");
    g.m = (size_t)a->dim[g.state->a_turned];
    g.k = (size_t)a->dim[!g.state->a_turned];
    g.n = (size_t)b->dim[!g.state->b_turned];
    if (c) {
        int64_t columns = c->rank > 0 ? c->dim[c->rank - 1] : 1;
        int64_t rows = c->rank > 1 ? c->dim[c->rank - 2] : 1;
        if (c->rank > 2 || (rows != 1 && rows != (int64_t)g.m) ||
            (columns != 1 && columns != (int64_t)g.n))
            OZ_FAIL(err, OZ_MODEL, "its C is %s, the product is [%zux%zu]",
                    oz_tensor_words(c, a_words), g.m, g.n);
        g.c_row = rows == 1 ? 0 : (size_t)columns;
        g.c_column = columns != 1;
    }
    *ret = g;
    return OZ_OK;
}

/* y = beta * c, stretched; zero without c. */
#define FILL_START(name, T, S)                                                                     \
    static void name(const struct gemm *g, S beta, void *y_)                                       \
    {                                                                                              \
        T *y = y_;                                                                                 \
        const T *c = g->c && beta != 0 ? g->c->data : NULL;                                        \
        for (size_t i = 0; i < g->m; i++, y += g->n)                                               \
            for (size_t j = 0; j < g->n; j++)                                                      \
                y[j] = c ? beta * c[i * g->c_row + j * g->c_column] : 0;                           \
    }
FILL_START(start_f32, float, float)
FILL_START(start_f64, double, double)
FILL_START(start_i32, uint32_t, uint32_t)
FILL_START(start_i64, uint64_t, uint64_t)

/* to[rows x columns] = factor * from, which lies turned. */
#define TURN(name, T)                                                                              \
    static void name(const struct oz_matrix *from, size_t rows, size_t columns, T factor,          \
                     void *to_)                                                                    \
    {                                                                                              \
        const T *data = from->data;                                                                \
        T *to = to_;                                                                               \
        for (size_t i = 0; i < rows; i++, to += columns)                                           \
            for (size_t j = 0; j < columns; j++)                                                   \
                to[j] = factor * data[i * from->row + j * from->column];                           \
    }
TURN(turn_f32, float)
TURN(turn_f64, double)

static void gemm_f32(const struct gemm *g, void *a_memory, void *b_memory, float *y)
{
    const struct oz_net_kernels *kernels = oz_net_kernels();
    const struct product_state *state = g->state;
    struct oz_matrix a = matrix_of(g->a, state->a_turned), b = matrix_of(g->b, state->b_turned);
    if (state->a_turned) {
        turn_f32(&a, g->m, g->k, 1, a_memory);
        a.data = a_memory;
    }
    const float *start = NULL, *packed = state->packed;
    size_t ld_start = 0;
    if (g->c && state->beta == 1 && g->c_column && (g->c_row == g->n || !g->c_row)) {
        start = g->c->f32;
        ld_start = g->c_row;
    } else if (g->c && state->beta != 0) {
        start_f32(g, state->beta, y);
        start = y;
        ld_start = g->n;
    }
    if (!packed && b_memory) {
        kernels->dense_f32_pack(g->k, g->n, b.data, b.row, b.column, state->alpha, b_memory);
        packed = b_memory;
    }
    if (packed)
        kernels->dense_f32_packed(g->m, g->n, g->k, a.data, g->k, packed, start, ld_start, NULL, y,
                                  g->n);
    else
        kernels->dense_f32_plain(g->m, g->n, g->k, a.data, g->k, b.data, g->n, start, ld_start,
                                 NULL, y, g->n);
}

static void gemm_f64(const struct gemm *g, void *a_memory, void *b_memory, double *y)
{
    struct oz_matrix a = matrix_of(g->a, g->state->a_turned);
    struct oz_matrix b = matrix_of(g->b, g->state->b_turned);
    if (g->state->a_turned) {
        turn_f64(&a, g->m, g->k, 1, a_memory);
        a.data = a_memory;
    }
    if (b_memory) {
        turn_f64(&b, g->k, g->n, (double)g->state->alpha, b_memory);
        b.data = b_memory;
    }
    start_f64(g, (double)g->state->beta, y);
    oz_net_kernels()->dense_f64_plain(g->m, g->n, g->k, a.data, g->k, b.data, g->n, y, g->n, y,
                                      g->n);
}

/* alpha and beta of whole numbers are whole. */
static enum oz_status whole(const char *name, float v, int64_t *ret_v, struct oz_error *err)
{
    if (!(v >= -0x1p62f && v <= 0x1p62f) || (float)(int64_t)v != v)
        OZ_FAIL(err, OZ_MODEL, "its %s is %g, for whole numbers it must be one", name, (double)v);
    *ret_v = (int64_t)v;
    return OZ_OK;
}

static enum oz_status gemm_whole(const struct gemm *g, struct oz_tensor *y, struct oz_error *err)
{
    int64_t alpha = 0, beta = 0;
    OZ_TRY(whole("alpha", g->state->alpha, &alpha, err));
    OZ_TRY(whole("beta", g->state->beta, &beta, err));
    if (!y->data) return OZ_OK;
    struct oz_matrix a = matrix_of(g->a, g->state->a_turned);
    struct oz_matrix b = matrix_of(g->b, g->state->b_turned);
    if (y->dtype == OZ_DTYPE_I32) {
        start_i32(g, (uint32_t)beta, y->data);
        oz_matrix_add_i32(g->m, g->n, g->k, a, b, (uint32_t)alpha, y->data);
    } else {
        start_i64(g, (uint64_t)beta, y->data);
        oz_matrix_add_i64(g->m, g->n, g->k, a, b, (uint64_t)alpha, y->data);
    }
    return OZ_OK;
}

static enum oz_status run_gemm(struct oz_exec *exec, const struct oz_node *node,
                               struct oz_error *err)
{
    const struct product_state *state = node->state;
    struct gemm g = {0};
    OZ_TRY(check_gemm(exec, node, &g, err));
    enum oz_dtype dtype = (enum oz_dtype)g.a->dtype;
    struct oz_tensor *y;
    OZ_TRY(oz_exec_out(exec, node, 0, dtype, 2, (int64_t[]){(int64_t)g.m, (int64_t)g.n}, &y, err));
    if (!oz_dtype_is_float(dtype)) return gemm_whole(&g, y, err);
    void *a_memory = NULL, *b_memory = NULL;
    bool b_is_changed = !state->packed && (state->b_turned || state->alpha != 1);
    size_t b_bytes = dtype == OZ_DTYPE_F32 ? oz_net_kernels()->dense_f32_packed_bytes(g.k, g.n)
                                           : (size_t)g.b->n * sizeof(double);
    if (state->a_turned)
        OZ_TRY(oz_exec_scratch(exec, node, (size_t)g.a->n * oz_dtype_bytes(dtype), &a_memory, err));
    if (b_is_changed) OZ_TRY(oz_exec_scratch(exec, node, b_bytes, &b_memory, err));
    if (!y->data) return OZ_OK;
    if (dtype == OZ_DTYPE_F32)
        gemm_f32(&g, a_memory, b_memory, y->f32);
    else
        gemm_f64(&g, a_memory, b_memory, y->f64);
    return OZ_OK;
}

/* ---- MatMul ---- */

static void matmul_at(const struct product_state *state, const struct oz_matmul *s,
                      const struct oz_matmul_at *at, const struct oz_tensor *a,
                      const struct oz_tensor *b, struct oz_tensor *y)
{
    size_t m = s->m, n = s->n, k = s->k, bytes = oz_dtype_bytes((enum oz_dtype)a->dtype);
    const void *a_at = (const char *)a->data + at->a * m * k * bytes;
    const void *b_at = (const char *)b->data + at->b * k * n * bytes;
    void *y_at = (char *)y->data + at->y * m * n * bytes;
    if (state->packed)
        oz_net_kernels()->dense_f32_packed(m, n, k, a_at, k, state->packed, NULL, 0, NULL, y_at, n);
    else if (a->dtype == OZ_DTYPE_F32 && (s->has_batches || state->a_is_constant) &&
             oz_blas_is_faster(m, n, k))
        oz_blas_f32_product(m, n, k, a_at, b_at, y_at);
    else
        oz_matrix_product((enum oz_dtype)a->dtype, m, n, k, a_at, b_at, y_at);
}

static enum oz_status run_matmul(struct oz_exec *exec, const struct oz_node *node,
                                 struct oz_error *err)
{
    const struct oz_tensor *a = oz_exec_in(exec, node, 0), *b = oz_exec_in(exec, node, 1);
    if (!(OZ_PRODUCT_DTYPES >> a->dtype & 1))
        return oz_refuse_dtype("its input", a->dtype, OZ_PRODUCT_DTYPES, err);
    OZ_TRY(oz_same_dtype(a, b, err));
    struct oz_matmul shape;
    OZ_TRY(oz_matmul_shape(a, b, &shape, err));
    struct oz_tensor *y;
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)a->dtype, shape.rank, shape.dim, &y, err));
    if (!y->data) return OZ_OK;
    struct oz_matmul_at at = {.n_done = 0};
    while (oz_matmul_next(&shape, &at)) matmul_at(node->state, &shape, &at, a, b, y);
    return OZ_OK;
}

const struct oz_op oz_ops_product[] = {
    {"Gemm", OZ_DOMAIN_ONNX, 7, 2, 3, 1, 1, compile_gemm, prepare, run_gemm},
    {"MatMul", OZ_DOMAIN_ONNX, 1, 2, 2, 1, 1, compile_matmul, prepare_matmul, run_matmul},
    {.name = NULL},
};
