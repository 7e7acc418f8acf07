/* Proves that models/NETS.md tells the truth: the example that it works through is read, compiled,
 * planned and run here, and every line that it prints on the way must stand in the page. The
 * answers of ONNX Runtime for the example's two rows are below, from fixtures/make_nets_page.py.
 * To see what the page should say: test_nets_page print. */
#include <math.h>
#include "fixture_files.h"
#include "models/net/exec_state.h"
#include "models/onnx/onnx_reader.h"

static char *page;
static bool is_printing;
static struct oz_error err;

static void say(const char *line)
{
    if (is_printing)
        puts(line);
    else if (!strstr(page, line))
        fail_msg("models/NETS.md does not say \"%s\"", line);
}

static const char *name_of(const struct oz_net *net, uint32_t value)
{
    static char made[4][32];
    static size_t next;
    if (value == OZ_NO_VALUE) return "-";
    if (*net->value[value].name) return net->value[value].name;
    char *name = made[next++ % OZ_COUNT_OF(made)];
    snprintf(name, sizeof made[0], "v%u", value);
    return name;
}

static void say_nodes(const struct oz_net *net)
{
    for (uint32_t i = 0; i < net->graph.n_nodes; i++) {
        const struct oz_node *node = &net->graph.node[i];
        char line[256];
        size_t at = (size_t)snprintf(line, sizeof line, "%s %s(", oz_domain_word(node->op->domain),
                                     node->op->name);
        for (uint32_t k = 0; k < node->n_inputs; k++)
            at += (size_t)snprintf(line + at, sizeof line - at, "%s%s", k ? ", " : "",
                                   name_of(net, node->input[k]));
        snprintf(line + at, sizeof line - at, ") -> %s", name_of(net, node->output[0]));
        say(line);
    }
}

/* What the plan says of the values that the nodes make. */
static void say_plan(const struct oz_net_plan *plan)
{
    const struct oz_net *net = plan->net;
    uint64_t first = UINT64_MAX;
    for (uint32_t v = 0; v < net->n_values; v++)
        if (plan->cap_bytes[v]) first = OZ_MIN(first, plan->offset[v]);
    for (uint32_t i = 0; i < net->graph.n_nodes; i++) {
        uint32_t v = net->graph.node[i].output[0];
        char line[256];
        if (plan->cap_bytes[v])
            snprintf(line, sizeof line, "%-5s %4llu bytes at +%llu", name_of(net, v),
                     (unsigned long long)plan->cap_bytes[v],
                     (unsigned long long)(plan->offset[v] - first));
        else
            snprintf(line, sizeof line, "%-5s a view", name_of(net, v));
        say(line);
    }
    char line[64];
    snprintf(line, sizeof line, "values and scratch: %zu bytes", plan->value_bytes);
    say(line);
}

static void check_answers(const struct oz_net_plan *plan)
{
    static const float rows[2][1][6] = {{{0, .25f, .5f, .75f, .5f, .25f}},
                                        {{.25f, .25f, .25f, 0, 0, 0}}};
    static const float expected[2][8] = {
        {0, 0, 0.462117165f, 0.761594176f, 0.3583574f, 0.635149002f, 0.703905642f, 0.635149002f},
        {0.462117165f, 0.635149002f, 0.635149002f, 0.462117165f, 0.3583574f, 0.244918659f,
         0.124352999f, 0}};
    struct oz_tensor x, y;
    assert_int_equal(oz_tensor_shape(&x, OZ_DTYPE_F32, 3, (int64_t[]){2, 1, 6}, &err), OZ_OK);
    x.data = (void *)rows;
    void *memory = aligned_alloc(64, (plan->memory_bytes + 63) & ~(size_t)63);
    assert_non_null(memory);
    if (oz_net_run(plan, &x, memory, &y, &err) != OZ_OK) fail_msg("%s", err.message);
    assert_int_equal(y.rank, 2);
    assert_int_equal(y.dim[0], 2);
    assert_int_equal(y.dim[1], 8);
    for (int64_t i = 0; i < y.n; i++) assert_true(fabsf(y.f32[i] - (&expected[0][0])[i]) <= 1e-6f);
    for (int64_t r = 0; r < 2; r++) {
        char line[256];
        size_t at = 0;
        for (int64_t i = 0; i < 8; i++)
            at += (size_t)snprintf(line + at, sizeof line - at, "%s%.4f", i ? " " : "",
                                   (double)y.f32[r * 8 + i]);
        say(line);
    }
    free(memory);
}

static void the_page_is_true(void **state)
{
    (void)state;
    size_t n;
    char *bytes = fixture_read("nets_page.onnx", &n);
    struct oz_net net;
    struct oz_arena arena;
    struct oz_net_plan plan;
    struct oz_tensor x;
    oz_net_init(&net);
    oz_arena_init(&arena, 1 << 12);
    page = fixture_read("../../../../models/NETS.md", &(size_t){0});
    if (oz_onnx_read((const uint8_t *)bytes, n, &net, &err) != OZ_OK) fail_msg("%s", err.message);
    say_nodes(&net);
    if (oz_net_compile(&net, &err) != OZ_OK) fail_msg("%s", err.message);
    say_nodes(&net);
    assert_int_equal(oz_tensor_shape(&x, OZ_DTYPE_F32, 3, (int64_t[]){64, 1, 6}, &err), OZ_OK);
    if (oz_net_plan(&net, &x, &arena, &plan, &err) != OZ_OK) fail_msg("%s", err.message);
    say_plan(&plan);
    check_answers(&plan);
    free(bytes);
    free(page);
    oz_arena_clear(&arena);
    oz_net_clear(&net);
}

int main(int argc, char **argv)
{
    is_printing = argc > 1 && !strcmp(argv[1], "print");
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_page_is_true)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
