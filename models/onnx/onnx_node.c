#include <stdio.h>
#include <string.h>
#include "base/hash.h"
#include "models/onnx/onnx_builder.h"
#include "models/onnx/onnx_reader.h"

/* Of the file's bytes, and at least: what its functions may be written out to. */
enum { CALLED_TIMES_MAX = 16 };
#define CALLED_BYTES_MIN (UINT64_C(16) << 20)

const char *oz_onnx_keep(struct oz_net *net, const char *text)
{
    return oz_arena_strndup(&net->arena, text, strlen(text));
}

static bool is_default_domain(const char *domain)
{
    return !domain || !*domain || !strcmp(domain, "ai.onnx");
}

static bool same_domain(const char *a, const char *b)
{
    if (is_default_domain(a) || is_default_domain(b))
        return is_default_domain(a) && is_default_domain(b);
    return !strcmp(a, b);
}

int64_t oz_onnx_opset(const struct oz_onnx_opsets *opsets, const char *domain)
{
    for (size_t i = 0; i < opsets->n; i++)
        if (same_domain(opsets->item[i]->domain, domain)) return opsets->item[i]->version;
    return 0;
}

static uint64_t function_hash(const char *domain, const char *name, const char *overload)
{
    if (is_default_domain(domain)) domain = "";
    if (!overload) overload = "";
    uint64_t parts[] = {oz_hash64(domain, strlen(domain)), oz_hash64(name, strlen(name)),
                        oz_hash64(overload, strlen(overload))};
    return oz_hash64(parts, sizeof parts);
}

enum oz_status oz_onnx_builder_init(struct oz_onnx_builder *builder, struct oz_net *net,
                                    const OzOnnx__Model *model, size_t n_bytes,
                                    struct oz_error *err)
{
    *builder = (struct oz_onnx_builder){.net = net, .model = model};
    builder->n_called_bytes_max = (uint64_t)n_bytes * CALLED_TIMES_MAX + CALLED_BYTES_MIN;
    if (!model->n_functions) return OZ_OK;
    builder->function = oz_calloc(model->n_functions, sizeof *builder->function);
    if (!builder->function) return oz_no_memory(err);
    for (size_t i = 0; i < model->n_functions; i++) {
        const OzOnnx__Function *function = model->functions[i];
        const char *name = function->name ? function->name : "";
        builder->function[i] = (struct oz_onnx_function){
            .hash = function_hash(function->domain, name, function->overload),
            .n_bytes = protobuf_c_message_get_packed_size(&function->base)};
    }
    return OZ_OK;
}

void oz_onnx_builder_clear(struct oz_onnx_builder *builder) { oz_free(builder->function); }

/* Its place among the model's functions; n_functions: none. */
static size_t find_function(const struct oz_onnx_builder *builder, const OzOnnx__Node *node)
{
    const OzOnnx__Model *model = builder->model;
    const char *overload = node->overload ? node->overload : "";
    if (!model->n_functions) return 0;
    uint64_t hash = function_hash(node->domain, node->op_type, overload);
    for (size_t i = 0; i < model->n_functions; i++) {
        const OzOnnx__Function *function = model->functions[i];
        if (builder->function[i].hash == hash && function->name &&
            !strcmp(function->name, node->op_type) && same_domain(function->domain, node->domain) &&
            !strcmp(function->overload ? function->overload : "", overload))
            return i;
    }
    return model->n_functions;
}

static enum oz_status find_op(const struct oz_onnx_place *place, const OzOnnx__Node *from,
                              struct oz_node *to, struct oz_error *err)
{
    const char *domain = from->domain ? from->domain : "";
    enum oz_domain which = OZ_DOMAIN_ONNX;
    int64_t max = OZ_NET_OPSET_MAX, min = OZ_NET_OPSET_MIN;
    if (!strcmp(domain, "ai.onnx.ml"))
        which = OZ_DOMAIN_ML, max = OZ_NET_ML_OPSET_MAX, min = 1;
    else if (!is_default_domain(domain))
        OZ_FAIL(err, OZ_MODEL,
                "the operator %.100s of the domain `%.100s` is not served, those of ai.onnx and "
                "ai.onnx.ml are",
                from->op_type, domain);
    int64_t opset = oz_onnx_opset(place->opsets, domain);
    if (!opset)
        OZ_FAIL(err, OZ_MODEL, "the file imports no version of the operators of %s",
                oz_domain_word(which));
    if (opset < min || opset > max)
        OZ_FAIL(err, OZ_MODEL, "the file uses %s opset %lld, %lld to %lld are served",
                oz_domain_word(which), (long long)opset, (long long)min, (long long)max);
    to->op = oz_op_find(which, from->op_type);
    if (!to->op)
        OZ_FAIL(err, OZ_MODEL, "the operator %.100s (%s %lld) is not served", from->op_type,
                oz_domain_word(which), (long long)opset);
    to->opset = (uint32_t)opset;
    if (to->op->since > opset)
        OZ_FAIL(err, OZ_MODEL, "the operator %.100s is served from %s opset %u on, not in %lld",
                from->op_type, oz_domain_word(which), to->op->since, (long long)opset);
    return OZ_OK;
}

static enum oz_status take_inputs(struct oz_onnx_builder *builder, struct oz_onnx_place *place,
                                  const OzOnnx__Node *from, uint32_t **ret_inputs,
                                  struct oz_error *err)
{
    if (from->n_input > OZ_NET_NODE_ARGS_MAX || from->n_output > OZ_NET_NODE_ARGS_MAX)
        OZ_FAIL(err, OZ_MODEL, "it has %zu inputs and %zu outputs, up to %d are served",
                from->n_input, from->n_output, OZ_NET_NODE_ARGS_MAX);
    uint32_t *inputs = oz_arena_get(&builder->net->arena, (from->n_input + 1) * sizeof *inputs);
    if (!inputs) return oz_no_memory(err);
    for (size_t i = 0; i < from->n_input; i++) {
        inputs[i] = OZ_NO_VALUE;
        if (*from->input[i] && !oz_onnx_scope_find(place->scope, from->input[i], &inputs[i]))
            OZ_FAIL(err, OZ_MODEL, "it reads `%.100s`, which nothing before it makes",
                    from->input[i]);
    }
    *ret_inputs = inputs;
    return OZ_OK;
}

static enum oz_status give_outputs(struct oz_onnx_builder *builder, struct oz_onnx_place *place,
                                   const OzOnnx__Node *from, struct oz_node *to,
                                   struct oz_error *err)
{
    struct oz_net *net = builder->net;
    to->n_outputs = (uint32_t)from->n_output;
    to->output = oz_arena_get(&net->arena, (from->n_output + 1) * sizeof *to->output);
    if (!to->output) return oz_no_memory(err);
    for (size_t i = 0; i < from->n_output; i++) {
        to->output[i] = OZ_NO_VALUE;
        if (!*from->output[i]) continue;
        const char *name = oz_onnx_keep(net, from->output[i]);
        if (!name) return oz_no_memory(err);
        OZ_TRY(oz_net_add_value(net, name, &to->output[i], err));
        OZ_TRY(oz_onnx_scope_add(place->scope, from->output[i], to->output[i], err));
    }
    return OZ_OK;
}

static enum oz_status inline_body(struct oz_onnx_builder *builder, struct oz_onnx_place *caller,
                                  struct oz_onnx_place *inside, const OzOnnx__Node *from,
                                  const OzOnnx__Function *function, struct oz_error *err)
{
    uint32_t *inputs;
    OZ_TRY(take_inputs(builder, caller, from, &inputs, err));
    if (from->n_input > function->n_input || from->n_output > function->n_output)
        OZ_FAIL(err, OZ_MODEL,
                "it gives %zu inputs and takes %zu outputs, the function has %zu and "
                "%zu",
                from->n_input, from->n_output, function->n_input, function->n_output);
    for (size_t i = 0; i < function->n_input; i++)
        OZ_TRY(oz_onnx_scope_add(inside->scope, function->input[i],
                                 i < from->n_input ? inputs[i] : OZ_NO_VALUE, err));
    for (size_t i = 0; i < function->n_node; i++) {
        enum oz_status status = oz_onnx_build_node(builder, inside, function->node[i], i, err);
        caller->node = inside->node, caller->n_nodes = inside->n_nodes;
        caller->cap_nodes = inside->cap_nodes;
        OZ_TRY(status);
    }
    for (size_t i = 0; i < from->n_output; i++) {
        uint32_t value;
        if (!*from->output[i]) continue;
        if (!oz_onnx_scope_find(inside->scope, function->output[i], &value))
            OZ_FAIL(err, OZ_MODEL, "its function makes no `%.100s`", function->output[i]);
        OZ_TRY(oz_onnx_scope_add(caller->scope, from->output[i], value, err));
    }
    return OZ_OK;
}

/* A call copies the function's attributes and names, so that a small file with many calls of a
 * large function would become a huge net. */
static enum oz_status count_call(struct oz_onnx_builder *builder, const OzOnnx__Node *from,
                                 size_t which, struct oz_error *err)
{
    const OzOnnx__Function *function = builder->model->functions[which];
    if (builder->function_depth == OZ_ONNX_FUNCTION_DEPTH_MAX)
        OZ_FAIL(err, OZ_MODEL, "functions call functions more than %d deep",
                OZ_ONNX_FUNCTION_DEPTH_MAX);
    if (++builder->n_calls > OZ_NET_NODES_MAX)
        OZ_FAIL(err, OZ_MODEL, "functions are called more than %d times", OZ_NET_NODES_MAX);
    if (from->n_attribute > OZ_NET_ATTRIBUTES_MAX ||
        function->n_attribute_proto > OZ_NET_ATTRIBUTES_MAX)
        OZ_FAIL(err, OZ_MODEL, "a function with more than %d attributes", OZ_NET_ATTRIBUTES_MAX);
    builder->n_called_bytes += builder->function[which].n_bytes;
    if (builder->n_called_bytes > builder->n_called_bytes_max)
        OZ_FAIL(err, OZ_MODEL,
                "its functions, written out for every call, are more than %llu bytes",
                (unsigned long long)builder->n_called_bytes_max);
    return OZ_OK;
}

/* The function's nodes take the place of the node that calls it. The depth is bounded here, the
 * number of nodes by build_node(). */
static enum oz_status inline_function(struct oz_onnx_builder *builder, struct oz_onnx_place *caller,
                                      const OzOnnx__Node *from, size_t which, struct oz_error *err)
{
    const OzOnnx__Function *function = builder->model->functions[which];
    OZ_TRY(count_call(builder, from, which, err));
    struct oz_onnx_scope scope;
    oz_onnx_scope_init(&scope, NULL);
    struct oz_onnx_opsets opsets = {function->opset_import, function->n_opset_import};
    struct oz_onnx_call call = {from, function, caller->call};
    struct oz_onnx_place inside = *caller;
    inside.scope = &scope, inside.opsets = &opsets, inside.call = &call;
    builder->function_depth++;
    enum oz_status status = inline_body(builder, caller, &inside, from, function, err);
    builder->function_depth--;
    oz_onnx_scope_clear(&scope);
    return status;
}

static enum oz_status add_node(struct oz_onnx_builder *builder, struct oz_onnx_place *place,
                               const OzOnnx__Node *from, size_t number, struct oz_error *err)
{
    struct oz_net *net = builder->net;
    struct oz_node node = {.number = net->n_nodes};
    if (++net->n_nodes > OZ_NET_NODES_MAX)
        OZ_FAIL(err, OZ_MODEL, "the graph has more than %d nodes", OZ_NET_NODES_MAX);
    OZ_TRY(find_op(place, from, &node, err));
    node.name = from->name && *from->name ? oz_onnx_keep(net, from->name)
                                          : oz_arena_printf(&net->arena, "#%zu", number);
    if (!node.name) return oz_no_memory(err);
    OZ_TRY(take_inputs(builder, place, from, &node.input, err));
    node.n_inputs = (uint32_t)from->n_input;
    OZ_TRY(oz_onnx_build_attributes(builder, place, from, &node, err));
    OZ_TRY(give_outputs(builder, place, from, &node, err));
    OZ_TRY(oz_grow((void **)&place->node, &place->cap_nodes, place->n_nodes + 1,
                   sizeof *place->node, err));
    place->node[place->n_nodes++] = node;
    return OZ_OK;
}

enum oz_status oz_onnx_build_node(struct oz_onnx_builder *builder, struct oz_onnx_place *place,
                                  const OzOnnx__Node *from, size_t number, struct oz_error *err)
{
    if (!from->op_type) OZ_FAIL(err, OZ_MODEL, "node %zu has no operator", number);
    size_t which = find_function(builder, from);
    enum oz_status status = which < builder->model->n_functions
                                ? inline_function(builder, place, from, which, err)
                                : add_node(builder, place, from, number, err);
    if (status == OZ_MODEL)
        return from->name && *from->name
                   ? oz_error_prefix(err, "node `%.100s`", from->name)
                   : oz_error_prefix(err, "node #%zu (%.100s)", number, from->op_type);
    return status;
}
