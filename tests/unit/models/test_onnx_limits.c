/* Proves that small files that ask for much are refused, in bounded memory and work: functions that
 * call each other or are called often, deep nesting, millions of small parts, loops without an end
 * and loops in loops. And that functions which may be used are: their attributes and arguments.
 * How: files are written message by message (onnx_writer.h). The process may not have more address
 * space than a few times what the tests need, and the parts that count themselves are asked. */
#include "onnx_loads.h"
#include <sys/resource.h>
#include "models/onnx/onnx_wire.h"

/* ---- functions ---- */

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

/* f calls g, whose node is a LeakyRelu: `slope` of f is `steep` of g is its alpha. */
static struct message model_of_slopes(bool has_inner_default, bool has_default, bool is_given)
{
    struct message g = graph_of_x(), f = function_of("f"), inner = function_of("g");
    /* g hands its `steep` on as the operator's alpha, f hands `slope` on as `steep` */
    struct message node = node_of("LeakyRelu", "a", "b"), ref = attribute_of("alpha", 1);
    put_text(&ref, ATTRIBUTE_REF, "steep");
    put_part(&node, NODE_ATTRIBUTE, &ref);
    put_part(&inner, FUNCTION_NODE, &node);
    if (has_inner_default) {
        struct message given = attribute_of("steep", 1);
        put_float(&given, 2, 2);
        put_part(&inner, FUNCTION_DEFAULT, &given);
    } else {
        put_text(&inner, FUNCTION_ATTRIBUTE, "steep");
    }
    node = call_of("g", "a", "b"), ref = attribute_of("steep", 1);
    put_text(&ref, ATTRIBUTE_REF, "slope");
    put_part(&node, NODE_ATTRIBUTE, &ref);
    put_part(&f, FUNCTION_NODE, &node);
    if (has_default) {
        struct message given = attribute_of("slope", 1);
        put_float(&given, 2, 0.25f);
        put_part(&f, FUNCTION_DEFAULT, &given);
    } else {
        put_text(&f, FUNCTION_ATTRIBUTE, "slope");
    }
    node = call_of("f", "x", "y");
    if (is_given) attr_float(&node, "slope", 0.5f);
    put_part(&g, GRAPH_NODE, &node);
    struct message model = model_of(&g, 17);
    put_part(&model, MODEL_FUNCTION, &f);
    put_part(&model, MODEL_FUNCTION, &inner);
    return model;
}

static void attributes_reach_into_functions(void **state)
{
    (void)state;
    static const struct {
        bool has_inner_default, has_default, is_given;
        float expected; /* of y for x = -1 */
    } cases[] = {
        {false, false, false, -0.01f}, {false, false, true, -0.5f}, {false, true, false, -0.25f},
        {false, true, true, -0.5f},    {true, false, false, -2},    {true, false, true, -0.5f},
        {true, true, false, -0.25f},   {true, true, true, -0.5f},
    };
    for (size_t i = 0; i < OZ_COUNT_OF(cases); i++) {
        struct message model =
            model_of_slopes(cases[i].has_inner_default, cases[i].has_default, cases[i].is_given);
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
    g = graph_of_x(), f = function_of("f");
    node = call_of("f", "x", "y");
    for (int i = 0; i < 257; i++) {
        char name[8];
        snprintf(name, sizeof name, "a%d", i);
        attr_int(&node, name, i);
    }
    put_part(&g, GRAPH_NODE, &node);
    model = model_of(&g, 17);
    put_part(&model, MODEL_FUNCTION, &f);
    refused("attributes", &model, "a function with more than 256 attributes");
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
        {"nodes", {GRAPH_NODE << 3 | 2, 0}, 2, "takes more memory than a file of"},
        {"initializers", {GRAPH_INITIALIZER << 3 | 2, 0}, 2, "takes more memory than a file of"},
        {"inputs", {GRAPH_INPUT << 3 | 2, 0}, 2, "takes more memory than a file of"},
        {"unknown fields", {(30 << 3 & 0x7f) | 0x80, 1, 0}, 3, "takes more memory than a file of"},
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

/* A forest is lists of small numbers, each of which protobuf-c notes by itself. */
static void long_lists_are_read(void **state)
{
    (void)state;
    enum { N = 500000, LISTS = 6 };
    static int64_t list[N];
    struct message g = graph_of_x(), node = node_of("Relu", "x", "y");
    for (int k = 0; k < LISTS; k++) {
        char name[8];
        snprintf(name, sizeof name, "list%d", k);
        attr_ints(&node, name, N, list);
    }
    put_part(&g, GRAPH_NODE, &node);
    struct message model = model_of(&g, 17);
    const OzOnnx__Model *message;
    struct oz_onnx_wire wire;
    oz_onnx_wire_init(&wire);
    if (oz_onnx_wire_model(&wire, model.data, model.n, &message, &err) != OZ_OK)
        fail_msg("%s", err.message);
    assert_int_equal(message->graph->node[0]->attribute[LISTS - 1]->n_ints, N);
    assert_true(wire.n_bytes < 6 * model.n);
    oz_onnx_wire_clear(&wire);
    message_clear(&model);
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
    refused("20,000 parts", &model, "takes more memory than a file of");
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

/* Constants of constants: the file is small, the arithmetic need not be. */
static void arithmetic_at_load_is_bounded(void **state)
{
    (void)state;
    enum { SIZE = 256 };
    static float ones[SIZE * SIZE];
    for (int64_t limit = 0; limit < 2; limit++) {
        struct message g = graph_of_x();
        put_floats(&g, "a", 2, (int64_t[]){SIZE, SIZE}, ones);
        put_node(&g, "MatMul", "a a", "b");
        put_node(&g, "MatMul", "b b", "c");
        put_node(&g, "ReduceMax", "c", "most");
        put_node(&g, "Add", "x most", "y");
        struct message model = model_of(&g, 17);
        struct oz_net net;
        oz_net_init(&net);
        if (!limit) net.load_cpu_us_max = 0;
        assert_int_equal(oz_onnx_read(model.data, model.n, &net, &err), OZ_OK);
        enum oz_status status = oz_net_compile(&net, &err);
        assert_int_equal(status, limit ? OZ_OK : OZ_MODEL);
        if (!limit) assert_non_null(strstr(err.message, "computing what is known at load"));
        oz_net_clear(&net);
        message_clear(&model);
    }
}

int main(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    const struct rlimit most = {(rlim_t)2 << 30, (rlim_t)2 << 30};
    if (setrlimit(RLIMIT_AS, &most)) return 1;
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_end),
        cmocka_unit_test(functions_do_not_multiply),
        cmocka_unit_test(attributes_reach_into_functions),
        cmocka_unit_test(calls_fit_their_functions),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(many_small_parts_are_bounded),
        cmocka_unit_test(long_lists_are_read),
        cmocka_unit_test(parts_that_come_twice_are_merged),
        cmocka_unit_test(loops_have_an_end),
        cmocka_unit_test(nested_loops_multiply),
        cmocka_unit_test(planning_ends),
        cmocka_unit_test(arithmetic_at_load_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
