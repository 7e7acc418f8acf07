/* Proves that log lines have the promised form on standard error (caught in a pipe), that levels
 * hold lines back, that no message can forge a second line, that lines of several threads stay
 * whole, and that a redirection gets the lines instead. The wall clock is held, so whole lines are
 * compared. */
#include "base/log.h"
#include "base/clock.h"
#include "base/memory.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CAUGHT_BYTES = 60000 };
static int saved_stderr, pipe_ends[2];
static char caught[CAUGHT_BYTES + 1];

static void catch_stderr(void)
{
    assert_int_equal(pipe(pipe_ends), 0);
    fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK);
    saved_stderr = dup(STDERR_FILENO);
    dup2(pipe_ends[1], STDERR_FILENO);
}

static const char *let_go(void)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(pipe_ends[1]);
    size_t len = 0;
    ssize_t n;
    while ((n = read(pipe_ends[0], caught + len, CAUGHT_BYTES - len)) > 0) len += (size_t)n;
    caught[len] = '\0';
    close(pipe_ends[0]);
    return caught;
}

static int set_up(void **state)
{
    (void)state;
    oz_wall_hold(INT64_C(1532513472000000));
    oz_log_setup(OZ_LOG_INFO, OZ_LOG_TEXT);
    return 0;
}

static void test_text(void **state)
{
    (void)state;
    catch_stderr();
    errno = 33;
    oz_error_log("broker %s:%d", "localhost", 9092);
    oz_warn("two\nlines\x1b[31m\n");
    oz_info("here");
    oz_debug("held back");
    int errno_after = errno;
    oz_log_setup(OZ_LOG_TRACE, OZ_LOG_TEXT);
    oz_trace("now");
    assert_string_equal(let_go(), "2018-07-25T10:11:12.000Z error broker localhost:9092\n"
                                  "2018-07-25T10:11:12.000Z warn  two lines [31m\n"
                                  "2018-07-25T10:11:12.000Z info  here\n"
                                  "2018-07-25T10:11:12.000Z trace now\n");
    assert_int_equal(errno_after, 33);
    assert_true(oz_log_enabled(OZ_LOG_TRACE));
    oz_log_setup(OZ_LOG_ERROR, OZ_LOG_TEXT);
    assert_true(oz_log_enabled(OZ_LOG_ERROR));
    assert_false(oz_log_enabled(OZ_LOG_WARN));
    assert_string_equal(oz_log_level_name(OZ_LOG_DEBUG), "debug");
}

static void test_json(void **state)
{
    (void)state;
    oz_log_setup(OZ_LOG_INFO, OZ_LOG_JSON);
    catch_stderr();
    oz_info("a \"quoted\"\nline");
    assert_string_equal(let_go(), "{\"time\":\"2018-07-25T10:11:12.000Z\",\"level\":\"info\","
                                  "\"message\":\"a \\\"quoted\\\"\\u000aline\"}\n");
}

static void test_long_and_out_of_memory(void **state)
{
    (void)state;
    static char text[10000];
    memset(text, 'a', sizeof(text) - 1);
    catch_stderr();
    oz_info("%s", text);
    const char *line = let_go();
    size_t len = strlen(line);
    assert_int_equal(len, strlen("2018-07-25T10:11:12.000Z info  ") + 4095 + 1);
    assert_int_equal(line[len - 1], '\n');

    uint64_t warm = oz_allocations();
    catch_stderr();
    oz_info("short");
    let_go();
    assert_int_equal(oz_allocations(), warm);

    memset(text, '\x01', sizeof(text) - 1); /* six bytes each as JSON: the line has to grow */
    oz_log_setup(OZ_LOG_INFO, OZ_LOG_JSON);
    catch_stderr();
    oz_fail_allocation(1);
    oz_info("%s", text);
    oz_fail_allocation(0);
    oz_info("alive");
    assert_non_null(strstr(let_go(), "\"message\":\"alive\""));
}

static void *log_often(void *arg)
{
    for (int i = 0; i < 100; i++)
        oz_info("thread %d says the same thing all the time", *(int *)arg);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t thread[4];
    int number[4] = {0, 1, 2, 3}, count[4] = {0};
    catch_stderr();
    for (int i = 0; i < 4; i++) pthread_create(&thread[i], NULL, log_often, &number[i]);
    for (int i = 0; i < 4; i++) pthread_join(thread[i], NULL);
    char *rest = (char *)let_go();
    for (char *line; (line = strsep(&rest, "\n")) && *line;) {
        int n = -1, end = 0;
        sscanf(line, "2018-07-25T10:11:12.000Z info  thread %d says the same thing all the time%n",
               &n, &end);
        assert_int_equal(end, (int)strlen(line));
        count[n]++;
    }
    for (int i = 0; i < 4; i++) assert_int_equal(count[i], 100);
}

static char redirected[200];
static void take_line(void *ctx, const char *text, size_t len)
{
    ++*(int *)ctx;
    snprintf(redirected, sizeof(redirected), "%.*s", (int)len, text);
}

static void test_redirect(void **state)
{
    (void)state;
    int n = 0;
    catch_stderr();
    oz_log_redirect(take_line, &n);
    oz_info("to the screen");
    oz_debug("held back");
    oz_log_redirect(NULL, NULL);
    oz_info("to the pipe");
    oz_log_over_line(true);
    oz_info("over the bar");
    oz_log_over_line(false);
    assert_string_equal(let_go(), "2018-07-25T10:11:12.000Z info  to the pipe\n"
                                  "\r\033[K2018-07-25T10:11:12.000Z info  over the bar\n");
    assert_int_equal(n, 1);
    assert_string_equal(redirected, "2018-07-25T10:11:12.000Z info  to the screen");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_text, set_up),
        cmocka_unit_test_setup(test_json, set_up),
        cmocka_unit_test_setup(test_long_and_out_of_memory, set_up),
        cmocka_unit_test_setup(test_threads, set_up),
        cmocka_unit_test_setup(test_redirect, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
