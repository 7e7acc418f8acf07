/* What a start does with the local state. A simulated engine runs epochs against changelogs in
 * memory that know transactions (fake_changelog.h), and a real store; it is stopped at every step
 * of the epoch, and after each start the store must hold exactly what the twin says was committed:
 * a table of values that is copied at each commit, and the offsets with it. Then each state that
 * does not fit is refused with words that say which it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "base/clock.h"
#include "base/fault.h"
#include "fake_changelog.h"
#include "scratch_folder.h"
#include "state/replay.h"

enum { KEYS = 30, SOURCES = 2, MEMORY = 8 << 20 };
/* A toy of a meta record: the pipeline's letter, and one for each layout. */
#define META "T:x"

struct table { /* what each part holds; 0: it is not there */
    uint32_t value[FAKE_ENTITIES][FAKE_PARTITIONS][KEYS];
    int64_t source[FAKE_PARTITIONS * SOURCES];
};
struct engine {
    char dir[256];
    struct oz_store *store;
    struct fake_changelog fake;
    struct oz_positions committed, pos;
    struct oz_replay_options options;
    struct oz_meta_keeper keeper;
    char meta[16]; /* what is known */
    struct oz_replay_result result;
    enum oz_replayed replayed[FAKE_PARTITIONS];
    bool owned[FAKE_PARTITIONS];
    struct table now, last_commit;
    uint64_t seed;
    uint64_t n_progress, n_done, n_left;
};

static bool count_progress(void *ctx, uint64_t n_done, uint64_t n_left)
{
    struct engine *e = ctx;
    e->n_progress++;
    assert_true(n_done >= e->n_done);
    e->n_done = n_done;
    e->n_left = n_left;
    return true;
}

static const char *const source_name[] = {"transactions", "labels"};
static const char *const entity_name[] = {"customer", "terminal"};

static enum oz_status learn(void *ctx, const char *json, size_t len, struct oz_error *err)
{
    struct engine *e = ctx;
    if (len < 3 || json[1] != ':') OZ_FAIL(err, OZ_CORRUPT, "no meta record");
    if (json[0] != e->meta[0]) OZ_FAIL(err, OZ_STATE, "the pipeline was `%c`", json[0]);
    for (size_t i = 2; i < len; i++)
        if (!strchr(e->meta, json[i])) strncat(e->meta, json + i, 1);
    return OZ_OK;
}

static enum oz_status text(void *ctx, const char **ret_json, size_t *ret_len, struct oz_error *err)
{
    struct engine *e = ctx;
    (void)err;
    *ret_json = e->meta;
    *ret_len = strlen(e->meta);
    return OZ_OK;
}

static void stored_meta_is(const struct engine *e, const char *want)
{
    struct oz_buf meta;
    oz_buf_init(&meta);
    assert_int_equal(oz_store_meta(e->store, &meta, NULL), OZ_OK);
    assert_int_equal(meta.len, strlen(want));
    assert_memory_equal(meta.data, want, meta.len);
    oz_buf_clear(&meta);
}

static void engine_init(struct engine *e, uint64_t seed)
{
    memset(e, 0, sizeof *e);
    scratch_make(e->dir);
    fake_init(&e->fake);
    e->seed = seed;
    assert_int_equal(oz_positions_init(&e->committed, FAKE_PARTITIONS, SOURCES, FAKE_ENTITIES, 0),
                     OZ_OK);
    assert_int_equal(oz_positions_init(&e->pos, FAKE_PARTITIONS, SOURCES, FAKE_ENTITIES, 0), OZ_OK);
    e->result.partition = e->replayed;
    memset(e->owned, true, sizeof e->owned);
    memcpy(e->now.source, e->committed.source, sizeof e->now.source);
    e->last_commit = e->now;
    e->keeper = (struct oz_meta_keeper){e, learn, text};
    strcpy(e->meta, META);
    e->options = (struct oz_replay_options){.meta = &e->keeper,
                                            .exactly_once = true,
                                            .owned = e->owned,
                                            .source_name = source_name,
                                            .entity_name = entity_name,
                                            .wait_us = 1000000,
                                            .progress = count_progress,
                                            .progress_ctx = e};
}

static void engine_stop(struct engine *e) /* the process is gone, the folder stays */
{
    oz_store_close(e->store);
    e->store = NULL;
}

static void engine_clear(struct engine *e)
{
    engine_stop(e);
    fake_clear(&e->fake);
    oz_positions_clear(&e->committed);
    oz_positions_clear(&e->pos);
    scratch_remove(e->dir);
}

static enum oz_status engine_start(struct engine *e, struct oz_error *err)
{
    if (!e->store) OZ_TRY(oz_store_open(e->dir, MEMORY, false, &e->store, err));
    e->n_done = 0;
    return oz_replay(e->store, &e->fake.base, &e->committed, &e->options, &e->pos, &e->result, err);
}

static void must_start(struct engine *e)
{
    struct oz_error err = {0};
    if (engine_start(e, &err)) fail_msg("%s", err.message);
}

static void put_part(struct oz_sealed *sealed, uint8_t entity, uint32_t partition, int key,
                     uint32_t value)
{
    char name[16];
    int n = snprintf(name, sizeof name, "key%d", key);
    oz_sealed_row(sealed, entity, partition, name, (uint32_t)n, 1);
    if (value) {
        oz_buf_put(oz_sealed_begin(sealed, 0, NULL), &value, sizeof value);
        assert_int_equal(oz_sealed_end(sealed, NULL), OZ_OK);
    } else {
        assert_int_equal(oz_sealed_delete(sealed, 0, NULL), OZ_OK);
    }
}

static bool nothing_committed(const struct engine *e, int p)
{
    return e->committed.source[p * SOURCES] == OZ_NO_OFFSET &&
           e->committed.source[p * SOURCES + 1] == OZ_NO_OFFSET;
}

static bool is_fresh(const struct engine *e) { return e->replayed[0] == OZ_REPLAYED_FRESH; }

/* Steps 1 and 2: events move sources on and change parts, some of them to nothing. */
static void work(struct engine *e, struct oz_sealed *sealed, uint64_t n_min)
{
    oz_sealed_reset(sealed);
    for (int p = 0; p < FAKE_PARTITIONS; p++) /* a partition's first transaction has its meta */
        for (uint32_t i = 0; e->owned[p] && nothing_committed(e, p) && i < FAKE_ENTITIES; i++)
            assert_int_equal(
                e->fake.base.produce_meta(&e->fake, i, (uint32_t)p, META, sizeof META - 1, NULL),
                OZ_OK);
    for (uint64_t n = n_min + next_random(&e->seed) % 20; n; n--) {
        uint64_t r = next_random(&e->seed);
        uint8_t entity = r % FAKE_ENTITIES;
        uint32_t partition = (uint32_t)(r >> 8) % FAKE_PARTITIONS;
        int key = (int)((r >> 16) % KEYS);
        if (!e->owned[partition]) continue;
        uint32_t value = r >> 40 & 7 ? (uint32_t)(r >> 32) | 1 : 0;
        int64_t *offset = &e->now.source[partition * SOURCES + (r >> 60) % SOURCES];
        e->now.value[entity][partition][key] = value;
        put_part(sealed, entity, partition, key, value);
        *offset = *offset == OZ_NO_OFFSET ? 10 : *offset + 1;
    }
    assert_int_equal(e->fake.base.produce(&e->fake, sealed, NULL), OZ_OK);
}

static void commit_is_done(struct engine *e)
{
    e->last_commit = e->now;
    memcpy(e->committed.source, e->now.source, sizeof e->now.source);
}

static void to_store(struct engine *e, const struct oz_sealed *const *due, size_t n)
{
    assert_int_equal(e->fake.base.ends(&e->fake, &e->pos, NULL), OZ_OK);
    memcpy(e->pos.source, e->last_commit.source, sizeof e->last_commit.source);
    for (uint32_t p = 0; p < FAKE_PARTITIONS; p++)
        if (!e->owned[p]) oz_positions_forget(&e->pos, p);
    e->pos.epoch++;
    e->pos.time_us = oz_wall_us();
    assert_int_equal(oz_store_write(e->store, due, n, &e->pos, NULL), OZ_OK);
}

struct seen {
    const struct table *table;
    const bool *owned;
    size_t n;
};

static bool compare_one(void *ctx, struct oz_bytes key, struct oz_bytes value)
{
    struct seen *seen = ctx;
    if (key.len <= OZ_STORE_KEY_HEAD_BYTES || !seen->owned[key.data[1]]) return true;
    const char *name;
    uint32_t name_len, part, stored;
    int number;
    assert_int_equal(oz_part_key_parse(key.data + 3, key.len - 3, &name, &name_len, &part, 0), 0);
    assert_int_equal(sscanf(name, "key%d", &number), 1);
    const uint8_t *payload;
    size_t len;
    assert_int_equal(oz_part_open(value.data, value.len, 1, &payload, &len, NULL), OZ_OK);
    assert_int_equal(len, sizeof stored);
    memcpy(&stored, payload, sizeof stored);
    assert_int_equal(stored, seen->table->value[key.data[2]][key.data[1]][number]);
    assert_true(stored != 0);
    seen->n++;
    return true;
}

static void check(struct engine *e)
{
    size_t n = 0;
    for (int i = 0; i < FAKE_ENTITIES * FAKE_PARTITIONS * KEYS; i++)
        n += e->owned[i / KEYS % FAKE_PARTITIONS] && (&e->last_commit.value[0][0][0])[i] != 0;
    struct seen seen = {&e->last_commit, e->owned, 0};
    assert_int_equal(oz_store_scan(e->store, compare_one, &seen, NULL), OZ_OK);
    assert_int_equal(seen.n, n);
    struct oz_positions stored;
    bool found;
    assert_int_equal(oz_positions_init(&stored, FAKE_PARTITIONS, SOURCES, FAKE_ENTITIES, 0), OZ_OK);
    assert_int_equal(oz_store_positions(e->store, &stored, &found, NULL), OZ_OK);
    assert_true(found);
    for (uint32_t p = 0; p < FAKE_PARTITIONS; p++) {
        assert_int_equal(oz_positions_has(&e->pos, p), e->owned[p]);
        for (uint32_t s = 0; e->owned[p] && s < SOURCES; s++) {
            assert_int_equal(e->pos.source[p * SOURCES + s],
                             e->last_commit.source[p * SOURCES + s]);
            assert_int_equal(stored.source[p * SOURCES + s], e->pos.source[p * SOURCES + s]);
        }
        for (uint32_t i = 0; e->owned[p] && i < FAKE_ENTITIES; i++)
            assert_int_equal(stored.changelog[p * FAKE_ENTITIES + i],
                             e->pos.changelog[p * FAKE_ENTITIES + i]);
    }
    oz_positions_clear(&stored);
}

/* Runs epochs until the process dies somewhere. Step 5 follows some commits later. */
static void run_until_death(struct engine *e)
{
    static struct oz_sealed due[8];
    const struct oz_sealed *list[8] = {&due[0], &due[1], &due[2], &due[3],
                                       &due[4], &due[5], &due[6], &due[7]};
    size_t n_due = 0;
    bool alive = true;
    while (alive) {
        work(e, &due[n_due], 0);
        switch (next_random(&e->seed) % 10) {
        case 0: /* an abort, and on */
            fake_end(&e->fake, false);
            e->now = e->last_commit;
            break;
        case 1: /* dies with the transaction open: the next start of the producer ends it */
            fake_end(&e->fake, false);
            alive = false;
            break;
        case 2: /* dies after the commit was sent; it goes through, and becomes visible later */
            e->fake.outcome_in_doubt = e->fake.outcome = true;
            commit_is_done(e);
            alive = false;
            break;
        case 3: /* dies between commit and store */
            fake_end(&e->fake, true);
            commit_is_done(e);
            alive = false;
            break;
        default:
            fake_end(&e->fake, true);
            commit_is_done(e);
            if (++n_due < 8 && next_random(&e->seed) % 3) break;
            to_store(e, list, n_due);
            n_due = 0;
            alive = next_random(&e->seed) % 6 != 0;
        }
    }
    for (int i = 0; i < 8; i++) oz_sealed_clear(&due[i]);
}

/* A start must find what is committed, in whatever folder: its own, an older one of before other
 * starts, or none. Some partitions are another process's. */
static void start_in(struct engine *e, bool shares)
{
    for (int p = 0; p < FAKE_PARTITIONS; p++) e->owned[p] = !shares || next_random(&e->seed) % 2;
    if (shares && e->fake.outcome_in_doubt) { /* of a producer that may not be followed by itself */
        fake_end(&e->fake, e->fake.outcome);
        e->fake.outcome_in_doubt = false;
    }
    must_start(e);
    for (int p = 0; p < FAKE_PARTITIONS; p++)
        assert_int_equal(e->replayed[p] == OZ_REPLAYED_FRESH,
                         e->owned[p] && nothing_committed(e, p));
    assert_int_equal(e->n_left, 0);
    if (e->owned[0] || e->owned[1] || e->owned[2]) check(e);
    e->now = e->last_commit;
}

static void test_any_death(void **state)
{
    (void)state;
    static struct engine e;
    uint64_t n_records = 0, n_waits = 0, n_rebuilt = 0;
    char other[sizeof e.dir], dir[sizeof e.dir];
    for (uint64_t seed = 1; seed <= 18; seed++) {
        int folders = (int)(seed % 3); /* one for ever; one that gets lost; two by turns */
        engine_init(&e, seed);
        scratch_make(other);
        for (int round = 0; round < 15; round++) {
            if (folders == 1 && round % 4 == 3) scratch_remove(e.dir);
            if (folders == 2 && next_random(&e.seed) % 2) {
                memcpy(dir, e.dir, sizeof dir);
                memcpy(e.dir, other, sizeof dir);
                memcpy(other, dir, sizeof dir);
            }
            start_in(&e, folders == 2);
            n_records += e.result.n_records;
            n_rebuilt += e.result.n_rebuilt;
            run_until_death(&e);
            engine_stop(&e);
        }
        start_in(&e, false);
        n_waits += e.fake.n_waits;
        engine_clear(&e);
        scratch_remove(other);
    }
    assert_true(n_records > 3000 && n_waits > 3 && n_rebuilt > 20);
    printf("%llu records replayed, %llu partitions rebuilt\n", (unsigned long long)n_records,
           (unsigned long long)n_rebuilt);
}

/* At least once reads nothing: the store's own offsets count. */
static void test_at_least_once(void **state)
{
    (void)state;
    static struct engine e;
    struct oz_sealed sealed = {0};
    const struct oz_sealed *one = &sealed;
    engine_init(&e, 5);
    e.options.exactly_once = false;
    must_start(&e);
    assert_true(is_fresh(&e));
    work(&e, &sealed, 5);
    fake_end(&e.fake, true);
    e.last_commit = e.now; /* acknowledged and stored, the group's offsets not yet committed */
    to_store(&e, &one, 1);
    engine_stop(&e);
    must_start(&e);
    assert_false(is_fresh(&e));
    assert_int_equal(e.result.n_records, 0);
    assert_int_equal(e.fake.n_visited, 0);
    assert_memory_equal(e.pos.source, e.now.source, sizeof e.now.source);
    assert_int_equal(oz_replay(e.store, NULL, &e.committed, &e.options, &e.pos, &e.result, NULL),
                     OZ_OK);
    assert_memory_equal(e.pos.source, e.now.source, sizeof e.now.source);
    oz_sealed_clear(&sealed);
    engine_clear(&e);
}

/* A long tail goes in by batches; a fault or a stop in between leaves a store that the next start
 * goes on from, without reading again what is in. */
static void test_in_between(void **state)
{
    (void)state;
    static struct engine e;
    struct oz_sealed sealed = {0};
    engine_init(&e, 9);
    must_start(&e);
    int rounds = 0;
    for (uint64_t n = 0; n < 3 * OZ_REPLAY_BATCH_RECORDS; n += sealed.n_parts, rounds++)
        work(&e, &sealed, 500);
    fake_end(&e.fake, true);
    commit_is_done(&e);
    engine_stop(&e);
    assert_int_equal(oz_fault_setup("replay-part:2=fail", NULL), OZ_OK);
    struct oz_error err;
    assert_int_equal(engine_start(&e, &err), OZ_IO);
    assert_int_equal(oz_fault_setup(NULL, NULL), OZ_OK);
    struct oz_positions stored;
    bool found;
    assert_int_equal(oz_positions_init(&stored, FAKE_PARTITIONS, SOURCES, FAKE_ENTITIES, 0), OZ_OK);
    assert_int_equal(oz_store_positions(e.store, &stored, &found, NULL), OZ_OK);
    int64_t done = 0;
    for (int i = 0; i < FAKE_PARTITIONS * FAKE_ENTITIES; i++) done += stored.changelog[i];
    /* Offsets: of the rows, and of a meta record a log and round. */
    assert_in_range(done, OZ_REPLAY_BATCH_RECORDS,
                    OZ_REPLAY_BATCH_RECORDS + FAKE_PARTITIONS * FAKE_ENTITIES * rounds);
    assert_int_equal(stored.source[0], OZ_NO_OFFSET); /* not moved before all is in */
    oz_positions_clear(&stored);
    engine_stop(&e);
    must_start(&e);
    check(&e);
    assert_true(e.result.n_records < 2 * OZ_REPLAY_BATCH_RECORDS + 520);
    assert_true(e.n_progress >= 4);
    oz_sealed_clear(&sealed);
    engine_clear(&e);
}

/* A store that stands at some commits, three of them. */
static void engine_with_state(struct engine *e)
{
    struct oz_sealed sealed = {0};
    const struct oz_sealed *one = &sealed;
    engine_init(e, 21);
    must_start(e);
    for (int i = 0; i < 3; i++) {
        work(e, &sealed, 15);
        fake_end(&e->fake, true);
        commit_is_done(e);
        to_store(e, &one, 1);
    }
    oz_sealed_clear(&sealed);
    must_start(e);
}

static void refused(struct engine *e, enum oz_status status, const char *words)
{
    struct oz_error err = {0};
    assert_int_equal(engine_start(e, &err), status);
    if (!strstr(err.message, words)) fail_msg("no '%s' in: %s", words, err.message);
}

static void test_refusals(void **state)
{
    (void)state;
    static struct engine e;
    engine_with_state(&e);

    strcpy(e.meta, "U:x");
    refused(&e, OZ_STATE, "the pipeline was `T`");
    refused(&e, OZ_STATE, "another definition");
    refused(&e, OZ_STATE, e.dir);
    strcpy(e.meta, META);

    e.committed.source[3] -= 1;
    refused(&e, OZ_STATE, "labels partition 1");
    refused(&e, OZ_STATE, "is ahead of the consumer group");
    e.committed.source[3] = OZ_NO_OFFSET;
    refused(&e, OZ_STATE, "no committed offset there");
    e.committed.source[3] = e.last_commit.source[3];

    /* Outside of the changelog: one partition is rebuilt, where the whole of it is there. */
    must_start(&e);
    e.fake.log[1][2].begin = e.pos.changelog[5] + 1;
    refused(&e, OZ_LOST, "changelog of terminal, which begins only at offset");
    e.fake.log[1][2].begin = 0;
    must_start(&e);
    assert_int_equal(e.result.n_rebuilt, 0); /* a refusal wipes nothing */
    e.fake.log[0][1].n--;                    /* the marker of the last transaction */
    must_start(&e);
    assert_int_equal(e.replayed[1], OZ_REPLAYED_WHOLE);
    assert_int_equal(e.result.n_rebuilt, 1);
    check(&e);
    e.fake.log[0][1].n++;
    uint64_t n_kept = e.fake.log[0][1].n;
    e.fake.log[0][1].n = 0; /* made anew: its rows are nowhere */
    refused(&e, OZ_LOST, "changelog of customer does not have its rows");
    e.fake.log[0][1].n = n_kept;

    must_start(&e);
    fake_append(&e.fake.log[0][0], FAKE_OPEN, "", 0, "",
                0); /* somebody else's, and it stays open */
    refused(&e, OZ_BROKER, "waits for a transaction");
    e.fake.log[0][0].record[e.fake.log[0][0].n - 1].kind = FAKE_ABORTED;
    e.options.delete_retention_us = INT64_C(3600000000);
    must_start(&e);

    /* Old, with a tail, and nothing committed since: it has seen all that there was. */
    fake_append(&e.fake.log[0][0], FAKE_MARKER, "", 0, "", 0);
    oz_wall_hold(oz_wall_us() + 3 * INT64_C(3600000000));
    must_start(&e);
    assert_int_equal(e.result.n_rebuilt, 0);
    check(&e);
    /* Old and behind, be it in another partition: deletes may be gone, rebuilt. */
    oz_wall_hold(oz_wall_us() + 3 * INT64_C(3600000000));
    e.committed.source[5] = ++e.last_commit.source[5];
    must_start(&e);
    for (uint32_t p = 0; p < 3; p++) assert_int_equal(e.replayed[p], OZ_REPLAYED_WHOLE);
    assert_int_equal(e.result.n_rebuilt, 3);
    check(&e);
    oz_wall_hold(OZ_WALL_REAL);
    must_start(&e);
    assert_int_equal(e.result.n_rebuilt, 0);

    static const uint8_t good_key[] = {0, 1, 'k', 0, 0, 0, 0}, bad_key[] = {0, 9, 'k', 0, 0, 0, 0};
    fake_append(&e.fake.log[1][0], FAKE_COMMITTED, bad_key, sizeof bad_key, NULL, 0);
    refused(&e, OZ_CORRUPT, "changelog of terminal, partition 0, offset");
    e.fake.log[1][0].n--;
    free(e.fake.log[1][0].record[e.fake.log[1][0].n].key);
    fake_append(&e.fake.log[1][0], FAKE_COMMITTED, good_key, sizeof good_key, "123456789", 9);
    refused(&e, OZ_CORRUPT, "checksum");
    e.fake.log[1][0].record[e.fake.log[1][0].n - 1].kind = FAKE_ABORTED;
    must_start(&e);
    engine_clear(&e);
}

/* A meta record in the changelog's tail is in the store before the parts behind it are: a start
 * that is killed there does not read it again. */
static void test_meta_is_learned(void **state)
{
    (void)state;
    static struct engine e;
    struct oz_sealed sealed = {0};
    engine_with_state(&e);
    stored_meta_is(&e, "T:x");
    assert_int_equal(e.fake.base.produce_meta(&e.fake, 1, 2, "T:xy", 4, NULL), OZ_OK);
    work(&e, &sealed, 10);
    fake_end(&e.fake, true);
    commit_is_done(&e);
    strcpy(e.meta, "T:z"); /* a new definition: it knows what is stored, then what is in the tail */
    must_start(&e);
    stored_meta_is(&e, "T:zxy");
    check(&e);
    engine_stop(&e);
    strcpy(e.meta, "T:z");
    must_start(&e);
    assert_int_equal(e.result.n_records, 0);
    assert_string_equal(e.meta, "T:zxy");
    oz_sealed_clear(&sealed);
    engine_clear(&e);
}

static void test_empty_store(void **state)
{
    (void)state;
    static struct engine e;
    engine_with_state(&e);
    engine_stop(&e);
    scratch_remove(e.dir);
    e.options.exactly_once = false;
    refused(&e, OZ_STATE, "is empty (partition 0): at least once cannot rebuild it");
    e.options.exactly_once = true;
    must_start(&e);
    assert_int_equal(e.result.n_rebuilt, FAKE_PARTITIONS);
    check(&e);
    engine_stop(&e);

    scratch_remove(e.dir);
    strcpy(e.meta, "U:x");
    refused(&e, OZ_STATE, "made by another definition");
    refused(&e, OZ_STATE, "the changelog of customer, partition 0, offset");
    strcpy(e.meta, META);
    engine_stop(&e);
    scratch_remove(e.dir);
    for (int i = 0; i < FAKE_PARTITIONS * SOURCES; i++) e.committed.source[i] = OZ_NO_OFFSET;
    refused(&e, OZ_STATE, "the changelog of customer has rows in partition 0");
    assert_true(e.fake.n_visited > 0);

    /* Aborted records and meta are nobody's rows. */
    fake_clear(&e.fake);
    fake_init(&e.fake);
    struct oz_sealed sealed = {0};
    work(&e, &sealed, 15);
    fake_end(&e.fake, false);
    assert_int_equal(e.fake.base.produce_meta(&e.fake, 1, 0, "{}", 2, NULL), OZ_OK);
    fake_end(&e.fake, true);
    must_start(&e);
    assert_true(is_fresh(&e));

    /* Rows without offsets are nobody's. */
    engine_stop(&e);
    scratch_remove(e.dir);
    assert_int_equal(oz_store_open(e.dir, MEMORY, false, &e.store, NULL), OZ_OK);
    const struct oz_sealed *one = &sealed;
    bool has_rows;
    assert_int_equal(oz_store_write(e.store, &one, 1, NULL, NULL), OZ_OK);
    must_start(&e);
    assert_int_equal(oz_store_has_rows(e.store, &has_rows, NULL), OZ_OK);
    assert_false(has_rows);
    oz_sealed_clear(&sealed);
    engine_clear(&e);
}

static bool say_stop(void *ctx, uint64_t n_done, uint64_t n_left)
{
    (void)ctx, (void)n_done, (void)n_left;
    return false;
}

static void test_stop(void **state)
{
    (void)state;
    static struct engine e;
    engine_with_state(&e);
    e.options.progress = say_stop;
    struct oz_error err;
    assert_int_equal(engine_start(&e, &err), OZ_RETRY);
    e.options.progress = NULL;
    must_start(&e);
    check(&e);
    engine_clear(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_death),   cmocka_unit_test(test_at_least_once),
        cmocka_unit_test(test_in_between),  cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_empty_store), cmocka_unit_test(test_meta_is_learned),
        cmocka_unit_test(test_stop)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
