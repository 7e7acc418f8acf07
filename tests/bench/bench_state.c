/* What state costs: a cached key of a fetch, a cold one, a changed row sealed, a part written.
 *   bench_state [FOLDER]      (default: a new one under $TMPDIR or /tmp, removed in the end)
 * Rows are of a made-up kind with 160 bytes and one block of 200 more, keys of 8 digits, uniform:
 * the worst case for every cache of the CPU. Batches have 4096 keys. Medians of several batches. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/hash.h"
#include "state/cache.h"
#include "tests/unit/state/scratch_folder.h"

enum { BATCH = 4096, ROW_BYTES = 160, MORE_BYTES = 200, ROUNDS = 61 };

struct bench_row {
    uint8_t *more;
    uint64_t n;
    uint8_t rest[ROW_BYTES - 16];
};

static enum oz_status row_init(const void *ctx, void *p, struct oz_row_io *io, struct oz_error *err)
{
    (void)ctx;
    struct bench_row *row = p;
    memset(row, 0, sizeof *row);
    row->more = oz_pool_get(io->pool, MORE_BYTES, NULL);
    if (!row->more) return oz_no_memory(err);
    memset(row->more, 7, MORE_BYTES);
    return OZ_OK;
}

static enum oz_status row_decode(const void *ctx, void *p, struct oz_row_io *io,
                                 const uint8_t *payload, size_t len, struct oz_error *err)
{
    OZ_TRY(row_init(ctx, p, io, err));
    struct bench_row *row = p;
    if (len != 8 + MORE_BYTES) OZ_FAIL(err, OZ_CORRUPT, "a row of %zu bytes", len);
    memcpy(&row->n, payload, 8);
    memcpy(row->more, payload + 8, MORE_BYTES);
    return OZ_OK;
}

static enum oz_status row_encode(const void *ctx, void *p, struct oz_row_io *io,
                                 struct oz_sealed *sealed, struct oz_error *err)
{
    (void)ctx, (void)io;
    struct bench_row *row = p;
    struct oz_buf *buf = oz_sealed_begin(sealed, OZ_PART_MAIN, err);
    if (!buf) return OZ_NO_MEMORY;
    oz_buf_put(buf, &row->n, 8);
    oz_buf_put(buf, row->more, MORE_BYTES);
    return oz_sealed_end(sealed, err);
}

static void row_clear(const void *ctx, void *p, struct oz_pool *pool)
{
    (void)ctx;
    oz_pool_put(pool, ((struct bench_row *)p)->more, MORE_BYTES);
}

static const struct oz_row_kind kind = {.row_bytes = sizeof(struct bench_row),
                                        .layout = 1,
                                        .init = row_init,
                                        .decode = row_decode,
                                        .encode = row_encode,
                                        .clear = row_clear};

static char name[BATCH][9];
static struct oz_key key[BATCH];
static void *row[BATCH];

static void must(enum oz_status status, const struct oz_error *err)
{
    if (status == OZ_OK) return;
    fprintf(stderr, "bench_state: %s\n", err->message);
    exit(1);
}

static void make_keys(uint64_t n_keys, uint64_t *seed, uint64_t from)
{
    for (int i = 0; i < BATCH; i++) {
        uint64_t id = seed ? next_random(seed) % n_keys : (from + (uint64_t)i) % n_keys;
        snprintf(name[i], sizeof name[i], "%08u", (unsigned)id);
        key[i] = (struct oz_key){name[i], 8, (uint32_t)(id & 3), oz_hash64(name[i], 8)};
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

static double fetch_ns(struct oz_cache *cache)
{
    struct oz_error err;
    int64_t begin = oz_monotonic_us();
    must(oz_cache_fetch(cache, key, BATCH, row, &err), &err);
    return (double)(oz_monotonic_us() - begin) * 1000 / BATCH;
}

/* Makes every key's row, changes it, seals and stores it. */
static void load(struct oz_store *store, struct oz_cache *cache, uint64_t n_keys)
{
    struct oz_sealed sealed = {0};
    struct oz_error err;
    int64_t seal_us = 0, write_us = 0, n_parts = 0;
    for (uint64_t from = 0; from < n_keys; from += 4 * BATCH) {
        for (uint64_t b = 0; b < 4; b++) {
            make_keys(n_keys, NULL, from + b * BATCH);
            must(oz_cache_fetch(cache, key, BATCH, row, &err), &err);
            for (int i = 0; i < BATCH; i++) {
                oz_cache_io(cache, row[i]);
                ((struct bench_row *)row[i])->n++;
                oz_cache_change(cache, row[i]);
            }
        }
        int64_t begin = oz_monotonic_us();
        oz_sealed_reset(&sealed);
        must(oz_cache_seal(cache, &sealed, &err), &err);
        int64_t sealed_at = oz_monotonic_us();
        const struct oz_sealed *one = &sealed;
        must(oz_store_write(store, &one, 1, NULL, &err), &err);
        oz_cache_stored(cache, oz_cache_epoch(cache) - 1);
        write_us += oz_monotonic_us() - sealed_at;
        seal_us += sealed_at - begin;
        n_parts += (int64_t)sealed.n_parts;
    }
    printf("%8llu keys: seal %.2f us/part, write %.2f us/part (of 216 B, %d a write)\n",
           (unsigned long long)n_keys, (double)seal_us / (double)n_parts,
           (double)write_us / (double)n_parts, 4 * BATCH);
    oz_sealed_clear(&sealed);
}

static void run(struct oz_store *store, uint64_t n_keys, uint8_t entity)
{
    struct oz_error err;
    struct oz_pool *pool, *small;
    struct oz_cache *cache;
    uint64_t seed = 42;
    double v[ROUNDS];
    must(oz_pool_new((size_t)2 << 30, &pool, &err), &err);
    must(oz_cache_new(&kind, entity, pool, store, &cache, &err), &err);
    load(store, cache, n_keys);
    for (int i = 0; i < ROUNDS; i++) {
        make_keys(n_keys, &seed, 0);
        v[i] = fetch_ns(cache);
    }
    printf("%8llu keys: cached %.1f ns/key\n", (unsigned long long)n_keys, median(v, ROUNDS));
    for (int i = 0; i < ROUNDS; i++) {
        make_keys(n_keys, &seed, 0);
        int64_t begin = oz_monotonic_us();
        must(oz_cache_fetch(cache, key, BATCH, row, &err), &err);
        for (int r = 0; r < BATCH; r++) {
            oz_cache_io(cache, row[r]);
            ((struct bench_row *)row[r])->n++;
            oz_cache_change(cache, row[r]);
        }
        v[i] = (double)(oz_monotonic_us() - begin) * 1000 / BATCH;
        if (i % 5 == 4) {
            struct oz_sealed sealed = {0};
            must(oz_cache_seal(cache, &sealed, &err), &err);
            oz_cache_stored(cache, oz_cache_epoch(cache) - 1); /* as if */
            oz_sealed_clear(&sealed);
        }
    }
    printf("%8llu keys: cached, read and changed %.1f ns/key\n", (unsigned long long)n_keys,
           median(v, ROUNDS));
    oz_cache_free(cache);
    oz_pool_free(pool);

    must(oz_pool_new((size_t)4 << 20, &small, &err), &err); /* holds next to none of them */
    must(oz_cache_new(&kind, entity, small, store, &cache, &err), &err);
    for (int i = 0; i < ROUNDS; i++) {
        make_keys(n_keys, &seed, 0);
        v[i] = fetch_ns(cache);
    }
    struct oz_cache_stats stats;
    oz_cache_get_stats(cache, &stats);
    printf("%8llu keys: cold %.2f us/key (%.0f %% of the batches' keys)\n",
           (unsigned long long)n_keys, median(v, ROUNDS) / 1000,
           100.0 * (double)stats.misses / (double)(stats.hits + stats.misses));
    oz_cache_free(cache);
    oz_pool_free(small);
}

int main(int argc, char **argv)
{
    struct oz_store *store;
    struct oz_error err;
    char dir[256];
    if (argc > 1)
        snprintf(dir, sizeof dir, "%s", argv[1]);
    else
        scratch_make(dir);
    must(oz_store_open(dir, (size_t)512 << 20, false, &store, &err), &err);
    run(store, 10000, 0);
    run(store, 1000000, 1);
    oz_store_close(store);
    if (argc <= 1) scratch_remove(dir);
    return 0;
}
