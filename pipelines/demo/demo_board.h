/* What the demo's threads tell each other: who feeds writes what was sent, who watches what came
 * back, who draws reads both.
 * Threads: counters are atomic; the ring of sent transactions is written by the feeder and read by
 * the watcher, which never lags by a whole ring (the feeder waits); alerts and the runner's numbers
 * are under the mutex. */
#ifndef OZ_PIPELINES_DEMO_DEMO_BOARD_H
#define OZ_PIPELINES_DEMO_DEMO_BOARD_H
#include <pthread.h>
#include <stdatomic.h>

#include "base/histogram.h"
#include "pipelines/run/runner.h"

enum { OZ_DEMO_SENT = 1 << 18, OZ_DEMO_BACKLOG = 20000, OZ_DEMO_ALERTS = 12, OZ_DEMO_TEXT = 96 };

struct oz_demo_sent {
    _Atomic int64_t tx_id, sent_us;
    _Atomic bool fraud, alerted;
};

struct oz_demo_alert {
    char time[OZ_DEMO_TEXT], customer[OZ_DEMO_TEXT], terminal[OZ_DEMO_TEXT], rule[OZ_DEMO_TEXT];
    char amount[OZ_DEMO_TEXT], why[2 * OZ_DEMO_TEXT];
    double score;
    bool fraud;
};

struct oz_demo_board {
    atomic_bool stop, failed;
    atomic_uint_fast64_t sent, sent_labels, frauds, simulated_us;
    atomic_uint_fast64_t scored, alerts, alerts_on_fraud, frauds_caught;
    struct oz_demo_sent ring[OZ_DEMO_SENT]; /* by tx_id */
    pthread_mutex_t mutex;
    struct oz_histogram latency;                /* produced to score received */
    struct oz_demo_alert alert[OZ_DEMO_ALERTS]; /* newest first */
    size_t n_alerts;
    struct oz_runner_stats runner;
};
#endif
