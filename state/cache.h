/* The decoded rows of one entity that one worker owns: a bounded write-back cache before the store.
 *
 *   fetch   the rows of a batch's keys; missing ones are read in one sorted multi-get, new ones made
 *   change  rows are worked on in place and said to be changed: they are the staged set
 *   seal    changed rows are encoded into a sealed set; from then on they are clean for the next epoch,
 *           but stay until the store has them (oz_cache_stored), so a read never goes behind the store
 *   drop    after an abort: every row that the store does not have as it is goes
 * A row that is not in this batch, not changed and in the store may be evicted, least recently used
 * first, when the pool is short.
 *
 * Layout: an open-addressing table of row numbers by the key's hash; a row is a head (links, key,
 * epochs) in front of the kind's row_bytes, at a stable address while it is cached.
 * Threads: one worker's; oz_cache_stored() may be called by any. */
#ifndef OZ_STATE_CACHE_H
#define OZ_STATE_CACHE_H
#include "state/row_kind.h"
#include "state/store.h"

struct oz_cache;

struct oz_key {
    const char *data; /* NULL: a null entity, its row is NULL */
    uint32_t len;
    uint32_t partition;
    uint64_t hash; /* oz_hash64 of the bytes */
};

struct oz_cache_stats {
    uint64_t hits, misses, created, evicted;
    uint64_t rows;         /* now */
    uint64_t changed_rows; /* now, of the current epoch */
    uint64_t pinned_rows;  /* now: not evictable, as the store does not have them */
};

/* The pool is shared by the caches of one worker; each evicts its own rows. */
enum oz_status oz_cache_new(const struct oz_row_kind *kind, uint8_t entity, struct oz_pool *pool,
                            struct oz_store *store, struct oz_cache **ret_cache,
                            struct oz_error *err) OZ_MUST_USE;
void oz_cache_free(struct oz_cache *cache);

/* Rows of keys[0, n) in the same order; equal keys give the same row. Rows are safe from eviction until
 * the next fetch. OZ_CORRUPT: a stored row is damaged (the message has entity and key). */
enum oz_status oz_cache_fetch(struct oz_cache *cache, const struct oz_key *key, size_t n,
                              void **ret_row, struct oz_error *err) OZ_MUST_USE;
struct oz_row_io *oz_cache_io(struct oz_cache *cache, void *row); /* valid until the next call */
void oz_cache_change(struct oz_cache *cache, void *row); /* idempotent within an epoch */
/* Encodes every changed row, then the next epoch begins. */
enum oz_status oz_cache_seal(struct oz_cache *cache, struct oz_sealed *sealed,
                             struct oz_error *err) OZ_MUST_USE;
void oz_cache_set_epoch(struct oz_cache *cache, uint64_t epoch); /* at start */
uint64_t oz_cache_epoch(const struct oz_cache *cache);
void oz_cache_stored(struct oz_cache *cache, uint64_t epoch);
void oz_cache_drop(struct oz_cache *cache);
/* True when changed and unstored rows take so much of the pool that the epoch should be sealed and
 * stored now. */
bool oz_cache_wants_seal(const struct oz_cache *cache);
void oz_cache_get_stats(const struct oz_cache *cache, struct oz_cache_stats *ret_stats);
#endif
