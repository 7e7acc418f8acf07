/* Planning: a run without data (exec.h) tells how large every value gets; the order of the nodes
 * tells from when until when it is needed. Values whose times do not overlap may share memory.
 *
 * Times are steps: oz_node.start and end, which count the nodes in the order of running, bodies in
 * between. A value lives from the start of the node that makes it to the end of the last one that
 * reads it; one that is read inside a body of a node beside it lives until that node's end, because
 * a body may run again. What shares another's memory (a view) makes that one live as long.
 * Places are given in the order of the starts, each the first gap that is wide enough. */
#include <stdlib.h>
#include <string.h>
#include "models/net/exec_state.h"

enum { ALIGN = 64 };
#define FOR_EVER UINT32_MAX
enum { CROWD = 1024 }; /* so many pieces at a time are placed well, more are placed fast */
#define PLAN_DATA_BYTES_MAX ((size_t)64 << 20)

struct life {
    uint32_t first, last; /* first == FOR_EVER: never made */
    uint32_t depth;       /* of the graph that makes it */
};

/* A piece of memory to be placed: a value or a node's scratch. */
struct piece {
    uint64_t n_bytes, *ret_offset;
    uint32_t first, last;
};

struct planning {
    const struct oz_net *net;
    struct oz_planner planner;
    struct oz_arena temporary;
    struct life *life; /* [n_values] */
    struct piece *piece;
    size_t n_pieces;
    uint32_t owner_end[OZ_NET_GRAPH_DEPTH_MAX + 1]; /* of the node whose body is at this depth */
};

static void read_at(struct planning *plan, uint32_t value, uint32_t depth, uint32_t step)
{
    /* Views first have their own life, which is added to their root's at the end. */
    struct life *life = &plan->life[value];
    uint32_t until = depth > life->depth ? plan->owner_end[life->depth + 1] : step;
    life->last = OZ_MAX(life->last, until);
}

static void made_at(struct planning *plan, uint32_t value, uint32_t depth, uint32_t first,
                    uint32_t last)
{
    plan->life[value] = (struct life){first, last, depth};
}

/* Recursion is bounded by OZ_NET_GRAPH_DEPTH_MAX, which the reader checks. */
static void live_in(struct planning *plan, const struct oz_graph *graph, uint32_t depth,
                    uint32_t start, uint32_t end)
{
    for (uint32_t i = 0; i < graph->n_inputs; i++)
        made_at(plan, graph->input[i], depth, start, end);
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        const struct oz_node *node = &graph->node[i];
        for (uint32_t k = 0; k < node->n_inputs; k++)
            if (node->input[k] != OZ_NO_VALUE) read_at(plan, node->input[k], depth, node->end);
        for (uint32_t k = 0; k < node->n_spare; k++)
            made_at(plan, oz_exec_is_wanted(node, k) ? node->output[k] : node->spare[k], depth,
                    node->start, node->end);
        for (uint32_t a = 0; a < node->n_attributes; a++) {
            if (node->attribute[a].kind != OZ_ATTRIBUTE_GRAPH) continue;
            plan->owner_end[depth + 1] = node->end;
            live_in(plan, node->attribute[a].graph, depth + 1, node->start, node->end);
        }
    }
    for (uint32_t i = 0; i < graph->n_outputs; i++) {
        struct life *life = &plan->life[graph->output[i]];
        uint32_t until = depth ? end : FOR_EVER;
        if (depth > life->depth && depth) until = plan->owner_end[life->depth + 1];
        life->last = OZ_MAX(life->last, until);
    }
}

static void join_views(struct planning *plan)
{
    for (uint32_t v = 0; v < plan->net->n_values; v++) {
        uint32_t root = plan->planner.root[v];
        if (root == OZ_NO_VALUE || root == v) continue;
        plan->life[root].last = OZ_MAX(plan->life[root].last, plan->life[v].last);
    }
}

static int by_first(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    if (x->n_bytes != y->n_bytes) return x->n_bytes > y->n_bytes ? -1 : 1;
    return x->ret_offset < y->ret_offset ? -1 : x->ret_offset > y->ret_offset;
}

/* The pieces that live now, by offset. */
struct placed {
    uint64_t offset, end;
    uint32_t last;
};

static enum oz_status place(struct planning *plan, struct oz_arena *arena, uint64_t start,
                            uint64_t *ret_end, struct oz_error *err)
{
    struct placed *placed = oz_arena_get(arena, (plan->n_pieces + 1) * sizeof *placed);
    size_t n = 0, n_new = 0;
    if (!placed) return oz_no_memory(err);
    qsort(plan->piece, plan->n_pieces, sizeof *plan->piece, by_first);
    *ret_end = start;
    for (size_t i = 0; i < plan->n_pieces; i++) {
        const struct piece *piece = &plan->piece[i];
        size_t kept = 0, at;
        if (n < CROWD || n_new > n / 8) {
            for (size_t k = 0; k < n; k++)
                if (placed[k].last >= piece->first) placed[kept++] = placed[k];
            n = kept, n_new = 0;
        }
        uint64_t offset = start, n_bytes = (piece->n_bytes + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
        at = n < CROWD ? 0 : n - 1;
        for (; at < n && (n >= CROWD || placed[at].offset - offset < n_bytes); at++)
            offset = placed[at].end;
        if (n_bytes > plan->net->memory_bytes_max || offset > plan->net->memory_bytes_max - n_bytes)
            OZ_FAIL(err, OZ_MODEL, "a run wants more than %llu bytes of memory",
                    (unsigned long long)plan->net->memory_bytes_max);
        memmove(&placed[at + 1], &placed[at], (n - at) * sizeof *placed);
        placed[at] = (struct placed){offset, offset + n_bytes, piece->last};
        n++, n_new++;
        *piece->ret_offset = offset;
        *ret_end = OZ_MAX(*ret_end, offset + n_bytes);
    }
    return OZ_OK;
}

static enum oz_status dry_run(struct planning *plan, const struct oz_tensor *input,
                              struct oz_exec *exec, struct oz_error *err)
{
    const struct oz_net *net = plan->net;
    struct oz_planner *planner = &plan->planner;
    planner->data = &plan->temporary;
    planner->data_bytes_max = OZ_MIN(PLAN_DATA_BYTES_MAX, (size_t)net->memory_bytes_max);
    planner->value_bytes = oz_arena_zeroed(&plan->temporary, net->n_values + 1, 8);
    planner->root = oz_arena_get(&plan->temporary, (net->n_values + 1) * sizeof(uint32_t));
    planner->scratch_bytes = oz_arena_zeroed(&plan->temporary, net->n_nodes + 1, 8);
    planner->scratch_is_kept = oz_arena_zeroed(&plan->temporary, net->n_nodes + 1, sizeof(bool));
    planner->dtype = oz_arena_zeroed(&plan->temporary, net->n_values + 1, 1);
    *exec = (struct oz_exec){.net = net, .planner = planner};
    exec->value = oz_arena_zeroed(&plan->temporary, net->n_values + 1, sizeof *exec->value);
    if (!planner->value_bytes || !planner->root || !planner->scratch_bytes ||
        !planner->scratch_is_kept || !planner->dtype || !exec->value)
        return oz_no_memory(err);
    memset(planner->dtype, OZ_DTYPE_COUNT, net->n_values); /* none */
    memset(planner->root, 0xff, net->n_values * sizeof(uint32_t));
    for (uint32_t i = 0; i < net->graph.n_inputs; i++) {
        exec->value[net->graph.input[i]] = input[i];
        planner->dtype[net->graph.input[i]] = input[i].dtype;
    }
    return oz_exec_graph(exec, &net->graph, err);
}

static void add_piece(struct planning *plan, uint64_t n_bytes, uint32_t first, uint32_t last,
                      uint64_t *ret_offset)
{
    plan->piece[plan->n_pieces++] = (struct piece){n_bytes, ret_offset, first, last};
}

static enum oz_status collect_scratch(struct planning *plan, struct oz_net_plan *ret,
                                      const struct oz_graph *graph, struct oz_error *err)
{
    const bool is_body = graph != &plan->net->graph;
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        const struct oz_node *node = &graph->node[i];
        uint64_t n_bytes = plan->planner.scratch_bytes[node->number];
        bool is_kept = plan->planner.scratch_is_kept[node->number];
        ret->scratch_bytes[node->number] = n_bytes;
        if (is_kept && is_body) {
            oz_error_set(err, OZ_MODEL, "makes texts in the body of a Loop, Scan or If");
            return oz_node_prefix(node, err);
        }
        if (n_bytes)
            add_piece(plan, n_bytes, node->start, is_kept ? FOR_EVER : node->end,
                      &ret->scratch_offset[node->number]);
        for (uint32_t a = 0; a < node->n_attributes; a++)
            if (node->attribute[a].kind == OZ_ATTRIBUTE_GRAPH)
                OZ_TRY(collect_scratch(plan, ret, node->attribute[a].graph, err));
    }
    return OZ_OK;
}

static enum oz_status make_plan(struct planning *plan, const struct oz_tensor *input,
                                struct oz_arena *arena, struct oz_net_plan *ret,
                                struct oz_error *err)
{
    const struct oz_net *net = plan->net;
    struct oz_exec exec;
    OZ_TRY(dry_run(plan, input, &exec, err));
    plan->life = oz_arena_zeroed(&plan->temporary, net->n_values + 1, sizeof *plan->life);
    plan->piece = oz_arena_get(&plan->temporary,
                               ((size_t)net->n_values + net->n_nodes + 1) * sizeof *plan->piece);
    ret->offset = oz_arena_zeroed(arena, net->n_values + 1, 8);
    ret->cap_bytes = oz_arena_zeroed(arena, net->n_values + 1, 8);
    ret->dtype = oz_arena_zeroed(arena, net->n_values + 1, 1);
    ret->scratch_offset = oz_arena_zeroed(arena, net->n_nodes + 1, 8);
    ret->scratch_bytes = oz_arena_zeroed(arena, net->n_nodes + 1, 8);
    ret->output = oz_arena_zeroed(arena, net->graph.n_outputs + 1, sizeof *ret->output);
    if (!plan->life || !plan->piece || !ret->offset || !ret->cap_bytes || !ret->dtype ||
        !ret->scratch_offset || !ret->scratch_bytes || !ret->output)
        return oz_no_memory(err);
    memcpy(ret->dtype, plan->planner.dtype, net->n_values);
    live_in(plan, &net->graph, 0, 0, FOR_EVER);
    join_views(plan);
    for (uint32_t v = 0; v < net->n_values; v++) {
        ret->cap_bytes[v] = plan->planner.value_bytes[v];
        if (ret->cap_bytes[v])
            add_piece(plan, ret->cap_bytes[v], plan->life[v].first, plan->life[v].last,
                      &ret->offset[v]);
    }
    OZ_TRY(collect_scratch(plan, ret, &net->graph, err));
    uint64_t start =
        ((net->n_values + 1) * sizeof(struct oz_tensor) + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
    uint64_t end = start;
    OZ_TRY(place(plan, &plan->temporary, start, &end, err));
    ret->net = net;
    ret->memory_bytes = end + ALIGN; /* an empty value has an address too */
    ret->value_bytes = end - start;
    for (uint32_t i = 0; i < net->graph.n_outputs; i++) {
        ret->output[i] = *oz_exec_value(&exec, net->graph.output[i]);
        if (!net->value[net->graph.output[i]].constant) ret->output[i].data = NULL;
    }
    return OZ_OK;
}

enum oz_status oz_net_plan(const struct oz_net *net, const struct oz_tensor *input,
                           struct oz_arena *arena, struct oz_net_plan *ret_plan,
                           struct oz_error *err)
{
    struct planning plan = {.net = net};
    *ret_plan = (struct oz_net_plan){0};
    oz_arena_init(&plan.temporary, 1 << 16);
    enum oz_status status = make_plan(&plan, input, arena, ret_plan, err);
    oz_arena_clear(&plan.temporary);
    return status;
}
