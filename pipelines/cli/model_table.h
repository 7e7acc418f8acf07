/* A table of rows through a model: CSV in, CSV of its outputs out, in blocks, in bounded memory.
 *
 * In: a header, then rows. Columns are taken by the features' names when all are there (others may
 * stand between), else by place when there are just as many. An empty cell is null. Out: every
 * number in the shortest form that reads back to the same value of its type, texts as they are, an
 * empty cell where there is no score. Rows stay in their order.
 * Errors: OZ_FOUND for what the table got wrong, with file:line; OZ_IO. */
#ifndef OZ_PIPELINES_CLI_MODEL_TABLE_H
#define OZ_PIPELINES_CLI_MODEL_TABLE_H
#include <stdatomic.h>

#include "models/csv_rows.h"
#include "models/model.h"

/* The header has been read: its cells are the current row. */
enum oz_status oz_model_table(const struct oz_model *model, struct oz_csv *csv, FILE *to,
                              const atomic_bool *stop, struct oz_error *err) OZ_MUST_USE;
#endif
