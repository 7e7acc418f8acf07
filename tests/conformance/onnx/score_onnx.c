/* Scores rows with ONNX models, for scripts that compare the scores with somebody else's.
 * How: each folder has model.onnx and x.pb (a TensorProto, [rows x columns]); the model is read,
 * compiled and run over all rows at once, then over slices of 1, 7 and 64 rows, which must give the
 * same bits. Output k is written to got_k.bin: a line "dtype dim dim ...", then the elements as
 * they are; texts as lines.
 *
 * Usage: score_onnx FOLDER...   Prints a line for each: name, tab, ok | refused | wrong, tab, why
 * or the number of nodes that run. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "models/net/exec.h"
#include "models/onnx/onnx_reader.h"

enum { OUTPUTS_MAX = 16, PATH_BYTES = 2048 };

static void *read_file(const char *folder, const char *name, size_t *ret_n)
{
    char path[PATH_BYTES];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file || fstat(fileno(file), &st)) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(2);
    }
    void *bytes = malloc((size_t)st.st_size + 1);
    if (!bytes || fread(bytes, 1, (size_t)st.st_size, file) != (size_t)st.st_size) exit(2);
    fclose(file);
    *ret_n = (size_t)st.st_size;
    return bytes;
}

static void write_output(const char *folder, size_t k, const struct oz_tensor *tensor)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/got_%zu.bin", folder, k);
    FILE *file = fopen(path, "wb");
    if (!file) exit(2);
    fprintf(file, "%s", oz_dtype_word((enum oz_dtype)tensor->dtype));
    for (size_t d = 0; d < tensor->rank; d++) fprintf(file, " %lld", (long long)tensor->dim[d]);
    fputc('\n', file);
    if (tensor->dtype == OZ_DTYPE_TEXT)
        for (int64_t i = 0; i < tensor->n; i++)
            fprintf(file, "%.*s\n", (int)tensor->text[i].len, tensor->text[i].data);
    else
        fwrite(tensor->data, oz_dtype_bytes((enum oz_dtype)tensor->dtype), (size_t)tensor->n, file);
    fclose(file);
}

static enum oz_status plan_rows(const struct oz_net *net, const struct oz_tensor *x, int64_t n_rows,
                                struct oz_arena *arena, struct oz_net_plan *plan, void **memory,
                                struct oz_error *err)
{
    struct oz_tensor slice;
    int64_t dim[OZ_RANK_MAX];
    memcpy(dim, x->dim, sizeof dim);
    dim[0] = n_rows;
    OZ_TRY(oz_tensor_shape(&slice, (enum oz_dtype)x->dtype, x->rank, dim, err));
    OZ_TRY(oz_net_plan(net, &slice, arena, plan, err));
    *memory = aligned_alloc(64, (plan->memory_bytes + 127) / 64 * 64);
    if (!*memory) exit(2);
    memset(*memory, 0xA5, plan->memory_bytes);
    return OZ_OK;
}

static enum oz_status run_rows(const struct oz_net_plan *plan, const struct oz_tensor *x,
                               int64_t first, int64_t n_rows, void *memory,
                               struct oz_tensor *output, struct oz_error *err)
{
    struct oz_tensor slice = *x;
    int64_t row_elements = x->dim[0] ? x->n / x->dim[0] : 0;
    slice.dim[0] = n_rows;
    slice.n = n_rows * row_elements;
    slice.data = (uint8_t *)x->data +
                 (size_t)(first * row_elements) * oz_dtype_bytes((enum oz_dtype)x->dtype);
    return oz_net_run(plan, &slice, memory, output, err);
}

static bool is_same(const struct oz_tensor *part, const struct oz_tensor *whole, int64_t first)
{
    if (part->rank == 0 || whole->dim[0] == 0) return true;
    int64_t row_elements = whole->n / whole->dim[0];
    if (part->n != part->dim[0] * row_elements) return false;
    for (int64_t i = 0; i < part->n; i++) {
        int64_t j = first * row_elements + i;
        size_t n_bytes = oz_dtype_bytes((enum oz_dtype)part->dtype);
        if (part->dtype == OZ_DTYPE_TEXT
                ? part->text[i].len != whole->text[j].len ||
                      memcmp(part->text[i].data, whole->text[j].data, part->text[i].len) != 0
                : memcmp((uint8_t *)part->data + (size_t)i * n_bytes,
                         (uint8_t *)whole->data + (size_t)j * n_bytes, n_bytes) != 0)
            return false;
    }
    return true;
}

static enum oz_status score(const char *folder, struct oz_net *net, struct oz_arena *arena,
                            const char **ret_wrong, struct oz_error *err)
{
    size_t n_model, n_x;
    uint8_t *model = read_file(folder, "model.onnx", &n_model);
    uint8_t *bytes = read_file(folder, "x.pb", &n_x);
    struct oz_tensor x, whole[OUTPUTS_MAX], part[OUTPUTS_MAX];
    struct oz_net_plan plan;
    const char *name;
    void *memory, *part_memory;
    OZ_TRY(oz_onnx_read(model, n_model, net, err));
    free(model);
    OZ_TRY(oz_net_compile(net, err));
    OZ_TRY(oz_onnx_read_tensor(bytes, n_x, arena, &x, &name, err));
    free(bytes);
    if (net->graph.n_inputs != 1 || net->graph.n_outputs > OUTPUTS_MAX)
        OZ_FAIL(err, OZ_MODEL, "it has %u inputs and %u outputs", net->graph.n_inputs,
                net->graph.n_outputs);
    OZ_TRY(plan_rows(net, &x, x.dim[0], arena, &plan, &memory, err));
    OZ_TRY(run_rows(&plan, &x, 0, x.dim[0], memory, whole, err));
    for (size_t k = 0; k < net->graph.n_outputs; k++) write_output(folder, k, &whole[k]);
    static const int64_t slices[] = {1, 7, 64};
    for (size_t s = 0; s < OZ_COUNT_OF(slices); s++) {
        OZ_TRY(plan_rows(net, &x, slices[s], arena, &plan, &part_memory, err));
        for (int64_t first = 0; first < x.dim[0]; first += slices[s]) {
            int64_t n_rows = OZ_MIN(slices[s], x.dim[0] - first);
            OZ_TRY(run_rows(&plan, &x, first, n_rows, part_memory, part, err));
            for (size_t k = 0; k < net->graph.n_outputs; k++)
                if (!is_same(&part[k], &whole[k], first))
                    *ret_wrong = "a row's result depends on its batch";
        }
        free(part_memory);
    }
    free(memory);
    return OZ_OK;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct oz_error err = {0};
        struct oz_net net;
        struct oz_arena arena;
        const char *wrong = NULL;
        oz_net_init(&net);
        oz_arena_init(&arena, 1 << 16);
        const char *name = strrchr(argv[i], '/');
        if (score(argv[i], &net, &arena, &wrong, &err) != OZ_OK)
            printf("%s\trefused\t%s\n", name ? name + 1 : argv[i], err.message);
        else if (wrong)
            printf("%s\twrong\t%s\n", name ? name + 1 : argv[i], wrong);
        else
            printf("%s\tok\t%u nodes\n", name ? name + 1 : argv[i], net.n_nodes);
        fflush(stdout);
        oz_arena_clear(&arena);
        oz_net_clear(&net);
    }
    return 0;
}
