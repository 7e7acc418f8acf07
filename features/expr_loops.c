/* The loops of the programs: one per operation and class of operand, over the rows of a chunk. They
 * are written without branches on the data where that lets the compiler vectorise them; this file
 * is compiled with -O3 for it. Nulls of doubles need no code in arithmetic (NaN stays NaN), those
 * of longs and booleans do. */
#include "features/expr_program.h"
#include <math.h>
#include <string.h>
#include "base/hash.h"
#include "base/instant.h"

typedef struct oz_str str;

#define NULL_LONG   OZ_NULL_LONG
#define NULL_DOUBLE ((double)NAN)

/* Declares n, a, b, r for a loop from one or two columns to one. */
#define ONE(A, R)                                                                                  \
    const size_t n = frame->n;                                                                     \
    const A *restrict a = frame->at[op->operand[0]];                                               \
    R *restrict r = frame->at[op->number]
#define TWO(A, R)                                                                                  \
    ONE(A, R);                                                                                     \
    const A *restrict b = frame->at[op->operand[1]]
#define LOOP(name) static void name(const struct oz_expr_frame *frame, const struct oz_expr_op *op)
#define EACH       for (size_t i = 0; i < n; i++)

/* Fields, and what comes from outside. */

LOOP(load_i64) { frame->at[op->number] = frame->inputs->table->column[op->index].i64 + frame->row; }
LOOP(load_boolean)
{
    frame->at[op->number] = frame->inputs->table->column[op->index].boolean + frame->row;
}
LOOP(load_str) { frame->at[op->number] = frame->inputs->table->column[op->index].str + frame->row; }

/* Used in place, unless a value is out of range: then cleaned in an array of our own. */
static void load_doubles(const struct oz_expr_frame *frame, const struct oz_expr_op *op,
                         const double *column)
{
    const size_t n = frame->n;
    const double *restrict a = column + frame->row;
    uint64_t n_bad = 0;
    EACH n_bad += fabs(a[i]) >= OZ_EXPR_RANGE;
    frame->at[op->number] = (void *)a;
    if (OZ_LIKELY(!n_bad)) return;
    double *restrict r = (double *)(frame->slots + op->slot * frame->slot_bytes);
    EACH r[i] = fabs(a[i]) >= OZ_EXPR_RANGE ? NULL_DOUBLE : a[i];
    frame->nulled[OZ_NULLED_RANGE] += n_bad;
    frame->at[op->number] = r;
}
LOOP(load_f64) { load_doubles(frame, op, frame->inputs->table->column[op->index].f64); }
LOOP(load_aggregate) { load_doubles(frame, op, frame->inputs->aggregate[op->index]); }
LOOP(load_feature) { load_doubles(frame, op, frame->inputs->feature[op->index]); }
LOOP(load_score) { load_doubles(frame, op, frame->inputs->score[op->index]); }

LOOP(i64_to_double)
{
    ONE(int64_t, double);
    EACH r[i] = a[i] == NULL_LONG ? NULL_DOUBLE : (double)a[i];
}
LOOP(boolean_to_double)
{
    static const double number[] = {0, 1, NULL_DOUBLE};
    ONE(uint8_t, double);
    EACH r[i] = number[a[i]];
}
LOOP(double_to_boolean)
{
    ONE(double, uint8_t);
    EACH r[i] = (uint8_t)((a[i] != 0) & (a[i] == a[i])) | (uint8_t)((a[i] != a[i]) << 1);
}

/* Arithmetic of doubles: the operands are in range, so a result that is NaN had one that was null.
 */

#define ARITHMETIC_F64(name, x)                                                                    \
    LOOP(name)                                                                                     \
    {                                                                                              \
        TWO(double, double);                                                                       \
        uint64_t n_bad = 0;                                                                        \
        EACH                                                                                       \
        {                                                                                          \
            double v = x;                                                                          \
            n_bad += fabs(v) >= OZ_EXPR_RANGE;                                                     \
            r[i] = fabs(v) >= OZ_EXPR_RANGE ? NULL_DOUBLE : v;                                     \
        }                                                                                          \
        frame->nulled[OZ_NULLED_RANGE] += n_bad;                                                   \
    }
ARITHMETIC_F64(add_f64, a[i] + b[i])
ARITHMETIC_F64(sub_f64, a[i] - b[i])
ARITHMETIC_F64(mul_f64, a[i] * b[i])

LOOP(div_f64)
{
    TWO(double, double);
    uint64_t n_zero = 0, n_bad = 0;
    EACH
    {
        double v = a[i] / b[i];
        n_zero += (b[i] == 0) & (a[i] == a[i]);
        n_bad += (fabs(v) >= OZ_EXPR_RANGE) & (b[i] != 0);
        r[i] = ((fabs(v) >= OZ_EXPR_RANGE) | (b[i] == 0)) ? NULL_DOUBLE : v;
    }
    frame->nulled[OZ_NULLED_DIVISION] += n_zero;
    frame->nulled[OZ_NULLED_RANGE] += n_bad;
}
LOOP(mod_f64)
{
    TWO(double, double);
    uint64_t n_zero = 0;
    EACH
    {
        n_zero += (b[i] == 0) & (a[i] == a[i]);
        r[i] = b[i] == 0 ? NULL_DOUBLE : fmod(a[i], b[i]);
    }
    frame->nulled[OZ_NULLED_DIVISION] += n_zero;
}
LOOP(min_f64)
{
    TWO(double, double);
    EACH
    {
        double nan_of_a = a[i] != a[i] ? a[i] : b[i];
        r[i] = ((b[i] < a[i]) | (b[i] != b[i])) ? nan_of_a : a[i];
    }
}
LOOP(max_f64)
{
    TWO(double, double);
    EACH
    {
        double nan_of_a = a[i] != a[i] ? a[i] : b[i];
        r[i] = ((b[i] > a[i]) | (b[i] != b[i])) ? nan_of_a : a[i];
    }
}
LOOP(neg_f64)
{
    ONE(double, double);
    EACH r[i] = -a[i];
}
LOOP(abs_f64)
{
    ONE(double, double);
    EACH r[i] = fabs(a[i]);
}
LOOP(log1p_f64)
{
    ONE(double, double);
    uint64_t n_bad = 0;
    EACH
    {
        double v = a[i] > -1 ? log1p(a[i]) : NULL_DOUBLE;
        n_bad += a[i] <= -1;
        r[i] = v;
    }
    frame->nulled[OZ_NULLED_RANGE] += n_bad;
}

/* Arithmetic of longs: computed modulo 2^64 and put right. The null pattern itself is no result: it
 * counts as an overflow. */

#define ADDITION_I64(name, sign, overflow)                                                         \
    LOOP(name)                                                                                     \
    {                                                                                              \
        TWO(int64_t, int64_t);                                                                     \
        uint64_t n_bad = 0;                                                                        \
        EACH                                                                                       \
        {                                                                                          \
            int64_t x = a[i], y = b[i], v = (int64_t)((uint64_t)x sign(uint64_t) y);               \
            bool null = (x == NULL_LONG) | (y == NULL_LONG);                                       \
            bool bad = (((overflow) < 0) | (v == NULL_LONG)) & !null;                              \
            n_bad += bad;                                                                          \
            r[i] = (null | bad) ? NULL_LONG : v;                                                   \
        }                                                                                          \
        frame->nulled[OZ_NULLED_OVERFLOW] += n_bad;                                                \
    }
ADDITION_I64(add_i64, +, (x ^ v) & (y ^ v))
ADDITION_I64(sub_i64, -, (x ^ y) & (x ^ v))

LOOP(mul_i64)
{
    TWO(int64_t, int64_t);
    uint64_t n_bad = 0;
    EACH
    {
        int64_t v;
        bool null = (a[i] == NULL_LONG) | (b[i] == NULL_LONG);
        bool bad = (__builtin_mul_overflow(a[i], b[i], &v) | (v == NULL_LONG)) & !null;
        n_bad += bad;
        r[i] = (null | bad) ? NULL_LONG : v;
    }
    frame->nulled[OZ_NULLED_OVERFLOW] += n_bad;
}
LOOP(mod_i64)
{
    TWO(int64_t, int64_t);
    uint64_t n_zero = 0;
    EACH
    {
        bool null = (a[i] == NULL_LONG) | (b[i] == NULL_LONG);
        bool zero = (b[i] == 0) & !null;
        n_zero += zero;
        /* INT64_MIN % -1 would trap, but INT64_MIN is null. */
        r[i] = (null | zero) ? NULL_LONG : a[i] % b[i];
    }
    frame->nulled[OZ_NULLED_DIVISION] += n_zero;
}
LOOP(min_i64) /* the null is the least long */
{
    TWO(int64_t, int64_t);
    EACH r[i] = OZ_MIN(a[i], b[i]);
}
LOOP(max_i64)
{
    TWO(int64_t, int64_t);
    EACH
    {
        bool null = (a[i] == NULL_LONG) | (b[i] == NULL_LONG);
        r[i] = null ? NULL_LONG : OZ_MAX(a[i], b[i]);
    }
}
LOOP(neg_i64) /* the null is its own negative, modulo 2^64 */
{
    ONE(int64_t, int64_t);
    EACH r[i] = (int64_t)(0 - (uint64_t)a[i]);
}
LOOP(abs_i64)
{
    ONE(int64_t, int64_t);
    EACH r[i] = a[i] < 0 ? (int64_t)(0 - (uint64_t)a[i]) : a[i];
}
LOOP(hour_i64)
{
    ONE(int64_t, int64_t);
    EACH r[i] = a[i] == NULL_LONG ? NULL_LONG : oz_hour_of(a[i]);
}
LOOP(weekday_i64)
{
    ONE(int64_t, int64_t);
    EACH r[i] = a[i] == NULL_LONG ? NULL_LONG : oz_weekday_of(a[i]);
}

/* Comparisons give 0, 1 or 2; `holds` is false for a null. */

#define COMPARE(name, A, is_null, holds)                                                           \
    LOOP(name)                                                                                     \
    {                                                                                              \
        TWO(A, uint8_t);                                                                           \
        EACH                                                                                       \
        {                                                                                          \
            const A x = a[i], y = b[i];                                                            \
            uint8_t null = is_null;                                                                \
            r[i] = (uint8_t)((uint8_t)(holds) | (uint8_t)(null << 1));                             \
        }                                                                                          \
    }
#define NULL_F64     ((x != x) | (y != y))
#define NULL_I64     ((x == NULL_LONG) | (y == NULL_LONG))
#define NULL_BOOLEAN (((x | y) >> 1) & 1)
#define NULL_STR     ((!x.data) | (!y.data))
COMPARE(eq_f64, double, NULL_F64, x == y)
COMPARE(ne_f64, double, NULL_F64, (x < y) | (x > y))
COMPARE(lt_f64, double, NULL_F64, x < y)
COMPARE(le_f64, double, NULL_F64, x <= y)
COMPARE(eq_i64, int64_t, NULL_I64, (x == y) & !null)
COMPARE(ne_i64, int64_t, NULL_I64, (x != y) & !null)
COMPARE(lt_i64, int64_t, NULL_I64, (x < y) & !null)
COMPARE(le_i64, int64_t, NULL_I64, (x <= y) & !null)
COMPARE(eq_boolean, uint8_t, NULL_BOOLEAN, (x == y) & !null)
COMPARE(ne_boolean, uint8_t, NULL_BOOLEAN, (x != y) & !null)
COMPARE(eq_str, str, NULL_STR, !null && x.len == y.len && !memcmp(x.data, y.data, x.len))
COMPARE(ne_str, str, NULL_STR, !null && (x.len != y.len || memcmp(x.data, y.data, x.len)))

/* Three-valued logic on false 0, true 1, null 2. */

LOOP(and_boolean) /* false when one is, else null when one is */
{
    TWO(uint8_t, uint8_t);
    EACH r[i] = (uint8_t)((1 + ((a[i] | b[i]) >> 1)) * ((a[i] != 0) & (b[i] != 0)));
}
LOOP(or_boolean) /* true when one is, else null when one is */
{
    TWO(uint8_t, uint8_t);
    EACH r[i] = ((a[i] == 1) | (b[i] == 1)) ? 1 : (uint8_t)(a[i] | b[i]);
}
LOOP(not_boolean)
{
    ONE(uint8_t, uint8_t);
    EACH r[i] = a[i] == OZ_NULL_BOOLEAN ? OZ_NULL_BOOLEAN : (uint8_t)(a[i] ^ 1);
}

/* What exists for every class. */

#define EVERY(suffix, A, x_is_null)                                                                \
    LOOP(is_null_##suffix)                                                                         \
    {                                                                                              \
        ONE(A, uint8_t);                                                                           \
        EACH                                                                                       \
        {                                                                                          \
            const A x = a[i];                                                                      \
            r[i] = x_is_null;                                                                      \
        }                                                                                          \
    }                                                                                              \
    LOOP(coalesce_##suffix)                                                                        \
    {                                                                                              \
        TWO(A, A);                                                                                 \
        EACH                                                                                       \
        {                                                                                          \
            const A x = a[i], y = b[i];                                                            \
            r[i] = x_is_null ? y : x;                                                              \
        }                                                                                          \
    }                                                                                              \
    LOOP(if_##suffix)                                                                              \
    {                                                                                              \
        const size_t n = frame->n;                                                                 \
        const uint8_t *restrict c = frame->at[op->operand[0]];                                     \
        const A *restrict a = frame->at[op->operand[1]];                                           \
        const A *restrict b = frame->at[op->operand[2]];                                           \
        A *restrict r = frame->at[op->number];                                                     \
        EACH                                                                                       \
        {                                                                                          \
            const A x = a[i], y = b[i];                                                            \
            r[i] = c[i] == OZ_TRUE ? x : y;                                                        \
        }                                                                                          \
    }
EVERY(i64, int64_t, x == NULL_LONG)
EVERY(f64, double, x != x)
EVERY(boolean, uint8_t, x == OZ_NULL_BOOLEAN)
EVERY(str, str, !x.data)

/* Outputs. A null double leaves as one pattern, so that equal rows are equal bytes. */

#define OUT(name, A, R, y)                                                                         \
    LOOP(name)                                                                                     \
    {                                                                                              \
        const size_t n = frame->n;                                                                 \
        const A *restrict a = frame->at[op->operand[0]];                                           \
        R *restrict r = (R *)frame->output[op->index] + frame->row;                                \
        EACH                                                                                       \
        {                                                                                          \
            const A x = a[i];                                                                      \
            r[i] = y;                                                                              \
        }                                                                                          \
    }

static uint64_t double_key(double x)
{
    uint64_t bits;
    x = x == 0 ? 0 : x; /* -0 is 0 */
    memcpy(&bits, &x, sizeof(bits));
    return x != x ? OZ_NULL_KEY : bits;
}

static uint64_t text_key(str x)
{
    if (!x.data) return OZ_NULL_KEY;
    uint64_t key = oz_hash64(x.data, x.len);
    return key - (key == OZ_NULL_KEY);
}

/* The caller reads them as bits. */
typedef double __attribute__((may_alias)) double_bits;
static const double flag[] = {0, 1, NULL_DOUBLE};
static const double mark[] = {NULL_DOUBLE, 1, NULL_DOUBLE};
OUT(out_number, double, double_bits, x != x ? NULL_DOUBLE : x)
OUT(out_flag, uint8_t, double_bits, flag[x])
OUT(out_mark, uint8_t, double_bits, mark[x])
OUT(out_rule, uint8_t, uint8_t, x == OZ_TRUE)
/* One to one, and the null long becomes the null key. */
OUT(key_i64, int64_t, uint64_t, (uint64_t)x ^ INT64_MAX)
OUT(key_f64, double, uint64_t, double_key(x))
OUT(key_boolean, uint8_t, uint64_t, x == OZ_NULL_BOOLEAN ? OZ_NULL_KEY : x)
OUT(key_str, str, uint64_t, text_key(x))

oz_expr_loop *oz_expr_loop_of(uint8_t op, uint8_t class)
{
#define ALL(name)                                                                                  \
    {                                                                                              \
        [OZ_CLASS_I64] = name##_i64, [OZ_CLASS_F64] = name##_f64,                                  \
        [OZ_CLASS_BOOLEAN] = name##_boolean, [OZ_CLASS_STR] = name##_str                           \
    }
#define NUMBERS(name)                                                                              \
    {                                                                                              \
        [OZ_CLASS_I64] = name##_i64, [OZ_CLASS_F64] = name##_f64                                   \
    }
    static oz_expr_loop *const loops[OZ_EXPR_OP_COUNT][OZ_CLASS_COUNT] = {
        [OZ_EXPR_FIELD] = ALL(load),
        [OZ_EXPR_AGGREGATE] = {[OZ_CLASS_F64] = load_aggregate},
        [OZ_EXPR_FEATURE] = {[OZ_CLASS_F64] = load_feature},
        [OZ_EXPR_SCORE] = {[OZ_CLASS_F64] = load_score},
        [OZ_EXPR_TO_DOUBLE] =
            {[OZ_CLASS_I64] = i64_to_double, [OZ_CLASS_BOOLEAN] = boolean_to_double},
        [OZ_EXPR_TO_BOOLEAN] = {[OZ_CLASS_F64] = double_to_boolean},
        [OZ_EXPR_NEG] = NUMBERS(neg),
        [OZ_EXPR_NOT] = {[OZ_CLASS_BOOLEAN] = not_boolean},
        [OZ_EXPR_IS_NULL] = ALL(is_null),
        [OZ_EXPR_ABS] = NUMBERS(abs),
        [OZ_EXPR_LOG1P] = {[OZ_CLASS_F64] = log1p_f64},
        [OZ_EXPR_HOUR] = {[OZ_CLASS_I64] = hour_i64},
        [OZ_EXPR_WEEKDAY] = {[OZ_CLASS_I64] = weekday_i64},
        [OZ_EXPR_ADD] = NUMBERS(add),
        [OZ_EXPR_SUB] = NUMBERS(sub),
        [OZ_EXPR_MUL] = NUMBERS(mul),
        [OZ_EXPR_DIV] = {[OZ_CLASS_F64] = div_f64},
        [OZ_EXPR_MOD] = NUMBERS(mod),
        [OZ_EXPR_MIN] = NUMBERS(min),
        [OZ_EXPR_MAX] = NUMBERS(max),
        [OZ_EXPR_EQ] = ALL(eq),
        [OZ_EXPR_NE] = ALL(ne),
        [OZ_EXPR_LT] = NUMBERS(lt),
        [OZ_EXPR_LE] = NUMBERS(le),
        [OZ_EXPR_AND] = {[OZ_CLASS_BOOLEAN] = and_boolean},
        [OZ_EXPR_OR] = {[OZ_CLASS_BOOLEAN] = or_boolean},
        [OZ_EXPR_COALESCE] = ALL(coalesce),
        [OZ_EXPR_IF] = ALL(if),
        [OZ_EXPR_OUT_NUMBER] = {[OZ_CLASS_F64] = out_number},
        [OZ_EXPR_OUT_FLAG] = {[OZ_CLASS_BOOLEAN] = out_flag},
        [OZ_EXPR_OUT_MARK] = {[OZ_CLASS_BOOLEAN] = out_mark},
        [OZ_EXPR_OUT_KEY] = ALL(key),
        [OZ_EXPR_OUT_RULE] = {[OZ_CLASS_BOOLEAN] = out_rule},
    };
    return loops[op][class];
}
