/* Proves that JSON becomes the document that it says, that numbers are rounded to floats once, and
 * that what is not JSON is refused. How: hand-written texts, each with the value that it means or
 * the words that its refusal must have; floats are compared with what the C compiler makes of the
 * same literal. */
#include "models/json_document.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct oz_error err;
static struct oz_document doc;

static enum oz_status parse(const char *text)
{
    oz_document_clear(&doc);
    oz_document_init(&doc);
    return oz_json_document_parse(&doc, (const uint8_t *)text, strlen(text), &err);
}

static const struct oz_doc_value *read(const char *text)
{
    const struct oz_doc_value *value;
    if (parse(text) != OZ_OK) fail_msg("%s: %s", text, err.message);
    assert_int_equal(oz_doc_find(&doc.root, "a", &value, &err), OZ_OK);
    assert_non_null(value);
    return value;
}

static void refused(const char *text, const char *words)
{
    if (parse(text) != OZ_MODEL) fail_msg("not refused: %s", text);
    if (!strstr(err.message, words)) fail_msg("\"%s\" does not say \"%s\"", err.message, words);
}

static int teardown(void **state)
{
    (void)state;
    oz_document_clear(&doc);
    return 0;
}

static void values_are_read(void **state)
{
    (void)state;
    const struct oz_doc_value *v;
    int64_t integer;
    assert_int_equal(read("{\"a\": null}")->kind, OZ_DOC_NULL);
    v = read(" \n{\"b\":1,\"a\":true }\n ");
    assert_true(v->kind == OZ_DOC_BOOLEAN && v->integer == 1);
    v = read("{\"a\":-2147483649 }");
    assert_true(v->kind == OZ_DOC_INTEGER && v->integer == -2147483649ll);
    v = read("{\"a\":-1.5E-1}");
    assert_true(v->kind == OZ_DOC_FLOAT && v->number == -0.15f);
    assert_true(oz_doc_string_is(read("{\"a\":\"q\\\"\\u00e9\\n\"}"), "q\"\xc3\xa9\n"));
    assert_int_equal(read("{\"a\":{}}")->kind, OZ_DOC_OBJECT);
    assert_int_equal(read("{\"a\":[ ]}")->n, 0);

    v = read("{\"a\":[1, -2 ,2147483647\n]}");
    assert_true(v->kind == OZ_DOC_NUMBERS && v->element == OZ_DOC_I32 && v->n == 3);
    assert_true(oz_doc_i64(v, 2, &integer) && integer == 2147483647);
    v = read("{\"a\":[1,9223372036854775807]}");
    assert_true(oz_doc_i64(v, 1, &integer) && integer == INT64_MAX);
    v = read("{\"a\":[1,2.5E0,-0.0]}");
    assert_true(v->element == OZ_DOC_F32 && oz_doc_f32(v, 0) == 1.0f && oz_doc_f32(v, 1) == 2.5f);
    assert_true(signbit(oz_doc_f32(v, 2)));
    v = read("{\"a\":[true,false]}");
    assert_true(v->element == OZ_DOC_U8 && oz_doc_i64(v, 0, &integer) && integer == 1);
    v = read("{\"a\":[1,\"x\",[2]]}");
    assert_true(v->kind == OZ_DOC_ARRAY && v->n == 3 && v->item[2].kind == OZ_DOC_NUMBERS);
    v = read("{\"a\":[NaN,Infinity,-Infinity,1]}");
    assert_true(isnan(oz_doc_f32(v, 0)) && oz_doc_f32(v, 1) == INFINITY);
    assert_true(oz_doc_f32(v, 2) == -INFINITY);
}

/* By way of a double, these would be rounded to a tie and then the wrong way. */
static void floats_are_rounded_once(void **state)
{
    (void)state;
    const struct oz_doc_value *v =
        read("{\"a\":[1.00000017881393432617187499,"
             "1.00000017881393421514957253748434595763683319091796875001,"
             "3.40282346638528859811704183484516925440e38,1e-45,1e-60]}");
    assert_true(oz_doc_f32(v, 0) == 1.00000017881393432617187499f);
    assert_true((float)1.00000017881393432617187499 != 1.00000017881393432617187499f);
    assert_true(oz_doc_f32(v, 1) == 1.00000017881393421514957253748434595763683319091796875001f);
    assert_true(oz_doc_f32(v, 2) == 3.40282346638528859811704183484516925440e38f);
    assert_true(oz_doc_f32(v, 3) == 1e-45f && oz_doc_f32(v, 4) == 0.0f);
}

static void what_is_not_json_is_refused(void **state)
{
    (void)state;
    refused("", "not JSON");
    refused("{", "damaged");
    refused("{\"a\":1", "");
    refused("{\"a\"", "");
    refused("{\"a\":}", "");
    refused("{\"a\":1}}", "follows the end");
    refused("{\"a\":1} 2", "follows the end");
    refused("{\"a\":1,}", "");
    refused("{\"a\":[1,2,]}", "");
    refused("{\"a\":[1 2]}", "");
    refused("{\"a\":[1,2}", "");
    refused("{\"a\":01}", "value");
    refused("{\"a\":1x}", "value");
    refused("{\"a\":+1}", "value");
    refused("{\"a\":-}", "value");
    refused("{\"a\":nan}", "value");
    refused("{\"a\":inf}", "value");
    refused("{\"a\":-inf}", "value");
    refused("{\"a\":nul}", "value");
    refused("{\"a\":tru}", "value");
    refused("{\"a\":1e39}", "value");
    refused("{\"a\":\"\\q\"}", "string");
    refused("{\"a\":\"\xff\"}", "not JSON");
    refused("{a:1}", "");
    refused("{1:1}", "");
    const struct oz_doc_value *value;
    assert_int_equal(parse("{\"a\":1,\"b\":2,\"a\":3}"), OZ_OK);
    assert_int_equal(oz_doc_find(&doc.root, "a", &value, &err), OZ_MODEL);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    char text[5000];
    strcpy(text, "{\"a\":");
    memset(text + 5, '[', 4000);
    text[4005] = '\0';
    refused(text, "nested too deep");
    int n = OZ_DOC_DEPTH_MAX - 1;
    memset(text + 5 + n, ']', (size_t)n);
    strcpy(text + 5 + 2 * n, "}");
    assert_int_equal(parse(text), OZ_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(values_are_read, teardown),
        cmocka_unit_test_teardown(floats_are_rounded_once, teardown),
        cmocka_unit_test_teardown(what_is_not_json_is_refused, teardown),
        cmocka_unit_test_teardown(depth_is_bounded, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
