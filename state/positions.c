#include "state/store.h"
#include <string.h>

/* The positions of a store: where each partition stands, and the form in which that is stored. */

enum { SHAPE_BYTES = 12, HEAD_BYTES = SHAPE_BYTES + 16 };

static void put_le(struct oz_buf *buf, uint64_t v, unsigned n_bytes)
{
    for (; n_bytes; n_bytes--, v >>= 8) oz_buf_put_u8(buf, (uint8_t)v);
}

static uint64_t load_le(const uint8_t *p, unsigned n_bytes)
{
    uint64_t v = 0;
    while (n_bytes--) v = v << 8 | p[n_bytes];
    return v;
}

enum oz_status oz_positions_init(struct oz_positions *pos, uint32_t n_partitions,
                                 uint32_t n_sources, uint32_t n_entities, struct oz_error *err)
{
    *pos = (struct oz_positions){0};
    if (n_partitions == 0 || n_partitions > OZ_PARTITIONS_MAX || n_sources > OZ_SOURCES_MAX ||
        n_entities > OZ_ENTITIES_MAX)
        OZ_FAIL(err, OZ_CONFIG,
                "%u partitions, %u sources, %u entities: at most %d, %d and %d are possible",
                n_partitions, n_sources, n_entities, OZ_PARTITIONS_MAX, OZ_SOURCES_MAX,
                OZ_ENTITIES_MAX);
    size_t n_source = (size_t)n_partitions * n_sources;
    size_t n_changelog = (size_t)n_partitions * n_entities;
    pos->source = oz_malloc((n_source + n_changelog) * sizeof *pos->source);
    if (!pos->source) return oz_no_memory(err);
    pos->changelog = pos->source + n_source;
    pos->n_partitions = n_partitions;
    pos->n_sources = n_sources;
    pos->n_entities = n_entities;
    oz_positions_reset(pos);
    return OZ_OK;
}

void oz_positions_reset(struct oz_positions *pos)
{
    size_t n = (size_t)pos->n_partitions * (pos->n_sources + pos->n_entities);
    for (size_t i = 0; i < n; i++)
        pos->source[i] = OZ_NO_OFFSET; /* the changelog's are behind them */
    pos->epoch = 0;
    pos->time_us = 0;
}

static bool any(const int64_t *offset, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (offset[i] != OZ_NO_OFFSET) return true;
    return false;
}

bool oz_positions_has(const struct oz_positions *pos, uint32_t p)
{
    return any(pos->source + (size_t)p * pos->n_sources, pos->n_sources) ||
           any(pos->changelog + (size_t)p * pos->n_entities, pos->n_entities);
}

void oz_positions_forget(struct oz_positions *pos, uint32_t p)
{
    for (uint32_t s = 0; s < pos->n_sources; s++)
        pos->source[(size_t)p * pos->n_sources + s] = OZ_NO_OFFSET;
    for (uint32_t e = 0; e < pos->n_entities; e++)
        pos->changelog[(size_t)p * pos->n_entities + e] = OZ_NO_OFFSET;
}

static bool same_shape(const struct oz_positions *a, const struct oz_positions *b)
{
    return a->n_partitions == b->n_partitions && a->n_sources == b->n_sources &&
           a->n_entities == b->n_entities;
}

void oz_positions_copy(struct oz_positions *pos, const struct oz_positions *from)
{
    OZ_ASSERT(same_shape(pos, from));
    size_t n = (size_t)from->n_partitions * (from->n_sources + from->n_entities);
    memcpy(pos->source, from->source, n * sizeof *from->source);
    pos->epoch = from->epoch;
    pos->time_us = from->time_us;
}

void oz_positions_clear(struct oz_positions *pos)
{
    oz_free(pos->source); /* the changelog's are behind them, in the same block */
    *pos = (struct oz_positions){0};
}

void oz_positions_encode(const struct oz_positions *pos, uint32_t partition,
                         struct oz_buf *ret_value)
{
    OZ_ASSERT(partition < pos->n_partitions);
    size_t at = ret_value->len;
    put_le(ret_value, 0, OZ_PART_HEADER_BYTES);
    put_le(ret_value, pos->n_partitions, 4);
    put_le(ret_value, pos->n_sources, 4);
    put_le(ret_value, pos->n_entities, 4);
    put_le(ret_value, pos->epoch, 8);
    put_le(ret_value, (uint64_t)pos->time_us, 8);
    for (uint32_t s = 0; s < pos->n_sources; s++)
        put_le(ret_value, (uint64_t)pos->source[(size_t)partition * pos->n_sources + s], 8);
    for (uint32_t e = 0; e < pos->n_entities; e++)
        put_le(ret_value, (uint64_t)pos->changelog[(size_t)partition * pos->n_entities + e], 8);
    if (!ret_value->failed)
        oz_part_close(ret_value->data + at, ret_value->len - at, OZ_STORE_OFFSETS);
}

enum oz_status oz_positions_init_like(struct oz_positions *pos, const uint8_t *value, size_t len,
                                      struct oz_error *err)
{
    const uint8_t *p;
    size_t n;
    OZ_TRY(oz_part_open(value, len, OZ_STORE_OFFSETS, &p, &n, err));
    if (n < HEAD_BYTES) OZ_FAIL(err, OZ_CORRUPT, "an offsets record of %zu bytes", n);
    return oz_positions_init(pos, (uint32_t)load_le(p, 4), (uint32_t)load_le(p + 4, 4),
                             (uint32_t)load_le(p + 8, 4), err);
}

static enum oz_status decode_offsets(int64_t *to, uint32_t n, const uint8_t *p,
                                     struct oz_error *err)
{
    for (uint32_t i = 0; i < n; i++) {
        to[i] = (int64_t)load_le(p + 8 * (size_t)i, 8);
        if (to[i] < OZ_NO_OFFSET)
            OZ_FAIL(err, OZ_CORRUPT, "an offset of %lld in an offsets record", (long long)to[i]);
    }
    return OZ_OK;
}

enum oz_status oz_positions_decode(struct oz_positions *pos, uint32_t partition,
                                   const uint8_t *value, size_t len, struct oz_error *err)
{
    OZ_ASSERT(partition < pos->n_partitions);
    const uint8_t *p;
    size_t n;
    OZ_TRY(oz_part_open(value, len, OZ_STORE_OFFSETS, &p, &n, err));
    if (n < HEAD_BYTES) OZ_FAIL(err, OZ_CORRUPT, "an offsets record of %zu bytes", n);
    uint32_t n_partitions = (uint32_t)load_le(p, 4), n_sources = (uint32_t)load_le(p + 4, 4),
             n_entities = (uint32_t)load_le(p + 8, 4);
    if (n_partitions != pos->n_partitions || n_sources != pos->n_sources ||
        n_entities != pos->n_entities)
        OZ_FAIL(err, OZ_STATE,
                "the local state is of %u partitions, %u sources and %u entities, the pipeline of "
                "%u, %u and %u",
                n_partitions, n_sources, n_entities, pos->n_partitions, pos->n_sources,
                pos->n_entities);
    if (n != HEAD_BYTES + 8 * ((size_t)n_sources + n_entities))
        OZ_FAIL(err, OZ_CORRUPT, "an offsets record of %zu bytes for %u sources and %u entities", n,
                n_sources, n_entities);
    uint64_t epoch = load_le(p + SHAPE_BYTES, 8);
    int64_t time_us = (int64_t)load_le(p + SHAPE_BYTES + 8, 8);
    p += HEAD_BYTES;
    OZ_TRY(decode_offsets(pos->source + (size_t)partition * n_sources, n_sources, p, err));
    p += 8 * (size_t)n_sources;
    OZ_TRY(decode_offsets(pos->changelog + (size_t)partition * n_entities, n_entities, p, err));
    pos->epoch = OZ_MAX(pos->epoch, epoch);
    pos->time_us = OZ_MAX(pos->time_us, time_us);
    return OZ_OK;
}
