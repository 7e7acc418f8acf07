/* The cache against a naive twin: a plain list of numbers for each key, with a copy of the last
 * committed one to go back to. Random sequences of fetch, change, seal, commit, store and abort
 * over thousands of keys, with a pool that holds a small part of them, so that rows leave and come
 * back all the time; after each fetch every row must hold exactly the twin's numbers. In the end
 * the store is read by a new cache, and compared byte by byte with what another number of workers
 * made of the same sequence. Also: the heap is not asked for anything in steady state, damaged rows
 * are told and named, and any failing allocation leaves the cache as usable as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "base/hash.h"
#include "scratch_folder.h"
#include "state/cache.h"
#include "toy_row.h"

enum { KEYS = 2500, WORKERS_MAX = 3, ENTITIES = 2, STORE_MEMORY = 8 << 20, BATCH_MAX = 120 };

struct list {
    uint32_t *number;
    uint32_t n, cap;
};
struct twin {
    char name[24];
    struct oz_key key;
    struct list now, committed;
    bool touched; /* since the last commit */
};

struct world {
    char dir[256];
    struct oz_store *store;
    uint32_t n_workers;
    struct oz_pool *pool[WORKERS_MAX];
    struct oz_cache *cache[WORKERS_MAX][ENTITIES];
    struct twin twin[ENTITIES][KEYS];
    struct oz_sealed due[64]; /* committed, not stored: [0, n_due); the next one is used by seal */
    uint64_t n_due, epoch;
    uint64_t seed;
    uint64_t n_aborts, n_stores, n_emptied;
};

static void list_push(struct list *list, uint32_t number)
{
    if (list->n == list->cap) {
        list->cap = list->cap ? 2 * list->cap : 4;
        list->number = realloc(list->number, list->cap * sizeof *list->number);
    }
    list->number[list->n++] = number;
}

static void list_copy(struct list *to, const struct list *from)
{
    to->n = 0;
    for (uint32_t i = 0; i < from->n; i++) list_push(to, from->number[i]);
}

static void open_world(struct world *w, uint32_t n_workers, size_t pool_bytes, uint64_t seed)
{
    struct oz_error err = {0};
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->n_workers = n_workers;
    w->epoch = 1;
    scratch_make(w->dir);
    if (oz_store_open(w->dir, STORE_MEMORY, false, &w->store, &err)) fail_msg("%s", err.message);
    for (uint32_t i = 0; i < n_workers; i++) {
        assert_int_equal(oz_pool_new(pool_bytes, &w->pool[i], NULL), OZ_OK);
        for (uint8_t e = 0; e < ENTITIES; e++)
            assert_int_equal(
                oz_cache_new(&toy_kind, e, w->pool[i], w->store, &w->cache[i][e], NULL), OZ_OK);
    }
    for (int e = 0; e < ENTITIES; e++)
        for (int i = 0; i < KEYS; i++) {
            struct twin *t = &w->twin[e][i];
            int n = snprintf(t->name, sizeof t->name, "%s%d", i % 3 ? "k" : "a-longer-key-", i / 2);
            t->key = (struct oz_key){.data = t->name,
                                     .len = (uint32_t)n,
                                     .partition = (uint32_t)i % 2,
                                     .hash = oz_hash64(t->name, (size_t)n)};
        }
}

static void close_world(struct world *w)
{
    for (uint32_t i = 0; i < w->n_workers; i++) {
        for (int e = 0; e < ENTITIES; e++) oz_cache_free(w->cache[i][e]);
        assert_int_equal(oz_pool_used_bytes(w->pool[i]), 0);
        oz_pool_free(w->pool[i]);
    }
    for (int i = 0; i < 64; i++) oz_sealed_clear(&w->due[i]);
    for (int e = 0; e < ENTITIES; e++)
        for (int i = 0; i < KEYS; i++) {
            free(w->twin[e][i].now.number);
            free(w->twin[e][i].committed.number);
        }
    oz_store_close(w->store);
    scratch_remove(w->dir);
}

static void seal_all(struct world *w, struct oz_sealed *sealed)
{
    struct oz_error err = {0};
    oz_sealed_reset(sealed);
    for (uint32_t i = 0; i < w->n_workers; i++)
        for (int e = 0; e < ENTITIES; e++)
            if (oz_cache_seal(w->cache[i][e], sealed, &err)) fail_msg("%s", err.message);
    w->epoch++;
}

static void store_due(struct world *w)
{
    const struct oz_sealed *due[64];
    for (uint64_t i = 0; i < w->n_due; i++) due[i] = &w->due[i];
    assert_int_equal(oz_store_write(w->store, due, w->n_due, NULL, NULL), OZ_OK);
    w->n_due = 0;
    w->n_stores++;
}

/* Sealed epochs up to `epoch` are in. */
static void tell_stored(struct world *w, uint64_t epoch)
{
    for (uint32_t i = 0; i < w->n_workers; i++)
        for (int e = 0; e < ENTITIES; e++) oz_cache_stored(w->cache[i][e], epoch);
}

static void twins_commit(struct world *w)
{
    for (int e = 0; e < ENTITIES; e++)
        for (int i = 0; i < KEYS; i++)
            if (w->twin[e][i].touched) {
                list_copy(&w->twin[e][i].committed, &w->twin[e][i].now);
                w->twin[e][i].touched = false;
            }
}

static void commit(struct world *w)
{
    seal_all(w, &w->due[w->n_due]);
    twins_commit(w);
    if (++w->n_due == 20) {
        store_due(w);
        tell_stored(w, w->epoch - 1);
    }
}

/* With a seal outstanding or not, what is sealed and what is staged both go. */
static void abort_epoch(struct world *w, bool with_seal)
{
    uint64_t committed = w->epoch - 1;
    if (with_seal) seal_all(w, &w->due[63]);
    store_due(w);
    tell_stored(w, committed);
    for (uint32_t i = 0; i < w->n_workers; i++)
        for (int e = 0; e < ENTITIES; e++) {
            oz_cache_drop(w->cache[i][e]);
            struct oz_cache_stats stats;
            oz_cache_get_stats(w->cache[i][e], &stats);
            assert_int_equal(stats.pinned_rows, 0);
            assert_int_equal(stats.changed_rows, 0);
            if (with_seal) oz_cache_set_epoch(w->cache[i][e], committed + 1);
            assert_int_equal(oz_cache_epoch(w->cache[i][e]), committed + 1);
        }
    w->epoch = committed + 1;
    for (int e = 0; e < ENTITIES; e++)
        for (int i = 0; i < KEYS; i++)
            if (w->twin[e][i].touched) {
                list_copy(&w->twin[e][i].now, &w->twin[e][i].committed);
                w->twin[e][i].touched = false;
            }
    w->n_aborts++;
}

static void check_row(struct world *w, struct oz_cache *cache, const struct twin *t, void *row)
{
    static uint32_t number[TOY_NUMBERS_MAX];
    uint32_t n = 0;
    struct oz_error err = {0};
    assert_true(toy_is_marked(row));
    if (toy_read(row, oz_cache_io(cache, row), number, &n, &err)) fail_msg("%s", err.message);
    assert_int_equal(n, t->now.n);
    if (n) assert_memory_equal(number, t->now.number, n * sizeof *number);
    (void)w;
}

static void change_row(struct world *w, struct oz_cache *cache, struct twin *t, void *row,
                       uint64_t random)
{
    if (random % 97 == 0 && toy_empty(row, oz_cache_io(cache, row))) {
        t->now.n = 0;
        w->n_emptied++;
    } else {
        for (uint64_t n = 1 + random / 97 % 5; n; n--) {
            random = random * 6364136223846793005u + 1;
            uint32_t number = (uint32_t)(random >> 32);
            assert_int_equal(toy_push(row, oz_cache_io(cache, row), number, NULL), OZ_OK);
            list_push(&t->now, number);
        }
    }
    t->touched = true;
    oz_cache_change(cache, row);
}

/* One batch of one entity: random keys, some hot, some null, some more than once. Every worker gets
 * its share, in the batch's order. */
static void run_batch(struct world *w, int entity)
{
    static struct oz_key key[BATCH_MAX];
    static int which[BATCH_MAX];
    static uint64_t random[BATCH_MAX];
    static void *row[BATCH_MAX];
    size_t n_all = next_random(&w->seed) % BATCH_MAX;
    static int chosen[BATCH_MAX];
    for (size_t i = 0; i < n_all; i++) {
        uint64_t r = next_random(&w->seed);
        chosen[i] = r % 50 == 0 ? -1 : (int)(r % 3 ? (r >> 8) % KEYS : (r >> 8) % 40);
        random[i] = next_random(&w->seed);
    }
    for (uint32_t worker = 0; worker < w->n_workers; worker++) {
        struct oz_cache *cache = w->cache[worker][entity];
        size_t n = 0;
        for (size_t i = 0; i < n_all; i++) {
            struct oz_key k = {0};
            if (chosen[i] >= 0)
                k = w->twin[entity][chosen[i]].key;
            else if (random[i] % 2)
                k = (struct oz_key){.data = "", .len = 0};
            if (chosen[i] >= 0 ? k.hash % w->n_workers != worker : worker != 0) continue;
            which[n] = (int)i;
            key[n++] = k;
        }
        struct oz_error err = {0};
        if (oz_cache_fetch(cache, key, n, row, &err)) fail_msg("%s", err.message);
        for (size_t i = 0; i < n; i++) {
            int twin = chosen[which[i]];
            if (twin < 0) {
                assert_null(row[i]);
                continue;
            }
            struct twin *t = &w->twin[entity][twin];
            check_row(w, cache, t, row[i]);
            if (random[which[i]] % 3) change_row(w, cache, t, row[i], random[which[i]] / 3);
        }
    }
}

static bool any_wants_seal(struct world *w)
{
    for (uint32_t i = 0; i < w->n_workers; i++)
        for (int e = 0; e < ENTITIES; e++)
            if (oz_cache_wants_seal(w->cache[i][e])) return true;
    return false;
}

/* Epochs end at the same places whatever the number of workers, so that their stores can be
 * compared. */
static void run_sequence(struct world *w, int n_steps, bool may_seal_early)
{
    for (int step = 0; step < n_steps; step++) {
        run_batch(w, step % ENTITIES);
        uint64_t r = next_random(&w->seed) % 100;
        if (r < 20)
            commit(w);
        else if (r < 24)
            abort_epoch(w, r % 2);
        else if (r < 27) {
            store_due(w);
            tell_stored(w, w->epoch - 1);
        }
        if (may_seal_early && any_wants_seal(w)) {
            commit(w);
            store_due(w);
            tell_stored(w, w->epoch - 1);
            assert_false(w->cache[0][0] && oz_pool_overdrawn_bytes(w->pool[0]) > 4 << 20);
        }
    }
    commit(w);
    store_due(w);
    tell_stored(w, w->epoch - 1);
}

static void check_reopened(struct world *w)
{
    for (uint32_t i = 0; i < w->n_workers; i++)
        for (int e = 0; e < ENTITIES; e++) oz_cache_free(w->cache[i][e]);
    oz_store_close(w->store);
    assert_int_equal(oz_store_open(w->dir, STORE_MEMORY, false, &w->store, NULL), OZ_OK);
    for (uint32_t i = 0; i < w->n_workers; i++)
        for (uint8_t e = 0; e < ENTITIES; e++) {
            assert_int_equal(
                oz_cache_new(&toy_kind, e, w->pool[i], w->store, &w->cache[i][e], NULL), OZ_OK);
            oz_cache_set_epoch(w->cache[i][e], w->epoch);
        }
    for (int e = 0; e < ENTITIES; e++)
        for (int i = 0; i < KEYS; i++) {
            void *row;
            struct oz_cache *cache = w->cache[0][e];
            assert_int_equal(oz_cache_fetch(cache, &w->twin[e][i].key, 1, &row, NULL), OZ_OK);
            check_row(w, cache, &w->twin[e][i], row);
        }
}

static void test_against_twin(void **state)
{
    (void)state;
    static const size_t pool_bytes[] = {40000, 150000, 16 << 20};
    for (size_t i = 0; i < OZ_COUNT_OF(pool_bytes); i++) {
        static struct world w;
        struct oz_cache_stats stats;
        open_world(&w, 1, pool_bytes[i], i + 1);
        run_sequence(&w, 1500, true);
        assert_int_equal(oz_cache_fetch(w.cache[0][0], NULL, 0, NULL, NULL), OZ_OK);
        oz_cache_get_stats(w.cache[0][0], &stats);
        assert_true(w.n_aborts > 20 && w.n_stores > 20 && w.n_emptied > 20);
        assert_true(stats.created > 500);
        assert_int_equal(stats.pinned_rows, 0);
        if (i < 2)
            assert_true(stats.evicted > 10000);
        else
            assert_int_equal(stats.evicted, 0);
        check_reopened(&w);
        close_world(&w);
    }
}

struct dump {
    struct oz_buf buf;
};
static bool dump_one(void *ctx, struct oz_bytes key, struct oz_bytes value)
{
    struct dump *dump = ctx;
    oz_buf_printf(&dump->buf, "%zu %zu ", key.len, value.len);
    oz_buf_put(&dump->buf, key.data, key.len);
    oz_buf_put(&dump->buf, value.data, value.len);
    return true;
}

static void test_number_of_workers(void **state)
{
    (void)state;
    struct dump dump[WORKERS_MAX] = {0};
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        static struct world w;
        open_world(&w, i + 1, 60000 * (i + 1), 77);
        run_sequence(&w, 500, false);
        assert_int_equal(oz_store_scan(w.store, dump_one, &dump[i], NULL), OZ_OK);
        close_world(&w);
        assert_true(dump[i].buf.len > 100000);
        assert_int_equal(dump[i].buf.len, dump[0].buf.len);
        assert_memory_equal(dump[i].buf.data, dump[0].buf.data, dump[0].buf.len);
    }
    for (int i = 0; i < WORKERS_MAX; i++) oz_buf_clear(&dump[i].buf);
}

/* Warm, a batch with cached, cold and new keys, its seal and the way back to clean rows ask the
 * heap for nothing. (RocksDB has a heap of its own.) */
static void test_no_allocation(void **state)
{
    (void)state;
    enum { N = 512, WARM = 60, MEASURED = 100, COLD_KEYS = 20000 };
    static struct world w;
    open_world(&w, 1, 1 << 20, 5);
    struct oz_cache *cache = w.cache[0][0];
    static char name[N][24];
    static struct oz_key key[N];
    static void *row[N];
    struct oz_sealed sealed = {0};
    uint64_t allocations = 0, evicted = 0, created = 0;
    struct oz_cache_stats stats;
    for (int b = 0; b < WARM + MEASURED; b++) {
        if (b == WARM) {
            allocations = oz_allocations();
            oz_cache_get_stats(cache, &stats);
            evicted = stats.evicted, created = stats.created;
        }
        for (int i = 0; i < N; i++) {
            uint64_t id = i % 8 == 0 ? (uint64_t)COLD_KEYS + (uint64_t)(b * N + i) /* new */
                                     : next_random(&w.seed) % COLD_KEYS;
            int n = snprintf(name[i], sizeof name[i], "%08llu", (unsigned long long)id);
            key[i] = (struct oz_key){name[i], (uint32_t)n, 0, oz_hash64(name[i], (size_t)n)};
        }
        assert_int_equal(oz_cache_fetch(cache, key, N, row, NULL), OZ_OK);
        for (int i = 0; i < N; i++) {
            assert_int_equal(toy_push(row[i], oz_cache_io(cache, row[i]), 1, NULL), OZ_OK);
            oz_cache_change(cache, row[i]);
        }
        oz_sealed_reset(&sealed);
        assert_int_equal(oz_cache_seal(cache, &sealed, NULL), OZ_OK);
        const struct oz_sealed *one = &sealed;
        assert_int_equal(oz_store_write(w.store, &one, 1, NULL, NULL), OZ_OK);
        oz_cache_stored(cache, oz_cache_epoch(cache) - 1);
    }
    assert_int_equal(oz_allocations(), allocations);
    oz_cache_get_stats(cache, &stats);
    assert_true(stats.evicted - evicted > 5000);       /* rows came and went */
    assert_true(stats.created - created >= 6400);      /* new keys */
    assert_true(stats.misses > stats.created + 10000); /* cold ones */
    assert_int_equal(oz_pool_overdrawn_bytes(w.pool[0]), 0);
    oz_sealed_clear(&sealed);
    close_world(&w);
}

/* One hot row among ever new ones stays; and what was not asked for again goes first. */
static void test_second_chance(void **state)
{
    (void)state;
    static struct world w;
    open_world(&w, 1, 64 << 10, 5);
    struct oz_cache *cache = w.cache[0][0];
    void *row, *hot = NULL;
    for (int i = 1; i < KEYS; i++) {
        assert_int_equal(oz_cache_fetch(cache, &w.twin[0][i].key, 1, &row, NULL), OZ_OK);
        assert_int_equal(oz_cache_fetch(cache, &w.twin[0][0].key, 1, &row, NULL), OZ_OK);
        if (hot) assert_ptr_equal(hot, row);
        hot = row;
    }
    struct oz_cache_stats stats;
    oz_cache_get_stats(cache, &stats);
    assert_true(stats.evicted > KEYS / 2);
    assert_int_equal(stats.misses, KEYS);
    close_world(&w);
}

static void test_pinned(void **state)
{
    (void)state;
    static struct world w;
    open_world(&w, 1, 64 << 10, 5);
    struct oz_cache *cache = w.cache[0][0];
    void *row[600];
    struct oz_key key[600];
    struct oz_cache_stats stats;
    bool wanted = false;
    size_t n = 0;
    for (; n < 600 && !wanted; n++) { /* changed rows only: nothing can go */
        key[n] = w.twin[0][n].key;
        assert_int_equal(oz_cache_fetch(cache, &key[n], 1, &row[n], NULL), OZ_OK);
        assert_int_equal(toy_push(row[n], oz_cache_io(cache, row[n]), (uint32_t)n, NULL), OZ_OK);
        oz_cache_change(cache, row[n]);
        oz_cache_change(cache, row[n]);
        wanted = oz_cache_wants_seal(cache);
    }
    size_t used = oz_pool_used_bytes(w.pool[0]);
    assert_true(used > 32 << 10 && used < 40 << 10); /* it asks when half is taken */
    oz_cache_get_stats(cache, &stats);
    assert_int_equal(stats.pinned_rows, n);
    assert_int_equal(stats.changed_rows, n);
    struct oz_sealed sealed = {0};
    assert_int_equal(oz_cache_seal(cache, &sealed, NULL), OZ_OK);
    assert_int_equal(sealed.n_parts, n);
    assert_true(oz_cache_wants_seal(cache)); /* sealed is not stored */
    const struct oz_sealed *one = &sealed;
    assert_int_equal(oz_store_write(w.store, &one, 1, NULL, NULL), OZ_OK);
    oz_cache_stored(cache, 1);
    void *again;
    assert_int_equal(oz_cache_fetch(cache, &key[0], 1, &again, NULL), OZ_OK);
    assert_ptr_equal(again, row[0]);
    assert_false(oz_cache_wants_seal(cache));
    oz_cache_get_stats(cache, &stats);
    assert_int_equal(stats.pinned_rows, 0);
    oz_sealed_clear(&sealed);
    close_world(&w);
}

static void put_bytes(struct world *w, const struct oz_key *key, uint32_t part,
                      const uint8_t *value, uint32_t len)
{
    struct oz_sealed sealed = {0};
    uint8_t bytes[64];
    uint32_t key_len = (uint32_t)oz_part_key(bytes, key->data, key->len, part);
    assert_int_equal(oz_sealed_put(&sealed, 0, key->partition, bytes, key_len, value, len, NULL),
                     OZ_OK);
    const struct oz_sealed *one = &sealed;
    assert_int_equal(oz_store_write(w->store, &one, 1, NULL, NULL), OZ_OK);
    oz_sealed_clear(&sealed);
}

static void test_damaged(void **state)
{
    (void)state;
    static struct world w;
    open_world(&w, 1, 1 << 20, 5);
    struct oz_cache *cache = w.cache[0][0];
    struct oz_key key[3] = {w.twin[0][1].key, w.twin[0][7].key, w.twin[0][8].key};
    void *row[3];
    struct oz_error err;
    uint8_t value[24] = {0}; /* a row with two chunks, which are not there */
    value[OZ_PART_HEADER_BYTES] = 2;
    oz_part_close(value, 16, TOY_LAYOUT);
    put_bytes(&w, &key[0], OZ_PART_MAIN, value, 16);
    value[9] ^= 1; /* damaged */
    put_bytes(&w, &key[1], OZ_PART_MAIN, value, 16);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(oz_cache_fetch(cache, key, 3, row, &err), OZ_CORRUPT);
        assert_non_null(strstr(err.message, "key 'k3'"));
        assert_non_null(strstr(err.message, "entity 0"));
        assert_non_null(strstr(err.message, "checksum"));
    }
    value[9] ^= 1;
    oz_part_close(value, 16, TOY_LAYOUT + 1); /* another layout's */
    put_bytes(&w, &key[1], OZ_PART_MAIN, value, 16);
    assert_int_equal(oz_cache_fetch(cache, key, 3, row, &err), OZ_CORRUPT);
    assert_non_null(strstr(err.message, "layout 8, which this pipeline's state has no record of"));
    oz_part_close(value, 15, TOY_LAYOUT); /* whole, and the kind refuses it */
    put_bytes(&w, &key[1], OZ_PART_MAIN, value, 15);
    assert_int_equal(oz_cache_fetch(cache, key, 3, row, &err), OZ_CORRUPT);
    assert_non_null(strstr(err.message, "a toy row"));
    put_bytes(&w, &key[1], OZ_PART_MAIN, NULL, 0);
    assert_int_equal(oz_cache_fetch(cache, key, 3, row, &err), OZ_OK); /* and then all is well */

    const uint8_t *payload;
    size_t len;
    struct oz_row_io *io = oz_cache_io(cache, row[0]);
    assert_int_equal(io->read(io, 2, &payload, &len, &err), OZ_OK);
    assert_null(payload);
    put_bytes(&w, &key[0], 2, value, 3);
    assert_int_equal(io->read(io, 2, &payload, &len, &err), OZ_CORRUPT);
    assert_non_null(strstr(err.message, "part 2"));

    static char long_key[OZ_ROW_KEY_BYTES_MAX + 1];
    memset(long_key, 'x', sizeof long_key);
    key[0] = (struct oz_key){long_key, sizeof long_key, 0, 1};
    assert_int_equal(oz_cache_fetch(cache, key, 1, row, &err), OZ_RECORD);
    key[0].len--;
    assert_int_equal(oz_cache_fetch(cache, key, 1, row, &err), OZ_OK);
    close_world(&w);
}

/* Lets the n-th allocation of a fetch fail, for every n until none fails any more: each time the
 * cache answers with a status, and answers right the next time. */
static void test_no_memory(void **state)
{
    (void)state;
    bool went_through = false;
    for (uint64_t nth = 1; nth < 200 && !went_through; nth++) {
        static struct world w;
        open_world(&w, 1, 4096, 5); /* so small that rows are overdrawn from the heap */
        struct oz_key key[100];
        void *row[100];
        for (int i = 0; i < 100; i++) key[i] = w.twin[0][i].key;
        oz_fail_allocation(nth);
        enum oz_status status = oz_cache_fetch(w.cache[0][0], key, 100, row, NULL);
        oz_fail_allocation(0);
        assert_true(status == OZ_OK || status == OZ_NO_MEMORY);
        went_through = status == OZ_OK;
        assert_int_equal(oz_cache_fetch(w.cache[0][0], key, 100, row, NULL), OZ_OK);
        for (int i = 0; i < 100; i++) check_row(&w, w.cache[0][0], &w.twin[0][i], row[i]);
        close_world(&w);
        if (nth > 20) nth += 7;
    }
    assert_true(went_through);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_twin),  cmocka_unit_test(test_number_of_workers),
        cmocka_unit_test(test_no_allocation), cmocka_unit_test(test_second_chance),
        cmocka_unit_test(test_pinned),        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
