/* What operators share that work element by element: the walk over broadcast inputs, the checks of
 * types, and the shape of their inner loops.
 *
 * A kernel is a loop over one run of elements of one type. The macros below write its variants (all
 * inputs move, or one stands still), so that each of them vectorises; an expression is given once.
 * An element's result never depends on its place in a run.
 * Threads: any. Ownership: all borrowed. */
#ifndef OZ_MODELS_NET_ELEMENTWISE_H
#define OZ_MODELS_NET_ELEMENTWISE_H
#include "models/net/op.h"

/* Says that a loop's rounds do not depend on each other, although `to` may be one of the inputs. */
#ifdef __clang__
#define OZ_ROUNDS_INDEPENDENT
#define OZ_NOT_UNROLLED
#else
#define OZ_ROUNDS_INDEPENDENT _Pragma("GCC ivdep")
#define OZ_NOT_UNROLLED       _Pragma("GCC unroll 1")
#endif
/* Partial sums (maxima, ...) of a row: element i goes to number i % OZ_LANES. A loop over them is
 * given to the compiler as one, which then keeps them in vector registers. */
enum { OZ_LANES = 8 };
#define OZ_EACH_LANE(k) OZ_NOT_UNROLLED for (int k = 0; k < OZ_LANES; k++)

/* to[i] = f(from[i]); state is the node's. `to` may be `from`. */
typedef void oz_unary_kernel(void *to, const void *from, int64_t n, const void *state);
/* to[i] = f(a[i], b[i]); an input that does not move is one element. `to` may be an input. */
typedef void oz_binary_kernel(void *to, const void *a, const void *b, int64_t n, bool a_moves,
                              bool b_moves);

#define OZ_EACH(i, n) OZ_ROUNDS_INDEPENDENT for (int64_t i = 0; i < (n); i++)

/* `expression` is of x, a T, and of `state`; its value is an R. */
#define OZ_UNARY_KERNEL(name, T, R, expression)                                                    \
    static void name(void *to_, const void *from_, int64_t n, const void *state)                   \
    {                                                                                              \
        (void)state;                                                                               \
        R *to = to_;                                                                               \
        const T *from = from_;                                                                     \
        OZ_EACH (i, n) {                                                                           \
            const T x = from[i];                                                                   \
            to[i] = (R)(expression);                                                               \
        }                                                                                          \
    }

/* `expression` is of x, an A, and y, a B; its value is an R. */
#define OZ_BINARY_KERNEL(name, A, B, R, expression)                                                \
    static void name(void *to_, const void *a_, const void *b_, int64_t n, bool a_moves,           \
                     bool b_moves)                                                                 \
    {                                                                                              \
        R *to = to_;                                                                               \
        const A *a = a_;                                                                           \
        const B *b = b_;                                                                           \
        if (a_moves && b_moves) {                                                                  \
            OZ_EACH (i, n) {                                                                       \
                const A x = a[i];                                                                  \
                const B y = b[i];                                                                  \
                to[i] = (R)(expression);                                                           \
            }                                                                                      \
        } else if (a_moves) {                                                                      \
            const B y = b[0];                                                                      \
            OZ_EACH (i, n) {                                                                       \
                const A x = a[i];                                                                  \
                to[i] = (R)(expression);                                                           \
            }                                                                                      \
        } else if (b_moves) {                                                                      \
            const A x = a[0];                                                                      \
            OZ_EACH (i, n) {                                                                       \
                const B y = b[i];                                                                  \
                to[i] = (R)(expression);                                                           \
            }                                                                                      \
        } else {                                                                                   \
            const A x = a[0];                                                                      \
            const B y = b[0];                                                                      \
            const R same = (R)(expression);                                                        \
            OZ_EACH (i, n) to[i] = same;                                                           \
        }                                                                                          \
    }

/* Refuses a type: "`what` is int8; served are float, double". Bit t of `served` is OZ_DTYPE_t. */
enum oz_status oz_refuse_dtype(const char *what, enum oz_dtype dtype, uint32_t served,
                               struct oz_error *err) OZ_MUST_USE;

/* The run of an operator of one input. kernel[t] == NULL: type t is not served. `result` is the
 * output's type, OZ_DTYPE_COUNT: the input's. */
enum oz_status oz_unary_run(struct oz_exec *exec, const struct oz_node *node,
                            oz_unary_kernel *const kernel[OZ_DTYPE_COUNT], enum oz_dtype result,
                            struct oz_error *err) OZ_MUST_USE;
/* The run of an operator of two inputs of one type, broadcast to each other. */
enum oz_status oz_binary_run(struct oz_exec *exec, const struct oz_node *node,
                             oz_binary_kernel *const kernel[OZ_DTYPE_COUNT], enum oz_dtype result,
                             struct oz_error *err) OZ_MUST_USE;
/* Output 0 in the shape that a and b broadcast to. */
enum oz_status oz_binary_out(struct oz_exec *exec, const struct oz_node *node,
                             const struct oz_tensor *a, const struct oz_tensor *b,
                             enum oz_dtype result, struct oz_tensor **ret_out,
                             struct oz_error *err) OZ_MUST_USE;
/* Computes a whole tensor that has data; a and b broadcast to its shape. It may be one of them. */
void oz_binary_apply(oz_binary_kernel *kernel, const struct oz_tensor *a, const struct oz_tensor *b,
                     struct oz_tensor *out);
#endif
