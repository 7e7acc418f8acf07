#include "stream/merge.h"

#include <string.h>

static bool before(struct oz_merge_head a, struct oz_merge_head b)
{
    return a.time_ms < b.time_ms || (a.time_ms == b.time_ms && a.lane < b.lane);
}

static void sift_down(struct oz_merge *merge, uint32_t at)
{
    struct oz_merge_head *head = merge->head, moving = head[at];
    uint32_t n = merge->n_heads;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= n) break;
        if (child + 1 < n && before(head[child + 1], head[child])) child++;
        if (!before(head[child], moving)) break;
        head[at] = head[child];
        at = child;
    }
    head[at] = moving;
}

static void sift_up(struct oz_merge *merge, uint32_t at)
{
    struct oz_merge_head *head = merge->head, moving = head[at];
    while (at > 0 && before(moving, head[(at - 1) / 2])) {
        head[at] = head[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    head[at] = moving;
}

static bool waiting(const struct oz_merge_lane *lane)
{
    return lane->n_left == 0 && !lane->at_end && !lane->idle;
}

static int64_t lapse_of(const struct oz_merge *merge, const struct oz_merge_lane *lane)
{
    int64_t room = INT64_MAX - merge->max_idle_us;
    return lane->empty_since_us > room ? INT64_MAX : lane->empty_since_us + merge->max_idle_us;
}

enum oz_status oz_merge_init(struct oz_merge *merge, uint32_t n_lanes, int64_t max_idle_us,
                             int64_t now_us, struct oz_error *err)
{
    OZ_ASSERT(n_lanes > 0 && max_idle_us >= 0);
    memset(merge, 0, sizeof *merge);
    merge->lane = oz_calloc(n_lanes, sizeof *merge->lane);
    merge->head = oz_calloc(n_lanes, sizeof *merge->head);
    if (!merge->lane || !merge->head) {
        oz_merge_clear(merge);
        return oz_no_memory(err);
    }
    merge->n_lanes = n_lanes;
    merge->max_idle_us = max_idle_us;
    oz_merge_restart(merge, now_us);
    return OZ_OK;
}

void oz_merge_clear(struct oz_merge *merge)
{
    oz_free(merge->lane);
    oz_free(merge->head);
    memset(merge, 0, sizeof *merge);
}

void oz_merge_restart(struct oz_merge *merge, int64_t now_us)
{
    for (uint32_t i = 0; i < merge->n_lanes; i++)
        merge->lane[i] = (struct oz_merge_lane){.empty_since_us = now_us};
    merge->n_heads = 0;
    merge->n_waiting = merge->n_lanes;
    merge->lapse_us = lapse_of(merge, &merge->lane[0]);
}

void oz_merge_offer(struct oz_merge *merge, uint32_t i, const int64_t *time_ms, size_t n)
{
    OZ_ASSERT(i < merge->n_lanes && n > 0);
    struct oz_merge_lane *lane = &merge->lane[i];
    OZ_ASSERT(lane->n_left == 0);
    if (waiting(lane)) merge->n_waiting--;
    *lane = (struct oz_merge_lane){.time_ms = time_ms, .n_left = n};
    merge->head[merge->n_heads] = (struct oz_merge_head){time_ms[0], i};
    sift_up(merge, merge->n_heads++);
}

void oz_merge_end(struct oz_merge *merge, uint32_t i)
{
    OZ_ASSERT(i < merge->n_lanes);
    struct oz_merge_lane *lane = &merge->lane[i];
    if (waiting(lane)) merge->n_waiting--;
    lane->at_end = true;
}

/* Lanes that have been waited for long enough hold nobody any more, until they have a record
 * again. */
static void lapse(struct oz_merge *merge, int64_t now_us)
{
    if (now_us < merge->lapse_us) return;
    merge->lapse_us = INT64_MAX;
    for (uint32_t i = 0; i < merge->n_lanes; i++) {
        struct oz_merge_lane *lane = &merge->lane[i];
        if (!waiting(lane)) continue;
        int64_t at_us = lapse_of(merge, lane);
        if (at_us <= now_us) {
            lane->idle = true;
            merge->n_waiting--;
        } else {
            merge->lapse_us = OZ_MIN(merge->lapse_us, at_us);
        }
    }
}

size_t oz_merge_take(struct oz_merge *merge, size_t max, int64_t now_us, uint32_t *ret_lane)
{
    if (merge->n_waiting) lapse(merge, now_us);
    if (merge->n_waiting || !merge->n_heads || !max) return 0;

    struct oz_merge_head *head = merge->head, limit = {INT64_MAX, UINT32_MAX};
    if (merge->n_heads > 1) limit = head[1];
    if (merge->n_heads > 2 && before(head[2], limit)) limit = head[2];

    uint32_t i = head[0].lane;
    struct oz_merge_lane *lane = &merge->lane[i];
    /* Records of this lane at the limit's own time come first when its number is lower. */
    int64_t last_ms = i < limit.lane ? limit.time_ms : limit.time_ms - 1;
    size_t n = 1, most = OZ_MIN(max, lane->n_left);
    while (n < most && lane->time_ms[n] <= last_ms) n++;

    lane->time_ms += n;
    lane->n_left -= n;
    if (lane->n_left) {
        head[0].time_ms = lane->time_ms[0];
    } else {
        head[0] = head[--merge->n_heads];
        lane->empty_since_us = now_us;
        if (waiting(lane)) {
            merge->n_waiting++;
            merge->lapse_us = OZ_MIN(merge->lapse_us, lapse_of(merge, lane));
        }
    }
    if (merge->n_heads) sift_down(merge, 0);
    *ret_lane = i;
    return n;
}

bool oz_merge_at_end(const struct oz_merge *merge)
{
    if (merge->n_heads || merge->n_waiting) return false;
    for (uint32_t i = 0; i < merge->n_lanes; i++)
        if (!merge->lane[i].at_end) return false;
    return true;
}

int64_t oz_merge_lapse_in_us(const struct oz_merge *merge, int64_t now_us)
{
    int64_t at_us = INT64_MAX;
    for (uint32_t i = 0; i < merge->n_lanes; i++)
        if (waiting(&merge->lane[i])) at_us = OZ_MIN(at_us, lapse_of(merge, &merge->lane[i]));
    if (at_us == INT64_MAX) return INT64_MAX;
    return OZ_MAX(at_us - now_us, 0);
}
