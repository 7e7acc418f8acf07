#include "stream/file_source.h"
#include "base/clock.h"
#include "stream/codec.h"
#include "stream/line_reader.h"
#include "stream/merge.h"
#include <string.h>

enum { LINES = 512, LINES_BYTES = 2 << 20 }; /* read ahead of each file */

struct file {
    uint32_t source;
    char *path;
    struct oz_line_reader *reader;
    /* A schema of one field, the arrival, and what it takes to read that. */
    struct oz_field field;
    struct oz_schema schema;
    struct oz_decoder *decoder;
    struct oz_table table;
    struct oz_line line[LINES];
    int64_t time_ms[LINES];
    size_t next, n_lines;   /* lines [next, n_lines) are not given out */
    int64_t last_us;        /* the newest arrival; INT64_MIN: none yet */
    enum oz_status pending; /* what stands behind the lines: told when they are gone */
    struct oz_error pending_err;
};

struct file_source {
    struct oz_source source;
    struct oz_arena arena;
    struct oz_merge merge;
    size_t n_files;
    struct file file[]; /* in the merge's order of lanes */
};

static struct file_source *self_of(const struct oz_source *src)
{
    return (struct file_source *)src;
}

static int64_t floor_ms(int64_t us) { return us / 1000 - (us % 1000 < 0); }

/* Reads the line's arrival into time_ms; an unreadable one is that of the line before. */
static enum oz_status read_arrival(struct file *file, const struct oz_line *line, int64_t now_us,
                                   struct oz_arena *arena, int64_t *ret_ms, struct oz_error *err)
{
    enum oz_decode_stage stage;
    uint64_t nulled;
    enum oz_status status = oz_decode(file->decoder, line->data, line->len, now_us, &file->table, 0,
                                      arena, &stage, &nulled, err);
    if (status != OZ_OK && status != OZ_RECORD) return status;
    if (status == OZ_OK) {
        int64_t us = file->table.column[0].i64[0];
        if (us < file->last_us)
            return oz_error_set_at(err, OZ_RECORD, file->path,
                                   (int)OZ_MIN(line->number + 1, (int64_t)INT32_MAX), 0,
                                   "the file is not sorted: \"%s\" is earlier than that of a line "
                                   "before; sort the file "
                                   "by this field",
                                   file->field.name);
        file->last_us = us;
    }
    *ret_ms = file->last_us == INT64_MIN ? INT64_MIN : floor_ms(file->last_us);
    return OZ_OK;
}

/* The first lines of a file may have no arrival to take over: theirs is the next one that there is.
 */
static void fill_first(struct file *file)
{
    size_t n = 0;
    while (n < file->n_lines && file->time_ms[n] == INT64_MIN) n++;
    int64_t ms = n < file->n_lines ? file->time_ms[n] : 0;
    for (size_t i = 0; i < n; i++) file->time_ms[i] = ms;
}

static enum oz_status read_lines(struct file *file, struct oz_arena *arena, bool *ret_end,
                                 struct oz_error *err)
{
    int64_t now_us = oz_wall_us();
    size_t n_bytes = 0;
    while (file->n_lines < LINES && n_bytes < LINES_BYTES) {
        struct oz_line *line = &file->line[file->n_lines];
        OZ_TRY(oz_line_reader_next(file->reader, line, err));
        if (!line->data) {
            *ret_end = true;
            break;
        }
        oz_arena_reset(arena);
        enum oz_status status =
            read_arrival(file, line, now_us, arena, &file->time_ms[file->n_lines], err);
        if (status != OZ_OK) {
            oz_line_release(line->block);
            return status;
        }
        file->n_lines++;
        n_bytes += line->len;
    }
    return OZ_OK;
}

/* More lines of a lane that has none left. */
static enum oz_status refill(struct file_source *self, uint32_t lane, struct oz_error *err)
{
    struct file *file = &self->file[lane];
    bool end = false;
    file->next = file->n_lines = 0;
    if (file->pending == OZ_OK)
        file->pending = read_lines(file, &self->arena, &end, &file->pending_err);
    fill_first(file);
    if (file->n_lines) oz_merge_offer(&self->merge, lane, file->time_ms, file->n_lines);
    if (end) oz_merge_end(&self->merge, lane);
    if (file->n_lines || file->pending == OZ_OK) return OZ_OK;
    if (err) *err = file->pending_err;
    return file->pending;
}

static enum oz_status next(struct oz_source *src, size_t max_records, int64_t max_wait_us,
                           struct oz_record *ret_record, size_t *ret_n, struct oz_error *err)
{
    (void)max_wait_us; /* a file is never waited for */
    struct file_source *self = self_of(src);
    size_t n = 0;
    while (n < max_records) {
        uint32_t lane;
        for (lane = 0; lane < self->n_files; lane++) {
            if (oz_merge_left(&self->merge, lane) || self->merge.lane[lane].at_end) continue;
            enum oz_status status = refill(self, lane, err);
            if (status == OZ_OK) continue;
            if (n) goto out; /* these first; the file will say it again */
            return status;
        }
        size_t n_run = oz_merge_take(&self->merge, max_records - n, 0, &lane);
        if (!n_run) break;
        struct file *file = &self->file[lane];
        for (size_t i = 0; i < n_run; i++, file->next++) {
            const struct oz_line *line = &file->line[file->next];
            ret_record[n++] = (struct oz_record){.source = file->source,
                                                 .offset = line->number,
                                                 .timestamp_ms = file->time_ms[file->next],
                                                 .value = line->data,
                                                 .value_len = (uint32_t)line->len,
                                                 .handle = line->block};
        }
    }
out:
    *ret_n = n;
    return OZ_OK;
}

static void release(struct oz_source *src, struct oz_record *record, size_t n)
{
    (void)src;
    for (size_t i = 0; i < n; i++) {
        oz_line_release(record[i].handle);
        record[i].handle = NULL, record[i].value = NULL;
    }
}

static bool at_end(const struct oz_source *src) { return oz_merge_at_end(&self_of(src)->merge); }

static void close_source(struct oz_source *src)
{
    struct file_source *self = self_of(src);
    for (size_t i = 0; i < self->n_files; i++) {
        struct file *file = &self->file[i];
        oz_line_reader_close(file->reader);
        oz_decoder_free(file->decoder);
        if (file->table.schema) oz_table_clear(&file->table);
        oz_free(file->path);
    }
    oz_merge_clear(&self->merge);
    oz_arena_clear(&self->arena);
    oz_free(self);
}

static const struct oz_source_ops ops = {
    .next = next, .release = release, .at_end = at_end, .close = close_source};

static enum oz_status open_file(struct file *file, const struct oz_file_spec *spec,
                                struct oz_error *err)
{
    const struct oz_schema *schema = spec->schema;
    int arrival = schema->arrival >= 0 ? schema->arrival : schema->time;
    OZ_ASSERT(arrival >= 0 && schema->field[arrival].type == OZ_TIMESTAMP);
    file->source = spec->source;
    file->last_us = INT64_MIN;
    file->field = schema->field[arrival];
    file->schema = (struct oz_schema){.name = schema->name,
                                      .field = &file->field,
                                      .n_fields = 1,
                                      .id = -1,
                                      .key = -1,
                                      .time = 0,
                                      .arrival = -1,
                                      .max_future_us = schema->max_future_us};
    file->path = oz_strdup(spec->path);
    if (!file->path) return oz_no_memory(err);
    OZ_TRY(oz_json_decoder_new(&file->schema, &file->decoder, err));
    OZ_TRY(oz_table_init(&file->table, &file->schema, 1, err));
    return oz_line_reader_open(spec->path, &file->reader, err);
}

/* The order of ties: unscored sources first, then the pipeline's order. */
static bool before(const struct oz_file_spec *a, const struct oz_file_spec *b)
{
    if (a->schema->scored != b->schema->scored) return b->schema->scored;
    return a->source < b->source;
}

enum oz_status oz_file_source_open(const struct oz_file_spec *spec, size_t n_files,
                                   struct oz_source **ret_source, struct oz_error *err)
{
    OZ_ASSERT(n_files > 0 && n_files <= OZ_SOURCES_MAX);
    const struct oz_file_spec *order[OZ_SOURCES_MAX];
    for (size_t i = 0; i < n_files; i++) {
        size_t at = i;
        for (; at > 0 && before(&spec[i], order[at - 1]); at--) order[at] = order[at - 1];
        order[at] = &spec[i];
    }
    struct file_source *self = oz_calloc(1, sizeof(*self) + n_files * sizeof(struct file));
    if (!self) return oz_no_memory(err);
    self->source.ops = &ops;
    self->n_files = n_files;
    oz_arena_init(&self->arena, 4096);
    enum oz_status status = oz_merge_init(&self->merge, (uint32_t)n_files, INT64_MAX, 0, err);
    for (size_t i = 0; status == OZ_OK && i < n_files; i++)
        status = open_file(&self->file[i], order[i], err);
    if (status != OZ_OK) {
        close_source(&self->source);
        return status;
    }
    *ret_source = &self->source;
    return OZ_OK;
}

void oz_file_source_progress(const struct oz_source *src, uint64_t *ret_read, uint64_t *ret_total)
{
    const struct file_source *self = self_of(src);
    *ret_read = *ret_total = 0;
    for (size_t i = 0; i < self->n_files; i++) {
        uint64_t n_read, n_total;
        oz_line_reader_progress(self->file[i].reader, &n_read, &n_total);
        *ret_read += n_read, *ret_total += n_total;
    }
}
