/* ouzel model info|check|predict FILE */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/nearest.h"
#include "base/number.h"
#include "pipelines/cli/command.h"
#include "pipelines/cli/model_report.h"
#include "pipelines/cli/model_table.h"

enum { KEY_GOLDEN = 1, KEY_FEATURES };
enum { CLOSE_BYTES = 32 };

static const struct oz_option option[] = {
    {"golden", true, KEY_GOLDEN, "the golden rows, if not beside the model (check, info)", 0},
    {"features", true, KEY_FEATURES, "how many features a model of any length gets", 0},
    {NULL, false, 0, NULL, 0}};

struct options {
    const char *action, *file, *rows, *golden;
    uint32_t n_features;
};

static bool take(void *ctx, int key, const char *value)
{
    struct options *opt = ctx;
    int64_t n;
    if (key == KEY_GOLDEN) {
        opt->golden = value;
        return true;
    }
    if (key == KEY_FEATURES) {
        bool good = oz_parse_i64(value, strlen(value), &n) && n > 0 && n <= OZ_MODEL_FEATURES_MAX;
        if (good) opt->n_features = (uint32_t)n;
        if (!good)
            fprintf(stderr, "ouzel model: --features is from 1 to %d, not %s\n",
                    OZ_MODEL_FEATURES_MAX, value);
        return good;
    }
    const char **to = !opt->action ? &opt->action : !opt->file ? &opt->file : &opt->rows;
    if (!*to) {
        *to = value;
        return true;
    }
    fprintf(stderr, "ouzel model: one model file and one table, not also %s\n", value);
    return false;
}

static enum oz_status load(const struct options *opt, uint32_t n_features,
                           struct oz_model **ret_model, struct oz_error *err)
{
    struct oz_model_width width = {NULL, n_features};
    struct oz_model_widths widths = {&width, n_features ? 1 : 0};
    return oz_model_load_sized(opt->file, &widths, ret_model, err);
}

/* ---- info and check */

static const char *golden_path(const struct options *opt, struct oz_arena *arena)
{
    return opt->golden ? opt->golden : oz_model_golden_path(arena, opt->file);
}

static const char *how_close(const struct oz_model *model, char to[CLOSE_BYTES])
{
    double tolerance = oz_model_info(model)->tolerance;
    if (!(tolerance > 0)) return "to the bit";
    snprintf(to, CLOSE_BYTES, "within %g", tolerance);
    return to;
}

static enum oz_status show_info(const struct options *opt, struct oz_arena *arena,
                                struct oz_error *err)
{
    struct oz_model *model = NULL;
    OZ_TRY(load(opt, opt->n_features, &model, err));
    size_t n_rows = 0;
    char words[CLOSE_BYTES];
    const char *path = golden_path(opt, arena), *golden = NULL;
    enum oz_status status = path ? OZ_OK : oz_no_memory(err);
    if (path && access(path, F_OK) != 0)
        golden = oz_arena_printf(arena, "there are no rows (%s)", path);
    else if (path && oz_model_check_golden(model, path, &n_rows, err) != OZ_OK)
        golden =
            oz_arena_printf(arena, "%s%s%s", err->where, *err->where ? ": " : "", err->message);
    else if (path)
        golden =
            oz_arena_printf(arena, "%zu rows agree %s (%s)", n_rows, how_close(model, words), path);
    if (status == OZ_OK && !golden) status = oz_no_memory(err);
    if (status == OZ_OK)
        status = oz_model_report(opt->file, oz_model_info(model), golden, !isatty(STDOUT_FILENO),
                                 stdout, err);
    oz_model_free(model);
    return status;
}

static enum oz_status check(const struct options *opt, struct oz_arena *arena, struct oz_error *err)
{
    struct oz_model *model = NULL;
    OZ_TRY(load(opt, opt->n_features, &model, err));
    size_t n_rows = 0;
    char words[CLOSE_BYTES];
    const char *path = golden_path(opt, arena);
    enum oz_status status = path ? OZ_OK : oz_no_memory(err);
    bool there = path && (opt->golden || access(path, F_OK) == 0);
    if (there) status = oz_model_check_golden(model, path, &n_rows, err);
    if (status == OZ_OK && there)
        printf("%s: it loads, and %zu golden rows agree %s (%s)\n", opt->file, n_rows,
               how_close(model, words), path);
    else if (status == OZ_OK)
        printf("%s: it loads; there are no golden rows (%s)\n", opt->file, path);
    oz_model_free(model);
    return status;
}

/* ---- predict */

static enum oz_status predict(const struct options *opt, struct oz_error *err)
{
    struct oz_csv csv;
    struct oz_model *model = NULL;
    bool end = false;
    enum oz_status status = oz_csv_open(&csv, opt->rows, OZ_FOUND, err);
    if (status == OZ_OK) status = oz_csv_next(&csv, &end, err);
    if (status == OZ_OK && end)
        status = oz_csv_mistake(&csv, err, "the table is empty: expected a header");
    /* The table says how many features a model of any length gets. */
    uint32_t n_cells = (uint32_t)OZ_MIN(csv.n_cells, (size_t)OZ_MODEL_FEATURES_MAX);
    if (status == OZ_OK)
        status = load(opt, opt->n_features ? opt->n_features : n_cells, &model, err);
    if (status == OZ_OK) status = oz_model_table(model, &csv, stdout, &oz_stop, err);
    oz_csv_close(&csv);
    oz_model_free(model);
    return status;
}

static int unknown_action(const char *action)
{
    static const char *const actions[] = {"info", "check", "predict"};
    const char *near = action ? oz_nearest(action, strlen(action), actions, 3) : NULL;
    if (!action)
        fputs("ouzel model: what? info FILE, check FILE or predict FILE ROWS.csv\n", stderr);
    else
        fprintf(stderr, "ouzel model: there is no `%s`%s%s%s: info, check or predict\n", action,
                near ? ", did you mean `" : "", near ? near : "", near ? "`?" : "");
    return 2;
}

int oz_cmd_model(int argc, char **argv)
{
    struct oz_common_options common = {.without_pipeline = true};
    struct options opt = {0};
    struct oz_error err = {0};
    struct oz_arena arena;
    int code = oz_parse_options(argc, argv, option, &common, take, &opt);
    if (code || common.help) return code;
    bool is_info = opt.action && !strcmp(opt.action, "info");
    bool is_check = opt.action && !strcmp(opt.action, "check");
    bool is_predict = opt.action && !strcmp(opt.action, "predict");
    if (!is_info && !is_check && !is_predict) return unknown_action(opt.action);
    if (!opt.file || (is_predict && !opt.rows)) {
        fprintf(stderr, "ouzel model %s: which %s?\n", opt.action,
                !opt.file ? "model file" : "table: ROWS.csv, or - for standard input");
        return 2;
    }
    if (opt.rows && !is_predict) {
        fprintf(stderr, "ouzel model %s: one model file, not also %s\n", opt.action, opt.rows);
        return 2;
    }
    oz_catch_signals();
    oz_arena_init(&arena, 1024);
    enum oz_status status = is_info    ? show_info(&opt, &arena, &err)
                            : is_check ? check(&opt, &arena, &err)
                                       : predict(&opt, &err);
    oz_arena_clear(&arena);
    return oz_report(status, &err);
}
