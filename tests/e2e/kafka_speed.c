/* Measures the engine's own sink and source on a real broker, nothing else in between:
 * `kafka_speed BOOTSTRAP [RECORDS]`. Four partitions, values of 300 bytes with random digits, lz4;
 * the caller's thread time is what the engine's poller and emitter pay, the rest of the process's
 * is the client's. Latency: a record every 5 ms at an idle source, produced to taken. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/clock.h"
#include "stream/kafka_source.h"
#include "stream/sink.h"

enum {
    PARTITIONS = 4,
    BATCH = 4096,
    VALUE_BYTES = 300,
    CHUNK = 500,
    EPOCH_US = 100000,
    PINGS = 400
};

static struct oz_kafka_setting setting[] = {{"bootstrap.servers", NULL}};
static const struct oz_kafka_config config = {
    .setting = setting, .n_settings = 1, .client_id = "speed"};
static struct oz_error err;

static void ok(enum oz_status status)
{
    if (status == OZ_OK) return;
    fprintf(stderr, "kafka_speed: %s: %s\n", oz_status_text(status), err.message);
    exit(1);
}

static double process_cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return 1e6 * (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static struct {
    int64_t wall_us, thread_us;
    double process_us;
} mark;

static void begin(void)
{
    mark.wall_us = oz_monotonic_us();
    mark.thread_us = oz_thread_cpu_us();
    mark.process_us = process_cpu_us();
}

static void end(const char *what, size_t n)
{
    double wall_us = (double)(oz_monotonic_us() - mark.wall_us);
    printf("%-34s %8.0f k/s   caller %.3f us cpu a record, process %.3f\n", what,
           (double)n / wall_us * 1e3, (double)(oz_thread_cpu_us() - mark.thread_us) / (double)n,
           (process_cpu_us() - mark.process_us) / (double)n);
    fflush(stdout);
}

static void fill(char *value)
{
    static uint64_t x = 88172645463325252u;
    memset(value, ' ', VALUE_BYTES);
    for (int i = 0; i < 12; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        char number[24];
        int len = snprintf(number, sizeof number, "%llu,", (unsigned long long)(x % 1000000007));
        memcpy(value + i * 24, number, (size_t)len);
    }
}

static void produce(struct oz_sink *sink, uint32_t topic, size_t n, bool timed, bool transactional)
{
    static char value[CHUNK][VALUE_BYTES], key[CHUNK][16];
    static struct oz_message message[CHUNK];
    for (int i = 0; i < CHUNK; i++) fill(value[i]), snprintf(key[i], sizeof key[i], "c%07d", i);
    int64_t now_ms = oz_wall_us() / 1000, commit_us = oz_monotonic_us() + EPOCH_US;
    begin();
    if (transactional) ok(oz_sink_begin(sink, &err));
    for (size_t done = 0; done < n; done += CHUNK) {
        for (size_t i = 0; i < CHUNK; i++)
            message[i] =
                (struct oz_message){.topic = topic,
                                    .partition = (int32_t)((done + i) % PARTITIONS),
                                    .key = key[i],
                                    .key_len = 8,
                                    .value = value[i],
                                    .value_len = VALUE_BYTES,
                                    .timestamp_ms = timed ? now_ms + (int64_t)done / 500 : 0};
        ok(oz_sink_produce(sink, message, CHUNK, &err));
        if (!transactional || oz_monotonic_us() < commit_us) continue;
        ok(oz_sink_commit(sink, &err));
        ok(oz_sink_begin(sink, &err));
        commit_us = oz_monotonic_us() + EPOCH_US;
    }
    ok(transactional ? oz_sink_commit(sink, &err) : oz_sink_flush(sink, &err));
    end(transactional ? (timed ? "produce, transactions, timed" : "produce, transactions")
        : timed       ? "produce, timed"
                      : "produce",
        n);
}

static void make(char *name, const char *what)
{
    bool created;
    sprintf(name, "speed-%d-%s", (int)getpid(), what);
    struct oz_new_topic topic = {name, PARTITIONS, 1, false};
    ok(oz_kafka_create_topics(&config, &topic, 1, &created, &err));
}

static struct oz_source *open_source(const char *const *topic, uint32_t n_sources,
                                     struct oz_positions *pos, const char *group)
{
    static const bool scored[2] = {true, false};
    struct oz_source *source = NULL;
    ok(oz_positions_init(pos, PARTITIONS, n_sources, 0, &err));
    for (uint32_t i = 0; i < PARTITIONS * n_sources; i++) pos->source[i] = 0;
    struct oz_kafka_source_config c = {.client = config,
                                       .group = group,
                                       .instance = "one",
                                       .topic = topic,
                                       .scored = scored,
                                       .n_sources = n_sources,
                                       .n_partitions = PARTITIONS,
                                       .max_idle_us = 1000000,
                                       .exactly_once = true,
                                       .queue_bytes = 512 << 20};
    ok(oz_kafka_source_open(&c, pos, 30000000, NULL, &source, &err));
    return source;
}

static void consume(const char *topic, size_t n, const char *group)
{
    static struct oz_record record[BATCH];
    struct oz_positions pos;
    struct oz_source *source = open_source(&topic, 1, &pos, group);
    size_t all = 0, calls = 0;
    begin();
    while (all < n) {
        size_t got;
        ok(oz_source_next(source, BATCH, 2000, record, &got, &err));
        all += got, calls++;
        oz_source_release(source, record, got);
    }
    end("consume, merge, release", n);
    printf("    %.0f records a call\n", (double)all / (double)calls);
    oz_source_close(source);
    oz_positions_clear(&pos);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* One thread: produce and flush one record, then take it; and the cpu of a source that waits. */
static void latency(const char *topic, const char *group, bool transactional)
{
    static struct oz_record record[BATCH];
    static int64_t took_us[PINGS];
    struct oz_positions pos;
    struct oz_sink *sink;
    char id[64];
    uint32_t t, n_partitions;
    size_t got;
    snprintf(id, sizeof id, "%s-id", group);
    ok(oz_sink_open(&config, transactional ? id : NULL, 30000000, &sink, &err));
    ok(oz_sink_topic(sink, topic, true, &t, &n_partitions, &err));
    struct oz_source *source = open_source(&topic, 1, &pos, group);
    while (!oz_source_at_end(source)) ok(oz_source_next(source, BATCH, 2000, record, &got, &err));
    for (int i = 0; i < PINGS; i++) {
        usleep(5000);
        struct oz_message m = {
            .topic = t, .partition = i % PARTITIONS, .value = "x", .value_len = 1};
        if (transactional) ok(oz_sink_begin(sink, &err));
        ok(oz_sink_produce(sink, &m, 1, &err));
        ok(transactional ? oz_sink_commit(sink, &err) : oz_sink_flush(sink, &err));
        int64_t start_us = oz_monotonic_us();
        do ok(oz_source_next(source, BATCH, 2000, record, &got, &err));
        while (!got);
        took_us[i] = oz_monotonic_us() - start_us;
        oz_source_release(source, record, got);
    }
    qsort(took_us, PINGS, sizeof *took_us, by_value);
    printf("%s to taken: p50 %lld us, p99 %lld us\n", transactional ? "committed" : "acknowledged",
           (long long)took_us[PINGS / 2], (long long)took_us[PINGS * 99 / 100]);
    int64_t start_us = oz_monotonic_us(), cpu_us = oz_thread_cpu_us();
    double process_us = process_cpu_us();
    while (oz_monotonic_us() < start_us + 2000000)
        ok(oz_source_next(source, BATCH, 2000, record, &got, &err));
    printf("idle: %.2f %% of a core in the caller, %.2f %% in the process\n",
           (double)(oz_thread_cpu_us() - cpu_us) / 2e4, (process_cpu_us() - process_us) / 2e4);
    oz_source_close(source);
    oz_sink_close(sink);
    oz_positions_clear(&pos);
}

int main(int argc, char **argv)
{
    setting[0].value = argc > 1 ? argv[1] : getenv("KAFKA");
    if (!setting[0].value) {
        fprintf(stderr, "usage: kafka_speed BOOTSTRAP [RECORDS]\n");
        return 2;
    }
    size_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;
    n -= n % CHUNK;
    char plain[64], timed[64], group[64], id[64];
    uint32_t t, n_partitions;
    struct oz_sink *sink;
    make(plain, "plain"), make(timed, "timed");
    snprintf(id, sizeof id, "speed-%d", (int)getpid());

    ok(oz_sink_open(&config, NULL, 30000000, &sink, &err));
    ok(oz_sink_topic(sink, plain, true, &t, &n_partitions, &err));
    produce(sink, t, n, false, false);
    ok(oz_sink_topic(sink, timed, true, &t, &n_partitions, &err));
    produce(sink, t, n, true, false);
    oz_sink_close(sink);
    ok(oz_sink_open(&config, id, 30000000, &sink, &err));
    ok(oz_sink_topic(sink, plain, true, &t, &n_partitions, &err));
    produce(sink, t, n, false, true);
    ok(oz_sink_topic(sink, timed, true, &t, &n_partitions, &err));
    produce(sink, t, n, true, true);
    oz_sink_close(sink);

    snprintf(group, sizeof group, "speed-%d-a", (int)getpid());
    consume(timed, 2 * n, group);
    snprintf(group, sizeof group, "speed-%d-b", (int)getpid());
    consume(plain, 2 * n, group);
    make(plain, "ping"), make(timed, "ping-transactions");
    snprintf(group, sizeof group, "speed-%d-c", (int)getpid());
    latency(plain, group, false);
    snprintf(group, sizeof group, "speed-%d-d", (int)getpid());
    latency(timed, group, true);
    return 0;
}
