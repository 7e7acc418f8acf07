#include "kernels/cpu/vec_avx512.h"
#include "kernels/cpu/conv1d_body.h"
