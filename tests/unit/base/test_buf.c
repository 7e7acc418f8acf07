/* Proves that a buffer holds what was added whatever the sizes (against an array filled by hand),
 * that a failed growth keeps what was there and stays failed until it is reset, and that a warm
 * buffer allocates nothing. */
#include "base/buf.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

static void test_adds(void **state)
{
    (void)state;
    struct oz_buf buf;
    static char expected[200000];
    size_t len = 0;
    oz_buf_init(&buf);
    assert_string_equal(oz_buf_string(&buf), "");
    assert_int_equal(buf.len, 0);
    for (int i = 0; len < 100000; i++) {
        char text[64];
        int n = snprintf(text, sizeof(text), "<%d:%*d>", i, i % 40, i);
        memcpy(expected + len, text, (size_t)n);
        len += (size_t)n;
        if (i % 3 == 0)
            oz_buf_put(&buf, text, (size_t)n);
        else if (i % 3 == 1)
            oz_buf_puts(&buf, text);
        else
            oz_buf_printf(&buf, "<%d:%*d>", i, i % 40, i);
        expected[len++] = (char)(i & 255);
        oz_buf_put_u8(&buf, (uint8_t)i);
        oz_buf_put(&buf, NULL, 0);
        assert_int_equal(buf.len, len);
    }
    assert_memory_equal(buf.data, expected, len);
    oz_buf_put_u8(&buf, 'z');
    const char *text = oz_buf_string(&buf);
    assert_int_equal(text[len], 'z');
    assert_int_equal(text[len + 1], 0);
    assert_int_equal(buf.len, len + 1);

    uint64_t warm = oz_allocations();
    oz_buf_reset(&buf);
    oz_buf_put(&buf, expected, len);
    assert_int_equal(oz_allocations(), warm);
    assert_int_equal(oz_buf_status(&buf, NULL), OZ_OK);
    oz_buf_clear(&buf);
    oz_buf_clear(&buf);
}

static void test_printf_at_the_edge(void **state)
{
    (void)state;
    for (int n = 0; n < 200; n++) { /* the text ends before, at and behind the end of the room */
        struct oz_buf buf;
        char expected[256];
        oz_buf_init(&buf);
        oz_buf_puts(&buf, "ab");
        oz_buf_printf(&buf, "%0*d", n, 5);
        oz_buf_puts(&buf, "c");
        snprintf(expected, sizeof(expected), "ab%0*dc", n, 5);
        assert_int_equal(buf.len, strlen(expected));
        assert_string_equal(oz_buf_string(&buf), expected);
        oz_buf_clear(&buf);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    struct oz_buf buf;
    struct oz_error err;
    oz_buf_init(&buf);
    oz_buf_puts(&buf, "kept");
    oz_fail_allocation(1);
    assert_null(oz_buf_room(&buf, 1000));
    assert_true(buf.failed);
    oz_buf_puts(&buf, "x"); /* there would be room, but the text would have a hole */
    oz_buf_printf(&buf, "%d", 1);
    oz_buf_put_u8(&buf, 'y');
    assert_int_equal(buf.len, 4);
    assert_memory_equal(buf.data, "kept", 4);
    assert_string_equal(oz_buf_string(&buf), "");
    assert_int_equal(oz_buf_status(&buf, &err), OZ_NO_MEMORY);
    assert_int_equal(err.status, OZ_NO_MEMORY);
    oz_buf_reset(&buf);
    oz_buf_puts(&buf, "again");
    assert_int_equal(oz_buf_status(&buf, &err), OZ_OK);
    assert_string_equal(oz_buf_string(&buf), "again");
    assert_null(oz_buf_room(&buf, SIZE_MAX)); /* len + n wraps around */
    assert_true(buf.failed);
    oz_buf_reset(&buf);
    assert_null(oz_buf_room(&buf, SIZE_MAX - 100));
    oz_buf_reset(&buf);
    oz_fail_allocation(1);
    oz_buf_printf(&buf, "%5000d", 1);
    assert_int_equal(buf.len, 0);
    assert_true(buf.failed);
    oz_buf_clear(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adds),
        cmocka_unit_test(test_printf_at_the_edge),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
