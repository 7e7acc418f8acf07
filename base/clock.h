/* The two clocks, and a wall clock that tests and backfills can hold in their hand. */
#ifndef OZ_BASE_CLOCK_H
#define OZ_BASE_CLOCK_H
#include "base/base.h"

#define OZ_WALL_REAL INT64_MIN

#ifdef __cplusplus
extern "C" {
#endif
int64_t oz_monotonic_us(void); /* for intervals */
int64_t oz_wall_us(void);      /* microseconds since 1970, UTC */
int64_t oz_thread_cpu_us(void);
/* From now on oz_wall_us() answers `us`, for every thread; OZ_WALL_REAL lets the clock go again. */
void oz_wall_hold(int64_t us);
#ifdef __cplusplus
}
#endif
#endif
