#include <stdio.h>
#include <stdlib.h>

#include "base/instant.h"
#include "pipelines/cli/command.h"
#include "pipelines/run/recompute.h"

enum { BROKER_WAIT_SECONDS = 60 };

struct replay_options {
    const char *pipeline, *id, *instance, *scores, *alerts;
    uint64_t epoch;
    bool from_changelog;
};

static const struct oz_option option[] = {
    {"epoch", true, 'e', "the epoch of this number, as the ledger has it", 0},
    {"id", true, 'i', "a score's or an alert's id: the epoch that made it, and only its answers",
     0},
    {"instance", true, 'n', "whose epoch (the pipeline's instance)", 0},
    {"scores", true, 'S', "the topic to compare scores with (the pipeline's)", 0},
    {"alerts", true, 'A', "the topic to compare alerts with (the pipeline's)", 0},
    {"from-changelog", false, 'c', "take the rows from the changelogs, not from the sources", 0},
    {NULL, false, 0, NULL, 0},
};

static bool take_epoch(struct replay_options *opt, const char *value)
{
    char *end;
    opt->epoch = strtoull(value, &end, 10);
    if (*value >= '0' && *value <= '9' && !*end && opt->epoch > 0) return true;
    fprintf(stderr, "ouzel replay: --epoch %s is no number of an epoch\n", value);
    return false;
}

static bool take(void *ctx, int key, const char *value)
{
    struct replay_options *opt = ctx;
    switch (key) {
    case 'e': return take_epoch(opt, value);
    case 'i': opt->id = value; return true;
    case 'n': opt->instance = value; return true;
    case 'S': opt->scores = value; return true;
    case 'A': opt->alerts = value; return true;
    case 'c': return opt->from_changelog = true;
    default:
        if (opt->pipeline)
            fprintf(stderr, "ouzel replay: one pipeline file, not also %s\n", value);
        else
            opt->pipeline = value;
        return opt->pipeline == value;
    }
}

static enum oz_status replay(struct oz_program *prg, const struct replay_options *opt,
                             struct oz_error *err)
{
    const struct oz_pipeline *pl = &prg->pipeline;
    struct oz_recompute_result res = {0};
    struct oz_recompute_config config = {
        .program = prg,
        .epoch = opt->epoch,
        .instance = opt->instance ? opt->instance : pl->instance,
        .id = opt->id,
        .scores_topic = opt->scores ? opt->scores : pl->scores_topic,
        .alerts_topic = opt->alerts ? opt->alerts : pl->alerts_topic,
        .from_changelog = opt->from_changelog,
        .out = stdout,
        .broker_wait_us = BROKER_WAIT_SECONDS * OZ_US_PER_SECOND,
        .stop = &oz_stop,
    };
    if (prg->n_legs > 1)
        OZ_FAIL(
            err, OZ_CONFIG,
            "%s has `exchange: topic`: its epochs are of several processes, and replay does not "
            "recompute those",
            opt->pipeline);
    OZ_TRY(oz_recompute(&config, &res, err));
    char from[64] = "";
    if (res.from_epoch)
        snprintf(from, sizeof from, " behind the rows of epoch %llu",
                 (unsigned long long)res.from_epoch);
    printf("epoch %llu of %s: %llu score%s and %llu alert%s recomputed (%llu epochs run before "
           "it%s): %s\n",
           (unsigned long long)res.epoch, res.instance, (unsigned long long)res.n_scores,
           res.n_scores == 1 ? "" : "s", (unsigned long long)res.n_alerts,
           res.n_alerts == 1 ? "" : "s", (unsigned long long)res.n_epochs_before, from,
           res.n_differences ? "different" : "equal");
    if (res.n_differences)
        OZ_FAIL(err, OZ_FOUND, "%llu difference%s", (unsigned long long)res.n_differences,
                res.n_differences == 1 ? "" : "s");
    return OZ_OK;
}

int oz_cmd_replay(int argc, char **argv)
{
    struct oz_common_options common = {0};
    struct replay_options opt = {0};
    struct oz_program *prg = NULL;
    struct oz_error err = {0};
    int code = oz_parse_options(argc, argv, option, &common, take, &opt);
    if (code || common.help) return code;
    if (!opt.pipeline) {
        fputs("ouzel replay: which pipeline file?\n", stderr);
        return 2;
    }
    if (!opt.epoch == !opt.id) {
        fputs("ouzel replay: either --epoch N or --id ID says what is recomputed\n", stderr);
        return 2;
    }
    oz_catch_signals();
    if ((code = oz_load_program(opt.pipeline, &common, 0, &prg))) return code;
    enum oz_status status = replay(prg, &opt, &err);
    oz_program_free(prg);
    return oz_report(status, &err);
}
