#include "state/folder_lock.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_NAME "ouzel.lock"

static enum oz_status make_folders(const char *dir, struct oz_error *err)
{
    char path[PATH_MAX];
    size_t len = strlen(dir);
    if (len == 0 || len >= sizeof path - sizeof "/" LOCK_NAME)
        OZ_FAIL(err, OZ_CONFIG, "a path of %zu bytes is no state folder", len);
    for (size_t i = 1; i <= len; i++) {
        if (i < len && dir[i] != '/') continue;
        memcpy(path, dir, i);
        path[i] = '\0';
        if (mkdir(path, 0777) && errno != EEXIST && !(errno == EACCES || errno == EROFS))
            OZ_FAIL(err, OZ_ENVIRONMENT, "cannot make the state folder %s: %s", path,
                    strerror(errno));
    }
    return OZ_OK;
}

/* A folder with files in it and no lock of ours belongs to something else: a mistyped path. */
static enum oz_status refuse_foreign(const char *dir, struct oz_error *err)
{
    DIR *d = opendir(dir);
    if (!d)
        OZ_FAIL(err, OZ_ENVIRONMENT, "cannot read the state folder %s: %s", dir, strerror(errno));
    char foreign[NAME_MAX + 1] = "";
    for (struct dirent *entry; (entry = readdir(d));) {
        if (!strcmp(entry->d_name, LOCK_NAME)) {
            foreign[0] = '\0';
            break;
        }
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "lost+found"))
            snprintf(foreign, sizeof foreign, "%s", entry->d_name);
    }
    closedir(d);
    if (foreign[0])
        OZ_FAIL(err, OZ_STATE,
                "the folder %s is no state folder: it holds '%s' and no " LOCK_NAME
                "; give state.dir a folder of its own",
                dir, foreign);
    return OZ_OK;
}

enum oz_status oz_folder_check(const char *dir, struct oz_error *err)
{
    char path[PATH_MAX];
    OZ_TRY(refuse_foreign(dir, err));
    int n = snprintf(path, sizeof path, "%s/" LOCK_NAME, dir);
    if (n < 0 || (size_t)n >= sizeof path || access(path, F_OK))
        OZ_FAIL(err, OZ_STATE, "the folder %s is empty: nothing was ever kept in it", dir);
    return OZ_OK;
}

static enum oz_status refuse_held(const char *dir, int fd, struct oz_error *err)
{
    char pid[32] = "";
    ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
    pid[n > 0 ? n : 0] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
    OZ_FAIL(err, OZ_STATE,
            "the state folder %s is in use by process %s; stop that one, or give this one a "
            "state.dir of its own",
            dir, pid[0] ? pid : "(unknown)");
}

enum oz_status oz_folder_lock(const char *dir, int *ret_fd, struct oz_error *err)
{
    OZ_TRY(make_folders(dir, err));
    OZ_TRY(refuse_foreign(dir, err));
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/" LOCK_NAME, dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) OZ_FAIL(err, OZ_ENVIRONMENT, "cannot open %s: %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        enum oz_status status =
            errno == EWOULDBLOCK
                ? refuse_held(dir, fd, err)
                : oz_error_set(err, OZ_IO, "cannot lock %s: %s", path, strerror(errno));
        close(fd);
        return status;
    }
    char pid[32];
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)n, 0) != n) {
        enum oz_status status =
            oz_error_set(err, OZ_IO, "cannot write %s: %s", path, strerror(errno));
        close(fd);
        return status;
    }
    *ret_fd = fd;
    return OZ_OK;
}

void oz_folder_unlock(int fd)
{
    if (fd >= 0) close(fd);
}
