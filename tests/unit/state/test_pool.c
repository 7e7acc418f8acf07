/* The pool against a naive twin that keeps every block as an interval: blocks are aligned, large
 * enough, inside the region or counted as overdrawn, and never overlap (each is filled with a byte
 * of its own and looked at again when it goes back); used bytes are the sum of the blocks, to the
 * byte; and when all is back, the region is one tree again, or one for each bit of its size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "scratch_folder.h"
#include "state/pool.h"

struct block {
    uint8_t *at;
    size_t asked, holds;
    uint8_t fill;
};
enum { BLOCKS_MAX = 700 };

/* The rounding rule, restated: powers of two from 64. */
static size_t power_of_two(size_t n)
{
    size_t size = 64;
    while (size < n) size *= 2;
    return size;
}

static size_t random_size(uint64_t *seed)
{
    switch (next_random(seed) % 8) {
    case 0: return next_random(seed) % 20000;
    case 1: return (size_t)64 << next_random(seed) % 8;
    case 2: return ((size_t)64 << next_random(seed) % 8) + 1;
    default: return next_random(seed) % 700;
    }
}

static void put_back(struct oz_pool *pool, struct block *b, uint64_t *seed)
{
    for (size_t i = 0; i < b->holds; i++) assert_int_equal(b->at[i], b->fill);
    /* What it really holds is as good a size as what was asked for. */
    oz_pool_put(pool, b->at, next_random(seed) % 2 ? b->asked : b->holds);
}

static void assert_apart(const struct block *block, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++)
        assert_true(block[n - 1].at + block[n - 1].holds <= block[i].at ||
                    block[i].at + block[i].holds <= block[n - 1].at);
}

static void run_region(size_t region_bytes, uint64_t seed)
{
    struct oz_pool *pool;
    assert_int_equal(oz_pool_new(region_bytes, &pool, NULL), OZ_OK);
    size_t region = region_bytes / 64 * 64, used = 0, n = 0, n_overdrawn = 0;
    assert_int_equal(oz_pool_region_bytes(pool), region);
    static struct block block[BLOCKS_MAX];
    for (int step = 0; step < 6000; step++) {
        bool grow = next_random(&seed) % 100 < (step / 1000 % 2 ? 35 : 60);
        if (n < BLOCKS_MAX && (grow || n == 0)) {
            struct block *b = &block[n++];
            b->asked = random_size(&seed);
            b->fill = (uint8_t)next_random(&seed);
            size_t before = oz_pool_overdrawn_bytes(pool), fits = oz_pool_largest_free_bytes(pool);
            b->at = oz_pool_get(pool, b->asked, &b->holds);
            assert_non_null(b->at);
            assert_int_equal((uintptr_t)b->at % 64, 0);
            bool overdrawn = oz_pool_overdrawn_bytes(pool) != before;
            assert_int_equal(overdrawn, power_of_two(b->asked) > fits);
            if (overdrawn) {
                n_overdrawn++;
                assert_int_equal(b->holds, (b->asked + (b->asked == 0) + 63) / 64 * 64);
                assert_int_equal(oz_pool_overdrawn_bytes(pool), before + b->holds);
            } else {
                assert_int_equal(b->holds, power_of_two(b->asked));
            }
            memset(b->at, b->fill, b->holds);
            assert_apart(block, n);
            used += b->holds;
        } else {
            struct block *b = &block[next_random(&seed) % n];
            used -= b->holds;
            put_back(pool, b, &seed);
            *b = block[--n];
        }
        assert_int_equal(oz_pool_used_bytes(pool), used);
    }
    assert_true(region > 300000 || n_overdrawn > 0);
    while (n) put_back(pool, &block[--n], &seed);
    assert_int_equal(oz_pool_used_bytes(pool), 0);
    assert_int_equal(oz_pool_overdrawn_bytes(pool), 0);

    /* Trees of falling size: taking the largest free block each time reads the region's bits back.
     */
    for (size_t bit = (size_t)1 << 40; bit >= 64; bit /= 2)
        if (region & bit) {
            assert_int_equal(oz_pool_largest_free_bytes(pool), bit);
            assert_non_null(oz_pool_get(pool, bit, NULL));
        }
    assert_int_equal(oz_pool_largest_free_bytes(pool), 0);
    assert_int_equal(oz_pool_overdrawn_bytes(pool), 0);
    oz_pool_free(pool);
}

static void test_against_twin(void **state)
{
    (void)state;
    static const size_t region[] = {64, 100, 4096, 65536, 65536 + 64, 100000, 777777, 1 << 20};
    for (size_t i = 0; i < OZ_COUNT_OF(region); i++) run_region(region[i], i + 1);
}

static void test_limits(void **state)
{
    (void)state;
    struct oz_pool *pool;
    struct oz_error err;
    assert_int_equal(oz_pool_new(63, &pool, &err), OZ_USAGE);
    assert_int_equal(oz_pool_new(4096, &pool, &err), OZ_OK);
    oz_pool_put(pool, NULL, 100);
    assert_null(oz_pool_get(pool, SIZE_MAX, NULL));
    assert_null(oz_pool_get(pool, SIZE_MAX / 2, NULL));
    void *whole = oz_pool_get(pool, 4096, NULL);
    oz_fail_allocation(1); /* the region is given out, and the heap has nothing */
    assert_null(oz_pool_get(pool, 1, NULL));
    oz_fail_allocation(0);
    assert_int_equal(oz_pool_used_bytes(pool), 4096);
    oz_pool_put(pool, whole, 4096);
    oz_pool_free(pool);
    oz_pool_free(NULL);
}

/* A region far beyond what is touched costs nothing until it is. */
static void test_lazy(void **state)
{
    (void)state;
    struct oz_pool *pool;
    assert_int_equal(oz_pool_new((size_t)64 << 30, &pool, NULL), OZ_OK);
    uint64_t before = oz_allocations();
    for (int i = 0; i < 1000; i++) memset(oz_pool_get(pool, 1000, NULL), 1, 1000);
    assert_int_equal(oz_allocations(), before);
    oz_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_twin),
                                       cmocka_unit_test(test_limits), cmocka_unit_test(test_lazy)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
