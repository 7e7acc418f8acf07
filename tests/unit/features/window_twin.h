/* The naive twin of a row: every event ever accepted, sorted by time and arrival, and each
 * aggregate from its definition over all of them. Sums are Shewchuk's exact partials (the algorithm
 * of Python's fsum). Nothing is shared with the code under test, and nothing is ever dropped here.
 * Also makes random plans and random events for them. */
#ifndef OZ_TESTS_UNIT_FEATURES_WINDOW_TWIN_H
#define OZ_TESTS_UNIT_FEATURES_WINDOW_TWIN_H
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "features/plan.h"
#include "features/row.h"

/* ---------- random numbers */

static uint64_t twin_seed;
static uint64_t twin_random(void)
{
    uint64_t z = (twin_seed += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}
static uint32_t below(uint32_t n) { return (uint32_t)((twin_random() >> 32) * n >> 32); }
static double uniform(void) { return (double)(twin_random() >> 11) * 0x1p-53; }
static uint64_t bits_of(double v)
{
    uint64_t u;
    memcpy(&u, &v, 8);
    return u;
}
static double double_of(uint64_t u)
{
    double v;
    memcpy(&v, &u, 8);
    return v;
}

/* ---------- exact sums */

static __attribute__((unused)) double fsum(const double *x, size_t n)
{
    static double part[4096];
    size_t np = 0;
    for (size_t i = 0; i < n; i++) {
        double a = x[i];
        size_t k = 0;
        for (size_t j = 0; j < np; j++) {
            double b = part[j];
            if (fabs(a) < fabs(b)) {
                double c = a;
                a = b;
                b = c;
            }
            volatile double hi = a + b, yr = hi - a;
            double lo = b - yr;
            if (lo != 0) part[k++] = lo;
            a = hi;
        }
        part[k++] = a;
        np = k;
    }
    if (!np) return 0;
    double hi = part[--np], lo = 0;
    while (np) {
        double a = hi, b = part[--np];
        volatile double s = a + b, yr = s - a;
        hi = s;
        lo = b - yr;
        if (lo != 0) break;
    }
    if (np && ((lo < 0 && part[np - 1] < 0) || (lo > 0 && part[np - 1] > 0))) {
        volatile double y = lo * 2, s = hi + y, yr = s - hi;
        if (y == yr) hi = s;
    }
    return hi + 0.0;
}

/* ---------- the twin */

struct twin_event {
    int64_t t;
    uint64_t id[2];
    uint64_t v[OZ_RING_VALUES_MAX]; /* as kept; null is NaN or OZ_NULL_KEY */
};

struct twin {
    const struct oz_entity_plan *plan;
    struct twin_event *event[OZ_SOURCES_MAX];
    uint32_t n[OZ_SOURCES_MAX];
    bool begun;
    int64_t last;
    int64_t
        gone[OZ_SOURCES_MAX]; /* newest time that the row dropped for its limit; INT64_MIN: none */
};

static __attribute__((unused)) void twin_init(struct twin *twin, const struct oz_entity_plan *plan,
                                              uint32_t n_events)
{
    *twin = (struct twin){.plan = plan};
    for (uint32_t i = 0; i < plan->n_rings; i++) {
        twin->event[i] = malloc((n_events + 1) * sizeof(struct twin_event));
        twin->gone[i] = INT64_MIN;
    }
}
static __attribute__((unused)) void twin_clear(struct twin *twin)
{
    for (uint32_t i = 0; i < twin->plan->n_rings; i++) free(twin->event[i]);
}

static bool twin_null(const struct oz_value_spec *spec, uint64_t bits)
{
    return spec->kind == OZ_VALUE_KEY ? bits == OZ_NULL_KEY : isnan(double_of(bits));
}

/* Doubles are kept to a multiple of 2^-96. */
static uint64_t twin_kept(const struct oz_value_spec *spec, uint64_t bits)
{
    double v = double_of(bits);
    if (spec->kind != OZ_VALUE_DOUBLE) return bits;
    if (!(fabs(v) < 0x1p94)) return bits_of(NAN);
    if (fabs(v) < 0x1p-44) v = ldexp(nearbyint(ldexp(v, 96)), -96);
    return bits_of(v == 0 ? 0 : v);
}

/* What a push is to do: which flags are certain, and where the event stands. */
struct twin_verdict {
    unsigned flags;
    bool kept; /* or replaced, or there already */
    uint32_t self;
};

/* `again`: an event of this time and id was lost to the limit, so this one is new. */
static __attribute__((unused)) struct twin_verdict
twin_push(struct twin *twin, const struct oz_row_event *e, bool again)
{
    const struct oz_ring_plan *ring = &twin->plan->ring[e->ring];
    struct twin_event *ev = twin->event[e->ring];
    uint32_t n = twin->n[e->ring], pos = n;
    struct twin_verdict v = {0};
    if (twin->begun && e->time_us < twin->last - ring->lateness_us) v.flags |= OZ_PUSH_LATE;
    if (e->time_us < twin->gone[e->ring] && (ring->scored || !v.flags)) {
        v.flags |= OZ_PUSH_SATURATED | (ring->scored ? OZ_PUSH_LATE : 0);
    }
    if (v.flags) return v;
    v.kept = true;
    while (pos && ev[pos - 1].t > e->time_us) pos--;
    for (uint32_t i = pos; ring->id_bytes && !again && i && ev[i - 1].t == e->time_us; i--) {
        if (memcmp(ev[i - 1].id, e->id, (size_t)ring->id_bytes)) continue;
        v.flags |= OZ_PUSH_DUPLICATE;
        v.self = i - 1;
        for (uint32_t k = 0; ring->replaces && k < ring->n_values; k++)
            ev[i - 1].v[k] = twin_kept(&ring->value[k], e->value[k]);
        return v;
    }
    memmove(ev + pos + 1, ev + pos, (n - pos) * sizeof *ev);
    ev[pos] = (struct twin_event){.t = e->time_us, .id = {e->id[0], e->id[1]}};
    for (uint32_t k = 0; k < ring->n_values; k++)
        ev[pos].v[k] = twin_kept(&ring->value[k], e->value[k]);
    twin->n[e->ring]++;
    v.self = pos;
    if (ring->scored && (!twin->begun || e->time_us > twin->last)) {
        twin->begun = true;
        twin->last = e->time_us;
    }
    return v;
}

static int twin_by_bits(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double twin_of_values(enum oz_agg agg, const uint64_t *bits, double *v, uint32_t m)
{
    if (agg == OZ_AGG_COUNT) return m;
    if (agg == OZ_AGG_DISTINCT) {
        uint64_t sorted[8192];
        uint32_t d = 0;
        memcpy(sorted, bits, m * sizeof *bits);
        qsort(sorted, m, sizeof *sorted, twin_by_bits);
        for (uint32_t i = 0; i < m; i++) d += !i || sorted[i] != sorted[i - 1];
        return d;
    }
    if (!m) return NAN;
    switch (agg) {
    case OZ_AGG_SUM: return fsum(v, m);
    case OZ_AGG_MEAN: return fsum(v, m) / m;
    case OZ_AGG_LAST: return v[m - 1];
    default: break;
    }
    double x = v[0];
    for (uint32_t i = 1; i < m; i++)
        if (agg == OZ_AGG_MAX ? v[i] > x : v[i] < x) x = v[i];
    return x;
}

/* The aggregate at the time t of the event that stands at `self` of ring 0. *ret_touched: the
 * window holds something that the row may have dropped for its limit. */
static __attribute__((unused)) double twin_aggregate(const struct twin *twin,
                                                     const struct oz_aggregate *a, int64_t t,
                                                     uint32_t self, bool *ret_touched)
{
    static double v[8192];
    static uint64_t bits[8192];
    const struct twin_event *ev = twin->event[a->ring];
    const struct oz_ring_plan *ring = &twin->plan->ring[a->ring];
    uint32_t n = twin->n[a->ring], m = 0, begin, end = 0;
    if (ring->scored && !a->delay_us)
        end = self + !a->excluding_current;
    else
        while (end < n && ev[end].t <= t - a->delay_us) end++;
    begin = a->last && end > a->last ? end - a->last : 0;
    if (a->over_us)
        while (begin < end && ev[begin].t <= t - a->delay_us - a->over_us) begin++;
    bool all_time = !a->over_us && !a->last;
    *ret_touched = all_time ? t - a->delay_us < twin->gone[a->ring]
                            : begin < end && ev[begin].t <= twin->gone[a->ring];
    for (uint32_t i = begin; i < end; i++) {
        if (a->value >= 0 && twin_null(&ring->value[a->value], ev[i].v[a->value])) continue;
        bits[m] = a->value >= 0 ? ev[i].v[a->value] : 0;
        v[m] = double_of(bits[m]);
        m++;
    }
    return twin_of_values(a->agg, bits, v, m);
}

/* ---------- random plans */

struct twin_plan {
    struct oz_entity_plan entity;
    struct oz_aggregate aggregate[10];
    uint32_t block_events, page_chunks;
    int64_t unit;
};

static void random_ring(struct oz_ring_plan *ring, uint32_t number, int64_t unit)
{
    static const int id_bytes[] = {0, 8, 16};
    ring->source = number;
    ring->scored = number == 0;
    ring->id_bytes = id_bytes[below(3)];
    ring->replaces = number && ring->id_bytes && below(2);
    ring->lateness_us = unit * (int64_t)(below(3) ? below(number ? 500 : 40) : 0);
    ring->n_values = below(5);
    for (uint32_t i = 0; i < ring->n_values; i++) {
        ring->value[i].kind = (enum oz_value_kind)below(4);
        if (!below(2)) ring->value[i].kind = OZ_VALUE_DOUBLE;
        ring->value[i].nullable = below(3) > 0;
        ring->value[i].uses = below(3) ? 0 : below(32);
        ring->value[i].text = "value";
    }
}

static void random_aggregate(const struct oz_entity_plan *entity, struct oz_aggregate *a,
                             int64_t unit)
{
    static const int64_t spans[] = {1, 2, 5, 10, 50, 200, 700};
    *a = (struct oz_aggregate){.agg = (enum oz_agg)below(OZ_AGG_COUNT_OF), .text = "aggregate"};
    a->ring = below(entity->n_rings);
    const struct oz_ring_plan *ring = &entity->ring[a->ring];
    a->value = (int)below(ring->n_values + 1) - 1;
    if (a->value < 0) a->agg = OZ_AGG_COUNT;
    enum oz_value_kind kind = a->value < 0 ? OZ_VALUE_MARK : ring->value[a->value].kind;
    if (kind == OZ_VALUE_KEY && a->agg != OZ_AGG_COUNT) a->agg = OZ_AGG_DISTINCT;
    uint32_t form = below(6);
    if (form == 0)
        a->last = 1 + below(30);
    else if (form > 1 || a->agg == OZ_AGG_DISTINCT)
        a->over_us = unit * spans[below(OZ_COUNT_OF(spans))];
    if (!below(3))
        a->delay_us = unit * spans[below(6)];
    else
        a->excluding_current = !below(4);
}

static __attribute__((unused)) void random_plan(struct twin_plan *p)
{
    static const int64_t units[] = {1, 1000, 1000000};
    memset(p, 0, sizeof *p);
    p->unit = units[below(3)];
    p->block_events = 2 + below(10);
    p->page_chunks = 2 + below(3);
    p->entity.name = "entity";
    p->entity.n_rings = 1 + below(3);
    p->entity.max_row_events = below(4) ? 0 : 20 + below(200);
    for (uint32_t i = 0; i < p->entity.n_rings; i++) random_ring(&p->entity.ring[i], i, p->unit);
    p->entity.n_aggregates = 1 + below(10);
    p->entity.aggregate = p->aggregate;
    for (uint32_t i = 0; i < p->entity.n_aggregates; i++)
        random_aggregate(&p->entity, &p->aggregate[i], p->unit);
}

static __attribute__((unused)) uint64_t random_value(const struct oz_value_spec *spec, int flavour)
{
    if (spec->nullable && !below(8)) return spec->kind == OZ_VALUE_KEY ? OZ_NULL_KEY : bits_of(NAN);
    if (spec->kind == OZ_VALUE_FLAG) return bits_of(below(2));
    if (spec->kind == OZ_VALUE_MARK) return bits_of(1);
    if (spec->kind == OZ_VALUE_KEY)
        return flavour & 1 ? below(12) : below(20) * 0x9E3779B97F4A7C15u;
    if (!below(200)) return bits_of(below(2) ? -0.0 : 1e-300);
    if (spec->nullable && !below(300)) return bits_of(below(2) ? INFINITY : 0x1p94);
    switch (flavour) {
    case 0: return bits_of(below(8));
    case 1: return bits_of((double)below(100000) / 100);
    case 2: return bits_of((uniform() - 0.5) * 1000);
    case 3:
        return bits_of((below(2) ? 1e16 : 1e-3) * (below(2) ? 1 : -1) * (below(2) ? 1 : uniform()));
    case 4: return bits_of(below(2));
    default: return bits_of(ldexp(uniform() - 0.5, (int)below(120) - 60));
    }
}
#endif
