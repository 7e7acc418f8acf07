/* Proves the rules by which a net is a model: how inputs become features and outputs become scores,
 * which rows have none, how many go together, and what is refused with which words. How: small nets
 * made by hand (fixtures/nets/make_nets.py), whose golden rows are ONNX Runtime's answers; what is
 * expected of nulls and of batches is said here. Damage: every byte of every net is changed, every
 * allocation fails once. */
#include "fixture_files.h"
#include <math.h>
#include "models/model.h"

#define NETS "nets/"
enum { N_ROWS = 70 };

static struct oz_error err;

static struct oz_model *load_sized(const char *name, const char *input, uint32_t n_features)
{
    char path[256];
    struct oz_model *model = NULL;
    struct oz_model_width width = {input, n_features};
    struct oz_model_widths widths = {&width, n_features ? 1 : 0};
    snprintf(path, sizeof path, FIXTURES NETS "%s.onnx", name);
    if (oz_model_load_sized(path, &widths, &model, &err) != OZ_OK)
        fail_msg("%s: %s", name, err.message);
    return model;
}

static struct oz_model *load(const char *name) { return load_sized(name, NULL, 0); }

static void check_golden(const struct oz_model *model, const char *name)
{
    char path[256];
    size_t n_rows = 0;
    snprintf(path, sizeof path, FIXTURES NETS "%s.golden.csv", name);
    if (oz_model_check_golden(model, path, &n_rows, &err) != OZ_OK)
        fail_msg("%s: %s", err.where, err.message);
    assert_int_equal(n_rows, 40);
}

static void refused(const char *name, uint32_t n_features, const char *words)
{
    char path[256];
    struct oz_model *model = NULL;
    struct oz_model_width width = {NULL, n_features};
    struct oz_model_widths widths = {&width, n_features ? 1 : 0};
    snprintf(path, sizeof path, FIXTURES NETS "%s.onnx", name);
    if (oz_model_load_sized(path, &widths, &model, &err) != OZ_MODEL) fail_msg("%s loads", name);
    if (!strstr(err.message, words)) fail_msg("\"%s\" does not say \"%s\"", err.message, words);
    assert_non_null(strstr(err.message, name));
}

static void predict(const struct oz_model *model, const union oz_model_column *column,
                    size_t n_rows, double *scores, size_t n_failed)
{
    void *scratch = malloc(oz_model_scratch_bytes(model, n_rows));
    assert_int_equal(oz_model_predict(model, column, n_rows, scratch, scores), n_failed);
    free(scratch);
}

/* ---- names */

static void a_wide_input_is_features_without_names(void **state)
{
    (void)state;
    struct oz_model *model = load("one_input");
    const struct oz_model_info *info = oz_model_info(model);
    assert_string_equal(info->format, "onnx");
    assert_string_equal(info->producer, "by-hand 1");
    assert_int_equal(info->opset, 17);
    assert_int_equal(info->n_features, 3);
    assert_false(info->has_own_names);
    assert_string_equal(info->feature[2].name, "x_2");
    assert_int_equal(info->n_inputs, 1);
    assert_string_equal(info->input[0].name, "x");
    assert_string_equal(info->input[0].type, "float");
    assert_string_equal(info->input[0].shape, "[N, 3]");
    assert_string_equal(info->output[0].shape, "[N, 1]");
    assert_int_equal(info->n_scores, 1);
    assert_string_equal(info->score[0].suffix, ""); /* the model's own name */
    assert_string_equal(info->score[0].column, "risk");
    assert_true(info->score[0].is_float);
    assert_null(info->why_one);
    assert_int_equal(info->tile_rows, 512);
    assert_int_equal(info->n_ops, 3);
    check_golden(model, "one_input");
    oz_model_free(model);
}

static void inputs_and_outputs_of_every_kind(void **state)
{
    (void)state;
    static const char *const suffix[] = {"probabilities_0", "probabilities_1", "count", "late",
                                         "twice_0",         "twice_1",         "out_1", "out_1_2"};
    struct oz_model *model = load("many_inputs");
    const struct oz_model_info *info = oz_model_info(model);
    assert_int_equal(info->n_features, 6);
    assert_string_equal(info->feature[0].name, "amount");
    assert_true(info->feature[0].is_own);
    assert_string_equal(info->feature[5].name, "pair_1");
    assert_false(info->feature[5].is_own);
    assert_int_equal(info->n_scores, OZ_COUNT_OF(suffix));
    for (uint32_t k = 0; k < info->n_scores; k++)
        assert_string_equal(info->score[k].suffix, suffix[k]);
    assert_string_equal(info->score[7].column, "out:1");
    assert_true(info->score[0].is_float);
    assert_false(info->score[4].is_float);
    check_golden(model, "many_inputs");
    oz_model_free(model);
}

static void texts_go_in_and_come_out(void **state)
{
    (void)state;
    struct oz_model *model = load("texts");
    const struct oz_model_info *info = oz_model_info(model);
    assert_true(info->feature[0].is_text);
    assert_string_equal(info->feature[0].name, "city");
    assert_int_equal(info->n_outputs, 2);
    assert_true(info->output[0].is_text);
    assert_int_equal(info->n_texts, 1);
    assert_string_equal(info->output[1].column[1], "no, never");
    assert_string_equal(info->score[0].suffix, "probabilities_yes");
    assert_string_equal(info->score[1].suffix, "probabilities_no__never");
    check_golden(model, "texts");

    static const struct oz_str city[] = {{"bern", 4}, {NULL, 0}, {"rome, it", 8}, {"x", 1}};
    static const double amount[] = {1, 1, 1, 1};
    static const char *const label[] = {"C", NULL, "B \"b\"", "other"};
    union oz_model_column column[2] = {{.text = city}, {.f64 = amount}};
    double scores[4 * 2];
    struct oz_arena arena;
    struct oz_str text[4];
    struct oz_model_texts texts = {.arena = &arena, .text = text};
    void *scratch = malloc(oz_model_scratch_bytes(model, 4));
    oz_arena_init(&arena, 64);
    assert_int_equal(oz_model_predict_texts(model, column, 4, scratch, scores, &texts, &err),
                     OZ_OK);
    assert_int_equal(texts.n_failed, 0);
    for (int row = 0; row < 4; row++) {
        assert_int_equal(text[row].data != NULL, label[row] != NULL);
        if (!label[row]) continue;
        assert_int_equal(text[row].len, strlen(label[row]));
        assert_memory_equal(text[row].data, label[row], text[row].len);
    }
    assert_true(isnan(scores[2]) && isnan(scores[3]) && !isnan(scores[4]));
    oz_arena_clear(&arena);
    free(scratch);
    oz_model_free(model);
}

/* ---- shapes */

static void an_open_length_is_said_by_who_uses_it(void **state)
{
    (void)state;
    refused("sequence", 0, "input `x` is [batch, steps, 2], of any length: say how many features");
    refused("sequence", 7, "gets 7 features: expected a multiple of 2");
    refused("two_open", 4, "besides the rows one dimension may be open");
    struct oz_model *model = load_sized("sequence", NULL, 8);
    assert_string_equal(oz_model_info(model)->input[0].shape, "[N, 4, 2]");
    check_golden(model, "sequence");
    oz_model_free(model);
    model = load_sized("sequence", "x", 6);
    assert_int_equal(oz_model_info(model)->n_features, 6);
    oz_model_free(model);
}

static void what_is_not_rows_is_refused(void **state)
{
    (void)state;
    refused("fixed_four", 0, "for batches of 4 rows only: export it with an open first dimension");
    refused("no_rows", 0, "is a single value");
}

static void rows_that_change_each_other_go_alone(void **state)
{
    (void)state;
    static const struct {
        const char *name, *why;
        uint32_t n_features, n_scores;
        double expected[4]; /* of a row 1, 2, ... */
    } cases[] = {
        {"mixing", "depends on the rows beside it", 2, 2, {1, 1}},
        {"transposed", "the output `y` is", 2, 2, {1, 2}},
        {"widening", "the output `y` is", 1, 1, {1}},
        {"made_for_one", "it does not take several", 4, 4, {1, 2, 3, 4}},
        {"fixed_one", "fixes the batch at one row", 3, 1, {6}},
    };
    for (size_t i = 0; i < OZ_COUNT_OF(cases); i++) {
        struct oz_model *model = load(cases[i].name);
        const struct oz_model_info *info = oz_model_info(model);
        double values[4][N_ROWS], scores[N_ROWS * 4];
        union oz_model_column column[4];
        assert_int_equal(info->tile_rows, 1);
        if (!info->why_one || !strstr(info->why_one, cases[i].why))
            fail_msg("%s: %s", cases[i].name, info->why_one ? info->why_one : "(nothing)");
        assert_int_equal(info->n_features, cases[i].n_features);
        assert_int_equal(info->n_scores, cases[i].n_scores);
        for (int f = 0; f < 4; f++) {
            for (int row = 0; row < N_ROWS; row++) values[f][row] = f + 1;
            column[f].f64 = values[f];
        }
        predict(model, column, N_ROWS, scores, 0);
        for (size_t k = 0; k < (size_t)N_ROWS * info->n_scores; k++)
            assert_true(scores[k] == cases[i].expected[k % info->n_scores]);
        oz_model_free(model);
    }
}

/* ---- rows without scores */

static void what_does_not_fit_has_no_scores_and_harms_no_other(void **state)
{
    (void)state;
    static const struct {
        int feature;
        double value;
    } bad[] = {{1, NAN}, {1, 2.5}, {1, 0x1p63}, {1, -1e300}, {1, INFINITY},
               {2, 2},   {2, 0.5}, {2, NAN},    {3, 128},    {3, -129}};
    struct oz_model *model = load("many_inputs");
    double values[6][N_ROWS], good[N_ROWS * 8], scores[N_ROWS * 8];
    union oz_model_column column[6];
    for (int f = 0; f < 6; f++) {
        for (int row = 0; row < N_ROWS; row++) values[f][row] = (f == 2 ? row % 2 : row % 7);
        column[f].f64 = values[f];
    }
    predict(model, column, N_ROWS, good, 0);
    for (size_t i = 0; i < OZ_COUNT_OF(bad); i++) {
        int row = (int)(i * 7 % N_ROWS);
        double was = values[bad[i].feature][row];
        values[bad[i].feature][row] = bad[i].value;
        predict(model, column, N_ROWS, scores, 0);
        for (int k = 0; k < N_ROWS * 8; k++) {
            if (k / 8 == row)
                assert_true(isnan(scores[k]));
            else
                assert_memory_equal(&scores[k], &good[k], sizeof scores[k]);
        }
        values[bad[i].feature][row] = was;
    }
    values[0][3] = NAN; /* a float: null goes in */
    predict(model, column, N_ROWS, scores, 0);
    assert_true(isnan(scores[3 * 8 + 6]) && !isnan(scores[3 * 8 + 4]));
    oz_model_free(model);
}

static void rows_that_fail_are_counted_and_alone(void **state)
{
    (void)state;
    struct oz_model *model = load("lookup");
    double at[N_ROWS], scores[N_ROWS];
    union oz_model_column column = {at};
    check_golden(model, "lookup");
    for (int row = 0; row < N_ROWS; row++) at[row] = row % 10 == 7 ? 99 : row % 5;
    at[1] = NAN;
    predict(model, &column, N_ROWS, scores, 7);
    for (int row = 0; row < N_ROWS; row++) {
        if (row % 10 == 7 || row == 1)
            assert_true(isnan(scores[row]));
        else
            assert_true(scores[row] == (row % 5 + 1) * 10);
    }
    struct oz_arena arena;
    struct oz_model_texts texts = {.arena = &arena};
    void *scratch = malloc(oz_model_scratch_bytes(model, N_ROWS));
    oz_arena_init(&arena, 64);
    assert_int_equal(oz_model_predict_texts(model, &column, N_ROWS, scratch, scores, &texts, &err),
                     OZ_OK);
    assert_int_equal(texts.n_failed, 7);
    assert_int_equal(texts.failed_row, 7);
    assert_non_null(strstr(texts.failure.message, "Gather"));
    free(scratch);
    oz_model_free(model);
}

/* ---- batches, memory, damage */

static void a_batch_changes_no_bit_and_allocates_nothing(void **state)
{
    (void)state;
    enum { MANY = 1200 };
    static double values[3][MANY], whole[MANY], part[MANY];
    struct oz_model *model = load("one_input");
    union oz_model_column column[3];
    for (int f = 0; f < 3; f++) {
        for (int row = 0; row < MANY; row++) values[f][row] = sin(row * 3.0 + f) * 3;
        column[f].f64 = values[f];
    }
    void *scratch = malloc(oz_model_scratch_bytes(model, MANY));
    uint64_t before = oz_allocations();
    oz_model_predict(model, column, MANY, scratch, whole);
    for (size_t batch = 1; batch < 700; batch += 37) {
        for (size_t row = 0; row < MANY; row += batch) {
            union oz_model_column at[3] = {{values[0] + row}, {values[1] + row}, {values[2] + row}};
            oz_model_predict(model, at, OZ_MIN(batch, MANY - row), scratch, part + row);
        }
        assert_memory_equal(whole, part, sizeof whole);
    }
    assert_int_equal(oz_allocations(), before);
    free(scratch);
    oz_model_free(model);
}

static const char *const nets[] = {"one_input",  "many_inputs",  "texts",     "lookup",
                                   "mixing",     "made_for_one", "fixed_one", "sequence",
                                   "transposed", "widening"};

static char *read_net(const char *name, size_t *ret_n)
{
    char path[128];
    snprintf(path, sizeof path, NETS "%s.onnx", name);
    return fixture_read(path, ret_n);
}

static void a_failed_allocation_is_an_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < OZ_COUNT_OF(nets); i++) {
        size_t n;
        struct oz_model *model = NULL;
        struct oz_model_width width = {NULL, 4};
        struct oz_model_widths widths = {&width, 1};
        uint8_t *bytes = (uint8_t *)read_net(nets[i], &n);
        uint64_t before = oz_allocations();
        if (oz_model_parse_sized("m", bytes, n, &widths, &model, &err) != OZ_OK)
            fail_msg("%s", err.message);
        oz_model_free(model);
        uint64_t needed = oz_allocations() - before;
        for (uint64_t nth = 1; nth <= needed; nth++) {
            model = NULL;
            oz_fail_allocation(nth);
            enum oz_status status = oz_model_parse_sized("m", bytes, n, &widths, &model, &err);
            oz_fail_allocation(0);
            if (status == OZ_OK)
                oz_model_free(model);
            else if (status != OZ_NO_MEMORY)
                fail_msg("%s, allocation %d: %s", nets[i], (int)nth, err.message);
        }
        free(bytes);
    }
}

static void try_bytes(const uint8_t *bytes, size_t n)
{
    static const double values[3] = {1, NAN, -1e300};
    static const struct oz_str words[3] = {{"a", 1}, {NULL, 0}, {"", 0}};
    struct oz_model *model = NULL;
    enum oz_status status = oz_model_parse("damaged", bytes, n, &model, &err);
    if (status != OZ_OK) {
        assert_int_equal(status, OZ_MODEL);
        return;
    }
    const struct oz_model_info *info = oz_model_info(model);
    union oz_model_column *column = malloc(info->n_features * sizeof *column);
    double *scores = malloc((3 * (size_t)info->n_scores + 1) * sizeof *scores);
    void *scratch = malloc(oz_model_scratch_bytes(model, 3));
    for (uint32_t f = 0; f < info->n_features; f++) {
        if (info->feature[f].is_text)
            column[f].text = words;
        else
            column[f].f64 = values;
    }
    oz_model_predict(model, column, 3, scratch, scores);
    free(column);
    free(scores);
    free(scratch);
    oz_model_free(model);
}

static void damaged_files_are_errors_or_models(void **state)
{
    (void)state;
    for (size_t i = 0; i < OZ_COUNT_OF(nets); i++) {
        size_t n;
        uint8_t *bytes = (uint8_t *)read_net(nets[i], &n);
        for (size_t cut = 0; cut < n; cut++) {
            uint8_t *part = malloc(cut + 1); /* exactly as long, so that reading on is seen */
            memcpy(part, bytes, cut);
            try_bytes(part, cut);
            free(part);
        }
        for (size_t at = 0; at < n; at++) {
            uint8_t was = bytes[at];
            const uint8_t changes[] = {(uint8_t)(was ^ 1), (uint8_t)(was ^ 0x80), 0xff, 0,
                                       (uint8_t)(was + 1)};
            for (size_t c = 0; c < OZ_COUNT_OF(changes); c++) {
                bytes[at] = changes[c];
                try_bytes(bytes, n);
            }
            bytes[at] = was;
        }
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wide_input_is_features_without_names),
        cmocka_unit_test(inputs_and_outputs_of_every_kind),
        cmocka_unit_test(texts_go_in_and_come_out),
        cmocka_unit_test(an_open_length_is_said_by_who_uses_it),
        cmocka_unit_test(what_is_not_rows_is_refused),
        cmocka_unit_test(rows_that_change_each_other_go_alone),
        cmocka_unit_test(what_does_not_fit_has_no_scores_and_harms_no_other),
        cmocka_unit_test(rows_that_fail_are_counted_and_alone),
        cmocka_unit_test(a_batch_changes_no_bit_and_allocates_nothing),
        cmocka_unit_test(a_failed_allocation_is_an_error),
        cmocka_unit_test(damaged_files_are_errors_or_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
