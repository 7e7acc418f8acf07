#include "models/xgboost_tree.h"
#include "base/number.h"

/* Feature number and default side that pruning writes into a deleted node. */
enum { DELETED_FEATURE = INT32_MAX };

static const char *const known_members[] = {"base_weights",
                                            "categories",
                                            "categories_nodes",
                                            "categories_segments",
                                            "categories_sizes",
                                            "default_left",
                                            "id",
                                            "leaf_child_counts",
                                            "left_children",
                                            "leaf_weights",
                                            "loss_changes",
                                            "parents",
                                            "right_children",
                                            "split_conditions",
                                            "split_indices",
                                            "split_type",
                                            "sum_hessian",
                                            "tree_param",
                                            NULL};

struct arrays {
    const struct oz_doc_value *left, *right, *parent, *feature, *condition, *default_left;
};

enum oz_status oz_xgboost_check_members(const struct oz_doc_value *object, const char *const *known,
                                        struct oz_error *err)
{
    for (uint32_t i = 0; i < object->n; i++) {
        const struct oz_doc_member *member = &object->member[i];
        const char *const *name = known;
        while (*name &&
               !(strlen(*name) == member->key_len && !memcmp(*name, member->key, member->key_len)))
            name++;
        if (!*name)
            OZ_FAIL(err, OZ_MODEL, "\"%.*s\" is not known here, and what it changes neither",
                    (int)OZ_MIN(member->key_len, 64), member->key);
    }
    return OZ_OK;
}

enum oz_status oz_xgboost_get_count(const struct oz_doc_value *object, const char *key,
                                    int64_t otherwise, int64_t *ret_n, struct oz_error *err)
{
    const struct oz_doc_value *value;
    OZ_TRY(oz_doc_find(object, key, &value, err));
    if (!value && otherwise >= 0) {
        *ret_n = otherwise;
        return OZ_OK;
    }
    OZ_TRY(oz_doc_get(object, key, OZ_DOC_STRING, &value, err));
    if (!oz_parse_i64(value->string, value->n, ret_n) || *ret_n < 0)
        OZ_FAIL(err, OZ_MODEL, "\"%s\" is \"%.*s\", expected a count", key,
                (int)OZ_MIN(value->n, 64), value->string);
    return OZ_OK;
}

static enum oz_status get_array(const struct oz_doc_value *tree, const char *key, int64_t n_nodes,
                                const struct oz_doc_value **ret_array, struct oz_error *err)
{
    OZ_TRY(oz_doc_get(tree, key, OZ_DOC_NUMBERS, ret_array, err));
    if ((*ret_array)->n != n_nodes)
        OZ_FAIL(err, OZ_MODEL, "\"%s\" has %u values for %lld nodes", key, (*ret_array)->n,
                (long long)n_nodes);
    return OZ_OK;
}

static enum oz_status get_integer(const struct oz_doc_value *array, const char *key, int64_t id,
                                  int64_t *ret_v, struct oz_error *err)
{
    if (!oz_doc_i64(array, (size_t)id, ret_v))
        OZ_FAIL(err, OZ_MODEL, "node %lld: \"%s\" is not an integer", (long long)id, key);
    return OZ_OK;
}

/* What is not served is refused by the name that users know it by. */
static enum oz_status refuse_unserved(const struct oz_doc_value *tree, struct oz_error *err)
{
    const struct oz_doc_value *value;
    int64_t size, type;
    OZ_TRY(oz_doc_get(tree, "tree_param", OZ_DOC_OBJECT, &value, err));
    OZ_TRY(oz_xgboost_get_count(value, "size_leaf_vector", 0, &size, err));
    OZ_TRY(oz_doc_find(tree, "leaf_weights", &value, err));
    if (size > 1 || value)
        OZ_FAIL(err, OZ_MODEL,
                "vector leaves (multi_strategy = multi_output_tree) are not served; "
                "train with multi_strategy = one_output_per_tree");
    OZ_TRY(oz_doc_find(tree, "categories_nodes", &value, err));
    bool categorical = value && value->n;
    OZ_TRY(oz_doc_find(tree, "split_type", &value, err));
    if (value && value->n && value->kind != OZ_DOC_NUMBERS)
        OZ_FAIL(err, OZ_MODEL, "\"split_type\" is not an array of numbers");
    for (uint32_t i = 0; value && i < value->n && !categorical; i++) {
        OZ_TRY(get_integer(value, "split_type", i, &type, err));
        categorical = type != 0;
    }
    if (categorical)
        OZ_FAIL(err, OZ_MODEL,
                "categorical splits are not served; encode categories as numbers "
                "and train with enable_categorical = False");
    return OZ_OK;
}

static enum oz_status check_parent(const struct arrays *arrays, int64_t id, int64_t child,
                                   struct oz_error *err)
{
    int64_t parent;
    if (child < 0 || child >= arrays->parent->n) return OZ_OK; /* the builder says it better */
    OZ_TRY(get_integer(arrays->parent, "parents", child, &parent, err));
    if (parent != id)
        OZ_FAIL(err, OZ_MODEL, "node %lld is a child of node %lld, but its parent is given as %lld",
                (long long)child, (long long)id, (long long)parent);
    return OZ_OK;
}

static enum oz_status import_node(const struct arrays *arrays, int64_t id,
                                  struct oz_forest_builder *builder, int64_t *n_deleted,
                                  struct oz_error *err)
{
    int64_t left, right, feature, default_left;
    OZ_TRY(get_integer(arrays->left, "left_children", id, &left, err));
    OZ_TRY(get_integer(arrays->right, "right_children", id, &right, err));
    OZ_TRY(get_integer(arrays->feature, "split_indices", id, &feature, err));
    OZ_TRY(get_integer(arrays->default_left, "default_left", id, &default_left, err));
    float condition = oz_doc_f32(arrays->condition, (size_t)id);
    if (feature == DELETED_FEATURE && default_left && id != 0) {
        ++*n_deleted;
        return OZ_OK;
    }
    if (left == -1) {
        if (right != -1)
            OZ_FAIL(err, OZ_MODEL, "node %lld has a right child (%lld) and no left one",
                    (long long)id, (long long)right);
        return oz_forest_builder_leaf(builder, id, condition, err);
    }
    OZ_TRY(check_parent(arrays, id, left, err));
    OZ_TRY(check_parent(arrays, id, right, err));
    return oz_forest_builder_test(builder, id, feature, condition, default_left != 0, left, right,
                                  err);
}

enum oz_status oz_xgboost_tree_import(const struct oz_doc_value *tree, int64_t group,
                                      struct oz_forest_builder *builder, struct oz_error *err)
{
    const struct oz_doc_value *param;
    struct arrays arrays;
    int64_t n_nodes, n_deleted_said, n_deleted = 0;
    OZ_TRY(oz_xgboost_check_members(tree, known_members, err));
    OZ_TRY(refuse_unserved(tree, err));
    OZ_TRY(oz_doc_get(tree, "tree_param", OZ_DOC_OBJECT, &param, err));
    OZ_TRY(oz_xgboost_get_count(param, "num_nodes", -1, &n_nodes, err));
    OZ_TRY(oz_xgboost_get_count(param, "num_deleted", 0, &n_deleted_said, err));
    OZ_TRY(get_array(tree, "left_children", n_nodes, &arrays.left, err));
    OZ_TRY(get_array(tree, "right_children", n_nodes, &arrays.right, err));
    OZ_TRY(get_array(tree, "parents", n_nodes, &arrays.parent, err));
    OZ_TRY(get_array(tree, "split_indices", n_nodes, &arrays.feature, err));
    OZ_TRY(get_array(tree, "split_conditions", n_nodes, &arrays.condition, err));
    OZ_TRY(get_array(tree, "default_left", n_nodes, &arrays.default_left, err));
    OZ_TRY(oz_forest_builder_begin_tree(builder, (uint64_t)n_nodes, group, err));
    for (int64_t id = 0; id < n_nodes; id++)
        OZ_TRY(import_node(&arrays, id, builder, &n_deleted, err));
    if (n_deleted != n_deleted_said)
        OZ_FAIL(err, OZ_MODEL, "%lld nodes are marked as deleted, \"num_deleted\" says %lld",
                (long long)n_deleted, (long long)n_deleted_said);
    return oz_forest_builder_end_tree(builder, err);
}
