#include "base/histogram.h"
#include <string.h>

enum { SPLIT_BITS = 6, SPLIT = 1 << SPLIT_BITS };

/* A writer and its readers are different threads: each count is read and written whole. */
static inline uint64_t look(const uint64_t *count)
{
    return __atomic_load_n(count, __ATOMIC_RELAXED);
}

static inline void raise_by(uint64_t *count, uint64_t n)
{
    __atomic_store_n(count, *count + n, __ATOMIC_RELAXED);
}

static void raise_max(struct oz_histogram *hist, int64_t us)
{
    if (us > hist->max_us) __atomic_store_n(&hist->max_us, us, __ATOMIC_RELAXED);
}

/* A value keeps its leading one and the SPLIT_BITS bits behind it; the bits dropped choose the
 * group. */
static unsigned bucket_of(int64_t us)
{
    if (us < 2 * SPLIT) return us < 0 ? 0 : (unsigned)us;
    int dropped = 63 - __builtin_clzll((uint64_t)us) - SPLIT_BITS;
    uint64_t i = (uint64_t)dropped * SPLIT + ((uint64_t)us >> dropped);
    return i < OZ_HISTOGRAM_BUCKETS ? (unsigned)i : OZ_HISTOGRAM_BUCKETS - 1;
}

int64_t oz_histogram_edge(unsigned i)
{
    OZ_ASSERT(i < OZ_HISTOGRAM_BUCKETS);
    if (i < 2 * SPLIT) return i;
    unsigned dropped = i / SPLIT - 1;
    return (int64_t)((uint64_t)(i % SPLIT + SPLIT + 1) << dropped) - 1;
}

void oz_histogram_reset(struct oz_histogram *hist)
{
    __atomic_store_n(&hist->n, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&hist->max_us, 0, __ATOMIC_RELAXED);
    for (int i = 0; i < OZ_HISTOGRAM_BUCKETS; i++)
        __atomic_store_n(&hist->bucket[i], 0, __ATOMIC_RELAXED);
}

void oz_histogram_add(struct oz_histogram *hist, int64_t us)
{
    raise_max(hist, us);
    raise_by(&hist->bucket[bucket_of(us)], 1);
    raise_by(&hist->n, 1);
}

void oz_histogram_merge(struct oz_histogram *hist, const struct oz_histogram *from)
{
    uint64_t n = 0;
    for (int i = 0; i < OZ_HISTOGRAM_BUCKETS; i++) {
        uint64_t count = look(&from->bucket[i]);
        if (!count) continue;
        raise_by(&hist->bucket[i], count);
        n += count;
    }
    raise_max(hist, __atomic_load_n(&from->max_us, __ATOMIC_RELAXED));
    raise_by(&hist->n, n);
}

int64_t oz_histogram_quantile(const struct oz_histogram *hist, double q)
{
    uint64_t n = 0, seen = 0;
    for (int i = 0; i < OZ_HISTOGRAM_BUCKETS; i++) n += look(&hist->bucket[i]);
    if (!n) return 0;
    int64_t max_us = __atomic_load_n(&hist->max_us, __ATOMIC_RELAXED);
    double rank = q * (double)n;
    for (unsigned i = 0; i < OZ_HISTOGRAM_BUCKETS - 1; i++) {
        seen += look(&hist->bucket[i]);
        if (seen && (double)seen >= rank) return OZ_MIN(oz_histogram_edge(i), max_us);
    }
    return max_us;
}
