/* Proves that connections to the embedded broker do not wait for delayed acknowledgements, on the
 * broker's side too. How: with a client connected, every socket of this process that stands on the
 * broker's port is asked for TCP_NODELAY; librdkafka's own code never sets it there. */
#include "stream/embedded_broker.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>
#include "stream/kafka_client.h"
#include "stream/sink.h"

static void test_accepted_sockets_do_not_wait(void **state)
{
    (void)state;
    struct oz_embedded_broker *broker = NULL;
    struct oz_sink *sink = NULL;
    struct oz_error err = {0};
    uint32_t topic, n_partitions;
    assert_int_equal(oz_embedded_broker_start(&broker, &err), OZ_OK);
    assert_int_equal(oz_embedded_broker_topic(broker, "t", 3, &err), OZ_OK);
    struct oz_kafka_setting setting[] = {{"bootstrap.servers", oz_embedded_broker_address(broker)}};
    struct oz_kafka_config config = {.setting = setting, .n_settings = 1, .client_id = "test"};
    assert_int_equal(oz_sink_open(&config, NULL, 10000000, &sink, &err), OZ_OK);
    assert_int_equal(oz_sink_topic(sink, "t", true, &topic, &n_partitions, &err), OZ_OK);
    assert_int_equal(n_partitions, 3);

    int port = atoi(strrchr(setting[0].value, ':') + 1), n = 0;
    for (int fd = 0; fd < 1024; fd++) {
        struct sockaddr_in here, there;
        socklen_t len = sizeof here, peer_len = sizeof there, on_len = sizeof(int);
        int on = 0;
        if (getsockname(fd, (struct sockaddr *)&here, &len) || here.sin_family != AF_INET ||
            ntohs(here.sin_port) != port || getpeername(fd, (struct sockaddr *)&there, &peer_len))
            continue;
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &on_len), 0);
        assert_int_not_equal(on, 0);
        n++;
    }
    assert_true(n >= 1);
    oz_sink_close(sink);
    oz_embedded_broker_stop(broker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_accepted_sockets_do_not_wait)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
