/* Neighbours of a graph become one operator: a product with its bias and activation, a convolution
 * with the normalisation and activation behind it, an isolation forest written out node by node.
 * Values that a fused node would have made are gone, so only those that nobody else reads are fused
 * over. */
#ifndef OZ_MODELS_NET_NET_FUSE_H
#define OZ_MODELS_NET_NET_FUSE_H
#include "models/net/op.h"

enum oz_status oz_net_fuse(struct oz_net *net, struct oz_error *err) OZ_MUST_USE;

/* The passes of oz_net_compile() that fusing needs again. */
enum oz_status oz_net_read_node(struct oz_net *net, struct oz_node *node,
                                struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_net_fold(struct oz_net *net, struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_net_drop(struct oz_net *net, struct oz_error *err) OZ_MUST_USE;
#endif
