#include "kernels/cpu/vec_scalar.h"
#include "kernels/cpu/dense_body.h"
