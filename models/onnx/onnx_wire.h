/* Protobuf bytes to the messages of onnx.proto, bounded: protobuf-c follows nested messages by
 * recursion and allocates what it meets, so the nesting is measured before and the memory counted.
 *
 * Ownership: messages live in the wire. Errors: OZ_MODEL for bytes that are no such message
 * or that ask for too much. */
#ifndef OZ_MODELS_ONNX_ONNX_WIRE_H
#define OZ_MODELS_ONNX_ONNX_WIRE_H
#include "base/arena.h"
#include <onnx.pb-c.h>

struct oz_onnx_wire {
    struct oz_arena arena;
    struct oz_onnx_block *block; /* the large pieces, which are given back one by one */
    size_t n_bytes, n_bytes_max; /* taken and not given back */
    size_t n_taken, n_taken_max; /* and with what was given back: bounds the work */
    bool is_over;                /* more was asked for */
    bool no_memory;              /* there was none */
};

void oz_onnx_wire_init(struct oz_onnx_wire *wire);
void oz_onnx_wire_clear(struct oz_onnx_wire *wire);
enum oz_status oz_onnx_wire_model(struct oz_onnx_wire *wire, const uint8_t *bytes, size_t n,
                                  const OzOnnx__Model **ret_model,
                                  struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_onnx_wire_tensor(struct oz_onnx_wire *wire, const uint8_t *bytes, size_t n,
                                   const OzOnnx__Tensor **ret_tensor,
                                   struct oz_error *err) OZ_MUST_USE;
#endif
