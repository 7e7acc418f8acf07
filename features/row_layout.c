#include "features/row_layout.h"
#include <string.h>
#include "features/row_state.h"

struct resolver {
    const struct oz_entity_plan *entity;
    struct oz_arena *arena;
    struct oz_row_layout *layout;
    unsigned uses[OZ_SOURCES_MAX][OZ_RING_VALUES_MAX];
    const struct oz_ring_history *history; /* of a stored layout; else NULL */
    struct oz_error *err;
};

static const unsigned uses_of[OZ_AGG_COUNT_OF] = {
    [OZ_AGG_COUNT] = OZ_USE_COUNT,      [OZ_AGG_SUM] = OZ_USE_SUM,     [OZ_AGG_MEAN] = OZ_USE_SUM,
    [OZ_AGG_MIN] = OZ_USE_EXTREME,      [OZ_AGG_MAX] = OZ_USE_EXTREME, [OZ_AGG_LAST] = OZ_USE_LAST,
    [OZ_AGG_DISTINCT] = OZ_USE_DISTINCT};

static enum oz_status check_aggregate(struct resolver *r, const struct oz_aggregate *a)
{
    const char *text = a->text ? a->text : "an aggregate";
    OZ_ASSERT(a->ring < r->entity->n_rings && a->agg < OZ_AGG_COUNT_OF);
    OZ_ASSERT(a->value >= -1 && (a->value >= 0 || a->agg == OZ_AGG_COUNT));
    const struct oz_ring_plan *ring = &r->entity->ring[a->ring];
    OZ_ASSERT(a->value < (int)ring->n_values);
    if (a->over_us < 0 || a->delay_us < 0 || a->over_us >= OZ_TIME_LIMIT / 4 ||
        a->delay_us >= OZ_TIME_LIMIT / 4)
        OZ_FAIL(r->err, OZ_CONFIG, "%s: a duration is out of range", text);
    if (a->over_us && a->last)
        OZ_FAIL(r->err, OZ_CONFIG, "%s: give `over` or `last`, not both", text);
    bool all_time = !a->over_us && !a->last;
    enum oz_value_kind kind = a->value < 0 ? OZ_VALUE_MARK : ring->value[a->value].kind;
    if (a->agg == OZ_AGG_DISTINCT && all_time && kind != OZ_VALUE_FLAG && kind != OZ_VALUE_MARK)
        OZ_FAIL(
            r->err, OZ_CONFIG,
            "%s: distinct needs `over` or `last`, since over all time every value would have to "
            "be kept",
            text);
    if (kind == OZ_VALUE_KEY && a->agg != OZ_AGG_COUNT && a->agg != OZ_AGG_DISTINCT)
        OZ_FAIL(r->err, OZ_CONFIG, "%s: a value that is only compared has count and distinct",
                text);
    return OZ_OK;
}

/* The columns of a ring's entries and the words of its totals. */
static void resolve_columns(struct resolver *r, uint32_t number)
{
    const struct oz_ring_plan *plan = &r->entity->ring[number];
    struct oz_ring_layout *rl = &r->layout->ring[number];
    uint32_t at = 8 + rl->id_words * 8, word = 1;
    for (uint16_t i = 0; i < rl->n_values; i++) {
        struct oz_value_layout *v = &rl->value[i];
        *v = (struct oz_value_layout){
            .kind = plan->value[i].kind, .nullable = plan->value[i].nullable, .extreme = -1};
        if (v->kind != OZ_VALUE_DOUBLE && v->kind != OZ_VALUE_KEY) continue;
        v->raw_at = (uint16_t)at;
        rl->raw[rl->n_raws++] = (struct oz_column_at){v->raw_at, i, 0};
        at += 8;
        if (v->kind == OZ_VALUE_DOUBLE && r->uses[number][i] & OZ_USE_EXTREME) {
            v->extreme = (int)rl->n_extremes;
            rl->extreme_value[rl->n_extremes++] = i;
        }
    }
    for (uint16_t i = 0; i < rl->n_values; i++) {
        struct oz_value_layout *v = &rl->value[i];
        if (v->kind != OZ_VALUE_DOUBLE || !(r->uses[number][i] & OZ_USE_SUM)) continue;
        v->sum_at = (uint16_t)at;
        v->sum_word = (uint16_t)word;
        rl->sum[rl->n_sums++] = (struct oz_column_at){v->sum_at, i, v->sum_word};
        at += 8 * OZ_FIX_LIMBS;
        word += OZ_FIX_LIMBS;
    }
    for (uint16_t i = 0; i < rl->n_values; i++) {
        struct oz_value_layout *v = &rl->value[i];
        unsigned counted = OZ_USE_COUNT | OZ_USE_SUM | OZ_USE_LAST;
        bool flags = v->kind == OZ_VALUE_FLAG || v->kind == OZ_VALUE_MARK;
        if (v->kind == OZ_VALUE_FLAG) {
            v->ones_at = (uint16_t)at;
            v->ones_word = (uint16_t)word++;
            rl->ones[rl->n_ones++] = (struct oz_column_at){v->ones_at, i, v->ones_word};
            at += 4;
        }
        if (v->nullable && (flags || r->uses[number][i] & counted)) {
            v->count_at = (uint16_t)at;
            v->count_word = (uint16_t)word++;
            rl->count[rl->n_counts++] = (struct oz_column_at){v->count_at, i, v->count_word};
            at += 4;
        }
    }
    rl->stride = (at + 7) & ~7u;
    rl->n_words = word;
    rl->ref_bytes = (uint32_t)(sizeof(struct oz_ref) + 8 * (2 * word + 2 * rl->n_extremes));
    OZ_ASSERT(rl->stride <= OZ_ENTRY_BYTES_MAX && word <= OZ_WORDS_MAX);
}

static enum oz_status find_bound(struct resolver *r, struct oz_ring_layout *rl, int64_t us,
                                 int *ret_bound)
{
    for (uint32_t b = 0; b < rl->n_bounds; b++)
        if (rl->bound_us[b] == us) {
            *ret_bound = (int)b;
            return OZ_OK;
        }
    if (rl->n_bounds == OZ_BOUNDS_MAX)
        OZ_FAIL(r->err, OZ_CONFIG,
                "more than %d different window ends for one entity and source: use fewer "
                "durations and delays",
                OZ_BOUNDS_MAX);
    *ret_bound = (int)rl->n_bounds;
    rl->bound_us[rl->n_bounds++] = us;
    return OZ_OK;
}

static enum oz_status resolve_window(struct resolver *r, const struct oz_aggregate *a,
                                     struct oz_window *ret_window)
{
    struct oz_ring_layout *rl = &r->layout->ring[a->ring];
    struct oz_window w = {.head = OZ_HEAD_SELF, .delay_us = a->delay_us, .last = a->last};
    if (a->ring || a->delay_us)
        OZ_TRY(find_bound(r, rl, a->delay_us, &w.head));
    else
        w.excluding_current = a->excluding_current;
    w.tail = a->last ? OZ_TAIL_LAST : OZ_TAIL_ALL;
    if (a->over_us) {
        OZ_TRY(find_bound(r, rl, a->over_us + a->delay_us, &w.tail));
        rl->tail_us = OZ_MAX(rl->tail_us, a->over_us + a->delay_us);
    } else if (a->last) {
        rl->keep_last = OZ_MAX(rl->keep_last, a->last);
        rl->settle_us = OZ_MAX(rl->settle_us, a->delay_us);
    } else {
        rl->all_time = true;
        rl->all_time_delay_us = OZ_MAX(rl->all_time_delay_us, a->delay_us);
        rl->all_time_last |= a->agg == OZ_AGG_LAST;
    }
    *ret_window = w;
    return OZ_OK;
}

static void resolve_read(struct resolver *r, const struct oz_aggregate *a, uint16_t out,
                         struct oz_read *ret_read)
{
    static const enum oz_read_op plain[] = {OZ_READ_COUNT,   OZ_READ_SUM, OZ_READ_MEAN,
                                            OZ_READ_MIN,     OZ_READ_MAX, OZ_READ_LAST,
                                            OZ_READ_DISTINCT};
    static const enum oz_read_op ones[] = {
        OZ_READ_COUNT,    OZ_READ_ONES_SUM, OZ_READ_ONES_MEAN,    OZ_READ_ONES_MIN,
        OZ_READ_ONES_MAX, OZ_READ_LAST,     OZ_READ_ONES_DISTINCT};
    static const enum oz_read_op mark[] = {OZ_READ_COUNT,        OZ_READ_MARK_SUM, OZ_READ_MARK_ONE,
                                           OZ_READ_MARK_ONE,     OZ_READ_MARK_ONE, OZ_READ_MARK_ONE,
                                           OZ_READ_MARK_DISTINCT};
    struct oz_row_layout *layout = r->layout;
    struct oz_read x = {.op = OZ_READ_COUNT, .out = out, .bag = -1, .memo = -1};
    if (a->value >= 0) {
        const struct oz_value_layout *v = &layout->ring[a->ring].value[a->value];
        x.value = (uint16_t)a->value;
        x.of_value = true;
        x.op = v->kind == OZ_VALUE_FLAG   ? ones[a->agg]
               : v->kind == OZ_VALUE_MARK ? mark[a->agg]
                                          : plain[a->agg];
        x.count_at = v->count_at;
        x.count_word = v->count_word;
        x.at = v->kind == OZ_VALUE_FLAG ? v->ones_at : v->sum_at;
        x.word = v->kind == OZ_VALUE_FLAG ? v->ones_word : v->sum_word;
    }
    if (x.op == OZ_READ_DISTINCT) {
        x.bag = (int)layout->n_bags;
        layout->bag_ring[layout->n_bags] = (uint16_t)a->ring;
        layout->bag_value[layout->n_bags++] = x.value;
        layout->ring[a->ring].has_bags = true;
    }
    if (x.op == OZ_READ_MIN || x.op == OZ_READ_MAX) x.memo = (int)layout->n_memos++;
    *ret_read = x;
}

static bool same_window(const struct oz_window *a, const struct oz_window *b)
{
    return a->head == b->head && a->tail == b->tail && a->last == b->last &&
           a->delay_us == b->delay_us && a->excluding_current == b->excluding_current;
}

/* Windows stand ring by ring, and each aggregate's read with its window. */
static enum oz_status resolve_windows(struct resolver *r)
{
    struct oz_row_layout *layout = r->layout;
    uint32_t n = r->entity->n_aggregates, n_windows = 0, n_reads = 0;
    struct oz_window *window = oz_arena_zeroed(r->arena, n + 1, sizeof *window);
    if (!window) return oz_no_memory(r->err);
    for (uint32_t i = 0; i < n; i++)
        OZ_TRY(resolve_window(r, &r->entity->aggregate[i], &window[i]));
    for (uint32_t ring = 0; ring < layout->n_rings; ring++) {
        layout->ring[ring].first_window = n_windows;
        for (uint32_t i = 0; i < n; i++) {
            const struct oz_aggregate *a = &r->entity->aggregate[i];
            bool seen = a->ring != ring;
            for (uint32_t k = 0; k < i && !seen; k++)
                seen = r->entity->aggregate[k].ring == ring && same_window(&window[i], &window[k]);
            if (seen) continue;
            struct oz_window *to = &layout->window[n_windows++];
            *to = window[i];
            to->first_read = n_reads;
            for (uint32_t k = i; k < n; k++)
                if (r->entity->aggregate[k].ring == ring && same_window(&window[i], &window[k]))
                    resolve_read(r, &r->entity->aggregate[k], (uint16_t)k,
                                 &layout->read[n_reads++]);
            to->n_reads = n_reads - to->first_read;
        }
        layout->ring[ring].n_windows = n_windows - layout->ring[ring].first_window;
    }
    return OZ_OK;
}

/* How far back the ring must reach. A late event sees its own window whole, a repeat finds what it
 * repeats, and totals over all time may take in only what no event can ask to be left out. */
static void resolve_reach(struct resolver *r, uint32_t number)
{
    struct oz_ring_layout *rl = &r->layout->ring[number];
    int64_t scored_lateness_us = r->layout->ring[0].lateness_us, bound_us = 1;
    for (uint32_t b = 0; b < rl->n_bounds; b++) bound_us = OZ_MAX(bound_us, rl->bound_us[b]);
    rl->reach_us = scored_lateness_us + bound_us;
    if (rl->all_time && rl->id_words) rl->reach_us = OZ_MAX(rl->reach_us, rl->lateness_us + 1);
    rl->settle_us += scored_lateness_us + 1;
    if (!rl->all_time) return;
    for (uint32_t i = 0; i < rl->n_values; i++) {
        enum oz_value_kind kind = rl->value[i].kind;
        rl->value[i].outlives = rl->all_time_last && r->uses[number][i] & OZ_USE_LAST &&
                                (kind == OZ_VALUE_DOUBLE || kind == OZ_VALUE_FLAG);
    }
    rl->base_last = rl->n_words;
    rl->base_extreme = rl->base_last + 2 * rl->n_values;
    rl->base_words = rl->base_extreme + 2 * rl->n_extremes;
}

static void take_history(struct resolver *r, uint32_t number)
{
    const struct oz_ring_history *history = &r->history[number];
    struct oz_ring_layout *rl = &r->layout->ring[number];
    rl->keep_last = history->keep_last;
    rl->all_time = history->all_time;
    rl->all_time_last = history->all_time_last;
}

static void resolve_memory(struct resolver *r)
{
    struct oz_row_layout *layout = r->layout;
    size_t at = (sizeof(struct oz_row) + 7) & ~(size_t)7, n_bounds = 0;
    size_t side = sizeof(struct oz_row_side) + layout->n_rings * sizeof(struct oz_ring_side) +
                  layout->n_bags * sizeof(struct oz_bag) + layout->n_memos * sizeof(struct oz_memo);
    for (uint32_t i = 0; i < layout->n_rings; i++) {
        struct oz_ring_layout *rl = &layout->ring[i];
        rl->at = (uint32_t)at;
        at += (sizeof(struct oz_ring) + sizeof(uint32_t) * rl->n_bounds + 7) & ~(size_t)7;
        side += 8 * ((size_t)rl->n_words + rl->base_words + 2 + rl->n_values);
        n_bounds += rl->n_bounds;
    }
    layout->suppressions_at = (uint32_t)at;
    layout->row_bytes = (uint32_t)(at + layout->n_suppressions * sizeof(struct oz_suppression));
    layout->side_bytes = (uint32_t)side;
    layout->n_blocks_kept = (uint32_t)(2 * n_bounds + 4);
}

static enum oz_status resolve(struct resolver *r)
{
    struct oz_row_layout *layout = r->layout;
    const struct oz_entity_plan *entity = r->entity;
    size_t n = entity->n_aggregates + 1;
    layout->ring = oz_arena_zeroed(r->arena, entity->n_rings, sizeof *layout->ring);
    layout->window = oz_arena_zeroed(r->arena, n, sizeof *layout->window);
    layout->read = oz_arena_zeroed(r->arena, n, sizeof *layout->read);
    layout->bag_ring = oz_arena_zeroed(r->arena, n, sizeof *layout->bag_ring);
    layout->bag_value = oz_arena_zeroed(r->arena, n, sizeof *layout->bag_value);
    if (!layout->ring || !layout->window || !layout->read || !layout->bag_ring ||
        !layout->bag_value)
        return oz_no_memory(r->err);
    for (uint32_t i = 0; i < entity->n_rings; i++) {
        const struct oz_ring_plan *plan = &entity->ring[i];
        struct oz_ring_layout *rl = &layout->ring[i];
        OZ_ASSERT(plan->scored == (i == 0) && plan->n_values <= OZ_RING_VALUES_MAX);
        OZ_ASSERT(plan->id_bytes == 0 || plan->id_bytes == 8 || plan->id_bytes == 16);
        if (plan->lateness_us < 0 || plan->lateness_us >= OZ_TIME_LIMIT / 4)
            OZ_FAIL(r->err, OZ_CONFIG, "a lateness is out of range");
        rl->id_words = (uint32_t)plan->id_bytes / 8;
        rl->n_values = plan->n_values;
        rl->replaces = plan->replaces && !plan->scored;
        rl->lateness_us = plan->lateness_us;
        rl->all_time_delay_us = -1;
        rl->since_us = OZ_TIME_NONE;
        rl->bound_us = oz_arena_zeroed(r->arena, OZ_BOUNDS_MAX, sizeof *rl->bound_us);
        if (!rl->bound_us) return oz_no_memory(r->err);
        for (uint32_t v = 0; v < plan->n_values; v++) r->uses[i][v] = plan->value[v].uses;
    }
    for (uint32_t i = 0; i < entity->n_aggregates; i++) {
        const struct oz_aggregate *a = &entity->aggregate[i];
        OZ_TRY(check_aggregate(r, a));
        if (a->value >= 0) r->uses[a->ring][a->value] |= uses_of[a->agg];
    }
    for (uint32_t i = 0; i < entity->n_rings; i++) resolve_columns(r, i);
    OZ_TRY(resolve_windows(r));
    for (uint32_t i = 0; i < entity->n_rings; i++) {
        if (r->history) take_history(r, i);
        resolve_reach(r, i);
        if (r->history) layout->ring[i].reach_us = r->history[i].reach_us;
        if (r->history) layout->ring[i].settle_us = r->history[i].settle_us;
    }
    resolve_memory(r);
    return OZ_OK;
}

static enum oz_status make(const struct oz_entity_plan *entity,
                           const struct oz_ring_history *history, struct oz_arena *arena,
                           struct oz_row_layout **ret_layout, struct oz_error *err)
{
    OZ_ASSERT(entity->n_rings >= 1 && entity->n_rings <= OZ_SOURCES_MAX);
    OZ_ASSERT(entity->n_aggregates <= OZ_AGGREGATES_MAX);
    struct resolver r = {.entity = entity, .arena = arena, .history = history, .err = err};
    r.layout = oz_arena_zeroed(arena, 1, sizeof *r.layout);
    if (!r.layout) return oz_no_memory(err);
    *r.layout = (struct oz_row_layout){.block_events = OZ_BLOCK_EVENTS,
                                       .page_chunks = OZ_PAGE_CHUNKS,
                                       .max_row_events = entity->max_row_events,
                                       .n_rings = entity->n_rings,
                                       .n_aggregates = entity->n_aggregates,
                                       .n_suppressions = entity->n_suppressions};
    if (!r.layout->max_row_events) r.layout->max_row_events = UINT64_MAX;
    OZ_TRY(resolve(&r));
    *ret_layout = r.layout;
    return OZ_OK;
}

enum oz_status oz_row_layout_new(const struct oz_entity_plan *entity, struct oz_arena *arena,
                                 struct oz_row_layout **ret_layout, struct oz_row_kind *ret_kind,
                                 struct oz_error *err)
{
    OZ_TRY(make(entity, NULL, arena, ret_layout, err));
    *ret_kind = oz_row_kind_of(*ret_layout);
    return OZ_OK;
}

enum oz_status oz_row_layout_stored(const struct oz_entity_plan *entity,
                                    const struct oz_ring_history *history, struct oz_arena *arena,
                                    struct oz_row_layout **ret_layout, struct oz_error *err)
{
    OZ_ASSERT(!entity->n_aggregates);
    return make(entity, history, arena, ret_layout, err);
}

void oz_row_layout_set_block_events(struct oz_row_layout *layout, uint32_t block_events,
                                    uint32_t page_chunks)
{
    OZ_ASSERT(block_events >= 2 && page_chunks >= 2);
    layout->block_events = block_events;
    layout->page_chunks = page_chunks;
}
