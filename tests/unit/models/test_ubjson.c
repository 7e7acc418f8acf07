/* Proves that UBJSON is read as its specification says, and that no claim of a damaged file is
 * believed. How: byte strings written by hand from the specification (draft 12), each with the
 * value that it means or the words that its refusal must have. */
#include "models/ubjson.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct oz_error err;
static struct oz_document doc;

#define PARSE(text) oz_ubjson_parse(&doc, (const uint8_t *)(text), sizeof(text) - 1, &err)

static void refused(enum oz_status status, const char *words)
{
    assert_int_equal(status, OZ_MODEL);
    if (!strstr(err.message, words)) fail_msg("\"%s\" does not say \"%s\"", err.message, words);
    oz_document_clear(&doc);
    oz_document_init(&doc);
}
#define REFUSED(text, words) refused(PARSE(text), words)

static const struct oz_doc_value *read(enum oz_status status, enum oz_doc_kind kind)
{
    if (status != OZ_OK) fail_msg("refused: %s", err.message);
    assert_int_equal(doc.root.kind, kind);
    return &doc.root;
}
#define READ(text, kind) read(PARSE(text), kind)

static int setup(void **state)
{
    (void)state;
    oz_document_init(&doc);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    oz_document_clear(&doc);
    return 0;
}

static void scalars_are_read(void **state)
{
    (void)state;
    READ("Z", OZ_DOC_NULL);
    assert_int_equal(READ("T", OZ_DOC_BOOLEAN)->integer, 1);
    assert_int_equal(READ("NNF", OZ_DOC_BOOLEAN)->integer, 0);
    assert_int_equal(READ("U\xff", OZ_DOC_INTEGER)->integer, 255);
    assert_int_equal(READ("i\xff", OZ_DOC_INTEGER)->integer, -1);
    assert_int_equal(READ("I\x80\x01", OZ_DOC_INTEGER)->integer, -32767);
    assert_int_equal(READ("l\x00\x01\x00\x02", OZ_DOC_INTEGER)->integer, 65538);
    assert_int_equal(READ("L\x80\0\0\0\0\0\0\x01", OZ_DOC_INTEGER)->integer, INT64_MIN + 1);
    assert_true(READ("d\x3f\xc0\0\0", OZ_DOC_FLOAT)->number == 1.5f);
    assert_true(READ("D\x40\x09\x21\xfb\x54\x44\x2d\x18", OZ_DOC_FLOAT)->number == 3.14159265f);
    assert_true(isnan(READ("d\x7f\xc0\0\0", OZ_DOC_FLOAT)->number));
    assert_true(oz_doc_string_is(READ("SU\x03"
                                      "abc",
                                      OZ_DOC_STRING),
                                 "abc"));
    assert_true(oz_doc_string_is(READ("Si\0", OZ_DOC_STRING), ""));
    assert_true(oz_doc_string_is(READ("Cx", OZ_DOC_STRING), "x"));
}

static void expect_numbers(const struct oz_doc_value *value, int n, const int64_t *expected)
{
    assert_int_equal(value->n, n);
    for (int i = 0; i < n; i++) {
        int64_t v;
        assert_true(oz_doc_i64(value, (size_t)i, &v));
        assert_int_equal(v, expected[i]);
        assert_true(oz_doc_f32(value, (size_t)i) == (float)expected[i]);
    }
}

static void containers_are_read_in_every_form(void **state)
{
    (void)state;
    static const int64_t small[] = {1, -2, 300};
    expect_numbers(READ("[i\x01i\xfeI\x01\x2c]", OZ_DOC_NUMBERS), 3, small);
    expect_numbers(READ("[#i\x03i\x01Ni\xfeI\x01\x2c", OZ_DOC_NUMBERS), 3, small);
    expect_numbers(READ("[$I#U\x03\x00\x01\xff\xfe\x01\x2c", OZ_DOC_NUMBERS), 3, small);
    expect_numbers(READ("[$l#l\0\0\0\x03\0\0\0\x01\xff\xff\xff\xfe\0\0\x01\x2c", OZ_DOC_NUMBERS), 3,
                   small);
    expect_numbers(READ("[$L#i\x01\xff\xff\xff\xff\xff\xff\xff\xfe", OZ_DOC_NUMBERS), 1, small + 1);
    static const int64_t bytes[] = {200, 7};
    expect_numbers(READ("[$U#i\x02\xc8\x07", OZ_DOC_NUMBERS), 2, bytes);
    static const int64_t booleans[] = {1, 0, 1};
    expect_numbers(READ("[TFT]", OZ_DOC_NUMBERS), 3, booleans);

    const struct oz_doc_value *v = READ("[$d#i\x02\x3f\x80\0\0\xbf\0\0\0", OZ_DOC_NUMBERS);
    int64_t integer;
    assert_true(oz_doc_f32(v, 0) == 1.0f && oz_doc_f32(v, 1) == -0.5f);
    assert_false(oz_doc_i64(v, 0, &integer));
    v = READ("[$D#i\x01\x3f\xb9\x99\x99\x99\x99\x99\x9a", OZ_DOC_NUMBERS);
    assert_true(oz_doc_f32(v, 0) == 0.1f);
    v = READ("[i\x02"
             "d\x3e\x80\0\0]",
             OZ_DOC_NUMBERS);
    assert_true(oz_doc_f32(v, 0) == 2.0f && oz_doc_f32(v, 1) == 0.25f);

    assert_int_equal(READ("[]", OZ_DOC_ARRAY)->n, 0);
    assert_int_equal(READ("[$d#i\0", OZ_DOC_ARRAY)->n, 0);
    assert_int_equal(READ("{}", OZ_DOC_OBJECT)->n, 0);
    assert_int_equal(READ("{#U\0", OZ_DOC_OBJECT)->n, 0);
    v = READ("[$S#i\x02U\x01"
             "aU\x02"
             "bc",
             OZ_DOC_ARRAY);
    assert_true(v->n == 2 && oz_doc_string_is(&v->item[1], "bc"));
    v = READ("[$[#i\x02#i\0]", OZ_DOC_ARRAY);
    assert_true(v->n == 2 && v->item[0].kind == OZ_DOC_ARRAY);

    const struct oz_doc_value *member;
    static const char *const objects[] = {"{i\x01"
                                          "ai\x05U\x01"
                                          "bSi\x01z}",
                                          "{#i\x02i\x01"
                                          "ai\x05i\x01"
                                          "bSi\x01z"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            oz_ubjson_parse(&doc, (const uint8_t *)objects[i], strlen(objects[i]), &err), OZ_OK);
        assert_int_equal(oz_doc_get(&doc.root, "b", OZ_DOC_STRING, &member, &err), OZ_OK);
        assert_true(oz_doc_string_is(member, "z"));
        assert_int_equal(oz_doc_find(&doc.root, "c", &member, &err), OZ_OK);
        assert_null(member);
    }
    v = READ("{$i#i\x02i\x01"
             "a\x05i\x01"
             "b\xfb",
             OZ_DOC_OBJECT);
    assert_true(v->n == 2 && v->member[1].value.integer == -5);
}

static void damage_is_refused(void **state)
{
    (void)state;
    REFUSED("", "ends in the middle");
    REFUSED("NN", "ends in the middle");
    REFUSED("d\x3f", "ends in the middle");
    REFUSED("[i\x01", "ends in the middle");
    REFUSED("{U\x01", "claims 1 bytes");
    REFUSED("[$", "ends in the middle");
    REFUSED("[#", "ends in the middle");
    REFUSED("?", "not a type");
    REFUSED("]", "not a type");
    REFUSED("HU\x01"
            "7",
            "not a type");
    REFUSED("ZZ", "follows the end");
    REFUSED("[$d]", "no count");
    REFUSED("[$Z#i\x05", "not read");
    REFUSED("[$N#i\x05", "not read");
    REFUSED("[$\0#i\x05", "not read");
    REFUSED("Si\xff"
            "abc",
            "negative");
    REFUSED("Sd\0\0\0\0", "length was expected");
    REFUSED("S\0", "length was expected");
    REFUSED("[#i\xff", "negative");
    REFUSED("{i\x01"
            "aZi\x01"
            "a",
            "ends in the middle");
    assert_int_equal(PARSE("{i\x01"
                           "aZi\x01"
                           "aZ}"),
                     OZ_OK);
    const struct oz_doc_value *member;
    refused(oz_doc_find(&doc.root, "a", &member, &err), "stands twice");
}

static void claimed_sizes_are_not_believed(void **state)
{
    (void)state;
    oz_document_clear(&doc);
    oz_document_init(&doc);
    uint64_t before = oz_allocations();
    REFUSED("[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff", "claims");
    REFUSED("[$L#L\x20\0\0\0\0\0\0\x01", "claims");
    REFUSED("[$d#i\x02\0\0\0\0\0\0\0", "claims 2 numbers");
    REFUSED("[#l\x7f\xff\xff\xffZZ", "claims");
    REFUSED("{#l\x7f\xff\xff\xffZZ", "claims");
    REFUSED("SL\x7f\xff\xff\xff\xff\xff\xff\xff", "claims");
    assert_int_equal(oz_allocations(), before);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    uint8_t bytes[2000];
    memset(bytes, '[', sizeof bytes);
    refused(oz_ubjson_parse(&doc, bytes, sizeof bytes, &err), "nested deeper");
    memset(bytes + OZ_DOC_DEPTH_MAX, ']', OZ_DOC_DEPTH_MAX);
    assert_int_equal(oz_ubjson_parse(&doc, bytes, 2 * OZ_DOC_DEPTH_MAX, &err), OZ_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scalars_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(containers_are_read_in_every_form, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(claimed_sizes_are_not_believed, setup, teardown),
        cmocka_unit_test_setup_teardown(depth_is_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
