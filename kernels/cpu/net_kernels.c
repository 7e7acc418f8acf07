#include "kernels/cpu/net_kernels.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define OZ_NET_KERNEL(type, name, parameters) .name = oz_##name##__scalar,
static const struct oz_net_kernels scalar = {
    .isa = "scalar",
#include "kernels/cpu/net_kernels.def"
};
#undef OZ_NET_KERNEL

#ifdef __x86_64__
#define OZ_NET_KERNEL(type, name, parameters) .name = oz_##name##__avx2,
static const struct oz_net_kernels avx2 = {
    .isa = "avx2",
#include "kernels/cpu/net_kernels.def"
};
#undef OZ_NET_KERNEL
#define OZ_NET_KERNEL(type, name, parameters) .name = oz_##name##__avx512,
static const struct oz_net_kernels avx512 = {
    .isa = "avx512",
#include "kernels/cpu/net_kernels.def"
};
#undef OZ_NET_KERNEL
#endif

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const struct oz_net_kernels *usable[4], *chosen;
static const char *reason;

/* __builtin_cpu_supports() also asks whether the system saves these registers. */
static void choose(void)
{
    size_t n = 0;
    usable[n++] = &scalar;
#ifdef __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        usable[n++] = &avx2;
        if (__builtin_cpu_supports("avx512f")) usable[n++] = &avx512;
    }
#endif
    chosen = usable[n - 1];
    reason = "the best of this machine";
    const char *wanted = getenv("OUZEL_KERNELS");
    if (!wanted || !*wanted) return;
    for (size_t i = 0; i < n; i++)
        if (!strcmp(wanted, usable[i]->isa)) {
            chosen = usable[i];
            reason = "OUZEL_KERNELS";
            return;
        }
    bool is_known = !strcmp(wanted, "avx2") || !strcmp(wanted, "avx512");
    reason = is_known ? "the best of this machine: it cannot run what OUZEL_KERNELS asks for"
                      : "the best of this machine: OUZEL_KERNELS is none of scalar, avx2, avx512";
}

const struct oz_net_kernels *oz_net_kernels(void)
{
    pthread_once(&once, choose);
    return chosen;
}

const char *oz_net_kernels_reason(void)
{
    pthread_once(&once, choose);
    return reason;
}

const struct oz_net_kernels *oz_net_kernels_at(size_t i)
{
    pthread_once(&once, choose);
    return i < OZ_COUNT_OF(usable) ? usable[i] : NULL;
}
