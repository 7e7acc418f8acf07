/* Activations over arrays; included once per instruction set, after one of vec_*.h. */
#ifndef OZ_KERNELS_CPU_ACTIVATION_BODY_H
#define OZ_KERNELS_CPU_ACTIVATION_BODY_H
#include "kernels/cpu/vec_math.h"

void OZ_KERNEL(act_f32_array)(size_t n, const float *x, const struct oz_activation *act, float *y)
{
    size_t i = 0;
    for (; i + OZ_LANES <= n; i += OZ_LANES) oz_vf_store(y + i, oz_vf_act(act, oz_vf_load(x + i)));
    if (i < n) {
        oz_vm some = oz_vf_first(n - i);
        oz_vf_store_some(y + i, some, oz_vf_act(act, oz_vf_load_some(x + i, some)));
    }
}
#endif
