/* What an event costs in the engine, stage by stage, without Kafka: transactions and labels of the
 * generator, held in memory, go through a pipeline in batches of batch.rows, an epoch is sealed
 * every epoch.rows and written to a store every FLUSH_EPOCHS. One worker unless said otherwise, so
 * that the figures are per core. The first quarter of the events warms up and does not count.
 *
 *   bench_engine PIPELINE [--count N] [--customers C] [--terminals T] [--workers W]
 *                [--set KEY=VALUE]...
 *
 * Prints a line a stage, as they appear in `stages` below: name, nanoseconds of a worker's time per
 * event, million events a second of one core. "features" is the whole feature stage: values, rows
 * and expressions. The last line sums everything up. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/folder.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/instant.h"
#include "pipelines/demo/fraud_generator.h"
#include "pipelines/run/outputs.h"

enum { FLUSH_EPOCHS = 10, SETS_MAX = 32, STORE_BYTES = 256 << 20, PARTITIONS = 4 };
#define ROWS_BYTES ((size_t)4 << 30)

struct bench {
    struct oz_program *prg;
    struct oz_store *store;
    struct oz_engine *engine;
    struct oz_outputs *outputs;
    struct oz_outbox box;
    struct oz_sealed *sealed[FLUSH_EPOCHS];
    uint32_t n_workers;
    char dir[64];
    struct oz_buf bytes;
    struct oz_record *record;
    size_t n, n_epochs;
    /* since the warm-up */
    int64_t batch_us, outputs_us, seal_us, store_us;
    uint64_t n_events, n_parts, part_bytes, score_bytes;
};

static void must(enum oz_status status, const struct oz_error *err)
{
    if (status == OZ_OK) return;
    fprintf(stderr, "bench_engine: %s: %s\n", err->where, err->message);
    exit(1);
}

/* Events lie behind each other in `bytes`, key and value; pointers are set once all are there. */
static void make_events(struct bench *b, const struct oz_fraud_config *config, size_t count)
{
    struct oz_fraud_generator *gen;
    struct oz_fraud_event ev;
    struct oz_error err;
    int64_t offset[2][PARTITIONS] = {{0}};
    size_t cap = 0, n_transactions = 0;
    must(oz_fraud_generator_new(config, &gen, &err), &err);
    while (n_transactions < count && oz_fraud_generator_next(gen, &ev)) {
        must(oz_grow((void **)&b->record, &cap, b->n + 1, sizeof *b->record, &err), &err);
        uint32_t source = ev.kind == OZ_FRAUD_LABEL;
        uint32_t partition = oz_murmur2_partition(ev.key, ev.key_len, PARTITIONS);
        b->record[b->n++] = (struct oz_record){
            .source = source,
            .partition = partition,
            .offset = offset[source][partition]++,
            .timestamp_ms = ev.arrival_us / OZ_US_PER_MS,
            .key_len = (uint32_t)ev.key_len,
            .value_len = (uint32_t)ev.value_len,
        };
        oz_buf_put(&b->bytes, ev.key, ev.key_len);
        oz_buf_put(&b->bytes, ev.value, ev.value_len);
        n_transactions += !source;
    }
    must(oz_fraud_generator_status(gen, &err), &err);
    must(oz_buf_status(&b->bytes, &err), &err);
    oz_fraud_generator_free(gen);
    const char *at = (const char *)b->bytes.data;
    for (size_t i = 0; i < b->n; i++) {
        b->record[i].key = at;
        b->record[i].value = at + b->record[i].key_len;
        at = b->record[i].value + b->record[i].value_len;
    }
}

static void open_engine(struct bench *b)
{
    struct oz_error err;
    strcpy(b->dir, "/tmp/ouzel-bench-XXXXXX");
    if (!mkdtemp(b->dir)) must(oz_error_set(&err, OZ_ENVIRONMENT, "no folder %s", b->dir), &err);
    must(oz_store_open(b->dir, STORE_BYTES, false, &b->store, &err), &err);
    struct oz_engine_config config = {.program = b->prg,
                                      .store = b->store,
                                      .n_workers = b->n_workers,
                                      .n_partitions = PARTITIONS,
                                      .rows_memory_bytes = ROWS_BYTES};
    must(oz_engine_new(&config, &b->engine, &err), &err);
    struct oz_outputs_config outputs = {.program = b->prg,
                                        .engine = b->engine,
                                        .scores = {0, PARTITIONS},
                                        .alerts = {1, PARTITIONS},
                                        .dead_letters = {2, PARTITIONS}};
    must(oz_outputs_new(&outputs, &b->outputs, &err), &err);
    must(oz_outbox_init(&b->box, b->n_workers, &err), &err);
    for (int i = 0; i < FLUSH_EPOCHS; i++) {
        b->sealed[i] = oz_calloc(b->n_workers, sizeof *b->sealed[i]);
        for (uint32_t w = 0; w < b->n_workers; w++) oz_sealed_init(&b->sealed[i][w]);
    }
}

static void seal(struct bench *b)
{
    struct oz_error err;
    size_t parts, k = b->n_epochs++ % FLUSH_EPOCHS;
    int64_t start = oz_monotonic_us();
    uint64_t epoch = oz_engine_epoch(b->engine);
    must(oz_engine_seal(b->engine, b->sealed[k], &parts, &err), &err);
    int64_t sealed_at = oz_monotonic_us();
    b->seal_us += sealed_at - start;
    b->n_parts += parts;
    for (uint32_t w = 0; w < b->n_workers; w++) b->part_bytes += b->sealed[k][w].bytes.len;
    if (k + 1 < FLUSH_EPOCHS) return;
    const struct oz_sealed *list[FLUSH_EPOCHS * OZ_WORKERS_MAX];
    size_t n = 0;
    for (int i = 0; i < FLUSH_EPOCHS; i++)
        for (uint32_t w = 0; w < b->n_workers; w++) list[n++] = &b->sealed[i][w];
    must(oz_store_write(b->store, list, n, NULL, &err), &err);
    oz_engine_stored(b->engine, epoch);
    b->store_us += oz_monotonic_us() - sealed_at;
}

static void run(struct bench *b, size_t first, size_t end)
{
    struct oz_error err;
    struct oz_batch *bat;
    size_t rows = b->prg->pipeline.batch_rows, since_seal = 0;
    b->batch_us = b->outputs_us = b->seal_us = b->store_us = 0;
    b->n_parts = b->part_bytes = b->score_bytes = 0;
    b->n_events = end - first;
    for (size_t i = first; i < end; i += rows) {
        size_t n = OZ_MIN(rows, end - i);
        int64_t start = oz_monotonic_us();
        must(oz_engine_batch(b->engine, b->record + i, n, NULL, &bat, &err), &err);
        int64_t computed = oz_monotonic_us();
        must(oz_outputs_make(b->outputs, bat, &b->box, &err), &err);
        b->batch_us += computed - start;
        b->outputs_us += oz_monotonic_us() - computed;
        for (uint32_t w = 0; w < b->n_workers; w++) b->score_bytes += b->box.part[w].bytes.len;
        since_seal += n;
        if (since_seal >= b->prg->pipeline.epoch_rows) {
            seal(b);
            since_seal = 0;
        }
    }
}

static double line(const char *name, int64_t us, uint64_t n_events)
{
    double ns = (double)us * 1e3 / (double)n_events;
    printf("%-12s %8.1f %8.2f\n", name, ns, ns > 0 ? 1e3 / ns : 0);
    return ns;
}

static void report(const struct bench *b, const struct oz_engine_stats *before)
{
    struct oz_engine_stats now;
    int64_t stage[OZ_STAGE_COUNT], all = 0;
    uint64_t n = b->n_events;
    oz_engine_get_stats(b->engine, &now);
    for (int s = 0; s < OZ_STAGE_COUNT; s++) {
        stage[s] = now.stage_us[s] - before->stage_us[s];
        all += stage[s];
    }
    int64_t around = (b->outputs_us + b->seal_us + b->store_us) * b->n_workers;
    printf("%-12s %8s %8s\n", "stage", "ns/event", "M/s/core");
    for (int s = 0; s < OZ_STAGE_COUNT; s++) line(oz_stage_name((enum oz_stage)s), stage[s], n);
    line("features", stage[OZ_STAGE_VALUES] + stage[OZ_STAGE_ROWS] + stage[OZ_STAGE_EXPRESSIONS],
         n);
    line("outputs", b->outputs_us * b->n_workers, n);
    line("seal", b->seal_us * b->n_workers, n);
    line("store", b->store_us * b->n_workers, n);
    line("all", all + around, n);
    printf("# %llu events, %llu rows in memory, %.2f parts of %.0f bytes an event, outputs of %.0f "
           "bytes, %u workers: %.2f M events/s\n",
           (unsigned long long)n, (unsigned long long)now.rows_in_memory,
           (double)b->n_parts / (double)n, (double)b->part_bytes / OZ_MAX((double)b->n_parts, 1),
           (double)b->score_bytes / (double)n, b->n_workers,
           (double)n / (double)(b->batch_us + b->outputs_us + b->seal_us + b->store_us));
}

static void close_all(struct bench *b)
{
    for (int i = 0; i < FLUSH_EPOCHS; i++) {
        for (uint32_t w = 0; w < b->n_workers; w++) oz_sealed_clear(&b->sealed[i][w]);
        oz_free(b->sealed[i]);
    }
    oz_outbox_clear(&b->box);
    oz_outputs_free(b->outputs);
    oz_engine_free(b->engine);
    oz_store_close(b->store);
    oz_program_free(b->prg);
    oz_free(b->record);
    oz_buf_clear(&b->bytes);
    oz_folder_remove(b->dir);
}

int main(int argc, char **argv)
{
    static struct bench b = {.n_workers = 1};
    struct oz_fraud_config config = oz_fraud_defaults();
    struct oz_mistakes mistakes = {0};
    struct oz_error err = {0};
    struct oz_engine_stats before;
    const char *set[SETS_MAX], *pipeline = NULL;
    size_t n_set = 0, count = 1200000;
    for (int i = 1; i < argc; i++) {
        const char *value = argv[i][0] == '-' && i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--count"))
            count = (size_t)atol(value);
        else if (!strcmp(argv[i], "--customers"))
            config.customers = (uint32_t)atol(value);
        else if (!strcmp(argv[i], "--terminals"))
            config.terminals = (uint32_t)atol(value);
        else if (!strcmp(argv[i], "--workers"))
            b.n_workers = (uint32_t)atol(value);
        else if (!strcmp(argv[i], "--set") && n_set < SETS_MAX)
            set[n_set++] = value;
        else {
            pipeline = argv[i];
            continue;
        }
        i++;
    }
    if (!pipeline) must(oz_error_set(&err, OZ_USAGE, "which pipeline file?"), &err);
    if (oz_program_load(pipeline, set, n_set, 0, &b.prg, &mistakes, &err) != OZ_OK) {
        fputs(oz_buf_string(&mistakes.text), stderr);
        must(err.status, &err);
    }
    config.days = OZ_FRAUD_DAYS_MAX;
    make_events(&b, &config, count);
    open_engine(&b);
    size_t warm = b.n / 4;
    run(&b, 0, warm);
    oz_engine_get_stats(b.engine, &before);
    run(&b, warm, b.n);
    report(&b, &before);
    close_all(&b);
    return 0;
}
