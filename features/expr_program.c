#include "features/expr_program.h"
#include <string.h>

static uint8_t class_of(uint8_t type)
{
    static const uint8_t class[OZ_TYPE_COUNT] = {[OZ_LONG] = OZ_CLASS_I64,
                                                 [OZ_DOUBLE] = OZ_CLASS_F64,
                                                 [OZ_BOOLEAN] = OZ_CLASS_BOOLEAN,
                                                 [OZ_STRING] = OZ_CLASS_STR,
                                                 [OZ_TIMESTAMP] = OZ_CLASS_I64};
    return class[type];
}

/* Per node of the graph while a program is made. */
struct use {
    uint32_t place; /* of its operation in the program */
    uint32_t last;  /* the node that uses it last */
    uint32_t slot;
    bool needed;
};

struct builder {
    const struct oz_expr_graph *graph;
    const uint32_t *aggregate_number;
    struct use *use; /* [n_nodes] */
    struct oz_expr_op *op;
    uint32_t n_ops, n_slots;
    uint32_t *free_slot[2]; /* of 8 and of 16 bytes a row */
    uint32_t n_free[2];
};

static bool wide(const struct oz_expr_node *node) { return class_of(node->type) == OZ_CLASS_STR; }

/* An operation whose result is an array of ours; a loaded double may have to be cleaned in one. */
static bool has_slot(const struct oz_expr_node *node)
{
    return node->op != OZ_EXPR_FIELD || node->type == OZ_DOUBLE;
}

static uint32_t take_slot(struct builder *b, bool is_wide)
{
    if (b->n_free[is_wide]) return b->free_slot[is_wide][--b->n_free[is_wide]];
    uint32_t slot = b->n_slots;
    b->n_slots += is_wide ? 2 : 1;
    return slot;
}

static void give_slot(struct builder *b, uint32_t id)
{
    const struct oz_expr_node *node = &b->graph->node[id];
    if (node->op == OZ_EXPR_CONST || !has_slot(node)) return;
    bool is_wide = wide(node);
    b->free_slot[is_wide][b->n_free[is_wide]++] = b->use[id].slot;
}

/* From the outputs down to the leaves: operands have lower numbers, so one pass does. */
static uint32_t mark(struct builder *b, const struct oz_expr_output *output, uint32_t n_outputs)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_outputs; i++) {
        OZ_ASSERT(output[i].node);
        b->use[output[i].node].needed = true;
    }
    for (uint32_t id = b->graph->n_nodes; id-- > 1;) {
        struct use *use = &b->use[id];
        if (!use->needed) continue;
        n++;
        use->last = OZ_MAX(use->last, id);
        const struct oz_expr_node *node = &b->graph->node[id];
        for (uint32_t i = 0; i < oz_expr_op_operands(node->op); i++) {
            struct use *operand = &b->use[node->operand[i]];
            operand->needed = true;
            operand->last = OZ_MAX(operand->last, id);
        }
    }
    return n;
}

static struct oz_expr_op *emit(struct builder *b, uint8_t op, uint8_t class)
{
    OZ_ASSERT(op == OZ_EXPR_CONST || oz_expr_loop_of(op, class));
    struct oz_expr_op *to = &b->op[b->n_ops];
    to->op = op;
    to->class = class;
    to->number = b->n_ops++;
    return to;
}

static enum oz_status emit_constant(struct builder *b, uint32_t id, struct oz_arena *arena,
                                    struct oz_error *err)
{
    const struct oz_expr_node *node = &b->graph->node[id];
    struct oz_expr_op *op = emit(b, OZ_EXPR_CONST, class_of(node->type));
    b->use[id].place = op->number;
    op->slot = take_slot(b, wide(node));
    op->bits = node->bits;
    if (node->type != OZ_STRING) return OZ_OK;
    op->str = (struct oz_str){NULL, 0};
    if (!node->index) return OZ_OK;
    struct oz_str text = b->graph->literal[node->index];
    char *bytes = oz_arena_strndup(arena, text.data, text.len);
    if (!bytes) return oz_no_memory(err);
    op->str = (struct oz_str){bytes, text.len};
    return OZ_OK;
}

static void emit_node(struct builder *b, uint32_t id)
{
    const struct oz_expr_node *node = &b->graph->node[id];
    uint32_t n = oz_expr_op_operands(node->op);
    bool result = !n || node->op == OZ_EXPR_IF; /* the class is the result's */
    uint8_t type = result ? node->type : b->graph->node[node->operand[0]].type;
    struct oz_expr_op *op = emit(b, node->op, class_of(type));
    b->use[id].place = op->number;
    op->index = node->op == OZ_EXPR_AGGREGATE ? b->aggregate_number[node->index] : node->index;
    if (has_slot(node)) b->use[id].slot = op->slot = take_slot(b, wide(node));
    for (uint32_t i = 0; i < n; i++) op->operand[i] = b->use[node->operand[i]].place;
    for (uint32_t i = 0; i < n; i++) {
        struct use *operand = &b->use[node->operand[i]];
        if (operand->last != id) continue;
        give_slot(b, node->operand[i]);
        operand->last = 0; /* an operand may stand here twice */
    }
}

/* Outputs are in a list per node, so that a result is handed out while it is in the cache. */
static void emit_outputs(struct builder *b, const struct oz_expr_output *output,
                         const uint32_t *next, uint32_t first, uint32_t id)
{
    for (uint32_t i = first; i != UINT32_MAX; i = next[i]) {
        struct oz_expr_op *op = emit(b, output[i].form, class_of(b->graph->node[id].type));
        op->operand[0] = b->use[id].place;
        op->index = i;
    }
    if (b->use[id].last == id) give_slot(b, id);
}

static enum oz_status build(struct builder *b, const struct oz_expr_output *output,
                            uint32_t n_outputs, uint32_t *first, uint32_t *next,
                            struct oz_arena *arena, struct oz_expr_program *program,
                            struct oz_error *err)
{
    memset(first, 0xff, b->graph->n_nodes * sizeof(*first));
    for (uint32_t i = n_outputs; i-- > 0;) {
        next[i] = first[output[i].node];
        first[output[i].node] = i;
    }
    for (uint32_t id = 1; id < b->graph->n_nodes; id++)
        if (b->use[id].needed && b->graph->node[id].op == OZ_EXPR_CONST)
            OZ_TRY(emit_constant(b, id, arena, err));
    program->n_constants = b->n_ops;
    for (uint32_t id = 1; id < b->graph->n_nodes; id++) {
        if (!b->use[id].needed) continue;
        if (b->graph->node[id].op != OZ_EXPR_CONST) emit_node(b, id);
        emit_outputs(b, output, next, first[id], id);
    }
    program->constant = b->op;
    program->op = b->op + program->n_constants;
    program->n_ops = b->n_ops - program->n_constants;
    program->n_outputs = n_outputs;
    program->n_slots = b->n_slots;
    return OZ_OK;
}

enum oz_status oz_expr_program_new(const struct oz_expr_graph *graph,
                                   const struct oz_expr_output *output, uint32_t n_outputs,
                                   const uint32_t *aggregate_number, struct oz_arena *arena,
                                   struct oz_expr_program *ret_program, struct oz_error *err)
{
    struct oz_expr_program program = {0};
    struct builder b = {.graph = graph, .aggregate_number = aggregate_number};
    uint32_t n = graph->n_nodes;
    b.use = oz_calloc(n, sizeof(*b.use));
    uint32_t *lists = oz_calloc((size_t)n * 3 + n_outputs, sizeof(*lists));
    enum oz_status status = OZ_OK;
    if (b.use && lists) {
        b.free_slot[0] = lists + n;
        b.free_slot[1] = lists + 2 * (size_t)n;
        size_t n_ops = (size_t)mark(&b, output, n_outputs) + n_outputs;
        b.op = oz_arena_zeroed(arena, n_ops + 1, sizeof(*b.op));
    }
    if (!b.op)
        status = oz_no_memory(err);
    else
        status = build(&b, output, n_outputs, lists, lists + 3 * (size_t)n, arena, &program, err);
    oz_free(b.use);
    oz_free(lists);
    if (status == OZ_OK) *ret_program = program;
    return status;
}

/* Slots begin at whole cache lines. */
enum { ALIGN_BYTES = 64, SLOT_BYTES = 8 };

static size_t aligned(size_t n_bytes)
{
    return (n_bytes + ALIGN_BYTES - 1) & ~(size_t)(ALIGN_BYTES - 1);
}

static size_t chunk_rows(size_t n_rows)
{
    return OZ_MIN(aligned(n_rows * SLOT_BYTES) / SLOT_BYTES, (size_t)OZ_EXPR_CHUNK_ROWS);
}

static size_t table_bytes(const struct oz_expr_program *program)
{
    size_t n = (size_t)program->n_constants + program->n_ops + program->n_outputs;
    return aligned(n * sizeof(void *));
}

size_t oz_expr_program_scratch_bytes(const struct oz_expr_program *program, size_t n_rows)
{
    return ALIGN_BYTES + table_bytes(program) + program->n_slots * SLOT_BYTES * chunk_rows(n_rows);
}

void **oz_expr_program_outputs(const struct oz_expr_program *program, void *scratch)
{
    void **table = (void **)aligned((uintptr_t)scratch);
    return table + program->n_constants + program->n_ops;
}

static void fill(void *to, const struct oz_expr_op *op, size_t n)
{
    switch (op->class) {
    case OZ_CLASS_BOOLEAN: memset(to, (int)op->bits, n); break;
    case OZ_CLASS_STR:
        for (size_t i = 0; i < n; i++) ((struct oz_str *)to)[i] = op->str;
        break;
    default:
        for (size_t i = 0; i < n; i++) ((uint64_t *)to)[i] = op->bits;
    }
}

void oz_expr_program_run(const struct oz_expr_program *program, const struct oz_expr_inputs *inputs,
                         size_t first, size_t n_rows, void *scratch,
                         uint64_t nulled[OZ_NULLED_COUNT])
{
    if (!program->n_ops) return;
    void **table = (void **)aligned((uintptr_t)scratch);
    uint8_t *slots = (uint8_t *)table + table_bytes(program);
    size_t rows = chunk_rows(n_rows), slot_bytes = rows * SLOT_BYTES;
    struct oz_expr_frame frame = {.at = table,
                                  .output = oz_expr_program_outputs(program, scratch),
                                  .slots = slots,
                                  .slot_bytes = slot_bytes,
                                  .inputs = inputs,
                                  .nulled = nulled};
    for (uint32_t i = 0; i < program->n_constants + program->n_ops; i++)
        table[i] = slots + program->constant[i].slot * slot_bytes;
    for (uint32_t i = 0; i < program->n_constants; i++)
        fill(table[i], &program->constant[i], OZ_MIN(rows, n_rows));
    for (size_t done = 0; done < n_rows; done += frame.n) {
        frame.row = first + done;
        frame.n = OZ_MIN(rows, n_rows - done);
        for (uint32_t i = 0; i < program->n_ops; i++) {
            const struct oz_expr_op *op = &program->op[i];
            oz_expr_loop_of(op->op, op->class)(&frame, op);
        }
    }
}
