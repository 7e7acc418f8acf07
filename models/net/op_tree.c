#include "models/net/op_tree.h"
#include "models/net/tree_attributes.h"

enum oz_status oz_tree_keep(struct oz_net *net, struct oz_forest *forest,
                            struct oz_forest **ret_kept, struct oz_error *err)
{
    void *memory = oz_net_weights(net, oz_forest_memory_bytes(forest));
    if (memory) *ret_kept = oz_forest_copy(forest, memory);
    oz_forest_free(forest);
    return memory ? OZ_OK : oz_no_memory(err);
}

static enum oz_status get_post(struct oz_node *node, enum oz_post_transform *ret_post,
                               struct oz_error *err)
{
    int post;
    OZ_TRY(
        oz_attr_choice(node, "post_transform", oz_post_transform_words, OZ_POST_NONE, &post, err));
    *ret_post = (enum oz_post_transform)post;
    return OZ_OK;
}

static enum oz_status build(struct oz_net *net, const struct oz_tree_attributes *attributes,
                            uint32_t n_outputs, const double *base, struct oz_forest **ret_forest,
                            struct oz_error *err)
{
    const struct oz_forest_form form = {.n_features = attributes->n_features,
                                        .n_groups = n_outputs,
                                        .is_weighted = true,
                                        .is_ranked = attributes->is_ranked,
                                        .aggregate = attributes->aggregate,
                                        .base = base};
    struct oz_forest_builder *builder = NULL;
    struct oz_forest *forest = NULL;
    OZ_TRY(oz_forest_builder_new_form(&form, &builder, err));
    enum oz_status status = oz_tree_add(attributes, NULL, builder, err);
    if (status == OZ_OK) status = oz_forest_builder_finish(builder, &forest, err);
    oz_forest_builder_free(builder);
    OZ_TRY(status);
    return oz_tree_keep(net, forest, ret_forest, err);
}

static enum oz_status compile_regressor(struct oz_net *net, struct oz_node *node,
                                        struct oz_error *err)
{
    static const char *const aggregates[] = {"SUM", "AVERAGE", "MIN", "MAX", NULL};
    struct oz_tree_attributes attributes;
    int64_t n_targets;
    int aggregate;
    double *base;
    struct oz_tree_state *state = oz_node_state(net, node, sizeof *state);
    if (!state) return oz_no_memory(err);
    OZ_TRY(get_post(node, &state->rule.post, err));
    OZ_TRY(oz_attr_choice(node, "aggregate_function", aggregates, 0, &aggregate, err));
    OZ_TRY(oz_attr_i64(node, "n_targets", 0, &n_targets, err));
    if (n_targets < 1 || n_targets > OZ_TREE_OUTPUTS_MAX)
        OZ_FAIL(err, OZ_MODEL, "its attribute `n_targets` is %lld, served are 1 to %d",
                (long long)n_targets, OZ_TREE_OUTPUTS_MAX);
    OZ_TRY(oz_tree_read(node, "target", &attributes, err));
    attributes.aggregate = (enum oz_forest_aggregate)aggregate;
    OZ_TRY(oz_tree_base(&attributes.base, (uint32_t)n_targets, &base, err));
    enum oz_status status = build(net, &attributes, (uint32_t)n_targets, base, &state->forest, err);
    oz_free(base);
    return status;
}

static enum oz_status get_labels(struct oz_node *node, struct oz_tree_state *state,
                                 struct oz_error *err)
{
    size_t n_ints, n_texts;
    OZ_TRY(oz_attr_ints(node, "classlabels_int64s", &state->int_label, &n_ints, err));
    OZ_TRY(oz_attr_strings(node, "classlabels_strings", &state->text_label, &n_texts, err));
    if (!n_texts) state->text_label = NULL;
    if (!n_ints) state->int_label = NULL;
    if (n_ints && n_texts)
        OZ_FAIL(err, OZ_MODEL, "it has both `classlabels_int64s` and `classlabels_strings`");
    if (!n_ints && !n_texts)
        OZ_FAIL(err, OZ_MODEL, "it has neither `classlabels_int64s` nor `classlabels_strings`");
    state->n_labels = n_ints + n_texts;
    if (state->n_labels > OZ_TREE_OUTPUTS_MAX)
        OZ_FAIL(err, OZ_MODEL, "it has %zu classes, served are up to %d", state->n_labels,
                OZ_TREE_OUTPUTS_MAX);
    return OZ_OK;
}

/* Two classes: trees that vote for one only give its score, and the other one follows from it. */
static enum oz_status find_rule(const struct oz_tree_attributes *attributes,
                                struct oz_tree_state *state, struct oz_error *err)
{
    bool votes[2] = {false, false};
    struct oz_tree_rule *rule = &state->rule;
    rule->is_positive = true;
    for (size_t i = 0; i < attributes->n_weights; i++) {
        votes[attributes->weight_output[i] != 0] = true;
        if (oz_tree_number(&attributes->weight, i) < 0) rule->is_positive = false;
    }
    rule->labels = state->n_labels == 1                          ? OZ_TREE_LABELS_ONE
                   : state->n_labels > 2 || votes[0] == votes[1] ? OZ_TREE_LABELS_BEST
                   : votes[0]                                    ? OZ_TREE_LABELS_BINARY
                                                                 : OZ_TREE_LABELS_SECOND;
    if (rule->labels == OZ_TREE_LABELS_ONE && (!state->int_label || state->int_label[0] != 1))
        OZ_FAIL(err, OZ_MODEL,
                "a classifier with one class is served if its label is the integer 1");
    size_t n_base = attributes->base.n;
    if ((rule->labels == OZ_TREE_LABELS_BINARY && n_base > 1) ||
        (rule->labels == OZ_TREE_LABELS_SECOND && n_base > 0))
        OZ_FAIL(err, OZ_MODEL,
                "its weights are for class %d of two and it has %zu base values: runtimes disagree "
                "on what that means; served are weights for class 0 with one base value or none",
                rule->labels == OZ_TREE_LABELS_SECOND, n_base);
    return OZ_OK;
}

static enum oz_status compile_classifier(struct oz_net *net, struct oz_node *node,
                                         struct oz_error *err)
{
    struct oz_tree_attributes attributes;
    double *base;
    struct oz_tree_state *state = oz_node_state(net, node, sizeof *state);
    if (!state) return oz_no_memory(err);
    state->is_classifier = true;
    OZ_TRY(get_post(node, &state->rule.post, err));
    OZ_TRY(get_labels(node, state, err));
    OZ_TRY(oz_tree_read(node, "class", &attributes, err));
    OZ_TRY(find_rule(&attributes, state, err));
    struct oz_tree_numbers given = attributes.base;
    double one_of_two[2] = {0, 0};
    if (state->rule.labels == OZ_TREE_LABELS_BINARY && given.n) {
        one_of_two[0] = oz_tree_number(&given, 0);
        given = (struct oz_tree_numbers){.f64 = one_of_two, .n = 2};
    }
    OZ_TRY(oz_tree_base(&given, (uint32_t)state->n_labels, &base, err));
    enum oz_status status =
        build(net, &attributes, (uint32_t)state->n_labels, base, &state->forest, err);
    oz_free(base);
    if (status == OZ_OK) state->rule.in_doubles = state->forest->weighs_doubles;
    return status;
}

static enum oz_status compile_ensemble(struct oz_net *net, struct oz_node *node,
                                       struct oz_error *err)
{
    struct oz_forest *forest = NULL;
    int64_t post;
    struct oz_tree_state *state = oz_node_state(net, node, sizeof *state);
    if (!state) return oz_no_memory(err);
    state->gives_input_type = true;
    OZ_TRY(oz_tree_read_ensemble(node, &forest, &post, err));
    if (post < OZ_POST_NONE || post > OZ_POST_PROBIT) {
        oz_forest_free(forest);
        OZ_FAIL(err, OZ_MODEL, "its attribute `post_transform` is %lld, served are 0 to 4",
                (long long)post);
    }
    state->rule.post = (enum oz_post_transform)post;
    return oz_tree_keep(net, forest, &state->forest, err);
}

static bool rows_of(const struct oz_tensor *x, int64_t first_row, struct oz_forest_rows *ret_rows)
{
    static const struct {
        enum oz_dtype dtype;
        enum oz_forest_value value;
    } types[] = {{OZ_DTYPE_F32, OZ_FOREST_F32},
                 {OZ_DTYPE_F64, OZ_FOREST_F64},
                 {OZ_DTYPE_I32, OZ_FOREST_I32},
                 {OZ_DTYPE_I64, OZ_FOREST_I64}};
    for (size_t i = 0; i < OZ_COUNT_OF(types); i++)
        if (types[i].dtype == x->dtype) {
            size_t stride = (size_t)x->dim[1];
            ret_rows->type = types[i].value;
            ret_rows->stride = stride;
            ret_rows->value = x->data ? (const uint8_t *)x->data +
                                            (size_t)first_row * stride * oz_dtype_bytes(x->dtype)
                                      : NULL;
            return true;
        }
    return false;
}

static enum oz_status check_input(const struct oz_tree_state *state, const struct oz_tensor *x,
                                  struct oz_error *err)
{
    char words[OZ_TENSOR_WORDS_BYTES];
    struct oz_forest_rows rows;
    if (x->rank != 2 || !rows_of(x, 0, &rows) ||
        (state->gives_input_type && !oz_dtype_is_float((enum oz_dtype)x->dtype)))
        OZ_FAIL(err, OZ_MODEL, "its input is %s, served are rows of %s", oz_tensor_words(x, words),
                state->gives_input_type ? "float or double" : "float, double, int32 or int64");
    if (x->dim[1] < state->forest->n_features)
        OZ_FAIL(err, OZ_MODEL, "its input is %s, but the trees test feature %u",
                oz_tensor_words(x, words), state->forest->n_features - 1);
    return OZ_OK;
}

/* Where the rows of one run go. */
struct outputs {
    struct oz_tensor *label, *score; /* label: of a classifier */
};

static void put_label(const struct oz_tree_state *state, const struct outputs *to, int64_t row,
                      size_t label)
{
    if (state->rule.labels == OZ_TREE_LABELS_ONE)
        to->label->i64[row] = (int64_t)label;
    else if (state->text_label)
        to->label->text[row] = state->text_label[label];
    else
        to->label->i64[row] = state->int_label[label];
}

static void put_rows(const struct oz_tree_state *state, const struct outputs *to, int64_t first_row,
                     size_t n_rows, const double *scores, double *score)
{
    size_t n = state->forest->n_groups;
    for (size_t row = 0; row < n_rows; row++) {
        int64_t at = first_row + (int64_t)row;
        for (size_t g = 0; g < n; g++) score[g] = scores[g * OZ_FOREST_TILE_ROWS + row];
        if (state->is_classifier)
            put_label(state, to, at, oz_tree_classify(&state->rule, score, n));
        else
            oz_post_transform_f64(state->rule.post, score, 1, n);
        if (to->score->dtype == OZ_DTYPE_F64)
            for (size_t g = 0; g < n; g++)
                to->score->f64[at * (int64_t)n + (int64_t)g] = score[g] + 0.0;
        else
            for (size_t g = 0; g < n; g++)
                to->score->f32[at * (int64_t)n + (int64_t)g] = (float)(score[g] + 0.0);
    }
}

/* Classifier: labels [rows], scores [rows x classes]. Others: scores [rows x targets]. */
enum oz_status oz_tree_run(struct oz_exec *exec, const struct oz_node *node, struct oz_error *err)
{
    const struct oz_tree_state *state = node->state;
    const struct oz_forest *forest = state->forest;
    const struct oz_tensor *x = oz_exec_in(exec, node, 0);
    struct outputs to = {0};
    void *forest_scratch, *scores, *score;
    OZ_TRY(check_input(state, x, err));
    enum oz_dtype dtype = state->gives_input_type ? (enum oz_dtype)x->dtype : OZ_DTYPE_F32;
    const int64_t dim[2] = {x->dim[0], forest->n_groups};
    if (state->is_classifier)
        OZ_TRY(oz_exec_out(exec, node, 0, state->text_label ? OZ_DTYPE_TEXT : OZ_DTYPE_I64, 1, dim,
                           &to.label, err));
    OZ_TRY(oz_exec_out(exec, node, state->is_classifier, dtype, 2, dim, &to.score, err));
    OZ_TRY(
        oz_exec_scratch(exec, node, oz_forest_scores_scratch_bytes(forest), &forest_scratch, err));
    OZ_TRY(oz_exec_scratch(
        exec, node, (size_t)forest->n_groups * OZ_FOREST_TILE_ROWS * sizeof(double), &scores, err));
    OZ_TRY(oz_exec_scratch(exec, node, (size_t)forest->n_groups * sizeof(double), &score, err));
    if (!to.score->data || (to.label && !to.label->data)) return OZ_OK;
    if (!forest_scratch || !scores || !score) return OZ_OK;
    for (int64_t row = 0; row < x->dim[0]; row += OZ_FOREST_TILE_ROWS) {
        struct oz_forest_rows rows;
        size_t n_rows = (size_t)OZ_MIN(x->dim[0] - row, (int64_t)OZ_FOREST_TILE_ROWS);
        rows_of(x, row, &rows);
        oz_forest_scores(forest, &rows, n_rows, forest_scratch, scores);
        put_rows(state, &to, row, n_rows, scores, score);
    }
    return OZ_OK;
}

const struct oz_op oz_ops_tree[] = {
    {.name = "TreeEnsembleClassifier",
     .domain = OZ_DOMAIN_ML,
     .since = 1,
     .min_inputs = 1,
     .max_inputs = 1,
     .min_outputs = 1,
     .max_outputs = 2,
     .compile = compile_classifier,
     .run = oz_tree_run},
    {.name = "TreeEnsembleRegressor",
     .domain = OZ_DOMAIN_ML,
     .since = 1,
     .min_inputs = 1,
     .max_inputs = 1,
     .min_outputs = 1,
     .max_outputs = 1,
     .compile = compile_regressor,
     .run = oz_tree_run},
    {.name = "TreeEnsemble",
     .domain = OZ_DOMAIN_ML,
     .since = 5,
     .min_inputs = 1,
     .max_inputs = 1,
     .min_outputs = 1,
     .max_outputs = 1,
     .compile = compile_ensemble,
     .run = oz_tree_run},
    {.name = "Forest",
     .domain = OZ_DOMAIN_OURS,
     .since = 1,
     .min_inputs = 1,
     .max_inputs = 1,
     .min_outputs = 1,
     .max_outputs = 1,
     .run = oz_tree_run},
    {.name = NULL},
};
