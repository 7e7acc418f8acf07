#include "pipelines/run/exchange_record.h"

#include "base/hash.h"
#include "features/row_bytes.h"

enum { MARK_BYTES = 1 + 8 + 24 };

static void put_u32(struct oz_buf *buf, uint32_t v) { oz_buf_put(buf, &v, sizeof v); }
static void put_u64(struct oz_buf *buf, uint64_t v) { oz_buf_put(buf, &v, sizeof v); }

static uint32_t read_u32(struct oz_row_reader *r)
{
    uint32_t v;
    memcpy(&v, oz_read_bytes(r, sizeof v), sizeof v);
    return v;
}

static size_t begin(const struct oz_exchange_shape *shape, enum oz_exchange_kind kind,
                    struct oz_buf *buf)
{
    size_t at = buf->len;
    put_u32(buf, 0);
    oz_buf_put_u8(buf, OZ_EXCHANGE_VERSION);
    oz_buf_put_u8(buf, (uint8_t)kind);
    put_u64(buf, shape->hash);
    return at;
}

static void end(struct oz_buf *buf, size_t at)
{
    if (buf->failed) return;
    uint32_t crc = oz_crc32c(buf->data + at + 4, buf->len - at - 4);
    memcpy(buf->data + at, &crc, sizeof crc);
}

/* ---- events */

static void put_text(struct oz_buf *buf, const char *data, uint32_t len)
{
    oz_buf_varint(buf, data ? (uint64_t)len + 1 : 0);
    if (data) oz_buf_put(buf, data, len);
}

static void put_cell(struct oz_buf *buf, const struct oz_column *col, uint32_t row)
{
    switch (col->type) {
    case OZ_STRING: put_text(buf, col->str[row].data, col->str[row].len); return;
    case OZ_DOUBLE: oz_buf_put(buf, &col->f64[row], sizeof *col->f64); return;
    case OZ_BOOLEAN: oz_buf_put_u8(buf, col->boolean[row]); return;
    default: oz_buf_varint(buf, oz_zigzag(col->i64[row])); return;
    }
}

void oz_exchange_put_event(const struct oz_exchange_shape *shape, const struct oz_record *rec,
                           const struct oz_exchange_row *row, struct oz_buf *buf)
{
    size_t at = begin(shape, OZ_EXCHANGE_EVENT, buf);
    oz_buf_varint(buf, rec->lane);
    oz_buf_varint(buf, rec->source);
    oz_buf_varint(buf, rec->partition);
    oz_buf_varint(buf, (uint64_t)rec->offset);
    oz_buf_varint(buf, oz_zigzag(rec->timestamp_ms));
    oz_buf_varint(buf, oz_zigzag(rec->merge_ms));
    put_text(buf, rec->key, rec->key_len);
    if (rec->source == shape->scored_source) {
        for (uint32_t k = 0; k < shape->n_entities; k++)
            oz_buf_put_u8(buf, row->push_flags[shape->entity[k]][row->record]);
        for (uint32_t k = 0; k < shape->n_aggregates; k++)
            oz_buf_put(buf, &row->aggregate[shape->aggregate[k]][row->row], sizeof(double));
    }
    for (uint32_t f = 0; f < row->table->schema->n_fields; f++)
        put_cell(buf, &row->table->column[f], row->row);
    end(buf, at);
}

static const char *read_text(struct oz_row_reader *r, uint32_t *ret_len)
{
    static const char none[1];
    uint64_t n = oz_read_within(r, 0, (uint64_t)UINT32_MAX);
    *ret_len = n ? (uint32_t)(n - 1) : 0;
    if (!n) return NULL;
    if (n == 1) return none;
    const uint8_t *bytes = oz_read_bytes(r, *ret_len);
    if (!r->bad) return (const char *)bytes;
    *ret_len = 0;
    return NULL;
}

static void read_cell(struct oz_row_reader *r, struct oz_column *col, uint32_t row)
{
    switch (col->type) {
    case OZ_STRING: col->str[row].data = read_text(r, &col->str[row].len); return;
    case OZ_DOUBLE:
        memcpy(&col->f64[row], oz_read_bytes(r, sizeof(double)), sizeof(double));
        return;
    case OZ_BOOLEAN:
        col->boolean[row] = oz_read_u8(r);
        r->bad |= col->boolean[row] > OZ_NULL_BOOLEAN;
        return;
    default: col->i64[row] = oz_unzigzag(oz_read_varint(r)); return;
    }
}

enum oz_status oz_exchange_read_body(const struct oz_exchange_shape *shape,
                                     const struct oz_record *rec, const struct oz_exchange_row *row,
                                     struct oz_error *err)
{
    const uint8_t *body = (const uint8_t *)rec->value;
    struct oz_row_reader r = {body, body + rec->value_len, false};
    if (rec->source == shape->scored_source) {
        for (uint32_t k = 0; k < shape->n_entities; k++)
            row->push_flags[shape->entity[k]][row->record] = oz_read_u8(&r);
        for (uint32_t k = 0; k < shape->n_aggregates; k++)
            memcpy(&row->aggregate[shape->aggregate[k]][row->row],
                   oz_read_bytes(&r, sizeof(double)), sizeof(double));
    }
    for (uint32_t f = 0; f < row->table->schema->n_fields; f++)
        read_cell(&r, &row->table->column[f], row->row);
    if (!r.bad && r.at == r.end) return OZ_OK;
    OZ_FAIL(err, OZ_CORRUPT,
            "an exchange record of %s partition %u offset %lld: its fields do not fill its bytes",
            shape->schema[rec->source]->name, rec->partition, (long long)rec->offset);
}

static enum oz_status parse_event(const struct oz_exchange_shape *shape, struct oz_row_reader *r,
                                  struct oz_record *rec, struct oz_error *err)
{
    *rec = (struct oz_record){0};
    rec->lane = (uint32_t)oz_read_within(r, 0, shape->n_partitions - 1);
    rec->source = (uint32_t)oz_read_within(r, 0, shape->n_sources - 1);
    rec->partition = (uint32_t)oz_read_within(r, 0, shape->n_partitions - 1);
    rec->offset = (int64_t)oz_read_within(r, 0, INT64_MAX);
    rec->timestamp_ms = oz_unzigzag(oz_read_varint(r));
    rec->merge_ms = oz_unzigzag(oz_read_varint(r));
    rec->key = read_text(r, &rec->key_len);
    rec->value = (const char *)r->at;
    rec->value_len = (uint32_t)(r->end - r->at);
    if (!r->bad) return OZ_OK;
    OZ_FAIL(err, OZ_CORRUPT, "an exchange record's head is damaged");
}

/* ---- marks */

void oz_exchange_put_marks(const struct oz_exchange_shape *shape, const uint32_t *lane,
                           const struct oz_lane_mark *mark, uint32_t n, struct oz_buf *buf)
{
    size_t at = begin(shape, OZ_EXCHANGE_MARKS, buf);
    put_u32(buf, n);
    for (uint32_t i = 0; i < n; i++) {
        put_u32(buf, lane[i]);
        oz_buf_put_u8(buf, mark[i].at_end);
        put_u64(buf, (uint64_t)mark[i].clock_ms);
        put_u64(buf, (uint64_t)mark[i].floor.time_ms);
        put_u32(buf, mark[i].floor.rank);
        put_u32(buf, mark[i].floor.partition);
        put_u64(buf, (uint64_t)mark[i].floor.offset);
    }
    end(buf, at);
}

static void read_mark(struct oz_row_reader *r, uint32_t *ret_lane, struct oz_lane_mark *ret_mark)
{
    *ret_lane = read_u32(r);
    uint8_t at_end = oz_read_u8(r);
    ret_mark->at_end = at_end == 1;
    ret_mark->clock_ms = (int64_t)oz_read_u64(r);
    ret_mark->floor.time_ms = (int64_t)oz_read_u64(r);
    ret_mark->floor.rank = read_u32(r);
    ret_mark->floor.partition = read_u32(r);
    ret_mark->floor.offset = (int64_t)oz_read_u64(r);
    r->bad |= at_end > 1;
}

static enum oz_status parse_marks(const struct oz_exchange_shape *shape, struct oz_row_reader *r,
                                  struct oz_exchange_marks *ret_marks, struct oz_error *err)
{
    uint32_t n = read_u32(r), lane;
    struct oz_lane_mark mark;
    *ret_marks = (struct oz_exchange_marks){r->at, n};
    if (!r->bad && n <= shape->n_partitions &&
        (size_t)(r->end - r->at) == (size_t)n * (4 + MARK_BYTES)) {
        for (uint32_t i = 0; i < n; i++) {
            read_mark(r, &lane, &mark);
            r->bad |= lane >= shape->n_partitions;
        }
        if (!r->bad) return OZ_OK;
    }
    OZ_FAIL(err, OZ_CORRUPT, "an exchange record's marks are damaged");
}

bool oz_exchange_next_mark(struct oz_exchange_marks *marks, uint32_t *ret_lane,
                           struct oz_lane_mark *ret_mark)
{
    struct oz_row_reader r = {marks->at, marks->at + 4 + MARK_BYTES, false};
    if (!marks->n_left) return false;
    marks->n_left--;
    marks->at = r.end;
    read_mark(&r, ret_lane, ret_mark);
    return true;
}

/* ---- both */

enum oz_status oz_exchange_parse(const struct oz_exchange_shape *shape, const void *bytes,
                                 size_t len, enum oz_exchange_kind *ret_kind,
                                 struct oz_record *ret_record, struct oz_exchange_marks *ret_marks,
                                 struct oz_error *err)
{
    const uint8_t *data = bytes;
    struct oz_row_reader r = {data, data + len, false};
    uint32_t crc = read_u32(&r);
    if (r.bad || len < OZ_EXCHANGE_HEAD_BYTES || crc != oz_crc32c(data + 4, len - 4))
        OZ_FAIL(err, OZ_CORRUPT,
                "an exchange record of %zu bytes is damaged: its checksum is wrong", len);
    uint8_t version = oz_read_u8(&r), kind = oz_read_u8(&r);
    if (version != OZ_EXCHANGE_VERSION)
        OZ_FAIL(err, OZ_STATE, "an exchange record of version %u, and this process reads %d",
                version, OZ_EXCHANGE_VERSION);
    *ret_kind = kind == OZ_EXCHANGE_MARKS ? OZ_EXCHANGE_MARKS : OZ_EXCHANGE_EVENT;
    uint64_t hash = oz_read_u64(&r);
    if (kind == OZ_EXCHANGE_MARKS) return parse_marks(shape, &r, ret_marks, err);
    if (kind != OZ_EXCHANGE_EVENT) OZ_FAIL(err, OZ_CORRUPT, "an exchange record of kind %u", kind);
    if (hash != shape->hash)
        OZ_FAIL(err, OZ_STATE,
                "an exchange record was written by another definition of this pipeline: let that "
                "one run until its exchange topics are read, or begin with empty state under "
                "another name");
    return parse_event(shape, &r, ret_record, err);
}
