/* What a run of a net is inside: shared by the files that run, plan and fold, and by the operators
 * that run bodies (op_control.c). Not for other operators. */
#ifndef OZ_MODELS_NET_EXEC_STATE_H
#define OZ_MODELS_NET_EXEC_STATE_H
#include "models/net/op.h"

/* What planning notes. Steps are those of oz_node.start and end. */
struct oz_planner {
    struct oz_arena *data; /* values that are known while planning */
    size_t data_bytes, data_bytes_max;
    bool is_over;            /* data_bytes_max was reached: known values became unknown */
    uint64_t *value_bytes;   /* [n_values]: the most that was asked for */
    uint32_t *root;          /* [n_values]: whose memory it shares; itself, or OZ_NO_VALUE: not
                                  the plan's */
    uint64_t *scratch_bytes; /* [n_nodes] */
    bool *scratch_is_kept;   /* [n_nodes]: until the run ends; NULL when folding */
    uint8_t *dtype;          /* [n_values]; NULL when folding */
    int64_t cpu_us;          /* spent on values that are known */
    uint64_t n_visits;       /* nodes that were planned; n_steps also counts rounds that were not
                                  gone through */
};

struct oz_exec {
    const struct oz_net *net;
    const struct oz_net_plan *plan; /* NULL while planning and folding */
    struct oz_planner *planner;     /* NULL while running */
    uint8_t *memory;
    struct oz_tensor *value; /* [n_values]: those that are no constants */
    uint64_t n_steps;
    size_t scratch_used; /* of the node at work */
};

/* Runs the nodes of the main graph or of a body, whose inputs are set. */
enum oz_status oz_exec_graph(struct oz_exec *exec, const struct oz_graph *graph,
                             struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_exec_node(struct oz_exec *exec, const struct oz_node *node,
                            struct oz_error *err) OZ_MUST_USE;
/* The tensor of a value, constant or not. */
const struct oz_tensor *oz_exec_value(const struct oz_exec *exec, uint32_t number);
/* So many nodes run: refused when a run has too many. Rounds of a body count too, so that one
 * without nodes ends. */
enum oz_status oz_exec_steps(struct oz_exec *exec, uint64_t n, struct oz_error *err) OZ_MUST_USE;
/* Sets an input of a body. The data stay where they are; they must outlive the node. */
void oz_exec_set(struct oz_exec *exec, uint32_t number, const struct oz_tensor *tensor);
bool oz_exec_is_planning(const struct oz_exec *exec);
/* While planning: the value gets memory of its own for a tensor like this. */
void oz_exec_note(struct oz_exec *exec, uint32_t number, const struct oz_tensor *tensor);
/* While planning: memory for known values; NULL when there is to be none. */
void *oz_exec_plan_data(struct oz_exec *exec, size_t n_bytes);
/* Folding and planning: runs a node all of whose inputs are known, for real; its time is counted. A
 * file may be small and ask for hours of arithmetic on its constants. */
enum oz_status oz_exec_known_node(struct oz_exec *exec, const struct oz_node *node,
                                  struct oz_error *err) OZ_MUST_USE;
/* "Gemm (ai.onnx 13), node `x`" in front of the message. */
enum oz_status oz_node_prefix(const struct oz_node *node, struct oz_error *err);
#endif
