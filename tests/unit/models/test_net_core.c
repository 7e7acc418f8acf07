/* Proves that the core of a net plans and runs as it should: values share memory only where nobody
 * sees it, bodies of Loop, If and Scan give what they give elsewhere, and a plan for N rows runs
 * any fewer of them with the same bits and refuses more.
 * How: nets with bodies and views are compared with ONNX Runtime (fixtures/net_core.txt, made by
 * make_net_core.py); random graphs with bodies in bodies are run twice, by the plan and by a twin of
 * it in which every value has a place of its own. All memory is set to a pattern before, and no run
 * may allocate. */
#include "net_cases.h"
#include "net_runs.h"
#include "onnx_writer.h"
#include <math.h>
#include "models/onnx/onnx_reader.h"

static struct oz_error err;

static void load(const char *what, const uint8_t *bytes, size_t n, struct oz_net *net)
{
    oz_net_init(net);
    enum oz_status status = oz_onnx_read(bytes, n, net, &err);
    if (status == OZ_OK) status = oz_net_compile(net, &err);
    if (status != OZ_OK) fail_msg("%s: %s", what, err.message);
}

/* ---- against ONNX Runtime ---- */

static uint8_t *from_hex(const char *hex, size_t *ret_n)
{
    size_t n = strlen(hex) / 2;
    uint8_t *bytes = malloc(n + 1);
    for (size_t i = 0; i < n; i++) {
        unsigned byte = 0;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        bytes[i] = (uint8_t)byte;
    }
    *ret_n = n;
    return bytes;
}

static void compare(const char *what, const struct oz_tensor *is, const struct oz_tensor *expected)
{
    char a[OZ_TENSOR_WORDS_BYTES], b[OZ_TENSOR_WORDS_BYTES];
    if (is->dtype != expected->dtype || !oz_tensor_same_shape(is, expected))
        fail_msg("%s: %s, expected %s", what, oz_tensor_words(is, a), oz_tensor_words(expected, b));
    for (int64_t i = 0; i < is->n; i++) {
        double x = oz_tensor_f64_at(is, i), y = oz_tensor_f64_at(expected, i);
        if (fabs(x - y) > 2e-6 * fmax(1, fabs(y)))
            fail_msg("%s: element %d is %g, expected %g", what, (int)i, x, y);
    }
}

struct run {
    struct oz_tensor input[NET_RUN_INPUTS_MAX], output[NET_RUN_OUTPUTS_MAX];
    uint32_t n_inputs, n_outputs;
};

/* Lines of a case: the model, then runs. Returns where the next case begins. */
static char *read_case(char *at, struct oz_arena *arena, const char **ret_name, char **ret_hex,
                       struct run *run, size_t *n_runs)
{
    *n_runs = 0;
    *ret_name = NULL;
    while (*at) {
        char *line = at, *end = strchr(at, '\n');
        if (*ret_name && !strncmp(line, "case ", 5)) return line;
        at = end ? end + 1 : at + strlen(at);
        if (end) *end = '\0';
        if (!strncmp(line, "case ", 5)) *ret_name = line + 5;
        if (!strncmp(line, "model ", 6)) *ret_hex = line + 6;
        if (!strcmp(line, "run")) run[(*n_runs)++] = (struct run){0};
        struct run *last = *n_runs ? &run[*n_runs - 1] : NULL;
        if (!strncmp(line, "in ", 3) || !strncmp(line, "out ", 4)) {
            const char *word = strtok(line, " ");
            net_case_tensor(arena, *word == 'i' ? &last->input[last->n_inputs++]
                                                : &last->output[last->n_outputs++]);
        }
    }
    return at;
}

static void bodies_give_what_onnx_runtime_gives(void **state)
{
    (void)state;
    enum { RUNS_MAX = 8, CASES = 26 };
    struct run *run = calloc(RUNS_MAX, sizeof *run);
    size_t n_bytes, n_runs, n_cases = 0;
    char *text = fixture_read("net_core.txt", &n_bytes), *hex = NULL;
    const char *name;
    for (char *at = text; *at; n_cases++) {
        struct oz_arena arena;
        struct oz_net net;
        struct net_plans plans;
        oz_arena_init(&arena, 1 << 14);
        at = read_case(at, &arena, &name, &hex, run, &n_runs);
        assert_non_null(name);
        uint8_t *model = from_hex(hex, &n_bytes);
        load(name, model, n_bytes, &net);
        if (net_plans_init(&plans, &net, run[0].input, &arena, &err) != OZ_OK)
            fail_msg("%s: %s", name, err.message);
        for (size_t r = 0; r < n_runs; r++) {
            struct oz_tensor out[NET_RUN_OUTPUTS_MAX];
            assert_int_equal(net.graph.n_outputs, run[r].n_outputs);
            if (net_run(name, &plans, run[r].input, r & 1 ? 0xff : 0x5a, out, &err) != OZ_OK)
                fail_msg("%s, run %zu: %s", name, r, err.message);
            for (uint32_t k = 0; k < run[r].n_outputs; k++)
                compare(name, &out[k], &run[r].output[k]);
        }
        net_plans_clear(&plans);
        oz_net_clear(&net);
        oz_arena_clear(&arena);
        free(model);
    }
    assert_int_equal(n_cases, CASES);
    free(text);
    free(run);
}

/* ---- random graphs ---- */

static uint64_t random_state = 11;
static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

enum { FLAT = 1, WIDE = 0, NAMES_MAX = 128, NAME_BYTES = 12 }; /* [4N] and [N x 4] */

/* The values that can be read where nodes are put, the oldest first. */
struct pool {
    char name[NAMES_MAX][NAME_BYTES];
    int kind[NAMES_MAX];
    size_t n;
};
static int n_names;

static const char *pick(const struct pool *pool, int kind)
{
    /* Old and new ones alike, so that some live long. */
    for (;;) {
        size_t i = random_below((uint32_t)pool->n);
        if (pool->kind[i] == kind) return pool->name[i];
    }
}
static const char *fresh(struct pool *pool, int kind)
{
    assert_true(pool->n < NAMES_MAX);
    snprintf(pool->name[pool->n], NAME_BYTES, "v%d", n_names++);
    pool->kind[pool->n] = kind;
    return pool->name[pool->n++];
}

static void put_random_nodes(struct message *g, struct pool *pool, int depth, int n);

/* A body with these outputs, all wide and made or seen in it. */
static struct message random_body(const struct pool *outer, int depth, const char *inputs,
                                  int n_states, const char *cond, int n_outputs)
{
    struct message g = {0};
    struct pool pool = *outer;
    char ends[256];
    size_t at = 0;
    put_ends(&g, GRAPH_INPUT, inputs);
    for (int k = 0; k < n_states; k++) { /* the last names of the list */
        snprintf(pool.name[pool.n], NAME_BYTES, "s%d_%d", depth, k);
        pool.kind[pool.n++] = WIDE;
    }
    put_random_nodes(&g, &pool, depth, 2 + (int)random_below(6));
    if (*cond) at += (size_t)snprintf(ends, sizeof ends, "%s ", cond);
    for (int k = 0; k < n_outputs; k++) {
        const char *from = pick(&pool, WIDE);
        /* What is passed on: states and outer values as they are, too. */
        at += (size_t)snprintf(ends + at, sizeof ends - at, "%s ", from);
    }
    ends[at - 1] = '\0';
    put_ends(&g, GRAPH_OUTPUT, ends);
    return g;
}

static void put_if(struct message *g, struct pool *pool, int depth)
{
    static const char *const conditions[] = {"yes", "no", "by_data", "by_rows"};
    char outputs[2 * NAME_BYTES];
    struct message then = random_body(pool, depth + 1, "", 0, "", 2);
    struct message otherwise = random_body(pool, depth + 1, "", 0, "", 2);
    const char *a = fresh(pool, WIDE), *b = fresh(pool, WIDE);
    snprintf(outputs, sizeof outputs, "%s %s", a, random_below(3) ? b : "-");
    if (strchr(outputs, '-')) pool->n--;
    struct message node = node_of("If", conditions[random_below(4)], outputs);
    attr_graph(&node, "then_branch", &then);
    attr_graph(&node, "else_branch", &otherwise);
    put_part(g, GRAPH_NODE, &node);
}

static void put_loop(struct message *g, struct pool *pool, int depth)
{
    char inputs[96], outputs[64], ends[96], cond[NAME_BYTES];
    int n_states = 1 + (int)random_below(3), at = 0, end = 0, out = 0;
    at += snprintf(inputs, sizeof inputs, "%s -", random_below(2) ? "two" : "three");
    snprintf(cond, sizeof cond, "c%d", depth);
    end += snprintf(ends, sizeof ends, "i%d %s", depth, cond);
    for (int k = 0; k < n_states; k++) {
        at += snprintf(inputs + at, sizeof inputs - (size_t)at, " %s", pick(pool, WIDE));
        end += snprintf(ends + end, sizeof ends - (size_t)end, " s%d_%d", depth + 1, k);
    }
    struct message body = random_body(pool, depth + 1, ends, n_states, cond, n_states);
    for (int k = 0; k < n_states; k++)
        out += snprintf(outputs + out, sizeof outputs - (size_t)out, k ? " %s" : "%s",
                        fresh(pool, WIDE));
    struct message node = node_of("Loop", inputs, outputs);
    attr_graph(&node, "body", &body);
    put_part(g, GRAPH_NODE, &node);
}

/* Column by column, from the left or from the right, with a state that is another column. */
static void put_scan(struct message *g, struct pool *pool, int depth)
{
    struct message body = {0};
    char names[4][NAME_BYTES], ends[4 * NAME_BYTES];
    for (int k = 0; k < 4; k++) snprintf(names[k], NAME_BYTES, "n%d_%d", depth, n_names++);
    snprintf(ends, sizeof ends, "%s %s", names[0], names[1]);
    put_ends(&body, GRAPH_INPUT, ends);
    put_node(&body, "Add", ends, names[2]);
    put_node(&body, "Tanh", names[2], names[3]);
    snprintf(ends, sizeof ends, "%s %s", names[1], names[3]);
    put_ends(&body, GRAPH_OUTPUT, ends);
    snprintf(ends, sizeof ends, "column %s", pick(pool, WIDE));
    snprintf(names[0], NAME_BYTES, "n%d", n_names++);
    char outputs[2 * NAME_BYTES];
    snprintf(outputs, sizeof outputs, "%s %s", names[0], fresh(pool, WIDE));
    struct message node = node_of("Scan", ends, outputs);
    attr_graph(&node, "body", &body);
    attr_int(&node, "num_scan_inputs", 1);
    attr_ints(&node, "scan_input_axes", 1, (int64_t[]){1});
    attr_ints(&node, "scan_input_directions", 1, (int64_t[]){random_below(2)});
    attr_ints(&node, "scan_output_axes", 1, (int64_t[]){1});
    put_part(g, GRAPH_NODE, &node);
}

static void put_random_node(struct message *g, struct pool *pool, int depth)
{
    static const char *const unary[] = {"Tanh", "Neg", "Softmax", "Identity", "Relu"};
    char inputs[3 * NAME_BYTES], outputs[3 * NAME_BYTES];
    uint32_t which = random_below(depth < 3 ? 13 : 9);
    int kind = (int)random_below(2);
    if (which < 3) {
        snprintf(inputs, sizeof inputs, "%s", pick(pool, kind));
        put_node(g, unary[random_below(5)], inputs, fresh(pool, kind));
    } else if (which < 5) {
        snprintf(inputs, sizeof inputs, "%s %s", pick(pool, kind), pick(pool, kind));
        put_node(g, "Add", inputs, fresh(pool, kind));
    } else if (which < 7) { /* a view */
        snprintf(inputs, sizeof inputs, "%s %s", pick(pool, kind), kind ? "to_wide" : "to_flat");
        put_node(g, "Reshape", inputs, fresh(pool, !kind));
    } else if (which == 7) {
        snprintf(inputs, sizeof inputs, "%s weights", pick(pool, WIDE));
        put_node(g, "MatMul", inputs, fresh(pool, WIDE));
    } else if (which == 8) {
        char both[NAME_BYTES];
        snprintf(both, sizeof both, "w%d", n_names++);
        struct message node = node_of("Concat", "", both);
        snprintf(inputs, sizeof inputs, "%s %s", pick(pool, WIDE), pick(pool, WIDE));
        put_names(&node, NODE_INPUT, inputs);
        attr_int(&node, "axis", 1);
        put_part(g, GRAPH_NODE, &node);
        const char *a = fresh(pool, WIDE);
        snprintf(outputs, sizeof outputs, "%s %s", a, fresh(pool, WIDE));
        node = node_of("Split", both, outputs);
        attr_int(&node, "axis", 1);
        put_part(g, GRAPH_NODE, &node);
    } else if (which < 11) {
        put_if(g, pool, depth);
    } else if (which == 11) {
        put_loop(g, pool, depth);
    } else {
        put_scan(g, pool, depth);
    }
}

static void put_random_nodes(struct message *g, struct pool *pool, int depth, int n)
{
    for (int i = 0; i < n && pool->n < NAMES_MAX - 16; i++) put_random_node(g, pool, depth);
}

static struct message random_model(void)
{
    static const float weights[16] = {.5f, 0, .25f, 0, 0, -.5f, 0, 1, 0, 0, .75f, 0, 1, 0, 0, .5f};
    struct message g = {0};
    struct pool pool = {.n = 2, .name = {"x", "z"}, .kind = {WIDE, FLAT}};
    n_names = 0;
    put_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, 2, (int64_t[]){-1, 4});
    put_floats(&g, "weights", 2, (int64_t[]){4, 4}, weights);
    put_floats(&g, "zero", 0, NULL, (float[]){0});
    put_i64s(&g, "to_flat", 1, (int64_t[]){-1});
    put_i64s(&g, "to_wide", 2, (int64_t[]){-1, 4});
    put_i64s(&g, "first", 1, (int64_t[]){0});
    put_i64s(&g, "few", 1, (int64_t[]){4});
    put_i64(&g, "column_0", 0);
    put_i64(&g, "two", 2);
    put_i64(&g, "three", 3);
    put_bool(&g, "yes", true);
    put_bool(&g, "no", false);
    put_node(&g, "Reshape", "x to_flat", "z");
    struct message node = node_of("ReduceSum", "x", "sum");
    attr_int(&node, "keepdims", 0);
    put_part(&g, GRAPH_NODE, &node);
    put_node(&g, "Less", "sum zero", "by_data");
    put_node(&g, "Shape", "x", "shape");
    put_node(&g, "Gather", "shape first", "n");
    put_node(&g, "Less", "n few", "by_rows");
    node = node_of("Gather", "x column_0", "column");
    attr_int(&node, "axis", 1);
    put_part(&g, GRAPH_NODE, &node);
    put_random_nodes(&g, &pool, 0, 6 + (int)random_below(20));
    put_node(&g, "Sigmoid", "x", "always");
    put_ends(&g, GRAPH_OUTPUT, "always");
    for (int k = 0; k < 4; k++)
        put_value(&g, GRAPH_OUTPUT, pick(&pool, k & 1), ONNX_FLOAT, k & 1 ? 1 : 2,
                  (int64_t[]){-1, 4});
    return model_of(&g, 17);
}

static struct oz_tensor some_rows(float *data, int64_t n)
{
    struct oz_tensor x;
    for (int64_t i = 0; i < n * 4; i++) data[i] = ((float)random_below(2001) - 1000) / 256;
    assert_int_equal(oz_tensor_shape(&x, OZ_DTYPE_F32, 2, (int64_t[]){n, 4}, &err), OZ_OK);
    x.f32 = data;
    return x;
}

static void values_share_memory_unseen(void **state)
{
    (void)state;
    enum { MODELS = 1500, ROWS = 8 };
    uint64_t shared_bytes = 0, apart_bytes = 0;
    for (int m = 0; m < MODELS; m++) {
        static float data[(ROWS + 1) * 4];
        char what[32];
        struct oz_arena arena;
        struct oz_net net;
        struct net_plans plans, exact;
        struct oz_tensor out[NET_RUN_OUTPUTS_MAX], again[NET_RUN_OUTPUTS_MAX];
        struct message model = random_model();
        snprintf(what, sizeof what, "random model %d", m);
        oz_arena_init(&arena, 1 << 14);
        load(what, model.data, model.n, &net);
        struct oz_tensor x = some_rows(data, ROWS);
        if (net_plans_init(&plans, &net, &x, &arena, &err) != OZ_OK)
            fail_msg("%s: %s", what, err.message);
        shared_bytes += plans.shared.value_bytes, apart_bytes += plans.apart.memory_bytes;
        for (int64_t n = ROWS; n > 0; n = n / 2 - (n == 4)) { /* 8, 4, 1 */
            x = some_rows(data, n);
            for (int round = 0; round < 2; round++) /* the condition on the data both ways */ {
                if (net_run(what, &plans, &x, round ? 0xff : 0x7f, out, &err) != OZ_OK)
                    fail_msg("%s, %d rows: %s", what, (int)n, err.message);
                if (net_plans_init(&exact, &net, &x, &arena, &err) != OZ_OK)
                    fail_msg("%s: %s", what, err.message);
                if (net_run(what, &exact, &x, 0, again, &err) != OZ_OK)
                    fail_msg("%s: %s", what, err.message);
                for (uint32_t k = 0; k < net.graph.n_outputs; k++)
                    net_same_bits(what, &out[k], &again[k]);
                net_plans_clear(&exact);
                for (int64_t i = 0; i < x.n; i++) data[i] = -data[i];
            }
        }
        x = some_rows(data, ROWS + 1);
        if (net_run(what, &plans, &x, 1, out, &err) != OZ_MODEL || !strstr(err.message, "planned"))
            fail_msg("%s: takes a row more: %s", what, err.message);
        net_plans_clear(&plans);
        oz_net_clear(&net);
        oz_arena_clear(&arena);
        message_clear(&model);
    }
    assert_true(shared_bytes * 2 < apart_bytes); /* that there is something to see */
}

/* Thousands of values at a time are placed by another rule. */
static void crowds_are_placed_too(void **state)
{
    (void)state;
    enum { N = 1000, TIMES = 3, ALL = N * TIMES };
    static char outputs[N * 8], negated[ALL * 8], name[2][8];
    static float data[N];
    struct message g = {0};
    size_t end = 0;
    put_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, 1, (int64_t[]){N});
    for (int t = 0; t < TIMES; t++) {
        size_t at = 0;
        for (int i = t * N; i < (t + 1) * N; i++)
            at += (size_t)snprintf(outputs + at, sizeof outputs - at, at ? " a%d" : "a%d", i);
        put_node(&g, "Split", "x", outputs);
    }
    for (int i = 0; i < ALL; i++) {
        data[i % N] = (float)(i % N);
        end += (size_t)snprintf(negated + end, sizeof negated - end, i ? " b%d" : "b%d", i);
        snprintf(name[0], sizeof name[0], "a%d", i);
        snprintf(name[1], sizeof name[1], "b%d", i);
        put_node(&g, "Neg", name[0], name[1]);
    }
    struct message node = node_of("Concat", negated, "y");
    attr_int(&node, "axis", 0);
    put_part(&g, GRAPH_NODE, &node);
    put_ends(&g, GRAPH_OUTPUT, "y");
    struct message model = model_of(&g, 17);
    struct oz_net net;
    struct oz_arena arena;
    struct net_plans plans;
    struct oz_tensor x, y;
    oz_arena_init(&arena, 1 << 14);
    load("a crowd", model.data, model.n, &net);
    assert_int_equal(oz_tensor_shape(&x, OZ_DTYPE_F32, 1, (int64_t[]){N}, &err), OZ_OK);
    x.f32 = data;
    assert_int_equal(net_plans_init(&plans, &net, &x, &arena, &err), OZ_OK);
    if (net_run("a crowd", &plans, &x, 0x11, &y, &err) != OZ_OK) fail_msg("%s", err.message);
    for (int i = 0; i < ALL; i++) assert_true(y.f32[i] == -(float)(i % N));
    net_plans_clear(&plans);
    oz_net_clear(&net);
    oz_arena_clear(&arena);
    message_clear(&model);
}

/* ---- what is refused ---- */

/* A model of x float [N x 4] to y, planned for 8 rows of ones; then run with `n` rows of `v`. */
static void expect(const char *what, struct message *graph, int64_t n, float v, const char *at_load,
                   const char *at_run)
{
    static float data[32];
    struct message model = model_of(graph, 17);
    struct oz_net net;
    struct oz_arena arena;
    struct net_plans plans;
    struct oz_tensor x = some_rows(data, 8), out[NET_RUN_OUTPUTS_MAX];
    oz_arena_init(&arena, 1 << 14);
    oz_net_init(&net);
    enum oz_status status = oz_onnx_read(model.data, model.n, &net, &err);
    if (status == OZ_OK) status = oz_net_compile(&net, &err);
    if (status == OZ_OK) status = net_plans_init(&plans, &net, &x, &arena, &err);
    if (at_load && (status != OZ_MODEL || !strstr(err.message, at_load)))
        fail_msg("%s: %d %s, expected %s", what, status, err.message, at_load);
    if (!at_load) {
        if (status != OZ_OK) fail_msg("%s: %s", what, err.message);
        x.dim[0] = n, x.n = n * 4;
        for (int64_t i = 0; i < x.n; i++) data[i] = v;
        status = net_run(what, &plans, &x, 0xa5, out, &err);
        if (at_run ? status != OZ_MODEL || !strstr(err.message, at_run) : status != OZ_OK)
            fail_msg("%s: %d %s, expected %s", what, status, err.message, at_run);
        net_plans_clear(&plans);
    }
    oz_net_clear(&net);
    oz_arena_clear(&arena);
    message_clear(&model);
}

static struct message graph_of_x(void)
{
    struct message g = {0};
    put_value(&g, GRAPH_INPUT, "x", ONNX_FLOAT, 2, (int64_t[]){-1, 4});
    put_ends(&g, GRAPH_OUTPUT, "y");
    return g;
}

/* Whether a Cast copies follows from types: other data may not change them. */
static void types_stay_as_planned(void **state)
{
    (void)state;
    for (int by_data = 0; by_data < 2; by_data++) {
        struct message g = graph_of_x(), then = {0}, otherwise = {0};
        put_i64s(&g, "first", 1, (int64_t[]){0});
        put_i64s(&g, "four", 1, (int64_t[]){4});
        put_node(&g, "Shape", "x", "shape");
        put_node(&g, "Gather", "shape first", "n");
        put_node(&g, "Less", "n four", "c");
        struct message node = node_of("Cast", "x", "a");
        attr_int(&node, "to", ONNX_INT64);
        put_part(&then, GRAPH_NODE, &node);
        put_ends(&then, GRAPH_OUTPUT, "a");
        put_node(&otherwise, "Neg", "x", "b");
        put_ends(&otherwise, GRAPH_OUTPUT, "b");
        if (by_data) {
            put_node(&g, "IsNaN", "x", "nan");
            put_i64s(&g, "ends", 2, (int64_t[]){1, 1});
            put_i64s(&g, "starts", 2, (int64_t[]){0, 0});
            put_node(&g, "Slice", "nan starts ends", "d");
        }
        node = node_of("If", by_data ? "d" : "c", "z");
        attr_graph(&node, "then_branch", &then);
        attr_graph(&node, "else_branch", &otherwise);
        put_part(&g, GRAPH_NODE, &node);
        node = node_of("Cast", "z", "y");
        attr_int(&node, "to", ONNX_FLOAT);
        put_part(&g, GRAPH_NODE, &node);
        expect("branches of two types", &g, 2, 1,
               by_data ? "its branches make values of different type or rank" : NULL,
               "output 0 is int64 with these data, which was not planned");
    }
    for (int scan = 0; scan < 2; scan++) {
        struct message g = graph_of_x(), body = {0};
        put_i64(&g, "count", 3);
        put_ends(&body, GRAPH_INPUT, scan ? "s r" : "i c s");
        struct message node = node_of("Cast", "s", "t");
        attr_int(&node, "to", ONNX_INT64);
        put_part(&body, GRAPH_NODE, &node);
        put_ends(&body, GRAPH_OUTPUT, scan ? "t r" : "c t");
        node = scan ? node_of("Scan", "x x", "y z") : node_of("Loop", "count - x", "y");
        attr_graph(&node, "body", &body);
        if (scan) attr_int(&node, "num_scan_inputs", 1);
        put_part(&g, GRAPH_NODE, &node);
        expect("a state changes its type", &g, 8, 1,
               "its body makes int64 of loop-carried value 0, which is float", NULL);
    }
}

/* What a body stacks must be of one shape, also where the shape depends on data. */
static void stacks_are_of_one_shape(void **state)
{
    (void)state;
    for (int scan = 0; scan < 2; scan++)
        for (int v = 0; v < 2; v++) {
            struct message g = graph_of_x(), body = {0};
            put_i64(&g, "count", 3);
            put_ends(&body, GRAPH_INPUT, scan ? "s r" : "i c s");
            /* s becomes 0 in round 1: NonZero then finds nothing */
            put_node(&body, "Sub", "s x", "t");
            put_node(&body, "NonZero", "s", "found");
            put_ends(&body, GRAPH_OUTPUT, scan ? "t found" : "c t found");
            struct message node =
                scan ? node_of("Scan", "x x", "z y") : node_of("Loop", "count - x", "z y");
            attr_graph(&node, "body", &body);
            if (scan) attr_int(&node, "num_scan_inputs", 1);
            put_part(&g, GRAPH_NODE, &node);
            expect("stacked", &g, 8, (float)v, NULL,
                   v ? "what it stacks changes its shape from round to round" : NULL);
        }
}

static void rounds_end(void **state)
{
    (void)state;
    struct message g = graph_of_x(), body = {0};
    /* no node, and a condition that is only false for the rows that were planned */
    put_i64s(&g, "first", 1, (int64_t[]){0});
    put_i64s(&g, "four", 1, (int64_t[]){4});
    put_node(&g, "Shape", "x", "shape");
    put_node(&g, "Gather", "shape first", "n");
    put_node(&g, "Less", "n four", "c");
    put_ends(&body, GRAPH_INPUT, "i d s");
    put_ends(&body, GRAPH_OUTPUT, "c s");
    struct message node = node_of("Loop", "- - x", "y");
    attr_graph(&node, "body", &body);
    put_part(&g, GRAPH_NODE, &node);
    expect("an empty body", &g, 2, 1, NULL, "a run has more than 100000000 nodes");

    for (int stacks = 0; stacks < 2; stacks++) {
        g = graph_of_x();
        put_i64(&g, "none", 0);
        put_ends(&body, GRAPH_INPUT, "i c s");
        put_node(&body, "Neg", "s", "t");
        put_ends(&body, GRAPH_OUTPUT, stacks ? "c t t" : "c t");
        node = node_of("Loop", "none - x", stacks ? "z y" : "y");
        attr_graph(&node, "body", &body);
        put_part(&g, GRAPH_NODE, &node);
        expect("no round", &g, 2, 1, stacks ? "it runs no round" : NULL, NULL);
    }

    /* a scanned state that grows */
    g = graph_of_x();
    put_ends(&body, GRAPH_INPUT, "s r");
    node = node_of("Concat", "s x", "t");
    attr_int(&node, "axis", 0);
    put_part(&body, GRAPH_NODE, &node);
    put_ends(&body, GRAPH_OUTPUT, "t r");
    node = node_of("Scan", "x x", "y z");
    attr_graph(&node, "body", &body);
    attr_int(&node, "num_scan_inputs", 1);
    put_part(&g, GRAPH_NODE, &node);
    expect("a state that grows", &g, 8, 1, "its state 0 changes its shape from round to round",
           NULL);
}

static void inputs_are_of_the_planned_type(void **state)
{
    (void)state;
    struct message g = graph_of_x();
    put_node(&g, "Neg", "x", "y");
    struct message model = model_of(&g, 17);
    struct oz_net net;
    struct oz_arena arena;
    struct net_plans plans;
    float data[8];
    struct oz_tensor x = some_rows(data, 2), y;
    oz_arena_init(&arena, 1 << 14);
    load("a net", model.data, model.n, &net);
    assert_int_equal(net_plans_init(&plans, &net, &x, &arena, &err), OZ_OK);
    x.dtype = OZ_DTYPE_I32;
    assert_int_equal(net_run("a net", &plans, &x, 0, &y, &err), OZ_MODEL);
    assert_non_null(strstr(err.message, "input 0 is int32, which was not planned"));
    net_plans_clear(&plans);
    oz_net_clear(&net);
    oz_arena_clear(&arena);
    message_clear(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_give_what_onnx_runtime_gives),
        cmocka_unit_test(values_share_memory_unseen),
        cmocka_unit_test(crowds_are_placed_too),
        cmocka_unit_test(types_stay_as_planned),
        cmocka_unit_test(stacks_are_of_one_shape),
        cmocka_unit_test(rounds_end),
        cmocka_unit_test(inputs_are_of_the_planned_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
