/* The parts of the reader, which one after the other turn messages into the graph of a net:
 * onnx_graph.c (graphs, values), onnx_node.c (nodes and functions), onnx_attribute.c. */
#ifndef OZ_MODELS_ONNX_ONNX_BUILDER_H
#define OZ_MODELS_ONNX_ONNX_BUILDER_H
#include "models/net/op.h"
#include "models/onnx/onnx_scope.h"
#include "models/onnx/onnx_wire.h"

struct oz_onnx_opsets { /* of the model, or of a function */
    OzOnnx__OperatorSet *const *item;
    size_t n;
};

/* While a function is inlined: the node that calls it, whose attributes its nodes may refer to. */
struct oz_onnx_call {
    const OzOnnx__Node *node;
    const OzOnnx__Function *function;
    const struct oz_onnx_call *outer; /* the call that `node` stands in, or NULL */
};

struct oz_onnx_function { /* what is asked of the model's functions again and again */
    uint64_t hash;        /* of the domain, name and overload */
    uint64_t n_bytes;     /* of its message */
};

struct oz_onnx_builder {
    struct oz_net *net;
    const OzOnnx__Model *model;
    struct oz_onnx_function *function; /* [model->n_functions], on the heap */
    uint32_t graph_depth, function_depth, n_calls;
    /* Of the functions' messages, once for every call: what a file may make of few bytes. */
    uint64_t n_called_bytes, n_called_bytes_max;
};

/* Before anything is built; the bytes of the file bound what its functions may be written out to.
 * To be cleared also after an error. */
enum oz_status oz_onnx_builder_init(struct oz_onnx_builder *builder, struct oz_net *net,
                                    const OzOnnx__Model *model, size_t n_bytes,
                                    struct oz_error *err) OZ_MUST_USE;
void oz_onnx_builder_clear(struct oz_onnx_builder *builder);

/* Where nodes are being put. */
struct oz_onnx_place {
    struct oz_onnx_scope *scope;
    const struct oz_onnx_opsets *opsets;
    const struct oz_onnx_call *call; /* NULL: not in a function */
    struct oz_node *node;            /* growing, on the heap */
    size_t n_nodes, cap_nodes;
};

/* Fills `to`; names of `outer` are seen inside. */
enum oz_status oz_onnx_build_graph(struct oz_onnx_builder *builder, const OzOnnx__Graph *from,
                                   const struct oz_onnx_scope *outer,
                                   const struct oz_onnx_opsets *opsets,
                                   const struct oz_onnx_call *call, struct oz_graph *to,
                                   struct oz_error *err) OZ_MUST_USE;
/* Adds the node, or the nodes of the function that it calls. `number` is its place in the file. */
enum oz_status oz_onnx_build_node(struct oz_onnx_builder *builder, struct oz_onnx_place *place,
                                  const OzOnnx__Node *from, size_t number,
                                  struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_onnx_build_attributes(struct oz_onnx_builder *builder,
                                        struct oz_onnx_place *place, const OzOnnx__Node *from,
                                        struct oz_node *to, struct oz_error *err) OZ_MUST_USE;
/* 0: not imported. */
int64_t oz_onnx_opset(const struct oz_onnx_opsets *opsets, const char *domain);
/* A copy in the net's arena; NULL: out of memory. */
const char *oz_onnx_keep(struct oz_net *net, const char *text);
#endif
