/* Measures nets beside whoever drives it: reads lines
 *     FILE SHAPE BATCH MILLISECONDS        (lstm.onnx 50x16 64 20), tabs between them
 * from standard input, runs the net for about so long on rows of random numbers, and answers each
 * with one line of samples, in microseconds per call:
 *     net A B C ... model A B C ...
 * `net` is models/net with tensors of floats, as another runtime would be called; `model` is the
 * public call of models/model.h, from columns of doubles to scores, as the engine makes it. A
 * sample is the thread's CPU time over as many calls as take some milliseconds. A file is loaded
 * and planned once for each batch. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "models/model.h"
#include "models/net/exec.h"
#include "models/onnx/onnx_reader.h"

enum { LINE_BYTES = 4096, FILE_BYTES_MAX = 64 << 20, SAMPLE_NS = 1500000, CALLS_MAX = 1 << 20 };

static uint64_t random_state = 88172645463325252u;
static double random_unit(void)
{
    random_state ^= random_state << 13, random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (double)(random_state >> 11) * 0x1p-53;
}

static double now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(enum oz_status status, const struct oz_error *err)
{
    if (status == OZ_OK) return;
    fprintf(stderr, "bench_nets: %s\n", err->message);
    exit(1);
}

static void *must_have(void *memory)
{
    if (memory) return memory;
    fprintf(stderr, "bench_nets: out of memory\n");
    exit(1);
}

/* Until the end of the program. */
static void *aligned(size_t n_bytes)
{
    enum { ALIGNMENT = 64 };
    uintptr_t at = (uintptr_t)must_have(oz_malloc(n_bytes + ALIGNMENT));
    return (void *)((at + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1));
}

/* One net with one batch. */
struct subject {
    char path[LINE_BYTES];
    size_t n_rows, n_features; /* of a row */
    struct oz_net net;
    struct oz_arena arena;
    struct oz_net_plan plan;
    struct oz_tensor input, output;
    void *memory, *scratch;
    struct oz_model *model;
    union oz_model_column *column;
    double *scores;
};

static uint8_t *read_all(const char *path, size_t *ret_n)
{
    FILE *file = fopen(path, "rb");
    if (!file) perror(path), exit(1);
    uint8_t *bytes = must_have(oz_malloc(FILE_BYTES_MAX));
    *ret_n = fread(bytes, 1, FILE_BYTES_MAX, file);
    fclose(file);
    return bytes;
}

/* Rows for both: floats by row, and the same numbers as columns of doubles. */
static void make_rows(struct subject *s)
{
    size_t n = s->n_rows * s->n_features;
    float *rows = must_have(oz_malloc(n * sizeof *rows));
    double *columns = must_have(oz_malloc(n * sizeof *columns));
    s->column = must_have(oz_malloc(s->n_features * sizeof *s->column));
    for (size_t r = 0; r < s->n_rows; r++)
        for (size_t f = 0; f < s->n_features; f++) {
            rows[r * s->n_features + f] = (float)(2 * random_unit() - 1);
            columns[f * s->n_rows + r] = (double)rows[r * s->n_features + f];
        }
    for (size_t f = 0; f < s->n_features; f++) s->column[f].f64 = columns + f * s->n_rows;
    s->input.f32 = rows;
}

static void open_net(struct subject *s, size_t rank, const int64_t *dim)
{
    struct oz_error err = {0};
    size_t n_bytes;
    uint8_t *bytes = read_all(s->path, &n_bytes);
    oz_net_init(&s->net);
    must(oz_onnx_read(bytes, n_bytes, &s->net, &err), &err);
    oz_free(bytes);
    must(oz_net_compile(&s->net, &err), &err);
    oz_arena_init(&s->arena, 1 << 16);
    must(oz_tensor_shape(&s->input, OZ_DTYPE_F32, rank, dim, &err), &err);
    must(oz_net_plan(&s->net, &s->input, &s->arena, &s->plan, &err), &err);
    s->memory = aligned(s->plan.memory_bytes);
}

static void open_model(struct subject *s)
{
    struct oz_error err = {0};
    must(oz_model_load(s->path, &s->model, &err), &err);
    const struct oz_model_info *info = oz_model_info(s->model);
    if (info->n_features != s->n_features) {
        fprintf(stderr, "bench_nets: %s has %u features, not %zu\n", s->path, info->n_features,
                s->n_features);
        exit(1);
    }
    s->scores = must_have(oz_malloc(s->n_rows * info->n_scores * sizeof *s->scores));
    s->scratch = aligned(oz_model_scratch_bytes(s->model, s->n_rows));
}

static void open_subject(struct subject *s, const char *path, const char *shape, size_t n_rows)
{
    int64_t dim[OZ_RANK_MAX] = {(int64_t)n_rows};
    size_t rank = 1;
    snprintf(s->path, sizeof s->path, "%s", path);
    s->n_rows = n_rows;
    s->n_features = 1;
    for (const char *at = shape; at && *at && rank < OZ_RANK_MAX; rank++) {
        dim[rank] = strtol(at, NULL, 10);
        s->n_features *= (size_t)dim[rank];
        at = strchr(at, 'x');
        if (at) at++;
    }
    open_net(s, rank, dim);
    make_rows(s);
    open_model(s);
}

static void run_net(struct subject *s)
{
    struct oz_error err = {0};
    must(oz_net_run(&s->plan, &s->input, s->memory, &s->output, &err), &err);
}

static void run_model(struct subject *s)
{
    if (oz_model_predict(s->model, s->column, s->n_rows, s->scratch, s->scores)) exit(1);
}

static double run_ns(struct subject *s, void (*run)(struct subject *), size_t n_calls)
{
    double start = now_ns(CLOCK_THREAD_CPUTIME_ID);
    for (size_t i = 0; i < n_calls; i++) run(s);
    return now_ns(CLOCK_THREAD_CPUTIME_ID) - start;
}

static void print_samples(struct subject *s, void (*run)(struct subject *), double for_ns)
{
    size_t n_calls = 1;
    while (n_calls < CALLS_MAX && run_ns(s, run, n_calls) < SAMPLE_NS) /* also warms up */
        n_calls *= 2;
    double start = now_ns(CLOCK_MONOTONIC);
    do printf(" %.4f", run_ns(s, run, n_calls) / (double)n_calls / 1000);
    while (now_ns(CLOCK_MONOTONIC) - start < for_ns);
}

int main(void)
{
    enum { SUBJECTS_MAX = 64 };
    static struct subject subjects[SUBJECTS_MAX];
    size_t n_subjects = 0, n_rows;
    char line[LINE_BYTES], path[LINE_BYTES], shape[64];
    double for_ms;
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%4095[^\t]\t%63s\t%zu\t%lf", path, shape, &n_rows, &for_ms) != 4)
            return 2;
        struct subject *s = subjects;
        while (s < subjects + n_subjects && (strcmp(s->path, path) || s->n_rows != n_rows)) s++;
        if (s == subjects + n_subjects) {
            if (n_subjects++ == SUBJECTS_MAX) return 2;
            open_subject(s, path, shape, n_rows);
        }
        printf("net");
        print_samples(s, run_net, for_ms * 1e6);
        printf(" model");
        print_samples(s, run_model, for_ms * 1e6);
        printf("\n");
        fflush(stdout);
    }
    return 0;
}
