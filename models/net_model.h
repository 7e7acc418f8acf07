/* A net behind the interface of models: columns become input tensors, output tensors become
 * scores, a tile of rows at a time.
 *
 * Rows: the net is planned once, at load, for a tile of as many rows as keep its values within
 * OZ_NET_TILE_BYTES, and is run with that many or fewer. A file whose batch is fixed at 1, whose
 * outputs are not a row for each row, or whose rows change each other (models/net_probe.c tries
 * that) is run one row at a time; why_one says so. A tile that fails (an index out of range) is run
 * again row by row, so that only the rows at fault have no scores.
 *
 * Layout of the scratch, each part aligned to 64 bytes: the memory of a run, one buffer per input,
 * the tensors, the numbers of the tile's rows.
 * Threads: immutable after oz_net_model_new(). Ownership: it takes the net. Limits: the number of
 * features and scores as in models/model.h, and the scratch. */
#ifndef OZ_MODELS_NET_MODEL_H
#define OZ_MODELS_NET_MODEL_H
#include "models/model.h"
#include "models/net/exec.h"

enum { OZ_NET_SCRATCH_BYTES_MAX = 1 << 30 };
enum { OZ_NET_TILE_BYTES = 512 << 10, OZ_NET_TILE_ROWS_MIN = 16, OZ_NET_TILE_ROWS_MAX = 512 };

struct oz_net_input {
    const struct oz_value *value;
    enum oz_dtype dtype;
    size_t rank;
    int64_t dim[OZ_RANK_MAX]; /* dim[0] is that of the rows */
    uint32_t first, width;    /* features */
    size_t offset;            /* of its buffer in the scratch */
};

struct oz_net_output {
    const struct oz_value *value;
    enum oz_dtype dtype;
    uint32_t first, width; /* scores, or texts */
};

struct oz_net_model {
    struct oz_arena arena;
    struct oz_net *net;
    struct oz_net_plan plan;
    uint32_t n_inputs, n_outputs, n_features, n_scores, n_texts;
    struct oz_net_input *input;
    struct oz_net_output *output;
    bool is_batch_fixed; /* the file says 1 row */
    bool has_checks;     /* some input is not of floats: rows must be looked at first */
    uint32_t plan_rows, tile_rows;
    const char *why_one;
    size_t tensors_offset, rows_offset, scratch_bytes;
};

/* What a run is about: the rows of a batch, and where their scores go. */
struct oz_net_run {
    const struct oz_net_model *model;
    const union oz_model_column *column;
    uint8_t *scratch; /* aligned to 64 */
    double *scores;
    struct oz_model_texts *texts; /* NULL: none are wanted */
};

/* Takes the net, which is compiled, also on failure. */
enum oz_status oz_net_model_new(struct oz_net *net, const struct oz_model_widths *widths,
                                struct oz_net_model **ret_model, struct oz_error *err) OZ_MUST_USE;
void oz_net_model_free(struct oz_net_model *model);
/* Fills what a net has to say: all but format, objective, hash and operators. */
enum oz_status oz_net_model_describe(struct oz_net_model *model, struct oz_model_info *info,
                                     struct oz_error *err) OZ_MUST_USE;

/* models/net_model_run.c. Rows [0, n_rows) of run's columns; returns how many failed. A failure to
 * copy texts ends it: *ret_status. */
size_t oz_net_model_run(const struct oz_net_run *run, size_t n_rows, enum oz_status *ret_status,
                        struct oz_error *err);
/* The rows named in row[0, n), n <= plan_rows, in one run, which may fail. Their nulls are not
 * looked at. */
enum oz_status oz_net_model_run_once(const struct oz_net_run *run, const uint32_t *row, size_t n,
                                     struct oz_error *err) OZ_MUST_USE;

/* models/net_probe.c. Tries rows of made-up values, alone and together, and makes tile_rows 1 when
 * that is not the same. */
enum oz_status oz_net_model_probe(struct oz_net_model *model, struct oz_error *err) OZ_MUST_USE;
#endif
