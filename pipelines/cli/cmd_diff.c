#include <stdio.h>

#include "pipelines/cli/command.h"
#include "pipelines/run/definition.h"

enum { KEY_STATE = 1 };

static const struct oz_option option[] = {
    {"state", false, KEY_STATE, "what becomes of the rows of OLD when NEW goes on with them", 0},
    {NULL, false, 0, NULL, 0}};

struct options {
    const char *path[2];
    int n;
    bool state;
};

static bool take(void *ctx, int key, const char *value)
{
    struct options *opt = ctx;
    if (key == KEY_STATE) return opt->state = true;
    if (opt->n == 2) {
        fprintf(stderr, "ouzel diff: two pipeline files, not also %s\n", value);
        return false;
    }
    opt->path[opt->n++] = value;
    return true;
}

int oz_cmd_diff(int argc, char **argv)
{
    struct oz_common_options common = {0};
    struct options opt = {0};
    struct oz_program *prg[2] = {NULL, NULL};
    struct oz_error err = {0};
    int code = oz_parse_options(argc, argv, option, &common, take, &opt);
    if (code || common.help) return code;
    if (!opt.state || opt.n != 2) {
        fputs("ouzel diff: --state and two pipeline files: the old one and the new one\n", stderr);
        return 2;
    }
    for (int i = 0; i < 2 && !code; i++) code = oz_load_program(opt.path[i], &common, 0, &prg[i]);
    if (!code) {
        enum oz_status status = oz_definition_compare(prg[0], prg[1], stdout, &err);
        if (status == OZ_STATE)
            oz_error_prefix(&err, "refused: %s cannot go on with the state of %s", opt.path[1],
                            opt.path[0]);
        code = oz_report(status, &err);
    }
    oz_program_free(prg[0]);
    oz_program_free(prg[1]);
    return code;
}
