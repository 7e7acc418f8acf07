/* The tables of operators, one for each models/net/op_*.c; net_ops.c lists them. */
#ifndef OZ_MODELS_NET_OP_TABLES_H
#define OZ_MODELS_NET_OP_TABLES_H
#include "models/net/op.h"

extern const struct oz_op oz_ops_conv[];
extern const struct oz_op oz_ops_norm[];
extern const struct oz_op oz_ops_pool[];
extern const struct oz_op oz_ops_recurrent[];
#endif
