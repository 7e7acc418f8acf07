#include "features/block.h"

uint64_t oz_entry_value(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t value)
{
    const struct oz_value_layout *v = &rl->value[value];
    if (v->raw_at) return oz_get_u64(entry + v->raw_at);
    const uint8_t *next = entry + rl->stride;
    if (v->count_at && oz_get_u32(entry + v->count_at) == oz_get_u32(next + v->count_at))
        return oz_bits_of(NAN);
    if (v->kind == OZ_VALUE_MARK) return oz_bits_of(1);
    return oz_bits_of(oz_get_u32(entry + v->ones_at) != oz_get_u32(next + v->ones_at));
}

void oz_event_words(const struct oz_ring_layout *rl, const struct oz_entry_event *event,
                    uint64_t *words)
{
    words[0] = 1;
    for (uint32_t i = 0; i < rl->n_sums; i++) {
        uint32_t value = rl->sum[i].value;
        bool null = event->nulls >> value & 1;
        oz_fix_of(null ? 0 : oz_double_of(event->value[value]), words + rl->sum[i].word);
    }
    for (uint32_t i = 0; i < rl->n_counts; i++)
        words[rl->count[i].word] = !(event->nulls >> rl->count[i].value & 1);
    for (uint32_t i = 0; i < rl->n_ones; i++)
        words[rl->ones[i].word] = event->value[rl->ones[i].value] == oz_bits_of(1.0);
}

void oz_entry_read(const struct oz_ring_layout *rl, const uint8_t *entry, uint64_t *id,
                   struct oz_entry_event *ret_event)
{
    ret_event->time_us = oz_entry_time(entry);
    ret_event->id = id;
    ret_event->nulls = 0;
    for (uint32_t i = 0; i < rl->id_words; i++) id[i] = oz_get_u64(entry + 8 + 8 * i);
    for (uint32_t i = 0; i < rl->n_values; i++)
        ret_event->value[i] =
            oz_value_kept(&rl->value[i], oz_entry_value(rl, entry, i), i, &ret_event->nulls);
}

void oz_entries_words(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t n,
                      uint64_t *words)
{
    const uint8_t *end = entry + (size_t)n * rl->stride;
    words[0] = n;
    for (uint32_t i = 0; i < rl->n_sums; i++) {
        uint64_t a[OZ_FIX_LIMBS], b[OZ_FIX_LIMBS];
        oz_get_fix(a, entry + rl->sum[i].at);
        oz_get_fix(b, end + rl->sum[i].at);
        oz_fix_sub(words + rl->sum[i].word, b, a);
    }
    for (uint32_t i = 0; i < rl->n_counts; i++) {
        uint32_t at = rl->count[i].at;
        words[rl->count[i].word] = (uint32_t)(oz_get_u32(end + at) - oz_get_u32(entry + at));
    }
    for (uint32_t i = 0; i < rl->n_ones; i++) {
        uint32_t at = rl->ones[i].at;
        words[rl->ones[i].word] = (uint32_t)(oz_get_u32(end + at) - oz_get_u32(entry + at));
    }
}

void oz_words_add(const struct oz_ring_layout *rl, uint64_t *to, const uint64_t *add)
{
    to[0] += add[0];
    for (uint32_t i = 0; i < rl->n_sums; i++) {
        uint32_t word = rl->sum[i].word;
        oz_fix_add(to + word, to + word, add + word);
    }
    for (uint32_t i = 0; i < rl->n_counts; i++) to[rl->count[i].word] += add[rl->count[i].word];
    for (uint32_t i = 0; i < rl->n_ones; i++) to[rl->ones[i].word] += add[rl->ones[i].word];
}

void oz_words_sub(const struct oz_ring_layout *rl, uint64_t *to, const uint64_t *sub)
{
    to[0] -= sub[0];
    for (uint32_t i = 0; i < rl->n_sums; i++) {
        uint32_t word = rl->sum[i].word;
        oz_fix_sub(to + word, to + word, sub + word);
    }
    for (uint32_t i = 0; i < rl->n_counts; i++) to[rl->count[i].word] -= sub[rl->count[i].word];
    for (uint32_t i = 0; i < rl->n_ones; i++) to[rl->ones[i].word] -= sub[rl->ones[i].word];
}

/* Adds the words to the totals of n entries. */
static void shift(const struct oz_ring_layout *rl, uint8_t *entry, uint32_t n,
                  const uint64_t *words)
{
    for (uint32_t i = 0; i < rl->n_sums; i++) {
        uint8_t *at = entry + rl->sum[i].at;
        for (uint32_t k = 0; k < n; k++, at += rl->stride) {
            uint64_t sum[OZ_FIX_LIMBS];
            oz_get_fix(sum, at);
            oz_fix_add(sum, sum, words + rl->sum[i].word);
            oz_put_fix(at, sum);
        }
    }
    for (uint32_t i = 0; i < rl->n_counts; i++) {
        uint8_t *at = entry + rl->count[i].at;
        for (uint32_t k = 0; k < n; k++, at += rl->stride)
            oz_put_u32(at, oz_get_u32(at) + (uint32_t)words[rl->count[i].word]);
    }
    for (uint32_t i = 0; i < rl->n_ones; i++) {
        uint8_t *at = entry + rl->ones[i].at;
        for (uint32_t k = 0; k < n; k++, at += rl->stride)
            oz_put_u32(at, oz_get_u32(at) + (uint32_t)words[rl->ones[i].word]);
    }
}

void oz_entries_insert(const struct oz_ring_layout *rl, uint8_t *entry, uint32_t n,
                       const struct oz_entry_event *event)
{
    uint64_t words[OZ_WORDS_MAX];
    memmove(entry + rl->stride, entry, (size_t)(n + 1) * rl->stride);
    /* `entry` still holds the totals of who stood here: they are the newcomer's too. */
    oz_event_words(rl, event, words);
    shift(rl, entry + rl->stride, n + 1, words);
    oz_entry_set_time(entry, event->time_us);
    for (uint32_t i = 0; i < rl->id_words; i++) oz_put_u64(entry + 8 + 8 * i, event->id[i]);
    for (uint32_t i = 0; i < rl->n_raws; i++)
        oz_put_u64(entry + rl->raw[i].at, event->value[rl->raw[i].value]);
}

void oz_entries_replace(const struct oz_ring_layout *rl, uint8_t *entry, uint32_t n,
                        const struct oz_entry_event *event, uint64_t *ret_words)
{
    uint64_t words[OZ_WORDS_MAX], id[2];
    struct oz_entry_event old;
    oz_entry_read(rl, entry, id, &old);
    oz_event_words(rl, event, ret_words);
    oz_event_words(rl, &old, words);
    oz_words_sub(rl, ret_words, words);
    shift(rl, entry + rl->stride, n, ret_words);
    for (uint32_t i = 0; i < rl->n_raws; i++)
        oz_put_u64(entry + rl->raw[i].at, event->value[rl->raw[i].value]);
}

uint32_t oz_entries_upper(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t n,
                          int64_t us)
{
    uint32_t lo = 0, hi = n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (oz_entry_time(entry + (size_t)mid * rl->stride) <= us)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

uint32_t oz_entries_upper_back(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t from,
                               int64_t us)
{
    uint32_t hi = from, step = 1;
    while (hi) {
        uint32_t lo = hi > step ? hi - step : 0;
        if (oz_entry_time(entry + (size_t)lo * rl->stride) <= us)
            return lo + 1 +
                   oz_entries_upper(rl, entry + (size_t)(lo + 1) * rl->stride, hi - lo - 1, us);
        hi = lo;
        step *= 2;
    }
    return 0;
}

void oz_entries_extremes(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t n,
                         uint32_t value, double *min, double *max)
{
    const uint8_t *at = entry + rl->value[value].raw_at;
    double lo = *min, hi = *max;
    for (uint32_t i = 0; i < n; i++, at += rl->stride) {
        double x = oz_double_of(oz_get_u64(at));
        lo = x < lo ? x : lo;
        hi = x > hi ? x : hi;
    }
    *min = lo;
    *max = hi;
}

void oz_entries_extreme(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t n,
                        uint32_t value, bool max, double *best, uint32_t *at)
{
    const uint8_t *from = entry + rl->value[value].raw_at;
    double found = *best;
    for (uint32_t i = 0; i < n; i++, from += rl->stride) {
        double x = oz_double_of(oz_get_u64(from));
        if (max ? x >= found : x <= found) {
            found = x;
            *at = i;
        }
    }
    *best = found;
}

uint32_t oz_entries_newest(const struct oz_ring_layout *rl, const uint8_t *entry, uint32_t n,
                           uint32_t value)
{
    const struct oz_value_layout *v = &rl->value[value];
    if (!n || !v->nullable) return n - 1;
    uint32_t at = v->count_at, hi = n - 1, lo = 0;
    uint32_t have = oz_get_u32(entry + (size_t)n * rl->stride + at);
    if (oz_get_u32(entry + at) == have) return UINT32_MAX;
    /* The newest entry that does not yet count all; usually one of the last. */
    for (uint32_t k = 0; k < 4; k++, hi--) {
        if (oz_get_u32(entry + (size_t)hi * rl->stride + at) != have) return hi;
        if (!hi) return UINT32_MAX;
    }
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo + 1) / 2;
        if (oz_get_u32(entry + (size_t)mid * rl->stride + at) != have)
            lo = mid;
        else
            hi = mid - 1;
    }
    return lo;
}
