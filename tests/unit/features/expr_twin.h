/* Random expressions, and their values by the slow way: one row at a time, down the tree, in
 * 128-bit integers where a long could overflow, with the calendar of the C library. Shares no code
 * with the compiler. Include it behind cmocka.h. */
#ifndef OZ_TESTS_UNIT_FEATURES_EXPR_TWIN_H
#define OZ_TESTS_UNIT_FEATURES_EXPR_TWIN_H
#include <math.h>
#include <stdlib.h>
#include <time.h>
#include "base/buf.h"
#include "expr_fixture.h"

enum twin_op {
    TWIN_NULL,
    TWIN_LITERAL,
    TWIN_FIELD,
    TWIN_AGGREGATE,
    TWIN_FEATURE,
    TWIN_SCORE,
    TWIN_NEG,
    TWIN_NOT,
    TWIN_ADD,
    TWIN_SUB,
    TWIN_MUL,
    TWIN_DIV,
    TWIN_MOD,
    TWIN_EQ,
    TWIN_NE,
    TWIN_LT,
    TWIN_LE,
    TWIN_GT,
    TWIN_GE,
    TWIN_AND,
    TWIN_OR,
    TWIN_IF,
    TWIN_COALESCE,
    TWIN_MIN,
    TWIN_MAX,
    TWIN_IS_NULL,
    TWIN_ABS,
    TWIN_LOG1P,
    TWIN_HOUR,
    TWIN_WEEKDAY
};

struct twin_value {
    bool null;
    enum oz_type type;
    int64_t i; /* long, timestamp, boolean */
    double d;
    struct oz_str s;
};

struct twin_node {
    enum twin_op op;
    enum oz_type type;
    struct twin_value literal;
    int index; /* of a field, an aggregate, a feature, a score */
    uint32_t n_kids;
    struct twin_node *kid[4];
};

/* Where a tree may take its leaves from. */
struct twin_scope {
    const struct oz_schema *schema;
    int n_aggregates, n_features, n_scores;
    bool boolean_feature[4];
};

/* What a row is evaluated against. */
struct twin_row {
    const struct oz_table *table;
    size_t row;
    const double *const *aggregate;
    const struct twin_value *feature;
    const double *const *score;
    uint64_t nulled[OZ_NULLED_COUNT];
};

static uint64_t twin_state;
static struct twin_node twin_pool[20000];
static uint32_t twin_n_nodes;

static inline uint32_t twin_below(uint32_t n)
{
    twin_state ^= twin_state << 13, twin_state ^= twin_state >> 7, twin_state ^= twin_state << 17;
    return (uint32_t)((twin_state * 0x9e3779b97f4a7c15u) >> 33) % n;
}

static inline double twin_double(void)
{
    static const double edges[] = {0,         -0.0,     1,       -1,   2,     0.5,     6,
                                   1e-300,    5e-324,   1e300,   1e28, -1e28, 1.98e28, 1.99e28,
                                   0x1p93,    9e15,     -7.25,   1e14, 3,     100,     0x1p94,
                                   -INFINITY, INFINITY, -0x1p94, 1e-20};
    uint32_t r = twin_below(10);
    if (r < 2) return NAN;
    if (r < 5) return edges[twin_below(OZ_COUNT_OF(edges))];
    return (double)((int)twin_below(2000) - 1000) / 8;
}

static inline int64_t twin_long(void)
{
    static const int64_t edges[] = {0,
                                    1,
                                    -1,
                                    2,
                                    INT64_MAX,
                                    INT64_MIN + 1,
                                    3037000499,
                                    3037000500,
                                    -3037000500,
                                    INT64_MAX - 1,
                                    1 << 30,
                                    7,
                                    INT64_C(1) << 53};
    uint32_t r = twin_below(10);
    if (r < 2) return OZ_NULL_LONG;
    if (r < 5) return edges[twin_below(OZ_COUNT_OF(edges))];
    return (int64_t)twin_below(40) - 20;
}

static inline int64_t twin_time(void)
{
    if (twin_below(8) == 0) return OZ_NULL_LONG;
    if (twin_below(8) == 0) return (int64_t)twin_below(3) * OZ_US_PER_HOUR - OZ_US_PER_HOUR;
    int64_t s = (int64_t)twin_below(1u << 31) * 2 - (INT64_C(1) << 31);
    return s * OZ_US_PER_SECOND + (int64_t)twin_below(1000000);
}

static inline struct oz_str twin_text(void)
{
    static const char *const texts[] = {"", "a", "b", "it's", "\"q\"", "caf\xc3\xa9", "aa"};
    if (twin_below(5) == 0) return (struct oz_str){NULL, 0};
    const char *s = texts[twin_below(OZ_COUNT_OF(texts))];
    return (struct oz_str){s, (uint32_t)strlen(s)};
}

static inline void twin_fill(struct oz_table *table)
{
    for (size_t i = 0; i < table->n_rows; i++) {
        for (uint32_t f = 0; f < table->schema->n_fields; f++) {
            struct oz_column *column = &table->column[f];
            switch (column->type) {
            case OZ_LONG: column->i64[i] = twin_long(); break;
            case OZ_TIMESTAMP: column->i64[i] = twin_time(); break;
            case OZ_DOUBLE: column->f64[i] = twin_double(); break;
            case OZ_BOOLEAN: column->boolean[i] = (uint8_t)twin_below(3); break;
            default: column->str[i] = twin_text();
            }
        }
    }
}

static inline struct twin_node *twin_new(enum twin_op op, enum oz_type type)
{
    assert_true(twin_n_nodes < OZ_COUNT_OF(twin_pool));
    struct twin_node *node = &twin_pool[twin_n_nodes++];
    *node = (struct twin_node){.op = op, .type = type};
    return node;
}

static inline void twin_add(struct twin_node *node, struct twin_node *kid)
{
    node->kid[node->n_kids++] = kid;
}

static struct twin_node *twin_tree(const struct twin_scope *scope, enum oz_type type, int depth);

static inline struct twin_node *twin_literal(enum oz_type type)
{
    struct twin_node *node = twin_new(TWIN_LITERAL, type);
    struct twin_value *v = &node->literal;
    v->type = type;
    if (type == OZ_LONG) {
        do v->i = twin_long();
        while (v->i < 0);
    } else if (type == OZ_DOUBLE) {
        do v->d = fabs(twin_double());
        while (!(v->d < 0x1p94));
    } else if (type == OZ_BOOLEAN) {
        v->i = twin_below(2);
    } else {
        do v->s = twin_text();
        while (!v->s.data);
    }
    return node;
}

static inline struct twin_node *twin_leaf(const struct twin_scope *scope, enum oz_type type)
{
    uint32_t r = twin_below(10);
    if (type == OZ_DOUBLE && r < 2 && scope->n_aggregates) {
        struct twin_node *node = twin_new(TWIN_AGGREGATE, type);
        node->index = (int)twin_below((uint32_t)scope->n_aggregates);
        return node;
    }
    if (type == OZ_DOUBLE && r == 2 && scope->n_scores) {
        struct twin_node *node = twin_new(TWIN_SCORE, type);
        node->index = (int)twin_below((uint32_t)scope->n_scores);
        return node;
    }
    if ((type == OZ_DOUBLE || type == OZ_BOOLEAN) && r < 6 && scope->n_features) {
        int f = (int)twin_below((uint32_t)scope->n_features);
        if (type == OZ_DOUBLE || scope->boolean_feature[f]) {
            struct twin_node *node = twin_new(TWIN_FEATURE, type);
            node->index = f;
            return node;
        }
    }
    if (r > 7 && type != OZ_TIMESTAMP) return twin_literal(type);
    struct twin_node *node = twin_new(TWIN_FIELD, type);
    do node->index = (int)twin_below(scope->schema->n_fields);
    while (scope->schema->field[node->index].type != type);
    return node;
}

static inline enum oz_type twin_number_type(void) { return twin_below(2) ? OZ_LONG : OZ_DOUBLE; }

/* A tree for a branch: a boolean feature there could be meant as a boolean, so it is no number. */
static inline struct twin_node *twin_branch(const struct twin_scope *scope, enum oz_type type,
                                            int depth)
{
    for (;;) {
        struct twin_node *node = twin_tree(scope, type, depth);
        bool both = node->op == TWIN_FEATURE && scope->boolean_feature[node->index];
        if (!both || type == OZ_BOOLEAN) return node;
    }
}

/* Kids of which all may be null or long, but one has the type itself. */
static inline struct twin_node *twin_choice(const struct twin_scope *scope, enum oz_type type,
                                            int depth)
{
    struct twin_node *node = twin_new(twin_below(2) ? TWIN_IF : TWIN_COALESCE, type);
    if (node->op == TWIN_IF) twin_add(node, twin_tree(scope, OZ_BOOLEAN, depth - 1));
    uint32_t n = node->op == TWIN_IF ? 2 : 2 + twin_below(3), sure = twin_below(n);
    for (uint32_t i = 0; i < n; i++) {
        if (i != sure && twin_below(6) == 0)
            twin_add(node, twin_new(TWIN_NULL, type));
        else if (i != sure && type == OZ_DOUBLE)
            twin_add(node, twin_branch(scope, twin_number_type(), depth - 1));
        else
            twin_add(node, twin_branch(scope, type, depth - 1));
    }
    return node;
}

static inline struct twin_node *twin_extreme(const struct twin_scope *scope, enum oz_type type,
                                             int depth)
{
    struct twin_node *node = twin_new(twin_below(2) ? TWIN_MIN : TWIN_MAX, type);
    uint32_t n = 2 + twin_below(3), sure = twin_below(n);
    for (uint32_t i = 0; i < n; i++) {
        enum oz_type kid = i == sure || type == OZ_LONG ? type : twin_number_type();
        twin_add(node, twin_tree(scope, kid, depth - 1));
    }
    return node;
}

static inline struct twin_node *twin_arithmetic(const struct twin_scope *scope, enum oz_type type,
                                                int depth)
{
    static const enum twin_op ops[] = {TWIN_ADD, TWIN_SUB, TWIN_MUL, TWIN_MOD, TWIN_DIV};
    struct twin_node *node = twin_new(ops[twin_below(type == OZ_LONG ? 4 : 5)], type);
    enum oz_type a = type, b = type;
    if (type == OZ_DOUBLE && twin_below(2)) *(twin_below(2) ? &a : &b) = OZ_LONG;
    if (node->op == TWIN_DIV) a = twin_number_type(), b = twin_number_type();
    twin_add(node, twin_tree(scope, a, depth - 1));
    twin_add(node, twin_tree(scope, b, depth - 1));
    return node;
}

static inline struct twin_node *twin_number_tree(const struct twin_scope *scope, enum oz_type type,
                                                 int depth)
{
    uint32_t r = twin_below(12);
    struct twin_node *node;
    if (r < 6) return twin_arithmetic(scope, type, depth);
    if (r == 6) return twin_extreme(scope, type, depth);
    if (r == 7 || r == 8) {
        node = twin_new(r == 7 ? TWIN_NEG : TWIN_ABS, type);
        twin_add(node, twin_tree(scope, type, depth - 1));
        return node;
    }
    if (r == 9 && type == OZ_LONG) {
        node = twin_new(twin_below(2) ? TWIN_HOUR : TWIN_WEEKDAY, type);
        twin_add(node, twin_tree(scope, OZ_TIMESTAMP, depth - 1));
        return node;
    }
    if (r == 9) {
        node = twin_new(TWIN_LOG1P, type);
        twin_add(node, twin_tree(scope, twin_number_type(), depth - 1));
        return node;
    }
    return twin_choice(scope, type, depth);
}

static inline struct twin_node *twin_condition(const struct twin_scope *scope, int depth)
{
    uint32_t r = twin_below(12);
    struct twin_node *node;
    if (r < 5) {
        static const enum oz_type types[] = {OZ_LONG, OZ_DOUBLE, OZ_TIMESTAMP, OZ_STRING,
                                             OZ_BOOLEAN};
        enum oz_type type = types[twin_below(5)], other = type;
        bool order = type != OZ_STRING && type != OZ_BOOLEAN;
        if (type == OZ_LONG || type == OZ_DOUBLE) other = twin_number_type();
        node = twin_new(TWIN_EQ + twin_below(order ? 6 : 2), OZ_BOOLEAN);
        twin_add(node, twin_tree(scope, type, depth - 1));
        twin_add(node, twin_tree(scope, other, depth - 1));
        return node;
    }
    if (r < 8) {
        node = twin_new(twin_below(2) ? TWIN_AND : TWIN_OR, OZ_BOOLEAN);
        twin_add(node, twin_tree(scope, OZ_BOOLEAN, depth - 1));
        twin_add(node, twin_tree(scope, OZ_BOOLEAN, depth - 1));
        return node;
    }
    if (r < 10) {
        node = twin_new(TWIN_NOT, OZ_BOOLEAN);
        twin_add(node, twin_tree(scope, OZ_BOOLEAN, depth - 1));
        return node;
    }
    if (r == 10) return twin_choice(scope, OZ_BOOLEAN, depth);
    node = twin_new(TWIN_IS_NULL, OZ_BOOLEAN);
    twin_add(node, twin_tree(scope, (enum oz_type)twin_below(OZ_TYPE_COUNT), depth - 1));
    return node;
}

static struct twin_node *twin_tree(const struct twin_scope *scope, enum oz_type type, int depth)
{
    if (depth <= 0 || twin_below(7) == 0) return twin_leaf(scope, type);
    if (type == OZ_LONG || type == OZ_DOUBLE) return twin_number_tree(scope, type, depth);
    if (type == OZ_BOOLEAN) return twin_condition(scope, depth);
    return twin_below(3) ? twin_leaf(scope, type) : twin_choice(scope, type, depth);
}

/* Text with no more parentheses than precedence asks for, and a few that it does not. */

enum {
    LEVEL_OR = 1,
    LEVEL_AND,
    LEVEL_NOT,
    LEVEL_COMPARE,
    LEVEL_SUM,
    LEVEL_PRODUCT,
    LEVEL_SIGN,
    LEVEL_PRIMARY
};

static const char *const twin_sign[] = {
    [TWIN_ADD] = "+", [TWIN_SUB] = "-",   [TWIN_MUL] = "*", [TWIN_DIV] = "/", [TWIN_MOD] = "%",
    [TWIN_EQ] = "==", [TWIN_NE] = "!=",   [TWIN_LT] = "<",  [TWIN_LE] = "<=", [TWIN_GT] = ">",
    [TWIN_GE] = ">=", [TWIN_AND] = "and", [TWIN_OR] = "or",
};
static const char *const twin_function[] = {
    [TWIN_IF] = "if",       [TWIN_COALESCE] = "coalesce", [TWIN_MIN] = "min",
    [TWIN_MAX] = "max",     [TWIN_IS_NULL] = "is_null",   [TWIN_ABS] = "abs",
    [TWIN_LOG1P] = "log1p", [TWIN_HOUR] = "hour",         [TWIN_WEEKDAY] = "weekday",
};
static const char *const twin_aggregate_text[] = {"count() by customer",
                                                  "mean(amount) by terminal over 1h",
                                                  "distinct(terminal) by customer last 9"};
static const char *const twin_feature_name[] = {"f0", "f1", "f2"};

static inline int twin_level(const struct twin_node *node)
{
    switch (node->op) {
    case TWIN_OR: return LEVEL_OR;
    case TWIN_AND: return LEVEL_AND;
    case TWIN_NOT: return LEVEL_NOT;
    case TWIN_NEG: return LEVEL_SIGN;
    case TWIN_ADD:
    case TWIN_SUB: return LEVEL_SUM;
    case TWIN_MUL:
    case TWIN_DIV:
    case TWIN_MOD: return LEVEL_PRODUCT;
    default: return node->op >= TWIN_EQ && node->op <= TWIN_GE ? LEVEL_COMPARE : LEVEL_PRIMARY;
    }
}

static inline void twin_print_literal(const struct twin_value *v, struct oz_buf *buf)
{
    char text[40];
    switch (v->type) {
    case OZ_LONG: oz_buf_printf(buf, "%lld", (long long)v->i); break;
    case OZ_DOUBLE:
        snprintf(text, sizeof(text), "%.17g", v->d);
        oz_buf_printf(buf, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
        break;
    case OZ_BOOLEAN: oz_buf_puts(buf, v->i ? "true" : "false"); break;
    default: { /* in the kind of quotes that needs more doubling as often as not */
        char quote = twin_below(2) ? '"' : '\'';
        oz_buf_put_u8(buf, (uint8_t)quote);
        for (uint32_t i = 0; i < v->s.len; i++) {
            if (v->s.data[i] == quote) oz_buf_put_u8(buf, (uint8_t)quote);
            oz_buf_put_u8(buf, (uint8_t)v->s.data[i]);
        }
        oz_buf_put_u8(buf, (uint8_t)quote);
    }
    }
}

static inline void twin_print(const struct twin_scope *scope, const struct twin_node *node,
                              int least, struct oz_buf *buf)
{
    int level = twin_level(node);
    bool open = level < least || twin_below(20) == 0;
    if (open) oz_buf_puts(buf, "(");
    switch (node->op) {
    case TWIN_NULL: oz_buf_puts(buf, "null"); break;
    case TWIN_LITERAL: twin_print_literal(&node->literal, buf); break;
    case TWIN_FIELD:
        if (!scope->schema->scored || twin_below(4) == 0)
            oz_buf_printf(buf, "%s.", scope->schema->name);
        oz_buf_puts(buf, scope->schema->field[node->index].name);
        break;
    case TWIN_AGGREGATE: oz_buf_puts(buf, twin_aggregate_text[node->index]); break;
    case TWIN_FEATURE: oz_buf_puts(buf, twin_feature_name[node->index]); break;
    case TWIN_SCORE: oz_buf_puts(buf, node->index ? "anomaly" : "fraud"); break;
    case TWIN_NEG:
    case TWIN_NOT:
        oz_buf_puts(buf, node->op == TWIN_NEG ? "-" : "not ");
        twin_print(scope, node->kid[0], level, buf);
        break;
    default:
        if (level == LEVEL_PRIMARY) {
            oz_buf_printf(buf, "%s(", twin_function[node->op]);
            for (uint32_t i = 0; i < node->n_kids; i++) {
                if (i) oz_buf_puts(buf, ",");
                twin_print(scope, node->kid[i], LEVEL_OR, buf);
            }
            oz_buf_puts(buf, ")");
            break;
        }
        bool chains = level != LEVEL_COMPARE;
        twin_print(scope, node->kid[0], chains ? level : level + 1, buf);
        oz_buf_printf(buf, twin_below(2) || !chains || level < LEVEL_SUM ? " %s " : "%s",
                      twin_sign[node->op]);
        twin_print(scope, node->kid[1], level + 1, buf);
    }
    if (open) oz_buf_puts(buf, ")");
}

/* The slow way. */

static inline struct twin_value twin_number(struct twin_row *row, double v, enum oz_nulled why,
                                            bool null)
{
    struct twin_value r = {.type = OZ_DOUBLE, .d = v, .null = null};
    if (!null && !(v > -0x1p94 && v < 0x1p94)) r.null = true, row->nulled[why]++;
    return r;
}

static inline struct twin_value twin_outside(struct twin_row *row, double v)
{
    return twin_number(row, v, OZ_NULLED_RANGE, isnan(v));
}

static inline double twin_as_double(struct twin_value v)
{
    return v.type == OZ_DOUBLE ? v.d : (double)v.i;
}

static inline struct twin_value twin_field(struct twin_row *row, int field)
{
    const struct oz_column *column = &row->table->column[field];
    struct twin_value v = {.type = column->type};
    switch (column->type) {
    case OZ_DOUBLE: return twin_outside(row, column->f64[row->row]);
    case OZ_BOOLEAN: v.i = column->boolean[row->row], v.null = v.i == OZ_NULL_BOOLEAN; break;
    case OZ_STRING: v.s = column->str[row->row], v.null = !v.s.data; break;
    default: v.i = column->i64[row->row], v.null = v.i == OZ_NULL_LONG;
    }
    return v;
}

static inline struct twin_value twin_arithmetic_of_longs(struct twin_row *row, enum twin_op op,
                                                         struct twin_value a, struct twin_value b)
{
    struct twin_value r = {.type = OZ_LONG, .null = a.null || b.null};
    if (r.null) return r;
    __int128 x = a.i, y = b.i, v = 0;
    if (op == TWIN_MOD && !y) {
        row->nulled[OZ_NULLED_DIVISION]++;
        r.null = true;
        return r;
    }
    if (op == TWIN_ADD) v = x + y;
    if (op == TWIN_SUB) v = x - y;
    if (op == TWIN_MUL) v = x * y;
    if (op == TWIN_MOD) v = x % y;
    r.null = v > INT64_MAX || v < -(__int128)INT64_MAX;
    row->nulled[OZ_NULLED_OVERFLOW] += r.null;
    r.i = r.null ? 0 : (int64_t)v;
    return r;
}

static inline struct twin_value twin_arithmetic_of(struct twin_row *row,
                                                   const struct twin_node *node,
                                                   struct twin_value a, struct twin_value b)
{
    if (node->type == OZ_LONG) return twin_arithmetic_of_longs(row, node->op, a, b);
    bool null = a.null || b.null;
    double x = twin_as_double(a), y = twin_as_double(b), v = 0;
    if ((node->op == TWIN_DIV || node->op == TWIN_MOD) && !null && y == 0)
        return twin_number(row, INFINITY, OZ_NULLED_DIVISION, false);
    if (node->op == TWIN_ADD) v = x + y;
    if (node->op == TWIN_SUB) v = x - y;
    if (node->op == TWIN_MUL) v = x * y;
    if (node->op == TWIN_DIV) v = null ? 0 : x / y;
    if (node->op == TWIN_MOD) v = null ? 0 : fmod(x, y);
    return twin_number(row, v, OZ_NULLED_RANGE, null);
}

static inline int twin_order(struct twin_value a, struct twin_value b)
{
    if (a.type == OZ_STRING) {
        if (a.s.len != b.s.len) return 1;
        return memcmp(a.s.data, b.s.data, a.s.len) != 0;
    }
    if (a.type != OZ_DOUBLE && b.type != OZ_DOUBLE) return (a.i > b.i) - (a.i < b.i);
    double x = twin_as_double(a), y = twin_as_double(b);
    return (x > y) - (x < y);
}

static inline struct twin_value twin_compare(enum twin_op op, struct twin_value a,
                                             struct twin_value b)
{
    struct twin_value r = {.type = OZ_BOOLEAN, .null = a.null || b.null};
    if (r.null) return r;
    int order = twin_order(a, b);
    r.i = op == TWIN_EQ   ? order == 0
          : op == TWIN_NE ? order != 0
          : op == TWIN_LT ? order < 0
          : op == TWIN_LE ? order <= 0
          : op == TWIN_GT ? order > 0
                          : order >= 0;
    return r;
}

static inline struct twin_value twin_logic(enum twin_op op, struct twin_value a,
                                           struct twin_value b)
{
    struct twin_value r = {.type = OZ_BOOLEAN};
    int64_t strong = op == TWIN_OR; /* the operand that decides alone */
    if ((!a.null && a.i == strong) || (!b.null && b.i == strong))
        r.i = strong;
    else if (a.null || b.null)
        r.null = true;
    else
        r.i = !strong;
    return r;
}

static inline struct twin_value twin_calendar(enum twin_op op, struct twin_value v)
{
    struct twin_value r = {.type = OZ_LONG, .null = v.null};
    if (v.null) return r;
    time_t seconds = (time_t)floor((double)v.i / 1e6);
    while ((int64_t)seconds * 1000000 > v.i) seconds--;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    r.i = op == TWIN_HOUR ? tm.tm_hour : tm.tm_wday ? tm.tm_wday : 7;
    return r;
}

static inline struct twin_value twin_converted(struct twin_value v, enum oz_type type)
{
    if (type != OZ_DOUBLE || v.type == OZ_DOUBLE) return v;
    return (struct twin_value){.type = OZ_DOUBLE, .null = v.null, .d = (double)v.i};
}

static inline struct twin_value twin_call(struct twin_row *row, const struct twin_node *node,
                                          const struct twin_value *v)
{
    struct twin_value r = {.type = node->type, .null = true};
    switch (node->op) {
    case TWIN_IF: return twin_converted(!v[0].null && v[0].i ? v[1] : v[2], node->type);
    case TWIN_COALESCE:
        for (uint32_t i = 0; i < node->n_kids && r.null; i++) r = twin_converted(v[i], node->type);
        return r;
    case TWIN_MIN:
    case TWIN_MAX:
        for (uint32_t i = 0; i < node->n_kids; i++) {
            struct twin_value x = twin_converted(v[i], node->type);
            if (x.null) return x;
            int order = i ? twin_order(x, r) : 0;
            if (!i || (node->op == TWIN_MIN ? order < 0 : order > 0)) r = x;
        }
        return r;
    case TWIN_IS_NULL: r.null = false, r.i = v[0].null; return r;
    case TWIN_ABS:
        r = v[0];
        r.i = llabs(r.null ? 0 : r.i), r.d = fabs(r.d);
        return r;
    case TWIN_LOG1P:
        if (v[0].null) return r;
        return twin_number(row, twin_as_double(v[0]) > -1 ? log1p(twin_as_double(v[0])) : INFINITY,
                           OZ_NULLED_RANGE, false);
    default: return twin_calendar(node->op, v[0]);
    }
}

static inline struct twin_value twin_eval(struct twin_row *row, const struct twin_node *node)
{
    struct twin_value v[4];
    for (uint32_t i = 0; i < node->n_kids; i++) v[i] = twin_eval(row, node->kid[i]);
    switch (node->op) {
    case TWIN_NULL: return (struct twin_value){.type = node->type, .null = true};
    case TWIN_LITERAL: return node->literal;
    case TWIN_FIELD: return twin_field(row, node->index);
    case TWIN_AGGREGATE: return twin_outside(row, row->aggregate[node->index][row->row]);
    case TWIN_SCORE: return twin_outside(row, row->score[node->index][row->row]);
    case TWIN_FEATURE: return twin_converted(row->feature[node->index], node->type);
    case TWIN_NEG: v[0].i = v[0].null ? 0 : -v[0].i, v[0].d = -v[0].d; return v[0];
    case TWIN_NOT: v[0].i = !v[0].i; return v[0];
    case TWIN_ADD:
    case TWIN_SUB:
    case TWIN_MUL:
    case TWIN_DIV:
    case TWIN_MOD: return twin_arithmetic_of(row, node, v[0], v[1]);
    case TWIN_AND:
    case TWIN_OR: return twin_logic(node->op, v[0], v[1]);
    default:
        if (node->op >= TWIN_EQ && node->op <= TWIN_GE) return twin_compare(node->op, v[0], v[1]);
        return twin_call(row, node, v);
    }
}
#endif
