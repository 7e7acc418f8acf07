#include "base/workers.h"
#include "base/clock.h"
#include "base/memory.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* A start is a new generation number, an end is the count of running helpers at zero. Both are
 * plain atomics, so that a spinning side needs no lock; who gives up spinning sleeps on a condition
 * whose mutex the other side takes between the change and the signal: no wake-up is lost. */
enum { SPIN_US = 20, SPINS_PER_LOOK = 16 };

struct helper {
    struct oz_workers *workers;
    pthread_t thread;
    unsigned number;
};

struct oz_workers {
    unsigned n, n_started;
    void (*fn)(void *ctx, unsigned worker);
    void *ctx;
    bool stop;
    _Atomic uint64_t generation;
    _Atomic unsigned n_running;
    pthread_mutex_t mutex;
    pthread_cond_t start, done;
    unsigned n_sleeping; /* helpers; under the mutex */
    bool caller_waits;   /* under the mutex */
    struct helper helper[];
};

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void wait_for_start(struct oz_workers *workers, uint64_t seen)
{
    int64_t until_us = oz_monotonic_us() + SPIN_US;
    do {
        for (int i = 0; i < SPINS_PER_LOOK; i++) {
            if (atomic_load_explicit(&workers->generation, memory_order_acquire) != seen) return;
            relax();
        }
    } while (oz_monotonic_us() < until_us);
    pthread_mutex_lock(&workers->mutex);
    workers->n_sleeping++;
    while (atomic_load_explicit(&workers->generation, memory_order_acquire) == seen)
        pthread_cond_wait(&workers->start, &workers->mutex);
    workers->n_sleeping--;
    pthread_mutex_unlock(&workers->mutex);
}

static void wait_for_done(struct oz_workers *workers)
{
    int64_t until_us = oz_monotonic_us() + SPIN_US;
    do {
        for (int i = 0; i < SPINS_PER_LOOK; i++) {
            if (!atomic_load_explicit(&workers->n_running, memory_order_acquire)) return;
            relax();
        }
    } while (oz_monotonic_us() < until_us);
    pthread_mutex_lock(&workers->mutex);
    workers->caller_waits = true;
    while (atomic_load_explicit(&workers->n_running, memory_order_acquire))
        pthread_cond_wait(&workers->done, &workers->mutex);
    workers->caller_waits = false;
    pthread_mutex_unlock(&workers->mutex);
}

static void start(struct oz_workers *workers)
{
    pthread_mutex_lock(&workers->mutex);
    atomic_fetch_add_explicit(&workers->generation, 1, memory_order_release);
    bool asleep = workers->n_sleeping > 0;
    pthread_mutex_unlock(&workers->mutex);
    if (asleep) pthread_cond_broadcast(&workers->start);
}

static void *help(void *arg)
{
    struct helper *helper = arg;
    struct oz_workers *workers = helper->workers;
    for (uint64_t seen = 0;; seen++) {
        wait_for_start(workers, seen);
        if (workers->stop) return NULL;
        workers->fn(workers->ctx, helper->number);
        if (atomic_fetch_sub_explicit(&workers->n_running, 1, memory_order_acq_rel) != 1) continue;
        pthread_mutex_lock(&workers->mutex);
        if (workers->caller_waits) pthread_cond_signal(&workers->done);
        pthread_mutex_unlock(&workers->mutex);
    }
}

static enum oz_status start_helpers(struct oz_workers *workers, struct oz_error *err)
{
    sigset_t all, before;
    sigfillset(&all);
    /* A fault of the thread itself goes to the handler; blocked, it would end the process
     * unheard. */
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* a new thread inherits it */
    enum oz_status status = OZ_OK;
    for (unsigned i = 1; i < workers->n && status == OZ_OK; i++) {
        struct helper *helper = &workers->helper[i];
        *helper = (struct helper){.workers = workers, .number = i};
        int failed = pthread_create(&helper->thread, NULL, help, helper);
        if (failed) {
            status = oz_error_set(err, OZ_ENVIRONMENT,
                                  "cannot start worker thread %u of %u: %s; raise the limit of "
                                  "threads, or lower workers",
                                  i + 1, workers->n, strerror(failed));
            break;
        }
        char name[32];
        snprintf(name, sizeof(name), "ouzel-w%u", i);
        name[15] = '\0'; /* the kernel's limit */
        pthread_setname_np(helper->thread, name);
        workers->n_started = i;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

enum oz_status oz_workers_new(unsigned n, struct oz_workers **ret_workers, struct oz_error *err)
{
    OZ_ASSERT(n >= 1 && n <= OZ_WORKERS_MAX);
    struct oz_workers *workers = oz_calloc(1, sizeof(*workers) + n * sizeof(struct helper));
    if (!workers) return oz_no_memory(err);
    workers->n = n;
    pthread_mutex_init(&workers->mutex, NULL);
    pthread_cond_init(&workers->start, NULL);
    pthread_cond_init(&workers->done, NULL);
    enum oz_status status = start_helpers(workers, err);
    if (status != OZ_OK) {
        oz_workers_free(workers);
        return status;
    }
    *ret_workers = workers;
    return OZ_OK;
}

void oz_workers_free(struct oz_workers *workers)
{
    if (!workers) return;
    workers->stop = true;
    start(workers);
    for (unsigned i = 1; i <= workers->n_started; i++)
        pthread_join(workers->helper[i].thread, NULL);
    pthread_cond_destroy(&workers->done);
    pthread_cond_destroy(&workers->start);
    pthread_mutex_destroy(&workers->mutex);
    oz_free(workers);
}

unsigned oz_workers_count(const struct oz_workers *workers) { return workers->n; }

void oz_workers_run(struct oz_workers *workers, void (*fn)(void *ctx, unsigned worker), void *ctx)
{
    if (workers->n == 1) {
        fn(ctx, 0);
        return;
    }
    OZ_ASSERT(atomic_load_explicit(&workers->n_running, memory_order_acquire) == 0);
    workers->fn = fn, workers->ctx = ctx;
    atomic_store_explicit(&workers->n_running, workers->n - 1, memory_order_relaxed);
    start(workers);
    fn(ctx, 0);
    wait_for_done(workers);
}
