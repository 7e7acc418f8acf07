#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/nearest.h"
#include "pipelines/cli/command.h"

static void usage(FILE *to)
{
    fputs("usage: ouzel VERB [OPTIONS] ...\n\n", to);
    for (const struct oz_command *c = oz_commands; c->name; c++)
        if (c->served) fprintf(to, "  %-9s %s\n", c->name, c->summary);
    fputs("\n  ouzel VERB --help tells more; ouzel --version\n", to);
}

static int unknown(const char *verb)
{
    const char *names[32];
    size_t n = 0;
    for (const struct oz_command *c = oz_commands; c->name && n < OZ_COUNT_OF(names); c++)
        names[n++] = c->name;
    const char *near = oz_nearest(verb, strlen(verb), names, n);
    fprintf(stderr, "ouzel: unknown verb `%s`", verb);
    if (near) fprintf(stderr, ": did you mean `%s`?", near);
    fputs("\n\n", stderr);
    usage(stderr);
    return 2;
}

int main(int argc, char **argv)
{
    struct oz_error err = {0};
    enum oz_status status = oz_fault_setup(getenv("OUZEL_FAULT"), &err);
    if (status != OZ_OK) return oz_report(status, &err);
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    const char *verb = argv[1];
    if (!strcmp(verb, "--version")) return puts("ouzel " OUZEL_VERSION) < 0;
    if (!strcmp(verb, "--help") || !strcmp(verb, "help") || !strcmp(verb, "-h")) {
        usage(stdout);
        return 0;
    }
    for (const struct oz_command *c = oz_commands; c->name; c++) {
        if (strcmp(c->name, verb)) continue;
        if (c->served) return c->run(argc - 1, argv + 1);
        fprintf(stderr, "ouzel: `%s` is not served yet\n", verb);
        return 2;
    }
    return unknown(verb);
}
