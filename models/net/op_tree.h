/* What the tree operators keep of a node; fusing makes such nodes, too
 * (models/net/fuse_isolation.h). */
#ifndef OZ_MODELS_NET_OP_TREE_H
#define OZ_MODELS_NET_OP_TREE_H
#include "models/forest.h"
#include "models/net/op.h"
#include "models/net/tree_scores.h"

struct oz_tree_state {
    struct oz_forest *forest; /* in the net's arena */
    bool is_classifier;
    bool gives_input_type; /* TreeEnsemble: doubles in, doubles out */
    struct oz_tree_rule rule;
    size_t n_labels; /* of a classifier */
    const int64_t *int_label;
    const struct oz_str *text_label; /* instead; borrowed from the node */
};

/* Moves the forest into the net's arena and frees it. */
enum oz_status oz_tree_keep(struct oz_net *net, struct oz_forest *forest,
                            struct oz_forest **ret_kept, struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_tree_run(struct oz_exec *exec, const struct oz_node *node,
                           struct oz_error *err) OZ_MUST_USE;
#endif
