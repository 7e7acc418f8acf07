/* The order in which features can be computed: each behind those that it uses.
 * A circle is a mistake of its first feature in the file; features that use one of a circle are in
 * the order too and find an unknown value there. */
#ifndef OZ_FEATURES_EXPR_ORDER_H
#define OZ_FEATURES_EXPR_ORDER_H
#include "features/expr_checker.h"

/* tree[f] may be NULL. *ret_order[n_features] lives in the checker's arena. */
enum oz_status oz_expr_order(const struct oz_expr_checker *checker, struct oz_ast *const *tree,
                             struct oz_expr_mistake *mistake, uint32_t **ret_order,
                             struct oz_error *err) OZ_MUST_USE;
#endif
