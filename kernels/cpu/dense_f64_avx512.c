#include "kernels/cpu/vec_avx512.h"
#include "kernels/cpu/dense_f64_body.h"
