/* Dense, an operator of ours that fusing makes: y = activation(x * w + bias) for constant weights,
 * which are packed once. And what other products share with it.
 *
 *   inputs      x float [.. x k] of rank 1 or more; w float [k x n], constant; bias float [n] or
 *               left out, constant or not
 *   output      y float [.. x n]
 *   attributes  activation: a word of OZ_ACT_MAP, "" or absent for none; alpha, beta: its floats,
 *               absent for the map's (Selu's gamma is beta; Clip's bounds are alpha and beta)
 *
 * Threads, ownership, errors: as in op.h. */
#ifndef OZ_MODELS_NET_OP_DENSE_H
#define OZ_MODELS_NET_OP_DENSE_H
#include "kernels/cpu/net_kernels.h"
#include "models/net/op.h"

/* The attributes activation, alpha and beta of a node of ours. */
enum oz_status oz_dense_activation(struct oz_node *node, struct oz_activation *ret_act,
                                   struct oz_error *err) OZ_MUST_USE;
/* Packs constant float weights of rank 2 ([k x n], or [n x k] when transposed), times `factor`.
 * *ret_packed stays NULL where packing would only cost memory: they are used as they are then. */
enum oz_status oz_dense_pack(struct oz_net *net, const struct oz_tensor *weights,
                             bool is_transposed, float factor, const float **ret_packed,
                             struct oz_error *err) OZ_MUST_USE;
#endif
