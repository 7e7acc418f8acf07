/* Proves that a walk over the store meets every row's main part once and nothing else, however it
 * is cut into pieces, also while rows come and go; and that the sweeper finds every row that is due
 * in rounds of bounded pieces, finds no other, waits for what it gave out, and begins no round
 * while no clock moves. How: random rows with chunks, positions and meta beside them, in a real
 * store; the set of keys is kept by the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include "scratch_folder.h"
#include "state/sweeper.h"

enum { ROWS = 3000, PARTITIONS = 3, ENTITIES = 2 };

struct world {
    char dir[256];
    struct oz_store *store;
    struct oz_sealed sealed;
    bool is_there[ROWS]; /* row i has key i, partition i % 3, entity i % 2 */
    uint64_t seed;
    /* of a walk */
    uint32_t met[ROWS];
    uint64_t n_met, n_strange;
    /* of a sweeper */
    _Atomic uint64_t moves;
    _Atomic bool due[ROWS];
};

static struct oz_error err;

static void key_of(uint32_t i, char to[24])
{
    /* Lengths differ, so that keys do not stand in the order of their numbers. */
    snprintf(to, 24, "%0*u", (int)(4 + i % 9), i);
}

static void put(struct world *w, uint32_t i, bool there)
{
    char key[24];
    key_of(i, key);
    oz_sealed_row(&w->sealed, (uint8_t)(i % ENTITIES), i % PARTITIONS, key, (uint32_t)strlen(key),
                  1);
    uint32_t n_parts = i % 5 ? 1 : 2 + i % 40;
    for (uint32_t part = 0; part < n_parts; part++) {
        if (!there) {
            assert_int_equal(oz_sealed_delete(&w->sealed, part, &err), OZ_OK);
            continue;
        }
        struct oz_buf *buf = oz_sealed_begin(&w->sealed, part, &err);
        assert_non_null(buf);
        oz_buf_put(buf, &i, sizeof i);
        if (part) oz_buf_put(buf, w->dir, sizeof w->dir);
        assert_int_equal(oz_sealed_end(&w->sealed, &err), OZ_OK);
    }
    w->is_there[i] = there;
}

static void write_now(struct world *w)
{
    const struct oz_sealed *one = &w->sealed;
    struct oz_positions pos;
    assert_int_equal(oz_positions_init(&pos, PARTITIONS, 1, ENTITIES, &err), OZ_OK);
    for (uint32_t p = 0; p < PARTITIONS; p++) pos.source[p] = 7;
    assert_int_equal(oz_store_write(w->store, &one, 1, &pos, &err), OZ_OK);
    oz_positions_clear(&pos);
    oz_sealed_reset(&w->sealed);
}

static void set_up(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->seed = 11;
    scratch_make(w->dir);
    oz_sealed_init(&w->sealed);
    assert_int_equal(oz_store_open(w->dir, 16 << 20, false, &w->store, &err), OZ_OK);
    assert_int_equal(oz_store_set_meta(w->store, "{}", 2, &err), OZ_OK);
    for (uint32_t i = 0; i < ROWS; i++)
        if (next_random(&w->seed) % 3) put(w, i, true);
    write_now(w);
}

static void tear_down(struct world *w)
{
    oz_store_close(w->store);
    oz_sealed_clear(&w->sealed);
    scratch_remove(w->dir);
}

/* Which row it is, by its value; its key must be that row's. */
static uint32_t number_of(struct world *w, const struct oz_store_row *row)
{
    uint32_t i = UINT32_MAX;
    char key[24];
    if (row->value.len == OZ_PART_HEADER_BYTES + sizeof i)
        memcpy(&i, row->value.data + OZ_PART_HEADER_BYTES, sizeof i);
    if (i < ROWS) key_of(i, key);
    if (i >= ROWS || row->partition != i % PARTITIONS || row->entity != i % ENTITIES ||
        row->key_len != strlen(key) || memcmp(row->key, key, row->key_len)) {
        w->n_strange++;
        return 0;
    }
    return i;
}

static void meet(void *ctx, const struct oz_store_row *row)
{
    struct world *w = ctx;
    w->met[number_of(w, row)]++;
    w->n_met++;
}

static void pieces_meet_every_row_once(void **state)
{
    (void)state;
    static struct world w;
    set_up(&w);
    for (int round = 0; round < 30; round++) {
        struct oz_store_walk walk = {0};
        bool end = false, before[ROWS];
        uint64_t rows_max = 1 + next_random(&w.seed) % 700,
                 bytes_max = 1 + next_random(&w.seed) % 60000;
        memset(w.met, 0, sizeof w.met);
        w.n_met = 0;
        memcpy(before, w.is_there, sizeof before);
        while (!end) {
            uint64_t n_met = w.n_met;
            assert_int_equal(
                oz_store_walk(w.store, &walk, rows_max, bytes_max, meet, &w, &end, &err), OZ_OK);
            assert_int_equal(walk.n_rows, w.n_met - n_met);
            assert_true(walk.n_rows <= rows_max);
            assert_true(walk.n_bytes < bytes_max + 1000);
            if (round % 2) { /* rows come and go on the way */
                for (int k = 0; k < 3; k++) {
                    uint32_t i = next_random(&w.seed) % ROWS;
                    before[i] &= !w.is_there[i]; /* gone: met or not */
                    put(&w, i, !w.is_there[i]);
                }
                write_now(&w);
            }
        }
        assert_int_equal(walk.place.len, 0);
        assert_int_equal(w.n_strange, 0);
        for (uint32_t i = 0; i < ROWS; i++) {
            assert_true(w.met[i] <= 1);
            assert_true(w.met[i] || !before[i]);
            if (round % 2 == 0) assert_int_equal(w.met[i], w.is_there[i]);
        }
        oz_buf_clear(&walk.place);
    }
    tear_down(&w);
}

static bool is_due(void *ctx, const struct oz_store_row *row)
{
    struct world *w = ctx;
    return w->due[number_of(w, row)];
}

static uint64_t moves(void *ctx) { return ((struct world *)ctx)->moves; }

static void take_all(struct world *w, struct oz_sweeper *sw, uint64_t until_round, uint32_t *found)
{
    struct oz_swept *swept;
    while (oz_sweeper_rounds(sw) < until_round) {
        assert_int_equal(oz_sweeper_take(sw, &swept, &err), OZ_OK);
        if (!swept) {
            usleep(100);
            continue;
        }
        assert_true(swept->n > 0 && swept->n <= OZ_SWEEP_FOUND_MAX);
        uint64_t round = oz_sweeper_rounds(sw);
        usleep(2000);
        assert_int_equal(oz_sweeper_rounds(sw), round); /* it waits */
        for (size_t k = 0; k < swept->n; k++) {
            const struct oz_swept_row *row = &swept->row[k];
            char key[24] = {0};
            memcpy(key, row->key, row->key_len);
            uint32_t i = (uint32_t)strtoul(key, NULL, 10);
            assert_true(row->partition == i % PARTITIONS && row->entity == i % ENTITIES);
            assert_true(w->is_there[i]);
            found[i]++;
            put(w, i, false);
            w->due[i] = false;
        }
        write_now(w);
        oz_sweeper_give_back(sw, swept, swept->n);
    }
}

static void every_due_row_is_found(void **state)
{
    (void)state;
    static struct world w;
    static uint32_t found[ROWS];
    struct oz_sweeper *sw;
    set_up(&w);
    struct oz_sweeper_config config = {.store = w.store,
                                       .rows_per_s = 1000000,
                                       .rest_us = 100,
                                       .is_due = is_due,
                                       .moves = moves,
                                       .ctx = &w};
    assert_int_equal(oz_sweeper_new(&config, &sw, &err), OZ_OK);
    take_all(&w, sw, 1, found);
    usleep(300000); /* no clock has moved: more time makes no more rounds */
    assert_int_equal(oz_sweeper_rounds(sw), 1);
    uint64_t n_due = 0;
    for (int wave = 1; wave <= 4; wave++) {
        bool due[ROWS] = {false};
        memset(found, 0, sizeof found);
        for (uint32_t i = 0; i < ROWS; i++)
            if (w.is_there[i] && next_random(&w.seed) % 4 == 0) w.due[i] = due[i] = true;
        for (uint32_t i = 0; i < ROWS; i++) n_due += due[i];
        uint64_t rounds = oz_sweeper_rounds(sw);
        w.moves++;
        /* One may be under way, which began before; then a whole one. */
        take_all(&w, sw, rounds + 1, found);
        w.moves++;
        take_all(&w, sw, rounds + 2, found);
        for (uint32_t i = 0; i < ROWS; i++) assert_int_equal(found[i], due[i]);
    }
    assert_true(n_due > ROWS / 3);
    assert_int_equal(w.n_strange, 0);
    w.moves++;
    oz_sweeper_free(sw); /* wherever it is */
    tear_down(&w);
}

static void ends_with_a_set_in_hand(void **state)
{
    (void)state;
    static struct world w;
    struct oz_sweeper *sw;
    struct oz_swept *swept = NULL;
    set_up(&w);
    for (uint32_t i = 0; i < ROWS; i++) w.due[i] = true;
    struct oz_sweeper_config config = {
        .store = w.store, .rows_per_s = 1, .is_due = is_due, .moves = moves, .ctx = &w};
    assert_int_equal(oz_sweeper_new(&config, &sw, &err), OZ_OK);
    while (!swept) assert_int_equal(oz_sweeper_take(sw, &swept, &err), OZ_OK);
    oz_sweeper_free(sw);
    tear_down(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pieces_meet_every_row_once),
                                       cmocka_unit_test(every_due_row_is_found),
                                       cmocka_unit_test(ends_with_a_set_in_hand)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
