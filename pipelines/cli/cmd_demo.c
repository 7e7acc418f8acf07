#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/instant.h"
#include "base/log.h"
#include "base/number.h"
#include "base/progress.h"
#include "pipelines/cli/command.h"
#include "pipelines/demo/demo.h"

enum { FOR_SECONDS = 60, RATE = 20000 };

struct demo_options {
    const char *what, *pipeline, *folder, *write;
    double for_seconds, rate;
    struct oz_fraud_config fraud;
};

static const struct oz_option option[] = {
    {"for", true, 'f', "how long: 5m, ever (1m)", 0},
    {"rate", true, 'r', "events a second (20000)", 0},
    {"folder", true, 'd', "the demo's own folder (./ouzel-demo)", 0},
    {"pipeline", true, 'p', "another pipeline file than the example's", 0},
    {"seed", true, 'e', "of the generator (1)", 0},
    {"customers", true, 'c', "how many (5000)", 0},
    {"terminals", true, 't', "how many (10000)", 0},
    {"write", true, 'w', "only write transactions and labels as files into this folder", 0},
    {"days", true, 'n', "how many days to write (120)", 0},
    {NULL, false, 0, NULL, 0},
};

static bool number(const char *name, const char *value, int64_t max, int64_t *ret_n)
{
    if (oz_parse_i64(value, strlen(value), ret_n) && *ret_n >= 1 && *ret_n <= max) return true;
    fprintf(stderr, "ouzel demo: --%s %s is no number from 1 to %lld\n", name, value,
            (long long)max);
    return false;
}

static bool take_for(struct demo_options *opt, const char *value)
{
    int64_t us;
    opt->for_seconds = 0;
    if (!strcmp(value, "ever")) return true;
    if (!oz_parse_duration(value, strlen(value), &us) || us < OZ_US_PER_SECOND) {
        fprintf(stderr, "ouzel demo: --for %s is no duration, such as 5m, nor `ever`\n", value);
        return false;
    }
    opt->for_seconds = (double)us / 1e6;
    return true;
}

static bool take(void *ctx, int key, const char *value)
{
    struct demo_options *opt = ctx;
    int64_t n;
    switch (key) {
    case 'f': return take_for(opt, value);
    case 'r':
        if (!number("rate", value, 1000000, &n)) return false;
        opt->rate = (double)n;
        return true;
    case 'd': opt->folder = value; return true;
    case 'p': opt->pipeline = value; return true;
    case 'w': opt->write = value; return true;
    case 'e':
        if (!number("seed", value, INT64_MAX, &n)) return false;
        opt->fraud.seed = (uint64_t)n;
        return true;
    case 'c':
        if (!number("customers", value, OZ_FRAUD_CUSTOMERS_MAX, &n)) return false;
        opt->fraud.customers = (uint32_t)n;
        return true;
    case 't':
        if (!number("terminals", value, OZ_FRAUD_TERMINALS_MAX, &n)) return false;
        opt->fraud.terminals = (uint32_t)n;
        return true;
    case 'n':
        if (!number("days", value, OZ_FRAUD_DAYS_MAX, &n)) return false;
        opt->fraud.days = (uint32_t)n;
        return true;
    default:
        if (opt->what || strcmp(value, "fraud")) {
            fprintf(stderr, "ouzel demo: there is `fraud`, and no `%s`\n", value);
            return false;
        }
        opt->what = value;
        return true;
    }
}

static void show_day(void *ctx, uint32_t done, uint32_t days)
{
    (void)days;
    oz_progress_set(ctx, done);
}

static int write_files(const struct demo_options *opt)
{
    struct oz_error err = {0};
    struct oz_progress progress;
    if (mkdir(opt->write, 0777) && errno != EEXIST)
        return oz_report(oz_error_set(&err, OZ_ENVIRONMENT, "cannot make the folder %s: %s",
                                      opt->write, strerror(errno)),
                         &err);
    oz_progress_init(&progress, "writing", opt->fraud.days, "days");
    struct oz_fraud_progress day = {show_day, &progress};
    enum oz_status status = oz_fraud_generator_write(&opt->fraud, opt->write, &day, &err);
    oz_progress_done(&progress);
    if (status == OZ_OK)
        oz_info("%s/transactions.jsonl.zst and %s/labels.jsonl.zst: %u days, seed %llu", opt->write,
                opt->write, opt->fraud.days, (unsigned long long)opt->fraud.seed);
    return oz_report(status, &err);
}

int oz_cmd_demo(int argc, char **argv)
{
    struct oz_common_options common = {0};
    struct demo_options opt = {.folder = "ouzel-demo",
                               .for_seconds = FOR_SECONDS,
                               .rate = RATE,
                               .fraud = oz_fraud_defaults()};
    struct oz_error err = {0};
    int code = oz_parse_options(argc, argv, option, &common, take, &opt);
    if (code || common.help) return code;
    if (!opt.what) {
        fputs("ouzel demo: which one? There is `fraud`\n", stderr);
        return 2;
    }
    if (opt.write) return write_files(&opt);
    oz_catch_signals();
    opt.fraud.start_us = 0;
    struct oz_demo_config config = {
        .pipeline = opt.pipeline,
        .folder = opt.folder,
        .for_seconds = opt.for_seconds,
        .rate = opt.rate,
        .fraud = opt.fraud,
        .set = common.set,
        .n_set = common.n_set,
        .stop = &oz_stop,
    };
    enum oz_status status = oz_demo_fraud(&config, &err);
    if (status == OZ_RETRY && oz_stop) status = OZ_OK;
    return oz_report(status, &err);
}
