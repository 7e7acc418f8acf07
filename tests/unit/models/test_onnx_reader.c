/* Proves that the reader refuses files that are damaged, hostile or ask for what is not served, with
 * words that say what it is, and that it takes no more memory for them than a multiple of their
 * bytes. How: files are written message by message (onnx_writer.h), one thing wrong in each; a file
 * that may be read is also compiled and planned, since loops are judged there. Damage: every byte of
 * small files, every prefix, every failed allocation. Memory: the process may not have more address
 * space than a few times what the tests need, and the parts that are counted are asked. */
#include "onnx_writer.h"
#include <stdio.h>
#include <sys/resource.h>
#include "models/net/exec.h"
#include "models/onnx/onnx_reader.h"
#include "models/onnx/onnx_wire.h"

enum { PLAIN_GRAPH_BYTES = 4096 };
static struct oz_error err;

/* x float [N x 4] */
static void put_x(struct message *graph)
{
    put_value(graph, GRAPH_INPUT, "x", ONNX_FLOAT, 2, (int64_t[]){-1, 4});
}
static void put_y(struct message *graph)
{
    put_value(graph, GRAPH_OUTPUT, "y", ONNX_FLOAT, 2, (int64_t[]){-1, 4});
}
/* A graph from x to y, to be filled with nodes. */
static struct message graph_of_x(void)
{
    struct message graph = {0};
    put_x(&graph);
    put_y(&graph);
    return graph;
}

/* Reads, compiles and plans for 8 rows of 4. */
static enum oz_status load_bytes(const uint8_t *bytes, size_t n, struct oz_net *net)
{
    struct oz_arena arena;
    struct oz_net_plan plan;
    struct oz_tensor in[4];
    oz_arena_init(&arena, 1 << 12);
    oz_net_init(net);
    err = (struct oz_error){0};
    enum oz_status status = oz_onnx_read(bytes, n, net, &err);
    if (status == OZ_OK) status = oz_net_compile(net, &err);
    if (status == OZ_OK && net->graph.n_inputs <= OZ_COUNT_OF(in)) {
        for (uint32_t i = 0; i < net->graph.n_inputs; i++) {
            const struct oz_value *value = &net->value[net->graph.input[i]];
            int64_t dim[OZ_RANK_MAX];
            for (size_t d = 0; d < value->rank; d++)
                dim[d] = value->dim[d].size < 0 ? 8 : value->dim[d].size;
            if (status == OZ_OK)
                status =
                    oz_tensor_shape(&in[i], (enum oz_dtype)value->dtype, value->rank, dim, &err);
        }
        if (status == OZ_OK) status = oz_net_plan(net, in, &arena, &plan, &err);
    }
    oz_arena_clear(&arena);
    return status;
}

static void refused(const char *what, struct message *model, const char *words)
{
    struct oz_net net;
    enum oz_status status = load_bytes(model->data, model->n, &net);
    oz_net_clear(&net);
    message_clear(model);
    if (status != OZ_MODEL || !strstr(err.message, words))
        fail_msg("%s: %d `%s`, expected `%s`", what, status, err.message, words);
}
static void graph_refused(const char *what, struct message *graph, const char *words)
{
    struct message model = model_of(graph, 17);
    refused(what, &model, words);
}
static void served(const char *what, struct message *model)
{
    struct oz_net net;
    enum oz_status status = load_bytes(model->data, model->n, &net);
    oz_net_clear(&net);
    message_clear(model);
    if (status != OZ_OK) fail_msg("%s: %s", what, err.message);
}

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
                 {9, "input `z`: it is a optional value"},
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

/* ---- functions ---- */

/* function `name` of domain "ours": a -> b, to be filled with nodes. */
static struct message function_of(const char *name)
{
    struct message function = {0};
    put_text(&function, FUNCTION_NAME, name);
    put_text(&function, FUNCTION_DOMAIN, "ours");
    put_text(&function, FUNCTION_INPUT, "a");
    put_text(&function, FUNCTION_OUTPUT, "b");
    put_opset(&function, FUNCTION_OPSET, "", 17);
    put_opset(&function, FUNCTION_OPSET, "ours", 1);
    return function;
}
static struct message call_of(const char *name, const char *input, const char *output)
{
    struct message node = node_of(name, input, output);
    put_text(&node, NODE_DOMAIN, "ours");
    return node;
}
static void put_call(struct message *to, uint32_t field, const char *name, const char *input,
                     const char *output)
{
    struct message node = call_of(name, input, output);
    put_part(to, field, &node);
}
static struct message model_that_calls(const char *name)
{
    struct message g = graph_of_x();
    put_call(&g, GRAPH_NODE, name, "x", "y");
    return model_of(&g, 17);
}

static void functions_end(void **state)
{
    (void)state;
    struct message model = model_that_calls("f"), f = function_of("f");
    put_call(&f, FUNCTION_NODE, "f", "a", "b");
    put_part(&model, MODEL_FUNCTION, &f);
    refused("calls itself", &model, "functions call functions more than 16 deep");

    model = model_that_calls("f");
    f = function_of("f");
    put_call(&f, FUNCTION_NODE, "g", "a", "b");
    put_part(&model, MODEL_FUNCTION, &f);
    f = function_of("g");
    put_call(&f, FUNCTION_NODE, "f", "a", "b");
    put_part(&model, MODEL_FUNCTION, &f);
    refused("call each other", &model, "functions call functions more than 16 deep");

    /* 15 levels, each calls the next ten times: 10^15 nodes */
    model = model_that_calls("f0");
    for (int level = 0; level < 15; level++) {
        char name[8], next[8];
        snprintf(name, sizeof name, "f%d", level);
        snprintf(next, sizeof next, "f%d", level + 1);
        f = function_of(name);
        for (int i = 0; i < 10; i++) {
            char from[8], to[8];
            snprintf(from, sizeof from, i ? "t%d" : "a", i);
            snprintf(to, sizeof to, i < 9 ? "t%d" : "b", i + 1);
            struct message node = level < 14 ? call_of(next, from, to) : node_of("Relu", from, to);
            put_part(&f, FUNCTION_NODE, &node);
        }
        put_part(&model, MODEL_FUNCTION, &f);
    }
    refused("exponential", &model, "more than 131072");
}

/* What a call copies is paid for by the file's bytes: a function with a megabyte in an attribute,
 * with many inputs, or with long names, called often. */
static void functions_do_not_multiply(void **state)
{
    (void)state;
    enum { N = 1 << 18, CALLS = 20000 };
    static float many[N];
    for (int which = 0; which < 3; which++) {
        struct message g = graph_of_x(), f = function_of("f");
        static char name[1 << 20], out[16];
        for (int i = 0; i < CALLS; i++) {
            snprintf(out, sizeof out, i == CALLS - 1 ? "y" : "t%d", i);
            put_call(&g, GRAPH_NODE, "f", "x", out);
        }
        struct message node = node_of("Relu", "a", "b");
        if (which == 0) {
            struct message constant = node_of("Constant", "", "c");
            struct message t = tensor_of("", ONNX_FLOAT, 1, (int64_t[]){N}, many, sizeof many);
            attr_tensor(&constant, "value", &t);
            put_part(&f, FUNCTION_NODE, &constant);
        } else if (which == 1) {
            for (int i = 0; i < 100000; i++) {
                snprintf(name, sizeof name, "in%d", i);
                put_text(&f, FUNCTION_INPUT, name);
            }
        } else {
            memset(name, 'n', sizeof name - 1);
            name[sizeof name - 1] = '\0';
            put_text(&node, NODE_NAME, name);
        }
        put_part(&f, FUNCTION_NODE, &node);
        struct message model = model_of(&g, 17);
        put_part(&model, MODEL_FUNCTION, &f);
        refused("multiplied", &model, "its functions, written out");
    }
}

static void attributes_reach_into_functions(void **state)
{
    (void)state;
    static const struct {
        bool has_default, is_given;
        float expected; /* of y for x = -1 */
    } cases[] = {
        {false, false, -0.01f}, {false, true, -0.5f}, {true, false, -0.25f}, {true, true, -0.5f}};
    for (size_t i = 0; i < OZ_COUNT_OF(cases); i++) {
        struct message g = graph_of_x(), f = function_of("f"), inner = function_of("g");
        /* g hands its attribute `steep` on as the operator's alpha, f hands `slope` on as `steep` */
        struct message node = node_of("LeakyRelu", "a", "b"), ref = attribute_of("alpha", 1);
        put_text(&ref, ATTRIBUTE_REF, "steep");
        put_part(&node, NODE_ATTRIBUTE, &ref);
        put_part(&inner, FUNCTION_NODE, &node);
        put_text(&inner, FUNCTION_ATTRIBUTE, "steep");
        node = call_of("g", "a", "b"), ref = attribute_of("steep", 1);
        put_text(&ref, ATTRIBUTE_REF, "slope");
        put_part(&node, NODE_ATTRIBUTE, &ref);
        put_part(&f, FUNCTION_NODE, &node);
        if (cases[i].has_default) {
            struct message given = attribute_of("slope", 1);
            put_float(&given, 2, 0.25f);
            put_part(&f, FUNCTION_DEFAULT, &given);
        } else {
            put_text(&f, FUNCTION_ATTRIBUTE, "slope");
        }
        node = call_of("f", "x", "y");
        if (cases[i].is_given) attr_float(&node, "slope", 0.5f);
        put_part(&g, GRAPH_NODE, &node);
        struct message model = model_of(&g, 17);
        put_part(&model, MODEL_FUNCTION, &f);
        put_part(&model, MODEL_FUNCTION, &inner);

        struct oz_net net;
        struct oz_net_plan plan;
        struct oz_arena arena;
        struct oz_tensor x = {.dtype = OZ_DTYPE_F32, .rank = 2, .dim = {1, 4}, .n = 4}, y;
        float minus[4] = {-1, -1, -1, -1};
        if (load_bytes(model.data, model.n, &net) != OZ_OK) fail_msg("%s", err.message);
        oz_arena_init(&arena, 1 << 12);
        x.f32 = minus;
        assert_int_equal(oz_net_plan(&net, &x, &arena, &plan, &err), OZ_OK);
        void *memory = aligned_alloc(64, (plan.memory_bytes + 63) / 64 * 64);
        assert_int_equal(oz_net_run(&plan, &x, memory, &y, &err), OZ_OK);
        if (y.f32[0] != cases[i].expected) fail_msg("case %zu: %g", i, (double)y.f32[0]);
        free(memory);
        oz_arena_clear(&arena);
        oz_net_clear(&net);
        message_clear(&model);
    }
}

static void calls_fit_their_functions(void **state)
{
    (void)state;
    struct message g = graph_of_x(), f = function_of("f");
    struct message node = node_of("Relu", "a", "b");
    put_part(&f, FUNCTION_NODE, &node);
    put_call(&g, GRAPH_NODE, "f", "x x", "y");
    struct message model = model_of(&g, 17);
    put_bytes(&model, MODEL_FUNCTION, f.data, f.n);
    refused("too many inputs", &model, "it gives 2 inputs and takes 1 outputs, the function has 1");
    g = graph_of_x();
    put_call(&g, GRAPH_NODE, "f", "x", "y z");
    model = model_of(&g, 17);
    put_bytes(&model, MODEL_FUNCTION, f.data, f.n);
    refused("too many outputs", &model, "it gives 1 inputs and takes 2 outputs");
    g = graph_of_x();
    put_call(&g, GRAPH_NODE, "f", "-", "y");
    model = model_of(&g, 17);
    put_bytes(&model, MODEL_FUNCTION, f.data, f.n);
    refused("an input left out", &model, "it has 0 inputs");
    g = graph_of_x();
    put_call(&g, GRAPH_NODE, "f", "x", "y");
    model = model_of(&g, 17);
    message_clear(&f);
    f = function_of("f");
    put_part(&model, MODEL_FUNCTION, &f);
    refused("an output not made", &model, "its function makes no `b`");
    g = graph_of_x(), f = function_of("f");
    node = node_of("Relu", "x", "b"); /* the caller's */
    put_part(&f, FUNCTION_NODE, &node);
    put_call(&g, GRAPH_NODE, "f", "x", "y");
    model = model_of(&g, 17);
    put_part(&model, MODEL_FUNCTION, &f);
    refused("a value of the caller", &model, "it reads `x`, which nothing before it makes");
}

/* ---- much in little ---- */

/* Graphs in graphs: each takes a few bytes and its lengths. Written from the inside out. */
static void deep_nesting_is_refused(void **state)
{
    (void)state;
    static const int depths[] = {9, 12, 1000};
    for (size_t i = 0; i < OZ_COUNT_OF(depths); i++) {
        struct message inner = {0};
        for (int d = 0; d < depths[i]; d++) {
            struct message node = node_of("If", "c", "-");
            attr_graph(&node, "then_branch", &inner);
            put_part(&inner, GRAPH_NODE, &node);
        }
        put_bool(&inner, "c", true);
        graph_refused("deep", &inner, "graphs are nested deeper than 8");
    }
    /* 100,000 levels, lengths right, written backwards: 3 messages a level */
    enum { LEVELS = 100000, ROOM = LEVELS * 30 };
    uint8_t *file = malloc(ROOM);
    size_t at = ROOM;
    for (int level = 0; level < LEVELS; level++)
        for (int part = 0; part < 3; part++) {
            static const uint8_t fields[] = {6 << 3 | 2, 5 << 3 | 2, 1 << 3 | 2};
            uint8_t len[10];
            size_t n = 0, v = ROOM - at;
            do len[n++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
            while (v >>= 7);
            memcpy(file + (at -= n), len, n);
            file[--at] = fields[part];
        }
    struct message model = {0};
    put_int(&model, MODEL_IR, 8);
    put_bytes(&model, MODEL_GRAPH, file + at, ROOM - at);
    free(file);
    refused("100,000 levels", &model, "graphs are nested deeper than 8");
}

/* Millions of small messages: refused for what they are or for what they cost. */
static void many_small_parts_are_bounded(void **state)
{
    (void)state;
    enum { N = 1 << 21 };
    static const struct {
        const char *what;
        uint8_t bytes[4];
        size_t n;
        const char *words;
    } parts[] = {
        {"nodes", {GRAPH_NODE << 3 | 2, 0}, 2, "bytes of memory to be read"},
        {"initializers", {GRAPH_INITIALIZER << 3 | 2, 0}, 2, "bytes of memory to be read"},
        {"inputs", {GRAPH_INPUT << 3 | 2, 0}, 2, "bytes of memory to be read"},
        {"unknown fields", {(30 << 3 & 0x7f) | 0x80, 1, 0}, 3, "bytes of memory to be read"},
    };
    for (size_t p = 0; p < OZ_COUNT_OF(parts); p++) {
        struct message g = {0};
        for (int i = 0; i < N; i++) put(&g, parts[p].bytes, parts[p].n);
        struct message model = model_of(&g, 17);
        const OzOnnx__Model *message;
        struct oz_onnx_wire wire;
        oz_onnx_wire_init(&wire);
        enum oz_status status = oz_onnx_wire_model(&wire, model.data, model.n, &message, &err);
        assert_true(wire.n_bytes <= 16 * model.n + (16 << 20));
        oz_onnx_wire_clear(&wire);
        if (status == OZ_OK) print_message("%s are read\n", parts[p].what);
        refused(parts[p].what, &model, parts[p].words);
    }
    for (int which = 0; which < 3; which++) { /* in one node */
        struct message g = graph_of_x(), node = node_of("Relu", "x", "y"), empty = {0};
        static const uint32_t fields[] = {NODE_ATTRIBUTE, NODE_INPUT, NODE_OUTPUT};
        static const char *const words[] = {"attributes, up to 256", "inputs and", "inputs and"};
        for (int i = 0; i < 5000; i++) put_part(&node, fields[which], &empty);
        put_part(&g, GRAPH_NODE, &node);
        graph_refused("in a node", &g, words[which]);
    }
}

/* Protobuf allows an optional part to come several times, then the parts are merged. */
static void parts_that_come_twice_are_merged(void **state)
{
    (void)state;
    struct message a = {0}, b = {0}, model = {0};
    put_x(&a);
    put_node(&a, "Relu", "x", "r");
    put_node(&b, "Tanh", "r", "y");
    put_y(&b);
    put_int(&model, MODEL_IR, 8);
    put_part(&model, MODEL_GRAPH, &a);
    put_part(&model, MODEL_GRAPH, &b);
    put_opset(&model, MODEL_OPSET, "", 17);
    served("two halves", &model);

    put_int(&model, MODEL_IR, 8);
    for (int i = 0; i < 20000; i++) {
        put_node(&a, "Relu", "x", "y");
        put_part(&model, MODEL_GRAPH, &a);
    }
    refused("20,000 parts", &model, "bytes of memory to be read");
}

/* ---- loops ---- */

enum loop_kind { NO_COUNT, CONSTANT_TRUE, COUNT_MAX, COUNT_OF_DATA, EMPTY_BODY };

static void loops_have_an_end(void **state)
{
    (void)state;
    static const char *const words[] = {
        [NO_COUNT] = "nothing that is known at load bounds how often it runs",
        [CONSTANT_TRUE] = "nothing that is known at load bounds how often it runs",
        [COUNT_MAX] = "nothing that is known at load bounds how often it runs",
        [COUNT_OF_DATA] = "nothing that is known at load bounds how often it runs",
        [EMPTY_BODY] = "more than 100000000 nodes, rounds of loops included",
    };
    for (enum loop_kind kind = NO_COUNT; kind <= EMPTY_BODY; kind++) {
        struct message g = graph_of_x(), body = {0};
        put_i64(&g, "count", kind == EMPTY_BODY ? INT64_C(1) << 60 : INT64_MAX);
        put_bool(&g, "yes", true);
        put_value(&g, GRAPH_INPUT, "n", ONNX_INT64, 0, NULL);
        struct message node = node_of("Loop",
                                      kind == NO_COUNT        ? "- - x"
                                      : kind == CONSTANT_TRUE ? "- yes x"
                                      : kind == COUNT_OF_DATA ? "n yes x"
                                                              : "count yes x",
                                      "y");
        put_ends(&body, GRAPH_INPUT, "i c s");
        if (kind != EMPTY_BODY) put_node(&body, "Relu", "s", "t");
        put_ends(&body, GRAPH_OUTPUT, kind == EMPTY_BODY ? "c s" : "c t");
        attr_graph(&node, "body", &body);
        put_part(&g, GRAPH_NODE, &node);
        graph_refused("a loop", &g, words[kind]);
    }
}

/* `depth` loops in each other, each of `count` rounds over a state of floats. */
static struct message nested_loops(int depth, int64_t count)
{
    struct message inner = {0};
    char in[8], out[8], ends[64], args[64];
    for (int d = depth; d >= 0; d--) {
        struct message g = {0};
        snprintf(in, sizeof in, "s%d", d);
        snprintf(out, sizeof out, "t%d", d);
        if (d) {
            snprintf(ends, sizeof ends, "i%d c%d %s", d, d, in);
            put_ends(&g, GRAPH_INPUT, ends);
        } else {
            g = graph_of_x();
            put_i64(&g, "count", count);
        }
        if (d == depth) {
            put_node(&g, "Relu", in, out);
        } else {
            snprintf(args, sizeof args, "count - %s", d ? in : "x");
            struct message node = node_of("Loop", args, d ? out : "y");
            attr_graph(&node, "body", &inner);
            put_part(&g, GRAPH_NODE, &node);
        }
        if (d) {
            snprintf(ends, sizeof ends, "c%d %s", d, out);
            put_ends(&g, GRAPH_OUTPUT, ends);
        }
        inner = g;
    }
    return inner;
}

static void nested_loops_multiply(void **state)
{
    (void)state;
    struct message g = nested_loops(3, 10), model = model_of(&g, 17);
    served("1000 rounds", &model);
    g = nested_loops(3, 10000);
    graph_refused("10^12 rounds", &g, "more than 100000000 nodes");
    g = nested_loops(6, 100);
    graph_refused("10^12 rounds, six deep", &g, "more than 100000000 nodes");
}

/* A counter that is known in every round makes planning go through them. */
static void planning_ends(void **state)
{
    (void)state;
    for (int deep = 0; deep < 2; deep++) {
        struct message g = graph_of_x();
        put_i64(&g, "count", INT64_C(1) << (deep ? 13 : 40));
        put_i64(&g, "one", 1);
        struct message inner = {0}, body = {0};
        if (deep) {
            put_ends(&inner, GRAPH_INPUT, "j d q");
            put_node(&inner, "Add", "q one", "q2");
            put_ends(&inner, GRAPH_OUTPUT, "d q2");
        }
        put_ends(&body, GRAPH_INPUT, "i c k s");
        put_node(&body, "Add", "k one", "k2");
        if (deep) {
            struct message node = node_of("Loop", "count - k2", "k3");
            attr_graph(&node, "body", &inner);
            put_part(&body, GRAPH_NODE, &node);
        }
        put_node(&body, "Relu", "s", "t");
        put_ends(&body, GRAPH_OUTPUT, deep ? "c k3 t" : "c k2 t");
        struct message node = node_of("Loop", "count - one x", "k y");
        attr_graph(&node, "body", &body);
        put_part(&g, GRAPH_NODE, &node);
        graph_refused("planning", &g, "rounds");
    }
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
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    const struct rlimit most = {(rlim_t)2 << 30, (rlim_t)2 << 30};
    if (setrlimit(RLIMIT_AS, &most)) return 1;
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edges_go_forward),
        cmocka_unit_test(bodies_see_what_is_before_them),
        cmocka_unit_test(tensors_are_as_they_claim),
        cmocka_unit_test(data_elsewhere_are_refused),
        cmocka_unit_test(types_are_named),
        cmocka_unit_test(operators_are_named),
        cmocka_unit_test(versions_are_named),
        cmocka_unit_test(old_and_odd_files_are_read),
        cmocka_unit_test(functions_end),
        cmocka_unit_test(functions_do_not_multiply),
        cmocka_unit_test(attributes_reach_into_functions),
        cmocka_unit_test(calls_fit_their_functions),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(many_small_parts_are_bounded),
        cmocka_unit_test(parts_that_come_twice_are_merged),
        cmocka_unit_test(loops_have_an_end),
        cmocka_unit_test(nested_loops_multiply),
        cmocka_unit_test(planning_ends),
        cmocka_unit_test(damage_is_survived),
        cmocka_unit_test(failed_allocations_are_told),
        cmocka_unit_test(tensor_files_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
