/* What If, Loop and Scan share: the body graph of a node, and the state that goes from one round of
 * it to the next.
 *
 * The state of a round lives in the node's own outputs: before the first round the initial values
 * are copied there, after each round what the body made. The body's inputs are set to it. While
 * planning nothing is copied: known values are passed on as they are. */
#ifndef OZ_MODELS_NET_OP_BODY_H
#define OZ_MODELS_NET_OP_BODY_H
#include "models/net/exec_state.h"

enum { OZ_BODY_STATES_MAX = 128 };

/* Asks for the attribute; the graph must be there. */
enum oz_status oz_body_find(struct oz_node *node, const char *name, const struct oz_graph **ret,
                            struct oz_error *err) OZ_MUST_USE;
/* The node gets at least n outputs, named or not. */
enum oz_status oz_body_need_outputs(struct oz_net *net, struct oz_node *node, uint32_t n,
                                    struct oz_error *err) OZ_MUST_USE;
/* Output k becomes a copy of `from`; while planning it takes over its shape and known values. */
enum oz_status oz_body_give(struct oz_exec *exec, const struct oz_node *node, uint32_t k,
                            const struct oz_tensor *from, struct oz_error *err) OZ_MUST_USE;
/* Outputs [0, n) of the node become values number[0, n) of the body, whatever lies where: a body
 * may swap its inputs. Then inputs input[0, n) of the body are set to them. */
enum oz_status oz_body_carry(struct oz_exec *exec, const struct oz_node *node, uint32_t n,
                             const uint32_t *number, const uint32_t *input,
                             struct oz_error *err) OZ_MUST_USE;
/* Planning: whether the state did not change its shapes since `before` [n], and none of it has
 * known values: then every further round is like this one. */
bool oz_body_is_settled(const struct oz_exec *exec, const struct oz_node *node, uint32_t n,
                        const struct oz_tensor *before);
/* The tensor of output k, named or not. */
const struct oz_tensor *oz_body_output(const struct oz_exec *exec, const struct oz_node *node,
                                       uint32_t k);
/* Copies between a slice and the place along an axis where it belongs: the whole has
 * dimension `size` there, `outer` before and `inner_bytes` behind it. */
void oz_body_put(uint8_t *whole, const uint8_t *slice, int64_t outer, int64_t size, int64_t at,
                 size_t inner_bytes);
void oz_body_take(uint8_t *slice, const uint8_t *whole, int64_t outer, int64_t size, int64_t at,
                  size_t inner_bytes);

enum oz_status oz_loop_compile(struct oz_net *net, struct oz_node *node,
                               struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_loop_run(struct oz_exec *exec, const struct oz_node *node,
                           struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_scan_compile(struct oz_net *net, struct oz_node *node,
                               struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_scan_run(struct oz_exec *exec, const struct oz_node *node,
                           struct oz_error *err) OZ_MUST_USE;
#endif
