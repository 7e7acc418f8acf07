/* What makes a folder of rows one that nobody trusts any more: a file that RocksDB cannot read, a
 * row whose checksum is off. It is noted beside the rows, so that the next start sees it, and
 * whoever has a whole changelog throws the rows away and rebuilds them.
 * Threads: one, under the folder's lock. Errors: OZ_IO with the system's words. */
#ifndef OZ_STATE_DAMAGE_H
#define OZ_STATE_DAMAGE_H
#include "base/memory.h"

enum { OZ_DAMAGE_WORDS = 400 };

void oz_damage_note(const char *dir, const char *why); /* as well as it can; why: one line */
/* Whether there is a note, and its words. */
bool oz_damage_noted(const char *dir, char ret_why[OZ_DAMAGE_WORDS]);
/* Removes the rows, then the note: what is interrupted is done again. */
enum oz_status oz_damage_clear(const char *dir, struct oz_error *err) OZ_MUST_USE;
#endif
