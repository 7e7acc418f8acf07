/* Proves that a counted set counts: against a plain array of counts, through random adding and
 * removing, emptying, and growth past its first block; and that its memory goes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "features/bag.h"

enum { KEYS = 300 };

static void test_a_bag_counts(void **state)
{
    (void)state;
    struct oz_pool *pool;
    struct oz_bag bag = {0};
    uint32_t count[KEYS] = {0}, distinct = 0, seed = 1;
    assert_int_equal(oz_pool_new(1 << 16, &pool, NULL), OZ_OK);
    oz_bag_remove(&bag, 5); /* of an empty one */
    for (int round = 0; round < 200000; round++) {
        seed = seed * 1664525 + 1013904223;
        uint32_t k = (seed >> 8) % (round < 1000 ? 10 : KEYS);
        uint64_t key = k * 0x9E3779B97F4A7C15u;
        if (seed >> 31 || round % 1000 < 200) {
            assert_int_equal(oz_bag_add(&bag, pool, key, NULL), OZ_OK);
            distinct += count[k]++ == 0;
        } else {
            oz_bag_remove(&bag, key);
            if (count[k]) distinct -= --count[k] == 0;
        }
        if (round % 50000 == 49999) {
            oz_bag_empty(&bag);
            memset(count, 0, sizeof count);
            distinct = 0;
        }
        assert_int_equal(bag.distinct, distinct);
    }
    assert_int_equal(oz_bag_add(&bag, pool, UINT64_MAX, NULL), OZ_OK); /* null is never in */
    assert_int_equal(bag.distinct, distinct);
    oz_bag_clear(&bag, pool);
    assert_int_equal(oz_pool_used_bytes(pool), 0);
    oz_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_bag_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
