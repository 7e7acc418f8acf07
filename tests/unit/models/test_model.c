/* Proves that loading survives any damage: whatever the bytes, the answer is an error or a model
 * that predicts; that running out of memory anywhere on the way is an error without a leak; that
 * predicting allocates nothing and does not depend on how rows are batched. How: every fixture, in
 * both notations, is cut off at every other byte, every byte of it is changed and pieces of it are
 * moved (seeded choices); whatever loads must predict. The sanitizers' builds are what makes
 * crashes and leaks seen; tests/fuzz/fuzz_model.c goes on where this ends. */
#include "fixture_files.h"
#include <math.h>
#include "models/model.h"

static struct oz_error err;
static uint32_t random_state = 17;
static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)random_state * n >> 32);
}

static const char *const fixtures[] = {
    "tiny_logistic.json",       "tiny_logistic.ubj",        "tiny_softprob.json",
    "tiny_softprob.ubj",        "tiny_softmax.json",        "tiny_softmax.ubj",
    "tiny_poisson.json",        "tiny_poisson.ubj",         "tiny_pruned.json",
    "tiny_pruned.ubj",          "refused_dart.json",        "refused_gblinear.json",
    "refused_vector_leaf.json", "refused_categorical.json", "refused_categorical.ubj",
    "refused_categories.json",  "refused_categories.ubj"};

/* Returns whether it loaded. */
static bool try_bytes(const uint8_t *bytes, size_t n)
{
    struct oz_model *model = NULL;
    err = (struct oz_error){0};
    enum oz_status status = oz_model_parse("damaged", bytes, n, &model, &err);
    if (status != OZ_OK) {
        assert_null(model);
        assert_int_equal(status, OZ_MODEL);
        assert_true(strlen(err.message) > 10);
        return false;
    }
    const struct oz_model_info *info = oz_model_info(model);
    enum { N_ROWS = 3 };
    static const double values[N_ROWS] = {-1.0, NAN, 1e9};
    union oz_model_column *column = malloc(info->n_features * sizeof *column);
    double *outputs = malloc(N_ROWS * info->n_scores * sizeof *outputs);
    void *scratch = malloc(oz_model_scratch_bytes(model, N_ROWS));
    for (uint32_t f = 0; f < info->n_features; f++) column[f].f64 = values;
    oz_model_predict(model, column, N_ROWS, scratch, outputs);
    free(column);
    free(outputs);
    free(scratch);
    oz_model_free(model);
    return true;
}

static void damaged_files_are_errors_or_models(void **state)
{
    (void)state;
    for (size_t i = 0; i < OZ_COUNT_OF(fixtures); i++) {
        size_t n, n_loaded = 0, n_refused = 0;
        uint8_t *bytes = (uint8_t *)fixture_read(fixtures[i], &n);
        bool served = !strncmp(fixtures[i], "tiny", 4);
        assert_int_equal(try_bytes(bytes, n), served);
        for (size_t cut = 0; cut < n; cut += 2) {
            uint8_t *part = malloc(cut + 1); /* exactly as long, so that reading on is seen */
            memcpy(part, bytes, cut);
            if (try_bytes(part, cut)) fail_msg("%s: loads when cut at %zu", fixtures[i], cut);
            free(part);
        }
        for (size_t at = 0; at < n; at++) {
            uint8_t was = bytes[at];
            const uint8_t changes[] = {(uint8_t)(was ^ 1 << random_below(8)), 0xff,
                                       (uint8_t)random_below(256), "0[]{}\"$#LlUd-9"[at % 14]};
            bytes[at] = changes[random_below(OZ_COUNT_OF(changes))];
            ++*(try_bytes(bytes, n) ? &n_loaded : &n_refused);
            bytes[at] = was;
        }
        for (int round = 0; round < 500; round++) { /* a piece moves elsewhere */
            uint8_t *copy = malloc(n);
            size_t len = 1 + random_below((uint32_t)OZ_MIN(n / 2, 64));
            size_t from = random_below((uint32_t)(n - len)), to = random_below((uint32_t)(n - len));
            memcpy(copy, bytes, n);
            memcpy(copy + to, bytes + from, len);
            ++*(try_bytes(copy, n) ? &n_loaded : &n_refused);
            free(copy);
        }
        assert_true(n_refused > n / 2);
        if (served) assert_true(n_loaded > 0); /* a changed leaf is another model */
        free(bytes);
    }
}

static void a_failed_allocation_is_an_error(void **state)
{
    (void)state;
    static const char *const names[] = {"tiny_softprob.json", "tiny_softprob.ubj"};
    for (size_t i = 0; i < OZ_COUNT_OF(names); i++) {
        size_t n;
        struct oz_model *model;
        uint8_t *bytes = (uint8_t *)fixture_read(names[i], &n);
        uint64_t before = oz_allocations();
        assert_int_equal(oz_model_parse("m", bytes, n, &model, &err), OZ_OK);
        oz_model_free(model);
        uint64_t needed = oz_allocations() - before;
        assert_true(needed > 5);
        uint64_t n_failed = 0;
        for (uint64_t nth = 1; nth <= needed; nth++) {
            model = NULL;
            oz_fail_allocation(nth);
            enum oz_status status = oz_model_parse("m", bytes, n, &model, &err);
            oz_fail_allocation(0);
            if (status == OZ_OK)
                oz_model_free(model); /* giving back what is too much may fail */
            else
                assert_int_equal(status, OZ_NO_MEMORY), n_failed++;
        }
        assert_true(n_failed + 3 >= needed);
        free(bytes);
    }
}

static void predicting_allocates_nothing_whatever_the_batch(void **state)
{
    (void)state;
    enum { N_ROWS = 300, N_OUTPUTS = 3 };
    static double values[3][N_ROWS], whole[N_ROWS * N_OUTPUTS], part[N_ROWS * N_OUTPUTS];
    const union oz_model_column column[3] = {{values[0]}, {values[1]}, {values[2]}};
    struct oz_model *model;
    if (oz_model_load(FIXTURES "tiny_softprob.ubj", &model, &err) != OZ_OK)
        fail_msg("%s", err.message);
    for (int i = 0; i < 3 * N_ROWS; i++)
        values[i % 3][i / 3] = random_below(5) ? random_below(400) * 0.01 - 2 : (double)NAN;
    void *scratch = malloc(oz_model_scratch_bytes(model, N_ROWS));
    uint64_t before = oz_allocations();
    oz_model_predict(model, column, N_ROWS, scratch, whole);
    for (size_t batch = 1; batch < 80; batch += 6) {
        memset(part, 0, sizeof part);
        for (size_t row = 0; row < N_ROWS; row += batch) {
            const union oz_model_column at[3] = {
                {values[0] + row}, {values[1] + row}, {values[2] + row}};
            size_t n = OZ_MIN(batch, N_ROWS - row);
            oz_model_predict(model, at, n, scratch, part + row * N_OUTPUTS);
        }
        assert_memory_equal(whole, part, sizeof whole);
    }
    oz_model_predict(model, column, 0, scratch, part);
    assert_int_equal(oz_allocations(), before);
    free(scratch);
    oz_model_free(model);
}

static void files_that_are_no_models_are_told_apart(void **state)
{
    (void)state;
    struct oz_model *model;
    assert_int_equal(oz_model_load("no/such/file.json", &model, &err), OZ_ENVIRONMENT);
    assert_non_null(strstr(err.message, "no/such/file.json"));
    assert_int_equal(oz_model_load(FIXTURES, &model, &err), OZ_ENVIRONMENT);
    assert_int_equal(oz_model_load(FIXTURES "make_fixtures.py", &model, &err), OZ_MODEL);
    assert_non_null(strstr(err.message, "make_fixtures.py: this is no model"));
    assert_int_equal(oz_model_parse("x", (const uint8_t *)"", 0, &model, &err), OZ_MODEL);
    assert_int_equal(oz_model_parse("x", (const uint8_t *)"{\"a\":1}", 7, &model, &err), OZ_MODEL);
    oz_model_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_files_are_errors_or_models),
        cmocka_unit_test(a_failed_allocation_is_an_error),
        cmocka_unit_test(predicting_allocates_nothing_whatever_the_batch),
        cmocka_unit_test(files_that_are_no_models_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
