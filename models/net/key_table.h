/* Finds a key among the keys of an encoder: numbers or texts, known at load.
 *
 * Layout: open addressing, at most half full; a slot holds a key's number + 1, 0 is empty. The keys
 * stay where they are.
 * Threads: immutable once built. Ownership: slots in the given arena, keys borrowed.
 * Errors: OZ_MODEL for more than OZ_KEYS_MAX keys, and for keys made to collide: an honest table
 * has no run of OZ_KEY_PROBES_MAX taken slots. */
#ifndef OZ_MODELS_NET_KEY_TABLE_H
#define OZ_MODELS_NET_KEY_TABLE_H
#include "base/arena.h"
#include "base/columns.h"

enum { OZ_KEYS_MAX = 1 << 24, OZ_KEY_PROBES_MAX = 256 };
#define OZ_NO_KEY UINT32_MAX

/* Narrower numbers are widened before they are looked up. */
enum oz_key_kind { OZ_KEY_I64, OZ_KEY_F64, OZ_KEY_TEXT };
/* Which of two equal keys is found; of floats -0 equals 0, and NaN equals NaN. */
enum oz_key_rule { OZ_KEY_FIRST_WINS, OZ_KEY_LAST_WINS };

struct oz_key_table {
    enum oz_key_kind kind;
    uint32_t n_keys, mask; /* mask + 1 slots */
    uint32_t *slot;
    union {
        const int64_t *i64;
        const double *f64;
        const struct oz_str *text;
        const void *keys;
    };
};

enum oz_status oz_key_table_init(struct oz_key_table *table, enum oz_key_kind kind,
                                 const void *keys, size_t n_keys, enum oz_key_rule rule,
                                 struct oz_arena *arena, struct oz_error *err) OZ_MUST_USE;
/* The key's number, or OZ_NO_KEY. The table must be of this kind. */
uint32_t oz_key_find_i64(const struct oz_key_table *table, int64_t key);
uint32_t oz_key_find_f64(const struct oz_key_table *table, double key);
uint32_t oz_key_find_text(const struct oz_key_table *table, struct oz_str key);
#endif
