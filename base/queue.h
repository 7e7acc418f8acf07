/* A bounded queue of pointers between threads.
 * Order: first in, first out. A closed queue takes nothing more and gives out what it still holds.
 * Threads: any number on both sides; init and clear by one, with nobody else inside.
 * Ownership: the items stay the caller's; clear does not touch them. */
#ifndef OZ_BASE_QUEUE_H
#define OZ_BASE_QUEUE_H
#include <pthread.h>
#include "base/status.h"

enum oz_queue_result { OZ_QUEUE_ITEM, OZ_QUEUE_TIMEOUT, OZ_QUEUE_CLOSED };

struct oz_queue {
    void **item; /* [cap], a ring */
    size_t cap, first, len;
    bool closed;
    pthread_mutex_t mutex;
    pthread_cond_t not_full, not_empty;
};

#ifdef __cplusplus
extern "C" {
#endif
enum oz_status oz_queue_init(struct oz_queue *queue, size_t cap, struct oz_error *err) OZ_MUST_USE;
void oz_queue_clear(struct oz_queue *queue); /* also after a failed init, and twice */
size_t oz_queue_len(struct oz_queue *queue); /* a moment ago */
/* Waits while full; false: closed, and the item was not taken. */
bool oz_queue_push(struct oz_queue *queue, void *item) OZ_MUST_USE;
/* Waits for an item, at most timeout_us; a negative one waits without end. */
enum oz_queue_result oz_queue_pop(struct oz_queue *queue, int64_t timeout_us, void **ret_item);
bool oz_queue_try_pop(struct oz_queue *queue, void **ret_item); /* false: empty now */
void oz_queue_close(struct oz_queue *queue);                    /* wakes all who wait */
#ifdef __cplusplus
}
#endif
#endif
