/* Typed expressions as a graph without doubles: equal expressions are the same node, so everything
 * that several features compute is computed once, and a value is known by its canonical text.
 * Layout: nodes are numbered from 1 in the order of their making, operands before their users, so a
 * pass over the numbers needs no recursion. Node 0 is "none".
 * Ownership: nodes and literals live in the arena given. Limits: OZ_EXPR_NODES_MAX per graph.
 * Errors: a failed graph gives out 0; `no_memory` or `too_many` says why. */
#ifndef OZ_FEATURES_EXPR_GRAPH_H
#define OZ_FEATURES_EXPR_GRAPH_H
#include "base/arena.h"
#include "base/buf.h"
#include "base/columns.h"

enum { OZ_EXPR_NODES_MAX = 1 << 16 };

/* name, number of operands, text: `f` a function, `o` an operator between, `p` in front, `-` own */
#define OZ_EXPR_OP_MAP(X)                                                                          \
    X(NONE, 0, '-', "")                                                                            \
    X(CONST, 0, '-', "")                                                                           \
    X(FIELD, 0, '-', "")                                                                           \
    X(AGGREGATE, 0, '-', "")                                                                       \
    X(FEATURE, 0, '-', "")                                                                         \
    X(SCORE, 0, '-', "")                                                                           \
    X(TO_DOUBLE, 1, 'f', "double")   /* of a long or a boolean */                                  \
    X(TO_BOOLEAN, 1, 'f', "boolean") /* of a double: not 0 */                                      \
    X(NEG, 1, 'p', "-")                                                                            \
    X(NOT, 1, 'p', "not ")                                                                         \
    X(IS_NULL, 1, 'f', "is_null")                                                                  \
    X(ABS, 1, 'f', "abs")                                                                          \
    X(LOG1P, 1, 'f', "log1p")                                                                      \
    X(HOUR, 1, 'f', "hour")                                                                        \
    X(WEEKDAY, 1, 'f', "weekday")                                                                  \
    X(ADD, 2, 'o', "+")                                                                            \
    X(SUB, 2, 'o', "-")                                                                            \
    X(MUL, 2, 'o', "*")                                                                            \
    X(DIV, 2, 'o', "/")                                                                            \
    X(MOD, 2, 'o', "%")                                                                            \
    X(MIN, 2, 'f', "min")                                                                          \
    X(MAX, 2, 'f', "max")                                                                          \
    X(EQ, 2, 'o', "==")                                                                            \
    X(NE, 2, 'o', "!=")                                                                            \
    X(LT, 2, 'o', "<")                                                                             \
    X(LE, 2, 'o', "<=")                                                                            \
    X(AND, 2, 'o', "and")                                                                          \
    X(OR, 2, 'o', "or")                                                                            \
    X(COALESCE, 2, 'f', "coalesce")                                                                \
    X(IF, 3, 'f', "if")                                                                            \
    X(OUT_NUMBER, 1, '-', "") /* a double */                                                       \
    X(OUT_FLAG, 1, '-', "")   /* a boolean as 0, 1, NaN */                                         \
    X(OUT_MARK, 1, '-', "")   /* a boolean: true as 1, else NaN */                                 \
    X(OUT_KEY, 1, '-', "")    /* anything as a pattern, see OZ_VALUE_KEY */                        \
    X(OUT_RULE, 1, '-', "")   /* a boolean: true as the byte 1, else 0 */

enum oz_expr_op_kind {
#define X(name, n_operands, form, text) OZ_EXPR_##name,
    OZ_EXPR_OP_MAP(X)
#undef X
        OZ_EXPR_OP_COUNT
};

struct oz_expr_node {
    uint8_t op;   /* enum oz_expr_op_kind */
    uint8_t type; /* enum oz_type of what it gives */
    uint32_t operand[3];
    uint32_t source; /* of a field */
    uint32_t index;  /* field, aggregate, feature, score; a text literal's number */
    uint64_t bits;   /* a constant: long, double or boolean; a null is its type's null */
};

struct oz_expr_graph {
    struct oz_arena *arena;
    const struct oz_schema *const *schema;
    struct oz_expr_node *node;
    uint32_t n_nodes, cap_nodes; /* counting node 0 */
    uint32_t *bucket, n_buckets;
    struct oz_str *literal; /* literal 0 is null */
    uint32_t n_literals, cap_literals;
    bool no_memory, too_many;
};

void oz_expr_graph_init(struct oz_expr_graph *graph, struct oz_arena *arena,
                        const struct oz_schema *const *schema);

uint32_t oz_expr_op_operands(uint8_t op);
/* The node that is this one, made when it is new. */
uint32_t oz_expr_graph_add(struct oz_expr_graph *graph, const struct oz_expr_node *node);
uint32_t oz_expr_graph_op(struct oz_expr_graph *graph, enum oz_expr_op_kind op, enum oz_type type,
                          uint32_t a, uint32_t b, uint32_t c);
uint32_t oz_expr_graph_field(struct oz_expr_graph *graph, uint32_t source, uint32_t field);
uint32_t oz_expr_graph_long(struct oz_expr_graph *graph, int64_t v);
uint32_t oz_expr_graph_double(struct oz_expr_graph *graph, double v);
uint32_t oz_expr_graph_boolean(struct oz_expr_graph *graph, uint8_t v);
uint32_t oz_expr_graph_text_literal(struct oz_expr_graph *graph, struct oz_str text);
uint32_t oz_expr_graph_null(struct oz_expr_graph *graph, enum oz_type type);
uint32_t oz_expr_graph_to_double(struct oz_expr_graph *graph, uint32_t node); /* of any number */

/* Appends the canonical text: fully parenthesised, names with their source, a double with a point
 * or an exponent, so that it is the same exactly when the meaning is. */
void oz_expr_graph_print(const struct oz_expr_graph *graph, uint32_t node, struct oz_buf *buf);
#endif
