/* Columns: the shape in which records travel from the decoder to the models.
 * Layout: one array per field, n_rows long. A null is a value of the type itself, so that there is
 * no mask to keep in step: NaN for a double, OZ_NULL_LONG for a long or a timestamp,
 * OZ_NULL_BOOLEAN for a boolean, data == NULL for a string. (So INT64_MIN is no long: the decoder
 * refuses it.)
 * Units: timestamps are microseconds since 1970, UTC.
 * Threads: rows of one table may be written by several threads, each its own range.
 * Ownership: arrays belong to the table; string bytes to the batch arena of who wrote them. */
#ifndef OZ_BASE_COLUMNS_H
#define OZ_BASE_COLUMNS_H
#include <math.h>
#include "base/memory.h"

enum oz_type { OZ_LONG, OZ_DOUBLE, OZ_BOOLEAN, OZ_STRING, OZ_TIMESTAMP, OZ_TYPE_COUNT };
#define OZ_NULL_LONG   INT64_MIN
#define OZ_NULL_DOUBLE ((double)NAN)
enum { OZ_FALSE = 0, OZ_TRUE = 1, OZ_NULL_BOOLEAN = 2 };
enum { OZ_FIELDS_MAX = 256, OZ_SOURCES_MAX = 16, OZ_ENTITIES_MAX = 16, OZ_NAME_BYTES_MAX = 128 };

struct oz_str { /* not NUL-terminated; data == NULL is null */
    const char *data;
    uint32_t len;
};

/* How a timestamp is written in the records. */
enum oz_time_form { OZ_TIME_ISO, OZ_TIME_SECONDS, OZ_TIME_MILLIS, OZ_TIME_MICROS };

struct oz_field {
    const char *name;
    enum oz_type type;
    enum oz_time_form time_form; /* of a timestamp */
};

/* One source as the records' reader and the features see it. Field numbers index `field`. */
struct oz_schema {
    const char *name; /* the source's name in the pipeline file */
    const struct oz_field *field;
    uint32_t n_fields;
    int id;      /* field number, or -1 */
    int key;     /* what the topic is partitioned by */
    int time;    /* a timestamp field */
    int arrival; /* a timestamp field, or -1: `time` says when a record of a file became known */
    bool scored; /* exactly one source is */
    int64_t lateness_us, max_future_us;
};

struct oz_column {
    enum oz_type type;
    union {
        void *data;
        int64_t *i64; /* long, timestamp */
        double *f64;
        uint8_t *boolean;
        struct oz_str *str;
    };
};

struct oz_table {
    const struct oz_schema *schema;
    struct oz_column *column; /* [schema->n_fields] */
    size_t n_rows, cap_rows;
};

#ifdef __cplusplus
extern "C" {
#endif
const char *oz_type_name(enum oz_type type); /* as in the pipeline file: "long", "double", ... */
size_t oz_type_bytes(enum oz_type type);
int oz_schema_find(const struct oz_schema *schema, const char *name, size_t len); /* -1: none */
enum oz_status oz_table_init(struct oz_table *table, const struct oz_schema *schema,
                             size_t cap_rows, struct oz_error *err) OZ_MUST_USE;
void oz_table_clear(struct oz_table *table);
void oz_table_set_null(struct oz_table *table, size_t row); /* every field of the row */
#ifdef __cplusplus
}
#endif
#endif
