/* Removing a folder with all that is in it: state of a demo, of a backfill, of a test.
 * Links are removed, never followed. Threads: any. */
#ifndef OZ_BASE_FOLDER_H
#define OZ_BASE_FOLDER_H
#include "base/base.h"

#ifdef __cplusplus
extern "C" {
#endif
/* As far as it can; a folder that is not there is fine. */
void oz_folder_remove(const char *path);
#ifdef __cplusplus
}
#endif
#endif
