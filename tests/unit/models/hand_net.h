/* Nets that a test writes down node by node, as a reader would make them: what the tests of
 * operators share. A hand holds one net; its attributes live as long as it does. */
#ifndef OZ_TESTS_UNIT_MODELS_HAND_NET_H
#define OZ_TESTS_UNIT_MODELS_HAND_NET_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "models/net/exec.h"
#include "models/net/op.h"

enum {
    HAND_NODES_MAX = 64,
    HAND_ATTRIBUTES_MAX = 512,
    HAND_ARGS_MAX = 256,
    HAND_TENSORS_MAX = 256
};

struct hand {
    struct oz_net net;
    struct oz_node node[HAND_NODES_MAX];
    struct oz_attribute attribute[HAND_ATTRIBUTES_MAX];
    uint32_t arg[HAND_ARGS_MAX], end[4];
    struct oz_tensor tensor[HAND_TENSORS_MAX];
    size_t n_attributes, n_args, n_tensors;
    uint32_t input;
    struct oz_arena arena; /* of plans */
    void *memory;          /* of the last run */
};

/* A net with one input, which is a value. */
static inline void hand_init(struct hand *h)
{
    struct oz_error err;
    memset(h, 0, sizeof *h);
    oz_net_init(&h->net);
    oz_arena_init(&h->arena, 1 << 12);
    assert_int_equal(oz_net_add_value(&h->net, "x", &h->input, &err), OZ_OK);
    h->net.graph.name = "by hand";
    h->net.graph.node = h->node;
    h->net.graph.input = &h->input;
    h->net.graph.n_inputs = 1;
    h->net.graph.output = h->end;
    h->net.opset = 17;
    h->net.ml_opset = 3;
}

static inline void hand_clear(struct hand *h)
{
    oz_net_clear(&h->net);
    oz_arena_clear(&h->arena);
    free(h->memory);
}

static inline struct oz_tensor *hand_tensor(struct hand *h, enum oz_dtype dtype, size_t rank,
                                            const int64_t *dim, const void *data)
{
    struct oz_error err;
    assert_true(h->n_tensors < HAND_TENSORS_MAX);
    struct oz_tensor *tensor = &h->tensor[h->n_tensors++];
    if (oz_tensor_shape(tensor, dtype, rank, dim, &err) != OZ_OK) fail_msg("%s", err.message);
    tensor->data = (void *)(uintptr_t)data;
    return tensor;
}

/* A constant of one row. */
static inline uint32_t hand_constant(struct hand *h, enum oz_dtype dtype, int64_t n,
                                     const void *data)
{
    struct oz_error err;
    uint32_t value;
    assert_int_equal(oz_net_add_value(&h->net, "", &value, &err), OZ_OK);
    h->net.value[value].constant = hand_tensor(h, dtype, 1, &n, data);
    return value;
}

/* The next node, with one output; inputs end with OZ_NO_VALUE. */
static inline struct oz_node *hand_node(struct hand *h, enum oz_domain domain, const char *name,
                                        uint32_t opset, const uint32_t *input)
{
    struct oz_error err;
    assert_true(h->net.graph.n_nodes < HAND_NODES_MAX);
    struct oz_node *node = &h->node[h->net.graph.n_nodes];
    *node = (struct oz_node){.op = oz_op_find(domain, name),
                             .name = name,
                             .opset = opset,
                             .number = h->net.graph.n_nodes++,
                             .attribute = &h->attribute[h->n_attributes],
                             .input = &h->arg[h->n_args]};
    if (!node->op) fail_msg("there is no operator %s", name);
    for (; input[node->n_inputs] != OZ_NO_VALUE; node->n_inputs++)
        h->arg[h->n_args++] = input[node->n_inputs];
    node->output = &h->arg[h->n_args++];
    node->n_outputs = 1;
    assert_true(h->n_args < HAND_ARGS_MAX);
    assert_int_equal(oz_net_add_value(&h->net, "", node->output, &err), OZ_OK);
    h->net.n_nodes = h->net.graph.n_nodes;
    return node;
}

static inline void hand_output(struct hand *h, uint32_t value)
{
    h->end[h->net.graph.n_outputs++] = value;
}

/* Attributes go to the last node. */
static inline struct oz_attribute *hand_attribute(struct hand *h, const char *name,
                                                  enum oz_attribute_kind kind)
{
    assert_true(h->n_attributes < HAND_ATTRIBUTES_MAX);
    h->node[h->net.graph.n_nodes - 1].n_attributes++;
    struct oz_attribute *attribute = &h->attribute[h->n_attributes++];
    *attribute = (struct oz_attribute){.name = name, .kind = kind};
    return attribute;
}
static inline void hand_int(struct hand *h, const char *name, int64_t v)
{
    hand_attribute(h, name, OZ_ATTRIBUTE_INT)->i = v;
}
static inline void hand_text(struct hand *h, const char *name, const char *v)
{
    hand_attribute(h, name, OZ_ATTRIBUTE_STRING)->s = (struct oz_str){v, (uint32_t)strlen(v)};
}
static inline void hand_ints(struct hand *h, const char *name, size_t n, const int64_t *v)
{
    struct oz_attribute *attribute = hand_attribute(h, name, OZ_ATTRIBUTE_INTS);
    attribute->ints = v;
    attribute->n = n;
}
static inline void hand_floats(struct hand *h, const char *name, size_t n, const float *v)
{
    struct oz_attribute *attribute = hand_attribute(h, name, OZ_ATTRIBUTE_FLOATS);
    attribute->floats = v;
    attribute->n = n;
}
static inline void hand_texts(struct hand *h, const char *name, size_t n, const struct oz_str *v)
{
    struct oz_attribute *attribute = hand_attribute(h, name, OZ_ATTRIBUTE_STRINGS);
    attribute->strings = v;
    attribute->n = n;
}
static inline void hand_values(struct hand *h, const char *name, enum oz_dtype dtype, int64_t n,
                               const void *v)
{
    hand_attribute(h, name, OZ_ATTRIBUTE_TENSOR)->tensor = hand_tensor(h, dtype, 1, &n, v);
}

/* Compiles, plans and runs. */
static inline enum oz_status hand_run(struct hand *h, const struct oz_tensor *x,
                                      struct oz_tensor *ret_output, struct oz_error *err)
{
    struct oz_net_plan plan;
    struct oz_tensor shape = *x;
    shape.data = NULL;
    OZ_TRY(oz_net_plan(&h->net, &shape, &h->arena, &plan, err));
    free(h->memory);
    h->memory = aligned_alloc(64, (plan.memory_bytes + 63) / 64 * 64);
    assert_non_null(h->memory);
    memset(h->memory, 0xA5, plan.memory_bytes);
    return oz_net_run(&plan, x, h->memory, ret_output, err);
}
#endif
