/* What the cache must know of a row to keep it, without knowing what is in it: one const struct of
 * functions per entity, filled by features/row.h (and by tests with something simpler).
 * Threads: a row belongs to the worker that its key hashes to. Ownership: a row's memory beyond its
 * first row_bytes comes from io->pool and goes back there in clear(). */
#ifndef OZ_STATE_ROW_KIND_H
#define OZ_STATE_ROW_KIND_H
#include "state/pool.h"
#include "state/sealed.h"

/* What a row may ask for while it is worked on. */
struct oz_row_io {
    struct oz_pool *pool;
    uint64_t epoch;        /* the one that changes now belong to; counts from 1 */
    uint32_t layout;       /* of the row that is decoded: 0 the kind's own, else 1 + its number
                              among the older ones; set by oz_row_kind_open() */
    uint64_t stored_epoch; /* changes up to this one are in the store: what has not changed since
                              may be dropped from memory and read again */
    /* Reads a part's payload, valid until the next call: NULL when there is none. */
    enum oz_status (*read)(struct oz_row_io *io, uint32_t part, const uint8_t **ret_payload,
                           size_t *ret_len, struct oz_error *err);
    uint64_t reads, read_bytes; /* counts */
};

/* A layout that older rows have. */
struct oz_older_layout {
    uint16_t number;
    uint16_t columns; /* 0: its parts have the same columns as the kind's own; else equal numbers
                         mean equal columns */
};

struct oz_row_kind {
    const void *ctx;
    size_t row_bytes;                    /* of the head, without what it allocates */
    uint16_t layout;                     /* written into every part's header */
    const struct oz_older_layout *older; /* [n_older] read as well */
    uint32_t n_older;
    /* A key that has no row yet. The row's bytes are not zeroed. */
    enum oz_status (*init)(const void *ctx, void *row, struct oz_row_io *io, struct oz_error *err);
    /* From the payload of the main part, which stays valid while other parts are read. On failure
     * the row is as after clear(). */
    enum oz_status (*decode)(const void *ctx, void *row, struct oz_row_io *io,
                             const uint8_t *payload, size_t len, struct oz_error *err);
    /* Appends the parts that changed since the last encode (or decode); they count as written. */
    enum oz_status (*encode)(const void *ctx, void *row, struct oz_row_io *io,
                             struct oz_sealed *sealed, struct oz_error *err);
    void (*clear)(const void *ctx, void *row, struct oz_pool *pool);
    /* Optional: asks for the memory that encode() begins with; the head itself is there. */
    void (*prefetch)(const void *ctx, const void *row);
};

/* Checks a stored value and gives its payload. The main part says which layout the row has, in
 * io->layout; other parts must have the columns of that one. OZ_CORRUPT: damaged, or of a layout
 * that this definition does not know. */
enum oz_status oz_row_kind_open(const struct oz_row_kind *kind, struct oz_row_io *io, uint32_t part,
                                const uint8_t *value, size_t len, const uint8_t **ret_payload,
                                size_t *ret_len, struct oz_error *err) OZ_MUST_USE;
#endif
