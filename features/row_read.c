#include "features/row_read.h"
#include "features/ring_bags.h"
#include "features/row_since.h"

/* The events of one window. */
struct span {
    const struct oz_ring_layout *rl;
    uint32_t ring;
    uint64_t n;
    const uint8_t *tail, *head;        /* entries of a ring that is not spilled */
    const uint64_t *words;             /* the totals; NULL: the difference of those two entries' */
    const uint64_t *base;              /* of a window over all time: what has gone, or NULL */
    const struct oz_place *from, *to;  /* of a spilled ring */
    uint64_t from_ordinal, to_ordinal; /* of a ring with distinct values */
};

static inline uint64_t count_of(const struct span *s, uint32_t at, uint32_t word)
{
    if (OZ_UNLIKELY(s->words != NULL)) return s->words[word];
    return (uint32_t)(oz_get_u32(s->head + at) - oz_get_u32(s->tail + at));
}

static inline double sum_of(const struct span *s, const struct oz_read *x)
{
    uint64_t head[OZ_FIX_LIMBS], tail[OZ_FIX_LIMBS];
    if (OZ_UNLIKELY(s->words != NULL)) return oz_fix_round(s->words + x->word);
    oz_get_fix(head, s->head + x->at);
    oz_get_fix(tail, s->tail + x->at);
    oz_fix_sub(head, head, tail);
    return oz_fix_round(head);
}

static enum oz_status extreme_of(struct oz_row_work *w, const struct span *s,
                                 const struct oz_read *x, double *ret)
{
    bool max = x->op == OZ_READ_MAX;
    double best = NAN;
    if (s->from) {
        OZ_TRY(oz_place_extreme(w, s->ring, s->from, s->to, x->value, max,
                                &w->row->side->memo[x->memo], &best));
    } else {
        double lo = INFINITY, hi = -INFINITY;
        uint32_t n = (uint32_t)((size_t)(s->head - s->tail) / s->rl->stride);
        oz_entries_extremes(s->rl, s->tail, n, x->value, &lo, &hi);
        if (lo <= hi) best = max ? hi : lo;
    }
    if (s->base) {
        int extreme = s->rl->value[x->value].extreme;
        double gone = oz_double_of(s->base[s->rl->base_extreme + 2 * (uint32_t)extreme + max]);
        if (!isinf(gone) && !(max ? best >= gone : best <= gone)) best = gone;
    }
    *ret = best;
    return OZ_OK;
}

static enum oz_status newest_of(struct oz_row_work *w, const struct span *s,
                                const struct oz_read *x, double *ret)
{
    const uint8_t *entry = NULL;
    if (s->from) {
        OZ_TRY(oz_place_newest(w, s->ring, s->to, x->value, &entry));
    } else {
        uint32_t n = (uint32_t)((size_t)(s->head - s->tail) / s->rl->stride);
        uint32_t i = oz_entries_newest(s->rl, s->tail, n, x->value);
        if (i != UINT32_MAX) entry = s->tail + (size_t)i * s->rl->stride;
    }
    *ret = entry ? oz_double_of(oz_entry_value(s->rl, entry, x->value)) : NAN;
    if (!s->base) return OZ_OK;
    /* A very late event may be here still while newer ones have gone already. */
    const uint64_t *base = s->base + s->rl->base_last + 2 * x->value;
    if (!entry || oz_entry_time(entry) < (int64_t)base[0]) *ret = oz_double_of(base[1]);
    return OZ_OK;
}

/* Of a window that holds n > 0 values; those of flags and marks are 0 and 1. */
static __attribute__((noinline)) enum oz_status read_rare(struct oz_row_work *w,
                                                          const struct span *s,
                                                          const struct oz_read *x, uint64_t n,
                                                          double *ret)
{
    uint64_t ones = x->op >= OZ_READ_ONES_SUM && x->op <= OZ_READ_ONES_DISTINCT
                        ? count_of(s, x->at, x->word)
                        : 0;
    switch (x->op) {
    case OZ_READ_MIN:
    case OZ_READ_MAX: return extreme_of(w, s, x, ret);
    case OZ_READ_LAST: return newest_of(w, s, x, ret);
    case OZ_READ_ONES_MIN: *ret = ones == n; break;
    case OZ_READ_ONES_MAX: *ret = ones > 0; break;
    case OZ_READ_ONES_DISTINCT: *ret = (ones > 0) + (ones < n); break;
    case OZ_READ_MARK_SUM: *ret = (double)n; break;
    default: *ret = 1; break;
    }
    return OZ_OK;
}

static enum oz_status read_distinct(struct oz_row_work *w, const struct span *s,
                                    const struct oz_read *x, double *ret)
{
    OZ_TRY(oz_bag_move(w, (uint32_t)x->bag, s->from_ordinal, s->to_ordinal));
    *ret = w->row->side->bag[x->bag].distinct;
    return OZ_OK;
}

static inline enum oz_status read_window(struct oz_row_work *w, const struct oz_window *window,
                                         const struct span *s, double *ret_aggregate)
{
    const struct oz_read *x = &w->layout->read[window->first_read], *end = x + window->n_reads;
    for (; x < end; x++) {
        uint64_t n = x->count_at ? count_of(s, x->count_at, x->count_word) : s->n;
        double *ret = &ret_aggregate[x->out];
        if (x->op == OZ_READ_COUNT) {
            *ret = (double)n;
        } else if (OZ_UNLIKELY(x->op == OZ_READ_DISTINCT)) {
            OZ_TRY(read_distinct(w, s, x, ret));
        } else if (!n) {
            bool counted = x->op == OZ_READ_ONES_DISTINCT || x->op == OZ_READ_MARK_DISTINCT;
            *ret = counted ? 0 : NAN;
        } else if (x->op == OZ_READ_SUM) {
            *ret = sum_of(s, x);
        } else if (x->op == OZ_READ_MEAN) {
            *ret = sum_of(s, x) / (double)n;
        } else if (x->op == OZ_READ_ONES_SUM) {
            *ret = (double)count_of(s, x->at, x->word);
        } else if (x->op == OZ_READ_ONES_MEAN) {
            *ret = (double)count_of(s, x->at, x->word) / (double)n;
        } else {
            OZ_TRY(read_rare(w, s, x, n, ret));
        }
    }
    return OZ_OK;
}

/* ---------- a ring in one block */

/* The bounds of a time before the newest: near the cursors. */
static void find_bounds(const struct oz_ring_layout *rl, const struct oz_ring *r, int64_t time_us,
                        uint32_t *bound)
{
    const uint8_t *first = oz_ring_slot(rl, r, r->first);
    for (uint32_t b = 0; b < rl->n_bounds; b++)
        bound[b] = r->first + oz_entries_upper_back(rl, first, r->cursor[b] - r->first,
                                                    time_us - rl->bound_us[b]);
}

/* A window over all time has what is gone beside what is here. */
static __attribute__((noinline)) void add_base(const struct oz_row_work *w, struct span *s,
                                               uint32_t n, uint64_t *words)
{
    oz_entries_words(s->rl, s->tail, n, words);
    if (w->row->side) {
        s->base = w->row->side->ring[s->ring].base;
        oz_words_add(s->rl, words, s->base);
    }
    s->words = words;
    s->n = words[0];
}

static inline enum oz_status read_open(struct oz_row_work *w, uint32_t ring, int64_t time_us,
                                       uint32_t self, bool settled, double *ret_aggregate,
                                       unsigned *flags)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    const struct oz_ring *r = oz_ring_of(w->layout, w->row, ring);
    uint32_t found[OZ_BOUNDS_MAX];
    const uint32_t *bound = r->cursor;
    uint64_t words[OZ_WORDS_MAX];
    bool warms = oz_row_warms(w);
    if (OZ_UNLIKELY(!settled)) {
        find_bounds(rl, r, time_us, found);
        bound = found;
    }
    const struct oz_window *window = &w->layout->window[rl->first_window];
    for (const struct oz_window *end = window + rl->n_windows; window < end; window++) {
        uint32_t h = window->head >= 0 ? bound[window->head] : self + 1 - window->excluding_current;
        uint32_t a = r->first;
        if (OZ_LIKELY(window->tail >= 0)) {
            a = bound[window->tail];
        } else if (window->tail == OZ_TAIL_LAST) {
            if (h - r->first > window->last)
                a = h - window->last;
            else if (h - r->first < window->last && w->row->side &&
                     w->row->side->ring[ring].saturated_us != OZ_TIME_NONE)
                *flags |= OZ_PUSH_SATURATED;
            if (OZ_UNLIKELY(warms || (r->trimmed && h - r->first < window->last)))
                oz_since_flag_last(w, ring, window, h - a, oz_entry_time(oz_ring_slot(rl, r, a)),
                                   flags);
        }
        if (OZ_UNLIKELY(a > h)) a = h;
        struct span s = {.rl = rl,
                         .ring = ring,
                         .n = h - a,
                         .tail = oz_ring_slot(rl, r, a),
                         .head = oz_ring_slot(rl, r, h)};
        if (OZ_UNLIKELY(window->tail == OZ_TAIL_ALL)) add_base(w, &s, h - a, words);
        if (OZ_UNLIKELY(rl->has_bags)) {
            uint64_t first = w->row->side->ring[ring].before[0] - r->first;
            s.from_ordinal = first + a;
            s.to_ordinal = first + h;
        }
        OZ_TRY(read_window(w, window, &s, ret_aggregate));
    }
    return OZ_OK;
}

/* ---------- a spilled ring */

static enum oz_status tail_place(struct oz_row_work *w, uint32_t ring,
                                 const struct oz_window *window, const struct oz_place *bound,
                                 const struct oz_place *head, struct oz_place *ret_tail,
                                 unsigned *flags)
{
    uint64_t first = oz_ring_first_ordinal(w->layout, w->row, ring), at = first;
    if (window->tail >= 0) {
        *ret_tail = bound[window->tail].ordinal <= head->ordinal ? bound[window->tail] : *head;
        return OZ_OK;
    }
    if (window->tail == OZ_TAIL_LAST) {
        if (head->ordinal - first >= window->last)
            at = head->ordinal - window->last;
        else if (w->row->side->ring[ring].saturated_us != OZ_TIME_NONE)
            *flags |= OZ_PUSH_SATURATED;
    }
    return oz_place_of_ordinal(w, ring, at, ret_tail);
}

/* The oldest of the newest n is looked at only while a value may be missing in it. */
static enum oz_status flag_last(struct oz_row_work *w, uint32_t ring,
                                const struct oz_window *window, const struct oz_place *tail,
                                const struct oz_place *head, unsigned *flags)
{
    uint64_t n = head->ordinal - tail->ordinal;
    const uint8_t *entry;
    uint32_t n_run = 0;
    if (n && oz_row_warms(w)) OZ_TRY(oz_ring_run(w, ring, tail->ordinal, &entry, &n_run));
    oz_since_flag_last(w, ring, window, n, n_run ? oz_entry_time(entry) : INT64_MAX, flags);
    return OZ_OK;
}

static __attribute__((noinline)) enum oz_status read_spilled(struct oz_row_work *w, uint32_t ring,
                                                             int64_t time_us, uint64_t self,
                                                             double *ret_aggregate, unsigned *flags)
{
    const struct oz_ring_layout *rl = &w->layout->ring[ring];
    struct oz_place bound[OZ_BOUNDS_MAX];
    uint64_t words[OZ_WORDS_MAX];
    for (uint32_t b = 0; b < rl->n_bounds; b++)
        OZ_TRY(oz_place_of_time(w, ring, time_us - rl->bound_us[b], &bound[b]));
    for (uint32_t i = 0; i < rl->n_windows; i++) {
        const struct oz_window *window = &w->layout->window[rl->first_window + i];
        struct oz_place tail, head;
        if (window->head >= 0)
            head = bound[window->head];
        else
            OZ_TRY(oz_place_of_ordinal(w, ring, self + 1 - window->excluding_current, &head));
        OZ_TRY(tail_place(w, ring, window, bound, &head, &tail, flags));
        if (window->tail == OZ_TAIL_LAST) OZ_TRY(flag_last(w, ring, window, &tail, &head, flags));
        oz_place_words(rl, &tail, &head, words);
        struct span s = {.rl = rl,
                         .ring = ring,
                         .words = words,
                         .from = &tail,
                         .to = &head,
                         .from_ordinal = tail.ordinal,
                         .to_ordinal = head.ordinal};
        if (window->tail == OZ_TAIL_ALL && rl->all_time) {
            s.base = w->row->side->ring[ring].base;
            oz_words_add(rl, words, s.base);
        }
        s.n = words[0];
        OZ_TRY(read_window(w, window, &s, ret_aggregate));
    }
    return OZ_OK;
}

/* A window that would have held what the event limit dropped. */
static __attribute__((noinline)) void flag_gaps(const struct oz_row_work *w, int64_t time_us,
                                                unsigned *flags)
{
    const struct oz_row_side *side = w->row->side;
    for (uint32_t i = 0; i < w->layout->n_rings; i++) {
        const struct oz_ring_layout *rl = &w->layout->ring[i];
        int64_t gone_us = side->ring[i].saturated_us;
        if (gone_us != OZ_TIME_NONE &&
            ((rl->tail_us && time_us - rl->tail_us < gone_us) ||
             (rl->all_time && time_us - rl->all_time_delay_us < gone_us)))
            *flags |= OZ_PUSH_SATURATED;
    }
}

enum oz_status oz_row_read(struct oz_row_work *w, int64_t time_us, uint64_t self, bool settled,
                           double *ret_aggregate, unsigned *flags)
{
    if (w->row->side) flag_gaps(w, time_us, flags);
    if (OZ_UNLIKELY(oz_row_warms(w))) oz_since_flag(w, time_us, flags);
    for (uint32_t i = 0; i < w->layout->n_rings; i++) {
        if (!w->layout->ring[i].n_windows) continue;
        if (OZ_UNLIKELY(oz_ring_of(w->layout, w->row, i)->spilled))
            OZ_TRY(read_spilled(w, i, time_us, self, ret_aggregate, flags));
        else
            OZ_TRY(read_open(w, i, time_us, (uint32_t)self, settled, ret_aggregate, flags));
    }
    return OZ_OK;
}
