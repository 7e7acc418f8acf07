/* A graph flattened for evaluation: a list of operations over columns, each used once, run over
 * chunks of at most OZ_EXPR_CHUNK_ROWS rows so that what they hand on stays in the cache. Layout of
 * scratch: a pointer per operation, a pointer per output, then the slots: arrays of a chunk's rows,
 * of 8 or (texts) 16 bytes a row. Constants keep their slots, others are reused. Nulls are as in
 * base/columns.h. Every double that an operation hands on is NaN or of a magnitude below 2^94:
 * loading and arithmetic see to it, and count what they make null. Threads: a program is immutable;
 * each caller has its own scratch. Ownership: a program lives in the arena given. Evaluation cannot
 * fail and allocates nothing. */
#ifndef OZ_FEATURES_EXPR_PROGRAM_H
#define OZ_FEATURES_EXPR_PROGRAM_H
#include "features/expr_graph.h"
#include "features/feature_set.h"

enum { OZ_EXPR_CHUNK_ROWS = 1024 };
#define OZ_EXPR_RANGE 0x1p94 /* doubles stay below */

enum oz_expr_class { /* how a type lies in memory */
                     OZ_CLASS_I64,
                     OZ_CLASS_F64,
                     OZ_CLASS_BOOLEAN,
                     OZ_CLASS_STR,
                     OZ_CLASS_COUNT
};

struct oz_expr_op {
    uint8_t op;          /* enum oz_expr_op_kind */
    uint8_t class;       /* of its first operand; of an IF its result; of a leaf what it gives */
    uint32_t number;     /* its place in the list, and in the table of pointers */
    uint32_t operand[3]; /* places of others */
    uint32_t index;      /* field, aggregate, feature or score; of an OUT the output */
    uint32_t slot;       /* 8 bytes a row: where in the slots its own array begins */
    union {
        uint64_t bits;
        struct oz_str str;
    }; /* a constant */
};

struct oz_expr_program {
    const struct oz_expr_op *constant; /* [n_constants] filled once per call */
    const struct oz_expr_op *op;       /* [n_ops] right behind the constants, numbered on */
    uint32_t n_constants, n_ops, n_outputs;
    uint32_t n_slots; /* of 8 bytes a row */
};

struct oz_expr_output {
    enum oz_expr_op_kind form; /* OZ_EXPR_OUT_* */
    uint32_t node;
};

/* aggregate_number maps the numbers in the graph to those of the caller's arrays. */
enum oz_status oz_expr_program_new(const struct oz_expr_graph *graph,
                                   const struct oz_expr_output *output, uint32_t n_outputs,
                                   const uint32_t *aggregate_number, struct oz_arena *arena,
                                   struct oz_expr_program *ret_program,
                                   struct oz_error *err) OZ_MUST_USE;
size_t oz_expr_program_scratch_bytes(const struct oz_expr_program *program, size_t n_rows);

struct oz_expr_inputs { /* arrays of all rows; those that a program does not name may be NULL */
    const struct oz_table *table;
    const double *const *aggregate;
    const double *const *feature;
    const double *const *score;
};

/* The outputs' table in the scratch: for the caller to fill with arrays of all rows before the run.
 */
void **oz_expr_program_outputs(const struct oz_expr_program *program, void *scratch);
void oz_expr_program_run(const struct oz_expr_program *program, const struct oz_expr_inputs *inputs,
                         size_t first, size_t n_rows, void *scratch,
                         uint64_t nulled[OZ_NULLED_COUNT]);

/* For the loops. */
struct oz_expr_frame {
    void **at; /* of each operation: its array, at the chunk's first row */
    void **output;
    uint8_t *slots;
    size_t slot_bytes;
    const struct oz_expr_inputs *inputs;
    size_t row, n; /* the chunk */
    uint64_t *nulled;
};
typedef void oz_expr_loop(const struct oz_expr_frame *frame, const struct oz_expr_op *op);
/* NULL: no such operation. */
oz_expr_loop *oz_expr_loop_of(uint8_t op, uint8_t class);
#endif
