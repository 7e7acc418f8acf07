/* One process a state folder: an advisory lock on `ouzel.lock`, which the system lets go when the
 * holder ends, however it ends. The file stays; only the lock counts. Errors: OZ_STATE when another
 * holds it (the message has folder and pid) or when the folder holds files of something else; OZ_IO
 * when it cannot be made. */
#ifndef OZ_STATE_FOLDER_LOCK_H
#define OZ_STATE_FOLDER_LOCK_H
#include "base/memory.h"

/* Makes the folder and its parents when they are not there. */
enum oz_status oz_folder_lock(const char *dir, int *ret_fd, struct oz_error *err) OZ_MUST_USE;
/* For who only looks: whether the folder is there (else OZ_ENVIRONMENT) and ours (else OZ_STATE),
 * held by somebody or not. */
enum oz_status oz_folder_check(const char *dir, struct oz_error *err) OZ_MUST_USE;
void oz_folder_unlock(int fd); /* -1 is fine */
#endif
