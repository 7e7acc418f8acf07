#include "models/net/tree_attributes.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

bool oz_tree_is_float(double x) { return isnan(x) || !((double)(float)x != x); }

enum oz_status oz_tree_numbers_of(const struct oz_tensor *tensor, const char *name,
                                  struct oz_tree_numbers *ret_numbers, struct oz_error *err)
{
    *ret_numbers = (struct oz_tree_numbers){.n = (size_t)tensor->n};
    if (!oz_dtype_is_float((enum oz_dtype)tensor->dtype))
        OZ_FAIL(err, OZ_MODEL, "its attribute `%s` has the type %s, served are float and double",
                name, oz_dtype_word((enum oz_dtype)tensor->dtype));
    if (tensor->dtype == OZ_DTYPE_F64)
        ret_numbers->f64 = tensor->f64;
    else
        ret_numbers->f32 = tensor->f32;
    return OZ_OK;
}

enum oz_status oz_tree_get_numbers(struct oz_node *node, const char *name, const char *tensor_name,
                                   struct oz_tree_numbers *ret_numbers, struct oz_error *err)
{
    const struct oz_tensor *tensor = NULL;
    *ret_numbers = (struct oz_tree_numbers){0};
    OZ_TRY(oz_attr_floats(node, name, &ret_numbers->f32, &ret_numbers->n, err));
    if (tensor_name) OZ_TRY(oz_attr_tensor(node, tensor_name, &tensor, err));
    if (!tensor || tensor->n == 0) return OZ_OK;
    if (ret_numbers->n)
        OZ_FAIL(err, OZ_MODEL, "its attributes `%s` and `%s` both have values", name, tensor_name);
    return oz_tree_numbers_of(tensor, tensor_name, ret_numbers, err);
}

/* A list of `n` integers; `n` 0 is set by the first one. */
static enum oz_status get_ints(struct oz_node *node, const char *name, size_t *n,
                               const int64_t **ret_v, struct oz_error *err)
{
    size_t n_found;
    OZ_TRY(oz_attr_ints(node, name, ret_v, &n_found, err));
    if (!*n) *n = n_found;
    if (n_found != *n)
        OZ_FAIL(err, OZ_MODEL, "its attribute `%s` has %zu values for %zu", name, n_found, *n);
    return OZ_OK;
}

static const char *const mode_words[] = {"BRANCH_LEQ", "BRANCH_LT",  "BRANCH_GTE", "BRANCH_GT",
                                         "BRANCH_EQ",  "BRANCH_NEQ", NULL,         "LEAF"};

static bool mode_of(const struct oz_str *word, enum oz_tree_mode *ret_mode)
{
    for (size_t i = 0; i < OZ_COUNT_OF(mode_words); i++)
        if (mode_words[i] && strlen(mode_words[i]) == word->len &&
            !memcmp(mode_words[i], word->data, word->len)) {
            *ret_mode = (enum oz_tree_mode)i;
            return true;
        }
    return false;
}

/* Checks what needs no structure, and finds what the trees ask for. */
static enum oz_status survey(struct oz_tree_attributes *a, struct oz_error *err)
{
    int64_t last_feature = 0;
    for (size_t i = 0; i < a->n_nodes; i++) {
        enum oz_tree_mode mode;
        if (!mode_of(&a->mode[i], &mode))
            OZ_FAIL(err, OZ_MODEL,
                    "tree %lld: node %lld: its mode is \"%.*s\", served are BRANCH_LEQ, BRANCH_LT, "
                    "BRANCH_GTE, BRANCH_GT, BRANCH_EQ, BRANCH_NEQ and LEAF",
                    (long long)a->tree[i], (long long)a->id[i], (int)OZ_MIN(a->mode[i].len, 64u),
                    a->mode[i].data);
        if (a->missing_true && a->missing_true[i] != 0 && a->missing_true[i] != 1)
            OZ_FAIL(err, OZ_MODEL,
                    "tree %lld: node %lld: nodes_missing_value_tracks_true is %lld, not 0 or 1",
                    (long long)a->tree[i], (long long)a->id[i], (long long)a->missing_true[i]);
        if (mode == OZ_TREE_LEAF) continue;
        if (a->feature[i] < 0 || a->feature[i] >= INT32_MAX)
            OZ_FAIL(err, OZ_MODEL, "tree %lld: node %lld: tests feature %lld",
                    (long long)a->tree[i], (long long)a->id[i], (long long)a->feature[i]);
        last_feature = OZ_MAX(last_feature, a->feature[i]);
        if (!oz_tree_is_float(oz_tree_number(&a->value, i))) a->is_ranked = true;
    }
    a->n_features = (uint32_t)last_feature + 1;
    return OZ_OK;
}

static const char *name_of(char to[64], const char *prefix, const char *suffix)
{
    snprintf(to, 64, "%s_%s", prefix, suffix);
    return to;
}

static enum oz_status read_weights(struct oz_node *node, const char *prefix,
                                   struct oz_tree_attributes *a, struct oz_error *err)
{
    char name[64], tensor_name[64];
    OZ_TRY(get_ints(node, name_of(name, prefix, "treeids"), &a->n_weights, &a->weight_tree, err));
    OZ_TRY(get_ints(node, name_of(name, prefix, "nodeids"), &a->n_weights, &a->weight_id, err));
    OZ_TRY(get_ints(node, name_of(name, prefix, "ids"), &a->n_weights, &a->weight_output, err));
    OZ_TRY(oz_tree_get_numbers(node, name_of(name, prefix, "weights"),
                               name_of(tensor_name, prefix, "weights_as_tensor"), &a->weight, err));
    if (a->weight.n != a->n_weights)
        OZ_FAIL(err, OZ_MODEL, "its attribute `%s` has %zu values for %zu", name, a->weight.n,
                a->n_weights);
    return OZ_OK;
}

enum oz_status oz_tree_read(struct oz_node *node, const char *prefix,
                            struct oz_tree_attributes *ret_attributes, struct oz_error *err)
{
    struct oz_tree_attributes a = {0};
    size_t n_modes, n_missing;
    OZ_TRY(get_ints(node, "nodes_treeids", &a.n_nodes, &a.tree, err));
    if (!a.n_nodes) OZ_FAIL(err, OZ_MODEL, "it has no nodes: its trees are missing");
    if (a.n_nodes > OZ_FOREST_NODES_MAX)
        OZ_FAIL(err, OZ_MODEL, "it has more than %d nodes", OZ_FOREST_NODES_MAX);
    OZ_TRY(get_ints(node, "nodes_nodeids", &a.n_nodes, &a.id, err));
    OZ_TRY(get_ints(node, "nodes_featureids", &a.n_nodes, &a.feature, err));
    OZ_TRY(get_ints(node, "nodes_truenodeids", &a.n_nodes, &a.if_true, err));
    OZ_TRY(get_ints(node, "nodes_falsenodeids", &a.n_nodes, &a.if_false, err));
    OZ_TRY(oz_attr_ints(node, "nodes_missing_value_tracks_true", &a.missing_true, &n_missing, err));
    if (!n_missing) a.missing_true = NULL;
    if (n_missing && n_missing != a.n_nodes)
        OZ_FAIL(err, OZ_MODEL,
                "its attribute `nodes_missing_value_tracks_true` has %zu values for %zu", n_missing,
                a.n_nodes);
    OZ_TRY(oz_attr_strings(node, "nodes_modes", &a.mode, &n_modes, err));
    OZ_TRY(oz_tree_get_numbers(node, "nodes_values", "nodes_values_as_tensor", &a.value, err));
    if (n_modes != a.n_nodes || a.value.n != a.n_nodes)
        OZ_FAIL(err, OZ_MODEL, "it has %zu nodes, but %zu modes and %zu values", a.n_nodes, n_modes,
                a.value.n);
    oz_attr_ignore(node, "nodes_hitrates");
    oz_attr_ignore(node, "nodes_hitrates_as_tensor");
    OZ_TRY(read_weights(node, prefix, &a, err));
    OZ_TRY(oz_tree_get_numbers(node, "base_values", "base_values_as_tensor", &a.base, err));
    OZ_TRY(survey(&a, err));
    *ret_attributes = a;
    return OZ_OK;
}

enum oz_status oz_tree_base(const struct oz_tree_numbers *base, uint32_t n_outputs,
                            double **ret_base, struct oz_error *err)
{
    *ret_base = NULL;
    if (!base->n) return OZ_OK;
    if (base->n != n_outputs)
        OZ_FAIL(err, OZ_MODEL, "it has %zu base values for %u outputs", base->n, n_outputs);
    double *values = oz_calloc(n_outputs, sizeof *values);
    if (!values) return oz_no_memory(err);
    for (uint32_t i = 0; i < n_outputs; i++) {
        values[i] = oz_tree_number(base, i);
        if (!isfinite(values[i])) {
            oz_free(values);
            OZ_FAIL(err, OZ_MODEL, "its base value %u is not finite", i);
        }
    }
    *ret_base = values;
    return OZ_OK;
}

/* A node or a weight of the file, to be found by tree and number. */
struct place {
    int64_t tree, id;
    size_t index; /* in the attributes */
};

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->tree != y->tree) return x->tree < y->tree ? -1 : 1;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

struct span {                     /* one tree */
    size_t first, n, first_index; /* in `node`; where the file begins it */
    size_t root;                  /* in `node`, from first on */
    size_t first_weight;          /* in `weight` */
};

static int compare_spans(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return (x->first_index > y->first_index) - (x->first_index < y->first_index);
}

/* Nodes and weights sorted by tree and number: the arrays by which trees are given. */
struct sorted {
    struct place *node, *weight;
    struct span *span;
    size_t n_spans, n_weights;
    int64_t *name;   /* [of the largest tree] */
    int64_t *output; /* [of the leaf with most weights], as value */
    double *value;
    size_t cap_output, cap_value;
};

static void clear_sorted(struct sorted *sorted)
{
    oz_free(sorted->node);
    oz_free(sorted->weight);
    oz_free(sorted->span);
    oz_free(sorted->name);
    oz_free(sorted->output);
    oz_free(sorted->value);
}

static enum oz_status find_spans(struct sorted *s, size_t n_nodes, struct oz_error *err)
{
    size_t largest = 0, w = 0;
    for (size_t i = 0; i < n_nodes; i++) {
        const struct place *node = &s->node[i];
        if (i && node[-1].tree == node->tree && node[-1].id == node->id)
            OZ_FAIL(err, OZ_MODEL, "tree %lld: node %lld is given twice", (long long)node->tree,
                    (long long)node->id);
        if (!i || node[-1].tree != node->tree)
            s->span[s->n_spans++] = (struct span){.first = i, .first_index = SIZE_MAX};
        struct span *span = &s->span[s->n_spans - 1];
        if (node->index < span->first_index) span->first_index = node->index, span->root = i;
        span->n++;
        largest = OZ_MAX(largest, span->n);
    }
    for (size_t t = 0; t < s->n_spans; t++) {
        int64_t tree = s->node[s->span[t].first].tree;
        if (w < s->n_weights && s->weight[w].tree < tree)
            OZ_FAIL(err, OZ_MODEL, "a weight is for tree %lld, which has no nodes",
                    (long long)s->weight[w].tree);
        s->span[t].first_weight = w;
        while (w < s->n_weights && s->weight[w].tree == tree) w++;
    }
    if (w < s->n_weights)
        OZ_FAIL(err, OZ_MODEL, "a weight is for tree %lld, which has no nodes",
                (long long)s->weight[w].tree);
    qsort(s->span, s->n_spans, sizeof *s->span, compare_spans);
    s->name = oz_calloc(largest, sizeof *s->name);
    return s->name ? OZ_OK : oz_no_memory(err);
}

static enum oz_status sort_attributes(const struct oz_tree_attributes *a, struct sorted *s,
                                      struct oz_error *err)
{
    s->node = oz_calloc(a->n_nodes, sizeof *s->node);
    s->weight = oz_calloc(OZ_MAX(a->n_weights, 1), sizeof *s->weight);
    s->span = oz_calloc(a->n_nodes, sizeof *s->span);
    if (!s->node || !s->weight || !s->span) return oz_no_memory(err);
    for (size_t i = 0; i < a->n_nodes; i++) s->node[i] = (struct place){a->tree[i], a->id[i], i};
    for (size_t i = 0; i < a->n_weights; i++)
        s->weight[i] = (struct place){a->weight_tree[i], a->weight_id[i], i};
    s->n_weights = a->n_weights;
    qsort(s->node, a->n_nodes, sizeof *s->node, compare_places);
    if (a->n_weights > 1) qsort(s->weight, a->n_weights, sizeof *s->weight, compare_places);
    return find_spans(s, a->n_nodes, err);
}

/* The number that the builder knows a child by: its place in the tree's span. */
static enum oz_status find_child(const struct sorted *s, const struct span *span, int64_t parent,
                                 const char *side, int64_t id, int64_t *ret_child,
                                 struct oz_error *err)
{
    size_t low = span->first, high = span->first + span->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->node[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == span->first + span->n || s->node[low].id != id)
        OZ_FAIL(err, OZ_MODEL, "node %lld: its %s child is node %lld, which the tree does not have",
                (long long)parent, side, (long long)id);
    *ret_child = (int64_t)(low - span->first);
    return OZ_OK;
}

static enum oz_status give_branch(const struct oz_tree_attributes *a,
                                  const struct oz_tree_change *change, const struct sorted *s,
                                  const struct span *span, const struct place *node,
                                  enum oz_tree_mode mode, struct oz_forest_builder *builder,
                                  struct oz_error *err)
{
    static const enum oz_forest_test tests[] = {OZ_FOREST_LE, OZ_FOREST_LT, OZ_FOREST_GE,
                                                OZ_FOREST_GT, OZ_FOREST_EQ, OZ_FOREST_NE};
    size_t i = node->index;
    int64_t feature = a->feature[i];
    struct oz_forest_branch branch = {
        .feature = change && change->feature ? change->feature[feature] : feature,
        .missing_true = a->missing_true && a->missing_true[i]};
    OZ_TRY(find_child(s, span, node->id, "true", a->if_true[i], &branch.if_true, err));
    OZ_TRY(find_child(s, span, node->id, "false", a->if_false[i], &branch.if_false, err));
    return oz_forest_builder_compare(builder, node - &s->node[span->first], &branch, tests[mode],
                                     oz_tree_number(&a->value, i), err);
}

/* weight[first, first + n) are the leaf's. */
static enum oz_status give_leaf(const struct oz_tree_attributes *a,
                                const struct oz_tree_change *change, struct sorted *s,
                                int64_t number, size_t first, size_t n,
                                struct oz_forest_builder *builder, struct oz_error *err)
{
    if (change && change->leaf) {
        OZ_ASSERT(n == 1);
        return oz_forest_builder_leaf(builder, number, change->leaf[s->weight[first].index], err);
    }
    OZ_TRY(oz_grow((void **)&s->output, &s->cap_output, n, sizeof *s->output, err));
    OZ_TRY(oz_grow((void **)&s->value, &s->cap_value, n, sizeof *s->value, err));
    for (size_t i = 0; i < n; i++) {
        size_t index = s->weight[first + i].index;
        s->output[i] = a->weight_output[index];
        s->value[i] = oz_tree_number(&a->weight, index);
    }
    return oz_forest_builder_weights(builder, number, s->output, s->value, n, err);
}

/* Weights of branches are skipped: old converters wrote such, and they change nothing. */
static enum oz_status give_tree(const struct oz_tree_attributes *a,
                                const struct oz_tree_change *change, struct sorted *s,
                                const struct span *span, struct oz_forest_builder *builder,
                                struct oz_error *err)
{
    size_t w = span->first_weight;
    OZ_TRY(oz_forest_builder_begin_tree(builder, span->n, 0, err));
    for (size_t i = 0; i < span->n; i++) s->name[i] = s->node[span->first + i].id;
    oz_forest_builder_name_nodes(builder, (uint32_t)(span->root - span->first), s->name);
    for (size_t i = 0; i < span->n; i++) {
        const struct place *node = &s->node[span->first + i];
        enum oz_tree_mode mode = OZ_TREE_LEAF;
        size_t first = w;
        while (w < s->n_weights && s->weight[w].tree == node->tree && s->weight[w].id <= node->id)
            if (s->weight[w++].id != node->id)
                OZ_FAIL(err, OZ_MODEL, "a weight is for node %lld, which the tree does not have",
                        (long long)s->weight[w - 1].id);
        mode_of(&a->mode[node->index], &mode);
        if (mode == OZ_TREE_LEAF)
            OZ_TRY(give_leaf(a, change, s, (int64_t)i, first, w - first, builder, err));
        else
            OZ_TRY(give_branch(a, change, s, span, node, mode, builder, err));
    }
    if (w < s->n_weights && s->weight[w].tree == s->node[span->first].tree)
        OZ_FAIL(err, OZ_MODEL, "a weight is for node %lld, which the tree does not have",
                (long long)s->weight[w].id);
    return oz_forest_builder_end_tree(builder, err);
}

enum oz_status oz_tree_add(const struct oz_tree_attributes *attributes,
                           const struct oz_tree_change *change, struct oz_forest_builder *builder,
                           struct oz_error *err)
{
    struct sorted sorted = {0};
    enum oz_status status = sort_attributes(attributes, &sorted, err);
    for (size_t t = 0; status == OZ_OK && t < sorted.n_spans; t++) {
        const struct span *span = &sorted.span[t];
        status = give_tree(attributes, change, &sorted, span, builder, err);
        if (status == OZ_MODEL)
            oz_error_prefix(err, "tree %lld", (long long)sorted.node[span->first].tree);
    }
    clear_sorted(&sorted);
    return status;
}
