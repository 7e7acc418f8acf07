/* Fuzzes the reader of ONNX files: whatever the bytes, they become an error or a net that can be
 * planned and run, in bounded memory and time. Seeds: the models of the ONNX node suite (Debian's
 * libonnx-testdata) where they are installed. */
#include "models/onnx/onnx_reader.h"
#include "tests/fuzz/fuzz_net.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static bool make_input(const struct oz_value *value, struct oz_arena *arena, struct oz_tensor *ret)
{
    int64_t dim[OZ_RANK_MAX] = {2, 3};
    size_t rank = value->has_shape ? value->rank : 2;
    for (size_t d = 0; d < rank && value->has_shape; d++)
        dim[d] = value->dim[d].size >= 0 ? value->dim[d].size : d ? 3 : 2;
    if (oz_tensor_shape(ret, (enum oz_dtype)value->dtype, rank, dim, NULL) != OZ_OK) return false;
    if (ret->n > 4096) return false;
    fuzz_fill(ret, arena);
    return true;
}

static void try_run(struct oz_net *net)
{
    struct oz_arena arena;
    struct oz_tensor input[FUZZ_INPUTS_MAX];
    bool is_made = net->graph.n_inputs <= FUZZ_INPUTS_MAX;
    oz_arena_init(&arena, 1 << 12);
    for (uint32_t i = 0; i < net->graph.n_inputs && is_made; i++)
        is_made = make_input(&net->value[net->graph.input[i]], &arena, &input[i]);
    if (is_made) fuzz_run(net, input, &arena);
    oz_arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct oz_error err;
    struct oz_net net;
    oz_net_init(&net);
    net.memory_bytes_max = 1 << 20;
    net.steps_max = 10000;
    net.load_cpu_us_max = 1000000;
    if (oz_onnx_read(bytes, n, &net, &err) == OZ_OK && oz_net_compile(&net, &err) == OZ_OK)
        try_run(&net);
    oz_net_clear(&net);
    return 0;
}
