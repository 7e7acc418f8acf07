/* state/changelog.h over Kafka: parts go out through the sink, positions and tails come from two
 * clients of their own that are members of no group. */
#include "state/changelog.h"

#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "stream/kafka_handles.h"
#include "stream/sink.h"

enum {
    PRODUCE_PARTS = 512,
    READ_MESSAGES = 1024,
    READ_WAIT_MS = 100,
    TELL_US = 200000, /* between two calls of visitor->waiting */
};

struct kafka_changelog {
    struct oz_changelog base;
    struct oz_sink *sink;
    struct oz_kafka_config config; /* borrowed, as the sink's caller keeps it */
    char *name[OZ_ENTITIES_MAX];
    uint32_t topic[OZ_ENTITIES_MAX]; /* of the sink */
    uint32_t n_entities, n_partitions;
    struct oz_kafka_link link;
    rd_kafka_t *asker; /* reads uncommitted */
    struct oz_message message[PRODUCE_PARTS];
};

/* Producing */

static enum oz_status produce(void *ctx, const struct oz_sealed *sealed, struct oz_error *err)
{
    struct kafka_changelog *changelog = ctx;
    const uint8_t *bytes = sealed->bytes.data;
    size_t n = 0;
    for (size_t i = 0; i < sealed->n_parts; i++) {
        const struct oz_part *part = &sealed->part[i];
        OZ_ASSERT(part->entity < changelog->n_entities &&
                  part->partition < changelog->n_partitions);
        changelog->message[n++] =
            (struct oz_message){.topic = changelog->topic[part->entity],
                                .partition = (int32_t)part->partition,
                                .key = bytes + part->key_at,
                                .key_len = part->key_len,
                                .value = part->deleted ? NULL : bytes + part->value_at,
                                .value_len = part->value_len};
        if (n == PRODUCE_PARTS || i + 1 == sealed->n_parts) {
            OZ_TRY(oz_sink_produce(changelog->sink, changelog->message, n, err));
            n = 0;
        }
    }
    return OZ_OK;
}

/* The key is u16be 0 | u32be 0: no key of a row, part 0. */
static enum oz_status produce_meta(void *ctx, uint32_t entity, uint32_t partition, const char *json,
                                   size_t len, struct oz_error *err)
{
    static const uint8_t key[6] = {0};
    struct kafka_changelog *changelog = ctx;
    OZ_ASSERT(entity < changelog->n_entities && partition < changelog->n_partitions);
    struct oz_message message = {.topic = changelog->topic[entity],
                                 .partition = (int32_t)partition,
                                 .key = key,
                                 .key_len = sizeof key,
                                 .value = json,
                                 .value_len = len};
    return oz_sink_produce(changelog->sink, &message, 1, err);
}

/* Positions */

static enum oz_status positions(struct kafka_changelog *changelog, int64_t at,
                                struct oz_positions *ret_pos, struct oz_error *err)
{
    OZ_ASSERT(ret_pos->n_entities == changelog->n_entities &&
              ret_pos->n_partitions == changelog->n_partitions);
    rd_kafka_topic_partition_list_t *list = oz_kafka_list(
        (const char *const *)changelog->name, changelog->n_entities, changelog->n_partitions, NULL);
    enum oz_status status = oz_kafka_list_offsets(changelog->asker, list, at, err);
    for (int i = 0; status == OZ_OK && i < list->cnt; i++)
        ret_pos->changelog[i] = list->elems[i].offset;
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_poll(changelog->asker, 0);
    return status;
}

static enum oz_status begins(void *ctx, struct oz_positions *ret_pos, struct oz_error *err)
{
    return positions(ctx, OZ_KAFKA_EARLIEST, ret_pos, err);
}

static enum oz_status ends(void *ctx, struct oz_positions *ret_pos, struct oz_error *err)
{
    return positions(ctx, OZ_KAFKA_LATEST, ret_pos, err);
}

/* Reading tails */

struct tail {
    struct kafka_changelog *changelog;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    rd_kafka_topic_t *topic[OZ_ENTITIES_MAX];
    const struct oz_positions *to;
    const struct oz_changelog_visitor *visitor;
    int64_t *next;    /* [n_partitions x n_entities] */
    uint8_t *is_open; /* the same: its fetcher runs */
    size_t n_open;
    rd_kafka_message_t *message[READ_MESSAGES];
};

static uint64_t left(const struct tail *tail)
{
    uint64_t n = 0;
    size_t all = (size_t)tail->changelog->n_entities * tail->changelog->n_partitions;
    for (size_t i = 0; i < all; i++)
        if (tail->is_open[i]) n += (uint64_t)(tail->to->changelog[i] - tail->next[i]);
    return n;
}

static enum oz_status tail_lost(const struct tail *tail, size_t i, const char *words,
                                struct oz_error *err)
{
    const struct kafka_changelog *changelog = tail->changelog;
    const char *name = changelog->name[i % changelog->n_entities];
    int32_t partition = (int32_t)(i / changelog->n_entities);
    int64_t low = -1, high = -1;
    rd_kafka_query_watermark_offsets(changelog->asker, name, partition, &low, &high,
                                     OZ_KAFKA_REQUEST_MS);
    OZ_FAIL(err, OZ_LOST, "%s partition %d: offset %lld is gone, the log has %lld to %lld (%s)",
            name, partition, (long long)tail->next[i], (long long)low, (long long)high, words);
}

static void stop_partition(struct tail *tail, size_t i)
{
    if (!tail->is_open[i]) return;
    rd_kafka_consume_stop(tail->topic[i % tail->changelog->n_entities],
                          (int32_t)(i / tail->changelog->n_entities));
    tail->is_open[i] = 0;
    tail->n_open--;
}

static enum oz_status visit(struct tail *tail, const rd_kafka_message_t *message,
                            struct oz_error *err)
{
    uint32_t n_entities = tail->changelog->n_entities, entity = 0;
    while (entity < n_entities && tail->topic[entity] != message->rkt) entity++;
    if (entity == n_entities || message->partition < 0 ||
        (uint32_t)message->partition >= tail->changelog->n_partitions)
        return OZ_OK;
    size_t i = (size_t)message->partition * n_entities + entity;
    if (!tail->is_open[i]) return OZ_OK;

    rd_kafka_resp_err_t code = message->err;
    if (code == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        /* The last stable offset: markers and aborted records before it are behind us too. */
        tail->next[i] = OZ_MAX(tail->next[i], message->offset);
    } else if (code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
               code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
        return tail_lost(tail, i, rd_kafka_message_errstr(message), err);
    } else if (code && !oz_kafka_passes(code)) {
        OZ_FAIL(err, OZ_BROKER, "%s partition %d: %s", tail->changelog->name[entity],
                message->partition, rd_kafka_message_errstr(message));
    } else if (!code) {
        struct oz_changelog_record record = {.entity = entity,
                                             .partition = (uint32_t)message->partition,
                                             .offset = message->offset,
                                             .key = message->key,
                                             .key_len = message->key_len,
                                             .value = message->payload,
                                             .value_len = message->len};
        OZ_TRY(tail->visitor->record(tail->visitor->ctx, &record, err));
        tail->next[i] = message->offset + 1;
    }
    if (tail->next[i] >= tail->to->changelog[i]) stop_partition(tail, i);
    return OZ_OK;
}

/* What is there, waiting for the first of it only: a batch call would wait for a full array. */
static enum oz_status read_some(struct tail *tail, bool *ret_moved, struct oz_error *err)
{
    enum oz_status status = OZ_OK;
    rd_kafka_message_t *first = rd_kafka_consume_queue(tail->queue, READ_WAIT_MS);
    *ret_moved = false;
    if (!first) return OZ_OK;
    tail->message[0] = first;
    ssize_t n = rd_kafka_consume_batch_queue(tail->queue, 0, tail->message + 1, READ_MESSAGES - 1);
    n = n > 0 ? n + 1 : 1;
    uint64_t before = left(tail);
    for (ssize_t i = 0; i < n; i++) {
        if (status == OZ_OK) status = visit(tail, tail->message[i], err);
        rd_kafka_message_destroy(tail->message[i]);
    }
    *ret_moved = left(tail) != before;
    return status;
}

static enum oz_status stuck(const struct tail *tail, int64_t wait_us, struct oz_error *err)
{
    size_t i = 0;
    while (!tail->is_open[i]) i++;
    OZ_FAIL(
        err, OZ_BROKER,
        "%s partition %zu: nothing came for %lld s between offset %lld and %lld: it waits for an "
        "open transaction of another process to end, or for a broker that does not answer%s%s",
        tail->changelog->name[i % tail->changelog->n_entities], i / tail->changelog->n_entities,
        (long long)(wait_us / 1000000), (long long)tail->next[i], (long long)tail->to->changelog[i],
        tail->changelog->link.reason[0] ? ": " : "", tail->changelog->link.reason);
}

static enum oz_status read_all(struct tail *tail, int64_t wait_us, struct oz_error *err)
{
    const struct oz_changelog_visitor *visitor = tail->visitor;
    int64_t moved_us = oz_monotonic_us(), told_us = 0;
    while (tail->n_open) {
        bool moved;
        OZ_TRY(read_some(tail, &moved, err));
        rd_kafka_poll(tail->rk, 0);
        int64_t now_us = oz_monotonic_us();
        if (moved) moved_us = now_us;
        if (tail->n_open && now_us - moved_us > wait_us) return stuck(tail, wait_us, err);
        if (visitor->waiting && now_us - told_us >= TELL_US) {
            told_us = now_us;
            OZ_TRY(visitor->waiting(visitor->ctx, left(tail), err));
        }
    }
    return OZ_OK;
}

static enum oz_status start(struct tail *tail, const struct oz_positions *from,
                            struct oz_error *err)
{
    static const struct oz_kafka_setting owned[] = {{"isolation.level", "read_committed"},
                                                    {NULL, NULL}};
    struct kafka_changelog *changelog = tail->changelog;
    size_t all = (size_t)changelog->n_entities * changelog->n_partitions;
    tail->next = oz_calloc(all, sizeof *tail->next);
    tail->is_open = oz_calloc(all, sizeof *tail->is_open);
    if (!tail->next || !tail->is_open) return oz_no_memory(err);
    OZ_TRY(oz_kafka_client_open(&changelog->config, OZ_KAFKA_CONSUMER, owned, &changelog->link,
                                &tail->rk, err));
    tail->queue = rd_kafka_queue_new(tail->rk);
    for (uint32_t e = 0; e < changelog->n_entities; e++) {
        tail->topic[e] = rd_kafka_topic_new(tail->rk, changelog->name[e], NULL);
        if (!tail->topic[e])
            OZ_FAIL(err, OZ_BROKER, "topic %s: %s", changelog->name[e],
                    rd_kafka_err2str(rd_kafka_last_error()));
    }
    for (size_t i = 0; i < all; i++) {
        tail->next[i] = OZ_MAX(from->changelog[i], 0);
        if (tail->next[i] >= tail->to->changelog[i]) continue;
        if (rd_kafka_consume_start_queue(tail->topic[i % changelog->n_entities],
                                         (int32_t)(i / changelog->n_entities), tail->next[i],
                                         tail->queue))
            OZ_FAIL(err, OZ_BROKER, "%s partition %zu could not be read: %s",
                    changelog->name[i % changelog->n_entities], i / changelog->n_entities,
                    rd_kafka_err2str(rd_kafka_last_error()));
        tail->is_open[i] = 1;
        tail->n_open++;
    }
    return OZ_OK;
}

static enum oz_status replay(void *ctx, const struct oz_positions *from,
                             const struct oz_positions *to, int64_t wait_us,
                             const struct oz_changelog_visitor *visitor, struct oz_error *err)
{
    struct kafka_changelog *changelog = ctx;
    OZ_ASSERT(from->n_entities == changelog->n_entities && to->n_entities == from->n_entities);
    OZ_ASSERT(from->n_partitions == changelog->n_partitions &&
              to->n_partitions == from->n_partitions);
    struct tail *tail = oz_calloc(1, sizeof *tail);
    if (!tail) return oz_no_memory(err);
    tail->changelog = changelog;
    tail->to = to;
    tail->visitor = visitor;
    enum oz_status status = start(tail, from, err);
    if (status == OZ_OK) status = read_all(tail, wait_us, err);

    for (size_t i = 0; tail->n_open; i++) stop_partition(tail, i);
    if (tail->queue) rd_kafka_queue_destroy(tail->queue);
    for (uint32_t e = 0; e < changelog->n_entities; e++)
        if (tail->topic[e]) rd_kafka_topic_destroy(tail->topic[e]);
    if (tail->rk) rd_kafka_destroy(tail->rk);
    oz_free(tail->next);
    oz_free(tail->is_open);
    oz_free(tail);
    return status;
}

/* Life */

static void changelog_free(struct oz_changelog *base)
{
    struct kafka_changelog *changelog = base->ctx;
    if (changelog->asker) rd_kafka_destroy(changelog->asker);
    for (uint32_t e = 0; e < changelog->n_entities; e++) oz_free(changelog->name[e]);
    oz_free(changelog);
}

enum oz_status oz_kafka_changelog_new(struct oz_sink *sink, const struct oz_kafka_config *config,
                                      const char *const *entity_topic, uint32_t n_entities,
                                      uint32_t n_partitions, struct oz_changelog **ret_changelog,
                                      struct oz_error *err)
{
    OZ_ASSERT(n_entities <= OZ_ENTITIES_MAX && n_partitions <= OZ_PARTITIONS_MAX);
    enum oz_status status = OZ_OK;
    struct kafka_changelog *changelog = oz_calloc(1, sizeof *changelog);
    if (!changelog) return oz_no_memory(err);
    changelog->base = (struct oz_changelog){.ctx = changelog,
                                            .produce = produce,
                                            .produce_meta = produce_meta,
                                            .begins = begins,
                                            .ends = ends,
                                            .replay = replay,
                                            .free = changelog_free};
    changelog->sink = sink;
    changelog->config = *config;
    changelog->n_entities = n_entities;
    changelog->n_partitions = n_partitions;
    changelog->link.what = "changelog";
    for (uint32_t e = 0; e < n_entities; e++) {
        uint32_t has = 0;
        changelog->name[e] = oz_strdup(entity_topic[e]);
        if (!changelog->name[e]) {
            status = oz_no_memory(err);
            goto out;
        }
        OZ_TRY_OUT(oz_sink_topic(sink, entity_topic[e], false, &changelog->topic[e], &has, err));
        if (has != n_partitions) {
            status = oz_error_set(err, OZ_STATE,
                                  "changelog topic %s has %u partitions, but the source has %u",
                                  entity_topic[e], has, n_partitions);
            goto out;
        }
    }
    OZ_TRY_OUT(oz_kafka_client_open(config, OZ_KAFKA_ASKER, NULL, &changelog->link,
                                    &changelog->asker, err));
    *ret_changelog = &changelog->base;
    return OZ_OK;
out:
    changelog_free(&changelog->base);
    return status;
}
