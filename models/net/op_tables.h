/* The tables of operators, one a family; models/net/op.c lists them. Each ends with a row without a
 * name. */
#ifndef OZ_MODELS_NET_OP_TABLES_H
#define OZ_MODELS_NET_OP_TABLES_H
#include "models/net/op.h"

/* family: const struct oz_op oz_ops_<family>[] in models/net/op_<family>.c */
#define OZ_OP_TABLE_MAP(X)                                                                         \
    X(control)                                                                                     \
    X(arithmetic) X(math) X(activation) X(softmax) X(logic) X(cast) X(reduce) X(quantize)

#define X(family) extern const struct oz_op oz_ops_##family[];
OZ_OP_TABLE_MAP(X)
#undef X
#endif
