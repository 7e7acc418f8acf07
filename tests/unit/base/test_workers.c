/* Proves that a run calls every worker exactly once, on threads of their own and at the same time
 * (a barrier inside would hang otherwise), that both sides see what the other wrote, whether the
 * helpers spin or sleep, and that a run allocates nothing. The thread sanitizer watches the same
 * test. */
#include "base/workers.h"
#include "base/memory.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { N_MAX = 8 };
struct job {
    unsigned n;
    uint64_t in, out[N_MAX * 16]; /* plain, so that a missing happens-before shows */
    unsigned calls[N_MAX * 16];
    pthread_barrier_t barrier;
    pthread_t thread[N_MAX];
    char name[N_MAX][16];
    bool blocks_signals[N_MAX];
};

static void add_one(void *ctx, unsigned worker)
{
    struct job *job = ctx;
    job->calls[worker * 16]++;
    job->out[worker * 16] = job->in + worker;
}

static void run_and_check(struct oz_workers *workers, struct job *job, unsigned pass)
{
    job->in = pass * 1000;
    oz_workers_run(workers, add_one, job);
    for (unsigned w = 0; w < job->n; w++) {
        assert_int_equal(job->calls[w * 16], pass);
        assert_int_equal(job->out[w * 16], pass * 1000 + w);
    }
}

static void test_runs(void **state)
{
    (void)state;
    static const unsigned counts[] = {1, 2, 3, N_MAX};
    for (size_t i = 0; i < OZ_COUNT_OF(counts); i++) {
        struct oz_workers *workers;
        struct job job = {.n = counts[i]};
        assert_int_equal(oz_workers_new(counts[i], &workers, NULL), OZ_OK);
        assert_int_equal(oz_workers_count(workers), counts[i]);
        uint64_t before = oz_allocations();
        for (unsigned pass = 1; pass <= 600; pass++) {
            if (pass % 60 == 0) usleep(2000); /* they sleep */
            run_and_check(workers, &job, pass);
        }
        assert_int_equal(oz_allocations(), before);
        oz_workers_free(workers);
    }
    oz_workers_free(NULL);
}

static void meet(void *ctx, unsigned worker)
{
    struct job *job = ctx;
    sigset_t blocked;
    pthread_barrier_wait(&job->barrier);
    job->thread[worker] = pthread_self();
    pthread_getname_np(pthread_self(), job->name[worker], sizeof(job->name[worker]));
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    job->blocks_signals[worker] = sigismember(&blocked, SIGTERM);
    if (worker == 1) usleep(3000); /* the caller waits for the slowest, asleep */
    job->calls[worker * 16]++;
}

static void test_at_the_same_time(void **state)
{
    (void)state;
    struct oz_workers *workers;
    static struct job job;
    job.n = 4;
    pthread_barrier_init(&job.barrier, NULL, 4);
    assert_int_equal(oz_workers_new(4, &workers, NULL), OZ_OK);
    for (unsigned pass = 1; pass <= 20; pass++) {
        oz_workers_run(workers, meet, &job);
        for (unsigned w = 0; w < 4; w++) assert_int_equal(job.calls[w * 16], pass);
    }
    assert_true(pthread_equal(job.thread[0], pthread_self()));
    assert_false(job.blocks_signals[0]);
    for (unsigned w = 1; w < 4; w++) {
        char name[16];
        snprintf(name, sizeof(name), "ouzel-w%u", w & 3);
        assert_string_equal(job.name[w], name);
        assert_true(job.blocks_signals[w]);
        for (unsigned other = 0; other < w; other++)
            assert_false(pthread_equal(job.thread[w], job.thread[other]));
    }
    oz_workers_free(workers);
    pthread_barrier_destroy(&job.barrier);
}

/* Ended at once: helpers that spin, that sleep and that have hardly begun. */
static void test_end(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++) {
        struct oz_workers *workers;
        assert_int_equal(oz_workers_new(3, &workers, NULL), OZ_OK);
        struct job job = {.n = 3};
        if (i % 3 == 1) run_and_check(workers, &job, 1);
        if (i % 3 == 2) usleep(1000);
        oz_workers_free(workers);
    }
    struct oz_workers *workers;
    struct oz_error err;
    oz_fail_allocation(1);
    assert_int_equal(oz_workers_new(3, &workers, &err), OZ_NO_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_at_the_same_time),
        cmocka_unit_test(test_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
