/* Feeds the generator's events to the topics, at a rate, in the order in which they arrive; a
 * record's time is its simulated arrival. Waits while the engine is OZ_DEMO_BACKLOG events behind:
 * the embedded broker keeps little. */
#ifndef OZ_PIPELINES_DEMO_DEMO_FEED_H
#define OZ_PIPELINES_DEMO_DEMO_FEED_H
#include "pipelines/demo/demo_board.h"
#include "pipelines/demo/fraud_generator.h"

struct oz_demo_feed {
    struct oz_demo_board *board;
    struct oz_kafka_config client;
    const char *transactions, *labels; /* topics */
    double rate;                       /* events a second */
    struct oz_fraud_config fraud;
    struct oz_error err; /* when board->failed was set by it */
};
void *oz_demo_feed_main(void *feed); /* a thread's main */
#endif
