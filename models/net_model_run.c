/* The rows of a batch, tile by tile: columns to input tensors, a run, outputs to scores. */
#include <math.h>
#include <string.h>
#include "models/net_model.h"

/* ---- can the row go in */

/* The integers that a type holds and a double has: [low, high). */
static bool fits(double v, enum oz_dtype dtype)
{
    double low = 0, high = 0;
    switch (dtype) {
    case OZ_DTYPE_F32:
    case OZ_DTYPE_F64: return true;
    case OZ_DTYPE_I32: low = -0x1p31, high = 0x1p31; break;
    case OZ_DTYPE_I64: low = -0x1p63, high = 0x1p63; break;
    case OZ_DTYPE_U8: high = 256; break;
    case OZ_DTYPE_I8: low = -128, high = 128; break;
    case OZ_DTYPE_BOOL: high = 2; break;
    default: return false;
    }
    return v >= low && v < high && v == trunc(v); /* NaN is none of these */
}

static bool may_go_in(const struct oz_net_run *run, size_t row)
{
    const struct oz_net_model *model = run->model;
    for (uint32_t i = 0; i < model->n_inputs; i++) {
        const struct oz_net_input *in = &model->input[i];
        if (oz_dtype_is_float(in->dtype)) continue;
        const union oz_model_column *column = run->column + in->first;
        for (uint32_t k = 0; k < in->width; k++) {
            bool good = in->dtype == OZ_DTYPE_TEXT ? column[k].text[row].data != NULL
                                                   : fits(column[k].f64[row], in->dtype);
            if (!good) return false;
        }
    }
    return true;
}

/* ---- columns to tensors */

enum { GATHER_ROWS = 16 }; /* what is written to at a time stays in the nearest cache */

/* An input's buffer is [n x width]; each of its features is a column of it. */
#define GATHER(type, member)                                                                       \
    for (size_t at = 0; at < n; at += GATHER_ROWS)                                                 \
        for (uint32_t k = 0; k < in->width; k++) {                                                 \
            type *to = (type *)buffer + k;                                                         \
            size_t end = OZ_MIN(at + GATHER_ROWS, n);                                              \
            for (size_t r = at; r < end; r++) to[r * in->width] = (type)column[k].member[row[r]];  \
        }

static void gather(const struct oz_net_run *run, const struct oz_net_input *in, const uint32_t *row,
                   size_t n, void *buffer)
{
    const union oz_model_column *column = run->column + in->first;
    switch (in->dtype) {
    case OZ_DTYPE_F32: GATHER(float, f64) break;
    case OZ_DTYPE_F64: GATHER(double, f64) break;
    case OZ_DTYPE_I32: GATHER(int32_t, f64) break;
    case OZ_DTYPE_I64: GATHER(int64_t, f64) break;
    case OZ_DTYPE_BOOL:
    case OZ_DTYPE_U8: GATHER(uint8_t, f64) break;
    case OZ_DTYPE_I8: GATHER(int8_t, f64) break;
    case OZ_DTYPE_TEXT:
        for (uint32_t k = 0; k < in->width; k++)
            for (size_t r = 0; r < n; r++)
                ((struct oz_str *)buffer)[r * in->width + k] = column[k].text[row[r]];
        break;
    default: break;
    }
}

/* ---- tensors to scores */

#define SCATTER(type)                                                                              \
    for (size_t r = 0; r < n; r++) {                                                               \
        const type *from = (const type *)tensor->data + r * out->width;                            \
        double *to = run->scores + row[r] * (size_t)model->n_scores + out->first;                  \
        for (uint32_t k = 0; k < out->width; k++) to[k] = (double)from[k];                         \
    }

static void scatter(const struct oz_net_run *run, const struct oz_net_output *out,
                    const struct oz_tensor *tensor, const uint32_t *row, size_t n)
{
    const struct oz_net_model *model = run->model;
    switch (out->dtype) {
    case OZ_DTYPE_F32: SCATTER(float) break;
    case OZ_DTYPE_F64: SCATTER(double) break;
    case OZ_DTYPE_I32: SCATTER(int32_t) break;
    case OZ_DTYPE_I64: SCATTER(int64_t) break;
    case OZ_DTYPE_BOOL:
    case OZ_DTYPE_U8: SCATTER(uint8_t) break;
    case OZ_DTYPE_I8: SCATTER(int8_t) break;
    default: break;
    }
}

static enum oz_status copy_texts(const struct oz_net_run *run, const struct oz_net_output *out,
                                 const struct oz_tensor *tensor, const uint32_t *row, size_t n,
                                 struct oz_error *err)
{
    for (size_t r = 0; r < n; r++)
        for (uint32_t k = 0; k < out->width; k++) {
            const struct oz_str *from = &tensor->text[r * out->width + k];
            struct oz_str *to =
                run->texts->text + row[r] * (size_t)run->model->n_texts + out->first + k;
            to->len = from->len;
            to->data = oz_arena_strndup(run->texts->arena, from->data ? from->data : "", from->len);
            if (!to->data) return oz_no_memory(err);
        }
    return OZ_OK;
}

static enum oz_status take_outputs(const struct oz_net_run *run, const struct oz_tensor *tensor,
                                   const uint32_t *row, size_t n, struct oz_error *err)
{
    const struct oz_net_model *model = run->model;
    for (uint32_t k = 0; k < model->n_outputs; k++) {
        const struct oz_net_output *out = &model->output[k];
        char words[OZ_TENSOR_WORDS_BYTES];
        if (tensor[k].dtype != out->dtype || tensor[k].n != (int64_t)(n * out->width))
            OZ_FAIL(err, OZ_MODEL, "output `%s` is %s for %zu rows, expected %u values for each",
                    out->value->name, oz_tensor_words(&tensor[k], words), n, out->width);
    }
    for (uint32_t k = 0; k < model->n_outputs; k++) {
        const struct oz_net_output *out = &model->output[k];
        if (out->dtype != OZ_DTYPE_TEXT)
            scatter(run, out, &tensor[k], row, n);
        else if (run->texts && run->texts->text)
            OZ_TRY(copy_texts(run, out, &tensor[k], row, n, err));
    }
    return OZ_OK;
}

/* ---- runs */

enum oz_status oz_net_model_run_once(const struct oz_net_run *run, const uint32_t *row, size_t n,
                                     struct oz_error *err)
{
    const struct oz_net_model *model = run->model;
    struct oz_tensor *in = (struct oz_tensor *)(run->scratch + model->tensors_offset);
    struct oz_tensor *out = in + model->n_inputs;
    for (uint32_t i = 0; i < model->n_inputs; i++) {
        const struct oz_net_input *input = &model->input[i];
        int64_t dim[OZ_RANK_MAX];
        memcpy(dim, input->dim, sizeof dim);
        dim[0] = (int64_t)n;
        OZ_TRY(oz_tensor_shape(&in[i], input->dtype, input->rank, dim, err));
        in[i].data = run->scratch + input->offset;
        gather(run, input, row, n, in[i].data);
    }
    OZ_TRY(oz_net_run(&model->plan, in, run->scratch, out, err));
    return take_outputs(run, out, row, n, err);
}

static void no_scores(const struct oz_net_run *run, size_t row)
{
    const struct oz_net_model *model = run->model;
    for (uint32_t k = 0; k < model->n_scores; k++)
        run->scores[row * model->n_scores + k] = OZ_NULL_DOUBLE;
    for (uint32_t k = 0; run->texts && run->texts->text && k < model->n_texts; k++)
        run->texts->text[row * model->n_texts + k] = (struct oz_str){0};
}

static void remember(const struct oz_net_run *run, size_t row, const struct oz_error *failure)
{
    if (!run->texts || run->texts->n_failed++) return;
    run->texts->failed_row = row;
    run->texts->failure = *failure;
}

/* One bad row fails the whole tile; alone, it fails itself. */
static size_t run_tile(const struct oz_net_run *run, const uint32_t *row, size_t n,
                       enum oz_status *ret_status, struct oz_error *err)
{
    struct oz_error failure = {0};
    size_t n_failed = 0;
    enum oz_status status = oz_net_model_run_once(run, row, n, &failure);
    if (status == OZ_OK) return 0;
    for (size_t r = 0; r < n; r++) {
        if (n > 1) status = oz_net_model_run_once(run, row + r, 1, &failure);
        if (status == OZ_OK) continue;
        no_scores(run, row[r]);
        remember(run, row[r], &failure);
        n_failed++;
        if (status == OZ_NO_MEMORY && run->texts) *ret_status = oz_no_memory(err);
    }
    return n_failed;
}

size_t oz_net_model_run(const struct oz_net_run *run, size_t n_rows, enum oz_status *ret_status,
                        struct oz_error *err)
{
    const struct oz_net_model *model = run->model;
    uint32_t *row = (uint32_t *)(run->scratch + model->rows_offset);
    size_t n_failed = 0;
    *ret_status = OZ_OK;
    for (size_t next = 0; next < n_rows && *ret_status == OZ_OK;) {
        size_t n = 0;
        for (; next < n_rows && n < model->tile_rows; next++) {
            if (!model->has_checks || may_go_in(run, next))
                row[n++] = (uint32_t)next;
            else
                no_scores(run, next);
        }
        if (n) n_failed += run_tile(run, row, n, ret_status, err);
    }
    return n_failed;
}
