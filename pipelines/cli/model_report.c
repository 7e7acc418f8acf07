#include "pipelines/cli/model_report.h"

#include <stdarg.h>
#include <string.h>

#include "pipelines/cli/text_table.h"

enum { LINES_ON_TERMINAL = 12, LIST_BYTES = 100 };

static void put_fact(FILE *to, const char *name, const char *fmt, ...) OZ_PRINTF(3, 4);
static void put_fact(FILE *to, const char *name, const char *fmt, ...)
{
    va_list args;
    fprintf(to, "  %-9s ", name);
    va_start(args, fmt);
    vfprintf(to, fmt, args);
    va_end(args);
    fputc('\n', to);
}

static void put_size(char to[32], size_t bytes)
{
    if (bytes < 10240)
        snprintf(to, 32, "%zu bytes", bytes);
    else if (bytes < (size_t)10 << 20)
        snprintf(to, 32, "%zu KiB", bytes >> 10);
    else
        snprintf(to, 32, "%zu MiB", bytes >> 20);
}

static void put_cell(struct oz_text_table *table, const char *text)
{
    oz_text_table_text(table, text, strlen(text));
}

/* "a, b, c, ...": names, as many as fit. */
static void list_names(char to[LIST_BYTES], uint32_t n,
                       const char *(*name)(const void *items, uint32_t i), const void *items)
{
    size_t at = 0;
    to[0] = '\0';
    for (uint32_t i = 0; i < n; i++) {
        const char *text = name(items, i);
        if (at + strlen(text) + 8 > LIST_BYTES) {
            snprintf(to + at, LIST_BYTES - at, "%s...", i ? ", " : "");
            return;
        }
        at += (size_t)snprintf(to + at, LIST_BYTES - at, "%s%s", i ? ", " : "", text);
    }
}

static const char *feature_name(const void *items, uint32_t i)
{
    return ((const struct oz_model_feature *)items)[i].name;
}
static const char *score_name(const void *items, uint32_t i)
{
    return ((const struct oz_model_score *)items)[i].column;
}

static void cut(FILE *to, uint32_t n, uint32_t shown, const char *what)
{
    if (shown < n) fprintf(to, "  ... and %u more %s\n", n - shown, what);
}

static enum oz_status put_inputs(const struct oz_model_info *info, bool whole, FILE *to,
                                 struct oz_error *err)
{
    struct oz_text_table table;
    char names[LIST_BYTES];
    uint32_t n = info->n_inputs ? info->n_inputs : info->n_features;
    uint32_t shown = whole ? n : OZ_MIN(n, (uint32_t)LINES_ON_TERMINAL);
    oz_text_table_init(&table, 4);
    oz_text_table_head(&table, "  input");
    oz_text_table_head(&table, "type");
    oz_text_table_head(&table, "shape");
    oz_text_table_head(&table, "features");
    for (uint32_t i = 0; i < shown; i++) {
        struct oz_model_tensor one = {
            .name = info->feature[i].name, .type = "number", .shape = "[N]", .first = i, .n = 1};
        const struct oz_model_tensor *input = info->n_inputs ? &info->input[i] : &one;
        const struct oz_model_feature *feature = &info->feature[input->first];
        list_names(names, input->n, feature_name, feature);
        oz_text_table_head(&table, "  %s", input->name);
        put_cell(&table, input->type);
        put_cell(&table, input->shape);
        put_cell(&table, feature->is_own ? names
                         : input->n == 1 ? "no name in the file"
                                         : "no names in the file");
    }
    enum oz_status status = oz_text_table_print(&table, to, err);
    oz_text_table_clear(&table);
    cut(to, n, shown, "inputs");
    return status;
}

static enum oz_status put_outputs(const struct oz_model_info *info, bool whole, FILE *to,
                                  struct oz_error *err)
{
    struct oz_text_table table;
    char names[LIST_BYTES];
    uint32_t shown = whole ? info->n_outputs : OZ_MIN(info->n_outputs, (uint32_t)LINES_ON_TERMINAL);
    oz_text_table_init(&table, 4);
    oz_text_table_head(&table, "  output");
    oz_text_table_head(&table, "type");
    oz_text_table_head(&table, "shape");
    oz_text_table_head(&table, "scores");
    for (uint32_t o = 0; o < shown; o++) {
        const struct oz_model_tensor *output = &info->output[o];
        oz_text_table_head(&table, "  %s", output->name);
        put_cell(&table, output->type);
        put_cell(&table, output->shape);
        if (!output->is_text) list_names(names, output->n, score_name, info->score + output->first);
        put_cell(&table, output->is_text ? "none: it is text" : names);
    }
    enum oz_status status = oz_text_table_print(&table, to, err);
    oz_text_table_clear(&table);
    cut(to, info->n_outputs, shown, "outputs");
    return status;
}

static enum oz_status put_operators(const struct oz_model_info *info, bool whole, FILE *to,
                                    struct oz_error *err)
{
    struct oz_text_table table;
    uint32_t shown = whole ? info->n_ops : OZ_MIN(info->n_ops, (uint32_t)LINES_ON_TERMINAL);
    if (!info->n_ops) return OZ_OK;
    oz_text_table_init(&table, 3);
    oz_text_table_head(&table, "  operator");
    oz_text_table_head(&table, "nodes");
    oz_text_table_head(&table, "of");
    for (uint32_t i = 0; i < shown; i++) {
        oz_text_table_head(&table, "  %s", info->op[i].name);
        oz_text_table_number(&table, info->op[i].n);
        put_cell(&table, info->op[i].domain);
    }
    enum oz_status status = oz_text_table_print(&table, to, err);
    oz_text_table_clear(&table);
    cut(to, info->n_ops, shown, "operators");
    return status;
}

static void put_facts(const struct oz_model_info *info, const char *golden, FILE *to)
{
    char memory[32], run[32];
    put_size(memory, info->memory_bytes);
    put_size(run, info->run_bytes);
    put_fact(to, "format", "%s, %s", info->format, info->objective);
    if (*info->producer) put_fact(to, "producer", "%s", info->producer);
    if (info->opset && info->ml_opset)
        put_fact(to, "opsets", "ai.onnx %u, ai.onnx.ml %u", info->opset, info->ml_opset);
    else if (info->opset || info->ml_opset)
        put_fact(to, "opsets", info->opset ? "ai.onnx %u" : "ai.onnx.ml %u",
                 info->opset ? info->opset : info->ml_opset);
    put_fact(to, "sha256", "%s", info->sha256);
    if (info->n_trees) put_fact(to, "trees", "%u, with %u nodes", info->n_trees, info->n_nodes);
    if (info->n_steps) put_fact(to, "steps", "%u, after folding and fusing", info->n_steps);
    put_fact(to, "features", "%u%s", info->n_features,
             info->has_own_names ? ""
                                 : ", not all named in the file: a pipeline lists them with "
                                   "`inputs`");
    put_fact(to, "scores", "%u", info->n_scores);
    put_fact(to, "memory", "%s, and %s for each thread that scores", memory, run);
    put_fact(to, "kernels", "%s", info->kernels);
    if (info->why_one)
        put_fact(to, "rows", "one at a time: %s", info->why_one);
    else
        put_fact(to, "rows", "%u at a time", info->tile_rows);
    put_fact(to, "golden", "%s", golden);
}

enum oz_status oz_model_report(const char *path, const struct oz_model_info *info,
                               const char *golden, bool whole, FILE *to, struct oz_error *err)
{
    fprintf(to, "%s\n", path);
    put_facts(info, golden, to);
    fputc('\n', to);
    OZ_TRY(put_inputs(info, whole, to, err));
    fputc('\n', to);
    OZ_TRY(put_outputs(info, whole, to, err));
    if (info->n_ops) fputc('\n', to);
    return put_operators(info, whole, to, err);
}
