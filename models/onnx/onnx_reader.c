#include "models/onnx/onnx_reader.h"
#include <string.h>
#include "models/onnx/onnx_builder.h"

/* A file begins with its version (field 1), or, from some writers, with the producer or the graph;
 * nothing else that is read here begins with these bytes. */
bool oz_onnx_is_mine(const uint8_t *bytes, size_t n)
{
    return n >= 2 && ((bytes[0] == 0x08 && bytes[1] >= 1 && bytes[1] < 128) ||
                      (bytes[0] == 0x12 && bytes[1] < 128) || bytes[0] == 0x3a);
}

static enum oz_status check_versions(const OzOnnx__Model *model, struct oz_net *net,
                                     struct oz_error *err)
{
    struct oz_onnx_opsets opsets = {model->opset_import, model->n_opset_import};
    if (model->n_functions > OZ_ONNX_FUNCTIONS_MAX)
        OZ_FAIL(err, OZ_MODEL, "the file has %zu functions, up to %d are served",
                model->n_functions, OZ_ONNX_FUNCTIONS_MAX);
    if (!model->graph) OZ_FAIL(err, OZ_MODEL, "this is no model of ONNX: it has no graph");
    if (model->ir_version < OZ_ONNX_IR_MIN || model->ir_version > OZ_ONNX_IR_MAX)
        OZ_FAIL(err, OZ_MODEL, "the file is of IR version %lld, %d to %d are served",
                (long long)model->ir_version, OZ_ONNX_IR_MIN, OZ_ONNX_IR_MAX);
    if (model->n_training_info)
        OZ_FAIL(err, OZ_MODEL,
                "the file carries training steps, which are not served: export it "
                "for inference");
    int64_t opset = oz_onnx_opset(&opsets, ""), ml = oz_onnx_opset(&opsets, "ai.onnx.ml");
    net->opset = opset > 0 && opset < 1000 ? (uint32_t)opset : 0;
    net->ml_opset = ml > 0 && ml < 1000 ? (uint32_t)ml : 0;
    net->producer =
        oz_arena_printf(&net->arena, "%s%s%s", model->producer_name ? model->producer_name : "",
                        model->producer_version && *model->producer_version ? " " : "",
                        model->producer_version ? model->producer_version : "");
    return net->producer ? OZ_OK : oz_no_memory(err);
}

enum oz_status oz_onnx_read(const uint8_t *bytes, size_t n, struct oz_net *net,
                            struct oz_error *err)
{
    struct oz_onnx_wire wire;
    const OzOnnx__Model *model = NULL;
    oz_onnx_wire_init(&wire);
    enum oz_status status = oz_onnx_wire_model(&wire, bytes, n, &model, err);
    if (status == OZ_OK) status = check_versions(model, net, err);
    if (status == OZ_OK) {
        struct oz_onnx_builder builder;
        struct oz_onnx_opsets opsets = {model->opset_import, model->n_opset_import};
        status = oz_onnx_builder_init(&builder, net, model, n, err);
        if (status == OZ_OK)
            status =
                oz_onnx_build_graph(&builder, model->graph, NULL, &opsets, NULL, &net->graph, err);
        oz_onnx_builder_clear(&builder);
    }
    oz_onnx_wire_clear(&wire);
    return status;
}
