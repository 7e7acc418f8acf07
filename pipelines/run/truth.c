#include "pipelines/run/truth.h"

#include "base/hash.h"
#include "stream/codec.h"
#include "stream/file_source.h"

enum { READ_RECORDS = 256, CAP_FIRST = 1 << 12 };

enum { SLOT_EMPTY, SLOT_FALSE, SLOT_TRUE, SLOT_NULL, SLOT_NUMBER };

/* An open-addressing table in columns: a boolean truth, the usual one, is nine bytes a slot. */
struct oz_truth {
    uint64_t *id; /* a long as it is, text by its hash */
    uint8_t *slot;
    double *number; /* NULL until a truth is a number */
    size_t cap, n;  /* cap is a power of two */
};

/* False: the id is null. */
static bool id_of(const struct oz_table *table, size_t row, uint64_t *ret_id)
{
    const struct oz_column *col = &table->column[table->schema->id];
    if (col->type == OZ_STRING) {
        if (!col->str[row].data) return false;
        *ret_id = oz_hash64(col->str[row].data, col->str[row].len);
        return true;
    }
    *ret_id = (uint64_t)col->i64[row];
    return col->i64[row] != OZ_NULL_LONG;
}

static size_t find(const struct oz_truth *truth, uint64_t id)
{
    size_t i = oz_hash64(&id, sizeof id) & (truth->cap - 1);
    while (truth->slot[i] && truth->id[i] != id) i = (i + 1) & (truth->cap - 1);
    return i;
}

static void clear(struct oz_truth *truth)
{
    oz_free(truth->id);
    oz_free(truth->slot);
    oz_free(truth->number);
}

static enum oz_status grow(struct oz_truth *truth, bool numbers, struct oz_error *err)
{
    struct oz_truth old = *truth;
    truth->cap = old.cap ? old.cap * 2 : CAP_FIRST;
    truth->id = oz_calloc(truth->cap, sizeof *truth->id);
    truth->slot = oz_calloc(truth->cap, 1);
    truth->number = numbers ? oz_calloc(truth->cap, sizeof *truth->number) : NULL;
    if (!truth->id || !truth->slot || (numbers && !truth->number)) {
        clear(truth);
        *truth = old;
        return oz_no_memory(err);
    }
    for (size_t i = 0; i < old.cap; i++) {
        if (!old.slot[i]) continue;
        size_t to = find(truth, old.id[i]);
        truth->id[to] = old.id[i];
        truth->slot[to] = old.slot[i];
        if (old.number) truth->number[to] = old.number[i];
    }
    clear(&old);
    return OZ_OK;
}

static enum oz_status put(struct oz_truth *truth, uint64_t id, double value, struct oz_error *err)
{
    bool number = !isnan(value) && value != 0 && value != 1;
    if (truth->n * 4 >= truth->cap * 3 || (number && !truth->number))
        OZ_TRY(grow(truth, number || truth->number, err));
    size_t i = find(truth, id);
    truth->n += !truth->slot[i];
    truth->id[i] = id;
    truth->slot[i] = isnan(value) ? SLOT_NULL
                     : number     ? SLOT_NUMBER
                     : value      ? SLOT_TRUE
                                  : SLOT_FALSE;
    if (number) truth->number[i] = value;
    return OZ_OK;
}

static double value_of(const struct oz_column *col, size_t row)
{
    switch (col->type) {
    case OZ_DOUBLE: return col->f64[row];
    case OZ_BOOLEAN:
        return col->boolean[row] == OZ_NULL_BOOLEAN ? OZ_NULL_DOUBLE : col->boolean[row];
    default: return col->i64[row] == OZ_NULL_LONG ? OZ_NULL_DOUBLE : (double)col->i64[row];
    }
}

struct reader {
    struct oz_source *src;
    struct oz_decoder *decoder;
    struct oz_table table;
    struct oz_arena arena;
};

static enum oz_status read_all(struct oz_truth *truth, struct reader *rd, int field,
                               struct oz_error *err)
{
    struct oz_record record[READ_RECORDS];
    while (!oz_source_at_end(rd->src)) {
        size_t n = 0;
        OZ_TRY(oz_source_next(rd->src, READ_RECORDS, 0, record, &n, err));
        oz_arena_reset(&rd->arena);
        for (size_t i = 0; i < n; i++) {
            enum oz_decode_stage stage;
            uint64_t nulled = 0, id;
            struct oz_error bad;
            /* A bad record is a dead letter of the table's own pass, which says so. */
            if (oz_decode(rd->decoder, record[i].value, record[i].value_len,
                          record[i].timestamp_ms * 1000, &rd->table, 0, &rd->arena, &stage, &nulled,
                          &bad) != OZ_OK ||
                !id_of(&rd->table, 0, &id))
                continue;
            OZ_TRY(put(truth, id, value_of(&rd->table.column[field], 0), err));
        }
        oz_source_release(rd->src, record, n);
    }
    return OZ_OK;
}

enum oz_status oz_truth_load(const char *path, const struct oz_schema *schema, int field,
                             struct oz_truth **ret_truth, struct oz_error *err)
{
    struct oz_truth *truth = oz_calloc(1, sizeof *truth);
    struct reader rd = {0};
    struct oz_file_spec file = {.source = 0, .path = path, .schema = schema};
    enum oz_status status;
    if (!truth) return oz_no_memory(err);
    oz_arena_init(&rd.arena, 1 << 16);
    /* An empty file still needs a table to look into. */
    OZ_TRY_OUT(put(truth, 0, OZ_NULL_DOUBLE, err));
    OZ_TRY_OUT(oz_table_init(&rd.table, schema, 1, err));
    OZ_TRY_OUT(oz_json_decoder_new(schema, &rd.decoder, err));
    OZ_TRY_OUT(oz_file_source_open(&file, 1, &rd.src, err));
    OZ_TRY_OUT(read_all(truth, &rd, field, err));
    *ret_truth = truth;
    truth = NULL;
out:
    oz_truth_free(truth);
    oz_source_close(rd.src);
    oz_decoder_free(rd.decoder);
    oz_table_clear(&rd.table);
    oz_arena_clear(&rd.arena);
    return status;
}

void oz_truth_free(struct oz_truth *truth)
{
    if (!truth) return;
    clear(truth);
    oz_free(truth);
}

double oz_truth_of(const struct oz_truth *truth, const struct oz_table *table, size_t row)
{
    uint64_t id;
    if (!id_of(table, row, &id)) return OZ_NULL_DOUBLE;
    size_t i = find(truth, id);
    switch (truth->slot[i]) {
    case SLOT_FALSE: return 0;
    case SLOT_TRUE: return 1;
    case SLOT_NUMBER: return truth->number[i];
    default: return OZ_NULL_DOUBLE;
    }
}

size_t oz_truth_size(const struct oz_truth *truth) { return truth->n; }
