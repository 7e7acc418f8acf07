#include <stdio.h>
#include <stdlib.h>

#include "base/instant.h"
#include "pipelines/cli/command.h"
#include "stream/kafka_client.h"

struct topics_options {
    const char *pipeline;
    bool create;
    uint32_t n_partitions;
    int replication;
};

static const struct oz_option option[] = {
    {"create", false, 'c', "make those that are missing", 0},
    {"partitions", true, 'p', "of new source topics (4); a present source topic's count wins", 0},
    {"replication", true, 'r', "of new topics (the broker's default)", 0},
    {NULL, false, 0, NULL, 0},
};

static bool number(const char *value, long max, long *ret_n)
{
    char *end;
    *ret_n = strtol(value, &end, 10);
    if (*value && !*end && *ret_n >= 1 && *ret_n <= max) return true;
    fprintf(stderr, "ouzel topics: %s is no number from 1 to %ld\n", value, max);
    return false;
}

static bool take(void *ctx, int key, const char *value)
{
    struct topics_options *opt = ctx;
    long n;
    switch (key) {
    case 'c': return opt->create = true;
    case 'p':
        if (!number(value, OZ_PARTITIONS_MAX, &n)) return false;
        opt->n_partitions = (uint32_t)n;
        return true;
    case 'r':
        if (!number(value, 100, &n)) return false;
        opt->replication = (int)n;
        return true;
    default:
        if (opt->pipeline)
            fprintf(stderr, "ouzel topics: one pipeline file, not also %s\n", value);
        else
            opt->pipeline = value;
        return opt->pipeline == value;
    }
}

enum { TOPICS_MAX = OZ_SOURCES_MAX + OZ_ENTITIES_MAX + 4 };
struct topic_list {
    struct oz_new_topic topic[TOPICS_MAX];
    struct oz_topic_info info[TOPICS_MAX];
    size_t n;
};

static void add(struct topic_list *list, const char *name, bool compacted)
{
    if (!name) return;
    list->topic[list->n] = (struct oz_new_topic){.name = name, .compacted = compacted};
    list->info[list->n++] = (struct oz_topic_info){.name = name};
}

static enum oz_status look(const struct oz_kafka_config *config, struct topic_list *list,
                           struct oz_error *err)
{
    return oz_kafka_topics(config, list->info, list->n, OZ_TOPIC_MAY_BE, 30 * OZ_US_PER_SECOND,
                           &oz_stop, err);
}

/* The scored source's count if it is there, and all of ours have as many. */
static enum oz_status make(const struct oz_kafka_config *config, const struct topics_options *opt,
                           const struct oz_pipeline *pl, struct topic_list *list,
                           struct oz_error *err)
{
    uint32_t n = opt->n_partitions;
    bool created[TOPICS_MAX] = {false};
    for (size_t s = 0; s < pl->n_sources; s++)
        if (list->info[s].n_partitions) n = list->info[s].n_partitions;
    if (list->info[pl->scored_source].n_partitions) n = list->info[pl->scored_source].n_partitions;
    for (size_t i = 0; i < list->n; i++) {
        list->topic[i].n_partitions = list->info[i].n_partitions ? list->info[i].n_partitions : n;
        list->topic[i].replication = opt->replication;
    }
    OZ_TRY(oz_kafka_create_topics(config, list->topic, list->n, created, err));
    for (size_t i = 0; i < list->n; i++)
        printf("%-40s %4u partitions%s  %s\n", list->topic[i].name, list->topic[i].n_partitions,
               list->topic[i].compacted ? "  compacted" : "", created[i] ? "made" : "is there");
    return OZ_OK;
}

static enum oz_status topics(struct oz_program *prg, const struct topics_options *opt,
                             struct oz_error *err)
{
    const struct oz_pipeline *pl = &prg->pipeline;
    struct topic_list list = {.n = 0};
    struct oz_kafka_config config;
    OZ_TRY(oz_program_client(prg, pl->name, &config, err));
    for (size_t s = 0; s < pl->n_sources; s++) add(&list, pl->source[s].topic, false);
    for (uint32_t e = 0; e < prg->plan->n_entities; e++)
        add(&list, oz_program_changelog(prg, e), true);
    add(&list, oz_program_ledger(prg), false);
    add(&list, pl->scores_topic, false);
    add(&list, pl->alerts_topic, false);
    add(&list, pl->dead_letters_topic, false);
    OZ_TRY(look(&config, &list, err));
    if (opt->create) return make(&config, opt, pl, &list, err);
    size_t missing = 0;
    for (size_t i = 0; i < list.n; i++) {
        missing += !list.info[i].n_partitions;
        if (list.info[i].n_partitions)
            printf("%-40s %4u partitions\n", list.info[i].name, list.info[i].n_partitions);
        else
            printf("%-40s missing\n", list.info[i].name);
    }
    if (missing)
        OZ_FAIL(err, OZ_FOUND, "%zu topic%s missing: ouzel topics --create %s makes %s", missing,
                missing == 1 ? " is" : "s are", opt->pipeline, missing == 1 ? "it" : "them");
    return OZ_OK;
}

int oz_cmd_topics(int argc, char **argv)
{
    struct oz_common_options common = {0};
    struct topics_options opt = {.n_partitions = 4, .replication = -1};
    struct oz_program *prg = NULL;
    struct oz_error err = {0};
    int code = oz_parse_options(argc, argv, option, &common, take, &opt);
    if (code || common.help) return code;
    if (!opt.pipeline) {
        fputs("ouzel topics: which pipeline file?\n", stderr);
        return 2;
    }
    oz_catch_signals();
    if ((code = oz_load_program(opt.pipeline, &common, OZ_PROGRAM_WITHOUT_MODELS, &prg)))
        return code;
    enum oz_status status = topics(prg, &opt, &err);
    oz_program_free(prg);
    return oz_report(status, &err);
}
