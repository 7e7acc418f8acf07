#include "state/row_table.h"
#include <string.h>
#include <sys/mman.h>

enum { ENTRIES_MIN = 1024, NUMBERS_MIN = 512, TOGETHER = 64 };
#define HUGE_PAGES_FROM ((size_t)4 << 20)

static void *map(size_t n_bytes)
{
    void *p = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    if (n_bytes >= HUGE_PAGES_FROM) madvise(p, n_bytes, MADV_HUGEPAGE);
    return p;
}

/* Workers share the keys out by their hash, so some of its bits are the same in the whole table.
 * Mixed once more, every bit of it counts in the tag's upper ones, which choose the place. */
static uint32_t tag_of(uint64_t hash, uint32_t partition)
{
    return (uint32_t)((hash + partition * UINT64_C(0xd1342543de82ef95)) *
                          UINT64_C(0x9e3779b97f4a7c15) >>
                      32);
}

static void set_entries(struct oz_row_table *table, struct oz_row_entry *entry, size_t n_entries)
{
    table->entry = entry;
    table->n_entries = n_entries;
    table->shift = 32 - (unsigned)__builtin_ctzll(n_entries);
}

enum oz_status oz_row_table_init(struct oz_row_table *table, size_t row_bytes, struct oz_error *err)
{
    *table = (struct oz_row_table){.row_bytes = row_bytes};
    struct oz_row_entry *entry = map(ENTRIES_MIN * sizeof *entry);
    table->row = map(NUMBERS_MIN * sizeof *table->row);
    if (entry) set_entries(table, entry, ENTRIES_MIN);
    if (table->row) table->cap_numbers = NUMBERS_MIN;
    if (!entry || !table->row) {
        oz_row_table_clear(table);
        return oz_no_memory(err);
    }
    return OZ_OK;
}

void oz_row_table_clear(struct oz_row_table *table)
{
    if (table->entry) munmap(table->entry, table->n_entries * sizeof *table->entry);
    if (table->row) munmap(table->row, table->cap_numbers * sizeof *table->row);
    *table = (struct oz_row_table){0};
}

static bool is_row_of(const struct oz_row_table *table, struct oz_row_head *head,
                      const struct oz_row_key *key)
{
    return head->hash == key->hash && head->key_len == key->len &&
           head->partition == key->partition &&
           !memcmp(oz_row_table_key(table, head), key->data, key->len);
}

/* From entry `at` on. */
static struct oz_row_head *probe(const struct oz_row_table *table, const struct oz_row_key *key,
                                 uint32_t tag, size_t at)
{
    for (; table->entry[at].number_plus_1; at = (at + 1) & (table->n_entries - 1)) {
        if (table->entry[at].tag != tag) continue;
        struct oz_row_head *head = table->row[table->entry[at].number_plus_1 - 1];
        if (is_row_of(table, head, key)) return head;
    }
    return NULL;
}

struct oz_row_head *oz_row_table_find(const struct oz_row_table *table,
                                      const struct oz_row_key *key)
{
    uint32_t tag = tag_of(key->hash, key->partition);
    return probe(table, key, tag, tag >> table->shift);
}

/* Four passes over a few keys, each asking for what the next one reads: the entry, the row's
 * number, its head and key. The last one compares; a tag that misled goes on by itself. */
static void find_together(const struct oz_row_table *table, const struct oz_row_key *key, size_t n,
                          struct oz_row_head **ret_head)
{
    uint32_t tag[TOGETHER];
    size_t at[TOGETHER];
    const struct oz_row_entry *entry = table->entry;
    for (size_t i = 0; i < n; i++) {
        tag[i] = tag_of(key[i].hash, key[i].partition);
        at[i] = tag[i] >> table->shift;
        __builtin_prefetch(&entry[at[i]]);
    }
    for (size_t i = 0; i < n; i++) {
        while (entry[at[i]].number_plus_1 && entry[at[i]].tag != tag[i])
            at[i] = (at[i] + 1) & (table->n_entries - 1);
        if (entry[at[i]].number_plus_1)
            __builtin_prefetch(&table->row[entry[at[i]].number_plus_1 - 1]);
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t number_plus_1 = entry[at[i]].number_plus_1;
        ret_head[i] = number_plus_1 ? table->row[number_plus_1 - 1] : NULL;
        if (!ret_head[i]) continue;
        __builtin_prefetch(ret_head[i], 1);
        if (oz_row_key_bytes(key[i].len))
            __builtin_prefetch((char *)ret_head[i] + OZ_ROW_HEAD_BYTES + table->row_bytes);
    }
    for (size_t i = 0; i < n; i++)
        if (ret_head[i] && !is_row_of(table, ret_head[i], &key[i]))
            ret_head[i] = probe(table, &key[i], tag[i], at[i]);
}

void oz_row_table_find_many(const struct oz_row_table *table, const struct oz_row_key *key,
                            size_t n, struct oz_row_head **ret_head)
{
    for (size_t i = 0; i < n; i += TOGETHER)
        find_together(table, key + i, OZ_MIN(n - i, (size_t)TOGETHER), ret_head + i);
}

static void put_entry(struct oz_row_table *table, struct oz_row_entry add)
{
    size_t at = add.tag >> table->shift;
    while (table->entry[at].number_plus_1) at = (at + 1) & (table->n_entries - 1);
    table->entry[at] = add;
}

static enum oz_status grow_entries(struct oz_row_table *table, struct oz_error *err)
{
    struct oz_row_entry *old = table->entry;
    size_t n_old = table->n_entries;
    struct oz_row_entry *entry =
        n_old >> 31 ? NULL : map(2 * n_old * sizeof *entry); /* a tag has 32 bits */
    if (!entry) return oz_no_memory(err);
    set_entries(table, entry, 2 * n_old);
    for (size_t i = 0; i < n_old; i++)
        if (old[i].number_plus_1) put_entry(table, old[i]);
    munmap(old, n_old * sizeof *old);
    return OZ_OK;
}

static enum oz_status grow_numbers(struct oz_row_table *table, struct oz_error *err)
{
    size_t n_bytes = table->cap_numbers * sizeof *table->row;
    void **row = map(2 * n_bytes);
    if (!row) return oz_no_memory(err);
    memcpy(row, table->row, n_bytes);
    munmap(table->row, n_bytes);
    table->row = row;
    table->cap_numbers *= 2;
    return OZ_OK;
}

enum oz_status oz_row_table_insert(struct oz_row_table *table, struct oz_row_head *head,
                                   struct oz_error *err)
{
    if (2 * (table->n_rows + 1) > table->n_entries) OZ_TRY(grow_entries(table, err));
    if (table->free_number == table->cap_numbers) OZ_TRY(grow_numbers(table, err));
    size_t number = table->free_number;
    table->free_number =
        number < table->n_numbers ? (uintptr_t)table->row[number] >> 1 : number + 1;
    table->n_numbers = OZ_MAX(table->n_numbers, number + 1);
    table->row[number] = head;
    table->n_rows++;
    head->number = (uint32_t)number;
    put_entry(table, (struct oz_row_entry){tag_of(head->hash, head->partition), head->number + 1});
    return OZ_OK;
}

void oz_row_table_remove(struct oz_row_table *table, struct oz_row_head *head)
{
    struct oz_row_entry *entry = table->entry;
    size_t mask = table->n_entries - 1;
    size_t at = tag_of(head->hash, head->partition) >> table->shift;
    while (entry[at].number_plus_1 != head->number + 1) {
        OZ_ASSERT(entry[at].number_plus_1);
        at = (at + 1) & mask;
    }
    /* Whoever was pushed past the hole moves into it, unless its home lies behind the hole. */
    for (size_t next = (at + 1) & mask; entry[next].number_plus_1; next = (next + 1) & mask) {
        size_t home = entry[next].tag >> table->shift;
        if (((next - home) & mask) < ((next - at) & mask)) continue;
        entry[at] = entry[next];
        at = next;
    }
    entry[at].number_plus_1 = 0;
    table->row[head->number] = (void *)(table->free_number << 1 | 1);
    table->free_number = head->number;
    table->n_rows--;
}
