/* Looks for rows that are of no more use: a thread goes round over the store, a piece at a time,
 * and hands on the keys of those that somebody judges to be due. It changes nothing: whoever takes
 * the keys looks at the rows' newest versions and retires them (pipelines/run/retirement.h).
 *
 * Bounds: it works a tenth of its time at most, goes over OZ_SWEEP_ROWS_EACH rows for one that may
 * be retired, and waits while a handful of keys is not taken. After a round that retired little it
 * rests as long as many rounds take, so that a store in which nothing is due costs next to nothing;
 * after one that retired much the next follows at once. No round begins before a clock has moved or
 * rows were stored.
 * Threads: its own, which calls is_due() and moves(); all functions are one other thread's. Errors:
 * the store's, told with the next take. */
#ifndef OZ_STATE_SWEEPER_H
#define OZ_STATE_SWEEPER_H
#include "state/store.h"

enum { OZ_SWEEP_FOUND_MAX = 1024, OZ_SWEEP_ROWS_EACH = 4 };

struct oz_sweeper_config {
    struct oz_store *store;
    uint32_t rows_per_s; /* that are retired at most */
    int64_t rest_us;     /* between two rounds, at least */
    bool (*is_due)(void *ctx, const struct oz_store_row *row);
    uint64_t (*moves)(void *ctx); /* changes when more may be due than before */
    void *ctx;
};

/* In the order of the store's keys: partition, entity, key. */
struct oz_swept_row {
    uint32_t partition, key_len;
    uint8_t entity;
    const char *key;
};
struct oz_swept {
    struct oz_swept_row row[OZ_SWEEP_FOUND_MAX];
    size_t n;
    struct oz_buf keys;
};

struct oz_sweeper;
enum oz_status oz_sweeper_new(const struct oz_sweeper_config *config,
                              struct oz_sweeper **ret_sweeper, struct oz_error *err) OZ_MUST_USE;
void oz_sweeper_free(struct oz_sweeper *sweeper); /* waits for the piece that is under way */

/* What was found since, the caller's until it is given back; *ret_swept NULL: nothing yet. */
enum oz_status oz_sweeper_take(struct oz_sweeper *sweeper, struct oz_swept **ret_swept,
                               struct oz_error *err) OZ_MUST_USE;
/* ... and how many of the rows it was right about. */
void oz_sweeper_give_back(struct oz_sweeper *sweeper, struct oz_swept *swept, size_t n_retired);
/* Rounds that have ended. */
uint64_t oz_sweeper_rounds(const struct oz_sweeper *sweeper);
#endif
