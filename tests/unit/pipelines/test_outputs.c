/* Proves that no record makes an output that the client refuses, which would stop the pipeline at
 * it for ever: dead letters are cut to message.max.bytes and say so, scores and alerts that are too
 * large become dead letters, all headers of a record find room. And that an empty key of an entity
 * is a null one. Sizes are summed up here, from the bytes that would go out. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/folder.h"
#include "pipelines/run/outputs.h"

#define PIPELINE "tests/unit/pipelines/outputs/pipeline.yaml"
enum { MESSAGE_BYTES_MAX = 20000, BIG_BYTES = 60000 };
enum { SCORES, ALERTS, DEAD };

/* A source that only knows headers. */
struct headers {
    struct oz_source base;
    struct oz_header header[OZ_RECORD_HEADERS_MAX];
    size_t n;
};

struct bench {
    char dir[64];
    struct oz_program *prg;
    struct oz_store *store;
    struct oz_engine *engine;
    struct oz_outputs *outputs;
    struct oz_outbox box;
    struct headers source;
    char *big;
};

static size_t give_headers(struct oz_source *src, const struct oz_record *record,
                           struct oz_header *ret_header, size_t cap)
{
    const struct headers *h = (const struct headers *)src;
    (void)record;
    assert_true(h->n <= cap);
    memcpy(ret_header, h->header, h->n * sizeof *ret_header);
    return h->n;
}

static int set_up(void **state)
{
    static const struct oz_source_ops ops = {.headers = give_headers};
    struct bench *b = oz_calloc(1, sizeof *b);
    struct oz_error err = {0};
    struct oz_mistakes mistakes = {0};
    strcpy(b->dir, "/tmp/ouzel-outputs-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    if (oz_program_load(PIPELINE, NULL, 0, 0, &b->prg, &mistakes, &err) != OZ_OK)
        fail_msg("%s\n%s", err.message, oz_buf_string(&mistakes.text));
    assert_int_equal(oz_store_open(b->dir, 16 << 20, false, &b->store, &err), OZ_OK);
    struct oz_engine_config engine = {.program = b->prg,
                                      .store = b->store,
                                      .n_workers = 2,
                                      .n_partitions = 1,
                                      .rows_memory_bytes = 16 << 20};
    assert_int_equal(oz_engine_new(&engine, &b->engine, &err), OZ_OK);
    b->source.base.ops = &ops;
    struct oz_outputs_config out = {.program = b->prg,
                                    .engine = b->engine,
                                    .scores = {SCORES, 1},
                                    .alerts = {ALERTS, 1},
                                    .dead_letters = {DEAD, 1},
                                    .source = &b->source.base};
    assert_int_equal(oz_outputs_new(&out, &b->outputs, &err), OZ_OK);
    assert_int_equal(oz_outbox_init(&b->box, 2, &err), OZ_OK);
    b->big = oz_malloc(BIG_BYTES + 1000);
    memset(b->big, 'x', BIG_BYTES + 1000);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    oz_outbox_clear(&b->box);
    oz_outputs_free(b->outputs);
    oz_engine_free(b->engine);
    oz_store_close(b->store);
    oz_program_free(b->prg);
    oz_folder_remove(b->dir);
    oz_free(b->big);
    oz_free(b);
    return 0;
}

/* Processes one record; its messages are in the returned part. */
static const struct oz_outbox_part *process(struct bench *b, const char *key, size_t key_len,
                                            const char *value, size_t len)
{
    struct oz_error err = {0};
    struct oz_batch *bat;
    struct oz_record rec = {.timestamp_ms = 1500000000000,
                            .key = key,
                            .key_len = (uint32_t)key_len,
                            .value = value,
                            .value_len = (uint32_t)len};
    if (oz_engine_batch(b->engine, &rec, 1, NULL, &bat, &err) != OZ_OK) fail_msg("%s", err.message);
    if (oz_outputs_make(b->outputs, bat, &b->box, &err) != OZ_OK) fail_msg("%s", err.message);
    for (uint32_t w = 0; w < b->box.n_parts; w++)
        if (b->box.part[w].n) return &b->box.part[w];
    fail_msg("nothing came out");
    return NULL;
}

/* The value of a header, or NULL; and the size of the whole message as the client counts it, with a
 * byte for each length at least. */
static const char *header_of(const struct oz_outbox_part *part, const struct oz_out *out,
                             const char *name, size_t *ret_size)
{
    static char text[1024];
    const char *found = NULL;
    size_t size = out->key_len + out->value_len;
    for (uint32_t k = 0; k < out->n_headers; k++) {
        const struct oz_out_header *h = &part->header[out->header_at + k];
        const char *at = (const char *)part->bytes.data + h->name_at;
        size += strlen(at) + h->len + 2;
        if (strcmp(at, name) || h->len >= sizeof text) continue;
        memcpy(text, part->bytes.data + h->value_at, h->len);
        text[h->len] = 0;
        found = text;
    }
    if (ret_size) *ret_size = size;
    return found;
}

static void test_small_dead_letter_is_whole(void **state)
{
    struct bench *b = *state;
    static char name[OZ_RECORD_HEADERS_MAX][8];
    for (size_t k = 0; k < OZ_RECORD_HEADERS_MAX; k++) {
        snprintf(name[k], sizeof name[k], "h%zu", k);
        b->source.header[k] = (struct oz_header){name[k], "v", 1};
    }
    b->source.n = OZ_RECORD_HEADERS_MAX;
    const struct oz_outbox_part *part = process(b, "c1", 2, "garbage", 7);
    assert_int_equal(part->n, 1);
    assert_int_equal(part->out[0].topic, DEAD);
    assert_int_equal(part->out[0].value_len, 7);
    assert_memory_equal(part->bytes.data + part->out[0].value_at, "garbage", 7);
    assert_int_equal(part->out[0].n_headers, OZ_RECORD_HEADERS_MAX + 10);
    assert_true(part->out[0].n_headers <= OZ_OUT_HEADERS_MAX);
    assert_string_equal(header_of(part, part->out, "h63", NULL), "v");
    assert_null(header_of(part, part->out, "ouzel.value.bytes", NULL));
    assert_string_equal(header_of(part, part->out, "ouzel.stage", NULL), "decode");
}

static void test_large_dead_letter_is_cut(void **state)
{
    struct bench *b = *state;
    size_t size;
    b->source.header[0] = (struct oz_header){"trace", "t1", 2};
    b->source.n = 1;
    const struct oz_outbox_part *part = process(b, "c1", 2, b->big, BIG_BYTES);
    const struct oz_out *out = part->out;
    assert_string_equal(header_of(part, out, "ouzel.value.bytes", &size), "60000");
    assert_true(size <= MESSAGE_BYTES_MAX);
    assert_true(out->value_len > MESSAGE_BYTES_MAX / 2);
    assert_memory_equal(part->bytes.data + out->value_at, b->big, out->value_len);
    assert_int_equal(out->key_len, 2);
    assert_string_equal(header_of(part, out, "trace", NULL), "t1");
}

static void test_large_key_and_headers_are_left_out(void **state)
{
    struct bench *b = *state;
    size_t size;
    b->source.header[0] = (struct oz_header){"trace", b->big, 19000};
    b->source.n = 1;
    const struct oz_outbox_part *part = process(b, b->big, 18000, "garbage", 7);
    const struct oz_out *out = part->out;
    assert_string_equal(header_of(part, out, "ouzel.value.bytes", &size), "7");
    assert_true(size <= MESSAGE_BYTES_MAX);
    assert_false(out->has_key);
    assert_null(header_of(part, out, "trace", NULL));
    assert_int_equal(out->value_len, 7);
    assert_memory_equal(part->bytes.data + out->value_at, "garbage", 7);
}

/* The score holds the id once, the alert twice: the one fits and the other does not. */
static void test_large_alert_is_a_dead_letter(void **state)
{
    struct bench *b = *state;
    char *line = oz_malloc(BIG_BYTES);
    int n =
        snprintf(line, BIG_BYTES,
                 "{\"id\":\"%.*s\",\"at\":\"2017-07-14T02:40:00Z\",\"card\":\"c1\",\"shop\":\"s1\","
                 "\"amount\":500}",
                 12000, b->big);
    const struct oz_outbox_part *part = process(b, "c1", 2, line, (size_t)n);
    assert_int_equal(part->n, 2);
    assert_int_equal(part->out[0].topic, SCORES);
    assert_int_equal(part->out[1].topic, DEAD);
    assert_int_equal(part->out[1].value_len, n);
    assert_string_equal(header_of(part, &part->out[1], "ouzel.stage", NULL), "produce");
    assert_non_null(strstr(header_of(part, &part->out[1], "ouzel.error", NULL), "its alert"));
    assert_int_equal(b->box.n_dead, 1);
    n = snprintf(line, BIG_BYTES,
                 "{\"id\":\"%.*s\",\"at\":\"2017-07-14T02:41:00Z\",\"card\":\"c1\",\"shop\":\"s1\","
                 "\"amount\":5}",
                 30000, b->big);
    part = process(b, "c1", 2, line, (size_t)n);
    assert_int_equal(part->n, 1);
    assert_int_equal(part->out[0].topic, DEAD);
    assert_non_null(strstr(header_of(part, part->out, "ouzel.error", NULL), "its score"));
    oz_free(line);
}

static void test_empty_key_is_a_null_entity(void **state)
{
    struct bench *b = *state;
    static const char line[] = "{\"id\":\"e1\",\"at\":\"2017-07-14T02:40:00Z\",\"card\":\"c1\","
                               "\"shop\":\"\",\"amount\":5}";
    for (int i = 0; i < 3; i++) {
        const struct oz_outbox_part *part = process(b, "c1", 2, line, sizeof line - 1);
        assert_int_equal(part->n, 1);
        assert_int_equal(part->out[0].topic, SCORES);
        part->bytes.data[part->out[0].value_at + part->out[0].value_len - 1] = 0;
        assert_non_null(
            strstr((const char *)part->bytes.data + part->out[0].value_at, "\"shop_count\":null"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_small_dead_letter_is_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_large_dead_letter_is_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_large_key_and_headers_are_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_large_alert_is_a_dead_letter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_empty_key_is_a_null_entity, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
