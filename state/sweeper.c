#include "state/sweeper.h"
#include <stdatomic.h>
#include "base/clock.h"
#include "base/instant.h"
#include "base/queue.h"

enum { PIECE_BYTES = 1 << 20, WORK_SHARE = 10, REST_ROUNDS = 15, MUCH_SHARE = 16 };
#define WAIT_US (100 * OZ_US_PER_MS)

struct oz_sweeper {
    struct oz_sweeper_config config;
    pthread_t thread;
    bool started;
    struct oz_queue found, empty, ending; /* of sets; nothing ever comes through the last */
    struct oz_swept swept;
    struct oz_store_walk walk;
    /* of the round */
    uint64_t moves, n_rows;
    _Atomic uint64_t n_retired, rounds;
    _Atomic int status; /* of the walk */
    struct oz_error err;
};

/* False: the sweeper ends. */
static bool rest(struct oz_sweeper *sw, int64_t us)
{
    void *item;
    return oz_queue_pop(&sw->ending, OZ_MAX(us, 0), &item) == OZ_QUEUE_TIMEOUT;
}

static void look_at(void *ctx, const struct oz_store_row *row)
{
    struct oz_sweeper *sw = ctx;
    struct oz_swept *swept = &sw->swept;
    if (!sw->config.is_due(sw->config.ctx, row)) return;
    struct oz_swept_row *to = &swept->row[swept->n++];
    *to = (struct oz_swept_row){row->partition, row->key_len, row->entity, NULL};
    oz_buf_put(&swept->keys, row->key, row->key_len);
}

/* One piece: no more rows than there is room for, if all of them were due. */
static enum oz_status piece(struct oz_sweeper *sw, bool *ret_end, struct oz_error *err)
{
    struct oz_swept *swept = &sw->swept;
    swept->n = 0;
    oz_buf_reset(&swept->keys);
    OZ_TRY(oz_store_walk(sw->config.store, &sw->walk, OZ_SWEEP_FOUND_MAX, PIECE_BYTES, look_at, sw,
                         ret_end, err));
    OZ_TRY(oz_buf_status(&swept->keys, err));
    const char *key = (const char *)swept->keys.data; /* which has moved while it grew */
    for (size_t i = 0; i < swept->n; key += swept->row[i++].key_len) swept->row[i].key = key;
    sw->n_rows += sw->walk.n_rows;
    return OZ_OK;
}

/* Hands the set on and waits until it is back. */
static bool hand_on(struct oz_sweeper *sw)
{
    void *item;
    if (!sw->swept.n) return true;
    if (!oz_queue_push(&sw->found, &sw->swept)) return false;
    return oz_queue_pop(&sw->empty, -1, &item) == OZ_QUEUE_ITEM;
}

/* The first round may only have shown how late it is. */
static bool end_round(struct oz_sweeper *sw, int64_t began_us)
{
    int64_t rest_us = 0;
    uint64_t retired = atomic_exchange(&sw->n_retired, 0);
    if (atomic_fetch_add(&sw->rounds, 1) > 0 && retired * MUCH_SHARE < sw->n_rows)
        rest_us = REST_ROUNDS * (oz_monotonic_us() - began_us);
    return rest(sw, OZ_MAX(rest_us, sw->config.rest_us));
}

static bool go_round(struct oz_sweeper *sw)
{
    struct oz_error err = {0};
    bool end = false;
    int64_t began_us = oz_monotonic_us();
    sw->moves = sw->config.moves(sw->config.ctx);
    sw->n_rows = 0;
    while (!end) {
        int64_t at = oz_monotonic_us();
        enum oz_status status = piece(sw, &end, &err);
        int64_t work_us = oz_monotonic_us() - at;
        if (status != OZ_OK) {
            sw->err = err;
            atomic_store(&sw->status, (int)status);
            return false;
        }
        if (!hand_on(sw)) return false;
        int64_t pace_us = (int64_t)(sw->walk.n_rows * (uint64_t)OZ_US_PER_SECOND /
                                    ((uint64_t)sw->config.rows_per_s * OZ_SWEEP_ROWS_EACH));
        if (!rest(sw, OZ_MAX(pace_us, (WORK_SHARE - 1) * work_us))) return false;
    }
    return end_round(sw, began_us);
}

static void *sweep_main(void *arg)
{
    struct oz_sweeper *sw = arg;
    bool more = true;
    pthread_setname_np(pthread_self(), "ouzel-sweep");
    while (more) {
        more = go_round(sw);
        while (more && sw->config.moves(sw->config.ctx) == sw->moves) more = rest(sw, WAIT_US);
    }
    return NULL;
}

static enum oz_status start(struct oz_sweeper *sw, struct oz_error *err)
{
    OZ_TRY(oz_queue_init(&sw->found, 1, err));
    OZ_TRY(oz_queue_init(&sw->empty, 1, err));
    OZ_TRY(oz_queue_init(&sw->ending, 1, err));
    if (pthread_create(&sw->thread, NULL, sweep_main, sw))
        OZ_FAIL(err, OZ_NO_MEMORY, "cannot start a thread");
    sw->started = true;
    return OZ_OK;
}

enum oz_status oz_sweeper_new(const struct oz_sweeper_config *config,
                              struct oz_sweeper **ret_sweeper, struct oz_error *err)
{
    OZ_ASSERT(config->rows_per_s > 0);
    struct oz_sweeper *sw = oz_calloc(1, sizeof *sw);
    if (!sw) return oz_no_memory(err);
    sw->config = *config;
    oz_buf_init(&sw->swept.keys);
    oz_buf_init(&sw->walk.place);
    enum oz_status status = start(sw, err);
    if (status != OZ_OK) {
        oz_sweeper_free(sw);
        return status;
    }
    *ret_sweeper = sw;
    return OZ_OK;
}

void oz_sweeper_free(struct oz_sweeper *sw)
{
    if (!sw) return;
    if (sw->started) {
        oz_queue_close(&sw->found);
        oz_queue_close(&sw->empty);
        oz_queue_close(&sw->ending);
        pthread_join(sw->thread, NULL);
    }
    oz_queue_clear(&sw->found);
    oz_queue_clear(&sw->empty);
    oz_queue_clear(&sw->ending);
    oz_buf_clear(&sw->swept.keys);
    oz_buf_clear(&sw->walk.place);
    oz_free(sw);
}

enum oz_status oz_sweeper_take(struct oz_sweeper *sw, struct oz_swept **ret_swept,
                               struct oz_error *err)
{
    void *item = NULL;
    enum oz_status status = (enum oz_status)atomic_load(&sw->status);
    *ret_swept = NULL;
    if (status != OZ_OK) {
        if (err) *err = sw->err;
        return status;
    }
    if (oz_queue_try_pop(&sw->found, &item)) *ret_swept = item;
    return OZ_OK;
}

void oz_sweeper_give_back(struct oz_sweeper *sw, struct oz_swept *swept, size_t n_retired)
{
    atomic_fetch_add(&sw->n_retired, n_retired);
    if (!oz_queue_push(&sw->empty, swept)) return; /* it is ending */
}

uint64_t oz_sweeper_rounds(const struct oz_sweeper *sw) { return atomic_load(&sw->rounds); }
