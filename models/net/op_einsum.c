/* Einsum, for float, double, int32 and int64, with any equation.
 *
 * The inputs are taken in from the left, two at a time. For two operands each label is one of:
 *
 *     batch   in both, and needed later           rows     only in the left one, needed later
 *     inner   in both, not needed any more        columns  only in the right one, needed later
 *     gone    in one alone, not needed any more
 *
 * The left one is copied to [batch][rows][inner] and the right one to [batch][inner][columns], sums
 * over what is gone are taken while copying, and then it is one product of matrices per batch. So
 * no equation costs more than its products, and every sum runs in one order. */
#include "models/net/op_tables.h"
#include <string.h>
#include "models/net/einsum_equation.h"
#include "models/net/elementwise.h"
#include "models/net/matrix_product.h"

/* Numbers with labels instead of axes: element [index of each label] is at the sum of index *
 * stride. A label that it has not does not move it. */
struct operand {
    const void *data;
    uint64_t has; /* bit per label */
    int64_t stride[OZ_EINSUM_LABELS];
};

struct einsum {
    struct oz_exec *exec;
    const struct oz_node *node;
    enum oz_dtype dtype;
    int64_t dim[OZ_EINSUM_LABELS];        /* of each label, over all inputs */
    uint64_t later[OZ_EINSUM_INPUTS_MAX]; /* labels of inputs behind this one, and of the output */
    uint64_t in_output;
    size_t output_rank;
    uint8_t output[OZ_RANK_MAX]; /* its labels */
};

/* A list of labels, outermost first. */
struct labels {
    size_t n;
    uint8_t label[OZ_EINSUM_LABELS];
};

static enum oz_status compile(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct oz_einsum_equation *equation = oz_node_state(net, node, sizeof *equation);
    if (!equation) OZ_FAIL(err, OZ_NO_MEMORY, "out of memory");
    const struct oz_attribute *text = NULL;
    OZ_TRY(oz_attr_find(node, "equation", OZ_ATTRIBUTE_STRING, &text, err));
    if (!text) OZ_FAIL(err, OZ_MODEL, "it has no equation");
    OZ_TRY(oz_einsum_read(text->s, equation, err));
    if (equation->n_inputs != node->n_inputs)
        OZ_FAIL(err, OZ_MODEL, "its equation has %zu inputs, the node has %u", equation->n_inputs,
                node->n_inputs);
    return OZ_OK;
}

/* Labels of `set`: those of the output in its order, then the others. */
static void list_labels(const struct einsum *e, uint64_t set, struct labels *to)
{
    for (size_t i = 0; i < e->output_rank; i++)
        if (set >> e->output[i] & 1) to->label[to->n++] = e->output[i];
    for (uint8_t label = 0; label < OZ_EINSUM_LABELS; label++)
        if ((set & ~e->in_output) >> label & 1) to->label[to->n++] = label;
}

static uint64_t set_of(const struct labels *labels)
{
    uint64_t set = 0;
    for (size_t i = 0; i < labels->n; i++) set |= UINT64_C(1) << labels->label[i];
    return set;
}

/* Elements over all indices of these labels. */
static enum oz_status count(const struct einsum *e, uint64_t set, size_t *ret_n,
                            struct oz_error *err)
{
    int64_t n = 1;
    bool is_empty = false;
    for (size_t label = 0; label < OZ_EINSUM_LABELS; label++) {
        if (!(set >> label & 1)) continue;
        is_empty = is_empty || e->dim[label] == 0;
        if (e->dim[label] && n > OZ_TENSOR_ELEMENTS_MAX / e->dim[label])
            OZ_FAIL(err, OZ_MODEL, "an intermediate result has more than %lld elements",
                    (long long)OZ_TENSOR_ELEMENTS_MAX);
        if (e->dim[label]) n *= e->dim[label];
    }
    *ret_n = is_empty ? 0 : (size_t)n;
    return OZ_OK;
}

/* The next index of these labels, the last one fastest; NULL: back at the first. */
static inline const void *step(const void *data, size_t n_bytes, const struct einsum *e,
                               const struct operand *from, const struct labels *labels,
                               int64_t at[OZ_EINSUM_LABELS])
{
    const char *to = data;
    for (size_t i = labels->n; i-- > 0;) {
        size_t label = labels->label[i];
        int64_t stride = from->stride[label] * (int64_t)n_bytes;
        if (++at[label] < e->dim[label]) return to + stride;
        to -= stride * (e->dim[label] - 1);
        at[label] = 0;
    }
    return NULL;
}

/* to[outer] = sum over `gone` of from. None of these labels is empty. */
#define GATHER(name, T)                                                                            \
    static void name(const struct einsum *e, const struct operand *from,                           \
                     const struct labels *outer, const struct labels *gone, void *to_)             \
    {                                                                                              \
        int64_t at[OZ_EINSUM_LABELS] = {0}, inner[OZ_EINSUM_LABELS] = {0};                         \
        const T *data = from->data;                                                                \
        T *to = to_;                                                                               \
        do {                                                                                       \
            const T *x = data;                                                                     \
            T sum = *x;                                                                            \
            while ((x = step(x, sizeof *x, e, from, gone, inner))) sum += *x;                      \
            *to++ = sum;                                                                           \
        } while ((data = step(data, sizeof *data, e, from, outer, at)));                           \
    }
GATHER(gather_f32, float)
GATHER(gather_f64, double)
GATHER(gather_i32, uint32_t)
GATHER(gather_i64, uint64_t)

/* The labels `outer` of an operand in that order, one element after the other; sums over its other
 * labels. */
static enum oz_status gather(const struct einsum *e, const struct operand *from,
                             const struct labels *outer, void *to, struct oz_error *err)
{
    struct labels gone = {0};
    size_t n = 0, n_gone = 0;
    list_labels(e, from->has & ~set_of(outer), &gone);
    OZ_TRY(count(e, set_of(outer), &n, err));
    OZ_TRY(count(e, set_of(&gone), &n_gone, err));
    if (!n || !n_gone) {
        memset(to, 0, n * oz_dtype_bytes(e->dtype));
        return OZ_OK;
    }
    switch (e->dtype) {
    case OZ_DTYPE_F32: gather_f32(e, from, outer, &gone, to); break;
    case OZ_DTYPE_F64: gather_f64(e, from, outer, &gone, to); break;
    case OZ_DTYPE_I32: gather_i32(e, from, outer, &gone, to); break;
    default: gather_i64(e, from, outer, &gone, to);
    }
    return OZ_OK;
}

/* Whether `from` lies in this order already, with nothing else. */
static bool is_in_order(const struct einsum *e, const struct operand *from,
                        const struct labels *outer)
{
    int64_t stride = 1;
    bool is = from->has == set_of(outer);
    for (size_t i = outer->n; is && i-- > 0;) {
        size_t label = outer->label[i];
        is = e->dim[label] == 1 || from->stride[label] == stride;
        if (e->dim[label]) stride *= e->dim[label];
    }
    return is;
}

/* The same without copying where it lies so already. *ret_data is NULL while planning. */
static enum oz_status ordered(const struct einsum *e, const struct operand *from,
                              const struct labels *outer, const void **ret_data,
                              struct oz_error *err)
{
    size_t n = 0;
    void *memory = NULL;
    *ret_data = from->data;
    OZ_TRY(count(e, set_of(outer), &n, err));
    OZ_TRY(oz_exec_scratch(e->exec, e->node, n * oz_dtype_bytes(e->dtype), &memory, err));
    if (!memory || !from->data) *ret_data = NULL;
    if (!*ret_data || is_in_order(e, from, outer)) return OZ_OK;
    *ret_data = memory;
    return gather(e, from, outer, memory, err);
}

/* y[i] = a[i] * b[i] */
static void multiply(enum oz_dtype dtype, size_t n, const void *a, const void *b, void *y)
{
#define MULTIPLY(T)                                                                                \
    for (size_t i = 0; i < n; i++) ((T *)y)[i] = ((const T *)a)[i] * ((const T *)b)[i]
    switch (dtype) {
    case OZ_DTYPE_F32: MULTIPLY(float); break;
    case OZ_DTYPE_F64: MULTIPLY(double); break;
    case OZ_DTYPE_I32: MULTIPLY(uint32_t); break;
    default: MULTIPLY(uint64_t);
    }
#undef MULTIPLY
}

/* What the labels of two operands are to each other. */
struct pair {
    uint64_t batch, rows, columns, inner;
    size_t n_batch, m, n, k;
};

static enum oz_status find_pair(const struct einsum *e, uint64_t left, uint64_t right,
                                uint64_t later, struct pair *ret, struct oz_error *err)
{
    struct pair p = {.batch = left & right & later,
                     .rows = left & ~right & later,
                     .columns = right & ~left & later,
                     .inner = left & right & ~later};
    OZ_TRY(count(e, p.batch, &p.n_batch, err));
    OZ_TRY(count(e, p.rows, &p.m, err));
    OZ_TRY(count(e, p.columns, &p.n, err));
    OZ_TRY(count(e, p.inner, &p.k, err));
    *ret = p;
    return OZ_OK;
}

/* *left becomes its product with `right`, of the labels that are needed later: in `to`, where that
 * is the output and in its order, else in memory of its own. */
static enum oz_status take_in(const struct einsum *e, struct operand *left,
                              const struct operand *right, uint64_t later, void *to,
                              struct oz_error *err)
{
    struct pair p = {0};
    struct labels a_labels = {0}, b_labels = {0}, y_labels = {0};
    const size_t bytes = oz_dtype_bytes(e->dtype);
    size_t n_y = 0;
    const void *a = NULL, *b = NULL;
    void *memory = NULL;
    OZ_TRY(find_pair(e, left->has, right->has, later, &p, err));
    OZ_TRY(count(e, p.batch | p.rows | p.columns, &n_y, err));
    list_labels(e, p.batch, &a_labels);
    list_labels(e, p.rows, &a_labels);
    list_labels(e, p.inner, &a_labels);
    list_labels(e, p.batch, &b_labels);
    list_labels(e, p.inner, &b_labels);
    list_labels(e, p.columns, &b_labels);
    list_labels(e, p.batch, &y_labels);
    list_labels(e, p.rows, &y_labels);
    list_labels(e, p.columns, &y_labels);
    OZ_TRY(ordered(e, left, &a_labels, &a, err));
    OZ_TRY(ordered(e, right, &b_labels, &b, err));
    OZ_TRY(oz_exec_scratch(e->exec, e->node, n_y * bytes, &memory, err));
    struct operand y = {.has = set_of(&y_labels)};
    int64_t stride = 1;
    for (size_t i = y_labels.n; i-- > 0;) {
        y.stride[y_labels.label[i]] = stride;
        if (e->dim[y_labels.label[i]]) stride *= e->dim[y_labels.label[i]];
    }
    *left = y;
    if (!a || !b || !memory) return OZ_OK;
    bool is_output =
        y_labels.n == e->output_rank && memcmp(y_labels.label, e->output, e->output_rank) == 0;
    left->data = memory = is_output && to ? to : memory;
    if (p.m == 1 && p.n == 1 && p.k == 1)
        multiply(e->dtype, p.n_batch, a, b, memory);
    else
        for (size_t i = 0; i < p.n_batch; i++)
            oz_matrix_product(e->dtype, p.m, p.n, p.k, (const char *)a + i * p.m * p.k * bytes,
                              (const char *)b + i * p.k * p.n * bytes,
                              (char *)memory + i * p.m * p.n * bytes);
    return OZ_OK;
}

/* Which labels an input has, and how far each moves it. A dimension of 1 that is stretched does not
 * move it, so it does not have that label. */
static enum oz_status read_operand(const struct einsum *e, uint32_t i,
                                   const uint8_t label[OZ_RANK_MAX], struct operand *ret,
                                   struct oz_error *err)
{
    const struct oz_tensor *in = oz_exec_in(e->exec, e->node, i);
    struct operand operand = {.data = in->data};
    char words[OZ_TENSOR_WORDS_BYTES];
    int64_t stride = 1;
    for (size_t d = in->rank; d-- > 0;) {
        size_t l = label[d];
        bool is_twice = false;
        for (size_t other = 0; other < in->rank; other++)
            is_twice = is_twice || (other != d && label[other] == l);
        if (in->dim[d] != e->dim[l] && (in->dim[d] != 1 || is_twice))
            OZ_FAIL(err, OZ_MODEL, "axis %zu of its input %u, %s, is not %lld as elsewhere", d, i,
                    oz_tensor_words(in, words), (long long)e->dim[l]);
        if (in->dim[d] == e->dim[l]) {
            operand.has |= UINT64_C(1) << l;
            operand.stride[l] += stride;
        }
        if (in->dim[d]) stride *= in->dim[d];
    }
    *ret = operand;
    return OZ_OK;
}

/* The dimension of every label, then the operands. */
static enum oz_status read_inputs(struct einsum *e, const struct oz_einsum_equation *equation,
                                  struct operand operand[OZ_EINSUM_INPUTS_MAX],
                                  struct oz_error *err)
{
    uint8_t label[OZ_EINSUM_INPUTS_MAX][OZ_RANK_MAX];
    for (size_t l = 0; l < OZ_EINSUM_LABELS; l++) e->dim[l] = 1;
    for (uint32_t i = 0; i < equation->n_inputs; i++) {
        const struct oz_tensor *in = oz_exec_in(e->exec, e->node, i);
        OZ_TRY(oz_same_dtype(oz_exec_in(e->exec, e->node, 0), in, err));
        OZ_TRY(oz_einsum_labels(&equation->input[i], in->rank, label[i], err));
        for (size_t d = 0; d < in->rank; d++)
            if (e->dim[label[i][d]] == 1) e->dim[label[i][d]] = in->dim[d];
    }
    for (uint32_t i = 0; i < equation->n_inputs; i++) {
        OZ_TRY(read_operand(e, i, label[i], &operand[i], err));
        for (uint32_t before = 0; before < i; before++) e->later[before] |= operand[i].has;
    }
    return OZ_OK;
}

/* The axes of "..." in the output are as many as the most of any input. */
static enum oz_status read_output(struct einsum *e, const struct oz_einsum_equation *equation,
                                  int64_t dim[OZ_RANK_MAX], struct oz_error *err)
{
    size_t n_more = 0;
    for (uint32_t i = 0; i < equation->n_inputs; i++) {
        size_t rank = oz_exec_in(e->exec, e->node, i)->rank;
        if (equation->input[i].ellipsis != OZ_EINSUM_NONE)
            n_more = OZ_MAX(n_more, rank - equation->input[i].n);
    }
    e->output_rank = equation->output.n + n_more;
    if (e->output_rank > OZ_RANK_MAX)
        OZ_FAIL(err, OZ_MODEL, "its output has %zu axes, more than %d", e->output_rank,
                OZ_RANK_MAX);
    OZ_TRY(oz_einsum_labels(&equation->output, e->output_rank, e->output, err));
    for (size_t d = 0; d < e->output_rank; d++) {
        dim[d] = e->dim[e->output[d]];
        e->in_output |= UINT64_C(1) << e->output[d];
    }
    for (size_t i = 0; i < OZ_EINSUM_INPUTS_MAX; i++) e->later[i] |= e->in_output;
    return OZ_OK;
}

static enum oz_status run(struct oz_exec *exec, const struct oz_node *node, struct oz_error *err)
{
    const struct oz_einsum_equation *equation = node->state;
    struct einsum e = {.exec = exec, .node = node};
    struct operand operand[OZ_EINSUM_INPUTS_MAX];
    int64_t dim[OZ_RANK_MAX];
    struct oz_tensor *y;
    e.dtype = (enum oz_dtype)oz_exec_in(exec, node, 0)->dtype;
    if (!(OZ_PRODUCT_DTYPES >> e.dtype & 1))
        return oz_refuse_dtype("its input", e.dtype, OZ_PRODUCT_DTYPES, err);
    OZ_TRY(read_inputs(&e, equation, operand, err));
    OZ_TRY(read_output(&e, equation, dim, err));
    OZ_TRY(oz_exec_out(exec, node, 0, e.dtype, e.output_rank, dim, &y, err));
    for (size_t i = 1; i < equation->n_inputs; i++) {
        void *to = i + 1 == equation->n_inputs ? y->data : NULL;
        OZ_TRY(take_in(&e, &operand[0], &operand[i], e.later[i], to, err));
    }
    if (!y->data || operand[0].data == y->data) return OZ_OK;
    struct labels output = {.n = e.output_rank};
    memcpy(output.label, e.output, e.output_rank);
    return gather(&e, &operand[0], &output, y->data, err);
}

const struct oz_op oz_ops_einsum[] = {
    {"Einsum", OZ_DOMAIN_ONNX, 12, 1, OZ_EINSUM_INPUTS_MAX, 1, 1, compile, NULL, run},
    {.name = NULL},
};
