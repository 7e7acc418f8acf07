/* Proves that an armed fault point does its deed on the pass it was armed for and on no other, that
 * `kill` ends the process as SIGKILL does (in a forked child), and that a wrong specification is
 * refused with the known names. */
#include "base/fault.h"
#include "base/memory.h"
#include "base/clock.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void arm(const char *spec)
{
    struct oz_error err;
    assert_int_equal(oz_fault_setup(spec, &err), OZ_OK);
}

static void test_none(void **state)
{
    (void)state;
    arm(NULL);
    assert_false(oz_fault_armed);
    arm("");
    assert_false(oz_fault_armed);
    for (int i = 0; i < OZ_FAULT_COUNT; i++) assert_int_equal(oz_fault(i), OZ_FAULT_NONE);
}

static void test_nth(void **state)
{
    (void)state;
    arm("offsets-start:3=fail,commit-start=skip,seal-start:every=fail,offsets-start:5=skip");
    for (int pass = 1; pass <= 6; pass++) {
        assert_int_equal(oz_fault(OZ_FAULT_OFFSETS_START), pass == 3   ? OZ_FAULT_FAIL
                                                           : pass == 5 ? OZ_FAULT_SKIP
                                                                       : OZ_FAULT_NONE);
        assert_int_equal(oz_fault(OZ_FAULT_COMMIT_START),
                         pass == 1 ? OZ_FAULT_SKIP : OZ_FAULT_NONE);
        assert_int_equal(oz_fault(OZ_FAULT_SEAL_START), OZ_FAULT_FAIL);
        assert_int_equal(oz_fault(OZ_FAULT_COMMIT_DONE), OZ_FAULT_NONE);
    }
    arm("commit-start=skip"); /* counts start again */
    assert_int_equal(oz_fault(OZ_FAULT_COMMIT_START), OZ_FAULT_SKIP);
    assert_int_equal(oz_fault(OZ_FAULT_SEAL_START), OZ_FAULT_NONE);
    arm(NULL);
    assert_int_equal(oz_fault(OZ_FAULT_COMMIT_START), OZ_FAULT_NONE);
}

static void test_sleep(void **state)
{
    (void)state;
    arm("store-done:2=60");
    int64_t start_us = oz_monotonic_us();
    assert_int_equal(oz_fault(OZ_FAULT_STORE_DONE), OZ_FAULT_NONE);
    int64_t first_us = oz_monotonic_us();
    assert_int_equal(oz_fault(OZ_FAULT_STORE_DONE), OZ_FAULT_NONE);
    int64_t second_us = oz_monotonic_us();
    assert_true(second_us - first_us >= 60000);
    assert_true(first_us - start_us < second_us - first_us);
    arm(NULL);
}

/* How the child ended that passed the point twice. */
static int end_of_child(const char *spec)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        /* not the test framework's */
        for (int signo = SIGABRT; signo <= SIGSEGV; signo++) signal(signo, SIG_DFL);
        if (oz_fault_setup(spec, NULL) != OZ_OK) _exit(99);
        oz_fault(OZ_FAULT_STORE_START);
        oz_fault_record("a good one", 10);
        oz_fault_record("a bad one", 9);
        oz_fault(OZ_FAULT_COMMIT_DONE);
        oz_fault(OZ_FAULT_COMMIT_DONE);
        _exit(17);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_kill(void **state)
{
    (void)state;
    assert_int_equal(end_of_child(""), 17);
    assert_int_equal(end_of_child("commit-done"), 1000 + SIGKILL);
    assert_int_equal(end_of_child("commit-done:2"), 1000 + SIGKILL);
    assert_int_equal(end_of_child("commit-done:2=kill,offsets-start=fail"), 1000 + SIGKILL);
    assert_int_equal(end_of_child("commit-done:3=kill"), 17);
    assert_int_equal(end_of_child("commit-done:2=fail"), 17);
    assert_int_equal(end_of_child("poison-record=bad"), 1000 + SIGSEGV);
    assert_int_equal(end_of_child("commit-done:3,poison-record:abrt=a b"), 1000 + SIGABRT);
    assert_int_equal(end_of_child("poison-record:fpe= good"), 1000 + SIGFPE);
    assert_int_equal(end_of_child("poison-record:kill=bad one"), 1000 + SIGKILL);
    assert_int_equal(end_of_child("poison-record:bus=bad one."), 17);
}

static void test_no_memory(void **state)
{
    (void)state;
    arm("no-memory:2,commit-done:9");
    void *first = oz_malloc(1), *second = oz_malloc(1), *third = oz_malloc(1);
    assert_true(first && !second && third);
    oz_free(first);
    oz_free(third);
    arm("");
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(oz_fault_name(OZ_FAULT_BATCH_START), "batch-start");
    assert_string_equal(oz_fault_name(OZ_FAULT_ABORT_START), "abort-start");
    for (int i = 0; i < OZ_FAULT_COUNT; i++) {
        arm(oz_fault_name(i));
        assert_true(oz_fault_armed);
    }
    arm(NULL);
}

static void test_refused(void **state)
{
    (void)state;
    struct oz_error err;
    assert_int_equal(oz_fault_setup("comit-done:3=kill", &err), OZ_USAGE);
    assert_int_equal(err.status, OZ_USAGE);
    assert_non_null(strstr(err.message, "\"comit-done\""));
    assert_non_null(strstr(err.message, "did you mean \"commit-done\""));
    for (int i = 0; i < OZ_FAULT_COUNT; i++) assert_non_null(strstr(err.message, oz_fault_name(i)));
    assert_false(oz_fault_armed);

    static const char *const specs[] = {",",
                                        "commit-done,",
                                        "commit-done:",
                                        "commit-done:0",
                                        "commit-done:x",
                                        "commit-done:-1",
                                        "commit-done=",
                                        "commit-done=die",
                                        "commit-done=-5",
                                        "commit-done:1:2",
                                        "commit-done=kill=1",
                                        "=kill",
                                        ":1",
                                        "nonsense",
                                        "commit-done kill",
                                        "commit-done:99999999999999",
                                        "commit",
                                        "poison-record",
                                        "poison-record=",
                                        "poison-record:term=x",
                                        "no-memory",
                                        "no-memory:",
                                        "no-memory:0",
                                        "no-memory:3=kill",
                                        "commit-done=99999999999999"};
    for (size_t i = 0; i < OZ_COUNT_OF(specs); i++) {
        arm("commit-done=fail");
        memset(&err, 0, sizeof(err));
        assert_int_equal(oz_fault_setup(specs[i], &err), OZ_USAGE);
        assert_true(strlen(err.message) > 20);
        assert_false(oz_fault_armed);
        assert_int_equal(oz_fault(OZ_FAULT_COMMIT_DONE), OZ_FAULT_NONE);
    }
    assert_int_equal(oz_fault_setup("nonsense", NULL), OZ_USAGE);
    char many[2000] = "commit-done";
    for (int i = 0; i < 40; i++) strcat(many, ",commit-done");
    assert_int_equal(oz_fault_setup(many, &err), OZ_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none),    cmocka_unit_test(test_nth),
        cmocka_unit_test(test_sleep),   cmocka_unit_test(test_kill),
        cmocka_unit_test(test_names),   cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
