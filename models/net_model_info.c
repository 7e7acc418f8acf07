/* What a net says of itself: names of features and scores, shapes, memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/cpu/net_kernels.h"
#include "models/net/op_tree.h"
#include "models/net_model.h"

enum { NAME_BYTES_MAX = 96, RENAMINGS_MAX = 8 };

/* ---- names that are there once */

struct named {
    const char **name; /* where it stands */
    uint32_t number;
};

static int by_name(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int order = strcmp(*x->name, *y->name);
    return order ? order : (x->number > y->number) - (x->number < y->number);
}

/* Whoever comes second gets a number behind the name; that may be another's, so it is repeated, at
 * last with the place, which no other has. */
static enum oz_status make_unique(struct oz_arena *arena, struct named *named, uint32_t n,
                                  struct oz_error *err)
{
    bool again = n > 0;
    for (int round = 0; again && round <= RENAMINGS_MAX; round++) {
        uint32_t twin = 1;
        again = false;
        qsort(named, n, sizeof *named, by_name);
        const char *before = *named[0].name;
        for (uint32_t i = 1; i < n; i++) {
            const char *name = *named[i].name;
            bool same = !strcmp(name, before);
            before = name;
            twin = same ? twin + 1 : 1;
            if (!same) continue;
            *named[i].name = round < RENAMINGS_MAX
                                 ? oz_arena_printf(arena, "%s_%u", name, twin)
                                 : oz_arena_printf(arena, "%s__%u", name, named[i].number);
            if (!*named[i].name) return oz_no_memory(err);
            again = true;
        }
    }
    return OZ_OK;
}

/* ---- tensors */

static const char *shape_text(struct oz_arena *arena, size_t rank, const int64_t *dim, bool by_rows)
{
    char text[OZ_RANK_MAX * 24 + 8];
    size_t at = 0;
    at += (size_t)snprintf(text, sizeof text, "[");
    for (size_t d = 0; d < rank; d++) {
        const char *between = d ? ", " : "";
        at += (size_t)(!d && by_rows ? snprintf(text + at, sizeof text - at, "N")
                                     : snprintf(text + at, sizeof text - at, "%s%lld", between,
                                                (long long)dim[d]));
    }
    snprintf(text + at, sizeof text - at, "]");
    return oz_arena_strndup(arena, text, strlen(text));
}

static const char *type_word(struct oz_arena *arena, const struct oz_value *value,
                             enum oz_dtype dtype)
{
    const char *word = oz_dtype_word(dtype);
    return value->is_map ? oz_arena_printf(arena, "map to %s", word) : word;
}

static enum oz_status describe_column(struct oz_arena *arena, const struct oz_value *value,
                                      uint32_t width, const char *const **ret_column,
                                      struct oz_error *err)
{
    *ret_column = NULL;
    if (!value->column || value->n_columns != width) return OZ_OK;
    const char **column = oz_arena_zeroed(arena, width, sizeof *column);
    if (!column) return oz_no_memory(err);
    for (uint32_t k = 0; k < width; k++) {
        const struct oz_str *label = &value->column[k];
        column[k] = oz_arena_strndup(arena, label->data ? label->data : "", label->len);
        if (!column[k]) return oz_no_memory(err);
    }
    *ret_column = column;
    return OZ_OK;
}

static enum oz_status describe_inputs(struct oz_net_model *model, struct oz_model_info *info,
                                      struct oz_error *err)
{
    struct oz_arena *arena = &model->arena;
    struct oz_model_tensor *tensor = oz_arena_zeroed(arena, model->n_inputs, sizeof *tensor);
    if (!tensor) return oz_no_memory(err);
    for (uint32_t i = 0; i < model->n_inputs; i++) {
        const struct oz_net_input *input = &model->input[i];
        tensor[i] = (struct oz_model_tensor){.name = input->value->name,
                                             .type = type_word(arena, input->value, input->dtype),
                                             .is_text = input->dtype == OZ_DTYPE_TEXT,
                                             .first = input->first,
                                             .n = input->width};
        tensor[i].shape = shape_text(arena, input->rank, input->dim, true);
        if (!tensor[i].type || !tensor[i].shape) return oz_no_memory(err);
        OZ_TRY(describe_column(arena, input->value, input->width, &tensor[i].column, err));
    }
    info->input = tensor;
    info->n_inputs = model->n_inputs;
    return OZ_OK;
}

static enum oz_status describe_outputs(struct oz_net_model *model, struct oz_model_info *info,
                                       struct oz_error *err)
{
    struct oz_arena *arena = &model->arena;
    struct oz_model_tensor *tensor = oz_arena_zeroed(arena, model->n_outputs, sizeof *tensor);
    if (!tensor) return oz_no_memory(err);
    for (uint32_t k = 0; k < model->n_outputs; k++) {
        const struct oz_net_output *output = &model->output[k];
        const struct oz_tensor *planned = &model->plan.output[k];
        tensor[k] = (struct oz_model_tensor){.name = output->value->name,
                                             .type = type_word(arena, output->value, output->dtype),
                                             .is_text = output->dtype == OZ_DTYPE_TEXT,
                                             .first = output->first,
                                             .n = output->width};
        tensor[k].shape = shape_text(arena, planned->rank, planned->dim, model->plan_rows > 1);
        if (!tensor[k].type || !tensor[k].shape) return oz_no_memory(err);
        OZ_TRY(describe_column(arena, output->value, output->width, &tensor[k].column, err));
    }
    info->output = tensor;
    info->n_outputs = model->n_outputs;
    return OZ_OK;
}

/* ---- features and scores */

/* The name of element k of a tensor: the tensor's own, or with the label or number behind. */
static const char *element_name(struct oz_arena *arena, const struct oz_model_tensor *tensor,
                                uint32_t k)
{
    if (tensor->column) return oz_arena_printf(arena, "%s_%s", tensor->name, tensor->column[k]);
    return tensor->n == 1 ? tensor->name : oz_arena_printf(arena, "%s_%u", tensor->name, k);
}

static enum oz_status name_features(struct oz_net_model *model, struct oz_model_info *info,
                                    struct oz_error *err)
{
    struct oz_arena *arena = &model->arena;
    struct oz_model_feature *feature = oz_arena_zeroed(arena, model->n_features, sizeof *feature);
    struct named *named = oz_calloc(model->n_features, sizeof *named);
    enum oz_status status = feature && named ? OZ_OK : oz_no_memory(err);
    info->has_own_names = true;
    for (uint32_t i = 0; i < info->n_inputs && status == OZ_OK; i++) {
        const struct oz_model_tensor *input = &info->input[i];
        for (uint32_t k = 0; k < input->n && status == OZ_OK; k++) {
            struct oz_model_feature *to = &feature[input->first + k];
            to->is_own = input->column || input->n == 1;
            to->is_text = input->is_text;
            to->name = input->column ? input->column[k] : element_name(arena, input, k);
            info->has_own_names = info->has_own_names && to->is_own;
            named[input->first + k] = (struct named){&to->name, input->first + k};
            if (!to->name) status = oz_no_memory(err);
        }
    }
    if (status == OZ_OK) status = make_unique(arena, named, model->n_features, err);
    oz_free(named);
    info->feature = feature;
    info->n_features = model->n_features;
    return status;
}

/* What a rule can say: letters, digits and `_`, not too long. */
static const char *as_suffix(struct oz_arena *arena, const char *name)
{
    char *copy = oz_arena_strndup(arena, name, strnlen(name, NAME_BYTES_MAX));
    for (char *c = copy; c && *c; c++) {
        bool ok = (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');
        if (!ok) *c = '_';
    }
    return copy;
}

static enum oz_status name_scores(struct oz_net_model *model, struct oz_model_info *info,
                                  struct oz_error *err)
{
    struct oz_arena *arena = &model->arena;
    uint32_t n = model->n_scores;
    struct oz_model_score *score = oz_arena_zeroed(arena, (size_t)n + 1, sizeof *score);
    struct named *suffix = oz_calloc(2 * (size_t)n + 1, sizeof *suffix), *column = suffix + n;
    enum oz_status status = score && suffix ? OZ_OK : oz_no_memory(err);
    for (uint32_t o = 0; o < info->n_outputs && status == OZ_OK; o++) {
        const struct oz_model_tensor *output = &info->output[o];
        for (uint32_t k = 0; k < output->n && !output->is_text && status == OZ_OK; k++) {
            uint32_t at = output->first + k;
            struct oz_model_score *to = &score[at];
            to->is_float = model->output[o].dtype == OZ_DTYPE_F32;
            to->column = element_name(arena, output, k);
            to->suffix = !to->column ? NULL : n == 1 ? "" : as_suffix(arena, to->column);
            suffix[at] = (struct named){&to->suffix, at};
            column[at] = (struct named){&to->column, at};
            if (!to->suffix) status = oz_no_memory(err);
        }
    }
    if (status == OZ_OK) status = make_unique(arena, suffix, n, err);
    if (status == OZ_OK) status = make_unique(arena, column, n, err);
    oz_free(suffix);
    info->score = score;
    info->n_scores = n;
    info->n_texts = model->n_texts;
    return status;
}

static void count_trees(const struct oz_net *net, struct oz_model_info *info)
{
    for (uint32_t i = 0; i < net->graph.n_nodes; i++) {
        const struct oz_node *node = &net->graph.node[i];
        if (node->op->run != oz_tree_run) continue;
        const struct oz_forest *forest = ((const struct oz_tree_state *)node->state)->forest;
        info->n_trees += forest->n_trees;
        info->n_nodes += forest->n_nodes;
    }
}

enum oz_status oz_net_model_describe(struct oz_net_model *model, struct oz_model_info *info,
                                     struct oz_error *err)
{
    const struct oz_net *net = model->net;
    OZ_TRY(describe_inputs(model, info, err));
    OZ_TRY(describe_outputs(model, info, err));
    OZ_TRY(name_features(model, info, err));
    OZ_TRY(name_scores(model, info, err));
    info->producer = net->producer ? net->producer : "";
    info->opset = net->opset;
    info->ml_opset = net->ml_opset;
    info->n_steps = net->graph.n_nodes;
    count_trees(net, info);
    info->memory_bytes = sizeof *model + (size_t)net->weight_bytes;
    info->run_bytes = model->scratch_bytes;
    info->tile_rows = model->tile_rows;
    info->why_one = model->why_one;
    info->kernels =
        oz_arena_printf(&model->arena, "%s: %s", oz_net_kernels()->isa, oz_net_kernels_reason());
    if (!info->kernels) return oz_no_memory(err);
    info->tolerance = 1e-5;
    return OZ_OK;
}
