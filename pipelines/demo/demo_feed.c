#include "pipelines/demo/demo_feed.h"

#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/instant.h"

enum { SLICE_US = 5000, SLICE_EVENTS_MAX = 4096 };

struct topics {
    uint32_t number[2], n_partitions[2]; /* transactions, labels */
};

static enum oz_status send_event(const struct topics *topics, struct oz_sink *sink,
                                 const struct oz_fraud_event *ev, struct oz_error *err)
{
    int k = ev->kind == OZ_FRAUD_LABEL;
    struct oz_message msg = {
        .topic = topics->number[k],
        .partition = (int32_t)oz_murmur2_partition(ev->key, ev->key_len, topics->n_partitions[k]),
        .key = ev->key,
        .key_len = ev->key_len,
        .value = ev->value,
        .value_len = ev->value_len,
        .timestamp_ms = ev->arrival_us / OZ_US_PER_MS,
    };
    return oz_sink_produce(sink, &msg, 1, err);
}

/* Only a transaction that will be scored is waited for: broken ones come back as dead letters. */
static void note_sent(struct oz_demo_board *board, const struct oz_fraud_event *ev)
{
    atomic_store(&board->simulated_us, (uint_fast64_t)ev->arrival_us);
    if (ev->kind == OZ_FRAUD_LABEL) {
        atomic_fetch_add(&board->sent_labels, 1);
        return;
    }
    if (ev->broken) return;
    struct oz_demo_sent *sent = &board->ring[ev->tx_id % OZ_DEMO_SENT];
    atomic_store(&sent->fraud, ev->fraud);
    atomic_store(&sent->alerted, false);
    atomic_store(&sent->sent_us, oz_monotonic_us());
    atomic_store(&sent->tx_id, ev->tx_id);
    if (ev->fraud && !ev->repeat) atomic_fetch_add(&board->frauds, 1);
    atomic_fetch_add(&board->sent, 1);
}

static enum oz_status feed(struct oz_demo_feed *fd, struct oz_sink *sink,
                           const struct topics *topics, struct oz_fraud_generator *gen)
{
    struct oz_demo_board *board = fd->board;
    struct oz_fraud_event ev;
    const struct timespec slice = {0, SLICE_US * 1000L};
    double due = 0;
    int64_t last = oz_monotonic_us();
    while (!atomic_load(&board->stop)) {
        int64_t now = oz_monotonic_us();
        bool behind = atomic_load(&board->sent) > atomic_load(&board->scored) + OZ_DEMO_BACKLOG;
        due = behind ? 0 : OZ_MIN(due + fd->rate * (double)(now - last) / 1e6, SLICE_EVENTS_MAX);
        last = now;
        for (; due >= 1; due--) {
            if (!oz_fraud_generator_next(gen, &ev)) return oz_fraud_generator_status(gen, &fd->err);
            /* Simulated time that has caught up with the clock goes on as the clock does. */
            while (ev.arrival_us > oz_wall_us() && !atomic_load(&board->stop))
                nanosleep(&slice, NULL);
            note_sent(board, &ev);
            OZ_TRY(send_event(topics, sink, &ev, &fd->err));
        }
        nanosleep(&slice, NULL);
    }
    return OZ_OK;
}

static enum oz_status run(struct oz_demo_feed *fd)
{
    struct oz_sink *sink = NULL;
    struct oz_fraud_generator *gen = NULL;
    struct topics topics = {0};
    enum oz_status status;
    OZ_TRY_OUT(oz_sink_open(&fd->client, NULL, 10 * OZ_US_PER_SECOND, &sink, &fd->err));
    OZ_TRY_OUT(oz_sink_topic(sink, fd->transactions, true, &topics.number[0],
                             &topics.n_partitions[0], &fd->err));
    OZ_TRY_OUT(oz_sink_topic(sink, fd->labels, true, &topics.number[1], &topics.n_partitions[1],
                             &fd->err));
    OZ_TRY_OUT(oz_fraud_generator_new(&fd->fraud, &gen, &fd->err));
    OZ_TRY_OUT(feed(fd, sink, &topics, gen));
    status = oz_sink_flush(sink, &fd->err);
out:
    oz_fraud_generator_free(gen);
    oz_sink_close(sink);
    return status;
}

void *oz_demo_feed_main(void *arg)
{
    struct oz_demo_feed *fd = arg;
    pthread_setname_np(pthread_self(), "demo-feed");
    fd->err.status = run(fd);
    if (fd->err.status != OZ_OK) atomic_store(&fd->board->failed, true);
    atomic_store(&fd->board->stop, true);
    return NULL;
}
