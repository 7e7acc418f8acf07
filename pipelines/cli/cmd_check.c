#include <stdio.h>

#include "pipelines/cli/command.h"
#include "stream/kafka_client.h"

static const struct oz_option option[] = {{NULL, false, 0, NULL, 0}};

static bool take(void *ctx, int key, const char *value)
{
    const char **path = ctx;
    (void)key;
    if (*path)
        fprintf(stderr, "ouzel check: one pipeline file, not also %s\n", value);
    else
        *path = value;
    return *path == value;
}

/* The client's own settings, which only the client can judge. */
static int check_kafka(struct oz_program *prg)
{
    const struct oz_pipeline *pl = &prg->pipeline;
    struct oz_error err = {0};
    struct oz_kafka_config config;
    size_t bad = pl->n_kafka;
    enum oz_status status = oz_program_client(prg, pl->name, &config, &err);
    if (status == OZ_OK) status = oz_kafka_check_settings(&config, &bad, &err);
    if (status != OZ_OK && bad < pl->n_kafka) {
        struct oz_mistakes mistakes = {0};
        oz_pipeline_mistake(pl, &mistakes, pl->kafka[bad].place, 0, "%s", err.message);
        fputs(oz_buf_string(&mistakes.text), stderr);
        oz_mistakes_clear(&mistakes);
    }
    return oz_report(status, &err);
}

static void describe(const struct oz_program *prg)
{
    const struct oz_pipeline *pl = &prg->pipeline;
    printf("%s: pipeline %s, config %s\n", pl->file, pl->name, prg->config_hash);
    for (size_t s = 0; s < pl->n_sources; s++)
        printf("  source   %s: topic %s, %u fields%s\n", prg->schema[s]->name, pl->source[s].topic,
               prg->schema[s]->n_fields, prg->schema[s]->scored ? ", scored" : "");
    for (uint32_t e = 0; e < prg->plan->n_entities; e++)
        printf("  entity   %s: %u aggregates over %u sources, rows live %s\n",
               prg->plan->entity[e].name, prg->plan->entity[e].n_aggregates,
               prg->plan->entity[e].n_rings,
               prg->keyed_by_source[e] ? "with their source partition" : "in the process");
    printf("  features %u\n", prg->n_features);
    for (uint32_t m = 0; m < prg->n_models; m++) {
        const struct oz_bound_model *b = &prg->model[m];
        printf("  model    %s: %s, %s, %u %s, %u features, sha256 %s, %zu golden rows agree\n",
               b->name, b->info->format, b->info->objective,
               b->info->n_trees ? b->info->n_trees : b->info->n_steps,
               b->info->n_trees ? "trees" : "steps", b->info->n_features, b->hash,
               b->n_golden_rows);
    }
    for (size_t r = 0; r < pl->n_rules; r++) printf("  rule     %s\n", pl->rule[r].name);
    for (uint32_t e = 0; e < prg->plan->n_entities; e++)
        if (prg->for_ever[e])
            printf("  hint     rows of `%s` are kept for ever, as `%s` has no end in time: set "
                   "state.ttl to forget those unseen for so long\n",
                   prg->plan->entity[e].name, prg->for_ever[e]);
}

int oz_cmd_check(int argc, char **argv)
{
    struct oz_common_options common = {0};
    const char *path = NULL;
    struct oz_program *prg = NULL;
    int code = oz_parse_options(argc, argv, option, &common, take, &path);
    if (code || common.help) return code;
    if (!path) {
        fputs("ouzel check: which pipeline file?\n", stderr);
        return 2;
    }
    if ((code = oz_load_program(path, &common, 0, &prg))) return code;
    code = check_kafka(prg);
    if (!code) describe(prg);
    oz_program_free(prg);
    return code;
}
