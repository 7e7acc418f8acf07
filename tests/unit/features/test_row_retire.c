/* Proves that retiring rows changes no answer and that every row past use can be told. How: random
 * plans, and a partition's clock that runs on with other keys' events, in jumps around the rows'
 * reach. Two rows take the same events: one is kept for ever, one is retired whenever its use ends
 * at the clock, and is stored and read back at random. Scored events are late by the source's
 * lateness at most, others by anything; alerts are held back on the way. Every answer, flag and
 * count of held back alerts must be the same for both, and (without an event limit) what a naive
 * twin says, which knows a ttl only by its definition. A retired row leaves no part behind. A row
 * of which the twin says that nothing in it can matter any more must be past use. OUZEL_SEEDS sets
 * the number of seeds; OUZEL_SEED runs a single one. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "features/ring_place.h"
#include "features/row_retire.h"
#include "features/row_since.h"
#include "part_map.h"
#include "window_twin.h"

enum { KEPT, RETIRED, ROWS, RULES = 2 };

static struct {
    uint64_t values, retired, returned, parts, past_use, forgotten, survivors, alerts, told,
        warming;
} seen;

struct harness {
    struct twin_plan plan;
    struct twin twin;
    struct oz_arena arena;
    struct oz_pool *pool;
    struct oz_row_layout *layout;
    struct oz_row_kind kind;
    void *row[ROWS];
    struct part_map map[ROWS];
    uint64_t seed;
    int64_t clock_us, lateness_us, suppress_us, ttl_us, since_us, fired_us;
    bool for_ever, was_retired, held_back;
};

static struct oz_error failure;

#define REQUIRE(h, condition, ...)                                                                 \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("seed %llu: ", (unsigned long long)(h)->seed);                                  \
            printf(__VA_ARGS__);                                                                   \
            printf(" (%s)\n", failure.message);                                                    \
            return false;                                                                          \
        }                                                                                          \
    } while (0)

static void harness_init(struct harness *h, uint64_t seed, uint32_t n_events)
{
    memset(h, 0, sizeof *h);
    h->seed = seed;
    twin_seed = seed * 6151 + 7;
    random_plan(&h->plan);
    /* Of unscored events the kept row has old ones left, which its limit drops first. */
    if (h->plan.entity.n_rings > 1) h->plan.entity.max_row_events = 0;
    h->plan.entity.n_suppressions = below(2) ? RULES : 0;
    h->lateness_us = h->plan.entity.ring[0].lateness_us;
    h->since_us = h->fired_us = OZ_TIME_NONE;
    twin_init(&h->twin, &h->plan.entity, n_events);
    oz_arena_init(&h->arena, 4096);
    assert_int_equal(oz_pool_new(64, &h->pool, NULL), OZ_OK);
    assert_int_equal(oz_row_layout_new(&h->plan.entity, &h->arena, &h->layout, &h->kind, &failure),
                     OZ_OK);
    oz_row_layout_set_block_events(h->layout, h->plan.block_events, h->plan.page_chunks);
    h->suppress_us = h->plan.unit * below(100);
    oz_row_layout_set_lifetime(h->layout, h->suppress_us, 0);
    int64_t use_us = oz_row_layout_use_us(h->layout, &h->for_ever);
    h->ttl_us = below(3) ? use_us + h->plan.unit * below(50) : 0;
    oz_row_layout_set_lifetime(h->layout, h->suppress_us, h->ttl_us);
    for (int i = 0; i < ROWS; i++) {
        part_map_init(&h->map[i], h->pool);
        h->row[i] = calloc(1, h->kind.row_bytes);
        assert_int_equal(h->kind.init(h->kind.ctx, h->row[i], &h->map[i].io, NULL), OZ_OK);
    }
}

static void harness_clear(struct harness *h)
{
    for (int i = 0; i < ROWS; i++) {
        h->kind.clear(h->kind.ctx, h->row[i], h->pool);
        free(h->row[i]);
        part_map_clear(&h->map[i]);
    }
    assert_int_equal(oz_pool_used_bytes(h->pool), 0);
    oz_pool_free(h->pool);
    oz_arena_clear(&h->arena);
    twin_clear(&h->twin);
}

/* ---------- the definitions, for the twin */

/* A scored event ttl or more after the row's newest one finds only what is younger, of others. */
static void twin_ttl(struct harness *h, int64_t time_us)
{
    struct twin *twin = &h->twin;
    if (!h->ttl_us || (twin->begun && time_us - twin->last < h->ttl_us)) return;
    seen.forgotten += twin->begun;
    twin->begun = false;
    twin->n[0] = 0;
    for (uint32_t i = 1; i < h->plan.entity.n_rings; i++) {
        uint32_t n = 0;
        for (uint32_t k = 0; k < twin->n[i]; k++)
            if (twin->event[i][k].t > time_us - h->ttl_us) twin->event[i][n++] = twin->event[i][k];
        twin->n[i] = n;
        seen.survivors += n;
    }
}

/* How far behind an event's time some window of its ring can begin. */
static int64_t longest_window(const struct harness *h, uint32_t ring)
{
    int64_t us = 1;
    for (uint32_t i = 0; i < h->plan.entity.n_aggregates; i++) {
        const struct oz_aggregate *a = &h->plan.aggregate[i];
        if (a->ring == ring) us = OZ_MAX(us, a->over_us + a->delay_us);
    }
    return us;
}

/* Nothing that the row was ever given can be seen by an event that may still come. */
static bool twin_is_past_use(const struct harness *h)
{
    int64_t newest = OZ_MAX(h->since_us, h->fired_us), longest = 0;
    bool past = !h->held_back;
    for (uint32_t i = 0; i < h->plan.entity.n_aggregates; i++) {
        const struct oz_aggregate *a = &h->plan.aggregate[i];
        past &= a->over_us > 0;
    }
    for (uint32_t i = 0; i < h->plan.entity.n_rings; i++) {
        int64_t window = longest_window(h, i);
        longest = OZ_MAX(longest, window);
        /* What is refused as late, and would be taken by a row without a past. */
        past &= !i || !h->twin.begun ||
                h->twin.last - h->plan.entity.ring[i].lateness_us <=
                    h->clock_us - h->lateness_us - window;
        if (!h->twin.n[i]) continue;
        int64_t t = h->twin.event[i][h->twin.n[i] - 1].t;
        newest = OZ_MAX(newest, t);
        past &= t <= h->clock_us - h->lateness_us - window;
    }
    past &=
        h->fired_us == OZ_TIME_NONE || h->fired_us <= h->clock_us - h->lateness_us - h->suppress_us;
    past &= h->since_us == OZ_TIME_NONE || h->since_us <= h->clock_us - h->lateness_us - longest;
    return past || (h->ttl_us && newest <= h->clock_us - h->lateness_us - h->ttl_us);
}

/* ---------- events */

struct stream {
    uint32_t step, late_one_in, repeat_one_in, gap_one_in;
    uint64_t next_id;
    int flavour;
};

/* Other keys' events move the clock on, often to where the row's use just ends or does not. */
static void jump(struct harness *h)
{
    bool for_ever;
    int64_t unit = h->plan.unit;
    int64_t span = below(2) ? longest_window(h, below(h->plan.entity.n_rings)) + h->lateness_us
                            : oz_row_layout_use_us(h->layout, &for_ever);
    if (h->ttl_us && below(2)) span = h->ttl_us + h->lateness_us;
    h->clock_us += OZ_MAX(span - 3 * unit + (int64_t)below(6) * unit, 0);
}

static void random_event(struct harness *h, struct stream *s, struct oz_row_event *e,
                         uint64_t *value)
{
    int64_t unit = h->plan.unit;
    *e = (struct oz_row_event){.value = value};
    if (h->plan.entity.n_rings > 1 && !below(3)) e->ring = 1 + below(h->plan.entity.n_rings - 1);
    const struct oz_ring_plan *ring = &h->plan.entity.ring[e->ring];
    e->time_us = h->clock_us + (int64_t)below(s->step) * unit;
    if (!below(s->late_one_in))
        e->time_us = h->clock_us - (int64_t)below((uint32_t)(h->lateness_us / unit) + 1) * unit;
    if (e->ring && below(4))
        e->time_us =
            h->clock_us - (int64_t)below((uint32_t)(ring->lateness_us / unit) + 800) * unit;
    s->next_id += 1 + below(3) * below(1000);
    e->id[0] = s->next_id;
    e->id[1] = twin_random();
    uint32_t n = h->twin.n[e->ring];
    if (n && ring->id_bytes && !below(s->repeat_one_in)) {
        const struct twin_event *old = &h->twin.event[e->ring][n - 1 - below(OZ_MIN(n, 20u))];
        if (e->ring || old->t >= h->clock_us - h->lateness_us) {
            e->time_us = old->t;
            memcpy(e->id, old->id, sizeof e->id);
        }
    }
    if (ring->id_bytes < 16) e->id[1] = 0;
    if (!ring->id_bytes) e->id[0] = 0;
    for (uint32_t i = 0; i < ring->n_values; i++)
        value[i] = random_value(&ring->value[i], s->flavour);
    if (!e->ring) h->clock_us = OZ_MAX(h->clock_us, e->time_us);
}

static bool agrees_with_twin(struct harness *h, const struct oz_row_event *e, const double *got)
{
    twin_ttl(h, e->time_us);
    struct twin_verdict v = twin_push(&h->twin, e, false);
    for (uint32_t i = 0; v.kept && i < h->plan.entity.n_aggregates; i++) {
        bool touched;
        double want = twin_aggregate(&h->twin, &h->plan.aggregate[i], e->time_us, v.self, &touched);
        seen.values++;
        REQUIRE(h, isnan(want) ? isnan(got[i]) : bits_of(want) == bits_of(got[i]),
                "aggregate %u at %lld: got %.17g, expected %.17g", i, (long long)e->time_us, got[i],
                want);
    }
    return true;
}

static bool alert(struct harness *h, const struct oz_row_event *e)
{
    uint32_t rule = below(RULES), told[ROWS] = {0};
    bool out[ROWS];
    for (int i = 0; i < ROWS; i++)
        out[i] = oz_row_alert(h->layout, h->row[i], rule, e->time_us, h->suppress_us, &told[i]);
    REQUIRE(h, out[KEPT] == out[RETIRED] && told[KEPT] == told[RETIRED],
            "alert at %lld: out %d and %d, %u and %u were held back", (long long)e->time_us,
            out[KEPT], out[RETIRED], told[KEPT], told[RETIRED]);
    seen.alerts++;
    seen.told += told[KEPT] > 0;
    if (out[KEPT]) h->fired_us = OZ_MAX(h->fired_us, e->time_us);
    h->held_back |= !out[KEPT]; /* for ever, as the twin does not count them */
    return true;
}

static bool push(struct harness *h, const struct oz_row_event *e)
{
    double got[ROWS][10];
    unsigned flags[ROWS] = {0};
    if (!e->ring && h->was_retired) seen.returned++;
    if (!e->ring) h->was_retired = false;
    for (int i = 0; i < ROWS; i++) {
        memset(got[i], 0, sizeof got[i]);
        enum oz_status status =
            oz_row_push(h->layout, h->row[i], &h->map[i].io, e, got[i], &flags[i], &failure);
        REQUIRE(h, status == OZ_OK, "row %d refuses an event", i);
    }
    if (e->ring) {
        if (!h->plan.entity.max_row_events) twin_push(&h->twin, e, false);
        return true;
    }
    REQUIRE(h, flags[KEPT] == flags[RETIRED], "flags %x, kept %x, at %lld", flags[RETIRED],
            flags[KEPT], (long long)e->time_us);
    REQUIRE(h, !memcmp(got[KEPT], got[RETIRED], sizeof(double) * h->layout->n_aggregates),
            "the answers at %lld are others", (long long)e->time_us);
    seen.warming += !!(flags[KEPT] & OZ_PUSH_WARMING);
    if (!h->plan.entity.max_row_events && !agrees_with_twin(h, e, got[KEPT])) return false;
    if (h->layout->n_suppressions && !(flags[KEPT] & OZ_PUSH_LATE) && !below(4)) return alert(h, e);
    return true;
}

static bool store(struct harness *h)
{
    struct part_map *map = &h->map[RETIRED];
    void *row = h->row[RETIRED];
    REQUIRE(h, part_map_store(map, &h->kind, row, &failure) == OZ_OK, "cannot store");
    if (!map->n_parts || !map->part[0].data) {
        for (uint32_t i = 0; i < map->n_parts; i++)
            REQUIRE(h, !map->part[i].data, "part %u is left behind", map->part[i].number);
        h->kind.clear(h->kind.ctx, row, h->pool);
        return h->kind.init(h->kind.ctx, row, &map->io, &failure) == OZ_OK;
    }
    int64_t last_us;
    const struct part_map_slot *main_part = &map->part[0];
    REQUIRE(h,
            oz_row_peek_use(h->layout, main_part->data, main_part->len, &last_us) <=
                    oz_row_use_ends_us(h->layout, row) &&
                last_us == ((struct oz_row *)row)->last_us,
            "the bytes tell of a later end than the row");
    h->kind.clear(h->kind.ctx, row, h->pool);
    REQUIRE(h,
            h->kind.decode(h->kind.ctx, row, &map->io, main_part->data, main_part->len, &failure) ==
                OZ_OK,
            "cannot read its own bytes");
    return true;
}

static bool sweep(struct harness *h)
{
    void *row = h->row[RETIRED];
    bool empty = oz_row_is_empty(h->layout, row);
    bool past = oz_row_use_ends_us(h->layout, row) <= h->clock_us;
    if (!h->plan.entity.max_row_events && twin_is_past_use(h)) {
        seen.past_use += !empty;
        REQUIRE(h, past, "the row is past use at %lld and says %lld", (long long)h->clock_us,
                (long long)oz_row_use_ends_us(h->layout, row));
    }
    if (empty || !past) return true;
    for (uint32_t i = 0; i < h->map[RETIRED].n_parts; i++)
        seen.parts += h->map[RETIRED].part[i].data != NULL;
    REQUIRE(h, oz_row_retire(h->layout, row, &h->map[RETIRED].io, &failure) == OZ_OK,
            "cannot retire");
    REQUIRE(h, oz_row_is_empty(h->layout, row), "a retired row is not empty");
    seen.retired++;
    h->was_retired = true;
    return true;
}

/* The row's definition has changed after its first event. */
static bool begin_warming(struct harness *h)
{
    h->since_us = h->clock_us;
    for (int i = 0; i < ROWS; i++) {
        struct oz_row_work w = {h->layout, h->row[i], &h->map[i].io, &failure, NULL};
        for (uint32_t k = 0; k < h->layout->n_rings; k++) {
            const struct oz_ring_layout *rl = &h->layout->ring[k];
            oz_ring_of(h->layout, h->row[i], k)->trimmed = true; /* as what is let go says */
            REQUIRE(h, oz_since_set(&w, k, 0, h->since_us) == OZ_OK, "no memory");
            if (rl->keep_last)
                REQUIRE(h, oz_since_set(&w, k, 1 + rl->n_values, h->since_us) == OZ_OK,
                        "no memory");
        }
    }
    return true;
}

static bool life(uint64_t seed)
{
    struct harness harness, *h = &harness;
    uint32_t n_events = seed % 8 ? 150 : 900;
    harness_init(h, seed, n_events);
    h->clock_us = (int64_t)below(1000000) * h->plan.unit + INT64_C(1500000000000000);
    struct stream s = {.step = 1 + below(5),
                       .late_one_in = 3 + below(20),
                       .repeat_one_in = 4 + below(20),
                       .gap_one_in = 8 + below(60),
                       .flavour = (int)below(6)};
    uint32_t store_one_in = 2 + below(30), sweep_one_in = 1 + below(6);
    bool fine = true, warms = !below(4);
    for (uint32_t i = 0; fine && i < n_events; i++) {
        struct oz_row_event e;
        uint64_t value[OZ_RING_VALUES_MAX];
        if (!below(s.gap_one_in)) jump(h);
        if (!below(sweep_one_in)) fine = sweep(h);
        if (fine && !below(store_one_in)) fine = store(h);
        random_event(h, &s, &e, value);
        fine = fine && push(h, &e);
        if (fine && warms && i == 0) fine = begin_warming(h);
    }
    harness_clear(h);
    return fine;
}

static void retired_rows_change_no_answer(void **state)
{
    (void)state;
    const char *one = getenv("OUZEL_SEED"), *many = getenv("OUZEL_SEEDS");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1;
    uint64_t n = one ? 1 : many ? strtoull(many, NULL, 10) : 4000;
    for (uint64_t seed = first; seed < first + n; seed++) assert_true(life(seed));
    printf("%" PRIu64 " values; %" PRIu64 " rows retired with %" PRIu64 " parts, %" PRIu64
           " came back; %" PRIu64 " found past use; %" PRIu64 " forgotten by ttl, %" PRIu64
           " events outlived it; %" PRIu64 " alerts, %" PRIu64 " told of others; %" PRIu64
           " warming\n",
           seen.values, seen.retired, seen.parts, seen.returned, seen.past_use, seen.forgotten,
           seen.survivors, seen.alerts, seen.told, seen.warming);
    if (one) return;
    assert_true(seen.retired > n / 4 && seen.returned > n / 8 && seen.parts > seen.retired);
    assert_true(seen.past_use && seen.forgotten && seen.survivors && seen.told && seen.warming);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(retired_rows_change_no_answer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
