#include "models/net_model.h"
#include <stdio.h>
#include <string.h>

enum { PART_ALIGN = 64 };

static size_t align_up(size_t n) { return (n + PART_ALIGN - 1) & ~(size_t)(PART_ALIGN - 1); }

void oz_net_model_free(struct oz_net_model *model)
{
    if (!model) return;
    oz_net_clear(model->net);
    oz_free(model->net);
    oz_arena_clear(&model->arena);
    oz_free(model);
}

/* ---- inputs */

/* "[N, seq, 4]", as the file has it. */
static const char *declared(const struct oz_value *value, char to[OZ_TENSOR_WORDS_BYTES])
{
    size_t at = 0;
    to[0] = '\0';
    for (uint32_t d = 0; d < value->rank && at < OZ_TENSOR_WORDS_BYTES - 1; d++) {
        const struct oz_dim *dim = &value->dim[d];
        const char *before = d ? ", " : "[";
        size_t room = OZ_TENSOR_WORDS_BYTES - at;
        int n = dim->size >= 0 ? snprintf(to + at, room, "%s%lld", before, (long long)dim->size)
                               : snprintf(to + at, room, "%s%.24s", before,
                                          dim->symbol && *dim->symbol ? dim->symbol : "?");
        at += (size_t)OZ_MAX(n, 0);
    }
    if (at < OZ_TENSOR_WORDS_BYTES - 1) snprintf(to + at, OZ_TENSOR_WORDS_BYTES - at, "]");
    return to;
}

/* How many features the pipeline gives this input; 0: it does not say. */
static uint32_t given_width(const struct oz_net_model *model, const struct oz_net_input *input,
                            const struct oz_model_widths *widths)
{
    uint64_t others = 0;
    for (size_t i = 0; widths && i < widths->n; i++)
        if (widths->width[i].input && !strcmp(widths->width[i].input, input->value->name))
            return widths->width[i].n_features;
    for (uint32_t i = 0; i < model->n_inputs; i++)
        if (&model->input[i] != input) others += model->input[i].width;
    for (size_t i = 0; widths && i < widths->n; i++)
        if (!widths->width[i].input && widths->width[i].n_features > others)
            return (uint32_t)(widths->width[i].n_features - others);
    return 0;
}

/* The rows come first, then what one row has. An open dimension is left at -1. */
static enum oz_status read_shape(struct oz_net_model *model, struct oz_net_input *input,
                                 struct oz_error *err)
{
    const struct oz_value *value = input->value;
    char words[OZ_TENSOR_WORDS_BYTES];
    input->dtype = (enum oz_dtype)value->dtype;
    if (value->is_map && value->column) {
        input->rank = 2;
        input->dim[1] = (int64_t)value->n_columns;
        return OZ_OK;
    }
    if (!value->is_declared)
        OZ_FAIL(err, OZ_MODEL, "input `%s` is of no type: export it with one", value->name);
    if (!value->has_shape) {
        input->rank = 2;
        input->dim[1] = -1;
        return OZ_OK;
    }
    if (!value->rank)
        OZ_FAIL(err, OZ_MODEL,
                "input `%s` is a single value: expected one with the rows as first dimension",
                value->name);
    const struct oz_dim *rows = &value->dim[0];
    if (rows->size >= 0 && rows->size != 1)
        OZ_FAIL(err, OZ_MODEL,
                "input `%s` is %s, for batches of %lld rows only: export it with an open first "
                "dimension",
                value->name, declared(value, words), (long long)rows->size);
    model->is_batch_fixed = model->is_batch_fixed || rows->size == 1;
    input->rank = value->rank;
    for (uint32_t d = 1; d < value->rank; d++) {
        const struct oz_dim *dim = &value->dim[d];
        input->dim[d] = dim->size;
        if (dim->size < 0 && dim->symbol && *dim->symbol && rows->symbol &&
            !strcmp(dim->symbol, rows->symbol))
            OZ_FAIL(err, OZ_MODEL,
                    "input `%s` is %s: two of its dimensions are the number of rows, and one is "
                    "served",
                    value->name, declared(value, words));
    }
    return OZ_OK;
}

/* Elements of one row, and the open dimension if there is one. */
static enum oz_status measure(struct oz_net_input *input, size_t *ret_open, struct oz_error *err)
{
    char words[OZ_TENSOR_WORDS_BYTES];
    uint64_t n = 1;
    *ret_open = 0;
    for (size_t d = 1; d < input->rank; d++) {
        if (input->dim[d] < 0 && *ret_open)
            OZ_FAIL(err, OZ_MODEL,
                    "input `%s` is %s: besides the rows one dimension may be open, export it with "
                    "the others fixed",
                    input->value->name, declared(input->value, words));
        if (input->dim[d] < 0)
            *ret_open = d;
        else if (input->dim[d] > OZ_MODEL_FEATURES_MAX ||
                 (n *= (uint64_t)input->dim[d]) > OZ_MODEL_FEATURES_MAX)
            OZ_FAIL(err, OZ_MODEL, "input `%s` is %s: a row has at most %d values",
                    input->value->name, declared(input->value, words), OZ_MODEL_FEATURES_MAX);
    }
    if (!n)
        OZ_FAIL(err, OZ_MODEL, "input `%s` is %s: it has no values", input->value->name,
                declared(input->value, words));
    input->width = *ret_open ? 0 : (uint32_t)n;
    return OZ_OK;
}

static enum oz_status close_open(struct oz_net_model *model, struct oz_net_input *input,
                                 size_t open, const struct oz_model_widths *widths,
                                 struct oz_error *err)
{
    char words[OZ_TENSOR_WORDS_BYTES];
    uint32_t width = given_width(model, input, widths);
    int64_t others = 1;
    for (size_t d = 1; d < input->rank; d++)
        if (d != open) others *= input->dim[d];
    if (!input->value->has_shape && !width)
        OZ_FAIL(err, OZ_MODEL,
                "input `%s` has no shape: say how many features it takes (a pipeline: `inputs`, "
                "the command line: --features)",
                input->value->name);
    if (!width)
        OZ_FAIL(err, OZ_MODEL,
                "input `%s` is %s, of any length: say how many features it takes (a pipeline: "
                "`inputs`, the command line: --features), or export it with a fixed one",
                input->value->name, declared(input->value, words));
    if (width % others || width > OZ_MODEL_FEATURES_MAX)
        OZ_FAIL(err, OZ_MODEL,
                "input `%s` is %s, and gets %u features: expected a multiple of %lld, at most %d",
                input->value->name, declared(input->value, words), width, (long long)others,
                OZ_MODEL_FEATURES_MAX);
    input->dim[open] = width / others;
    input->width = width;
    return OZ_OK;
}

static enum oz_status find_inputs(struct oz_net_model *model, const struct oz_model_widths *widths,
                                  struct oz_error *err)
{
    const struct oz_graph *graph = &model->net->graph;
    uint64_t first = 0;
    if (!graph->n_inputs) OZ_FAIL(err, OZ_MODEL, "the net has no inputs");
    model->n_inputs = graph->n_inputs;
    model->input = oz_arena_zeroed(&model->arena, model->n_inputs, sizeof *model->input);
    size_t *open = oz_arena_zeroed(&model->arena, model->n_inputs, sizeof *open);
    if (!model->input || !open) return oz_no_memory(err);
    for (uint32_t i = 0; i < model->n_inputs; i++) {
        model->input[i].value = &model->net->value[graph->input[i]];
        OZ_TRY(read_shape(model, &model->input[i], err));
        OZ_TRY(measure(&model->input[i], &open[i], err));
    }
    for (uint32_t i = 0; i < model->n_inputs; i++) {
        struct oz_net_input *input = &model->input[i];
        if (open[i]) OZ_TRY(close_open(model, input, open[i], widths, err));
        input->first = (uint32_t)first;
        first += input->width;
        model->has_checks = model->has_checks || !oz_dtype_is_float(input->dtype);
        if (first > OZ_MODEL_FEATURES_MAX)
            OZ_FAIL(err, OZ_MODEL, "the inputs have more than %d features", OZ_MODEL_FEATURES_MAX);
    }
    model->n_features = (uint32_t)first;
    return OZ_OK;
}

/* ---- rows of a tile */

static enum oz_status plan_for(const struct oz_net_model *model, uint32_t n_rows,
                               struct oz_arena *arena, struct oz_net_plan *ret_plan,
                               struct oz_error *err)
{
    struct oz_tensor *in = oz_arena_zeroed(arena, model->n_inputs, sizeof *in);
    if (!in) return oz_no_memory(err);
    for (uint32_t i = 0; i < model->n_inputs; i++) {
        int64_t dim[OZ_RANK_MAX];
        memcpy(dim, model->input[i].dim, sizeof dim);
        dim[0] = n_rows;
        OZ_TRY(oz_tensor_shape(&in[i], model->input[i].dtype, model->input[i].rank, dim, err));
    }
    return oz_net_plan(model->net, in, arena, ret_plan, err);
}

/* NULL, or why an output is not a row for each of n_rows rows, as wide as for `few` rows. */
static const char *not_by_row(struct oz_net_model *model, const struct oz_net_plan *plan,
                              uint32_t n_rows, const struct oz_net_plan *few, uint32_t n_few)
{
    char words[OZ_TENSOR_WORDS_BYTES];
    for (uint32_t k = 0; k < model->net->graph.n_outputs; k++) {
        const struct oz_tensor *out = &plan->output[k];
        if (out->rank && out->dim[0] == n_rows && !out->loose &&
            out->n / n_rows == few->output[k].n / n_few)
            continue;
        const char *why = oz_arena_printf(
            &model->arena, "for %u rows the output `%.64s` is %s", n_rows,
            model->net->value[model->net->graph.output[k]].name, oz_tensor_words(out, words));
        return why ? why : "an output is not one row for each row";
    }
    return NULL;
}

/* As many rows as keep the values in the cache, or 1 with the reason. */
static enum oz_status choose_rows(struct oz_net_model *model, struct oz_arena *tries,
                                  uint32_t *ret_rows, struct oz_error *err)
{
    enum { FEW = OZ_NET_TILE_ROWS_MIN, MORE = 2 * FEW };
    struct oz_net_plan few, more;
    struct oz_error why = {0};
    *ret_rows = 1;
    if (model->is_batch_fixed) {
        model->why_one = "the file fixes the batch at one row";
        return OZ_OK;
    }
    enum oz_status status = plan_for(model, FEW, tries, &few, &why);
    if (status == OZ_OK) status = plan_for(model, MORE, tries, &more, &why);
    if (status == OZ_NO_MEMORY) return oz_no_memory(err);
    if (status != OZ_OK) {
        model->why_one =
            oz_arena_printf(&model->arena, "it does not take several: %.200s", why.message);
        return model->why_one ? OZ_OK : oz_no_memory(err);
    }
    if (more.memory_bytes > OZ_NET_SCRATCH_BYTES_MAX / 2) {
        model->why_one = "several take too much memory";
        return OZ_OK;
    }
    model->why_one = not_by_row(model, &few, FEW, &few, FEW);
    if (!model->why_one) model->why_one = not_by_row(model, &more, MORE, &few, FEW);
    if (model->why_one) return OZ_OK;
    size_t each = (OZ_MAX(more.value_bytes, few.value_bytes) - few.value_bytes) / (MORE - FEW);
    for (uint32_t i = 0; i < model->n_inputs; i++)
        each += model->input[i].width * oz_dtype_bytes(model->input[i].dtype);
    size_t rows = (size_t)OZ_NET_TILE_BYTES / OZ_MAX(each, (size_t)1);
    rows = OZ_MIN(OZ_MAX(rows, (size_t)FEW), (size_t)OZ_NET_TILE_ROWS_MAX);
    *ret_rows = (uint32_t)(rows - rows % FEW);
    return OZ_OK;
}

static enum oz_status plan_tile(struct oz_net_model *model, struct oz_error *err)
{
    struct oz_arena tries;
    uint32_t rows = 1;
    oz_arena_init(&tries, 1 << 14);
    enum oz_status status = choose_rows(model, &tries, &rows, err);
    oz_arena_clear(&tries);
    OZ_TRY(status);
    model->plan_rows = model->tile_rows = rows;
    return plan_for(model, rows, &model->arena, &model->plan, err);
}

/* ---- outputs */

static enum oz_status find_outputs(struct oz_net_model *model, struct oz_error *err)
{
    const struct oz_graph *graph = &model->net->graph;
    uint64_t n_scores = 0, n_texts = 0;
    if (!graph->n_outputs) OZ_FAIL(err, OZ_MODEL, "the net has no outputs");
    model->n_outputs = graph->n_outputs;
    model->output = oz_arena_zeroed(&model->arena, model->n_outputs, sizeof *model->output);
    if (!model->output) return oz_no_memory(err);
    for (uint32_t k = 0; k < model->n_outputs; k++) {
        struct oz_net_output *out = &model->output[k];
        const struct oz_tensor *tensor = &model->plan.output[k];
        out->value = &model->net->value[graph->output[k]];
        out->dtype = (enum oz_dtype)tensor->dtype;
        if (tensor->loose)
            OZ_FAIL(err, OZ_MODEL,
                    "the size of output `%s` depends on the data: export the model without it",
                    out->value->name);
        int64_t width = tensor->n / model->plan_rows;
        uint64_t *count = out->dtype == OZ_DTYPE_TEXT ? &n_texts : &n_scores;
        if (width > OZ_MODEL_OUTPUTS_MAX || *count + (uint64_t)width > OZ_MODEL_OUTPUTS_MAX)
            OZ_FAIL(err, OZ_MODEL,
                    "output `%s` has %lld values for each row: all outputs have at most %d",
                    out->value->name, (long long)width, OZ_MODEL_OUTPUTS_MAX);
        out->width = (uint32_t)width;
        out->first = (uint32_t)*count;
        *count += out->width;
    }
    model->n_scores = (uint32_t)n_scores;
    model->n_texts = (uint32_t)n_texts;
    return OZ_OK;
}

/* ---- the whole */

static void lay_scratch(struct oz_net_model *model)
{
    size_t at = align_up(model->plan.memory_bytes);
    for (uint32_t i = 0; i < model->n_inputs; i++) {
        struct oz_net_input *input = &model->input[i];
        input->offset = at;
        at += align_up((size_t)model->plan_rows * input->width * oz_dtype_bytes(input->dtype));
    }
    model->tensors_offset = at;
    at += align_up((model->n_inputs + (size_t)model->n_outputs) * sizeof(struct oz_tensor));
    model->rows_offset = at;
    at += align_up(model->plan_rows * sizeof(uint32_t));
    model->scratch_bytes = at + PART_ALIGN; /* the caller's memory need not be aligned */
}

static enum oz_status prepare(struct oz_net_model *model, const struct oz_model_widths *widths,
                              struct oz_error *err)
{
    OZ_TRY(find_inputs(model, widths, err));
    OZ_TRY(plan_tile(model, err));
    OZ_TRY(find_outputs(model, err));
    lay_scratch(model);
    if (model->scratch_bytes > OZ_NET_SCRATCH_BYTES_MAX)
        OZ_FAIL(err, OZ_MODEL, "scoring %u rows takes %zu MiB of memory, up to %d are served",
                model->plan_rows, model->scratch_bytes >> 20, OZ_NET_SCRATCH_BYTES_MAX >> 20);
    return model->tile_rows > 1 ? oz_net_model_probe(model, err) : OZ_OK;
}

enum oz_status oz_net_model_new(struct oz_net *net, const struct oz_model_widths *widths,
                                struct oz_net_model **ret_model, struct oz_error *err)
{
    struct oz_net_model *model = oz_calloc(1, sizeof *model);
    if (!model) {
        oz_net_clear(net);
        oz_free(net);
        return oz_no_memory(err);
    }
    oz_arena_init(&model->arena, 1 << 14);
    model->net = net;
    enum oz_status status = prepare(model, widths, err);
    if (status != OZ_OK) {
        oz_net_model_free(model);
        return status;
    }
    *ret_model = model;
    return OZ_OK;
}
