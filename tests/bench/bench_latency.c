/* From the call that produces a transaction to the call that returns its score, at a fixed rate.
 *
 *   bench_latency BOOTSTRAP TRANSACTIONS LABELS SCORES exactly_once|at_least_once RATE SECONDS PID
 *
 * Sends the generator's transactions, and the labels that arrive among them, RATE a second; another
 * thread reads the scores, with read_committed when they are exactly once, and finds each one's
 * transaction by its id. The first WARM_UP_SECONDS do not count. Prints one line: rate that was
 * reached, scores that counted, p50, p99, p99.9 and the longest latency in ms, cores that process
 * PID used. Generator, sender and reader run in this process and take their share of the machine.
 * */
#include <pthread.h>
#include <stdatomic.h>

#include "base/histogram.h"
#include "base/instant.h"
#include "pipelines/demo/fraud_generator.h"
#include "tests/bench/kafka_bench.h"

enum { WARM_UP_SECONDS = 6, SLICE_US = 500, READ_BATCH = 4096, IDS_BEYOND = 1 << 20 };

struct latency {
    const char *bootstrap, *scores;
    bool exactly_once;
    _Atomic int64_t *sent_us; /* [n_ids], 0: not sent */
    size_t n_ids;
    int64_t count_from_us; /* transactions sent before do not count */
    atomic_bool ready, stop;
    struct oz_histogram hist;
};

/* The id of a score record: "event":"<id>", always before anything that a user could name. */
static bool event_id(const rd_kafka_message_t *message, size_t n_ids, size_t *ret_id)
{
    static const char name[] = "\"event\":\"";
    const char *at = memmem(message->payload, message->len, name, sizeof name - 1);
    size_t id = 0;
    if (!at) return false;
    const char *end = (const char *)message->payload + message->len;
    for (at += sizeof name - 1; at < end && *at >= '0' && *at <= '9'; at++)
        id = id * 10 + (size_t)(*at - '0');
    *ret_id = id;
    return id < n_ids;
}

static void *read_scores(void *arg)
{
    struct latency *lat = arg;
    static rd_kafka_message_t *message[READ_BATCH];
    rd_kafka_t *rk = new_reader(lat->bootstrap, "bench-latency", lat->scores, lat->exactly_once,
                                "20", RD_KAFKA_OFFSET_END);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(rk);
    atomic_store(&lat->ready, true);
    while (!atomic_load(&lat->stop)) {
        ssize_t got = rd_kafka_consume_batch_queue(queue, 2, message, READ_BATCH);
        int64_t now = oz_monotonic_us();
        for (ssize_t i = 0; i < got; i++) {
            size_t id;
            if (!message[i]->err && event_id(message[i], lat->n_ids, &id)) {
                int64_t sent = atomic_load_explicit(&lat->sent_us[id], memory_order_relaxed);
                if (sent && sent >= lat->count_from_us) oz_histogram_add(&lat->hist, now - sent);
            }
            rd_kafka_message_destroy(message[i]);
        }
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    return NULL;
}

static double feed(struct latency *lat, const char *transactions, const char *labels, double rate,
                   double seconds)
{
    struct oz_fraud_config config = oz_fraud_defaults();
    struct oz_fraud_generator *gen;
    struct oz_fraud_event ev;
    struct oz_error err;
    config.days = OZ_FRAUD_DAYS_MAX;
    config.repeat_rate = config.broken_rate = 0; /* an id is sent once, and scored */
    if (oz_fraud_generator_new(&config, &gen, &err) != OZ_OK) die("generator", err.message);
    rd_kafka_t *rk = new_producer(lat->bootstrap, NULL, "2");
    rd_kafka_topic_t *topic[] = {rd_kafka_topic_new(rk, transactions, NULL),
                                 rd_kafka_topic_new(rk, labels, NULL)};
    double start = now_s();
    int64_t n = 0;
    lat->count_from_us = oz_monotonic_us() + WARM_UP_SECONDS * OZ_US_PER_SECOND;
    for (double now = start; now - start < seconds; now = now_s()) {
        for (int64_t due = (int64_t)((now - start) * rate); n < due;) {
            if (!oz_fraud_generator_next(gen, &ev)) die("generator", "has no more events");
            bool is_label = ev.kind == OZ_FRAUD_LABEL;
            if (!is_label && (size_t)ev.tx_id < lat->n_ids)
                atomic_store_explicit(&lat->sent_us[ev.tx_id], oz_monotonic_us(),
                                      memory_order_relaxed);
            send_record(rk, topic[is_label], ev.arrival_us / OZ_US_PER_MS, ev.key, ev.key_len,
                        ev.value, ev.value_len);
            n += !is_label;
        }
        rd_kafka_poll(rk, 0);
        usleep(SLICE_US);
    }
    double reached = (double)n / (now_s() - start);
    rd_kafka_flush(rk, BENCH_WAIT_MS);
    rd_kafka_topic_destroy(topic[0]);
    rd_kafka_topic_destroy(topic[1]);
    rd_kafka_destroy(rk);
    oz_fraud_generator_free(gen);
    return reached;
}

int main(int argc, char **argv)
{
    if (argc != 9)
        die("usage",
            "BOOTSTRAP TRANSACTIONS LABELS SCORES exactly_once|at_least_once RATE SECONDS PID");
    double rate = atof(argv[6]), seconds = atof(argv[7]) + WARM_UP_SECONDS;
    long pid = atol(argv[8]);
    struct latency lat = {.bootstrap = argv[1],
                          .scores = argv[4],
                          .exactly_once = !strcmp(argv[5], "exactly_once"),
                          .n_ids = (size_t)(rate * seconds) + IDS_BEYOND,
                          .count_from_us = INT64_MAX};
    pthread_t reader;
    lat.sent_us = calloc(lat.n_ids, sizeof *lat.sent_us);
    if (!lat.sent_us || pthread_create(&reader, NULL, read_scores, &lat)) die("start", "no memory");
    while (!atomic_load(&lat.ready)) usleep(1000);
    double start = now_s(), cpu = process_cpu_s(pid);
    double reached = feed(&lat, argv[2], argv[3], rate, seconds);
    double cores = (process_cpu_s(pid) - cpu) / (now_s() - start);
    sleep(2); /* what is under way still comes, and counts */
    atomic_store(&lat.stop, true);
    pthread_join(reader, NULL);
    printf("%.0f %llu %.1f %.1f %.1f %.1f %.2f\n", reached, (unsigned long long)lat.hist.n,
           (double)oz_histogram_quantile(&lat.hist, 0.5) / 1e3,
           (double)oz_histogram_quantile(&lat.hist, 0.99) / 1e3,
           (double)oz_histogram_quantile(&lat.hist, 0.999) / 1e3, (double)lat.hist.max_us / 1e3,
           cores);
    free(lat.sent_us);
    return 0;
}
