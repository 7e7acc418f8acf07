/* A plan of one entity, resolved: where every column of an entry lies, which distances back in time
 * (bounds) the windows end at, and what each aggregate reads.
 *
 * Entry, by ring; a multiple of 8 bytes:
 *   | time i64 | id 0, 8 or 16 | raw values 8 each | sums 3 x u64 each | counts u32 each |
 * Sums and counts are running totals of everything before the entry in its block. What a value
 * costs:
 *   DOUBLE  raw; a sum if one is asked for; a count of what is not null if that is asked for
 *   FLAG    a count of ones; a count of what is not null if it can be null
 *   MARK    a count of what is there, or nothing if it always is
 *   KEY     raw; a count of what is not null if that is asked for
 * The same totals, widened to u64 words, stand in the index of a ring's chunks:
 *   word 0: events, then 3 words per sum, one per count.
 *
 * A bound is shared: count, mean and sum over 7d need the one bound 7d; 1d delay 7d uses 7d and 8d.
 * Units: microseconds. Threads: immutable once made. Ownership: in the arena it was made in. */
#ifndef OZ_FEATURES_ROW_LAYOUT_H
#define OZ_FEATURES_ROW_LAYOUT_H
#include "base/arena.h"
#include "features/plan.h"

#define OZ_TIME_NONE  (INT64_MIN / 2) /* before every time: nothing is there yet */
#define OZ_TIME_LIMIT (INT64_C(1) << 60)

enum {
    OZ_BLOCK_EVENTS = 256, /* K: a chunk is closed with K events and holds fewer than 2K */
    OZ_PAGE_CHUNKS = 64,   /* F: a page begins with F chunks and holds fewer than 2F */
    OZ_BOUNDS_MAX = 255,
    OZ_WORDS_MAX = 1 + 4 * OZ_RING_VALUES_MAX,
    OZ_ENTRY_BYTES_MAX = 2048
};

struct oz_column_at {
    uint16_t at, value, word; /* bytes into an entry, number of the value, word of the totals */
};

struct oz_value_layout {
    enum oz_value_kind kind;
    bool nullable;
    bool outlives;                              /* its newest value is kept when its event is not */
    uint16_t raw_at, sum_at, count_at, ones_at; /* 0: none */
    uint16_t sum_word, count_word, ones_word;
    int extreme; /* its number among those whose minimum and maximum are kept, or -1 */
};

struct oz_ring_layout {
    uint32_t at; /* of the ring, bytes into the row */
    uint32_t stride, n_words;
    uint32_t id_words, n_values;
    bool replaces, all_time, has_bags, all_time_last;
    int64_t lateness_us;
    int64_t reach_us;   /* no later event sees what is older than the newest scored event by this */
    uint32_t keep_last; /* but these many events before it by settle_us are kept */
    int64_t settle_us;
    int64_t tail_us, all_time_delay_us; /* longest; 0: none; -1: none */
    uint32_t n_bounds;
    int64_t *bound_us;
    uint32_t n_raws, n_sums, n_counts, n_ones, n_extremes;
    struct oz_column_at raw[OZ_RING_VALUES_MAX], sum[OZ_RING_VALUES_MAX], count[OZ_RING_VALUES_MAX],
        ones[OZ_RING_VALUES_MAX];
    uint16_t extreme_value[OZ_RING_VALUES_MAX];
    struct oz_value_layout value[OZ_RING_VALUES_MAX];
    uint32_t first_window, n_windows;
    uint32_t ref_bytes;  /* of a chunk in the index */
    uint32_t base_words; /* of the totals that outlive their events; 0: none are kept */
    uint32_t base_last, base_extreme; /* words into it: {time, bits} per value; {min, max} */
    int64_t since_us; /* events up to here may never have been taken in; OZ_TIME_NONE: all were */
};

enum { OZ_HEAD_SELF = -1, OZ_TAIL_ALL = -1, OZ_TAIL_LAST = -2 };

/* One set of events, [tail, head), that several aggregates look at. */
struct oz_window {
    int head, tail; /* bounds of the ring, or as above */
    int64_t delay_us;
    uint32_t last;
    bool excluding_current;
    uint32_t first_read, n_reads;
};

enum oz_read_op {
    OZ_READ_COUNT,
    OZ_READ_SUM,
    OZ_READ_MEAN,
    OZ_READ_MIN,
    OZ_READ_MAX,
    OZ_READ_LAST,
    OZ_READ_DISTINCT,
    OZ_READ_ONES_SUM, /* of flags, from the two counts */
    OZ_READ_ONES_MEAN,
    OZ_READ_ONES_MIN,
    OZ_READ_ONES_MAX,
    OZ_READ_ONES_DISTINCT,
    OZ_READ_MARK_SUM, /* of marks: all are 1 */
    OZ_READ_MARK_ONE,
    OZ_READ_MARK_DISTINCT
};

struct oz_read {
    enum oz_read_op op;
    uint16_t out; /* number of the aggregate in the entity's plan */
    uint16_t value;
    bool of_value;                 /* false: of events */
    uint16_t count_at, count_word; /* 0: count events */
    uint16_t at, word;             /* of the sum, or of the ones */
    int bag;                       /* of a distinct */
    int memo;                      /* of a min or max */
};

struct oz_row_layout {
    uint32_t block_events, page_chunks;
    uint64_t max_row_events;
    int64_t suppress_us, ttl_us; /* features/row_retire.h; 0: none */
    uint32_t n_rings, n_aggregates, n_bags, n_memos, n_suppressions;
    uint32_t row_bytes, suppressions_at, side_bytes, n_blocks_kept;
    struct oz_ring_layout *ring;
    struct oz_window *window;
    struct oz_read *read;
    uint16_t *bag_ring, *bag_value; /* [n_bags] */
    bool warms;                     /* some ring has a since_us */
    /* [n_readings]: the older layouts that rows are read by too (features/row_convert.h) */
    const struct oz_row_reading *const *reading;
    uint32_t n_readings;
};

/* How far back the rows of a definition reach whose aggregates are not at hand. */
struct oz_ring_history {
    int64_t reach_us, settle_us;
    uint32_t keep_last;
    bool all_time, all_time_last;
};
/* The layout of rows that another definition wrote, only to read them: of a plan without
 * aggregates, whose values say in `uses` what was kept of them. history: [n_rings]. */
enum oz_status oz_row_layout_stored(const struct oz_entity_plan *entity,
                                    const struct oz_ring_history *history, struct oz_arena *arena,
                                    struct oz_row_layout **ret_layout,
                                    struct oz_error *err) OZ_MUST_USE;

/* For tests: small blocks close, split and move into pages all the time. Both at least 2. */
void oz_row_layout_set_block_events(struct oz_row_layout *layout, uint32_t block_events,
                                    uint32_t page_chunks);
#endif
