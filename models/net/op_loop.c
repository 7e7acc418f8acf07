/* Loop: a body that runs until its condition fails or the count is reached.
 *
 * Planning goes through the rounds with what is known of them: a counter that starts from a
 * constant is known in every round, so is a condition that compares it. It stops when the rounds
 * repeat themselves. A loop that neither a known count nor a known condition ends is refused: the
 * time and memory of a run would have no bound. */
#include <string.h>
#include "models/net/op_body.h"

#define PLAN_ROUNDS_MAX (INT64_C(1) << 20)

struct loop {
    const struct oz_graph *body;
    uint32_t n_carried, n_scanned;
};

/* What a run keeps between the rounds. */
struct rounds {
    int64_t n_max, n; /* INT64_MAX: no count is given */
    bool cond, cond_is_known;
    bool is_every; /* planning: a round of which the number is not known stands for all */
    int64_t round; /* the data of the body's first input */
    uint8_t cond_in;
};

enum oz_status oz_loop_compile(struct oz_net *net, struct oz_node *node, struct oz_error *err)
{
    struct loop *loop = oz_node_state(net, node, sizeof *loop);
    if (!loop) return oz_no_memory(err);
    OZ_TRY(oz_body_find(node, "body", &loop->body, err));
    uint32_t n_carried = node->n_inputs > 2 ? node->n_inputs - 2 : 0;
    if (n_carried > OZ_BODY_STATES_MAX)
        OZ_FAIL(err, OZ_MODEL, "it carries %u values, up to %d are served", n_carried,
                OZ_BODY_STATES_MAX);
    if (loop->body->n_inputs != n_carried + 2 || loop->body->n_outputs < n_carried + 1)
        OZ_FAIL(err, OZ_MODEL,
                "its body has %u inputs and %u outputs, with %u loop-carried values it has %u and "
                "at least %u",
                loop->body->n_inputs, loop->body->n_outputs, n_carried, n_carried + 2,
                n_carried + 1);
    for (uint32_t i = 2; i < node->n_inputs; i++)
        if (node->input[i] == OZ_NO_VALUE) OZ_FAIL(err, OZ_MODEL, "its input %u is left out", i);
    loop->n_carried = n_carried;
    loop->n_scanned = loop->body->n_outputs - 1 - n_carried;
    if (node->n_outputs > loop->n_carried + loop->n_scanned)
        OZ_FAIL(err, OZ_MODEL, "it has %u outputs, its body makes %u", node->n_outputs,
                loop->n_carried + loop->n_scanned);
    return oz_body_need_outputs(net, node, loop->n_carried + loop->n_scanned, err);
}

static enum oz_status read_bool(const struct oz_tensor *tensor, bool *ret_is_known, bool *ret_v,
                                struct oz_error *err)
{
    if (tensor->dtype != OZ_DTYPE_BOOL || tensor->n != 1)
        OZ_FAIL(err, OZ_MODEL, "its condition is not one bool");
    *ret_is_known = tensor->data;
    *ret_v = !tensor->data || tensor->boolean[0];
    return OZ_OK;
}

static enum oz_status begin(struct oz_exec *exec, const struct oz_node *node, struct rounds *rounds,
                            struct oz_error *err)
{
    const struct loop *loop = node->state;
    const struct oz_tensor *count = oz_exec_in(exec, node, 0), *cond = oz_exec_in(exec, node, 1);
    *rounds = (struct rounds){.n_max = INT64_MAX, .cond = true, .cond_is_known = true};
    if (count && ((count->dtype != OZ_DTYPE_I64 && count->dtype != OZ_DTYPE_I32) || count->n != 1))
        OZ_FAIL(err, OZ_MODEL, "its count is not one int64");
    if (count && count->data) rounds->n_max = OZ_MAX(oz_tensor_i64_at(count, 0), INT64_C(0));
    if (cond) OZ_TRY(read_bool(cond, &rounds->cond_is_known, &rounds->cond, err));
    for (uint32_t k = 0; k < loop->n_carried; k++) {
        OZ_TRY(oz_body_give(exec, node, k, oz_exec_in(exec, node, k + 2), err));
        oz_exec_set(exec, loop->body->input[k + 2], oz_body_output(exec, node, k));
    }
    return OZ_OK;
}

static enum oz_status run_body(struct oz_exec *exec, const struct oz_node *node,
                               struct rounds *rounds, struct oz_error *err)
{
    const struct loop *loop = node->state;
    const struct oz_graph *body = loop->body;
    struct oz_tensor round = {.dtype = OZ_DTYPE_I64, .n = 1, .data = &rounds->round};
    struct oz_tensor cond = {.dtype = OZ_DTYPE_BOOL, .n = 1, .data = &rounds->cond_in};
    rounds->round = rounds->n;
    rounds->cond_in = rounds->cond;
    if (oz_exec_is_planning(exec)) {
        round.data = rounds->is_every ? NULL : oz_exec_plan_data(exec, sizeof rounds->round);
        if (round.data) *round.i64 = rounds->n;
        cond.data = rounds->cond_is_known ? oz_exec_plan_data(exec, 1) : NULL;
        if (cond.data) *cond.boolean = rounds->cond;
    }
    oz_exec_set(exec, body->input[0], &round);
    oz_exec_set(exec, body->input[1], &cond);
    OZ_TRY(oz_exec_graph(exec, body, err));
    OZ_TRY(read_bool(oz_exec_value(exec, body->output[0]), &rounds->cond_is_known, &rounds->cond,
                     err));
    rounds->n++;
    return OZ_OK;
}

static enum oz_status no_round(struct oz_error *err)
{
    OZ_FAIL(err, OZ_MODEL, "it runs no round, so what it stacks has no shape");
}

static enum oz_status no_end(struct oz_error *err)
{
    OZ_FAIL(err, OZ_MODEL,
            "nothing that is known at load bounds how often it runs: give it a constant count");
}

/* What scan output s of the node has room for, in rounds. */
static int64_t room(const struct oz_exec *exec, const struct oz_node *node, uint32_t k,
                    size_t slice_bytes)
{
    uint32_t number = oz_exec_is_wanted(node, k) ? node->output[k] : node->spare[k];
    return slice_bytes ? (int64_t)(exec->plan->cap_bytes[number] / slice_bytes) : INT64_MAX;
}

static enum oz_status keep_slices(struct oz_exec *exec, const struct oz_node *node,
                                  const struct rounds *rounds, struct oz_error *err)
{
    const struct loop *loop = node->state;
    for (uint32_t s = 0; s < loop->n_scanned; s++) {
        uint32_t k = loop->n_carried + s;
        const struct oz_tensor *slice =
            oz_exec_value(exec, loop->body->output[1 + loop->n_carried + s]);
        const struct oz_tensor *before = oz_body_output(exec, node, k);
        size_t slice_bytes = (size_t)slice->n * oz_dtype_bytes((enum oz_dtype)slice->dtype);
        int64_t dim[OZ_RANK_MAX + 1] = {rounds->n};
        struct oz_tensor *whole;
        if (slice->rank == OZ_RANK_MAX)
            OZ_FAIL(err, OZ_MODEL, "it stacks tensors of rank %d", OZ_RANK_MAX);
        memcpy(dim + 1, slice->dim, slice->rank * sizeof *dim);
        if (rounds->n > 1 && (before->dtype != slice->dtype || before->rank != slice->rank + 1 ||
                              memcmp(before->dim + 1, slice->dim, slice->rank * sizeof *dim)))
            OZ_FAIL(err, OZ_MODEL, "what it stacks changes its shape from round to round");
        if (rounds->n > room(exec, node, k, slice_bytes))
            OZ_FAIL(err, OZ_MODEL, "it runs more than the %lld rounds that were planned",
                    (long long)room(exec, node, k, slice_bytes));
        OZ_TRY(oz_exec_out(exec, node, k, (enum oz_dtype)slice->dtype, slice->rank + 1u, dim,
                           &whole, err));
        if (slice_bytes)
            memcpy((uint8_t *)whole->data + (size_t)(rounds->n - 1) * slice_bytes, slice->data,
                   slice_bytes);
    }
    return OZ_OK;
}

static enum oz_status really_run(struct oz_exec *exec, const struct oz_node *node,
                                 struct rounds *rounds, struct oz_error *err)
{
    const struct loop *loop = node->state;
    while (rounds->n < rounds->n_max && rounds->cond) {
        OZ_TRY(run_body(exec, node, rounds, err));
        OZ_TRY(keep_slices(exec, node, rounds, err));
        OZ_TRY(oz_body_carry(exec, node, loop->n_carried, loop->body->output + 1,
                             loop->body->input + 2, err));
    }
    return !rounds->n && loop->n_scanned ? no_round(err) : OZ_OK;
}

static enum oz_status plan_slices(struct oz_exec *exec, const struct oz_node *node, int64_t n,
                                  bool is_loose, struct oz_error *err)
{
    const struct loop *loop = node->state;
    for (uint32_t s = 0; s < loop->n_scanned; s++) {
        const struct oz_tensor *slice =
            oz_exec_value(exec, loop->body->output[1 + loop->n_carried + s]);
        int64_t dim[OZ_RANK_MAX + 1] = {n};
        struct oz_tensor *whole;
        if (slice->rank == OZ_RANK_MAX)
            OZ_FAIL(err, OZ_MODEL, "it stacks tensors of rank %d", OZ_RANK_MAX);
        memcpy(dim + 1, slice->dim, slice->rank * sizeof *dim);
        OZ_TRY(oz_exec_out(exec, node, loop->n_carried + s, (enum oz_dtype)slice->dtype,
                           slice->rank + 1u, dim, &whole, err));
        whole->data = NULL;
        whole->loose = is_loose || slice->loose;
    }
    return OZ_OK;
}

/* Planning: a round whose number is not known. When it changes no shape and leaves the condition
 * as it is, all further rounds are like it. When it cannot be planned so, they differ. */
static enum oz_status plan_every_round(struct oz_exec *exec, const struct oz_node *node,
                                       const struct rounds *rounds, struct oz_tensor *before,
                                       bool *ret_is_every, struct oz_error *err)
{
    const struct loop *loop = node->state;
    struct rounds every = *rounds;
    struct oz_error why = {0};
    every.is_every = true;
    for (uint32_t k = 0; k < loop->n_carried; k++) before[k] = *oz_body_output(exec, node, k);
    enum oz_status status = run_body(exec, node, &every, &why);
    if (status == OZ_OK)
        status = oz_body_carry(exec, node, loop->n_carried, loop->body->output + 1,
                               loop->body->input + 2, &why);
    *ret_is_every = status == OZ_OK && every.cond_is_known == rounds->cond_is_known &&
                    every.cond == rounds->cond &&
                    oz_body_is_settled(exec, node, loop->n_carried, before);
    if (status == OZ_OK && !*ret_is_every)
        for (uint32_t k = 0; k < loop->n_carried; k++)
            OZ_TRY(oz_body_give(exec, node, k, &before[k], err));
    for (uint32_t k = 0; k < loop->n_carried; k++)
        oz_exec_set(exec, loop->body->input[k + 2], oz_body_output(exec, node, k));
    if (status == OZ_OK || status == OZ_MODEL) return OZ_OK;
    if (err) *err = why;
    return status;
}

/* One round after the other until they repeat themselves: then only their number counts. */
static enum oz_status plan_each(struct oz_exec *exec, const struct oz_node *node,
                                struct rounds *rounds, struct oz_tensor *before, bool *ret_is_loose,
                                struct oz_error *err)
{
    const struct loop *loop = node->state;
    bool is_tried = false, is_every = false;
    while (rounds->n < rounds->n_max && !(rounds->cond_is_known && !rounds->cond)) {
        uint64_t n_steps = exec->n_steps;
        for (uint32_t k = 0; k < loop->n_carried; k++) before[k] = *oz_body_output(exec, node, k);
        OZ_TRY(run_body(exec, node, rounds, err));
        OZ_TRY(oz_body_carry(exec, node, loop->n_carried, loop->body->output + 1,
                             loop->body->input + 2, err));
        n_steps = exec->n_steps - n_steps;
        if (!rounds->cond_is_known) *ret_is_loose = true;
        if (rounds->n == rounds->n_max || (rounds->cond_is_known && !rounds->cond)) break;
        if (!is_tried && oz_body_is_settled(exec, node, loop->n_carried, before)) {
            OZ_TRY(plan_every_round(exec, node, rounds, before, &is_every, err));
            is_tried = true;
        }
        if (is_every) {
            uint64_t left = (uint64_t)(rounds->n_max - rounds->n);
            if (rounds->n_max == INT64_MAX) return no_end(err);
            rounds->n = rounds->n_max;
            OZ_TRY(oz_exec_steps(exec, left > UINT64_MAX / n_steps ? UINT64_MAX : left * n_steps,
                                 err));
        } else if (rounds->n == PLAN_ROUNDS_MAX) {
            OZ_FAIL(err, OZ_MODEL, "it runs more than %lld rounds that differ from each other",
                    (long long)PLAN_ROUNDS_MAX);
        }
    }
    return OZ_OK;
}

static enum oz_status plan_rounds(struct oz_exec *exec, const struct oz_node *node,
                                  struct rounds *rounds, bool *ret_is_loose, struct oz_error *err)
{
    const struct loop *loop = node->state;
    const struct oz_tensor *count = oz_exec_in(exec, node, 0);
    struct oz_arena arena;
    oz_arena_init(&arena, 256);
    struct oz_tensor *before = oz_arena_get(&arena, (loop->n_carried + 1) * sizeof *before);
    enum oz_status status = before ? OZ_OK : oz_no_memory(err);
    /* Where the data decide how often it runs, the plan is for the most. */
    *ret_is_loose = !rounds->cond_is_known || (count && !count->data);
    if (status == OZ_OK) status = plan_each(exec, node, rounds, before, ret_is_loose, err);
    oz_arena_clear(&arena);
    return status;
}

enum oz_status oz_loop_run(struct oz_exec *exec, const struct oz_node *node, struct oz_error *err)
{
    const struct loop *loop = node->state;
    struct rounds rounds;
    bool is_loose;
    OZ_TRY(begin(exec, node, &rounds, err));
    if (!oz_exec_is_planning(exec)) return really_run(exec, node, &rounds, err);
    OZ_TRY(plan_rounds(exec, node, &rounds, &is_loose, err));
    if (!rounds.n && loop->n_scanned) return no_round(err);
    return plan_slices(exec, node, rounds.n, is_loose, err);
}
