/* Trees to typed nodes: what each name means, whether the types fit, what nulls become.
 * A boolean feature is both: a boolean where a condition is asked for, else the number 0 or 1. Any
 * other feature is a double. A tree that uses a feature which has a mistake is checked as far as
 * that goes and gives OZ_TYPED_UNKNOWN without a mistake of its own. Ownership: nodes belong to the
 * checker's graph. */
#ifndef OZ_FEATURES_EXPR_CHECKER_H
#define OZ_FEATURES_EXPR_CHECKER_H
#include "features/expr_needs.h"
#include "features/expr_parser.h"

enum {                                /* oz_typed.type beyond enum oz_type */
       OZ_TYPED_NULL = OZ_TYPE_COUNT, /* the word null, which takes the type that is asked for */
       OZ_TYPED_UNKNOWN
};

struct oz_typed {
    unsigned type;
    uint32_t node;
    uint32_t number; /* of a boolean feature: its 0 or 1 as a double, else 0 */
};

struct oz_expr_checker {
    const struct oz_feature_set_spec *spec;
    struct oz_arena *arena;
    struct oz_expr_graph graph;
    struct oz_expr_needs *needs;
    uint32_t scored;           /* source */
    struct oz_typed *feature;  /* [n_features] UNKNOWN until checked, or for a mistake */
    uint32_t *feature_by_name; /* [n_features] sorted */
};

/* One text under the checker. */
struct oz_expr_check {
    struct oz_expr_checker *checker;
    enum oz_text_kind kind;
    uint32_t number;
    struct oz_expr_mistake *mistake;
    bool in_aggregate;
    int source; /* of the aggregate: the one that its names have shown so far, or -1 */
};

/* UNKNOWN when the text has a mistake, or memory is out. */
struct oz_typed oz_expr_check_tree(struct oz_expr_check *check, const struct oz_ast *ast);

/* For the parts of the checker. */
struct oz_typed oz_expr_feature_value(struct oz_expr_check *check, uint32_t f);
struct oz_typed oz_expr_check_aggregate(struct oz_expr_check *check, const struct oz_ast *ast);
/* Notes a mistake and gives the value that stands for it. */
struct oz_typed oz_expr_unknown(struct oz_expr_check *check, size_t offset, const char *fmt, ...)
    OZ_PRINTF(3, 4);
const char *oz_typed_name(unsigned type); /* with its article: "a long" */
/* The aggregates that are served: the one of this name, the name of one, and the promised others.
 */
bool oz_expr_agg_of(const struct oz_ast_word *name, enum oz_agg *ret_agg);
const char *oz_expr_agg_name(enum oz_agg agg);
bool oz_expr_agg_promised(const struct oz_ast_word *name);
#endif
