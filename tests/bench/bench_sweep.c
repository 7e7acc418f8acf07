/* What it costs when a million rows grow old at once: a stream over cards that are always active
 * goes on, before, while and after the rows of a million others are retired, with a store and an
 * epoch every 20,000 events, without Kafka. One worker, beside it the sweeper's thread, the store's
 * and RocksDB's own.
 *
 *   bench_sweep PIPELINE [--rows N] [--set KEY=VALUE]...
 *
 * An event is a millisecond of event time: the active rows are as large at the end as at the
 * beginning, and the others are past use USE_ENDS events after they were made. A line a phase:
 * events a second, percentiles of the time that a batch takes with all that is done between it and
 * the next one, rows retired, rounds of the sweeper. Then the ratios to the phase before, which are
 * the figures. Events are made beforehand and outside of what is timed. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/folder.h"
#include "base/hash.h"
#include "base/instant.h"
#include "base/queue.h"
#include "pipelines/run/outputs.h"
#include "pipelines/run/retirement.h"

enum { PARTITIONS = 4, EPOCH_ROWS = 20000, EPOCHS = 8, ACTIVE = 100000, LINE_BYTES = 128 };
enum { USE_ENDS = 65 * 60 * 1000, BEFORE = 2500000 };
enum { STORE_BYTES = 128 << 20, ROWS_BYTES = 512 << 20, SETS_MAX = 32, TIMES_MAX = 4000000 };
#define BEGIN_US INT64_C(1500000000000000)

struct epoch {
    uint64_t number;
    struct oz_sealed sealed;
};

struct bench {
    struct oz_program *prg;
    struct oz_store *store;
    struct oz_engine *engine;
    struct oz_outputs *outputs;
    struct oz_retirement *retirement;
    struct oz_outbox box;
    struct epoch epoch[EPOCHS];
    struct oz_queue to_store, free;
    pthread_t store_thread;
    char dir[64];
    struct oz_record *record;
    char (*line)[LINE_BYTES], (*key)[16];
    size_t rows, since_seal;
    uint64_t n;
    int64_t at_us; /* event time */
    int64_t *took_us;
    size_t n_took;
};

static void must(enum oz_status status, const struct oz_error *err)
{
    if (status == OZ_OK) return;
    fprintf(stderr, "bench_sweep: %s\n", err->message);
    exit(1);
}

static void *store_main(void *arg)
{
    struct bench *b = arg;
    struct oz_error err;
    void *item;
    while (oz_queue_pop(&b->to_store, -1, &item) == OZ_QUEUE_ITEM) {
        struct epoch *ep = item;
        const struct oz_sealed *sealed = &ep->sealed;
        must(oz_store_write(b->store, &sealed, 1, NULL, &err), &err);
        oz_engine_stored(b->engine, ep->number);
        if (!oz_queue_push(&b->free, ep)) break;
    }
    return NULL;
}

static void open_all(struct bench *b)
{
    struct oz_error err;
    strcpy(b->dir, "/tmp/ouzel-bench-XXXXXX");
    if (!mkdtemp(b->dir)) must(oz_error_set(&err, OZ_ENVIRONMENT, "no folder %s", b->dir), &err);
    must(oz_store_open(b->dir, STORE_BYTES, false, &b->store, &err), &err);
    struct oz_engine_config engine = {.program = b->prg,
                                      .store = b->store,
                                      .n_workers = 1,
                                      .n_partitions = PARTITIONS,
                                      .rows_memory_bytes = ROWS_BYTES};
    must(oz_engine_new(&engine, &b->engine, &err), &err);
    struct oz_outputs_config outputs = {
        .program = b->prg, .engine = b->engine, .scores = {0, PARTITIONS}};
    must(oz_outputs_new(&outputs, &b->outputs, &err), &err);
    must(oz_outbox_init(&b->box, 1, &err), &err);
    must(oz_queue_init(&b->to_store, EPOCHS, &err), &err);
    must(oz_queue_init(&b->free, EPOCHS, &err), &err);
    for (int i = 0; i < EPOCHS; i++) {
        oz_sealed_init(&b->epoch[i].sealed);
        if (!oz_queue_push(&b->free, &b->epoch[i])) abort();
    }
    if (pthread_create(&b->store_thread, NULL, store_main, b)) abort();
    b->rows = b->prg->pipeline.batch_rows;
    b->record = oz_calloc(b->rows, sizeof *b->record);
    b->line = oz_calloc(b->rows, sizeof *b->line);
    b->key = oz_calloc(b->rows, sizeof *b->key);
    b->took_us = oz_calloc(TIMES_MAX, sizeof *b->took_us);
}

static void start_retirement(struct bench *b)
{
    struct oz_error err;
    struct oz_retirement_config config = {.program = b->prg,
                                          .engine = b->engine,
                                          .store = b->store,
                                          .n_partitions = PARTITIONS,
                                          .rows_per_s = b->prg->pipeline.state_retire,
                                          .rest_us = OZ_US_PER_SECOND};
    if (config.rows_per_s) must(oz_retirement_new(&config, &b->retirement, &err), &err);
}

static void close_all(struct bench *b)
{
    oz_retirement_free(b->retirement);
    oz_queue_close(&b->to_store);
    pthread_join(b->store_thread, NULL);
    oz_queue_clear(&b->to_store);
    oz_queue_clear(&b->free);
    for (int i = 0; i < EPOCHS; i++) oz_sealed_clear(&b->epoch[i].sealed);
    oz_outputs_free(b->outputs);
    oz_outbox_clear(&b->box);
    oz_engine_free(b->engine);
    oz_store_close(b->store);
    oz_folder_remove(b->dir);
    oz_free(b->record);
    oz_free(b->line);
    oz_free(b->key);
    oz_free(b->took_us);
}

static void make_record(struct bench *b, size_t slot, char kind, uint64_t card, int64_t at_us)
{
    char at[OZ_INSTANT_BYTES_MAX];
    oz_format_instant(at, at_us);
    int key_len = snprintf(b->key[slot], sizeof b->key[slot], "%c%08u", kind, (unsigned)card);
    int len = snprintf(b->line[slot], LINE_BYTES,
                       "{\"id\":%llu,\"at\":\"%s\",\"card\":\"%s\",\"amount\":%u.25}",
                       (unsigned long long)b->n++, at, b->key[slot], (unsigned)(card % 500));
    b->record[slot] = (struct oz_record){
        .partition = oz_murmur2_partition(b->key[slot], (size_t)key_len, PARTITIONS),
        .timestamp_ms = at_us / 1000,
        .key = b->key[slot],
        .key_len = (uint32_t)key_len,
        .value = b->line[slot],
        .value_len = (uint32_t)len,
    };
}

static void seal(struct bench *b)
{
    struct oz_error err;
    size_t parts;
    void *item;
    if (oz_queue_pop(&b->free, -1, &item) != OZ_QUEUE_ITEM) abort();
    struct epoch *ep = item;
    ep->number = oz_engine_epoch(b->engine);
    must(oz_engine_seal(b->engine, &ep->sealed, &parts, &err), &err);
    if (!oz_queue_push(&b->to_store, ep)) abort();
    b->since_seal = 0;
}

/* One batch that is made already. */
static void do_batch(struct bench *b)
{
    struct oz_error err;
    struct oz_batch *bat;
    bool changed;
    int64_t start = oz_monotonic_us();
    must(oz_engine_batch(b->engine, b->record, b->rows, NULL, &bat, &err), &err);
    must(oz_outputs_make(b->outputs, bat, &b->box, &err), &err);
    oz_retirement_batch(b->retirement, bat);
    must(oz_retirement_step(b->retirement, NULL, &changed, &err), &err);
    b->since_seal += b->rows;
    if (b->since_seal >= EPOCH_ROWS || oz_engine_wants_seal(b->engine)) seal(b);
    if (b->n_took < TIMES_MAX) b->took_us[b->n_took++] = oz_monotonic_us() - start;
}

static void active_batch(struct bench *b)
{
    for (size_t k = 0; k < b->rows; k++, b->at_us += OZ_US_PER_MS)
        make_record(b, k, 'a', b->n * 7919 % ACTIVE, b->at_us);
    do_batch(b);
}

static void active_events(struct bench *b, uint64_t n)
{
    for (uint64_t i = 0; i < n; i += b->rows) active_batch(b);
}

/* All at one time. */
static void old_events(struct bench *b, uint64_t n)
{
    for (uint64_t i = 0; i < n; i += b->rows) {
        for (size_t k = 0; k < b->rows; k++) make_record(b, k, 'o', (i + k) % n, b->at_us);
        do_batch(b);
    }
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

struct phase {
    double per_s, p50_ms, p99_ms, worst_ms;
};

/* So many events, and until so many rows are retired. */
static struct phase run(struct bench *b, const char *name, uint64_t events, uint64_t retired)
{
    struct oz_retirement_stats before, now;
    double spent_us = 0;
    b->n_took = 0;
    oz_retirement_get_stats(b->retirement, &before);
    now = before;
    while (b->n_took * b->rows < events || (now.rows < retired && b->n_took < TIMES_MAX)) {
        active_batch(b);
        spent_us += (double)b->took_us[b->n_took - 1];
        oz_retirement_get_stats(b->retirement, &now);
    }
    qsort(b->took_us, b->n_took, sizeof *b->took_us, by_value);
    struct phase ph = {.per_s = (double)(b->n_took * b->rows) * 1e6 / spent_us,
                       .p50_ms = (double)b->took_us[b->n_took / 2] / 1e3,
                       .p99_ms = (double)b->took_us[b->n_took * 99 / 100] / 1e3,
                       .worst_ms = (double)b->took_us[b->n_took - 1] / 1e3};
    printf("%-8s %6.1f s %9.0f k/s %8.2f %8.2f %8.2f %10llu %6llu %9llu\n", name, spent_us / 1e6,
           ph.per_s / 1e3, ph.p50_ms, ph.p99_ms, ph.worst_ms,
           (unsigned long long)(now.rows - before.rows),
           (unsigned long long)(now.rounds - before.rounds),
           (unsigned long long)oz_store_estimate_records(b->store));
    return ph;
}

static void ratio(const char *name, struct phase ph, struct phase before)
{
    printf("%-8s events/s %.2f, p99 %.2f of before\n", name, ph.per_s / before.per_s,
           ph.p99_ms / before.p99_ms);
}

/* How long one whole walk over the store's rows takes. */
static void nothing(void *ctx, const struct oz_store_row *row) { (void)ctx, (void)row; }
static void walk(struct bench *b, const char *when)
{
    struct oz_error err;
    struct oz_store_walk walk = {0};
    bool end = false;
    uint64_t n = 0;
    int64_t start = oz_monotonic_us();
    while (!end) {
        must(oz_store_walk(b->store, &walk, 1024, 1 << 20, nothing, NULL, &end, &err), &err);
        n += walk.n_rows;
    }
    printf("# a walk over the store %s: %llu rows, %.1f ms\n", when, (unsigned long long)n,
           (double)(oz_monotonic_us() - start) / 1e3);
    oz_buf_clear(&walk.place);
}

int main(int argc, char **argv)
{
    static struct bench b = {.at_us = BEGIN_US};
    struct oz_error err = {0};
    struct oz_mistakes mistakes = {0};
    const char *set[SETS_MAX], *path = argc > 1 ? argv[1] : "tests/bench/sweep.yaml";
    size_t n_sets = 0;
    uint64_t rows = 1000000;
    for (int i = 2; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--rows")) rows = strtoull(argv[i + 1], NULL, 10);
        if (!strcmp(argv[i], "--set") && n_sets < SETS_MAX) set[n_sets++] = argv[i + 1];
    }
    if (oz_program_load(path, set, n_sets, 0, &b.prg, &mistakes, &err) != OZ_OK) {
        fprintf(stderr, "bench_sweep: %s\n%s", err.message, oz_buf_string(&mistakes.text));
        return 1;
    }
    open_all(&b);
    active_events(&b, USE_ENDS);
    old_events(&b, rows);
    start_retirement(&b);
    printf("%-8s %8s %13s %8s %8s %8s %10s %6s %9s\n", "phase", "time", "events", "p50 ms",
           "p99 ms", "worst", "retired", "rounds", "records");
    struct phase before = run(&b, "before", BEFORE, 0);
    walk(&b, "before");
    active_events(&b, USE_ENDS - BEFORE);
    struct phase during = run(&b, "during", BEFORE, b.retirement ? rows : 0);
    struct phase after = run(&b, "after", BEFORE, 0);
    walk(&b, "after");
    ratio("during", during, before);
    ratio("after", after, before);
    close_all(&b);
    oz_mistakes_clear(&mistakes);
    oz_program_free(b.prg);
    return 0;
}
