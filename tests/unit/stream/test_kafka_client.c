/* Proves what the questions to a cluster say when no broker answers, and what they say of the
 * embedded one. How: a port of this machine that is bound and not listened on, so that nobody else
 * can take it; the log is caught line by line. */
#include "stream/kafka_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/log.h"
#include "stream/embedded_broker.h"

static struct {
    char text[8192];
    size_t len, n_lines;
    int64_t first_us;
} caught;

static void catch (void *ctx, const char *text, size_t len)
{
    (void)ctx;
    if (!caught.n_lines++) caught.first_us = oz_monotonic_us();
    if (caught.len + len >= sizeof caught.text) return;
    memcpy(caught.text + caught.len, text, len);
    caught.len += len;
}

static int dead_port(char address[32])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    snprintf(address, 32, "127.0.0.1:%d", ntohs(at.sin_port));
    return fd;
}

static void test_dead_broker_is_said_at_once(void **state)
{
    (void)state;
    char address[32];
    int fd = dead_port(address);
    struct oz_kafka_setting setting[] = {{"bootstrap.servers", address}};
    struct oz_kafka_config config = {.setting = setting, .n_settings = 1, .client_id = "test"};
    struct oz_topic_info info = {.name = "t"};
    struct oz_error err = {0};
    memset(&caught, 0, sizeof caught);
    oz_log_redirect(catch, NULL);
    int64_t start_us = oz_monotonic_us();
    enum oz_status status =
        oz_kafka_topics(&config, &info, 1, OZ_TOPIC_MAY_BE, 2500000, NULL, &err);
    int64_t took_us = oz_monotonic_us() - start_us;
    oz_log_redirect(NULL, NULL);
    assert_int_equal(status, OZ_ENVIRONMENT);
    assert_non_null(strstr(err.message, address));
    assert_non_null(strstr(err.message, "refused"));
    assert_in_range(took_us, 2500000, 4500000);
    /* Once, in plain words, and long before the end of the wait. */
    assert_true(caught.first_us - start_us < 1500000);
    assert_non_null(strstr(caught.text, "no broker answers"));
    assert_int_equal(caught.n_lines, 1);
    close(fd);
}

static void test_stop_is_seen(void **state)
{
    (void)state;
    char address[32];
    int fd = dead_port(address);
    struct oz_kafka_setting setting[] = {{"bootstrap.servers", address}};
    struct oz_kafka_config config = {.setting = setting, .n_settings = 1, .client_id = "test"};
    struct oz_topic_info info = {.name = "t"};
    atomic_bool stop = true;
    int64_t start_us = oz_monotonic_us();
    oz_log_redirect(catch, NULL);
    assert_int_equal(oz_kafka_topics(&config, &info, 1, OZ_TOPIC_MAY_BE, 60000000, &stop, NULL),
                     OZ_RETRY);
    oz_log_redirect(NULL, NULL);
    assert_true(oz_monotonic_us() - start_us < 3000000);
    close(fd);
}

static void test_embedded_broker_answers(void **state)
{
    (void)state;
    struct oz_embedded_broker *broker = NULL;
    struct oz_error err = {0};
    assert_int_equal(oz_embedded_broker_start(&broker, &err), OZ_OK);
    assert_int_equal(oz_embedded_broker_topic(broker, "five", 5, &err), OZ_OK);
    struct oz_kafka_setting setting[] = {{"bootstrap.servers", oz_embedded_broker_address(broker)}};
    struct oz_kafka_config config = {.setting = setting, .n_settings = 1, .client_id = "test"};
    struct oz_topic_info info = {.name = "five"};
    assert_int_equal(oz_kafka_topics(&config, &info, 1, OZ_TOPIC_MAY_BE, 5000000, NULL, &err),
                     OZ_OK);
    assert_int_equal(info.n_partitions, 5);
    /* It cannot list groups: nobody is in the way. */
    assert_int_equal(oz_kafka_group_is_free(&config, "g", "one", &err), OZ_OK);
    struct oz_positions pos;
    const char *topic = "five";
    assert_int_equal(oz_positions_init(&pos, 5, 1, 0, &err), OZ_OK);
    assert_int_equal(oz_kafka_committed(&config, "g", &topic, &pos, &err), OZ_OK);
    for (int p = 0; p < 5; p++) assert_int_equal(pos.source[p], OZ_NO_OFFSET);
    assert_int_equal(oz_kafka_start_offsets(&config, &topic, OZ_KAFKA_LATEST, &pos, &err), OZ_OK);
    for (int p = 0; p < 5; p++) assert_int_equal(pos.source[p], 0);
    oz_positions_clear(&pos);
    oz_embedded_broker_stop(broker);
    oz_embedded_broker_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dead_broker_is_said_at_once),
        cmocka_unit_test(test_stop_is_seen),
        cmocka_unit_test(test_embedded_broker_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
