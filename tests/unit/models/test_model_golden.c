/* Proves that golden rows are bound by name, compared to the bit, and that every difference and
 * every mistake in the file is told with its line. How: the trainer's own rows
 * (fixtures/make_fixtures.py) pass; the same file with one cell changed fails at that line. */
#include "fixture_files.h"
#include <math.h>
#include <unistd.h>
#include "models/model.h"

static struct oz_error err;
static struct oz_model *model;
static char *csv;

static int setup(void **state)
{
    (void)state;
    size_t n;
    csv = fixture_read("tiny_softprob.golden.csv", &n);
    return oz_model_load(FIXTURES "tiny_softprob.json", &model, &err) != OZ_OK;
}

static int teardown(void **state)
{
    (void)state;
    oz_model_free(model);
    free(csv);
    return 0;
}

static enum oz_status check(const char *text, size_t *ret_n_rows)
{
    char path[] = "/tmp/ouzel-golden-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    enum oz_status status = oz_model_check_golden(model, path, ret_n_rows, &err);
    unlink(path);
    return status;
}

static void wrong(const char *after, const char *from, const char *to, int line, const char *words)
{
    char *text = text_replaced(csv, after, from, to), where[16];
    size_t n_rows;
    snprintf(where, sizeof where, ":%d", line);
    if (check(text, &n_rows) != OZ_MODEL) fail_msg("not noticed: %s", words);
    if (!strstr(err.message, words)) fail_msg("\"%s\" does not say \"%s\"", err.message, words);
    const char *colon = strrchr(err.where, ':');
    if (!colon || strcmp(colon, where)) fail_msg("%s is not line %d", err.where, line);
    free(text);
}

static void the_trainers_rows_pass(void **state)
{
    (void)state;
    size_t n_rows = 0;
    assert_int_equal(check(csv, &n_rows), OZ_OK);
    assert_int_equal(n_rows, 70);
    char *dos = text_replaced(csv, "", "output_2\n", "output_2\r\n");
    assert_int_equal(check(dos, &n_rows), OZ_OK);
    free(dos);
}

/* An output becomes its neighbour among the floats, in the first, a middle and the last block. */
static void one_bit_is_noticed(void **state)
{
    (void)state;
    static const int lines[] = {2, 65, 66, 71};
    for (size_t i = 0; i < OZ_COUNT_OF(lines); i++) {
        char *end = csv, changed[8192], where[16];
        size_t n_rows;
        for (int line = 1; line <= lines[i]; line++) end = strchr(end, '\n') + 1;
        char *cell = --end;
        while (cell[-1] != ',') cell--;
        snprintf(changed, sizeof changed, "%.*s%.9g%s", (int)(cell - csv), csv,
                 (double)nextafterf(strtof(cell, NULL), 1.0f), end);
        assert_int_equal(check(changed, &n_rows), OZ_MODEL);
        snprintf(where, sizeof where, ":%d", lines[i]);
        assert_string_equal(strrchr(err.where, ':'), where);
        assert_non_null(strstr(err.message, "the trainer predicted"));
    }
}

static void mistakes_are_told_with_their_line(void **state)
{
    (void)state;
    wrong("", "amount", "amounts", 1, "column 2, \"amounts\", is not one of the model's");
    wrong("", "amount", "\"hour, local\"", 1, "column 3");
    wrong("", "output_1", "output_2", 1, "column 5");
    wrong("", ",output_2", "", 1, "5 columns, expected the model's 3 features and 3 outputs");
    wrong("", "\"the \"\"risk\"\"\"", "\"the", 1, "comma was expected");
    wrong("output_2\n", ",", ",,", 2, "7 cells for 6 columns");
    wrong("output_2\n", ",", "x,", 2, "is not a number");
    wrong("output_2\n", "\n", "\n\n", 3, "1 cells for 6 columns");
    size_t n_rows;
    assert_int_equal(check("", &n_rows), OZ_MODEL);
    assert_int_equal(
        check("\"the \"\"risk\"\"\",amount,\"hour, local\",output_0,output_1,output_2\n", &n_rows),
        OZ_MODEL);
    assert_non_null(strstr(err.message, "no rows"));
    assert_int_equal(oz_model_check_golden(model, "no/such.csv", &n_rows, &err), OZ_ENVIRONMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_trainers_rows_pass),
        cmocka_unit_test(one_bit_is_noticed),
        cmocka_unit_test(mistakes_are_told_with_their_line),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
