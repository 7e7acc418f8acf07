/* Counts of durations in buckets of 2 % width, from 1 microsecond to 1 hour: percentiles without
 * keeping the values. Threads: one writer; readers may look at any time and see a recent state. */
#ifndef OZ_BASE_HISTOGRAM_H
#define OZ_BASE_HISTOGRAM_H
#include "base/base.h"

enum { OZ_HISTOGRAM_BUCKETS = 1280 };
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
int64_t oz_histogram_quantile(const struct oz_histogram *hist, double q); /* upper edge; 0 when empty */
#ifdef __cplusplus
}
#endif
#endif
