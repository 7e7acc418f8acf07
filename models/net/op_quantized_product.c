/* MatMulInteger and QLinearMatMul: products of uint8 and int8 matrices less their zero points, with
 * sums in int32, which wrap around.
 * A zero point or scale is one for all, or one per row of a ([m], or [.. x m x 1] like a), or one
 * per column of b ([n], or [.. x 1 x n] like b). QLinearMatMul rounds half to even. */
#include "models/net/op_tables.h"
#include "models/net/elementwise.h"
#include "models/net/matmul_shape.h"
#include "models/net/round_even.h"

enum { BYTES = 1u << OZ_DTYPE_U8 | 1u << OZ_DTYPE_I8 };

/* Zero points or scales of one matrix: that of row (or column) i of matrix number j is at
 * j * of_matrix + i * of_line. */
struct lines {
    const struct oz_tensor *tensor; /* NULL: zero */
    size_t of_matrix, of_line;
};

struct quantized {
    const struct oz_tensor *a, *b;
    struct lines a_zero, b_zero, a_scale, b_scale;
    struct oz_matmul shape;
};

/* `tensor` belongs to the rows of `matrices` (of a) or their columns (of b). */
static enum oz_status find_lines(const struct oz_tensor *tensor, const struct oz_tensor *matrices,
                                 bool is_rows, const char *what, struct lines *ret,
                                 struct oz_error *err)
{
    *ret = (struct lines){.tensor = tensor};
    if (!tensor || (tensor->n == 1 && tensor->rank <= 1)) return OZ_OK;
    size_t rank = matrices->rank, line = is_rows ? rank - 2 : rank - 1;
    bool fits = rank >= 2;
    int64_t n = fits ? matrices->dim[line] : 0;
    if (fits && tensor->rank == 1 && tensor->dim[0] == n && (!is_rows || rank == 2)) {
        ret->of_line = 1;
        return OZ_OK;
    }
    fits = fits && tensor->rank == rank;
    for (size_t d = 0; fits && d < rank; d++)
        fits = tensor->dim[d] == (d + 2 >= rank && d != line ? 1 : matrices->dim[d]);
    char words[OZ_TENSOR_WORDS_BYTES], matrix_words[OZ_TENSOR_WORDS_BYTES];
    if (!fits)
        OZ_FAIL(err, OZ_MODEL, "%s of %s does not fit %s", what, oz_tensor_words(tensor, words),
                oz_tensor_words(matrices, matrix_words));
    *ret = (struct lines){tensor, (size_t)n, 1};
    return OZ_OK;
}

static enum oz_status find_zeros(const struct oz_tensor *zero, const struct oz_tensor *matrices,
                                 bool is_rows, struct lines *ret, struct oz_error *err)
{
    if (!(BYTES >> matrices->dtype & 1))
        return oz_refuse_dtype("its input", (enum oz_dtype)matrices->dtype, BYTES, err);
    if (zero) OZ_TRY(oz_same_dtype(matrices, zero, err));
    return find_lines(zero, matrices, is_rows, "a zero point", ret, err);
}

static enum oz_status find_scales(const struct oz_tensor *scale, const struct oz_tensor *matrices,
                                  bool is_rows, struct lines *ret, struct oz_error *err)
{
    if (scale->dtype != OZ_DTYPE_F32)
        return oz_refuse_dtype("its scale", (enum oz_dtype)scale->dtype, 1u << OZ_DTYPE_F32, err);
    return find_lines(scale, matrices, is_rows, "a scale", ret, err);
}

static int32_t byte_at(const struct oz_tensor *tensor, size_t i)
{
    return tensor->dtype == OZ_DTYPE_U8 ? tensor->u8[i] : tensor->i8[i];
}

static int32_t zero_at(const struct lines *zero, size_t matrix, size_t line)
{
    if (!zero->tensor) return 0;
    return byte_at(zero->tensor, matrix * zero->of_matrix + line * zero->of_line);
}

static float scale_at(const struct lines *scale, size_t matrix, size_t line)
{
    return scale->tensor->f32[matrix * scale->of_matrix + line * scale->of_line];
}

#define ADD_ROW(name, T)                                                                           \
    static void name(const T *restrict b, int32_t by, const int32_t *restrict zero, size_t n,      \
                     uint32_t *restrict sum)                                                       \
    {                                                                                              \
        for (size_t j = 0; j < n; j++) sum[j] += (uint32_t)(by * (b[j] - zero[j]));                \
    }
ADD_ROW(add_row_u8, uint8_t)
ADD_ROW(add_row_i8, int8_t)

/* sum[n] = row `row` of product `at`. zero[n]: those of b's columns. */
static void sum_row(const struct quantized *q, const struct oz_matmul_at *at, size_t row,
                    const int32_t *zero, uint32_t *sum)
{
    const size_t m = q->shape.m, n = q->shape.n, k = q->shape.k;
    const int32_t a_zero = zero_at(&q->a_zero, at->a, row);
    for (size_t j = 0; j < n; j++) sum[j] = 0;
    for (size_t x = 0; x < k; x++) {
        const int32_t by = byte_at(q->a, (at->a * m + row) * k + x) - a_zero;
        const size_t from = (at->b * k + x) * n;
        if (q->b->dtype == OZ_DTYPE_U8)
            add_row_u8(q->b->u8 + from, by, zero, n, sum);
        else
            add_row_i8(q->b->i8 + from, by, zero, n, sum);
    }
}

static void column_zeros(const struct quantized *q, const struct oz_matmul_at *at, int32_t *zero)
{
    for (size_t j = 0; j < q->shape.n; j++) zero[j] = zero_at(&q->b_zero, at->b, j);
}

/* The inputs that both operators have, wherever they stand. */
static enum oz_status read_matrices(const struct oz_exec *exec, const struct oz_node *node,
                                    uint32_t b, uint32_t a_zero, uint32_t b_zero,
                                    struct quantized *ret, struct oz_error *err)
{
    struct quantized q = {.a = oz_exec_in(exec, node, 0), .b = oz_exec_in(exec, node, b)};
    OZ_TRY(oz_matmul_shape(q.a, q.b, &q.shape, err));
    OZ_TRY(find_zeros(oz_exec_in(exec, node, a_zero), q.a, true, &q.a_zero, err));
    OZ_TRY(find_zeros(oz_exec_in(exec, node, b_zero), q.b, false, &q.b_zero, err));
    *ret = q;
    return OZ_OK;
}

static enum oz_status run_matmul_integer(struct oz_exec *exec, const struct oz_node *node,
                                         struct oz_error *err)
{
    struct quantized q = {0};
    struct oz_tensor *y;
    void *zero;
    OZ_TRY(read_matrices(exec, node, 1, 2, 3, &q, err));
    OZ_TRY(oz_exec_out(exec, node, 0, OZ_DTYPE_I32, q.shape.rank, q.shape.dim, &y, err));
    OZ_TRY(oz_exec_scratch(exec, node, q.shape.n * sizeof(int32_t), &zero, err));
    if (!y->data) return OZ_OK;
    struct oz_matmul_at at = {.n_done = 0};
    while (oz_matmul_next(&q.shape, &at)) {
        column_zeros(&q, &at, zero);
        for (size_t row = 0; row < q.shape.m; row++)
            sum_row(&q, &at, row, zero, (uint32_t *)y->i32 + (at.y * q.shape.m + row) * q.shape.n);
    }
    return OZ_OK;
}

/* Sums of one row become bytes of the output's scale and zero point. */
static void round_row(const struct quantized *q, const struct oz_matmul_at *at, size_t row,
                      const uint32_t *sum, float y_scale, int32_t y_zero, struct oz_tensor *y)
{
    const size_t n = q->shape.n, to = (at->y * q->shape.m + row) * n;
    const bool is_signed = y->dtype == OZ_DTYPE_I8;
    const float least = is_signed ? INT8_MIN : 0, most = is_signed ? INT8_MAX : UINT8_MAX;
    const float a_scale = scale_at(&q->a_scale, at->a, row);
    for (size_t j = 0; j < n; j++) {
        float by = a_scale * scale_at(&q->b_scale, at->b, j) / y_scale;
        float v = oz_round_even_f32((float)(int32_t)sum[j] * by) + (float)y_zero;
        v = v >= least ? v : least; /* also of a NaN */
        v = v > most ? most : v;
        if (is_signed)
            y->i8[to + j] = (int8_t)v;
        else
            y->u8[to + j] = (uint8_t)v;
    }
}

static enum oz_status run_qlinear(struct oz_exec *exec, const struct oz_node *node,
                                  struct oz_error *err)
{
    enum { A_SCALE = 1, A_ZERO, B, B_SCALE, B_ZERO, Y_SCALE, Y_ZERO };
    const struct oz_tensor *scale = oz_exec_in(exec, node, Y_SCALE);
    const struct oz_tensor *y_zero = oz_exec_in(exec, node, Y_ZERO);
    struct quantized q = {0};
    struct oz_tensor *y;
    void *zero, *sum;
    OZ_TRY(read_matrices(exec, node, B, A_ZERO, B_ZERO, &q, err));
    OZ_TRY(find_scales(oz_exec_in(exec, node, A_SCALE), q.a, true, &q.a_scale, err));
    OZ_TRY(find_scales(oz_exec_in(exec, node, B_SCALE), q.b, false, &q.b_scale, err));
    if (!(BYTES >> y_zero->dtype & 1))
        return oz_refuse_dtype("its output", (enum oz_dtype)y_zero->dtype, BYTES, err);
    if (scale->dtype != OZ_DTYPE_F32)
        return oz_refuse_dtype("its scale", (enum oz_dtype)scale->dtype, 1u << OZ_DTYPE_F32, err);
    if (scale->n != 1 || y_zero->n != 1)
        OZ_FAIL(err, OZ_MODEL, "its output has %lld scales and %lld zero points, served is one",
                (long long)scale->n, (long long)y_zero->n);
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)y_zero->dtype, q.shape.rank, q.shape.dim, &y,
                       err));
    OZ_TRY(oz_exec_scratch(exec, node, q.shape.n * sizeof(int32_t), &zero, err));
    OZ_TRY(oz_exec_scratch(exec, node, q.shape.n * sizeof(uint32_t), &sum, err));
    if (!y->data) return OZ_OK;
    struct oz_matmul_at at = {.n_done = 0};
    while (oz_matmul_next(&q.shape, &at)) {
        column_zeros(&q, &at, zero);
        for (size_t row = 0; row < q.shape.m; row++) {
            sum_row(&q, &at, row, zero, sum);
            round_row(&q, &at, row, sum, scale->f32[0], byte_at(y_zero, 0), y);
        }
    }
    return OZ_OK;
}

const struct oz_op oz_ops_quantized_product[] = {
    {"MatMulInteger", OZ_DOMAIN_ONNX, 10, 2, 4, 1, 1, NULL, NULL, run_matmul_integer},
    {"QLinearMatMul", OZ_DOMAIN_ONNX, 10, 8, 8, 1, 1, NULL, NULL, run_qlinear},
    {.name = NULL},
};
