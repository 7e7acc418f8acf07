#include "state/replay.h"
#include <string.h>
#include "base/clock.h"
#include "base/fault.h"

enum { SHOWN_BYTES = 48 };

struct replay {
    struct oz_store *store;
    struct oz_changelog *changelog;
    const struct oz_positions *committed;
    const struct oz_replay_options *options;
    struct oz_positions *pos; /* what the store says, and what is written with each batch */
    struct oz_positions begin, end;
    struct oz_sealed batch;
    uint64_t n_records;
};

/* Up to SHOWN_BYTES of a text from `at` on, control characters blank. */
static const char *shown(char *to, const char *text, size_t len, size_t at)
{
    size_t n = OZ_MIN(len - OZ_MIN(len, at), (size_t)SHOWN_BYTES);
    for (size_t i = 0; i < n; i++) to[i] = (uint8_t)text[at + i] < ' ' ? ' ' : text[at + i];
    to[n] = '\0';
    return to;
}

static enum oz_status compare_meta(const struct replay *r, const struct oz_buf *stored,
                                   struct oz_error *err)
{
    const char *a = (const char *)stored->data, *b = r->options->meta;
    size_t n = OZ_MIN(stored->len, r->options->meta_len), at = 0;
    while (at < n && a[at] == b[at]) at++;
    if (at == stored->len && at == r->options->meta_len) return OZ_OK;
    size_t from = at - OZ_MIN(at, (size_t)SHOWN_BYTES / 3); /* some words in front, to find it by */
    char sa[SHOWN_BYTES + 1], sb[SHOWN_BYTES + 1];
    OZ_FAIL(
        err, OZ_STATE,
        "the state in %s was made by another definition: at byte %zu it has '%s', this pipeline "
        "'%s'; run the pipeline that made it, or give this one a name and a state.dir of its own",
        oz_store_dir(r->store), at, shown(sa, a, stored->len, from),
        shown(sb, b, r->options->meta_len, from));
}

static bool any_offset(const struct oz_positions *pos)
{
    for (size_t i = 0; i < (size_t)pos->n_partitions * pos->n_sources; i++)
        if (pos->source[i] != OZ_NO_OFFSET) return true;
    return false;
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
    struct first_record first = {0};
    struct oz_changelog_visitor visitor = {.ctx = &first, .record = stop_at_row};
    enum oz_status status = r->changelog->replay(r->changelog->ctx, &r->begin, &r->end,
                                                 r->options->wait_us, &visitor, err);
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
    bool has_rows;
    OZ_TRY(oz_store_has_rows(r->store, &has_rows, err));
    if (has_rows)
        OZ_FAIL(err, OZ_STATE,
                "the state in %s has rows and no offsets; delete the folder to begin with empty "
                "state",
                oz_store_dir(r->store));
    if (r->changelog) {
        OZ_TRY(refuse_rows_in_changelog(r, err));
        memcpy(r->pos->changelog, r->end.changelog,
               (size_t)r->pos->n_partitions * r->pos->n_entities * sizeof *r->pos->changelog);
    }
    OZ_TRY(oz_store_set_meta(r->store, r->options->meta, r->options->meta_len, err));
    r->pos->epoch = 0;
    r->pos->time_us = oz_wall_us();
    return oz_store_write(r->store, NULL, 0, r->pos, err);
}

/* Every offset that is committed must be at or behind the store's: the store follows, it never
 * leads. */
static enum oz_status check_sources(const struct replay *r, struct oz_error *err)
{
    uint32_t n_sources = r->pos->n_sources;
    for (size_t i = 0; i < (size_t)r->pos->n_partitions * n_sources; i++) {
        if (r->committed->source[i] >= r->pos->source[i]) continue;
        const char *name = r->options->source_name[i % n_sources];
        unsigned partition = (unsigned)(i / n_sources);
        if (r->committed->source[i] == OZ_NO_OFFSET)
            OZ_FAIL(err, OZ_STATE,
                    "the state in %s stands at offset %lld of %s partition %u, but the consumer "
                    "group has no committed offset there: it was reset or has expired; set it, or "
                    "delete the folder and the changelog topics to begin with empty state",
                    oz_store_dir(r->store), (long long)r->pos->source[i], name, partition);
        OZ_FAIL(
            err, OZ_STATE,
            "the state in %s is ahead of the consumer group: offset %lld of %s partition %u, the "
            "group has %lld; the group was set back or the state is of another one; set the "
            "group's offsets to where they were, or delete the folder and the changelog topics to "
            "begin with empty state",
            oz_store_dir(r->store), (long long)r->pos->source[i], name, partition,
            (long long)r->committed->source[i]);
    }
    return OZ_OK;
}

static OZ_COLD enum oz_status unusable(const struct replay *r, size_t i, const char *why,
                                       int64_t bound, struct oz_error *err)
{
    uint32_t n_entities = r->pos->n_entities;
    OZ_FAIL(err, OZ_STATE,
            "the state in %s cannot be used: it stands at offset %lld of the changelog of %s, "
            "partition %u, which %s %lld; rebuilding it from the whole changelog is not served yet",
            oz_store_dir(r->store), (long long)r->pos->changelog[i],
            r->options->entity_name[i % n_entities], (unsigned)(i / n_entities), why,
            (long long)bound);
}

/* *ret_n_left: offsets between the store and the changelog's end. */
static enum oz_status check_changelogs(const struct replay *r, uint64_t *ret_n_left,
                                       struct oz_error *err)
{
    *ret_n_left = 0;
    for (size_t i = 0; i < (size_t)r->pos->n_partitions * r->pos->n_entities; i++) {
        int64_t at = r->pos->changelog[i];
        if (at < r->begin.changelog[i])
            return unusable(r, i, "begins only at", r->begin.changelog[i], err);
        if (at > r->end.changelog[i])
            return unusable(r, i, "ends already at", r->end.changelog[i], err);
        *ret_n_left += (uint64_t)(r->end.changelog[i] - at);
    }
    int64_t age_us = oz_wall_us() - r->pos->time_us;
    if (*ret_n_left && r->options->delete_retention_us > 0 &&
        age_us > r->options->delete_retention_us)
        OZ_FAIL(err, OZ_STATE,
                "the state in %s cannot be used: it was last written %lld hours ago, and the "
                "changelog keeps deletes for %lld; rebuilding it from the whole changelog is not "
                "served yet",
                oz_store_dir(r->store), (long long)(age_us / INT64_C(3600000000)),
                (long long)(r->options->delete_retention_us / INT64_C(3600000000)));
    return OZ_OK;
}

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
    if (o->progress && !o->progress(o->progress_ctx, r->n_records, left))
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

static enum oz_status take_record(void *ctx, const struct oz_changelog_record *record,
                                  struct oz_error *err)
{
    struct replay *r = ctx;
    const struct oz_replay_options *o = r->options;
    const char *key;
    uint32_t key_len, part;
    if (record->entity >= r->pos->n_entities || record->partition >= r->pos->n_partitions)
        OZ_FAIL(err, OZ_DEFECT, "a changelog record of entity %u, partition %u", record->entity,
                record->partition);
    enum oz_status status =
        oz_part_key_parse(record->key, record->key_len, &key, &key_len, &part, err);
    if (status == OZ_OK && record->value && key_len)
        status = oz_part_check(record->value, record->value_len, err);
    if (status == OZ_OK && key_len)
        status = oz_sealed_put(&r->batch, (uint8_t)record->entity, record->partition, record->key,
                               (uint32_t)record->key_len, record->value,
                               (uint32_t)record->value_len, err);
    if (status != OZ_OK) {
        oz_error_prefix(err, "the changelog of %s, partition %u, offset %lld",
                        o->entity_name[record->entity], record->partition,
                        (long long)record->offset);
        return status;
    }
    r->n_records++;
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

/* Between batches the store has new rows under old source offsets: a crash there is one before the
 * replay, only with less left to read. The last write moves everything to the commit at once. */
static enum oz_status read_tail(struct replay *r, struct oz_error *err)
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
    OZ_TRY(status);
    for (size_t i = 0; i < (size_t)r->pos->n_partitions * r->pos->n_entities; i++)
        r->pos->changelog[i] = OZ_MAX(r->pos->changelog[i], r->end.changelog[i]);
    memcpy(r->pos->source, r->committed->source,
           (size_t)r->pos->n_partitions * r->pos->n_sources * sizeof *r->pos->source);
    r->pos->time_us = oz_wall_us();
    return write_batch(r, err);
}

static enum oz_status resume_exactly_once(struct replay *r, struct oz_error *err)
{
    uint64_t left;
    OZ_TRY(check_sources(r, err));
    OZ_TRY(check_changelogs(r, &left, err));
    OZ_TRY(show_progress(r, left, err));
    return read_tail(r, err);
}

/* The store is written before the offsets are committed, so it is never behind. Where it has no
 * offset nothing was ever applied, and the group's own place counts. */
static void resume_at_least_once(struct replay *r)
{
    for (size_t i = 0; i < (size_t)r->pos->n_partitions * r->pos->n_sources; i++)
        if (r->pos->source[i] == OZ_NO_OFFSET) r->pos->source[i] = r->committed->source[i];
}

static enum oz_status ask_bounds(struct replay *r, struct oz_error *err)
{
    const struct oz_positions *c = r->committed;
    OZ_TRY(oz_positions_init(&r->begin, c->n_partitions, c->n_sources, c->n_entities, err));
    OZ_TRY(oz_positions_init(&r->end, c->n_partitions, c->n_sources, c->n_entities, err));
    if (!r->changelog) return OZ_OK;
    OZ_TRY(r->changelog->ends(r->changelog->ctx, &r->end, err));
    return r->changelog->begins(r->changelog->ctx, &r->begin, err);
}

static enum oz_status start(struct replay *r, bool *ret_fresh, struct oz_error *err)
{
    bool found;
    struct oz_buf meta;
    oz_buf_init(&meta);
    enum oz_status status;
    OZ_TRY_OUT(oz_store_meta(r->store, &meta, err));
    if (meta.len) OZ_TRY_OUT(compare_meta(r, &meta, err));
    OZ_TRY_OUT(oz_store_positions(r->store, r->pos, &found, err));
    if (found && !meta.len) {
        status = oz_error_set(err, OZ_CORRUPT,
                              "the state in %s has offsets and does not say of which definition",
                              oz_store_dir(r->store));
        goto out;
    }
    if (!found && any_offset(r->committed)) {
        status = oz_error_set(
            err, OZ_STATE,
            "the consumer group has committed offsets, and the state in %s is empty; bring the "
            "folder back, or delete the changelog topics and the group to begin with empty state; "
            "rebuilding it from the whole changelog is not served yet",
            oz_store_dir(r->store));
        goto out;
    }
    OZ_TRY_OUT(ask_bounds(r, err));
    if (!found)
        status = begin_fresh(r, err);
    else if (r->options->exactly_once)
        status = resume_exactly_once(r, err);
    else
        resume_at_least_once(r);
    if (status == OZ_OK) *ret_fresh = !any_offset(r->pos);
out:
    oz_buf_clear(&meta);
    return status;
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
                       .pos = ret_pos};
    bool fresh = false;
    oz_sealed_init(&r.batch);
    enum oz_status status = start(&r, &fresh, err);
    if (status == OZ_OK) *ret_result = (struct oz_replay_result){fresh, r.n_records};
    oz_sealed_clear(&r.batch);
    oz_positions_clear(&r.begin);
    oz_positions_clear(&r.end);
    return status;
}
