/* One tree of an XGBoost model, from the document to the forest builder.
 * The file's form: parallel arrays over the node numbers; a node without a left child (-1) is a
 * leaf and has its value in split_conditions; nodes that pruning deleted stay in the arrays,
 * marked. */
#ifndef OZ_MODELS_XGBOOST_TREE_H
#define OZ_MODELS_XGBOOST_TREE_H
#include "models/document.h"
#include "models/forest_builder.h"

/* Messages do not name the tree; the caller does. */
enum oz_status oz_xgboost_tree_import(const struct oz_doc_value *tree, int64_t group,
                                      struct oz_forest_builder *builder,
                                      struct oz_error *err) OZ_MUST_USE;
/* Every member's key must be in the list, which ends with NULL: a member that is not known may
 * change what the others mean. */
enum oz_status oz_xgboost_check_members(const struct oz_doc_value *object, const char *const *known,
                                        struct oz_error *err) OZ_MUST_USE;
/* A number that the file keeps as a string. `otherwise` when the member is missing and it is >= 0.
 */
enum oz_status oz_xgboost_get_count(const struct oz_doc_value *object, const char *key,
                                    int64_t otherwise, int64_t *ret_n,
                                    struct oz_error *err) OZ_MUST_USE;
#endif
