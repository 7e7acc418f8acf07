/* What an operator is, and the tables of them. One operator is one row in one of the tables of
 * models/net/op_*.c, its functions, and its lines in the tests.
 *
 * An operator has up to three functions:
 *   compile  reads the node's attributes into node->state, once. An attribute that it does not ask
 *            for is refused by name, so ask for all that are served, and only those.
 *   prepare  after folding and fusing, once: inputs that are constants may be packed here
 *            (oz_node_constant()).
 *   run      computes. It is also the operator's shape inference: it takes its inputs with
 *            oz_exec_in(), asks for its outputs with oz_exec_out() and for temporary memory with
 *            oz_exec_scratch(), and when those have no data it stops there: that is planning
 *            (exec.h). So every check of shapes and types comes before, and there is one rule for
 *            shapes, not two.
 *
 * Threads: compile and prepare run at load; run from any thread, it changes nothing of the node.
 * Errors: OZ_MODEL for anything that the file or the data got wrong; the caller puts the operator
 * and the node's name in front. run must be safe for any shapes, types and values: a hostile file
 * reaches it. It allocates nothing from the heap. */
#ifndef OZ_MODELS_NET_OP_H
#define OZ_MODELS_NET_OP_H
#include "models/net/exec.h"

enum oz_domain { OZ_DOMAIN_ONNX, OZ_DOMAIN_ML, OZ_DOMAIN_OURS /* what fusing makes */ };

struct oz_op {
    const char *name; /* "Gemm" */
    enum oz_domain domain;
    uint8_t since; /* first opset whose form of it is served; 1: all */
    uint16_t min_inputs, max_inputs, min_outputs, max_outputs;
    /* Any of these may be NULL but run. */
    enum oz_status (*compile)(struct oz_net *net, struct oz_node *node, struct oz_error *err);
    enum oz_status (*prepare)(struct oz_net *net, struct oz_node *node, struct oz_error *err);
    enum oz_status (*run)(struct oz_exec *exec, const struct oz_node *node, struct oz_error *err);
};

/* NULL: not served. */
const struct oz_op *oz_op_find(enum oz_domain domain, const char *name);
/* Every operator that is served, for the documentation: i from 0 until NULL. */
const struct oz_op *oz_op_at(size_t i);
const char *oz_domain_word(enum oz_domain domain); /* "ai.onnx", "ai.onnx.ml", "ouzel" */

/* ---- for compile: attributes. Of the wrong kind: OZ_MODEL. ---- */
/* NULL when the node has none of this name; marks it as used. */
enum oz_status oz_attr_find(struct oz_node *node, const char *name, enum oz_attribute_kind kind,
                            const struct oz_attribute **ret_attribute,
                            struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_attr_i64(struct oz_node *node, const char *name, int64_t otherwise,
                           int64_t *ret_v, struct oz_error *err) OZ_MUST_USE;
/* 0 or 1; anything else is refused. */
enum oz_status oz_attr_bool(struct oz_node *node, const char *name, bool otherwise, bool *ret_v,
                            struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_attr_f32(struct oz_node *node, const char *name, float otherwise, float *ret_v,
                           struct oz_error *err) OZ_MUST_USE;
/* Borrowed from the net. Absent: *ret_n is 0 and *ret_v NULL. */
enum oz_status oz_attr_ints(struct oz_node *node, const char *name, const int64_t **ret_v,
                            size_t *ret_n, struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_attr_floats(struct oz_node *node, const char *name, const float **ret_v,
                              size_t *ret_n, struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_attr_strings(struct oz_node *node, const char *name, const struct oz_str **ret_v,
                               size_t *ret_n, struct oz_error *err) OZ_MUST_USE;
/* One of the words; *ret_v is its place in the list, which ends with NULL. Absent: `otherwise`. */
enum oz_status oz_attr_choice(struct oz_node *node, const char *name, const char *const *words,
                              int otherwise, int *ret_v, struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_attr_tensor(struct oz_node *node, const char *name,
                              const struct oz_tensor **ret_v, struct oz_error *err) OZ_MUST_USE;
/* An attribute that changes nothing here (say, a hint): taken without a look. */
void oz_attr_ignore(struct oz_node *node, const char *name);
/* Zeroed memory in the net's arena, aligned to 64; also node->state. NULL: out of memory. */
void *oz_node_state(struct oz_net *net, struct oz_node *node, size_t n_bytes);
/* Memory in the net's arena, aligned to 64, counted as weights. NULL: out of memory. */
void *oz_net_weights(struct oz_net *net, size_t n_bytes);
/* Input i when its value is known at load, else NULL. */
const struct oz_tensor *oz_node_constant(const struct oz_net *net, const struct oz_node *node,
                                         uint32_t i);
#endif
