#include "base/memory.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A larger block is a computation gone wrong; sanitizers then answer as the plain heap does. */
#define BLOCK_BYTES_MAX ((size_t)1 << 40)

static _Atomic uint64_t n_calls;
static _Atomic uint64_t fail_in; /* 0: never; 1: the next call */

/* Counts the call; false when the call has to fail. */
static bool admit(size_t n_bytes)
{
    atomic_fetch_add_explicit(&n_calls, 1, memory_order_relaxed);
    if (OZ_UNLIKELY(atomic_load_explicit(&fail_in, memory_order_relaxed) != 0)) {
        uint64_t left = atomic_load_explicit(&fail_in, memory_order_relaxed);
        while (left && !atomic_compare_exchange_weak_explicit(
                           &fail_in, &left, left - 1, memory_order_relaxed, memory_order_relaxed))
            ;
        if (left == 1) return false;
    }
    return n_bytes <= BLOCK_BYTES_MAX;
}

void *oz_malloc(size_t n_bytes) { return admit(n_bytes) ? malloc(n_bytes ? n_bytes : 1) : NULL; }

void *oz_calloc(size_t n, size_t each_bytes)
{
    size_t n_bytes;
    if (__builtin_mul_overflow(n, each_bytes, &n_bytes)) n_bytes = SIZE_MAX;
    return admit(n_bytes) ? calloc(1, n_bytes ? n_bytes : 1) : NULL;
}

void *oz_realloc(void *p, size_t n_bytes)
{
    return admit(n_bytes) ? realloc(p, n_bytes ? n_bytes : 1) : NULL;
}

void oz_free(void *p) { free(p); }

char *oz_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = oz_malloc(n);
    return copy ? memcpy(copy, s, n) : NULL;
}

enum oz_status oz_grow(void **items, size_t *cap, size_t n, size_t each_bytes, struct oz_error *err)
{
    if (n <= *cap) return OZ_OK;
    size_t new_cap, n_bytes;
    if (__builtin_mul_overflow(*cap, 2, &new_cap) || new_cap < n) new_cap = n;
    new_cap = OZ_MAX(new_cap, 8);
    if (__builtin_mul_overflow(new_cap, each_bytes, &n_bytes)) return oz_no_memory(err);
    void *grown = oz_realloc(*items, n_bytes);
    if (!grown) return oz_no_memory(err);
    *items = grown, *cap = new_cap;
    return OZ_OK;
}

enum oz_status oz_no_memory(struct oz_error *err)
{
    return oz_error_set(err, OZ_NO_MEMORY,
                        "out of memory; give the process more, or lower state.memory");
}

uint64_t oz_allocations(void) { return atomic_load_explicit(&n_calls, memory_order_relaxed); }

void oz_fail_allocation(uint64_t n) { atomic_store_explicit(&fail_in, n, memory_order_relaxed); }
