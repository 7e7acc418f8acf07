/* A row kind that a naive twin can follow: a row is a list of numbers. The newest ones are open, in
 * the main part; full chunks are closed into parts of their own, which stay in memory until the
 * store has them and are read back from there: what real rows do, without anything real in it. */
#ifndef OZ_TESTS_UNIT_STATE_TOY_ROW_H
#define OZ_TESTS_UNIT_STATE_TOY_ROW_H
#include <string.h>
#include "state/row_kind.h"

enum { TOY_CHUNK = 40, TOY_LAYOUT = 7, TOY_KEPT_MAX = 64, TOY_NUMBERS_MAX = 20000 };

struct toy_kept { /* a closed chunk that the store may lack */
    uint32_t part;
    uint64_t epoch;
    bool sealed;
    uint32_t *number; /* [TOY_CHUNK] */
};
struct toy_row {
    uint32_t n_chunks, n_open, cap_open;
    uint32_t *open;
    struct toy_kept *kept; /* [TOY_KEPT_MAX], NULL until one is needed */
    uint32_t n_kept;
    uint32_t n_deleted_from, n_deleted; /* parts to delete at the next encode */
    char canary[32];                    /* of the first byte of its own address: rows never move */
};

static inline void toy_mark(struct toy_row *row)
{
    memset(row->canary, (int)((uintptr_t)row >> 6 & 0xff), sizeof row->canary);
}

static inline bool toy_is_marked(const struct toy_row *row)
{
    for (size_t i = 0; i < sizeof row->canary; i++)
        if ((uint8_t)row->canary[i] != ((uintptr_t)row >> 6 & 0xff)) return false;
    return true;
}

static inline enum oz_status toy_reserve(struct toy_row *row, struct oz_pool *pool, uint32_t n,
                                         struct oz_error *err)
{
    if (n <= row->cap_open) return OZ_OK;
    size_t bytes;
    uint32_t *open = oz_pool_get(pool, n * sizeof *open, &bytes);
    if (!open) return oz_no_memory(err);
    if (row->n_open) memcpy(open, row->open, row->n_open * sizeof *open);
    oz_pool_put(pool, row->open, row->cap_open * sizeof *open);
    row->open = open;
    row->cap_open = (uint32_t)(bytes / sizeof *open);
    return OZ_OK;
}

static inline enum oz_status toy_init(const void *ctx, void *p, struct oz_row_io *io,
                                      struct oz_error *err)
{
    (void)ctx, (void)io, (void)err;
    struct toy_row *row = p;
    memset(row, 0, sizeof *row);
    toy_mark(row);
    return OZ_OK;
}

static inline void toy_clear(const void *ctx, void *p, struct oz_pool *pool)
{
    (void)ctx;
    struct toy_row *row = p;
    for (uint32_t i = 0; i < row->n_kept; i++)
        oz_pool_put(pool, row->kept[i].number, TOY_CHUNK * sizeof(uint32_t));
    oz_pool_put(pool, row->kept, TOY_KEPT_MAX * sizeof *row->kept);
    oz_pool_put(pool, row->open, row->cap_open * sizeof *row->open);
    memset(row, 0xee, sizeof *row);
}

static inline enum oz_status toy_decode(const void *ctx, void *p, struct oz_row_io *io,
                                        const uint8_t *payload, size_t len, struct oz_error *err)
{
    struct toy_row *row = p;
    uint32_t head[2];
    OZ_TRY(toy_init(ctx, row, io, err));
    if (len < sizeof head) OZ_FAIL(err, OZ_CORRUPT, "a toy row of %zu bytes", len);
    memcpy(head, payload, sizeof head);
    if (head[1] > TOY_CHUNK || len != sizeof head + head[1] * sizeof(uint32_t))
        OZ_FAIL(err, OZ_CORRUPT, "a toy row of %u numbers in %zu bytes", head[1], len);
    OZ_TRY(toy_reserve(row, io->pool, head[1], err));
    row->n_chunks = head[0];
    row->n_open = head[1];
    if (head[1]) memcpy(row->open, payload + sizeof head, head[1] * sizeof(uint32_t));
    return OZ_OK;
}

static inline enum oz_status toy_put(struct oz_sealed *sealed, uint32_t part, const void *head,
                                     size_t head_bytes, const uint32_t *number, uint32_t n,
                                     struct oz_error *err)
{
    struct oz_buf *buf = oz_sealed_begin(sealed, part, err);
    if (!buf) return OZ_NO_MEMORY;
    oz_buf_put(buf, head, head_bytes);
    oz_buf_put(buf, number, n * sizeof *number);
    return oz_sealed_end(sealed, err);
}

static inline enum oz_status toy_encode(const void *ctx, void *p, struct oz_row_io *io,
                                        struct oz_sealed *sealed, struct oz_error *err)
{
    (void)ctx, (void)io;
    struct toy_row *row = p;
    for (uint32_t i = 0; i < row->n_deleted; i++)
        OZ_TRY(oz_sealed_delete(sealed, row->n_deleted_from + i, err));
    row->n_deleted = 0;
    for (uint32_t i = 0; i < row->n_kept; i++) {
        if (row->kept[i].sealed) continue;
        OZ_TRY(toy_put(sealed, row->kept[i].part, NULL, 0, row->kept[i].number, TOY_CHUNK, err));
        row->kept[i].sealed = true;
    }
    uint32_t head[2] = {row->n_chunks, row->n_open};
    return toy_put(sealed, OZ_PART_MAIN, head, sizeof head, row->open, row->n_open, err);
}

static const struct oz_row_kind toy_kind = {.row_bytes = sizeof(struct toy_row),
                                            .layout = TOY_LAYOUT,
                                            .init = toy_init,
                                            .decode = toy_decode,
                                            .encode = toy_encode,
                                            .clear = toy_clear};

static inline void toy_forget_stored(struct toy_row *row, struct oz_row_io *io)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < row->n_kept; i++)
        if (row->kept[i].epoch <= io->stored_epoch)
            oz_pool_put(io->pool, row->kept[i].number, TOY_CHUNK * sizeof(uint32_t));
        else
            row->kept[n++] = row->kept[i];
    row->n_kept = n;
}

static inline enum oz_status toy_close_chunk(struct toy_row *row, struct oz_row_io *io,
                                             struct oz_error *err)
{
    if (!row->kept) row->kept = oz_pool_get(io->pool, TOY_KEPT_MAX * sizeof *row->kept, NULL);
    uint32_t *number = oz_pool_get(io->pool, TOY_CHUNK * sizeof *number, NULL);
    if (!row->kept || !number) return oz_no_memory(err);
    OZ_ASSERT(row->n_kept < TOY_KEPT_MAX);
    memcpy(number, row->open, TOY_CHUNK * sizeof *number);
    row->kept[row->n_kept++] = (struct toy_kept){
        .part = OZ_PART_FIRST_CHUNK + row->n_chunks++, .epoch = io->epoch, .number = number};
    row->n_open = 0;
    return OZ_OK;
}

static inline enum oz_status toy_push(struct toy_row *row, struct oz_row_io *io, uint32_t number,
                                      struct oz_error *err)
{
    toy_forget_stored(row, io);
    if (row->n_open == TOY_CHUNK) OZ_TRY(toy_close_chunk(row, io, err));
    OZ_TRY(toy_reserve(row, io->pool, row->n_open + 1, err));
    row->open[row->n_open++] = number;
    return OZ_OK;
}

/* Empties the row: its chunks are deleted. Only right after a seal that the store has. */
static inline bool toy_empty(struct toy_row *row, struct oz_row_io *io)
{
    toy_forget_stored(row, io);
    if (row->n_kept || row->n_deleted) return false;
    row->n_deleted_from = OZ_PART_FIRST_CHUNK;
    row->n_deleted = row->n_chunks;
    row->n_chunks = row->n_open = 0;
    return true;
}

/* All numbers, oldest first; ret_number holds TOY_NUMBERS_MAX. */
static inline enum oz_status toy_read(struct toy_row *row, struct oz_row_io *io,
                                      uint32_t *ret_number, uint32_t *ret_n, struct oz_error *err)
{
    uint32_t n = 0;
    for (uint32_t c = 0; c < row->n_chunks; c++, n += TOY_CHUNK) {
        const uint8_t *payload = NULL;
        size_t len = 0;
        for (uint32_t i = 0; i < row->n_kept; i++)
            if (row->kept[i].part == OZ_PART_FIRST_CHUNK + c)
                payload = (const uint8_t *)row->kept[i].number, len = TOY_CHUNK * 4;
        if (!payload) OZ_TRY(io->read(io, OZ_PART_FIRST_CHUNK + c, &payload, &len, err));
        if (!payload || len != TOY_CHUNK * 4) OZ_FAIL(err, OZ_CORRUPT, "chunk %u is missing", c);
        memcpy(ret_number + n, payload, TOY_CHUNK * 4);
    }
    if (row->n_open) memcpy(ret_number + n, row->open, row->n_open * sizeof *row->open);
    *ret_n = n + row->n_open;
    return OZ_OK;
}
#endif
