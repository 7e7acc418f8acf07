#include "stream/embedded_broker.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

struct oz_embedded_broker {
    rd_kafka_t *rk; /* a client that only carries the cluster */
    rd_kafka_mock_cluster_t *cluster;
};

/* librdkafka's cluster accepts connections without TCP_NODELAY and has no setting for it. This
 * program's accept() comes before the C library's when librdkafka is loaded, so the option is set
 * here, for every TCP connection that the process accepts; elsewhere it does no harm. */
__attribute__((visibility("default"))) int accept(int fd, struct sockaddr *restrict address,
                                                  socklen_t *restrict len);
int accept(int fd, struct sockaddr *restrict address, socklen_t *restrict len)
{
    int to = accept4(fd, address, len, 0), on = 1;
    if (to >= 0) (void)setsockopt(to, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return to;
}

static void quiet(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk, (void)level, (void)facility, (void)text;
}

enum oz_status oz_embedded_broker_start(struct oz_embedded_broker **ret_broker,
                                        struct oz_error *err)
{
    char text[256];
    struct oz_embedded_broker *broker = oz_calloc(1, sizeof *broker);
    if (!broker) return oz_no_memory(err);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, quiet);
    broker->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!broker->rk) {
        rd_kafka_conf_destroy(conf);
        oz_free(broker);
        OZ_FAIL(err, OZ_ENVIRONMENT, "the embedded broker did not start: %s", text);
    }
    broker->cluster = rd_kafka_mock_cluster_new(broker->rk, 1);
    if (!broker->cluster) {
        oz_embedded_broker_stop(broker);
        OZ_FAIL(err, OZ_ENVIRONMENT,
                "the embedded broker did not start: no port of 127.0.0.1 is "
                "to be had");
    }
    *ret_broker = broker;
    return OZ_OK;
}

void oz_embedded_broker_stop(struct oz_embedded_broker *broker)
{
    if (!broker) return;
    if (broker->cluster) rd_kafka_mock_cluster_destroy(broker->cluster);
    if (broker->rk) rd_kafka_destroy(broker->rk);
    oz_free(broker);
}

const char *oz_embedded_broker_address(const struct oz_embedded_broker *broker)
{
    return rd_kafka_mock_cluster_bootstraps(broker->cluster);
}

enum oz_status oz_embedded_broker_topic(struct oz_embedded_broker *broker, const char *name,
                                        uint32_t n_partitions, struct oz_error *err)
{
    rd_kafka_resp_err_t code =
        rd_kafka_mock_topic_create(broker->cluster, name, (int)n_partitions, 1);
    if (code)
        OZ_FAIL(err, OZ_ENVIRONMENT, "the embedded broker's topic %s: %s", name,
                rd_kafka_err2str(code));
    return OZ_OK;
}
