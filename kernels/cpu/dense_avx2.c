#include "kernels/cpu/vec_avx2.h"
#include "kernels/cpu/dense_body.h"
