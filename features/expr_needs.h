/* What the aggregates of all texts need: the values that rings keep and the windows that are read.
 * Equal needs are one, whichever feature asks. When all texts are read, they become the plan, in an
 * order that depends on what they are and not on where they stand in the file.
 * Ownership: everything lives in the arena given; texts in the plan are copied into the plan's.
 * Limits: OZ_AGGREGATES_MAX aggregates, OZ_RING_VALUES_MAX values per ring. */
#ifndef OZ_FEATURES_EXPR_NEEDS_H
#define OZ_FEATURES_EXPR_NEEDS_H
#include "features/expr_graph.h"
#include "features/feature_set.h"

struct oz_expr_value {
    uint32_t entity, source;
    struct oz_value_spec spec;
    uint32_t node;         /* in the graph: a boolean for a mark, else of the value's own type */
    uint32_t ring, number; /* in the plan, when it is made */
};

struct oz_expr_aggregate {
    struct oz_aggregate spec; /* ring and value are the plan's when it is made */
    uint32_t source;
    int value;       /* of the needs, or -1 */
    uint32_t number; /* in the plan, when it is made */
};

struct oz_expr_needs {
    struct oz_expr_value value[OZ_AGGREGATES_MAX]; /* each comes from an aggregate */
    struct oz_expr_aggregate aggregate[OZ_AGGREGATES_MAX];
    uint32_t n_values, n_aggregates;
};

/* The number of the need that is this one, made when it is new; -1 when its limit is reached. */
int oz_expr_needs_value(struct oz_expr_needs *needs, const struct oz_expr_value *value);
int oz_expr_needs_aggregate(struct oz_expr_needs *needs, const struct oz_expr_aggregate *aggregate);

enum oz_status oz_expr_needs_plan(struct oz_expr_needs *needs,
                                  const struct oz_feature_set_spec *spec, struct oz_arena *arena,
                                  struct oz_plan *ret_plan, struct oz_error *err) OZ_MUST_USE;
#endif
