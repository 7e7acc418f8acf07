#include <string.h>
#include "models/onnx/onnx_builder.h"
#include "models/onnx/onnx_reader.h"
#include "models/onnx/onnx_tensor.h"

static enum oz_status add_initializers(struct oz_onnx_builder *builder, const OzOnnx__Graph *from,
                                       struct oz_onnx_scope *scope, struct oz_error *err)
{
    struct oz_net *net = builder->net;
    for (size_t i = 0; i < from->n_initializer; i++) {
        const OzOnnx__Tensor *initializer = from->initializer[i];
        const char *name = initializer->name ? initializer->name : "";
        if (!*name) OZ_FAIL(err, OZ_MODEL, "initializer %zu has no name", i);
        uint32_t value;
        const char *kept = oz_onnx_keep(net, name);
        struct oz_tensor *tensor = oz_arena_zeroed(&net->arena, 1, sizeof *tensor);
        if (!kept || !tensor) return oz_no_memory(err);
        enum oz_status status = oz_onnx_tensor(initializer, &net->arena, tensor, err);
        if (status == OZ_MODEL) oz_error_prefix(err, "initializer `%.100s`", name);
        OZ_TRY(status);
        OZ_TRY(oz_net_add_value(net, kept, &value, err));
        net->value[value].constant = tensor;
        net->weight_bytes += (uint64_t)tensor->n * oz_dtype_bytes((enum oz_dtype)tensor->dtype);
        OZ_TRY(oz_onnx_scope_add(scope, name, value, err));
    }
    return OZ_OK;
}

static enum oz_status read_shape(struct oz_net *net, const OzOnnx__TensorType *type,
                                 struct oz_value *value, struct oz_error *err)
{
    enum oz_dtype dtype = OZ_DTYPE_F32;
    const char *word;
    if (!oz_dtype_of_number(type->elem_type, &dtype, &word))
        OZ_FAIL(err, OZ_MODEL, "its type %s (%d) is not served", word, type->elem_type);
    value->is_declared = true;
    value->dtype = (uint8_t)dtype;
    if (!type->shape) return OZ_OK;
    if (type->shape->n_dim > OZ_RANK_MAX)
        OZ_FAIL(err, OZ_MODEL, "it is of rank %zu, up to %d are served", type->shape->n_dim,
                OZ_RANK_MAX);
    value->has_shape = true;
    value->rank = (uint8_t)type->shape->n_dim;
    value->dim = oz_arena_zeroed(&net->arena, OZ_RANK_MAX, sizeof *value->dim);
    if (!value->dim) return oz_no_memory(err);
    for (size_t d = 0; d < value->rank; d++) {
        const OzOnnx__Dimension *from = type->shape->dim[d];
        value->dim[d].size = from->has_dim_value && from->dim_value >= 0 ? from->dim_value : -1;
        if (value->dim[d].size < 0 && from->dim_param && *from->dim_param) {
            value->dim[d].symbol = oz_onnx_keep(net, from->dim_param);
            if (!value->dim[d].symbol) return oz_no_memory(err);
        }
    }
    return OZ_OK;
}

/* Maps have no shape in the file: a row a map, as many columns as the operator behind it knows. */
static enum oz_status read_map(struct oz_net *net, const OzOnnx__MapType *map,
                               struct oz_value *value, struct oz_error *err)
{
    const OzOnnx__TensorType *of = map->value_type ? map->value_type->tensor_type : NULL;
    if (!of) OZ_FAIL(err, OZ_MODEL, "it is a map of what is no number");
    OZ_TRY(read_shape(net, of, value, err));
    value->is_map = true;
    value->has_shape = true;
    value->rank = 2;
    value->dim = oz_arena_zeroed(&net->arena, OZ_RANK_MAX, sizeof *value->dim);
    if (!value->dim) return oz_no_memory(err);
    value->dim[0].size = value->dim[1].size = -1;
    return OZ_OK;
}

static enum oz_status declare(struct oz_net *net, const OzOnnx__ValueInfo *info, bool is_input,
                              struct oz_value *value, struct oz_error *err)
{
    const OzOnnx__Type *type = info->type;
    if (type && type->tensor_type) return read_shape(net, type->tensor_type, value, err);
    if (type && type->map_type) return read_map(net, type->map_type, value, err);
    /* Outputs are what their operators make: a list of maps is the columns of ZipMap. */
    if (!is_input) return OZ_OK;
    if (type &&
        (type->has_sequence_type || type->has_optional_type || type->has_sparse_tensor_type))
        OZ_FAIL(err, OZ_MODEL, "it is %s, tensors and maps are served",
                type->has_sequence_type   ? "a sequence"
                : type->has_optional_type ? "an optional value"
                                          : "a sparse tensor");
    OZ_FAIL(err, OZ_MODEL, "its type is not given");
}

static enum oz_status add_inputs(struct oz_onnx_builder *builder, const OzOnnx__Graph *from,
                                 struct oz_onnx_scope *scope, struct oz_graph *to,
                                 struct oz_error *err)
{
    struct oz_net *net = builder->net;
    to->input = oz_arena_get(&net->arena, (from->n_input + 1) * sizeof *to->input);
    if (!to->input) return oz_no_memory(err);
    for (size_t i = 0; i < from->n_input; i++) {
        const char *name = from->input[i]->name ? from->input[i]->name : "";
        uint32_t value;
        if (!*name) OZ_FAIL(err, OZ_MODEL, "input %zu of a graph has no name", i);
        /* Before IR version 4 initializers stood among the inputs. */
        if (oz_onnx_scope_has(scope, name, &value) && net->value[value].constant) continue;
        const char *kept = oz_onnx_keep(net, name);
        if (!kept) return oz_no_memory(err);
        OZ_TRY(oz_net_add_value(net, kept, &value, err));
        OZ_TRY(oz_onnx_scope_add(scope, name, value, err));
        to->input[to->n_inputs++] = value;
        if (builder->graph_depth > 1) continue; /* a body's inputs are what it is given */
        enum oz_status status = declare(net, from->input[i], true, &net->value[value], err);
        if (status == OZ_MODEL) oz_error_prefix(err, "input `%.100s`", name);
        OZ_TRY(status);
    }
    return OZ_OK;
}

static enum oz_status add_outputs(struct oz_onnx_builder *builder, const OzOnnx__Graph *from,
                                  const struct oz_onnx_scope *scope, struct oz_graph *to,
                                  struct oz_error *err)
{
    struct oz_net *net = builder->net;
    to->output = oz_arena_get(&net->arena, (from->n_output + 1) * sizeof *to->output);
    if (!to->output) return oz_no_memory(err);
    for (size_t i = 0; i < from->n_output; i++) {
        const char *name = from->output[i]->name ? from->output[i]->name : "";
        uint32_t value;
        if (!oz_onnx_scope_find(scope, name, &value) || value == OZ_NO_VALUE)
            OZ_FAIL(err, OZ_MODEL, "output `%.100s` is made by no node", name);
        to->output[to->n_outputs++] = value;
        if (builder->graph_depth > 1 || net->value[value].is_declared) continue;
        enum oz_status status = declare(net, from->output[i], false, &net->value[value], err);
        if (status == OZ_MODEL) oz_error_prefix(err, "output `%.100s`", name);
        OZ_TRY(status);
    }
    return OZ_OK;
}

static enum oz_status fill(struct oz_onnx_builder *builder, const OzOnnx__Graph *from,
                           struct oz_onnx_place *place, struct oz_graph *to, struct oz_error *err)
{
    struct oz_net *net = builder->net;
    if (from->n_sparse_initializer) OZ_FAIL(err, OZ_MODEL, "sparse initializers are not served");
    to->name = oz_onnx_keep(net, from->name ? from->name : "");
    if (!to->name) return oz_no_memory(err);
    OZ_TRY(add_initializers(builder, from, place->scope, err));
    OZ_TRY(add_inputs(builder, from, place->scope, to, err));
    for (size_t i = 0; i < from->n_node; i++)
        OZ_TRY(oz_onnx_build_node(builder, place, from->node[i], i, err));
    OZ_TRY(add_outputs(builder, from, place->scope, to, err));
    to->node = oz_arena_get(&net->arena, (place->n_nodes + 1) * sizeof *to->node);
    if (!to->node) return oz_no_memory(err);
    if (place->n_nodes) memcpy(to->node, place->node, place->n_nodes * sizeof *to->node);
    to->n_nodes = (uint32_t)place->n_nodes;
    return OZ_OK;
}

enum oz_status oz_onnx_build_graph(struct oz_onnx_builder *builder, const OzOnnx__Graph *from,
                                   const struct oz_onnx_scope *outer,
                                   const struct oz_onnx_opsets *opsets,
                                   const struct oz_onnx_call *call, struct oz_graph *to,
                                   struct oz_error *err)
{
    if (builder->graph_depth > OZ_NET_GRAPH_DEPTH_MAX)
        OZ_FAIL(err, OZ_MODEL, "graphs are nested deeper than %d", OZ_NET_GRAPH_DEPTH_MAX);
    struct oz_onnx_scope scope;
    oz_onnx_scope_init(&scope, outer);
    struct oz_onnx_place place = {.scope = &scope, .opsets = opsets, .call = call};
    builder->graph_depth++;
    enum oz_status status = fill(builder, from, &place, to, err);
    builder->graph_depth--;
    oz_free(place.node);
    oz_onnx_scope_clear(&scope);
    return status;
}
