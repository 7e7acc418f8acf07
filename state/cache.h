/* The decoded rows of one entity that one worker owns: a bounded write-back cache before the store.
 *
 *   fetch   the rows of a batch's keys; missing ones are read in one sorted multi-get, new ones
 *           made
 *   change  rows are worked on in place and said to be changed: they are the staged set
 *   seal    changed rows are encoded into a sealed set; from then on they are clean for the next
 *           epoch, but stay until the store has them (oz_cache_stored), so a read never goes behind
 *           the store
 *   drop    after an abort: every row that the store does not have as it is goes. What is committed
 *           and not yet stored must be stored before, or it would be read as of before
 * A row that is not in this batch, not changed and in the store may be evicted when the pool is
 * short: a clock's hand goes round, and what was asked for since it last came by is passed once.
 *
 * Layout: an open-addressing table of row numbers by the key's hash; a row is a head (links,
 * epochs, a short key), the kind's row_bytes and a longer key, one block of the pool at a stable
 * address while it is cached.
 * Threads: one worker's; oz_cache_stored() may be called by any. */
#ifndef OZ_STATE_CACHE_H
#define OZ_STATE_CACHE_H
#include "state/row_kind.h"
#include "state/store.h"

struct oz_cache;

struct oz_key {
    const char *data; /* NULL, or len 0: a null entity, its row is NULL */
    uint32_t len;
    uint32_t partition;
    uint64_t hash; /* oz_hash64 of the bytes */
};

struct oz_cache_stats {
    uint64_t hits, misses, created, evicted;
    uint64_t rows;         /* now */
    uint64_t changed_rows; /* now, of the current epoch */
    uint64_t pinned_rows;  /* as of the last fetch: not evictable, the store lacks them */
};

/* The pool is shared by the caches of one worker; each evicts its own rows. */
enum oz_status oz_cache_new(const struct oz_row_kind *kind, uint8_t entity, struct oz_pool *pool,
                            struct oz_store *store, struct oz_cache **ret_cache,
                            struct oz_error *err) OZ_MUST_USE;
void oz_cache_free(struct oz_cache *cache);

/* Rows of keys[0, n) in the same order; equal keys give the same row. Rows are safe from eviction
 * until the next fetch. OZ_CORRUPT: a stored row is damaged (the message has entity and key);
 * OZ_RECORD: a key beyond OZ_ROW_KEY_BYTES_MAX, which whoever makes keys should have kept out.
 * Allocates from the heap only for a larger batch, or longer keys, than there ever was. */
enum oz_status oz_cache_fetch(struct oz_cache *cache, const struct oz_key *key, size_t n,
                              void **ret_row, struct oz_error *err) OZ_MUST_USE;
/* What the row is worked on with; valid until the next call. What the pool gives until the same
 * row's oz_cache_change() is counted as that row's. */
struct oz_row_io *oz_cache_io(struct oz_cache *cache, void *row);
/* After the work; idempotent within an epoch. */
void oz_cache_change(struct oz_cache *cache, void *row);
/* Encodes every changed row, in the order of their last change, then the next epoch begins. On
 * failure the epoch is for oz_cache_drop(). */
enum oz_status oz_cache_seal(struct oz_cache *cache, struct oz_sealed *sealed,
                             struct oz_error *err) OZ_MUST_USE;
/* At start, or after a drop: the store has everything before `epoch`, which begins. */
void oz_cache_set_epoch(struct oz_cache *cache, uint64_t epoch);
uint64_t oz_cache_epoch(const struct oz_cache *cache); /* the one that changes belong to; from 1 */
void oz_cache_stored(struct oz_cache *cache, uint64_t epoch); /* sealed epochs only */
void oz_cache_drop(struct oz_cache *cache);
/* The store got other rows of this partition: those in memory go. None of it may be pending. */
void oz_cache_forget(struct oz_cache *cache, uint32_t partition);
/* True when changed and unstored rows of this cache hold more than half of the pool's region, or
 * when the last fetch found the pool short and nothing to evict: seal and store now. As of the last
 * fetch. */
bool oz_cache_wants_seal(const struct oz_cache *cache);
void oz_cache_get_stats(const struct oz_cache *cache, struct oz_cache_stats *ret_stats);
#endif
