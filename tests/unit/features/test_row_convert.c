/* Rows that outlive their definition: random definitions, random events, a row that is stored under
 * one and read by the next, again and again, against a twin that never forgets an event or a value.
 * An answer that is not flagged as warming is the twin's to the bit, whatever the row went through;
 * one that is flagged has an aggregate that reaches back to what was not kept, by the twin's own
 * rule; aggregates that were there before, or lie within what was kept, are right even then. A row
 * that stays in memory and one that is stored and read all the time have the same bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "features/row_state.h"
#include "part_map.h"
#include "window_twin.h"

enum { DEFINITIONS = 3, AGGREGATES = 8, POOL_BYTES = 1 << 22 };

/* A choice of aggregates and values out of the universe, which is what the twin knows. */
struct definition {
    struct oz_entity_plan plan;
    struct oz_aggregate aggregate[AGGREGATES], wide[AGGREGATES]; /* the same in the universe */
    int ring[OZ_SOURCES_MAX];                                    /* of the universe: here, or -1 */
    int value[OZ_SOURCES_MAX][OZ_RING_VALUES_MAX];
    struct oz_row_layout *layout;
    struct oz_row_kind kind;
    struct oz_named_layout named, stored; /* as it is, and as a meta record tells of it */
    struct oz_row_reading *reading[DEFINITIONS];
};

struct harness {
    struct oz_arena arena;
    struct oz_pool *pool;
    struct twin_plan universe;
    struct twin twin;
    struct definition def[DEFINITIONS];
    int now;      /* the definition in use */
    void *row[2]; /* stays in memory; goes through bytes */
    struct part_map map[2];
    int stored_by[2];                               /* who wrote the main part */
    int64_t clock, newest;                          /* of all events so far */
    int64_t from;                                   /* when the present definition took over */
    int64_t last_then, newest_then[OZ_SOURCES_MAX]; /* as it took over */
    uint32_t n_then[OZ_SOURCES_MAX];
    uint64_t seed, next_id;
};

static struct {
    uint64_t values, warming, right_while_warming, rebuilt, same_columns, spilled, grown_warm;
} seen;
static struct oz_error failure;

static const char *const source_name[] = {"scored", "first", "second"};
static const char *const value_name[] = {"a", "b", "c", "d"};

static bool same_aggregate(const struct oz_aggregate *a, const struct oz_aggregate *b)
{
    return a->agg == b->agg && a->ring == b->ring && a->value == b->value &&
           a->over_us == b->over_us && a->delay_us == b->delay_us && a->last == b->last &&
           a->excluding_current == b->excluding_current;
}

static bool asks(const struct definition *d, const struct oz_aggregate *wide)
{
    for (uint32_t i = 0; i < d->plan.n_aggregates; i++)
        if (same_aggregate(&d->wide[i], wide)) return true;
    return false;
}

/* ---------- definitions */

static void choose(struct harness *h, int number)
{
    struct definition *d = &h->def[number], *before = number ? &h->def[number - 1] : NULL;
    const struct oz_entity_plan *all = &h->universe.entity;
    uint32_t n = 0;
    for (uint32_t i = 0; before && i < before->plan.n_aggregates; i++)
        if (below(3)) d->wide[n++] = before->wide[i];
    uint32_t want = 1 + below(AGGREGATES);
    while (n < want) {
        random_aggregate(all, &d->wide[n], h->universe.unit);
        n++;
    }
    bool used[OZ_SOURCES_MAX][OZ_RING_VALUES_MAX] = {{false}}, read[OZ_SOURCES_MAX] = {true};
    for (uint32_t i = 0; i < n; i++) {
        read[d->wide[i].ring] = true;
        if (d->wide[i].value >= 0) used[d->wide[i].ring][d->wide[i].value] = true;
    }
    d->plan.name = "entity";
    d->plan.n_aggregates = n;
    d->plan.aggregate = d->aggregate;
    for (uint32_t r = 0; r < all->n_rings; r++) {
        d->ring[r] = -1;
        if (!read[r]) continue;
        d->ring[r] = (int)d->plan.n_rings++;
        struct oz_ring_plan *ring = &d->plan.ring[d->ring[r]];
        *ring = all->ring[r];
        ring->n_values = 0;
        for (uint32_t v = 0; v < all->ring[r].n_values; v++) {
            d->value[r][v] = -1;
            if (!used[r][v]) continue;
            d->value[r][v] = (int)ring->n_values;
            ring->value[ring->n_values++] = all->ring[r].value[v];
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        d->aggregate[i] = d->wide[i];
        d->aggregate[i].ring = (uint32_t)d->ring[d->wide[i].ring];
        if (d->wide[i].value >= 0)
            d->aggregate[i].value = d->value[d->wide[i].ring][d->wide[i].value];
    }
}

static void name(struct harness *h, struct definition *d)
{
    for (uint32_t r = 0; r < h->universe.entity.n_rings; r++) {
        if (d->ring[r] < 0) continue;
        d->named.source[d->ring[r]] = source_name[r];
        for (uint32_t v = 0; v < h->universe.entity.ring[r].n_values; v++)
            if (d->value[r][v] >= 0) d->named.value[d->ring[r]][d->value[r][v]] = value_name[v];
    }
    d->named.layout = d->layout;
}

/* As a meta record has it: columns and reach, no aggregates. */
static void store_layout(struct harness *h, struct definition *d)
{
    static struct oz_entity_plan plan;
    struct oz_ring_history history[OZ_SOURCES_MAX];
    struct oz_row_layout *layout;
    plan = d->plan;
    plan.n_aggregates = 0;
    for (uint32_t i = 0; i < plan.n_rings; i++) {
        const struct oz_ring_layout *rl = &d->layout->ring[i];
        history[i] = (struct oz_ring_history){rl->reach_us, rl->settle_us, rl->keep_last,
                                              rl->all_time, rl->all_time_last};
        for (uint32_t v = 0; v < rl->n_values; v++)
            plan.ring[i].value[v].uses = (rl->value[v].count_at ? OZ_USE_COUNT : 0u) |
                                         (rl->value[v].sum_at ? OZ_USE_SUM : 0u) |
                                         (rl->value[v].extreme >= 0 ? OZ_USE_EXTREME : 0u) |
                                         (rl->value[v].outlives ? OZ_USE_LAST : 0u);
    }
    assert_int_equal(oz_row_layout_stored(&plan, history, &h->arena, &layout, &failure), OZ_OK);
    oz_row_layout_set_block_events(layout, h->universe.block_events, h->universe.page_chunks);
    d->stored = d->named;
    d->stored.layout = layout;
    assert_true(oz_named_layout_same_columns(&d->stored, &d->named));
}

static bool make(struct harness *h, int number)
{
    struct definition *d = &h->def[number];
    choose(h, number);
    if (oz_row_layout_new(&d->plan, &h->arena, &d->layout, &d->kind, &failure)) return false;
    oz_row_layout_set_block_events(d->layout, h->universe.block_events, h->universe.page_chunks);
    name(h, d);
    store_layout(h, d);
    for (int k = 0; k < number; k++)
        assert_int_equal(
            oz_row_reading_new(&h->def[k].stored, &d->named, &h->arena, &d->reading[k], &failure),
            OZ_OK);
    d->layout->reading = (const struct oz_row_reading *const *)d->reading;
    d->layout->n_readings = (uint32_t)number;
    return true;
}

static bool harness_init(struct harness *h, uint64_t seed)
{
    memset(h, 0, sizeof *h);
    twin_seed = seed * 0x51ED2701u + 77;
    h->seed = seed;
    random_plan(&h->universe);
    h->universe.entity.max_row_events = 0;
    twin_init(&h->twin, &h->universe.entity, 4000);
    oz_arena_init(&h->arena, 1 << 16);
    assert_int_equal(oz_pool_new(POOL_BYTES, &h->pool, &failure), OZ_OK);
    h->clock = (int64_t)below(1000000) * h->universe.unit + INT64_C(1500000000000000);
    h->newest = INT64_MIN;
    bool ok = true;
    for (int i = 0; i < DEFINITIONS && ok; i++) ok = make(h, i);
    for (int i = 0; i < 2 && ok; i++) {
        part_map_init(&h->map[i], h->pool);
        h->row[i] = calloc(1, h->def[0].kind.row_bytes);
        oz_row_init(h->def[0].layout, h->row[i]);
    }
    return ok;
}

static void harness_clear(struct harness *h)
{
    for (int i = 0; i < 2; i++) {
        if (h->row[i]) oz_row_clear(h->def[h->now].layout, h->row[i], h->pool);
        free(h->row[i]);
        part_map_clear(&h->map[i]);
    }
    assert_int_equal(oz_pool_used_bytes(h->pool), 0);
    oz_pool_free(h->pool);
    oz_arena_clear(&h->arena);
    twin_clear(&h->twin);
}

#define REQUIRE(h, what, ...)                                                                      \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            print_error("seed %llu, definition %d: ", (unsigned long long)(h)->seed, (h)->now);    \
            print_error(__VA_ARGS__);                                                              \
            print_error(" (%s)\n", failure.message);                                               \
            return false;                                                                          \
        }                                                                                          \
    } while (0)

/* ---------- through bytes */

static bool store(struct harness *h, int i)
{
    const struct definition *d = &h->def[h->now];
    bool written = !h->map[i].n_parts || ((struct oz_row *)h->row[i])->changed;
    ((struct oz_row *)h->row[i])->changed = written;
    REQUIRE(h, part_map_store(&h->map[i], &d->kind, h->row[i], &failure) == OZ_OK, "cannot store");
    if (written) h->stored_by[i] = h->now;
    return true;
}

static bool load(struct harness *h, int i, int by)
{
    const struct definition *d = &h->def[by];
    free(h->row[i]);
    h->row[i] = calloc(1, d->kind.row_bytes);
    struct part_map *map = &h->map[i];
    if (!map->part[0].data) { /* it was empty: there is no row */
        oz_row_init(d->layout, h->row[i]);
        return true;
    }
    map->io.layout = h->stored_by[i] == by ? 0 : 1 + (uint32_t)h->stored_by[i];
    REQUIRE(h,
            d->kind.decode(d->kind.ctx, h->row[i], &map->io, map->part[0].data, map->part[0].len,
                           &failure) == OZ_OK,
            "cannot read what %d wrote", h->stored_by[i]);
    if (map->io.layout) {
        seen.rebuilt += !d->reading[h->stored_by[i]]->same_columns;
        seen.same_columns += d->reading[h->stored_by[i]]->same_columns;
    }
    map->io.layout = 0;
    return true;
}

static bool restore(struct harness *h, int i, int by)
{
    if (!store(h, i)) return false;
    oz_row_clear(h->def[h->now].layout, h->row[i], h->pool);
    return load(h, i, by);
}

/* Sources that an earlier definition did not read are whole from now on only. */
static bool take_over(struct harness *h)
{
    int next = h->now + 1;
    struct oz_row_layout *layout = h->def[next].layout;
    h->from = h->newest;
    h->last_then = h->twin.begun ? h->twin.last : INT64_MIN;
    for (uint32_t r = 0; r < h->universe.entity.n_rings; r++) {
        uint32_t n = h->n_then[r] = h->twin.n[r];
        h->newest_then[r] = n ? h->twin.event[r][n - 1].t : INT64_MIN;
        if (h->def[next].ring[r] < 0) continue;
        struct oz_ring_layout *rl = &layout->ring[h->def[next].ring[r]];
        if (h->def[h->now].ring[r] < 0 && h->from != INT64_MIN)
            rl->since_us = h->from;
        else if (next > 1 && h->def[next - 1].ring[r] >= 0)
            rl->since_us = h->def[next - 1].layout->ring[h->def[next - 1].ring[r]].since_us;
        layout->warms |= rl->since_us != OZ_TIME_NONE;
    }
    for (int i = 0; i < 2; i++)
        if (!restore(h, i, next)) {
            h->row[i] = NULL;
            return false;
        }
    h->now = next;
    return true;
}

/* ---------- what may be missing, by the twin's rule */

static int64_t reach_of(const struct harness *h, const struct definition *d, uint32_t r)
{
    int64_t bound = 1;
    bool all_time = false;
    for (uint32_t i = 0; i < d->plan.n_aggregates; i++) {
        const struct oz_aggregate *a = &d->wide[i];
        if (a->ring != r) continue;
        if (a->over_us) bound = a->over_us + a->delay_us > bound ? a->over_us + a->delay_us : bound;
        if (a->delay_us > bound) bound = a->delay_us;
        all_time |= !a->over_us && !a->last;
    }
    const struct oz_ring_plan *ring = &h->universe.entity.ring[r];
    int64_t reach = h->universe.entity.ring[0].lateness_us + bound;
    if (all_time && ring->id_bytes && ring->lateness_us + 1 > reach) reach = ring->lateness_us + 1;
    return reach;
}

static bool may_miss(const struct harness *h, const struct oz_aggregate *a, int64_t t)
{
    const struct definition *before = &h->def[h->now - 1];
    const struct twin_event *ev = h->twin.event[a->ring];
    int64_t start = t - a->delay_us - a->over_us;
    if (before->ring[a->ring] < 0) return h->from != INT64_MIN && (!a->over_us || start < h->from);
    if (asks(before, a)) return false;
    bool lacks = a->value >= 0 && before->value[a->ring][a->value] < 0 && h->n_then[a->ring];
    int64_t kept =
        h->last_then == INT64_MIN ? INT64_MIN : h->last_then - reach_of(h, before, a->ring);
    bool gone = h->n_then[a->ring] && kept != INT64_MIN && ev[0].t <= kept;
    if (!a->over_us) return gone || lacks;
    return (gone && start < kept) || (lacks && start < h->newest_then[a->ring]);
}

static bool values_agree(struct harness *h, const struct oz_row_event *e, uint32_t self,
                         unsigned flags, const double *got)
{
    const struct definition *d = &h->def[h->now];
    bool may = h->now > 1, warm = flags & OZ_PUSH_WARMING; /* of three, values decide */
    for (uint32_t i = 0; i < d->plan.n_aggregates; i++) {
        const struct oz_aggregate *a = &d->wide[i];
        bool touched, misses = h->now == 1 && may_miss(h, a, e->time_us);
        double want = twin_aggregate(&h->twin, a, e->time_us, self, &touched);
        may |= misses;
        seen.values++;
        if (warm && (misses || h->now > 1)) continue;
        seen.right_while_warming += warm;
        bool same = isnan(want) ? isnan(got[i]) : bits_of(want) == bits_of(got[i]);
        REQUIRE(h, same,
                "aggregate %u%s: agg %d ring %u value %d over %lld delay %lld last %u at %lld: got "
                "%.17g, expected %.17g",
                i, warm ? " (another one warms)" : "", a->agg, a->ring, a->value,
                (long long)a->over_us, (long long)a->delay_us, a->last, (long long)e->time_us,
                got[i], want);
    }
    seen.warming += warm;
    seen.grown_warm += h->now > 0 && !warm;
    REQUIRE(h, may || !warm, "warming, and nothing is missing");
    return true;
}

/* ---------- events */

static void random_event(struct harness *h, struct oz_row_event *e, uint64_t *value)
{
    int64_t unit = h->universe.unit;
    *e = (struct oz_row_event){.value = value};
    if (h->universe.entity.n_rings > 1 && !below(3))
        e->ring = 1 + below(h->universe.entity.n_rings - 1);
    const struct oz_ring_plan *ring = &h->universe.entity.ring[e->ring];
    uint32_t lateness = (uint32_t)(ring->lateness_us / unit);
    e->time_us = h->clock + (int64_t)below(4) * unit;
    if (!below(400)) e->time_us += 300 * unit;
    if (!below(8) || (e->ring && below(3)))
        e->time_us = h->clock - (int64_t)below(lateness + 3) * unit;
    e->id[0] = ++h->next_id;
    e->id[1] = ring->id_bytes < 16 ? 0 : twin_random();
    if (!ring->id_bytes) e->id[0] = 0;
    for (uint32_t i = 0; i < ring->n_values; i++) value[i] = random_value(&ring->value[i], 1);
    if (!e->ring && e->time_us > h->clock) h->clock = e->time_us;
}

/* An event that a definition has no use for reaches the twin alone. */
static bool push(struct harness *h, const struct oz_row_event *e)
{
    const struct definition *d = &h->def[h->now];
    double got[2][AGGREGATES];
    unsigned flags[2] = {0, 0};
    uint64_t value[OZ_RING_VALUES_MAX] = {0};
    int ring = d->ring[e->ring];
    for (uint32_t v = 0; v < h->universe.entity.ring[e->ring].n_values; v++)
        if (ring >= 0 && d->value[e->ring][v] >= 0) value[d->value[e->ring][v]] = e->value[v];
    struct oz_row_event own = *e;
    own.ring = (uint32_t)ring;
    own.value = value;
    for (int i = 0; i < 2 && ring >= 0; i++) {
        REQUIRE(h,
                oz_row_push(d->layout, h->row[i], &h->map[i].io, &own, got[i], &flags[i],
                            &failure) == OZ_OK,
                "row %d refuses an event", i);
    }
    struct twin_verdict v = twin_push(&h->twin, e, false);
    if (e->time_us > h->newest) h->newest = e->time_us;
    if (ring != 0) return true;
    REQUIRE(
        h, flags[0] == flags[1] && !memcmp(got[0], got[1], sizeof(double) * d->plan.n_aggregates),
        "the row that went through bytes answers otherwise: flags %x and %x", flags[0], flags[1]);
    REQUIRE(h, (flags[0] & OZ_PUSH_LATE) == (v.flags & OZ_PUSH_LATE), "late or not");
    return !v.kept || values_agree(h, e, v.self, flags[0], got[0]);
}

static bool equal_bytes(struct harness *h)
{
    if (!store(h, 0) || !store(h, 1)) return false;
    int64_t part = part_map_difference(&h->map[0], &h->map[1]);
    REQUIRE(h, part < 0, "part %lld differs", (long long)part);
    for (uint32_t i = 0; i < h->def[h->now].layout->n_rings; i++)
        seen.spilled += oz_ring_of(h->def[h->now].layout, h->row[0], i)->spilled;
    return true;
}

static bool differential(uint64_t seed)
{
    struct harness *h = malloc(sizeof *h);
    bool ok = harness_init(h, seed);
    if (!ok) { /* more distinct than a layout can count over all time */
        harness_clear(h);
        free(h);
        return true;
    }
    int n_definitions = seed % 3 ? 2 : 3;
    uint32_t n_events = seed % 16 ? 40 + below(160) : 900;
    for (int d = 0; d < n_definitions && ok; d++) {
        if (d) ok = take_over(h);
        uint32_t n = d == 1 && n_definitions == 3 && !below(3) ? 0 : n_events;
        for (uint32_t k = 0; k < n && ok; k++) {
            struct oz_row_event e;
            uint64_t value[OZ_RING_VALUES_MAX];
            random_event(h, &e, value);
            ok = push(h, &e);
            if (ok && !below(20)) ok = restore(h, 1, h->now);
        }
        ok = ok && equal_bytes(h);
    }
    harness_clear(h);
    free(h);
    return ok;
}

static void test_rows_outlive_their_definition(void **state)
{
    (void)state;
    const char *one = getenv("OUZEL_SEED"), *many = getenv("OUZEL_SEEDS");
    uint64_t from = one ? strtoull(one, NULL, 10) : 0, n = many ? strtoull(many, NULL, 10) : 3000;
    uint32_t failed = 0;
    for (uint64_t seed = from; seed < (one ? from + 1 : n) && failed < 5; seed++)
        failed += !differential(seed);
    printf("%llu values, %llu events warming, %llu values right meanwhile, %llu events whole under "
           "a new definition; rows read: %llu as they are, %llu rebuilt; %llu spilled rings\n",
           (unsigned long long)seen.values, (unsigned long long)seen.warming,
           (unsigned long long)seen.right_while_warming, (unsigned long long)seen.grown_warm,
           (unsigned long long)seen.same_columns, (unsigned long long)seen.rebuilt,
           (unsigned long long)seen.spilled);
    assert_int_equal(failed, 0);
    if (one) return;
    assert_true(seen.warming && seen.right_while_warming && seen.grown_warm && seen.rebuilt &&
                seen.same_columns && seen.spilled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows_outlive_their_definition)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
