/* Keys in the order of their bytes: the first sixteen as two numbers, so that most comparisons
 * touch nothing else. Equal keys stay in the order of their numbers. Threads: any. Ownership: the
 * tails are borrowed. */
#ifndef OZ_STATE_KEY_SORT_H
#define OZ_STATE_KEY_SORT_H
#include "base/base.h"

enum { OZ_SORT_PREFIX_BYTES = 16 };
struct oz_sort_key {
    uint64_t prefix[2];  /* big-endian, zeros behind a shorter key */
    const uint8_t *tail; /* what follows the prefix; NULL when nothing does */
    uint32_t len;        /* of the whole key */
    uint32_t number;     /* the caller's */
};

/* The key is head[0, head_len) followed by key[0, key_len); head_len <= OZ_SORT_PREFIX_BYTES. */
void oz_sort_key_set(struct oz_sort_key *entry, const uint8_t *head, size_t head_len,
                     const uint8_t *key, size_t key_len, uint32_t number);
bool oz_sort_key_same(const struct oz_sort_key *a, const struct oz_sort_key *b);
void oz_sort_keys(struct oz_sort_key *entry, size_t n);
#endif
