#include "pipelines/run/exchange_lanes.h"

#include "features/row_bytes.h"

enum { LANE_STATE_BYTES = 5 * 8 + 1, COMPACT_BYTES = 4096 };

struct entry {              /* an event or a mark that waits */
    struct oz_lane_key key; /* an event's, or a mark's floor */
    int64_t at, clock_ms;
    size_t bytes_at;
    uint32_t len;
    bool is_mark, at_end;
};

struct oz_lane {
    struct entry *entry; /* [head, n) wait */
    size_t head, n, cap;
    struct oz_buf bytes;
    int64_t clock_in_ms; /* of all that was put */
    /* of what is done */
    int64_t done, clock_ms;
    struct oz_lane_key floor;
    bool at_end;
};

static const struct oz_lane_key least = {INT64_MIN, 0, 0, INT64_MIN};

int oz_lane_key_compare(const struct oz_lane_key *a, const struct oz_lane_key *b)
{
    if (a->time_ms != b->time_ms) return a->time_ms < b->time_ms ? -1 : 1;
    if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
    if (a->partition != b->partition) return a->partition < b->partition ? -1 : 1;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* ---- the heap */

static bool has_event(const struct oz_lane *lane) { return lane->head < lane->n; }
static bool is_open(const struct oz_lane *lane) { return has_event(lane) || !lane->at_end; }
static const struct oz_lane_key *key_of(const struct oz_lane *lane)
{
    return has_event(lane) ? &lane->entry[lane->head].key : &lane->floor;
}

static bool before(const struct oz_lanes *lanes, uint32_t i, uint32_t j)
{
    const struct oz_lane *a = &lanes->lane[i], *b = &lanes->lane[j];
    if (is_open(a) != is_open(b)) return is_open(a);
    int order = is_open(a) ? oz_lane_key_compare(key_of(a), key_of(b)) : 0;
    return order ? order < 0 : i < j;
}

static void place(struct oz_lanes *lanes, uint32_t at, uint32_t i)
{
    lanes->heap[at] = i;
    lanes->heap_at[i] = at;
}

/* Lane i's key has changed. */
static void settle(struct oz_lanes *lanes, uint32_t i)
{
    uint32_t at = lanes->heap_at[i], child;
    for (; at > 0 && before(lanes, i, lanes->heap[(at - 1) / 2]); at = (at - 1) / 2)
        place(lanes, at, lanes->heap[(at - 1) / 2]);
    while ((child = 2 * at + 1) < lanes->n_heap) {
        if (child + 1 < lanes->n_heap && before(lanes, lanes->heap[child + 1], lanes->heap[child]))
            child++;
        if (!before(lanes, lanes->heap[child], i)) break;
        place(lanes, at, lanes->heap[child]);
        at = child;
    }
    place(lanes, at, i);
}

/* ---- life and state */

enum oz_status oz_lanes_init(struct oz_lanes *lanes, uint32_t n_lanes, struct oz_error *err)
{
    OZ_ASSERT(n_lanes > 0);
    *lanes = (struct oz_lanes){.n_lanes = n_lanes};
    lanes->lane = oz_calloc(n_lanes, sizeof *lanes->lane);
    lanes->heap = oz_calloc(n_lanes, sizeof *lanes->heap);
    lanes->heap_at = oz_calloc(n_lanes, sizeof *lanes->heap_at);
    if (!lanes->lane || !lanes->heap || !lanes->heap_at) {
        oz_lanes_clear(lanes);
        return oz_no_memory(err);
    }
    return oz_lanes_restart(lanes, NULL, 0, err);
}

void oz_lanes_clear(struct oz_lanes *lanes)
{
    for (uint32_t i = 0; lanes->lane && i < lanes->n_lanes; i++) {
        oz_free(lanes->lane[i].entry);
        oz_buf_clear(&lanes->lane[i].bytes);
    }
    oz_free(lanes->lane);
    oz_free(lanes->heap);
    oz_free(lanes->heap_at);
    *lanes = (struct oz_lanes){0};
}

static void read_lane(struct oz_row_reader *r, struct oz_lane *lane)
{
    lane->done = (int64_t)oz_read_u64(r);
    lane->clock_ms = lane->clock_in_ms = (int64_t)oz_read_u64(r);
    lane->floor.time_ms = (int64_t)oz_read_u64(r);
    uint64_t source = oz_read_u64(r);
    lane->floor.rank = (uint32_t)(source >> 32);
    lane->floor.partition = (uint32_t)source;
    lane->floor.offset = (int64_t)oz_read_u64(r);
    uint8_t at_end = oz_read_u8(r);
    lane->at_end = at_end == 1;
    r->bad |= at_end > 1 || lane->done < 0;
}

enum oz_status oz_lanes_restart(struct oz_lanes *lanes, const uint8_t *state, size_t len,
                                struct oz_error *err)
{
    struct oz_row_reader r = {state, len ? state + len : state, false};
    if (len && len != (size_t)lanes->n_lanes * LANE_STATE_BYTES)
        OZ_FAIL(err, OZ_CORRUPT,
                "the lanes of an exchange partition in %zu bytes, %u lanes have "
                "%zu",
                len, lanes->n_lanes, (size_t)lanes->n_lanes * LANE_STATE_BYTES);
    lanes->n_events = lanes->n_bytes = 0;
    lanes->is_changed = false;
    for (uint32_t i = 0; i < lanes->n_lanes; i++) {
        struct oz_lane *lane = &lanes->lane[i];
        lane->head = lane->n = 0;
        oz_buf_reset(&lane->bytes);
        lane->done = 0;
        lane->clock_ms = lane->clock_in_ms = INT64_MIN;
        lane->floor = least;
        lane->at_end = false;
        if (len) read_lane(&r, lane);
    }
    if (r.bad) OZ_FAIL(err, OZ_CORRUPT, "the lanes of an exchange partition are damaged");
    for (lanes->n_heap = 0; lanes->n_heap < lanes->n_lanes;) {
        uint32_t i = lanes->n_heap++;
        place(lanes, i, i);
        settle(lanes, i);
    }
    return OZ_OK;
}

static void put_u64(struct oz_buf *buf, uint64_t v) { oz_buf_put(buf, &v, sizeof v); }

void oz_lanes_encode(struct oz_lanes *lanes, struct oz_buf *ret_state)
{
    for (uint32_t i = 0; i < lanes->n_lanes; i++) {
        const struct oz_lane *lane = &lanes->lane[i];
        put_u64(ret_state, (uint64_t)lane->done);
        put_u64(ret_state, (uint64_t)lane->clock_ms);
        put_u64(ret_state, (uint64_t)lane->floor.time_ms);
        put_u64(ret_state, (uint64_t)lane->floor.rank << 32 | lane->floor.partition);
        put_u64(ret_state, (uint64_t)lane->floor.offset);
        oz_buf_put_u8(ret_state, lane->at_end);
    }
    lanes->is_changed = false;
}

/* ---- in and out */

static void raise_floor(struct oz_lane *lane, int64_t time_ms)
{
    if (lane->floor.time_ms < time_ms) lane->floor = (struct oz_lane_key){.time_ms = time_ms};
}

static void apply(struct oz_lanes *lanes, struct oz_lane *lane, const struct oz_lane_mark *mark,
                  int64_t at)
{
    lane->clock_ms = OZ_MAX(lane->clock_ms, mark->clock_ms);
    lane->floor = mark->floor;
    raise_floor(lane, lane->clock_ms);
    lane->at_end = mark->at_end;
    lane->done = at + 1;
    lanes->is_changed = true;
}

/* Given bytes end here: the lane's memory is used again. */
static void compact(struct oz_lane *lane)
{
    if (!lane->head) return;
    size_t gone = has_event(lane) ? lane->entry[lane->head].bytes_at : lane->bytes.len;
    if (has_event(lane) && (gone < COMPACT_BYTES || gone < lane->bytes.len / 2)) return;
    lane->n -= lane->head;
    memmove(lane->entry, lane->entry + lane->head, lane->n * sizeof *lane->entry);
    lane->head = 0;
    lane->bytes.len -= gone;
    if (lane->bytes.len) memmove(lane->bytes.data, lane->bytes.data + gone, lane->bytes.len);
    for (size_t k = 0; k < lane->n; k++) lane->entry[k].bytes_at -= gone;
}

static enum oz_status add(struct oz_lanes *lanes, struct oz_lane *lane, const struct entry *entry,
                          const void *bytes, struct oz_error *err)
{
    compact(lane);
    OZ_TRY(oz_grow((void **)&lane->entry, &lane->cap, lane->n + 1, sizeof *lane->entry, err));
    lane->entry[lane->n] = *entry;
    lane->entry[lane->n].bytes_at = lane->bytes.len;
    oz_buf_put(&lane->bytes, bytes, entry->len);
    OZ_TRY(oz_buf_status(&lane->bytes, err));
    lane->n++;
    lanes->n_bytes += sizeof *entry + entry->len;
    return OZ_OK;
}

enum oz_status oz_lanes_put_event(struct oz_lanes *lanes, uint32_t i, int64_t at,
                                  const struct oz_lane_key *key, const void *bytes, size_t len,
                                  struct oz_error *err)
{
    OZ_ASSERT(i < lanes->n_lanes && len > 0 && len <= UINT32_MAX);
    struct oz_lane *lane = &lanes->lane[i];
    if (at < lane->done) return OZ_OK;
    struct entry entry = {.key = *key, .at = at, .len = (uint32_t)len};
    entry.key.time_ms = lane->clock_in_ms = OZ_MAX(key->time_ms, lane->clock_in_ms);
    OZ_TRY(add(lanes, lane, &entry, bytes, err));
    lanes->n_events++;
    if (lane->n - lane->head == 1) settle(lanes, i);
    return OZ_OK;
}

enum oz_status oz_lanes_put_mark(struct oz_lanes *lanes, uint32_t i, int64_t at,
                                 const struct oz_lane_mark *mark, struct oz_error *err)
{
    OZ_ASSERT(i < lanes->n_lanes);
    struct oz_lane *lane = &lanes->lane[i];
    if (at < lane->done) return OZ_OK;
    lane->clock_in_ms = OZ_MAX(lane->clock_in_ms, mark->clock_ms);
    if (has_event(lane)) {
        struct entry entry = {.key = mark->floor,
                              .at = at,
                              .clock_ms = mark->clock_ms,
                              .is_mark = true,
                              .at_end = mark->at_end};
        return add(lanes, lane, &entry, NULL, err);
    }
    apply(lanes, lane, mark, at);
    settle(lanes, i);
    return OZ_OK;
}

/* The lane's head, an event, is given; the marks behind it hold from now on. */
static void pop(struct oz_lanes *lanes, uint32_t i, struct oz_lane_event *ret_event)
{
    struct oz_lane *lane = &lanes->lane[i];
    const struct entry *entry = &lane->entry[lane->head++];
    *ret_event = (struct oz_lane_event){.key = entry->key,
                                        .lane = i,
                                        .bytes = lane->bytes.data + entry->bytes_at,
                                        .len = entry->len};
    lane->clock_ms = entry->key.time_ms;
    lane->floor = entry->key;
    lane->at_end = false;
    lane->done = entry->at + 1;
    lanes->n_events--;
    lanes->n_bytes -= sizeof *entry + entry->len;
    lanes->is_changed = true;
    for (; has_event(lane) && lane->entry[lane->head].is_mark; lane->head++) {
        entry = &lane->entry[lane->head];
        struct oz_lane_mark mark = {entry->clock_ms, entry->key, entry->at_end};
        apply(lanes, lane, &mark, entry->at);
        lanes->n_bytes -= sizeof *entry;
    }
    settle(lanes, i);
}

static uint32_t least_event(const struct oz_lanes *lanes)
{
    uint32_t found = UINT32_MAX;
    for (uint32_t i = 0; i < lanes->n_lanes; i++)
        if (has_event(&lanes->lane[i]) && (found == UINT32_MAX || before(lanes, i, found)))
            found = i;
    return found;
}

bool oz_lanes_take(struct oz_lanes *lanes, bool pass_over, struct oz_lane_event *ret_event)
{
    uint32_t i = lanes->heap[0];
    if (!lanes->n_events) return false;
    if (!has_event(&lanes->lane[i])) {
        if (!pass_over) return false;
        i = least_event(lanes);
    }
    pop(lanes, i, ret_event);
    return true;
}

uint32_t oz_lanes_holder(const struct oz_lanes *lanes, struct oz_lane_key *ret_floor)
{
    uint32_t i = lanes->heap[0];
    if (!lanes->n_events || has_event(&lanes->lane[i])) return UINT32_MAX;
    *ret_floor = lanes->lane[i].floor;
    return i;
}

bool oz_lanes_floor(const struct oz_lanes *lanes, struct oz_lane_key *ret_floor)
{
    const struct oz_lane *lane = &lanes->lane[lanes->heap[0]];
    if (is_open(lane)) *ret_floor = *key_of(lane);
    return is_open(lane);
}

int64_t oz_lanes_low(const struct oz_lanes *lanes, int64_t end)
{
    for (uint32_t i = 0; i < lanes->n_lanes; i++) {
        const struct oz_lane *lane = &lanes->lane[i];
        if (has_event(lane)) end = OZ_MIN(end, lane->entry[lane->head].at);
    }
    return end;
}
