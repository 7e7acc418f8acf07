/* Proves that a progress line shows what is done (lines written by hand), fits the terminal's width
 * whatever that is, is drawn at most ten times a second on a terminal (a pseudo terminal stands in
 * for standard error), and that nothing at all is written elsewhere. */
#include "base/clock.h"
#include "base/progress.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <poll.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void test_lines(void **state)
{
    (void)state;
    struct oz_progress progress = {.label = "restore", .unit = "rows", .total = 1000, .done = 250};
    char line[OZ_PROGRESS_BYTES_MAX];
    size_t len = oz_progress_format(&progress, 10000000, 80, line);
    assert_int_equal(len, strlen(line));
    assert_string_equal(line, "restore [##########..............................]  25%  25 rows/s  "
                              "0:30 left");
    progress.total = 100000000, progress.done = 1000000;
    oz_progress_format(&progress, 100000000, 80, line);
    assert_non_null(strstr(line, "]   1%  10.0k rows/s  2h45m left"));
    progress.total = 0, progress.done = 1234567;
    oz_progress_format(&progress, 1000000, 80, line);
    assert_string_equal(line, "restore 1.23M rows  1.23M/s");
    progress.done = 12;
    oz_progress_format(&progress, 0, 80, line);
    assert_string_equal(line, "restore 12 rows  0/s");
    progress.total = 10, progress.done = 20; /* more than was promised */
    oz_progress_format(&progress, 1000000, 80, line);
    assert_non_null(strstr(line, "########] 100%  20 rows/s  0:00 left"));
    progress.done = 0; /* nothing yet: no guess of the time left */
    oz_progress_format(&progress, 1000000, 80, line);
    assert_non_null(strstr(line, "[......"));
    assert_null(strstr(line, "left"));
    progress.total = 1000, progress.done = 1;
    oz_progress_format(&progress, INT64_C(86400) * 1000000, 80, line);
    assert_non_null(strstr(line, "999d left"));
    progress.total = UINT64_MAX; /* for ever, but no overflow */
    oz_progress_format(&progress, INT64_MAX, 80, line);
    assert_null(strstr(line, "left"));
}

static void test_width(void **state)
{
    (void)state;
    struct oz_progress progress = {.label = "a label that is longer than anyone would make it here",
                                   .unit = "records of some topic, with a unit like a sentence",
                                   .total = 1000,
                                   .done = 999};
    for (int columns = 0; columns < 400; columns++) {
        char line[OZ_PROGRESS_BYTES_MAX];
        size_t len = oz_progress_format(&progress, 1000, columns, line);
        assert_int_equal(len, strlen(line));
        assert_true(len <= (columns > 1 ? (size_t)columns - 1 : 0));
    }
}

/* What standard error got while 1000 steps were shown. */
static size_t draw_on(int fd, int from, char *text, size_t cap)
{
    int saved = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    struct oz_progress progress;
    oz_progress_init(&progress, "restore", 1000, "rows");
    for (uint64_t i = 1; i <= 1000; i++) oz_progress_set(&progress, i);
    oz_progress_done(&progress);
    oz_progress_done(&progress);
    dup2(saved, STDERR_FILENO);
    close(saved);
    /* A terminal hands on what was written a little later, and not all at once. */
    size_t len = 0;
    struct pollfd in = {.fd = from, .events = POLLIN};
    while (len < cap - 1 && poll(&in, 1, 300) > 0) {
        ssize_t n = read(from, text + len, cap - 1 - len);
        if (n <= 0) break;
        len += (size_t)n;
    }
    text[len] = '\0';
    return len;
}

static void test_terminal(void **state)
{
    (void)state;
    char text[4096];
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) skip();
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0);
    int64_t start_us = oz_monotonic_us();
    draw_on(slave, master, text, sizeof(text));
    int64_t took_us = oz_monotonic_us() - start_us;
    assert_memory_equal(text, "\r\033[Krestore [", 12);
    size_t n_drawn = 0;
    for (const char *at = text; (at = strstr(at, "restore")); at++) n_drawn++;
    assert_in_range(n_drawn, 1, 2 + took_us / 100000); /* ten times a second, and at the end */
    assert_string_equal(text + strlen(text) - 4, "\r\033[K"); /* and then the line is gone */
    close(slave);
    close(master);
}

static void test_elsewhere(void **state)
{
    (void)state;
    char text[4096];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(draw_on(ends[1], ends[0], text, sizeof(text)), 0);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_width),
        cmocka_unit_test(test_terminal),
        cmocka_unit_test(test_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
