/* Runs cases of the ONNX node suite and says what came of each: a folder with a model and, in
 * test_data_set_*, its inputs and the outputs that are expected.
 * How: the model is read, compiled, planned for the inputs' shapes (of small vectors the values
 * too, as they may be shapes) and run twice, the second time in memory full of other bytes; outputs
 * are compared by type, shape and value: integers and texts exactly, floats within
 * |got - expected| <= 1e-5 + RTOL * |expected|, and both runs with each other to the bit.
 *
 * Usage: run_onnx_cases [--rtol RTOL] FOLDER...   RTOL is 1e-5 when left out. Prints a line for
 * each folder: name, tab, pass | refused | wrong, tab, why. Exit 0 whatever came of them: judging
 * is check_suite.py's. */
#include <dirent.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "models/net/exec.h"
#include "models/onnx/onnx_reader.h"

#define ATOL 1e-5
enum { KNOWN_ELEMENTS_MAX = 64, PATH_BYTES = 2048, REASON_BYTES = 1024, ARGS_MAX = 256 };

static double rtol = 1e-5;

struct one_case {
    const char *folder;
    struct oz_net net;
    struct oz_arena arena;
    struct oz_tensor input[ARGS_MAX], expected[ARGS_MAX], got[ARGS_MAX];
    struct oz_net_plan plan;
    char reason[REASON_BYTES];
};

enum outcome { PASS, REFUSED, WRONG };

static uint8_t *read_all(const char *path, size_t *ret_n)
{
    struct stat st;
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    if (fstat(fileno(file), &st)) exit(2);
    uint8_t *bytes = malloc((size_t)st.st_size + 1);
    if (!bytes || fread(bytes, 1, (size_t)st.st_size, file) != (size_t)st.st_size) exit(2);
    fclose(file);
    *ret_n = (size_t)st.st_size;
    return bytes;
}

static enum outcome say(struct one_case *c, enum outcome outcome, const char *fmt, ...)
    OZ_PRINTF(3, 4);
static enum outcome say(struct one_case *c, enum outcome outcome, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->reason, sizeof c->reason, fmt, args);
    va_end(args);
    return outcome;
}

static enum outcome load(struct one_case *c)
{
    char path[PATH_BYTES];
    struct oz_error err = {0};
    size_t n;
    snprintf(path, sizeof path, "%s/model.onnx", c->folder);
    uint8_t *bytes = read_all(path, &n);
    if (!bytes) return say(c, WRONG, "no model.onnx");
    enum oz_status status = oz_onnx_read(bytes, n, &c->net, &err);
    if (status == OZ_OK) status = oz_net_compile(&c->net, &err);
    free(bytes);
    return status == OZ_OK ? PASS : say(c, REFUSED, "%s", err.message);
}

/* input_0.pb, ... or output_0.pb, ...; an empty file is one that is left out. */
static enum outcome read_tensors(struct one_case *c, const char *set, const char *kind,
                                 uint32_t n_tensors, struct oz_tensor *ret)
{
    for (uint32_t i = 0; i < n_tensors; i++) {
        char path[PATH_BYTES];
        struct oz_error err = {0};
        const char *name;
        size_t n;
        snprintf(path, sizeof path, "%s/%s/%s_%u.pb", c->folder, set, kind, i);
        uint8_t *bytes = read_all(path, &n);
        if (!bytes) return say(c, WRONG, "%s is missing", path);
        enum oz_status status = oz_onnx_read_tensor(bytes, n, &c->arena, &ret[i], &name, &err);
        free(bytes);
        if (status != OZ_OK) return say(c, REFUSED, "%s_%u: %s", kind, i, err.message);
    }
    return PASS;
}

static bool is_same_float(double got, double expected)
{
    if (isnan(expected) || isinf(expected)) return isnan(expected) ? isnan(got) : got == expected;
    return fabs(got - expected) <= ATOL + rtol * fabs(expected);
}

static bool is_same_element(const struct oz_tensor *got, const struct oz_tensor *expected,
                            int64_t i)
{
    size_t bytes = oz_dtype_bytes((enum oz_dtype)got->dtype);
    if (oz_dtype_is_float((enum oz_dtype)got->dtype))
        return is_same_float(oz_tensor_f64_at(got, i), oz_tensor_f64_at(expected, i));
    if (got->dtype == OZ_DTYPE_TEXT)
        return got->text[i].len == expected->text[i].len &&
               !memcmp(got->text[i].data, expected->text[i].data, got->text[i].len);
    return !memcmp(got->u8 + (size_t)i * bytes, expected->u8 + (size_t)i * bytes, bytes);
}

static enum outcome compare(struct one_case *c, uint32_t k)
{
    const struct oz_tensor *got = &c->got[k], *expected = &c->expected[k];
    const struct oz_tensor *planned = &c->plan.output[k];
    char a[OZ_TENSOR_WORDS_BYTES], b[OZ_TENSOR_WORDS_BYTES];
    if (got->dtype != expected->dtype || !oz_tensor_same_shape(got, expected))
        return say(c, WRONG, "output %u is %s, expected %s", k, oz_tensor_words(got, a),
                   oz_tensor_words(expected, b));
    if (!planned->loose && !oz_tensor_same_shape(got, planned))
        return say(c, WRONG, "output %u is %s, planned as %s", k, oz_tensor_words(got, a),
                   oz_tensor_words(planned, b));
    for (int64_t i = 0; i < got->n; i++) {
        if (is_same_element(got, expected, i)) continue;
        if (got->dtype == OZ_DTYPE_TEXT)
            return say(c, WRONG, "output %u[%lld] is another text", k, (long long)i);
        return say(c, WRONG, "output %u[%lld] is %.9g, expected %.9g", k, (long long)i,
                   oz_tensor_f64_at(got, i), oz_tensor_f64_at(expected, i));
    }
    return PASS;
}

static enum outcome run_set(struct one_case *c, const char *set)
{
    struct oz_error err = {0};
    struct oz_tensor planned[ARGS_MAX], again[ARGS_MAX];
    const struct oz_graph *graph = &c->net.graph;
    if (graph->n_inputs > ARGS_MAX || graph->n_outputs > ARGS_MAX)
        return say(c, WRONG, "too many inputs or outputs for this tool");
    enum outcome outcome = read_tensors(c, set, "input", graph->n_inputs, c->input);
    if (outcome == PASS) outcome = read_tensors(c, set, "output", graph->n_outputs, c->expected);
    if (outcome != PASS) return outcome;
    memcpy(planned, c->input, graph->n_inputs * sizeof *planned);
    for (uint32_t i = 0; i < graph->n_inputs; i++)
        if (planned[i].rank > 1 || planned[i].n > KNOWN_ELEMENTS_MAX) planned[i].data = NULL;
    if (oz_net_plan(&c->net, planned, &c->arena, &c->plan, &err) != OZ_OK)
        return say(c, REFUSED, "plan: %s", err.message);
    size_t n_bytes = (c->plan.memory_bytes + 63) & ~(size_t)63;
    void *memory = aligned_alloc(64, n_bytes), *other = aligned_alloc(64, n_bytes);
    if (!memory || !other) exit(2);
    memset(memory, 0, n_bytes);
    memset(other, 0xa5, n_bytes);
    if (oz_net_run(&c->plan, c->input, memory, c->got, &err) != OZ_OK ||
        oz_net_run(&c->plan, c->input, other, again, &err) != OZ_OK)
        outcome = say(c, WRONG, "run: %s", err.message);
    for (uint32_t k = 0; k < graph->n_outputs && outcome == PASS; k++) {
        outcome = compare(c, k);
        if (outcome == PASS && c->got[k].dtype != OZ_DTYPE_TEXT && c->got[k].n &&
            memcmp(c->got[k].data, again[k].data,
                   (size_t)c->got[k].n * oz_dtype_bytes((enum oz_dtype)c->got[k].dtype)))
            outcome = say(c, WRONG, "output %u depends on what was in memory", k);
    }
    free(memory);
    free(other);
    return outcome;
}

static enum outcome run_case(struct one_case *c)
{
    enum outcome outcome = load(c);
    int n_sets = 0;
    for (; outcome == PASS; n_sets++) {
        char set[64], path[PATH_BYTES];
        struct stat st;
        snprintf(set, sizeof set, "test_data_set_%d", n_sets);
        snprintf(path, sizeof path, "%s/%s", c->folder, set);
        if (stat(path, &st)) break;
        outcome = run_set(c, set);
    }
    return outcome == PASS && !n_sets ? say(c, WRONG, "no test_data_set_0") : outcome;
}

int main(int argc, char **argv)
{
    static const char *const words[] = {"pass", "refused", "wrong"};
    static struct one_case c;
    int first = 1;
    if (argc > 2 && !strcmp(argv[1], "--rtol")) rtol = atof(argv[2]), first = 3;
    for (int i = first; i < argc; i++) {
        memset(&c, 0, sizeof c);
        c.folder = argv[i];
        oz_net_init(&c.net);
        oz_arena_init(&c.arena, 1 << 14);
        enum outcome outcome = run_case(&c);
        const char *slash = strrchr(argv[i], '/');
        printf("%s\t%s\t%s\n", slash ? slash + 1 : argv[i], words[outcome], c.reason);
        fflush(stdout);
        oz_net_clear(&c.net);
        oz_arena_clear(&c.arena);
    }
    return 0;
}
