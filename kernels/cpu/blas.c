#include "kernels/cpu/blas.h"
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/cpu/net_kernels.h"

/* cblas.h, whose enums are ints. */
typedef void sgemm_fn(int order, int turn_a, int turn_b, int m, int n, int k, float alpha,
                      const float *a, int lda, const float *b, int ldb, float beta, float *c,
                      int ldc);
enum { ROW_MAJOR = 101, AS_IT_IS = 111 };

/* From which sizes on it was faster than dense_f32_plain(): `narrow` is the smaller of n and k. */
static const struct core {
    const char *isa, *name;
    size_t rows_min, narrow_min, weights_min;
} cores[] = {
    {"avx2", "Haswell", 64, 64, (size_t)1 << 18},
    {"avx512", "SkylakeX", 64, 256, (size_t)1 << 20},
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const struct core *core;
static sgemm_fn *sgemm;

static void load(void)
{
    static const char *const names[] = {"OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS"};
    const struct core *mine = NULL;
    for (size_t i = 0; i < OZ_COUNT_OF(cores); i++)
        if (!strcmp(cores[i].isa, oz_net_kernels()->isa)) mine = &cores[i];
    if (!mine) return;
    /* What the user has set stays. */
    bool is_mine[OZ_COUNT_OF(names)];
    for (size_t i = 0; i < OZ_COUNT_OF(names); i++) {
        is_mine[i] = !getenv(names[i]);
        if (is_mine[i]) setenv(names[i], i ? "1" : mine->name, 1);
    }
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; i < OZ_COUNT_OF(names); i++)
        if (is_mine[i]) unsetenv(names[i]);
    if (!library) return;
    void *found = dlsym(library, "cblas_sgemm");
    if (!found) return;
    memcpy(&sgemm, &found, sizeof sgemm);
    core = mine;
}

void oz_blas_open(void) { pthread_once(&once, load); }

bool oz_blas_is_faster(size_t m, size_t n, size_t k)
{
    if (!core || m < core->rows_min || OZ_MIN(n, k) < core->narrow_min) return false;
    return OZ_MAX(m, OZ_MAX(n, k)) <= INT_MAX && n * k >= core->weights_min;
}

void oz_blas_f32_product(size_t m, size_t n, size_t k, const float *a, const float *b, float *c)
{
    sgemm(ROW_MAJOR, AS_IT_IS, AS_IT_IS, (int)m, (int)n, (int)k, 1, a, (int)k, b, (int)n, 0, c,
          (int)n);
}

const char *oz_blas_core(void) { return core ? core->name : ""; }
