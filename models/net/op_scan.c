/* Scan: a body that runs once for every slice of its inputs along an axis. */
#include <string.h>
#include "models/net/op_body.h"

struct scan {
    const struct oz_graph *body;
    uint32_t n_states, n_scanned, n_made; /* inputs that are states, inputs and outputs in slices */
    const int64_t *input_axis, *input_reverse, *output_axis, *output_reverse; /* NULL: all 0 */
};

static enum oz_status list_of(struct oz_node *node, const char *name, uint32_t n,
                              const int64_t **ret_list, struct oz_error *err)
{
    size_t len;
    OZ_TRY(oz_attr_ints(node, name, ret_list, &len, err));
    if (*ret_list && len != n)
        OZ_FAIL(err, OZ_MODEL, "its attribute `%s` has %zu elements, expected %u", name, len, n);
    return OZ_OK;
}

static enum oz_status check_directions(const int64_t *list, uint32_t n, struct oz_error *err)
{
    for (uint32_t i = 0; list && i < n; i++)
        if (list[i] != 0 && list[i] != 1)
            OZ_FAIL(err, OZ_MODEL, "a direction is %lld, expected 0 or 1", (long long)list[i]);
    return OZ_OK;
}

enum oz_status oz_scan_compile(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct scan *scan = oz_node_state(net, node, sizeof *scan);
    int64_t n_scanned;
    if (!scan) return oz_no_memory(err);
    OZ_TRY(oz_body_find(node, "body", &scan->body, err));
    OZ_TRY(oz_attr_i64(node, "num_scan_inputs", 0, &n_scanned, err));
    if (n_scanned < 1 || n_scanned > node->n_inputs)
        OZ_FAIL(err, OZ_MODEL, "it scans %lld of its %u inputs", (long long)n_scanned,
                node->n_inputs);
    scan->n_scanned = (uint32_t)n_scanned;
    scan->n_states = node->n_inputs - scan->n_scanned;
    if (scan->n_states > OZ_BODY_STATES_MAX)
        OZ_FAIL(err, OZ_MODEL, "it carries %u values, up to %d are served", scan->n_states,
                OZ_BODY_STATES_MAX);
    if (scan->body->n_inputs != node->n_inputs || scan->body->n_outputs < scan->n_states)
        OZ_FAIL(err, OZ_MODEL, "its body has %u inputs and %u outputs, expected %u and at least %u",
                scan->body->n_inputs, scan->body->n_outputs, node->n_inputs, scan->n_states);
    scan->n_made = scan->body->n_outputs - scan->n_states;
    if (node->n_outputs > scan->body->n_outputs)
        OZ_FAIL(err, OZ_MODEL, "it has %u outputs, its body makes %u", node->n_outputs,
                scan->body->n_outputs);
    OZ_TRY(list_of(node, "scan_input_axes", scan->n_scanned, &scan->input_axis, err));
    OZ_TRY(list_of(node, "scan_input_directions", scan->n_scanned, &scan->input_reverse, err));
    OZ_TRY(list_of(node, "scan_output_axes", scan->n_made, &scan->output_axis, err));
    OZ_TRY(list_of(node, "scan_output_directions", scan->n_made, &scan->output_reverse, err));
    OZ_TRY(check_directions(scan->input_reverse, scan->n_scanned, err));
    OZ_TRY(check_directions(scan->output_reverse, scan->n_made, err));
    return oz_body_need_outputs(net, node, scan->body->n_outputs, err);
}

static int64_t at(const int64_t *list, uint32_t i) { return list ? list[i] : 0; }

/* A slice of scanned input i, round r of n. */
static enum oz_status set_slice(struct oz_exec *exec, const struct oz_node *node, uint32_t i,
                                int64_t round, int64_t n, struct oz_error *err)
{
    const struct scan *scan = node->state;
    const struct oz_tensor *whole = oz_exec_in(exec, node, scan->n_states + i);
    struct oz_tensor slice = {.dtype = whole->dtype, .loose = whole->loose, .n = 1};
    size_t axis;
    void *memory;
    OZ_TRY(oz_axis(at(scan->input_axis, i), whole->rank, &axis, err));
    for (size_t d = 0; d < whole->rank; d++)
        if (d != axis) slice.dim[slice.rank++] = whole->dim[d], slice.n *= whole->dim[d];
    size_t inner_bytes = (size_t)oz_tensor_count(whole, axis + 1, whole->rank) *
                         oz_dtype_bytes((enum oz_dtype)whole->dtype);
    OZ_TRY(oz_exec_scratch(exec, node, (size_t)slice.n * oz_dtype_bytes((enum oz_dtype)slice.dtype),
                           &memory, err));
    if (!oz_exec_is_planning(exec)) {
        if (at(scan->input_reverse, i)) round = n - 1 - round;
        if (slice.n)
            oz_body_take(memory, whole->data, oz_tensor_count(whole, 0, axis), whole->dim[axis],
                         round, inner_bytes);
        slice.data = memory;
    }
    oz_exec_set(exec, scan->body->input[scan->n_states + i], &slice);
    return OZ_OK;
}

static enum oz_status keep_slice(struct oz_exec *exec, const struct oz_node *node, uint32_t k,
                                 int64_t round, int64_t n, struct oz_error *err)
{
    const struct scan *scan = node->state;
    const struct oz_tensor *slice = oz_exec_value(exec, scan->body->output[scan->n_states + k]);
    int64_t dim[OZ_RANK_MAX + 1];
    size_t axis, rank = slice->rank + 1u;
    struct oz_tensor *whole;
    if (slice->rank == OZ_RANK_MAX)
        OZ_FAIL(err, OZ_MODEL, "it stacks tensors of rank %d", OZ_RANK_MAX);
    OZ_TRY(oz_axis(at(scan->output_axis, k), rank, &axis, err));
    for (size_t d = 0; d < rank; d++)
        dim[d] = d < axis ? slice->dim[d] : d == axis ? n : slice->dim[d - 1];
    const struct oz_tensor *before = oz_body_output(exec, node, scan->n_states + k);
    if (round && (before->dtype != slice->dtype || before->rank != rank ||
                  memcmp(before->dim, dim, rank * sizeof *dim)))
        OZ_FAIL(err, OZ_MODEL, "what it stacks changes its shape from round to round");
    OZ_TRY(oz_exec_out(exec, node, scan->n_states + k, (enum oz_dtype)slice->dtype, rank, dim,
                       &whole, err));
    if (oz_exec_is_planning(exec)) {
        whole->data = NULL;
        whole->loose = whole->loose || slice->loose;
        return OZ_OK;
    }
    if (at(scan->output_reverse, k)) round = n - 1 - round;
    if (slice->n)
        oz_body_put(whole->data, slice->data, oz_tensor_count(slice, 0, axis), n, round,
                    (size_t)oz_tensor_count(slice, axis, slice->rank) *
                        oz_dtype_bytes((enum oz_dtype)slice->dtype));
    return OZ_OK;
}

static enum oz_status count_rounds(struct oz_exec *exec, const struct oz_node *node, int64_t *ret_n,
                                   struct oz_error *err)
{
    const struct scan *scan = node->state;
    for (uint32_t i = 0; i < scan->n_scanned; i++) {
        const struct oz_tensor *whole = oz_exec_in(exec, node, scan->n_states + i);
        size_t axis;
        OZ_TRY(oz_axis(at(scan->input_axis, i), whole->rank, &axis, err));
        if (i && whole->dim[axis] != *ret_n)
            OZ_FAIL(err, OZ_MODEL, "its inputs have %lld and %lld slices", (long long)*ret_n,
                    (long long)whole->dim[axis]);
        *ret_n = whole->dim[axis];
    }
    if (!*ret_n) OZ_FAIL(err, OZ_MODEL, "it has no slice to scan");
    return OZ_OK;
}

/* Unlike a Loop's. */
static enum oz_status check_states(const struct oz_exec *exec, const struct oz_node *node,
                                   struct oz_error *err)
{
    const struct scan *scan = node->state;
    for (uint32_t k = 0; k < scan->n_states; k++) {
        const struct oz_tensor *made = oz_exec_value(exec, scan->body->output[k]);
        const struct oz_tensor *state = oz_body_output(exec, node, k);
        if (!made->loose && !state->loose && !oz_tensor_same_shape(made, state))
            OZ_FAIL(err, OZ_MODEL, "its state %u changes its shape from round to round", k);
    }
    return OZ_OK;
}

/* A scanned state keeps its shape, so two rounds of planning show all there is. */
enum oz_status oz_scan_run(struct oz_exec *exec, const struct oz_node *node, struct oz_error *err)
{
    const struct scan *scan = node->state;
    int64_t n = 0, n_rounds;
    OZ_TRY(count_rounds(exec, node, &n, err));
    uint64_t n_steps = exec->n_steps;
    n_rounds = oz_exec_is_planning(exec) ? OZ_MIN(n, INT64_C(2)) : n;
    for (uint32_t k = 0; k < scan->n_states; k++) {
        struct oz_tensor first = *oz_exec_in(exec, node, k);
        if (oz_exec_is_planning(exec)) first.data = NULL;
        OZ_TRY(oz_body_give(exec, node, k, &first, err));
        oz_exec_set(exec, scan->body->input[k], oz_body_output(exec, node, k));
    }
    for (int64_t round = 0; round < n_rounds; round++) {
        size_t scratch_used = exec->scratch_used;
        for (uint32_t i = 0; i < scan->n_scanned; i++)
            OZ_TRY(set_slice(exec, node, i, round, n, err));
        OZ_TRY(oz_exec_graph(exec, scan->body, err));
        OZ_TRY(check_states(exec, node, err));
        for (uint32_t k = 0; k < scan->n_made; k++)
            OZ_TRY(keep_slice(exec, node, k, round, n, err));
        OZ_TRY(
            oz_body_carry(exec, node, scan->n_states, scan->body->output, scan->body->input, err));
        exec->scratch_used = scratch_used;
    }
    uint64_t left = (uint64_t)(n - n_rounds);
    n_steps = left ? (exec->n_steps - n_steps) / (uint64_t)n_rounds : 0;
    return oz_exec_steps(exec, left * n_steps, err);
}
