#include "models/net/exec.h"
#include <string.h>
#include "base/clock.h"
#include "models/net/exec_state.h"

enum { ALIGN = 64 };
#define PLAN_VISITS_MAX (UINT64_C(1) << 23)

static size_t aligned(size_t n) { return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1); }

bool oz_exec_is_planning(const struct oz_exec *exec) { return exec->planner != NULL; }

const struct oz_tensor *oz_exec_value(const struct oz_exec *exec, uint32_t number)
{
    const struct oz_tensor *constant = exec->net->value[number].constant;
    return constant ? constant : &exec->value[number];
}

void oz_exec_set(struct oz_exec *exec, uint32_t number, const struct oz_tensor *tensor)
{
    exec->value[number] = *tensor;
    if (exec->planner) exec->planner->root[number] = OZ_NO_VALUE;
}

const struct oz_tensor *oz_exec_in(const struct oz_exec *exec, const struct oz_node *node,
                                   uint32_t i)
{
    if (i >= node->n_inputs || node->input[i] == OZ_NO_VALUE) return NULL;
    return oz_exec_value(exec, node->input[i]);
}

enum oz_status oz_exec_in_known(const struct oz_exec *exec, const struct oz_node *node, uint32_t i,
                                const char *what, const struct oz_tensor **ret_tensor,
                                struct oz_error *err)
{
    *ret_tensor = oz_exec_in(exec, node, i);
    if (!*ret_tensor || (*ret_tensor)->data || !(*ret_tensor)->n) return OZ_OK;
    OZ_FAIL(err, OZ_MODEL,
            "%s depends on the data, so the memory of a run has no bound that is known at load",
            what);
}

bool oz_exec_is_dry(const struct oz_exec *exec, const struct oz_node *node)
{
    if (!exec->planner) return false;
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        const struct oz_tensor *in = oz_exec_in(exec, node, i);
        if (in && (in->loose || !in->data)) return true;
    }
    return false;
}

/* Where output k goes. */
static uint32_t output_value(const struct oz_node *node, uint32_t k)
{
    if (k < node->n_outputs && node->output[k] != OZ_NO_VALUE) return node->output[k];
    return node->spare[k];
}

bool oz_exec_is_wanted(const struct oz_node *node, uint32_t k)
{
    return k < node->n_outputs && node->output[k] != OZ_NO_VALUE;
}

void *oz_exec_plan_data(struct oz_exec *exec, size_t n_bytes)
{
    struct oz_planner *planner = exec->planner;
    size_t left = planner->data_bytes_max - planner->data_bytes;
    if (left < ALIGN || n_bytes > left - ALIGN) {
        planner->is_over = true;
        return NULL;
    }
    void *memory = oz_arena_aligned(planner->data, n_bytes);
    if (!memory) {
        planner->is_over = true;
        return NULL;
    }
    planner->data_bytes += n_bytes + ALIGN;
    return memory;
}

void oz_exec_note(struct oz_exec *exec, uint32_t number, const struct oz_tensor *tensor)
{
    struct oz_planner *planner = exec->planner;
    uint64_t n_bytes = (uint64_t)tensor->n * oz_dtype_bytes((enum oz_dtype)tensor->dtype);
    planner->value_bytes[number] = OZ_MAX(planner->value_bytes[number], n_bytes);
    planner->root[number] = number;
    if (planner->dtype) planner->dtype[number] = tensor->dtype;
}

static enum oz_status plan_out(struct oz_exec *exec, const struct oz_node *node, uint32_t value,
                               struct oz_tensor *to)
{
    size_t n_bytes = (size_t)to->n * oz_dtype_bytes((enum oz_dtype)to->dtype);
    oz_exec_note(exec, value, to);
    if (!oz_exec_is_dry(exec, node)) {
        to->data = oz_exec_plan_data(exec, OZ_MAX(n_bytes, (size_t)1));
        return OZ_OK;
    }
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        const struct oz_tensor *in = oz_exec_in(exec, node, i);
        if (in && in->loose) to->loose = true;
    }
    return OZ_OK;
}

enum oz_status oz_exec_out(struct oz_exec *exec, const struct oz_node *node, uint32_t k,
                           enum oz_dtype dtype, size_t rank, const int64_t *dim,
                           struct oz_tensor **ret_tensor, struct oz_error *err)
{
    uint32_t value = output_value(node, k);
    struct oz_tensor *to = &exec->value[value];
    OZ_TRY(oz_tensor_shape(to, dtype, rank, dim, err));
    *ret_tensor = to;
    if (exec->planner) return plan_out(exec, node, value, to);
    uint64_t n_bytes = (uint64_t)to->n * oz_dtype_bytes(dtype);
    /* Whether a Cast is a view, say, follows from types, so they must be those of the plan. */
    if (dtype != exec->plan->dtype[value])
        OZ_FAIL(err, OZ_MODEL, "output %u is %s with these data, which was not planned", k,
                oz_dtype_word(dtype));
    if (n_bytes > exec->plan->cap_bytes[value])
        OZ_FAIL(err, OZ_MODEL, "output %u wants %llu bytes with these data, %llu were planned", k,
                (unsigned long long)n_bytes, (unsigned long long)exec->plan->cap_bytes[value]);
    to->data = exec->memory + exec->plan->offset[value];
    return OZ_OK;
}

enum oz_status oz_exec_out_at_most(struct oz_exec *exec, const struct oz_node *node, uint32_t k,
                                   enum oz_dtype dtype, size_t rank, const int64_t *dim,
                                   struct oz_tensor **ret_tensor, struct oz_error *err)
{
    OZ_TRY(oz_exec_out(exec, node, k, dtype, rank, dim, ret_tensor, err));
    if (exec->planner && !(*ret_tensor)->data) (*ret_tensor)->loose = true;
    return OZ_OK;
}

enum oz_status oz_exec_out_by_shape(struct oz_exec *exec, const struct oz_node *node, uint32_t k,
                                    enum oz_dtype dtype, size_t rank, const int64_t *dim,
                                    struct oz_tensor **ret_tensor, struct oz_error *err)
{
    OZ_TRY(oz_exec_out(exec, node, k, dtype, rank, dim, ret_tensor, err));
    struct oz_tensor *to = *ret_tensor;
    if (!exec->planner || to->data) return OZ_OK;
    bool is_known = !to->loose;
    to->loose = false; /* its own shape is certain */
    if (is_known)
        to->data = oz_exec_plan_data(exec, OZ_MAX((size_t)to->n, 1) * oz_dtype_bytes(dtype));
    return OZ_OK;
}

void oz_exec_shrink(struct oz_tensor *tensor, const int64_t *dim)
{
    tensor->n = 1;
    for (size_t d = 0; d < tensor->rank; d++) {
        OZ_ASSERT(dim[d] >= 0 && dim[d] <= tensor->dim[d]);
        tensor->dim[d] = dim[d];
        tensor->n *= dim[d];
    }
}

enum oz_status oz_exec_view(struct oz_exec *exec, const struct oz_node *node, uint32_t k,
                            uint32_t i, size_t rank, const int64_t *dim, struct oz_error *err)
{
    const struct oz_tensor *from = oz_exec_in(exec, node, i);
    uint32_t value = output_value(node, k), from_value = node->input[i];
    struct oz_tensor to;
    OZ_TRY(oz_tensor_shape(&to, (enum oz_dtype)from->dtype, rank, dim, err));
    /* Of upper bounds the new shape may say less: 10 elements at most are 3 x 3 at most. */
    if (from->loose ? to.n > from->n : to.n != from->n)
        OZ_FAIL(err, OZ_MODEL, "%lld elements cannot become %lld", (long long)from->n,
                (long long)to.n);
    to.data = from->data;
    to.loose = from->loose;
    exec->value[value] = to;
    if (exec->planner)
        exec->planner->root[value] =
            exec->net->value[from_value].constant ? OZ_NO_VALUE : exec->planner->root[from_value];
    return OZ_OK;
}

enum oz_status oz_exec_scratch(struct oz_exec *exec, const struct oz_node *node, size_t n_bytes,
                               void **ret_memory, struct oz_error *err)
{
    *ret_memory = NULL;
    if (n_bytes > OZ_NET_MEMORY_BYTES_MAX)
        OZ_FAIL(err, OZ_MODEL, "it wants %zu bytes of temporary memory", n_bytes);
    size_t at = exec->scratch_used, end = at + aligned(n_bytes);
    exec->scratch_used = end;
    if (exec->planner) {
        uint64_t *most = &exec->planner->scratch_bytes[node->number];
        *most = OZ_MAX(*most, (uint64_t)end);
        if (!oz_exec_is_dry(exec, node)) *ret_memory = oz_exec_plan_data(exec, OZ_MAX(n_bytes, 1));
        return OZ_OK;
    }
    if (end > exec->plan->scratch_bytes[node->number])
        OZ_FAIL(err, OZ_MODEL,
                "it wants %zu bytes of temporary memory with these data, %llu were planned", end,
                (unsigned long long)exec->plan->scratch_bytes[node->number]);
    *ret_memory = exec->memory + exec->plan->scratch_offset[node->number] + at;
    return OZ_OK;
}

enum oz_status oz_exec_text_memory(struct oz_exec *exec, const struct oz_node *node, size_t n_bytes,
                                   void **ret_memory, struct oz_error *err)
{
    if (exec->planner && exec->planner->scratch_is_kept)
        exec->planner->scratch_is_kept[node->number] = true;
    return oz_exec_scratch(exec, node, n_bytes, ret_memory, err);
}

enum oz_status oz_node_prefix(const struct oz_node *node, struct oz_error *err)
{
    return oz_error_prefix(err, "%s (%s %u), node `%.100s`", node->op->name,
                           oz_domain_word(node->op->domain), node->opset, node->name);
}

/* When the memory for known values ends amid a node, it has written none of its outputs, or not
 * all: then none of them is known. */
enum oz_status oz_exec_known_node(struct oz_exec *exec, const struct oz_node *node,
                                  struct oz_error *err)
{
    int64_t from = oz_thread_cpu_us();
    OZ_TRY(node->op->run(exec, node, err));
    exec->planner->cpu_us += oz_thread_cpu_us() - from;
    if (exec->planner->cpu_us > exec->net->load_cpu_us_max)
        OZ_FAIL(err, OZ_MODEL, "computing what is known at load takes more than %lld ms",
                (long long)(exec->net->load_cpu_us_max / 1000));
    return OZ_OK;
}

static enum oz_status plan_node(struct oz_exec *exec, const struct oz_node *node,
                                struct oz_error *err)
{
    struct oz_planner *planner = exec->planner;
    bool was_over = planner->is_over;
    planner->is_over = false;
    if (oz_exec_is_dry(exec, node))
        OZ_TRY(node->op->run(exec, node, err));
    else
        OZ_TRY(oz_exec_known_node(exec, node, err));
    for (uint32_t k = 0; planner->is_over && k < node->n_spare; k++) {
        uint32_t value = output_value(node, k);
        if (planner->root[value] == value) exec->value[value].data = NULL;
    }
    planner->is_over |= was_over;
    return OZ_OK;
}

enum oz_status oz_exec_steps(struct oz_exec *exec, uint64_t n, struct oz_error *err)
{
    uint64_t max = exec->net->steps_max;
    if (n > max || exec->n_steps > max - n)
        OZ_FAIL(err, OZ_MODEL, "a run has more than %llu nodes, rounds of loops included",
                (unsigned long long)max);
    exec->n_steps += n;
    if (exec->planner && ++exec->planner->n_visits > PLAN_VISITS_MAX)
        OZ_FAIL(err, OZ_MODEL, "its loops have too many rounds that differ from each other");
    return OZ_OK;
}

enum oz_status oz_exec_node(struct oz_exec *exec, const struct oz_node *node, struct oz_error *err)
{
    size_t outer_scratch = exec->scratch_used;
    OZ_TRY(oz_exec_steps(exec, 1, err));
    exec->scratch_used = 0;
    enum oz_status status =
        exec->planner ? plan_node(exec, node, err) : node->op->run(exec, node, err);
    exec->scratch_used = outer_scratch;
    if (status == OZ_MODEL) oz_node_prefix(node, err);
    return status;
}

enum oz_status oz_exec_graph(struct oz_exec *exec, const struct oz_graph *graph,
                             struct oz_error *err)
{
    OZ_TRY(oz_exec_steps(exec, UINT64_C(1) + graph->n_inputs + graph->n_outputs, err));
    for (uint32_t i = 0; i < graph->n_nodes; i++) OZ_TRY(oz_exec_node(exec, &graph->node[i], err));
    return OZ_OK;
}

enum oz_status oz_net_run(const struct oz_net_plan *plan, const struct oz_tensor *input,
                          void *memory, struct oz_tensor *ret_output, struct oz_error *err)
{
    const struct oz_net *net = plan->net;
    struct oz_exec exec = {.net = net, .plan = plan, .memory = memory, .value = memory};
    OZ_ASSERT(((uintptr_t)memory & (ALIGN - 1)) == 0);
    for (uint32_t i = 0; i < net->graph.n_inputs; i++) {
        if (input[i].dtype != plan->dtype[net->graph.input[i]])
            OZ_FAIL(err, OZ_MODEL, "input %u is %s, which was not planned", i,
                    oz_dtype_word((enum oz_dtype)input[i].dtype));
        exec.value[net->graph.input[i]] = input[i];
    }
    OZ_TRY(oz_exec_graph(&exec, &net->graph, err));
    for (uint32_t i = 0; i < net->graph.n_outputs; i++)
        ret_output[i] = *oz_exec_value(&exec, net->graph.output[i]);
    return OZ_OK;
}
