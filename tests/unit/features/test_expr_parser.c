/* Proves that texts become the trees that the grammar in features/expr_parser.h says: precedence,
 * the side that operators lean to, where clauses belong, where a condition ends, how literals are
 * read, and that the limits hold to the last one. How: each text stands beside its tree in prefix
 * form, written by hand. What the parser refuses is in test_expr_mistakes.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/buf.h"
#include "features/expr_parser.h"

static void print(const struct oz_ast *ast, struct oz_buf *buf);

static void print_call(const struct oz_ast_call *call, struct oz_buf *buf)
{
    oz_buf_printf(buf, "[%.*s", (int)call->name.len, call->name.data);
    for (uint32_t i = 0; i < call->n_args; i++) {
        oz_buf_puts(buf, " ");
        print(call->arg[i], buf);
    }
    if (call->by.data) oz_buf_printf(buf, " by=%.*s", (int)call->by.len, call->by.data);
    if (call->over_us) oz_buf_printf(buf, " over=%lld", (long long)call->over_us);
    if (call->last) oz_buf_printf(buf, " last=%u", call->last);
    if (call->delay_us) oz_buf_printf(buf, " delay=%lld", (long long)call->delay_us);
    if (call->where) {
        oz_buf_puts(buf, " where=");
        print(call->where, buf);
    }
    if (call->excluding_current) oz_buf_puts(buf, " excluding");
    oz_buf_puts(buf, "]");
}

static void print(const struct oz_ast *ast, struct oz_buf *buf)
{
    switch (ast->kind) {
    case OZ_AST_LONG: oz_buf_printf(buf, "%lld", (long long)ast->i64); break;
    case OZ_AST_DOUBLE: oz_buf_printf(buf, "%a", ast->f64); break;
    case OZ_AST_BOOLEAN: oz_buf_puts(buf, ast->i64 ? "T" : "F"); break;
    case OZ_AST_NULL: oz_buf_puts(buf, "N"); break;
    case OZ_AST_TEXT: oz_buf_printf(buf, "<%.*s>", (int)ast->text.len, ast->text.data); break;
    case OZ_AST_NAME:
        if (ast->name.source.data)
            oz_buf_printf(buf, "%.*s.", (int)ast->name.source.len, ast->name.source.data);
        oz_buf_printf(buf, "%.*s", (int)ast->name.field.len, ast->name.field.data);
        break;
    case OZ_AST_CALL: print_call(ast->call, buf); break;
    case OZ_AST_OPERATOR:
        oz_buf_printf(buf, "(%s ", ast->op == OZ_AST_NEG ? "neg" : oz_ast_operator_text(ast->op));
        print(ast->left, buf);
        if (ast->right) {
            oz_buf_puts(buf, " ");
            print(ast->right, buf);
        }
        oz_buf_puts(buf, ")");
    }
}

static void expect_tree(const char *text, const char *tree)
{
    struct oz_arena arena;
    struct oz_buf buf;
    struct oz_expr_mistake mistake = {0};
    oz_arena_init(&arena, 4096);
    oz_buf_init(&buf);
    const struct oz_ast *ast = oz_expr_parse(text, &arena, &mistake);
    if (!ast) fail_msg("%s: byte %zu: %s", text, mistake.offset, mistake.message);
    print(ast, &buf);
    if (strcmp(oz_buf_string(&buf), tree))
        fail_msg("%s\nis      %s\nwants   %s", text, oz_buf_string(&buf), tree);
    oz_buf_clear(&buf);
    oz_arena_clear(&arena);
}

static void test_precedence(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"a + b * c", "(+ a (* b c))"},
        {"a * b + c", "(+ (* a b) c)"},
        {"a - b - c", "(- (- a b) c)"},
        {"a / b / c", "(/ (/ a b) c)"},
        {"a / b * c % d", "(% (* (/ a b) c) d)"},
        {"a - (b - c)", "(- a (- b c))"},
        {"(a + b) * c", "(* (+ a b) c)"},
        {"-a * b", "(* (neg a) b)"},
        {"a * -b", "(* a (neg b))"},
        {"a - -b", "(- a (neg b))"},
        {"--a", "(neg (neg a))"},
        {"a+b<c*d", "(< (+ a b) (* c d))"},
        {"a < b and c >= d", "(and (< a b) (>= c d))"},
        {"a or b and c", "(or a (and b c))"},
        {"a and b or c", "(or (and a b) c)"},
        {"a or b or c", "(or (or a b) c)"},
        {"not a and b", "(and (not a) b)"},
        {"not a == b", "(not (== a b))"},
        {"not not a", "(not (not a))"},
        {"(a == b) == c", "(== (== a b) c)"},
        {"a != b or not c <= -d + 1", "(or (!= a b) (not (<= c (+ (neg d) 1))))"},
    };
    for (size_t i = 0; i < OZ_COUNT_OF(rows); i++) expect_tree(rows[i][0], rows[i][1]);
}

static void test_literals_and_names(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"0", "0"},
        {"9223372036854775807", "9223372036854775807"},
        {"1.5", "0x1.8p+0"},
        {"2e3", "0x1.f4p+10"},
        {"25E-2", "0x1p-2"},
        {"1.5e+1", "0x1.ep+3"},
        {"'it''s'", "<it's>"},
        {"\"say \"\"so\"\"\"", "<say \"so\">"},
        {"'a \"b\"'", "<a \"b\">"},
        {"''", "<>"},
        {"'caf\xc3\xa9'", "<caf\xc3\xa9>"},
        {"true", "T"},
        {"false", "F"},
        {"null", "N"},
        {"truely", "truely"},
        {"_a1", "_a1"},
        {"labels.fraud", "labels.fraud"},
        {"labels . fraud", "labels.fraud"},
        {" \t\r\n a ", "a"},
        {"f()", "[f]"},
        {"f(a, -1, g('x'))", "[f a (neg 1) [g <x>]]"},
        /* Words of clauses are names wherever a clause cannot stand. */
        {"by + over * last", "(+ by (* over last))"},
        {"last(last) by by last 3 where where", "[last last by=by last=3 where=where]"},
        {"current.excluding", "current.excluding"},
    };
    for (size_t i = 0; i < OZ_COUNT_OF(rows); i++) expect_tree(rows[i][0], rows[i][1]);
}

static void test_clauses(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"count() by card over 7d", "[count by=card over=604800000000]"},
        {"sum(x) over 1h30m by card", "[sum x by=card over=5400000000]"},
        {"sum(x) excluding current delay 250ms last 50 by card where ok",
         "[sum x by=card last=50 delay=250000 where=ok excluding]"},
        {"count() delay 0s", "[count]"},
        {"x / mean(x) by card over 30d", "(/ x [mean x by=card over=2592000000000])"},
        {"mean(x) by card / x", "(/ [mean x by=card] x)"},
        {"-count() by card", "(neg [count by=card])"},
        {"count() by a > count() by b", "(> [count by=a] [count by=b])"},
        {"f(count() by a, b)", "[f [count by=a] b]"},
        {"(count() by a) * 2", "(* [count by=a] 2)"},
        /* A condition: one primary, or one comparison of two. */
        {"count() where a", "[count where=a]"},
        {"count() where not a", "[count where=(not a)]"},
        {"count() where a > -5", "[count where=(> a (neg 5))]"},
        {"count() where not a == 'x'", "[count where=(not (== a <x>))]"},
        {"count() where a > 5 by b over 1d", "[count by=b over=86400000000 where=(> a 5)]"},
        {"count() where is_null(a) by b", "[count by=b where=[is_null a]]"},
        {"count() where (a * 2 > b or c) last 3", "[count last=3 where=(or (> (* a 2) b) c)]"},
        {"count() where a / count()", "(/ [count where=a] [count])"},
        {"count() where a and b", "(and [count where=a] b)"},
        {"count() where a > 5 and b", "(and [count where=(> a 5)] b)"},
        {"f(count() where a == 5, 0)", "[f [count where=(== a 5)] 0]"},
        {"(count() where a == 5) / 2", "(/ [count where=(== a 5)] 2)"},
        {"coalesce(count(labels) by terminal over 7d delay 7d where labels.fraud / count() by "
         "terminal over 7d delay 7d, 0)",
         "[coalesce (/ [count labels by=terminal over=604800000000 delay=604800000000 "
         "where=labels.fraud] [count by=terminal over=604800000000 delay=604800000000]) 0]"},
    };
    for (size_t i = 0; i < OZ_COUNT_OF(rows); i++) expect_tree(rows[i][0], rows[i][1]);
}

static bool parses(const char *text)
{
    struct oz_arena arena;
    struct oz_expr_mistake mistake = {0};
    oz_arena_init(&arena, 1 << 16);
    bool is = oz_expr_parse(text, &arena, &mistake) != NULL;
    assert_true(is != mistake.set);
    oz_arena_clear(&arena);
    return is;
}

/* `before` n times, "a", `after` n times. */
static bool parses_repeated(const char *before, int n, const char *after)
{
    struct oz_buf buf;
    oz_buf_init(&buf);
    for (int i = 0; i < n; i++) oz_buf_puts(&buf, before);
    oz_buf_puts(&buf, "a");
    for (int i = 0; i < n; i++) oz_buf_puts(&buf, after);
    bool is = parses(oz_buf_string(&buf));
    oz_buf_clear(&buf);
    return is;
}

static void test_limits(void **state)
{
    (void)state;
    static const char *const nests[][2] = {{"(", ")"}, {"f(", ")"}, {"-", ""}, {"not ", ""}};
    for (size_t i = 0; i < OZ_COUNT_OF(nests); i++) {
        assert_true(parses_repeated(nests[i][0], OZ_EXPR_NESTING_MAX, nests[i][1]));
        assert_false(parses_repeated(nests[i][0], OZ_EXPR_NESTING_MAX + 1, nests[i][1]));
    }
    assert_true(parses_repeated("", OZ_EXPR_DEPTH_MAX - 1, "+a"));
    assert_false(parses_repeated("", OZ_EXPR_DEPTH_MAX, "+a"));
    assert_true(parses("f(1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16)"));
    assert_false(parses("f(1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17)"));
    static char text[OZ_EXPR_TEXT_BYTES_MAX + 2];
    memset(text, 'a', OZ_EXPR_TEXT_BYTES_MAX);
    assert_true(parses(text));
    text[OZ_EXPR_TEXT_BYTES_MAX] = 'a';
    assert_false(parses(text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_literals_and_names),
        cmocka_unit_test(test_clauses),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
