/* A store looked at by somebody who changes nothing: every stored part, the positions whatever
 * their shape, and rows decoded one at a time, without a cache.
 * Threads: one. Ownership: bytes handed to a visitor, and a row, are borrowed until the next call.
 * Errors: OZ_CORRUPT names entity, partition, key and part. */
#ifndef OZ_STATE_STORE_LOOK_H
#define OZ_STATE_STORE_LOOK_H
#include "state/row_kind.h"
#include "state/store.h"

struct oz_stored_part {
    uint32_t partition;
    uint8_t entity; /* or OZ_STORE_OFFSETS, OZ_STORE_META: then no key and no part */
    const char *key;
    uint32_t key_len, part;
    struct oz_bytes value; /* whole, with its header */
};

/* Parts of rows and the store's own; lanes of an exchange are passed over.
 * Any status but OZ_OK ends the look and is handed on. `damaged` hears of what fails its checks;
 * without it the first one ends the look. */
struct oz_look {
    void *ctx;
    const char *const *entity_name; /* for messages; [n_entities] */
    uint32_t n_entities;
    enum oz_status (*part)(void *ctx, const struct oz_stored_part *part, struct oz_error *err);
    enum oz_status (*damaged)(void *ctx, struct oz_error *err); /* nullable */
};
enum oz_status oz_look_parts(struct oz_store *store, struct oz_bytes prefix,
                             const struct oz_look *look, struct oz_error *err) OZ_MUST_USE;
/* Positions in the shape that they are stored in; ret_pos is made here and is the caller's to
 * clear. *ret_found false: nothing was stored with positions, and ret_pos is empty. */
enum oz_status oz_look_positions(struct oz_store *store, struct oz_positions *ret_pos,
                                 bool *ret_found, struct oz_error *err) OZ_MUST_USE;

struct oz_row_look;
enum oz_status oz_row_look_new(struct oz_store *store, const struct oz_row_kind *kind,
                               const char *entity_name, uint8_t entity,
                               struct oz_row_look **ret_look, struct oz_error *err) OZ_MUST_USE;
void oz_row_look_free(struct oz_row_look *look);
/* *ret_row is NULL when there is no such row. It holds until the next call. */
enum oz_status oz_row_look_get(struct oz_row_look *look, uint32_t partition, const char *key,
                               uint32_t key_len, void **ret_row, struct oz_row_io **ret_io,
                               struct oz_error *err) OZ_MUST_USE;
#endif
