#ifndef OZ_MODELS_NET_OP_TABLES_H
#define OZ_MODELS_NET_OP_TABLES_H
#include "models/net/op.h"

extern const struct oz_op oz_ops_linear_ml[], oz_ops_svm[], oz_ops_scaler[], oz_ops_encoder[],
    oz_ops_feature[];
#endif
