#include "features/expr_checker.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "features/expr_names.h"

static struct oz_typed unknown(void) { return (struct oz_typed){.type = OZ_TYPED_UNKNOWN}; }

/* A node of 0 means that memory or the graph is full: said once, by the compiler. */
static struct oz_typed typed(unsigned type, uint32_t node)
{
    return node ? (struct oz_typed){.type = type, .node = node} : unknown();
}

struct oz_typed oz_expr_unknown(struct oz_expr_check *check, size_t offset, const char *fmt, ...)
{
    char message[OZ_EXPR_MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    oz_expr_mistake_set(check->mistake, offset, "%s", message);
    return unknown();
}

const char *oz_typed_name(unsigned type)
{
    static const char *const names[] = {
        [OZ_LONG] = "a long",     [OZ_DOUBLE] = "a double",       [OZ_BOOLEAN] = "a boolean",
        [OZ_STRING] = "a string", [OZ_TIMESTAMP] = "a timestamp", [OZ_TYPED_NULL] = "null",
    };
    return names[type];
}

static bool is_unknown(struct oz_typed v) { return v.type == OZ_TYPED_UNKNOWN; }
static bool is_number(struct oz_typed v)
{
    return v.type == OZ_LONG || v.type == OZ_DOUBLE || (v.type == OZ_BOOLEAN && v.number);
}

/* A long or a double of it; a mistake when it is no number. */
static struct oz_typed number(struct oz_expr_check *check, struct oz_typed v,
                              const struct oz_ast *ast, const char *who)
{
    if (is_unknown(v) || v.type == OZ_LONG || v.type == OZ_DOUBLE) return v;
    if (v.number) return typed(OZ_DOUBLE, v.number);
    return oz_expr_unknown(
        check, ast->start, "`%s` takes numbers, this is %s%s", who, oz_typed_name(v.type),
        v.type == OZ_BOOLEAN ? "; if(condition, 1, 0) makes a number of it" : "");
}

static struct oz_typed condition(struct oz_expr_check *check, struct oz_typed v,
                                 const struct oz_ast *ast, const char *who)
{
    if (is_unknown(v) || v.type == OZ_BOOLEAN) return v;
    bool where = ast->kind == OZ_AST_CALL && !ast->parenthesised && ast->call->where;
    return oz_expr_unknown(
        check, ast->start, "`%s` takes conditions, this is %s%s", who, oz_typed_name(v.type),
        where ? "; if this belongs to the `where`, put its whole condition in parentheses"
              : "; compare it with something");
}

static struct oz_typed make(struct oz_expr_check *check, enum oz_expr_op_kind op, enum oz_type type,
                            struct oz_typed a, struct oz_typed b)
{
    if (is_unknown(a) || is_unknown(b)) return unknown();
    return typed(type, oz_expr_graph_op(&check->checker->graph, op, type, a.node, b.node, 0));
}

static struct oz_typed make_unary(struct oz_expr_check *check, enum oz_expr_op_kind op,
                                  enum oz_type type, struct oz_typed a)
{
    if (is_unknown(a)) return a;
    return typed(type, oz_expr_graph_op(&check->checker->graph, op, type, a.node, 0, 0));
}

/* Two numbers: both long, or both double. */
static struct oz_typed make_numeric(struct oz_expr_check *check, enum oz_expr_op_kind op,
                                    struct oz_typed a, struct oz_typed b)
{
    if (is_unknown(a) || is_unknown(b)) return unknown();
    bool whole = a.type == OZ_LONG && b.type == OZ_LONG && op != OZ_EXPR_DIV;
    if (!whole) {
        a.node = oz_expr_graph_to_double(&check->checker->graph, a.node);
        b.node = oz_expr_graph_to_double(&check->checker->graph, b.node);
    }
    return make(check, op, whole ? OZ_LONG : OZ_DOUBLE, a, b);
}

static struct oz_typed arithmetic(struct oz_expr_check *check, const struct oz_ast *ast)
{
    static const enum oz_expr_op_kind ops[] = {[OZ_AST_ADD] = OZ_EXPR_ADD,
                                               [OZ_AST_SUB] = OZ_EXPR_SUB,
                                               [OZ_AST_MUL] = OZ_EXPR_MUL,
                                               [OZ_AST_DIV] = OZ_EXPR_DIV,
                                               [OZ_AST_MOD] = OZ_EXPR_MOD};
    const char *sign = oz_ast_operator_text(ast->op);
    struct oz_typed a = oz_expr_check_tree(check, ast->left);
    struct oz_typed b = oz_expr_check_tree(check, ast->right);
    if (a.type == OZ_TIMESTAMP && b.type == OZ_TIMESTAMP && ast->op == OZ_AST_SUB)
        return oz_expr_unknown(check, ast->offset,
                               "the difference of two timestamps is not served yet");
    return make_numeric(check, ops[ast->op], number(check, a, ast->left, sign),
                        number(check, b, ast->right, sign));
}

static struct oz_typed negate(struct oz_expr_check *check, const struct oz_ast *ast)
{
    struct oz_expr_graph *graph = &check->checker->graph;
    const struct oz_ast *operand = ast->left;
    if (operand->kind == OZ_AST_LONG)
        return typed(OZ_LONG, oz_expr_graph_long(graph, -operand->i64));
    if (operand->kind == OZ_AST_DOUBLE)
        return typed(OZ_DOUBLE, oz_expr_graph_double(graph, -operand->f64));
    struct oz_typed v = number(check, oz_expr_check_tree(check, operand), operand, "-");
    return make_unary(check, OZ_EXPR_NEG, v.type, v);
}

static struct oz_typed logic(struct oz_expr_check *check, const struct oz_ast *ast)
{
    const char *word = oz_ast_operator_text(ast->op);
    struct oz_typed a = condition(check, oz_expr_check_tree(check, ast->left), ast->left, word);
    if (ast->op == OZ_AST_NOT) return make_unary(check, OZ_EXPR_NOT, OZ_BOOLEAN, a);
    struct oz_typed b = condition(check, oz_expr_check_tree(check, ast->right), ast->right, word);
    return make(check, ast->op == OZ_AST_AND ? OZ_EXPR_AND : OZ_EXPR_OR, OZ_BOOLEAN, a, b);
}

static bool is_order(enum oz_ast_operator op) { return op >= OZ_AST_LT && op <= OZ_AST_GE; }

static struct oz_typed make_comparison(struct oz_expr_check *check, enum oz_ast_operator op,
                                       struct oz_typed a, struct oz_typed b)
{
    bool swap = op == OZ_AST_GT || op == OZ_AST_GE;
    enum oz_expr_op_kind kind = op == OZ_AST_EQ                      ? OZ_EXPR_EQ
                                : op == OZ_AST_NE                    ? OZ_EXPR_NE
                                : op == OZ_AST_LT || op == OZ_AST_GT ? OZ_EXPR_LT
                                                                     : OZ_EXPR_LE;
    return make(check, kind, OZ_BOOLEAN, swap ? b : a, swap ? a : b);
}

static struct oz_typed compare(struct oz_expr_check *check, const struct oz_ast *ast)
{
    struct oz_expr_graph *graph = &check->checker->graph;
    const char *sign = oz_ast_operator_text(ast->op);
    struct oz_typed a = oz_expr_check_tree(check, ast->left);
    struct oz_typed b = oz_expr_check_tree(check, ast->right);
    if (is_unknown(a) || is_unknown(b)) return unknown();
    if (a.type == OZ_TYPED_NULL || b.type == OZ_TYPED_NULL)
        return oz_expr_unknown(
            check, ast->offset,
            "a comparison with null is null; write is_null(x) or not is_null(x)");
    bool booleans = a.type == OZ_BOOLEAN && b.type == OZ_BOOLEAN && !is_order(ast->op);
    if (!booleans && is_number(a) && is_number(b)) {
        a = number(check, a, ast->left, sign);
        b = number(check, b, ast->right, sign);
        if (a.type != b.type) {
            a = typed(OZ_DOUBLE, oz_expr_graph_to_double(graph, a.node));
            b = typed(OZ_DOUBLE, oz_expr_graph_to_double(graph, b.node));
        }
        return make_comparison(check, ast->op, a, b);
    }
    if (a.type != b.type)
        return oz_expr_unknown(check, ast->offset, "`%s` cannot compare %s with %s", sign,
                               oz_typed_name(a.type), oz_typed_name(b.type));
    if (a.type != OZ_TIMESTAMP && is_order(ast->op))
        return oz_expr_unknown(check, ast->offset, "`%s` has no meaning for %ss; only == and != do",
                               sign, oz_typed_name(a.type) + 2);
    return make_comparison(check, ast->op, a, b);
}

/* Makes the n values one type, as `if` and `coalesce` need it; false after a mistake. */
static bool unify(struct oz_expr_check *check, struct oz_typed *v, struct oz_ast *const *ast,
                  uint32_t n, const char *who, unsigned *ret_type)
{
    struct oz_expr_graph *graph = &check->checker->graph;
    unsigned type = OZ_TYPED_NULL;
    for (uint32_t i = 0; i < n; i++) {
        if (is_unknown(v[i])) return false;
        if (v[i].type == OZ_TYPED_NULL || v[i].type == type) continue;
        bool numbers = is_number(v[i]) && (type == OZ_LONG || type == OZ_DOUBLE);
        /* Boolean features before this one turn out to be meant as numbers. */
        bool late = v[i].type != OZ_BOOLEAN && is_number(v[i]) && type == OZ_BOOLEAN;
        for (uint32_t j = 0; j < i && late; j++) late = v[j].type == OZ_TYPED_NULL || v[j].number;
        if (type != OZ_TYPED_NULL && !numbers && !late) {
            oz_expr_unknown(check, ast[i]->start, "`%s` gives one type, but this is %s after %s",
                            who, oz_typed_name(v[i].type), oz_typed_name(type));
            return false;
        }
        type = numbers || late ? OZ_DOUBLE : v[i].type;
    }
    if (type == OZ_TYPED_NULL) {
        oz_expr_unknown(check, ast[0]->start, "`%s` needs something that is not null", who);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (v[i].type == OZ_TYPED_NULL)
            v[i].node = oz_expr_graph_null(graph, type);
        else if (type == OZ_DOUBLE)
            v[i].node = v[i].number ? v[i].number : oz_expr_graph_to_double(graph, v[i].node);
        v[i] = typed(type, v[i].node);
        if (is_unknown(v[i])) return false;
    }
    *ret_type = type;
    return true;
}

static struct oz_typed call_if(struct oz_expr_check *check, const struct oz_ast_call *call,
                               struct oz_typed *arg)
{
    unsigned type;
    struct oz_typed c = condition(check, arg[0], call->arg[0], "if");
    if (!unify(check, arg + 1, call->arg + 1, 2, "if", &type) || is_unknown(c)) return unknown();
    return typed(type, oz_expr_graph_op(&check->checker->graph, OZ_EXPR_IF, type, c.node,
                                        arg[1].node, arg[2].node));
}

static struct oz_typed call_coalesce(struct oz_expr_check *check, const struct oz_ast_call *call,
                                     struct oz_typed *arg)
{
    unsigned type;
    if (!unify(check, arg, call->arg, call->n_args, "coalesce", &type)) return unknown();
    struct oz_typed v = arg[call->n_args - 1];
    for (uint32_t i = call->n_args - 1; i-- > 0;)
        v = make(check, OZ_EXPR_COALESCE, type, arg[i], v);
    return v;
}

static struct oz_typed call_is_null(struct oz_expr_check *check, const struct oz_ast_call *call,
                                    struct oz_typed *arg)
{
    if (arg[0].type == OZ_TYPED_NULL)
        return oz_expr_unknown(check, call->arg[0]->start, "null is null");
    return make_unary(check, OZ_EXPR_IS_NULL, OZ_BOOLEAN, arg[0]);
}

static struct oz_typed call_of_time(struct oz_expr_check *check, const struct oz_ast_call *call,
                                    struct oz_typed v, enum oz_expr_op_kind op, const char *who)
{
    if (call->n_args > 1)
        return oz_expr_unknown(check, call->arg[1]->start,
                               "`%s` with a time zone is not served yet; times are UTC", who);
    if (!is_unknown(v) && v.type != OZ_TIMESTAMP)
        return oz_expr_unknown(check, call->arg[0]->start, "`%s` takes a timestamp, this is %s",
                               who, oz_typed_name(v.type));
    return make_unary(check, op, OZ_LONG, v);
}

static struct oz_typed call_hour(struct oz_expr_check *check, const struct oz_ast_call *call,
                                 struct oz_typed *arg)
{
    return call_of_time(check, call, arg[0], OZ_EXPR_HOUR, "hour");
}

static struct oz_typed call_weekday(struct oz_expr_check *check, const struct oz_ast_call *call,
                                    struct oz_typed *arg)
{
    return call_of_time(check, call, arg[0], OZ_EXPR_WEEKDAY, "weekday");
}

static struct oz_typed call_abs(struct oz_expr_check *check, const struct oz_ast_call *call,
                                struct oz_typed *arg)
{
    struct oz_typed v = number(check, arg[0], call->arg[0], "abs");
    return make_unary(check, OZ_EXPR_ABS, v.type, v);
}

static struct oz_typed call_log1p(struct oz_expr_check *check, const struct oz_ast_call *call,
                                  struct oz_typed *arg)
{
    struct oz_typed v = number(check, arg[0], call->arg[0], "log1p");
    if (is_unknown(v)) return v;
    v.node = oz_expr_graph_to_double(&check->checker->graph, v.node);
    return make_unary(check, OZ_EXPR_LOG1P, OZ_DOUBLE, typed(OZ_DOUBLE, v.node));
}

static struct oz_typed extreme(struct oz_expr_check *check, const struct oz_ast_call *call,
                               struct oz_typed *arg, enum oz_expr_op_kind op, const char *who)
{
    /* All long or all double before the first comparison, so that the order of the arguments and
     * the type of one do not change how another is rounded. */
    bool whole = true;
    for (uint32_t i = 0; i < call->n_args; i++) {
        arg[i] = number(check, arg[i], call->arg[i], who);
        whole &= arg[i].type == OZ_LONG;
        if (is_unknown(arg[i])) return arg[i];
    }
    struct oz_typed v = unknown();
    for (uint32_t i = 0; i < call->n_args; i++) {
        if (!whole)
            arg[i] = typed(OZ_DOUBLE, oz_expr_graph_to_double(&check->checker->graph, arg[i].node));
        v = i ? make_numeric(check, op, v, arg[i]) : arg[0];
    }
    return v;
}

static struct oz_typed call_min(struct oz_expr_check *check, const struct oz_ast_call *call,
                                struct oz_typed *arg)
{
    return extreme(check, call, arg, OZ_EXPR_MIN, "min");
}

static struct oz_typed call_max(struct oz_expr_check *check, const struct oz_ast_call *call,
                                struct oz_typed *arg)
{
    return extreme(check, call, arg, OZ_EXPR_MAX, "max");
}

static const struct function {
    const char *name;
    uint32_t min_args, max_args;
    const char *form;
    struct oz_typed (*check)(struct oz_expr_check *check, const struct oz_ast_call *call,
                             struct oz_typed *arg);
} functions[] = {
    {"if", 3, 3, "if(condition, then, else)", call_if},
    {"coalesce", 2, OZ_EXPR_ARGS_MAX, "coalesce(x, y, ...)", call_coalesce},
    {"is_null", 1, 1, "is_null(x)", call_is_null},
    {"hour", 1, 2, "hour(time)", call_hour},
    {"weekday", 1, 2, "weekday(time)", call_weekday},
    {"abs", 1, 1, "abs(x)", call_abs},
    {"min", 2, OZ_EXPR_ARGS_MAX, "min(x, y, ...)", call_min},
    {"max", 2, OZ_EXPR_ARGS_MAX, "max(x, y, ...)", call_max},
    {"log1p", 1, 1, "log1p(x)", call_log1p},
};

static struct oz_typed call_function(struct oz_expr_check *check, const struct oz_ast_call *call,
                                     const struct function *function)
{
    if (call->has_clause)
        return oz_expr_unknown(
            check, call->clause_offset,
            "`%s` is no aggregate here: `by`, `over`, `last`, `delay`, `where` and "
            "`excluding` belong to aggregates",
            function->name);
    if (call->n_args < function->min_args || call->n_args > function->max_args)
        return oz_expr_unknown(check, call->name.offset,
                               "`%s` is written %s, here it has %u argument%s", function->name,
                               function->form, call->n_args, call->n_args == 1 ? "" : "s");
    struct oz_typed arg[OZ_EXPR_ARGS_MAX];
    for (uint32_t i = 0; i < call->n_args; i++) arg[i] = oz_expr_check_tree(check, call->arg[i]);
    return function->check(check, call, arg);
}

static struct oz_typed unknown_function(struct oz_expr_check *check, const struct oz_ast_word *name)
{
    const char *names[OZ_COUNT_OF(functions) + OZ_AGG_COUNT_OF];
    size_t n = 0;
    for (; n < OZ_COUNT_OF(functions); n++) names[n] = functions[n].name;
    for (int a = 0; a < OZ_AGG_COUNT_OF; a++) names[n++] = oz_expr_agg_name(a);
    return oz_expr_unknown(check, name->offset, "there is no function `%.*s`%s", OZ_WORD_ARGS(name),
                           oz_expr_hint(name, names, n).text);
}

static struct oz_typed check_call(struct oz_expr_check *check, const struct oz_ast *ast)
{
    const struct oz_ast_call *call = ast->call;
    enum oz_agg agg;
    bool aggregate = oz_expr_agg_of(&call->name, &agg);
    bool both = aggregate && (agg == OZ_AGG_MIN || agg == OZ_AGG_MAX);
    if (aggregate && !(both && call->n_args > 1)) return oz_expr_check_aggregate(check, ast);
    for (size_t i = 0; i < OZ_COUNT_OF(functions); i++)
        if (oz_word_is(&call->name, functions[i].name))
            return call_function(check, call, &functions[i]);
    if (oz_expr_agg_promised(&call->name))
        return oz_expr_unknown(check, call->name.offset, "`%.*s` is not served yet",
                               OZ_WORD_ARGS(&call->name));
    return unknown_function(check, &call->name);
}

/* Features are computed once: a feature uses the node of another, a rule what came out of it. */
struct oz_typed oz_expr_feature_value(struct oz_expr_check *check, uint32_t f)
{
    struct oz_expr_graph *graph = &check->checker->graph;
    struct oz_typed v = check->checker->feature[f];
    if (check->kind == OZ_TEXT_FEATURE || is_unknown(v)) return v;
    uint32_t node = oz_expr_graph_add(
        graph, &(struct oz_expr_node){.op = OZ_EXPR_FEATURE, .type = OZ_DOUBLE, .index = f});
    if (!node || v.type != OZ_BOOLEAN) return typed(OZ_DOUBLE, node);
    v = typed(OZ_BOOLEAN, oz_expr_graph_op(graph, OZ_EXPR_TO_BOOLEAN, OZ_BOOLEAN, node, 0, 0));
    v.number = node;
    return v;
}

static struct oz_typed check_literal(struct oz_expr_check *check, const struct oz_ast *ast)
{
    struct oz_expr_graph *graph = &check->checker->graph;
    switch (ast->kind) {
    case OZ_AST_LONG: return typed(OZ_LONG, oz_expr_graph_long(graph, ast->i64));
    case OZ_AST_DOUBLE: return typed(OZ_DOUBLE, oz_expr_graph_double(graph, ast->f64));
    case OZ_AST_BOOLEAN: return typed(OZ_BOOLEAN, oz_expr_graph_boolean(graph, (uint8_t)ast->i64));
    case OZ_AST_TEXT: return typed(OZ_STRING, oz_expr_graph_text_literal(graph, ast->text));
    default: return (struct oz_typed){.type = OZ_TYPED_NULL};
    }
}

struct oz_typed oz_expr_check_tree(struct oz_expr_check *check, const struct oz_ast *ast)
{
    if (ast->kind == OZ_AST_NAME) return oz_expr_check_name(check, ast);
    if (ast->kind == OZ_AST_CALL) return check_call(check, ast);
    if (ast->kind != OZ_AST_OPERATOR) return check_literal(check, ast);
    if (ast->op == OZ_AST_NEG) return negate(check, ast);
    if (ast->op >= OZ_AST_AND) return logic(check, ast);
    return ast->op >= OZ_AST_EQ ? compare(check, ast) : arithmetic(check, ast);
}
