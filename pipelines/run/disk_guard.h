/* `state.min_free`: whether the state folder's file system has room to go on. A store that meets a
 * full disk fails in the middle of things; a run that stops reading before that waits in peace.
 *
 * Rate: the file system is asked every OZ_DISK_CHECK_US at most. Once short, it is short until a
 * tenth more than the limit is free, so that a run does not flutter around it.
 * Says in the log when it becomes short and when it is over, once each. Threads: one. */
#ifndef OZ_PIPELINES_RUN_DISK_GUARD_H
#define OZ_PIPELINES_RUN_DISK_GUARD_H
#include "pipelines/config/pipeline.h"

#define OZ_DISK_CHECK_US 250000

struct oz_disk_guard {
    const char *dir; /* borrowed */
    struct oz_space min_free;
    int64_t next_us; /* of the next question */
    int64_t since_us;
    bool is_short;
};

void oz_disk_guard_init(struct oz_disk_guard *guard, const char *dir,
                        const struct oz_space *min_free);
/* `now_us` is monotonic. */
bool oz_disk_guard_is_short(struct oz_disk_guard *guard, int64_t now_us);
#endif
