#include "models/net/fuse_isolation.h"
#include <math.h>
#include "models/net/net_fuse.h"
#include "models/net/op_tree.h"
#include "models/net/tree_attributes.h"

enum { CONE_NODES_MAX = 128, CONE_ARGS_MAX = 8, NO_NODE = -1 };

/* Operators whose output has the shape of their inputs, [rows x 1] here, and row r of it comes from
 * row r of these; other inputs are constants of one element. */
static const char *const row_by_row[] = {
    "Abs",        "Add",          "And",   "Cast",        "Ceil",    "Clip",
    "Div",        "Equal",        "Exp",   "Floor",       "Greater", "GreaterOrEqual",
    "Identity",   "LabelEncoder", "Less",  "LessOrEqual", "Log",     "Max",
    "Min",        "Mul",          "Neg",   "Not",         "Or",      "Pow",
    "Reciprocal", "Reshape",      "Round", "Sign",        "Sqrt",    "Sub",
    "Where",      "Xor"};

/* The nodes between a tree and an input of the Sum, from the last to the first. */
struct cone {
    const struct oz_node *node[CONE_NODES_MAX];
    uint32_t n_nodes;
    struct oz_node *tree;
};

struct matched { /* one input of a Sum */
    struct oz_node *tree;
    const int64_t *column; /* which columns of the rows the tree sees, or NULL: all */
    size_t n_columns;
    struct oz_tree_attributes attributes;
    float *leaf; /* [attributes.n_weights] */
};

struct fusing {
    struct oz_net *net;
    int32_t *maker;            /* [net->n_values]: the node of the main graph that makes it */
    bool *is_taken;            /* [graph.n_nodes]: trees that were tried */
    struct oz_arena temporary; /* of one Sum */
};

static bool is_op(const struct oz_node *node, enum oz_domain domain, const char *name)
{
    return node && node->op->domain == domain && !strcmp(node->op->name, name);
}

static struct oz_node *maker_of(const struct fusing *f, uint32_t value)
{
    int32_t at = value == OZ_NO_VALUE ? NO_NODE : f->maker[value];
    return at == NO_NODE ? NULL : &f->net->graph.node[at];
}

/* One tree, one target, one weight for each leaf, nothing done to the sum. */
static bool is_single_tree(const struct oz_node *node)
{
    if (!is_op(node, OZ_DOMAIN_ML, "TreeEnsembleRegressor")) return false;
    const struct oz_tree_state *state = node->state;
    const struct oz_forest *forest = state->forest;
    return forest->n_trees == 1 && forest->n_groups == 1 && state->rule.post != OZ_POST_PROBIT &&
           forest->n_weights == (forest->n_nodes + 1) / 2;
}

/* Reshape keeps [rows x 1] when it asks for [-1, 1]. */
static bool keeps_rows(const struct oz_net *net, const struct oz_node *node)
{
    const struct oz_tensor *shape = oz_node_constant(net, node, 1);
    return node->n_inputs == 2 && shape && shape->dtype == OZ_DTYPE_I64 && shape->n == 2 &&
           shape->i64[0] == -1 && shape->i64[1] == 1;
}

static bool is_row_by_row(const struct oz_net *net, const struct oz_node *node)
{
    if (node->op->domain == OZ_DOMAIN_OURS || node->n_inputs > CONE_ARGS_MAX ||
        node->n_outputs != 1 || node->output[0] == OZ_NO_VALUE)
        return false;
    if (!strcmp(node->op->name, "Reshape")) return keeps_rows(net, node);
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        const struct oz_tensor *constant = oz_node_constant(net, node, i);
        if (constant && (constant->n != 1 || constant->rank > 2)) return false;
    }
    for (size_t i = 0; i < OZ_COUNT_OF(row_by_row); i++)
        if (!strcmp(node->op->name, row_by_row[i])) return true;
    return false;
}

static bool is_in(const struct cone *cone, const struct oz_node *node)
{
    for (uint32_t i = 0; i < cone->n_nodes; i++)
        if (cone->node[i] == node) return true;
    return false;
}

static bool take_input(const struct fusing *f, uint32_t value, struct cone *cone)
{
    if (value == OZ_NO_VALUE || f->net->value[value].constant) return true;
    struct oz_node *node = maker_of(f, value);
    if (!node) return false;
    if (is_single_tree(node)) {
        if (cone->tree && cone->tree != node) return false;
        cone->tree = node;
        return true;
    }
    if (is_in(cone, node)) return true;
    if (cone->n_nodes == CONE_NODES_MAX || !is_row_by_row(f->net, node)) return false;
    cone->node[cone->n_nodes++] = node;
    return true;
}

/* The main graph is in order, so its places are the order in which the cone's nodes run. */
static void put_in_order(struct cone *cone)
{
    for (uint32_t i = 1; i < cone->n_nodes; i++) {
        const struct oz_node *node = cone->node[i];
        uint32_t at = i;
        for (; at && cone->node[at - 1] > node; at--) cone->node[at] = cone->node[at - 1];
        cone->node[at] = node;
    }
}

/* Everything that an input of the Sum is made of. */
static bool find_cone(const struct fusing *f, uint32_t value, struct cone *cone)
{
    *cone = (struct cone){0};
    if (!take_input(f, value, cone)) return false;
    for (uint32_t i = 0; i < cone->n_nodes; i++)
        for (uint32_t k = 0; k < cone->node[i]->n_inputs; k++)
            if (!take_input(f, cone->node[i]->input[k], cone)) return false;
    if (cone->tree) put_in_order(cone);
    return cone->tree != NULL;
}

/* The number that a value has in the small net, which it gets now if it has none. */
static uint32_t local_value(const struct fusing *f, struct oz_net *small, uint32_t *known,
                            uint32_t value)
{
    if (value == OZ_NO_VALUE) return value;
    uint32_t i = 0;
    while (i < small->n_values && known[i] != value) i++;
    if (i == small->n_values) {
        known[i] = value;
        small->value[i].constant = f->net->value[value].constant;
        small->n_values++;
    }
    return i;
}

/* The cone as a net of its own, whose input is a constant: folding it computes the rest. */
static enum oz_status make_small_net(struct fusing *f, const struct cone *cone,
                                     const struct oz_tensor *leaf, uint32_t end,
                                     struct oz_net *small, uint32_t *ret_end, struct oz_error *err)
{
    size_t most = (size_t)cone->n_nodes * (CONE_ARGS_MAX + 1) + 2;
    uint32_t *known = oz_arena_zeroed(&f->temporary, most, sizeof *known);
    small->value = oz_arena_zeroed(&f->temporary, most, sizeof *small->value);
    small->graph.node = oz_arena_zeroed(&f->temporary, cone->n_nodes + 1u, sizeof(struct oz_node));
    if (!known || !small->value || !small->graph.node) return oz_no_memory(err);
    small->value[local_value(f, small, known, cone->tree->output[0])].constant = leaf;
    for (uint32_t i = 0; i < cone->n_nodes; i++) {
        const struct oz_node *from = cone->node[i];
        struct oz_node *to = &small->graph.node[i];
        *to = *from;
        to->number = i;
        to->input = oz_arena_zeroed(&f->temporary, from->n_inputs + 2u, sizeof *to->input);
        if (!to->input) return oz_no_memory(err);
        for (uint32_t k = 0; k < from->n_inputs; k++)
            to->input[k] = local_value(f, small, known, from->input[k]);
        to->output = &to->input[from->n_inputs];
        to->output[0] = local_value(f, small, known, from->output[0]);
    }
    small->graph.n_nodes = small->n_nodes = cone->n_nodes;
    *ret_end = local_value(f, small, known, end);
    return OZ_OK;
}

/* What the tree's operator gives for each of its weights. */
static struct oz_tensor *leaf_values(struct fusing *f, const struct matched *m)
{
    const struct oz_tree_state *state = m->tree->state;
    struct oz_tensor *leaf = oz_arena_zeroed(&f->temporary, 1, sizeof *leaf);
    const int64_t dim[2] = {(int64_t)m->attributes.n_weights, 1};
    if (!leaf || oz_tensor_shape(leaf, OZ_DTYPE_F32, 2, dim, NULL) != OZ_OK) return NULL;
    leaf->data = oz_arena_get(&f->temporary, m->attributes.n_weights * sizeof(float));
    for (size_t i = 0; leaf->data && i < m->attributes.n_weights; i++) {
        double sum = oz_tree_number(&m->attributes.weight, i) + 0.0;
        if (state->forest->base) sum += state->forest->base[0];
        leaf->f32[i] = (float)(sum + 0.0);
    }
    return leaf->data ? leaf : NULL;
}

/* Runs the cone for every leaf; *ret_fits is false when it cannot be, or gives no finite floats. */
static enum oz_status evaluate(struct fusing *f, const struct cone *cone, uint32_t end,
                               struct matched *m, bool *ret_fits, struct oz_error *err)
{
    struct oz_net small;
    uint32_t last = 0;
    struct oz_tensor *leaf = leaf_values(f, m);
    *ret_fits = false;
    if (!leaf) return oz_no_memory(err);
    oz_net_init(&small);
    enum oz_status status = make_small_net(f, cone, leaf, end, &small, &last, err);
    if (status == OZ_OK) status = oz_net_fold(&small, err);
    const struct oz_tensor *result = status == OZ_OK ? small.value[last].constant : NULL;
    if (status == OZ_MODEL) status = OZ_OK; /* running it will say so */
    if (result && result->dtype == OZ_DTYPE_F32 && oz_tensor_same_shape(result, leaf)) {
        m->leaf = oz_arena_get(&f->temporary, (size_t)result->n * sizeof(float));
        if (!m->leaf) status = oz_no_memory(err);
        *ret_fits = m->leaf != NULL;
        for (int64_t i = 0; m->leaf && i < result->n; i++) {
            m->leaf[i] = result->f32[i];
            *ret_fits &= isfinite(m->leaf[i]) != 0;
        }
    }
    small.value = NULL; /* the temporary arena's */
    oz_net_clear(&small);
    return status;
}

/* The rows behind a Gather of columns; *ret_value is what the Gather reads. */
static bool find_rows(const struct fusing *f, struct matched *m, uint32_t *ret_value)
{
    uint32_t value = m->tree->input[0];
    struct oz_node *gather = maker_of(f, value);
    *ret_value = value;
    if (!is_op(gather, OZ_DOMAIN_ONNX, "Gather")) return true;
    const struct oz_tensor *columns = oz_node_constant(f->net, gather, 1);
    int64_t axis;
    if (!columns || columns->dtype != OZ_DTYPE_I64 || columns->rank != 1) return true;
    if (oz_attr_i64(gather, "axis", 0, &axis, NULL) != OZ_OK || axis != 1) return true;
    for (int64_t i = 0; i < columns->n; i++)
        if (columns->i64[i] < 0 || columns->i64[i] >= INT32_MAX) return true;
    m->column = columns->i64;
    m->n_columns = (size_t)columns->n;
    *ret_value = gather->input[0];
    return m->n_columns >= m->attributes.n_features;
}

/* Every input of the Sum is a function of a tree of its own, over the same rows. */
static enum oz_status match(struct fusing *f, const struct oz_node *sum, struct matched *matched,
                            uint32_t *ret_rows, bool *ret_fits, struct oz_error *err)
{
    *ret_fits = false;
    for (uint32_t i = 0; i < sum->n_inputs; i++) {
        struct cone cone;
        struct matched *m = &matched[i];
        uint32_t rows;
        if (sum->input[i] == OZ_NO_VALUE || !find_cone(f, sum->input[i], &cone)) return OZ_OK;
        m->tree = cone.tree;
        bool *is_taken = &f->is_taken[cone.tree - f->net->graph.node];
        if (*is_taken) return OZ_OK;
        *is_taken = true; /* so that the work is bounded by the file's size */
        OZ_TRY(oz_tree_read(m->tree, "target", &m->attributes, err));
        const struct oz_tree_state *state = m->tree->state;
        if (m->attributes.n_weights != state->forest->n_weights) return OZ_OK;
        if (!find_rows(f, m, &rows) || (i && rows != *ret_rows)) return OZ_OK;
        *ret_rows = rows;
        bool fits;
        OZ_TRY(evaluate(f, &cone, sum->input[i], m, &fits, err));
        if (!fits) return OZ_OK;
    }
    *ret_fits = sum->n_inputs > 0;
    return OZ_OK;
}

static enum oz_status give_trees(const struct matched *matched, uint32_t n,
                                 struct oz_forest_builder *builder, struct oz_error *err)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct oz_tree_change change = {.feature = matched[i].column,
                                              .leaf = matched[i].leaf};
        OZ_TRY(oz_tree_add(&matched[i].attributes, &change, builder, err));
    }
    return OZ_OK;
}

/* The rows must be as wide as the widest Gather or tree asks for. */
static struct oz_forest_form form_for(const struct matched *matched, uint32_t n)
{
    static const double nothing = -0.0; /* what changes no sum, not even that of -0.0 */
    struct oz_forest_form form = {.n_features = 1, .n_groups = 1, .base = &nothing};
    for (uint32_t i = 0; i < n; i++) {
        const struct matched *m = &matched[i];
        form.is_ranked |= m->attributes.is_ranked;
        if (!m->column) form.n_features = OZ_MAX(form.n_features, m->attributes.n_features);
        for (size_t c = 0; c < m->n_columns; c++)
            form.n_features = OZ_MAX(form.n_features, (uint32_t)m->column[c] + 1);
    }
    return form;
}

static enum oz_status fuse_sum(struct fusing *f, struct oz_node *sum, bool *changed,
                               struct oz_error *err)
{
    bool fits;
    uint32_t rows = OZ_NO_VALUE;
    struct matched *matched = oz_arena_zeroed(&f->temporary, sum->n_inputs + 1u, sizeof *matched);
    if (!matched) return oz_no_memory(err);
    OZ_TRY(match(f, sum, matched, &rows, &fits, err));
    if (!fits) return OZ_OK;
    const struct oz_forest_form form = form_for(matched, sum->n_inputs);
    struct oz_forest_builder *builder = NULL;
    struct oz_forest *forest = NULL;
    OZ_TRY(oz_forest_builder_new_form(&form, &builder, err));
    enum oz_status status = give_trees(matched, sum->n_inputs, builder, err);
    if (status == OZ_OK) status = oz_forest_builder_finish(builder, &forest, err);
    oz_forest_builder_free(builder);
    if (status == OZ_MODEL) return OZ_OK; /* beyond a limit of forests */
    OZ_TRY(status);
    uint32_t *input = oz_arena_zeroed(&f->net->arena, 1, sizeof *input);
    struct oz_tree_state *state = oz_arena_zeroed(&f->net->arena, 1, sizeof *state);
    if (!input || !state) {
        oz_forest_free(forest);
        return oz_no_memory(err);
    }
    OZ_TRY(oz_tree_keep(f->net, forest, &state->forest, err));
    *input = rows;
    sum->op = oz_op_find(OZ_DOMAIN_OURS, "Forest");
    sum->opset = 1;
    sum->input = input;
    sum->n_inputs = 1;
    sum->state = state;
    *changed = true;
    return OZ_OK;
}

static enum oz_status fuse_all(struct fusing *f, bool *changed, struct oz_error *err)
{
    struct oz_graph *graph = &f->net->graph;
    f->maker = oz_malloc((f->net->n_values + 1u) * sizeof *f->maker);
    f->is_taken = oz_calloc(graph->n_nodes + 1u, sizeof *f->is_taken);
    if (!f->maker || !f->is_taken) return oz_no_memory(err);
    for (uint32_t v = 0; v < f->net->n_values; v++) f->maker[v] = NO_NODE;
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        for (uint32_t k = 0; k < graph->node[i].n_outputs; k++)
            if (oz_exec_is_wanted(&graph->node[i], k))
                f->maker[graph->node[i].output[k]] = (int32_t)i;
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        if (!is_op(&graph->node[i], OZ_DOMAIN_ONNX, "Sum")) continue;
        oz_arena_reset(&f->temporary);
        OZ_TRY(fuse_sum(f, &graph->node[i], changed, err));
    }
    return OZ_OK;
}

enum oz_status oz_fuse_isolation_forests(struct oz_net *net, bool *ret_changed,
                                         struct oz_error *err)
{
    struct fusing f = {.net = net};
    *ret_changed = false;
    oz_arena_init(&f.temporary, 1 << 14);
    enum oz_status status = fuse_all(&f, ret_changed, err);
    oz_free(f.maker);
    oz_free(f.is_taken);
    oz_arena_clear(&f.temporary);
    return status;
}
