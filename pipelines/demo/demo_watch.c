#include "pipelines/demo/demo_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/instant.h"
#include "base/number.h"
#include "stream/kafka_source.h"

enum { SCORES, ALERTS, RECORDS = 2048, REASONS = 2 };

enum oz_status oz_demo_watch_trained(struct oz_demo_watch *watch, const char *csv_path,
                                     struct oz_error *err)
{
    char line[512];
    FILE *file = fopen(csv_path, "r");
    if (!file) OZ_FAIL(err, OZ_ENVIRONMENT, "%s: %s", csv_path, strerror(errno));
    while (fgets(line, sizeof line, file) && watch->n_trained < OZ_TRAINED_MAX) {
        struct oz_trained *t = &watch->trained[watch->n_trained];
        size_t name = strcspn(line, ",");
        if (name >= sizeof t->name || line[name] != ',') continue;
        char *mean = line + name + 1, *sd = strchr(mean, ',');
        if (!sd || !oz_parse_double(mean, (size_t)(sd - mean), &t->mean) ||
            !oz_parse_double(sd + 1, strcspn(sd + 1, ",\r\n"), &t->sd))
            continue;
        memcpy(t->name, line, name);
        t->name[name] = 0;
        watch->n_trained++;
    }
    fclose(file);
    return OZ_OK;
}

/* ---- records of a format of our own: a key is found by its text, which stands once before any
 * text that a user's data could put there */

struct span {
    const char *at;
    size_t len;
};

static struct span value_of(const char *json, size_t len, const char *key)
{
    char quoted[OZ_NAME_BYTES_MAX + 4];
    int n = snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *p = memmem(json, len, quoted, (size_t)n);
    if (!p) return (struct span){"", 0};
    p += n;
    const char *end = json + len, *q = p;
    if (p < end && *p == '"') {
        p++;
        q = memchr(p, '"', (size_t)(end - p));
        return (struct span){p, q ? (size_t)(q - p) : 0};
    }
    while (q < end && *q != ',' && *q != '}') q++;
    return (struct span){p, (size_t)(q - p)};
}

static void copy_text(char *to, size_t cap, struct span s)
{
    size_t n = OZ_MIN(s.len, cap - 1);
    for (size_t i = 0; i < n; i++) to[i] = (unsigned char)s.at[i] < ' ' ? ' ' : s.at[i];
    to[n] = 0;
}

static struct oz_demo_sent *sent_of(struct oz_demo_board *board, const struct oz_record *rec)
{
    int64_t id;
    struct span s = value_of(rec->value, rec->value_len, "event");
    if (!oz_parse_i64(s.at, s.len, &id) || id < 0) return NULL;
    struct oz_demo_sent *sent = &board->ring[id % OZ_DEMO_SENT];
    return atomic_load(&sent->tx_id) == id ? sent : NULL;
}

/* "customer_mean_1d 412.5 (+7.1 sd), ..." of the features farthest out. */
static void find_reasons(const struct oz_demo_watch *watch, const struct oz_record *rec,
                         struct oz_demo_alert *alert)
{
    const char *features = memmem(rec->value, rec->value_len, "\"features\":{", 12);
    size_t len = features ? (size_t)(rec->value + rec->value_len - features) : 0;
    double far[REASONS] = {0}, value[REASONS];
    const struct oz_trained *who[REASONS] = {NULL};
    for (size_t i = 0; features && i < watch->n_trained; i++) {
        const struct oz_trained *t = &watch->trained[i];
        struct span s = value_of(features, len, t->name);
        double v;
        if (!oz_parse_double(s.at, s.len, &v) || !(t->sd > 0)) continue;
        double z = (v - t->mean) / t->sd;
        int k = fabs(z) > fabs(far[0]) ? 0 : fabs(z) > fabs(far[1]) ? 1 : -1;
        if (k < 0) continue;
        if (k == 0) far[1] = far[0], who[1] = who[0], value[1] = value[0];
        far[k] = z, who[k] = t, value[k] = v;
    }
    alert->why[0] = 0;
    size_t at = 0;
    for (int k = 0; k < REASONS && who[k] && at < sizeof alert->why; k++)
        at += (size_t)snprintf(alert->why + at, sizeof alert->why - at, "%s%s %.4g (%+.1f sd)",
                               k ? ", " : "", who[k]->name, value[k], far[k]);
}

static void on_alert(struct oz_demo_watch *watch, const struct oz_record *rec)
{
    struct oz_demo_board *board = watch->board;
    struct oz_demo_sent *sent = sent_of(board, rec);
    struct oz_demo_alert alert = {.score = NAN};
    copy_text(alert.time, sizeof alert.time, value_of(rec->value, rec->value_len, "time"));
    copy_text(alert.customer, sizeof alert.customer, value_of(rec->value, rec->value_len, "key"));
    copy_text(alert.terminal, sizeof alert.terminal,
              value_of(rec->value, rec->value_len, "terminal"));
    copy_text(alert.rule, sizeof alert.rule, value_of(rec->value, rec->value_len, "rule"));
    copy_text(alert.amount, sizeof alert.amount, value_of(rec->value, rec->value_len, "amount"));
    struct span score = value_of(rec->value, rec->value_len, watch->model_name);
    if (!oz_parse_double(score.at, score.len, &alert.score)) alert.score = NAN;
    find_reasons(watch, rec, &alert);
    alert.fraud = sent && atomic_load(&sent->fraud);
    atomic_fetch_add(&board->alerts, 1);
    if (alert.fraud) {
        atomic_fetch_add(&board->alerts_on_fraud, 1);
        if (!atomic_exchange(&sent->alerted, true)) atomic_fetch_add(&board->frauds_caught, 1);
    }
    pthread_mutex_lock(&board->mutex);
    memmove(board->alert + 1, board->alert, (OZ_DEMO_ALERTS - 1) * sizeof alert);
    board->alert[0] = alert;
    board->n_alerts = OZ_MIN(board->n_alerts + 1, OZ_DEMO_ALERTS);
    pthread_mutex_unlock(&board->mutex);
}

static void on_scores(struct oz_demo_watch *watch, const struct oz_record *record, size_t n)
{
    struct oz_demo_board *board = watch->board;
    int64_t now = oz_monotonic_us();
    uint64_t scored = 0;
    pthread_mutex_lock(&board->mutex);
    for (size_t i = 0; i < n; i++) {
        if (record[i].source != SCORES || !record[i].value) continue;
        const struct oz_demo_sent *sent = sent_of(board, &record[i]);
        if (sent) oz_histogram_add(&board->latency, now - atomic_load(&sent->sent_us));
        scored++;
    }
    pthread_mutex_unlock(&board->mutex);
    atomic_fetch_add(&board->scored, scored);
}

static enum oz_status watch_topics(struct oz_demo_watch *watch, struct oz_source *src)
{
    static struct oz_record record[RECORDS];
    while (!atomic_load(&watch->end)) {
        size_t n = 0;
        OZ_TRY(oz_source_next(src, RECORDS, 1000, record, &n, &watch->err));
        on_scores(watch, record, n);
        for (size_t i = 0; i < n; i++)
            if (record[i].source == ALERTS && record[i].value) on_alert(watch, &record[i]);
        oz_source_release(src, record, n);
    }
    return OZ_OK;
}

void *oz_demo_watch_main(void *arg)
{
    struct oz_demo_watch *watch = arg;
    const char *topic[] = {watch->scores, watch->alerts};
    const bool scored[] = {true, false};
    struct oz_positions from = {0};
    struct oz_source *src = NULL;
    pthread_setname_np(pthread_self(), "demo-watch");
    enum oz_status status = oz_positions_init(&from, watch->n_partitions, 2, 1, &watch->err);
    for (uint32_t i = 0; status == OZ_OK && i < 2 * watch->n_partitions; i++) from.source[i] = 0;
    struct oz_kafka_source_config config = {
        .client = watch->client,
        .group = "ouzel-demo-watch",
        .instance = "watch",
        .topic = topic,
        .scored = scored,
        .n_sources = 2,
        .n_partitions = watch->n_partitions,
        .max_idle_us = OZ_US_PER_MS,
        .queue_bytes = 64 << 20,
    };
    if (status == OZ_OK)
        status =
            oz_kafka_source_open(&config, &from, 30 * OZ_US_PER_SECOND, NULL, &src, &watch->err);
    atomic_store(&watch->ready, true);
    if (status == OZ_OK) status = watch_topics(watch, src);
    oz_source_close(src);
    oz_positions_clear(&from);
    watch->err.status = status;
    if (status != OZ_OK) {
        atomic_store(&watch->board->failed, true);
        atomic_store(&watch->board->stop, true);
    }
    return NULL;
}
