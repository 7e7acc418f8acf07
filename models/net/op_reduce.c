/* Reduce*: one body for all of them and all their forms.
 *
 * Neighbouring dimensions that are both reduced or both kept are one. Then either the innermost is
 * reduced, and an output is made of runs of memory; or it is kept, and neighbouring outputs are made
 * side by side. Up to BLOCK outputs are made at once. Which of the two depends on the axes alone, not on sizes, and in each the
 * elements of one output join in one fixed order: so an output's bits do not depend on the batch.
 * Sums of floats are added in double, those of integers in 64 bits that wrap around, then in the
 * type. Of nothing: a sum is 0, a product 1, a mean NaN (of integers 0), a maximum -infinity or the
 * type's lowest, a minimum the other end. Maxima and minima with a NaN are NaN. */
#include "models/net/op_tables.h"
#include <float.h>
#include <math.h>
#include "models/net/elementwise.h"
#include "models/net/number_cast.h"

enum { BLOCK = 64, LANES = OZ_LANES };

/* Room for one output while it is made. */
union part {
    double f64;
    float f32;
    int64_t i64;
    uint64_t u64;
    int32_t i32;
    uint8_t u8;
    int8_t i8;
};

/* part[0, n) = of nothing. `part` is an array of the kernel's own type. */
typedef void begin_kernel(void *part, int64_t n);
/* Side by side: part[j] joins from[j]. Else part[j] joins `run` elements, from[j * run] and so on.
 * `shift` is what LogSumExp subtracts, one for every part. */
typedef void join_kernel(void *part, const void *from, int64_t n, int64_t run, bool side_by_side,
                         const double *shift);
/* to[0, n), where `count` elements joined to each part. */
typedef void end_kernel(void *to, const void *part, int64_t n, double count, const double *shift);

/* `P` parts of `T` elements: `nothing`, what `map` makes of x, and how a and b `join`. */
#define JOIN(name, T, P, nothing, map, join)                                                       \
    static inline P name##_pair(P a, P b) { return join; }                                         \
    static void name##_begin(void *part_, int64_t n)                                               \
    {                                                                                              \
        P *part = part_;                                                                           \
        for (int64_t j = 0; j < n; j++) part[j] = (nothing);                                       \
    }                                                                                              \
    static inline P name##_row(const T *from, int64_t n)                                           \
    {                                                                                              \
        P lane[LANES], short_row = (nothing);                                                      \
        int64_t i = 0;                                                                             \
        if (n < LANES) {                                                                           \
            for (; i < n; i++) {                                                                   \
                const T x = from[i];                                                               \
                short_row = name##_pair(short_row, (P)(map));                                      \
            }                                                                                      \
            return short_row;                                                                      \
        }                                                                                          \
        for (int k = 0; k < LANES; k++) lane[k] = (nothing);                                       \
        for (; i + LANES <= n; i += LANES) {                                                       \
            OZ_EACH_LANE (k) {                                                                     \
                const T x = from[i + k];                                                           \
                lane[k] = name##_pair(lane[k], (P)(map));                                          \
            }                                                                                      \
        }                                                                                          \
        for (; i < n; i++) {                                                                       \
            const T x = from[i];                                                                   \
            lane[i % LANES] = name##_pair(lane[i % LANES], (P)(map));                              \
        }                                                                                          \
        for (int k = LANES / 2; k > 0; k /= 2)                                                     \
            for (int j = 0; j < k; j++) lane[j] = name##_pair(lane[j], lane[j + k]);               \
        return lane[0];                                                                            \
    }                                                                                              \
    static void name##_join(void *part_, const void *from_, int64_t n, int64_t run,                \
                            bool side_by_side, const double *shift)                                \
    {                                                                                              \
        (void)shift;                                                                               \
        P *part = part_;                                                                           \
        const T *from = from_;                                                                     \
        if (side_by_side) {                                                                        \
            OZ_EACH (j, n) {                                                                       \
                const T x = from[j];                                                               \
                part[j] = name##_pair(part[j], (P)(map));                                          \
            }                                                                                      \
        } else {                                                                                   \
            for (int64_t j = 0; j < n; j++)                                                        \
                part[j] = name##_pair(part[j], name##_row(from + j * run, run));                   \
        }                                                                                          \
    }

/* name, type */
#define FLOATS(X)   X(f32, float) X(f64, double)
#define INTEGERS(X) X(i32, int32_t) X(i64, int64_t)

#define X(name, T)                                                                                 \
    JOIN(sum_##name, T, double, 0, x, a + b)                                                       \
    JOIN(l1_##name, T, double, 0, fabs((double)x), a + b)                                          \
    JOIN(square_##name, T, double, 0, (double)x *(double)x, a + b)                                 \
    JOIN(product_##name, T, double, 1, x, a *b)                                                    \
    JOIN(max_##name, T, T, -(T)INFINITY, x, ((b > a) | (b != b)) ? b : a)                          \
    JOIN(min_##name, T, T, (T)INFINITY, x, ((b < a) | (b != b)) ? b : a)
FLOATS(X)
#undef X

#define X(name, T)                                                                                 \
    JOIN(sum_##name, T, uint64_t, 0, (uint64_t)x, a + b)                                           \
    JOIN(l1_##name, T, uint64_t, 0, x < 0 ? 0 - (uint64_t)x : (uint64_t)x, a + b)                  \
    JOIN(square_##name, T, uint64_t, 0, (uint64_t)x *(uint64_t)x, a + b)                           \
    JOIN(product_##name, T, uint64_t, 1, (uint64_t)x, a *b)
INTEGERS(X)
#undef X

#define EXTREMES(name, T, lowest, highest)                                                         \
    JOIN(max_##name, T, T, lowest, x, a > b ? a : b)                                               \
    JOIN(min_##name, T, T, highest, x, a < b ? a : b)
EXTREMES(i32, int32_t, INT32_MIN, INT32_MAX)
EXTREMES(i64, int64_t, INT64_MIN, INT64_MAX)
EXTREMES(u8, uint8_t, 0, UINT8_MAX)
EXTREMES(i8, int8_t, INT8_MIN, INT8_MAX)
EXTREMES(bool, uint8_t, 0, 1)

/* What LogSumExp subtracts: the maximum, so that no exponential overflows. */
#define X(name, T) JOIN(top_##name, T, double, -(double)INFINITY, x, a > b ? a : b)
FLOATS(X)
INTEGERS(X)
#undef X

#define X(name, T)                                                                                 \
    static void exps_##name##_join(void *part_, const void *from_, int64_t n, int64_t run,         \
                                   bool side_by_side, const double *shift)                         \
    {                                                                                              \
        double *part = part_;                                                                      \
        const T *from = from_;                                                                     \
        const int64_t each = side_by_side ? 1 : run;                                               \
        for (int64_t j = 0; j < n; j++)                                                            \
            for (int64_t i = j * each; i < (j + 1) * each; i++)                                    \
                part[j] += exp((double)from[i] - shift[j]);                                        \
    }
FLOATS(X)
INTEGERS(X)
#undef X

/* ---- ends ---- */

#define END(name, T, P, expression)                                                                \
    static void name(void *to_, const void *part_, int64_t n, double count, const double *shift)   \
    {                                                                                              \
        (void)count;                                                                               \
        (void)shift;                                                                               \
        T *to = to_;                                                                               \
        const P *part = part_;                                                                     \
        for (int64_t j = 0; j < n; j++) {                                                          \
            const P p = part[j];                                                                   \
            to[j] = (T)(expression);                                                               \
        }                                                                                          \
    }
#define X(name, T)                                                                                 \
    END(end_##name, T, double, p)                                                                  \
    END(end_mean_##name, T, double, p / count)                                                     \
    END(end_root_##name, T, double, sqrt(p))                                                       \
    END(end_log_##name, T, double, log(p))                                                         \
    END(end_exps_##name, T, double, log(p) + shift[j])                                             \
    END(end_extreme_##name, T, T, p)
FLOATS(X)
#undef X

#define X(name, T)                                                                                 \
    END(end_##name, T, uint64_t, p)                                                                \
    END(end_mean_##name, T, uint64_t, count > 0 ? (int64_t)p / (int64_t)count : 0)                 \
    END(end_root_##name, T, uint64_t, oz_##name##_of_f64(sqrt((double)p)))                         \
    END(end_log_##name, T, uint64_t, oz_##name##_of_f64(log((double)(int64_t)p)))                  \
    END(end_exps_##name, T, double, oz_##name##_of_f64(log(p) + shift[j]))                         \
    END(end_extreme_##name, T, T, p)
INTEGERS(X)
#undef X
END(end_extreme_u8, uint8_t, uint8_t, p)
END(end_extreme_i8, int8_t, int8_t, p)

/* ---- the operators' tables ---- */

struct reduction {
    begin_kernel *begin;
    join_kernel *join;
    end_kernel *end;
    begin_kernel *begin_top; /* these two: LogSumExp's, which looks for the maximum first */
    join_kernel *top;
};

#define OF(NAME, name, how, ending)                                                                \
    [OZ_DTYPE_##NAME] = {how##_##name##_begin, how##_##name##_join, ending##_##name, NULL, NULL}
#define FOUR(how, ending)                                                                          \
    OF(F32, f32, how, ending), OF(F64, f64, how, ending), OF(I32, i32, how, ending),               \
        OF(I64, i64, how, ending)
#define EXPS(NAME, name)                                                                           \
    [OZ_DTYPE_##NAME] = {sum_f64_begin, exps_##name##_join, end_exps_##name, top_##name##_begin,   \
                         top_##name##_join}

typedef const struct reduction reductions[OZ_DTYPE_COUNT];
static reductions sum = {FOUR(sum, end)};
static reductions mean = {FOUR(sum, end_mean)};
static reductions product = {FOUR(product, end)};
static reductions l1 = {FOUR(l1, end)};
static reductions l2 = {FOUR(square, end_root)};
static reductions sum_square = {FOUR(square, end)};
static reductions log_sum = {FOUR(sum, end_log)};
static reductions log_sum_exp = {EXPS(F32, f32), EXPS(F64, f64), EXPS(I32, i32), EXPS(I64, i64)};
static reductions max = {
    FOUR(max, end_extreme),
    OF(U8, u8, max, end_extreme),
    OF(I8, i8, max, end_extreme),
    [OZ_DTYPE_BOOL] = {max_bool_begin, max_bool_join, end_extreme_u8, NULL, NULL},
};
static reductions min = {
    FOUR(min, end_extreme),
    OF(U8, u8, min, end_extreme),
    OF(I8, i8, min, end_extreme),
    [OZ_DTYPE_BOOL] = {min_bool_begin, min_bool_join, end_extreme_u8, NULL, NULL},
};

/* ---- the walk ---- */

/* Some dimensions of the input, gone through like an odometer. */
struct dims {
    size_t n;
    int64_t size[OZ_RANK_MAX], stride[OZ_RANK_MAX]; /* outermost first */
};

struct reduce_walk {
    struct dims kept, reduced; /* but the innermost dimension, and the kept one around it */
    int64_t run;               /* what lies together of one output; 1 when they are side by side */
    int64_t outputs;           /* neighbours, whose runs follow each other */
    bool side_by_side;         /* the innermost dimension is kept */
};

static void make_walk(const struct oz_tensor *in, const bool is_reduced[OZ_RANK_MAX],
                      struct reduce_walk *walk)
{
    *walk = (struct reduce_walk){.run = 1, .outputs = 1, .side_by_side = true};
    size_t d = in->rank;
    if (d) walk->side_by_side = !is_reduced[d - 1];
    while (d && is_reduced[d - 1]) walk->run *= in->dim[--d];
    while (d && !is_reduced[d - 1]) walk->outputs *= in->dim[--d];
    /* The rest from the outermost on; a neighbour of the same kind goes into the one before. */
    for (size_t k = 0; k < d; k++) {
        struct dims *to = is_reduced[k] ? &walk->reduced : &walk->kept;
        bool merges = k && is_reduced[k] == is_reduced[k - 1];
        if (!merges) to->size[to->n++] = 1;
        to->size[to->n - 1] *= in->dim[k];
        to->stride[to->n - 1] = oz_tensor_count(in, k + 1, in->rank);
    }
}

static bool next(const struct dims *dims, int64_t index[OZ_RANK_MAX], int64_t *offset)
{
    for (size_t d = dims->n; d-- > 0;) {
        *offset += dims->stride[d];
        if (++index[d] < dims->size[d]) return true;
        *offset -= dims->stride[d] * dims->size[d];
        index[d] = 0;
    }
    return false;
}

struct reduce_job {
    const struct reduction *reduction;
    struct reduce_walk walk;
    size_t bytes; /* of an element */
    double count; /* elements that join to one output */
};

/* Everything that is reduced, joined to n neighbouring parts. */
static void join_all(const struct reduce_job *job, join_kernel *join, void *part, const char *from,
                     int64_t n, const double *shift)
{
    const struct reduce_walk *walk = &job->walk;
    int64_t index[OZ_RANK_MAX] = {0}, offset = 0;
    if (!(job->count > 0)) return;
    do {
        join(part, from + (size_t)offset * job->bytes, n, walk->run, walk->side_by_side, shift);
    } while (next(&walk->reduced, index, &offset));
}

/* Makes n neighbouring outputs of what begins at `from`. */
static void reduce_some(const struct reduce_job *job, const char *from, int64_t n, char *to)
{
    const struct reduction *reduction = job->reduction;
    union part part[BLOCK];
    double shift[BLOCK];
    if (reduction->top) {
        reduction->begin_top(shift, n);
        join_all(job, reduction->top, shift, from, n, NULL);
        /* An infinity stays one without being subtracted. */
        for (int64_t j = 0; j < n; j++)
            if (isinf(shift[j])) shift[j] = 0;
    }
    reduction->begin(part, n);
    join_all(job, reduction->join, part, from, n, shift);
    reduction->end(to, part, n, job->count, shift);
}

static void reduce_all(const struct reduce_job *job, const struct oz_tensor *in,
                       struct oz_tensor *out)
{
    const struct reduce_walk *walk = &job->walk;
    const char *from = in->data;
    char *to = out->data;
    int64_t index[OZ_RANK_MAX] = {0}, offset = 0;
    do {
        for (int64_t j = 0; j < walk->outputs; j += BLOCK) {
            const int64_t n = OZ_MIN(walk->outputs - j, (int64_t)BLOCK);
            reduce_some(job, from + (size_t)(offset + j * walk->run) * job->bytes, n, to);
            to += (size_t)n * job->bytes;
        }
    } while (next(&walk->kept, index, &offset));
}

/* ---- compile and run ---- */

struct reduce_state {
    bool keeps_dims, is_idle_without_axes, axes_are_input;
    const int64_t *axes; /* of the attribute */
    size_t n_axes;
};

/* `since`: from this opset on the axes are an input. */
static enum oz_status compile_reduce(struct oz_net *net, struct oz_node *node, uint32_t since,
                                     struct oz_error *err)
{
    struct reduce_state *state = oz_node_state(net, node, sizeof(*state));
    if (!state) OZ_FAIL(err, OZ_NO_MEMORY, "out of memory");
    OZ_TRY(oz_attr_bool(node, "keepdims", true, &state->keeps_dims, err));
    state->axes_are_input = node->opset >= since;
    if (state->axes_are_input)
        return oz_attr_bool(node, "noop_with_empty_axes", false, &state->is_idle_without_axes, err);
    if (node->n_inputs != 1)
        OZ_FAIL(err, OZ_MODEL, "%u inputs, before opset %u there is one", node->n_inputs, since);
    return oz_attr_ints(node, "axes", &state->axes, &state->n_axes, err);
}

static enum oz_status compile_reduce_sum(struct oz_net *net, struct oz_node *node,
                                         struct oz_error *err)
{
    return compile_reduce(net, node, 13, err);
}

static enum oz_status compile_reduce_other(struct oz_net *net, struct oz_node *node,
                                           struct oz_error *err)
{
    return compile_reduce(net, node, 18, err);
}

static enum oz_status find_axes(struct oz_exec *exec, const struct oz_node *node, size_t rank,
                                bool is_reduced[OZ_RANK_MAX], struct oz_error *err)
{
    const struct reduce_state *state = node->state;
    const struct oz_tensor *axes = NULL;
    if (state->axes_are_input)
        OZ_TRY(oz_exec_in_known(exec, node, 1, "the list of axes", &axes, err));
    if (axes && (axes->rank > 1 || axes->dtype != OZ_DTYPE_I64)) {
        char words[OZ_TENSOR_WORDS_BYTES];
        OZ_FAIL(err, OZ_MODEL, "its axes are %s, they must be a list of int64",
                oz_tensor_words(axes, words));
    }
    const int64_t n_axes = axes ? axes->n : (int64_t)state->n_axes;
    for (size_t d = 0; d < OZ_RANK_MAX; d++)
        is_reduced[d] = d < rank && !n_axes && !state->is_idle_without_axes;
    for (int64_t i = 0; i < n_axes; i++) {
        size_t axis;
        OZ_TRY(oz_axis(axes ? axes->i64[i] : state->axes[i], rank, &axis, err));
        is_reduced[axis] = true;
    }
    return OZ_OK;
}

static enum oz_status run_reduce(struct oz_exec *exec, const struct oz_node *node,
                                 const struct reduction reduction[OZ_DTYPE_COUNT],
                                 struct oz_error *err)
{
    const struct reduce_state *state = node->state;
    const struct oz_tensor *in = oz_exec_in(exec, node, 0);
    if (!reduction[in->dtype].join) {
        uint32_t served = 0;
        for (int t = 0; t < OZ_DTYPE_COUNT; t++)
            served |= (uint32_t)(reduction[t].join != NULL) << t;
        return oz_refuse_dtype("its input", (enum oz_dtype)in->dtype, served, err);
    }
    bool is_reduced[OZ_RANK_MAX];
    OZ_TRY(find_axes(exec, node, in->rank, is_reduced, err));
    size_t rank = 0;
    int64_t dim[OZ_RANK_MAX];
    for (size_t d = 0; d < in->rank; d++)
        if (!is_reduced[d] || state->keeps_dims) dim[rank++] = is_reduced[d] ? 1 : in->dim[d];
    struct oz_tensor *out;
    OZ_TRY(oz_exec_out(exec, node, 0, (enum oz_dtype)in->dtype, rank, dim, &out, err));
    if (!out->data || !out->n) return OZ_OK;
    struct reduce_job job = {
        .reduction = &reduction[in->dtype],
        .bytes = oz_dtype_bytes((enum oz_dtype)in->dtype),
        .count = (double)(in->n / out->n),
    };
    if (in->n)
        make_walk(in, is_reduced, &job.walk);
    else
        job.walk = (struct reduce_walk){.run = 0, .outputs = out->n};
    reduce_all(&job, in, out);
    return OZ_OK;
}

#define RUN(name)                                                                                  \
    static enum oz_status run_##name(struct oz_exec *exec, const struct oz_node *node,             \
                                     struct oz_error *err)                                         \
    {                                                                                              \
        return run_reduce(exec, node, name, err);                                                  \
    }
RUN(sum)
RUN(mean)
RUN(max)
RUN(min)
RUN(product)
RUN(l1)
RUN(l2)
RUN(sum_square)
RUN(log_sum)
RUN(log_sum_exp)

#define ROW(name, compile, run)                                                                    \
    {                                                                                              \
        name, OZ_DOMAIN_ONNX, 1, 1, 2, 1, 1, compile, NULL, run                                    \
    }
const struct oz_op oz_ops_reduce[] = {
    ROW("ReduceSum", compile_reduce_sum, run_sum),
    ROW("ReduceMean", compile_reduce_other, run_mean),
    ROW("ReduceMax", compile_reduce_other, run_max),
    ROW("ReduceMin", compile_reduce_other, run_min),
    ROW("ReduceProd", compile_reduce_other, run_product),
    ROW("ReduceL1", compile_reduce_other, run_l1),
    ROW("ReduceL2", compile_reduce_other, run_l2),
    ROW("ReduceSumSquare", compile_reduce_other, run_sum_square),
    ROW("ReduceLogSum", compile_reduce_other, run_log_sum),
    ROW("ReduceLogSumExp", compile_reduce_other, run_log_sum_exp),
    {0},
};
