/* librdkafka starts its threads by C11's thrd_create(), which the thread sanitizer of gcc does not
 * follow: a thread that it has not seen begin crashes in its first allocation. In thread-sanitizer
 * builds these come before the C library's and go through POSIX threads, which it does follow. */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

#define EXPORTED __attribute__((visibility("default")))

struct start {
    thrd_start_t main;
    void *arg;
};

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
    if (!pthread_create(thread, NULL, run, start)) return thrd_success;
    free(start);
    return thrd_error;
}

EXPORTED int thrd_join(thrd_t thread, int *ret_result)
{
    void *result;
    if (pthread_join(thread, &result)) return thrd_error;
    if (ret_result) *ret_result = (int)(intptr_t)result;
    return thrd_success;
}

EXPORTED int thrd_detach(thrd_t thread)
{
    return pthread_detach(thread) ? thrd_error : thrd_success;
}
