#include <stdio.h>

#include "base/log.h"
#include "pipelines/cli/command.h"
#include "pipelines/run/backfill.h"

struct backfill_options {
    const char *pipeline, *output, *target, *state;
    const char *from[OZ_SOURCES_MAX];
    size_t n_from;
    bool scores;
};

static const struct oz_option option[] = {
    {"from", true, 'i', "source=FILE: JSON lines, plain, .zst or .gz; once a source", 0},
    {"target", true, 't', "source.field: the truth, joined to each event by id", 0},
    {"output", true, 'o', "the table: a .csv or .csv.zst; - for standard output (default)", 'o'},
    {"scores", false, 'm', "the models' scores too", 0},
    {"state", true, 'd', "keep the rows in this folder, which must be new", 0},
    {NULL, false, 0, NULL, 0},
};

static bool take(void *ctx, int key, const char *value)
{
    struct backfill_options *opt = ctx;
    switch (key) {
    case 'i':
        if (opt->n_from == OZ_SOURCES_MAX || !strchr(value, '=')) {
            fprintf(stderr, "ouzel backfill: --from is source=FILE, not %s\n", value);
            return false;
        }
        opt->from[opt->n_from++] = value;
        return true;
    case 't': opt->target = value; return true;
    case 'o': opt->output = value; return true;
    case 'm': return opt->scores = true;
    case 'd': opt->state = value; return true;
    default:
        if (opt->pipeline)
            fprintf(stderr, "ouzel backfill: one pipeline file, not also %s\n", value);
        else
            opt->pipeline = value;
        return opt->pipeline == value;
    }
}

static int find_source(const struct oz_program *prg, const char *name, size_t len)
{
    for (uint32_t s = 0; s < prg->plan->n_sources; s++)
        if (strlen(prg->schema[s]->name) == len && !memcmp(prg->schema[s]->name, name, len))
            return (int)s;
    return -1;
}

static enum oz_status bind(const struct backfill_options *opt, struct oz_backfill_config *config,
                           struct oz_error *err)
{
    const struct oz_program *prg = config->program;
    for (size_t i = 0; i < opt->n_from; i++) {
        size_t len = strcspn(opt->from[i], "=");
        int s = find_source(prg, opt->from[i], len);
        if (s < 0)
            OZ_FAIL(err, OZ_USAGE, "--from %s: %s has no source `%.*s`", opt->from[i],
                    prg->pipeline.file, (int)len, opt->from[i]);
        if (config->file[s]) OZ_FAIL(err, OZ_USAGE, "--from %s: one file a source", opt->from[i]);
        config->file[s] = opt->from[i] + len + 1;
    }
    uint32_t scored = prg->plan->scored_source;
    if (!config->file[scored])
        OZ_FAIL(err, OZ_USAGE, "the scored source needs a file: --from %s=FILE",
                prg->schema[scored]->name);
    if (!opt->target) return OZ_OK;
    const char *dot = strchr(opt->target, '.');
    int s = dot ? find_source(prg, opt->target, (size_t)(dot - opt->target)) : -1;
    int f = s < 0 ? -1 : oz_schema_find(prg->schema[s], dot + 1, strlen(dot + 1));
    if (f < 0)
        OZ_FAIL(err, OZ_USAGE, "--target %s is no source.field of %s", opt->target,
                prg->pipeline.file);
    if (prg->schema[s]->field[f].type == OZ_STRING)
        OZ_FAIL(err, OZ_USAGE, "--target %s is text: a target is a number or a boolean",
                opt->target);
    if (!config->file[s])
        OZ_FAIL(err, OZ_USAGE, "--target %s needs its file: --from %s=FILE", opt->target,
                prg->schema[s]->name);
    if (prg->schema[s]->id < 0 || prg->schema[scored]->id < 0 ||
        prg->schema[s]->field[prg->schema[s]->id].type !=
            prg->schema[scored]->field[prg->schema[scored]->id].type)
        OZ_FAIL(err, OZ_USAGE, "--target %s: `%s` and `%s` must both have an `id` of one type",
                opt->target, prg->schema[s]->name, prg->schema[scored]->name);
    config->target_source = s;
    config->target_field = f;
    return OZ_OK;
}

static void say_result(const struct oz_backfill_config *config,
                       const struct oz_backfill_result *res)
{
    oz_info("%llu lines in %.1f s (%.0f events/s), %llu with a target; %llu records not taken, "
            "%llu late, %llu repeats; %llu rows evicted, %llu read again",
            (unsigned long long)res->lines, res->seconds,
            res->seconds > 0 ? (double)res->engine.records / res->seconds : 0,
            (unsigned long long)res->with_target, (unsigned long long)res->engine.dead,
            (unsigned long long)res->engine.late_events, (unsigned long long)res->engine.duplicates,
            (unsigned long long)res->engine.rows_evicted,
            (unsigned long long)(res->engine.row_misses - res->engine.rows_created));
    if (res->engine.unscored)
        oz_warn("%llu events were not taken by a model: their scores are empty",
                (unsigned long long)res->engine.unscored);
    for (uint32_t e = 0; e < config->program->plan->n_entities; e++)
        if (res->engine.late[e])
            oz_info("entity %s: %llu events came after their lateness",
                    config->program->plan->entity[e].name, (unsigned long long)res->engine.late[e]);
}

int oz_cmd_backfill(int argc, char **argv)
{
    struct oz_common_options common = {0};
    struct backfill_options opt = {.output = "-"};
    struct oz_error err = {0};
    struct oz_program *prg = NULL;
    struct oz_backfill_result result;
    int code = oz_parse_options(argc, argv, option, &common, take, &opt);
    if (code || common.help) return code;
    if (!opt.pipeline) {
        fputs("ouzel backfill: which pipeline file?\n", stderr);
        return 2;
    }
    oz_catch_signals();
    code = oz_load_program(opt.pipeline, &common, opt.scores ? 0 : OZ_PROGRAM_WITHOUT_MODELS, &prg);
    if (code) return code;
    struct oz_backfill_config config = {
        .program = prg,
        .target_source = -1,
        .target_field = -1,
        .output = opt.output,
        .state_dir = opt.state,
        .with_scores = opt.scores,
        .stop = &oz_stop,
    };
    enum oz_status status = bind(&opt, &config, &err);
    if (status == OZ_OK) status = oz_backfill(&config, &result, &err);
    if (status == OZ_OK) say_result(&config, &result);
    oz_program_free(prg);
    return oz_report(status, &err);
}
