#include "pipelines/demo/demo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/folder.h"
#include "base/instant.h"
#include "base/log.h"
#include "pipelines/demo/demo_feed.h"
#include "pipelines/demo/demo_screen.h"
#include "pipelines/demo/demo_watch.h"
#include "state/folder_lock.h"
#include "stream/embedded_broker.h"

enum { PARTITIONS = 4, SETS_MAX = 80, DRAW_US = 200000, PATH_BYTES = 4096 };
/* The mock cluster answers a fetch that finds nothing only when this is over, whatever comes. */
#define FETCH_WAIT_KEY "fetch.wait.max.ms"
#define FETCH_WAIT_MS  "2"
#define READY_WAIT_US  (60 * OZ_US_PER_SECOND)
#define DRAIN_WAIT_US  (10 * OZ_US_PER_SECOND)
#define EVENTS_PER_DAY 9600.0

struct demo {
    const struct oz_demo_config *config;
    struct oz_embedded_broker *broker;
    struct oz_program *prg;
    struct oz_demo_board *board;
    struct oz_demo_feed feed;
    struct oz_demo_watch watch;
    struct oz_demo_screen screen;
    pthread_t run_thread, feed_thread, watch_thread;
    bool run_started, feed_started, watch_started;
    struct oz_runner_config runner;
    atomic_bool run_stop;
    atomic_bool run_ready;
    struct oz_error run_err;
    char path[PATH_BYTES], state[PATH_BYTES], address[256];
    struct oz_kafka_setting setting[2];
};

/* Every demo begins with empty state. What is removed is a state folder that nobody holds, under a
 * name that no pipeline has: `--folder .` must not cost anybody their own ./state. */
static enum oz_status clear_state(struct demo *demo, struct oz_error *err)
{
    int fd;
    snprintf(demo->state, sizeof demo->state, "%s/demo-state", demo->config->folder);
    OZ_TRY(oz_folder_lock(demo->state, &fd, err));
    oz_folder_remove(demo->state);
    oz_folder_unlock(fd);
    return OZ_OK;
}

/* The example lies beside the sources, beside a build, or where it was installed. */
static enum oz_status find_pipeline(struct demo *demo, struct oz_error *err)
{
    static const char *const places[] = {
        "../../pipelines/examples/card-fraud/pipeline.yaml",
        "../share/ouzel/examples/card-fraud/pipeline.yaml",
    };
    static const char here[] = "pipelines/examples/card-fraud/pipeline.yaml";
    char self[PATH_BYTES], path[2 * PATH_BYTES];
    if (demo->config->pipeline || !access(here, R_OK)) {
        snprintf(demo->path, sizeof demo->path, "%s",
                 demo->config->pipeline ? demo->config->pipeline : here);
        return OZ_OK;
    }
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = NULL;
    if (n > 0) {
        self[n] = 0;
        slash = strrchr(self, '/');
    }
    for (size_t i = 0; slash && i < OZ_COUNT_OF(places); i++) {
        snprintf(path, sizeof path, "%.*s/%s", (int)(slash - self), self, places[i]);
        if (!access(path, R_OK) && realpath(path, demo->path)) return OZ_OK;
    }
    OZ_FAIL(err, OZ_ENVIRONMENT,
            "the example's pipeline file is not found: name it with --pipeline");
}

static enum oz_status load(struct demo *demo, struct oz_error *err)
{
    const char *set[SETS_MAX];
    char broker[300], state[PATH_BYTES + 16];
    size_t n = 0;
    struct oz_mistakes mistakes = {0};
    snprintf(broker, sizeof broker, "kafka.bootstrap.servers=%s", demo->address);
    snprintf(state, sizeof state, "state.dir=%s", demo->state);
    for (size_t i = 0; i < demo->config->n_set && n < SETS_MAX - 5; i++)
        set[n++] = demo->config->set[i];
    set[n++] = broker;
    set[n++] = state;
    set[n++] = "delivery=at_least_once";
    set[n++] = "start=earliest";
    set[n++] = "kafka." FETCH_WAIT_KEY "=" FETCH_WAIT_MS;
    enum oz_status status = oz_program_load(demo->path, set, n, 0, &demo->prg, &mistakes, err);
    if (mistakes.n) {
        fputs(oz_buf_string(&mistakes.text), stderr);
        oz_error_set(err, status, "%zu mistake%s in %s", mistakes.n, mistakes.n == 1 ? "" : "s",
                     demo->path);
    }
    oz_mistakes_clear(&mistakes);
    return status;
}

static enum oz_status make_topics(struct demo *demo, struct oz_error *err)
{
    const struct oz_pipeline *pl = &demo->prg->pipeline;
    const char *topic[OZ_SOURCES_MAX + OZ_ENTITIES_MAX + 4];
    size_t n = 0;
    if (pl->n_sources != 2 || !pl->scores_topic || !pl->alerts_topic || !pl->n_models)
        OZ_FAIL(
            err, OZ_CONFIG,
            "%s: the demo needs two sources (transactions and labels), a model, scores and alerts",
            pl->file);
    for (size_t s = 0; s < pl->n_sources; s++) topic[n++] = pl->source[s].topic;
    for (uint32_t e = 0; e < demo->prg->plan->n_entities; e++)
        topic[n++] = oz_program_changelog(demo->prg, e);
    topic[n++] = oz_program_ledger(demo->prg);
    topic[n++] = pl->scores_topic;
    topic[n++] = pl->alerts_topic;
    if (pl->dead_letters_topic) topic[n++] = pl->dead_letters_topic;
    for (size_t i = 0; i < n; i++)
        OZ_TRY(oz_embedded_broker_topic(demo->broker, topic[i], PARTITIONS, err));
    return OZ_OK;
}

static void on_status(void *ctx, const struct oz_runner_stats *stats)
{
    struct demo *demo = ctx;
    pthread_mutex_lock(&demo->board->mutex);
    demo->board->runner = *stats;
    pthread_mutex_unlock(&demo->board->mutex);
}

static void on_ready(void *ctx)
{
    struct demo *demo = ctx;
    atomic_store(&demo->run_ready, true);
}

static void *run_main(void *arg)
{
    struct demo *demo = arg;
    pthread_setname_np(pthread_self(), "demo-run");
    demo->run_err.status = oz_runner_run(&demo->runner, &demo->run_err);
    if (demo->run_err.status != OZ_OK) atomic_store(&demo->board->failed, true);
    atomic_store(&demo->board->stop, true);
    return NULL;
}

static enum oz_status start_thread(pthread_t *thread, bool *started, void *(*main)(void *),
                                   void *arg, struct oz_error *err)
{
    if (pthread_create(thread, NULL, main, arg))
        OZ_FAIL(err, OZ_NO_MEMORY, "cannot start a thread");
    *started = true;
    return OZ_OK;
}

static bool ending(const struct demo *demo)
{
    return (demo->config->stop && *demo->config->stop) || atomic_load(&demo->board->stop);
}

static enum oz_status start(struct demo *demo, struct oz_error *err)
{
    const struct oz_pipeline *pl = &demo->prg->pipeline;
    struct oz_kafka_config client = {.setting = demo->setting,
                                     .n_settings = OZ_COUNT_OF(demo->setting),
                                     .client_id = "ouzel-demo"};
    demo->setting[0] = (struct oz_kafka_setting){"bootstrap.servers", demo->address};
    demo->setting[1] = (struct oz_kafka_setting){FETCH_WAIT_KEY, FETCH_WAIT_MS};
    demo->runner = (struct oz_runner_config){
        .program = demo->prg,
        .state_dir = demo->state,
        .delivery = OZ_AT_LEAST_ONCE,
        .embedded = true,
        .broker_wait_us = 10 * OZ_US_PER_SECOND,
        .stop = &demo->run_stop,
        .status = on_status,
        .status_ctx = demo,
        .status_us = DRAW_US,
        .ready = on_ready,
    };
    demo->watch.board = demo->feed.board = demo->board;
    demo->watch.client = demo->feed.client = client;
    demo->watch.scores = pl->scores_topic;
    demo->watch.alerts = pl->alerts_topic;
    demo->watch.model_name = pl->model[0].name;
    demo->watch.n_partitions = PARTITIONS;
    demo->feed.transactions = pl->source[pl->scored_source].topic;
    demo->feed.labels = pl->source[!pl->scored_source].topic;
    demo->feed.rate = demo->config->rate;
    demo->feed.fraud = demo->config->fraud;
    OZ_TRY(start_thread(&demo->watch_thread, &demo->watch_started, oz_demo_watch_main, &demo->watch,
                        err));
    OZ_TRY(start_thread(&demo->run_thread, &demo->run_started, run_main, demo, err));
    const struct timespec tick = {0, 20000000};
    int64_t until = oz_monotonic_us() + READY_WAIT_US;
    while (!ending(demo) && !(atomic_load(&demo->run_ready) && atomic_load(&demo->watch.ready))) {
        if (oz_monotonic_us() > until)
            OZ_FAIL(err, OZ_BROKER, "the pipeline did not start in time");
        nanosleep(&tick, NULL);
    }
    return start_thread(&demo->feed_thread, &demo->feed_started, oz_demo_feed_main, &demo->feed,
                        err);
}

/* What was sent is scored before anything is stopped. */
static void drain(struct demo *demo)
{
    struct oz_demo_board *board = demo->board;
    const struct timespec tick = {0, 20000000};
    int64_t until = oz_monotonic_us() + DRAIN_WAIT_US;
    atomic_store(&board->stop, true);
    if (demo->feed_started) pthread_join(demo->feed_thread, NULL);
    demo->feed_started = false;
    while (!atomic_load(&board->failed) && oz_monotonic_us() < until &&
           atomic_load(&board->scored) < atomic_load(&board->sent))
        nanosleep(&tick, NULL);
}

static enum oz_status show(struct demo *demo)
{
    const struct timespec tick = {0, DRAW_US * 1000L};
    int64_t began = oz_monotonic_us();
    double seconds = 0;
    while (!ending(demo) &&
           (demo->config->for_seconds <= 0 || seconds < demo->config->for_seconds)) {
        nanosleep(&tick, NULL);
        seconds = (double)(oz_monotonic_us() - began) / 1e6;
        oz_demo_screen_draw(&demo->screen, demo->board, seconds);
    }
    drain(demo);
    if (demo->screen.on_terminal) oz_demo_screen_draw(&demo->screen, demo->board, seconds);
    demo->run_stop = true;
    pthread_join(demo->run_thread, NULL);
    demo->run_started = false;
    if (!atomic_load(&demo->board->failed) || atomic_load(&demo->board->scored))
        oz_demo_screen_summary(&demo->screen, demo->board, seconds, demo->config->folder);
    return OZ_OK;
}

static void stop_all(struct demo *demo)
{
    if (demo->board) atomic_store(&demo->board->stop, true);
    demo->run_stop = true;
    atomic_store(&demo->watch.end, true);
    if (demo->feed_started) pthread_join(demo->feed_thread, NULL);
    if (demo->run_started) pthread_join(demo->run_thread, NULL);
    if (demo->watch_started) pthread_join(demo->watch_thread, NULL);
    oz_embedded_broker_stop(demo->broker);
    oz_program_free(demo->prg);
}

static void load_training(struct demo *demo)
{
    struct oz_error err = {0};
    char csv[PATH_BYTES];
    const char *model = demo->prg->pipeline.model[0].file, *dot = strrchr(model, '.');
    snprintf(csv, sizeof csv, "%.*s.training.csv", (int)(dot ? dot - model : (long)strlen(model)),
             model);
    if (oz_demo_watch_trained(&demo->watch, csv, &err) != OZ_OK)
        oz_warn("alerts are shown without reasons: %s", err.message);
}

static void ignore_line(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    (void)text;
    (void)len;
}

static enum oz_status run(struct demo *demo, struct oz_error *err)
{
    const struct oz_demo_config *config = demo->config;
    OZ_TRY(find_pipeline(demo, err));
    if (mkdir(config->folder, 0777) && errno != EEXIST)
        OZ_FAIL(err, OZ_ENVIRONMENT, "cannot make the folder %s: %s", config->folder,
                strerror(errno));
    OZ_TRY(clear_state(demo, err));
    OZ_TRY(oz_embedded_broker_start(&demo->broker, err));
    snprintf(demo->address, sizeof demo->address, "%s", oz_embedded_broker_address(demo->broker));
    OZ_TRY(load(demo, err));
    OZ_TRY(make_topics(demo, err));
    load_training(demo);
    oz_info(
        "%s as it is, but for the broker in this process (and how long it holds an empty fetch), "
        "`delivery: at_least_once` (that broker has no transactions) and the state in %s",
        demo->path, demo->state);
    oz_demo_screen_init(&demo->screen, config->for_seconds);
    if (demo->screen.on_terminal) oz_log_redirect(ignore_line, NULL);
    enum oz_status status = start(demo, err);
    if (status == OZ_OK) status = show(demo);
    oz_log_redirect(NULL, NULL);
    return status;
}

/* The first failure of a thread is the demo's. */
static enum oz_status thread_failure(const struct demo *demo, enum oz_status status,
                                     struct oz_error *err)
{
    const struct oz_error *of[] = {&demo->run_err, &demo->watch.err, &demo->feed.err};
    for (size_t i = 0; status == OZ_OK && i < OZ_COUNT_OF(of); i++)
        if (of[i]->status != OZ_OK) {
            status = of[i]->status;
            *err = *of[i];
        }
    return status;
}

enum oz_status oz_demo_fraud(const struct oz_demo_config *config, struct oz_error *err)
{
    struct oz_demo_config own = *config;
    struct demo *demo = oz_calloc(1, sizeof *demo);
    struct oz_demo_board *board = oz_calloc(1, sizeof *board);
    if (!demo || !board) {
        oz_free(demo);
        oz_free(board);
        return oz_no_memory(err);
    }
    pthread_mutex_init(&board->mutex, NULL);
    demo->board = board;
    demo->config = &own;
    double days = own.for_seconds > 0 ? own.for_seconds * own.rate / EVENTS_PER_DAY + 2 : 20000;
    own.fraud.days = (uint32_t)OZ_MIN(days, (double)OZ_FRAUD_DAYS_MAX);
    if (!own.fraud.start_us) {
        int64_t latest = oz_wall_us() - (int64_t)own.fraud.days * OZ_US_PER_DAY;
        int64_t usual = oz_fraud_defaults().start_us;
        own.fraud.start_us = OZ_MAX(OZ_MIN(latest, usual), OZ_US_PER_DAY);
    }
    enum oz_status status = run(demo, err);
    stop_all(demo);
    status = thread_failure(demo, status, err);
    pthread_mutex_destroy(&board->mutex);
    oz_free(board);
    oz_free(demo);
    return status;
}
