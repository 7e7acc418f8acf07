#include "base/columns.h"
#include <string.h>

static const struct {
    const char *name;
    size_t n_bytes;
} types[OZ_TYPE_COUNT] = {
    [OZ_LONG] = {"long", sizeof(int64_t)},
    [OZ_DOUBLE] = {"double", sizeof(double)},
    [OZ_BOOLEAN] = {"boolean", sizeof(uint8_t)},
    [OZ_STRING] = {"string", sizeof(struct oz_str)},
    [OZ_TIMESTAMP] = {"timestamp", sizeof(int64_t)},
};

const char *oz_type_name(enum oz_type type)
{
    OZ_ASSERT((unsigned)type < OZ_TYPE_COUNT);
    return types[type].name;
}

size_t oz_type_bytes(enum oz_type type)
{
    OZ_ASSERT((unsigned)type < OZ_TYPE_COUNT);
    return types[type].n_bytes;
}

int oz_schema_find(const struct oz_schema *schema, const char *name, size_t len)
{
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        const char *field = schema->field[i].name;
        if (!strncmp(field, name, len) && field[len] == '\0') return (int)i;
    }
    return -1;
}

enum oz_status oz_table_init(struct oz_table *table, const struct oz_schema *schema,
                             size_t cap_rows, struct oz_error *err)
{
    *table = (struct oz_table){.schema = schema, .cap_rows = cap_rows};
    table->column = oz_calloc(schema->n_fields, sizeof(*table->column));
    if (!table->column) return oz_no_memory(err);
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        enum oz_type type = schema->field[i].type;
        table->column[i].type = type;
        table->column[i].data = oz_calloc(cap_rows, oz_type_bytes(type));
        if (!table->column[i].data) {
            oz_table_clear(table);
            return oz_no_memory(err);
        }
    }
    return OZ_OK;
}

void oz_table_clear(struct oz_table *table)
{
    for (uint32_t i = 0; table->column && i < table->schema->n_fields; i++)
        oz_free(table->column[i].data);
    oz_free(table->column);
    *table = (struct oz_table){0};
}

void oz_table_set_null(struct oz_table *table, size_t row)
{
    OZ_ASSERT(row < table->cap_rows);
    for (uint32_t i = 0; i < table->schema->n_fields; i++) {
        struct oz_column *column = &table->column[i];
        switch (column->type) {
        case OZ_LONG:
        case OZ_TIMESTAMP: column->i64[row] = OZ_NULL_LONG; break;
        case OZ_DOUBLE: column->f64[row] = OZ_NULL_DOUBLE; break;
        case OZ_BOOLEAN: column->boolean[row] = OZ_NULL_BOOLEAN; break;
        case OZ_STRING: column->str[row] = (struct oz_str){NULL, 0}; break;
        case OZ_TYPE_COUNT: OZ_ASSERT(false);
        }
    }
}
