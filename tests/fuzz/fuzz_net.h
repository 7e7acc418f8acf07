/* What the fuzzers of nets share: a net is compiled, planned and run in bounded memory, with
 * made-up inputs. */
#ifndef OZ_TESTS_FUZZ_FUZZ_NET_H
#define OZ_TESTS_FUZZ_FUZZ_NET_H
#include <stdlib.h>
#include <string.h>
#include "models/net/exec.h"

enum { FUZZ_INPUTS_MAX = 16 };

/* Values that are small enough to be indices, shapes and counts, and a few that are not. */
static inline void fuzz_fill(struct oz_tensor *tensor, struct oz_arena *arena)
{
    static const double values[] = {0.5, 1, 2, 0, 3, -1, 1e30, 7.25};
    size_t bytes = oz_dtype_bytes((enum oz_dtype)tensor->dtype);
    tensor->data = oz_arena_zeroed(arena, (size_t)tensor->n + 1, bytes);
    if (!tensor->data) abort();
    for (int64_t i = 0; i < tensor->n; i++) {
        double v = values[(i * 5 + tensor->rank) % 8];
        switch ((enum oz_dtype)tensor->dtype) {
        case OZ_DTYPE_F32: tensor->f32[i] = (float)v; break;
        case OZ_DTYPE_F64: tensor->f64[i] = v; break;
        case OZ_DTYPE_I32: tensor->i32[i] = v > 9 ? INT32_MIN : (int32_t)v; break;
        case OZ_DTYPE_I64: tensor->i64[i] = v > 9 ? INT64_MAX : (int64_t)v; break;
        case OZ_DTYPE_BOOL: tensor->boolean[i] = v == 1; break;
        case OZ_DTYPE_U8:
        case OZ_DTYPE_I8: tensor->u8[i] = v > 9 || v < 0 ? 255 : (uint8_t)v; break;
        case OZ_DTYPE_TEXT: tensor->text[i] = (struct oz_str){"b", i & 1}; break;
        case OZ_DTYPE_COUNT: break;
        }
    }
}

/* Plans for these inputs without their values, runs with them, and looks at every output byte. */
static inline void fuzz_run(const struct oz_net *net, struct oz_tensor *input,
                            struct oz_arena *arena)
{
    struct oz_error err;
    struct oz_tensor shape[FUZZ_INPUTS_MAX];
    struct oz_net_plan plan;
    for (uint32_t i = 0; i < net->graph.n_inputs; i++) {
        shape[i] = input[i];
        /* Every other small one is known while planning, as a shape would be. */
        if (input[i].n > 8 || !(i & 1)) shape[i].data = NULL;
    }
    if (oz_net_plan(net, shape, arena, &plan, &err) != OZ_OK) return;
    size_t n_bytes = (plan.memory_bytes + 63) & ~(size_t)63;
    uint8_t *memory = aligned_alloc(64, n_bytes);
    struct oz_tensor *output = calloc(net->graph.n_outputs + 1, sizeof *output);
    if (!memory || !output) abort();
    memset(memory, 0xa5, n_bytes);
    if (oz_net_run(&plan, input, memory, output, &err) == OZ_OK) {
        unsigned sum = 0;
        for (uint32_t k = 0; k < net->graph.n_outputs; k++) {
            size_t n = (size_t)output[k].n * oz_dtype_bytes((enum oz_dtype)output[k].dtype);
            if (output[k].dtype != OZ_DTYPE_TEXT)
                for (size_t i = 0; i < n; i++) sum += output[k].u8[i];
            else
                for (int64_t i = 0; i < output[k].n; i++)
                    for (uint32_t c = 0; c < output[k].text[i].len; c++)
                        sum += (unsigned char)output[k].text[i].data[c];
        }
        volatile unsigned sink = sum;
        (void)sink;
    }
    free(output);
    free(memory);
}
#endif
