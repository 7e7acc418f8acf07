/* librdkafka starts its threads and guards its data by C11's <threads.h>, which the thread
 * sanitizer of gcc does not follow: a thread that it has not seen begin crashes in its first
 * allocation, and what passes from thread to thread under a lock that it has not seen looks like a
 * race. In thread-sanitizer builds these functions come before the C library's and go through POSIX
 * threads, which it does follow. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

#define EXPORTED __attribute__((visibility("default")))

_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t), "a C11 mutex has room for a POSIX one");
_Static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t), "a C11 condition has room for a POSIX one");

struct start {
    thrd_start_t main;
    void *arg;
};

static int result_of(int code)
{
    switch (code) {
    case 0: return thrd_success;
    case ENOMEM: return thrd_nomem;
    case ETIMEDOUT: return thrd_timedout;
    case EBUSY: return thrd_busy;
    default: return thrd_error;
    }
}

static void *run(void *arg)
{
    struct start start = *(struct start *)arg;
    free(arg);
    return (void *)(intptr_t)start.main(start.arg);
}

EXPORTED int thrd_create(thrd_t *thread, thrd_start_t main, void *arg)
{
    struct start *start = malloc(sizeof *start);
    if (!start) return thrd_nomem;
    *start = (struct start){main, arg};
    int code = pthread_create(thread, NULL, run, start);
    if (code) free(start);
    return result_of(code);
}

EXPORTED int thrd_join(thrd_t thread, int *ret_result)
{
    void *result;
    int code = pthread_join(thread, &result);
    if (!code && ret_result) *ret_result = (int)(intptr_t)result;
    return result_of(code);
}

EXPORTED int thrd_detach(thrd_t thread) { return result_of(pthread_detach(thread)); }

EXPORTED int mtx_init(mtx_t *mutex, int type)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    if (type & mtx_recursive) pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    int code = pthread_mutex_init((pthread_mutex_t *)mutex, &attr);
    pthread_mutexattr_destroy(&attr);
    return result_of(code);
}
EXPORTED void mtx_destroy(mtx_t *mutex) { pthread_mutex_destroy((pthread_mutex_t *)mutex); }
EXPORTED int mtx_lock(mtx_t *mutex) { return result_of(pthread_mutex_lock((void *)mutex)); }
EXPORTED int mtx_trylock(mtx_t *mutex) { return result_of(pthread_mutex_trylock((void *)mutex)); }
EXPORTED int mtx_unlock(mtx_t *mutex) { return result_of(pthread_mutex_unlock((void *)mutex)); }

EXPORTED int cnd_init(cnd_t *cond) { return result_of(pthread_cond_init((void *)cond, NULL)); }
EXPORTED void cnd_destroy(cnd_t *cond) { pthread_cond_destroy((void *)cond); }
EXPORTED int cnd_signal(cnd_t *cond) { return result_of(pthread_cond_signal((void *)cond)); }
EXPORTED int cnd_broadcast(cnd_t *cond) { return result_of(pthread_cond_broadcast((void *)cond)); }
EXPORTED int cnd_wait(cnd_t *cond, mtx_t *mutex)
{
    return result_of(pthread_cond_wait((void *)cond, (void *)mutex));
}
EXPORTED int cnd_timedwait(cnd_t *restrict cond, mtx_t *restrict mutex,
                           const struct timespec *restrict until)
{
    return result_of(pthread_cond_timedwait((void *)cond, (void *)mutex, until));
}
