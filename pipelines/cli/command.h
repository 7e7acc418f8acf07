/* The command line: a table of verbs, one file each, and what all of them share.
 * Conventions: results go to standard output, logs and progress to standard error; a verb returns
 * the process's exit code (base/status.h). `arg_` globals would be the only globals here; there are
 * none. */
#ifndef OZ_PIPELINES_CLI_COMMAND_H
#define OZ_PIPELINES_CLI_COMMAND_H
#include <stdatomic.h>

#include "pipelines/run/program.h"

struct oz_command {
    const char *name, *synopsis, *summary;
    int (*run)(int argc, char **argv); /* argv[0] is the verb */
    bool served;
};
extern const struct oz_command oz_commands[]; /* ends with a NULL name */

/* The options that every verb takes; a verb's parser hands the rest to them. */
struct oz_common_options {
    const char *set[64];
    size_t n_set;
    bool help;
    bool without_pipeline; /* set by the verb: there is no file that --set could change */
};

/* An option of a verb: "--name value" or "--name=value" when it takes one. */
struct oz_option {
    const char *name; /* without the dashes */
    bool takes_value;
    int key; /* what the callback gets */
    const char *help;
    char letter; /* "-o" for "--output"; 0: none */
};
/* Parses argv[1..]: options anywhere, positional arguments in order (key 0). The callback returns
 * false to refuse a value, after it has printed why. Returns 0, or the exit code 2; on --help
 * prints the verb's help and sets common->help. */
int oz_parse_options(int argc, char **argv, const struct oz_option *option,
                     struct oz_common_options *common,
                     bool (*take)(void *ctx, int key, const char *value), void *ctx);
/* Prints "ouzel: where: message" and returns the exit code of the status. */
int oz_report(enum oz_status status, const struct oz_error *err);
/* Loads a program, prints every mistake; returns 0 or the exit code. */
int oz_load_program(const char *path, const struct oz_common_options *common, unsigned flags,
                    struct oz_program **ret_program);

/* SIGINT and SIGTERM set it; a second one, later than 300 ms, ends the process at once. */
extern atomic_bool oz_stop;
void oz_catch_signals(void);

int oz_cmd_run(int argc, char **argv);
int oz_cmd_check(int argc, char **argv);
int oz_cmd_topics(int argc, char **argv);
int oz_cmd_backfill(int argc, char **argv);
int oz_cmd_demo(int argc, char **argv);
int oz_cmd_state(int argc, char **argv);
int oz_cmd_replay(int argc, char **argv);
int oz_cmd_diff(int argc, char **argv);
int oz_cmd_schema(int argc, char **argv);
int oz_cmd_model(int argc, char **argv);
#endif
