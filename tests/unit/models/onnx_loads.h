/* Loads files that a test wrote, as far as planning, and says what came of it: what the tests of
 * the reader share. */
#ifndef OZ_TESTS_UNIT_MODELS_ONNX_LOADS_H
#define OZ_TESTS_UNIT_MODELS_ONNX_LOADS_H
#include "onnx_writer.h"
#include <stdio.h>
#include "models/net/exec.h"
#include "models/onnx/onnx_reader.h"

static struct oz_error err;

/* x float [N x 4] */
static inline void put_x(struct message *graph)
{
    put_value(graph, GRAPH_INPUT, "x", ONNX_FLOAT, 2, (int64_t[]){-1, 4});
}
static inline void put_y(struct message *graph)
{
    put_value(graph, GRAPH_OUTPUT, "y", ONNX_FLOAT, 2, (int64_t[]){-1, 4});
}
/* A graph from x to y, to be filled with nodes. */
static inline struct message graph_of_x(void)
{
    struct message graph = {0};
    put_x(&graph);
    put_y(&graph);
    return graph;
}

/* Reads, compiles and plans for 8 rows of 4. */
static inline enum oz_status load_bytes(const uint8_t *bytes, size_t n, struct oz_net *net)
{
    struct oz_arena arena;
    struct oz_net_plan plan;
    struct oz_tensor in[4];
    oz_arena_init(&arena, 1 << 12);
    oz_net_init(net);
    err = (struct oz_error){0};
    enum oz_status status = oz_onnx_read(bytes, n, net, &err);
    if (status == OZ_OK) status = oz_net_compile(net, &err);
    if (status == OZ_OK && net->graph.n_inputs <= OZ_COUNT_OF(in)) {
        for (uint32_t i = 0; i < net->graph.n_inputs; i++) {
            const struct oz_value *value = &net->value[net->graph.input[i]];
            int64_t dim[OZ_RANK_MAX];
            for (size_t d = 0; d < value->rank; d++)
                dim[d] = value->dim[d].size < 0 ? 8 : value->dim[d].size;
            if (status == OZ_OK)
                status =
                    oz_tensor_shape(&in[i], (enum oz_dtype)value->dtype, value->rank, dim, &err);
        }
        if (status == OZ_OK) status = oz_net_plan(net, in, &arena, &plan, &err);
    }
    oz_arena_clear(&arena);
    return status;
}

static inline void refused(const char *what, struct message *model, const char *words)
{
    struct oz_net net;
    enum oz_status status = load_bytes(model->data, model->n, &net);
    oz_net_clear(&net);
    message_clear(model);
    if (status != OZ_MODEL || !strstr(err.message, words))
        fail_msg("%s: %d `%s`, expected `%s`", what, status, err.message, words);
}
static inline void graph_refused(const char *what, struct message *graph, const char *words)
{
    struct message model = model_of(graph, 17);
    refused(what, &model, words);
}
static inline void served(const char *what, struct message *model)
{
    struct oz_net net;
    enum oz_status status = load_bytes(model->data, model->n, &net);
    oz_net_clear(&net);
    message_clear(model);
    if (status != OZ_OK) fail_msg("%s: %s", what, err.message);
}

/* ---- functions ---- */

/* function `name` of domain "ours": a -> b, to be filled with nodes. */
static inline struct message function_of(const char *name)
{
    struct message function = {0};
    put_text(&function, FUNCTION_NAME, name);
    put_text(&function, FUNCTION_DOMAIN, "ours");
    put_text(&function, FUNCTION_INPUT, "a");
    put_text(&function, FUNCTION_OUTPUT, "b");
    put_opset(&function, FUNCTION_OPSET, "", 17);
    put_opset(&function, FUNCTION_OPSET, "ours", 1);
    return function;
}
static inline struct message call_of(const char *name, const char *input, const char *output)
{
    struct message node = node_of(name, input, output);
    put_text(&node, NODE_DOMAIN, "ours");
    return node;
}
static inline void put_call(struct message *to, uint32_t field, const char *name, const char *input,
                            const char *output)
{
    struct message node = call_of(name, input, output);
    put_part(to, field, &node);
}
#endif
