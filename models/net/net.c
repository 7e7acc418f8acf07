#include "models/net/net.h"

void oz_net_init(struct oz_net *net)
{
    *net = (struct oz_net){.producer = "",
                           .memory_bytes_max = OZ_NET_MEMORY_BYTES_MAX,
                           .steps_max = OZ_NET_STEPS_MAX,
                           .load_cpu_us_max = OZ_NET_LOAD_CPU_US_MAX};
    oz_arena_init(&net->arena, 1 << 14);
}

void oz_net_clear(struct oz_net *net)
{
    oz_arena_clear(&net->arena);
    oz_free(net->value);
    net->value = NULL;
    net->n_values = 0;
}

enum oz_status oz_net_add_value(struct oz_net *net, const char *name, uint32_t *ret_number,
                                struct oz_error *err)
{
    if (net->n_values == OZ_NET_VALUES_MAX)
        OZ_FAIL(err, OZ_MODEL, "the graph has more than %d values", OZ_NET_VALUES_MAX);
    OZ_TRY(oz_grow((void **)&net->value, &net->cap_values, (size_t)net->n_values + 1,
                   sizeof *net->value, err));
    net->value[net->n_values] = (struct oz_value){.name = name};
    *ret_number = net->n_values++;
    return OZ_OK;
}
