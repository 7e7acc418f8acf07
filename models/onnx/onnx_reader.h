/* An ONNX file to a graph that models/net can compile: values numbered, bodies of Loop, If and Scan
 * inside their nodes, model-local functions inlined, initializers copied.
 *
 * Threads: any. Ownership: the bytes are borrowed for the call; the net owns what was made of them.
 * Errors: OZ_MODEL: damaged, hostile, or asking for what is not served; by operator, opset and the
 * node's name.
 * Limits: those of models/net/net.h and below. What is allocated is bounded by a multiple of the
 * file's bytes, never by a size that the file only claims.
 * Source: the ONNX IR specification (docs/IR.md), IR versions 3 to 13. */
#ifndef OZ_MODELS_ONNX_ONNX_READER_H
#define OZ_MODELS_ONNX_ONNX_READER_H
#include "models/net/net.h"

enum {
    OZ_ONNX_IR_MIN = 3,
    OZ_ONNX_IR_MAX = 13,
    OZ_ONNX_FUNCTION_DEPTH_MAX = 16, /* functions that call functions */
    OZ_ONNX_FUNCTIONS_MAX = 4096
};

/* Whether the bytes begin as an ONNX file does: cheap, and never sure. */
bool oz_onnx_is_mine(const uint8_t *bytes, size_t n);
/* Fills a net that oz_net_init() made; also after an error the net must be cleared. */
enum oz_status oz_onnx_read(const uint8_t *bytes, size_t n, struct oz_net *net,
                            struct oz_error *err) OZ_MUST_USE;
/* A TensorProto file, as the ONNX test suite has them; the tensor lives in the arena. */
enum oz_status oz_onnx_read_tensor(const uint8_t *bytes, size_t n, struct oz_arena *arena,
                                   struct oz_tensor *ret_tensor, const char **ret_name,
                                   struct oz_error *err) OZ_MUST_USE;
#endif
