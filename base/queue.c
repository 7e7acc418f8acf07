#include "base/queue.h"
#include "base/memory.h"
#include <errno.h>
#include <time.h>

enum { NS_PER_SECOND = 1000000000 };
#define TIMEOUT_US_MAX (INT64_C(86400) * 365 * 1000000) /* keeps the sum below in range */

enum oz_status oz_queue_init(struct oz_queue *queue, size_t cap, struct oz_error *err)
{
    OZ_ASSERT(cap > 0);
    *queue = (struct oz_queue){.cap = cap};
    queue->item = oz_calloc(cap, sizeof(*queue->item));
    if (!queue->item) return oz_no_memory(err);
    pthread_condattr_t monotonic; /* a timeout must not move with the wall clock */
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_cond_init(&queue->not_full, &monotonic);
    pthread_cond_init(&queue->not_empty, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return OZ_OK;
}

void oz_queue_clear(struct oz_queue *queue)
{
    if (!queue->item) return;
    pthread_cond_destroy(&queue->not_empty);
    pthread_cond_destroy(&queue->not_full);
    pthread_mutex_destroy(&queue->mutex);
    oz_free(queue->item);
    queue->item = NULL;
}

size_t oz_queue_len(struct oz_queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    size_t len = queue->len;
    pthread_mutex_unlock(&queue->mutex);
    return len;
}

bool oz_queue_push(struct oz_queue *queue, void *item)
{
    pthread_mutex_lock(&queue->mutex);
    while (queue->len == queue->cap && !queue->closed)
        pthread_cond_wait(&queue->not_full, &queue->mutex);
    bool taken = !queue->closed;
    if (taken) {
        size_t at = queue->first + queue->len++;
        queue->item[at < queue->cap ? at : at - queue->cap] = item;
        pthread_cond_signal(&queue->not_empty);
    }
    pthread_mutex_unlock(&queue->mutex);
    return taken;
}

/* Under the mutex, with an item there. */
static void take_first(struct oz_queue *queue, void **ret_item)
{
    *ret_item = queue->item[queue->first];
    if (++queue->first == queue->cap) queue->first = 0;
    queue->len--;
    pthread_cond_signal(&queue->not_full);
}

static struct timespec time_after(int64_t us)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    us = OZ_MIN(us, TIMEOUT_US_MAX);
    at.tv_sec += us / 1000000;
    at.tv_nsec += us % 1000000 * 1000;
    if (at.tv_nsec >= NS_PER_SECOND) at.tv_sec++, at.tv_nsec -= NS_PER_SECOND;
    return at;
}

enum oz_queue_result oz_queue_pop(struct oz_queue *queue, int64_t timeout_us, void **ret_item)
{
    struct timespec until = {0};
    if (timeout_us > 0) until = time_after(timeout_us);
    pthread_mutex_lock(&queue->mutex);
    bool over = timeout_us == 0;
    while (!queue->len && !queue->closed && !over) {
        if (timeout_us < 0)
            pthread_cond_wait(&queue->not_empty, &queue->mutex);
        else
            over = pthread_cond_timedwait(&queue->not_empty, &queue->mutex, &until) == ETIMEDOUT;
    }
    enum oz_queue_result result = queue->len      ? OZ_QUEUE_ITEM
                                  : queue->closed ? OZ_QUEUE_CLOSED
                                                  : OZ_QUEUE_TIMEOUT;
    if (result == OZ_QUEUE_ITEM) take_first(queue, ret_item);
    pthread_mutex_unlock(&queue->mutex);
    return result;
}

bool oz_queue_try_pop(struct oz_queue *queue, void **ret_item)
{
    return oz_queue_pop(queue, 0, ret_item) == OZ_QUEUE_ITEM;
}

void oz_queue_close(struct oz_queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    queue->closed = true;
    pthread_cond_broadcast(&queue->not_full);
    pthread_cond_broadcast(&queue->not_empty);
    pthread_mutex_unlock(&queue->mutex);
}
