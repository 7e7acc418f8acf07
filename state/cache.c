#include "state/cache.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include "base/hash.h"
#include "state/row_table.h"

/* Which rows may go is decided by a clock (second chance): a hand goes round over the row numbers,
 * a row that was asked for since it last came by is passed once. Against a list in the order of use
 * this costs a hit one store into a line that it has read anyway, and no neighbours. Rows that the
 * store lacks are pending: they stand in a list in the order of their last change, so what a write
 * made clean is its beginning, and what the current epoch changed is its end. */
enum { RESERVE_SHARE = 8, AHEAD = 8, KEY_SHOWN_BYTES = 64 };

struct oz_cache {
    struct oz_row_io io; /* first: a row's read() gets its address back */
    struct oz_row_head *io_row;
    size_t io_used; /* the pool's, when the row was handed out */
    const struct oz_row_kind *kind;
    struct oz_pool *pool;
    struct oz_store *store;
    struct oz_store_reader *rows, *parts; /* main parts of a fetch; single parts for read() */
    struct oz_row_table table;
    uint64_t epoch;
    uint32_t batch;
    _Atomic uint64_t stored_epoch;
    struct oz_row_head *first, *last, *first_changed; /* the pending list */
    size_t n_pending, n_changed;
    int64_t pending_blocks; /* of OZ_POOL_BLOCK_MIN bytes */
    size_t n_batch_rows;    /* of this fetch and not pending: these may not go either */
    size_t hand;
    bool short_of_memory; /* the last fetch found nothing more to evict */
    uint8_t entity;
    uint64_t hits, misses, created, evicted;
    /* of a fetch; they keep their size */
    struct oz_row_key *key;
    struct oz_row_head **head;
    struct oz_row_head **loading;
    struct oz_bytes *store_key, *value;
    size_t cap_key, cap_head, cap_loading, cap_store_key, cap_value, n_loading;
    struct oz_buf key_bytes;
};

static enum oz_status read_part(struct oz_row_io *io, uint32_t part, const uint8_t **ret_payload,
                                size_t *ret_len, struct oz_error *err);

enum oz_status oz_cache_new(const struct oz_row_kind *kind, uint8_t entity, struct oz_pool *pool,
                            struct oz_store *store, struct oz_cache **ret_cache,
                            struct oz_error *err)
{
    enum oz_status status;
    struct oz_cache *cache = oz_calloc(1, sizeof *cache);
    if (!cache) return oz_no_memory(err);
    cache->kind = kind;
    cache->entity = entity;
    cache->pool = pool;
    cache->store = store;
    cache->epoch = 1;
    cache->io.pool = pool;
    cache->io.read = read_part;
    OZ_TRY_OUT(oz_row_table_init(&cache->table, kind->row_bytes, err));
    OZ_TRY_OUT(oz_store_reader_new(store, &cache->rows, err));
    OZ_TRY_OUT(oz_store_reader_new(store, &cache->parts, err));
    *ret_cache = cache;
    return OZ_OK;
out:
    oz_cache_free(cache);
    return status;
}

static void *row_of(struct oz_row_head *head) { return (char *)head + OZ_ROW_HEAD_BYTES; }
static struct oz_row_head *head_of(void *row) { return (void *)((char *)row - OZ_ROW_HEAD_BYTES); }

static size_t block_bytes(const struct oz_cache *cache, const struct oz_row_head *head)
{
    return OZ_ROW_HEAD_BYTES + cache->kind->row_bytes + oz_row_key_bytes(head->key_len);
}

static OZ_COLD void name_row(const struct oz_cache *cache, struct oz_row_head *head,
                             struct oz_error *err)
{
    char shown[KEY_SHOWN_BYTES + 1];
    const char *key = oz_row_table_key(&cache->table, head);
    size_t n = OZ_MIN(head->key_len, (uint16_t)KEY_SHOWN_BYTES);
    for (size_t i = 0; i < n; i++) shown[i] = key[i] >= ' ' && key[i] <= '~' ? key[i] : '?';
    shown[n] = '\0';
    oz_error_prefix(err, "the state in %s, entity %u, partition %u, key '%s'",
                    oz_store_dir(cache->store), cache->entity, head->partition, shown);
}

/* The pool's growth since `before` is the row's. It comes in whole blocks; less is negative,
 * modulo. */
static void account(struct oz_cache *cache, struct oz_row_head *head, size_t before)
{
    size_t used = oz_pool_used_bytes(cache->pool);
    uint32_t grown = (uint32_t)(used / OZ_POOL_BLOCK_MIN) - (uint32_t)(before / OZ_POOL_BLOCK_MIN);
    head->pool_blocks += grown;
    if (head->pending) cache->pending_blocks += (int32_t)grown;
}

static void pending_remove(struct oz_cache *cache, struct oz_row_head *head)
{
    if (head->prev)
        head->prev->next = head->next;
    else
        cache->first = head->next;
    if (head->next)
        head->next->prev = head->prev;
    else
        cache->last = head->prev;
    if (cache->first_changed == head) cache->first_changed = head->next;
    head->prev = head->next = NULL;
    head->pending = false;
    cache->n_pending--;
    cache->pending_blocks -= head->pool_blocks;
}

static void pending_append(struct oz_cache *cache, struct oz_row_head *head)
{
    head->prev = cache->last;
    head->next = NULL;
    if (cache->last)
        cache->last->next = head;
    else
        cache->first = head;
    cache->last = head;
    head->pending = true;
    cache->n_pending++;
    cache->pending_blocks += head->pool_blocks;
}

/* What the store has got since. Never a row of the current epoch, which is not even sealed. */
static uint64_t release_stored(struct oz_cache *cache)
{
    uint64_t stored = atomic_load_explicit(&cache->stored_epoch, memory_order_acquire);
    OZ_ASSERT(stored < cache->epoch);
    while (cache->first && cache->first->changed_epoch <= stored)
        pending_remove(cache, cache->first);
    return stored;
}

static void remove_row(struct oz_cache *cache, struct oz_row_head *head, bool is_loaded)
{
    if (head->pending) pending_remove(cache, head);
    oz_row_table_remove(&cache->table, head);
    if (is_loaded) cache->kind->clear(cache->kind->ctx, row_of(head), cache->pool);
    if (cache->io_row == head) cache->io_row = NULL;
    oz_pool_put(cache->pool, head, block_bytes(cache, head));
}

void oz_cache_free(struct oz_cache *cache)
{
    if (!cache) return;
    for (size_t i = 0; i < cache->table.n_numbers; i++) {
        struct oz_row_head *head = oz_row_table_at(&cache->table, i);
        if (head) remove_row(cache, head, true);
    }
    oz_row_table_clear(&cache->table);
    oz_store_reader_free(cache->rows);
    oz_store_reader_free(cache->parts);
    oz_free(cache->key);
    oz_free(cache->head);
    oz_free(cache->loading);
    oz_free(cache->store_key);
    oz_free(cache->value);
    oz_buf_clear(&cache->key_bytes);
    oz_free(cache);
}

/* An eighth of the region is left for what rows allocate while they are worked on. What is
 * overdrawn comes off too, so that region and overdraft together stay within the region's size in
 * the long run. */
static size_t used_bytes_wanted(const struct oz_cache *cache)
{
    size_t region = oz_pool_region_bytes(cache->pool);
    size_t wanted = region - region / RESERVE_SHARE;
    size_t overdrawn = oz_pool_overdrawn_bytes(cache->pool);
    return OZ_MAX(wanted - OZ_MIN(wanted, overdrawn), region / 2);
}

static void make_room(struct oz_cache *cache)
{
    struct oz_row_table *table = &cache->table;
    size_t wanted = used_bytes_wanted(cache), n_steps = 0;
    while (oz_pool_used_bytes(cache->pool) > wanted) {
        size_t n_kept = cache->n_pending + cache->n_batch_rows;
        if (table->n_rows <= n_kept || n_steps++ > 2 * table->n_numbers) {
            cache->short_of_memory = true;
            return;
        }
        if (cache->hand >= table->n_numbers) cache->hand = 0;
        if (cache->hand + AHEAD < table->n_numbers)
            __builtin_prefetch(table->row[cache->hand + AHEAD]);
        struct oz_row_head *head = oz_row_table_at(table, cache->hand++);
        if (!head || head->pending || head->batch == cache->batch) continue;
        if (head->referenced) {
            head->referenced = false;
            continue;
        }
        remove_row(cache, head, true);
        cache->evicted++;
    }
}

static void touch(struct oz_cache *cache, struct oz_row_head *head)
{
    head->referenced = true;
    if (head->batch == cache->batch) return;
    head->batch = cache->batch;
    if (!head->pending) cache->n_batch_rows++;
}

/* A row's block with head and key, in the table, but nothing of the kind's in it yet. */
static enum oz_status make_row(struct oz_cache *cache, const struct oz_row_key *key,
                               struct oz_row_head **ret_head, struct oz_error *err)
{
    OZ_ASSERT(key->partition < OZ_PARTITIONS_MAX);
    struct oz_row_head proto = {
        .hash = key->hash, .partition = (uint16_t)key->partition, .key_len = (uint16_t)key->len};
    size_t before = oz_pool_used_bytes(cache->pool);
    struct oz_row_head *head = oz_pool_get(cache->pool, block_bytes(cache, &proto), NULL);
    if (!head) return oz_no_memory(err);
    *head = proto;
    memcpy(oz_row_table_key(&cache->table, head), key->data, key->len);
    if (oz_row_table_insert(&cache->table, head, err)) {
        oz_pool_put(cache->pool, head, block_bytes(cache, &proto));
        return OZ_NO_MEMORY;
    }
    account(cache, head, before);
    touch(cache, head);
    head->referenced = false; /* until it is asked for again: rows that come once go first */
    *ret_head = head;
    return OZ_OK;
}

/* Makes the rows that are missing, once each, and asks the store for their main parts. */
static enum oz_status make_missing(struct oz_cache *cache, size_t n, struct oz_error *err)
{
    cache->n_loading = 0;
    oz_buf_reset(&cache->key_bytes);
    for (size_t i = 0; i < n; i++) {
        if (cache->head[i] || !cache->key[i].data) continue;
        if ((cache->head[i] = oz_row_table_find(&cache->table, &cache->key[i]))) {
            cache->hits++;
            continue;
        }
        make_room(cache);
        OZ_TRY(make_row(cache, &cache->key[i], &cache->head[i], err));
        cache->loading[cache->n_loading++] = cache->head[i];
        uint8_t *to = oz_buf_room(&cache->key_bytes, OZ_STORE_KEY_BYTES_MAX);
        if (!to) return oz_no_memory(err);
        size_t len = oz_store_key(to, cache->key[i].partition, cache->entity, cache->key[i].data,
                                  cache->key[i].len, OZ_PART_MAIN);
        cache->store_key[cache->n_loading - 1].len = len;
        cache->key_bytes.len += len;
    }
    const uint8_t *at = cache->key_bytes.data; /* which may have moved while it grew */
    for (size_t i = 0; i < cache->n_loading; at += cache->store_key[i++].len)
        cache->store_key[i].data = at;
    return oz_store_get_many(cache->rows, cache->store_key, cache->n_loading, cache->value, err);
}

static void set_io(struct oz_cache *cache, struct oz_row_head *head, uint64_t stored)
{
    cache->io.epoch = cache->epoch;
    cache->io.stored_epoch = stored;
    cache->io.layout = 0;
    cache->io_row = head;
    cache->io_used = oz_pool_used_bytes(cache->pool);
}

static enum oz_status load_row(struct oz_cache *cache, struct oz_row_head *head,
                               struct oz_bytes value, uint64_t stored, struct oz_error *err)
{
    const struct oz_row_kind *kind = cache->kind;
    set_io(cache, head, stored);
    if (!value.data) {
        OZ_TRY(kind->init(kind->ctx, row_of(head), &cache->io, err));
        cache->created++;
    } else {
        const uint8_t *payload;
        size_t len;
        OZ_TRY(oz_row_kind_open(kind, &cache->io, OZ_PART_MAIN, value.data, value.len, &payload,
                                &len, err));
        OZ_TRY(kind->decode(kind->ctx, row_of(head), &cache->io, payload, len, err));
    }
    account(cache, head, cache->io_used);
    return OZ_OK;
}

static enum oz_status load_missing(struct oz_cache *cache, size_t n, uint64_t stored,
                                   struct oz_error *err)
{
    size_t n_loaded = 0;
    enum oz_status status = make_missing(cache, n, err);
    for (; status == OZ_OK && n_loaded < cache->n_loading; n_loaded++) {
        struct oz_row_head *head = cache->loading[n_loaded];
        make_room(cache);
        status = load_row(cache, head, cache->value[n_loaded], stored, err);
        if (status != OZ_OK) {
            name_row(cache, head, err);
            break;
        }
    }
    cache->misses += cache->n_loading;
    for (size_t i = n_loaded; i < cache->n_loading; i++)
        remove_row(cache, cache->loading[i], false);
    cache->io_row = NULL;
    enum oz_status let_go = oz_store_get_many(cache->rows, NULL, 0, NULL, err);
    return status == OZ_OK ? let_go : status;
}

static enum oz_status scratch(struct oz_cache *cache, size_t n, struct oz_error *err)
{
    OZ_TRY(oz_grow((void **)&cache->key, &cache->cap_key, n, sizeof *cache->key, err));
    OZ_TRY(oz_grow((void **)&cache->head, &cache->cap_head, n, sizeof(void *), err));
    OZ_TRY(oz_grow((void **)&cache->loading, &cache->cap_loading, n, sizeof(void *), err));
    OZ_TRY(oz_grow((void **)&cache->store_key, &cache->cap_store_key, n, sizeof *cache->store_key,
                   err));
    return oz_grow((void **)&cache->value, &cache->cap_value, n, sizeof *cache->value, err);
}

/* An empty key is a null one. Their place in the batch is looked up like any other (under a hash of
 * its own, where no row ever is), as a branch less in the passes is worth more than the look-up. */
static enum oz_status take_keys(struct oz_cache *cache, const struct oz_key *key, size_t n,
                                struct oz_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (OZ_UNLIKELY(key[i].len > OZ_ROW_KEY_BYTES_MAX))
            OZ_FAIL(err, OZ_RECORD, "a key of %u bytes, at most %d are possible", key[i].len,
                    OZ_ROW_KEY_BYTES_MAX);
        bool is_null = !key[i].data || key[i].len == 0;
        cache->key[i] = (struct oz_row_key){.data = is_null ? NULL : key[i].data,
                                            .len = is_null ? 0 : key[i].len,
                                            .partition = key[i].partition,
                                            .hash = is_null ? 0 : key[i].hash};
    }
    return OZ_OK;
}

enum oz_status oz_cache_fetch(struct oz_cache *cache, const struct oz_key *key, size_t n,
                              void **ret_row, struct oz_error *err)
{
    OZ_TRY(scratch(cache, n, err));
    OZ_TRY(take_keys(cache, key, n, err));
    cache->batch++;
    cache->n_batch_rows = 0;
    cache->short_of_memory = false;
    cache->io_row = NULL;
    uint64_t stored = release_stored(cache);
    make_room(cache);
    oz_row_table_find_many(&cache->table, cache->key, n, cache->head);
    size_t n_missing = 0;
    for (size_t i = 0; i < n; i++) {
        if (cache->head[i])
            touch(cache, cache->head[i]), cache->hits++;
        else
            n_missing += cache->key[i].data != NULL;
    }
    if (n_missing) OZ_TRY(load_missing(cache, n, stored, err));
    for (size_t i = 0; i < n; i++) ret_row[i] = cache->head[i] ? row_of(cache->head[i]) : NULL;
    return OZ_OK;
}

static enum oz_status read_part(struct oz_row_io *io, uint32_t part, const uint8_t **ret_payload,
                                size_t *ret_len, struct oz_error *err)
{
    struct oz_cache *cache = (struct oz_cache *)io;
    struct oz_row_head *head = cache->io_row;
    OZ_ASSERT(head);
    uint8_t key[OZ_STORE_KEY_BYTES_MAX];
    struct oz_bytes store_key = {key, oz_store_key(key, head->partition, cache->entity,
                                                   oz_row_table_key(&cache->table, head),
                                                   head->key_len, part)};
    struct oz_bytes value;
    *ret_payload = NULL;
    *ret_len = 0;
    OZ_TRY(oz_store_get_many(cache->parts, &store_key, 1, &value, err));
    io->reads++;
    if (!value.data) return OZ_OK;
    io->read_bytes += value.len;
    enum oz_status status =
        oz_row_kind_open(cache->kind, io, part, value.data, value.len, ret_payload, ret_len, err);
    if (status == OZ_OK) return OZ_OK;
    oz_error_prefix(err, "part %u", part);
    name_row(cache, head, err);
    return status;
}

struct oz_row_io *oz_cache_io(struct oz_cache *cache, void *row)
{
    uint64_t stored = atomic_load_explicit(&cache->stored_epoch, memory_order_acquire);
    set_io(cache, head_of(row), stored);
    return &cache->io;
}

void oz_cache_change(struct oz_cache *cache, void *row)
{
    struct oz_row_head *head = head_of(row);
    if (cache->io_row == head) {
        account(cache, head, cache->io_used);
        cache->io_used = oz_pool_used_bytes(cache->pool);
    }
    if (head->changed_epoch == cache->epoch) return;
    if (head->pending) pending_remove(cache, head);
    head->changed_epoch = cache->epoch;
    pending_append(cache, head);
    if (!cache->first_changed) cache->first_changed = head;
    cache->n_changed++;
}

/* Changed rows lie anywhere. Encoding one takes longer than a line from memory, so two steps ahead
 * are enough: for the heads, which also say who is next, then for what they point at. */
static struct oz_row_head *prefetch_behind(const struct oz_cache *cache, struct oz_row_head *head)
{
    if (!head) return NULL;
    if (cache->kind->prefetch) cache->kind->prefetch(cache->kind->ctx, row_of(head));
    if (head->next)
        for (size_t at = 0; at < OZ_ROW_HEAD_BYTES + cache->kind->row_bytes; at += 64)
            __builtin_prefetch((const char *)head->next + at);
    return head->next;
}

enum oz_status oz_cache_seal(struct oz_cache *cache, struct oz_sealed *sealed, struct oz_error *err)
{
    const struct oz_row_kind *kind = cache->kind;
    struct oz_row_head *ahead = prefetch_behind(cache, cache->first_changed);
    uint64_t stored = atomic_load_explicit(&cache->stored_epoch, memory_order_acquire);
    for (struct oz_row_head *head = cache->first_changed; head; head = head->next) {
        ahead = prefetch_behind(cache, ahead);
        set_io(cache, head, stored);
        oz_sealed_row(sealed, cache->entity, head->partition, oz_row_table_key(&cache->table, head),
                      head->key_len, kind->layout);
        enum oz_status status = kind->encode(kind->ctx, row_of(head), &cache->io, sealed, err);
        if (status != OZ_OK) {
            name_row(cache, head, err);
            return status;
        }
        account(cache, head, cache->io_used);
    }
    cache->io_row = NULL;
    cache->first_changed = NULL;
    cache->n_changed = 0;
    cache->epoch++;
    return OZ_OK;
}

void oz_cache_set_epoch(struct oz_cache *cache, uint64_t epoch)
{
    OZ_ASSERT(epoch > 0 && !cache->first);
    cache->epoch = epoch;
    atomic_store_explicit(&cache->stored_epoch, epoch - 1, memory_order_release);
}

uint64_t oz_cache_epoch(const struct oz_cache *cache) { return cache->epoch; }

void oz_cache_stored(struct oz_cache *cache, uint64_t epoch)
{
    uint64_t stored = atomic_load_explicit(&cache->stored_epoch, memory_order_relaxed);
    while (stored < epoch &&
           !atomic_compare_exchange_weak_explicit(&cache->stored_epoch, &stored, epoch,
                                                  memory_order_release, memory_order_relaxed))
        ;
}

void oz_cache_drop(struct oz_cache *cache)
{
    release_stored(cache);
    while (cache->first) remove_row(cache, cache->first, true);
    cache->n_changed = 0;
}

void oz_cache_forget(struct oz_cache *cache, uint32_t partition)
{
    release_stored(cache);
    for (size_t i = 0; i < cache->table.n_numbers; i++) {
        struct oz_row_head *head = oz_row_table_at(&cache->table, i);
        if (!head || head->partition != partition) continue;
        OZ_ASSERT(!head->pending);
        remove_row(cache, head, true);
    }
}

bool oz_cache_wants_seal(const struct oz_cache *cache)
{
    int64_t half = (int64_t)(oz_pool_region_bytes(cache->pool) / OZ_POOL_BLOCK_MIN / 2);
    return cache->n_pending && (cache->short_of_memory || cache->pending_blocks > half);
}

void oz_cache_get_stats(const struct oz_cache *cache, struct oz_cache_stats *ret_stats)
{
    *ret_stats = (struct oz_cache_stats){.hits = cache->hits,
                                         .misses = cache->misses,
                                         .created = cache->created,
                                         .evicted = cache->evicted,
                                         .rows = cache->table.n_rows,
                                         .changed_rows = cache->n_changed,
                                         .pinned_rows = cache->n_pending};
}
