/* Memory that dies together. Arenas are named by how long they live: `app` (pipeline and models,
 * until the end), `batch` (reset after every batch).
 * Layout: a list of blocks; reset keeps them, so a batch arena stops allocating once it is warm.
 * Threads: one. Ownership: the arena owns all it gives out. */
#ifndef OZ_BASE_ARENA_H
#define OZ_BASE_ARENA_H
#include "base/memory.h"

enum { OZ_ARENA_LINE = 64 };

struct oz_arena_block;
struct oz_arena {
    struct oz_arena_block *first, *current;
    size_t block_bytes; /* of the next block */
};

#ifdef __cplusplus
extern "C" {
#endif
void oz_arena_init(struct oz_arena *arena, size_t block_bytes); /* allocates nothing yet */
void oz_arena_clear(struct oz_arena *arena);                    /* frees every block */
void oz_arena_reset(struct oz_arena *arena); /* forgets what was given out, keeps the blocks */
void *oz_arena_get(struct oz_arena *arena, size_t n_bytes); /* aligned to 16; NULL: out of memory */
/* Aligned to OZ_ARENA_LINE, as vectors and cache lines are. */
void *oz_arena_aligned(struct oz_arena *arena, size_t n_bytes);
void *oz_arena_zeroed(struct oz_arena *arena, size_t n, size_t each_bytes);
char *oz_arena_strndup(struct oz_arena *arena, const char *s, size_t len); /* NUL-terminated copy */
char *oz_arena_printf(struct oz_arena *arena, const char *fmt, ...) OZ_PRINTF(2, 3);
#ifdef __cplusplus
}
#endif
#endif
