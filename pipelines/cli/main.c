#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

/* Started with one of them closed, the next file that is opened would take its number, and what is
 * printed would end up in the state. Each gets a descriptor that refuses what it is for. */
static void hold_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

/* What was printed may still wait in a buffer, or be lost on a full disk. */
static int finish_output(int code)
{
    struct oz_error err = {0};
    if (!fflush(stdout) && !ferror(stdout)) return code;
    oz_error_set(&err, OZ_IO, "cannot write standard output: %s", strerror(errno));
    return code ? code : oz_report(OZ_IO, &err);
}

static int run_verb(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    const char *verb = argv[1];
    if (!strcmp(verb, "--version")) {
        puts("ouzel " OUZEL_VERSION);
        return 0;
    }
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

int main(int argc, char **argv)
{
    struct oz_error err = {0};
    hold_standard_files();
    enum oz_status status = oz_fault_setup(getenv("OUZEL_FAULT"), &err);
    if (status != OZ_OK) return oz_report(status, &err);
    return finish_output(run_verb(argc, argv));
}
