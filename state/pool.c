#include "state/pool.h"
#include <string.h>
#include <sys/mman.h>

/* The textbook's buddy allocator (Knuth, volume 1, section 2.5), with one byte a smallest block
 * beside the region instead of a tag inside: what is given out is the caller's to the last byte.
 * Deviation: the region need not be a power of two. It is then several trees of falling size, one
 * for each bit that is set in its number of blocks. They need no bookkeeping: an aligned block that
 * lies inside the region as a whole lies inside one tree, so two buddies merge exactly when both
 * are inside. */
enum { ORDER_MAX = 40, OVERDRAFT_HEAD_BYTES = OZ_POOL_BLOCK_MIN };
#define HUGE_PAGES_FROM ((size_t)32 << 20)

struct free_block { /* at the beginning of a free block */
    struct free_block *prev, *next;
};

struct oz_pool {
    uint8_t *region;
    uint8_t *free_tag; /* [n_units]: 1 + the order of the free block that begins here, or 0 */
    size_t n_units;
    size_t used_bytes, overdrawn_bytes;
    uint64_t orders; /* bit o: a free block of that order exists */
    struct free_block *free[ORDER_MAX + 1];
};

static void push(struct oz_pool *pool, size_t unit, unsigned order)
{
    struct free_block *block = (void *)(pool->region + unit * OZ_POOL_BLOCK_MIN);
    block->prev = NULL;
    block->next = pool->free[order];
    if (block->next) block->next->prev = block;
    pool->free[order] = block;
    pool->orders |= UINT64_C(1) << order;
    pool->free_tag[unit] = (uint8_t)(order + 1);
}

static void unlink_block(struct oz_pool *pool, size_t unit, unsigned order)
{
    struct free_block *block = (void *)(pool->region + unit * OZ_POOL_BLOCK_MIN);
    if (block->next) block->next->prev = block->prev;
    if (block->prev)
        block->prev->next = block->next;
    else if (!(pool->free[order] = block->next))
        pool->orders &= ~(UINT64_C(1) << order);
    pool->free_tag[unit] = 0;
}

/* The tags need no filling: a fresh mapping is zero, which says "no free block begins here". */
static void plant_trees(struct oz_pool *pool)
{
    size_t unit = 0;
    for (unsigned order = ORDER_MAX + 1; order-- > 0;)
        if (pool->n_units >> order & 1) {
            push(pool, unit, order);
            unit += (size_t)1 << order;
        }
}

static void *map(size_t n_bytes)
{
    void *p = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return NULL;
    if (n_bytes >= HUGE_PAGES_FROM) madvise(p, n_bytes, MADV_HUGEPAGE);
    return p;
}

enum oz_status oz_pool_new(size_t region_bytes, struct oz_pool **ret_pool, struct oz_error *err)
{
    size_t n_units = region_bytes / OZ_POOL_BLOCK_MIN;
    if (n_units == 0 || n_units >> (ORDER_MAX + 1))
        OZ_FAIL(err, OZ_USAGE, "a pool of %zu bytes: give it at least %d bytes and at most 2^46",
                region_bytes, OZ_POOL_BLOCK_MIN);
    struct oz_pool *pool = oz_calloc(1, sizeof *pool);
    if (!pool) return oz_no_memory(err);
    pool->n_units = n_units;
    pool->region = map(n_units * OZ_POOL_BLOCK_MIN);
    pool->free_tag = map(n_units);
    if (!pool->region || !pool->free_tag) {
        oz_pool_free(pool);
        return oz_no_memory(err);
    }
    plant_trees(pool);
    *ret_pool = pool;
    return OZ_OK;
}

void oz_pool_free(struct oz_pool *pool)
{
    if (!pool) return;
    if (pool->region) munmap(pool->region, pool->n_units * OZ_POOL_BLOCK_MIN);
    if (pool->free_tag) munmap(pool->free_tag, pool->n_units);
    oz_free(pool);
}

static unsigned order_of(size_t n_bytes)
{
    size_t n_units = (OZ_MAX(n_bytes, (size_t)1) + OZ_POOL_BLOCK_MIN - 1) / OZ_POOL_BLOCK_MIN;
    return n_units <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(n_units - 1);
}

/* An overdrawn block is rounded to whole smallest blocks only; the heap's own pointer lies in
 * front. */
static size_t overdraft_bytes(size_t n_bytes)
{
    return (OZ_MAX(n_bytes, (size_t)1) + OZ_POOL_BLOCK_MIN - 1) & ~(size_t)(OZ_POOL_BLOCK_MIN - 1);
}

static OZ_COLD void *overdraw(struct oz_pool *pool, size_t n_bytes, size_t *ret_bytes)
{
    size_t size = overdraft_bytes(n_bytes);
    uint8_t *raw = oz_malloc(size + OVERDRAFT_HEAD_BYTES + OZ_POOL_BLOCK_MIN);
    if (!raw) return NULL;
    uintptr_t at = (uintptr_t)raw + OVERDRAFT_HEAD_BYTES + OZ_POOL_BLOCK_MIN - 1;
    uint8_t *block = (uint8_t *)(at & ~(uintptr_t)(OZ_POOL_BLOCK_MIN - 1));
    memcpy(block - sizeof raw, &raw, sizeof raw);
    pool->used_bytes += size;
    pool->overdrawn_bytes += size;
    if (ret_bytes) *ret_bytes = size;
    return block;
}

void *oz_pool_get(struct oz_pool *pool, size_t n_bytes, size_t *ret_bytes)
{
    if (OZ_UNLIKELY(n_bytes > SIZE_MAX / 4)) return NULL;
    unsigned order = order_of(n_bytes);
    uint64_t fitting = order <= ORDER_MAX ? pool->orders >> order << order : 0;
    if (OZ_UNLIKELY(!fitting)) return overdraw(pool, n_bytes, ret_bytes);
    unsigned from = (unsigned)__builtin_ctzll(fitting);
    uint8_t *block = (uint8_t *)pool->free[from];
    size_t unit = (size_t)(block - pool->region) / OZ_POOL_BLOCK_MIN;
    unlink_block(pool, unit, from);
    while (from > order) {
        from--;
        push(pool, unit + ((size_t)1 << from), from);
    }
    size_t size = (size_t)OZ_POOL_BLOCK_MIN << order;
    pool->used_bytes += size;
    if (ret_bytes) *ret_bytes = size;
    return block;
}

void oz_pool_put(struct oz_pool *pool, void *block, size_t n_bytes)
{
    if (!block) return;
    size_t at = (size_t)((uintptr_t)block - (uintptr_t)pool->region);
    if (OZ_UNLIKELY(at >= pool->n_units * OZ_POOL_BLOCK_MIN)) {
        void *raw;
        memcpy(&raw, (uint8_t *)block - sizeof raw, sizeof raw);
        size_t size = overdraft_bytes(n_bytes);
        OZ_ASSERT(pool->overdrawn_bytes >= size);
        pool->overdrawn_bytes -= size;
        pool->used_bytes -= size;
        oz_free(raw);
        return;
    }
    unsigned order = order_of(n_bytes);
    size_t unit = at / OZ_POOL_BLOCK_MIN;
    OZ_ASSERT(order <= ORDER_MAX && !(unit & (((size_t)1 << order) - 1)) &&
              pool->free_tag[unit] == 0);
    pool->used_bytes -= (size_t)OZ_POOL_BLOCK_MIN << order;
    for (; order < ORDER_MAX; order++) {
        size_t size = (size_t)1 << order, buddy = unit ^ size;
        if (buddy + size > pool->n_units || pool->free_tag[buddy] != order + 1) break;
        unlink_block(pool, buddy, order);
        unit &= ~size;
    }
    push(pool, unit, order);
}

size_t oz_pool_used_bytes(const struct oz_pool *pool) { return pool->used_bytes; }
size_t oz_pool_region_bytes(const struct oz_pool *pool)
{
    return pool->n_units * OZ_POOL_BLOCK_MIN;
}
size_t oz_pool_overdrawn_bytes(const struct oz_pool *pool) { return pool->overdrawn_bytes; }

size_t oz_pool_largest_free_bytes(const struct oz_pool *pool)
{
    if (!pool->orders) return 0;
    return (size_t)OZ_POOL_BLOCK_MIN << (63 - __builtin_clzll(pool->orders));
}
