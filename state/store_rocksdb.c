#include "state/store.h"
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "state/damage.h"
#include "state/folder_lock.h"
#include "state/key_sort.h"
#include "state/store_files.h"

enum {
    BLOOM_BITS = 10,
    OPEN_FILES_MAX = 512,
    BACKGROUND_JOBS = 2,
    MEMTABLES_MAX = 3,
    NO_INFO_LOG = 6, /* above every level */
    LEVELS = 7,
    LEVELS_UNCOMPRESSED = 2,
    VIEW_TRIES = 40,
};
#define MEMTABLE_BYTES_MIN    ((size_t)1 << 20)
#define MEMTABLE_BYTES_MAX    ((size_t)64 << 20)
#define BLOCK_CACHE_BYTES_MIN ((size_t)1 << 20)
#define FILTER_SHARE          0.02 /* of a memtable, for its filter: most cold keys are not in it */

struct oz_store {
    char *dir;
    int lock_fd;
    rocksdb_t *db;
    rocksdb_column_family_handle_t *rows;
    rocksdb_cache_t *cache;
    rocksdb_options_t *options;
    rocksdb_readoptions_t *read;
    rocksdb_writeoptions_t *write;
    rocksdb_writebatch_t *batch;
    struct oz_sort_key *due; /* of the write that is under way */
    size_t cap_due;
    struct oz_buf value;
    _Atomic uint64_t n_gets;
    _Atomic bool is_damaged;
};

struct oz_store_reader {
    struct oz_store *store;
    struct oz_sort_key *order;
    const char **key;
    size_t *key_len;
    rocksdb_pinnableslice_t **value;
    char **problem;
    size_t cap, n_held;
};

void oz_store_damaged(struct oz_store *store, const char *why)
{
    if (store->lock_fd < 0 || atomic_exchange(&store->is_damaged, true)) return;
    oz_damage_note(store->dir, why);
}

bool oz_store_is_damaged(const struct oz_store *store) { return atomic_load(&store->is_damaged); }

/* RocksDB's words under ours; it starts them with the kind of failure. A file that it misses is
 * damage, one that it cannot read is the disk's matter. Frees the text. */
static OZ_COLD enum oz_status rocksdb_failed(struct oz_store *store, char *text,
                                             struct oz_error *err)
{
    bool corrupt = !strncmp(text, "Corruption", 10) || strstr(text, "No such file");
    enum oz_status status = oz_error_set(
        err, corrupt ? OZ_CORRUPT : OZ_IO, "the state in %s: %s%s", store->dir, text,
        strstr(text, "No space left") ? "; make room and start again, nothing is lost" : "");
    if (corrupt) oz_store_damaged(store, text);
    rocksdb_free(text);
    return status;
}

/* A record of ours whose bytes are off. */
static OZ_COLD enum oz_status record_damaged(struct oz_store *store, enum oz_status status,
                                             const char *what, struct oz_error *err)
{
    if (status == OZ_CORRUPT) oz_store_damaged(store, what);
    oz_error_prefix(err, "the state in %s, %s", store->dir, what);
    return status;
}

static void set_table_options(struct oz_store *store, size_t cache_bytes)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    store->cache = rocksdb_cache_create_lru(cache_bytes);
    rocksdb_block_based_options_set_block_cache(table, store->cache);
    rocksdb_block_based_options_set_filter_policy(table,
                                                  rocksdb_filterpolicy_create_bloom(BLOOM_BITS));
    rocksdb_block_based_options_set_format_version(table, 5);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
    rocksdb_options_set_block_based_table_factory(store->options, table);
    rocksdb_block_based_options_destroy(table);
}

/* Memtables take up to 3/8 of the memory, the block cache the rest. Rows are packed when they get
 * here: the two levels that are written most stay uncompressed, lower ones are for the disk's sake.
 */
static void set_options(struct oz_store *store, size_t memory_bytes)
{
    rocksdb_options_t *o = store->options = rocksdb_options_create();
    size_t memtable = OZ_MIN(OZ_MAX(memory_bytes / 8, MEMTABLE_BYTES_MIN), MEMTABLE_BYTES_MAX);
    size_t all = memtable * MEMTABLES_MAX;
    size_t cache =
        memory_bytes > all + BLOCK_CACHE_BYTES_MIN ? memory_bytes - all : BLOCK_CACHE_BYTES_MIN;
    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_write_buffer_size(o, memtable);
    rocksdb_options_set_max_write_buffer_number(o, MEMTABLES_MAX);
    rocksdb_options_set_memtable_whole_key_filtering(o, 1);
    rocksdb_options_set_memtable_prefix_bloom_size_ratio(o, FILTER_SHARE);
    rocksdb_options_set_allow_concurrent_memtable_write(o, 0);
    rocksdb_options_set_max_background_jobs(o, BACKGROUND_JOBS);
    rocksdb_options_set_max_open_files(o, OPEN_FILES_MAX);
    rocksdb_options_set_bytes_per_sync(o, 1 << 20);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
    int compression[LEVELS];
    for (int i = 0; i < LEVELS; i++)
        compression[i] = i < LEVELS_UNCOMPRESSED ? rocksdb_no_compression : rocksdb_lz4_compression;
    rocksdb_options_set_compression_per_level(o, compression, LEVELS);
    /* On a full disk RocksDB 7.8, as Debian builds it, asserts that it could write its log. */
    rocksdb_options_set_info_log_level(o, NO_INFO_LOG);
    rocksdb_options_set_keep_log_file_num(o, 1);
    rocksdb_options_set_stats_dump_period_sec(o, 0);
    set_table_options(store, cache);
    store->read = rocksdb_readoptions_create();
    store->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_memtable_insert_hint_per_batch(store->write, 1);
    store->batch = rocksdb_writebatch_create();
}

static enum oz_status open_rocksdb(struct oz_store *store, bool read_only, struct oz_error *err)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/rows", store->dir);
    if (n < 0 || (size_t)n >= sizeof path)
        OZ_FAIL(err, OZ_CONFIG, "the path of the state folder is too long: %s", store->dir);
    const char *name = "default"; /* opened by name, as only that gives a handle for multi-gets */
    const rocksdb_options_t *options = store->options;
    char *text = NULL;
    if (read_only)
        store->db = rocksdb_open_for_read_only_column_families(store->options, path, 1, &name,
                                                               &options, &store->rows, 0, &text);
    else
        store->db = rocksdb_open_column_families(store->options, path, 1, &name, &options,
                                                 &store->rows, &text);
    return text ? rocksdb_failed(store, text, err) : OZ_OK;
}

static void close_rocksdb(struct oz_store *store)
{
    if (store->rows) rocksdb_column_family_handle_destroy(store->rows);
    if (store->db) rocksdb_close(store->db);
    store->rows = NULL;
    store->db = NULL;
}

/* Opened beside a writer, RocksDB may read its list of files, and then a log is gone that a flush
 * has made superfluous in between: the view would have a hole, without a word. So a view counts
 * only when the list is the same after as before. All files are opened at once, and stay readable
 * when the writer removes them. */
static enum oz_status open_view(struct oz_store *store, struct oz_error *err)
{
    struct oz_store_stamp before, after;
    rocksdb_options_set_max_open_files(store->options, -1);
    for (int i = 0; i < VIEW_TRIES; i++) {
        OZ_TRY(oz_store_stamp(store->dir, &before, err));
        enum oz_status status = open_rocksdb(store, true, err);
        OZ_TRY(oz_store_stamp(store->dir, &after, err));
        if (oz_store_stamp_same(&before, &after)) return status;
        close_rocksdb(store);
        oz_store_stamp_wait(i);
    }
    OZ_FAIL(err, OZ_RETRY,
            "the state in %s is being reorganised: it changed each of the %d times that it was "
            "opened; try again",
            store->dir, VIEW_TRIES);
}

static enum oz_status make_store(const char *dir, struct oz_store **ret_store, struct oz_error *err)
{
    struct oz_store *store = *ret_store = oz_calloc(1, sizeof *store);
    if (!store) return oz_no_memory(err);
    store->lock_fd = -1;
    store->dir = oz_strdup(dir);
    return store->dir ? OZ_OK : oz_no_memory(err);
}

static enum oz_status open_trusted(struct oz_store *store, struct oz_error *err)
{
    char why[OZ_DAMAGE_WORDS];
    if (!oz_damage_noted(store->dir, why)) return open_rocksdb(store, false, err);
    OZ_FAIL(err, OZ_CORRUPT, "the last run found damage: %s", why);
}

static enum oz_status open_for_writing(struct oz_store *store, size_t memory_bytes,
                                       bool may_rebuild, struct oz_error *err)
{
    struct oz_error why = {0};
    OZ_TRY(oz_folder_lock(store->dir, &store->lock_fd, err));
    set_options(store, memory_bytes);
    enum oz_status status = open_trusted(store, &why);
    if (status != OZ_OK && status != OZ_CORRUPT) OZ_FAIL(err, status, "%s", why.message);
    if (status == OZ_OK) return OZ_OK;
    if (!may_rebuild)
        OZ_FAIL(err, OZ_STATE,
                "the state in %s is damaged, and without exactly once it cannot be rebuilt; bring "
                "a copy of the folder back, or delete it, the changelog topics and the group to "
                "begin with empty state (%s)",
                store->dir, why.message);
    oz_warn("the state in %s is damaged: it is thrown away and rebuilt from the changelog (%s)",
            store->dir, why.message);
    OZ_TRY(oz_damage_clear(store->dir, err));
    atomic_store(&store->is_damaged, false);
    return open_rocksdb(store, false, err);
}

enum oz_status oz_store_open(const char *dir, size_t memory_bytes, bool may_rebuild,
                             struct oz_store **ret_store, struct oz_error *err)
{
    struct oz_store *store;
    enum oz_status status = make_store(dir, &store, err);
    if (status == OZ_OK) status = open_for_writing(store, memory_bytes, may_rebuild, err);
    if (status == OZ_OK)
        *ret_store = store;
    else
        oz_store_close(store);
    return status;
}

enum oz_status oz_store_open_read_only(const char *dir, size_t memory_bytes,
                                       struct oz_store **ret_store, struct oz_error *err)
{
    struct oz_store *store;
    enum oz_status status = make_store(dir, &store, err);
    if (status == OZ_OK) status = oz_folder_check(dir, err);
    if (status == OZ_OK) {
        set_options(store, memory_bytes);
        status = open_view(store, err);
    }
    if (status == OZ_OK)
        *ret_store = store;
    else
        oz_store_close(store);
    return status;
}

void oz_store_close(struct oz_store *store)
{
    if (!store) return;
    close_rocksdb(store);
    if (store->batch) rocksdb_writebatch_destroy(store->batch);
    if (store->write) rocksdb_writeoptions_destroy(store->write);
    if (store->read) rocksdb_readoptions_destroy(store->read);
    if (store->options) rocksdb_options_destroy(store->options);
    if (store->cache) rocksdb_cache_destroy(store->cache);
    oz_folder_unlock(store->lock_fd);
    oz_buf_clear(&store->value);
    oz_free(store->due);
    oz_free(store->dir);
    oz_free(store);
}

const char *oz_store_dir(const struct oz_store *store) { return store->dir; }

uint64_t oz_store_gets(const struct oz_store *store)
{
    return atomic_load_explicit(&store->n_gets, memory_order_relaxed);
}

static void key_head(uint8_t to[OZ_STORE_KEY_HEAD_BYTES], uint32_t partition, uint8_t entity)
{
    to[0] = (uint8_t)(partition >> 8);
    to[1] = (uint8_t)partition;
    to[2] = entity;
}

size_t oz_store_key(uint8_t *to, uint32_t partition, uint8_t entity, const char *key,
                    uint32_t key_len, uint32_t part)
{
    OZ_ASSERT(key_len <= OZ_ROW_KEY_BYTES_MAX);
    key_head(to, partition, entity);
    return OZ_STORE_KEY_HEAD_BYTES + oz_part_key(to + OZ_STORE_KEY_HEAD_BYTES, key, key_len, part);
}

enum oz_status oz_store_reader_new(struct oz_store *store, struct oz_store_reader **ret_reader,
                                   struct oz_error *err)
{
    struct oz_store_reader *reader = oz_calloc(1, sizeof *reader);
    if (!reader) return oz_no_memory(err);
    reader->store = store;
    *ret_reader = reader;
    return OZ_OK;
}

static void let_go(struct oz_store_reader *reader)
{
    for (size_t i = 0; i < reader->n_held; i++)
        if (reader->value[i]) rocksdb_pinnableslice_destroy(reader->value[i]);
    reader->n_held = 0;
}

void oz_store_reader_free(struct oz_store_reader *reader)
{
    if (!reader) return;
    let_go(reader);
    oz_free(reader->order);
    oz_free(reader->key);
    oz_free(reader->key_len);
    oz_free(reader->value);
    oz_free(reader->problem);
    oz_free(reader);
}

static enum oz_status grow_one(void **items, size_t cap, size_t n, size_t each,
                               struct oz_error *err)
{
    return oz_grow(items, &cap, n, each, err);
}

static enum oz_status reader_grow(struct oz_store_reader *reader, size_t n, struct oz_error *err)
{
    if (n <= reader->cap) return OZ_OK;
    size_t cap = reader->cap, want = OZ_MAX(n, 2 * cap);
    OZ_TRY(grow_one((void **)&reader->order, cap, want, sizeof *reader->order, err));
    OZ_TRY(grow_one((void **)&reader->key, cap, want, sizeof *reader->key, err));
    OZ_TRY(grow_one((void **)&reader->key_len, cap, want, sizeof *reader->key_len, err));
    OZ_TRY(grow_one((void **)&reader->value, cap, want, sizeof *reader->value, err));
    OZ_TRY(grow_one((void **)&reader->problem, cap, want, sizeof *reader->problem, err));
    reader->cap = want;
    return OZ_OK;
}

/* The first problem is told, the others' texts are freed. */
static enum oz_status first_problem(struct oz_store_reader *reader, size_t n, struct oz_error *err)
{
    enum oz_status status = OZ_OK;
    for (size_t i = 0; i < n; i++) {
        if (!reader->problem[i]) continue;
        if (status == OZ_OK)
            status = rocksdb_failed(reader->store, reader->problem[i], err);
        else
            rocksdb_free(reader->problem[i]);
    }
    return status;
}

enum oz_status oz_store_get_many(struct oz_store_reader *reader, const struct oz_bytes *key,
                                 size_t n, struct oz_bytes *ret_value, struct oz_error *err)
{
    let_go(reader);
    if (n == 0) return OZ_OK;
    struct oz_store *store = reader->store;
    OZ_TRY(reader_grow(reader, n, err));
    for (size_t i = 0; i < n; i++)
        oz_sort_key_set(&reader->order[i], NULL, 0, key[i].data, key[i].len, (uint32_t)i);
    oz_sort_keys(reader->order, n);
    for (size_t i = 0; i < n; i++) {
        const struct oz_bytes *k = &key[reader->order[i].number];
        reader->key[i] = (const char *)k->data;
        reader->key_len[i] = k->len;
        reader->value[i] = NULL;
        reader->problem[i] = NULL;
    }
    rocksdb_batched_multi_get_cf(store->db, store->read, store->rows, n, reader->key,
                                 reader->key_len, reader->value, reader->problem, true);
    reader->n_held = n;
    atomic_fetch_add_explicit(&store->n_gets, n, memory_order_relaxed);
    OZ_TRY(first_problem(reader, n, err));
    for (size_t i = 0; i < n; i++) {
        struct oz_bytes *value = &ret_value[reader->order[i].number];
        *value = (struct oz_bytes){0};
        if (reader->value[i])
            value->data =
                (const uint8_t *)rocksdb_pinnableslice_value(reader->value[i], &value->len);
    }
    return OZ_OK;
}

/* All parts of all sets, sorted by key; the number counts them through, so the last one of equal
 * keys is the one that was sealed last. */
static enum oz_status gather(struct oz_store *store, const struct oz_sealed *const *sealed,
                             size_t n_sealed, size_t *ret_n, struct oz_error *err)
{
    size_t n = 0;
    for (size_t s = 0; s < n_sealed; s++) n += sealed[s]->n_parts;
    if (n > UINT32_MAX) OZ_FAIL(err, OZ_DEFECT, "%zu parts are due for one write", n);
    OZ_TRY(oz_grow((void **)&store->due, &store->cap_due, n, sizeof *store->due, err));
    uint32_t at = 0;
    for (size_t s = 0; s < n_sealed; s++)
        for (size_t i = 0; i < sealed[s]->n_parts; i++, at++) {
            const struct oz_part *p = &sealed[s]->part[i];
            OZ_ASSERT(p->partition < OZ_PARTITIONS_MAX && p->entity < OZ_STORE_OFFSETS);
            uint8_t head[OZ_STORE_KEY_HEAD_BYTES];
            key_head(head, p->partition, p->entity);
            oz_sort_key_set(&store->due[at], head, sizeof head, sealed[s]->bytes.data + p->key_at,
                            p->key_len, at);
        }
    oz_sort_keys(store->due, n);
    *ret_n = n;
    return OZ_OK;
}

static void add_part(struct oz_store *store, const struct oz_sealed *sealed,
                     const struct oz_part *part)
{
    char key[OZ_STORE_KEY_BYTES_MAX];
    OZ_ASSERT(part->key_len <= sizeof key - OZ_STORE_KEY_HEAD_BYTES);
    key_head((uint8_t *)key, part->partition, part->entity);
    memcpy(key + OZ_STORE_KEY_HEAD_BYTES, sealed->bytes.data + part->key_at, part->key_len);
    size_t key_len = OZ_STORE_KEY_HEAD_BYTES + part->key_len;
    if (part->deleted)
        rocksdb_writebatch_delete(store->batch, key, key_len);
    else
        rocksdb_writebatch_put(store->batch, key, key_len,
                               (const char *)sealed->bytes.data + part->value_at, part->value_len);
}

static enum oz_status add_positions(struct oz_store *store, const struct oz_positions *pos,
                                    struct oz_error *err)
{
    for (uint32_t p = 0; p < pos->n_partitions; p++) {
        uint8_t key[OZ_STORE_KEY_HEAD_BYTES];
        if (!oz_positions_has(pos, p)) continue;
        key_head(key, p, OZ_STORE_OFFSETS);
        oz_buf_reset(&store->value);
        oz_positions_encode(pos, p, &store->value);
        OZ_TRY(oz_buf_status(&store->value, err));
        rocksdb_writebatch_put(store->batch, (const char *)key, sizeof key,
                               (const char *)store->value.data, store->value.len);
    }
    return OZ_OK;
}

static enum oz_status write_batch(struct oz_store *store, struct oz_error *err)
{
    char *text = NULL;
    rocksdb_write(store->db, store->write, store->batch, &text);
    return text ? rocksdb_failed(store, text, err) : OZ_OK;
}

enum oz_status oz_store_write(struct oz_store *store, const struct oz_sealed *const *sealed,
                              size_t n_sealed, const struct oz_positions *pos, struct oz_error *err)
{
    size_t n = 0;
    OZ_TRY(gather(store, sealed, n_sealed, &n, err));
    rocksdb_writebatch_clear(store->batch);
    for (size_t i = 0; i < n; i++) {
        if (i + 1 < n && oz_sort_key_same(&store->due[i], &store->due[i + 1])) continue;
        size_t number = store->due[i].number, s = 0;
        while (number >= sealed[s]->n_parts) number -= sealed[s++]->n_parts;
        add_part(store, sealed[s], &sealed[s]->part[number]);
    }
    if (pos) OZ_TRY(add_positions(store, pos, err));
    return write_batch(store, err);
}

/* One value by its whole key into store->value; empty when there is none. */
static enum oz_status get_one(struct oz_store *store, const uint8_t *key, size_t key_len,
                              bool *ret_found, struct oz_error *err)
{
    char *text = NULL;
    rocksdb_pinnableslice_t *value =
        rocksdb_get_pinned(store->db, store->read, (const char *)key, key_len, &text);
    if (text) return rocksdb_failed(store, text, err);
    *ret_found = value != NULL;
    oz_buf_reset(&store->value);
    if (!value) return OZ_OK;
    size_t len;
    const char *data = rocksdb_pinnableslice_value(value, &len);
    oz_buf_put(&store->value, data, len);
    rocksdb_pinnableslice_destroy(value);
    return oz_buf_status(&store->value, err);
}

enum oz_status oz_store_position(struct oz_store *store, uint32_t partition,
                                 struct oz_positions *ret_pos, bool *ret_found,
                                 int64_t *ret_time_us, struct oz_error *err)
{
    uint8_t key[OZ_STORE_KEY_HEAD_BYTES];
    key_head(key, partition, OZ_STORE_OFFSETS);
    OZ_TRY(get_one(store, key, sizeof key, ret_found, err));
    *ret_time_us = 0;
    if (!*ret_found) return OZ_OK;
    int64_t time_us = ret_pos->time_us;
    ret_pos->time_us = 0;
    enum oz_status status =
        oz_positions_decode(ret_pos, partition, store->value.data, store->value.len, err);
    *ret_time_us = ret_pos->time_us;
    ret_pos->time_us = OZ_MAX(time_us, ret_pos->time_us);
    return status == OZ_OK ? OZ_OK : record_damaged(store, status, "an offsets record", err);
}

enum oz_status oz_store_positions(struct oz_store *store, struct oz_positions *ret_pos,
                                  bool *ret_found, struct oz_error *err)
{
    *ret_found = false;
    oz_positions_reset(ret_pos);
    for (uint32_t p = 0; p < ret_pos->n_partitions; p++) {
        bool found;
        int64_t time_us;
        OZ_TRY(oz_store_position(store, p, ret_pos, &found, &time_us, err));
        *ret_found |= found;
    }
    return OZ_OK;
}

/* A range delete is one record however many rows there are; the compaction then drops the files, so
 * that nothing is slower afterwards. */
enum oz_status oz_store_wipe(struct oz_store *store, uint32_t partition, struct oz_error *err)
{
    uint8_t from[OZ_STORE_KEY_HEAD_BYTES], to[OZ_STORE_KEY_HEAD_BYTES];
    key_head(from, partition, 0);
    key_head(to, partition, OZ_STORE_META); /* the rows of every entity, and the offsets */
    rocksdb_writebatch_clear(store->batch);
    rocksdb_writebatch_delete_range(store->batch, (const char *)from, sizeof from, (const char *)to,
                                    sizeof to);
    OZ_TRY(write_batch(store, err));
    rocksdb_compact_range_cf(store->db, store->rows, (const char *)from, sizeof from,
                             (const char *)to, sizeof to);
    return OZ_OK;
}

enum oz_status oz_store_meta(struct oz_store *store, struct oz_buf *ret_json, struct oz_error *err)
{
    uint8_t key[OZ_STORE_KEY_HEAD_BYTES];
    key_head(key, 0, OZ_STORE_META);
    bool found;
    oz_buf_reset(ret_json);
    OZ_TRY(get_one(store, key, sizeof key, &found, err));
    if (!found) return OZ_OK;
    const uint8_t *json;
    size_t len;
    if (oz_part_open(store->value.data, store->value.len, OZ_STORE_META, &json, &len, err))
        return record_damaged(store, OZ_CORRUPT, "the meta record", err);
    oz_buf_put(ret_json, json, len);
    return oz_buf_status(ret_json, err);
}

enum oz_status oz_store_set_meta(struct oz_store *store, const char *json, size_t len,
                                 struct oz_error *err)
{
    uint8_t key[OZ_STORE_KEY_HEAD_BYTES], header[OZ_PART_HEADER_BYTES] = {0};
    key_head(key, 0, OZ_STORE_META);
    oz_buf_reset(&store->value);
    oz_buf_put(&store->value, header, sizeof header);
    oz_buf_put(&store->value, json, len);
    OZ_TRY(oz_buf_status(&store->value, err));
    oz_part_close(store->value.data, store->value.len, OZ_STORE_META);
    rocksdb_writebatch_clear(store->batch);
    rocksdb_writebatch_put(store->batch, (const char *)key, sizeof key,
                           (const char *)store->value.data, store->value.len);
    return write_batch(store, err);
}

enum oz_status oz_store_scan_prefix(struct oz_store *store, struct oz_bytes prefix,
                                    bool (*each)(void *ctx, struct oz_bytes key,
                                                 struct oz_bytes value),
                                    void *ctx, struct oz_error *err)
{
    rocksdb_iterator_t *it = rocksdb_create_iterator(store->db, store->read);
    bool more = true;
    rocksdb_iter_seek(it, prefix.len ? (const char *)prefix.data : "", prefix.len);
    for (; more && rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
        struct oz_bytes key, value;
        key.data = (const uint8_t *)rocksdb_iter_key(it, &key.len);
        if (key.len < prefix.len || (prefix.len && memcmp(key.data, prefix.data, prefix.len)))
            break;
        value.data = (const uint8_t *)rocksdb_iter_value(it, &value.len);
        more = each(ctx, key, value);
    }
    char *text = NULL;
    rocksdb_iter_get_error(it, &text);
    rocksdb_iter_destroy(it);
    return text ? rocksdb_failed(store, text, err) : OZ_OK;
}

enum oz_status oz_store_scan(struct oz_store *store,
                             bool (*each)(void *ctx, struct oz_bytes key, struct oz_bytes value),
                             void *ctx, struct oz_error *err)
{
    return oz_store_scan_prefix(store, (struct oz_bytes){0}, each, ctx, err);
}

uint64_t oz_store_estimate_records(struct oz_store *store)
{
    uint64_t n = 0;
    return rocksdb_property_int(store->db, "rocksdb.estimate-num-keys", &n) ? 0 : n;
}

static bool stop_at_row(void *ctx, struct oz_bytes key, struct oz_bytes value)
{
    (void)value;
    bool *found = ctx;
    *found = key.len > OZ_STORE_KEY_HEAD_BYTES;
    return !*found;
}

enum oz_status oz_store_has_rows(struct oz_store *store, bool *ret_has_rows, struct oz_error *err)
{
    *ret_has_rows = false;
    return oz_store_scan(store, stop_at_row, ret_has_rows, err);
}
