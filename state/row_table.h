/* Where the cached rows of one cache are: by their key's hash, and by number.
 * Layout: an open-addressing table (linear probing, deletion by shifting back) of 8-byte entries, a
 * tag of the hash and a row number; and an array of pointers by number, the free numbers chained
 * through it. The table is at most half full and doubles; it grows without a look at the rows, as
 * the tag is enough to find an entry's new place. Both arrays are mapped and not taken from the
 * heap: they grow with the rows, which the pool bounds.
 * A row is one block: this head, the kind's row_bytes, the key if it does not fit into the head.
 * Threads: one. Ownership: the blocks are the cache's. */
#ifndef OZ_STATE_ROW_TABLE_H
#define OZ_STATE_ROW_TABLE_H
#include "base/memory.h"

enum { OZ_ROW_HEAD_BYTES = 64, OZ_ROW_INLINE_KEY_BYTES = 14 };
struct oz_row_head { /* one line of the CPU's cache, with a short key in it */
    uint64_t hash;
    uint64_t changed_epoch;          /* the newest epoch with a change; 0: as it was read or made */
    struct oz_row_head *prev, *next; /* among the pending rows */
    uint32_t batch;                  /* the newest fetch that asked for it, modulo 2^32 */
    uint32_t pool_blocks;            /* of OZ_POOL_BLOCK_MIN bytes, as far as was seen */
    uint32_t number;
    uint16_t partition, key_len;
    bool pending;    /* the store does not have it as it is */
    bool referenced; /* asked for since the clock's hand came by */
    char short_key[OZ_ROW_INLINE_KEY_BYTES];
};
_Static_assert(sizeof(struct oz_row_head) == OZ_ROW_HEAD_BYTES, "a row begins on its own line");

struct oz_row_entry {
    uint32_t tag, number_plus_1; /* 0: empty */
};

struct oz_row_table {
    struct oz_row_entry *entry;
    size_t n_entries; /* a power of two */
    unsigned shift;   /* home = tag >> shift */
    void **row;       /* [cap_numbers]: a head, or the next free number (times 2, plus 1) */
    size_t n_numbers, cap_numbers;
    size_t free_number; /* n_numbers: none is free in between */
    size_t n_rows;
    size_t row_bytes; /* of the kind: the key is behind them */
};

struct oz_row_key {
    const char *data;
    uint32_t len, partition;
    uint64_t hash;
};

enum oz_status oz_row_table_init(struct oz_row_table *table, size_t row_bytes,
                                 struct oz_error *err) OZ_MUST_USE;
void oz_row_table_clear(struct oz_row_table *table);
struct oz_row_head *oz_row_table_find(const struct oz_row_table *table,
                                      const struct oz_row_key *key);
/* Looks n keys up, several at a time so that the CPU waits for many cache lines at once; NULL where
 * there is none. */
void oz_row_table_find_many(const struct oz_row_table *table, const struct oz_row_key *key,
                            size_t n, struct oz_row_head **ret_head);
/* Gives the head a number; its key must not be in. */
enum oz_status oz_row_table_insert(struct oz_row_table *table, struct oz_row_head *head,
                                   struct oz_error *err) OZ_MUST_USE;
void oz_row_table_remove(struct oz_row_table *table, struct oz_row_head *head);
/* NULL: no row has this number, which is below n_numbers. */
static inline struct oz_row_head *oz_row_table_at(const struct oz_row_table *table, size_t number)
{
    void *p = table->row[number];
    return (uintptr_t)p & 1 ? NULL : p;
}
/* What a row's key takes behind the row. */
static inline size_t oz_row_key_bytes(size_t key_len)
{
    return key_len <= OZ_ROW_INLINE_KEY_BYTES ? 0 : key_len;
}
static inline char *oz_row_table_key(const struct oz_row_table *table, struct oz_row_head *head)
{
    return oz_row_key_bytes(head->key_len) ? (char *)head + OZ_ROW_HEAD_BYTES + table->row_bytes
                                           : head->short_key;
}
#endif
