/* What the tests of the kernels of nets share: every table that can be tested here, the AVX-512 one
 * built with SIMDe among them; numbers of all kinds; and comparison to the bit. */
#ifndef OZ_TESTS_UNIT_KERNELS_KERNEL_TABLES_H
#define OZ_TESTS_UNIT_KERNELS_KERNEL_TABLES_H
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/cpu/net_kernels.h"

#define OZ_NET_KERNEL(type, name, parameters) type oz_##name##__avx512_simde parameters;
#include "kernels/cpu/net_kernels.def"
#undef OZ_NET_KERNEL
#define OZ_NET_KERNEL(type, name, parameters) .name = oz_##name##__avx512_simde,
static const struct oz_net_kernels simde_table = {
    .isa = "avx512 by SIMDe",
#include "kernels/cpu/net_kernels.def"
};
#undef OZ_NET_KERNEL

/* Table i, the scalar one first, or NULL. */
static inline const struct oz_net_kernels *table_at(size_t i)
{
    const struct oz_net_kernels *table = oz_net_kernels_at(i);
    if (table) return table;
    bool is_next = i && oz_net_kernels_at(i - 1);
#ifdef __x86_64__
    is_next = is_next && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return is_next ? &simde_table : NULL;
}

static _Thread_local uint64_t random_state = 1;
static inline uint32_t random_u32(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 32);
}
static inline size_t random_below(size_t n) { return random_u32() % n; }
static inline float random_number(void)
{
    return (float)((int32_t)random_u32() >> 8) * (1.0f / (1 << 22)); /* -2 .. 2 */
}

/* Of all kinds when `any`: also zeros, the smallest, infinities and NaN; most are plain. */
static inline void random_fill(float *x, size_t n, bool any)
{
    static const float odd[] = {0.0f,  -0.0f,  1e-42f, -1e-42f, 1e30f,     -1e30f,
                                88.8f, -88.8f, 104.5f, -104.5f, INFINITY,  -INFINITY,
                                NAN,   1e-20f, 9.5f,   -9.5f,   0x1p-126f, 3.402823466e38f};
    for (size_t i = 0; i < n; i++)
        x[i] = any && random_below(97) == 0 ? odd[random_below(OZ_COUNT_OF(odd))] : random_number();
}

/* Memory of exactly this size, so that the address sanitizer and valgrind see one step too far. */
static inline float *floats(size_t n)
{
    float *p = malloc(n ? n * sizeof *p : 1);
    if (!p) abort();
    return p;
}
static inline float *random_floats(size_t n, bool any)
{
    float *p = floats(n);
    random_fill(p, n, any);
    return p;
}
static inline void *aligned_bytes(size_t n)
{
    void *p = aligned_alloc(64, (n + 64) / 64 * 64);
    if (!p) abort();
    return p;
}

static inline bool same_bits(float a, float b)
{
    return (a != a && b != b) || memcmp(&a, &b, sizeof a) == 0;
}
/* The first place where two arrays differ, or n. */
static inline size_t first_difference(const float *a, const float *b, size_t n)
{
    size_t i = 0;
    while (i < n && same_bits(a[i], b[i])) i++;
    return i;
}

/* Rounds of a random test; sanitizers ask for fewer. */
static inline size_t rounds_of(size_t usual)
{
    const char *seeds = getenv("OUZEL_SEEDS");
    size_t n = seeds ? (size_t)strtoul(seeds, NULL, 10) : usual;
    return OZ_MIN(n, usual);
}

static const float act_defaults[OZ_ACT_COUNT][2] = {
#define X(name, word, alpha, beta) {alpha, beta},
    OZ_ACT_MAP(X)
#undef X
};
static const char *const act_names[OZ_ACT_COUNT] = {
#define X(name, word, alpha, beta) #name,
    OZ_ACT_MAP(X)
#undef X
};
static inline struct oz_activation act_of(enum oz_act kind)
{
    return (struct oz_activation){kind, act_defaults[kind][0], act_defaults[kind][1]};
}
#endif
