#include "state/sealed.h"
#include "base/hash.h"

static void store_u16be(uint8_t *to, uint32_t v) { to[0] = (uint8_t)(v >> 8), to[1] = (uint8_t)v; }
static void store_u32be(uint8_t *to, uint32_t v)
{
    store_u16be(to, v >> 16);
    store_u16be(to + 2, v & 0xffff);
}
static void store_u16le(uint8_t *to, uint32_t v) { to[0] = (uint8_t)v, to[1] = (uint8_t)(v >> 8); }
static void store_u32le(uint8_t *to, uint32_t v)
{
    store_u16le(to, v & 0xffff);
    store_u16le(to + 2, v >> 16);
}
static uint32_t load_u16le(const uint8_t *p) { return (uint32_t)(p[0] | p[1] << 8); }
static uint32_t load_u32le(const uint8_t *p) { return load_u16le(p) | load_u16le(p + 2) << 16; }

void oz_sealed_init(struct oz_sealed *sealed) { *sealed = (struct oz_sealed){0}; }

void oz_sealed_clear(struct oz_sealed *sealed)
{
    oz_buf_clear(&sealed->bytes);
    oz_free(sealed->part);
    oz_sealed_init(sealed);
}

void oz_sealed_reset(struct oz_sealed *sealed)
{
    oz_buf_reset(&sealed->bytes);
    sealed->n_parts = 0;
}

size_t oz_sealed_bytes(const struct oz_sealed *sealed)
{
    return sealed->bytes.cap + sealed->cap_parts * sizeof *sealed->part;
}

void oz_sealed_row(struct oz_sealed *sealed, uint8_t entity, uint32_t partition, const char *key,
                   uint32_t key_len, uint16_t layout)
{
    OZ_ASSERT(key_len <= OZ_ROW_KEY_BYTES_MAX);
    sealed->entity = entity;
    sealed->row_partition = partition;
    sealed->row_key = key;
    sealed->row_key_len = key_len;
    sealed->layout = layout;
}

size_t oz_part_key(uint8_t *to, const char *key, uint32_t key_len, uint32_t part)
{
    store_u16be(to, key_len);
    if (key_len) memcpy(to + 2, key, key_len);
    store_u32be(to + 2 + key_len, part);
    return (size_t)key_len + OZ_PART_KEY_EXTRA_BYTES;
}

/* The next part's place in the list, not yet counted, with its key in the buffer. */
static struct oz_part *add(struct oz_sealed *sealed, uint32_t part, struct oz_error *err)
{
    if (oz_grow((void **)&sealed->part, &sealed->cap_parts, sealed->n_parts + 1,
                sizeof *sealed->part, err))
        return NULL;
    size_t key_bytes = (size_t)sealed->row_key_len + OZ_PART_KEY_EXTRA_BYTES;
    uint8_t *to = oz_buf_room(&sealed->bytes, key_bytes);
    if (!to) {
        (void)oz_no_memory(err);
        return NULL;
    }
    struct oz_part *p = &sealed->part[sealed->n_parts];
    *p = (struct oz_part){.key_at = sealed->bytes.len,
                          .key_len = (uint32_t)key_bytes,
                          .partition = sealed->row_partition,
                          .entity = sealed->entity};
    sealed->bytes.len += oz_part_key(to, sealed->row_key, sealed->row_key_len, part);
    p->value_at = sealed->bytes.len;
    return p;
}

struct oz_buf *oz_sealed_begin(struct oz_sealed *sealed, uint32_t part, struct oz_error *err)
{
    if (!add(sealed, part, err)) return NULL;
    uint8_t *head = oz_buf_room(&sealed->bytes, OZ_PART_HEADER_BYTES);
    if (!head) {
        (void)oz_no_memory(err);
        return NULL;
    }
    sealed->bytes.len += OZ_PART_HEADER_BYTES;
    return &sealed->bytes;
}

enum oz_status oz_sealed_end(struct oz_sealed *sealed, struct oz_error *err)
{
    OZ_TRY(oz_buf_status(&sealed->bytes, err));
    struct oz_part *p = &sealed->part[sealed->n_parts];
    size_t len = sealed->bytes.len - p->value_at;
    if (len > OZ_PART_BYTES_MAX)
        OZ_FAIL(err, OZ_DEFECT, "a part of %zu bytes: a row's parts are bounded to %u bytes", len,
                (unsigned)OZ_PART_BYTES_MAX);
    p->value_len = (uint32_t)len;
    oz_part_close(sealed->bytes.data + p->value_at, len, sealed->layout);
    sealed->n_parts++;
    return OZ_OK;
}

enum oz_status oz_sealed_delete(struct oz_sealed *sealed, uint32_t part, struct oz_error *err)
{
    struct oz_part *p = add(sealed, part, err);
    if (!p) return OZ_NO_MEMORY;
    p->deleted = true;
    sealed->n_parts++;
    return OZ_OK;
}

enum oz_status oz_sealed_put(struct oz_sealed *sealed, uint8_t entity, uint32_t partition,
                             const uint8_t *key, uint32_t key_len, const uint8_t *value,
                             uint32_t value_len, struct oz_error *err)
{
    OZ_TRY(oz_grow((void **)&sealed->part, &sealed->cap_parts, sealed->n_parts + 1,
                   sizeof *sealed->part, err));
    struct oz_part *p = &sealed->part[sealed->n_parts];
    *p = (struct oz_part){.key_at = sealed->bytes.len,
                          .key_len = key_len,
                          .partition = partition,
                          .entity = entity,
                          .value_len = value ? value_len : 0,
                          .deleted = !value};
    oz_buf_put(&sealed->bytes, key, key_len);
    p->value_at = sealed->bytes.len;
    if (value) oz_buf_put(&sealed->bytes, value, value_len);
    OZ_TRY(oz_buf_status(&sealed->bytes, err));
    sealed->n_parts++;
    return OZ_OK;
}

void oz_part_close(uint8_t *value, size_t len, uint16_t layout)
{
    store_u16le(value + 4, OZ_PART_FORMAT);
    store_u16le(value + 6, layout);
    store_u32le(value, oz_crc32c(value + 4, len - 4));
}

enum oz_status oz_part_check(const uint8_t *value, size_t len, struct oz_error *err)
{
    if (len < OZ_PART_HEADER_BYTES)
        OZ_FAIL(err, OZ_CORRUPT, "a part of %zu bytes, shorter than its header of %d", len,
                OZ_PART_HEADER_BYTES);
    uint32_t want = load_u32le(value), have = oz_crc32c(value + 4, len - 4);
    if (want != have)
        OZ_FAIL(err, OZ_CORRUPT, "a part's bytes are damaged: checksum %08x, expected %08x", have,
                want);
    if (load_u16le(value + 4) != OZ_PART_FORMAT)
        OZ_FAIL(err, OZ_CORRUPT,
                "a part in format %u, and this version reads %d: run the version that wrote it",
                load_u16le(value + 4), OZ_PART_FORMAT);
    return OZ_OK;
}

uint16_t oz_part_layout(const uint8_t *value) { return load_u16le(value + 6); }

enum oz_status oz_part_open(const uint8_t *value, size_t len, uint16_t layout,
                            const uint8_t **ret_payload, size_t *ret_len, struct oz_error *err)
{
    OZ_TRY(oz_part_check(value, len, err));
    if (load_u16le(value + 6) != layout)
        OZ_FAIL(err, OZ_CORRUPT, "a part of layout %u, expected %u", load_u16le(value + 6), layout);
    *ret_payload = value + OZ_PART_HEADER_BYTES;
    *ret_len = len - OZ_PART_HEADER_BYTES;
    return OZ_OK;
}

enum oz_status oz_part_key_parse(const uint8_t *bytes, size_t len, const char **ret_key,
                                 uint32_t *ret_key_len, uint32_t *ret_part, struct oz_error *err)
{
    if (len < OZ_PART_KEY_EXTRA_BYTES)
        OZ_FAIL(err, OZ_CORRUPT, "a part's key of %zu bytes, at least %d expected", len,
                OZ_PART_KEY_EXTRA_BYTES);
    uint32_t key_len = (uint32_t)(bytes[0] << 8 | bytes[1]);
    if (key_len > OZ_ROW_KEY_BYTES_MAX || len != (size_t)key_len + OZ_PART_KEY_EXTRA_BYTES)
        OZ_FAIL(err, OZ_CORRUPT, "a part's key of %zu bytes does not hold a row key of %u", len,
                key_len);
    const uint8_t *p = bytes + 2 + key_len;
    uint32_t part = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    if (key_len == 0 && part != 0 && part != OZ_PART_LANES)
        OZ_FAIL(err, OZ_CORRUPT, "a part %u of an empty row key", part);
    *ret_key = (const char *)bytes + 2;
    *ret_key_len = key_len;
    *ret_part = part;
    return OZ_OK;
}
