/* Proves that settings of `kafka:` are checked before anything connects: which are taken, which are
 * the engine's own, what is said of a wrong name or value. How: tables of settings as a user would
 * write them, the names from librdkafka's CONFIGURATION.md; and clients made from them, asked by
 * rd_kafka_conf_get() what they got. */
#include "stream/kafka_handles.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void expect(const char *key, const char *value, enum oz_status status, const char *words)
{
    struct oz_kafka_setting setting[] = {{"bootstrap.servers", "localhost:9092"}, {key, value}};
    struct oz_kafka_config config = {.setting = setting, .n_settings = 2, .client_id = NULL};
    struct oz_error err = {0};
    size_t bad = 99;
    assert_int_equal(oz_kafka_check_settings(&config, &bad, &err), status);
    if (status == OZ_OK) return;
    assert_int_equal(bad, 1);
    if (!strstr(err.message, words)) fail_msg("%s: \"%s\" is not in: %s", key, words, err.message);
}

static void test_settings_are_checked(void **state)
{
    (void)state;
    expect("security.protocol", "SASL_SSL", OZ_OK, NULL);
    expect("linger.ms", "20", OZ_OK, NULL);           /* a producer's */
    expect("fetch.wait.max.ms", "20", OZ_OK, NULL);   /* a consumer's */
    expect("compression.codec", "zstd", OZ_OK, NULL); /* a topic's */
    expect("partition.assignment.strategy", "cooperative-sticky", OZ_OK, NULL);
    expect("linger.mss", "20", OZ_CONFIG, "linger.ms");
    expect("boostrap.servers", "x", OZ_CONFIG, "did you mean bootstrap.servers");
    expect("no.such.thing.at.all", "1", OZ_CONFIG, "no setting named no.such.thing.at.all");
    expect("linger.ms", "soon", OZ_CONFIG, "linger.ms");
    expect("security.protocol", "tls", OZ_CONFIG, "security.protocol");
    expect("group.id", "g", OZ_CONFIG, "group.id is set by the engine");
    expect("group.instance.id", "g", OZ_CONFIG, "instance:");
    expect("transactional.id", "g", OZ_CONFIG, "instance:");
    expect("isolation.level", "read_committed", OZ_CONFIG, "delivery:");
    expect("auto.offset.reset", "latest", OZ_CONFIG, "start:");
    expect("enable.auto.commit", "true", OZ_CONFIG, "enable.auto.commit");
}

static void test_address_is_needed(void **state)
{
    (void)state;
    struct oz_kafka_setting setting[] = {{"linger.ms", "5"}};
    struct oz_kafka_config config = {.setting = setting, .n_settings = 1, .client_id = NULL};
    struct oz_error err = {0};
    size_t bad = 99;
    assert_int_equal(oz_kafka_check_settings(&config, &bad, &err), OZ_CONFIG);
    assert_int_equal(bad, 1);
    assert_non_null(strstr(err.message, "bootstrap.servers is missing"));
}

static void is(const rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char got[256];
    size_t len = sizeof got;
    assert_int_equal(rd_kafka_conf_get(conf, key, got, &len), RD_KAFKA_CONF_OK);
    assert_string_equal(got, value);
}

/* Defaults, then the user, then the engine. */
static void test_layers(void **state)
{
    (void)state;
    struct oz_kafka_setting setting[] = {{"bootstrap.servers", "localhost:9092"},
                                         {"queue.buffering.max.ms", "33"}, /* linger.ms */
                                         {"compression.type", "zstd"},
                                         {"fetch.wait.max.ms", "77"}};
    const struct oz_kafka_setting owned[] = {{"group.id", "ouzel.x"}, {NULL, NULL}};
    struct oz_kafka_config config = {.setting = setting, .n_settings = 4, .client_id = "ouzel-x"};
    struct oz_kafka_link link = {.what = "test"};
    rd_kafka_conf_t *conf = NULL;
    struct oz_error err;
    assert_int_equal(oz_kafka_conf(&config, OZ_KAFKA_PRODUCER, NULL, &link, &conf, &err), OZ_OK);
    is(conf, "linger.ms", "33");
    is(conf, "compression.codec", "zstd");
    is(conf, "enable.idempotence", "true");
    is(conf, "socket.nagle.disable", "true");
    is(conf, "retry.backoff.ms", "10");
    is(conf, "client.id", "ouzel-x");
    rd_kafka_conf_destroy(conf);
    assert_int_equal(oz_kafka_conf(&config, OZ_KAFKA_CONSUMER, owned, &link, &conf, &err), OZ_OK);
    is(conf, "fetch.wait.max.ms", "77");
    is(conf, "queued.min.messages", "300000");
    is(conf, "enable.auto.commit", "false");
    is(conf, "enable.auto.offset.store", "false");
    is(conf, "allow.auto.create.topics", "false");
    is(conf, "partition.assignment.strategy", "range");
    is(conf, "group.id", "ouzel.x");
    is(conf, "heartbeat.interval.ms", "3000");
    rd_kafka_conf_destroy(conf);
    const struct oz_kafka_setting short_session[] = {{"session.timeout.ms", "1500"},
                                                     {"heartbeat.interval.ms", "99"}};
    for (size_t n = 1; n <= 2; n++) {
        struct oz_kafka_config other = {.setting = short_session, .n_settings = n};
        assert_int_equal(oz_kafka_conf(&other, OZ_KAFKA_CONSUMER, owned, &link, &conf, &err),
                         OZ_OK);
        is(conf, "heartbeat.interval.ms", n == 1 ? "500" : "99");
        rd_kafka_conf_destroy(conf);
    }
    assert_int_equal(oz_kafka_setting_ms(&config, "fetch.wait.max.ms", 5), 77);
    assert_int_equal(oz_kafka_setting_ms(&config, "session.timeout.ms", 5), 5);
    assert_string_equal(oz_kafka_bootstrap(&config), "localhost:9092");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings_are_checked),
        cmocka_unit_test(test_address_is_needed),
        cmocka_unit_test(test_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
