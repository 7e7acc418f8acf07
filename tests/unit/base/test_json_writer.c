/* Proves that the writer puts commas where JSON wants them, that strings come out as valid UTF-8
 * with each broken sequence replaced as Python's decoder replaces it (make_vectors.py), at every
 * alignment of the eight-byte scan, and that values JSON lacks become null. Expected documents are
 * written by hand. */
#include "base/json_writer.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

struct string_json {
    const char *bytes;
    size_t n;
    const char *json;
    size_t json_len;
};
#include "tests/unit/base/string_vectors.inc"

static void test_document(void **state)
{
    (void)state;
    struct oz_buf buf;
    struct oz_json json;
    oz_buf_init(&buf);
    oz_buf_puts(&buf, "> ");
    oz_json_init(&json, &buf);
    oz_json_open(&json, '{');
    oz_json_key(&json, "v");
    oz_json_i64(&json, 1);
    oz_json_key(&json, "id");
    oz_json_cstring(&json, "card-fraud/transactions/3/18841");
    oz_json_key(&json, "scores");
    oz_json_open(&json, '{');
    oz_json_key(&json, "fraud");
    oz_json_float(&json, 0.9314642f);
    oz_json_key(&json, "none");
    oz_json_double(&json, NAN);
    oz_json_close(&json, '}');
    oz_json_key(&json, "empty");
    oz_json_open(&json, '[');
    oz_json_close(&json, ']');
    oz_json_key(&json, "rows");
    oz_json_open(&json, '[');
    oz_json_open(&json, '[');
    oz_json_i64(&json, INT64_MIN);
    oz_json_double(&json, -0.5);
    oz_json_close(&json, ']');
    oz_json_open(&json, '{');
    oz_json_close(&json, '}');
    oz_json_double(&json, INFINITY);
    oz_json_float(&json, -INFINITY);
    oz_json_float(&json, 0.1f);
    oz_json_boolean(&json, true);
    oz_json_boolean(&json, false);
    oz_json_null(&json);
    oz_json_string(&json, NULL, 5);
    oz_json_cstring(&json, NULL);
    oz_json_instant(&json, INT64_C(1532513472000001));
    oz_json_raw(&json, "{\"a\":1}", 7);
    oz_json_double(&json, 25);
    oz_json_close(&json, ']');
    oz_json_close(&json, '}');
    assert_string_equal(
        oz_buf_string(&buf),
        "> {\"v\":1,\"id\":\"card-fraud/transactions/3/18841\",\"scores\":{\"fraud\":0.9314642,"
        "\"none\":null},\"empty\":[],\"rows\":[[-9223372036854775808,-0.5],{},null,null,0.1,true,"
        "false,null,null,null,\"2018-07-25T10:11:12.000001Z\",{\"a\":1},25]}");
    oz_buf_clear(&buf);
}

static void test_strings(void **state)
{
    (void)state;
    struct oz_buf buf;
    struct oz_json json;
    oz_buf_init(&buf);
    for (size_t i = 0; i < OZ_COUNT_OF(string_jsons); i++) {
        const struct string_json *row = &string_jsons[i];
        /* Plain letters in front move the string through every place in the scan's words. */
        for (size_t shift = 0; shift < 9; shift++) {
            char *bytes = test_malloc(shift + row->n + 1); /* the exact size, for the sanitizer */
            memset(bytes, 'x', shift);
            memcpy(bytes + shift, row->bytes, row->n);
            oz_buf_reset(&buf);
            oz_json_init(&json, &buf);
            oz_json_string(&json, bytes, shift + row->n);
            assert_int_equal(buf.len, shift + row->json_len);
            assert_memory_equal(buf.data + 1, "xxxxxxxxx", shift);
            assert_memory_equal(buf.data + 1 + shift, row->json + 1, row->json_len - 1);
            test_free(bytes);
        }
    }
    oz_buf_clear(&buf);
}

static void test_cells(void **state)
{
    (void)state;
    int64_t longs[] = {17, OZ_NULL_LONG}, times[] = {0, OZ_NULL_LONG};
    double doubles[] = {412.5, OZ_NULL_DOUBLE};
    uint8_t booleans[] = {OZ_TRUE, OZ_NULL_BOOLEAN, OZ_FALSE};
    struct oz_str strings[] = {{"c42", 3}, {NULL, 0}, {"", 0}};
    const struct oz_column columns[] = {
        {.type = OZ_LONG, .i64 = longs},     {.type = OZ_TIMESTAMP, .i64 = times},
        {.type = OZ_DOUBLE, .f64 = doubles}, {.type = OZ_BOOLEAN, .boolean = booleans},
        {.type = OZ_STRING, .str = strings},
    };
    struct oz_buf buf;
    struct oz_json json;
    oz_buf_init(&buf);
    oz_json_init(&json, &buf);
    oz_json_open(&json, '[');
    for (size_t i = 0; i < OZ_COUNT_OF(columns); i++)
        for (size_t row = 0; row < 2; row++) oz_json_cell(&json, &columns[i], row);
    oz_json_cell(&json, &columns[3], 2);
    oz_json_cell(&json, &columns[4], 2);
    oz_json_close(&json, ']');
    assert_string_equal(oz_buf_string(&buf),
                        "[17,null,\"1970-01-01T00:00:00.000Z\",null,412.5,null,"
                        "true,null,\"c42\",null,false,\"\"]");
    oz_buf_clear(&buf);
}

/* Each allocation in turn fails: the writer goes on without a crash and the buffer says so. */
static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct oz_buf buf;
        struct oz_json json;
        oz_buf_init(&buf);
        oz_json_init(&json, &buf);
        oz_fail_allocation(nth);
        oz_json_open(&json, '[');
        for (int i = 0; i < 50; i++) {
            oz_json_double(&json, i / 3.0);
            oz_json_cstring(&json, "a \"quoted\" \xff text");
            oz_json_instant(&json, i);
            oz_json_i64(&json, i);
            oz_json_float(&json, (float)i);
        }
        oz_json_key(&json, "k");
        bool failed = oz_buf_status(&buf, NULL) != OZ_OK;
        oz_buf_clear(&buf);
        if (!failed) {
            assert_true(nth > 3);
            break;
        }
    }
    oz_fail_allocation(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_document),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_cells),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
