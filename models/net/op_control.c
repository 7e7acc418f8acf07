#include <string.h>
#include "models/net/op_body.h"
#include "models/net/op_tables.h"

struct branches {
    const struct oz_graph *of[2]; /* else, then */
};

static enum oz_status compile_if(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct branches *branches = oz_node_state(net, node, sizeof *branches);
    if (!branches) return oz_no_memory(err);
    OZ_TRY(oz_body_find(node, "else_branch", &branches->of[0], err));
    OZ_TRY(oz_body_find(node, "then_branch", &branches->of[1], err));
    for (int i = 0; i < 2; i++)
        if (branches->of[i]->n_inputs || branches->of[i]->n_outputs != node->n_outputs)
            OZ_FAIL(err, OZ_MODEL, "a branch has %u inputs and %u outputs, expected 0 and %u",
                    branches->of[i]->n_inputs, branches->of[i]->n_outputs, node->n_outputs);
    return OZ_OK;
}

static enum oz_status take_branch(struct oz_exec *exec, const struct oz_node *node, bool which,
                                  struct oz_error *err)
{
    const struct branches *branches = node->state;
    const struct oz_graph *graph = branches->of[which];
    OZ_TRY(oz_exec_graph(exec, graph, err));
    for (uint32_t k = 0; k < graph->n_outputs; k++)
        OZ_TRY(oz_body_give(exec, node, k, oz_exec_value(exec, graph->output[k]), err));
    return OZ_OK;
}

/* Output k after both branches were planned: what one of them made at most. */
static enum oz_status join(struct oz_exec *exec, const struct oz_node *node, uint32_t k,
                           struct oz_error *err)
{
    const struct branches *branches = node->state;
    const struct oz_tensor *a = oz_exec_value(exec, branches->of[0]->output[k]);
    const struct oz_tensor *b = oz_exec_value(exec, branches->of[1]->output[k]);
    int64_t dim[OZ_RANK_MAX];
    struct oz_tensor *to;
    if (a->dtype != b->dtype || a->rank != b->rank)
        OZ_FAIL(err, OZ_MODEL, "its branches make values of different type or rank");
    for (size_t d = 0; d < a->rank; d++) dim[d] = OZ_MAX(a->dim[d], b->dim[d]);
    bool is_loose = a->loose || b->loose || !oz_tensor_same_shape(a, b);
    OZ_TRY(oz_exec_out(exec, node, k, (enum oz_dtype)a->dtype, a->rank, dim, &to, err));
    to->data = NULL;
    to->loose = is_loose;
    return OZ_OK;
}

/* While planning, a condition that is no constant may come out otherwise in a run with fewer rows:
 * both branches get their memory, and one that cannot be is left out. */
static enum oz_status run_if(struct oz_exec *exec, const struct oz_node *node, struct oz_error *err)
{
    const struct oz_tensor *cond = oz_exec_in(exec, node, 0);
    if (cond->dtype != OZ_DTYPE_BOOL || cond->n != 1)
        OZ_FAIL(err, OZ_MODEL, "its condition is not one bool");
    if (!oz_exec_is_planning(exec) || exec->net->value[node->input[0]].constant)
        return take_branch(exec, node, cond->boolean[0], err);
    if (cond->data) {
        struct oz_error other = {0};
        enum oz_status status = take_branch(exec, node, !cond->boolean[0], &other);
        if (status != OZ_OK && status != OZ_MODEL) {
            if (err) *err = other;
            return status;
        }
        return take_branch(exec, node, cond->boolean[0], err);
    }
    OZ_TRY(take_branch(exec, node, false, err));
    OZ_TRY(take_branch(exec, node, true, err));
    for (uint32_t k = 0; k < node->n_outputs; k++) OZ_TRY(join(exec, node, k, err));
    return OZ_OK;
}

const struct oz_op oz_ops_control[] = {
    {"If", OZ_DOMAIN_ONNX, 1, 1, 1, 0, OZ_NET_NODE_ARGS_MAX, compile_if, NULL, run_if},
    {"Loop", OZ_DOMAIN_ONNX, 1, 0, OZ_NET_NODE_ARGS_MAX, 0, OZ_NET_NODE_ARGS_MAX, oz_loop_compile,
     NULL, oz_loop_run},
    {"Scan", OZ_DOMAIN_ONNX, 9, 1, OZ_NET_NODE_ARGS_MAX, 0, OZ_NET_NODE_ARGS_MAX, oz_scan_compile,
     NULL, oz_scan_run},
    {0}};
