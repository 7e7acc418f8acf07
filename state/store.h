/* The rows on disk: RocksDB, one column family, always a committed prefix of the changelog.
 *   rows     key u16be partition | u8 entity | changelog key; value as in state/sealed.h
 *   offsets  one record a partition, key u16be partition | u8 OZ_STORE_OFFSETS; value as a part's,
 *            its payload u32le partitions, sources, entities | u64le epoch | i64le time |
 *            i64le source[] | i64le changelog[]
 *   meta     key u16be 0 | u8 OZ_STORE_META; value as a part's, its payload JSON: pipeline,
 *            entities, partitions, the text of every layout
 * The folder holds `ouzel.lock` (locked while open; the holder's pid is in it) and RocksDB's
 * `rows/`. The write-ahead log is on and not synced: a killed process loses nothing.
 * Threads: reads from any; one writer.
 * Ownership: a folder belongs to one process, by a lock file.
 * Errors: OZ_STATE when another process holds the folder or it belongs to something else;
 * OZ_CORRUPT; OZ_IO with RocksDB's own words (a full disk says so). */
#ifndef OZ_STATE_STORE_H
#define OZ_STATE_STORE_H
#include "base/columns.h"
#include "state/sealed.h"

enum { OZ_STORE_OFFSETS = 254, OZ_STORE_META = 255, OZ_PARTITIONS_MAX = 1024 };
#define OZ_NO_OFFSET INT64_C(-1)

/* How far a partition has come: in the sources that feed it, and in the changelogs. */
struct oz_positions {
    uint32_t n_partitions, n_sources, n_entities;
    int64_t *source;    /* [n_partitions x n_sources]: the next offset to read, or OZ_NO_OFFSET */
    int64_t *changelog; /* [n_partitions x n_entities]: replay from here, or OZ_NO_OFFSET */
    uint64_t epoch;     /* number of the newest epoch that is in */
    int64_t time_us;    /* wall time of the write */
};
enum oz_status oz_positions_init(struct oz_positions *pos, uint32_t n_partitions,
                                 uint32_t n_sources, uint32_t n_entities,
                                 struct oz_error *err) OZ_MUST_USE; /* all OZ_NO_OFFSET */
/* In the shape that a stored record has. */
enum oz_status oz_positions_init_like(struct oz_positions *pos, const uint8_t *value, size_t len,
                                      struct oz_error *err) OZ_MUST_USE;
void oz_positions_copy(struct oz_positions *pos, const struct oz_positions *from); /* same shape */
void oz_positions_reset(struct oz_positions *pos); /* as after init */
/* Whether the partition has any offset: a process that shares its group has only those of its own
 * partitions. */
bool oz_positions_has(const struct oz_positions *pos, uint32_t partition);
void oz_positions_forget(struct oz_positions *pos, uint32_t partition); /* it has none any more */
void oz_positions_clear(struct oz_positions *pos);
/* One partition's record, value bytes; decode checks everything and takes the larger epoch and
 * time. */
void oz_positions_encode(const struct oz_positions *pos, uint32_t partition,
                         struct oz_buf *ret_value);
enum oz_status oz_positions_decode(struct oz_positions *pos, uint32_t partition,
                                   const uint8_t *value, size_t len,
                                   struct oz_error *err) OZ_MUST_USE;

struct oz_store;
/* Rows that are damaged (a file that RocksDB cannot read, or what oz_store_damaged() noted) are
 * thrown away with a line in the log when `may_rebuild`: the store is empty then. Else OZ_STATE. */
enum oz_status oz_store_open(const char *dir, size_t memory_bytes, bool may_rebuild,
                             struct oz_store **ret_store, struct oz_error *err) OZ_MUST_USE;
/* Opens a folder to look at it, beside a process that may be at work on it: nothing in it is
 * locked, made or written. What is seen is all that was written before the call, whole writes
 * only, and does not change; writing is refused. OZ_ENVIRONMENT: there is no such folder. OZ_STATE:
 * it is no state folder, or nothing was ever kept in it. OZ_RETRY: it was reorganised again and
 * again while it was opened. */
enum oz_status oz_store_open_read_only(const char *dir, size_t memory_bytes,
                                       struct oz_store **ret_store,
                                       struct oz_error *err) OZ_MUST_USE;
void oz_store_close(struct oz_store *store);
const char *oz_store_dir(const struct oz_store *store);
/* What was read makes no sense: no later start trusts the folder. What the store finds out itself
 * it notes itself; row bytes are its caller's. From any thread; a view notes nothing. */
void oz_store_damaged(struct oz_store *store, const char *why);
bool oz_store_is_damaged(const struct oz_store *store);

/* Writes the store's key of a part, at most OZ_STORE_KEY_BYTES_MAX bytes; returns its length. */
enum {
    OZ_STORE_KEY_HEAD_BYTES = 3,
    OZ_STORE_KEY_BYTES_MAX =
        OZ_STORE_KEY_HEAD_BYTES + OZ_ROW_KEY_BYTES_MAX + OZ_PART_KEY_EXTRA_BYTES
};
size_t oz_store_key(uint8_t *to, uint32_t partition, uint8_t entity, const char *key,
                    uint32_t key_len, uint32_t part);

/* Values of n keys at once, sorted inside; a missing one has len 0 and data NULL. Values are valid
 * until the reader's next call (n == 0 lets go of them). A reader belongs to one thread. */
struct oz_store_reader;
struct oz_bytes {
    const uint8_t *data;
    size_t len;
};
enum oz_status oz_store_reader_new(struct oz_store *store, struct oz_store_reader **ret_reader,
                                   struct oz_error *err) OZ_MUST_USE;
void oz_store_reader_free(struct oz_store_reader *reader);
enum oz_status oz_store_get_many(struct oz_store_reader *reader, const struct oz_bytes *key,
                                 size_t n, struct oz_bytes *ret_value,
                                 struct oz_error *err) OZ_MUST_USE;

/* One atomic write of everything that is due: of several sealed sets the later one's part wins;
 * `pos` may be NULL (tests). Partitions without any offset in it keep the record they have. */
enum oz_status oz_store_write(struct oz_store *store, const struct oz_sealed *const *sealed,
                              size_t n_sealed, const struct oz_positions *pos,
                              struct oz_error *err) OZ_MUST_USE;
/* *ret_found false: nothing was ever written with positions, ret_pos is reset. A partition that was
 * never this store's has no offsets in it. Shape mismatch with what `ret_pos` was made for:
 * OZ_STATE; a damaged record: OZ_CORRUPT. */
enum oz_status oz_store_positions(struct oz_store *store, struct oz_positions *ret_pos,
                                  bool *ret_found, struct oz_error *err) OZ_MUST_USE;
/* One partition's record into ret_pos, whose epoch becomes the larger one; its time by itself. */
enum oz_status oz_store_position(struct oz_store *store, uint32_t partition,
                                 struct oz_positions *ret_pos, bool *ret_found,
                                 int64_t *ret_time_us, struct oz_error *err) OZ_MUST_USE;
/* Throws away the rows and the positions of one partition, at once and for good. */
enum oz_status oz_store_wipe(struct oz_store *store, uint32_t partition,
                             struct oz_error *err) OZ_MUST_USE;
/* Whether there is any row. */
enum oz_status oz_store_has_rows(struct oz_store *store, bool *ret_has_rows,
                                 struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_store_meta(struct oz_store *store, struct oz_buf *ret_json,
                             struct oz_error *err) OZ_MUST_USE; /* empty: none */
enum oz_status oz_store_set_meta(struct oz_store *store, const char *json, size_t len,
                                 struct oz_error *err) OZ_MUST_USE;
/* Every stored record in key order; the callback returns false to stop. */
enum oz_status oz_store_scan(struct oz_store *store,
                             bool (*each)(void *ctx, struct oz_bytes key, struct oz_bytes value),
                             void *ctx, struct oz_error *err) OZ_MUST_USE;
/* Those whose key begins with these bytes. */
enum oz_status oz_store_scan_prefix(struct oz_store *store, struct oz_bytes prefix,
                                    bool (*each)(void *ctx, struct oz_bytes key,
                                                 struct oz_bytes value),
                                    void *ctx, struct oz_error *err) OZ_MUST_USE;
uint64_t oz_store_estimate_records(struct oz_store *store); /* about; for a progress bar */
uint64_t oz_store_gets(const struct oz_store *store);       /* keys asked for so far */
#endif
