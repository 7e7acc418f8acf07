#include <stdio.h>
#include <unistd.h>

#include "base/instant.h"
#include "base/log.h"
#include "pipelines/cli/command.h"
#include "pipelines/run/runner.h"

enum { STATUS_SECONDS = 5, BROKER_WAIT_SECONDS = 60 };

struct run_options {
    const char *pipeline;
    int64_t wait_us;
};

static const struct oz_option option[] = {
    {"broker-wait", true, 'w', "how long to wait for a broker at start (60s)", 0},
    {NULL, false, 0, NULL, 0},
};

static bool take(void *ctx, int key, const char *value)
{
    struct run_options *opt = ctx;
    if (key == 'w') {
        if (oz_parse_duration(value, strlen(value), &opt->wait_us)) return true;
        fprintf(stderr, "ouzel run: --broker-wait %s is no duration, such as 60s\n", value);
        return false;
    }
    if (opt->pipeline) {
        fprintf(stderr, "ouzel run: one pipeline file, not also %s\n", value);
        return false;
    }
    opt->pipeline = value;
    return true;
}

/* "51 49" in percent of the row updates: each worker's share. */
static void shares(const struct oz_engine_stats *engine, char *to, size_t cap)
{
    uint64_t all = 0;
    size_t at = 0, n = OZ_COUNT_OF(engine->worker_events);
    while (n > 1 && !engine->worker_events[n - 1]) n--;
    for (size_t w = 0; w < n; w++) all += engine->worker_events[w];
    to[0] = 0;
    for (size_t w = 0; w < n && at < cap; w++)
        at += (size_t)snprintf(to + at, cap - at, "%s%.0f", w ? " " : "",
                               all ? 100.0 * (double)engine->worker_events[w] / (double)all : 0);
}

/* The last line's counts, so that a line shows what happened since. */
struct status_line {
    double seconds;
    uint64_t records;
};

static void show_status(void *ctx, const struct oz_runner_stats *stats)
{
    struct status_line *last = ctx;
    double dt = stats->seconds - last->seconds;
    uint64_t alerts = 0, held = 0;
    char share[256], keys[64] = "", unscored[64] = "";
    shares(&stats->engine, share, sizeof share);
    if (stats->key_mismatches)
        snprintf(keys, sizeof keys, ", keys off their partition %llu",
                 (unsigned long long)stats->key_mismatches);
    if (stats->engine.unscored)
        snprintf(unscored, sizeof unscored, ", not taken by a model %llu",
                 (unsigned long long)stats->engine.unscored);
    for (int r = 0; r < OZ_RULES_MAX; r++) {
        alerts += stats->outputs.alerts[r];
        held += stats->outputs.suppressed[r];
    }
    oz_info(
        "%.0f events/s, lag %lld, scored %llu, alerts %llu (%llu held back), dead letters %llu, "
        "late %llu, duplicates %llu, commits %llu (p50 %.1f, p99 %.1f ms), rows in memory %llu, "
        "retired %llu, "
        "worker shares %s %%%s%s%s",
        dt > 0 ? (double)(stats->engine.records - last->records) / dt : 0, (long long)stats->lag,
        (unsigned long long)stats->engine.scored, (unsigned long long)alerts,
        (unsigned long long)held, (unsigned long long)stats->engine.dead,
        (unsigned long long)stats->engine.late_events, (unsigned long long)stats->engine.duplicates,
        (unsigned long long)stats->emitter.commits, (double)stats->emitter.commit_us_p50 / 1e3,
        (double)stats->emitter.commit_us_p99 / 1e3,
        (unsigned long long)stats->engine.rows_in_memory,
        (unsigned long long)stats->retirement.rows, share, keys, unscored,
        stats->paused ? ", paused for want of disk space" : "");
    last->seconds = stats->seconds;
    last->records = stats->engine.records;
}

static void show_ready(void *ctx)
{
    (void)ctx;
    oz_info("ready");
}

static void show_models(const struct oz_program *prg)
{
    for (uint32_t m = 0; m < prg->n_models; m++) {
        const struct oz_bound_model *b = &prg->model[m];
        oz_info("model %s: %s, %u features, %u scores, kernels %s, %u rows at a time%s%s", b->name,
                b->info->format, b->info->n_features, b->n_scores, b->info->kernels,
                b->info->tile_rows, b->info->why_one ? ": " : "",
                b->info->why_one ? b->info->why_one : "");
    }
}

int oz_cmd_run(int argc, char **argv)
{
    struct oz_common_options common = {0};
    struct run_options opt = {.wait_us = BROKER_WAIT_SECONDS * OZ_US_PER_SECOND};
    struct oz_error err = {0};
    struct oz_program *prg = NULL;
    struct status_line last = {0};
    int code = oz_parse_options(argc, argv, option, &common, take, &opt);
    if (code || common.help) return code;
    if (!opt.pipeline) {
        fputs("ouzel run: which pipeline file?\n", stderr);
        return 2;
    }
    oz_catch_signals();
    if ((code = oz_load_program(opt.pipeline, &common, 0, &prg))) return code;
    show_models(prg);
    struct oz_runner_config config = {
        .program = prg,
        .state_dir = prg->pipeline.state_dir,
        .delivery = prg->pipeline.delivery,
        .broker_wait_us = opt.wait_us,
        .stop = &oz_stop,
        .status = show_status,
        .status_ctx = &last,
        .status_us = STATUS_SECONDS * OZ_US_PER_SECOND,
        .ready = show_ready,
    };
    enum oz_status status = oz_runner_run(&config, &err);
    if (status == OZ_RETRY && oz_stop) status = OZ_OK;
    oz_program_free(prg);
    return oz_report(status, &err);
}
