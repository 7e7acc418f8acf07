#include "models/forest_builder.h"
#include <math.h>

enum draft_kind { NOT_GIVEN, TEST, LEAF };

/* A node as the file names it, until its tree is whole. */
struct draft {
    uint8_t kind;
    bool default_left, reached;
    uint32_t feature, left, right;
    float value; /* threshold or leaf */
};

struct oz_forest_builder {
    struct oz_forest *forest;
    size_t cap_nodes, cap_trees, cap_planes;
    uint32_t *plane_of; /* [2 * n_features]: plane number + 1, or 0; odd: missing values go right */
    struct draft *draft;
    uint32_t *queue; /* file numbers in the order of their places */
    size_t cap_draft, cap_queue;
    uint32_t n_ids, n_given, group;
    bool in_tree;
};

enum oz_status oz_forest_builder_new(uint32_t n_features, uint32_t n_groups,
                                     const float *base_margin,
                                     struct oz_forest_builder **ret_builder, struct oz_error *err)
{
    OZ_ASSERT(n_features && n_groups);
    struct oz_forest_builder *builder = oz_calloc(1, sizeof *builder);
    if (!builder) return oz_no_memory(err);
    struct oz_forest *forest = builder->forest = oz_calloc(1, sizeof *forest);
    builder->plane_of = oz_calloc((size_t)n_features * 2, sizeof *builder->plane_of);
    if (forest) forest->base_margin = oz_calloc(n_groups, sizeof *base_margin);
    if (!forest || !builder->plane_of || !forest->base_margin) {
        oz_forest_builder_free(builder);
        return oz_no_memory(err);
    }
    memcpy(forest->base_margin, base_margin, n_groups * sizeof *base_margin);
    forest->n_features = n_features;
    forest->n_groups = n_groups;
    *ret_builder = builder;
    return OZ_OK;
}

void oz_forest_builder_free(struct oz_forest_builder *builder)
{
    if (!builder) return;
    oz_forest_free(builder->forest);
    oz_free(builder->plane_of);
    oz_free(builder->draft);
    oz_free(builder->queue);
    oz_free(builder);
}

enum oz_status oz_forest_builder_begin_tree(struct oz_forest_builder *builder, uint64_t n_ids,
                                            int64_t group, struct oz_error *err)
{
    const struct oz_forest *forest = builder->forest;
    OZ_ASSERT(!builder->in_tree);
    if (forest->n_trees >= OZ_FOREST_TREES_MAX)
        OZ_FAIL(err, OZ_MODEL, "the model has more than %d trees", OZ_FOREST_TREES_MAX);
    if (n_ids == 0) OZ_FAIL(err, OZ_MODEL, "the tree has no nodes");
    if (n_ids > OZ_FOREST_NODES_MAX)
        OZ_FAIL(err, OZ_MODEL, "the tree has more than %d nodes", OZ_FOREST_NODES_MAX);
    if (group < 0 || group >= forest->n_groups)
        OZ_FAIL(err, OZ_MODEL, "the tree adds to output %lld, but the model has %u",
                (long long)group, forest->n_groups);
    OZ_TRY(
        oz_grow((void **)&builder->draft, &builder->cap_draft, n_ids, sizeof *builder->draft, err));
    OZ_TRY(
        oz_grow((void **)&builder->queue, &builder->cap_queue, n_ids, sizeof *builder->queue, err));
    memset(builder->draft, 0, n_ids * sizeof *builder->draft);
    builder->n_ids = (uint32_t)n_ids;
    builder->n_given = 0;
    builder->group = (uint32_t)group;
    builder->in_tree = true;
    return OZ_OK;
}

static enum oz_status give(struct oz_forest_builder *builder, int64_t id, struct draft draft,
                           struct oz_error *err)
{
    OZ_ASSERT(builder->in_tree);
    if (id < 0 || id >= builder->n_ids)
        OZ_FAIL(err, OZ_MODEL, "there is no node %lld, nodes are 0 to %u", (long long)id,
                builder->n_ids - 1);
    if (builder->draft[id].kind != NOT_GIVEN)
        OZ_FAIL(err, OZ_MODEL, "node %lld is given twice", (long long)id);
    builder->draft[id] = draft;
    builder->n_given++;
    return OZ_OK;
}

static enum oz_status check_child(const struct oz_forest_builder *builder, int64_t id,
                                  const char *side, int64_t child, struct oz_error *err)
{
    if (child < 0 || child >= builder->n_ids)
        OZ_FAIL(err, OZ_MODEL, "node %lld: its %s child is node %lld, nodes are 0 to %u",
                (long long)id, side, (long long)child, builder->n_ids - 1);
    return OZ_OK;
}

enum oz_status oz_forest_builder_test(struct oz_forest_builder *builder, int64_t id,
                                      int64_t feature, float threshold, bool default_left,
                                      int64_t left, int64_t right, struct oz_error *err)
{
    if (feature < 0 || feature >= builder->forest->n_features)
        OZ_FAIL(err, OZ_MODEL, "node %lld: tests feature %lld, but the model has %u", (long long)id,
                (long long)feature, builder->forest->n_features);
    if (isnan(threshold))
        OZ_FAIL(err, OZ_MODEL, "node %lld: its threshold is not a number", (long long)id);
    OZ_TRY(check_child(builder, id, "left", left, err));
    OZ_TRY(check_child(builder, id, "right", right, err));
    return give(builder, id,
                (struct draft){.kind = TEST,
                               .default_left = default_left,
                               .feature = (uint32_t)feature,
                               .left = (uint32_t)left,
                               .right = (uint32_t)right,
                               .value = threshold},
                err);
}

enum oz_status oz_forest_builder_leaf(struct oz_forest_builder *builder, int64_t id, float value,
                                      struct oz_error *err)
{
    if (!isfinite(value))
        OZ_FAIL(err, OZ_MODEL, "node %lld: its leaf value is not finite", (long long)id);
    return give(builder, id, (struct draft){.kind = LEAF, .value = value}, err);
}

static enum oz_status plane_for(struct oz_forest_builder *builder, uint32_t feature,
                                bool default_left, uint32_t *ret_plane, struct oz_error *err)
{
    struct oz_forest *forest = builder->forest;
    uint32_t *known = &builder->plane_of[(size_t)feature * 2 + !default_left];
    if (!*known) {
        OZ_TRY(oz_grow((void **)&forest->plane, &builder->cap_planes, forest->n_planes + 1,
                       sizeof *forest->plane, err));
        forest->plane[forest->n_planes++] = (struct oz_forest_plane){
            feature, default_left ? OZ_FOREST_KEY_NAN_LOW : OZ_FOREST_KEY_NAN_HIGH};
        *known = forest->n_planes;
    }
    *ret_plane = *known - 1;
    return OZ_OK;
}

/* Gives the file's node the next place in the queue. */
static enum oz_status reach(struct oz_forest_builder *builder, uint32_t id, uint32_t *n_queued,
                            struct oz_error *err)
{
    struct draft *draft = &builder->draft[id];
    if (draft->kind == NOT_GIVEN)
        OZ_FAIL(err, OZ_MODEL, "node %u is part of the tree, but deleted or missing", id);
    if (draft->reached)
        OZ_FAIL(err, OZ_MODEL, "node %u is reached twice, so this is not a tree", id);
    draft->reached = true;
    builder->queue[(*n_queued)++] = id;
    return OZ_OK;
}

static enum oz_status place(struct oz_forest_builder *builder, struct oz_forest_node *ret_node,
                            uint32_t at, uint32_t *n_queued, struct oz_error *err)
{
    const struct draft *draft = &builder->draft[builder->queue[at]];
    if (draft->kind == LEAF) {
        *ret_node = (struct oz_forest_node){
            .key = OZ_FOREST_KEY_NAN_LOW, .left = at - 1, .value = draft->value};
        return OZ_OK;
    }
    uint32_t plane;
    OZ_TRY(plane_for(builder, draft->feature, draft->default_left, &plane, err));
    *ret_node = (struct oz_forest_node){.key = oz_forest_key(draft->value),
                                        .plane = plane * OZ_FOREST_TILE_ROWS,
                                        .left = *n_queued};
    OZ_TRY(reach(builder, draft->left, n_queued, err));
    return reach(builder, draft->right, n_queued, err);
}

/* Breadth-first: places are given level by level, so the depth is the number of levels, and
 * siblings stand side by side. */
enum oz_status oz_forest_builder_end_tree(struct oz_forest_builder *builder, struct oz_error *err)
{
    struct oz_forest *forest = builder->forest;
    OZ_ASSERT(builder->in_tree);
    uint32_t n_queued = 0, shallowest = UINT32_MAX, depth = 0;
    if (builder->n_given > OZ_FOREST_NODES_MAX - forest->n_nodes)
        OZ_FAIL(err, OZ_MODEL, "the model has more than %d nodes", OZ_FOREST_NODES_MAX);
    OZ_TRY(oz_grow((void **)&forest->node, &builder->cap_nodes, forest->n_nodes + builder->n_given,
                   sizeof *forest->node, err));
    OZ_TRY(oz_grow((void **)&forest->tree, &builder->cap_trees, forest->n_trees + 1,
                   sizeof *forest->tree, err));
    OZ_TRY(reach(builder, 0, &n_queued, err));
    for (uint32_t at = 0, level_end = n_queued; at < n_queued; at++) {
        if (at == level_end) {
            level_end = n_queued;
            if (++depth > OZ_FOREST_DEPTH_MAX)
                OZ_FAIL(err, OZ_MODEL, "the tree is deeper than %d steps", OZ_FOREST_DEPTH_MAX);
        }
        if (builder->draft[builder->queue[at]].kind == LEAF && shallowest == UINT32_MAX)
            shallowest = depth;
        OZ_TRY(place(builder, &forest->node[forest->n_nodes + at], at, &n_queued, err));
    }
    if (n_queued != builder->n_given) {
        uint32_t id = 0;
        while (builder->draft[id].kind == NOT_GIVEN || builder->draft[id].reached) id++;
        OZ_FAIL(err, OZ_MODEL, "node %u cannot be reached from the root", id);
    }
    forest->tree[forest->n_trees++] = (struct oz_forest_tree){.node = forest->n_nodes,
                                                              .group = builder->group,
                                                              .shallowest = (uint16_t)shallowest,
                                                              .deepest = (uint16_t)depth};
    forest->n_nodes += n_queued;
    builder->in_tree = false;
    return OZ_OK;
}

/* What doubling left over is given back; a shrink that fails leaves the larger piece. */
static void *smaller(void *items, size_t n_bytes)
{
    void *p = oz_realloc(items, n_bytes);
    return p ? p : items;
}

enum oz_status oz_forest_builder_finish(struct oz_forest_builder *builder,
                                        struct oz_forest **ret_forest, struct oz_error *err)
{
    struct oz_forest *forest = builder->forest;
    OZ_ASSERT(!builder->in_tree);
    if (!forest->n_trees) OZ_FAIL(err, OZ_MODEL, "the model has no trees: it was never trained");
    uint32_t plane; /* leaves read plane 0, so there is one even when nothing is tested */
    if (!forest->n_planes) OZ_TRY(plane_for(builder, 0, true, &plane, err));
    forest->node = smaller(forest->node, forest->n_nodes * sizeof *forest->node);
    forest->tree = smaller(forest->tree, forest->n_trees * sizeof *forest->tree);
    forest->plane = smaller(forest->plane, forest->n_planes * sizeof *forest->plane);
    builder->forest = NULL;
    *ret_forest = forest;
    return OZ_OK;
}
