/* Changelog topics in memory, with what matters of Kafka's transactions: records of open and
 * aborted ones take offsets and are not seen, markers take offsets, an open one holds readers back
 * (the last stable offset), and a commit whose answer was lost becomes visible only after a while.
 * One producer. */
#ifndef OZ_TESTS_UNIT_STATE_FAKE_CHANGELOG_H
#define OZ_TESTS_UNIT_STATE_FAKE_CHANGELOG_H
#include <stdlib.h>
#include <string.h>
#include "state/changelog.h"

enum { FAKE_PARTITIONS = 3, FAKE_ENTITIES = 2 };
enum fake_kind { FAKE_MARKER, FAKE_OPEN, FAKE_ABORTED, FAKE_COMMITTED };

struct fake_record {
    enum fake_kind kind;
    size_t key_len, value_len;
    uint8_t *key, *value; /* value NULL: deleted */
};
struct fake_log {
    struct fake_record *record;
    size_t n, cap;
    int64_t begin;   /* log start */
    bool is_touched; /* by the open transaction */
};
struct fake_changelog {
    struct oz_changelog base;
    struct fake_log log[FAKE_ENTITIES][FAKE_PARTITIONS];
    bool outcome_in_doubt,
        outcome; /* of a commit whose answer was lost: settled while a reader waits */
    uint64_t n_waits, n_visited;
};

static inline void fake_append(struct fake_log *log, enum fake_kind kind, const void *key,
                               size_t key_len, const void *value, size_t value_len)
{
    if (log->n == log->cap) {
        log->cap = log->cap ? 2 * log->cap : 16;
        log->record = realloc(log->record, log->cap * sizeof *log->record);
    }
    struct fake_record r = {kind, key_len, value_len, malloc(key_len + 1), NULL};
    if (key_len) memcpy(r.key, key, key_len);
    if (value) {
        r.value = malloc(value_len + 1);
        memcpy(r.value, value, value_len);
    }
    log->record[log->n++] = r;
}

static inline enum oz_status fake_produce(void *ctx, const struct oz_sealed *sealed,
                                          struct oz_error *err)
{
    (void)err;
    struct fake_changelog *fake = ctx;
    for (size_t i = 0; i < sealed->n_parts; i++) {
        const struct oz_part *p = &sealed->part[i];
        struct fake_log *log = &fake->log[p->entity][p->partition];
        log->is_touched = true;
        fake_append(log, FAKE_OPEN, sealed->bytes.data + p->key_at, p->key_len,
                    p->deleted ? NULL : sealed->bytes.data + p->value_at, p->value_len);
    }
    return OZ_OK;
}

static inline enum oz_status fake_produce_meta(void *ctx, uint32_t entity, uint32_t partition,
                                               const char *json, size_t len, struct oz_error *err)
{
    (void)err;
    static const uint8_t key[6];
    struct fake_log *log = &((struct fake_changelog *)ctx)->log[entity][partition];
    log->is_touched = true;
    fake_append(log, FAKE_OPEN, key, sizeof key, json, len);
    return OZ_OK;
}

/* Ends the open transaction in every log that it touched. */
static inline void fake_end(struct fake_changelog *fake, bool commit)
{
    for (int e = 0; e < FAKE_ENTITIES; e++)
        for (int p = 0; p < FAKE_PARTITIONS; p++) {
            struct fake_log *log = &fake->log[e][p];
            if (!log->is_touched) continue;
            for (size_t i = log->n; i-- > 0;)
                if (log->record[i].kind == FAKE_OPEN)
                    log->record[i].kind = commit ? FAKE_COMMITTED : FAKE_ABORTED;
            fake_append(log, FAKE_MARKER, NULL, 0, NULL, 0);
            log->is_touched = false;
        }
}

static inline enum oz_status fake_begins(void *ctx, struct oz_positions *ret_pos,
                                         struct oz_error *err)
{
    (void)err;
    struct fake_changelog *fake = ctx;
    for (int p = 0; p < FAKE_PARTITIONS; p++)
        for (int e = 0; e < FAKE_ENTITIES; e++)
            ret_pos->changelog[p * FAKE_ENTITIES + e] = fake->log[e][p].begin;
    return OZ_OK;
}

static inline enum oz_status fake_ends(void *ctx, struct oz_positions *ret_pos,
                                       struct oz_error *err)
{
    (void)err;
    struct fake_changelog *fake = ctx;
    for (int p = 0; p < FAKE_PARTITIONS; p++)
        for (int e = 0; e < FAKE_ENTITIES; e++)
            ret_pos->changelog[p * FAKE_ENTITIES + e] = (int64_t)fake->log[e][p].n;
    return OZ_OK;
}

/* Visits what may be read of one log; false: an open transaction is in the way of `to`. */
static inline enum oz_status fake_read(struct fake_changelog *fake, uint32_t e, uint32_t p,
                                       int64_t *at, int64_t to,
                                       const struct oz_changelog_visitor *visitor, bool *ret_done,
                                       struct oz_error *err)
{
    struct fake_log *log = &fake->log[e][p];
    for (; *at < to; ++*at) {
        const struct fake_record *r = &log->record[*at];
        if (r->kind == FAKE_OPEN) break;
        if (r->kind != FAKE_COMMITTED) continue;
        struct oz_changelog_record record = {e, p, *at, r->key, r->key_len, r->value, r->value_len};
        fake->n_visited++;
        OZ_TRY(visitor->record(visitor->ctx, &record, err));
    }
    *ret_done = *at >= to;
    return OZ_OK;
}

static inline enum oz_status fake_replay(void *ctx, const struct oz_positions *from,
                                         const struct oz_positions *to, int64_t wait_us,
                                         const struct oz_changelog_visitor *visitor,
                                         struct oz_error *err)
{
    struct fake_changelog *fake = ctx;
    int64_t at[FAKE_PARTITIONS * FAKE_ENTITIES];
    memcpy(at, from->changelog, sizeof at);
    (void)wait_us;
    for (;;) {
        bool all_done = true;
        for (uint32_t i = 0; i < FAKE_PARTITIONS * FAKE_ENTITIES; i++) {
            bool done;
            OZ_TRY(fake_read(fake, i % FAKE_ENTITIES, i / FAKE_ENTITIES, &at[i], to->changelog[i],
                             visitor, &done, err));
            all_done &= done;
        }
        if (all_done) return OZ_OK;
        fake->n_waits++;
        if (visitor->waiting) OZ_TRY(visitor->waiting(visitor->ctx, 1, err));
        if (!fake->outcome_in_doubt)
            OZ_FAIL(err, OZ_BROKER, "waits for a transaction to end, and it does not");
        fake_end(fake, fake->outcome);
        fake->outcome_in_doubt = false;
    }
}

static inline void fake_init(struct fake_changelog *fake)
{
    memset(fake, 0, sizeof *fake);
    fake->base = (struct oz_changelog){.ctx = fake,
                                       .produce = fake_produce,
                                       .produce_meta = fake_produce_meta,
                                       .begins = fake_begins,
                                       .ends = fake_ends,
                                       .replay = fake_replay};
}

static inline void fake_clear(struct fake_changelog *fake)
{
    for (int e = 0; e < FAKE_ENTITIES; e++)
        for (int p = 0; p < FAKE_PARTITIONS; p++) {
            for (size_t i = 0; i < fake->log[e][p].n; i++) {
                free(fake->log[e][p].record[i].key);
                free(fake->log[e][p].record[i].value);
            }
            free(fake->log[e][p].record);
        }
}
#endif
