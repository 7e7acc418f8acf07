#include <stdio.h>

#include "base/json_writer.h"
#include "base/nearest.h"
#include "pipelines/cli/command.h"
#include "pipelines/cli/state_census.h"
#include "pipelines/run/definition.h"

enum { STORE_MEMORY = 32 << 20, SHOWN_BYTES = 48 };

struct state_options {
    const char *pipeline, *entity, *key;
    bool rows, parts, json;
};

static const struct oz_option option[] = {
    {"entity", true, 'e', "only this entity", 0},
    {"key", true, 'k', "the row of this key, decoded, as JSON", 0},
    {"rows", false, 'r', "every row, decoded, as JSON lines", 0},
    {"parts", false, 'p', "every stored part and offsets record as it is, in hex, as JSON lines",
     0},
    {"json", false, 'j', "the summary as JSON", 0},
    {NULL, false, 0, NULL, 0},
};

static bool take(void *ctx, int key, const char *value)
{
    struct state_options *opt = ctx;
    switch (key) {
    case 'e': opt->entity = value; return true;
    case 'k': opt->key = value; return true;
    case 'r': return opt->rows = true;
    case 'p': return opt->parts = true;
    case 'j': return opt->json = true;
    default:
        if (opt->pipeline)
            fprintf(stderr, "ouzel state: one pipeline file, not also %s\n", value);
        else
            opt->pipeline = value;
        return opt->pipeline == value;
    }
}

/* What a run of the verb works with. */
struct look {
    const struct state_options *opt;
    const struct oz_program *prg;
    struct oz_store *store;
    int entity; /* or -1: all */
    struct oz_row_look *row[OZ_ENTITIES_MAX];
    const char *entity_name[OZ_ENTITIES_MAX];
    struct oz_buf buf;
    struct oz_progress progress;
    uint64_t n_seen;
};

static enum oz_status find_entity(struct look *lk, struct oz_error *err)
{
    const struct oz_plan *plan = lk->prg->plan;
    for (uint32_t e = 0; e < plan->n_entities; e++) lk->entity_name[e] = plan->entity[e].name;
    lk->entity = -1;
    const char *want = lk->opt->entity;
    if (!want && lk->opt->key) {
        if (plan->n_entities != 1)
            OZ_FAIL(err, OZ_USAGE, "--key %s of which entity? Name it with --entity", lk->opt->key);
        lk->entity = 0;
    }
    if (!want) return OZ_OK;
    for (uint32_t e = 0; e < plan->n_entities; e++)
        if (!strcmp(want, plan->entity[e].name)) lk->entity = (int)e;
    if (lk->entity >= 0) return OZ_OK;
    const char *near = oz_nearest(want, strlen(want), lk->entity_name, plan->n_entities);
    OZ_FAIL(err, OZ_USAGE, "--entity %s: %s has no entity `%s`%s%s%s", want, lk->prg->pipeline.file,
            want, near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
}

/* Rows of older definitions are read too, and those of a backfill, which has no rules. */
static enum oz_status check_definition(const struct look *lk, struct oz_error *err)
{
    struct oz_buf meta;
    oz_buf_init(&meta);
    enum oz_status status = oz_store_meta(lk->store, &meta, err);
    if (status == OZ_OK && meta.len)
        status =
            oz_definition_learn(lk->prg->definition, (const char *)meta.data, meta.len, false, err);
    if (status == OZ_STATE)
        oz_error_prefix(err,
                        "the state in %s was made by another definition (show it with the file "
                        "that made it)",
                        oz_store_dir(lk->store));
    oz_buf_clear(&meta);
    return status;
}

static enum oz_status print_line(struct look *lk, struct oz_error *err)
{
    oz_buf_put_u8(&lk->buf, '\n');
    OZ_TRY(oz_buf_status(&lk->buf, err));
    if (fwrite(lk->buf.data, 1, lk->buf.len, stdout) != lk->buf.len)
        OZ_FAIL(err, OZ_IO, "cannot write standard output");
    return OZ_OK;
}

static void line_head(struct look *lk, struct oz_json *json, uint32_t e, uint32_t partition,
                      const char *key, uint32_t key_len)
{
    oz_buf_reset(&lk->buf);
    oz_json_init(json, &lk->buf);
    oz_json_open(json, '{');
    oz_json_key(json, "entity");
    oz_json_cstring(json, lk->entity_name[e]);
    oz_json_key(json, "partition");
    oz_json_i64(json, partition);
    oz_json_key(json, "key");
    oz_json_string(json, key, key_len);
}

/* ---- rows */

/* The rule that each suppression slot of an entity belongs to, and the sources and values of its
 * rings, for oz_row_dump(). */
struct names {
    struct oz_row_names names;
    const char *ring[OZ_SOURCES_MAX];
    const char *const *value[OZ_SOURCES_MAX];
    const char *text[OZ_SOURCES_MAX][OZ_RING_VALUES_MAX];
    const char *rule[OZ_RULES_MAX];
};

static void name_all(const struct oz_program *prg, uint32_t e, struct names *ret_names)
{
    const struct oz_entity_plan *ent = &prg->plan->entity[e];
    for (uint32_t r = 0; r < ent->n_rings; r++) {
        ret_names->ring[r] = prg->schema[ent->ring[r].source]->name;
        for (uint32_t v = 0; v < ent->ring[r].n_values; v++)
            ret_names->text[r][v] = ent->ring[r].value[v].text;
        ret_names->value[r] = ret_names->text[r];
    }
    for (size_t r = 0; r < prg->pipeline.n_rules; r++)
        if (prg->suppress_entity[r] == (int)e)
            ret_names->rule[prg->suppress_slot[r]] = prg->pipeline.rule[r].name;
    ret_names->names = (struct oz_row_names){ret_names->ring, ret_names->value, ret_names->rule};
}

static enum oz_status print_row(struct look *lk, uint32_t e, uint32_t partition, const char *key,
                                uint32_t key_len, bool *ret_found, struct oz_error *err)
{
    void *row;
    struct oz_row_io *io;
    struct oz_json json;
    struct names names;
    if (!lk->row[e])
        OZ_TRY(oz_row_look_new(lk->store, &lk->prg->kind[e], lk->entity_name[e], (uint8_t)e,
                               &lk->row[e], err));
    OZ_TRY(oz_row_look_get(lk->row[e], partition, key, key_len, &row, &io, err));
    *ret_found |= row != NULL;
    if (!row) return OZ_OK;
    name_all(lk->prg, e, &names);
    line_head(lk, &json, e, partition, key, key_len);
    oz_json_key(&json, "row");
    enum oz_status status = oz_row_dump(lk->prg->layout[e], row, io, &names.names, &json, err);
    if (status != OZ_OK) {
        oz_error_prefix(err, "the state in %s, entity %s, partition %u, key '%.*s'",
                        oz_store_dir(lk->store), lk->entity_name[e], partition,
                        (int)OZ_MIN(key_len, 64U), key);
        return status;
    }
    oz_json_close(&json, '}');
    return print_line(lk, err);
}

/* The record's own partition is not known for an entity that is the source's key: all are asked. */
static enum oz_status print_key(struct look *lk, struct oz_error *err)
{
    const char *key = lk->opt->key;
    struct oz_positions pos = {0};
    bool found = false;
    OZ_TRY(oz_look_positions(lk->store, &pos, &found, err));
    uint32_t n = found ? pos.n_partitions : OZ_PARTITIONS_MAX;
    oz_positions_clear(&pos);
    found = false;
    for (uint32_t p = 0; p < n; p++)
        OZ_TRY(print_row(lk, (uint32_t)lk->entity, p, key,
                         (uint32_t)OZ_MIN(strlen(key), UINT32_MAX), &found, err));
    if (found) return OZ_OK;
    OZ_FAIL(err, OZ_FOUND, "the state in %s has no row of %s `%s`", oz_store_dir(lk->store),
            lk->entity_name[lk->entity], key);
}

static enum oz_status each_part(void *ctx, const struct oz_stored_part *part, struct oz_error *err)
{
    struct look *lk = ctx;
    bool found = false, own = part->entity >= lk->prg->plan->n_entities;
    if (oz_stop) OZ_FAIL(err, OZ_RETRY, "stopped before the end");
    oz_progress_set(&lk->progress, ++lk->n_seen);
    if (own || (lk->entity >= 0 && part->entity != lk->entity)) return OZ_OK;
    if (part->part != OZ_PART_MAIN) return OZ_OK;
    return print_row(lk, part->entity, part->partition, part->key, part->key_len, &found, err);
}

/* ---- parts */

static void put_hex(struct oz_json *json, struct oz_bytes bytes)
{
    static const char digit[] = "0123456789abcdef";
    struct oz_buf *buf = json->buf;
    oz_json_key(json, "value");
    oz_buf_put_u8(buf, '"');
    for (size_t i = 0; i < bytes.len; i++) {
        oz_buf_put_u8(buf, (uint8_t)digit[bytes.data[i] >> 4]);
        oz_buf_put_u8(buf, (uint8_t)digit[bytes.data[i] & 15]);
    }
    oz_buf_put_u8(buf, '"');
}

static enum oz_status print_part(void *ctx, const struct oz_stored_part *part, struct oz_error *err)
{
    struct look *lk = ctx;
    struct oz_json json;
    bool own = part->entity >= lk->prg->plan->n_entities;
    if (oz_stop) OZ_FAIL(err, OZ_RETRY, "stopped before the end");
    oz_progress_set(&lk->progress, ++lk->n_seen);
    if (lk->entity >= 0 && part->entity != lk->entity) return OZ_OK;
    if (own) {
        oz_buf_reset(&lk->buf);
        oz_json_init(&json, &lk->buf);
        oz_json_open(&json, '{');
        oz_json_key(&json, "record");
        oz_json_cstring(&json, part->entity == OZ_STORE_META ? "meta" : "offsets");
        oz_json_key(&json, "partition");
        oz_json_i64(&json, part->partition);
    } else {
        line_head(lk, &json, part->entity, part->partition, part->key, part->key_len);
        oz_json_key(&json, "part");
        oz_json_i64(&json, part->part);
    }
    put_hex(&json, part->value);
    oz_json_close(&json, '}');
    return print_line(lk, err);
}

static enum oz_status scan(struct look *lk, struct oz_error *err)
{
    struct oz_look look = {lk, lk->entity_name, lk->prg->plan->n_entities,
                           lk->opt->parts ? print_part : each_part, NULL};
    oz_progress_init(&lk->progress, "state", oz_store_estimate_records(lk->store), "parts");
    enum oz_status status = oz_look_parts(lk->store, (struct oz_bytes){0}, &look, err);
    oz_progress_done(&lk->progress);
    return status;
}

static enum oz_status summary(struct look *lk, struct oz_error *err)
{
    struct oz_census census = {.program = lk->prg,
                               .dir = oz_store_dir(lk->store),
                               .stop = &oz_stop,
                               .only_entity = lk->entity};
    enum oz_status status = oz_census_take(&census, lk->store, err);
    if (status == OZ_OK)
        status = lk->opt->json ? oz_census_print_json(&census, err) : oz_census_print(&census, err);
    if (status == OZ_OK && census.n_damaged)
        status = oz_error_set(err, OZ_CORRUPT,
                              "%llu damaged part%s in %s: rebuild the folder from the changelog",
                              (unsigned long long)census.n_damaged,
                              census.n_damaged == 1 ? "" : "s", oz_store_dir(lk->store));
    oz_census_clear(&census);
    return status;
}

static enum oz_status show(struct look *lk, struct oz_error *err)
{
    OZ_TRY(find_entity(lk, err));
    OZ_TRY(oz_store_open_read_only(lk->prg->pipeline.state_dir, STORE_MEMORY, &lk->store, err));
    OZ_TRY(check_definition(lk, err));
    if (lk->opt->key) return print_key(lk, err);
    return lk->opt->rows || lk->opt->parts ? scan(lk, err) : summary(lk, err);
}

int oz_cmd_state(int argc, char **argv)
{
    struct oz_common_options common = {0};
    struct state_options opt = {0};
    struct oz_error err = {0};
    struct oz_program *prg = NULL;
    int code = oz_parse_options(argc, argv, option, &common, take, &opt);
    if (code || common.help) return code;
    if (!opt.pipeline) {
        fputs("ouzel state: which pipeline file?\n", stderr);
        return 2;
    }
    if (!!opt.key + opt.rows + opt.parts + opt.json > 1) {
        fputs("ouzel state: one of --key, --rows, --parts and --json\n", stderr);
        return 2;
    }
    oz_catch_signals();
    if ((code = oz_load_program(opt.pipeline, &common, 0, &prg))) return code;
    struct look lk = {.opt = &opt, .prg = prg};
    oz_buf_init(&lk.buf);
    enum oz_status status = show(&lk, &err);
    for (uint32_t e = 0; e < prg->plan->n_entities; e++) oz_row_look_free(lk.row[e]);
    oz_store_close(lk.store);
    oz_buf_clear(&lk.buf);
    oz_program_free(prg);
    return oz_report(status, &err);
}
