/* Proves that the reader refuses files that are damaged or ask for what is not served, with words
 * that say what it is. How: files are written message by message (onnx_writer.h), one thing wrong
 * in each; a file that may be read is also compiled and planned. Damage: every byte of a small
 * file, every prefix, every failed allocation. (test_onnx_limits.c has what is much in little.) */
#include "models/net/op.h"
#include "onnx_loads.h"

/* ---- edges ---- */

static void edges_go_forward(void **state)
{
    (void)state;
    struct message g = graph_of_x();
    put_node(&g, "Add", "x b", "a");
    put_node(&g, "Add", "x a", "b");
    put_node(&g, "Add", "a b", "y");
    graph_refused("a cycle", &g, "it reads `b`, which nothing before it makes");
    g = graph_of_x();
    put_node(&g, "Add", "x y", "y");
    graph_refused("a node that reads itself", &g, "it reads `y`, which nothing before it makes");
    g = graph_of_x();
    put_node(&g, "Relu", "a", "y");
    put_node(&g, "Relu", "x", "a");
    graph_refused("out of order", &g,
                  "node #0 (Relu): it reads `a`, which nothing before it makes");
    g = graph_of_x();
    put_node(&g, "Relu", "x", "y");
    put_node(&g, "Tanh", "x", "y");
    graph_refused("made twice", &g, "node #1 (Tanh): the value `y` is made twice");
    g = graph_of_x();
    put_node(&g, "Relu", "x", "x");
    graph_refused("an input made", &g, "the value `x` is made twice");
    g = graph_of_x();
    put_x(&g);
    graph_refused("an input twice", &g, "the value `x` is made twice");
    g = graph_of_x();
    put_node(&g, "Dropout", "x", "y y");
    graph_refused("twice by one node", &g, "the value `y` is made twice");
    g = graph_of_x();
    put_node(&g, "Relu", "x", "z");
    graph_refused("an output not made", &g, "output `y` is made by no node");
    g = graph_of_x();
    put_node(&g, "Relu", "x", "-");
    put_node(&g, "Relu", "x", "y");
    graph_refused("an output left out", &g, "it has 0 outputs");
    g = graph_of_x();
    put_node(&g, "Add", "- x", "y");
    graph_refused("an input left out", &g, "its input 0 is left out");
}

/* Each operator that takes any number of inputs needs all that it names. */
static void none_of_many_inputs_is_left_out(void **state)
{
    (void)state;
    size_t n = 0;
    for (size_t i = 0; oz_op_at(i); i++) {
        const struct oz_op *op = oz_op_at(i);
        if (op->domain != OZ_DOMAIN_ONNX || op->max_inputs <= 8 || !op->min_inputs) continue;
        struct message g = graph_of_x(), node = node_of(op->name, "x - x", "y");
        put_part(&g, GRAPH_NODE, &node);
        graph_refused(op->name, &g, "its input 1 is left out");
        n++;
    }
    assert_int_equal(n, 7); /* Concat, Einsum, Max, Mean, Min, Scan, Sum */
}

/* A value of a body is not seen outside, nor one that is made behind the body's node. */
static void bodies_see_what_is_before_them(void **state)
{
    (void)state;
    struct message then = {0}, otherwise = {0}, g = graph_of_x();
    put_node(&then, "Relu", "late", "inner");
    put_ends(&then, GRAPH_OUTPUT, "inner");
    put_node(&otherwise, "Relu", "x", "inner");
    put_ends(&otherwise, GRAPH_OUTPUT, "inner");
    struct message node = node_of("If", "c", "y");
    put_bool(&g, "c", true);
    attr_graph(&node, "then_branch", &then);
    attr_graph(&node, "else_branch", &otherwise);
    put_part(&g, GRAPH_NODE, &node);
    put_node(&g, "Relu", "x", "late");
    graph_refused("a late value", &g, "it reads `late`, which nothing before it makes");

    for (int which = 0; which < 2; which++) {
        g = graph_of_x();
        put_bool(&g, "c", true);
        node = node_of("If", "c", which ? "y" : "r");
        for (int b = 0; b < 2; b++) {
            struct message branch = {0};
            /* hides the outer x, in its own graph only */
            put_node(&branch, "Tanh", "x", "hidden");
            put_node(&branch, "Relu", "hidden", which ? "x" : "inner");
            put_ends(&branch, GRAPH_OUTPUT, which ? "x" : "inner");
            attr_graph(&node, b ? "then_branch" : "else_branch", &branch);
        }
        put_part(&g, GRAPH_NODE, &node);
        if (!which) put_node(&g, "Relu", "inner", "y");
        struct message model = model_of(&g, 17);
        if (which)
            served("a hidden name", &model);
        else
            refused("a body's value outside", &model, "it reads `inner`, which nothing before");
    }
}

/* ---- tensors ---- */

static void weights_refused(const char *what, struct message *tensor, const char *words)
{
    struct message g = graph_of_x();
    put_part(&g, GRAPH_INITIALIZER, tensor);
    put_node(&g, "Relu", "x", "y");
    graph_refused(what, &g, words);
}

static void tensors_are_as_they_claim(void **state)
{
    (void)state;
    static const float v[4] = {1, 2, 3, 4};
    static const struct {
        const char *what;
        size_t n_dims;
        int64_t dims[4];
        const char *words;
    } shapes[] = {
        {"10 GB", 2, {50000, 50000}, "initializer `w`: a tensor has more than 2147483648 elements"},
        {"2 GB of data", 2, {1 << 15, 1 << 14}, "float[32768x16384] wants 536870912 elements, the"},
        {"too much data", 1, {3}, "float[3] wants 3 elements, the file has 16 bytes for it"},
        {"overflow", 3, {INT64_C(1) << 32, INT64_C(1) << 32, 1}, "more than 2147483648 elements"},
        {"overflow to 4", 4, {INT64_C(1) << 62, 4, 4, 1}, "more than 2147483648 elements"},
        {"beside a 0", 3, {0, INT64_C(1) << 40, INT64_C(1) << 40}, "more than 2147483648 elements"},
        {"INT64_MAX", 1, {INT64_MAX}, "more than 2147483648 elements"},
        {"negative", 2, {-2, -2}, "dimension 0 of a tensor is -2"},
        {"INT64_MIN", 1, {INT64_MIN}, "dimension 0 of a tensor is -9223372036854775808"},
    };
    for (size_t i = 0; i < OZ_COUNT_OF(shapes); i++) {
        struct message t =
            tensor_of("w", ONNX_FLOAT, shapes[i].n_dims, shapes[i].dims, v, sizeof v);
        weights_refused(shapes[i].what, &t, shapes[i].words);
        /* the same in the typed field */
        if (!strcmp(shapes[i].what, "too much data")) continue;
        t = tensor_of("w", ONNX_FLOAT, shapes[i].n_dims, shapes[i].dims, NULL, 0);
        put_bytes(&t, TENSOR_FLOATS, v, sizeof v);
        weights_refused(shapes[i].what, &t, shapes[i].words);
    }
    int64_t ones[100];
    for (int d = 0; d < 100; d++) ones[d] = 1;
    struct message t = tensor_of("w", ONNX_FLOAT, 100, ones, v, 4);
    weights_refused("rank 100", &t, "a tensor of rank 100, up to 8 are served");
    t = tensor_of("w", ONNX_FLOAT, 1, (int64_t[]){2}, NULL, 0);
    put_bytes(&t, 7, "\1\2", 2);
    weights_refused("another list", &t, "float[2] wants 2 elements, the file has 0 numbers");
    t = tensor_of("w", ONNX_TEXT, 1, (int64_t[]){1}, v, sizeof v);
    weights_refused("raw texts", &t, "texts cannot be raw data");
    t = tensor_of("w", ONNX_FLOAT16, 1, (int64_t[]){8}, v, sizeof v);
    weights_refused("float16", &t, "initializer `w`: its type float16 (10) is not served");
    t = tensor_of("w", 77, 1, (int64_t[]){4}, v, sizeof v);
    weights_refused("type 77", &t, "its type unknown (77) is not served");
    t = tensor_of("", ONNX_FLOAT, 1, (int64_t[]){4}, v, sizeof v);
    weights_refused("no name", &t, "initializer 0 has no name");
}

static void data_elsewhere_are_refused(void **state)
{
    (void)state;
    struct message t = tensor_of("w", ONNX_FLOAT, 1, (int64_t[]){4}, NULL, 0), entry = {0};
    put_int(&t, 14, 1);
    weights_refused("external by its place", &t, "its data lie in another file");
    t = tensor_of("w", ONNX_FLOAT, 1, (int64_t[]){4}, NULL, 0);
    put_text(&entry, 1, "location");
    put_text(&entry, 2, "/etc/passwd");
    put_part(&t, 13, &entry);
    weights_refused("external by its entry", &t, "initializer `w`: its data lie in another file");
    struct message g = graph_of_x(), sparse = {0};
    put_part(&g, GRAPH_SPARSE, &sparse);
    put_node(&g, "Relu", "x", "y");
    graph_refused("sparse", &g, "sparse initializers are not served");
}

/* ---- what is not served ---- */

static void types_are_named(void **state)
{
    (void)state;
    static const struct {
        uint32_t field;
        const char *words;
    } kinds[] = {{4, "input `z`: it is a sequence, tensors and maps are served"},
                 {9, "input `z`: it is an optional value"},
                 {8, "input `z`: it is a sparse tensor"},
                 {0, "input `z`: its type is not given"}};
    for (size_t i = 0; i < OZ_COUNT_OF(kinds); i++) {
        struct message g = graph_of_x(), info = {0}, type = {0}, inner = {0};
        put_text(&info, 1, "z");
        if (kinds[i].field) {
            put_part(&type, kinds[i].field, &inner);
            put_part(&info, 2, &type);
        }
        put_part(&g, GRAPH_INPUT, &info);
        put_node(&g, "Relu", "x", "y");
        graph_refused("a type", &g, kinds[i].words);
    }
    struct message g = graph_of_x();
    put_value(&g, GRAPH_INPUT, "z", ONNX_FLOAT16, 1, (int64_t[]){1});
    graph_refused("half", &g, "input `z`: its type float16 (10) is not served");
    g = graph_of_x();
    int64_t ones[100];
    for (int d = 0; d < 100; d++) ones[d] = 1;
    put_value(&g, GRAPH_INPUT, "z", ONNX_FLOAT, 100, ones);
    graph_refused("rank 100", &g, "input `z`: it is of rank 100, up to 8 are served");
}

static void operators_are_named(void **state)
{
    (void)state;
    struct message g = graph_of_x(), node = node_of("Frobnicate", "x", "y");
    put_text(&node, NODE_NAME, "lonely");
    put_part(&g, GRAPH_NODE, &node);
    graph_refused("operator", &g,
                  "node `lonely`: the operator Frobnicate (ai.onnx 17) is not served");
    g = graph_of_x(), node = node_of("Gelu", "x", "y");
    put_text(&node, NODE_DOMAIN, "com.microsoft");
    put_part(&g, GRAPH_NODE, &node);
    graph_refused("domain", &g, "the operator Gelu of the domain `com.microsoft` is not served");
    g = graph_of_x(), node = node_of("Normalizer", "x", "y");
    put_text(&node, NODE_DOMAIN, "ai.onnx.ml");
    put_part(&g, GRAPH_NODE, &node);
    graph_refused("not imported", &g, "imports no version of the operators of ai.onnx.ml");
    g = graph_of_x(), node = node_of("Relu", "x", "y");
    attr_int(&node, "slope", 1);
    put_part(&g, GRAPH_NODE, &node);
    graph_refused("attribute", &g,
                  "Relu (ai.onnx 17), node `#0`: its attribute `slope` is not served");
    g = graph_of_x(), node = node_of("LeakyRelu", "x", "y");
    attr_int(&node, "alpha", 1);
    put_part(&g, GRAPH_NODE, &node);
    graph_refused("kind", &g, "its attribute `alpha` is an integer, not a float");
    g = graph_of_x(), node = node_of("LeakyRelu", "x", "y");
    attr_float(&node, "alpha", 1), attr_float(&node, "alpha", 2);
    put_part(&g, GRAPH_NODE, &node);
    graph_refused("twice", &g, "the attribute `alpha` is given twice");
    g = graph_of_x(), node = node_of("Relu", "x", "y");
    struct message attribute = attribute_of("a", 11);
    put_part(&node, NODE_ATTRIBUTE, &attribute);
    put_part(&g, GRAPH_NODE, &node);
    graph_refused("type of attribute", &g, "its attribute `a`: its type 11 is not served");
    g = graph_of_x(), node = (struct message){0};
    put_part(&g, GRAPH_NODE, &node);
    graph_refused("no operator", &g, "node 0 has no operator");
}

static void versions_are_named(void **state)
{
    (void)state;
    static const struct {
        int64_t opset;
        const char *words;
    } opsets[] = {{6, "the file uses ai.onnx opset 6, 7 to 24 are served"},
                  {25, "the file uses ai.onnx opset 25, 7 to 24 are served"},
                  {-1, "the file uses ai.onnx opset -1"},
                  {INT64_MAX, "the file uses ai.onnx opset 9223372036854775807"}};
    for (size_t i = 0; i < OZ_COUNT_OF(opsets); i++) {
        struct message g = graph_of_x();
        put_node(&g, "Relu", "x", "y");
        struct message model = model_of(&g, opsets[i].opset);
        refused("opset", &model, opsets[i].words);
    }
    for (int64_t ir = 2; ir <= 14; ir += 12) {
        struct message g = graph_of_x(), model = {0};
        put_node(&g, "Relu", "x", "y");
        put_int(&model, MODEL_IR, ir);
        put_part(&model, MODEL_GRAPH, &g);
        put_opset(&model, MODEL_OPSET, "", 17);
        refused("IR", &model, ir == 2 ? "of IR version 2, 3 to 13" : "of IR version 14, 3 to 13");
    }
    struct message model = {0}, training = {0};
    put_int(&model, MODEL_IR, 8);
    put_opset(&model, MODEL_OPSET, "", 17);
    refused("no graph", &model, "this is no model of ONNX: it has no graph");
    struct message g = graph_of_x();
    put_node(&g, "Relu", "x", "y");
    model = model_of(&g, 17);
    put_part(&model, MODEL_TRAINING, &training);
    refused("training", &model, "the file carries training steps");
    refused("nothing", &(struct message){0}, "it has no graph");
}

/* ---- what is right, though not plain ---- */

static void old_and_odd_files_are_read(void **state)
{
    (void)state;
    static const float w[4] = {1, 2, 3, 4};
    struct message g = graph_of_x(), model = {0};
    put_floats(&g, "w", 1, (int64_t[]){4}, w);
    put_value(&g, GRAPH_INPUT, "w", ONNX_FLOAT, 1, (int64_t[]){4});
    put_node(&g, "Add", "x w", "y");
    put_int(&model, MODEL_IR, 3);
    put_part(&model, MODEL_GRAPH, &g);
    put_opset(&model, MODEL_OPSET, "ai.onnx", 8);
    struct oz_net net;
    assert_int_equal(load_bytes(model.data, model.n, &net), OZ_OK);
    assert_int_equal(net.graph.n_inputs, 1); /* the initializer is none */
    oz_net_clear(&net);
    message_clear(&model);

    /* Clip with a left-out input in the middle */
    g = graph_of_x();
    struct message high = tensor_of("high", ONNX_FLOAT, 0, NULL, w, 4);
    put_part(&g, GRAPH_INITIALIZER, &high);
    put_node(&g, "Clip", "x - high", "y");
    model = model_of(&g, 17);
    served("left out in the middle", &model);

    /* an output that is an input, and one that is a constant, and one twice */
    g = graph_of_x();
    put_floats(&g, "w", 1, (int64_t[]){4}, w);
    put_node(&g, "Relu", "x", "y");
    put_ends(&g, GRAPH_OUTPUT, "x w y");
    model = model_of(&g, 17);
    served("outputs that no node makes", &model);
}

/* ---- damage ---- */

/* A model with a bit of everything. */
static struct message a_model(void)
{
    static const float w[16] = {1, 0, 0, 0, 0, 1}, b[4] = {1, 2, 3, 4};
    struct message g = graph_of_x(), body = {0}, f = function_of("f");
    put_floats(&g, "w", 2, (int64_t[]){4, 4}, w);
    put_floats(&g, "b", 1, (int64_t[]){4}, b);
    put_i64(&g, "count", 3);
    struct message node = node_of("Gemm", "x w b", "h");
    attr_int(&node, "transB", 1);
    put_part(&g, GRAPH_NODE, &node);
    put_call(&g, GRAPH_NODE, "f", "h", "r");
    put_ends(&body, GRAPH_INPUT, "i c s");
    put_node(&body, "Add", "s h", "t");
    put_node(&body, "Shape", "t", "d");
    put_ends(&body, GRAPH_OUTPUT, "c t d");
    node = node_of("Loop", "count - r", "y shapes");
    attr_graph(&node, "body", &body);
    put_part(&g, GRAPH_NODE, &node);
    struct message model = model_of(&g, 17);
    node = node_of("Elu", "a", "b");
    struct message ref = attribute_of("alpha", 1);
    put_text(&ref, ATTRIBUTE_REF, "alpha");
    put_part(&node, NODE_ATTRIBUTE, &ref);
    put_part(&f, FUNCTION_NODE, &node);
    put_part(&model, MODEL_FUNCTION, &f);
    return model;
}

/* Loads, and runs what loads. */
static void try(const uint8_t *bytes, size_t n)
{
    struct oz_net net;
    enum oz_status status = load_bytes(bytes, n, &net);
    if (status != OZ_OK && status != OZ_MODEL) fail_msg("status %d: %s", status, err.message);
    if (status == OZ_MODEL) assert_true(err.message[0]);
    oz_net_clear(&net);
}

static void damage_is_survived(void **state)
{
    (void)state;
    struct message model = a_model();
    uint8_t *bytes = malloc(model.n);
    struct oz_net net;
    if (load_bytes(model.data, model.n, &net) != OZ_OK) fail_msg("%s", err.message);
    oz_net_clear(&net);
    for (size_t n = 0; n < model.n; n++) { /* each prefix, in memory of its length */
        uint8_t *prefix = malloc(n + !n);
        memcpy(prefix, model.data, n);
        try(prefix, n);
        free(prefix);
    }
    static const uint8_t to[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    for (size_t i = 0; i < model.n; i++)
        for (size_t v = 0; v < OZ_COUNT_OF(to) + 8; v++) {
            memcpy(bytes, model.data, model.n);
            bytes[i] =
                v < OZ_COUNT_OF(to) ? to[v] : (uint8_t)(bytes[i] ^ 1u << (v - OZ_COUNT_OF(to)));
            try(bytes, model.n);
        }
    free(bytes);
    message_clear(&model);
}

static void failed_allocations_are_told(void **state)
{
    (void)state;
    struct message model = a_model();
    struct oz_net net;
    uint64_t before = oz_allocations();
    assert_int_equal(load_bytes(model.data, model.n, &net), OZ_OK);
    uint64_t n = oz_allocations() - before;
    oz_net_clear(&net);
    assert_true(n > 10);
    for (uint64_t i = 1; i <= n; i++) {
        oz_fail_allocation(i);
        enum oz_status status = load_bytes(model.data, model.n, &net);
        oz_fail_allocation(0);
        oz_net_clear(&net);
        if (status != OZ_NO_MEMORY) fail_msg("allocation %d: status %d", (int)i, status);
    }
    message_clear(&model);
}

/* ---- tensor files ---- */

static void tensor_files_are_read(void **state)
{
    (void)state;
    static const float v[2] = {1.5f, -2};
    struct message t = tensor_of("t", ONNX_FLOAT, 1, (int64_t[]){2}, v, sizeof v);
    struct oz_arena arena;
    struct oz_tensor tensor;
    const char *name;
    oz_arena_init(&arena, 256);
    assert_int_equal(oz_onnx_read_tensor(t.data, t.n, &arena, &tensor, &name, &err), OZ_OK);
    assert_string_equal(name, "t");
    assert_int_equal(tensor.n, 2);
    assert_memory_equal(tensor.f32, v, sizeof v);
    for (size_t n = 0; n < t.n; n++)
        assert_int_equal(oz_onnx_read_tensor(t.data, n, &arena, &tensor, &name, &err), OZ_MODEL);
    oz_arena_clear(&arena);
    message_clear(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edges_go_forward),
        cmocka_unit_test(none_of_many_inputs_is_left_out),
        cmocka_unit_test(bodies_see_what_is_before_them),
        cmocka_unit_test(tensors_are_as_they_claim),
        cmocka_unit_test(data_elsewhere_are_refused),
        cmocka_unit_test(types_are_named),
        cmocka_unit_test(operators_are_named),
        cmocka_unit_test(versions_are_named),
        cmocka_unit_test(old_and_odd_files_are_read),
        cmocka_unit_test(damage_is_survived),
        cmocka_unit_test(failed_allocations_are_told),
        cmocka_unit_test(tensor_files_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
