/* A counted set of 64-bit values: how often each is in a window, and how many different ones are.
 * Layout: open addressing, keys and counts in one block of the row's pool. A value whose count fell
 * to 0 keeps its place until the set is made anew.
 * Ownership: the block goes back with oz_bag_clear(). UINT64_MAX is null and is never in. */
#ifndef OZ_FEATURES_BAG_H
#define OZ_FEATURES_BAG_H
#include "state/pool.h"

struct oz_bag {
    uint64_t *key; /* [cap], behind it the counts */
    uint32_t *count;
    uint32_t cap, used, distinct;
    uint64_t from, to; /* the events it holds, by ordinal; kept by who fills it */
};

void oz_bag_clear(struct oz_bag *bag, struct oz_pool *pool);
void oz_bag_empty(struct oz_bag *bag); /* keeps the block */
enum oz_status oz_bag_add(struct oz_bag *bag, struct oz_pool *pool, uint64_t key,
                          struct oz_error *err) OZ_MUST_USE;
void oz_bag_remove(struct oz_bag *bag, uint64_t key); /* one that is not in is left alone */
#endif
