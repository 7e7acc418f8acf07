/* Threads that run one function together and wait for each other: fork and join, many times a
 * second. A run allocates nothing.
 * Layout: worker 0 is the caller's own thread; the others are helpers named ouzel-w<i>. A helper
 * spins for about 20 microseconds after a run, then sleeps until the next one.
 * Threads: one caller at a time, and no run inside a run. Helpers block all signals but those of
 * their own faults.
 * Ownership: `ctx` is borrowed for the run.
 * Limits: OZ_WORKERS_MAX. */
#ifndef OZ_BASE_WORKERS_H
#define OZ_BASE_WORKERS_H
#include "base/status.h"

enum { OZ_WORKERS_MAX = 256 };
struct oz_workers;

#ifdef __cplusplus
extern "C" {
#endif
/* n counts the caller's thread too: from 1 to OZ_WORKERS_MAX. */
enum oz_status oz_workers_new(unsigned n, struct oz_workers **ret_workers,
                              struct oz_error *err) OZ_MUST_USE;
void oz_workers_free(struct oz_workers *workers); /* ends the helpers; NULL is fine */
unsigned oz_workers_count(const struct oz_workers *workers);
/* Calls fn(ctx, worker) once for every worker 0 to n - 1, all at the same time; returns after the
 * last. What the caller wrote before is seen by all, what they wrote is seen by the caller. */
void oz_workers_run(struct oz_workers *workers, void (*fn)(void *ctx, unsigned worker), void *ctx);
#ifdef __cplusplus
}
#endif
#endif
