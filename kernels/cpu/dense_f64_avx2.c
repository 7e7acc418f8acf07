#include "kernels/cpu/vec_avx2.h"
#include "kernels/cpu/dense_f64_body.h"
