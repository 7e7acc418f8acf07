/* The tables of operators, one a family; models/net/op.c lists them. Each ends with a row without a
 * name. */
#ifndef OZ_MODELS_NET_OP_TABLES_H
#define OZ_MODELS_NET_OP_TABLES_H
#include "models/net/op.h"

/* family: const struct oz_op oz_ops_<family>[] in models/net/op_<family>.c */
#define OZ_OP_TABLE_MAP(X)                                                                         \
    X(activation)                                                                                  \
    X(arithmetic)                                                                                  \
    X(cast)                                                                                        \
    X(control)                                                                                     \
    X(conv)                                                                                        \
    X(dense)                                                                                       \
    X(einsum)                                                                                      \
    X(encoder)                                                                                     \
    X(feature)                                                                                     \
    X(fill)                                                                                        \
    X(index)                                                                                       \
    X(linear_ml)                                                                                   \
    X(logic)                                                                                       \
    X(math)                                                                                        \
    X(move)                                                                                        \
    X(norm)                                                                                        \
    X(order)                                                                                       \
    X(pad)                                                                                         \
    X(pool)                                                                                        \
    X(product)                                                                                     \
    X(quantize)                                                                                    \
    X(quantized_product)                                                                           \
    X(recurrent)                                                                                   \
    X(reduce)                                                                                      \
    X(scaler)                                                                                      \
    X(scatter)                                                                                     \
    X(shape)                                                                                       \
    X(softmax)                                                                                     \
    X(svm)                                                                                         \
    X(tree)

#define X(family) extern const struct oz_op oz_ops_##family[];
OZ_OP_TABLE_MAP(X)
#undef X
#endif
