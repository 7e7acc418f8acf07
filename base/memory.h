/* The only door to the heap: counts allocations, so that a test can show that the batch path makes
 * none, and can be told to fail, so that a test reaches the paths behind a NULL.
 * Threads: any. Ownership: what is returned is the caller's, freed by oz_free(). */
#ifndef OZ_BASE_MEMORY_H
#define OZ_BASE_MEMORY_H
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif
void *oz_malloc(size_t n_bytes);              /* NULL when there is none */
void *oz_calloc(size_t n, size_t each_bytes); /* zeroed; NULL also on overflow of n * each */
void *oz_realloc(void *p, size_t n_bytes);
void oz_free(void *p); /* NULL is fine */
char *oz_strdup(const char *s);

/* Grows *items to hold at least `n` of `each_bytes`, at least doubling; *cap counts items. */
enum oz_status oz_grow(void **items, size_t *cap, size_t n, size_t each_bytes,
                       struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_no_memory(struct oz_error *err); /* fills err, returns OZ_NO_MEMORY */

uint64_t oz_allocations(void);       /* calls of malloc, calloc and realloc so far, all threads */
void oz_fail_allocation(uint64_t n); /* the n-th from now returns NULL, once; 0: none */
#ifdef __cplusplus
}
#endif
#endif
