/* Proves that every status has its text, action and documented exit code, and that errors are
 * filled, prefixed and cut as the header says. The exit codes are those of the command line's
 * public table, written down here a second time. */
#include "base/status.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void test_exit_codes(void **state)
{
    (void)state;
    static const struct {
        enum oz_status status;
        int exit_code;
        enum oz_action action;
    } expected[] = {
        {OZ_OK, 0, OZ_ACTION_NONE},           {OZ_FOUND, 1, OZ_ACTION_FATAL},
        {OZ_USAGE, 2, OZ_ACTION_FATAL},       {OZ_CONFIG, 3, OZ_ACTION_FATAL},
        {OZ_ENVIRONMENT, 4, OZ_ACTION_FATAL}, {OZ_STATE, 5, OZ_ACTION_FATAL},
        {OZ_CORRUPT, 5, OZ_ACTION_FATAL},     {OZ_MODEL, 6, OZ_ACTION_FATAL},
        {OZ_FENCED, 7, OZ_ACTION_FATAL},      {OZ_LOST, 8, OZ_ACTION_FATAL},
        {OZ_DEFECT, 70, OZ_ACTION_FATAL},     {OZ_RECORD, 1, OZ_ACTION_SKIP_RECORD},
        {OZ_RETRY, 7, OZ_ACTION_RETRY},       {OZ_ABORT, 7, OZ_ACTION_ABORT_EPOCH},
        {OZ_FLOOD, 8, OZ_ACTION_FATAL},
    };
    for (size_t i = 0; i < OZ_COUNT_OF(expected); i++) {
        assert_int_equal(oz_status_exit_code(expected[i].status), expected[i].exit_code);
        assert_int_equal(oz_status_action(expected[i].status), expected[i].action);
    }
    for (int i = 0; i < OZ_STATUS_COUNT; i++) assert_true(strlen(oz_status_text(i)) > 1);
}

static void test_set(void **state)
{
    (void)state;
    struct oz_error err;
    memset(&err, 'x', sizeof(err));
    assert_int_equal(oz_error_set(&err, OZ_RECORD, "field %s at byte %d", "amount", 17), OZ_RECORD);
    assert_int_equal(err.status, OZ_RECORD);
    assert_string_equal(err.message, "field amount at byte 17");
    assert_string_equal(err.where, "");

    assert_int_equal(oz_error_set_at(&err, OZ_CONFIG, "a.yaml", 3, 14, "no such key"), OZ_CONFIG);
    assert_string_equal(err.where, "a.yaml:3:14");
    assert_string_equal(err.message, "no such key");
    oz_error_set_at(&err, OZ_CONFIG, "a.yaml", 3, 0, "x");
    assert_string_equal(err.where, "a.yaml:3");
    oz_error_set_at(&err, OZ_CONFIG, "a.yaml", 0, 0, "x");
    assert_string_equal(err.where, "a.yaml");
    /* The file's name may be the error's own. */
    oz_error_set_at(&err, OZ_CONFIG, err.where, 7, 1, "again: %s", err.message);
    assert_string_equal(err.where, "a.yaml:7:1");
    assert_string_equal(err.message, "again: x");

    assert_int_equal(oz_error_set(NULL, OZ_IO, "%s", "nobody listens"), OZ_IO);
    assert_int_equal(oz_error_set_at(NULL, OZ_IO, "f", 1, 1, "%s", "nobody listens"), OZ_IO);
}

static void test_prefix(void **state)
{
    (void)state;
    struct oz_error err;
    oz_error_set_at(&err, OZ_MODEL, "m.ubj", 0, 0, "tree 3 has no root");
    assert_int_equal(oz_error_prefix(&err, "model %s", "fraud"), OZ_MODEL);
    assert_string_equal(err.message, "model fraud: tree 3 has no root");
    assert_string_equal(err.where, "m.ubj");
    assert_int_equal(oz_error_prefix(NULL, "words"), OZ_DEFECT);
}

static void test_cut(void **state)
{
    (void)state;
    struct oz_error err;
    char text[2 * OZ_ERROR_MESSAGE_BYTES];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    oz_error_set_at(&err, OZ_IO, text, 1, 1, "%s", text);
    assert_int_equal(strlen(err.message), OZ_ERROR_MESSAGE_BYTES - 1);
    assert_int_equal(strlen(err.where), OZ_ERROR_WHERE_BYTES - 1);
    oz_error_prefix(&err, "b");
    assert_int_equal(strlen(err.message), OZ_ERROR_MESSAGE_BYTES - 1);
    assert_memory_equal(err.message, "b: aaa", 6);
    for (size_t n = OZ_ERROR_MESSAGE_BYTES - 4; n < OZ_ERROR_MESSAGE_BYTES + 4; n++) {
        oz_error_set(&err, OZ_IO, "tail");
        oz_error_prefix(&err, "%.*s", (int)n, text);
        assert_int_equal(strlen(err.message), OZ_ERROR_MESSAGE_BYTES - 1);
        assert_int_equal(err.message[0], 'a');
    }
}

static enum oz_status fails_at(int n, struct oz_error *err)
{
    OZ_TRY(n == 1 ? oz_error_set(err, OZ_IO, "first") : OZ_OK);
    if (n == 2) OZ_FAIL(err, OZ_STATE, "second %d", n);
    return OZ_OK;
}

static int n_cleaned;
static enum oz_status cleans_up(int n, struct oz_error *err)
{
    enum oz_status status;
    OZ_TRY_OUT(fails_at(n, err));
out:
    n_cleaned++;
    return status;
}

static void test_macros(void **state)
{
    (void)state;
    struct oz_error err;
    assert_int_equal(fails_at(0, &err), OZ_OK);
    assert_int_equal(fails_at(1, &err), OZ_IO);
    assert_int_equal(fails_at(2, &err), OZ_STATE);
    assert_string_equal(err.message, "second 2");
    assert_int_equal(cleans_up(0, &err), OZ_OK);
    assert_int_equal(cleans_up(2, &err), OZ_STATE);
    assert_int_equal(n_cleaned, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_codes), cmocka_unit_test(test_set),
        cmocka_unit_test(test_prefix),     cmocka_unit_test(test_cut),
        cmocka_unit_test(test_macros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
