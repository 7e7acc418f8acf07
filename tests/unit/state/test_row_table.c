/* The row table against a plain array that is searched from one end to the other: random inserts,
 * look-ups and removals, with hashes that collide on purpose (in the tag, in the whole hash, in all
 * but a few bits as they do when workers share keys out by hash), and equal keys in several
 * partitions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "scratch_folder.h"
#include "state/row_table.h"

enum { KEYS = 3000, ROW_BYTES = 24 };

struct twin {
    char key[32];
    struct oz_row_key as_key;
    struct oz_row_head *head; /* NULL: not in */
};

static void make_keys(struct twin *twin, int how)
{
    for (int i = 0; i < KEYS; i++) {
        int n = snprintf(twin[i].key, sizeof twin[i].key, i % 2 ? "k%d" : "longer-than-a-head-%d",
                         i / 3);
        uint64_t seed = (uint64_t)(i / 3), hash = next_random(&seed);
        if (how == 1) hash &= 0xff;                       /* few hashes */
        if (how == 2) hash |= UINT64_C(0xffffffff) << 32; /* all in one worker by the upper bits */
        if (how == 3) hash &= ~UINT64_C(0xfff);           /* by the lower bits */
        twin[i].as_key = (struct oz_row_key){twin[i].key, (uint32_t)n, (uint32_t)(i % 3), hash};
        twin[i].head = NULL;
    }
}

static void insert(struct oz_row_table *table, struct twin *t)
{
    struct oz_row_head *head = oz_malloc(OZ_ROW_HEAD_BYTES + ROW_BYTES + 32);
    *head = (struct oz_row_head){.hash = t->as_key.hash,
                                 .partition = (uint16_t)t->as_key.partition,
                                 .key_len = (uint16_t)t->as_key.len};
    memcpy(oz_row_table_key(table, head), t->key, t->as_key.len);
    assert_int_equal(oz_row_table_insert(table, head, NULL), OZ_OK);
    t->head = head;
}

static void check_all(const struct oz_row_table *table, const struct twin *twin)
{
    static struct oz_row_key key[KEYS];
    static struct oz_row_head *head[KEYS];
    size_t n = 0, n_numbers = 0;
    for (int i = 0; i < KEYS; i++) {
        key[i] = twin[i].as_key;
        n += twin[i].head != NULL;
        if (twin[i].head)
            assert_ptr_equal(oz_row_table_at(table, twin[i].head->number), twin[i].head);
    }
    oz_row_table_find_many(table, key, KEYS, head);
    for (int i = 0; i < KEYS; i++) assert_ptr_equal(head[i], twin[i].head);
    for (size_t i = 0; i < table->n_numbers; i++) n_numbers += oz_row_table_at(table, i) != NULL;
    assert_int_equal(table->n_rows, n);
    assert_int_equal(n_numbers, n);
    assert_true(table->n_entries >= 2 * n);
}

static void run(int how)
{
    static struct twin twin[KEYS];
    uint64_t seed = (uint64_t)how;
    struct oz_row_table table;
    assert_int_equal(oz_row_table_init(&table, ROW_BYTES, NULL), OZ_OK);
    make_keys(twin, how);
    for (int step = 0; step < 20000; step++) {
        struct twin *t = &twin[next_random(&seed) % KEYS];
        assert_ptr_equal(oz_row_table_find(&table, &t->as_key), t->head);
        bool grow = next_random(&seed) % 100 < (step / 5000 % 2 ? 25 : 75);
        if (!t->head && grow) insert(&table, t);
        if (t->head && !grow) {
            oz_row_table_remove(&table, t->head);
            oz_free(t->head);
            t->head = NULL;
        }
        if (step % 2000 == 0) check_all(&table, twin);
    }
    assert_true(table.n_numbers <= KEYS); /* numbers are used again */
    for (int i = 0; i < KEYS; i++) {
        if (!twin[i].head) continue;
        oz_row_table_remove(&table, twin[i].head);
        oz_free(twin[i].head);
        twin[i].head = NULL;
    }
    check_all(&table, twin);
    oz_row_table_clear(&table);
}

static void test_against_array(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) run(how);
}

/* Keys that a worker gets by its share of the hash must spread like any: the longest run of entries
 * stays short. With the hash's own upper bits as the place it would be thousands. */
static void test_spread(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        static struct twin twin[KEYS];
        struct oz_row_table table;
        if (how == 1) continue; /* few hashes cannot spread */
        assert_int_equal(oz_row_table_init(&table, ROW_BYTES, NULL), OZ_OK);
        make_keys(twin, how);
        for (int i = 0; i < KEYS; i++) insert(&table, &twin[i]);
        size_t longest = 0, run_length = 0;
        for (size_t i = 0; i < table.n_entries; i++) {
            run_length = table.entry[i].number_plus_1 ? run_length + 1 : 0;
            longest = OZ_MAX(longest, run_length);
        }
        assert_true(longest < 60);
        for (int i = 0; i < KEYS; i++) oz_free(twin[i].head);
        oz_row_table_clear(&table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_array),
                                       cmocka_unit_test(test_spread)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
