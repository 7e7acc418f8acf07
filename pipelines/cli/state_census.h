/* What a state folder holds, counted in one pass over its parts, and told as tables or as JSON:
 * rows, parts and bytes by entity and by partition, the stored positions, the biggest rows. What
 * fails its checksum is named and counted, and the pass goes on.
 * Units: bytes of keys and values, before the store packs them. Threads: one. */
#ifndef OZ_PIPELINES_CLI_STATE_CENSUS_H
#define OZ_PIPELINES_CLI_STATE_CENSUS_H
#include <stdatomic.h>

#include "base/progress.h"
#include "pipelines/run/program.h"
#include "state/store_look.h"

enum { OZ_CENSUS_BIGGEST = 10 };

struct oz_census_count {
    uint64_t rows, parts, bytes, biggest;
};
struct oz_census_row {
    struct oz_buf key;
    uint32_t partition;
    uint8_t entity;
    uint64_t parts, bytes;
};

struct oz_census {
    const struct oz_program *program;
    const char *dir;
    const atomic_bool *stop;
    int only_entity; /* or -1 */
    uint32_t n_entities;
    struct oz_census_count *count; /* [OZ_PARTITIONS_MAX x n_entities] */
    struct oz_census_row biggest[OZ_CENSUS_BIGGEST], row;
    unsigned n_biggest;
    uint64_t n_damaged, n_seen;
    struct oz_positions pos;
    bool has_positions;
    struct oz_progress progress;
};

/* *census is zeroed but for program, dir, stop and only_entity. */
enum oz_status oz_census_take(struct oz_census *census, struct oz_store *store,
                              struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_census_print(const struct oz_census *census, struct oz_error *err) OZ_MUST_USE;
enum oz_status oz_census_print_json(const struct oz_census *census,
                                    struct oz_error *err) OZ_MUST_USE;
void oz_census_clear(struct oz_census *census);
#endif
