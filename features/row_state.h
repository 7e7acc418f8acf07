/* What a row is in memory.
 *
 *   row    | newest scored time i64 | side -> | flags | ring 0 | ring 1 ... | suppression slots |
 *   ring   | entries -> | first | len | cap | ... | cursor u32 per bound |
 *   open   slots:  0 .. first  dead   first .. len  events   len  the sentinel (time +inf, totals)
 *   side   what a plain small row does without: loaded blocks, bags, and per ring its index of
 *          closed chunks, the totals before the open block, the totals that outlive their events
 *
 * A cursor is the first slot with time > newest scored time - bound. They are kept only while the
 * ring is not spilled; a spilled ring finds its positions in the index.
 *
 * Ordinals and totals "before" count in a frame of the ring's own that starts anywhere: only
 * differences are used, so dropping the oldest changes nothing behind it. Ownership: everything a
 * row points at is from its pool. Threads: the row's worker. */
#ifndef OZ_FEATURES_ROW_STATE_H
#define OZ_FEATURES_ROW_STATE_H
#include "features/bag.h"
#include "features/fixed_point.h"
#include "features/row.h"
#include "features/row_convert.h"
#include "features/row_layout.h"

struct oz_ring {
    uint8_t *entry;
    uint32_t first, len, cap;
    uint8_t order; /* log2 of the bytes behind entry; 0: none are ours */
    bool spilled;
    bool trimmed; /* events were let go, as no window of this definition sees them */
    uint32_t cursor[];
};

struct oz_suppression {
    int64_t fired_us;
    uint32_t held_back, unused;
};

struct oz_row {
    int64_t last_us;
    struct oz_row_side *side;
    bool changed; /* the main part is not as stored */
    bool failed;  /* an error struck in the middle: good for clear() only */
};

/* A chunk or a page as its index sees it, with words behind it:
 *   own [n_words] | before [n_words] | {min, max} [n_extremes]
 * `before` of a chunk in a page counts from the page's start. */
struct oz_ref {
    int64_t first_us, last_us;
    int64_t edge_us; /* newest time of the first chunk in a page; of a chunk: last_us */
    uint32_t part;
    uint32_t n; /* events of a chunk, chunks of a page */
    uint64_t word[];
};

struct oz_refs {
    uint8_t *ref; /* [cap] of the ring's ref_bytes */
    uint32_t n, cap;
    uint32_t bytes; /* asked of the pool */
};

/* A part in memory: a chunk's entries and sentinel, or a page's refs. */
struct oz_block {
    uint32_t part, ring;
    uint64_t changed_epoch;
    uint32_t tick; /* of its last use */
    bool page;
    bool changed; /* since it was stored or read */
    bool fresh;   /* never stored */
    uint32_t n, cap;
    uint32_t bytes; /* behind entry, as asked of the pool */
    union {
        uint8_t *entry;
        struct oz_refs refs;
    };
};

/* The extreme of the last window that was asked for, in a spilled ring. It holds until it leaves
 * the window, or until an event is put in between others. */
struct oz_memo {
    uint64_t from, to; /* ordinals */
    uint64_t at;       /* the extreme stands here or behind */
    uint64_t edits;
    double value;
};

enum oz_total { OZ_TOTAL_COUNT, OZ_TOTAL_SUM, OZ_TOTAL_EXTREME, OZ_TOTAL_LAST, OZ_TOTALS };

struct oz_ring_side {
    uint64_t edits;       /* events that were put in between others, or got other values */
    int64_t saturated_us; /* newest time that was dropped for the event limit */
    struct oz_refs page, chunk;
    uint64_t *before; /* [n_words] of the open block's first event */
    uint64_t *base;   /* [base_words], or NULL */
    int64_t *since;   /* [2 + n_values], features/row_since.h */
    uint64_t partial[OZ_TOTALS];
};

enum { OZ_RECENT_BLOCKS = 32 };
struct oz_row_side {
    uint32_t next_part;
    bool warms; /* some since or partial is set */
    bool index_changed, index_stored;
    bool grown; /* a block came in since the last shedding */
    uint32_t tick;
    struct oz_block **block;
    uint32_t n_blocks, cap_blocks;
    struct oz_block *recent[OZ_RECENT_BLOCKS]; /* by part number */
    uint32_t *deleted;
    uint32_t n_deleted, cap_deleted;
    struct oz_bag *bag;
    struct oz_memo *memo;
    struct oz_ring_side ring[];
};

/* What is handed down through the cold paths. */
struct oz_row_work {
    const struct oz_row_layout *layout;
    struct oz_row *row;
    struct oz_row_io *io;
    struct oz_error *err;
    const struct oz_row_reading *reading; /* while an older layout is decoded, else NULL */
};

static inline struct oz_ring *oz_ring_of(const struct oz_row_layout *layout, void *row,
                                         uint32_t ring)
{
    return (struct oz_ring *)((uint8_t *)row + layout->ring[ring].at);
}
static inline uint8_t *oz_ring_slot(const struct oz_ring_layout *rl, const struct oz_ring *ring,
                                    uint32_t slot)
{
    return ring->entry + (size_t)slot * rl->stride;
}
static inline struct oz_ref *oz_ref_at(const struct oz_ring_layout *rl, const struct oz_refs *refs,
                                       uint32_t i)
{
    return (struct oz_ref *)(refs->ref + (size_t)i * rl->ref_bytes);
}
static inline uint64_t *oz_ref_before(const struct oz_ring_layout *rl, struct oz_ref *ref)
{
    return ref->word + rl->n_words;
}
static inline uint64_t *oz_ref_extremes(const struct oz_ring_layout *rl, struct oz_ref *ref)
{
    return ref->word + 2 * rl->n_words;
}

struct oz_row_kind oz_row_kind_of(const struct oz_row_layout *layout);
void oz_row_init(const struct oz_row_layout *layout, struct oz_row *row);
void oz_row_clear(const struct oz_row_layout *layout, struct oz_row *row, struct oz_pool *pool);
static inline struct oz_suppression *oz_suppressions(const struct oz_row_layout *layout,
                                                     struct oz_row *row)
{
    return (struct oz_suppression *)((uint8_t *)row + layout->suppressions_at);
}
/* The row's side, made when it is not there yet. */
enum oz_status oz_row_side(struct oz_row_work *w, struct oz_row_side **ret_side) OZ_MUST_USE;
/* The totals that outlive their events, zero while there are none. */
void oz_base_zero(const struct oz_ring_layout *rl, uint64_t *base);
#endif
