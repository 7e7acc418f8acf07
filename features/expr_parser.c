#include "features/expr_parser.h"
#include <stdio.h>
#include <string.h>
#include "base/instant.h"
#include "base/number.h"

struct parser {
    struct oz_expr_lexer lexer;
    struct oz_expr_token token; /* the one to look at */
    struct oz_arena *arena;
    struct oz_expr_mistake *mistake;
    unsigned nesting;
};

static const char *const operator_text[] = {
    [OZ_AST_ADD] = "+", [OZ_AST_SUB] = "-",   [OZ_AST_MUL] = "*", [OZ_AST_DIV] = "/",
    [OZ_AST_MOD] = "%", [OZ_AST_EQ] = "==",   [OZ_AST_NE] = "!=", [OZ_AST_LT] = "<",
    [OZ_AST_LE] = "<=", [OZ_AST_GT] = ">",    [OZ_AST_GE] = ">=", [OZ_AST_AND] = "and",
    [OZ_AST_OR] = "or", [OZ_AST_NOT] = "not", [OZ_AST_NEG] = "-",
};

const char *oz_ast_operator_text(enum oz_ast_operator op) { return operator_text[op]; }

static struct oz_ast *parse_or(struct parser *p);

/* What the parser sees, as words for a mistake. */
struct found {
    char text[64];
};

static struct found found(const struct oz_expr_token *token)
{
    struct found found;
    const char *form = "`%.*s`";
    if (token->kind == OZ_TOKEN_END) form = "the end";
    if (token->kind == OZ_TOKEN_TEXT) form = "a text";
    snprintf(found.text, sizeof(found.text), form, (int)OZ_MIN(token->len, 40u), token->text);
    return found;
}

static bool advance(struct parser *p) { return oz_expr_next(&p->lexer, &p->token); }

static bool expect(struct parser *p, enum oz_expr_token_kind kind, const char *what)
{
    if (p->token.kind == kind) return advance(p);
    return oz_expr_mistake_set(p->mistake, p->token.offset, "expected %s, found %s", what,
                               found(&p->token).text);
}

static struct oz_ast *new_node(struct parser *p, enum oz_ast_kind kind, uint32_t start)
{
    struct oz_ast *node = oz_arena_zeroed(p->arena, 1, sizeof(*node));
    if (!node) return NULL;
    node->kind = kind;
    node->start = node->offset = start;
    node->depth = 1;
    return node;
}

static bool deepen(struct parser *p, struct oz_ast *node, const struct oz_ast *child)
{
    node->depth = OZ_MAX(node->depth, child->depth + 1);
    if (node->depth <= OZ_EXPR_DEPTH_MAX) return true;
    return oz_expr_mistake_set(
        p->mistake, node->offset,
        "this is too long for one expression (more than %d in a row); give a "
        "part of it a name of its own",
        OZ_EXPR_DEPTH_MAX);
}

static struct oz_ast *operation(struct parser *p, enum oz_ast_operator op, uint32_t offset,
                                struct oz_ast *left, struct oz_ast *right)
{
    bool prefix = op == OZ_AST_NOT || op == OZ_AST_NEG;
    if (!left || (!prefix && !right)) return NULL;
    struct oz_ast *node = new_node(p, OZ_AST_OPERATOR, prefix ? offset : left->start);
    if (!node) return NULL;
    node->offset = offset;
    node->op = op;
    node->left = left;
    node->right = right;
    if (!deepen(p, node, left) || (right && !deepen(p, node, right))) return NULL;
    return node;
}

static bool enter(struct parser *p)
{
    if (++p->nesting <= OZ_EXPR_NESTING_MAX) return true;
    return oz_expr_mistake_set(p->mistake, p->token.offset, "nested deeper than %d levels",
                               OZ_EXPR_NESTING_MAX);
}

static bool compare_operator(const struct oz_expr_token *token, enum oz_ast_operator *ret_op)
{
    switch (token->kind) {
    case OZ_TOKEN_EQ: *ret_op = OZ_AST_EQ; return true;
    case OZ_TOKEN_NE: *ret_op = OZ_AST_NE; return true;
    case OZ_TOKEN_LT: *ret_op = OZ_AST_LT; return true;
    case OZ_TOKEN_LE: *ret_op = OZ_AST_LE; return true;
    case OZ_TOKEN_GT: *ret_op = OZ_AST_GT; return true;
    case OZ_TOKEN_GE: *ret_op = OZ_AST_GE; return true;
    default: return false;
    }
}

static struct oz_ast *number(struct parser *p)
{
    const struct oz_expr_token token = p->token;
    struct oz_ast *node = new_node(p, OZ_AST_LONG, token.offset);
    if (!node) return NULL;
    bool integral = true;
    for (uint32_t i = 0; i < token.len; i++)
        integral &= token.text[i] >= '0' && token.text[i] <= '9';
    if (integral && !oz_parse_i64(token.text, token.len, &node->i64)) {
        oz_expr_mistake_set(p->mistake, token.offset,
                            "this is too large for a long; write it with a point, as a double");
        return NULL;
    }
    if (!integral) {
        node->kind = OZ_AST_DOUBLE;
        if (!oz_parse_double(token.text, token.len, &node->f64) || node->f64 >= 0x1p94) {
            oz_expr_mistake_set(p->mistake, token.offset,
                                "numbers stay below 2^94 (about 1.98e28)");
            return NULL;
        }
    }
    return advance(p) ? node : NULL;
}

static struct oz_ast *quoted_text(struct parser *p)
{
    const struct oz_expr_token token = p->token;
    struct oz_ast *node = new_node(p, OZ_AST_TEXT, token.offset);
    char *bytes = oz_arena_get(p->arena, token.len);
    if (!node || !bytes) return NULL;
    uint32_t len = 0;
    for (uint32_t i = 1; i + 1 < token.len; i++) {
        bytes[len++] = token.text[i];
        i += token.text[i] == token.text[0];
    }
    node->text = (struct oz_str){bytes, len};
    return advance(p) ? node : NULL;
}

static struct oz_ast_word word_of(const struct oz_expr_token *token)
{
    return (struct oz_ast_word){token->text, token->len, token->offset};
}

static bool duration(struct parser *p, const char *clause, bool may_be_zero, int64_t *ret_us)
{
    const struct oz_expr_token token = p->token;
    bool is = token.kind == OZ_TOKEN_DURATION || token.kind == OZ_TOKEN_NUMBER;
    if (!is || !oz_parse_duration(token.text, token.len, ret_us))
        return oz_expr_mistake_set(p->mistake, token.offset,
                                   "expected a duration behind `%s`, such as 30m or 7d, found %s",
                                   clause, found(&token).text);
    if (*ret_us == 0 && !may_be_zero)
        return oz_expr_mistake_set(p->mistake, token.offset, "a window is longer than nothing");
    if (*ret_us > OZ_EXPR_WINDOW_MAX_US)
        return oz_expr_mistake_set(p->mistake, token.offset, "at most 100 years (36500d)");
    return advance(p);
}

static struct oz_ast *primary(struct parser *p, bool clauses);

static struct oz_ast *where_operand(struct parser *p)
{
    uint32_t offset = p->token.offset;
    if (p->token.kind != OZ_TOKEN_SUB) return primary(p, false);
    if (!advance(p)) return NULL;
    return operation(p, OZ_AST_NEG, offset, primary(p, false), NULL);
}

static struct oz_ast *where_condition(struct parser *p)
{
    uint32_t not_offset = p->token.offset;
    bool not = oz_expr_token_is(&p->token, "not");
    if (not &&!advance(p)) return NULL;
    struct oz_ast *condition = where_operand(p);
    uint32_t offset = p->token.offset;
    enum oz_ast_operator op;
    if (condition && compare_operator(&p->token, &op)) {
        if (!advance(p)) return NULL;
        condition = operation(p, op, offset, condition, where_operand(p));
        enum oz_expr_token_kind next = p->token.kind;
        if (condition &&
            (compare_operator(&p->token, &op) || (next >= OZ_TOKEN_ADD && next <= OZ_TOKEN_MOD))) {
            oz_expr_mistake_set(
                p->mistake, p->token.offset,
                "does %s belong to the condition of `where` or to what stands around "
                "the aggregate? Put the condition, or the aggregate with it, in "
                "parentheses",
                found(&p->token).text);
            return NULL;
        }
    }
    return not ? operation(p, OZ_AST_NOT, not_offset, condition, NULL) : condition;
}

static bool last_count(struct parser *p, struct oz_ast_call *call)
{
    int64_t n;
    if (p->token.kind != OZ_TOKEN_NUMBER || !oz_parse_i64(p->token.text, p->token.len, &n) ||
        n < 1 || n > OZ_EXPR_LAST_MAX)
        return oz_expr_mistake_set(p->mistake, p->token.offset,
                                   "expected a number of events behind `last`, 1 to %d, found %s",
                                   OZ_EXPR_LAST_MAX, found(&p->token).text);
    call->last = (uint32_t)n;
    return advance(p);
}

enum { CLAUSE_BY, CLAUSE_OVER, CLAUSE_LAST, CLAUSE_DELAY, CLAUSE_WHERE, CLAUSE_EXCLUDING, CLAUSES };
static const char *const clause_name[CLAUSES] = {"by",    "over",  "last",
                                                 "delay", "where", "excluding"};

static bool clause(struct parser *p, struct oz_ast_call *call, int which, uint32_t offset)
{
    switch (which) {
    case CLAUSE_BY:
        call->by = word_of(&p->token);
        return expect(p, OZ_TOKEN_NAME, "the name of an entity behind `by`");
    case CLAUSE_OVER: return duration(p, "over", false, &call->over_us);
    case CLAUSE_LAST: call->last_offset = offset; return last_count(p, call);
    case CLAUSE_DELAY: return duration(p, "delay", true, &call->delay_us);
    case CLAUSE_WHERE: call->where = where_condition(p); return call->where != NULL;
    default:
        call->excluding_current = true;
        call->excluding_offset = offset;
        if (!oz_expr_token_is(&p->token, "current"))
            return oz_expr_mistake_set(p->mistake, p->token.offset,
                                       "expected `current` behind `excluding`, found %s",
                                       found(&p->token).text);
        return advance(p);
    }
}

static bool clauses_of(struct parser *p, struct oz_ast *node)
{
    struct oz_ast_call *call = node->call;
    bool seen[CLAUSES] = {false};
    while (p->token.kind == OZ_TOKEN_NAME) {
        int which = 0;
        while (which < CLAUSES && !oz_expr_token_is(&p->token, clause_name[which])) which++;
        if (which == CLAUSES) return true;
        uint32_t offset = p->token.offset;
        if (seen[which])
            return oz_expr_mistake_set(p->mistake, offset, "`%s` stands here twice",
                                       clause_name[which]);
        seen[which] = true;
        if (!call->has_clause) call->clause_offset = offset;
        call->has_clause = true;
        if (!advance(p) || !clause(p, call, which, offset)) return false;
        if (call->where && !deepen(p, node, call->where)) return false;
        if (seen[CLAUSE_OVER] && seen[CLAUSE_LAST])
            return oz_expr_mistake_set(
                p->mistake, offset,
                "`over` and `last` do not go together: a window is a time or "
                "a number of events");
    }
    return true;
}

static struct oz_ast *call(struct parser *p, struct oz_ast_word name, bool clauses)
{
    struct oz_ast *node = new_node(p, OZ_AST_CALL, name.offset);
    if (!node || !(node->call = oz_arena_zeroed(p->arena, 1, sizeof(*node->call)))) return NULL;
    struct oz_ast_call *c = node->call;
    c->name = name;
    if (!enter(p) || !advance(p)) return NULL;
    while (p->token.kind != OZ_TOKEN_CLOSE) {
        if (c->n_args && !expect(p, OZ_TOKEN_COMMA, "`,` or `)`")) return NULL;
        if (c->n_args == OZ_EXPR_ARGS_MAX) {
            oz_expr_mistake_set(p->mistake, p->token.offset, "at most %d arguments",
                                OZ_EXPR_ARGS_MAX);
            return NULL;
        }
        struct oz_ast *arg = parse_or(p);
        if (!arg || !deepen(p, node, arg)) return NULL;
        c->arg[c->n_args++] = arg;
    }
    p->nesting--;
    if (!advance(p) || (clauses && !clauses_of(p, node))) return NULL;
    return node;
}

/* A word with a meaning of its own, or NULL. */
static struct oz_ast *reserved(struct parser *p, const struct oz_expr_token *token)
{
    static const struct {
        const char *word;
        enum oz_ast_kind kind;
        int64_t value;
    } words[] = {{"true", OZ_AST_BOOLEAN, OZ_TRUE},
                 {"false", OZ_AST_BOOLEAN, OZ_FALSE},
                 {"null", OZ_AST_NULL, 0}};
    for (size_t i = 0; i < OZ_COUNT_OF(words); i++) {
        if (!oz_expr_token_is(token, words[i].word)) continue;
        struct oz_ast *node = new_node(p, words[i].kind, token->offset);
        if (!node || !advance(p)) return NULL;
        node->i64 = words[i].value;
        return node;
    }
    return NULL;
}

static bool is_operator_word(const struct oz_expr_token *token)
{
    return oz_expr_token_is(token, "and") || oz_expr_token_is(token, "or") ||
           oz_expr_token_is(token, "not");
}

static struct oz_ast *name(struct parser *p, bool clauses)
{
    const struct oz_expr_token token = p->token;
    struct oz_ast *node = reserved(p, &token);
    if (node || !advance(p)) return node;
    struct oz_ast_word word = word_of(&token);
    if (p->token.kind == OZ_TOKEN_OPEN) return call(p, word, clauses);
    if (!(node = new_node(p, OZ_AST_NAME, token.offset))) return NULL;
    node->name.field = word;
    if (p->token.kind == OZ_TOKEN_DOT) {
        if (!advance(p)) return NULL;
        node->name.source = word;
        node->name.field = word_of(&p->token);
        if (!expect(p, OZ_TOKEN_NAME, "the name of a field behind the point")) return NULL;
    }
    return node;
}

static struct oz_ast *primary(struct parser *p, bool clauses)
{
    const struct oz_expr_token token = p->token;
    switch (token.kind) {
    case OZ_TOKEN_NUMBER: return number(p);
    case OZ_TOKEN_TEXT: return quoted_text(p);
    case OZ_TOKEN_NAME:
        if (is_operator_word(&token)) break;
        return name(p, clauses);
    case OZ_TOKEN_OPEN: {
        if (!enter(p) || !advance(p)) return NULL;
        struct oz_ast *inner = parse_or(p);
        if (!inner || !expect(p, OZ_TOKEN_CLOSE, "`)`")) return NULL;
        p->nesting--;
        inner->parenthesised = true;
        inner->start = token.offset;
        return inner;
    }
    case OZ_TOKEN_DURATION:
        oz_expr_mistake_set(p->mistake, token.offset,
                            "%s is no number; durations stand behind `over` and `delay` only",
                            found(&token).text);
        return NULL;
    default: break;
    }
    oz_expr_mistake_set(p->mistake, token.offset,
                        "expected a number, a name, a text or `(`, found %s", found(&token).text);
    return NULL;
}

static struct oz_ast *parse_sign(struct parser *p)
{
    uint32_t offset = p->token.offset;
    if (p->token.kind != OZ_TOKEN_SUB) return primary(p, true);
    if (!enter(p) || !advance(p)) return NULL;
    struct oz_ast *node = operation(p, OZ_AST_NEG, offset, parse_sign(p), NULL);
    p->nesting--;
    return node;
}

static struct oz_ast *parse_product(struct parser *p)
{
    struct oz_ast *left = parse_sign(p);
    while (left && p->token.kind >= OZ_TOKEN_MUL && p->token.kind <= OZ_TOKEN_MOD) {
        enum oz_ast_operator op = OZ_AST_MUL + (p->token.kind - OZ_TOKEN_MUL);
        uint32_t offset = p->token.offset;
        if (!advance(p)) return NULL;
        left = operation(p, op, offset, left, parse_sign(p));
    }
    return left;
}

static struct oz_ast *parse_sum(struct parser *p)
{
    struct oz_ast *left = parse_product(p);
    while (left && (p->token.kind == OZ_TOKEN_ADD || p->token.kind == OZ_TOKEN_SUB)) {
        enum oz_ast_operator op = p->token.kind == OZ_TOKEN_ADD ? OZ_AST_ADD : OZ_AST_SUB;
        uint32_t offset = p->token.offset;
        if (!advance(p)) return NULL;
        left = operation(p, op, offset, left, parse_product(p));
    }
    return left;
}

static struct oz_ast *parse_compare(struct parser *p)
{
    struct oz_ast *left = parse_sum(p);
    uint32_t offset = p->token.offset;
    enum oz_ast_operator op;
    if (!left || !compare_operator(&p->token, &op)) return left;
    if (!advance(p)) return NULL;
    left = operation(p, op, offset, left, parse_sum(p));
    if (left && compare_operator(&p->token, &op)) {
        oz_expr_mistake_set(p->mistake, p->token.offset,
                            "comparisons do not chain; write a < b and b < c");
        return NULL;
    }
    return left;
}

static struct oz_ast *parse_not(struct parser *p)
{
    uint32_t offset = p->token.offset;
    if (!oz_expr_token_is(&p->token, "not")) return parse_compare(p);
    if (!enter(p) || !advance(p)) return NULL;
    struct oz_ast *node = operation(p, OZ_AST_NOT, offset, parse_not(p), NULL);
    p->nesting--;
    return node;
}

static struct oz_ast *parse_and(struct parser *p)
{
    struct oz_ast *left = parse_not(p);
    while (left && oz_expr_token_is(&p->token, "and")) {
        uint32_t offset = p->token.offset;
        if (!advance(p)) return NULL;
        left = operation(p, OZ_AST_AND, offset, left, parse_not(p));
    }
    return left;
}

static struct oz_ast *parse_or(struct parser *p)
{
    struct oz_ast *left = parse_and(p);
    while (left && oz_expr_token_is(&p->token, "or")) {
        uint32_t offset = p->token.offset;
        if (!advance(p)) return NULL;
        left = operation(p, OZ_AST_OR, offset, left, parse_and(p));
    }
    return left;
}

struct oz_ast *oz_expr_parse(const char *text, struct oz_arena *arena,
                             struct oz_expr_mistake *mistake)
{
    size_t len = strlen(text);
    if (len > OZ_EXPR_TEXT_BYTES_MAX) {
        oz_expr_mistake_set(
            mistake, OZ_EXPR_TEXT_BYTES_MAX,
            "an expression is at most %d bytes long; give a part of it a name of its "
            "own",
            OZ_EXPR_TEXT_BYTES_MAX);
        return NULL;
    }
    struct parser p = {.lexer = {.text = text, .len = len, .mistake = mistake},
                       .arena = arena,
                       .mistake = mistake};
    if (!advance(&p)) return NULL;
    if (p.token.kind == OZ_TOKEN_END) {
        oz_expr_mistake_set(mistake, 0, "there is no expression here");
        return NULL;
    }
    struct oz_ast *tree = parse_or(&p);
    if (!tree || p.token.kind == OZ_TOKEN_END) return tree;
    bool is_clause = false;
    for (int i = 0; i < CLAUSES; i++) is_clause |= oz_expr_token_is(&p.token, clause_name[i]);
    oz_expr_mistake_set(mistake, p.token.offset,
                        is_clause
                            ? "%s stands right behind the `)` of an aggregate's arguments, as in "
                              "count() by card over 7d"
                            : "expected an operator or the end, found %s",
                        found(&p.token).text);
    return NULL;
}
