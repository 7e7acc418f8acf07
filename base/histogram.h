/* Counts of durations in buckets at most 1.6 % wide, from 1 microsecond to 1 hour: percentiles
 * without keeping the values.
 * Layout: every microsecond up to 127 has a bucket of its own; from there on each power of two is
 * divided into 64 of equal width. What is longer than an hour falls into the last bucket.
 * Threads: one writer; readers may look at any time and see a recent state. */
#ifndef OZ_BASE_HISTOGRAM_H
#define OZ_BASE_HISTOGRAM_H
#include "base/base.h"

enum { OZ_HISTOGRAM_BUCKETS = 1708 };
struct oz_histogram {
    uint64_t n, bucket[OZ_HISTOGRAM_BUCKETS];
    int64_t max_us;
};
#ifdef __cplusplus
extern "C" {
#endif
void oz_histogram_reset(struct oz_histogram *hist);
void oz_histogram_add(struct oz_histogram *hist, int64_t us);
void oz_histogram_merge(struct oz_histogram *hist, const struct oz_histogram *from);
/* The upper edge of the bucket that holds the quantile, never above max_us; 0 when empty. */
int64_t oz_histogram_quantile(const struct oz_histogram *hist, double q);
/* The longest duration that bucket i counts. */
int64_t oz_histogram_edge(unsigned i);
#ifdef __cplusplus
}
#endif
#endif
