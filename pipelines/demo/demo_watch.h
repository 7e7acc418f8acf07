/* Reads what the pipeline writes, as a consumer of its topics would: scores for the latency, alerts
 * to show. For each alert it finds the features that lie farthest from what training saw, in
 * standard deviations, by the table that training left beside the model (<model>.training.csv:
 * feature,mean,sd). */
#ifndef OZ_PIPELINES_DEMO_DEMO_WATCH_H
#define OZ_PIPELINES_DEMO_DEMO_WATCH_H
#include "pipelines/demo/demo_board.h"

enum { OZ_TRAINED_MAX = 256 };
struct oz_trained {
    char name[OZ_NAME_BYTES_MAX];
    double mean, sd;
};

struct oz_demo_watch {
    struct oz_demo_board *board;
    struct oz_kafka_config client;
    const char *scores, *alerts; /* topics */
    const char *model_name;
    uint32_t n_partitions;
    struct oz_trained trained[OZ_TRAINED_MAX];
    size_t n_trained;
    atomic_bool ready, end; /* end: set by the caller once nothing more will come */
    struct oz_error err;
};
/* The table that training left; without it alerts show no reasons. */
enum oz_status oz_demo_watch_trained(struct oz_demo_watch *watch, const char *csv_path,
                                     struct oz_error *err) OZ_MUST_USE;
void *oz_demo_watch_main(void *watch); /* a thread's main */
#endif
