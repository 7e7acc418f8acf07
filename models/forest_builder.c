#include "models/forest_builder.h"
#include <math.h>
#include <stdio.h>
#include "models/forest_planes.h"

/* Whether it is the value of a float (or no number). */
static bool is_float(double x) { return !((double)(float)x != x) || isnan(x); }

enum draft_kind { NOT_GIVEN, TEST, MEMBER, LEAF };

/* A node as the file names it, until its tree is whole. */
struct draft {
    uint8_t kind, test, rounding; /* enum draft_kind, oz_forest_test, oz_forest_rounding */
    bool missing_true, reached;
    uint32_t feature, if_true, if_false;
    uint32_t first, n; /* MEMBER: in builder->set; weighted LEAF: first in forest->weight */
    double value;      /* threshold or leaf */
};

struct oz_forest_builder {
    struct oz_forest *forest;
    struct oz_forest_planes planes;
    size_t cap_nodes, cap_trees, cap_weights;
    double *exact; /* [n_nodes] of ranked tests: their thresholds, until all are known */
    size_t cap_exact;
    struct draft *draft;
    uint32_t *queue; /* file numbers in the order of their places */
    double *set;     /* members of this tree's sets */
    double *chain;   /* members of the test that is being placed */
    size_t cap_draft, cap_queue, cap_set, cap_chain, n_set;
    uint32_t n_ids, n_given, n_absorbed, group, root;
    const int64_t *name;
    bool in_tree, is_weighted, is_ranked;
};

enum oz_status oz_forest_builder_new_form(const struct oz_forest_form *form,
                                          struct oz_forest_builder **ret_builder,
                                          struct oz_error *err)
{
    OZ_ASSERT(form->n_features && form->n_groups);
    OZ_ASSERT(form->is_weighted || form->aggregate == OZ_FOREST_SUM);
    struct oz_forest_builder *builder = oz_calloc(1, sizeof *builder);
    if (!builder) return oz_no_memory(err);
    struct oz_forest *forest = builder->forest = oz_calloc(1, sizeof *forest);
    bool is_whole = forest != NULL;
    if (is_whole && !form->is_weighted) {
        forest->base_margin = oz_calloc(form->n_groups, sizeof *forest->base_margin);
        is_whole = forest->base_margin;
    }
    if (is_whole && form->is_weighted && form->base) {
        forest->base = oz_calloc(form->n_groups, sizeof *forest->base);
        is_whole = forest->base;
    }
    if (!is_whole) {
        oz_forest_builder_free(builder);
        return oz_no_memory(err);
    }
    forest->n_features = form->n_features;
    forest->n_groups = form->n_groups;
    forest->aggregate = form->aggregate;
    builder->is_weighted = form->is_weighted;
    builder->is_ranked = form->is_ranked;
    for (uint32_t g = 0; form->base && g < form->n_groups; g++) {
        if (forest->base_margin) forest->base_margin[g] = (float)form->base[g];
        if (forest->base) forest->base[g] = form->base[g];
        if (!is_float(form->base[g])) forest->weighs_doubles = true;
    }
    *ret_builder = builder;
    return OZ_OK;
}

enum oz_status oz_forest_builder_new(uint32_t n_features, uint32_t n_groups,
                                     const float *base_margin,
                                     struct oz_forest_builder **ret_builder, struct oz_error *err)
{
    const struct oz_forest_form form = {.n_features = n_features, .n_groups = n_groups};
    OZ_TRY(oz_forest_builder_new_form(&form, ret_builder, err));
    memcpy((*ret_builder)->forest->base_margin, base_margin, n_groups * sizeof *base_margin);
    return OZ_OK;
}

void oz_forest_builder_free(struct oz_forest_builder *builder)
{
    if (!builder) return;
    oz_forest_free(builder->forest);
    oz_forest_planes_clear(&builder->planes);
    oz_free(builder->exact);
    oz_free(builder->draft);
    oz_free(builder->queue);
    oz_free(builder->set);
    oz_free(builder->chain);
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
    builder->n_given = builder->n_absorbed = 0;
    builder->n_set = 0;
    builder->root = 0;
    builder->name = NULL;
    builder->group = (uint32_t)group;
    builder->in_tree = true;
    return OZ_OK;
}

void oz_forest_builder_name_nodes(struct oz_forest_builder *builder, uint32_t root,
                                  const int64_t *name)
{
    OZ_ASSERT(builder->in_tree && root < builder->n_ids);
    builder->root = root;
    builder->name = name;
}

/* What messages call a node. */
struct words {
    char text[32];
};
static struct words words_of(const struct oz_forest_builder *builder, int64_t id)
{
    struct words words;
    bool is_named = builder->name && id >= 0 && id < builder->n_ids;
    long long name = is_named ? builder->name[id] : id;
    if (is_named && name < 0)
        snprintf(words.text, sizeof words.text, "leaf %lld", ~name);
    else
        snprintf(words.text, sizeof words.text, "node %lld", name);
    return words;
}
#define WORDS(id) words_of(builder, id).text

static enum oz_status give(struct oz_forest_builder *builder, int64_t id, struct draft draft,
                           struct oz_error *err)
{
    OZ_ASSERT(builder->in_tree);
    if (id < 0 || id >= builder->n_ids)
        OZ_FAIL(err, OZ_MODEL, "there is no node %lld, nodes are 0 to %u", (long long)id,
                builder->n_ids - 1);
    if (builder->draft[id].kind != NOT_GIVEN)
        OZ_FAIL(err, OZ_MODEL, "%s is given twice", WORDS(id));
    builder->draft[id] = draft;
    builder->n_given++;
    return OZ_OK;
}

static enum oz_status check_child(const struct oz_forest_builder *builder, int64_t id,
                                  const char *side, int64_t child, struct oz_error *err)
{
    if (child < 0 || child >= builder->n_ids)
        OZ_FAIL(err, OZ_MODEL, "%s: its %s child is node %lld, nodes are 0 to %u", WORDS(id), side,
                (long long)child, builder->n_ids - 1);
    return OZ_OK;
}

static enum oz_status check_branch(const struct oz_forest_builder *builder, int64_t id,
                                   const struct oz_forest_branch *branch, const char *const side[2],
                                   struct oz_error *err)
{
    if (branch->feature < 0 || branch->feature >= builder->forest->n_features)
        OZ_FAIL(err, OZ_MODEL, "%s: tests feature %lld, but the model has %u", WORDS(id),
                (long long)branch->feature, builder->forest->n_features);
    OZ_TRY(check_child(builder, id, side[0], branch->if_true, err));
    return check_child(builder, id, side[1], branch->if_false, err);
}

static struct draft draft_of(const struct oz_forest_branch *branch, enum draft_kind kind)
{
    return (struct draft){.kind = (uint8_t)kind,
                          .missing_true = branch->missing_true,
                          .feature = (uint32_t)branch->feature,
                          .if_true = (uint32_t)branch->if_true,
                          .if_false = (uint32_t)branch->if_false};
}

static const char *const sides[] = {"left", "right"};
static const char *const answers[] = {"true", "false"};

enum oz_status oz_forest_builder_test(struct oz_forest_builder *builder, int64_t id,
                                      int64_t feature, float threshold, bool default_left,
                                      int64_t left, int64_t right, struct oz_error *err)
{
    OZ_ASSERT(!builder->is_ranked);
    const struct oz_forest_branch branch = {feature, default_left, left, right};
    OZ_TRY(check_branch(builder, id, &branch, sides, err));
    if (isnan(threshold)) OZ_FAIL(err, OZ_MODEL, "%s: its threshold is not a number", WORDS(id));
    struct draft draft = draft_of(&branch, TEST);
    draft.test = OZ_FOREST_LT;
    draft.rounding = OZ_FOREST_NEAREST;
    draft.value = (double)threshold;
    return give(builder, id, draft, err);
}

enum oz_status oz_forest_builder_compare(struct oz_forest_builder *builder, int64_t id,
                                         const struct oz_forest_branch *branch,
                                         enum oz_forest_test test, double threshold,
                                         struct oz_error *err)
{
    OZ_ASSERT(builder->is_ranked || is_float(threshold));
    OZ_TRY(check_branch(builder, id, branch, answers, err));
    if (isnan(threshold)) OZ_FAIL(err, OZ_MODEL, "%s: its threshold is not a number", WORDS(id));
    struct draft draft = draft_of(branch, TEST);
    draft.test = (uint8_t)test;
    draft.rounding = test == OZ_FOREST_LT || test == OZ_FOREST_GE   ? OZ_FOREST_DOWN
                     : test == OZ_FOREST_LE || test == OZ_FOREST_GT ? OZ_FOREST_UP
                                                                    : OZ_FOREST_EXACT;
    draft.value = threshold;
    return give(builder, id, draft, err);
}

enum oz_status oz_forest_builder_member(struct oz_forest_builder *builder, int64_t id,
                                        const struct oz_forest_branch *branch, const double *member,
                                        size_t n_members, struct oz_error *err)
{
    OZ_TRY(check_branch(builder, id, branch, answers, err));
    if (n_members > OZ_FOREST_NODES_MAX || builder->n_set + n_members > UINT32_MAX)
        OZ_FAIL(err, OZ_MODEL, "%s: its set has more than %d members", WORDS(id),
                OZ_FOREST_NODES_MAX);
    OZ_TRY(oz_grow((void **)&builder->set, &builder->cap_set, builder->n_set + n_members,
                   sizeof *builder->set, err));
    struct draft draft = draft_of(branch, MEMBER);
    draft.first = (uint32_t)builder->n_set;
    draft.n = (uint32_t)n_members;
    for (size_t i = 0; i < n_members; i++) {
        OZ_ASSERT(builder->is_ranked || is_float(member[i]));
        if (isnan(member[i]))
            OZ_FAIL(err, OZ_MODEL, "%s: a member of its set is not a number", WORDS(id));
        builder->set[builder->n_set++] = member[i];
    }
    return give(builder, id, draft, err);
}

enum oz_status oz_forest_builder_leaf(struct oz_forest_builder *builder, int64_t id, float value,
                                      struct oz_error *err)
{
    OZ_ASSERT(!builder->is_weighted);
    if (!isfinite(value)) OZ_FAIL(err, OZ_MODEL, "%s: its leaf value is not finite", WORDS(id));
    return give(builder, id, (struct draft){.kind = LEAF, .value = (double)value}, err);
}

enum oz_status oz_forest_builder_weights(struct oz_forest_builder *builder, int64_t id,
                                         const int64_t *group, const double *weight, size_t n,
                                         struct oz_error *err)
{
    struct oz_forest *forest = builder->forest;
    OZ_ASSERT(builder->is_weighted);
    if (n == 0) OZ_FAIL(err, OZ_MODEL, "%s is a leaf without a weight", WORDS(id));
    if (n > OZ_FOREST_WEIGHTS_MAX - forest->n_weights)
        OZ_FAIL(err, OZ_MODEL, "the leaves have more than %d weights", OZ_FOREST_WEIGHTS_MAX);
    OZ_TRY(oz_grow((void **)&forest->weight, &builder->cap_weights, forest->n_weights + n,
                   sizeof *forest->weight, err));
    struct draft draft = {.kind = LEAF, .first = forest->n_weights};
    for (size_t i = 0; i < n; i++) {
        if (group[i] < 0 || group[i] >= forest->n_groups)
            OZ_FAIL(err, OZ_MODEL, "%s: adds to output %lld, but the model has %u", WORDS(id),
                    (long long)group[i], forest->n_groups);
        if (!isfinite(weight[i]))
            OZ_FAIL(err, OZ_MODEL, "%s: its leaf value is not finite", WORDS(id));
        if (!is_float(weight[i])) forest->weighs_doubles = true;
        forest->weight[forest->n_weights++] =
            (struct oz_forest_weight){.value = weight[i] + 0.0, /* never -0.0 */
                                      .group = (uint32_t)group[i],
                                      .is_last = i + 1 == n};
    }
    return give(builder, id, draft, err);
}

/* Gives the file's node the next place in the queue. */
static enum oz_status reach(struct oz_forest_builder *builder, uint32_t id, uint32_t *n_queued,
                            struct oz_error *err)
{
    struct draft *draft = &builder->draft[id];
    if (draft->kind == NOT_GIVEN)
        OZ_FAIL(err, OZ_MODEL, "%s is part of the tree, but deleted or missing", WORDS(id));
    if (draft->reached)
        OZ_FAIL(err, OZ_MODEL, "%s is reached twice, so this is not a tree", WORDS(id));
    draft->reached = true;
    builder->queue[(*n_queued)++] = id;
    return OZ_OK;
}

static bool asks_for_members(const struct draft *draft)
{
    return draft->kind == MEMBER || (draft->kind == TEST && draft->test == OZ_FOREST_EQ);
}

static enum oz_status add_members(struct oz_forest_builder *builder, const struct draft *draft,
                                  size_t *n_members, struct oz_error *err)
{
    size_t n = draft->kind == MEMBER ? draft->n : 1;
    OZ_TRY(oz_grow((void **)&builder->chain, &builder->cap_chain, *n_members + n + 1,
                   sizeof *builder->chain, err));
    if (draft->kind != MEMBER)
        builder->chain[*n_members] = draft->value;
    else if (n)
        memcpy(&builder->chain[*n_members], &builder->set[draft->first],
               n * sizeof *builder->chain);
    *n_members += n;
    return OZ_OK;
}

/* The draft's members and those of the nodes that continue it; these count as reached. A missing
 * value that any of them sends to the true child ends there. Returns the last one's false child. */
static enum oz_status follow_chain(struct oz_forest_builder *builder, struct draft *draft,
                                   size_t *ret_n_members, struct oz_error *err)
{
    *ret_n_members = 0;
    OZ_TRY(add_members(builder, draft, ret_n_members, err));
    for (;;) {
        struct draft *next = &builder->draft[draft->if_false];
        if (!asks_for_members(next) || next == draft || next->feature != draft->feature ||
            next->if_true != draft->if_true)
            break;
        if (next->reached)
            OZ_FAIL(err, OZ_MODEL, "%s is reached twice, so this is not a tree",
                    WORDS(draft->if_false));
        next->reached = true;
        builder->n_absorbed++;
        OZ_TRY(add_members(builder, next, ret_n_members, err));
        draft->missing_true |= next->missing_true;
        draft->if_false = next->if_false;
    }
    if (draft->missing_true) builder->chain[(*ret_n_members)++] = (double)NAN;
    return OZ_OK;
}

/* "Is it a member" reads a plane that holds the answer. */
static enum oz_status place_members(struct oz_forest_builder *builder, struct draft *draft,
                                    struct oz_forest_node *ret_node, struct oz_error *err)
{
    struct oz_forest_plane plane = {.feature = draft->feature,
                                    .nan_key = OZ_FOREST_KEY_NAN_LOW,
                                    .kind = builder->is_ranked ? OZ_FOREST_PLANE_RANKS
                                                               : OZ_FOREST_PLANE_KEYS,
                                    .rounding = builder->is_ranked ? 0 : OZ_FOREST_EXACT};
    size_t n_members = 0;
    uint32_t number;
    if (draft->kind == TEST && draft->test == OZ_FOREST_NE)
        OZ_TRY(add_members(builder, draft, &n_members, err)); /* a missing value is none */
    else
        OZ_TRY(follow_chain(builder, draft, &n_members, err));
    OZ_TRY(oz_forest_plane_for(&builder->planes, builder->forest, &plane, NULL, 0, &plane.source,
                               err));
    plane.kind = OZ_FOREST_PLANE_MEMBERS;
    OZ_TRY(oz_forest_plane_for(&builder->planes, builder->forest, &plane, builder->chain, n_members,
                               &number, err));
    *ret_node = (struct oz_forest_node){.key = 1, .plane = number * OZ_FOREST_TILE_ROWS};
    return OZ_OK;
}

/* Every comparison as "below goes left"; true is left unless *is_swapped. */
static enum oz_status place_comparison(struct oz_forest_builder *builder, const struct draft *draft,
                                       uint32_t at, struct oz_forest_node *ret_node,
                                       struct oz_error *err)
{
    bool with_equal = draft->test == OZ_FOREST_LE || draft->test == OZ_FOREST_GT;
    bool is_swapped = draft->test == OZ_FOREST_GT || draft->test == OZ_FOREST_GE;
    struct oz_forest_plane plane = {
        .feature = draft->feature,
        .nan_key =
            draft->missing_true != is_swapped ? OZ_FOREST_KEY_NAN_LOW : OZ_FOREST_KEY_NAN_HIGH,
        .kind = builder->is_ranked ? OZ_FOREST_PLANE_RANKS : OZ_FOREST_PLANE_KEYS,
        .rounding = builder->is_ranked ? 0 : draft->rounding};
    uint32_t number;
    OZ_TRY(oz_forest_plane_for(&builder->planes, builder->forest, &plane, NULL, 0, &number, err));
    *ret_node = (struct oz_forest_node){.plane = number * OZ_FOREST_TILE_ROWS};
    if (builder->is_ranked) { /* finish_ranks() adds twice the rank */
        ret_node->key = 1 + with_equal;
        builder->exact[builder->forest->n_nodes + at] = draft->value;
    } else {
        ret_node->key = oz_forest_key((float)draft->value) + with_equal;
    }
    return OZ_OK;
}

static enum oz_status place(struct oz_forest_builder *builder, struct oz_forest_node *ret_node,
                            uint32_t at, uint32_t *n_queued, struct oz_error *err)
{
    struct draft *draft = &builder->draft[builder->queue[at]];
    if (draft->kind == LEAF) {
        *ret_node = (struct oz_forest_node){.key = OZ_FOREST_KEY_NAN_LOW, .left = at - 1};
        if (builder->is_weighted)
            ret_node->weight = draft->first;
        else
            ret_node->value = (float)draft->value;
        return OZ_OK;
    }
    bool is_not = draft->kind == TEST && draft->test == OZ_FOREST_NE;
    if (is_not || asks_for_members(draft))
        OZ_TRY(place_members(builder, draft, ret_node, err));
    else
        OZ_TRY(place_comparison(builder, draft, at, ret_node, err));
    bool is_swapped = is_not || (draft->kind == TEST &&
                                 (draft->test == OZ_FOREST_GT || draft->test == OZ_FOREST_GE));
    ret_node->left = *n_queued;
    OZ_TRY(reach(builder, is_swapped ? draft->if_false : draft->if_true, n_queued, err));
    return reach(builder, is_swapped ? draft->if_true : draft->if_false, n_queued, err);
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
    if (builder->is_ranked)
        OZ_TRY(oz_grow((void **)&builder->exact, &builder->cap_exact,
                       forest->n_nodes + builder->n_given, sizeof *builder->exact, err));
    OZ_TRY(reach(builder, builder->root, &n_queued, err));
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
    if (n_queued + builder->n_absorbed != builder->n_given) {
        uint32_t id = 0;
        while (builder->draft[id].kind == NOT_GIVEN || builder->draft[id].reached) id++;
        OZ_FAIL(err, OZ_MODEL, "%s cannot be reached from the root", WORDS(id));
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

/* Thresholds are known now, so ranks are. */
static enum oz_status finish_ranks(struct oz_forest_builder *builder, struct oz_error *err)
{
    struct oz_forest *forest = builder->forest;
    size_t n_cuts = 0;
    struct oz_forest_cut *cut = oz_calloc((size_t)forest->n_nodes + forest->n_members, sizeof *cut);
    if (!cut) return oz_no_memory(err);
    for (uint32_t i = 0; i < forest->n_nodes; i++) {
        const struct oz_forest_plane *plane =
            &forest->plane[forest->node[i].plane / OZ_FOREST_TILE_ROWS];
        if (forest->node[i].key != OZ_FOREST_KEY_NAN_LOW && plane->kind == OZ_FOREST_PLANE_RANKS)
            cut[n_cuts++] = (struct oz_forest_cut){builder->exact[i], plane->feature};
    }
    enum oz_status status = oz_forest_planes_rank(&builder->planes, forest, cut, n_cuts, err);
    oz_free(cut);
    OZ_TRY(status);
    for (uint32_t i = 0; i < forest->n_nodes; i++) {
        struct oz_forest_node *node = &forest->node[i];
        const struct oz_forest_plane *plane = &forest->plane[node->plane / OZ_FOREST_TILE_ROWS];
        if (node->key != OZ_FOREST_KEY_NAN_LOW && plane->kind == OZ_FOREST_PLANE_RANKS)
            node->key += (int32_t)(2 * oz_forest_rank_of(forest, plane, builder->exact[i]));
    }
    return OZ_OK;
}

enum oz_status oz_forest_builder_finish(struct oz_forest_builder *builder,
                                        struct oz_forest **ret_forest, struct oz_error *err)
{
    struct oz_forest *forest = builder->forest;
    OZ_ASSERT(!builder->in_tree);
    if (!forest->n_trees) OZ_FAIL(err, OZ_MODEL, "the model has no trees: it was never trained");
    if (!forest->n_planes) { /* leaves read plane 0, so there is one even when nothing is tested */
        const struct oz_forest_plane any = {.nan_key = OZ_FOREST_KEY_NAN_LOW};
        uint32_t plane;
        OZ_TRY(oz_forest_plane_for(&builder->planes, forest, &any, NULL, 0, &plane, err));
    }
    if (builder->is_ranked) OZ_TRY(finish_ranks(builder, err));
    OZ_TRY(oz_forest_planes_finish(&builder->planes, forest, err));
    forest->node = smaller(forest->node, forest->n_nodes * sizeof *forest->node);
    forest->tree = smaller(forest->tree, forest->n_trees * sizeof *forest->tree);
    forest->plane = smaller(forest->plane, forest->n_planes * sizeof *forest->plane);
    if (forest->weight)
        forest->weight = smaller(forest->weight, forest->n_weights * sizeof *forest->weight);
    builder->forest = NULL;
    *ret_forest = forest;
    return OZ_OK;
}
