/* Proves that a folder goes with all that is in it, that a link in it is removed and what it points
 * to is not, and that a folder which is not there is no trouble. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folder.h"

static void touch(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
}

static void test_remove(void **state)
{
    (void)state;
    char dir[] = "/tmp/ouzel-folder-XXXXXX", path[64], outside[64];
    assert_non_null(mkdtemp(dir));
    snprintf(outside, sizeof outside, "%s-outside", dir);
    touch(outside);
    snprintf(path, sizeof path, "%s/a", dir);
    assert_int_equal(mkdir(path, 0777), 0);
    snprintf(path, sizeof path, "%s/a/b", dir);
    assert_int_equal(mkdir(path, 0777), 0);
    snprintf(path, sizeof path, "%s/a/b/file", dir);
    touch(path);
    snprintf(path, sizeof path, "%s/a/link", dir);
    assert_int_equal(symlink(outside, path), 0);
    oz_folder_remove(dir);
    assert_int_not_equal(access(dir, F_OK), 0);
    assert_int_equal(access(outside, F_OK), 0);
    oz_folder_remove(dir);
    assert_int_equal(unlink(outside), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_remove)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
