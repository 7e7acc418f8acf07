#include "pipelines/cli/state_census.h"

#include <stdio.h>

#include "base/instant.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "pipelines/cli/text_table.h"
#include "state/store_files.h"

enum { DAMAGED_SAID = 20 };

static struct oz_census_count *count_of(const struct oz_census *cs, uint32_t partition, uint32_t e)
{
    return &cs->count[(size_t)partition * cs->n_entities + e];
}

static bool is_wanted(const struct oz_census *cs, uint32_t e)
{
    return cs->only_entity < 0 || (uint32_t)cs->only_entity == e;
}

static void swap_rows(struct oz_census_row *a, struct oz_census_row *b)
{
    struct oz_census_row t = *a;
    *a = *b;
    *b = t;
}

/* The row that the parts so far were of is whole: it takes its place among the biggest. */
static void end_row(struct oz_census *cs)
{
    struct oz_census_row *row = &cs->row;
    if (!row->parts) return;
    struct oz_census_count *c = count_of(cs, row->partition, row->entity);
    c->biggest = OZ_MAX(c->biggest, row->bytes);
    unsigned at = cs->n_biggest;
    if (at == OZ_CENSUS_BIGGEST) {
        at--;
        if (row->bytes <= cs->biggest[at].bytes) at++;
    } else {
        cs->n_biggest++;
    }
    if (at < OZ_CENSUS_BIGGEST) {
        swap_rows(&cs->biggest[at], row);
        for (; at > 0 && cs->biggest[at].bytes > cs->biggest[at - 1].bytes; at--)
            swap_rows(&cs->biggest[at], &cs->biggest[at - 1]);
    }
    row->parts = row->bytes = 0;
}

static bool same_row(const struct oz_census_row *row, const struct oz_stored_part *part)
{
    return row->parts && row->partition == part->partition && row->entity == part->entity &&
           row->key.len == part->key_len && !memcmp(row->key.data, part->key, part->key_len);
}

static enum oz_status damaged(void *ctx, struct oz_error *err)
{
    struct oz_census *cs = ctx;
    if (cs->n_damaged++ < DAMAGED_SAID) {
        oz_progress_done(&cs->progress);
        oz_error_log("%s", err->message);
    }
    return OZ_OK;
}

static enum oz_status part_seen(void *ctx, const struct oz_stored_part *part, struct oz_error *err)
{
    struct oz_census *cs = ctx;
    if (*cs->stop) OZ_FAIL(err, OZ_RETRY, "stopped before the end");
    oz_progress_set(&cs->progress, ++cs->n_seen);
    if (part->entity >= cs->n_entities || !is_wanted(cs, part->entity)) return OZ_OK;
    if (part->partition >= OZ_PARTITIONS_MAX)
        OZ_FAIL(err, OZ_CORRUPT, "the state in %s has rows of partition %u", cs->dir,
                part->partition);
    if (!same_row(&cs->row, part)) {
        end_row(cs);
        cs->row.partition = part->partition;
        cs->row.entity = part->entity;
        oz_buf_reset(&cs->row.key);
        oz_buf_put(&cs->row.key, part->key, part->key_len);
        OZ_TRY(oz_buf_status(&cs->row.key, err));
    }
    uint64_t bytes =
        OZ_STORE_KEY_HEAD_BYTES + OZ_PART_KEY_EXTRA_BYTES + part->key_len + part->value.len;
    struct oz_census_count *c = count_of(cs, part->partition, part->entity);
    c->rows += part->part == OZ_PART_MAIN;
    c->parts++;
    c->bytes += bytes;
    cs->row.parts++;
    cs->row.bytes += bytes;
    return OZ_OK;
}

enum oz_status oz_census_take(struct oz_census *cs, struct oz_store *store, struct oz_error *err)
{
    const char *name[OZ_ENTITIES_MAX];
    cs->n_entities = cs->program->plan->n_entities;
    for (uint32_t e = 0; e < cs->n_entities; e++) name[e] = cs->program->plan->entity[e].name;
    cs->count = oz_calloc((size_t)OZ_PARTITIONS_MAX * cs->n_entities + 1, sizeof *cs->count);
    if (!cs->count) return oz_no_memory(err);
    OZ_TRY(oz_look_positions(store, &cs->pos, &cs->has_positions, err));
    struct oz_look look = {cs, name, cs->n_entities, part_seen, damaged};
    oz_progress_init(&cs->progress, "state", oz_store_estimate_records(store), "parts");
    enum oz_status status = oz_look_parts(store, (struct oz_bytes){0}, &look, err);
    oz_progress_done(&cs->progress);
    end_row(cs);
    return status;
}

void oz_census_clear(struct oz_census *cs)
{
    for (unsigned i = 0; i < OZ_CENSUS_BIGGEST; i++) oz_buf_clear(&cs->biggest[i].key);
    oz_buf_clear(&cs->row.key);
    oz_positions_clear(&cs->pos);
    oz_free(cs->count);
}

static struct oz_census_count total_of(const struct oz_census *cs, uint32_t e)
{
    struct oz_census_count sum = {0};
    for (uint32_t p = 0; p < OZ_PARTITIONS_MAX; p++) {
        const struct oz_census_count *c = count_of(cs, p, e);
        sum.rows += c->rows;
        sum.parts += c->parts;
        sum.bytes += c->bytes;
        sum.biggest = OZ_MAX(sum.biggest, c->biggest);
    }
    return sum;
}

/* Of the sources and entities of the record's own shape; a backfill's has one partition. */
static bool shape_fits(const struct oz_census *cs)
{
    return cs->has_positions && cs->pos.n_sources == cs->program->plan->n_sources &&
           cs->pos.n_entities == cs->n_entities;
}

static bool has_rows(const struct oz_census *cs, uint32_t partition)
{
    for (uint32_t e = 0; e < cs->n_entities; e++)
        if (count_of(cs, partition, e)->parts) return true;
    return false;
}

/* ---- tables */

static enum oz_status print_entities(const struct oz_census *cs, struct oz_error *err)
{
    static const char *const head[] = {"entity", "rows", "parts", "bytes", "biggest row"};
    struct oz_text_table table;
    oz_text_table_init(&table, OZ_COUNT_OF(head));
    for (size_t i = 0; i < OZ_COUNT_OF(head); i++) oz_text_table_head(&table, "%s", head[i]);
    for (uint32_t e = 0; e < cs->n_entities; e++) {
        if (!is_wanted(cs, e)) continue;
        struct oz_census_count sum = total_of(cs, e);
        const char *name = cs->program->plan->entity[e].name;
        oz_text_table_text(&table, name, strlen(name));
        oz_text_table_number(&table, (int64_t)sum.rows);
        oz_text_table_number(&table, (int64_t)sum.parts);
        oz_text_table_number(&table, (int64_t)sum.bytes);
        oz_text_table_number(&table, (int64_t)sum.biggest);
    }
    enum oz_status status = oz_text_table_print(&table, stdout, err);
    oz_text_table_clear(&table);
    return status;
}

static enum oz_status print_partitions(const struct oz_census *cs, struct oz_error *err)
{
    struct oz_text_table table;
    uint32_t n_sources = cs->program->plan->n_sources, n_entities = cs->n_entities;
    oz_text_table_init(&table, 1 + n_sources + 3 * n_entities);
    oz_text_table_head(&table, "partition");
    for (uint32_t s = 0; s < n_sources; s++)
        oz_text_table_head(&table, "%s next", cs->program->schema[s]->name);
    for (uint32_t e = 0; e < n_entities; e++) {
        const char *name = cs->program->plan->entity[e].name;
        oz_text_table_head(&table, "%s changelog", name);
        oz_text_table_head(&table, "%s rows", name);
        oz_text_table_head(&table, "%s bytes", name);
    }
    for (uint32_t p = 0; p < OZ_PARTITIONS_MAX; p++) {
        bool positions = shape_fits(cs) && p < cs->pos.n_partitions;
        if (!positions && !has_rows(cs, p)) continue;
        oz_text_table_number(&table, p);
        for (uint32_t s = 0; s < n_sources; s++)
            oz_text_table_number(&table, positions ? cs->pos.source[p * n_sources + s] : -1);
        for (uint32_t e = 0; e < n_entities; e++) {
            oz_text_table_number(&table, positions ? cs->pos.changelog[p * n_entities + e] : -1);
            oz_text_table_number(&table, (int64_t)count_of(cs, p, e)->rows);
            oz_text_table_number(&table, (int64_t)count_of(cs, p, e)->bytes);
        }
    }
    enum oz_status status = oz_text_table_print(&table, stdout, err);
    oz_text_table_clear(&table);
    return status;
}

static enum oz_status print_biggest(const struct oz_census *cs, struct oz_error *err)
{
    static const char *const head[] = {"biggest rows", "partition", "key", "parts", "bytes"};
    struct oz_text_table table;
    oz_text_table_init(&table, OZ_COUNT_OF(head));
    for (size_t i = 0; i < OZ_COUNT_OF(head); i++) oz_text_table_head(&table, "%s", head[i]);
    for (unsigned i = 0; i < cs->n_biggest; i++) {
        const struct oz_census_row *row = &cs->biggest[i];
        const char *name = cs->program->plan->entity[row->entity].name;
        oz_text_table_text(&table, name, strlen(name));
        oz_text_table_number(&table, row->partition);
        oz_text_table_text(&table, (const char *)row->key.data, row->key.len);
        oz_text_table_number(&table, (int64_t)row->parts);
        oz_text_table_number(&table, (int64_t)row->bytes);
    }
    enum oz_status status = oz_text_table_print(&table, stdout, err);
    oz_text_table_clear(&table);
    return status;
}

enum oz_status oz_census_print(const struct oz_census *cs, struct oz_error *err)
{
    char when[OZ_INSTANT_BYTES_MAX + 1];
    size_t n = oz_format_instant(when, cs->pos.time_us);
    printf("%s: state in %s, %llu bytes on disk", cs->program->pipeline.name, cs->dir,
           (unsigned long long)oz_store_disk_bytes(cs->dir));
    if (cs->has_positions)
        printf("; epoch %llu, written %.*s", (unsigned long long)cs->pos.epoch, (int)n, when);
    fputs("\n\n", stdout);
    OZ_TRY(print_entities(cs, err));
    fputc('\n', stdout);
    OZ_TRY(print_partitions(cs, err));
    if (!cs->n_biggest) return OZ_OK;
    fputc('\n', stdout);
    return print_biggest(cs, err);
}

/* ---- JSON */

static void put_number(struct oz_json *json, const char *key, uint64_t n)
{
    oz_json_key(json, key);
    oz_json_i64(json, (int64_t)n);
}

static void put_offset(struct oz_json *json, const char *key, int64_t offset)
{
    oz_json_key(json, key);
    if (offset == OZ_NO_OFFSET)
        oz_json_null(json);
    else
        oz_json_i64(json, offset);
}

static void put_partition(const struct oz_census *cs, uint32_t p, struct oz_json *json)
{
    uint32_t n_sources = cs->pos.n_sources;
    bool positions = shape_fits(cs) && p < cs->pos.n_partitions;
    oz_json_open(json, '{');
    put_number(json, "partition", p);
    oz_json_key(json, "sources");
    oz_json_open(json, '{');
    for (uint32_t s = 0; positions && s < n_sources; s++)
        put_offset(json, cs->program->schema[s]->name, cs->pos.source[p * n_sources + s]);
    oz_json_close(json, '}');
    oz_json_key(json, "entities");
    oz_json_open(json, '{');
    for (uint32_t e = 0; e < cs->n_entities; e++) {
        oz_json_key(json, cs->program->plan->entity[e].name);
        oz_json_open(json, '{');
        put_offset(json, "changelog",
                   positions ? cs->pos.changelog[p * cs->n_entities + e] : OZ_NO_OFFSET);
        put_number(json, "rows", count_of(cs, p, e)->rows);
        put_number(json, "parts", count_of(cs, p, e)->parts);
        put_number(json, "bytes", count_of(cs, p, e)->bytes);
        oz_json_close(json, '}');
    }
    oz_json_close(json, '}');
    oz_json_close(json, '}');
}

static void put_lists(const struct oz_census *cs, struct oz_json *json)
{
    oz_json_key(json, "entities");
    oz_json_open(json, '[');
    for (uint32_t e = 0; e < cs->n_entities; e++) {
        if (!is_wanted(cs, e)) continue;
        struct oz_census_count sum = total_of(cs, e);
        oz_json_open(json, '{');
        oz_json_key(json, "name");
        oz_json_cstring(json, cs->program->plan->entity[e].name);
        put_number(json, "rows", sum.rows);
        put_number(json, "parts", sum.parts);
        put_number(json, "bytes", sum.bytes);
        oz_json_close(json, '}');
    }
    oz_json_close(json, ']');
    oz_json_key(json, "partitions");
    oz_json_open(json, '[');
    for (uint32_t p = 0; p < OZ_PARTITIONS_MAX; p++)
        if ((shape_fits(cs) && p < cs->pos.n_partitions) || has_rows(cs, p))
            put_partition(cs, p, json);
    oz_json_close(json, ']');
    oz_json_key(json, "biggest");
    oz_json_open(json, '[');
    for (unsigned i = 0; i < cs->n_biggest; i++) {
        const struct oz_census_row *row = &cs->biggest[i];
        oz_json_open(json, '{');
        oz_json_key(json, "entity");
        oz_json_cstring(json, cs->program->plan->entity[row->entity].name);
        put_number(json, "partition", row->partition);
        oz_json_key(json, "key");
        oz_json_string(json, (const char *)row->key.data, row->key.len);
        put_number(json, "parts", row->parts);
        put_number(json, "bytes", row->bytes);
        oz_json_close(json, '}');
    }
    oz_json_close(json, ']');
}

enum oz_status oz_census_print_json(const struct oz_census *cs, struct oz_error *err)
{
    struct oz_buf buf;
    struct oz_json json;
    oz_buf_init(&buf);
    oz_json_init(&json, &buf);
    oz_json_open(&json, '{');
    put_number(&json, "v", 1);
    oz_json_key(&json, "pipeline");
    oz_json_cstring(&json, cs->program->pipeline.name);
    put_number(&json, "disk_bytes", oz_store_disk_bytes(cs->dir));
    put_number(&json, "epoch", cs->pos.epoch);
    oz_json_key(&json, "time");
    if (cs->has_positions)
        oz_json_instant(&json, cs->pos.time_us);
    else
        oz_json_null(&json);
    put_lists(cs, &json);
    put_number(&json, "damaged", cs->n_damaged);
    oz_json_close(&json, '}');
    enum oz_status status = oz_buf_status(&buf, err);
    if (status == OZ_OK) puts(oz_buf_string(&buf));
    oz_buf_clear(&buf);
    return status;
}
