#include "base/clock.h"
#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t held_us = OZ_WALL_REAL;

static int64_t read_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t oz_monotonic_us(void) { return read_us(CLOCK_MONOTONIC); }

int64_t oz_wall_us(void)
{
    int64_t us = atomic_load_explicit(&held_us, memory_order_relaxed);
    return OZ_LIKELY(us == OZ_WALL_REAL) ? read_us(CLOCK_REALTIME) : us;
}

int64_t oz_thread_cpu_us(void) { return read_us(CLOCK_THREAD_CPUTIME_ID); }

void oz_wall_hold(int64_t us) { atomic_store_explicit(&held_us, us, memory_order_relaxed); }
