/* Proves that the batch path makes no allocation of ours once it is warm, with keys that are new,
 * keys that were evicted and are read from the store again, late events, labels and dead letters
 * among them: it counts the calls of base/memory.h over many batches, seals and store writes. And
 * that the outputs of a stream are the same bytes for one worker and three, and for other batch
 * sizes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/folder.h"
#include "base/hash.h"
#include "base/instant.h"
#include "pipelines/run/ledger.h"
#include "pipelines/run/outputs.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { COUNTED_BATCHES = 40, CUT_RECORDS = 3000 };
#else
enum { COUNTED_BATCHES = 200, CUT_RECORDS = 20000 };
#endif
enum { ROWS = 512, WARM_BATCHES = 3 * COUNTED_BATCHES, SEAL_EVERY = 4 };
enum { CARDS_AT_ONCE = 3000, CARDS_MOVE = 60, LINE_BYTES = 200 };
#define PIPELINE "tests/unit/pipelines/engine/pipeline.yaml"

struct bench {
    char dir[64];
    struct oz_program *prg;
    struct oz_store *store;
    struct oz_engine *engine;
    struct oz_outputs *outputs;
    struct oz_outbox box;
    struct oz_ledger *ledger;
    struct oz_buf ledger_record;
    struct oz_sealed *sealed;
    struct oz_record record[ROWS];
    char line[ROWS][LINE_BYTES], key[ROWS][24];
    uint64_t n; /* records made */
};

static uint64_t mix(uint64_t x)
{
    x += 0x9E3779B97F4A7C15ull;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ x >> 27) * 0x94D049BB133111EBull;
    return x ^ x >> 31;
}

/* Record i of the stream, always the same: a window of cards that moves on, so that new keys keep
 * coming, and now and then an old one. */
static void make_record(struct bench *b, size_t slot)
{
    uint64_t i = b->n++, r = mix(i);
    struct oz_record *rec = &b->record[slot];
    uint64_t card = i / ROWS * CARDS_MOVE + r % CARDS_AT_ONCE;
    if (r >> 20 & 15) card = card * (r >> 24 & 1) + (card - card / 3) * !(r >> 24 & 1);
    int64_t second = 1500000000 + (int64_t)i * 3 - (r >> 40 & 63 ? 0 : (int64_t)(r >> 46 & 1023));
    bool label = (r >> 32 & 15) == 0;
    int key_len = snprintf(b->key[slot], sizeof b->key[slot], "c%08llu", (unsigned long long)card);
    int len = snprintf(b->line[slot], LINE_BYTES,
                       "{\"id\":%08llu,\"at\":\"%s\",\"card\":\"%s\",\"shop\":\"s%04llu\",",
                       (unsigned long long)i + 10000000, "2017-07-14T02:40:00Z", b->key[slot],
                       (unsigned long long)(r >> 8 & 1023));
    /* The time as text, by the library's own writer, which has tests of its own. */
    char at[OZ_INSTANT_BYTES_MAX];
    oz_format_instant(at, second * 1000000);
    memcpy(strstr(b->line[slot], "2017"), at, 19);
    snprintf(b->line[slot] + len, LINE_BYTES - (size_t)len,
             label ? "\"fraud\":%s}" : "\"amount\":%s}",
             label                  ? (r & 1 ? "true" : "false")
             : (r >> 12 & 255) == 0 ? "\"x\""
             : (r & 7)              ? "12.25"
                                    : "95.5");
    *rec = (struct oz_record){
        .source = label,
        .partition = (uint32_t)(oz_hash64(b->key[slot], (size_t)key_len) % 4),
        .offset = (int64_t)i,
        .timestamp_ms = second * 1000,
        .key = b->key[slot],
        .key_len = (uint32_t)key_len,
        .value = b->line[slot],
        .value_len = (uint32_t)strlen(b->line[slot]),
    };
}

static void set_up(struct bench *b, uint32_t n_workers, size_t memory)
{
    struct oz_error err = {0};
    struct oz_mistakes mistakes = {0};
    memset(b, 0, sizeof *b);
    strcpy(b->dir, "/tmp/ouzel-engine-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    if (oz_program_load(PIPELINE, NULL, 0, 0, &b->prg, &mistakes, &err) != OZ_OK)
        fail_msg("%s\n%s", err.message, oz_buf_string(&mistakes.text));
    assert_int_equal(oz_store_open(b->dir, 16 << 20, false, &b->store, &err), OZ_OK);
    struct oz_engine_config config = {.program = b->prg,
                                      .store = b->store,
                                      .n_workers = n_workers,
                                      .n_partitions = 4,
                                      .rows_memory_bytes = memory};
    assert_int_equal(oz_engine_new(&config, &b->engine, &err), OZ_OK);
    struct oz_outputs_config out = {.program = b->prg,
                                    .engine = b->engine,
                                    .scores = {0, 4},
                                    .alerts = {1, 4},
                                    .dead_letters = {2, 4}};
    assert_int_equal(oz_outputs_new(&out, &b->outputs, &err), OZ_OK);
    assert_int_equal(oz_outbox_init(&b->box, n_workers, &err), OZ_OK);
    assert_int_equal(oz_ledger_new(b->prg, 4, 1000000, &b->ledger, &err), OZ_OK);
    b->sealed = oz_calloc(n_workers, sizeof *b->sealed);
    for (uint32_t w = 0; w < n_workers; w++) oz_sealed_init(&b->sealed[w]);
}

static void tear_down(struct bench *b)
{
    for (uint32_t w = 0; w < oz_engine_n_workers(b->engine); w++) oz_sealed_clear(&b->sealed[w]);
    oz_free(b->sealed);
    oz_outbox_clear(&b->box);
    oz_ledger_free(b->ledger);
    oz_buf_clear(&b->ledger_record);
    oz_outputs_free(b->outputs);
    oz_engine_free(b->engine);
    oz_store_close(b->store);
    oz_program_free(b->prg);
    oz_folder_remove(b->dir);
}

static void do_batch(struct bench *b, size_t n)
{
    struct oz_error err = {0};
    struct oz_batch *bat;
    for (size_t i = 0; i < n; i++) make_record(b, i);
    if (oz_engine_batch(b->engine, b->record, n, NULL, &bat, &err) != OZ_OK)
        fail_msg("%s", err.message);
    assert_int_equal(oz_outputs_make(b->outputs, bat, &b->box, &err), OZ_OK);
    oz_ledger_batch(b->ledger, b->record, n, 1532513472000000);
    oz_ledger_outputs(b->ledger, &b->box);
}

static void seal_and_store(struct bench *b)
{
    struct oz_error err = {0};
    size_t parts;
    const struct oz_sealed *sealed[8];
    uint64_t epoch = oz_engine_epoch(b->engine);
    assert_int_equal(oz_engine_seal(b->engine, b->sealed, &parts, &err), OZ_OK);
    assert_int_equal(oz_ledger_seal(b->ledger, epoch, parts, &b->ledger_record, &err), OZ_OK);
    assert_int_equal(oz_ledger_close(b->prg, &b->ledger_record, epoch - 1, NULL, &err), OZ_OK);
    for (uint32_t w = 0; w < oz_engine_n_workers(b->engine); w++) sealed[w] = &b->sealed[w];
    if (oz_store_write(b->store, sealed, oz_engine_n_workers(b->engine), NULL, &err) != OZ_OK)
        fail_msg("%s", err.message);
    oz_engine_stored(b->engine, epoch);
}

static void no_allocation_when_warm(void **state)
{
    (void)state;
    static struct bench b;
    struct oz_engine_stats stats;
    set_up(&b, 2, 24 << 20);
    for (int k = 0; k < WARM_BATCHES; k++) {
        do_batch(&b, ROWS);
        if (k % SEAL_EVERY == 0 || oz_engine_wants_seal(b.engine)) seal_and_store(&b);
    }
    oz_engine_get_stats(b.engine, &stats);
    struct oz_engine_stats before = stats;
    uint64_t allocations = oz_allocations(), worst = 0;
    for (int k = 0; k < COUNTED_BATCHES; k++) {
        do_batch(&b, ROWS);
        if (k % SEAL_EVERY == 0 || oz_engine_wants_seal(b.engine)) seal_and_store(&b);
    }
    worst = oz_allocations() - allocations;
    oz_engine_get_stats(b.engine, &stats);
    print_message(
        "%d batches of %d: %llu allocations, %llu rows made, %llu read again, %llu evicted, "
        "%llu dead, %llu late\n",
        COUNTED_BATCHES, ROWS, (unsigned long long)worst,
        (unsigned long long)(stats.rows_created - before.rows_created),
        (unsigned long long)(stats.row_misses - before.row_misses),
        (unsigned long long)(stats.rows_evicted - before.rows_evicted),
        (unsigned long long)(stats.dead - before.dead),
        (unsigned long long)(stats.late_events - before.late_events));
    assert_true(stats.rows_created > before.rows_created);
    assert_true(stats.rows_evicted > before.rows_evicted);
    assert_true(stats.row_misses > before.row_misses);
    assert_true(stats.dead > before.dead);
    assert_true(stats.late_events > before.late_events);
    assert_int_equal(worst, 0);
    tear_down(&b);
}

/* The digest of everything that a stream of `total` records says, with batches of `rows`. */
static void digest_of(uint32_t n_workers, size_t rows, size_t memory, size_t total, char hex[65])
{
    static struct bench b;
    struct oz_buf all;
    oz_buf_init(&all);
    set_up(&b, n_workers, memory);
    for (size_t done = 0, k = 0; done < total; k++) {
        size_t n = OZ_MIN(rows, total - done);
        do_batch(&b, n);
        done += n;
        for (uint32_t w = 0; w < n_workers; w++)
            for (size_t i = 0; i < b.box.part[w].n; i++) {
                const struct oz_out *out = &b.box.part[w].out[i];
                oz_buf_printf(&all, "%u %d %lld ", out->topic, out->partition,
                              (long long)out->timestamp_ms);
                oz_buf_put(&all, b.box.part[w].bytes.data + out->value_at, out->value_len);
                oz_buf_put_u8(&all, '\n');
            }
        if (k % 7 == 0) seal_and_store(&b);
    }
    assert_false(all.failed);
    oz_sha256_hex(all.data, all.len, hex);
    oz_buf_clear(&all);
    tear_down(&b);
}

static void same_bytes_for_any_cut(void **state)
{
    (void)state;
    char want[65], got[65];
    static const struct {
        uint32_t workers;
        size_t rows, memory;
    } other[] = {{3, 512, 64 << 20}, {1, 7, 64 << 20}, {2, 100, 2 << 20}, {1, 1, 64 << 20}};
    digest_of(1, 512, 64 << 20, CUT_RECORDS, want);
    for (size_t k = 0; k < OZ_COUNT_OF(other); k++) {
        digest_of(other[k].workers, other[k].rows, other[k].memory, CUT_RECORDS, got);
        assert_string_equal(got, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_allocation_when_warm),
        cmocka_unit_test(same_bytes_for_any_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
