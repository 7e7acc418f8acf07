#include "base/arena.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ALIGN = 16, BLOCK_BYTES_MIN = 256, BLOCK_BYTES_GROWN_MAX = 16 << 20 };

struct oz_arena_block {
    struct oz_arena_block *next;
    size_t used, cap; /* of bytes; `used` of the blocks behind `current` is stale */
    _Alignas(ALIGN) uint8_t bytes[];
};

void oz_arena_init(struct oz_arena *arena, size_t block_bytes)
{
    *arena = (struct oz_arena){.block_bytes = OZ_MAX(block_bytes, (size_t)BLOCK_BYTES_MIN)};
}

void oz_arena_clear(struct oz_arena *arena)
{
    for (struct oz_arena_block *block = arena->first, *next; block; block = next) {
        next = block->next;
        oz_free(block);
    }
    arena->first = arena->current = NULL;
}

void oz_arena_reset(struct oz_arena *arena)
{
    arena->current = arena->first;
    if (arena->current) arena->current->used = 0;
}

/* Makes `current` a block that holds n bytes from its start: a kept one, else a new one at the
 * end. */
static OZ_COLD bool next_block(struct oz_arena *arena, size_t n_bytes)
{
    struct oz_arena_block *last = arena->current;
    for (struct oz_arena_block *block = last ? last->next : NULL; block; block = block->next) {
        last = block;
        if (block->cap < n_bytes) continue;
        arena->current = block;
        return true;
    }
    size_t cap = OZ_MAX(n_bytes, arena->block_bytes), with_head;
    if (__builtin_add_overflow(cap, sizeof(struct oz_arena_block), &with_head)) return false;
    struct oz_arena_block *block = oz_malloc(with_head);
    if (!block) return false;
    block->next = NULL, block->used = 0, block->cap = cap;
    *(last ? &last->next : &arena->first) = block;
    arena->current = block;
    if (arena->block_bytes < BLOCK_BYTES_GROWN_MAX) arena->block_bytes *= 2;
    return true;
}

static void *take(struct oz_arena *arena, size_t n_bytes, size_t align)
{
    struct oz_arena_block *block = arena->current;
    size_t at = block ? (block->used + (align - 1)) & ~(align - 1) : 0;
    if (OZ_UNLIKELY(!block || at > block->cap || block->cap - at < n_bytes)) {
        if (!next_block(arena, n_bytes)) return NULL;
        block = arena->current, at = 0;
    }
    block->used = at + n_bytes;
    return block->bytes + at;
}

void *oz_arena_get(struct oz_arena *arena, size_t n_bytes) { return take(arena, n_bytes, ALIGN); }

void *oz_arena_aligned(struct oz_arena *arena, size_t n_bytes)
{
    size_t with_room;
    if (__builtin_add_overflow(n_bytes, (size_t)OZ_ARENA_LINE, &with_room)) return NULL;
    uintptr_t p = (uintptr_t)take(arena, with_room, ALIGN);
    return p ? (void *)((p + OZ_ARENA_LINE - 1) & ~(uintptr_t)(OZ_ARENA_LINE - 1)) : NULL;
}

void *oz_arena_zeroed(struct oz_arena *arena, size_t n, size_t each_bytes)
{
    size_t n_bytes;
    if (__builtin_mul_overflow(n, each_bytes, &n_bytes)) return NULL;
    void *p = take(arena, n_bytes, ALIGN);
    return p ? memset(p, 0, n_bytes) : NULL;
}

char *oz_arena_strndup(struct oz_arena *arena, const char *s, size_t len)
{
    if (len == SIZE_MAX) return NULL;
    char *copy = take(arena, len + 1, 1);
    if (!copy) return NULL;
    if (len) memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

char *oz_arena_printf(struct oz_arena *arena, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = n < 0 ? NULL : take(arena, (size_t)n + 1, 1);
    if (text) vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    return text;
}
