/* The truth of past events, by their id: one boolean or number field of one source's file, read
 * whole. What a training table joins to its rows. A later record of an id replaces an earlier one.
 * Memory: 12 to 24 bytes a record. Threads: immutable once loaded. */
#ifndef OZ_PIPELINES_RUN_TRUTH_H
#define OZ_PIPELINES_RUN_TRUTH_H
#include "base/columns.h"

struct oz_truth;
enum oz_status oz_truth_load(const char *path, const struct oz_schema *schema, int field,
                             struct oz_truth **ret_truth, struct oz_error *err) OZ_MUST_USE;
void oz_truth_free(struct oz_truth *truth);
/* NaN when the id is not known or its truth is null. `table` is the scored source's. */
double oz_truth_of(const struct oz_truth *truth, const struct oz_table *table, size_t row);
size_t oz_truth_size(const struct oz_truth *truth);
#endif
