#include "state/damage.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NOTE_NAME "damaged"

static bool path_of(char to[PATH_MAX], const char *dir, const char *name)
{
    int n = snprintf(to, PATH_MAX, "%s/%s", dir, name);
    return n >= 0 && n < PATH_MAX;
}

void oz_damage_note(const char *dir, const char *why)
{
    char path[PATH_MAX];
    FILE *file = path_of(path, dir, NOTE_NAME) ? fopen(path, "we") : NULL;
    if (!file) return;
    fprintf(file, "%s\n", why);
    fclose(file);
}

bool oz_damage_noted(const char *dir, char ret_why[OZ_DAMAGE_WORDS])
{
    char path[PATH_MAX];
    FILE *file = path_of(path, dir, NOTE_NAME) ? fopen(path, "re") : NULL;
    if (!file) return false;
    ret_why[0] = '\0';
    if (!fgets(ret_why, OZ_DAMAGE_WORDS, file)) ret_why[0] = '\0';
    ret_why[strcspn(ret_why, "\n")] = '\0';
    fclose(file);
    return true;
}

static enum oz_status remove_one(const char *path, struct oz_error *err)
{
    if (!unlink(path) || errno == ENOENT) return OZ_OK;
    OZ_FAIL(err, OZ_IO, "cannot remove %s: %s", path, strerror(errno));
}

enum oz_status oz_damage_clear(const char *dir, struct oz_error *err)
{
    char rows[PATH_MAX], path[PATH_MAX];
    if (!path_of(rows, dir, "rows")) OZ_FAIL(err, OZ_CONFIG, "the path %s is too long", dir);
    enum oz_status status = OZ_OK;
    DIR *d = opendir(rows);
    if (!d && errno != ENOENT)
        OZ_FAIL(err, OZ_IO, "cannot read the folder %s: %s", rows, strerror(errno));
    /* RocksDB keeps plain files alone, in one level. */
    for (struct dirent *entry; d && status == OZ_OK && (entry = readdir(d));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
            path_of(path, rows, entry->d_name))
            status = remove_one(path, err);
    if (d) closedir(d);
    OZ_TRY(status);
    return path_of(path, dir, NOTE_NAME) ? remove_one(path, err) : OZ_OK;
}
