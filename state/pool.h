/* The memory of the rows: one region of a fixed size, handed out in powers of two and merged again
 * when it comes back (a buddy allocator), so that a bound on state is a bound on bytes and the
 * batch path never calls the heap.
 * Layout: a region of whole blocks of OZ_POOL_BLOCK_MIN bytes, mapped at once and committed by the
 * system as it is touched; free blocks of each size in a list, and one byte a smallest block beside
 * the region.
 * Beyond the region the pool overdraws from the heap rather than fail a batch half-way; the cache
 * then evicts until nothing is overdrawn.
 * Threads: one; each worker has a pool of its own.
 * Ownership: what is given out is returned to the same pool, with the size it was asked for. */
#ifndef OZ_STATE_POOL_H
#define OZ_STATE_POOL_H
#include "base/memory.h"

enum { OZ_POOL_BLOCK_MIN = 64 };
struct oz_pool;

enum oz_status oz_pool_new(size_t region_bytes, struct oz_pool **ret_pool,
                           struct oz_error *err) OZ_MUST_USE;
void oz_pool_free(struct oz_pool *pool);
/* Not zeroed, aligned to 64; *ret_bytes (nullable) is what the block really holds, at least
 * n_bytes. NULL only when the heap is at its end too. */
void *oz_pool_get(struct oz_pool *pool, size_t n_bytes, size_t *ret_bytes);
void oz_pool_put(struct oz_pool *pool, void *block, size_t n_bytes); /* NULL is fine */
size_t oz_pool_used_bytes(const struct oz_pool *pool); /* in whole blocks, overdrawn ones too */
size_t oz_pool_region_bytes(const struct oz_pool *pool);
size_t oz_pool_overdrawn_bytes(const struct oz_pool *pool);
size_t oz_pool_largest_free_bytes(const struct oz_pool *pool); /* what still fits into the region */
#endif
