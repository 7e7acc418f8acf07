#include "state/replay.h"
#include <string.h>
#include "base/clock.h"
#include "base/fault.h"
#include "base/instant.h"
#include "base/log.h"

struct replay {
    struct oz_store *store;
    struct oz_changelog *changelog;
    const struct oz_positions *committed;
    const struct oz_replay_options *options;
    struct oz_replay_result *result;
    struct oz_positions *pos; /* what the store says, and what is written with each batch */
    struct oz_positions begin, end;
    struct oz_sealed batch;
    bool is_current;    /* nothing was committed since the store was written */
    int64_t oldest_us;  /* the store's oldest partition that is read on */
    bool *has_meta;     /* [n_partitions x n_entities]: its meta record was read */
    struct oz_buf meta; /* the store's */
};

static bool is_owned(const struct replay *r, uint32_t p)
{
    return !r->options->owned || r->options->owned[p];
}

/* The store has a meta record that covers every part before it has the part. */
static enum oz_status keep_meta(struct replay *r, struct oz_error *err)
{
    const char *json;
    size_t len;
    OZ_TRY(r->options->meta->text(r->options->meta->ctx, &json, &len, err));
    if (r->meta.len == len && !memcmp(r->meta.data, json, len)) return OZ_OK;
    oz_buf_reset(&r->meta);
    oz_buf_put(&r->meta, json, len);
    OZ_TRY(oz_buf_status(&r->meta, err));
    return oz_store_set_meta(r->store, json, len, err);
}

static bool has_sources(const struct oz_positions *pos, uint32_t p)
{
    for (uint32_t s = 0; s < pos->n_sources; s++)
        if (pos->source[(size_t)p * pos->n_sources + s] != OZ_NO_OFFSET) return true;
    return false;
}

static bool is_committed(const struct replay *r, uint32_t p)
{
    return has_sources(r->committed, p);
}

/* ---- partitions that nothing was ever committed of */

/* Fresh, and no start has written its first positions yet. */
static bool is_first(const struct replay *r, uint32_t p)
{
    return r->result->partition[p] == OZ_REPLAYED_FRESH && !oz_positions_has(r->pos, p);
}

struct first_record {
    uint32_t entity, partition;
};

static enum oz_status stop_at_row(void *ctx, const struct oz_changelog_record *record,
                                  struct oz_error *err)
{
    const char *key;
    uint32_t key_len, part;
    OZ_TRY(oz_part_key_parse(record->key, record->key_len, &key, &key_len, &part, err));
    if (key_len == 0) return OZ_OK; /* meta */
    struct first_record *first = ctx;
    *first = (struct first_record){record->entity, record->partition};
    return OZ_FOUND;
}

/* A group without offsets and a changelog with rows: the group was reset or has expired. Records of
 * transactions that were never committed do not count, and neither does meta. */
static enum oz_status refuse_rows_in_changelog(struct replay *r, struct oz_error *err)
{
    uint32_t n_entities = r->pos->n_entities;
    struct first_record first = {0};
    struct oz_changelog_visitor visitor = {.ctx = &first, .record = stop_at_row};
    struct oz_positions from;
    OZ_TRY(oz_positions_init(&from, r->pos->n_partitions, r->pos->n_sources, n_entities, err));
    oz_positions_copy(&from, &r->end);
    for (uint32_t p = 0; p < r->pos->n_partitions; p++)
        if (is_first(r, p))
            memcpy(from.changelog + (size_t)p * n_entities,
                   r->begin.changelog + (size_t)p * n_entities, n_entities * sizeof(int64_t));
    enum oz_status status =
        r->changelog->replay(r->changelog->ctx, &from, &r->end, r->options->wait_us, &visitor, err);
    oz_positions_clear(&from);
    if (status != OZ_FOUND) return status;
    OZ_FAIL(
        err, OZ_STATE,
        "the changelog of %s has rows in partition %u, but the consumer group has no committed "
        "offsets: the group was reset or has expired; delete the changelog topics to begin with "
        "empty state, or set the group's offsets to where they were",
        r->options->entity_name[first.entity], first.partition);
}

/* The first positions go in before anything is processed: a crash after the first commit and before
 * the first write then finds where the changelog's tail begins. */
static enum oz_status begin_fresh(struct replay *r, struct oz_error *err)
{
    uint32_t n_fresh = 0, n_entities = r->pos->n_entities;
    if (r->changelog) OZ_TRY(refuse_rows_in_changelog(r, err));
    for (uint32_t p = 0; p < r->pos->n_partitions; p++) {
        if (!is_first(r, p)) continue;
        n_fresh++;
        if (r->changelog)
            memcpy(r->pos->changelog + (size_t)p * n_entities,
                   r->end.changelog + (size_t)p * n_entities, n_entities * sizeof(int64_t));
    }
    if (!n_fresh) return OZ_OK;
    r->pos->time_us = oz_wall_us();
    return oz_store_write(r->store, NULL, 0, r->pos, err);
}

/* ---- what the store has of a partition */

/* Every offset that is committed must be at or behind the store's: the store follows, it never
 * leads. */
static enum oz_status check_sources(const struct replay *r, uint32_t p, struct oz_error *err)
{
    uint32_t n_sources = r->pos->n_sources;
    for (uint32_t s = 0; s < n_sources; s++) {
        size_t i = (size_t)p * n_sources + s;
        if (r->committed->source[i] >= r->pos->source[i]) continue;
        const char *name = r->options->source_name[s];
        if (r->committed->source[i] == OZ_NO_OFFSET)
            OZ_FAIL(err, OZ_STATE,
                    "the state in %s stands at offset %lld of %s partition %u, but the consumer "
                    "group has no committed offset there: it was reset or has expired; set it, or "
                    "delete the folder and the changelog topics to begin with empty state",
                    oz_store_dir(r->store), (long long)r->pos->source[i], name, p);
        OZ_FAIL(
            err, OZ_STATE,
            "the state in %s is ahead of the consumer group: offset %lld of %s partition %u, the "
            "group has %lld; the group was set back or the state is of another one; set the "
            "group's offsets to where they were, or delete the folder and the changelog topics to "
            "begin with empty state",
            oz_store_dir(r->store), (long long)r->pos->source[i], name, p,
            (long long)r->committed->source[i]);
    }
    return OZ_OK;
}

/* Of all owned partitions, as an event of one may have changed a row of another. A store that waits
 * for long under a group that does the same stays good: its tails hold what it has already. */
static enum oz_status ask_is_current(struct replay *r, struct oz_error *err)
{
    size_t n_sources = r->pos->n_sources;
    bool found;
    OZ_TRY(oz_store_positions(r->store, r->pos, &found, err));
    r->is_current = found;
    for (uint32_t p = 0; p < r->pos->n_partitions; p++)
        if (is_owned(r, p))
            r->is_current &=
                !memcmp(r->pos->source + p * n_sources, r->committed->source + p * n_sources,
                        n_sources * sizeof *r->pos->source);
    oz_positions_reset(r->pos);
    return OZ_OK;
}

/* Whether the changelogs' tails bring the partition up to date; else a line says why not. */
static bool is_usable(const struct replay *r, uint32_t p, int64_t time_us)
{
    for (uint32_t e = 0; e < r->pos->n_entities; e++) {
        size_t i = (size_t)p * r->pos->n_entities + e;
        int64_t at = r->pos->changelog[i];
        if (at >= r->begin.changelog[i] && at <= r->end.changelog[i]) continue;
        oz_warn("state: partition %u stands at offset %lld of the changelog of %s, which has %lld "
                "to %lld",
                p, (long long)at, r->options->entity_name[e], (long long)r->begin.changelog[i],
                (long long)r->end.changelog[i]);
        return false;
    }
    int64_t keeps_us = r->options->delete_retention_us, age_us = oz_wall_us() - time_us;
    if (r->is_current || keeps_us <= 0 || age_us <= keeps_us) return true;
    oz_warn("state: partition %u was last written %lld hours ago, and the changelog keeps deletes "
            "for %lld",
            p, (long long)(age_us / OZ_US_PER_HOUR), (long long)(keeps_us / OZ_US_PER_HOUR));
    return false;
}

/* The whole changelog must be there: its policy is to compact, which keeps the beginning. */
static enum oz_status begin_whole(struct replay *r, uint32_t p, bool found, struct oz_error *err)
{
    for (uint32_t e = 0; e < r->pos->n_entities; e++) {
        size_t i = (size_t)p * r->pos->n_entities + e;
        if (r->begin.changelog[i] > 0)
            OZ_FAIL(err, OZ_LOST,
                    "partition %u must be rebuilt from the changelog of %s, which begins only at "
                    "offset %lld: records before it were deleted (its cleanup.policy must be "
                    "`compact` alone); bring back the state folder of the last run, or begin with "
                    "empty state: delete the changelog topics and the group",
                    p, r->options->entity_name[e], (long long)r->begin.changelog[i]);
    }
    if (found)
        oz_warn("state: partition %u of %s is thrown away and rebuilt from the changelog", p,
                oz_store_dir(r->store));
    OZ_TRY(oz_store_wipe(r->store, p, err));
    oz_positions_forget(r->pos, p);
    for (uint32_t e = 0; e < r->pos->n_entities; e++)
        r->pos->changelog[(size_t)p * r->pos->n_entities + e] = 0;
    r->result->partition[p] = OZ_REPLAYED_WHOLE;
    r->result->n_rebuilt++;
    return OZ_OK;
}

static OZ_COLD enum oz_status refuse_empty(const struct replay *r, uint32_t p, struct oz_error *err)
{
    OZ_FAIL(err, OZ_STATE,
            "the consumer group has committed offsets, and the state in %s is empty (partition "
            "%u): at least once cannot rebuild it, as its changelog may be ahead of the offsets; "
            "bring the folder back, or delete the changelog topics and the group to begin with "
            "empty state",
            oz_store_dir(r->store), p);
}

/* The store is written before the offsets are committed, so it is never behind. Where it has no
 * offset nothing was ever applied, and the group's own place counts. */
static void resume_at_least_once(struct replay *r, uint32_t p)
{
    for (uint32_t s = 0; s < r->pos->n_sources; s++) {
        size_t i = (size_t)p * r->pos->n_sources + s;
        if (r->pos->source[i] == OZ_NO_OFFSET) r->pos->source[i] = r->committed->source[i];
    }
}

/* Finds out what there is to do for one partition. */
static enum oz_status look_at(struct replay *r, uint32_t p, struct oz_error *err)
{
    bool found;
    int64_t time_us;
    OZ_TRY(oz_store_position(r->store, p, r->pos, &found, &time_us, err));
    if (!found && !is_committed(r, p)) {
        r->result->partition[p] = OZ_REPLAYED_FRESH;
        return oz_store_wipe(r->store, p, err); /* rows without offsets are nobody's */
    }
    if (found && !is_committed(r, p) && !has_sources(r->pos, p)) {
        r->result->partition[p] = OZ_REPLAYED_FRESH; /* died before its first commit */
        return OZ_OK;
    }
    if (!r->options->exactly_once) {
        if (!found && r->pos->n_entities) return refuse_empty(r, p, err);
        resume_at_least_once(r, p);
        return OZ_OK;
    }
    if (found) OZ_TRY(check_sources(r, p, err));
    if (!found || !is_usable(r, p, time_us)) {
        r->oldest_us = OZ_MIN(r->oldest_us, oz_wall_us());
        return begin_whole(r, p, found, err);
    }
    r->oldest_us = OZ_MIN(r->oldest_us, time_us);
    return OZ_OK;
}

/* ---- reading the changelogs */

static uint64_t n_left(const struct replay *r)
{
    uint64_t n = 0;
    for (size_t i = 0; i < (size_t)r->pos->n_partitions * r->pos->n_entities; i++)
        n += (uint64_t)OZ_MAX(r->end.changelog[i] - r->pos->changelog[i], 0);
    return n;
}

static enum oz_status show_progress(const struct replay *r, uint64_t left, struct oz_error *err)
{
    const struct oz_replay_options *o = r->options;
    if (o->progress && !o->progress(o->progress_ctx, r->result->n_records, left))
        OZ_FAIL(err, OZ_RETRY,
                "stopped while the changelog was read; the next start goes on there");
    return OZ_OK;
}

static enum oz_status write_batch(struct replay *r, struct oz_error *err)
{
    enum oz_fault_effect effect = oz_fault(OZ_FAULT_REPLAY_PART);
    if (effect == OZ_FAULT_FAIL)
        OZ_FAIL(err, OZ_IO, "a fault was asked for in the middle of the replay");
    if (effect == OZ_FAULT_SKIP) oz_sealed_reset(&r->batch);
    const struct oz_sealed *batch = &r->batch;
    OZ_TRY(oz_store_write(r->store, &batch, 1, r->pos, err));
    oz_sealed_reset(&r->batch);
    return show_progress(r, n_left(r), err);
}

/* A partition's meta record says of which definitions its rows are. */
static enum oz_status take_meta(struct replay *r, const struct oz_changelog_record *record,
                                struct oz_error *err)
{
    const struct oz_meta_keeper *meta = r->options->meta;
    r->has_meta[(size_t)record->partition * r->pos->n_entities + record->entity] = true;
    enum oz_status status =
        meta->learn(meta->ctx, (const char *)record->value, record->value_len, err);
    if (status == OZ_STATE)
        oz_error_prefix(err, "its rows were made by another definition, which this one cannot "
                             "follow (give this one a name of its own, or undo the change)");
    OZ_TRY(status);
    return keep_meta(r, err);
}

static enum oz_status take_part(struct replay *r, const struct oz_changelog_record *record,
                                struct oz_error *err)
{
    const char *key;
    uint32_t key_len, part;
    OZ_TRY(oz_part_key_parse(record->key, record->key_len, &key, &key_len, &part, err));
    if (!key_len && !part) return record->value ? take_meta(r, record, err) : OZ_OK;
    if (record->value) OZ_TRY(oz_part_check(record->value, record->value_len, err));
    return oz_sealed_put(&r->batch, (uint8_t)record->entity, record->partition, record->key,
                         (uint32_t)record->key_len, record->value, (uint32_t)record->value_len,
                         err);
}

static enum oz_status take_record(void *ctx, const struct oz_changelog_record *record,
                                  struct oz_error *err)
{
    struct replay *r = ctx;
    if (record->entity >= r->pos->n_entities || record->partition >= r->pos->n_partitions)
        OZ_FAIL(err, OZ_DEFECT, "a changelog record of entity %u, partition %u", record->entity,
                record->partition);
    enum oz_status status = take_part(r, record, err);
    if (status != OZ_OK) {
        oz_error_prefix(err, "the changelog of %s, partition %u, offset %lld",
                        r->options->entity_name[record->entity], record->partition,
                        (long long)record->offset);
        return status;
    }
    r->result->n_records++;
    if (r->result->partition[record->partition] == OZ_REPLAYED_NOTHING)
        r->result->partition[record->partition] = OZ_REPLAYED_TAIL;
    r->pos->changelog[(size_t)record->partition * r->pos->n_entities + record->entity] =
        record->offset + 1;
    if (r->batch.n_parts < OZ_REPLAY_BATCH_RECORDS && r->batch.bytes.len < OZ_REPLAY_BATCH_BYTES)
        return OZ_OK;
    return write_batch(r, err);
}

static enum oz_status still_waiting(void *ctx, uint64_t left, struct oz_error *err)
{
    return show_progress(ctx, left, err);
}

/* The first transaction of a partition writes its meta records, and compaction keeps the newest: a
 * changelog without one is not the one that the offsets were committed with. */
static enum oz_status check_whole(const struct replay *r, struct oz_error *err)
{
    uint32_t n_entities = r->pos->n_entities;
    for (uint32_t i = 0; i < r->pos->n_partitions * n_entities; i++)
        if (r->result->partition[i / n_entities] == OZ_REPLAYED_WHOLE && !r->has_meta[i])
            OZ_FAIL(err, OZ_LOST,
                    "the consumer group has committed offsets of partition %u, but the changelog "
                    "of %s does not have its rows: the topic was made anew or emptied; bring it or "
                    "the state folder of the last run back, or begin with empty state: delete the "
                    "changelog topics and the group",
                    i / n_entities, r->options->entity_name[i % n_entities]);
    return OZ_OK;
}

static enum oz_status read_changelogs(struct replay *r, struct oz_error *err)
{
    struct oz_changelog_visitor visitor = {
        .ctx = r, .record = take_record, .waiting = still_waiting};
    struct oz_positions from;
    OZ_TRY(
        oz_positions_init(&from, r->pos->n_partitions, r->pos->n_sources, r->pos->n_entities, err));
    oz_positions_copy(&from, r->pos);
    enum oz_status status =
        r->changelog->replay(r->changelog->ctx, &from, &r->end, r->options->wait_us, &visitor, err);
    oz_positions_clear(&from);
    return status;
}

/* Between batches the store has new rows under old source offsets: a crash there is one before the
 * replay, only with less left to read. The last write moves everything to the commit at once. Until
 * then the store stays as old as it was: a delete may go from the changelog while it is read. */
static enum oz_status catch_up(struct replay *r, struct oz_error *err)
{
    size_t n_sources = r->pos->n_sources, n_entities = r->pos->n_entities;
    r->pos->time_us = r->oldest_us;
    OZ_TRY(show_progress(r, n_left(r), err));
    OZ_TRY(read_changelogs(r, err));
    OZ_TRY(check_whole(r, err));
    for (uint32_t p = 0; p < r->pos->n_partitions; p++) {
        if (!is_owned(r, p)) continue;
        for (size_t i = p * n_entities; i < (p + 1) * n_entities; i++)
            r->pos->changelog[i] = OZ_MAX(r->pos->changelog[i], r->end.changelog[i]);
        memcpy(r->pos->source + p * n_sources, r->committed->source + p * n_sources,
               n_sources * sizeof *r->pos->source);
    }
    r->pos->time_us = oz_wall_us();
    return write_batch(r, err);
}

/* Of the owned partitions; others end where they begin. */
static enum oz_status ask_bounds(struct replay *r, struct oz_error *err)
{
    const struct oz_positions *c = r->committed;
    OZ_TRY(oz_positions_init(&r->begin, c->n_partitions, c->n_sources, c->n_entities, err));
    OZ_TRY(oz_positions_init(&r->end, c->n_partitions, c->n_sources, c->n_entities, err));
    if (!r->changelog) return OZ_OK;
    OZ_TRY(r->changelog->ends(r->changelog->ctx, &r->end, err));
    OZ_TRY(r->changelog->begins(r->changelog->ctx, &r->begin, err));
    for (uint32_t p = 0; p < c->n_partitions; p++) {
        if (is_owned(r, p)) continue;
        oz_positions_forget(&r->begin, p);
        oz_positions_forget(&r->end, p);
    }
    return OZ_OK;
}

static enum oz_status check_meta(struct replay *r, struct oz_error *err)
{
    const struct oz_meta_keeper *meta = r->options->meta;
    bool found = false;
    OZ_TRY(oz_store_meta(r->store, &r->meta, err));
    if (!r->meta.len) OZ_TRY(oz_store_positions(r->store, r->pos, &found, err));
    if (found)
        OZ_FAIL(err, OZ_CORRUPT,
                "the state in %s has offsets and does not say of which definition; delete the "
                "folder: it is rebuilt from the changelog",
                oz_store_dir(r->store));
    if (r->meta.len) {
        enum oz_status status =
            meta->learn(meta->ctx, (const char *)r->meta.data, r->meta.len, err);
        if (status == OZ_STATE)
            oz_error_prefix(err,
                            "the state in %s was made by another definition, which this one "
                            "cannot follow (give this one a name and a state.dir of its own, "
                            "or undo the change)",
                            oz_store_dir(r->store));
        else if (status != OZ_OK)
            oz_error_prefix(err, "the meta record of the state in %s", oz_store_dir(r->store));
        OZ_TRY(status);
    }
    return keep_meta(r, err);
}

static enum oz_status start(struct replay *r, struct oz_error *err)
{
    r->has_meta = oz_calloc((size_t)r->pos->n_partitions * r->pos->n_entities + 1, 1);
    if (!r->has_meta) return oz_no_memory(err);
    OZ_TRY(check_meta(r, err));
    OZ_TRY(ask_is_current(r, err));
    OZ_TRY(ask_bounds(r, err));
    for (uint32_t p = 0; p < r->pos->n_partitions; p++)
        if (is_owned(r, p)) OZ_TRY(look_at(r, p, err));
    OZ_TRY(begin_fresh(r, err));
    return r->options->exactly_once ? catch_up(r, err) : OZ_OK;
}

enum oz_status oz_replay(struct oz_store *store, struct oz_changelog *changelog,
                         const struct oz_positions *committed,
                         const struct oz_replay_options *options, struct oz_positions *ret_pos,
                         struct oz_replay_result *ret_result, struct oz_error *err)
{
    OZ_ASSERT(changelog || !options->exactly_once);
    struct replay r = {.store = store,
                       .changelog = changelog,
                       .committed = committed,
                       .options = options,
                       .result = ret_result,
                       .pos = ret_pos,
                       .oldest_us = oz_wall_us()};
    ret_result->n_records = ret_result->n_rebuilt = 0;
    memset(ret_result->partition, 0, ret_pos->n_partitions * sizeof *ret_result->partition);
    oz_sealed_init(&r.batch);
    oz_buf_init(&r.meta);
    enum oz_status status = start(&r, err);
    oz_sealed_clear(&r.batch);
    oz_buf_clear(&r.meta);
    oz_positions_clear(&r.begin);
    oz_positions_clear(&r.end);
    oz_free(r.has_meta);
    return status;
}
