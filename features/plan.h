/* What the features ask of the past: for every entity and source a ring of events with a few values
 * each, and the aggregates that read windows of those rings. The expressions' compiler makes a plan
 * (features/feature_set.h), rows are laid out and read by it (features/row.h).
 *
 * Time: an event at t sees the ring's events with time in (t - delay - over, t - delay]; without
 * `over` and `last` everything up to t - delay; with `last n` the newest n of those. Among events
 * of its own ring and equal time it sees those that came before it, and itself unless
 * `excluding_current`; of another source's ring it sees every event with time <= t that has
 * arrived.
 * Units: microseconds. Ownership: all of it lives in the arena of the compiler; immutable. */
#ifndef OZ_FEATURES_PLAN_H
#define OZ_FEATURES_PLAN_H
#include "base/columns.h"

enum {
    OZ_RING_VALUES_MAX = 32,
    OZ_AGGREGATES_MAX = 1024,
    OZ_RULES_MAX = 128,
    OZ_FEATURES_MAX = 4096
};

enum oz_agg {
    OZ_AGG_COUNT, /* value -1: events; else those whose value is not null. 0 when there are none */
    OZ_AGG_SUM,   /* exact, rounded once; null when no value is there, like all that follow */
    OZ_AGG_MEAN,
    OZ_AGG_MIN,
    OZ_AGG_MAX,
    OZ_AGG_LAST,     /* the newest value that is not null */
    OZ_AGG_DISTINCT, /* 0 when there are none */
    OZ_AGG_COUNT_OF
};

/* What is kept of an event, as 8 bytes of bits. */
enum oz_value_kind {
    OZ_VALUE_DOUBLE, /* bits of a finite double, |v| < 2^94; null is NaN */
    OZ_VALUE_FLAG,   /* bits of the double 0 or 1; null is NaN */
    OZ_VALUE_MARK,   /* bits of the double 1; null is NaN: there or not, for count(...) where ... */
    OZ_VALUE_KEY     /* any pattern, compared for equality only; null is OZ_NULL_KEY */
};
#define OZ_NULL_KEY UINT64_MAX

/* oz_value_spec.uses: what the aggregates need of a value */
enum {
    OZ_USE_COUNT = 1,
    OZ_USE_SUM = 2,
    OZ_USE_EXTREME = 4,
    OZ_USE_LAST = 8,
    OZ_USE_DISTINCT = 16
};

struct oz_value_spec {
    enum oz_value_kind kind;
    unsigned uses;
    bool nullable; /* false: the compiler knows that it is never null */
    /* canonical: the expression and its `where`; identifies the value in stored rows */
    const char *text;
};

struct oz_aggregate {
    enum oz_agg agg;
    uint32_t entity, ring; /* ring: index into oz_entity_plan.ring */
    int value;             /* index into the ring's values, or -1 */
    int64_t over_us;       /* 0: none */
    int64_t delay_us;
    uint32_t last; /* 0: none; not together with over_us */
    bool excluding_current;
    const char *text; /* canonical */
};

/* The events of one source in the rows of one entity. */
struct oz_ring_plan {
    uint32_t source;
    bool scored; /* of the scored source */
    /* a repeat (same time, same id) replaces the earlier event: unscored sources */
    bool replaces;
    int id_bytes;        /* 0: no id; 8: a long; 16: a text's 128-bit hash */
    int64_t lateness_us; /* against the row's newest scored event */
    uint32_t n_values;
    struct oz_value_spec value[OZ_RING_VALUES_MAX];
};

struct oz_entity_plan {
    const char *name;
    int field[OZ_SOURCES_MAX]; /* of each source: the field that holds the key, or -1 */
    uint32_t n_rings;          /* the scored source's is ring 0, always there */
    struct oz_ring_plan ring[OZ_SOURCES_MAX];
    uint32_t n_aggregates;
    const struct oz_aggregate *aggregate; /* those of this entity */
    uint32_t first_aggregate;             /* number of aggregate[0] among all */
    uint64_t max_row_events;
    uint32_t n_suppressions; /* rules whose alerts are held back by this entity */
};

struct oz_plan {
    uint32_t n_entities, n_sources, scored_source, n_aggregates;
    struct oz_entity_plan entity[OZ_ENTITIES_MAX];
};
#endif
