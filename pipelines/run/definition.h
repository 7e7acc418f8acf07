/* What a pipeline's state is, and how a newer pipeline file meets it: the meta record, which the
 * store and every partition of a changelog carry.
 *
 *   {"v":2, "pipeline", "partitions", "exchange": there when it is `topic`,
 *    "sources":  [{"name", "key", "time", "id", "scored"}, ...]
 *    "entities": [{"name", "keys": [...], "layout",
 *                  "layouts": [{"layout", "from", "rings", "rules"}, ...]}, ...]}
 *
 * Pipeline, partitions, exchange, sources and entities must be the same in the file: the rows are
 * meaningless otherwise (OZ_STATE, with what changed). All else may change. A *layout* is what
 * decides the bytes of an entity's rows: the values that each source's events keep, how far back
 * they reach, and the rules that have a suppression slot. It is known by its text, and its number,
 * which is in each part's header, is the first two bytes of that text's SHA-256: every process
 * comes to the same one. The record holds all layouts that rows may still have, so that any of them
 * can be read (features/row_convert.h). "from" is when a layout took over from another (us, wall
 * time); 0: it is the first.
 *
 * Threads: the main one, while nobody reads rows. Ownership: made and freed with its program, whose
 * kinds and layouts it completes with what it learns. Errors: OZ_STATE; OZ_CORRUPT for a record
 * that is none. */
#ifndef OZ_PIPELINES_RUN_DEFINITION_H
#define OZ_PIPELINES_RUN_DEFINITION_H
#include <stdio.h>

#include "pipelines/run/program.h"

enum { OZ_LAYOUTS_MAX = 256 }; /* of one entity */

/* Numbers the program's layouts. */
enum oz_status oz_definition_new(struct oz_program *program, struct oz_definition **ret_definition,
                                 struct oz_error *err) OZ_MUST_USE;
void oz_definition_free(struct oz_definition *definition);
/* The number of partitions, once it is known: then it must be the same too. */
void oz_definition_set_partitions(struct oz_definition *definition, uint32_t n_partitions);
/* Takes a meta record: refuses it, or learns its layouts. `writes`: the caller goes on with that
 * state, so that its own layouts take over now from those that the record has as present ones. */
enum oz_status oz_definition_learn(struct oz_definition *definition, const char *json, size_t len,
                                   bool writes, struct oz_error *err) OZ_MUST_USE;
/* The meta record of now; valid until the next call. */
enum oz_status oz_definition_meta(struct oz_definition *definition, const char **ret_json,
                                  size_t *ret_len, struct oz_error *err) OZ_MUST_USE;

/* What becomes of the state of `older` under `newer`, one line an aggregate. OZ_STATE: refused. */
enum oz_status oz_definition_compare(const struct oz_program *older, const struct oz_program *newer,
                                     FILE *out, struct oz_error *err) OZ_MUST_USE;
#endif
