#include "models/net/op_body.h"
#include <string.h>

enum oz_status oz_body_find(struct oz_node *node, const char *name, const struct oz_graph **ret,
                            struct oz_error *err)
{
    const struct oz_attribute *attribute;
    OZ_TRY(oz_attr_find(node, name, OZ_ATTRIBUTE_GRAPH, &attribute, err));
    if (!attribute) OZ_FAIL(err, OZ_MODEL, "its attribute `%s` is missing", name);
    *ret = attribute->graph;
    return OZ_OK;
}

enum oz_status oz_body_need_outputs(struct oz_net *net, struct oz_node *node, uint32_t n,
                                    struct oz_error *err)
{
    if (n <= node->n_spare) return OZ_OK;
    uint32_t *spare = oz_arena_get(&net->arena, n * sizeof *spare);
    if (!spare) return oz_no_memory(err);
    memcpy(spare, node->spare, node->n_spare * sizeof *spare);
    for (uint32_t k = node->n_spare; k < n; k++) OZ_TRY(oz_net_add_value(net, "", &spare[k], err));
    node->spare = spare;
    node->n_spare = n;
    return OZ_OK;
}

static uint32_t output_number(const struct oz_node *node, uint32_t k)
{
    return oz_exec_is_wanted(node, k) ? node->output[k] : node->spare[k];
}

const struct oz_tensor *oz_body_output(const struct oz_exec *exec, const struct oz_node *node,
                                       uint32_t k)
{
    return &exec->value[output_number(node, k)];
}

static size_t bytes_of(const struct oz_tensor *tensor)
{
    return (size_t)tensor->n * oz_dtype_bytes((enum oz_dtype)tensor->dtype);
}

enum oz_status oz_body_give(struct oz_exec *exec, const struct oz_node *node, uint32_t k,
                            const struct oz_tensor *from, struct oz_error *err)
{
    struct oz_tensor copy = *from, *to; /* `from` may be the output itself */
    if (oz_exec_is_planning(exec)) {
        uint32_t number = output_number(node, k);
        oz_exec_note(exec, number, &copy);
        exec->value[number] = copy;
        return OZ_OK;
    }
    OZ_TRY(oz_exec_out(exec, node, k, (enum oz_dtype)copy.dtype, copy.rank, copy.dim, &to, err));
    if (copy.n && to->data != copy.data) memmove(to->data, copy.data, bytes_of(&copy));
    return OZ_OK;
}

/* Whether the data of body value k lie in the memory of another output of the node. */
static bool is_crossed(const struct oz_exec *exec, const struct oz_node *node, uint32_t n,
                       uint32_t k, const uint8_t *data)
{
    for (uint32_t j = 0; j < n; j++) {
        uint32_t number = output_number(node, j);
        const uint8_t *from = exec->memory + exec->plan->offset[number];
        if (j != k && data >= from && data < from + exec->plan->cap_bytes[number]) return true;
    }
    return false;
}

/* Copies crossed values aside, so that the order of the copies does not matter. */
static enum oz_status set_aside(struct oz_exec *exec, const struct oz_node *node, uint32_t n,
                                uint32_t k, struct oz_tensor *tensor, struct oz_error *err)
{
    void *aside;
    if (!tensor->n || !is_crossed(exec, node, n, k, tensor->data)) return OZ_OK;
    OZ_TRY(oz_exec_scratch(exec, node, bytes_of(tensor), &aside, err));
    memcpy(aside, tensor->data, bytes_of(tensor));
    tensor->data = aside;
    return OZ_OK;
}

enum oz_status oz_body_carry(struct oz_exec *exec, const struct oz_node *node, uint32_t n,
                             const uint32_t *number, const uint32_t *input, struct oz_error *err)
{
    struct oz_tensor made[OZ_BODY_STATES_MAX];
    size_t scratch_used = exec->scratch_used, aside_bytes = scratch_used;
    OZ_ASSERT(n <= OZ_BODY_STATES_MAX);
    for (uint32_t k = 0; k < n; k++) {
        const struct oz_tensor *before = oz_body_output(exec, node, k);
        made[k] = *oz_exec_value(exec, number[k]);
        if (made[k].dtype != before->dtype)
            OZ_FAIL(err, OZ_MODEL, "its body makes %s of loop-carried value %u, which is %s",
                    oz_dtype_word((enum oz_dtype)made[k].dtype), k,
                    oz_dtype_word((enum oz_dtype)before->dtype));
        if (oz_exec_is_planning(exec))
            aside_bytes += bytes_of(&made[k]) + 64;
        else
            OZ_TRY(set_aside(exec, node, n, k, &made[k], err));
    }
    exec->scratch_used = scratch_used;
    if (oz_exec_is_planning(exec) && n > 1) {
        uint64_t *most = &exec->planner->scratch_bytes[node->number];
        *most = OZ_MAX(*most, (uint64_t)aside_bytes);
    }
    for (uint32_t k = 0; k < n; k++) {
        OZ_TRY(oz_body_give(exec, node, k, &made[k], err));
        oz_exec_set(exec, input[k], oz_body_output(exec, node, k));
    }
    return OZ_OK;
}

bool oz_body_is_settled(const struct oz_exec *exec, const struct oz_node *node, uint32_t n,
                        const struct oz_tensor *before)
{
    for (uint32_t k = 0; k < n; k++) {
        const struct oz_tensor *now = oz_body_output(exec, node, k);
        if ((now->data && now->n) || !oz_tensor_same_shape(now, &before[k])) return false;
    }
    return true;
}

void oz_body_put(uint8_t *whole, const uint8_t *slice, int64_t outer, int64_t size, int64_t at,
                 size_t inner_bytes)
{
    for (int64_t o = 0; o < outer; o++)
        memcpy(whole + (size_t)(o * size + at) * inner_bytes, slice + (size_t)o * inner_bytes,
               inner_bytes);
}

void oz_body_take(uint8_t *slice, const uint8_t *whole, int64_t outer, int64_t size, int64_t at,
                  size_t inner_bytes)
{
    for (int64_t o = 0; o < outer; o++)
        memcpy(slice + (size_t)o * inner_bytes, whole + (size_t)(o * size + at) * inner_bytes,
               inner_bytes);
}
