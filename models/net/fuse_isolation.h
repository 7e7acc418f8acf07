/* A sum of functions of trees becomes one forest. Converters write an isolation forest that way:
 * for each tree an operator that gives the number of the leaf, about twenty more that make a path
 * length of it, and a Sum over all of them.
 *
 * What is recognised, by structure alone: a Sum of floats, each of whose inputs is computed row by
 * row from the output of one TreeEnsembleRegressor with one tree and one target, and from nothing
 * else but constants of one element. Such an input is a function of the leaf, so the function is
 * run once, at load, for the value of each leaf, and its result becomes the leaf's value. The
 * forest adds floats in the order of the Sum's inputs, so the answer keeps its bits.
 *
 * Threads: one, at load, after constants are folded. The nodes that nobody reads any more are left
 * for oz_net_drop(). Errors: out of memory only; what does not fit stays as it is. */
#ifndef OZ_MODELS_NET_FUSE_ISOLATION_H
#define OZ_MODELS_NET_FUSE_ISOLATION_H
#include "models/net/net.h"

enum oz_status oz_fuse_isolation_forests(struct oz_net *net, bool *ret_changed,
                                         struct oz_error *err) OZ_MUST_USE;
#endif
