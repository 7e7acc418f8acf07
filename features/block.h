/* Contiguous entries, ordered by time and among equal times by arrival, with a sentinel behind the
 * last: its time is +inf and its totals are those of all entries. Both the open block of a ring and
 * a closed chunk are this. The layout of an entry is in features/row_layout.h. An event's value is
 * its raw column, or the difference of the totals around it, so the entry behind it is always read
 * too. Only differences of totals mean anything: the first entry's need not be zero. */
#ifndef OZ_FEATURES_BLOCK_H
#define OZ_FEATURES_BLOCK_H
#include "features/fixed_point.h"
#include "features/row_layout.h"

/* An event as a ring takes it: values in the form in which they are kept. */
struct oz_entry_event {
    int64_t time_us;
    const uint64_t *id;
    uint64_t value[OZ_RING_VALUES_MAX];
    uint32_t nulls; /* bit per value */
};

static inline int64_t oz_get_i64(const uint8_t *at)
{
    int64_t x;
    memcpy(&x, at, sizeof x);
    return x;
}
static inline uint64_t oz_get_u64(const uint8_t *at)
{
    uint64_t x;
    memcpy(&x, at, sizeof x);
    return x;
}
static inline uint32_t oz_get_u32(const uint8_t *at)
{
    uint32_t x;
    memcpy(&x, at, sizeof x);
    return x;
}
static inline void oz_put_u64(uint8_t *at, uint64_t x) { memcpy(at, &x, sizeof x); }
static inline void oz_put_u32(uint8_t *at, uint32_t x) { memcpy(at, &x, sizeof x); }
static inline void oz_get_fix(uint64_t *x, const uint8_t *at)
{
    for (int i = 0; i < OZ_FIX_LIMBS; i++) x[i] = oz_get_u64(at + 8 * i);
}
static inline void oz_put_fix(uint8_t *at, const uint64_t *x)
{
    for (int i = 0; i < OZ_FIX_LIMBS; i++) oz_put_u64(at + 8 * i, x[i]);
}
static inline int64_t oz_entry_time(const uint8_t *entry) { return oz_get_i64(entry); }
static inline void oz_entry_set_time(uint8_t *entry, int64_t us) { memcpy(entry, &us, sizeof us); }

/* What a row keeps of a value; *nulls gets the bit when that is null. A value that cannot be null
 * is 0 where the caller's is. */
static inline uint64_t oz_value_kept(const struct oz_value_layout *v, uint64_t bits,
                                     uint32_t number, uint32_t *nulls)
{
    if (v->kind == OZ_VALUE_KEY) {
        *nulls |= (uint32_t)(bits == OZ_NULL_KEY) << number;
        return bits;
    }
    double x = oz_double_of(bits);
    if (v->kind == OZ_VALUE_DOUBLE)
        x = oz_quantise(x);
    else if (x == x)
        x = x != 0 || v->kind == OZ_VALUE_MARK;
    if (OZ_UNLIKELY(x != x)) {
        x = v->nullable ? NAN : 0;
        *nulls |= (uint32_t)v->nullable << number;
    }
    return oz_bits_of(x);
}

/* Writes the event into an entry whose totals are right, and the totals behind it; not the
 * sentinel's time. */
static inline void oz_entry_write(const struct oz_ring_layout *rl, uint8_t *entry,
                                  const struct oz_entry_event *event)
{
    uint8_t *next = entry + rl->stride;
    oz_entry_set_time(entry, event->time_us);
    for (uint32_t i = 0; i < rl->id_words; i++) oz_put_u64(entry + 8 + 8 * i, event->id[i]);
    for (uint32_t i = 0; i < rl->n_raws; i++)
        oz_put_u64(entry + rl->raw[i].at, event->value[rl->raw[i].value]);
    for (uint32_t i = 0; i < rl->n_sums; i++) {
        uint64_t sum[OZ_FIX_LIMBS], add[OZ_FIX_LIMBS];
        uint32_t value = rl->sum[i].value;
        oz_get_fix(sum, entry + rl->sum[i].at);
        oz_fix_of(event->nulls >> value & 1 ? 0 : oz_double_of(event->value[value]), add);
        oz_fix_add(sum, sum, add);
        oz_put_fix(next + rl->sum[i].at, sum);
    }
    for (uint32_t i = 0; i < rl->n_counts; i++)
        oz_put_u32(next + rl->count[i].at,
                   oz_get_u32(entry + rl->count[i].at) + !(event->nulls >> rl->count[i].value & 1));
    for (uint32_t i = 0; i < rl->n_ones; i++)
        oz_put_u32(next + rl->ones[i].at, oz_get_u32(entry + rl->ones[i].at) +
                                              (event->value[rl->ones[i].value] == oz_bits_of(1.0)));
}

/* The value's bits as kept. */
uint64_t oz_entry_value(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t value);
/* What the event adds to the totals: words as in the index, word 0 being 1. */
void oz_event_words(const struct oz_ring_layout *rl, const struct oz_entry_event *event,
                    uint64_t *words);
/* The event of an entry, id borrowed from `id` [2]. */
void oz_entry_read(const struct oz_ring_layout *rl, const uint8_t *entry, uint64_t *id,
                   struct oz_entry_event *ret_event);
/* The totals of the n entries from `entry` on. */
void oz_entries_words(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t n,
                      uint64_t *words);
/* to += add, or to -= add, word 0 included. */
void oz_words_add(const struct oz_ring_layout *rl, uint64_t *to, const uint64_t *add);
void oz_words_sub(const struct oz_ring_layout *rl, uint64_t *to, const uint64_t *sub);

/* Puts the event in front of the n entries (and the sentinel behind them) that start at `entry`.
 * There is room for one more. */
void oz_entries_insert(const struct oz_ring_layout *rl, uint8_t *entry, uint32_t n,
                       const struct oz_entry_event *event);
/* Gives the first of n entries the event's values; time and id stay. Returns what the totals
 * gained. */
void oz_entries_replace(const struct oz_ring_layout *rl, uint8_t *entry, uint32_t n,
                        const struct oz_entry_event *event, uint64_t *ret_words);

/* The first of n entries with time > us, or n. */
uint32_t oz_entries_upper(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t n,
                          int64_t us);
/* The same, where it is known to be at or before `from` and likely near it. */
uint32_t oz_entries_upper_back(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t from,
                               int64_t us);
/* Minimum and maximum of a raw value, null aside; *min and *max take part. */
void oz_entries_extremes(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t n,
                         uint32_t value, double *min, double *max);
/* The better of *best and the n entries' values; *at gets the number of its entry, the last of
 * equals. */
void oz_entries_extreme(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t n,
                        uint32_t value, bool max, double *best, uint32_t *at);
/* The newest of n entries whose value is not null, or UINT32_MAX. */
uint32_t oz_entries_newest(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t n,
                           uint32_t value);
#endif
