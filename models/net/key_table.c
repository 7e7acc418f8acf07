#include "models/net/key_table.h"
#include <math.h>
#include <string.h>
#include "base/hash.h"

/* The finalizer of splitmix64: every bit of the key reaches the low bits, which pick the slot. */
static uint64_t hash_i64(int64_t key)
{
    uint64_t x = (uint64_t)key;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t hash_f64(double key)
{
    int64_t bits = 0; /* what is equal hashes alike: both zeros, and every NaN */
    if (isnan(key))
        bits = -1;
    else if (key != 0.0)
        memcpy(&bits, &key, sizeof bits);
    return hash_i64(bits);
}

static uint64_t hash_text(struct oz_str key) { return key.len ? oz_hash64(key.data, key.len) : 0; }

static bool same_i64(int64_t a, int64_t b) { return a == b; }
static bool same_f64(double a, double b) { return a == b || (isnan(a) && isnan(b)); }
static bool same_text(struct oz_str a, struct oz_str b)
{
    return a.len == b.len && (!a.len || !memcmp(a.data, b.data, a.len));
}

/* insert_ returns false when the keys were made to collide. */
#define EACH_KIND(T, kind)                                                                         \
    uint32_t oz_key_find_##kind(const struct oz_key_table *table, T key)                           \
    {                                                                                              \
        uint32_t at = (uint32_t)hash_##kind(key) & table->mask;                                    \
        for (; table->slot[at]; at = (at + 1) & table->mask)                                       \
            if (same_##kind(table->kind[table->slot[at] - 1], key)) return table->slot[at] - 1;    \
        return OZ_NO_KEY;                                                                          \
    }                                                                                              \
    static bool insert_##kind(struct oz_key_table *table, uint32_t number, enum oz_key_rule rule)  \
    {                                                                                              \
        T key = table->kind[number];                                                               \
        uint32_t at = (uint32_t)hash_##kind(key) & table->mask, n_probes = 0;                      \
        for (; table->slot[at]; at = (at + 1) & table->mask) {                                     \
            if (same_##kind(table->kind[table->slot[at] - 1], key)) {                              \
                if (rule == OZ_KEY_LAST_WINS) table->slot[at] = number + 1;                        \
                return true;                                                                       \
            }                                                                                      \
            if (++n_probes == OZ_KEY_PROBES_MAX) return false;                                     \
        }                                                                                          \
        table->slot[at] = number + 1;                                                              \
        return true;                                                                               \
    }
EACH_KIND(int64_t, i64)
EACH_KIND(double, f64)
EACH_KIND(struct oz_str, text)
#undef EACH_KIND

static bool insert(struct oz_key_table *table, uint32_t number, enum oz_key_rule rule)
{
    switch (table->kind) {
    case OZ_KEY_I64: return insert_i64(table, number, rule);
    case OZ_KEY_F64: return insert_f64(table, number, rule);
    default: return insert_text(table, number, rule);
    }
}

enum oz_status oz_key_table_init(struct oz_key_table *table, enum oz_key_kind kind,
                                 const void *keys, size_t n_keys, enum oz_key_rule rule,
                                 struct oz_arena *arena, struct oz_error *err)
{
    if (n_keys > OZ_KEYS_MAX)
        OZ_FAIL(err, OZ_MODEL, "%zu keys; at most %d are served", n_keys, OZ_KEYS_MAX);
    uint32_t n_slots = 4;
    while (n_slots < 2 * n_keys) n_slots *= 2;
    *table = (struct oz_key_table){
        .kind = kind, .n_keys = (uint32_t)n_keys, .mask = n_slots - 1, .keys = keys};
    table->slot = oz_arena_zeroed(arena, n_slots, sizeof *table->slot);
    if (!table->slot) return oz_no_memory(err);
    for (uint32_t i = 0; i < table->n_keys; i++)
        if (!insert(table, i, rule))
            OZ_FAIL(err, OZ_MODEL, "key %u has the hash of %d others: such keys are not served", i,
                    OZ_KEY_PROBES_MAX);
    return OZ_OK;
}
