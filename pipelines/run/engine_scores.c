#include "pipelines/run/engine_inside.h"
#include "pipelines/run/scoring.h"

/* Events with a null key of an entity, and dead ones, have no row there: their aggregates are null.
 * */
static void null_aggregates(struct oz_engine *eng, size_t first, size_t end)
{
    struct oz_batch *bat = &eng->batch;
    uint32_t s = eng->plan->scored_source;
    for (uint32_t e = 0; e < eng->plan->n_entities; e++) {
        const struct oz_entity_plan *ent = &eng->plan->entity[e];
        if (!oz_engine_on_leg(eng, e)) continue;
        for (size_t row = first; row < end; row++) {
            if (OZ_LIKELY(bat->key[e][bat->record_of[s][row]].data != NULL)) continue;
            for (uint32_t a = 0; a < ent->n_aggregates; a++)
                bat->aggregate[ent->first_aggregate + a][row] = OZ_NULL_DOUBLE;
        }
    }
}

static void predict_range(struct oz_engine_worker *w, struct oz_engine *eng, size_t first,
                          size_t end)
{
    struct oz_batch *bat = &eng->batch;
    const struct oz_scoring scoring = {.table = &bat->table[eng->plan->scored_source],
                                       .feature = (const double *const *)bat->feature,
                                       .score = bat->score,
                                       .cap_rows = bat->cap_rows,
                                       .scratch = w->scratch,
                                       .outputs = w->outputs};
    for (uint32_t m = 0; m < eng->prg->n_models; m++) {
        const struct oz_bound_model *b = &eng->prg->model[m];
        union oz_model_column *column =
            oz_arena_get(&w->arena, b->info->n_features * sizeof *column);
        if (!column) {
            w->status = oz_no_memory(&w->err);
            return;
        }
        w->unscored += oz_scoring_run(&scoring, b, column, first, end);
    }
}

void oz_engine_scores(void *ctx, unsigned number)
{
    struct oz_engine *eng = ctx;
    struct oz_engine_worker *w = &eng->worker[number];
    struct oz_batch *bat = &eng->batch;
    const struct oz_table *table = &bat->table[eng->plan->scored_source];
    size_t first, end;
    int64_t at = oz_monotonic_us();
    oz_engine_share(eng, number, table->n_rows, &first, &end);
    if (first == end) return;
    null_aggregates(eng, first, end);
    if (!oz_engine_last_leg(eng)) return;
    oz_feature_set_features(eng->prg->set, table, (const double *const *)bat->aggregate, first,
                            end - first, bat->feature, w->scratch, w->nulled);
    oz_engine_stage_done(w, OZ_STAGE_EXPRESSIONS, &at);
    predict_range(w, eng, first, end);
    oz_engine_stage_done(w, OZ_STAGE_MODELS, &at);
    if (eng->prg->pipeline.n_rules)
        oz_feature_set_rules(eng->prg->set, table, (const double *const *)bat->aggregate,
                             (const double *const *)bat->feature, (const double *const *)bat->score,
                             first, end - first, bat->rule, w->scratch, w->nulled);
    oz_engine_stage_done(w, OZ_STAGE_RULES, &at);
}
