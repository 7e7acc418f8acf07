#include "base/base.h"
#include <stdio.h>
#include <unistd.h>

enum { EXIT_DEFECT = 70, LINE_BYTES = 512 };

void oz_assert_failed(const char *condition, const char *file, int line)
{
    char text[LINE_BYTES];
    int n = snprintf(text, sizeof(text),
                     "ouzel: a defect of ours: %s:%d: `%s` does not hold; please report it\n", file,
                     line, condition);
    size_t len = n < 0 ? 0 : OZ_MIN((size_t)n, sizeof(text) - 1);
    ssize_t written = write(STDERR_FILENO, text, len);
    (void)written; /* there is no one left to tell */
    /* Not exit(): handlers would run on data that is known to be wrong. */
    _exit(EXIT_DEFECT);
}
