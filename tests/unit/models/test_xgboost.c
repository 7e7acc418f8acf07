/* Proves that XGBoost's files are read as XGBoost reads them, and that what is not served is
 * refused by the name that users know it by. How: real models beside this test
 * (fixtures/make_fixtures.py), in both notations, must give the golden rows, which XGBoost
 * predicted; the same text with one thing changed must be refused with words that name it, or must
 * still give the same rows where the change means nothing. */
#include "fixture_files.h"
#include "models/model.h"

static struct oz_error err;

static enum oz_status parse_text(const char *text, struct oz_model **ret_model)
{
    return oz_model_parse("m.json", (const uint8_t *)text, strlen(text), ret_model, &err);
}

static void refused_text(const char *text, const char *words)
{
    struct oz_model *model = NULL;
    if (parse_text(text, &model) != OZ_MODEL) fail_msg("not refused: %s", words);
    if (!strstr(err.message, words)) fail_msg("\"%s\" does not say \"%s\"", err.message, words);
    if (strncmp(err.message, "m.json: ", 8)) fail_msg("\"%s\" does not name the file", err.message);
}

static void refused_change(const char *name, const char *after, const char *from, const char *to,
                           const char *words)
{
    size_t n;
    char *text = fixture_read(name, &n), *changed = text_replaced(text, after, from, to);
    refused_text(changed, words);
    free(text);
    free(changed);
}

static void check_golden(const struct oz_model *model, const char *name)
{
    char path[512];
    size_t n_rows = 0;
    snprintf(path, sizeof path, FIXTURES "%s.golden.csv", name);
    if (oz_model_check_golden(model, path, &n_rows, &err) != OZ_OK)
        fail_msg("%s: %s", err.where, err.message);
    assert_int_equal(n_rows, 70);
}

static void both_notations_predict_as_the_trainer(void **state)
{
    (void)state;
    static const struct {
        const char *name, *objective;
        uint32_t n_outputs, n_trees;
    } cases[] = {{"tiny_logistic", "binary:logistic", 1, 3},
                 {"tiny_softprob", "multi:softprob", 3, 6},
                 {"tiny_softmax", "multi:softmax", 1, 6},
                 {"tiny_poisson", "count:poisson", 1, 2},
                 {"tiny_pruned", "reg:squarederror", 1, 2}};
    for (size_t i = 0; i < OZ_COUNT_OF(cases) * 2; i++) {
        const char *name = cases[i / 2].name;
        char path[512];
        struct oz_model *model;
        snprintf(path, sizeof path, FIXTURES "%s.%s", name, i % 2 ? "ubj" : "json");
        if (oz_model_load(path, &model, &err) != OZ_OK) fail_msg("%s", err.message);
        const struct oz_model_info *info = oz_model_info(model);
        assert_string_equal(info->format, i % 2 ? "xgboost-ubjson" : "xgboost-json");
        assert_string_equal(info->objective, cases[i / 2].objective);
        assert_int_equal(info->n_scores, cases[i / 2].n_outputs);
        assert_int_equal(info->n_trees, cases[i / 2].n_trees);
        assert_int_equal(info->n_features, 3);
        assert_true(info->score[0].is_float);
        if (i / 2 == 3)
            assert_false(info->has_own_names);
        else
            assert_string_equal(info->feature[1].name, "hour, local");
        check_golden(model, name);
        oz_model_free(model);
    }
}

/* What older versions wrote differently and means the same. */
static void older_forms_mean_the_same(void **state)
{
    (void)state;
    static const char *const changes[][3] = {
        {"base_score", "\"[", "\""},
        {"", "\"cats\":{\"enc\":[],\"feature_segments\":[],\"sorted_idx\":[]},", ""},
        {"", "\"iteration_indptr\":[0,1,2,3],", ""},
        {"", "\"num_target\":\"1\"", "\"num_target\":\"0\""},
        {"\"version\":[", "3,2,0", "1,6,2"},
        {"", "{\"learner\"", " {\n \"learner\""},
    };
    size_t n;
    char *text = fixture_read("tiny_logistic.json", &n);
    for (size_t i = 0; i < OZ_COUNT_OF(changes); i++) {
        char *changed = text_replaced(text, changes[i][0], changes[i][1], changes[i][2]);
        if (i == 0) {
            char *both = text_replaced(changed, "base_score", "]\"", "\"");
            free(changed);
            changed = both;
        }
        struct oz_model *model;
        if (parse_text(changed, &model) != OZ_OK) fail_msg("change %zu: %s", i, err.message);
        check_golden(model, "tiny_logistic");
        oz_model_free(model);
        free(changed);
    }
    free(text);
}

static void what_is_not_served_is_named(void **state)
{
    (void)state;
    static const char *const files[][2] = {
        {"refused_dart.json", "booster \"dart\""},
        {"refused_gblinear.json", "booster \"gblinear\""},
        {"refused_vector_leaf.json", "vector leaves (multi_strategy = multi_output_tree)"},
        {"refused_categorical.json", "categorical splits"},
        {"refused_categorical.ubj", "categorical splits"},
        {"refused_categories.json", "feature 2 has stored categories (\"cats\")"},
        {"refused_categories.ubj", "feature 2 has stored categories (\"cats\")"},
    };
    for (size_t i = 0; i < OZ_COUNT_OF(files); i++) {
        size_t n;
        struct oz_model *model;
        char *bytes = fixture_read(files[i][0], &n);
        enum oz_status status =
            oz_model_parse(files[i][0], (const uint8_t *)bytes, n, &model, &err);
        assert_int_equal(status, OZ_MODEL);
        if (!strstr(err.message, files[i][1]))
            fail_msg("\"%s\" does not say \"%s\"", err.message, files[i][1]);
        free(bytes);
    }
    const char *one = "tiny_logistic.json";
    refused_change(one, "\"objective\"", "binary:logistic", "reg:mine",
                   "objective \"reg:mine\" is not served");
    refused_change(one, "\"version\":[", "3", "4", "XGBoost 4.2; versions 1 to 3");
    refused_change(one, "\"version\":[", "3", "0", "XGBoost 0.2; versions 1 to 3");
    refused_change(one, "\"version\":[", "3,2,0", "", "not a version");
    refused_change(one, "", "\"cats\":", "\"weight_drop\":[0.5],\"cats\":", "\"dart\"");
    refused_change(one, "", "\"cats\":", "\"news\":1,\"cats\":", "\"news\" is not known");
    refused_change(one, "", "\"base_weights\":", "\"news\":1,\"base_weights\":",
                   "tree 0: \"news\" is not known");
}

static void base_scores_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"",      "[]",    "[5E-1",       "x",    "[0.5,]",   "1e99",
                                      "[NaN]", "0.5 ]", "[0.5,[0.5]]", "nan ", "[0.5,0.5]"};
    size_t n;
    char *text = fixture_read("tiny_logistic.json", &n);
    char *from = strstr(text, "\"base_score\":\"") + 14, *to = strchr(from, '"');
    for (size_t i = 0; i < OZ_COUNT_OF(bad) + 2; i++) {
        char changed[8192];
        const char *score = i < OZ_COUNT_OF(bad) ? bad[i] : i % 2 ? "[1.5]" : "-0.1";
        snprintf(changed, sizeof changed, "%.*s%s%s", (int)(from - text), text, score, to);
        refused_text(changed, i < OZ_COUNT_OF(bad) ? "expected a number or 1 in brackets"
                                                   : "which objective binary:logistic cannot have");
    }
    free(text);
    refused_change("tiny_softprob.json", "\"base_score\":\"[", ",", "]\", \"x\":\"",
                   "\"x\" is not known");
    refused_change("tiny_poisson.json", "\"base_score\":\"", "[", "[-", "cannot have");
}

static void trees_are_checked(void **state)
{
    (void)state;
    const char *one = "tiny_logistic.json";
    refused_change(one, "\"left_children\":[", "1", "9",
                   "tree 0: node 0: its left child is node 9");
    refused_change(one, "\"left_children\":[", "1", "-2", "its left child is node -2");
    refused_change(one, "\"left_children\":[", "1", "2", "node 2 is reached twice");
    refused_change(one, "\"left_children\":[", "1", "1.5", "\"left_children\" is not an integer");
    refused_change(one, "\"left_children\":[", "1,", "", "\"left_children\" has 6 values for 7");
    refused_change(one, "\"left_children\":[", "1", "\"1\"", "expected an array of numbers");
    refused_change(one, "\"left_children\":[", "1", "-1", "a right child (2) and no left one");
    refused_change(one, "\"parents\":[2147483647,", "0", "1", "its parent is given as 1");
    refused_change(one, "", "\"split_indices\":[", "\"split_indices\":[3+", "value");
    refused_change(one, "\"num_deleted\":", "\"0\"", "\"1\"", "\"num_deleted\" says 1");
    refused_change(one, "\"num_nodes\":", "\"7\"", "\"8\"", "for 8 nodes");
    refused_change(one, "\"num_nodes\":", "\"7\"", "\"-7\"", "expected a count");
    refused_change(one, "\"num_trees\":", "\"3\"", "\"4\"", "\"num_trees\" is 4");
    refused_change(one, "\"tree_info\":[", "0", "1", "tree 0: the tree adds to output 1");
    refused_change(one, "\"tree_info\":[", "0", "0.5", "tree 0: \"tree_info\" is not an integer");
    refused_change(one, "\"id\":0", "\"id\":1", "\"id\":0",
                   "trees[1]: its id 0 is out of range or taken");
    refused_change(one, "boost_from_average", "\"num_feature\":\"3\"", "\"num_feature\":\"0\"",
                   "the model has 0 features");
    refused_change(one, "boost_from_average", "\"num_feature\":\"3\"", "\"num_feature\":\"4\"",
                   "3 names for 4 features");
    refused_change(one, "\"feature_names\":[", "\"amount\"", "\"hour, local\"",
                   "two features are called \"hour, local\"");
    refused_change(one, "\"feature_names\":[", "\"amount\"", "\"\"", "name 0 is not a name");
    refused_change(one, "\"feature_names\":[", "\"amount\"", "\"a\\u0000\"", "not a name");
    refused_change(one, "", "\"tree_info\"", "\"tree_infos\"", "\"tree_infos\" is not known");
    refused_change("tiny_softprob.json", "softmax_multiclass_param", "\"3\"", "\"2\"",
                   "the objective has 2 classes, the model 3");
}

/* Trees are summed in the order of their ids: the file's order means nothing. */
static void trees_are_taken_by_their_ids(void **state)
{
    (void)state;
    size_t n;
    struct oz_model *model;
    char *text = fixture_read("tiny_logistic.json", &n);
    char *first = strstr(text, "\"trees\":[") + 9,
         *second = strstr(first, ",{\"base_weights\"") + 1;
    char *third = strstr(second, ",{\"base_weights\"") + 1;
    char changed[8192];
    snprintf(changed, sizeof changed, "%.*s%.*s,%.*s,%s", (int)(first - text), text,
             (int)(third - second - 1), second, (int)(second - first - 1), first, third);
    assert_int_equal(strlen(changed), n);
    if (parse_text(changed, &model) != OZ_OK) fail_msg("%s", err.message);
    check_golden(model, "tiny_logistic");
    oz_model_free(model);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_notations_predict_as_the_trainer),
        cmocka_unit_test(older_forms_mean_the_same),
        cmocka_unit_test(what_is_not_served_is_named),
        cmocka_unit_test(base_scores_are_checked),
        cmocka_unit_test(trees_are_checked),
        cmocka_unit_test(trees_are_taken_by_their_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
