/* Preloaded into a process whose disk a test wants to be short, full or broken where it may not
 * mount one of its own.
 *   $OUZEL_TEST_FREE  a file with "<size> <free>" in MiB: what statvfs says
 *   $OUZEL_TEST_DISK  a file with "<errno> <bytes>": after so many bytes, counted from when the
 *                     file is first seen, writes to files below a folder `rows` fail with it; the
 *                     last one before may be cut. No file: all is well. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define NEXT(type, name) ((type)dlsym(RTLD_NEXT, name))

int statvfs(const char *path, struct statvfs *fs)
{
    int result = NEXT(int (*)(const char *, struct statvfs *), "statvfs")(path, fs);
    const char *file = getenv("OUZEL_TEST_FREE");
    FILE *in = file ? fopen(file, "r") : NULL;
    unsigned long size, free;
    if (in && fscanf(in, "%lu %lu", &size, &free) == 2) {
        fs->f_frsize = 1 << 20;
        fs->f_blocks = size;
        fs->f_bavail = fs->f_bfree = free;
    }
    if (in) fclose(in);
    return result;
}

static _Atomic size_t n_written;

static int is_of_rows(int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n < 0 ? 0 : n] = '\0';
    return strstr(path, "/rows/") != NULL;
}

/* How much of a write is let through; 0 with errno set: none of it. */
static size_t admit(int fd, size_t n)
{
    const char *file = getenv("OUZEL_TEST_DISK");
    int before = errno, code;
    size_t limit;
    FILE *in = file && access(file, F_OK) == 0 && is_of_rows(fd) ? fopen(file, "r") : NULL;
    if (in && fscanf(in, "%d %zu", &code, &limit) == 2) {
        size_t at = atomic_fetch_add(&n_written, n);
        if (at >= limit)
            n = 0, before = code;
        else if (n > limit - at)
            n = limit - at;
    }
    if (in) fclose(in);
    errno = before;
    return n;
}

ssize_t write(int fd, const void *data, size_t n)
{
    size_t some = n ? admit(fd, n) : 0;
    if (n && !some) return -1;
    return NEXT(ssize_t(*)(int, const void *, size_t), "write")(fd, data, some);
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
    size_t some = n ? admit(fd, n) : 0;
    if (n && !some) return -1;
    return NEXT(ssize_t(*)(int, const void *, size_t, off_t), "pwrite")(fd, data, some, at);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off_t at) __attribute__((alias("pwrite")));
