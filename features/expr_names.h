/* What a name in an expression means, and what a misspelt one may have meant.
 * A bare name is, in this order: inside an aggregate the scored source's field; inside a feature's
 * own definition, when it is the feature's own name, the field; else a feature, in a rule a score,
 * a field. source.field is always the field. */
#ifndef OZ_FEATURES_EXPR_NAMES_H
#define OZ_FEATURES_EXPR_NAMES_H
#include "features/expr_checker.h"

#define OZ_WORD_ARGS(word) (int)OZ_MIN((word)->len, 100u), (word)->data /* for "%.*s" */

bool oz_word_is(const struct oz_ast_word *word, const char *name);
/* Sorts the features' names; false and the two features when a name is there twice. */
bool oz_expr_sort_names(struct oz_expr_checker *checker, uint32_t ret_twice[2]);
/* The feature that a bare name outside of aggregates means, or -1. */
int oz_expr_feature_of(const struct oz_expr_checker *checker, enum oz_text_kind kind,
                       uint32_t number, const struct oz_ast_word *name);
int oz_expr_source_of(const struct oz_expr_checker *checker, const struct oz_ast_word *name);
int oz_expr_entity_of(const struct oz_expr_checker *checker, const struct oz_ast_word *name);
struct oz_typed oz_expr_check_name(struct oz_expr_check *check, const struct oz_ast *ast);
/* The aggregate under check reads this source; false and a mistake when it reads another already.
 */
bool oz_expr_read_source(struct oz_expr_check *check, uint32_t source, uint32_t offset);

/* "; did you mean `x`?", or "" when no name is near. */
struct oz_expr_hint {
    char text[160];
};
struct oz_expr_hint oz_expr_hint(const struct oz_ast_word *word, const char *const *names,
                                 size_t n);
#endif
