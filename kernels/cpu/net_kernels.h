/* The inner loops of nets: dense products, activations, recurrent cells, 1-D convolution. One table
 * of functions per instruction set (scalar, avx2, avx512), all with the same contract; the scalar
 * ones are the reference.
 *
 * Bits: every element of a product is one chain in one fixed order: it begins with the start value
 * (a bias), then for k = 0, 1, ... acc = fma(a[k], w[k], acc), then the activation. No partial sums
 * over k, whatever the tile, the block or the instruction set. So a row's result has the same bits
 * for any batch, any place in it and any table; only which NaN a NaN is may differ. Activations are
 * the same polynomials in the same order on every instruction set; their errors stand at
 * OZ_ACT_MAP.
 *
 * Layout: matrices are row-major, ld* is the distance between rows in elements; rows of packed
 * weights are described in dense_body.h. Alignment: packed weights and scratch memory need 64
 * bytes, all else its type's. Units: sizes are in elements unless they end in _bytes.
 * Threads: any; nothing here allocates, fails or keeps anything. Ownership: all borrowed. Outputs
 * do not overlap inputs unless it says so. Sizes may be 0, then nothing is touched (k == 0: the
 * result is the start value). The caller has checked all sizes: they come from a file.
 * Source: the formulas are those of the ONNX operators of the same names. */
#ifndef OZ_KERNELS_CPU_NET_KERNELS_H
#define OZ_KERNELS_CPU_NET_KERNELS_H
#include "base/base.h"

/* name, the operator's word, alpha and beta where the operator gives none; what it computes; the
 * largest error (none: exact) over all finite floats: in units in the last place of the result, or
 * where it says so of x (2^-24 |x|), because a small result is a difference there. GELU_TANH is
 * Gelu with approximate="tanh". */
#define OZ_FLT_MAX 3.402823466e38f
#define OZ_ACT_MAP(X)                                                                              \
    X(NONE, "", 0, 0)                            /* x */                                           \
    X(RELU, "Relu", 0, 0)                        /* max(0, x) */                                   \
    X(LEAKY_RELU, "LeakyRelu", 0.01f, 0)         /* x < 0: alpha x, else x; 1/2 */                 \
    X(CLIP, "Clip", -OZ_FLT_MAX, OZ_FLT_MAX)     /* min(beta, max(alpha, x)) */                    \
    X(THRESHOLDED_RELU, "ThresholdedRelu", 1, 0) /* x > alpha: x, else 0 */                        \
    X(HARD_SIGMOID, "HardSigmoid", 0.2f, 0.5f)   /* max(0, min(1, alpha x + beta)); 1/2 */         \
    X(AFFINE, "Affine", 1, 0)                    /* alpha x + beta; 1/2 */                         \
    X(SIGMOID, "Sigmoid", 0, 0)                  /* 1 / (1 + e^-x); 2.5 */                         \
    X(TANH, "Tanh", 0, 0)                        /* tanh x; 3 */                                   \
    X(SCALED_TANH, "ScaledTanh", 1, 1)           /* alpha tanh(beta x); 3 when both are 1 */       \
    X(ELU, "Elu", 1, 0) /* x < 0: alpha (e^x - 1), else x; 1 when alpha is */                      \
    X(SELU, "Selu", 1.67326324f, 1.05070102f) /* beta (x < 0: alpha (e^x - 1), else x); 2.5 */     \
    X(CELU, "Celu", 1, 0)                     /* x < 0: alpha (e^(x / alpha) - 1), else x; 1 */    \
    X(SOFTPLUS, "Softplus", 0, 0)             /* log(1 + e^x); 3 */                                \
    X(SOFTSIGN, "Softsign", 0, 0)             /* x / (1 + |x|); 1.5 */                             \
    X(GELU, "Gelu", 0, 0)                     /* x / 2 (1 + erf(x / sqrt 2)); 2 of x */            \
    X(GELU_TANH, "", 0, 0) /* x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))); 2.5 of x */       \
    X(HARD_SWISH, "HardSwish", 0, 0) /* x max(0, min(1, x / 6 + 1 / 2)); 2 of x */                 \
    X(SWISH, "Swish", 1, 0)          /* x / (1 + e^(-alpha x)); 2.5 of x */                        \
    X(MISH, "Mish", 0, 0)            /* x tanh(log(1 + e^x)); 2.5 of x */                          \
    X(EXP, "Exp", 0, 0)              /* e^(x - alpha); 1 */                                        \
    X(ERF, "Erf", 0, 0)              /* erf x; 1.25 */

enum oz_act {
#define X(name, word, alpha, beta) OZ_ACT_##name,
    OZ_ACT_MAP(X)
#undef X
        OZ_ACT_COUNT
};

struct oz_activation {
    enum oz_act kind;
    float alpha, beta; /* where the kind has them */
};

/* A convolution over one axis. x[n_items][c_in][w_in], y[n_items][c_out][w_out], weight[c_out]
 * [c_in / groups][n_taps]. Output t reads input t * stride + tap * dilation - pad_left, which is
 * zero outside of 0 .. w_in - 1. The chain of an element: channels ascending, in each the taps. */
struct oz_conv1d {
    size_t n_items, c_in, w_in, c_out, w_out;
    size_t groups, n_taps, stride, dilation, pad_left; /* all but pad_left at least 1 */
};

struct oz_net_kernels {
    const char *isa; /* "scalar", "avx2", "avx512" */
#define OZ_NET_KERNEL(type, name, parameters) type(*name) parameters;
#include "kernels/cpu/net_kernels.def"
#undef OZ_NET_KERNEL
};

/* Each function of the list, as it is called in one instruction set. */
#define OZ_NET_KERNEL(type, name, parameters)                                                      \
    type oz_##name##__scalar parameters;                                                           \
    type oz_##name##__avx2 parameters;                                                             \
    type oz_##name##__avx512 parameters;
#include "kernels/cpu/net_kernels.def"
#undef OZ_NET_KERNEL

/* The best table that this machine can run, or the one that the environment variable OUZEL_KERNELS
 * names. Chosen at the first call, then always the same. */
const struct oz_net_kernels *oz_net_kernels(void);
/* Why that one: "the best of this machine", "OUZEL_KERNELS", or what is wrong with that. */
const char *oz_net_kernels_reason(void);
/* Every table that this machine can run, the scalar one first: i from 0 until NULL. */
const struct oz_net_kernels *oz_net_kernels_at(size_t i);

/* Bytes of scratch memory that conv1d_f32_ncw() needs; the same for every table. SIZE_MAX: more
 * than there can be. */
size_t oz_conv1d_scratch_bytes(const struct oz_conv1d *shape);
#endif
