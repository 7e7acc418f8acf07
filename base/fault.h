/* Named places where a test may kill the process, make a call fail, or hold it for a while.
 * OUZEL_FAULT="name[:nth][=kill|fail|skip|sleep_ms]" in the environment arms one or more, separated
 * by commas: the nth time the point is passed (1 when left out; `every` for each time), what
 * happens there (kill when left out). A process without the variable pays one predictable branch.
 * `skip` leaves the step behind the point out: it is how a test shows that it would notice.
 * "poison-record[:segv|bus|fpe|abrt|kill]=text" (segv when left out; no comma in the text) raises
 * that signal on the thread that is about to decode a record whose value has the text in it.
 * "no-memory:nth" fails that allocation of ours from here on (oz_fail_allocation()).
 * Threads: any once set up, which comes before the first thread. The list below is the whole list:
 * an unknown name is refused at start. */
#ifndef OZ_BASE_FAULT_H
#define OZ_BASE_FAULT_H
#include "base/status.h"

#define OZ_FAULT_MAP(X)                                                                            \
    X(BATCH_START, "batch-start")     /* step 1: before a batch is decoded */                      \
    X(BATCH_ROWS, "batch-rows")       /* step 1: rows changed, nothing produced */                 \
    X(BATCH_EMIT, "batch-emit")       /* step 1: some outputs produced */                          \
    X(SEAL_START, "seal-start")       /* step 2: before the changed parts are encoded */           \
    X(SEAL_PRODUCE, "seal-produce")   /* step 2: some changelog records produced */                \
    X(OFFSETS_START, "offsets-start") /* step 3: before the offsets are sent */                    \
    X(OFFSETS_SENT, "offsets-sent")   /* step 3: after */                                          \
    X(COMMIT_START, "commit-start")   /* step 4: before the commit */                              \
    X(COMMIT_DONE, "commit-done")     /* step 4: committed, not known to the store */              \
    X(STORE_START, "store-start")     /* step 5: before the write batch */                         \
    X(STORE_DONE, "store-done")       /* step 5: after */                                          \
    X(REPLAY_PART, "replay-part")     /* restart: in the middle of the changelog's tail */         \
    X(ABORT_START, "abort-start")     /* before an abort */

enum oz_fault {
#define X(name, text) OZ_FAULT_##name,
    OZ_FAULT_MAP(X)
#undef X
        OZ_FAULT_COUNT
};
enum oz_fault_effect { OZ_FAULT_NONE, OZ_FAULT_FAIL, OZ_FAULT_SKIP };

#ifdef __cplusplus
extern "C" {
#endif
extern bool oz_fault_armed; /* read-only for others */
/* NULL or "": none. */
enum oz_status oz_fault_setup(const char *spec, struct oz_error *err) OZ_MUST_USE;
enum oz_fault_effect oz_fault_slow(enum oz_fault fault);
const char *oz_fault_name(enum oz_fault fault);
void oz_fault_record_slow(const void *value, size_t len);
static inline void oz_fault_record(const void *value, size_t len)
{
    if (OZ_UNLIKELY(oz_fault_armed)) oz_fault_record_slow(value, len);
}
/* Kills or sleeps by itself; what the caller must do is returned. */
static inline enum oz_fault_effect oz_fault(enum oz_fault fault)
{
    return OZ_LIKELY(!oz_fault_armed) ? OZ_FAULT_NONE : oz_fault_slow(fault);
}
#ifdef __cplusplus
}
#endif
#endif
