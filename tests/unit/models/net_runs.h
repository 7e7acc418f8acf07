/* Runs a compiled net in memory that shows mistakes: every byte of it is set before, and each run
 * is compared with a twin in which no two values share memory. What the tests of the core share. */
#ifndef OZ_TESTS_UNIT_MODELS_NET_RUNS_H
#define OZ_TESTS_UNIT_MODELS_NET_RUNS_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "models/net/exec.h"

enum { NET_RUN_INPUTS_MAX = 8, NET_RUN_OUTPUTS_MAX = 8 };

struct net_plans {
    struct oz_net_plan shared, apart;
    uint8_t *memory, *apart_memory; /* each ends with a guard of 64 bytes */
};

static inline uint8_t *net_memory(size_t n_bytes)
{
    uint8_t *memory = aligned_alloc(64, (n_bytes + 63) / 64 * 64 + 64);
    assert_non_null(memory);
    return memory;
}

/* The same plan, but every value and scratch has a place of its own, in a random gap. */
static inline void net_plan_apart(const struct oz_net_plan *plan, struct oz_arena *arena,
                                  struct oz_net_plan *ret)
{
    const struct oz_net *net = plan->net;
    *ret = *plan;
    ret->offset = oz_arena_zeroed(arena, net->n_values + 1u, 8);
    ret->scratch_offset = oz_arena_zeroed(arena, net->n_nodes + 1u, 8);
    uint64_t end = (net->n_values * sizeof(struct oz_tensor) + 127) / 64 * 64;
    for (uint32_t v = 0; v < net->n_values; v++, end += 64) {
        ret->offset[v] = end;
        end += (plan->cap_bytes[v] + 63) / 64 * 64;
    }
    for (uint32_t i = 0; i < net->n_nodes; i++) {
        ret->scratch_offset[i] = end;
        end += (plan->scratch_bytes[i] + 63) / 64 * 64;
    }
    ret->memory_bytes = end + 64;
}

static inline enum oz_status net_plans_init(struct net_plans *plans, const struct oz_net *net,
                                            const struct oz_tensor *input, struct oz_arena *arena,
                                            struct oz_error *err)
{
    struct oz_tensor shape[NET_RUN_INPUTS_MAX];
    *plans = (struct net_plans){0};
    assert_true(net->graph.n_inputs <= NET_RUN_INPUTS_MAX);
    assert_true(net->graph.n_outputs <= NET_RUN_OUTPUTS_MAX);
    for (uint32_t i = 0; i < net->graph.n_inputs; i++) shape[i] = input[i], shape[i].data = NULL;
    OZ_TRY(oz_net_plan(net, shape, arena, &plans->shared, err));
    net_plan_apart(&plans->shared, arena, &plans->apart);
    plans->memory = net_memory(plans->shared.memory_bytes);
    plans->apart_memory = net_memory(plans->apart.memory_bytes);
    return OZ_OK;
}

static inline void net_plans_clear(struct net_plans *plans)
{
    free(plans->memory);
    free(plans->apart_memory);
}

static inline size_t net_bytes(const struct oz_tensor *tensor)
{
    return (size_t)tensor->n * oz_dtype_bytes((enum oz_dtype)tensor->dtype);
}

static inline void net_same_bits(const char *what, const struct oz_tensor *a,
                                 const struct oz_tensor *b)
{
    if (a->dtype != b->dtype || !oz_tensor_same_shape(a, b)) fail_msg("%s: other shapes", what);
    if (net_bytes(a) && memcmp(a->data, b->data, net_bytes(a))) fail_msg("%s: other bits", what);
}

/* Runs both, without an allocation; ret_output are those of the shared plan. */
static inline enum oz_status net_run(const char *what, const struct net_plans *plans,
                                     const struct oz_tensor *input, uint8_t poison,
                                     struct oz_tensor *ret_output, struct oz_error *err)
{
    const struct oz_net *net = plans->shared.net;
    struct oz_tensor apart[NET_RUN_OUTPUTS_MAX];
    struct oz_error other;
    size_t n = (plans->shared.memory_bytes + 63) / 64 * 64;
    memset(plans->memory, poison, n + 64);
    memset(plans->apart_memory, poison ^ 0xff, plans->apart.memory_bytes);
    uint64_t allocations = oz_allocations();
    enum oz_status status = oz_net_run(&plans->shared, input, plans->memory, ret_output, err);
    if (oz_allocations() != allocations) fail_msg("%s: a run allocates", what);
    for (size_t i = n; i < n + 64; i++)
        if (plans->memory[i] != poison) fail_msg("%s: writes behind its memory", what);
    if (oz_net_run(&plans->apart, input, plans->apart_memory, apart, &other) != status)
        fail_msg("%s: apart: %s, shared: %s", what, other.message, err->message);
    if (status != OZ_OK) return status;
    for (uint32_t k = 0; k < net->graph.n_outputs; k++)
        net_same_bits(what, &ret_output[k], &apart[k]);
    return OZ_OK;
}
#endif
