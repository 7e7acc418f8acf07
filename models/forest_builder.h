/* The one door through which importers make a forest: they name nodes as their file does, and
 * whatever a damaged or hostile file can get wrong is found here, once.
 *
 * Use: new; for each tree, in the order in which leaves are summed: begin_tree, one test or leaf
 * per node, end_tree; finish. Node 0 is a tree's root. A node that the file has and the tree does
 * not use (pruned away) is simply not given; a node that is given must be reached from the root,
 * exactly once. Threads: one. Ownership: the builder is the caller's until
 * oz_forest_builder_free(); the finished forest is the caller's too. After an error only free may
 * follow. Errors: OZ_MODEL, naming the node by the file's number; the importer puts the tree's name
 * in front, in its format's own words. Limits: below. Nothing recurses over the nodes. */
#ifndef OZ_MODELS_FOREST_BUILDER_H
#define OZ_MODELS_FOREST_BUILDER_H
#include "models/forest.h"

enum {
    OZ_FOREST_TREES_MAX = 1 << 20,
    OZ_FOREST_NODES_MAX = 1 << 26, /* of all trees together */
    OZ_FOREST_DEPTH_MAX = 512      /* steps from the root to the deepest leaf */
};

struct oz_forest_builder;

/* 1 <= n_features and n_groups; base_margin[n_groups] is copied. */
enum oz_status oz_forest_builder_new(uint32_t n_features, uint32_t n_groups,
                                     const float *base_margin,
                                     struct oz_forest_builder **ret_builder,
                                     struct oz_error *err) OZ_MUST_USE;
void oz_forest_builder_free(struct oz_forest_builder *builder);

/* n_ids: node numbers are below it. The caller has seen that many in the file, so memory for them
 * is justified. */
enum oz_status oz_forest_builder_begin_tree(struct oz_forest_builder *builder, uint64_t n_ids,
                                            int64_t group, struct oz_error *err) OZ_MUST_USE;
/* A value below the threshold goes left, others right; a missing one left if default_left. */
enum oz_status oz_forest_builder_test(struct oz_forest_builder *builder, int64_t id,
                                      int64_t feature, float threshold, bool default_left,
                                      int64_t left, int64_t right,
                                      struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_forest_builder_leaf(struct oz_forest_builder *builder, int64_t id, float value,
                                      struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_forest_builder_end_tree(struct oz_forest_builder *builder,
                                          struct oz_error *err) OZ_MUST_USE;
/* At least one tree. */
enum oz_status oz_forest_builder_finish(struct oz_forest_builder *builder,
                                        struct oz_forest **ret_forest,
                                        struct oz_error *err) OZ_MUST_USE;
#endif
