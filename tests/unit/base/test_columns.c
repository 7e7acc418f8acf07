/* Proves that a table has one array of the right size per field (the sanitizers watch the edges),
 * that a null row holds every type's null and touches no other row, that names are found whole, and
 * that a failing allocation anywhere leaves nothing behind. */
#include "base/columns.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

static const struct oz_field fields[] = {
    {.name = "tx_id", .type = OZ_LONG},      {.name = "at", .type = OZ_TIMESTAMP},
    {.name = "amount", .type = OZ_DOUBLE},   {.name = "fraud", .type = OZ_BOOLEAN},
    {.name = "customer", .type = OZ_STRING}, {.name = "customer_2", .type = OZ_STRING},
};
static const struct oz_schema schema = {
    .name = "transactions", .field = fields, .n_fields = OZ_COUNT_OF(fields)};

static void test_names(void **state)
{
    (void)state;
    static const char *const names[] = {"long", "double", "boolean", "string", "timestamp"};
    for (int i = 0; i < OZ_TYPE_COUNT; i++) assert_string_equal(oz_type_name(i), names[i]);
    assert_int_equal(oz_type_bytes(OZ_LONG), 8);
    assert_int_equal(oz_type_bytes(OZ_TIMESTAMP), 8);
    assert_int_equal(oz_type_bytes(OZ_DOUBLE), 8);
    assert_int_equal(oz_type_bytes(OZ_BOOLEAN), 1);
    assert_int_equal(oz_type_bytes(OZ_STRING), sizeof(struct oz_str));

    assert_int_equal(oz_schema_find(&schema, "tx_id", 5), 0);
    assert_int_equal(oz_schema_find(&schema, "customer", 8), 4);
    assert_int_equal(oz_schema_find(&schema, "customer_2", 10), 5);
    assert_int_equal(oz_schema_find(&schema, "customer_2", 8), 4); /* len counts, not the NUL */
    assert_int_equal(oz_schema_find(&schema, "custome", 7), -1);
    assert_int_equal(oz_schema_find(&schema, "customer_", 9), -1);
    assert_int_equal(oz_schema_find(&schema, "", 0), -1);
}

static void set_row(struct oz_table *table, size_t row)
{
    table->column[0].i64[row] = (int64_t)row;
    table->column[1].i64[row] = (int64_t)row * 7;
    table->column[2].f64[row] = (double)row / 2;
    table->column[3].boolean[row] = row % 2 ? OZ_TRUE : OZ_FALSE;
    table->column[4].str[row] = (struct oz_str){"abc", 3};
    table->column[5].str[row] = (struct oz_str){"", 0};
}

static void test_nulls(void **state)
{
    (void)state;
    struct oz_table table;
    assert_int_equal(oz_table_init(&table, &schema, 100, NULL), OZ_OK);
    assert_int_equal(table.cap_rows, 100);
    assert_int_equal(table.n_rows, 0);
    for (size_t i = 0; i < 100; i++) set_row(&table, i);
    oz_table_set_null(&table, 0);
    oz_table_set_null(&table, 50);
    oz_table_set_null(&table, 99);
    for (size_t i = 0; i < 100; i++) {
        bool null = i == 0 || i == 50 || i == 99;
        assert_int_equal(table.column[0].i64[i], null ? OZ_NULL_LONG : (int64_t)i);
        assert_int_equal(table.column[1].i64[i], null ? OZ_NULL_LONG : (int64_t)i * 7);
        assert_int_equal(isnan(table.column[2].f64[i]) != 0, null);
        assert_int_equal(table.column[3].boolean[i], null ? OZ_NULL_BOOLEAN : (int)i % 2);
        assert_int_equal(table.column[4].str[i].data == NULL, null);
        assert_int_equal(table.column[5].str[i].data == NULL, null);
    }
    oz_table_clear(&table);
    oz_table_clear(&table);

    const struct oz_schema empty = {.name = "none"};
    assert_int_equal(oz_table_init(&table, &empty, 0, NULL), OZ_OK);
    oz_table_clear(&table);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct oz_table table;
    struct oz_error err;
    int n_failed = 0;
    for (uint64_t nth = 1;; nth++, n_failed++) {
        oz_fail_allocation(nth);
        enum oz_status status = oz_table_init(&table, &schema, 10, &err);
        if (status == OZ_OK) break;
        assert_int_equal(status, OZ_NO_MEMORY);
        oz_table_clear(&table); /* of a half-built one */
    }
    assert_int_equal(n_failed, 1 + (int)OZ_COUNT_OF(fields));
    oz_fail_allocation(0);
    oz_table_clear(&table);
    assert_int_equal(oz_table_init(&table, &schema, SIZE_MAX / 4, &err), OZ_NO_MEMORY);
    oz_table_clear(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_nulls),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
