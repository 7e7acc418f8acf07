/* What a process does with its local state before it reads the first record of the partitions that
 * it was given: it brings the store to the committed epoch, or says why it cannot
 * (state/PROTOCOL.md, "Start"). Each partition by itself:
 *
 *   nothing committed                 fresh: the first positions are written
 *   exactly once, store and commit    the changelog's tail is read into the store, up to its end as
 *                                     of now; then the store stands at the committed offsets
 *   exactly once, no usable store     the partition is wiped and rebuilt from the whole changelog
 *   at least once, store              resume at the store's own offsets, nothing is read
 *   anything else                     OZ_STATE: names what does not fit and what to do
 *
 * Not usable is a store without the partition, one that stands outside of the changelog, or one
 * that is behind the commit and older than the changelog keeps deletes. The committed offsets are
 * fetched (stable) BEFORE this is called, as the changelog's end must be asked for after them; that
 * is done in here.
 * Threads: one, while nobody else uses the store.
 * Errors: OZ_STATE; OZ_LOST when a changelog has lost what a rebuild needs; OZ_CORRUPT for a
 * damaged record of the changelog; what changelog and store say; OZ_RETRY when progress() asked to
 * stop. */
#ifndef OZ_STATE_REPLAY_H
#define OZ_STATE_REPLAY_H
#include "state/changelog.h"

enum { OZ_REPLAY_BATCH_RECORDS = 10000, OZ_REPLAY_BATCH_BYTES = 32 << 20 };

/* Who understands meta records. */
struct oz_meta_keeper {
    void *ctx;
    /* Takes one that was found: refuses it (OZ_STATE, OZ_CORRUPT), or learns what it says. */
    enum oz_status (*learn)(void *ctx, const char *json, size_t len, struct oz_error *err);
    /* The one to keep from now on; valid until the next call. */
    enum oz_status (*text)(void *ctx, const char **ret_json, size_t *ret_len, struct oz_error *err);
};

struct oz_replay_options {
    const struct oz_meta_keeper *meta;
    bool exactly_once;
    const bool *owned;              /* [n_partitions]; NULL: all of them */
    const char *const *source_name; /* [n_sources], for messages */
    const char *const *entity_name; /* [n_entities], for messages */
    int64_t wait_us;                /* longest time that the tail may stand still */
    int64_t delete_retention_us;    /* how long the changelog keeps deletes; 0: not checked */
    /* Nullable; false: stop, OZ_RETRY. n_left counts offsets and is an upper bound of records. */
    bool (*progress)(void *ctx, uint64_t n_done, uint64_t n_left);
    void *progress_ctx;
};

/* What was done with a partition. */
enum oz_replayed {
    OZ_REPLAYED_NOTHING, /* the store had all, or the partition is not owned */
    OZ_REPLAYED_FRESH,   /* nothing was ever committed: its first transaction carries the meta
                            records */
    OZ_REPLAYED_TAIL,    /* rows in memory are older than the store's now */
    OZ_REPLAYED_WHOLE    /* rebuilt; the same */
};

struct oz_replay_result {
    enum oz_replayed *partition; /* [n_partitions], the caller's */
    uint64_t n_records;          /* read from the changelogs */
    uint32_t n_rebuilt;          /* partitions */
};

/* `changelog` may be NULL when not exactly_once (then its offsets stay OZ_NO_OFFSET). ret_pos was
 * made by oz_positions_init() with committed's shape: where the store stands and reading begins,
 * for the owned partitions; others have no offsets in it. A source offset of OZ_NO_OFFSET in an
 * owned one has never been read: the caller's `start` decides. */
enum oz_status oz_replay(struct oz_store *store, struct oz_changelog *changelog,
                         const struct oz_positions *committed,
                         const struct oz_replay_options *options, struct oz_positions *ret_pos,
                         struct oz_replay_result *ret_result, struct oz_error *err) OZ_MUST_USE;
#endif
