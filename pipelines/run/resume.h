/* What a process does for the partitions that the group gave it, before it reads them: it fetches
 * their committed offsets, brings their rows in the store to that epoch (state/replay.h), and finds
 * where a new group begins. The group is polled all the while.
 * Threads: the caller's, while nobody writes the store. Errors: as replay.h and kafka_client.h;
 * OZ_RETRY when *stop was set, or the group has moved on meanwhile: ask the source which. */
#ifndef OZ_PIPELINES_RUN_RESUME_H
#define OZ_PIPELINES_RUN_RESUME_H
#include <stdatomic.h>

#include "pipelines/run/program.h"
#include "state/replay.h"
#include "stream/kafka_source.h"

struct oz_resume_config {
    const struct oz_program *program;
    const char *group;
    const struct oz_kafka_config *client;
    const char *const *source_topic; /* those of the positions: sources, then exchange topics */
    bool exactly_once;
    struct oz_store *store;
    struct oz_changelog *changelog;
    struct oz_source *source;
    const atomic_bool *stop;
};

/* ret_next: the next offset of every source of the source's owned partitions, and where the store
 * stands; nothing for the others. *ret_first: some of the offsets were never committed. */
enum oz_status oz_resume(const struct oz_resume_config *config, struct oz_positions *ret_next,
                         struct oz_replay_result *ret_result, bool *ret_first,
                         struct oz_error *err) OZ_MUST_USE;
#endif
