/* Proves what a user is told about a mistake: in which text, at which byte, in which words. How: a
 * table of wrong texts, each with a caret under the byte, and words that must be in the message,
 * chosen by hand; and that one compilation tells the mistakes of all texts, each mistake once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "expr_fixture.h"
#include "features/expr_parser.h"

struct row {
    const char *text, *caret, *words;
};

static void expect_mistake(const struct row *row, enum oz_text_kind kind)
{
    struct fixture f;
    fixture_init(&f);
    fixture_feature(&f, "big", "amount > 100");
    fixture_feature(&f, "ratio_of_fee", "fee / amount");
    fixture_feature(&f, "risk", "risk + 1");
    if (kind == OZ_TEXT_RULE)
        fixture_rule(&f, "r", row->text);
    else
        fixture_feature(&f, "f", row->text);
    enum oz_status status = fixture_compile(&f);
    if (status != OZ_CONFIG || f.n_mistakes != 1)
        fail_msg("%s\n%u mistakes: %s", row->text, f.n_mistakes, f.err.message);
    const struct fixture_mistake *m = &f.mistake[0];
    if (m->offset != strlen(row->caret) - 1 || !strstr(m->message, row->words))
        fail_msg("\n%s\n%s wanted\n%*s found: %s\nmust say: %s", row->text, row->caret,
                 (int)m->offset + 1, "^", m->message, row->words);
    assert_int_equal(m->kind, kind);
    assert_int_equal(m->number, kind == OZ_TEXT_RULE ? 0 : 3);
    assert_non_null(strstr(f.err.message, kind == OZ_TEXT_RULE ? "rule `r`" : "feature `f`"));
    assert_non_null(strstr(f.err.message, m->message));
    fixture_clear(&f);
}

static void test_words(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", "^", "no expression"},
        {"   ", "^", "no expression"},
        {"amount = 5", "       ^", "write =="},
        {"!online", "^", "write not"},
        {"online && big", "       ^", "write and"},
        {"online || big", "       ^", "write or"},
        {"items <> 3", "      ^", "write !="},
        {"amount ; 5", "       ^", "`;` has no meaning"},
        {"amount + \x01", "         ^", "0x01"},
        {"caf\xc3\xa9", "   ^", "0xc3"},
        {"clerk == 'abc", "         ^", "no closing '"},
        {"'a\tb'", "  ^", "control characters"},
        {"5. + 1", " ^", "digit behind its point"},
        {".5", "^", "expected a number"},
        {"007", "^", "needless 0"},
        {"99999999999999999999", "^", "too large for a long"},
        {"amount * 1e29", "         ^", "below 2^94"},
        {"amount * 1e999", "         ^", "below 2^94"},
        {"amount over 7d", "       ^", "`over` stands right behind the `)`"},
        {"amount 5", "       ^", "expected an operator or the end, found `5`"},
        {"7d", "^", "durations stand behind"},
        {"(amount", "       ^", "expected `)`, found the end"},
        {"amount)", "      ^", "found `)`"},
        {"amount +", "        ^", "found the end"},
        {"amount + and", "         ^", "found `and`"},
        {"max(amount fee)", "           ^", "`,` or `)`"},
        {"max(amount,)", "           ^", "found `)`"},
        {"1 < items < 5", "          ^", "do not chain"},
        {"labels.", "       ^", "name of a field"},
        {"labels.5", "       ^", "name of a field behind the point, found `5`"},
    };
    for (size_t i = 0; i < OZ_COUNT_OF(rows); i++) expect_mistake(&rows[i], OZ_TEXT_FEATURE);
}

static void test_clauses(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"count() by", "          ^", "name of an entity"},
        {"count() by 5", "           ^", "name of an entity"},
        {"count() by customer by customer", "                    ^", "twice"},
        {"count() by customer over soon", "                         ^", "such as 30m or 7d"},
        {"count() by customer over 5x", "                         ^", "such as 30m or 7d"},
        {"count() by customer over 30", "                         ^", "such as 30m or 7d"},
        {"count() by customer over 0s", "                         ^", "longer than nothing"},
        {"count() by customer over 36501d", "                         ^", "100 years"},
        {"count() by customer delay 36501d", "                          ^", "100 years"},
        {"count() by customer last 0", "                         ^", "1 to 1000000000"},
        {"count() by customer last 2.5", "                         ^", "1 to 1000000000"},
        {"count() by customer last 7d", "                         ^", "number of events"},
        {"count() by customer over 7d last 5", "                            ^",
         "do not go together"},
        {"count() by customer excluding it", "                              ^", "`current`"},
        {"count() by customer where amount > 5 * 2", "                                     ^",
         "in parentheses"},
        {"count() by customer where amount > 5 > 2", "                                     ^",
         "in parentheses"},
        {"count() by customer where amount * 2 > 5", "                          ^",
         "larger than one comparison stands in parentheses"},
        {"count() by customer where online and amount > 5", "^", "whole condition in parentheses"},
        {"big or count() by customer where online", "       ^", "whole condition in parentheses"},
        {"count() by customer where 5", "                          ^", "takes a condition"},
        {"abs(amount) by customer", "            ^", "no aggregate"},
        {"max(amount, fee) over 7d", "                 ^", "no aggregate"},
        {"count()", "^", "entities: customer, terminal"},
        {"count() by custommer", "           ^", "did you mean `customer`?"},
        {"count() by clerk", "           ^", "the entities are: customer, terminal"},
        {"2 * distinct(terminal) by customer", "    ^", "needs `over` or `last`"},
        {"count(labels) by customer", "                 ^", "`labels` has no field `customer`"},
        {"count(labels) by terminal excluding current", "                          ^",
         "not among those of `labels`"},
    };
    for (size_t i = 0; i < OZ_COUNT_OF(rows); i++) expect_mistake(&rows[i], OZ_TEXT_FEATURE);
}

static void test_names(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"amout * 2", "^", "no field or feature `amout`; did you mean `amount`?"},
        {"2 * ratio_of_fees", "    ^", "did you mean `ratio_of_fee`?"},
        {"zebra", "^", "there is no field or feature `zebra`"},
        {"payments.amoumt", "         ^",
         "`payments` has no field `amoumt`; did you mean `amount`?"},
        {"payment.amount", "^", "did you mean `payments`?"},
        {"profile.limit", "^", "tables are not served yet"},
        {"labels.loss", "^", "inside an aggregate only"},
        {"loss + 1", "^", "write labels.loss inside an aggregate"},
        {"sum(loss) by terminal", "    ^", "write labels.loss"},
        {"anomaly > 0.5", "^", "in rules only"},
        {"f + 1", "^", "circle: f -> f"},
        {"sum(ratio_of_fee) by customer", "    ^", "only fields"},
        {"sum(amoumt) by customer", "    ^", "no field `amoumt`; did you mean `amount`?"},
        {"count() by customer where big", "                          ^", "only fields"},
        {"coalesc(amount, 0)", "^", "no function `coalesc`; did you mean `coalesce`?"},
        {"cuont() by customer", "^", "did you mean `count`?"},
        {"sqrt(amount)", "^", "there is no function `sqrt`"},
        {"std(amount) by customer", "^", "`std` is not served yet"},
        {"sequence(amount, fee) by customer last 50", "^", "not served yet"},
        {"hour(at, 'Europe/Brussels')", "         ^", "not served yet"},
        {"at - seen", "   ^", "not served yet"},
    };
    for (size_t i = 0; i < OZ_COUNT_OF(rows); i++) expect_mistake(&rows[i], OZ_TEXT_FEATURE);
}

static void test_types(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"customer", "^", "a feature is a number or a boolean, this is a string"},
        {"at", "^", "this is a timestamp"},
        {"null", "^", "this is null"},
        {"amount + customer", "         ^", "`+` takes numbers, this is a string"},
        {"online * 2", "^", "if(condition, 1, 0)"},
        {"-online", " ^", "`-` takes numbers, this is a boolean"},
        {"at + 5", "^", "this is a timestamp"},
        {"null + 1", "^", "this is null"},
        {"amount and online", "^", "`and` takes conditions, this is a double"},
        {"online or items", "          ^", "this is a long"},
        {"not amount", "    ^", "`not` takes conditions"},
        {"amount == null", "       ^", "is_null(x)"},
        {"amount == 'x'", "       ^", "cannot compare a double with a string"},
        {"at > 5", "   ^", "cannot compare a timestamp with a long"},
        {"online == 1", "       ^", "cannot compare a boolean with a long"},
        {"customer < terminal", "         ^", "no meaning for strings"},
        {"online < true", "       ^", "no meaning for booleans"},
        {"if(amount, 1, 2)", "   ^", "`if` takes conditions"},
        {"if(online, 1, 'x')", "              ^", "one type, but this is a string after a long"},
        {"if(online, null, null)", "           ^", "not null"},
        {"if(online, 1)", "^", "if(condition, then, else), here it has 2 arguments"},
        {"coalesce(amount)", "^", "here it has 1 argument"},
        {"coalesce(amount, online)", "                 ^", "this is a boolean after a double"},
        {"coalesce(big, true, 1)", "                    ^", "this is a long after a boolean"},
        {"is_null(null)", "        ^", "null is null"},
        {"hour(amount)", "     ^", "`hour` takes a timestamp"},
        {"abs(online)", "    ^", "`abs` takes numbers"},
        {"log1p(customer)", "      ^", "`log1p` takes numbers"},
        {"max(amount, at)", "            ^", "`max` takes numbers, this is a timestamp"},
        {"sum(customer) by customer", "    ^", "count and distinct take anything"},
        {"last(at) by customer", "     ^", "`last` takes numbers and booleans"},
        {"count(null) by customer", "      ^", "this is null"},
        {"sum() by customer", "^", "takes one argument, here are 0"},
        {"count(amount, fee) by customer", "^", "takes one argument, here are 2"},
        {"min() by customer", "^", "takes one argument"},
        {"sum(sum(amount)) by customer", "    ^", "do not nest"},
        {"count() by customer where count() by customer > 1", "                                  ^",
         "twice"},
        {"count() by customer where (count() by customer > 1)", "                           ^",
         "do not nest"},
        {"sum(amount + labels.loss) by terminal", "             ^",
         "one aggregate reads one source"},
        {"count() by terminal where labels.fraud", "                          ^",
         "this is of `labels`, what stands before it is of `payments`"},
        {"count(labels) by terminal where online", "                                ^",
         "this is of `payments`"},
    };
    for (size_t i = 0; i < OZ_COUNT_OF(rows); i++) expect_mistake(&rows[i], OZ_TEXT_FEATURE);
}

static void test_rules(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"fraud", "^", "a rule is a condition, this is a double"},
        {"fraud >= 'x'", "      ^", "cannot compare a double with a string"},
        {"fruad > 0.5", "^", "no feature, score or field `fruad`; did you mean `fraud`?"},
        {"big and ratio_of_fee", "        ^", "`and` takes conditions"},
        {"amount", "^", "this is a double"},
    };
    for (size_t i = 0; i < OZ_COUNT_OF(rows); i++) expect_mistake(&rows[i], OZ_TEXT_RULE);
}

static void test_name_of_feature_and_score(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_feature(&f, "fraud", "amount");
    fixture_rule(&f, "r", "true and fraud > 1");
    assert_int_equal(fixture_compile(&f), OZ_CONFIG);
    assert_int_equal(f.n_mistakes, 1);
    assert_int_equal(f.mistake[0].offset, 9);
    assert_non_null(strstr(f.mistake[0].message, "a feature and a model's score"));
    fixture_clear(&f);
}

/* All texts are told, in the order of the file; what only follows from another's mistake is not. */
static void test_all_at_once(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_feature(&f, "a", "b + 1");
    fixture_feature(&f, "b", "amount +");
    fixture_feature(&f, "c", "a + nothing");
    fixture_feature(&f, "d", "if(b > 1, c, a)");
    fixture_feature(&f, "e", "amount");
    fixture_rule(&f, "r", "a > 1 and c > 2");
    fixture_rule(&f, "s", "e > 1 and d > 1 and q");
    assert_int_equal(fixture_compile(&f), OZ_CONFIG);
    assert_int_equal(f.n_mistakes, 3);
    static const struct {
        enum oz_text_kind kind;
        uint32_t number;
        size_t offset;
    } want[] = {{OZ_TEXT_FEATURE, 1, 8}, {OZ_TEXT_FEATURE, 2, 4}, {OZ_TEXT_RULE, 1, 20}};
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(f.mistake[i].kind, want[i].kind);
        assert_int_equal(f.mistake[i].number, want[i].number);
        assert_int_equal(f.mistake[i].offset, want[i].offset);
    }
    assert_non_null(strstr(f.err.message, "2 more mistakes"));
    fixture_clear(&f);
}

static void test_circles(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_feature(&f, "user", "c1 + 1");
    fixture_feature(&f, "c1", "1 + c2");
    fixture_feature(&f, "c2", "abs(c3)");
    fixture_feature(&f, "c3", "if(online, c1, user)"); /* two circles share an edge */
    fixture_feature(&f, "self", "2 * self");
    fixture_feature(&f, "amount", "amount * 2"); /* the field: no circle */
    fixture_feature(&f, "x", "sum(amount) by customer + amount");
    assert_int_equal(fixture_compile(&f), OZ_CONFIG);
    assert_int_equal(f.n_mistakes, 3);
    assert_int_equal(f.mistake[0].number, 0);
    assert_int_equal(f.mistake[0].offset, 0);
    assert_non_null(strstr(f.mistake[0].message, "user -> c1 -> c2 -> c3 -> user"));
    assert_int_equal(f.mistake[1].number, 1);
    assert_int_equal(f.mistake[1].offset, 4);
    assert_non_null(strstr(f.mistake[1].message, "c1 -> c2 -> c3 -> c1"));
    assert_int_equal(f.mistake[2].number, 4);
    assert_non_null(strstr(f.mistake[2].message, "self -> self"));
    fixture_clear(&f);
}

/* A chain of features as long as allowed needs no stack: each is behind the next in the file. */
static void test_long_chain(void **state)
{
    (void)state;
    static char name[OZ_FEATURES_MAX][8], text[OZ_FEATURES_MAX][16];
    static struct oz_named_text feature[OZ_FEATURES_MAX];
    struct fixture f;
    fixture_init(&f);
    for (int i = 0; i < OZ_FEATURES_MAX; i++) {
        snprintf(name[i], sizeof(name[i]), "f%d", i);
        snprintf(text[i], sizeof(text[i]), i + 1 < OZ_FEATURES_MAX ? "f%d + 1" : "amount", i + 1);
        feature[i] = (struct oz_named_text){name[i], text[i]};
    }
    f.spec.feature = feature;
    f.spec.n_features = OZ_FEATURES_MAX;
    if (fixture_compile(&f) != OZ_OK) fail_msg("%s", f.err.message);
    fixture_clear(&f);
}

/* 640 features of 110 sums each, all different: more than the graph holds. */
static void test_too_many_operations(void **state)
{
    (void)state;
    static char text[640][OZ_EXPR_TEXT_BYTES_MAX];
    static char name[640][8];
    struct fixture f;
    fixture_init(&f);
    for (int i = 0; i < 640; i++) {
        size_t len = 0;
        for (int k = 0; k < 110; k++)
            len += (size_t)snprintf(text[i] + len, sizeof(text[i]) - len, "%s(items + %d)",
                                    k ? " * " : "", i * 110 + k);
        snprintf(name[i], sizeof(name[i]), "f%d", i);
        fixture_feature(&f, name[i], text[i]);
    }
    assert_int_equal(fixture_compile(&f), OZ_CONFIG);
    assert_non_null(strstr(f.err.message, "more than 65536 operations"));
    fixture_clear(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),       cmocka_unit_test(test_clauses),
        cmocka_unit_test(test_names),       cmocka_unit_test(test_types),
        cmocka_unit_test(test_rules),       cmocka_unit_test(test_name_of_feature_and_score),
        cmocka_unit_test(test_all_at_once), cmocka_unit_test(test_circles),
        cmocka_unit_test(test_long_chain),  cmocka_unit_test(test_too_many_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
