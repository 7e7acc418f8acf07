/* Questions about a consumer group: its offsets, its members, and where a new one begins. */
#include "stream/kafka_client.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "stream/kafka_handles.h"

enum { PAUSE_US = 100000, COMMITTED_ASK_MS = 5000, UUID_BYTES = 36 };

enum oz_status oz_kafka_committed(const struct oz_kafka_config *config, const char *group,
                                  const char *const *topic, struct oz_positions *ret_pos,
                                  struct oz_error *err)
{
    /* A handle that reads committed asks for stable offsets: the broker answers only when no
     * transaction has offsets of these partitions pending. */
    const struct oz_kafka_setting owned[] = {
        {"group.id", group}, {"isolation.level", "read_committed"}, {NULL, NULL}};
    struct oz_kafka_link link = {.what = "client"};
    rd_kafka_t *rk;
    OZ_TRY(oz_kafka_client_open(config, OZ_KAFKA_CONSUMER, owned, &link, &rk, err));

    enum oz_status status = OZ_OK;
    rd_kafka_topic_partition_list_t *list =
        oz_kafka_list(topic, ret_pos->n_sources, ret_pos->n_partitions, NULL);
    int wait_ms =
        oz_kafka_setting_ms(config, "transaction.timeout.ms", OZ_KAFKA_TRANSACTION_TIMEOUT_MS) +
        OZ_KAFKA_MARGIN_MS;
    int64_t until_us = oz_monotonic_us() + wait_ms * INT64_C(1000);
    bool said = false;
    for (;;) {
        for (int i = 0; i < list->cnt; i++) list->elems[i].err = 0;
        rd_kafka_resp_err_t code = rd_kafka_committed(rk, list, COMMITTED_ASK_MS);
        for (int i = 0; i < list->cnt && !code; i++) code = list->elems[i].err;
        if (!code) break;
        rd_kafka_poll(rk, 0);
        if (!oz_kafka_passes(code)) {
            status = oz_error_set(err, OZ_BROKER, "the offsets of group %s could not be read: %s",
                                  group, rd_kafka_err2str(code));
            goto out;
        }
        if (oz_monotonic_us() > until_us) {
            status = oz_error_set(err, OZ_BROKER,
                                  "the offsets of group %s could not be read within %d s: %s; an "
                                  "open transaction of another process may hold them back",
                                  group, wait_ms / 1000, rd_kafka_err2str(code));
            goto out;
        }
        if (!said) oz_info("waiting for the stable offsets of group %s", group);
        said = true;
        usleep(PAUSE_US);
    }
    for (int i = 0; i < list->cnt; i++)
        ret_pos->source[i] = list->elems[i].offset >= 0 ? list->elems[i].offset : OZ_NO_OFFSET;
out:
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(rk);
    return status;
}

/* The broker names a static member "<instance>-<uuid>". */
static bool is_instance(const char *member_id, const char *instance)
{
    size_t len = strlen(instance);
    return !strncmp(member_id, instance, len) && member_id[len] == '-' &&
           strlen(member_id + len + 1) == UUID_BYTES;
}

enum oz_status oz_kafka_group_is_free(const struct oz_kafka_config *config, const char *group,
                                      const char *instance, const char *remedy,
                                      struct oz_error *err)
{
    struct oz_kafka_link link = {.what = "client"};
    rd_kafka_t *rk;
    OZ_TRY(oz_kafka_client_open(config, OZ_KAFKA_ASKER, NULL, &link, &rk, err));

    enum oz_status status = OZ_OK;
    const struct rd_kafka_group_list *list = NULL;
    int64_t until_us = oz_monotonic_us() + OZ_KAFKA_REQUEST_MS * INT64_C(1000);
    for (;;) {
        rd_kafka_resp_err_t code = rd_kafka_list_groups(rk, group, &list, OZ_KAFKA_REQUEST_MS / 2);
        if (!code && list->group_cnt) code = list->groups[0].err;
        /* The embedded broker cannot list groups, and nobody else reaches it. */
        if (code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE) goto out;
        if (!code) break;
        if (list) rd_kafka_group_list_destroy(list);
        list = NULL;
        if (!oz_kafka_passes(code) || oz_monotonic_us() > until_us) {
            status = oz_error_set(err, OZ_BROKER, "the members of group %s could not be asked: %s",
                                  group, rd_kafka_err2str(code));
            goto out;
        }
        usleep(PAUSE_US);
    }
    for (int g = 0; g < list->group_cnt; g++) {
        const struct rd_kafka_group_info *info = &list->groups[g];
        for (int m = 0; m < info->member_cnt; m++) {
            const struct rd_kafka_group_member_info *member = &info->members[m];
            if (!member->member_id || is_instance(member->member_id, instance)) continue;
            status = oz_error_set(
                err, OZ_STATE,
                "group %s has a member already: %s (client %s, host %s); this pipeline needs all "
                "partitions in one process: stop that one first, or %s",
                group, member->member_id, member->client_id ? member->client_id : "?",
                member->client_host ? member->client_host : "?", remedy);
            goto out;
        }
    }
out:
    if (list) rd_kafka_group_list_destroy(list);
    rd_kafka_destroy(rk);
    return status;
}

enum oz_status oz_kafka_start_offsets(const struct oz_kafka_config *config,
                                      const char *const *topic, int64_t at_ms,
                                      struct oz_positions *ret_pos, struct oz_error *err)
{
    /* The end is the last stable offset: what is in an open transaction comes later, not never. */
    const struct oz_kafka_setting owned[] = {{"isolation.level", "read_committed"}, {NULL, NULL}};
    struct oz_kafka_link link = {.what = "client"};
    rd_kafka_t *rk;
    OZ_TRY(oz_kafka_client_open(config, OZ_KAFKA_CONSUMER, owned, &link, &rk, err));

    enum oz_status status = OZ_OK;
    rd_kafka_topic_partition_list_t *end = NULL, *list = oz_kafka_list(topic, ret_pos->n_sources,
                                                                       ret_pos->n_partitions, NULL);
    OZ_TRY_OUT(oz_kafka_list_offsets(rk, list, at_ms, err));
    /* A time behind the newest record has no offset: there the group begins at the end. */
    if (at_ms >= 0) {
        end = oz_kafka_list(topic, ret_pos->n_sources, ret_pos->n_partitions, NULL);
        OZ_TRY_OUT(oz_kafka_list_offsets(rk, end, OZ_KAFKA_LATEST, err));
    }
    for (int i = 0; i < list->cnt; i++) {
        int64_t offset = list->elems[i].offset;
        if (offset < 0 && end) offset = end->elems[i].offset;
        if (offset < 0) {
            status = oz_error_set(err, OZ_BROKER, "%s partition %d: the broker gave no offset",
                                  list->elems[i].topic, list->elems[i].partition);
            goto out;
        }
        ret_pos->source[i] = offset;
    }
out:
    if (end) rd_kafka_topic_partition_list_destroy(end);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(rk);
    return status;
}
