#include <string.h>
#include "models/onnx/onnx_builder.h"
#include "models/onnx/onnx_tensor.h"

/* AttributeProto.AttributeType */
enum type { FLOAT = 1, INT, STRING, TENSOR, GRAPH, FLOATS, INTS, STRINGS };

static enum oz_status keep_str(struct oz_net *net, const ProtobufCBinaryData *from,
                               struct oz_str *to, struct oz_error *err)
{
    if (from->len > UINT32_MAX) OZ_FAIL(err, OZ_MODEL, "a text of %zu bytes", from->len);
    to->data = oz_arena_strndup(&net->arena, from->len ? (const char *)from->data : "", from->len);
    to->len = (uint32_t)from->len;
    return to->data ? OZ_OK : oz_no_memory(err);
}

static enum oz_status keep_array(struct oz_net *net, const void *from, size_t n, size_t each_bytes,
                                 const void *ret_array, struct oz_error *err)
{
    void *copy = oz_arena_get(&net->arena, n * each_bytes + 1);
    if (!copy) return oz_no_memory(err);
    if (n) memcpy(copy, from, n * each_bytes);
    memcpy((void *)(uintptr_t)ret_array, &copy, sizeof copy);
    return OZ_OK;
}

static enum oz_status keep_strings(struct oz_net *net, const OzOnnx__Attribute *from,
                                   struct oz_attribute *to, struct oz_error *err)
{
    struct oz_str *strings = oz_arena_zeroed(&net->arena, from->n_strings + 1, sizeof *strings);
    if (!strings) return oz_no_memory(err);
    for (size_t i = 0; i < from->n_strings; i++)
        OZ_TRY(keep_str(net, &from->strings[i], &strings[i], err));
    to->kind = OZ_ATTRIBUTE_STRINGS, to->n = from->n_strings, to->strings = strings;
    return OZ_OK;
}

static enum oz_status keep_tensor(struct oz_net *net, const OzOnnx__Attribute *from,
                                  struct oz_attribute *to, struct oz_error *err)
{
    struct oz_tensor *tensor = oz_arena_zeroed(&net->arena, 1, sizeof *tensor);
    if (!from->t) OZ_FAIL(err, OZ_MODEL, "the tensor is not there");
    if (!tensor) return oz_no_memory(err);
    OZ_TRY(oz_onnx_tensor(from->t, &net->arena, tensor, err));
    to->kind = OZ_ATTRIBUTE_TENSOR, to->tensor = tensor;
    return OZ_OK;
}

static enum oz_status keep_graph(struct oz_onnx_builder *builder, struct oz_onnx_place *place,
                                 const OzOnnx__Attribute *from, struct oz_attribute *to,
                                 struct oz_error *err)
{
    if (!from->g) OZ_FAIL(err, OZ_MODEL, "an attribute's graph is not there");
    to->kind = OZ_ATTRIBUTE_GRAPH;
    to->graph = oz_arena_zeroed(&builder->net->arena, 1, sizeof *to->graph);
    if (!to->graph) return oz_no_memory(err);
    return oz_onnx_build_graph(builder, from->g, place->scope, place->opsets, place->call,
                               to->graph, err);
}

static enum oz_status keep(struct oz_onnx_builder *builder, struct oz_onnx_place *place,
                           const OzOnnx__Attribute *from, struct oz_attribute *to,
                           struct oz_error *err)
{
    struct oz_net *net = builder->net;
    switch (from->type) {
    case INT: to->kind = OZ_ATTRIBUTE_INT, to->i = from->i; return OZ_OK;
    case FLOAT: to->kind = OZ_ATTRIBUTE_FLOAT, to->f = from->f; return OZ_OK;
    case STRING: to->kind = OZ_ATTRIBUTE_STRING; return keep_str(net, &from->s, &to->s, err);
    case INTS:
        to->kind = OZ_ATTRIBUTE_INTS, to->n = from->n_ints;
        return keep_array(net, from->ints, to->n, sizeof *from->ints, &to->ints, err);
    case FLOATS:
        to->kind = OZ_ATTRIBUTE_FLOATS, to->n = from->n_floats;
        return keep_array(net, from->floats, to->n, sizeof *from->floats, &to->floats, err);
    case STRINGS: return keep_strings(net, from, to, err);
    case TENSOR: return keep_tensor(net, from, to, err);
    case GRAPH: return keep_graph(builder, place, from, to, err);
    }
    OZ_FAIL(err, OZ_MODEL, "its type %d is not served", from->type);
}

static const OzOnnx__Attribute *find(OzOnnx__Attribute *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (list[i]->name && !strcmp(list[i]->name, name)) return list[i];
    return NULL;
}

/* In a function an attribute may stand for one of the calling node, whose own may stand for one
 * further out. What is left out there has the default of its function, else it is as if the node
 * inside had left it out. NULL: there is none, so the operator's default holds. */
static const OzOnnx__Attribute *resolve(const struct oz_onnx_call *call,
                                        const OzOnnx__Attribute *attribute)
{
    const OzOnnx__Attribute *otherwise = NULL;
    while (attribute->ref_attr_name && *attribute->ref_attr_name) {
        const char *name = attribute->ref_attr_name;
        if (!call) return otherwise;
        const OzOnnx__Attribute *of_function =
            find(call->function->attribute_proto, call->function->n_attribute_proto, name);
        if (of_function) otherwise = of_function;
        attribute = find(call->node->attribute, call->node->n_attribute, name);
        if (!attribute) return otherwise;
        call = call->outer;
    }
    return attribute;
}

enum oz_status oz_onnx_build_attributes(struct oz_onnx_builder *builder,
                                        struct oz_onnx_place *place, const OzOnnx__Node *from,
                                        struct oz_node *to, struct oz_error *err)
{
    struct oz_net *net = builder->net;
    if (from->n_attribute > OZ_NET_ATTRIBUTES_MAX)
        OZ_FAIL(err, OZ_MODEL, "it has %zu attributes, up to %d are served", from->n_attribute,
                OZ_NET_ATTRIBUTES_MAX);
    to->attribute = oz_arena_zeroed(&net->arena, from->n_attribute + 1, sizeof *to->attribute);
    if (!to->attribute) return oz_no_memory(err);
    for (size_t i = 0; i < from->n_attribute; i++) {
        const OzOnnx__Attribute *attribute = from->attribute[i];
        if (!attribute->name) OZ_FAIL(err, OZ_MODEL, "an attribute has no name");
        for (size_t k = 0; k < i; k++)
            if (!strcmp(from->attribute[k]->name, attribute->name))
                OZ_FAIL(err, OZ_MODEL, "the attribute `%.100s` is given twice", attribute->name);
        const OzOnnx__Attribute *value = resolve(place->call, attribute);
        if (!value) continue;
        if (value != attribute && value->type == GRAPH)
            OZ_FAIL(err, OZ_MODEL, "the attribute `%.100s` hands a graph to a function",
                    attribute->name);
        struct oz_attribute *kept = &to->attribute[to->n_attributes];
        kept->name = oz_onnx_keep(net, attribute->name);
        if (!kept->name) return oz_no_memory(err);
        enum oz_status status = keep(builder, place, value, kept, err);
        if (status != OZ_OK)
            return value->type == GRAPH || status != OZ_MODEL
                       ? status
                       : oz_error_prefix(err, "its attribute `%.100s`", attribute->name);
        to->n_attributes++;
    }
    return OZ_OK;
}
