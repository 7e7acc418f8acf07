/* `ouzel demo fraud`: the card-fraud example as it runs, on a broker inside the process, fed by the
 * generator and watched by a consumer. The pipeline file is taken as it is, through the code of
 * `ouzel run`; only the broker's address, the delivery (the embedded broker has no transactions)
 * and the state's folder are the demo's own.
 * Errors: as the parts give them. Leaves nothing behind but its folder. */
#ifndef OZ_PIPELINES_DEMO_DEMO_H
#define OZ_PIPELINES_DEMO_DEMO_H
#include <stdatomic.h>

#include "pipelines/demo/fraud_generator.h"

struct oz_demo_config {
    const char *pipeline; /* file; NULL: the example's, looked for beside the binary and here */
    const char *folder;   /* the demo's own; its state is made anew */
    double for_seconds;   /* 0: for ever */
    double rate;          /* events a second */
    struct oz_fraud_config fraud; /* start_us 0: chosen so that the end is not in the future */
    const char *const *set;
    size_t n_set;
    const atomic_bool *stop;
};
enum oz_status oz_demo_fraud(const struct oz_demo_config *config, struct oz_error *err) OZ_MUST_USE;
#endif
