/* The store of the row tests: the parts of one row by number, filled from sealed sets, read through
 * the row's io. A part can be given out damaged. */
#ifndef OZ_TESTS_UNIT_FEATURES_PART_MAP_H
#define OZ_TESTS_UNIT_FEATURES_PART_MAP_H
#include <stdlib.h>
#include <string.h>
#include "state/row_kind.h"

struct part_map {
    struct oz_row_io io; /* first, so that an io is its map */
    struct {
        uint8_t *data;
        size_t len;
    } * part;
    uint32_t n_parts;
    uint32_t damaged_part; /* UINT32_MAX: none */
    uint8_t *damaged;
    size_t damaged_len;
    uint64_t written, written_bytes, deleted;
};

static enum oz_status part_map_read(struct oz_row_io *io, uint32_t part,
                                    const uint8_t **ret_payload, size_t *ret_len,
                                    struct oz_error *err)
{
    struct part_map *map = (struct part_map *)io;
    (void)err;
    *ret_payload = NULL;
    *ret_len = 0;
    if (part == map->damaged_part) {
        *ret_payload = map->damaged;
        *ret_len = map->damaged_len;
    } else if (part < map->n_parts && map->part[part].data) {
        *ret_payload = map->part[part].data;
        *ret_len = map->part[part].len;
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
    map->n_parts = 0;
}

static void part_map_set(struct part_map *map, uint32_t part, const uint8_t *data, size_t len)
{
    if (part >= map->n_parts) {
        uint32_t n = part * 2 + 16;
        map->part = realloc(map->part, n * sizeof *map->part);
        memset(map->part + map->n_parts, 0, (n - map->n_parts) * sizeof *map->part);
        map->n_parts = n;
    }
    free(map->part[part].data);
    map->part[part].data = NULL;
    map->part[part].len = 0;
    if (!data) return;
    map->part[part].data = malloc(len + 1);
    memcpy(map->part[part].data, data, len);
    map->part[part].len = len;
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
static __attribute__((unused)) int part_map_difference(const struct part_map *a,
                                                       const struct part_map *b)
{
    for (uint32_t i = 0; i < a->n_parts || i < b->n_parts; i++) {
        size_t na = i < a->n_parts ? a->part[i].len : 0, nb = i < b->n_parts ? b->part[i].len : 0;
        if (na != nb || (na && memcmp(a->part[i].data, b->part[i].data, na))) return (int)i;
    }
    return -1;
}
#endif
