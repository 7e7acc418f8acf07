/* TensorProto to a tensor: copied, checked against its dimensions, in this machine's byte order. */
#ifndef OZ_MODELS_ONNX_ONNX_TENSOR_H
#define OZ_MODELS_ONNX_ONNX_TENSOR_H
#include "models/net/tensor.h"
#include "models/onnx/onnx_wire.h"

/* Lives in the arena. Errors: OZ_MODEL for a type that is not served, data of another length than
 * the dimensions say, data in another file. */
enum oz_status oz_onnx_tensor(const OzOnnx__Tensor *from, struct oz_arena *arena,
                              struct oz_tensor *ret_tensor, struct oz_error *err) OZ_MUST_USE;
#endif
