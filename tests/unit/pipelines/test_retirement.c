/* Proves that retirement goes through the engine like any other change: rows past use leave the
 * store with an epoch, all of them within some rounds and never more at once than a step may take;
 * rows of other processes' partitions stay; an abort brings them back and knows the clock again
 * from the stored rows; a key that comes back in the very epoch of its retirement has one row with
 * its new event only; and a second engine that retires nothing gives the same outputs to the byte.
 * How: two engines over stores of their own take the same records; rows are counted by a scan. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/hash.h"
#include "base/instant.h"
#include "pipelines/run/outputs.h"
#include "pipelines/run/retirement.h"

enum { ROWS = 512, CARDS = 3000, PARTITIONS = 4, LINE_BYTES = 200, WORKERS = 2 };
enum { STEP_ROWS_MAX = 256 };
#define PIPELINE "tests/unit/pipelines/engine/pipeline.yaml"
#define BEGIN_US INT64_C(1500000000000000)

struct world {
    char dir[64];
    struct oz_program *prg;
    struct oz_store *store;
    struct oz_engine *engine;
    struct oz_outputs *outputs;
    struct oz_outbox box;
    struct oz_retirement *retirement;
    struct oz_sealed sealed[WORKERS];
    struct oz_buf said; /* every output */
};

static struct oz_record record[ROWS];
static char line[ROWS][LINE_BYTES], key[ROWS][24];
static uint64_t n_made;
static struct oz_error err;

static void set_up(struct world *w, uint32_t rows_per_s)
{
    struct oz_mistakes mistakes = {0};
    memset(w, 0, sizeof *w);
    strcpy(w->dir, "/tmp/ouzel-retire-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    if (oz_program_load(PIPELINE, NULL, 0, 0, &w->prg, &mistakes, &err) != OZ_OK)
        fail_msg("%s\n%s", err.message, oz_buf_string(&mistakes.text));
    assert_int_equal(oz_store_open(w->dir, 16 << 20, false, &w->store, &err), OZ_OK);
    struct oz_engine_config config = {.program = w->prg,
                                      .store = w->store,
                                      .n_workers = WORKERS,
                                      .n_partitions = PARTITIONS,
                                      .rows_memory_bytes = 16 << 20};
    assert_int_equal(oz_engine_new(&config, &w->engine, &err), OZ_OK);
    struct oz_outputs_config out = {.program = w->prg,
                                    .engine = w->engine,
                                    .scores = {0, PARTITIONS},
                                    .alerts = {1, PARTITIONS},
                                    .dead_letters = {2, PARTITIONS}};
    assert_int_equal(oz_outputs_new(&out, &w->outputs, &err), OZ_OK);
    assert_int_equal(oz_outbox_init(&w->box, WORKERS, &err), OZ_OK);
    for (int i = 0; i < WORKERS; i++) oz_sealed_init(&w->sealed[i]);
    oz_buf_init(&w->said);
    struct oz_retirement_config retirement = {.program = w->prg,
                                              .engine = w->engine,
                                              .store = w->store,
                                              .n_partitions = PARTITIONS,
                                              .rows_per_s = rows_per_s,
                                              .rest_us = 1000};
    if (rows_per_s) assert_int_equal(oz_retirement_new(&retirement, &w->retirement, &err), OZ_OK);
}

static void tear_down(struct world *w)
{
    oz_retirement_free(w->retirement);
    for (int i = 0; i < WORKERS; i++) oz_sealed_clear(&w->sealed[i]);
    oz_buf_clear(&w->said);
    oz_outbox_clear(&w->box);
    oz_outputs_free(w->outputs);
    oz_engine_free(w->engine);
    oz_store_close(w->store);
    oz_program_free(w->prg);
    oz_folder_remove(w->dir);
}

static void make_record(size_t slot, uint32_t card, uint32_t shop, int64_t at_us)
{
    char at[OZ_INSTANT_BYTES_MAX];
    oz_format_instant(at, at_us);
    int key_len = snprintf(key[slot], sizeof key[slot], "c%u", card);
    int len =
        snprintf(line[slot], LINE_BYTES,
                 "{\"id\":%llu,\"at\":\"%s\",\"card\":\"c%u\",\"shop\":\"s%u\",\"amount\":%u}",
                 (unsigned long long)n_made, at, card, shop, 50 + card % 60);
    record[slot] = (struct oz_record){
        .partition = oz_murmur2_partition(key[slot], (size_t)key_len, PARTITIONS),
        .offset = (int64_t)n_made++,
        .timestamp_ms = at_us / 1000,
        .key = key[slot],
        .key_len = (uint32_t)key_len,
        .value = line[slot],
        .value_len = (uint32_t)len,
    };
}

static void do_batch(struct world *w, size_t n)
{
    struct oz_batch *bat;
    if (oz_engine_batch(w->engine, record, n, NULL, &bat, &err) != OZ_OK)
        fail_msg("%s", err.message);
    assert_int_equal(oz_outputs_make(w->outputs, bat, &w->box, &err), OZ_OK);
    for (uint32_t i = 0; i < w->box.n_parts; i++)
        oz_buf_put(&w->said, w->box.part[i].bytes.data, w->box.part[i].bytes.len);
    oz_retirement_batch(w->retirement, bat);
}

static void seal_and_store(struct world *w)
{
    size_t parts;
    const struct oz_sealed *sealed[WORKERS];
    uint64_t epoch = oz_engine_epoch(w->engine);
    assert_int_equal(oz_engine_seal(w->engine, w->sealed, &parts, &err), OZ_OK);
    for (int i = 0; i < WORKERS; i++) sealed[i] = &w->sealed[i];
    assert_int_equal(oz_store_write(w->store, sealed, WORKERS, NULL, &err), OZ_OK);
    oz_engine_stored(w->engine, epoch);
}

/* Every card and shop once, within a minute. */
static void everybody(struct world *w, int64_t at_us)
{
    for (uint32_t c = 0; c < CARDS; c += ROWS) {
        size_t n = OZ_MIN((size_t)ROWS, (size_t)(CARDS - c));
        for (uint32_t i = 0; i < n; i++)
            make_record(i, c + i, (c + i) % 100, at_us + (c + i) * INT64_C(20000));
        do_batch(w, n);
        seal_and_store(w);
    }
}

/* A few cards and shops, some in each partition. */
static void few(struct world *w, int64_t at_us)
{
    for (uint32_t i = 0; i < 40; i++) make_record(i, 100000 + i, 1000 + i, at_us);
    do_batch(w, 40);
    seal_and_store(w);
}

struct counts {
    size_t in[PARTITIONS], all;
};

static bool count_row(void *ctx, struct oz_bytes k, struct oz_bytes v)
{
    struct counts *n = ctx;
    (void)v;
    if (k.len > OZ_STORE_KEY_HEAD_BYTES) n->in[k.data[1]]++, n->all++;
    return true;
}

static struct counts stored(struct world *w)
{
    struct counts n = {0};
    assert_int_equal(oz_store_scan(w->store, count_row, &n, &err), OZ_OK);
    return n;
}

static uint64_t retired(const struct world *w)
{
    struct oz_retirement_stats stats;
    oz_retirement_get_stats(w->retirement, &stats);
    return stats.rows;
}

static void step(struct world *w, const bool *owned)
{
    bool changed;
    uint64_t before = retired(w);
    assert_int_equal(oz_retirement_step(w->retirement, owned, &changed, &err), OZ_OK);
    assert_int_equal(changed, retired(w) > before);
    assert_true(retired(w) - before <= STEP_ROWS_MAX);
    if (changed) seal_and_store(w);
    usleep(200);
}

static void rows_leave_and_come_back(void **state)
{
    (void)state;
    static struct world w, kept;
    const bool owned[PARTITIONS] = {true, false, true, true};
    const int64_t later_us = BEGIN_US + 9 * OZ_US_PER_DAY;
    set_up(&w, 1000000);
    set_up(&kept, 0);
    everybody(&w, BEGIN_US);
    few(&w, BEGIN_US + OZ_US_PER_DAY);
    struct counts before = stored(&w), now;
    for (int i = 0; i < 500; i++) step(&w, owned);
    assert_int_equal(retired(&w), 0);
    assert_int_equal(stored(&w).all, before.all);

    few(&w, later_us);
    do step(&w, owned), now = stored(&w);
    while (now.in[0] + now.in[2] + now.in[3] > 80);
    assert_int_equal(now.in[1], before.in[1]); /* not this process's */
    few(&w, later_us + OZ_US_PER_SECOND);
    do step(&w, NULL), now = stored(&w);
    while (now.all > 80);
    assert_int_equal(now.all, 80); /* the few */
    assert_int_equal(retired(&w), before.all - 80);
    everybody(&w, later_us + OZ_US_PER_MINUTE);
    assert_int_equal(stored(&w).all, before.all);

    n_made = 0;
    everybody(&kept, BEGIN_US);
    few(&kept, BEGIN_US + OZ_US_PER_DAY);
    few(&kept, later_us);
    few(&kept, later_us + OZ_US_PER_SECOND);
    everybody(&kept, later_us + OZ_US_PER_MINUTE);
    assert_int_equal(kept.said.len, w.said.len);
    assert_memory_equal(kept.said.data, w.said.data, w.said.len);
    tear_down(&w);
    tear_down(&kept);
}

static void an_abort_takes_it_back(void **state)
{
    (void)state;
    static struct world w;
    bool changed = false;
    set_up(&w, 1000000);
    everybody(&w, BEGIN_US);
    few(&w, BEGIN_US + 9 * OZ_US_PER_DAY);
    struct counts before = stored(&w);
    while (!changed)
        assert_int_equal(oz_retirement_step(w.retirement, NULL, &changed, &err), OZ_OK);
    uint64_t n = retired(&w);
    oz_engine_drop(w.engine);
    oz_retirement_abort(w.retirement);
    seal_and_store(&w); /* nothing is left to seal */
    assert_int_equal(stored(&w).all, before.all);
    /* No event comes: the stored rows say how late it is. */
    do step(&w, NULL);
    while (stored(&w).all > 80);
    assert_int_equal(retired(&w), n + before.all - 80);
    tear_down(&w);
}

/* The store is slow: the clock has long stopped when the rows get there. */
static void rows_that_are_stored_late_leave(void **state)
{
    (void)state;
    static struct world w;
    struct oz_retirement_stats stats = {0};
    set_up(&w, 1000000);
    for (uint32_t i = 0; i < 100; i++) make_record(i, i, i, BEGIN_US + i);
    do_batch(&w, 100);
    for (uint32_t i = 0; i < 40; i++)
        make_record(i, 100000 + i, 1000 + i, BEGIN_US + 9 * OZ_US_PER_DAY);
    do_batch(&w, 40);
    while (stats.rounds < 1) usleep(1000), oz_retirement_get_stats(w.retirement, &stats);
    usleep(200000); /* a round that had begun before is over */
    seal_and_store(&w);
    do step(&w, NULL);
    while (stored(&w).all > 80);
    assert_int_equal(retired(&w), 200);
    tear_down(&w);
}

static void a_row_returns_in_its_last_epoch(void **state)
{
    (void)state;
    static struct world w;
    bool changed = false;
    set_up(&w, 1000000);
    for (uint32_t i = 0; i < 10; i++) make_record(i, i, i, BEGIN_US + i);
    do_batch(&w, 10);
    for (uint32_t i = 0; i < 10; i++) make_record(i, i, i, BEGIN_US + OZ_US_PER_HOUR + i);
    do_batch(&w, 10);
    seal_and_store(&w);
    few(&w, BEGIN_US + 9 * OZ_US_PER_DAY);
    while (retired(&w) < 20)
        assert_int_equal(oz_retirement_step(w.retirement, NULL, &changed, &err), OZ_OK);
    for (uint32_t i = 0; i < 4; i++) make_record(i, i, i, BEGIN_US + 9 * OZ_US_PER_DAY + i);
    do_batch(&w, 4);
    seal_and_store(&w);
    assert_int_equal(stored(&w).all, 80 + 8);
    tear_down(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_leave_and_come_back),
                                       cmocka_unit_test(an_abort_takes_it_back),
                                       cmocka_unit_test(rows_that_are_stored_late_leave),
                                       cmocka_unit_test(a_row_returns_in_its_last_epoch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
