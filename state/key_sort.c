#include "state/key_sort.h"
#include <stdlib.h>
#include <string.h>

static uint64_t load_be(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v); /* every machine that this runs on is little-endian */
}

void oz_sort_key_set(struct oz_sort_key *entry, const uint8_t *head, size_t head_len,
                     const uint8_t *key, size_t key_len, uint32_t number)
{
    uint8_t prefix[OZ_SORT_PREFIX_BYTES] = {0};
    size_t taken = OZ_MIN(key_len, sizeof prefix - head_len);
    if (head_len) memcpy(prefix, head, head_len);
    if (taken) memcpy(prefix + head_len, key, taken);
    entry->prefix[0] = load_be(prefix);
    entry->prefix[1] = load_be(prefix + 8);
    entry->tail = taken < key_len ? key + taken : NULL;
    entry->len = (uint32_t)(head_len + key_len);
    entry->number = number;
}

static int compare_keys(const struct oz_sort_key *a, const struct oz_sort_key *b)
{
    for (int i = 0; i < 2; i++)
        if (a->prefix[i] != b->prefix[i]) return a->prefix[i] < b->prefix[i] ? -1 : 1;
    if (a->tail && b->tail) {
        int c = memcmp(a->tail, b->tail, OZ_MIN(a->len, b->len) - OZ_SORT_PREFIX_BYTES);
        if (c) return c;
    }
    return (a->len > b->len) - (a->len < b->len);
}

bool oz_sort_key_same(const struct oz_sort_key *a, const struct oz_sort_key *b)
{
    return compare_keys(a, b) == 0;
}

static int compare_entries(const void *pa, const void *pb)
{
    const struct oz_sort_key *a = pa, *b = pb;
    int c = compare_keys(a, b);
    return c ? c : (a->number > b->number) - (a->number < b->number);
}

void oz_sort_keys(struct oz_sort_key *entry, size_t n)
{
    if (n > 1) qsort(entry, n, sizeof *entry, compare_entries);
}
