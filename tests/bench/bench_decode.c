/* How fast records become rows: the example's transaction and label, on one thread, in batches of
 * 4096 rows with a batch arena, as the engine does it. For the ratio, what the bytes alone cost: a
 * copy of each record into one buffer. Usage: bench_decode [seconds a case, 1 by default] */
#include "base/clock.h"
#include "stream/codec.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_ROWS = 4096, N_RECORDS = 1 << 16, RECORD_BYTES = 256 };

static const struct oz_field transaction_fields[] = {{"tx_id", OZ_LONG, 0},
                                                     {"at", OZ_TIMESTAMP, OZ_TIME_ISO},
                                                     {"customer", OZ_STRING, 0},
                                                     {"terminal", OZ_STRING, 0},
                                                     {"amount", OZ_DOUBLE, 0}};
static const struct oz_field label_fields[] = {{"tx_id", OZ_LONG, 0},
                                               {"at", OZ_TIMESTAMP, OZ_TIME_ISO},
                                               {"reported_at", OZ_TIMESTAMP, OZ_TIME_ISO},
                                               {"customer", OZ_STRING, 0},
                                               {"terminal", OZ_STRING, 0},
                                               {"fraud", OZ_BOOLEAN, 0}};
static const struct oz_schema transactions = {.name = "transactions",
                                              .field = transaction_fields,
                                              .n_fields = 5,
                                              .id = 0,
                                              .key = 2,
                                              .time = 1,
                                              .arrival = -1,
                                              .scored = true};
static const struct oz_schema labels = {.name = "labels",
                                        .field = label_fields,
                                        .n_fields = 6,
                                        .id = 0,
                                        .key = 3,
                                        .time = 1,
                                        .arrival = 2};

static char record[N_RECORDS][RECORD_BYTES];
static size_t record_len[N_RECORDS];

static void make_records(const char *shape)
{
    for (unsigned i = 0; i < N_RECORDS; i++) {
        unsigned x = i * 2654435761u;
        record_len[i] = (size_t)snprintf(record[i], RECORD_BYTES, shape, 100000 + i, 1 + x % 28,
                                         x / 32 % 24, x / 1024 % 60, x / 65536 % 60, x % 5000,
                                         x / 5000 % 10000, x % 300, x / 300 % 100);
    }
}

static void run(const char *name, const struct oz_schema *schema, const char *shape, double seconds)
{
    struct oz_decoder *decoder;
    struct oz_table table;
    struct oz_arena arena;
    struct oz_error err;
    make_records(shape);
    oz_arena_init(&arena, 1 << 20);
    if (oz_json_decoder_new(schema, &decoder, &err) || oz_table_init(&table, schema, N_ROWS, &err))
        abort();
    uint64_t n = 0, n_bytes = 0, n_nulled = 0;
    int64_t start_us = oz_thread_cpu_us(), spent_us = 0;
    while (spent_us < seconds * 1e6) {
        oz_arena_reset(&arena);
        for (size_t i = 0; i < N_ROWS; i++) {
            size_t r = (n + i) % N_RECORDS;
            enum oz_decode_stage stage;
            uint64_t nulled;
            if (oz_decode(decoder, record[r], record_len[r], INT64_MAX, &table, i, &arena, &stage,
                          &nulled, &err)) {
                fprintf(stderr, "%s\n", err.message);
                exit(1);
            }
            n_bytes += record_len[r], n_nulled += nulled;
        }
        n += N_ROWS;
        spent_us = oz_thread_cpu_us() - start_us;
    }
    double decode_ns = 1e3 * (double)spent_us / (double)n;

    static char copy[RECORD_BYTES];
    uint64_t n_copied = 0;
    start_us = oz_thread_cpu_us();
    for (; n_copied < n; n_copied++) {
        memcpy(copy, record[n_copied % N_RECORDS], record_len[n_copied % N_RECORDS]);
        __asm__ volatile("" ::"r"(copy) : "memory");
    }
    double copy_ns = 1e3 * (double)(oz_thread_cpu_us() - start_us) / (double)n;
    printf("%-28s %5.0f bytes  %6.2f M records/s  %6.0f MB/s  %5.0f ns  %4.0f x a copy\n", name,
           (double)n_bytes / (double)n, 1e3 / decode_ns,
           1e3 * (double)n_bytes / (double)n / decode_ns, decode_ns, decode_ns / copy_ns);
    if (n_nulled) exit(1);
    oz_table_clear(&table);
    oz_decoder_free(decoder);
    oz_arena_clear(&arena);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1;
    run("transaction", &transactions,
        "{\"tx_id\":%u,\"at\":\"2018-07-%02uT%02u:%02u:%02uZ\",\"customer\":\"%u\","
        "\"terminal\":\"%u\",\"amount\":%u.%02u}",
        seconds);
    run("transaction, Python's blanks", &transactions,
        "{\"tx_id\": %u, \"at\": \"2018-07-%02uT%02u:%02u:%02uZ\", \"customer\": \"%u\", "
        "\"terminal\": \"%u\", \"amount\": %u.%02u}",
        seconds);
    run("transaction, unknown fields", &transactions,
        "{\"tx_id\":%u,\"at\":\"2018-07-%02uT%02u:%02u:%02uZ\",\"customer\":\"%u\","
        "\"channel\":\"pos\",\"geo\":{\"x\":1.5,\"y\":[2,3]},\"terminal\":\"%u\",\"amount\":%u.%"
        "02u}",
        seconds);
    run("label", &labels,
        "{\"tx_id\":%u,\"at\":\"2018-07-%02uT%02u:%02u:%02uZ\",\"reported_at\":"
        "\"2018-08-02T10:00:00Z\",\"customer\":\"%u\",\"terminal\":\"%u\",\"fraud\":true}",
        seconds);
    return 0;
}
