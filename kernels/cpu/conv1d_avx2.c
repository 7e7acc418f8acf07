#include "kernels/cpu/vec_avx2.h"
#include "kernels/cpu/conv1d_body.h"
