#include "pipelines/cli/command.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/nearest.h"

enum { SAME_STOP_US = 300 * 1000 };

const struct oz_command oz_commands[] = {
    {"run", "run [OPTIONS] PIPELINE", "runs a pipeline against Kafka", oz_cmd_run, true},
    {"demo", "demo [OPTIONS] fraud", "shows card fraud on a broker inside the process", oz_cmd_demo,
     true},
    {"check", "check [OPTIONS] PIPELINE", "checks a pipeline file, its features and its models",
     oz_cmd_check, true},
    {"topics", "topics [OPTIONS] PIPELINE", "lists the topics of a pipeline, or makes them",
     oz_cmd_topics, true},
    {"backfill", "backfill [OPTIONS] PIPELINE", "writes the features of past events as a table",
     oz_cmd_backfill, true},
    {"state", "state [OPTIONS] PIPELINE", "shows the state folder of a pipeline, running or not",
     oz_cmd_state, true},
    {"schema", "schema [OPTIONS]", "prints the JSON Schema of a pipeline file", oz_cmd_schema,
     true},
    {"test", "", "", NULL, false},
    {"diff", "diff --state OLD NEW", "says what a changed pipeline file does to the state it has",
     oz_cmd_diff, true},
    {"replay", "replay [OPTIONS] PIPELINE",
     "recomputes the answers of an epoch, and says whether they are equal", oz_cmd_replay, true},
    {"model", "model info|check|predict [OPTIONS] FILE [ROWS.csv]",
     "describes a model file, checks its golden rows, scores a table", oz_cmd_model, true},
    {"profile", "", "", NULL, false},
    {"top", "", "", NULL, false},
    {"bench", "", "", NULL, false},
    {NULL, NULL, NULL, NULL, false},
};

atomic_bool oz_stop;

/* A second signal ends the process at once: but `timeout`, some supervisors and a terminal's
 * wrapper scripts send one stop twice, to the process and to its group. */
static void on_signal(int signal)
{
    static _Atomic int64_t stopped_us;
    int64_t now = oz_monotonic_us();
    if (oz_stop && now - stopped_us > SAME_STOP_US) _exit(128 + signal);
    if (!oz_stop) stopped_us = now;
    oz_stop = true;
}

void oz_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int oz_report(enum oz_status status, const struct oz_error *err)
{
    if (status != OZ_OK)
        oz_error_log("%s%s%s", err->where, err->where[0] ? ": " : "",
                     err->message[0] ? err->message : oz_status_text(status));
    return oz_status_exit_code(status);
}

/* ---- options */

/* The first one is for verbs that load a pipeline file. */
static const struct oz_option common_option[] = {
    {"set", true, 's', "key=value instead of the file's, e.g. --set epoch.every=1s", 0},
    {"log-level", true, 'l', "error, warn, info, debug or trace", 0},
    {"log-format", true, 'f', "text or json", 0},
    {"help", false, 'h', "this text", 'h'},
    {NULL, false, 0, NULL, 0},
};

struct log_options {
    enum oz_log_level level;
    enum oz_log_format format;
};

static int find_name(const char *const *names, const char *value)
{
    for (int i = 0; names[i]; i++)
        if (!strcmp(names[i], value)) return i;
    return -1;
}

static bool take_common(struct oz_common_options *common, struct log_options *log, int key,
                        const char *value)
{
    static const char *const levels[] = {"error", "warn", "info", "debug", "trace", NULL};
    static const char *const formats[] = {"text", "json", NULL};
    int at = 0;
    switch (key) {
    case 's':
        if (common->n_set == OZ_COUNT_OF(common->set)) {
            fprintf(stderr, "ouzel: at most %zu times --set\n", common->n_set);
            return false;
        }
        common->set[common->n_set++] = value;
        return true;
    case 'l':
        if ((at = find_name(levels, value)) >= 0) log->level = (enum oz_log_level)at;
        break;
    case 'f':
        if ((at = find_name(formats, value)) >= 0) log->format = (enum oz_log_format)at;
        break;
    default: common->help = true; return true;
    }
    if (at < 0)
        fprintf(stderr, "ouzel: %s is no log %s\n", value,
                key == 'l' ? "level: error, warn, info, debug or trace" : "format: text or json");
    return at >= 0;
}

/* What a verb takes: its own options, then the common ones. */
struct options {
    const struct oz_option *part[2];
};

static struct options options_of(const struct oz_option *own,
                                 const struct oz_common_options *common)
{
    return (struct options){{own, common_option + common->without_pipeline}};
}

static void print_help(const char *verb, const struct options *options)
{
    for (const struct oz_command *c = oz_commands; c->name; c++)
        if (!strcmp(c->name, verb)) printf("usage: ouzel %s\n\n%s\n\n", c->synopsis, c->summary);
    for (int k = 0; k < 2; k++)
        for (const struct oz_option *o = options->part[k]; o->name; o++)
            printf("  --%s%-*s %s\n", o->name, (int)(24 - strlen(o->name)),
                   o->takes_value ? " VALUE" : "", o->help);
}

static const struct oz_option *find_option(const struct options *options, const char *name,
                                           size_t len)
{
    for (int k = 0; k < 2; k++)
        for (const struct oz_option *o = options->part[k]; o->name; o++)
            if (strlen(o->name) == len && !memcmp(o->name, name, len)) return o;
    return NULL;
}

static const struct oz_option *find_letter(const struct options *options, const char *name)
{
    for (int k = 0; k < 2; k++)
        for (const struct oz_option *o = options->part[k]; o->name && !name[1]; o++)
            if (o->letter == name[0]) return o;
    return NULL;
}

static bool is_common(const struct oz_option *o)
{
    return o >= common_option && o < common_option + OZ_COUNT_OF(common_option);
}

/* `name` points behind the dashes of `arg`. */
static int unknown_option(const char *verb, const struct options *options, const char *arg,
                          const char *name, size_t len)
{
    const char *names[64];
    size_t n = 0;
    for (int k = 0; k < 2; k++)
        for (const struct oz_option *o = options->part[k]; o->name && n < OZ_COUNT_OF(names); o++)
            names[n++] = o->name;
    const char *near = oz_nearest(name, len, names, n);
    fprintf(stderr, "ouzel %s: unknown option %.*s%s%s%s: see ouzel %s --help\n", verb,
            (int)(name - arg + (ptrdiff_t)len), arg, near ? ": did you mean --" : "",
            near ? near : "", near ? "?" : "", verb);
    return 2;
}

int oz_parse_options(int argc, char **argv, const struct oz_option *option,
                     struct oz_common_options *common,
                     bool (*take)(void *ctx, int key, const char *value), void *ctx)
{
    struct log_options log = {OZ_LOG_INFO, OZ_LOG_TEXT};
    struct options options = options_of(option, common);
    bool only_names = false;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (only_names || arg[0] != '-' || !arg[1]) {
            if (!take(ctx, 0, arg)) return 2;
            continue;
        }
        if (!strcmp(arg, "--")) {
            only_names = true;
            continue;
        }
        const char *name = arg + (arg[1] == '-' ? 2 : 1);
        size_t len = strcspn(name, "=");
        const struct oz_option *o =
            arg[1] == '-' ? find_option(&options, name, len) : find_letter(&options, name);
        if (!o) return unknown_option(argv[0], &options, arg, name, len);
        const char *value = name[len] == '=' ? name + len + 1 : NULL;
        if (o->takes_value && !value && i + 1 < argc) value = argv[++i];
        if (o->takes_value != (value != NULL)) {
            fprintf(stderr, "ouzel %s: --%s takes %s value\n", argv[0], o->name,
                    o->takes_value ? "a" : "no");
            return 2;
        }
        bool ok =
            is_common(o) ? take_common(common, &log, o->key, value) : take(ctx, o->key, value);
        if (!ok) return 2;
    }
    oz_log_setup(log.level, log.format);
    if (common->help) print_help(argv[0], &options);
    return 0;
}

/* ---- programs */

int oz_load_program(const char *path, const struct oz_common_options *common, unsigned flags,
                    struct oz_program **ret_program)
{
    struct oz_mistakes mistakes = {0};
    struct oz_error err = {0};
    enum oz_status status =
        oz_program_load(path, common->set, common->n_set, flags, ret_program, &mistakes, &err);
    if (mistakes.n) {
        fputs(oz_buf_string(&mistakes.text), stderr);
        /* The first one's text is on the screen already: the last line counts them. */
        oz_error_set(&err, status, "%zu mistake%s in %s", mistakes.n, mistakes.n == 1 ? "" : "s",
                     path);
    }
    oz_mistakes_clear(&mistakes);
    return oz_report(status, &err);
}
