/* Proves that the tree operators of ai.onnx.ml read their attributes as they are meant, answer a
 * classifier's labels and scores by the stated rules, and refuse what is wrong by its name.
 * How: small ensembles are written down attribute by attribute. Expected labels and scores were
 * given by ONNX Runtime 1.32 for the same node; where it is said to differ, they follow from the
 * definition. Every attribute is then damaged in turn, and every allocation fails once.
 * (tests/conformance/onnx has the large comparisons.) */
#include "hand_net.h"
#include <math.h>
#include <stdio.h>

enum { NONE = OZ_NO_VALUE };
static struct oz_error err;
static struct hand h;

static const int64_t zeros[] = {0, 0, 0, 0}, ids[] = {0, 1, 2}, if_true[] = {1, 0, 0},
                     if_false[] = {2, 0, 0};
static const struct oz_str modes[] = {{"BRANCH_LEQ", 10}, {"LEAF", 4}, {"LEAF", 4}};
static const float values[] = {0.5f, 0, 0};

struct vote {
    int64_t leaf, output;
    float weight;
};

/* One tree, x <= 0.5: leaf 1, else leaf 2. */
static void tree(const char *name, const char *prefix, const struct vote *vote, size_t n_votes)
{
    static int64_t leaf[4], output[4];
    static float weight[4];
    static char names[4][32];
    for (size_t i = 0; i < n_votes; i++)
        leaf[i] = vote[i].leaf, output[i] = vote[i].output, weight[i] = vote[i].weight;
    static const char *const parts[] = {"treeids", "nodeids", "ids", "weights"};
    for (int i = 0; i < 4; i++) snprintf(names[i], sizeof names[i], "%s_%s", prefix, parts[i]);
    hand_init(&h);
    hand_node(&h, OZ_DOMAIN_ML, name, 1, (uint32_t[]){h.input, NONE});
    hand_ints(&h, "nodes_treeids", 3, zeros);
    hand_ints(&h, "nodes_nodeids", 3, ids);
    hand_ints(&h, "nodes_featureids", 3, zeros);
    hand_ints(&h, "nodes_truenodeids", 3, if_true);
    hand_ints(&h, "nodes_falsenodeids", 3, if_false);
    hand_texts(&h, "nodes_modes", 3, modes);
    hand_floats(&h, "nodes_values", 3, values);
    hand_ints(&h, names[0], n_votes, zeros);
    hand_ints(&h, names[1], n_votes, leaf);
    hand_ints(&h, names[2], n_votes, output);
    hand_floats(&h, names[3], n_votes, weight);
}

/* The classifier's second output. */
static void add_scores(void)
{
    static uint32_t outputs[2];
    outputs[0] = h.node[0].output[0];
    assert_int_equal(oz_net_add_value(&h.net, "", &outputs[1], &err), OZ_OK);
    h.node[0].output = outputs;
    h.node[0].n_outputs = 2;
    hand_output(&h, outputs[0]);
    hand_output(&h, outputs[1]);
}

struct rule {
    const char *post;
    int n_labels;
    int n_base;
    struct vote vote[4];
    size_t n_votes;
    int label[2]; /* of x = 0, x = 1: places in the list of labels */
    float score[2][3];
};

static void classifiers_answer_by_the_rules(void **state)
{
    (void)state;
    static const struct rule rules[] = {
        /* votes for class 0 only, none negative: 1 - s, s, and 0.5 divides */
        {"NONE", 2, 0, {{1, 0, .3f}, {2, 0, .8f}}, 2, {0, 1}, {{.7f, .3f}, {.2f, .8f}}},
        {"NONE", 2, 1, {{1, 0, .3f}, {2, 0, .8f}}, 2, {0, 1}, {{.5f, .5f}, {0, 1}}},
        {"LOGISTIC",
         2,
         0,
         {{1, 0, .3f}, {2, 0, .8f}},
         2,
         {0, 1},
         {{.4255575f, .5744425f}, {.3100255f, .6899745f}}},
        {"SOFTMAX", 2, 0, {{1, 0, .3f}, {2, 0, .8f}}, 2, {0, 1}, {{.7f, .3f}, {.2f, .8f}}},
        {"SOFTMAX_ZERO", 2, 0, {{1, 0, .3f}, {2, 0, .8f}}, 2, {0, 1}, {{.7f, .3f}, {.2f, .8f}}},
        /* ONNX Runtime leaves one of these unwritten: probit of 1 - s and of s */
        {"PROBIT",
         2,
         0,
         {{1, 0, .3f}, {2, 0, .8f}},
         2,
         {0, 1},
         {{.5244459f, -.5244459f}, {-.8417561f, .8417561f}}},
        /* the same with a negative one: -s, s, and 0 divides */
        {"NONE", 2, 0, {{1, 0, -.3f}, {2, 0, .8f}}, 2, {0, 1}, {{.3f, -.3f}, {-.8f, .8f}}},
        {"NONE", 2, 1, {{1, 0, -.3f}, {2, 0, .8f}}, 2, {0, 1}, {{.1f, -.1f}, {-1, 1}}},
        {"LOGISTIC",
         2,
         1,
         {{1, 0, -.3f}, {2, 0, .8f}},
         2,
         {0, 1},
         {{.5249792f, .4750208f}, {.2689414f, .7310586f}}},
        {"SOFTMAX", 2, 0, {{1, 0, -.3f}, {2, 0, .8f}}, 2, {0, 1}, {{.3f, -.3f}, {-.8f, .8f}}},
        /* votes for class 1 only */
        {"NONE", 2, 0, {{1, 1, .3f}, {2, 1, .8f}}, 2, {0, 1}, {{0, .3f}, {0, .8f}}},
        {"LOGISTIC",
         2,
         0,
         {{1, 1, -.3f}, {2, 1, .8f}},
         2,
         {0, 1},
         {{.5f, .4255575f}, {.5f, .6899745f}}},
        {"SOFTMAX",
         2,
         0,
         {{1, 1, .3f}, {2, 1, .8f}},
         2,
         {0, 1},
         {{.4255575f, .5744425f}, {.3100255f, .6899745f}}},
        {"SOFTMAX_ZERO", 2, 0, {{1, 1, .3f}, {2, 1, .8f}}, 2, {0, 1}, {{0, 1}, {0, 1}}},
        /* both: the greatest score's label (ONNX Runtime says 1 or 0, whatever the labels) */
        {"NONE",
         2,
         0,
         {{1, 0, .3f}, {1, 1, .7f}, {2, 0, .8f}, {2, 1, .2f}},
         4,
         {1, 0},
         {{.3f, .7f}, {.8f, .2f}}},
        {"SOFTMAX",
         2,
         0,
         {{1, 0, .3f}, {1, 1, .7f}, {2, 0, .8f}, {2, 1, .2f}},
         4,
         {1, 0},
         {{.4013123f, .5986877f}, {.6456563f, .3543437f}}},
        /* three: a class without a vote is not chosen, unless base values give it one */
        {"NONE",
         3,
         0,
         {{1, 0, -.3f}, {1, 1, -.7f}, {2, 2, 0}, {2, 1, .2f}},
         4,
         {0, 1},
         {{-.3f, -.7f, 0}, {0, .2f, 0}}},
        {"NONE",
         3,
         3,
         {{1, 0, -.3f}, {1, 1, -.7f}, {2, 2, 0}, {2, 1, .2f}},
         4,
         {2, 1},
         {{-.2f, -.5f, .3f}, {.1f, .4f, .3f}}},
        {"SOFTMAX",
         3,
         0,
         {{1, 0, -.3f}, {1, 1, -.7f}, {2, 2, 0}, {2, 1, .2f}},
         4,
         {0, 1},
         {{.3311062f, .2219471f, .4469467f}, {.3104238f, .3791524f, .3104238f}}},
        {"SOFTMAX_ZERO",
         3,
         0,
         {{1, 0, -.3f}, {1, 1, -.7f}, {2, 2, 0}, {2, 1, .2f}},
         4,
         {0, 1},
         {{.5986877f, .4013123f, 0}, {0, 1, 0}}},
    };
    static const float bases[4][3] = {{0}, {.2f}, {0}, {.1f, .2f, .3f}}, x[] = {0, 1};
    static const int64_t labels[] = {10, 20, 30};
    static const struct oz_str texts[] = {{"low", 3}, {"high", 4}, {"none", 4}};
    for (size_t i = 0; i < OZ_COUNT_OF(rules) * 2; i++) {
        const struct rule *rule = &rules[i / 2];
        struct oz_tensor output[2];
        tree("TreeEnsembleClassifier", "class", rule->vote, rule->n_votes);
        add_scores();
        hand_text(&h, "post_transform", rule->post);
        if (rule->n_base) hand_floats(&h, "base_values", (size_t)rule->n_base, bases[rule->n_base]);
        if (i & 1)
            hand_texts(&h, "classlabels_strings", (size_t)rule->n_labels, texts);
        else
            hand_ints(&h, "classlabels_int64s", (size_t)rule->n_labels, labels);
        if (oz_net_compile(&h.net, &err) != OZ_OK) fail_msg("%s", err.message);
        const int64_t dim[] = {2, 1};
        if (hand_run(&h, hand_tensor(&h, OZ_DTYPE_F32, 2, dim, x), output, &err) != OZ_OK)
            fail_msg("%s", err.message);
        assert_int_equal(output[1].dim[1], rule->n_labels);
        for (int r = 0; r < 2; r++) {
            if (i & 1)
                assert_ptr_equal(output[0].text[r].data, texts[rule->label[r]].data);
            else
                assert_int_equal(output[0].i64[r], labels[rule->label[r]]);
            for (int k = 0; k < rule->n_labels; k++)
                if (fabsf(output[1].f32[r * rule->n_labels + k] - rule->score[r][k]) > 2e-6f)
                    fail_msg("rule %zu, row %d, score %d: %g, not %g", i / 2, r, k,
                             (double)output[1].f32[r * rule->n_labels + k],
                             (double)rule->score[r][k]);
        }
        hand_clear(&h);
    }
}

/* ---- what is refused ---- */

static void is_refused(const char *words)
{
    assert_int_equal(oz_net_compile(&h.net, &err), OZ_MODEL);
    if (!strstr(err.message, words)) fail_msg("\"%s\" does not say \"%s\"", err.message, words);
    hand_clear(&h);
}

static struct oz_attribute *get(const char *name)
{
    for (size_t i = 0; i < h.n_attributes; i++)
        if (!strcmp(h.attribute[i].name, name)) return &h.attribute[i];
    fail_msg("there is no attribute %s", name);
    return NULL;
}

static const struct vote two_leaves[] = {{1, 0, 1}, {2, 0, 2}};

static void regressor(void)
{
    tree("TreeEnsembleRegressor", "target", two_leaves, 2);
    hand_int(&h, "n_targets", 1);
    hand_output(&h, h.node[0].output[0]);
}

static void damaged_attributes_are_refused(void **state)
{
    (void)state;
    static const char *const lists[] = {
        "nodes_nodeids",      "nodes_featureids", "nodes_truenodeids",
        "nodes_falsenodeids", "nodes_modes",      "nodes_values",
        "target_ids",         "target_nodeids",   "target_weights"};
    for (size_t i = 0; i < OZ_COUNT_OF(lists); i++) {
        regressor();
        get(lists[i])->n--;
        is_refused(" values");
        regressor();
        get(lists[i])->kind = OZ_ATTRIBUTE_INT;
        is_refused("is an integer, not");
    }
    static const struct {
        const char *name;
        int64_t v[3];
        const char *words;
    } ints[] = {
        {"nodes_nodeids", {0, 1, 1}, "tree 0: node 1 is given twice"},
        {"nodes_truenodeids",
         {3, 0, 0},
         "tree 0: node 0: its true child is node 3, which the tree"},
        {"nodes_falsenodeids", {-1, 0, 0}, "tree 0: node 0: its false child is node -1"},
        {"nodes_truenodeids", {2, 0, 0}, "tree 0: node 2 is reached twice"},
        {"nodes_truenodeids", {0, 0, 0}, "tree 0: node 0 is reached twice"},
        {"nodes_treeids", {0, 0, 1}, "its false child is node 2, which the tree does not have"},
        {"nodes_featureids", {-1, 0, 0}, "tree 0: node 0: tests feature -1"},
        {"nodes_featureids", {INT64_MAX, 0, 0}, "tests feature"},
        {"target_ids", {1, 0, 0}, "node 1: adds to output 1, but the model has 1"},
        {"target_nodeids", {1, 9, 0}, "weight"},
        {"target_nodeids", {1, 0, 0}, "node 2 is a leaf without a weight"},
        {"target_treeids", {0, 7, 0}, "a weight is for tree 7, which has no nodes"},
        {"target_treeids", {0, -7, 0}, "a weight is for tree -7, which has no nodes"},
    };
    for (size_t i = 0; i < OZ_COUNT_OF(ints); i++) {
        regressor();
        get(ints[i].name)->ints = ints[i].v;
        is_refused(ints[i].words);
    }
    static const int64_t too_many[] = {0, -1, 65537, INT64_MAX};
    for (size_t i = 0; i < OZ_COUNT_OF(too_many); i++) {
        regressor();
        get("n_targets")->i = too_many[i];
        is_refused("its attribute `n_targets` is");
    }
    static const struct oz_str wrong[] = {{"BRANCH_MEMBER", 13}, {"LEAF", 4}, {"LEAF", 4}};
    static const float bad[] = {NAN, INFINITY, 0};
    regressor();
    get("nodes_modes")->strings = wrong;
    is_refused("tree 0: node 0: its mode is \"BRANCH_MEMBER\", served are");
    regressor();
    get("nodes_values")->floats = bad;
    is_refused("node 0: its threshold is not a number");
    regressor();
    get("target_weights")->floats = bad;
    is_refused("node 1: its leaf value is not finite");
    regressor();
    hand_floats(&h, "base_values", 2, values);
    is_refused("it has 2 base values for 1 outputs");
    regressor();
    hand_floats(&h, "base_values", 1, bad);
    is_refused("its base value 0 is not finite");
    regressor();
    hand_ints(&h, "nodes_missing_value_tracks_true", 2, zeros);
    is_refused("`nodes_missing_value_tracks_true` has 2 values for 3");
    regressor();
    hand_ints(&h, "nodes_missing_value_tracks_true", 3, ids);
    is_refused("node 2: nodes_missing_value_tracks_true is 2, not 0 or 1");
    regressor();
    hand_text(&h, "aggregate_function", "MEDIAN");
    is_refused("its attribute `aggregate_function` is \"MEDIAN\", which is not served");
    regressor();
    hand_values(&h, "nodes_values_as_tensor", OZ_DTYPE_F32, 3, values);
    is_refused("`nodes_values` and `nodes_values_as_tensor` both have values");
    regressor();
    hand_values(&h, "base_values_as_tensor", OZ_DTYPE_I64, 1, zeros);
    is_refused("`base_values_as_tensor` has the type int64");
    regressor();
    hand_int(&h, "depth", 3);
    is_refused("its attribute `depth` is not served");
}

static void ambiguous_classifiers_are_refused(void **state)
{
    (void)state;
    static const struct vote second[] = {{1, 1, 1}, {2, 1, 2}};
    static const int64_t labels[] = {1, 2};
    for (int i = 0; i < 6; i++) {
        tree("TreeEnsembleClassifier", "class", i == 1 ? second : two_leaves, 2);
        hand_output(&h, h.node[0].output[0]);
        if (i < 2) hand_floats(&h, "base_values", i ? 1 : 2, values);
        if (i < 2 || i == 3) hand_ints(&h, "classlabels_int64s", 2, labels);
        if (i == 3 || i == 5) hand_texts(&h, "classlabels_strings", 1, modes);
        if (i == 4) hand_ints(&h, "classlabels_int64s", 1, labels + 1);
        static const char *const words[] = {
            "class 0 of two and it has 2 base values",  "class 1 of two and it has 1 base values",
            "has neither `classlabels_int64s` nor",     "has both `classlabels_int64s` and",
            "with one class is served if its label is", "with one class is served if its label is"};
        is_refused(words[i]);
    }
}

static void inputs_are_checked(void **state)
{
    (void)state;
    static const float x[4] = {0, 1, 2, 3};
    static const struct {
        enum oz_dtype dtype;
        size_t rank;
        int64_t dim[3];
        const char *words;
    } cases[] = {{OZ_DTYPE_F32, 2, {4, 0, 0}, "but the trees test feature 0"},
                 {OZ_DTYPE_F32, 1, {4, 0, 0}, "its input is float[4], served are rows of"},
                 {OZ_DTYPE_F32, 3, {1, 1, 1}, "served are rows of"},
                 {OZ_DTYPE_BOOL, 2, {1, 1, 0}, "its input is bool[1x1], served are rows of"}};
    for (size_t i = 0; i < OZ_COUNT_OF(cases); i++) {
        struct oz_tensor output[1];
        regressor();
        assert_int_equal(oz_net_compile(&h.net, &err), OZ_OK);
        struct oz_tensor *in = hand_tensor(&h, cases[i].dtype, cases[i].rank, cases[i].dim, x);
        assert_int_equal(hand_run(&h, in, output, &err), OZ_MODEL);
        if (!strstr(err.message, cases[i].words)) fail_msg("%s", err.message);
        hand_clear(&h);
    }
    struct oz_tensor output[1];
    const int64_t none[] = {0, 5};
    regressor();
    assert_int_equal(oz_net_compile(&h.net, &err), OZ_OK);
    assert_int_equal(hand_run(&h, hand_tensor(&h, OZ_DTYPE_F32, 2, none, x), output, &err), OZ_OK);
    assert_int_equal(output[0].n, 0);
    hand_clear(&h);
}

/* ---- TreeEnsemble ---- */

static const uint8_t ensemble_modes[] = {0, 6};
static const float splits[] = {0.5f, 0}, weights[] = {1, 2, 3}, members[] = {1, 7.5f, NAN};
static const int64_t children[] = {0, 1}, next[] = {1, 2}, all[] = {1, 1}, not_first[] = {0, 1},
                     targets[] = {0, 1, 0}, root[] = {0, 0};

/* x <= 0.5: leaf 0; x in {1, 7.5}: leaf 1; else leaf 2. */
static void ensemble(void)
{
    hand_init(&h);
    hand_node(&h, OZ_DOMAIN_ML, "TreeEnsemble", 5, (uint32_t[]){h.input, NONE});
    hand_int(&h, "n_targets", 2);
    hand_ints(&h, "tree_roots", 1, root);
    hand_ints(&h, "nodes_featureids", 2, root);
    hand_values(&h, "nodes_modes", OZ_DTYPE_U8, 2, ensemble_modes);
    hand_values(&h, "nodes_splits", OZ_DTYPE_F32, 2, splits);
    hand_ints(&h, "nodes_truenodeids", 2, children);
    hand_ints(&h, "nodes_trueleafs", 2, all);
    hand_ints(&h, "nodes_falsenodeids", 2, next);
    hand_ints(&h, "nodes_falseleafs", 2, not_first);
    hand_ints(&h, "leaf_targetids", 3, targets);
    hand_values(&h, "leaf_weights", OZ_DTYPE_F32, 3, weights);
    hand_values(&h, "membership_values", OZ_DTYPE_F32, 3, members);
    hand_output(&h, h.node[0].output[0]);
}

static void ensembles_are_read(void **state)
{
    (void)state;
    static const double x[] = {0, 1, 7.5, 7.4, NAN};
    static const double want[] = {1, 0, 0, 2, 0, 2, 3, 0, 3, 0};
    struct oz_tensor output[1];
    const int64_t dim[] = {5, 1};
    for (int i = 0; i < 2; i++) { /* the last set may end without its NaN */
        ensemble();
        if (i) hand_tensor(&h, OZ_DTYPE_F32, 1, (int64_t[]){2}, members);
        if (i) get("membership_values")->tensor = &h.tensor[h.n_tensors - 1];
        if (oz_net_compile(&h.net, &err) != OZ_OK) fail_msg("%s", err.message);
        if (hand_run(&h, hand_tensor(&h, OZ_DTYPE_F64, 2, dim, x), output, &err) != OZ_OK)
            fail_msg("%s", err.message);
        assert_int_equal(output[0].dtype, OZ_DTYPE_F64);
        assert_memory_equal(output[0].f64, want, sizeof want);
        hand_clear(&h);
    }
}

static void damaged_ensembles_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t v[3];
        const char *words;
    } ints[] = {
        {"tree_roots", {2}, "tree 0: there is no node 2"},
        {"tree_roots", {-1}, "tree 0: there is no node -1"},
        {"tree_roots", {1}, "node 0 cannot be reached from a root"},
        {"nodes_truenodeids", {3, 1}, "tree 0: there is no leaf 3"},
        {"nodes_falsenodeids", {0, 2}, "tree 0: node 0 is reached twice"},
        {"nodes_falsenodeids", {7, 2}, "tree 0: there is no node 7"},
        {"nodes_falseleafs", {0, 2}, "node 1: nodes_trueleafs, nodes_falseleafs"},
        {"nodes_falseleafs", {0, 0}, "tree 0: there is no node 2"},
        {"nodes_featureids", {0, -1}, "node 1: tests feature -1"},
        {"leaf_targetids", {0, 2, 0}, "tree 0: leaf 1: adds to output 2, but the model has 2"},
    };
    for (size_t i = 0; i < OZ_COUNT_OF(ints); i++) {
        ensemble();
        get(ints[i].name)->ints = ints[i].v;
        is_refused(ints[i].words);
    }
    static const char *const lists[] = {"nodes_truenodeids", "nodes_trueleafs",
                                        "nodes_falsenodeids", "nodes_falseleafs"};
    for (size_t i = 0; i < OZ_COUNT_OF(lists); i++) {
        ensemble();
        get(lists[i])->n--;
        is_refused("has 1 values for 2");
    }
    static const uint8_t no_modes[] = {0, 7}, sets[] = {6, 6};
    static const int64_t twice[] = {0, 0}, n_modes = 2, n_more = 4;
    static const float more[] = {1, NAN, 2, NAN};
    ensemble();
    get("nodes_modes")->tensor = hand_tensor(&h, OZ_DTYPE_U8, 1, &n_modes, no_modes);
    is_refused("node 1: its mode is 7, served are 0 to 6");
    ensemble();
    get("nodes_modes")->tensor = hand_tensor(&h, OZ_DTYPE_U8, 1, &n_modes, sets);
    is_refused("`membership_values` has fewer sets than nodes");
    ensemble();
    get("membership_values")->tensor = hand_tensor(&h, OZ_DTYPE_F32, 1, &n_more, more);
    is_refused("`membership_values` has more sets than nodes");
    ensemble();
    get("tree_roots")->ints = twice;
    get("tree_roots")->n = 2;
    is_refused("tree 1: node 0 is reached twice");
    ensemble();
    get("nodes_splits")->tensor = hand_tensor(&h, OZ_DTYPE_I64, 1, &n_modes, twice);
    is_refused("`nodes_splits` has the type int64");
    ensemble();
    hand_int(&h, "aggregate_function", 4);
    is_refused("`aggregate_function` is 4, served are 0 to 3");
    ensemble();
    hand_int(&h, "post_transform", 5);
    is_refused("`post_transform` is 5, served are 0 to 4");
}

static uint64_t random_state = 11;
static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

/* Changes some elements of one attribute, in a copy. */
static void damage(struct oz_attribute *attribute, struct oz_arena *arena)
{
    static const int64_t ints[] = {-1, 0, 1, 2, 3, 4, 7, 1 << 16, INT32_MAX, INT64_MAX, INT64_MIN};
    static const float floats[] = {NAN, INFINITY, 0, -0.0f, 1, 7.5f, 1e38f};
    static const struct oz_str words[] = {{"LEAF", 4}, {"BRANCH_EQ", 9}, {"BRANCH_GT", 9}, {"", 0}};
    size_t n_changes = 1 + random_below(2);
    if (attribute->kind == OZ_ATTRIBUTE_INT) attribute->i = ints[random_below(9)];
    if (!attribute->n) return;
    if (random_below(8) == 0) attribute->n -= 1;
    size_t n_bytes = attribute->n * sizeof(struct oz_str);
    void *copy = oz_arena_zeroed(arena, n_bytes + 1, 1);
    assert_non_null(copy);
    if (attribute->kind == OZ_ATTRIBUTE_INTS) {
        int64_t *v = memcpy(copy, attribute->ints, attribute->n * sizeof *v);
        while (attribute->n && n_changes--)
            v[random_below((uint32_t)attribute->n)] = ints[random_below(OZ_COUNT_OF(ints))];
        attribute->ints = v;
    } else if (attribute->kind == OZ_ATTRIBUTE_FLOATS) {
        float *v = memcpy(copy, attribute->floats, attribute->n * sizeof *v);
        while (attribute->n && n_changes--)
            v[random_below((uint32_t)attribute->n)] = floats[random_below(OZ_COUNT_OF(floats))];
        attribute->floats = v;
    } else if (attribute->kind == OZ_ATTRIBUTE_STRINGS) {
        struct oz_str *v = memcpy(copy, attribute->strings, attribute->n * sizeof *v);
        while (attribute->n && n_changes--)
            v[random_below((uint32_t)attribute->n)] = words[random_below(OZ_COUNT_OF(words))];
        attribute->strings = v;
    }
}

/* Whatever the attributes: an error, or a net that runs. */
static void random_damage_is_survived(void **state)
{
    (void)state;
    static const int64_t labels[] = {1, 2, 3}, dim[] = {3, 2};
    static const float x[] = {0, 1, NAN, 7.5f, -INFINITY, 2};
    int n_run = 0;
    for (int round = 0; round < 30000; round++) {
        static const struct vote votes[] = {{1, 0, 1}, {2, 1, -2}};
        struct oz_arena arena;
        struct oz_tensor output[2];
        oz_arena_init(&arena, 4096);
        if (round % 3 == 0) {
            ensemble();
        } else if (round % 3 == 1) {
            regressor();
        } else {
            tree("TreeEnsembleClassifier", "class", votes, 2);
            hand_ints(&h, "classlabels_int64s", 2 + random_below(2), labels);
            hand_output(&h, h.node[0].output[0]);
        }
        for (uint32_t n = 1 + random_below(3); n; n--)
            damage(&h.attribute[random_below((uint32_t)h.n_attributes)], &arena);
        if (oz_net_compile(&h.net, &err) == OZ_OK)
            n_run += hand_run(&h, hand_tensor(&h, OZ_DTYPE_F32, 2, dim, x), output, &err) == OZ_OK;
        else
            assert_int_equal(err.status, OZ_MODEL);
        hand_clear(&h);
        oz_arena_clear(&arena);
    }
    assert_in_range(n_run, 300, 29000);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        uint64_t n = 1;
        for (enum oz_status status = OZ_NO_MEMORY; status != OZ_OK; n++) {
            which ? ensemble() : regressor();
            oz_fail_allocation(n);
            status = oz_net_compile(&h.net, &err);
            oz_fail_allocation(0);
            hand_clear(&h);
            if (status != OZ_OK) assert_int_equal(status, OZ_NO_MEMORY);
        }
        assert_true(n > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classifiers_answer_by_the_rules),
        cmocka_unit_test(damaged_attributes_are_refused),
        cmocka_unit_test(ambiguous_classifiers_are_refused),
        cmocka_unit_test(inputs_are_checked),
        cmocka_unit_test(ensembles_are_read),
        cmocka_unit_test(damaged_ensembles_are_refused),
        cmocka_unit_test(random_damage_is_survived),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
