#include "features/bag.h"
#include <string.h>

enum { CAP_MIN = 16 };
#define NO_KEY UINT64_MAX
enum { SLOT_BYTES = sizeof(uint64_t) + sizeof(uint32_t) };

void oz_bag_clear(struct oz_bag *bag, struct oz_pool *pool)
{
    oz_pool_put(pool, bag->key, (size_t)bag->cap * SLOT_BYTES);
    *bag = (struct oz_bag){0};
}

void oz_bag_empty(struct oz_bag *bag)
{
    if (bag->used) {
        memset(bag->key, 0xff, (size_t)bag->cap * sizeof *bag->key);
        memset(bag->count, 0, (size_t)bag->cap * sizeof *bag->count);
    }
    bag->used = bag->distinct = 0;
}

static uint32_t slot_of(const struct oz_bag *bag, uint64_t key)
{
    uint32_t mask = bag->cap - 1;
    uint32_t i = (uint32_t)((key ^ key >> 29) * 0x9E3779B97F4A7C15u >> 32) & mask;
    while (bag->key[i] != key && bag->key[i] != NO_KEY) i = (i + 1) & mask;
    return i;
}

/* Room for one more; what fell to 0 is dropped on the way. */
static OZ_COLD enum oz_status make_room(struct oz_bag *bag, struct oz_pool *pool,
                                        struct oz_error *err)
{
    struct oz_bag old = *bag;
    uint32_t cap = CAP_MIN;
    while (cap < (bag->distinct + 1) * 3) cap *= 2;
    uint64_t *key = oz_pool_get(pool, (size_t)cap * SLOT_BYTES, NULL);
    if (!key) return oz_no_memory(err);
    bag->key = key;
    bag->count = (uint32_t *)(key + cap);
    bag->cap = cap;
    memset(bag->key, 0xff, (size_t)cap * sizeof *bag->key);
    memset(bag->count, 0, (size_t)cap * sizeof *bag->count);
    for (uint32_t i = 0; i < old.cap; i++) {
        if (!old.count[i]) continue;
        uint32_t to = slot_of(bag, old.key[i]);
        bag->key[to] = old.key[i];
        bag->count[to] = old.count[i];
    }
    bag->used = bag->distinct;
    oz_pool_put(pool, old.key, (size_t)old.cap * SLOT_BYTES);
    return OZ_OK;
}

enum oz_status oz_bag_add(struct oz_bag *bag, struct oz_pool *pool, uint64_t key,
                          struct oz_error *err)
{
    if (key == NO_KEY) return OZ_OK;
    if (OZ_UNLIKELY((bag->used + 1) * 3 > bag->cap * 2)) OZ_TRY(make_room(bag, pool, err));
    uint32_t i = slot_of(bag, key);
    bag->used += bag->key[i] == NO_KEY;
    bag->key[i] = key;
    bag->distinct += bag->count[i]++ == 0;
    return OZ_OK;
}

void oz_bag_remove(struct oz_bag *bag, uint64_t key)
{
    if (key == NO_KEY || !bag->cap) return;
    uint32_t i = slot_of(bag, key);
    if (bag->key[i] == NO_KEY || !bag->count[i]) return;
    bag->distinct -= --bag->count[i] == 0;
}
