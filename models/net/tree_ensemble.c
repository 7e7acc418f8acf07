#include <stdlib.h>
#include "models/net/tree_attributes.h"

/* TreeEnsemble's arrays, borrowed from the node. */
struct ensemble {
    size_t n_branches, n_leaves, n_roots;
    const int64_t *root, *feature, *if_true, *if_false, *true_is_leaf, *false_is_leaf;
    const int64_t *missing_true; /* NULL: false for all */
    const uint8_t *mode;
    struct oz_tree_numbers split, member;
    const int64_t *leaf_output;
    struct oz_tree_numbers leaf_weight;
    size_t *set; /* [n_branches + 1]: where the members of a branch begin */
    bool *seen;  /* [n_branches] */
    uint32_t n_features;
    bool is_ranked;
    /* the tree at hand: node i is branch ref[i], or leaf ~ref[i]; a branch's children stand at
     * child[i] and child[i] + 1 */
    int64_t *ref, *child;
    size_t cap_ref, cap_child, n;
};

static enum oz_status get_ints(struct oz_node *node, const char *name, size_t n,
                               const int64_t **ret_v, struct oz_error *err)
{
    size_t n_found;
    OZ_TRY(oz_attr_ints(node, name, ret_v, &n_found, err));
    if (n_found != n)
        OZ_FAIL(err, OZ_MODEL, "its attribute `%s` has %zu values for %zu", name, n_found, n);
    return OZ_OK;
}

static enum oz_status get_tensor(struct oz_node *node, const char *name, size_t n,
                                 struct oz_tree_numbers *ret_numbers, struct oz_error *err)
{
    const struct oz_tensor *tensor;
    OZ_TRY(oz_attr_tensor(node, name, &tensor, err));
    if (!tensor) OZ_FAIL(err, OZ_MODEL, "its attribute `%s` is missing", name);
    OZ_TRY(oz_tree_numbers_of(tensor, name, ret_numbers, err));
    if (ret_numbers->n != n)
        OZ_FAIL(err, OZ_MODEL, "its attribute `%s` has %zu values for %zu", name, ret_numbers->n,
                n);
    return OZ_OK;
}

static enum oz_status read_arrays(struct oz_node *node, struct ensemble *e, struct oz_error *err)
{
    const struct oz_tensor *modes, *members;
    size_t n_missing;
    OZ_TRY(oz_attr_ints(node, "nodes_featureids", &e->feature, &e->n_branches, err));
    OZ_TRY(oz_attr_ints(node, "leaf_targetids", &e->leaf_output, &e->n_leaves, err));
    OZ_TRY(oz_attr_ints(node, "tree_roots", &e->root, &e->n_roots, err));
    if (!e->n_branches || !e->n_leaves || !e->n_roots) OZ_FAIL(err, OZ_MODEL, "it has no trees");
    if (e->n_branches > OZ_FOREST_NODES_MAX / 4)
        OZ_FAIL(err, OZ_MODEL, "it has more than %d nodes", OZ_FOREST_NODES_MAX / 4);
    OZ_TRY(get_ints(node, "nodes_truenodeids", e->n_branches, &e->if_true, err));
    OZ_TRY(get_ints(node, "nodes_falsenodeids", e->n_branches, &e->if_false, err));
    OZ_TRY(get_ints(node, "nodes_trueleafs", e->n_branches, &e->true_is_leaf, err));
    OZ_TRY(get_ints(node, "nodes_falseleafs", e->n_branches, &e->false_is_leaf, err));
    OZ_TRY(
        oz_attr_ints(node, "nodes_missing_value_tracks_true", &e->missing_true, &n_missing, err));
    if (!n_missing) e->missing_true = NULL;
    if (n_missing && n_missing != e->n_branches)
        OZ_FAIL(err, OZ_MODEL,
                "its attribute `nodes_missing_value_tracks_true` has %zu values for %zu", n_missing,
                e->n_branches);
    OZ_TRY(oz_attr_tensor(node, "nodes_modes", &modes, err));
    if (!modes || modes->dtype != OZ_DTYPE_U8 || (size_t)modes->n != e->n_branches)
        OZ_FAIL(err, OZ_MODEL, "its attribute `nodes_modes` must have %zu values of type uint8",
                e->n_branches);
    e->mode = modes->u8;
    OZ_TRY(get_tensor(node, "nodes_splits", e->n_branches, &e->split, err));
    OZ_TRY(get_tensor(node, "leaf_weights", e->n_leaves, &e->leaf_weight, err));
    OZ_TRY(oz_attr_tensor(node, "membership_values", &members, err));
    if (members) OZ_TRY(oz_tree_numbers_of(members, "membership_values", &e->member, err));
    oz_attr_ignore(node, "nodes_hitrates");
    return OZ_OK;
}

/* Sets are divided by NaN; the last one may do without. */
static enum oz_status find_sets(struct ensemble *e, struct oz_error *err)
{
    size_t at = 0, n_missing = 0;
    for (size_t i = 0; i < e->n_branches; i++) {
        e->set[i] = at;
        if (e->mode[i] != OZ_TREE_MEMBER) continue;
        if (at >= e->member.n) n_missing++;
        for (; at < e->member.n; at++) {
            double member = oz_tree_number(&e->member, at);
            if (member != member) break;
            if (!oz_tree_is_float(member)) e->is_ranked = true;
        }
        at++;
    }
    e->set[e->n_branches] = at;
    if (n_missing || at < e->member.n)
        OZ_FAIL(err, OZ_MODEL,
                "its attribute `membership_values` has %s sets than nodes have the mode "
                "BRANCH_MEMBER",
                n_missing ? "fewer" : "more");
    return OZ_OK;
}

static enum oz_status survey(struct ensemble *e, struct oz_error *err)
{
    int64_t last_feature = 0;
    for (size_t i = 0; i < e->n_branches; i++) {
        if (e->mode[i] > OZ_TREE_MEMBER)
            OZ_FAIL(err, OZ_MODEL, "node %zu: its mode is %u, served are 0 to 6", i, e->mode[i]);
        int64_t flag = e->missing_true ? e->missing_true[i] : 0;
        if ((flag | e->true_is_leaf[i] | e->false_is_leaf[i]) & ~INT64_C(1))
            OZ_FAIL(err, OZ_MODEL,
                    "node %zu: nodes_trueleafs, nodes_falseleafs and "
                    "nodes_missing_value_tracks_true are 0 or 1",
                    i);
        if (e->feature[i] < 0 || e->feature[i] >= INT32_MAX)
            OZ_FAIL(err, OZ_MODEL, "node %zu: tests feature %lld", i, (long long)e->feature[i]);
        last_feature = OZ_MAX(last_feature, e->feature[i]);
        if (e->mode[i] != OZ_TREE_MEMBER && !oz_tree_is_float(oz_tree_number(&e->split, i)))
            e->is_ranked = true;
    }
    e->n_features = (uint32_t)last_feature + 1;
    return find_sets(e, err);
}

/* Adds a node to the tree at hand. Leaves may be named by several branches, branches may not. */
static enum oz_status add(struct ensemble *e, int64_t id, bool is_leaf, struct oz_error *err)
{
    if (id < 0 || id >= (int64_t)(is_leaf ? e->n_leaves : e->n_branches))
        OZ_FAIL(err, OZ_MODEL, "there is no %s %lld", is_leaf ? "leaf" : "node", (long long)id);
    if (!is_leaf) {
        if (e->seen[id])
            OZ_FAIL(err, OZ_MODEL, "node %lld is reached twice, so this is not a tree",
                    (long long)id);
        e->seen[id] = true;
    }
    OZ_TRY(oz_grow((void **)&e->ref, &e->cap_ref, e->n + 1, sizeof *e->ref, err));
    OZ_TRY(oz_grow((void **)&e->child, &e->cap_child, e->n + 1, sizeof *e->child, err));
    e->ref[e->n++] = is_leaf ? ~id : id;
    return OZ_OK;
}

/* A tree that is one leaf is written as a branch both of whose children are that leaf. */
static enum oz_status collect(struct ensemble *e, int64_t root, struct oz_error *err)
{
    e->n = 0;
    OZ_TRY(add(e, root, false, err));
    if (e->true_is_leaf[root] && e->false_is_leaf[root] && e->if_true[root] == e->if_false[root]) {
        e->n = 0;
        return add(e, e->if_true[root], true, err);
    }
    for (size_t i = 0; i < e->n; i++) {
        if (e->ref[i] < 0) continue;
        int64_t branch = e->ref[i];
        e->child[i] = (int64_t)e->n;
        OZ_TRY(add(e, e->if_true[branch], e->true_is_leaf[branch], err));
        OZ_TRY(add(e, e->if_false[branch], e->false_is_leaf[branch], err));
    }
    return OZ_OK;
}

static enum oz_status give_branch(struct ensemble *e, size_t i, struct oz_forest_builder *builder,
                                  double **members, size_t *cap_members, struct oz_error *err)
{
    static const enum oz_forest_test tests[] = {OZ_FOREST_LE, OZ_FOREST_LT, OZ_FOREST_GE,
                                                OZ_FOREST_GT, OZ_FOREST_EQ, OZ_FOREST_NE};
    size_t b = (size_t)e->ref[i];
    const struct oz_forest_branch branch = {.feature = e->feature[b],
                                            .missing_true = e->missing_true && e->missing_true[b],
                                            .if_true = e->child[i],
                                            .if_false = e->child[i] + 1};
    if (e->mode[b] != OZ_TREE_MEMBER)
        return oz_forest_builder_compare(builder, (int64_t)i, &branch, tests[e->mode[b]],
                                         oz_tree_number(&e->split, b), err);
    size_t n = 0;
    for (size_t at = e->set[b]; at < e->set[b + 1] && at < e->member.n; at++) {
        double member = oz_tree_number(&e->member, at);
        if (member != member) break;
        OZ_TRY(oz_grow((void **)members, cap_members, n + 1, sizeof **members, err));
        (*members)[n++] = member;
    }
    return oz_forest_builder_member(builder, (int64_t)i, &branch, *members, n, err);
}

static enum oz_status give_tree(struct ensemble *e, int64_t root, struct oz_forest_builder *builder,
                                struct oz_error *err)
{
    double *members = NULL;
    size_t cap_members = 0;
    OZ_TRY(collect(e, root, err));
    OZ_TRY(oz_forest_builder_begin_tree(builder, e->n, 0, err));
    oz_forest_builder_name_nodes(builder, 0, e->ref);
    enum oz_status status = OZ_OK;
    for (size_t i = 0; status == OZ_OK && i < e->n; i++) {
        if (e->ref[i] >= 0) {
            status = give_branch(e, i, builder, &members, &cap_members, err);
        } else {
            size_t leaf = (size_t)~e->ref[i];
            double weight = oz_tree_number(&e->leaf_weight, leaf);
            status = oz_forest_builder_weights(builder, (int64_t)i, &e->leaf_output[leaf], &weight,
                                               1, err);
        }
    }
    oz_free(members);
    OZ_TRY(status);
    return oz_forest_builder_end_tree(builder, err);
}

static enum oz_status give_trees(struct ensemble *e, struct oz_forest_builder *builder,
                                 struct oz_error *err)
{
    for (size_t t = 0; t < e->n_roots; t++) {
        enum oz_status status = give_tree(e, e->root[t], builder, err);
        if (status == OZ_MODEL) oz_error_prefix(err, "tree %zu", t);
        OZ_TRY(status);
    }
    for (size_t i = 0; i < e->n_branches; i++)
        if (!e->seen[i]) OZ_FAIL(err, OZ_MODEL, "node %zu cannot be reached from a root", i);
    return OZ_OK;
}

enum oz_status oz_tree_read_ensemble(struct oz_node *node, struct oz_forest **ret_forest,
                                     int64_t *ret_post_transform, struct oz_error *err)
{
    static const enum oz_forest_aggregate aggregates[] = {OZ_FOREST_AVERAGE, OZ_FOREST_SUM,
                                                          OZ_FOREST_MIN, OZ_FOREST_MAX};
    struct ensemble e = {0};
    struct oz_forest_builder *builder = NULL;
    int64_t aggregate, n_targets;
    OZ_TRY(oz_attr_i64(node, "aggregate_function", 1, &aggregate, err));
    OZ_TRY(oz_attr_i64(node, "post_transform", 0, ret_post_transform, err));
    OZ_TRY(oz_attr_i64(node, "n_targets", 0, &n_targets, err));
    if (aggregate < 0 || aggregate > 3)
        OZ_FAIL(err, OZ_MODEL, "its attribute `aggregate_function` is %lld, served are 0 to 3",
                (long long)aggregate);
    if (n_targets < 1 || n_targets > OZ_TREE_OUTPUTS_MAX)
        OZ_FAIL(err, OZ_MODEL, "its attribute `n_targets` is %lld, served are 1 to %d",
                (long long)n_targets, OZ_TREE_OUTPUTS_MAX);
    OZ_TRY(read_arrays(node, &e, err));
    enum oz_status status = OZ_OK;
    e.set = oz_calloc(e.n_branches + 1, sizeof *e.set);
    e.seen = oz_calloc(e.n_branches, sizeof *e.seen);
    if (!e.set || !e.seen) status = oz_no_memory(err);
    if (status == OZ_OK) status = survey(&e, err);
    const struct oz_forest_form form = {.n_features = e.n_features,
                                        .n_groups = (uint32_t)n_targets,
                                        .is_weighted = true,
                                        .is_ranked = e.is_ranked,
                                        .aggregate = aggregates[aggregate]};
    if (status == OZ_OK) status = oz_forest_builder_new_form(&form, &builder, err);
    if (status == OZ_OK) status = give_trees(&e, builder, err);
    if (status == OZ_OK) status = oz_forest_builder_finish(builder, ret_forest, err);
    oz_forest_builder_free(builder);
    oz_free(e.set);
    oz_free(e.seen);
    oz_free(e.ref);
    oz_free(e.child);
    return status;
}
