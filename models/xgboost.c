/* XGBoost's model file, JSON or UBJSON, to a forest. models/FOREST.md tells the way; the traps of
 * the format are told where they are met. Source: xgboost 3.2.0, src/learner.cc,
 * src/gbm/gbtree_model.cc, src/tree/tree_model.cc. */
#include "models/importer.h"
#include <math.h>
#include <stdlib.h>
#include "base/number.h"
#include "models/json_document.h"
#include "models/ubjson.h"
#include "models/xgboost_objective.h"
#include "models/xgboost_tree.h"

enum { MAJOR_MIN = 1, MAJOR_MAX = 3 };

static const char *const known_in_file[] = {"learner", "version", NULL};
static const char *const known_in_learner[] = {"attributes",
                                               "feature_names",
                                               "feature_types",
                                               "gradient_booster",
                                               "learner_model_param",
                                               "objective",
                                               NULL};
static const char *const known_in_param[] = {"base_score",  "boost_from_average", "num_class",
                                             "num_feature", "num_target",         NULL};
static const char *const known_in_booster[] = {"model", "name", NULL};
static const char *const known_in_model[] = {
    "cats", "gbtree_model_param", "iteration_indptr", "tree_info", "trees", NULL};

struct import {
    struct oz_model_parts *parts;
    const struct oz_doc_value *learner, *model; /* the latter is the booster's */
    const struct oz_xgboost_objective *objective;
    int64_t major, minor, n_features, n_groups;
    float *base_margin; /* [n_groups] */
};

static enum oz_status get_object(const struct oz_doc_value *from, const char *key,
                                 const char *const *known, const struct oz_doc_value **ret_object,
                                 struct oz_error *err)
{
    OZ_TRY(oz_doc_get(from, key, OZ_DOC_OBJECT, ret_object, err));
    enum oz_status status = oz_xgboost_check_members(*ret_object, known, err);
    if (status != OZ_OK) oz_error_prefix(err, "%s", key);
    return status;
}

static enum oz_status check_version(struct import *import, const struct oz_doc_value *root,
                                    struct oz_error *err)
{
    const struct oz_doc_value *version;
    OZ_TRY(oz_doc_get(root, "version", OZ_DOC_NUMBERS, &version, err));
    if (version->n < 2 || !oz_doc_i64(version, 0, &import->major) ||
        !oz_doc_i64(version, 1, &import->minor))
        OZ_FAIL(err, OZ_MODEL, "\"version\" is not a version, expected [3, 2, 0] or the like");
    if (import->major < MAJOR_MIN || import->major > MAJOR_MAX)
        OZ_FAIL(err, OZ_MODEL,
                "the model was saved by XGBoost %lld.%lld; versions %d to %d are "
                "served",
                (long long)import->major, (long long)import->minor, MAJOR_MIN, MAJOR_MAX);
    return OZ_OK;
}

static enum oz_status find_objective(struct import *import, struct oz_error *err)
{
    const struct oz_doc_value *objective, *name;
    OZ_TRY(oz_doc_get(import->learner, "objective", OZ_DOC_OBJECT, &objective, err));
    OZ_TRY(oz_doc_get(objective, "name", OZ_DOC_STRING, &name, err));
    import->objective = oz_xgboost_objective_find(name->string, name->n);
    if (!import->objective)
        OZ_FAIL(err, OZ_MODEL, "objective \"%.*s\" is not served", (int)OZ_MIN(name->n, 64),
                name->string);
    import->parts->objective = import->objective->name;
    import->parts->transform = import->objective->transform;
    /* The rule for its base score changed in 1.3. */
    if (!strcmp(import->objective->name, "binary:logitraw") && import->major == 1 &&
        import->minor < 4)
        OZ_FAIL(err, OZ_MODEL,
                "objective \"binary:logitraw\" of XGBoost before 1.4 is not served: "
                "newer versions read its base_score differently");
    return OZ_OK;
}

/* "5E-1", and since 3.1 "[5E-1]" or one score per output. It is kept as a number of the output's
 * kind (a probability, a count), not as a margin. */
static enum oz_status parse_base_score(struct import *import, const struct oz_doc_value *text,
                                       int64_t *ret_n, struct oz_error *err)
{
    const char *at = text->string, *end = at + text->n;
    bool array = at < end && *at == '[';
    int64_t n = 0;
    if (array) {
        if (end - at < 2 || end[-1] != ']') goto wrong;
        at++, end--;
    }
    for (;; at++) {
        const char *comma = array ? memchr(at, ',', (size_t)(end - at)) : NULL;
        size_t len = (size_t)((comma ? comma : end) - at);
        float score;
        if (n == import->n_groups || !oz_parse_float(at, len, &score) || !isfinite(score))
            goto wrong;
        float margin = import->objective->link(score);
        if (!isfinite(margin))
            OZ_FAIL(err, OZ_MODEL, "\"base_score\" is %.*s, which objective %s cannot have",
                    (int)OZ_MIN(text->n, 64u), text->string, import->objective->name);
        import->base_margin[n++] = margin;
        if (!comma) break;
        at = comma;
    }
    *ret_n = n;
    return OZ_OK;
wrong:
    OZ_FAIL(err, OZ_MODEL, "\"base_score\" is \"%.*s\", expected a number or %lld in brackets",
            (int)OZ_MIN(text->n, 64u), text->string, (long long)import->n_groups);
}

/* The softmax takes its classes from the objective's own count, which must be the model's. */
static enum oz_status check_classes(const struct import *import, int64_t n_classes,
                                    struct oz_error *err)
{
    const struct oz_doc_value *objective, *param;
    int64_t n;
    OZ_TRY(oz_doc_get(import->learner, "objective", OZ_DOC_OBJECT, &objective, err));
    OZ_TRY(oz_doc_find(objective, "softmax_multiclass_param", &param, err));
    if (!param) return OZ_OK;
    OZ_TRY(oz_doc_get(objective, "softmax_multiclass_param", OZ_DOC_OBJECT, &param, err));
    OZ_TRY(oz_xgboost_get_count(param, "num_class", n_classes, &n, err));
    if (n != n_classes)
        OZ_FAIL(err, OZ_MODEL, "the objective has %lld classes, the model %lld", (long long)n,
                (long long)n_classes);
    return OZ_OK;
}

static enum oz_status read_param(struct import *import, struct oz_error *err)
{
    const struct oz_doc_value *param, *base_score;
    int64_t n_classes, n_targets, n_scores = 0;
    OZ_TRY(get_object(import->learner, "learner_model_param", known_in_param, &param, err));
    OZ_TRY(oz_xgboost_get_count(param, "num_feature", -1, &import->n_features, err));
    OZ_TRY(oz_xgboost_get_count(param, "num_class", 0, &n_classes, err));
    OZ_TRY(oz_xgboost_get_count(param, "num_target", 1, &n_targets, err));
    if (import->n_features < 1 || import->n_features > OZ_MODEL_FEATURES_MAX)
        OZ_FAIL(err, OZ_MODEL, "the model has %lld features, 1 to %d are served",
                (long long)import->n_features, OZ_MODEL_FEATURES_MAX);
    if (n_classes > 1 && n_targets > 1)
        OZ_FAIL(err, OZ_MODEL, "the model has both classes (%lld) and targets (%lld)",
                (long long)n_classes, (long long)n_targets);
    OZ_TRY(check_classes(import, n_classes, err));
    import->n_groups = OZ_MAX(OZ_MAX(n_classes, n_targets), 1);
    if (import->n_groups > OZ_MODEL_OUTPUTS_MAX)
        OZ_FAIL(err, OZ_MODEL, "the model has %lld outputs, up to %d are served",
                (long long)import->n_groups, OZ_MODEL_OUTPUTS_MAX);
    import->parts->n_scores = import->objective->one_output ? 1 : (uint32_t)import->n_groups;

    import->base_margin =
        oz_arena_get(&import->parts->arena, (size_t)import->n_groups * sizeof *import->base_margin);
    if (!import->base_margin) return oz_no_memory(err);
    OZ_TRY(oz_doc_get(param, "base_score", OZ_DOC_STRING, &base_score, err));
    OZ_TRY(parse_base_score(import, base_score, &n_scores, err));
    /* Before 3.1 there was one for all outputs. */
    if (n_scores == 1)
        for (int64_t g = 1; g < import->n_groups; g++)
            import->base_margin[g] = import->base_margin[0];
    else if (n_scores != import->n_groups)
        OZ_FAIL(err, OZ_MODEL, "\"base_score\" has %lld numbers for %lld outputs",
                (long long)n_scores, (long long)import->n_groups);
    return OZ_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Features are bound by name, so a name that stands twice would bind one of them wrongly. */
static enum oz_status check_names_differ(const char *const *name, size_t n, struct oz_error *err)
{
    const char **sorted = oz_malloc(n * sizeof *sorted);
    if (!sorted) return oz_no_memory(err);
    memcpy(sorted, name, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare_names);
    enum oz_status status = OZ_OK;
    for (size_t i = 1; i < n && status == OZ_OK; i++)
        if (!strcmp(sorted[i - 1], sorted[i]))
            status = oz_error_set(err, OZ_MODEL, "two features are called \"%.64s\"", sorted[i]);
    oz_free(sorted);
    return status;
}

static enum oz_status read_feature_names(struct import *import, struct oz_error *err)
{
    const struct oz_doc_value *names;
    OZ_TRY(oz_doc_find(import->learner, "feature_names", &names, err));
    if (!names || names->n == 0) return OZ_OK;
    OZ_TRY(oz_doc_get(import->learner, "feature_names", OZ_DOC_ARRAY, &names, err));
    if (names->n != import->n_features)
        OZ_FAIL(err, OZ_MODEL, "\"feature_names\" has %u names for %lld features", names->n,
                (long long)import->n_features);
    const char **copy = oz_arena_get(&import->parts->arena, names->n * sizeof *copy);
    if (!copy) return oz_no_memory(err);
    for (uint32_t i = 0; i < names->n; i++) {
        const struct oz_doc_value *name = &names->item[i];
        if (name->kind != OZ_DOC_STRING || !name->n || memchr(name->string, '\0', name->n))
            OZ_FAIL(err, OZ_MODEL, "\"feature_names\": name %u is not a name", i);
        copy[i] = oz_arena_strndup(&import->parts->arena, name->string, name->n);
        if (!copy[i]) return oz_no_memory(err);
    }
    OZ_TRY(check_names_differ(copy, names->n, err));
    import->parts->feature = copy;
    return OZ_OK;
}

/* One dictionary per feature, empty for those that are numbers. */
static enum oz_status refuse_categories(const struct import *import, struct oz_error *err)
{
    const struct oz_doc_value *cats, *features, *values;
    OZ_TRY(oz_doc_find(import->model, "cats", &cats, err));
    if (!cats) return OZ_OK;
    OZ_TRY(oz_doc_get(import->model, "cats", OZ_DOC_OBJECT, &cats, err));
    OZ_TRY(oz_doc_get(cats, "enc", OZ_DOC_ARRAY, &features, err));
    for (uint32_t i = 0; i < features->n; i++) {
        if (features->item[i].kind != OZ_DOC_OBJECT)
            OZ_FAIL(err, OZ_MODEL, "\"cats\": the categories of feature %u are not an object", i);
        OZ_TRY(oz_doc_find(&features->item[i], "values", &values, err));
        if (!values || values->n)
            OZ_FAIL(err, OZ_MODEL,
                    "feature %u has stored categories (\"cats\"), which are not "
                    "served; encode categories as numbers and train with "
                    "enable_categorical = False",
                    i);
    }
    return OZ_OK;
}

static enum oz_status open_booster(struct import *import, struct oz_error *err)
{
    const struct oz_doc_value *booster, *name, *value;
    OZ_TRY(oz_doc_get(import->learner, "gradient_booster", OZ_DOC_OBJECT, &booster, err));
    OZ_TRY(oz_doc_get(booster, "name", OZ_DOC_STRING, &name, err));
    if (!oz_doc_string_is(name, "gbtree"))
        OZ_FAIL(err, OZ_MODEL, "booster \"%.*s\" is not served, only gbtree is",
                (int)OZ_MIN(name->n, 64), name->string);
    OZ_TRY(get_object(import->learner, "gradient_booster", known_in_booster, &booster, err));
    OZ_TRY(oz_doc_get(booster, "model", OZ_DOC_OBJECT, &import->model, err));
    /* Since 3.3 a dart model calls itself gbtree and has its weights here. */
    OZ_TRY(oz_doc_find(import->model, "weight_drop", &value, err));
    if (value)
        OZ_FAIL(err, OZ_MODEL, "booster \"dart\" (\"weight_drop\") is not served, only gbtree is");
    OZ_TRY(get_object(booster, "model", known_in_model, &import->model, err));
    return refuse_categories(import, err);
}

/* The order of the sum is that of the trees' ids, which need not be their order in the file. */
static enum oz_status order_trees(const struct oz_doc_value *trees, struct oz_arena *arena,
                                  const struct oz_doc_value ***ret_by_id, struct oz_error *err)
{
    const struct oz_doc_value **by_id = oz_arena_zeroed(arena, trees->n, sizeof *by_id), *id;
    if (!by_id) return oz_no_memory(err);
    for (uint32_t i = 0; i < trees->n; i++) {
        const struct oz_doc_value *tree = &trees->item[i];
        if (tree->kind != OZ_DOC_OBJECT) OZ_FAIL(err, OZ_MODEL, "trees[%u] is not an object", i);
        enum oz_status status = oz_doc_get(tree, "id", OZ_DOC_INTEGER, &id, err);
        if (status != OZ_OK) return oz_error_prefix(err, "trees[%u]", i), status;
        if (id->integer < 0 || id->integer >= trees->n || by_id[id->integer])
            OZ_FAIL(err, OZ_MODEL, "trees[%u]: its id %lld is out of range or taken", i,
                    (long long)id->integer);
        by_id[id->integer] = tree;
    }
    *ret_by_id = by_id;
    return OZ_OK;
}

static enum oz_status import_trees(struct import *import, struct oz_document *doc,
                                   struct oz_error *err)
{
    const struct oz_doc_value *trees, *info, *param, **by_id = NULL;
    struct oz_forest_builder *builder = NULL;
    int64_t n_trees, group;
    OZ_TRY(oz_doc_get(import->model, "gbtree_model_param", OZ_DOC_OBJECT, &param, err));
    OZ_TRY(oz_xgboost_get_count(param, "num_trees", -1, &n_trees, err));
    OZ_TRY(oz_doc_get(import->model, "trees", OZ_DOC_ARRAY, &trees, err));
    OZ_TRY(oz_doc_get(import->model, "tree_info", OZ_DOC_NUMBERS, &info, err));
    if (trees->n != n_trees || info->n != n_trees)
        OZ_FAIL(err, OZ_MODEL,
                "\"num_trees\" is %lld, but there are %u trees and %u in "
                "\"tree_info\"",
                (long long)n_trees, trees->n, info->n);
    OZ_TRY(order_trees(trees, &doc->arena, &by_id, err));
    enum oz_status status =
        oz_forest_builder_new((uint32_t)import->n_features, (uint32_t)import->n_groups,
                              import->base_margin, &builder, err);
    for (uint32_t t = 0; t < trees->n && status == OZ_OK; t++) {
        status = oz_doc_i64(info, t, &group)
                     ? oz_xgboost_tree_import(by_id[t], group, builder, err)
                     : oz_error_set(err, OZ_MODEL, "\"tree_info\" is not an integer");
        if (status != OZ_OK) oz_error_prefix(err, "tree %u", t);
    }
    if (status == OZ_OK) status = oz_forest_builder_finish(builder, &import->parts->forest, err);
    oz_forest_builder_free(builder);
    return status;
}

static enum oz_status import_document(struct oz_document *doc, struct oz_model_parts *parts,
                                      struct oz_error *err)
{
    struct import import = {.parts = parts};
    if (doc->root.kind != OZ_DOC_OBJECT) OZ_FAIL(err, OZ_MODEL, "a model is an object");
    const struct oz_doc_value *learner;
    OZ_TRY(oz_doc_find(&doc->root, "learner", &learner, err));
    if (!learner)
        OZ_FAIL(err, OZ_MODEL,
                "this is no model of XGBoost: it has no \"learner\"; "
                "save one with save_model()");
    OZ_TRY(oz_xgboost_check_members(&doc->root, known_in_file, err));
    OZ_TRY(check_version(&import, &doc->root, err));
    OZ_TRY(get_object(&doc->root, "learner", known_in_learner, &import.learner, err));
    OZ_TRY(find_objective(&import, err));
    OZ_TRY(read_param(&import, err));
    OZ_TRY(read_feature_names(&import, err));
    OZ_TRY(open_booster(&import, err));
    return import_trees(&import, doc, err);
}

static enum oz_status
import_bytes(enum oz_status (*parse)(struct oz_document *doc, const uint8_t *bytes, size_t n,
                                     struct oz_error *err),
             const uint8_t *bytes, size_t n, struct oz_model_parts *parts, struct oz_error *err)
{
    struct oz_document doc;
    oz_document_init(&doc);
    enum oz_status status = parse(&doc, bytes, n, err);
    if (status == OZ_OK) status = import_document(&doc, parts, err);
    oz_document_clear(&doc);
    return status;
}

static enum oz_status import_json(const uint8_t *bytes, size_t n, struct oz_model_parts *parts,
                                  struct oz_error *err)
{
    return import_bytes(oz_json_document_parse, bytes, n, parts, err);
}

static enum oz_status import_ubjson(const uint8_t *bytes, size_t n, struct oz_model_parts *parts,
                                    struct oz_error *err)
{
    return import_bytes(oz_ubjson_parse, bytes, n, parts, err);
}

/* Behind the brace JSON has a blank or a quotation mark, UBJSON the type of a length. */
static bool is_json(const uint8_t *bytes, size_t n)
{
    size_t at = 0;
    while (at < n && memchr(" \t\r\n", bytes[at], 4)) at++;
    return at + 1 < n && bytes[at] == '{' && memchr(" \t\r\n\"", bytes[at + 1], 5);
}

static bool is_ubjson(const uint8_t *bytes, size_t n)
{
    return n >= 2 && bytes[0] == '{' && memchr("UiIlLN$#", bytes[1], 8);
}

const struct oz_importer oz_importer_xgboost_json = {"xgboost-json", is_json, import_json};
const struct oz_importer oz_importer_xgboost_ubjson = {"xgboost-ubjson", is_ubjson, import_ubjson};
