/* One run of a net: where its values are.
 *
 * Planning is a run without data. The inputs have shapes and no values (data == NULL); each
 * operator asks for its outputs, and what it asks for is noted instead of given. A value that all
 * inputs of a node have is computed for real, so that shapes which are computed in the graph
 * (Shape, Gather, Concat, Reshape) are known. From the sizes and from when each value is last used,
 * every value gets a place in one block of memory. A run with fewer rows fits in there too; one
 * that would not is refused, nothing is written beyond.
 *
 * Layout of the memory of a run: struct oz_exec, one tensor for every value, then the values at the
 * plan's offsets, each aligned to 64 bytes.
 * Threads: one run, one memory, one thread. Ownership: the caller's memory; nothing is freed. */
#ifndef OZ_MODELS_NET_EXEC_H
#define OZ_MODELS_NET_EXEC_H
#include "models/net/net.h"

struct oz_exec;
struct oz_net_plan;

/* ---- for operators ---- */

/* Input i: never NULL for one that the operator requires, NULL for one that is left out. Its data
 * are NULL while planning, when they depend on what is not known yet. */
const struct oz_tensor *oz_exec_in(const struct oz_exec *exec, const struct oz_node *node,
                                   uint32_t i);
/* The same, but it must have data: for inputs whose values decide a shape. While planning, without
 * data: OZ_MODEL, which says that `what` depends on the data. */
enum oz_status oz_exec_in_known(const struct oz_exec *exec, const struct oz_node *node, uint32_t i,
                                const char *what, const struct oz_tensor **ret_tensor,
                                struct oz_error *err) OZ_MUST_USE;
/* Output k with this shape. (*ret_tensor)->data is NULL while planning: stop then. An output that
 * is left out gets memory all the same. Asking for all outputs comes before any of them is
 * written; inputs stay valid. */
enum oz_status oz_exec_out(struct oz_exec *exec, const struct oz_node *node, uint32_t k,
                           enum oz_dtype dtype, size_t rank, const int64_t *dim,
                           struct oz_tensor **ret_tensor, struct oz_error *err) OZ_MUST_USE;
/* The same for a shape that depends on data (NonZero, Compress): dim is the most it can be. While
 * running, make it as large as it is with oz_exec_shrink(). */
enum oz_status oz_exec_out_at_most(struct oz_exec *exec, const struct oz_node *node, uint32_t k,
                                   enum oz_dtype dtype, size_t rank, const int64_t *dim,
                                   struct oz_tensor **ret_tensor, struct oz_error *err) OZ_MUST_USE;
/* The same for values that follow from the inputs' shapes alone (Shape, Size): known while
 * planning, unless a shape depends on data. */
enum oz_status oz_exec_out_by_shape(struct oz_exec *exec, const struct oz_node *node, uint32_t k,
                                    enum oz_dtype dtype, size_t rank, const int64_t *dim,
                                    struct oz_tensor **ret_tensor,
                                    struct oz_error *err) OZ_MUST_USE;
void oz_exec_shrink(struct oz_tensor *tensor, const int64_t *dim); /* the same rank */
/* Output k is input i with another shape (Reshape, Squeeze, Identity): no copy. The element counts
 * must agree; of upper bounds (loose) the new one may be less. Nothing is left to do after that. */
enum oz_status oz_exec_view(struct oz_exec *exec, const struct oz_node *node, uint32_t k,
                            uint32_t i, size_t rank, const int64_t *dim,
                            struct oz_error *err) OZ_MUST_USE;
/* Whether anybody named this output. */
bool oz_exec_is_wanted(const struct oz_node *node, uint32_t k);
/* Memory until the node ends; several calls give several pieces. Aligned to 64, not cleared. NULL
 * while planning. Ask before the first use of outputs' data. */
enum oz_status oz_exec_scratch(struct oz_exec *exec, const struct oz_node *node, size_t n_bytes,
                               void **ret_memory, struct oz_error *err) OZ_MUST_USE;
/* The same until the run ends, for the bytes of texts that the node makes: whoever copies a text
 * shares its bytes. Not in the bodies of Loop, Scan and If, which may run again: refused. */
enum oz_status oz_exec_text_memory(struct oz_exec *exec, const struct oz_node *node, size_t n_bytes,
                                   void **ret_memory, struct oz_error *err) OZ_MUST_USE;
/* True while planning (some input of the node has no data): its outputs have none either. */
bool oz_exec_is_dry(const struct oz_exec *exec, const struct oz_node *node);

/* ---- for who runs a net ---- */

struct oz_net_plan {
    const struct oz_net *net;
    size_t memory_bytes; /* of a run; the memory must be aligned to 64 */
    size_t value_bytes;  /* of these: values and scratch */
    uint64_t *offset;    /* [net->n_values]: of the value in the memory */
    uint64_t *cap_bytes; /* [net->n_values] */
    uint8_t *dtype;      /* [net->n_values]: a value of another type may not take the place */
    uint64_t *scratch_offset, *scratch_bytes; /* [net->n_nodes] */
    struct oz_tensor *output;                 /* [graph.n_outputs]: their shapes in this plan */
};

/* Plans a run whose inputs have these shapes at most (and these values, where data are given: then
 * only for those values). The plan lives in `arena`. */
enum oz_status oz_net_plan(const struct oz_net *net, const struct oz_tensor *input,
                           struct oz_arena *arena, struct oz_net_plan *ret_plan,
                           struct oz_error *err) OZ_MUST_USE;
/* Runs. input[graph.n_inputs] have data and are borrowed for the run; ret_output[graph.n_outputs]
 * point into memory, inputs or constants. An error says which node could not do with which data;
 * nothing else is harmed by it. */
enum oz_status oz_net_run(const struct oz_net_plan *plan, const struct oz_tensor *input,
                          void *memory, struct oz_tensor *ret_output,
                          struct oz_error *err) OZ_MUST_USE;
#endif
