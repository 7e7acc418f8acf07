/* Proves that a failed OZ_ASSERT ends the process with exit code 70 and names the place and the
 * condition on standard error, in release builds too, and that a true one does nothing. The failure
 * happens in a forked child. */
#include "base/base.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_assert(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        OZ_ASSERT(1 + 1 == 2);
        OZ_ASSERT(ends[0] == -12345);
        _exit(0);
    }
    close(ends[1]);
    char text[1024];
    size_t len = 0;
    ssize_t n;
    while ((n = read(ends[0], text + len, sizeof(text) - 1 - len)) > 0) len += (size_t)n;
    text[len] = '\0';
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 70);
    assert_non_null(strstr(text, "test_base.c:"));
    assert_non_null(strstr(text, "ends[0] == -12345"));
    assert_int_equal(text[len - 1], '\n');
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_assert)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
