/* The store of the row tests: the parts of one row by number, filled from sealed sets, read through
 * the row's io. A part can be given out damaged. */
#ifndef OZ_TESTS_UNIT_FEATURES_PART_MAP_H
#define OZ_TESTS_UNIT_FEATURES_PART_MAP_H
#include <stdlib.h>
#include <string.h>
#include "state/row_kind.h"

struct part_map {
    struct oz_row_io io; /* first, so that an io is its map */
    struct part_map_slot {
        uint8_t *data; /* NULL: deleted */
        size_t len;
        uint32_t number;
    } * part; /* by number: a row from hostile bytes gives its new parts any number */
    uint32_t n_parts, cap;
    uint32_t damaged_part; /* UINT32_MAX: none */
    uint8_t *damaged;
    size_t damaged_len;
    uint64_t written, written_bytes, deleted;
};

/* The first slot whose number is not below `part`. */
static uint32_t part_map_slot(const struct part_map *map, uint32_t part)
{
    uint32_t low = 0, high = map->n_parts;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (map->part[mid].number < part)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static enum oz_status part_map_read(struct oz_row_io *io, uint32_t part,
                                    const uint8_t **ret_payload, size_t *ret_len,
                                    struct oz_error *err)
{
    struct part_map *map = (struct part_map *)io;
    (void)err;
    *ret_payload = NULL;
    *ret_len = 0;
    uint32_t at = part_map_slot(map, part);
    if (part == map->damaged_part) {
        *ret_payload = map->damaged;
        *ret_len = map->damaged_len;
    } else if (at < map->n_parts && map->part[at].number == part && map->part[at].data) {
        *ret_payload = map->part[at].data;
        *ret_len = map->part[at].len;
        io->reads++;
        io->read_bytes += *ret_len;
    }
    return OZ_OK;
}

static void part_map_init(struct part_map *map, struct oz_pool *pool)
{
    *map = (struct part_map){.damaged_part = UINT32_MAX};
    map->io = (struct oz_row_io){.pool = pool, .epoch = 1, .read = part_map_read};
}

static void part_map_clear(struct part_map *map)
{
    for (uint32_t i = 0; i < map->n_parts; i++) free(map->part[i].data);
    free(map->part);
    map->part = NULL;
    map->n_parts = map->cap = 0;
}

static void part_map_set(struct part_map *map, uint32_t part, const uint8_t *data, size_t len)
{
    uint32_t at = part_map_slot(map, part);
    if (at == map->n_parts || map->part[at].number != part) {
        if (map->n_parts == map->cap) {
            map->cap = map->cap * 2 + 16;
            map->part = realloc(map->part, map->cap * sizeof *map->part);
        }
        memmove(map->part + at + 1, map->part + at, (map->n_parts - at) * sizeof *map->part);
        map->part[at] = (struct part_map_slot){.number = part};
        map->n_parts++;
    }
    struct part_map_slot *slot = &map->part[at];
    free(slot->data);
    slot->data = NULL;
    slot->len = 0;
    if (!data) return;
    slot->data = malloc(len + 1);
    memcpy(slot->data, data, len);
    slot->len = len;
}

/* What an epoch does: seals the row, takes over the parts, begins the next epoch. */
static enum oz_status part_map_store(struct part_map *map, const struct oz_row_kind *kind,
                                     void *row, struct oz_error *err)
{
    static struct oz_sealed sealed;
    oz_sealed_reset(&sealed);
    oz_sealed_row(&sealed, 0, 0, "k", 1, 7);
    OZ_TRY(kind->encode(kind->ctx, row, &map->io, &sealed, err));
    for (size_t i = 0; i < sealed.n_parts; i++) {
        const struct oz_part *p = &sealed.part[i];
        const char *key;
        uint32_t key_len, part;
        OZ_TRY(oz_part_key_parse(sealed.bytes.data + p->key_at, p->key_len, &key, &key_len, &part,
                                 err));
        if (p->deleted) {
            part_map_set(map, part, NULL, 0);
            map->deleted++;
            continue;
        }
        const uint8_t *payload;
        size_t len;
        OZ_TRY(oz_part_open(sealed.bytes.data + p->value_at, p->value_len, 7, &payload, &len, err));
        part_map_set(map, part, payload, len);
        map->written++;
        map->written_bytes += p->key_len + p->value_len;
    }
    map->io.stored_epoch = map->io.epoch++;
    return OZ_OK;
}

/* The number of the first part that differs, or -1. */
static __attribute__((unused)) int64_t part_map_difference(const struct part_map *a,
                                                           const struct part_map *b)
{
    for (uint32_t i = 0, j = 0;;) {
        while (i < a->n_parts && !a->part[i].data) i++;
        while (j < b->n_parts && !b->part[j].data) j++;
        const struct part_map_slot *x = i < a->n_parts ? &a->part[i] : NULL;
        const struct part_map_slot *y = j < b->n_parts ? &b->part[j] : NULL;
        if (!x && !y) return -1;
        if (!x || (y && y->number < x->number)) return y->number;
        if (!y || x->number < y->number || x->len != y->len || memcmp(x->data, y->data, x->len))
            return x->number;
        i++, j++;
    }
}
#endif
