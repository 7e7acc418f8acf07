#include "pipelines/run/bound_models.h"

#include <stdio.h>

#include "base/nearest.h"
#include "base/number.h"

enum { NAMES_MAX = 256, HINT_BYTES = 192 };

struct binding {
    struct oz_program *prg;
    struct oz_mistakes *mistakes;
    struct oz_bound_model *bound;
    const struct oz_model_spec *spec;
    uint32_t *input; /* [n_features], under construction */
};

/* ": did you mean `x`?", or "". */
static const char *hint(const char *word, const char *const *names, size_t n, char to[HINT_BYTES])
{
    const char *near = oz_nearest(word, strlen(word), names, n);
    to[0] = '\0';
    if (near) snprintf(to, HINT_BYTES, ": did you mean `%.128s`?", near);
    return to;
}

/* ---- outputs */

/* Which of the model's scores "y", "y[2]" or "y.label" is; -1: none of this output. */
static int64_t score_of(const struct oz_model_tensor *output, const char *text)
{
    size_t len = strlen(output->name), rest = strlen(text);
    int64_t k;
    if (rest < len || memcmp(text, output->name, len) != 0 || output->is_text) return -1;
    text += len;
    rest -= len;
    if (!rest) return output->n == 1 ? (int64_t)output->first : -1;
    if (*text == '.' && output->column) {
        for (uint32_t i = 0; i < output->n; i++)
            if (!strcmp(output->column[i], text + 1)) return (int64_t)output->first + i;
        return -1;
    }
    if (rest < 3 || *text != '[' || text[rest - 1] != ']') return -1;
    if (!oz_parse_i64(text + 1, rest - 2, &k) || k < 0 || k >= output->n) return -1;
    return (int64_t)output->first + k;
}

/* The output that somebody meant with a text that is no score: its name is the longest in front. */
static const struct oz_model_tensor *output_meant(const struct oz_model_info *info,
                                                  const char *text)
{
    const struct oz_model_tensor *best = NULL;
    for (uint32_t o = 0; o < info->n_outputs; o++) {
        size_t len = strlen(info->output[o].name);
        bool is =
            !strncmp(text, info->output[o].name, len) && (!text[len] || strchr("[.", text[len]));
        if (is && (!best || len > strlen(best->name))) best = &info->output[o];
    }
    return best;
}

static void wrong_output(struct binding *bind, struct oz_named_place given)
{
    const struct oz_model_info *info = bind->bound->info;
    const struct oz_model_tensor *meant = output_meant(info, given.name);
    const char *names[NAMES_MAX] = {NULL};
    char words[HINT_BYTES] = "";
    size_t n = 0;
    if (meant && meant->is_text)
        oz_pipeline_mistake(&bind->prg->pipeline, bind->mistakes, given.place, 0,
                            "output `%.128s` of the model `%s` is text, and a score is a number",
                            meant->name, bind->bound->name);
    else if (meant && meant->n == 1)
        oz_pipeline_mistake(&bind->prg->pipeline, bind->mistakes, given.place, 0,
                            "output `%.128s` of the model `%s` is one number: write `%.128s`",
                            meant->name, bind->bound->name, meant->name);
    else if (meant && meant->column && given.name[strlen(meant->name)] == '.')
        oz_pipeline_mistake(
            &bind->prg->pipeline, bind->mistakes, given.place, 0,
            "output `%.128s` of the model `%s` has no `%.128s`%s", meant->name, bind->bound->name,
            given.name + strlen(meant->name) + 1,
            hint(given.name + strlen(meant->name) + 1, meant->column, meant->n, words));
    else if (meant)
        oz_pipeline_mistake(
            &bind->prg->pipeline, bind->mistakes, given.place, 0,
            "output `%.128s` of the model `%s` has %u numbers: write `%.128s[0]` to "
            "`%.128s[%u]`%s%.128s%s",
            meant->name, bind->bound->name, meant->n, meant->name, meant->name,
            meant->n ? meant->n - 1 : 0, meant->column ? ", or by label, `" : "",
            meant->column
                ? oz_arena_printf(&bind->prg->arena, "%s.%s", meant->name, meant->column[0])
                : "",
            meant->column ? "`" : "");
    else {
        for (uint32_t o = 0; o < info->n_outputs && n < NAMES_MAX; o++)
            names[n++] = info->output[o].name;
        hint(given.name, names, n, words);
        oz_pipeline_mistake(&bind->prg->pipeline, bind->mistakes, given.place, 0,
                            "the model `%s` has no output `%.128s`%s%s%.128s%s", bind->bound->name,
                            given.name, words, *words || !n ? "" : ": it has `",
                            *words || !n ? "" : names[0], *words || !n ? "" : "`");
    }
}

/* Exactly an output's name comes first: names may hold dots and brackets. */
static int64_t find_score(const struct oz_model_info *info, const char *text)
{
    int64_t score = -1;
    for (uint32_t o = 0; o < info->n_outputs && score < 0; o++)
        if (!strcmp(info->output[o].name, text)) score = score_of(&info->output[o], text);
    for (uint32_t o = 0; o < info->n_outputs && score < 0; o++)
        score = score_of(&info->output[o], text);
    return score;
}

static enum oz_status choose_scores(struct binding *bind, struct oz_error *err)
{
    struct oz_bound_model *b = bind->bound;
    const struct oz_model_spec *spec = bind->spec;
    b->n_scores = spec->n_outputs ? (uint32_t)spec->n_outputs : b->info->n_scores;
    uint32_t *output = oz_arena_zeroed(&bind->prg->arena, b->n_scores + 1, sizeof *output);
    if (!output) return oz_no_memory(err);
    for (uint32_t k = 0; k < b->n_scores; k++) {
        int64_t score = spec->n_outputs ? find_score(b->info, spec->output[k].output.name) : k;
        if (score < 0)
            wrong_output(bind, spec->output[k].output);
        else
            output[k] = (uint32_t)score;
    }
    b->output = output;
    if (!b->info->n_scores)
        oz_pipeline_mistake(&bind->prg->pipeline, bind->mistakes, spec->place, 0,
                            "the model `%s` gives no numbers, and scores are numbers", b->name);
    return OZ_OK;
}

static const char *score_name(struct oz_program *prg, const struct oz_bound_model *b,
                              const struct oz_model_spec *spec, uint32_t k)
{
    const char *suffix = b->info->score[b->output[k]].suffix;
    if (spec->n_outputs) return spec->output[k].score.name;
    return *suffix ? oz_arena_printf(&prg->arena, "%s_%s", b->name, suffix) : b->name;
}

static enum oz_status name_scores(struct oz_program *prg, struct oz_error *err)
{
    prg->score_name = oz_arena_zeroed(&prg->arena, prg->n_scores + 1, sizeof *prg->score_name);
    prg->score_is_float =
        oz_arena_zeroed(&prg->arena, prg->n_scores + 1, sizeof *prg->score_is_float);
    if (!prg->score_name || !prg->score_is_float) return oz_no_memory(err);
    for (uint32_t i = 0; i < prg->n_models; i++) {
        const struct oz_bound_model *b = &prg->model[i];
        for (uint32_t k = 0; k < b->n_scores && b->info->n_scores; k++) {
            uint32_t score = b->first_score + k;
            prg->score_is_float[score] = b->info->score[b->output[k]].is_float;
            prg->score_name[score] = score_name(prg, b, &prg->pipeline.model[i], k);
            if (!prg->score_name[score]) return oz_no_memory(err);
        }
    }
    return OZ_OK;
}

/* ---- loading */

/* How many features each input gets, for files that leave it open. */
static enum oz_status widths_of(struct oz_program *prg, const struct oz_model_spec *spec,
                                struct oz_model_widths *ret_widths, struct oz_error *err)
{
    struct oz_model_width *width = oz_arena_zeroed(&prg->arena, spec->n_inputs + 1, sizeof *width);
    if (!width) return oz_no_memory(err);
    for (size_t i = 0; i < spec->n_inputs; i++)
        width[i] = (struct oz_model_width){.input = spec->input[i].input.name,
                                           .n_features = (uint32_t)spec->input[i].n_features};
    *ret_widths = (struct oz_model_widths){width, spec->n_inputs};
    return OZ_OK;
}

static enum oz_status load_one(struct binding *bind, uint32_t i, struct oz_error *err)
{
    struct oz_program *prg = bind->prg;
    struct oz_bound_model *b = bind->bound;
    struct oz_model_widths widths;
    b->name = bind->spec->name;
    OZ_TRY(widths_of(prg, bind->spec, &widths, err));
    OZ_TRY(oz_model_load_sized(bind->spec->file, &widths, &b->model, err));
    prg->n_models = i + 1;
    b->info = oz_model_info(b->model);
    memcpy(b->hash, b->info->sha256, 16);
    b->hash[16] = 0;
    const char *golden = oz_model_golden_path(&prg->arena, bind->spec->file);
    if (!golden) return oz_no_memory(err);
    OZ_TRY(oz_model_check_golden(b->model, golden, &b->n_golden_rows, err));
    OZ_TRY(choose_scores(bind, err));
    b->first_score = prg->n_scores;
    prg->n_scores += b->n_scores;
    if (prg->n_scores > OZ_SCORES_MAX)
        OZ_FAIL(err, OZ_CONFIG,
                "%s: with the model `%s` there are %u scores, at most %d are served: choose some "
                "with its `outputs`",
                prg->pipeline.file, b->name, prg->n_scores, OZ_SCORES_MAX);
    return OZ_OK;
}

enum oz_status oz_bound_models_load(struct oz_program *prg, struct oz_mistakes *mistakes,
                                    struct oz_error *err)
{
    const struct oz_pipeline *pl = &prg->pipeline;
    if (pl->n_models > OZ_MODELS_MAX)
        OZ_FAIL(err, OZ_CONFIG, "%s: %zu models, at most %d are served", pl->file, pl->n_models,
                OZ_MODELS_MAX);
    for (uint32_t i = 0; i < pl->n_models; i++) {
        struct binding bind = {
            .prg = prg, .mistakes = mistakes, .bound = &prg->model[i], .spec = &pl->model[i]};
        OZ_TRY(load_one(&bind, i, err));
    }
    return name_scores(prg, err);
}

/* ---- names that clash */

/* A model of several outputs gives name_0, name_1, ...: another model, or a feature, may have just
 * that name. */
static void check_score_names(struct oz_program *prg, uint32_t m, struct oz_mistakes *mistakes)
{
    const struct oz_bound_model *b = &prg->model[m];
    struct oz_place place = prg->pipeline.model[m].place;
    for (uint32_t k = b->first_score; k < b->first_score + b->n_scores; k++) {
        const char *name = prg->score_name[k];
        for (uint32_t other = 0; name && other < b->first_score; other++) {
            if (!prg->score_name[other] || strcmp(prg->score_name[other], name) != 0) continue;
            oz_pipeline_mistake(&prg->pipeline, mistakes, place, 0,
                                "two models have a score `%s`: give this one another name", name);
            return;
        }
        for (uint32_t f = 0; name && f < prg->n_features; f++) {
            if (strcmp(oz_feature_set_name(prg->set, f), name) != 0) continue;
            oz_pipeline_mistake(&prg->pipeline, mistakes, place, 0,
                                "a score of the model `%s` has the name of the feature `%s`: give "
                                "one of them another name",
                                b->name, name);
            return;
        }
    }
}

/* ---- inputs */

static int64_t find_feature(const struct oz_program *prg, const char *name)
{
    for (uint32_t k = 0; k < prg->n_features; k++)
        if (!strcmp(oz_feature_set_name(prg->set, k), name)) return k;
    return -1;
}

static int64_t find_text(const struct oz_program *prg, const char *name)
{
    const struct oz_schema *schema = prg->schema[prg->plan->scored_source];
    int field = oz_schema_find(schema, name, strlen(name));
    return field >= 0 && schema->field[field].type == OZ_STRING ? field : -1;
}

/* Feature f of the model gets what is called `name` in the pipeline. */
static void bind_feature(struct binding *bind, uint32_t f, const char *name, struct oz_place place)
{
    struct oz_program *prg = bind->prg;
    const struct oz_model_feature *feature = &bind->bound->info->feature[f];
    int64_t text = find_text(prg, name), number = find_feature(prg, name);
    if (feature->is_text ? text >= 0 : number >= 0)
        bind->input[f] = (uint32_t)(feature->is_text ? text : number);
    else if (feature->is_text)
        oz_pipeline_mistake(&prg->pipeline, bind->mistakes, place, 0,
                            "the model `%s` takes text as `%.128s`: expected a field of type "
                            "`string` of the scored source, and `%.128s` is none",
                            bind->bound->name, feature->name, name);
    else if (text >= 0)
        oz_pipeline_mistake(&prg->pipeline, bind->mistakes, place, 0,
                            "the model `%s` takes a number as `%.128s`, and `%.128s` is text",
                            bind->bound->name, feature->name, name);
    else
        oz_pipeline_mistake(&prg->pipeline, bind->mistakes, place, 0,
                            "the model `%s` wants a feature `%.128s` that is not defined",
                            bind->bound->name, name);
}

/* Features [first, first + n) by the names that the file has for them. */
static void bind_by_own_names(struct binding *bind, const struct oz_model_tensor *input,
                              uint32_t first, uint32_t n)
{
    const struct oz_model_feature *feature = bind->bound->info->feature;
    struct oz_place place = bind->spec->place;
    bool own = true;
    for (uint32_t f = first; f < first + n; f++) own = own && feature[f].is_own;
    for (uint32_t f = first; f < first + n && own; f++)
        bind_feature(bind, f, feature[f].name, place);
    if (own) return;
    if (input)
        oz_pipeline_mistake(&bind->prg->pipeline, bind->mistakes, place, 0,
                            "input `%.128s` of the model `%s` is %s%s and names no features: list "
                            "its %u with `inputs`",
                            input->name, bind->bound->name, input->type, input->shape, n);
    else
        oz_pipeline_mistake(&bind->prg->pipeline, bind->mistakes, place, 0,
                            "the model `%s` names no features: list its %u with `inputs: [...]`",
                            bind->bound->name, n);
}

static void bind_list(struct binding *bind, const struct oz_model_input_spec *list, uint32_t first,
                      uint32_t n)
{
    struct oz_place place = list->input.name ? list->input.place : list->feature[0].place;
    const char *are = list->n_features == 1 ? "is" : "are", *plural = n == 1 ? "" : "s";
    if (list->n_features == n) {
        for (uint32_t k = 0; k < n; k++)
            bind_feature(bind, first + k, list->feature[k].name, list->feature[k].place);
    } else if (list->input.name) {
        oz_pipeline_mistake(&bind->prg->pipeline, bind->mistakes, place, 0,
                            "input `%.128s` of the model `%s` takes %u feature%s, and %zu %s "
                            "listed",
                            list->input.name, bind->bound->name, n, plural, list->n_features, are);
    } else {
        oz_pipeline_mistake(&bind->prg->pipeline, bind->mistakes, place, 0,
                            "the model `%s` takes %u feature%s, and %zu %s listed",
                            bind->bound->name, n, plural, list->n_features, are);
    }
}

static const struct oz_model_input_spec *find_spec(const struct oz_model_spec *spec,
                                                   const char *input)
{
    for (size_t i = 0; i < spec->n_inputs; i++)
        if (!strcmp(spec->input[i].input.name, input)) return &spec->input[i];
    return NULL;
}

/* What `inputs` calls an input: one of a net's, or a feature of a model that has none. */
static void bind_by_inputs(struct binding *bind)
{
    const struct oz_model_info *info = bind->bound->info;
    const char *names[NAMES_MAX];
    char words[HINT_BYTES];
    size_t n_names = 0;
    uint32_t n = info->n_inputs ? info->n_inputs : info->n_features;
    for (uint32_t i = 0; i < n; i++) {
        const struct oz_model_tensor *input = info->n_inputs ? &info->input[i] : NULL;
        const char *name = input ? input->name : info->feature[i].name;
        const struct oz_model_input_spec *list = find_spec(bind->spec, name);
        uint32_t first = input ? input->first : i, width = input ? input->n : 1;
        if (list)
            bind_list(bind, list, first, width);
        else
            bind_by_own_names(bind, input, first, width);
        if (n_names < NAMES_MAX) names[n_names++] = name;
    }
    for (size_t k = 0; k < bind->spec->n_inputs; k++) {
        const struct oz_named_place *given = &bind->spec->input[k].input;
        bool found = false;
        for (uint32_t i = 0; i < n && !found; i++)
            found =
                !strcmp(info->n_inputs ? info->input[i].name : info->feature[i].name, given->name);
        if (!found)
            oz_pipeline_mistake(&bind->prg->pipeline, bind->mistakes, given->place, 0,
                                "the model `%s` has no input `%.128s`%s", bind->bound->name,
                                given->name, hint(given->name, names, n_names, words));
    }
}

static enum oz_status bind_one(struct binding *bind, struct oz_error *err)
{
    const struct oz_model_info *info = bind->bound->info;
    const struct oz_model_spec *spec = bind->spec;
    bind->input = oz_arena_zeroed(&bind->prg->arena, info->n_features, sizeof *bind->input);
    if (!bind->input) return oz_no_memory(err);
    if (spec->n_inputs == 1 && !spec->input[0].input.name)
        bind_list(bind, &spec->input[0], 0, info->n_features);
    else if (spec->n_inputs || info->n_inputs)
        bind_by_inputs(bind);
    else
        bind_by_own_names(bind, NULL, 0, info->n_features);
    bind->bound->input = bind->input;
    return OZ_OK;
}

enum oz_status oz_bound_models_bind(struct oz_program *prg, struct oz_mistakes *mistakes,
                                    struct oz_error *err)
{
    for (uint32_t i = 0; i < prg->n_models; i++) {
        struct binding bind = {.prg = prg,
                               .mistakes = mistakes,
                               .bound = &prg->model[i],
                               .spec = &prg->pipeline.model[i]};
        OZ_TRY(bind_one(&bind, err));
        check_score_names(prg, i, mistakes);
    }
    return OZ_OK;
}
