#include "pipelines/run/exchange.h"

#include "base/clock.h"
#include "base/instant.h"
#include "base/log.h"

enum { REST_SHARE = 4, MIB = 1 << 20 };
#define SAY_EVERY_US OZ_US_PER_MINUTE

struct inbox { /* one exchange partition */
    struct oz_lanes lanes;
    int64_t read;     /* behind what was put */
    int64_t clock_ms; /* the newest merge time that it has given */
    struct oz_lane_mark said;
};

struct oz_exchange {
    struct oz_exchange_config config;
    struct oz_program *prg;
    uint32_t n_partitions, n_legs;
    struct oz_exchange_shape shape[OZ_LEGS_MAX];
    bool *owned;                      /* [n_partitions] */
    struct inbox *inbox[OZ_LEGS_MAX]; /* [n_partitions] of every leg but the first */
    uint32_t turn[OZ_LEGS_MAX];       /* the partition that is asked first */
    /* of the first leg, by partition */
    int64_t *clock_ms;
    struct oz_lane_mark *said;
    /* of the marks under way */
    uint32_t *lane;
    struct oz_lane_mark *mark;
    int64_t said_at_us;
};

static enum oz_status make(struct oz_exchange *ex, struct oz_error *err)
{
    uint32_t n = ex->n_partitions;
    ex->owned = oz_calloc(n, sizeof *ex->owned);
    ex->clock_ms = oz_calloc(n, sizeof *ex->clock_ms);
    ex->said = oz_calloc(n, sizeof *ex->said);
    ex->lane = oz_calloc(n, sizeof *ex->lane);
    ex->mark = oz_calloc(n, sizeof *ex->mark);
    if (!ex->owned || !ex->clock_ms || !ex->said || !ex->lane || !ex->mark)
        return oz_no_memory(err);
    for (uint32_t leg = 1; leg < ex->n_legs; leg++) {
        ex->shape[leg] = ex->prg->shape[leg];
        ex->shape[leg].n_partitions = n;
        if (!(ex->inbox[leg] = oz_calloc(n, sizeof *ex->inbox[leg]))) return oz_no_memory(err);
    }
    return OZ_OK;
}

enum oz_status oz_exchange_new(const struct oz_exchange_config *config,
                               struct oz_exchange **ret_exchange, struct oz_error *err)
{
    struct oz_exchange *ex = oz_calloc(1, sizeof *ex);
    if (!ex) return oz_no_memory(err);
    ex->config = *config;
    ex->prg = config->program;
    ex->n_partitions = config->n_partitions;
    ex->n_legs = ex->prg->n_legs;
    ex->said_at_us = -SAY_EVERY_US;
    enum oz_status status = make(ex, err);
    if (status != OZ_OK) {
        oz_exchange_free(ex);
        return status;
    }
    *ret_exchange = ex;
    return OZ_OK;
}

void oz_exchange_free(struct oz_exchange *ex)
{
    if (!ex) return;
    for (uint32_t leg = 1; leg < ex->n_legs; leg++) {
        for (uint32_t q = 0; ex->inbox[leg] && q < ex->n_partitions; q++)
            oz_lanes_clear(&ex->inbox[leg][q].lanes);
        oz_free(ex->inbox[leg]);
    }
    oz_free(ex->owned);
    oz_free(ex->clock_ms);
    oz_free(ex->said);
    oz_free(ex->lane);
    oz_free(ex->mark);
    oz_free(ex);
}

/* ---- where the lanes stand */

static enum oz_status load_lanes(struct oz_exchange *ex, uint32_t leg, uint32_t q,
                                 struct oz_store_reader *reader, struct oz_error *err)
{
    uint8_t name[OZ_STORE_KEY_BYTES_MAX];
    uint32_t e = ex->prg->entity_of[leg];
    struct oz_lanes *lanes = &ex->inbox[leg][q].lanes;
    struct oz_bytes value, key = {name, oz_store_key(name, q, (uint8_t)e, "", 0, OZ_PART_LANES)};
    const uint8_t *state = NULL;
    size_t len = 0;
    if (!lanes->n_lanes) OZ_TRY(oz_lanes_init(lanes, ex->n_partitions, err));
    OZ_TRY(oz_store_get_many(reader, &key, 1, &value, err));
    enum oz_status status = OZ_OK;
    if (value.data)
        status = oz_part_open(value.data, value.len, OZ_LANES_LAYOUT, &state, &len, err);
    if (status == OZ_OK) status = oz_lanes_restart(lanes, state, len, err);
    if (status == OZ_OK) return OZ_OK;
    return oz_error_prefix(err, "the exchange's lanes of %s, partition %u",
                           ex->prg->plan->entity[e].name, q);
}

static size_t position_of(const struct oz_exchange *ex, uint32_t leg, uint32_t q,
                          const struct oz_positions *pos)
{
    return (size_t)q * pos->n_sources + ex->prg->plan->n_sources + leg - 1;
}

enum oz_status oz_exchange_begin(struct oz_exchange *ex, const bool *owned, struct oz_store *store,
                                 const struct oz_positions *next, struct oz_error *err)
{
    struct oz_store_reader *reader;
    static const struct oz_lane_mark nothing = {.clock_ms = INT64_MIN};
    OZ_TRY(oz_store_reader_new(store, &reader, err));
    enum oz_status status = OZ_OK;
    for (uint32_t p = 0; p < ex->n_partitions; p++) {
        if (owned) ex->owned[p] = owned[p];
        ex->clock_ms[p] = INT64_MIN;
        ex->said[p] = nothing;
        for (uint32_t leg = 1; leg < ex->n_legs; leg++) {
            struct inbox *in = &ex->inbox[leg][p];
            in->said = nothing;
            in->clock_ms = INT64_MIN;
            in->read = next->source[position_of(ex, leg, p, next)];
            if (!ex->owned[p])
                oz_lanes_clear(&in->lanes);
            else if (status == OZ_OK)
                status = load_lanes(ex, leg, p, reader, err);
        }
    }
    oz_store_reader_free(reader);
    return status;
}

/* ---- records in and out */

void oz_exchange_note(struct oz_exchange *ex, struct oz_record *record, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct oz_record *rec = &record[i];
        int64_t *clock = &ex->clock_ms[rec->partition];
        rec->lane = rec->partition;
        rec->merge_ms = *clock = OZ_MAX(*clock, rec->timestamp_ms);
    }
}

static enum oz_status put_marks(struct inbox *in, int64_t at, struct oz_exchange_marks *marks,
                                struct oz_error *err)
{
    uint32_t lane;
    struct oz_lane_mark mark;
    while (oz_exchange_next_mark(marks, &lane, &mark))
        OZ_TRY(oz_lanes_put_mark(&in->lanes, lane, at, &mark, err));
    return OZ_OK;
}

static enum oz_status put_one(struct oz_exchange *ex, uint32_t leg, const struct oz_record *from,
                              struct oz_error *err)
{
    struct inbox *in = &ex->inbox[leg][from->partition];
    enum oz_exchange_kind kind;
    struct oz_record rec;
    struct oz_exchange_marks marks;
    if (!from->value) OZ_FAIL(err, OZ_CORRUPT, "an exchange record without a value");
    OZ_TRY(
        oz_exchange_parse(&ex->shape[leg], from->value, from->value_len, &kind, &rec, &marks, err));
    in->read = from->offset + 1;
    if (kind == OZ_EXCHANGE_MARKS) return put_marks(in, from->offset, &marks, err);
    struct oz_lane_key key = {.time_ms = rec.merge_ms,
                              .rank = ex->prg->rank[rec.source],
                              .partition = rec.partition,
                              .offset = rec.offset};
    return oz_lanes_put_event(&in->lanes, rec.lane, from->offset, &key, from->value,
                              from->value_len, err);
}

enum oz_status oz_exchange_put(struct oz_exchange *ex, const struct oz_record *record, size_t n,
                               struct oz_error *err)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t leg = record[i].source - ex->prg->plan->n_sources + 1;
        enum oz_status status = put_one(ex, leg, &record[i], err);
        if (status != OZ_OK)
            return oz_error_prefix(err, "the exchange topic of %s, partition %u, offset %lld",
                                   ex->prg->plan->entity[ex->prg->entity_of[leg]].name,
                                   record[i].partition, (long long)record[i].offset);
    }
    return OZ_OK;
}

static size_t bytes_waiting(const struct oz_exchange *ex)
{
    size_t n = 0;
    for (uint32_t leg = 1; leg < ex->n_legs; leg++)
        for (uint32_t q = 0; q < ex->n_partitions; q++) n += ex->inbox[leg][q].lanes.n_bytes;
    return n;
}

uint64_t oz_exchange_n_waiting(const struct oz_exchange *ex)
{
    uint64_t n = 0;
    for (uint32_t leg = 1; leg < ex->n_legs; leg++)
        for (uint32_t q = 0; q < ex->n_partitions; q++) n += ex->inbox[leg][q].lanes.n_events;
    return n;
}

bool oz_exchange_has_room(const struct oz_exchange *ex)
{
    return bytes_waiting(ex) < ex->config.bytes;
}

/* The partition of the sources that is furthest behind always reads: it is nobody's to wait. */
bool oz_exchange_rests(const struct oz_exchange *ex)
{
    if (bytes_waiting(ex) < ex->config.bytes / REST_SHARE) return false;
    struct oz_lane_key least = {0}, floor;
    uint32_t last = UINT32_MAX;
    for (uint32_t q = 0; q < ex->n_partitions; q++) {
        if (!ex->owned[q]) continue;
        uint32_t lane = oz_lanes_holder(&ex->inbox[1][q].lanes, &floor);
        if (lane == UINT32_MAX) continue;
        int order = last == UINT32_MAX ? -1 : oz_lane_key_compare(&floor, &least);
        if (order > 0 || (order == 0 && lane > last)) continue;
        last = lane;
        least = floor;
    }
    return last != UINT32_MAX && !ex->owned[last];
}

static void say_passed_over(struct oz_exchange *ex, uint32_t leg, uint32_t q)
{
    int64_t now = oz_monotonic_us();
    struct oz_lane_key floor;
    if (now - ex->said_at_us < SAY_EVERY_US) return;
    ex->said_at_us = now;
    oz_warn("exchange: %zu MiB of events wait for partition %u, which says nothing: it is passed "
            "over, and its events will be later than others' (partition %u of %s)",
            ex->config.bytes / MIB, oz_lanes_holder(&ex->inbox[leg][q].lanes, &floor), q,
            ex->prg->plan->entity[ex->prg->entity_of[leg]].name);
}

/* The next record of a partition, or false. It was parsed when it was put; the copy is the same. */
static bool take_one(struct oz_exchange *ex, uint32_t leg, uint32_t q, bool pass_over,
                     struct oz_record *ret_record, size_t *bytes)
{
    struct inbox *in = &ex->inbox[leg][q];
    struct oz_lane_event event;
    enum oz_exchange_kind kind;
    struct oz_exchange_marks marks;
    if (!oz_lanes_take(&in->lanes, pass_over, &event)) return false;
    enum oz_status status =
        oz_exchange_parse(&ex->shape[leg], event.bytes, event.len, &kind, ret_record, &marks, NULL);
    OZ_ASSERT(status == OZ_OK && kind == OZ_EXCHANGE_EVENT);
    ret_record->lane = q;
    ret_record->merge_ms = event.key.time_ms;
    in->clock_ms = OZ_MAX(in->clock_ms, event.key.time_ms);
    *bytes += event.len;
    return true;
}

size_t oz_exchange_take(struct oz_exchange *ex, uint32_t leg, size_t max,
                        struct oz_record *ret_record)
{
    size_t n = 0, bytes = 0, most = ex->config.batch_bytes;
    bool pass_over = !oz_exchange_has_room(ex);
    uint32_t first = ex->turn[leg];
    ex->turn[leg] = (first + 1) % ex->n_partitions;
    for (uint32_t k = 0; k < ex->n_partitions; k++) {
        uint32_t q = (first + k) % ex->n_partitions;
        if (!ex->owned[q]) continue;
        while (n < max && bytes < most && take_one(ex, leg, q, false, &ret_record[n], &bytes)) n++;
        if (!pass_over || !ex->inbox[leg][q].lanes.n_events || n == max || bytes >= most) continue;
        say_passed_over(ex, leg, q);
        while (n < max && bytes < most && take_one(ex, leg, q, true, &ret_record[n], &bytes)) n++;
    }
    return n;
}

/* ---- marks and state */

/* What partition p says to the next leg. */
static struct oz_lane_mark mark_of(const struct oz_exchange *ex, uint32_t leg, uint32_t p,
                                   const struct oz_source *source)
{
    struct oz_lane_mark mark = {.clock_ms = INT64_MIN};
    if (leg) {
        const struct inbox *in = &ex->inbox[leg][p];
        mark.clock_ms = in->clock_ms;
        mark.floor.time_ms = in->clock_ms;
        mark.at_end = !oz_lanes_floor(&in->lanes, &mark.floor);
    } else {
        int64_t ahead_ms;
        mark.clock_ms = ex->clock_ms[p];
        mark.at_end = !oz_source_ahead(source, p, &ahead_ms);
        mark.floor.time_ms = mark.at_end ? mark.clock_ms : OZ_MAX(mark.clock_ms, ahead_ms);
    }
    return mark;
}

static struct oz_lane_mark *said_by(struct oz_exchange *ex, uint32_t leg, uint32_t p)
{
    return leg ? &ex->inbox[leg][p].said : &ex->said[p];
}

bool oz_exchange_has_news(struct oz_exchange *ex, const struct oz_source *source)
{
    for (uint32_t leg = 0; leg + 1 < ex->n_legs; leg++)
        for (uint32_t p = 0; p < ex->n_partitions; p++) {
            if (!ex->owned[p]) continue;
            struct oz_lane_mark now = mark_of(ex, leg, p, source), *said = said_by(ex, leg, p);
            if (now.at_end != said->at_end || now.clock_ms != said->clock_ms ||
                oz_lane_key_compare(&now.floor, &said->floor))
                return true;
        }
    return false;
}

/* Every partition of the next leg hears of every partition that is this process's. */
static enum oz_status put_leg_marks(struct oz_exchange *ex, uint32_t leg,
                                    const struct oz_source *source, struct oz_outbox_part *part,
                                    struct oz_error *err)
{
    uint32_t n = 0;
    for (uint32_t p = 0; p < ex->n_partitions; p++) {
        if (!ex->owned[p]) continue;
        ex->lane[n] = p;
        ex->mark[n++] = *said_by(ex, leg, p) = mark_of(ex, leg, p, source);
    }
    for (uint32_t q = 0; n && q < ex->n_partitions; q++) {
        struct oz_out *out = oz_outbox_add(part, err);
        if (!out) return OZ_NO_MEMORY;
        out->topic = ex->config.topic[leg + 1].topic;
        out->partition = (int32_t)q;
        out->timestamp_ms = oz_wall_us() / OZ_US_PER_MS;
        out->has_value = true;
        out->key_at = out->value_at = part->bytes.len;
        oz_exchange_put_marks(&ex->shape[leg + 1], ex->lane, ex->mark, n, &part->bytes);
        OZ_TRY(oz_buf_status(&part->bytes, err));
        out->value_len = (uint32_t)(part->bytes.len - out->value_at);
    }
    return OZ_OK;
}

static enum oz_status seal_lanes(struct oz_exchange *ex, uint32_t leg, uint32_t q,
                                 struct oz_sealed *sealed, struct oz_error *err)
{
    struct oz_lanes *lanes = &ex->inbox[leg][q].lanes;
    uint32_t e = ex->prg->entity_of[leg];
    if (!lanes->is_changed) return OZ_OK;
    oz_sealed_row(sealed, (uint8_t)e, q, "", 0, OZ_LANES_LAYOUT);
    struct oz_buf *buf = oz_sealed_begin(sealed, OZ_PART_LANES, err);
    if (!buf) return OZ_NO_MEMORY;
    oz_lanes_encode(lanes, buf);
    return oz_sealed_end(sealed, err);
}

enum oz_status oz_exchange_seal(struct oz_exchange *ex, const struct oz_source *source,
                                struct oz_outbox *box, struct oz_sealed *sealed,
                                struct oz_positions *next, struct oz_error *err)
{
    oz_outbox_reset(box);
    for (uint32_t leg = 0; leg + 1 < ex->n_legs; leg++)
        OZ_TRY(put_leg_marks(ex, leg, source, &box->part[0], err));
    for (uint32_t leg = 1; leg < ex->n_legs; leg++)
        for (uint32_t q = 0; q < ex->n_partitions; q++) {
            if (!ex->owned[q]) continue;
            struct inbox *in = &ex->inbox[leg][q];
            OZ_TRY(seal_lanes(ex, leg, q, sealed, err));
            next->source[position_of(ex, leg, q, next)] = oz_lanes_low(&in->lanes, in->read);
        }
    return OZ_OK;
}
