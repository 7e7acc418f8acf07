/* A pipeline made ready to run: the file's values, the features compiled, the models loaded, proved
 * on their golden rows and bound to the features by name, the rows laid out. Nothing outside is
 * opened: it is what `ouzel check` does, and the first thing that `run`, `backfill` and `demo` do.
 *
 * Ownership: all of it lives in the program's own arena, models apart; oz_program_free() ends it.
 * Threads: immutable after it is loaded, but for the layouts that a start learns while no row is
 * read.
 * Errors: mistakes of the file, its expressions and its bindings are collected (OZ_CONFIG, exit 3);
 * a model that is refused is OZ_MODEL (exit 6), a file that is not there OZ_ENVIRONMENT (exit 4).
 * */
#ifndef OZ_PIPELINES_RUN_PROGRAM_H
#define OZ_PIPELINES_RUN_PROGRAM_H
#include "features/feature_set.h"
#include "features/row.h"
#include "models/model.h"
#include "pipelines/config/pipeline.h"
#include "pipelines/run/exchange_record.h"
#include "stream/kafka_client.h"

enum { OZ_MODELS_MAX = 16, OZ_LEGS_MAX = OZ_ENTITIES_MAX + 1 };

struct oz_bound_model {
    const char *name;
    struct oz_model *model;
    const struct oz_model_info *info;
    /* [info->n_features], in the model's order: the number of the feature, or of the scored
     * source's field where the model takes text */
    const uint32_t *input;
    uint32_t first_score, n_scores; /* the program's scores first_score, ... are its */
    const uint32_t *output;         /* [n_scores]: which of the model's own scores */
    char hash[17];                  /* first 16 digits of the file's SHA-256 */
    size_t n_golden_rows;           /* that agreed */
};

struct oz_program {
    struct oz_arena arena;
    struct oz_pipeline pipeline;
    struct oz_feature_set *set;
    const struct oz_plan *plan;
    const struct oz_schema *schema[OZ_SOURCES_MAX];
    struct oz_row_layout *layout[OZ_ENTITIES_MAX];
    struct oz_row_kind kind[OZ_ENTITIES_MAX];
    struct oz_bound_model model[OZ_MODELS_MAX];
    uint32_t n_models, n_scores, n_features;
    const char **score_name; /* [n_scores]: the model's name, or name_0, name_1, ... */
    bool *score_is_float;    /* [n_scores]: printed in the shortest form of that type */
    int *suppress_slot;      /* [n_rules]: in the header of the entity's row, or -1 */
    int *suppress_entity;    /* [n_rules]: entity number, or -1 */
    bool keyed_by_source[OZ_ENTITIES_MAX]; /* rows live with their source partition */
    /* The way of an event (pipelines/run/EXCHANGE.md); 1 leg: all in one process */
    uint32_t n_legs;
    uint32_t leg_of[OZ_ENTITIES_MAX];
    uint32_t entity_of[OZ_LEGS_MAX];             /* the one of each leg but the first */
    uint32_t last_leg[OZ_SOURCES_MAX];           /* how far the source's events go */
    uint32_t rank[OZ_SOURCES_MAX];               /* in the order of ties: unscored ones first */
    struct oz_exchange_shape shape[OZ_LEGS_MAX]; /* of the records to a leg; partitions left out */
    /* A window of it has no end in time, and there is no ttl: its rows never leave. */
    const char *for_ever[OZ_ENTITIES_MAX]; /* the window's text, or NULL */
    char config_hash[17];
    struct oz_definition *definition; /* of its state: pipelines/run/definition.h */
};

enum { OZ_PROGRAM_WITHOUT_MODELS = 1 }; /* a backfill for training has none yet */

enum oz_status oz_program_load(const char *path, const char *const *overrides, size_t n_overrides,
                               unsigned flags, struct oz_program **ret_program,
                               struct oz_mistakes *mistakes, struct oz_error *err) OZ_MUST_USE;
void oz_program_free(struct oz_program *program);
/* Names of our own topics and group, in the program's arena. */
const char *oz_program_group(struct oz_program *program);
const char *oz_program_changelog(struct oz_program *program, uint32_t entity);
/* Of the records to a leg, which is not the first. */
const char *oz_program_exchange(struct oz_program *program, uint32_t leg);
const char *oz_program_ledger(struct oz_program *program);
const char *oz_program_transactional_id(struct oz_program *program);
/* What the clients of this pipeline share: its `kafka:` settings, kept in the program's arena. */
enum oz_status oz_program_client(struct oz_program *program, const char *client_id,
                                 struct oz_kafka_config *ret_config,
                                 struct oz_error *err) OZ_MUST_USE;
#endif
