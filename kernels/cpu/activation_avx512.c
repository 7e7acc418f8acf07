#include "kernels/cpu/vec_avx512.h"
#include "kernels/cpu/activation_body.h"
