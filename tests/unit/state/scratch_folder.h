/* A folder for one test, under $TMPDIR or /tmp, and its removal; and a random generator that says
 * the same on every machine. */
#ifndef OZ_TESTS_UNIT_STATE_SCRATCH_FOLDER_H
#define OZ_TESTS_UNIT_STATE_SCRATCH_FOLDER_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/folder.h"

static inline void scratch_make(char path[256])
{
    const char *base = getenv("TMPDIR");
    snprintf(path, 256, "%s/ouzel-state-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(path)) abort();
}

static inline void scratch_remove(const char *path) { oz_folder_remove(path); }

static inline uint64_t next_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}
#endif
