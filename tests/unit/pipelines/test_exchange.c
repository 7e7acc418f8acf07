/* Proves what one process of an exchange says and holds back: that its sources rest while others
 * are behind and never while it is itself, that waiting partitions are passed over when memory is
 * at its bound, that what is sealed is where a start goes on, and that an event that came by a
 * wrong partition is refused. How: a pipeline of two legs, without Kafka; events are put together
 * by the record's own writer, which has tests of its own, as large ones, so that few reach the
 * bounds. */
#include "pipelines/run/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/folder.h"
#include "base/hash.h"

#define PIPELINE "tests/unit/pipelines/engine/pipeline.yaml"
enum { PARTITIONS = 4, MINE = 1, OTHER = 3, LARGE_BYTES = 90000, TAKEN_MAX = 1000 };
enum { BYTES = 24 << 20, REST_BYTES = BYTES / 4 };

struct bench {
    char dir[64];
    struct oz_program *prg;
    struct oz_store *store;
    struct oz_engine *engine;
    struct oz_exchange *exchange;
    struct oz_positions next;
    struct oz_exchange_shape shape;
    struct oz_table table;
    struct oz_buf buf;
    char *large;
    char shop[16]; /* whose partition is MINE */
    bool owned[PARTITIONS];
    int64_t at; /* in the exchange log */
    struct oz_record taken[TAKEN_MAX];
};

static void find_shop(char shop[16], bool is_mine)
{
    uint32_t i = 0;
    do snprintf(shop, 16, "s%u", i++);
    while ((oz_murmur2_partition(shop, strlen(shop), PARTITIONS) == MINE) != is_mine);
}

static int set_up(void **state)
{
    static const char *const set[] = {"exchange=topic", "alerts.rules.high.suppress=1h by shop",
                                      "batch.rows=1000"};
    struct bench *b = oz_calloc(1, sizeof *b);
    struct oz_error err = {0};
    struct oz_mistakes mistakes = {0};
    strcpy(b->dir, "/tmp/ouzel-exchange-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    if (oz_program_load(PIPELINE, set, OZ_COUNT_OF(set), 0, &b->prg, &mistakes, &err) != OZ_OK)
        fail_msg("%s\n%s", err.message, oz_buf_string(&mistakes.text));
    assert_int_equal(b->prg->n_legs, 2);
    assert_int_equal(oz_engine_open(b->prg, b->dir, PARTITIONS, false, &b->store, &b->engine, &err),
                     OZ_OK);
    assert_int_equal(oz_positions_init(&b->next, PARTITIONS, 3, 2, &err), OZ_OK);
    for (int i = 0; i < PARTITIONS * 3; i++) b->next.source[i] = 0;
    struct oz_exchange_config exchange = {.program = b->prg,
                                          .n_partitions = PARTITIONS,
                                          .topic = {{0}, {7, PARTITIONS}},
                                          .bytes = BYTES,
                                          .batch_bytes = 4 * LARGE_BYTES};
    assert_int_equal(oz_exchange_new(&exchange, &b->exchange, &err), OZ_OK);
    b->owned[MINE] = true;
    assert_int_equal(oz_exchange_begin(b->exchange, b->owned, b->store, &b->next, &err), OZ_OK);
    b->shape = b->prg->shape[1];
    b->shape.n_partitions = PARTITIONS;
    assert_int_equal(oz_table_init(&b->table, b->prg->schema[0], 1, &err), OZ_OK);
    b->large = oz_calloc(LARGE_BYTES, 1);
    memset(b->large, 'x', LARGE_BYTES);
    find_shop(b->shop, true);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    oz_buf_clear(&b->buf);
    oz_table_clear(&b->table);
    oz_free(b->large);
    oz_exchange_free(b->exchange);
    oz_positions_clear(&b->next);
    oz_engine_free(b->engine);
    oz_store_close(b->store);
    oz_program_free(b->prg);
    oz_folder_remove(b->dir);
    oz_free(b);
    return 0;
}

static void put(struct bench *b)
{
    struct oz_error err = {0};
    struct oz_record rec = {.source = 2,
                            .partition = MINE,
                            .offset = b->at++,
                            .value = (char *)b->buf.data,
                            .value_len = (uint32_t)b->buf.len};
    if (oz_exchange_put(b->exchange, &rec, 1, &err) != OZ_OK) fail_msg("%s", err.message);
    oz_buf_reset(&b->buf);
}

static void put_mark(struct bench *b, uint32_t lane, int64_t floor_ms, bool at_end)
{
    struct oz_lane_mark mark = {floor_ms, {.time_ms = floor_ms}, at_end};
    oz_exchange_put_marks(&b->shape, &lane, &mark, 1, &b->buf);
    put(b);
}

/* Of source partition `lane`; its offset is its time. */
static void put_event(struct bench *b, uint32_t lane, int64_t time_ms, const char *shop,
                      uint32_t card_len)
{
    double aggregate[OZ_AGGREGATES_MAX] = {0}, *aggregates[OZ_AGGREGATES_MAX];
    uint8_t flags[OZ_ENTITIES_MAX] = {0}, *push_flags[OZ_ENTITIES_MAX];
    for (int i = 0; i < OZ_AGGREGATES_MAX; i++) aggregates[i] = &aggregate[i];
    for (int i = 0; i < OZ_ENTITIES_MAX; i++) push_flags[i] = &flags[i];
    struct oz_record rec = {.partition = lane,
                            .lane = lane,
                            .offset = time_ms,
                            .timestamp_ms = time_ms,
                            .merge_ms = time_ms};
    oz_table_set_null(&b->table, 0);
    b->table.column[0].i64[0] = time_ms;
    b->table.column[1].i64[0] = time_ms * 1000;
    b->table.column[2].str[0] = (struct oz_str){b->large, card_len};
    b->table.column[3].str[0] = (struct oz_str){shop, shop ? (uint32_t)strlen(shop) : 0};
    struct oz_exchange_row row = {&b->table, 0, 0, aggregates, push_flags};
    oz_exchange_put_event(&b->shape, &rec, &row, &b->buf);
    put(b);
}

static void fill(struct bench *b, uint32_t lane, size_t bytes)
{
    for (size_t n = 0; n <= bytes; n += LARGE_BYTES)
        put_event(b, lane, 1000 + b->at, b->shop, LARGE_BYTES);
}

static void all_but(struct bench *b, uint32_t one, uint32_t two)
{
    for (uint32_t p = 0; p < PARTITIONS; p++)
        if (p != one && p != two) put_mark(b, p, 0, true);
}

static void test_sources_rest_while_others_are_behind(void **state)
{
    struct bench *b = *state;
    all_but(b, MINE, OTHER);
    put_mark(b, MINE, 500, false);
    put_mark(b, OTHER, 400, false);
    fill(b, MINE, REST_BYTES / 2);
    assert_int_equal(oz_exchange_take(b->exchange, 1, TAKEN_MAX, b->taken), 0);
    assert_false(oz_exchange_rests(b->exchange)); /* that little is no trouble */
    fill(b, MINE, REST_BYTES / 2);
    assert_true(oz_exchange_rests(b->exchange));
    /* Now it is this process that the others wait for. */
    put_mark(b, OTHER, 600, false);
    all_but(b, OTHER, OTHER);
    fill(b, 0, 1);
    assert_true(oz_exchange_rests(b->exchange));
    put_mark(b, OTHER, 0, true);
    assert_false(oz_exchange_rests(b->exchange));
}

static void test_nobody_waits_in_a_circle(void **state)
{
    struct bench *b = *state;
    all_but(b, MINE, OTHER);
    put_mark(b, MINE, 400, false);
    put_mark(b, OTHER, 500, false);
    fill(b, 0, REST_BYTES);
    assert_false(oz_exchange_rests(b->exchange)); /* its own partition is furthest behind */
    put_mark(b, MINE, 600, false);
    assert_true(oz_exchange_rests(b->exchange));
}

static void test_lanes_are_passed_over_at_the_bound(void **state)
{
    struct bench *b = *state;
    all_but(b, OTHER, OTHER);
    put_mark(b, OTHER, 400, false);
    while (oz_exchange_has_room(b->exchange)) {
        assert_int_equal(oz_exchange_take(b->exchange, 1, TAKEN_MAX, b->taken), 0);
        put_event(b, 0, 1000 + b->at, b->shop, LARGE_BYTES);
    }
    size_t n = oz_exchange_take(b->exchange, 1, 3, b->taken);
    assert_int_equal(n, 3);
    for (size_t i = 1; i < n; i++)
        assert_true(b->taken[i].timestamp_ms > b->taken[i - 1].timestamp_ms);
    assert_true(oz_exchange_has_room(b->exchange));
    assert_int_equal(oz_exchange_take(b->exchange, 1, 5, b->taken), 0); /* order again */
    put_mark(b, OTHER, 0, true);
    assert_int_equal(oz_exchange_take(b->exchange, 1, TAKEN_MAX, b->taken), 4); /* its bytes */
}

static bool is_at_end(const struct oz_source *src, uint32_t partition, int64_t *ret_time_ms)
{
    (void)src, (void)ret_time_ms;
    assert_int_equal(partition, MINE);
    return false;
}
static const struct oz_source_ops ops = {.ahead = is_at_end};
static const struct oz_source source = {&ops};

static size_t take(struct bench *b, struct oz_batch **ret_bat, enum oz_status *ret_status)
{
    size_t n = oz_exchange_take(b->exchange, 1, TAKEN_MAX, b->taken);
    *ret_status = n ? oz_engine_leg(b->engine, 1, b->taken, n, NULL, ret_bat, NULL) : OZ_OK;
    return n;
}

static void test_a_start_goes_on_where_it_was_sealed(void **state)
{
    struct bench *b = *state;
    struct oz_batch *bat;
    enum oz_status status;
    struct oz_outbox box;
    struct oz_sealed sealed;
    struct oz_error err = {0};
    assert_int_equal(oz_outbox_init(&box, 1, &err), OZ_OK);
    oz_sealed_init(&sealed);
    all_but(b, MINE, OTHER);
    put_mark(b, OTHER, 900, true);
    put_event(b, OTHER, 1000, b->shop, 5);
    put_event(b, MINE, 1001, b->shop, 5); /* waits for OTHER */
    put_event(b, MINE, 1002, NULL, 5);    /* a null key: it has no row, and is scored */
    assert_int_equal(take(b, &bat, &status), 1);
    assert_int_equal(status, OZ_OK);
    assert_int_equal(oz_exchange_seal(b->exchange, &source, &box, &sealed, &b->next, &err), OZ_OK);
    /* One message to every partition of the next leg, from the only partition there is. */
    assert_int_equal(box.part[0].n, PARTITIONS);
    assert_int_equal(b->next.source[MINE * 3 + 2], 4); /* behind two marks, one more, one event */
    const struct oz_sealed *one = &sealed;
    assert_int_equal(oz_store_write(b->store, &one, 1, &b->next, &err), OZ_OK);

    /* Another start: the log is read again from there, and what OTHER gave is not there twice. */
    assert_int_equal(oz_exchange_begin(b->exchange, b->owned, b->store, &b->next, &err), OZ_OK);
    b->at = 3;
    put_event(b, OTHER, 1000, b->shop, 5);
    put_event(b, MINE, 1001, b->shop, 5);
    put_event(b, MINE, 1002, NULL, 5);
    put_mark(b, OTHER, 1000, true);
    assert_int_equal(take(b, &bat, &status), 2);
    assert_int_equal(status, OZ_OK);
    assert_int_equal(bat->record[0].offset, 1001);
    assert_non_null(bat->entity_row[1][0]);
    assert_null(bat->entity_row[1][1]);
    oz_sealed_clear(&sealed);
    oz_outbox_clear(&box);
}

static void test_an_event_that_went_astray_is_refused(void **state)
{
    struct bench *b = *state;
    struct oz_batch *bat;
    enum oz_status status;
    char shop[16];
    find_shop(shop, false);
    all_but(b, OTHER, OTHER);
    put_event(b, OTHER, 1000, shop, 5);
    assert_int_equal(take(b, &bat, &status), 1);
    assert_int_equal(status, OZ_CORRUPT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_sources_rest_while_others_are_behind),
        TEST(test_nobody_waits_in_a_circle),
        TEST(test_lanes_are_passed_over_at_the_bound),
        TEST(test_a_start_goes_on_where_it_was_sealed),
        TEST(test_an_event_that_went_astray_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
