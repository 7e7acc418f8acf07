/* What the tests of expressions share: two sources with every type of field, and a compilation that
 * keeps the mistakes. Include it behind cmocka.h. */
#ifndef OZ_TESTS_UNIT_FEATURES_EXPR_FIXTURE_H
#define OZ_TESTS_UNIT_FEATURES_EXPR_FIXTURE_H
#include <stdio.h>
#include <string.h>
#include "base/instant.h"
#include "features/feature_set.h"

static const struct oz_field fixture_payment_fields[] = {
    {.name = "tx_id", .type = OZ_LONG},      {.name = "at", .type = OZ_TIMESTAMP},
    {.name = "customer", .type = OZ_STRING}, {.name = "terminal", .type = OZ_STRING},
    {.name = "amount", .type = OZ_DOUBLE},   {.name = "fee", .type = OZ_DOUBLE},
    {.name = "items", .type = OZ_LONG},      {.name = "online", .type = OZ_BOOLEAN},
    {.name = "seen", .type = OZ_TIMESTAMP},  {.name = "risk", .type = OZ_DOUBLE},
};
static const struct oz_field fixture_label_fields[] = {
    {.name = "tx_id", .type = OZ_LONG},      {.name = "at", .type = OZ_TIMESTAMP},
    {.name = "terminal", .type = OZ_STRING}, {.name = "fraud", .type = OZ_BOOLEAN},
    {.name = "loss", .type = OZ_DOUBLE},     {.name = "clerk", .type = OZ_STRING},
};
static const struct oz_schema fixture_payments = {.name = "payments",
                                                  .field = fixture_payment_fields,
                                                  .n_fields = OZ_COUNT_OF(fixture_payment_fields),
                                                  .id = 0,
                                                  .key = 2,
                                                  .time = 1,
                                                  .arrival = -1,
                                                  .scored = true,
                                                  .lateness_us = 10 * OZ_US_PER_MINUTE};
static const struct oz_schema fixture_labels = {.name = "labels",
                                                .field = fixture_label_fields,
                                                .n_fields = OZ_COUNT_OF(fixture_label_fields),
                                                .id = -1,
                                                .key = 2,
                                                .time = 1,
                                                .arrival = -1,
                                                .lateness_us = 45 * OZ_US_PER_DAY};

enum { FIXTURE_TEXTS = 700, FIXTURE_MISTAKES = 16 };

struct fixture_mistake {
    enum oz_text_kind kind;
    uint32_t number;
    size_t offset;
    char message[512];
};

struct fixture {
    struct oz_arena arena;
    struct oz_feature_set_spec spec;
    const struct oz_schema *schema[2];
    const char *entity_name[2], *entity_field[2], *score_name[2];
    struct oz_named_text feature[FIXTURE_TEXTS], rule[FIXTURE_TEXTS];
    int suppress[FIXTURE_TEXTS];
    struct oz_feature_set *set;
    struct oz_error err;
    struct fixture_mistake mistake[FIXTURE_MISTAKES];
    uint32_t n_mistakes;
};

static inline void fixture_take_mistake(void *ctx, enum oz_text_kind kind, uint32_t number,
                                        size_t offset, const char *message)
{
    struct fixture *f = ctx;
    if (f->n_mistakes < FIXTURE_MISTAKES) {
        struct fixture_mistake *m = &f->mistake[f->n_mistakes];
        m->kind = kind, m->number = number, m->offset = offset;
        snprintf(m->message, sizeof(m->message), "%s", message);
    }
    f->n_mistakes++;
}

/* payments (scored) and labels; customer and terminal; the scores fraud and anomaly. */
static inline void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    oz_arena_init(&f->arena, 1 << 16);
    f->schema[0] = &fixture_payments, f->schema[1] = &fixture_labels;
    f->entity_name[0] = f->entity_field[0] = "customer";
    f->entity_name[1] = f->entity_field[1] = "terminal";
    f->score_name[0] = "fraud", f->score_name[1] = "anomaly";
    f->spec = (struct oz_feature_set_spec){.schema = f->schema,
                                           .n_sources = 2,
                                           .entity_name = f->entity_name,
                                           .entity_field = f->entity_field,
                                           .n_entities = 2,
                                           .feature = f->feature,
                                           .score_name = f->score_name,
                                           .n_scores = 2,
                                           .rule = f->rule,
                                           .rule_suppress_entity = f->suppress,
                                           .max_row_events = 1000,
                                           .mistake = fixture_take_mistake,
                                           .mistake_ctx = f};
    memset(f->suppress, 0xff, sizeof(f->suppress)); /* -1: none */
}

static inline void fixture_clear(struct fixture *f) { oz_arena_clear(&f->arena); }

static inline void fixture_feature(struct fixture *f, const char *name, const char *text)
{
    f->feature[f->spec.n_features++] = (struct oz_named_text){name, text};
}

static inline void fixture_rule(struct fixture *f, const char *name, const char *text)
{
    f->rule[f->spec.n_rules++] = (struct oz_named_text){name, text};
}

static inline enum oz_status fixture_compile(struct fixture *f)
{
    f->n_mistakes = 0;
    return oz_feature_set_compile(&f->spec, &f->arena, &f->set, &f->err);
}
#endif
