/* Proves that the heap's door counts each call, fails the one it was told to fail and only that,
 * and answers NULL to sizes that cannot be, instead of wrapping around. */
#include "base/memory.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <string.h>

static void test_counts(void **state)
{
    (void)state;
    uint64_t before = oz_allocations();
    char *a = oz_malloc(10), *b = oz_calloc(3, 5), *c = oz_strdup("ouzel");
    assert_non_null(a);
    assert_non_null(b);
    assert_string_equal(c, "ouzel");
    for (int i = 0; i < 15; i++) assert_int_equal(b[i], 0);
    memcpy(a, "123456789", 10);
    a = oz_realloc(a, 100000);
    assert_string_equal(a, "123456789");
    assert_int_equal(oz_allocations() - before, 4);
    oz_free(a);
    oz_free(b);
    oz_free(c);
    oz_free(NULL);
    assert_int_equal(oz_allocations() - before, 4);
    void *nothing = oz_malloc(0); /* NULL would mean that there is no memory */
    assert_non_null(nothing);
    oz_free(nothing);
}

static void test_impossible_sizes(void **state)
{
    (void)state;
    assert_null(oz_malloc(SIZE_MAX));
    assert_null(oz_malloc(SIZE_MAX / 2 + 1));
    assert_null(oz_calloc(SIZE_MAX / 2 + 1, 2));     /* the product wraps to 0 */
    assert_null(oz_calloc((SIZE_MAX >> 4) + 2, 16)); /* and here to 16 */
    char *kept = oz_strdup("kept");
    assert_null(oz_realloc(kept, SIZE_MAX));
    assert_string_equal(kept, "kept");
    oz_free(kept);
}

static void test_told_to_fail(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 3; nth++) {
        oz_fail_allocation(nth);
        void *p[4] = {oz_malloc(1), oz_calloc(1, 1), oz_strdup("x"), oz_malloc(1)};
        for (uint64_t i = 0; i < 4; i++) {
            assert_int_equal(p[i] == NULL, i == nth - 1);
            oz_free(p[i]);
        }
    }
    oz_fail_allocation(1);
    oz_fail_allocation(0);
    void *p = oz_malloc(1);
    assert_non_null(p);
    oz_free(p);
}

static void test_grow(void **state)
{
    (void)state;
    uint32_t *items = NULL;
    size_t cap = 0;
    uint64_t before = oz_allocations();
    for (uint32_t i = 0; i < 100000; i++) {
        assert_int_equal(oz_grow((void **)&items, &cap, i + 1, sizeof(*items), NULL), OZ_OK);
        assert_true(cap > i);
        items[i] = i;
    }
    assert_true(oz_allocations() - before <= 17); /* doubling, not adding */
    for (uint32_t i = 0; i < 100000; i++) assert_int_equal(items[i], i);

    struct oz_error err;
    uint32_t *same = items;
    size_t same_cap = cap;
    assert_int_equal(oz_grow((void **)&items, &cap, SIZE_MAX / 2, 4, &err), OZ_NO_MEMORY);
    assert_int_equal(err.status, OZ_NO_MEMORY);
    oz_fail_allocation(1);
    assert_int_equal(oz_grow((void **)&items, &cap, cap + 1, 4, &err), OZ_NO_MEMORY);
    assert_ptr_equal(items, same);
    assert_int_equal(cap, same_cap);
    oz_free(items);
}

static void *allocate_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++) oz_free(oz_malloc(8));
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    uint64_t before = oz_allocations();
    pthread_t thread[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, allocate_often, NULL), 0);
    for (int i = 0; i < 4; i++) pthread_join(thread[i], NULL);
    assert_int_equal(oz_allocations() - before, 4000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),       cmocka_unit_test(test_impossible_sizes),
        cmocka_unit_test(test_told_to_fail), cmocka_unit_test(test_grow),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
