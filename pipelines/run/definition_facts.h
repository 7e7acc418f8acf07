/* What must not change under a pipeline's state: its name, its partitions, its sources with their
 * key, time and id, its entities with theirs, and whether events travel to them. From a pipeline
 * file or a meta record (pipelines/run/definition.h has the format), and compared in words.
 * Ownership: texts are in the arena, or the program's. Errors: OZ_CORRUPT, or OZ_MODEL from the
 * JSON reader, for a record that is none; OZ_STATE names the first thing that changed. */
#ifndef OZ_PIPELINES_RUN_DEFINITION_FACTS_H
#define OZ_PIPELINES_RUN_DEFINITION_FACTS_H
#include "models/document.h"
#include "pipelines/run/program.h"

struct oz_json;
struct oz_source_facts {
    const char *name;
    const char *key, *time, *id; /* "customer string"; id: "none" */
    bool scored;
};
struct oz_entity_facts {
    const char *name;
    const char *key[OZ_SOURCES_MAX]; /* of each source that has it: "tx.customer string" */
    uint32_t n_keys;
};
struct oz_facts {
    const char *pipeline;
    uint32_t n_partitions; /* 0: not known, matches any */
    bool travels;          /* `exchange: topic`, and an entity that makes use of it */
    uint32_t n_sources, n_entities;
    struct oz_source_facts source[OZ_SOURCES_MAX];
    struct oz_entity_facts entity[OZ_ENTITIES_MAX];
};

enum oz_status oz_facts_of(const struct oz_program *program, struct oz_arena *arena,
                           struct oz_facts *ret_facts, struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_facts_parse(struct oz_arena *arena, const struct oz_doc_value *root,
                              struct oz_facts *ret_facts, struct oz_error *err) OZ_MUST_USE;
/* Members of the record's object, and of one entity's. */
void oz_facts_write(const struct oz_facts *facts, struct oz_json *json);
void oz_facts_write_entity(const struct oz_entity_facts *entity, struct oz_json *json);
enum oz_status oz_facts_compare(const struct oz_facts *older, const struct oz_facts *newer,
                                struct oz_error *err) OZ_MUST_USE;

/* A text, or the text under a key, as a string of the arena's. */
enum oz_status oz_facts_string(struct oz_arena *arena, const struct oz_doc_value *v,
                               const char **ret_text, struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_facts_text(struct oz_arena *arena, const struct oz_doc_value *object,
                             const char *key, const char **ret_text,
                             struct oz_error *err) OZ_MUST_USE;
#endif
