/* The Kafka side of the whole-pipeline bench: fills topics, copies them as the ceiling, and watches
 * how fast an output grows.
 *
 *   bench_kafka load BOOTSTRAP TRANSACTIONS LABELS COUNT
 *       COUNT transactions of the generator, and the labels that arrive among them
 *   bench_kafka keys BOOTSTRAP TRANSACTIONS COUNT KEYS
 *       COUNT transactions spread evenly over KEYS customers and 10,000 terminals
 *   bench_kafka copy BOOTSTRAP FROM TO exactly_once|at_least_once SKIP COUNT
 *       a raw consume and produce loop in epochs of 100 ms; prints events/s from SKIP to COUNT
 *   bench_kafka rate BOOTSTRAP TOPIC SKIP COUNT PID BROKER_PID
 *       waits until TOPIC has COUNT committed records; prints from SKIP to there events/s,
 *       microseconds
 *       of CPU per event of both processes
 * Figures go to standard output, one line, separated by blanks; words go to standard error. */
#include "base/instant.h"
#include "pipelines/demo/fraud_generator.h"
#include "tests/bench/kafka_bench.h"

enum { COPY_BATCH = 2000, EPOCH_US = 100000, POLL_US = 20000, IDLE_SECONDS_MAX = 60 };
enum { TERMINALS = 10000, EVENTS_A_SECOND = 20 };

static void finish(rd_kafka_t *rk, rd_kafka_topic_t **topic, size_t n)
{
    if (rd_kafka_flush(rk, BENCH_WAIT_MS)) die("load", "not everything was delivered");
    for (size_t i = 0; i < n; i++) rd_kafka_topic_destroy(topic[i]);
    rd_kafka_destroy(rk);
}

static void load(const char *bootstrap, const char *transactions, const char *labels, long count)
{
    struct oz_fraud_config config = oz_fraud_defaults();
    struct oz_fraud_generator *gen;
    struct oz_fraud_event ev;
    struct oz_error err;
    long n = 0, n_labels = 0;
    double start = now_s();
    config.days = OZ_FRAUD_DAYS_MAX;
    if (oz_fraud_generator_new(&config, &gen, &err) != OZ_OK) die("generator", err.message);
    make_topic(bootstrap, transactions);
    make_topic(bootstrap, labels);
    rd_kafka_t *rk = new_producer(bootstrap, NULL, "5");
    rd_kafka_topic_t *topic[] = {rd_kafka_topic_new(rk, transactions, NULL),
                                 rd_kafka_topic_new(rk, labels, NULL)};
    while (n < count && oz_fraud_generator_next(gen, &ev)) {
        bool is_label = ev.kind == OZ_FRAUD_LABEL;
        send_record(rk, topic[is_label], ev.arrival_us / OZ_US_PER_MS, ev.key, ev.key_len, ev.value,
                    ev.value_len);
        n += !is_label;
        n_labels += is_label;
        if (n % 1000 == 0) rd_kafka_poll(rk, 0);
    }
    finish(rk, topic, 2);
    oz_fraud_generator_free(gen);
    fprintf(stderr, "bench: loaded %ld transactions and %ld labels in %.1f s\n", n, n_labels,
            now_s() - start);
}

static void keys(const char *bootstrap, const char *transactions, long count, long n_keys)
{
    char value[256], key[24], at[OZ_INSTANT_BYTES_MAX];
    const int64_t first_s = INT64_C(1522540800); /* 2018-04-01 */
    double start = now_s();
    make_topic(bootstrap, transactions);
    rd_kafka_t *rk = new_producer(bootstrap, NULL, "5");
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, transactions, NULL);
    for (long i = 0; i < count; i++) {
        /* A step that shares no factor with the number of keys visits each of them in turn. */
        uint64_t x = (uint64_t)i * UINT64_C(2654435761);
        int64_t second = first_s + i / EVENTS_A_SECOND;
        int key_len =
            snprintf(key, sizeof key, "c%llu", (unsigned long long)(x % (uint64_t)n_keys));
        size_t at_len = oz_format_instant(at, second * OZ_US_PER_SECOND);
        int len =
            snprintf(value, sizeof value,
                     "{\"tx_id\":%ld,\"at\":\"%.*s\",\"customer\":\"%s\",\"terminal\":\"t%llu\","
                     "\"amount\":%llu.%02llu}",
                     i, (int)at_len, at, key, (unsigned long long)(x >> 8) % TERMINALS,
                     (unsigned long long)(x >> 20) % 200, (unsigned long long)(x >> 30) % 100);
        send_record(rk, topic, second * 1000, key, (size_t)key_len, value, (size_t)len);
        if (i % 1000 == 0) rd_kafka_poll(rk, 0);
    }
    finish(rk, &topic, 1);
    fprintf(stderr, "bench: loaded %ld transactions of %ld customers in %.1f s\n", count, n_keys,
            now_s() - start);
}

/* ---- copy */

struct copier {
    rd_kafka_t *reader, *producer;
    const char *from;
    bool exactly_once, open;
    int64_t next[BENCH_PARTITIONS];
    long n_commits;
    double in_commit_s;
};

/* A manual assignment has no generation; for one process and a ceiling that is fine. */
static void end_epoch(struct copier *cp)
{
    double start = now_s();
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(BENCH_PARTITIONS);
    for (int p = 0; p < BENCH_PARTITIONS; p++)
        if (cp->next[p]) rd_kafka_topic_partition_list_add(list, cp->from, p)->offset = cp->next[p];
    if (cp->exactly_once) {
        rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(cp->reader);
        must_kafka(rd_kafka_send_offsets_to_transaction(cp->producer, list, group, -1), "offsets");
        must_kafka(rd_kafka_commit_transaction(cp->producer, -1), "commit");
        rd_kafka_consumer_group_metadata_destroy(group);
    } else {
        if (rd_kafka_flush(cp->producer, BENCH_WAIT_MS))
            die("copy", "not everything was delivered");
        if (rd_kafka_commit(cp->reader, list, 0)) die("copy", "offsets were not committed");
    }
    rd_kafka_topic_partition_list_destroy(list);
    cp->open = false;
    cp->n_commits++;
    cp->in_commit_s += now_s() - start;
}

static long copy_some(struct copier *cp, rd_kafka_queue_t *queue, rd_kafka_topic_t *to)
{
    static rd_kafka_message_t *message[COPY_BATCH];
    ssize_t got = rd_kafka_consume_batch_queue(queue, 5, message, COPY_BATCH);
    long n = 0;
    if (got > 0 && !cp->open) {
        if (cp->exactly_once) must_kafka(rd_kafka_begin_transaction(cp->producer), "begin");
        cp->open = true;
    }
    for (ssize_t i = 0; i < got; i++) {
        rd_kafka_message_t *m = message[i];
        if (!m->err) {
            while (rd_kafka_produce(to, m->partition, RD_KAFKA_MSG_F_COPY, m->payload, m->len,
                                    m->key, m->key_len, NULL))
                rd_kafka_poll(cp->producer, 1);
            cp->next[m->partition] = m->offset + 1;
            n++;
        }
        rd_kafka_message_destroy(m);
    }
    rd_kafka_poll(cp->producer, 0);
    return n;
}

static void copy(const char *bootstrap, const char *from, const char *to, const char *mode,
                 long skip, long count)
{
    struct copier cp = {.from = from, .exactly_once = !strcmp(mode, "exactly_once")};
    make_topic(bootstrap, to);
    cp.reader = new_reader(bootstrap, "bench-copy", from, true, "50", 0);
    cp.producer = new_producer(bootstrap, cp.exactly_once ? "bench-copy" : NULL, "5");
    rd_kafka_topic_t *topic = rd_kafka_topic_new(cp.producer, to, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(cp.reader);
    if (cp.exactly_once) must_kafka(rd_kafka_init_transactions(cp.producer, -1), "init");
    double start = 0, cpu = 0, epoch_at = now_s(), read_at = epoch_at;
    long n = 0, counted_from = 0;
    while (n < count) {
        long got = copy_some(&cp, queue, topic);
        double now = now_s();
        n += got;
        if (got) read_at = now;
        if (now - read_at > IDLE_SECONDS_MAX) die(from, "has fewer records than were asked for");
        if (!start && n >= skip) start = now, counted_from = n, cpu = process_cpu_s(getpid());
        if (cp.open && (n >= count || now - epoch_at >= EPOCH_US / 1e6)) {
            end_epoch(&cp);
            epoch_at = now_s();
        }
    }
    double took = now_s() - start;
    printf("%.0f %.2f\n", (double)(n - counted_from) / took,
           (process_cpu_s(getpid()) - cpu) * 1e6 / (double)(n - counted_from));
    fprintf(stderr, "bench: copied %ld records %s, %ld commits of %.1f ms\n", n, mode, cp.n_commits,
            cp.n_commits ? cp.in_commit_s * 1e3 / (double)cp.n_commits : 0);
    rd_kafka_queue_destroy(queue);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(cp.producer);
    rd_kafka_consumer_close(cp.reader);
    rd_kafka_destroy(cp.reader);
}

/* ---- rate */

/* Records up to the last stable offset. The markers of commits count as records: some tens a
 * second. */
static long committed_records(rd_kafka_t *rk, const char *topic)
{
    long n = 0;
    for (int p = 0; p < BENCH_PARTITIONS; p++) {
        int64_t low, high = 0;
        if (rd_kafka_query_watermark_offsets(rk, topic, p, &low, &high, BENCH_WAIT_MS))
            die(topic, "does not answer");
        n += high;
    }
    return n;
}

static void rate(const char *bootstrap, const char *name, long skip, long count, long pid,
                 long broker)
{
    const char *const pair[] = {"isolation.level", "read_committed", NULL};
    rd_kafka_t *rk = new_client(RD_KAFKA_CONSUMER, bootstrap, pair);
    double start = 0, cpu[2] = {0}, moved_at = now_s();
    long from = 0, n = 0;
    while (n < count) {
        long before = n;
        n = committed_records(rk, name);
        double now = now_s();
        double own = process_cpu_s(pid); /* ends here when the process has */
        if (n != before) moved_at = now;
        if (now - moved_at > IDLE_SECONDS_MAX) die(name, "has stopped to grow");
        if (!start && n >= skip) {
            start = now, from = n, cpu[0] = own;
            cpu[1] = process_cpu_s(broker);
        }
        usleep(POLL_US);
    }
    double events = (double)(n - from);
    printf("%.0f %.2f %.2f\n", events / (now_s() - start),
           (process_cpu_s(pid) - cpu[0]) * 1e6 / events,
           (process_cpu_s(broker) - cpu[1]) * 1e6 / events);
    rd_kafka_destroy(rk);
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (!strcmp(verb, "load") && argc == 6)
        load(argv[2], argv[3], argv[4], atol(argv[5]));
    else if (!strcmp(verb, "keys") && argc == 6)
        keys(argv[2], argv[3], atol(argv[4]), atol(argv[5]));
    else if (!strcmp(verb, "copy") && argc == 8)
        copy(argv[2], argv[3], argv[4], argv[5], atol(argv[6]), atol(argv[7]));
    else if (!strcmp(verb, "rate") && argc == 8)
        rate(argv[2], argv[3], atol(argv[4]), atol(argv[5]), atol(argv[6]), atol(argv[7]));
    else
        die("usage", "load | keys | copy | rate, see the top of bench_kafka.c");
    return 0;
}
