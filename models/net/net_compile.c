/* From a graph as the file has it to one that runs, pass by pass over the nodes in their order:
 *   read     each operator reads its attributes; what it does not ask for is refused
 *   fold     a node whose inputs are all known runs now, once, and its outputs become constants
 *   fuse     neighbours become one operator (net_fuse.c)
 *   drop     what nobody reads goes
 *   prepare  operators pack constant inputs
 *   number   the nodes get their steps, the order of running */
#include <string.h>
#include "models/net/exec_state.h"
#include "models/net/fuse_isolation.h"
#include "models/net/net_fuse.h"

enum {
    VARIADIC = 64,    /* operators with more outputs than this make those that are named */
    OPTIONAL_MAX = 8, /* operators with more inputs than this have no optional ones */
};
#define FOLDED_BYTES_MAX ((size_t)256 << 20)

/* Calls `visit` for the nodes of a graph, those of bodies after the node that has them. */
typedef enum oz_status visit_fn(struct oz_net *net, struct oz_node *node, void *ctx,
                                struct oz_error *err);

static enum oz_status each_node(struct oz_net *net, struct oz_graph *graph, visit_fn *visit,
                                void *ctx, struct oz_error *err)
{
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        struct oz_node *node = &graph->node[i];
        enum oz_status status = visit(net, node, ctx, err);
        if (status == OZ_MODEL) oz_node_prefix(node, err);
        OZ_TRY(status);
        for (uint32_t a = 0; a < node->n_attributes; a++)
            if (node->attribute[a].kind == OZ_ATTRIBUTE_GRAPH)
                OZ_TRY(each_node(net, node->attribute[a].graph, visit, ctx, err));
    }
    return OZ_OK;
}

/* ---- read ---- */

static enum oz_status check_counts(const struct oz_node *node, struct oz_error *err)
{
    const struct oz_op *op = node->op;
    uint32_t n_inputs = node->n_inputs;
    while (n_inputs && node->input[n_inputs - 1] == OZ_NO_VALUE) n_inputs--;
    if (n_inputs > op->max_inputs || n_inputs < op->min_inputs)
        OZ_FAIL(err, OZ_MODEL, "it has %u inputs, %u to %u are served", n_inputs, op->min_inputs,
                op->max_inputs);
    /* Of many inputs none may be left out; Loop looks itself which of its own. */
    uint32_t n_needed = op->min_inputs;
    if (op->max_inputs > OPTIONAL_MAX && n_needed) n_needed = node->n_inputs;
    for (uint32_t i = 0; i < n_needed; i++)
        if (node->input[i] == OZ_NO_VALUE) OZ_FAIL(err, OZ_MODEL, "its input %u is left out", i);
    uint32_t n_outputs = node->n_outputs;
    while (n_outputs && node->output[n_outputs - 1] == OZ_NO_VALUE) n_outputs--;
    if (n_outputs > op->max_outputs || n_outputs < op->min_outputs)
        OZ_FAIL(err, OZ_MODEL, "it has %u outputs, %u to %u are served", n_outputs, op->min_outputs,
                op->max_outputs);
    return OZ_OK;
}

static enum oz_status add_spares(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    node->n_spare = node->op->max_outputs > VARIADIC
                        ? node->n_outputs
                        : OZ_MAX((uint32_t)node->op->max_outputs, node->n_outputs);
    node->spare = oz_arena_get(&net->arena, (node->n_spare + 1) * sizeof *node->spare);
    if (!node->spare) return oz_no_memory(err);
    for (uint32_t k = 0; k < node->n_spare; k++) {
        node->spare[k] = OZ_NO_VALUE;
        if (!oz_exec_is_wanted(node, k)) OZ_TRY(oz_net_add_value(net, "", &node->spare[k], err));
    }
    return OZ_OK;
}

static enum oz_status read_node(struct oz_net *net, struct oz_node *node, void *ctx,
                                struct oz_error *err)
{
    (void)ctx;
    OZ_TRY(check_counts(node, err));
    OZ_TRY(add_spares(net, node, err));
    if (node->op->compile) OZ_TRY(node->op->compile(net, node, err));
    for (uint32_t a = 0; a < node->n_attributes; a++)
        if (!node->attribute[a].used)
            OZ_FAIL(err, OZ_MODEL, "its attribute `%.100s` is not served", node->attribute[a].name);
    return OZ_OK;
}

enum oz_status oz_net_read_node(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    return read_node(net, node, NULL, err);
}

/* ---- fold ---- */

static bool is_foldable(const struct oz_net *net, const struct oz_node *node)
{
    for (uint32_t a = 0; a < node->n_attributes; a++)
        if (node->attribute[a].kind == OZ_ATTRIBUTE_GRAPH) return false;
    for (uint32_t i = 0; i < node->n_inputs; i++)
        if (node->input[i] != OZ_NO_VALUE && !net->value[node->input[i]].constant) return false;
    return true;
}

static enum oz_status fold_node(struct oz_net *net, struct oz_node *node, void *ctx,
                                struct oz_error *err)
{
    struct oz_exec *exec = ctx;
    if (!is_foldable(net, node)) return OZ_OK;
    exec->planner->is_over = false;
    exec->scratch_used = 0;
    OZ_TRY(oz_exec_known_node(exec, node, err));
    /* Too much memory: the node stays, and is planned like any other. */
    if (exec->planner->is_over) return OZ_OK;
    for (uint32_t k = 0; k < node->n_outputs; k++) {
        if (!oz_exec_is_wanted(node, k)) continue;
        const struct oz_tensor *tensor = &exec->value[node->output[k]];
        struct oz_tensor *kept = oz_arena_zeroed(&net->arena, 1, sizeof *kept);
        if (!kept) return oz_no_memory(err);
        *kept = *tensor;
        net->value[node->output[k]].constant = kept;
    }
    return OZ_OK;
}

enum oz_status oz_net_fold(struct oz_net *net, struct oz_error *err)
{
    struct oz_arena temporary;
    struct oz_planner planner = {.data = &net->arena,
                                 .data_bytes_max =
                                     OZ_MIN(FOLDED_BYTES_MAX, (size_t)net->memory_bytes_max)};
    struct oz_exec exec = {.net = net, .planner = &planner};
    oz_arena_init(&temporary, 1 << 14);
    planner.value_bytes = oz_arena_zeroed(&temporary, (size_t)net->n_values + 1, 8);
    planner.root = oz_arena_zeroed(&temporary, (size_t)net->n_values + 1, sizeof(uint32_t));
    planner.scratch_bytes = oz_arena_zeroed(&temporary, (size_t)net->n_nodes + 1, 8);
    exec.value = oz_arena_zeroed(&temporary, (size_t)net->n_values + 1, sizeof *exec.value);
    enum oz_status status = OZ_NO_MEMORY;
    if (planner.value_bytes && planner.root && planner.scratch_bytes && exec.value)
        status = each_node(net, &net->graph, fold_node, &exec, err);
    else
        oz_no_memory(err);
    net->weight_bytes += planner.data_bytes;
    oz_arena_clear(&temporary);
    return status;
}

/* ---- drop ---- */

static void mark_graph(const struct oz_graph *graph, bool *is_read)
{
    for (uint32_t i = 0; i < graph->n_outputs; i++) is_read[graph->output[i]] = true;
    for (uint32_t i = graph->n_nodes; i-- > 0;) {
        const struct oz_node *node = &graph->node[i];
        for (uint32_t k = 0; k < node->n_inputs; k++)
            if (node->input[k] != OZ_NO_VALUE) is_read[node->input[k]] = true;
        for (uint32_t a = 0; a < node->n_attributes; a++)
            if (node->attribute[a].kind == OZ_ATTRIBUTE_GRAPH)
                mark_graph(node->attribute[a].graph, is_read);
    }
}

static bool is_needed(const struct oz_net *net, const struct oz_node *node, const bool *is_read)
{
    for (uint32_t k = 0; k < node->n_outputs; k++)
        if (oz_exec_is_wanted(node, k) && !net->value[node->output[k]].constant &&
            is_read[node->output[k]])
            return true;
    return false;
}

/* Backwards: a node is needed when something behind it, or the graph's end, reads what it makes. A
 * body counts as reading all that its nodes read. */
static void drop_in(const struct oz_net *net, struct oz_graph *graph, bool *is_read)
{
    uint32_t kept = graph->n_nodes;
    for (uint32_t i = graph->n_nodes; i-- > 0;) {
        struct oz_node *node = &graph->node[i];
        if (!is_needed(net, node, is_read)) continue;
        for (uint32_t k = 0; k < node->n_inputs; k++)
            if (node->input[k] != OZ_NO_VALUE) is_read[node->input[k]] = true;
        for (uint32_t a = 0; a < node->n_attributes; a++)
            if (node->attribute[a].kind == OZ_ATTRIBUTE_GRAPH) {
                mark_graph(node->attribute[a].graph, is_read);
                drop_in(net, node->attribute[a].graph, is_read);
            }
        graph->node[--kept] = *node;
    }
    memmove(graph->node, graph->node + kept, (graph->n_nodes - kept) * sizeof *graph->node);
    graph->n_nodes -= kept;
}

enum oz_status oz_net_drop(struct oz_net *net, struct oz_error *err)
{
    bool *is_read = oz_calloc((size_t)net->n_values + 1, sizeof *is_read);
    if (!is_read) return oz_no_memory(err);
    for (uint32_t i = 0; i < net->graph.n_outputs; i++) is_read[net->graph.output[i]] = true;
    drop_in(net, &net->graph, is_read);
    oz_free(is_read);
    return OZ_OK;
}

/* ---- prepare and number ---- */

static enum oz_status prepare_node(struct oz_net *net, struct oz_node *node, void *ctx,
                                   struct oz_error *err)
{
    (void)ctx;
    return node->op->prepare ? node->op->prepare(net, node, err) : OZ_OK;
}

static void number_nodes(struct oz_graph *graph, uint32_t *n_nodes, uint32_t *step)
{
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        struct oz_node *node = &graph->node[i];
        node->number = (*n_nodes)++;
        node->start = ++*step;
        for (uint32_t a = 0; a < node->n_attributes; a++)
            if (node->attribute[a].kind == OZ_ATTRIBUTE_GRAPH)
                number_nodes(node->attribute[a].graph, n_nodes, step);
        node->end = ++*step;
    }
}

enum oz_status oz_net_compile(struct oz_net *net, struct oz_error *err)
{
    OZ_TRY(each_node(net, &net->graph, read_node, NULL, err));
    OZ_TRY(oz_net_fold(net, err));
    OZ_TRY(oz_net_drop(net, err));
    bool is_changed;
    OZ_TRY(oz_fuse_isolation_forests(net, &is_changed, err));
    if (is_changed) OZ_TRY(oz_net_drop(net, err));
    OZ_TRY(oz_net_fuse(net, err));
    OZ_TRY(oz_net_drop(net, err));
    OZ_TRY(each_node(net, &net->graph, prepare_node, NULL, err));
    uint32_t step = 0;
    net->n_nodes = 0;
    number_nodes(&net->graph, &net->n_nodes, &step);
    return OZ_OK;
}
