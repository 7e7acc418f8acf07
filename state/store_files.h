/* RocksDB's list of its own files, seen from outside: whether it has changed, for who opens a store
 * that another process writes. The list is a log of its own (the manifest, which the file CURRENT
 * names): each flush and each compaction appends to it before a file is removed.
 * Errors: OZ_STATE when there is no list, as nothing was ever kept; OZ_IO with the system's words.
 */
#ifndef OZ_STATE_STORE_FILES_H
#define OZ_STATE_STORE_FILES_H
#include "base/memory.h"

struct oz_store_stamp {
    char manifest[64];
    int64_t bytes;
};

enum oz_status oz_store_stamp(const char *dir, struct oz_store_stamp *ret_stamp,
                              struct oz_error *err) OZ_MUST_USE;
bool oz_store_stamp_same(const struct oz_store_stamp *a, const struct oz_store_stamp *b);
void oz_store_stamp_wait(int tries); /* before the next try: longer each time, 50 ms at most */
/* What the files of the store's folder take on the disk, in bytes; those that go meanwhile count
 * nothing. */
uint64_t oz_store_disk_bytes(const char *dir);
#endif
