#include "state/store_files.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_MS_MAX = 50, READS = 20 };

/* One look at the list's name and length. False: it was replaced in between, or errno says. */
static bool look(const char *dir, struct oz_store_stamp *ret_stamp)
{
    char path[PATH_MAX];
    struct stat st;
    memset(ret_stamp, 0, sizeof *ret_stamp);
    snprintf(path, sizeof path, "%s/rows/CURRENT", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = read(fd, ret_stamp->manifest, sizeof ret_stamp->manifest - 1);
    close(fd);
    if (n <= 0) return false;
    ret_stamp->manifest[strcspn(ret_stamp->manifest, "\n/")] = '\0';
    snprintf(path, sizeof path, "%s/rows/%s", dir, ret_stamp->manifest);
    if (stat(path, &st)) return false;
    ret_stamp->bytes = (int64_t)st.st_size;
    return true;
}

enum oz_status oz_store_stamp(const char *dir, struct oz_store_stamp *ret_stamp,
                              struct oz_error *err)
{
    if (strlen(dir) + sizeof ret_stamp->manifest + sizeof "/rows/" > PATH_MAX)
        OZ_FAIL(err, OZ_CONFIG, "the path of the state folder is too long: %s", dir);
    for (int i = 0; i < READS; i++) {
        errno = 0;
        if (look(dir, ret_stamp)) return OZ_OK;
        if (errno && errno != ENOENT) break;
        oz_store_stamp_wait(0);
    }
    if (errno && errno != ENOENT)
        OZ_FAIL(err, OZ_IO, "cannot read the state in %s: %s", dir, strerror(errno));
    OZ_FAIL(err, OZ_STATE, "the state folder %s holds no rows: nothing was ever kept in it", dir);
}

bool oz_store_stamp_same(const struct oz_store_stamp *a, const struct oz_store_stamp *b)
{
    return a->bytes == b->bytes && !strcmp(a->manifest, b->manifest);
}

void oz_store_stamp_wait(int tries)
{
    long ms = tries + 1 < WAIT_MS_MAX ? tries + 1 : WAIT_MS_MAX;
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

uint64_t oz_store_disk_bytes(const char *dir)
{
    char path[PATH_MAX];
    uint64_t bytes = 0;
    struct stat st;
    int n = snprintf(path, sizeof path, "%s/rows", dir);
    DIR *d = n > 0 && (size_t)n < sizeof path ? opendir(path) : NULL;
    if (!d) return 0;
    for (struct dirent *entry; (entry = readdir(d));)
        if (!fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode))
            bytes += (uint64_t)st.st_size;
    closedir(d);
    return bytes;
}
