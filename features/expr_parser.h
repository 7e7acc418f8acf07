/* Text to tree. The tree knows nothing of fields and types; every node knows where it stands in the
 * text, so that whoever looks at it later can point at it.
 *
 * Grammar, loosest first (words are reserved: and or not true false null):
 *   or      = and {"or" and}
 *   and     = not {"and" not}
 *   not     = "not" not | compare
 *   compare = sum [("==" | "!=" | "<" | "<=" | ">" | ">=") sum]          does not chain
 *   sum     = product {("+" | "-") product}
 *   product = sign {("*" | "/" | "%") sign}
 *   sign    = "-" sign | primary
 *   primary = number | text | true | false | null | name ["." name] | call | "(" or ")"
 *   call    = name "(" [or {"," or}] ")" {clause}                        each clause at most once
 *   clause  = "by" name | "over" duration | "last" number | "delay" duration
 *           | "where" where | "excluding" "current"
 *   where   = ["not"] operand [("==" | ...) operand]
 *   operand = ["-"] primary, whose own calls take no clauses
 * So a clause belongs to the call before it, and a `where` ends before any arithmetic, `and` and
 * `or`: count() where a / count() is a quotient of two counts. A larger condition stands in
 * parentheses; behind a comparison without them nothing but a clause, `)` or `,` may follow.
 * Ownership: trees live in the arena; names and texts point into it.
 * Limits: below; the parser recurses as deep as parentheses nest, others as deep as the tree is. */
#ifndef OZ_FEATURES_EXPR_PARSER_H
#define OZ_FEATURES_EXPR_PARSER_H
#include "base/arena.h"
#include "base/columns.h"
#include "features/expr_lexer.h"

enum {
    OZ_EXPR_NESTING_MAX = 64, /* parentheses in parentheses */
    OZ_EXPR_DEPTH_MAX = 256,  /* of the tree: also the terms of one sum */
    OZ_EXPR_ARGS_MAX = 16,
    OZ_EXPR_LAST_MAX = 1000000000
};
#define OZ_EXPR_WINDOW_MAX_US (INT64_C(36500) * 86400 * 1000000) /* of a duration: 100 years */

enum oz_ast_kind {
    OZ_AST_LONG,
    OZ_AST_DOUBLE,
    OZ_AST_BOOLEAN,
    OZ_AST_TEXT,
    OZ_AST_NULL,
    OZ_AST_NAME,
    OZ_AST_CALL,
    OZ_AST_OPERATOR
};

enum oz_ast_operator {
    OZ_AST_ADD,
    OZ_AST_SUB,
    OZ_AST_MUL,
    OZ_AST_DIV,
    OZ_AST_MOD,
    OZ_AST_EQ,
    OZ_AST_NE,
    OZ_AST_LT,
    OZ_AST_LE,
    OZ_AST_GT,
    OZ_AST_GE,
    OZ_AST_AND,
    OZ_AST_OR,
    OZ_AST_NOT, /* of `left` alone, like NEG */
    OZ_AST_NEG
};

struct oz_ast_word { /* a name and where it stands; data is NULL when it is not there */
    const char *data;
    uint32_t len, offset;
};

struct oz_ast_call {
    struct oz_ast_word name;
    uint32_t n_args;
    struct oz_ast *arg[OZ_EXPR_ARGS_MAX];
    bool has_clause, excluding_current;
    uint32_t clause_offset; /* of the first */
    struct oz_ast_word by;
    int64_t over_us, delay_us; /* 0: none */
    uint32_t last, last_offset, excluding_offset;
    struct oz_ast *where;
};

struct oz_ast {
    enum oz_ast_kind kind;
    uint32_t start;  /* the first byte that belongs to it */
    uint32_t offset; /* the operator's, else start */
    uint32_t depth;
    bool parenthesised;
    union {
        int64_t i64; /* long; boolean */
        double f64;
        struct oz_str text; /* without its quotes */
        struct {
            struct oz_ast_word source, field; /* source.data may be NULL */
        } name;
        struct {
            enum oz_ast_operator op;
            struct oz_ast *left, *right;
        };
        struct oz_ast_call *call;
    };
};

/* NULL: see the mistake, or, when there is none, memory is out. */
struct oz_ast *oz_expr_parse(const char *text, struct oz_arena *arena,
                             struct oz_expr_mistake *mistake);
const char *oz_ast_operator_text(enum oz_ast_operator op);
#endif
