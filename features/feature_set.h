/* The features and rules of a pipeline, compiled: expressions over columns, and the plan of what
 * they need from each entity's past.
 *
 * A batch passes through in four steps, each over a range of rows and callable by several threads
 * (each with its own scratch):
 *   1  oz_feature_set_values()    per source: fields -> the values that the rings keep
 *   2  rows (features/row.h)      per entity: values -> aggregates; not done here
 *   3  oz_feature_set_features()  scored source: fields and aggregates -> features
 *   4  oz_feature_set_rules()     scored source: fields, features, scores -> which rules hold
 *
 * Language: arithmetic + - * / %, comparison == != < <= > >=, and or not, true false null, numbers,
 * 'text' or "text", the functions if coalesce is_null hour weekday abs min max log1p, fields (a
 * bare name is the scored source's, source.field another's inside an aggregate), and aggregates
 *   agg(args) [by entity] [over duration | last n] [delay duration] [where condition]
 *             [excluding current]
 * A clause belongs to the aggregate before it, each at most once, in any order. The condition of
 * `where` is [not] operand [comparison operand]; anything larger stands in parentheses, so that
 * count() where x / count() divides two counts. The whole grammar is in features/expr_parser.h.
 * A feature may use features defined anywhere in the file, without cycles; a name that is a feature
 * and a field means the field inside its own definition and inside aggregates, else the feature.
 * Nulls: arithmetic, comparison and functions of null are null; and/or/not are three-valued; `if`
 * takes the else branch on null; rules and `where` hold only when true. x/0, overflow of a long,
 * NaN, infinities and magnitudes of 2^94 or more become null and are counted.
 * Counted is what is computed: both branches of an `if` are, and equal expressions once.
 * Types are checked at compile time. long with long stays long for + - * % min max abs, / is
 * double; % has the sign of its left side. A feature is a double for those who use it; a boolean
 * one is 0 or 1, or a condition where that is asked for.
 * Errors: compile-time mistakes go to the callback, each with the text it is in and the byte
 * offset. Evaluation cannot fail and allocates nothing. */
#ifndef OZ_FEATURES_FEATURE_SET_H
#define OZ_FEATURES_FEATURE_SET_H
#include "base/arena.h"
#include "features/plan.h"

struct oz_named_text {
    const char *name, *text;
};

enum oz_text_kind { OZ_TEXT_FEATURE, OZ_TEXT_RULE };

struct oz_feature_set_spec {
    const struct oz_schema *const *schema; /* [n_sources] */
    uint32_t n_sources;
    const char *const *entity_name;  /* [n_entities] */
    const char *const *entity_field; /* [n_entities] field name, in every source that has it */
    uint32_t n_entities;
    const struct oz_named_text *feature;
    uint32_t n_features;
    const char *const *score_name; /* names that rules may use for model outputs */
    uint32_t n_scores;
    const struct oz_named_text *rule;
    uint32_t n_rules;
    const int *rule_suppress_entity; /* [n_rules] entity number, or -1 */
    uint64_t max_row_events;
    /* A mistake: which text (by kind and number), byte offset in it, one sentence. */
    void (*mistake)(void *ctx, enum oz_text_kind kind, uint32_t number, size_t offset,
                    const char *message);
    void *mistake_ctx;
};

struct oz_feature_set;

enum oz_nulled { OZ_NULLED_OVERFLOW, OZ_NULLED_DIVISION, OZ_NULLED_RANGE, OZ_NULLED_COUNT };

/* OZ_CONFIG when there was any mistake. Everything lives in the arena. */
enum oz_status oz_feature_set_compile(const struct oz_feature_set_spec *spec,
                                      struct oz_arena *arena, struct oz_feature_set **ret_set,
                                      struct oz_error *err) OZ_MUST_USE;
const struct oz_plan *oz_feature_set_plan(const struct oz_feature_set *set);
uint32_t oz_feature_set_n_features(const struct oz_feature_set *set);
const char *oz_feature_set_name(const struct oz_feature_set *set, uint32_t feature);

/* Bytes of scratch for one thread and ranges of at most n_rows rows, for any of the steps. */
size_t oz_feature_set_scratch_bytes(const struct oz_feature_set *set, size_t n_rows);

/* Step 1. ret_values[e][v] is the array [cap_rows] of value v of entity e's ring of this source;
 * rows [first, first + n_rows) are written. An entity without a ring of this source has a NULL. */
void oz_feature_set_values(const struct oz_feature_set *set, uint32_t source,
                           const struct oz_table *table, size_t first, size_t n_rows,
                           uint64_t *const *const *ret_values, void *scratch,
                           uint64_t nulled[OZ_NULLED_COUNT]);
/* Step 3. aggregate[a] and ret_feature[f] are arrays [cap_rows] of doubles, null is NaN; a boolean
 * feature is 0 or 1. */
void oz_feature_set_features(const struct oz_feature_set *set, const struct oz_table *table,
                             const double *const *aggregate, size_t first, size_t n_rows,
                             double *const *ret_feature, void *scratch,
                             uint64_t nulled[OZ_NULLED_COUNT]);
/* Step 4. score[s] are arrays [cap_rows] of doubles; ret_rule[r][row] becomes 0 or 1. */
void oz_feature_set_rules(const struct oz_feature_set *set, const struct oz_table *table,
                          const double *const *aggregate, const double *const *feature,
                          const double *const *score, size_t first, size_t n_rows,
                          uint8_t *const *ret_rule, void *scratch,
                          uint64_t nulled[OZ_NULLED_COUNT]);
#endif
