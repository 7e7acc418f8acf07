#include "state/store_look.h"
#include <string.h>

enum { KEY_SHOWN_BYTES = 64 };
#define POOL_BYTES ((size_t)16 << 20)

static OZ_COLD void name_row(struct oz_error *err, const char *dir, const char *entity,
                             uint32_t partition, const char *key, uint32_t key_len)
{
    char shown[KEY_SHOWN_BYTES + 1];
    uint32_t n = OZ_MIN(key_len, (uint32_t)KEY_SHOWN_BYTES);
    for (uint32_t i = 0; i < n; i++) shown[i] = key[i] >= ' ' && key[i] <= '~' ? key[i] : '?';
    shown[n] = '\0';
    oz_error_prefix(err, "the state in %s, entity %s, partition %u, key '%s'", dir, entity,
                    partition, shown);
}

/* ---- parts */

struct scan {
    const struct oz_look *look;
    struct oz_store *store;
    enum oz_status status;
    struct oz_error *err;
};

static bool is_own(uint8_t entity) { return entity == OZ_STORE_OFFSETS || entity == OZ_STORE_META; }

static enum oz_status take_apart(const struct scan *scan, struct oz_bytes key,
                                 struct oz_bytes value, struct oz_stored_part *part,
                                 struct oz_error *err)
{
    const struct oz_look *look = scan->look;
    const char *dir = oz_store_dir(scan->store);
    if (key.len < OZ_STORE_KEY_HEAD_BYTES)
        OZ_FAIL(err, OZ_CORRUPT, "the state in %s has a key of %zu bytes", dir, key.len);
    *part = (struct oz_stored_part){.partition = (uint32_t)key.data[0] << 8 | key.data[1],
                                    .entity = key.data[2],
                                    .value = value};
    if (is_own(part->entity)) return OZ_OK;
    if (part->entity >= look->n_entities)
        OZ_FAIL(err, OZ_STATE, "the state in %s has rows of entity %u, the pipeline has %u", dir,
                part->entity, look->n_entities);
    const char *entity = look->entity_name[part->entity];
    if (oz_part_key_parse(key.data + OZ_STORE_KEY_HEAD_BYTES, key.len - OZ_STORE_KEY_HEAD_BYTES,
                          &part->key, &part->key_len, &part->part, err))
        return oz_error_prefix(err, "the state in %s, entity %s, partition %u", dir, entity,
                               part->partition);
    enum oz_status status = oz_part_check(value.data, value.len, err);
    if (status == OZ_OK) return OZ_OK;
    oz_error_prefix(err, "part %u", part->part);
    name_row(err, dir, entity, part->partition, part->key, part->key_len);
    return status;
}

static bool each_record(void *ctx, struct oz_bytes key, struct oz_bytes value)
{
    struct scan *scan = ctx;
    const struct oz_look *look = scan->look;
    struct oz_stored_part part;
    scan->status = take_apart(scan, key, value, &part, scan->err);
    if (scan->status == OZ_OK && !is_own(part.entity) && !part.key_len) return true; /* lanes */
    if (scan->status == OZ_OK)
        scan->status = look->part(look->ctx, &part, scan->err);
    else if (scan->status == OZ_CORRUPT && look->damaged)
        scan->status = look->damaged(look->ctx, scan->err);
    return scan->status == OZ_OK;
}

enum oz_status oz_look_parts(struct oz_store *store, struct oz_bytes prefix,
                             const struct oz_look *look, struct oz_error *err)
{
    struct oz_error own = {0};
    struct scan scan = {look, store, OZ_OK, err ? err : &own};
    OZ_TRY(oz_store_scan_prefix(store, prefix, each_record, &scan, err));
    return scan.status;
}

/* ---- positions */

enum oz_status oz_look_positions(struct oz_store *store, struct oz_positions *ret_pos,
                                 bool *ret_found, struct oz_error *err)
{
    struct oz_store_reader *reader;
    uint8_t key[OZ_PARTITIONS_MAX][OZ_STORE_KEY_HEAD_BYTES];
    struct oz_bytes keys[OZ_PARTITIONS_MAX], value[OZ_PARTITIONS_MAX];
    struct oz_positions pos = {0};
    OZ_TRY(oz_store_reader_new(store, &reader, err));
    for (uint32_t p = 0; p < OZ_PARTITIONS_MAX; p++) {
        key[p][0] = (uint8_t)(p >> 8);
        key[p][1] = (uint8_t)p;
        key[p][2] = OZ_STORE_OFFSETS;
        keys[p] = (struct oz_bytes){key[p], sizeof key[p]};
    }
    enum oz_status status = oz_store_get_many(reader, keys, OZ_PARTITIONS_MAX, value, err);
    for (uint32_t p = 0; p < OZ_PARTITIONS_MAX && status == OZ_OK; p++) {
        if (!value[p].data) continue;
        if (!pos.n_partitions)
            status = oz_positions_init_like(&pos, value[p].data, value[p].len, err);
        if (status == OZ_OK && p >= pos.n_partitions)
            status = oz_error_set(err, OZ_CORRUPT, "an offsets record of %u partitions",
                                  pos.n_partitions);
        if (status == OZ_OK)
            status = oz_positions_decode(&pos, p, value[p].data, value[p].len, err);
        if (status != OZ_OK)
            oz_error_prefix(err, "the state in %s, partition %u", oz_store_dir(store), p);
    }
    oz_store_reader_free(reader);
    if (status != OZ_OK) {
        oz_positions_clear(&pos);
        return status;
    }
    *ret_pos = pos;
    *ret_found = pos.n_partitions > 0;
    return OZ_OK;
}

/* ---- rows */

struct oz_row_look {
    struct oz_row_io io; /* first: a row's read() gets its address back */
    struct oz_store *store;
    const struct oz_row_kind *kind;
    const char *entity_name;
    uint8_t entity;
    struct oz_store_reader *main, *parts;
    void *row;
    bool there;
    uint32_t partition, key_len;
    char key[OZ_ROW_KEY_BYTES_MAX];
};

static enum oz_status get_part(struct oz_row_look *look, struct oz_store_reader *reader,
                               uint32_t part, const uint8_t **ret_payload, size_t *ret_len,
                               struct oz_error *err)
{
    uint8_t bytes[OZ_STORE_KEY_BYTES_MAX];
    struct oz_bytes value;
    struct oz_bytes key = {
        bytes, oz_store_key(bytes, look->partition, look->entity, look->key, look->key_len, part)};
    *ret_payload = NULL;
    *ret_len = 0;
    OZ_TRY(oz_store_get_many(reader, &key, 1, &value, err));
    if (!value.data) return OZ_OK;
    enum oz_status status = oz_row_kind_open(look->kind, &look->io, part, value.data, value.len,
                                             ret_payload, ret_len, err);
    if (status != OZ_OK) oz_error_prefix(err, "part %u", part);
    return status;
}

static enum oz_status read_part(struct oz_row_io *io, uint32_t part, const uint8_t **ret_payload,
                                size_t *ret_len, struct oz_error *err)
{
    struct oz_row_look *look = (struct oz_row_look *)io;
    io->reads++;
    return get_part(look, look->parts, part, ret_payload, ret_len, err);
}

enum oz_status oz_row_look_new(struct oz_store *store, const struct oz_row_kind *kind,
                               const char *entity_name, uint8_t entity,
                               struct oz_row_look **ret_look, struct oz_error *err)
{
    enum oz_status status;
    struct oz_row_look *look = oz_calloc(1, sizeof *look);
    if (!look) return oz_no_memory(err);
    look->store = store;
    look->kind = kind;
    look->entity_name = entity_name;
    look->entity = entity;
    look->io.read = read_part;
    look->io.epoch = 1;
    look->io.stored_epoch = UINT64_MAX; /* nothing changes: every part may go again */
    OZ_TRY_OUT(oz_pool_new(POOL_BYTES, &look->io.pool, err));
    OZ_TRY_OUT(oz_store_reader_new(store, &look->main, err));
    OZ_TRY_OUT(oz_store_reader_new(store, &look->parts, err));
    if (!(look->row = oz_calloc(1, kind->row_bytes))) {
        status = oz_no_memory(err);
        goto out;
    }
    *ret_look = look;
    return OZ_OK;
out:
    oz_row_look_free(look);
    return status;
}

static void let_go(struct oz_row_look *look)
{
    if (look->there) look->kind->clear(look->kind->ctx, look->row, look->io.pool);
    look->there = false;
}

void oz_row_look_free(struct oz_row_look *look)
{
    if (!look) return;
    let_go(look);
    oz_store_reader_free(look->main);
    oz_store_reader_free(look->parts);
    oz_free(look->row);
    oz_pool_free(look->io.pool);
    oz_free(look);
}

enum oz_status oz_row_look_get(struct oz_row_look *look, uint32_t partition, const char *key,
                               uint32_t key_len, void **ret_row, struct oz_row_io **ret_io,
                               struct oz_error *err)
{
    const uint8_t *payload;
    size_t len;
    let_go(look);
    *ret_row = NULL;
    *ret_io = &look->io;
    if (key_len == 0 || key_len > OZ_ROW_KEY_BYTES_MAX) return OZ_OK;
    memcpy(look->key, key, key_len);
    look->key_len = key_len;
    look->partition = partition;
    enum oz_status status = get_part(look, look->main, OZ_PART_MAIN, &payload, &len, err);
    if (status == OZ_OK && !payload) return OZ_OK;
    if (status == OZ_OK)
        status = look->kind->decode(look->kind->ctx, look->row, &look->io, payload, len, err);
    look->io.layout = 0;
    if (status != OZ_OK) {
        name_row(err, oz_store_dir(look->store), look->entity_name, partition, key, key_len);
        return status;
    }
    look->there = true;
    *ret_row = look->row;
    return OZ_OK;
}
