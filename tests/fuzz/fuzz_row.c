/* Stored rows from hostile bytes: the main part, the index, pages and chunks, then events on top,
 * half of them under a ttl, and the row's end; rows of the plan's own layout, and of another plan's
 * that is read as an older definition. Whatever the bytes, the answer is another row or a clear
 * error.
 * Input: u8 plan (64 and more: the rows are of the plan behind it) | u8 events
 *        | parts {u16le number | u16le length | bytes} ...
 * The parts' checksums lie outside (tests/fuzz/fuzz_part.c). Blocks are small, so that few bytes
 * reach chunks and pages. */
#include <stdlib.h>
#include <string.h>
#include "base/json_writer.h"
#include "features/row_retire.h"
#include "tests/unit/features/part_map.h"
#include "tests/unit/features/window_twin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct plan {
    struct twin_plan plan;
    struct oz_row_layout *layout;
    struct oz_row_kind kind;
    struct oz_named_layout named;
    struct oz_row_reading *reading; /* of the next plan's rows */
} plans[64];
static struct oz_arena arena;

/* Two plans share the sources and, by their kinds, values. */
static void name_plan(struct plan *p)
{
    static const char *const source[] = {"a", "b", "c"};
    static const char *const value[][5] = {{"d0", "d1", "d2", "d3", "d4"},
                                           {"f0", "f1", "f2", "f3", "f4"},
                                           {"m0", "m1", "m2", "m3", "m4"},
                                           {"k0", "k1", "k2", "k3", "k4"}};
    p->named.layout = p->layout;
    for (uint32_t i = 0; i < p->layout->n_rings; i++) {
        p->named.source[i] = source[i];
        for (uint32_t v = 0; v < p->layout->ring[i].n_values; v++)
            p->named.value[i][v] = value[p->layout->ring[i].value[v].kind][v];
    }
}

static void read_next(struct plan *p, const struct plan *next)
{
    bool same_ids = true;
    for (uint32_t i = 0; i < OZ_MIN(p->layout->n_rings, next->layout->n_rings); i++)
        same_ids &= p->layout->ring[i].id_words == next->layout->ring[i].id_words;
    if (!same_ids) return; /* a definition with other ids is refused */
    if (oz_row_reading_new(&next->named, &p->named, &arena, &p->reading, NULL)) abort();
    p->layout->reading = (const struct oz_row_reading *const *)&p->reading;
    p->layout->n_readings = 1;
}

static void make_plans(void)
{
    if (plans[0].layout) return;
    oz_arena_init(&arena, 1 << 16);
    for (uint32_t i = 0; i < OZ_COUNT_OF(plans); i++) {
        struct plan *p = &plans[i];
        twin_seed = i;
        random_plan(&p->plan);
        if (oz_row_layout_new(&p->plan.entity, &arena, &p->layout, &p->kind, NULL)) abort();
        oz_row_layout_set_block_events(p->layout, p->plan.block_events, p->plan.page_chunks);
        bool for_ever;
        int64_t use_us = oz_row_layout_use_us(p->layout, &for_ever);
        oz_row_layout_set_lifetime(p->layout, 5 * p->plan.unit, i % 2 ? use_us : 0);
        name_plan(p);
    }
    for (uint32_t i = 0; i < OZ_COUNT_OF(plans); i++)
        read_next(&plans[i], &plans[(i + 1) % OZ_COUNT_OF(plans)]);
}

static void take_parts(struct part_map *map, const uint8_t *data, size_t size)
{
    while (size >= 4) {
        uint32_t part = (uint32_t)(data[0] | data[1] << 8) % 4096;
        size_t len = (size_t)(data[2] | data[3] << 8);
        data += 4, size -= 4;
        if (len > size) len = size;
        part_map_set(map, part, data, len);
        data += len, size -= len;
    }
}

static enum oz_status push_some(const struct plan *p, void *row, struct part_map *map, unsigned n,
                                struct oz_error *err)
{
    const struct oz_entity_plan *entity = &p->plan.entity;
    int64_t now = ((const struct oz_row *)row)->last_us;
    if (now == OZ_TIME_NONE) now = 0;
    for (unsigned i = 0; i < n; i++) {
        uint64_t value[OZ_RING_VALUES_MAX];
        double out[10];
        unsigned flags;
        struct oz_row_event e = {.ring = below(entity->n_rings), .value = value};
        e.time_us = now + ((int64_t)below(60) - 40) * p->plan.unit;
        e.id[0] = below(8);
        for (uint32_t k = 0; k < entity->ring[e.ring].n_values; k++)
            value[k] = random_value(&entity->ring[e.ring].value[k], 1);
        if (e.time_us > now) now = e.time_us;
        enum oz_status status = oz_row_push(p->layout, row, &map->io, &e, out, &flags, err);
        if (status == OZ_RECORD) continue; /* a time out of range */
        OZ_TRY(status);
        if (i % 8 == 7) OZ_TRY(part_map_store(map, &p->kind, row, err));
    }
    return OZ_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    make_plans();
    if (size < 2) return 0;
    const struct plan *p = &plans[data[0] % OZ_COUNT_OF(plans)];
    struct oz_pool *pool;
    struct part_map map;
    struct oz_error err = {0};
    if (oz_pool_new(64, &pool, NULL)) abort();
    part_map_init(&map, pool);
    take_parts(&map, data + 2, size - 2);
    void *row = calloc(1, p->kind.row_bytes);
    twin_seed = data[1];
    const uint8_t *bytes;
    size_t len;
    enum oz_status status = map.io.read(&map.io, 0, &bytes, &len, &err);
    if (bytes) {
        uint8_t *copy = malloc(len ? len : 1);
        memcpy(copy, bytes, len);
        int64_t last_us;
        (void)oz_row_peek_use(p->layout, copy, len, &last_us);
        map.io.layout = data[0] >= OZ_COUNT_OF(plans) && p->reading;
        status = p->kind.decode(p->kind.ctx, row, &map.io, copy, len, &err);
        free(copy);
        map.io.layout = 0;
        if (!status) status = push_some(p, row, &map, data[1] % 64, &err);
        if (!status) {
            struct oz_buf buf;
            struct oz_json json;
            oz_buf_init(&buf);
            oz_json_init(&json, &buf);
            status = oz_row_dump(p->layout, row, &map.io, NULL, &json, &err);
            oz_buf_clear(&buf);
        }
        if (!status) status = oz_row_retire(p->layout, row, &map.io, &err);
        if (!status && !oz_row_is_empty(p->layout, row)) abort();
        if (!status) status = part_map_store(&map, &p->kind, row, &err);
        if (status && (status != OZ_CORRUPT || !err.message[0])) abort();
        p->kind.clear(p->kind.ctx, row, pool);
    }
    free(row);
    part_map_clear(&map);
    if (oz_pool_used_bytes(pool)) abort();
    oz_pool_free(pool);
    return 0;
}
