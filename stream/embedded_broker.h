/* A broker inside the process: librdkafka's mock cluster, for the demo and for tests of the wire.
 * It keeps at most 5 MiB a partition, has no transactions worth the name and forgets everything at
 * its end: at-least-once only. Accepted sockets get TCP_NODELAY, or every answer would wait 40
 * ms. */
#ifndef OZ_STREAM_EMBEDDED_BROKER_H
#define OZ_STREAM_EMBEDDED_BROKER_H
#include "base/memory.h"

struct oz_embedded_broker;
enum oz_status oz_embedded_broker_start(struct oz_embedded_broker **ret_broker,
                                        struct oz_error *err) OZ_MUST_USE;
void oz_embedded_broker_stop(struct oz_embedded_broker *broker);
const char *oz_embedded_broker_address(const struct oz_embedded_broker *broker);
enum oz_status oz_embedded_broker_topic(struct oz_embedded_broker *broker, const char *name,
                                        uint32_t n_partitions, struct oz_error *err) OZ_MUST_USE;
#endif
