/* Proves that a row gives the aggregates that their definitions ask for, bit by bit, whatever the
 * order in which events arrive and however often the row goes through bytes on the way. How: random
 * plans over one to three sources (nulls, tiny windows, delays, `last n`, excluding the current
 * event, ties, late and too late events, repeats that are dropped or replace, sources days late,
 * 1e16 beside 1e-3, sudden gaps, an event limit) with blocks so small that chunks close, split,
 * expire and move into pages all the time. Three rows take the same events: one that never leaves
 * memory, one that is stored at random points, one that is also read back from its bytes. All
 * answers are compared with a naive twin (window_twin.h), and at the end every part of the three
 * must have the same bytes. OUZEL_SEEDS sets the number of seeds; OUZEL_SEED runs a single one. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "base/json_writer.h"
#include "features/ring_place.h"
#include "part_map.h"
#include "window_twin.h"

static struct {
    uint64_t values, late, repeats, replaced, restores, chunks, pages, saturated, parts, reads,
        damaged, refused;
} seen;

struct harness {
    struct twin_plan plan;
    struct twin twin;
    struct oz_arena arena;
    struct oz_pool *pool;
    struct oz_row_layout *layout;
    struct oz_row_kind kind;
    void *row[3];
    struct part_map map[3];
    uint64_t seed;
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
    twin_seed = seed * 7919 + 13;
    random_plan(&h->plan);
    twin_init(&h->twin, &h->plan.entity, n_events);
    oz_arena_init(&h->arena, 4096);
    assert_int_equal(oz_pool_new(64, &h->pool, NULL), OZ_OK);
    assert_int_equal(oz_row_layout_new(&h->plan.entity, &h->arena, &h->layout, &h->kind, &failure),
                     OZ_OK);
    oz_row_layout_set_block_events(h->layout, h->plan.block_events, h->plan.page_chunks);
    for (int i = 0; i < 3; i++) {
        part_map_init(&h->map[i], h->pool);
        h->row[i] = calloc(1, h->kind.row_bytes);
        assert_int_equal(h->kind.init(h->kind.ctx, h->row[i], &h->map[i].io, NULL), OZ_OK);
    }
}

static void harness_clear(struct harness *h)
{
    for (int i = 0; i < 3; i++) {
        h->kind.clear(h->kind.ctx, h->row[i], h->pool);
        free(h->row[i]);
        part_map_clear(&h->map[i]);
    }
    assert_int_equal(oz_pool_used_bytes(h->pool), 0);
    oz_pool_free(h->pool);
    oz_arena_clear(&h->arena);
    twin_clear(&h->twin);
}

/* ---------- events */

struct stream {
    int64_t now;
    uint32_t step, late_one_in, repeat_one_in, gap_one_in;
    uint64_t next_id;
    int flavour;
};

static void random_event(struct harness *h, struct stream *s, struct oz_row_event *e,
                         uint64_t *value)
{
    int64_t unit = h->plan.unit;
    *e = (struct oz_row_event){.value = value};
    if (h->plan.entity.n_rings > 1 && !below(3)) e->ring = 1 + below(h->plan.entity.n_rings - 1);
    const struct oz_ring_plan *ring = &h->plan.entity.ring[e->ring];
    uint32_t lateness = (uint32_t)(ring->lateness_us / unit);
    e->time_us = s->now + (int64_t)below(s->step) * unit;
    if (!below(s->gap_one_in)) e->time_us += 900 * unit;
    if (!below(s->late_one_in) || (e->ring && below(4)))
        e->time_us = s->now - (int64_t)below(lateness + 3) * unit;
    s->next_id += 1 + below(3) * below(1000);
    e->id[0] = s->next_id;
    e->id[1] = twin_random();
    uint32_t n = h->twin.n[e->ring];
    if (n && ring->id_bytes && !below(s->repeat_one_in)) { /* one that is in, mostly a recent one */
        uint32_t back = below(below(4) ? OZ_MIN(n, 20u) : n);
        const struct twin_event *old = &h->twin.event[e->ring][n - 1 - back];
        e->time_us = old->t;
        memcpy(e->id, old->id, sizeof e->id);
    }
    if (ring->id_bytes < 16) e->id[1] = 0;
    if (!ring->id_bytes) e->id[0] = 0;
    for (uint32_t i = 0; i < ring->n_values; i++)
        value[i] = random_value(&ring->value[i], s->flavour);
    if (!e->ring && e->time_us > s->now) s->now = e->time_us;
}

/* ---------- the comparison */

static bool values_agree(struct harness *h, const struct oz_row_event *e, uint32_t self,
                         unsigned flags, const double *got)
{
    for (uint32_t i = 0; i < h->plan.entity.n_aggregates; i++) {
        const struct oz_aggregate *a = &h->plan.aggregate[i];
        bool touched;
        double want = twin_aggregate(&h->twin, a, e->time_us, self, &touched);
        if (touched && flags & OZ_PUSH_SATURATED) continue;
        seen.values++;
        bool same = isnan(want) ? isnan(got[i]) : bits_of(want) == bits_of(got[i]);
        REQUIRE(
            h, same,
            "aggregate %u: agg %d ring %u value %d over %lld delay %lld last %u excluding %d at "
            "%lld: got %.17g, expected %.17g",
            i, a->agg, a->ring, a->value, (long long)a->over_us, (long long)a->delay_us, a->last,
            a->excluding_current, (long long)e->time_us, got[i], want);
    }
    return true;
}

/* Every window over time whose reach touches what was dropped is flagged, and nothing else is
 * before anything was dropped. */
static bool saturation_agrees(struct harness *h, const struct oz_row_event *e, unsigned flags)
{
    bool must = false, may = false;
    for (uint32_t i = 0; i < h->plan.entity.n_aggregates; i++) {
        const struct oz_aggregate *a = &h->plan.aggregate[i];
        int64_t gone = h->twin.gone[a->ring];
        may |= gone != INT64_MIN;
        must |= a->over_us && gone != INT64_MIN && e->time_us - a->over_us - a->delay_us < gone;
    }
    if (flags & OZ_PUSH_SATURATED) seen.saturated++;
    REQUIRE(h, (!must || flags & OZ_PUSH_SATURATED) && (may || !(flags & OZ_PUSH_SATURATED)),
            "the saturated flag is wrong");
    return true;
}

static bool push(struct harness *h, const struct oz_row_event *e)
{
    double got[3][10];
    unsigned flags[3] = {0};
    bool scored = e->ring == 0;
    for (int i = 0; i < 3; i++) {
        memset(got[i], 0, sizeof got[i]);
        enum oz_status status =
            oz_row_push(h->layout, h->row[i], &h->map[i].io, e, got[i], &flags[i], &failure);
        REQUIRE(h, status == OZ_OK, "row %d refuses an event", i);
    }
    struct twin_verdict v = twin_push(&h->twin, e, false);
    unsigned certain = OZ_PUSH_LATE | (scored ? OZ_PUSH_DUPLICATE : 0);
    bool again = v.flags & OZ_PUSH_DUPLICATE && flags[0] & OZ_PUSH_CHANGED &&
                 !(flags[0] & OZ_PUSH_DUPLICATE) && e->time_us <= h->twin.gone[e->ring];
    REQUIRE(h, again || (flags[0] & certain) == (v.flags & certain), "flags %x, expected %x",
            flags[0], v.flags);
    if (again) certain = OZ_PUSH_LATE;
    for (int i = 1; i < 3; i++)
        REQUIRE(h,
                !scored || (flags[i] == flags[0] &&
                            !memcmp(got[i], got[0], sizeof(double) * h->layout->n_aggregates)),
                "row %d answers otherwise than the one that stayed", i);
    if (v.flags & OZ_PUSH_LATE) seen.late++;
    if (v.flags & OZ_PUSH_DUPLICATE) seen.repeats++;
    if (v.flags & OZ_PUSH_DUPLICATE && flags[0] & OZ_PUSH_CHANGED) seen.replaced++;
    if (scored && v.kept && !again) {
        if (!values_agree(h, e, v.self, flags[0], got[0])) return false;
        if (!saturation_agrees(h, e, flags[0])) return false;
    }
    if (scored && !v.kept)
        for (uint32_t i = 0; i < h->layout->n_aggregates; i++)
            REQUIRE(h, isnan(got[0][i]), "a late event has aggregates");
    if (again) twin_push(&h->twin, e, true);
    const struct oz_row *row = h->row[0];
    for (uint32_t i = 0; row->side && i < h->layout->n_rings; i++)
        if (row->side->ring[i].saturated_us != OZ_TIME_NONE)
            h->twin.gone[i] = row->side->ring[i].saturated_us;
    return true;
}

static bool store_rows(struct harness *h)
{
    REQUIRE(h, part_map_store(&h->map[1], &h->kind, h->row[1], &failure) == OZ_OK, "cannot store");
    REQUIRE(h, part_map_store(&h->map[2], &h->kind, h->row[2], &failure) == OZ_OK, "cannot store");
    seen.restores++;
    h->kind.clear(h->kind.ctx, h->row[2], h->pool);
    REQUIRE(h,
            h->kind.decode(h->kind.ctx, h->row[2], &h->map[2].io, h->map[2].part[0].data,
                           h->map[2].part[0].len, &failure) == OZ_OK,
            "cannot read its own bytes");
    return true;
}

static uint32_t parts_stored(const struct part_map *map)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < map->n_parts; i++) n += map->part[i].data != NULL;
    return n;
}

/* Main, index, pages, and the chunks that either tells of: nothing else may lie in the store. */
static uint32_t parts_of(const struct harness *h)
{
    const struct oz_row *row = h->row[0];
    uint32_t n = 1;
    bool spilled = false;
    for (uint32_t i = 0; row->side && i < h->layout->n_rings; i++) {
        const struct oz_ring_side *rs = &row->side->ring[i];
        n += rs->page.n + rs->chunk.n;
        for (uint32_t k = 0; k < rs->page.n; k++)
            n += oz_ref_at(&h->layout->ring[i], &rs->page, k)->n;
        spilled |= oz_ring_of(h->layout, h->row[0], i)->spilled;
    }
    return n + spilled;
}

static bool rows_have_equal_bytes(struct harness *h)
{
    REQUIRE(h, part_map_store(&h->map[0], &h->kind, h->row[0], &failure) == OZ_OK, "cannot store");
    if (!store_rows(h)) return false;
    int64_t part = part_map_difference(&h->map[0], &h->map[1]);
    REQUIRE(h, part < 0, "part %" PRId64 " of the stored row differs", part);
    part = part_map_difference(&h->map[0], &h->map[2]);
    REQUIRE(h, part < 0, "part %" PRId64 " of the restored row differs", part);
    REQUIRE(h, parts_stored(&h->map[0]) == parts_of(h), "%u parts are stored, expected %u",
            parts_stored(&h->map[0]), parts_of(h));
    seen.parts += parts_of(h);
    const struct oz_row *row = h->row[0];
    if (row->side) seen.chunks += row->side->next_part - OZ_PART_FIRST_CHUNK;
    for (uint32_t i = 0; row->side && i < h->layout->n_rings; i++)
        seen.pages += row->side->ring[i].page.n;
    seen.reads += h->map[1].io.reads + h->map[2].io.reads;
    return true;
}

/* A dump reads every event that the row holds, and says as many as there are. */
static bool dump_is_whole(struct harness *h)
{
    struct oz_buf buf[2];
    for (int i = 0; i < 2; i++) {
        struct oz_json json;
        oz_buf_init(&buf[i]);
        oz_json_init(&json, &buf[i]);
        enum oz_status status =
            oz_row_dump(h->layout, h->row[2 * i], &h->map[2 * i].io, NULL, &json, &failure);
        REQUIRE(h, status == OZ_OK, "cannot dump");
    }
    bool same = buf[0].len == buf[1].len && !memcmp(buf[0].data, buf[1].data, buf[0].len);
    oz_buf_clear(&buf[0]);
    oz_buf_clear(&buf[1]);
    REQUIRE(h, same, "the dump of the restored row differs");
    return true;
}

/* Damaged parts: a clear error or another row, never a crash. Row 2 is used up. */
static bool damage(struct harness *h, struct stream *s)
{
    struct part_map *map = &h->map[2];
    uint32_t slots[4096], n = 0;
    for (uint32_t i = 0; i < map->n_parts && n < OZ_COUNT_OF(slots); i++)
        if (map->part[i].data) slots[n++] = i;
    for (int k = 0; k < 12; k++) {
        const struct part_map_slot *slot =
            &map->part[below(2) ? slots[below(n)] : slots[below(OZ_MIN(n, 3u))]];
        uint32_t part = slot->number;
        size_t len = slot->len;
        if (!below(4)) len = below((uint32_t)len + 1);
        uint8_t *bytes = malloc(len ? len : 1);
        memcpy(bytes, slot->data, len);
        for (uint32_t i = below(4); len && i > 0; i--)
            bytes[below((uint32_t)len)] ^= (uint8_t)(1u << below(8));
        map->damaged_part = part;
        map->damaged = bytes;
        map->damaged_len = len;
        seen.damaged++;
        h->kind.clear(h->kind.ctx, h->row[2], h->pool);
        failure.message[0] = 0;
        const uint8_t *main_bytes = part ? map->part[0].data : bytes;
        enum oz_status status = h->kind.decode(h->kind.ctx, h->row[2], &map->io, main_bytes,
                                               part ? map->part[0].len : len, &failure);
        for (int i = 0; i < 30 && !status; i++) {
            struct oz_row_event e;
            uint64_t value[OZ_RING_VALUES_MAX];
            double got[10];
            unsigned flags;
            random_event(h, s, &e, value);
            status = oz_row_push(h->layout, h->row[2], &map->io, &e, got, &flags, &failure);
            if (!status && !below(10))
                status = part_map_store(&h->map[1], &h->kind, h->row[2], &failure);
        }
        seen.refused += status != OZ_OK;
        REQUIRE(h, !status || (status == OZ_CORRUPT && failure.message[0]), "status %d of damage",
                status);
        map->damaged_part = UINT32_MAX;
        free(bytes);
    }
    return true;
}

static bool differential(uint64_t seed)
{
    struct harness harness, *h = &harness;
    uint32_t n_events = seed % 16 ? 100 + (uint32_t)(seed % 7) * 40 : 1500;
    harness_init(h, seed, n_events);
    struct stream s = {.now = (int64_t)below(1000000) * h->plan.unit + INT64_C(1500000000000000),
                       .step = 1 + below(5),
                       .late_one_in = 3 + below(20),
                       .repeat_one_in = 4 + below(20),
                       .gap_one_in = 100 + below(2000),
                       .flavour = (int)below(6)};
    if (!below(20)) s.now -= INT64_C(1600000000000000);
    uint32_t store_one_in = 5 + below(100);
    bool ok = true;
    for (uint32_t k = 0; k < n_events && ok; k++) {
        struct oz_row_event e;
        uint64_t value[OZ_RING_VALUES_MAX];
        random_event(h, &s, &e, value);
        ok = push(h, &e);
        if (ok && !below(store_one_in)) ok = store_rows(h);
    }
    ok = ok && rows_have_equal_bytes(h) && dump_is_whole(h) && damage(h, &s);
    harness_clear(h);
    return ok;
}

static void test_rows_agree_with_the_twin(void **state)
{
    (void)state;
    const char *one = getenv("OUZEL_SEED"), *many = getenv("OUZEL_SEEDS");
    uint64_t from = one ? strtoull(one, NULL, 10) : 0, n = many ? strtoull(many, NULL, 10) : 2000;
    uint32_t failed = 0;
    for (uint64_t seed = from; seed < (one ? from + 1 : n) && failed < 5; seed++)
        failed += !differential(seed);
    printf("%llu values, %llu late, %llu repeats, %llu replaced, %llu restores, %llu parts made, "
           "%llu pages, %llu saturated, %llu parts compared, %llu parts read, %llu damaged, %llu "
           "refused\n",
           (unsigned long long)seen.values, (unsigned long long)seen.late,
           (unsigned long long)seen.repeats, (unsigned long long)seen.replaced,
           (unsigned long long)seen.restores, (unsigned long long)seen.chunks,
           (unsigned long long)seen.pages, (unsigned long long)seen.saturated,
           (unsigned long long)seen.parts, (unsigned long long)seen.reads,
           (unsigned long long)seen.damaged, (unsigned long long)seen.refused);
    assert_int_equal(failed, 0);
}

/* One set of events in many orders: the windows at the end are the same. */
static bool any_order(uint64_t seed)
{
    struct harness harness, *h = &harness;
    harness_init(h, seed, 1000);
    h->plan.entity.max_row_events = 0;
    for (uint32_t i = 0; i < h->plan.entity.n_rings; i++)
        h->plan.entity.ring[i].lateness_us = 100000 * h->plan.unit;
    h->plan.entity.n_rings = OZ_MIN(h->plan.entity.n_rings, 3u);
    uint32_t n = 60 + below(300);
    struct oz_row_event *event = calloc(n, sizeof *event);
    uint64_t(*value)[OZ_RING_VALUES_MAX] = calloc(n, sizeof *value);
    for (uint32_t i = 0; i < n; i++) {
        event[i].ring = below(h->plan.entity.n_rings);
        event[i].time_us = (int64_t)(10 * i + below(10)) * h->plan.unit;
        event[i].id[0] = i;
        event[i].value = value[i];
        const struct oz_ring_plan *ring = &h->plan.entity.ring[event[i].ring];
        for (uint32_t k = 0; k < ring->n_values; k++)
            value[i][k] = random_value(&ring->value[k], 3);
    }
    event[n - 1].ring = 0;
    bool ok = true;
    double want[10], got[10];
    for (int round = 0; round < 4 && ok; round++) {
        struct oz_row_layout *layout;
        struct oz_row_kind kind;
        unsigned flags;
        assert_int_equal(oz_row_layout_new(&h->plan.entity, &h->arena, &layout, &kind, &failure),
                         OZ_OK);
        oz_row_layout_set_block_events(layout, h->plan.block_events, h->plan.page_chunks);
        void *row = calloc(1, kind.row_bytes);
        assert_int_equal(kind.init(kind.ctx, row, &h->map[0].io, NULL), OZ_OK);
        for (uint32_t i = n - 1; i > 1 && round; i--) { /* the newest stays the last */
            uint32_t k = below(i);
            struct oz_row_event e = event[i - 1];
            event[i - 1] = event[k];
            event[k] = e;
        }
        for (uint32_t i = 0; i < n && ok; i++)
            ok = !oz_row_push(layout, row, &h->map[0].io, &event[i], got, &flags, &failure);
        if (!round) memcpy(want, got, sizeof got);
        if (ok && memcmp(want, got, layout->n_aggregates * sizeof *got)) ok = false;
        kind.clear(kind.ctx, row, h->pool);
        free(row);
    }
    free(event);
    free(value);
    harness_clear(h);
    if (!ok) printf("seed %llu: order matters (%s)\n", (unsigned long long)seed, failure.message);
    return ok;
}

static void test_the_order_of_arrival_does_not_matter(void **state)
{
    (void)state;
    uint32_t failed = 0;
    for (uint64_t seed = 0; seed < 300 && failed < 5; seed++) failed += !any_order(seed);
    assert_int_equal(failed, 0);
}

/* Memory that ends at any point: an error, and a row that can be cleared. */
static void test_memory_that_ends(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 40; seed++) {
        for (uint64_t fail_at = 1; fail_at < 60; fail_at += 1 + fail_at / 8) {
            struct harness harness, *h = &harness;
            harness_init(h, seed, 300);
            struct stream s = {
                .now = 1, .step = 3, .late_one_in = 4, .repeat_one_in = 5, .gap_one_in = 500};
            enum oz_status status = OZ_OK;
            oz_fail_allocation(fail_at);
            for (int i = 0; i < 200 && !status; i++) {
                struct oz_row_event e;
                uint64_t value[OZ_RING_VALUES_MAX];
                double got[10];
                unsigned flags;
                random_event(h, &s, &e, value);
                status =
                    oz_row_push(h->layout, h->row[0], &h->map[0].io, &e, got, &flags, &failure);
                if (!status && i % 50 == 49)
                    status = part_map_store(&h->map[0], &h->kind, h->row[0], &failure);
            }
            oz_fail_allocation(0);
            assert_true(status == OZ_OK || status == OZ_NO_MEMORY);
            harness_clear(h);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_agree_with_the_twin),
        cmocka_unit_test(test_the_order_of_arrival_does_not_matter),
        cmocka_unit_test(test_memory_that_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
