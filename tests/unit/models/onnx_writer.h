/* Writes ONNX files message by message, right ones and wrong ones: what the tests of the reader and
 * of the core share. A message is a growing run of bytes; putting a part into another frees the
 * part. Field numbers are those of onnx.proto. Lists of names are texts such as "a b - c", where -
 * is a name that is left out. */
#ifndef OZ_TESTS_UNIT_MODELS_ONNX_WRITER_H
#define OZ_TESTS_UNIT_MODELS_ONNX_WRITER_H
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct message {
    uint8_t *data;
    size_t n, cap;
};

/* Numbers of fields and of types. */
enum {
    MODEL_IR = 1,
    MODEL_GRAPH = 7,
    MODEL_OPSET = 8,
    MODEL_TRAINING = 20,
    MODEL_FUNCTION = 25,
    GRAPH_NODE = 1,
    GRAPH_INITIALIZER = 5,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12,
    GRAPH_SPARSE = 15,
    NODE_INPUT = 1,
    NODE_OUTPUT = 2,
    NODE_NAME = 3,
    NODE_OP = 4,
    NODE_ATTRIBUTE = 5,
    NODE_DOMAIN = 7,
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_TYPE = 20,
    ATTRIBUTE_REF = 21,
    TENSOR_DIMS = 1,
    TENSOR_TYPE = 2,
    TENSOR_FLOATS = 4,
    TENSOR_NAME = 8,
    TENSOR_RAW = 9,
    FUNCTION_NAME = 1,
    FUNCTION_INPUT = 4,
    FUNCTION_OUTPUT = 5,
    FUNCTION_ATTRIBUTE = 6,
    FUNCTION_NODE = 7,
    FUNCTION_OPSET = 9,
    FUNCTION_DOMAIN = 10,
    FUNCTION_DEFAULT = 11,
    ONNX_FLOAT = 1,
    ONNX_INT64 = 7,
    ONNX_TEXT = 8,
    ONNX_BOOL = 9,
    ONNX_FLOAT16 = 10
};

static inline void put(struct message *to, const void *bytes, size_t n)
{
    if (to->n + n > to->cap) {
        to->cap = (to->n + n) * 2 + 64;
        to->data = realloc(to->data, to->cap);
        assert_non_null(to->data);
    }
    if (n) memcpy(to->data + to->n, bytes, n);
    to->n += n;
}
static inline void put_varint(struct message *to, uint64_t v)
{
    do {
        uint8_t byte = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        put(to, &byte, 1);
    } while (v >>= 7);
}
static inline void put_int(struct message *to, uint32_t field, int64_t v)
{
    put_varint(to, (uint64_t)field << 3);
    put_varint(to, (uint64_t)v);
}
static inline void put_float(struct message *to, uint32_t field, float v)
{
    put_varint(to, (uint64_t)field << 3 | 5);
    put(to, &v, sizeof v);
}
static inline void put_bytes(struct message *to, uint32_t field, const void *bytes, size_t n)
{
    put_varint(to, (uint64_t)field << 3 | 2);
    put_varint(to, n);
    put(to, bytes, n);
}
static inline void put_text(struct message *to, uint32_t field, const char *text)
{
    put_bytes(to, field, text, strlen(text));
}
static inline void message_clear(struct message *message)
{
    free(message->data);
    *message = (struct message){0};
}
static inline void put_part(struct message *to, uint32_t field, struct message *part)
{
    put_bytes(to, field, part->data, part->n);
    message_clear(part);
}
static inline void put_names(struct message *to, uint32_t field, const char *names)
{
    while (*names) {
        size_t n = strcspn(names, " ");
        put_bytes(to, field, names, n == 1 && *names == '-' ? 0 : n);
        names += n + (names[n] == ' ');
    }
}

/* ---- nodes and their attributes ---- */

static inline struct message node_of(const char *op, const char *inputs, const char *outputs)
{
    struct message node = {0};
    put_names(&node, NODE_INPUT, inputs);
    put_names(&node, NODE_OUTPUT, outputs);
    put_text(&node, NODE_OP, op);
    return node;
}
static inline void put_node(struct message *graph, const char *op, const char *inputs,
                            const char *outputs)
{
    struct message node = node_of(op, inputs, outputs);
    put_part(graph, GRAPH_NODE, &node);
}
static inline struct message attribute_of(const char *name, int type)
{
    struct message attribute = {0};
    put_text(&attribute, ATTRIBUTE_NAME, name);
    put_int(&attribute, ATTRIBUTE_TYPE, type);
    return attribute;
}
static inline void attr_int(struct message *node, const char *name, int64_t v)
{
    struct message attribute = attribute_of(name, 2);
    put_int(&attribute, 3, v);
    put_part(node, NODE_ATTRIBUTE, &attribute);
}
static inline void attr_float(struct message *node, const char *name, float v)
{
    struct message attribute = attribute_of(name, 1);
    put_float(&attribute, 2, v);
    put_part(node, NODE_ATTRIBUTE, &attribute);
}
static inline void attr_ints(struct message *node, const char *name, size_t n, const int64_t *v)
{
    struct message attribute = attribute_of(name, 7);
    for (size_t i = 0; i < n; i++) put_int(&attribute, 8, v[i]);
    put_part(node, NODE_ATTRIBUTE, &attribute);
}
static inline void attr_graph(struct message *node, const char *name, struct message *graph)
{
    struct message attribute = attribute_of(name, 5);
    put_part(&attribute, 6, graph);
    put_part(node, NODE_ATTRIBUTE, &attribute);
}

/* ---- values ---- */

/* With raw data; dims as a list of n_dims. */
static inline struct message tensor_of(const char *name, int type, size_t n_dims,
                                       const int64_t *dims, const void *data, size_t n_bytes)
{
    struct message tensor = {0};
    for (size_t d = 0; d < n_dims; d++) put_int(&tensor, TENSOR_DIMS, dims[d]);
    put_int(&tensor, TENSOR_TYPE, type);
    put_text(&tensor, TENSOR_NAME, name);
    if (data) put_bytes(&tensor, TENSOR_RAW, data, n_bytes);
    return tensor;
}
static inline void attr_tensor(struct message *node, const char *name, struct message *tensor)
{
    struct message attribute = attribute_of(name, 4);
    put_part(&attribute, 5, tensor);
    put_part(node, NODE_ATTRIBUTE, &attribute);
}
static inline void put_floats(struct message *graph, const char *name, size_t n_dims,
                              const int64_t *dims, const float *v)
{
    size_t n = 1;
    for (size_t d = 0; d < n_dims; d++) n *= (size_t)dims[d];
    struct message tensor = tensor_of(name, ONNX_FLOAT, n_dims, dims, v, n * sizeof *v);
    put_part(graph, GRAPH_INITIALIZER, &tensor);
}
static inline void put_i64s(struct message *graph, const char *name, int64_t n, const int64_t *v)
{
    struct message tensor = tensor_of(name, ONNX_INT64, 1, &n, v, (size_t)n * sizeof *v);
    put_part(graph, GRAPH_INITIALIZER, &tensor);
}
static inline void put_i64(struct message *graph, const char *name, int64_t v)
{
    struct message tensor = tensor_of(name, ONNX_INT64, 0, NULL, &v, sizeof v);
    put_part(graph, GRAPH_INITIALIZER, &tensor);
}
static inline void put_bool(struct message *graph, const char *name, bool v)
{
    struct message tensor = tensor_of(name, ONNX_BOOL, 0, NULL, &v, sizeof v);
    put_part(graph, GRAPH_INITIALIZER, &tensor);
}
/* An input or output, as `field` says; a dimension of -1 is open. */
static inline void put_value(struct message *graph, uint32_t field, const char *name, int type,
                             size_t n_dims, const int64_t *dims)
{
    struct message info = {0}, of = {0}, tensor = {0}, shape = {0};
    for (size_t d = 0; d < n_dims; d++) {
        struct message dim = {0};
        if (dims[d] >= 0)
            put_int(&dim, 1, dims[d]);
        else
            put_text(&dim, 2, "N");
        put_part(&shape, 1, &dim);
    }
    put_int(&tensor, 1, type);
    put_part(&tensor, 2, &shape);
    put_part(&of, 1, &tensor);
    put_text(&info, 1, name);
    put_part(&info, 2, &of);
    put_part(graph, field, &info);
}
/* Inputs and outputs of a body: names only. */
static inline void put_ends(struct message *graph, uint32_t field, const char *names)
{
    while (*names) {
        size_t n = strcspn(names, " ");
        struct message info = {0};
        put_bytes(&info, 1, names, n);
        put_part(graph, field, &info);
        names += n + (names[n] == ' ');
    }
}

/* ---- models ---- */

static inline void put_opset(struct message *to, uint32_t field, const char *domain, int64_t v)
{
    struct message opset = {0};
    put_text(&opset, 1, domain);
    put_int(&opset, 2, v);
    put_part(to, field, &opset);
}
static inline struct message model_of(struct message *graph, int64_t opset)
{
    struct message model = {0};
    put_int(&model, MODEL_IR, 8);
    put_part(&model, MODEL_GRAPH, graph);
    put_opset(&model, MODEL_OPSET, "", opset);
    put_opset(&model, MODEL_OPSET, "ours", 1);
    return model;
}
#endif
