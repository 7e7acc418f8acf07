/* Proves that items leave a queue in the order they came, each exactly once with several threads on
 * both sides, that it waits when full and when empty and gives up in time, and that closing wakes
 * all and loses nothing. The thread sanitizer watches the same test. */
#include "base/queue.h"
#include "base/clock.h"
#include "base/memory.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdatomic.h>
#include <unistd.h>

static void *item(uintptr_t n) { return (void *)n; }

static void test_order(void **state)
{
    (void)state;
    struct oz_queue queue;
    void *got;
    assert_int_equal(oz_queue_init(&queue, 3, NULL), OZ_OK);
    uintptr_t in = 1, out = 1;
    assert_false(oz_queue_try_pop(&queue, &got));
    for (int round = 0; round < 20; round++) {
        while (oz_queue_len(&queue) < 1 + (size_t)round % 3)
            assert_true(oz_queue_push(&queue, item(in++)));
        while (oz_queue_len(&queue) > 0) {
            if (round % 2)
                assert_true(oz_queue_try_pop(&queue, &got));
            else
                assert_int_equal(oz_queue_pop(&queue, -1, &got), OZ_QUEUE_ITEM);
            assert_ptr_equal(got, item(out++));
        }
    }
    assert_int_equal(in, out);
    oz_queue_clear(&queue);
    oz_queue_clear(&queue);
}

static void test_timeout_and_close(void **state)
{
    (void)state;
    struct oz_queue queue;
    void *got = item(99);
    assert_int_equal(oz_queue_init(&queue, 2, NULL), OZ_OK);
    int64_t start_us = oz_monotonic_us();
    assert_int_equal(oz_queue_pop(&queue, 20000, &got), OZ_QUEUE_TIMEOUT);
    int64_t waited_us = oz_monotonic_us() - start_us;
    assert_true(waited_us >= 20000 && waited_us < 5000000);
    assert_int_equal(oz_queue_pop(&queue, 0, &got), OZ_QUEUE_TIMEOUT);
    assert_ptr_equal(got, item(99));

    assert_true(oz_queue_push(&queue, item(1)));
    assert_true(oz_queue_push(&queue, item(2)));
    oz_queue_close(&queue);
    assert_false(oz_queue_push(&queue, item(3)));
    assert_int_equal(oz_queue_pop(&queue, INT64_MAX, &got), OZ_QUEUE_ITEM);
    assert_ptr_equal(got, item(1));
    assert_true(oz_queue_try_pop(&queue, &got));
    assert_ptr_equal(got, item(2));
    assert_int_equal(oz_queue_pop(&queue, -1, &got), OZ_QUEUE_CLOSED);
    assert_int_equal(oz_queue_pop(&queue, 0, &got), OZ_QUEUE_CLOSED);
    assert_false(oz_queue_try_pop(&queue, &got));
    oz_queue_clear(&queue);

    struct oz_error err;
    oz_fail_allocation(1);
    assert_int_equal(oz_queue_init(&queue, 2, &err), OZ_NO_MEMORY);
    oz_queue_clear(&queue);
}

enum { N_SIDES = 3, N_EACH = 3000 };
static struct oz_queue shared;
static _Atomic unsigned seen[N_SIDES * N_EACH + 1];
static _Atomic unsigned n_order_errors;

static void *produce(void *arg)
{
    uintptr_t side = (uintptr_t)arg;
    for (uintptr_t i = 0; i < N_EACH; i++)
        if (!oz_queue_push(&shared, item(side * N_EACH + i + 1))) return item(1);
    return NULL;
}

static void *consume(void *arg)
{
    (void)arg;
    uintptr_t last[N_SIDES] = {0};
    for (;;) {
        void *got;
        enum oz_queue_result result = oz_queue_pop(&shared, 1000, &got);
        if (result == OZ_QUEUE_CLOSED) return NULL;
        if (result == OZ_QUEUE_TIMEOUT) continue;
        uintptr_t n = (uintptr_t)got, side = (n - 1) / N_EACH;
        if (n <= last[side]) atomic_fetch_add(&n_order_errors, 1);
        last[side] = n;
        atomic_fetch_add(&seen[n], 1);
    }
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t producer[N_SIDES], consumer[N_SIDES];
    assert_int_equal(oz_queue_init(&shared, 4, NULL), OZ_OK);
    for (uintptr_t i = 0; i < N_SIDES; i++) {
        pthread_create(&producer[i], NULL, produce, item(i));
        pthread_create(&consumer[i], NULL, consume, NULL);
    }
    for (int i = 0; i < N_SIDES; i++) {
        void *failed;
        pthread_join(producer[i], &failed);
        assert_null(failed);
    }
    oz_queue_close(&shared);
    for (int i = 0; i < N_SIDES; i++) pthread_join(consumer[i], NULL);
    for (int i = 1; i <= N_SIDES * N_EACH; i++) assert_int_equal(seen[i], 1);
    assert_int_equal(n_order_errors, 0);
    oz_queue_clear(&shared);
}

static void *push_one(void *arg) { return item(oz_queue_push(arg, item(7))); }
static void *pop_one(void *arg)
{
    void *got;
    return item(oz_queue_pop(arg, -1, &got));
}

static void test_close_wakes(void **state)
{
    (void)state;
    struct oz_queue full, empty;
    assert_int_equal(oz_queue_init(&full, 1, NULL), OZ_OK);
    assert_int_equal(oz_queue_init(&empty, 1, NULL), OZ_OK);
    assert_true(oz_queue_push(&full, item(1)));
    pthread_t pusher[2], popper[2];
    for (int i = 0; i < 2; i++) {
        pthread_create(&pusher[i], NULL, push_one, &full);
        pthread_create(&popper[i], NULL, pop_one, &empty);
    }
    usleep(5000);
    oz_queue_close(&full);
    oz_queue_close(&empty);
    for (int i = 0; i < 2; i++) {
        void *pushed, *popped;
        pthread_join(pusher[i], &pushed);
        pthread_join(popper[i], &popped);
        assert_ptr_equal(pushed, item(false));
        assert_ptr_equal(popped, item(OZ_QUEUE_CLOSED));
    }
    assert_int_equal(oz_queue_len(&full), 1);
    oz_queue_clear(&full);
    oz_queue_clear(&empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_timeout_and_close),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_close_wakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
