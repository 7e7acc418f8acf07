#include "kernels/cpu/vec_scalar.h"
#include "kernels/cpu/dense_f64_body.h"
