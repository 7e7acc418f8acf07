/* Proves that the nearest name is found for slips of every kind and none for another word. The
 * distance is compared with a naive recursion on all short words over two letters. */
#include "base/nearest.h"
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

static const char *const verbs[] = {"run",    "demo",  "check",   "test",   "backfill", "diff",
                                    "replay", "model", "profile", "schema", "topics",   "state"};

static void test_words(void **state)
{
    (void)state;
    static const struct {
        const char *word, *nearest;
    } rows[] = {
        {"run", "run"},
        {"rn", "run"},
        {"runn", "run"},
        {"rum", "run"},
        {"urn", "run"},
        {"bakcfill", "backfill"},
        {"backfil", "backfill"},
        {"BACKFILL", "backfill"},
        {"Modle", "model"},
        {"profil", "profile"},
        {"tpoics", "topics"},
        {"start", NULL},
        {"deploy", "replay"},
        {"explode", NULL},
        {"x", NULL},
        {"", NULL},
        {"backfillbackfill", NULL},
        {"sate", "state"},
        {"bcakflil", "backfill"},
    };
    for (size_t i = 0; i < OZ_COUNT_OF(rows); i++) {
        const char *found =
            oz_nearest(rows[i].word, strlen(rows[i].word), verbs, OZ_COUNT_OF(verbs));
        if (rows[i].nearest) {
            assert_non_null(found);
            assert_string_equal(found, rows[i].nearest);
        } else {
            assert_null(found);
        }
    }
    assert_null(oz_nearest("run", 3, verbs, 0));
    assert_string_equal(oz_nearest("runner", 3, verbs, OZ_COUNT_OF(verbs)), "run");
}

static void test_long(void **state)
{
    (void)state;
    char word[300], name[129];
    memset(word, 'a', sizeof(word));
    memset(name, 'a', sizeof(name) - 1);
    name[128] = '\0';
    const char *names[] = {name};
    assert_ptr_equal(oz_nearest(word, 128, names, 1), name);
    assert_ptr_equal(oz_nearest(word, 100, names, 1), name);
    assert_null(oz_nearest(word, 129, names, 1));
    assert_null(oz_nearest(word, 300, names, 1));
}

/* The definition, word for word: what it costs to make b[0, j) from a[0, i). */
static unsigned naive(const char *a, size_t i, const char *b, size_t j)
{
    if (!i || !j) return (unsigned)(i + j);
    unsigned best = naive(a, i - 1, b, j - 1) + (a[i - 1] != b[j - 1]);
    unsigned other = naive(a, i - 1, b, j) + 1;
    best = OZ_MIN(best, other);
    other = naive(a, i, b, j - 1) + 1;
    best = OZ_MIN(best, other);
    if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        other = naive(a, i - 2, b, j - 2) + 1;
        best = OZ_MIN(best, other);
    }
    return best;
}

static size_t spell(unsigned number, char word[8])
{
    size_t len = 0;
    for (; number > 1; number /= 2) word[len++] = number % 2 ? 'a' : 'b';
    word[len] = '\0';
    return len;
}

static void test_against_naive(void **state)
{
    (void)state;
    for (unsigned x = 2; x < 128; x++) {
        char a[8], b[8];
        size_t a_len = spell(x, a);
        for (unsigned y = 2; y < 128; y++) {
            size_t b_len = spell(y, b);
            const char *names[] = {b};
            unsigned limit = a_len / 3 > 1 ? (unsigned)a_len / 3 : 1;
            bool near = naive(a, a_len, b, b_len) <= limit;
            assert_int_equal(oz_nearest(a, a_len, names, 1) != NULL, near);
        }
    }
    /* The nearer of two wins wherever it stands. */
    const char *names[] = {"xbcdefghi", "abcdefghi", "abcdefxyz"};
    assert_string_equal(oz_nearest("abcdefghx", 9, names, 3), "abcdefghi");
    const char *equals[] = {"tests", "text", "rest"};
    assert_string_equal(oz_nearest("test", 4, equals, 3), "tests");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_against_naive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
