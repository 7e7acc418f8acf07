#include "pipelines/run/disk_guard.h"

#include <sys/statvfs.h>

#include "base/instant.h"
#include "base/log.h"

#define MIB 1048576.0

void oz_disk_guard_init(struct oz_disk_guard *guard, const char *dir,
                        const struct oz_space *min_free)
{
    *guard = (struct oz_disk_guard){.dir = dir, .min_free = *min_free, .next_us = INT64_MIN};
}

/* Doubles: a file system may be larger than its blocks times a million fit into 64 bits. */
static double limit_of(const struct oz_space *min_free, double size)
{
    return min_free->share_ppm ? size * min_free->share_ppm / 1e6 : (double)min_free->bytes;
}

static void say(struct oz_disk_guard *guard, double free, double limit, int64_t now_us)
{
    if (guard->is_short) {
        guard->since_us = now_us;
        oz_warn("paused: %.0f MiB are free in %s, and state.min_free is %.0f MiB; nothing is read "
                "until %.0f MiB are free, and nothing is lost: make room",
                free / MIB, guard->dir, limit / MIB, limit * 1.1 / MIB);
        return;
    }
    oz_info("going on: %.0f MiB are free in %s, after a pause of %.0f s", free / MIB, guard->dir,
            (double)(now_us - guard->since_us) / OZ_US_PER_SECOND);
}

bool oz_disk_guard_is_short(struct oz_disk_guard *guard, int64_t now_us)
{
    struct statvfs fs;
    if (now_us < guard->next_us) return guard->is_short;
    guard->next_us = now_us + OZ_DISK_CHECK_US;
    /* Who cannot be asked does not hold anybody up: the store has its own errors. */
    if (statvfs(guard->dir, &fs)) return guard->is_short;
    double free = (double)fs.f_bavail * (double)fs.f_frsize;
    double limit = limit_of(&guard->min_free, (double)fs.f_blocks * (double)fs.f_frsize);
    bool is_short = free < (guard->is_short ? limit * 1.1 : limit);
    if (is_short == guard->is_short) return is_short;
    guard->is_short = is_short;
    say(guard, free, limit, now_us);
    return is_short;
}
