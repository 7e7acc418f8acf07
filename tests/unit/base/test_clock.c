/* Proves that each clock measures what its name says, against the C library's calls and a busy and
 * a sleeping stretch of time, and that a held wall clock stands still for every thread. */
#include "base/clock.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

static void test_clocks(void **state)
{
    (void)state;
    int64_t start_us = oz_monotonic_us(), cpu_us = oz_thread_cpu_us();
    usleep(30000);
    int64_t slept_us = oz_monotonic_us() - start_us;
    assert_true(slept_us >= 30000 && slept_us < 10000000);
    assert_true(oz_thread_cpu_us() - cpu_us < slept_us / 2); /* sleeping costs no processor time */

    cpu_us = oz_thread_cpu_us();
    int64_t last_us = oz_monotonic_us();
    while (oz_thread_cpu_us() - cpu_us < 5000) {
        int64_t now_us = oz_monotonic_us();
        assert_true(now_us >= last_us);
        last_us = now_us;
    }
    time_t before = time(NULL);
    int64_t wall_us = oz_wall_us();
    time_t after = time(NULL);
    assert_true(wall_us >= ((int64_t)before - 1) * 1000000);
    assert_true(wall_us <= ((int64_t)after + 1) * 1000000);
}

static void *read_wall(void *ret)
{
    *(int64_t *)ret = oz_wall_us();
    return NULL;
}

static void test_held(void **state)
{
    (void)state;
    int64_t real_us = oz_wall_us(), seen_us = -1;
    pthread_t thread;
    oz_wall_hold(12345);
    assert_int_equal(oz_wall_us(), 12345);
    assert_int_equal(pthread_create(&thread, NULL, read_wall, &seen_us), 0);
    pthread_join(thread, NULL);
    assert_int_equal(seen_us, 12345);
    oz_wall_hold(0); /* 1970 is a time like any other */
    assert_int_equal(oz_wall_us(), 0);
    oz_wall_hold(OZ_WALL_REAL);
    assert_true(oz_wall_us() >= real_us - 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_clocks), cmocka_unit_test(test_held)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
