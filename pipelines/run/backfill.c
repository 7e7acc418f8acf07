#include "pipelines/run/backfill.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/folder.h"
#include "base/instant.h"
#include "base/log.h"
#include "base/number.h"
#include "base/progress.h"
#include "pipelines/run/definition.h"
#include "pipelines/run/table_writer.h"
#include "pipelines/run/truth.h"
#include "stream/file_source.h"

enum { BAD_RECORDS_SAID = 5 };

struct backfill {
    const struct oz_backfill_config *config;
    const struct oz_program *prg;
    char temp_dir[4096];
    struct oz_store *store;
    struct oz_engine *engine;
    struct oz_source *source;
    struct oz_table_writer *writer;
    struct oz_truth *truth;
    struct oz_record *record;
    struct oz_sealed *sealed;
    struct oz_positions pos;
    struct oz_buf line;
    uint64_t n_bad;
    struct oz_backfill_result result;
};

static enum oz_status make_temp_dir(struct backfill *bf, struct oz_error *err)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(bf->temp_dir, sizeof bf->temp_dir, "%s/ouzel-backfill-XXXXXX",
             tmp && *tmp ? tmp : "/tmp");
    if (mkdtemp(bf->temp_dir)) return OZ_OK;
    bf->temp_dir[0] = 0;
    OZ_FAIL(err, OZ_ENVIRONMENT, "cannot make a folder in %s: %s", tmp ? tmp : "/tmp",
            strerror(errno));
}

/* What can be said before anything is read: a table over its own input, and the truth in a pipe,
 * which is read before the events are and would leave nothing for them. */
static enum oz_status check_files(const struct backfill *bf, struct oz_error *err)
{
    const struct oz_backfill_config *config = bf->config;
    struct stat in, out;
    bool there = strcmp(config->output, "-") && !stat(config->output, &out);
    for (uint32_t s = 0; s < bf->prg->plan->n_sources; s++) {
        if (!config->file[s] || stat(config->file[s], &in)) continue;
        if (there && S_ISREG(out.st_mode) && in.st_dev == out.st_dev && in.st_ino == out.st_ino)
            OZ_FAIL(err, OZ_USAGE, "%s is the file of `%s`: the table needs another name",
                    config->output, bf->prg->schema[s]->name);
        if ((int)s == config->target_source && !S_ISREG(in.st_mode))
            OZ_FAIL(err, OZ_USAGE, "the target's file is read twice, and %s is no regular file",
                    config->file[s]);
    }
    return OZ_OK;
}

/* Rows of another run would be taken for the past of this one, and a live pipeline's be spoilt. */
static enum oz_status check_unused(struct oz_store *store, struct oz_error *err)
{
    bool has_rows;
    struct oz_buf meta;
    OZ_TRY(oz_store_has_rows(store, &has_rows, err));
    oz_buf_init(&meta);
    enum oz_status status = oz_store_meta(store, &meta, err);
    has_rows |= meta.len > 0;
    oz_buf_clear(&meta);
    if (status == OZ_OK && has_rows)
        OZ_FAIL(err, OZ_STATE,
                "the state folder %s is in use already: a backfill begins with none, "
                "name a new one",
                oz_store_dir(store));
    return status;
}

/* `ouzel state` reads the rows by it. */
static enum oz_status write_meta(struct backfill *bf, struct oz_error *err)
{
    const char *json;
    size_t len;
    OZ_TRY(oz_definition_meta(bf->prg->definition, &json, &len, err));
    return oz_store_set_meta(bf->store, json, len, err);
}

static enum oz_status open_files(struct backfill *bf, struct oz_error *err)
{
    struct oz_file_spec file[OZ_SOURCES_MAX];
    size_t n = 0;
    for (uint32_t s = 0; s < bf->prg->plan->n_sources; s++)
        if (bf->config->file[s])
            file[n++] = (struct oz_file_spec){s, bf->config->file[s], bf->prg->schema[s]};
    return oz_file_source_open(file, n, &bf->source, err);
}

static enum oz_status open_all(struct backfill *bf, struct oz_error *err)
{
    const struct oz_pipeline *pl = &bf->prg->pipeline;
    const char *dir = bf->config->state_dir;
    OZ_TRY(check_files(bf, err));
    if (!dir) {
        OZ_TRY(make_temp_dir(bf, err));
        dir = bf->temp_dir;
    }
    OZ_TRY(oz_engine_open(bf->prg, dir, 1, false, &bf->store, &bf->engine, err));
    OZ_TRY(check_unused(bf->store, err));
    OZ_TRY(write_meta(bf, err));
    uint32_t n = oz_engine_n_workers(bf->engine);
    bf->record = oz_calloc(pl->batch_rows, sizeof *bf->record);
    bf->sealed = oz_calloc(n, sizeof *bf->sealed);
    if (!bf->record || !bf->sealed) return oz_no_memory(err);
    for (uint32_t w = 0; w < n; w++) oz_sealed_init(&bf->sealed[w]);
    if (bf->config->target_source >= 0)
        OZ_TRY(oz_truth_load(bf->config->file[bf->config->target_source],
                             bf->prg->schema[bf->config->target_source], bf->config->target_field,
                             &bf->truth, err));
    OZ_TRY(
        oz_positions_init(&bf->pos, 1, bf->prg->plan->n_sources, bf->prg->plan->n_entities, err));
    OZ_TRY(open_files(bf, err));
    return oz_table_writer_open(bf->config->output, &bf->writer, err);
}

/* ---- lines */

static void put_text(struct oz_buf *line, const char *s, size_t len)
{
    bool quote = false;
    for (size_t i = 0; i < len; i++)
        quote |= s[i] == ',' || s[i] == '"' || s[i] == '\n' || s[i] == '\r';
    if (!quote) {
        oz_buf_put(line, s, len);
        return;
    }
    oz_buf_put_u8(line, '"');
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '"') oz_buf_put_u8(line, '"');
        oz_buf_put_u8(line, (uint8_t)s[i]);
    }
    oz_buf_put_u8(line, '"');
}

static void put_number(struct oz_buf *line, double v, bool as_float)
{
    uint8_t *to = oz_buf_room(line, OZ_NUMBER_BYTES_MAX);
    if (!to || !isfinite(v)) return;
    line->len += as_float ? oz_format_float((char *)to, (float)v) : oz_format_double((char *)to, v);
}

static void put_cell(struct oz_buf *line, const struct oz_column *col, size_t row)
{
    uint8_t *to = oz_buf_room(line, OZ_NUMBER_BYTES_MAX);
    if (col->type == OZ_STRING)
        put_text(line, col->str[row].data, col->str[row].len);
    else if (to && col->i64[row] != OZ_NULL_LONG)
        line->len += oz_format_i64((char *)to, col->i64[row]);
}

static enum oz_status write_header(struct backfill *bf, struct oz_error *err)
{
    const struct oz_program *prg = bf->prg;
    struct oz_buf *line = &bf->line;
    oz_buf_reset(line);
    oz_buf_puts(line, "event,time,key");
    for (uint32_t f = 0; f < prg->n_features; f++)
        oz_buf_printf(line, ",%s", oz_feature_set_name(prg->set, f));
    for (uint32_t s = 0; bf->config->with_scores && s < prg->n_scores; s++)
        oz_buf_printf(line, ",%s", prg->score_name[s]);
    if (bf->truth) {
        const struct oz_schema *schema = prg->schema[bf->config->target_source];
        oz_buf_printf(line, ",%s.%s", schema->name, schema->field[bf->config->target_field].name);
    }
    oz_buf_put_u8(line, '\n');
    OZ_TRY(oz_buf_status(line, err));
    return oz_table_writer_put(bf->writer, line->data, line->len, err);
}

static void put_line(struct backfill *bf, const struct oz_batch *bat, size_t row)
{
    const struct oz_program *prg = bf->prg;
    const struct oz_table *table = &bat->table[prg->plan->scored_source];
    const struct oz_schema *schema = table->schema;
    struct oz_buf *line = &bf->line;
    if (schema->id >= 0) put_cell(line, &table->column[schema->id], row);
    oz_buf_put_u8(line, ',');
    uint8_t *to = oz_buf_room(line, OZ_INSTANT_BYTES_MAX);
    if (to) line->len += oz_format_instant((char *)to, table->column[schema->time].i64[row]);
    oz_buf_put_u8(line, ',');
    put_cell(line, &table->column[schema->key], row);
    for (uint32_t f = 0; f < prg->n_features; f++) {
        oz_buf_put_u8(line, ',');
        put_number(line, bat->feature[f][row], false);
    }
    for (uint32_t s = 0; bf->config->with_scores && s < prg->n_scores; s++) {
        oz_buf_put_u8(line, ',');
        put_number(line, bat->score[s][row], prg->score_is_float[s]);
    }
    if (bf->truth) {
        double truth = oz_truth_of(bf->truth, table, row);
        oz_buf_put_u8(line, ',');
        put_number(line, truth, false);
        bf->result.with_target += !isnan(truth);
    }
    oz_buf_put_u8(line, '\n');
    bf->result.lines++;
}

static enum oz_status write_lines(struct backfill *bf, const struct oz_batch *bat,
                                  struct oz_error *err)
{
    uint32_t s = bf->prg->plan->scored_source;
    oz_buf_reset(&bf->line);
    for (size_t row = 0; row < bat->table[s].n_rows; row++)
        if (bat->fate[bat->record_of[s][row]] == OZ_FATE_ROW) put_line(bf, bat, row);
    for (size_t i = 0; i < bat->n_records; i++) {
        if (bat->fate[i] != OZ_FATE_DEAD || bf->n_bad++ >= BAD_RECORDS_SAID) continue;
        oz_warn("%s:%lld: not taken: %s", bf->config->file[bat->record[i].source],
                (long long)bat->record[i].offset + 1, bat->dead_reason[i]);
        if (bf->n_bad == BAD_RECORDS_SAID) oz_warn("more records like these are only counted");
    }
    OZ_TRY(oz_buf_status(&bf->line, err));
    return oz_table_writer_put(bf->writer, bf->line.data, bf->line.len, err);
}

/* Changed rows go to the store when the memory for them is short, and at the end when it is kept.
 * */
static enum oz_status spill(struct backfill *bf, struct oz_error *err)
{
    size_t parts;
    const struct oz_sealed *sealed[OZ_WORKERS_MAX];
    uint64_t epoch = oz_engine_epoch(bf->engine);
    OZ_TRY(oz_engine_seal(bf->engine, bf->sealed, &parts, err));
    uint32_t n = oz_engine_n_workers(bf->engine);
    for (uint32_t w = 0; w < n; w++) sealed[w] = &bf->sealed[w];
    bf->pos.epoch = epoch;
    bf->pos.time_us = oz_wall_us();
    OZ_TRY(oz_store_write(bf->store, sealed, n, &bf->pos, err));
    oz_engine_stored(bf->engine, epoch);
    return OZ_OK;
}

static enum oz_status read_all(struct backfill *bf, struct oz_error *err)
{
    struct oz_progress progress;
    uint64_t read = 0, total = 0;
    enum oz_status status = write_header(bf, err);
    oz_file_source_progress(bf->source, &read, &total);
    oz_progress_init(&progress, "backfill", total, "bytes");
    while (status == OZ_OK && !oz_source_at_end(bf->source)) {
        size_t n = 0;
        struct oz_batch *bat;
        status = oz_source_next(bf->source, bf->prg->pipeline.batch_rows, 0, bf->record, &n, err);
        if (status != OZ_OK) break;
        if (n) status = oz_engine_batch(bf->engine, bf->record, n, NULL, &bat, err);
        if (n && status == OZ_OK) status = write_lines(bf, bat, err);
        for (size_t i = 0; i < n; i++)
            bf->pos.source[bf->record[i].source] = bf->record[i].offset + 1;
        oz_source_release(bf->source, bf->record, n);
        if (status == OZ_OK && oz_engine_wants_seal(bf->engine)) status = spill(bf, err);
        oz_file_source_progress(bf->source, &read, &total);
        oz_progress_set(&progress, read);
        if (bf->config->stop && *bf->config->stop)
            status = oz_error_set(err, OZ_RETRY, "stopped before the end: nothing is written");
    }
    oz_progress_done(&progress);
    if (status == OZ_OK && bf->config->state_dir) status = spill(bf, err);
    return status;
}

static void close_all(struct backfill *bf)
{
    oz_table_writer_drop(bf->writer);
    oz_source_close(bf->source);
    for (uint32_t w = 0; bf->sealed && w < oz_engine_n_workers(bf->engine); w++)
        oz_sealed_clear(&bf->sealed[w]);
    oz_engine_free(bf->engine);
    oz_store_close(bf->store);
    oz_truth_free(bf->truth);
    oz_positions_clear(&bf->pos);
    oz_free(bf->record);
    oz_free(bf->sealed);
    oz_buf_clear(&bf->line);
    if (bf->temp_dir[0]) oz_folder_remove(bf->temp_dir);
}

enum oz_status oz_backfill(const struct oz_backfill_config *config,
                           struct oz_backfill_result *ret_result, struct oz_error *err)
{
    struct backfill bf = {.config = config, .prg = config->program};
    int64_t start = oz_monotonic_us();
    oz_buf_init(&bf.line);
    enum oz_status status = open_all(&bf, err);
    if (status == OZ_OK) status = read_all(&bf, err);
    if (status == OZ_OK) {
        status = oz_table_writer_finish(bf.writer, err);
        bf.writer = NULL;
    }
    if (status == OZ_OK) {
        oz_engine_get_stats(bf.engine, &bf.result.engine);
        bf.result.seconds = (double)(oz_monotonic_us() - start) / 1e6;
        *ret_result = bf.result;
    }
    close_all(&bf);
    return status;
}
