/* Preloaded into a process whose disk a test wants to be short where it may not mount one: statvfs
 * says what stands in the file $OUZEL_TEST_FREE, "<size> <free>" in MiB. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>

int statvfs(const char *path, struct statvfs *fs)
{
    int (*next)(const char *, struct statvfs *) =
        (int (*)(const char *, struct statvfs *))dlsym(RTLD_NEXT, "statvfs");
    int result = next(path, fs);
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
